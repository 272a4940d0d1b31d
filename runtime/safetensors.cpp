// The .safetensors format: the length of a header (64 bits), a JSON header, the elements of all tensors.
//   {"w1": {"dtype": "F32", "shape": [1000, 100], "data_offsets": [0, 400000]}, ..., "__metadata__": {"key": "text"}}
// Offsets count from the end of the header; the tensors must cover the data without gap or overlap (the reference implementation's rule,
// which keeps a file from hiding anything or naming bytes twice). The parser is written for exactly this structure: it accepts the keys of
// a tensor in any order and rejects all else.
#include <algorithm>

#include "kiln/files.h"
#include "runtime/formats.h"

namespace kiln {
namespace runtime {
namespace {

constexpr char format[] = "a .safetensors";
constexpr std::uint64_t longest_header = 100'000'000;  // the reference implementation's limit
constexpr std::size_t most_dims = 64;

constexpr std::pair<std::string_view, DType> dtype_names[] = {
    {"BOOL", DType::boolean}, {"I8", DType::i8},   {"I16", DType::i16}, {"I32", DType::i32}, {"I64", DType::i64},
    {"U8", DType::u8},        {"U16", DType::u16}, {"U32", DType::u32}, {"U64", DType::u64}, {"F16", DType::f16},
    {"BF16", DType::bf16},    {"F32", DType::f32}, {"F64", DType::f64}};

struct Entry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;
};

class HeaderParser {
 public:
  HeaderParser(std::string_view text, const Source& source) : text_(text), source_(source) {}

  std::vector<Entry> parse() {
    std::vector<Entry> entries;
    if (text_.empty() || text_[0] != '{') fail("the header does not begin with '{'");
    bool has_metadata = false;
    object([&](std::string key) {
      if (key == "__metadata__") {
        if (has_metadata) fail("__metadata__ stands twice");
        has_metadata = true;
        object([&](const std::string&) { string(); });
      } else {
        entries.push_back(tensor(std::move(key)));
      }
    });
    skip();
    if (at_ != text_.size()) fail("something follows the header's '}'");
    return entries;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { source_.corrupt(format, what + " (at byte " + std::to_string(at_ + 8) + ")"); }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
  }
  bool accept(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("the header lacks a '") + c + "'");
  }

  // {"key": <member(key)>, ...}
  template <class Member>
  void object(Member&& member) {
    expect('{');
    if (accept('}')) return;
    do {
      std::string key = string();
      expect(':');
      member(std::move(key));
    } while (accept(','));
    expect('}');
  }

  Entry tensor(std::string name) {
    Entry entry;
    bool has_dtype = false, has_shape = false, has_offsets = false;
    const auto once = [&](bool& seen) {
      if (seen) fail("a key of tensor '" + name + "' stands twice");
      seen = true;
    };
    object([&](const std::string& key) {
      if (key == "dtype") {
        once(has_dtype);
        entry.dtype = dtype(string(), name);
      } else if (key == "shape") {
        once(has_shape);
        for (std::uint64_t extent : integers(most_dims)) {
          if (extent > INT64_MAX) fail("an extent of tensor '" + name + "' does not fit in 63 bits");
          entry.shape.push_back(static_cast<std::int64_t>(extent));
        }
      } else if (key == "data_offsets") {
        once(has_offsets);
        const std::vector<std::uint64_t> offsets = integers(2);
        if (offsets.size() != 2) fail("the data_offsets of tensor '" + name + "' are not two numbers");
        entry.begin = offsets[0];
        entry.end = offsets[1];
      } else {
        fail("tensor '" + name + "' has an unknown key '" + key + "'");
      }
    });
    if (!has_dtype || !has_shape || !has_offsets) fail("tensor '" + name + "' lacks its dtype, shape or data_offsets");
    entry.name = std::move(name);
    return entry;
  }

  DType dtype(const std::string& text, const std::string& tensor_name) const {
    for (const auto& [name, dtype] : dtype_names)
      if (name == text) return dtype;
    source_.unsupported("holds tensor '" + tensor_name + "' of dtype " + text + ", which Kiln does not have");
  }

  std::vector<std::uint64_t> integers(std::size_t most) {
    std::vector<std::uint64_t> items;
    expect('[');
    if (accept(']')) return items;
    do {
      if (items.size() == most) fail("a list has more than " + std::to_string(most) + " numbers");
      items.push_back(integer());
    } while (accept(','));
    expect(']');
    return items;
  }

  std::uint64_t integer() {
    skip();
    const std::size_t begin = at_;
    std::uint64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (__builtin_mul_overflow(value, std::uint64_t{10}, &value) ||
          __builtin_add_overflow(value, static_cast<std::uint64_t>(text_[at_] - '0'), &value))
        fail("a number does not fit in 64 bits");
    }
    if (at_ == begin) fail("a whole number is missing");
    if (text_[begin] == '0' && at_ > begin + 1) fail("a number begins with 0");
    return value;
  }

  std::string string() {
    expect('"');
    std::string value;
    while (at_ < text_.size()) {
      const auto c = static_cast<unsigned char>(text_[at_++]);
      if (c == '"') return value;
      if (c < 0x20) fail("a string holds a control character");
      if (c != '\\')
        value += static_cast<char>(c);
      else
        escape(value);
    }
    fail("a string does not end");
  }

  void escape(std::string& value) {
    constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    if (const std::size_t i = letters.find(c); i != std::string_view::npos) {
      value += meanings[i];
      return;
    }
    if (c != 'u') fail("a string holds an unknown escape");
    std::uint32_t code = hex4();
    if (code >= 0xd800 && code < 0xdc00) {
      if (text_.substr(at_, 2) != "\\u") fail("a surrogate lacks its second half");
      at_ += 2;
      const std::uint32_t low = hex4();
      if (low < 0xdc00 || low > 0xdfff) fail("a surrogate lacks its second half");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
      fail("a surrogate lacks its first half");
    }
    append_utf8(value, code);
  }

  std::uint32_t hex4() {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = at_ < text_.size() ? text_[at_++] : '\0';
      const std::size_t digit = std::string_view("0123456789abcdef").find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
      if (digit == std::string_view::npos) fail("a \\u escape lacks its four digits");
      value = value * 16 + static_cast<std::uint32_t>(digit);
    }
    return value;
  }

  static void append_utf8(std::string& to, std::uint32_t code) {
    const auto tail = [&](int shift) { to += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
    if (code < 0x80) {
      to += static_cast<char>(code);
    } else if (code < 0x800) {
      to += static_cast<char>(0xc0 | (code >> 6));
      tail(0);
    } else if (code < 0x10000) {
      to += static_cast<char>(0xe0 | (code >> 12));
      tail(6), tail(0);
    } else {
      to += static_cast<char>(0xf0 | (code >> 18));
      tail(12), tail(6), tail(0);
    }
  }

  std::string_view text_;
  const Source& source_;
  std::size_t at_ = 0;
};

std::string json_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr std::string_view digits = "0123456789abcdef";
      result += "\\u00";
      result += digits[static_cast<unsigned char>(c) >> 4];
      result += digits[c & 15];
    } else {
      result += c;
    }
  }
  return result + '"';
}

// The tensors must lie one after the other, from the first byte of the data to the last.
void check_layout(std::vector<Entry>& entries, std::uint64_t data_bytes, const Source& source) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::uint64_t at = 0;
  for (const Entry& entry : entries) {
    const std::string what = "tensor '" + entry.name + "' ";
    if (entry.end < entry.begin || entry.end > data_bytes) source.corrupt(format, what + "lies outside of the data");
    if (entry.begin != at) source.corrupt(format, what + "overlaps another one, or leaves a gap before it");
    const Shape shape(entry.shape);
    std::int64_t size = 0;
    try {
      size = shape.size();
    } catch (const Error&) {
      source.corrupt(format, what + "has more elements than 63 bits can count");
    }
    const std::uint64_t bytes = entry.end - entry.begin, width = size_of(entry.dtype);
    if (bytes % width != 0 || bytes / width != static_cast<std::uint64_t>(size))
      source.corrupt(format,
                     what + "is " + std::string(name_of(entry.dtype)) + to_string(shape) + ", but has " + std::to_string(bytes) + " bytes");
    at = entry.end;
  }
  if (at != data_bytes) source.corrupt(format, std::to_string(data_bytes - at) + " bytes after the last tensor belong to none");
}

bool all_zero_or_one(Bytes data) {
  return std::all_of(data.begin(), data.end(), [](unsigned char byte) { return byte <= 1; });
}

}  // namespace

std::map<std::string, Array> parse_safetensors(Bytes file, const Source& source, const std::shared_ptr<const void>& owner) {
  if (file.size() < 8) source.corrupt(format, file.empty() ? "it is empty" : "it is shorter than 8 bytes");
  const auto header_bytes = load_little<std::uint64_t>(file.data());
  if (header_bytes > longest_header || header_bytes > file.size() - 8)
    source.corrupt(format, "its header claims " + std::to_string(header_bytes) + " bytes, the file has " + std::to_string(file.size()));
  std::vector<Entry> entries = HeaderParser({reinterpret_cast<const char*>(&file[0]) + 8, header_bytes}, source).parse();
  const Bytes data = file.subspan(8 + header_bytes);
  check_layout(entries, data.size(), source);

  std::map<std::string, Array> arrays;
  for (Entry& entry : entries) {
    const Bytes bytes = data.subspan(entry.begin, entry.end - entry.begin);
    const ArrayView view(entry.dtype, Shape(entry.shape), bytes.data());
    const bool aligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % size_of(entry.dtype) == 0;
    const bool clean = entry.dtype != DType::boolean || all_zero_or_one(bytes);
    Array array = aligned && clean ? Array::adopt(entry.dtype, view.shape(), view.raw(), owner) : Array(view);
    if (!clean) {
      auto* cells = static_cast<unsigned char*>(array.mutable_raw());
      for (std::size_t i = 0; i < bytes.size(); ++i) cells[i] = cells[i] != 0;
    }
    if (arrays.contains(entry.name)) source.corrupt(format, "it holds tensor '" + entry.name + "' twice");
    arrays.emplace(std::move(entry.name), std::move(array));
  }
  return arrays;
}

}  // namespace runtime

std::map<std::string, Array> read_safetensors(const std::string& path, Location where) {
  const runtime::MappedFile file = runtime::map_file(path, where);
  return runtime::parse_safetensors(file.bytes, {path, where}, file.owner);
}

void write_safetensors(const std::string& path, const std::map<std::string, Array>& arrays, Location where) {
  // Wide elements first, then by name, as the reference implementation does: every tensor is aligned to its element size.
  std::vector<const std::pair<const std::string, Array>*> order;
  for (const auto& item : arrays) {
    if (item.first == "__metadata__")
      throw Error(ErrorCode::invalid_argument, "cannot write '" + path + "': no array may be named '__metadata__'", where);
    order.push_back(&item);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return size_of(a->second.dtype()) > size_of(b->second.dtype()); });
  std::string header = "{";
  std::vector<runtime::Bytes> pieces(1);
  std::uint64_t offset = 0;
  for (const auto* item : order) {
    const Array& array = item->second;
    if (header.size() > 1) header += ',';
    header += runtime::json_string(item->first) + ":{\"dtype\":\"";
    for (const auto& [name, dtype] : runtime::dtype_names)
      if (dtype == array.dtype()) header += name;
    header += "\",\"shape\":[";
    for (std::size_t d = 0; d < array.shape().rank(); ++d) header += (d > 0 ? "," : "") + std::to_string(array.shape()[d]);
    header += "],\"data_offsets\":[" + std::to_string(offset) + ',' + std::to_string(offset + array.bytes()) + "]}";
    offset += array.bytes();
    pieces.push_back(runtime::bytes_of(array));
  }
  header += '}';
  // The data starts at a multiple of 64, so that mapped arrays are as aligned as they can be.
  constexpr std::size_t unit = 64;
  header.append((unit - (8 + header.size()) % unit) % unit, ' ');
  std::string start;
  runtime::append_little<std::uint64_t>(start, header.size());
  start += header;
  pieces[0] = runtime::bytes_of(start);
  runtime::write_file(path, pieces, where);
}

}  // namespace kiln

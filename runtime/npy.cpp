// The .npy format (numpy/lib/format.py): a magic string, a version, the length of a header, the header, the elements. The header is a
// Python literal:
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
// padded with spaces and a line feed so that the elements start at a multiple of 64. This reader accepts exactly such literals with those
// three keys, in any order.
#include <algorithm>

#include "kiln/files.h"
#include "runtime/formats.h"

namespace kiln {
namespace runtime {
namespace {

constexpr char format[] = "an .npy";
constexpr std::string_view magic("\x93NUMPY", 6);
constexpr std::size_t longest_header = std::size_t{1} << 20;
constexpr std::size_t most_dims = 64;  // numpy's own limit

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

// The Python literal of the header.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const Source& source) : text_(text), source_(source) {}

  Header parse() {
    Header header;
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      bool* seen = key == "descr" ? &has_descr : key == "fortran_order" ? &has_order : key == "shape" ? &has_shape : nullptr;
      if (seen == nullptr) fail("unknown key '" + key + "'");
      if (*seen) fail("key '" + key + "' stands twice");
      *seen = true;
      if (seen == &has_descr) {
        skip();
        if (at_ < text_.size() && text_[at_] == '[') source_.unsupported("holds records (structured dtype), which Kiln does not have");
        header.descr = quoted();
      } else if (seen == &has_order) {
        header.fortran_order = boolean_literal();
      } else {
        header.shape = tuple();
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip();
    if (at_ != text_.size()) fail("something follows the header's '}'");
    if (!has_descr || !has_order || !has_shape) fail("'descr', 'fortran_order' or 'shape' is missing");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { source_.corrupt(format, "header: " + what); }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool accept(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("'") + c + "' is missing at byte " + std::to_string(at_));
  }
  std::string quoted() {
    skip();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) fail("a string is missing at byte " + std::to_string(at_));
    const char quote = text_[at_++];
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) fail("a string does not end");
    const std::string_view value = text_.substr(at_, end - at_);
    if (value.size() > 64 || value.find('\\') != std::string_view::npos) fail("a string is too long or has escapes");
    at_ = end + 1;
    return std::string(value);
  }
  bool boolean_literal() {
    skip();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(at_, word.size()) != word) continue;
      at_ += word.size();
      return word == "True";
    }
    fail("'fortran_order' is neither True nor False");
  }
  std::int64_t integer() {
    skip();
    const std::size_t begin = at_;
    std::int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text_[at_] - '0', &value))
        fail("an extent does not fit in 63 bits");
    }
    if (at_ == begin) fail("an extent is missing at byte " + std::to_string(at_));
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote long integers so
    return value;
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> items;
    expect('(');
    while (!accept(')')) {
      if (items.size() == most_dims) fail("the shape has more than 64 dimensions");
      items.push_back(integer());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return items;
  }

  std::string_view text_;
  const Source& source_;
  std::size_t at_ = 0;
};

struct Element {
  DType dtype;
  bool big_endian;
};

Element element_of(const std::string& descr, const Source& source) {
  std::string_view code = descr;
  const char order = code.empty() ? ' ' : code[0];
  if (order == '<' || order == '>' || order == '|' || order == '=') code.remove_prefix(1);
  static constexpr std::pair<std::string_view, DType> codes[] = {
      {"b1", DType::boolean}, {"?", DType::boolean}, {"i1", DType::i8},  {"i2", DType::i16}, {"i4", DType::i32},
      {"i8", DType::i64},     {"u1", DType::u8},     {"u2", DType::u16}, {"u4", DType::u32}, {"u8", DType::u64},
      {"f2", DType::f16},     {"V2", DType::bf16},   {"f4", DType::f32}, {"f8", DType::f64}};
  for (const auto& [name, dtype] : codes)
    if (name == code) return {dtype, order == '>' && size_of(dtype) > 1};
  source.unsupported("holds elements of numpy type '" + descr + "', which Kiln does not have",
                     "convert it in Python, for example array.astype(numpy.float32)");
}

std::string descr_of(DType dtype) {
  static constexpr std::string_view codes[dtype_count] = {"|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2",
                                                          "<u4", "<u8", "<f2", "<V2", "<f4", "<f8"};
  return std::string(codes[static_cast<std::size_t>(dtype)]);
}

void swap_bytes(unsigned char* data, std::size_t bytes, std::size_t element) {
  for (std::size_t i = 0; i + element <= bytes; i += element) std::reverse(data + i, data + i + element);
}

// Elements that lie with the first index fastest, to row-major.
void from_fortran(const unsigned char* source, unsigned char* target, const Shape& shape, std::size_t element) {
  const std::size_t rank = shape.rank();
  std::vector<std::int64_t> strides(rank), index(rank, 0);
  std::int64_t stride = 1;
  for (std::size_t d = 0; d < rank; ++d) {
    strides[d] = stride;
    stride *= shape[d];
  }
  std::int64_t offset = 0;
  for (std::int64_t i = 0, size = shape.size(); i < size; ++i) {
    std::memcpy(target + static_cast<std::size_t>(i) * element, source + static_cast<std::size_t>(offset) * element, element);
    for (std::size_t d = rank; d-- > 0;) {
      offset += strides[d];
      if (++index[d] < shape[d]) break;
      offset -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
}

}  // namespace

Array parse_npy(Bytes file, const Source& source) {
  if (file.size() < 10 || std::memcmp(file.data(), magic.data(), magic.size()) != 0)
    source.corrupt(format, file.empty() ? "it is empty" : "it does not begin with \\x93NUMPY and a header");
  const int major = file[6];
  if (major < 1 || major > 3) source.corrupt(format, "format version " + std::to_string(major) + " does not exist");
  const std::size_t start = major == 1 ? 10 : 12;
  if (file.size() < start) source.corrupt(format, "it ends within its header");
  const std::size_t length = major == 1 ? load_little<std::uint16_t>(&file[8]) : load_little<std::uint32_t>(&file[8]);
  if (length > longest_header || length > file.size() - start) source.corrupt(format, "it ends within its header");

  const Header header = HeaderParser({reinterpret_cast<const char*>(&file[start]), length}, source).parse();
  const Element element = element_of(header.descr, source);
  const std::size_t width = size_of(element.dtype);
  const Bytes data = file.subspan(start + length);
  const Shape shape(header.shape);
  std::int64_t size = 0;
  try {
    size = shape.size();
  } catch (const Error&) {
    source.corrupt(format, "shape " + to_string(shape) + " has more elements than 63 bits can count");
  }
  // Compared by division: size * width may overflow.
  if (data.size() % width != 0 || data.size() / width != static_cast<std::size_t>(size))
    source.corrupt(format, "shape " + to_string(shape) + " of " + std::to_string(width) + "-byte elements does not fit " +
                               std::to_string(data.size()) + " bytes of data");
  Array result(element.dtype, shape);
  if (size == 0) return result;
  auto* target = static_cast<unsigned char*>(result.mutable_raw());
  if (header.fortran_order && shape.rank() > 1)
    from_fortran(data.data(), target, shape, width);
  else
    std::memcpy(target, data.data(), data.size());
  if (element.big_endian) swap_bytes(target, data.size(), width);
  if (element.dtype == DType::boolean)
    for (std::size_t i = 0; i < data.size(); ++i) target[i] = target[i] != 0;  // numpy takes any other byte for True
  return result;
}

std::string npy_header(DType dtype, const Shape& shape) {
  std::string dict = "{'descr': '" + descr_of(dtype) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t d = 0; d < shape.rank(); ++d) dict += (d > 0 ? ", " : "") + std::to_string(shape[d]);
  dict += shape.rank() == 1 ? ",), }" : "), }";
  constexpr std::size_t before = 10, unit = 64;
  dict.append((unit - (before + dict.size() + 1) % unit) % unit, ' ');
  dict += '\n';
  std::string header(magic);
  header += '\x01';
  header += '\0';
  append_little(header, static_cast<std::uint16_t>(dict.size()));
  return header + dict;
}

}  // namespace runtime

Array read_npy(const std::string& path, Location where) { return runtime::parse_npy(runtime::read_file(path, where), {path, where}); }

void write_npy(const std::string& path, const ArrayView& array, Location where) {
  if (array.shape().rank() > runtime::most_dims)
    throw Error(ErrorCode::unsupported, "cannot write '" + path + "': .npy files have at most 64 dimensions", where);
  const std::string header = runtime::npy_header(array.dtype(), array.shape());
  const runtime::Bytes pieces[] = {runtime::bytes_of(header), runtime::bytes_of(array)};
  runtime::write_file(path, pieces, where);
}

Array Array::load(const std::string& path, Location where) { return read_npy(path, where); }

}  // namespace kiln

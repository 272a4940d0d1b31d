// Programs as bytes. Layout: a magic string with the version, then the members of Program in order of declaration. Integers are
// little-endian and of fixed width; strings and lists have their length (32 bits) before them; a boolean is a byte 0 or 1.
//
// One description of the layout serves both directions: `exchange` functions take a Writer or a Reader, so that the two cannot drift apart.
// The reader checks each length against the bytes that are left before it allocates, and validates what the members refer to at the end.
#include "runtime/program_io.h"

#include <limits>

#include "runtime/formats.h"

namespace kiln::runtime {
namespace {

constexpr std::string_view magic = "KILNPRG2";

class Writer {
 public:
  template <class T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  void value(const T& v) {
    append_little(bytes_, v);
  }
  void flag(const bool& v) { bytes_ += v ? '\1' : '\0'; }
  void text(const std::string& v) {
    length(v.size());
    bytes_ += v;
  }
  void file(const char* const& v) { text(v); }
  void shape(const Shape& v) {
    length(v.rank());
    for (std::int64_t extent : v) value(extent);
  }
  void array(const Array& v) {
    value(v.dtype());
    shape(v.shape());
    bytes_.append(static_cast<const char*>(v.raw()), v.bytes());
  }
  template <class T, class Each>
  void list(const std::vector<T>& items, Each&& each) {
    length(items.size());
    for (const T& item : items) each(*this, item);
  }
  std::string take() { return std::move(bytes_); }

 private:
  void length(std::size_t n) {
    internal_check(n <= std::numeric_limits<std::uint32_t>::max(), "a list in a program is too long to be written");
    append_little(bytes_, static_cast<std::uint32_t>(n));
  }
  std::string bytes_{magic};
};

class Reader {
 public:
  Reader(Bytes bytes, const Source& source) : rest_(bytes), source_(source) {
    if (rest_.size() < magic.size() || std::memcmp(rest_.data(), magic.data(), magic.size()) != 0)
      fail("it does not begin with " + std::string(magic));
    rest_ = rest_.subspan(magic.size());
  }
  [[noreturn]] void fail(const std::string& what) const { source_.corrupt("a compiled Kiln", what); }
  void finish() const {
    if (!rest_.empty()) fail(std::to_string(rest_.size()) + " bytes are left over");
  }

  template <class T>
    requires(std::is_integral_v<T> || std::is_enum_v<T>)
  void value(T& v) {
    v = load_little<T>(take(sizeof(T)).data());
  }
  void flag(bool& v) {
    const unsigned char byte = take(1)[0];
    if (byte > 1) fail("a boolean is neither 0 nor 1");
    v = byte == 1;
  }
  void text(std::string& v) {
    const Bytes bytes = take(length(1));
    v.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void file(const char*& v) {
    std::string name;
    text(name);
    v = Location::interned(name, 0).file;
  }
  void shape(Shape& v) {
    v = Shape::of_rank(length(sizeof(std::int64_t)));
    for (std::size_t d = 0; d < v.rank(); ++d) {
      value(v[d]);
      if (v[d] < 0) fail("an extent is negative");
    }
    checked_bytes(v, 1);
  }
  void array(Array& v) {
    DType dtype;
    value(dtype);
    if (static_cast<int>(dtype) >= dtype_count) fail("a dtype does not exist");
    Shape dims;
    shape(dims);
    const Bytes bytes = take(checked_bytes(dims, size_of(dtype)));
    v = Array(ArrayView(dtype, std::move(dims), bytes.data()));
  }
  template <class T, class Each>
  void list(std::vector<T>& items, Each&& each) {
    items.clear();
    // Every item takes a byte at least. Items are added as they are read: a long count costs nothing until its items are there.
    const std::size_t count = length(1);
    for (std::size_t i = 0; i < count; ++i) each(*this, items.emplace_back());
  }

 private:
  Bytes take(std::size_t n) {
    if (n > rest_.size()) fail("it ends too early");
    const Bytes taken = rest_.first(n);
    rest_ = rest_.subspan(n);
    return taken;
  }
  std::size_t length(std::size_t item_bytes) {
    std::uint32_t n;
    value(n);
    if (n > rest_.size() / item_bytes) fail("a length exceeds the bytes that are left");
    return n;
  }
  std::size_t checked_bytes(const Shape& shape, std::size_t width) const {
    std::int64_t bytes = 0;
    try {
      if (__builtin_mul_overflow(shape.size(), static_cast<std::int64_t>(width), &bytes)) fail("an array is too large");
    } catch (const Error& error) {
      if (error.code() == ErrorCode::corrupt_file) throw;
      fail("a shape is too large");
    }
    return static_cast<std::size_t>(bytes);
  }

  Bytes rest_;
  const Source& source_;
};

template <class Stream, class L>
void exchange_location(Stream& s, L& location) {
  s.file(location.file);
  s.value(location.line);
  s.value(location.column);
}

/// The type of a port or value: dtype and dims.
template <class Stream, class Typed>
void exchange_type(Stream& s, Typed& typed) {
  s.value(typed.dtype);
  s.list(typed.dims, [](Stream& s, auto& dim) {
    s.value(dim.kind);
    s.value(dim.value);
    s.text(dim.text);
  });
}

template <class Stream, class Ports>
void exchange_ports(Stream& s, Ports& ports) {
  s.list(ports, [](Stream& s, auto& port) {
    s.text(port.name);
    exchange_type(s, port);
    exchange_location(s, port.where);
    s.value(port.capacity);
  });
}

// The layout. P is Program or const Program.
template <class Stream, class P>
void exchange(Stream& s, P& program) {
  exchange_ports(s, program.inputs);
  exchange_ports(s, program.outputs);
  s.list(program.symbols, [](Stream& s, auto& symbol) {
    s.text(symbol.name);
    s.value(symbol.min);
    s.value(symbol.max);
    s.value(symbol.multiple_of);
  });
  s.list(program.variables, [](Stream& s, auto& variable) {
    s.text(variable.name);
    s.value(variable.dtype);
    s.shape(variable.shape);
    s.flag(variable.read);
    s.flag(variable.assigned);
    s.flag(variable.shadowed);
    exchange_location(s, variable.where);
  });
  s.list(program.checks, [](Stream& s, auto& check) {
    s.value(check.code);
    s.text(check.message);
    exchange_location(s, check.where);
    s.text(check.hint);
  });
  s.list(program.dim_checks, [](Stream& s, auto& check) {
    s.value(check.left);
    s.value(check.right);
    s.value(check.check);
  });
  s.list(program.custom_calls, [](Stream& s, auto& call) {
    s.text(call.name);
    s.list(call.inputs, [](Stream& s, auto& value) { exchange_type(s, value); });
    s.list(call.results, [](Stream& s, auto& value) { exchange_type(s, value); });
    exchange_location(s, call.where);
  });
  s.list(program.prints, [](Stream& s, auto& print) {
    s.text(print.message);
    s.value(print.dtype);
    s.value(print.rank);
    exchange_location(s, print.where);
  });
  s.value(program.memory.limit);
  s.value(program.memory.needed);
  s.value(program.memory.without);
  s.value(program.memory.extra_permille);
  s.list(program.memory.recomputed, [](Stream& s, auto& part) {
    s.value(part.operations);
    exchange_location(s, part.first);
    exchange_location(s, part.last);
  });
  s.list(program.constants, [](Stream& s, auto& constant) { s.array(constant); });
  s.list(program.input_feeds, [](Stream& s, auto& feed) { s.value(feed); });
  s.list(program.fetch_outputs, [](Stream& s, auto& output) { s.value(output); });
  s.value(program.produced);
  s.value(program.plan_values);
}

bool in_range(std::int64_t index, std::size_t size) { return index >= 0 && static_cast<std::uint64_t>(index) < size; }

void validate(const Program& program, const Reader& reader) {
  constexpr std::int32_t most_plan_values = 1 << 24;
  if (program.plan_values < 1 || program.plan_values > most_plan_values) reader.fail("the number of plan values makes no sense");
  if (program.produced < 0 || program.produced > most_plan_values) reader.fail("the number of produced symbols makes no sense");
  const auto values = static_cast<std::size_t>(program.plan_values);
  const std::size_t symbols = program.symbols.size() + static_cast<std::size_t>(program.produced);
  const auto check_dtype = [&](DType dtype) {
    if (static_cast<int>(dtype) >= dtype_count) reader.fail("a dtype does not exist");
  };
  const auto check_type = [&](const auto& typed, const std::string& name) {
    check_dtype(typed.dtype);
    for (const DimSpec& dim : typed.dims) {
      if (dim.kind > DimSpec::Kind::expression) reader.fail("a kind of dimension does not exist");
      const bool valid = dim.kind == DimSpec::Kind::constant
                             ? dim.value >= 0
                             : in_range(dim.value, dim.kind == DimSpec::Kind::symbol ? symbols : values);
      if (!valid) reader.fail("a dimension of '" + name + "' refers to nothing");
    }
  };
  for (const auto* ports : {&program.inputs, &program.outputs})
    for (const PortSpec& port : *ports) {
      check_type(port, port.name);
      if (port.capacity != -1 && !in_range(port.capacity, values)) reader.fail("the size of '" + port.name + "' refers to nothing");
    }
  for (const PortSpec& port : program.inputs)
    for (const DimSpec& dim : port.dims)
      if (dim.kind == DimSpec::Kind::symbol && !in_range(dim.value, program.symbols.size()))
        reader.fail("a dimension of '" + port.name + "' is not known before a run");
  for (const CustomCallSpec& call : program.custom_calls)
    for (const auto* list : {&call.inputs, &call.results})
      for (const ValueSpec& value : *list) check_type(value, call.name);
  for (const VariableSpec& variable : program.variables) check_dtype(variable.dtype);
  for (const PrintSpec& print : program.prints) {
    check_dtype(print.dtype);
    if (print.rank < 0 || print.rank > 4096) reader.fail("the rank of a print makes no sense");
  }
  for (const CheckSpec& check : program.checks)
    if (check.code > ErrorCode::poisoned) reader.fail("an error code does not exist");
  for (const DimCheck& check : program.dim_checks) {
    if (!in_range(check.left, values) || !in_range(check.right, values) || !in_range(check.check, program.checks.size()))
      reader.fail("a check of extents refers to nothing");
  }
  // Which feed is which input belongs to one request; a program kept for many has neither list.
  if (!program.input_feeds.empty() && program.input_feeds.size() != program.inputs.size())
    reader.fail("inputs and their feeds differ in number");
  for (std::int32_t feed : program.input_feeds)
    if (feed < 0) reader.fail("an input has no feed");
  for (std::int32_t output : program.fetch_outputs)
    if (output != -1 && !in_range(output, program.outputs.size())) reader.fail("a fetch refers to no output");
}

}  // namespace

std::string serialize(const Program& program) {
  Writer writer;
  exchange(writer, program);
  return writer.take();
}

Program deserialize(std::span<const unsigned char> bytes, const std::string& name) {
  const Source source{name, {}};
  Reader reader(bytes, source);
  Program program;
  exchange(reader, program);
  reader.finish();
  validate(program, reader);
  return program;
}

}  // namespace kiln::runtime

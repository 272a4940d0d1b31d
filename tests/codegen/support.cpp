#include "tests/codegen/support.h"

#include <sys/mman.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "ir/loop_interpreter.h"
#include "ir/loop_text.h"

namespace kiln::test {

ir::Program program_of(const std::vector<ir::Kernel>& kernels) {
  ir::Program program;
  program.name = "test";
  for (const ir::Kernel& kernel : kernels) {
    for (const auto& symbol : kernel.symbols) {
      bool known = false;
      for (const auto& other : program.symbols) known |= other->name == symbol->name;
      if (!known) program.symbols.push_back(symbol);
    }
    ir::Statement call;
    call.kind = ir::StatementKind::call;
    call.index = static_cast<std::uint32_t>(program.kernels.size());
    for (const ir::Buffer& buffer : kernel.buffers) {
      ir::ProgramBuffer place;
      place.name = "b" + std::to_string(program.buffers.size());
      place.dtype = buffer.dtype;
      place.extents = buffer.extents;
      const bool input = buffer.role == ir::Buffer::Role::input;
      auto& ports = input ? program.inputs : program.outputs;
      place.storage = input ? ir::Storage::input : ir::Storage::output;
      place.index = static_cast<std::uint32_t>(ports.size());
      ports.push_back({place.name, buffer.dtype, buffer.extents, 0});
      call.buffers.push_back(static_cast<std::uint32_t>(program.buffers.size()));
      program.buffers.push_back(place);
    }
    program.body.push_back(call);
    program.kernels.push_back(kernel);
  }
  return program;
}

Compiled compile(const ir::Program& program, const codegen::X86Options& options) {
  std::vector<char> object = codegen::compile_object(program, "test", options);
  Compiled compiled;
  compiled.object_bytes = object.size();
  compiled.code = codegen::load_object(std::move(object), "test");
  return compiled;
}

kiln_call* Call::prepare() {
  call.inputs = inputs.data();
  call.outputs = outputs.data();
  call.variables = variables.data();
  call.shadows = shadows.data();
  call.constants = constants.data();
  call.symbols = symbols.data();
  call.values = values.data();
  return &call;
}

GuardedMemory::GuardedMemory(std::size_t bytes, std::size_t alignment) : size_(bytes) {
  constexpr std::size_t page = 4096;
  const std::size_t padded = (bytes + alignment - 1) / alignment * alignment;
  const std::size_t usable = (padded + page - 1) / page * page;
  mapped_ = usable + page;
  pages_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages_ == MAP_FAILED) throw std::bad_alloc();
  mprotect(static_cast<char*>(pages_) + usable, page, PROT_NONE);
  data_ = static_cast<char*>(pages_) + usable - padded;
}

GuardedMemory::GuardedMemory(GuardedMemory&& other) noexcept
    : pages_(std::exchange(other.pages_, nullptr)), mapped_(other.mapped_), data_(other.data_), size_(other.size_) {}

GuardedMemory::~GuardedMemory() {
  if (pages_) munmap(pages_, mapped_);
}

namespace {

template <class T>
std::vector<T> special_values() {
  using Limits = std::numeric_limits<T>;
  if constexpr (std::is_same_v<T, bool>) {
    return {false, true, true};
  } else if constexpr (std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>) {
    std::vector<T> values;
    for (const int bits : {0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x0080, 0x3c00, 0xbc00, 0x3c01, 0x3f80, 0xbf80, 0x4000,
                           0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0x7c01, 0x7f80, 0xff80, 0x7fc0, 0x7f7f, 0x4049, 0x3555}) {
      T value;
      value.bits = static_cast<std::uint16_t>(bits);
      values.push_back(value);
    }
    return values;
  } else if constexpr (std::is_floating_point_v<T>) {
    return {T(0),
            T(-0.0),
            T(1),
            T(-1),
            T(0.5),
            T(-0.5),
            T(1.5),
            T(2.5),
            T(-2.5),
            T(3),
            T(-7),
            T(0.1),
            T(1e-3),
            T(100.75),
            T(255.5),
            T(-128.5),
            T(65504),
            T(65519.996),
            T(65520),
            T(2147483647.0),
            T(2147483648.0),
            T(-2147483648.0),
            T(4294967295.0),
            T(4294967296.0),
            T(9.2233720368547758e18),
            T(-9.2233720368547758e18),
            T(1.8446744073709552e19),
            T(8388608.5),
            T(16777217.0),
            T(6.1e-5),
            T(5.9e-8),
            T(2.9e-8),
            Limits::infinity(),
            -Limits::infinity(),
            Limits::quiet_NaN(),
            Limits::denorm_min(),
            -Limits::denorm_min(),
            Limits::min(),
            Limits::max(),
            Limits::lowest()};
  } else {
    constexpr auto bits = static_cast<T>(8 * sizeof(T));
    std::vector<T> values{T(0),
                          T(1),
                          T(2),
                          T(3),
                          T(7),
                          T(10),
                          bits,
                          T(bits - 1),
                          T(bits + 1),
                          Limits::min(),
                          Limits::max(),
                          T(Limits::max() - 1),
                          T(Limits::max() / 3)};
    if constexpr (std::is_signed_v<T>)
      for (const T value : {T(-1), T(-2), T(-7), T(Limits::min() + 1), T(Limits::min() / 3)}) values.push_back(value);
    return values;
  }
}

bool equal_elements(const char* a, const char* b, DType dtype) {
  if (std::memcmp(a, b, size_of(dtype)) == 0) return true;
  return visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_same_v<T, bool> || std::is_integral_v<T>) {
      return false;
    } else {
      T x, y;
      std::memcpy(&x, a, sizeof x);
      std::memcpy(&y, b, sizeof y);
      return std::isnan(static_cast<double>(static_cast<std::conditional_t<std::is_same_v<T, double>, double, float>>(x))) &&
             std::isnan(static_cast<double>(static_cast<std::conditional_t<std::is_same_v<T, double>, double, float>>(y)));
    }
  });
}

std::string hex(const char* element, DType dtype) {
  std::string text;
  for (std::size_t i = size_of(dtype); i-- > 0;) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(element[i]));
    text += digits;
  }
  return text;
}

}  // namespace

std::size_t special_count(DType dtype) {
  return visit_dtype(dtype, [](auto tag) { return special_values<decltype(tag)>().size(); });
}

void fill_special(void* data, DType dtype, std::size_t count, std::size_t stride) {
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto values = special_values<T>();
    for (std::size_t i = 0; i < count; ++i) {
      const T value = values[i / stride % values.size()];
      std::memcpy(static_cast<char*>(data) + i * sizeof(T), &value, sizeof value);
    }
  });
}

void expect_same(const std::vector<ir::Kernel>& kernels, const std::vector<std::int64_t>& symbols, const codegen::X86Options& options) {
  const ir::Program program = program_of(kernels);
  Call call;
  call.symbols.resize(program.symbols.size());
  const auto symbol_index = [&](const std::string& name) {
    for (std::size_t i = 0; i < program.symbols.size(); ++i)
      if (program.symbols[i]->name == name) return i;
    throw InternalError("no such symbol");
  };
  std::vector<GuardedMemory> memory;        // of the machine code, one per program buffer
  std::vector<std::vector<char>> expected;  // of the interpreter
  for (const ir::Kernel& kernel : kernels) {
    const auto value_of = [&](std::string_view name) -> std::optional<std::int64_t> {
      for (std::size_t i = 0; i < kernel.symbols.size(); ++i)
        if (kernel.symbols[i]->name == name) return symbols.at(i);
      return std::nullopt;
    };
    for (std::size_t i = 0; i < kernel.symbols.size(); ++i) call.symbols[symbol_index(kernel.symbols[i]->name)] = symbols.at(i);
    std::vector<ir::BoundBuffer> bound;
    std::vector<std::vector<char>> images;
    std::size_t stride = 1;
    for (const ir::Buffer& buffer : kernel.buffers) {
      std::int64_t count = 0;
      if (buffer.strides.empty()) {
        count = ir::evaluate(ir::product(buffer.extents), value_of);
      } else {
        count = 1;
        for (std::size_t i = 0; i < buffer.extents.size(); ++i)
          count += (ir::evaluate(buffer.extents[i], value_of) - 1) * ir::evaluate(buffer.strides[i], value_of);
      }
      const std::size_t size = size_of(buffer.dtype);
      const std::size_t alignment = std::max<std::size_t>(static_cast<std::size_t>(buffer.alignment), size);
      memory.emplace_back(static_cast<std::size_t>(count) * size, alignment);
      fill_special(memory.back().data(), buffer.dtype, static_cast<std::size_t>(count), stride);
      if (buffer.role == ir::Buffer::Role::input) stride *= special_count(buffer.dtype);
      const char* bytes = static_cast<const char*>(memory.back().data());
      images.emplace_back(bytes, bytes + memory.back().size());
    }
    for (auto& image : images) bound.push_back({image.data()});
    ir::verify(kernel);
    ir::interpret(kernel, bound, symbols);
    for (auto& image : images) expected.push_back(std::move(image));
  }
  for (std::size_t i = 0; i < program.buffers.size(); ++i) {
    if (program.buffers[i].storage == ir::Storage::input)
      call.inputs.push_back(memory[i].data());
    else
      call.outputs.push_back(memory[i].data());
  }
  const Compiled compiled = compile(program, options);
  ASSERT_EQ(compiled.code.entry(call.prepare()), KILN_OK);
  std::size_t at = 0;
  for (const ir::Kernel& kernel : kernels) {
    for (const ir::Buffer& buffer : kernel.buffers) {
      const char* actual = static_cast<const char*>(memory[at].data());
      const char* wanted = expected[at].data();
      const std::size_t size = size_of(buffer.dtype), count = memory[at++].size() / size;
      for (std::size_t i = 0; i < count; ++i) {
        if (equal_elements(actual + i * size, wanted + i * size, buffer.dtype)) continue;
        ADD_FAILURE() << "target " << options.target << ", buffer " << buffer.name << "[" << i << "]: machine code has 0x"
                      << hex(actual + i * size, buffer.dtype) << ", the interpreter 0x" << hex(wanted + i * size, buffer.dtype) << "\n"
                      << ir::print(kernel);
        break;
      }
    }
  }
}

bool host_runs(const std::string& level) { return codegen::host_cpu().level >= level; }

std::vector<std::string> runnable_targets() {
  std::vector<std::string> targets{"native"};
  for (const char* level : {"x86-64-v2", "x86-64-v3", "x86-64-v4"})
    if (host_runs(level)) targets.emplace_back(level);
  return targets;
}

void expect_same_everywhere(const std::vector<ir::Kernel>& kernels, const std::vector<std::int64_t>& symbols, bool fma) {
  for (const std::string& target : runnable_targets()) {
    if (fma && target == "x86-64-v2") continue;
    codegen::X86Options options;
    options.target = target;
    expect_same(kernels, symbols, options);
  }
}

}  // namespace kiln::test

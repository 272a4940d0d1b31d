#include "support.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <regex>

#include <gtest/gtest.h>

#include "ir/interpreter.h"
#include "ir/loop_interpreter.h"
#include "ir/loop_text.h"

namespace kiln::test {

passes::CpuTarget v3() { return {"x86-64-v3", 16, 32, true}; }
passes::CpuTarget v4() { return {"x86-64-v4", 32, 64, true}; }

namespace {

std::int64_t value_of(const ir::Dim& dim, const Symbols& symbols) {
  return ir::evaluate(dim, [&](std::string_view name) -> std::optional<std::int64_t> {
    const auto it = symbols.find(std::string(name));
    return it == symbols.end() ? std::nullopt : std::optional(it->second);
  });
}

Shape shape_of(const ir::Dims& dims, const Symbols& symbols) {
  std::vector<std::int64_t> extents;
  for (const ir::Dim& dim : dims) extents.push_back(value_of(dim, symbols));
  return Shape(std::move(extents));
}

struct Random {
  std::uint64_t state = 12345;
  double next() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state >> 11) / 9007199254740992.0;
  }
};

struct Free {
  void operator()(void* p) const { std::free(p); }
};

std::string difference(const Array& actual, const Array& expected, double tolerance) {
  if (actual.dtype() != expected.dtype() || !(actual.shape() == expected.shape())) return "type differs";
  const std::size_t size = size_of(actual.dtype());
  for (std::int64_t i = 0; i < actual.size(); ++i) {
    const double a = element_as_double(actual, i), e = element_as_double(expected, i);
    const auto at = static_cast<std::size_t>(i) * size;
    if (std::memcmp(static_cast<const char*>(actual.raw()) + at, static_cast<const char*>(expected.raw()) + at, size) == 0) continue;
    if (std::isnan(a) && std::isnan(e)) continue;
    if (is_floating(actual.dtype()) && tolerance > 0 && std::abs(a - e) <= tolerance * std::max(1.0, std::abs(e))) continue;
    return "element " + std::to_string(i) + " is " + std::to_string(a) + ", expected " + std::to_string(e);
  }
  return "";
}

}  // namespace

std::vector<Array> random_inputs(const ir::Module& module, const Symbols& symbols, const CheckOptions& options) {
  Random random;
  std::vector<Array> inputs;
  for (const ir::ValueId parameter : module.main_graph().parameters) {
    const ir::Type& type = module.main_graph().type(parameter);
    Array values(DType::f64, shape_of(type.dims, symbols));
    for (double& v : values.mutable_data<double>()) {
      v = options.low + (options.high - options.low) * random.next();
      if (type.dtype == DType::boolean)
        v = v > (options.low + options.high) / 2;
      else if (!is_floating(type.dtype))
        v = std::floor(v);
    }
    inputs.push_back(values.convert(type.dtype));
  }
  return inputs;
}

namespace {

/// Binds scratch behind the buffers given and runs.
void run_on(const ir::Kernel& kernel, std::vector<ir::BoundBuffer> buffers, const Symbols& symbols, bool reversed) {
  std::vector<std::int64_t> arguments;
  for (const auto& symbol : kernel.symbols) arguments.push_back(symbols.at(symbol->name));
  std::vector<std::unique_ptr<void, Free>> scratch;
  while (buffers.size() < kernel.buffers.size()) {
    const ir::Buffer& buffer = kernel.buffers[buffers.size()];
    EXPECT_EQ(buffer.role, ir::Buffer::Role::scratch);
    const std::size_t bytes = static_cast<std::size_t>(shape_of(buffer.extents, symbols).size()) * size_of(buffer.dtype);
    scratch.emplace_back(std::aligned_alloc(64, (bytes + 127) / 64 * 64));
    std::memset(scratch.back().get(), 0xCD, bytes);
    buffers.push_back({scratch.back().get()});
  }
  if (reversed)
    ir::interpret_reversed(kernel, buffers, arguments);
  else
    ir::interpret(kernel, buffers, arguments);
}

}  // namespace

std::vector<Array> run(const ir::Kernel& kernel, const ir::Module& module, const std::vector<Array>& inputs, const Symbols& symbols,
                       bool reversed) {
  std::vector<Array> results;
  for (const ir::ValueId result : module.main_graph().results) {
    const ir::Type& type = module.main_graph().type(result);
    results.emplace_back(type.dtype, shape_of(type.dims, symbols));
  }
  std::vector<ir::BoundBuffer> buffers;
  bool in_place = false;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const bool changed = kernel.buffers[i].role == ir::Buffer::Role::inout;
    if (changed) results = {inputs[i]};  // an update's one result starts as this parameter, in its buffer
    buffers.push_back({changed ? results[0].mutable_raw() : const_cast<void*>(inputs[i].raw())});
    in_place |= changed;
  }
  if (!in_place) {
    for (Array& result : results) {
      std::memset(result.mutable_raw(), 0xCD, result.bytes());
      buffers.push_back({result.mutable_raw()});
    }
  }
  run_on(kernel, std::move(buffers), symbols, reversed);
  return results;
}

Array run_in_place(const ir::Kernel& kernel, const ir::Module& module, std::vector<Array> inputs, const Symbols& symbols,
                   std::size_t shared) {
  EXPECT_EQ(module.main_graph().results.size(), 1u);
  std::vector<ir::BoundBuffer> buffers;
  for (Array& input : inputs) buffers.push_back({input.mutable_raw()});
  buffers.push_back(buffers[shared]);
  run_on(kernel, std::move(buffers), symbols, false);
  return inputs[shared];
}

std::string with_static_shapes(std::string text, const Symbols& symbols) {
  text = std::regex_replace(text, std::regex("symbol [^\n]*\n"), "");
  for (const auto& [name, value] : symbols) text = std::regex_replace(text, std::regex("\\b" + name + "\\b"), std::to_string(value));
  return text;
}

void check(const std::string& text, const Symbols& symbols, const CheckOptions& options) {
  std::string label = text + "\nwith";
  for (const auto& [name, value] : symbols) label += " " + name + " = " + std::to_string(value);
  SCOPED_TRACE(label);
  const ir::Module module = ir::parse(text);
  const std::vector<Array> inputs = random_inputs(module, symbols, options);
  const std::vector<Array> expected = ir::interpret(module, inputs, {}).results;

  ir::Kernel kernel = passes::lower_kernel(module, module.main, v4());
  ir::verify(kernel);
  const std::string printed = ir::print(kernel);
  EXPECT_EQ(ir::print(ir::parse_kernels(printed).at(0)), printed);
  const std::vector<Array> unexpanded = run(kernel, module, inputs, symbols);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::string error = difference(unexpanded[i], expected[i], options.tolerance);
    ASSERT_EQ(error, "") << "result " << i << "\n" << printed;
  }

  passes::expand_math(kernel);
  ir::verify(kernel);
  const std::vector<Array> actual = run(kernel, module, inputs, symbols);
  const std::vector<Array> reversed = run(kernel, module, inputs, symbols, true);
  ir::Kernel narrow = passes::lower_kernel(module, module.main, v3());
  passes::expand_math(narrow);
  ir::verify(narrow);
  const std::vector<Array> on_v3 = run(narrow, module, inputs, symbols);
  const ir::Module fixed = symbols.empty() ? module.clone() : ir::parse(with_static_shapes(text, symbols));
  ir::Kernel specialised = passes::lower_kernel(fixed, fixed.main, v4());
  passes::expand_math(specialised);
  ir::verify(specialised);
  const std::vector<Array> with_constants = run(specialised, fixed, inputs, symbols);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(difference(actual[i], expected[i], options.tolerance), "") << "expanded, result " << i << "\n" << ir::print(kernel);
    ASSERT_EQ(difference(reversed[i], actual[i], 0), "") << "in reverse, result " << i << "\n" << printed;
    ASSERT_EQ(difference(on_v3[i], actual[i], 0), "") << "for v3, result " << i << "\n" << ir::print(narrow);
    ASSERT_EQ(difference(with_constants[i], actual[i], 0), "") << "static, result " << i << "\n" << ir::print(specialised);
  }
}

}  // namespace kiln::test

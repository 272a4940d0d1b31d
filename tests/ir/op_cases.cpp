#include "tests/ir/op_cases.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/interpreter.h"

namespace kiln::test {

using namespace ir;

namespace {

/// SplitMix64: Steele, Lea, Flood 2014.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

Array random_array(DType dtype, const Shape& shape, double low, double high, std::uint64_t seed) {
  Array values(DType::f64, shape);
  const auto out = values.mutable_data<double>();
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double unit = static_cast<double>(mixed(mixed(seed) + i) >> 11) * 0x1p-53;
    out[i] = dtype == DType::boolean ? static_cast<double>(unit < 0.5) : low + unit * (high - low);
  }
  return values.convert(dtype);
}

constexpr std::string_view class_names[] = {"scalar", "empty", "one", "odd", "wide", "special_values", "broadcast", "symbolic"};

OpCase case_of(Op op, const Sample& sample, std::optional<DType> dtype, std::size_t number, std::int64_t symbolic_extent) {
  OpCase c{op, "", sample, sample.operands, {}, symbolic_extent};
  if (dtype)
    for (Type& type : c.operands)
      if (type.dtype == sample.operands[0].dtype) type.dtype = *dtype;
  c.name = fmt::format("{} {} {} {}", info(op).name, c.operands.empty() ? "" : name_of(c.operands[0].dtype),
                       class_names[static_cast<int>(sample.kind)], number);
  for (std::size_t i = 0; i < c.operands.size(); ++i) {
    std::vector<std::int64_t> extents;
    for (const Dim& dim : c.operands[i].dims) extents.push_back(evaluate(dim, symbolic_extent));
    if (i < sample.values.size())
      c.values.push_back(sample.values[i].convert(c.operands[i].dtype));
    else
      c.values.push_back(random_array(c.operands[i].dtype, Shape(extents), sample.low, sample.high, number * 16 + i));
    internal_check(c.values.back().shape() == Shape(extents), "explicit values of a sample have its shape");
  }
  return c;
}

/// Position of a float on the line of its dtype's values: neighbours differ by 1, both zeros are 0.
template <class T, class Bits>
std::int64_t position(T value) {
  constexpr Bits sign = Bits{1} << (8 * sizeof(Bits) - 1);
  const Bits bits = std::bit_cast<Bits>(value);
  return bits & sign ? -static_cast<std::int64_t>(bits & ~sign) : static_cast<std::int64_t>(bits);
}

double ulps_between(const Array& a, const Array& b, std::int64_t i) {
  const auto at = [&](const Array& array) {
    switch (array.dtype()) {
      case DType::f16: return position<float16, std::uint16_t>(array.data<float16>()[i]);
      case DType::bf16: return position<bfloat16, std::uint16_t>(array.data<bfloat16>()[i]);
      case DType::f32: return position<float, std::uint32_t>(array.data<float>()[i]);
      default: return position<double, std::uint64_t>(array.data<double>()[i]);
    }
  };
  const std::int64_t x = std::max(at(a), at(b)), y = std::min(at(a), at(b));
  return static_cast<double>(static_cast<std::uint64_t>(x) - static_cast<std::uint64_t>(y));
}

}  // namespace

std::int64_t symbol_value(std::string_view symbol, std::int64_t symbolic_extent) { return symbol == "n" ? symbolic_extent : 4; }

std::int64_t evaluate(const Dim& dim, std::int64_t symbolic_extent) {
  return ir::evaluate(dim, [&](std::string_view name) { return std::optional(symbol_value(name, symbolic_extent)); });
}

std::vector<OpCase> op_cases(Op op, std::int64_t symbolic_extent) {
  std::vector<OpCase> cases;
  if (!info(op).samples) return cases;
  for (const Sample& sample : info(op).samples(op)) {
    if (!sample.generic) {
      cases.push_back(case_of(op, sample, std::nullopt, cases.size(), symbolic_extent));
      continue;
    }
    for (int d = 0; d < dtype_count; ++d)
      if (info(op).dtypes.contains(static_cast<DType>(d)))
        cases.push_back(case_of(op, sample, static_cast<DType>(d), cases.size(), symbolic_extent));
  }
  return cases;
}

Module module_of(const OpCase& c) {
  Module module;
  if (module.main == none) module.main = module.add_graph("main");
  std::vector<ValueId> operands;
  for (std::size_t i = 0; i < c.operands.size(); ++i)
    operands.push_back(module.main_graph().add_parameter(c.operands[i], fmt::format("x{}", i)));
  if (c.sample.kind == SampleClass::symbolic)
    module.main_graph().add_parameter({.dtype = DType::boolean, .dims = {Dim::symbol("n")}}, "n_elements");
  Builder builder(module, module.main);
  module.main_graph().results = builder.create_many(c.op, operands, c.sample.attributes);
  return module;
}

std::vector<Array> inputs_of(const OpCase& c) {
  std::vector<Array> inputs = c.values;
  if (c.sample.kind == SampleClass::symbolic) inputs.push_back(Array::zeros(DType::boolean, {c.symbolic_extent}));
  return inputs;
}

std::vector<Array> reference(const OpCase& c) { return interpret(module_of(c), inputs_of(c), {}).results; }

std::string difference(const Array& got, const Array& wanted, double ulps) {
  if (got.dtype() != wanted.dtype() || got.shape() != wanted.shape())
    return fmt::format("{}{} instead of {}{}", name_of(got.dtype()), to_string(got.shape()), name_of(wanted.dtype()),
                       to_string(wanted.shape()));
  const std::size_t bytes = size_of(got.dtype());
  for (std::int64_t i = 0; i < got.size(); ++i) {
    if (std::memcmp(static_cast<const char*>(got.raw()) + i * bytes, static_cast<const char*>(wanted.raw()) + i * bytes, bytes) == 0)
      continue;
    if (is_floating(got.dtype())) {
      const double a = element_as_double(got, i), b = element_as_double(wanted, i);
      if (std::isnan(a) && std::isnan(b)) continue;
      if (ulps > 0 && !std::isnan(a) && !std::isnan(b) && ulps_between(got, wanted, i) <= ulps) continue;
      return fmt::format("element {} is {} instead of {}", i, a, b);
    }
    return fmt::format("element {} is {} instead of {}", i, element_as_int(got, i), element_as_int(wanted, i));
  }
  return "";
}

}  // namespace kiln::test

namespace kiln::ir {

void PrintTo(Op op, std::ostream* out) { *out << info(op).name; }

}  // namespace kiln::ir

#include "ir/ops/samples.h"

#include <cmath>
#include <limits>

namespace kiln::ir::ops {

Type sample_type(Dims dims, DType dtype) { return Type{.dtype = dtype, .kind = Type::Kind::tensor, .dims = std::move(dims)}; }

Dim sample_symbol() { return Dim::symbol("n"); }

std::vector<double> special_values() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return {std::numeric_limits<double>::quiet_NaN(),
          infinity,
          -infinity,
          0.0,
          -0.0,
          1,
          -1,
          0.5,
          -0.5,
          1.5,
          2.5,
          -2.5,
          5e-324,  // smallest denormal of f64
          1e-40,   // denormal in f32 and bf16
          -6e-8,   // denormal in f16
          65504,   // largest f16
          3e38,    // f32 and bf16 near their largest
          -1e308,  // infinite in f32
          7,
          31,
          100,
          -100,
          1e6,
          -2147483648.0};
}

std::vector<double> special_values_within(double limit) {
  std::vector<double> values;
  for (const double v : special_values())
    if (!std::isfinite(v) || std::abs(v) <= limit) values.push_back(v);
  return values;
}

Array sample_values(const std::vector<double>& values) { return Array({static_cast<std::int64_t>(values.size())}, values); }

namespace {

/// One sample per class for `count` operands of one type; special values pairwise.
std::vector<Sample> elementwise_samples(std::size_t count, double low, double high, const std::vector<double>& special) {
  const auto of = [&](SampleClass kind, Dims dims) {
    return Sample{.kind = kind, .operands = std::vector<Type>(count, sample_type(std::move(dims))), .low = low, .high = high};
  };
  std::vector<Sample> samples = {
      of(SampleClass::scalar, {}),
      of(SampleClass::empty, {0, 3}),
      of(SampleClass::one, {1}),
      of(SampleClass::odd, {3, 5}),
      of(SampleClass::wide, {2, 67}),  // one vector of bytes and a rest
      of(SampleClass::symbolic, {sample_symbol(), 5}),
  };
  std::vector<std::vector<double>> columns(count);
  std::size_t combinations = 1;
  for (std::size_t i = 0; i < count; ++i) combinations *= special.size();
  for (std::size_t k = 0; k < combinations; ++k)
    for (std::size_t i = 0, rest = k; i < count; ++i, rest /= special.size()) columns[i].push_back(special[rest % special.size()]);
  Sample sample = of(SampleClass::special_values, {Dim(static_cast<std::int64_t>(combinations))});
  for (const auto& column : columns) sample.values.push_back(sample_values(column));
  sample.differentiable = false;
  samples.push_back(std::move(sample));
  return samples;
}

}  // namespace

std::vector<Sample> unary_samples(double low, double high, const std::vector<double>& special) {
  return elementwise_samples(1, low, high, special);
}
std::vector<Sample> binary_samples(double low, double high, const std::vector<double>& special) {
  return elementwise_samples(2, low, high, special);
}

std::vector<Sample> samples_unary(Op) { return unary_samples(-2, 2, special_values()); }
std::vector<Sample> samples_positive(Op) { return unary_samples(0.25, 4, special_values()); }
std::vector<Sample> samples_binary(Op) { return binary_samples(-4, 4, special_values()); }

}  // namespace kiln::ir::ops

// Initializers: graph programs that yield variables' first values.
#include "kiln/initializers.h"

#include <fmt/format.h>
#include <cmath>
#include <numbers>

#include "kiln/operators.h"

namespace kiln {

namespace {

struct Fans {
  double in = 1, out = 1;
};

Fans fans(const Shape& shape, FanLayout layout, const Location& where) {
  if (shape.rank() < 2)
    throw Error(ErrorCode::invalid_argument, fmt::format("a fan needs a weight of rank 2 or more, not {}", to_string(shape)), where,
                "use random_normal() or random_uniform() with bounds of your own");
  const std::size_t n = shape.rank();
  const std::size_t in = layout == FanLayout::out_in ? 1 : n - 2, out = layout == FanLayout::out_in ? 0 : n - 1;
  double field = 1;
  for (std::size_t i = 0; i < n; ++i)
    if (i != in && i != out) field *= static_cast<double>(shape[i]);
  return {static_cast<double>(shape[in]) * field, static_cast<double>(shape[out]) * field};
}

Initializer symmetric(DType dtype, const Shape& shape, double bound) {
  return random_uniform(dtype, shape, {.low = -bound, .high = bound});
}
Initializer centred(DType dtype, const Shape& shape, double stddev) { return random_normal(dtype, shape, {.mean = 0, .stddev = stddev}); }

/// The inverse of erf, by Giles' polynomials (Approximating the erfinv function, GPU Computing Gems 2, 2012), whose error of some 1e-7 one
/// Newton step squares.
Tensor inverse_erf(const Tensor& x) {
  const Tensor w = -log((1 - x) * (1 + x));
  const auto polynomial = [](const Tensor& t, std::initializer_list<double> coefficients) {
    Tensor sum;
    for (const double c : coefficients) sum = sum.valid() ? sum * t + c : zeros_like(t) + c;
    return sum;
  };
  const Tensor centre = polynomial(w - 2.5, {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
                                             -0.00417768164, 0.246640727, 1.50140941});
  const Tensor tail = polynomial(sqrt(maximum(w, 5)) - 3, {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                                                           -0.0076224613, 0.00943887047, 1.00167406, 2.83297682});
  const Tensor y = select(less(w, 5), centre, tail) * x;
  return y - (erf(y) - x) * (std::sqrt(std::numbers::pi) / 2) * exp(y * y);
}

}  // namespace

Initializer constant(DType dtype, const Shape& shape, Scalar value) {
  return Initializer(dtype, shape, [=](Graph& graph) { return graph.full(dtype, shape, value); });
}
Initializer zeros(DType dtype, const Shape& shape) { return constant(dtype, shape, 0); }
Initializer ones(DType dtype, const Shape& shape) { return constant(dtype, shape, 1); }

Initializer random_uniform(DType dtype, const Shape& shape, UniformOptions options) {
  return Initializer(dtype, shape, [=](Graph& graph) { return graph.random_uniform(dtype, shape, options); });
}

Initializer random_normal(DType dtype, const Shape& shape, NormalOptions options) {
  return Initializer(dtype, shape, [=](Graph& graph) { return graph.random_normal(dtype, shape, options); });
}

Initializer truncated_normal(DType dtype, const Shape& shape, NormalOptions options) {
  return Initializer(dtype, shape, [=](Graph& graph) {
    // The quantile function: of the normal distribution's values between -2 and 2 standard deviations, the one at a uniform probability.
    const double edge = std::erf(std::numbers::sqrt2);
    const DType compute = dtype == f64 ? f64 : f32;
    const Tensor z = inverse_erf(graph.random_uniform(compute, shape, {.low = -edge, .high = edge})) * std::numbers::sqrt2;
    return convert(clamp(z, -2, 2) * options.stddev + options.mean, dtype);
  });
}

Initializer xavier_uniform(DType dtype, const Shape& shape, double gain, FanLayout layout, std::source_location location) {
  const Fans f = fans(shape, layout, location);
  return symmetric(dtype, shape, gain * std::sqrt(6 / (f.in + f.out)));
}
Initializer xavier_normal(DType dtype, const Shape& shape, double gain, FanLayout layout, std::source_location location) {
  const Fans f = fans(shape, layout, location);
  return centred(dtype, shape, gain * std::sqrt(2 / (f.in + f.out)));
}
Initializer kaiming_uniform(DType dtype, const Shape& shape, double gain, FanLayout layout, std::source_location location) {
  return symmetric(dtype, shape, gain * std::sqrt(3 / fans(shape, layout, location).in));
}
Initializer kaiming_normal(DType dtype, const Shape& shape, double gain, FanLayout layout, std::source_location location) {
  return centred(dtype, shape, gain / std::sqrt(fans(shape, layout, location).in));
}

}  // namespace kiln

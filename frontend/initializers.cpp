// Initializers: graph programs that yield variables' first values.
#include "kiln/initializers.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

#include "kiln/linear_algebra.h"
#include "kiln/operators.h"
#include "kiln/random.h"

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
    return random_truncated_normal(graph, dtype, shape,
                                   {.mean = options.mean,
                                    .stddev = options.stddev,
                                    .low = options.mean - 2 * options.stddev,
                                    .high = options.mean + 2 * options.stddev});
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

Initializer variance_scaling(DType dtype, const Shape& shape, VarianceScalingOptions options, std::source_location location) {
  if (!(options.scale > 0))
    throw Error(ErrorCode::invalid_argument, fmt::format("variance_scaling: scale is {}", options.scale), location, "scale > 0");
  const Fans f = fans(shape, options.layout, location);
  const double fan = options.mode == FanMode::in ? f.in : options.mode == FanMode::out ? f.out : (f.in + f.out) / 2;
  const double stddev = std::sqrt(options.scale / std::max(fan, 1.0));
  switch (options.distribution) {
    case Distribution::uniform: return symmetric(dtype, shape, std::sqrt(3.0) * stddev);
    case Distribution::normal: return centred(dtype, shape, stddev);
    case Distribution::truncated_normal: break;
  }
  // The deviation of the normal distribution that is cut off at two deviations.
  constexpr double kept = 0.87962566103423978;
  return truncated_normal(dtype, shape, {.mean = 0, .stddev = stddev / kept});
}

Initializer identity(DType dtype, const Shape& shape, std::source_location location) {
  if (shape.rank() != 2)
    throw Error(ErrorCode::invalid_argument, fmt::format("identity: the shape is {}", to_string(shape)), location, "a matrix has rank 2");
  return Initializer(dtype, shape,
                     [=](Graph& graph) { return convert(equal(graph.iota(i64, shape, 0), graph.iota(i64, shape, 1)), dtype); });
}

Initializer dirac(DType dtype, const Shape& shape, std::int64_t groups, std::source_location location) {
  if (shape.rank() < 3 || groups < 1 || shape[0] % groups != 0)
    throw Error(ErrorCode::invalid_argument, fmt::format("dirac: the shape is {}, with {} groups", to_string(shape), groups), location,
                "[out, in / groups, kernel...], and the number of groups divides out");
  return Initializer(dtype, shape, [=](Graph& graph) {
    Tensor mask = equal(graph.iota(i64, shape, 0) % (shape[0] / groups), graph.iota(i64, shape, 1));
    for (std::size_t i = 2; i < shape.rank(); ++i)
      mask = logical_and(mask, equal(graph.iota(i64, shape, static_cast<std::int64_t>(i)), shape[i] / 2));
    return convert(mask, dtype);
  });
}

Initializer orthogonal(DType dtype, const Shape& shape, double gain, std::source_location location) {
  if (shape.rank() < 2)
    throw Error(ErrorCode::invalid_argument, fmt::format("orthogonal: the shape is {}", to_string(shape)), location,
                "a weight of rank 2 or more");
  const std::int64_t rows = shape[0], columns = rows == 0 ? 0 : shape.size() / rows;
  return Initializer(dtype, shape, [=](Graph& graph) {
    if (shape.size() == 0) return graph.zeros(dtype, shape);
    // The Q of a matrix of independent normal numbers; with R's diagonal made positive it is uniformly distributed (Mezzadri 2007).
    const DType compute = dtype == f64 ? f64 : f32;
    const bool wide = columns > rows;
    const QR factors = qr(graph.random_normal(compute, wide ? Shape{columns, rows} : Shape{rows, columns}));
    const std::int64_t n = std::min(rows, columns);
    const Tensor on_diagonal = equal(graph.iota(i64, {n, n}, 0), graph.iota(i64, {n, n}, 1));
    const Tensor diagonal = reduce_sum(select(on_diagonal, factors.r, 0), 0);
    const Tensor q = factors.q * select(less(diagonal, 0), -1.0, ones_like(diagonal));
    return convert(reshape(wide ? transpose(q) : q, shape) * gain, dtype);
  });
}

double gain_of(Nonlinearity nonlinearity, double slope) {
  switch (nonlinearity) {
    case Nonlinearity::linear:
    case Nonlinearity::sigmoid: return 1;
    case Nonlinearity::tanh: return 5.0 / 3;
    case Nonlinearity::relu: return std::numbers::sqrt2;
    case Nonlinearity::leaky_relu: return std::sqrt(2 / (1 + slope * slope));
    case Nonlinearity::selu: return 0.75;
  }
  return 1;
}

}  // namespace kiln

// Initializers: graph programs that yield variables' first values.
#include "kiln/initializers.h"

#include <fmt/format.h>
#include <cmath>

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

}  // namespace kiln

// What variables start from: small graph programs that Session::initialize() runs, random ones drawn from the session's seed and the
// variable's name.
#pragma once

#include <functional>

#include "kiln/graph.h"

namespace kiln {

/// How to compute a variable's first value. An own one is a function that builds it:
///   Initializer diagonal(f32, {8, 8}, [](Graph& g) { return convert(equal(g.iota(i64, {8, 8}, 0), g.iota(i64, {8, 8}, 1)), f32); });
class Initializer {
 public:
  using Build = std::function<Tensor(Graph&)>;
  /// `build` returns a tensor of this dtype and shape, made from nothing but the graph given to it.
  Initializer(DType dtype, Shape shape, Build build) : dtype_(dtype), shape_(std::move(shape)), build_(std::move(build)) {}
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  Tensor build(Graph& graph) const { return build_(graph); }

 private:
  DType dtype_;
  Shape shape_;
  Build build_;
};

Initializer zeros(DType dtype, const Shape& shape);
Initializer ones(DType dtype, const Shape& shape);
/// Every element is `value`.
Initializer constant(DType dtype, const Shape& shape, Scalar value);
/// Independent draws from [low, high) and from the normal distribution.
Initializer random_uniform(DType dtype, const Shape& shape, UniformOptions options = {});
Initializer random_normal(DType dtype, const Shape& shape, NormalOptions options = {});
/// The normal distribution restricted to two standard deviations around its mean.
Initializer truncated_normal(DType dtype, const Shape& shape, NormalOptions options = {});

/// Which axes of a weight its inputs and outputs run along. Further axes are a receptive field, which multiplies both. The weight has rank
/// 2 or more.
enum class FanLayout : std::uint8_t {
  out_in,  ///< [out, in, ...], as nn::Linear's weight
  in_out,  ///< [..., in, out], as the right operand of matmul
};

/// Glorot and Bengio 2010: variance 2 / (fan_in + fan_out).
Initializer xavier_uniform(DType dtype, const Shape& shape, double gain = 1, FanLayout layout = FanLayout::out_in,
                           std::source_location location = std::source_location::current());
Initializer xavier_normal(DType dtype, const Shape& shape, double gain = 1, FanLayout layout = FanLayout::out_in,
                          std::source_location location = std::source_location::current());
/// He et al. 2015 (arXiv:1502.01852): variance gain^2 / fan_in; the default gain is that of ReLU.
Initializer kaiming_uniform(DType dtype, const Shape& shape, double gain = 1.4142135623730951, FanLayout layout = FanLayout::out_in,
                            std::source_location location = std::source_location::current());
Initializer kaiming_normal(DType dtype, const Shape& shape, double gain = 1.4142135623730951, FanLayout layout = FanLayout::out_in,
                           std::source_location location = std::source_location::current());

/// Which fan divides the variance of variance_scaling().
enum class FanMode : std::uint8_t { in, out, average };
enum class Distribution : std::uint8_t { uniform, normal, truncated_normal };
struct VarianceScalingOptions {
  double scale = 1;
  FanMode mode = FanMode::in;
  Distribution distribution = Distribution::truncated_normal;
  FanLayout layout = FanLayout::out_in;
};
/// Variance scale / fan (tf.keras.initializers.VarianceScaling; LeCun's with the defaults). The truncated distribution is widened so that
/// its variance is that.
Initializer variance_scaling(DType dtype, const Shape& shape, VarianceScalingOptions options = {},
                             std::source_location location = std::source_location::current());
/// Ones on the diagonal of a matrix.
Initializer identity(DType dtype, const Shape& shape, std::source_location location = std::source_location::current());
/// For the weight of a convolution, [out, in / groups, kernel...] of rank 3 or more: as many input channels as possible pass unchanged.
Initializer dirac(DType dtype, const Shape& shape, std::int64_t groups = 1,
                  std::source_location location = std::source_location::current());
/// Orthogonal rows (or columns, where there are more rows) of length `gain`, uniformly distributed: Saxe et al. 2013 (arXiv:1312.6120).
/// Axes but the first count as one; rank 2 or more.
Initializer orthogonal(DType dtype, const Shape& shape, double gain = 1, std::source_location location = std::source_location::current());

/// The gain that keeps the variance through a nonlinearity, for the functions above (torch.nn.init.calculate_gain): 1 for linear maps and
/// sigmoid, 5/3 for tanh, sqrt(2) for relu, sqrt(2 / (1 + slope^2)) for leaky_relu, 3/4 for selu.
enum class Nonlinearity : std::uint8_t { linear, sigmoid, tanh, relu, leaky_relu, selu };
double gain_of(Nonlinearity nonlinearity, double slope = 0.01);

}  // namespace kiln

// Functions on tensors. Each appends operations to the graph of its operands and returns the new tensor.
//
// Operands are tensors or numbers. A number takes the dtype of the tensor that it meets. Two tensors must have one dtype (convert() changes
// it). Shapes combine as in NumPy: aligned at the right, an extent of 1 is repeated; a symbolic extent is never taken for 1. What does not
// fit together throws Error with both types and the caller's line.
#pragma once

#include <optional>

#include "kiln/activations.h"
#include "kiln/graph.h"

namespace kiln {

// ---- Arithmetic ---------------------------------------------------------------------------------------------------

Tensor operator+(const Operand& a, const Operand& b);
Tensor operator-(const Operand& a, const Operand& b);
Tensor operator*(const Operand& a, const Operand& b);
/// Integers: truncated towards zero, x / 0 = -1.
Tensor operator/(const Operand& a, const Operand& b);
/// The remainder with the sign of a; integers: x % 0 = x.
Tensor operator%(const Operand& a, const Operand& b);
Tensor operator-(const Operand& a);

Tensor add(const Operand& a, const Operand& b);
Tensor subtract(const Operand& a, const Operand& b);
Tensor multiply(const Operand& a, const Operand& b);
Tensor divide(const Operand& a, const Operand& b);
Tensor remainder(const Operand& a, const Operand& b);
Tensor negate(const Operand& a);
/// C's fmod: remainder() under NumPy's name.
Tensor fmod(const Operand& a, const Operand& b);
/// Python's // and %: the quotient towards minus infinity and the remainder with the sign of b. Integers: x // 0 = -1, x % 0 = x.
Tensor floor_divide(const Operand& a, const Operand& b);
Tensor floor_mod(const Operand& a, const Operand& b);
/// a to the power b. Integers wrap; a negative power of anything but 1 and -1 is 0.
Tensor power(const Operand& a, const Operand& b);
/// power() under C's, PyTorch's and TensorFlow's name.
Tensor pow(const Operand& a, const Operand& b);
/// (a - b)^2: tf.math.squared_difference.
Tensor squared_difference(const Operand& a, const Operand& b);
/// a + weight * (b - a): torch.lerp.
Tensor lerp(const Operand& a, const Operand& b, const Operand& weight);
/// The angle of the point (x = b, y = a), in (-pi, pi].
Tensor atan2(const Operand& a, const Operand& b);
/// The larger and the smaller of two; NaN when one is NaN.
Tensor maximum(const Operand& a, const Operand& b);
Tensor minimum(const Operand& a, const Operand& b);
/// x limited to low..high.
Tensor clamp(const Operand& x, const Operand& low, const Operand& high);
/// clamp() under NumPy's name.
Tensor clip(const Operand& x, const Operand& low, const Operand& high);

// ---- Bits ----------------------------------------------------------------------------------------------------------------

/// Of integers bit by bit, of bool tensors logical.
Tensor operator&(const Operand& a, const Operand& b);
Tensor operator|(const Operand& a, const Operand& b);
Tensor operator^(const Operand& a, const Operand& b);
Tensor operator~(const Operand& x);
/// Integers shifted by b bits; a negative or too large b gives 0, or copies of the sign when a negative number is shifted to the right.
Tensor operator<<(const Operand& a, const Operand& b);
/// Signed integers keep their sign, unsigned ones are filled with zeros.
Tensor operator>>(const Operand& a, const Operand& b);
Tensor bitwise_and(const Operand& a, const Operand& b);
Tensor bitwise_or(const Operand& a, const Operand& b);
Tensor bitwise_xor(const Operand& a, const Operand& b);
Tensor bitwise_not(const Operand& x);
Tensor left_shift(const Operand& a, const Operand& b);
Tensor right_shift(const Operand& a, const Operand& b);
/// The number of ones among the bits of an integer.
Tensor popcount(const Operand& x);
/// The number of zeros above the highest one among the bits of an integer.
Tensor count_leading_zeros(const Operand& x);
/// The bits of x as another dtype. To a narrower dtype a last dim for the parts appears, low bits first; to a wider one it goes away.
///   bitcast(x, i32)    // f32[3, 5] -> i32[3, 5]
///   bitcast(x, u8)     // f32[3, 5] -> u8[3, 5, 4]
Tensor bitcast(const Operand& x, DType dtype);
/// x rounded to a float format of so many bits, in its own dtype: reduce_precision(x, 8, 7) has the values of bf16, but denormals become 0.
/// The gradient is that of x.
Tensor reduce_precision(const Operand& x, std::int64_t exponent_bits, std::int64_t mantissa_bits);

// ---- Comparison and logic: results are bool --------------------------------------------------------------------------

/// Comparisons with NaN are false, but for not_equal.
Tensor equal(const Operand& a, const Operand& b);
Tensor not_equal(const Operand& a, const Operand& b);
Tensor less(const Operand& a, const Operand& b);
Tensor less_equal(const Operand& a, const Operand& b);
Tensor greater(const Operand& a, const Operand& b);
Tensor greater_equal(const Operand& a, const Operand& b);
/// The same as operators. There is no == and no !=, which C++ programs take to compare handles.
Tensor operator<(const Operand& a, const Operand& b);
Tensor operator<=(const Operand& a, const Operand& b);
Tensor operator>(const Operand& a, const Operand& b);
Tensor operator>=(const Operand& a, const Operand& b);
/// |a - b| <= absolute + relative * |b|, of floating tensors; equal infinities are close, NaN is not. numpy.isclose.
Tensor is_close(const Operand& a, const Operand& b, double relative = 1e-5, double absolute = 1e-8);
/// Of bool tensors.
Tensor logical_and(const Operand& a, const Operand& b);
Tensor logical_or(const Operand& a, const Operand& b);
Tensor logical_xor(const Operand& a, const Operand& b);
Tensor logical_not(const Operand& a);
/// Neither infinite nor NaN; NaN; infinite of either sign.
Tensor is_finite(const Operand& x);
Tensor is_nan(const Operand& x);
Tensor is_inf(const Operand& x);
/// Negative, -0 and NaN with a sign included.
Tensor sign_bit(const Operand& x);
/// a where mask is true, else b; the three are broadcast together.
Tensor select(const Operand& mask, const Operand& a, const Operand& b);
/// select() under NumPy's name.
Tensor where(const Operand& mask, const Operand& a, const Operand& b);
/// x with `value` where mask is true: torch.masked_fill.
///   masked_fill(scores, padding, -1e9)
Tensor masked_fill(const Operand& x, const Operand& mask, const Operand& value);

// ---- Functions, element by element -------------------------------------------------------------------------------------

Tensor abs(const Operand& x);
/// -1, 0 or 1; NaN stays NaN.
Tensor sign(const Operand& x);
Tensor floor(const Operand& x);
Tensor ceil(const Operand& x);
/// To the nearest integer, ties to even.
Tensor round(const Operand& x);
/// To the nearest integer, ties away from zero (C's round).
Tensor round_away(const Operand& x);
/// Towards zero.
Tensor trunc(const Operand& x);
/// x - trunc(x), with the sign of x; 0 of infinities.
Tensor frac(const Operand& x);
/// |a| with the sign of b.
Tensor copysign(const Operand& a, const Operand& b);
/// The float next to a in the direction of b; without a gradient.
Tensor next_after(const Operand& a, const Operand& b);
/// x with NaN and the infinities replaced; by default the infinities by the greatest and the lowest number of the dtype.
Tensor nan_to_num(const Operand& x, double nan = 0, std::optional<double> positive = std::nullopt,
                  std::optional<double> negative = std::nullopt);
/// 0 for x < 0, 1 for x > 0, at_zero at 0; NaN stays. x has no gradient.
Tensor heaviside(const Operand& x, const Operand& at_zero);
/// Of integers: the greatest common divisor and the least common multiple, not negative; gcd(0, 0) = lcm(0, x) = 0.
Tensor gcd(const Operand& a, const Operand& b);
Tensor lcm(const Operand& a, const Operand& b);
Tensor exp(const Operand& x);
/// exp(x) - 1, exact near 0.
Tensor expm1(const Operand& x);
Tensor log(const Operand& x);
/// log(1 + x), exact near 0.
Tensor log1p(const Operand& x);
Tensor sqrt(const Operand& x);
/// 1 / sqrt(x)
Tensor rsqrt(const Operand& x);
Tensor cbrt(const Operand& x);
Tensor sin(const Operand& x);
Tensor cos(const Operand& x);
Tensor tan(const Operand& x);
Tensor tanh(const Operand& x);
Tensor erf(const Operand& x);
/// x * x
Tensor square(const Operand& x);
/// 1 / x
Tensor reciprocal(const Operand& x);
/// x as another dtype. Float to integer truncates and saturates, NaN becomes 0; to bool: x != 0.
Tensor convert(const Operand& x, DType dtype);

/// max(0, x)
Tensor relu(const Operand& x);
/// x for x > 0, else slope * x.
Tensor leaky_relu(const Operand& x, double slope = 0.01);
/// x for x > 0, else alpha * (exp(x) - 1).
Tensor elu(const Operand& x, double alpha = 1);
/// x * Phi(x), with erf, or the tanh approximation of Hendrycks and Gimpel (arXiv:1606.08415).
Tensor gelu(const Operand& x, bool approximate = false);
/// 1 / (1 + exp(-x))
Tensor sigmoid(const Operand& x);
/// x * sigmoid(x)
Tensor silu(const Operand& x);

// ---- Reductions ----------------------------------------------------------------------------------------------------------

/// Axes to reduce: one, a list, or (by default) all. Negative ones count from the back.
class Axes {
 public:
  Axes() = default;
  Axes(int axis) : axes_{axis}, all_(false) {}
  Axes(std::int64_t axis) : axes_{axis}, all_(false) {}
  Axes(std::initializer_list<std::int64_t> axes) : axes_(axes), all_(axes.size() == 0) {}
  Axes(std::vector<std::int64_t> axes) : axes_(std::move(axes)), all_(false) {}
  bool all() const { return all_; }
  const std::vector<std::int64_t>& list() const { return axes_; }

 private:
  std::vector<std::int64_t> axes_;
  bool all_ = true;
};

/// With keep_dims a reduced axis stays with extent 1. Of no elements: the sum is 0, the product 1, the mean NaN, the maximum -inf (or the
/// smallest integer), all true, any false.
Tensor reduce_sum(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor reduce_mean(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor reduce_prod(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor reduce_max(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor reduce_min(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
/// Of bool tensors.
Tensor reduce_all(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor reduce_any(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
/// Index (i64) of the first (or last) largest or smallest element along an axis, which stays with extent 1 when keep_dims; NaN counts as
/// both. -1 where there is no element.
Tensor argmax(const Operand& x, std::int64_t axis = -1, bool keep_dims = false, bool last = false);
Tensor argmin(const Operand& x, std::int64_t axis = -1, bool keep_dims = false, bool last = false);

// ---- Products --------------------------------------------------------------------------------------------------------------

/// Matrix product as in NumPy: [..., m, k] x [..., k, n] -> [..., m, n], leading dims broadcast; a vector operand is a row (left) or a
/// column (right).
Tensor matmul(const Operand& a, const Operand& b);

// ---- Shape -------------------------------------------------------------------------------------------------------------------

/// Same elements in row-major order; one extent may be -1: what the others leave.
Tensor reshape(const Operand& x, const Dims& dims);
/// Dims from `first_axis` on become one.
Tensor flatten(const Operand& x, std::int64_t first_axis = 0);
/// All axes reversed; of a matrix, its transpose.
Tensor transpose(const Operand& x);
/// Result axis i is axis permutation[i] of x.
Tensor transpose(const Operand& x, const std::vector<std::int64_t>& permutation);
/// transpose() under PyTorch's name.
Tensor permute(const Operand& x, const std::vector<std::int64_t>& permutation);
/// A new axis of extent 1 at this place of the result.
Tensor expand_dims(const Operand& x, std::int64_t axis);
/// expand_dims() under PyTorch's name.
Tensor unsqueeze(const Operand& x, std::int64_t axis);
/// Without all axes of extent 1.
Tensor squeeze(const Operand& x);
/// Without this axis, whose extent is 1.
Tensor squeeze(const Operand& x, std::int64_t axis);
/// x repeated to these dims, as operands are.
Tensor broadcast_to(const Operand& x, const Dims& dims);
/// Elements starts[i], starts[i] + strides[i] ... below limits[i] of each axis; no strides: 1.
///   slice(x, {0, 2}, {batch, 4})
Tensor slice(const Operand& x, const Dims& starts, const Dims& limits, const std::vector<std::int64_t>& strides = {});
/// `low` elements of `value` before and `high` after each axis; negative ones crop.
Tensor pad(const Operand& x, const Dims& low, const Dims& high, const Operand& value = 0);
/// Order of elements turned around along axes.
Tensor reverse(const Operand& x, const Axes& axes);
/// Joined along an existing axis, on which alone the extents may differ.
Tensor concatenate(std::initializer_list<Tensor> parts, std::int64_t axis, std::source_location location = std::source_location::current());
Tensor concatenate(std::span<const Tensor> parts, std::int64_t axis, std::source_location location = std::source_location::current());
/// Tensors of one type joined along a new axis.
Tensor stack(std::initializer_list<Tensor> parts, std::int64_t axis = 0, std::source_location location = std::source_location::current());
Tensor stack(std::span<const Tensor> parts, std::int64_t axis = 0, std::source_location location = std::source_location::current());
/// Zeros, ones, or a number everywhere, of x's dtype and dims.
Tensor zeros_like(const Operand& x);
Tensor ones_like(const Operand& x);
Tensor full_like(const Operand& x, Scalar value);

// ---- Others --------------------------------------------------------------------------------------------------------------------

/// x, through which no gradient flows.
Tensor stop_gradient(const Operand& x);
/// Fails a run in which it takes part unless the bool scalar is true: Error(check_failed) with this message and line. A check takes part
/// where it is fetched (alone or in a group), and in a loop or branch body whenever the body runs. A failing run changes no variable.
Operation check(const Operand& condition, const std::string& message);

}  // namespace kiln

// ONNX, element by element: arithmetic, bits, comparisons, logic, activations, conversions.
#include "onnx.h"

namespace kiln::test {

namespace {

template <class F>
Row unary(const char* op, F function) {
  return {op, "plain", [function](const In& x) { return function(x[0]); }};
}
template <class F>
Row binary(const char* op, const char* variant, F function) {
  return {op, variant, [function](const In& x) { return function(x[0], x[1]); }};
}
/// Operators of any number of operands are folded from the left.
template <class F>
Tensor folded(const In& x, F function) {
  Tensor result = x[0];
  for (std::size_t i = 1; i < x.tensors.size(); ++i) result = function(result, x[i]);
  return result;
}
constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

Rows onnx_elementwise() {
  const auto add2 = [](const Tensor& a, const Tensor& b) { return a + b; };
  const auto max2 = [](const Tensor& a, const Tensor& b) { return maximum(a, b); };
  const auto min2 = [](const Tensor& a, const Tensor& b) { return minimum(a, b); };
  return {
      unary("Abs", [](const Tensor& x) { return abs(x); }),
      unary("Acos", [](const Tensor& x) { return acos(x); }),
      unary("Acosh", [](const Tensor& x) { return acosh(x); }),
      unary("Asin", [](const Tensor& x) { return asin(x); }),
      unary("Asinh", [](const Tensor& x) { return asinh(x); }),
      unary("Atan", [](const Tensor& x) { return atan(x); }),
      unary("Atanh", [](const Tensor& x) { return atanh(x); }),
      unary("Ceil", [](const Tensor& x) { return ceil(x); }),
      unary("Cos", [](const Tensor& x) { return cos(x); }),
      unary("Cosh", [](const Tensor& x) { return cosh(x); }),
      unary("Erf", [](const Tensor& x) { return erf(x); }),
      unary("Exp", [](const Tensor& x) { return exp(x); }),
      unary("Floor", [](const Tensor& x) { return floor(x); }),
      unary("HardSwish", [](const Tensor& x) { return hardswish(x); }),
      unary("Identity", [](const Tensor& x) { return x; }),
      unary("Log", [](const Tensor& x) { return log(x); }),
      unary("Mish", [](const Tensor& x) { return mish(x); }),
      unary("Neg", [](const Tensor& x) { return -x; }),
      unary("Reciprocal", [](const Tensor& x) { return reciprocal(x); }),
      unary("Relu", [](const Tensor& x) { return relu(x); }),
      unary("Sigmoid", [](const Tensor& x) { return sigmoid(x); }),
      unary("Sign", [](const Tensor& x) { return sign(x); }),
      unary("Sin", [](const Tensor& x) { return sin(x); }),
      unary("Sinh", [](const Tensor& x) { return sinh(x); }),
      unary("Softplus", [](const Tensor& x) { return softplus(x); }),
      unary("Softsign", [](const Tensor& x) { return softsign(x); }),
      unary("Sqrt", [](const Tensor& x) { return sqrt(x); }),
      unary("Tan", [](const Tensor& x) { return tan(x); }),
      unary("Tanh", [](const Tensor& x) { return tanh(x); }),
      {"Round", "ties", [](const In& x) { return round(x[0]); }},
      unary("IsNaN", [](const Tensor& x) { return is_nan(x); }),
      {"IsInf", "both", [](const In& x) { return is_inf(x[0]); }},
      {"IsInf", "positive", [](const In& x) { return equal(x[0], infinity); }},
      {"IsInf", "negative", [](const In& x) { return equal(x[0], -infinity); }},
      {"Celu", "alpha", [](const In& x) { return celu(x[0], 2); }},
      {"Elu", "alpha", [](const In& x) { return elu(x[0], 2); }},
      {"Selu", "default", [](const In& x) { return selu(x[0]); }},
      {"Selu", "constants", [](const In& x) { return 3.0 * elu(x[0], 2); }},
      {"Gelu", "none", [](const In& x) { return gelu(x[0]); }},
      {"Gelu", "tanh", [](const In& x) { return gelu(x[0], true); }},
      {"HardSigmoid", "default", [](const In& x) { return hardsigmoid(x[0], 0.2, 0.5); }},
      {"HardSigmoid", "constants", [](const In& x) { return hardsigmoid(x[0], 0.5, 0.6); }},
      {"LeakyRelu", "alpha", [](const In& x) { return leaky_relu(x[0], 0.1); }},
      {"ThresholdedRelu", "alpha", [](const In& x) { return thresholded_relu(x[0], 0.5); }},
      {"Swish", "alpha", [](const In& x) { return swish(x[0], 1.5); }},
      {"SwiGLU", "default", [](const In& x) { return silu(x[0]) * x[1]; }},
      {"SwiGLU", "alpha", [](const In& x) { return swish(x[0], 1.5) * x[1]; }},
      {"Shrink", "lambda", [](const In& x) { return shrink(x[0], 1); }},
      {"Shrink", "bias", [](const In& x) { return shrink(x[0], 1, 1); }},
      {"PRelu", "one", [](const In& x) { return prelu(x[0], reshape(x[1], {})); }},
      {"PRelu", "channels", [](const In& x) { return prelu(x[0], x[1]); }},
      {"Clip", "both", [](const In& x) { return clamp(x[0], x[1], x[2]); }},
      {"Clip", "low", [](const In& x) { return maximum(x[0], x[1]); }},
      {"Clip", "high", [](const In& x) { return minimum(x[0], x[1]); }},
      {"Clip", "none", [](const In& x) { return x[0]; }},
      {"Clip", "integers", [](const In& x) { return clamp(x[0], x[1], x[2]); }},
      binary("Add", "broadcast", add2),
      binary("Add", "integers", add2),
      binary("Sub", "broadcast", [](const Tensor& a, const Tensor& b) { return a - b; }),
      binary("Sub", "integers", [](const Tensor& a, const Tensor& b) { return a - b; }),
      binary("Mul", "broadcast", [](const Tensor& a, const Tensor& b) { return a * b; }),
      binary("Div", "broadcast", [](const Tensor& a, const Tensor& b) { return a / b; }),
      binary("Div", "integers", [](const Tensor& a, const Tensor& b) { return a / b; }),
      binary("Max", "broadcast", max2),
      binary("Max", "nan", max2),
      {"Max", "many", [=](const In& x) { return folded(x, max2); }},
      {"Max", "one", [=](const In& x) { return folded(x, max2); }},
      binary("Min", "broadcast", min2),
      {"Min", "many", [=](const In& x) { return folded(x, min2); }},
      {"Sum", "many", [=](const In& x) { return folded(x, add2); }},
      {"Mean", "many", [=](const In& x) { return folded(x, add2) / static_cast<double>(x.tensors.size()); }},
      binary("Mod", "floor", [](const Tensor& a, const Tensor& b) { return floor_mod(a, b); }),
      binary("Mod", "fmod", [](const Tensor& a, const Tensor& b) { return fmod(a, b); }),
      binary("Mod", "unsigned", [](const Tensor& a, const Tensor& b) { return floor_mod(a, b); }),
      binary("Pow", "broadcast", [](const Tensor& a, const Tensor& b) { return power(a, b); }),
      binary("Pow", "dtypes", [](const Tensor& a, const Tensor& b) { return power(a, convert(b, a.dtype())); }),
      binary("Pow", "integers", [](const Tensor& a, const Tensor& b) { return power(a, b); }),
      binary("BitShift", "left", [](const Tensor& a, const Tensor& b) { return a << b; }),
      binary("BitShift", "right", [](const Tensor& a, const Tensor& b) { return a >> b; }),
      binary("BitwiseAnd", "broadcast", [](const Tensor& a, const Tensor& b) { return a & b; }),
      binary("BitwiseOr", "broadcast", [](const Tensor& a, const Tensor& b) { return a | b; }),
      binary("BitwiseXor", "broadcast", [](const Tensor& a, const Tensor& b) { return a ^ b; }),
      unary("BitwiseNot", [](const Tensor& x) { return ~x; }),
      binary("And", "broadcast", [](const Tensor& a, const Tensor& b) { return logical_and(a, b); }),
      binary("Or", "broadcast", [](const Tensor& a, const Tensor& b) { return logical_or(a, b); }),
      binary("Xor", "broadcast", [](const Tensor& a, const Tensor& b) { return logical_xor(a, b); }),
      unary("Not", [](const Tensor& x) { return logical_not(x); }),
      binary("Equal", "broadcast", [](const Tensor& a, const Tensor& b) { return equal(a, b); }),
      binary("Equal", "bool", [](const Tensor& a, const Tensor& b) { return equal(a, b); }),
      binary("Greater", "broadcast", [](const Tensor& a, const Tensor& b) { return greater(a, b); }),
      binary("GreaterOrEqual", "broadcast", [](const Tensor& a, const Tensor& b) { return greater_equal(a, b); }),
      binary("Less", "broadcast", [](const Tensor& a, const Tensor& b) { return less(a, b); }),
      binary("LessOrEqual", "broadcast", [](const Tensor& a, const Tensor& b) { return less_equal(a, b); }),
      {"Where", "broadcast", [](const In& x) { return where(x[0], x[1], x[2]); }},
      {"Cast", "truncates", [](const In& x) { return convert(x[0], i32); }},
      {"Cast", "bool", [](const In& x) { return convert(x[0], boolean); }},
      {"Cast", "half", [](const In& x) { return convert(x[0], f16); }},
      {"Cast", "wraps", [](const In& x) { return convert(x[0], u8); }},
      {"CastLike", "plain", [](const In& x) { return convert(x[0], x[1].dtype()); }},
      {"BitCast", "same_width", [](const In& x) { return bitcast(x[0], i32); }},
      {"Dropout", "inference", [](const In& x) { return x[0]; }},
  };
}

}  // namespace kiln::test

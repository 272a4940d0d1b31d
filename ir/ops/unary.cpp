// Elementwise ops of one operand.
//
// Functions (exp, sin ...) are evaluated in double and rounded to the dtype once (f64 as the C library does it), so the reference is the
// nearest value but for the rarest ties, and a loop's tolerance is a bound on its own error.
#include <cmath>
#include <numbers>

#include "ir/builder.h"
#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

// ---- evaluation

/// A function of the C library in double, rounded to the dtype (f16 and bf16 by way of f32).
template <double (*function)(double)>
std::vector<Array> evaluate_function(const EvaluateContext& context) {
  return map_unary<floats>(context, []<class T>(T x) { return static_cast<T>(function(static_cast<double>(x))); });
}

double logistic(double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }

std::vector<Array> evaluate_negate(const EvaluateContext& context) {
  return map_unary<numbers>(context, []<class T>(T x) {
    if constexpr (std::is_floating_point_v<T>)
      return -x;
    else
      return wrapping_subtract(T{0}, x);
  });
}

std::vector<Array> evaluate_abs(const EvaluateContext& context) {
  return map_unary<numbers>(context, []<class T>(T x) {
    if constexpr (std::is_floating_point_v<T>)
      return std::fabs(x);
    else
      return x < 0 ? wrapping_subtract(T{0}, x) : x;
  });
}

std::vector<Array> evaluate_sign(const EvaluateContext& context) {
  return map_unary<numbers>(context, []<class T>(T x) { return x > 0 ? T{1} : x < 0 ? static_cast<T>(-1) : x; });
}

std::vector<Array> evaluate_floor(const EvaluateContext& context) {
  return map_unary<floats>(context, [](auto x) { return std::floor(x); });
}

std::vector<Array> evaluate_ceil(const EvaluateContext& context) {
  return map_unary<floats>(context, [](auto x) { return std::ceil(x); });
}

std::vector<Array> evaluate_round_nearest_even(const EvaluateContext& context) {
  return map_unary<floats>(context, []<class T>(T x) {
    // Not std::nearbyint: that follows the thread's rounding mode.
    const T down = std::floor(x), rest = x - down;
    const T rounded = rest > T(0.5) || (rest == T(0.5) && std::fmod(down, T(2)) != 0) ? down + 1 : down;
    return rest == 0 || x != x || std::isinf(x) ? x : std::copysign(rounded, x);
  });
}

std::vector<Array> evaluate_sqrt(const EvaluateContext& context) {
  return map_unary<floats>(context, [](auto x) { return std::sqrt(x); });
}

std::vector<Array> evaluate_rsqrt(const EvaluateContext& context) {
  return map_unary<floats>(context, []<class T>(T x) { return T{1} / std::sqrt(x); });
}

std::vector<Array> evaluate_logical_not(const EvaluateContext& context) {
  return map_unary < bool_dtype | integers > (context, []<class T>(T x) {
                                    if constexpr (std::is_same_v<T, bool>)
                                      return !x;
                                    else
                                      return static_cast<T>(~x);
                                  });
}

std::vector<Array> evaluate_is_finite(const EvaluateContext& context) {
  Array result(DType::boolean, context.result_shapes[0]);
  const auto out = result.mutable_data<bool>();
  visit_allowed<floats>(context.operands[0].dtype(), [&]<class T>(T) {
    const auto x = context.operands[0].data<T>();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::isfinite(static_cast<Compute<T>>(x[i]));
  });
  return {result};
}

std::vector<Array> evaluate_convert(const EvaluateContext& context) { return {context.operands[0].convert(context.result_dtypes[0])}; }

// ---- gradients: g is the cotangent, x the operand, r the result

void gradient_negate(GradientContext& c) { c.add(0, c.builder().negate(c.cotangent())); }

void gradient_abs(GradientContext& c) {
  Builder& b = c.builder();
  c.add(0, b.multiply(c.cotangent(), b.create(Op::sign, {c.operand(0)})));
}

void gradient_exp(GradientContext& c) { c.add(0, c.builder().multiply(c.cotangent(), c.result())); }

/// e^x, not r + 1: for x far below 0 the sum would have no digits left.
void gradient_expm1(GradientContext& c) {
  Builder& b = c.builder();
  c.add(0, b.multiply(c.cotangent(), b.create(Op::exp, {c.operand(0)})));
}

void gradient_log(GradientContext& c) { c.add(0, c.builder().divide(c.cotangent(), c.operand(0))); }

void gradient_log1p(GradientContext& c) {
  Builder& b = c.builder();
  const ValueId x = c.operand(0);
  c.add(0, b.divide(c.cotangent(), b.add(x, b.splat(1, b.type(x)))));
}

/// g * 0.5 / r
void gradient_sqrt(GradientContext& c) {
  Builder& b = c.builder();
  const ValueId r = c.result();
  c.add(0, b.divide(b.multiply(c.cotangent(), b.splat(0.5, b.type(r))), r));
}

/// g * -0.5 * r^3
void gradient_rsqrt(GradientContext& c) {
  Builder& b = c.builder();
  const ValueId r = c.result();
  c.add(0, b.multiply(c.cotangent(), b.multiply(b.splat(-0.5, b.type(r)), b.multiply(r, b.multiply(r, r)))));
}

/// g / (3 r^2)
void gradient_cbrt(GradientContext& c) {
  Builder& b = c.builder();
  const ValueId r = c.result();
  c.add(0, b.divide(c.cotangent(), b.multiply(b.splat(3, b.type(r)), b.multiply(r, r))));
}

/// g * (1 - r^2)
void gradient_tanh(GradientContext& c) {
  Builder& b = c.builder();
  const ValueId r = c.result();
  c.add(0, b.multiply(c.cotangent(), b.subtract(b.splat(1, b.type(r)), b.multiply(r, r))));
}

/// g * r * (1 - r)
void gradient_logistic(GradientContext& c) {
  Builder& b = c.builder();
  const ValueId r = c.result();
  c.add(0, b.multiply(c.cotangent(), b.multiply(r, b.subtract(b.splat(1, b.type(r)), r))));
}

/// g * 2/sqrt(pi) * e^(-x^2)
void gradient_erf(GradientContext& c) {
  Builder& b = c.builder();
  const ValueId x = c.operand(0);
  const ValueId bell = b.create(Op::exp, {b.negate(b.multiply(x, x))});
  c.add(0, b.multiply(c.cotangent(), b.multiply(b.splat(2 * std::numbers::inv_sqrtpi, b.type(x)), bell)));
}

void gradient_sin(GradientContext& c) {
  Builder& b = c.builder();
  c.add(0, b.multiply(c.cotangent(), b.create(Op::cos, {c.operand(0)})));
}

void gradient_cos(GradientContext& c) {
  Builder& b = c.builder();
  c.add(0, b.negate(b.multiply(c.cotangent(), b.create(Op::sin, {c.operand(0)}))));
}

/// g * (1 + r^2)
void gradient_tan(GradientContext& c) {
  Builder& b = c.builder();
  const ValueId r = c.result();
  c.add(0, b.multiply(c.cotangent(), b.add(b.splat(1, b.type(r)), b.multiply(r, r))));
}

/// Between floats the cotangent is converted back; integers and bool end the flow.
void gradient_convert(GradientContext& c) {
  Builder& b = c.builder();
  const DType from = b.type(c.operand(0)).dtype, to = b.type(c.result()).dtype;
  if (is_floating(from) && is_floating(to)) c.add(0, b.convert(c.cotangent(), from));
}

// ---- lowering

ScalarId element_sign(ScalarBuilder& b, const Node&, std::size_t, std::span<const Dim> index) {
  const DType dtype = b.result_type().dtype;
  const ScalarId x = b.operand(0, index), zero = b.constant(Literal::of(dtype, 0));
  const ScalarId negative =
      is_unsigned_integer(dtype)
          ? x
          : b.apply(LoopOp::select, dtype, {b.compare(Comparison::lt, x, zero), b.constant(Literal::of(dtype, -1)), x});
  return b.apply(LoopOp::select, dtype, {b.compare(Comparison::gt, x, zero), b.constant(Literal::of(dtype, 1)), negative});
}

/// Both steps in f32 for f16 and bf16, which round once per op.
ScalarId element_rsqrt(ScalarBuilder& b, const Node&, std::size_t, std::span<const Dim> index) {
  const DType dtype = b.result_type().dtype;
  const bool half = dtype == DType::f16 || dtype == DType::bf16;
  const DType wide = half ? DType::f32 : dtype;
  const ScalarId x = b.operand(0, index);
  const ScalarId root = b.apply(LoopOp::sqrt, wide, {half ? b.apply(LoopOp::convert, wide, {x}) : x});
  const ScalarId result = b.apply(LoopOp::divide, wide, {b.constant(Literal::of(wide, 1)), root});
  return half ? b.apply(LoopOp::convert, dtype, {result}) : result;
}

ScalarId element_is_finite(ScalarBuilder& b, const Node&, std::size_t, std::span<const Dim> index) {
  const DType dtype = b.operand_type(0).dtype;
  const ScalarId magnitude = b.apply(LoopOp::abs, dtype, {b.operand(0, index)});
  return b.compare(Comparison::lt, magnitude, b.constant(Literal::of(dtype, std::numeric_limits<double>::infinity())));
}

ScalarId element_convert(ScalarBuilder& b, const Node&, std::size_t, std::span<const Dim> index) {
  const ScalarId x = b.operand(0, index);
  const DType to = b.result_type().dtype;
  return b.operand_type(0).dtype == to ? x : b.apply(LoopOp::convert, to, {x});
}

// ---- inference and samples of convert and the trigonometric functions

std::vector<Type> infer_convert(const InferContext& context) {
  Type type = tensor(context, 0);
  type.dtype = context.attributes.dtype("dtype");
  return {type};
}

std::vector<Sample> samples_convert(Op) {
  // Just beyond half-way between two values of f16 and of bf16, by less than f32 can tell: rounding twice would go down.
  std::vector<double> special = special_values();
  for (const double value : {1.00048828125 + 0x1p-40, 1.00390625 + 0x1p-40, 0x1p-25 + 0x1p-60, 0x1p-134 + 0x1p-180, 16842753.0,
                             4311744513.0, 1130297953353729.0, 65519.999999999, 3.4e38, 127.9, 128.5, 255.9, 32767.5, 65535.5, 2147483647.5,
                             4294967295.5, 9.223372036854775e18, 1.8446744073709552e19})
    special.insert(special.end(), {value, -value});
  std::vector<Sample> all;
  for (int to = 0; to < dtype_count; ++to)
    for (Sample sample : unary_samples(-100, 100, special)) {
      sample.attributes = {{"dtype", static_cast<DType>(to)}};
      // To an integer or bool the function is a staircase, and in fewer digits than f64 differences mean nothing.
      sample.differentiable = sample.differentiable && static_cast<DType>(to) == DType::f64;
      all.push_back(std::move(sample));
    }
  return all;
}

std::vector<Sample> samples_trigonometric(Op) { return unary_samples(-1.25, 1.25, special_values_within(1e4)); }
std::vector<Sample> samples_log1p(Op) { return unary_samples(-0.75, 4, special_values()); }

/// ULPs that the polynomials of the loop IR and the C library's f64 may be apart.
constexpr double function_tolerance = 4;

constexpr AttributeSpec convert_attributes[] = {{"dtype", AttributeKind::dtype, "of the result"}};
}  // namespace

// Entries differ in few fields; those of all: one operand, its shape.

template <>
constinit const OpInfo OpEntry<Op::negate>::info = {
    .name = "negate",
    .doc = "-x. Integers wrap: -MIN is MIN; floats: the sign bit is flipped.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = numbers,
    .infer = infer_same,
    .evaluate = evaluate_negate,
    .gradient = gradient_negate,
    .element = element_loop_op,
    .samples = samples_unary,
    .elementwise = true,
    .loop_op = LoopOp::negate,
};

template <>
constinit const OpInfo OpEntry<Op::abs>::info = {
    .name = "abs",
    .doc = "|x|. |MIN| of an integer is MIN; floats: the sign bit is cleared. The gradient at 0 is 0.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = numbers,
    .infer = infer_same,
    .evaluate = evaluate_abs,
    .gradient = gradient_abs,
    .element = element_loop_op,
    .samples = samples_unary,
    .elementwise = true,
    .loop_op = LoopOp::abs,
};

template <>
constinit const OpInfo OpEntry<Op::sign>::info = {
    .name = "sign",
    .doc = "1 for x > 0, -1 for x < 0, else x itself: zeros keep their sign, NaN stays.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = numbers,
    .infer = infer_same,
    .evaluate = evaluate_sign,
    .gradient = gradient_zero,
    .element = element_sign,
    .samples = samples_unary,
    .elementwise = true,
};

template <>
constinit const OpInfo OpEntry<Op::floor>::info = {
    .name = "floor",
    .doc = "The largest integer not above x.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_floor,
    .gradient = gradient_zero,
    .element = element_loop_op,
    .samples = samples_unary,
    .elementwise = true,
    .loop_op = LoopOp::floor,
};

template <>
constinit const OpInfo OpEntry<Op::ceil>::info = {
    .name = "ceil",
    .doc = "The smallest integer not below x.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_ceil,
    .gradient = gradient_zero,
    .element = element_loop_op,
    .samples = samples_unary,
    .elementwise = true,
    .loop_op = LoopOp::ceil,
};

template <>
constinit const OpInfo OpEntry<Op::round_nearest_even>::info = {
    .name = "round_nearest_even",
    .doc = "The nearest integer; ties go to the even one. Zeros keep their sign.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_round_nearest_even,
    .gradient = gradient_zero,
    .element = element_loop_op,
    .samples = samples_unary,
    .elementwise = true,
    .loop_op = LoopOp::round_nearest_even,
};

template <>
constinit const OpInfo OpEntry<Op::exp>::info = {
    .name = "exp",
    .doc = "e^x: 0 at -inf, inf at inf.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_function<std::exp>,
    .gradient = gradient_exp,
    .element = element_loop_op,
    .samples = samples_unary,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::exp,
};

template <>
constinit const OpInfo OpEntry<Op::expm1>::info = {
    .name = "expm1",
    .doc = "e^x - 1, exact to the last digits near 0.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_function<std::expm1>,
    .gradient = gradient_expm1,
    .element = element_loop_op,
    .samples = samples_unary,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::expm1,
};

template <>
constinit const OpInfo OpEntry<Op::log>::info = {
    .name = "log",
    .doc = "The natural logarithm: -inf at zeros, NaN below.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_function<std::log>,
    .gradient = gradient_log,
    .element = element_loop_op,
    .samples = samples_positive,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::log,
};

template <>
constinit const OpInfo OpEntry<Op::log1p>::info = {
    .name = "log1p",
    .doc = "log(1 + x), exact to the last digits near 0.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_function<std::log1p>,
    .gradient = gradient_log1p,
    .element = element_loop_op,
    .samples = samples_log1p,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::log1p,
};

template <>
constinit const OpInfo OpEntry<Op::sqrt>::info = {
    .name = "sqrt",
    .doc = "The square root, correctly rounded: -0 at -0, NaN below.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_sqrt,
    .gradient = gradient_sqrt,
    .element = element_loop_op,
    .samples = samples_positive,
    .elementwise = true,
    .loop_op = LoopOp::sqrt,
};

template <>
constinit const OpInfo OpEntry<Op::rsqrt>::info = {
    .name = "rsqrt",
    .doc = "1 / sqrt(x), both steps correctly rounded.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_rsqrt,
    .gradient = gradient_rsqrt,
    .element = element_rsqrt,
    .samples = samples_positive,
    .elementwise = true,
};

template <>
constinit const OpInfo OpEntry<Op::cbrt>::info = {
    .name = "cbrt",
    .doc = "The cube root, of negative numbers too.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_function<std::cbrt>,
    .gradient = gradient_cbrt,
    .element = element_loop_op,
    .samples = samples_positive,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::cbrt,
};

template <>
constinit const OpInfo OpEntry<Op::tanh>::info = {
    .name = "tanh",
    .doc = "The hyperbolic tangent.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_function<std::tanh>,
    .gradient = gradient_tanh,
    .element = element_loop_op,
    .samples = samples_unary,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::tanh,
};

template <>
constinit const OpInfo OpEntry<Op::logistic>::info = {
    .name = "logistic",
    .doc = "1 / (1 + e^-x).",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_function<logistic>,
    .gradient = gradient_logistic,
    .element = element_loop_op,
    .samples = samples_unary,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::logistic,
};

template <>
constinit const OpInfo OpEntry<Op::erf>::info = {
    .name = "erf",
    .doc = "The error function 2/sqrt(pi) * integral of e^(-t^2) from 0 to x.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_function<std::erf>,
    .gradient = gradient_erf,
    .element = element_loop_op,
    .samples = samples_unary,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::erf,
};

template <>
constinit const OpInfo OpEntry<Op::sin>::info = {
    .name = "sin",
    .doc = "The sine of x in radians; NaN at infinities.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_function<std::sin>,
    .gradient = gradient_sin,
    .element = element_loop_op,
    .samples = samples_trigonometric,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::sin,
};

template <>
constinit const OpInfo OpEntry<Op::cos>::info = {
    .name = "cos",
    .doc = "The cosine of x in radians; NaN at infinities.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_function<std::cos>,
    .gradient = gradient_cos,
    .element = element_loop_op,
    .samples = samples_trigonometric,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::cos,
};

template <>
constinit const OpInfo OpEntry<Op::tan>::info = {
    .name = "tan",
    .doc = "The tangent of x in radians; NaN at infinities.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_function<std::tan>,
    .gradient = gradient_tan,
    .element = element_loop_op,
    .samples = samples_trigonometric,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::tan,
};

template <>
constinit const OpInfo OpEntry<Op::is_finite>::info = {
    .name = "is_finite",
    .doc = "True unless x is NaN or infinite.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_predicate,
    .evaluate = evaluate_is_finite,
    .no_gradient = boolean_result,
    .element = element_is_finite,
    .samples = samples_unary,
    .elementwise = true,
};

template <>
constinit const OpInfo OpEntry<Op::not_>::info = {
    .name = "not",
    .doc = "Not x; integers: every bit is flipped.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = bool_dtype | integers,
    .infer = infer_same,
    .evaluate = evaluate_logical_not,
    .no_gradient = "its operand is not a floating tensor",
    .element = element_loop_op,
    .samples = samples_unary,
    .elementwise = true,
    .loop_op = LoopOp::not_,
};

template <>
constinit const OpInfo OpEntry<Op::convert>::info = {
    .name = "convert",
    .doc =
        "x in another dtype. Float to integer truncates and saturates, NaN becomes 0; integer to integer wraps; to a float rounds to "
        "nearest, ties to even; to bool: x != 0.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = convert_attributes,
    .dtypes = all_dtypes,
    .infer = infer_convert,
    .evaluate = evaluate_convert,
    .gradient = gradient_convert,
    .element = element_convert,
    .samples = samples_convert,
    .elementwise = true,
};

}  // namespace kiln::ir

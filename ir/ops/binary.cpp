// Elementwise ops of two and three operands. All have one shape: broadcasting is its own op, except that the mask of select and the bounds
// of clamp may be scalars.
//
// Bool is a number of one bit here as in StableHLO: add and maximum are "or", multiply and minimum are "and".
//
// The total order of floats (compare with total_order; IEEE 754-2019, 5.10) is -NaN < -inf < ... < -0 < +0 < ... < inf < NaN: that of the
// bits read as sign and magnitude, or as signed integers once the lower bits of negative ones are flipped.
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

// ---- evaluation

std::vector<Array> evaluate_add(const EvaluateContext& context) {
  return map_binary<all_dtypes>(context, []<class T>(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return a + b;
    else
      return wrapping_add(a, b);
  });
}

std::vector<Array> evaluate_subtract(const EvaluateContext& context) {
  return map_binary<numbers>(context, []<class T>(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return a - b;
    else
      return wrapping_subtract(a, b);
  });
}

std::vector<Array> evaluate_multiply(const EvaluateContext& context) {
  return map_binary<all_dtypes>(context, []<class T>(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return a * b;
    else
      return wrapping_multiply(a, b);
  });
}

std::vector<Array> evaluate_divide(const EvaluateContext& context) {
  return map_binary<numbers>(context, []<class T>(T a, T b) -> T {
    if constexpr (std::is_floating_point_v<T>)
      return a / b;
    else if (b == 0)
      return static_cast<T>(-1);
    else if (std::is_signed_v<T> && b == static_cast<T>(-1))
      return wrapping_subtract(T{0}, a);
    else
      return static_cast<T>(a / b);
  });
}

std::vector<Array> evaluate_remainder(const EvaluateContext& context) {
  return map_binary<numbers>(context, []<class T>(T a, T b) -> T {
    if constexpr (std::is_floating_point_v<T>)
      return std::fmod(a, b);
    else if (b == 0)
      return a;
    else if (std::is_signed_v<T> && b == static_cast<T>(-1))
      return 0;
    else
      return static_cast<T>(a % b);
  });
}

/// a^b = (a^(b/2))^2, times a when b is odd. A negative power of anything but 1 and -1 is 1 / a^-b truncated: 0; that of 0 is 0 too.
template <class T>
T power_of_integer(T a, T b) {
  if constexpr (std::is_signed_v<T>)
    if (b < 0) return a == 1 ? T{1} : a == T(-1) ? (b % 2 != 0 ? T(-1) : T{1}) : T{0};
  if (b == 0) return 1;
  const T half = power_of_integer(a, static_cast<T>(b / 2));
  const T even = wrapping_multiply(half, half);
  return b % 2 != 0 ? wrapping_multiply(even, a) : even;
}

std::vector<Array> evaluate_power(const EvaluateContext& context) {
  return map_binary<numbers>(context, []<class T>(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return static_cast<T>(std::pow(static_cast<double>(a), static_cast<double>(b)));
    else
      return power_of_integer(a, b);
  });
}

std::vector<Array> evaluate_atan2(const EvaluateContext& context) {
  return map_binary<floats>(context,
                            []<class T>(T a, T b) { return static_cast<T>(std::atan2(static_cast<double>(a), static_cast<double>(b))); });
}

std::vector<Array> evaluate_maximum(const EvaluateContext& context) {
  return map_binary<all_dtypes>(context, []<class T>(T a, T b) { return reference_maximum(a, b); });
}

std::vector<Array> evaluate_minimum(const EvaluateContext& context) {
  return map_binary<all_dtypes>(context, []<class T>(T a, T b) { return reference_minimum(a, b); });
}

std::vector<Array> evaluate_logical_and(const EvaluateContext& context) {
  return map_binary < bool_dtype | integers > (context, []<class T>(T a, T b) { return static_cast<T>(a & b); });
}

std::vector<Array> evaluate_logical_or(const EvaluateContext& context) {
  return map_binary < bool_dtype | integers > (context, []<class T>(T a, T b) { return static_cast<T>(a | b); });
}

std::vector<Array> evaluate_logical_xor(const EvaluateContext& context) {
  return map_binary < bool_dtype | integers > (context, []<class T>(T a, T b) { return static_cast<T>(a ^ b); });
}

template <class T>
bool shift_in_range(T amount) {
  return !(amount < 0) && static_cast<std::uint64_t>(amount) < 8 * sizeof(T);
}

std::vector<Array> evaluate_shift_left(const EvaluateContext& context) {
  return map_binary<integers>(
      context, []<class T>(T a, T b) { return shift_in_range(b) ? static_cast<T>(static_cast<std::uint64_t>(a) << b) : T{0}; });
}

std::vector<Array> evaluate_shift_right_logical(const EvaluateContext& context) {
  return map_binary<integers>(
      context, []<class T>(T a, T b) { return shift_in_range(b) ? static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) >> b) : T{0}; });
}

std::vector<Array> evaluate_shift_right_arithmetic(const EvaluateContext& context) {
  return map_binary<integers>(context, []<class T>(T a, T b) {
    const auto as_signed = static_cast<std::int64_t>(static_cast<std::make_signed_t<T>>(a));
    return static_cast<T>(as_signed >> (shift_in_range(b) ? static_cast<int>(b) : static_cast<int>(8 * sizeof(T) - 1)));
  });
}

template <class T>
bool holds(Comparison comparison, T a, T b) {
  switch (comparison) {
    case Comparison::eq: return a == b;
    case Comparison::ne: return a != b;
    case Comparison::lt: return a < b;
    case Comparison::le: return a <= b;
    case Comparison::gt: return a > b;
    case Comparison::ge: break;
  }
  return a >= b;
}

bool is_total(const Attributes& attributes) { return attributes.find("total_order") && attributes.flag("total_order"); }

/// Place of a float in the total order.
template <class T>
std::int64_t total_place(T value) {
  using Bits = std::conditional_t<sizeof(T) == 2, std::uint16_t, std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;
  const Bits bits = std::bit_cast<Bits>(value);
  constexpr Bits sign = Bits{1} << (8 * sizeof(T) - 1);
  const auto magnitude = static_cast<std::int64_t>(bits & ~sign);
  return bits & sign ? -1 - magnitude : magnitude;
}

std::vector<Array> evaluate_compare(const EvaluateContext& context) {
  const bool total = is_total(context.attributes);
  const Comparison comparison = *comparison_from_name(context.attributes.text("direction"));
  Array result(DType::boolean, context.result_shapes[0]);
  const auto out = result.mutable_data<bool>();
  visit_dtype(context.operands[0].dtype(), [&]<class T>(T) {
    const auto a = context.operands[0].data<T>();
    const auto b = context.operands[1].data<T>();
    for (std::size_t i = 0; i < out.size(); ++i) {
      if constexpr (std::is_floating_point_v<Compute<T>>)
        if (total) {
          out[i] = holds(comparison, total_place(a[i]), total_place(b[i]));
          continue;
        }
      out[i] = holds(comparison, static_cast<Compute<T>>(a[i]), static_cast<Compute<T>>(b[i]));
    }
  });
  return {result};
}

std::vector<Array> evaluate_select(const EvaluateContext& context) {
  const auto mask = context.operands[0].data<bool>();
  const bool one_mask = context.operands[0].shape().rank() == 0;
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  visit_dtype(context.result_dtypes[0], [&]<class T>(T) {
    const auto a = context.operands[1].data<T>();
    const auto b = context.operands[2].data<T>();
    const auto out = result.mutable_data<T>();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = mask[one_mask ? 0 : i] ? a[i] : b[i];
  });
  return {result};
}

std::vector<Array> evaluate_clamp(const EvaluateContext& context) {
  const bool one_low = context.operands[0].shape().rank() == 0, one_high = context.operands[2].shape().rank() == 0;
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  visit_dtype(context.result_dtypes[0], [&]<class T>(T) {
    using C = Compute<T>;
    const auto low = context.operands[0].data<T>();
    const auto x = context.operands[1].data<T>();
    const auto high = context.operands[2].data<T>();
    const auto out = result.mutable_data<T>();
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<T>(reference_minimum(reference_maximum(static_cast<C>(x[i]), static_cast<C>(low[one_low ? 0 : i])),
                                                static_cast<C>(high[one_high ? 0 : i])));
  });
  return {result};
}

// ---- inference

std::vector<Type> infer_compare(const InferContext& context) {
  if (const std::string& direction = context.attributes.text("direction"); !comparison_from_name(direction))
    fail(context, ErrorCode::invalid_argument, fmt::format("there is no comparison \"{}\": there are eq, ne, lt, le, gt, ge", direction));
  return infer_predicate(context);
}

std::vector<Type> infer_select(const InferContext& context) {
  require_same_dtype(context, 1, 2);
  require_same_shape(context, 1, 2);
  if (tensor(context, 0).rank() != 0) require_same_shape(context, 0, 1);
  return {context.operands[1]};
}

std::vector<Type> infer_clamp(const InferContext& context) {
  for (const std::size_t bound : {0, 2}) {
    require_same_dtype(context, bound, 1);
    if (tensor(context, bound).rank() != 0) require_same_shape(context, bound, 1);
  }
  return {context.operands[1]};
}

// ---- gradients: g is the cotangent, a and b the operands, r the result

void gradient_add(GradientContext& c) {
  c.add(0, c.cotangent());
  c.add(1, c.cotangent());
}

void gradient_subtract(GradientContext& c) {
  c.add(0, c.cotangent());
  if (c.needs(1)) c.add(1, c.builder().negate(c.cotangent()));
}

void gradient_multiply(GradientContext& c) {
  Builder& b = c.builder();
  if (c.needs(0)) c.add(0, b.multiply(c.cotangent(), c.operand(1)));
  if (c.needs(1)) c.add(1, b.multiply(c.cotangent(), c.operand(0)));
}

/// g / b, and -(g / b) * r
void gradient_divide(GradientContext& c) {
  Builder& b = c.builder();
  const ValueId quotient = b.divide(c.cotangent(), c.operand(1));
  if (c.needs(0)) c.add(0, quotient);
  if (c.needs(1)) c.add(1, b.negate(b.multiply(quotient, c.result())));
}

/// r = a - trunc(a / b) * b: g, and -g * trunc(a / b). The quotient is taken as (a - r) / b, which lies next to the integer even where a /
/// b rounds across it.
void gradient_remainder(GradientContext& c) {
  Builder& b = c.builder();
  if (c.needs(0)) c.add(0, c.cotangent());
  if (c.needs(1)) {
    const ValueId quotient = b.create(Op::round_nearest_even, {b.divide(b.subtract(c.operand(0), c.result()), c.operand(1))});
    c.add(1, b.negate(b.multiply(c.cotangent(), quotient)));
  }
}

/// g * b * a^(b-1), and g * r * log(a). At 0^0 the first is 0, and where a is 0 and b is not negative, so is the second: the products would
/// be 0 * inf. Their operands are replaced there, not only the products, so that further derivatives are free of NaN as well.
void gradient_power(GradientContext& c) {
  Builder& b = c.builder();
  const ValueId base = c.operand(0), exponent = c.operand(1), g = c.cotangent();
  const Type type = b.type(base);
  const ValueId zero = b.splat(0, type), one = b.splat(1, type);
  const ValueId base_is_zero = b.compare(Comparison::eq, base, zero);
  if (c.needs(0)) {
    const ValueId both_zero = b.create(Op::and_, {base_is_zero, b.compare(Comparison::eq, exponent, zero)});
    const ValueId lower = b.select(both_zero, one, b.subtract(exponent, one));
    c.add(0, b.multiply(g, b.multiply(exponent, b.create(Op::power, {base, lower}))));
  }
  if (c.needs(1)) {
    const ValueId flat = b.create(Op::and_, {base_is_zero, b.compare(Comparison::ge, exponent, zero)});
    const ValueId logarithm = b.create(Op::log, {b.select(flat, one, base)});
    c.add(1, b.multiply(g, b.multiply(c.result(), logarithm)));
  }
}

/// g * b / (a^2 + b^2), and -g * a / (a^2 + b^2)
void gradient_atan2(GradientContext& c) {
  Builder& b = c.builder();
  const ValueId y = c.operand(0), x = c.operand(1);
  const ValueId share = b.divide(c.cotangent(), b.add(b.multiply(y, y), b.multiply(x, x)));
  if (c.needs(0)) c.add(0, b.multiply(share, x));
  if (c.needs(1)) c.add(1, b.negate(b.multiply(share, y)));
}

/// To operand 1 where it is strictly beyond operand 0 or NaN, else to operand 0; so relu(x) = maximum(0, x) has gradient 0 at 0.
void extremum_gradient(GradientContext& c, Comparison beyond) {
  Builder& b = c.builder();
  const ValueId second =
      b.create(Op::or_, {b.compare(beyond, c.operand(1), c.operand(0)), b.compare(Comparison::ne, c.operand(1), c.operand(1))});
  const ValueId zero = b.zeros(b.type(c.cotangent()));
  if (c.needs(0)) c.add(0, b.select(second, zero, c.cotangent()));
  if (c.needs(1)) c.add(1, b.select(second, c.cotangent(), zero));
}
void gradient_maximum(GradientContext& c) { extremum_gradient(c, Comparison::gt); }
void gradient_minimum(GradientContext& c) { extremum_gradient(c, Comparison::lt); }

void gradient_select(GradientContext& c) {
  Builder& b = c.builder();
  const ValueId zero = b.zeros(b.type(c.cotangent()));
  if (c.needs(1)) c.add(1, b.select(c.operand(0), c.cotangent(), zero));
  if (c.needs(2)) c.add(2, b.select(c.operand(0), zero, c.cotangent()));
}

/// To x inside the bounds and at them, to the bound that was taken outside.
void gradient_clamp(GradientContext& c) {
  Builder& b = c.builder();
  const Type type = b.type(c.operand(1));
  const auto full = [&](ValueId bound) { return b.type(bound).rank() == type.rank() ? bound : b.broadcast_in_dim(bound, type.dims, {}); };
  const ValueId low = full(c.operand(0)), x = c.operand(1), high = full(c.operand(2)), g = c.cotangent();
  const ValueId zero = b.zeros(type);
  const ValueId below = b.compare(Comparison::lt, x, low);
  const ValueId above = b.compare(Comparison::gt, b.select(below, low, x), high);
  /// A scalar bound gathers what flows to all its copies.
  const auto add_bound = [&](std::size_t i, ValueId cotangent) {
    const bool scalar = b.type(c.operand(i)).rank() != type.rank();
    c.add(i, scalar ? b.reduce_add(cotangent, other_axes(type.rank(), {})) : cotangent);
  };
  if (c.needs(0)) add_bound(0, b.select(above, zero, b.select(below, g, zero)));
  if (c.needs(1)) c.add(1, b.select(b.create(Op::or_, {below, above}), zero, g));
  if (c.needs(2)) add_bound(2, b.select(above, g, zero));
}

// ---- lowering

/// The float's bits as a signed integer that is ordered as the total order is.
ScalarId total_order_key(ScalarBuilder& b, ScalarId x) {
  const std::size_t size = size_of(b.dtype_of(x));
  const DType bits = size == 2 ? DType::i16 : size == 4 ? DType::i32 : DType::i64;
  const ScalarId key = b.apply(LoopOp::bitcast, bits, {x});
  const ScalarId places = b.constant(Literal::of_bits(bits, static_cast<std::int64_t>(8 * size - 1)));
  const ScalarId lower = b.constant(Literal::of_bits(bits, static_cast<std::int64_t>((std::uint64_t{1} << (8 * size - 1)) - 1)));
  const ScalarId signs = b.apply(LoopOp::shift_right_arithmetic, bits, {key, places});
  return b.apply(LoopOp::xor_, bits, {key, b.apply(LoopOp::and_, bits, {signs, lower})});
}

ScalarId element_compare(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  ScalarId first = b.operand(0, index), second = b.operand(1, index);
  if (is_total(node.attributes) && is_floating(b.operand_type(0).dtype)) {
    first = total_order_key(b, first);
    second = total_order_key(b, second);
  }
  return b.compare(*comparison_from_name(node.attributes.text("direction")), first, second);
}

/// Operand i, which may be a scalar.
ScalarId operand_or_scalar(ScalarBuilder& b, std::size_t i, std::span<const Dim> index) {
  return b.operand(i, b.operand_type(i).rank() == 0 ? std::span<const Dim>() : index);
}

ScalarId element_select(ScalarBuilder& b, const Node&, std::size_t, std::span<const Dim> index) {
  const ScalarId mask = operand_or_scalar(b, 0, index);
  return b.apply(LoopOp::select, b.result_type().dtype, {mask, b.operand(1, index), b.operand(2, index)});
}

ScalarId element_clamp(ScalarBuilder& b, const Node&, std::size_t, std::span<const Dim> index) {
  const DType dtype = b.result_type().dtype;
  const ScalarId raised = b.apply(loop_op_on(LoopOp::maximum, dtype), dtype, {b.operand(1, index), operand_or_scalar(b, 0, index)});
  return b.apply(loop_op_on(LoopOp::minimum, dtype), dtype, {raised, operand_or_scalar(b, 2, index)});
}

// ---- samples

std::vector<Sample> samples_power(Op) {
  std::vector<Sample> samples = binary_samples(0.25, 2.5, special_values_within(100));
  // A zero base with positive exponents has gradients too: 0.
  samples.push_back({.kind = SampleClass::odd,
                     .operands = {sample_type({3}), sample_type({3})},
                     .low = 0,
                     .high = 0,
                     .values = {sample_values({0, 1.5, 3}), sample_values({2, 0, 1})},
                     .differentiable = false});
  return samples;
}

/// Away from the jump of the quotient at integers, and from b = 0.
std::vector<Sample> samples_remainder(Op) {
  std::vector<Sample> samples = samples_binary(Op::remainder);
  for (Sample& sample : samples) sample.differentiable = false;
  samples.push_back({.kind = SampleClass::odd,
                     .operands = {sample_type({5}), sample_type({5})},
                     .values = {sample_values({5.5, -7.25, 9.75, -0.5, 100.25}), sample_values({2, 3, -4, 1.75, 7})}});
  return samples;
}

/// A quotient needs a divisor away from 0 for differences to mean something.
std::vector<Sample> samples_divide(Op) { return binary_samples(0.5, 4, special_values()); }
/// Ties have no derivative; random operands have none.
std::vector<Sample> samples_shift(Op) {
  std::vector<Sample> samples = binary_samples(-3, 70, {-128, -1, 0, 1, 2, 7, 8, 15, 31, 32, 63, 64, 100, 1e30, -1e30});
  return samples;
}

std::vector<Sample> samples_compare(Op) {
  std::vector<Sample> all;
  for (const std::string_view direction : {"eq", "ne", "lt", "le", "gt", "ge"})
    for (Sample sample : binary_samples(-2, 2, special_values())) {
      sample.attributes = {{"direction", std::string(direction)}};
      all.push_back(sample);
      if (sample.kind != SampleClass::special_values) continue;
      std::vector<double> ordered = special_values();
      ordered.push_back(std::copysign(ordered[0], -1.0));  // -NaN
      Sample total = binary_samples(-2, 2, ordered).back();
      total.attributes = {{"direction", std::string(direction)}, {"total_order", true}};
      all.push_back(std::move(total));
    }
  return all;
}

/// The mask is the only operand that is bool by rule, so every dtype of the arms has its own samples.
std::vector<Sample> samples_select(Op) {
  std::vector<Sample> all;
  for (int d = 0; d < dtype_count; ++d) {
    const DType dtype = static_cast<DType>(d);
    for (Sample sample : samples_binary(Op::select)) {
      const Dims dims = sample.operands[0].dims;
      sample.generic = false;
      for (Type& type : sample.operands) type.dtype = dtype;
      sample.operands.insert(sample.operands.begin(), sample_type(dims, DType::boolean));
      if (!sample.values.empty()) {
        std::vector<double> mask(sample.values[0].size());
        for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = i % 3 == 0;
        sample.values.insert(sample.values.begin(), sample_values(mask));
      }
      all.push_back(std::move(sample));
    }
    all.push_back({.kind = SampleClass::broadcast,
                   .operands = {sample_type({}, DType::boolean), sample_type({2, 3}, dtype), sample_type({2, 3}, dtype)},
                   .generic = false});
  }
  return all;
}

std::vector<Sample> samples_clamp(Op) {
  std::vector<Sample> all;
  for (Sample sample : samples_unary(Op::clamp)) {
    const Type x = sample.operands[0];
    if (sample.kind == SampleClass::special_values) {
      const std::vector<double> special = special_values();
      const std::size_t n = special.size();
      std::vector<double> low, value, high;
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) {
          low.push_back(special[i]);
          value.push_back(special[j]);
          high.push_back(special[(i + 2 * j) % n]);
        }
      const Type type = sample_type({Dim(static_cast<std::int64_t>(n * n))});
      sample.operands = {type, type, type};
      sample.values = {sample_values(low), sample_values(value), sample_values(high)};
    } else {
      sample.operands = {x, x, x};
    }
    all.push_back(std::move(sample));
  }
  all.push_back({.kind = SampleClass::broadcast,
                 .operands = {sample_type({}), sample_type({2, 5}), sample_type({})},
                 .values = {Array(-0.5), Array({2, 5}, {-2.0, -1.0, -0.25, 0.0, 0.25, 0.5, 0.625, 1.0, 2.0, 3.0}), Array(0.75)}});
  return all;
}

constexpr double function_tolerance = 4;  ///< as in unary.cpp
constexpr AttributeSpec compare_attributes[] = {{"direction", AttributeKind::text, "eq, ne, lt, le, gt or ge"},
                                                {"total_order", AttributeKind::flag, "floats in IEEE 754's total order", false}};
constexpr std::string_view no_floats = "its operands are not floating tensors";
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::add>::info = {
    .name = "add",
    .doc = "a + b. Integers wrap; bool: a or b.",
    .min_operands = 2,
    .max_operands = 2,
    .infer = infer_same,
    .evaluate = evaluate_add,
    .gradient = gradient_add,
    .element = element_loop_op,
    .samples = samples_binary,
    .elementwise = true,
    .commutative = true,
    .loop_op = LoopOp::add,
};

template <>
constinit const OpInfo OpEntry<Op::subtract>::info = {
    .name = "subtract",
    .doc = "a - b. Integers wrap.",
    .min_operands = 2,
    .max_operands = 2,
    .dtypes = numbers,
    .infer = infer_same,
    .evaluate = evaluate_subtract,
    .gradient = gradient_subtract,
    .element = element_loop_op,
    .samples = samples_binary,
    .elementwise = true,
    .loop_op = LoopOp::subtract,
};

template <>
constinit const OpInfo OpEntry<Op::multiply>::info = {
    .name = "multiply",
    .doc = "a * b. Integers wrap; bool: a and b.",
    .min_operands = 2,
    .max_operands = 2,
    .infer = infer_same,
    .evaluate = evaluate_multiply,
    .gradient = gradient_multiply,
    .element = element_loop_op,
    .samples = samples_binary,
    .elementwise = true,
    .commutative = true,
    .loop_op = LoopOp::multiply,
};

template <>
constinit const OpInfo OpEntry<Op::divide>::info = {
    .name = "divide",
    .doc = "a / b. Integers truncate towards 0; x/0 is -1 (all ones when unsigned), MIN/-1 is MIN.",
    .min_operands = 2,
    .max_operands = 2,
    .dtypes = numbers,
    .infer = infer_same,
    .evaluate = evaluate_divide,
    .gradient = gradient_divide,
    .element = element_loop_op,
    .samples = samples_divide,
    .elementwise = true,
    .loop_op = LoopOp::divide,
};

template <>
constinit const OpInfo OpEntry<Op::remainder>::info = {
    .name = "remainder",
    .doc = "a - trunc(a / b) * b, with the sign of a and without rounding (C's fmod). Integers: x%0 is x, MIN%-1 is 0.",
    .min_operands = 2,
    .max_operands = 2,
    .dtypes = numbers,
    .infer = infer_same,
    .evaluate = evaluate_remainder,
    .gradient = gradient_remainder,
    .element = element_loop_op,
    .samples = samples_remainder,
    .elementwise = true,
    .loop_op = LoopOp::remainder,
};

template <>
constinit const OpInfo OpEntry<Op::power>::info = {
    .name = "power",
    .doc = "a^b as C's pow. Integers wrap, and a negative power is 1 / a^-b truncated towards 0; negative powers of 0 are 0.",
    .min_operands = 2,
    .max_operands = 2,
    .dtypes = numbers,
    .infer = infer_same,
    .evaluate = evaluate_power,
    .gradient = gradient_power,
    .element = element_loop_op,
    .samples = samples_power,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::power,
};

template <>
constinit const OpInfo OpEntry<Op::atan2>::info = {
    .name = "atan2",
    .doc = "The angle of the point (b, a), as C's atan2.",
    .min_operands = 2,
    .max_operands = 2,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_atan2,
    .gradient = gradient_atan2,
    .element = element_loop_op,
    .samples = samples_binary,
    .tolerance = function_tolerance,
    .elementwise = true,
    .loop_op = LoopOp::atan2,
};

template <>
constinit const OpInfo OpEntry<Op::maximum>::info = {
    .name = "maximum",
    .doc =
        "a is NaN ? a : (a > b ? a : b): NaN of either operand comes through, and of two equal zeros the second. Bool: a or b. At ties the "
        "gradient goes to a.",
    .min_operands = 2,
    .max_operands = 2,
    .infer = infer_same,
    .evaluate = evaluate_maximum,
    .gradient = gradient_maximum,
    .element = element_loop_op,
    .samples = samples_binary,
    .elementwise = true,
    .loop_op = LoopOp::maximum,
};

template <>
constinit const OpInfo OpEntry<Op::minimum>::info = {
    .name = "minimum",
    .doc =
        "a is NaN ? a : (a < b ? a : b): NaN of either operand comes through, and of two equal zeros the second. Bool: a and b. At ties "
        "the "
        "gradient goes to a.",
    .min_operands = 2,
    .max_operands = 2,
    .infer = infer_same,
    .evaluate = evaluate_minimum,
    .gradient = gradient_minimum,
    .element = element_loop_op,
    .samples = samples_binary,
    .elementwise = true,
    .loop_op = LoopOp::minimum,
};

template <>
constinit const OpInfo OpEntry<Op::and_>::info = {
    .name = "and",
    .doc = "a and b; integers: bit by bit.",
    .min_operands = 2,
    .max_operands = 2,
    .dtypes = bool_dtype | integers,
    .infer = infer_same,
    .evaluate = evaluate_logical_and,
    .no_gradient = no_floats,
    .element = element_loop_op,
    .samples = samples_binary,
    .elementwise = true,
    .commutative = true,
    .loop_op = LoopOp::and_,
};

template <>
constinit const OpInfo OpEntry<Op::or_>::info = {
    .name = "or",
    .doc = "a or b; integers: bit by bit.",
    .min_operands = 2,
    .max_operands = 2,
    .dtypes = bool_dtype | integers,
    .infer = infer_same,
    .evaluate = evaluate_logical_or,
    .no_gradient = no_floats,
    .element = element_loop_op,
    .samples = samples_binary,
    .elementwise = true,
    .commutative = true,
    .loop_op = LoopOp::or_,
};

template <>
constinit const OpInfo OpEntry<Op::xor_>::info = {
    .name = "xor",
    .doc = "Exactly one of a and b; integers: bit by bit.",
    .min_operands = 2,
    .max_operands = 2,
    .dtypes = bool_dtype | integers,
    .infer = infer_same,
    .evaluate = evaluate_logical_xor,
    .no_gradient = no_floats,
    .element = element_loop_op,
    .samples = samples_binary,
    .elementwise = true,
    .commutative = true,
    .loop_op = LoopOp::xor_,
};

template <>
constinit const OpInfo OpEntry<Op::shift_left>::info = {
    .name = "shift_left",
    .doc = "a shifted by b bits; 0 when b is negative or not below the number of bits.",
    .min_operands = 2,
    .max_operands = 2,
    .dtypes = integers,
    .infer = infer_same,
    .evaluate = evaluate_shift_left,
    .no_gradient = integer_result,
    .element = element_loop_op,
    .samples = samples_shift,
    .elementwise = true,
    .loop_op = LoopOp::shift_left,
};

template <>
constinit const OpInfo OpEntry<Op::shift_right_arithmetic>::info = {
    .name = "shift_right_arithmetic",
    .doc = "a shifted by b bits, filled with its highest bit; b counts as the number of bits less 1 when it is negative or above that.",
    .min_operands = 2,
    .max_operands = 2,
    .dtypes = integers,
    .infer = infer_same,
    .evaluate = evaluate_shift_right_arithmetic,
    .no_gradient = integer_result,
    .element = element_loop_op,
    .samples = samples_shift,
    .elementwise = true,
    .loop_op = LoopOp::shift_right_arithmetic,
};

template <>
constinit const OpInfo OpEntry<Op::shift_right_logical>::info = {
    .name = "shift_right_logical",
    .doc = "a shifted by b bits, filled with zeros; 0 when b is negative or not below the number of bits.",
    .min_operands = 2,
    .max_operands = 2,
    .dtypes = integers,
    .infer = infer_same,
    .evaluate = evaluate_shift_right_logical,
    .no_gradient = integer_result,
    .element = element_loop_op,
    .samples = samples_shift,
    .elementwise = true,
    .loop_op = LoopOp::shift_right_logical,
};

template <>
constinit const OpInfo OpEntry<Op::compare>::info = {
    .name = "compare",
    .doc =
        "Whether a `direction` b. All comparisons with NaN but ne are false; -0 equals 0; false is below true. In total order -NaN is "
        "below all "
        "other floats, NaN above them, -0 below 0, and only equal bits are equal.",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = compare_attributes,
    .dtypes = all_dtypes,
    .infer = infer_compare,
    .evaluate = evaluate_compare,
    .no_gradient = boolean_result,
    .element = element_compare,
    .samples = samples_compare,
    .elementwise = true,
};

template <>
constinit const OpInfo OpEntry<Op::select>::info = {
    .name = "select",
    .doc = "Operand 1 where the mask (operand 0: of their shape, or a scalar) is true, else operand 2.",
    .min_operands = 3,
    .max_operands = 3,
    .dtypes = bool_dtype,
    .infer = infer_select,
    .evaluate = evaluate_select,
    .gradient = gradient_select,
    .element = element_select,
    .samples = samples_select,
    .no_samples = {},
    .elementwise = true,
};

template <>
constinit const OpInfo OpEntry<Op::clamp>::info = {
    .name = "clamp",
    .doc =
        "minimum(maximum(x, min), max) for operands min, x, max; the bounds have the shape of x or are scalars. NaN of any comes through. "
        "At a bound the gradient goes to x.",
    .min_operands = 3,
    .max_operands = 3,
    .infer = infer_clamp,
    .evaluate = evaluate_clamp,
    .gradient = gradient_clamp,
    .element = element_clamp,
    .samples = samples_clamp,
    .no_samples = {},
    .elementwise = true,
};

}  // namespace kiln::ir

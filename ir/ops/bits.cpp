// Bits and rounding, element by element: counts of bits, rounding to whole numbers and to shorter formats, and bits read as another dtype.
//
// reduce_precision. A float of e exponent and m mantissa bits is rounded to the values of a format of e' and m': to nearest, ties to even,
// as if the exponent were unlimited, then what is above the format's largest exponent becomes infinity and what is below its smallest
// normal number becomes zero (StableHLO and XLA flush the denormals of the shorter format). In bits: adding half of the last kept place,
// less one, plus the last kept bit, carries into it exactly when rounding goes up, and a carry out of the mantissa is the next exponent.
#include <bit>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

/// The unsigned integer of the same size.
DType bits_of(DType dtype) {
  switch (size_of(dtype)) {
    case 1: return DType::u8;
    case 2: return DType::u16;
    case 4: return DType::u32;
    default: return DType::u64;
  }
}

struct FloatFormat {
  int exponent, mantissa;  ///< bits of each
};
FloatFormat format_of(DType dtype) {
  switch (dtype) {
    case DType::f16: return {5, 10};
    case DType::bf16: return {8, 7};
    case DType::f32: return {8, 23};
    default: return {11, 52};
  }
}
FloatFormat target_format(const Attributes& attributes) {
  return {static_cast<int>(attributes.integer("exponent_bits")), static_cast<int>(attributes.integer("mantissa_bits"))};
}

// ---- evaluation

std::vector<Array> evaluate_popcnt(const EvaluateContext& context) {
  return map_unary<integers>(context, []<class T>(T x) {
    int count = 0;
    for (std::size_t bit = 0; bit < 8 * sizeof(T); ++bit) count += static_cast<int>(static_cast<std::uint64_t>(x) >> bit & 1);
    return static_cast<T>(count);
  });
}

std::vector<Array> evaluate_count_leading_zeros(const EvaluateContext& context) {
  return map_unary<integers>(context, []<class T>(T x) {
    std::size_t count = 0;
    while (count < 8 * sizeof(T) && (static_cast<std::uint64_t>(x) >> (8 * sizeof(T) - 1 - count) & 1) == 0) ++count;
    return static_cast<T>(count);
  });
}

std::vector<Array> evaluate_round_nearest_afz(const EvaluateContext& context) {
  return map_unary<floats>(context, [](auto x) { return std::round(x); });
}

/// To a whole number, ties to even, whatever the thread's rounding mode.
double nearest_even(double x) {
  const double down = std::floor(x), rest = x - down;
  return rest > 0.5 || (rest == 0.5 && std::fmod(down, 2) != 0) ? down + 1 : down;
}

double reduced_precision(double x, FloatFormat from, FloatFormat to) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (std::isnan(x)) return to.mantissa > 0 ? x : infinity;
  if (x == 0 || std::isinf(x)) return x;
  double magnitude = std::fabs(x);
  if (to.mantissa < from.mantissa) {
    const int smallest = 2 - (1 << (from.exponent - 1));  // the exponent that denormals share
    const int exponent = std::max(std::ilogb(magnitude), smallest), places = to.mantissa - exponent;
    const double scaled = std::ldexp(magnitude, places);
    // Without a mantissa a format's even values are those of even exponents as they are stored, with an odd bias.
    const bool down = to.mantissa == 0 && scaled == 1.5 && exponent % 2 != 0;
    magnitude = std::ldexp(down ? 1 : nearest_even(scaled), -places);
  }
  if (to.exponent < from.exponent && magnitude != 0) {
    const int bias = (1 << (to.exponent - 1)) - 1;
    if (std::isinf(magnitude) || std::ilogb(magnitude) > bias)
      magnitude = infinity;
    else if (std::ilogb(magnitude) <= -bias)
      magnitude = 0;
  }
  return std::copysign(magnitude, x);
}

std::vector<Array> evaluate_reduce_precision(const EvaluateContext& context) {
  const FloatFormat from = format_of(context.result_dtypes[0]), to = target_format(context.attributes);
  return map_unary<floats>(context, [&]<class T>(T x) { return static_cast<T>(reduced_precision(static_cast<double>(x), from, to)); });
}

/// Memory holds the low bits first (x86 and every other target of Kiln are little-endian).
std::vector<Array> evaluate_bitcast_convert(const EvaluateContext& context) {
  static_assert(std::endian::native == std::endian::little);
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  internal_check(result.bytes() == context.operands[0].bytes(), "bitcast_convert keeps the bits");
  if (result.bytes() != 0) std::memcpy(result.mutable_raw(), context.operands[0].raw(), result.bytes());
  return {result};
}

// ---- inference

std::vector<Type> infer_reduce_precision(const InferContext& context) {
  const FloatFormat to = target_format(context.attributes);
  if (const std::int64_t bits = context.attributes.integer("exponent_bits"); bits < 1 || bits > 11)
    fail(context, ErrorCode::invalid_argument, fmt::format("exponent_bits is {}, but must be one of 1 to 11", to.exponent));
  if (const std::int64_t bits = context.attributes.integer("mantissa_bits"); bits < 0 || bits > 52)
    fail(context, ErrorCode::invalid_argument, fmt::format("mantissa_bits is {}, but must be one of 0 to 52", to.mantissa));
  return {tensor(context, 0)};
}

std::vector<Type> infer_bitcast_convert(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const DType to = context.attributes.dtype("dtype");
  if (to == DType::boolean)
    fail(context, ErrorCode::dtype_mismatch, fmt::format("{} has no bits to read as bool", to_string(operand)),
         "compare instead: not_equal(x, 0)");
  Type result = operand;
  result.dtype = to;
  const std::size_t from_size = size_of(operand.dtype), to_size = size_of(to);
  if (from_size > to_size) {
    result.dims.push_back(static_cast<std::int64_t>(from_size / to_size));
  } else if (from_size < to_size) {
    const Dim parts = static_cast<std::int64_t>(to_size / from_size);
    if (operand.rank() == 0)
      fail(context, ErrorCode::shape_mismatch,
           fmt::format("one {} is made of {} elements of {}, but the operand is a scalar", name_of(to), to_string(parts),
                       name_of(operand.dtype)));
    require_equal(context, operand.dims.back(), parts,
                  fmt::format("one {} is made of {} elements of {}, which must be the last dim, but the operand is {}", name_of(to),
                              to_string(parts), name_of(operand.dtype), to_string(operand)));
    result.dims.pop_back();
  }
  return {result};
}

// ---- gradients

/// As of the identity that it approximates.
void gradient_reduce_precision(GradientContext& c) { c.add(0, c.cotangent()); }

// ---- lowering

/// floor(|x| + h) with the sign of x, where h is the number below 1/2: with 1/2 itself the number below 1/2 would round up, with h the sum
/// of 1/2 and h rounds to 1. Halves in f32.
ScalarId element_round_nearest_afz(ScalarBuilder& b, const Node&, std::size_t, std::span<const Dim> index) {
  const DType dtype = b.result_type().dtype, wide = dtype == DType::f64 ? DType::f64 : DType::f32, bits = bits_of(wide);
  ScalarId x = b.operand(0, index);
  if (dtype != wide) x = b.apply(LoopOp::convert, wide, {x});
  const double below_half = wide == DType::f64 ? 0x1.fffffffffffffp-2 : 0x1.fffffep-2;
  const ScalarId sum = b.apply(LoopOp::add, wide, {b.apply(LoopOp::abs, wide, {x}), b.constant(Literal::of(wide, below_half))});
  const ScalarId magnitude = b.apply(LoopOp::bitcast, bits, {b.apply(LoopOp::floor, wide, {sum})});
  const std::int64_t sign_bit = wide == DType::f64 ? std::numeric_limits<std::int64_t>::min() : std::int64_t{1} << 31;
  const ScalarId sign = b.apply(LoopOp::and_, bits, {b.apply(LoopOp::bitcast, bits, {x}), b.constant(Literal::of_bits(bits, sign_bit))});
  const ScalarId result = b.apply(LoopOp::bitcast, wide, {b.apply(LoopOp::or_, bits, {magnitude, sign})});
  return dtype == wide ? result : b.apply(LoopOp::convert, dtype, {result});
}

ScalarId element_reduce_precision(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  const DType dtype = b.result_type().dtype, bits = bits_of(dtype);
  const FloatFormat from = format_of(dtype), to = target_format(node.attributes);
  const auto number = [&](std::uint64_t value) { return b.constant(Literal::of_bits(bits, static_cast<std::int64_t>(value))); };
  const auto apply = [&](LoopOp op, ScalarId x, ScalarId y) { return b.apply(op, bits, {x, y}); };
  const auto choose = [&](ScalarId mask, ScalarId x, ScalarId y) { return b.apply(LoopOp::select, bits, {mask, x, y}); };
  const std::uint64_t sign_bit = std::uint64_t{1} << (from.exponent + from.mantissa);
  const std::uint64_t infinity = ((std::uint64_t{1} << from.exponent) - 1) << from.mantissa;
  const ScalarId x = b.apply(LoopOp::bitcast, bits, {b.operand(0, index)});
  ScalarId result = x;
  if (to.mantissa < from.mantissa) {
    const int cut = from.mantissa - to.mantissa;
    const std::uint64_t last = std::uint64_t{1} << cut;
    const ScalarId odd = apply(LoopOp::shift_right_logical, apply(LoopOp::and_, x, number(last)), number(static_cast<std::uint64_t>(cut)));
    const ScalarId sum = apply(LoopOp::add, x, apply(LoopOp::add, odd, number((last >> 1) - 1)));
    result = apply(LoopOp::and_, sum, number((2 * sign_bit - 1) & ~(last - 1)));
  }
  if (to.exponent < from.exponent) {
    const std::uint64_t bias = (std::uint64_t{1} << (from.exponent - 1)) - 1, reduced = (std::uint64_t{1} << (to.exponent - 1)) - 1;
    const ScalarId sign = apply(LoopOp::and_, result, number(sign_bit)), exponent = apply(LoopOp::and_, result, number(infinity));
    const ScalarId above = b.compare(Comparison::gt, exponent, number((bias + reduced) << from.mantissa));
    const ScalarId below = b.compare(Comparison::le, exponent, number((bias - reduced) << from.mantissa));
    result = choose(above, apply(LoopOp::or_, sign, number(infinity)), choose(below, sign, result));
  }
  const ScalarId is_nan = b.compare(Comparison::gt, apply(LoopOp::and_, x, number(sign_bit - 1)), number(infinity));
  return b.apply(LoopOp::bitcast, dtype, {choose(is_nan, to.mantissa > 0 ? x : number(infinity), result)});
}

ScalarId element_bitcast_convert(ScalarBuilder& b, const Node&, std::size_t, std::span<const Dim> index) {
  const DType from = b.operand_type(0).dtype, to = b.result_type().dtype;
  const auto as = [&](DType dtype, ScalarId x) { return b.dtype_of(x) == dtype ? x : b.apply(LoopOp::bitcast, dtype, {x}); };
  const std::size_t from_size = size_of(from), to_size = size_of(to);
  if (from_size == to_size) return as(to, b.operand(0, index));
  if (from_size > to_size) {  // part index.back() of an element, low bits first
    const DType wide = bits_of(from);
    const ScalarId part = b.apply(LoopOp::convert, wide, {b.index_value(index.back())});
    const ScalarId shift =
        b.apply(LoopOp::multiply, wide, {part, b.constant(Literal::of_bits(wide, static_cast<std::int64_t>(8 * to_size)))});
    const ScalarId whole = as(wide, b.operand(0, index.first(index.size() - 1)));
    const ScalarId shifted = b.apply(LoopOp::shift_right_logical, wide, {whole, shift});
    return as(to, b.apply(LoopOp::convert, bits_of(to), {shifted}));
  }
  const DType wide = bits_of(to);
  ScalarId whole = none;
  for (std::size_t part = 0; part < to_size / from_size; ++part) {
    Dims place(index.begin(), index.end());
    place.push_back(static_cast<std::int64_t>(part));
    const ScalarId bits = b.apply(LoopOp::convert, wide, {as(bits_of(from), b.operand(0, place))});
    const ScalarId shift = b.constant(Literal::of_bits(wide, static_cast<std::int64_t>(8 * from_size * part)));
    const ScalarId shifted = part == 0 ? bits : b.apply(LoopOp::shift_left, wide, {bits, shift});
    whole = part == 0 ? shifted : b.apply(LoopOp::or_, wide, {whole, shifted});
  }
  return as(to, whole);
}

// ---- samples

std::vector<Sample> samples_bits(Op) {
  return unary_samples(-1e9, 1e9,
                       {0, 1, -1, 2, -2, 3, 7, 127, -128, 128, 255, 256, 32767, -32768, 65535, 1e9, -1e9, 1e18, -1e18, 1e30, -1e30});
}

std::vector<Sample> samples_round_nearest_afz(Op) {
  return unary_samples(-2, 2,
                       {std::numeric_limits<double>::quiet_NaN(),
                        std::numeric_limits<double>::infinity(),
                        -std::numeric_limits<double>::infinity(),
                        0.0,
                        -0.0,
                        0.5,
                        -0.5,
                        1.5,
                        2.5,
                        -2.5,
                        0.49999999999999994,
                        -0.49999999999999994,
                        0.49999997,
                        -0.3,
                        0.49975,
                        0.498,
                        5e-324,
                        -1e-40,
                        2047.5,
                        1023.5,
                        511.5,
                        8388607.5,
                        4503599627370495.5,
                        4503599627370497.0,
                        65504,
                        1e300});
}

std::vector<Sample> samples_reduce_precision(Op) {
  // Around each format's last places, largest and smallest numbers.
  std::vector<double> special = special_values();
  for (const double value :
       {1.0009765625, 1.00048828125, 1.00146484375, 65519.0, 65520.0, 6.1035e-5, 6.104e-5, 5.96e-8, 3.3895e38, 3.4e38, 448.0, 464.0, 479.0,
        480.0,        0.015625,      0.0156,        240.0,   248.0,   57344.0,   61440.0,  1.99999, 1.9999999, 3.0,    0.75,  6.0})
    special.insert(special.end(), {value, -value});
  std::vector<Sample> all;
  for (const FloatFormat format : {FloatFormat{11, 52}, {8, 23}, {8, 7}, {5, 10}, {5, 2}, {4, 3}, {8, 0}, {2, 1}, {1, 0}, {11, 3}})
    for (Sample sample : unary_samples(-100, 100, special)) {
      sample.attributes = {{"exponent_bits", std::int64_t{format.exponent}}, {"mantissa_bits", std::int64_t{format.mantissa}}};
      // Rounding is a staircase: only where nothing is rounded do differences have the slope that the gradient takes.
      sample.differentiable = sample.differentiable && format.mantissa == 52;
      all.push_back(std::move(sample));
    }
  return all;
}

std::vector<Sample> samples_bitcast_convert(Op) {
  std::vector<Sample> all;
  for (int f = 0; f < dtype_count; ++f)
    for (int t = 0; t < dtype_count; ++t) {
      const DType from = static_cast<DType>(f), to = static_cast<DType>(t);
      if (from == DType::boolean || to == DType::boolean) continue;
      const auto add = [&](SampleClass kind, Dims dims, std::vector<Array> values = {}) {
        if (size_of(from) < size_of(to)) dims.push_back(static_cast<std::int64_t>(size_of(to) / size_of(from)));
        if (!values.empty()) values[0] = values[0].reshape(Shape(constants(dims)));
        all.push_back({.kind = kind,
                       .operands = {sample_type(std::move(dims), from)},
                       .attributes = {{"dtype", to}},
                       .generic = false,
                       .low = -100,
                       .high = 100,
                       .values = std::move(values),
                       .differentiable = false});
      };
      add(SampleClass::odd, {3, 5});
      if (from != DType::f32 && from != DType::u16) continue;
      add(SampleClass::scalar, {});
      add(SampleClass::empty, {0, 3});
      add(SampleClass::one, {1});
      add(SampleClass::wide, {2, 67});
      add(SampleClass::symbolic, {sample_symbol(), 3});
      add(SampleClass::special_values, {size_of(from) < size_of(to) ? 24 / static_cast<std::int64_t>(size_of(to) / size_of(from)) : 24},
          {sample_values(special_values())});
    }
  return all;
}

constexpr AttributeSpec reduce_precision_attributes[] = {{"exponent_bits", AttributeKind::integer, "of the shorter format, 1 to 11"},
                                                         {"mantissa_bits", AttributeKind::integer, "of the shorter format, 0 to 52"}};
constexpr AttributeSpec bitcast_convert_attributes[] = {{"dtype", AttributeKind::dtype, "of the result"}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::popcnt>::info = {
    .name = "popcnt",
    .doc = "The number of ones among the bits of x.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = integers,
    .infer = infer_same,
    .evaluate = evaluate_popcnt,
    .no_gradient = integer_result,
    .element = element_loop_op,
    .samples = samples_bits,
    .elementwise = true,
    .loop_op = LoopOp::popcnt,
};

template <>
constinit const OpInfo OpEntry<Op::count_leading_zeros>::info = {
    .name = "count_leading_zeros",
    .doc = "The number of zeros above the highest one among the bits of x; of 0 the number of bits.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = integers,
    .infer = infer_same,
    .evaluate = evaluate_count_leading_zeros,
    .no_gradient = integer_result,
    .element = element_loop_op,
    .samples = samples_bits,
    .elementwise = true,
    .loop_op = LoopOp::count_leading_zeros,
};

template <>
constinit const OpInfo OpEntry<Op::round_nearest_afz>::info = {
    .name = "round_nearest_afz",
    .doc = "The nearest integer; ties go away from zero. Zeros keep their sign.",
    .min_operands = 1,
    .max_operands = 1,
    .dtypes = floats,
    .infer = infer_same,
    .evaluate = evaluate_round_nearest_afz,
    .gradient = gradient_zero,
    .element = element_round_nearest_afz,
    .samples = samples_round_nearest_afz,
    .elementwise = true,
};

template <>
constinit const OpInfo OpEntry<Op::reduce_precision>::info = {
    .name = "reduce_precision",
    .doc =
        "x rounded to the nearest value (ties to even) of a float format of so many exponent and mantissa bits, in its own dtype. Beyond "
        "the "
        "format's largest exponent it is infinite, below its smallest normal number 0; NaN stays, or is infinite when there is no "
        "mantissa. "
        "The gradient is that of the identity.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = reduce_precision_attributes,
    .dtypes = floats,
    .infer = infer_reduce_precision,
    .evaluate = evaluate_reduce_precision,
    .gradient = gradient_reduce_precision,
    .element = element_reduce_precision,
    .samples = samples_reduce_precision,
    .elementwise = true,
};

template <>
constinit const OpInfo OpEntry<Op::bitcast_convert>::info = {
    .name = "bitcast_convert",
    .doc =
        "The bits of x as another dtype. From a wider dtype to a narrower one a new last dim holds the parts of an element, low bits "
        "first; the "
        "other way the last dim holds the parts and goes away.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = bitcast_convert_attributes,
    .dtypes = numbers,
    .infer = infer_bitcast_convert,
    .evaluate = evaluate_bitcast_convert,
    .no_gradient = "it reads bits as another dtype",
    .element = element_bitcast_convert,
    .samples = samples_bitcast_convert,
};

}  // namespace kiln::ir

// Rounding, signs, division with floor, special values, bits and whole-number functions: what is made of several primitives, or of one with
// its own rules for dtypes.
#include <fmt/format.h>
#include <cmath>
#include <limits>

#include "frontend/composite.h"
#include "kiln/control.h"
#include "kiln/operators.h"

namespace kiln {

using namespace detail;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

bool is_number(DType dtype) { return dtype != DType::boolean; }
bool has_bits(DType dtype) { return !is_floating(dtype); }

/// Checks the operands and opens the location scope; the operands are then `a` and `b`, of one dtype.
struct Two {
  Two(const Operand& first, const Operand& second, const char* name, bool (*accepts)(DType), const char* wanted, const char* hint)
      : of({&first, &second}, name), a(of.tensor(first)), b(of.tensor(second)) {
    if (!accepts(a.dtype()))
      of.fail(ErrorCode::dtype_mismatch, fmt::format("takes {} tensors, but was given {}", wanted, to_string(a)), hint);
  }
  Composite of;
  Tensor a, b;
};

constexpr const char* to_integers = "convert it first: convert(x, i32)";
constexpr const char* to_floats = "convert it first: convert(x, f32)";

Two numbers(const Operand& a, const Operand& b, const char* name) { return {a, b, name, is_number, "numeric", to_floats}; }
Two bit_fields(const Operand& a, const Operand& b, const char* name) { return {a, b, name, has_bits, "bool and integer", to_integers}; }
Two whole_numbers(const Operand& a, const Operand& b, const char* name) { return {a, b, name, is_integer, "integer", to_integers}; }

struct One {
  One(const Operand& x, const char* name, bool (*accepts)(DType), const char* wanted, const char* hint) : of({&x}, name), x(of.tensor(x)) {
    if (!accepts(this->x.dtype()))
      of.fail(ErrorCode::dtype_mismatch, fmt::format("takes {} tensors, but was given {}", wanted, to_string(this->x)), hint);
  }
  Composite of;
  Tensor x;
};
One floating(const Operand& x, const char* name) { return {x, name, is_floating, "floating", to_floats}; }

Tensor binary(ir::Op op, const Two& two) {
  Emitter emitter(*Access::state(two.a), two.of.emitter().op(), two.of.emitter().location());
  ir::ValueId values[] = {emitter.use(two.a), emitter.use(two.b)};
  emitter.broadcast(values);
  return emitter.wrap(emitter.builder().create(op, {values[0], values[1]}));
}

Tensor right_shifted(const Two& two) {
  return binary(is_signed_integer(two.a.dtype()) ? ir::Op::shift_right_arithmetic : ir::Op::shift_right_logical, two);
}

/// The signed integer dtype of a float's size.
DType bits_of(DType dtype) { return size_of(dtype) == 2 ? i16 : size_of(dtype) == 4 ? i32 : i64; }

Tensor is_negative(const Tensor& x) { return is_floating(x.dtype()) ? less(bitcast(x, bits_of(x.dtype())), 0) : less(x, 0); }

/// Whether a quotient and a remainder that were truncated are one step away from those of floor: the remainder is not 0 and has the other
/// sign than the divisor. (Nothing is away from x / 0 = -1 and x % 0 = x.)
Tensor truncated_upwards(const Tensor& rest, const Tensor& divisor) {
  const Tensor other_sign = logical_xor(less(rest, 0), less(divisor, 0));
  return logical_and(not_equal(divisor, 0), logical_and(not_equal(rest, 0), other_sign));
}

/// Python's remainder of floats: fmod moved into the divisor's sign, a zero with that sign.
Tensor floored_remainder(const Tensor& a, const Tensor& b) {
  const Tensor rest = remainder(a, b);
  const Tensor moved = select(truncated_upwards(rest, b), rest + b, rest);
  return select(equal(rest, 0), copysign(rest, b), moved);
}

}  // namespace

// ---- bits

Tensor bitwise_and(const Operand& a, const Operand& b) { return binary(ir::Op::and_, bit_fields(a, b, "bitwise_and")); }
Tensor bitwise_or(const Operand& a, const Operand& b) { return binary(ir::Op::or_, bit_fields(a, b, "bitwise_or")); }
Tensor bitwise_xor(const Operand& a, const Operand& b) { return binary(ir::Op::xor_, bit_fields(a, b, "bitwise_xor")); }
Tensor bitwise_not(const Operand& x) {
  const One one(x, "bitwise_not", has_bits, "bool and integer", to_integers);
  return apply(ir::Op::not_, {one.x});
}
Tensor left_shift(const Operand& a, const Operand& b) { return binary(ir::Op::shift_left, whole_numbers(a, b, "left_shift")); }
Tensor right_shift(const Operand& a, const Operand& b) { return right_shifted(whole_numbers(a, b, "right_shift")); }

Tensor operator&(const Operand& a, const Operand& b) { return binary(ir::Op::and_, bit_fields(a, b, "operator &")); }
Tensor operator|(const Operand& a, const Operand& b) { return binary(ir::Op::or_, bit_fields(a, b, "operator |")); }
Tensor operator^(const Operand& a, const Operand& b) { return binary(ir::Op::xor_, bit_fields(a, b, "operator ^")); }
Tensor operator<<(const Operand& a, const Operand& b) { return binary(ir::Op::shift_left, whole_numbers(a, b, "operator <<")); }
Tensor operator>>(const Operand& a, const Operand& b) { return right_shifted(whole_numbers(a, b, "operator >>")); }
Tensor operator~(const Operand& x) {
  const One one(x, "operator ~", has_bits, "bool and integer", to_integers);
  return apply(ir::Op::not_, {one.x});
}

Tensor popcount(const Operand& x) {
  const One one(x, "popcount", is_integer, "integer", to_integers);
  return apply(ir::Op::popcnt, {one.x});
}
Tensor count_leading_zeros(const Operand& x) {
  const One one(x, "count_leading_zeros", is_integer, "integer", to_integers);
  return apply(ir::Op::count_leading_zeros, {one.x});
}

Tensor bitcast(const Operand& x, DType dtype) {
  const One one(x, "bitcast", is_number, "numeric", "convert it first: convert(x, u8)");
  if (dtype == boolean)
    one.of.fail(ErrorCode::dtype_mismatch, fmt::format("{} has no bits to read as bool", to_string(one.x)),
                "compare instead: not_equal(x, 0)");
  const std::size_t from = size_of(one.x.dtype()), to = size_of(dtype);
  if (from < to) {
    const auto parts = static_cast<std::int64_t>(to / from);
    if (one.x.rank() == 0 || !(one.x.dim(-1) == Dim(parts)))
      one.of.fail(ErrorCode::shape_mismatch,
                  fmt::format("one {} is made of {} elements of {}, which must be the last axis of {}", name_of(dtype), parts,
                              name_of(one.x.dtype()), to_string(one.x)),
                  fmt::format("reshape x to [..., {}], or convert(x, {}) keeps the values", parts, name_of(dtype)));
  }
  return apply(ir::Op::bitcast_convert, {one.x}, {{"dtype", dtype}});
}

Tensor reduce_precision(const Operand& x, std::int64_t exponent_bits, std::int64_t mantissa_bits) {
  const One one = floating(x, "reduce_precision");
  one.of.require(exponent_bits >= 1 && exponent_bits <= 11, fmt::format("exponent_bits is {}", exponent_bits), "it is one of 1 to 11");
  one.of.require(mantissa_bits >= 0 && mantissa_bits <= 52, fmt::format("mantissa_bits is {}", mantissa_bits), "it is one of 0 to 52");
  return apply(ir::Op::reduce_precision, {one.x}, {{"exponent_bits", exponent_bits}, {"mantissa_bits", mantissa_bits}});
}

// ---- rounding

Tensor round_away(const Operand& x) {
  const One one = floating(x, "round_away");
  return apply(ir::Op::round_nearest_afz, {one.x});
}
Tensor trunc(const Operand& x) {
  const One one = floating(x, "trunc");
  return select(less(one.x, 0), ceil(one.x), floor(one.x));
}
Tensor frac(const Operand& x) {
  const One one = floating(x, "frac");
  // Infinities have no fraction; inf - inf would be NaN.
  return select(equal(abs(one.x), infinity), copysign(zeros_like(one.x), one.x), one.x - trunc(one.x));
}

// ---- division

Tensor fmod(const Operand& a, const Operand& b) { return binary(ir::Op::remainder, numbers(a, b, "fmod")); }

Tensor is_close(const Operand& a, const Operand& b, double relative, double absolute) {
  const Two two(a, b, "is_close", is_floating, "floating", to_floats);
  // The bound of an infinite b is infinite, or NaN: only an equal a is close to it.
  return equal(two.a, two.b) | (is_finite(two.b) & (abs(two.a - two.b) <= absolute + relative * abs(two.b)));
}

Tensor floor_divide(const Operand& a, const Operand& b) {
  const Two two = numbers(a, b, "floor_divide");
  const Tensor rest = remainder(two.a, two.b);
  if (is_integer(two.a.dtype())) return two.a / two.b - convert(truncated_upwards(rest, two.b), two.a.dtype());
  // The remainder is exact, so (a - remainder) / b lies within a rounding of an integer, the truncated quotient; a / b itself may round
  // across it.
  const Tensor quotient = (two.a - rest) / two.b - convert(truncated_upwards(rest, two.b), two.a.dtype());
  const Tensor regular = logical_and(not_equal(two.b, 0), logical_and(is_finite(two.a), is_finite(quotient)));
  const Tensor whole = round(select(regular, quotient, 1));
  // A quotient of 0 has the sign of a / b. By zero, or of infinities, there is only a / b.
  const Tensor plain = two.a / two.b;
  return select(regular, select(equal(whole, 0), copysign(whole, plain), whole), floor(plain));
}

Tensor floor_mod(const Operand& a, const Operand& b) {
  const Two two = numbers(a, b, "floor_mod");
  if (is_floating(two.a.dtype())) return floored_remainder(two.a, two.b);
  const Tensor rest = remainder(two.a, two.b);
  return rest + select(truncated_upwards(rest, two.b), two.b, zeros_like(two.b));
}

// ---- signs and special values

Tensor sign_bit(const Operand& x) {
  const One one(x, "sign_bit", is_number, "numeric", to_floats);
  return is_negative(one.x);
}

Tensor copysign(const Operand& a, const Operand& b) {
  const Two two(a, b, "copysign", is_floating, "floating", to_floats);
  const Tensor magnitude = abs(two.a);
  return select(is_negative(stop_gradient(two.b)), -magnitude, magnitude);
}

Tensor next_after(const Operand& a, const Operand& b) {
  const Two two(a, b, "next_after", is_floating, "floating", to_floats);
  const Tensor from = stop_gradient(two.a), to = stop_gradient(two.b);
  const DType dtype = bits_of(from.dtype());
  // Floats of one sign are ordered as their bits: a step away from 0 adds 1. From 0 it leads to the smallest denormal with b's sign.
  const Tensor bits = bitcast(from, dtype), zero = equal(from, 0), one = ones_like(bits);
  const Tensor away = equal(greater(to, from), greater(from, 0));
  const std::int64_t lowest = size_of(dtype) == 2 ? INT16_MIN : size_of(dtype) == 4 ? INT32_MIN : INT64_MIN;
  const Tensor smallest = select(less(to, 0), lowest + 1, one);
  const Tensor next = bitcast(select(zero, smallest, bits + select(away, one, -one)), from.dtype());
  // NaN of either comes through; where a equals b the result is b, which may be a zero of the other sign.
  const Tensor step = select(equal(from, to), to, next);
  return select(not_equal(from, from), from, select(not_equal(to, to), to, step));
}

Tensor is_nan(const Operand& x) {
  const One one = floating(x, "is_nan");
  return not_equal(one.x, one.x);
}
Tensor is_inf(const Operand& x) {
  const One one = floating(x, "is_inf");
  return equal(abs(one.x), infinity);
}

Tensor nan_to_num(const Operand& x, double nan, std::optional<double> positive, std::optional<double> negative) {
  const One one = floating(x, "nan_to_num");
  const double greatest = one.x.dtype() == f64    ? std::numeric_limits<double>::max()
                          : one.x.dtype() == f32  ? std::numeric_limits<float>::max()
                          : one.x.dtype() == bf16 ? 0x1.FEp127
                                                  : 65504;
  const Tensor bounded =
      select(equal(one.x, infinity), positive.value_or(greatest), select(equal(one.x, -infinity), negative.value_or(-greatest), one.x));
  return select(not_equal(one.x, one.x), nan, bounded);
}

Tensor heaviside(const Operand& x, const Operand& at_zero) {
  const Two two = numbers(x, at_zero, "heaviside");
  const Tensor known = select(less(two.a, 0), zeros_like(two.a), select(greater(two.a, 0), ones_like(two.a), stop_gradient(two.a)));
  return select(equal(two.a, 0), two.b, known);
}

// ---- whole numbers

namespace {
/// Euclid's algorithm on all elements together, until every remainder is 0.
Tensor common_divisor(const Tensor& a, const Tensor& b) {
  const std::vector<Tensor> last =
      while_loop([](const std::vector<Tensor>& now) { return reduce_any(not_equal(now[1], 0)); },
                 [](const std::vector<Tensor>& now) {
                   const Tensor done = equal(now[1], 0);
                   return std::vector<Tensor>{select(done, now[0], now[1]), select(done, now[1], remainder(now[0], now[1]))};
                 },
                 {a, b});
  return abs(last[0]);
}
/// The operands with equal shapes.
void equalise(Two& two) {
  Emitter emitter(*Access::state(two.a), two.of.emitter().op(), two.of.emitter().location());
  ir::ValueId values[] = {emitter.use(two.a), emitter.use(two.b)};
  emitter.broadcast(values);
  two.a = emitter.wrap(values[0]);
  two.b = emitter.wrap(values[1]);
}
}  // namespace

Tensor gcd(const Operand& a, const Operand& b) {
  Two two = whole_numbers(a, b, "gcd");
  equalise(two);
  return common_divisor(two.a, two.b);
}

Tensor lcm(const Operand& a, const Operand& b) {
  Two two = whole_numbers(a, b, "lcm");
  equalise(two);
  const Tensor divisor = common_divisor(two.a, two.b);
  return abs(two.a / select(equal(divisor, 0), ones_like(divisor), divisor) * two.b);
}

}  // namespace kiln

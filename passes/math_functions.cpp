// The functions of the loop IR (exp, log, sin ...) in its arithmetic: range reduction, a polynomial, reconstruction. One algorithm serves
// f32 and f64; coefficients and limits are in math_f32.cpp and math_f64.cpp. No tables and no branches on data except where said, so that
// everything vectorises.
//
// Conventions. NaN, infinities, signed zeros and denormals come out as C's functions give them. Error bounds that
// tests/schedules/math_test.cpp checks, in ULP: 2, for f64 power 4 and for tan 4; sin, cos and tan for |x| up to 2^40, where the reduction
// by a three-part pi/2 ends; beyond it sin and cos return values within [-1, 1] that mean nothing.
#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "passes/math_code.h"

namespace kiln::passes {

using ir::LoopOp;

Value Code::append(ir::Instruction instruction, const ir::RegisterType& type) {
  instruction.type = type;
  kernel_.registers.push_back(type);
  instruction.results = {static_cast<ir::RegisterId>(kernel_.registers.size() - 1)};
  out_.push_back(std::move(instruction));
  return {this, out_.back().results[0]};
}

Value Code::apply(LoopOp op, DType dtype, std::initializer_list<Value> operands) {
  ir::Instruction instruction;
  instruction.op = op;
  ir::RegisterType result{dtype};
  for (const Value& operand : operands) {
    const ir::RegisterType& t = type(operand);
    result.rows = std::max(result.rows, t.rows);
    result.cols = std::max(result.cols, t.cols);
    result.lanes = std::max(result.lanes, t.lanes);
    instruction.operands.push_back(operand.id);
  }
  return append(std::move(instruction), result);
}

Value Code::compare(ir::Comparison comparison, Value a, Value b) {
  const Value result = apply(LoopOp::compare, DType::boolean, {a, b});
  out_.back().comparison = comparison;
  return result;
}

Value Code::broadcast(Value a, const ir::RegisterType& wanted) {
  if (type(a) == wanted) return a;
  ir::Instruction instruction;
  instruction.op = LoopOp::broadcast;
  instruction.operands = {a.id};
  return append(std::move(instruction), wanted);
}

std::vector<Value> Code::repeat(std::int64_t count, const std::vector<Value>& initial, const Round& body) {
  ir::Instruction loop;
  loop.op = LoopOp::for_;
  loop.indices = {ir::Dim(0), ir::Dim(count), ir::Dim(1)};
  ir::Block block;
  Code inner(kernel_, block.instructions);
  const auto new_register = [&](Value like) {
    kernel_.registers.push_back(type(like));
    return static_cast<ir::RegisterId>(kernel_.registers.size() - 1);
  };
  std::vector<Value> current, last;
  for (const Value& value : initial) {
    loop.operands.push_back(value.id);
    block.parameters.push_back(new_register(value));
    current.push_back(inner.value(block.parameters.back()));
  }
  loop.name = fmt::format("round{}", block.parameters[0]);  // register ids are unique in the kernel
  ir::Instruction yield;
  yield.op = LoopOp::yield;
  for (const Value& next : body(inner, current)) yield.operands.push_back(next.id);
  block.instructions.push_back(std::move(yield));
  loop.blocks.push_back(std::move(block));
  for (const Value& value : initial) {
    loop.results.push_back(new_register(value));
    last.push_back({this, loop.results.back()});
  }
  out_.push_back(std::move(loop));
  return last;
}

Value Code::any(Value mask) {
  for (const ir::Axis axis : {ir::Axis::rows, ir::Axis::cols, ir::Axis::lanes}) {
    ir::RegisterType folded = type(mask);
    (axis == ir::Axis::rows ? folded.rows : axis == ir::Axis::cols ? folded.cols : folded.lanes) = 1;
    if (folded == type(mask)) continue;
    ir::Instruction instruction;
    instruction.op = LoopOp::reduce;
    instruction.operands = {mask.id};
    instruction.axis = axis;
    instruction.combiner = LoopOp::or_;
    mask = append(std::move(instruction), folded);
  }
  return mask;
}

Value Code::constant(const ir::Literal& literal) {
  for (const auto& [known, id] : constants_)
    if (known == literal) return {this, id};
  ir::Instruction instruction;
  instruction.op = LoopOp::constant;
  instruction.literal = literal;
  const Value value = append(std::move(instruction), ir::RegisterType{literal.dtype});
  constants_.emplace_back(literal, value.id);
  return value;
}

Value polynomial(std::span<const double> c, Value x) {
  Value sum = like(x, c.back());
  for (std::size_t i = c.size() - 1; i-- > 0;) sum = fma(sum, x, like(x, c[i]));
  return sum;
}

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

class Functions {
 public:
  Functions(Code& code, const FloatFormat& format) : code_(code), f_(format) {}

  /// x * factor to the nearest integer, as a float and as an integer, for results below 2^(mantissa_bits - 1): adding 1.5 * 2^mantissa_bits
  /// leaves the integer in the low bits. Cheaper than a conversion, which must saturate. NaN gives NaN and any integer.
  struct Nearest {
    Value number, integer;
  };
  Nearest nearest_multiple(Value x, double factor) {
    const Value magic = like(x, 1.5 * (f_.mantissa_bits == 23 ? 0x1p23 : 0x1p52));
    const Value shifted = fma(x, factor, magic);
    return {shifted - magic, bitcast(shifted, f_.integer) - bitcast(magic, f_.integer)};
  }

  /// n = round(x / ln 2), r = x - n ln 2; x within [exp_low, exp_high].
  struct ExpParts {
    Value n, r;  // n as an integer
  };
  ExpParts reduce_exp(Value x) {
    const auto [n, i] = nearest_multiple(x, 1 / 0.693147180559945309417);
    return {i, fma(-n, f_.ln2_low, fma(-n, f_.ln2_high, x))};
  }

  Value power_of_two(Value exponent) { return bitcast(shift_left(exponent + integer(f_.bias), f_.mantissa_bits), f_.real); }

  /// p * 2^n in two steps, so that neither factor overflows and a denormal result is rounded once.
  Value scale(Value p, Value n) {
    const Value half = shift_right(n, 1);
    return p * power_of_two(half) * power_of_two(n - half);
  }

  Value exp(Value x) {
    const auto [n, r] = reduce_exp(minimum(maximum(x, like(x, f_.exp_low)), like(x, f_.exp_high)));
    const Value p = fma(r * r, polynomial(f_.exp, r), r) + 1;
    return scale(p, n);
  }

  Value expm1(Value x) {
    const double low = f_.mantissa_bits == 23 ? -20 : -40;  // -1 already
    const auto [n, r] = reduce_exp(minimum(maximum(x, like(x, low)), like(x, f_.exp_high)));
    const Value p = fma(r * r, polynomial(f_.expm1, r), r);
    // 2^n (p + 1) - 1 = 2 (p 2^(n-1) + (2^(n-1) - 1/2)): the power stays finite. Small x, and the zeros' signs, are x itself.
    const Value s = power_of_two(n - integer(1));
    const Value result = 2 * fma(p, s, s - 0.5);
    return select(abs(x) < small(), x, result);
  }

  /// x = 2^e (1 + f), 1 + f within [sqrt(1/2), sqrt(2)); x positive and normal.
  struct Split {
    Value exponent, fraction;
  };
  Split split(Value x) {
    const Value base = bitcast(like(x, 0.70710678118654752), f_.integer);
    const Value bits = bitcast(x, f_.integer), shifted = bits - base;
    const Value e = shift_right(shifted, f_.mantissa_bits);
    const Value m = bitcast(bits - shift_left(e, f_.mantissa_bits), f_.real);
    return {convert(e, f_.real), m - 1};
  }

  /// As split(), for any positive finite x.
  Split split_any(Value x) {
    const double factor = f_.mantissa_bits == 23 ? 0x1p25 : 0x1p54;
    const Value tiny = x < f_.min_normal;
    Split s = split(select(tiny, x * factor, x));
    s.exponent = s.exponent - select(tiny, like(x, f_.mantissa_bits == 23 ? 25 : 54), 0.0);
    return s;
  }

  /// The logarithm of a positive finite x.
  Value log_finite(Value x) {
    const auto [e, f] = split_any(x);
    const Value s = f / (f + 2), z = s * s, rest = z * polynomial(f_.log, z), half_square = f * f * 0.5;
    // log(1 + f) = f - (f^2/2 - s (f^2/2 + rest)): f^2/2 and f are exact or nearly so, the correction is small.
    return fma(e, f_.ln2_short, f - (half_square - fma(s, half_square + rest, e * f_.ln2_rest)));
  }

  /// `result` for positive finite x, and what log gives otherwise.
  Value log_edges(Value x, Value result) {
    const Value regular = (x > 0.0) & (x < infinity);
    const Value edge = select(equal(x, 0.0), -infinity, select(x < 0.0, nan, x));
    return select(regular, result, edge);
  }

  Value log(Value x) { return log_edges(x, log_finite(x)); }

  Value log1p(Value x) {
    // log(1 + x) = log(u) + (x - (u - 1)) / u with u = 1 + x rounded.
    const Value u = x + 1;
    const Value lost = (x - (u - 1)) / u;
    const Value regular = (u > 0.0) & (u < infinity);
    const Value result = log_finite(u) + lost;
    const Value edge = select(equal(u, 0.0), -infinity, select(u < 0.0, nan, u));
    return select(abs(x) < small(), x, select(regular, result, edge));
  }

  Value cbrt(Value x) {
    const Value a = abs(x);
    // a = 2^e m, 1 <= m < 2; e = 3 q + remainder; m 2^remainder within [1, 8).
    const bool narrow = f_.mantissa_bits == 23;
    const Value tiny = a < f_.min_normal;
    const Value bits = bitcast(select(tiny, a * (narrow ? 0x1p24 : 0x1p54), a), f_.integer);
    const Value e = shift_right(bits, f_.mantissa_bits) - integer(f_.bias);
    const Value q = nearest_multiple(convert(e, f_.real) - 1, 1.0 / 3).integer;  // floor(e / 3): the nearest to (e - 1) / 3
    const Value m = bitcast(bits - shift_left(q + q + q, f_.mantissa_bits), f_.real);
    // Relative error 2^-9, cubed by each step of Halley's iteration.
    static constexpr double start[] = {0.627294421, 0.449194133, -0.0837752745, 0.00958385319, -0.000432102766};
    Value t = polynomial(start, m);
    for (int i = 0; i < (narrow ? 1 : 2); ++i) {
      const Value cube = t * t * t;
      t = t - t * ((cube - m) / (cube + cube + m));
    }
    // One Newton step with the residual t^3 - m exact to twice the precision.
    const Value square = t * t, square_low = fma(t, t, -square);
    const Value residual = fma(square_low, t, fma(square, t, -m));
    t = t - residual / (square * 3);
    const Value shift = q - select(tiny, integer(narrow ? 8 : 18), integer(0));
    const Value result = with_sign(t * power_of_two(shift), x);
    return select((a > 0.0) & (a < infinity), result, x);
  }

  Value tanh(Value x) {
    const Value a = abs(x), z = x * x;
    const Value near = fma(a * z, polynomial(f_.tanh, z), a);
    const Value far = 1 - 2 / (exp(a + a) + 1);
    return with_sign(select(a < 0.625, near, far), x);
  }

  Value logistic(Value x) {
    // e^-|x| cannot overflow.
    const Value e = exp(-abs(x));
    return select(x < 0.0, e, 1.0) / (e + 1);
  }

  Value erf(Value x) {
    const Value a = abs(x), z = x * x;
    const Value near = fma(x, polynomial(f_.erf, z), x);
    const Value clamped = minimum(a, like(a, f_.erf_limit));
    const Value far = 1 - exp(-polynomial(f_.erfc, clamped));
    return select(a < 1.0, near, with_sign(far, x));
  }

  /// x = k pi/2 + r, |r| <= pi/4; k modulo 2^31 or so as an integer.
  struct Quadrant {
    Value k, r;
  };
  Quadrant reduce_quadrant(Value x) {
    const auto [n, k] = nearest_multiple(x, 0.63661977236758134308);
    const Value minus = -n;
    const Value r = fma(minus, f_.half_pi[2], fma(minus, f_.half_pi[1], fma(minus, f_.half_pi[0], x)));
    return {k, r};
  }

  Value sine_of(Value r) {
    const Value z = r * r;
    return fma(r * z, polynomial(f_.sin, z), r);
  }
  Value cosine_of(Value r) {
    const Value z = r * r;
    return fma(z * z, polynomial(f_.cos, z), fma(z, -0.5, like(z, 1)));
  }
  Value tangent_of(Value r) {
    const Value z = r * r;
    return fma(r * z, polynomial(f_.tan, z), r);
  }

  /// sin (offset 0) or cos (offset 1).
  Value sine(Value x, int offset) {
    auto [k, r] = reduce_quadrant(x);
    r = bounded(r);
    if (offset != 0) k = k + integer(offset);
    const Value odd = equal(k & integer(1), integer(1));
    const Value value = select(odd, cosine_of(r), sine_of(r));
    const Value sign = shift_left(k & integer(2), f_.mantissa_bits == 23 ? 30 : 62);
    const Value result = bitcast(bitcast(value, f_.integer) ^ sign, f_.real);
    return offset == 0 ? select(equal(x, 0.0), x, result) : result;
  }

  Value tan(Value x) {
    auto [k, r] = reduce_quadrant(x);
    const Value t = tangent_of(bounded(r));
    const Value odd = equal(k & integer(1), integer(1));
    return select(equal(x, 0.0), x, select(odd, -1 / t, t));
  }

  Value atan2(Value y, Value x) {
    const Value ax = abs(x), ay = abs(y);
    const Value steep = ay > ax;
    const Value high = select(steep, ay, ax), low = select(steep, ax, ay);
    // atan(low / high); above tan(pi/8) as pi/4 + atan((low - high) / (low + high)), scaled so that the sum stays finite. 0 / 0 is 0, inf /
    // inf is 1 here.
    const Value upper = (low > high * 0.41421356237309503) | equal(low, infinity);
    const Value factor = select(high > 1.0, like(x, 0.25), 1.0);
    const Value l = low * factor, h = high * factor;
    const Value quotient = select(upper, l - h, low) / select(upper, l + h, high);
    const Value t = select(equal(high, 0.0) | equal(low, infinity), 0.0, quotient), z = t * t;
    Value angle = fma(t * z, polynomial(f_.atan, z), t);
    angle = select(upper, (angle + 0.5 * f_.half_pi[1]) + 0.5 * f_.half_pi[0], angle);
    angle = select(steep, f_.half_pi[0] - (angle - f_.half_pi[1]), angle);
    const Value left = bitcast(x, f_.integer) < integer(0);
    angle = select(left, 2 * f_.half_pi[0] - (angle - 2 * f_.half_pi[1]), angle);
    return select(is_nan(x) | is_nan(y), x + y, with_sign(angle, y));
  }

  /// log of a positive finite x as an unevaluated sum, to about 65 bits.
  std::pair<Value, Value> log_double(Value x) {
    const auto [e, f] = split_any(x);
    const Value sum = f + 2, sum_low = f - (sum - 2);
    const Value s = f / sum, s_low = (fma(-s, sum, f) - s * sum_low) / sum;  // s + s_low = f / (2 + f)
    const Value z = s * s, z_low = fma(s, s, -z) + 2 * (s * s_low);
    // 2 s + s^3 (2/3 + z tail): the first term of the series in two parts as well.
    static constexpr double two_thirds = 0x1.5555555555555p-1, two_thirds_low = 0x1.5555555555555p-55;
    static constexpr double tail[] = {0x1.9999999999b30p-2, 0x1.2492492457dbbp-2, 0x1.c71c722d5d974p-3, 0x1.745ce9e67bdfep-3,
                                      0x1.3b1eeb76faba0p-3, 0x1.0f7ff757586ccp-3, 0x1.0e422aca551b4p-3};  // 2^-65.3
    const Value g = z * two_thirds;
    const Value g_low = fma(z, like(z, two_thirds), -g) + (z * two_thirds_low + z_low * two_thirds) + z * z * polynomial(tail, z);
    const Value c = s * g, c_low = fma(s, g, -c) + (s * g_low + s_low * g);
    // e ln2 + 2 s + c, largest first.
    const Value a = e * f_.ln2_short, a_low = e * f_.ln2_rest;  // the first product is exact
    const auto [h1, l1] = two_sum(a, s + s);
    const auto [h2, l2] = two_sum(h1, c);
    const Value low = (l1 + l2) + ((a_low + 2 * s_low) + c_low);
    return fast_two_sum(h2, low);
  }

  Value power(Value x, Value y) {
    const Value a = abs(x);
    Value magnitude = x;
    if (f_.mantissa_bits == 23) {
      // f64 carries more than twice the bits: log and exp there, rounded once.
      Functions wide(code_, f64_format);
      const Value a64 = convert(a, DType::f64);
      magnitude = convert(wide.exp(convert(y, DType::f64) * wide.log(a64)), DType::f32);
    } else {
      const auto [high, low] = log_double(a);
      const Value p = y * high, p_low = fma(y, high, -p) + y * low;
      // e^(p + p_low) = e^p (1 + p_low); where p is no number of use, the plain product decides.
      const Value plain = exp(p);
      const Value usable = (a > 0.0) & (a < infinity) & (plain > 0.0) & (plain < infinity);
      magnitude = select(usable, fma(plain, p_low, plain), exp(y * log(a)));
    }
    const Value whole = equal(floor(y), y), half = y * 0.5;
    const Value odd = whole & (abs(y) < (f_.mantissa_bits == 23 ? 0x1p24 : 0x1p53)) & ~equal(floor(half), half);
    const Value negative = bitcast(x, f_.integer) < integer(0);
    Value result = select(negative & odd, -magnitude, magnitude);
    result = select((x < 0.0) & (x > -infinity) & ~whole, nan, result);
    result = select(equal(a, 1.0) & ~is_nan(y) & (whole | (x > 0.0)), select(negative & odd, like(x, -1), 1.0), result);
    return select(equal(y, 0.0) | equal(x, 1.0), 1.0, result);
  }

 private:
  Value integer(std::int64_t value) { return code_.bits(f_.integer, value); }
  /// Below this, x + O(x^2) is x.
  double small() const { return f_.mantissa_bits == 23 ? 0x1p-26 : 0x1p-55; }
  /// The magnitude of `a` (whose sign bit is clear) with the sign of `sign`.
  Value with_sign(Value a, Value sign) {
    const Value bit = bitcast(sign, f_.integer) & shift_left(integer(1), f_.mantissa_bits == 23 ? 31 : 63);
    return bitcast(bitcast(a, f_.integer) | bit, f_.real);
  }
  /// Keeps what a reduction beyond its range leaves within reach of the polynomials.
  Value bounded(Value r) { return minimum(maximum(r, like(r, -0.786)), like(r, 0.786)); }
  static std::pair<Value, Value> two_sum(Value a, Value b) {
    const Value s = a + b, t = s - a;
    return {s, (a - (s - t)) + (b - t)};
  }
  static std::pair<Value, Value> fast_two_sum(Value a, Value b) {
    const Value s = a + b;
    return {s, b - (s - a)};
  }

  Code& code_;
  const FloatFormat& f_;
};

/// a^b of integers: square and multiply over all bits of b. A negative exponent leaves something only of 1 and -1.
Value integer_power(Value a, Value b) {
  Code& code = *a.code;
  const DType dtype = dtype_of(a);
  ir::RegisterType full = code.type(a);
  const ir::RegisterType& other = code.type(b);
  full.rows = std::max(full.rows, other.rows);
  full.cols = std::max(full.cols, other.cols);
  full.lanes = std::max(full.lanes, other.lanes);
  const auto multiplied = [](Code& inner, Value result, Value base, Value rest) {
    const Value one = inner.bits(dtype_of(rest), 1);
    return select(equal(rest & one, one), result * base, result);
  };
  const Value one = code.bits(dtype, 1);
  const std::vector<Value> last = code.repeat(static_cast<std::int64_t>(8 * size_of(dtype)) - 1,
                                              {code.broadcast(one, full), code.broadcast(a, full), code.broadcast(b, full)},
                                              [&](Code& inner, const std::vector<Value>& now) -> std::vector<Value> {
                                                return {multiplied(inner, now[0], now[1], now[2]), now[1] * now[1],
                                                        inner.apply(LoopOp::shift_right_logical, dtype, {now[2], inner.bits(dtype, 1)})};
                                              });
  const Value result = multiplied(code, last[0], last[1], last[2]);
  if (!is_signed_integer(dtype)) return result;
  const Value zero = code.bits(dtype, 0), minus_one = code.bits(dtype, -1);
  const Value sign = select(equal(b & one, one), minus_one, one);
  const Value inverse = select(equal(a, one), one, select(equal(a, minus_one), sign, zero));
  return select(b < zero, inverse, result);
}

Value call(Functions& f, LoopOp op, std::span<const Value> a) {
  switch (op) {
    case LoopOp::exp: return f.exp(a[0]);
    case LoopOp::expm1: return f.expm1(a[0]);
    case LoopOp::log: return f.log(a[0]);
    case LoopOp::log1p: return f.log1p(a[0]);
    case LoopOp::cbrt: return f.cbrt(a[0]);
    case LoopOp::tanh: return f.tanh(a[0]);
    case LoopOp::logistic: return f.logistic(a[0]);
    case LoopOp::erf: return f.erf(a[0]);
    case LoopOp::sin: return f.sine(a[0], 0);
    case LoopOp::cos: return f.sine(a[0], 1);
    case LoopOp::tan: return f.tan(a[0]);
    case LoopOp::power: return f.power(a[0], a[1]);
    case LoopOp::atan2: return f.atan2(a[0], a[1]);
    default: throw InternalError("expand_math: not a function");
  }
}

}  // namespace

Value expand_function(LoopOp op, std::span<const Value> operands) {
  Code& code = *operands[0].code;
  if (is_integer(dtype_of(operands[0]))) return integer_power(operands[0], operands[1]);
  if (dtype_of(operands[0]) == DType::f64) {
    Functions functions(code, f64_format);
    return call(functions, op, operands);
  }
  Functions functions(code, f32_format);
  if (op != LoopOp::sin && op != LoopOp::cos && op != LoopOp::tan) return call(functions, op, operands);
  // f32 angles beyond the reach of an f32 pi/2 go through f64; rare, so the whole register branches.
  const Value far = code.any(abs(operands[0]) > f32_format.sincos_limit);
  const ir::RegisterId x = operands[0].id;
  return code.branch(
      far,
      [&](Code& inner) {
        Functions wide(inner, f64_format);
        const Value angle[] = {convert(inner.value(x), DType::f64)};
        return convert(call(wide, op, angle), DType::f32);
      },
      [&](Code& inner) {
        Functions narrow(inner, f32_format);
        const Value angle[] = {inner.value(x)};
        return call(narrow, op, angle);
      });
}

}  // namespace kiln::passes

// Exponential, logarithmic, trigonometric and hyperbolic functions (kiln/special.h) as composites of primitives, each with the identity
// that loses no digits.
//
// A function whose derived gradient would lose digits, or be 0 * inf at an edge, states its derivative in primitives; that one is derived
// again for higher orders.
#include "kiln/special.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "frontend/wide.h"
#include "kiln/gradients.h"
#include "kiln/operators.h"

namespace kiln {

using namespace detail;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// A public function of two floating tensors, which f sees with equal shapes, f16 and bf16 as f32.
Tensor element_function(const Operand& a, const Operand& b, const char* name,
                        const std::function<Tensor(const Tensor&, const Tensor&)>& f) {
  Composite of({&a, &b}, name);
  const Tensor p = of.tensor(a), q = of.tensor(b);
  of.require_floating(p);
  Emitter emitter(of.state(), name, of.emitter().location());
  ir::ValueId values[] = {emitter.use(p), emitter.use(q)};
  emitter.broadcast(values);
  const Tensor right = emitter.wrap(values[1]);
  return in_wide(emitter.wrap(values[0]), [&](const Tensor& left) { return f(left, convert(right, left.dtype())); });
}

/// As with_derivative(), for two operands of one shape.
using TwoDerivatives = std::function<std::vector<Tensor>(const Tensor& a, const Tensor& b, const Tensor& result)>;
Tensor with_derivatives(const Tensor& a, const Tensor& b, const char* name, const std::function<Tensor(const Tensor&, const Tensor&)>& f,
                        const TwoDerivatives& derivatives) {
  return custom_gradient(
      {a, b}, [&](const std::vector<Tensor>& in) { return std::vector<Tensor>{f(in[0], in[1])}; },
      [&](const std::vector<Tensor>& in, const std::vector<Tensor>& out, const std::vector<Tensor>& cotangent) {
        std::vector<Tensor> result = derivatives(in[0], in[1], out[0]);
        for (Tensor& factor : result) factor = cotangent[0] * factor;
        return result;
      },
      name)[0];
}

/// x = m 2^e with m in [sqrt(1/2), sqrt(2)), for positive finite x; e and the power carry no gradient. f64 only.
struct Split {
  Tensor mantissa, exponent;
};
Split split(const Tensor& x) {
  const Tensor tiny = less(x, 0x1p-1022);
  const Tensor bits = bitcast(stop_gradient(select(tiny, x * 0x1p54, x)), i64);
  constexpr std::int64_t root_half = 0x3FE6A09E667F3BCD;  // the bits of sqrt(1/2)
  const Tensor steps = right_shift(bits - root_half, 52);
  const Tensor scale = bitcast(left_shift(1023 - steps, 52), f64);
  const Tensor scaled = select(tiny, x * 0x1p54, x);
  return {scaled * scale, convert(select(tiny, steps - 54, steps), f64)};
}

/// A logarithm to another base: of the mantissa, so that powers of 2 are exact and nothing is lost near 1, plus the exponent's. `high` has
/// so few digits that its product with an exponent is exact.
Tensor logarithm(const Tensor& x, double per_unit, double high, double low) {
  const Tensor regular = logical_and(greater(x, 0), less(x, infinity));
  const Split parts = split(select(regular, x, 1));
  const Tensor finite = parts.exponent * high + (parts.exponent * low + per_unit * log(parts.mantissa));
  return select(regular, finite, log(select(regular, 1, x)));
}

/// 1 / sqrt(1 + x^2); x^2 may overflow. Smooth at 0: |x| stands only where x is large.
Tensor inverse_hypotenuse(const Tensor& x) {
  const Tensor large = greater(abs(x), 1), inverse = reciprocal(select(large, abs(x), 1));
  return select(large, inverse * rsqrt(1 + square(inverse)), rsqrt(1 + square(select(large, 0, x))));
}

/// `magnitude`, which is not negative, with the sign of x.
Tensor signed_as(const Tensor& magnitude, const Tensor& x) { return copysign(magnitude, x); }

}  // namespace

// ---- exponentials and logarithms

Tensor exp2(const Operand& x) {
  return element_function(x, "exp2", [](const Tensor& t) {
    const bool narrow = t.dtype() == f32;
    const Tensor bounded = minimum(maximum(t, narrow ? -160 : -1100), narrow ? 160 : 1100);
    // 2^t = e^(r ln 2) 2^n with the integer n nearest to t. Two factors for 2^n: each is a normal number.
    const Tensor n = round(stop_gradient(bounded));
    const DType integer = narrow ? i32 : i64;
    const Tensor steps = convert(n, integer), half = right_shift(steps, 1);
    const auto power_of_two = [&](const Tensor& k) { return bitcast(left_shift(k + (narrow ? 127 : 1023), narrow ? 23 : 52), t.dtype()); };
    return exp((bounded - n) * std::numbers::ln2) * power_of_two(half) * power_of_two(steps - half);
  });
}

Tensor log2(const Operand& x) {
  return precise_function(x, "log2", [](const Tensor& t) { return logarithm(t, std::numbers::log2e, 1, 0); });
}

Tensor log10(const Operand& x) {
  return precise_function(x, "log10",
                          [](const Tensor& t) { return logarithm(t, std::numbers::log10e, 0x1.34413509f6p-2, 0x1.9fef311f12b36p-42); });
}

Tensor logaddexp(const Operand& a, const Operand& b) {
  return element_function(a, b, "logaddexp", [](const Tensor& p, const Tensor& q) {
    // Equal infinities differ by 0.
    const auto difference = [](const Tensor& u, const Tensor& v) {
      const Tensor same = equal(u, v);
      return select(same, 0, select(same, 0, u) - select(same, 0, v));
    };
    return with_derivatives(
        p, q, "logaddexp", [&](const Tensor& u, const Tensor& v) { return maximum(u, v) + log1p(exp(-abs(difference(u, v)))); },
        [&](const Tensor& u, const Tensor& v, const Tensor&) {
          const Tensor d = difference(u, v);
          return std::vector<Tensor>{sigmoid(d), sigmoid(-d)};
        });
  });
}

Tensor logit(const Operand& x) {
  return element_function(x, "logit", [](const Tensor& t) {
    // Around 1/2 the logarithm's argument is near 1: log1p of the exact difference. Elsewhere the quotient has all its digits.
    const Tensor middle = logical_and(greater(t, 0.3), less(t, 0.7));
    const Tensor inner = select(middle, t, 0.5), outer = select(middle, 0.25, t);
    return select(middle, log1p((2 * inner - 1) / (1 - inner)), log(outer / (1 - outer)));
  });
}

Tensor xlogy(const Operand& a, const Operand& b) {
  return element_function(a, b, "xlogy", [](const Tensor& p, const Tensor& q) {
    const Tensor ordinary = logical_and(greater(q, 0), less(q, infinity));
    const Tensor nothing = logical_and(equal(p, 0), logical_and(equal(q, q), logical_not(ordinary)));
    return select(nothing, 0, p * log(select(nothing, 1, q)));
  });
}

// ---- trigonometric functions

Tensor asin(const Operand& x) {
  return element_function(x, "asin", [](const Tensor& t) {
    return with_derivative(
        t, "asin", [](const Tensor& v) { return atan2(v, sqrt((1 - v) * (1 + v))); },
        [](const Tensor& v, const Tensor&) { return rsqrt((1 - v) * (1 + v)); });
  });
}

Tensor acos(const Operand& x) {
  return element_function(x, "acos", [](const Tensor& t) {
    return with_derivative(
        t, "acos", [](const Tensor& v) { return atan2(sqrt((1 - v) * (1 + v)), v); },
        [](const Tensor& v, const Tensor&) { return -rsqrt((1 - v) * (1 + v)); });
  });
}

Tensor atan(const Operand& x) {
  return element_function(x, "atan", [](const Tensor& t) {
    return with_derivative(
        t, "atan", [](const Tensor& v) { return atan2(v, ones_like(v)); },
        [](const Tensor& v, const Tensor&) { return square(inverse_hypotenuse(v)); });
  });
}

Tensor hypot(const Operand& a, const Operand& b) {
  return element_function(a, b, "hypot", [](const Tensor& p, const Tensor& q) {
    return with_derivatives(
        p, q, "hypot",
        [](const Tensor& u, const Tensor& v) {
          const Tensor s = abs(u), t = abs(v);
          const Tensor large = maximum(s, t), small = minimum(s, t);
          const Tensor ratio = small / select(equal(large, 0), 1, large);
          const Tensor unbounded = logical_or(equal(s, infinity), equal(t, infinity));
          return select(unbounded, infinity, large * sqrt(1 + square(ratio)));
        },
        [](const Tensor& u, const Tensor& v, const Tensor& length) {
          const Tensor safe = select(equal(length, 0), 1, length);
          return std::vector<Tensor>{u / safe, v / safe};
        });
  });
}

Tensor sinc(const Operand& x) {
  return element_function(x, "sinc", [](const Tensor& t) {
    // Near 0 its power series, whose derivatives of all orders are right.
    static constexpr double series[] = {1,
                                        -1.0 / 6,
                                        1.0 / 120,
                                        -1.0 / 5040,
                                        1.0 / 362880,
                                        -1.0 / 39916800,
                                        1.0 / 6227020800.0,
                                        -1.0 / 1307674368000.0,
                                        1.0 / 355687428096000.0};
    const Tensor near = less(abs(t), 0.25);
    const Tensor inner = std::numbers::pi * select(near, t, 0), outer = select(near, 1, t);
    // sin(pi t) through the exact distance to the nearest integer: pi t alone would have lost digits where t is large.
    const Tensor whole = round(stop_gradient(outer));
    const Tensor odd = not_equal(whole - 2 * floor(whole * 0.5), 0);
    const Tensor rest = sin(std::numbers::pi * (outer - whole));
    const Tensor finite = select(odd, -rest, rest) / (std::numbers::pi * outer);
    return select(near, polynomial(series, square(inner)), select(equal(abs(t), infinity), 0, finite));
  });
}

Tensor degrees(const Operand& x) {
  return element_function(x, "degrees", [](const Tensor& t) { return t * (180 / std::numbers::pi); });
}
Tensor radians(const Operand& x) {
  return element_function(x, "radians", [](const Tensor& t) { return t * (std::numbers::pi / 180); });
}

// ---- hyperbolic functions

namespace {
/// sinh(x) = 2 sinh(x/2) cosh(x/2) and cosh(x) = 1 + 2 sinh(x/2)^2, with u = e^(x/2) - 1 and v = e^(-x/2) - 1: no cancellation near 0, no
/// overflow before the result's, and the derived gradients are the same formulas again.
struct HalfExponentials {
  Tensor difference, sum;  // u - v = 2 sinh(x/2) and u + v + 2 = 2 cosh(x/2)
};
HalfExponentials half_exponentials(const Tensor& x) {
  const Tensor u = expm1(x * 0.5), v = expm1(x * -0.5);
  return {u - v, u + v + 2};
}
}  // namespace

Tensor sinh(const Operand& x) {
  return element_function(x, "sinh", [](const Tensor& t) {
    const HalfExponentials half = half_exponentials(t);
    return half.difference * 0.5 * half.sum;
  });
}

Tensor cosh(const Operand& x) {
  return element_function(x, "cosh", [](const Tensor& t) {
    const Tensor difference = half_exponentials(t).difference;
    return difference * 0.5 * difference + 1;
  });
}

Tensor asinh(const Operand& x) {
  return element_function(x, "asinh", [](const Tensor& t) {
    return with_derivative(
        t, "asinh",
        [](const Tensor& v) {
          const Tensor a = abs(v), large = greater(a, 0x1p28);
          const Tensor b = select(large, 1, a), square_of_b = square(b);
          const Tensor moderate = log1p(b + square_of_b / (1 + sqrt(1 + square_of_b)));
          return signed_as(select(large, log(a) + std::numbers::ln2, moderate), v);
        },
        [](const Tensor& v, const Tensor&) { return inverse_hypotenuse(v); });
  });
}

Tensor acosh(const Operand& x) {
  return element_function(x, "acosh", [](const Tensor& t) {
    return with_derivative(
        t, "acosh",
        [](const Tensor& v) {
          const Tensor large = greater(v, 0x1p28), above = select(large, 1, v) - 1;
          return select(large, log(v) + std::numbers::ln2, log1p(above + sqrt(above * (above + 2))));
        },
        [](const Tensor& v, const Tensor&) { return rsqrt(v - 1) * rsqrt(v + 1); });
  });
}

Tensor atanh(const Operand& x) {
  return element_function(x, "atanh", [](const Tensor& t) {
    return with_derivative(
        t, "atanh",
        [](const Tensor& v) {
          const Tensor a = abs(v);
          return signed_as(0.5 * log1p(2 * a / (1 - a)), v);
        },
        [](const Tensor& v, const Tensor&) { return reciprocal((1 - v) * (1 + v)); });
  });
}

}  // namespace kiln

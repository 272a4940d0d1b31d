// The Hurwitz zeta function (kiln/special.h), by the Euler-Maclaurin formula:
//
//   zeta(s, q) = sum of (q + k)^-s over k < N  +  y^(1-s) / (s - 1) + y^-s / 2 + sum of B(2j)/(2j)! s (s+1) ... (s+2j-2) y^(-s-2j+1),   y =
//   q + N
//
// With N = 10 and twelve of the last terms the rest is below the last digit for every q > 0: where s is so large that the terms do not
// fall, y^-s is nothing beside q^-s. For q < 0 and whole s, terms below and above zero are two sums of the same kind, with f the fraction
// of |q|:
//
//   zeta(s, q) = zeta(s, 1 - f) + (-1)^s (zeta(s, f) - zeta(s, |q| + 1))
#include <limits>

#include "frontend/composite.h"
#include "kiln/special.h"

namespace kiln {

using namespace detail;

namespace {

Tensor zeta_of_positive(const Tensor& s, const Tensor& q) {
  constexpr int terms = 10;
  constexpr double bernoulli_over_factorial[] = {// B(2j) / (2j)!
                                                 1.0 / 12,
                                                 -1.0 / 720,
                                                 1.0 / 30240,
                                                 -1.0 / 1209600,
                                                 1.0 / 47900160,
                                                 -691.0 / 1307674368000,
                                                 1.0 / 74724249600,
                                                 -3617.0 / 10670622842880000,
                                                 43867.0 / 5109094217170944000,
                                                 -174611.0 / 802857662698291200000.0,
                                                 77683.0 / 14101100039391805440000.0,
                                                 -236364091.0 / 1693824136731743669452800000.0};
  Tensor sum = power(q, -s);
  for (int k = 1; k < terms; ++k) sum = sum + power(q + k, -s);
  const Tensor y = q + terms, at_end = power(y, -s), inverse = reciprocal(y);
  sum = sum + y * at_end / (s - 1) + 0.5 * at_end;
  Tensor factor = s * at_end * inverse;
  for (int j = 1; j <= 12; ++j) {
    sum = sum + bernoulli_over_factorial[j - 1] * factor;
    factor = factor * (s + (2 * j - 1)) * (s + 2 * j) * square(inverse);
  }
  return sum;
}

}  // namespace

Tensor zeta(const Operand& s_, const Operand& q_) {
  Composite of({&s_, &q_}, "zeta");
  const Tensor given = of.tensor(s_);
  of.require_floating(given);
  const Tensor s = convert(given, f64), q = convert(of.tensor(q_), f64);
  constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor negative = less(q, 0), magnitude = abs(q), whole = floor(magnitude), fraction = magnitude - whole;
  const Tensor pole = logical_and(less_equal(q, 0), equal(fraction, 0));
  // Arguments that are not asked for are 1, so that no gradient meets a pole.
  const Tensor mirrored = logical_and(negative, logical_not(pole)), order = select(greater(s, 1), s, 2);
  const Tensor below = zeta_of_positive(order, select(mirrored, fraction, 1)) - zeta_of_positive(order, select(mirrored, magnitude + 1, 1));
  const Tensor above = zeta_of_positive(order, select(mirrored, 1 - fraction, select(pole, 1, q)));
  const Tensor half = 0.5 * order, even = equal(half, floor(half)), is_whole = equal(order, floor(order));
  const Tensor reflected = select(is_whole, above + select(even, below, -below), nan);
  const Tensor finite = select(mirrored, reflected, select(pole, infinity, above));
  return convert(select(greater(s, 1), finite, select(equal(s, 1), of.number(infinity, f64), nan)), given.dtype());
}

}  // namespace kiln

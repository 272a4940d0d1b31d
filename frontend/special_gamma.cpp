// The gamma functions (kiln/special.h), in f64.
//
// lgamma and digamma of x > 0. Up to 8 by polynomials: lgamma has zeros at 1 and 2 and digamma one at x0 = 1.4616..., which are split off,
// so that the rest has no zero and nothing cancels. From 8 on Stirling's series (Abramowitz and Stegun 6.1.41, 6.3.18). Below 1 the
// recurrence leads to x + 1. For x < 0 the reflection formulas, with a = -x:
//
//   lgamma(-a) = log(pi / |sin(pi a)|) - lgamma(1 + a)        digamma(-a) = digamma(1 + a) + pi cot(pi a)
//
// polygamma(n, x) for n > 0 is (-1)^(n+1) n! times the sum of 1 / (x + k)^(n+1) over k >= 0: the first terms one by one, the others by the
// Euler-Maclaurin formula. All terms have one sign. The derivative of the formula, term by term, is the formula of polygamma(n + 1), so its
// derived gradients are as good as the function; those of lgamma and digamma are digamma and polygamma(1).
//
// The polynomials are minimax to Chebyshev's accuracy, computed with 60 digits; beside each its greatest error.
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include <fmt/format.h>

#include "frontend/wide.h"
#include "kiln/operators.h"
#include "kiln/special.h"

namespace kiln {

using namespace detail;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
using std::numbers::pi;

// In x - 2, 1 <= x <= 3, and in x - 5.5, 3 <= x <= 8: lgamma(x) / ((x - 1)(x - 2)).
constexpr double lgamma_near[] = {  // 2^-61.3
    0x1.b0ee6072093cep-2,   -0x1.9ae6509ea109fp-4,  0x1.0e0c9df293525p-5,   -0x1.95ce223a9cba8p-7,  0x1.47974853abda1p-8,
    -0x1.145121f99f241p-9,  0x1.dfebcf8ce84efp-11,  -0x1.a96a400f04428p-12, 0x1.7ed7340cdbd34p-13,  -0x1.5c86b6c31d38bp-14,
    0x1.402f02c6e2337p-15,  -0x1.2850452e8f9f0p-16, 0x1.13e5624472395p-17,  -0x1.0231c567dfc46p-18, 0x1.e530e90d03975p-20,
    -0x1.c9c48925b7cd9p-21, 0x1.b36c465762259p-22,  -0x1.9d70903c5f5cep-23, 0x1.77f6e532bc6adp-24,  -0x1.666b3835d636fp-25,
    0x1.c155065d0c524p-26,  -0x1.afe668ca49dd1p-27, -0x1.7781521a68fe3p-31, 0x1.8d4b5e576edfap-32,  0x1.4fbf3b930d20cp-28,
    -0x1.4615c270018fap-29, -0x1.7a59c84291a84p-30, 0x1.70a6dbd17088fp-31,  0x1.d0a7cb6631101p-32,  -0x1.c3bb8ca5b5f4dp-33};
constexpr double lgamma_middle[] = {  // 2^-62.0
    0x1.01521b622d78bp-2,   -0x1.9f4ba29bfc2edp-6,  0x1.a9c66da2499dbp-9,   -0x1.e21629ca4fa5ap-12, 0x1.20839a7584293p-14,
    -0x1.65e917afb4794p-17, 0x1.c73e5a0665ac6p-20,  -0x1.26eaf7699abebp-22, 0x1.838f7c72447acp-25,  -0x1.01844c536e2bcp-27,
    0x1.5952aba5519f3p-30,  -0x1.d285a959c0606p-33, 0x1.3d15a5e554c10p-35,  -0x1.b14e84067dce5p-38, 0x1.2982aba7f2ec2p-40,
    -0x1.99f9db4c0232bp-43, 0x1.19fdc3ee13432p-45,  -0x1.8703e40e5accfp-48, 0x1.1c89b6e898ce3p-50,  -0x1.8ccddb5a4e72cp-53,
    0x1.8caeeb22c01bdp-56,  -0x1.14557266132f0p-58, 0x1.085496521db4ap-59,  -0x1.74bf7a0cf45b6p-62, -0x1.982892653a2a3p-65,
    0x1.22280b6588211p-67,  0x1.1788b78e00927p-68,  -0x1.8b6fa3605a78cp-71};
// In x - 2, 1 <= x <= 3: digamma(x) / (x - x0); in x - 5.5, 3 <= x <= 8: digamma(x).
constexpr double digamma_near[] = {  // 2^-56.6
    0x1.9213d46736ba4p-1,   -0x1.0aff270ca07a7p-2,  0x1.be76b26db7fcap-4,   -0x1.95ec0c3ba95ddp-5,  0x1.802924f9b0c3bp-6,
    -0x1.7389aa8092789p-7,  0x1.6bdf5e15c49cfp-8,   -0x1.6714cfe05e6f7p-9,  0x1.64076129f23e4p-10,  -0x1.620f06b3e5d14p-11,
    0x1.60c660d83e804p-12,  -0x1.5fef17b5706cfp-13, 0x1.5f65bb1232407p-14,  -0x1.5f0817db8ceb0p-15, 0x1.5e8134df34222p-16,
    -0x1.5e5813a66b869p-17, 0x1.6193e91a427bcp-18,  -0x1.6181bfa5b3882p-19, 0x1.4556bd683ac5ep-20,  -0x1.454eb2c8606dbp-21,
    0x1.efc9911beaaecp-22,  -0x1.efc5fdb485822p-23, -0x1.e4ab7a5a224e9p-25, 0x1.e4ae934673553p-26,  0x1.efa98b5daf9bbp-24,
    -0x1.efa957dc22aafp-25, -0x1.32b4ddf998a50p-25, 0x1.32b4e1f5089e7p-26,  0x1.5e85bd733bf32p-27,  -0x1.5e85b2d6eb610p-28};
constexpr double digamma_middle[] = {  // 2^-58.2
    0x1.9c7099bff7e1ep+0,   0x1.9840d2469dc03p-3,   -0x1.4479fbc77484cp-6,  0x1.56c4277746d8ap-9,   -0x1.961668a6bca1ap-12,
    0x1.ffa2431c59a20p-15,  -0x1.4ec0b81418bc9p-17, 0x1.c1485522199d7p-20,  -0x1.32ef59ddb2fdcp-22, 0x1.a8e77c8226ba9p-25,
    -0x1.29064744caa84p-27, 0x1.a26db65a3628dp-30,  -0x1.2878e93d2ea0ap-32, 0x1.a61f460865a40p-35,  -0x1.2dd9e19833156p-37,
    0x1.b0b97710c1653p-40,  -0x1.346328410b461p-42, 0x1.bc0e1270be415p-45,  -0x1.56c8bb68953fdp-47, 0x1.ef4d6c0090739p-50,
    -0x1.b500bc1d12737p-53, 0x1.3b8f5f0c7d917p-55,  -0x1.9b5f4c89d1766p-56, 0x1.2a98c772797e1p-58,  0x1.89af72f9c1a5bp-61,
    -0x1.1e4aa057b41ccp-63, -0x1.d5866686d49acp-65, 0x1.551b1ee0ee349p-67};
constexpr double digamma_root = 0x1.762d86356be3fp+0, digamma_root_low = 0x1.b86a722197829p-54;

/// B(2k) / (2k (2k - 1)): Stirling's series of lgamma in 1 / x^2, times x.
constexpr double stirling[] = {1.0 / 12,        -1.0 / 360, 1.0 / 1260,       -1.0 / 1680,      1.0 / 1188,
                               -691.0 / 360360, 1.0 / 156,  -3617.0 / 122400, 43867.0 / 244188, -174611.0 / 125400};
/// B(2k) / 2k: that of digamma, in 1 / x^2, times x^2.
constexpr double digamma_series[] = {1.0 / 12,       -1.0 / 120, 1.0 / 252,      -1.0 / 240,      1.0 / 132,
                                     -691.0 / 32760, 1.0 / 12,   -3617.0 / 8160, 43867.0 / 14364, -174611.0 / 6600};

/// x cut into the ranges of the algorithms, a = |x|. Each part has a harmless value where a lies elsewhere.
struct Ranges {
  Tensor negative;  ///< x < 0
  Tensor a;
  Tensor below_one;           ///< a < 1: the near polynomial at a + 1
  Tensor is_near, is_far;     ///< a < 3 and 8 <= a
  Tensor from_one, from_two;  ///< 1 <= v < 3 for the near polynomial: v - 1 and v - 2, exact also for v = a + 1
  Tensor middle, far;         ///< a in [3, 8] and [8, inf)
};
Ranges ranges_of(const Tensor& x) {
  Ranges r;
  r.negative = less(x, 0);
  r.a = abs(x);
  r.below_one = less(r.a, 1);
  r.is_near = less(r.a, 3);
  r.is_far = greater_equal(r.a, 8);
  const Tensor near = select(r.is_near, r.a, 2);
  r.from_one = select(r.below_one, r.a, near - 1);
  r.from_two = select(r.below_one, r.a - 1, near - 2);
  r.middle = select(logical_or(r.is_near, r.is_far), 5.5, r.a);
  r.far = select(r.is_far, r.a, 8);
  return r;
}
Tensor choose(const Ranges& r, const Tensor& near, const Tensor& middle, const Tensor& far) {
  return select(r.is_near, near, select(r.is_far, far, middle));
}

/// a minus the nearest integer: what sin(pi a) and cot(pi a) depend on but for signs, exactly.
Tensor from_nearest_integer(const Tensor& a) { return a - round(stop_gradient(a)); }

/// cot(pi f) for 0 < |f| <= 1/2; near 1/2, where it is 0, through the exact distance to that.
Tensor cotangent_of_pi(const Tensor& f) {
  const Tensor size = abs(f), far = greater(size, 0.25);
  const Tensor by_tangent = tan(pi * select(far, 0.5 - size, 0)), by_quotient = reciprocal(tan(pi * select(far, 0.25, size)));
  return sign(f) * select(far, by_tangent, by_quotient);
}

Tensor is_whole(const Tensor& a) { return equal(floor(stop_gradient(a)), a); }

Tensor lgamma_of(const Tensor& x) {
  const Ranges r = ranges_of(x);
  const Tensor near = 0 + r.from_one * r.from_two * polynomial(lgamma_near, r.from_two);  // 0 + -0 is 0: lgamma(1)
  const Tensor middle = (r.middle - 1) * (r.middle - 2) * polynomial(lgamma_middle, r.middle - 5.5);
  const Tensor inverse = reciprocal(r.far);
  // Halves of the logarithm's factor keep the product finite as long as the result.
  const Tensor series = (r.far - 0.5) * (log(r.far) - 1) + (0.5 * std::log(2 * pi) - 0.5 + polynomial(stirling, square(inverse)) * inverse);
  const Tensor positive = choose(r, near, middle, series);
  const Tensor a = select(r.below_one, r.a, 1);
  const Tensor of_a = select(r.below_one, positive - log(a), positive);
  // Below 1 the logarithm of a that lgamma(a) has cancels against that of the formula.
  const Tensor b = select(r.negative, r.a, 0.5), factor = select(less(b, 1), 1, b);
  const Tensor mirrored = log(pi / (factor * abs(sin(pi * from_nearest_integer(b))))) - positive;
  const Tensor finite = select(r.negative, mirrored, of_a);
  return select(equal(r.a, infinity), infinity, select(logical_and(r.negative, is_whole(r.a)), infinity, finite));
}

Tensor polygamma_of(std::int64_t n, const Tensor& x);

Tensor digamma_of(const Tensor& x) {
  const Ranges r = ranges_of(x);
  const Tensor near = ((r.from_one + 1 - digamma_root) - digamma_root_low) * polynomial(digamma_near, r.from_two);
  const Tensor inverse = reciprocal(r.far), square_of_inverse = square(inverse);
  const Tensor far = log(r.far) - (0.5 * inverse + square_of_inverse * polynomial(digamma_series, square_of_inverse));
  const Tensor positive = choose(r, near, polynomial(digamma_middle, r.middle - 5.5), far);
  const Tensor of_a = select(r.below_one, positive - reciprocal(r.a), positive);
  const Tensor fraction = select(r.negative, from_nearest_integer(r.a), 0.25);
  const Tensor raised = select(r.below_one, positive, positive + reciprocal(r.a));  // digamma(1 + a)
  const Tensor mirrored = raised + pi * cotangent_of_pi(fraction);
  const Tensor pole = -reciprocal(x);  // of 0 and -0
  const Tensor finite = select(r.negative, select(is_whole(r.a), nan, mirrored), of_a);
  return select(equal(x, 0), pole, finite);
}

/// x^n for n >= 1 by squaring.
Tensor whole_power(const Tensor& x, std::int64_t n) {
  if (n == 1) return x;
  const Tensor half = whole_power(x, n / 2), even = half * half;
  return n % 2 == 0 ? even : even * x;
}

/// The n-th derivative of pi cot(pi x) is pi^(n+1) p(cot(pi x)): the coefficients of p. Each step: p' * -(1 + c^2).
std::vector<double> cotangent_derivative(std::int64_t n) {
  std::vector<double> p{0, 1};
  for (std::int64_t step = 0; step < n; ++step) {
    std::vector<double> next(p.size() + 1);
    for (std::size_t k = 1; k < p.size(); ++k) {
      next[k - 1] -= static_cast<double>(k) * p[k];
      next[k + 1] -= static_cast<double>(k) * p[k];
    }
    p = std::move(next);
  }
  return p;
}

/// polygamma(n, x) for x > 0, n > 0.
Tensor polygamma_of_positive(std::int64_t n, const Tensor& x) {
  // So many single terms that the formula's last one is below the last digit; more derivatives need a larger argument.
  const std::int64_t terms = 10 + n;
  const double factorial = std::tgamma(static_cast<double>(n) + 1);
  const auto power = [&](const Tensor& v) { return whole_power(reciprocal(v), n + 1); };
  Tensor sum = factorial * power(x);
  for (std::int64_t k = 1; k < terms; ++k) sum = sum + factorial * power(x + k);
  // The sum over k >= 0 of f(y + k), f = n! / y^(n+1): the integral (n-1)! / y^n, half of f, and B(2j)/(2j)! times the odd derivatives.
  const Tensor y = x + terms, inverse = reciprocal(y), square_of_inverse = square(inverse);
  static constexpr double bernoulli[] = {1.0 / 6,       -1.0 / 30, 1.0 / 42,      -1.0 / 30,     5.0 / 66,
                                         -691.0 / 2730, 7.0 / 6,   -3617.0 / 510, 43867.0 / 798, -174611.0 / 330};
  std::vector<double> tail{1 / static_cast<double>(n) * factorial};  // coefficients in 1 / y^2 of what stands before 1 / y^n
  double ratio = factorial;                                          // (n + 2j - 1)! / (2j)!
  for (std::size_t j = 1; j <= std::size(bernoulli); ++j) {
    const auto m = static_cast<double>(n) + 2 * static_cast<double>(j);
    ratio *= (j == 1 ? m - 1 : (m - 2) * (m - 1)) / ((2 * static_cast<double>(j) - 1) * (2 * static_cast<double>(j)));
    tail.push_back(bernoulli[j - 1] * ratio);
  }
  const Tensor rest = whole_power(inverse, n) * (polynomial(tail, square_of_inverse) + 0.5 * factorial * inverse);
  return n % 2 != 0 ? sum + rest : -(sum + rest);
}

Tensor polygamma_of(std::int64_t n, const Tensor& x) {
  // polygamma(n, -a) = (-1)^n (polygamma(n, 1 + a) + d^n/da^n pi cot(pi a)), from the reflection of digamma.
  const Tensor negative = less(x, 0), a = select(negative, 1 - x, x);
  const Tensor positive = polygamma_of_positive(n, select(equal(x, 0), 1, a));
  const Tensor b = select(negative, -x, 0.25), whole = is_whole(b);
  const Tensor fraction = select(whole, 0.25, from_nearest_integer(b));
  const Tensor cotangent = cotangent_of_pi(fraction);
  const Tensor wave = polynomial(cotangent_derivative(n), cotangent) * std::pow(pi, static_cast<double>(n) + 1);
  const Tensor mirrored = n % 2 == 0 ? positive + wave : -(positive + wave);
  const Tensor finite = select(negative, select(whole, n % 2 != 0 ? infinity : nan, mirrored), positive);
  return select(equal(x, 0), n % 2 != 0 ? infinity : nan, finite);
}

/// digamma with polygamma(1) as its derivative.
Tensor smooth_digamma(const Tensor& x) {
  return with_derivative(x, "digamma", digamma_of, [](const Tensor& v, const Tensor&) { return polygamma_of(1, v); });
}

}  // namespace

Tensor lgamma(const Operand& x) {
  return precise_function(x, "lgamma", [](const Tensor& t) {
    return with_derivative(t, "lgamma", lgamma_of, [](const Tensor& v, const Tensor&) { return smooth_digamma(v); });
  });
}

Tensor digamma(const Operand& x) { return precise_function(x, "digamma", smooth_digamma); }

Tensor polygamma(std::int64_t n, const Operand& x) {
  Composite of({&x}, "polygamma");
  of.require(n >= 0 && n <= 100, fmt::format("n is {}", n), "the order of the derivative is 0 to 100");
  return precise_function(x, "polygamma", [n](const Tensor& t) { return n == 0 ? smooth_digamma(t) : polygamma_of(n, t); });
}

}  // namespace kiln

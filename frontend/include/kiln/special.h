// Mathematical functions beyond those of kiln/operators.h, element by element: what NumPy, SciPy's special, PyTorch and CHLO have.
//
// All take floating tensors and give one of the same type; operands of two combine as those of + do. f16 and bf16 are computed in f32 or
// f64 and rounded once. Errors are a few units in the last place, away from zeros of a function at which it is not exactly zero.
// Derivatives of any order exist, and are finite wherever the derivative is.
#pragma once

#include <optional>

#include "kiln/graph.h"

namespace kiln {

// ---- exponentials and logarithms

/// 2 to the power x; exact for integers x.
Tensor exp2(const Operand& x);
/// Logarithms to base 2 and 10, exact for the powers of the base.
Tensor log2(const Operand& x);
Tensor log10(const Operand& x);
/// log(exp(a) + exp(b)) without overflow.
Tensor logaddexp(const Operand& a, const Operand& b);
/// log(x / (1 - x)), the inverse of sigmoid().
Tensor logit(const Operand& x);
/// a * log(b), and 0 where a is 0 (unless b is NaN).
Tensor xlogy(const Operand& a, const Operand& b);

// ---- trigonometric and hyperbolic functions

/// Inverse functions, in radians. Outside of -1..1 asin and acos are NaN.
Tensor asin(const Operand& x);
Tensor acos(const Operand& x);
Tensor atan(const Operand& x);
Tensor sinh(const Operand& x);
Tensor cosh(const Operand& x);
/// Inverse hyperbolic functions: acosh is NaN below 1, atanh outside of -1..1.
Tensor asinh(const Operand& x);
Tensor acosh(const Operand& x);
Tensor atanh(const Operand& x);
/// sqrt(a^2 + b^2) without overflow; infinite when one is infinite, even if the other is NaN. The derivative at (0, 0) is 0.
Tensor hypot(const Operand& a, const Operand& b);
/// sin(pi x) / (pi x), 1 at 0 (NumPy's).
Tensor sinc(const Operand& x);
/// Radians to degrees and back.
Tensor degrees(const Operand& x);
Tensor radians(const Operand& x);

// ---- error functions

/// 1 - erf(x), without cancellation.
Tensor erfc(const Operand& x);
/// The inverse of erf: infinite at -1 and 1, NaN beyond.
Tensor erf_inv(const Operand& x);

// ---- gamma functions

/// log |Gamma(x)|: infinite at 0, -1, -2 ...
Tensor lgamma(const Operand& x);
/// The derivative of lgamma: -inf at 0, inf at -0, NaN at -1, -2 ...
Tensor digamma(const Operand& x);
/// The n-th derivative of digamma; n is 0 to 100. At 0, -1, -2 ... it is infinite (odd n) or NaN (even n).
Tensor polygamma(std::int64_t n, const Operand& x);
/// The Hurwitz zeta function, the sum of (q + k)^-s over k = 0, 1, 2 ..., for s > 1; q = 1 gives Riemann's. Infinite for s = 1 and where q
/// is 0, -1, -2 ...; NaN for s < 1, and for q < 0 unless s is an integer. Computed in f64.
Tensor zeta(const Operand& s, const Operand& q);

// ---- Bessel functions

/// Modified Bessel functions of the first kind, of orders 0 and 1, and the same times exp(-|x|).
Tensor i0(const Operand& x);
Tensor i1(const Operand& x);
Tensor i0e(const Operand& x);
Tensor i1e(const Operand& x);

}  // namespace kiln

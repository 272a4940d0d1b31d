// Error functions and Bessel functions (kiln/special.h), in f64.
//
// erfc. For x >= 1/2 it is exp(-x^2) erfcx(x), where (1 + 2x) erfcx(x) is smooth in s = (x - 2) / (x + 2) on the whole half line (Shepherd
// and Laframboise, Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < inf, 1981). The square is taken in two parts, z^2 and (x
// - z)(x + z) with z a multiple of 1/16, as an error in the exponent is one in all digits. Below 1/2 it is 1 - erf(x), for x < 0 2 -
// erfc(-x).
//
// erf_inv(x) / x is smooth in w = -log(1 - x^2), and for large w in sqrt(w) (Giles, Approximating the erfinv function, 2010).
//
// I0 and I1: exp(-x) I(x) is a polynomial up to 8, with a factor x split off of I1; beyond, sqrt(x) exp(-x) I(x) is one in 1/x. The
// derivatives are I1 and I0 - I1 / x.
//
// The polynomials are minimax to Chebyshev's accuracy, computed with 60 digits; beside each its greatest error.
#include <cmath>
#include <limits>
#include <numbers>

#include "frontend/wide.h"
#include "kiln/operators.h"
#include "kiln/special.h"

namespace kiln {

using namespace detail;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// In s = (x - 2) / (x + 2), 1/2 <= x <= 28.
constexpr double erfcx_terms[] = {  // 2^-59.5
    0x1.46e80e2277953p+0,   -0x1.7bf5ec1700631p-4, -0x1.5407bebf32435p-3,  0x1.4ffa1e14e2773p-3,   -0x1.bc2b95619a131p-5,
    -0x1.074234047ac57p-7,  0x1.1dd2ec9185005p-7,  0x1.4d461d2949f36p-10,  -0x1.7de52187ba454p-10, -0x1.dc6931b26fbc5p-12,
    0x1.b0c8bb6dd390fp-13,  0x1.3cc091f4d44fbp-13, -0x1.95f477c39f67fp-20, -0x1.3188b2b5a125ep-15, -0x1.c45a42dffb972p-17,
    0x1.f0d1439b8fc51p-19,  0x1.5c290ccdc1e6ap-18, 0x1.9ee74ba97b62ep-20,  -0x1.51f6e144eec02p-21, -0x1.f83c39777730fp-21,
    -0x1.5b1f5439d3f32p-22, 0x1.2dd98e6f59914p-22, 0x1.6bcca47beaf69p-23,  -0x1.16454290ed27fp-24, -0x1.9c8c57abb207ap-27};
// In w - 3.125, w <= 6.25; in sqrt(w) - 3.25, 2.5 <= sqrt(w) <= 4; in sqrt(w) - 5, 4 <= sqrt(w) <= 6.1.
constexpr double erf_inv_centre[] = {  // 2^-58.7
    0x1.a755e7c99ae86p+0,   0x1.ebd80d9b13df9p-3,   -0x1.8b6c33114ea71p-8,  -0x1.8457694835230p-11, 0x1.879c2a20b13a0p-13,
    -0x1.d1d1f7ca61a14p-17, -0x1.6e8a53ca14edfp-20, 0x1.c6b4f898a7553p-22,  -0x1.f36cee3c60d01p-26, -0x1.1a9eb3bfcd07cp-28,
    0x1.20f53f519ed0ap-30,  -0x1.dc3e5172ac9cfp-35, -0x1.c8a5ab52e0019p-37, 0x1.7231a3e48d582p-39,  -0x1.6ba68d1796bcfp-44,
    -0x1.682f41a549495p-45, 0x1.d63b2bb633bd2p-48,  -0x1.97658b3d58e2ep-55, -0x1.1ac450727647cp-53, 0x1.2702e1128be12p-56,
    0x1.7997aa9237e9cp-61,  -0x1.bed537ed97e92p-62, 0x1.61fa58bed690ap-66,  0x1.493dd47a7b686p-68,  -0x1.98901e99d9c27p-72,
    -0x1.71e85cb7c66e7p-76};
constexpr double erf_inv_outer[] = {  // 2^-60.0
    0x1.8abcc380d5a48p+1,   0x1.0158a6d641d54p+0,   0x1.5ffcfe5b6cdf1p-8,   -0x1.ebadabb9fbc24p-9,  0x1.468eeca93f733p-9,
    -0x1.ba9240da8b306p-10, 0x1.f3cc545f83fd5p-11,  -0x1.7448bc373ebfbp-12, 0x1.932e8d102d857p-16,  0x1.1e6aa5fbf1f1ep-14,
    -0x1.8cf45a16de60fp-15, 0x1.a245be6e20b5fp-17,  0x1.89984a140efedp-19,  -0x1.0b96b91e8b479p-18, 0x1.8dc25dc0df161p-20,
    -0x1.9856b31be2091p-26, -0x1.07e13aaa994e8p-22, 0x1.0ef2cc0802555p-23,  -0x1.63934d43c8c68p-26, -0x1.7b4174a43c47dp-27,
    0x1.053a5b69dbae9p-27,  -0x1.8c3857d0faac1p-30};
constexpr double erf_inv_tail[] = {  // 2^-60.7
    0x1.3664ddd1ad7fbp+2,   0x1.02a30d1fba10bp+0,   -0x1.22ea5df1c7efcp-13, -0x1.c2f36aa14ff9ep-13, 0x1.3ebf4efa2664bp-14,
    -0x1.4a34904a4be26p-16, 0x1.2fbcfe3f6cd42p-18,  -0x1.0a903094b2051p-20, 0x1.ebe28d6a5f5a0p-23,  -0x1.223930aedff51p-24,
    0x1.f299b3a96bdbbp-26,  -0x1.055ca836c73e5p-26, 0x1.0c759e8b5eacep-27,  -0x1.e5ceb4bc09abbp-29, 0x1.6ce08d3a8b89fp-30,
    -0x1.a2216a1b5f5ffp-32, 0x1.0780d57720e35p-34,  0x1.fe261eaef2769p-37,  -0x1.16bfd3a832782p-36, 0x1.a120576fb73abp-38,
    -0x1.0119fe87491bbp-40};
// In x / 4 - 1, x <= 8; in 16 / x - 1, x >= 8.
constexpr double i0e_near[] = {  // 2^-60.3
    0x1.a7f09f8eedf5ap-3,   -0x1.cedda0048620cp-4,  0x1.8322d1d8a3bbbp-4,   -0x1.6cb8d0c91588fp-4,  0x1.65c235bfeaa72p-4,
    -0x1.5c028fe647844p-4,  0x1.44b6196a78062p-4,   -0x1.1cd73a8e6cd6ep-4,  0x1.d11e10f60db14p-5,   -0x1.602411e2b84cbp-5,
    0x1.ee6f564cfa915p-6,   -0x1.427b099142586p-6,  0x1.87e867ba41db8p-7,   -0x1.bd258ef81b1b7p-8,  0x1.da1a9fb31a327p-9,
    -0x1.daf9ae8ac58f3p-10, 0x1.c0f4afe538061p-11,  -0x1.918057560fb50p-12, 0x1.5496c575b16e4p-13,  -0x1.12c45b18c205dp-14,
    0x1.a6d2ef17e0495p-16,  -0x1.3666062a15f5fp-17, 0x1.b170d36b55864p-19,  -0x1.246102354dd25p-20, 0x1.8aa9ed99d4de8p-22,
    -0x1.e70761a76cf5bp-24, 0x1.c35f7ef8ecfc7p-26,  -0x1.0e148b0af9254p-27, 0x1.332208b1b9040p-28,  -0x1.409665a03765ap-30};
constexpr double i0e_far[] = {  // 2^-58.9
    0x1.9bd428ad249a5p-2,   0x1.b87969bb93bd2p-9,   0x1.1daa72b5e22b2p-13,  0x1.75e5ee6fabb85p-17,  0x1.8e513a7ddffecp-20,
    0x1.3f49af1ca6576p-22,  0x1.7d0f0727d6a9dp-24,  0x1.51cb3832a6046p-25,  0x1.723509510cd4ap-26,  0x1.03fa571f405c2p-27,
    -0x1.cfe4f8bebe7e4p-28, -0x1.ceb2c3f3c2085p-27, -0x1.72b4495699537p-28, 0x1.09d8aa3fc68b0p-27,  0x1.fcf3dd682ab36p-28,
    -0x1.0c5d8b2e86f47p-28, -0x1.9683a45b51615p-28, 0x1.2159f0c508719p-29,  0x1.ee943d682b9f4p-29,  -0x1.3ab3b1c19a518p-30,
    -0x1.b5e3e7f99d058p-30, 0x1.1998ba2c8ef47p-31,  0x1.ec7656d43152ap-32,  -0x1.4b4eae130efc2p-33, -0x1.03b4aa8a9e407p-34,
    0x1.6e48b56608f90p-36};
constexpr double i1e_near[] = {  // 2^-64.0
    0x1.6e14eb8e5d319p-5,   -0x1.f4bb071a7752bp-5,  0x1.16c390ddb08ecp-4,   -0x1.1881379ffb5c2p-4,  0x1.0530f817ffa4ap-4,
    -0x1.c4daa51341c6dp-5,  0x1.6df95e8bdfc8fp-5,   -0x1.13d5f358a4edap-5,  0x1.84125b0d2de85p-6,   -0x1.fe3d9c01a6736p-7,
    0x1.3a0c1a007877fp-7,   -0x1.6ab6a3876ed57p-8,  0x1.89f8a69545405p-9,   -0x1.93682690e9b9ap-10, 0x1.8656c1654765cp-11,
    -0x1.65bf65dd72f08p-12, 0x1.37430c18eefeap-13,  -0x1.01a43775d9f1cp-14, 0x1.969330fb70d0ep-16,  -0x1.3269f669d578fp-17,
    0x1.ba196041625d2p-19,  -0x1.317ffb356f636p-20, 0x1.93a99c550319ep-22,  -0x1.01b4b419a1fcbp-23, 0x1.46a890c79f1e3p-25,
    -0x1.80875810a1429p-27, 0x1.65dc717d15110p-29,  -0x1.95ae4a3a5ec82p-31, 0x1.99db77e00f02dp-32,  -0x1.9be8fdf579908p-34};
constexpr double i1e_far[] = {  // 2^-58.9
    0x1.8ebe783a84030p-2,   -0x1.3f796198ee63fp-7,  -0x1.cbc54df1e894cp-13, -0x1.f89c230446f74p-17, -0x1.ec8e107bd7eaap-20,
    -0x1.7613865ea6e9ap-22, -0x1.ad8d43e5d60bep-24, -0x1.727702ec186d3p-25, -0x1.9191ff33370adp-26, -0x1.21f47a4eb566bp-27,
    0x1.ceff3cea7c3a4p-28,  0x1.e413f0678e137p-27,  0x1.99d190fe908dap-28,  -0x1.0c96c7afcb02cp-27, -0x1.0e2bb88351649p-27,
    0x1.05656ba38c1b6p-28,  0x1.aa440cf09ce30p-28,  -0x1.11c9f66d690fcp-29, -0x1.01ef463d9c576p-28, 0x1.268bd450a314cp-30,
    0x1.c7aed1ee533f7p-30,  -0x1.07d06c81c1d24p-31, -0x1.fff33f3b3e75ap-32, 0x1.37bea5c8dbcccp-33,  0x1.0ddc7620a9205p-34,
    -0x1.5a29b473f1663p-36};

Tensor erfc_of(const Tensor& x) {
  const Tensor a = abs(x), outer = greater_equal(a, 0.5), b = select(outer, minimum(a, 28), 1);
  const Tensor z = round(b * 16) * (1.0 / 16);
  const Tensor bell = exp(-(z * z)) * exp((z - b) * (z + b));
  const Tensor tail = bell * (polynomial(erfcx_terms, (b - 2) / (b + 2)) / (1 + 2 * b));
  return select(outer, select(less(x, 0), 2 - tail, tail), 1 - erf(x));
}

Tensor erf_inv_of(const Tensor& x) {
  const Tensor w = -log((1 - x) * (1 + x)), root = sqrt(w);
  const Tensor centre = polynomial(erf_inv_centre, minimum(w, 6.25) - 3.125);
  const Tensor outer = polynomial(erf_inv_outer, minimum(maximum(root, 2.5), 4) - 3.25);
  const Tensor tail = polynomial(erf_inv_tail, minimum(maximum(root, 4), 6.1) - 5);
  const Tensor ratio = select(less(w, 6.25), centre, select(less(root, 4), outer, tail));
  return select(equal(abs(x), 1), x * infinity, x * select(equal(w, w), ratio, w));
}

/// exp(-|x|) I_n(x) for n of 0 and 1.
Tensor scaled_bessel(int n, const Tensor& x) {
  const Tensor a = abs(x), inner = less(a, 8);
  const Tensor near = select(inner, a, 4) * 0.25 - 1, inverse = reciprocal(select(inner, 8, a));
  const Tensor far_place = inverse * 16 - 1, root = sqrt(inverse);
  if (n == 0) return select(inner, polynomial(i0e_near, near), polynomial(i0e_far, far_place) * root);
  const Tensor magnitude = polynomial(i1e_far, far_place) * root;
  return select(inner, x * polynomial(i1e_near, near), select(less(x, 0), -magnitude, magnitude));
}

/// I_n itself. The exponential in two factors: it overflows before the product with the scaled function.
Tensor bessel(int n, const Tensor& x) {
  const Tensor half = exp(abs(x) * 0.5);
  const Tensor result = scaled_bessel(n, x) * half * half;
  return select(equal(abs(x), infinity), n == 0 ? abs(x) : x, result);
}

/// I1(x) / x, scaled, for the derivatives of I1: 1/2 at 0.
Tensor over_x(const Tensor& scaled_i1, const Tensor& x) {
  const Tensor zero = equal(x, 0);
  return select(zero, 0.5, scaled_i1 / select(zero, 1, x));
}

}  // namespace

Tensor erfc(const Operand& x) {
  return precise_function(x, "erfc", [](const Tensor& t) {
    return with_derivative(t, "erfc", erfc_of,
                           [](const Tensor& v, const Tensor&) { return -2 * std::numbers::inv_sqrtpi * exp(-square(v)); });
  });
}

Tensor erf_inv(const Operand& x) {
  return precise_function(x, "erf_inv", [](const Tensor& t) {
    return with_derivative(t, "erf_inv", erf_inv_of,
                           [](const Tensor&, const Tensor& y) { return 0.5 / std::numbers::inv_sqrtpi * exp(square(y)); });
  });
}

Tensor i0e(const Operand& x) {
  return precise_function(x, "i0e", [](const Tensor& t) {
    return with_derivative(
        t, "i0e", [](const Tensor& v) { return scaled_bessel(0, v); },
        [](const Tensor& v, const Tensor& y) { return scaled_bessel(1, v) - sign(v) * y; });
  });
}

Tensor i1e(const Operand& x) {
  return precise_function(x, "i1e", [](const Tensor& t) {
    return with_derivative(
        t, "i1e", [](const Tensor& v) { return scaled_bessel(1, v); },
        [](const Tensor& v, const Tensor& y) { return scaled_bessel(0, v) - over_x(y, v) - sign(v) * y; });
  });
}

Tensor i0(const Operand& x) {
  return precise_function(x, "i0", [](const Tensor& t) {
    return with_derivative(
        t, "i0", [](const Tensor& v) { return bessel(0, v); }, [](const Tensor& v, const Tensor&) { return bessel(1, v); });
  });
}

Tensor i1(const Operand& x) {
  return precise_function(x, "i1", [](const Tensor& t) {
    return with_derivative(
        t, "i1", [](const Tensor& v) { return bessel(1, v); },
        [](const Tensor& v, const Tensor& y) { return bessel(0, v) - over_x(y, v); });
  });
}

}  // namespace kiln

// Coefficients of the f32 functions: minimax polynomials by the Remez exchange in 60-digit arithmetic, rounded to f32 term by term; beside
// each its greatest error before rounding, relative to the function (erfc: of erfc). passes/math_code.h says what each approximates.
#include "passes/math_code.h"

namespace kiln::passes {

namespace {

constexpr double exp_terms[] = {  // 2^-28.3
    0.49999994, 0.166665211, 0.041668389, 0.00836871006, 0.00138146174};
constexpr double expm1_terms[] = {  // 2^-32.0
    0.5, 0.166666672, 0.041666355, 0.00833327323, 0.00139409979, 0.000199141577};
constexpr double log_terms[] = {  // 2^-29.2
    0.666667759, 0.399775416, 0.29871726};
constexpr double sin_terms[] = {  // 2^-28.0
    -0.166666552, 0.00833217613, -0.000195169778};
constexpr double cos_terms[] = {  // 2^-33.3
    0.0416666456, -0.00138873642, 2.44380917e-05};
constexpr double tan_terms[] = {  // 2^-29.4
    0.333333522, 0.133326054, 0.0540661365, 0.0212518256, 0.0109106982, -1.27005092e-06, 0.00441931048};
constexpr double atan_terms[] = {  // 2^-30.5
    -0.333333164, 0.199984834, -0.142437384, 0.105951399, -0.0608115457};
constexpr double tanh_terms[] = {  // 2^-27.9
    -0.333332837, 0.133314908, -0.0537434965, 0.0206505861, -0.0057170433};
constexpr double erf_terms[] = {  // 2^-29.7
    0.128379166, -0.37612626, 0.112836003, -0.0268544443, 0.00518953567, -0.000802084513, 7.88913239e-05};
constexpr double erfc_terms[] = {  // 2^-35.5
    -0.000188035279, 1.12957835, 0.633219957, 0.108418532, -0.0252082311, 0.00420455262, -0.00044133456, 2.16867029e-05};

}  // namespace

const FloatFormat f32_format = {
    .real = DType::f32,
    .integer = DType::i32,
    .mantissa_bits = 23,
    .bias = 127,
    .min_normal = 0x1p-126,
    .ln2_high = 0x1.62e43p-1,
    .ln2_low = -0x1.05c61p-29,
    .ln2_short = 0x1.62e4p-1,
    .ln2_rest = 0x1.7f7d1cp-20,
    .exp_low = -104,
    .exp_high = 89,
    .half_pi = {0x1.921fb6p+0, -0x1.777a5cp-25, -0x1.ee59dap-50},
    .sincos_limit = 0x1p13,
    .erf_limit = 3.95,
    .exp = exp_terms,
    .expm1 = expm1_terms,
    .log = log_terms,
    .sin = sin_terms,
    .cos = cos_terms,
    .tan = tan_terms,
    .atan = atan_terms,
    .tanh = tanh_terms,
    .erf = erf_terms,
    .erfc = erfc_terms,
};

}  // namespace kiln::passes

// Coefficients of the f64 functions: minimax polynomials by the Remez exchange in 60-digit arithmetic, rounded to f64 term by term; beside
// each its greatest error before rounding, relative to the function (erfc: of erfc). passes/math_code.h says what each approximates.
#include "passes/math_code.h"

namespace kiln::passes {

namespace {

constexpr double exp_terms[] = {  // 2^-57.9
    0x1.000000000000ap-1,  0x1.55555555554fap-3,  0x1.555555555088dp-5,  0x1.1111111127b9dp-7,  0x1.6c16c1842649ap-10,
    0x1.a01a012a68a61p-13, 0x1.a0199a173a6d1p-16, 0x1.71df253d4c5bcp-19, 0x1.28ad685877de9p-22, 0x1.ad7f7595a8efap-26};
constexpr double expm1_terms[] = {  // 2^-61.7
    0x1.0000000000000p-1,  0x1.5555555555559p-3,  0x1.555555555555ap-5,  0x1.111111110f6b4p-7,
    0x1.6c16c16c14478p-10, 0x1.a01a01afe2bffp-13, 0x1.a01a01b0abeffp-16, 0x1.71ddf85a4fb54p-19,
    0x1.27e4c5b67bb43p-22, 0x1.af5eb251d72efp-26, 0x1.1f95448547ddep-29};
constexpr double log_terms[] = {  // 2^-58.5
    0x1.5555555555592p-1, 0x1.999999997fdbap-2, 0x1.24924941f1082p-2, 0x1.c71c52096c28bp-3,
    0x1.74663ee68c165p-3, 0x1.39a1bad13f23fp-3, 0x1.2f05632c22737p-3};
constexpr double sin_terms[] = {  // 2^-58.0
    -0x1.5555555555549p-3, 0x1.111111110f861p-7,   -0x1.a01a019c0e4aap-13,
    0x1.71de3574b97c6p-19, -0x1.ae5e63cd098f3p-26, 0x1.5d9246b25bdcbp-33};
constexpr double cos_terms[] = {  // 2^-64.2
    0x1.555555555554cp-5,   -0x1.6c16c16c15162p-10, 0x1.a01a019caef4dp-16,
    -0x1.27e4f807d721cp-22, 0x1.1ee9ea6d6a4b0p-29,  -0x1.8fadd0c329071p-37};
constexpr double tan_terms[] = {  // 2^-56.0
    0x1.55555555554e4p-2,   0x1.111111111908ap-3,  0x1.ba1ba1b3d0e65p-5,   0x1.664f49c3e01b3p-6,  0x1.226e0f79f53efp-7,
    0x1.d6d996eaf20a3p-9,   0x1.7d56d98e5eaa3p-10, 0x1.381f075a3c5ecp-11,  0x1.d0d21b389baccp-13, 0x1.21625b985bf61p-13,
    -0x1.dc2b51a469c5dp-16, 0x1.7ea56650038c2p-14, -0x1.80441647a60dap-15, 0x1.61ae5f8a84262p-16};
constexpr double atan_terms[] = {  // 2^-59.5
    -0x1.555555555553dp-2, 0x1.9999999995864p-3, -0x1.24924922ad9cap-3, 0x1.c71c70e632cf8p-4, -0x1.745cf8e03aafdp-4, 0x1.3b1119502b786p-4,
    -0x1.10ebb99176dc3p-4, 0x1.df0f4cd48c825p-5, -0x1.9cd270d2d90b2p-5, 0x1.37d407de77eedp-5, -0x1.2564eb764dff4p-6};
constexpr double tanh_terms[] = {  // 2^-56.5
    -0x1.5555555555503p-2,  0x1.111111110b0c9p-3,  -0x1.ba1ba1b531155p-5,  0x1.664f4781f94afp-6,
    -0x1.226e16da37065p-7,  0x1.d6cf3caaa2b91p-9,  -0x1.7d696a9fefc12p-10, 0x1.336ae70c397a3p-11,
    -0x1.df7a91de60331p-13, 0x1.43e188c841fc3p-14, -0x1.0e3d84a5b0732p-16};
constexpr double erf_terms[] = {  // 2^-68.7
    0x1.06eba8214db69p-3,   -0x1.812746b0379e7p-2,  0x1.ce2f21a042bdep-4,   -0x1.b82ce312889c2p-6, 0x1.565bcd0e65193p-8,
    -0x1.c02db3fef017bp-11, 0x1.f9a326c2d8d12p-14,  -0x1.f4d2562a0c85fp-17, 0x1.b9e6518d904c8p-20, -0x1.5f6d9cb9a03dep-23,
    0x1.fc43eff55d14dp-27,  -0x1.4e63595aadf71p-30, 0x1.7f171534db1dep-34,  -0x1.29e131c3c9a4cp-38};
constexpr double erfc_terms[] = {  // 2^-62.9
    -0x1.969abc0c090d3p-26, 0x1.20dd7a28b3e91p+0,   0x1.45f2c7eedb851p-1,   0x1.a4fc728202b7ap-4,   -0x1.39b890e148314p-6,
    -0x1.633bc430507cap-13, 0x1.ac1c5c86ca6c6p-10,  -0x1.0b9184d8b670cp-11, -0x1.d44b164629bd5p-15, 0x1.168b1f12ebcc4p-13,
    -0x1.40a69737a9805p-14, 0x1.ec27a103bb2a5p-16,  -0x1.1f546af3499a0p-17, 0x1.0947c605df938p-19,  -0x1.86b001c897ae1p-22,
    0x1.c7aaf96cf2f05p-25,  -0x1.9c993a901a07ap-28, 0x1.17f970d3be3c5p-31,  -0x1.0bfac2886ca71p-35, 0x1.428a880bf6104p-40,
    -0x1.6ef7c4e901a2bp-46};

}  // namespace

const FloatFormat f64_format = {
    .real = DType::f64,
    .integer = DType::i64,
    .mantissa_bits = 52,
    .bias = 1023,
    .min_normal = 0x1p-1022,
    .ln2_high = 0x1.62e42fefa39efp-1,
    .ln2_low = 0x1.abc9e3b39803fp-56,
    .ln2_short = 0x1.62e42fefa2p-1,
    .ln2_rest = 0x1.9ef35793c7673p-41,
    .exp_low = -746,
    .exp_high = 710,
    .half_pi = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110},
    .sincos_limit = 0x1p40,
    .erf_limit = 5.95,
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

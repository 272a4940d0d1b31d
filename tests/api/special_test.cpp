// Special functions: accuracy against the C library in long double (or a series written here), values at the edges, gradients of first and
// second order against differences.
#include <cmath>
#include <limits>
#include <numbers>

#include "api_test.h"

using namespace kiln;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

using Exact = long double (*)(long double);

/// polygamma(n, x) in long double: n! / x^(n+1) term by term up to x = 25, then the first terms of the asymptotic series (Abramowitz and
/// Stegun 6.4.11); the reflection formula by the C library's functions for n = 0 and 1. Sums are compensated (Neumaier).
long double exact_polygamma(int n, long double x) {
  if (x == 0 && n % 2 != 0) return inf;
  if (x < 0) {
    const long double pi = std::numbers::pi_v<long double>;
    const long double s = std::sin(pi * (x - std::round(x))), c = std::cos(pi * (x - std::round(x)));
    if (n == 0) return exact_polygamma(0, 1 - x) - pi * c / s;
    return pi * pi / (s * s) - exact_polygamma(1, 1 - x);
  }
  long double sum = 0, lost = 0, factorial = 1;
  const auto add = [&](long double term) {
    const long double next = sum + term;
    lost += std::abs(sum) >= std::abs(term) ? (sum - next) + term : (term - next) + sum;
    sum = next;
  };
  for (int k = 2; k <= n; ++k) factorial *= k;
  const long double sign = n % 2 == 0 ? -1 : 1;
  for (; x < 25; ++x) add(n == 0 ? -1 / x : sign * factorial / std::pow(x, static_cast<long double>(n + 1)));
  // (n-1)!/x^n + n!/(2 x^(n+1)) + sum of B(2j) (2j+n-1)!/((2j)! x^(2j+n)); for n = 0 the first is -log(x).
  add(n == 0 ? std::log(x) : sign * factorial / n / std::pow(x, static_cast<long double>(n)));
  add(sign * factorial / (2 * std::pow(x, static_cast<long double>(n + 1))));
  constexpr long double bernoulli[] = {1.0L / 6, -1.0L / 30, 1.0L / 42, -1.0L / 30, 5.0L / 66, -691.0L / 2730, 7.0L / 6, -3617.0L / 510};
  for (int j = 1; j <= 8; ++j)
    add(sign * bernoulli[j - 1] * std::tgamma(static_cast<long double>(2 * j + n)) / std::tgamma(static_cast<long double>(2 * j + 1)) /
        std::pow(x, static_cast<long double>(2 * j + n)));
  return sum + lost;
}

/// The inverse of erf by Newton's method on the smaller of erf and erfc.
long double exact_erf_inv(long double x) {
  if (std::abs(x) == 1) return x * inf;
  const long double a = std::abs(x);
  long double y = a;
  for (int i = 0; i < 200; ++i) {
    const long double error = a < 0.5L ? std::erf(y) - a : (1 - a) - std::erfc(y);
    const long double step = error * std::sqrt(std::numbers::pi_v<long double>) / 2 * std::exp(y * y);
    y -= std::max(-0.5L, std::min(0.5L, step));
  }
  return std::copysign(y, x);
}

/// Distance in units in the last place of the exact value as a T.
template <class T>
double ulps(T actual, long double exact) {
  const T rounded = static_cast<T>(exact);
  if (std::isnan(rounded)) return std::isnan(actual) ? 0 : 1e9;
  if (std::isnan(actual)) return 1e9;
  if (std::isinf(rounded) || std::isinf(actual)) {
    if (actual == rounded) return 0;
    const T greatest = std::numeric_limits<T>::max();
    return std::abs(std::isinf(actual) ? rounded : actual) > greatest * T(0.999999) && std::signbit(actual) == std::signbit(rounded) ? 1
                                                                                                                                     : 1e9;
  }
  int exponent = 0;
  std::frexp(static_cast<long double>(rounded), &exponent);
  exponent = std::max(exponent, std::numeric_limits<T>::min_exponent);
  return static_cast<double>(std::abs(static_cast<long double>(actual) - exact) /
                             std::ldexp(1.0L, exponent - std::numeric_limits<T>::digits));
}

struct Range {
  double low, high;
};

struct Function {
  const char* name;
  Tensor (*function)(const Tensor&);
  Exact exact;
  std::vector<Range> ranges;                                ///< where the accuracy is measured
  double bound32 = 2, bound64 = 4;                          ///< in ULP
  std::vector<double> edges = {0.0, -0.0, inf, -inf, nan};  ///< compared with `exact` as well
  std::vector<double> smooth = {};                          ///< where gradients are compared with differences
};

void PrintTo(const Function& function, std::ostream* out) { *out << function.name; }

template <class T>
void expect_accurate(const Function& f, Session& session, const Tensor& x, const Tensor& y, double bound) {
  std::vector<T> values;
  for (const Range& range : f.ranges)
    for (int i = 0; i <= 1001; ++i) values.push_back(static_cast<T>(range.low + (range.high - range.low) * (i + 0.37) / 1002));
  for (const double edge : f.edges) values.push_back(static_cast<T>(edge));
  const Array result = session.run(y, {{x, Array({static_cast<std::int64_t>(values.size())}, values)}});
  double worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const T actual = result.data<T>()[i];
    const long double exact = f.exact(static_cast<long double>(values[i]));
    const double error = ulps(actual, exact);
    worst = std::max(worst, error);
    EXPECT_LE(error, bound) << f.name << "(" << static_cast<double>(values[i]) << ") in " << name_of(dtype_of<T>()) << " is "
                            << static_cast<double>(actual) << ", exactly " << static_cast<double>(exact);
    EXPECT_TRUE(actual != 0 || exact != 0 || std::signbit(actual) == std::signbit(exact))
        << f.name << "(" << static_cast<double>(values[i]) << ")";
    if (testing::Test::HasFailure()) return;
  }
  testing::Test::RecordProperty(std::string(f.name) + "_" + std::string(name_of(dtype_of<T>())), std::to_string(worst));
}

std::vector<Function> functions() {
  const std::vector<double> unit = {-0.9, -0.3, 0.0, 0.2, 0.75}, line = {-3.3, -0.7, 0.0, 0.4, 2.6}, positive = {0.3, 1.2, 4.7, 11.5};
  return {
      {"exp2",
       [](const Tensor& x) { return exp2(x); },
       [](long double x) { return std::exp2(x); },
       {{-10, 10}, {-150, 128}, {-1080, 1024}},
       3,
       4,
       {0.0, -0.0, inf, -inf, nan, 5000, -5000},
       line},
      {"log2",
       [](const Tensor& x) { return log2(x); },
       [](long double x) { return std::log2(x); },
       {{0, 3}, {0.9, 1.1}, {0, 1e6}},
       1,
       3,
       {0.0, -0.0, inf, -inf, nan, -1, 5e-324, 1e-310},
       positive},
      {"log10",
       [](const Tensor& x) { return log10(x); },
       [](long double x) { return std::log10(x); },
       {{0, 3}, {0.9, 1.1}, {0, 1e6}},
       1,
       3,
       {0.0, -0.0, inf, -inf, nan, -1, 5e-324, 1e-310},
       positive},
      {"logit",
       [](const Tensor& x) { return logit(x); },
       [](long double x) { return std::log(x / (1 - x)); },
       {{0, 0.49}, {0.51, 1}},
       5,
       5,
       {0.0, 1.0, nan, -1, 2},
       {0.1, 0.35, 0.6, 0.9}},
      {"asin",
       [](const Tensor& x) { return asin(x); },
       [](long double x) { return std::asin(x); },
       {{-1, 1}, {-1e-3, 1e-3}, {0.999, 1}},
       4,
       4,
       {0.0, -0.0, 1, -1, 1.5, -2, nan, inf},
       unit},
      {"acos",
       [](const Tensor& x) { return acos(x); },
       [](long double x) { return std::acos(x); },
       {{-1, 1}, {0.999, 1}},
       4,
       4,
       {0.0, -0.0, 1, -1, 1.5, -2, nan, inf},
       unit},
      {"atan",
       [](const Tensor& x) { return atan(x); },
       [](long double x) { return std::atan(x); },
       {{-1, 1}, {-100, 100}},
       2,
       2,
       {0.0, -0.0, 1e30, inf, -inf, nan},
       {-3.3, -0.7, 0.0, 0.4, 1.0, 2.6}},
      {"sinh",
       [](const Tensor& x) { return sinh(x); },
       [](long double x) { return std::sinh(x); },
       {{-1, 1}, {-1e-3, 1e-3}, {-90, 90}, {-720, 720}},
       5,
       5,
       {0.0, -0.0, inf, -inf, nan, 89, 710.4},
       line},
      {"cosh",
       [](const Tensor& x) { return cosh(x); },
       [](long double x) { return std::cosh(x); },
       {{-1, 1}, {-90, 90}, {-720, 720}},
       5,
       5,
       {0.0, -0.0, inf, -inf, nan, 89, 710.4},
       line},
      {"asinh",
       [](const Tensor& x) { return asinh(x); },
       [](long double x) { return std::asinh(x); },
       {{-1, 1}, {-1e-3, 1e-3}, {-1e6, 1e6}, {0, 1e30}},
       4,
       4,
       {0.0, -0.0, inf, -inf, nan, 3e38, 1e308},
       {-3.3, -0.7, 0.0, 0.4, 1.0, 2.6}},
      {"acosh",
       [](const Tensor& x) { return acosh(x); },
       [](long double x) { return std::acosh(x); },
       {{1, 3}, {1, 1.001}, {1, 1e6}, {1, 1e30}},
       4,
       4,
       {0.0, 1, inf, -inf, nan, 3e38, 1e308},
       {1.2, 3.4, 20}},
      {"atanh",
       [](const Tensor& x) { return atanh(x); },
       [](long double x) { return std::atanh(x); },
       {{-1, 1}, {-1e-3, 1e-3}},
       4,
       4,
       {0.0, -0.0, 1, -1, 1.5, nan},
       unit},
      {"erfc",
       [](const Tensor& x) { return erfc(x); },
       [](long double x) { return std::erfc(x); },
       {{-6, 1}, {0.4, 0.6}, {0.5, 6}, {6, 10}, {10, 26.5}},
       1,
       6,
       {0.0, -0.0, inf, -inf, nan, 30},
       {-2.2, -0.4, 0.0, 0.3, 0.9, 3.5}},
      {"erf_inv",
       [](const Tensor& x) { return erf_inv(x); },
       exact_erf_inv,
       {{-1, 1}, {-1e-3, 1e-3}, {0.99, 1}, {0.999999, 1}},
       1,
       5,
       {0.0, -0.0, 1, -1, nan, 1 - 0x1p-53, -1 + 0x1p-53},
       {-0.9, -0.3, 0.0, 0.2, 0.75, 0.97}},
      {"lgamma",
       [](const Tensor& x) { return lgamma(x); },
       [](long double x) { return std::lgamma(x); },
       {{0, 1}, {0.99, 1.01}, {1.99, 2.01}, {1, 3}, {3, 8}, {8, 100}, {100, 1e6}, {1e6, 1e30}},
       1,
       8,
       {0.0, -0.0, 1, 2, inf, -inf, nan, -1, -2, 1e-300, -1e-300, 1e-30, -0.5, -1.5, -3.75},
       {-2.4, -0.6, 0.3, 1.0, 1.7, 2.0, 4.2, 9.9, 41}},
      {"digamma",
       [](const Tensor& x) { return digamma(x); },
       [](long double x) { return x == 0 ? std::signbit(x) ? inf : -inf : exact_polygamma(0, x); },
       {{0, 1}, {1, 1.4}, {1.52, 3}, {3, 8}, {8, 100}, {100, 1e6}},
       1,
       8,
       {0.0, -0.0, 1e-300, -1e-300, -0.5, -1.25, 1e20, nan},
       {-2.4, -0.6, 0.3, 1.0, 1.7, 4.2, 9.9, 41}},
      {"trigamma",
       [](const Tensor& x) { return polygamma(1, x); },
       [](long double x) { return exact_polygamma(1, x); },
       {{0, 1}, {1, 3}, {3, 8}, {8, 100}, {100, 1e6}},
       1,
       10,
       {1e-100, -0.5, -1.25, 1e20},
       {-2.4, -0.6, 0.3, 1.0, 1.7, 4.2, 9.9, 41}},
      {"polygamma3",
       [](const Tensor& x) { return polygamma(3, x); },
       [](long double x) { return exact_polygamma(3, x); },
       {{0.1, 1}, {1, 3}, {3, 8}, {8, 100}},
       1,
       12,
       {1e-20},
       {-0.6, 0.6, 1.0, 1.7, 4.2, 9.9}},
      {"polygamma8",
       [](const Tensor& x) { return polygamma(8, x); },
       [](long double x) { return exact_polygamma(8, x); },
       {{0.5, 1}, {1, 3}, {3, 8}, {8, 100}},
       1,
       20,
       {1e-3},
       {1.7, 4.2, 9.9}},
      {"i0",
       [](const Tensor& x) { return i0(x); },
       [](long double x) { return std::cyl_bessel_i(0.0L, std::abs(x)); },
       {{-8, 8}, {7, 9}, {8, 90}, {90, 700}},
       2,
       8,
       {0.0, -0.0, nan},
       {-9.5, -2.2, 0.0, 0.4, 3.1, 12}},
      {"i1",
       [](const Tensor& x) { return i1(x); },
       [](long double x) { return std::copysign(std::cyl_bessel_i(1.0L, std::abs(x)), x); },
       {{-8, 8}, {-1e-3, 1e-3}, {7, 9}, {8, 90}, {90, 700}},
       2,
       8,
       {0.0, -0.0, nan},
       {-9.5, -2.2, 0.4, 3.1, 12}},
      {"i0e",
       [](const Tensor& x) { return i0e(x); },
       [](long double x) { return std::exp(-std::abs(x)) * std::cyl_bessel_i(0.0L, std::abs(x)); },
       {{-8, 8}, {7, 9}, {8, 100}, {100, 1000}},
       1,
       6,
       {0.0, -0.0, nan},
       {-9.5, -2.2, 0.4, 3.1, 12}},
      {"i1e",
       [](const Tensor& x) { return i1e(x); },
       [](long double x) { return std::copysign(std::exp(-std::abs(x)) * std::cyl_bessel_i(1.0L, std::abs(x)), x); },
       {{-8, 8}, {-1e-3, 1e-3}, {7, 9}, {8, 100}, {100, 1000}},
       1,
       6,
       {0.0, -0.0, nan},
       {-9.5, -2.2, 0.4, 3.1, 12}},
      {"sinc",
       [](const Tensor& x) { return sinc(x); },
       [](long double x) {
         if (x == 0) return 1.0L;
         if (std::isinf(x)) return 0.0L;
         const long double whole = std::round(x), rest = std::sin(std::numbers::pi_v<long double> * (x - whole));
         return (std::fmod(whole, 2.0L) == 0 ? rest : -rest) / (std::numbers::pi_v<long double> * x);
       },
       {{-1, 1}, {-10, 10}, {-1e5, 1e5}},
       5,
       6,
       {0.0, -0.0, nan},
       {-1.3, -0.2, 0.0, 0.24, 0.26, 2.6}},
      {"degrees",
       [](const Tensor& x) { return degrees(x); },
       [](long double x) { return x * 180 / std::numbers::pi_v<long double>; },
       {{-10, 10}},
       2,
       2,
       {0.0, -0.0, inf, nan},
       line},
      {"radians",
       [](const Tensor& x) { return radians(x); },
       [](long double x) { return x * std::numbers::pi_v<long double> / 180; },
       {{-720, 720}},
       2,
       2,
       {0.0, -0.0, inf, nan},
       line},
  };
}

class Special : public testing::TestWithParam<Function> {};

TEST_P(Special, IsAccurate) {
  const Function& f = GetParam();
  Graph graph;
  const Tensor x32 = graph.placeholder("x32", f32, {Dim("n")}), x64 = graph.placeholder("x64", f64, {Dim("n")});
  const Tensor y32 = f.function(x32), y64 = f.function(x64);
  Session session(graph, test::options());
  expect_accurate<float>(f, session, x32, y32, f.bound32);
  expect_accurate<double>(f, session, x64, y64, f.bound64);
}

/// f16 and bf16: the result in f64 of the same number, rounded; a second rounding by way of f32 may move a tie.
TEST_P(Special, HalvesAreRoundedOnce) {
  const Function& f = GetParam();
  for (const DType dtype : {f16, bf16}) {
    Graph graph;
    const Tensor x = graph.placeholder("x", dtype, {Dim("n")});
    const Tensor y = f.function(x), wide = f.function(convert(x, f64));
    Session session(graph, test::options());
    std::vector<double> values;
    for (const Range& range : f.ranges)
      for (int i = 0; i < 50; ++i) values.push_back(range.low + (range.high - range.low) * i / 50);
    const Array inputs = Array({static_cast<std::int64_t>(values.size())}, values).convert(dtype);
    const std::vector<Array> results = session.run({y, wide}, {{x, inputs}});
    const Array nearest = results[1].convert(dtype);
    for (std::int64_t i = 0; i < inputs.size(); ++i) {
      const double actual = element_as_double(results[0], i), expected = element_as_double(nearest, i);
      if (std::isnan(expected) && std::isnan(actual)) continue;
      if (actual == expected) continue;
      const double exact = element_as_double(results[1], i);
      EXPECT_LE(std::abs(actual - exact), std::abs(expected - exact) * 1.001 + std::abs(exact) * 1e-6)
          << f.name << "(" << element_as_double(inputs, i) << ") in " << name_of(dtype);
    }
  }
}

TEST_P(Special, GradientsAgreeWithDifferences) {
  const Function& f = GetParam();
  ASSERT_FALSE(f.smooth.empty());
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {Dim("n")});
  const Tensor y = f.function(x);
  const Tensor first = gradients(reduce_sum(y), {x})[0];
  const Tensor second = gradients(reduce_sum(first), {x})[0];
  const Tensor third = gradients(reduce_sum(second), {x})[0];
  Session session(graph, test::options());
  std::vector<double> points;
  constexpr double h = 1e-5;
  for (const double p : f.smooth) points.insert(points.end(), {p, p - h, p + h});
  const std::vector<Array> results =
      session.run({y, first, second, third}, {{x, Array({static_cast<std::int64_t>(points.size())}, points)}});
  for (std::size_t order = 1; order < results.size(); ++order)
    for (std::size_t i = 0; i < f.smooth.size(); ++i) {
      const auto lower = results[order - 1].data<double>();
      const double slope = (lower[3 * i + 2] - lower[3 * i + 1]) / (2 * h), actual = results[order].data<double>()[3 * i];
      const double scale = 1 + std::abs(slope) + std::abs(lower[3 * i]);
      EXPECT_NEAR(actual, slope, 1e-6 * scale) << f.name << ", order " << order << " at " << f.smooth[i];
    }
}

INSTANTIATE_TEST_SUITE_P(Functions, Special, testing::ValuesIn(functions()),
                         [](const testing::TestParamInfo<Function>& info) { return std::string(info.param.name); });

Array run(const std::vector<double>& a, const std::vector<double>& b, Tensor (*f)(const Tensor&, const Tensor&)) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {Dim("n")}), y = graph.placeholder("y", f64, {Dim("n")});
  const Tensor z = f(x, y);
  const std::vector<Tensor> g = gradients(reduce_sum(z), {x, y});
  Session session(graph, test::options());
  const std::int64_t n = static_cast<std::int64_t>(a.size());
  const std::vector<Array> results = session.run({z, g[0], g[1]}, {{x, Array({n}, a)}, {y, Array({n}, b)}});
  Array all(f64, {3, n});
  for (std::int64_t i = 0; i < 3 * n; ++i) all.mutable_data<double>()[i] = results[i / n].data<double>()[i % n];
  return all;
}

TEST(SpecialOfTwo, Logaddexp) {
  const Array r =
      run({0, 1000, -inf, inf, -inf, 3}, {0, 1000, -inf, inf, 2, -inf}, [](const Tensor& a, const Tensor& b) { return logaddexp(a, b); });
  const double ln2 = std::log(2.0);
  test::expect_near(
      r, Array({3, 6}, std::vector<double>{ln2, 1000 + ln2, -inf, inf, 2, 3, 0.5, 0.5, 0.5, 0.5, 0, 1, 0.5, 0.5, 0.5, 0.5, 1, 0}), 1e-15);
}

TEST(SpecialOfTwo, Hypot) {
  const Array r =
      run({3, 0, 1e300, inf, nan, -5}, {4, 0, 1e300, nan, -inf, 12}, [](const Tensor& a, const Tensor& b) { return hypot(a, b); });
  const double root = std::sqrt(0.5);
  const auto values = r.data<double>();
  const double expected[] = {5, 0, 1e300 * std::sqrt(2.0), inf, inf, 13};
  for (int i = 0; i < 6; ++i) EXPECT_DOUBLE_EQ(values[i], expected[i]) << i;
  const double slopes[] = {0.6, 0, root};
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(values[6 + i], slopes[i], 1e-15) << i;
  EXPECT_NEAR(values[17], 12.0 / 13, 1e-15);
}

TEST(SpecialOfTwo, Xlogy) {
  const Array r = run({0, 0, 2, 0, 1}, {0, 2, 3, -1, 0}, [](const Tensor& a, const Tensor& b) { return xlogy(a, b); });
  test::expect_near(
      r,
      Array({3, 5}, std::vector<double>{0, 0, 2 * std::log(3.0), 0, -inf, 0, std::log(2.0), std::log(3.0), 0, -inf, 0, 0, 2.0 / 3, 0, inf}),
      1e-15);
}

/// Around the zero of digamma, where long double has too few digits: values from mpmath with 40 digits.
TEST(SpecialZeros, Digamma) {
  constexpr double known[][2] = {{0x1.6666666666666p+0, -0x1.f6dcb86f223a3p-5},  {0x1.7000000000000p+0, -0x1.82e261cfb4d1bp-6},
                                 {0x1.7600000000000p+0, -0x1.60885234ee6f0p-11}, {0x1.762c800000000p+0, -0x1.fb77be5cea333p-17},
                                 {0x1.762d86356be3ep+0, -0x1.6244c516aa6cfp-52}, {0x1.762d86356be40p+0, 0x1.1a5beef0723bbp-53},
                                 {0x1.7640000000000p+0, 0x1.1e04c290c63fdp-12},  {0x1.7900000000000p+0, 0x1.5bced308ad2fap-7},
                                 {0x1.8400000000000p+0, 0x1.a1c24f31692b7p-5}};
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {});
  const Tensor y = digamma(x);
  Session session(graph, test::options());
  for (const auto& [at, value] : known)
    EXPECT_LE(ulps(session.run(y, {{x, Array(at)}}).item<double>(), value), 4) << "digamma(" << at << ")";
}

TEST(SpecialPowersOfTheBase, AreExact) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {Dim("n")});
  Session session(graph, test::options());
  const Tensor two = log2(x), ten = log10(x), power = exp2(x);
  for (int k = -300; k <= 22; ++k) {
    const double p = std::ldexp(1.0, k);
    EXPECT_EQ(session.run(two, {{x, Array({1}, {p})}}).data<double>()[0], k);
    EXPECT_EQ(session.run(power, {{x, Array({1}, {static_cast<double>(k)})}}).data<double>()[0], p);
    if (k >= 0) {
      double decimal = 1;
      for (int i = 0; i < k; ++i) decimal *= 10;
      EXPECT_EQ(session.run(ten, {{x, Array({1}, {decimal})}}).data<double>()[0], k);
    }
  }
}

TEST(SpecialErrors, OrderOfPolygamma) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {2});
  EXPECT_THROW(polygamma(-1, x), Error);
  EXPECT_THROW(polygamma(101, x), Error);
  EXPECT_NO_THROW(polygamma(100, x));
  EXPECT_THROW(lgamma(graph.placeholder("i", i32, {2})), Error);
}

}  // namespace

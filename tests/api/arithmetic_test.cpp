// Bits, rounding, division with floor, signs and special values of the public functions, against the C library and values by hand.
#include <cmath>
#include <limits>
#include <numeric>

#include "api_test.h"

using namespace kiln;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

Array values(const std::vector<double>& list) { return Array({static_cast<std::int64_t>(list.size())}, list); }

Array run(const Array& x, Tensor (*f)(const Tensor&)) {
  Graph graph;
  const Tensor input = graph.placeholder("x", x.dtype(), Dims(std::vector<Dim>(x.shape().begin(), x.shape().end())));
  const Tensor y = f(input);
  Session session(graph, test::options());
  return session.run(y, {{input, x}});
}

Array run(const Array& a, const Array& b, Tensor (*f)(const Tensor&, const Tensor&)) {
  Graph graph;
  const Tensor x = graph.placeholder("x", a.dtype(), {a.size()}), y = graph.placeholder("y", b.dtype(), {b.size()});
  const Tensor z = f(x, y);
  Session session(graph, test::options());
  return session.run(z, {{x, a}, {y, b}});
}

/// Equal values and equal signs of zeros; NaN equals NaN.
void expect_equal(const Array& actual, const Array& expected) {
  ASSERT_EQ(actual.dtype(), expected.dtype());
  ASSERT_EQ(to_string(actual.shape()), to_string(expected.shape()));
  for (std::int64_t i = 0; i < actual.size(); ++i) {
    const double a = element_as_double(actual, i), e = element_as_double(expected, i);
    if (std::isnan(a) && std::isnan(e)) continue;
    EXPECT_EQ(a, e) << "element " << i;
    EXPECT_EQ(std::signbit(a), std::signbit(e)) << "element " << i;
  }
}

TEST(Bits, OperatorsOnIntegersAndBool) {
  const Array a = values({12, -1, 5, 0}).convert(i32), b = values({10, 3, -8, 7}).convert(i32);
  expect_equal(run(a, b, [](const Tensor& x, const Tensor& y) { return x & y; }), values({8, 3, 0, 0}).convert(i32));
  expect_equal(run(a, b, [](const Tensor& x, const Tensor& y) { return x | y; }), values({14, -1, -3, 7}).convert(i32));
  expect_equal(run(a, b, [](const Tensor& x, const Tensor& y) { return x ^ y; }), values({6, -4, -3, 7}).convert(i32));
  expect_equal(run(a, [](const Tensor& x) { return ~x; }), values({-13, 0, -6, -1}).convert(i32));
  const Array p = Array({4}, {true, true, false, false}), q = Array({4}, {true, false, true, false});
  expect_equal(run(p, q, [](const Tensor& x, const Tensor& y) { return (x & ~y) | (x ^ y); }), Array({4}, {false, true, true, false}));
  expect_equal(run(a, [](const Tensor& x) { return bitwise_or(bitwise_and(x, 6), bitwise_not(bitwise_xor(x, x))); }),
               values({-1, -1, -1, -1}).convert(i32));
}

TEST(Bits, ShiftsKeepTheSignOfSignedIntegers) {
  const Array a = values({-16, 16, 1, -1, 3}).convert(i8), n = values({2, 2, 7, 9, -1}).convert(i8);
  expect_equal(run(a, n, [](const Tensor& x, const Tensor& y) { return x >> y; }), values({-4, 4, 0, -1, 0}).convert(i8));
  expect_equal(run(a, n, [](const Tensor& x, const Tensor& y) { return x << y; }), values({-64, 64, -128, 0, 0}).convert(i8));
  const Array u = values({240, 16, 1, 255}).convert(u8), m = values({2, 2, 7, 9}).convert(u8);
  expect_equal(run(u, m, [](const Tensor& x, const Tensor& y) { return right_shift(x, y); }), values({60, 4, 0, 0}).convert(u8));
  expect_equal(run(u, m, [](const Tensor& x, const Tensor& y) { return left_shift(x, y); }), values({192, 64, 128, 0}).convert(u8));
}

TEST(Bits, Counts) {
  expect_equal(run(values({0, 1, -1, 6, 32767}).convert(i16), [](const Tensor& x) { return popcount(x); }),
               values({0, 1, 16, 2, 15}).convert(i16));
  expect_equal(run(values({0, 1, -1, 6, 32767}).convert(i16), [](const Tensor& x) { return count_leading_zeros(x); }),
               values({16, 15, 0, 13, 1}).convert(i16));
}

TEST(Bits, BitcastChangesTheLastDim) {
  expect_equal(run(Array({3}, {1.0f, -0.0f, 0.0f}), [](const Tensor& x) { return bitcast(x, i32); }),
               values({0x3F800000, -2147483648.0, 0}).convert(i32));
  const Array parts = run(Array({2}, {1.0f, -2.0f}), [](const Tensor& x) { return bitcast(x, u8); });
  expect_equal(parts, Array({2, 4}, {0, 0, 128, 63, 0, 0, 0, 192}).convert(u8));
  expect_equal(run(parts, [](const Tensor& x) { return bitcast(x, f32); }), Array({2}, {1.0f, -2.0f}));
}

TEST(Bits, DTypeErrors) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {3}), p = graph.placeholder("p", boolean, {3}), i = graph.placeholder("i", i32, {3});
  EXPECT_THROW(x & x, Error);
  EXPECT_THROW(~x, Error);
  EXPECT_THROW(p << p, Error);
  EXPECT_THROW(popcount(p), Error);
  EXPECT_THROW(bitcast(p, u8), Error);
  EXPECT_THROW(bitcast(x, boolean), Error);
  EXPECT_THROW(bitcast(x, f64), Error) << "the last dim is 3, not 2";
  EXPECT_THROW(i & p, Error);
  EXPECT_THROW(reduce_precision(x, 0, 3), Error);
  EXPECT_THROW(gcd(x, x), Error);
}

TEST(Rounding, AwayFromZeroTruncAndFrac) {
  const Array x = values({2.5, -2.5, 0.5, -0.5, -0.2, 1.7, -1.7, 0.49999999999999994, inf, -inf, nan, -0.0});
  expect_equal(run(x, [](const Tensor& t) { return round_away(t); }), values({3, -3, 1, -1, -0.0, 2, -2, 0, inf, -inf, nan, -0.0}));
  expect_equal(run(x, [](const Tensor& t) { return trunc(t); }), values({2, -2, 0, -0.0, -0.0, 1, -1, 0, inf, -inf, nan, -0.0}));
  expect_equal(run(values({2.5, -2.5, 0, inf, -inf}), [](const Tensor& t) { return frac(t); }), values({0.5, -0.5, 0, 0, -0.0}));
  expect_equal(run(values({3.14159265, 65520, 1e-6}).convert(f32), [](const Tensor& t) { return reduce_precision(t, 5, 10); }),
               Array({3}, {3.140625f, static_cast<float>(inf), 0.0f}));
}

/// Python's divmod, as CPython computes it.
std::pair<double, double> divmod(double a, double b) {
  if (b == 0 || std::isinf(a)) return {std::floor(a / b), nan};
  double mod = std::fmod(a, b);
  double div = (a - mod) / b;
  if (mod != 0) {
    if ((b < 0) != (mod < 0)) mod += b, div -= 1;
  } else {
    mod = std::copysign(0.0, b);
  }
  if (div == 0) return {std::copysign(0.0, a / b), mod};
  double whole = std::floor(div);
  if (div - whole > 0.5) whole += 1;
  return {whole, mod};
}

TEST(Division, FloorIsPythons) {
  std::vector<double> a, b, quotient, rest;
  for (const double x : {7.0, -7.0, 0.3, -0.3, 1.0, 0.0, -0.0, 1e20, 5.5, inf, -inf})
    for (const double y : {2.0, -2.0, 0.1, -0.1, 3.0, 1e-5, 0.0, inf, -inf}) {
      if (std::isinf(x) && std::isinf(y)) continue;
      a.push_back(x);
      b.push_back(y);
      quotient.push_back(divmod(x, y).first);
      rest.push_back(divmod(x, y).second);
    }
  expect_equal(run(values(a), values(b), [](const Tensor& x, const Tensor& y) { return floor_mod(x, y); }), values(rest));
  const Array q = run(values(a), values(b), [](const Tensor& x, const Tensor& y) { return floor_divide(x, y); });
  for (std::int64_t i = 0; i < q.size(); ++i) {
    if (std::isnan(quotient[i])) continue;
    EXPECT_EQ(q.data<double>()[i], quotient[i]) << a[i] << " // " << b[i];
  }
  const Array i = values({7, -7, 7, -7, 6, -6, 5, -5, -128}).convert(i8), j = values({2, 2, -2, -2, 3, 3, 0, 0, -1}).convert(i8);
  expect_equal(run(i, j, [](const Tensor& x, const Tensor& y) { return floor_divide(x, y); }),
               values({3, -4, -4, 3, 2, -2, -1, -1, -128}).convert(i8));
  expect_equal(run(i, j, [](const Tensor& x, const Tensor& y) { return floor_mod(x, y); }),
               values({1, 1, -1, -1, 0, 0, 5, -5, 0}).convert(i8));
  expect_equal(run(values({5.5, -5.5}), values({2, 2}), [](const Tensor& x, const Tensor& y) { return fmod(x, y); }), values({1.5, -1.5}));
}

TEST(Division, IntegerPowers) {
  const Array a = values({2, -2, 3, 0, 0, 1, -1, -1, 5}).convert(i32), b = values({10, 31, 40, 0, -1, -5, -3, -4, -1}).convert(i32);
  expect_equal(run(a, b, [](const Tensor& x, const Tensor& y) { return power(x, y); }),
               Array({9}, {1024, INT32_MIN, 689956897, 1, 0, 1, -1, 1, 0}));
}

TEST(Signs, CopysignSignBitAndNextAfter) {
  const Array a = values({1, -2, 0.0, -0.0, nan, inf}), b = values({-1, 3, -0.0, 1, -1, -0.0});
  expect_equal(run(a, b, [](const Tensor& x, const Tensor& y) { return copysign(x, y); }), values({-1, 2, -0.0, 0, nan, -inf}));
  expect_equal(run(a, [](const Tensor& x) { return convert(sign_bit(x), i32); }), Array({6}, {0, 1, 0, 1, 0, 0}));
  expect_equal(run(values({3, -3}).convert(i8), [](const Tensor& x) { return convert(sign_bit(x), i32); }), Array({2}, {0, 1}));
  std::vector<double> from, to, wide;
  std::vector<float> narrow;
  for (const double x : {0.0, -0.0, 1.0, -1.0, 1e-45, 3.0, inf, -inf, nan})
    for (const double y : {0.0, -0.0, 2.0, -2.0, inf, -inf, nan}) {
      from.push_back(static_cast<float>(x));
      to.push_back(y);
      wide.push_back(std::nextafter(from.back(), y));
      narrow.push_back(std::nextafterf(static_cast<float>(x), static_cast<float>(y)));
    }
  expect_equal(run(values(from), values(to), [](const Tensor& x, const Tensor& y) { return next_after(x, y); }), values(wide));
  expect_equal(run(values(from).convert(f32), values(to).convert(f32), [](const Tensor& x, const Tensor& y) { return next_after(x, y); }),
               Array({static_cast<std::int64_t>(narrow.size())}, narrow));
}

TEST(SpecialValues, AreFoundAndReplaced) {
  const Array x = values({nan, inf, -inf, 1, -0.0}).convert(f32);
  expect_equal(run(x, [](const Tensor& t) { return is_nan(t); }), Array({5}, {true, false, false, false, false}));
  expect_equal(run(x, [](const Tensor& t) { return is_inf(t); }), Array({5}, {false, true, true, false, false}));
  constexpr float greatest = std::numeric_limits<float>::max();
  expect_equal(run(x, [](const Tensor& t) { return nan_to_num(t); }), Array({5}, {0.0f, greatest, -greatest, 1.0f, -0.0f}));
  expect_equal(run(x, [](const Tensor& t) { return nan_to_num(t, 7, 8, -9); }), Array({5}, {7.0f, 8.0f, -9.0f, 1.0f, -0.0f}));
  for (const DType dtype : {f16, bf16})
    for (const double v : {element_as_double(run(x.convert(dtype), [](const Tensor& t) { return nan_to_num(t); }), 1)})
      EXPECT_EQ(v, dtype == f16 ? 65504 : 0x1.FEp127);
  expect_equal(run(values({-1, 0, 2, nan}), [](const Tensor& t) { return heaviside(t, 0.5); }), values({0, 0.5, 1, nan}));
}

TEST(WholeNumbers, GcdAndLcm) {
  std::vector<double> a, b, divisor, multiple;
  for (const std::int64_t x : {0, 1, 12, -18, 7, 1000000007})
    for (const std::int64_t y : {0, 1, 8, 27, -6, 998244353}) {
      a.push_back(static_cast<double>(x));
      b.push_back(static_cast<double>(y));
      divisor.push_back(static_cast<double>(std::gcd(x, y)));
      multiple.push_back(static_cast<double>(std::lcm(x, y)));
    }
  const Array p = values(a).convert(i64), q = values(b).convert(i64);
  expect_equal(run(p, q, [](const Tensor& x, const Tensor& y) { return gcd(x, y); }), values(divisor).convert(i64));
  expect_equal(run(p, q, [](const Tensor& x, const Tensor& y) { return lcm(x, y); }), values(multiple).convert(i64));
  expect_equal(run(values({6, 9}).convert(u8), [](const Tensor& x) { return gcd(x, 15); }), values({3, 3}).convert(u8));
}

/// What has corners has the gradient of its pieces, also where another piece would be infinite.
TEST(Gradients, OfPieces) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {Dim("n")});
  const auto slope = [&](const Tensor& y) { return gradients(reduce_sum(y), {x})[0]; };
  Session session(graph, test::options());
  const Array points = values({-2.5, -0.25, 0.75, 3.5});
  const std::vector<Array> g = session.run({slope(frac(x)), slope(trunc(x)), slope(copysign(x, -1)), slope(floor_mod(x, 2.0)),
                                            slope(nan_to_num(x)), slope(reduce_precision(x, 5, 10))},
                                           {{x, points}});
  expect_equal(g[0], values({1, 1, 1, 1}));
  expect_equal(g[1], values({0, 0, 0, 0}));
  expect_equal(g[2], values({1, 1, -1, -1}));
  expect_equal(g[3], values({1, 1, 1, 1}));
  expect_equal(g[4], values({1, 1, 1, 1}));
  expect_equal(g[5], values({1, 1, 1, 1}));
  EXPECT_THROW(slope(heaviside(x, 0.5)), Error);
  EXPECT_THROW(slope(next_after(x, 1)), Error);
}

}  // namespace

// Accuracy of the expanded functions, and their values at the edges.
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ir/loop_builder.h"
#include "ir/loop_interpreter.h"
#include "ir/loop_text.h"
#include "kiln/dtype.h"
#include "passes/passes.h"

namespace kiln::test {
namespace {

using ir::LoopOp;

/// y = op(x...) over n elements with functions expanded.
template <class T>
std::vector<T> evaluate(LoopOp op, const std::vector<std::vector<T>>& operands) {
  const std::int64_t n = static_cast<std::int64_t>(operands[0].size());
  constexpr DType dtype = dtype_of<T>();
  const ir::RegisterType type{dtype, 1, 1, static_cast<std::int16_t>(ir::vector_lanes(dtype))};
  ir::KernelBuilder b("f");
  std::vector<ir::BufferId> buffers;
  for (std::size_t i = 0; i < operands.size(); ++i) buffers.push_back(b.buffer("x", dtype, {n}, ir::Buffer::Role::input));
  const ir::BufferId y = b.buffer("y", dtype, {n}, ir::Buffer::Role::output);
  b.for_loop("i", 0, n, type.lanes, ir::LoopKind::serial, [&](const ir::Dim& i) {
    const ir::Dim at = i + ir::Dim::symbol(ir::tile_vector);
    const ir::RegisterId mask = b.compare(ir::Comparison::lt, b.index(at, type), b.index(n));
    std::vector<ir::RegisterId> values;
    for (const ir::BufferId x : buffers) values.push_back(b.load(x, {at}, type, mask));
    b.store(y, {at}, b.apply(op, values), type, mask);
  });
  ir::Kernel kernel = b.finish();
  passes::expand_math(kernel);
  ir::verify(kernel);
  std::vector<T> result(operands[0].size());
  std::vector<ir::BoundBuffer> bound;
  for (const auto& operand : operands) bound.push_back({const_cast<T*>(operand.data())});
  bound.push_back({result.data()});
  ir::interpret(kernel, bound, {});
  return result;
}

/// Distance in units in the last place of the exact value as a T; denormals have the spacing of the smallest normal.
template <class T>
double ulps(T actual, long double exact) {
  const T rounded = static_cast<T>(exact);
  if (std::isnan(rounded)) return std::isnan(actual) ? 0 : 1e9;
  if (std::isinf(rounded) || std::isinf(actual)) {
    if (actual == rounded) return 0;
    // The greatest finite value and infinity are neighbours.
    const T greatest = std::numeric_limits<T>::max();
    return std::abs(std::isinf(actual) ? rounded : actual) == greatest && std::signbit(actual) == std::signbit(rounded) ? 1 : 1e9;
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

template <class T>
void sweep(const char* name, LoopOp op, long double (*exact)(long double), std::initializer_list<Range> ranges, double bound) {
  std::vector<T> x;
  for (const Range& range : ranges)
    for (int i = 0; i <= 4001; ++i) x.push_back(static_cast<T>(range.low + (range.high - range.low) * (i + 0.37) / 4002));
  // All magnitudes, denormals included, and the edges.
  for (int e = std::numeric_limits<T>::min_exponent - std::numeric_limits<T>::digits; e < std::numeric_limits<T>::max_exponent; ++e)
    for (const double m : {1.0, 1.2837, 1.7391}) {
      x.push_back(static_cast<T>(std::ldexp(m, e)));
      x.push_back(static_cast<T>(-std::ldexp(m, e)));
    }
  const T infinity = std::numeric_limits<T>::infinity();
  for (const T v : {T(0), T(-0.0), T(1), T(-1), infinity, -infinity, std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::max(),
                    std::numeric_limits<T>::lowest(), std::numeric_limits<T>::denorm_min()})
    x.push_back(v);
  const bool angles = op == LoopOp::sin || op == LoopOp::cos || op == LoopOp::tan;
  const std::vector<T> y = evaluate<T>(op, {x});
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (angles && std::abs(x[i]) > 0x1p40) {
      const bool sane = std::isinf(x[i]) ? std::isnan(y[i]) : op == LoopOp::tan || std::abs(y[i]) <= 1;
      EXPECT_TRUE(sane) << name << "(" << x[i] << ") = " << y[i];
      continue;
    }
    const long double e = exact(static_cast<long double>(x[i]));
    const double error = ulps(y[i], e);
    worst = std::max(worst, error);
    ASSERT_LE(error, bound) << fmt::format("{}({}) = {}, exactly {}", name, x[i], y[i], static_cast<double>(e));
    ASSERT_TRUE(y[i] != 0 || std::signbit(y[i]) == std::signbit(static_cast<T>(e))) << name << "(" << x[i] << ") = " << y[i];
  }
  ::testing::Test::RecordProperty(fmt::format("{}_{}", name, name_of(dtype_of<T>())), fmt::format("{:.3f}", worst));
  std::printf("  %-10s %s  %.3f ulp\n", name, std::string(name_of(dtype_of<T>())).c_str(), worst);
}

template <class T>
void sweep_all(double bound) {
  sweep<T>("exp", LoopOp::exp, [](long double x) { return std::exp(x); }, {{-5, 5}, {-110, 90}, {-750, 712}}, bound);
  sweep<T>("expm1", LoopOp::expm1, [](long double x) { return std::expm1(x); }, {{-1, 1}, {-30, 90}, {-60, 712}}, bound);
  sweep<T>("log", LoopOp::log, [](long double x) { return std::log(x); }, {{0, 3}, {0.9, 1.1}, {0, 1e6}}, bound);
  sweep<T>("log1p", LoopOp::log1p, [](long double x) { return std::log1p(x); }, {{-1, 1}, {-0.01, 0.01}, {0, 1000}}, bound);
  sweep<T>("cbrt", LoopOp::cbrt, [](long double x) { return std::cbrt(x); }, {{-10, 10}, {0, 1e6}}, bound);
  sweep<T>("tanh", LoopOp::tanh, [](long double x) { return std::tanh(x); }, {{-1, 1}, {-25, 25}}, bound);
  sweep<T>("logistic", LoopOp::logistic, [](long double x) { return 1 / (1 + std::exp(-x)); }, {{-20, 20}, {-110, 20}, {-750, 0}}, bound);
  sweep<T>("erf", LoopOp::erf, [](long double x) { return std::erf(x); }, {{-1.2, 1.2}, {-6.5, 6.5}}, bound);
  sweep<T>("sin", LoopOp::sin, [](long double x) { return std::sin(x); }, {{-4, 4}, {-200, 200}, {-131072, 131072}, {1e6, 1e9}}, bound);
  sweep<T>("cos", LoopOp::cos, [](long double x) { return std::cos(x); }, {{-4, 4}, {-200, 200}, {-131072, 131072}, {1e6, 1e9}}, bound);
  sweep<T>("tan", LoopOp::tan, [](long double x) { return std::tan(x); }, {{-4, 4}, {-200, 200}, {-131072, 131072}, {1e6, 1e9}}, 2 * bound);
}

TEST(Math, OneOperandInF32) { sweep_all<float>(2); }
TEST(Math, OneOperandInF64) { sweep_all<double>(2); }

template <class T>
void sweep_two(const char* name, LoopOp op, long double (*exact)(long double, long double), double bound) {
  const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  std::vector<T> grid{T(0),
                      T(-0.0),
                      T(1),
                      T(-1),
                      infinity,
                      -infinity,
                      nan,
                      T(2),
                      T(-2),
                      T(3),
                      T(-3),
                      T(0.5),
                      T(-0.5),
                      T(0.3),
                      T(-7.25),
                      T(1e10),
                      T(-1e10),
                      T(1 + 1e-6),
                      T(1 - 1e-6),
                      std::numeric_limits<T>::max(),
                      std::numeric_limits<T>::min(),
                      std::numeric_limits<T>::denorm_min(),
                      T(1e-20),
                      T(100),
                      T(-101),
                      T(16777217),
                      T(3e15)};
  std::vector<T> x, y;
  for (const T a : grid)
    for (const T b : grid) {
      x.push_back(a);
      y.push_back(b);
    }
  std::uint64_t state = 7;
  auto next = [&](double low, double high) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<T>(low + (high - low) * static_cast<double>(state >> 11) / 9007199254740992.0);
  };
  for (int i = 0; i < 6000; ++i) {
    x.push_back(i % 3 == 0 ? next(0.5, 1.5) : i % 3 == 1 ? next(0, 20) : next(-20, 20));
    y.push_back(i % 2 == 0 ? next(-10, 10) : next(-200, 200));
  }
  const std::vector<T> z = evaluate<T>(op, {x, y});
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double e = exact(static_cast<long double>(x[i]), static_cast<long double>(y[i]));
    const double error = ulps(z[i], e);
    worst = std::max(worst, error);
    ASSERT_LE(error, bound) << fmt::format("{}({}, {}) = {}, exactly {}", name, x[i], y[i], z[i], static_cast<double>(e));
    ASSERT_TRUE(z[i] != 0 || std::signbit(z[i]) == std::signbit(static_cast<T>(e)))
        << fmt::format("{}({}, {}) = {}", name, x[i], y[i], z[i]);
  }
  std::printf("  %-10s %s  %.3f ulp\n", name, std::string(name_of(dtype_of<T>())).c_str(), worst);
}

TEST(Math, TwoOperands) {
  sweep_two<float>("power", LoopOp::power, [](long double x, long double y) { return std::pow(x, y); }, 2);
  sweep_two<double>("power", LoopOp::power, [](long double x, long double y) { return std::pow(x, y); }, 4);
  sweep_two<float>("atan2", LoopOp::atan2, [](long double x, long double y) { return std::atan2(x, y); }, 2);
  sweep_two<double>("atan2", LoopOp::atan2, [](long double x, long double y) { return std::atan2(x, y); }, 2);
}

}  // namespace
}  // namespace kiln::test

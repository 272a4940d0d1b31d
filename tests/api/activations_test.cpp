// Activation functions: values against formulas in double, gradients against differences and at corners, f16 and bf16, errors.
#include <cmath>
#include <limits>

#include "api_test.h"

using namespace kiln;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

double sigma(double x) { return 1 / (1 + std::exp(-x)); }
double softplus_of(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }
double cut(double x, double low, double high) { return std::min(std::max(x, low), high); }

struct Activation {
  const char* name;
  Tensor (*function)(const Tensor&);
  double (*exact)(double);
};

const Activation activations[] = {
    {"relu6", [](const Tensor& x) { return relu6(x); }, [](double x) { return cut(x, 0, 6); }},
    {"hardtanh", [](const Tensor& x) { return hardtanh(x); }, [](double x) { return cut(x, -1, 1); }},
    {"hard_tanh_wide", [](const Tensor& x) { return hardtanh(x, -2.2, 0.4); }, [](double x) { return cut(x, -2.2, 0.4); }},
    {"hardsigmoid", [](const Tensor& x) { return hardsigmoid(x); }, [](double x) { return cut(x / 6 + 0.5, 0, 1); }},
    {"hard_sigmoid_onnx", [](const Tensor& x) { return hardsigmoid(x, 0.2); }, [](double x) { return cut(0.2 * x + 0.5, 0, 1); }},
    {"hardswish", [](const Tensor& x) { return hardswish(x); }, [](double x) { return x * cut(x + 3, 0, 6) / 6; }},
    {"selu", [](const Tensor& x) { return selu(x); },
     [](double x) { return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * std::expm1(x)); }},
    {"celu", [](const Tensor& x) { return celu(x, 0.7); }, [](double x) { return x > 0 ? x : 0.7 * std::expm1(x / 0.7); }},
    {"mish", [](const Tensor& x) { return mish(x); }, [](double x) { return x * std::tanh(softplus_of(x)); }},
    {"softsign", [](const Tensor& x) { return softsign(x); }, [](double x) { return x / (1 + std::abs(x)); }},
    {"softshrink", [](const Tensor& x) { return softshrink(x); }, [](double x) { return x > 0.5    ? x - 0.5
                                                                                        : x < -0.5 ? x + 0.5
                                                                                                   : 0.0; }},
    {"hardshrink", [](const Tensor& x) { return hardshrink(x, 0.3); }, [](double x) { return std::abs(x) > 0.3 ? x : 0.0; }},
    {"tanhshrink", [](const Tensor& x) { return tanhshrink(x); }, [](double x) { return x - std::tanh(x); }},
    {"threshold", [](const Tensor& x) { return threshold(x, 0.2, 20); }, [](double x) { return x > 0.2 ? x : 20.0; }},
    {"thresholded_relu", [](const Tensor& x) { return thresholded_relu(x); }, [](double x) { return x > 1 ? x : 0.0; }},
    {"logsigmoid", [](const Tensor& x) { return logsigmoid(x); }, [](double x) { return -softplus_of(-x); }},
    {"swish", [](const Tensor& x) { return swish(x, 1.7); }, [](double x) { return x * sigma(1.7 * x); }},
    {"softplus", [](const Tensor& x) { return softplus(x); }, softplus_of},
    {"softplus_beta", [](const Tensor& x) { return softplus(x, 2.5); }, [](double x) { return softplus_of(2.5 * x) / 2.5; }},
    {"softplus_negative_beta", [](const Tensor& x) { return softplus(x, -2); }, [](double x) { return softplus_of(-2 * x) / -2; }},
    {"prelu", [](const Tensor& x) { return prelu(x, 0.3); }, [](double x) { return x > 0 ? x : 0.3 * x; }},
};

void PrintTo(const Activation& activation, std::ostream* out) { *out << activation.name; }

Array grid() {
  std::vector<double> points;
  for (int i = 0; i < 67; ++i) points.push_back(-8.03 + 0.241 * i);
  points.insert(points.end(), {1000, -1000, 40, -40});
  return Array({static_cast<std::int64_t>(points.size())}, points);
}

class Activations : public testing::TestWithParam<Activation> {};

TEST_P(Activations, HaveTheirValuesInEveryDType) {
  const Array points = grid();
  for (const DType dtype : {f16, bf16, f32, f64}) {
    Graph graph;
    const Tensor x = graph.placeholder("x", dtype, {Dim("n")});
    const Tensor y = GetParam().function(x);
    ASSERT_EQ(y.dtype(), dtype);
    Session session(graph, test::options());
    const Array inputs = points.convert(dtype), results = session.run(y, {{x, inputs}});
    const double epsilon = dtype == f16 ? 0x1p-11 : dtype == bf16 ? 0x1p-8 : dtype == f32 ? 0x1p-22 : 0x1p-50;
    for (std::int64_t i = 0; i < points.size(); ++i) {
      const double exact = GetParam().exact(element_as_double(inputs, i)), actual = element_as_double(results, i);
      // tanhshrink subtracts: its error is relative to x. The least denormals of f16 are 2^-24 apart.
      const double scale = std::abs(exact) + (dtype == f32 || dtype == f64 ? std::abs(element_as_double(inputs, i)) / 2 : 0);
      const double step = dtype == f16 ? 0x1p-25 : 1e-40;
      EXPECT_NEAR(actual, exact, 1.01 * (epsilon * scale + step)) << name_of(dtype) << " at " << element_as_double(inputs, i);
    }
  }
}

TEST_P(Activations, GradientsAgreeWithDifferences) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {Dim("n")});
  const Tensor y = GetParam().function(x);
  const Tensor first = gradients(reduce_sum(y), {x})[0], second = gradients(reduce_sum(first), {x})[0];
  Session session(graph, test::options());
  constexpr double h = 1e-5;
  std::vector<double> points;
  for (const double p : {-1000.0, -4.1, -1.37, -0.61, -0.11, 0.13, 0.77, 1.9, 3.3, 7.2, 1000.0})
    points.insert(points.end(), {p, p - h, p + h});
  const std::vector<Array> results = session.run({y, first, second}, {{x, Array({static_cast<std::int64_t>(points.size())}, points)}});
  for (int order = 1; order <= 2; ++order)
    for (std::size_t i = 0; i < points.size(); i += 3) {
      const auto lower = results[order - 1].data<double>();
      const double slope = (lower[i + 2] - lower[i + 1]) / (2 * h);
      EXPECT_NEAR(results[order].data<double>()[i], slope, 1e-7 * (1 + std::abs(lower[i]))) << "order " << order << " at " << points[i];
    }
}

INSTANTIATE_TEST_SUITE_P(All, Activations, testing::ValuesIn(activations),
                         [](const testing::TestParamInfo<Activation>& info) { return std::string(info.param.name); });

Array gradient_at(const std::vector<double>& points, Tensor (*f)(const Tensor&)) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {Dim("n")});
  const Tensor g = gradients(reduce_sum(f(x)), {x})[0];
  Session session(graph, test::options());
  return session.run(g, {{x, Array({static_cast<std::int64_t>(points.size())}, points)}});
}

/// As PyTorch has them.
TEST(ActivationCorners, Derivatives) {
  const auto expect = [](const Array& actual, std::vector<double> wanted) {
    test::expect_near(actual, Array({static_cast<std::int64_t>(wanted.size())}, wanted), 1e-15);
  };
  expect(gradient_at({0, 6}, [](const Tensor& x) { return relu6(x); }), {0, 0});
  expect(gradient_at({-1, 1}, [](const Tensor& x) { return hardtanh(x); }), {0, 0});
  expect(gradient_at({-3, 3}, [](const Tensor& x) { return hardsigmoid(x); }), {0, 0});
  expect(gradient_at({0}, [](const Tensor& x) { return softplus(x); }), {0.5});
  expect(gradient_at({0}, [](const Tensor& x) { return logsigmoid(x); }), {0.5});
  expect(gradient_at({0}, [](const Tensor& x) { return celu(x); }), {1});
  expect(gradient_at({0}, [](const Tensor& x) { return softsign(x); }), {1});
  expect(gradient_at({-0.5, 0.5}, [](const Tensor& x) { return softshrink(x); }), {0, 0});
  expect(gradient_at({0}, [](const Tensor& x) { return prelu(x, 0.25); }), {0.25});
  expect(gradient_at({inf, -inf}, [](const Tensor& x) { return softplus(x); }), {1, 0});
}

TEST(Gates, TakeHalvesOfAnAxis) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {2, 4});
  Session session(graph, test::options());
  const Array values = Array({2, 4}, {1.0f, 2.0f, 3.0f, -4.0f, 0.5f, -1.0f, 0.0f, 1.5f});
  const std::vector<Array> r = session.run({glu(x), swiglu(x), geglu(x), glu(x, 0)}, {{x, values}});
  const auto at = [&](int i) { return static_cast<double>(values.data<float>()[i]); };
  for (int row = 0; row < 2; ++row)
    for (int c = 0; c < 2; ++c) {
      const double a = at(4 * row + c), b = at(4 * row + 2 + c);
      EXPECT_NEAR(r[0].data<float>()[2 * row + c], a * sigma(b), 1e-6);
      EXPECT_NEAR(r[1].data<float>()[2 * row + c], a * sigma(a) * b, 1e-6);
      EXPECT_NEAR(r[2].data<float>()[2 * row + c], 0.5 * a * (1 + std::erf(a * std::sqrt(0.5))) * b, 2e-6);
    }
  for (int c = 0; c < 4; ++c) EXPECT_NEAR(r[3].data<float>()[c], at(c) * sigma(at(4 + c)), 1e-6);
  EXPECT_THROW(glu(graph.placeholder("odd", f32, {2, 3})), Error);
  EXPECT_THROW(glu(graph.placeholder("scalar", f32, {})), Error);
  EXPECT_THROW(glu(graph.placeholder("symbolic", f32, {Dim("n")})), Error);
  EXPECT_NO_THROW(glu(graph.placeholder("even", f32, {Dim("m", {.multiple_of = 2})})));
}

TEST(Prelu, SlopesLieAlongTheChannels) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {1, 2, 3}), slope = graph.placeholder("slope", f32, {2});
  const Tensor y = prelu(x, slope);
  const Tensor g = gradients(reduce_sum(y), {slope})[0];
  Session session(graph, test::options());
  const std::vector<Array> r =
      session.run({y, g}, {{x, Array({1, 2, 3}, {-1.0f, 2.0f, -3.0f, -4.0f, 5.0f, 6.0f})}, {slope, Array({2}, {0.5f, 0.25f})}});
  test::expect_near(r[0], Array({1, 2, 3}, {-0.5f, 2.0f, -1.5f, -1.0f, 5.0f, 6.0f}), 0);
  test::expect_near(r[1], Array({2}, {-4.0f, -4.0f}), 0);
}

TEST(ActivationErrors, DTypesAndArguments) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {2}), i = graph.placeholder("i", i32, {2});
  EXPECT_THROW(mish(i), Error);
  EXPECT_THROW(relu6(i), Error);
  EXPECT_THROW(celu(x, 0), Error);
  EXPECT_THROW(softplus(x, 0), Error);
  EXPECT_THROW(prelu(x, i), Error);
}

}  // namespace

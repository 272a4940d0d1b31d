// vjp, jvp, jacobian, hessian and their products, against each other and against closed forms; gradients of several tensors; switch_case.
#include <cmath>

#include "api_test.h"

using namespace kiln;

namespace {

TEST(Derivatives, OfSeveralTensorsAreSummed) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {3}), z = graph.placeholder("z", f64, {2});
  const Tensor shared = kiln::sin(x);
  const Tensor a = reduce_sum(shared * x), b = square(shared);
  const Tensor seed = graph.constant(Array({3}, {1.0, -2.0, 0.5}));
  const Tensor joint = gradients({a, b}, {x}, {.grad_outputs = {graph.ones(f64, {}), seed}})[0];
  const Tensor apart = gradients(a, {x})[0] + gradients(b, {x}, seed)[0];
  const std::vector<Tensor> with_zeros = gradients({a}, {x, z}, {.unconnected_zeros = true});
  Session session(graph, test::options());
  const auto out = session.run({joint, apart, with_zeros[1]}, {{x, Array({3}, {0.3, -1.2, 2.0})}, {z, Array({2}, {1.0, 2.0})}});
  test::expect_near(out[0], out[1], 1e-14);
  test::expect_near(out[2], Array::zeros(f64, {2}), 0);
}

TEST(Derivatives, AlongADirection) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {Dim("n")}), v = graph.placeholder("v", f64, {Dim("n")});
  const DifferentiableFunction f = [&](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kiln::sin(in[0]) * in[0], reduce_sum(square(in[0])), graph.ones(f64, {2})};
  };
  const auto [values, forward] = jvp(f, {x}, {v});
  const Tensor twice = jvp({forward[0]}, {x}, {v})[0];  // the second derivative along v
  const auto [same, backward] = vjp(f, {x}, {v, graph.ones(f64, {}), graph.zeros(f64, {2})});
  Session session(graph, test::options());
  const Array at({2}, {0.4, -1.5}), direction({2}, {2.0, 0.5});
  const auto out = session.run({forward[0], forward[1], forward[2], twice, backward[0], values[0], same[0]}, {{x, at}, {v, direction}});
  double sum = 0;
  for (int i = 0; i < 2; ++i) {
    const double a = element_as_double(at, i), d = element_as_double(direction, i);
    EXPECT_NEAR(element_as_double(out[0], i), (std::cos(a) * a + std::sin(a)) * d, 1e-13);
    EXPECT_NEAR(element_as_double(out[3], i), (2 * std::cos(a) - a * std::sin(a)) * d * d, 1e-13);
    EXPECT_NEAR(element_as_double(out[4], i), (std::cos(a) * a + std::sin(a)) * d + 2 * a, 1e-13);
    sum += 2 * a * d;
  }
  EXPECT_NEAR(out[1].item<double>(), sum, 1e-13);
  test::expect_near(out[2], Array::zeros(f64, {2}), 0);
  test::expect_near(out[5], out[6], 0);
}

TEST(Derivatives, JacobianAndHessian) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {3});
  const Variable w = graph.variable("w", test::random_array(f64, {3, 2}));
  const auto f = [&](const Tensor& in) { return kiln::tanh(matmul(in, w)); };
  const auto scalar = [&](const Tensor& in) { return reduce_sum(square(f(in))) * reduce_sum(in); };
  const Tensor j = jacobian(f, x), h = hessian(scalar, x);
  const Tensor y = f(x), v = graph.placeholder("v", f64, {3});
  const Tensor product = hessian_vector_product([&](const std::vector<Tensor>& in) { return scalar(in[0]); }, {x}, {v})[0];
  const auto [value, gradient] = value_and_gradients([&](const std::vector<Tensor>& in) { return scalar(in[0]); }, {x});
  const Tensor through = gradients(reduce_sum(square(j)), {w})[0];  // a jacobian is a tensor like any other
  Session session(graph, test::options());
  session.initialize();
  const Array at({3}, {0.2, -0.4, 0.9}), direction({3}, {1.0, 2.0, -1.0});
  const auto out = session.run({j, h, y, product, value[0], gradient[0], through}, {{x, at}, {v, direction}});
  const Array weights = session.value(w);
  ASSERT_EQ(out[0].shape(), Shape({2, 3}));
  ASSERT_EQ(out[1].shape(), Shape({3, 3}));
  for (int r = 0; r < 2; ++r)
    for (int c = 0; c < 3; ++c) {
      const double t = element_as_double(out[2], r);
      EXPECT_NEAR(element_as_double(out[0], r * 3 + c), (1 - t * t) * element_as_double(weights, c * 2 + r), 1e-14);
    }
  for (int r = 0; r < 3; ++r) {
    double sum = 0;
    for (int c = 0; c < 3; ++c) {
      sum += element_as_double(out[1], r * 3 + c) * element_as_double(direction, c);
      EXPECT_NEAR(element_as_double(out[1], r * 3 + c), element_as_double(out[1], c * 3 + r), 1e-13);
    }
    EXPECT_NEAR(element_as_double(out[3], r), sum, 1e-12);
  }
  // Against differences.
  constexpr double step = 1e-5;
  for (int i = 0; i < 3; ++i) {
    Array up = at, down = at;
    up.mutable_data<double>()[i] += step;
    down.mutable_data<double>()[i] -= step;
    const double difference =
        (session.run(value[0], {{x, up}}).item<double>() - session.run(value[0], {{x, down}}).item<double>()) / (2 * step);
    EXPECT_NEAR(element_as_double(out[5], i), difference, 1e-8);
  }
  EXPECT_EQ(out[6].shape(), Shape({3, 2}));
}

TEST(SwitchCase, RunsTheBodyOfTheIndexOrTheLast) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {2});
  const Tensor index = graph.placeholder("index", i32, {});
  std::vector<std::function<std::vector<Tensor>()>> bodies;
  for (int i = 0; i < 5; ++i) bodies.emplace_back([&, i] { return std::vector<Tensor>{x * (i + 1), square(x)}; });
  const std::vector<Tensor> y = switch_case(index, bodies);
  const Tensor gradient = gradients(reduce_sum(y[0]), {x})[0];
  Session session(graph, test::options());
  for (const int i : {-1, 0, 1, 2, 3, 4, 5, 100}) {
    const int chosen = i < 0 || i > 4 ? 4 : i;
    const auto out = session.run({y[0], gradient}, {{x, Array({2}, {1.0, 3.0})}, {index, Array(i)}});
    test::expect_near(out[0], Array({2}, {chosen + 1.0, 3.0 * (chosen + 1)}), 0);
    test::expect_near(out[1], Array({2}, {chosen + 1.0, chosen + 1.0}), 0);
  }
}

}  // namespace

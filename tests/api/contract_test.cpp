// The program that Kiln's documentation begins with, as written.
#include <kiln/kiln.h>
#include <cmath>

#include <filesystem>

#include "api_test.h"

using namespace kiln;

namespace {

TEST(Contract, TwoLayerNetwork) {
  const Array x_value = test::random_array(f32, {64, 1000});
  const Array y_value = test::random_array(f32, {64, 10}, -1, 1, 2);

  Graph graph;
  Dim batch("batch");
  Tensor x = graph.placeholder("x", f32, {batch, 1000});
  Tensor y = graph.placeholder("y", f32, {batch, 10});
  Variable w1 = graph.variable("w1", random_normal(f32, {1000, 100}));
  Variable w2 = graph.variable("w2", random_normal(f32, {100, 10}));

  Tensor y_pred = matmul(relu(matmul(x, w1)), w2);
  Tensor loss = reduce_sum(square(y_pred - y));
  std::vector<Tensor> grads = gradients(loss, {w1, w2});
  Operation step = group({assign_sub(w1, 1e-6 * grads[0]), assign_sub(w2, 1e-6 * grads[1])});

  Session session(graph, test::options());
  session.initialize();
  std::vector<Array> out = session.run({loss, step}, {{x, x_value}, {y, y_value}});
  float loss_value = out[0].item<float>();
  EXPECT_EQ(out[1].size(), 0);

  Callable train = session.callable({loss, step}, {x, y});
  std::vector<Array> results(2);
  for (int i = 0; i < 5; ++i) {
    train({x_value, y_value}, results);
    EXPECT_LT(results[0].item<float>(), loss_value);
    loss_value = results[0].item<float>();
  }

  const Array trained = session.value(w1);
  const std::string path =
      (std::filesystem::temp_directory_path() / ("kiln_contract_" + std::to_string(::getpid()) + ".safetensors")).string();
  session.save(path);
  session.set_value(w1, Array::zeros(f32, {1000, 100}));
  EXPECT_NE(session.run(loss, {{x, x_value}, {y, y_value}}).item<float>(), loss_value);
  session.restore(path);
  EXPECT_TRUE(identical(session.value(w1), trained));
  std::filesystem::remove(path);

  // The batch size is a symbol: any fits, 0 as well.
  for (const std::int64_t n : {0, 1, 7}) {
    const Array few = test::random_array(f32, {n, 1000}), target = Array::zeros(f32, {n, 10});
    const Array predicted = session.run(y_pred, {{x, few}});
    EXPECT_EQ(predicted.shape(), (Shape{n, 10}));
    const double sum = session.run(loss, {{x, few}, {y, target}}).item<float>();
    double expected = 0;
    for (const float v : predicted.data<float>()) expected += double(v) * v;
    EXPECT_NEAR(sum, expected, 1e-4 * expected);
  }
}

TEST(Contract, ReadsSeeTheValuesFromBeforeTheRun) {
  Graph graph;
  Variable a = graph.variable("a", Array(1.0));
  Variable b = graph.variable("b", Array(2.0));
  const Tensor old_sum = a + b;
  const Assignment to_a = assign(a, b);
  const Assignment to_b = assign(b, a);
  Session session(graph, test::options());
  session.initialize();
  const std::vector<Array> out = session.run({old_sum, to_a, to_b, group({to_a, to_b})});
  EXPECT_EQ(out[0].item<double>(), 3);
  EXPECT_EQ(out[1].item<double>(), 2);  // an assign yields the new value
  EXPECT_EQ(out[2].item<double>(), 1);
  EXPECT_EQ(session.value(a).item<double>(), 2);  // swapped, as both read the old values
  EXPECT_EQ(session.value("b").item<double>(), 1);
}

TEST(Contract, FailingCheckLeavesVariablesAlone) {
  Graph graph;
  Tensor x = graph.placeholder("x", f64, {});
  Variable sum = graph.variable("sum", Array(0.0));
  const Operation step = group({assign_add(sum, x), check(greater(x, 0), "x must be positive")});
  Session session(graph, test::options());
  session.initialize();
  session.run({step}, {{x, Array(2.0)}});
  EXPECT_THROW(session.run({step}, {{x, Array(-1.0)}}), Error);
  EXPECT_EQ(session.value(sum).item<double>(), 2);
}

TEST(Contract, RandomNumbersAreAFunctionOfTheSeed) {
  Graph graph;
  const Tensor u = graph.random_uniform(f32, {1000});
  const Tensor n = graph.random_normal(f64, {20000}, {.mean = 3, .stddev = 2});
  const Variable w = graph.variable("w", truncated_normal(f64, {5000}, {.mean = 1, .stddev = 0.5}));
  SessionOptions options = test::options();
  options.seed = 5;
  Session one(graph, options), two(graph, options);
  one.initialize();
  two.initialize();
  const Array first = one.run(u), again = two.run(u), next = one.run(u);
  EXPECT_TRUE(identical(first, again));
  EXPECT_FALSE(identical(first, next));
  for (const float v : first.data<float>()) EXPECT_TRUE(v >= 0 && v < 1);
  const Array normal = one.run(n);
  double mean = 0, variance = 0;
  for (const double v : normal.data<double>()) mean += v / 20000;
  for (const double v : normal.data<double>()) variance += (v - mean) * (v - mean) / 20000;
  EXPECT_NEAR(mean, 3, 0.06);
  EXPECT_NEAR(variance, 4, 0.2);
  double sum = 0, squares = 0;
  const Array truncated = one.value(w);
  for (const double v : truncated.data<double>()) {
    EXPECT_TRUE(v >= 0 && v <= 2);
    sum += (v - 1) / 0.5 / 5000;
    squares += (v - 1) * (v - 1) / 0.25 / 5000;
  }
  // The standard normal distribution cut at 2 has variance 1 - 4 phi(2) / erf(sqrt 2) = 0.7737.
  EXPECT_NEAR(sum, 0, 0.04);
  EXPECT_NEAR(squares, 0.7737, 0.05);
  options.seed = 6;
  Session other(graph, options);
  other.initialize();
  EXPECT_FALSE(identical(other.run(u), first));
  one.initialize();
  EXPECT_TRUE(identical(one.run(u), first));
}

TEST(Contract, FetchAndFeedByName) {
  Graph graph;
  Tensor x = graph.placeholder("x", i32, {3});
  (x * 2 + 1).named("y");
  Session session(graph, test::options());
  EXPECT_EQ(session.run("y", {{"x", Array({3}, {1, 2, 3})}}).at<std::int32_t>({2}), 7);
}

}  // namespace

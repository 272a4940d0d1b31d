// cond and while_loop: values, captures, nesting, gradients, random draws.
#include <cmath>

#include "api_test.h"

using namespace kiln;

namespace {

TEST(Control, CondRunsOneBranch) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {2});
  const Tensor flag = graph.placeholder("flag", boolean, {});
  const Variable w = graph.variable("w", Array(10.0));
  const Tensor y = cond(flag, [&] { return x * w; }, [&] { return x + 1; });
  const std::vector<Tensor> both = cond(flag, [&] { return std::vector<Tensor>{x, x * 2}; }, [&] { return std::vector<Tensor>{x * 3, x}; });
  const Tensor gradient = gradients(reduce_sum(y * y), {x})[0];
  const Tensor of_w = gradients(reduce_sum(y), {w})[0];
  Session session(graph, test::options());
  session.initialize();
  const Array at({2}, {1.0, 2.0});
  for (const bool value : {true, false}) {
    const auto out = session.run({y, both[0], both[1], gradient, of_w}, {{x, at}, {flag, Array(value)}});
    test::expect_near(out[0], value ? Array({2}, {10.0, 20.0}) : Array({2}, {2.0, 3.0}), 0);
    test::expect_near(out[1], value ? at : Array({2}, {3.0, 6.0}), 0);
    test::expect_near(out[2], value ? Array({2}, {2.0, 4.0}) : at, 0);
    test::expect_near(out[3], value ? Array({2}, {200.0, 400.0}) : Array({2}, {4.0, 6.0}), 0);
    EXPECT_EQ(out[4].item<double>(), value ? 3 : 0);
  }
}

TEST(Control, LoopWithFedTripCountAndItsGradient) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {3});
  const Tensor depth = graph.placeholder("depth", i32, {});
  const Variable w = graph.variable("w", test::random_array(f64, {3, 3}));
  const auto out =
      while_loop([&](auto& v) { return less(v[0], depth); },
                 [&](auto& v) { return std::vector<Tensor>{v[0] + 1, kiln::tanh(matmul(v[1], w))}; }, {graph.constant(Array(0)), x});
  const std::vector<Tensor> looped = gradients(reduce_sum(square(out[1])), {x, w});
  Session session(graph, test::options());
  session.initialize();
  const Array at = test::random_array(f64, {3}, -1, 1, 4);
  for (int n = 0; n <= 4; ++n) {
    // The same loop, unrolled.
    Tensor y = x;
    for (int i = 0; i < n; ++i) y = kiln::tanh(matmul(y, w));
    const Tensor loss = reduce_sum(square(y));
    const Tensor of_x = gradients(loss, {x})[0];
    const auto a = session.run({out[0], out[1], looped[0], looped[1]}, {{x, at}, {depth, Array(n)}});
    EXPECT_EQ(a[0].item<std::int32_t>(), n);
    const auto b = session.run({y, of_x}, {{x, at}});
    test::expect_near(a[1], b[0], 1e-14);
    test::expect_near(a[2], b[1], 1e-13);
    if (n > 0)
      test::expect_near(a[3], session.run(gradients(loss, {w})[0], {{x, at}}), 1e-13);
    else
      test::expect_near(a[3], Array::zeros(f64, {3, 3}), 0);
  }
}

TEST(Control, NestedRegionsCaptureThroughEachOther) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {});
  const Variable scale = graph.variable("scale", Array(2.0));
  // Adds scale * i * j for i, j < 3, where i + j is even.
  const auto out =
      while_loop([&](auto& outer) { return less(outer[0], 3); },
                 [&](auto& outer) {
                   const auto inner =
                       while_loop([&](auto& v) { return less(v[0], 3); },
                                  [&](auto& v) {
                                    const Tensor even = equal((outer[0] + v[0]) % 2, 0);
                                    const Tensor next =
                                        cond(even, [&] { return v[1] + scale * convert(outer[0] * v[0], f64) * x; }, [&] { return v[1]; });
                                    return std::vector<Tensor>{v[0] + 1, next};
                                  },
                                  {graph.constant(Array(0)), outer[1]});
                   return std::vector<Tensor>{outer[0] + 1, inner[1]};
                 },
                 {graph.constant(Array(0)), x});
  const Tensor gradient = gradients(out[1], {scale})[0];
  Session session(graph, test::options());
  session.initialize();
  const auto result = session.run({out[1], gradient}, {{x, Array(3.0)}});
  EXPECT_EQ(result[0].item<double>(), 3 + 2.0 * (1 + 4) * 3);
  EXPECT_EQ(result[1].item<double>(), (1 + 4) * 3);
}

TEST(Control, EachIterationDrawsAnew) {
  Graph graph;
  const auto out = while_loop([&](auto& v) { return less(v[0], 4); },
                              [&](auto& v) {
                                const Tensor row = equal(graph.iota(i32, {4, 1}), v[0]);
                                return std::vector<Tensor>{v[0] + 1, select(row, expand_dims(graph.random_uniform(f64, {3}), 0), v[1])};
                              },
                              {graph.constant(Array(0)), graph.zeros(f64, {4, 3})});
  Session session(graph, test::options());
  const Array first = session.run(out[1]), second = session.run(out[1]);
  std::set<double> values;
  for (const Array& array : {first, second})
    for (const double v : array.data<double>()) values.insert(v);
  EXPECT_EQ(values.size(), 24u);
}

TEST(Control, BodyThatThrowsLeavesTheGraphUsable) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {});
  struct Stop {};
  EXPECT_THROW(while_loop([&](auto& v) { return less(v[0], 1); },
                          [&](auto& v) -> std::vector<Tensor> {
                            (void)(v[0] + x);
                            throw Stop();
                          },
                          {x}),
               Stop);
  const Tensor y = x + 1;
  Session session(graph, test::options());
  EXPECT_EQ(session.run(y, {{x, Array(1.0)}}).item<double>(), 2);
  EXPECT_EQ(graph.text().find("body"), std::string::npos);
}

TEST(Control, AThousandNestedRegions) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {});
  const Tensor flag = graph.placeholder("flag", boolean, {});
  // Built from the inside by recursion of the test, not of Kiln.
  std::function<Tensor(int, const Tensor&)> nest = [&](int depth, const Tensor& value) -> Tensor {
    if (depth == 0) return value + 1;
    return cond(flag, [&] { return nest(depth - 1, value + 1); }, [&] { return value; });
  };
  const Tensor y = nest(1000, x);
  SessionOptions options = test::reference_options();
  Session session(graph, options);
  EXPECT_EQ(session.run(y, {{x, Array(0.0)}, {flag, Array(false)}}).item<double>(), 0);
  EXPECT_EQ(Graph::parse(graph.text()).text(), graph.text());
}

}  // namespace

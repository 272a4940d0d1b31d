// Values of the public functions where they do more than pass on to one operator: broadcasting, literals, axes, composites.
#include <cmath>
#include <limits>

#include "api_test.h"

using namespace kiln;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Runs a function of one tensor.
template <class Function>
Array run(const Array& x, Function function) {
  Graph graph;
  std::vector<Dim> dims(x.shape().begin(), x.shape().end());
  const Tensor input = graph.placeholder("x", x.dtype(), dims);
  Session session(graph, test::options());
  const Tensor y = function(input);
  return session.run(y, {{input, x}});
}

Array f(const Shape& shape, std::initializer_list<float> values) { return Array(shape, values); }
Array i(const Shape& shape, std::initializer_list<std::int64_t> values) { return Array(shape, values); }

void expect_same(const Array& actual, const Array& expected) { test::expect_near(actual, expected, 0); }

TEST(Operators, LiteralsTakeTheTensorsDtype) {
  for (const DType dtype : {f32, f64, i32, i64, u8}) {
    Graph graph;
    const Tensor x = graph.placeholder("x", dtype, {2});
    EXPECT_EQ((x * 2).dtype(), dtype);
    EXPECT_EQ((1 + x).dtype(), dtype);
    EXPECT_EQ(maximum(0, x).dtype(), dtype);
    EXPECT_EQ(select(greater(x, 1), x, 0).dtype(), dtype);
  }
  // The literal is rounded once, from double: 1e-6 is not first a float.
  expect_same(run(Array({1}, {3.0}), [](const Tensor& x) { return 1e-6 * x; }), Array({1}, {1e-6 * 3.0}));
  expect_same(run(f({1}, {3}), [](const Tensor& x) { return 1e-6 * x; }), f({1}, {1e-6f * 3.0f}));
  const std::int64_t big = (std::int64_t{1} << 60) + 1;
  expect_same(run(i({1}, {1}), [&](const Tensor& x) { return x * big; }), i({1}, {big}));
}

TEST(Operators, BroadcastingIsNumPys) {
  expect_same(run(f({2, 1}, {1, 2}), [](const Tensor& x) { return x + reshape(x * 10, {2}); }), f({2, 2}, {11, 21, 12, 22}));
  expect_same(run(f({}, {2}), [](const Tensor& x) { return x * broadcast_to(x, {1, 3}); }), f({1, 3}, {4, 4, 4}));
  Graph graph;
  Dim n("n"), m("m");
  const Tensor a = graph.placeholder("a", f32, {n, 1, 3}), b = graph.placeholder("b", f32, {m, 3});
  EXPECT_EQ(to_string(a + b), "f32[n, m, 3]");
}

TEST(Operators, SpecialValuesOfComposites) {
  expect_same(run(f({4}, {-1, nan, inf, -0.f}), [](const Tensor& x) { return relu(x); }), f({4}, {0, nan, inf, -0.f}));
  expect_same(run(f({3}, {1000, -1000, 0}), [](const Tensor& x) { return softmax(x); }), f({3}, {1, 0, 0}));
  expect_same(run(f({2, 2}, {-inf, -inf, inf, 0}), [](const Tensor& x) { return logsumexp(x, 1); }), f({2}, {-inf, inf}));
  test::expect_near(run(f({2}, {1000, -1000}), [](const Tensor& x) { return softplus(x); }), f({2}, {1000, 0}), 1e-6);
  test::expect_near(run(f({3}, {-1000, 0, 1000}), [](const Tensor& x) { return elu(x); }), f({3}, {-1, 0, 1000}), 1e-6);
  expect_same(run(f({2, 3}, {1, 3, 3, nan, 5, nan}), [](const Tensor& x) { return argmax(x); }), i({2}, {1, 0}));
  expect_same(run(f({2, 3}, {1, 3, 3, -1, 3, 9}), [](const Tensor& x) { return argmin(x, 0); }), i({3}, {1, 0, 0}));
}

TEST(Operators, ReductionsOfNothing) {
  const Array none = f({0, 2}, {});
  expect_same(run(none, [](const Tensor& x) { return reduce_sum(x, 0); }), f({2}, {0, 0}));
  expect_same(run(none, [](const Tensor& x) { return reduce_prod(x); }), f({}, {1}));
  expect_same(run(none, [](const Tensor& x) { return reduce_mean(x); }), f({}, {nan}));
  expect_same(run(none, [](const Tensor& x) { return reduce_max(x, 0); }), f({2}, {-inf, -inf}));
}

TEST(Operators, AxesAndKeepDims) {
  const Array x = f({2, 3}, {1, 2, 3, 4, 5, 6});
  expect_same(run(x, [](const Tensor& t) { return reduce_sum(t, -1, true); }), f({2, 1}, {6, 15}));
  expect_same(run(x, [](const Tensor& t) { return reduce_sum(t, {1, 0}); }), f({}, {21}));
  expect_same(run(x, [](const Tensor& t) { return reduce_mean(t, {}, true); }), f({1, 1}, {3.5}));
  expect_same(run(x, [](const Tensor& t) { return reduce_sum(t, std::vector<std::int64_t>{}); }), x);
}

TEST(Operators, MatmulOfAllRanks) {
  const Array x = f({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto shape = [&](const Dims& a, const Dims& b) {
    Graph graph;
    return to_string(matmul(graph.placeholder("a", f32, a), graph.placeholder("b", f32, b)));
  };
  EXPECT_EQ(shape({3}, {3}), "f32[]");
  EXPECT_EQ(shape({2, 3}, {3}), "f32[2]");
  EXPECT_EQ(shape({3}, {3, 4}), "f32[4]");
  EXPECT_EQ(shape({5, 2, 3}, {3, 4}), "f32[5, 2, 4]");
  EXPECT_EQ(shape({5, 2, 3}, {3}), "f32[5, 2]");
  EXPECT_EQ(shape({3}, {5, 3, 4}), "f32[5, 4]");
  EXPECT_EQ(shape({6, 1, 2, 3}, {5, 3, 4}), "f32[6, 5, 2, 4]");
  EXPECT_EQ(shape({Dim("b"), 2, 3}, {Dim("b"), 3, 4}), "f32[b, 2, 4]");
  expect_same(run(x, [](const Tensor& t) { return matmul(t, transpose(t)); }), f({2, 2}, {14, 32, 32, 77}));
  expect_same(run(x, [](const Tensor& t) { return matmul(expand_dims(t, 0), stack({transpose(t), transpose(t)})); }),
              f({2, 2, 2}, {14, 32, 32, 77, 14, 32, 32, 77}));
}

TEST(Operators, Shapes) {
  const Array x = f({2, 3}, {1, 2, 3, 4, 5, 6});
  expect_same(run(x, [](const Tensor& t) { return pad(t, {0, 1}, {1, -1}, 9); }), f({3, 3}, {9, 1, 2, 9, 4, 5, 9, 9, 9}));
  expect_same(run(x, [](const Tensor& t) { return slice(t, {0, 0}, {2, 3}, {1, 2}); }), f({2, 2}, {1, 3, 4, 6}));
  expect_same(run(x, [](const Tensor& t) { return reverse(t, {}); }), f({2, 3}, {6, 5, 4, 3, 2, 1}));
  expect_same(run(x, [](const Tensor& t) { return stack({t, t * 10}, -1); }), f({2, 3, 2}, {1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60}));
  expect_same(run(i({3}, {2, 0, 7}), [](const Tensor& t) { return one_hot(t, 3); }), f({3, 3}, {0, 0, 1, 1, 0, 0, 0, 0, 0}));
  expect_same(run(i({2}, {1, -3}), [](const Tensor& t) { return take(convert(transpose(stack({t, t * 2})), f32), t); }),
              f({2, 2}, {-3, -6, 1, 2}));
  Graph graph;
  Dim n("n", {.min = 1});
  const Tensor s = graph.placeholder("s", f32, {n, 4, 6});
  EXPECT_EQ(to_string(reshape(s, {n, -1})), "f32[n, 24]");
  EXPECT_EQ(to_string(reshape(s, {-1, 6})), "f32[4*n, 6]");
  EXPECT_EQ(to_string(flatten(s)), "f32[24*n]");
  const Dim zero("z");
  EXPECT_EQ(to_string(reshape(graph.placeholder("t", f32, {zero, 4}), {zero, 2, -1})), "f32[z, 2, 2]");
  EXPECT_EQ(s.dim(-2), Dim(4));
}

TEST(Operators, SymbolsInARun) {
  Graph graph;
  Dim n("n");
  const Tensor x = graph.placeholder("x", f32, {n});
  const Tensor mean = reduce_mean(x), count = graph.size(n * 2 + 1), steps = graph.range(i64, n + 1);
  Session session(graph, test::options());
  const auto out = session.run({mean, count, steps}, {{x, f({4}, {1, 2, 3, 6})}});
  expect_same(out[0], f({}, {3}));
  EXPECT_EQ(out[1].item<std::int64_t>(), 9);
  expect_same(out[2], i({5}, {0, 1, 2, 3, 4}));
}

TEST(Operators, OtherNames) {
  const Array x = f({3}, {-1, 0.5, 2});
  expect_same(run(x, [](const Tensor& t) { return pow(t, 2); }), f({3}, {1, 0.25, 4}));
  expect_same(run(x, [](const Tensor& t) { return clip(t, 0, 1); }), f({3}, {0, 0.5, 1}));
  expect_same(run(x, [](const Tensor& t) { return squared_difference(1, t); }), f({3}, {4, 0.25, 1}));
  expect_same(run(x, [](const Tensor& t) { return kiln::lerp(t, 10, 0.5); }), f({3}, {4.5, 5.25, 6}));
  expect_same(run(x, [](const Tensor& t) { return masked_fill(t, (t > 0) & (t <= 0.5), 7); }), f({3}, {-1, 7, 2}));
  expect_same(run(x, [](const Tensor& t) { return convert((t >= 0.5) ^ (t < 1), i64); }), i({3}, {1, 0, 1}));
  expect_same(run(x, [](const Tensor& t) { return full_like(t, 3); }), f({3}, {3, 3, 3}));
  expect_same(run(f({2, 3}, {1, 2, 3, 4, 5, 6}), [](const Tensor& t) { return unsqueeze(permute(t, {1, 0}), 0); }),
              f({1, 3, 2}, {1, 4, 2, 5, 3, 6}));
  expect_same(run(f({1}, {5}), [](const Tensor& t) { return pad(t, {1}, {2}); }), f({4}, {0, 5, 0, 0}));
}

TEST(Operators, CloseNumbers) {
  const Array a = f({6}, {1, 1, inf, inf, nan, 0}), b = f({6}, {1.000001f, 1.1f, inf, -inf, nan, 1e-9f});
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {6}), y = graph.placeholder("y", f32, {6});
  Session session(graph, test::options());
  const auto out = session.run({convert(is_close(x, y), i64), convert(is_close(x, 1.1, 0, 0.2), i64)}, {{x, a}, {y, b}});
  expect_same(out[0], i({6}, {1, 0, 1, 0, 0, 1}));
  expect_same(out[1], i({6}, {1, 1, 0, 0, 0, 0}));
}

TEST(Operators, SequencesOfNumbers) {
  Graph graph;
  const Tensor n = graph.placeholder("n", f32, {Dim("n")});
  Session session(graph, test::options());
  const auto out = session.run({arange(graph, i64, 0, 10, 3), arange(graph, f32, 1, -1, -0.5), arange(graph, i32, 3, 0),
                                linspace(graph, f32, 0, 1, 5), linspace(graph, f64, 0.1, 0.7, n.dim(0)), linspace(graph, f32, 2, 3, 1)},
                               {{n, f({4}, {0, 0, 0, 0})}});
  expect_same(out[0], i({4}, {0, 3, 6, 9}));
  expect_same(out[1], f({4}, {1, 0.5, 0, -0.5}));
  EXPECT_EQ(out[2].size(), 0);
  expect_same(out[3], f({5}, {0, 0.25, 0.5, 0.75, 1}));
  test::expect_near(out[4], Array({4}, {0.1, 0.3, 0.5, 0.7}), 1e-15);
  EXPECT_EQ(out[4].data<double>()[3], 0.7);
  expect_same(out[5], f({1}, {2}));
}

TEST(Operators, RowsAndDistances) {
  Graph graph;
  const Tensor x = graph.constant(f({2, 2}, {0, 0, 3, 4})), y = graph.constant(f({3, 2}, {0, 0, 0, 4, 3, 0}));
  Session session(graph, test::options());
  const auto out =
      session.run({cdist(x, y), cdist(x, y, 1), pairwise_distance(x, 0, 2, 0), linear(x, y, graph.constant(f({3}, {1, 2, 3})))}, {});
  expect_same(out[0], f({2, 3}, {0, 4, 3, 5, 3, 4}));
  expect_same(out[1], f({2, 3}, {0, 4, 3, 7, 3, 4}));
  expect_same(out[2], f({2}, {0, 5}));
  expect_same(out[3], f({2, 3}, {1, 2, 3, 1, 18, 12}));
}

TEST(Operators, DimArithmetic) {
  const Dim n("n", {.min = 1});
  EXPECT_EQ(to_string(n * 2 + n), "3*n");
  EXPECT_EQ((n * 6) / 3, n * 2);
  EXPECT_EQ((n * 6) % 3, Dim(0));
  EXPECT_EQ(to_string(ceildiv(n, 2)), to_string(Dim(n + 1) / 2));
  EXPECT_EQ(Dim(7) / 2, Dim(3));
  EXPECT_EQ(smaller(Dim(3), Dim(4)), Dim(3));
  EXPECT_EQ(larger(n, Dim(0)), n);
  EXPECT_EQ(to_string(Dims{n, 3}), "[n, 3]");
}

}  // namespace

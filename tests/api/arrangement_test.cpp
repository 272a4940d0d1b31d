// Functions that arrange elements, as NumPy and PyTorch define them.
#include "api_test.h"

using namespace kiln;

namespace {

Array f(const Shape& shape, std::initializer_list<float> values) { return Array(shape, values); }

template <class Function>
std::vector<Array> run(const Array& x, Function function) {
  Graph graph;
  std::vector<Dim> dims(x.shape().begin(), x.shape().end());
  const Tensor input = graph.placeholder("x", x.dtype(), dims);
  const std::vector<Tensor> ys = function(input);
  Session session(graph, test::options());
  std::vector<Array> results;
  for (const Tensor& y : ys) results.push_back(session.run(y, {{input, x}}));
  return results;
}

template <class Function>
Array run_one(const Array& x, Function function) {
  return run(x, [&](const Tensor& t) { return std::vector<Tensor>{function(t)}; })[0];
}

void expect_same(const Array& actual, const Array& expected) { test::expect_near(actual, expected, 0); }

const Array matrix = f({2, 3}, {1, 2, 3, 4, 5, 6});

TEST(Arrangement, CuttingAndJoining) {
  auto parts = run(matrix, [](const Tensor& x) { return split(x, Dims{1, -1}, 1); });
  expect_same(parts[0], f({2, 1}, {1, 4}));
  expect_same(parts[1], f({2, 2}, {2, 3, 5, 6}));
  EXPECT_EQ(run(matrix, [](const Tensor& x) { return split(x, 3, -1); }).size(), 3u);
  parts = run(f({5}, {1, 2, 3, 4, 5}), [](const Tensor& x) { return chunk(x, 3); });
  ASSERT_EQ(parts.size(), 3u);
  expect_same(parts[2], f({1}, {5}));
  parts = run(matrix, [](const Tensor& x) { return unstack(x, 1); });
  ASSERT_EQ(parts.size(), 3u);
  expect_same(parts[1], f({2}, {2, 5}));
  Graph graph;
  const Dim n("n");
  const Tensor x = graph.placeholder("x", f32, {2 * n, 3});
  EXPECT_EQ(to_string(split(x, 2)[1]), "f32[n, 3]");
  EXPECT_EQ(to_string(split(x, Dims{n, -1})[1]), "f32[n, 3]");
}

TEST(Arrangement, Axes) {
  EXPECT_EQ(run_one(f({1, 3, 1}, {1, 2, 3}), [](const Tensor& x) { return squeeze(x); }).shape(), Shape({3}));
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {2, 3, 4});
  EXPECT_EQ(to_string(moveaxis(x, 0, -1)), "f32[3, 4, 2]");
  EXPECT_EQ(to_string(moveaxis(x, 2, 0)), "f32[4, 2, 3]");
  EXPECT_EQ(to_string(swapaxes(x, 0, 2)), "f32[4, 3, 2]");
  expect_same(run_one(matrix, [](const Tensor& t) { return moveaxis(t, 0, 1); }), f({3, 2}, {1, 4, 2, 5, 3, 6}));
}

TEST(Arrangement, RepeatingAndTurning) {
  expect_same(run_one(f({2}, {1, 2}), [](const Tensor& x) { return tile(x, {2, 2}); }), f({2, 4}, {1, 2, 1, 2, 1, 2, 1, 2}));
  expect_same(run_one(f({2, 1}, {1, 2}), [](const Tensor& x) { return tile(x, {3}); }), f({2, 3}, {1, 1, 1, 2, 2, 2}));
  expect_same(run_one(f({2}, {1, 2}), [](const Tensor& x) { return repeat_interleave(x, 3, 0); }), f({6}, {1, 1, 1, 2, 2, 2}));
  expect_same(run_one(matrix, [](const Tensor& x) { return flip(x); }), f({2, 3}, {6, 5, 4, 3, 2, 1}));
  expect_same(run_one(matrix, [](const Tensor& x) { return roll(x, 1, 1); }), f({2, 3}, {3, 1, 2, 6, 4, 5}));
  expect_same(run_one(matrix, [](const Tensor& x) { return roll(x, -5, 1); }), f({2, 3}, {3, 1, 2, 6, 4, 5}));
  expect_same(run_one(matrix, [](const Tensor& x) { return rot90(x); }), f({3, 2}, {3, 6, 2, 5, 1, 4}));
  expect_same(run_one(matrix, [](const Tensor& x) { return rot90(x, -1); }), f({3, 2}, {4, 1, 5, 2, 6, 3}));
  expect_same(run_one(matrix, [](const Tensor& x) { return rot90(x, 2); }), f({2, 3}, {6, 5, 4, 3, 2, 1}));
  const auto grid = run(f({2}, {1, 2}), [](const Tensor& x) { return meshgrid({x, x * 10}); });
  expect_same(grid[0], f({2, 2}, {1, 1, 2, 2}));
  expect_same(grid[1], f({2, 2}, {10, 20, 10, 20}));
}

TEST(Arrangement, RollOfASymbolicExtentGoesRoundAsOftenAsItMust) {
  for (const std::int64_t n : {0, 1, 2, 3, 7}) {
    Graph graph;
    const Tensor x = graph.placeholder("x", f32, {Dim("n")});
    const Tensor y = roll(x, 4, 0), back = roll(y, -4, 0);
    Session session(graph, test::options());
    const Array values = test::random_array(f32, {n});
    const Array rolled = session.run(y, {{x, values}});
    for (std::int64_t k = 0; k < n; ++k)
      EXPECT_EQ(rolled.data<float>()[static_cast<std::size_t>((k + 4) % n)], values.data<float>()[static_cast<std::size_t>(k)]);
    expect_same(session.run(back, {{x, values}}), values);
  }
}

TEST(Arrangement, TrianglesAndDiagonals) {
  expect_same(run_one(matrix, [](const Tensor& x) { return tril(x); }), f({2, 3}, {1, 0, 0, 4, 5, 0}));
  Graph graph;
  const Tensor ones = eye(graph, f32, 2, 3, 1);
  Session session(graph, test::options());
  expect_same(session.run(ones), f({2, 3}, {0, 1, 0, 0, 0, 1}));
  expect_same(run_one(matrix, [](const Tensor& x) { return triu(x, 1); }), f({2, 3}, {0, 2, 3, 0, 0, 6}));
  expect_same(run_one(matrix, [](const Tensor& x) { return diagonal(x); }), f({2}, {1, 5}));
  expect_same(run_one(matrix, [](const Tensor& x) { return diagonal(x, 1); }), f({2}, {2, 6}));
  expect_same(run_one(matrix, [](const Tensor& x) { return diagonal(x, -1); }), f({1}, {4}));
  expect_same(run_one(matrix, [](const Tensor& x) { return diagonal(x, 5); }), f({0}, {}));
  expect_same(run_one(f({2}, {1, 2}), [](const Tensor& x) { return diag(x); }), f({2, 2}, {1, 0, 0, 2}));
  expect_same(run_one(f({2}, {1, 2}), [](const Tensor& x) { return diag(x, 1); }), f({3, 3}, {0, 1, 0, 0, 0, 2, 0, 0, 0}));
  expect_same(run_one(f({2}, {1, 2}), [](const Tensor& x) { return diag(x, -1); }), f({3, 3}, {0, 0, 0, 1, 0, 0, 0, 2, 0}));
  expect_same(run_one(f({2, 1}, {1, 2}), [](const Tensor& x) { return diag_embed(x); }), f({2, 1, 1}, {1, 2}));
  expect_same(run_one(f({1, 2, 2}, {1, 2, 3, 4}), [](const Tensor& x) { return trace(x); }), f({1}, {5}));
  expect_same(run_one(f({2, 2, 1}, {1, 2, 3, 4}), [](const Tensor& x) { return diagonal(x, 0, 0, 1); }), f({1, 2}, {1, 4}));
}

}  // namespace

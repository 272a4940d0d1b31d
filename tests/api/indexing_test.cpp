// Reading and writing at computed places, and tensor[...]: values as NumPy, PyTorch, TensorFlow and ONNX define them.
#include <chrono>
#include <cmath>
#include <limits>

#include "api_test.h"

using namespace kiln;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

Array f(const Shape& shape, std::initializer_list<float> values) { return Array(shape, values); }
Array i(const Shape& shape, std::initializer_list<std::int64_t> values) { return Array(shape, values); }

/// The value of a function of constants, and of the same function of feeds with symbolic extents where `symbolic`.
template <class Function>
Array run(const std::vector<Array>& inputs, Function function) {
  Graph graph;
  std::vector<Tensor> tensors;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    std::vector<Dim> dims(inputs[k].shape().begin(), inputs[k].shape().end());
    tensors.push_back(graph.placeholder("x" + std::to_string(k), inputs[k].dtype(), dims));
  }
  const Tensor y = function(tensors);
  Session session(graph, test::options());
  std::vector<Feed> feeds;
  for (std::size_t k = 0; k < inputs.size(); ++k) feeds.push_back({tensors[k], inputs[k]});
  return session.run(y, feeds);
}
using T = const std::vector<Tensor>&;

void expect_same(const Array& actual, const Array& expected) { test::expect_near(actual, expected, 0); }

const Array table = f({3, 2}, {1, 2, 3, 4, 5, 6});

TEST(Indexing, TakeInEveryMode) {
  const Array at = i({4}, {2, -1, 3, 0});
  const auto taken = [&](IndexMode mode) { return run({table, at}, [&](T x) { return take(x[0], x[1], 0, mode); }); };
  expect_same(taken(IndexMode::clamp), f({4, 2}, {5, 6, 1, 2, 5, 6, 1, 2}));
  expect_same(taken(IndexMode::wrap), f({4, 2}, {5, 6, 5, 6, 1, 2, 1, 2}));
  expect_same(taken(IndexMode::fill), f({4, 2}, {5, 6, 0, 0, 0, 0, 1, 2}));
  expect_same(run({table}, [](T x) { return take(x[0], 1, 1); }), f({3}, {2, 4, 6}));
  expect_same(run({table, i({1, 2}, {1, 0})}, [](T x) { return index_select(x[0], -1, flatten(x[1])); }), f({3, 2}, {2, 1, 4, 3, 6, 5}));
}

TEST(Indexing, AFailingCheckNamesTheLineAndIsTiedToItsResult) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {3}), at = graph.placeholder("at", i64, {2});
  const unsigned line = std::source_location::current().line() + 1;
  const Tensor y = take(x, at, 0, IndexMode::check);
  const Tensor doubled = y * 2, other = x + 1;
  Session session(graph, test::options());
  expect_same(session.run(doubled, {{x, f({3}, {1, 2, 3})}, {at, i({2}, {2, 0})}}), f({2}, {6, 2}));
  try {
    session.run(doubled, {{x, f({3}, {1, 2, 3})}, {at, i({2}, {3, 0})}});
    FAIL() << "an index lies outside";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::check_failed);
    EXPECT_EQ(error.where().line, line);
    EXPECT_NE(std::string(error.what()).find("take: an index lies outside of 0 .. 2 of axis 0 of f32[3]"), std::string::npos)
        << error.what();
  }
  // What does not need the taken elements does not run the check.
  expect_same(session.run(other, {{x, f({3}, {1, 2, 3})}}), f({3}, {2, 3, 4}));
  EXPECT_TRUE(graph.effects().empty());
}

TEST(Indexing, ChecksGuardInLoopsBranchesAndGradients) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {3}), n = graph.placeholder("n", i64, {});
  const Tensor sum = while_loop([&](auto& v) { return less(v[0], n); },
                                [&](auto& v) { return std::vector<Tensor>{v[0] + 1, v[1] + take(x, v[0], 0, IndexMode::check)}; },
                                {graph.constant(Array(std::int64_t{0})), graph.constant(Array(0.0f))})[1];
  const Tensor gradient = gradients(sum * sum, {x})[0];
  Session session(graph, test::options());
  expect_same(session.run(gradient, {{x, f({3}, {1, 2, 3})}, {n, Array(std::int64_t{2})}}), f({3}, {6, 6, 0}));
  EXPECT_THROW(session.run(gradient, {{x, f({3}, {1, 2, 3})}, {n, Array(std::int64_t{4})}}), Error);
}

TEST(Indexing, AlongAnAxis) {
  const Array x = f({2, 3}, {10, 30, 20, 60, 40, 50});
  expect_same(run({x, i({2, 2}, {0, 2, -1, 0})}, [](T t) { return take_along_axis(t[0], t[1], 1); }), f({2, 2}, {10, 20, 50, 60}));
  expect_same(run({x, i({1, 3}, {1, 0, 1})}, [](T t) { return take_along_axis(t[0], t[1], 0); }), f({1, 3}, {60, 30, 50}));
  expect_same(run({x, i({2, 1}, {1, 7})}, [](T t) { return take_along_axis(t[0], t[1], 1, IndexMode::fill); }), f({2, 1}, {30, 0}));
  // ONNX GatherElements: fewer rows of indices than x has.
  expect_same(run({x, i({1, 3}, {1, -1, 0})}, [](T t) { return gather_elements(t[0], t[1], 1); }), f({1, 3}, {30, 20, 10}));
}

TEST(Indexing, GatherNd) {
  const Array x = f({2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
  // The examples of ONNX GatherND.
  expect_same(run({x, i({2, 2}, {0, 1, 1, 0})}, [](T t) { return gather_nd(t[0], t[1]); }), f({2, 2}, {2, 3, 4, 5}));
  expect_same(run({x, i({2, 1}, {1, 0})}, [](T t) { return gather_nd(t[0], t[1], 1); }), f({2, 2}, {2, 3, 4, 5}));
  expect_same(run({x, i({2, 3}, {0, 0, 1, -1, 0, -1})}, [](T t) { return gather_nd(t[0], t[1]); }), f({2}, {1, 5}));
  expect_same(run({x, i({2, 2}, {0, 1, 5, 0})}, [](T t) { return gather_nd(t[0], t[1], 0, IndexMode::fill); }), f({2, 2}, {2, 3, 0, 0}));
  expect_same(run({x, i({1, 2, 1}, {1, 0})}, [](T t) { return gather_nd(t[0], t[1]); }), f({1, 2, 2, 2}, {4, 5, 6, 7, 0, 1, 2, 3}));
}

TEST(Indexing, EmbeddingsAndBags) {
  Graph graph;
  const Tensor rows = graph.placeholder("rows", f32, {3, 2}), ids = graph.placeholder("ids", i32, {2, 2});
  const Tensor taken = embedding(rows, ids, 1), gradient = gradients(reduce_sum(taken * taken), {rows})[0];
  Session session(graph, test::options());
  const Array at = Array({2, 2}, std::vector<std::int32_t>{0, 1, 2, 0});
  expect_same(session.run(taken, {{rows, table}, {ids, at}}), f({2, 2, 2}, {1, 2, 3, 4, 5, 6, 1, 2}));
  expect_same(session.run(gradient, {{rows, table}, {ids, at}}), f({3, 2}, {4, 8, 0, 0, 10, 12}));
  const auto bag = [&](BagMode mode, std::optional<std::int64_t> padding) {
    return run({table, i({2, 2}, {0, 1, 2, 1})}, [&](T t) { return embedding_bag(t[0], t[1], mode, padding); });
  };
  expect_same(bag(BagMode::sum, {}), f({2, 2}, {4, 6, 8, 10}));
  expect_same(bag(BagMode::mean, {}), f({2, 2}, {2, 3, 4, 5}));
  expect_same(bag(BagMode::mean, 1), f({2, 2}, {1, 2, 5, 6}));
  expect_same(bag(BagMode::maximum, 2), f({2, 2}, {3, 4, 3, 4}));
}

TEST(Indexing, OneHot) {
  expect_same(run({i({2}, {2, 5})}, [](T t) { return one_hot(t[0], 3); }), f({2, 3}, {0, 0, 1, 0, 0, 0}));
  expect_same(run({i({2}, {-1, 0}), f({}, {7})}, [](T t) { return one_hot(t[0], 3, 0, t[1], 1); }), f({3, 2}, {1, 7, 1, 1, 7, 1}));
  EXPECT_EQ(run({i({1}, {0})}, [](T t) { return one_hot(t[0], 2, -1, 0.5, 0); }).dtype(), f32);
}

TEST(Indexing, ScatterElements) {
  // The examples of ONNX ScatterElements.
  const Array zeros = f({3, 3}, {0, 0, 0, 0, 0, 0, 0, 0, 0});
  expect_same(run({zeros, i({2, 3}, {1, 0, 2, 0, 2, 1}), f({2, 3}, {1.0, 1.1, 1.2, 2.0, 2.1, 2.2})},
                  [](T t) { return scatter_elements(t[0], t[1], t[2]); }),
              f({3, 3}, {2.0, 1.1, 0, 1.0, 0, 2.2, 0, 2.1, 1.2}));
  const Array x = f({1, 5}, {1, 2, 3, 4, 5});
  expect_same(run({x, i({1, 2}, {1, -1}), f({1, 2}, {9, 8})}, [](T t) { return put_along_axis(t[0], t[1], t[2], 1); }),
              f({1, 5}, {1, 9, 3, 4, 8}));
  const auto reduced = [&](Combine combine) {
    return run({x, i({1, 4}, {1, 1, 9, 3}), f({1, 4}, {3, 5, 7, -2})}, [&](T t) { return scatter_elements(t[0], t[1], t[2], 1, combine); });
  };
  expect_same(reduced(Combine::add), f({1, 5}, {1, 10, 3, 2, 5}));
  expect_same(reduced(Combine::multiply), f({1, 5}, {1, 30, 3, -8, 5}));
  expect_same(reduced(Combine::minimum), f({1, 5}, {1, 2, 3, -2, 5}));
  expect_same(reduced(Combine::maximum), f({1, 5}, {1, 5, 3, 4, 5}));
  expect_same(reduced(Combine::replace), f({1, 5}, {1, 5, 3, -2, 5}));
}

TEST(Indexing, ScatterNdAndIndexPut) {
  // The example of ONNX ScatterND.
  expect_same(run({f({8}, {1, 2, 3, 4, 5, 6, 7, 8}), i({4, 1}, {4, 3, 1, 7}), f({4}, {9, 10, 11, 12})},
                  [](T t) { return scatter_nd(t[0], t[1], t[2]); }),
              f({8}, {1, 11, 3, 10, 9, 6, 7, 12}));
  expect_same(run({table, i({1, 1}, {-1})}, [](T t) { return scatter_nd(t[0], t[1], 7, Combine::add); }), f({3, 2}, {1, 2, 3, 4, 12, 13}));
  expect_same(run({table, i({2}, {0, 2}), i({2}, {1, 0})}, [](T t) { return index_put(t[0], {t[1], t[2]}, 9); }),
              f({3, 2}, {1, 9, 3, 4, 9, 6}));
  expect_same(run({table, i({2}, {0, 0})}, [](T t) { return index_put(t[0], {t[1], 1}, 1, true); }), f({3, 2}, {1, 4, 3, 4, 5, 6}));
  expect_same(run({table, i({3}, {0, 0, 8}), f({3, 2}, {1, 1, 2, 2, 3, 3})}, [](T t) { return index_add(t[0], 0, t[1], t[2]); }),
              f({3, 2}, {4, 5, 3, 4, 5, 6}));
  expect_same(run({table, i({1}, {1})}, [](T t) { return index_copy(t[0], 1, t[1], 0); }), f({3, 2}, {1, 0, 3, 0, 5, 0}));
}

TEST(Indexing, Segments) {
  const Array x = f({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8}), ids = i({4}, {2, 0, 2, 5});
  expect_same(run({x, ids}, [](T t) { return segment_sum(t[0], t[1], 3); }), f({3, 2}, {3, 4, 0, 0, 6, 8}));
  expect_same(run({x, ids}, [](T t) { return segment_prod(t[0], t[1], 3); }), f({3, 2}, {3, 4, 1, 1, 5, 12}));
  expect_same(run({x, ids}, [](T t) { return segment_max(t[0], t[1], 3); }), f({3, 2}, {3, 4, -inf, -inf, 5, 6}));
  expect_same(run({x, ids}, [](T t) { return segment_min(t[0], t[1], 3); }), f({3, 2}, {3, 4, inf, inf, 1, 2}));
  expect_same(run({x, ids}, [](T t) { return segment_mean(t[0], t[1], 3); }), f({3, 2}, {3, 4, nan, nan, 3, 4}));
  const Array u = Array({2}, std::vector<std::uint64_t>{5, 7});
  EXPECT_EQ(run({u, i({2}, {1, 1})}, [](T t) { return segment_min(t[0], t[1], 2); }).data<std::uint64_t>()[0], ~std::uint64_t{0});
}

TEST(Indexing, DynamicSlices) {
  const Array x = f({5}, {0, 1, 2, 3, 4});
  expect_same(run({x, Array(std::int64_t{9})}, [](T t) { return dynamic_slice(t[0], {t[1]}, {2}); }), f({2}, {3, 4}));
  expect_same(run({x, Array(std::int32_t{-4})}, [](T t) { return dynamic_update_slice(t[0], dynamic_slice(t[0], {3}, {2}), {t[1]}); }),
              f({5}, {3, 4, 2, 3, 4}));
}

TEST(Indexing, NumPysIndexing) {
  Array x(f32, Shape({2, 3, 4}));
  for (int k = 0; k < 24; ++k) x.mutable_data<float>()[static_cast<std::size_t>(k)] = static_cast<float>(k);
  expect_same(run({x}, [](T t) { return index(t[0], {0, -1}); }), f({4}, {8, 9, 10, 11}));
  expect_same(run({x}, [](T t) { return index(t[0], {ellipsis, 1}); }), f({2, 3}, {1, 5, 9, 13, 17, 21}));
  expect_same(run({x}, [](T t) { return index(t[0], {1, Slice{.start = 1}, Slice{.step = 2}}); }), f({2, 2}, {16, 18, 20, 22}));
  expect_same(run({x}, [](T t) { return index(t[0], {0, 0, Slice{.step = -1}}); }), f({4}, {3, 2, 1, 0}));
  expect_same(run({x}, [](T t) { return index(t[0], {0, 0, Slice{-1, 0, -2}}); }), f({2}, {3, 1}));
  expect_same(run({x}, [](T t) { return index(t[0], {0, 0, Slice{5, 100}}); }), f({0}, {}));
  expect_same(run({x}, [](T t) { return index(t[0], {0, new_axis, Slice{-2, 100}, new_axis, 3}); }), f({1, 2, 1}, {7, 11}));
  expect_same(run({x, i({2}, {-1, 0})}, [](T t) { return index(t[0], {1, t[1], Slice{0, 1}}); }), f({2, 1}, {20, 12}));
  expect_same(run({x, Array(std::int64_t{1})}, [](T t) { return index(t[0], {t[1], 2, 0}); }), f({}, {20}));
}

TEST(Indexing, OfSymbolicExtents) {
  for (const std::int64_t n : {0, 1, 2, 5}) {
    SCOPED_TRACE(n);
    Graph graph;
    const Dim size("n");
    const Tensor x = graph.placeholder("x", f32, {size}), at = graph.placeholder("at", i64, {2});
    std::vector<Tensor> all = {index(x, {Slice{.start = 1}}), index(x, {Slice{.stop = -1}}),
                               index(x, {Slice{.step = -1}}), index(x, {Slice{.start = -2}}),
                               index(x, {Slice{.step = 2}}),  take(x, at, 0, IndexMode::fill),
                               index_add(x, 0, at, 1),        segment_sum(x, graph.iota(i64, {size}, 0) % 2, 2)};
    Session session(graph, test::options());
    Array values(f32, Shape({n}));
    for (std::int64_t k = 0; k < n; ++k) values.mutable_data<float>()[static_cast<std::size_t>(k)] = static_cast<float>(k + 1);
    std::vector<Array> got;
    for (const Tensor& y : all) got.push_back(session.run(y, {{x, values}, {at, i({2}, {1, 4})}}));
    const auto range = [](std::int64_t from, std::int64_t to, std::int64_t step) {
      std::vector<float> list;
      for (std::int64_t k = from; step > 0 ? k < to : k > to; k += step) list.push_back(static_cast<float>(k + 1));
      return Array({static_cast<std::int64_t>(list.size())}, list);
    };
    expect_same(got[0], range(1, n, 1));
    expect_same(got[1], range(0, n - 1, 1));
    expect_same(got[2], range(n - 1, -1, -1));
    expect_same(got[3], range(std::max<std::int64_t>(n - 2, 0), n, 1));
    expect_same(got[4], range(0, n, 2));
    expect_same(got[5], f({2}, {n > 1 ? 2.f : 0.f, n > 4 ? 5.f : 0.f}));
    EXPECT_EQ(got[6].size(), n);
    float even = 0, odd = 0;
    for (std::int64_t k = 0; k < n; ++k) (k % 2 == 0 ? even : odd) += static_cast<float>(k + 1);
    expect_same(got[7], f({2}, {even, odd}));
  }
}

TEST(Indexing, AnEmbeddingTableIsTrainedWhereItIs) {
  Graph graph;
  const Variable words = graph.variable("words", table);
  const Tensor ids = graph.placeholder("ids", i64, {2});
  const Tensor rows = take(words, ids);
  const Tensor loss = reduce_sum(rows * rows), gradient = gradients(loss, {rows})[0];
  const Assignment step = assign(words, index_add(words, 0, ids, -0.25 * gradient));
  Session session(graph, test::options());
  session.initialize();
  session.run({loss, step}, {{ids, i({2}, {2, 2})}});
  expect_same(session.value(words), f({3, 2}, {1, 2, 3, 4, 0, 0}));
}

TEST(Indexing, GradientsOfScattersMatchDifferences) {
  // Every combiner, with repeated and skipped indices, at first and second order.
  for (const Combine combine : {Combine::replace, Combine::add, Combine::multiply, Combine::minimum, Combine::maximum}) {
    SCOPED_TRACE(static_cast<int>(combine));
    Graph graph;
    const Tensor x = graph.placeholder("x", f64, {4}), u = graph.placeholder("u", f64, {5});
    const Tensor y = scatter_elements(x, graph.constant(i({5}, {1, 3, 1, 9, 3})), u, 0, combine);
    const Tensor weight = graph.constant(Array({4}, {1.0, -2.0, 0.5, 3.0}));
    const std::vector<Tensor> first = gradients(reduce_sum(y * y * weight), {x, u});
    const Tensor second = gradients(reduce_sum(first[1] * graph.constant(Array({5}, {1.0, 2.0, -1.0, 1.0, 0.5}))), {u})[0];
    const Tensor loss = reduce_sum(y * y * weight), slope = reduce_sum(first[1] * graph.constant(Array({5}, {1.0, 2.0, -1.0, 1.0, 0.5})));
    Session session(graph, test::options());
    const Array xs = Array({4}, {0.3, 1.7, -0.4, 0.9}), us = Array({5}, {1.1, 0.2, 2.3, 4.0, -0.7});
    const auto at = [&](const Tensor& t, const Array& a, const Array& b) { return session.run(t, {{x, a}, {u, b}}); };
    const auto expect = [&](const Tensor& of, const Array& gradient, bool by_x) {
      for (std::int64_t k = 0; k < gradient.size(); ++k) {
        const double h = 1e-5;
        Array up = by_x ? xs : us, down = up;
        up.mutable_data<double>()[static_cast<std::size_t>(k)] += h;
        down.mutable_data<double>()[static_cast<std::size_t>(k)] -= h;
        const double high = (by_x ? at(of, up, us) : at(of, xs, up)).item<double>(),
                     low = (by_x ? at(of, down, us) : at(of, xs, down)).item<double>();
        EXPECT_NEAR(gradient.data<double>()[static_cast<std::size_t>(k)], (high - low) / (2 * h), 1e-6) << k;
      }
    };
    expect(loss, at(first[0], xs, us), true);
    expect(loss, at(first[1], xs, us), false);
    expect(slope, at(second, xs, us), false);
  }
}

TEST(Indexing, GradientsOfProductsWithZeros) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {3}), u = graph.placeholder("u", f64, {3});
  const Tensor y = scatter_elements(x, graph.constant(i({3}, {0, 0, 1})), u, 0, Combine::multiply);
  const std::vector<Tensor> g = gradients(reduce_sum(y), {x, u});
  Session session(graph, test::options());
  // Cell 0: 2 * 0 * 5; cell 1: 0 * 0.
  const Array xs = Array({3}, {2.0, 0.0, 7.0}), us = Array({3}, {0.0, 5.0, 0.0});
  expect_same(session.run(g[0], {{x, xs}, {u, us}}), Array({3}, {0.0, 0.0, 1.0}));
  expect_same(session.run(g[1], {{x, xs}, {u, us}}), Array({3}, {10.0, 0.0, 0.0}));
}

TEST(Indexing, RepeatedIndicesAddUpTheSameOnEveryThread) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {5000, 700}), ids = graph.placeholder("ids", i64, {5000});
  const Tensor sums = segment_sum(x, ids, 50);
  const Array values = test::random_array(f32, {5000, 700}), at = test::random_array(f32, {5000}, 0, 50, 3).convert(i64);
  std::vector<Array> results;
  for (const int threads : {1, 2, 4}) {
    SessionOptions options = test::options();
    options.threads = threads;
    Session session(graph, options);
    results.push_back(session.run(sums, {{x, values}, {ids, at}}));
  }
  expect_same(results[1], results[0]);
  expect_same(results[2], results[0]);
}

TEST(Indexing, GathersInsideEveryKindOfKernel) {
  Graph graph;
  const Dim rows("rows"), count("count");
  const Tensor x = graph.placeholder("x", f32, {rows, 70}), v = graph.placeholder("v", f32, {rows});
  const Tensor columns = graph.placeholder("columns", i32, {count}), lines = graph.placeholder("lines", i64, {count});
  const Tensor w = graph.placeholder("w", f32, {count, 9}), u = graph.placeholder("u", f32, {70, 9});
  const Tensor by_column = take(x, columns, 1), by_line = take(x, lines),
               each = take_along_axis(x, broadcast_to(columns, {rows, count}), 1);
  const Tensor one = take(v, lines), filled = take(x, columns, 1, IndexMode::fill);
  std::vector<Tensor> all = {reduce_sum(one),
                             reduce_sum(by_column, 1),
                             reduce_sum(by_column, 0),
                             reduce_max(by_column),
                             reduce_sum(by_line, 1),
                             reduce_sum(by_line, 0),
                             reduce_sum(each, 0),
                             reduce_max(filled, 1),
                             softmax(by_column),
                             softmax(by_line),
                             log_softmax(by_column, 0),
                             softmax(each) * each,
                             matmul(by_column, w),
                             matmul(by_line, u),
                             matmul(transpose(w), by_line),
                             matmul(transpose(w), one),
                             matmul(each, w),
                             argmax(by_column),
                             argmin(by_line, 0),
                             transpose(by_column),
                             index(by_line, {Slice{.step = -1}}),
                             concatenate({by_line, by_line * 2}, 0),
                             reduce_sum(segment_sum(by_line * by_line, lines, 5), 1),
                             gradients(reduce_sum(matmul(kiln::exp(by_line), u)), {x})[0],
                             gradients(reduce_sum(softmax(by_column) * by_column), {x})[0]};
  Session session(graph, test::options()), reference(graph, test::reference_options());
  for (const auto& [r, n] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 40}, {37, 5}, {6, 0}}) {
    const Array at = test::random_array(f32, {n}, -3, 80, 5);
    const std::vector<std::pair<Tensor, Array>> values = {{x, test::random_array(f32, {r, 70})},
                                                          {v, test::random_array(f32, {r}, -1, 1, 2)},
                                                          {columns, at.convert(i32)},
                                                          {lines, at.convert(i64)},
                                                          {w, test::random_array(f32, {n, 9}, -1, 1, 3)},
                                                          {u, test::random_array(f32, {70, 9}, -1, 1, 4)}};
    std::vector<Feed> feeds;
    for (const auto& [tensor, value] : values) feeds.push_back({tensor, value});
    for (std::size_t k = 0; k < all.size(); ++k) {
      if (n == 0 && (k == 17 || k == 18)) continue;  // nothing is the greatest of nothing
      test::expect_near(session.run(all[k], feeds), reference.run(all[k], feeds), 1e-4,
                        "case " + std::to_string(k) + ", " + std::to_string(r) + " rows, " + std::to_string(n) + " indices");
    }
  }
}

/// Prints what a step costs that writes one row of a carried buffer: it must not grow with the buffer.
TEST(Indexing, TimePerStepOfALoopThatWritesRows) {
  Graph graph;
  const Dim rows("rows");
  const Tensor x = graph.placeholder("x", f32, {rows, 16});
  const Tensor y = while_loop([&](auto& v) { return less(v[0], graph.size(rows)); },
                              [&](auto& v) {
                                const Tensor row = dynamic_slice(x, {v[0], 0}, {1, 16});
                                return std::vector<Tensor>{v[0] + 1, dynamic_update_slice(v[1], row * 2, {v[0], 0})};
                              },
                              {graph.constant(Array(std::int64_t{0})), graph.zeros(f32, {rows, 16})})[1];
  Session session(graph, test::options());
  for (const std::int64_t n : {100, 1000, 10000}) {
    if (n > 1000 && test::options().engine != Engine::compiled) continue;  // the interpreters look at whole buffers
    const Array values = test::random_array(f32, {n, 16});
    Array got = session.run(y, {{x, values}});
    const auto start = std::chrono::steady_clock::now();
    got = session.run(y, {{x, values}});
    const double us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    std::printf("%6ld rows: %.3f us per step\n", static_cast<long>(n), us / static_cast<double>(n));
    for (std::size_t k = 0; k < values.data<float>().size(); ++k) ASSERT_EQ(got.data<float>()[k], 2 * values.data<float>()[k]);
  }
}

// Inputs and targets of a language model: whatever n is, both have the extent of the other.
TEST(Indexing, AllButTheFirstIsAsLongAsAllButTheLast) {
  Graph graph;
  const Tensor x = graph.placeholder("x", i64, {2, Dim("n")});
  const Tensor inputs = index(x, {ellipsis, Slice{0, -1}}), targets = index(x, {ellipsis, Slice{1, {}}});
  EXPECT_EQ(to_string(inputs), to_string(targets));
  Session session(graph, test::options());
  for (const std::int64_t n : {0, 1, 2, 5}) {
    Array value(i64, {2, n});
    for (std::int64_t i = 0; i < value.size(); ++i) value.mutable_data<std::int64_t>()[i] = i;
    const auto out = session.run({inputs, targets}, {{x, value}});
    const std::int64_t left = std::max<std::int64_t>(n - 1, 0);
    ASSERT_EQ(out[0].shape(), (Shape{2, left}));
    ASSERT_EQ(out[1].shape(), (Shape{2, left}));
    for (std::int64_t row = 0; row < 2; ++row)
      for (std::int64_t i = 0; i < left; ++i) {
        EXPECT_EQ(out[0].at<std::int64_t>({row, i}), row * n + i);
        EXPECT_EQ(out[1].at<std::int64_t>({row, i}), row * n + i + 1);
      }
  }
}

}  // namespace

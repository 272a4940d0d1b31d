// Sorting, selection, search and histograms against the standard library and worked examples.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "api_test.h"

using namespace kiln;
using kiln::test::options;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// The value of a tensor that is computed from one placeholder.
Array evaluated(const Array& value, const Dims& dims, const std::function<Tensor(const Tensor&)>& build) {
  Graph graph;
  const Tensor x = graph.placeholder("x", value.dtype(), dims);
  return Session(graph, options()).run(build(x), {{x, value}});
}
Array evaluated(const Array& value, const std::function<Tensor(const Tensor&)>& build) { return evaluated(value, value.shape(), build); }

template <class T>
void expect_values(const Array& actual, const std::vector<T>& expected) {
  ASSERT_EQ(actual.size(), static_cast<std::int64_t>(expected.size())) << actual;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double a = element_as_double(actual, static_cast<std::int64_t>(i)), e = static_cast<double>(expected[i]);
    if (std::isnan(a) && std::isnan(e)) continue;
    EXPECT_EQ(a, e) << "element " << i << " of " << actual;
  }
}

TEST(Sorting, AgreesWithStableSort) {
  for (const std::int64_t n : {0, 1, 2, 3, 48, 49, 1000}) {
    Array x = test::random_array(f32, {n}, -5, 5).convert(i32).convert(f32);  // many equals
    std::vector<std::int64_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    const auto data = x.data<float>();
    std::ranges::stable_sort(order, std::less<>(), [&](std::int64_t i) { return data[i]; });
    expect_values(evaluated(x, {Dim("n")}, [](const Tensor& t) { return argsort(t); }), order);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, std::greater<>(), [&](std::int64_t i) { return data[i]; });
    expect_values(evaluated(x, [](const Tensor& t) { return argsort(t, 0, true); }), order);
    std::vector<float> values(data.begin(), data.end());
    std::ranges::sort(values);
    expect_values(evaluated(x, [](const Tensor& t) { return sort(t); }), values);
  }
}

TEST(Sorting, NaNIsGreatestAndSignsOfZeroAreEqual) {
  const Array x({6}, {nan, 0.0F, -infinity, -0.0F, infinity, -1.0F});
  expect_values<std::int64_t>(evaluated(x, [](const Tensor& t) { return argsort(t); }), {2, 5, 1, 3, 4, 0});
  expect_values<std::int64_t>(evaluated(x, [](const Tensor& t) { return argsort(t, -1, true); }), {0, 4, 1, 3, 5, 2});
  expect_values<float>(evaluated(x, [](const Tensor& t) { return sort(t, 0, true); }), {nan, infinity, 0, 0, -1, -infinity});
}

TEST(Sorting, EveryAxis) {
  const Array x({2, 3}, {3, 1, 2, 0, 5, 4});
  expect_values<int>(evaluated(x, [](const Tensor& t) { return sort(t, 0); }), {0, 1, 2, 3, 5, 4});
  expect_values<int>(evaluated(x, [](const Tensor& t) { return sort(t, 1, true); }), {3, 2, 1, 5, 4, 0});
}

TEST(Sorting, SeveralKeys) {
  Graph graph;
  const Tensor first = graph.constant(Array({5}, {2, 1, 2, 1, 1})), last = graph.constant(Array({5}, {0.5, 2.0, 0.5, 1.0, 2.0}));
  Session session(graph, options());
  expect_values<int>(session.run(lexsort({first, last}), {}), {0, 2, 3, 1, 4});
  expect_values<int>(session.run(lexsort({last, first}), {}), {3, 1, 4, 0, 2});
  const Sorted sorted = sort_by_key(first, last, 0, true);
  const std::vector<Array> results = session.run({sorted.keys, sorted.values}, {});
  expect_values<int>(results[0], {2, 2, 1, 1, 1});
  expect_values<double>(results[1], {0.5, 0.5, 2, 1, 2});
}

TEST(Selection, TopK) {
  const Array x({2, 4}, {3.0F, 1.0F, 3.0F, 2.0F, nan, 0.0F, 7.0F, -1.0F});
  expect_values<float>(evaluated(x, [](const Tensor& t) { return top_k(t, 2).values; }), {3, 3, nan, 7});
  expect_values<int>(evaluated(x, [](const Tensor& t) { return top_k(t, 2).indices; }), {0, 2, 0, 2});
  expect_values<float>(evaluated(x, [](const Tensor& t) { return top_k(t, 1, 0, false).values; }), {3, 0, 3, -1});
  expect_values<float>(evaluated(x, [](const Tensor& t) { return kth_value(t, 3).values; }), {3, 7});
  expect_values<int>(evaluated(x, [](const Tensor& t) { return kth_value(t, 3, 1, true).indices; }), {0, 2});
}

TEST(Selection, Mode) {
  const Array x({2, 6}, {4, 2, 2, 4, 1, 9, 5, 5, 5, 1, 1, 0});
  expect_values<int>(evaluated(x, [](const Tensor& t) { return mode(t).values; }), {2, 5});
  expect_values<int>(evaluated(x, [](const Tensor& t) { return mode(t).indices; }), {2, 2});
}

TEST(Selection, Quantiles) {
  const Array x({2, 4}, {8.0, 1.0, 4.0, 2.0, 1.0, 2.0, 3.0, 4.0});
  using enum QuantileMethod;
  const auto at = [&](double q, QuantileMethod how) { return evaluated(x, [&](const Tensor& t) { return quantile(t, q, 1, how); }); };
  expect_values<double>(at(0.5, linear), {3, 2.5});
  expect_values<double>(at(0.25, linear), {1.75, 1.75});
  expect_values<double>(at(0.5, lower), {2, 2});
  expect_values<double>(at(0.5, higher), {4, 3});
  expect_values<double>(at(0.4, midpoint), {3, 2.5});
  expect_values<double>(at(0.5, nearest), {4, 3});  // between 1 and 2: the even one
  expect_values<double>(at(0, linear), {1, 1});
  expect_values<double>(at(1, linear), {8, 4});
  expect_values<double>(evaluated(x, [](const Tensor& t) { return percentile(t, 75, 1, linear, true); }), {5, 3.25});
  expect_values<double>(evaluated(x, [](const Tensor& t) { return median(t, 0); }), {4.5, 1.5, 3.5, 3});
  const Array odd({2, 3}, {infinity, infinity, infinity, 1.0F, nan, 0.0F});
  expect_values<float>(evaluated(odd, [](const Tensor& t) { return median(t); }), {infinity, nan});
  expect_values<float>(evaluated(Array(f32, {0}), {Dim("n")}, [](const Tensor& t) { return median(t); }), {nan});
}

TEST(Search, Searchsorted) {
  Graph graph;
  const Tensor edges = graph.placeholder("edges", f32, {Dim("n")}), x = graph.constant(Array({2, 3}, {0.0F, 1.0F, 2.0F, 3.0F, 5.0F, nan}));
  const Tensor left = searchsorted(edges, x), right = searchsorted(edges, x, Side::right), bucket = bucketize(x, edges);
  Session session(graph, options());
  const std::vector<Array> some = session.run({left, right, bucket}, {{edges, Array({4}, {1.0F, 3.0F, 3.0F, 4.0F})}});
  expect_values<int>(some[0], {0, 0, 1, 1, 4, 4});
  expect_values<int>(some[1], {0, 1, 1, 3, 4, 4});
  expect_values<int>(some[2], {0, 0, 1, 1, 4, 4});
  EXPECT_EQ(some[0].shape(), (Shape{2, 3}));
  expect_values<int>(session.run(left, {{edges, Array(f32, {0})}}), {0, 0, 0, 0, 0, 0});
}

TEST(Search, IsSorted) {
  const Array x({4, 3}, {1.0F, 1.0F, 2.0F, 2.0F, 1.0F, 3.0F, 0.0F, 1.0F, nan, nan, 0.0F, 1.0F});
  expect_values<int>(evaluated(x, [](const Tensor& t) { return is_sorted(t); }), {1, 0, 1, 0});
  expect_values<int>(evaluated(Array(f32, {0}), {Dim("n")}, [](const Tensor& t) { return is_sorted(t); }), {1});
}

TEST(Histograms, CountsAndEdges) {
  const Array x({3, 3}, {0.0F, 0.5F, 1.0F, 2.0F, 3.9F, 4.0F, -0.1F, 4.1F, nan});
  expect_values<int>(evaluated(x, [](const Tensor& t) { return histogram(t, 4, 0, 4).counts; }), {2, 1, 1, 2});
  expect_values<float>(evaluated(x, [](const Tensor& t) { return histogram(t, 4, 0, 4).edges; }), {0, 1, 2, 3, 4});
  const Array numbers({2, 3}, {0, 2, 2, -1, 3, 0});
  expect_values<int>(evaluated(numbers, [](const Tensor& t) { return bincount(t, 3); }), {2, 0, 2});
  expect_values<double>(evaluated(numbers, [](const Tensor& t) { return bincount(t, 3, convert(t, f64) + 0.5); }), {1, 0, 5});
}

/// Gradients of weighted sums of what a function selects.
Array gradient_of(const Array& value, const std::function<Tensor(const Tensor&)>& build) {
  Graph graph;
  const Tensor x = graph.placeholder("x", value.dtype(), value.shape());
  const Tensor y = flatten(build(x));
  const Tensor weights = convert(graph.range(i64, y.dim(0)), value.dtype()) + 1;
  return Session(graph, options()).run(gradients(reduce_sum(y * weights), {x})[0], {{x, value}});
}

TEST(Sorting, GradientsGoWhereValuesComeFrom) {
  const Array x({2, 3}, {3.0, 1.0, 2.0, 0.0, 5.0, 4.0});
  expect_values<double>(gradient_of(x, [](const Tensor& t) { return sort(t); }), {3, 1, 2, 4, 6, 5});
  expect_values<double>(gradient_of(x, [](const Tensor& t) { return top_k(t, 2).values; }), {1, 0, 2, 0, 3, 4});
  expect_values<double>(gradient_of(x, [](const Tensor& t) { return median(t); }), {0, 0, 1, 0, 0, 2});
  expect_values<double>(gradient_of(x, [](const Tensor& t) { return square(sort(t, 0)); }), {24, 4, 12, 0, 50, 48});
}

}  // namespace

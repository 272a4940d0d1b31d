// scan, map and for_loop: values and gradients of any order against the same steps written out, in f64.
#include "api_test.h"

using namespace kiln;

namespace {

constexpr double tolerance = 1e-12;

/// Element t of dim 0.
Tensor at(const Tensor& x, std::int64_t t) {
  Dims starts, limits, rest;
  for (std::size_t d = 0; d < x.rank(); ++d) {
    starts.push_back(d == 0 ? Dim(t) : Dim(0));
    limits.push_back(d == 0 ? Dim(t + 1) : x.dims()[d]);
    if (d > 0) rest.push_back(x.dims()[d]);
  }
  return reshape(slice(x, starts, limits), rest);
}

/// A recurrent network, looped and written out. Two sequences, of which the integers scale; two outputs.
struct Network {
  Graph graph;
  Tensor xs, scales, h0;
  Variable w, u;
  explicit Network(const Dim& time)
      : xs(graph.placeholder("xs", f64, {time, 2, 3})),
        scales(graph.placeholder("scales", i32, {time})),
        h0(graph.placeholder("h0", f64, {2, 4})),
        w(graph.variable("w", test::random_array(f64, {4, 4}, -0.7, 0.7, 1))),
        u(graph.variable("u", test::random_array(f64, {3, 4}, -0.7, 0.7, 2))) {}

  ScanResult step(const Tensor& h, const Tensor& count, const Tensor& x, const Tensor& scale) const {
    const Tensor next = kiln::tanh(matmul(h, w) + matmul(x, u) * convert(scale, f64));
    return {{next, count + scale}, {next * h, reduce_sum(next)}};
  }

  ScanResult looped(const ScanOptions& options = {}) const {
    return scan([&](auto& c, auto& s) { return step(c[0], c[1], s[0], s[1]); }, {h0, zeros_like(reduce_sum(scales))}, {xs, scales},
                options);
  }

  ScanResult unrolled(std::int64_t time, bool reverse) const {
    std::vector<Tensor> carried{h0, zeros_like(reduce_sum(scales))};
    std::vector<Tensor> products(static_cast<std::size_t>(time)), sums = products;
    for (std::int64_t i = 0; i < time; ++i) {
      const std::int64_t t = reverse ? time - 1 - i : i;
      const ScanResult next = step(carried[0], carried[1], at(xs, t), at(scales, t));
      carried = next.carried;
      products[static_cast<std::size_t>(t)] = next.outputs[0];
      sums[static_cast<std::size_t>(t)] = next.outputs[1];
    }
    return {carried, {stack(products), stack(sums)}};
  }

  /// Values, gradients, and gradients of the gradients' squares.
  std::vector<Tensor> everything(const ScanResult& result) const {
    const Tensor loss =
        reduce_sum(square(result.carried[0])) + reduce_sum(kiln::sin(result.outputs[0])) + reduce_sum(square(result.outputs[1]));
    std::vector<Tensor> all{result.carried[0], result.carried[1], result.outputs[0], result.outputs[1], loss};
    const std::vector<Tensor> first = gradients(loss, {xs, h0, w, u});
    Tensor penalty = reduce_sum(square(first[0]));
    for (std::size_t i = 1; i < first.size(); ++i) penalty = penalty + reduce_sum(square(first[i]));
    const std::vector<Tensor> second = gradients(penalty, {xs, h0, w, u});
    all.insert(all.end(), first.begin(), first.end());
    all.insert(all.end(), second.begin(), second.end());
    return all;
  }

  std::vector<Feed> feeds(const Array& x, const Array& scale, const Array& h) const { return {{xs, x}, {scales, scale}, {h0, h}}; }
};

Array scale_values(std::int64_t time) {
  std::vector<double> values;
  for (std::int64_t t = 0; t < time; ++t) values.push_back(static_cast<double>(t % 3) - 1);
  return Array(Shape{time}, values).convert(i32);
}

std::vector<Array> run(Session& session, const std::vector<Tensor>& fetches, const std::vector<Feed>& feeds) {
  const std::vector<Key> keys(fetches.begin(), fetches.end());
  return session.run(ListRef<Key>(keys), feeds);
}

void expect_equal(const std::vector<Array>& actual, const std::vector<Array>& expected, double tolerance_used = tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) test::expect_near(actual[i], expected[i], tolerance_used, "result " + std::to_string(i));
}

TEST(Scan, IsTheStepsOneAfterTheOther) {
  for (const bool reverse : {false, true})
    for (const std::int64_t every : {0, 2, 3, 7}) {
      SCOPED_TRACE(testing::Message() << "reverse " << reverse << ", checkpoint every " << every);
      constexpr std::int64_t time = 5;
      const Network network(time);
      const std::vector<Tensor> looped = network.everything(network.looped({.reverse = reverse, .checkpoint_every = every}));
      const std::vector<Tensor> unrolled = network.everything(network.unrolled(time, reverse));
      Session session(network.graph, test::options());
      session.initialize();
      const Array x = test::random_array(f64, {time, 2, 3}), scale = scale_values(time), h = test::random_array(f64, {2, 4}, -1, 1, 5);
      const std::vector<Feed> feeds = network.feeds(x, scale, h);
      expect_equal(run(session, looped, feeds), run(session, unrolled, feeds));
    }
}

TEST(Scan, OfASymbolicLength) {
  for (const bool reverse : {false, true})
    for (const std::int64_t every : {std::int64_t{0}, std::int64_t{2}, automatic}) {
      const Network network(Dim("time", {.typical = 9}));
      const std::vector<Tensor> looped = network.everything(network.looped({.reverse = reverse, .checkpoint_every = every}));
      Session session(network.graph, test::options());
      session.initialize();
      for (const std::int64_t time : {1, 2, 5}) {
        SCOPED_TRACE(testing::Message() << "reverse " << reverse << ", checkpoint every " << every << ", time " << time);
        const Network fixed(time);
        const std::vector<Tensor> unrolled = fixed.everything(fixed.unrolled(time, reverse));
        Session other(fixed.graph, test::options());
        other.initialize();
        const Array x = test::random_array(f64, {time, 2, 3}), scale = scale_values(time), h = test::random_array(f64, {2, 4}, -1, 1, 5);
        expect_equal(run(session, looped, network.feeds(x, scale, h)), run(other, unrolled, fixed.feeds(x, scale, h)));
      }
      // No iteration: the initial state, empty outputs, and a gradient that reaches the initial state alone.
      const Array h = test::random_array(f64, {2, 4});
      const Array no_x = Array::zeros(f64, {0, 2, 3}), no_scale = Array::zeros(i32, {0});
      const std::vector<Array> none = run(session, looped, network.feeds(no_x, no_scale, h));
      test::expect_near(none[0], h, 0);
      EXPECT_EQ(none[1].item<std::int32_t>(), 0);
      EXPECT_EQ(none[2].shape(), Shape({0, 2, 4}));
      EXPECT_EQ(none[3].shape(), Shape({0}));
      EXPECT_EQ(none[5].shape(), Shape({0, 2, 3}));
      test::expect_near(none[7], Array::zeros(f64, {4, 4}), 0);
      for (std::int64_t i = 0; i < h.size(); ++i) EXPECT_EQ(element_as_double(none[6], i), 2 * element_as_double(h, i));
    }
}

/// A two-dimensional recurrence: rows outside, columns inside, the inner loop backwards.
TEST(Scan, InAScan) {
  constexpr std::int64_t rows = 3, columns = 4;
  Graph graph;
  const Tensor xs = graph.placeholder("xs", f64, {rows, columns, 2});
  const Variable w = graph.variable("w", test::random_array(f64, {2, 2}));
  const auto cell = [&](const Tensor& h, const Tensor& x) { return kiln::tanh(matmul(h, w) + x); };
  const ScanResult looped = scan(
      [&](auto& row_carried, auto& row) {
        const ScanResult inner = scan(
            [&](auto& c, auto& x) {
              const Tensor next = cell(c[0], x[0]);
              return ScanResult{{next}, {next * x[0]}};
            },
            {row_carried[0]}, {row[0]}, {.reverse = true});
        return ScanResult{{inner.carried[0] * 0.5}, {inner.outputs[0]}};
      },
      {graph.zeros(f64, {2})}, {xs});
  Tensor h = graph.zeros(f64, {2});
  std::vector<Tensor> stacked;
  for (std::int64_t r = 0; r < rows; ++r) {
    std::vector<Tensor> products(columns);
    for (std::int64_t c = columns; c-- > 0;) {
      const Tensor x = at(at(xs, r), c);
      h = cell(h, x);
      products[static_cast<std::size_t>(c)] = h * x;
    }
    h = h * 0.5;
    stacked.push_back(stack(products));
  }
  const auto everything = [&](const Tensor& last, const Tensor& products) {
    const Tensor loss = reduce_sum(square(last)) + reduce_sum(kiln::exp(products));
    const std::vector<Tensor> first = gradients(loss, {xs, w});
    const std::vector<Tensor> second = gradients(reduce_sum(square(first[0])) + reduce_sum(square(first[1])), {xs, w});
    return std::vector<Tensor>{last, products, first[0], first[1], second[0], second[1]};
  };
  const std::vector<Tensor> a = everything(looped.carried[0], looped.outputs[0]), b = everything(h, stack(stacked));
  Session session(graph, test::options());
  session.initialize();
  const Array x = test::random_array(f64, {rows, columns, 2});
  expect_equal(run(session, a, {{xs, x}}), run(session, b, {{xs, x}}));
}

TEST(Scan, InABranchAndABranchInIt) {
  constexpr std::int64_t time = 4;
  Graph graph;
  const Tensor xs = graph.placeholder("xs", f64, {time, 3});
  const Tensor loop = graph.placeholder("loop", boolean, {});
  const Variable w = graph.variable("w", test::random_array(f64, {3}));
  const auto cell = [&](const Tensor& h, const Tensor& x) {
    return cond(greater(reduce_sum(x), 0), [&] { return kiln::sin(h * w + x); }, [&] { return h * x; });
  };
  const Tensor zero = graph.ones(f64, {3});
  const Tensor looped = cond(
      loop, [&] { return scan([&](auto& c, auto& s) { return ScanResult{{cell(c[0], s[0])}, {}}; }, {zero}, {xs}).carried[0]; },
      [&] { return reduce_sum(xs, 0) * w; });
  const Tensor unrolled = cond(
      loop,
      [&] {
        Tensor h = zero;
        for (std::int64_t t = 0; t < time; ++t) h = cell(h, at(xs, t));
        return h;
      },
      [&] { return reduce_sum(xs, 0) * w; });
  const auto everything = [&](const Tensor& y) {
    const std::vector<Tensor> first = gradients(reduce_sum(square(y)), {xs, w});
    const std::vector<Tensor> second = gradients(reduce_sum(square(first[0])) + reduce_sum(square(first[1])), {xs, w});
    return std::vector<Tensor>{y, first[0], first[1], second[0], second[1]};
  };
  const std::vector<Tensor> a = everything(looped), b = everything(unrolled);
  Session session(graph, test::options());
  session.initialize();
  const Array x = test::random_array(f64, {time, 3});
  for (const bool choice : {true, false})
    expect_equal(run(session, a, {{xs, x}, {loop, Array(choice)}}), run(session, b, {{xs, x}, {loop, Array(choice)}}));
}

TEST(Scan, DrawsFreshNumbersInEachIteration) {
  Graph graph;
  const Tensor draws =
      scan([&](auto&, auto&) { return ScanResult{{}, {graph.random_uniform(f64, {2})}}; }, {}, {graph.zeros(f64, {3})}).outputs[0];
  Session session(graph, test::options());
  session.initialize();
  const Array values = session.run(draws);
  for (std::int64_t i = 0; i < values.size(); ++i)
    for (std::int64_t j = 0; j < i; ++j) EXPECT_NE(element_as_double(values, i), element_as_double(values, j));
}

TEST(Map, AppliesTheBodyToEachSlice) {
  Graph graph;
  const Tensor xs = graph.placeholder("xs", f64, {Dim("n"), 2, 2});
  const Variable w = graph.variable("w", test::random_array(f64, {2, 2}));
  const std::vector<Tensor> mapped = map([&](auto& s) { return std::vector<Tensor>{matmul(s[0], w), reduce_max(s[0])}; }, {xs});
  const Tensor gradient = gradients(reduce_sum(square(mapped[0])), {w})[0];
  const Tensor expected = gradients(reduce_sum(square(matmul(xs, w))), {w})[0];
  Session session(graph, test::options());
  session.initialize();
  for (const std::int64_t n : {0, 1, 4}) {
    const Array x = test::random_array(f64, {n, 2, 2});
    const auto out = session.run({mapped[0], matmul(xs, w), mapped[1], gradient, expected}, {{xs, x}});
    test::expect_near(out[0], out[1], tolerance);
    EXPECT_EQ(out[2].shape(), Shape({n}));
    test::expect_near(out[3], out[4], tolerance);
  }
}

TEST(ForLoop, CountsToAnExtent) {
  Graph graph;
  const Dim n("n");
  const Tensor x = graph.placeholder("x", f64, {n});
  const Tensor power = for_loop(n, [&](const Tensor& i, auto& v) { return std::vector<Tensor>{v[0] * reduce_sum(x) + convert(i, f64)}; },
                                {graph.constant(Array(1.0))})[0];
  const Tensor gradient = gradients(power, {x})[0];
  Session session(graph, test::options());
  session.initialize();
  // s^3 + s + 2 at n = 3: ((1 s + 0) s + 1) s + 2.
  const auto out = session.run({power, gradient}, {{x, Array({3}, {0.5, 1.0, 0.25})}});
  const double s = 1.75;
  EXPECT_NEAR(out[0].item<double>(), s * s * s + s + 2, tolerance);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(element_as_double(out[1], i), 3 * s * s + 1, tolerance);
  EXPECT_EQ(session.run(power, {{x, Array::zeros(f64, {0})}}).item<double>(), 1);
}

}  // namespace

// Pooling against values worked out by hand and against loops written out.
#include <cmath>
#include <limits>
#include <type_traits>

#include "api_test.h"

using namespace kiln;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr Layout last = Layout::channels_last;
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

template <class Function>
Array run(const Array& x, Function function) {
  Graph graph;
  const Tensor input = graph.placeholder("x", x.dtype(), std::vector<Dim>(x.shape().begin(), x.shape().end()));
  Session session(graph, test::options());
  const Tensor y = [&] {
    if constexpr (std::is_invocable_v<Function, Graph&, const Tensor&>)
      return function(graph, input);
    else
      return function(input);
  }();
  return session.run(y, {{input, x}});
}

/// The gradient of the sum of function(x) * weight, where the weights are 1, 2, 3 ...
template <class Function>
Array gradient(const Array& x, Function function) {
  return run(x, [&](Graph& graph, const Tensor& input) {
    const Tensor y = function(input);
    Dim count = 1;
    for (const Dim& d : y.dims()) count = count * d;
    return gradients(reduce_sum(reshape(y, {count}) * convert(graph.range(i64, count) + 1, y.dtype())), {input})[0];
  });
}

Array f(const Shape& shape, const std::vector<double>& values) { return Array(shape, values).convert(f32); }
Array i(const Shape& shape, const std::vector<std::int64_t>& values) { return Array(shape, values); }
void expect_same(const Array& actual, const Array& expected) { test::expect_near(actual, expected, 0); }

const Array line = f({1, 6, 1}, {3, 1, 4, 1, 5, 9});

TEST(Pooling, MaximaOfALine) {
  expect_same(run(line, [](const Tensor& x) { return max_pool(x, 2, {.layout = last}); }), f({1, 3, 1}, {3, 4, 9}));
  expect_same(run(line, [](const Tensor& x) { return max_pool(x, 3, {.stride = 1, .layout = last}); }), f({1, 4, 1}, {4, 4, 5, 9}));
  expect_same(run(line, [](const Tensor& x) { return max_pool(x, 3, {.stride = 2, .padding = 1, .layout = last}); }),
              f({1, 3, 1}, {3, 4, 9}));
  expect_same(run(line, [](const Tensor& x) { return max_pool(x, 4, {.layout = last}); }), f({1, 1, 1}, {4}));
  expect_same(run(line, [](const Tensor& x) { return max_pool(x, 4, {.ceil_mode = true, .layout = last}); }), f({1, 2, 1}, {4, 9}));
  expect_same(run(line, [](const Tensor& x) { return max_pool(x, 2, {.stride = 1, .dilation = 3, .layout = last}); }),
              f({1, 3, 1}, {3, 5, 9}));
  expect_same(run(line, [](const Tensor& x) { return max_pool(x, 7, {.layout = last}); }), f({1, 0, 1}, {}));
  expect_same(run(line, [](const Tensor& x) { return max_pool(x, 3, {.stride = 2, .padding = Padding::same(), .layout = last}); }),
              f({1, 3, 1}, {4, 5, 9}));
  expect_same(run(line, [](const Tensor& x) { return max_pool(x, 3, {.stride = 2, .padding = Padding::same_lower(), .layout = last}); }),
              f({1, 3, 1}, {3, 4, 9}));
  expect_same(run(f({1, 4, 1}, {-inf, -inf, nan, 2}), [](const Tensor& x) { return max_pool(x, 2, {.layout = last}); }),
              f({1, 2, 1}, {-inf, nan}));
}

TEST(Pooling, AnIntegersMaximumIsNotItsPadding) {
  expect_same(run(i({1, 3, 1}, {-5, -7, -9}), [](const Tensor& x) { return max_pool(x, 3, {.stride = 1, .padding = 1, .layout = last}); }),
              i({1, 3, 1}, {-5, -5, -7}));
}

TEST(Pooling, ACeilingWindowStartsInsideTheTensor) {
  // Of 3 elements, windows of 2 with stride 2 and padding 1 start at -1 and 1; rounding up would add one that starts at 3.
  expect_same(run(f({1, 3, 1}, {1, 2, 3}),
                  [](const Tensor& x) { return max_pool(x, 2, {.stride = 2, .padding = 1, .ceil_mode = true, .layout = last}); }),
              f({1, 2, 1}, {1, 3}));
}

TEST(Pooling, MeansCountWhatTheyAreToldTo) {
  const auto mean = [](const AvgPoolOptions& options) { return run(line, [&](const Tensor& x) { return avg_pool(x, 3, options); }); };
  expect_same(mean({.layout = last}), f({1, 2, 1}, {8.0 / 3, 5}));
  expect_same(mean({.stride = 2, .padding = 1, .layout = last}), f({1, 3, 1}, {4.0 / 3, 2, 5}));
  expect_same(mean({.stride = 2, .padding = 1, .count_include_pad = false, .layout = last}), f({1, 3, 1}, {2, 2, 5}));
  expect_same(mean({.stride = 2, .padding = Padding::same(), .layout = last}), f({1, 3, 1}, {8.0 / 3, 10.0 / 3, 7}));
  expect_same(mean({.stride = 2, .padding = Padding::same(), .count_include_pad = true, .layout = last}),
              f({1, 3, 1}, {8.0 / 3, 10.0 / 3, 14.0 / 3}));
  // The last window holds 9 and two places beyond, which never count; and with padding, one place of padding, which may.
  expect_same(run(f({1, 4, 1}, {1, 2, 3, 9}), [](const Tensor& x) { return avg_pool(x, 3, {.ceil_mode = true, .layout = last}); }),
              f({1, 2, 1}, {2, 9}));
  expect_same(run(f({1, 4, 1}, {1, 2, 3, 9}),
                  [](const Tensor& x) { return avg_pool(x, 3, {.stride = 2, .padding = 1, .ceil_mode = true, .layout = last}); }),
              f({1, 3, 1}, {1, 14.0 / 3, 4.5}));
}

TEST(Pooling, HalvesAreSummedInSingle) {
  const Array ones = Array::full(f16, {1, 64, 1}, 60000);
  expect_same(run(ones, [](const Tensor& x) { return avg_pool(x, 64, {.layout = last}); }), Array::full(f16, {1, 1, 1}, 60000));
  expect_same(run(ones, [](const Tensor& x) { return global_avg_pool(x, last); }), Array::full(f16, {1, 1, 1}, 60000));
}

/// A [n, h, w, c] tensor pooled by loops over its last three axes.
Array by_loops(const Array& x, std::int64_t window, std::int64_t stride, std::int64_t padding, bool maximum) {
  const std::int64_t n = x.shape()[0], h = x.shape()[1], w = x.shape()[2], c = x.shape()[3];
  const std::int64_t oh = (h + 2 * padding - window) / stride + 1, ow = (w + 2 * padding - window) / stride + 1;
  std::vector<double> out;
  for (std::int64_t b = 0; b < n; ++b)
    for (std::int64_t y = 0; y < oh; ++y)
      for (std::int64_t z = 0; z < ow; ++z)
        for (std::int64_t k = 0; k < c; ++k) {
          double fold = maximum ? -inf : 0;
          for (std::int64_t p = 0; p < window; ++p)
            for (std::int64_t q = 0; q < window; ++q) {
              const std::int64_t row = y * stride + p - padding, column = z * stride + q - padding;
              if (row < 0 || column < 0 || row >= h || column >= w) continue;
              const double value = x.data<float>()[((b * h + row) * w + column) * c + k];
              fold = maximum ? std::max(fold, value) : fold + value;
            }
          out.push_back(maximum ? fold : fold / static_cast<double>(window * window));
        }
  return f({n, oh, ow, c}, out);
}

TEST(Pooling, ImagesInBothLayoutsAndWithSymbolicExtents) {
  const Array x = test::random_array(f32, {2, 9, 8, 19});
  for (const auto& [window, stride, padding] : {std::tuple{2, 2, 0}, {3, 2, 1}, {3, 1, 1}, {3, 3, 0}}) {
    const PoolOptions options{.stride = stride, .padding = padding, .layout = last};
    const AvgPoolOptions mean_options{.stride = stride, .padding = padding, .layout = last};
    const Array largest = by_loops(x, window, stride, padding, true), mean = by_loops(x, window, stride, padding, false);
    Graph graph;
    const Tensor fixed = graph.placeholder("fixed", f32, {2, 9, 8, 19});
    const Tensor any = graph.placeholder("any", f32, {Dim("n"), Dim("h"), Dim("w"), Dim("c")});
    PoolOptions first = options;
    first.layout = Layout::channels_first;
    Session session(graph, test::options());
    const Tensor turned = transpose(max_pool(transpose(fixed, {0, 3, 1, 2}), {window, window}, first), {0, 2, 3, 1});
    const auto results = session.run({max_pool(fixed, window, options), turned, max_pool(any, window, options),
                                      avg_pool(fixed, window, mean_options), avg_pool(any, window, mean_options)},
                                     {{fixed, x}, {any, x}});
    for (std::size_t r = 0; r < 3; ++r) expect_same(results[r], largest);
    for (std::size_t r = 3; r < 5; ++r) test::expect_near(results[r], mean, 1e-6);
  }
}

TEST(Pooling, SymbolicExtentsKeepSameAndCeil) {
  for (const std::int64_t n : {0, 1, 4, 5, 6, 7}) {
    Graph graph;
    const Tensor x = graph.placeholder("x", f32, {1, Dim("n"), 1}), y = graph.placeholder("y", f32, {1, n, 1});
    Session session(graph, test::options());
    const Array values = test::random_array(f32, {1, n, 1});
    const auto both = [&](const auto& f) {
      const auto results = session.run({f(x), f(y)}, {{x, values}, {y, values}});
      expect_same(results[0], results[1]);
    };
    both([](const Tensor& t) { return max_pool(t, 3, {.stride = 2, .padding = Padding::same(), .layout = last}); });
    both([](const Tensor& t) { return avg_pool(t, 3, {.stride = 2, .padding = Padding::same(), .layout = last}); });
    both([](const Tensor& t) { return max_pool(t, 2, {.stride = 3, .padding = 1, .ceil_mode = true, .layout = last}); });
    both([](const Tensor& t) { return avg_pool(t, 2, {.stride = 3, .padding = 1, .ceil_mode = true, .layout = last}); });
    both([](const Tensor& t) { return max_pool(t, 2, {.stride = 3, .ceil_mode = true, .layout = last}); });
  }
}

TEST(Pooling, Indices) {
  const Array x = f({1, 2, 4, 1}, {1, 2, 3, 4, 8, 7, 6, 5});
  const auto pooled = [&](int which) {
    return run(x, [&](const Tensor& t) {
      const PooledWithIndices p = max_pool_with_indices(t, 2, {.layout = last});
      return which == 0 ? p.values : which == 1 ? p.indices : max_unpool(p.values, p.indices, {2, 4}, last);
    });
  };
  expect_same(pooled(0), f({1, 1, 2, 1}, {8, 6}));
  expect_same(pooled(1), i({1, 1, 2, 1}, {4, 6}));
  expect_same(pooled(2), f({1, 2, 4, 1}, {0, 0, 0, 0, 8, 0, 6, 0}));
  // Padding shifts nothing; channels first.
  expect_same(run(f({1, 2, 3}, {1, 5, 2, 9, 0, 3}),
                  [](const Tensor& t) {
                    return max_pool_with_indices(t, 2, {.stride = 1, .padding = 1, .layout = Layout::channels_first}).indices;
                  }),
              i({1, 2, 4}, {0, 1, 1, 2, 0, 0, 2, 2}));
  expect_same(run(f({1, 2, 2}, {5, 2, 9, 3}),
                  [](const Tensor& t) {
                    const PooledWithIndices p = max_pool_with_indices(t, 1, {.layout = Layout::channels_first});
                    return max_unpool(p.values, p.indices + 1, {4}, Layout::channels_first);
                  }),
              f({1, 2, 4}, {0, 5, 2, 0, 0, 9, 3, 0}));
}

TEST(Pooling, NormsAndGlobal) {
  const Array x = f({1, 2, 2, 2}, {3, 1, -4, 2, 0, 2, 0, 4});
  expect_same(run(x, [](const Tensor& t) { return lp_pool(t, 2, 2, {.layout = last}); }), f({1, 1, 1, 2}, {5, 5}));
  expect_same(run(x, [](const Tensor& t) { return lp_pool(t, 1, {2, 1}, {.layout = last}); }), f({1, 1, 2, 2}, {3, 3, 4, 6}));
  test::expect_near(run(x, [](const Tensor& t) { return lp_pool(t, 3, 2, {.layout = last}); }),
                    f({1, 1, 1, 2}, {std::cbrt(91.0), std::cbrt(81.0)}), 1e-6);
  expect_same(run(x, [](const Tensor& t) { return global_max_pool(t, last); }), f({1, 1, 1, 2}, {3, 4}));
  expect_same(run(x, [](const Tensor& t) { return global_avg_pool(t, Layout::channels_last, false); }), f({1, 2}, {-0.25, 2.25}));
  expect_same(run(x, [](const Tensor& t) { return global_lp_pool(t, 2, Layout::channels_first); }),
              f({1, 2, 1, 1}, {std::sqrt(30.0), std::sqrt(20.0)}));
}

TEST(Pooling, Adaptive) {
  const Array x = f({1, 5, 1}, {1, 5, 3, 2, 4});
  test::expect_near(run(x, [](const Tensor& t) { return adaptive_avg_pool(t, 3, last); }), f({1, 3, 1}, {3, 10.0 / 3, 3}), 1e-6);
  expect_same(run(x, [](const Tensor& t) { return adaptive_max_pool(t, 3, last); }), f({1, 3, 1}, {5, 5, 4}));
  expect_same(run(x, [](const Tensor& t) { return adaptive_max_pool(t, 5, last); }), x);
  expect_same(run(x, [](const Tensor& t) { return adaptive_avg_pool(t, 1, last); }), f({1, 1, 1}, {3}));
  const Array image = test::random_array(f32, {2, 6, 7, 3});
  test::expect_near(run(image, [](const Tensor& t) { return adaptive_avg_pool(t, {3, 7}, last); }),
                    run(image, [](const Tensor& t) { return avg_pool(t, {2, 1}, {.layout = last}); }), 1e-6);
}

TEST(Pooling, Gradients) {
  // Ties go to the first element; windows that overlap add up.
  expect_same(gradient(f({1, 5, 1}, {2, 2, 1, 1, 2}), [](const Tensor& x) { return max_pool(x, 2, {.stride = 1, .layout = last}); }),
              f({1, 5, 1}, {1, 2, 3, 0, 4}));
  expect_same(gradient(f({1, 4, 1}, {4, 1, 2, 3}), [](const Tensor& x) { return max_pool(x, 2, {.padding = 1, .layout = last}); }),
              f({1, 4, 1}, {1, 0, 2, 3}));
  expect_same(gradient(line, [](const Tensor& x) { return avg_pool(x, 2, {.layout = last}); }), f({1, 6, 1}, {0.5, 0.5, 1, 1, 1.5, 1.5}));
  expect_same(gradient(line, [](const Tensor& x) { return max_pool_with_indices(x, 2, {.layout = last}).values; }),
              f({1, 6, 1}, {1, 0, 2, 0, 0, 3}));
  expect_same(gradient(f({1, 4, 1}, {1, 7, 5, 2}),
                       [](const Tensor& x) {
                         const PooledWithIndices p = max_pool_with_indices(x, 2, {.layout = last});
                         return max_unpool(p.values, 3 - p.indices, {4}, last);
                       }),
              f({1, 4, 1}, {0, 3, 2, 0}));
}

}  // namespace

// Running folds, statistics and norms.
#include <cmath>
#include <limits>

#include "api_test.h"

using namespace kiln;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

template <class Function>
Array run(const Array& x, Function function) {
  Graph graph;
  const Tensor input = graph.placeholder("x", x.dtype(), std::vector<Dim>(x.shape().begin(), x.shape().end()));
  Session session(graph, test::options());
  const Tensor y = function(input);
  return session.run(y, {{input, x}});
}

Array f(const Shape& shape, const std::vector<double>& values) { return Array(shape, values).convert(f32); }
Array d(const Shape& shape, const std::vector<double>& values) { return Array(shape, values); }
Array i(const Shape& shape, const std::vector<std::int64_t>& values) { return Array(shape, values); }
void expect_same(const Array& actual, const Array& expected) { test::expect_near(actual, expected, 0); }

TEST(Cumulative, SumsAndProducts) {
  const Array x = f({2, 3}, {1, 2, 3, 4, 5, 6});
  expect_same(run(x, [](const Tensor& t) { return cumsum(t); }), f({2, 3}, {1, 3, 6, 4, 9, 15}));
  expect_same(run(x, [](const Tensor& t) { return cumsum(t, 0); }), f({2, 3}, {1, 2, 3, 5, 7, 9}));
  expect_same(run(x, [](const Tensor& t) { return cumsum(t, 1, {.exclusive = true}); }), f({2, 3}, {0, 1, 3, 0, 4, 9}));
  expect_same(run(x, [](const Tensor& t) { return cumsum(t, 1, {.reverse = true}); }), f({2, 3}, {6, 5, 3, 15, 11, 6}));
  expect_same(run(x, [](const Tensor& t) { return cumsum(t, -1, {.exclusive = true, .reverse = true}); }), f({2, 3}, {5, 3, 0, 11, 6, 0}));
  expect_same(run(x, [](const Tensor& t) { return cumprod(t); }), f({2, 3}, {1, 2, 6, 4, 20, 120}));
  expect_same(run(i({3}, {std::numeric_limits<std::int64_t>::max(), 1, 1}), [](const Tensor& t) { return cumsum(t); }),
              i({3}, {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min(),
                      std::numeric_limits<std::int64_t>::min() + 1}));
}

TEST(Cumulative, ExtremaAndWhereTheyStand) {
  const Array x = f({6}, {1, 3, 3, 2, nan, 5});
  expect_same(run(x, [](const Tensor& t) { return cummax(t).values; }), f({6}, {1, 3, 3, 3, nan, nan}));
  expect_same(run(x, [](const Tensor& t) { return cummax(t).indices; }), i({6}, {0, 1, 2, 2, 4, 4}));
  expect_same(run(x, [](const Tensor& t) { return cummin(t).values; }), f({6}, {1, 1, 1, 1, nan, nan}));
  expect_same(run(i({2, 2}, {4, 1, 3, 1}), [](const Tensor& t) { return cummin(t, 0).indices; }), i({2, 2}, {0, 0, 1, 1}));
}

TEST(Cumulative, LogCumSumExpNeitherOverflowsNorLosesItsStart) {
  expect_same(run(d({4}, {-inf, 1000, 1000, -inf}), [](const Tensor& t) { return logcumsumexp(t); }),
              d({4}, {-inf, 1000, 1000 + std::log(2.0), 1000 + std::log(2.0)}));
  expect_same(run(d({3}, {-1000, inf, 0}), [](const Tensor& t) { return logcumsumexp(t); }), d({3}, {-1000, inf, inf}));
  expect_same(run(d({3}, {0, nan, 0}), [](const Tensor& t) { return logcumsumexp(t); }), d({3}, {0, nan, nan}));
  const Array x = test::random_array(f64, {3, 50}, -4, 4);
  test::expect_near(run(x, [](const Tensor& t) { return logcumsumexp(t); }), run(x, [](const Tensor& t) { return log(cumsum(exp(t))); }),
                    1e-13);
  const auto slopes = [&](bool direct) {
    return run(x, [&](const Tensor& t) {
      const Tensor y = direct ? logcumsumexp(t, 1) : log(cumsum(exp(t), 1));
      return gradients(reduce_sum(y * y), {t})[0];
    });
  };
  test::expect_near(slopes(true), slopes(false), 1e-11);
}

TEST(Cumulative, LinearRecurrence) {
  expect_same(run(d({4}, {1, 2, 3, 4}), [](const Tensor& t) { return linear_recurrence(0.5, t); }), d({4}, {1, 2.5, 4.25, 6.125}));
  expect_same(run(d({3}, {1, 2, 3}), [](const Tensor& t) { return linear_recurrence(t, 1.0, 0, true); }), d({3}, {4, 3, 1}));
  expect_same(run(d({2, 2}, {1, 2, 3, 4}), [](const Tensor& t) { return linear_recurrence(reshape(t, {2, 2, 1}), t, 1); }),
              d({2, 2, 2}, {1, 2, 3 + 2 * 1, 4 + 2 * 2, 1, 2, 3 + 4 * 1, 4 + 4 * 2}));
}

TEST(Cumulative, Differences) {
  expect_same(run(i({5}, {1, 4, 9, 16, 25}), [](const Tensor& t) { return diff(t); }), i({4}, {3, 5, 7, 9}));
  expect_same(run(i({5}, {1, 4, 9, 16, 25}), [](const Tensor& t) { return diff(t, 2); }), i({3}, {2, 2, 2}));
  expect_same(run(i({2}, {1, 4}), [](const Tensor& t) { return diff(t, 5); }), i({0}, {}));
  expect_same(run(i({2, 2}, {1, 4, 3, 9}), [](const Tensor& t) { return diff(t, 1, 0); }), i({1, 2}, {2, 5}));
  expect_same(run(i({3}, {1, 0, 0}), [](const Tensor& t) { return convert(diff(not_equal(t, 0)), i64); }), i({2}, {1, 0}));
}

TEST(Reductions, TheLastArgument) {
  const Array x = f({2, 4}, {1, 3, 3, 0, nan, 1, nan, 2});
  expect_same(run(x, [](const Tensor& t) { return argmax(t); }), i({2}, {1, 0}));
  expect_same(run(x, [](const Tensor& t) { return argmax(t, 1, true, true); }), i({2, 1}, {2, 2}));
  expect_same(run(x, [](const Tensor& t) { return argmin(t, 0, false, true); }), i({4}, {1, 1, 1, 0}));
  expect_same(run(f({2, 0}, {}), [](const Tensor& t) { return argmax(t); }), i({2}, {-1, -1}));
  expect_same(run(f({2, 0}, {}), [](const Tensor& t) { return argmax(t, 1, false, true); }), i({2}, {-1, -1}));
}

TEST(Reductions, Variances) {
  const Array x = d({2, 3}, {1, 2, 3, 4, 4, 4});
  expect_same(run(x, [](const Tensor& t) { return reduce_variance(t, 1); }), d({2}, {2.0 / 3, 0}));
  expect_same(run(x, [](const Tensor& t) { return reduce_variance(t, 1, true, 1); }), d({2, 1}, {1, 0}));
  expect_same(run(x, [](const Tensor& t) { return reduce_std(t, 1, false, 1); }), d({2}, {1, 0}));
  expect_same(run(x, [](const Tensor& t) { return moments(t, 1).mean; }), d({2}, {2, 4}));
  expect_same(run(d({2, 1}, {1, 2}), [](const Tensor& t) { return reduce_variance(t, 1, false, 1); }), d({2}, {nan, nan}));
  // A constant row has a gradient, 0.
  expect_same(run(x, [](const Tensor& t) { return gradients(reduce_sum(reduce_std(t, 1, false, 1)), {t})[0]; }),
              d({2, 3}, {-0.5, 0, 0.5, 0, 0, 0}));
}

TEST(Reductions, Norms) {
  const Array x = d({2, 2}, {3, -4, 0, 0});
  expect_same(run(x, [](const Tensor& t) { return reduce_l1(t, 1); }), d({2}, {7, 0}));
  expect_same(run(x, [](const Tensor& t) { return reduce_l2(t, 1); }), d({2}, {5, 0}));
  expect_same(run(x, [](const Tensor& t) { return reduce_sum_square(t, 1); }), d({2}, {25, 0}));
  expect_same(run(x, [](const Tensor& t) { return norm(t, 1, 1); }), d({2}, {7, 0}));
  expect_same(run(x, [](const Tensor& t) { return norm(t); }), d({}, {5}));
  expect_same(run(x, [](const Tensor& t) { return norm(t, inf, 1); }), d({2}, {4, 0}));
  expect_same(run(x, [](const Tensor& t) { return norm(t, -inf, 1); }), d({2}, {3, 0}));
  expect_same(run(x, [](const Tensor& t) { return norm(t, 0, 1, true); }), d({2, 1}, {2, 0}));
  test::expect_near(run(x, [](const Tensor& t) { return norm(t, 3, 1); }), d({2}, {std::cbrt(91.0), 0}), 1e-14);
  test::expect_near(run(x, [](const Tensor& t) { return gradients(reduce_sum(norm(t, 2, 1)), {t})[0]; }), d({2, 2}, {0.6, -0.8, 0, 0}),
                    1e-15);
  expect_same(run(d({2}, {1, 3}), [](const Tensor& t) { return reduce_log_sum(t); }), d({}, {std::log(4.0)}));
  expect_same(run(i({3}, {2, 9, 4}), [](const Tensor& t) { return ptp(t); }), i({}, {7}));
  expect_same(run(f({2, 2}, {0, nan, 1, 0}), [](const Tensor& t) { return count_nonzero(t, 0); }), i({2}, {1, 1}));
}

TEST(Reductions, WithoutNaN) {
  const Array x = d({3, 3}, {1, nan, 3, nan, nan, nan, 2, 4, 6});
  expect_same(run(x, [](const Tensor& t) { return nansum(t, 1); }), d({3}, {4, 0, 12}));
  expect_same(run(x, [](const Tensor& t) { return nanprod(t, 1); }), d({3}, {3, 1, 48}));
  expect_same(run(x, [](const Tensor& t) { return nanmean(t, 1); }), d({3}, {2, nan, 4}));
  expect_same(run(x, [](const Tensor& t) { return nanmax(t, 1); }), d({3}, {3, nan, 6}));
  expect_same(run(x, [](const Tensor& t) { return nanmin(t, 1, true); }), d({3, 1}, {1, nan, 2}));
  expect_same(run(x, [](const Tensor& t) { return nanvar(t, 1); }), d({3}, {1, nan, 8.0 / 3}));
  expect_same(run(x, [](const Tensor& t) { return nanstd(t, 1, false, 1); }), d({3}, {std::sqrt(2.0), nan, 2}));
}

}  // namespace

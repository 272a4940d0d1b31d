// Random tensors: distributions by Kolmogorov and Smirnov's or Pearson's test, independence, and what must not change a draw.
//
// Seeds are fixed, so a test passes always or never. Thresholds are those that a right generator exceeds once in a thousand (KS: 1.95 /
// sqrt(n); chi-square: about f + 3.1 sqrt(2 f) + 6 for f degrees of freedom).
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "composites.h"

using namespace kiln;

namespace {

using test::Inputs;

constexpr std::int64_t count = 20000;
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::vector<double> numbers(const Array& array) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < array.size(); ++i) values.push_back(element_as_double(array, i));
  return values;
}

std::vector<double> draw(const std::function<Tensor(Graph&)>& build, std::uint64_t seed = 7) {
  return numbers(test::evaluate({}, [&](Graph& g, const Inputs&) { return std::vector<Tensor>{build(g)}; }, seed)[0]);
}

/// sqrt(n) times the largest distance between the empirical and the given distribution function.
double kolmogorov(std::vector<double> values, const std::function<double(double)>& distribution) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double most = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double f = distribution(values[i]);
    most = std::max({most, std::abs(f - static_cast<double>(i) / n), std::abs(f - static_cast<double>(i + 1) / n)});
  }
  return most * std::sqrt(n);
}

/// Pearson's statistic of counted classes against expected probabilities, minus its threshold.
double pearson_excess(const std::vector<double>& counts, const std::vector<double>& probabilities) {
  const double n = std::accumulate(counts.begin(), counts.end(), 0.0);
  double statistic = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = n * probabilities[i];
    statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  const auto freedom = static_cast<double>(counts.size() - 1);
  return statistic - (freedom + 3.1 * std::sqrt(2 * freedom) + 6);
}

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const auto n = static_cast<double>(a.size());
  const double ma = std::accumulate(a.begin(), a.end(), 0.0) / n, mb = std::accumulate(b.begin(), b.end(), 0.0) / n;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
  }
  return ab / std::sqrt(aa * bb);
}

double normal_distribution(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

/// The regularised lower incomplete gamma function, by its series.
double gamma_distribution(double a, double x) {
  if (x <= 0) return 0;
  double term = 1 / a, sum = term;
  for (int i = 1; i < 1000 && term > sum * 1e-16; ++i) term *= x / (a + i), sum += term;
  return std::min(1.0, sum * std::exp(a * std::log(x) - x - std::lgamma(a)));
}

TEST(Random, ContinuousDistributions) {
  using Distribution = std::function<double(double)>;
  const double edge = normal_distribution(1.5) - normal_distribution(-0.5);
  for (const DType dtype : {f32, f64}) {
    const Dims dims{count};
    const std::vector<std::tuple<const char*, std::function<Tensor(Graph&)>, Distribution>> all = {
        {"uniform", [&](Graph& g) { return g.random_uniform(dtype, dims); }, [](double x) { return x; }},
        {"normal", [&](Graph& g) { return g.random_normal(dtype, dims, {.mean = 1, .stddev = 2}); },
         [](double x) { return normal_distribution((x - 1) / 2); }},
        {"truncated", [&](Graph& g) { return random_truncated_normal(g, dtype, dims, {.mean = 1, .stddev = 2, .low = 0, .high = 4}); },
         [&](double x) { return (normal_distribution((x - 1) / 2) - normal_distribution(-0.5)) / edge; }},
        {"exponential", [&](Graph& g) { return random_exponential(g, dtype, dims); }, [](double x) { return -std::expm1(-x); }},
        {"laplace", [&](Graph& g) { return random_laplace(g, dtype, dims); },
         [](double x) { return x < 0 ? 0.5 * std::exp(x) : 1 - 0.5 * std::exp(-x); }},
        {"gumbel", [&](Graph& g) { return random_gumbel(g, dtype, dims); }, [](double x) { return std::exp(-std::exp(-x)); }},
        {"logistic", [&](Graph& g) { return random_logistic(g, dtype, dims); }, [](double x) { return 1 / (1 + std::exp(-x)); }},
        {"cauchy", [&](Graph& g) { return random_cauchy(g, dtype, dims); }, [](double x) { return 0.5 + std::atan(x) / M_PI; }},
        {"uniform_like", [&](Graph& g) { return random_uniform_like(g.zeros(dtype, dims)); }, [](double x) { return x; }},
        {"normal_like", [&](Graph& g) { return random_normal_like(g.zeros(dtype, dims)); }, normal_distribution},
        {"gamma_2.5", [&](Graph& g) { return random_gamma(g.full(dtype, dims, 2.5)); },
         [](double x) { return gamma_distribution(2.5, x); }},
        {"gamma_0.3", [&](Graph& g) { return random_gamma(g.full(dtype, dims, 0.3)); },
         [](double x) { return gamma_distribution(0.3, x); }},
        // Beta(2, 1) has the distribution function x^2; Beta(0.5, 0.5) is the arcsine law.
        {"beta_2_1", [&](Graph& g) { return random_beta(g.full(dtype, dims, 2), 1); }, [](double x) { return x * x; }},
        {"beta_half", [&](Graph& g) { return random_beta(g.full(dtype, dims, 0.5), 0.5); },
         [](double x) { return 2 / M_PI * std::asin(std::sqrt(x)); }},
    };
    for (const auto& [name, build, distribution] : all)
      EXPECT_LT(kolmogorov(draw(build), distribution), 1.95) << name << " " << name_of(dtype);
  }
}

TEST(Random, TheTestsSeeAWrongDistribution) {
  const auto values = draw([](Graph& g) { return g.random_normal(f64, {count}, {.mean = 0.03, .stddev = 1}); });
  EXPECT_GT(kolmogorov(values, normal_distribution), 1.95);
  EXPECT_GT(pearson_excess({1100, 900, 1000}, {1.0 / 3, 1.0 / 3, 1.0 / 3}), 0);
}

TEST(Random, DirichletSumsToOne) {
  const auto out = test::evaluate({}, [](Graph& g, const Inputs&) {
    const Tensor d = random_dirichlet(broadcast_to(g.constant(Array({3}, {1.0, 2.0, 0.5})), {count, 3}));
    return std::vector<Tensor>{reduce_sum(d, -1), slice(d, {0, 0}, {count, 1}), reduce_mean(d, 0)};
  });
  test::expect_near(out[0], Array::full(f64, {count}, 1), 1e-14);
  // A component is beta(1, 2.5): distribution function 1 - (1 - x)^2.5.
  EXPECT_LT(kolmogorov(numbers(out[1]), [](double x) { return 1 - std::pow(1 - x, 2.5); }), 1.95);
  constexpr double shares[] = {1 / 3.5, 2 / 3.5, 0.5 / 3.5};
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(element_as_double(out[2], i), shares[i], 0.01);
}

std::vector<double> histogram(const std::vector<double>& values, std::int64_t low, std::int64_t classes) {
  std::vector<double> counts(static_cast<std::size_t>(classes));
  for (const double v : values) {
    const auto k = static_cast<std::int64_t>(v) - low;
    EXPECT_TRUE(k >= 0 && v == std::floor(v)) << v;
    counts[static_cast<std::size_t>(std::clamp<std::int64_t>(k, 0, classes - 1))] += 1;
  }
  return counts;
}

TEST(Random, IntegersAreUnbiased) {
  for (const std::int64_t range : {2, 7, 100})
    EXPECT_LT(pearson_excess(histogram(draw([&](Graph& g) { return random_integers(g, i64, {count}, -3, range - 3); }), -3, range),
                             std::vector<double>(static_cast<std::size_t>(range), 1.0 / static_cast<double>(range))),
              0)
        << range;
  // A range of 3 * 2^30, of which the plain high word would draw a third twice as often: modulo 3 all residues are equal.
  std::vector<double> residues(3);
  for (const double v : draw([](Graph& g) { return random_integers(g, i64, {count}, 0, std::int64_t{3} << 30); }))
    residues[static_cast<std::size_t>(std::fmod(v, 3))] += 1;
  EXPECT_LT(pearson_excess(residues, {1.0 / 3, 1.0 / 3, 1.0 / 3}), 0);
  // Beyond 32 bits, and the whole of an u8.
  const auto wide = draw([](Graph& g) { return random_integers(g, i64, {count}, -(std::int64_t{1} << 40), std::int64_t{1} << 41); });
  EXPECT_LT(kolmogorov(wide, [](double x) { return (x + std::ldexp(1, 40)) / (3 * std::ldexp(1, 40)); }), 1.95);
  EXPECT_LT(pearson_excess(histogram(draw([](Graph& g) { return random_integers(g, u8, {count}, 0, 256); }), 0, 256),
                           std::vector<double>(256, 1.0 / 256)),
            0);
}

TEST(Random, DiscreteDistributions) {
  const auto bernoulli = draw([](Graph& g) { return convert(random_bernoulli(g.full(f32, {count}, 0.3)), f32); });
  EXPECT_LT(pearson_excess(histogram(bernoulli, 0, 2), {0.7, 0.3}), 0);

  const std::vector<double> p = {0.1, 0.25, 0.0, 0.6, 0.05};
  const auto logits = [&](Graph& g) { return log(g.constant(Array(Shape{5}, p))); };
  std::vector<double> seen = histogram(draw([&](Graph& g) { return random_categorical(broadcast_to(logits(g), {count, 5})); }), 0, 5);
  EXPECT_EQ(seen[2], 0);
  seen.erase(seen.begin() + 2);
  EXPECT_LT(pearson_excess(seen, {0.1, 0.25, 0.6, 0.05}), 0);
  seen = histogram(draw([&](Graph& g) { return random_multinomial(logits(g), count, true); }), 0, 5);
  seen.erase(seen.begin() + 2);
  EXPECT_LT(pearson_excess(seen, {0.1, 0.25, 0.6, 0.05}), 0);

  // Below and above where the method changes; the last class is the tail.
  for (const double rate : {0.0, 0.7, 9.5, 10.0, 33.0, 1000.0}) {
    const auto poisson = draw([&](Graph& g) { return random_poisson(g.full(f32, {count}, rate)); });
    if (rate == 0) {
      EXPECT_EQ(*std::max_element(poisson.begin(), poisson.end()), 0);
      continue;
    }
    const auto low = static_cast<std::int64_t>(std::max(0.0, rate - 3 * std::sqrt(rate)));
    const auto high = static_cast<std::int64_t>(rate + 3 * std::sqrt(rate));
    std::vector<double> probabilities, counts;
    double inside = 0;
    const auto probability = [&](double k) { return std::exp(k * std::log(rate) - rate - std::lgamma(k + 1)); };
    const std::int64_t step = std::max<std::int64_t>(1, (high - low) / 40);
    for (std::int64_t k = low; k <= high; k += step) {
      double sum = 0;
      for (std::int64_t i = k; i < k + step; ++i) sum += probability(static_cast<double>(i));
      probabilities.push_back(sum);
      inside += sum;
      counts.push_back(static_cast<double>(std::count_if(
          poisson.begin(), poisson.end(), [&](double v) { return v >= static_cast<double>(k) && v < static_cast<double>(k + step); })));
    }
    probabilities.push_back(1 - inside);
    counts.push_back(static_cast<double>(count) - std::accumulate(counts.begin(), counts.end(), 0.0));
    EXPECT_LT(pearson_excess(counts, probabilities), 0) << rate;
  }
}

TEST(Random, WithoutReplacement) {
  const std::vector<double> p = {0.5, 0.3, 0.2};
  const auto out = test::evaluate({}, [&](Graph& g, const Inputs&) {
    return std::vector<Tensor>{random_multinomial(log(broadcast_to(g.constant(Array(Shape{3}, p)), {count, 3})), 2, false)};
  });
  ASSERT_EQ(to_string(out[0].shape()), "[20000, 2]");
  // The probability of the ordered pair (i, j) is p_i p_j / (1 - p_i).
  std::vector<double> counts(6), probabilities(6);
  const auto place = [](std::int64_t i, std::int64_t j) { return static_cast<std::size_t>(i * 2 + (j > i ? j - 1 : j)); };
  for (std::int64_t r = 0; r < count; ++r) {
    const std::int64_t i = element_as_int(out[0], 2 * r), j = element_as_int(out[0], 2 * r + 1);
    ASSERT_NE(i, j);
    counts[place(i, j)] += 1;
  }
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      if (i != j) probabilities[place(static_cast<std::int64_t>(i), static_cast<std::int64_t>(j))] = p[i] * p[j] / (1 - p[i]);
  EXPECT_LT(pearson_excess(counts, probabilities), 0);
}

TEST(Random, Permutations) {
  // All orders of 4 come equally often, in 3000 iterations of a loop.
  const auto out = test::evaluate({Array(DType::i64, Shape{3000, 4})}, [](Graph& g, const Inputs& in) {
    const Tensor rows = g.iota(i64, {3000, 1}, 0);
    const Tensor all =
        while_loop([](auto& v) { return less(v[0], 3000); },
                   [&](auto& v) { return std::vector<Tensor>{v[0] + 1, select(equal(rows, v[0]), random_permutation(g, 4), v[1])}; },
                   {g.constant(Array(std::int64_t{0})), in[0] * 0})[1];
    const Tensor x = g.iota(f32, {50, 3}, 0);
    return std::vector<Tensor>{all, shuffle(x), shuffle(g.iota(i64, {2, 1000}, 1), 1)};
  });
  std::map<std::vector<std::int64_t>, double> orders;
  for (std::int64_t r = 0; r < 3000; ++r) {
    std::vector<std::int64_t> order;
    for (std::int64_t i = 0; i < 4; ++i) order.push_back(element_as_int(out[0], r * 4 + i));
    orders[order] += 1;
    std::sort(order.begin(), order.end());
    ASSERT_EQ(order, (std::vector<std::int64_t>{0, 1, 2, 3}));
  }
  ASSERT_EQ(orders.size(), 24u);
  std::vector<double> counts;
  for (const auto& [order, n] : orders) counts.push_back(n);
  EXPECT_LT(pearson_excess(counts, std::vector<double>(24, 1.0 / 24)), 0);
  // Rows stay together, and none is lost.
  std::set<double> rows;
  for (std::int64_t r = 0; r < 50; ++r) {
    rows.insert(element_as_double(out[1], 3 * r));
    EXPECT_EQ(element_as_double(out[1], 3 * r), element_as_double(out[1], 3 * r + 2));
  }
  EXPECT_EQ(rows.size(), 50u);
  std::set<double> places;
  bool moved = false;
  for (std::int64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(element_as_int(out[2], i), element_as_int(out[2], 1000 + i));
    places.insert(element_as_double(out[2], i));
    moved |= element_as_int(out[2], i) != i;
  }
  EXPECT_EQ(places.size(), 1000u);
  EXPECT_TRUE(moved);
}

TEST(Random, StreamsRunsAndIterationsAreIndependent) {
  Graph graph;
  const Tensor a = graph.random_normal(f64, {count}), b = graph.random_normal(f64, {count});
  const Tensor rows = graph.iota(i64, {2, 1}, 0);
  const Tensor loop =
      while_loop([](auto& v) { return less(v[0], 2); },
                 [&](auto& v) { return std::vector<Tensor>{v[0] + 1, select(equal(rows, v[0]), graph.random_normal(f64, {count}), v[1])}; },
                 {graph.constant(Array(std::int64_t{0})), graph.zeros(f64, {2, count})})[1];
  Session session(graph, test::options());
  session.initialize();
  const auto first = session.run({a, b, loop}), second = session.run({a, b, loop});
  std::vector<std::vector<double>> series = {numbers(first[0]), numbers(first[1]), numbers(second[0])};
  const std::vector<double> both = numbers(first[2]);
  series.emplace_back(both.begin(), both.begin() + count);
  series.emplace_back(both.begin() + count, both.end());
  SessionOptions other = test::options();
  other.seed = 12345;
  Session reseeded(graph, other);
  reseeded.initialize();
  series.push_back(numbers(reseeded.run(a)));
  // Neighbours within one draw, too.
  series.emplace_back(series[0].begin() + 1, series[0].end());
  series.back().push_back(series[0][0]);
  for (std::size_t i = 0; i < series.size(); ++i)
    for (std::size_t k = 0; k < i; ++k) EXPECT_LT(std::abs(correlation(series[i], series[k])), 3.3 / std::sqrt(count)) << i << " and " << k;
}

TEST(Random, OtherOperationsShiftNoDraw) {
  const auto run = [](bool more) {
    Graph graph;
    const Tensor x = graph.placeholder("x", f32, {8});
    if (more) softmax(x * 2 + 1);
    const Tensor first = random_gumbel(graph, f32, {100});
    if (more) layer_norm(x), graph.variable("w", random_normal(f32, {8, 8}));
    if (more)
      while_loop([](auto& v) { return less(v[0], 1); }, [&](auto& v) { return std::vector<Tensor>{v[0] + graph.random_uniform(f32, {})}; },
                 {graph.constant(Array(0.0f))});
    const Tensor second = random_gamma(graph.full(f32, {100}, 2));
    if (more) graph.random_uniform(f32, {5});
    Session session(graph, test::options());
    session.initialize();
    return session.run({first, second});
  };
  const auto plain = run(false), more = run(true);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(identical(plain[static_cast<std::size_t>(i)], more[static_cast<std::size_t>(i)])) << i;
}

TEST(Random, SameOnEveryEngineAndNumberOfThreads) {
  const auto run = [](SessionOptions options) {
    Graph graph;
    const Dims dims{3, 5001};
    const Tensor c = graph.iota(f32, dims, 1) * 0.01 + 0.2;
    const std::vector<Tensor> all = {random_integers(graph, i32, dims, 0, 1000003),
                                     random_permutation(graph, 777),
                                     graph.random_bits(dims),
                                     dropout(c, 0.3),
                                     graph.random_normal(f32, dims),
                                     random_gamma(c),
                                     random_truncated_normal(graph, f64, dims),
                                     random_poisson(c),
                                     random_categorical(c)};
    options.seed = 99;
    Session session(graph, options);
    session.initialize();
    return session.run(std::vector<Key>(all.begin(), all.end()));
  };
  SessionOptions threads = test::options(), interpreter = test::options();
  threads.threads = 4;
  interpreter.engine = Engine::program_interpreter;
  const auto one = run(test::options()), four = run(threads), reference = run(test::reference_options());
  const auto interpreted = test::options().engine == Engine::reference ? one : run(interpreter);
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_TRUE(identical(four[i], one[i])) << i;
    EXPECT_TRUE(identical(interpreted[i], one[i])) << i;
    // The reference has the C library's logarithms, which differ in last places.
    if (i < 4)
      EXPECT_TRUE(identical(reference[i], one[i])) << i;
    else if (i < 7)
      test::expect_near(reference[i], one[i], 1e-5, std::to_string(i));
  }
}

TEST(Random, Dropout) {
  const auto out = test::evaluate({}, [](Graph& g, const Inputs&) {
    const Tensor x = g.random_normal(f64, {count}), image = g.ones(f32, {40, 50, 7});
    return std::vector<Tensor>{dropout(g.ones(f32, {count}), 0.3), channel_dropout(image, 0.25), alpha_dropout(x, 0.2),
                               gradients(reduce_sum(dropout(x, 0.5)), {x})[0]};
  });
  double kept = 0;
  for (const double v : numbers(out[0])) {
    EXPECT_TRUE(v == 0 || v == static_cast<double>(1.0f * static_cast<float>(1 / 0.7))) << v;
    kept += v != 0;
  }
  EXPECT_NEAR(kept / count, 0.7, 3.3 * std::sqrt(0.21 / count));
  double channels = 0;
  for (std::int64_t c = 0; c < 2000; ++c) {
    channels += element_as_double(out[1], 7 * c) != 0;
    for (std::int64_t i = 1; i < 7; ++i) EXPECT_EQ(element_as_double(out[1], 7 * c + i), element_as_double(out[1], 7 * c));
  }
  EXPECT_NEAR(channels / 2000, 0.75, 3.3 * std::sqrt(0.1875 / 2000));
  double sum = 0, squares = 0;
  for (const double v : numbers(out[2])) sum += v, squares += v * v;
  EXPECT_NEAR(sum / count, 0, 3.3 / std::sqrt(count));
  EXPECT_NEAR(squares / count, 1, 0.05);
  for (const double v : numbers(out[3])) EXPECT_TRUE(v == 0 || v == 2) << v;
}

TEST(Random, StrangeParameters) {
  const auto out = test::evaluate({Array({5}, {nan, -1.0, 0.0, 1e-8, 1e30})}, [](Graph&, const Inputs& in) {
    return std::vector<Tensor>{random_gamma(in[0]), random_poisson(in[0]), random_beta(in[0], 1), random_bernoulli(in[0])};
  });
  for (const int i : {0, 1, 2}) EXPECT_TRUE(std::isnan(element_as_double(out[0], i))) << i;
  EXPECT_EQ(element_as_double(out[0], 3), 0);
  EXPECT_NEAR(element_as_double(out[0], 4) / 1e30, 1, 1e-10);
  for (const int i : {0, 1}) EXPECT_TRUE(std::isnan(element_as_double(out[1], i))) << i;
  EXPECT_EQ(element_as_double(out[1], 2), 0);
  EXPECT_NEAR(element_as_double(out[1], 4) / 1e30, 1, 1e-10);
  EXPECT_EQ(element_as_double(out[2], 3), 0);
  EXPECT_EQ(element_as_double(out[2], 4), 1);
  EXPECT_EQ(element_as_int(out[3], 0), 0);
  EXPECT_EQ(element_as_int(out[3], 4), 1);
}

}  // namespace

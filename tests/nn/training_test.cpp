// What stands between a loss and a step, against the same arithmetic on the host: accumulation, loss scaling, averages, adaptive clipping.
#include <cmath>
#include <limits>

#include "reference.h"

using namespace kiln;

namespace {

Session session_of(const Graph& graph) {
  Session session(graph, {.threads = 1, .cache_folder = ""});
  session.initialize();
  return session;
}

std::vector<double> values(const Array& array) {
  std::vector<double> list;
  for (std::int64_t i = 0; i < array.size(); ++i) list.push_back(element_as_double(array, i));
  return list;
}

/// One scalar parameter whose gradient is fed.
struct Fed {
  Graph graph;
  Variable w = graph.variable("w", Array(0.0));
  Tensor g = graph.placeholder("g", f64, {});
  GradientSet set{{{w, g}}};
};

TEST(Accumulate, StepsWithTheMeanOfEachCountRuns) {
  Fed f;
  Adam adam({.lr = Schedule([](const Tensor& done) { return done + 1; })});
  const GradientSet accumulated = accumulate(f.set, 3);
  const Operation step = SGD({.lr = 1}).apply_gradients(accumulated);
  Session session = session_of(f.graph);
  double sum = 0, w = 0;
  for (int run = 0; run < 9; ++run) {
    const double g = run * run + 1;
    session.run({step}, {{f.g, Array(g)}});
    sum += g;
    if (run % 3 == 2) {
      w -= sum / 3;
      sum = 0;
    }
    EXPECT_NEAR(session.value(f.w).item<double>(), w, 1e-12) << run;
  }
}

TEST(Accumulate, RunsWithoutAStepAreNoSteps) {
  // Adam's moments and step number move only when a step is made: two accumulated runs equal one plain run.
  Fed once, twice;
  const Operation plain = Adam({.lr = 0.1}).apply_gradients(once.set);
  const Operation halves = Adam({.lr = 0.1}).apply_gradients(accumulate(twice.set, 2));
  Session a = session_of(once.graph), b = session_of(twice.graph);
  for (int t = 0; t < 4; ++t) {
    a.run({plain}, {{once.g, Array(t + 1.0)}});
    b.run({halves}, {{twice.g, Array(t + 0.5)}});
    b.run({halves}, {{twice.g, Array(t + 1.5)}});
    EXPECT_EQ(a.value(once.w).item<double>(), b.value(twice.w).item<double>());
  }
  EXPECT_EQ(b.value("optimizer.step").item<std::int64_t>(), 4);
}

TEST(LossScale, DynamicSkipsHalvesAndGrows) {
  Fed f;
  LossScale scale(f.graph, {.initial = 8, .interval = 2});
  const Operation step = SGD({.lr = 1}).apply_gradients(scale.unscale(f.set));
  Session session = session_of(f.graph);
  struct Run {
    double gradient, w;
    float scale;
  };
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  // The gradient fed is that of the scaled loss.
  const std::vector<Run> runs = {{8, -1, 8},   {16, -3, 16}, {16, -4, 16}, {inf, -4, 8}, {8, -5, 8},
                                 {nan, -5, 4}, {4, -6, 4},   {4, -7, 8},   {-inf, -7, 4}};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    session.run({step}, {{f.g, Array(runs[i].gradient)}});
    EXPECT_EQ(session.value(f.w).item<double>(), runs[i].w) << i;
    EXPECT_EQ(session.value(scale.variable()).item<float>(), runs[i].scale) << i;
  }
}

TEST(LossScale, KeepsGradientsThatF16Loses) {
  for (const bool scaled : {false, true}) {
    Graph graph;
    const Variable w = graph.variable("w", Array(1.0f));
    // On the way back 1e-4 * 1e-4 is 0 in f16, whose least positive number is 6e-8.
    const Tensor small = convert(w, f16) * 1e-4 * 1e-4;
    LossScale scale(graph, {.initial = 1024});
    const Tensor loss = convert(small, f32);
    const GradientSet set = scaled ? scale.unscale(compute_gradients(scale.scale(loss))) : compute_gradients(loss);
    Session session = session_of(graph);
    const float gradient = session.run(set.pairs[0].gradient).item<float>();
    if (scaled) {
      EXPECT_NEAR(gradient, 1e-8f, 1e-10f);
    } else {
      EXPECT_EQ(gradient, 0);
    }
  }
}

TEST(LossScale, FixedMultipliesAndDivides) {
  Graph graph;
  const Variable w = graph.variable("w", Array(3.0));
  const LossScale scale(1024);
  const Tensor loss = scale.scale(w * w);
  const GradientSet set = scale.unscale(compute_gradients(loss));
  EXPECT_FALSE(set.condition.valid());
  Session session = session_of(graph);
  EXPECT_EQ(session.run(loss).item<double>(), 9 * 1024);
  EXPECT_EQ(session.run(set.pairs[0].gradient).item<double>(), 6);
}

TEST(Average, FollowsTheValuesThatTheStepAssigns) {
  for (const bool warm : {false, true}) {
    Fed f;
    const std::vector<Variable> parameters{f.w};
    ExponentialMovingAverage average(parameters, {.decay = 0.9, .warm_up = warm});
    const Operation step = SGD({.lr = 1}).apply_gradients(f.set);
    const Operation both = group({step, average.update(step)});
    Session session = session_of(f.graph);
    session.run({average.swap()});
    EXPECT_EQ(session.value(f.w).item<double>(), 0) << "before the first update nothing changes places";
    double w = 0, mean = 0;
    for (int t = 0; t < 5; ++t) {
      session.run({both}, {{f.g, Array(t + 1.0)}});
      w -= t + 1;
      const double decay = warm ? std::min(0.9, (1.0 + t) / (10.0 + t)) : 0.9;
      mean = t == 0 ? w : decay * mean + (1 - decay) * w;
      EXPECT_NEAR(session.value(average.average(f.w)).item<double>(), mean, 1e-14);
    }
    session.run({average.swap()});
    EXPECT_NEAR(session.value(f.w).item<double>(), mean, 1e-14);
    session.run({average.swap()});
    EXPECT_EQ(session.value(f.w).item<double>(), w);
  }
}

TEST(Clipping, ByNormScalesEachDown) {
  Graph graph;
  const Variable a = graph.variable("a", zeros(f64, {2})), b = graph.variable("b", zeros(f64, {2}));
  const GradientSet set{{{a, graph.constant(Array({2}, {3.0, 4.0}))}, {b, graph.constant(Array({2}, {0.3, 0.4}))}}};
  const GradientSet clipped = clip_by_norm(set, 1);
  Session session = session_of(graph);
  EXPECT_EQ(values(session.run(clipped.pairs[0].gradient)), (std::vector<double>{3 * 0.2, 4 * 0.2}));
  EXPECT_EQ(values(session.run(clipped.pairs[1].gradient)), (std::vector<double>{0.3, 0.4}));
  EXPECT_NEAR(session.run(global_norm(set)).item<double>(), std::sqrt(25.25), 1e-14);
}

TEST(Clipping, AdaptiveComparesEachUnitWithItsWeights) {
  Graph graph;
  // Rows are units: norms 5 and 0 of the weights, 10 and 1 of the gradients.
  const Variable w = graph.variable("w", Array({2, 2}, {3.0, 4.0, 0.0, 0.0}));
  const Variable bias = graph.variable("b", Array({2}, {6.0, 8.0}));
  const GradientSet set{{{w, graph.constant(Array({2, 2}, {6.0, 8.0, 1.0, 0.0}))}, {bias, graph.constant(Array({2}, {0.03, 0.04}))}}};
  const GradientSet clipped = adaptive_clip(set, 0.1, 1e-3);
  Session session = session_of(graph);
  const std::vector<double> rows = values(session.run(clipped.pairs[0].gradient));
  EXPECT_NEAR(rows[0], 6 * 0.05, 1e-15);
  EXPECT_NEAR(rows[1], 8 * 0.05, 1e-15);
  EXPECT_NEAR(rows[2], 1e-4, 1e-18);
  EXPECT_EQ(rows[3], 0);
  EXPECT_EQ(values(session.run(clipped.pairs[1].gradient)), (std::vector<double>{0.03, 0.04}));
}

TEST(Centralize, TakesTheMeanOfEachUnitAway) {
  Graph graph;
  const Variable w = graph.variable("w", zeros(f64, {2, 2, 2})), b = graph.variable("b", zeros(f64, {2}));
  const GradientSet set{
      {{w, graph.constant(Array({2, 2, 2}, {1.0, 2.0, 3.0, 6.0, 1.0, 1.0, 1.0, 1.0}))}, {b, graph.constant(Array({2}, {1.0, 3.0}))}}};
  const GradientSet centred = centralize(set);
  Session session = session_of(graph);
  EXPECT_EQ(values(session.run(centred.pairs[0].gradient)), (std::vector<double>{-2, -1, 0, 3, 0, 0, 0, 0}));
  EXPECT_EQ(values(session.run(centred.pairs[1].gradient)), (std::vector<double>{1, 3}));
}

TEST(GradientSet, TransformsComposeInTheOrderOfTheProgram) {
  // Unscale, accumulate two runs, clip; one of the runs is not finite and counts for nothing.
  Fed f;
  LossScale scale(f.graph, {.initial = 2});
  const GradientSet g = clip_by_value(accumulate(scale.unscale(f.set), 2), 1.5);
  const Operation step = SGD({.lr = 1}).apply_gradients(g);
  Session session = session_of(f.graph);
  const auto run = [&](double gradient) {
    session.run({step}, {{f.g, Array(gradient)}});
    return session.value(f.w).item<double>();
  };
  EXPECT_EQ(run(2), 0);  // 1, the first of two
  EXPECT_EQ(run(INFINITY), 0);
  EXPECT_EQ(run(1), -1);  // the scale is 1 now: (1 + 1) / 2
  EXPECT_EQ(run(9), -1);
  EXPECT_EQ(run(1), -2.5);  // (9 + 1) / 2, clipped
}

TEST(Locations, OfWhatTrainsAreTheCallers) {
  Graph graph;
  const Variable w = graph.variable("w", ones(f32, {2, 3})), b = graph.variable("b", ones(f32, {3}));
  const Tensor loss = reduce_sum(square(w) + b);
  LossScale scale(graph);
  GradientSet g = scale.unscale(compute_gradients(scale.scale(loss)));
  g = accumulate(clip_by_value(clip_by_norm(clip_by_global_norm(adaptive_clip(centralize(g)), 1), 1), 1), 2);
  const Schedule rate = schedule::sequence({schedule::warm_up(2, schedule::one_cycle(1, 10)),
                                            schedule::chain({schedule::cosine_restarts(1, 3, 2), schedule::multi_step(1, {2})}),
                                            schedule::cyclic(0, 1, 3), schedule::polynomial(1, 3)},
                                           {10, 20, 30});
  const Operation step = Adam({.lr = rate, .amsgrad = true}).apply_gradients(g);
  AdamW({.weight_decay = 0.1}).minimize(loss);
  Adadelta().minimize(loss);
  Adamax().minimize(loss);
  NAdam().minimize(loss);
  RAdam().minimize(loss);
  Rprop().minimize(loss);
  ASGD().minimize(loss);
  Lion({.weight_decay = 0.1}).minimize(loss);
  LAMB({.weight_decay = 0.1}).minimize(loss);
  Adafactor({.weight_decay = 0.1}).minimize(loss);
  const std::vector<Variable> parameters{w, b};
  ExponentialMovingAverage average(parameters, {.warm_up = true});
  average.update(step);
  average.swap();
  test::expect_own_lines(graph);
}

}  // namespace

// Optimizers, clipping and schedules against torch.optim: the same gradients step by step, every parameter after every step.
#include <cmath>

#include "reference.h"

using namespace kiln;
using test::expect_close;

namespace {

Session session_of(const Graph& graph) {
  Session session(graph, {.threads = 1, .cache_folder = ""});
  session.initialize();
  return session;
}

/// Row `i` of an array's first axis.
Array row(const Array& all, std::int64_t i) {
  std::vector<std::int64_t> shape(all.shape().begin() + 1, all.shape().end());
  const std::int64_t size = all.size() / all.shape()[0];
  std::vector<double> values;
  for (std::int64_t k = 0; k < size; ++k) values.push_back(element_as_double(all, i * size + k));
  return Array(Shape(shape), values);
}

struct Case {
  const char* name;
  std::function<std::unique_ptr<Optimizer>(const std::vector<Variable>&)> make;
};

template <class O, class Options>
Case plain(const char* name, Options options) {
  return {name, [options](const std::vector<Variable>&) { return std::make_unique<O>(options); }};
}

class Optimizers : public testing::TestWithParam<Case> {};

TEST_P(Optimizers, MatchPyTorch) {
  const test::Arrays& data = test::reference("optimizers");
  Graph graph;
  std::vector<Variable> parameters;
  GradientSet set;
  for (const std::string i : {"0", "1"}) {
    const Array start = data.at("start/" + i).convert(f64);
    parameters.push_back(graph.variable("w" + i, start));
    set.pairs.push_back({parameters.back(), graph.placeholder("g" + i, f64, start.shape())});
  }
  const std::unique_ptr<Optimizer> optimizer = GetParam().make(parameters);
  const Operation step = optimizer->apply_gradients(set);
  Session session = session_of(graph);
  const std::int64_t steps = data.at("gradients/0").shape()[0];
  for (std::int64_t t = 0; t < steps; ++t) {
    session.run({step}, {{"g0", row(data.at("gradients/0"), t)}, {"g1", row(data.at("gradients/1"), t)}});
    for (const std::string i : {"0", "1"})
      expect_close(session.value("w" + i), row(data.at(std::string(GetParam().name) + "/" + i), t), 1e-12,
                   "parameter " + i + " after step " + std::to_string(t + 1));
  }
}

INSTANTIATE_TEST_SUITE_P(, Optimizers,
                         testing::Values(plain<SGD>("SGD", SGDOptions{.lr = 0.1, .momentum = 0.9, .dampening = 0.1, .weight_decay = 0.01}),
                                         plain<SGD>("SGD_nesterov", SGDOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true}),
                                         plain<Adam>("Adam", AdamOptions{.lr = 0.1, .weight_decay = 0.1}),
                                         plain<Adam>("Adam_amsgrad", AdamOptions{.lr = 0.1, .amsgrad = true}),
                                         plain<AdamW>("AdamW", AdamWOptions{.lr = 0.1, .weight_decay = 0.1}),
                                         plain<AdamW>("AdamW_amsgrad", AdamWOptions{.lr = 0.1, .amsgrad = true}),
                                         plain<Adagrad>("Adagrad", AdagradOptions{.lr = 0.1, .lr_decay = 0.1, .weight_decay = 0.1}),
                                         plain<RMSprop>("RMSprop", RMSpropOptions{.lr = 0.1, .momentum = 0.5, .centered = true}),
                                         plain<Adadelta>("Adadelta", AdadeltaOptions{.lr = 0.5, .weight_decay = 0.1}),
                                         plain<Adamax>("Adamax", AdamaxOptions{.lr = 0.1, .weight_decay = 0.1}),
                                         plain<NAdam>("NAdam", NAdamOptions{.lr = 0.1, .weight_decay = 0.1}),
                                         plain<RAdam>("RAdam", RAdamOptions{.lr = 0.1, .weight_decay = 0.1}),
                                         plain<Rprop>("Rprop", RpropOptions{.lr = 0.05}),
                                         plain<ASGD>("ASGD", ASGDOptions{.lr = 0.1, .lambda = 0.01, .t0 = 3, .weight_decay = 0.1}),
                                         plain<Lion>("Lion", LionOptions{.lr = 0.1, .weight_decay = 0.1}),
                                         plain<LAMB>("LAMB", LAMBOptions{.lr = 0.1, .weight_decay = 0.1}),
                                         plain<Adafactor>("Adafactor", AdafactorOptions{.lr = 0.1, .weight_decay = 0.1}),
                                         Case{"groups",
                                              [](const std::vector<Variable>& parameters) {
                                                auto adamw = std::make_unique<AdamW>(AdamWOptions{.lr = 0.1, .weight_decay = 0.1});
                                                adamw->add_group(
                                                    {.parameters = biases_and_norms(parameters), .lr = 0.02, .weight_decay = 0});
                                                return adamw;
                                              }}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Clipping, MatchesPyTorch) {
  const test::Arrays& data = test::reference("optimizers");
  Graph graph;
  GradientSet set;
  for (const std::string i : {"0", "1"}) {
    const Array gradient = row(data.at("gradients/" + i), 0);
    set.pairs.push_back({graph.variable("w" + i, data.at("start/" + i).convert(f64)), graph.constant(gradient)});
  }
  Session session = session_of(graph);
  const std::vector<std::pair<std::string, GradientSet>> all{{"clip_by_value", clip_by_value(set, 0.5)},
                                                             {"clip_by_global_norm", clip_by_global_norm(set, 0.5)},
                                                             {"clip_by_global_norm_loose", clip_by_global_norm(set, 50)}};
  for (const auto& [name, clipped] : all)
    for (std::size_t i = 0; i < 2; ++i)
      expect_close(session.run(clipped.pairs[i].gradient), data.at(name + "/" + std::to_string(i)), 1e-14, name);
}

// ---- schedules

const std::map<std::string, Schedule>& schedules() {
  static const std::map<std::string, Schedule> all = {
      {"constant", schedule::constant(0.4, 0.5, 4)},
      {"step", schedule::step(0.4, 7, 0.3)},
      {"multi_step", schedule::multi_step(0.4, {3, 9, 20}, 0.3)},
      {"exponential", schedule::exponential(0.4, 0.9)},
      {"linear", schedule::linear(0.4, 12, 0.25, 0.75)},
      {"polynomial", schedule::polynomial(0.4, 12, 2)},
      {"cosine", schedule::cosine(0.4, 15, 0.01)},
      {"cosine_restarts", schedule::cosine_restarts(0.4, 6, 1, 0.01)},
      {"cosine_restarts_2", schedule::cosine_restarts(0.4, 3, 2, 0.01)},
      {"one_cycle", schedule::one_cycle(0.5, 32)},
      {"one_cycle_linear", schedule::one_cycle(0.5, 32, {.rising = 0.4, .start_divisor = 10, .end_divisor = 100, .linear = true})},
      {"cyclic", schedule::cyclic(0.1, 0.7, 4, 6)},
      {"sequence", schedule::sequence({schedule::linear(0.4, 5, 0.1), schedule::exponential(0.4, 0.9)}, {5})},
      {"chain", schedule::chain({schedule::exponential(0.4, 0.9), schedule::constant(1, 0.5, 4)})},
  };
  return all;
}

TEST(Schedules, MatchPyTorch) {
  Graph graph;
  const Tensor step = graph.placeholder("step", i64, {});
  std::vector<Tensor> values;
  std::vector<std::string> names;
  for (const auto& [name, schedule] : schedules()) {
    values.push_back(schedule(step));
    names.push_back(name);
  }
  ASSERT_EQ(names.size(), test::reference("schedules").size());
  Session session = session_of(graph);
  const std::vector<Key> keys(values.begin(), values.end());
  for (std::int64_t t = 0; t < 32; ++t) {
    const std::vector<Array> now = session.run(keys, {{step, Array(t)}});
    for (std::size_t i = 0; i < names.size(); ++i) {
      const double expected = element_as_double(test::reference("schedules").at(names[i]), t);
      EXPECT_NEAR(now[i].item<double>(), expected, 1e-12) << names[i] << " at step " << t;
    }
  }
}

TEST(Schedules, WarmUpRisesToTheFirstValueOfWhatFollows) {
  Graph graph;
  const Tensor step = graph.placeholder("step", f32, {});
  const Tensor value = schedule::warm_up(4, schedule::cosine(0.8, 10), 0.5)(step);
  Session session = session_of(graph);
  for (int t = 0; t < 14; ++t) {
    const double expected = t < 4 ? 0.8 * (0.5 + 0.5 * t / 4) : 0.4 * (1 + std::cos(M_PI * (t - 4) / 10));
    EXPECT_NEAR(session.run(value, {{step, Array(static_cast<float>(t))}}).item<double>(), expected, 1e-14) << t;
  }
}

TEST(Schedules, AreHyperparametersOfTheStepNumber) {
  Graph graph;
  const Variable w = graph.variable("w", Array(0.0));
  const GradientSet set{{{w, graph.constant(Array(1.0))}}};
  const Operation step = SGD({.lr = Schedule([](const Tensor& done) { return done * 10 + 1; })}).apply_gradients(set);
  Session session = session_of(graph);
  double expected = 0;
  for (int t = 0; t < 3; ++t) {
    session.run({step});
    expected -= 10 * t + 1;
    EXPECT_EQ(session.value(w).item<double>(), expected);
  }
}

TEST(Schedules, CosineRestartsFindTheirCycleAtEveryBoundary) {
  Graph graph;
  const Tensor step = graph.placeholder("step", i64, {});
  const Tensor value = schedule::cosine_restarts(1, 10, 10)(step);
  Session session = session_of(graph);
  // Cycles begin at 10 * (10^n - 1) / 9; a logarithm of powers of ten is easily a little too small.
  for (const std::int64_t start : {0L, 10L, 110L, 1110L, 11110L, 111110L, 1111110L}) {
    EXPECT_EQ(session.run(value, {{step, Array(start)}}).item<double>(), 1) << start;
    if (start > 0) {
      EXPECT_LT(session.run(value, {{step, Array(start - 1)}}).item<double>(), 0.03) << start - 1;
    }
  }
}

}  // namespace

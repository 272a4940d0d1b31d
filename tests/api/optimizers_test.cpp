// Every optimizer against its formula, written out for scalars: the loss is sum(c * w^2 / 2), whose gradient is c * w.
#include <cmath>
#include <functional>

#include "api_test.h"

using namespace kiln;

namespace {

constexpr int steps = 6;

/// What an optimizer does to one number: the formula of PyTorch's documentation.
using Update = std::function<double(int step, double w, double g)>;

void expect_trajectory(Optimizer& optimizer, const std::function<Update()>& fresh, DType dtype = f64, double tolerance = 1e-13,
                       const Tensor& rate = {}, double rate_value = 0, Graph graph = Graph()) {
  const std::vector<double> start{1.0, -2.0, 0.5}, curvature{1.0, 3.0, 0.25};
  const Variable w = graph.variable("w", Array({3}, start).convert(dtype));
  const Tensor c = graph.constant(Array({3}, curvature).convert(dtype));
  const Tensor loss = reduce_sum(c * w * w * 0.5);
  const Operation step = optimizer.minimize(loss);
  Session session(graph, test::options());
  session.initialize();
  std::vector<double> expected = start;
  std::vector<Update> updates{fresh(), fresh(), fresh()};
  for (int t = 1; t <= steps; ++t) {
    if (rate.valid()) {
      session.run({step}, {{rate, Array(rate_value).convert(rate.dtype())}});
    } else {
      session.run({step});
    }
    for (std::size_t i = 0; i < 3; ++i) expected[i] = updates[i](t, expected[i], curvature[i] * expected[i]);
    test::expect_near(session.value(w), Array({3}, expected).convert(dtype), tolerance, "step " + std::to_string(t));
  }
}

TEST(Optimizers, PlainSGD) {
  SGD sgd({.lr = 0.1});
  expect_trajectory(sgd, [] { return [](int, double w, double g) { return w - 0.1 * g; }; });
}

TEST(Optimizers, SGDWithEverything) {
  SGD momentum({.lr = 0.1, .momentum = 0.9, .dampening = 0.2, .weight_decay = 0.01});
  expect_trajectory(momentum, [] {
    return [m = 0.0](int t, double w, double g) mutable {
      g += 0.01 * w;
      m = t == 1 ? g : 0.9 * m + 0.8 * g;
      return w - 0.1 * m;
    };
  });
  SGD nesterov({.lr = 0.1, .momentum = 0.9, .nesterov = true});
  expect_trajectory(nesterov, [] {
    return [m = 0.0](int, double w, double g) mutable {
      m = 0.9 * m + g;
      return w - 0.1 * (g + 0.9 * m);
    };
  });
}

Update adam(double lr, double decay, bool decoupled) {
  return [=, m = 0.0, v = 0.0](int t, double w, double g) mutable {
    if (decoupled)
      w -= lr * decay * w;
    else
      g += decay * w;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    return w - lr / (1 - std::pow(0.9, t)) * m / (std::sqrt(v) / std::sqrt(1 - std::pow(0.999, t)) + 1e-8);
  };
}

TEST(Optimizers, Adam) {
  Adam plain({.lr = 0.1});
  expect_trajectory(plain, [] { return adam(0.1, 0, false); });
  Adam decayed({.lr = 0.1, .weight_decay = 0.3});
  expect_trajectory(decayed, [] { return adam(0.1, 0.3, false); });
  Adam single({.lr = 0.1});
  expect_trajectory(single, [] { return adam(0.1, 0, false); }, f32, 1e-5);
}

TEST(Optimizers, AdamW) {
  AdamW optimizer({.lr = 0.1, .weight_decay = 0.3});
  expect_trajectory(optimizer, [] { return adam(0.1, 0.3, true); });
}

TEST(Optimizers, Adagrad) {
  Adagrad plain({.lr = 0.5});
  expect_trajectory(plain, [] {
    return [s = 0.0](int, double w, double g) mutable {
      s += g * g;
      return w - 0.5 * g / (std::sqrt(s) + 1e-10);
    };
  });
  Adagrad decayed({.lr = 0.5, .lr_decay = 0.1, .weight_decay = 0.2, .initial_accumulator_value = 0.3});
  expect_trajectory(decayed, [] {
    return [s = 0.3](int t, double w, double g) mutable {
      g += 0.2 * w;
      s += g * g;
      return w - 0.5 / (1 + (t - 1) * 0.1) * g / (std::sqrt(s) + 1e-10);
    };
  });
}

TEST(Optimizers, RMSprop) {
  RMSprop plain({.lr = 0.05});
  expect_trajectory(plain, [] {
    return [s = 0.0](int, double w, double g) mutable {
      s = 0.99 * s + 0.01 * g * g;
      return w - 0.05 * g / (std::sqrt(s) + 1e-8);
    };
  });
  RMSprop all({.lr = 0.05, .alpha = 0.9, .weight_decay = 0.1, .momentum = 0.5, .centered = true});
  expect_trajectory(
      all,
      [] {
        return [s = 0.0, a = 0.0, m = 0.0](int, double w, double g) mutable {
          g += 0.1 * w;
          s = 0.9 * s + 0.1 * g * g;
          a = 0.9 * a + 0.1 * g;
          m = 0.5 * m + g / (std::sqrt(s - a * a) + 1e-8);
          return w - 0.05 * m;
        };
      },
      f64, 1e-10);
}

TEST(Optimizers, RateMayBeATensor) {
  Graph graph;
  const Tensor rate = graph.placeholder("rate", f32, {});
  SGD sgd({.lr = rate});
  expect_trajectory(sgd, [] { return [](int, double w, double g) { return w - 0.25 * g; }; }, f64, 1e-13, rate, 0.25, graph);
  Graph second;
  const Tensor other = second.placeholder("rate", f64, {});
  AdamW adamw({.lr = other, .weight_decay = 0.3});
  expect_trajectory(adamw, [] { return adam(0.25, 0.3, true); }, f64, 1e-13, other, 0.25, second);
}

TEST(Optimizers, MinimizeFindsTrainableVariablesThatTheLossDependsOn) {
  Graph graph;
  const Variable used = graph.variable("used", Array(2.0));
  const Variable frozen = graph.variable("frozen", Array(3.0), {.trainable = false});
  const Variable cut = graph.variable("cut", Array(4.0));
  const Variable elsewhere = graph.variable("elsewhere", Array(5.0));
  const Variable counter = graph.variable("counter", Array(std::int64_t{1}));
  const Operation step = SGD({.lr = 0.5}).minimize(used * frozen * stop_gradient(cut) * convert(counter, f64));
  Session session(graph, test::options());
  session.initialize();
  session.run({step});
  EXPECT_EQ(session.value(used).item<double>(), 2 - 0.5 * 12);
  EXPECT_EQ(session.value(frozen).item<double>(), 3);
  EXPECT_EQ(session.value(cut).item<double>(), 4);
  EXPECT_EQ(session.value(elsewhere).item<double>(), 5);
}

TEST(Optimizers, StateIsNamedSavedAndSharedByItsSteps) {
  Graph graph;
  const Variable w = graph.variable("w", Array(1.0));
  Adam first({.lr = 0.1}), second({.lr = 0.1});
  first.minimize(w * w, {w});
  first.minimize(w * w * w, {w});
  second.minimize(w * w, {w});
  std::vector<std::string> names;
  for (const Variable& v : graph.variables()) names.push_back(v.name());
  EXPECT_EQ(names, (std::vector<std::string>{"w", "w.exp_avg", "w.exp_avg_sq", "optimizer.step", "w.exp_avg.1", "w.exp_avg_sq.1",
                                             "optimizer.step.1"}));
}

TEST(Optimizers, ApplyGradientsTakesWhatTheCallerComputed) {
  Graph graph;
  const Variable w = graph.variable("w", Array({2}, {1.0, 1.0}));
  const Tensor clipped = clamp(gradients(reduce_sum(w * w * 10), {w})[0], -1, 1);
  const std::vector<GradientPair> pairs{{w, clipped}};
  const Operation step = SGD({.lr = 0.5}).apply_gradients(pairs);
  Session session(graph, test::options());
  session.initialize();
  session.run({step});
  test::expect_near(session.value(w), Array({2}, {0.5, 0.5}), 0);
}

}  // namespace

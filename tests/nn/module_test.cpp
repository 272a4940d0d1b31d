// What modules do besides computing: modes, names, sharing, freezing, running statistics, loading, summaries; and their messages.
#include <cmath>

#include "reference.h"

using namespace kiln;

namespace {

constexpr nn::Mode train{.training = true}, evaluate{.training = false};

Session session_of(const Graph& graph, std::uint64_t seed = 0) {
  Session session(graph, {.threads = 1, .seed = seed, .cache_folder = ""});
  session.initialize();
  return session;
}

std::vector<std::string> names(const std::vector<nn::NamedParameter>& list) {
  std::vector<std::string> result;
  for (const nn::NamedParameter& p : list) result.push_back(p.name);
  return result;
}

std::string message_of(const std::function<void()>& wrong, unsigned line_from, unsigned line_to) {
  try {
    wrong();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.where().file).find("module_test.cpp"), std::string::npos) << error.what();
    EXPECT_GE(error.where().line, line_from) << error.what();
    EXPECT_LE(error.where().line, line_to) << error.what();
    return error.message();
  }
  ADD_FAILURE() << "no error";
  return "";
}
#define MESSAGE_OF(...) message_of([&] { __VA_ARGS__; }, __LINE__ - 6, __LINE__)

// ---- modes

class Inner : public nn::Module {
 public:
  Inner() : drop_(add("drop", nn::Dropout(0.5))) {}

 private:
  Tensor forward(const Tensor& x) override { return drop_(x); }
  nn::Dropout drop_;
};

/// Its first part follows the caller, its second one always evaluates.
class Outer : public nn::Module {
 public:
  Outer() : first_(add("first", Inner())), second_(add("second", Inner())) {}

 private:
  Tensor forward(const Tensor& x) override { return stack({first_(x), second_(x, evaluate)}); }
  Inner first_, second_;
};

TEST(Modes, PassFromCallToCallUnlessACallSaysOtherwise) {
  Graph graph;
  const Tensor x = graph.ones(f32, {1000});
  Outer model;
  const Tensor trained = model(x, train), evaluated = model(x);
  Session session = session_of(graph);
  const Array t = session.run(trained), e = session.run(evaluated);
  int zeros_in_first = 0;
  for (std::int64_t i = 0; i < 1000; ++i) {
    zeros_in_first += t.at<float>({0, i}) == 0;
    EXPECT_EQ(t.at<float>({1, i}), 1);
    EXPECT_EQ(e.at<float>({0, i}), 1);
  }
  EXPECT_NEAR(zeros_in_first, 500, 70);
}

TEST(Modes, DropoutsDropTheirUnits) {
  Graph graph;
  const Tensor x = graph.ones(f64, {40, 50, 3, 2});
  const Tensor element = nn::Dropout(0.25)(x, train), channel = nn::Dropout2d(0.25)(x, train), sample = nn::DropPath(0.25)(x, train);
  Session session = session_of(graph);
  const auto share_of_zeros = [](const Array& a) {
    int zero = 0;
    for (const double v : a.data<double>()) {
      EXPECT_TRUE(v == 0 || std::abs(v - 4.0 / 3) < 1e-15);
      zero += v == 0;
    }
    return static_cast<double>(zero) / static_cast<double>(a.size());
  };
  EXPECT_NEAR(share_of_zeros(session.run(element)), 0.25, 0.02);
  const Array channels = session.run(channel);
  EXPECT_NEAR(share_of_zeros(channels), 0.25, 0.05);
  const Array samples = session.run(sample);
  EXPECT_NEAR(share_of_zeros(samples), 0.25, 0.25);
  for (std::int64_t n = 0; n < 40; ++n)
    for (std::int64_t c = 0; c < 50; ++c)
      for (std::int64_t i = 0; i < 6; ++i) {
        EXPECT_EQ(channels.at<double>({n, c, i / 2, i % 2}), channels.at<double>({n, c, 0, 0}));
        EXPECT_EQ(samples.at<double>({n, c, i / 2, i % 2}), samples.at<double>({n, 0, 0, 0}));
      }
}

TEST(Modes, AlphaDropoutKeepsMeanAndVariance) {
  Graph graph;
  const Tensor y = nn::AlphaDropout(0.3)(graph.random_normal(f64, {200000}), train);
  const Tensor mean = reduce_mean(y), variance = reduce_mean(square(y)) - square(reduce_mean(y));
  Session session = session_of(graph);
  EXPECT_NEAR(session.run(mean).item<double>(), 0, 0.01);
  EXPECT_NEAR(session.run(variance).item<double>(), 1, 0.02);
}

// ---- names and sharing

TEST(Modules, ListsNameTheirModulesByNumber) {
  class Stack : public nn::Module {
   public:
    Stack() : layers_(add("layers", nn::ModuleList<nn::Linear>(3, [](int i) { return nn::Linear(2 + i, 3 + i); }))) {}

   private:
    Tensor forward(const Tensor& input) override {
      Tensor x = input;
      for (nn::Linear& layer : layers_) x = layer(x);
      return x;
    }
    nn::ModuleList<nn::Linear> layers_;
  };
  Graph graph;
  Stack model;
  model.set_name("stack");
  EXPECT_EQ(to_string(model(graph.placeholder("x", f32, {Dim("n"), 2}))), "f32[n, 5]");
  EXPECT_EQ(names(model.named_parameters()),
            (std::vector<std::string>{"stack.layers.0.weight", "stack.layers.0.bias", "stack.layers.1.weight", "stack.layers.1.bias",
                                      "stack.layers.2.weight", "stack.layers.2.bias"}));
}

TEST(Modules, APartOfTwoModulesIsOne) {
  class Twice : public nn::Module {
   public:
    Twice() : a_(add("a", nn::Linear(3, 3))), b_(add("b", nn::Linear(a_))) {}

   private:
    Tensor forward(const Tensor& x) override { return b_(a_(x)); }
    nn::Linear a_, b_;
  };
  Graph graph;
  Twice model;
  model(graph.placeholder("x", f32, {2, 3}));
  EXPECT_EQ(names(model.named_parameters()), (std::vector<std::string>{"a.weight", "a.bias"}));
}

class Tied : public nn::Module {
 public:
  Tied() : embedding(add("embedding", nn::Embedding(5, 3, {.dtype = f64}))), head(add("head", nn::Linear(3, 5, {.bias = false}))) {
    head.tie("weight", embedding);
  }
  nn::Embedding embedding;
  nn::Linear head;

 private:
  Tensor forward(const Tensor& tokens) override { return head(embedding(tokens)); }
};

TEST(Modules, TiedParametersAreOneVariableAndOneGradient) {
  Graph graph;
  Tied model;
  const Tensor tokens = graph.placeholder("tokens", i64, {2});
  const Tensor logits = model(tokens);
  EXPECT_EQ(names(model.named_parameters()), (std::vector<std::string>{"embedding.weight"}));
  const Variable weight = model.parameters()[0];
  const Tensor by_hand = matmul(take(weight, tokens), transpose(weight));
  const Tensor gradient = gradients(reduce_sum(square(logits)), {weight})[0];
  const Tensor expected = gradients(reduce_sum(square(by_hand)), {weight})[0];
  Session session = session_of(graph);
  const auto out = session.run({logits, by_hand, gradient, expected}, {{tokens, Array({2}, {std::int64_t{4}, std::int64_t{1}})}});
  test::expect_close(out[0], out[1], 1e-15, "logits");
  test::expect_close(out[2], out[3], 1e-15, "gradient");
  // PyTorch's state_dict lists the shared weight under both names.
  nn::load_state(session, model, {{"embedding.weight", Array::zeros(f64, {5, 3})}, {"head.weight", Array::zeros(f64, {5, 3})}});
  EXPECT_EQ(element_as_double(session.value("embedding.weight"), 7), 0);
}

TEST(Modules, TheTiedOneMayBeCalledFirst) {
  Graph graph;
  nn::Embedding embedding(4, 2);
  embedding.set_name("tokens");
  nn::Linear head(2, 4, {.bias = false});
  head.tie("weight", embedding);
  head(graph.placeholder("x", f32, {1, 2}));
  EXPECT_EQ(names(head.named_parameters()), (std::vector<std::string>{"tokens.weight"}));
  // Made by its owner, so from the embedding's distribution.
  Session session = session_of(graph);
  double largest = 0;
  for (std::int64_t i = 0; i < 8; ++i) largest = std::max(largest, std::abs(element_as_double(session.value("tokens.weight"), i)));
  EXPECT_GT(largest, 1 / std::sqrt(2.0));
}

TEST(Modules, FrozenPartsStayAsTheyAre) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {2, 3});
  nn::Linear body(3, 3), head(3, 1);
  nn::Sequential model(body, nn::Tanh(), head);
  body.freeze();
  const Tensor loss = reduce_mean(square(model(x)));
  EXPECT_EQ(names(model.named_parameters()).size(), 4u);
  EXPECT_EQ(model.parameters().size(), 2u);
  const Operation step = SGD({.lr = 1}).minimize(loss);
  Session session = session_of(graph);
  const Array before = session.value("0.weight"), head_before = session.value("2.weight");
  session.run({step}, {{x, Array({2, 3}, {1.0, 2.0, 3.0, 4.0, 5.0, 6.0})}});
  EXPECT_TRUE(identical(before, session.value("0.weight")));
  EXPECT_FALSE(identical(head_before, session.value("2.weight")));
  model.unfreeze();
  EXPECT_EQ(model.parameters().size(), 4u);
}

TEST(Modules, InitializationByRule) {
  Graph graph;
  nn::Sequential model(nn::Linear(3, 4), nn::Sequential(nn::Linear(4, 2)));
  model.set_initialization([](const nn::ParameterInfo& p) -> std::optional<Initializer> {
    if (p.name.ends_with("bias")) return constant(p.dtype, p.shape, 7);
    return {};
  });
  model.build(graph, f64);
  Session session = session_of(graph);
  EXPECT_EQ(element_as_double(session.value("1.0.bias"), 1), 7);
  EXPECT_LE(std::abs(element_as_double(session.value("0.weight"), 0)), 1 / std::sqrt(3.0));
}

TEST(Initializers, HaveTheirDefiningProperties) {
  Graph graph;
  const Variable wide = graph.variable("wide", orthogonal(f64, {3, 2, 4}, 2)), tall = graph.variable("tall", orthogonal(f64, {5, 3}));
  const Variable eye = graph.variable("eye", identity(f32, {2, 3})), passes = graph.variable("passes", dirac(f32, {4, 2, 3}, 2));
  const Variable scaled = graph.variable("scaled", variance_scaling(f64, {200, 500}));
  const Variable average = graph.variable(
      "average", variance_scaling(f64, {200, 600}, {.scale = 2, .mode = FanMode::average, .distribution = Distribution::uniform}));
  const Tensor rows = reshape(wide, {3, 8}), products_of_rows = matmul(rows, transpose(rows)),
               products_of_columns = matmul(transpose(tall), tall);
  const Tensor variance = reduce_mean(square(scaled)), largest = reduce_max(abs(average));
  Session session = session_of(graph, 3);
  const auto out = session.run({products_of_rows, products_of_columns, variance, largest});
  test::expect_close(out[0], Array({3, 3}, {4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 4.0}), 1e-14, "rows of length 2");
  test::expect_close(out[1], Array({3, 3}, {1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0}), 1e-14, "columns of length 1");
  EXPECT_NEAR(out[2].item<double>(), 1.0 / 500, 0.02 / 500);
  EXPECT_NEAR(out[3].item<double>(), std::sqrt(3 * 2.0 / 400), 1e-4);
  test::expect_close(session.value(eye), Array({2, 3}, {1.0, 0.0, 0.0, 0.0, 1.0, 0.0}), 0, "identity");
  // Outputs 0 and 1 of each group take inputs 0 and 1, at the middle of the kernel.
  std::vector<double> expected(24, 0.0);
  for (const std::size_t i : {1, 10, 13, 22}) expected[i] = 1;
  test::expect_close(session.value(passes), Array({4, 2, 3}, expected), 0, "dirac");
  EXPECT_DOUBLE_EQ(gain_of(Nonlinearity::leaky_relu, 1), 1);
}

TEST(Modules, RMSNormIsItsFormula) {
  Graph graph;
  const Tensor x = graph.constant(Array({2, 3}, {1.0, -2.0, 3.0, 0.5, 0.25, -4.0}));
  nn::RMSNorm norm(3, {.eps = 1e-3});
  const Tensor y = norm(x), expected = x / sqrt(reduce_mean(square(x), 1, true) + 1e-3) * norm.parameters()[0];
  Session session = session_of(graph);
  session.set_value("weight", Array({3}, {2.0, 3.0, -1.0}));
  const auto out = session.run({y, expected});
  test::expect_close(out[0], out[1], 1e-15, "y");
}

// ---- running statistics

TEST(Statistics, AreChangedByTheStepsWhoseLossUsedTheCall) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {2, 1});
  nn::BatchNorm1d norm(1, {.momentum = 0.5});
  nn::Linear head(1, 1);
  head.set_name("head");
  const Tensor trained = head(norm(x, train)), other = head(x);
  const Operation with = SGD({.lr = 0.1}).minimize(reduce_mean(square(trained - 1)));
  const Operation without = SGD({.lr = 0.1}).minimize(reduce_mean(square(other - 1)));
  const Tensor evaluated = norm(x);
  Session session = session_of(graph);
  const Array data({2, 1}, {1.0, 5.0});
  session.run({without}, {{x, data}});
  EXPECT_EQ(element_as_double(session.value("running_mean"), 0), 0);
  session.run({with}, {{x, data}});
  EXPECT_EQ(element_as_double(session.value("running_mean"), 0), 1.5);  // (0 + 3) / 2
  EXPECT_EQ(element_as_double(session.value("running_var"), 0), 4.5);   // (1 + 8) / 2, divided by count - 1
  EXPECT_EQ(session.value("num_batches_tracked").item<std::int64_t>(), 1);
  // With a step that has them, updates() changes nothing more.
  session.run({with, norm.updates()}, {{x, data}});
  EXPECT_EQ(element_as_double(session.value("running_mean"), 0), 2.25);
  const double weight = element_as_double(session.value("weight"), 0), bias = element_as_double(session.value("bias"), 0);
  EXPECT_NEAR(element_as_double(session.run(evaluated, {{x, data}}), 1), (5 - 2.25) / std::sqrt(6.25 + 1e-5) * weight + bias, 1e-14);
}

// ---- values by name

TEST(State, GoesFromGraphToGraph) {
  const auto make = [] { return nn::Sequential(nn::Linear(3, 4), nn::BatchNorm1d(4), nn::ReLU(), nn::Linear(4, 2)); };
  Graph first, second;
  nn::Sequential a = make(), b = make();
  const Tensor ya = a(first.placeholder("x", f32, {5, 3})), yb = b(second.placeholder("x", f64, {5, 3}));
  Session sa = session_of(first, 1), sb = session_of(second, 2);
  const test::Arrays state = nn::state(sa, a);
  EXPECT_EQ(state.size(), 9u);
  nn::load_state(sb, b, state);
  const Array x = Array({5, 3}, std::vector<double>(15, 0.25));
  test::expect_close(sa.run(ya, {{"x", x.convert(f32)}}), sb.run(yb, {{"x", x}}), 1e-6, "the same model in f64");
}

TEST(State, IsCheckedAsAWholeBeforeAnythingChanges) {
  Graph graph;
  nn::Linear model(2, 3);
  model.build(graph);
  Session session = session_of(graph);
  const Array before = session.value("weight");
  const Array weight = Array::zeros(f32, {3, 2}), bias = Array::zeros(f32, {3});
  EXPECT_EQ(MESSAGE_OF(nn::load_state(session, model, {{"weight", weight}, {"biases", bias}})),
            "load_state: the names do not fit the module; missing: bias; left over: biases");
  EXPECT_EQ(MESSAGE_OF(nn::load_state(session, model, {{"weight", weight}, {"bias", weight}})),
            "load_state: the parameter \"bias\" is f32[3], but the value given is f32[3, 2]");
  EXPECT_EQ(MESSAGE_OF(nn::load_state(session, model, {{"weight", weight}, {"bias", Array::zeros(i64, {3})}})),
            "load_state: the parameter \"bias\" is f32[3], but the value given is i64[3]");
  EXPECT_TRUE(identical(before, session.value("weight")));
  nn::load_state(session, model, {{"weight", weight}}, {.strict = false});
  EXPECT_FALSE(identical(before, session.value("weight")));
}

// ---- summary

TEST(Summary, CountsWhatEachModuleHasAndDoes) {
  Graph graph;
  nn::Sequential model(nn::Conv2d(3, 8, 3, {.padding = 1}), nn::BatchNorm2d(8), nn::ReLU(), nn::AdaptiveAvgPool2d(1), nn::Flatten(),
                       nn::Linear(8, 10));
  const nn::Summary summary = nn::summary(model, {Dim("batch"), 3, 32, 32});
  EXPECT_EQ(summary.text(),
            "module                  output                 parameters         flops\n"
            "-----------------------------------------------------------------------\n"
            "Sequential              f32[batch, 10]\n"
            "  0: Conv2d             f32[batch, 8, 32, 32]         224  442368*batch\n"
            "  1: BatchNorm2d        f32[batch, 8, 32, 32]          16\n"
            "  2: ReLU               f32[batch, 8, 32, 32]\n"
            "  3: AdaptiveAvgPool2d  f32[batch, 8, 1, 1]\n"
            "  4: Flatten            f32[batch, 8]\n"
            "  5: Linear             f32[batch, 10]                 90     160*batch\n"
            "-----------------------------------------------------------------------\n"
            "parameters: 330; buffers: 17\n"
            "flops: 442528*batch\n");
  // The model is as it was: it can still be built, in a graph of its own.
  model(graph.placeholder("x", f64, {1, 3, 8, 8}));
  EXPECT_EQ(model.parameters().size(), 6u);
  EXPECT_EQ(nn::summary(model, {1, 3, 8, 8}).parameters, 330);
  EXPECT_EQ(model.parameters()[0].dtype(), f64);
}

TEST(Summary, CountsLoopsAsOftenAsTheyRun) {
  nn::LSTM lstm(8, 16);
  const nn::Summary summary = nn::summary(lstm, [&](Graph& g) { lstm(g.placeholder("x", f32, {Dim("time"), 4, 8})); });
  ASSERT_EQ(summary.rows.size(), 1u);
  EXPECT_EQ(summary.rows[0].type, "LSTM");
  // Per time step 4 rows times 64 columns: 8 inputs before the loop, 16 states in it, two operations each.
  EXPECT_EQ(to_string(summary.flops), to_string(Dim(2 * 4 * 64 * (8 + 16)) * Dim("time")));
  EXPECT_EQ(summary.parameters, 64 * 8 + 64 * 16 + 2 * 64);
}

// ---- messages

TEST(Messages, OfModules) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {2, 3}), image = graph.placeholder("image", f32, {2, 3, 8, 8}),
               sequence = graph.placeholder("sequence", f32, {5, 2, 3}), tokens = graph.placeholder("tokens", i64, {2});
  EXPECT_EQ(MESSAGE_OF(nn::Linear(4, 2)(x)), "Linear: the input is f32[2, 3], but the layer has the weight [2, 4]: the last dim must be 4");
  EXPECT_EQ(MESSAGE_OF(nn::Linear(4, 2)(tokens)),
            "Linear: the input is i64[2], but the layer has the weight [2, 4]: the last dim must be 4");
  EXPECT_EQ(MESSAGE_OF(nn::Embedding(4, 2)(x)), "Embedding: takes integer indices, but was given f32[2, 3]");
  EXPECT_EQ(MESSAGE_OF(nn::Embedding(4, 2, {.padding_idx = 4})), "Embedding: padding_idx is 4 in a table of 4 rows");
  EXPECT_EQ(MESSAGE_OF(nn::Conv2d(4, 2, 3)(image)), "Conv2d: the input is f32[2, 3, 8, 8], but its dim 1 must be 4");
  EXPECT_EQ(MESSAGE_OF(nn::Conv1d(3, 2, 3)(image)), "Conv1d: the input is f32[2, 3, 8, 8], but must have rank 3");
  EXPECT_EQ(MESSAGE_OF(nn::Conv2d(3, 4, 3, {.groups = 2})), "Conv2d: 2 groups of 3 input and 4 output channels");
  EXPECT_EQ(MESSAGE_OF(nn::Conv2d(3, 4, {1, 2, 3})), "Conv2d: kernel is [1, 2, 3]");
  EXPECT_EQ(MESSAGE_OF(nn::BatchNorm2d(3)(x)), "BatchNorm2d: the input is f32[2, 3], but must have rank 4");
  EXPECT_EQ(MESSAGE_OF(nn::BatchNorm1d(4)(x)), "BatchNorm1d: the input is f32[2, 3], but its dim 1 must be 4");
  EXPECT_EQ(MESSAGE_OF(nn::LayerNorm(4)(x)), "LayerNorm: the input is f32[2, 3], but its last dim must be 4");
  EXPECT_EQ(MESSAGE_OF(nn::GroupNorm(2, 3)), "GroupNorm: 2 groups of 3 channels");
  EXPECT_EQ(MESSAGE_OF(nn::MaxPool2d(2)(x)), "MaxPool2d: the input is f32[2, 3], but must have rank 4");
  EXPECT_EQ(MESSAGE_OF(nn::Dropout(1)), "Dropout: the rate is 1");
  EXPECT_EQ(MESSAGE_OF(nn::LSTM(3, 4)(x)), "LSTM: the input is f32[2, 3], but must have rank 3");
  EXPECT_EQ(MESSAGE_OF(nn::LSTM(3, 4)(sequence, {.hidden = x})), "LSTM: the hidden state is f32[2, 3], but must be f32[1, 2, 4]");
  EXPECT_EQ(MESSAGE_OF(nn::GRU(3, 4)(sequence, {.cell = x})), "GRU: was given a cell state");
  EXPECT_EQ(MESSAGE_OF(nn::GRU(3, 4)(sequence, {.lengths = x})), "GRU: the lengths are f32[2, 3], but the batch is 2");
  EXPECT_EQ(MESSAGE_OF(nn::RNN(3, 4, {.projection = 2})), "RNN: the projection is 2");
  EXPECT_EQ(MESSAGE_OF(nn::LSTM(3, 4)(Tensor())), "a default-constructed Tensor was used");
  EXPECT_EQ(MESSAGE_OF(nn::Linear(3, 4)(Tensor())), "a default-constructed Tensor was used");
  EXPECT_EQ(MESSAGE_OF(nn::Bilinear(3, 4, 2)(Tensor(), x)), "a default-constructed Tensor was used");
  EXPECT_EQ(MESSAGE_OF(nn::MultiheadAttention(6, 4)), "MultiheadAttention: 4 heads of a width of 6");
  EXPECT_EQ(MESSAGE_OF(nn::Upsample(0)(image)), "Upsample: the factor is 0");
  EXPECT_EQ(MESSAGE_OF(static_cast<nn::Module&&>(nn::Bilinear(2, 2, 2))(x)), "Bilinear: it is not a function of one tensor");
}

TEST(Messages, OfSharing) {
  Graph graph;
  nn::Linear a(2, 2), b(2, 3);
  b.tie("weight", a);
  EXPECT_EQ(MESSAGE_OF(a.tie("weight", b)), "tie: the parameter \"weight\" would be its own owner");
  EXPECT_EQ(MESSAGE_OF(b.build(graph)), "the parameter \"weight\" is tied to \"weight\", which is f32[2, 2], but it must be f32[3, 2]");
  EXPECT_EQ(MESSAGE_OF(a.tie("weight", nn::Linear(2, 2))), "tie: the parameter \"weight\" has been made already");
  nn::Linear c(2, 2);
  c.set_name("c");
  c.set_initialization([](const nn::ParameterInfo& p) { return ones(p.dtype, {1}); });
  EXPECT_EQ(MESSAGE_OF(c.build(graph)), "the initialisation rule gives the parameter \"c.weight\" f32[1], but it is f32[2, 2]");
}

TEST(Messages, OfStatisticsInBodies) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {4, 2, 3});
  nn::BatchNorm1d norm(3);
  norm.build(graph);
  EXPECT_TRUE(MESSAGE_OF(map([&](auto& slices) { return std::vector<Tensor>{norm(slices[0], train)}; }, {x}))
                  .starts_with("the statistics \"running_mean\" would have to be assigned in the "));
}

TEST(Messages, OfTraining) {
  Graph graph;
  const Variable w = graph.variable("w", Array(1.0));
  const GradientSet set{{{w, graph.constant(Array(1.0))}}};
  const std::vector<Variable> parameters{w};
  EXPECT_EQ(MESSAGE_OF(accumulate(set, 0)), "accumulate: the count is 0");
  EXPECT_EQ(MESSAGE_OF(accumulate({}, 2)), "accumulate: there are no gradients");
  EXPECT_EQ(MESSAGE_OF(clip_by_global_norm(set, 0)), "clip_by_global_norm: max_norm is 0");
  EXPECT_EQ(MESSAGE_OF(clip_by_value(set, -1)), "clip_by_value: the limit is -1");
  EXPECT_EQ(MESSAGE_OF(LossScale(0)), "LossScale: the scale is 0");
  EXPECT_EQ(MESSAGE_OF(LossScale(graph, {.growth = 1})), "LossScale: growth is 1");
  EXPECT_EQ(MESSAGE_OF(ExponentialMovingAverage(parameters, {.decay = 1})), "ExponentialMovingAverage: the decay is 1");
  EXPECT_EQ(MESSAGE_OF(schedule::cosine(1, 0)), "schedule::cosine: steps is 0");
  EXPECT_EQ(MESSAGE_OF(schedule::sequence({schedule::constant(1)}, {3})), "schedule::sequence: 1 schedules and 1 milestones");
  EXPECT_EQ(MESSAGE_OF(schedule::one_cycle(1, 3)), "schedule::one_cycle: 3 steps of which a share of 0.3 rises");
  Adam adam;
  adam.add_group({.parameters = {w}, .lr = 0.5});
  EXPECT_EQ(MESSAGE_OF(adam.add_group({.parameters = {w}})), "add_group: the parameter \"w\" is in a group already");
  GradientSet conditional = set;
  conditional.condition = graph.constant(Array(1.0));
  EXPECT_EQ(MESSAGE_OF(adam.apply_gradients(conditional)), "apply_gradients: the condition must be a bool scalar, but is f64[]");
  EXPECT_EQ(MESSAGE_OF(Adafactor({.clip = 0})), "Adafactor: clip is 0");
}

}  // namespace

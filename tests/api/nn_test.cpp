// Modules, losses, batches, text files.
#include <unistd.h>
#include <filesystem>

#include "api_test.h"

using namespace kiln;

namespace {

class TwoLayerNet : public nn::Module {
 public:
  TwoLayerNet(int in, int hidden, int out)
      : linear1(add("linear1", nn::Linear(in, hidden))), linear2(add("linear2", nn::Linear(hidden, out))) {}

 private:
  Tensor forward(const Tensor& x) override { return linear2(relu(linear1(x))) * parameter(x, "scale", ones(x.dtype(), {})); }
  nn::Linear linear1, linear2;
};

std::vector<std::string> names_of(const nn::Module& module) {
  std::vector<std::string> names;
  for (const nn::NamedParameter& p : module.named_parameters()) names.push_back(p.name);
  return names;
}

TEST(Modules, ParametersAreNamedByPath) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {Dim("n"), 4});
  nn::Sequential model(nn::Linear(4, 3), nn::ReLU(), nn::Sequential(nn::Linear(3, 2, {.bias = false}), nn::Tanh()));
  const Tensor y = model(x);
  EXPECT_EQ(to_string(y), "f32[n, 2]");
  EXPECT_EQ(names_of(model), (std::vector<std::string>{"0.weight", "0.bias", "2.0.weight"}));
  EXPECT_EQ(to_string(model.parameters()[0]), "f32[3, 4]");
  EXPECT_EQ(graph.find_variable("2.0.weight").dims(), (Dims{2, 3}));

  TwoLayerNet net(4, 5, 2);
  net.set_name("net");
  net.build(graph, f64);
  EXPECT_EQ(names_of(net), (std::vector<std::string>{"net.linear1.weight", "net.linear1.bias", "net.linear2.weight", "net.linear2.bias"}));
  net(graph.placeholder("x64", f64, {1, 4}));
  EXPECT_EQ(names_of(net)[0], "net.scale");
}

TEST(Modules, ApplyingTwiceSharesParameters) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {2, 3});
  TwoLayerNet net(3, 4, 3);
  const Tensor y = net(net(x));
  EXPECT_EQ(net.parameters().size(), 5u);
  const TwoLayerNet copy = net;
  EXPECT_EQ(copy.parameters().size(), 5u);
  Session session(graph, test::options());
  session.initialize();
  EXPECT_EQ(session.run(y, {{x, test::random_array(f64, {2, 3})}}).shape(), (Shape{2, 3}));
}

TEST(Modules, LinearIsXTransposedWeightPlusBias) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {2, 2, 3});
  nn::Linear layer(3, 2);
  const Tensor y = layer(x);
  const Tensor expected = matmul(x, transpose(layer.parameters()[0])) + layer.parameters()[1];
  Session session(graph, test::options());
  session.initialize();
  const auto out = session.run({y, expected}, {{x, test::random_array(f64, {2, 2, 3})}});
  test::expect_near(out[0], out[1], 1e-15);
  const Array weight = session.value("weight");
  for (const double v : weight.data<double>()) EXPECT_LE(std::abs(v), 1 / std::sqrt(3.0));
}

TEST(Modules, ActivationsAreTheFunctions) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {2, 3, 2});
  const std::vector<std::pair<Tensor, Tensor>> pairs = {{nn::ReLU()(x), relu(x)},
                                                        {nn::Sigmoid()(x), sigmoid(x)},
                                                        {nn::Tanh()(x), kiln::tanh(x)},
                                                        {nn::SiLU()(x), silu(x)},
                                                        {nn::Softplus()(x), softplus(x)},
                                                        {nn::GELU()(x), gelu(x)},
                                                        {nn::GELU(true)(x), gelu(x, true)},
                                                        {nn::LeakyReLU(0.2)(x), leaky_relu(x, 0.2)},
                                                        {nn::ELU(2)(x), elu(x, 2)},
                                                        {nn::Softmax(1)(x), softmax(x, 1)},
                                                        {nn::Flatten()(x), reshape(x, {2, 6})},
                                                        {nn::Lambda([](const Tensor& t) { return t * 2; })(x), x * 2}};
  Session session(graph, test::options());
  const Array at = test::random_array(f64, {2, 3, 2}, -3, 3);
  for (const auto& [a, b] : pairs) {
    const auto out = session.run({a, b}, {{x, at}});
    test::expect_near(out[0], out[1], 0);
  }
}

TEST(Modules, Losses) {
  Graph graph;
  const Tensor p = graph.placeholder("p", f64, {2, 3}), t = graph.placeholder("t", f64, {2, 3}),
               labels = graph.placeholder("labels", i64, {2});
  const Tensor logits = p * 100;  // large enough to overflow exp
  Session session(graph, test::options());
  const Array pv({2, 3}, {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}), tv({2, 3}, {0.0, 2.0, 5.0, 4.0, 5.0, 9.0});
  const auto out = session.run({nn::MSELoss()(p, t), nn::MSELoss(nn::Reduction::sum)(p, t), nn::MSELoss(nn::Reduction::none)(p, t),
                                nn::CrossEntropyLoss()(p, labels), nn::CrossEntropyLoss(nn::Reduction::none)(logits, labels)},
                               {{p, pv}, {t, tv}, {labels, Array({2}, {std::int64_t{0}, std::int64_t{2}})}});
  EXPECT_DOUBLE_EQ(out[0].item<double>(), 14.0 / 6);
  EXPECT_DOUBLE_EQ(out[1].item<double>(), 14);
  test::expect_near(out[2], Array({2, 3}, {1.0, 0.0, 4.0, 0.0, 0.0, 9.0}), 0);
  const double rest = std::log(1 + std::exp(-1.0) + std::exp(-2.0));
  EXPECT_NEAR(out[3].item<double>(), (2 + rest + rest) / 2, 1e-14);
  test::expect_near(out[4], Array({2}, {200.0, 0.0}), 1e-14);
}

TEST(Modules, DropoutScalesWhatItKeeps) {
  Graph graph;
  const Tensor x = graph.ones(f32, {10000});
  EXPECT_EQ(nn::Dropout(0.25)(x).location().line, x.location().line) << "evaluation passes x on";
  const Tensor y = nn::Dropout(0.25)(x, {.training = true});
  Session session(graph, test::options());
  const Array out = session.run(y);
  int kept = 0;
  for (const float v : out.data<float>()) {
    EXPECT_TRUE(v == 0 || std::abs(v - 4.0f / 3) < 1e-6f);
    kept += v != 0;
  }
  EXPECT_NEAR(kept, 7500, 150);
}

TEST(Batches, CoverEachRowOnceInTheSameOrder) {
  std::vector<std::int32_t> rows(10);
  std::vector<double> twice(20);
  for (int i = 0; i < 10; ++i) rows[std::size_t(i)] = i, twice[std::size_t(2 * i)] = twice[std::size_t(2 * i + 1)] = i;
  const Array labels({10}, rows), data({10, 2}, twice);
  Batches batches({labels, data}, {.batch_size = 4, .seed = 3});
  EXPECT_EQ(batches.count(), 3);
  std::vector<std::vector<std::int32_t>> orders;
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::vector<std::int32_t> order;
    for (const std::vector<Array>& batch : batches) {
      EXPECT_EQ(batch[0].shape()[0], order.size() == 8 ? 2 : 4);
      for (std::int64_t i = 0; i < batch[0].size(); ++i) {
        order.push_back(batch[0].at<std::int32_t>({i}));
        EXPECT_EQ(batch[1].at<double>({i, 0}), order.back());
        EXPECT_EQ(batch[1].at<double>({i, 1}), order.back());
      }
    }
    orders.push_back(order);
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, rows);
  }
  EXPECT_NE(orders[0], orders[1]);
  Batches again({labels}, {.batch_size = 10, .seed = 3});
  const Array first = (*again.begin())[0];
  EXPECT_EQ(std::vector<std::int32_t>(first.data<std::int32_t>().begin(), first.data<std::int32_t>().end()), orders[0]);
  Batches plain({labels}, {.batch_size = 3, .shuffle = false, .drop_last = true});
  std::vector<std::int32_t> seen;
  for (const auto& batch : plain)
    for (const std::int32_t v : batch[0].data<std::int32_t>()) seen.push_back(v);
  EXPECT_EQ(seen, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(Text, WrittenGraphsReadBack) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {Dim("n", {.min = 1, .typical = 8}), 6});
  const Variable w = graph.variable("w", test::random_array(f32, {6, 20}));
  const Variable b = graph.variable("b", random_normal(f32, {20}));
  const Tensor y = relu(matmul(x, w) + b).named("y");
  const Tensor loss = reduce_mean(softmax_cross_entropy(y, argmax(stop_gradient(y)))).named("loss");
  assign(w, w - gradients(loss, {w})[0]).named("w.next");
  cond(greater(loss, 1), [&] { return loss; }, [&] { return loss * 2; }).named("scaled");
  const std::string folder = (std::filesystem::temp_directory_path() / ("kiln_text_" + std::to_string(::getpid()))).string();
  std::filesystem::create_directories(folder);
  graph.write(folder + "/model.kiln");
  EXPECT_TRUE(std::filesystem::exists(folder + "/model.safetensors"));
  const Graph read = Graph::read(folder + "/model.kiln");
  EXPECT_EQ(read.text(), graph.text());
  EXPECT_EQ(to_string(read.find_tensor("y")), "f32[n, 20]");
  EXPECT_EQ(read.find_tensor("y").location().line, y.location().line);
  std::vector<Array> results;
  for (const Graph& g : {graph, read}) {
    Session session(g, test::options());
    session.initialize();
    for (const Array& out : session.run({"y", "scaled", "w.next"}, {{"x", test::random_array(f32, {3, 6})}})) results.push_back(out);
    results.push_back(session.value("w"));
  }
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(identical(results[i], results[i + 4])) << i;
  std::filesystem::remove_all(folder);
}

TEST(Text, AProgramMayHoldSeveralSteps) {
  Graph graph;
  const Variable w = graph.variable("w", Array(8.0));
  assign(w, w + 1).named("up");
  assign(w, w - 1).named("down");
  SGD({.lr = 0.25}).minimize(w * w);
  const Graph read = Graph::parse(graph.text());
  EXPECT_EQ(read.text(), graph.text());
  Session session(read, test::options());
  session.initialize();
  EXPECT_EQ(session.run("up").item<double>(), 9);
  EXPECT_EQ(session.run("down").item<double>(), 8);
  EXPECT_THROW(session.run({"up", "down"}), Error);
}

TEST(Text, ErrorsNameTheLineOfTheText) {
  try {
    Graph::parse("graph @main(%x: f32[3]) -> (%y) {\n  %y = tangent %x : f32[3]\n}\n", "model.kiln");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::parse);
    EXPECT_EQ(std::string(error.where().file), "model.kiln");
    EXPECT_EQ(error.where().line, 2u);
    EXPECT_NE(error.message().find("tangent"), std::string::npos) << error.what();
  }
}

}  // namespace

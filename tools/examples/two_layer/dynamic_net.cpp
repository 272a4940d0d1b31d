// A network whose depth differs from step to step: the middle layer, with shared weights, runs as often as is fed. It is still one graph, compiled
// once; its gradient runs the loop backwards.
#include "two_layer.h"

namespace two_layer {
namespace {

/// input -> middle, `depth` times -> output, with ReLU between.
class DynamicNet : public kiln::nn::Module {
 public:
  DynamicNet(std::int64_t inputs, std::int64_t hidden, std::int64_t outputs, kiln::Tensor depth)
      : input_(add("linear1", kiln::nn::Linear(inputs, hidden))),
        middle_(add("middle", kiln::nn::Linear(hidden, hidden))),
        output_(add("linear2", kiln::nn::Linear(hidden, outputs))),
        depth_(depth) {}

 private:
  kiln::Tensor forward(const kiln::Tensor& x) override {
    using namespace kiln;
    Tensor h = relu(input_(x));
    auto not_done = [&](const std::vector<Tensor>& state) { return less(state[0], depth_); };
    auto one_more = [&](const std::vector<Tensor>& state) { return std::vector<Tensor>{state[0] + 1, relu(middle_(state[1]))}; };
    std::vector<Tensor> last = while_loop(not_done, one_more, {zeros_like(depth_), h});
    return output_(last[1]);
  }

  kiln::nn::Linear input_, middle_, output_;
  kiln::Tensor depth_;
};

}  // namespace

void dynamic_net(const Setup& setup) {
  using namespace kiln;
  const Array x_value = setup.load("x.npy"), y_value = setup.load("y.npy");
  const std::int64_t inputs = x_value.shape()[1], outputs = y_value.shape()[1];
  const std::int64_t hidden = setup.load("linear1_bias.npy").shape()[0];

  Graph graph;
  Dim batch("batch");
  Tensor x = graph.placeholder("x", setup.dtype, {batch, inputs});
  Tensor y = graph.placeholder("y", setup.dtype, {batch, outputs});
  Tensor depth = graph.placeholder("depth", i64, {});

  DynamicNet model(inputs, hidden, outputs, depth);
  Tensor loss = nn::MSELoss(nn::Reduction::sum)(model(x), y);
  Operation step = SGD({.lr = 1e-4, .momentum = 0.9}).minimize(loss, model.parameters());

  Session session(graph, setup.session);
  session.initialize();
  for (const char* layer : {"linear1", "middle", "linear2"})
    for (const char* part : {"weight", "bias"})
      session.set_value(std::string(layer) + "." + part, setup.load(std::string(layer) + "_" + part + ".npy"));

  const std::vector<std::int64_t> depths = setup.depths();
  for (int i = 0; i < setup.steps; ++i) {
    const Array depth_value = depths[static_cast<std::size_t>(i) % depths.size()];
    print_loss(session.run({loss, step}, {{x, x_value}, {y, y_value}, {depth, depth_value}})[0]);
  }
}

}  // namespace two_layer

// The same network from ready-made layers, trained by ready-made optimizers. Names, defaults and formulas are PyTorch's.
#include "two_layer.h"

namespace two_layer {
namespace {

kiln::Operation minimize(Method method, const kiln::Tensor& loss, const std::vector<kiln::Variable>& parameters) {
  using namespace kiln;
  switch (method) {
    case Method::sgd: return SGD({.lr = 1e-4}).minimize(loss, parameters);
    case Method::adam: return Adam({.lr = 1e-4}).minimize(loss, parameters);
    case Method::adamw: return AdamW({.lr = 1e-4, .weight_decay = 1e-2}).minimize(loss, parameters);
    case Method::rmsprop: return RMSprop({.lr = 1e-4}).minimize(loss, parameters);
    case Method::adagrad: return Adagrad({.lr = 1e-2}).minimize(loss, parameters);
    case Method::nesterov: break;
  }
  return SGD({.lr = 1e-4, .momentum = 0.9, .nesterov = true}).minimize(loss, parameters);
}

}  // namespace

void nn_sequential(const Setup& setup, Method method) {
  using namespace kiln;
  const Array x_value = setup.load("x.npy"), y_value = setup.load("y.npy");
  const std::int64_t inputs = x_value.shape()[1], outputs = y_value.shape()[1];
  const std::int64_t hidden = setup.load("linear1_bias.npy").shape()[0];

  Graph graph;
  Dim batch("batch");
  Tensor x = graph.placeholder("x", setup.dtype, {batch, inputs});
  Tensor y = graph.placeholder("y", setup.dtype, {batch, outputs});

  nn::Sequential model(nn::Linear(inputs, hidden), nn::ReLU(), nn::Linear(hidden, outputs));
  Tensor loss = nn::MSELoss(nn::Reduction::sum)(model(x), y);
  Operation step = minimize(method, loss, model.parameters());

  Session session(graph, setup.session);
  session.initialize();
  // Parameters are named by their place in the model; here they start from given values.
  session.set_value("0.weight", setup.load("linear1_weight.npy"));
  session.set_value("0.bias", setup.load("linear1_bias.npy"));
  session.set_value("2.weight", setup.load("linear2_weight.npy"));
  session.set_value("2.bias", setup.load("linear2_bias.npy"));

  Callable train = session.callable({loss, step}, {x, y});
  std::vector<Array> results(2);
  for (int i = 0; i < setup.steps; ++i) {
    train({x_value, y_value}, results);
    print_loss(results[0]);
  }
}

}  // namespace two_layer

// ReLU as the user's own operation: custom_gradient takes a forward and a backward function, both made of graph operations.
#include "two_layer.h"

namespace two_layer {
namespace {

kiln::Tensor my_relu(const kiln::Tensor& x) {
  using namespace kiln;
  auto forward = [](const std::vector<Tensor>& inputs) { return std::vector<Tensor>{maximum(0, inputs[0])}; };
  // The cotangent passes where the input was positive.
  auto backward = [](const std::vector<Tensor>& inputs, const std::vector<Tensor>& /*results*/, const std::vector<Tensor>& cotangents) {
    return std::vector<Tensor>{select(greater(inputs[0], 0), cotangents[0], 0)};
  };
  return custom_gradient({x}, forward, backward, "my_relu")[0];
}

}  // namespace

void custom_relu(const Setup& setup) {
  using namespace kiln;
  const Array x_value = setup.load("x.npy"), y_value = setup.load("y.npy");

  Graph graph;
  Dim batch("batch");
  Tensor x = graph.placeholder("x", setup.dtype, {batch, x_value.shape()[1]});
  Tensor y = graph.placeholder("y", setup.dtype, {batch, y_value.shape()[1]});
  Variable w1 = graph.variable("w1", setup.load("w1.npy"));
  Variable w2 = graph.variable("w2", setup.load("w2.npy"));

  Tensor y_pred = matmul(my_relu(matmul(x, w1)), w2);
  Tensor loss = reduce_sum(square(y_pred - y));
  std::vector<Tensor> grads = gradients(loss, {w1, w2});
  Operation step = group({assign_sub(w1, 1e-6 * grads[0]), assign_sub(w2, 1e-6 * grads[1])});

  Session session(graph, setup.session);
  session.initialize();
  for (int i = 0; i < setup.steps; ++i) print_loss(session.run({loss, step}, {{x, x_value}, {y, y_value}})[0]);
}

}  // namespace two_layer

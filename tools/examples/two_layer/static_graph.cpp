// The first program: a graph is built once, then run as often as there are steps. Gradients are asked for by name of what they are taken with respect to.
#include "two_layer.h"

namespace two_layer {

void static_graph(const Setup& setup) {
  using namespace kiln;
  const Array x_value = setup.load("x.npy"), y_value = setup.load("y.npy");
  const Array w1_value = setup.load("w1.npy"), w2_value = setup.load("w2.npy");

  // Describe the computation. Nothing is computed here.
  Graph graph;
  Dim batch("batch");
  Tensor x = graph.placeholder("x", setup.dtype, {batch, x_value.shape()[1]});
  Tensor y = graph.placeholder("y", setup.dtype, {batch, y_value.shape()[1]});
  Variable w1 = graph.variable("w1", w1_value);
  Variable w2 = graph.variable("w2", w2_value);

  // Forward pass, loss, gradients, update: all in the graph.
  Tensor y_pred = matmul(relu(matmul(x, w1)), w2);
  Tensor loss = reduce_sum(square(y_pred - y));
  std::vector<Tensor> grads = gradients(loss, {w1, w2});
  const double learning_rate = 1e-6;
  Operation step = group({assign_sub(w1, learning_rate * grads[0]), assign_sub(w2, learning_rate * grads[1])});

  // Run it. The first run compiles the whole step to one native function.
  Session session(graph, setup.session);
  session.initialize();
  for (int i = 0; i < setup.steps; ++i) {
    std::vector<Array> out = session.run({loss, step}, {{x, x_value}, {y, y_value}});
    print_loss(out[0]);
  }
}

}  // namespace two_layer

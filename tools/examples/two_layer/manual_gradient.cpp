// Forward and backward pass both written by hand: gradients() writes the same operations for you.
#include "two_layer.h"

namespace two_layer {

void manual_gradient(const Setup& setup) {
  using namespace kiln;
  const Array x_value = setup.load("x.npy"), y_value = setup.load("y.npy");

  Graph graph;
  Dim batch("batch");
  Tensor x = graph.placeholder("x", setup.dtype, {batch, x_value.shape()[1]});
  Tensor y = graph.placeholder("y", setup.dtype, {batch, y_value.shape()[1]});
  Variable w1 = graph.variable("w1", setup.load("w1.npy"));
  Variable w2 = graph.variable("w2", setup.load("w2.npy"));

  // Forward.
  Tensor h = matmul(x, w1);
  Tensor h_relu = relu(h);
  Tensor y_pred = matmul(h_relu, w2);
  Tensor loss = reduce_sum(square(y_pred - y));

  // Backward: the chain rule, from the loss to the weights.
  Tensor grad_y_pred = 2.0 * (y_pred - y);
  Tensor grad_w2 = matmul(transpose(h_relu), grad_y_pred);
  Tensor grad_h_relu = matmul(grad_y_pred, transpose(w2));
  Tensor grad_h = select(greater(h, 0), grad_h_relu, 0);
  Tensor grad_w1 = matmul(transpose(x), grad_h);

  const double learning_rate = 1e-6;
  Operation step = group({assign(w1, w1 - learning_rate * grad_w1), assign(w2, w2 - learning_rate * grad_w2)});

  Session session(graph, setup.session);
  session.initialize();
  for (int i = 0; i < setup.steps; ++i) print_loss(session.run({loss, step}, {{x, x_value}, {y, y_value}})[0]);
}

}  // namespace two_layer

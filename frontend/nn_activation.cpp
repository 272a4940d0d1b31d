// Activation modules.
#include "kiln/nn/activation.h"

#include "frontend/nn_module.h"
#include "kiln/activations.h"
#include "kiln/normalization.h"
#include "kiln/operators.h"

namespace kiln::nn {

using detail::at_call;

Tensor ELU::forward(const Tensor& x) {
  return at_call([&] { return elu(x, alpha_); });
}
Tensor CELU::forward(const Tensor& x) {
  return at_call([&] { return celu(x, alpha_); });
}
Tensor SELU::forward(const Tensor& x) {
  return at_call([&] { return selu(x); });
}
Tensor GELU::forward(const Tensor& x) {
  return at_call([&] { return gelu(x, approximate_); });
}
Tensor ReLU::forward(const Tensor& x) {
  return at_call([&] { return relu(x); });
}
Tensor ReLU6::forward(const Tensor& x) {
  return at_call([&] { return relu6(x); });
}
Tensor LeakyReLU::forward(const Tensor& x) {
  return at_call([&] { return leaky_relu(x, slope_); });
}

Tensor RReLU::forward(const Tensor& x) {
  return at_call([&] {
    if (!training()) return leaky_relu(x, (low_ + high_) / 2);
    const Tensor slope = detail::graph_of(x).random_uniform(x.dtype(), x.dims(), {.low = low_, .high = high_});
    return select(greater(x, 0), x, slope * x);
  });
}

Tensor Threshold::forward(const Tensor& x) {
  return at_call([&] { return threshold(x, threshold_, value_); });
}
Tensor Hardtanh::forward(const Tensor& x) {
  return at_call([&] { return hardtanh(x, low_, high_); });
}
Tensor Hardsigmoid::forward(const Tensor& x) {
  return at_call([&] { return hardsigmoid(x); });
}
Tensor Hardswish::forward(const Tensor& x) {
  return at_call([&] { return hardswish(x); });
}
Tensor Hardshrink::forward(const Tensor& x) {
  return at_call([&] { return hardshrink(x, lambda_); });
}
Tensor Softshrink::forward(const Tensor& x) {
  return at_call([&] { return softshrink(x, lambda_); });
}
Tensor Tanhshrink::forward(const Tensor& x) {
  return at_call([&] { return tanhshrink(x); });
}
Tensor Tanh::forward(const Tensor& x) {
  return at_call([&] { return tanh(x); });
}
Tensor Sigmoid::forward(const Tensor& x) {
  return at_call([&] { return sigmoid(x); });
}
Tensor LogSigmoid::forward(const Tensor& x) {
  return at_call([&] { return logsigmoid(x); });
}
Tensor SiLU::forward(const Tensor& x) {
  return at_call([&] { return silu(x); });
}
Tensor Mish::forward(const Tensor& x) {
  return at_call([&] { return mish(x); });
}
Tensor Softplus::forward(const Tensor& x) {
  return at_call([&] { return softplus(x, beta_); });
}
Tensor Softsign::forward(const Tensor& x) {
  return at_call([&] { return softsign(x); });
}

Tensor GLU::forward(const Tensor& x) {
  return at_call([&] { return glu(x, axis_); });
}

Tensor Softmax::forward(const Tensor& x) {
  return at_call([&] { return softmax(x, axis_); });
}
Tensor Softmin::forward(const Tensor& x) {
  return at_call([&] { return softmin(x, axis_); });
}
Tensor LogSoftmax::forward(const Tensor& x) {
  return at_call([&] { return log_softmax(x, axis_); });
}

void PReLU::make_parameters(Graph& graph, DType dtype) { parameter(graph, "weight", constant(dtype, {count_}, initial_)); }

Tensor PReLU::forward(const Tensor& x) {
  if (count_ > 1) detail::require_input("PReLU", x, 1, count_, "count");
  return at_call([&] {
    Graph graph = detail::graph_of(x);
    make_parameters(graph, x.dtype());
    const Variable slope = parameter(graph, "weight", constant(x.dtype(), {count_}, initial_));
    return count_ == 1 ? prelu(x, reshape(slope, {})) : prelu(x, slope);
  });
}

}  // namespace kiln::nn

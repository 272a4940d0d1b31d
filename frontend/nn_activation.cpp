// Activation modules.
#include "kiln/nn/activation.h"

#include <fmt/format.h>

#include "frontend/nn_module.h"
#include "kiln/normalization.h"
#include "kiln/operators.h"

namespace kiln::nn {

using detail::at_call;

Tensor ELU::forward(const Tensor& x) {
  return at_call([&] { return elu(x, alpha_); });
}
Tensor CELU::forward(const Tensor& x) {
  return at_call([&] { return select(greater(x, 0), x, alpha_ * expm1(minimum(x, 0) / alpha_)); });
}
Tensor SELU::forward(const Tensor& x) {
  constexpr double alpha = 1.6732632423543772848170429916717, scale = 1.0507009873554804934193349852946;
  return at_call([&] { return scale * elu(x, alpha); });
}
Tensor GELU::forward(const Tensor& x) {
  return at_call([&] { return gelu(x, approximate_); });
}
Tensor ReLU::forward(const Tensor& x) {
  return at_call([&] { return relu(x); });
}
Tensor ReLU6::forward(const Tensor& x) {
  return at_call([&] { return clamp(x, 0, 6); });
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
  return at_call([&] { return select(greater(x, threshold_), x, value_); });
}
Tensor Hardtanh::forward(const Tensor& x) {
  return at_call([&] { return clamp(x, low_, high_); });
}
Tensor Hardsigmoid::forward(const Tensor& x) {
  return at_call([&] { return clamp(x + 3, 0, 6) / 6; });
}
Tensor Hardswish::forward(const Tensor& x) {
  return at_call([&] { return x * clamp(x + 3, 0, 6) / 6; });
}
Tensor Hardshrink::forward(const Tensor& x) {
  return at_call([&] { return select(greater(abs(x), lambda_), x, 0); });
}
Tensor Softshrink::forward(const Tensor& x) {
  return at_call([&] { return select(greater(x, lambda_), x - lambda_, select(less(x, -lambda_), x + lambda_, 0)); });
}
Tensor Tanhshrink::forward(const Tensor& x) {
  return at_call([&] { return x - tanh(x); });
}
Tensor Tanh::forward(const Tensor& x) {
  return at_call([&] { return tanh(x); });
}
Tensor Sigmoid::forward(const Tensor& x) {
  return at_call([&] { return sigmoid(x); });
}
Tensor LogSigmoid::forward(const Tensor& x) {
  return at_call([&] { return -softplus(-x); });
}
Tensor SiLU::forward(const Tensor& x) {
  return at_call([&] { return silu(x); });
}
Tensor Mish::forward(const Tensor& x) {
  return at_call([&] { return x * tanh(softplus(x)); });
}
Tensor Softplus::forward(const Tensor& x) {
  return at_call([&] { return beta_ == 1 ? softplus(x) : softplus(beta_ * x) / beta_; });
}
Tensor Softsign::forward(const Tensor& x) {
  return at_call([&] { return x / (1 + abs(x)); });
}

Tensor GLU::forward(const Tensor& x) {
  return at_call([&] {
    const auto rank = static_cast<std::int64_t>(x.rank());
    if (axis_ < -rank || axis_ >= rank)
      detail::fail(ErrorCode::invalid_argument, fmt::format("GLU: there is no axis {} in {}", axis_, to_string(x)), "choose another axis");
    const auto axis = static_cast<std::size_t>(axis_ < 0 ? axis_ + rank : axis_);
    const Dim extent = x.dims()[axis];
    if (!(extent % 2 == Dim(0)))
      detail::fail(ErrorCode::shape_mismatch, fmt::format("GLU: the input is {}, but its dim {} must be even", to_string(x), axis),
                   "the halves of that dim are the values and their gates; a symbolic extent needs {.multiple_of = 2}");
    std::vector<Dim> starts(x.rank(), Dim(0)), limits(x.dims().begin(), x.dims().end());
    limits[axis] = extent / 2;
    const Tensor values = slice(x, starts, limits);
    starts[axis] = limits[axis];
    limits[axis] = extent;
    return values * sigmoid(slice(x, starts, limits));
  });
}

Tensor Softmax::forward(const Tensor& x) {
  return at_call([&] { return softmax(x, axis_); });
}
Tensor Softmin::forward(const Tensor& x) {
  return at_call([&] { return softmax(-x, axis_); });
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
    Tensor slope = parameter(graph, "weight", constant(x.dtype(), {count_}, initial_));
    std::vector<Dim> dims(x.rank() > 1 ? x.rank() - 1 : x.rank(), Dim(1));
    if (!dims.empty()) dims[0] = Dim(count_);
    if (count_ == 1 && x.rank() == 0) dims.clear();
    slope = reshape(slope, dims);
    return select(greater(x, 0), x, slope * x);
  });
}

}  // namespace kiln::nn

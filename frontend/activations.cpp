// Activation functions (kiln/activations.h) in primitives.
//
// A derived gradient is kept where it is as accurate as the function. Three functions state their own: softplus, whose formula is not
// smooth at 0; softsign and tanhshrink, whose derived gradients are differences of nearly equal numbers.
#include "kiln/activations.h"

#include <fmt/format.h>

#include "frontend/composite.h"
#include "frontend/wide.h"
#include "kiln/gradients.h"
#include "kiln/operators.h"

namespace kiln {

using namespace detail;

namespace {

/// x limited to low..high; at the bounds the gradient goes to the bounds, so to nobody.
Tensor limited(const Tensor& x, double low, double high) { return minimum(high, maximum(low, x)); }

Tensor elu_of(const Tensor& x, double alpha) { return select(greater(x, 0), x, alpha * expm1(minimum(x, 0))); }

/// The halves of an axis.
struct Halves {
  Tensor first, second;
};
Halves halves(const Composite& of, const Tensor& x, std::int64_t given_axis) {
  of.require_rank(x, 1, "what is cut in halves", "give it an axis: expand_dims()");
  const auto axis = static_cast<std::size_t>(of.axis(given_axis, x));
  const Dim extent = x.dim(static_cast<std::int64_t>(axis));
  if (!(extent % 2 == Dim(0)))
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("cuts an axis in halves, but the extent of axis {} of {} is not known to be even", axis, to_string(x)),
            "a symbolic extent needs {.multiple_of = 2}");
  const Dims dims = x.dims();
  std::vector<Dim> starts(x.rank(), Dim(0)), limits(dims.begin(), dims.end());
  limits[axis] = extent / 2;
  const Tensor first = slice(x, starts, limits);
  starts[axis] = limits[axis];
  limits[axis] = extent;
  return {first, slice(x, starts, limits)};
}

/// gate(first, second) of the halves.
Tensor gated(const Operand& x, std::int64_t axis, const char* name, Tensor (*gate)(const Tensor& a, const Tensor& b)) {
  Composite of({&x}, name);
  const Tensor t = of.tensor(x);
  of.require_floating(t);
  const Halves parts = halves(of, t, axis);
  return in_wide(parts.first, [&](const Tensor& a) { return gate(a, convert(parts.second, a.dtype())); });
}

}  // namespace

Tensor relu6(const Operand& x) {
  return element_function(x, "relu6", [](const Tensor& t) { return limited(t, 0, 6); });
}

Tensor hardtanh(const Operand& x, double low, double high) {
  return element_function(x, "hardtanh", [&](const Tensor& t) { return limited(t, low, high); });
}

Tensor hardsigmoid(const Operand& x, double slope, double offset) {
  return element_function(x, "hardsigmoid", [&](const Tensor& t) { return limited(slope * t + offset, 0, 1); });
}

Tensor hardswish(const Operand& x) {
  return element_function(x, "hardswish", [](const Tensor& t) { return t * limited(t + 3, 0, 6) / 6; });
}

Tensor selu(const Operand& x) {
  constexpr double alpha = 1.6732632423543772848170429916717, scale = 1.0507009873554804934193349852946;
  return element_function(x, "selu", [&](const Tensor& t) { return scale * elu_of(t, alpha); });
}

Tensor celu(const Operand& x, double alpha) {
  Composite of({&x}, "celu");
  of.require(alpha != 0, "alpha is 0", "use relu() where nothing is to pass below 0");
  return element_function(x, "celu", [&](const Tensor& t) { return select(greater(t, 0), t, alpha * expm1(minimum(t, 0) / alpha)); });
}

Tensor softplus(const Operand& x, double beta) {
  Composite of({&x}, "softplus");
  of.require(beta != 0, "beta is 0", "use relu() for the limit of large beta");
  return element_function(x, "softplus",
                          [&](const Tensor& t) { return beta == 1 ? stable_softplus(t) : stable_softplus(beta * t) / beta; });
}

Tensor logsigmoid(const Operand& x) {
  return element_function(x, "logsigmoid", [](const Tensor& t) { return -stable_softplus(-t); });
}

Tensor mish(const Operand& x) {
  return element_function(x, "mish", [](const Tensor& t) { return t * tanh(stable_softplus(t)); });
}

Tensor swish(const Operand& x, double beta) {
  return element_function(x, "swish", [&](const Tensor& t) { return t * sigmoid(beta * t); });
}

Tensor softsign(const Operand& x) {
  return element_function(x, "softsign", [](const Tensor& t) {
    return with_derivative(
        t, "softsign", [](const Tensor& v) { return v / (1 + abs(v)); },
        [](const Tensor& v, const Tensor&) { return reciprocal(square(1 + abs(v))); });
  });
}

Tensor tanhshrink(const Operand& x) {
  return element_function(x, "tanhshrink", [](const Tensor& t) {
    return with_derivative(
        t, "tanhshrink", [](const Tensor& v) { return v - tanh(v); }, [](const Tensor& v, const Tensor&) { return square(tanh(v)); });
  });
}

Tensor softshrink(const Operand& x, double lambda) {
  return element_function(x, "softshrink", [&](const Tensor& t) {
    return select(greater(t, lambda), t - lambda, select(less(t, -lambda), t + lambda, zeros_like(t)));
  });
}

Tensor hardshrink(const Operand& x, double lambda) {
  return element_function(x, "hardshrink", [&](const Tensor& t) { return select(greater(abs(t), lambda), t, 0); });
}

Tensor threshold(const Operand& x, double threshold, double value) {
  return element_function(x, "threshold", [&](const Tensor& t) { return select(greater(t, threshold), t, value); });
}

Tensor thresholded_relu(const Operand& x, double alpha) {
  return element_function(x, "thresholded_relu", [&](const Tensor& t) { return select(greater(t, alpha), t, 0); });
}

Tensor shrink(const Operand& x, double lambda, double bias) {
  return element_function(x, "shrink",
                          [&](const Tensor& t) { return select(less(t, -lambda), t + bias, select(greater(t, lambda), t - bias, 0)); });
}

Tensor prelu(const Operand& x, const Operand& slope, std::int64_t axis) {
  if (!slope.is_tensor())
    return element_function(x, "prelu", [&](const Tensor& t) { return select(greater(t, 0), t, slope.scalar() * t); });
  Composite of({&x, &slope}, "prelu");
  const Tensor t = of.tensor(x);
  Tensor weight = of.tensor(slope);
  of.require_floating(t);
  if (weight.rank() == 1 && t.rank() > 1) weight = along(weight, of.axis(axis, t), t.rank());
  return in_wide(t, [&](const Tensor& v) { return select(greater(v, 0), v, convert(weight, v.dtype()) * v); });
}

Tensor glu(const Operand& x, std::int64_t axis) {
  return gated(x, axis, "glu", [](const Tensor& a, const Tensor& b) { return a * sigmoid(b); });
}

Tensor swiglu(const Operand& x, std::int64_t axis) {
  return gated(x, axis, "swiglu", [](const Tensor& a, const Tensor& b) { return silu(a) * b; });
}

Tensor geglu(const Operand& x, std::int64_t axis) {
  return gated(x, axis, "geglu", [](const Tensor& a, const Tensor& b) { return gelu(a) * b; });
}

}  // namespace kiln

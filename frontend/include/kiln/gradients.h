// Derivatives, as part of the graph.
//
// gradients() is reverse mode; everything else here is made of it, and may be nested and differentiated again like any other tensor.
#pragma once

#include <functional>

#include "kiln/graph.h"

namespace kiln {

/// d loss / d w for each w: tensors of w's dtype and dims. `loss` is a floating scalar; with `grad_output`, a tensor of loss's type, loss
/// may have any shape, and the result is the vector-Jacobian product. May be nested, for higher derivatives.
///
/// Checked here, with the caller's line: a loss that is no scalar or no float, a w that is no float, that the loss does not depend on, or
/// that it depends on only through an operation without derivative (named with its line and the path to it).
std::vector<Tensor> gradients(const Tensor& loss, std::initializer_list<Tensor> with_respect_to, const Tensor& grad_output = {},
                              std::source_location location = std::source_location::current());
std::vector<Tensor> gradients(const Tensor& loss, std::span<const Tensor> with_respect_to, const Tensor& grad_output = {},
                              std::source_location location = std::source_location::current());
std::vector<Tensor> gradients(const Tensor& loss, std::span<const Variable> with_respect_to, const Tensor& grad_output = {},
                              std::source_location location = std::source_location::current());

struct GradientsOptions {
  /// A cotangent for each y, of its dtype and dims; empty: the ys are scalars, and each counts once.
  std::vector<Tensor> grad_outputs = {};
  /// Zeros for an x that no y depends on, in place of an error.
  bool unconnected_zeros = false;
};
/// The gradients of several tensors at once: for each x the sum over the ys of their vector-Jacobian products.
///   std::vector<Tensor> g = gradients({loss, penalty}, {w, x}, {.unconnected_zeros = true});
std::vector<Tensor> gradients(std::initializer_list<Tensor> ys, std::initializer_list<Tensor> xs, const GradientsOptions& options = {},
                              std::source_location location = std::source_location::current());
std::vector<Tensor> gradients(std::initializer_list<Tensor> ys, std::span<const Tensor> xs, const GradientsOptions& options = {},
                              std::source_location location = std::source_location::current());
std::vector<Tensor> gradients(std::initializer_list<Tensor> ys, std::span<const Variable> xs, const GradientsOptions& options = {},
                              std::source_location location = std::source_location::current());
std::vector<Tensor> gradients(std::span<const Tensor> ys, std::span<const Tensor> xs, const GradientsOptions& options = {},
                              std::source_location location = std::source_location::current());

/// Builds results from inputs; what the functions below differentiate. Called once, but by jacobian() and hessian(), twice.
using DifferentiableFunction = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)>;
using ScalarFunction = std::function<Tensor(const std::vector<Tensor>& inputs)>;

/// Values of a function and what goes with each: directional derivatives, or the inputs' cotangents.
struct Derivatives {
  std::vector<Tensor> values;
  std::vector<Tensor> derivatives;
};

/// f(inputs), and for each input the vector-Jacobian product with the cotangents, one for each value.
///   auto [y, dx] = vjp([](auto& in) { return std::vector{sin(in[0])}; }, {x}, {v});     // dx = v * cos(x)
Derivatives vjp(const DifferentiableFunction& f, const std::vector<Tensor>& inputs, const std::vector<Tensor>& cotangents,
                std::source_location location = std::source_location::current());

/// f(inputs), and for each value the Jacobian-vector product with the tangents, one for each input: the derivative along a direction. Zeros
/// where a value depends on no input. Made of two reverse passes (the vector-Jacobian product is linear in its vector, and its derivative
/// is the product the other way: Townsend, "A new trick for calculating Jacobian vector products", 2017), of which simplification leaves
/// what forward mode computes.
///   auto [y, dy] = jvp([](auto& in) { return std::vector{sin(in[0])}; }, {x}, {v});     // dy = cos(x) * v
Derivatives jvp(const DifferentiableFunction& f, const std::vector<Tensor>& inputs, const std::vector<Tensor>& tangents,
                std::source_location location = std::source_location::current());
/// The same for tensors that are there already.
std::vector<Tensor> jvp(const std::vector<Tensor>& ys, const std::vector<Tensor>& xs, const std::vector<Tensor>& tangents,
                        std::source_location location = std::source_location::current());

/// The value of a scalar function, and its gradient for each input.
Derivatives value_and_gradients(const ScalarFunction& f, const std::vector<Tensor>& inputs,
                                std::source_location location = std::source_location::current());

/// d f(x) / d x, with the dims of f(x) followed by those of x. One row after the other, in a loop, so memory holds one row's intermediate
/// values; what does not depend on the row is computed once.
///   Tensor j = jacobian([&](const Tensor& x) { return tanh(matmul(x, w)); }, x);        // x: [n], w: [n, m] -> [m, n]
Tensor jacobian(const std::function<Tensor(const Tensor&)>& f, const Tensor& x,
                std::source_location location = std::source_location::current());
/// The second derivatives of a scalar function: the dims of x twice.
Tensor hessian(const std::function<Tensor(const Tensor&)>& f, const Tensor& x,
               std::source_location location = std::source_location::current());
/// The product of a scalar function's Hessian with vectors, one for each input and of its dims, without the Hessian: the gradient of
/// gradient . vectors.
std::vector<Tensor> hessian_vector_product(const ScalarFunction& f, const std::vector<Tensor>& inputs, const std::vector<Tensor>& vectors,
                                           std::source_location location = std::source_location::current());

/// Builds the results from the inputs.
using ForwardFunction = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)>;
/// Builds the cotangents of the floating inputs, in order, from the inputs, the results and the results' cotangents.
using BackwardFunction = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs, const std::vector<Tensor>& results,
                                                           const std::vector<Tensor>& cotangents)>;

/// An operation with the user's own derivative: `forward` says what it computes, `backward` is its vector-Jacobian product. Both are called
/// once and see their arguments; floating tensors from outside must come in as inputs.
///   Tensor y = custom_gradient({x}, [](auto& in) { return std::vector{maximum(0, in[0])}; },
///                              [](auto& in, auto&, auto& grad) { return std::vector{select(greater(in[0], 0), grad[0], 0)}; })[0];
std::vector<Tensor> custom_gradient(const std::vector<Tensor>& inputs, const ForwardFunction& forward, const BackwardFunction& backward,
                                    const std::string& name = "custom_gradient",
                                    std::source_location location = std::source_location::current());

}  // namespace kiln

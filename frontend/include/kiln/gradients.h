// Gradients of a scalar by reverse mode, as part of the graph.
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

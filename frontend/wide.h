// Composites of one floating tensor: the dtype that they compute in, and their derivatives.
#pragma once

#include <functional>

#include "frontend/composite.h"

namespace kiln::detail {

using TensorFunction = std::function<Tensor(const Tensor&)>;

/// f(x), with f16 and bf16 computed in f32 and rounded once.
Tensor in_wide(const Tensor& x, const TensorFunction& f);
/// f(x) computed in f64 and rounded once: for functions whose algorithm is stated for f64 alone.
Tensor in_double(const Tensor& x, const TensorFunction& f);

/// A public function of one floating tensor: checks it, opens the location scope, computes in_wide().
Tensor element_function(const Operand& x, const char* name, const TensorFunction& f);
/// The same in_double().
Tensor precise_function(const Operand& x, const char* name, const TensorFunction& f);

/// forward(x) as a function that knows its own derivative, given x and the result: a formula better than the derived one.
Tensor with_derivative(const Tensor& x, const char* name, const TensorFunction& forward,
                       const std::function<Tensor(const Tensor& x, const Tensor& result)>& derivative);

/// c[0] + c[1] x + c[2] x^2 ... by Horner's rule.
Tensor polynomial(std::span<const double> c, const Tensor& x);

}  // namespace kiln::detail

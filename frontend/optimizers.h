// What the files of optimizers share.
#pragma once

#include "kiln/optimizers.h"

namespace kiln::detail {

/// Error(invalid_argument) unless value >= 0.
void require_positive(const char* optimizer, const char* name, double value, const Location& where);
/// gradient + weight_decay * parameter
Tensor decayed(const Tensor& gradient, const Variable& parameter, double weight_decay);
/// The shape of a variable, which has no symbols.
Shape constant_shape(const Variable& variable);
/// A variable that is not trained, under this name or, where that is taken, NAME.1, NAME.2 ...
Variable make_state(Graph& graph, const std::string& name, const Initializer& initial);

}  // namespace kiln::detail

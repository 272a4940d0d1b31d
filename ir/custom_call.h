// The attributes of `custom_call`: a call of a user's function, known by name (ir/ops/custom_call.cpp).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace kiln::ir {

/// For a call of `name` that yields tensors of these types. `ordinal` tells the calls of a graph apart.
Attributes custom_call_attributes(const std::string& name, std::int64_t ordinal, std::span<const Type> results);

/// The types of the results. Throws Error(invalid_argument) when the attributes contradict each other.
std::vector<Type> custom_call_results(const Attributes& attributes);

}  // namespace kiln::ir

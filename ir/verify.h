// The invariants of tensor IR. They are numbered in verify.cpp, and messages cite the numbers.
#pragma once

#include <optional>
#include <string>

#include "ir/graph.h"

namespace kiln::ir {

struct Violation {
  int invariant = 0;             ///< its number in verify.cpp
  GraphId graph = none;          ///< where, if it is in a graph
  NodeId node = none;            ///< and at a node
  std::string message;           ///< what is wrong, without the place
};

/// The first broken invariant, in the order of the numbers within each graph.
std::optional<Violation> find_violation(const Module& module, ModuleRole role = ModuleRole::run);

/// Throws InternalError that names the invariant, the node and the graph when the module breaks one.
void verify(const Module& module, ModuleRole role = ModuleRole::run);

}  // namespace kiln::ir

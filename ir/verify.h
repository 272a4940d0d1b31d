// The invariants of tensor IR. They are numbered in verify.cpp, and messages cite the numbers.
#pragma once

#include "ir/graph.h"

namespace kiln::ir {

/// Throws InternalError that names the invariant, the node and the graph when the module breaks one.
void verify(const Module& module);

}  // namespace kiln::ir

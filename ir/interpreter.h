// Reference interpreter of tensor IR: evaluates nodes one by one with the operator table's `evaluate`. Naive on purpose, never optimised.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace kiln::ir {

struct RunResult {
  std::vector<Array> results;               ///< of the main graph
  std::map<std::string, Array> assigned;    ///< new values of variables
};

/// Runs the main graph. `inputs` in the order of its parameters; symbols are bound from their shapes (Error(invalid_feed) on conflict).
/// Handles every module that verifies and holds no `gradients` node: kernels and composites run their bodies, loops run.
RunResult interpret(const Module& module, const std::vector<Array>& inputs, const std::map<std::string, Array>& variables);

}  // namespace kiln::ir

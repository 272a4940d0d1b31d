// Reference interpreter of tensor IR: evaluates nodes one by one with the operator table's `evaluate`. Naive on purpose, never optimised.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace kiln::ir {

struct RunResult {
  std::vector<Array> results;               ///< of the main graph
  std::map<std::string, Array> assigned;    ///< new values of variables
};

/// What a run asks of whoever started it.
struct InterpretHooks {
  /// The results of a custom_call, with these types. Absent: such a module cannot be run.
  std::function<std::vector<Array>(const Graph& graph, NodeId node, std::span<const Array> operands, std::span<const Shape> result_shapes)>
      custom_call;
  /// Shows the operand of a print. Absent: nothing is shown.
  std::function<void(const Graph& graph, NodeId node, const Array& value)> print;
  /// Called before every iteration of a loop; may throw to end the run.
  std::function<void()> poll;
  /// Called when a shrink gives its symbol a value.
  std::function<void(const std::string& symbol, std::int64_t value)> produced;
};

/// Runs the main graph. `inputs` in the order of its parameters; symbols are bound from their shapes (Error(invalid_feed) on conflict).
/// Handles every module that verifies and holds no `gradients` node: kernels and composites run their bodies, loops run.
RunResult interpret(const Module& module, const std::vector<Array>& inputs, const std::map<std::string, Array>& variables,
                    const InterpretHooks& hooks = {});

}  // namespace kiln::ir

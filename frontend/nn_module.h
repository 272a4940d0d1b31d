// What the files of kiln/nn share: the innermost call of a module on this thread, and the changes of running statistics.
#pragma once

#include <vector>

#include "frontend/state.h"
#include "kiln/nn/module.h"

namespace kiln::nn::detail {

/// Where the innermost module is called, and how.
const Location& call_location();
bool call_trains();

/// A tensor's dims, to make others of.
std::vector<Dim> extents(const Tensor& tensor);
/// The graph that a tensor belongs to.
Graph graph_of(const Tensor& tensor);

/// Applies functions of the library at the line where the module was called.
template <class Function>
auto at_call(Function function) {
  kiln::detail::LocationScope scope(call_location());
  return function();
}

/// Error(shape_mismatch) or Error(dtype_mismatch) with the call's line.
[[noreturn]] void fail(ErrorCode code, const std::string& message, const std::string& hint);
/// The input of the module `name` must be floating, and its dim `axis` (negative: from the back) must be `extent`; `what` names the
/// module's argument that says so.
void require_input(const char* name, const Tensor& input, std::int64_t axis, std::int64_t extent, const char* what);

/// x W^T of a weight [out, in]: [..., in] -> [..., out].
Tensor times_transposed(const char* name, const Tensor& x, const Tensor& weight);

}  // namespace kiln::nn::detail

namespace kiln::detail {

/// Which values of the main graph this one is computed from, itself included.
std::vector<bool> ancestors(const GraphState& state, ir::ValueId value);
/// The assigns of the noted changes whose calls' results are `reached`, one for each variable.
std::vector<Operation> state_updates(GraphState& state, const std::vector<bool>& reached);

}  // namespace kiln::detail

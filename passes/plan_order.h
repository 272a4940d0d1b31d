// The order of a program's statements, and which kernels run last: the part of planning that decides about variables. Inside passes/ only.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "ir/loop.h"

namespace kiln::passes {

/// Ops whose result is their operand's memory; an assign's result is its new value.
bool is_alias(ir::Op op);
/// Ops that write their results wherever they are told to; those of others have a place already.
bool writes_results(ir::Op op);
/// Operands that running the node reads: none of an alias, but for the value of an assign and the count of a shrink.
std::span<const ir::ValueId> read_operands(const ir::Node& node);
/// The value whose memory `v` is.
ir::ValueId root_of(const ir::Graph& graph, ir::ValueId v);

/// What is decided about `main` before any statement is made.
struct MainPlan {
  std::vector<ir::NodeId> order;     ///< nodes before the tail
  std::vector<ir::NodeId> tail;      ///< kernels that change variables, in order
  std::set<std::uint32_t> shadowed;  ///< variables (indices in the module) that are double-buffered
};

/// The lowered body of a kernel node.
using KernelFunction = std::function<const ir::Kernel&(ir::GraphId)>;

MainPlan plan_order(const ir::Module& module, KernelFunction kernel);

}  // namespace kiln::passes

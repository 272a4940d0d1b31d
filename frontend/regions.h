// Regions of nodes: what cond, loops, checkpoint and custom_gradient share.
//
// A region's graph is isolated in the IR, so everything that a body captures becomes a parameter of it and an operand of the node. The
// regions of one node have the same parameters: what only one of them captures is an unused parameter of the other.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "frontend/state.h"

namespace kiln::detail {

/// What several regions of one node capture, each value once, in order.
std::vector<ir::ValueId> all_captures(std::initializer_list<const Region*> regions);

/// The region's parameter for a captured value; an unused one where the region does not capture it.
ir::ValueId capture_parameter(ir::Module& module, const Region& region, const ir::Graph& enclosing, ir::ValueId outer);

/// Opens a region with a parameter for each type, calls `build` on them, and closes it over the results. `iteration`, where given, receives
/// the parameter that counts iterations, if something in the body asks for it.
Region build_region(GraphState& state, const std::string& name, const char* kind, const char* op, const Location& where,
                    std::span<const ir::Type> types, std::span<const std::string> names, ir::ValueId* iteration,
                    const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& build);

std::vector<ir::Type> result_types(const GraphState& state, const Region& region);
/// "(f32[2], i64[])".
std::string types_text(std::span<const ir::Type> types);
/// dtype_mismatch where a dtype differs, else shape_mismatch.
ErrorCode mismatch_code(std::span<const ir::Type> a, std::span<const ir::Type> b);
/// The first `count` values as tensors.
std::vector<Tensor> wrap_all(Emitter& emitter, const std::vector<ir::ValueId>& values, std::size_t count);
/// The u64 scalar that counts iterations.
ir::Type counter_type();

/// One loop body, or condition, whose parameters are being put in order.
struct LoopRegion {
  const Region* region;
  ir::ValueId* counter;  ///< its iteration counter; none: not asked for
};
/// Completes the regions of a loop, the body last: the parameters become the first `declared` ones with, after the first `carried`, the
/// iteration counter where a region asks for it; then what the regions capture. The body's results receive the next count. Appends to
/// `operands` likewise. True when the loop counts.
bool finish_loop_regions(Emitter& emitter, std::span<const LoopRegion> regions, std::size_t carried, std::size_t declared,
                         std::vector<ir::ValueId>& operands);

}  // namespace kiln::detail

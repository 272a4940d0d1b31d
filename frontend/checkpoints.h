// Loops as nodes, plain and with checkpoints: what control.cpp and scan.cpp share.
//
// A loop with a checkpoint every k iterations is a loop over chunks, each a call that is recomputed around a loop of k iterations. So the
// gradient of the outer loop keeps what enters each chunk, and the gradient of a chunk runs its iterations again, keeping what they need.
#pragma once

#include <optional>
#include <vector>

#include "frontend/state.h"

namespace kiln::detail {

struct WhileParts {
  ir::GraphId condition = ir::none, body = ir::none;
  std::size_t carried = 0;
  std::optional<std::int64_t> max_trip_count;
};
/// The last carried values.
std::vector<ir::ValueId> emit_while(ir::Builder& builder, const WhileParts& loop, std::vector<ir::ValueId> operands);
std::vector<ir::ValueId> emit_checkpointed_while(Emitter& emitter, const WhileParts& loop, std::vector<ir::ValueId> operands,
                                                 std::int64_t every);

struct ScanParts {
  ir::GraphId body = ir::none;
  std::size_t carried = 0, sequences = 0;
  ir::Dim length;
  bool reverse = false;
};
/// The last carried values, then the stacked outputs.
std::vector<ir::ValueId> emit_scan(ir::Builder& builder, const ScanParts& scan, std::vector<ir::ValueId> operands);
std::vector<ir::ValueId> emit_checkpointed_scan(Emitter& emitter, const ScanParts& scan, const std::vector<ir::ValueId>& operands,
                                                std::int64_t every);

/// The k that checkpoint_every stands for; 0: none. `length`: the number of iterations, or its bound, or -1.
std::int64_t checkpoint_distance(const Emitter& emitter, std::int64_t every, const ir::Dim& length);

}  // namespace kiln::detail

// Less memory by computing parts of the forward pass twice.
//
// A training step keeps what the forward pass computed until the backward pass has used it. A *segment* of the forward pass that is a call
// marked `recompute` (what kiln::checkpoint makes) keeps only what others read of it; its gradient computes the rest again, just before it
// is needed. The pass cuts the forward pass of `main` into segments and makes such calls of some of them; which ones the pipeline decides,
// by planning the memory of the program that comes of it.
//
// Results do not change: the same operations run on the same values, random draws (which are functions of their operands) included. The one
// freedom is the order in which a gradient's contributions are added, where a value is read by several operations of a segment and by
// others outside: those inside are added first.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace kiln::passes {

/// Values of symbols, for the sizes that choices are made by; for others the typical one.
using SymbolValues = std::map<std::string, std::int64_t>;

/// Consecutive nodes of the forward pass.
struct Segment {
  std::vector<ir::NodeId> nodes;  ///< of main, in order
  double saved_bytes = 0;         ///< what need not be kept when the segment is computed again
  double operations = 0;          ///< arithmetic of computing it again
  bool follows = false;           ///< the segment before it ends where it begins
};

struct ForwardPass {
  std::vector<Segment> segments;      ///< as fine as cutting makes sense, in order; not all nodes are in one
  std::vector<std::size_t> by_worth;  ///< those that save memory: most bytes per operation first, among equals the earliest
  double operations = 0;              ///< of one run without recomputation: forward, backward and the rest
};

/// Cuts what `gradients` nodes of main differentiate where little is handed on: at the boundaries of layers. A segment holds nothing that
/// must happen once (checks, functions of the user, produced extents) and no value that a gradient is taken with respect to. `module` has
/// its gradients nodes still.
ForwardPass find_segments(const ir::Module& module, const SymbolValues& symbols);

/// Makes a call that is computed again of each group of nodes: consecutive segments, or several of them.
void recompute(ir::Module& module, std::span<const std::vector<ir::NodeId>> groups);

/// The pass by itself, for looking at what it does: computes every segment again. True when there was one.
bool limit_memory(ir::Module& module);

}  // namespace kiln::passes

// The pipeline: every pass in the order in which it runs, with what holds from there on. How a pass is run is the gate's business (gate.h).
#include <fmt/format.h>

#include <algorithm>

#include "passes/gate.h"
#include "passes/pipeline_memory.h"

namespace kiln::passes {

using namespace ir;

/// Rounds of the simplification group. Most graphs need two and a third that finds nothing; the bound is for passes that undo each other.
constexpr int max_rounds = 8;

PipelineResult run_pipeline(Module module, const PipelineOptions& options) {
  PipelineResult result;
  Gate gate{options, result};
  if (const std::vector<std::string> names = pass_names();
      !options.stop_after.empty() && std::find(names.begin(), names.end(), options.stop_after) == names.end())
    throw Error(ErrorCode::invalid_argument, fmt::format("there is no stage named \"{}\"", options.stop_after), {},
                fmt::format("the stages are {}", fmt::join(names, ", ")));
  enter(gate, module);

  // Nothing but what the run needs: gradients that nobody fetches are not even derived.
  run_pass(gate, dead_code, module);

  // Parts of the forward pass that are to be computed again, where a limit of memory demands it. From here on only the programs that were
  // planned to decide that would differ.
  const MemoryPlan memory = meet_limit(gate, module);
  if (stops(gate, forward_segments, module)) return result;

  // Derivatives in primitives. No rewriting comes before: it could merge values that a user differentiates separately. From here on there
  // are no gradients nodes, and every value may be rewritten.
  run_pass(gate, gradients, module);
  if (stops(gate, gradients, module)) return result;

  // Without the parts of the derivatives that nothing uses: cotangents of data, values that a loop would carry for nobody.
  run_pass(gate, dead_code, module);

  // One flat graph per loop body, branch and main. From here on only kernels, loops and branches hold regions.
  run_pass(gate, inlining, module);
  if (stops(gate, inlining, module)) return result;

  // From here on what must be finite is said by plain checks.
  run_pass(gate, finite_checks, module);
  if (stops(gate, finite_checks, module)) return result;

  // From here on a loop is a while_loop, and only loops without a bound have tapes.
  run_pass(gate, scan_lowering, module);
  if (stops(gate, scan_lowering, module)) return result;
  run_pass(gate, bound_lowering, module);
  if (stops(gate, bound_lowering, module)) return result;

  // One form per meaning, and less of it. Each pass makes work for the others, so they repeat until none finds any. All of them keep every
  // bit.
  bool changed = true;
  for (int round = 0; changed && round < max_rounds; ++round) {
    changed = run_pass(gate, canonical, module);        // equal meanings look equal: the rules below know one form only
    changed |= run_pass(gate, folding, module);         // what depends on constants alone is a constant
    changed |= run_pass(gate, algebra, module);         // algebra by family: arithmetic, shapes, contractions
    changed |= run_pass(gate, loop_algebra, module);    // loops carry and repeat no more than they must
    changed |= run_pass(gate, branch_algebra, module);  // no branch where there is no choice
    changed |= run_pass(gate, merging, module);         // no value is computed twice
  }
  for (const Pass& pass : {canonical, folding, algebra, loop_algebra, branch_algebra, merging})
    if (stops(gate, pass, module)) return result;

  // The graph as the user would have written it with all the time in the world.
  run_pass(gate, dead_code, module);
  if (stops(gate, dead_code, module)) return result;

  // From here on every computation is inside a kernel node, which becomes one trip through memory.
  run_pass(gate, fusion, module);
  if (stops(gate, fusion, module)) return result;

  // Kernels as loops, statements in order, every buffer at its place in memory: what code generation reads.
  run_planning(gate, module, memory);
  return result;
}

}  // namespace kiln::passes

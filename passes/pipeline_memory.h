// How the pipeline keeps a limit of memory (the theory is in limit_memory.h). Inside of run_pipeline.
#pragma once

#include "passes/gate.h"

namespace kiln::passes {

/// Makes calls that are computed again of as few parts of the forward pass as the limit allows; does nothing without a limit, or where the
/// program fits. What the program needs is found by running the rest of the pipeline, up to code generation, on copies of the module.
/// Throws Error(out_of_memory) with the figures when the least possible is too much, unless the request says that it may be. The plan's
/// locations are the module's.
ir::MemoryPlan meet_limit(Gate& gate, ir::Module& module);

/// Puts the plan into the program, whose table of locations is its own.
void add_memory(ir::Program& program, const ir::Module& module, ir::MemoryPlan memory);

}  // namespace kiln::passes

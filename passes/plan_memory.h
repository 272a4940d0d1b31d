// The arena: which buffers share memory.
#pragma once

#include "ir/program.h"

namespace kiln::passes {

/// Gives every arena buffer an offset, a multiple of 64, and the program its arena_bytes. Buffers that are alive at the same time do not
/// overlap, for any values of the symbols.
void plan_memory(ir::Program& program);

}  // namespace kiln::passes

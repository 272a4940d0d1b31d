// The arena: which buffers share memory.
#pragma once

#include "ir/program.h"

namespace kiln::passes {

/// Gives every arena buffer an offset, and the program its arena_bytes. Two buffers share a slot only when their live ranges do not meet
/// and the slot's size is at least the buffer's for all values of the symbols. Offsets are prefix sums of the slots' sizes, multiples
/// of 64.
void plan_memory(ir::Program& program);

}  // namespace kiln::passes

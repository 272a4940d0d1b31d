// Moving constants and invariant values out of serial loops. Inside passes/ only.
#pragma once

#include "ir/loop.h"

namespace kiln::passes {

/// Values that depend on nothing inside a serial or unrolled loop move in front of it, through all such loops, and equal constants in reach
/// of each other become one. Loads move when they read an input: schedules write only indices that are in bounds whether or not an inner
/// loop runs. Nothing moves out of a parallel loop (its iterations run as a function of their own) nor out of a branch.
void hoist_invariants(ir::Kernel& kernel);

}  // namespace kiln::passes

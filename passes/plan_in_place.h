// Which results of a kernel may share memory with one of its parameters: decided on its loops.
#pragma once

#include <optional>

#include "ir/loop.h"

namespace kiln::passes {

/// The parameter that an update kernel changes in place: its buffer is the kernel's one result. Nothing for other kernels.
std::optional<ir::BufferId> updated_parameter(const ir::Kernel& kernel);

/// May the kernel run with the input buffer `parameter` and the output buffer `result` on the same memory? Yes only where the loops show
/// it: see plan_in_place.cpp.
bool may_overwrite(const ir::Kernel& kernel, ir::BufferId parameter, ir::BufferId result);

}  // namespace kiln::passes

// A loop IR kernel tried out without its program.
#pragma once

#include <string>

#include "ir/loop.h"

namespace kiln::command {

/// Runs a kernel on random data in the interpreter, which checks bounds, races and reads of cells that nothing wrote; then with parallel
/// loops from last to first, which must give the same bits. Says in one line what was run; throws InternalError when a check fails.
std::string interpret_on_random_data(const ir::Kernel& kernel);

}  // namespace kiln::command

// Sort kernels.
#include "passes/lowering.h"

namespace kiln::passes {

ir::Kernel schedule_sort(Lowering&) { throw InternalError("lowering: sort kernels have no schedule"); }

}  // namespace kiln::passes

// Fold kernels.
#include "passes/lowering.h"

namespace kiln::passes {

ir::Kernel schedule_fold(Lowering&) { throw InternalError("lowering: fold kernels have no schedule"); }

}  // namespace kiln::passes

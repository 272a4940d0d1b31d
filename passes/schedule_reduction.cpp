// Reduction and row kernels.
#include "passes/lowering.h"

namespace kiln::passes {

ir::Kernel schedule_rows(Lowering& lowering) { throw InternalError("lowering: kernel @" + lowering.graph.name + " fits no schedule"); }

}  // namespace kiln::passes

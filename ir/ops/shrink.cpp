// Extents that a run produces.
#include "ir/ops/common.h"

namespace kiln::ir {

template <>
constinit const OpInfo OpEntry<Op::shrink>::info = {.name = "shrink"};

}  // namespace kiln::ir

// Slices at many computed places.
#include "ir/ops/common.h"

namespace kiln::ir {

template <>
constinit const OpInfo OpEntry<Op::gather>::info = {.name = "gather"};

}  // namespace kiln::ir

// Updates at many computed places.
#include "ir/ops/common.h"

namespace kiln::ir {

template <>
constinit const OpInfo OpEntry<Op::scatter>::info = {.name = "scatter"};

}  // namespace kiln::ir

// Order along a dim.
#include "ir/ops/common.h"

namespace kiln::ir {

template <>
constinit const OpInfo OpEntry<Op::argsort>::info = {.name = "argsort"};

}  // namespace kiln::ir

// Positions of extrema.
#include "ir/ops/common.h"

namespace kiln::ir {

template <>
constinit const OpInfo OpEntry<Op::arg_reduce>::info = {.name = "arg_reduce"};

}  // namespace kiln::ir

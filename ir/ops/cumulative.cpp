// Running folds along a dim.
#include "ir/ops/common.h"

namespace kiln::ir {

template <>
constinit const OpInfo OpEntry<Op::cumulative>::info = {.name = "cumulative"};

template <>
constinit const OpInfo OpEntry<Op::linear_recurrence>::info = {.name = "linear_recurrence"};

}  // namespace kiln::ir

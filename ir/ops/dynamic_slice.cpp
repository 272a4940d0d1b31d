// Slices at computed places.
#include "ir/ops/common.h"

namespace kiln::ir {

template <>
constinit const OpInfo OpEntry<Op::dynamic_slice>::info = {.name = "dynamic_slice"};

template <>
constinit const OpInfo OpEntry<Op::dynamic_update_slice>::info = {.name = "dynamic_update_slice"};

}  // namespace kiln::ir

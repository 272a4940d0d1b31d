// Looking at values during a run: print, check_finite.
#include "ir/ops/common.h"

namespace kiln::ir {

template <>
constinit const OpInfo OpEntry<Op::check_finite>::info = {.name = "check_finite"};

template <>
constinit const OpInfo OpEntry<Op::print>::info = {.name = "print"};

}  // namespace kiln::ir

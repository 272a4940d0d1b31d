// A loop over the slices of sequences.
#include "ir/ops/common.h"

namespace kiln::ir {

template <>
constinit const OpInfo OpEntry<Op::scan>::info = {.name = "scan"};

}  // namespace kiln::ir

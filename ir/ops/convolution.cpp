// Convolution.
#include "ir/ops/common.h"

namespace kiln::ir {

template <>
constinit const OpInfo OpEntry<Op::convolution>::info = {.name = "convolution"};

}  // namespace kiln::ir

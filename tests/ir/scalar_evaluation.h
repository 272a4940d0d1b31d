// Runs the lowering of one op (its scalar expressions) directly, one element at a time, without any schedule.
#pragma once

#include "kiln/array.h"
#include "tests/ir/op_cases.h"

namespace kiln::test {

/// Result `result` of the case as its entry's `element` or `structured` describes it, with shapes and indices symbolic: the expression is
/// made from Dims, which are evaluated at each element. Throws InternalError for a read out of bounds.
Array lowered(const OpCase& c, std::size_t result);

}  // namespace kiln::test

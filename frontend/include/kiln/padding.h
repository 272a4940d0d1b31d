// Padding with elements of the tensor itself. pad() with a constant is in kiln/operators.h.
#pragma once

#include "kiln/operators.h"

namespace kiln {

/// What stands beyond the ends of 1 2 3, by NumPy's names.
enum class PadMode : std::uint8_t {
  edge,       ///< 1 1 |1 2 3| 3 3   the last element again; PyTorch's and ONNX's "replicate", "edge"
  reflect,    ///< 3 2 |1 2 3| 2 1   mirrored at the last element
  symmetric,  ///< 2 1 |1 2 3| 3 2   mirrored behind the last element
  wrap,       ///< 2 3 |1 2 3| 1 2   from the other end; PyTorch's "circular"
};

/// `low` elements before and `high` after each axis, which come from the tensor as `mode` says; negative ones crop, before the rest is
/// padded. Amounts may exceed the extent: mirrors and copies repeat (numpy.pad). Any dtype. Extents may be symbols; one that is padded must
/// be known to be at least 1 after cropping.
///   pad(x, {0, 0, 1, 1}, {0, 0, 1, 1}, PadMode::reflect)   // f32[n, 3, 32, 32] -> f32[n, 3, 34, 34]
Tensor pad(const Operand& x, const Dims& low, const Dims& high, PadMode mode);

}  // namespace kiln

// Running folds along an axis: element t of the result is the fold of the elements up to t.
//
// The shape stays. f16 and bf16 are folded in f32. A fold is serial along its axis, in order, so that results do not depend on the number
// of threads; the other axes run in parallel. Negative axes count from the back.
#pragma once

#include "kiln/operators.h"

namespace kiln {

struct CumulativeOptions {
  bool exclusive = false;  ///< element t leaves itself out: the first one is the fold of nothing
  bool reverse = false;    ///< from the last element to the first
};

/// Sums and products of numbers; integers wrap. The gradient of a product divides by nothing, so zeros are harmless.
///   cumsum(x)                          // {1, 2, 3} -> {1, 3, 6}
///   cumsum(x, 0, {.exclusive = true})  // {1, 2, 3} -> {0, 1, 3}
Tensor cumsum(const Operand& x, std::int64_t axis = -1, const CumulativeOptions& options = {});
Tensor cumprod(const Operand& x, std::int64_t axis = -1, const CumulativeOptions& options = {});

struct RunningExtremum {
  Tensor values;
  Tensor indices;  ///< i64: the last position so far that attains it (PyTorch's rule)
};
/// The largest and the smallest number so far, and where it stands; NaN wins. The gradient goes to that place.
RunningExtremum cummax(const Operand& x, std::int64_t axis = -1);
RunningExtremum cummin(const Operand& x, std::int64_t axis = -1);

/// log(cumsum(exp(x))) without overflow, of floating tensors: sums are scaled by the largest element so far.
Tensor logcumsumexp(const Operand& x, std::int64_t axis = -1);

/// y[t] = a[t] * y[t-1] + b[t] along an axis, y before the first element 0: exponential smoothing, linear state-space models. a and b are
/// broadcast together.
///   linear_recurrence(0.9, 0.1 * x, 1)   // the exponential moving average, not corrected for its start
Tensor linear_recurrence(const Operand& a, const Operand& b, std::int64_t axis = -1, bool reverse = false);

/// x[1:] - x[:-1] along an axis, `order` times: numpy.diff. Of fewer than `order` elements nothing is left. Bool tensors: where neighbours
/// differ.
Tensor diff(const Operand& x, std::int64_t order = 1, std::int64_t axis = -1);

}  // namespace kiln

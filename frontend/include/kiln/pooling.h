// Pooling: each window of the spatial axes becomes one element.
//
// Tensors are [batch, channels, spatial axes...], or [batch, spatial axes..., channels] with Layout::channels_last; any number of spatial
// axes. Of n elements with padding p on both sides, a window of k places, dilation d and stride s there are
//   floor((n + 2 p - (k - 1) d - 1) / s) + 1
// windows, none where no window fits; ceil_mode rounds up, but no window starts behind the last element and its padding before (PyTorch's
// rule). Symbolic extents are welcome on every axis.
//
// Errors: shape_mismatch where axes and sizes do not go together, invalid_argument for sizes below 1, and for padding that is negative or
// as long as a window, dtype_mismatch for dtypes that a function does not take.
#pragma once

#include <optional>

#include "kiln/operators.h"
#include "kiln/spatial.h"

namespace kiln {

struct PoolOptions {
  PerAxis stride = {};  ///< not given: the window, so that windows do not overlap
  Padding padding = {};
  PerAxis dilation = 1;    ///< from one place of a window to the next
  bool ceil_mode = false;  ///< also windows that reach beyond the padding
  Layout layout = Layout::channels_first;
};

/// The maximum of each window, of numbers of any dtype; padding never wins, NaN does. The gradient goes to the first element that attains
/// it.
///   max_pool(x, 2)                                        // f32[n, 16, 28, 28] -> f32[n, 16, 14, 14]
///   max_pool(x, {3, 3}, {.stride = 2, .padding = 1})
Tensor max_pool(const Operand& x, const PerAxis& window, const PoolOptions& options = {});

struct PooledWithIndices {
  Tensor values;
  Tensor indices;  ///< i64: row-major positions in the spatial axes of x, as max_unpool() takes them
};
/// max_pool() with the positions of the maxima.
PooledWithIndices max_pool_with_indices(const Operand& x, const PerAxis& window, const PoolOptions& options = {});

/// Puts each element at its position in the spatial axes, whose extents are `dims`, and 0 elsewhere; where two meet, the later one stays.
///   max_unpool(pooled.values, pooled.indices, {28, 28})   // undoes max_pool_with_indices(x, 2), zeros for what was not the maximum
Tensor max_unpool(const Operand& x, const Operand& indices, const Dims& dims, Layout layout = Layout::channels_first);

struct AvgPoolOptions {
  PerAxis stride = {};
  Padding padding = {};
  PerAxis dilation = 1;
  bool ceil_mode = false;
  /// Whether padding counts as zeros. Not given: amounts do, as in PyTorch, SAME does not, as in TensorFlow. What ceil_mode adds never
  /// does.
  std::optional<bool> count_include_pad = std::nullopt;
  Layout layout = Layout::channels_first;
};

/// The mean of each window, of floating tensors; f16 and bf16 are summed in f32.
Tensor avg_pool(const Operand& x, const PerAxis& window, const AvgPoolOptions& options = {});

/// (sum |x|^p)^(1/p) of each window (ONNX's LpPool), of floating tensors; p > 0.
Tensor lp_pool(const Operand& x, double p, const PerAxis& window, const PoolOptions& options = {});

/// The maximum, the mean, the p-norm over all spatial axes, which stay with extent 1 when keep_dims.
Tensor global_max_pool(const Operand& x, Layout layout = Layout::channels_first, bool keep_dims = true);
Tensor global_avg_pool(const Operand& x, Layout layout = Layout::channels_first, bool keep_dims = true);
Tensor global_lp_pool(const Operand& x, double p, Layout layout = Layout::channels_first, bool keep_dims = true);

/// Windows chosen so that `output` of them cover each spatial axis: number i of m reaches from floor(i n / m) to ceil((i + 1) n / m)
/// (PyTorch). The spatial extents must be constant.
///   adaptive_avg_pool(x, {7, 7})
Tensor adaptive_avg_pool(const Operand& x, const PerAxis& output, Layout layout = Layout::channels_first);
Tensor adaptive_max_pool(const Operand& x, const PerAxis& output, Layout layout = Layout::channels_first);

}  // namespace kiln

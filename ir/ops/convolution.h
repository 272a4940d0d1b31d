// What the attributes of a convolution say, for its operator entry and for the schedule that lays it out as a matrix product.
#pragma once

#include <span>
#include <vector>

#include "ir/op.h"

namespace kiln::ir::ops {

/// How the window moves along one spatial dim.
struct ConvolutionWindow {
  std::int64_t stride = 1, lhs_dilation = 1, rhs_dilation = 1;
  Dim low = 0, high = 0;  ///< elements added at both ends of the dilated lhs; negative: taken off
  bool reversed = false;
};

/// The dims by role, and the windows.
struct Convolution {
  std::int64_t lhs_batch = 0, lhs_feature = 0, rhs_input_feature = 0, rhs_output_feature = 0, result_batch = 0, result_feature = 0;
  std::vector<std::int64_t> lhs_spatial, rhs_spatial, result_spatial;
  std::vector<ConvolutionWindow> windows;  ///< one per spatial dim
  std::int64_t feature_groups = 1, batch_groups = 1;

  std::size_t spatial() const { return lhs_spatial.size(); }
};

/// The attributes of a convolution that was inferred, thus is well formed.
Convolution convolution_of(const Attributes& attributes);

/// Extent of n elements with `dilation` - 1 others between neighbours.
Dim dilated(const Dim& n, std::int64_t dilation);

/// Operand 0 of a convolution, dilated and padded with zeros: its element where the spatial indices are those of the padded tensor.
/// `extents` are how far these indices go along each spatial dim; what is known to be inside needs no comparison.
ScalarId padded_element(ScalarBuilder& builder, const Convolution& convolution, std::span<const Dim> index, std::span<const Dim> extents);

}  // namespace kiln::ir::ops

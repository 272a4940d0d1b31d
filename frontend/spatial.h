// Checks that functions over spatial axes share.
#pragma once

#include <vector>

#include "frontend/composite.h"
#include "kiln/spatial.h"

namespace kiln::detail {

/// The extents of x, to be changed.
std::vector<Dim> dims_of(const Tensor& x);

/// Axes of x by role. Error(shape_mismatch) below rank `least`.
struct SpatialAxes {
  std::int64_t batch = 0, channels = 1;
  std::vector<std::int64_t> spatial;
};
SpatialAxes spatial_axes(const Composite& of, const Tensor& x, Layout layout, std::size_t least);

/// One number for each of `axes` spatial axes of x, each at least `least`; `what` names them.
std::vector<std::int64_t> numbers_of(const Composite& of, const Tensor& x, const PerAxis& given, std::size_t axes, std::int64_t least,
                                     const char* what);

/// Amounts before and after each of these extents. SAME ones follow from the window's length and the stride, for symbolic extents too.
struct Amounts {
  ir::Dims low, high;
};
Amounts amounts_of(const Composite& of, const Tensor& x, const Padding& padding, const ir::Dims& extents,
                   const std::vector<std::int64_t>& lengths, const std::vector<std::int64_t>& strides);

}  // namespace kiln::detail

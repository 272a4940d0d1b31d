// Checks of spatial arguments (frontend/spatial.h).
#include "frontend/spatial.h"

#include <fmt/format.h>
#include <limits>

namespace kiln::detail {

std::vector<Dim> dims_of(const Tensor& x) {
  const Dims dims = x.dims();
  return {dims.begin(), dims.end()};
}

SpatialAxes spatial_axes(const Composite& of, const Tensor& x, Layout layout, std::size_t least) {
  of.require_rank(x, least, "a tensor of batch, channels and spatial axes", "expand_dims() adds a batch or channel axis of 1");
  SpatialAxes axes;
  const bool last = layout == Layout::channels_last;
  axes.channels = last ? static_cast<std::int64_t>(x.rank()) - 1 : 1;
  for (std::size_t i = 0; i + 2 < x.rank(); ++i) axes.spatial.push_back(static_cast<std::int64_t>(i) + (last ? 1 : 2));
  return axes;
}

std::vector<std::int64_t> numbers_of(const Composite& of, const Tensor& x, const PerAxis& given, std::size_t axes, std::int64_t least,
                                     const char* what) {
  std::vector<std::int64_t> values = given.values();
  if (given.same()) values.assign(axes, values[0]);
  if (values.size() != axes)
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("{} has {} spatial axes, but {} has {} numbers", to_string(x), axes, what, values.size()),
            "give one number for all spatial axes, or one for each; batch and channels have none");
  for (const std::int64_t v : values)
    of.require(v >= least && v <= std::numeric_limits<std::int32_t>::max(),
               fmt::format("{} must be at least {}, but is {}", what, least, v), fmt::format("give {} of {} or more", what, least));
  return values;
}

Amounts amounts_of(const Composite& of, const Tensor& x, const Padding& padding, const ir::Dims& extents,
                   const std::vector<std::int64_t>& lengths, const std::vector<std::int64_t>& strides) {
  Amounts amounts;
  const std::size_t count = extents.size();
  if (padding.kind() != Padding::Kind::amounts) {
    for (std::size_t i = 0; i < count; ++i) {
      const ir::Dim &n = extents[i], stride = strides[i];
      const ir::Dim needed = (ir::ceildiv(n, stride) - 1) * stride + lengths[i] - n;  // more than length - stride - 1
      const ir::Dim total = lengths[i] >= strides[i] ? needed : max(needed, 0), half = floordiv(total, 2);
      amounts.low.push_back(padding.kind() == Padding::Kind::same ? half : total - half);
      amounts.high.push_back(total - amounts.low.back());
    }
    return amounts;
  }
  constexpr std::int64_t lowest = -std::numeric_limits<std::int32_t>::max();
  if (padding.both().given()) {
    for (const std::int64_t both : numbers_of(of, x, padding.both(), count, lowest, "padding")) amounts.low.emplace_back(both);
    amounts.high = amounts.low;
  } else if (padding.amounts().empty()) {
    amounts.low.assign(count, ir::Dim(0));
    amounts.high = amounts.low;
  } else {
    if (padding.amounts().size() != count)
      of.fail(ErrorCode::shape_mismatch,
              fmt::format("{} has {} spatial axes, but padding has {} pairs", to_string(x), count, padding.amounts().size()),
              "give (before, after) for each spatial axis; batch and channels have none");
    for (const auto& [low, high] : padding.amounts()) {
      of.require(std::min(low, high) >= lowest && std::max(low, high) <= -lowest, fmt::format("padding is ({}, {})", low, high),
                 "amounts have at most 31 bits");
      amounts.low.emplace_back(low);
      amounts.high.emplace_back(high);
    }
  }
  return amounts;
}

}  // namespace kiln::detail

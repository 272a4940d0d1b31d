// Modules that move elements.
#include "kiln/nn/reshape.h"

#include <fmt/format.h>

#include "frontend/nn_module.h"
#include "kiln/indexing.h"
#include "kiln/operators.h"
#include "kiln/resize.h"

namespace kiln::nn {

using detail::at_call;

namespace {

std::size_t axis_of(const char* name, const Tensor& x, std::int64_t axis) {
  const auto rank = static_cast<std::int64_t>(x.rank());
  if (axis < -rank || axis >= rank)
    detail::fail(ErrorCode::invalid_argument, fmt::format("{}: there is no axis {} in {}", name, axis, to_string(x)),
                 "negative axes count from the back");
  return static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
}

}  // namespace

Tensor Flatten::forward(const Tensor& x) {
  return at_call([&] {
    const std::size_t first = axis_of("Flatten", x, first_axis_), last = axis_of("Flatten", x, last_axis_);
    if (last < first)
      detail::fail(ErrorCode::invalid_argument, fmt::format("Flatten: axes {} to {} of {}", first, last, to_string(x)),
                   "the first axis stands before the last");
    Dims dims;
    Dim joined = 1;
    for (std::size_t i = 0; i < x.rank(); ++i) {
      if (i < first || i > last) {
        dims.push_back(x.dims()[i]);
        continue;
      }
      joined = joined * x.dims()[i];
      if (i == last) dims.push_back(joined);
    }
    return reshape(x, dims);
  });
}

Tensor Unflatten::forward(const Tensor& x) {
  return at_call([&] {
    const std::size_t axis = axis_of("Unflatten", x, axis_);
    Dims dims;
    for (std::size_t i = 0; i < x.rank(); ++i) {
      if (i != axis) {
        dims.push_back(x.dims()[i]);
        continue;
      }
      for (const Dim& dim : dims_) dims.push_back(dim);
    }
    return reshape(x, dims);
  });
}

Tensor PixelShuffle::forward(const Tensor& x) {
  return at_call([&] { return pixel_shuffle(x, factor_); });
}
Tensor PixelUnshuffle::forward(const Tensor& x) {
  return at_call([&] { return pixel_unshuffle(x, factor_); });
}
Tensor ChannelShuffle::forward(const Tensor& x) {
  return at_call([&] { return channel_shuffle(x, groups_); });
}

Tensor Upsample::forward(const Tensor& x) {
  return at_call([&] {
    if (factor_ < 1) detail::fail(ErrorCode::invalid_argument, fmt::format("Upsample: the factor is {}", factor_), "factor >= 1");
    if (x.rank() < 3)
      detail::fail(ErrorCode::shape_mismatch, fmt::format("Upsample: the input is {}", to_string(x)), "[batch, channels, spatial...]");
    Dims sizes;
    for (std::size_t axis = 2; axis < x.rank(); ++axis) sizes.push_back(x.dims()[axis] * factor_);
    ResizeOptions options{.mode = options_.mode};
    if (options_.mode == Resampling::nearest) {
      options.coordinates = Coordinates::asymmetric;
      options.nearest = Nearest::floor;
    } else if (options_.align_corners) {
      options.coordinates = Coordinates::align_corners;
    }
    return resize(x, sizes, options);
  });
}

}  // namespace kiln::nn

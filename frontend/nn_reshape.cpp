// Modules that move elements.
#include "kiln/nn/reshape.h"

#include <fmt/format.h>

#include "frontend/nn_module.h"
#include "kiln/indexing.h"
#include "kiln/operators.h"

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

void require_image(const char* name, const Tensor& x) {
  if (x.rank() != 4)
    detail::fail(ErrorCode::shape_mismatch, fmt::format("{}: the input is {}", name, to_string(x)), "[batch, channels, height, width]");
}

void require_factor(const char* name, std::int64_t factor) {
  if (factor < 1) detail::fail(ErrorCode::invalid_argument, fmt::format("{}: the factor is {}", name, factor), "factor >= 1");
}

void require_multiple(const char* name, const Tensor& x, std::size_t axis, std::int64_t divisor) {
  if (!(x.dims()[axis] % divisor == Dim(0)))
    detail::fail(ErrorCode::shape_mismatch,
                 fmt::format("{}: the input is {}, but its dim {} must be a multiple of {}", name, to_string(x), axis, divisor),
                 "a symbolic extent can say so: Dim(\"n\", {.multiple_of = 2})");
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
  return at_call([&] {
    require_image("PixelShuffle", x);
    require_factor("PixelShuffle", factor_);
    require_multiple("PixelShuffle", x, 1, factor_ * factor_);
    const Dims d = x.dims();
    const Tensor split = reshape(x, {d[0], d[1] / (factor_ * factor_), factor_, factor_, d[2], d[3]});
    return reshape(transpose(split, {0, 1, 4, 2, 5, 3}), {d[0], d[1] / (factor_ * factor_), d[2] * factor_, d[3] * factor_});
  });
}

Tensor PixelUnshuffle::forward(const Tensor& x) {
  return at_call([&] {
    require_image("PixelUnshuffle", x);
    require_factor("PixelUnshuffle", factor_);
    require_multiple("PixelUnshuffle", x, 2, factor_);
    require_multiple("PixelUnshuffle", x, 3, factor_);
    const Dims d = x.dims();
    const Tensor split = reshape(x, {d[0], d[1], d[2] / factor_, factor_, d[3] / factor_, factor_});
    return reshape(transpose(split, {0, 1, 3, 5, 2, 4}), {d[0], d[1] * factor_ * factor_, d[2] / factor_, d[3] / factor_});
  });
}

Tensor ChannelShuffle::forward(const Tensor& x) {
  return at_call([&] {
    require_factor("ChannelShuffle", groups_);
    axis_of("ChannelShuffle", x, 1);
    require_multiple("ChannelShuffle", x, 1, groups_);
    std::vector<Dim> split = detail::extents(x);
    split[1] = x.dims()[1] / groups_;
    split.insert(split.begin() + 1, Dim(groups_));
    std::vector<std::int64_t> order(split.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
    std::swap(order[1], order[2]);
    return reshape(transpose(reshape(x, split), order), x.dims());
  });
}

// ---- Upsample
//
// Output r * i + p, p = 0 .. r - 1, is a function of x[i] and one neighbour whose weights depend on p alone: each phase p is an elementwise
// function of x and x moved by one, and the phases are dealt out by a reshape. With aligned corners the weights depend on i as well.

namespace {

/// x moved by one along an axis, the element at the edge repeated: result[i] = x[i + 1], or x[i - 1] for step -1.
Tensor moved(const Tensor& x, std::size_t axis, int step) {
  std::vector<Dim> zero(x.rank(), Dim(0)), low = zero, limits = detail::extents(x);
  const Dim extent = limits[axis];
  std::vector<Dim> first_limits = limits;
  if (step > 0) {
    low[axis] = 1;
    zero[axis] = extent - 1;  // the last element
    return concatenate({slice(x, low, limits), slice(x, zero, limits)}, static_cast<std::int64_t>(axis));
  }
  first_limits[axis] = 1;
  limits[axis] = extent - 1;
  return concatenate({slice(x, zero, first_limits), slice(x, zero, limits)}, static_cast<std::int64_t>(axis));
}

/// Phases, each of x's dims, as one tensor whose axis is r times as long.
Tensor interleaved(const std::vector<Tensor>& phases, const Tensor& x, std::size_t axis) {
  std::vector<Dim> dims = detail::extents(x);
  dims[axis] = dims[axis] * static_cast<std::int64_t>(phases.size());
  return reshape(stack(phases, static_cast<std::int64_t>(axis) + 1), dims);
}

Tensor upsample_linear(const Tensor& x, std::size_t axis, std::int64_t factor) {
  const Tensor before = moved(x, axis, -1), after = moved(x, axis, 1);
  std::vector<Tensor> phases;
  for (std::int64_t p = 0; p < factor; ++p) {
    const double offset = (static_cast<double>(p) + 0.5) / static_cast<double>(factor) - 0.5;
    phases.push_back(offset < 0 ? x * (1 + offset) + before * -offset : x * (1 - offset) + after * offset);
  }
  return interleaved(phases, x, axis);
}

/// Position o of the output is position o * (n - 1) / (r * n - 1) of the input.
Tensor upsample_aligned(const Tensor& x, std::size_t axis, std::int64_t factor) {
  Graph graph = detail::graph_of(x);
  const Dim extent = x.dims()[axis];
  const DType compute = x.dtype() == f64 ? f64 : f32;
  const Tensor last = convert(graph.size(extent) - 1, compute);
  const Tensor position = graph.iota(compute, {extent * factor}) * (last / maximum(convert(graph.size(extent * factor) - 1, compute), 1));
  const Tensor whole = floor(position);
  const Tensor low = convert(whole, i64);
  std::vector<Dim> dims(x.rank(), Dim(1));
  dims[axis] = extent * factor;
  const Tensor weight = convert(reshape(position - whole, dims), x.dtype());
  const auto at = static_cast<std::int64_t>(axis);
  return take(x, low, at) * (1 - weight) + take(x, minimum(low + 1, graph.size(extent) - 1), at) * weight;
}

}  // namespace

Tensor Upsample::forward(const Tensor& input) {
  return at_call([&] {
    require_factor("Upsample", factor_);
    if (input.rank() < 3 || input.rank() > 5)
      detail::fail(ErrorCode::shape_mismatch, fmt::format("Upsample: the input is {}", to_string(input)),
                   "[batch, channels, spatial...], with one to three spatial dims");
    Tensor x = input;
    for (std::size_t axis = 2; axis < input.rank(); ++axis) {
      if (options_.mode == UpsampleMode::nearest)
        x = interleaved(std::vector<Tensor>(static_cast<std::size_t>(factor_), x), x, axis);
      else if (options_.align_corners)
        x = upsample_aligned(x, axis, factor_);
      else
        x = upsample_linear(x, axis, factor_);
    }
    return x;
  });
}

}  // namespace kiln::nn

// Resizing and rearranging positions (kiln/resize.h).
//
// Resampling along an axis is a small matrix, [m results, n elements], of the weights that each element has in each result: a product
// along that axis, whose gradient is one too. Axes follow each other. The matrix is computed in the graph, from positions and extents in
// f64 (extents may be symbols), so it depends on nothing but shapes and is made once where shapes are known. Places that do not fit are
// ratios of integers divided once, so that what lies exactly on an element, or half way between two, is recognised.
#include "kiln/resize.h"

#include <fmt/format.h>
#include <cmath>
#include <numeric>

#include "frontend/composite.h"
#include "frontend/spatial.h"
#include "kiln/indexing.h"

namespace kiln {

using namespace detail;

namespace {

/// One axis on its way from n to m elements.
struct AxisResize {
  Composite& of;
  const ResizeOptions& options;
  std::int64_t axis;
  ir::Dim n, m;
  std::optional<double> scale;  ///< where it is not m / n
  double start = 0, end = 1;    ///< of roi

  Tensor number(const ir::Dim& dim) const { return of.count(from_ir({dim}), {0}, f64); }
  /// 0 .. m - 1
  Tensor results() const { return of.iota(f64, from_ir({m}), 0); }

  /// Where the results stand among the elements: f64[m].
  Tensor places() const {
    const Tensor i = results();
    const bool single = m.is_constant(1);
    switch (options.coordinates) {
      case Coordinates::pytorch_half_pixel:
        if (single) return i * 0;
        [[fallthrough]];
      case Coordinates::half_pixel:
        if (scale) return (i + 0.5) / *scale - 0.5;
        return ((2 * i + 1) * number(n) - number(m)) / number(2 * m);
      case Coordinates::half_pixel_symmetric: {
        if (!scale) return ((2 * i + 1) * number(n) - number(m)) / number(2 * m);
        const Tensor centre = number(n) / 2;
        return centre * (1 - number(m) / (number(n) * *scale)) + (i + 0.5) / *scale - 0.5;
      }
      case Coordinates::asymmetric:
        if (scale) return i / *scale;
        return i * number(n) / number(m);
      case Coordinates::align_corners: {
        const Tensor aligned = i * number(n - 1) / number(max(m - 1, 1));
        return aligned;
      }
      case Coordinates::tf_crop_and_resize: break;
    }
    if (single) return i * 0 + number(n - 1) * (0.5 * (start + end));
    return number(n - 1) * start + i * (number(n - 1) * (end - start)) / number(max(m - 1, 1));
  }

  /// How many elements a result covers: 1 / scale.
  Tensor elements_per_result() const {
    if (scale) return of.number(1 / *scale, f64);
    return number(n) / number(m);
  }

  /// The element that each result takes: i64[m].
  Tensor nearest() const {
    const Tensor c = places();
    const Tensor last = of.count(from_ir({n - 1}), {0}, i64);
    const auto rounded = [&] {
      switch (options.nearest) {
        case Nearest::floor: return floor(c);
        case Nearest::ceil: return ceil(c);
        case Nearest::round_prefer_ceil: return floor(c + 0.5);
        case Nearest::round_prefer_floor: break;
      }
      return ceil(c - 0.5);
    };
    return clamp(convert(rounded(), i64), 0, last);
  }

  /// f64[m, n]
  Tensor weights() const {
    const Dims dims = from_ir({m, n});
    const Tensor j = of.iota(f64, dims, 1);
    const auto rows = [&](const Tensor& per_result) { return spread(per_result, dims, {0}); };
    if (options.mode == Resampling::area) {
      // Integers below 2^53 are exact in f64, and so is the floor of their quotient.
      const Tensor i = results(), begin = floor(i * number(n) / number(m)), end = ceil((i + 1) * number(n) / number(m));
      return select(logical_and(greater_equal(j, rows(begin)), less(j, rows(end))), rows(1 / (end - begin)), 0);
    }
    const Tensor c = places();
    if (options.antialias) {
      const Tensor stretch = maximum(elements_per_result(), 1);
      if (options.exclude_outside.value_or(true)) {
        const Tensor raw = kernel((j - rows(c)) / stretch);
        return raw / reduce_sum(raw, 1, true);
      }
      return with_edges(c, stretch);
    }
    if (options.mode == Resampling::linear) return kernel(rows(clamp(c, 0, number(n - 1))) - j);
    const bool exclude = options.exclude_outside.value_or(false);
    const Tensor floor_c = floor(c), last = number(n - 1);
    Tensor sum, total;
    for (int tap = -1; tap <= 2; ++tap) {
      const Tensor at = floor_c + tap;
      Tensor weight = kernel(at - c);
      const Tensor inside = clamp(at, 0, last);
      if (exclude) {
        weight = select(equal(at, inside), weight, 0);
        total = tap == -1 ? weight : total + weight;
      }
      const Tensor part = select(equal(rows(inside), j), rows(weight), 0);
      sum = tap == -1 ? part : sum + part;
    }
    return exclude ? sum / rows(total) : sum;
  }

  /// Weights of stretched kernels where places outside count as the elements at the edges: f64[m, n]. Kernels reach less than `reach`
  /// elements beyond the ends.
  Tensor with_edges(const Tensor& c, const Tensor& stretch) const {
    const std::int64_t radius = options.mode == Resampling::linear ? 1 : 2;
    const ir::Dim reach = scale ? ir::Dim(static_cast<std::int64_t>(std::ceil(static_cast<double>(radius) * std::max(1.0, 1 / *scale))) + 1)
                                : floordiv(radius * n, max(m, 1)) + radius + 2;
    const ir::Dim length = n + 2 * reach;
    const Tensor place = of.iota(f64, from_ir({m, length}), 1) - number(reach);
    const Tensor raw = kernel((place - spread(c, from_ir({m, length}), {0})) / stretch), all = raw / reduce_sum(raw, 1, true);
    const auto part = [&](const ir::Dim& from, const ir::Dim& to) { return slice(all, from_ir({0, from}), from_ir({m, to})); };
    const Dims dims = from_ir({m, n});
    const Tensor j = of.iota(f64, dims, 1), last = number(n - 1);
    const Tensor before = spread(reduce_sum(part(0, reach), 1), dims, {0}),
                 after = spread(reduce_sum(part(reach + n, length), 1), dims, {0});
    return part(reach, reach + n) + select(equal(j, 0), before, 0) + select(equal(j, last), after, 0);
  }

  /// The kernel of linear or cubic interpolation at a distance; cubic: R. Keys, Cubic Convolution Interpolation for Digital Image
  /// Processing, 1981.
  Tensor kernel(const Tensor& distance) const {
    const Tensor d = abs(distance);
    if (options.mode == Resampling::linear) return maximum(1 - d, 0);
    const double a = options.cubic_a;
    const Tensor near = ((a + 2) * d - (a + 3)) * d * d + 1, far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    return select(less_equal(d, 1), near, select(less(d, 2), far, 0));
  }
};

/// Result extents are whole multiples of x's, and each element is repeated.
std::optional<std::int64_t> repeats(const AxisResize& a) {
  if (a.scale || !a.m.is_constant() != !a.n.is_constant()) return {};
  const bool floor_of_asymmetric = a.options.coordinates == Coordinates::asymmetric && a.options.nearest == Nearest::floor;
  const bool rounded_half_pixel = a.options.coordinates == Coordinates::half_pixel &&
                                  (a.options.nearest == Nearest::round_prefer_floor || a.options.nearest == Nearest::round_prefer_ceil);
  if (!floor_of_asymmetric && !rounded_half_pixel) return {};
  for (std::int64_t factor = 1; factor <= 16; ++factor)
    if (a.n * factor == a.m) return factor;
  return {};
}

Tensor resize_nearest(const Tensor& x, const AxisResize& a) {
  const auto factor = repeats(a);
  if (!factor) return take(x, a.nearest(), a.axis);
  std::vector<Dim> dims = dims_of(x), result = dims;
  std::vector<std::int64_t> positions;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(dims.size()); ++d) positions.push_back(d <= a.axis ? d : d + 1);
  result[static_cast<std::size_t>(a.axis)] = from_ir({a.m})[0];
  dims.insert(dims.begin() + a.axis + 1, Dim(*factor));
  return reshaped(spread(x, dims, positions), result);
}

/// x times a matrix [m, n] along an axis.
Tensor product_along(const Tensor& x, std::int64_t axis, const Tensor& matrix) {
  const Tensor y = dot_general(x, matrix, {}, {}, {axis}, {1});
  const auto rank = static_cast<std::int64_t>(x.rank());
  if (axis == rank - 1) return y;
  std::vector<std::int64_t> order;
  for (std::int64_t d = 0; d < rank; ++d) order.push_back(d < axis ? d : d == axis ? rank - 1 : d - 1);
  return transpose(y, order);
}

void require_options(const Composite& of, const ResizeOptions& options, std::size_t axes) {
  const bool crop = options.coordinates == Coordinates::tf_crop_and_resize;
  of.require(options.scales.empty() || options.scales.size() == axes,
             fmt::format("there are {} scales for {} axes", options.scales.size(), axes), "give one scale for each resized axis");
  for (const double scale : options.scales)
    of.require(scale > 0 && std::isfinite(scale), fmt::format("a scale is {}", scale), "scales are positive");
  of.require(crop ? options.roi.size() == 2 * axes : options.roi.empty(), fmt::format("roi has {} numbers", options.roi.size()),
             "tf_crop_and_resize takes the starts of all axes, then their ends; other coordinates take none");
  const bool kernel = options.mode == Resampling::linear || options.mode == Resampling::cubic;
  of.require(!options.antialias || kernel, "antialias is for linear and cubic", "area is the mean of what a result covers");
  of.require(!options.exclude_outside || options.mode == Resampling::cubic || options.antialias,
             "exclude_outside is for cubic and antialias", "linear takes the element at the edge for what lies outside");
}

}  // namespace

Tensor resize(const Operand& x_, const Dims& sizes, const ResizeOptions& options) {
  Composite of({&x_}, "resize");
  Tensor x = of.tensor(x_);
  if (options.mode != Resampling::nearest) of.require_floating(x);
  std::vector<std::int64_t> axes;
  if (options.axes.empty()) {
    axes = spatial_axes(of, x, options.layout, 3).spatial;
  } else {
    for (const std::int64_t axis : options.axes) axes.push_back(of.axis(axis, x));
  }
  const ir::Dims wanted = to_ir(sizes);
  of.state().use_symbols(wanted, of.emitter().location());
  if (wanted.size() != axes.size())
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("{} has {} axes to resize, but there are {} sizes", to_string(x), axes.size(), wanted.size()),
            "give one size for each spatial axis, or name the axes: {.axes = {1, 2}}");
  require_options(of, options, axes.size());

  const DType dtype = x.dtype();
  const bool narrow = is_floating(dtype) && size_of(dtype) < 4 && options.mode != Resampling::nearest;
  if (narrow) x = convert(x, f32);
  Tensor outside;
  for (std::size_t k = 0; k < axes.size(); ++k) {
    const ir::Dim n = type_of(x).dims[static_cast<std::size_t>(axes[k])];
    if (ir::less_equal(1, n) != ir::Truth::yes && !wanted[k].is_constant(0))
      of.fail(ErrorCode::shape_mismatch,
              fmt::format("axis {} of {} may have no element to interpolate: its extent is {}", axes[k], to_string(x), ir::to_string(n)),
              "give the symbol a bound: Dim(\"n\", {.min = 1})");
    AxisResize a{.of = of, .options = options, .axis = axes[k], .n = n, .m = wanted[k], .scale = {}};
    if (!options.scales.empty()) a.scale = options.scales[k];
    if (!options.roi.empty()) a.start = options.roi[k], a.end = options.roi[k + axes.size()];
    const bool crop = options.coordinates == Coordinates::tf_crop_and_resize;
    if (n == wanted[k] && !a.scale && !crop && (options.mode != Resampling::cubic || !options.antialias)) continue;
    x = options.mode == Resampling::nearest ? resize_nearest(x, a) : product_along(x, axes[k], convert(a.weights(), x.dtype()));
    if (!crop) continue;
    const Tensor c = a.places(), beyond = logical_or(less(c, 0), greater(c, a.number(n - 1)));
    std::vector<Dim> dims(x.rank(), Dim(1));
    dims[static_cast<std::size_t>(axes[k])] = from_ir({wanted[k]})[0];
    const Tensor shaped = reshaped(beyond, dims);
    outside = outside.valid() ? logical_or(outside, shaped) : shaped;
  }
  if (outside.valid()) x = select(outside, options.extrapolation, x);
  return narrow ? convert(x, dtype) : x;
}

// ---- rearrangements

namespace {

void require_factor(const Composite& of, std::int64_t factor) {
  of.require(factor >= 1 && factor <= (1 << 20), fmt::format("the factor is {}", factor), "it is at least 1");
}

/// The extent divided by `by`; Error(shape_mismatch) where that leaves a rest.
ir::Dim quotient(const Composite& of, const Tensor& x, std::int64_t axis, std::int64_t by, const char* what) {
  const ir::Dim& extent = type_of(x).dims[static_cast<std::size_t>(axis)];
  const ir::Dim part = floordiv(extent, by);
  if (ir::equals(part * by, extent) != ir::Truth::yes)
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("axis {} of {}, {}, is not a multiple of {}", axis, to_string(x), ir::to_string(extent), by),
            fmt::format("{} must divide it; a symbol may be declared a multiple: Dim(\"n\", {{.multiple_of = 2}})", what));
  return part;
}

std::int64_t power_of(const Composite& of, std::int64_t factor, std::size_t exponent) {
  std::int64_t product = 1;
  for (std::size_t i = 0; i < exponent; ++i) {
    of.require(product <= INT32_MAX / factor, fmt::format("{} positions per axis are too many", factor), "give a smaller factor");
    product *= factor;
  }
  return product;
}

/// Channels to positions. The channels' axis is [depth, r...] when `depth_first`, else [r..., depth].
Tensor spread_channels(Composite& of, const Tensor& x, std::int64_t r, Layout layout, bool depth_first) {
  require_factor(of, r);
  const SpatialAxes axes = spatial_axes(of, x, layout, 3);
  const std::size_t count = axes.spatial.size();
  const ir::Dim depth = quotient(of, x, axes.channels, power_of(of, r, count), "the block's size");
  ir::Dims split;                   // x with its channels' axis taken apart
  std::vector<std::int64_t> block;  // where each axis of a block is in it
  std::vector<std::int64_t> where(x.rank());
  const ir::Dims dims = type_of(x).dims;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(x.rank()); ++d) {
    if (d != axes.channels) {
      where[static_cast<std::size_t>(d)] = static_cast<std::int64_t>(split.size());
      split.push_back(dims[static_cast<std::size_t>(d)]);
      continue;
    }
    if (depth_first) {
      where[static_cast<std::size_t>(d)] = static_cast<std::int64_t>(split.size());
      split.push_back(depth);
    }
    for (std::size_t i = 0; i < count; ++i) {
      block.push_back(static_cast<std::int64_t>(split.size()));
      split.emplace_back(r);
    }
    if (!depth_first) {
      where[static_cast<std::size_t>(d)] = static_cast<std::int64_t>(split.size());
      split.push_back(depth);
    }
  }
  std::vector<std::int64_t> order;
  ir::Dims result = dims;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(x.rank()); ++d) {
    order.push_back(where[static_cast<std::size_t>(d)]);
    if (const auto s = std::find(axes.spatial.begin(), axes.spatial.end(), d); s != axes.spatial.end()) {
      order.push_back(block[static_cast<std::size_t>(s - axes.spatial.begin())]);
      result[static_cast<std::size_t>(d)] = dims[static_cast<std::size_t>(d)] * r;
    }
  }
  result[static_cast<std::size_t>(axes.channels)] = depth;
  return reshaped(transpose(reshaped(x, from_ir(split)), order), from_ir(result));
}

/// Positions to channels, the inverse.
Tensor gather_positions(Composite& of, const Tensor& x, std::int64_t r, Layout layout, bool depth_first) {
  require_factor(of, r);
  const SpatialAxes axes = spatial_axes(of, x, layout, 3);
  const ir::Dims dims = type_of(x).dims;
  ir::Dims split, result = dims;
  std::vector<std::int64_t> where(x.rank()), block;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(x.rank()); ++d) {
    where[static_cast<std::size_t>(d)] = static_cast<std::int64_t>(split.size());
    if (std::find(axes.spatial.begin(), axes.spatial.end(), d) == axes.spatial.end()) {
      split.push_back(dims[static_cast<std::size_t>(d)]);
      continue;
    }
    result[static_cast<std::size_t>(d)] = quotient(of, x, d, r, "the block's size");
    split.push_back(result[static_cast<std::size_t>(d)]);
    block.push_back(static_cast<std::int64_t>(split.size()));
    split.emplace_back(r);
  }
  std::vector<std::int64_t> order;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(x.rank()); ++d) {
    if (d == axes.channels && !depth_first) order.insert(order.end(), block.begin(), block.end());
    order.push_back(where[static_cast<std::size_t>(d)]);
    if (d == axes.channels && depth_first) order.insert(order.end(), block.begin(), block.end());
  }
  const auto channels = static_cast<std::size_t>(axes.channels);
  result[channels] = dims[channels] * power_of(of, r, axes.spatial.size());
  return reshaped(transpose(reshaped(x, from_ir(split)), order), from_ir(result));
}

}  // namespace

Tensor pixel_shuffle(const Operand& x, std::int64_t factor) {
  Composite of({&x}, "pixel_shuffle");
  return spread_channels(of, of.tensor(x), factor, Layout::channels_first, true);
}

Tensor pixel_unshuffle(const Operand& x, std::int64_t factor) {
  Composite of({&x}, "pixel_unshuffle");
  return gather_positions(of, of.tensor(x), factor, Layout::channels_first, true);
}

Tensor depth_to_space(const Operand& x, std::int64_t block, Layout layout, bool depth_first) {
  Composite of({&x}, "depth_to_space");
  return spread_channels(of, of.tensor(x), block, layout, depth_first);
}

Tensor space_to_depth(const Operand& x, std::int64_t block, Layout layout) {
  Composite of({&x}, "space_to_depth");
  return gather_positions(of, of.tensor(x), block, layout, false);
}

Tensor channel_shuffle(const Operand& x_, std::int64_t groups, Layout layout) {
  Composite of({&x_}, "channel_shuffle");
  const Tensor x = of.tensor(x_);
  require_factor(of, groups);
  const std::int64_t axis = spatial_axes(of, x, layout, 2).channels;
  ir::Dims split = type_of(x).dims;
  split[static_cast<std::size_t>(axis)] = quotient(of, x, axis, groups, "the number of groups");
  split.insert(split.begin() + axis, ir::Dim(groups));
  return reshaped(swap_axes(reshaped(x, from_ir(split)), axis, axis + 1), x.dims());
}

}  // namespace kiln

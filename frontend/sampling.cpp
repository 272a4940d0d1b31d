// Samples of images at computed places (kiln/resize.h): grid_sample, affine_grid, roi_align.
//
// A sample is a weighted sum of the elements around its place, each a row of channels that gather_nd takes from x with channels last.
// Places and weights are tensors, so derivatives by the places come by themselves; the floor of a place has none.
#include <fmt/format.h>
#include <cmath>

#include "frontend/composite.h"
#include "frontend/spatial.h"
#include "kiln/indexing.h"
#include "kiln/resize.h"

namespace kiln {

using namespace detail;

namespace {

/// Channels moved behind the spatial axes, and back.
Tensor channels_to_end(const Tensor& x) {
  std::vector<std::int64_t> order{0};
  for (std::int64_t d = 2; d < static_cast<std::int64_t>(x.rank()); ++d) order.push_back(d);
  order.push_back(1);
  return transpose(x, order);
}
Tensor channels_from_end(const Tensor& x) {
  std::vector<std::int64_t> order{0, static_cast<std::int64_t>(x.rank()) - 1};
  for (std::int64_t d = 1; d + 1 < static_cast<std::int64_t>(x.rank()); ++d) order.push_back(d);
  return transpose(x, order);
}

/// The last axis of places, one coordinate of each.
Tensor coordinate(const Tensor& places, std::int64_t number) {
  ir::Dims limits = type_of(places).dims;
  ir::Dims starts(limits.size(), ir::Dim(0)), dims(limits.begin(), limits.end() - 1);
  starts.back() = number;
  limits.back() = number + 1;
  const Tensor part =
      apply(ir::Op::slice, {places}, {{"starts", starts}, {"limits", limits}, {"strides", std::vector<std::int64_t>(limits.size(), 1)}});
  return reshaped(part, from_ir(dims));
}

Tensor with_last_axis(const Tensor& x) {
  std::vector<Dim> dims = dims_of(x);
  dims.emplace_back(1);
  return reshaped(x, dims);
}

/// The places along one axis with n elements, as floats: where samples are, which elements they use and with what weight.
struct Tap {
  Tensor index;   ///< floats that are integers
  Tensor weight;  ///< zero where the element does not count
};

Tensor reflected(const Tensor& c, const Tensor& low, const Tensor& span) {
  const Tensor distance = abs(c - low), flips = floor(distance / span), rest = distance - flips * span;
  const Tensor odd = not_equal(flips - 2 * floor(flips / 2), 0);
  // Of one element the span may be 0: everything is there.
  return select(equal(span, 0), 0, select(odd, span - rest, rest) + low);
}

/// Brings places inside, as the padding says.
Tensor brought_inside(const Tensor& c, const Tensor& n, const GridSampleOptions& options) {
  if (options.padding == SamplePadding::zeros) return c;
  Tensor inside = c;
  if (options.padding == SamplePadding::reflection)
    inside = options.align_corners ? reflected(c, n * 0, n - 1) : reflected(c, n * 0 - 0.5, n);
  return clamp(inside, 0, n - 1);
}

Tensor masked(const Tensor& index, const Tensor& n, const Tensor& weight) {
  return select(logical_and(greater_equal(index, 0), less_equal(index, n - 1)), weight, 0);
}

std::vector<Tap> taps_of(const Tensor& c, const Tensor& n, const GridSampleOptions& options) {
  const bool zeros = options.padding == SamplePadding::zeros;
  const auto counted = [&](const Tensor& index, const Tensor& weight) { return masked(index, n, weight); };
  if (options.mode == Resampling::nearest) {
    const Tensor at = round(brought_inside(c, n, options));
    return {{at, counted(at, ones_like(at))}};
  }
  if (options.mode == Resampling::linear) {
    const Tensor inside = brought_inside(c, n, options), at = floor(inside), part = inside - at;
    return {{at, counted(at, 1 - part)}, {at + 1, counted(at + 1, part)}};
  }
  constexpr double a = -0.75;
  const Tensor at = floor(c), t = c - at;
  const auto near = [&](const Tensor& d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  const auto far = [&](const Tensor& d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  const Tensor weights[] = {far(t + 1), near(t), near(1 - t), far(2 - t)};
  std::vector<Tap> taps;
  for (int tap = -1; tap <= 2; ++tap) {
    const Tensor index = brought_inside(at + tap, n, options);
    taps.push_back({zeros ? index : round(index), zeros ? counted(index, weights[tap + 1]) : weights[tap + 1]});
  }
  return taps;
}

/// Sum over all combinations of taps of the axes: image [batch, spatial axes..., channels], tap tensors [batch, places...].
/// `first` are the indices of axes that come before (batches of boxes), as an integer tensor with a last axis.
Tensor sampled(const Tensor& image, const std::vector<std::vector<Tap>>& taps, const std::optional<Tensor>& first,
               std::int64_t batch_dims) {
  std::vector<std::size_t> at(taps.size(), 0);
  Tensor sum;
  for (;;) {
    std::vector<Tensor> indices;
    if (first) indices.push_back(*first);
    Tensor weight;
    for (std::size_t a = 0; a < taps.size(); ++a) {
      const Tap& tap = taps[a][at[a]];
      indices.push_back(with_last_axis(convert(tap.index, i64)));
      weight = a == 0 ? tap.weight : weight * tap.weight;
    }
    const Tensor places = indices.size() == 1 ? indices[0] : concatenate(indices, -1);
    const Tensor part = gather_nd(image, places, batch_dims) * with_last_axis(weight);
    sum = sum.valid() ? sum + part : part;
    std::size_t a = taps.size();
    while (a > 0 && ++at[a - 1] == taps[a - 1].size()) at[--a] = 0;
    if (a == 0) return sum;
  }
}

}  // namespace

Tensor grid_sample(const Operand& x_, const Operand& grid_, const GridSampleOptions& options) {
  Composite of({&x_, &grid_}, "grid_sample");
  const Tensor x = of.tensor(x_), grid = of.tensor(grid_);
  of.require_floating(x);
  const std::size_t axes = x.rank() < 2 ? 0 : x.rank() - 2;
  const ir::Dims dims = type_of(x).dims, places = type_of(grid).dims;
  if (axes < 1 || axes > 3 || places.size() < 2 || !places.back().is_constant(static_cast<std::int64_t>(axes)) ||
      ir::equals(places[0], dims[0]) != ir::Truth::yes)
    of.fail(ErrorCode::shape_mismatch, fmt::format("the grid {} does not fit {}", to_string(grid), to_string(x)),
            "x is [batch, channels, spatial axes...] with one to three spatial axes, grid [batch, places..., spatial axes]");
  of.require(options.mode != Resampling::area && (options.mode != Resampling::cubic || axes <= 2), "this interpolation is not for samples",
             "nearest and linear sample any number of axes, cubic up to two");
  for (std::size_t a = 0; a < axes; ++a)
    if (ir::less_equal(1, dims[a + 2]) != ir::Truth::yes)
      of.fail(ErrorCode::shape_mismatch, fmt::format("axis {} of {} may have no element", a + 2, to_string(x)),
              "give the symbol a bound: Dim(\"n\", {.min = 1})");
  std::vector<std::vector<Tap>> taps;
  for (std::size_t a = 0; a < axes; ++a) {
    const Tensor n = of.count(from_ir({dims[a + 2]}), {0}, grid.dtype());
    const Tensor g = coordinate(grid, static_cast<std::int64_t>(axes - 1 - a));
    const Tensor c = options.align_corners ? (g + 1) / 2 * (n - 1) : ((g + 1) * n - 1) / 2;
    taps.push_back(taps_of(c, n, options));
  }
  return channels_from_end(sampled(channels_to_end(x), taps, {}, 1));
}

Tensor affine_grid(const Operand& theta_, const Dims& extents, bool align_corners) {
  Composite of({&theta_}, "affine_grid");
  const Tensor theta = of.tensor(theta_);
  of.require_floating(theta);
  const ir::Dims wanted = to_ir(extents);
  of.state().use_symbols(wanted, of.emitter().location());
  const auto axes = static_cast<std::int64_t>(wanted.size());
  const ir::Dims& dims = type_of(theta).dims;
  if (axes < 1 || dims.size() != 3 || !dims[1].is_constant(axes) || !dims[2].is_constant(axes + 1))
    of.fail(ErrorCode::shape_mismatch, fmt::format("{} are not affine maps of {} axes", to_string(theta), axes),
            "theta is [batch, d, d + 1] for d extents");
  // Homogeneous places [extents..., d + 1], the innermost axis first.
  std::vector<Tensor> columns;
  for (std::int64_t a = axes; a-- > 0;) {
    const ir::Dim m = wanted[static_cast<std::size_t>(a)];
    const Tensor i = of.iota(theta.dtype(), from_ir({m}), 0);
    const auto number = [&](const ir::Dim& dim) { return of.count(from_ir({dim}), {0}, theta.dtype()); };
    const Tensor line =
        align_corners ? (m.is_constant(1) ? i * 0 : 2 * i / number(max(m - 1, 1)) - 1) : (2 * i + 1) / number(max(m, 1)) - 1;
    columns.push_back(with_last_axis(spread(line, extents, {a})));
  }
  columns.push_back(with_last_axis(of.full(theta.dtype(), extents, 1)));
  const Tensor base = concatenate(columns, -1);
  const Tensor result = dot_general(theta, base, {}, {}, {2}, {axes});  // [batch, d, extents...]
  return channels_to_end(result);
}

Tensor roi_align(const Operand& x_, const Operand& boxes_, const Operand& indices_, std::int64_t height, std::int64_t width,
                 const RoiAlignOptions& options) {
  Composite of({&x_, &boxes_}, "roi_align");
  const Tensor x = of.tensor(x_), boxes = of.tensor(boxes_), indices = indices_.tensor();
  of.require_floating(x);
  of.require_integer(indices, "indices of the batch");
  const ir::Dims dims = type_of(x).dims, of_boxes = type_of(boxes).dims, of_indices = type_of(indices).dims;
  if (dims.size() != 4 || of_boxes.size() != 2 || !of_boxes[1].is_constant(4) || of_indices.size() != 1 ||
      ir::equals(of_indices[0], of_boxes[0]) != ir::Truth::yes)
    of.fail(ErrorCode::shape_mismatch, fmt::format("{} with boxes {} and indices {}", to_string(x), to_string(boxes), to_string(indices)),
            "x is [batch, channels, h, w], boxes [n, 4], indices [n]");
  of.require(options.sampling_ratio >= 1 && height >= 1 && width >= 1,
             fmt::format("{} x {} bins with {} samples per axis", height, width, options.sampling_ratio),
             "all are at least 1; a number of samples that follows from the boxes would need loops of unknown length");
  for (const std::size_t a : {2u, 3u})
    if (ir::less_equal(1, dims[a]) != ir::Truth::yes)
      of.fail(ErrorCode::shape_mismatch, fmt::format("axis {} of {} may have no element", a, to_string(x)),
              "give the symbol a bound: Dim(\"n\", {.min = 1})");
  const std::int64_t ratio = options.sampling_ratio;
  const double shift = options.half_pixel ? 0.5 : 0;
  const Dim count = boxes.dim(0);
  const Dims places{count, height * ratio, width * ratio};
  std::vector<std::vector<Tap>> taps;
  for (std::int64_t a = 0; a < 2; ++a) {
    const std::int64_t bins = a == 0 ? height : width;
    const Tensor n = of.count(from_ir({dims[static_cast<std::size_t>(a) + 2]}), {0}, boxes.dtype());
    const Tensor first = coordinate(boxes, 1 - a) * options.spatial_scale - shift;
    Tensor length = coordinate(boxes, 3 - a) * options.spatial_scale - shift - first;
    if (!options.half_pixel) length = maximum(length, 1);
    const Dims lines{count, bins * ratio};
    const Tensor sample = (of.iota(boxes.dtype(), lines, 1) + 0.5) / static_cast<double>(bins * ratio);
    const Tensor c = spread(first, lines, {0}) + spread(length, lines, {0}) * sample;
    const Tensor counts = logical_and(greater_equal(c, -1), less_equal(c, n));  // samples further out are 0
    const Tensor inside = clamp(c, 0, n - 1), at = floor(inside), part = inside - at;
    const auto tap = [&](const Tensor& index, const Tensor& weight) {
      return Tap{spread(minimum(index, n - 1), places, {0, a + 1}), spread(select(counts, weight, 0), places, {0, a + 1})};
    };
    taps.push_back({tap(at, 1 - part), tap(at + 1, part)});
  }
  const Tensor batch = with_last_axis(spread(convert(indices, i64), places, {0}));
  const Tensor samples = sampled(channels_to_end(x), taps, batch, 0);  // [n, height * ratio, width * ratio, channels]
  const Tensor bins = reshaped(samples, {count, height, ratio, width, ratio, x.dim(1)});
  return channels_from_end(options.maximum ? reduce_max(bins, {2, 4}) : reduce_mean(bins, {2, 4}));
}

}  // namespace kiln

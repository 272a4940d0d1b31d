// Samples of images at computed places (kiln/resize.h): grid_sample, affine_grid, roi_align; deform_conv (kiln/convolution.h).
//
// A sample is a weighted sum of the elements around its place, each a row of channels that gather_nd takes from x with channels last.
// Places and weights are tensors, so derivatives by the places come by themselves; the floor of a place has none.
#include <fmt/format.h>
#include <cmath>

#include "frontend/composite.h"
#include "frontend/spatial.h"
#include "kiln/arrangement.h"
#include "kiln/control.h"
#include "kiln/convolution.h"
#include "kiln/einsum.h"
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

/// Sum (or maximum) over all combinations of taps of the axes: image [batch, spatial axes..., channels], tap tensors [batch, places...].
/// `first` are the indices of axes that come before (batches of boxes), as an integer tensor with a last axis.
Tensor sampled(const Tensor& image, const std::vector<std::vector<Tap>>& taps, const std::optional<Tensor>& first, std::int64_t batch_dims,
               bool maximum = false) {
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
    sum = !sum.valid() ? part : maximum ? kiln::maximum(sum, part) : sum + part;
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

namespace {

/// Boxes in units of elements along the two axes of images, checked.
struct Boxes {
  Boxes(std::initializer_list<const Operand*> operands, const Operand& indices_, const char* name)
      : of(operands, name), x(of.tensor(**operands.begin())), boxes(of.tensor(**(operands.begin() + 1))), indices(indices_.tensor()) {
    of.require_floating(x);
    of.require_integer(indices, "indices of the batch");
    const ir::Dims dims = type_of(x).dims, of_boxes = type_of(boxes).dims, of_indices = type_of(indices).dims;
    if (dims.size() != 4 || of_boxes.size() != 2 || !of_boxes[1].is_constant(4) || of_indices.size() != 1 ||
        ir::equals(of_indices[0], of_boxes[0]) != ir::Truth::yes)
      of.fail(ErrorCode::shape_mismatch, fmt::format("{} with boxes {} and indices {}", to_string(x), to_string(boxes), to_string(indices)),
              "x is [batch, channels, h, w], boxes [n, 4], indices [n]");
    for (const std::size_t a : {2u, 3u})
      if (ir::less_equal(1, dims[a]) != ir::Truth::yes)
        of.fail(ErrorCode::shape_mismatch, fmt::format("axis {} of {} may have no element", a, to_string(x)),
                "give the symbol a bound: Dim(\"n\", {.min = 1})");
  }
  /// The extent of axis a of the images.
  Tensor extent(std::int64_t a) { return of.count({x.dim(a + 2)}, {0}, boxes.dtype()); }
  Composite of;
  Tensor x, boxes, indices;
};

/// One axis of boxes aligned to bins: where they start and how long they are.
struct Span {
  Tensor first, length;  ///< [n]
};
Span span_of(const Tensor& boxes, std::int64_t a, const RoiAlignOptions& options) {
  const double shift = options.half_pixel ? 0.5 : 0;
  const Tensor first = coordinate(boxes, 1 - a) * options.spatial_scale - shift;
  const Tensor length = coordinate(boxes, 3 - a) * options.spatial_scale - shift - first;
  return {first, options.half_pixel ? length : maximum(length, 1)};
}

/// The elements that a sample at c uses, of n; samples outside of -1 .. n are 0.
std::vector<Tap> taps_within(const Tensor& c, const Tensor& n) {
  const Tensor counts = logical_and(greater_equal(c, -1), less_equal(c, n));
  const Tensor inside = clamp(c, 0, n - 1), at = floor(inside), part = inside - at;
  return {{at, select(counts, 1 - part, 0)}, {minimum(at + 1, n - 1), select(counts, part, 0)}};
}

/// The means of as many samples per bin as its length says: along each axis a matrix [n, bins, extent] of the weights that the elements
/// have. The loop goes on for as many samples as the longest bin has.
Tensor means_of_all_samples(Boxes& b, std::int64_t height, std::int64_t width, const RoiAlignOptions& options) {
  std::vector<Tensor> weights;
  for (std::int64_t a = 0; a < 2; ++a) {
    const std::int64_t bins = a == 0 ? height : width;
    const Dim n = b.boxes.dim(0);
    const Dims lines{n, bins, b.x.dim(a + 2)};
    const Span span = span_of(b.boxes, a, options);
    const Tensor size = span.length / static_cast<double>(bins), samples = ceil(size);
    const Tensor bin = b.of.iota(b.boxes.dtype(), {n, bins}, 1), element = b.of.iota(b.boxes.dtype(), lines, 2);
    const Tensor extent = b.extent(a), most = reduce_max(samples);
    const auto added = [&](const std::vector<Tensor>& v) {
      const Tensor inside_bin = (v[0] + 0.5) / maximum(samples, 1);
      const Tensor c = spread(span.first, {n, bins}, {0}) + spread(size, {n, bins}, {0}) * (bin + spread(inside_bin, {n, bins}, {0}));
      Tensor sum = v[1];
      for (const Tap& tap : taps_within(c, extent)) {
        const Tensor weight = select(spread(less(v[0], samples), {n, bins}, {0}), tap.weight, 0);
        sum = sum + select(equal(element, spread(tap.index, lines, {0, 1})), spread(weight, lines, {0, 1}), 0);
      }
      return std::vector<Tensor>{v[0] + 1, sum};
    };
    const Tensor sums = while_loop([&](const std::vector<Tensor>& v) { return less(v[0], most); }, added,
                                   {b.of.number(0, b.boxes.dtype()), b.of.full(b.boxes.dtype(), lines, 0)})[1];
    weights.push_back(sums / spread(maximum(samples, 1), lines, {0}));
  }
  return einsum("nyh,nchw,nxw->ncyx", {weights[0], take(b.x, b.indices, 0), weights[1]});
}

}  // namespace

Tensor roi_align(const Operand& x, const Operand& boxes, const Operand& indices, std::int64_t height, std::int64_t width,
                 const RoiAlignOptions& options) {
  Boxes b({&x, &boxes}, indices, "roi_align");
  const std::int64_t ratio = options.sampling_ratio;
  b.of.require(ratio >= (options.maximum ? 1 : 0) && height >= 1 && width >= 1,
               fmt::format("{} x {} bins with {} samples per axis", height, width, ratio),
               "bins are at least 1; so are samples, or 0 where their number follows from the boxes, which goes with means alone");
  if (ratio == 0) return means_of_all_samples(b, height, width, options);
  const Dim count = b.boxes.dim(0);
  const Dims places{count, height * ratio, width * ratio};
  std::vector<std::vector<Tap>> taps;
  for (std::int64_t a = 0; a < 2; ++a) {
    const std::int64_t bins = a == 0 ? height : width;
    const Span span = span_of(b.boxes, a, options);
    const Dims lines{count, bins * ratio};
    const Tensor sample = (b.of.iota(b.boxes.dtype(), lines, 1) + 0.5) / static_cast<double>(bins * ratio);
    const Tensor c = spread(span.first, lines, {0}) + spread(span.length, lines, {0}) * sample;
    std::vector<Tap> spread_taps;
    for (const Tap& tap : taps_within(c, b.extent(a)))
      spread_taps.push_back({spread(tap.index, places, {0, a + 1}), spread(tap.weight, places, {0, a + 1})});
    taps.push_back(std::move(spread_taps));
  }
  const Tensor batch = with_last_axis(spread(convert(b.indices, i64), places, {0}));
  const Tensor samples = sampled(channels_to_end(b.x), taps, batch, 0, options.maximum);  // [n, height * ratio, width * ratio, channels]
  const Tensor bins = reshaped(samples, {count, height, ratio, width, ratio, b.x.dim(1)});
  return channels_from_end(options.maximum ? reduce_max(bins, {2, 4}) : reduce_mean(bins, {2, 4}));
}

Tensor roi_pool(const Operand& x, const Operand& boxes, const Operand& indices, std::int64_t height, std::int64_t width,
                double spatial_scale) {
  Boxes b({&x, &boxes}, indices, "roi_pool");
  b.of.require(height >= 1 && width >= 1, fmt::format("{} x {} bins", height, width), "there is at least one");
  const Dim n = b.boxes.dim(0);
  std::vector<Tensor> masks;  // [n, bins, extent]: which elements a bin covers
  for (std::int64_t a = 0; a < 2; ++a) {
    const std::int64_t bins = a == 0 ? height : width;
    const Dims lines{n, bins, b.x.dim(a + 2)};
    const Tensor first = round_away(coordinate(b.boxes, 1 - a) * spatial_scale);
    const Tensor length = maximum(round_away(coordinate(b.boxes, 3 - a) * spatial_scale) - first + 1, 1);
    const Tensor bin = b.of.iota(b.boxes.dtype(), {n, bins}, 1), size = spread(length / static_cast<double>(bins), {n, bins}, {0});
    const Tensor start = spread(first, {n, bins}, {0}) + floor(bin * size), end = spread(first, {n, bins}, {0}) + ceil((bin + 1) * size);
    const Tensor element = b.of.iota(b.boxes.dtype(), lines, 2);
    masks.push_back(logical_and(greater_equal(element, spread(start, lines, {0, 1})), less(element, spread(end, lines, {0, 1}))));
  }
  constexpr double nothing = -std::numeric_limits<double>::infinity();
  const Dim channels = b.x.dim(1), h = b.x.dim(2), w = b.x.dim(3);
  const Tensor images = take(b.x, b.indices, 0);
  const Dims by_column{n, channels, h, width, w}, by_row{n, channels, height, h, width};
  const Tensor rows = reduce_max(select(spread(masks[1], by_column, {0, 3, 4}), spread(images, by_column, {0, 1, 2, 4}), nothing), 4);
  const Tensor tops = reduce_max(select(spread(masks[0], by_row, {0, 2, 3}), spread(rows, by_row, {0, 1, 3, 4}), nothing), 3);
  const Tensor covers_rows = reduce_any(masks[0], 2), covers_columns = reduce_any(masks[1], 2);
  const Dims all = tops.dims();
  return select(logical_and(spread(covers_rows, all, {0, 2}), spread(covers_columns, all, {0, 3})), tops, 0);
}

// Columns of samples, one for each place of the window, which the weights multiply.
Tensor deform_conv(const Operand& x_, const Operand& weight_, const Operand& offsets_, const DeformableConvolutionOptions& options) {
  Composite of({&x_, &weight_, &offsets_}, "deform_conv");
  const Tensor x = of.tensor(x_), weight = of.tensor(weight_), offsets = of.tensor(offsets_);
  of.require_floating(x);
  const ir::Dims &of_weight = type_of(weight).dims, &of_offsets = type_of(offsets).dims;
  if (x.rank() != 4 || weight.rank() != 4 || offsets.rank() != 4)
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("{} with the weight {} and offsets {}", to_string(x), to_string(weight), to_string(offsets)),
            "x is [batch, channels, h, w], weight [out, channels / groups, window...], offsets [batch, 2 * places, out height, out width]");
  for (const std::size_t a : {2u, 3u}) {
    if (!of_weight[a].is_constant() || of_weight[a].constant() < 1)
      of.fail(ErrorCode::shape_mismatch,
              fmt::format("the weight {} has the extent {} in its window", to_string(weight), ir::to_string(of_weight[a])),
              "extents of the window are numbers, at least 1");
    if (ir::less_equal(1, type_of(x).dims[a]) != ir::Truth::yes)
      of.fail(ErrorCode::shape_mismatch, fmt::format("axis {} of {} may have no element", a, to_string(x)),
              "give the symbol a bound: Dim(\"n\", {.min = 1})");
  }
  const std::vector<std::int64_t> window{of_weight[2].constant(), of_weight[3].constant()};
  const std::vector<std::int64_t> strides = numbers_of(of, x, options.stride, 2, 1, "stride");
  const std::vector<std::int64_t> dilation = numbers_of(of, x, options.dilation, 2, 1, "dilation");
  const std::vector<std::int64_t> lengths{(window[0] - 1) * dilation[0] + 1, (window[1] - 1) * dilation[1] + 1};
  const Amounts amounts = amounts_of(of, x, options.padding, {type_of(x).dims[2], type_of(x).dims[3]}, lengths, strides);
  const std::int64_t places = window[0] * window[1];
  const ir::Dim channels = type_of(x).dims[1], out = of_weight[0];
  const bool known = channels.is_constant() && out.is_constant() && of_weight[1].is_constant() && of_offsets[1].is_constant();
  const std::int64_t offset_groups = known ? of_offsets[1].constant() / (2 * places) : 0;
  if (options.groups < 1 || !known || offset_groups < 1 || of_offsets[1].constant() % (2 * places) != 0 ||
      channels.constant() % offset_groups != 0 || channels.constant() != of_weight[1].constant() * options.groups ||
      out.constant() % options.groups != 0)
    of.fail(
        ErrorCode::shape_mismatch,
        fmt::format("channels of {}, the weight {} and the offsets {} do not go together in {} groups", to_string(x), to_string(weight),
                    to_string(offsets), options.groups),
        "the weight has channels / groups, and offsets have two channels for each place of the window, once or for each group of channels");
  Dims results{x.dim(0), offset_groups, places};
  for (std::size_t a = 0; a < 2; ++a) {
    const ir::Dim padded = amounts.low[a] + type_of(x).dims[a + 2] + amounts.high[a];
    const ir::Dim extent = max(floordiv(padded - lengths[a], strides[a]) + 1, 0);
    if (ir::equals(extent, of_offsets[a + 2]) != ir::Truth::yes || ir::equals(type_of(x).dims[0], of_offsets[0]) != ir::Truth::yes)
      of.fail(ErrorCode::shape_mismatch,
              fmt::format("{} has {} windows along axis {}, or another batch than the offsets {}", to_string(x), ir::to_string(extent),
                          a + 2, to_string(offsets)),
              "offsets have the batch and the extents of the result");
    results.push_back(DimValue::wrap(extent));
  }
  const Dim y = results[3], z = results[4];
  const Tensor moved = reshaped(offsets, {x.dim(0), offset_groups, places, 2, y, z});
  std::vector<std::vector<Tap>> taps;
  for (std::int64_t a = 0; a < 2; ++a) {
    const auto at = static_cast<std::size_t>(a);
    const Tensor offset = reshaped(slice(moved, {0, 0, 0, a, 0, 0}, {x.dim(0), offset_groups, places, a + 1, y, z}), results);
    const Tensor place = of.iota(i64, {places}, 0), within = a == 0 ? place / window[1] : place % window[1];
    const Tensor low = of.count({DimValue::wrap(amounts.low[at])}, {0}, i64);
    const Tensor base =
        spread(of.iota(i64, {results[at + 3]}, 0) * strides[at] - low, results, {a + 3}) + spread(within * dilation[at], results, {2});
    const Tensor n = of.count({x.dim(a + 2)}, {0}, offsets.dtype());
    taps.push_back(taps_of(convert(base, offsets.dtype()) + offset, n, {}));
  }
  const Tensor image = transpose(
      reshaped(x, {x.dim(0), offset_groups, DimValue::wrap(floordiv(channels, offset_groups)), x.dim(2), x.dim(3)}), {0, 1, 3, 4, 2});
  Tensor samples = sampled(image, taps, {}, 2);  // [batch, offset groups, places, y, z, channels / offset groups]
  if (options.mask.valid()) {
    const Dims wanted{x.dim(0), offset_groups * places, y, z};
    if (!(options.mask.dims() == wanted))
      of.fail(ErrorCode::shape_mismatch, fmt::format("the mask {} is not {}", to_string(options.mask), to_string(wanted)),
              "it has one channel for each place of the window and group of offsets");
    samples = samples * with_last_axis(reshaped(options.mask, results));
  }
  const std::int64_t per_group = of_weight[1].constant();
  const Tensor columns = reshaped(transpose(samples, {0, 1, 5, 2, 3, 4}), {x.dim(0), options.groups, per_group, places, y, z});
  const Tensor filters = reshaped(weight, {options.groups, out.constant() / options.groups, per_group, places});
  const Tensor result = reshaped(einsum("ngckyx,gock->ngoyx", {columns, filters}), {x.dim(0), out.constant(), y, z});
  if (!options.bias.valid()) return result;
  if (options.bias.rank() != 1 || !(options.bias.dim(0) == Dim(out.constant())))
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("the bias is {}, but {} has {} channels", to_string(options.bias), to_string(result), out.constant()),
            "a bias has one number per output channel");
  return result + along(options.bias, 1, 4);
}

}  // namespace kiln

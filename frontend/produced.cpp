// Tensors whose size depends on values (kiln/produced.h).
//
// All of them compute what there can be at most, in order, and shrink it. Where a mask decides, a stable sort by the mask gives the
// positions. Tensors that follow are gathered at the positions, so that they have the same extent.
#include "kiln/produced.h"

#include <fmt/format.h>
#include <algorithm>

#include "frontend/order.h"
#include "kiln/arrangement.h"
#include "kiln/control.h"
#include "kiln/cumulative.h"

namespace kiln {

using namespace detail;

namespace {

std::string name_or(const std::string& name, const char* otherwise) { return name.empty() ? otherwise : name; }

/// Checks the user's bound.
void use_bound(Composite& of, const Dim& bound) {
  const ir::Dim dim = DimValue::unwrap(bound);
  if (ir::less(dim, 0) == ir::Truth::yes)
    of.fail(ErrorCode::invalid_argument, fmt::format("max_size is {}", to_string(bound)), "it is at least 0");
  of.state().use_symbols({dim}, of.emitter().location());
  of.state().require_fed({dim}, of.emitter().op() + std::string(": max_size"), of.emitter().location());
}

Tensor holds(const Tensor& x) { return x.dtype() == DType::boolean ? x : not_equal(x, 0); }

/// A dim as an i64 scalar.
Tensor extent(Composite& of, const Dims& dims, std::size_t axis) { return of.count(dims, {static_cast<std::int64_t>(axis)}, i64); }

}  // namespace

Tensor flatnonzero(const Operand& operand, const ProducedOptions& options) {
  Composite of({&operand}, "flatnonzero");
  const Tensor x = of.tensor(operand);
  if (options.max_size) use_bound(of, *options.max_size);
  return true_positions(of, holds(flatten(x)), name_or(options.name, "flatnonzero"), options.max_size);
}

Tensor nonzero(const Operand& operand, PositionLayout layout, const ProducedOptions& options) {
  Composite of({&operand}, "nonzero");
  const Tensor x = of.tensor(operand);
  if (options.max_size) use_bound(of, *options.max_size);
  const Tensor flat = true_positions(of, holds(flatten(x)), name_or(options.name, "nonzero"), options.max_size);
  const std::int64_t axis = layout == PositionLayout::rows ? 1 : 0;
  if (x.rank() == 0) return of.full(i64, axis == 1 ? Dims{flat.dim(0), 0} : Dims{0, flat.dim(0)}, 0);
  std::vector<Tensor> positions(x.rank());
  Tensor rest = flat;
  for (std::size_t d = x.rank(); d-- > 0;) {
    const Tensor size = extent(of, x.dims(), d);
    positions[d] = d == 0 ? rest : remainder(rest, size);
    if (d > 0) rest = rest / size;
  }
  return stack(positions, axis, {});
}

Tensor boolean_mask(const Operand& operand, const Tensor& mask, std::int64_t axis, const ProducedOptions& options) {
  Composite of({&operand}, "boolean_mask");
  const Tensor x = of.tensor(operand);
  if (options.max_size) use_bound(of, *options.max_size);
  if (mask.dtype() != DType::boolean)
    of.fail(ErrorCode::dtype_mismatch, fmt::format("the mask is {}", to_string(mask)), "compare first: boolean_mask(x, greater(x, 0))");
  const std::size_t first = x.rank() == 0 ? 0 : static_cast<std::size_t>(of.axis(axis, x)), count = mask.rank();
  bool fits = count > 0 && first + count <= x.rank();
  for (std::size_t d = 0; fits && d < count; ++d)
    fits = ir::equals(DimValue::unwrap(mask.dim(static_cast<std::int64_t>(d))),
                      DimValue::unwrap(x.dim(static_cast<std::int64_t>(first + d)))) == ir::Truth::yes;
  if (!fits)
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("the mask {} does not have the extents of {} from axis {} on", to_string(mask), to_string(x), first),
            "a mask has one element for each part that is kept or left out");
  Dims joined;
  Dim masked = 1;
  for (std::size_t d = 0; d < x.rank(); ++d) {
    const Dim extent = x.dims()[d];
    if (d < first || d >= first + count) {
      joined.push_back(extent);
      continue;
    }
    masked = masked * extent;
    if (d + 1 == first + count) joined.push_back(masked);
  }
  const Tensor positions = true_positions(of, flatten(mask), name_or(options.name, "mask"), options.max_size);
  return take(reshaped(x, joined), positions, static_cast<std::int64_t>(first));
}

Tensor compress(const Tensor& condition, const Operand& operand, std::optional<std::int64_t> axis, const ProducedOptions& options) {
  Composite of({&operand}, "compress");
  const Tensor x = of.tensor(operand);
  if (condition.rank() != 1)
    of.fail(ErrorCode::shape_mismatch, fmt::format("the condition is {}, no vector", to_string(condition)),
            "boolean_mask() takes masks of several axes");
  ProducedOptions own = options;
  if (own.name.empty()) own.name = "compress";
  return axis ? boolean_mask(x, condition, *axis, own) : boolean_mask(flatten(x), condition, 0, own);
}

namespace {

/// The distinct slices along dim 0, whose sorted order is `order` and in which `starts` says whether a slice differs from the one before.
/// The inverse is a vector.
Unique distinct(Composite& of, const Tensor& x, const Tensor& order, const Tensor& starts, const UniqueOptions& options) {
  const Tensor firsts = true_positions(of, starts, name_or(options.name, "unique"), options.max_size);
  Unique result;
  result.values = take(x, take(order, firsts, 0), 0);
  // Runs end before the next one starts; as many ends as there are values.
  const auto padded = [&](const Tensor& t, const Tensor& value, const ir::Dim& low, const ir::Dim& high) {
    return apply(ir::Op::pad, {t, value}, {{"low", ir::Dims{low}}, {"high", ir::Dims{high}}, {"interior", std::vector<std::int64_t>{0}}});
  };
  const Tensor is_end = padded(starts, of.number(1, DType::boolean), -1, 1);
  const ir::Dim cut = DimValue::unwrap(firsts.dim(0)) - DimValue::unwrap(starts.dim(0));
  result.counts = padded(order_of({logical_not(is_end)}, 0, false), of.number(0, i64), 0, cut) - firsts + 1;
  result.first_indices = take(order, firsts, 0);
  const Tensor group = cumsum(convert(starts, i64), 0) - 1;
  result.inverse = take(group, order_of({order}, 0, false), 0);
  if (options.sorted) return result;
  const Tensor by_appearance = order_of({result.first_indices}, 0, false);
  result.values = take(result.values, by_appearance, 0);
  result.counts = take(result.counts, by_appearance, 0);
  result.first_indices = take(result.first_indices, by_appearance, 0);
  result.inverse = take(order_of({by_appearance}, 0, false), result.inverse, 0);
  return result;
}

}  // namespace

Unique unique(const Operand& operand, const UniqueOptions& options) {
  Composite of({&operand}, "unique");
  const Tensor x = of.tensor(operand), flat = flatten(x);
  if (options.max_size) use_bound(of, *options.max_size);
  const Tensor order = order_of({flat}, 0, false), sorted = take_along(flat, order, 0);
  const Tensor place = of.iota(i64, flat.dims(), 0);
  const Tensor starts = logical_or(equal(place, 0), comes_before(previous_along(sorted, 0, of.number(0, x.dtype())), sorted));
  Unique result = distinct(of, flat, order, starts, options);
  result.inverse = reshaped(result.inverse, x.dims());
  return result;
}

// Slices are sorted by their last element first, then stably by the one before it, and so on.
Unique unique(const Operand& operand, std::int64_t axis, const UniqueOptions& options) {
  Composite of({&operand}, "unique");
  const Tensor x = of.tensor(operand);
  of.require_rank(x, 1, "what has slices", "unique() without an axis takes scalars too");
  if (options.max_size) use_bound(of, *options.max_size);
  const std::int64_t dim = of.axis(axis, x);
  const Tensor front = moveaxis(x, dim, 0);
  const Dim count = front.dim(0);
  Dim width = 1;
  for (std::size_t d = 1; d < front.rank(); ++d) width = width * front.dims()[d];
  const Tensor columns = transpose(reshaped(front, {count, width}));
  const Tensor place = of.iota(i64, {count}, 0), last = of.count({width}, {0}, i64) - 1;
  const Tensor order = for_loop(width,
                                [&](const Tensor& i, const std::vector<Tensor>& so_far) {
                                  const Tensor column = take(columns, last - i, 0);
                                  return std::vector{take(so_far[0], order_of({take(column, so_far[0], 0)}, 0, false), 0)};
                                },
                                {place})[0];
  const Tensor sorted = take(reshaped(front, {count, width}), order, 0);
  const Tensor before = previous_along(sorted, 0, of.number(0, x.dtype()));
  const Tensor differs = reduce_any(logical_or(comes_before(before, sorted), comes_before(sorted, before)), 1);
  Unique result = distinct(of, front, order, logical_or(equal(place, 0), differs), options);
  result.values = moveaxis(result.values, 0, dim);
  return result;
}

Tensor range(const Operand& first, const Operand& end, const Operand& stride, const Dim& max_size, const ProducedOptions& options) {
  Composite of({&first, &end, &stride}, "range");
  const Tensor start = of.tensor(first), limit = of.tensor(end), step = of.tensor(stride);
  use_bound(of, max_size);
  for (const Tensor& scalar : {start, limit, step})
    if (scalar.rank() != 0 || scalar.dtype() == DType::boolean)
      of.fail(ErrorCode::shape_mismatch, fmt::format("takes scalars of numbers, but was given {}", to_string(scalar)));
  Tensor count;
  if (is_floating(start.dtype())) {
    count = convert(ceil((limit - start) / step), i64);
    count = select(equal(step, 0), 0, count);
  } else {
    const Tensor from = convert(start, i64), to = convert(limit, i64), by = convert(step, i64);
    const Tensor up = (to - from + by - 1) / by, down = (from - to - by - 1) / -by;
    count = select(greater(by, 0), select(greater(to, from), up, 0), select(logical_and(less(by, 0), less(to, from)), down, 0));
  }
  const Tensor all = of.iota(i64, {max_size}, 0);
  const Tensor places = shrink(of, all, count, name_or(options.name, "range"));
  return start + convert(places, start.dtype()) * step;
}

Tensor repeat(const Operand& operand, const Tensor& counts, const Dim& max_size, std::int64_t axis, const ProducedOptions& options) {
  Composite of({&operand}, "repeat");
  const Tensor x = of.tensor(operand);
  use_bound(of, max_size);
  of.require_rank(x, 1, "what is repeated", "reshape(x, {1}) makes a vector of a scalar");
  of.require_integer(counts, "the counts");
  const std::int64_t dim = of.axis(axis, x);
  if (counts.rank() != 1 || ir::equals(DimValue::unwrap(counts.dim(0)), DimValue::unwrap(x.dim(dim))) != ir::Truth::yes)
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("the counts {} do not have one element for each of axis {} of {}", to_string(counts), dim, to_string(x)),
            "broadcast_to() repeats a single count");
  const Tensor wide = maximum(convert(counts, i64), 0), ends = cumsum(wide, 0);
  const Tensor places = shrink(of, of.iota(i64, {max_size}, 0), reduce_sum(wide), name_or(options.name, "repeat"));
  return take(x, places_in(of, ends, places, true), dim);
}

namespace {

/// Corners {low y, low x, high y, high x} of boxes, each [batch, 1, n].
struct Corners {
  Tensor low_y, low_x, high_y, high_x;
};

Corners corners_of(const Tensor& boxes, bool center_point) {
  const auto coordinate = [&](std::int64_t k) {
    const Tensor one = slice(boxes, {0, 0, k}, {boxes.dim(0), boxes.dim(1), k + 1});
    return reshaped(one, {boxes.dim(0), 1, boxes.dim(1)});
  };
  const Tensor a = coordinate(0), b = coordinate(1), c = coordinate(2), d = coordinate(3);
  if (center_point) return {b - d / 2, a - c / 2, b + d / 2, a + c / 2};
  return {minimum(a, c), minimum(b, d), maximum(a, c), maximum(b, d)};
}

}  // namespace

/// Boxes of all batches and classes are sorted by score, and step i lets the i-th best ones that are still there suppress what they
/// overlap: n steps of n comparisons, and no n * n matrix.
Tensor non_max_suppression(const Operand& box_operand, const Operand& score_operand, const NonMaxSuppressionOptions& options) {
  Composite of({&box_operand, &score_operand}, "non_max_suppression");
  const Tensor boxes = stop_gradient(of.tensor(box_operand)), scores = stop_gradient(of.tensor(score_operand));
  of.require_floating(scores);
  const bool shapes =
      boxes.rank() == 3 && scores.rank() == 3 && boxes.dim(2) == Dim(4) && boxes.dim(0) == scores.dim(0) && boxes.dim(1) == scores.dim(2);
  if (!shapes)
    of.fail(ErrorCode::shape_mismatch, fmt::format("boxes {} and scores {} do not fit together", to_string(boxes), to_string(scores)),
            "boxes are [batch, n, 4], scores [batch, classes, n]");
  of.require(options.max_output_per_class >= 0, fmt::format("max_output_per_class is {}", options.max_output_per_class),
             "it is at least 0");
  of.require(options.iou_threshold >= 0 && options.iou_threshold <= 1, fmt::format("iou_threshold is {}", options.iou_threshold),
             "it lies between 0 and 1");
  const Dims dims = scores.dims();
  const Tensor order = order_of({scores}, 2, true);
  const auto in_order = [&](const Tensor& x) { return take_along(broadcast_to(x, dims), order, 2); };
  const Corners given = corners_of(boxes, options.center_point_box);
  const Corners box{in_order(given.low_y), in_order(given.low_x), in_order(given.high_y), in_order(given.high_x)};
  const Tensor area = (box.high_y - box.low_y) * (box.high_x - box.low_x);
  const Tensor score = take_along(scores, order, 2);
  const Tensor place = of.iota(i64, dims, 2);
  Tensor candidate = equal(score, score);
  if (options.score_threshold) candidate = greater(score, *options.score_threshold);

  const Dims best_dims{dims[0], dims[1], 1};
  const Tensor steps = extent(of, dims, 2);
  const Tensor kept = while_loop([&](const std::vector<Tensor>& v) { return less(v[0], steps); },
                                 [&](const std::vector<Tensor>& v) {
                                   const Tensor at = broadcast_to(v[0], best_dims);
                                   const auto best = [&](const Tensor& x) { return take_along(x, at, 2); };
                                   const Tensor height = minimum(box.high_y, best(box.high_y)) - maximum(box.low_y, best(box.low_y));
                                   const Tensor width = minimum(box.high_x, best(box.high_x)) - maximum(box.low_x, best(box.low_x));
                                   const Tensor common = maximum(height, 0) * maximum(width, 0);
                                   const Tensor overlaps = greater(common, options.iou_threshold * (area + best(area) - common));
                                   const Tensor lost = logical_and(logical_and(overlaps, best(v[1])), greater(place, v[0]));
                                   return std::vector<Tensor>{v[0] + 1, logical_and(v[1], logical_not(lost))};
                                 },
                                 {of.number(0, i64), candidate})[1];
  const Tensor chosen = logical_and(kept, less_equal(cumsum(convert(kept, i64), 2), options.max_output_per_class));
  const Tensor flat = true_positions(of, flatten(chosen), name_or(options.name, "selected"), {});
  const Tensor classes = extent(of, dims, 1), n = extent(of, dims, 2);
  return stack({flat / (classes * n), remainder(flat / n, classes), take(flatten(order), flat, 0)}, 1);
}

}  // namespace kiln

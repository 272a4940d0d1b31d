// tensor[...] and windows at computed places (kiln/indexing.h).
#include <fmt/format.h>

#include "frontend/indexing.h"

namespace kiln {

using namespace detail;

namespace {

/// The starts as integer scalars, one per axis of x.
std::vector<Tensor> starts_of(Composite& c, const Tensor& x, std::initializer_list<Operand> starts) {
  if (starts.size() != x.rank())
    c.fail(ErrorCode::invalid_argument, fmt::format("{} has {} axes, but there are {} starts", to_string(x), x.rank(), starts.size()),
           "give one start for every axis");
  std::vector<Tensor> result;
  for (const Operand& start : starts) {
    result.push_back(index_tensor(c, start));
    if (result.back().rank() != 0)
      c.fail(ErrorCode::shape_mismatch, fmt::format("a start must be a scalar, but is {}", to_string(result.back())), "squeeze() it");
  }
  return result;
}

void require_window(const Composite& c, const Tensor& x, const ir::Dims& sizes) {
  const ir::Dims& extents = type_of(x).dims;
  bool fits = sizes.size() == extents.size();
  for (std::size_t d = 0; fits && d < sizes.size(); ++d)
    fits = ir::less_equal(0, sizes[d]) != ir::Truth::no && ir::less_equal(sizes[d], extents[d]) != ir::Truth::no;
  if (!fits)
    c.fail(ErrorCode::shape_mismatch, fmt::format("there is no window of {} in {}", ir::to_string(sizes), to_string(x)),
           "give one extent for every axis, none larger than the tensor's");
}

/// A range of elements along one axis: `step` apart from `start` on, in reverse where `reversed`.
struct Range {
  ir::Dim start, limit;
  std::int64_t step = 1;
  bool reversed = false;
};

/// Python's slice of an axis of extent n, with everything outside cut off.
Range range_of(const Composite& c, const Slice& slice, const ir::Dim& n, std::size_t axis) {
  if (slice.step == 0) c.fail(ErrorCode::invalid_argument, fmt::format("the step of axis {} is 0", axis), "a negative one walks backwards");
  const bool back = slice.step < 0;
  // Positions from `least` to `most`: 0 .. n, or -1 .. n - 1 when walking backwards.
  const ir::Dim least = back ? -1 : 0, most = back ? n - 1 : n;
  const auto position = [&](const std::optional<Dim>& at, const ir::Dim& otherwise) {
    if (!at) return otherwise;
    ir::Dim value = DimValue::unwrap(*at);
    if (ir::less(value, 0) == ir::Truth::yes) value += n;
    return ir::max(ir::min(value, most), least);
  };
  ir::Dim start = position(slice.start, back ? most : least);
  const ir::Dim stop = position(slice.stop, back ? least : most);
  // n - max(n - k, 0) is min(k, n); written so, x[k:] has the extent of x[:-k].
  if (!back && slice.start && !slice.stop) {
    const ir::Dim k = DimValue::unwrap(*slice.start);
    if (ir::less(k, 0) == ir::Truth::no) start = n - ir::max(n - k, 0);
  }
  if (!back) return {start, ir::max(start, stop), slice.step, false};
  // Backwards from `start`: the elements are those from the last one up to `start`, turned round.
  const std::int64_t stride = -slice.step;
  const ir::Dim count = ir::max(ir::ceildiv(start - stop, stride), 0);
  const ir::Dim limit = start + 1, first = limit - ir::max((count - 1) * ir::Dim(stride) + 1, 0);
  return {first, limit, stride, true};
}

}  // namespace

Tensor dynamic_slice(const Operand& x, std::initializer_list<Operand> starts, const Dims& sizes) {
  Composite c({&x}, "dynamic_slice");
  const Tensor values = c.tensor(x);
  const ir::Dims window = to_ir(sizes);
  c.state().use_symbols(window, c.emitter().location());
  std::vector<Tensor> operands{values};
  for (Tensor& start : starts_of(c, values, starts)) operands.push_back(std::move(start));
  require_window(c, values, window);
  return detail::apply(ir::Op::dynamic_slice, operands, window.empty() ? ir::Attributes() : ir::Attributes{{"sizes", window}});
}

Tensor dynamic_update_slice(const Operand& x, const Operand& update, std::initializer_list<Operand> starts) {
  Composite c({&x}, "dynamic_update_slice");
  const Tensor values = c.tensor(x), window = update.is_tensor() ? c.tensor(update) : c.number(update.scalar(), values.dtype());
  if (window.dtype() != values.dtype())
    c.fail(ErrorCode::dtype_mismatch, fmt::format("{} and update {} differ in dtype", to_string(values), to_string(window)),
           fmt::format("convert one of them: convert(update, {})", name_of(values.dtype())));
  require_window(c, values, type_of(window).dims);
  std::vector<Tensor> operands{values, window};
  for (Tensor& start : starts_of(c, values, starts)) operands.push_back(std::move(start));
  return detail::apply(ir::Op::dynamic_update_slice, operands);
}

Tensor index(const Operand& x, std::initializer_list<Index> indices) {
  Composite c({&x}, "index");
  Tensor result = c.tensor(x);
  const std::size_t rank = result.rank();
  std::size_t used = 0, ellipses = 0, tensors = 0;
  for (const Index& entry : indices) {
    const bool is_ellipsis = std::holds_alternative<Ellipsis>(entry.entry());
    ellipses += is_ellipsis;
    tensors += std::holds_alternative<Tensor>(entry.entry());
    used += !is_ellipsis && !std::holds_alternative<NewAxis>(entry.entry());
  }
  if (ellipses > 1) c.fail(ErrorCode::invalid_argument, "there are two ellipses", "one stands for all axes that are left");
  if (tensors > 1) c.fail(ErrorCode::invalid_argument, "there are two index tensors", "gather_nd() takes vectors of indices");
  if (used > rank)
    c.fail(ErrorCode::invalid_argument, fmt::format("{} has {} axes, but there are {} indices", to_string(result), rank, used),
           "at most one for each axis; new_axis adds one");

  // Ranges and numbers first, as one slice; then what removes, adds and replaces axes, from the last to the first.
  const ir::Dims extents = type_of(result).dims;
  Dims starts, limits;
  std::vector<std::int64_t> steps, reversed;
  enum class Change : std::uint8_t { keep, remove, add, take };
  std::vector<std::pair<Change, Tensor>> changes;  // of the axes of the sliced tensor, and new ones between them
  std::size_t axis = 0;
  const auto whole = [&] {
    starts.push_back(0);
    limits.push_back(DimValue::wrap(extents[axis++]));
    steps.push_back(1);
    changes.emplace_back(Change::keep, Tensor());
  };
  for (const Index& one : indices) {
    if (std::holds_alternative<NewAxis>(one.entry())) {
      changes.emplace_back(Change::add, Tensor());
    } else if (std::holds_alternative<Ellipsis>(one.entry())) {
      for (std::size_t k = rank - used; k > 0; --k) whole();
    } else if (const auto* tensor = std::get_if<Tensor>(&one.entry())) {
      whole();
      changes.back() = {Change::take, *tensor};
    } else if (const auto* slice = std::get_if<Slice>(&one.entry())) {
      const Range range = range_of(c, *slice, extents[axis], axis);
      if (range.reversed) reversed.push_back(static_cast<std::int64_t>(axis));
      whole();
      starts[axis - 1] = DimValue::wrap(range.start);
      limits[axis - 1] = DimValue::wrap(range.limit);
      steps.back() = range.step;
    } else {
      ir::Dim at = DimValue::unwrap(std::get<Dim>(one.entry()));
      if (ir::less(at, 0) == ir::Truth::yes) at += extents[axis];
      if (ir::less(at, 0) == ir::Truth::yes || ir::less(at, extents[axis]) == ir::Truth::no)
        c.fail(ErrorCode::invalid_argument,
               fmt::format("axis {} of {} has no element {}", axis, to_string(result), to_string(std::get<Dim>(one.entry()))),
               "negative numbers count from the back");
      whole();
      starts[axis - 1] = DimValue::wrap(at);
      limits[axis - 1] = DimValue::wrap(at + 1);
      changes.back().first = Change::remove;
    }
  }
  while (axis < rank) whole();
  result = slice(result, starts, limits, steps);
  if (!reversed.empty()) result = reverse(result, Axes(reversed));
  std::int64_t place = static_cast<std::int64_t>(rank);
  for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
    if (change->first != Change::add) --place;
    if (change->first == Change::remove) result = squeeze(result, place);
    if (change->first == Change::add) result = expand_dims(result, place);
    if (change->first == Change::take) {
      const Tensor at = index_tensor(c, change->second);
      result = take(result, from_back(c, at, {result.dim(place)}), place);
    }
  }
  return result;
}

}  // namespace kiln

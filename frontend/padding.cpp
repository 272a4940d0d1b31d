// Padding modes (kiln/padding.h).
//
// Each axis in turn becomes `concatenate(before, x, after)` with parts that are slices of x, turned round where the mode mirrors. That
// needs amounts which are known not to exceed what the mode can take from x once. Others gather: position i reads x at a place that follows
// from i by clamping, or by the remainder of a division by the mode's period.
#include "kiln/padding.h"

#include <fmt/format.h>

#include "frontend/composite.h"
#include "kiln/indexing.h"

namespace kiln {

using namespace detail;

namespace {

Tensor part_of(const Tensor& x, std::size_t axis, const ir::Dim& start, const ir::Dim& limit, bool turned) {
  const ir::Dims dims = type_of(x).dims;
  ir::Dims starts(dims.size(), ir::Dim(0)), limits = dims;
  starts[axis] = start;
  limits[axis] = limit;
  const Tensor part =
      apply(ir::Op::slice, {x}, {{"starts", starts}, {"limits", limits}, {"strides", std::vector<std::int64_t>(dims.size(), 1)}});
  return turned ? apply(ir::Op::reverse, {part}, {{"dimensions", std::vector<std::int64_t>{static_cast<std::int64_t>(axis)}}}) : part;
}

/// The elements before (or after) x, for an amount that the mode takes from x at once.
Tensor part_beyond(const Tensor& x, std::size_t axis, const ir::Dim& amount, PadMode mode, bool before) {
  const ir::Dim n = type_of(x).dims[axis];
  switch (mode) {
    case PadMode::edge: {
      const Tensor last = before ? part_of(x, axis, 0, 1, false) : part_of(x, axis, n - 1, n, false);
      ir::Dims dims = type_of(x).dims, squeezed = dims;
      dims[axis] = amount;
      squeezed.erase(squeezed.begin() + static_cast<std::ptrdiff_t>(axis));
      std::vector<std::int64_t> positions;
      for (std::size_t d = 0; d < dims.size(); ++d)
        if (d != axis) positions.push_back(static_cast<std::int64_t>(d));
      return spread(reshaped(last, from_ir(squeezed)), from_ir(dims), positions);
    }
    case PadMode::reflect: return before ? part_of(x, axis, 1, amount + 1, true) : part_of(x, axis, n - 1 - amount, n - 1, true);
    case PadMode::symmetric: return before ? part_of(x, axis, 0, amount, true) : part_of(x, axis, n - amount, n, true);
    case PadMode::wrap: break;
  }
  return before ? part_of(x, axis, n - amount, n, false) : part_of(x, axis, 0, amount, false);
}

/// Whether `amount` elements can be taken at once from n.
bool takes_at_once(const ir::Dim& amount, const ir::Dim& n, PadMode mode) {
  if (mode == PadMode::edge) return true;
  return ir::less_equal(mode == PadMode::reflect ? amount + 1 : amount, n) == ir::Truth::yes;
}

Tensor gathered(Composite& of, const Tensor& x, std::size_t axis, const ir::Dim& low, const ir::Dim& total, PadMode mode) {
  const Dim n = x.dim(static_cast<std::int64_t>(axis));
  const auto number = [&](const ir::Dim& dim) { return of.count(from_ir({dim}), {0}, i64); };
  const Tensor at = of.iota(i64, from_ir({total}), 0) - number(low);
  const ir::Dim extent = type_of(x).dims[axis];
  // The remainder of a division rounded down, as positions before x are negative.
  const auto remainder_of = [&](const Tensor& a, const ir::Dim& period) {
    const Tensor p = number(max(period, 1));
    return remainder(remainder(a, p) + p, p);
  };
  Tensor place;
  switch (mode) {
    case PadMode::edge: place = clamp(at, 0, number(extent - 1)); break;
    case PadMode::wrap: place = remainder_of(at, extent); break;
    case PadMode::reflect: {
      const Tensor m = remainder_of(at, 2 * extent - 2);
      place = minimum(m, number(2 * extent - 2) - m);
      break;
    }
    case PadMode::symmetric: {
      const Tensor m = remainder_of(at, 2 * extent);
      place = minimum(m, number(2 * extent - 1) - m);
      break;
    }
  }
  return take(x, maximum(place, 0), static_cast<std::int64_t>(axis));
}

}  // namespace

Tensor pad(const Operand& x_, const Dims& low_, const Dims& high_, PadMode mode) {
  Composite of({&x_}, "pad");
  Tensor x = of.tensor(x_);
  ir::Dims low = to_ir(low_), high = to_ir(high_);
  of.state().use_symbols(low, of.emitter().location());
  of.state().use_symbols(high, of.emitter().location());
  if (low.size() != x.rank() || high.size() != x.rank())
    of.fail(ErrorCode::invalid_argument,
            fmt::format("{} has {} axes, but low has {} entries and high {}", to_string(x), x.rank(), low.size(), high.size()),
            "give one amount for each axis, 0 where nothing is added");
  for (std::size_t axis = 0; axis < low.size(); ++axis) {
    for (const ir::Dim& amount : {low[axis], high[axis]})
      if (ir::less_equal(0, amount) != ir::Truth::yes && ir::less_equal(amount, 0) != ir::Truth::yes)
        of.fail(ErrorCode::invalid_argument, fmt::format("the amount {} of axis {} may have either sign", ir::to_string(amount), axis),
                "give its symbols bounds: Dim(\"n\", {.min = 1})");
    // Crop first.
    const ir::Dim n = type_of(x).dims[axis];
    const ir::Dim start = max(-low[axis], 0), limit = n - max(-high[axis], 0);
    if (!start.is_constant(0) || !(limit == n)) {
      if (ir::less_equal(start, limit) != ir::Truth::yes)
        of.fail(
            ErrorCode::shape_mismatch,
            fmt::format("axis {} of {} cannot be cropped by {} and {}", axis, to_string(x), ir::to_string(start), ir::to_string(n - limit)),
            "crop no more than there is; symbols may need bounds: Dim(\"n\", {.min = 4})");
      x = part_of(x, axis, start, limit, false);
    }
    low[axis] = max(low[axis], 0);
    high[axis] = max(high[axis], 0);
    if (low[axis].is_constant(0) && high[axis].is_constant(0)) continue;
    const ir::Dim extent = type_of(x).dims[axis];
    if (ir::less_equal(1, extent) != ir::Truth::yes)
      of.fail(ErrorCode::shape_mismatch,
              fmt::format("axis {} of {} may have no element to pad with: its extent is {}", axis, to_string(x), ir::to_string(extent)),
              "give the symbol a bound: Dim(\"n\", {.min = 1}); or pad with a number");
    if (takes_at_once(low[axis], extent, mode) && takes_at_once(high[axis], extent, mode)) {
      std::vector<Tensor> parts;
      if (!low[axis].is_constant(0)) parts.push_back(part_beyond(x, axis, low[axis], mode, true));
      parts.push_back(x);
      if (!high[axis].is_constant(0)) parts.push_back(part_beyond(x, axis, high[axis], mode, false));
      x = apply(ir::Op::concatenate, parts, {{"dim", static_cast<std::int64_t>(axis)}});
    } else {
      x = gathered(of, x, axis, low[axis], low[axis] + extent + high[axis], mode);
    }
  }
  return x;
}

}  // namespace kiln

// Running folds (kiln/cumulative.h), over cumulative and linear_recurrence.
#include "kiln/cumulative.h"

#include <fmt/format.h>
#include <limits>

#include "frontend/composite.h"
#include "frontend/wide.h"

namespace kiln {

using namespace detail;

namespace {

void require_number(const Composite& of, const Tensor& x) {
  if (x.dtype() == DType::boolean)
    of.fail(ErrorCode::dtype_mismatch, fmt::format("takes numbers, but was given {}", to_string(x)), "convert it first: convert(x, i64)");
}

Tensor cumulative(const Tensor& x, const char* combiner, std::int64_t axis, const CumulativeOptions& options = {}) {
  ir::Attributes attributes{{"combiner", std::string(combiner)}, {"dimension", axis}};
  if (options.exclusive) attributes = attributes.with("exclusive", true);
  if (options.reverse) attributes = attributes.with("reverse", true);
  return apply(ir::Op::cumulative, {x}, attributes);
}

Tensor of_numbers(const char* name, const char* combiner, const Operand& operand, std::int64_t axis, const CumulativeOptions& options) {
  Composite of({&operand}, name);
  const Tensor x = of.tensor(operand);
  require_number(of, x);
  return cumulative(x, combiner, of.axis(axis, x), options);
}

RunningExtremum extremum(const char* name, const char* combiner, const Operand& operand, std::int64_t axis) {
  Composite of({&operand}, name);
  const Tensor x = of.tensor(operand);
  require_number(of, x);
  const std::int64_t dim = of.axis(axis, x);
  const Tensor values = cumulative(x, combiner, dim);
  // Positions of records grow: the largest so far is the last.
  Tensor record = equal(x, values);
  if (is_floating(x.dtype())) record = logical_or(record, not_equal(x, x));
  const Tensor position = select(record, of.iota(i64, x.dims(), dim), 0);
  return {values, cumulative(position, "maximum", dim)};
}

/// element t = x[t - 1] along an axis, `fill` before the first.
Tensor delayed(Composite& of, const Tensor& x, std::int64_t axis, double fill) {
  const std::size_t rank = x.rank();
  ir::Dims low(rank, ir::Dim(0)), high = low;
  low[static_cast<std::size_t>(axis)] = 1;
  high[static_cast<std::size_t>(axis)] = -1;
  return apply(ir::Op::pad, {x, of.number(fill, x.dtype())},
               {{"low", low}, {"high", high}, {"interior", std::vector<std::int64_t>(rank, 0)}});
}

Tensor recurrence(const Tensor& a, const Tensor& b, std::int64_t axis, bool reverse) {
  ir::Attributes attributes{{"dimension", axis}};
  if (reverse) attributes = attributes.with("reverse", true);
  return apply(ir::Op::linear_recurrence, {a, b}, attributes);
}

}  // namespace

Tensor cumsum(const Operand& x, std::int64_t axis, const CumulativeOptions& options) {
  return of_numbers("cumsum", "add", x, axis, options);
}
Tensor cumprod(const Operand& x, std::int64_t axis, const CumulativeOptions& options) {
  return of_numbers("cumprod", "multiply", x, axis, options);
}
RunningExtremum cummax(const Operand& x, std::int64_t axis) { return extremum("cummax", "maximum", x, axis); }
RunningExtremum cummin(const Operand& x, std::int64_t axis) { return extremum("cummin", "minimum", x, axis); }

/// With m the largest element so far, s[t] = sum over u <= t of exp(x[u] - m[t]) is the recurrence
///   s[t] = exp(m[t-1] - m[t]) * s[t-1] + exp(x[t] - m[t]),
/// and m cancels in the derivative of m + log(s), so that it carries none. Infinite m are not subtracted: that would give inf - inf.
Tensor logcumsumexp(const Operand& operand, std::int64_t axis) {
  Composite of({&operand}, "logcumsumexp");
  const Tensor given = of.tensor(operand);
  of.require_floating(given);
  const std::int64_t dim = of.axis(axis, given);
  return in_wide(given, [&](const Tensor& x) {
    const Tensor top = stop_gradient(cumulative(x, "maximum", dim));
    const Tensor before = delayed(of, top, dim, -std::numeric_limits<double>::infinity());
    const Tensor shift = select(is_finite(top), top, 0);
    return shift + log(recurrence(exp(before - shift), exp(x - shift), dim, false));
  });
}

Tensor linear_recurrence(const Operand& a, const Operand& b, std::int64_t axis, bool reverse) {
  Composite of({&a, &b}, "linear_recurrence");
  const Tensor p = of.tensor(a), q = of.tensor(b);
  require_number(of, p);
  Emitter emitter({&a, &b}, "linear_recurrence");
  ir::ValueId values[] = {emitter.use(p), emitter.use(q)};
  emitter.broadcast(values);
  const Tensor left = emitter.wrap(values[0]), right = emitter.wrap(values[1]);
  return recurrence(left, right, of.axis(axis, left), reverse);
}

Tensor diff(const Operand& operand, std::int64_t order, std::int64_t axis) {
  Composite of({&operand}, "diff");
  Tensor x = of.tensor(operand);
  const std::int64_t dim = of.axis(axis, x);
  of.require(order >= 0, fmt::format("the order must not be negative, but is {}", order), "cumsum() goes the other way");
  for (std::int64_t i = 0; i < order; ++i) {
    const ir::Dims dims = type_of(x).dims;
    const ir::Dim n = dims[static_cast<std::size_t>(dim)];
    if (ir::less(n, 1) == ir::Truth::yes) return x;
    if (ir::less_equal(1, n) != ir::Truth::yes)
      of.fail(ErrorCode::shape_mismatch, fmt::format("axis {} of {} may have no elements, and then nothing to subtract", dim, to_string(x)),
              fmt::format("give the symbol a minimum: Dim(\"n\", {{.min = {}}})", order));
    std::vector<Dim> first(dims.size(), Dim(0)), second = first, all, but_last;
    for (const Dim& d : x.dims()) all.push_back(d);
    but_last = all;
    second[static_cast<std::size_t>(dim)] = 1;
    but_last[static_cast<std::size_t>(dim)] = but_last[static_cast<std::size_t>(dim)] - 1;
    const Tensor later = slice(x, second, all), earlier = slice(x, first, but_last);
    x = x.dtype() == DType::boolean ? not_equal(later, earlier) : later - earlier;
  }
  return x;
}

}  // namespace kiln

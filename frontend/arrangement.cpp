// Functions that arrange elements (kiln/arrangement.h).
#include <fmt/format.h>
#include <algorithm>
#include <cmath>

#include "frontend/indexing.h"
#include "kiln/arrangement.h"

namespace kiln {

using namespace detail;

namespace {

/// Elements begin .. end of one axis.
Tensor part_of(const Tensor& x, std::int64_t axis, const Dim& begin, const Dim& end) {
  Dims starts(std::vector<Dim>(x.rank(), Dim(0))), limits = x.dims();
  starts[static_cast<std::size_t>(axis)] = begin;
  limits[static_cast<std::size_t>(axis)] = end;
  return slice(x, starts, limits);
}

Dim extent_of(const Tensor& x, std::int64_t axis) { return x.dims()[static_cast<std::size_t>(axis)]; }

std::int64_t number_of(const Composite& c, const Tensor& x, std::int64_t axis) {
  const Dim extent = extent_of(x, axis);
  if (!extent.is_constant())
    c.fail(ErrorCode::shape_mismatch, fmt::format("axis {} of {} has no constant extent", axis, to_string(x)),
           "the number of results must be known");
  return extent.value();
}

/// column - row of every element of the last two axes, compared with k.
Tensor positions(Composite& c, const Tensor& x) {
  c.require_rank(x, 2, "a matrix", "it has rows and columns");
  const auto rank = static_cast<std::int64_t>(x.rank());
  return c.iota(DType::i64, x.dims(), rank - 1) - c.iota(DType::i64, x.dims(), rank - 2);
}

}  // namespace

std::vector<Tensor> split(const Operand& x, const Dims& sizes, std::int64_t axis) {
  Composite c({&x}, "split");
  const Tensor values = c.tensor(x);
  const std::int64_t along = c.axis(axis, values);
  const ir::Dim extent = DimValue::unwrap(extent_of(values, along));
  ir::Dims parts = to_ir(sizes);
  c.state().use_symbols(parts, c.emitter().location());
  ir::Dim rest = extent;
  std::optional<std::size_t> open;
  const auto fail = [&](const char* hint) {
    c.fail(ErrorCode::shape_mismatch, fmt::format("axis {} of {} cannot be cut into {}", along, to_string(values), to_string(sizes)), hint);
  };
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].is_constant(-1))
      rest -= parts[i];
    else if (open)
      fail("only one extent can be left open");
    else
      open = i;
  }
  if (open) parts[*open] = rest;
  if ((!open && ir::equals(rest, 0) != ir::Truth::yes) || ir::less(rest, 0) == ir::Truth::yes)
    fail("the extents add up to that of the axis; one may be -1");
  std::vector<Tensor> results;
  ir::Dim begin = 0;
  for (const ir::Dim& part : parts) {
    results.push_back(part_of(values, along, DimValue::wrap(begin), DimValue::wrap(begin + part)));
    begin += part;
  }
  return results;
}

std::vector<Tensor> split(const Operand& x, std::int64_t parts, std::int64_t axis) {
  Composite c({&x}, "split");
  const Tensor values = c.tensor(x);
  const std::int64_t along = c.axis(axis, values);
  c.require(parts > 0, fmt::format("{} parts are asked for", parts), "ask for at least one");
  const ir::Dim extent = DimValue::unwrap(extent_of(values, along)), part = ir::floordiv(extent, parts);
  if (ir::equals(part * ir::Dim(parts), extent) != ir::Truth::yes)
    c.fail(ErrorCode::shape_mismatch, fmt::format("axis {} of {} cannot be divided into {} equal parts", along, to_string(values), parts),
           "chunk() allows a shorter last part; a symbol may have {.multiple_of = ...}");
  return split(values, Dims(std::vector<Dim>(static_cast<std::size_t>(parts), DimValue::wrap(part))), along);
}

std::vector<Tensor> chunk(const Operand& x, std::int64_t parts, std::int64_t axis) {
  Composite c({&x}, "chunk");
  const Tensor values = c.tensor(x);
  const std::int64_t along = c.axis(axis, values), extent = number_of(c, values, along);
  c.require(parts > 0, fmt::format("{} parts are asked for", parts), "ask for at least one");
  const std::int64_t size = std::max<std::int64_t>((extent + parts - 1) / parts, 1);
  std::vector<Tensor> results;
  for (std::int64_t begin = 0; begin < extent || results.empty(); begin += size)
    results.push_back(part_of(values, along, begin, std::min(begin + size, extent)));
  return results;
}

std::vector<Tensor> unstack(const Operand& x, std::int64_t axis) {
  Composite c({&x}, "unstack");
  const Tensor values = c.tensor(x);
  const std::int64_t along = c.axis(axis, values), extent = number_of(c, values, along);
  std::vector<Tensor> results;
  for (std::int64_t i = 0; i < extent; ++i) results.push_back(squeeze(part_of(values, along, i, i + 1), along));
  return results;
}

Tensor squeeze(const Operand& x) {
  Composite c({&x}, "squeeze");
  const Tensor values = c.tensor(x);
  Dims kept;
  for (const Dim& dim : values.dims())
    if (!(dim == Dim(1))) kept.push_back(dim);
  return reshaped(values, kept);
}

Tensor moveaxis(const Operand& x, std::int64_t from, std::int64_t to) {
  Composite c({&x}, "moveaxis");
  const Tensor values = c.tensor(x);
  const std::int64_t source = c.axis(from, values), target = c.axis(to, values);
  std::vector<std::int64_t> order;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(values.rank()); ++d)
    if (d != source) order.push_back(d);
  order.insert(order.begin() + target, source);
  return source == target ? values : transpose(values, order);
}

Tensor swapaxes(const Operand& x, std::int64_t a, std::int64_t b) {
  Composite c({&x}, "swapaxes");
  const Tensor values = c.tensor(x);
  const std::int64_t first = c.axis(a, values), second = c.axis(b, values);
  return first == second ? values : swap_axes(values, first, second);
}

Tensor tile(const Operand& x, const Dims& repeats) {
  Composite c({&x}, "tile");
  const Tensor values = c.tensor(x);
  c.state().use_symbols(to_ir(repeats), c.emitter().location());
  std::vector<Dim> times(repeats.begin(), repeats.end()), extents;
  for (const Dim& dim : values.dims()) extents.push_back(dim);
  while (times.size() < extents.size()) times.insert(times.begin(), Dim(1));
  while (extents.size() < times.size()) extents.insert(extents.begin(), Dim(1));
  // [n1, n2] -> [r1, n1, r2, n2] -> [r1 * n1, r2 * n2]
  Dims repeated, flat;
  std::vector<std::int64_t> at;
  for (std::size_t d = 0; d < times.size(); ++d) {
    if (ir::less(DimValue::unwrap(times[d]), 0) == ir::Truth::yes)
      c.fail(ErrorCode::invalid_argument, fmt::format("axis {} is to be repeated {} times", d, to_string(times[d])),
             "repeats are 0 or more");
    repeated.push_back(times[d]);
    repeated.push_back(extents[d]);
    at.push_back(static_cast<std::int64_t>(2 * d + 1));
    flat.push_back(times[d] * extents[d]);
  }
  return reshaped(spread(reshaped(values, Dims(extents)), repeated, at), flat);
}

Tensor repeat_interleave(const Operand& x, const Dim& repeats, std::int64_t axis) {
  Composite c({&x}, "repeat_interleave");
  const Tensor values = c.tensor(x);
  const std::int64_t along = c.axis(axis, values);
  c.state().use_symbols(to_ir({repeats}), c.emitter().location());
  if (ir::less(DimValue::unwrap(repeats), 0) == ir::Truth::yes)
    c.fail(ErrorCode::invalid_argument, fmt::format("axis {} is to be repeated {} times", along, to_string(repeats)),
           "repeats are 0 or more");
  Dims repeated, flat = values.dims();
  std::vector<std::int64_t> at;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(values.rank()); ++d) {
    at.push_back(static_cast<std::int64_t>(repeated.rank()));
    repeated.push_back(extent_of(values, d));
    if (d == along) repeated.push_back(repeats);
  }
  flat[static_cast<std::size_t>(along)] = extent_of(values, along) * repeats;
  return reshaped(spread(values, repeated, at), flat);
}

Tensor flip(const Operand& x, const Axes& axes) {
  Composite c({&x}, "flip");
  const Tensor values = c.tensor(x);
  return reverse(values, Axes(c.axes(axes, values)));
}

Tensor roll(const Operand& x, std::int64_t shift, std::int64_t axis) {
  Composite c({&x}, "roll");
  const Tensor values = c.tensor(x);
  const std::int64_t along = c.axis(axis, values);
  const ir::Dim extent = DimValue::unwrap(extent_of(values, along));
  ir::Dim cut = -1;  // the first element's place in x
  if (extent.is_constant())
    cut = extent.is_constant(0) ? 0 : ir::mod(ir::Dim(-shift), extent);
  else if (ir::less_equal(std::abs(shift), extent) == ir::Truth::yes)
    cut = shift > 0 ? extent - shift : ir::Dim(-shift);
  if (cut.is_constant(0)) return values;
  if (cut.is_constant(-1)) {  // nobody knows how often the shift goes round
    const Tensor at = c.iota(DType::i64, {extent_of(values, along)}, 0) - shift;
    return take(values, at, along, IndexMode::wrap);
  }
  const Dim middle = DimValue::wrap(cut);
  return concatenate({part_of(values, along, middle, extent_of(values, along)), part_of(values, along, 0, middle)}, along);
}

Tensor rot90(const Operand& x, std::int64_t times, std::int64_t a, std::int64_t b) {
  Composite c({&x}, "rot90");
  const Tensor values = c.tensor(x);
  const std::int64_t first = c.axis(a, values), second = c.axis(b, values);
  c.require(first != second, fmt::format("axis {} is given twice", first), "a turn has two axes");
  switch ((times % 4 + 4) % 4) {
    case 0: return values;
    case 1: return reverse(swap_axes(values, first, second), first);
    case 2: return reverse(values, Axes({first, second}));
    default: return reverse(swap_axes(values, first, second), second);
  }
}

std::vector<Tensor> meshgrid(std::initializer_list<Tensor> vectors, std::source_location location) {
  if (vectors.size() == 0)
    throw Error(ErrorCode::invalid_argument, "meshgrid: there are no vectors", LocationScope::resolve(location), "give at least one");
  Composite c(*vectors.begin(), "meshgrid", location);
  Dims dims;
  for (const Tensor& vector : vectors) {
    if (vector.rank() > 1) c.fail(ErrorCode::shape_mismatch, fmt::format("{} is no vector", to_string(vector)), "flatten() it");
    dims.push_back(vector.rank() == 0 ? Dim(1) : vector.dims()[0]);
  }
  std::vector<Tensor> results;
  std::int64_t axis = 0;
  for (const Tensor& vector : vectors) {
    results.push_back(spread(vector, dims, vector.rank() == 0 ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{axis}));
    ++axis;
  }
  return results;
}

Tensor tril(const Operand& x, std::int64_t k) {
  Composite c({&x}, "tril");
  const Tensor values = c.tensor(x);
  return select(less_equal(positions(c, values), k), values, zeros_like(values));
}

Tensor triu(const Operand& x, std::int64_t k) {
  Composite c({&x}, "triu");
  const Tensor values = c.tensor(x);
  return select(greater_equal(positions(c, values), k), values, zeros_like(values));
}

Tensor diagonal(const Operand& x, std::int64_t offset, std::int64_t a, std::int64_t b) {
  Composite c({&x}, "diagonal");
  Tensor values = c.tensor(x);
  c.require_rank(values, 2, "a matrix", "it has rows and columns");
  const std::int64_t rows = c.axis(a, values), columns = c.axis(b, values);
  c.require(rows != columns, fmt::format("axis {} is given twice", rows), "a diagonal runs along two axes");
  // The two axes to the front, as index vectors address them; what is taken goes to the back.
  std::vector<std::int64_t> order{rows, columns}, back;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(values.rank()); ++d)
    if (d != rows && d != columns) order.push_back(d);
  values = transpose(values, order);
  const ir::Dim below = DimValue::unwrap(values.dims()[0]) - std::max<std::int64_t>(-offset, 0),
                beside = DimValue::unwrap(values.dims()[1]) - std::max<std::int64_t>(offset, 0);
  const ir::Dim length = ir::max(ir::min(below, beside), 0);
  const Tensor at = c.iota(DType::i64, {DimValue::wrap(length)}, 0);
  const Tensor places = stack({at + std::max<std::int64_t>(-offset, 0), at + std::max<std::int64_t>(offset, 0)}, 1);
  return moveaxis(gather_nd(values, places), 0, -1);
}

Tensor diag_embed(const Operand& x, std::int64_t offset) {
  Composite c({&x}, "diag_embed");
  const Tensor values = c.tensor(x);
  c.require_rank(values, 1, "a diagonal", "its last axis runs along it");
  const Dim extent = values.dim(-1) + std::abs(offset);
  std::vector<Dim> dims;
  for (const Dim& dim : values.dims()) dims.push_back(dim);
  dims.back() = extent;
  dims.push_back(extent);
  // The diagonal starts at column `offset`, or at row -offset: shifted by zeros, each row or column sees its element.
  const auto last = static_cast<std::int64_t>(values.rank()) - 1;
  Dims low(std::vector<Dim>(values.rank(), Dim(0))), high = low;
  (offset > 0 ? low : high)[static_cast<std::size_t>(last)] = std::abs(offset);
  const Tensor padded = pad(values, low, high, 0);  // by column
  std::vector<std::int64_t> at;
  for (std::int64_t d = 0; d < last; ++d) at.push_back(d);
  at.push_back(last + 1);
  const Tensor columns = spread(padded, Dims(dims), at);
  return select(equal(positions(c, columns), offset), columns, zeros_like(columns));
}

Tensor diag(const Operand& x, std::int64_t offset) {
  Composite c({&x}, "diag");
  const Tensor values = c.tensor(x);
  if (values.rank() != 1 && values.rank() != 2)
    c.fail(ErrorCode::shape_mismatch, fmt::format("{} is neither a vector nor a matrix", to_string(values)),
           "diag_embed() and diagonal() take more axes");
  return values.rank() == 1 ? diag_embed(values, offset) : diagonal(values, offset);
}

Tensor eye(Graph& graph, DType dtype, const Dim& rows, const Dim& columns, std::int64_t k, std::source_location location) {
  Composite c(graph, "eye", location);
  const Dims dims{rows, columns};
  c.state().use_symbols(to_ir(dims), c.emitter().location());
  return convert(equal(c.iota(DType::i64, dims, 1) - c.iota(DType::i64, dims, 0), k), dtype);
}

Tensor arange(Graph& graph, DType dtype, Scalar start, Scalar stop, Scalar step, std::source_location location) {
  Composite c(graph, "arange", location);
  const bool whole = start.kind() != Scalar::Kind::real && stop.kind() != Scalar::Kind::real && step.kind() != Scalar::Kind::real;
  const double count = std::ceil((stop.as_double() - start.as_double()) / step.as_double());
  c.require(step.as_double() != 0 && std::isfinite(count) && count < 0x1p48,
            fmt::format("{} to {} in steps of {}", start.as_double(), stop.as_double(), step.as_double()),
            "the step is not 0, and all numbers are finite");
  const Dims dims{static_cast<std::int64_t>(std::max(count, 0.0))};
  if (whole) return convert(c.iota(DType::i64, dims, 0) * step.as_integer() + start.as_integer(), dtype);
  return convert(c.iota(DType::f64, dims, 0) * step.as_double() + start.as_double(), dtype);
}

Tensor linspace(Graph& graph, DType dtype, double start, double stop, const Dim& size, std::source_location location) {
  Composite c(graph, "linspace", location);
  const Dims dims{size};
  c.state().use_symbols(to_ir(dims), c.emitter().location());
  const Tensor i = c.iota(DType::i64, dims, 0), last = c.count(dims, {0}, DType::i64) - 1;
  const Tensor inside = start + convert(i, DType::f64) * ((stop - start) / convert(maximum(last, 1), DType::f64));
  // The last one is `stop`, whatever rounding makes of the sum.
  return convert(select(equal(i, last) & (i > 0), stop, inside), dtype);
}

Tensor trace(const Operand& x, std::int64_t offset) {
  Composite c({&x}, "trace");
  return reduce_sum(diagonal(c.tensor(x), offset), -1);
}

}  // namespace kiln

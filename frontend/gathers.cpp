// Reading at computed places (kiln/indexing.h).
#include <fmt/format.h>
#include <limits>

#include "frontend/indexing.h"

namespace kiln {

using namespace detail;

namespace detail {

Tensor index_tensor(Composite& c, const Operand& indices) {
  const Tensor result = indices.is_tensor() ? c.tensor(indices) : c.number(indices.scalar(), DType::i64);
  if (!is_integer(result.dtype()))
    c.fail(ErrorCode::dtype_mismatch, fmt::format("indices must be integers, but are {}", to_string(result)),
           "convert them: convert(indices, i64)");
  return result;
}

Tensor wide(const Tensor& indices) {
  if (indices.dtype() == DType::i64) return indices;
  if (indices.dtype() == DType::u64) return convert(minimum(indices, std::numeric_limits<std::int64_t>::max()), DType::i64);
  return convert(indices, DType::i64);
}

namespace {

/// The extents as an i64 scalar, or as a vector along the indices' last axis.
Tensor extent_tensor(Composite& c, const Dims& extents) {
  std::vector<Tensor> parts;
  for (std::size_t k = 0; k < extents.rank(); ++k) parts.push_back(c.count(extents, {static_cast<std::int64_t>(k)}, DType::i64));
  return parts.size() == 1 ? parts[0] : stack(parts, 0);
}

}  // namespace

Tensor from_back(Composite& c, const Tensor& indices, const Dims& extents) {
  if (is_unsigned_integer(indices.dtype())) return indices;
  const Tensor index = wide(indices);
  return extents.rank() == 0 ? index : select(less(index, 0), index + extent_tensor(c, extents), index);
}

Places places_of(Composite& c, const Tensor& indices, const Dims& extents, IndexMode mode, const std::string& what) {
  if (mode == IndexMode::clamp || extents.rank() == 0) return {indices};
  const Tensor index = wide(indices), extent = extent_tensor(c, extents);
  if (mode == IndexMode::wrap) {
    const Tensor rest = remainder(index, extent);
    return {select(less(rest, 0), rest + extent, rest)};
  }
  const Tensor inside = logical_and(greater_equal(index, 0), less(index, extent));
  if (mode == IndexMode::fill) return {index, inside};
  const std::string message = fmt::format("{}: an index lies outside of {}", c.emitter().op(), what);
  return {apply(ir::Op::check, {reduce_all(inside), index},
                {{"code", static_cast<std::int64_t>(ErrorCode::check_failed)}, {"message", message}})};
}

namespace {

std::vector<ir::Attributes::Item> items_of(const Numbers& numbers, const std::array<const char*, 5>& names) {
  std::vector<ir::Attributes::Item> items{{"index_vector_dim", numbers.vector_dim}};
  const std::array<const std::vector<std::int64_t>*, 5> lists{&numbers.window, &numbers.dropped, &numbers.operand_batch,
                                                              &numbers.indices_batch, &numbers.map};
  for (std::size_t i = 0; i < lists.size(); ++i)
    if (!lists[i]->empty()) items.emplace_back(names[i], *lists[i]);
  return items;
}

const char* name_of_combiner(Combine combine) {
  switch (combine) {
    case Combine::add: return "add";
    case Combine::multiply: return "multiply";
    case Combine::minimum: return "minimum";
    case Combine::maximum: return "maximum";
    case Combine::replace: break;
  }
  return "replace";
}

std::vector<std::int64_t> range(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> result;
  for (std::int64_t i = begin; i < end; ++i) result.push_back(i);
  return result;
}

}  // namespace

Tensor gather(const Tensor& x, const Tensor& indices, const Numbers& numbers, const Dims& sizes) {
  auto items =
      items_of(numbers, {"offset_dims", "collapsed_slice_dims", "operand_batching_dims", "start_indices_batching_dims", "start_index_map"});
  if (sizes.rank() > 0) items.emplace_back("slice_sizes", to_ir(sizes));
  return apply(ir::Op::gather, {x, indices}, ir::Attributes(std::move(items)));
}

Tensor scatter(const Tensor& x, const Tensor& indices, const Tensor& updates, const Numbers& numbers, Combine combine) {
  auto items = items_of(numbers, {"update_window_dims", "inserted_window_dims", "input_batching_dims", "scatter_indices_batching_dims",
                                  "scatter_dims_to_operand_dims"});
  items.emplace_back("combiner", std::string(name_of_combiner(combine)));
  return apply(ir::Op::scatter, {x, indices, updates}, ir::Attributes(std::move(items)));
}

Numbers slices_along(std::int64_t axis, std::size_t rank, std::size_t indices_rank) {
  Numbers numbers{.dropped = {axis}, .map = {axis}, .vector_dim = static_cast<std::int64_t>(indices_rank)};
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(rank); ++d)
    if (d != axis) numbers.window.push_back(d < axis ? d : d - 1 + numbers.vector_dim);
  return numbers;
}

Numbers elements_along(std::int64_t axis, std::size_t rank) {
  Numbers numbers{.dropped = {axis}, .map = {axis}, .vector_dim = static_cast<std::int64_t>(rank)};
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(rank); ++d)
    if (d != axis) numbers.operand_batch.push_back(d);
  numbers.indices_batch = numbers.operand_batch;
  return numbers;
}

Numbers slices_at_vectors(std::size_t batch, std::size_t components, std::size_t rank, std::size_t indices_rank) {
  const auto b = static_cast<std::int64_t>(batch), k = static_cast<std::int64_t>(components), r = static_cast<std::int64_t>(rank),
             i = static_cast<std::int64_t>(indices_rank);
  return {.window = range(i - 1, i - 1 + r - b - k),
          .dropped = range(b, b + k),
          .operand_batch = range(0, b),
          .indices_batch = range(0, b),
          .map = range(b, b + k),
          .vector_dim = i - 1};
}

}  // namespace detail

namespace {

/// `value` where `inside` holds, else 0. The mask has the first axes of the value, or those from `first` on.
Tensor filled(const Tensor& value, const std::optional<Tensor>& inside, std::int64_t first) {
  if (!inside) return value;
  std::vector<std::int64_t> positions;
  for (std::size_t i = 0; i < inside->rank(); ++i) positions.push_back(first + static_cast<std::int64_t>(i));
  return select(spread(*inside, value.dims(), positions), value, zeros_like(value));
}

Tensor take_along(Composite& c, const Tensor& table, const Tensor& indices, std::int64_t axis, IndexMode mode) {
  Dims sizes = table.dims();
  const Dim extent = sizes[static_cast<std::size_t>(axis)];
  if (extent == Dim(0) && mode != IndexMode::fill)
    c.fail(ErrorCode::shape_mismatch, fmt::format("axis {} of {} has no elements", axis, to_string(table)),
           "IndexMode::fill reads 0 there");
  const Places places =
      places_of(c, indices, {extent}, mode, fmt::format("0 .. {} of axis {} of {}", to_string(extent - 1), axis, to_string(table)));
  sizes[static_cast<std::size_t>(axis)] = 1;
  return filled(gather(table, places.indices, slices_along(axis, table.rank(), indices.rank()), sizes), places.inside, axis);
}

/// x and indices of elements along an axis, where all other axes have equal extents.
Tensor elements(Composite& c, const Tensor& x, const Tensor& indices, std::int64_t axis, IndexMode mode) {
  const Dim extent = x.dims()[static_cast<std::size_t>(axis)];
  const Places places = places_of(c, from_back(c, indices, {extent}), {extent}, mode, fmt::format("axis {} of {}", axis, to_string(x)));
  return filled(gather(x, places.indices, elements_along(axis, x.rank()), Dims(std::vector<Dim>(x.rank(), Dim(1)))), places.inside, 0);
}

void require_equal_rank(const Composite& c, const Tensor& x, const Tensor& indices) {
  if (x.rank() == 0)
    c.fail(ErrorCode::shape_mismatch, fmt::format("{} has no axis", to_string(x)), "there is nothing to index in a scalar");
  if (x.rank() != indices.rank())
    c.fail(ErrorCode::shape_mismatch, fmt::format("{} and indices {} differ in rank", to_string(x), to_string(indices)),
           "take() reads whole slices at indices of any rank");
}

}  // namespace

Tensor take(const Operand& table, const Operand& indices, std::int64_t axis, IndexMode mode) {
  Emitter both({&table, &indices}, "take");
  if (!table.is_tensor())
    both.fail(ErrorCode::invalid_argument, "takes from a tensor, but was given a number", "make a tensor with graph.constant(array)");
  Composite c({&table}, "take");
  const Tensor x = c.tensor(table), at = index_tensor(c, indices);
  return take_along(c, x, at, c.axis(axis, x), mode);
}

Tensor index_select(const Operand& x, std::int64_t axis, const Operand& indices, IndexMode mode) {
  Composite c({&x}, "index_select");
  const Tensor table = c.tensor(x), at = index_tensor(c, indices);
  return take_along(c, table, at, c.axis(axis, table), mode);
}

Tensor take_along_axis(const Operand& x, const Operand& indices, std::int64_t axis, IndexMode mode) {
  Composite c({&x}, "take_along_axis");
  Tensor values = c.tensor(x), at = index_tensor(c, indices);
  require_equal_rank(c, values, at);
  const std::int64_t along = c.axis(axis, values);
  Dims value_dims = values.dims(), index_dims = at.dims();
  for (std::size_t d = 0; d < value_dims.rank(); ++d) {
    if (static_cast<std::int64_t>(d) == along || value_dims[d] == index_dims[d]) continue;
    if (index_dims[d] == Dim(1))
      index_dims[d] = value_dims[d];
    else if (value_dims[d] == Dim(1))
      value_dims[d] = index_dims[d];
    else
      c.fail(ErrorCode::shape_mismatch, fmt::format("{} and indices {} differ at axis {}", to_string(values), to_string(at), d),
             "all axes but the indexed one are equal, or 1");
  }
  if (!(value_dims == values.dims())) values = broadcast_to(values, value_dims);
  if (!(index_dims == at.dims())) at = broadcast_to(at, index_dims);
  return elements(c, values, at, along, mode);
}

Tensor gather_elements(const Operand& x, const Operand& indices, std::int64_t axis, IndexMode mode) {
  Composite c({&x}, "gather_elements");
  Tensor values = c.tensor(x);
  const Tensor at = index_tensor(c, indices);
  require_equal_rank(c, values, at);
  const std::int64_t along = c.axis(axis, values);
  Dims limits = at.dims();
  limits[static_cast<std::size_t>(along)] = values.dims()[static_cast<std::size_t>(along)];
  for (std::size_t d = 0; d < limits.rank(); ++d)
    if (ir::less(type_of(values).dims[d], DimValue::unwrap(limits[d])) == ir::Truth::yes)
      c.fail(ErrorCode::shape_mismatch, fmt::format("indices {} are longer than {} at axis {}", to_string(at), to_string(values), d),
             "all axes but the indexed one are at most as long as those of x");
  if (!(limits == values.dims())) values = slice(values, Dims(std::vector<Dim>(limits.rank(), Dim(0))), limits);
  return elements(c, values, at, along, mode);
}

Tensor gather_nd(const Operand& x, const Operand& indices, std::int64_t batch_dims, IndexMode mode) {
  Composite c({&x}, "gather_nd");
  const Tensor values = c.tensor(x), at = index_tensor(c, indices);
  const auto fail = [&](const std::string& what, const char* hint) {
    c.fail(ErrorCode::shape_mismatch,
           fmt::format("{} at indices {} with {} shared axes: {}", to_string(values), to_string(at), batch_dims, what), hint);
  };
  if (at.rank() == 0 || !at.dim(-1).is_constant())
    fail("the last axis of the indices has no constant extent", "it holds one index for each indexed axis");
  const std::int64_t components = at.dim(-1).value();
  if (batch_dims < 0 || batch_dims >= static_cast<std::int64_t>(at.rank()))
    fail("there are not as many axes to share", "the indices keep their last axis to themselves");
  if (batch_dims + components > static_cast<std::int64_t>(values.rank()))
    fail(fmt::format("there are no {} axes to index", components), "the last axis of the indices holds one index for each indexed axis");
  Dims sizes, extents;
  for (std::size_t d = 0; d < values.rank(); ++d) {
    const auto dim = static_cast<std::int64_t>(d);
    if (dim < batch_dims && !(values.dims()[d] == at.dims()[d])) fail(fmt::format("they differ at axis {}", d), "shared axes are equal");
    sizes.push_back(dim < batch_dims + components ? Dim(1) : values.dims()[d]);
    if (dim >= batch_dims && dim < batch_dims + components) extents.push_back(values.dims()[d]);
  }
  const Places places = places_of(c, from_back(c, at, extents), extents, mode, to_string(values));
  std::optional<Tensor> inside = places.inside;
  if (inside) inside = reduce_all(*inside, -1);
  return filled(
      gather(values, places.indices,
             slices_at_vectors(static_cast<std::size_t>(batch_dims), static_cast<std::size_t>(components), values.rank(), at.rank()),
             sizes),
      inside, 0);
}

namespace {

/// Where ids are the padding's, spread over rows.
std::optional<Tensor> padding_of(Composite& c, const Tensor& table, const Tensor& ids, std::optional<std::int64_t> padding_idx,
                                 const Dims& dims) {
  if (!padding_idx) return std::nullopt;
  const Dim rows = table.dims()[0];
  if (*padding_idx < 0 || (rows.is_constant() && *padding_idx >= rows.value()))
    c.fail(ErrorCode::invalid_argument, fmt::format("padding_idx {} is no row of {}", *padding_idx, to_string(table)), "rows count from 0");
  std::vector<std::int64_t> positions;
  for (std::size_t d = 0; d < ids.rank(); ++d) positions.push_back(static_cast<std::int64_t>(d));
  return spread(equal(wide(ids), *padding_idx), dims, positions);
}

}  // namespace

Tensor embedding(const Operand& table, const Operand& ids, std::optional<std::int64_t> padding_idx) {
  Composite c({&table}, "embedding");
  const Tensor rows = c.tensor(table), at = index_tensor(c, ids);
  c.require_rank(rows, 1, "a table of embeddings", "one row for each id");
  const Tensor taken = take_along(c, rows, at, 0, IndexMode::check);
  const std::optional<Tensor> padding = padding_of(c, rows, at, padding_idx, taken.dims());
  return padding ? select(*padding, stop_gradient(taken), taken) : taken;
}

Tensor embedding_bag(const Operand& table, const Operand& ids, BagMode mode, std::optional<std::int64_t> padding_idx) {
  Composite c({&table}, "embedding_bag");
  const Tensor rows = c.tensor(table), at = index_tensor(c, ids);
  c.require_rank(rows, 1, "a table of embeddings", "one row for each id");
  c.require_rank(at, 1, "a tensor of bags", "the last axis runs through a bag");
  c.require_floating(rows);
  const auto axis = static_cast<std::int64_t>(at.rank()) - 1;
  const Tensor taken = take_along(c, rows, at, 0, IndexMode::check);
  const std::optional<Tensor> padding = padding_of(c, rows, at, padding_idx, taken.dims());
  const bool maximum = mode == BagMode::maximum;
  const double neutral = maximum ? -std::numeric_limits<double>::infinity() : 0.0;
  const Tensor counted = padding ? select(*padding, neutral, taken) : taken;
  if (maximum) {
    const Tensor result = reduce_max(counted, axis);
    return select(equal(result, neutral), 0, result);  // of an empty bag
  }
  const Tensor sum = reduce_sum(counted, axis);
  if (mode == BagMode::sum) return sum;
  const Tensor count = padding ? reduce_sum(convert(logical_not(*padding), rows.dtype()), axis) : c.count(at.dims(), {axis}, rows.dtype());
  return sum / kiln::maximum(count, 1);
}

Tensor one_hot(const Operand& indices, const Dim& depth, std::int64_t axis, const Operand& on, const Operand& off) {
  Composite c({&indices}, "one_hot");
  const Tensor at = index_tensor(c, indices);
  const std::int64_t place = c.emitter().axis(axis, at.rank() + 1);
  const Tensor index = from_back(c, at, {depth});
  Dims dims;
  for (const Dim& dim : at.dims()) dims.push_back(dim);
  std::vector<Dim> extents(dims.begin(), dims.end());
  extents.insert(extents.begin() + place, depth);
  const Tensor hit = equal(c.iota(index.dtype(), Dims(extents), place), expand_dims(index, place));
  if (!on.is_tensor() && !off.is_tensor()) {
    const bool real = on.scalar().kind() == Scalar::Kind::real || off.scalar().kind() == Scalar::Kind::real;
    const DType dtype = real ? f32 : i64;
    return select(hit, c.number(on.scalar(), dtype), c.number(off.scalar(), dtype));
  }
  return select(hit, on, off);
}

Tensor one_hot(const Operand& indices, const Dim& depth, DType dtype) {
  Composite c({&indices}, "one_hot");
  const Tensor at = index_tensor(c, indices);
  std::vector<Dim> extents;
  for (const Dim& dim : at.dims()) extents.push_back(dim);
  extents.push_back(depth);
  const Tensor position = c.iota(at.dtype(), Dims(extents), static_cast<std::int64_t>(at.rank()));
  return convert(equal(position, expand_dims(at, -1)), dtype);
}

}  // namespace kiln

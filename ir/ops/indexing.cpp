// Indexing by computed integers: the parts that gather, scatter and the dynamic slices share (ir/ops/indexing.h).
#include "ir/ops/indexing.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"

namespace kiln::ir::ops {
namespace {

constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();

bool contains(std::span<const std::int64_t> list, std::int64_t value) { return std::ranges::find(list, value) != list.end(); }

void require_ascending(const InferContext& context, std::span<const std::int64_t> list, const std::string& what) {
  if (!std::ranges::is_sorted(list))
    fail(context, ErrorCode::invalid_argument, fmt::format("{} is {}, which is not in ascending order", what, list_text(list)));
}

void require_apart(const InferContext& context, std::span<const std::int64_t> a, std::span<const std::int64_t> b, const std::string& what) {
  for (const std::int64_t dim : a)
    if (contains(b, dim)) fail(context, ErrorCode::invalid_argument, fmt::format("dim {} of the operand is in both {}", dim, what));
}

}  // namespace

IndexedDims gather_dims(const Attributes& attributes) {
  return {.window_dims = integers_or_empty(attributes, "offset_dims"),
          .dropped = integers_or_empty(attributes, "collapsed_slice_dims"),
          .operand_batch = integers_or_empty(attributes, "operand_batching_dims"),
          .indices_batch = integers_or_empty(attributes, "start_indices_batching_dims"),
          .index_map = integers_or_empty(attributes, "start_index_map"),
          .vector_dim = attributes.integer("index_vector_dim")};
}

IndexedDims scatter_dims(const Attributes& attributes) {
  return {.window_dims = integers_or_empty(attributes, "update_window_dims"),
          .dropped = integers_or_empty(attributes, "inserted_window_dims"),
          .operand_batch = integers_or_empty(attributes, "input_batching_dims"),
          .indices_batch = integers_or_empty(attributes, "scatter_indices_batching_dims"),
          .index_map = integers_or_empty(attributes, "scatter_dims_to_operand_dims"),
          .vector_dim = attributes.integer("index_vector_dim")};
}

void require_indices(const InferContext& context, const Type& indices) {
  if (!is_integer(indices.dtype))
    fail(context, ErrorCode::dtype_mismatch, fmt::format("indices must be integers, but are {}", to_string(indices)),
         "convert them: convert(indices, i64)");
}

void require_window(const InferContext& context, const Dim& size, std::size_t dim) {
  if (less_equal(0, size) == Truth::no)
    fail(context, ErrorCode::invalid_argument, fmt::format("the window has extent {} in dim {}", to_string(size), dim));
}

void require_indexed_dims(const InferContext& context, const IndexedDims& dims, const Type& operand, const Type& indices,
                          std::size_t windows_rank) {
  const bool gather = context.op == Op::gather;
  const std::string windows = gather ? "offset_dims" : "update_window_dims",
                    dropped = gather ? "collapsed_slice_dims" : "inserted_window_dims",
                    operand_batch = gather ? "operand_batching_dims" : "input_batching_dims",
                    indices_batch = gather ? "start_indices_batching_dims" : "scatter_indices_batching_dims",
                    map = gather ? "start_index_map" : "scatter_dims_to_operand_dims";
  require_indices(context, indices);
  const auto indices_rank = static_cast<std::int64_t>(indices.rank());
  if (dims.vector_dim < 0 || dims.vector_dim > indices_rank)
    fail(context, ErrorCode::invalid_argument,
         fmt::format("index_vector_dim is {}, but indices {} have the dims 0 to {} (or {}: indices of one component)", dims.vector_dim,
                     to_string(indices), indices_rank - 1, indices_rank));
  const Dim components = dims.vector_dim == indices_rank ? Dim(1) : indices.dims[static_cast<std::size_t>(dims.vector_dim)];
  if (!components.is_constant(static_cast<std::int64_t>(dims.index_map.size())))
    fail(context, ErrorCode::shape_mismatch,
         fmt::format("index vectors of {} have {} components, but {} names {} dims", to_string(indices), to_string(components), map,
                     dims.index_map.size()));
  require_distinct_axes(context, dims.window_dims, windows_rank, windows);
  require_ascending(context, dims.window_dims, windows);
  require_distinct_axes(context, dims.dropped, operand.rank(), dropped);
  require_ascending(context, dims.dropped, dropped);
  require_distinct_axes(context, dims.operand_batch, operand.rank(), operand_batch);
  require_ascending(context, dims.operand_batch, operand_batch);
  require_distinct_axes(context, dims.index_map, operand.rank(), map);
  require_apart(context, dims.dropped, dims.operand_batch, dropped + " and " + operand_batch);
  require_apart(context, dims.index_map, dims.operand_batch, map + " and " + operand_batch);
  require_distinct_axes(context, dims.indices_batch, indices.rank(), indices_batch);
  if (contains(dims.indices_batch, dims.vector_dim))
    fail(context, ErrorCode::invalid_argument, fmt::format("{} names the index_vector_dim {}", indices_batch, dims.vector_dim));
  if (dims.indices_batch.size() != dims.operand_batch.size())
    fail(context, ErrorCode::invalid_argument,
         fmt::format("{} is {} and {} is {}: they differ in length", operand_batch, list_text(dims.operand_batch), indices_batch,
                     list_text(dims.indices_batch)));
  for (std::size_t i = 0; i < dims.operand_batch.size(); ++i) {
    const auto a = static_cast<std::size_t>(dims.operand_batch[i]), b = static_cast<std::size_t>(dims.indices_batch[i]);
    require_equal(context, operand.dims[a], indices.dims[b],
                  fmt::format("dim {} of the operand {} and dim {} of the indices {} run together, but differ", a, to_string(operand), b,
                              to_string(indices)));
  }
  if (dims.window_dims.size() + dims.dropped.size() + dims.operand_batch.size() != operand.rank())
    fail(context, ErrorCode::invalid_argument,
         fmt::format("the operand {} has {} dims, but {}, {} and {} account for {}", to_string(operand), operand.rank(), windows, dropped,
                     operand_batch, dims.window_dims.size() + dims.dropped.size() + dims.operand_batch.size()));
}

std::vector<OperandDim> operand_dims(const IndexedDims& dims, std::size_t operand_rank, std::size_t windows_rank) {
  std::vector<OperandDim> result(operand_rank);
  const std::vector<std::int64_t> batch = batch_axes(dims, windows_rank);
  for (std::size_t k = 0; k < dims.index_map.size(); ++k)
    result[static_cast<std::size_t>(dims.index_map[k])].component = static_cast<std::int64_t>(k);
  for (std::size_t k = 0; k < dims.operand_batch.size(); ++k) {
    const std::int64_t b = dims.indices_batch[k];  // the vector dim is no batch dim: those behind it count one less
    result[static_cast<std::size_t>(dims.operand_batch[k])].batch = batch[static_cast<std::size_t>(b > dims.vector_dim ? b - 1 : b)];
  }
  std::size_t window = 0;
  for (std::size_t d = 0; d < operand_rank; ++d) {
    const auto dim = static_cast<std::int64_t>(d);
    if (!contains(dims.dropped, dim) && !contains(dims.operand_batch, dim)) result[d].window = dims.window_dims[window++];
  }
  return result;
}

std::vector<std::int64_t> batch_axes(const IndexedDims& dims, std::size_t windows_rank) {
  return other_axes(windows_rank, dims.window_dims);
}

// ---- evaluation

std::int64_t index_at(const Array& indices, std::int64_t i) {
  std::int64_t result = 0;
  visit_allowed<integers>(indices.dtype(), [&]<class T>(T) {
    const T index = indices.data<T>()[static_cast<std::size_t>(i)];
    if constexpr (std::is_same_v<T, std::uint64_t>)
      result = static_cast<std::int64_t>(std::min<std::uint64_t>(index, largest));
    else
      result = static_cast<std::int64_t>(index);
  });
  return result;
}

std::int64_t clamped_start(std::int64_t start, std::int64_t size, std::int64_t extent) {
  return std::max<std::int64_t>(std::min(start, extent - size), 0);
}

// ---- gradients

ValueId wide_indices(Builder& b, ValueId indices) {
  const Type type = b.type(indices);
  if (type.dtype == DType::i64) return indices;
  if (type.dtype == DType::u64) {
    ValueId limit = b.constant(Array(static_cast<std::uint64_t>(largest)));
    if (type.rank() > 0) limit = b.broadcast_in_dim(limit, type.dims, {});
    indices = b.create(Op::minimum, {indices, limit});
  }
  return b.convert(indices, DType::i64);
}

namespace {

/// An i64 tensor of these dims whose value depends on the component alone.
ValueId per_component(Builder& b, const Dims& dims, const IndexedDims& indexed, const std::function<Dim(std::size_t)>& value) {
  const auto scalar = [&](const Dim& dim) { return dim.is_constant() ? b.constant(Array(dim.constant())) : b.dim_size(dim); };
  const std::size_t components = indexed.index_map.size();
  bool equal = true;
  for (std::size_t k = 1; k < components; ++k) equal &= value(k) == value(0);
  if (equal) return dims.empty() ? scalar(value(0)) : b.broadcast_in_dim(scalar(value(0)), dims, {});
  std::vector<ValueId> parts;
  for (std::size_t k = 0; k < components; ++k) parts.push_back(b.reshape(scalar(value(k)), {Dim(1)}));
  return b.broadcast_in_dim(b.concatenate(std::move(parts), 0), dims, {indexed.vector_dim});
}

}  // namespace

ValueId limited_indices(Builder& b, ValueId indices, const IndexedDims& dims, const std::function<Dim(std::size_t)>& low,
                        const std::function<Dim(std::size_t)>& high, const std::function<Dim(std::size_t)>& offset) {
  ValueId result = wide_indices(b, indices);
  if (dims.index_map.empty()) return result;
  const Dims shape = b.type(indices).dims;
  const auto per = [&](const std::function<Dim(std::size_t)>& value) { return per_component(b, shape, dims, value); };
  result = b.create(Op::minimum, {result, per(high)});
  result = b.create(Op::maximum, {result, per(low)});
  bool zero = true;
  for (std::size_t k = 0; k < dims.index_map.size(); ++k) zero &= offset(k).is_constant(0);
  return zero ? result : b.add(result, per(offset));
}

// ---- lowering

ScalarId wide_scalar(ScalarBuilder& b, ScalarId index) {
  const DType dtype = b.dtype_of(index);
  if (dtype == DType::i64) return index;
  if (dtype == DType::u64) index = b.apply(LoopOp::minimum, dtype, {index, b.constant(Literal::of_bits(dtype, largest))});
  return b.apply(LoopOp::convert, DType::i64, {index});
}

ScalarId limited_scalar(ScalarBuilder& b, ScalarId wide, const Dim& low, const Dim& high) {
  const ScalarId upper = b.apply(LoopOp::minimum, DType::i64, {wide, b.index_value(high)});
  return b.apply(LoopOp::maximum, DType::i64, {upper, b.index_value(low)});
}

Dim start_atom(ScalarBuilder& b, ScalarId index, const Dim& size, const Dim& extent) {
  const Dim last = extent - size;
  if (last.is_constant(0)) return 0;
  return b.index_atom(limited_scalar(b, wide_scalar(b, index), 0, last), 0, max(last, 0));
}

ScalarId both(ScalarBuilder& b, ScalarId a, ScalarId c) {
  if (a == none || c == none) return a == none ? c : a;
  return b.apply(LoopOp::and_, DType::boolean, {a, c});
}

ScalarId within(ScalarBuilder& b, const Dim& index, const Dim& extent, bool may_be_below, bool may_be_beyond) {
  ScalarId mask = none;
  if (may_be_below) mask = b.compare(Comparison::ge, b.index_value(index), b.index_value(0));
  if (may_be_beyond) mask = both(b, mask, b.compare(Comparison::lt, b.index_value(index), b.index_value(extent)));
  return mask;
}

}  // namespace kiln::ir::ops

// What the operators that index by computed integers share: StableHLO's dimension numbers of gather and scatter under one set of names,
// their checks, and the clamping of index values in graphs and in scalar expressions.
//
// Three tensors meet. The *operand* is indexed. The *indices* hold one vector of components per window, along `vector_dim` (or one
// component each, when that is the rank). The *windows* (gather's result, scatter's updates) have a dim for each batch dim of the indices
// and a dim for each operand dim that runs within a window. So every operand dim is one of
//   batch      runs with a batch dim of the indices, one to one
//   window     runs within the window, from a start that a component gives (or from 0)
//   neither    is fixed by a component (or 0): windows have extent 1 there, and no dim for it
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ir/builder.h"
#include "ir/op.h"

namespace kiln::ir::ops {

struct IndexedDims {
  std::vector<std::int64_t> window_dims;    ///< dims of the windows tensor that run within a window, ascending
  std::vector<std::int64_t> dropped;        ///< operand dims that windows have no dim for
  std::vector<std::int64_t> operand_batch;  ///< operand dims ...
  std::vector<std::int64_t> indices_batch;  ///< ... that run with these dims of the indices
  std::vector<std::int64_t> index_map;      ///< which operand dim each component of an index vector is the start in
  std::int64_t vector_dim = 0;
};
IndexedDims gather_dims(const Attributes& attributes);
IndexedDims scatter_dims(const Attributes& attributes);

/// Checks the numbers as StableHLO demands them (gather C1-C18, scatter C2-C19); the windows tensor has rank `windows_rank`.
void require_indexed_dims(const InferContext& context, const IndexedDims& dims, const Type& operand, const Type& indices,
                          std::size_t windows_rank);
/// Integers, please.
void require_indices(const InferContext& context, const Type& indices);
/// A window's extent is not negative. It may be larger than the operand's, which is as good as any when that is 0 and nothing runs: what
/// lies outside reads as 0 and is not written. So the meaning of a graph with symbols is that of the graph with their values.
void require_window(const InferContext& context, const Dim& size, std::size_t dim);

/// Where the index in one operand dim comes from: positions in the list of components, or dims of the windows tensor; -1: not from there.
struct OperandDim {
  std::int64_t component = -1, window = -1, batch = -1;
};
std::vector<OperandDim> operand_dims(const IndexedDims& dims, std::size_t operand_rank, std::size_t windows_rank);
/// Dims of the windows tensor that run over the indices' batch dims, in the order of those.
std::vector<std::int64_t> batch_axes(const IndexedDims& dims, std::size_t windows_rank);

/// The position in the indices tensor of a component of the window at `index` (in the windows tensor).
template <class Integer>
std::vector<Integer> component_position(const IndexedDims& dims, std::span<const Integer> index, std::int64_t component,
                                        std::size_t indices_rank) {
  std::vector<Integer> position;
  for (const std::int64_t axis : batch_axes(dims, index.size())) position.push_back(index[static_cast<std::size_t>(axis)]);
  if (dims.vector_dim < static_cast<std::int64_t>(indices_rank)) position.insert(position.begin() + dims.vector_dim, Integer(component));
  return position;
}

// ---- evaluation

/// Element `i` of an array of integers as int64; u64 beyond its range is its maximum.
std::int64_t index_at(const Array& indices, std::int64_t i);
/// The start of a window of `size` in `extent`, moved inside; 0 where it does not fit.
std::int64_t clamped_start(std::int64_t start, std::int64_t size, std::int64_t extent);

// ---- gradients: graphs

/// Integers as i64; u64 beyond its range becomes its maximum.
ValueId wide_indices(Builder& b, ValueId indices);
/// i64 indices, each component k limited to low(k) .. high(k), and then offset(k) added.
ValueId limited_indices(Builder& b, ValueId indices, const IndexedDims& dims, const std::function<Dim(std::size_t)>& low,
                        const std::function<Dim(std::size_t)>& high, const std::function<Dim(std::size_t)>& offset);

// ---- lowering

/// An integer as i64; u64 is cut before it is converted, since its upper half would turn negative.
ScalarId wide_scalar(ScalarBuilder& b, ScalarId index);
/// max(min(i, high), low)
ScalarId limited_scalar(ScalarBuilder& b, ScalarId wide, const Dim& low, const Dim& high);
/// The clamped start of a window of `size` in `extent`, for use in indices.
Dim start_atom(ScalarBuilder& b, ScalarId index, const Dim& size, const Dim& extent);
/// a and b; `none` stands for true.
ScalarId both(ScalarBuilder& b, ScalarId a, ScalarId c);
/// low <= index < extent where that is not known, else none. The index is an expression of axes and atoms.
ScalarId within(ScalarBuilder& b, const Dim& index, const Dim& extent, bool may_be_below, bool may_be_beyond);

}  // namespace kiln::ir::ops

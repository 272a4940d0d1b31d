// What gathers.cpp, scatters.cpp and index.cpp share: index values made usable, and StableHLO's gather and scatter with their numbers.
#pragma once

#include <optional>
#include <vector>

#include "frontend/composite.h"
#include "kiln/indexing.h"

namespace kiln::detail {

/// Indices as a tensor; a number becomes i64. Error(dtype_mismatch) unless they are integers.
Tensor index_tensor(Composite& c, const Operand& indices);
/// Integers as i64; u64 beyond its range becomes its maximum.
Tensor wide(const Tensor& indices);
/// Negative indices counted from the back. The last axis of the result runs over the extents when there are several.
Tensor from_back(Composite& c, const Tensor& indices, const Dims& extents);

/// Indices brought into range, and where they were: the elements elsewhere are to be replaced by 0 (IndexMode::fill).
struct Places {
  Tensor indices;
  std::optional<Tensor> inside = {};
};
/// `extents`: that of the indexed axis, or one for each component along the indices' last axis. `what` names the axes in the message of a
/// failing check.
Places places_of(Composite& c, const Tensor& indices, const Dims& extents, IndexMode mode, const std::string& what);

/// Dimension numbers; ir/ops/indexing.h has what they mean.
struct Numbers {
  std::vector<std::int64_t> window = {}, dropped = {}, operand_batch = {}, indices_batch = {}, map = {};
  std::int64_t vector_dim = 0;
};
Tensor gather(const Tensor& x, const Tensor& indices, const Numbers& numbers, const Dims& sizes);
Tensor scatter(const Tensor& x, const Tensor& indices, const Tensor& updates, const Numbers& numbers, Combine combine);
/// Slices along `axis`, at indices of any rank.
Numbers slices_along(std::int64_t axis, std::size_t rank, std::size_t indices_rank);
/// Elements along `axis`, where all other axes run together.
Numbers elements_along(std::int64_t axis, std::size_t rank);
/// Slices at vectors of `components` indices of the axes behind `batch` shared ones.
Numbers slices_at_vectors(std::size_t batch, std::size_t components, std::size_t rank, std::size_t indices_rank);

}  // namespace kiln::detail

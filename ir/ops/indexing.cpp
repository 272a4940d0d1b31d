// Indexing by computed integers: take reads, scatter_add adds; each is the other's gradient. Indices are clamped, so neither reads nor writes outside.
#include <algorithm>
#include <fmt/format.h>

#include "ir/ops/common.h"

namespace kiln::ir {
namespace {
using namespace ops;

/// Clamping needs an element to clamp to, whatever the symbols are.
void require_elements(const InferContext& context, const Dim& extent, std::int64_t axis) {
  if (less_equal(1, extent) == Truth::yes) return;
  fail(context, ErrorCode::shape_mismatch, fmt::format("dim {} has extent {}, but indices need at least one element", axis, to_string(extent)),
       extent.is_constant() ? "" : "give the symbol a lower bound: Dim(\"n\", {.min = 1})");
}

void require_indices(const InferContext& context, const Type& indices) {
  if (!is_integer(indices.dtype))
    fail(context, ErrorCode::dtype_mismatch, fmt::format("indices must be integers, but are {}", to_string(indices)),
         "convert them: convert(indices, i64)");
}

/// dims with the one at `axis` replaced by those of the indices.
Dims taken_dims(const Dims& dims, const Dims& indices, std::int64_t axis) {
  Dims result(dims.begin(), dims.begin() + axis);
  result.insert(result.end(), indices.begin(), indices.end());
  result.insert(result.end(), dims.begin() + axis + 1, dims.end());
  return result;
}

std::vector<Type> infer_take(const InferContext& context) {
  const Type& table = tensor(context, 0);
  const Type& indices = tensor(context, 1);
  const std::int64_t axis = context.attributes.integer("axis");
  require_indices(context, indices);
  require_axis(context, axis, table.rank(), "axis");
  require_elements(context, table.dims[axis], axis);
  return {tensor_type(table.dtype, taken_dims(table.dims, indices.dims, axis))};
}

std::vector<Type> infer_scatter_add(const InferContext& context) {
  const Type& indices = tensor(context, 0);
  const Type& updates = tensor(context, 1);
  const Dims& dims = dims_or_empty(context.attributes, "dims");
  const std::int64_t axis = context.attributes.integer("axis");
  require_indices(context, indices);
  if (updates.dtype == DType::boolean)
    fail(context, ErrorCode::dtype_mismatch, fmt::format("updates are {}, which cannot be added", to_string(updates)),
         "convert them to a number dtype");
  require_extents(context, dims);
  require_axis(context, axis, dims.size(), "axis");
  require_elements(context, dims[axis], axis);
  const Type wanted = tensor_type(updates.dtype, taken_dims(dims, indices.dims, axis));
  const std::string no = fmt::format("updates are {}, but indices {} along dim {} of {} need {}", to_string(updates), to_string(indices), axis,
                                     to_string(dims), to_string(wanted));
  if (updates.rank() != wanted.rank()) fail(context, ErrorCode::shape_mismatch, no);
  for (std::size_t d = 0; d < wanted.rank(); ++d) require_equal(context, updates.dims[d], wanted.dims[d], no);
  return {tensor_type(updates.dtype, dims)};
}

constexpr AttributeSpec take_attributes[] = {{"axis", AttributeKind::integer, "the dim of the table that is indexed"}};
constexpr AttributeSpec scatter_add_attributes[] = {{"dims", AttributeKind::dims, "of the result"},
                                                    {"axis", AttributeKind::integer, "the dim of the result that is indexed"}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::take>::info = {
    .name = "take",
    .doc = "Slices of operand 0 along `axis` at the integers of operand 1 (of any rank, whose dims replace that of the axis), as numpy.take. Indices below 0 "
           "read the first element, those beyond the end the last.",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = take_attributes,
    .infer = infer_take,
};

template <>
constinit const OpInfo OpEntry<Op::scatter_add>::info = {
    .name = "scatter_add",
    .doc = "Zeros of `dims`, to which the slices of operand 1 (updates) are added along `axis` at the integers of operand 0, in row-major order of the "
           "updates. Indices are clamped as in take, whose gradient this is.",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = scatter_add_attributes,
    .dtypes = integers,
    .infer = infer_scatter_add,
};

}  // namespace kiln::ir

// Shape ops: the same elements at other indices, and the tensors that are made of indices alone.
#include <algorithm>
#include <fmt/format.h>

#include "ir/ops/common.h"

namespace kiln::ir {
namespace {
using namespace ops;

std::vector<Type> infer_iota(const InferContext& context) {
  const DType dtype = context.attributes.dtype("dtype");
  const Dims& dims = dims_or_empty(context.attributes, "dims");
  if (dtype == DType::boolean)
    fail(context, ErrorCode::dtype_mismatch, "bool cannot count", "count in an integer dtype and compare");
  require_extents(context, dims);
  require_axis(context, context.attributes.integer("dim"), dims.size(), "dim");
  return {tensor_type(dtype, dims)};
}

std::vector<Type> infer_dim_size(const InferContext& context) {
  if (const Dims& dims = dims_or_empty(context.attributes, "dims"); dims.size() != 1)
    fail(context, ErrorCode::invalid_argument, fmt::format("dims must hold one extent, but is {}", to_string(dims)));
  return {tensor_type(DType::i64, {})};
}

std::vector<Type> infer_broadcast_in_dim(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const Dims& dims = dims_or_empty(context.attributes, "dims");
  const auto& positions = integers_or_empty(context.attributes, "positions");
  require_extents(context, dims);
  require_length(context, positions.size(), operand.rank(), "positions");
  require_distinct_axes(context, positions, dims.size(), "positions");
  for (std::size_t i = 0; i < operand.rank(); ++i) {
    if (operand.dims[i].is_constant(1)) continue;
    const Dim& extent = dims[positions[i]];
    require_equal(context, operand.dims[i], extent,
                  fmt::format("{} cannot become {}: it has {} at dim {}, which is to be {} at dim {}; only an extent of 1 is repeated", to_string(operand),
                              to_string(dims), to_string(operand.dims[i]), i, to_string(extent), positions[i]));
  }
  return {tensor_type(operand.dtype, dims)};
}

std::vector<Type> infer_reshape(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const Dims& dims = dims_or_empty(context.attributes, "dims");
  require_extents(context, dims);
  const Dim from = product(operand.dims), to = product(dims);
  require_equal(context, from, to,
                fmt::format("{} has {} elements, {} has {}", to_string(operand), to_string(from), to_string(dims), to_string(to)));
  return {tensor_type(operand.dtype, dims)};
}

std::vector<Type> infer_transpose(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const auto& permutation = integers_or_empty(context.attributes, "permutation");
  require_length(context, permutation.size(), operand.rank(), "permutation");
  require_distinct_axes(context, permutation, operand.rank(), "permutation");
  Dims dims;
  for (const std::int64_t axis : permutation) dims.push_back(operand.dims[axis]);
  return {tensor_type(operand.dtype, std::move(dims))};
}

std::vector<Type> infer_reverse(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  require_distinct_axes(context, integers_or_empty(context.attributes, "dimensions"), operand.rank(), "dimensions");
  return {operand};
}

constexpr AttributeSpec iota_attributes[] = {{"dtype", AttributeKind::dtype, "of the result"},
                                             {"dims", AttributeKind::dims, "of the result", false},
                                             {"dim", AttributeKind::integer, "the dim along which it counts"}};
constexpr AttributeSpec dim_size_attributes[] = {{"dims", AttributeKind::dims, "the extent, alone in a list"}};
constexpr AttributeSpec broadcast_in_dim_attributes[] = {{"dims", AttributeKind::dims, "of the result", false},
                                                         {"positions", AttributeKind::integers, "operand dim i becomes result dim positions[i]", false}};
constexpr AttributeSpec reshape_attributes[] = {{"dims", AttributeKind::dims, "of the result", false}};
constexpr AttributeSpec transpose_attributes[] = {{"permutation", AttributeKind::integers, "result dim i is operand dim permutation[i]", false}};
constexpr AttributeSpec reverse_attributes[] = {{"dimensions", AttributeKind::integers, "the dims whose order is turned round", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::iota>::info = {
    .name = "iota",
    .doc = "Each element is its index along `dim`, converted to `dtype`.",
    .attributes = iota_attributes,
    .dtypes = numbers,
    .infer = infer_iota,
    .no_gradient = "it has no operands",
};

template <>
constinit const OpInfo OpEntry<Op::dim_size>::info = {
    .name = "dim_size",
    .doc = "The extent as an i64 scalar.",
    .attributes = dim_size_attributes,
    .dtypes = {1 << static_cast<int>(DType::i64)},
    .infer = infer_dim_size,
    .no_gradient = integer_result,
};

template <>
constinit const OpInfo OpEntry<Op::broadcast_in_dim>::info = {
    .name = "broadcast_in_dim",
    .doc = "Operand dim i becomes result dim positions[i]; the other dims, and operand dims of extent 1, are repeated. A symbolic extent is never taken for "
           "1.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = broadcast_in_dim_attributes,
    .infer = infer_broadcast_in_dim,
};

template <>
constinit const OpInfo OpEntry<Op::reshape>::info = {
    .name = "reshape",
    .doc = "The same elements in row-major order under other dims.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = reshape_attributes,
    .infer = infer_reshape,
};

template <>
constinit const OpInfo OpEntry<Op::transpose>::info = {
    .name = "transpose",
    .doc = "Result dim i is operand dim permutation[i].",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = transpose_attributes,
    .infer = infer_transpose,
};

template <>
constinit const OpInfo OpEntry<Op::reverse>::info = {
    .name = "reverse",
    .doc = "The order of the elements along `dimensions` is turned round.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = reverse_attributes,
    .infer = infer_reverse,
};

}  // namespace kiln::ir

// Parts and joins: slice, pad and concatenate.
//
// Slice and pad are each other's gradients, and their extents must come out as the same polynomials: a strided slice of n + max(n - 1, 0) * (stride - 1)
// elements has n (see strided_extent).
#include <algorithm>
#include <fmt/format.h>

#include "ir/ops/common.h"

namespace kiln::ir {
namespace {
using namespace ops;

/// Extent of n elements with `interior` others between neighbours.
Dim spread(const Dim& n, std::int64_t interior) { return interior == 0 ? n : n + max(n - 1, 0) * Dim(interior); }

/// How many of `length` elements a slice with `stride` takes: the n with spread(n, stride - 1) == length where there is one in sight (pad
/// made the length), else ceildiv(length, stride).
Dim strided_extent(const Dim& length, std::int64_t stride) {
  if (stride == 1) return length;
  if (length.is_constant()) return Dim(std::max<std::int64_t>(0, ceildiv(length, stride).constant()));
  for (const DimTerm& term : terms(length))
    for (const auto& [atom, power] : term.factors)
      if (atom.kind == DimAtom::Kind::max)
        for (const Dim& n : {*atom.a + 1, *atom.b + 1})
          if (spread(n, stride - 1) == length) return n;
  return ceildiv(length, stride);
}

std::vector<Type> infer_slice(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const Dims& starts = dims_or_empty(context.attributes, "starts");
  const Dims& limits = dims_or_empty(context.attributes, "limits");
  const auto& strides = integers_or_empty(context.attributes, "strides");
  require_length(context, starts.size(), operand.rank(), "starts");
  require_length(context, limits.size(), operand.rank(), "limits");
  require_length(context, strides.size(), operand.rank(), "strides");
  Dims dims;
  for (std::size_t d = 0; d < operand.rank(); ++d) {
    if (strides[d] < 1)
      fail(context, ErrorCode::invalid_argument, fmt::format("the stride of dim {} is {}, but must be at least 1", d, strides[d]),
           "reverse() turns the order round");
    const std::string what = fmt::format("dim {} of {} is sliced from {} to {}", d, to_string(operand), to_string(starts[d]), to_string(limits[d]));
    require_less_equal(context, 0, starts[d], what);
    require_less_equal(context, starts[d], limits[d], what);
    require_less_equal(context, limits[d], operand.dims[d], what);
    dims.push_back(strided_extent(limits[d] - starts[d], strides[d]));
  }
  return {tensor_type(operand.dtype, std::move(dims))};
}

std::vector<Type> infer_pad(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  require_same_dtype(context, 0, 1);
  if (const Type& value = tensor(context, 1); value.rank() != 0)
    fail(context, ErrorCode::shape_mismatch, fmt::format("the padding value must be a scalar, but is {}", to_string(value)));
  const Dims& low = dims_or_empty(context.attributes, "low");
  const Dims& high = dims_or_empty(context.attributes, "high");
  const auto& interior = integers_or_empty(context.attributes, "interior");
  require_length(context, low.size(), operand.rank(), "low");
  require_length(context, high.size(), operand.rank(), "high");
  require_length(context, interior.size(), operand.rank(), "interior");
  Dims dims;
  for (std::size_t d = 0; d < operand.rank(); ++d) {
    if (interior[d] < 0)
      fail(context, ErrorCode::invalid_argument, fmt::format("interior padding of dim {} is {}, but must not be negative", d, interior[d]));
    dims.push_back(low[d] + spread(operand.dims[d], interior[d]) + high[d]);
    require_less_equal(context, 0, dims.back(),
                       fmt::format("dim {} of {} is padded by {} and {} to {}", d, to_string(operand), to_string(low[d]), to_string(high[d]),
                                   to_string(dims.back())));
  }
  return {tensor_type(operand.dtype, std::move(dims))};
}

std::vector<Type> infer_concatenate(const InferContext& context) {
  Type result = tensor(context, 0);
  const std::int64_t dim = context.attributes.integer("dim");
  require_axis(context, dim, result.rank(), "dim");
  for (std::size_t i = 1; i < context.operands.size(); ++i) {
    require_same_dtype(context, 0, i);
    const Type& part = tensor(context, i);
    const std::string no = fmt::format("{} and {} cannot be joined along dim {}: all other extents must be equal",
                                       to_string(context.operands[0]), to_string(part), dim);
    if (part.rank() != result.rank()) fail(context, ErrorCode::shape_mismatch, no);
    for (std::size_t d = 0; d < part.rank(); ++d)
      if (static_cast<std::int64_t>(d) != dim) require_equal(context, result.dims[d], part.dims[d], no);
    result.dims[dim] += part.dims[dim];
  }
  return {result};
}

constexpr AttributeSpec slice_attributes[] = {{"starts", AttributeKind::dims, "first index per dim", false},
                                              {"limits", AttributeKind::dims, "one past the last index per dim", false},
                                              {"strides", AttributeKind::integers, "steps, at least 1", false}};
constexpr AttributeSpec pad_attributes[] = {{"low", AttributeKind::dims, "how many before the first element; negative: elements cut off", false},
                                            {"high", AttributeKind::dims, "how many after the last; negative: elements cut off", false},
                                            {"interior", AttributeKind::integers, "how many between neighbours, not negative", false}};
constexpr AttributeSpec concatenate_attributes[] = {{"dim", AttributeKind::integer, "the dim along which the operands follow each other"}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::slice>::info = {
    .name = "slice",
    .doc = "Elements starts, starts + strides ... below limits, per dim. The bounds must hold for all values of the symbols: 0 <= start <= limit <= extent.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = slice_attributes,
    .infer = infer_slice,
};

template <>
constinit const OpInfo OpEntry<Op::pad>::info = {
    .name = "pad",
    .doc = "Operand 0 with `interior` copies of the scalar operand 1 between neighbours, then `low` before and `high` after them; negative low or high cut "
           "off elements (interior ones included).",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = pad_attributes,
    .infer = infer_pad,
};

template <>
constinit const OpInfo OpEntry<Op::concatenate>::info = {
    .name = "concatenate",
    .doc = "The operands one after another along `dim`.",
    .min_operands = 1,
    .max_operands = -1,
    .attributes = concatenate_attributes,
    .infer = infer_concatenate,
};

}  // namespace kiln::ir

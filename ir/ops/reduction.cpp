// reduce: folds dims away.
#include <algorithm>
#include <fmt/format.h>

#include "ir/ops/common.h"

namespace kiln::ir {
namespace {
using namespace ops;

struct Combiner {
  std::string_view name;
  LoopOp op;
};
constexpr Combiner combiners[] = {{"add", LoopOp::add},         {"multiply", LoopOp::multiply}, {"maximum", LoopOp::maximum},
                                  {"minimum", LoopOp::minimum}, {"and", LoopOp::and_},          {"or", LoopOp::or_}};

LoopOp combiner_of(const std::string& name) {
  const auto* found = std::ranges::find(combiners, name, &Combiner::name);
  internal_check(found != std::end(combiners), "the combiner of a reduce is known");
  return found->op;
}

std::vector<Type> infer_reduce(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const std::string& combiner = context.attributes.text("combiner");
  if (std::ranges::find(combiners, combiner, &Combiner::name) == std::end(combiners))
    fail(context, ErrorCode::invalid_argument,
         fmt::format("there is no combiner \"{}\": there are add, multiply, maximum, minimum, and, or", combiner));
  const bool logical = combiner == "and" || combiner == "or";
  if (logical && is_floating(operand.dtype))
    fail(context, ErrorCode::dtype_mismatch, fmt::format("\"{}\" folds bool and integers, but the operand is {}", combiner, to_string(operand)),
         "compare first");
  if (!logical && operand.dtype == DType::boolean)
    fail(context, ErrorCode::dtype_mismatch, fmt::format("\"{}\" folds numbers, but the operand is {}", combiner, to_string(operand)),
         "fold with \"and\" or \"or\", or convert to an integer dtype to count");
  const auto& dimensions = integers_or_empty(context.attributes, "dimensions");
  require_distinct_axes(context, dimensions, operand.rank(), "dimensions");
  Dims dims;
  for (const std::int64_t axis : other_axes(operand.rank(), dimensions)) dims.push_back(operand.dims[axis]);
  return {tensor_type(operand.dtype, std::move(dims))};
}

constexpr AttributeSpec reduce_attributes[] = {{"combiner", AttributeKind::text, "add, multiply, maximum, minimum, and, or"},
                                               {"dimensions", AttributeKind::integers, "the dims that are folded away", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::reduce>::info = {
    .name = "reduce",
    .doc = "Folds the dims `dimensions` away with `combiner`, starting from its identity (0, 1, the lowest or the highest value, all ones, 0). The reference "
           "folds in row-major order; a schedule may use a fixed tree instead.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = reduce_attributes,
    .infer = infer_reduce,
};

}  // namespace kiln::ir

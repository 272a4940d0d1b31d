// shrink: extents that a run produces (ir/produced.h).
//
// nonzero, unique, compress, ranges of computed length and non_max_suppression are written with it: they compute all elements that there
// can be, in order, and how many of them count, and shrink to those.
#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/ops/common.h"

namespace kiln::ir {
namespace {
using namespace ops;

std::vector<Type> infer_shrink(const InferContext& context) {
  Type result = tensor(context, 0);
  const Type& count = tensor(context, 1);
  if (result.rank() == 0) fail(context, ErrorCode::shape_mismatch, fmt::format("{} has no dim to shrink", to_string(result)));
  if (count.rank() != 0 || count.dtype != DType::i64)
    fail(context, ErrorCode::shape_mismatch, fmt::format("the count must be i64[], but is {}", to_string(count)));
  const std::string& symbol = context.attributes.text("symbol");
  if (symbol.empty()) fail(context, ErrorCode::invalid_argument, "the symbol has no name");
  for (const Dim& dim : result.dims)
    if (mentions(dim, symbol))
      fail(context, ErrorCode::invalid_argument, fmt::format("the symbol {} stands in {} already", symbol, to_string(result)),
           "a produced extent needs a name of its own");
  result.dims[0] = Dim::symbol(symbol);
  return {result};
}

/// What was cut off had no influence.
void gradient_shrink(GradientContext& c) {
  Builder& b = c.builder();
  const Type operand = b.type(c.operand(0)), result = b.type(c.result());
  if (!c.needs(0)) return;
  Dims low(operand.rank(), Dim(0)), high = low;
  high[0] = operand.dims[0] - result.dims[0];
  c.add(0, b.pad(c.cotangent(), b.scalar(operand.dtype, 0), low, high, std::vector<std::int64_t>(operand.rank(), 0)));
}

constexpr AttributeSpec shrink_attributes[] = {
    {"symbol", AttributeKind::text, "the name of the extent that the result has; no other node of the graph produces it"}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::shrink>::info = {
    .name = "shrink",
    .doc =
        "The first elements of operand 0 along dim 0, as many as the i64 scalar operand 1 says, at least 0 and at most all. The extent of "
        "the "
        "result is a new symbol, which has this value from here on in the run.",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = shrink_attributes,
    .infer = infer_shrink,
    .gradient = gradient_shrink,
};

}  // namespace kiln::ir

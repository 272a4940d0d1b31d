// Random bits by Philox 4x32-10.
//
// Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011). A bijection of a 128-bit counter under a 64-bit key: ten rounds of two
// 32x32 -> 64 multiplications. Every element knows its counter, so bits are the same in any order, on any number of threads, on every target.
//
// key     = (low half of seed, high half of seed)
// counter = (element / 4, iteration, run, stream), the low 32 bits of each; element is the row-major index
// result  = word element % 4
#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "ir/ops/common.h"

namespace kiln::ir {
namespace {
using namespace ops;

std::vector<Type> infer_rng_bits(const InferContext& context) {
  constexpr std::string_view names[] = {"seed", "run", "iteration"};
  for (std::size_t i = 0; i < context.operands.size(); ++i)
    if (!(tensor(context, i) == tensor_type(DType::u64, {})))
      fail(context, context.operands[i].dtype != DType::u64 ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
           fmt::format("{} must be u64[], but is {}", names[i], to_string(context.operands[i])));
  const Dims& dims = dims_or_empty(context.attributes, "dims");
  require_extents(context, dims);
  return {tensor_type(DType::u32, dims)};
}

constexpr AttributeSpec rng_bits_attributes[] = {{"stream", AttributeKind::integer, "tells the draws of a graph apart; its low 32 bits count"},
                                                 {"dims", AttributeKind::dims, "of the result", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::rng_bits>::info = {
    .name = "rng_bits",
    .doc = "32 random bits per element: Philox 4x32-10 with key (seed) and counter (element / 4, iteration or 0, run, stream), word element % 4.",
    .min_operands = 2,
    .max_operands = 3,
    .attributes = rng_bits_attributes,
    .dtypes = {1 << static_cast<int>(DType::u64)},
    .infer = infer_rng_bits,
    .no_gradient = integer_result,
};

}  // namespace kiln::ir

#include "ir/ops/evaluate.h"

namespace kiln::ir::ops {

std::int64_t offset_of(const Shape& shape, std::span<const std::int64_t> index) {
  std::int64_t offset = 0;
  for (std::size_t d = 0; d < shape.rank(); ++d) offset = offset * shape[d] + index[d];
  return offset;
}

Array rearranged(const Array& source, const Shape& shape, const std::function<std::int64_t(std::span<const std::int64_t>)>& position,
                 const Array* otherwise) {
  Array result(source.dtype(), shape);
  const std::size_t bytes = size_of(source.dtype());
  const auto* from = static_cast<const std::byte*>(source.raw());
  auto* to = static_cast<std::byte*>(result.mutable_raw());
  for_each_index(shape, [&](std::span<const std::int64_t> index) {
    const std::int64_t p = position(index);
    internal_check(p < source.size() && (p >= 0 || otherwise), "the reference reads inside its operand");
    std::memcpy(to, p >= 0 ? from + p * bytes : static_cast<const std::byte*>(otherwise->raw()), bytes);
    to += bytes;
  });
  return result;
}

std::vector<std::int64_t> constants(const Dims& dims) {
  std::vector<std::int64_t> values;
  for (const Dim& dim : dims) values.push_back(dim.constant());
  return values;
}

std::vector<Array> evaluate_identity(const EvaluateContext& context) { return {context.operands[0]}; }

}  // namespace kiln::ir::ops

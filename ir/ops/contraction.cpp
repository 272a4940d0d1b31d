// dot_general: products summed over common dims, the one contraction behind matmul, batched matmul and einsum.
#include <algorithm>
#include <fmt/format.h>

#include "ir/ops/common.h"

namespace kiln::ir {
namespace {
using namespace ops;

/// The dims of both operands by role.
struct Roles {
  std::vector<std::int64_t> lhs_batch, rhs_batch, lhs_contract, rhs_contract, lhs_free, rhs_free;
};

Roles roles_of(const Attributes& attributes, std::size_t lhs_rank, std::size_t rhs_rank) {
  Roles roles;
  roles.lhs_batch = integers_or_empty(attributes, "lhs_batch");
  roles.rhs_batch = integers_or_empty(attributes, "rhs_batch");
  roles.lhs_contract = integers_or_empty(attributes, "lhs_contract");
  roles.rhs_contract = integers_or_empty(attributes, "rhs_contract");
  roles.lhs_free = other_axes(lhs_rank, roles.lhs_batch, roles.lhs_contract);
  roles.rhs_free = other_axes(rhs_rank, roles.rhs_batch, roles.rhs_contract);
  return roles;
}

void require_pairs(const InferContext& context, const std::vector<std::int64_t>& lhs_axes, const std::vector<std::int64_t>& rhs_axes,
                   const std::string& role) {
  const Type& lhs = tensor(context, 0);
  const Type& rhs = tensor(context, 1);
  if (lhs_axes.size() != rhs_axes.size())
    fail(context, ErrorCode::invalid_argument,
         fmt::format("lhs_{0} {1} and rhs_{0} {2} must have equally many dims", role, list_text(lhs_axes), list_text(rhs_axes)));
  for (std::size_t i = 0; i < lhs_axes.size(); ++i) {
    const Dim& a = lhs.dims[lhs_axes[i]];
    const Dim& b = rhs.dims[rhs_axes[i]];
    if (a == b) continue;
    require_equal(context, a, b,
                  fmt::format("{} dims differ: {} has {} at dim {}, {} has {} at dim {}", role == "batch" ? "batch" : "contracted", to_string(lhs),
                              to_string(a), lhs_axes[i], to_string(rhs), to_string(b), rhs_axes[i]));
  }
}

std::vector<Type> infer_dot_general(const InferContext& context) {
  const Type& lhs = tensor(context, 0);
  const Type& rhs = tensor(context, 1);
  require_same_dtype(context, 0, 1);
  const Roles roles = roles_of(context.attributes, lhs.rank(), rhs.rank());
  const auto require_roles = [&](const std::vector<std::int64_t>& batch, const std::vector<std::int64_t>& contract, std::size_t rank,
                                 const std::string& side) {
    require_distinct_axes(context, batch, rank, side + "_batch");
    require_distinct_axes(context, contract, rank, side + "_contract");
    for (const std::int64_t axis : batch)
      if (std::ranges::find(contract, axis) != contract.end())
        fail(context, ErrorCode::invalid_argument, fmt::format("dim {} is both in {}_batch and in {}_contract", axis, side, side));
  };
  require_roles(roles.lhs_batch, roles.lhs_contract, lhs.rank(), "lhs");
  require_roles(roles.rhs_batch, roles.rhs_contract, rhs.rank(), "rhs");
  require_pairs(context, roles.lhs_batch, roles.rhs_batch, "batch");
  require_pairs(context, roles.lhs_contract, roles.rhs_contract, "contract");
  Dims dims;
  for (const std::int64_t axis : roles.lhs_batch) dims.push_back(lhs.dims[axis]);
  for (const std::int64_t axis : roles.lhs_free) dims.push_back(lhs.dims[axis]);
  for (const std::int64_t axis : roles.rhs_free) dims.push_back(rhs.dims[axis]);
  return {tensor_type(lhs.dtype, std::move(dims))};
}

constexpr AttributeSpec dot_general_attributes[] = {{"lhs_batch", AttributeKind::integers, "dims of operand 0 that both share and keep", false},
                                                    {"rhs_batch", AttributeKind::integers, "their partners in operand 1", false},
                                                    {"lhs_contract", AttributeKind::integers, "dims of operand 0 that are summed over", false},
                                                    {"rhs_contract", AttributeKind::integers, "their partners in operand 1", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::dot_general>::info = {
    .name = "dot_general",
    .doc = "Sums of products over the contracted dims; result dims: batch, free dims of operand 0, free dims of operand 1. Floats accumulate from 0 by fma, in "
           "increasing row-major order of the contracted dims as lhs_contract lists them (f16 and bf16 in f32, rounded once at the end), unless a schedule documents a fixed "
           "tree; integers wrap.",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = dot_general_attributes,
    .dtypes = numbers,
    .infer = infer_dot_general,
};

}  // namespace kiln::ir

// Algebra of contractions. dot_general names the axes that it batches, contracts and keeps, so a transpose of an operand, or of the result,
// is a matter of names. Products commute and the order of accumulation is that of the contracted axes as listed, which stays; so do the
// bits.
#include <algorithm>
#include <numeric>

#include "ir/op.h"
#include "passes/rules.h"

namespace kiln::passes {

using namespace ir;

namespace {

using Integers = std::vector<std::int64_t>;

/// Axes of an operand that are neither batched nor contracted, in order.
Integers free_axes(std::size_t rank, const Integers& batch, const Integers& contract) {
  Integers axes;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(rank); ++d)
    if (std::ranges::find(batch, d) == batch.end() && std::ranges::find(contract, d) == contract.end()) axes.push_back(d);
  return axes;
}

struct Roles {
  Integers batch, contract;
};

Roles roles_of(const Node& dot, bool right) {
  return {integers_or_empty(dot.attributes, right ? "rhs_batch" : "lhs_batch"),
          integers_or_empty(dot.attributes, right ? "rhs_contract" : "lhs_contract")};
}

/// The dot_general `dot` of other operands along other axes.
ValueId like(Match& m, const Node& dot, ValueId lhs, ValueId rhs, const Roles& left, const Roles& right) {
  const Attributes attributes = dot.attributes;
  const ValueId plain = m.builder.dot_general(lhs, rhs, left.batch, right.batch, left.contract, right.contract);
  if (!attributes.find("dtype")) return plain;
  return m.builder.create(Op::dot_general, {lhs, rhs},
                          m.builder.graph().definition(plain).attributes.with("dtype", attributes.dtype("dtype")));
}

/// dot_general(transpose(x), y) = dot_general(x, y) with x's own axes, where the axes that are kept stay in order.
ValueId transposed_operand(Match& m) {
  if (m.node.op != Op::dot_general) return none;
  std::vector<ValueId> operands = m.node.operands;
  Roles roles[2] = {roles_of(m.node, false), roles_of(m.node, true)};
  bool changed = false;
  for (int side = 0; side < 2; ++side) {
    const Node* node = m.defined_by(operands[side], Op::transpose);
    if (!node) continue;
    const Integers& permutation = integers_or_empty(node->attributes, "permutation");
    Integers kept = free_axes(permutation.size(), roles[side].batch, roles[side].contract);
    for (std::int64_t& axis : kept) axis = permutation[axis];
    if (!std::ranges::is_sorted(kept)) continue;
    for (std::int64_t& axis : roles[side].batch) axis = permutation[axis];
    for (std::int64_t& axis : roles[side].contract) axis = permutation[axis];
    operands[side] = node->operands[0];
    changed = true;
  }
  if (!changed) return none;
  return like(m, m.node, operands[0], operands[1], roles[0], roles[1]);
}

/// transpose(dot_general(x, y)) = dot_general(y, x), where the transpose exchanges what is kept of x with what is kept of y.
ValueId transposed_result(Match& m) {
  if (m.node.op != Op::transpose) return none;
  const Node* dot = m.operand_if(0, Op::dot_general);
  if (!dot) return none;
  const Roles left = roles_of(*dot, false), right = roles_of(*dot, true);
  const ValueId x = dot->operands[0], y = dot->operands[1];
  const std::int64_t batch = static_cast<std::int64_t>(left.batch.size());
  const std::int64_t kept_left = static_cast<std::int64_t>(free_axes(m.type_of(x).rank(), left.batch, left.contract).size());
  Integers exchanged(m.type.rank());
  std::iota(exchanged.begin(), exchanged.end(), 0);
  std::rotate(exchanged.begin() + batch, exchanged.begin() + batch + kept_left, exchanged.end());
  if (integers_or_empty(m.node.attributes, "permutation") != exchanged) return none;
  const ValueId swapped = like(m, *dot, y, x, right, left);
  return if_same_type(m, swapped);
}

constexpr Rule rules[] = {transposed_operand, transposed_result};

}  // namespace

std::span<const Rule> contraction_rules() { return rules; }

}  // namespace kiln::passes

// canonicalize: one form per meaning, so that other rules need to know one form only.
//
//   - lists that are empty are absent; operands of commutative ops stand in order of definition, constants last; compare has its constant
//   on the right
//   - a constant whose elements are all equal is a broadcast scalar
//   - ops that do nothing are gone: stop_gradient (gradients have been taken),
//   reshape/transpose/convert/broadcast/slice/pad/reverse/concatenate to the same
//   - chains of reshape, transpose, broadcast_in_dim and convert are one op
#include <algorithm>
#include <cstring>
#include <numeric>

#include "ir/op.h"
#include "passes/passes.h"
#include "passes/rules.h"

namespace kiln::passes {

using namespace ir;

namespace {

using Integers = std::vector<std::int64_t>;

bool is_identity(const Integers& permutation) {
  for (std::size_t i = 0; i < permutation.size(); ++i)
    if (permutation[i] != static_cast<std::int64_t>(i)) return false;
  return true;
}

bool all_zero(const Dims& dims) {
  return std::ranges::all_of(dims, [](const Dim& d) { return d.is_constant(0); });
}

bool is_empty_list(const AttributeValue& value) {
  if (const auto* integers = std::get_if<Integers>(&value)) return integers->empty();
  if (const auto* dims = std::get_if<Dims>(&value)) return dims->empty();
  return false;
}

ValueId drop_empty_lists(Match& m) {
  Attributes attributes = m.node.attributes;
  for (const auto& [name, value] : m.node.attributes.items())
    if (is_empty_list(value)) attributes = attributes.without(name);
  if (attributes.items().size() == m.node.attributes.items().size()) return none;
  return m.builder.create(m.node.op, m.node.operands, std::move(attributes));
}

/// Sorts after everything that is not constant.
bool is_constant(const Match& m, ValueId v) { return m.definition(v).op == Op::constant || m.splat(v).has_value(); }

ValueId order_operands(Match& m) {
  if (!info(m.node.op).commutative || m.node.operands.size() != 2) return none;
  const ValueId a = m.operand(0), b = m.operand(1);
  const std::pair<bool, ValueId> left{is_constant(m, a), a}, right{is_constant(m, b), b};
  return right < left ? m.builder.create(m.node.op, {b, a}, m.node.attributes) : none;
}

ValueId constant_on_the_right(Match& m) {
  if (m.node.op != Op::compare || !is_constant(m, m.operand(0)) || is_constant(m, m.operand(1))) return none;
  constexpr Comparison mirrored[] = {Comparison::eq, Comparison::ne, Comparison::gt, Comparison::ge, Comparison::lt, Comparison::le};
  const Comparison direction = *comparison_from_name(m.node.attributes.text("direction"));
  return m.builder.create(Op::compare, {m.operand(1), m.operand(0)},
                          m.node.attributes.with("direction", std::string(name_of(mirrored[static_cast<std::size_t>(direction)]))));
}

ValueId forget_stop_gradient(Match& m) { return m.node.op == Op::stop_gradient ? m.operand(0) : none; }

/// constant {c, c, c ...} -> broadcast_in_dim(constant c)
ValueId splat_constant(Match& m) {
  if (m.node.op != Op::constant || m.type.dims.empty()) return none;
  const Array& literal = m.node.attributes.literal("value");
  if (literal.size() == 0) return none;
  const std::size_t size = size_of(literal.dtype());
  const auto* bytes = static_cast<const std::byte*>(literal.raw());
  if (std::memcmp(bytes, bytes + size, literal.bytes() - size) != 0) return none;
  return m.builder.broadcast_in_dim(m.builder.constant(Array(ArrayView(literal.dtype(), Shape{}, bytes))), m.type.dims, {});
}

ValueId convert_chain(Match& m) {
  if (m.node.op != Op::convert) return none;
  const DType to = m.type.dtype;
  if (m.type_of(m.operand(0)).dtype == to) return m.operand(0);
  const Node* inner = m.operand_if(0, Op::convert);
  if (!inner) return none;
  // Digits of precision, sign included for integers: `from` -> `through` loses nothing when they grow.
  const auto exact = [](DType a, DType b) {
    if (a == b || a == DType::boolean) return true;
    const auto digits = [](DType t) {
      switch (t) {
        case DType::f16: return 11;
        case DType::bf16: return 8;
        case DType::f32: return 24;
        case DType::f64: return 53;
        default: return static_cast<int>(size_of(t)) * 8 - (is_signed_integer(t) ? 1 : 0);
      }
    };
    if (is_floating(a)) return is_floating(b) && size_of(b) > size_of(a);
    if (is_floating(b)) return digits(b) >= digits(a);
    return is_integer(b) && digits(b) >= digits(a) && (is_signed_integer(b) || !is_signed_integer(a));
  };
  const ValueId x = inner->operands[0];
  const DType from = m.type_of(x).dtype, through = m.type_of(m.operand(0)).dtype;
  if (!exact(from, through)) return none;
  // Between integers conversion wraps, from a float it saturates: the way through a float may be left out only where neither happens.
  if (!is_floating(from) && is_floating(through) && !is_floating(to) && !exact(from, to)) return none;
  return from == to ? x : m.builder.convert(x, to);
}

ValueId reshape_chain(Match& m) {
  if (m.node.op != Op::reshape) return none;
  if (m.type_of(m.operand(0)) == m.type) return m.operand(0);
  const Node* inner = m.operand_if(0, Op::reshape);
  if (!inner) return none;
  const ValueId x = inner->operands[0];
  return m.type_of(x) == m.type ? x : m.builder.reshape(x, m.type.dims);
}

/// transpose(transpose(x, p), q): dim i is dim q[i] of the inner, which is dim p[q[i]] of x.
ValueId transpose_chain(Match& m) {
  if (m.node.op != Op::transpose) return none;
  Integers outer = integers_or_empty(m.node.attributes, "permutation");
  if (is_identity(outer)) return m.operand(0);
  const Node* inner = m.operand_if(0, Op::transpose);
  if (!inner) return none;
  const Integers& permutation = integers_or_empty(inner->attributes, "permutation");
  for (std::int64_t& axis : outer) axis = permutation[axis];
  const ValueId x = inner->operands[0];
  return m.builder.transpose(x, std::move(outer));
}

/// broadcast(broadcast(x, p), q): dim i of x goes to p[i], then to q[p[i]]. An extent that the inner one repeats is 1 in x and is repeated
/// by the outer one.
ValueId broadcast_chain(Match& m) {
  if (m.node.op != Op::broadcast_in_dim) return none;
  const Integers& outer = integers_or_empty(m.node.attributes, "positions");
  if (is_identity(outer) && m.type_of(m.operand(0)) == m.type) return m.operand(0);
  const Node* inner = m.operand_if(0, Op::broadcast_in_dim);
  if (!inner) return none;
  Integers positions = integers_or_empty(inner->attributes, "positions");
  for (std::int64_t& p : positions) p = outer[p];
  return m.builder.broadcast_in_dim(inner->operands[0], m.type.dims, std::move(positions));
}

ValueId slice_of_everything(Match& m) {
  if (m.node.op != Op::slice || m.type_of(m.operand(0)) != m.type) return none;
  const Integers& strides = integers_or_empty(m.node.attributes, "strides");
  const bool whole = all_zero(dims_or_empty(m.node.attributes, "starts")) && std::ranges::all_of(strides, [](auto s) { return s == 1; });
  return whole ? m.operand(0) : none;
}

ValueId pad_by_nothing(Match& m) {
  if (m.node.op != Op::pad || m.type_of(m.operand(0)) != m.type) return none;
  const Integers& interior = integers_or_empty(m.node.attributes, "interior");
  const bool nothing = all_zero(dims_or_empty(m.node.attributes, "low")) && all_zero(dims_or_empty(m.node.attributes, "high")) &&
                       std::ranges::all_of(interior, [](auto i) { return i == 0; });
  return nothing ? m.operand(0) : none;
}

ValueId concatenate_of_one(Match& m) { return m.node.op == Op::concatenate && m.node.operands.size() == 1 ? m.operand(0) : none; }

ValueId reverse_of_nothing(Match& m) {
  if (m.node.op != Op::reverse) return none;
  for (std::int64_t d : integers_or_empty(m.node.attributes, "dimensions"))
    if (!m.type.dims[d].is_constant(1)) return none;
  return m.operand(0);
}

constexpr Rule rules[] = {drop_empty_lists, order_operands,     constant_on_the_right, forget_stop_gradient, splat_constant,
                          convert_chain,    reshape_chain,      transpose_chain,       broadcast_chain,      slice_of_everything,
                          pad_by_nothing,   concatenate_of_one, reverse_of_nothing};

}  // namespace

std::span<const Rule> canonical_rules() { return rules; }

bool canonicalize(Module& module) { return apply_rules(module, rules); }

}  // namespace kiln::passes

// Algebra of numbers that keeps every bit (rules.h). What is missing here is missing on purpose: x - x is NaN for infinities, x * 0 loses a
// sign and NaN, x + 0 turns -0 into 0, (x + a) + b and (x * a) * b round twice. Integers wrap, so there the ring's identities hold in full.
#include <cmath>
#include <limits>

#include "ir/op.h"
#include "passes/rules.h"

namespace kiln::passes {

using namespace ir;

namespace {

bool is_float(const Match& m) { return is_floating(m.type.dtype); }
bool is_int(const Match& m) { return is_integer(m.type.dtype); }

/// The operand of the negation that defines v, or none. A negated constant is about to be a constant, so rules do not move it back.
ValueId negated(const Match& m, ValueId v) {
  const Node* node = m.defined_by(v, Op::negate);
  return node && !m.splat(node->operands[0]) ? node->operands[0] : none;
}

/// For v = x op c with a splat c, in canonical order: x and c.
std::optional<std::pair<ValueId, ValueId>> with_splat(const Match& m, ValueId v, Op op) {
  const Node* node = m.defined_by(v, op);
  if (!node || !m.splat(node->operands[1])) return std::nullopt;
  return std::pair{node->operands[0], node->operands[1]};
}

/// k when the number is +-2^k, else nothing.
std::optional<int> power_of_two(double number) {
  int exponent = 0;
  const double mantissa = std::frexp(number, &exponent);
  if (!std::isfinite(number) || std::fabs(mantissa) != 0.5) return std::nullopt;
  return exponent - 1;
}

/// Largest k for which 2^k and 2^-k are both normal numbers of the dtype.
int symmetric_exponent(DType dtype) {
  switch (dtype) {
    case DType::f16: return 14;
    case DType::f64: return 1022;
    default: return 126;
  }
}

ValueId add(Match& m) {
  if (m.node.op != Op::add) return none;
  const ValueId a = m.operand(0), b = m.operand(1);
  if (m.is_splat(b, is_float(m) ? -0.0 : 0)) return a;                        // x + (-0) = x; integers: x + 0 = x
  if (ValueId y = negated(m, b); y != none) return m.builder.subtract(a, y);  // x + (-y) = x - y
  if (ValueId x = negated(m, a); x != none) return m.builder.subtract(b, x);  // (-x) + y = y - x
  if (is_int(m) && m.splat(b))
    if (const auto inner = with_splat(m, a, Op::add))
      return m.builder.add(inner->first, m.builder.add(inner->second, b));  // (x + c) + d = x + (c + d)
  return none;
}

ValueId subtract(Match& m) {
  if (m.node.op != Op::subtract) return none;
  const ValueId a = m.operand(0), b = m.operand(1);
  if (m.is_splat(b, 0)) return a;                                         // x - 0 = x
  if (m.is_splat(a, is_float(m) ? -0.0 : 0)) return m.builder.negate(b);  // (-0) - y = -y; integers: 0 - y = -y
  if (ValueId y = negated(m, b); y != none) return m.builder.add(a, y);   // x - (-y) = x + y
  if (!is_int(m)) return none;
  if (a == b) return m.builder.zeros(m.type);                    // x - x = 0
  if (m.splat(b)) return m.builder.add(a, m.builder.negate(b));  // x - c = x + (-c)
  return none;
}

/// (x * 2^k) * d = x * (2^k * d) where k >= 0 and |d| >= 1: scaling up by 2^k is exact or overflows, and then the whole does.
ValueId merge_scales(Match& m, ValueId a, ValueId b) {
  const auto inner = with_splat(m, a, Op::multiply);
  if (!inner || !m.splat(b)) return none;
  const double c = element_as_double(*m.splat(inner->second), 0), d = element_as_double(*m.splat(b), 0);
  const std::optional<int> k = power_of_two(c);
  if (!k || *k < 0 || !(std::fabs(d) >= 1) || !std::isfinite(d)) return none;
  // The product is exact unless it overflows; half of the dtype's range for each is a simple bound.
  const int half = symmetric_exponent(m.type.dtype) / 2;
  if (*k > half || std::fabs(d) > std::ldexp(1.0, half)) return none;
  return m.builder.multiply(inner->first, m.builder.multiply(inner->second, b));
}

ValueId multiply(Match& m) {
  if (m.node.op != Op::multiply) return none;
  const ValueId a = m.operand(0), b = m.operand(1);
  if (m.is_splat(b, 1)) return a;  // x * 1 = x
  const ValueId x = negated(m, a), y = negated(m, b);
  if (x != none && y != none) return m.builder.multiply(x, y);                     // (-x) * (-y) = x * y
  if (x != none && m.splat(b)) return m.builder.multiply(x, m.builder.negate(b));  // (-x) * c = x * (-c)
  if (is_float(m)) {
    if (m.is_splat(b, -1)) return m.builder.negate(a);  // x * (-1) = -x
    return merge_scales(m, a, b);
  }
  if (!is_int(m)) return none;
  if (m.is_splat(b, 0)) return b;  // x * 0 = 0
  if (m.splat(b))
    if (const auto inner = with_splat(m, a, Op::multiply))
      return m.builder.multiply(inner->first, m.builder.multiply(inner->second, b));  // (x * c) * d = x * (c * d)
  return none;
}

ValueId divide(Match& m) {
  if (m.node.op != Op::divide) return none;
  const ValueId a = m.operand(0), b = m.operand(1);
  if (m.is_splat(b, 1)) return a;  // x / 1 = x
  if (!is_float(m)) return none;
  const ValueId x = negated(m, a), y = negated(m, b);
  if (x != none && y != none) return m.builder.divide(x, y);  // (-x) / (-y) = x / y
  const std::optional<Array> scalar = m.splat(b);
  if (!scalar) return none;
  // x / 2^k = x * 2^-k: both are x scaled exactly, then rounded once.
  const double c = element_as_double(*scalar, 0);
  const std::optional<int> k = power_of_two(c);
  if (!k || std::abs(*k) > symmetric_exponent(m.type.dtype)) return none;
  return m.builder.multiply(a, m.builder.splat(1 / c, m.type));
}

ValueId remainder(Match& m) {
  if (m.node.op != Op::remainder || !is_int(m) || !m.is_splat(m.operand(1), 1)) return none;
  return m.builder.zeros(m.type);  // x % 1 = 0
}

ValueId power(Match& m) { return m.node.op == Op::power && is_float(m) && m.is_splat(m.operand(1), 1) ? m.operand(0) : none; }  // x ^ 1 = x

ValueId negate(Match& m) {
  if (m.node.op != Op::negate) return none;
  if (ValueId x = negated(m, m.operand(0)); x != none) return x;  // -(-x) = x
  const Node* difference = m.operand_if(0, Op::subtract);
  if (!difference || !is_int(m)) return none;
  const ValueId a = difference->operands[0], b = difference->operands[1];
  return m.builder.subtract(b, a);  // integers: -(x - y) = y - x
}

ValueId abs(Match& m) {
  if (m.node.op != Op::abs) return none;
  if (m.operand_if(0, Op::abs)) return m.operand(0);  // ||x|| = |x|
  const ValueId x = negated(m, m.operand(0));
  return x == none ? none : m.builder.create(Op::abs, {x});  // |-x| = |x|
}

ValueId extremum(Match& m) {
  const bool one = m.node.op == Op::maximum || m.node.op == Op::minimum;
  return one && m.operand(0) == m.operand(1) ? m.operand(0) : none;  // max(x, x) = x
}

ValueId logic(Match& m) {
  const Op op = m.node.op;
  if (op == Op::not_) {
    const Node* inner = m.operand_if(0, Op::not_);
    return inner ? inner->operands[0] : none;  // not not x = x
  }
  if (op != Op::and_ && op != Op::or_ && op != Op::xor_) return none;
  const ValueId a = m.operand(0), b = m.operand(1);
  if (op == Op::xor_) {
    if (a == b) return m.builder.zeros(m.type);  // x xor x = 0
    return m.is_splat(b, 0) ? a : none;          // x xor 0 = x
  }
  if (a == b) return a;  // x and x = x or x = x
  const bool is_or = op == Op::or_;
  if (m.is_splat(b, 0)) return is_or ? a : b;                                    // x or 0 = x, x and 0 = 0
  if (m.type.dtype == DType::boolean && m.is_splat(b, 1)) return is_or ? b : a;  // x or true = true, x and true = x
  return none;
}

ValueId shift(Match& m) {
  const bool one = m.node.op == Op::shift_left || m.node.op == Op::shift_right_arithmetic || m.node.op == Op::shift_right_logical;
  return one && m.is_splat(m.operand(1), 0) ? m.operand(0) : none;  // x << 0 = x
}

/// Whether a comparison orders all floats, NaN included.
bool is_total(const Node& comparison) { return comparison.attributes.find("total_order") && comparison.attributes.flag("total_order"); }

ValueId compare(Match& m) {
  if (m.node.op == Op::not_) {
    const Node* inner = m.operand_if(0, Op::compare);
    if (!inner) return none;
    const Comparison direction = *comparison_from_name(inner->attributes.text("direction"));
    const ValueId a = inner->operands[0], b = inner->operands[1];
    const bool equality = direction == Comparison::eq || direction == Comparison::ne;
    if (is_floating(m.type_of(a).dtype) && !equality && !is_total(*inner)) return none;  // not (x < y) holds for NaN, x >= y does not
    constexpr Comparison opposite[] = {Comparison::ne, Comparison::eq, Comparison::ge, Comparison::gt, Comparison::le, Comparison::lt};
    return m.builder.create(Op::compare, {a, b},
                            inner->attributes.with("direction", std::string(name_of(opposite[static_cast<std::size_t>(direction)]))));
  }
  if (m.node.op != Op::compare || m.operand(0) != m.operand(1)) return none;
  if (is_floating(m.type_of(m.operand(0)).dtype) && !is_total(m.node)) return none;
  const std::string& direction = m.node.attributes.text("direction");
  return m.builder.splat(direction == "eq" || direction == "le" || direction == "ge", m.type);  // without NaN: x <= x
}

/// x > c or x != x, for a number c: not (x <= c), which is true for NaN too. This is the mask of the gradient of maximum, so of every relu.
ValueId ordered_or_nan(Match& m) {
  if (m.node.op != Op::or_) return none;
  for (int side = 0; side < 2; ++side) {
    const Node* order = m.operand_if(side, Op::compare);
    const Node* nan = m.operand_if(1 - side, Op::compare);
    if (!order || !nan || is_total(*order) || is_total(*nan) || nan->attributes.text("direction") != "ne" || nan->operands[0] != nan->operands[1] ||
        order->operands[0] != nan->operands[0])
      continue;
    const ValueId x = order->operands[0], c = order->operands[1];
    const std::optional<Array> scalar = m.splat(c);
    if (!scalar || !is_floating(scalar->dtype()) || std::isnan(element_as_double(*scalar, 0))) continue;
    constexpr Comparison opposite[] = {Comparison::ne, Comparison::eq, Comparison::ge, Comparison::gt, Comparison::le, Comparison::lt};
    const Comparison direction = *comparison_from_name(order->attributes.text("direction"));
    if (direction == Comparison::eq || direction == Comparison::ne) continue;
    return m.builder.create(Op::not_, {m.builder.compare(opposite[static_cast<std::size_t>(direction)], x, c)});
  }
  return none;
}

ValueId select(Match& m) {
  if (m.node.op != Op::select) return none;
  const ValueId mask = m.operand(0), a = m.operand(1), b = m.operand(2);
  if (a == b) return a;  // select(m, x, x) = x
  if (m.is_splat(mask, 1)) return if_same_type(m, a);
  if (m.is_splat(mask, 0)) return if_same_type(m, b);
  const Node* inverted = m.defined_by(mask, Op::not_);
  if (!inverted) return none;
  const ValueId straight = inverted->operands[0];
  return m.builder.select(straight, b, a);  // select(not m, x, y) = select(m, y, x)
}

/// f(broadcast x, broadcast y) = broadcast f(x, y): the same arithmetic, done once per distinct element.
ValueId below_broadcasts(Match& m) {
  if (!info(m.node.op).elementwise || m.node.operands.empty()) return none;
  std::vector<ValueId> sources;
  Attributes broadcast;
  for (ValueId v : m.node.operands) {
    const Node* node = m.defined_by(v, Op::broadcast_in_dim);
    if (!node || m.type_of(v).dims != m.type.dims) return none;
    if (sources.empty()) broadcast = node->attributes;
    if (!(node->attributes == broadcast) || m.type_of(node->operands[0]).dims != m.type_of(m.definition(m.operand(0)).operands[0]).dims)
      return none;
    sources.push_back(node->operands[0]);
  }
  return m.builder.create(Op::broadcast_in_dim, {m.builder.create(m.node.op, std::move(sources), m.node.attributes)}, broadcast);
}

constexpr Rule rules[] = {add,      subtract, multiply, divide,  remainder,      power,  negate,          abs,
                          extremum, logic,    shift,    compare, ordered_or_nan, select, below_broadcasts};

}  // namespace

std::span<const Rule> arithmetic_rules() { return rules; }

}  // namespace kiln::passes

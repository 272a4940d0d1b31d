// Algebra of shape ops: they move elements without touching them, so every identity keeps the bits.
#include <algorithm>

#include "ir/op.h"
#include "passes/rules.h"

namespace kiln::passes {

using namespace ir;

namespace {

using Integers = std::vector<std::int64_t>;

bool is_one(std::int64_t n) { return n == 1; }

bool is_empty(const Type& type) {
  return std::ranges::any_of(type.dims, [](const Dim& d) { return d.is_constant(0); });
}

/// All tensors without elements are equal, so none needs computing.
ValueId empty_result(Match& m) {
  if (!is_empty(m.type) || m.type.kind != Type::Kind::tensor || info(m.node.op).effect || !regions_of(m.node).empty()) return none;
  if (m.node.op == Op::shrink) return none;  // it gives a symbol its value
  const bool simplest = m.node.op == Op::constant || (m.node.op == Op::broadcast_in_dim && m.operand_if(0, Op::constant));
  if (simplest) return none;
  return m.builder.zeros(m.type);
}

/// A sum over no elements is 0.
ValueId empty_sum(Match& m) {
  if (m.node.op != Op::dot_general && (m.node.op != Op::reduce || m.node.attributes.text("combiner") != "add")) return none;
  return is_empty(m.type_of(m.operand(0))) ? m.builder.zeros(m.type) : none;
}

/// Any rearrangement of a splat is a splat: transpose, reverse, slice and reshape of it, and pad or concatenate with the same number.
ValueId splat_of_splat(Match& m) {
  switch (m.node.op) {
    case Op::reshape:
    case Op::transpose:
    case Op::reverse:
    case Op::slice:
    case Op::concatenate:
    case Op::pad: break;
    default: return none;
  }
  const std::optional<Array> first = m.splat(m.operand(0));
  if (!first) return none;
  for (ValueId v : m.node.operands)
    if (const std::optional<Array> other = m.splat(v); !other || !identical(*first, *other)) return none;
  const ValueId scalar = m.builder.constant(*first);
  return m.type.dims.empty() ? scalar : m.builder.broadcast_in_dim(scalar, m.type.dims, {});
}

/// transpose(broadcast(x)): dim d of the broadcast is where the permutation says d.
ValueId transpose_of_broadcast(Match& m) {
  if (m.node.op != Op::transpose) return none;
  const Node* broadcast = m.operand_if(0, Op::broadcast_in_dim);
  if (!broadcast) return none;
  const Integers& permutation = integers_or_empty(m.node.attributes, "permutation");
  Integers positions = integers_or_empty(broadcast->attributes, "positions");
  for (std::int64_t& p : positions) p = std::ranges::find(permutation, p) - permutation.begin();
  return m.builder.broadcast_in_dim(broadcast->operands[0], m.type.dims, std::move(positions));
}

/// broadcast(reshape(x)) = broadcast(x) where the reshape only adds or drops extents of 1 between x and what is broadcast.
ValueId broadcast_of_reshape(Match& m) {
  if (m.node.op != Op::broadcast_in_dim) return none;
  const Node* reshape = m.operand_if(0, Op::reshape);
  if (!reshape) return none;
  const ValueId x = reshape->operands[0];
  const Dims& from = m.type_of(x).dims;
  const Dims& through = m.type_of(m.operand(0)).dims;
  const Integers& outer = integers_or_empty(m.node.attributes, "positions");
  Integers positions;
  std::size_t next = 0;
  for (const Dim& extent : from) {
    if (extent.is_constant(1)) return none;  // it would need a position of its own
    while (next < through.size() && through[next].is_constant(1)) ++next;
    if (next == through.size() || !(through[next] == extent)) return none;
    positions.push_back(outer[next++]);
  }
  for (; next < through.size(); ++next)
    if (!through[next].is_constant(1)) return none;
  return m.builder.broadcast_in_dim(x, m.type.dims, std::move(positions));
}

/// A transpose that only moves extents of 1 is a reshape.
ValueId transpose_of_ones(Match& m) {
  if (m.node.op != Op::transpose) return none;
  std::int64_t last = -1;
  for (std::int64_t axis : integers_or_empty(m.node.attributes, "permutation")) {
    if (m.type_of(m.operand(0)).dims[axis].is_constant(1)) continue;
    if (axis < last) return none;
    last = axis;
  }
  return m.builder.reshape(m.operand(0), m.type.dims);
}

/// A broadcast that only adds extents of 1, in order, is a reshape.
ValueId broadcast_of_ones(Match& m) {
  if (m.node.op != Op::broadcast_in_dim) return none;
  const Integers& positions = integers_or_empty(m.node.attributes, "positions");
  const Dims& from = m.type_of(m.operand(0)).dims;
  if (from.empty() || !std::ranges::is_sorted(positions)) return none;
  for (std::size_t d = 0; d < m.type.dims.size(); ++d) {
    if (m.type.dims[d].is_constant(1)) continue;
    const auto found = std::ranges::find(positions, static_cast<std::int64_t>(d));
    if (found == positions.end() || !(from[found - positions.begin()] == m.type.dims[d])) return none;
  }
  return m.builder.reshape(m.operand(0), m.type.dims);
}

ValueId reverse_of_reverse(Match& m) {
  if (m.node.op != Op::reverse) return none;
  const Node* inner = m.operand_if(0, Op::reverse);
  if (!inner) return none;
  // An axis that is reversed twice is not.
  Integers dimensions;
  const Integers& a = integers_or_empty(m.node.attributes, "dimensions");
  const Integers& b = integers_or_empty(inner->attributes, "dimensions");
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(m.type.rank()); ++d)
    if ((std::ranges::find(a, d) == a.end()) != (std::ranges::find(b, d) == b.end())) dimensions.push_back(d);
  const ValueId x = inner->operands[0];
  if (dimensions.empty()) return x;
  return m.builder.create(Op::reverse, {x}, {{"dimensions", dimensions}});
}

/// slice(slice(x)) where the inner one has stride 1: its start is added.
ValueId slice_of_slice(Match& m) {
  if (m.node.op != Op::slice) return none;
  const Node* inner = m.operand_if(0, Op::slice);
  if (!inner || !std::ranges::all_of(integers_or_empty(inner->attributes, "strides"), is_one)) return none;
  Dims starts = dims_or_empty(m.node.attributes, "starts"), limits = dims_or_empty(m.node.attributes, "limits");
  const Dims& offsets = dims_or_empty(inner->attributes, "starts");
  for (std::size_t d = 0; d < starts.size(); ++d) {
    starts[d] += offsets[d];
    limits[d] += offsets[d];
  }
  const ValueId x = inner->operands[0];
  return if_same_type(m, m.builder.slice(x, starts, limits, integers_or_empty(m.node.attributes, "strides")));
}

/// slice(concatenate(x, y, ...)) that lies in one part is a slice of that part.
ValueId slice_of_concatenate(Match& m) {
  if (m.node.op != Op::slice) return none;
  const Node* joined = m.operand_if(0, Op::concatenate);
  if (!joined) return none;
  const std::size_t dim = static_cast<std::size_t>(joined->attributes.integer("dim"));
  Dims starts = dims_or_empty(m.node.attributes, "starts"), limits = dims_or_empty(m.node.attributes, "limits");
  Dim offset = 0;
  for (ValueId part : joined->operands) {
    const Dim end = offset + m.type_of(part).dims[dim];
    if (less_equal(offset, starts[dim]) == Truth::yes && less_equal(limits[dim], end) == Truth::yes) {
      starts[dim] -= offset;
      limits[dim] -= offset;
      return if_same_type(m, m.builder.slice(part, starts, limits, integers_or_empty(m.node.attributes, "strides")));
    }
    offset = end;
  }
  return none;
}

/// concatenate(concatenate(x, y), z) = concatenate(x, y, z); parts without elements are left out.
ValueId concatenate_of_parts(Match& m) {
  if (m.node.op != Op::concatenate) return none;
  const std::int64_t dim = m.node.attributes.integer("dim");
  std::vector<ValueId> parts;
  bool changed = false;
  for (ValueId v : m.node.operands) {
    if (m.type_of(v).dims[dim].is_constant(0)) {
      changed = true;
      continue;
    }
    const Node* inner = m.defined_by(v, Op::concatenate);
    if (inner && inner->attributes.integer("dim") == dim) {
      parts.insert(parts.end(), inner->operands.begin(), inner->operands.end());
      changed = true;
    } else {
      parts.push_back(v);
    }
  }
  if (!changed || parts.empty()) return none;
  return if_same_type(m, parts.size() == 1 ? parts[0] : m.builder.concatenate(std::move(parts), dim));
}

/// A fold over nothing, or over extents of 1, combines its start with each element. Only a float sum's start changes one: 0 + -0 is 0.
ValueId reduce_of_ones(Match& m) {
  if (m.node.op != Op::reduce) return none;
  const Integers& dimensions = integers_or_empty(m.node.attributes, "dimensions");
  const Dims& dims = m.type_of(m.operand(0)).dims;
  if (!std::ranges::all_of(dimensions, [&](std::int64_t d) { return dims[d].is_constant(1); })) return none;
  const ValueId same = m.builder.reshape(m.operand(0), m.type.dims);
  if (m.node.attributes.text("combiner") != "add" || !is_floating(m.type.dtype)) return same;
  return m.builder.add(same, m.builder.zeros(m.type));
}

constexpr Rule rules[] = {empty_result,         empty_sum,         splat_of_splat,     transpose_of_broadcast, broadcast_of_reshape,
                          transpose_of_ones,    broadcast_of_ones, reverse_of_reverse, slice_of_slice,         slice_of_concatenate,
                          concatenate_of_parts, reduce_of_ones};

}  // namespace

std::span<const Rule> shape_rules() { return rules; }

}  // namespace kiln::passes

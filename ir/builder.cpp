// Builder: nodes with inferred types.
#include "ir/builder.h"

#include <fmt/format.h>
#include <algorithm>

namespace kiln::ir {

namespace {

/// Puts `to` where the type has the extent `from`; true when it has.
bool replace_extent(Type& type, const Dim& from, const Dim& to) {
  const bool found = std::ranges::find(type.dims, from) != type.dims.end();
  std::ranges::replace(type.dims, from, to);
  return found;
}

}  // namespace

/// The types of the results; operands go through match_extents where that makes them fit.
std::vector<Type> Builder::infer(Op op, std::vector<ValueId>& operands, const Attributes& attributes) {
  const Graph& target = graph();
  std::vector<Type> types;
  types.reserve(operands.size());
  for (const ValueId operand : operands) {
    internal_check(operand < target.value_count(), "operand is no value of the builder's graph");
    types.push_back(target.type(operand));
  }
  try {
    if (!checkable || op == Op::match_extents) return infer_types({op, types, attributes, &module_});
    std::vector<UnprovenExtents> unproven;
    std::vector<Type> results = infer_types({op, types, attributes, &module_, &unproven});
    if (unproven.empty()) return results;
    for (const UnprovenExtents& extents : unproven) {
      if (!checkable(extents.a, extents.b)) continue;
      // The first extent counts; where only it is one of the operands' (the other comes from an attribute, or a variable), the other.
      std::vector<Type> wanted = types;
      bool found = false;
      for (Type& type : wanted) found = replace_extent(type, extents.b, extents.a) || found;
      for (Type& type : wanted)
        if (!found) found = replace_extent(type, extents.a, extents.b);
      if (!found && op == Op::reshape) wanted[0].dims = results[0].dims;
      for (std::size_t i = 0; i < operands.size(); ++i) {
        if (wanted[i] == types[i]) continue;
        operands[i] = create(Op::match_extents, {operands[i]},
                             {{"dims", wanted[i].dims},
                              {"left", Dims{extents.a}},
                              {"right", Dims{extents.b}},
                              {"message", fmt::format("{}: {}", info(op).name, extents.message)}});
        types[i] = wanted[i];
      }
    }
    return infer_types({op, types, attributes, &module_});
  } catch (const Error& error) {
    if (error.where().known()) throw;
    throw Error(error.code(), error.message(), module_.location(location), error.hint());
  }
}

std::vector<ValueId> Builder::create_many(Op op, std::vector<ValueId> operands, Attributes attributes) {
  Graph& target = graph();
  std::vector<Type> results = infer(op, operands, attributes);
  const NodeId id = target.append(op, std::move(operands), std::move(attributes), std::move(results), location);
  Node& node = target.node(id);
  node.recompute = recompute;
  std::vector<ValueId> values(node.result_count);
  for (std::uint32_t i = 0; i < node.result_count; ++i) values[i] = node.first_result + i;
  return values;
}

ValueId Builder::create(Op op, std::vector<ValueId> operands, Attributes attributes) {
  const std::vector<ValueId> values = create_many(op, std::move(operands), std::move(attributes));
  return values.size() == 1 ? values[0] : none;
}

ValueId Builder::constant(Array literal) { return create(Op::constant, {}, {{"value", std::move(literal)}}); }

ValueId Builder::scalar(DType dtype, double value) { return constant(Array::full(dtype, Shape{}, value)); }

ValueId Builder::splat(double value, const Type& like) {
  const ValueId element = scalar(like.dtype, value);
  return like.dims.empty() ? element : broadcast_in_dim(element, like.dims, {});
}

ValueId Builder::compare(Comparison comparison, ValueId a, ValueId b) {
  return create(Op::compare, {a, b}, {{"direction", std::string(name_of(comparison))}});
}

ValueId Builder::convert(ValueId a, DType dtype) { return create(Op::convert, {a}, {{"dtype", dtype}}); }

ValueId Builder::broadcast_in_dim(ValueId a, const Dims& dims, std::vector<std::int64_t> positions) {
  return create(Op::broadcast_in_dim, {a}, {{"dims", dims}, {"positions", std::move(positions)}});
}

ValueId Builder::reshape(ValueId a, const Dims& dims) { return create(Op::reshape, {a}, {{"dims", dims}}); }

ValueId Builder::transpose(ValueId a, std::vector<std::int64_t> permutation) {
  return create(Op::transpose, {a}, {{"permutation", std::move(permutation)}});
}

ValueId Builder::slice(ValueId a, const Dims& starts, const Dims& limits, std::vector<std::int64_t> strides) {
  return create(Op::slice, {a}, {{"starts", starts}, {"limits", limits}, {"strides", std::move(strides)}});
}

ValueId Builder::pad(ValueId a, ValueId value, const Dims& low, const Dims& high, std::vector<std::int64_t> interior) {
  return create(Op::pad, {a, value}, {{"low", low}, {"high", high}, {"interior", std::move(interior)}});
}

ValueId Builder::concatenate(std::vector<ValueId> parts, std::int64_t dim) {
  return create(Op::concatenate, std::move(parts), {{"dim", dim}});
}

ValueId Builder::reduce(ValueId a, std::string combiner, std::vector<std::int64_t> dims) {
  return create(Op::reduce, {a}, {{"combiner", std::move(combiner)}, {"dimensions", std::move(dims)}});
}

ValueId Builder::dot_general(ValueId a, ValueId b, std::vector<std::int64_t> lhs_batch, std::vector<std::int64_t> rhs_batch,
                             std::vector<std::int64_t> lhs_contract, std::vector<std::int64_t> rhs_contract) {
  // Empty lists are the defaults and are left out, so that equal contractions have equal attributes.
  std::vector<Attributes::Item> items;
  const auto give = [&](const char* name, std::vector<std::int64_t>& list) {
    if (!list.empty()) items.emplace_back(name, std::move(list));
  };
  give("lhs_batch", lhs_batch);
  give("rhs_batch", rhs_batch);
  give("lhs_contract", lhs_contract);
  give("rhs_contract", rhs_contract);
  return create(Op::dot_general, {a, b}, Attributes(std::move(items)));
}

ValueId Builder::dim_size(const Dim& dim) { return create(Op::dim_size, {}, {{"dims", Dims{dim}}}); }

std::string describe_types(std::span<const Type> types) {
  std::string text;
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (i > 0) text += i + 1 == types.size() ? " and " : ", ";
    text += to_string(types[i]);
  }
  return text;
}

namespace {
constexpr std::string_view comparison_names[] = {"eq", "ne", "lt", "le", "gt", "ge"};
}

std::string_view name_of(Comparison comparison) { return comparison_names[static_cast<std::size_t>(comparison)]; }

std::optional<Comparison> comparison_from_name(std::string_view name) {
  for (std::size_t i = 0; i < std::size(comparison_names); ++i)
    if (comparison_names[i] == name) return static_cast<Comparison>(i);
  return std::nullopt;
}

}  // namespace kiln::ir

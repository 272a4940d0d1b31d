// The operator table, assembled from ir/ops.def, and the checks that precede every op's own shape inference.
#include "ir/op.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "ir/builder.h"

namespace kiln::ir {

namespace {

constexpr const OpInfo* entries[] = {
#define KILN_OP(name) &op_entry<Op::name>,
#include "ir/ops.def"
#undef KILN_OP
};

constexpr Op ops[] = {
#define KILN_OP(name) Op::name,
#include "ir/ops.def"
#undef KILN_OP
};

std::string_view name_of(AttributeKind kind) {
  constexpr std::string_view names[] = {"flag", "integer", "number", "text", "dtype", "integers", "dims", "literal", "graph"};
  return names[static_cast<std::size_t>(kind)];
}

AttributeKind kind_of(const AttributeValue& value) {
  constexpr AttributeKind kinds[] = {AttributeKind::flag, AttributeKind::integer, AttributeKind::number,
                                     AttributeKind::text, AttributeKind::dtype,   AttributeKind::integers,
                                     AttributeKind::dims, AttributeKind::literal, AttributeKind::graph};
  static_assert(std::variant_size_v<AttributeValue> == std::size(kinds));
  return kinds[value.index()];
}

constexpr std::string_view kernel_kinds[] = {"map", "reduction", "row", "contraction", "fold", "update", "sort"};

std::string operands_text(std::span<const Type> types) { return types.empty() ? "no operands" : describe_types(types); }

void check_count(const OpInfo& entry, std::span<const Type> operands) {
  const auto count = static_cast<std::ptrdiff_t>(operands.size());
  if (count >= entry.min_operands && (entry.max_operands < 0 || count <= entry.max_operands)) return;
  std::string wanted = std::to_string(entry.min_operands);
  if (entry.max_operands < 0)
    wanted = "at least " + wanted;
  else if (entry.max_operands != entry.min_operands)
    wanted += " to " + std::to_string(entry.max_operands);
  const bool one = entry.min_operands == 1 && (entry.max_operands == 1 || entry.max_operands < 0);
  throw Error(ErrorCode::invalid_argument, std::string(entry.name) + " takes " + wanted + (one ? " operand" : " operands") +
                                               ", but was given " + operands_text(operands));
}

void check_attributes(const OpInfo& entry, const Attributes& attributes) {
  for (const auto& [name, value] : attributes.items()) {
    const auto spec = std::ranges::find(entry.attributes, std::string_view(name), &AttributeSpec::name);
    if (spec == entry.attributes.end()) {
      if (entry.open_attributes) continue;
      throw Error(ErrorCode::invalid_argument, std::string(entry.name) + " has no attribute '" + name + "'");
    }
    if (kind_of(value) != spec->kind)
      throw Error(ErrorCode::invalid_argument, std::string(entry.name) + ": attribute '" + name + "' must be of kind " +
                                                   std::string(name_of(spec->kind)) + ", but is of kind " +
                                                   std::string(name_of(kind_of(value))));
  }
  for (const AttributeSpec& spec : entry.attributes)
    if (spec.required && !attributes.find(spec.name))
      throw Error(ErrorCode::invalid_argument, std::string(entry.name) + ": attribute '" + std::string(spec.name) + "' (" +
                                                   std::string(name_of(spec.kind)) + ": " + std::string(spec.doc) + ") is missing");
}

void check_dtype(const OpInfo& entry, DType dtype, std::span<const Type> operands) {
  if (entry.dtypes.contains(dtype)) return;
  std::string allowed;
  for (int i = 0; i < dtype_count; ++i)
    if (entry.dtypes.contains(static_cast<DType>(i)))
      allowed += (allowed.empty() ? "" : ", ") + std::string(kiln::name_of(static_cast<DType>(i)));
  throw Error(ErrorCode::dtype_mismatch,
              std::string(entry.name) + " of dtype " + std::string(kiln::name_of(dtype)) + " does not exist" +
                  (operands.empty() ? "" : ": operands are " + describe_types(operands)),
              {}, "it takes " + allowed + "; convert the operand first");
}

}  // namespace

std::string_view name_of(KernelKind kind) { return kernel_kinds[static_cast<std::size_t>(kind)]; }

const OpInfo& info(Op op) { return *entries[static_cast<std::size_t>(op)]; }

std::span<const Op> all_ops() { return ops; }

std::optional<Op> op_from_name(std::string_view name) {
  static const std::unordered_map<std::string_view, Op> by_name = [] {
    std::unordered_map<std::string_view, Op> map;
    for (const Op op : ops) map.emplace(info(op).name, op);
    return map;
  }();
  const auto found = by_name.find(name);
  if (found == by_name.end()) return std::nullopt;
  return found->second;
}

std::vector<Type> infer_types(const InferContext& context) {
  const OpInfo& entry = info(context.op);
  check_count(entry, context.operands);
  check_attributes(entry, context.attributes);
  if (!context.operands.empty()) check_dtype(entry, context.operands[0].dtype, context.operands);
  if (!entry.infer) throw InternalError("the types of " + std::string(entry.name) + " cannot be inferred");
  std::vector<Type> types = entry.infer(context);
  if (context.operands.empty() && !types.empty()) check_dtype(entry, types[0].dtype, {});
  return types;
}

}  // namespace kiln::ir

// Common subexpression elimination by hash-consing: in one sweep each node is looked up among the earlier ones with the same op, operands
// (already merged), and attributes. Effects, tapes, parameters and recompute clones stay apart. Two reads of a variable in one run see the
// same value, and two draws of one stream with one counter are the same numbers, so both merge like anything else.
#include <cstring>
#include <unordered_map>

#include "ir/op.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace kiln::passes {

using namespace ir;

namespace {

void mix(std::size_t& hash, std::size_t value) { hash ^= value + 0x9e3779b97f4a7c15u + (hash << 6) + (hash >> 2); }

std::size_t hash_of(const AttributeValue& value) {
  std::size_t hash = value.index();
  std::visit(
      [&](const auto& x) {
        using T = std::decay_t<decltype(x)>;
        if constexpr (std::is_same_v<T, double>) {
          std::uint64_t bits = 0;
          std::memcpy(&bits, &x, sizeof bits);
          mix(hash, bits);
        } else if constexpr (std::is_same_v<T, std::string>) {
          mix(hash, std::hash<std::string>{}(x));
        } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
          for (std::int64_t i : x) mix(hash, static_cast<std::size_t>(i));
        } else if constexpr (std::is_same_v<T, Dims>) {
          for (const Dim& d : x) mix(hash, d.hash());
        } else if constexpr (std::is_same_v<T, Array>) {
          mix(hash, std::hash<std::string_view>{}({static_cast<const char*>(x.raw()), x.bytes()}));
        } else if constexpr (std::is_same_v<T, GraphRef>) {
          mix(hash, x.id);
        } else {
          mix(hash, static_cast<std::size_t>(x));
        }
      },
      value);
  return hash;
}

std::size_t hash_of(Op op, std::span<const ValueId> operands, const Attributes& attributes) {
  std::size_t hash = static_cast<std::size_t>(op);
  for (ValueId v : operands) mix(hash, v);
  for (const auto& [name, value] : attributes.items()) {
    mix(hash, std::hash<std::string>{}(name));
    mix(hash, hash_of(value));
  }
  return hash;
}

bool merge_in(Module& module, GraphId id, const std::vector<bool>& effects) {
  Rebuild rebuild(module, id);
  std::unordered_multimap<std::size_t, NodeId> seen;  // looked up only, never iterated
  bool changed = false;
  for (NodeId n = 0; n < rebuild.old().node_count(); ++n) {
    const Node& node = rebuild.old().node(n);
    if (node.op == Op::parameter || node.recompute || has_effect(node, effects) || touches_tape(rebuild.old(), node)) {
      rebuild.keep(n);
      continue;
    }
    const std::vector<ValueId> operands = rebuild.mapped(node.operands);
    const std::size_t hash = hash_of(node.op, operands, node.attributes);
    NodeId twin = none;
    for (auto [at, end] = seen.equal_range(hash); at != end && twin == none; ++at) {
      const Node& other = rebuild.graph().node(at->second);
      if (other.op == node.op && other.operands == operands && other.attributes == node.attributes) twin = at->second;
    }
    if (twin == none) {
      seen.emplace(hash, copy_node(rebuild.old(), n, rebuild.graph(), rebuild.map()));
      continue;
    }
    changed = true;
    for (std::uint32_t i = 0; i < node.result_count; ++i)
      rebuild.replace(node.first_result + i, rebuild.graph().node(twin).first_result + i);
  }
  rebuild.finish();
  return changed;
}

}  // namespace

bool eliminate_common_subexpressions(Module& module) {
  const std::vector<bool> effects = graphs_with_effects(module);
  bool changed = false;
  for (GraphId id = 0; id < module.graphs.size(); ++id) changed |= merge_in(module, id, effects);
  return changed;
}

}  // namespace kiln::passes

// Branches that are decided, or make no difference, are inlined: a cond whose predicate is a constant, and one whose two branches are the
// same graph (equal nodes in equal order).
#include "ir/op.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace kiln::passes {

using namespace ir;

namespace {

/// Larger graphs are not compared: it would cost more than it brings.
constexpr std::size_t max_compared_nodes = 64;

/// Equal parameters, nodes and results.
bool same_graph(const Graph& a, const Graph& b) {
  if (a.node_count() != b.node_count() || a.node_count() > max_compared_nodes || a.parameters != b.parameters || a.results != b.results)
    return false;
  for (NodeId n = 0; n < a.node_count(); ++n) {
    const Node &x = a.node(n), &y = b.node(n);
    if (x.op != y.op || x.operands != y.operands || x.result_count != y.result_count || x.recompute != y.recompute ||
        !(x.attributes == y.attributes))
      return false;
    for (std::uint32_t i = 0; i < x.result_count; ++i)
      if (!(a.type(x.first_result + i) == b.type(y.first_result + i))) return false;
  }
  return true;
}

/// The branch that is sure to run, or to yield what runs; none: it is not known.
GraphId decided_branch(const Module& module, const Graph& graph, const Node& node) {
  const GraphId on_true = node.attributes.graph("then"), on_false = node.attributes.graph("else");
  const Node& predicate = graph.definition(node.operands[0]);
  if (predicate.op == Op::constant) return predicate.attributes.literal("value").item<bool>() ? on_true : on_false;
  return on_true == on_false || same_graph(module.graph(on_true), module.graph(on_false)) ? on_true : none;
}

}  // namespace

bool simplify_branches(Module& module) {
  const std::vector<bool> effects = graphs_with_effects(module);
  bool changed = false;
  for (GraphId id : callees_first(module)) {
    std::vector<std::pair<NodeId, GraphId>> decided;
    for (NodeId n = 0; n < module.graph(id).node_count(); ++n) {
      const Node& node = module.graph(id).node(n);
      if (node.op != Op::cond) continue;
      if (const GraphId branch = decided_branch(module, module.graph(id), node); branch != none) decided.emplace_back(n, branch);
    }
    if (decided.empty()) continue;
    changed = true;
    Rebuild rebuild(module, id);
    std::size_t next = 0;
    for (NodeId n = 0; n < rebuild.old().node_count(); ++n) {
      if (next == decided.size() || decided[next].first != n) {
        rebuild.keep(n);
        continue;
      }
      const Node& node = rebuild.old().node(n);
      const std::vector<ValueId> arguments = rebuild.mapped(std::span(node.operands).subspan(1));
      const std::vector<ValueId> results = inline_graph(module.graph(decided[next].second), rebuild.graph(), arguments, &effects);
      for (std::uint32_t i = 0; i < node.result_count; ++i) rebuild.replace(node.first_result + i, results[i]);
      ++next;
    }
    rebuild.finish();
  }
  if (changed) module.sweep();
  return changed;
}

}  // namespace kiln::passes

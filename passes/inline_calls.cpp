// Inlining of calls and composites.
//
// Graphs are treated after those they refer to, so what is inlined is flat already and each node is copied once per place where it ends up. A composite
// keeps its node only while a later pass knows its name and does better than with its decomposition; none does today, so all are inlined.
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace kiln::passes {

using namespace ir;

namespace {

GraphId inlined_body(const Node& node) {
  if (node.op == Op::call) return node.attributes.graph("body");
  if (node.op == Op::composite) return node.attributes.graph("decomposition");
  return none;
}

bool holds_call(const Graph& graph) {
  for (NodeId n = 0; n < graph.node_count(); ++n)
    if (inlined_body(graph.node(n)) != none) return true;
  return false;
}

}  // namespace

bool inline_calls(Module& module) {
  const std::vector<bool> effects = graphs_with_effects(module);
  bool changed = false;
  for (GraphId id : callees_first(module)) {
    if (!holds_call(module.graph(id))) continue;
    changed = true;
    Rebuild rebuild(module, id);
    for (NodeId n = 0; n < rebuild.old().node_count(); ++n) {
      const Node& node = rebuild.old().node(n);
      const GraphId body = inlined_body(node);
      if (body == none) {
        rebuild.keep(n);
        continue;
      }
      const auto first_new = static_cast<ValueId>(rebuild.graph().value_count());
      const std::vector<ValueId> results = inline_graph(module.graph(body), rebuild.graph(), rebuild.mapped(node.operands), &effects);
      for (std::uint32_t i = 0; i < node.result_count; ++i) {
        const std::string& name = rebuild.old().value_name(node.first_result + i);
        // The caller's name says more than the callee's; a value that only passed through keeps its own.
        if (!name.empty() && results[i] >= first_new) rebuild.graph().set_value_name(results[i], name);
        rebuild.replace(node.first_result + i, results[i]);
      }
    }
    rebuild.finish();
  }
  if (changed) module.sweep();
  return changed;
}

}  // namespace kiln::passes

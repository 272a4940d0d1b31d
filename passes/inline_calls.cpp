// Inlining of calls and composites.
//
// Only graphs that stay are rebuilt: main, initializers, and the bodies of loops and branches. Calls inside calls are followed with an
// explicit stack of half-copied bodies, so each node is copied once per place where it ends up, however deep the calls nest. A composite
// keeps its node only while a later pass knows its name and does better than with its decomposition; none does today, so all are inlined.
//
// A call that is marked as recomputed, the gradient of a checkpoint, stays a call to the end: its body can neither be merged with the
// original nor start before all operands, cotangents among them, are there.
#include "ir/op.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace kiln::passes {

using namespace ir;

namespace {

GraphId inlined_body(const Node& node) {
  if (node.op == Op::call) return node.recompute ? none : node.attributes.graph("body");
  if (node.op == Op::composite) return node.attributes.graph("decomposition");
  return none;
}

/// A graph whose nodes are being copied into the one that is rebuilt.
struct Frame {
  const Graph& from;
  ValueMap map;
  std::vector<bool> live;
  NodeId next = 0;
  ValueId first_new = 0;  ///< values of the rebuilt graph from here on were made for this call
};

/// Gives the results of a call the values that its body's copy computes.
void finish_call(const Frame& callee, Frame& caller, const Node& call, Graph& target) {
  for (std::uint32_t i = 0; i < call.result_count; ++i) {
    const ValueId value = callee.map[callee.from.results[i]];
    caller.map[call.first_result + i] = value;
    const std::string& name = caller.from.value_name(call.first_result + i);
    // The caller's name says more than the callee's; a value that only passed through keeps its own.
    if (!name.empty() && (value >= callee.first_new || target.value_name(value).empty())) target.set_value_name(value, name);
  }
}

void inline_into(Module& module, GraphId id, const std::vector<bool>& effects) {
  Rebuild rebuild(module, id);
  Graph& target = rebuild.graph();
  std::vector<Frame> stack;
  stack.push_back({rebuild.old(), std::move(rebuild.map()), std::vector<bool>(rebuild.old().node_count(), true)});
  while (true) {
    Frame& frame = stack.back();
    if (frame.next == frame.from.node_count()) {
      if (stack.size() == 1) break;
      Frame& caller = stack[stack.size() - 2];
      finish_call(frame, caller, caller.from.node(caller.next - 1), target);
      stack.pop_back();
      continue;
    }
    const NodeId n = frame.next++;
    const Node& node = frame.from.node(n);
    if (!frame.live[n] || (node.op == Op::parameter && stack.size() > 1)) continue;
    const GraphId body_id = inlined_body(node);
    if (body_id == none) {
      copy_node(frame.from, n, target, frame.map);
      continue;
    }
    const Graph& body = module.graph(body_id);
    Frame callee{body, ValueMap(body.value_count(), none), live_nodes(body, effects)};
    callee.first_new = static_cast<ValueId>(target.value_count());
    for (std::size_t i = 0; i < body.parameters.size(); ++i) callee.map[body.parameters[i]] = frame.map[node.operands[i]];
    stack.push_back(std::move(callee));
  }
  rebuild.map() = std::move(stack.back().map);
  rebuild.finish();
}

/// Main, initializers, and the regions of whatever is not inlined, in these or in what they call.
std::vector<GraphId> graphs_that_stay(const Module& module) {
  std::vector<GraphId> staying;
  std::vector<bool> seen(module.graphs.size()), stays(module.graphs.size());
  std::vector<GraphId> work;
  const auto reach = [&](GraphId id, bool stay) {
    if (stay && !stays[id]) {
      stays[id] = true;
      staying.push_back(id);
    }
    if (!seen[id]) {
      seen[id] = true;
      work.push_back(id);
    }
  };
  reach(module.main, true);
  for (const Variable& variable : module.variables)
    if (variable.initializer != none) reach(variable.initializer, true);
  while (!work.empty()) {
    const Graph& graph = module.graph(work.back());
    work.pop_back();
    for (NodeId n = 0; n < graph.node_count(); ++n) {
      const Node& node = graph.node(n);
      if (const GraphId body = inlined_body(node); body != none)
        reach(body, false);
      else
        for (GraphId region : regions_of(node)) reach(region, true);
    }
  }
  return staying;
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
  for (GraphId id : graphs_that_stay(module)) {
    if (!holds_call(module.graph(id))) continue;
    changed = true;
    inline_into(module, id, effects);
  }
  if (changed) module.sweep();
  return changed;
}

}  // namespace kiln::passes

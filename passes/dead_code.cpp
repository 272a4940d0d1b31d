// Dead code elimination across regions: the least set of values that the main graph's results and the effects need.
//
// Liveness is one worklist over (graph, value) pairs, so it is exact through regions and linear: a result of a call makes the callee's
// result live, a live parameter makes the operand of every live call live. A carried value of a loop lives when its result, or its value
// inside the body or the condition, does; so accumulators that feed nothing but themselves disappear. Regions that one node pairs up (both
// branches, condition and body) keep equal signatures, and so does a graph that several nodes run: what one of them needs is kept for all.
#include <algorithm>

#include "ir/op.h"
#include "ir/produced.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace kiln::passes {

using namespace ir;

namespace {

bool trims_regions(Op op) { return op == Op::call || op == Op::cond || op == Op::while_loop || op == Op::scan; }

/// How many of the first operands, results, parameters and results of the body are one value that goes round.
std::uint32_t carried_count(const Node& node) {
  const bool loop = node.op == Op::while_loop || node.op == Op::scan;
  return loop ? static_cast<std::uint32_t>(node.attributes.integer("carried")) : 0;
}

class Liveness {
 public:
  explicit Liveness(const Module& module)
      : module_(module), produced_(module), effects_(graphs_with_effects(module)), graphs_(module.graphs.size()) {
    for (GraphId id = 0; id < graphs_.size(); ++id) {
      graphs_[id].values.resize(module.graph(id).value_count());
      graphs_[id].nodes.resize(module.graph(id).node_count());
      graphs_[id].results.resize(module.graph(id).results.size());
    }
    keep_whole(module.main);
    for (const Variable& variable : module.variables)
      if (variable.initializer != none) keep_whole(variable.initializer);
    while (!work_.empty()) {
      const Item item = work_.back();
      work_.pop_back();
      if (item.kind == Item::Kind::graph)
        visit_graph(item.graph);
      else if (item.kind == Item::Kind::result)
        visit_result(item.graph, item.index);
      else
        visit_value(item.graph, item.index);
    }
  }

  bool reached(GraphId graph) const { return graphs_[graph].reached; }
  bool node(GraphId graph, NodeId id) const { return graphs_[graph].nodes[id]; }
  bool value(GraphId graph, ValueId v) const { return graphs_[graph].values[v]; }
  bool result(GraphId graph, std::size_t i) const { return graphs_[graph].results[i]; }

 private:
  /// A live node that runs a graph and may drop parts of its signature.
  struct User {
    GraphId graph;
    NodeId node;
  };
  struct PerGraph {
    bool reached = false;
    std::vector<bool> values, nodes, results;
    std::vector<User> users;
    std::unordered_map<ValueId, std::uint32_t> parameter_index;
  };
  struct Item {
    enum class Kind : std::uint8_t { graph, result, value } kind;
    GraphId graph;
    std::uint32_t index;
  };

  void reach(GraphId id) {
    if (graphs_[id].reached) return;
    graphs_[id].reached = true;
    work_.push_back({Item::Kind::graph, id, 0});
  }
  void mark(GraphId id, ValueId v) {
    if (graphs_[id].values[v]) return;
    graphs_[id].values[v] = true;
    work_.push_back({Item::Kind::value, id, v});
  }
  void mark_result(GraphId id, std::uint32_t i) {
    if (graphs_[id].results[i]) return;
    graphs_[id].results[i] = true;
    work_.push_back({Item::Kind::result, id, i});
  }
  void keep_whole(GraphId id) {
    reach(id);
    for (ValueId v : module_.graph(id).parameters) mark(id, v);
    for (std::uint32_t i = 0; i < module_.graph(id).results.size(); ++i) mark_result(id, i);
  }

  void visit_graph(GraphId id) {
    const Graph& graph = module_.graph(id);
    for (std::uint32_t i = 0; i < graph.parameters.size(); ++i) {
      graphs_[id].parameter_index.emplace(graph.parameters[i], i);
      if (!graphs_[id].values[graph.parameters[i]]) continue;
      for (std::size_t u = 0; u < graphs_[id].users.size(); ++u) parameter_live(graphs_[id].users[u], i);
    }
    for (NodeId n = 0; n < graph.node_count(); ++n)
      if (has_effect(graph.node(n), effects_)) visit_node(id, n);
  }

  void visit_result(GraphId id, std::uint32_t i) {
    mark(id, module_.graph(id).results[i]);
    for (std::size_t u = 0; u < graphs_[id].users.size(); ++u) result_live(graphs_[id].users[u], i);
  }

  void visit_value(GraphId id, ValueId v) {
    const Graph& graph = module_.graph(id);
    if (const auto found = graphs_[id].parameter_index.find(v); found != graphs_[id].parameter_index.end())
      for (std::size_t u = 0; u < graphs_[id].users.size(); ++u) parameter_live(graphs_[id].users[u], found->second);
    const NodeId n = graph.defining_node(v);
    visit_node(id, n);
    if (trims_regions(graph.node(n).op)) result_live({id, n}, graph.result_index(v));
  }

  void visit_node(GraphId id, NodeId n) {
    if (graphs_[id].nodes[n]) return;
    graphs_[id].nodes[n] = true;
    const Node& node = module_.graph(id).node(n);
    // Who mentions a produced symbol needs the node that gives it its value, in whatever graph that stands.
    for (const std::string& symbol : produced_.mentioned(module_.graph(id), node))
      for (const ProducedSymbols::Definition& d : produced_.definitions(symbol))
        mark(d.graph, module_.graph(d.graph).node(d.node).first_result);
    if (!trims_regions(node.op)) {
      for (ValueId v : node.operands) mark(id, v);
      for (GraphId region : regions_of(node)) keep_whole(region);
      return;
    }
    if (node.op == Op::cond) mark(id, node.operands[0]);
    const GraphId condition = node.op == Op::while_loop ? node.attributes.graph("condition") : none;
    for (GraphId region : regions_of(node)) {
      reach(region);
      graphs_[region].users.push_back({id, n});
      const Graph& callee = module_.graph(region);
      for (std::uint32_t i = 0; i < callee.parameters.size(); ++i)
        if (graphs_[region].values[callee.parameters[i]]) parameter_live({id, n}, i);
      for (std::uint32_t i = 0; i < callee.results.size(); ++i)
        if (region == condition)
          mark_result(region, i);
        else if (graphs_[region].results[i])
          result_live({id, n}, i);
    }
  }

  /// Parameter i of a region lives: so do what feeds it and its twin in the node's other region, and around a loop the value that comes
  /// back.
  void parameter_live(User user, std::uint32_t i) {
    const Node& node = module_.graph(user.graph).node(user.node);
    mark(user.graph, node.operands[node.op == Op::cond ? i + 1 : i]);
    for (GraphId region : regions_of(node)) mark(region, module_.graph(region).parameters[i]);
    if (i < carried_count(node)) result_live(user, i);
  }

  /// Result i of the node or of a region lives: the node and its regions keep as many results.
  void result_live(User user, std::uint32_t i) {
    const Node& node = module_.graph(user.graph).node(user.node);
    if (i >= node.result_count) return;  // of a condition that is shared with another node
    mark(user.graph, node.first_result + i);
    if (node.op == Op::while_loop)
      mark_result(node.attributes.graph("body"), i);
    else
      for (GraphId region : regions_of(node)) mark_result(region, i);
    if (i >= carried_count(node)) return;
    for (GraphId region : regions_of(node)) mark(region, module_.graph(region).parameters[i]);
    mark(user.graph, node.operands[i]);
  }

  const Module& module_;
  ProducedSymbols produced_;
  std::vector<bool> effects_;
  std::vector<PerGraph> graphs_;
  std::vector<Item> work_;
};

/// What stays of each graph's signature, by parameter and by result.
struct Signature {
  std::vector<bool> parameters, results;
};

/// Copies a call, cond or loop without its dead operands and results.
void keep_live_parts(const std::vector<Signature>& signatures, Rebuild& rebuild, NodeId n) {
  const Node& node = rebuild.old().node(n);
  const Signature& signature = signatures[node.attributes.graph(node.op == Op::cond ? "then" : "body")];
  const std::size_t skip = node.op == Op::cond ? 1 : 0;
  std::vector<ValueId> operands;
  if (skip) operands.push_back(rebuild[node.operands[0]]);
  for (std::size_t i = 0; i < signature.parameters.size(); ++i)
    if (signature.parameters[i]) operands.push_back(rebuild[node.operands[i + skip]]);
  std::vector<Type> types;
  std::vector<ValueId> kept;
  for (std::uint32_t i = 0; i < node.result_count; ++i)
    if (signature.results[i]) {
      kept.push_back(node.first_result + i);
      types.push_back(rebuild.old().type(kept.back()));
    }
  Attributes attributes = node.attributes;
  const auto count = [](const std::vector<bool>& bits, std::int64_t begin, std::int64_t end) {
    return static_cast<std::int64_t>(std::count(bits.begin() + begin, bits.begin() + end, true));
  };
  const auto carried = static_cast<std::int64_t>(carried_count(node));
  if (node.op == Op::while_loop || node.op == Op::scan) attributes = attributes.with("carried", count(signature.results, 0, carried));
  if (node.op == Op::scan)
    attributes = attributes.with("sequences", count(signature.parameters, carried, carried + node.attributes.integer("sequences")));
  Graph& graph = rebuild.graph();
  const NodeId copy = graph.append(node.op, std::move(operands), std::move(attributes), std::move(types), node.location);
  graph.node(copy).recompute = node.recompute;
  for (std::size_t i = 0; i < kept.size(); ++i) rebuild.replace(kept[i], graph.node(copy).first_result + static_cast<ValueId>(i));
}

}  // namespace

bool eliminate_dead_code(Module& module) {
  const Liveness live(module);
  std::vector<Signature> signatures(module.graphs.size());
  bool changed = false;
  for (GraphId id = 0; id < module.graphs.size(); ++id) {
    const Graph& graph = module.graph(id);
    changed = changed || !live.reached(id);
    for (NodeId n = 0; n < graph.node_count(); ++n) changed = changed || !live.node(id, n);
    for (ValueId v : graph.parameters) signatures[id].parameters.push_back(live.value(id, v));
    for (std::size_t i = 0; i < graph.results.size(); ++i) {
      signatures[id].results.push_back(live.result(id, i));
      changed = changed || !live.result(id, i);
    }
  }
  if (!changed) return false;
  for (GraphId id = 0; id < module.graphs.size(); ++id) {
    if (!live.reached(id)) continue;
    Rebuild rebuild(module, id);
    const Graph& old = rebuild.old();
    for (NodeId n = 0; n < old.node_count(); ++n) {
      if (!live.node(id, n)) continue;
      if (trims_regions(old.node(n).op))
        keep_live_parts(signatures, rebuild, n);
      else
        rebuild.keep(n);
    }
    for (std::size_t i = 0; i < old.parameters.size(); ++i)
      if (signatures[id].parameters[i]) rebuild.graph().parameters.push_back(rebuild[old.parameters[i]]);
    for (std::size_t i = 0; i < old.results.size(); ++i)
      if (signatures[id].results[i]) rebuild.graph().results.push_back(rebuild[old.results[i]]);
  }
  module.sweep();
  return true;
}

}  // namespace kiln::passes

// Node copying, graph reconstruction and the rule driver; see rewrite.h.
#include "passes/rewrite.h"

#include <cmath>

#include "ir/op.h"

namespace kiln::passes {

using namespace ir;

void pass_name(const Graph& from, ValueId value, Graph& to, ValueId copy) {
  const std::string& name = from.value_name(value);
  if (!name.empty() && to.value_name(copy).empty()) to.set_value_name(copy, name);
}

NodeId copy_node(const Graph& from, NodeId id, Graph& to, ValueMap& map, std::vector<ValueId> operands, Attributes attributes) {
  // The two graphs may be one: appending would then invalidate references into it.
  const Op op = from.node(id).op;
  const bool recompute = from.node(id).recompute;
  const LocationId location = from.node(id).location;
  const ValueId first = from.node(id).first_result;
  const std::uint32_t count = from.node(id).result_count;
  std::vector<Type> types;
  types.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) types.push_back(from.type(first + i));
  const NodeId copy = to.append(op, std::move(operands), std::move(attributes), std::move(types), location);
  to.node(copy).recompute = recompute;
  for (std::uint32_t i = 0; i < count; ++i) {
    const ValueId value = to.node(copy).first_result + i;
    map[first + i] = value;
    pass_name(from, first + i, to, value);
  }
  return copy;
}

NodeId copy_node(const Graph& from, NodeId id, Graph& to, ValueMap& map) {
  std::vector<ValueId> operands;
  operands.reserve(from.node(id).operands.size());
  for (ValueId v : from.node(id).operands) {
    internal_check(map[v] != none, "a node is copied before its operands");
    operands.push_back(map[v]);
  }
  return copy_node(from, id, to, map, std::move(operands), from.node(id).attributes);
}

std::vector<ValueId> inline_graph(const Graph& from, Graph& to, std::span<const ValueId> arguments, const std::vector<bool>* effects) {
  internal_check(arguments.size() == from.parameters.size(), "a graph is inlined with as many arguments as it has parameters");
  ValueMap map(from.value_count(), none);
  for (std::size_t i = 0; i < arguments.size(); ++i) map[from.parameters[i]] = arguments[i];
  std::vector<bool> live(from.node_count());
  for (ValueId v : from.results) live[from.defining_node(v)] = true;
  for (NodeId id = static_cast<NodeId>(from.node_count()); id-- > 0;) {
    const Node& node = from.node(id);
    if (!live[id] && node.op != Op::shrink && !(effects && has_effect(node, *effects))) continue;
    live[id] = true;
    for (ValueId v : node.operands) live[from.defining_node(v)] = true;
  }
  for (NodeId id = 0; id < from.node_count(); ++id)
    if (live[id] && from.node(id).op != Op::parameter) copy_node(from, id, to, map);
  std::vector<ValueId> results;
  results.reserve(from.results.size());
  for (ValueId v : from.results) results.push_back(map[v]);
  return results;
}

Rebuild::Rebuild(Module& module, GraphId id) : builder_(module, id) {
  old_ = std::move(module.graphs[id]);
  module.graphs[id] = std::make_unique<Graph>();
  module.graphs[id]->name = old_->name;
  map_.assign(old_->value_count(), none);
}

std::vector<ValueId> Rebuild::mapped(std::span<const ValueId> old) const {
  std::vector<ValueId> values;
  values.reserve(old.size());
  for (ValueId v : old) {
    internal_check(map_[v] != none, "a value is used before it is rebuilt");
    values.push_back(map_[v]);
  }
  return values;
}

void Rebuild::replace(ValueId old, ValueId value) {
  map_[old] = value;
  pass_name(*old_, old, graph(), value);
}

void Rebuild::finish() {
  graph().parameters = mapped(old_->parameters);
  graph().results = mapped(old_->results);
}

std::vector<GraphId> callees_first(const Module& module) {
  std::vector<GraphId> order;
  order.reserve(module.graphs.size());
  struct Frame {
    GraphId graph;
    std::vector<GraphId> callees;
    std::size_t next = 0;
  };
  const auto callees_of = [&](GraphId id) {
    std::vector<GraphId> callees;
    const Graph& graph = module.graph(id);
    for (NodeId n = 0; n < graph.node_count(); ++n)
      for (GraphId callee : regions_of(graph.node(n))) callees.push_back(callee);
    return callees;
  };
  std::vector<bool> seen(module.graphs.size());
  std::vector<Frame> stack;
  for (GraphId root = 0; root < module.graphs.size(); ++root) {
    if (seen[root]) continue;
    seen[root] = true;
    stack.push_back({root, callees_of(root)});
    while (!stack.empty()) {
      Frame& top = stack.back();
      if (top.next == top.callees.size()) {
        order.push_back(top.graph);
        stack.pop_back();
      } else if (const GraphId callee = top.callees[top.next++]; !seen[callee]) {
        seen[callee] = true;
        stack.push_back({callee, callees_of(callee)});
      }
    }
  }
  return order;
}

bool has_effect(const Node& node, const std::vector<bool>& graphs_with_effects) {
  if (info(node.op).effect) return true;
  for (GraphId region : regions_of(node))
    if (graphs_with_effects[region]) return true;
  return false;
}

std::vector<bool> graphs_with_effects(const Module& module) {
  std::vector<bool> effects(module.graphs.size());
  for (GraphId id : callees_first(module)) {
    const Graph& graph = module.graph(id);
    for (NodeId n = 0; n < graph.node_count() && !effects[id]; ++n) effects[id] = has_effect(graph.node(n), effects);
  }
  return effects;
}

std::vector<bool> live_nodes(const Graph& graph, const std::vector<bool>& graphs_with_effects) {
  std::vector<bool> live(graph.node_count());
  for (ValueId v : graph.parameters) live[graph.defining_node(v)] = true;
  for (ValueId v : graph.results) live[graph.defining_node(v)] = true;
  for (NodeId id = static_cast<NodeId>(graph.node_count()); id-- > 0;) {
    const Node& node = graph.node(id);
    // Who mentions the symbol of a shrink is a question for eliminate_dead_code.
    if (!live[id] && node.op != Op::shrink && !has_effect(node, graphs_with_effects)) continue;
    live[id] = true;
    for (ValueId v : node.operands) live[graph.defining_node(v)] = true;
  }
  return live;
}

bool touches_tape(const Graph& graph, const Node& node) {
  for (ValueId v : node.operands)
    if (graph.type(v).kind == Type::Kind::tape) return true;
  for (std::uint32_t i = 0; i < node.result_count; ++i)
    if (graph.type(node.first_result + i).kind == Type::Kind::tape) return true;
  return false;
}

const Node* Match::defined_by(ValueId v, Op op) const {
  const Node& node = builder.graph().definition(v);
  return node.op == op ? &node : nullptr;
}

std::optional<Array> Match::splat(ValueId v) const {
  const Node* node = &definition(v);
  // canonicalize leaves no longer chain than a broadcast of a reshape, so looking further would only cost time.
  for (int step = 0; step < 2 && (node->op == Op::broadcast_in_dim || node->op == Op::reshape); ++step)
    node = &definition(node->operands[0]);
  if (node->op != Op::constant) return std::nullopt;
  const Array& literal = node->attributes.literal("value");
  if (literal.size() != 1) return std::nullopt;
  return literal.reshape(Shape{});
}

bool Match::is_splat(ValueId v, double number) const {
  const std::optional<Array> scalar = splat(v);
  if (!scalar) return false;
  if (!is_floating(scalar->dtype())) return element_as_int(*scalar, 0) == static_cast<std::int64_t>(number);
  const double value = element_as_double(*scalar, 0);
  return value == number && std::signbit(value) == std::signbit(number);
}

namespace {

bool sweep_graph(Module& module, GraphId id, std::span<const Rule> rules, const std::vector<bool>& effects) {
  const std::vector<bool> live = live_nodes(module.graph(id), effects);
  Rebuild rebuild(module, id);
  bool changed = false;
  for (NodeId n = 0; n < rebuild.old().node_count(); ++n) {
    const Node& old = rebuild.old().node(n);
    if (!live[n]) {
      changed = true;
      continue;
    }
    if (old.result_count != 1 || old.op == Op::parameter) {
      rebuild.keep(n);
      continue;
    }
    Node node = old;
    node.operands = rebuild.mapped(old.operands);
    rebuild.builder().location = old.location;
    rebuild.builder().recompute = old.recompute;
    Match match{rebuild.builder(), node, rebuild.old().type(old.first_result)};
    ValueId replacement = none;
    for (std::size_t i = 0; i < rules.size() && replacement == none; ++i) replacement = rules[i](match);
    if (replacement == none) {
      rebuild.keep(n);
      continue;
    }
    internal_check(rebuild.builder().type(replacement) == match.type, "a rewrite rule keeps the type of what it replaces");
    rebuild.replace(old.first_result, replacement);
    changed = true;
  }
  rebuild.finish();
  return changed;
}

}  // namespace

bool apply_rules(Module& module, std::span<const Rule> rules, int max_sweeps) {
  const std::vector<bool> effects = graphs_with_effects(module);  // rules neither add nor remove effects
  bool changed = false;
  for (GraphId id = 0; id < module.graphs.size(); ++id)
    for (int sweep = 0; sweep < max_sweeps; ++sweep) {
      if (!sweep_graph(module, id, rules, effects)) break;
      changed = true;
    }
  return changed;
}

}  // namespace kiln::passes

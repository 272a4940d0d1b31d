// expand_gradients: replaces every `gradients` node by reverse-mode differentiation. The theory is in gradients.h.
//
// Graphs are treated after those they refer to, and the nodes of one in order, so a gradients node sees only expanded code: nested
// gradients are expanded innermost first, and any order comes of itself. Where the path goes through loops, the graph is copied with those
// loops recording tapes, so that the forward loop still runs once.
#include "passes/gradients.h"

#include <fmt/format.h>

#include "ir/op.h"
#include "passes/passes.h"

namespace kiln::passes {

using namespace ir;

bool on_path(const Node& node, const Bits& path) {
  bool result = false, operand = false;
  for (std::uint32_t i = 0; i < node.result_count; ++i) result = result || path[node.first_result + i];
  for (ValueId v : node.operands) operand = operand || path[v];
  return result && operand;
}

bool has_gradient_rule(const Node& node) {
  switch (node.op) {
    case Op::call:
    case Op::composite:
    case Op::cond:
    case Op::while_loop:
    case Op::scan:
    case Op::tape_push:
    case Op::tape_pop:
    case Op::assign:
    case Op::gradients: return true;
    default: return info(node.op).gradient != nullptr;
  }
}

void add_cotangent(ReverseSweep& sweep, ValueId value, ValueId cotangent) {
  if (!sweep.path[value]) return;
  internal_check(sweep.builder.type(cotangent) == sweep.source.type(value), "a cotangent has the type of its value");
  ValueId& sum = sweep.cotangents[value];
  if (sum == none) {
    sum = cotangent;
    return;
  }
  internal_check(sweep.source.type(value).kind == Type::Kind::tensor, "a tape is used once, so its cotangent has one part");
  sum = sweep.builder.add(sum, cotangent);
}

ValueId zero_cotangent(Builder& builder, const Type& type) {
  if (type.kind == Type::Kind::tensor) return builder.zeros(type);
  return builder.create(Op::tape_new, {}, {{"dtype", type.dtype}, {"dims", type.dims}});
}

ValueId cotangent_or_zeros(ReverseSweep& sweep, ValueId value) {
  if (sweep.cotangents[value] == none) return zero_cotangent(sweep.builder, sweep.source.type(value));
  return sweep.cotangents[value];
}

namespace {

/// What the table's rules see of a sweep.
class RuleContext final : public GradientContext {
 public:
  RuleContext(ReverseSweep& sweep, const Node& node) : sweep_(sweep), node_(node) {}
  Builder& builder() override { return sweep_.builder; }
  const Node& node() const override { return node_; }
  ValueId operand(std::size_t i) const override { return mapped(node_.operands[i]); }
  ValueId result(std::size_t i) const override { return mapped(node_.first_result + static_cast<ValueId>(i)); }
  ValueId cotangent(std::size_t i) override { return cotangent_or_zeros(sweep_, node_.first_result + static_cast<ValueId>(i)); }
  bool has_cotangent(std::size_t i) const override { return sweep_.cotangents[node_.first_result + i] != none; }
  bool needs(std::size_t i) const override { return sweep_.path[node_.operands[i]]; }
  void add(std::size_t i, ValueId cotangent) override { add_cotangent(sweep_, node_.operands[i], cotangent); }

 private:
  ValueId mapped(ValueId v) const {
    internal_check(sweep_.map[v] != none, "a gradient rule needs a value that the derivative does not hold");
    return sweep_.map[v];
  }
  ReverseSweep& sweep_;
  const Node& node_;
};

void reverse_push(ReverseSweep& sweep, const Node& node) {
  const std::vector<ValueId> popped = sweep.builder.create_many(Op::tape_pop, {sweep.cotangents[node.first_result]});
  add_cotangent(sweep, node.operands[0], popped[0]);
  add_cotangent(sweep, node.operands[1], popped[1]);
}

void reverse_pop(ReverseSweep& sweep, const Node& node) {
  const ValueId rest = cotangent_or_zeros(sweep, node.first_result);
  const ValueId value = cotangent_or_zeros(sweep, node.first_result + 1);
  add_cotangent(sweep, node.operands[0], sweep.builder.create(Op::tape_push, {rest, value}));
}

void reverse_node(ReverseSweep& sweep, NodeId id) {
  const Node node = sweep.source.node(id);  // a copy: the source may be the graph that grows
  sweep.builder.location = node.location;
  switch (node.op) {
    case Op::call:
    case Op::composite: return reverse_call(sweep, node);
    case Op::cond: return reverse_cond(sweep, node);
    case Op::while_loop: return reverse_loop(sweep, id);
    case Op::scan: return reverse_scan(sweep, id);
    case Op::tape_push: return reverse_push(sweep, node);
    case Op::tape_pop: return reverse_pop(sweep, node);
    case Op::assign: return add_cotangent(sweep, node.operands[0], sweep.cotangents[node.first_result]);
    default: break;
  }
  if (!info(node.op).gradient)
    throw Error(ErrorCode::not_differentiable, fmt::format("{} has no gradient: {}", info(node.op).name, info(node.op).no_gradient),
                sweep.state.module.location(node.location), "stop_gradient() on its operand treats it as a constant");
  RuleContext context(sweep, node);
  info(node.op).gradient(context);
}

/// Copies the graph in progress with its loops on the path recording; returns the graph as it was, which the sweep walks over.
std::unique_ptr<Graph> record_loops(GradientState& state, GraphId id, ReverseSweep& sweep, std::unique_ptr<Graph> before) {
  auto fresh = std::make_unique<Graph>();
  fresh->name = before->name;
  state.module.graphs[id] = std::move(fresh);
  sweep.map.assign(before->value_count(), none);
  for (NodeId n = 0; n < before->node_count(); ++n) copy_for_reverse(sweep, n);
  return before;
}

void expand(GradientState& state, GraphId id, Rebuild& rebuild, NodeId gradients) {
  Module& module = state.module;
  const Node& node = rebuild.old().node(gradients);
  const bool seeded = node.attributes.find("seeded") && node.attributes.flag("seeded");
  const auto targets = static_cast<std::size_t>(node.attributes.find("targets") ? node.attributes.integer("targets") : 1);
  std::vector<ValueId> operands = rebuild.mapped(node.operands);
  const std::span<ValueId> wrt = std::span(operands).subspan(seeded ? 2 * targets : targets);

  Bits path = state.paths.active(id, wrt);
  const Bits useful = state.paths.useful(id, {operands.data(), targets});
  for (std::size_t v = 0; v < path.size(); ++v) path[v] = path[v] && useful[v];
  make_derivatives(state, requests_of(state.paths, module.graph(id), path));

  bool loops = false;
  for (NodeId n = 0; n < module.graph(id).node_count(); ++n) {
    const Node& candidate = module.graph(id).node(n);
    loops = loops || ((candidate.op == Op::while_loop || candidate.op == Op::scan) && on_path(candidate, path));
  }
  std::unique_ptr<Graph> before;
  if (loops) before = std::move(module.graphs[id]);
  const Graph& source = before ? *before : module.graph(id);
  const std::size_t values = source.value_count();
  const auto end = static_cast<NodeId>(source.node_count());
  ReverseSweep sweep{state, source, Builder(module, id), std::move(path), ValueMap(values), std::vector<ValueId>(values, none)};
  if (before) {
    before = record_loops(state, id, sweep, std::move(before));
    for (ValueId& v : rebuild.map())
      if (v != none) v = sweep.map[v];
  } else {
    for (ValueId v = 0; v < values; ++v) sweep.map[v] = v;
  }

  sweep.builder.location = node.location;
  for (std::size_t t = 0; t < targets; ++t) {
    const ValueId seed = seeded ? sweep.map[operands[targets + t]] : sweep.builder.splat(1, Type(source.type(operands[t])));
    add_cotangent(sweep, operands[t], seed);
  }
  reverse(sweep, end);
  sweep.builder.location = node.location;
  for (std::size_t i = 0; i < wrt.size(); ++i)
    rebuild.replace(node.first_result + static_cast<ValueId>(i), cotangent_or_zeros(sweep, wrt[i]));
}

bool holds_gradients(const Graph& graph) {
  for (NodeId n = 0; n < graph.node_count(); ++n)
    if (graph.node(n).op == Op::gradients) return true;
  return false;
}

}  // namespace

void copy_for_reverse(ReverseSweep& sweep, NodeId id) {
  const Node& node = sweep.source.node(id);
  if (node.op == Op::while_loop && on_path(node, sweep.path))
    sweep.loops.emplace(
        id, copy_with_tapes(sweep.state, sweep.source, id, loop_request(sweep.state.paths, node, sweep.path), sweep.builder, sweep.map));
  else if (node.op == Op::scan && !sweep.scans.contains(id) && on_path(node, sweep.path))
    sweep.scans.emplace(
        id, copy_with_stacks(sweep.state, sweep.source, id, loop_request(sweep.state.paths, node, sweep.path), sweep.builder, sweep.map));
  else
    copy_node(sweep.source, id, sweep.builder.graph(), sweep.map);
}

void reverse(ReverseSweep& sweep, NodeId end) {
  for (NodeId id = end; id-- > 0;) {
    const Node& node = sweep.source.node(id);
    bool flows = false;
    for (std::uint32_t i = 0; i < node.result_count; ++i) flows = flows || sweep.cotangents[node.first_result + i] != none;
    if (flows && on_path(node, sweep.path)) reverse_node(sweep, id);
  }
}

bool expand_gradients(Module& module) {
  GradientState state(module);
  bool changed = false;
  for (GraphId id : callees_first(module)) {
    if (!holds_gradients(module.graph(id))) continue;
    changed = true;
    Rebuild rebuild(module, id);
    for (NodeId n = 0; n < rebuild.old().node_count(); ++n) {
      if (rebuild.old().node(n).op == Op::gradients)
        expand(state, id, rebuild, n);
      else
        rebuild.keep(n);
    }
    rebuild.finish();
  }
  if (changed) module.sweep();
  return changed;
}

}  // namespace kiln::passes

// The step of a loop backward: what it takes from the forward loop, and what it computes again.
//
// make_step first builds the derivative of the body as if everything of the forward iteration were at hand: a copy of the body, then the
// reverse sweep. Then it cuts between the two. Walking the copy backwards, each value that is wanted so far (by the sweep, or to recompute
// something) is either *saved*, a parameter of the step that the forward loop records in every iteration, or *recomputed*:
//
//   recomputed  what is the same in every iteration (loop invariants), and cheap element-wise work, where that makes at most one other
//               value wanted, and one that is no larger;
//   saved       contractions, reductions, functions such as tanh, loops, branches and calls of user functions: they cost more than memory.
//
// Where the body holds a scan, that scan runs forward stacking what its own step needs, and the stacks are values of the body like any
// other: the forward body is then not the body of the request, but one with such scans (Derivative::forward). A while_loop inside cannot
// hand out its tapes from one iteration to another, so the step runs it again.
#include <algorithm>

#include "ir/op.h"
#include "passes/gradients.h"
#include "passes/lowering.h"

namespace kiln::passes {

using namespace ir;

bool is_invariant(const Graph& body, std::size_t parameter, std::size_t carried, std::size_t sequences) {
  if (parameter < carried)
    return body.results[parameter] == body.parameters[parameter] && body.type(body.parameters[parameter]).kind == Type::Kind::tensor;
  return parameter >= carried + sequences;
}

std::vector<Recorded> recorded_values(const Graph& body, const Derivative& step, std::size_t carried) {
  std::vector<Recorded> recorded;
  for (std::size_t i = 0; i < step.parameters.size(); ++i)
    if (const std::size_t p = step.parameters[i]; p < carried && !is_invariant(body, p, carried, 0))
      recorded.push_back({i, body.parameters[p]});
  for (std::size_t i = 0; i < step.saved.size(); ++i) recorded.push_back({step.parameters.size() + i, step.saved[i]});
  return recorded;
}

namespace {

/// The body with its scans on the path stacking, and where its values are in that. The request's own body when there is no such scan.
struct ForwardBody {
  GraphId graph = none;
  Bits path;
  std::map<NodeId, StackedScan> scans;
};

ForwardBody forward_body(GradientState& state, const DerivativeRequest& request, const Bits& path) {
  Module& module = state.module;
  const Graph& source = module.graph(request.graph);
  bool scans = false;
  for (NodeId n = 0; n < source.node_count(); ++n) scans = scans || (source.node(n).op == Op::scan && on_path(source.node(n), path));
  if (!scans) return {request.graph, path, {}};

  ForwardBody result;
  result.graph = module.add_graph(source.name + "_forward");
  Builder builder(module, result.graph);
  Graph& target = module.graph(result.graph);
  ValueMap map(source.value_count(), none);
  for (ValueId v : source.parameters) map[v] = target.add_parameter(source.type(v), source.value_name(v), source.definition(v).location);
  for (NodeId n = 0; n < source.node_count(); ++n) {
    const Node& node = source.node(n);
    if (node.op == Op::parameter) continue;
    if (node.op == Op::scan && on_path(node, path)) {
      StackedScan scan = copy_with_stacks(state, source, n, loop_request(state.paths, node, path), builder, map);
      result.scans.emplace(target.defining_node(map[node.first_result]), std::move(scan));
    } else {
      copy_node(source, n, target, map);
    }
  }
  for (ValueId v : source.results) target.results.push_back(map[v]);
  result.path.resize(target.value_count());
  for (ValueId v = 0; v < map.size(); ++v)
    if (map[v] != none && path[v]) result.path[map[v]] = true;
  return result;
}

/// A derivative that holds the whole forward iteration, before the cut.
struct Uncut {
  GraphId graph = none;
  NodeId end_of_forward = 0;
  std::vector<std::size_t> parameters;  ///< by parameter of `graph` that is one of the body: which
  std::vector<ValueId> forward_value;   ///< by value of `graph`: that of the forward body, or none
};

Uncut whole_derivative(GradientState& state, const DerivativeRequest& request, const ForwardBody& forward) {
  Module& module = state.module;
  const Graph& source = module.graph(forward.graph);
  Uncut uncut;
  uncut.graph = module.add_graph(module.graph(request.graph).name + "_step");
  Graph& target = module.graph(uncut.graph);
  const std::size_t values = source.value_count();
  ReverseSweep sweep{state, source, Builder(module, uncut.graph), forward.path, ValueMap(values, none), std::vector<ValueId>(values, none)};
  sweep.scans = forward.scans;
  const auto take = [&](ValueId v) {
    sweep.map[v] = target.add_parameter(source.type(v), source.value_name(v), source.definition(v).location);
  };
  for (std::size_t i = 0; i < source.parameters.size(); ++i) {
    // A tape that the body moves along is not there any more when the step backward runs.
    if (source.type(source.parameters[i]).kind == Type::Kind::tape) continue;
    uncut.parameters.push_back(i);
    take(source.parameters[i]);
  }
  for (NodeId n = 0; n < source.node_count(); ++n) {
    const Node& node = source.node(n);
    if (node.op == Op::parameter) continue;
    if (info(node.op).effect) {
      pass_effect(sweep, n);
      continue;
    }
    const bool available = std::ranges::all_of(node.operands, [&](ValueId v) { return sweep.map[v] != none; });
    if (available)
      copy_for_reverse(sweep, n);
    else if (node.op == Op::tape_pop)
      take(node.first_result + 1);  // what a pop yields cannot be popped again
  }
  for (auto& [node, scan] : sweep.scans)
    for (ValueId& v : scan.stacks) v = sweep.map[v];
  uncut.end_of_forward = static_cast<NodeId>(target.node_count());
  uncut.forward_value.assign(target.value_count(), none);
  for (ValueId v = 0; v < values; ++v)
    if (sweep.map[v] != none) uncut.forward_value[sweep.map[v]] = v;
  reverse_graph(sweep, request);
  return uncut;
}

/// Element-wise work and moves of data that cost no more than reading their operands.
bool is_cheap(const Node& node) {
  const OpInfo& entry = info(node.op);
  if (!entry.element || entry.kernel != KernelKind::map) return false;
  return !is_function(entry.loop_op);
}

bool is_no_larger(const Type& a, const Type& b) {
  const auto bytes = [](const Type& type) { return product(type.dims) * static_cast<std::int64_t>(size_of(type.dtype)); };
  return less_equal(bytes(a), bytes(b)) == Truth::yes;
}

class Cut {
 public:
  Cut(Module& module, const Uncut& uncut, const Graph& body, std::size_t carried, std::size_t sequences)
      : module_(module), uncut_(uncut), graph_(module.graph(uncut.graph)), body_(body), carried_(carried), sequences_(sequences) {}

  /// Turns the graph into the step.
  Derivative run(GraphId forward) {
    find_invariants();
    wanted_.resize(graph_.value_count());
    copied_.resize(graph_.node_count());
    for (ValueId v : graph_.results) wanted_[v] = true;
    for (NodeId n = static_cast<NodeId>(graph_.node_count()); n-- > 0;) {
      if (!is_wanted(n)) continue;
      if (graph_.node(n).op == Op::parameter || (n < uncut_.end_of_forward && !worth_recomputing(n))) continue;
      copied_[n] = true;
      for (ValueId v : graph_.node(n).operands) wanted_[v] = true;
    }
    return rebuilt(forward);
  }

 private:
  bool is_wanted(NodeId n) const {
    const Node& node = graph_.node(n);
    for (std::uint32_t i = 0; i < node.result_count; ++i)
      if (wanted_[node.first_result + i]) return true;
    return false;
  }

  void find_invariants() {
    invariant_.resize(graph_.value_count());
    free_.resize(graph_.value_count());
    for (std::size_t i = 0; i < uncut_.parameters.size(); ++i) {
      const std::size_t p = uncut_.parameters[i];
      invariant_[graph_.parameters[i]] = is_invariant(body_, p, carried_, sequences_);
      free_[graph_.parameters[i]] = p >= carried_ || invariant_[graph_.parameters[i]];
    }
    for (NodeId n = 0; n < uncut_.end_of_forward; ++n) {
      const Node& node = graph_.node(n);
      if (node.op == Op::parameter || node.op == Op::custom_call) continue;
      const bool same = std::ranges::all_of(node.operands, [&](ValueId v) { return invariant_[v]; });
      for (std::uint32_t i = 0; same && i < node.result_count; ++i) invariant_[node.first_result + i] = free_[node.first_result + i] = true;
    }
  }

  bool worth_recomputing(NodeId n) const {
    const Node& node = graph_.node(n);
    if (invariant_[node.first_result]) return true;
    for (std::uint32_t i = 0; i < node.result_count; ++i)
      if (wanted_[node.first_result + i] && uncut_.forward_value[node.first_result + i] == none) return true;  // a loop with tapes
    if (!is_cheap(node)) return false;
    ValueId more = none;
    for (ValueId v : node.operands) {
      if (wanted_[v] || free_[v] || v == more) continue;
      if (more != none) return false;
      more = v;
    }
    return more == none || is_no_larger(graph_.type(more), graph_.type(node.first_result));
  }

  Derivative rebuilt(GraphId forward) {
    Derivative step;
    step.graph = uncut_.graph;
    step.forward = forward;
    const std::unique_ptr<Graph> old = std::move(module_.graphs[uncut_.graph]);
    module_.graphs[uncut_.graph] = std::make_unique<Graph>();
    Graph& graph = module_.graph(uncut_.graph);
    graph.name = old->name;
    ValueMap map(old->value_count(), none);
    const auto take = [&](ValueId v) { map[v] = graph.add_parameter(old->type(v), old->value_name(v), old->definition(v).location); };
    for (std::size_t i = 0; i < uncut_.parameters.size(); ++i) {
      if (!wanted_[old->parameters[i]]) continue;
      step.parameters.push_back(uncut_.parameters[i]);
      take(old->parameters[i]);
    }
    for (ValueId v = 0; v < uncut_.forward_value.size(); ++v) {
      const bool body_parameter = old->definition(v).op == Op::parameter && map[v] != none;
      if (!wanted_[v] || body_parameter || copied_[old->defining_node(v)]) continue;
      internal_check(uncut_.forward_value[v] != none, "a step saves values of the forward body");
      step.saved.push_back(uncut_.forward_value[v]);
      take(v);
    }
    for (ValueId v : old->parameters)
      if (old->defining_node(v) >= uncut_.end_of_forward) take(v);
    for (NodeId n = 0; n < old->node_count(); ++n)
      if (copied_[n]) copy_node(*old, n, graph, map);
    for (ValueId v : old->results) graph.results.push_back(map[v]);
    return step;
  }

  Module& module_;
  const Uncut& uncut_;
  const Graph& graph_;
  const Graph& body_;
  std::size_t carried_, sequences_;
  std::vector<bool> wanted_, invariant_, free_;  // by value; free: at hand without being recorded
  std::vector<bool> copied_;                     // by node
};

}  // namespace

Derivative make_step(GradientState& state, const DerivativeRequest& request, const Bits& path) {
  const ForwardBody forward = forward_body(state, request, path);
  const Uncut uncut = whole_derivative(state, request, forward);
  const Graph& body = state.module.graph(forward.graph);
  return Cut(state.module, uncut, body, request.carried, request.sequences).run(forward.graph);
}

}  // namespace kiln::passes

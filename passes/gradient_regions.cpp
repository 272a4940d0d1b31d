// Derivatives of whole graphs, and the reverse of call, composite and cond, which run them. See gradients.h.
#include <fmt/format.h>

#include "ir/op.h"
#include "passes/gradients.h"

namespace kiln::passes {

using namespace ir;

namespace {

Bits bits_of(std::span<const ValueId> values, const Bits& path) {
  Bits bits;
  for (ValueId v : values) bits.push_back(path[v]);
  return bits;
}

Bits result_bits(const Node& node, const Bits& path) {
  Bits bits;
  for (std::uint32_t i = 0; i < node.result_count; ++i) bits.push_back(path[node.first_result + i]);
  return bits;
}

std::vector<ValueId> chosen(std::span<const ValueId> values, const Bits& bits) {
  std::vector<ValueId> picked;
  for (std::size_t i = 0; i < bits.size(); ++i)
    if (bits[i]) picked.push_back(values[i]);
  return picked;
}

/// Does a step backward take the node's results from tapes rather than compute them again? Contractions cost more than memory, and what a
/// user's function costs is not known.
bool worth_saving(const Node& node) { return node.op == Op::dot_general || node.op == Op::custom_call; }

/// Copies the forward nodes of the request's graph into the derivative, and adds its parameters, other than the cotangents, on the way.
void copy_forward(ReverseSweep& sweep, const DerivativeRequest& request, Derivative& derivative) {
  const Graph& source = sweep.source;
  Graph& target = sweep.builder.graph();
  for (std::size_t i = 0; i < source.parameters.size(); ++i) {
    const ValueId parameter = source.parameters[i];
    // A tape that the body only moves along is not there any more when the step backward runs.
    if (request.step && source.type(parameter).kind == Type::Kind::tape) continue;
    internal_check(source.type(parameter).kind == Type::Kind::tensor, "tapes are carried by loops and are not passed to calls or branches");
    derivative.parameters.push_back(i);
    sweep.map[parameter] =
        target.add_parameter(source.type(parameter), source.value_name(parameter), source.definition(parameter).location);
  }
  const auto save = [&](ValueId value) {
    derivative.saved.push_back(value);
    sweep.map[value] = target.add_parameter(source.type(value), source.value_name(value), source.definition(value).location);
  };
  for (NodeId n = 0; n < source.node_count(); ++n) {
    const Node& node = source.node(n);
    if (node.op == Op::parameter || info(node.op).effect) continue;
    bool available = true;
    for (ValueId v : node.operands) available = available && sweep.map[v] != none;
    if (request.step && worth_saving(node)) {
      for (std::uint32_t i = 0; i < node.result_count; ++i) save(node.first_result + i);
    } else if (!available) {
      // It moves a tape of the loop. What a pop yields cannot be popped again, so it is saved.
      if (node.op == Op::tape_pop) save(node.first_result + 1);
    } else if (node.op == Op::while_loop && on_path(node, sweep.path)) {
      const DerivativeRequest step = loop_request(sweep.state.paths, node, sweep.path);
      sweep.loops.emplace(n, copy_with_tapes(sweep.state, source, n, step, sweep.builder, sweep.map));
    } else {
      copy_node(source, n, target, sweep.map);
    }
  }
}

Bits used_parameters(const Graph& graph) {
  std::vector<bool> live(graph.node_count());
  for (ValueId v : graph.results) live[graph.defining_node(v)] = true;
  for (NodeId n = static_cast<NodeId>(graph.node_count()); n-- > 0;)
    if (live[n])
      for (ValueId v : graph.node(n).operands) live[graph.defining_node(v)] = true;
  Bits used;
  for (ValueId v : graph.parameters) used.push_back(live[graph.defining_node(v)]);
  return used;
}

Derivative make_derivative(GradientState& state, const DerivativeRequest& request, Bits path) {
  Module& module = state.module;
  Derivative derivative;
  derivative.graph = module.add_graph(module.graph(request.graph).name + "_gradient");
  const Graph& source = module.graph(request.graph);
  Graph& target = module.graph(derivative.graph);
  const std::size_t values = source.value_count();
  ReverseSweep sweep{
      state, source, Builder(module, derivative.graph), std::move(path), ValueMap(values, none), std::vector<ValueId>(values, none), {}};
  copy_forward(sweep, request, derivative);
  std::vector<ValueId> seeds;
  for (ValueId v : chosen(source.results, request.seeds))
    seeds.push_back(target.add_parameter(source.type(v), "", source.definition(v).location));
  std::size_t next = 0;
  for (ValueId v : chosen(source.results, request.seeds)) add_cotangent(sweep, v, seeds[next++]);
  reverse(sweep, static_cast<NodeId>(source.node_count()));
  for (ValueId v : chosen(source.parameters, request.wanted)) target.results.push_back(cotangent_or_zeros(sweep, v));
  derivative.used = used_parameters(target);
  return derivative;
}

/// Operands, then cotangents of the seeded results: the arguments of a derivative that is no step.
std::vector<ValueId> derivative_arguments(ReverseSweep& sweep, const Node& node, std::span<const ValueId> operands, const Bits& seeds) {
  std::vector<ValueId> arguments;
  for (ValueId v : operands) arguments.push_back(sweep.map[v]);
  for (std::uint32_t i = 0; i < node.result_count; ++i)
    if (seeds[i]) arguments.push_back(cotangent_or_zeros(sweep, node.first_result + i));
  return arguments;
}

void add_all(ReverseSweep& sweep, std::span<const ValueId> values, std::span<const ValueId> cotangents) {
  for (std::size_t i = 0; i < values.size(); ++i) add_cotangent(sweep, values[i], cotangents[i]);
}

/// A composite with its own backward graph: that takes operands, results and a cotangent for every result.
void reverse_with_backward(ReverseSweep& sweep, const Node& node) {
  std::vector<ValueId> arguments, floating;
  for (ValueId v : node.operands) {
    arguments.push_back(sweep.map[v]);
    if (is_differentiable(sweep.source.type(v))) floating.push_back(v);
  }
  for (std::uint32_t i = 0; i < node.result_count; ++i) arguments.push_back(sweep.map[node.first_result + i]);
  for (std::uint32_t i = 0; i < node.result_count; ++i) arguments.push_back(cotangent_or_zeros(sweep, node.first_result + i));
  add_all(sweep, floating,
          sweep.builder.create_many(Op::call, std::move(arguments), {{"body", GraphRef{node.attributes.graph("backward")}}}));
}

}  // namespace

DerivativeRequest branch_request(const Node& node, GraphId branch, const Bits& path) {
  return {branch, bits_of(std::span(node.operands).subspan(1), path), result_bits(node, path), false};
}

DerivativeRequest call_request(const Node& node, const Bits& path) {
  return {differentiated_body(node), bits_of(node.operands, path), result_bits(node, path), false};
}

DerivativeRequest loop_request(GradientPaths& paths, const Node& loop, const Bits& path) {
  const Bits active = paths.loop_active(loop, bits_of(loop.operands, path));
  const Bits useful = paths.loop_useful(loop, result_bits(loop, path));
  Bits carried(loop.result_count);
  for (std::size_t i = 0; i < carried.size(); ++i) carried[i] = active[i] && useful[i];
  Bits wanted = carried;
  for (std::size_t i = carried.size(); i < loop.operands.size(); ++i) wanted.push_back(path[loop.operands[i]]);
  return {loop.attributes.graph("body"), std::move(wanted), std::move(carried), true};
}

std::vector<DerivativeRequest> requests_of_node(GradientPaths& paths, const Node& node, const Bits& path) {
  if (node.op == Op::cond)
    return {branch_request(node, node.attributes.graph("then"), path), branch_request(node, node.attributes.graph("else"), path)};
  if (node.op == Op::while_loop) return {loop_request(paths, node, path)};
  if (differentiated_body(node) != none) return {call_request(node, path)};
  return {};
}

std::vector<DerivativeRequest> requests_of(GradientPaths& paths, const Graph& graph, const Bits& path) {
  std::vector<DerivativeRequest> requests;
  for (NodeId n = 0; n < graph.node_count(); ++n)
    if (on_path(graph.node(n), path))
      for (DerivativeRequest& request : requests_of_node(paths, graph.node(n), path)) requests.push_back(std::move(request));
  return requests;
}

Bits path_of(GradientPaths& paths, const Graph& graph, const DerivativeRequest& request) {
  Bits path = paths.active(request.graph, chosen(graph.parameters, request.wanted));
  const Bits useful = paths.useful(request.graph, chosen(graph.results, request.seeds));
  for (std::size_t v = 0; v < path.size(); ++v) path[v] = path[v] && useful[v];
  return path;
}

void make_derivatives(GradientState& state, std::vector<DerivativeRequest> requests) {
  std::vector<DerivativeRequest> stack(requests.rbegin(), requests.rend());
  while (!stack.empty()) {
    const DerivativeRequest request = stack.back();
    if (state.derivatives.contains(request)) {
      stack.pop_back();
      continue;
    }
    const Graph& graph = state.module.graph(request.graph);
    Bits path = path_of(state.paths, graph, request);
    bool ready = true;
    for (DerivativeRequest& inner : requests_of(state.paths, graph, path))
      if (!state.derivatives.contains(inner)) {
        ready = false;
        stack.push_back(std::move(inner));
      }
    if (!ready) continue;
    state.derivatives.emplace(request, make_derivative(state, request, std::move(path)));
    stack.pop_back();
  }
}

void reverse_call(ReverseSweep& sweep, const Node& node) {
  if (differentiated_body(node) == none) return reverse_with_backward(sweep, node);
  const DerivativeRequest request = call_request(node, sweep.path);
  const Derivative& derivative = sweep.state.derivatives.at(request);
  std::vector<ValueId> arguments = derivative_arguments(sweep, node, node.operands, request.seeds);
  add_all(sweep, chosen(node.operands, request.wanted),
          sweep.builder.create_many(Op::call, std::move(arguments), {{"body", GraphRef{derivative.graph}}}));
}

void reverse_cond(ReverseSweep& sweep, const Node& node) {
  const DerivativeRequest on_true = branch_request(node, node.attributes.graph("then"), sweep.path);
  const DerivativeRequest on_false = branch_request(node, node.attributes.graph("else"), sweep.path);
  const std::span<const ValueId> captured = std::span(node.operands).subspan(1);
  std::vector<ValueId> arguments = derivative_arguments(sweep, node, captured, on_true.seeds);
  arguments.insert(arguments.begin(), sweep.map[node.operands[0]]);
  add_all(sweep, chosen(captured, on_true.wanted),
          sweep.builder.create_many(Op::cond, std::move(arguments),
                                    {{"then", GraphRef{sweep.state.derivatives.at(on_true).graph}},
                                     {"else", GraphRef{sweep.state.derivatives.at(on_false).graph}}}));
}

}  // namespace kiln::passes

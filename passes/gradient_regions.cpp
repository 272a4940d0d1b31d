// Derivatives of whole graphs, and the reverse of call, composite and cond, which run them. See gradients.h.
#include <fmt/format.h>
#include <algorithm>

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

Derivative make_derivative(GradientState& state, const DerivativeRequest& request, const Bits& path) {
  Module& module = state.module;
  Derivative derivative;
  derivative.graph = module.add_graph(module.graph(request.graph).name + "_gradient");
  const Graph& source = module.graph(request.graph);
  const std::size_t values = source.value_count();
  ReverseSweep sweep{state, source, Builder(module, derivative.graph), path, ValueMap(values, none), std::vector<ValueId>(values, none)};
  for (std::size_t i = 0; i < source.parameters.size(); ++i) {
    const ValueId parameter = source.parameters[i];
    internal_check(source.type(parameter).kind == Type::Kind::tensor, "tapes are carried by loops and are not passed to calls or branches");
    derivative.parameters.push_back(i);
    sweep.map[parameter] =
        sweep.builder.graph().add_parameter(source.type(parameter), source.value_name(parameter), source.definition(parameter).location);
  }
  for (NodeId n = 0; n < source.node_count(); ++n) {
    if (source.node(n).op == Op::parameter) continue;
    if (info(source.node(n).op).effect)
      pass_effect(sweep, n);
    else
      copy_for_reverse(sweep, n);
  }
  reverse_graph(sweep, request);
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

/// A checkpoint. Its derivative is made when the reverse sweep comes to it, as it depends on what has flowed so far.
bool is_recomputed(const Node& node) {
  return node.op == Op::call && (node.recompute || (node.attributes.find("recompute") && node.attributes.flag("recompute")));
}

}  // namespace

DerivativeRequest branch_request(const Node& node, GraphId branch, const Bits& path) {
  return {branch, bits_of(std::span(node.operands).subspan(1), path), result_bits(node, path)};
}

DerivativeRequest call_request(const Node& node, const Bits& path) {
  return {differentiated_body(node), bits_of(node.operands, path), result_bits(node, path)};
}

DerivativeRequest loop_request(GradientPaths& paths, const Node& loop, const Bits& path) {
  const GraphId body = loop.attributes.graph("body");
  const std::size_t carried = carried_count(loop);
  const Bits active = paths.loop_active(loop, bits_of(loop.operands, path));
  const Bits useful = paths.loop_useful(loop, result_bits(loop, path));
  const Bits& reached = paths.reached_results(body, active);
  const Bits& reaching = paths.reaching_parameters(body, useful);
  Bits wanted, seeds;
  for (std::size_t i = 0; i < active.size(); ++i)
    wanted.push_back(i < carried ? active[i] && useful[i] : path[loop.operands[i]] && reaching[i]);
  for (std::size_t i = 0; i < useful.size(); ++i) seeds.push_back(i < carried ? wanted[i] : reached[i] && useful[i]);
  const auto sequences = static_cast<std::size_t>(loop.op == Op::scan ? loop.attributes.integer("sequences") : 0);
  return {body, std::move(wanted), std::move(seeds), true, carried, sequences};
}

std::vector<DerivativeRequest> requests_of_node(GradientPaths& paths, const Node& node, const Bits& path) {
  if (node.op == Op::cond)
    return {branch_request(node, node.attributes.graph("then"), path), branch_request(node, node.attributes.graph("else"), path)};
  if (node.op == Op::while_loop || node.op == Op::scan) return {loop_request(paths, node, path)};
  if (differentiated_body(node) != none) return {call_request(node, path)};
  return {};
}

std::vector<DerivativeRequest> requests_of(GradientPaths& paths, const Graph& graph, const Bits& path) {
  std::vector<DerivativeRequest> requests;
  for (NodeId n = 0; n < graph.node_count(); ++n)
    if (on_path(graph.node(n), path) && !is_recomputed(graph.node(n)))
      for (DerivativeRequest& request : requests_of_node(paths, graph.node(n), path)) requests.push_back(std::move(request));
  return requests;
}

Bits path_of(GradientPaths& paths, const Graph& graph, const DerivativeRequest& request) {
  Bits path = paths.active(request.graph, chosen(graph.parameters, request.wanted));
  const Bits useful = paths.useful(request.graph, chosen(graph.results, request.seeds));
  for (std::size_t v = 0; v < path.size(); ++v) path[v] = path[v] && useful[v];
  return path;
}

void pass_effect(ReverseSweep& sweep, NodeId id) {
  const Node& node = sweep.source.node(id);
  const std::size_t first = node.operands.size() - node.result_count;
  for (std::uint32_t i = 0; i < node.result_count; ++i) sweep.map[node.first_result + i] = sweep.map[node.operands[first + i]];
}

void reverse_graph(ReverseSweep& sweep, const DerivativeRequest& request) {
  const Graph& source = sweep.source;
  Graph& target = sweep.builder.graph();
  const std::vector<ValueId> seeded = chosen(source.results, request.seeds);
  std::vector<ValueId> seeds;
  for (ValueId v : seeded) seeds.push_back(target.add_parameter(source.type(v), "", source.definition(v).location));
  for (std::size_t i = 0; i < seeds.size(); ++i) add_cotangent(sweep, seeded[i], seeds[i]);
  for (ValueId v : chosen(source.parameters, request.started)) {
    const ValueId seed = sweep.cotangents[v];  // of a parameter that is a result
    sweep.cotangents[v] = target.add_parameter(source.type(v), "", source.definition(v).location);
    if (seed != none) add_cotangent(sweep, v, seed);
  }
  reverse(sweep, static_cast<NodeId>(source.node_count()));
  for (ValueId v : chosen(source.parameters, request.wanted)) target.results.push_back(cotangent_or_zeros(sweep, v));
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
    const Bits path = path_of(state.paths, graph, request);
    bool ready = true;
    for (DerivativeRequest& inner : requests_of(state.paths, graph, path))
      if (!state.derivatives.contains(inner)) {
        ready = false;
        stack.push_back(std::move(inner));
      }
    if (!ready) continue;
    state.derivatives.emplace(request, request.step ? make_step(state, request, path) : make_derivative(state, request, path));
    stack.pop_back();
  }
}

namespace {

/// The gradient of a checkpoint goes on with the sums of cotangents that there are, so that these have the order of addition, and thus the
/// bits, that they would have without it.
void reverse_recomputed(ReverseSweep& sweep, const Node& node, DerivativeRequest request) {
  request.started.assign(node.operands.size(), false);
  std::vector<ValueId> started;
  for (std::size_t i = 0; i < node.operands.size(); ++i) {
    const ValueId v = node.operands[i];
    if (!request.wanted[i] || sweep.cotangents[v] == none ||
        std::ranges::find(node.operands, v) != node.operands.begin() + static_cast<std::ptrdiff_t>(i))
      continue;
    request.started[i] = true;
    started.push_back(sweep.cotangents[v]);
  }
  make_derivatives(sweep.state, {request});
  std::vector<ValueId> arguments = derivative_arguments(sweep, node, node.operands, request.seeds);
  arguments.insert(arguments.end(), started.begin(), started.end());
  // What is to be recomputed stays a region: nothing of it can start before its cotangents are there, or be merged with the original.
  sweep.builder.recompute = true;
  const std::vector<ValueId> cotangents =
      sweep.builder.create_many(Op::call, std::move(arguments), {{"body", GraphRef{sweep.state.derivatives.at(request).graph}}});
  sweep.builder.recompute = false;
  std::size_t next = 0;
  for (std::size_t i = 0; i < node.operands.size(); ++i) {
    if (!request.wanted[i]) continue;
    if (request.started[i]) sweep.cotangents[node.operands[i]] = none;
    add_cotangent(sweep, node.operands[i], cotangents[next++]);
  }
}

}  // namespace

void reverse_call(ReverseSweep& sweep, const Node& node) {
  if (differentiated_body(node) == none) return reverse_with_backward(sweep, node);
  const DerivativeRequest request = call_request(node, sweep.path);
  if (is_recomputed(node)) return reverse_recomputed(sweep, node, request);
  const Derivative& derivative = sweep.state.derivatives.at(request);
  std::vector<ValueId> arguments = derivative_arguments(sweep, node, node.operands, request.seeds);
  const std::vector<ValueId> cotangents = sweep.builder.create_many(Op::call, std::move(arguments), {{"body", GraphRef{derivative.graph}}});
  add_all(sweep, chosen(node.operands, request.wanted), cotangents);
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

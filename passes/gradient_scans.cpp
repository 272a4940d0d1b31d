// Reverse of scan.
//
// A scan x_(t+1), y_t = f(x_t, s_t, p), t = 0 .. n-1, has the cotangents
//     x_t*, s_t* = (df/d(x, s))(x_t, s_t, p)^T (x_(t+1)*, y_t*)        p* = sum over t of (df/dp)(x_t, s_t, p)^T (x_(t+1)*, y_t*)
// which is a scan from n-1 to 0: it carries x* and the sum p*, its sequences are s, y* and what the forward scan has stacked for it (the
// x_t, and whatever else the step wants: gradient_steps.cpp), and its outputs, stacked, are s*.
//
//     x, y, r        = scan(x, s, p)                  body: f, which also hands out residuals r_t
//     x*, p*, s*     = scan(x*, 0, r, s, y*, p)       reverse; body: the step, p* + dp
//
// It is an ordinary scan over ordinary values, so it can be differentiated again. A residual that the body hands out anyway is not stacked
// twice.
#include "ir/op.h"
#include "passes/gradients.h"

namespace kiln::passes {

using namespace ir;

StackedScan copy_with_stacks(GradientState& state, const Graph& source, NodeId id, const DerivativeRequest& request, Builder& builder,
                             ValueMap& map) {
  Module& module = state.module;
  const Node scan = source.node(id);
  const Derivative& step = state.derivatives.at(request);
  const Graph& body = module.graph(step.forward);

  // Which result of the scan holds each residual: an output that is there, or a new one.
  StackedScan stacked{request, {}, {}};
  std::vector<std::size_t> result_of;
  std::map<ValueId, std::size_t> output_of;
  for (std::size_t r = request.carried; r < body.results.size(); ++r) output_of.emplace(body.results[r], r);
  std::vector<ValueId> added;
  for (const Recorded& value : recorded_values(body, step, request.carried)) {
    const auto [found, fresh] = output_of.emplace(value.value, body.results.size() + added.size());
    if (fresh) added.push_back(value.value);
    stacked.read.push_back(value.parameter);
    result_of.push_back(found->second);
  }

  GraphId body_id = step.forward;
  if (!added.empty()) {
    body_id = module.add_graph(module.graph(request.graph).name + "_stacked");
    Graph& copy = module.graph(body_id);
    ValueMap inside(body.value_count(), none);
    for (ValueId v : body.parameters) inside[v] = copy.add_parameter(body.type(v), body.value_name(v), body.definition(v).location);
    for (NodeId n = 0; n < body.node_count(); ++n)
      if (body.node(n).op != Op::parameter) copy_node(body, n, copy, inside);
    for (ValueId v : body.results) copy.results.push_back(inside[v]);
    for (ValueId v : added) copy.results.push_back(inside[v]);
  }
  std::vector<ValueId> operands;
  for (ValueId v : scan.operands) operands.push_back(map[v]);
  builder.location = scan.location;
  builder.recompute = scan.recompute;
  const std::vector<ValueId> results = builder.create_many(Op::scan, std::move(operands), scan.attributes.with("body", GraphRef{body_id}));
  builder.recompute = false;
  for (std::uint32_t i = 0; i < scan.result_count; ++i) {
    map[scan.first_result + i] = results[i];
    pass_name(source, scan.first_result + i, builder.graph(), results[i]);
  }
  for (std::size_t r : result_of) stacked.stacks.push_back(results[r]);
  return stacked;
}

void reverse_scan(ReverseSweep& sweep, NodeId id) {
  Module& module = sweep.state.module;
  Builder& builder = sweep.builder;
  const Node scan = sweep.source.node(id);
  const StackedScan stacked = sweep.scans.at(id);
  const DerivativeRequest& request = stacked.step;
  const Derivative& step = sweep.state.derivatives.at(request);
  const Graph& step_graph = module.graph(step.graph);
  const Graph& forward = module.graph(step.forward);
  const std::size_t carried = request.carried, sequences = request.sequences;
  const auto is_sequence = [&](std::size_t p) { return p >= carried && p < carried + sequences; };

  // Each operand of the backward scan is either the sum of a cotangent or an argument of the step.
  struct Operand {
    ValueId value;
    std::size_t argument;  // which parameter of the step; none: it is a sum
  };
  const std::size_t first_seed = step.parameters.size() + step.saved.size();
  std::vector<Operand> carry, sums, slices, captured;
  std::vector<ValueId> receivers;  // of the results: carried cotangents, sums, stacked outputs
  std::size_t seed = first_seed;
  for (std::size_t r = 0; r < request.seeds.size(); ++r) {
    if (!request.seeds[r]) continue;
    (r < carried ? carry : slices).push_back({cotangent_or_zeros(sweep, scan.first_result + static_cast<ValueId>(r)), seed++});
  }
  for (std::size_t i = 0; i < stacked.stacks.size(); ++i) slices.push_back({stacked.stacks[i], stacked.read[i]});
  for (std::size_t i = 0; i < step.parameters.size(); ++i) {
    const std::size_t p = step.parameters[i];
    if (is_sequence(p)) slices.push_back({sweep.map[scan.operands[p]], i});
    if (is_invariant(forward, p, carried, sequences)) captured.push_back({sweep.map[scan.operands[p]], i});
  }
  // The step's results are the wanted cotangents in order: of carried values, of slices, of captured values.
  std::vector<std::size_t> carried_results, slice_results, sum_results;
  std::size_t result = 0;
  for (std::size_t p = 0; p < request.wanted.size(); ++p) {
    if (!request.wanted[p]) continue;
    if (p >= carried + sequences) sums.push_back({builder.zeros(Type(sweep.source.type(scan.operands[p]))), std::size_t{none}});
    (p < carried ? carried_results : is_sequence(p) ? slice_results : sum_results).push_back(result++);
  }
  for (const bool slice : {false, true})
    for (std::size_t p = 0; p < request.wanted.size(); ++p)
      if (request.wanted[p] && is_sequence(p) == slice) receivers.push_back(scan.operands[p]);

  const GraphId body_id = module.add_graph(module.graph(request.graph).name + "_backward");
  Graph& body = module.graph(body_id);
  Builder inside(module, body_id);
  inside.location = scan.location;
  std::vector<ValueId> operands, arguments(step_graph.parameters.size(), none), old_sums;
  const auto take = [&](const std::vector<Operand>& list, bool sliced) {
    for (const Operand& operand : list) {
      Type type = builder.type(operand.value);
      if (sliced) type.dims.erase(type.dims.begin());
      operands.push_back(operand.value);
      const ValueId parameter = body.add_parameter(std::move(type), "", scan.location);
      if (operand.argument == none)
        old_sums.push_back(parameter);
      else
        arguments[operand.argument] = parameter;
    }
  };
  take(carry, false);
  take(sums, false);
  take(slices, true);
  take(captured, false);
  const std::vector<ValueId> cotangents = inline_graph(step_graph, body, arguments);
  for (std::size_t r : carried_results) body.results.push_back(cotangents[r]);
  for (std::size_t i = 0; i < sum_results.size(); ++i) body.results.push_back(inside.add(old_sums[i], cotangents[sum_results[i]]));
  for (std::size_t r : slice_results) body.results.push_back(cotangents[r]);

  Attributes attributes{{"carried", static_cast<std::int64_t>(carry.size() + sums.size())},
                        {"sequences", static_cast<std::int64_t>(slices.size())},
                        {"body", GraphRef{body_id}},
                        {"length", scan.attributes.dims("length")}};
  if (!(scan.attributes.find("reverse") && scan.attributes.flag("reverse"))) attributes = attributes.with("reverse", true);
  const std::vector<ValueId> results = builder.create_many(Op::scan, std::move(operands), std::move(attributes));
  for (std::size_t i = 0; i < receivers.size(); ++i) add_cotangent(sweep, receivers[i], results[i]);
}

}  // namespace kiln::passes

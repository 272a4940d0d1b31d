// Reverse of while_loop.
//
// A loop x' = f(x, p), run n times, has the cotangents
//     x_k* = (df/dx)(x_k, p)^T x_(k+1)*        p* = sum over k of (df/dp)(x_k, p)^T x_(k+1)*
// so a second loop walks k = n-1 ... 0 and needs each x_k. The forward loop is copied with tapes among its carried values: at the end of
// each iteration it pushes the values that the step backward needs, and it counts its iterations. The backward loop pops them, in reverse.
// What is pushed is what the step says (gradient_steps.cpp), never what it does not use. Carried values that the body hands on as they are
// count as captured. The cotangents of captured values are summed from the last iteration to the first.
//
//     x, tapes, n  = while_loop(x, tape_new..., 0, p)      condition(x, p):  as before      body: f, push, n + 1
//     x*, p*       = while_loop(n, tapes, x*, 0, p)        condition: n > 0                 body: pop, step, p* + dp, n - 1
//
// Both are ordinary loops over ordinary values, so they can be differentiated again: tapes are carried values whose cotangents are tapes, a
// push is the reverse of a pop, and a loop that pops saves what it popped on tapes of its own, since it cannot pop twice.
#include <fmt/format.h>

#include "ir/op.h"
#include "passes/gradients.h"

namespace kiln::passes {

using namespace ir;

namespace {

ValueId new_tape(Builder& builder, const Type& type, const Attributes& loop) {
  Attributes attributes{{"dtype", type.dtype}, {"dims", type.dims}};
  if (loop.find("max_trip_count")) attributes = attributes.with("bound", loop.integer("max_trip_count"));
  return builder.create(Op::tape_new, {}, std::move(attributes));
}

/// Copies `from`, with `extra` parameters of the given types between the carried and the captured ones; returns the extra parameters.
std::vector<ValueId> copy_with_parameters(const Graph& from, std::size_t carried, std::span<const Type> extra, Graph& to, ValueMap& map) {
  std::vector<ValueId> added;
  const auto copy = [&](ValueId v) { map[v] = to.add_parameter(from.type(v), from.value_name(v), from.definition(v).location); };
  for (std::size_t i = 0; i < carried; ++i) copy(from.parameters[i]);
  for (const Type& type : extra) added.push_back(to.add_parameter(type));
  for (std::size_t i = carried; i < from.parameters.size(); ++i) copy(from.parameters[i]);
  for (NodeId n = 0; n < from.node_count(); ++n)
    if (from.node(n).op != Op::parameter) copy_node(from, n, to, map);
  for (ValueId v : from.results) to.results.push_back(map[v]);
  return added;
}

}  // namespace

TapedLoop copy_with_tapes(GradientState& state, const Graph& source, NodeId id, const DerivativeRequest& request, Builder& builder,
                          ValueMap& map) {
  Module& module = state.module;
  const Node& loop = source.node(id);
  const std::size_t carried = loop.result_count;
  const Derivative& step = state.derivatives.at(request);
  const GraphId body_id = module.add_graph(module.graph(request.graph).name + "_taped");
  const GraphId condition_id = module.add_graph(module.graph(loop.attributes.graph("condition")).name + "_taped");
  const Graph& body = module.graph(step.forward);
  const std::vector<Recorded> recorded = recorded_values(body, step, carried);
  builder.location = loop.location;

  std::vector<Type> extra;
  for (const Recorded& value : recorded) {
    Type tape = body.type(value.value);
    tape.kind = Type::Kind::tape;
    extra.push_back(std::move(tape));
  }
  extra.push_back(Type{DType::i64, Type::Kind::tensor, {}});

  ValueMap body_map(body.value_count(), none);
  const std::vector<ValueId> added = copy_with_parameters(body, carried, extra, module.graph(body_id), body_map);
  Builder inside(module, body_id);
  inside.location = loop.location;
  std::vector<ValueId>& results = module.graph(body_id).results;
  for (std::size_t i = 0; i < recorded.size(); ++i)
    results.push_back(inside.create(Op::tape_push, {added[i], body_map[recorded[i].value]}));
  results.push_back(inside.add(added.back(), inside.scalar(DType::i64, 1)));

  const Graph& condition = module.graph(loop.attributes.graph("condition"));
  ValueMap condition_map(condition.value_count(), none);
  copy_with_parameters(condition, carried, extra, module.graph(condition_id), condition_map);

  std::vector<ValueId> operands;
  for (std::size_t i = 0; i < carried; ++i) operands.push_back(map[loop.operands[i]]);
  for (std::size_t i = 0; i < recorded.size(); ++i) operands.push_back(new_tape(builder, extra[i], loop.attributes));
  operands.push_back(builder.scalar(DType::i64, 0));
  for (std::size_t i = carried; i < loop.operands.size(); ++i) operands.push_back(map[loop.operands[i]]);
  builder.recompute = loop.recompute;
  const std::vector<ValueId> taped = builder.create_many(Op::while_loop, std::move(operands),
                                                         loop.attributes.with("body", GraphRef{body_id})
                                                             .with("condition", GraphRef{condition_id})
                                                             .with("carried", static_cast<std::int64_t>(carried + extra.size())));
  builder.recompute = false;
  for (std::size_t i = 0; i < carried; ++i) {
    const ValueId old = loop.first_result + static_cast<ValueId>(i);
    map[old] = taped[i];
    pass_name(source, old, builder.graph(), taped[i]);
  }
  TapedLoop result{request, {}, {}, taped.back()};
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    result.popped.push_back(recorded[i].parameter);
    result.tapes.push_back(taped[carried + i]);
  }
  return result;
}

void reverse_loop(ReverseSweep& sweep, NodeId id) {
  Module& module = sweep.state.module;
  Builder& builder = sweep.builder;
  const Node loop = sweep.source.node(id);
  const std::size_t carried = loop.result_count;
  const TapedLoop& taped = sweep.loops.at(id);
  const Derivative& step = sweep.state.derivatives.at(taped.step);
  const std::string name = module.graph(taped.step.graph).name;
  const GraphId body_id = module.add_graph(name + "_backward");
  const GraphId condition_id = module.add_graph(name + "_backward_condition");
  const Graph& step_graph = module.graph(step.graph);

  // Carried backward: how many iterations are left, the tapes, the cotangents of the carried values, the sums for captured ones.
  std::vector<ValueId> operands{taped.trip_count};
  operands.insert(operands.end(), taped.tapes.begin(), taped.tapes.end());
  std::vector<ValueId> receivers;  // what each wanted cotangent belongs to
  for (std::size_t i = 0; i < carried; ++i) {
    if (!taped.step.wanted[i]) continue;
    const ValueId result = loop.first_result + static_cast<ValueId>(i);
    const Type& type = sweep.source.type(result);
    const bool empty_tape = sweep.cotangents[result] == none && type.kind == Type::Kind::tape;
    operands.push_back(empty_tape ? new_tape(builder, Type(type), loop.attributes) : cotangent_or_zeros(sweep, result));
    receivers.push_back(loop.operands[i]);
  }
  for (std::size_t i = carried; i < loop.operands.size(); ++i) {
    if (!taped.step.wanted[i]) continue;
    operands.push_back(builder.zeros(Type(sweep.source.type(loop.operands[i]))));
    receivers.push_back(loop.operands[i]);
  }
  const std::size_t backward_carried = operands.size();
  const Graph& forward = module.graph(step.forward);
  const auto captured = [&](std::size_t i) { return is_invariant(forward, step.parameters[i], carried, 0); };
  for (std::size_t i = 0; i < step.parameters.size(); ++i)
    if (captured(i)) operands.push_back(sweep.map[loop.operands[step.parameters[i]]]);

  Graph& body = module.graph(body_id);
  Graph& condition = module.graph(condition_id);
  for (ValueId v : operands) {
    body.add_parameter(builder.type(v), "", loop.location);
    condition.add_parameter(builder.type(v), "", loop.location);
  }
  Builder decide(module, condition_id);
  decide.location = loop.location;
  condition.results = {decide.compare(Comparison::gt, condition.parameters[0], decide.scalar(DType::i64, 0))};

  Builder inside(module, body_id);
  inside.location = loop.location;
  const std::vector<ValueId> given = body.parameters;
  std::vector<ValueId> results{inside.subtract(given[0], inside.scalar(DType::i64, 1))};
  std::vector<ValueId> arguments(step_graph.parameters.size(), none);
  std::size_t next = 1;
  for (std::size_t parameter : taped.popped) {
    const std::vector<ValueId> popped = inside.create_many(Op::tape_pop, {given[next++]});
    results.push_back(popped[0]);
    arguments[parameter] = popped[1];
  }
  const std::size_t first_seed = step.parameters.size() + step.saved.size();
  const std::size_t seeds = step_graph.parameters.size() - first_seed;
  for (std::size_t i = 0; i < seeds; ++i) arguments[first_seed + i] = given[next++];
  const std::size_t sums = next;
  next = backward_carried;
  for (std::size_t i = 0; i < step.parameters.size(); ++i)
    if (captured(i)) arguments[i] = given[next++];
  const std::vector<ValueId> cotangents = inline_graph(step_graph, body, arguments);
  for (std::size_t i = 0; i < cotangents.size(); ++i)
    results.push_back(i < seeds ? cotangents[i] : inside.add(given[sums + i - seeds], cotangents[i]));
  body.results = std::move(results);

  Attributes attributes{
      {"carried", static_cast<std::int64_t>(backward_carried)}, {"condition", GraphRef{condition_id}}, {"body", GraphRef{body_id}}};
  if (loop.attributes.find("max_trip_count"))
    attributes = attributes.with("max_trip_count", loop.attributes.integer("max_trip_count")).with("within_bound", true);
  const std::vector<ValueId> backward = builder.create_many(Op::while_loop, std::move(operands), std::move(attributes));
  for (std::size_t i = 0; i < receivers.size(); ++i) add_cotangent(sweep, receivers[i], backward[1 + taped.tapes.size() + i]);
}

}  // namespace kiln::passes

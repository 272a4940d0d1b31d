// cond, while_loop and custom_gradient: functions whose arguments build regions of the graph.
//
// A region's graph is isolated in the IR, so everything that a body captures becomes a parameter of it and an operand of the node. The
// regions of one node have the same parameters: what only one of them captures is an unused parameter of the other.
#include "kiln/control.h"

#include <fmt/format.h>
#include <algorithm>

#include "frontend/state.h"
#include "kiln/gradients.h"

namespace kiln {

using namespace detail;

namespace {

/// What several regions of one node capture, each value once, in order.
std::vector<ir::ValueId> all_captures(std::initializer_list<const Region*> regions) {
  std::vector<ir::ValueId> values;
  std::unordered_set<ir::ValueId> seen;
  for (const Region* region : regions)
    for (const auto& [outer, inner] : region->captures)
      if (seen.insert(outer).second) values.push_back(outer);
  return values;
}

/// The region's parameter for a captured value; an unused one where the region does not capture it.
ir::ValueId capture_parameter(ir::Module& module, const Region& region, const ir::Graph& enclosing, ir::ValueId outer) {
  if (const auto found = region.inner_of.find(outer); found != region.inner_of.end()) return found->second;
  return module.graph(region.graph).add_parameter(enclosing.type(outer), enclosing.value_name(outer), enclosing.definition(outer).location);
}

/// Opens a region with a parameter for each value, calls `build` on them, and closes it over the results.
template <class Build>
Region build_region(GraphState& state, const std::string& name, const char* kind, const char* op, const Location& where,
                    std::span<const ir::Type> types, std::span<const std::string> names, ir::ValueId* iteration, Build build) {
  OpenRegion region(state, name, kind, where);
  const ir::GraphId graph = region.region().graph;
  std::vector<Tensor> arguments;
  const ir::LocationId location = state.module.add_location(where);
  for (std::size_t i = 0; i < types.size(); ++i)
    arguments.push_back(
        Access::make<Tensor>(state, graph, state.module.graph(graph).add_parameter(types[i], i < names.size() ? names[i] : "", location)));
  if (iteration) {
    region.region().iteration = [&state, graph, iteration] {
      ir::Type counter;
      counter.dtype = DType::u64;
      if (*iteration == ir::none) *iteration = state.module.graph(graph).add_parameter(counter, "iteration");
      return *iteration;
    };
  }
  const std::vector<Tensor> results = build(arguments);
  Emitter emitter(state, op, where);
  std::vector<ir::ValueId> values;
  for (const Tensor& result : results) values.push_back(emitter.use(result));
  return region.close(std::move(values));
}

std::vector<ir::Type> result_types(const GraphState& state, const Region& region) {
  const ir::Graph& graph = state.module.graph(region.graph);
  std::vector<ir::Type> types;
  for (const ir::ValueId value : graph.results) types.push_back(graph.type(value));
  return types;
}

std::string types_text(const std::vector<ir::Type>& types) {
  std::string text;
  for (const ir::Type& type : types) text += (text.empty() ? "" : ", ") + ir::to_string(type);
  return "(" + text + ")";
}

ErrorCode mismatch_code(const std::vector<ir::Type>& a, const std::vector<ir::Type>& b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (a[i].dtype != b[i].dtype) return ErrorCode::dtype_mismatch;
  return ErrorCode::shape_mismatch;
}

std::vector<Tensor> wrap_all(Emitter& emitter, const std::vector<ir::ValueId>& values, std::size_t count) {
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; i < count; ++i) tensors.push_back(emitter.wrap(values[i]));
  return tensors;
}

}  // namespace

std::vector<Tensor> cond(const Operand& predicate, const std::function<std::vector<Tensor>()>& then_body,
                         const std::function<std::vector<Tensor>()>& else_body) {
  Emitter emitter({&predicate}, "cond");
  GraphState& state = emitter.state();
  const ir::ValueId decision = emitter.use(predicate.tensor());
  if (const ir::Type& type = emitter.builder().type(decision); type.dtype != DType::boolean || type.rank() != 0)
    emitter.fail(type.dtype != DType::boolean ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                 fmt::format("the predicate must be a bool scalar, but is {}", ir::to_string(type)),
                 type.rank() != 0 ? "select() chooses element by element" : "compare first: cond(greater(x, 0), ...)");

  const auto branch = [&](const char* name, const char* kind, const std::function<std::vector<Tensor>()>& body) {
    return build_region(state, name, kind, "cond", emitter.location(), {}, {}, nullptr, [&](const std::vector<Tensor>&) { return body(); });
  };
  const Region then_region = branch("then", "then body of cond", then_body);
  const Region else_region = branch("else", "else body of cond", else_body);
  const std::vector<ir::Type> a = result_types(state, then_region), b = result_types(state, else_region);
  if (a != b)
    emitter.fail(a.size() != b.size() ? ErrorCode::invalid_argument : mismatch_code(a, b),
                 fmt::format("the bodies return different types: then {}, else {}", types_text(a), types_text(b)),
                 "both bodies must return as many tensors, of the same dtypes and dims");

  std::vector<ir::ValueId> operands{decision};
  std::vector<ir::ValueId> then_parameters, else_parameters;
  for (const ir::ValueId outer : all_captures({&then_region, &else_region})) {
    operands.push_back(outer);
    then_parameters.push_back(capture_parameter(state.module, then_region, emitter.builder().graph(), outer));
    else_parameters.push_back(capture_parameter(state.module, else_region, emitter.builder().graph(), outer));
  }
  state.module.graph(then_region.graph).parameters = std::move(then_parameters);
  state.module.graph(else_region.graph).parameters = std::move(else_parameters);
  const std::vector<ir::ValueId> results = emitter.builder().create_many(
      ir::Op::cond, std::move(operands), {{"then", ir::GraphRef{then_region.graph}}, {"else", ir::GraphRef{else_region.graph}}});
  return wrap_all(emitter, results, results.size());
}

std::vector<Tensor> while_loop(const LoopCondition& condition, const LoopBody& body, const std::vector<Tensor>& initial,
                               WhileOptions options, std::source_location location) {
  if (initial.empty())
    throw Error(ErrorCode::invalid_argument, "while_loop: there are no initial values", LocationScope::resolve(location),
                "a loop carries at least one tensor");
  type_of(initial[0]);
  GraphState& state = *Access::state(initial[0]);
  Emitter emitter(state, "while_loop", location);
  if (options.max_trip_count && *options.max_trip_count < 0)
    emitter.fail(ErrorCode::invalid_argument, fmt::format("max_trip_count is {}", *options.max_trip_count),
                 "leave it out where no bound is known");
  const std::size_t carried = initial.size();
  std::vector<ir::ValueId> operands;
  std::vector<ir::Type> types;
  std::vector<std::string> names;
  for (const Tensor& tensor : initial) {
    operands.push_back(emitter.use(tensor));
    types.push_back(emitter.builder().type(operands.back()));
    names.push_back(tensor.name());
  }

  ir::ValueId condition_counter = ir::none, body_counter = ir::none;
  const Region condition_region =
      build_region(state, "condition", "condition of while_loop", "while_loop", emitter.location(), types, names, &condition_counter,
                   [&](const std::vector<Tensor>& values) { return std::vector<Tensor>{condition(values)}; });
  if (const ir::Type decision = result_types(state, condition_region)[0]; decision.dtype != DType::boolean || decision.rank() != 0)
    emitter.fail(decision.dtype != DType::boolean ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                 fmt::format("the condition must return a bool scalar, but returns {}", ir::to_string(decision)),
                 "compare in it: less(i, n)");
  const Region body_region = build_region(state, "body", "body of while_loop", "while_loop", emitter.location(), types, names,
                                          &body_counter, [&](const std::vector<Tensor>& values) { return body(values); });
  if (const std::vector<ir::Type> next = result_types(state, body_region); next != types)
    emitter.fail(next.size() != types.size() ? ErrorCode::invalid_argument : mismatch_code(types, next),
                 fmt::format("the values enter as {}, but the body returns {}", types_text(types), types_text(next)),
                 "the body returns as many values as enter, of the same dtypes and dims");

  // Random draws in the loop count its iterations: the counter is one more carried value.
  const bool counted = condition_counter != ir::none || body_counter != ir::none;
  if (counted) {
    ir::Type counter;
    counter.dtype = DType::u64;
    for (const auto& [region, value] : {std::pair(&condition_region, &condition_counter), std::pair(&body_region, &body_counter)})
      if (*value == ir::none) *value = state.module.graph(region->graph).add_parameter(counter, "iteration");
    ir::Builder inside(state.module, body_region.graph);
    inside.location = emitter.builder().location;
    inside.graph().results.push_back(inside.add(body_counter, inside.constant(Array(std::uint64_t{1}))));
    operands.push_back(emitter.builder().constant(Array(std::uint64_t{0})));
  }
  const std::vector<ir::ValueId> captures = all_captures({&condition_region, &body_region});
  for (const auto& [region, counter] : {std::pair(&condition_region, condition_counter), std::pair(&body_region, body_counter)}) {
    std::vector<ir::ValueId>& parameters = state.module.graph(region->graph).parameters;
    std::vector<ir::ValueId> ordered(parameters.begin(), parameters.begin() + static_cast<std::ptrdiff_t>(carried));
    if (counted) ordered.push_back(counter);
    for (const ir::ValueId outer : captures) ordered.push_back(capture_parameter(state.module, *region, emitter.builder().graph(), outer));
    state.module.graph(region->graph).parameters = std::move(ordered);
  }
  operands.insert(operands.end(), captures.begin(), captures.end());
  std::vector<ir::Attributes::Item> attributes{{"carried", static_cast<std::int64_t>(carried + counted)},
                                               {"condition", ir::GraphRef{condition_region.graph}},
                                               {"body", ir::GraphRef{body_region.graph}}};
  if (options.max_trip_count) attributes.emplace_back("max_trip_count", *options.max_trip_count);
  return wrap_all(emitter, emitter.builder().create_many(ir::Op::while_loop, std::move(operands), ir::Attributes(std::move(attributes))),
                  carried);
}

namespace {

/// No gradient is lost when this value enters a custom_gradient by capture.
bool is_without_gradient(const ir::Graph& graph, ir::ValueId value) {
  if (!is_floating(graph.type(value).dtype)) return true;
  const ir::Node* node = &graph.definition(value);
  if (node->op == ir::Op::broadcast_in_dim) node = &graph.definition(node->operands[0]);
  return node->op == ir::Op::constant || node->op == ir::Op::stop_gradient || node->op == ir::Op::iota;
}

}  // namespace

std::vector<Tensor> custom_gradient(const std::vector<Tensor>& inputs, const ForwardFunction& forward, const BackwardFunction& backward,
                                    const std::string& name, std::source_location location) {
  if (inputs.empty())
    throw Error(ErrorCode::invalid_argument, name + ": there are no inputs", LocationScope::resolve(location),
                "a gradient flows to at least one tensor");
  type_of(inputs[0]);
  GraphState& state = *Access::state(inputs[0]);
  Emitter emitter(state, name.c_str(), location);
  std::vector<ir::ValueId> operands;
  std::vector<ir::Type> types;
  for (const Tensor& input : inputs) {
    operands.push_back(emitter.use(input));
    types.push_back(emitter.builder().type(operands.back()));
  }

  const Region forward_region = build_region(state, name, "forward body of custom_gradient", emitter.op(), emitter.location(), types, {},
                                             nullptr, [&](const std::vector<Tensor>& in) { return forward(in); });
  for (const auto& [outer, inner] : forward_region.captures)
    if (!is_without_gradient(emitter.builder().graph(), outer)) {
      const Tensor captured = emitter.wrap(outer);
      emitter.fail(ErrorCode::not_differentiable,
                   fmt::format("the forward body uses the tensor {} made at {}, to which it could give no gradient", to_string(captured),
                               to_string(captured.location())),
                   "pass it as an input, or through stop_gradient() where no gradient is wanted");
    }
  const std::vector<ir::Type> results = result_types(state, forward_region);
  if (results.empty()) emitter.fail(ErrorCode::invalid_argument, "the forward body returns nothing", "return at least one tensor");

  std::vector<ir::Type> given = types;
  given.insert(given.end(), results.begin(), results.end());
  given.insert(given.end(), results.begin(), results.end());
  const std::size_t n = types.size(), m = results.size();
  Region backward_region = build_region(state, name + ".backward", "backward body of custom_gradient", emitter.op(), emitter.location(),
                                        given, {}, nullptr, [&](const std::vector<Tensor>& all) {
                                          const auto at = [&](std::size_t i) { return all.begin() + static_cast<std::ptrdiff_t>(i); };
                                          return backward({at(0), at(n)}, {at(n), at(n + m)}, {at(n + m), at(n + 2 * m)});
                                        });
  std::vector<ir::Type> wanted;
  std::copy_if(types.begin(), types.end(), std::back_inserter(wanted), [](const ir::Type& type) { return is_floating(type.dtype); });
  if (const std::vector<ir::Type> returned = result_types(state, backward_region); returned != wanted)
    emitter.fail(returned.size() != wanted.size() ? ErrorCode::invalid_argument : mismatch_code(wanted, returned),
                 fmt::format("the backward body returns {}, but the floating inputs are {}", types_text(returned), types_text(wanted)),
                 "return one cotangent for each floating input, of its dtype and dims");

  // The operands are the inputs, then whatever either body captures; to those flows a gradient of zero.
  const std::vector<ir::ValueId> captures = all_captures({&forward_region, &backward_region});
  const ir::Graph& enclosing = emitter.builder().graph();
  std::vector<ir::ValueId> forward_parameters = state.module.graph(forward_region.graph).parameters;
  const std::vector<ir::ValueId> old = state.module.graph(backward_region.graph).parameters;
  forward_parameters.resize(n);
  std::vector<ir::ValueId> backward_parameters(old.begin(), old.begin() + static_cast<std::ptrdiff_t>(n));
  ir::Builder inside(state.module, backward_region.graph);
  inside.location = emitter.builder().location;
  for (const ir::ValueId outer : captures) {
    operands.push_back(outer);
    forward_parameters.push_back(capture_parameter(state.module, forward_region, enclosing, outer));
    backward_parameters.push_back(capture_parameter(state.module, backward_region, enclosing, outer));
    if (is_floating(enclosing.type(outer).dtype)) inside.graph().results.push_back(inside.zeros(enclosing.type(outer)));
  }
  backward_parameters.insert(backward_parameters.end(), old.begin() + static_cast<std::ptrdiff_t>(n),
                             old.begin() + static_cast<std::ptrdiff_t>(n + 2 * m));
  state.module.graph(forward_region.graph).parameters = std::move(forward_parameters);
  state.module.graph(backward_region.graph).parameters = std::move(backward_parameters);
  const std::vector<ir::ValueId> values = emitter.builder().create_many(
      ir::Op::composite, std::move(operands),
      {{"name", name}, {"decomposition", ir::GraphRef{forward_region.graph}}, {"backward", ir::GraphRef{backward_region.graph}}});
  return wrap_all(emitter, values, values.size());
}

}  // namespace kiln

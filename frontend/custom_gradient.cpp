// custom_gradient: the user's own derivative, as a composite with a backward graph.
#include <fmt/format.h>
#include <algorithm>

#include "frontend/regions.h"
#include "kiln/gradients.h"

namespace kiln {

using namespace detail;

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

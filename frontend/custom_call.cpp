// Calls of the user's functions: building them, and finding the functions of a program that is about to run.
#include "kiln/custom_call.h"

#include <fmt/format.h>

#include "frontend/compile.h"
#include "frontend/state.h"
#include "ir/custom_call.h"

namespace kiln {

using namespace detail;

namespace {

void add_function(GraphState& state, const std::string& name, CustomFunction function, const Location& where) {
  if (!function)
    throw Error(ErrorCode::invalid_argument, fmt::format("the function \"{}\" is empty", name), where, "pass a callable object");
  if (name.empty()) throw Error(ErrorCode::invalid_argument, "the function of a custom call has no name", where, "give it one");
  if (!state.custom_functions.try_emplace(name, std::move(function)).second)
    throw Error(ErrorCode::invalid_argument, fmt::format("the graph has a function \"{}\" already", name), where,
                fmt::format("leave the function out to call that one: custom_call(\"{}\", inputs, results); or choose another name", name));
}

std::vector<Tensor> call(const std::string& name, const std::vector<Tensor>& inputs, const std::vector<TensorType>& results,
                         CustomFunction* function, const std::source_location& location) {
  const std::string op = fmt::format("custom_call \"{}\"", name);
  if (inputs.empty())
    throw Error(ErrorCode::invalid_argument, op + ": there are no inputs", LocationScope::resolve(location),
                "pass at least one tensor: a function without need of one can be given graph.constant(0)");
  type_of(inputs[0]);
  GraphState& state = *Access::state(inputs[0]);
  Emitter emitter(state, op.c_str(), location);
  std::vector<ir::ValueId> operands;
  for (const Tensor& input : inputs) operands.push_back(emitter.use(input));
  if (results.empty())
    emitter.fail(ErrorCode::invalid_argument, "there are no results", "list the dtype and dims of each: {{f32, {batch}}}");
  std::vector<ir::Type> types;
  for (const TensorType& result : results) {
    ir::Type& type = types.emplace_back();
    type.dtype = result.dtype;
    type.dims = to_ir(result.dims);
    state.use_symbols(type.dims, emitter.location());
  }
  if (function) add_function(state, name, std::move(*function), emitter.location());
  std::vector<Tensor> tensors;
  for (const ir::ValueId value : emitter.builder().create_many(ir::Op::custom_call, std::move(operands),
                                                               ir::custom_call_attributes(name, state.next_custom_call++, types)))
    tensors.push_back(emitter.wrap(value));
  return tensors;
}

}  // namespace

std::vector<Tensor> custom_call(const std::string& name, const std::vector<Tensor>& inputs, const std::vector<TensorType>& results,
                                CustomFunction function, std::source_location location) {
  return call(name, inputs, results, &function, location);
}

std::vector<Tensor> custom_call(const std::string& name, const std::vector<Tensor>& inputs, const std::vector<TensorType>& results,
                                std::source_location location) {
  return call(name, inputs, results, nullptr, location);
}

void Graph::register_custom_call(const std::string& name, CustomFunction function, std::source_location location) {
  add_function(*state_, name, std::move(function), LocationScope::resolve(location));
}

namespace detail {

void require_functions(const GraphState& state, const ir::Module& module, const Location& where) {
  for (const auto& graph : module.graphs)
    for (ir::NodeId n = 0; n < graph->node_count(); ++n) {
      const ir::Node& node = graph->node(n);
      if (node.op != ir::Op::custom_call || state.custom_functions.contains(node.attributes.text("name"))) continue;
      const std::string& name = node.attributes.text("name");
      const Location& line = module.location(node.location);
      throw Error(ErrorCode::invalid_argument, fmt::format("the graph calls the function \"{}\", which it does not have", name),
                  line.known() ? line : where,
                  fmt::format("register it before the first run: graph.register_custom_call(\"{}\", function)", name));
    }
}

void attach_functions(const GraphState& state, runtime::Program& program) {
  for (runtime::CustomCallSpec& call : program.custom_calls) call.function = state.custom_functions.at(call.name);
}

}  // namespace detail
}  // namespace kiln

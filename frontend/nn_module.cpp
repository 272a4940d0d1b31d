// Modules: parameters by path, calls, running statistics.
//
// Locations: operator() notes the user's call; what Kiln's own modules append carries it. A user's own forward() runs without a scope, so
// that the lines in it count, and calls of modules there note those lines in turn.
//
// Running statistics: a call in training notes what it does to a buffer as a function of the buffer's value, and the tensor that it
// returns. Whoever makes a step asks for the changes of the calls that its loss depends on, and gets one assign for each buffer, which
// applies them in order of the calls. The same set of calls gives the same assign, so steps that are grouped do not conflict.
#include "frontend/nn_module.h"

#include <cxxabi.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <cstdlib>
#include <set>
#include <typeinfo>

#include "frontend/nn_state.h"
#include "frontend/nn_trace.h"
#include "kiln/operators.h"

namespace kiln::nn {

using detail::ModuleState;
using kiln::detail::Access;
using kiln::detail::GraphState;
using kiln::detail::LocationScope;

namespace {

thread_local Location innermost_location;
thread_local bool innermost_trains = false;

std::uint32_t index_of(const Variable& variable) {
  const GraphState& state = *Access::state(variable);
  return state.variables.at(state.module.main_graph().definition(Access::value(variable)).attributes.text("name"));
}

bool trains(const Variable& variable) { return Access::state(variable)->trainable[index_of(variable)]; }

void set_trainable(const ModuleState& state, bool trainable) {
  for (const auto& [name, variable] : state.parameters) Access::state(variable)->trainable[index_of(variable)] = trainable;
}

/// The initial value that the nearest rule above a parameter gives it, or its module's own.
Initializer initial_value(const std::shared_ptr<ModuleState>& state, const std::string& path, const Initializer& standard) {
  for (auto at = state; at; at = at->parent.lock()) {
    if (!at->rule) continue;
    const std::optional<Initializer> own = at->rule({path, standard.dtype(), standard.shape()});
    if (!own) continue;
    if (own->dtype() != standard.dtype() || !(own->shape() == standard.shape()))
      detail::fail(own->dtype() != standard.dtype() ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                   fmt::format("the initialisation rule gives the parameter \"{}\" {}{}, but it is {}{}", path, name_of(own->dtype()),
                               to_string(own->shape()), name_of(standard.dtype()), to_string(standard.shape())),
                   "use the dtype and the shape that the rule is given");
    return *own;
  }
  return standard;
}

}  // namespace

namespace detail {

std::string ModuleState::path(const ModuleState& state) {
  std::string text;
  std::shared_ptr<ModuleState> above;
  for (const ModuleState* at = &state; at; at = above.get()) {
    std::shared_ptr<ModuleState> next = at->parent.lock();
    const std::string& own = next ? at->name : at->prefix;
    if (!own.empty()) text = own + "." + text;
    above = std::move(next);
  }
  return text;
}

const Location& call_location() { return innermost_location; }
bool call_trains() { return innermost_trains; }

std::vector<Dim> extents(const Tensor& tensor) {
  const Dims dims = tensor.dims();
  return {dims.begin(), dims.end()};
}

Graph graph_of(const Tensor& tensor) {
  kiln::detail::type_of(tensor);
  return Access::graph(Access::state(tensor)->shared_from_this());
}

void fail(ErrorCode code, const std::string& message, const std::string& hint) {
  throw Error(code, message, LocationScope::resolve(innermost_location), hint);
}

void require_input(const char* name, const Tensor& input, std::int64_t axis, std::int64_t extent, const char* what) {
  const ir::Type& type = kiln::detail::type_of(input);
  if (!is_floating(type.dtype))
    fail(ErrorCode::dtype_mismatch, fmt::format("{}: takes floating tensors, but was given {}", name, ir::to_string(type)),
         "convert it first: convert(x, f32)");
  const auto rank = static_cast<std::int64_t>(type.rank());
  const std::int64_t at = axis < 0 ? axis + rank : axis;
  if (at < 0 || at >= rank || ir::equals(type.dims[static_cast<std::size_t>(at)], extent) != ir::Truth::yes)
    fail(ErrorCode::shape_mismatch,
         fmt::format("{}: the input is {}, but its {} must be {}", name, ir::to_string(type),
                     axis == -1 ? std::string("last dim") : fmt::format("dim {}", axis), extent),
         fmt::format("the module was made with {} = {}, the extent of that dim{}", what, extent,
                     axis == 1 ? ": channels come first, [batch, channels, ...]" : ""));
}

}  // namespace detail

// ---- calls

Module::Call::Call(Module& module, Mode mode, std::source_location location)
    : location_before_(innermost_location), training_before_(innermost_trains) {
  innermost_location = LocationScope::resolve(location);
  innermost_trains = mode.training.value_or(innermost_trains);
  module.state_->built = true;
  if (detail::Tracer* tracer = detail::Tracer::active()) trace_ = tracer->enter(module);
}

Module::Call::Call(Module& module) : location_before_(innermost_location), training_before_(innermost_trains) {
  module.state_->built = true;
  if (detail::Tracer* tracer = detail::Tracer::active()) trace_ = tracer->enter(module);
}

Module::Call::~Call() {
  innermost_location = location_before_;
  innermost_trains = training_before_;
  if (trace_) detail::Tracer::active()->leave(trace_);
}

void Module::Call::note(const Tensor& result) const {
  if (trace_) detail::Tracer::active()->returns(trace_, result);
}

Module::Module() : state_(std::make_shared<ModuleState>()) {}

Tensor Module::operator()(const Tensor& input, Mode mode, std::source_location location) {
  const Call open(*this, mode, location);
  {
    LocationScope scope(innermost_location);
    kiln::detail::type_of(input);
  }
  Tensor result = forward(input);
  open.returns(result);
  return result;
}

Tensor Module::call(Module& part, const Tensor& input) {
  const Call open(part);
  Tensor result = part.forward(input);
  open.returns(result);
  return result;
}

bool Module::training() { return innermost_trains; }

Tensor Module::forward(const Tensor&) {
  detail::fail(ErrorCode::invalid_argument, fmt::format("{}: it is not a function of one tensor", type_name()),
               "the class has an operator() of its own: see its declaration");
}

std::string Module::type_name() const {
  int status = 0;
  char* readable = abi::__cxa_demangle(typeid(*this).name(), nullptr, nullptr, &status);
  std::string name = readable ? readable : typeid(*this).name();
  std::free(readable);
  // The class alone: without its namespaces and, for a local class, its function.
  const std::size_t arguments = std::min(name.find('<'), name.size());
  const std::size_t colon = name.rfind("::", arguments);
  return colon == std::string::npos ? name : name.substr(colon + 2);
}

// ---- parts

void Module::make_parameters(Graph&, DType) {}

void Module::build(Graph& graph, DType dtype, std::source_location location) {
  LocationScope scope{Location(location)};
  const Call open(*this, {}, location);
  std::vector<Module*> pending{this};
  while (!pending.empty()) {
    Module* module = pending.back();
    pending.pop_back();
    module->state_->built = true;
    module->make_parameters(graph, dtype);
    for (auto part = module->state_->parts.rbegin(); part != module->state_->parts.rend(); ++part) pending.push_back(part->second.get());
  }
}

void Module::add_part(const std::string& name, std::shared_ptr<Module> module) {
  for (const auto& [known, part] : state_->parts)
    if (known == name)
      throw Error(ErrorCode::invalid_argument, fmt::format("a module has two parts named \"{}\"", name), innermost_location,
                  "give each part its own name");
  if (module->state_->parent.expired()) {
    module->state_->name = name;
    module->state_->parent = state_;
  }
  state_->parts.emplace_back(name, std::move(module));
  if (state_->frozen) state_->parts.back().second->freeze();
}

std::vector<std::pair<std::string, std::shared_ptr<Module>>> Module::parts() const { return state_->parts; }

void Module::set_name(const std::string& name) { state_->prefix = name; }

void Module::set_initialization(InitializationRule rule) { state_->rule = std::move(rule); }

namespace detail {

std::vector<ModuleState*> ModuleState::subtree(ModuleState& root) {
  std::vector<ModuleState*> found, pending{&root};
  std::set<const ModuleState*> seen;
  while (!pending.empty()) {
    ModuleState* state = pending.back();
    pending.pop_back();
    if (!seen.insert(state).second) continue;
    found.push_back(state);
    for (auto part = state->parts.rbegin(); part != state->parts.rend(); ++part) pending.push_back(of(*part->second));
  }
  return found;
}

}  // namespace detail

void Module::freeze() {
  for (ModuleState* state : ModuleState::subtree(*state_)) {
    state->frozen = true;
    set_trainable(*state, false);
  }
}

void Module::unfreeze() {
  for (ModuleState* state : ModuleState::subtree(*state_)) {
    state->frozen = false;
    set_trainable(*state, true);
  }
}

// ---- parameters

void Module::tie_parameter(const std::string& name, std::shared_ptr<Module> owner, const std::string& owner_name, const Location& where) {
  for (const auto& [known, variable] : state_->parameters)
    if (known == name)
      throw Error(ErrorCode::invalid_argument, fmt::format("tie: the parameter \"{}\" has been made already", variable.name()),
                  LocationScope::resolve(where), "tie parameters before the module is called or built");
  // Along the chain of owners; it may not come back here.
  std::shared_ptr<Module> at = owner;
  std::string at_name = owner_name;
  while (true) {
    if (at->state_ == state_ && at_name == name)
      throw Error(ErrorCode::invalid_argument, fmt::format("tie: the parameter \"{}\" would be its own owner", name),
                  LocationScope::resolve(where), "of parameters that are one, exactly one is not tied");
    const auto further = at->state_->ties.find(at_name);
    if (further == at->state_->ties.end()) break;
    at_name = further->second.name;
    at = further->second.owner;
  }
  state_->ties[name] = {std::move(owner), owner_name};
}

Variable Module::parameter(Graph& graph, const std::string& name, const Initializer& initial) {
  const auto check_graph = [&](const Variable& variable) {
    if (Access::state(variable) != &Access::state(graph))
      detail::fail(ErrorCode::foreign_graph,
                   fmt::format("the parameter \"{}\" made at {} belongs to another graph", variable.name(), to_string(variable.location())),
                   "make one module for each graph");
  };
  for (const auto& [known, variable] : state_->parameters) {
    if (known != name) continue;
    check_graph(variable);
    return variable;
  }
  if (const auto tied = state_->ties.find(name); tied != state_->ties.end()) {
    Module& owner = *tied->second.owner;
    // The owner's parameters are made by itself, as if it were called.
    owner.state_->built = true;
    owner.make_parameters(graph, initial.dtype());
    const Variable variable = owner.parameter(graph, tied->second.name, initial);
    const ir::Type& type = kiln::detail::type_of(variable);
    if (type.dtype != initial.dtype() || !(variable.dims() == Dims(initial.shape())))
      detail::fail(
          ErrorCode::shape_mismatch,
          fmt::format("the parameter \"{}\" is tied to \"{}\", which is {}, but it must be {}{}", ModuleState::path(*state_) + name,
                      variable.name(), ir::to_string(type), name_of(initial.dtype()), to_string(initial.shape())),
          "tied parameters have one dtype and one shape");
    state_->parameters.emplace_back(name, variable);
    return variable;
  }
  LocationScope scope(innermost_location);
  const std::string path = ModuleState::path(*state_) + name;
  const Variable variable = graph.variable(path, initial_value(state_, path, initial), {.trainable = !state_->frozen});
  state_->parameters.emplace_back(name, variable);
  return variable;
}

Variable Module::parameter(const Tensor& near, const std::string& name, const Initializer& initial) {
  Graph graph = detail::graph_of(near);
  return parameter(graph, name, initial);
}

Variable Module::buffer(Graph& graph, const std::string& name, const Initializer& initial) {
  for (const auto& [known, variable] : state_->buffers) {
    if (known != name) continue;
    if (Access::state(variable) != &Access::state(graph))
      detail::fail(ErrorCode::foreign_graph,
                   fmt::format("the buffer \"{}\" made at {} belongs to another graph", variable.name(), to_string(variable.location())),
                   "make one module for each graph");
    return variable;
  }
  LocationScope scope(innermost_location);
  const Variable variable = graph.variable(ModuleState::path(*state_) + name, initial, {.trainable = false});
  state_->buffers.emplace_back(name, variable);
  return variable;
}

std::vector<NamedParameter> Module::collect(bool buffers, const Location& where) const {
  if (!state_->built)
    throw Error(ErrorCode::invalid_argument, "parameters: the module has none yet", LocationScope::resolve(where),
                "call the module on a tensor, or build(graph) it, before asking for its parameters");
  std::vector<NamedParameter> found;
  std::set<std::string> seen;
  for (const ModuleState* state : ModuleState::subtree(*state_))
    for (const auto& [name, variable] : buffers ? state->buffers : state->parameters) {
      const std::string path = Access::state(variable)->module.main_graph().definition(Access::value(variable)).attributes.text("name");
      if (seen.insert(path).second) found.push_back({path, variable});
    }
  return found;
}

std::vector<NamedParameter> Module::named_parameters(std::source_location location) const { return collect(false, location); }
std::vector<NamedParameter> Module::named_buffers(std::source_location location) const { return collect(true, location); }

std::vector<Variable> Module::parameters(std::source_location location) const {
  std::vector<Variable> variables;
  for (NamedParameter& parameter : collect(false, location))
    if (trains(parameter.variable)) variables.push_back(parameter.variable);
  return variables;
}

std::vector<Variable> Module::buffers(std::source_location location) const {
  std::vector<Variable> variables;
  for (NamedParameter& buffer : collect(true, location)) variables.push_back(buffer.variable);
  return variables;
}

// ---- running statistics

void Module::update(const Variable& buffer, const Tensor& result, std::function<Tensor(const Tensor& current)> next) {
  GraphState& state = *Access::state(buffer);
  if (state.innermost().graph != state.module.main)
    detail::fail(ErrorCode::conflicting_assign,
                 fmt::format("the statistics \"{}\" would have to be assigned in the {} at {}", buffer.name(), state.innermost().kind,
                             to_string(state.innermost().where)),
                 "call the module with {.training = false} there, or without running statistics");
  state.updates.push_back({Access::value(buffer), Access::value(result), std::move(next)});
}

Operation Module::updates(std::source_location location) const {
  LocationScope scope{Location(location)};
  const std::vector<NamedParameter> buffers = collect(true, location);
  if (buffers.empty()) return {};
  GraphState& state = *Access::state(buffers[0].variable);
  std::vector<bool> own(state.module.main_graph().value_count());
  for (const NamedParameter& buffer : buffers) own[Access::value(buffer.variable)] = true;
  std::vector<bool> reached(own.size());
  for (const kiln::detail::StateUpdate& update : state.updates)
    if (own[update.variable]) reached[update.result] = true;
  return group(kiln::detail::state_updates(state, reached));
}

}  // namespace kiln::nn

namespace kiln::detail {

std::vector<bool> ancestors(const GraphState& state, ir::ValueId value) {
  const ir::Graph& graph = state.module.main_graph();
  std::vector<bool> reached(graph.value_count());
  reached[value] = true;
  for (ir::NodeId n = graph.defining_node(value) + 1; n-- > 0;) {
    const ir::Node& node = graph.node(n);
    for (std::uint32_t i = 0; i < node.result_count; ++i)
      if (reached[node.first_result + i]) {
        for (const ir::ValueId operand : node.operands) reached[operand] = true;
        break;
      }
  }
  return reached;
}

std::vector<Operation> state_updates(GraphState& state, const std::vector<bool>& reached) {
  // By buffer, in order of their first call.
  std::vector<std::pair<ir::ValueId, std::vector<std::size_t>>> calls;
  for (std::size_t i = 0; i < state.updates.size(); ++i) {
    const StateUpdate& update = state.updates[i];
    if (update.result >= reached.size() || !reached[update.result]) continue;
    auto known = std::find_if(calls.begin(), calls.end(), [&](const auto& c) { return c.first == update.variable; });
    if (known == calls.end()) known = calls.insert(calls.end(), {update.variable, {}});
    known->second.push_back(i);
  }
  std::vector<Operation> operations;
  for (const auto& [buffer, indices] : calls) {
    const auto found = state.update_nodes.find(indices);
    if (found != state.update_nodes.end()) {
      operations.push_back(Access::operation(state, {found->second}));
      continue;
    }
    const Variable variable = Access::make<Variable>(state, state.module.main, buffer);
    Tensor value = variable;
    for (const std::size_t i : indices) value = state.updates[i].next(value);
    const Assignment assignment = assign(variable, value);
    state.update_nodes[indices] = state.module.main_graph().defining_node(Access::value(assignment));
    operations.push_back(assignment);
  }
  return operations;
}

}  // namespace kiln::detail

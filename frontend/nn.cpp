// Modules: parameters by path, and the layers and losses of kiln/nn.h.
//
// Locations: operator() notes the user's call; what Kiln's own modules append carries it. A user's own forward() runs without a scope, so
// that the lines in it count, and calls of modules there note those lines in turn.
#include "kiln/nn.h"

#include <fmt/format.h>
#include <cmath>
#include <optional>

#include "frontend/state.h"

namespace kiln::nn {

namespace detail {

struct ModuleState {
  std::string prefix;  ///< set by the user
  std::string name;    ///< within the parent
  std::weak_ptr<ModuleState> parent;
  std::vector<std::shared_ptr<Module>> parts;
  std::vector<std::pair<std::string, Variable>> parameters;  ///< by name within this module
  bool built = false;                                        ///< called or built at least once

  /// "encoder.0.": the path from the outermost module.
  static std::string path(const std::shared_ptr<ModuleState>& state) {
    std::string text;
    for (auto at = state; at;) {
      const auto above = at->parent.lock();
      const std::string& own = above ? at->name : at->prefix;
      if (!own.empty()) text = own + "." + text;
      at = above;
    }
    return text;
  }
};

}  // namespace detail

using detail::ModuleState;
using kiln::detail::Access;
using kiln::detail::LocationScope;

namespace {

thread_local Location call_location;

/// The innermost call of a module on this thread.
class CallScope {
 public:
  explicit CallScope(const Location& location) : before_(call_location) { call_location = LocationScope::resolve(location); }
  ~CallScope() { call_location = before_; }
  CallScope(const CallScope&) = delete;

 private:
  Location before_;
};

Graph graph_of(const Tensor& tensor) {
  kiln::detail::type_of(tensor);
  return Access::graph(Access::state(tensor)->shared_from_this());
}

}  // namespace

// ---- Module

Module::Module() : state_(std::make_shared<ModuleState>()) {}

Tensor Module::operator()(const Tensor& input, std::source_location location) {
  CallScope call{Location(location)};
  kiln::detail::type_of(input);
  state_->built = true;
  return forward(input);
}

Tensor Module::call(Module& part, const Tensor& input) {
  part.state_->built = true;
  return part.forward(input);
}

void Module::make_parameters(Graph&, DType) {}

void Module::build(Graph& graph, DType dtype, std::source_location location) {
  LocationScope scope{Location(location)};
  std::vector<Module*> pending{this};
  while (!pending.empty()) {
    Module* module = pending.back();
    pending.pop_back();
    module->state_->built = true;
    module->make_parameters(graph, dtype);
    for (auto part = module->state_->parts.rbegin(); part != module->state_->parts.rend(); ++part) pending.push_back(part->get());
  }
}

void Module::add_part(const std::string& name, std::shared_ptr<Module> module) {
  for (const auto& part : state_->parts)
    if (part->state_->name == name)
      throw Error(ErrorCode::invalid_argument, fmt::format("a module has two parts named \"{}\"", name), call_location,
                  "give each part its own name");
  module->state_->name = name;
  module->state_->parent = state_;
  state_->parts.push_back(std::move(module));
}

void Module::set_name(const std::string& name) { state_->prefix = name; }

Variable Module::parameter(Graph& graph, const std::string& name, const Initializer& initial) {
  for (const auto& [known, variable] : state_->parameters) {
    if (known != name) continue;
    if (Access::state(variable) != &Access::state(graph))
      throw Error(ErrorCode::foreign_graph,
                  fmt::format("the parameter \"{}\" made at {} belongs to another graph", variable.name(), to_string(variable.location())),
                  LocationScope::resolve(call_location), "make one module for each graph");
    return variable;
  }
  LocationScope scope(call_location);
  const Variable variable = graph.variable(ModuleState::path(state_) + name, initial);
  state_->parameters.emplace_back(name, variable);
  return variable;
}

Variable Module::parameter(const Tensor& near, const std::string& name, const Initializer& initial) {
  Graph graph = graph_of(near);
  return parameter(graph, name, initial);
}

std::vector<NamedParameter> Module::named_parameters(std::source_location location) const {
  if (!state_->built)
    throw Error(ErrorCode::invalid_argument, "parameters: the module has none yet", LocationScope::resolve(location),
                "call the module on a tensor, or build(graph) it, before asking for its parameters");
  std::vector<NamedParameter> found;
  std::vector<std::shared_ptr<ModuleState>> pending{state_};
  while (!pending.empty()) {
    const auto state = pending.back();
    pending.pop_back();
    const std::string path = ModuleState::path(state);
    for (const auto& [name, variable] : state->parameters) found.push_back({path + name, variable});
    for (auto part = state->parts.rbegin(); part != state->parts.rend(); ++part) pending.push_back((*part)->state_);
  }
  return found;
}

std::vector<Variable> Module::parameters(std::source_location location) const {
  std::vector<Variable> variables;
  for (NamedParameter& parameter : named_parameters(location)) variables.push_back(parameter.variable);
  return variables;
}

// ---- modules

Tensor Sequential::forward(const Tensor& input) {
  Tensor x = input;
  for (const auto& part : parts_) x = call(*part, x);
  return x;
}

Linear::Linear(std::int64_t in, std::int64_t out, LinearOptions options) : in_(in), out_(out), options_(options) {}

void Linear::make_parameters(Graph& graph, DType dtype) {
  // PyTorch's default: uniform within 1 / sqrt(fan_in) for both.
  const double bound = 1 / std::sqrt(static_cast<double>(in_));
  parameter(graph, "weight", random_uniform(dtype, {out_, in_}, {.low = -bound, .high = bound}));
  if (options_.bias) parameter(graph, "bias", random_uniform(dtype, {out_}, {.low = -bound, .high = bound}));
}

Tensor Linear::forward(const Tensor& input) {
  LocationScope scope(call_location);
  const ir::Type& type = kiln::detail::type_of(input);
  if (type.rank() == 0 || ir::equals(type.dims.back(), in_) != ir::Truth::yes || !is_floating(type.dtype))
    throw Error(is_floating(type.dtype) ? ErrorCode::shape_mismatch : ErrorCode::dtype_mismatch,
                fmt::format("Linear: the input is {}, but the layer has the weight [{}, {}]: the last dim must be {}", ir::to_string(type),
                            out_, in_, in_),
                LocationScope::resolve(call_location),
                is_floating(type.dtype) ? "Linear(in, out): in is the input's last dim" : "convert it first: convert(x, f32)");
  Graph graph = graph_of(input);
  make_parameters(graph, type.dtype);
  const Variable weight = parameter(graph, "weight", zeros(type.dtype, {out_, in_}));
  kiln::detail::Emitter emitter(*Access::state(input), "Linear", call_location);
  const Tensor product = emitter.wrap(emitter.builder().dot_general(emitter.use(input), emitter.use(static_cast<const Tensor&>(weight)), {},
                                                                    {}, {static_cast<std::int64_t>(type.rank()) - 1}, {1}));
  return options_.bias ? product + parameter(graph, "bias", zeros(type.dtype, {out_})) : product;
}

namespace {

/// Applies a function of the library at the line where the module was called.
template <class Function>
Tensor at_call(Function function) {
  LocationScope scope(call_location);
  return function();
}

}  // namespace

Tensor ReLU::forward(const Tensor& x) {
  return at_call([&] { return relu(x); });
}
Tensor Sigmoid::forward(const Tensor& x) {
  return at_call([&] { return sigmoid(x); });
}
Tensor Tanh::forward(const Tensor& x) {
  return at_call([&] { return kiln::tanh(x); });
}
Tensor SiLU::forward(const Tensor& x) {
  return at_call([&] { return silu(x); });
}
Tensor Softplus::forward(const Tensor& x) {
  return at_call([&] { return softplus(x); });
}
Tensor GELU::forward(const Tensor& x) {
  return at_call([&] { return gelu(x, approximate_); });
}
Tensor LeakyReLU::forward(const Tensor& x) {
  return at_call([&] { return leaky_relu(x, slope_); });
}
Tensor ELU::forward(const Tensor& x) {
  return at_call([&] { return elu(x, alpha_); });
}
Tensor Softmax::forward(const Tensor& x) {
  return at_call([&] { return softmax(x, axis_); });
}
Tensor Flatten::forward(const Tensor& x) {
  return at_call([&] { return flatten(x, first_axis_); });
}
Tensor Dropout::forward(const Tensor& x) {
  return at_call([&] { return dropout(x, rate_); });
}

// ---- losses

namespace {

Tensor reduced(const Tensor& elements, Reduction reduction) {
  switch (reduction) {
    case Reduction::sum: return reduce_sum(elements);
    case Reduction::mean: return reduce_mean(elements);
    case Reduction::none: break;
  }
  return elements;
}

}  // namespace

Tensor MSELoss::operator()(const Tensor& prediction, const Tensor& target, std::source_location location) const {
  LocationScope scope{Location(location)};
  const ir::Type &a = kiln::detail::type_of(prediction), &b = kiln::detail::type_of(target);
  // Broadcasting is no help here: a [n] against a [n, 1] would quietly compare all pairs.
  if (!(a == b))
    throw Error(a.dtype != b.dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                fmt::format("MSELoss: the prediction is {}, the target {}", ir::to_string(a), ir::to_string(b)),
                LocationScope::resolve(location),
                a.dtype != b.dtype ? "convert one of them: convert(x, f32)" : "both must have the same shape; reshape() one of them");
  return reduced(square(prediction - target), reduction_);
}

Tensor CrossEntropyLoss::operator()(const Tensor& logits, const Tensor& labels, std::source_location location) const {
  LocationScope scope{Location(location)};
  return reduced(softmax_cross_entropy(logits, labels), reduction_);
}

}  // namespace kiln::nn

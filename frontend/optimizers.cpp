// What all optimizers share, and those without moments of Adam's kind, with the semantics of torch.optim: the same formulas, defaults and
// state names.
#include "kiln/optimizers.h"

#include <fmt/format.h>
#include <cmath>

#include "frontend/nn_module.h"
#include "frontend/optimizers.h"
#include "frontend/state.h"
#include "kiln/gradients.h"
#include "kiln/operators.h"

namespace kiln {

using namespace detail;

namespace {

/// Trainable variables that the loss depends on through floating values, in order of creation.
std::vector<Variable> variables_of(const Tensor& loss) {
  GraphState& state = *Access::state(loss);
  const ir::Graph& graph = state.module.graph(Access::region(loss));
  std::vector<bool> needed(graph.value_count());
  needed[Access::value(loss)] = true;
  for (ir::NodeId n = graph.defining_node(Access::value(loss)) + 1; n-- > 0;) {
    const ir::Node& node = graph.node(n);
    bool reached = false;
    for (std::uint32_t i = 0; i < node.result_count; ++i) reached = reached || needed[node.first_result + i];
    if (!reached || node.op == ir::Op::stop_gradient) continue;
    for (const ir::ValueId operand : node.operands)
      if (is_floating(graph.type(operand).dtype)) needed[operand] = true;
  }
  std::vector<Variable> found;
  for (std::uint32_t i = 0; i < state.module.variables.size(); ++i)
    if (const ir::ValueId value = state.variable_values[i]; state.trainable[i] && value < needed.size() && needed[value])
      found.push_back(Access::make<Variable>(state, state.module.main, value));
  return found;
}

bool same(const Variable& a, const Variable& b) { return Access::state(a) == Access::state(b) && Access::value(a) == Access::value(b); }

}  // namespace

void detail::require_positive(const char* optimizer, const char* name, double value, const Location& where) {
  if (!(value >= 0))
    throw Error(ErrorCode::invalid_argument, fmt::format("{}: {} is {}", optimizer, name, value), where, fmt::format("{} >= 0", name));
}

Tensor detail::decayed(const Tensor& gradient, const Variable& parameter, double weight_decay) {
  return weight_decay == 0 ? gradient : gradient + weight_decay * parameter;
}

Shape detail::constant_shape(const Variable& variable) {
  std::vector<std::int64_t> shape;
  for (const ir::Dim& dim : type_of(variable).dims) shape.push_back(dim.constant());
  return Shape(std::move(shape));
}

Variable detail::make_state(Graph& graph, const std::string& name, const Initializer& initial) {
  std::string unique = name;
  for (int i = 1; Access::state(graph).variables.contains(unique); ++i) unique = fmt::format("{}.{}", name, i);
  return graph.variable(unique, initial, {.trainable = false});
}

// ---- what all share

Variable Optimizer::state(Graph& graph, const std::string& name, const Initializer& initial) {
  const auto [found, added] = states_.try_emplace(name);
  if (!added) return found->second;
  return found->second = make_state(graph, name, initial);
}

Variable Optimizer::Step::state(const Variable& parameter, const std::string& name, DType dtype, const Shape& shape, double value) {
  const ir::Graph& graph = Access::state(graph_).module.main_graph();
  const std::string owner = graph.definition(Access::value(parameter)).attributes.text("name");
  return optimizer_.state(graph_, owner + "." + name, constant(dtype, shape, value));
}

Variable Optimizer::Step::state(const Variable& parameter, const std::string& name, double value) {
  return state(parameter, name, parameter.dtype(), constant_shape(parameter), value);
}

Tensor Optimizer::Step::number() {
  if (!number_.valid()) {
    const Variable count = optimizer_.state(graph_, "optimizer.step", zeros(i64, {}));
    const Tensor next = count + 1;
    assign(count, next);
    number_ = convert(next, f64);
  }
  return number_;
}

Tensor Optimizer::Step::hyperparameter(const Hyperparameter& value) {
  if (value.is_tensor()) return convert(value.tensor(), f64);
  if (value.schedule()) return (*value.schedule())(number() - 1);
  return graph_.constant(Array(value.number()));
}

Tensor Optimizer::Step::scaled(const Hyperparameter& value, const Tensor& x) {
  if (value.is_number()) return value.number() * x;
  return convert(value.is_tensor() ? value.tensor() : hyperparameter(value), x.dtype()) * x;
}

Hyperparameter Optimizer::Step::lr(const Hyperparameter& common) const { return group_ && group_->lr ? *group_->lr : common; }

double Optimizer::Step::weight_decay(double common) const { return group_ && group_->weight_decay ? *group_->weight_decay : common; }

void Optimizer::Step::assign(const Variable& variable, const Operand& value) {
  assigns_.push_back(condition_.valid() ? kiln::assign(variable, select(condition_, value, variable)) : kiln::assign(variable, value));
}

void Optimizer::add_group(ParameterGroup group, std::source_location location) {
  const Location where = LocationScope::resolve(location);
  if (group.weight_decay) require_positive("add_group", "weight_decay", *group.weight_decay, where);
  for (const Variable& parameter : group.parameters) {
    type_of(parameter);
    for (const ParameterGroup& other : groups_)
      for (const Variable& known : other.parameters)
        if (same(known, parameter))
          throw Error(ErrorCode::invalid_argument, fmt::format("add_group: the parameter \"{}\" is in a group already", parameter.name()),
                      where, "each parameter has one set of hyperparameters");
  }
  groups_.push_back(std::move(group));
}

Operation Optimizer::apply_gradients(const GradientSet& gradients, std::source_location location) {
  LocationScope scope{Location(location)};
  const Location where = LocationScope::resolve(location);
  if (gradients.pairs.empty())
    throw Error(ErrorCode::invalid_argument, "apply_gradients: there are no parameters", where,
                "give at least one variable and its gradient");
  type_of(gradients.pairs[0].parameter);
  Step step(*this, Access::graph(Access::state(gradients.pairs[0].parameter)->shared_from_this()));
  step.condition_ = gradients.condition;
  if (step.condition_.valid())
    if (const ir::Type& type = type_of(step.condition_); type.dtype != DType::boolean || type.rank() != 0)
      throw Error(type.dtype != DType::boolean ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                  fmt::format("apply_gradients: the condition must be a bool scalar, but is {}", ir::to_string(type)), where,
                  "a step is made as a whole or not at all");
  for (const auto& [parameter, gradient] : gradients.pairs) {
    const ir::Type &type = type_of(parameter), &given = type_of(gradient);
    if (!is_floating(type.dtype))
      throw Error(ErrorCode::dtype_mismatch,
                  fmt::format("the parameter \"{}\" is {}, which no gradient step can change", parameter.name(), ir::to_string(type)),
                  where, "only floating variables can be trained");
    if (!(type == given))
      throw Error(type.dtype != given.dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                  fmt::format("the parameter \"{}\" is {}, its gradient {}", parameter.name(), ir::to_string(type), ir::to_string(given)),
                  where, "a gradient has its parameter's dtype and dims");
    step.group_ = nullptr;
    for (const ParameterGroup& group : groups_)
      for (const Variable& member : group.parameters)
        if (same(member, parameter)) step.group_ = &group;
    update(step, parameter, gradient);
  }
  std::vector<Operation> all = std::move(step.assigns_);
  all.insert(all.end(), gradients.updates.begin(), gradients.updates.end());
  return group(all);
}

Operation Optimizer::apply_gradients(std::span<const GradientPair> pairs, std::source_location location) {
  return apply_gradients(GradientSet{{pairs.begin(), pairs.end()}}, location);
}

// ---- gradients of a loss

GradientSet compute_gradients(const Tensor& loss, std::span<const Variable> parameters, std::source_location location) {
  LocationScope scope{Location(location)};
  if (parameters.empty())
    throw Error(ErrorCode::invalid_argument, "minimize: there are no parameters to train", LocationScope::resolve(location),
                "the loss must depend on a floating variable that is trainable");
  const std::vector<Tensor> grads = gradients(loss, parameters, {}, location);
  GradientSet set;
  for (std::size_t i = 0; i < parameters.size(); ++i) set.pairs.push_back({parameters[i], grads[i]});
  GraphState& state = *Access::state(loss);
  if (Access::region(loss) == state.module.main) set.updates = state_updates(state, ancestors(state, Access::value(loss)));
  return set;
}

GradientSet compute_gradients(const Tensor& loss, std::initializer_list<Variable> parameters, std::source_location location) {
  return compute_gradients(loss, std::span<const Variable>(parameters.begin(), parameters.size()), location);
}

GradientSet compute_gradients(const Tensor& loss, std::source_location location) {
  LocationScope scope{Location(location)};
  type_of(loss);
  const std::vector<Variable> parameters = variables_of(loss);
  return compute_gradients(loss, std::span<const Variable>(parameters), location);
}

std::vector<Variable> biases_and_norms(std::span<const Variable> parameters) {
  std::vector<Variable> found;
  for (const Variable& parameter : parameters)
    if (parameter.rank() <= 1) found.push_back(parameter);
  return found;
}

Operation Optimizer::minimize(const Tensor& loss, std::span<const Variable> parameters, std::source_location location) {
  return apply_gradients(compute_gradients(loss, parameters, location), location);
}

Operation Optimizer::minimize(const Tensor& loss, std::initializer_list<Variable> parameters, std::source_location location) {
  return apply_gradients(compute_gradients(loss, parameters, location), location);
}

Operation Optimizer::minimize(const Tensor& loss, std::source_location location) {
  return apply_gradients(compute_gradients(loss, location), location);
}

// ---- SGD

SGD::SGD(SGDOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("SGD", "momentum", options_.momentum, location);
  require_positive("SGD", "weight_decay", options_.weight_decay, location);
  if (options_.nesterov && (options_.momentum <= 0 || options_.dampening != 0))
    throw Error(ErrorCode::invalid_argument,
                fmt::format("SGD: nesterov with momentum {} and dampening {}", options_.momentum, options_.dampening), location,
                "Nesterov's step needs momentum > 0 and dampening 0");
}

void SGD::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  Tensor g = decayed(gradient, parameter, step.weight_decay(options_.weight_decay));
  if (options_.momentum != 0) {
    const Variable buffer = step.state(parameter, "momentum_buffer");
    // The buffer starts at zero, so only dampening makes the first step differ from the others: it is not damped.
    Tensor fresh = g;
    if (options_.dampening != 0)
      fresh = g * convert(select(equal(step.number(), 1), 1.0, step.hyperparameter(1 - options_.dampening)), g.dtype());
    const Tensor next = options_.momentum * buffer + fresh;
    step.assign(buffer, next);
    g = options_.nesterov ? g + options_.momentum * next : next;
  }
  step.assign(parameter, parameter - step.scaled(step.lr(options_.lr), g));
}

// ---- Adagrad, RMSprop, Adadelta

Adagrad::Adagrad(AdagradOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("Adagrad", "lr_decay", options_.lr_decay, location);
  require_positive("Adagrad", "weight_decay", options_.weight_decay, location);
  require_positive("Adagrad", "initial_accumulator_value", options_.initial_accumulator_value, location);
  require_positive("Adagrad", "eps", options_.eps, location);
}

void Adagrad::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Tensor g = decayed(gradient, parameter, step.weight_decay(options_.weight_decay));
  const Variable sum = step.state(parameter, "sum", options_.initial_accumulator_value);
  const Tensor next = sum + g * g;
  step.assign(sum, next);
  // Rounded as torch rounds: (lr * g) / denominator.
  const Tensor denominator = sqrt(next) + options_.eps;
  if (options_.lr_decay == 0) {
    step.assign(parameter, parameter - step.scaled(step.lr(options_.lr), g) / denominator);
  } else {
    const Tensor lr = step.hyperparameter(step.lr(options_.lr)) / (1 + (step.number() - 1) * options_.lr_decay);
    step.assign(parameter, parameter - step.scaled(lr, g) / denominator);
  }
}

RMSprop::RMSprop(RMSpropOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("RMSprop", "alpha", options_.alpha, location);
  require_positive("RMSprop", "momentum", options_.momentum, location);
  require_positive("RMSprop", "weight_decay", options_.weight_decay, location);
  require_positive("RMSprop", "eps", options_.eps, location);
}

void RMSprop::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Tensor g = decayed(gradient, parameter, step.weight_decay(options_.weight_decay));
  const Variable square_average = step.state(parameter, "square_avg");
  const Tensor next = options_.alpha * square_average + ((1 - options_.alpha) * g) * g;
  step.assign(square_average, next);
  Tensor variance = next;
  if (options_.centered) {
    const Variable average = step.state(parameter, "grad_avg");
    const Tensor mean = options_.alpha * average + (1 - options_.alpha) * g;
    step.assign(average, mean);
    variance = next - mean * mean;
  }
  const Tensor denominator = sqrt(variance) + options_.eps;
  if (options_.momentum == 0) {
    step.assign(parameter, parameter - step.scaled(step.lr(options_.lr), g) / denominator);
  } else {
    const Variable buffer = step.state(parameter, "momentum_buffer");
    const Tensor next_buffer = options_.momentum * buffer + g / denominator;
    step.assign(buffer, next_buffer);
    step.assign(parameter, parameter - step.scaled(step.lr(options_.lr), next_buffer));
  }
}

Adadelta::Adadelta(AdadeltaOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("Adadelta", "rho", options_.rho, location);
  require_positive("Adadelta", "eps", options_.eps, location);
  require_positive("Adadelta", "weight_decay", options_.weight_decay, location);
}

void Adadelta::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Tensor g = decayed(gradient, parameter, step.weight_decay(options_.weight_decay));
  const Variable squares = step.state(parameter, "square_avg"), deltas = step.state(parameter, "acc_delta");
  const Tensor next = options_.rho * squares + (1 - options_.rho) * (g * g);
  const Tensor delta = sqrt(deltas + options_.eps) / sqrt(next + options_.eps) * g;
  step.assign(squares, next);
  step.assign(deltas, options_.rho * deltas + (1 - options_.rho) * (delta * delta));
  step.assign(parameter, parameter - step.scaled(step.lr(options_.lr), delta));
}

// ---- Rprop and ASGD

Rprop::Rprop(RpropOptions options, std::source_location location) : options_(options) {
  require_positive("Rprop", "lr", options_.lr, location);
  if (!(options_.shrink > 0 && options_.shrink < 1 && options_.grow > 1))
    throw Error(ErrorCode::invalid_argument, fmt::format("Rprop: shrink is {}, grow is {}", options_.shrink, options_.grow), location,
                "0 < shrink < 1 < grow");
}

void Rprop::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Variable before = step.state(parameter, "prev"), size = step.state(parameter, "step_size", options_.lr);
  const Tensor agreement = gradient * before;
  const Tensor factor = select(greater(agreement, 0), options_.grow, select(less(agreement, 0), options_.shrink, ones_like(agreement)));
  const Tensor next = clamp(size * factor, options_.min_step, options_.max_step);
  // Where the sign has changed, this step stands still, and the next one counts as the first.
  const Tensor g = select(less(agreement, 0), 0, gradient);
  step.assign(size, next);
  step.assign(before, g);
  step.assign(parameter, parameter - sign(g) * next);
}

ASGD::ASGD(ASGDOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("ASGD", "lambda", options_.lambda, location);
  require_positive("ASGD", "alpha", options_.alpha, location);
  require_positive("ASGD", "weight_decay", options_.weight_decay, location);
}

void ASGD::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Tensor g = decayed(gradient, parameter, step.weight_decay(options_.weight_decay));
  const Tensor done = step.number() - 1, lr = step.hyperparameter(step.lr(options_.lr));
  const Tensor eta = lr / power(1 + options_.lambda * lr * done, options_.alpha);
  const Tensor share = 1 / maximum(done - options_.t0, 1);
  const Tensor next = parameter * convert(1 - options_.lambda * eta, g.dtype()) - convert(eta, g.dtype()) * g;
  const Variable average = step.state(parameter, "ax");
  step.assign(parameter, next);
  step.assign(average, select(equal(share, 1), next, average + (next - average) * convert(share, g.dtype())));
}

}  // namespace kiln

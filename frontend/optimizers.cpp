// Optimizers, with the semantics of torch.optim: the same formulas, defaults and state names.
#include "kiln/optimizers.h"

#include <fmt/format.h>
#include <cmath>

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

void require_positive(const char* optimizer, const char* name, double value, const Location& where) {
  if (!(value >= 0))
    throw Error(ErrorCode::invalid_argument, fmt::format("{}: {} is {}", optimizer, name, value), where, fmt::format("{} >= 0", name));
}

/// factor * x, where the factor takes x's dtype.
Tensor scaled(const Hyperparameter& factor, const Tensor& x) {
  if (!factor.is_tensor()) return factor.number() * x;
  return convert(factor.tensor(), x.dtype()) * x;
}

}  // namespace

// ---- what all share

Variable Optimizer::state(Graph& graph, const std::string& name, const Initializer& initial) {
  const auto [found, added] = states_.try_emplace(name);
  if (!added) return found->second;
  std::string unique = name;
  for (int i = 1; Access::state(graph).variables.contains(unique); ++i) unique = fmt::format("{}.{}", name, i);
  return found->second = graph.variable(unique, initial, {.trainable = false});
}

Variable Optimizer::Step::state(const Variable& parameter, const std::string& name, double value) {
  const ir::Type& type = type_of(parameter);
  std::vector<std::int64_t> shape;
  for (const ir::Dim& dim : type.dims) shape.push_back(dim.constant());
  const ir::Graph& graph = Access::state(graph_).module.main_graph();
  const std::string owner = graph.definition(Access::value(parameter)).attributes.text("name");
  return optimizer_.state(graph_, owner + "." + name, constant(type.dtype, Shape(std::move(shape)), value));
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
  if (!value.is_tensor()) return graph_.constant(Array(value.number()));
  return convert(value.tensor(), f64);
}

void Optimizer::Step::assign(const Variable& variable, const Operand& value) { assigns_.push_back(kiln::assign(variable, value)); }

Operation Optimizer::apply_gradients(std::span<const GradientPair> pairs, std::source_location location) {
  LocationScope scope{Location(location)};
  const Location where = LocationScope::resolve(location);
  if (pairs.empty())
    throw Error(ErrorCode::invalid_argument, "apply_gradients: there are no parameters", where,
                "give at least one variable and its gradient");
  type_of(pairs[0].parameter);
  Step step(*this, Access::graph(Access::state(pairs[0].parameter)->shared_from_this()));
  for (const auto& [parameter, gradient] : pairs) {
    const ir::Type &type = type_of(parameter), &given = type_of(gradient);
    if (!is_floating(type.dtype))
      throw Error(ErrorCode::dtype_mismatch,
                  fmt::format("the parameter \"{}\" is {}, which no gradient step can change", parameter.name(), ir::to_string(type)),
                  where, "only floating variables can be trained");
    if (!(type == given))
      throw Error(type.dtype != given.dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                  fmt::format("the parameter \"{}\" is {}, its gradient {}", parameter.name(), ir::to_string(type), ir::to_string(given)),
                  where, "a gradient has its parameter's dtype and dims");
    update(step, parameter, gradient);
  }
  return group(step.assigns_);
}

Operation Optimizer::minimize(const Tensor& loss, std::span<const Variable> parameters, std::source_location location) {
  LocationScope scope{Location(location)};
  if (parameters.empty())
    throw Error(ErrorCode::invalid_argument, "minimize: there are no parameters to train", LocationScope::resolve(location),
                "the loss must depend on a floating variable that is trainable");
  const std::vector<Tensor> grads = gradients(loss, parameters, {}, location);
  std::vector<GradientPair> pairs;
  for (std::size_t i = 0; i < parameters.size(); ++i) pairs.push_back({parameters[i], grads[i]});
  return apply_gradients(pairs, location);
}

Operation Optimizer::minimize(const Tensor& loss, std::initializer_list<Variable> parameters, std::source_location location) {
  return minimize(loss, std::span<const Variable>(parameters.begin(), parameters.size()), location);
}

Operation Optimizer::minimize(const Tensor& loss, std::source_location location) {
  LocationScope scope{Location(location)};
  type_of(loss);
  const std::vector<Variable> parameters = variables_of(loss);
  return minimize(loss, std::span<const Variable>(parameters), location);
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
  Tensor g = gradient;
  if (options_.weight_decay != 0) g = g + options_.weight_decay * parameter;
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
  step.assign(parameter, parameter - scaled(options_.lr, g));
}

// ---- Adam and AdamW

Adam::Adam(AdamOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("Adam", "eps", options_.eps, location);
  require_positive("Adam", "weight_decay", options_.weight_decay, location);
}

AdamW::AdamW(AdamWOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("AdamW", "eps", options_.eps, location);
  require_positive("AdamW", "weight_decay", options_.weight_decay, location);
}

namespace {

struct Moments {
  Tensor first, second;
};

Moments next_moments(const Tensor& m, const Tensor& v, const Tensor& g, double beta1, double beta2) {
  return {beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * (g * g)};
}

/// lr * m / (1 - beta1^t) / (sqrt(v) / sqrt(1 - beta2^t) + eps), with the scalar parts in f64 as PyTorch has them.
Tensor adam_step(const Moments& moments, const Tensor& number, const Tensor& lr, double beta1, double beta2, double eps) {
  const DType dtype = moments.first.dtype();
  const Tensor step_size = convert(lr / (1 - power(beta1, number)), dtype);
  const Tensor root = convert(sqrt(1 - power(beta2, number)), dtype);
  return step_size * moments.first / (sqrt(moments.second) / root + eps);
}

}  // namespace

void Adam::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Tensor g = options_.weight_decay == 0 ? gradient : gradient + options_.weight_decay * parameter;
  const Variable m = step.state(parameter, "exp_avg"), v = step.state(parameter, "exp_avg_sq");
  const Moments next = next_moments(m, v, g, options_.beta1, options_.beta2);
  step.assign(m, next.first);
  step.assign(v, next.second);
  step.assign(parameter,
              parameter - adam_step(next, step.number(), step.hyperparameter(options_.lr), options_.beta1, options_.beta2, options_.eps));
}

void AdamW::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Variable m = step.state(parameter, "exp_avg"), v = step.state(parameter, "exp_avg_sq");
  const Moments next = next_moments(m, v, gradient, options_.beta1, options_.beta2);
  step.assign(m, next.first);
  step.assign(v, next.second);
  const Tensor lr = step.hyperparameter(options_.lr);
  const Tensor decayed = parameter * convert(1 - lr * options_.weight_decay, parameter.dtype());
  step.assign(parameter, decayed - adam_step(next, step.number(), lr, options_.beta1, options_.beta2, options_.eps));
}

// ---- Adagrad and RMSprop

Adagrad::Adagrad(AdagradOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("Adagrad", "lr_decay", options_.lr_decay, location);
  require_positive("Adagrad", "weight_decay", options_.weight_decay, location);
  require_positive("Adagrad", "initial_accumulator_value", options_.initial_accumulator_value, location);
  require_positive("Adagrad", "eps", options_.eps, location);
}

void Adagrad::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Tensor g = options_.weight_decay == 0 ? gradient : gradient + options_.weight_decay * parameter;
  const Variable sum = step.state(parameter, "sum", options_.initial_accumulator_value);
  const Tensor next = sum + g * g;
  step.assign(sum, next);
  // Rounded as torch rounds: (lr * g) / denominator.
  const Tensor denominator = sqrt(next) + options_.eps;
  if (options_.lr_decay == 0) {
    step.assign(parameter, parameter - scaled(options_.lr, g) / denominator);
  } else {
    const Tensor lr = step.hyperparameter(options_.lr) / (1 + (step.number() - 1) * options_.lr_decay);
    step.assign(parameter, parameter - scaled(lr, g) / denominator);
  }
}

RMSprop::RMSprop(RMSpropOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("RMSprop", "alpha", options_.alpha, location);
  require_positive("RMSprop", "momentum", options_.momentum, location);
  require_positive("RMSprop", "weight_decay", options_.weight_decay, location);
  require_positive("RMSprop", "eps", options_.eps, location);
}

void RMSprop::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Tensor g = options_.weight_decay == 0 ? gradient : gradient + options_.weight_decay * parameter;
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
    step.assign(parameter, parameter - scaled(options_.lr, g) / denominator);
  } else {
    const Variable buffer = step.state(parameter, "momentum_buffer");
    const Tensor next_buffer = options_.momentum * buffer + g / denominator;
    step.assign(buffer, next_buffer);
    step.assign(parameter, parameter - scaled(options_.lr, next_buffer));
  }
}

}  // namespace kiln

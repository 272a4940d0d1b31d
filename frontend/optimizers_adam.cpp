// Optimizers with Adam's moments: torch.optim's formulas, defaults and state names.
#include <fmt/format.h>
#include <cmath>

#include "frontend/optimizers.h"
#include "kiln/operators.h"
#include "kiln/optimizers.h"

namespace kiln {

using namespace detail;

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
  const Tensor g = decayed(gradient, parameter, step.weight_decay(options_.weight_decay));
  const Variable m = step.state(parameter, "exp_avg"), v = step.state(parameter, "exp_avg_sq");
  Moments next = next_moments(m, v, g, options_.beta1, options_.beta2);
  step.assign(m, next.first);
  step.assign(v, next.second);
  if (options_.amsgrad) {
    const Variable largest = step.state(parameter, "max_exp_avg_sq");
    next.second = maximum(largest, next.second);
    step.assign(largest, next.second);
  }
  const Tensor lr = step.hyperparameter(step.lr(options_.lr));
  step.assign(parameter, parameter - adam_step(next, step.number(), lr, options_.beta1, options_.beta2, options_.eps));
}

void AdamW::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Variable m = step.state(parameter, "exp_avg"), v = step.state(parameter, "exp_avg_sq");
  Moments next = next_moments(m, v, gradient, options_.beta1, options_.beta2);
  step.assign(m, next.first);
  step.assign(v, next.second);
  if (options_.amsgrad) {
    const Variable largest = step.state(parameter, "max_exp_avg_sq");
    next.second = maximum(largest, next.second);
    step.assign(largest, next.second);
  }
  const Tensor lr = step.hyperparameter(step.lr(options_.lr));
  const Tensor shrunk = parameter * convert(1 - lr * step.weight_decay(options_.weight_decay), parameter.dtype());
  step.assign(parameter, shrunk - adam_step(next, step.number(), lr, options_.beta1, options_.beta2, options_.eps));
}

// ---- Adamax, NAdam, RAdam

Adamax::Adamax(AdamaxOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("Adamax", "eps", options_.eps, location);
  require_positive("Adamax", "weight_decay", options_.weight_decay, location);
}

void Adamax::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Tensor g = decayed(gradient, parameter, step.weight_decay(options_.weight_decay));
  const Variable m = step.state(parameter, "exp_avg"), u = step.state(parameter, "exp_inf");
  const Tensor next = options_.beta1 * m + (1 - options_.beta1) * g;
  const Tensor largest = maximum(options_.beta2 * u, abs(g) + options_.eps);
  step.assign(m, next);
  step.assign(u, largest);
  const Tensor rate = step.hyperparameter(step.lr(options_.lr)) / (1 - power(options_.beta1, step.number()));
  step.assign(parameter, parameter - convert(rate, g.dtype()) * next / largest);
}

NAdam::NAdam(NAdamOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("NAdam", "eps", options_.eps, location);
  require_positive("NAdam", "weight_decay", options_.weight_decay, location);
  require_positive("NAdam", "momentum_decay", options_.momentum_decay, location);
}

void NAdam::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Tensor g = decayed(gradient, parameter, step.weight_decay(options_.weight_decay));
  const Variable m = step.state(parameter, "exp_avg"), v = step.state(parameter, "exp_avg_sq");
  const Variable product = step.state(parameter, "mu_product", f64, {}, 1);
  const Moments next = next_moments(m, v, g, options_.beta1, options_.beta2);
  const Tensor t = step.number(), lr = step.hyperparameter(step.lr(options_.lr));
  const auto coefficient = [&](const Tensor& at) { return options_.beta1 * (1 - 0.5 * power(0.96, at * options_.momentum_decay)); };
  const Tensor mu = coefficient(t), mu_next = coefficient(t + 1), mu_product = product * mu;
  const Tensor denominator = sqrt(next.second / convert(1 - power(options_.beta2, t), g.dtype())) + options_.eps;
  step.assign(m, next.first);
  step.assign(v, next.second);
  step.assign(product, mu_product);
  const Tensor by_gradient = convert(lr * (1 - mu) / (1 - mu_product), g.dtype()) * g;
  const Tensor by_moment = convert(lr * mu_next / (1 - mu_product * mu_next), g.dtype()) * next.first;
  step.assign(parameter, parameter - by_gradient / denominator - by_moment / denominator);
}

RAdam::RAdam(RAdamOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("RAdam", "eps", options_.eps, location);
  require_positive("RAdam", "weight_decay", options_.weight_decay, location);
}

void RAdam::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Tensor g = decayed(gradient, parameter, step.weight_decay(options_.weight_decay));
  const Variable m = step.state(parameter, "exp_avg"), v = step.state(parameter, "exp_avg_sq");
  const Moments next = next_moments(m, v, g, options_.beta1, options_.beta2);
  step.assign(m, next.first);
  step.assign(v, next.second);
  const Tensor t = step.number(), decay = power(options_.beta2, t);
  // The length of the moving average's window; the variance is defined beyond 4, and taken to be usable beyond 5.
  const double longest = 2 / (1 - options_.beta2) - 1;
  const Tensor length = longest - 2 * t * decay / (1 - decay), usable = greater(length, 5);
  const Tensor safe = maximum(length, 5);
  const Tensor rectified = sqrt((safe - 4) * (safe - 2) * longest / ((longest - 4) * (longest - 2) * safe)) * sqrt(1 - decay);
  const Tensor rate = step.hyperparameter(step.lr(options_.lr)) / (1 - power(options_.beta1, t));
  const Tensor adaptive = convert(rectified, g.dtype()) / (sqrt(next.second) + options_.eps);
  step.assign(parameter, parameter - convert(rate, g.dtype()) * next.first * select(usable, adaptive, ones_like(g)));
}

}  // namespace kiln

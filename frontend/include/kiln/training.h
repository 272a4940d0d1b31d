// What stands between a loss and a step: clipping, accumulation, loss scaling; and averages of parameters.
//
// Each is a function from gradients to gradients, put between compute_gradients() and Optimizer::apply_gradients() in the order that the
// program shows:
//
//   GradientSet g = compute_gradients(loss, model.parameters());
//   g = accumulate(g, 4);                       // one step every four runs, with the mean gradient
//   g = clip_by_global_norm(g, 1.0);
//   Operation step = adamw.apply_gradients(g);
#pragma once

#include "kiln/optimizers.h"

namespace kiln {

// ---- Clipping --------------------------------------------------------------------------------------------------------

/// Each element limited to -limit..limit.
GradientSet clip_by_value(const GradientSet& gradients, double limit, std::source_location location = std::source_location::current());
/// Each gradient whose Euclidean norm exceeds max_norm scaled down to it.
GradientSet clip_by_norm(const GradientSet& gradients, double max_norm, std::source_location location = std::source_location::current());
/// All gradients scaled by min(1, max_norm / (norm + 1e-6)), norm being that of all together, as torch.nn.utils.clip_grad_norm_ has it.
GradientSet clip_by_global_norm(const GradientSet& gradients, double max_norm,
                                std::source_location location = std::source_location::current());
/// The Euclidean norm of all gradients together: a scalar of the first gradient's dtype.
Tensor global_norm(const GradientSet& gradients, std::source_location location = std::source_location::current());
/// Each unit's gradient limited to `clipping` times the norm of its weights (at least eps): Brock et al. 2021 (arXiv:2102.06171). A unit is
/// a slice along axis 0 of a parameter of rank 2 or more, else the whole parameter.
GradientSet adaptive_clip(const GradientSet& gradients, double clipping = 0.01, double eps = 1e-3,
                          std::source_location location = std::source_location::current());
/// Gradients of rank 2 or more without their mean over all axes but the first: Yong et al. 2020 (arXiv:2004.01461).
GradientSet centralize(const GradientSet& gradients, std::source_location location = std::source_location::current());

// ---- Accumulation ----------------------------------------------------------------------------------------------------

/// Sums up the gradients of `count` runs; the last of them makes a step with their mean, the others only add. State variables:
/// PARAMETER.gradient_sum and accumulation.count. A run in which gradients.condition is false counts for nothing.
GradientSet accumulate(const GradientSet& gradients, std::int64_t count, std::source_location location = std::source_location::current());

// ---- Loss scaling ----------------------------------------------------------------------------------------------------

struct LossScaleOptions {
  double initial = 65536;
  double growth = 2;     ///< factor after `interval` good steps in a row
  double backoff = 0.5;  ///< factor after a step that was not finite
  std::int64_t interval = 2000;
};
/// Keeps small f16 gradients from vanishing: the loss is multiplied by a scale, the gradients are divided by it (Micikevicius et al. 2017,
/// arXiv:1710.03740). A dynamic one grows the scale as long as gradients stay finite; where one is infinite or NaN, the step is skipped and
/// the scale reduced, as in torch.cuda.amp.GradScaler. Its state are the variables loss_scale (f32) and loss_scale.good_steps (i64).
///
///   LossScale scale(graph);
///   GradientSet g = scale.unscale(compute_gradients(scale.scale(loss), model.parameters()));
///   Operation step = adam.apply_gradients(clip_by_global_norm(g, 1.0));
class LossScale {
 public:
  /// A fixed scale; no step is skipped.
  explicit LossScale(double scale, std::source_location location = std::source_location::current());
  /// A dynamic one.
  explicit LossScale(Graph& graph, LossScaleOptions options = {}, std::source_location location = std::source_location::current());
  /// loss * scale, in f32 at least.
  Tensor scale(const Tensor& loss, std::source_location location = std::source_location::current()) const;
  /// Divided by the scale; dynamic: with the condition that all are finite, and with the change of the scale.
  GradientSet unscale(const GradientSet& gradients, std::source_location location = std::source_location::current()) const;
  /// The variable with the scale; invalid for a fixed one.
  const Variable& variable() const { return scale_; }

 private:
  double fixed_ = 1;
  LossScaleOptions options_;
  Variable scale_, good_steps_;
};

// ---- Averages of parameters ------------------------------------------------------------------------------------------

struct AverageOptions {
  double decay = 0.999;
  bool warm_up = false;  ///< the decay is at most (1 + updates) / (10 + updates), so that early averages forget the start
};
/// Exponential moving averages of parameters (Polyak averaging), to evaluate with. They start from the parameters' values at the first
/// update and are kept in variables PARAMETER.average and average.updates.
///
///   ExponentialMovingAverage average(model.parameters(), {.decay = 0.999});
///   Operation step = adam.minimize(loss);
///   Operation step_and_average = group({step, average.update(step)});
///   session.run({average.swap()});   // evaluate; then swap again and train on
class ExponentialMovingAverage {
 public:
  explicit ExponentialMovingAverage(std::span<const Variable> parameters, AverageOptions options = {},
                                    std::source_location location = std::source_location::current());
  /// average = decay * average + (1 - decay) * parameter, with the values that `step`, which runs with it, assigns to the parameters.
  Operation update(const Operation& step = {}, std::source_location location = std::source_location::current());
  /// Parameters and averages change places. Nothing happens before the first update.
  Operation swap(std::source_location location = std::source_location::current());
  /// The average of a parameter. Error(invalid_argument) for one that is not averaged.
  Variable average(const Variable& parameter, std::source_location location = std::source_location::current()) const;

 private:
  AverageOptions options_;
  std::vector<Variable> parameters_, averages_;
  Variable updates_;
};

}  // namespace kiln

// Schedules: hyperparameters that change from step to step, as part of the graph. Usable wherever a Hyperparameter is.
//
//   SGD sgd({.lr = schedule::cosine(0.1, 100)});
//   AdamW adamw({.lr = schedule::warm_up(500, schedule::cosine(3e-4, 10000, 3e-5))});
//
// Step 0 is an optimizer's first; steps that are skipped (accumulation, loss scaling) do not count. Values are those of PyTorch's
// torch.optim.lr_scheduler after as many calls of its step().
#pragma once

#include <functional>

#include "kiln/graph.h"

namespace kiln {

/// A function of the number of steps done so far. An own one is a function of an f64 scalar that yields an f64 scalar:
///   Schedule inverse_root([](const Tensor& step) { return 0.01 * rsqrt(step + 1); });
class Schedule {
 public:
  using Function = std::function<Tensor(const Tensor& step)>;
  Schedule(Function function) : function_(std::move(function)) {}
  /// The value after `step` steps, a scalar of any numeric dtype: an f64 scalar.
  Tensor operator()(const Tensor& step, std::source_location location = std::source_location::current()) const;

 private:
  Function function_;
};

namespace schedule {

/// value * factor for the first `steps` steps, then value (ConstantLR).
Schedule constant(double value, double factor = 1, std::int64_t steps = 0);
/// value * gamma^(step / size, rounded down) (StepLR). size >= 1.
Schedule step(double value, std::int64_t size, double gamma = 0.1, std::source_location location = std::source_location::current());
/// value * gamma^(number of milestones reached) (MultiStepLR).
Schedule multi_step(double value, std::vector<std::int64_t> milestones, double gamma = 0.1);
/// value * gamma^step (ExponentialLR).
Schedule exponential(double value, double gamma);
/// From value * start_factor to value * end_factor in `steps` steps, then constant (LinearLR). steps >= 1.
Schedule linear(double value, std::int64_t steps, double start_factor = 1.0 / 3, double end_factor = 1,
                std::source_location location = std::source_location::current());
/// value * (1 - step / steps)^power, 0 after `steps` (PolynomialLR). steps >= 1.
Schedule polynomial(double value, std::int64_t steps, double power = 1, std::source_location location = std::source_location::current());
/// From value down to `end` in `steps` steps along half a cosine, and up again in the next (CosineAnnealingLR). steps >= 1.
Schedule cosine(double value, std::int64_t steps, double end = 0, std::source_location location = std::source_location::current());
/// Half cosines that start again from `value`: the first takes `steps` steps, each next `growth` times as many
/// (CosineAnnealingWarmRestarts, arXiv:1608.03983). steps >= 1, growth >= 1.
Schedule cosine_restarts(double value, std::int64_t steps, std::int64_t growth = 1, double end = 0,
                         std::source_location location = std::source_location::current());

struct OneCycleOptions {
  double rising = 0.3;        ///< share of the steps that rise
  double start_divisor = 25;  ///< the first value is peak / start_divisor
  double end_divisor = 1e4;   ///< the last is the first / end_divisor
  bool linear = false;        ///< along lines instead of half cosines
};
/// Up to `peak` and down to almost nothing in `steps` steps (OneCycleLR, arXiv:1708.07120). steps >= 2.
Schedule one_cycle(double peak, std::int64_t steps, OneCycleOptions options = {},
                   std::source_location location = std::source_location::current());
/// Between low and high and back, `rise` steps up and `fall` steps down (0: as many), again and again (CyclicLR, arXiv:1506.01186).
Schedule cyclic(double low, double high, std::int64_t rise, std::int64_t fall = 0,
                std::source_location location = std::source_location::current());
/// From start_factor times the first value of `after` up to it, linearly, in `steps` steps; then `after`, from its own step 0. steps >= 1.
Schedule warm_up(std::int64_t steps, Schedule after, double start_factor = 0,
                 std::source_location location = std::source_location::current());
/// parts[0] up to milestones[0], then parts[1] from its own step 0, and so on (SequentialLR). One milestone fewer than parts.
Schedule sequence(std::vector<Schedule> parts, std::vector<std::int64_t> milestones,
                  std::source_location location = std::source_location::current());
/// The product of all (ChainedScheduler): one has the value, the others factors of it, made with value 1.
Schedule chain(std::vector<Schedule> parts, std::source_location location = std::source_location::current());

}  // namespace schedule

}  // namespace kiln

// Optimizers whose steps are scaled by sign, by norm or by factored moments: Lion, LAMB, Adafactor.
#include <fmt/format.h>
#include <cmath>
#include <limits>

#include "frontend/optimizers.h"
#include "kiln/operators.h"

namespace kiln {

using namespace detail;

// ---- Lion

Lion::Lion(LionOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("Lion", "weight_decay", options_.weight_decay, location);
}

void Lion::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Variable m = step.state(parameter, "exp_avg");
  const Tensor direction = sign(options_.beta1 * m + (1 - options_.beta1) * gradient);
  step.assign(m, options_.beta2 * m + (1 - options_.beta2) * gradient);
  const double decay = step.weight_decay(options_.weight_decay);
  const Tensor change = decay == 0 ? direction : direction + decay * parameter;
  step.assign(parameter, parameter - step.scaled(step.lr(options_.lr), change));
}

// ---- LAMB

LAMB::LAMB(LAMBOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("LAMB", "eps", options_.eps, location);
  require_positive("LAMB", "weight_decay", options_.weight_decay, location);
}

void LAMB::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const Variable m = step.state(parameter, "exp_avg"), v = step.state(parameter, "exp_avg_sq");
  const Tensor first = options_.beta1 * m + (1 - options_.beta1) * gradient;
  const Tensor second = options_.beta2 * v + (1 - options_.beta2) * (gradient * gradient);
  step.assign(m, first);
  step.assign(v, second);
  const DType dtype = gradient.dtype();
  const Tensor corrected = first / convert(1 - power(options_.beta1, step.number()), dtype);
  const Tensor root = sqrt(second / convert(1 - power(options_.beta2, step.number()), dtype));
  const Tensor change = decayed(corrected / (root + options_.eps), parameter, step.weight_decay(options_.weight_decay));
  const Tensor weight_norm = sqrt(reduce_sum(square(parameter))), change_norm = sqrt(reduce_sum(square(change)));
  const Tensor both = logical_and(greater(weight_norm, 0), greater(change_norm, 0));
  const Tensor trust = select(both, weight_norm / select(both, change_norm, 1), 1);
  step.assign(parameter, parameter - step.scaled(step.lr(options_.lr), trust * change));
}

// ---- Adafactor

namespace {

double epsilon_of(DType dtype) {
  switch (dtype) {
    case DType::f64: return std::numeric_limits<double>::epsilon();
    case DType::f16: return 0x1p-10;
    case DType::bf16: return 0x1p-7;
    default: return std::numeric_limits<float>::epsilon();
  }
}

Tensor root_mean_square(const Tensor& x) { return sqrt(reduce_mean(square(x))); }

}  // namespace

Adafactor::Adafactor(AdafactorOptions options, std::source_location location) : options_(std::move(options)) {
  require_positive("Adafactor", "eps1", options_.eps1, location);
  require_positive("Adafactor", "eps2", options_.eps2, location);
  require_positive("Adafactor", "weight_decay", options_.weight_decay, location);
  if (!(options_.clip > 0))
    throw Error(ErrorCode::invalid_argument, fmt::format("Adafactor: clip is {}", options_.clip), location, "clip > 0");
  if (!(options_.beta2_decay <= 0))
    throw Error(ErrorCode::invalid_argument, fmt::format("Adafactor: beta2_decay is {}", options_.beta2_decay), location,
                "beta2_decay <= 0");
}

void Adafactor::update(Step& step, const Variable& parameter, const Tensor& gradient) {
  const DType dtype = gradient.dtype();
  const Shape shape = constant_shape(parameter);
  const double eps1 = options_.eps1 == 0 ? epsilon_of(dtype) : options_.eps1;
  const Tensor t = step.number(), lr = step.hyperparameter(step.lr(options_.lr));
  const Tensor fresh = convert(power(t, options_.beta2_decay), dtype);
  const auto averaged = [&](const Variable& state, const Tensor& now) {
    const Tensor next = state + fresh * (now - state);
    step.assign(state, next);
    return next;
  };
  Tensor variance;
  if (shape.rank() > 1) {
    std::vector<std::int64_t> rows(shape.begin(), shape.end()), columns = rows;
    rows.back() = 1;
    columns[columns.size() - 2] = 1;
    const Tensor squares = square(gradient);
    const Tensor row = averaged(step.state(parameter, "row_var", parameter.dtype(), Shape(rows), 0), reduce_mean(squares, -1, true));
    const Tensor column = averaged(step.state(parameter, "col_var", parameter.dtype(), Shape(columns), 0), reduce_mean(squares, -2, true));
    variance = row * column / maximum(reduce_mean(row, -2, true), eps1);
  } else {
    variance = averaged(step.state(parameter, "variance"), square(gradient));
  }
  const Tensor change = gradient * rsqrt(maximum(variance, eps1 * eps1));
  const Tensor rate = convert(minimum(lr, rsqrt(t)), dtype) * maximum(root_mean_square(parameter), options_.eps2);
  const Tensor limited = rate / maximum(root_mean_square(change) / options_.clip, 1);
  const double decay = step.weight_decay(options_.weight_decay);
  const Tensor kept = decay == 0 ? Tensor(parameter) : parameter * convert(1 - lr * decay, dtype);
  step.assign(parameter, kept - limited * change);
}

}  // namespace kiln

// Between a loss and a step: functions from gradients to gradients, and averages of parameters.
#include "kiln/training.h"

#include <fmt/format.h>
#include <cmath>

#include "frontend/optimizers.h"
#include "frontend/state.h"
#include "kiln/operators.h"

namespace kiln {

using namespace detail;

namespace {

void require(bool holds, const std::string& message, const std::string& rule, const Location& where) {
  if (!holds) throw Error(ErrorCode::invalid_argument, message, LocationScope::resolve(where), rule);
}

template <class Change>
GradientSet changed(const GradientSet& gradients, Change change) {
  GradientSet result = gradients;
  for (GradientPair& pair : result.pairs) {
    type_of(pair.parameter);
    type_of(pair.gradient);
    pair.gradient = change(pair);
  }
  return result;
}

std::string name_of(const Variable& variable) {
  return Access::state(variable)->module.main_graph().definition(Access::value(variable)).attributes.text("name");
}

Graph graph_of(const GradientSet& gradients, const char* function, const Location& where) {
  require(!gradients.pairs.empty(), fmt::format("{}: there are no gradients", function), "compute_gradients() makes them", where);
  type_of(gradients.pairs[0].parameter);
  return Access::graph(Access::state(gradients.pairs[0].parameter)->shared_from_this());
}

/// The axes over which a unit's norm or mean is taken: all but the first; all, for what has no units.
Axes unit_axes(const Tensor& x) {
  if (x.rank() < 2) return {};
  std::vector<std::int64_t> axes;
  for (std::size_t i = 1; i < x.rank(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  return axes;
}

}  // namespace

// ---- clipping

GradientSet clip_by_value(const GradientSet& gradients, double limit, std::source_location location) {
  LocationScope scope{Location(location)};
  require(limit > 0, fmt::format("clip_by_value: the limit is {}", limit), "limit > 0", location);
  return changed(gradients, [&](const GradientPair& pair) { return clamp(pair.gradient, -limit, limit); });
}

GradientSet clip_by_norm(const GradientSet& gradients, double max_norm, std::source_location location) {
  LocationScope scope{Location(location)};
  require(max_norm > 0, fmt::format("clip_by_norm: max_norm is {}", max_norm), "max_norm > 0", location);
  return changed(gradients, [&](const GradientPair& pair) {
    const Tensor norm = sqrt(reduce_sum(square(pair.gradient)));
    return pair.gradient * (max_norm / maximum(norm, max_norm));
  });
}

Tensor global_norm(const GradientSet& gradients, std::source_location location) {
  LocationScope scope{Location(location)};
  graph_of(gradients, "global_norm", location);
  const DType dtype = type_of(gradients.pairs[0].gradient).dtype;
  Tensor sum;
  for (const GradientPair& pair : gradients.pairs) {
    const Tensor own = reduce_sum(square(convert(pair.gradient, dtype)));
    sum = sum.valid() ? sum + own : own;
  }
  return sqrt(sum);
}

GradientSet clip_by_global_norm(const GradientSet& gradients, double max_norm, std::source_location location) {
  LocationScope scope{Location(location)};
  require(max_norm > 0, fmt::format("clip_by_global_norm: max_norm is {}", max_norm), "max_norm > 0", location);
  const Tensor factor = minimum(max_norm / (global_norm(gradients, location) + 1e-6), 1);
  return changed(gradients, [&](const GradientPair& pair) { return pair.gradient * convert(factor, pair.gradient.dtype()); });
}

GradientSet adaptive_clip(const GradientSet& gradients, double clipping, double eps, std::source_location location) {
  LocationScope scope{Location(location)};
  require(clipping > 0, fmt::format("adaptive_clip: clipping is {}", clipping), "clipping > 0", location);
  require(eps > 0, fmt::format("adaptive_clip: eps is {}", eps), "eps > 0", location);
  return changed(gradients, [&](const GradientPair& pair) {
    const auto norm = [](const Tensor& x) { return sqrt(reduce_sum(square(x), unit_axes(x), true)); };
    const Tensor limit = clipping * maximum(norm(pair.parameter), eps), size = norm(pair.gradient);
    return select(greater(size, limit), pair.gradient * (limit / maximum(size, 1e-6)), pair.gradient);
  });
}

GradientSet centralize(const GradientSet& gradients, std::source_location location) {
  LocationScope scope{Location(location)};
  return changed(gradients, [](const GradientPair& pair) {
    const Tensor& g = pair.gradient;
    return g.rank() < 2 ? g : g - reduce_mean(g, unit_axes(g), true);
  });
}

// ---- accumulation
//
// Sums and count are variables. An assign cannot stand in a branch, so every run assigns: the first of `count` runs starts the sums anew,
// and where the run is to count for nothing each variable is assigned its own value.

GradientSet accumulate(const GradientSet& gradients, std::int64_t count, std::source_location location) {
  LocationScope scope{Location(location)};
  require(count >= 1, fmt::format("accumulate: the count is {}", count), "count >= 1", location);
  Graph graph = graph_of(gradients, "accumulate", location);
  GradientSet result = gradients;
  const auto keep = [&](const Variable& variable, const Tensor& next) {
    const Tensor value = gradients.condition.valid() ? select(gradients.condition, next, variable) : next;
    result.updates.push_back(assign(variable, value));
  };
  const Variable done = make_state(graph, "accumulation.count", zeros(i64, {}));
  for (GradientPair& pair : result.pairs) {
    const Variable sum =
        make_state(graph, name_of(pair.parameter) + ".gradient_sum", zeros(pair.parameter.dtype(), constant_shape(pair.parameter)));
    const Tensor next = select(equal(done, 0), pair.gradient, sum + pair.gradient);
    keep(sum, next);
    pair.gradient = next / static_cast<double>(count);
  }
  const Tensor last = equal(done, count - 1);
  keep(done, select(last, 0, done + 1));
  result.condition = gradients.condition.valid() ? logical_and(last, gradients.condition) : last;
  return result;
}

// ---- loss scaling

LossScale::LossScale(double scale, std::source_location location) : fixed_(scale) {
  require(scale > 0 && std::isfinite(scale), fmt::format("LossScale: the scale is {}", scale), "scale > 0", location);
}

LossScale::LossScale(Graph& graph, LossScaleOptions options, std::source_location location) : options_(options) {
  LocationScope scope{Location(location)};
  require(options.initial > 0, fmt::format("LossScale: initial is {}", options.initial), "initial > 0", location);
  require(options.growth > 1, fmt::format("LossScale: growth is {}", options.growth), "growth > 1", location);
  require(options.backoff > 0 && options.backoff < 1, fmt::format("LossScale: backoff is {}", options.backoff), "0 < backoff < 1",
          location);
  require(options.interval >= 1, fmt::format("LossScale: interval is {}", options.interval), "interval >= 1", location);
  scale_ = make_state(graph, "loss_scale", constant(f32, {}, options.initial));
  good_steps_ = make_state(graph, "loss_scale.good_steps", zeros(i64, {}));
}

Tensor LossScale::scale(const Tensor& loss, std::source_location location) const {
  LocationScope scope{Location(location)};
  type_of(loss);
  const Tensor wide = loss.dtype() == f64 ? loss : convert(loss, f32);
  return scale_.valid() ? wide * convert(scale_, wide.dtype()) : wide * fixed_;
}

GradientSet LossScale::unscale(const GradientSet& gradients, std::source_location location) const {
  LocationScope scope{Location(location)};
  graph_of(gradients, "LossScale::unscale", location);
  Tensor finite;
  GradientSet result = changed(gradients, [&](const GradientPair& pair) {
    // In f32: the reciprocal of a large scale is no f16.
    const DType dtype = pair.gradient.dtype(), compute = dtype == f64 ? f64 : f32;
    const Tensor wide = convert(pair.gradient, compute);
    const Tensor own = reduce_all(is_finite(wide));
    finite = finite.valid() ? logical_and(finite, own) : own;
    return convert(scale_.valid() ? wide / convert(scale_, compute) : wide * (1 / fixed_), dtype);
  });
  if (!scale_.valid()) return result;
  const Tensor steps = good_steps_ + 1, grows = greater_equal(steps, options_.interval);
  result.updates.push_back(assign(scale_, select(finite, select(grows, scale_ * options_.growth, scale_), scale_ * options_.backoff)));
  result.updates.push_back(assign(good_steps_, select(logical_and(finite, logical_not(grows)), steps, 0)));
  result.condition = result.condition.valid() ? logical_and(result.condition, finite) : finite;
  return result;
}

// ---- averages of parameters

ExponentialMovingAverage::ExponentialMovingAverage(std::span<const Variable> parameters, AverageOptions options,
                                                   std::source_location location)
    : options_(options), parameters_(parameters.begin(), parameters.end()) {
  LocationScope scope{Location(location)};
  require(!parameters.empty(), "ExponentialMovingAverage: there are no parameters", "model.parameters() lists them", location);
  require(options.decay >= 0 && options.decay < 1, fmt::format("ExponentialMovingAverage: the decay is {}", options.decay),
          "0 <= decay < 1", location);
  type_of(parameters[0]);
  Graph graph = Access::graph(Access::state(parameters[0])->shared_from_this());
  for (const Variable& parameter : parameters)
    averages_.push_back(make_state(graph, name_of(parameter) + ".average", zeros(parameter.dtype(), constant_shape(parameter))));
  updates_ = make_state(graph, "average.updates", zeros(i64, {}));
}

Operation ExponentialMovingAverage::update(const Operation& step, std::source_location location) {
  LocationScope scope{Location(location)};
  GraphState& state = *Access::state(parameters_[0]);
  const ir::Graph& main = state.module.main_graph();
  // The values that the step assigns.
  std::map<std::string, ir::ValueId> assigned;
  if (GraphState* owner = Access::state(step)) {
    require(owner == &state, "ExponentialMovingAverage: the step belongs to another graph", "average the parameters that it trains",
            location);
    for (const ir::NodeId node : state.operations[Access::id(step)])
      if (main.node(node).op == ir::Op::assign) assigned[main.node(node).attributes.text("name")] = main.node(node).first_result;
  }
  std::vector<Operation> assigns;
  const Tensor count = convert(updates_, f64);
  const Tensor decay = options_.warm_up ? minimum((1 + count) / (10 + count), options_.decay) : zeros_like(count) + options_.decay;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const auto found = assigned.find(name_of(parameters_[i]));
    const Tensor value = found == assigned.end() ? Tensor(parameters_[i]) : Access::make<Tensor>(state, state.module.main, found->second);
    const Tensor kept = convert(decay, value.dtype());
    const Tensor next = kept * averages_[i] + (1 - kept) * value;
    assigns.push_back(assign(averages_[i], select(equal(updates_, 0), value, next)));
  }
  assigns.push_back(assign_add(updates_, 1));
  return group(assigns);
}

Operation ExponentialMovingAverage::swap(std::source_location location) {
  LocationScope scope{Location(location)};
  std::vector<Operation> assigns;
  const Tensor any = greater(updates_, 0);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    assigns.push_back(assign(parameters_[i], select(any, averages_[i], parameters_[i])));
    assigns.push_back(assign(averages_[i], select(any, parameters_[i], averages_[i])));
  }
  return group(assigns);
}

Variable ExponentialMovingAverage::average(const Variable& parameter, std::source_location location) const {
  type_of(parameter);
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (Access::state(parameters_[i]) == Access::state(parameter) && Access::value(parameters_[i]) == Access::value(parameter))
      return averages_[i];
  throw Error(ErrorCode::invalid_argument, fmt::format("ExponentialMovingAverage: \"{}\" is not averaged", name_of(parameter)),
              LocationScope::resolve(location), "give it to the constructor");
}

}  // namespace kiln

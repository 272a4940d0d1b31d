// Schedules, in closed form: functions of the step's number alone, in f64.
#include "kiln/schedules.h"

#include <fmt/format.h>
#include <cmath>
#include <numbers>

#include "frontend/state.h"
#include "kiln/operators.h"

namespace kiln {

using detail::LocationScope;

Tensor Schedule::operator()(const Tensor& step, std::source_location location) const {
  LocationScope scope{Location(location)};
  if (const ir::Type& type = detail::type_of(step); type.rank() != 0)
    throw Error(ErrorCode::shape_mismatch, fmt::format("a schedule's step must be a scalar, but is {}", ir::to_string(type)),
                LocationScope::resolve(location), "a schedule is a function of the number of steps done");
  const Tensor value = function_(step.dtype() == f64 ? step : convert(step, f64));
  if (const ir::Type& type = detail::type_of(value); type.rank() != 0)
    throw Error(ErrorCode::shape_mismatch, fmt::format("a schedule's value must be a scalar, but is {}", ir::to_string(type)),
                LocationScope::resolve(location), "reduce it to a scalar");
  return value.dtype() == f64 ? value : convert(value, f64);
}

namespace schedule {

namespace {

void require(bool holds, const char* schedule, const std::string& what, const std::string& rule, const Location& where) {
  if (!holds) throw Error(ErrorCode::invalid_argument, fmt::format("schedule::{}: {}", schedule, what), where, rule);
}

void require_steps(const char* schedule, std::int64_t steps, std::int64_t least, const Location& where) {
  require(steps >= least, schedule, fmt::format("steps is {}", steps), fmt::format("steps >= {}", least), where);
}

Tensor constant_like(const Tensor& step, double value) { return zeros_like(step) + value; }

/// From `from` (share 0) to `to` (share 1) along half a cosine.
Tensor half_cosine(const Tensor& share, double from, double to) { return to + (from - to) / 2 * (1 + cos(std::numbers::pi * share)); }

}  // namespace

Schedule constant(double value, double factor, std::int64_t steps) {
  return Schedule([=](const Tensor& t) { return select(less(t, steps), constant_like(t, value * factor), value); });
}

Schedule step(double value, std::int64_t size, double gamma, std::source_location location) {
  require(size >= 1, "step", fmt::format("size is {}", size), "size >= 1", location);
  return Schedule([=](const Tensor& t) { return value * power(gamma, floor(t / size)); });
}

Schedule multi_step(double value, std::vector<std::int64_t> milestones, double gamma) {
  return Schedule([=](const Tensor& t) {
    Tensor reached = zeros_like(t);
    for (const std::int64_t milestone : milestones) reached = reached + convert(greater_equal(t, milestone), f64);
    return value * power(gamma, reached);
  });
}

Schedule exponential(double value, double gamma) {
  return Schedule([=](const Tensor& t) { return value * power(gamma, t); });
}

Schedule linear(double value, std::int64_t steps, double start_factor, double end_factor, std::source_location location) {
  require_steps("linear", steps, 1, location);
  return Schedule([=](const Tensor& t) { return value * (start_factor + (end_factor - start_factor) * minimum(t, steps) / steps); });
}

Schedule polynomial(double value, std::int64_t steps, double power_of, std::source_location location) {
  require_steps("polynomial", steps, 1, location);
  return Schedule([=](const Tensor& t) { return value * power(1 - minimum(t, steps) / steps, power_of); });
}

Schedule cosine(double value, std::int64_t steps, double end, std::source_location location) {
  require_steps("cosine", steps, 1, location);
  return Schedule([=](const Tensor& t) { return half_cosine(t / steps, value, end); });
}

Schedule cosine_restarts(double value, std::int64_t steps, std::int64_t growth, double end, std::source_location location) {
  require_steps("cosine_restarts", steps, 1, location);
  require(growth >= 1, "cosine_restarts", fmt::format("growth is {}", growth), "growth >= 1", location);
  if (growth == 1) return Schedule([=](const Tensor& t) { return half_cosine((t % steps) / steps, value, end); });
  return Schedule([=](const Tensor& t) {
    const auto first = [&](const Tensor& n) {
      return (power(growth, n) - 1) * (static_cast<double>(steps) / static_cast<double>(growth - 1));
    };
    // The cycle that t lies in. The logarithm may miss by one at a boundary.
    Tensor n = floor(log(t * (static_cast<double>(growth - 1) / static_cast<double>(steps)) + 1) / std::log(static_cast<double>(growth)));
    n = n + convert(greater_equal(t, round(first(n + 1))), f64);
    n = n - convert(less(t, round(first(n))), f64);
    return half_cosine((t - round(first(n))) / (power(growth, n) * steps), value, end);
  });
}

Schedule one_cycle(double peak, std::int64_t steps, OneCycleOptions options, std::source_location location) {
  require_steps("one_cycle", steps, 2, location);
  require(options.rising > 0 && options.rising < 1, "one_cycle", fmt::format("rising is {}", options.rising), "0 < rising < 1", location);
  require(options.start_divisor > 0 && options.end_divisor > 0, "one_cycle", "a divisor is not positive", "divisors > 0", location);
  const double start = peak / options.start_divisor, end = start / options.end_divisor;
  const double top = options.rising * static_cast<double>(steps) - 1, last = static_cast<double>(steps) - 1;
  require(top > 0, "one_cycle", fmt::format("{} steps of which a share of {} rises", steps, options.rising),
          "at least two steps rise: rising * steps > 1", location);
  return Schedule([=](const Tensor& t) {
    const Tensor up = t / top, down = minimum((t - top) / (last - top), 1);
    if (options.linear) return select(less_equal(t, top), start + (peak - start) * up, peak + (end - peak) * down);
    return select(less_equal(t, top), half_cosine(up, start, peak), half_cosine(down, peak, end));
  });
}

Schedule cyclic(double low, double high, std::int64_t rise, std::int64_t fall, std::source_location location) {
  require(rise >= 1 && fall >= 0, "cyclic", fmt::format("rise is {}, fall is {}", rise, fall), "rise >= 1, fall >= 0", location);
  const std::int64_t down = fall == 0 ? rise : fall;
  return Schedule([=](const Tensor& t) {
    const Tensor at = t % (rise + down);
    return low + (high - low) * select(less_equal(at, rise), at / rise, (rise + down - at) / down);
  });
}

Schedule warm_up(std::int64_t steps, Schedule after, double start_factor, std::source_location location) {
  require_steps("warm_up", steps, 1, location);
  return Schedule([=](const Tensor& t) {
    const Tensor share = start_factor + (1 - start_factor) * t / steps;
    return select(less(t, steps), after(zeros_like(t)) * share, after(maximum(t - steps, 0)));
  });
}

Schedule sequence(std::vector<Schedule> parts, std::vector<std::int64_t> milestones, std::source_location location) {
  require(!parts.empty() && milestones.size() + 1 == parts.size(), "sequence",
          fmt::format("{} schedules and {} milestones", parts.size(), milestones.size()), "one milestone between each two schedules",
          location);
  for (std::size_t i = 1; i < milestones.size(); ++i)
    require(milestones[i - 1] < milestones[i], "sequence", "the milestones do not rise", "put them in increasing order", location);
  return Schedule([=](const Tensor& t) {
    Tensor value = parts[0](t);
    for (std::size_t i = 0; i < milestones.size(); ++i)
      value = select(less(t, milestones[i]), value, parts[i + 1](maximum(t - milestones[i], 0)));
    return value;
  });
}

Schedule chain(std::vector<Schedule> parts, std::source_location location) {
  require(!parts.empty(), "chain", "there are no schedules", "give at least one", location);
  return Schedule([=](const Tensor& t) {
    Tensor value = parts[0](t);
    for (std::size_t i = 1; i < parts.size(); ++i) value = value * parts[i](t);
    return value;
  });
}

}  // namespace schedule

}  // namespace kiln

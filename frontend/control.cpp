// cond, switch_case and while_loop: functions whose arguments build regions of the graph. Scans are in scan.cpp.
#include "kiln/control.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

#include "frontend/checkpoints.h"
#include "frontend/regions.h"
#include "kiln/operators.h"

namespace kiln {

using namespace detail;

namespace {

std::vector<Tensor> build_cond(Emitter& emitter, const Tensor& predicate, const std::function<std::vector<Tensor>()>& then_body,
                               const std::function<std::vector<Tensor>()>& else_body) {
  GraphState& state = emitter.state();
  const ir::ValueId decision = emitter.use(predicate);
  if (const ir::Type& type = emitter.builder().type(decision); type.dtype != DType::boolean || type.rank() != 0)
    emitter.fail(type.dtype != DType::boolean ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                 fmt::format("the predicate must be a bool scalar, but is {}", ir::to_string(type)),
                 type.rank() != 0 ? "select() chooses element by element" : "compare first: cond(greater(x, 0), ...)");

  const auto branch = [&](const char* name, const char* kind, const std::function<std::vector<Tensor>()>& body) {
    return build_region(state, name, kind, "cond", emitter.location(), {}, {}, nullptr, [&](const std::vector<Tensor>&) { return body(); });
  };
  const Region then_region = branch("then", "then body of cond", then_body);
  const Region else_region = branch("else", "else body of cond", else_body);
  const std::vector<ir::Type> a = result_types(state, then_region), b = result_types(state, else_region);
  if (a != b)
    emitter.fail(a.size() != b.size() ? ErrorCode::invalid_argument : mismatch_code(a, b),
                 fmt::format("the bodies return different types: then {}, else {}", types_text(a), types_text(b)),
                 "both bodies must return as many tensors, of the same dtypes and dims");

  std::vector<ir::ValueId> operands{decision};
  std::vector<ir::ValueId> then_parameters, else_parameters;
  for (const ir::ValueId outer : all_captures({&then_region, &else_region})) {
    operands.push_back(outer);
    then_parameters.push_back(capture_parameter(state.module, then_region, emitter.builder().graph(), outer));
    else_parameters.push_back(capture_parameter(state.module, else_region, emitter.builder().graph(), outer));
  }
  state.module.graph(then_region.graph).parameters = std::move(then_parameters);
  state.module.graph(else_region.graph).parameters = std::move(else_parameters);
  const std::vector<ir::ValueId> results = emitter.builder().create_many(
      ir::Op::cond, std::move(operands), {{"then", ir::GraphRef{then_region.graph}}, {"else", ir::GraphRef{else_region.graph}}});
  return wrap_all(emitter, results, results.size());
}

}  // namespace

std::vector<Tensor> cond(const Operand& predicate, const std::function<std::vector<Tensor>()>& then_body,
                         const std::function<std::vector<Tensor>()>& else_body) {
  Emitter emitter({&predicate}, "cond");
  return build_cond(emitter, predicate.tensor(), then_body, else_body);
}

namespace {

/// The bodies from `first` on, chosen by comparisons with the middle, so that n bodies cost log2(n) of them.
std::vector<Tensor> choose(const Tensor& index, const std::vector<std::function<std::vector<Tensor>()>>& bodies, std::size_t first,
                           std::size_t count, const Location& where) {
  if (count == 1) return bodies[first]();
  const std::size_t half = count / 2;
  const Tensor lower = [&] {
    const LocationScope scope(where);
    return less(index, static_cast<std::int64_t>(first + half));
  }();
  Emitter emitter(*Access::state(index), "switch_case", where);
  return build_cond(
      emitter, lower, [&] { return choose(index, bodies, first, half, where); },
      [&] { return choose(index, bodies, first + half, count - half, where); });
}

}  // namespace

std::vector<Tensor> switch_case(const Operand& index, const std::vector<std::function<std::vector<Tensor>()>>& bodies) {
  Emitter emitter({&index}, "switch_case");
  const ir::Type type = emitter.builder().type(emitter.use(index.tensor()));
  if (!is_integer(type.dtype) || type.rank() != 0)
    emitter.fail(!is_integer(type.dtype) ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                 fmt::format("the index must be an integer scalar, but is {}", ir::to_string(type)),
                 "convert(index, i64) makes one of a scalar");
  if (bodies.empty()) emitter.fail(ErrorCode::invalid_argument, "there are no bodies", "give at least one");
  // Bodies are compared as they are built, so that the message can say which one differs.
  std::vector<ir::Type> expected;
  std::vector<std::function<std::vector<Tensor>()>> checked;
  for (std::size_t i = 0; i < bodies.size(); ++i)
    checked.emplace_back([&, i] {
      std::vector<Tensor> results = bodies[i]();
      std::vector<ir::Type> types;
      for (const Tensor& result : results) types.push_back(type_of(result));
      if (i == 0) expected = types;
      if (types != expected)
        emitter.fail(types.size() != expected.size() ? ErrorCode::invalid_argument : mismatch_code(expected, types),
                     fmt::format("the bodies return different types: body 0 {}, body {} {}", types_text(expected), i, types_text(types)),
                     "all bodies must return as many tensors, of the same dtypes and dims");
      return results;
    });
  const auto last = static_cast<std::int64_t>(bodies.size()) - 1;
  const Tensor chosen = [&] {
    const LocationScope scope(emitter.location());
    const Tensor wide = convert(index, i64);
    return select(logical_or(less(wide, 0), greater(wide, last)), last, wide);
  }();
  return choose(chosen, checked, 0, checked.size(), emitter.location());
}

std::vector<Tensor> while_loop(const LoopCondition& condition, const LoopBody& body, const std::vector<Tensor>& initial,
                               WhileOptions options, std::source_location location) {
  if (initial.empty())
    throw Error(ErrorCode::invalid_argument, "while_loop: there are no initial values", LocationScope::resolve(location),
                "a loop carries at least one tensor");
  type_of(initial[0]);
  GraphState& state = *Access::state(initial[0]);
  Emitter emitter(state, "while_loop", location);
  if (options.max_trip_count && *options.max_trip_count < 0)
    emitter.fail(ErrorCode::invalid_argument, fmt::format("max_trip_count is {}", *options.max_trip_count),
                 "leave it out where no bound is known");
  const std::size_t carried = initial.size();
  std::vector<ir::ValueId> operands;
  std::vector<ir::Type> types;
  std::vector<std::string> names;
  for (const Tensor& tensor : initial) {
    operands.push_back(emitter.use(tensor));
    types.push_back(emitter.builder().type(operands.back()));
    names.push_back(tensor.name());
  }

  ir::ValueId condition_counter = ir::none, body_counter = ir::none;
  const Region condition_region =
      build_region(state, "condition", "condition of while_loop", "while_loop", emitter.location(), types, names, &condition_counter,
                   [&](const std::vector<Tensor>& values) { return std::vector<Tensor>{condition(values)}; });
  if (const ir::Type decision = result_types(state, condition_region)[0]; decision.dtype != DType::boolean || decision.rank() != 0)
    emitter.fail(decision.dtype != DType::boolean ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                 fmt::format("the condition must return a bool scalar, but returns {}", ir::to_string(decision)),
                 "compare in it: less(i, n)");
  const Region body_region = build_region(state, "body", "body of while_loop", "while_loop", emitter.location(), types, names,
                                          &body_counter, [&](const std::vector<Tensor>& values) { return body(values); });
  if (const std::vector<ir::Type> next = result_types(state, body_region); next != types)
    emitter.fail(next.size() != types.size() ? ErrorCode::invalid_argument : mismatch_code(types, next),
                 fmt::format("the values enter as {}, but the body returns {}", types_text(types), types_text(next)),
                 "the body returns as many values as enter, of the same dtypes and dims");

  // Random draws in the loop count its iterations: the counter is one more carried value.
  const LoopRegion regions[] = {{&condition_region, &condition_counter}, {&body_region, &body_counter}};
  const bool counted = finish_loop_regions(emitter, regions, carried, carried, operands);
  const WhileParts loop{condition_region.graph, body_region.graph, carried + counted, options.max_trip_count};
  if (const std::int64_t every =
          checkpoint_distance(emitter, options.checkpoint_every, options.max_trip_count ? ir::Dim(*options.max_trip_count) : ir::Dim(-1));
      every > 0)
    return wrap_all(emitter, emit_checkpointed_while(emitter, loop, std::move(operands), every), carried);
  return wrap_all(emitter, emit_while(emitter.builder(), loop, std::move(operands)), carried);
}

}  // namespace kiln

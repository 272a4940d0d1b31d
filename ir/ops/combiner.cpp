#include "ir/ops/combiner.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace kiln::ir::ops {

LoopOp combiner_of(const std::string& name) {
  const auto* found = std::ranges::find(combiners, name, &Combiner::name);
  internal_check(found != std::end(combiners), "the combiner of a fold is known");
  return found->op;
}

void require_combiner(const InferContext& context, std::size_t count) {
  const Type& operand = tensor(context, 0);
  const std::string& combiner = context.attributes.text("combiner");
  const std::span<const Combiner> known(combiners, count);
  if (std::ranges::find(known, combiner, &Combiner::name) == known.end()) {
    std::string names;
    for (const Combiner& c : known) names += (names.empty() ? "" : ", ") + std::string(c.name);
    fail(context, ErrorCode::invalid_argument, fmt::format("there is no combiner \"{}\": there are {}", combiner, names));
  }
  const bool logical = combiner == "and" || combiner == "or";
  if (logical && is_floating(operand.dtype))
    fail(context, ErrorCode::dtype_mismatch,
         fmt::format("\"{}\" folds bool and integers, but the operand is {}", combiner, to_string(operand)), "compare first");
  if (!logical && operand.dtype == DType::boolean)
    fail(context, ErrorCode::dtype_mismatch, fmt::format("\"{}\" folds numbers, but the operand is {}", combiner, to_string(operand)),
         count == std::size(combiners) ? "fold with \"and\" or \"or\", or convert to an integer dtype to count"
                                       : "convert to an integer dtype first");
}

Literal identity_of(LoopOp combiner, DType dtype) {
  const auto of_limit = [&](bool lowest) {
    if (is_floating(dtype))
      return Literal::of(dtype, lowest ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity());
    std::int64_t bits = 0;
    visit_allowed<integers>(dtype, [&]<class T>(T) {
      bits = static_cast<std::int64_t>(lowest ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max());
    });
    return Literal::of_bits(dtype, bits);
  };
  const auto all_ones = [&] {
    std::int64_t bits = 1;
    visit_allowed<bool_dtype | integers>(dtype, [&]<class T>(T) {
      if constexpr (!std::is_same_v<T, bool>) bits = static_cast<std::int64_t>(static_cast<T>(~T{0}));
    });
    return Literal::of_bits(dtype, bits);
  };
  switch (combiner) {
    case LoopOp::multiply: return Literal::of(dtype, 1);
    case LoopOp::maximum: return of_limit(true);
    case LoopOp::minimum: return of_limit(false);
    case LoopOp::and_: return all_ones();
    default: return Literal::of(dtype, 0);
  }
}

DType accumulator_of(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16 ? DType::f32 : dtype; }

Literal carried_identity(LoopOp combiner, DType dtype) {
  return accumulator_of(dtype) == dtype ? identity_of(combiner, dtype) : Literal::of(DType::f32, identity_of(combiner, dtype).number);
}

void require_direction(const InferContext& context) {
  if (const std::string& direction = context.attributes.text("direction"); direction != "maximum" && direction != "minimum")
    fail(context, ErrorCode::invalid_argument, fmt::format("there is no direction \"{}\": there are maximum, minimum", direction));
}

std::vector<ScalarId> start_of_extremum(ScalarBuilder& b, DType dtype) {
  return {b.constant(Literal::of_bits(DType::i64, no_position)), b.constant(Literal::of(accumulator_of(dtype), 0))};
}

std::vector<ScalarId> step_of_extremum(ScalarBuilder& b, bool maximum, std::span<const ScalarId> carried, ScalarId inside, ScalarId value,
                                       ScalarId position) {
  const ScalarId at = carried[0], best = carried[1];
  const DType dtype = b.dtype_of(best);
  value = b.apply(LoopOp::convert, dtype, {value});
  const auto either = [&](ScalarId p, ScalarId q) { return b.apply(LoopOp::or_, DType::boolean, {p, q}); };
  const auto both = [&](ScalarId p, ScalarId q) { return b.apply(LoopOp::and_, DType::boolean, {p, q}); };
  ScalarId wins = b.compare(maximum ? Comparison::gt : Comparison::lt, value, best);
  if (is_floating(dtype)) wins = either(wins, both(b.compare(Comparison::ne, value, value), b.compare(Comparison::eq, best, best)));
  wins = either(wins, b.compare(Comparison::lt, at, b.constant(Literal::of_bits(DType::i64, 0))));
  if (inside != none) wins = both(wins, inside);
  return {b.apply(LoopOp::select, DType::i64, {wins, position, at}), b.apply(LoopOp::select, dtype, {wins, value, best})};
}

}  // namespace kiln::ir::ops

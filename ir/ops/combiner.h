// Combiners of folds (add, multiply, maximum, minimum, and, or), and the rule by which an extremum's position is found. What reduce,
// reduce_window, cumulative, arg_reduce and window_argument share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"

namespace kiln::ir::ops {

struct Combiner {
  std::string_view name;
  LoopOp op;
};
inline constexpr Combiner combiners[] = {{"add", LoopOp::add},         {"multiply", LoopOp::multiply}, {"maximum", LoopOp::maximum},
                                         {"minimum", LoopOp::minimum}, {"and", LoopOp::and_},          {"or", LoopOp::or_}};

/// The combiner of an attribute that inference has checked.
LoopOp combiner_of(const std::string& name);
/// Throws unless the attribute `combiner` names one of the first `count` combiners and it folds values of operand 0's dtype.
void require_combiner(const InferContext& context, std::size_t count = std::size(combiners));

/// Start of the fold, which leaves every element as it is.
Literal identity_of(LoopOp combiner, DType dtype);
/// `dtype`, or f32 for f16 and bf16: what folds are carried in.
DType accumulator_of(DType dtype);
/// The same start in the dtype that folds are carried in.
Literal carried_identity(LoopOp combiner, DType dtype);

template <class T>
T combine(LoopOp combiner, T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (combiner == LoopOp::add) return a + b;
    if (combiner == LoopOp::multiply) return a * b;
  } else {
    if (combiner == LoopOp::and_) return static_cast<T>(a & b);
    if (combiner == LoopOp::or_) return static_cast<T>(a | b);
    if (combiner == LoopOp::add) return wrapping_add(a, b);
    if (combiner == LoopOp::multiply) return wrapping_multiply(a, b);
  }
  return combiner == LoopOp::maximum ? reference_maximum(a, b) : reference_minimum(a, b);
}

// ---- positions of extrema

/// -1: no element yet.
inline constexpr std::int64_t no_position = -1;

/// Whether an element takes the place of the best one so far: NaN wins over numbers, and of equals the first.
template <class T>
bool beats(bool maximum, T value, T best) {
  return (value != value && best == best) || (maximum ? value > best : value < best);
}

/// Throws unless the attribute `direction` is "maximum" or "minimum".
void require_direction(const InferContext& context);

/// The fold that finds an extremum's position: carried are the position (i64) and the best value so far.
std::vector<ScalarId> start_of_extremum(ScalarBuilder& builder, DType dtype);
/// The next element, of operand 0's dtype, standing at `position`; `inside` (none: always) tells whether it is there at all.
std::vector<ScalarId> step_of_extremum(ScalarBuilder& builder, bool maximum, std::span<const ScalarId> carried, ScalarId inside,
                                       ScalarId value, ScalarId position);

}  // namespace kiln::ir::ops

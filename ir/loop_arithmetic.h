// Element-by-element operations of loop IR on register values in memory: the arithmetic of the loop interpreter.
#pragma once

#include <array>
#include <cstdint>

#include "ir/loop.h"

namespace kiln::ir {

/// How an operation walks over its result and operands: up to three nested loops, the last one innermost. An operand's stride is 0 where it
/// repeats; the innermost stride is 0 or 1. Axes that no operand distinguishes are merged, so equal shapes make one loop.
struct ElementWalk {
  static constexpr std::size_t max_operands = 3;
  std::array<std::int32_t, 3> extents{1, 1, 1};
  std::array<std::array<std::int32_t, 3>, max_operands> strides{};  ///< [operand][axis], in elements

  std::int32_t outer_extent() const { return extents[0] * extents[1]; }
};

ElementWalk make_walk(const RegisterType& result, const RegisterType* const* operands, std::size_t count);

/// out and in point at the registers' elements, row by row, columns of lanes.
using ElementApply = void (*)(const ElementWalk& walk, void* out, const void* const* in);

/// The function for an op of the arithmetic, conversion or function sections of loop_ops.def (and broadcast).
ElementApply find_arithmetic(const Instruction& instruction, DType operand_dtype);

/// Folds `count` elements, `stride` apart, in place into element 0, in the tree that `reduce` defines.
using FoldApply = void (*)(void* elements, std::int32_t count, std::int32_t stride);
FoldApply find_fold(LoopOp combiner, DType dtype);

/// Writes `count` copies of the literal.
void fill(void* elements, std::int32_t count, const Literal& literal);

}  // namespace kiln::ir

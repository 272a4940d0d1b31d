// Looking at values during a run: print, check_finite.
#include "ir/ops/common.h"

namespace kiln::ir {
namespace {
using namespace ops;

constexpr AttributeSpec print_attributes[] = {{"message", AttributeKind::text, "what stands before the value"}};

}  // namespace

template <>
constinit const OpInfo OpEntry<Op::print>::info = {
    .name = "print",
    .doc =
        "Shows `message` and the operand, in the order of the program; in the body of a loop in every iteration. Forward alone: derivatives "
        "leave it out.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = print_attributes,
    .infer = infer_nothing,
    .no_gradient = "it has no result",
    .effect = true,
};

template <>
constinit const OpInfo OpEntry<Op::check_finite>::info = {
    .name = "check_finite",
    .doc =
        "Ends the run with Error(check_failed) when an operand holds an infinity or NaN, and names the first operation of those that the "
        "operands come from whose result does while its own operands do not. Replaced by checks once derivatives are there, which it looks "
        "at too (passes/expand_finite_checks.cpp).",
    .min_operands = 1,
    .max_operands = -1,
    .dtypes = floats,
    .infer = infer_nothing,
    .no_gradient = "it has no result",
    .effect = true,
};

}  // namespace kiln::ir

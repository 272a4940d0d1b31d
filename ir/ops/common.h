// What the operator entries share: errors of shape inference, and checks of types, axes and regions.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/op.h"

namespace kiln::ir::ops {

// ---- errors. Messages start with the op's name; the location is added by whoever called infer_types.

[[noreturn]] void fail(const InferContext& context, ErrorCode code, const std::string& message, const std::string& hint = "");

/// Operand `i`; throws when it is a tape.
const Type& tensor(const InferContext& context, std::size_t i);
Type tensor_type(DType dtype, Dims dims);

/// Throws shape_mismatch unless the extents are known to be equal, or the context takes note of those that may be: the caller then goes on
/// with `a`. `no` is the message when they differ, a sentence that names both types.
void require_equal(const InferContext& context, const Dim& a, const Dim& b, const std::string& no);
/// Throws shape_mismatch unless a <= b for all values of the symbols; `what` says of a and b what they are.
void require_less_equal(const InferContext& context, const Dim& a, const Dim& b, const std::string& what);
/// Operands i and j have one dtype; the hint names convert().
void require_same_dtype(const InferContext& context, std::size_t i, std::size_t j);
/// A contraction of `operands` may sum up and return `result`: floats in a float, integers in an integer, none of them narrower.
void require_accumulator(const InferContext& context, DType operands, DType result);
/// Operands i and j have equal dims.
void require_same_shape(const InferContext& context, std::size_t i, std::size_t j);
/// `axis` is one of 0 .. rank - 1; `what` names the attribute.
void require_axis(const InferContext& context, std::int64_t axis, std::size_t rank, const std::string& what);
/// All are axes, none twice.
void require_distinct_axes(const InferContext& context, std::span<const std::int64_t> axes, std::size_t rank, const std::string& what);
/// A list attribute has one entry per dim.
void require_length(const InferContext& context, std::size_t length, std::size_t wanted, const std::string& what);
/// No extent is negative for certain.
void require_extents(const InferContext& context, const Dims& dims);

// ---- inference that several entries share

/// All operands have one type, and the result too.
std::vector<Type> infer_same(const InferContext& context);
/// As the operand, with dtype bool.
std::vector<Type> infer_predicate(const InferContext& context);
/// No results.
std::vector<Type> infer_nothing(const InferContext& context);

/// Types of a graph's parameters and results.
std::vector<Type> parameter_types(const Graph& graph);
std::vector<Type> result_types(const Graph& graph);
/// The graph that the attribute refers to; InternalError when the module lacks it.
const Graph& region(const InferContext& context, std::string_view attribute);
/// `given` has the types of the graph's parameters; `what` says what `given` is ("operands").
void require_parameters(const InferContext& context, const Graph& graph, std::span<const Type> given, const std::string& what);

/// Axes of 0 .. rank - 1 that are in none of the lists, in order.
std::vector<std::int64_t> other_axes(std::size_t rank, std::span<const std::int64_t> a, std::span<const std::int64_t> b = {});
/// "[0, 2]".
std::string list_text(std::span<const std::int64_t> values);

// ---- gradients

/// Its derivative is zero almost everywhere: nothing flows back.
void gradient_zero(GradientContext& context);

inline constexpr std::string_view boolean_result = "its result is bool";
inline constexpr std::string_view integer_result = "its result is an integer";

// ---- lowering

/// What `op` is on values of `dtype`: on bool, add and maximum are or_, multiply and minimum and_.
LoopOp loop_op_on(LoopOp op, DType dtype);
/// Elementwise ops: the entry's loop_op of the operands at the result's index.
ScalarId element_loop_op(ScalarBuilder& builder, const Node& node, std::size_t result, std::span<const Dim> index);

}  // namespace kiln::ir::ops

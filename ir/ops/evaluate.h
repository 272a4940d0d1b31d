// What the reference evaluations share. They are the living definition of the ops: element by element, in the op's own dtype, obviously
// right, never fast.
#pragma once

#include <cmath>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "ir/op.h"

namespace kiln::ir::ops {

template <class T>
inline constexpr bool is_half = std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;

/// What values of T are computed in: f16 and bf16 in float, rounded once at the end; everything else in itself.
template <class T>
using Compute = std::conditional_t<is_half<T>, float, T>;

/// Calls `function` with a value of the C++ type of `dtype`, which must be in the set: only those types are instantiated.
template <DTypeSet allowed, class Function>
void visit_allowed(DType dtype, Function&& function) {
  visit_dtype(dtype, [&]<class T>(T zero) {
    if constexpr (allowed.contains(dtype_of<T>()))
      function(zero);
    else
      throw InternalError("an op is evaluated in a dtype that its entry does not allow");
  });
}

/// result[i] = f(operand[i]...) for the operands of one shape and dtype. `f` is called with Compute<T> values and returns one.
template <DTypeSet allowed, class Function>
std::vector<Array> map_unary(const EvaluateContext& context, Function&& f) {
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  visit_allowed<allowed>(context.result_dtypes[0], [&]<class T>(T) {
    const auto a = context.operands[0].data<T>();
    const auto out = result.mutable_data<T>();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(f(static_cast<Compute<T>>(a[i])));
  });
  return {result};
}

template <DTypeSet allowed, class Function>
std::vector<Array> map_binary(const EvaluateContext& context, Function&& f) {
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  visit_allowed<allowed>(context.result_dtypes[0], [&]<class T>(T) {
    const auto a = context.operands[0].data<T>();
    const auto b = context.operands[1].data<T>();
    const auto out = result.mutable_data<T>();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(f(static_cast<Compute<T>>(a[i]), static_cast<Compute<T>>(b[i])));
  });
  return {result};
}

/// Integer arithmetic that wraps: 64-bit unsigned, cut to T.
template <class T>
T wrapping_add(T a, T b) {
  return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}
template <class T>
T wrapping_subtract(T a, T b) {
  return static_cast<T>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
template <class T>
T wrapping_multiply(T a, T b) {
  return static_cast<T>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}

/// `a is NaN ? a : (a > b ? a : b)`, and its mirror.
template <class T>
T reference_maximum(T a, T b) {
  return a != a ? a : (a > b ? a : b);
}
template <class T>
T reference_minimum(T a, T b) {
  return a != a ? a : (a < b ? a : b);
}

/// Calls f(index) for every index of the shape in row-major order; `index` is a span of one entry per dim.
template <class Function>
void for_each_index(const Shape& shape, Function&& f) {
  std::vector<std::int64_t> index(shape.rank(), 0);
  for (const std::int64_t extent : shape)
    if (extent == 0) return;
  while (true) {
    f(std::span<const std::int64_t>(index));
    std::size_t d = shape.rank();
    while (d > 0 && ++index[d - 1] == shape[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

/// Row-major position of an index.
std::int64_t offset_of(const Shape& shape, std::span<const std::int64_t> index);

/// A result that consists of elements of `source`, of any dtype: result[index] = source.flat[position(index)]; elements with a negative
/// position are those of `otherwise` (a scalar).
Array rearranged(const Array& source, const Shape& shape, const std::function<std::int64_t(std::span<const std::int64_t>)>& position,
                 const Array* otherwise = nullptr);

/// The values of constant dims.
std::vector<std::int64_t> constants(const Dims& dims);

/// The operand unchanged.
std::vector<Array> evaluate_identity(const EvaluateContext& context);

}  // namespace kiln::ir::ops

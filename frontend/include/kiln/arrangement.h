// Functions that arrange elements: joining and cutting, repeating, turning, triangles and diagonals. All are made of slices, broadcasts and
// comparisons of positions, so they fuse with what reads them.
#pragma once

#include "kiln/operators.h"

namespace kiln {

// ---- Cutting and joining --------------------------------------------------------------------------------------------

/// Consecutive parts of these extents along an axis; one may be -1: what the others leave. torch.split.
///   split(x, {10, -1}, 1)[0]
std::vector<Tensor> split(const Operand& x, const Dims& sizes, std::int64_t axis = 0);
/// `parts` parts of equal extent; Error(shape_mismatch) when the axis cannot be divided. numpy.split.
std::vector<Tensor> split(const Operand& x, std::int64_t parts, std::int64_t axis = 0);
/// At most `parts` parts, of which the last may be shorter; the extent is a number. torch.chunk.
std::vector<Tensor> chunk(const Operand& x, std::int64_t parts, std::int64_t axis = 0);
/// The slices along an axis, without it; its extent is a number. The inverse of stack().
std::vector<Tensor> unstack(const Operand& x, std::int64_t axis = 0);

// ---- Axes -----------------------------------------------------------------------------------------------------------

/// Axis `from` becomes axis `to`; the others keep their order. numpy.moveaxis.
Tensor moveaxis(const Operand& x, std::int64_t from, std::int64_t to);
/// Two axes exchanged. numpy.swapaxes.
Tensor swapaxes(const Operand& x, std::int64_t a, std::int64_t b);

// ---- Repeating and turning ------------------------------------------------------------------------------------------

/// x repeated along each axis; with more repeats than axes x gets axes of 1 in front. numpy.tile.
Tensor tile(const Operand& x, const Dims& repeats);
/// Each slice along the axis `repeats` times in a row. torch.repeat_interleave, numpy.repeat.
Tensor repeat_interleave(const Operand& x, const Dim& repeats, std::int64_t axis);
/// Order of elements turned round along axes: numpy.flip, reverse() by another name.
Tensor flip(const Operand& x, const Axes& axes = {});
/// Elements moved on by `shift` places along an axis; what leaves at the end comes in at the front. numpy.roll.
Tensor roll(const Operand& x, std::int64_t shift, std::int64_t axis);
/// Turned by 90 degrees `times` times, from axis `a` towards axis `b`. numpy.rot90.
Tensor rot90(const Operand& x, std::int64_t times = 1, std::int64_t a = 0, std::int64_t b = 1);
/// For vectors of extents n1 ... nk: k tensors [n1, ..., nk], the i-th of which varies along axis i. numpy.meshgrid(indexing="ij").
std::vector<Tensor> meshgrid(std::initializer_list<Tensor> vectors, std::source_location location = std::source_location::current());

// ---- Sequences of numbers -------------------------------------------------------------------------------------------

/// start, start + step ... below stop (above it, when step is negative), for numbers known when the graph is built: numpy.arange. What the
/// run computes is range()'s (kiln/produced.h); 0, 1 ... size - 1 with a symbolic size is Graph::range's.
///   arange(graph, i64, 0, 10, 3)   // {0, 3, 6, 9}
Tensor arange(Graph& graph, DType dtype, Scalar start, Scalar stop, Scalar step = 1,
              std::source_location location = std::source_location::current());
/// `size` numbers at equal distances from start to stop, both included: numpy.linspace. Of one number: start.
///   linspace(graph, f32, 0, 1, 5)   // {0, 0.25, 0.5, 0.75, 1}
Tensor linspace(Graph& graph, DType dtype, double start, double stop, const Dim& size,
                std::source_location location = std::source_location::current());

// ---- Triangles and diagonals ----------------------------------------------------------------------------------------

/// Elements of the last two axes with column - row <= k (tril) or >= k (triu), else 0.
Tensor tril(const Operand& x, std::int64_t k = 0);
Tensor triu(const Operand& x, std::int64_t k = 0);
/// Elements x[..., i, i + offset] of two axes, as the last axis of the result. numpy.diagonal, torch.diagonal.
Tensor diagonal(const Operand& x, std::int64_t offset = 0, std::int64_t a = -2, std::int64_t b = -1);
/// Matrices with the last axis of x as their diagonal, zeros elsewhere: [..., n] -> [..., n + |offset|, n + |offset|]. torch.diag_embed.
Tensor diag_embed(const Operand& x, std::int64_t offset = 0);
/// A vector as a diagonal matrix, or the diagonal of a matrix. numpy.diag.
Tensor diag(const Operand& x, std::int64_t offset = 0);
/// The matrix with ones where column - row = k, zeros elsewhere. numpy.eye.
Tensor eye(Graph& graph, DType dtype, const Dim& rows, const Dim& columns, std::int64_t k = 0,
           std::source_location location = std::source_location::current());
/// The sum of a diagonal of the last two axes.
Tensor trace(const Operand& x, std::int64_t offset = 0);

}  // namespace kiln

// What the factorisations share: matrices [..., m, n], masks of rows and columns, and loops over a counter.
//
// Loops read a row or a column at a computed position and write it through a mask of positions. A mask costs as much as the rank-one update
// or the matrix-vector product beside it, so the loops keep the order of their operation counts.
#pragma once

#include <functional>

#include "frontend/composite.h"
#include "kiln/control.h"
#include "kiln/gradients.h"
#include "kiln/linear_algebra.h"

namespace kiln::detail {

/// Checks a function's matrix operands.
struct MatrixCall : Composite {
  MatrixCall(std::initializer_list<const Operand*> operands, const char* name) : Composite(operands, name) {}
  /// f32 or f64, of rank 2 or more.
  Tensor matrix(const Operand& operand);
  Tensor square_matrix(const Operand& operand);
  /// Fails unless the batch axes of both are equal.
  void require_same_batch(const Tensor& a, const Tensor& b);
};

/// 0, 1 ... n - 1 along an axis of a tensor of this rank, all other extents 1.
Tensor positions(const Tensor& near, const Dim& n, std::int64_t axis, std::size_t rank);
/// An extent as an i64 scalar.
Tensor extent(const Tensor& near, const Dim& n);
/// [..., m, n] with ones on the diagonal, of x's dtype and batch axes.
Tensor identity_like(const Tensor& x, const Dim& m, const Dim& n);
/// Elements on and below the diagonal moved by `diagonal` to the right, others 0; and on and above.
Tensor lower_triangle(const Tensor& x, std::int64_t diagonal = 0);
Tensor upper_triangle(const Tensor& x, std::int64_t diagonal = 0);
/// [..., n, n] -> [..., n] and back.
Tensor diagonal_of(const Tensor& x);
Tensor diagonal_matrix(const Tensor& values);
/// [..., m, n] times [..., n] -> [..., m]; and a^T times x.
Tensor matrix_vector(const Tensor& a, const Tensor& x);
Tensor transposed_matrix_vector(const Tensor& a, const Tensor& x);
/// [..., m] and [..., n] -> [..., m, n]
Tensor outer_product(const Tensor& a, const Tensor& b);

/// Row or column number k (an i64 scalar) of a matrix.
Tensor row_at(const Tensor& a, const Tensor& k);
Tensor column_at(const Tensor& a, const Tensor& k);
/// Element k (an i64 scalar) along the last axis.
Tensor element_at(const Tensor& x, const Tensor& k);
/// a with row or column k replaced by a vector.
Tensor with_row(const Tensor& a, const Tensor& k, const Tensor& row);
Tensor with_column(const Tensor& a, const Tensor& k, const Tensor& column);

/// custom_gradient() for functions whose gradient is made of themselves. A backward body is built at once, so that recursion has to end
/// somewhere: closed forms are used for the first and second derivative; from the third on, the loops themselves are differentiated.
std::vector<Tensor> with_closed_gradient(const std::vector<Tensor>& inputs, const ForwardFunction& forward,
                                         const BackwardFunction& backward, const std::string& name);

/// values = body(k, values) for k = 0 ... n - 1.
std::vector<Tensor> counted_loop(const Dim& n, const std::vector<Tensor>& initial,
                                 const std::function<std::vector<Tensor>(const Tensor& k, const std::vector<Tensor>& values)>& body);

}  // namespace kiln::detail

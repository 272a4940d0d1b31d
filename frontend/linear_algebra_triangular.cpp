// Triangular systems and the Cholesky factorisation (kiln/linear_algebra.h).
//
// Every triangular system is turned into op(a) x = b with op on the left: x a = b is a^T x^T = b^T, and a transposed lower triangle is an
// upper one. Row k of the solution is (b_k - sum_j a_kj x_j) / a_kk over the rows j that are known.
//
// Derivatives, with x = a^-1 b:  db = a^-T dx,  da = -db x^T, of which the triangle that was read counts (Giles 2008, An extended
// collection of matrix derivative results). With a = l l^T:  da = sym(l^-T phi(l^T dl) l^-1), phi taking the lower triangle and halving the
// diagonal (Murray, arXiv:1602.07527).
#include <fmt/format.h>

#include "frontend/linear_algebra.h"

namespace kiln {

using namespace detail;

namespace {

/// x of a x = b, a triangular.
Tensor substitute(const Tensor& a, const Tensor& b, bool lower, bool unit_diagonal) {
  const Dim n = a.dim(-1);
  if (n == Dim(0)) return b;
  return counted_loop(n, {zeros_like(b)}, [&](const Tensor& step, const auto& v) {
    const Tensor k = lower ? step : extent(a, n) - 1 - step;
    const Tensor row = row_at(a, k);
    const Tensor position = positions(row, n, -1, row.rank());
    const Tensor known = select(lower ? less(position, k) : greater(position, k), row, 0);
    Tensor x = row_at(b, k) - transposed_matrix_vector(v[0], known);
    if (!unit_diagonal) x = x / expand_dims(element_at(row, k), -1);
    return std::vector<Tensor>{with_row(v[0], k, x)};
  })[0];
}

/// op(a) x = b with its gradient; `lower` is said of a, not of its transpose.
Tensor solve_left(const Tensor& a, const Tensor& b, bool lower, bool unit_diagonal, bool transposed) {
  return with_closed_gradient(
      {a, b},
      [&](const auto& in) {
        return std::vector<Tensor>{substitute(transposed ? matrix_transpose(in[0]) : in[0], in[1], lower != transposed, unit_diagonal)};
      },
      [&](const auto& in, const auto& out, const auto& grad) {
        const Tensor db = solve_left(in[0], grad[0], lower, unit_diagonal, !transposed);
        const Tensor& x = out[0];
        const Tensor da = transposed ? -matmul(x, matrix_transpose(db)) : -matmul(db, matrix_transpose(x));
        const std::int64_t diagonal = unit_diagonal ? (lower ? -1 : 1) : 0;
        return std::vector<Tensor>{lower ? lower_triangle(da, diagonal) : upper_triangle(da, diagonal), db};
      },
      "triangular_solve")[0];
}

/// The lower factor, column by column: what is left of column k after the columns before it, divided by the root of its diagonal.
Tensor factor(const Tensor& a) {
  return counted_loop(a.dim(-1), {zeros_like(a)}, [&](const Tensor& k, const auto& v) {
    const Tensor left = column_at(a, k) - matrix_vector(v[0], row_at(v[0], k));
    const Tensor diagonal = expand_dims(sqrt(element_at(left, k)), -1);
    const Tensor position = positions(left, a.dim(-1), -1, left.rank());
    const Tensor column = select(greater(position, k), left / diagonal, select(equal(position, k), diagonal, 0));
    return std::vector<Tensor>{with_column(v[0], k, column)};
  })[0];
}

}  // namespace

Tensor triangular_solve(const Operand& a, const Operand& b, const TriangularOptions& options) {
  MatrixCall of({&a, &b}, "triangular_solve");
  const Tensor matrix = of.square_matrix(a), right = of.matrix(b);
  of.require_same_batch(matrix, right);
  const std::int64_t side = options.left_side ? -2 : -1;
  if (!(matrix.dim(-1) == right.dim(side)))
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("the matrix {} and the right side {} do not fit together: extents {} and {}", to_string(matrix), to_string(right),
                        to_string(matrix.dim(-1)), to_string(right.dim(side))),
            options.left_side ? "b is [..., n, k] beside a [..., n, n]" : "b is [..., k, n] beside a [..., n, n]");
  if (options.left_side) return solve_left(matrix, right, options.lower, options.unit_diagonal, options.transpose_a);
  return matrix_transpose(solve_left(matrix, matrix_transpose(right), options.lower, options.unit_diagonal, !options.transpose_a));
}

Tensor cholesky(const Operand& operand, bool upper) {
  MatrixCall of({&operand}, "cholesky");
  const Tensor a = of.square_matrix(operand);
  const Tensor l = with_closed_gradient(
      {a}, [](const auto& in) { return std::vector<Tensor>{factor(in[0])}; },
      [](const auto&, const auto& out, const auto& grad) {
        const Tensor& factor = out[0];
        const Tensor product = lower_triangle(matmul(matrix_transpose(factor), lower_triangle(grad[0])));
        const Tensor halved = product - 0.5 * diagonal_matrix(diagonal_of(product));
        const Tensor left = triangular_solve(factor, halved, {.transpose_a = true});
        const Tensor da = triangular_solve(factor, left, {.left_side = false});
        return std::vector<Tensor>{0.5 * (da + matrix_transpose(da))};
      },
      "cholesky")[0];
  return upper ? matrix_transpose(l) : l;
}

Tensor cholesky_solve(const Operand& b, const Operand& operand, bool upper) {
  MatrixCall of({&b, &operand}, "cholesky_solve");
  const Tensor right = of.matrix(b), factor = of.square_matrix(operand);
  const Tensor half = triangular_solve(factor, right, {.lower = !upper, .transpose_a = upper});
  return triangular_solve(factor, half, {.lower = !upper, .transpose_a = !upper});
}

}  // namespace kiln

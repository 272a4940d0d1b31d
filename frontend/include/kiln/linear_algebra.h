// Linear algebra on the last two axes of tensors; further axes are a batch.
//
// Matrices are f32 or f64, of any extents, symbolic ones included. Factorisations are loops over columns, and everything here has a
// gradient in closed form that is made of the same functions, so that it has gradients of any order. A matrix for which a function is not
// defined (a singular one to invert, one that is not positive definite to cholesky()) gives infinities or NaN, not an error.
#pragma once

#include "kiln/statistics.h"

namespace kiln {

// ---- Norms and powers --------------------------------------------------------------------------------------------------

enum class MatrixNorm : std::uint8_t {
  frobenius,  ///< square root of the sum of squares
  one,        ///< largest sum of absolute values of a column
  infinity,   ///< largest sum of absolute values of a row
};
/// [..., m, n] -> [...]
Tensor matrix_norm(const Operand& a, MatrixNorm norm = MatrixNorm::frobenius);
/// A square matrix multiplied by itself, by repeated squaring; a negative exponent takes the inverse's power, 0 gives the identity.
Tensor matrix_power(const Operand& a, std::int64_t exponent);
/// The matrix exponential, sum of a^k / k!: scaling and squaring of a Pade approximant (Higham 2005).
Tensor matrix_exp(const Operand& a);

// ---- Triangular systems and Cholesky -----------------------------------------------------------------------------------

struct TriangularOptions {
  bool left_side = true;       ///< op(a) x = b; false: x op(a) = b
  bool lower = true;           ///< which triangle of a counts; the other is not read
  bool unit_diagonal = false;  ///< the diagonal counts as 1
  bool transpose_a = false;    ///< op(a) is a's transpose
};
/// x of op(a) x = b: a [..., n, n], b [..., n, k] (left side) or [..., k, n]; the result has the shape of b. Batch axes are equal.
Tensor triangular_solve(const Operand& a, const Operand& b, const TriangularOptions& options = {});
/// The triangular l with a = l l^T (or, with `upper`, u with a = u^T u) of a symmetric positive definite matrix, of which the lower
/// triangle is read. The gradient is symmetric (Murray, arXiv:1602.07527).
Tensor cholesky(const Operand& a, bool upper = false);
/// x of a x = b from a's Cholesky factor: b [..., n, k].
Tensor cholesky_solve(const Operand& b, const Operand& factor, bool upper = false);

// ---- General systems -----------------------------------------------------------------------------------------------------

/// Row i of l u is row permutation[i] of the matrix.
struct LU {
  Tensor l;            ///< unit lower triangle [..., n, n]
  Tensor u;            ///< upper triangle [..., n, n]
  Tensor permutation;  ///< i64 [..., n]
  Tensor sign;         ///< of the permutation, -1 or 1, in the matrix's dtype [...]
};
/// LU factorisation of a square matrix with partial pivoting: of equal candidates the first is taken.
LU lu(const Operand& a);
/// x of a x = b: b [..., n, k], or [n] beside a [n, n].
Tensor solve(const Operand& a, const Operand& b);
Tensor inverse(const Operand& a);
/// The determinant [...]; its gradient exists for invertible matrices.
Tensor det(const Operand& a);
/// sign * exp(log_abs) is the determinant: no overflow. Of a singular matrix the sign is 0 and log_abs -infinity.
struct SignedLogDet {
  Tensor sign, log_abs;
};
SignedLogDet slogdet(const Operand& a);

// ---- Least squares -------------------------------------------------------------------------------------------------------

/// a = q r with orthonormal columns of q [..., m, k] and upper r [..., k, n], k = min(m, n), by Householder reflections; signs are LAPACK's
/// (the diagonal of r may be negative). The gradient exists where the first k columns are independent.
struct QR {
  Tensor q, r;
};
QR qr(const Operand& a);
/// The x with the least |a x - b|, and the smallest such x where m < n: a [..., m, n] of full rank, b [..., m, k].
Tensor lstsq(const Operand& a, const Operand& b);
/// The Moore-Penrose inverse [..., n, m] of a matrix of full rank.
Tensor pinv(const Operand& a);

// ---- Eigenvalues -----------------------------------------------------------------------------------------------------------

/// a = v diag(w) v^T of a symmetric matrix: eigenvalues in ascending order, eigenvectors as columns. Each vector's sign is such that its
/// element of largest magnitude is positive.
struct Eigh {
  Tensor values;   ///< [..., n]
  Tensor vectors;  ///< [..., n, n]
};
/// By Jacobi's rotations (cyclic sweeps until no off-diagonal element is left that counts); the lower triangle is read. The gradient exists
/// for distinct eigenvalues.
Eigh eigh(const Operand& a);

}  // namespace kiln

// LU factorisation with partial pivoting, and what rests on it: solve, inverse, determinants (kiln/linear_algebra.h).
//
// Step k takes the largest element at or below the diagonal of column k as pivot, exchanges rows, and subtracts multiples of the pivot's
// row from those below; multipliers are kept where the zeros would be. A pivot of 0 means that nothing is left to subtract: the multipliers
// are 0 then (LAPACK's getrf), so that the determinant of a singular matrix is 0 and not NaN.
//
// Derivatives (p the permutation matrix, a = p^T l u):  da = p^T l^-T (tril(l^T dl, -1) + triu(du u^T)) u^-T;  with x = a^-1 b: db = a^-T
// dx, da = -db x^T;  d log|det a| = a^-T.
#include <fmt/format.h>

#include "frontend/linear_algebra.h"

namespace kiln {

using namespace detail;

namespace {

/// The packed factors, the permutation and its sign.
std::vector<Tensor> eliminate(const Tensor& a) {
  const Dim n = a.dim(-1);
  const std::size_t rank = a.rank();
  const Tensor first_column = reduce_sum(a, -1);  // for its dims alone
  const Tensor order = broadcast_to(positions(a, n, -1, rank - 1), first_column.dims());
  const Tensor sign = ones_like(reduce_sum(first_column, -1));
  return counted_loop(n, {a, order, sign}, [&](const Tensor& k, const auto& v) {
    const Tensor position = positions(a, n, -1, rank - 1);  // [1 ..., n]
    const Tensor column = column_at(v[0], k);
    const Tensor pivot = argmax(select(greater_equal(position, k), abs(column), -1), -1);  // [...]
    const Tensor is_pivot = equal(position, expand_dims(pivot, -1)), is_k = equal(position, k);
    // Rows k and `pivot` change places; the pivot differs from matrix to matrix of a batch, hence the sum over a mask.
    const Tensor row_k = row_at(v[0], k);
    const Tensor row_pivot = reduce_sum(select(expand_dims(is_pivot, -1), v[0], 0), -2);
    const Tensor rows = positions(a, n, -2, rank);
    const Tensor swapped =
        select(equal(rows, k), expand_dims(row_pivot, -2), select(expand_dims(is_pivot, -1), expand_dims(row_k, -2), v[0]));
    const Tensor order_pivot = reduce_sum(select(is_pivot, v[1], 0), -1);
    const Tensor order_now = select(is_k, expand_dims(order_pivot, -1), select(is_pivot, expand_dims(element_at(v[1], k), -1), v[1]));
    const Tensor sign_now = select(equal(pivot, k), v[2], -v[2]);

    const Tensor head = expand_dims(element_at(row_pivot, k), -1);
    const Tensor zero = equal(head, 0);
    const Tensor multipliers = select(logical_or(less_equal(position, k), zero), 0, column_at(swapped, k) / select(zero, 1, head));
    const Tensor row = select(greater(position, k), row_pivot, 0);
    const Tensor updated = swapped - outer_product(multipliers, row);
    const Tensor next = select(logical_and(equal(positions(a, n, -1, rank), k), greater(rows, k)), expand_dims(multipliers, -1), updated);
    return std::vector<Tensor>{next, order_now, sign_now};
  });
}

Tensor unit_lower(const Tensor& packed) { return lower_triangle(packed, -1) + identity_like(packed, packed.dim(-1), packed.dim(-1)); }

/// Rows of x in the order of the permutation: result[i] = x[permutation[i]].
Tensor permuted(const Tensor& x, const Tensor& permutation) {
  const std::size_t rank = x.rank();
  const Tensor matrix = equal(positions(x, permutation.dim(-1), -1, rank), expand_dims(permutation, -1));
  return matmul(convert(matrix, x.dtype()), x);
}

/// The inverse of permuted(): result[permutation[i]] = x[i].
Tensor unpermuted(const Tensor& x, const Tensor& permutation) {
  const Tensor matrix = equal(positions(x, permutation.dim(-1), -2, x.rank()), expand_dims(permutation, -2));
  return matmul(convert(matrix, x.dtype()), x);
}

/// x of a x = b without gradient rules of its own.
Tensor solve_once(const Tensor& a, const Tensor& b) {
  const std::vector<Tensor> parts = eliminate(a);
  const Tensor half = triangular_solve(parts[0], permuted(b, parts[1]), {.unit_diagonal = true});
  return triangular_solve(parts[0], half, {.lower = false});
}

Tensor solve_matrix(const Tensor& a, const Tensor& b) {
  return with_closed_gradient(
      {a, b}, [](const auto& in) { return std::vector<Tensor>{solve_once(in[0], in[1])}; },
      [](const auto& in, const auto& out, const auto& grad) {
        const Tensor db = solve_matrix(matrix_transpose(in[0]), grad[0]);
        return std::vector<Tensor>{-matmul(db, matrix_transpose(out[0])), db};
      },
      "solve")[0];
}

}  // namespace

LU lu(const Operand& operand) {
  MatrixCall of({&operand}, "lu");
  const Tensor a = of.square_matrix(operand);
  const std::vector<Tensor> parts = with_closed_gradient(
      {a},
      [](const auto& in) {
        const std::vector<Tensor> packed = eliminate(in[0]);
        return std::vector<Tensor>{unit_lower(packed[0]), upper_triangle(packed[0]), packed[1], packed[2]};
      },
      [](const auto&, const auto& out, const auto& grad) {
        const Tensor &l = out[0], &u = out[1];
        const Tensor inner =
            lower_triangle(matmul(matrix_transpose(l), grad[0]), -1) + upper_triangle(matmul(grad[1], matrix_transpose(u)));
        const Tensor left = triangular_solve(l, inner, {.unit_diagonal = true, .transpose_a = true});
        const Tensor both = triangular_solve(u, left, {.left_side = false, .lower = false, .transpose_a = true});
        return std::vector<Tensor>{unpermuted(both, out[2])};
      },
      "lu");
  return {parts[0], parts[1], parts[2], parts[3]};
}

Tensor solve(const Operand& a, const Operand& b) {
  MatrixCall of({&a, &b}, "solve");
  const Tensor matrix = of.square_matrix(a);
  Tensor right = of.tensor(b);
  const bool vector = right.rank() == 1 && matrix.rank() == 2;
  if (vector) right = expand_dims(right, -1);
  of.require_rank(right, 2, "a right side", "b is [n] beside a [n, n], else [..., n, k]");
  of.require_same_batch(matrix, right);
  if (!(matrix.dim(-1) == right.dim(-2)))
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("the matrix {} and the right side {} do not fit together", to_string(matrix), to_string(b.tensor())),
            "b is [n] beside a [n, n], else [..., n, k]");
  const Tensor x = solve_matrix(matrix, right);
  return vector ? squeeze(x, -1) : x;
}

Tensor inverse(const Operand& operand) {
  MatrixCall of({&operand}, "inverse");
  const Tensor a = of.square_matrix(operand);
  return with_closed_gradient(
      {a}, [](const auto& in) { return std::vector<Tensor>{solve_once(in[0], identity_like(in[0], in[0].dim(-1), in[0].dim(-1)))}; },
      [](const auto&, const auto& out, const auto& grad) {
        // The inverse comes in as a value whose derivative is this rule's again, so no order needs another elimination.
        const Tensor turned = matrix_transpose(out[0]);
        return std::vector<Tensor>{-matmul(turned, matmul(grad[0], turned))};
      },
      "inverse")[0];
}

Tensor det(const Operand& operand) {
  MatrixCall of({&operand}, "det");
  const Tensor a = of.square_matrix(operand);
  return with_closed_gradient(
      {a},
      [](const auto& in) {
        const std::vector<Tensor> parts = eliminate(in[0]);
        return std::vector<Tensor>{parts[2] * reduce_prod(diagonal_of(parts[0]), -1)};
      },
      [](const auto& in, const auto& out, const auto& grad) {
        return std::vector<Tensor>{expand_dims(expand_dims(grad[0] * out[0], -1), -1) * matrix_transpose(inverse(in[0]))};
      },
      "det")[0];
}

SignedLogDet slogdet(const Operand& operand) {
  MatrixCall of({&operand}, "slogdet");
  const Tensor a = of.square_matrix(operand);
  const std::vector<Tensor> parts = with_closed_gradient(
      {a},
      [](const auto& in) {
        const std::vector<Tensor> packed = eliminate(in[0]);
        const Tensor diagonal = diagonal_of(packed[0]);
        return std::vector<Tensor>{packed[2] * reduce_prod(sign(diagonal), -1), reduce_sum(log(abs(diagonal)), -1)};
      },
      [](const auto& in, const auto&, const auto& grad) {
        return std::vector<Tensor>{expand_dims(expand_dims(grad[1], -1), -1) * matrix_transpose(inverse(in[0]))};
      },
      "slogdet");
  return {parts[0], parts[1]};
}

}  // namespace kiln

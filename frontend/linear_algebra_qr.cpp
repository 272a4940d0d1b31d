// QR factorisation by Householder reflections, and least squares (kiln/linear_algebra.h).
//
// Step k reflects what is left of column k onto the k-th axis: with alpha its head and beta = -sign(alpha) |column|, v = column - beta e_k
// scaled to v_k = 1, and tau = (beta - alpha) / beta, the reflection is 1 - tau v v^T (LAPACK's larfg; where the rest of the column is 0
// there is nothing to reflect: tau = 0). The reflections are kept and applied, last one first, to the first columns of the identity, so
// that q costs no more than r does.
//
// Derivative for m >= n (Walter and Lehmann, arXiv:1009.6112): with M = r dr^T - dq^T q, da = (dq + q copyltu(M)) r^-T, where copyltu
// mirrors the lower triangle. For m < n the first m columns give q, and the rest of r is q^T times the other columns.
#include <fmt/format.h>

#include "frontend/linear_algebra.h"

namespace kiln {

using namespace detail;

namespace {

/// (q, r) for m >= n.
std::vector<Tensor> householder(const Tensor& a) {
  const Dim m = a.dim(-2), n = a.dim(-1);
  const std::size_t rank = a.rank();
  const Tensor column_dims = reduce_sum(a, -2);
  const auto reflect = [](const Tensor& x, const Tensor& v, const Tensor& tau) {
    return x - outer_product(v * expand_dims(tau, -1), transposed_matrix_vector(x, v));
  };
  const std::vector<Tensor> parts = counted_loop(n, {a, zeros_like(a), zeros_like(column_dims)}, [&](const Tensor& k, const auto& s) {
    const Tensor column = column_at(s[0], k);
    const Tensor position = positions(a, m, -1, rank - 1);
    const Tensor alpha = element_at(column, k);  // [...]
    const Tensor rest = select(greater(position, k), column, 0);
    const Tensor tail = reduce_sum(square(rest), -1);
    const Tensor norm = sqrt(alpha * alpha + tail);
    const Tensor beta = select(less(alpha, 0), norm, -norm);
    const Tensor nothing = equal(tail, 0);
    const Tensor tau = select(nothing, 0, (beta - alpha) / select(nothing, 1, beta));
    const Tensor scale = 1 / select(nothing, 1, alpha - beta);
    const Tensor v = select(equal(position, k), 1, rest * expand_dims(scale, -1));
    const Tensor taus = select(equal(positions(a, n, -1, rank - 1), k), expand_dims(tau, -1), s[2]);
    return std::vector<Tensor>{reflect(s[0], v, tau), with_column(s[1], k, v), taus};
  });
  const Tensor q = counted_loop(n, {identity_like(a, m, n)}, [&](const Tensor& step, const auto& s) {
    const Tensor k = extent(a, n) - 1 - step;
    return std::vector<Tensor>{reflect(s[0], column_at(parts[1], k), element_at(parts[2], k))};
  })[0];
  Dims starts(std::vector<Dim>(rank, Dim(0))), limits = a.dims();
  limits[rank - 2] = n;
  return {q, upper_triangle(slice(parts[0], starts, limits))};
}

QR tall_qr(const Tensor& a) {
  const std::vector<Tensor> parts = with_closed_gradient(
      {a}, [](const auto& in) { return householder(in[0]); },
      [](const auto&, const auto& out, const auto& grad) {
        const Tensor &q = out[0], &r = out[1], &dq = grad[0], dr = upper_triangle(grad[1]);
        const Tensor m = matmul(r, matrix_transpose(dr)) - matmul(matrix_transpose(dq), q);
        const Tensor below = lower_triangle(m, -1);
        const Tensor mirrored = lower_triangle(m) + matrix_transpose(below);
        const Tensor right = dq + matmul(q, mirrored);
        return std::vector<Tensor>{triangular_solve(r, right, {.left_side = false, .lower = false, .transpose_a = true})};
      },
      "qr");
  return {parts[0], parts[1]};
}

/// Whether the matrix has at least as many rows as columns, for certain.
bool is_tall(const Composite& of, const Tensor& a) {
  const ir::Dims& dims = type_of(a).dims;
  switch (ir::less(dims[dims.size() - 2], dims.back())) {
    case ir::Truth::no: return true;
    case ir::Truth::yes: return false;
    case ir::Truth::unknown: break;
  }
  of.fail(ErrorCode::shape_mismatch, fmt::format("{} may have more rows than columns or fewer", to_string(a)),
          "bound the symbols: Dim(\"m\", {.min = 8}) beside 8 columns");
}

}  // namespace

QR qr(const Operand& operand) {
  MatrixCall of({&operand}, "qr");
  const Tensor a = of.matrix(operand);
  if (is_tall(of, a)) return tall_qr(a);
  const std::size_t rank = a.rank();
  const Dim m = a.dim(-2);
  Dims starts(std::vector<Dim>(rank, Dim(0))), limits = a.dims();
  limits[rank - 1] = m;
  const QR first = tall_qr(slice(a, starts, limits));
  starts[rank - 1] = m;
  limits[rank - 1] = a.dim(-1);
  return {first.q, concatenate({first.r, matmul(matrix_transpose(first.q), slice(a, starts, limits))}, -1)};
}

Tensor lstsq(const Operand& a, const Operand& b) {
  MatrixCall of({&a, &b}, "lstsq");
  const Tensor matrix = of.matrix(a), right = of.matrix(b);
  of.require_same_batch(matrix, right);
  if (!(matrix.dim(-2) == right.dim(-2)))
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("the matrix {} and the right side {} do not fit together", to_string(matrix), to_string(right)),
            "b is [..., m, k] beside a [..., m, n]");
  if (is_tall(of, matrix)) {
    const QR parts = tall_qr(matrix);
    return triangular_solve(parts.r, matmul(matrix_transpose(parts.q), right), {.lower = false});
  }
  const QR parts = tall_qr(matrix_transpose(matrix));
  return matmul(parts.q, triangular_solve(parts.r, right, {.lower = false, .transpose_a = true}));
}

Tensor pinv(const Operand& operand) {
  MatrixCall of({&operand}, "pinv");
  const Tensor a = of.matrix(operand);
  return lstsq(a, identity_like(a, a.dim(-2), a.dim(-2)));
}

}  // namespace kiln

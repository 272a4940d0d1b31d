// Eigenvalues of symmetric matrices by Jacobi's method (kiln/linear_algebra.h).
//
// A rotation in the plane of axes p and q makes element (p, q) zero; sweeps over all pairs converge quadratically, and small eigenvalues
// come out with high relative accuracy. Pairs that share no axis do not disturb each other, so a step does n / 2 of them at once: the
// pairing of step r is round r of a tournament (circle method: i plays 2 r - i modulo the number of rounds, the last player whoever would
// play himself). A step is then c * a + s * a[partner] along rows and along columns, with one cosine and sine per axis.
//
// Derivative (Giles 2008): da = v (diag(dw) + f * (v^T dv)) v^T, f_ij = 1 / (w_j - w_i) off the diagonal, made symmetric.
#include <fmt/format.h>

#include "frontend/linear_algebra.h"

namespace kiln {

using namespace detail;

namespace {

constexpr std::int64_t most_sweeps = 40;  ///< 6 to 10 are usual; the bound is for matrices with NaN or infinities

std::vector<Tensor> jacobi(const Tensor& a) {
  const Dim n = a.dim(-1);
  const std::size_t rank = a.rank();
  // From the lower triangle alone.
  const Tensor symmetric = lower_triangle(a) + matrix_transpose(lower_triangle(a, -1));
  const Tensor count = extent(a, n), rounds = maximum(count - 1 + count % 2, 1);
  const double epsilon = a.dtype() == f64 ? 0x1p-53 : 0x1p-24;
  const auto off_diagonal = [&](const Tensor& x) { return select(equal(positions(x, n, -1, rank), positions(x, n, -2, rank)), 0, x); };
  const Tensor norm = reduce_sum(square(symmetric), {-1, -2});

  const auto unfinished = [&](const auto& v) {
    const Tensor left = reduce_sum(square(off_diagonal(v[1])), {-1, -2});
    return logical_and(less(v[0], rounds * most_sweeps), reduce_any(greater(left, norm * (epsilon * epsilon))));
  };
  const auto step = [&](const auto& v) {
    const Tensor i = positions(a, n, 0, 1);
    const Tensor round = v[0] % rounds;
    const Tensor met = (2 * round + rounds - i) % rounds;
    const Tensor idle = count % 2;  // of an odd number one sits out
    const Tensor against_last = select(equal(idle, 1), i, count - 1);
    const Tensor partner = select(greater_equal(i, rounds), round, select(equal(met, i), against_last, met));  // [n]

    const Tensor column = positions(a, n, -1, rank);
    const Tensor diagonal = diagonal_of(v[1]);
    const Tensor own = diagonal, other = take(diagonal, partner, -1);
    const Tensor off = reduce_sum(select(equal(column, expand_dims(partner, -1)), v[1], 0), -1);
    // Golub and Van Loan, algorithm 8.5.1, for the axis itself as p: t = sign(theta) / (|theta| + sqrt(1 + theta^2)), theta = (a_qq - a_pp)
    // / 2 a_pq. The partner sees -theta, and so -t: cosines agree, sines are opposite. Of equal diagonals the lower axis counts as p.
    const Tensor flat = logical_or(equal(off, 0), equal(partner, i));
    const Tensor theta = (other - own) / (2 * select(flat, 1, off));
    const Tensor direction = select(equal(theta, 0), select(less(i, partner), ones_like(theta), -ones_like(theta)), sign(theta));
    const Tensor tangent = select(flat, 0, direction / (abs(theta) + sqrt(1 + theta * theta)));
    const Tensor cosine = rsqrt(1 + tangent * tangent), sine = -tangent * cosine;

    const auto rotate_columns = [&](const Tensor& x) { return x * expand_dims(cosine, -2) + take(x, partner, -1) * expand_dims(sine, -2); };
    const auto rotate_rows = [&](const Tensor& x) { return x * expand_dims(cosine, -1) + take(x, partner, -2) * expand_dims(sine, -1); };
    // The elements that the rotations make zero are set to it.
    const Tensor rotated = rotate_rows(rotate_columns(v[1]));
    const Tensor paired = logical_and(equal(column, expand_dims(partner, -1)), not_equal(column, expand_dims(i, -1)));
    return std::vector<Tensor>{v[0] + 1, select(paired, 0, rotated), rotate_columns(v[2])};
  };
  const std::vector<Tensor> last = while_loop(unfinished, step, {extent(a, 0), symmetric, identity_like(a, n, n)});

  // Ascending order: the place of an eigenvalue is the number of smaller ones, earlier equal ones among them.
  const Tensor values = diagonal_of(last[1]);
  const Tensor mine = expand_dims(values, -1), others = expand_dims(values, -2);
  const Tensor row = positions(a, n, -2, rank), column = positions(a, n, -1, rank);
  const Tensor before = logical_or(less(others, mine), logical_and(equal(others, mine), less(column, row)));
  const Tensor place = reduce_sum(convert(before, i64), -1);   // [..., n]
  const Tensor moved = equal(expand_dims(place, -1), column);  // [..., from, to]
  const Tensor sorted = reduce_sum(select(moved, mine, 0), -2);
  Tensor vectors = matmul(last[2], convert(moved, a.dtype()));
  const Tensor largest = argmax(abs(vectors), -2);  // [..., n]
  const Tensor head = reduce_sum(select(equal(row, expand_dims(largest, -2)), vectors, 0), -2);
  vectors = vectors * expand_dims(select(less(head, 0), -ones_like(head), ones_like(head)), -2);
  return {sorted, vectors};
}

}  // namespace

Eigh eigh(const Operand& operand) {
  MatrixCall of({&operand}, "eigh");
  const Tensor a = of.square_matrix(operand);
  if (a.dim(-1) == Dim(0)) return {reduce_sum(a, -1), a};
  const std::vector<Tensor> parts = with_closed_gradient(
      {a}, [](const auto& in) { return jacobi(in[0]); },
      [](const auto&, const auto& out, const auto& grad) {
        const Tensor &w = out[0], &v = out[1];
        const Dim n = v.dim(-1);
        const Tensor same = equal(positions(v, n, -1, v.rank()), positions(v, n, -2, v.rank()));
        const Tensor gaps = expand_dims(w, -2) - expand_dims(w, -1);
        const Tensor inner = select(same, expand_dims(grad[0], -1), matmul(matrix_transpose(v), grad[1]) / select(same, 1, gaps));
        const Tensor da = matmul(v, matmul(inner, matrix_transpose(v)));
        return std::vector<Tensor>{0.5 * (da + matrix_transpose(da))};
      },
      "eigh");
  return {parts[0], parts[1]};
}

}  // namespace kiln

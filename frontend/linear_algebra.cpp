// Parts of the factorisations (linear_algebra.h), norms and powers.
#include "frontend/linear_algebra.h"

#include <fmt/format.h>
#include <cmath>

#include "kiln/einsum.h"

namespace kiln {

namespace detail {

Tensor MatrixCall::matrix(const Operand& operand) {
  const Tensor x = tensor(operand);
  require_floating(x, true);
  require_rank(x, 2, "a matrix", "expand_dims(x, -1) makes a column of a vector");
  return x;
}

Tensor MatrixCall::square_matrix(const Operand& operand) {
  const Tensor x = matrix(operand);
  const ir::Dims& dims = type_of(x).dims;
  if (ir::equals(dims[dims.size() - 2], dims.back()) != ir::Truth::yes)
    fail(ErrorCode::shape_mismatch, fmt::format("the matrix must be square, but is {}", to_string(x)),
         "its last two extents are equal; lstsq() and pinv() take others");
  return x;
}

void MatrixCall::require_same_batch(const Tensor& a, const Tensor& b) {
  const ir::Dims &p = type_of(a).dims, &q = type_of(b).dims;
  bool fits = p.size() == q.size();
  for (std::size_t i = 0; fits && i + 2 < p.size(); ++i) fits = ir::equals(p[i], q[i]) == ir::Truth::yes;
  if (!fits)
    fail(ErrorCode::shape_mismatch, fmt::format("the batch axes of {} and {} are not equal", to_string(a), to_string(b)),
         "broadcast_to() repeats one of them");
}

namespace {

Emitter emitter_at(const Tensor& near) {
  return Emitter(*Access::state(near), "linear algebra", LocationScope::resolve(location_of(near)));
}

Dims batch_and(const Tensor& x, std::initializer_list<Dim> last) {
  std::vector<Dim> dims;
  for (std::size_t i = 0; i + 2 < x.rank(); ++i) dims.push_back(x.dims()[i]);
  dims.insert(dims.end(), last);
  return dims;
}

}  // namespace

Tensor positions(const Tensor& near, const Dim& n, std::int64_t axis, std::size_t rank) {
  Emitter emitter = emitter_at(near);
  ir::Dims dims(rank, ir::Dim(1));
  dims[static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis)] = DimValue::unwrap(n);
  return emitter.wrap(emitter.builder().create(
      ir::Op::iota, {}, {{"dtype", i64}, {"dims", dims}, {"dim", axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis}}));
}

Tensor extent(const Tensor& near, const Dim& n) {
  Emitter emitter = emitter_at(near);
  return n.is_constant() ? emitter.wrap(emitter.scalar(n.value(), i64)) : emitter.wrap(emitter.builder().dim_size(DimValue::unwrap(n)));
}

Tensor identity_like(const Tensor& x, const Dim& m, const Dim& n) {
  const Tensor square = equal(positions(x, m, 0, 2), positions(x, n, 1, 2));
  return broadcast_to(convert(square, x.dtype()), batch_and(x, {m, n}));
}

Tensor lower_triangle(const Tensor& x, std::int64_t diagonal) {
  return select(less_equal(positions(x, x.dim(-1), -1, x.rank()), positions(x, x.dim(-2), -2, x.rank()) + diagonal), x, 0);
}

Tensor upper_triangle(const Tensor& x, std::int64_t diagonal) {
  return select(greater_equal(positions(x, x.dim(-1), -1, x.rank()), positions(x, x.dim(-2), -2, x.rank()) + diagonal), x, 0);
}

Tensor diagonal_of(const Tensor& x) {
  return reduce_sum(select(equal(positions(x, x.dim(-1), -1, x.rank()), positions(x, x.dim(-2), -2, x.rank())), x, 0), -1);
}

Tensor diagonal_matrix(const Tensor& values) {
  const Dim n = values.dim(-1);
  const std::size_t rank = values.rank() + 1;
  return select(equal(positions(values, n, -1, rank), positions(values, n, -2, rank)), expand_dims(values, -1), 0);
}

Tensor matrix_vector(const Tensor& a, const Tensor& x) { return squeeze(matmul(a, expand_dims(x, -1)), -1); }
Tensor transposed_matrix_vector(const Tensor& a, const Tensor& x) { return squeeze(matmul(expand_dims(x, -2), a), -2); }
Tensor outer_product(const Tensor& a, const Tensor& b) { return expand_dims(a, -1) * expand_dims(b, -2); }

Tensor row_at(const Tensor& a, const Tensor& k) { return take(a, k, -2); }
Tensor column_at(const Tensor& a, const Tensor& k) { return take(a, k, -1); }
Tensor element_at(const Tensor& x, const Tensor& k) { return take(x, k, -1); }

Tensor with_row(const Tensor& a, const Tensor& k, const Tensor& row) {
  return select(equal(positions(a, a.dim(-2), -2, a.rank()), k), expand_dims(row, -2), a);
}

Tensor with_column(const Tensor& a, const Tensor& k, const Tensor& column) {
  return select(equal(positions(a, a.dim(-1), -1, a.rank()), k), expand_dims(column, -1), a);
}

namespace {

constexpr int closed_orders = 2;
thread_local int order = 0;  ///< how many backward bodies are being built around this call

class OrderScope {
 public:
  explicit OrderScope(int next) : before_(order) { order = next; }
  ~OrderScope() { order = before_; }
  OrderScope(const OrderScope&) = delete;

 private:
  int before_;
};

}  // namespace

std::vector<Tensor> with_closed_gradient(const std::vector<Tensor>& inputs, const ForwardFunction& forward,
                                         const BackwardFunction& backward, const std::string& name) {
  if (order >= closed_orders) return forward(inputs);
  return custom_gradient(
      inputs,
      [&](const auto& in) {
        // Nothing differentiates what is in here.
        OrderScope inside(closed_orders);
        return forward(in);
      },
      [&](const auto& in, const auto& out, const auto& grad) {
        OrderScope inside(order + 1);
        return backward(in, out, grad);
      },
      name);
}

std::vector<Tensor> counted_loop(const Dim& n, const std::vector<Tensor>& initial,
                                 const std::function<std::vector<Tensor>(const Tensor& k, const std::vector<Tensor>& values)>& body) {
  if (n == Dim(0)) return initial;
  std::vector<Tensor> carried{extent(initial[0], 0)};
  carried.insert(carried.end(), initial.begin(), initial.end());
  WhileOptions options;
  if (n.is_constant()) options.max_trip_count = n.value();
  const Tensor count = extent(initial[0], n);
  std::vector<Tensor> last = while_loop([&](const auto& v) { return less(v[0], count); },
                                        [&](const auto& v) {
                                          std::vector<Tensor> next{v[0] + 1};
                                          const std::vector<Tensor> values = body(v[0], {v.begin() + 1, v.end()});
                                          next.insert(next.end(), values.begin(), values.end());
                                          return next;
                                        },
                                        carried, options, std::source_location::current());
  last.erase(last.begin());
  return last;
}

}  // namespace detail

using namespace detail;

Tensor matrix_norm(const Operand& operand, MatrixNorm norm) {
  Composite of({&operand}, "matrix_norm");
  const Tensor x = of.tensor(operand);
  of.require_floating(x);
  of.require_rank(x, 2, "a matrix", "vector_norm() takes any rank");
  const auto last = static_cast<std::int64_t>(x.rank()) - 1;
  switch (norm) {
    case MatrixNorm::one: return reduce_max(reduce_sum(abs(x), last - 1), -1);
    case MatrixNorm::infinity: return reduce_max(reduce_sum(abs(x), last), -1);
    case MatrixNorm::frobenius: break;
  }
  return vector_norm(x, 2, {last - 1, last});
}

Tensor matrix_power(const Operand& operand, std::int64_t exponent) {
  MatrixCall of({&operand}, "matrix_power");
  Tensor square = of.square_matrix(operand);
  if (exponent == 0) return identity_like(square, square.dim(-1), square.dim(-1));
  if (exponent < 0) square = inverse(square);
  std::uint64_t left = exponent < 0 ? 0 - static_cast<std::uint64_t>(exponent) : static_cast<std::uint64_t>(exponent);
  Tensor product;
  while (true) {
    if (left & 1) product = product.valid() ? matmul(product, square) : square;
    left >>= 1;
    if (left == 0) return product;
    square = matmul(square, square);
  }
}

namespace {

/// Higham, The scaling and squaring method for the matrix exponential revisited (SIAM J. Matrix Anal. 26, 2005): the [13/13] Pade
/// approximant is exact to double precision for a 1-norm up to 5.37.
Tensor exponential(const Tensor& a) {
  constexpr double coefficients[] = {64764752532480000.,
                                     32382376266240000.,
                                     7771770303897600.,
                                     1187353796428800.,
                                     129060195264000.,
                                     10559470521600.,
                                     670442572800.,
                                     33522128640.,
                                     1323241920.,
                                     40840800.,
                                     960960.,
                                     16380.,
                                     182.,
                                     1.};
  constexpr double largest_norm = 5.371920351148152;
  const Dim n = a.dim(-1);
  // One number of squarings for the whole batch: a matrix may be scaled further than it needs. Neither it nor the scale has a gradient.
  const Tensor norm = stop_gradient(reduce_max(matrix_norm(a, MatrixNorm::one)));
  const Tensor squarings = convert(clamp(ceil(log(norm / largest_norm) * (1 / std::log(2.0))), 0, 1000), i64);
  const Tensor x = a * power(0.5, convert(squarings, a.dtype()));

  const Tensor identity = identity_like(x, n, n);
  const Tensor x2 = matmul(x, x), x4 = matmul(x2, x2), x6 = matmul(x2, x4);
  const auto c = [&](int i) { return coefficients[i]; };
  const Tensor odd = matmul(x, matmul(x6, c(13) * x6 + c(11) * x4 + c(9) * x2) + c(7) * x6 + c(5) * x4 + c(3) * x2 + c(1) * identity);
  const Tensor even = matmul(x6, c(12) * x6 + c(10) * x4 + c(8) * x2) + c(6) * x6 + c(4) * x4 + c(2) * x2 + c(0) * identity;
  const Tensor scaled = solve(even - odd, even + odd);
  return while_loop([&](const auto& v) { return less(v[0], squarings); },
                    [&](const auto& v) { return std::vector<Tensor>{v[0] + 1, matmul(v[1], v[1])}; }, {extent(a, 0), scaled})[1];
}

}  // namespace

Tensor matrix_exp(const Operand& operand) {
  MatrixCall of({&operand}, "matrix_exp");
  const Tensor a = of.square_matrix(operand);
  if (a.dim(-1) == Dim(0)) return a;
  // The derivative in direction g is a block of the exponential of a matrix twice as large: exp([[x, g], [0, x]]) has it at the top right
  // (Mathias 1996). The cotangent's direction is that of the transpose.
  return with_closed_gradient(
      {a}, [](const auto& in) { return std::vector<Tensor>{exponential(in[0])}; },
      [](const auto& in, const auto&, const auto& grad) {
        const Tensor x = matrix_transpose(in[0]);
        const Tensor block = concatenate({concatenate({x, grad[0]}, -1), concatenate({zeros_like(x), x}, -1)}, -2);
        const Tensor whole = matrix_exp(block);
        const Dim n = x.dim(-1);
        Dims starts(std::vector<Dim>(x.rank(), Dim(0))), limits = x.dims();
        starts[x.rank() - 1] = n;
        limits[x.rank() - 1] = n * 2;
        return std::vector<Tensor>{slice(whole, starts, limits)};
      },
      "matrix_exp")[0];
}

}  // namespace kiln

// Parts of composites (composite.h).
#include "frontend/composite.h"

#include <fmt/format.h>
#include <algorithm>
#include <limits>
#include <numeric>

#include "kiln/gradients.h"

namespace kiln::detail {

namespace {

/// The innermost operand's graph: composites append where their operands allow it.
Emitter emitter_near(const Tensor& near, const char* op) {
  type_of(near);
  return Emitter(*Access::state(near), op, LocationScope::resolve(location_of(near)));
}

}  // namespace

Composite::Composite(std::initializer_list<const Operand*> operands, const char* name)
    : scope_((*operands.begin())->location()), emitter_(operands, name) {
  dtype_ = emitter_.common_dtype(operands);
}

Composite::Composite(const Tensor& near, const char* name, const Location& location)
    : scope_(location), emitter_((type_of(near), *Access::state(near)), name, location) {}

Composite::Composite(Graph& graph, const char* name, const Location& location)
    : scope_(location), emitter_(Access::state(graph), name, location) {}

Tensor Composite::tensor(const Operand& operand) {
  if (operand.is_tensor()) {
    emitter_.use(operand.tensor());  // refuses tensors of other graphs in this function's name
    return operand.tensor();
  }
  return emitter_.wrap(emitter_.scalar(operand.scalar(), *dtype_));
}

void Composite::require_floating(const Tensor& x, bool float32_up) const {
  const DType dtype = x.dtype();
  if (is_floating(dtype) && !(float32_up && size_of(dtype) < 4)) return;
  fail(ErrorCode::dtype_mismatch, fmt::format("takes {} tensors, but was given {}", float32_up ? "f32 and f64" : "floating", to_string(x)),
       "convert it first: convert(x, f32)");
}

void Composite::require_integer(const Tensor& x, const char* what) const {
  if (!is_integer(x.dtype()))
    fail(ErrorCode::dtype_mismatch, fmt::format("{} must be integers, but are {}", what, to_string(x)), "convert them: convert(x, i64)");
}

void Composite::require_same_dims(const Tensor& a, const Tensor& b, const char* what_a, const char* what_b) const {
  const ir::Dims &p = type_of(a).dims, &q = type_of(b).dims;
  bool fits = p.size() == q.size();
  for (std::size_t i = 0; fits && i < p.size(); ++i) fits = ir::equals(p[i], q[i]) == ir::Truth::yes;
  if (!fits)
    fail(ErrorCode::shape_mismatch, fmt::format("{} {} and {} {} do not have the same shape", what_a, to_string(a), what_b, to_string(b)),
         "reshape() or broadcast_to() one of them");
}

void Composite::require_rank(const Tensor& x, std::size_t least, const char* what, const char* hint) const {
  if (x.rank() < least)
    fail(ErrorCode::shape_mismatch, fmt::format("{} has {} axes, but {} has at least {}", to_string(x), x.rank(), what, least), hint);
}

std::vector<std::int64_t> Composite::axes(const Axes& axes, const Tensor& x) const {
  std::vector<std::int64_t> list(x.rank());
  if (axes.all()) {
    std::iota(list.begin(), list.end(), 0);
    return list;
  }
  list.clear();
  for (const std::int64_t a : axes.list()) list.push_back(axis(a, x));
  std::sort(list.begin(), list.end());
  if (const auto twice = std::adjacent_find(list.begin(), list.end()); twice != list.end())
    fail(ErrorCode::invalid_argument, fmt::format("axis {} is given twice", *twice), "name each axis once");
  return list;
}

Tensor Composite::iota(DType dtype, const Dims& dims, std::int64_t axis) {
  Emitter here(state(), emitter_.op(), emitter_.location());
  return here.wrap(here.builder().create(ir::Op::iota, {}, {{"dtype", dtype}, {"dims", to_ir(dims)}, {"dim", axis}}));
}

Tensor Composite::number(Scalar value, DType dtype) {
  Emitter here(state(), emitter_.op(), emitter_.location());
  return here.wrap(here.scalar(value, dtype));
}

Tensor Composite::full(DType dtype, const Dims& dims, Scalar value) {
  Emitter here(state(), emitter_.op(), emitter_.location());
  return here.wrap(here.broadcast_to(here.scalar(value, dtype), to_ir(dims)));
}

Tensor Composite::count(const Dims& dims, const std::vector<std::int64_t>& axes, DType dtype) {
  Emitter here(state(), emitter_.op(), emitter_.location());
  ir::Dim product = 1;
  const ir::Dims extents = to_ir(dims);
  for (const std::int64_t axis : axes) product *= extents[static_cast<std::size_t>(axis)];
  if (product.is_constant()) return number(product.constant(), dtype);
  return here.wrap(here.builder().convert(here.builder().dim_size(product), dtype));
}

std::vector<Tensor> apply_many(ir::Op op, const std::vector<Tensor>& operands, ir::Attributes attributes) {
  Emitter emitter = emitter_near(operands[0], "");
  std::vector<ir::ValueId> values;
  for (const Tensor& operand : operands) values.push_back(emitter.use(operand));
  std::vector<Tensor> results;
  for (const ir::ValueId value : emitter.builder().create_many(op, std::move(values), std::move(attributes)))
    results.push_back(emitter.wrap(value));
  return results;
}

Tensor apply(ir::Op op, const std::vector<Tensor>& operands, ir::Attributes attributes) {
  return apply_many(op, operands, std::move(attributes))[0];
}

Tensor dot_general(const Tensor& a, const Tensor& b, std::vector<std::int64_t> a_batch, std::vector<std::int64_t> b_batch,
                   std::vector<std::int64_t> a_contract, std::vector<std::int64_t> b_contract) {
  Emitter emitter = emitter_near(a, "dot_general");
  const ir::ValueId left = emitter.use(a), right = emitter.use(b);
  return emitter.wrap(
      emitter.builder().dot_general(left, right, std::move(a_batch), std::move(b_batch), std::move(a_contract), std::move(b_contract)));
}

Tensor reshaped(const Tensor& x, const Dims& dims) {
  Emitter emitter = emitter_near(x, "reshape");
  const ir::Dims wanted = to_ir(dims);
  const ir::ValueId value = emitter.use(x);
  return emitter.wrap(emitter.builder().type(value).dims == wanted ? value : emitter.builder().reshape(value, wanted));
}

Tensor spread(const Tensor& x, const Dims& dims, std::vector<std::int64_t> positions) {
  Emitter emitter = emitter_near(x, "broadcast_in_dim");
  const ir::ValueId value = emitter.use(x);
  return emitter.wrap(emitter.builder().broadcast_in_dim(value, to_ir(dims), std::move(positions)));
}

Tensor along(const Tensor& vector, std::int64_t axis, std::size_t rank) {
  std::vector<Dim> dims(rank, Dim(1));
  dims[static_cast<std::size_t>(axis)] = vector.dim(0);
  return reshaped(vector, dims);
}

Tensor swap_axes(const Tensor& x, std::int64_t a, std::int64_t b) {
  if (a == b) return x;
  std::vector<std::int64_t> permutation(x.rank());
  std::iota(permutation.begin(), permutation.end(), 0);
  std::swap(permutation[static_cast<std::size_t>(a)], permutation[static_cast<std::size_t>(b)]);
  return transpose(x, permutation);
}

Tensor matrix_transpose(const Tensor& x) {
  const auto rank = static_cast<std::int64_t>(x.rank());
  return swap_axes(x, rank - 2, rank - 1);
}

Tensor stable_softplus(const Tensor& x) {
  return custom_gradient(
      {x}, [](const auto& in) { return std::vector<Tensor>{maximum(in[0], 0) + log1p(exp(-abs(in[0])))}; },
      [](const auto& in, const auto&, const auto& grad) { return std::vector<Tensor>{grad[0] * sigmoid(in[0])}; }, "softplus")[0];
}

Tensor weighted(const Tensor& weight, const Tensor& value) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Tensor void_product = logical_and(equal(weight, 0), equal(abs(value), infinity));
  return weight * select(void_product, 0, value);
}

Tensor norm_sqrt(const Tensor& sum_of_squares) {
  const Tensor zero = equal(sum_of_squares, 0);
  return select(zero, 0, sqrt(select(zero, 1, sum_of_squares)));
}

}  // namespace kiln::detail

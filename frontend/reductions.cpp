// Reductions and the matrix product.
#include <fmt/format.h>
#include <algorithm>

#include "frontend/composite.h"
#include "frontend/wide.h"
#include "kiln/operators.h"

namespace kiln {

using namespace detail;

namespace {

bool is_number(DType dtype) { return dtype != DType::boolean; }
bool is_boolean(DType dtype) { return dtype == DType::boolean; }

/// The axes as a sorted list without doubles.
std::vector<std::int64_t> resolve(const Emitter& emitter, const Axes& axes, std::size_t rank) {
  std::vector<std::int64_t> list;
  if (axes.all()) {
    for (std::size_t i = 0; i < rank; ++i) list.push_back(static_cast<std::int64_t>(i));
    return list;
  }
  for (const std::int64_t axis : axes.list()) list.push_back(emitter.axis(axis, rank));
  std::sort(list.begin(), list.end());
  if (const auto twice = std::adjacent_find(list.begin(), list.end()); twice != list.end())
    emitter.fail(ErrorCode::invalid_argument, fmt::format("axis {} is given twice", *twice), "name each axis once");
  return list;
}

ir::ValueId keep(Emitter& emitter, ir::ValueId reduced, const ir::Dims& before, const std::vector<std::int64_t>& axes) {
  ir::Dims dims = before;
  for (const std::int64_t axis : axes) dims[static_cast<std::size_t>(axis)] = 1;
  return emitter.builder().reshape(reduced, dims);
}

Tensor reduce(const char* name, const char* combiner, const Operand& x, const Axes& axes, bool keep_dims, bool (*accepts)(DType),
              const char* wanted) {
  Emitter emitter({&x}, name);
  const ir::ValueId value = emitter.use(x.tensor());
  emitter.require_dtypes(value, accepts, wanted, wanted[0] == 'b' ? "compare first: greater(x, 0)" : "convert it first: convert(x, f32)");
  const ir::Dims before = emitter.builder().type(value).dims;
  const std::vector<std::int64_t> list = resolve(emitter, axes, before.size());
  if (list.empty()) return emitter.wrap(value);
  ir::ValueId result = emitter.builder().reduce(value, combiner, list);
  if (keep_dims) result = keep(emitter, result, before, list);
  return emitter.wrap(result);
}

}  // namespace

Tensor reduce_sum(const Operand& x, const Axes& axes, bool keep_dims) {
  return reduce("reduce_sum", "add", x, axes, keep_dims, is_number, "numeric");
}
Tensor reduce_prod(const Operand& x, const Axes& axes, bool keep_dims) {
  return reduce("reduce_prod", "multiply", x, axes, keep_dims, is_number, "numeric");
}
Tensor reduce_max(const Operand& x, const Axes& axes, bool keep_dims) {
  return reduce("reduce_max", "maximum", x, axes, keep_dims, is_number, "numeric");
}
Tensor reduce_min(const Operand& x, const Axes& axes, bool keep_dims) {
  return reduce("reduce_min", "minimum", x, axes, keep_dims, is_number, "numeric");
}
Tensor reduce_all(const Operand& x, const Axes& axes, bool keep_dims) {
  return reduce("reduce_all", "and", x, axes, keep_dims, is_boolean, "bool");
}
Tensor reduce_any(const Operand& x, const Axes& axes, bool keep_dims) {
  return reduce("reduce_any", "or", x, axes, keep_dims, is_boolean, "bool");
}

Tensor reduce_mean(const Operand& x, const Axes& axes, bool keep_dims) {
  Composite of({&x}, "reduce_mean");
  Emitter emitter({&x}, "reduce_mean");
  emitter.require_dtypes(emitter.use(x.tensor()), is_floating, "floating", "convert it first: convert(x, f32)");
  return in_wide(x.tensor(), [&](const Tensor& wide) {
    const Tensor sum = reduce("reduce_mean", "add", wide, axes, keep_dims, is_floating, "floating");
    return sum / of.count(wide.dims(), of.axes(axes, wide), wide.dtype());
  });
}

namespace {

Tensor argument(const char* name, const char* direction, const Operand& x, std::int64_t axis, bool keep_dims, bool last) {
  Composite of({&x}, name);
  Emitter emitter({&x}, name);
  const ir::ValueId value = emitter.use(x.tensor());
  emitter.require_dtypes(value, is_number, "numeric", "convert it first: convert(x, i32)");
  const std::int64_t dim = emitter.axis(axis, x.tensor().rank());
  const ir::Attributes attributes{{"direction", std::string(direction)}, {"dimension", dim}};
  Tensor position = apply(ir::Op::arg_reduce, {last ? reverse(x.tensor(), dim) : x.tensor()}, attributes);
  if (last) {
    // The first one from behind; -1 stays -1.
    const Tensor behind = of.count(x.tensor().dims(), {dim}, i64) - 1;
    position = select(less(position, 0), position, behind - position);
  }
  return keep_dims ? expand_dims(position, dim) : position;
}

}  // namespace

Tensor argmax(const Operand& x, std::int64_t axis, bool keep_dims, bool last) {
  return argument("argmax", "maximum", x, axis, keep_dims, last);
}
Tensor argmin(const Operand& x, std::int64_t axis, bool keep_dims, bool last) {
  return argument("argmin", "minimum", x, axis, keep_dims, last);
}

// ---- products

Tensor matmul(const Operand& a, const Operand& b) {
  Emitter emitter({&a, &b}, "matmul");
  if (!a.is_tensor() || !b.is_tensor())
    emitter.fail(ErrorCode::invalid_argument,
                 fmt::format("needs two tensors, but was given a number and {}", to_string(a.is_tensor() ? a.tensor() : b.tensor())),
                 "operator * multiplies by a number");
  emitter.common_dtype({&a, &b});
  ir::Builder& builder = emitter.builder();
  ir::ValueId left = emitter.use(a.tensor()), right = emitter.use(b.tensor());
  emitter.require_dtypes(left, is_number, "numeric", "convert them first: convert(x, f32)");
  const ir::Type p = builder.type(left), q = builder.type(right);
  const auto explain = [&](const std::string& what) { return fmt::format("{} and {}: {}", ir::to_string(p), ir::to_string(q), what); };
  if (p.rank() == 0 || q.rank() == 0)
    emitter.fail(ErrorCode::shape_mismatch, explain("a scalar is no matrix"), "operator * multiplies element by element");
  const std::size_t left_inner = p.rank() - 1, right_inner = q.rank() == 1 ? 0 : q.rank() - 2;
  const ir::Dim &k = p.dims[left_inner], &l = q.dims[right_inner];
  switch (ir::equals(k, l)) {
    case ir::Truth::yes: break;
    case ir::Truth::unknown:
      if (builder.checkable(k, l)) {
        ir::Dims dims = q.dims;
        dims[right_inner] = k;
        right = builder.create(
            ir::Op::match_extents, {right},
            {{"dims", dims},
             {"left", ir::Dims{k}},
             {"right", ir::Dims{l}},
             {"message", fmt::format("matmul: {}", explain(fmt::format("inner dims {} and {} differ", ir::to_string(k), ir::to_string(l))))}});
        break;
      }
      emitter.fail(ErrorCode::shape_mismatch, explain(fmt::format("inner dims {} and {} may differ", ir::to_string(k), ir::to_string(l))),
                   "use one symbol for both");
    case ir::Truth::no: {
      std::string hint =
          "the last dim of the left operand must equal the last but one of the right: matmul(a, transpose(b)) turns the right one round";
      if (q.rank() == 1) hint = "the last dim of the left operand must equal the length of the right";
      emitter.fail(ErrorCode::shape_mismatch, explain(fmt::format("inner dims {} and {} differ", ir::to_string(k), ir::to_string(l))),
                   hint);
    }
  }

  if (p.rank() <= 2 && q.rank() <= 2)
    return emitter.wrap(
        builder.dot_general(left, right, {}, {}, {static_cast<std::int64_t>(left_inner)}, {static_cast<std::int64_t>(right_inner)}));
  if (q.rank() <= 2)  // one matrix for all: the leading dims are rows
    return emitter.wrap(
        builder.dot_general(left, right, {}, {}, {static_cast<std::int64_t>(left_inner)}, {static_cast<std::int64_t>(right_inner)}));

  // Leading dims are broadcast, then are batch dims. A vector on the left is a row, whose dim is dropped again.
  const bool row = p.rank() == 1;
  const std::size_t left_batch = row ? 0 : p.rank() - 2, right_batch = q.rank() - 2, batch = std::max(left_batch, right_batch);
  ir::Dims shared(batch, ir::Dim(1));
  for (const auto& [dims, count] : {std::pair(&p.dims, left_batch), std::pair(&q.dims, right_batch)})
    for (std::size_t i = 0; i < count; ++i) {
      ir::Dim& extent = shared[batch - count + i];
      const ir::Dim& other = (*dims)[i];
      if (extent == other || other.is_constant(1)) continue;
      if (!extent.is_constant(1) && ir::equals(extent, other) != ir::Truth::no && builder.checkable(extent, other)) continue;
      if (!extent.is_constant(1))
        emitter.fail(ErrorCode::shape_mismatch,
                     explain(fmt::format("batch dims {} and {} differ", ir::to_string(extent), ir::to_string(other))),
                     "leading dims are broadcast: they must be equal, or one of them 1");
      extent = other;
    }
  const auto spread = [&](ir::ValueId value, const ir::Type& type, std::size_t own) {
    ir::Dims dims = shared;
    dims.insert(dims.end(), type.dims.begin() + static_cast<std::ptrdiff_t>(own), type.dims.end());
    return emitter.broadcast_to(value, dims);
  };
  left = spread(left, p, left_batch);
  right = spread(right, q, right_batch);
  std::vector<std::int64_t> batches(batch);
  for (std::size_t i = 0; i < batch; ++i) batches[i] = static_cast<std::int64_t>(i);
  const auto last = static_cast<std::int64_t>(batch);
  return emitter.wrap(builder.dot_general(left, right, batches, batches, {row ? last : last + 1}, {last}));
}

}  // namespace kiln

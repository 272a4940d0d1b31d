// Reductions, the softmax family, and the matrix product.
//
// The softmax family is written in primitives, max-shifted so that nothing overflows; fusion makes one kernel per row of it. The shift
// carries no gradient: it cancels in the derivative, and dropping it leaves softmax - onehot for the cross entropy.
#include <fmt/format.h>
#include <algorithm>
#include <limits>

#include "frontend/state.h"
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
  LocationScope scope(x.location());
  Emitter emitter({&x}, "reduce_mean");
  const ir::ValueId value = emitter.use(x.tensor());
  emitter.require_dtypes(value, is_floating, "floating", "convert it first: convert(x, f32)");
  const ir::Type type = emitter.builder().type(value);
  ir::Dim count = 1;
  for (const std::int64_t axis : resolve(emitter, axes, type.rank())) count *= type.dims[static_cast<std::size_t>(axis)];
  const Tensor sum = reduce("reduce_mean", "add", x, axes, keep_dims, is_floating, "floating");
  if (count.is_constant()) return sum / static_cast<double>(count.constant());
  return sum / emitter.wrap(emitter.builder().convert(emitter.builder().dim_size(count), type.dtype));
}

namespace {

Tensor argument(const char* name, const char* combiner, const Operand& x, std::int64_t axis) {
  LocationScope scope(x.location());
  Emitter emitter({&x}, name);
  const ir::ValueId value = emitter.use(x.tensor());
  emitter.require_dtypes(value, is_number, "numeric", "convert it first: convert(x, i32)");
  const ir::Type type = emitter.builder().type(value);
  const std::int64_t dim = emitter.axis(axis, type.rank());
  const Tensor extreme = emitter.wrap(keep(emitter, emitter.builder().reduce(value, combiner, {dim}), type.dims, {dim}));
  Tensor found = equal(x.tensor(), extreme);
  if (is_floating(type.dtype)) found = logical_or(found, not_equal(x.tensor(), x.tensor()));
  const Tensor position =
      emitter.wrap(emitter.builder().create(ir::Op::iota, {}, {{"dtype", DType::i64}, {"dims", type.dims}, {"dim", dim}}));
  return reduce_min(select(found, position, std::numeric_limits<std::int64_t>::max()), dim);
}

/// x minus its maximum along the axes (0 where that is infinite, so that a row of -inf gives no NaN by inf - inf), and the maximum.
struct Shifted {
  Tensor x, shift;
};
Shifted shifted(const Tensor& x, const Axes& axes) {
  const Tensor top = stop_gradient(reduce_max(x, axes, true));
  return {x - top, top};
}

}  // namespace

Tensor argmax(const Operand& x, std::int64_t axis) { return argument("argmax", "maximum", x, axis); }
Tensor argmin(const Operand& x, std::int64_t axis) { return argument("argmin", "minimum", x, axis); }

namespace {

void require_floating(const Operand& x, const char* name) {
  Emitter emitter({&x}, name);
  emitter.require_dtypes(emitter.use(x.tensor()), is_floating, "floating", "convert it first: convert(x, f32)");
}

}  // namespace

namespace {

void require_axis(const Operand& x, std::int64_t axis, const char* name) { Emitter({&x}, name).axis(axis, type_of(x.tensor()).rank()); }

}  // namespace

Tensor logsumexp(const Operand& x, const Axes& axes, bool keep_dims) {
  LocationScope scope(x.location());
  require_floating(x, "logsumexp");
  const Tensor top = stop_gradient(reduce_max(x, axes, true));
  // An infinite maximum is its own result: subtracting it would give inf - inf.
  const Tensor shift = select(is_finite(top), top, 0);
  const Tensor result = log(reduce_sum(exp(x.tensor() - shift), axes, true)) + shift;
  if (keep_dims) return result;
  Emitter emitter({&x}, "logsumexp");
  ir::Dims dims = type_of(x.tensor()).dims;
  const std::vector<std::int64_t> list = resolve(emitter, axes, dims.size());
  for (auto axis = list.rbegin(); axis != list.rend(); ++axis) dims.erase(dims.begin() + *axis);
  return emitter.wrap(emitter.builder().reshape(emitter.use(result), dims));
}

Tensor softmax(const Operand& x, std::int64_t axis) {
  LocationScope scope(x.location());
  require_floating(x, "softmax");
  require_axis(x, axis, "softmax");
  const Tensor e = exp(shifted(x.tensor(), axis).x);
  return e / reduce_sum(e, axis, true);
}

Tensor log_softmax(const Operand& x, std::int64_t axis) {
  LocationScope scope(x.location());
  require_floating(x, "log_softmax");
  require_axis(x, axis, "log_softmax");
  const Tensor z = shifted(x.tensor(), axis).x;
  return z - log(reduce_sum(exp(z), axis, true));
}

Tensor softmax_cross_entropy(const Operand& logits, const Operand& labels) {
  LocationScope scope(logits.location());
  require_floating(logits, "softmax_cross_entropy");
  Emitter emitter({&labels}, "softmax_cross_entropy");
  const ir::Type& scores = type_of(logits.tensor());
  const ir::Type& given = type_of(labels.tensor());
  const auto explain = [&] {
    return fmt::format("logits {} and labels {} do not fit together", ir::to_string(scores), ir::to_string(given));
  };
  if (scores.rank() == 0) emitter.fail(ErrorCode::shape_mismatch, explain(), "the last axis of the logits runs over the classes");
  if (is_floating(given.dtype)) {
    if (!(given.dims == scores.dims))
      emitter.fail(ErrorCode::shape_mismatch, explain(),
                   "floating labels are probabilities, one per logit; integer labels are class indices");
    return -reduce_sum(labels.tensor() * log_softmax(logits.tensor()), -1);
  }
  if (!is_integer(given.dtype))
    emitter.fail(ErrorCode::dtype_mismatch, explain(), "labels are integer class indices or floating probabilities");
  if (!(given.dims == ir::Dims(scores.dims.begin(), scores.dims.end() - 1)))
    emitter.fail(ErrorCode::shape_mismatch, explain(), "integer labels have the shape of the logits without the last axis");
  // The label's score is picked by comparison with the position, which fuses with the row's other passes, as a gather would not.
  const Tensor position = emitter.wrap(emitter.builder().create(
      ir::Op::iota, {}, {{"dtype", given.dtype}, {"dims", scores.dims}, {"dim", static_cast<std::int64_t>(scores.rank()) - 1}}));
  const Tensor chosen = equal(position, expand_dims(labels.tensor(), -1));
  return -reduce_sum(select(chosen, log_softmax(logits.tensor()), 0), -1);
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

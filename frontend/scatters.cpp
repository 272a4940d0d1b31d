// Writing at computed places, and segments (kiln/indexing.h).
#include <fmt/format.h>
#include <limits>

#include "frontend/indexing.h"

namespace kiln {

using namespace detail;

namespace {

/// Updates as a tensor of x's dtype, repeated to these dims.
Tensor updates_of(Composite& c, const Tensor& x, const Operand& updates, const Dims& dims) {
  Tensor result = updates.is_tensor() ? c.tensor(updates) : c.number(updates.scalar(), x.dtype());
  if (result.dtype() != x.dtype())
    c.fail(ErrorCode::dtype_mismatch, fmt::format("{} and updates {} differ in dtype", to_string(x), to_string(result)),
           fmt::format("convert one of them: convert(updates, {})", name_of(x.dtype())));
  if (result.dims() == dims) return result;
  bool fits = result.rank() <= dims.rank();
  for (std::size_t i = 0; fits && i < result.rank(); ++i) {
    const Dim extent = result.dims()[i];
    fits = extent == Dim(1) || extent == dims[dims.rank() - result.rank() + i];
  }
  if (!fits)
    c.fail(ErrorCode::shape_mismatch, fmt::format("updates {} do not fit: {} is wanted", to_string(result), to_string(dims)),
           "dims are aligned at the right, and an extent of 1 is repeated");
  return broadcast_to(result, dims);
}

void require_numbers(const Composite& c, const Tensor& x, Combine combine) {
  if (x.dtype() == DType::boolean && combine != Combine::replace)
    c.fail(ErrorCode::dtype_mismatch, fmt::format("elements of {} can only be replaced", to_string(x)), "convert it: convert(x, u8)");
}

Tensor write_slices(Composite& c, const Operand& operand, std::int64_t axis, const Operand& indices, const Operand& updates,
                    Combine combine) {
  const Tensor x = c.tensor(operand), at = index_tensor(c, indices);
  const std::int64_t along = c.axis(axis, x);
  require_numbers(c, x, combine);
  if (at.rank() > 1)
    c.fail(ErrorCode::shape_mismatch, fmt::format("indices {} must be a vector or a scalar", to_string(at)), "reshape(indices, {-1})");
  std::vector<Dim> dims;
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(x.rank()); ++d) {
    if (d != along) dims.push_back(x.dims()[static_cast<std::size_t>(d)]);
    if (d == along)
      for (const Dim& dim : at.dims()) dims.push_back(dim);
  }
  return scatter(x, at, updates_of(c, x, updates, Dims(dims)), slices_along(along, x.rank(), at.rank()), combine);
}

Tensor write_elements(Composite& c, const Tensor& x, Tensor at, const Operand& updates, std::int64_t axis, Combine combine) {
  require_numbers(c, x, combine);
  if (x.rank() == 0 || x.rank() != at.rank())
    c.fail(ErrorCode::shape_mismatch, fmt::format("{} and indices {} do not have equal ranks of at least 1", to_string(x), to_string(at)),
           "scatter_nd() writes whole slices");
  const Dim extent = x.dims()[static_cast<std::size_t>(axis)];
  const Tensor values = updates_of(c, x, updates, at.dims());
  at = from_back(c, at, {extent});
  Dims part = at.dims();
  part[static_cast<std::size_t>(axis)] = extent;
  if (part == x.dims()) return scatter(x, at, values, elements_along(axis, x.rank()), combine);
  // The indices are shorter along other axes: only the first elements there can change.
  const Dims zero(std::vector<Dim>(x.rank(), Dim(0)));
  const Tensor changed = scatter(slice(x, zero, part), at, values, elements_along(axis, x.rank()), combine);
  std::vector<Tensor> operands{x, changed};
  for (std::size_t d = 0; d < x.rank(); ++d) operands.push_back(c.number(0, DType::i64));
  return detail::apply(ir::Op::dynamic_update_slice, operands);
}

}  // namespace

Tensor put_along_axis(const Operand& x, const Operand& indices, const Operand& updates, std::int64_t axis, Combine combine) {
  Composite c({&x}, "put_along_axis");
  const Tensor values = c.tensor(x);
  Tensor at = index_tensor(c, indices);
  const std::int64_t along = c.axis(axis, values);
  if (at.rank() == values.rank()) {
    Dims dims = values.dims();
    dims[static_cast<std::size_t>(along)] = at.dims()[static_cast<std::size_t>(along)];
    bool fits = true, equal = true;
    for (std::size_t d = 0; d < dims.rank(); ++d) {
      equal &= at.dims()[d] == dims[d];
      fits &= at.dims()[d] == dims[d] || at.dims()[d] == Dim(1);
    }
    if (!fits)
      c.fail(ErrorCode::shape_mismatch, fmt::format("{} and indices {} differ besides axis {}", to_string(values), to_string(at), along),
             "all axes but the indexed one are equal, or 1; scatter_elements() takes shorter ones");
    if (!equal) at = broadcast_to(at, dims);
  }
  return write_elements(c, values, at, updates, along, combine);
}

Tensor scatter_elements(const Operand& x, const Operand& indices, const Operand& updates, std::int64_t axis, Combine combine) {
  Composite c({&x}, "scatter_elements");
  const Tensor values = c.tensor(x);
  return write_elements(c, values, index_tensor(c, indices), updates, c.axis(axis, values), combine);
}

Tensor scatter_nd(const Operand& x, const Operand& indices, const Operand& updates, Combine combine) {
  Composite c({&x}, "scatter_nd");
  const Tensor values = c.tensor(x), at = index_tensor(c, indices);
  require_numbers(c, values, combine);
  if (at.rank() == 0 || !at.dim(-1).is_constant() || at.dim(-1).value() > static_cast<std::int64_t>(values.rank()))
    c.fail(ErrorCode::shape_mismatch, fmt::format("indices {} do not index {}", to_string(at), to_string(values)),
           "the last axis of the indices holds one index for each indexed axis, the first ones of x");
  const auto components = static_cast<std::size_t>(at.dim(-1).value());
  std::vector<Dim> dims, extents;
  for (std::size_t d = 0; d + 1 < at.rank(); ++d) dims.push_back(at.dims()[d]);
  for (std::size_t d = 0; d < values.rank(); ++d) (d < components ? extents : dims).push_back(values.dims()[d]);
  return scatter(values, from_back(c, at, Dims(extents)), updates_of(c, values, updates, Dims(dims)),
                 slices_at_vectors(0, components, values.rank(), at.rank()), combine);
}

Tensor index_add(const Operand& x, std::int64_t axis, const Operand& indices, const Operand& updates) {
  Composite c({&x}, "index_add");
  return write_slices(c, x, axis, indices, updates, Combine::add);
}

Tensor index_copy(const Operand& x, std::int64_t axis, const Operand& indices, const Operand& updates) {
  Composite c({&x}, "index_copy");
  return write_slices(c, x, axis, indices, updates, Combine::replace);
}

Tensor index_put(const Operand& x, std::initializer_list<Operand> indices, const Operand& values, bool accumulate) {
  Composite c({&x}, "index_put");
  const Tensor into = c.tensor(x);
  if (indices.size() == 0 || indices.size() > into.rank())
    c.fail(ErrorCode::invalid_argument,
           fmt::format("{} has {} axes, but there are {} index tensors", to_string(into), into.rank(), indices.size()),
           "give one for each of the first axes");
  // Index vectors, along a new last axis.
  std::vector<Tensor> parts;
  Tensor sum = c.number(0, DType::i64);
  for (const Operand& operand : indices) {
    parts.push_back(wide(index_tensor(c, operand)));
    sum = sum + parts.back();  // has the dims to which all are broadcast; nothing else uses it
  }
  for (Tensor& part : parts)
    if (!(part.dims() == sum.dims())) part = broadcast_to(part, sum.dims());
  return scatter_nd(into, stack(parts, -1), values, accumulate ? Combine::add : Combine::replace);
}

// ---- segments

namespace {

Tensor segments(const char* name, const Operand& operand, const Operand& ids, const Dim& count, Combine combine,
                const std::function<Array(DType)>& start) {
  Composite c({&operand}, name);
  const Tensor x = c.tensor(operand), at = index_tensor(c, ids);
  c.require_rank(x, 1, "what is cut into segments", "its first axis runs with the ids");
  if (x.dtype() == DType::boolean)
    c.fail(ErrorCode::dtype_mismatch, fmt::format("takes numbers, but was given {}", to_string(x)), "convert it: convert(x, i64)");
  if (at.rank() != 1 || !(at.dims()[0] == x.dims()[0]))
    c.fail(ErrorCode::shape_mismatch, fmt::format("ids {} do not fit {}", to_string(at), to_string(x)),
           "one id for each slice of x along axis 0");
  std::vector<Dim> dims;
  for (const Dim& dim : x.dims()) dims.push_back(dim);
  dims[0] = count;
  return scatter(broadcast_to(c.graph().constant(start(x.dtype())), Dims(dims)), at, x, slices_along(0, x.rank(), 1), combine);
}

Array number_array(DType dtype, double value) { return Array::full(dtype, Shape{}, value); }

/// The least or greatest value of a dtype.
Array limit_array(DType dtype, bool least) {
  if (is_floating(dtype))
    return number_array(dtype, least ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity());
  Array result(dtype, Shape{});
  visit_dtype(dtype, [&]<class T>(T) {
    if constexpr (std::is_integral_v<T>)
      result.mutable_data<T>()[0] = least ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
  });
  return result;
}

}  // namespace

Tensor segment_sum(const Operand& x, const Operand& ids, const Dim& num_segments) {
  return segments("segment_sum", x, ids, num_segments, Combine::add, [](DType dtype) { return number_array(dtype, 0); });
}
Tensor segment_prod(const Operand& x, const Operand& ids, const Dim& num_segments) {
  return segments("segment_prod", x, ids, num_segments, Combine::multiply, [](DType dtype) { return number_array(dtype, 1); });
}
Tensor segment_max(const Operand& x, const Operand& ids, const Dim& num_segments) {
  return segments("segment_max", x, ids, num_segments, Combine::maximum, [](DType dtype) { return limit_array(dtype, true); });
}
Tensor segment_min(const Operand& x, const Operand& ids, const Dim& num_segments) {
  return segments("segment_min", x, ids, num_segments, Combine::minimum, [](DType dtype) { return limit_array(dtype, false); });
}
Tensor segment_mean(const Operand& x, const Operand& ids, const Dim& num_segments) {
  Composite c({&x}, "segment_mean");
  const Tensor values = c.tensor(x);
  c.require_floating(values);
  const Tensor sum = segments("segment_mean", values, ids, num_segments, Combine::add, [](DType dtype) { return number_array(dtype, 0); });
  Tensor count = segment_sum(c.full(values.dtype(), {values.dims()[0]}, 1), ids, num_segments);
  for (std::size_t d = 1; d < values.rank(); ++d) count = expand_dims(count, -1);
  return sum / count;
}

}  // namespace kiln

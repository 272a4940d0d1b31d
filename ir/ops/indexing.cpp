// Indexing by computed integers: take reads, scatter_add adds; each is the other's gradient. Indices are clamped, so neither reads nor
// writes outside.
#include <fmt/format.h>
#include <algorithm>

#include "ir/builder.h"
#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

/// Clamping needs an element to clamp to, whatever the symbols are.
void require_elements(const InferContext& context, const Dim& extent, std::int64_t axis) {
  if (less_equal(1, extent) == Truth::yes) return;
  fail(context, ErrorCode::shape_mismatch,
       fmt::format("dim {} has extent {}, but indices need at least one element", axis, to_string(extent)),
       extent.is_constant() ? "" : "give the symbol a lower bound: Dim(\"n\", {.min = 1})");
}

void require_indices(const InferContext& context, const Type& indices) {
  if (!is_integer(indices.dtype))
    fail(context, ErrorCode::dtype_mismatch, fmt::format("indices must be integers, but are {}", to_string(indices)),
         "convert them: convert(indices, i64)");
}

/// dims with the one at `axis` replaced by those of the indices.
Dims taken_dims(const Dims& dims, const Dims& indices, std::int64_t axis) {
  Dims result(dims.begin(), dims.begin() + axis);
  result.insert(result.end(), indices.begin(), indices.end());
  result.insert(result.end(), dims.begin() + axis + 1, dims.end());
  return result;
}

std::vector<Type> infer_take(const InferContext& context) {
  const Type& table = tensor(context, 0);
  const Type& indices = tensor(context, 1);
  const std::int64_t axis = context.attributes.integer("axis");
  require_indices(context, indices);
  require_axis(context, axis, table.rank(), "axis");
  require_elements(context, table.dims[axis], axis);
  return {tensor_type(table.dtype, taken_dims(table.dims, indices.dims, axis))};
}

std::vector<Type> infer_scatter_add(const InferContext& context) {
  const Type& indices = tensor(context, 0);
  const Type& updates = tensor(context, 1);
  const Dims& dims = dims_or_empty(context.attributes, "dims");
  const std::int64_t axis = context.attributes.integer("axis");
  require_indices(context, indices);
  if (updates.dtype == DType::boolean)
    fail(context, ErrorCode::dtype_mismatch, fmt::format("updates are {}, which cannot be added", to_string(updates)),
         "convert them to a number dtype");
  require_extents(context, dims);
  require_axis(context, axis, dims.size(), "axis");
  require_elements(context, dims[axis], axis);
  const Type wanted = tensor_type(updates.dtype, taken_dims(dims, indices.dims, axis));
  const std::string no = fmt::format("updates are {}, but indices {} along dim {} of {} need {}", to_string(updates), to_string(indices),
                                     axis, to_string(dims), to_string(wanted));
  if (updates.rank() != wanted.rank()) fail(context, ErrorCode::shape_mismatch, no);
  for (std::size_t d = 0; d < wanted.rank(); ++d) require_equal(context, updates.dims[d], wanted.dims[d], no);
  return {tensor_type(updates.dtype, dims)};
}

// ---- evaluation

/// Index `i` of the array, clamped to 0 .. extent - 1.
std::int64_t clamped_index(const Array& indices, std::int64_t i, std::int64_t extent) {
  std::int64_t result = 0;
  visit_allowed<integers>(indices.dtype(), [&]<class T>(T) {
    const T index = indices.data<T>()[i];
    if (index < 0)
      result = 0;
    else
      result = static_cast<std::uint64_t>(index) >= static_cast<std::uint64_t>(extent) ? extent - 1 : static_cast<std::int64_t>(index);
  });
  return result;
}

/// The index in the table (or the result of scatter_add) that belongs to an index of the taken elements (or updates).
std::vector<std::int64_t> table_index(std::span<const std::int64_t> index, const Array& indices, std::int64_t axis, std::int64_t extent) {
  const std::size_t rank = indices.shape().rank();
  std::vector<std::int64_t> result(index.begin(), index.begin() + axis);
  result.push_back(clamped_index(indices, offset_of(indices.shape(), index.subspan(axis, rank)), extent));
  result.insert(result.end(), index.begin() + axis + rank, index.end());
  return result;
}

std::vector<Array> evaluate_take(const EvaluateContext& context) {
  const Array& table = context.operands[0];
  const std::int64_t axis = context.attributes.integer("axis");
  return {rearranged(table, context.result_shapes[0], [&](std::span<const std::int64_t> index) {
    return offset_of(table.shape(), table_index(index, context.operands[1], axis, table.shape()[axis]));
  })};
}

std::vector<Array> evaluate_scatter_add(const EvaluateContext& context) {
  const Array& indices = context.operands[0];
  const Array& updates = context.operands[1];
  const std::int64_t axis = context.attributes.integer("axis");
  const Shape& shape = context.result_shapes[0];
  Array result(context.result_dtypes[0], shape);
  visit_allowed<numbers>(result.dtype(), [&]<class T>(T) {
    std::vector<Compute<T>> sums(result.size(), Compute<T>{0});
    std::int64_t u = 0;
    for_each_index(updates.shape(), [&](std::span<const std::int64_t> index) {
      Compute<T>& sum = sums[offset_of(shape, table_index(index, indices, axis, shape[axis]))];
      const auto update = static_cast<Compute<T>>(updates.data<T>()[u++]);
      if constexpr (is_floating(dtype_of<T>()))
        sum += update;
      else
        sum = wrapping_add(sum, update);
    });
    std::ranges::transform(sums, result.mutable_data<T>().begin(), [](Compute<T> sum) { return static_cast<T>(sum); });
  });
  return {result};
}

// ---- gradients

void gradient_take(GradientContext& c) {
  Builder& b = c.builder();
  const std::int64_t axis = c.node().attributes.integer("axis");
  const Dims dims = b.type(c.operand(0)).dims;
  c.add(0, b.create(Op::scatter_add, {c.operand(1), c.cotangent()}, {{"dims", dims}, {"axis", axis}}));
}

void gradient_scatter_add(GradientContext& c) {
  const std::int64_t axis = c.node().attributes.integer("axis");
  if (c.needs(1)) c.add(1, c.builder().create(Op::take, {c.cotangent(), c.operand(0)}, {{"axis", axis}}));
}

// ---- lowering

/// An index operand's element as i64 in 0 .. extent - 1. u64 is cut before it is converted: its upper half would turn negative.
ScalarId clamped_scalar(ScalarBuilder& b, ScalarId index, const Dim& extent) {
  const ScalarId last = b.index_value(extent - 1);
  if (b.dtype_of(index) == DType::u64)
    return b.apply(LoopOp::convert, DType::i64,
                   {b.apply(LoopOp::minimum, DType::u64, {index, b.apply(LoopOp::convert, DType::u64, {last})})});
  const ScalarId wide = b.dtype_of(index) == DType::i64 ? index : b.apply(LoopOp::convert, DType::i64, {index});
  return b.apply(LoopOp::minimum, DType::i64, {b.apply(LoopOp::maximum, DType::i64, {wide, b.index_value(0)}), last});
}

ScalarId element_take(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  const std::int64_t axis = node.attributes.integer("axis");
  const std::size_t rank = b.operand_type(1).rank();
  const Dim extent = b.operand_type(0).dims[axis];
  const ScalarId at = clamped_scalar(b, b.operand(1, index.subspan(axis, rank)), extent);
  Dims from(index.begin(), index.begin() + axis);
  from.push_back(b.index_atom(at, 0, extent - 1));
  from.insert(from.end(), index.begin() + axis + rank, index.end());
  return b.operand(0, from);
}

/// A scatter writes where its data say, which no map from result index to operand index expresses. Turned round it is a reduction: each
/// element of the result sums the updates whose index is its own, in their order. That is right and deterministic, but for V rows and n
/// indices it is V * n work; the schedule of kernel kind "scatter" adds each update where it belongs instead.
Structured structured_scatter_add(const Node& node, std::span<const Type> operands, const Type& result) {
  const std::int64_t axis = node.attributes.integer("axis");
  const Dims indices = operands[0].dims;
  const std::size_t result_rank = result.rank();
  const DType dtype = result.dtype;
  Structured structured;
  for (const Dim& extent : result.dims) structured.axes.push_back({extent, false});
  for (const Dim& extent : indices) structured.axes.push_back({extent, true});
  structured.combiner = LoopOp::add;
  structured.identity = Literal::of(dtype, 0);
  structured.body = [axis, result_rank, dtype, extent = result.dims[axis]](ScalarBuilder& b, std::span<const Dim> axes) {
    const std::span<const Dim> which = axes.subspan(result_rank);
    Dims from(axes.begin(), axes.begin() + axis);
    from.insert(from.end(), which.begin(), which.end());
    from.insert(from.end(), axes.begin() + axis + 1, axes.begin() + result_rank);
    const ScalarId hit = b.compare(Comparison::eq, clamped_scalar(b, b.operand(0, which), extent), b.index_value(axes[axis]));
    return b.apply(LoopOp::select, dtype, {hit, b.operand(1, from), b.constant(Literal::of(dtype, 0))});
  };
  return structured;
}

// ---- samples

std::vector<Sample> samples_take(Op) {
  const Dim n = sample_symbol(), m = Dim::symbol(std::make_shared<SymbolInfo>(SymbolInfo{.name = "m", .min = 1}));
  const auto of = [](SampleClass kind, Dims table, Dims indices, std::int64_t axis, DType index_dtype = DType::i64) {
    return Sample{.kind = kind,
                  .operands = {sample_type(std::move(table)), sample_type(std::move(indices), index_dtype)},
                  .attributes = {{"axis", axis}},
                  .low = -2,
                  .high = 6};
  };
  std::vector<Sample> all = {of(SampleClass::scalar, {5}, {}, 0),       of(SampleClass::one, {1}, {1}, 0),
                             of(SampleClass::empty, {5, 3}, {0}, 0),    of(SampleClass::empty, {5, 0}, {2}, 0),
                             of(SampleClass::odd, {5, 3}, {7}, 0),      of(SampleClass::odd, {2, 5, 3}, {2, 2}, 1),
                             of(SampleClass::odd, {3, 5}, {4}, 1),      of(SampleClass::wide, {4, 67}, {9}, 0),
                             of(SampleClass::symbolic, {5, 3}, {n}, 0), of(SampleClass::symbolic, {m, n}, {3}, 0)};
  for (int d = static_cast<int>(DType::i8); d <= static_cast<int>(DType::u64); ++d) {
    Sample sample = of(SampleClass::odd, {4, 3}, {7}, 0, static_cast<DType>(d));
    sample.generic = false;
    sample.values = {Array({4, 3}, {0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.}), sample_values({0, 3, -1, 4, 100, -1e30, 1e30})};
    all.push_back(std::move(sample));
  }
  return all;
}

std::vector<Sample> samples_scatter_add(Op) {
  const Dim n = sample_symbol();
  std::vector<Sample> all;
  const auto add = [&](SampleClass kind, Dims dims, Dims indices, std::int64_t axis, DType index_dtype, DType dtype) {
    const Dims updates = taken_dims(dims, indices, axis);
    all.push_back({.kind = kind,
                   .operands = {sample_type(std::move(indices), index_dtype), sample_type(updates, dtype)},
                   .attributes = {{"dims", std::move(dims)}, {"axis", axis}},
                   .generic = false,
                   .low = 0.5,
                   .high = 6});
  };
  for (int d = static_cast<int>(DType::i8); d < dtype_count; ++d) {
    const DType dtype = static_cast<DType>(d);
    add(SampleClass::scalar, {5}, {}, 0, DType::i64, dtype);
    add(SampleClass::one, {1}, {1}, 0, DType::i64, dtype);
    add(SampleClass::empty, {5, 3}, {0}, 0, DType::i64, dtype);
    add(SampleClass::odd, {5, 3}, {7}, 0, DType::i32, dtype);
    add(SampleClass::odd, {2, 5, 3}, {2, 2}, 1, DType::i64, dtype);
    add(SampleClass::wide, {4, 67}, {9}, 0, DType::i64, dtype);
    add(SampleClass::symbolic, {5, 3}, {n}, 0, DType::i64, dtype);
    if (is_integer(dtype)) {
      add(SampleClass::odd, {4}, {7}, 0, dtype, DType::f32);
      all.back().values = {sample_values({0, 3, -1, 4, 100, -1e30, 1e30}), sample_values({1, 2, 4, 8, 16, 32, 64})};
    }
  }
  return all;
}

constexpr AttributeSpec take_attributes[] = {{"axis", AttributeKind::integer, "the dim of the table that is indexed"}};
constexpr AttributeSpec scatter_add_attributes[] = {{"dims", AttributeKind::dims, "of the result"},
                                                    {"axis", AttributeKind::integer, "the dim of the result that is indexed"}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::take>::info = {
    .name = "take",
    .doc =
        "Slices of operand 0 along `axis` at the integers of operand 1 (of any rank, whose dims replace that of the axis), as numpy.take. "
        "Indices below 0 "
        "read the first element, those beyond the end the last.",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = take_attributes,
    .infer = infer_take,
    .evaluate = evaluate_take,
    .gradient = gradient_take,
    .element = element_take,
    .samples = samples_take,
    .no_samples = {SampleClass::broadcast, SampleClass::special_values},
};

template <>
constinit const OpInfo OpEntry<Op::scatter_add>::info = {
    .name = "scatter_add",
    .doc =
        "Zeros of `dims`, to which the slices of operand 1 (updates) are added along `axis` at the integers of operand 0, in row-major "
        "order of the "
        "updates. Indices are clamped as in take, whose gradient this is.",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = scatter_add_attributes,
    .dtypes = integers,
    .infer = infer_scatter_add,
    .evaluate = evaluate_scatter_add,
    .gradient = gradient_scatter_add,
    .structured = structured_scatter_add,
    .kernel = KernelKind::update,
    .samples = samples_scatter_add,
    .no_samples = {SampleClass::broadcast, SampleClass::special_values},
    .tolerance = 16,
};

}  // namespace kiln::ir

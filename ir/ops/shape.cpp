// Shape ops: the same elements at other indices, and the tensors that are made of indices alone.
#include <fmt/format.h>
#include <algorithm>

#include "ir/builder.h"
#include "ir/extent_checks.h"
#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

std::vector<Type> infer_iota(const InferContext& context) {
  const DType dtype = context.attributes.dtype("dtype");
  const Dims& dims = dims_or_empty(context.attributes, "dims");
  if (dtype == DType::boolean) fail(context, ErrorCode::dtype_mismatch, "bool cannot count", "count in an integer dtype and compare");
  require_extents(context, dims);
  require_axis(context, context.attributes.integer("dim"), dims.size(), "dim");
  return {tensor_type(dtype, dims)};
}

std::vector<Type> infer_dim_size(const InferContext& context) {
  if (const Dims& dims = dims_or_empty(context.attributes, "dims"); dims.size() != 1)
    fail(context, ErrorCode::invalid_argument, fmt::format("dims must hold one extent, but is {}", to_string(dims)));
  return {tensor_type(DType::i64, {})};
}

std::vector<Type> infer_broadcast_in_dim(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const Dims& dims = dims_or_empty(context.attributes, "dims");
  const auto& positions = integers_or_empty(context.attributes, "positions");
  require_extents(context, dims);
  require_length(context, positions.size(), operand.rank(), "positions");
  require_distinct_axes(context, positions, dims.size(), "positions");
  for (std::size_t i = 0; i < operand.rank(); ++i) {
    if (operand.dims[i].is_constant(1)) continue;
    const Dim& extent = dims[positions[i]];
    require_equal(context, operand.dims[i], extent,
                  fmt::format("{} cannot become {}: it has {} at dim {}, which is to be {} at dim {}; only an extent of 1 is repeated",
                              to_string(operand), to_string(dims), to_string(operand.dims[i]), i, to_string(extent), positions[i]));
  }
  return {tensor_type(operand.dtype, dims)};
}

std::vector<Type> infer_reshape(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const Dims& dims = dims_or_empty(context.attributes, "dims");
  require_extents(context, dims);
  const Dim from = product(operand.dims), to = product(dims);
  require_equal(context, from, to,
                fmt::format("{} has {} elements, {} has {}", to_string(operand), to_string(from), to_string(dims), to_string(to)));
  return {tensor_type(operand.dtype, dims)};
}

std::vector<Type> infer_match_extents(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const Dims& dims = dims_or_empty(context.attributes, "dims");
  const Dims& left = context.attributes.dims("left");
  const Dims& right = context.attributes.dims("right");
  require_extents(context, dims);
  require_length(context, right.size(), left.size(), "right");
  if (!match_by_dims(context.attributes, operand.dims, dims) &&
      !match_by_dims(context.attributes, {product(operand.dims)}, {product(dims)}))
    fail(context, ErrorCode::shape_mismatch,
         fmt::format("{} cannot become {}: {} == {} does not say that", to_string(operand), to_string(dims), to_string(left),
                     to_string(right)));
  return {tensor_type(operand.dtype, dims)};
}

std::vector<Type> infer_transpose(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const auto& permutation = integers_or_empty(context.attributes, "permutation");
  require_length(context, permutation.size(), operand.rank(), "permutation");
  require_distinct_axes(context, permutation, operand.rank(), "permutation");
  Dims dims;
  for (const std::int64_t axis : permutation) dims.push_back(operand.dims[axis]);
  return {tensor_type(operand.dtype, std::move(dims))};
}

std::vector<Type> infer_reverse(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  require_distinct_axes(context, integers_or_empty(context.attributes, "dimensions"), operand.rank(), "dimensions");
  return {operand};
}

// ---- evaluation

std::vector<Array> evaluate_iota(const EvaluateContext& context) {
  const std::int64_t dim = context.attributes.integer("dim");
  Array counts(DType::i64, context.result_shapes[0]);
  std::int64_t* out = counts.mutable_data<std::int64_t>().data();
  for_each_index(context.result_shapes[0], [&](std::span<const std::int64_t> index) { *out++ = index[dim]; });
  return {counts.convert(context.result_dtypes[0])};
}

std::vector<Array> evaluate_dim_size(const EvaluateContext& context) { return {Array(context.attributes.dims("dims")[0].constant())}; }

std::vector<Array> evaluate_broadcast_in_dim(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const auto& positions = integers_or_empty(context.attributes, "positions");
  return {rearranged(operand, context.result_shapes[0], [&](std::span<const std::int64_t> index) {
    std::vector<std::int64_t> from(positions.size());
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = operand.shape()[i] == 1 ? 0 : index[positions[i]];
    return offset_of(operand.shape(), from);
  })};
}

std::vector<Array> evaluate_reshape(const EvaluateContext& context) { return {context.operands[0].reshape(context.result_shapes[0])}; }

std::vector<Array> evaluate_match_extents(const EvaluateContext& context) {
  const Dims& left = context.attributes.dims("left");
  const Dims& right = context.attributes.dims("right");
  for (std::size_t i = 0; i < left.size(); ++i)
    if (left[i].constant() != right[i].constant())
      throw Error(ErrorCode::shape_mismatch,
                  fmt::format("{} ({} and {} in this run)", context.attributes.text("message"), left[i].constant(), right[i].constant()));
  return evaluate_reshape(context);
}

std::vector<Array> evaluate_transpose(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const auto& permutation = integers_or_empty(context.attributes, "permutation");
  return {rearranged(operand, context.result_shapes[0], [&](std::span<const std::int64_t> index) {
    std::vector<std::int64_t> from(permutation.size());
    for (std::size_t i = 0; i < from.size(); ++i) from[permutation[i]] = index[i];
    return offset_of(operand.shape(), from);
  })};
}

std::vector<Array> evaluate_reverse(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const auto& dimensions = integers_or_empty(context.attributes, "dimensions");
  return {rearranged(operand, context.result_shapes[0], [&](std::span<const std::int64_t> index) {
    std::vector<std::int64_t> from(index.begin(), index.end());
    for (const std::int64_t d : dimensions) from[d] = operand.shape()[d] - 1 - from[d];
    return offset_of(operand.shape(), from);
  })};
}

// ---- gradients

/// Sums over what was repeated, then brings the dims back into the operand's order.
void gradient_broadcast_in_dim(GradientContext& c) {
  Builder& b = c.builder();
  const Type operand = b.type(c.operand(0)), result = b.type(c.result());
  const auto& positions = integers_or_empty(c.node().attributes, "positions");
  std::vector<std::int64_t> kept, kept_operand_dims;
  for (std::size_t i = 0; i < positions.size(); ++i)
    if (operand.dims[i] == result.dims[positions[i]]) {
      kept.push_back(positions[i]);
      kept_operand_dims.push_back(static_cast<std::int64_t>(i));
    }
  ValueId sum = c.cotangent();
  if (const auto repeated = other_axes(result.rank(), kept); !repeated.empty()) sum = b.reduce_add(sum, repeated);
  // The kept dims stand in the order of their positions; entry i of the permutation says where the i-th kept operand dim stands.
  std::vector<std::int64_t> order = kept, permutation;
  std::ranges::sort(order);
  for (const std::int64_t p : kept) permutation.push_back(std::ranges::find(order, p) - order.begin());
  if (!std::ranges::is_sorted(permutation)) sum = b.transpose(sum, permutation);
  c.add(0, b.type(sum) == operand ? sum : b.reshape(sum, operand.dims));
}

void gradient_match_extents(GradientContext& c) {
  const Dims dims = c.builder().type(c.operand(0)).dims;
  c.add(0, c.builder().create(Op::match_extents, {c.cotangent()}, c.node().attributes.with("dims", dims)));
}

void gradient_reshape(GradientContext& c) {
  Builder& b = c.builder();
  const Dims dims = b.type(c.operand(0)).dims;
  c.add(0, b.reshape(c.cotangent(), dims));
}

void gradient_transpose(GradientContext& c) {
  const auto& permutation = integers_or_empty(c.node().attributes, "permutation");
  std::vector<std::int64_t> inverse(permutation.size());
  for (std::size_t i = 0; i < permutation.size(); ++i) inverse[permutation[i]] = static_cast<std::int64_t>(i);
  c.add(0, c.builder().transpose(c.cotangent(), inverse));
}

void gradient_reverse(GradientContext& c) {
  const Attributes attributes = c.node().attributes;
  c.add(0, c.builder().create(Op::reverse, {c.cotangent()}, attributes));
}

// ---- lowering

ScalarId element_iota(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  const ScalarId count = b.index_value(index[node.attributes.integer("dim")]);
  const DType dtype = b.result_type().dtype;
  return dtype == DType::i64 ? count : b.apply(LoopOp::convert, dtype, {count});
}

ScalarId element_dim_size(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim>) {
  return b.index_value(node.attributes.dims("dims")[0]);
}

ScalarId element_broadcast_in_dim(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  const auto& positions = integers_or_empty(node.attributes, "positions");
  Dims from;
  for (std::size_t i = 0; i < positions.size(); ++i)
    from.push_back(b.operand_type(0).dims[i].is_constant(1) ? Dim(0) : index[positions[i]]);
  return b.operand(0, from);
}

/// The position `linear` of a row-major space of `dims` as one index per dim.
void delinearize(Dim linear, std::span<const Dim> dims, std::span<const std::size_t> axes, Dims& index) {
  for (std::size_t i = axes.size(); i-- > 1;) {
    index[axes[i]] = mod(linear, dims[axes[i]]);
    linear = floordiv(linear, dims[axes[i]]);
  }
  if (!axes.empty()) index[axes[0]] = linear;
}

Dim linearize(std::span<const Dim> index, std::span<const Dim> dims, std::span<const std::size_t> axes) {
  Dim linear = 0;
  for (const std::size_t axis : axes) linear = linear * dims[axis] + index[axis];
  return linear;
}

/// Operand index of a reshape. Dims of extent 1 come and go freely; the others are cut into the smallest groups of neighbours with equal
/// products on both sides, so that a dim that only moves keeps its index, and a split or merge of dims involves its own dims alone.
Dims reshaped_index(std::span<const Dim> index, const Dims& from, const Dims& to) {
  const auto axes_of = [](const Dims& dims) {
    std::vector<std::size_t> axes;
    for (std::size_t d = 0; d < dims.size(); ++d)
      if (!dims[d].is_constant(1)) axes.push_back(d);
    return axes;
  };
  const std::vector<std::size_t> a = axes_of(from), b = axes_of(to);
  Dims result(from.size(), Dim(0));
  for (const Dims* dims : {&from, &to})
    for (const Dim& dim : *dims)
      if (dim.is_constant(0)) return result;  // no element has an index
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    std::size_t i_end = i + 1, j_end = j + 1;
    Dim p = from[a[i]], q = to[b[j]];
    while (!(p == q)) {
      if (j_end < b.size() && less_equal(q, p) == Truth::yes) {
        q *= to[b[j_end++]];
      } else if (i_end < a.size() && less_equal(p, q) == Truth::yes) {
        p *= from[a[i_end++]];
      } else {  // symbols do not tell which side is behind: all that is left is one group
        i_end = a.size(), j_end = b.size();
        break;
      }
    }
    if (i_end == a.size() || j_end == b.size()) i_end = a.size(), j_end = b.size();
    const std::span<const std::size_t> group_a(a.begin() + i, a.begin() + i_end), group_b(b.begin() + j, b.begin() + j_end);
    delinearize(linearize(index, to, group_b), from, group_a, result);
    i = i_end, j = j_end;
  }
  return result;
}

ScalarId element_match_extents(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  const Dims &from = b.operand_type(0).dims, &to = b.result_type().dims;
  if (match_by_dims(node.attributes, from, to)) return b.operand(0, Dims(index.begin(), index.end()));
  return b.operand(0, reshaped_index(index, from, to));
}

ScalarId element_reshape(ScalarBuilder& b, const Node&, std::size_t, std::span<const Dim> index) {
  return b.operand(0, reshaped_index(index, b.operand_type(0).dims, b.result_type().dims));
}

ScalarId element_transpose(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  const auto& permutation = integers_or_empty(node.attributes, "permutation");
  Dims from(permutation.size());
  for (std::size_t i = 0; i < permutation.size(); ++i) from[permutation[i]] = index[i];
  return b.operand(0, from);
}

ScalarId element_reverse(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  Dims from(index.begin(), index.end());
  for (const std::int64_t d : integers_or_empty(node.attributes, "dimensions")) from[d] = b.operand_type(0).dims[d] - 1 - from[d];
  return b.operand(0, from);
}

// ---- samples

std::vector<Sample> samples_iota(Op) {
  std::vector<Sample> all;
  for (int d = 1; d < dtype_count; ++d) {
    const auto add = [&](SampleClass kind, Dims dims, std::int64_t dim) {
      all.push_back({.kind = kind,
                     .attributes = {{"dtype", static_cast<DType>(d)}, {"dims", std::move(dims)}, {"dim", dim}},
                     .generic = false,
                     .differentiable = false});
    };
    add(SampleClass::empty, {0, 3}, 1);
    add(SampleClass::one, {1}, 0);
    add(SampleClass::odd, {3, 5}, 0);
    add(SampleClass::odd, {3, 5}, 1);
    add(SampleClass::wide, {300}, 0);  // wraps in 8 bits, rounds in bf16
    add(SampleClass::symbolic, {sample_symbol(), 3}, 0);
  }
  return all;
}

std::vector<Sample> samples_dim_size(Op) {
  const auto of = [](SampleClass kind, Dim dim) {
    return Sample{.kind = kind, .attributes = {{"dims", Dims{std::move(dim)}}}, .generic = false, .differentiable = false};
  };
  return {of(SampleClass::scalar, 7), of(SampleClass::symbolic, sample_symbol()), of(SampleClass::symbolic, sample_symbol() * 2 + 1)};
}

std::vector<Sample> samples_broadcast_in_dim(Op) {
  const Dim n = sample_symbol();
  const auto of = [](SampleClass kind, Dims from, Dims to, std::vector<std::int64_t> positions) {
    return Sample{.kind = kind,
                  .operands = {sample_type(std::move(from))},
                  .attributes = {{"dims", std::move(to)}, {"positions", std::move(positions)}}};
  };
  std::vector<Sample> all = {of(SampleClass::scalar, {}, {}, {}),
                             of(SampleClass::broadcast, {}, {2, 3}, {}),
                             of(SampleClass::broadcast, {1, 3}, {2, 3}, {0, 1}),
                             of(SampleClass::broadcast, {3, 1}, {2, 4, 3}, {2, 1}),  // one dim repeated, one new, order turned
                             of(SampleClass::odd, {3, 5}, {5, 2, 3}, {2, 0}),
                             of(SampleClass::one, {1}, {1, 1}, {1}),
                             of(SampleClass::one, {1}, {4}, {0}),
                             of(SampleClass::empty, {3}, {0, 3}, {1}),
                             of(SampleClass::empty, {0, 1}, {0, 2}, {0, 1}),
                             of(SampleClass::wide, {67}, {2, 67}, {1}),
                             of(SampleClass::symbolic, {n}, {3, n}, {1}),
                             of(SampleClass::symbolic, {n, 1}, {n, 5}, {0, 1}),
                             of(SampleClass::symbolic, {2}, {n, 2}, {1})};
  Sample special = of(SampleClass::special_values, {static_cast<std::int64_t>(special_values().size())},
                      {2, static_cast<std::int64_t>(special_values().size())}, {1});
  special.values = {sample_values(special_values())};
  special.differentiable = false;
  all.push_back(std::move(special));
  return all;
}

std::vector<Sample> samples_reshape(Op) {
  const Dim n = sample_symbol();
  const auto of = [](SampleClass kind, Dims from, Dims to) {
    return Sample{.kind = kind, .operands = {sample_type(std::move(from))}, .attributes = {{"dims", std::move(to)}}};
  };
  return {of(SampleClass::scalar, {}, {}),
          of(SampleClass::scalar, {}, {1, 1}),
          of(SampleClass::one, {1, 1}, {}),
          of(SampleClass::empty, {0, 3}, {5, 0}),
          of(SampleClass::odd, {3, 5}, {15}),
          of(SampleClass::odd, {15}, {5, 3}),
          of(SampleClass::odd, {2, 3, 5}, {6, 5}),
          of(SampleClass::odd, {6, 5}, {5, 6}),  // nothing in common but the size
          of(SampleClass::odd, {4, 6, 5}, {8, 3, 1, 5}),
          of(SampleClass::odd, {1, 3, 1, 5}, {3, 1, 5, 1}),
          of(SampleClass::wide, {2, 67}, {67, 2}),
          of(SampleClass::symbolic, {n, 6}, {n, 2, 3}),
          of(SampleClass::symbolic, {n, 2, 3}, {n * 2, 3}),
          of(SampleClass::symbolic, {n * 4}, {n, 4}),
          of(SampleClass::symbolic, {2, n}, {n, 2}),
          of(SampleClass::symbolic, {n}, {1, n, 1})};
}

std::vector<Sample> samples_match_extents(Op) {
  const Dim n = sample_symbol();
  const auto of = [](SampleClass kind, Dims from, Dims to, Dim left, Dim right) {
    return Sample{.kind = kind,
                  .operands = {sample_type(std::move(from))},
                  .attributes = {{"dims", std::move(to)}, {"left", Dims{left}}, {"right", Dims{right}}, {"message", "they differ"}}};
  };
  return {of(SampleClass::scalar, {}, {}, 1, 1),
          of(SampleClass::one, {1}, {1}, 1, 1),
          of(SampleClass::empty, {0, 3}, {0, 3}, 0, 0),
          of(SampleClass::odd, {3, 5}, {3, 5}, 3, 3),
          of(SampleClass::wide, {2, 67}, {2, 67}, 67, 67),
          of(SampleClass::symbolic, {n, 3}, {floordiv(n * n, max(n, 1)), 3}, n, floordiv(n * n, max(n, 1))),
          of(SampleClass::symbolic, {n, 4}, {2 * floordiv(n * n, max(n, 1)), 2}, n * 4, 4 * floordiv(n * n, max(n, 1))),
          of(SampleClass::symbolic, {n * 2}, {2, floordiv(n * n, max(n, 1))}, n * 2, 2 * floordiv(n * n, max(n, 1)))};
}

std::vector<Sample> samples_transpose(Op) {
  const Dim n = sample_symbol();
  const auto of = [](SampleClass kind, Dims from, std::vector<std::int64_t> permutation) {
    return Sample{.kind = kind, .operands = {sample_type(std::move(from))}, .attributes = {{"permutation", std::move(permutation)}}};
  };
  return {of(SampleClass::scalar, {}, {}),
          of(SampleClass::one, {1}, {0}),
          of(SampleClass::empty, {0, 3}, {1, 0}),
          of(SampleClass::odd, {3, 5}, {1, 0}),
          of(SampleClass::odd, {2, 3, 5}, {2, 0, 1}),
          of(SampleClass::odd, {2, 3, 1, 5}, {0, 2, 3, 1}),
          of(SampleClass::wide, {67, 3}, {1, 0}),
          of(SampleClass::symbolic, {n, 3, 2}, {1, 2, 0})};
}

std::vector<Sample> samples_reverse(Op) {
  const Dim n = sample_symbol();
  const auto of = [](SampleClass kind, Dims from, std::vector<std::int64_t> dimensions) {
    return Sample{.kind = kind, .operands = {sample_type(std::move(from))}, .attributes = {{"dimensions", std::move(dimensions)}}};
  };
  return {of(SampleClass::scalar, {}, {}),       of(SampleClass::one, {1}, {0}),       of(SampleClass::empty, {0, 3}, {0, 1}),
          of(SampleClass::odd, {3, 5}, {1}),     of(SampleClass::odd, {3, 5}, {0, 1}), of(SampleClass::wide, {2, 67}, {1}),
          of(SampleClass::symbolic, {n, 3}, {0})};
}

constexpr SampleClasses moves_only = {SampleClass::broadcast, SampleClass::special_values};  ///< bits are moved, never looked at

constexpr AttributeSpec iota_attributes[] = {{"dtype", AttributeKind::dtype, "of the result"},
                                             {"dims", AttributeKind::dims, "of the result", false},
                                             {"dim", AttributeKind::integer, "the dim along which it counts"}};
constexpr AttributeSpec dim_size_attributes[] = {{"dims", AttributeKind::dims, "the extent, alone in a list"}};
constexpr AttributeSpec broadcast_in_dim_attributes[] = {
    {"dims", AttributeKind::dims, "of the result", false},
    {"positions", AttributeKind::integers, "operand dim i becomes result dim positions[i]", false}};
constexpr AttributeSpec reshape_attributes[] = {{"dims", AttributeKind::dims, "of the result", false}};
constexpr AttributeSpec match_extents_attributes[] = {{"dims", AttributeKind::dims, "of the result", false},
                                                      {"left", AttributeKind::dims, "extents that must be equal to"},
                                                      {"right", AttributeKind::dims, "these"},
                                                      {"message", AttributeKind::text, "what is wrong should they differ"}};
constexpr AttributeSpec transpose_attributes[] = {
    {"permutation", AttributeKind::integers, "result dim i is operand dim permutation[i]", false}};
constexpr AttributeSpec reverse_attributes[] = {{"dimensions", AttributeKind::integers, "the dims whose order is turned round", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::iota>::info = {
    .name = "iota",
    .doc = "Each element is its index along `dim`, converted to `dtype`.",
    .attributes = iota_attributes,
    .dtypes = numbers,
    .infer = infer_iota,
    .evaluate = evaluate_iota,
    .no_gradient = "it has no operands",
    .element = element_iota,
    .samples = samples_iota,
    .no_samples = {SampleClass::scalar, SampleClass::broadcast, SampleClass::special_values},
};

template <>
constinit const OpInfo OpEntry<Op::dim_size>::info = {
    .name = "dim_size",
    .doc = "The extent as an i64 scalar.",
    .attributes = dim_size_attributes,
    .dtypes = {1 << static_cast<int>(DType::i64)},
    .infer = infer_dim_size,
    .evaluate = evaluate_dim_size,
    .no_gradient = integer_result,
    .element = element_dim_size,
    .samples = samples_dim_size,
    .no_samples = {SampleClass::empty, SampleClass::one, SampleClass::odd, SampleClass::wide, SampleClass::broadcast,
                   SampleClass::special_values},
};

template <>
constinit const OpInfo OpEntry<Op::broadcast_in_dim>::info = {
    .name = "broadcast_in_dim",
    .doc =
        "Operand dim i becomes result dim positions[i]; the other dims, and operand dims of extent 1, are repeated. A symbolic extent is "
        "never taken for "
        "1.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = broadcast_in_dim_attributes,
    .infer = infer_broadcast_in_dim,
    .evaluate = evaluate_broadcast_in_dim,
    .gradient = gradient_broadcast_in_dim,
    .element = element_broadcast_in_dim,
    .samples = samples_broadcast_in_dim,
    .no_samples = {},
};

template <>
constinit const OpInfo OpEntry<Op::reshape>::info = {
    .name = "reshape",
    .doc = "The same elements in row-major order under other dims.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = reshape_attributes,
    .infer = infer_reshape,
    .evaluate = evaluate_reshape,
    .gradient = gradient_reshape,
    .element = element_reshape,
    .samples = samples_reshape,
    .no_samples = moves_only,
};

template <>
constinit const OpInfo OpEntry<Op::match_extents>::info = {
    .name = "match_extents",
    .doc =
        "The operand under other dims, which are the same in every run: a run in which left[i] and right[i] differ fails before it starts, "
        "with Error(shape_mismatch) and `message`. Dims match one by one, or, as in a reshape, in their product. Who makes a node whose "
        "operands' extents are equal for all that is known puts one of these before it; types of all other nodes agree exactly.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = match_extents_attributes,
    .infer = infer_match_extents,
    .evaluate = evaluate_match_extents,
    .gradient = gradient_match_extents,
    .element = element_match_extents,
    .samples = samples_match_extents,
    .no_samples = moves_only,
};

template <>
constinit const OpInfo OpEntry<Op::transpose>::info = {
    .name = "transpose",
    .doc = "Result dim i is operand dim permutation[i].",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = transpose_attributes,
    .infer = infer_transpose,
    .evaluate = evaluate_transpose,
    .gradient = gradient_transpose,
    .element = element_transpose,
    .samples = samples_transpose,
    .no_samples = moves_only,
};

template <>
constinit const OpInfo OpEntry<Op::reverse>::info = {
    .name = "reverse",
    .doc = "The order of the elements along `dimensions` is turned round.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = reverse_attributes,
    .infer = infer_reverse,
    .evaluate = evaluate_reverse,
    .gradient = gradient_reverse,
    .element = element_reverse,
    .samples = samples_reverse,
    .no_samples = moves_only,
};

}  // namespace kiln::ir

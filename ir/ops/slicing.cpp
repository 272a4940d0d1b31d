// Parts and joins: slice, pad and concatenate.
//
// Slice and pad are each other's gradients, and their extents must come out as the same polynomials: a strided slice of n + max(n - 1, 0) *
// (stride - 1) elements has n (see strided_extent).
#include <fmt/format.h>
#include <algorithm>

#include "ir/builder.h"
#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

/// Extent of n elements with `interior` others between neighbours.
Dim spread(const Dim& n, std::int64_t interior) { return interior == 0 ? n : n + max(n - 1, 0) * Dim(interior); }

/// How many of `length` elements a slice with `stride` takes: the n with spread(n, stride - 1) == length where there is one in sight (pad
/// made the length), else ceildiv(length, stride).
Dim strided_extent(const Dim& length, std::int64_t stride) {
  if (stride == 1) return length;
  if (length.is_constant()) return Dim(std::max<std::int64_t>(0, ceildiv(length, stride).constant()));
  for (const DimTerm& term : terms(length))
    for (const auto& [atom, power] : term.factors)
      if (atom.kind == DimAtom::Kind::max)
        for (const Dim& n : {*atom.a + 1, *atom.b + 1})
          if (spread(n, stride - 1) == length) return n;
  return ceildiv(length, stride);
}

std::vector<Type> infer_slice(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const Dims& starts = dims_or_empty(context.attributes, "starts");
  const Dims& limits = dims_or_empty(context.attributes, "limits");
  const auto& strides = integers_or_empty(context.attributes, "strides");
  require_length(context, starts.size(), operand.rank(), "starts");
  require_length(context, limits.size(), operand.rank(), "limits");
  require_length(context, strides.size(), operand.rank(), "strides");
  Dims dims;
  for (std::size_t d = 0; d < operand.rank(); ++d) {
    if (strides[d] < 1)
      fail(context, ErrorCode::invalid_argument, fmt::format("the stride of dim {} is {}, but must be at least 1", d, strides[d]),
           "reverse() turns the order round");
    const std::string what =
        fmt::format("dim {} of {} is sliced from {} to {}", d, to_string(operand), to_string(starts[d]), to_string(limits[d]));
    require_less_equal(context, 0, starts[d], what);
    require_less_equal(context, starts[d], limits[d], what);
    require_less_equal(context, limits[d], operand.dims[d], what);
    dims.push_back(strided_extent(limits[d] - starts[d], strides[d]));
  }
  return {tensor_type(operand.dtype, std::move(dims))};
}

std::vector<Type> infer_pad(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  require_same_dtype(context, 0, 1);
  if (const Type& value = tensor(context, 1); value.rank() != 0)
    fail(context, ErrorCode::shape_mismatch, fmt::format("the padding value must be a scalar, but is {}", to_string(value)));
  const Dims& low = dims_or_empty(context.attributes, "low");
  const Dims& high = dims_or_empty(context.attributes, "high");
  const auto& interior = integers_or_empty(context.attributes, "interior");
  require_length(context, low.size(), operand.rank(), "low");
  require_length(context, high.size(), operand.rank(), "high");
  require_length(context, interior.size(), operand.rank(), "interior");
  Dims dims;
  for (std::size_t d = 0; d < operand.rank(); ++d) {
    if (interior[d] < 0)
      fail(context, ErrorCode::invalid_argument, fmt::format("interior padding of dim {} is {}, but must not be negative", d, interior[d]));
    dims.push_back(low[d] + spread(operand.dims[d], interior[d]) + high[d]);
    require_less_equal(context, 0, dims.back(),
                       fmt::format("dim {} of {} is padded by {} and {} to {}", d, to_string(operand), to_string(low[d]),
                                   to_string(high[d]), to_string(dims.back())));
  }
  return {tensor_type(operand.dtype, std::move(dims))};
}

std::vector<Type> infer_concatenate(const InferContext& context) {
  Type result = tensor(context, 0);
  const std::int64_t dim = context.attributes.integer("dim");
  require_axis(context, dim, result.rank(), "dim");
  for (std::size_t i = 1; i < context.operands.size(); ++i) {
    require_same_dtype(context, 0, i);
    const Type& part = tensor(context, i);
    const std::string no = fmt::format("{} and {} cannot be joined along dim {}: all other extents must be equal",
                                       to_string(context.operands[0]), to_string(part), dim);
    if (part.rank() != result.rank()) fail(context, ErrorCode::shape_mismatch, no);
    for (std::size_t d = 0; d < part.rank(); ++d)
      if (static_cast<std::int64_t>(d) != dim) require_equal(context, result.dims[d], part.dims[d], no);
    result.dims[dim] += part.dims[dim];
  }
  return {result};
}

// ---- evaluation

std::vector<Array> evaluate_slice(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const std::vector<std::int64_t> starts = constants(dims_or_empty(context.attributes, "starts"));
  const auto& strides = integers_or_empty(context.attributes, "strides");
  return {rearranged(operand, context.result_shapes[0], [&](std::span<const std::int64_t> index) {
    std::vector<std::int64_t> from(index.size());
    for (std::size_t d = 0; d < from.size(); ++d) from[d] = starts[d] + index[d] * strides[d];
    return offset_of(operand.shape(), from);
  })};
}

std::vector<Array> evaluate_pad(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const std::vector<std::int64_t> low = constants(dims_or_empty(context.attributes, "low"));
  const auto& interior = integers_or_empty(context.attributes, "interior");
  const auto position = [&](std::span<const std::int64_t> index) -> std::int64_t {
    std::vector<std::int64_t> from(index.size());
    for (std::size_t d = 0; d < from.size(); ++d) {
      const std::int64_t place = index[d] - low[d], step = interior[d] + 1;
      if (place < 0 || place % step != 0 || place / step >= operand.shape()[d]) return -1;
      from[d] = place / step;
    }
    return offset_of(operand.shape(), from);
  };
  return {rearranged(operand, context.result_shapes[0], position, &context.operands[1])};
}

std::vector<Array> evaluate_concatenate(const EvaluateContext& context) {
  const std::int64_t dim = context.attributes.integer("dim");
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  const std::size_t bytes = size_of(result.dtype());
  auto* to = static_cast<std::byte*>(result.mutable_raw());
  for_each_index(context.result_shapes[0], [&](std::span<const std::int64_t> index) {
    std::vector<std::int64_t> from(index.begin(), index.end());
    std::size_t part = 0;
    while (from[dim] >= context.operands[part].shape()[dim]) from[dim] -= context.operands[part++].shape()[dim];
    const Array& operand = context.operands[part];
    std::memcpy(to, static_cast<const std::byte*>(operand.raw()) + offset_of(operand.shape(), from) * bytes, bytes);
    to += bytes;
  });
  return {result};
}

// ---- gradients

/// Puts the cotangent back where the elements came from, zeros between and around.
void gradient_slice(GradientContext& c) {
  Builder& b = c.builder();
  const Attributes attributes = c.node().attributes;
  const Dims& starts = dims_or_empty(attributes, "starts");
  const auto& strides = integers_or_empty(attributes, "strides");
  const Type operand = b.type(c.operand(0)), result = b.type(c.result());
  Dims high;
  std::vector<std::int64_t> interior;
  for (std::size_t d = 0; d < operand.rank(); ++d) {
    interior.push_back(strides[d] - 1);
    high.push_back(operand.dims[d] - starts[d] - spread(result.dims[d], interior[d]));
  }
  c.add(0, b.pad(c.cotangent(), b.scalar(operand.dtype, 0), starts, high, interior));
}

/// The operand's share: pads by the negative amounts (which restores what was cut off, as zeros) and takes every (interior + 1)-th element.
/// The value's: the sum over the places where it stands, found by padding a mask.
void gradient_pad(GradientContext& c) {
  Builder& b = c.builder();
  const Attributes attributes = c.node().attributes;
  const Dims& low = dims_or_empty(attributes, "low");
  const Dims& high = dims_or_empty(attributes, "high");
  const auto& interior = integers_or_empty(attributes, "interior");
  const Type operand = b.type(c.operand(0)), result = b.type(c.result());
  const std::size_t rank = operand.rank();
  if (c.needs(0)) {
    Dims minus_low, minus_high;
    for (std::size_t d = 0; d < rank; ++d) {
      minus_low.push_back(-low[d]);
      minus_high.push_back(-high[d]);
    }
    ValueId share = b.pad(c.cotangent(), b.scalar(operand.dtype, 0), minus_low, minus_high, std::vector<std::int64_t>(rank, 0));
    if (std::ranges::any_of(interior, [](std::int64_t i) { return i > 0; })) {
      std::vector<std::int64_t> strides;
      for (const std::int64_t i : interior) strides.push_back(i + 1);
      const Dims limits = b.type(share).dims;
      share = b.slice(share, Dims(rank, Dim(0)), limits, strides);
    }
    c.add(0, share);
  }
  if (c.needs(1)) {
    const ValueId inside = b.broadcast_in_dim(b.constant(Array(false)), operand.dims, {});
    const ValueId padding = b.pad(inside, b.constant(Array(true)), low, high, interior);
    c.add(1, b.reduce_add(b.select(padding, c.cotangent(), b.zeros(result)), other_axes(rank, {})));
  }
}

void gradient_concatenate(GradientContext& c) {
  Builder& b = c.builder();
  const std::int64_t dim = c.node().attributes.integer("dim");
  const std::size_t count = c.node().operands.size();
  const Type result = b.type(c.result());
  Dims starts(result.rank(), Dim(0)), limits = result.dims;
  limits[dim] = 0;
  for (std::size_t i = 0; i < count; ++i) {
    starts[dim] = limits[dim];
    limits[dim] += b.type(c.operand(i)).dims[dim];
    if (c.needs(i)) c.add(i, b.slice(c.cotangent(), starts, limits, std::vector<std::int64_t>(result.rank(), 1)));
  }
}

// ---- lowering

ScalarId element_slice(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  const Dims& starts = dims_or_empty(node.attributes, "starts");
  const auto& strides = integers_or_empty(node.attributes, "strides");
  Dims from;
  for (std::size_t d = 0; d < index.size(); ++d) from.push_back(starts[d] + index[d] * Dim(strides[d]));
  return b.operand(0, from);
}

/// `index`, brought into 0 .. extent - 1 on the sides where it may lie outside; 0 for an empty extent.
Dim clamped(const Dim& index, const Dim& extent, bool may_be_below, bool may_be_beyond) {
  const Dim upper = may_be_beyond ? min(index, extent - 1) : index;
  const bool may_be_empty = may_be_beyond && less_equal(1, extent) != Truth::yes;
  return may_be_below || may_be_empty ? max(upper, 0) : upper;
}

ScalarId both(ScalarBuilder& b, std::optional<ScalarId> a, ScalarId c) { return a ? b.apply(LoopOp::and_, DType::boolean, {*a, c}) : c; }

/// The operand's element where the index hits one, else the value. Amounts that are known not to be positive need no comparison.
ScalarId element_pad(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  const Dims& low = dims_or_empty(node.attributes, "low");
  const Dims& high = dims_or_empty(node.attributes, "high");
  const auto& interior = integers_or_empty(node.attributes, "interior");
  const Dims& extents = b.operand_type(0).dims;
  const ScalarId value = b.operand(1, {});
  if (std::ranges::any_of(extents, [](const Dim& extent) { return extent.is_constant(0); })) return value;
  std::optional<ScalarId> inside;
  Dims from;
  for (std::size_t d = 0; d < index.size(); ++d) {
    const Dim place = index[d] - low[d], step = interior[d] + 1;
    const Dim element = floordiv(place, step);
    const bool may_be_below = less_equal(low[d], 0) != Truth::yes, may_be_beyond = less_equal(high[d], 0) != Truth::yes;
    if (may_be_below) inside = both(b, inside, b.compare(Comparison::ge, b.index_value(place), b.index_value(0)));
    if (may_be_beyond) inside = both(b, inside, b.compare(Comparison::lt, b.index_value(element), b.index_value(extents[d])));
    if (interior[d] > 0) inside = both(b, inside, b.compare(Comparison::eq, b.index_value(mod(place, step)), b.index_value(0)));
    from.push_back(clamped(element, extents[d], may_be_below, may_be_beyond));
  }
  return inside ? b.operand_where(*inside, 0, from, value) : b.operand(0, from);
}

/// Which part an index falls into is found by comparing it with the parts' ends, from the last part to the first.
ScalarId element_concatenate(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  const std::int64_t dim = node.attributes.integer("dim");
  struct Part {
    std::size_t operand;
    Dim begin, extent;
  };
  std::vector<Part> parts;
  Dim begin = 0;
  for (std::size_t i = 0; i < node.operands.size(); ++i) {
    const Dim extent = b.operand_type(i).dims[dim];
    if (!extent.is_constant(0)) parts.push_back({i, begin, extent});
    begin += extent;
  }
  const DType dtype = b.result_type().dtype;
  if (parts.empty()) return b.constant(Literal::of(dtype, 0));  // no element has an index
  ScalarId value = none;
  for (std::size_t k = parts.size(); k-- > 0;) {
    const auto& [operand, part_begin, extent] = parts[k];
    const bool first = k == 0, last = k + 1 == parts.size();
    Dims from(index.begin(), index.end());
    from[dim] = clamped(index[dim] - part_begin, extent, !first, !last);
    const ScalarId at = b.index_value(index[dim]);
    if (!last) {
      value = b.operand_where(b.compare(Comparison::lt, at, b.index_value(part_begin + extent)), operand, from, value);
    } else if (first || less_equal(1, extent) == Truth::yes) {
      value = b.operand(operand, from);
    } else {
      value = b.operand_where(b.compare(Comparison::ge, at, b.index_value(part_begin)), operand, from, b.constant(Literal::of(dtype, 0)));
    }
  }
  return value;
}

// ---- samples

std::vector<Sample> samples_slice(Op) {
  const Dim n = sample_symbol(), m = Dim::symbol(std::make_shared<SymbolInfo>(SymbolInfo{.name = "m", .min = 3}));
  const auto of = [](SampleClass kind, Dims from, Dims starts, Dims limits, std::vector<std::int64_t> strides) {
    return Sample{.kind = kind,
                  .operands = {sample_type(std::move(from))},
                  .attributes = {{"starts", std::move(starts)}, {"limits", std::move(limits)}, {"strides", std::move(strides)}}};
  };
  return {of(SampleClass::scalar, {}, {}, {}, {}),
          of(SampleClass::one, {1}, {0}, {1}, {1}),
          of(SampleClass::one, {5}, {2}, {3}, {4}),
          of(SampleClass::empty, {4, 3}, {2, 0}, {2, 3}, {1, 1}),
          of(SampleClass::empty, {0, 3}, {0, 0}, {0, 3}, {2, 2}),
          of(SampleClass::odd, {3, 5}, {1, 0}, {3, 5}, {1, 2}),
          of(SampleClass::odd, {11}, {1}, {10}, {3}),
          of(SampleClass::odd, {11}, {1}, {11}, {3}),
          of(SampleClass::wide, {2, 80}, {0, 7}, {2, 74}, {1, 1}),
          of(SampleClass::symbolic, {n, 5}, {0, 1}, {n, 4}, {1, 1}),
          of(SampleClass::symbolic, {n}, {0}, {n}, {2}),
          of(SampleClass::symbolic, {m}, {1}, {m - 1}, {1}),
          of(SampleClass::symbolic, {n + 4}, {2}, {n + 3}, {3})};
}

std::vector<Sample> samples_pad(Op) {
  const Dim n = sample_symbol();
  const auto of = [](SampleClass kind, Dims from, Dims low, Dims high, std::vector<std::int64_t> interior) {
    return Sample{.kind = kind,
                  .operands = {sample_type(std::move(from)), sample_type({})},
                  .attributes = {{"low", std::move(low)}, {"high", std::move(high)}, {"interior", std::move(interior)}}};
  };
  return {of(SampleClass::scalar, {}, {}, {}, {}),
          of(SampleClass::one, {1}, {0}, {0}, {3}),
          of(SampleClass::empty, {0, 3}, {1, 0}, {1, 2}, {2, 0}),
          of(SampleClass::empty, {3}, {-2}, {-1}, {0}),
          of(SampleClass::odd, {3, 5}, {1, 0}, {0, 2}, {0, 0}),
          of(SampleClass::odd, {3, 5}, {-1, 2}, {1, -2}, {0, 0}),
          of(SampleClass::odd, {3, 5}, {2, -1}, {-1, 3}, {1, 2}),
          of(SampleClass::wide, {2, 64}, {0, 3}, {1, 0}, {0, 0}),
          of(SampleClass::symbolic, {n, 3}, {1, 0}, {2, 0}, {0, 1}),
          of(SampleClass::symbolic, {n}, {0}, {1}, {2}),
          of(SampleClass::symbolic, {n}, {n}, {n}, {0})};
}

std::vector<Sample> samples_concatenate(Op) {
  const Dim n = sample_symbol();
  const auto of = [](SampleClass kind, std::vector<Dims> parts, std::int64_t dim) {
    Sample sample{.kind = kind, .attributes = {{"dim", dim}}};
    for (Dims& dims : parts) sample.operands.push_back(sample_type(std::move(dims)));
    return sample;
  };
  return {of(SampleClass::one, {{1}}, 0),
          of(SampleClass::empty, {{0, 3}, {0, 3}}, 0),
          of(SampleClass::empty, {{2, 0}, {2, 3}, {2, 0}}, 1),
          of(SampleClass::odd, {{3, 5}, {1, 5}, {2, 5}}, 0),
          of(SampleClass::odd, {{3, 5}, {3, 1}}, 1),
          of(SampleClass::wide, {{2, 67}, {2, 3}}, 1),
          of(SampleClass::symbolic, {{n, 3}, {2, 3}, {n, 3}}, 0),
          of(SampleClass::symbolic, {{n, 3}, {n, 2}}, 1)};
}

constexpr SampleClasses moves_only = {SampleClass::broadcast, SampleClass::special_values};  ///< bits are moved, never looked at

constexpr AttributeSpec slice_attributes[] = {{"starts", AttributeKind::dims, "first index per dim", false},
                                              {"limits", AttributeKind::dims, "one past the last index per dim", false},
                                              {"strides", AttributeKind::integers, "steps, at least 1", false}};
constexpr AttributeSpec pad_attributes[] = {
    {"low", AttributeKind::dims, "how many before the first element; negative: elements cut off", false},
    {"high", AttributeKind::dims, "how many after the last; negative: elements cut off", false},
    {"interior", AttributeKind::integers, "how many between neighbours, not negative", false}};
constexpr AttributeSpec concatenate_attributes[] = {{"dim", AttributeKind::integer, "the dim along which the operands follow each other"}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::slice>::info = {
    .name = "slice",
    .doc =
        "Elements starts, starts + strides ... below limits, per dim. The bounds must hold for all values of the symbols: 0 <= start <= "
        "limit <= extent.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = slice_attributes,
    .infer = infer_slice,
    .evaluate = evaluate_slice,
    .gradient = gradient_slice,
    .element = element_slice,
    .samples = samples_slice,
    .no_samples = moves_only,
};

template <>
constinit const OpInfo OpEntry<Op::pad>::info = {
    .name = "pad",
    .doc =
        "Operand 0 with `interior` copies of the scalar operand 1 between neighbours, then `low` before and `high` after them; negative "
        "low or high cut "
        "off elements (interior ones included).",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = pad_attributes,
    .infer = infer_pad,
    .evaluate = evaluate_pad,
    .gradient = gradient_pad,
    .element = element_pad,
    .samples = samples_pad,
    .no_samples = moves_only,
};

template <>
constinit const OpInfo OpEntry<Op::concatenate>::info = {
    .name = "concatenate",
    .doc = "The operands one after another along `dim`.",
    .min_operands = 1,
    .max_operands = -1,
    .attributes = concatenate_attributes,
    .infer = infer_concatenate,
    .evaluate = evaluate_concatenate,
    .gradient = gradient_concatenate,
    .element = element_concatenate,
    .samples = samples_concatenate,
    .no_samples = {SampleClass::scalar, SampleClass::broadcast, SampleClass::special_values},
};

}  // namespace kiln::ir

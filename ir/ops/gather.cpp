// gather: windows of the operand at many computed places (StableHLO's, dimension numbers and all). The dims are explained in
// ir/ops/indexing.h.
//
// The start of a window is clamped so that the window lies inside. Its gradient adds the cotangent's windows up where they came from:
// a scatter at indices that are clamped in the graph, since scatter itself would skip what gather had moved inside. f16 and bf16 add up in
// f32: a frequent word of an embedding would stop growing at a few hundred.
#include <fmt/format.h>

#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/indexing.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

std::vector<Type> infer_gather(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const Type& indices = tensor(context, 1);
  const IndexedDims dims = gather_dims(context.attributes);
  const Dims& sizes = dims_or_empty(context.attributes, "slice_sizes");
  const std::size_t batch = indices.rank() - (dims.vector_dim < static_cast<std::int64_t>(indices.rank()) ? 1 : 0);
  const std::size_t rank = batch + dims.window_dims.size();
  require_length(context, sizes.size(), operand.rank(), "slice_sizes");
  require_indexed_dims(context, dims, operand, indices, rank);
  Dims result(rank);
  const std::vector<OperandDim> from = operand_dims(dims, operand.rank(), rank);
  for (std::size_t d = 0; d < operand.rank(); ++d) {
    if (from[d].window < 0 && !sizes[d].is_constant(1))
      fail(context, ErrorCode::invalid_argument,
           fmt::format("slice_sizes is {}, but dim {} is collapsed or a batch dim: windows have extent 1 there", to_string(sizes), d));
    require_window(context, sizes[d], d);
    if (from[d].window >= 0) result[static_cast<std::size_t>(from[d].window)] = sizes[d];
  }
  std::size_t b = 0;
  for (const std::int64_t axis : batch_axes(dims, rank)) {
    if (static_cast<std::int64_t>(b) == dims.vector_dim) ++b;
    result[static_cast<std::size_t>(axis)] = indices.dims[b++];
  }
  return {tensor_type(operand.dtype, std::move(result))};
}

std::vector<Array> evaluate_gather(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const Array& indices = context.operands[1];
  const IndexedDims dims = gather_dims(context.attributes);
  const std::vector<std::int64_t> sizes = constants(dims_or_empty(context.attributes, "slice_sizes"));
  const Shape& extents = operand.shape();
  const std::vector<OperandDim> from = operand_dims(dims, extents.rank(), context.result_shapes[0].rank());
  const Array zero = Array::zeros(operand.dtype(), {});
  const auto position = [&](std::span<const std::int64_t> index) -> std::int64_t {
    std::vector<std::int64_t> at(extents.rank(), 0);
    for (std::size_t d = 0; d < at.size(); ++d) {
      if (from[d].batch >= 0) {
        at[d] = index[static_cast<std::size_t>(from[d].batch)];
        continue;
      }
      if (from[d].component >= 0) {
        const auto where = component_position<std::int64_t>(dims, index, from[d].component, indices.shape().rank());
        at[d] = clamped_start(index_at(indices, offset_of(indices.shape(), where)), sizes[d], extents[d]);
      }
      if (from[d].window >= 0) at[d] += index[static_cast<std::size_t>(from[d].window)];
      if (at[d] >= extents[d]) return -1;
    }
    return offset_of(extents, at);
  };
  return {rearranged(operand, context.result_shapes[0], position, &zero)};
}

void gradient_gather(GradientContext& c) {
  if (!c.needs(0)) return;
  Builder& b = c.builder();
  const Attributes attributes = c.node().attributes;
  const IndexedDims dims = gather_dims(attributes);
  const Dims sizes = dims_or_empty(attributes, "slice_sizes");
  const Type operand = b.type(c.operand(0));
  const auto nothing = [](std::size_t) { return Dim(0); };
  const ValueId indices = limited_indices(
      b, c.operand(1), dims, nothing,
      [&](std::size_t k) {
        const auto d = static_cast<std::size_t>(dims.index_map[k]);
        return max(operand.dims[d] - sizes[d], 0);
      },
      nothing);
  const bool half = operand.dtype == DType::f16 || operand.dtype == DType::bf16;
  Type sums = operand;
  if (half) sums.dtype = DType::f32;
  const ValueId windows = half ? b.convert(c.cotangent(), DType::f32) : c.cotangent();
  std::vector<Attributes::Item> items{{"combiner", std::string("add")}, {"index_vector_dim", dims.vector_dim}};
  const auto give = [&](const char* name, const std::vector<std::int64_t>& list) {
    if (!list.empty()) items.emplace_back(name, list);
  };
  give("update_window_dims", dims.window_dims);
  give("inserted_window_dims", dims.dropped);
  give("input_batching_dims", dims.operand_batch);
  give("scatter_indices_batching_dims", dims.indices_batch);
  give("scatter_dims_to_operand_dims", dims.index_map);
  const ValueId sum = b.create(Op::scatter, {b.zeros(sums), indices, windows}, Attributes(std::move(items)));
  c.add(0, half ? b.convert(sum, operand.dtype) : sum);
}

ScalarId element_gather(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  const IndexedDims dims = gather_dims(node.attributes);
  const Dims& sizes = dims_or_empty(node.attributes, "slice_sizes");
  const Dims& extents = b.operand_type(0).dims;
  const std::size_t indices_rank = b.operand_type(1).rank();
  const std::vector<OperandDim> from = operand_dims(dims, extents.size(), index.size());
  ScalarId inside = none;
  Dims at;
  for (std::size_t d = 0; d < extents.size(); ++d) {
    if (from[d].batch >= 0) {
      at.push_back(index[static_cast<std::size_t>(from[d].batch)]);
      continue;
    }
    Dim place = from[d].window >= 0 ? index[static_cast<std::size_t>(from[d].window)] : Dim(0);
    if (from[d].component >= 0) {
      const Dims where = component_position<Dim>(dims, index, from[d].component, indices_rank);
      place += start_atom(b, b.operand(1, where), sizes[d], extents[d]);
    }
    if (less_equal(sizes[d], extents[d]) != Truth::yes) {
      inside = both(b, inside, within(b, place, extents[d], false, true));
      place = max(min(place, extents[d] - 1), 0);
    }
    at.push_back(std::move(place));
  }
  if (inside == none) return b.operand(0, at);
  return b.operand_where(inside, 0, at, b.constant(Literal::of(b.result_type().dtype, 0)));
}

// ---- samples

using Integers = std::vector<std::int64_t>;

struct Numbers {
  Integers offset = {}, collapsed = {}, operand_batch = {}, indices_batch = {}, map = {};
  std::int64_t vector_dim = 0;
  Dims sizes = {};
};

Sample sample(SampleClass kind, Dims operand, Dims indices, const Numbers& numbers, DType index_dtype = DType::i64) {
  std::vector<Attributes::Item> items{{"index_vector_dim", numbers.vector_dim}};
  const auto give = [&](const char* name, const Integers& list) {
    if (!list.empty()) items.emplace_back(name, list);
  };
  give("offset_dims", numbers.offset);
  give("collapsed_slice_dims", numbers.collapsed);
  give("operand_batching_dims", numbers.operand_batch);
  give("start_indices_batching_dims", numbers.indices_batch);
  give("start_index_map", numbers.map);
  if (!numbers.sizes.empty()) items.emplace_back("slice_sizes", numbers.sizes);
  return {.kind = kind,
          .operands = {sample_type(std::move(operand)), sample_type(std::move(indices), index_dtype)},
          .attributes = Attributes(std::move(items)),
          .low = -2,
          .high = 6};
}

std::vector<Sample> samples_gather(Op) {
  const Dim n = sample_symbol(), m = Dim::symbol("m");
  const Numbers rows{.offset = {1}, .collapsed = {0}, .map = {0}, .vector_dim = 1, .sizes = {1, 3}};
  Numbers wide = rows, empty_rows = rows, symbolic_rows = rows;
  wide.sizes = {1, 67};
  empty_rows.sizes = {1, 0};
  symbolic_rows.sizes = {1, n};
  std::vector<Sample> all = {
      sample(SampleClass::scalar, {}, {0}, {.vector_dim = 0}),
      sample(SampleClass::scalar, {5}, {}, {.collapsed = {0}, .map = {0}, .vector_dim = 0, .sizes = {1}}),
      sample(SampleClass::one, {1}, {1}, {.collapsed = {0}, .map = {0}, .vector_dim = 1, .sizes = {1}}),
      sample(SampleClass::empty, {5, 3}, {0}, rows),
      sample(SampleClass::empty, {5, 0}, {2}, empty_rows),
      sample(SampleClass::odd, {5, 3}, {7}, rows),
      sample(SampleClass::odd, {5, 3}, {7, 1}, rows),
      // Windows of 2 x 3 at pairs of indices, whose vectors lie in dim 0; the window dims come first in the result.
      sample(SampleClass::odd, {4, 5, 2}, {2, 3}, {.offset = {0, 1}, .collapsed = {2}, .map = {2, 0}, .vector_dim = 0, .sizes = {2, 3, 1}}),
      // Along the last axis, with a batch axis that both share (take_along_axis).
      sample(SampleClass::odd, {3, 5}, {3, 4},
             {.collapsed = {1}, .operand_batch = {0}, .indices_batch = {0}, .map = {1}, .vector_dim = 2, .sizes = {1, 1}}),
      sample(SampleClass::odd, {2, 3, 5}, {3, 2, 2, 2},
             {.offset = {3}, .operand_batch = {0, 1}, .indices_batch = {3, 0}, .map = {2}, .vector_dim = 4, .sizes = {1, 1, 2}}),
      sample(SampleClass::wide, {4, 67}, {9}, wide),
      sample(SampleClass::symbolic, {5, 3}, {n}, rows),
      sample(SampleClass::symbolic, {5, n}, {4}, symbolic_rows),
      sample(SampleClass::symbolic, {n, 5}, {n, 4},
             {.collapsed = {1}, .operand_batch = {0}, .indices_batch = {0}, .map = {1}, .vector_dim = 2, .sizes = {1, 1}}),
      // The operand may be empty though the windows are not, or smaller than they are: they read 0 there.
      sample(SampleClass::symbolic, {n, 3}, {4}, rows),
      sample(SampleClass::symbolic, {n, m}, {4}, {.offset = {1}, .collapsed = {1}, .map = {0, 1}, .vector_dim = 1, .sizes = {3, 1}}),
  };
  all.back().operands[1].dims = {4, 2};
  for (int d = static_cast<int>(DType::i8); d <= static_cast<int>(DType::u64); ++d) {
    Sample one = sample(SampleClass::odd, {4, 3}, {7}, rows, static_cast<DType>(d));
    one.generic = false;
    one.values = {Array({4, 3}, {0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.}), sample_values({0, 3, -1, 4, 100, -1e30, 1e30})};
    all.push_back(std::move(one));
  }
  return all;
}

constexpr AttributeSpec gather_attributes[] = {
    {"offset_dims", AttributeKind::integers, "dims of the result that run within a window", false},
    {"collapsed_slice_dims", AttributeKind::integers, "dims of the operand in which windows have extent 1, and the result no dim", false},
    {"operand_batching_dims", AttributeKind::integers, "dims of the operand that run with start_indices_batching_dims", false},
    {"start_indices_batching_dims", AttributeKind::integers, "dims of the indices that run with operand_batching_dims", false},
    {"start_index_map", AttributeKind::integers, "the operand dim in which each component of an index vector is the start", false},
    {"index_vector_dim", AttributeKind::integer, "the dim of the indices that holds the vectors; their rank: vectors of one component"},
    {"slice_sizes", AttributeKind::dims, "extents of a window, per dim of the operand", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::gather>::info = {
    .name = "gather",
    .doc =
        "Windows of operand 0 of slice_sizes, at the starts that the index vectors of operand 1 give: StableHLO's gather. A start is "
        "clamped "
        "so that its window lies inside. Where an extent is smaller than the window, what lies outside reads as 0.",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = gather_attributes,
    .infer = infer_gather,
    .evaluate = evaluate_gather,
    .gradient = gradient_gather,
    .element = element_gather,
    .samples = samples_gather,
    .no_samples = {SampleClass::broadcast, SampleClass::special_values},
};

}  // namespace kiln::ir

// dynamic_slice and dynamic_update_slice: one window at a computed place. Each is the other's gradient.
//
// The start is clamped so that the window lies inside. Where an extent is smaller than the window (0, in a loop that does not run), what
// lies outside reads as 0 and is not written.
#include <fmt/format.h>

#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/indexing.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

/// Operands `first` ... are one integer scalar per dim of operand 0.
void require_starts(const InferContext& context, std::size_t first) {
  const Type& operand = tensor(context, 0);
  const std::size_t count = context.operands.size() - first;
  if (count != operand.rank())
    fail(context, ErrorCode::invalid_argument,
         fmt::format("{} has {} dims, but there are {} starts", to_string(operand), operand.rank(), count), "give one start for every dim");
  for (std::size_t i = first; i < context.operands.size(); ++i) {
    const Type& start = tensor(context, i);
    if (!is_integer(start.dtype) || start.rank() != 0)
      fail(context, is_integer(start.dtype) ? ErrorCode::shape_mismatch : ErrorCode::dtype_mismatch,
           fmt::format("start {} must be an integer scalar, but is {}", i - first, to_string(start)));
  }
}

std::vector<Type> infer_dynamic_slice(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const Dims& sizes = dims_or_empty(context.attributes, "sizes");
  require_length(context, sizes.size(), operand.rank(), "sizes");
  require_starts(context, 1);
  for (std::size_t d = 0; d < sizes.size(); ++d) require_window(context, sizes[d], d);
  return {tensor_type(operand.dtype, sizes)};
}

std::vector<Type> infer_dynamic_update_slice(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const Type& update = tensor(context, 1);
  require_same_dtype(context, 0, 1);
  if (update.rank() != operand.rank())
    fail(context, ErrorCode::shape_mismatch, fmt::format("the update {} of {} must have its rank", to_string(update), to_string(operand)));
  require_starts(context, 2);
  return {operand};
}

// ---- evaluation

std::vector<std::int64_t> starts_of(std::span<const Array> starts, const Shape& sizes, const Shape& extents) {
  std::vector<std::int64_t> result;
  for (std::size_t d = 0; d < starts.size(); ++d) result.push_back(clamped_start(index_at(starts[d], 0), sizes[d], extents[d]));
  return result;
}

std::vector<Array> evaluate_dynamic_slice(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const Shape& extents = operand.shape();
  const std::vector<std::int64_t> starts = starts_of(context.operands.subspan(1), context.result_shapes[0], extents);
  const Array zero = Array::zeros(operand.dtype(), {});
  const auto position = [&](std::span<const std::int64_t> index) -> std::int64_t {
    std::vector<std::int64_t> at;
    for (std::size_t d = 0; d < index.size(); ++d) {
      at.push_back(starts[d] + index[d]);
      if (at[d] >= extents[d]) return -1;
    }
    return offset_of(extents, at);
  };
  return {rearranged(operand, context.result_shapes[0], position, &zero)};
}

std::vector<Array> evaluate_dynamic_update_slice(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const Array& update = context.operands[1];
  const std::vector<std::int64_t> starts = starts_of(context.operands.subspan(2), update.shape(), operand.shape());
  const auto position = [&](std::span<const std::int64_t> index) -> std::int64_t {
    std::vector<std::int64_t> at;
    for (std::size_t d = 0; d < index.size(); ++d) {
      at.push_back(index[d] - starts[d]);
      if (at[d] < 0 || at[d] >= update.shape()[d]) return -1;
    }
    return offset_of(update.shape(), at);
  };
  Array result(operand.dtype(), operand.shape());
  const std::size_t bytes = size_of(operand.dtype());
  auto* to = static_cast<std::byte*>(result.mutable_raw());
  std::int64_t i = 0;
  for_each_index(operand.shape(), [&](std::span<const std::int64_t> index) {
    const std::int64_t from = position(index);
    const Array& source = from < 0 ? operand : update;
    std::memcpy(to + i * static_cast<std::int64_t>(bytes),
                static_cast<const std::byte*>(source.raw()) + (from < 0 ? i : from) * static_cast<std::int64_t>(bytes), bytes);
    ++i;
  });
  return {result};
}

// ---- gradients

std::vector<ValueId> with_starts(GradientContext& c, std::vector<ValueId> operands, std::size_t first) {
  for (std::size_t i = first; i < c.node().operands.size(); ++i) operands.push_back(c.operand(i));
  return operands;
}

void gradient_dynamic_slice(GradientContext& c) {
  Builder& b = c.builder();
  if (!c.needs(0)) return;
  const Type operand = b.type(c.operand(0));
  const ValueId zeros = b.zeros(operand), cotangent = c.cotangent();
  c.add(0, b.create(Op::dynamic_update_slice, with_starts(c, {zeros, cotangent}, 1)));
}

void gradient_dynamic_update_slice(GradientContext& c) {
  Builder& b = c.builder();
  const Type update = b.type(c.operand(1));
  const ValueId cotangent = c.cotangent();
  if (c.needs(0)) c.add(0, b.create(Op::dynamic_update_slice, with_starts(c, {cotangent, b.zeros(update)}, 2)));
  if (c.needs(1)) {
    Attributes attributes;
    if (update.rank() > 0) attributes = {{"sizes", update.dims}};
    c.add(1, b.create(Op::dynamic_slice, with_starts(c, {cotangent}, 2), std::move(attributes)));
  }
}

// ---- lowering

ScalarId element_dynamic_slice(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  const Dims& sizes = dims_or_empty(node.attributes, "sizes");
  const Dims& extents = b.operand_type(0).dims;
  ScalarId inside = none;
  Dims at;
  for (std::size_t d = 0; d < index.size(); ++d) {
    Dim place = start_atom(b, b.operand(d + 1, {}), sizes[d], extents[d]) + index[d];
    if (less_equal(sizes[d], extents[d]) != Truth::yes) {
      inside = both(b, inside, within(b, place, extents[d], false, true));
      place = max(min(place, extents[d] - 1), 0);
    }
    at.push_back(std::move(place));
  }
  if (inside == none) return b.operand(0, at);
  return b.operand_where(inside, 0, at, b.constant(Literal::of(b.result_type().dtype, 0)));
}

Update update_dynamic_update_slice(const Node&, std::span<const Type> operands, const Type&) {
  Update update;
  for (const Dim& extent : operands[1].dims) update.axes.push_back({extent, true});
  update.replace = true;
  update.cell = [](ScalarBuilder& b, std::span<const Dim> axes) {
    Update::Cell cell;
    const Dims& sizes = b.operand_type(1).dims;
    const Dims& extents = b.operand_type(0).dims;
    for (std::size_t d = 0; d < axes.size(); ++d) {
      cell.index.push_back(start_atom(b, b.operand(d + 2, {}), sizes[d], extents[d]) + axes[d]);
      if (less_equal(sizes[d], extents[d]) != Truth::yes)
        cell.mask = both(b, cell.mask, within(b, cell.index.back(), extents[d], false, true));
    }
    cell.value = b.operand(1, axes);
    return cell;
  };
  return update;
}

// ---- samples

/// Windows of `sizes` in `operand`: of dynamic_slice, or with the window as operand 1.
Sample sample(Op op, SampleClass kind, Dims operand, Dims sizes, const std::vector<double>& starts) {
  Sample result{.kind = kind, .operands = {sample_type(operand)}};
  if (op == Op::dynamic_update_slice)
    result.operands.push_back(sample_type(sizes));
  else if (!sizes.empty())
    result.attributes = {{"sizes", std::move(sizes)}};
  for (std::size_t d = 0; d < starts.size(); ++d) result.operands.push_back(sample_type({}, d % 2 == 0 ? DType::i64 : DType::i32));
  result.low = -2;
  result.high = 7;  // starts beyond both ends
  return result;
}

std::vector<Sample> samples_dynamic(Op op) {
  const Dim n = sample_symbol(), m = Dim::symbol("m");
  const auto of = [&](SampleClass kind, Dims operand, Dims sizes) {
    const std::vector<double> starts(operand.size());
    return sample(op, kind, std::move(operand), std::move(sizes), starts);
  };
  std::vector<Sample> all = {
      of(SampleClass::scalar, {}, {}),
      of(SampleClass::one, {1}, {1}),
      of(SampleClass::one, {7}, {1}),
      of(SampleClass::empty, {5, 3}, {0, 3}),
      of(SampleClass::empty, {5, 0}, {2, 0}),
      of(SampleClass::odd, {5, 7}, {2, 3}),
      of(SampleClass::odd, {2, 7, 3}, {1, 2, 3}),
      of(SampleClass::wide, {3, 133}, {1, 67}),
      of(SampleClass::symbolic, {n, 5}, {n, 2}),
      of(SampleClass::symbolic, {n, 5}, {1, 5}),  // the operand may be empty
      of(SampleClass::symbolic, {m, 3, n}, {2, 2, n}),
      of(SampleClass::symbolic, {n + 4}, {4}),
  };
  for (int d = static_cast<int>(DType::i8); d <= static_cast<int>(DType::u64); ++d)
    for (const double start : {-1e30, -1.0, 2.0, 1e30}) {
      Sample one = of(SampleClass::odd, {5}, {2});
      one.generic = false;
      one.operands.back().dtype = static_cast<DType>(d);
      one.values = {Array({5}, {0., 1., 2., 3., 4.})};
      if (op == Op::dynamic_update_slice) one.values.push_back(Array({2}, {7., 8.}));
      one.values.push_back(Array(start));
      all.push_back(std::move(one));
    }
  return all;
}

constexpr AttributeSpec dynamic_slice_attributes[] = {{"sizes", AttributeKind::dims, "extents of the window", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::dynamic_slice>::info = {
    .name = "dynamic_slice",
    .doc =
        "The window of operand 0 of `sizes` whose start the other operands give, an integer scalar per dim. The start is clamped so that "
        "the "
        "window lies inside. Where an extent is smaller than the window, what lies outside reads as 0.",
    .min_operands = 1,
    .max_operands = -1,
    .attributes = dynamic_slice_attributes,
    .infer = infer_dynamic_slice,
    .evaluate = evaluate_dynamic_slice,
    .gradient = gradient_dynamic_slice,
    .element = element_dynamic_slice,
    .samples = samples_dynamic,
    .no_samples = {SampleClass::broadcast, SampleClass::special_values},
};

template <>
constinit const OpInfo OpEntry<Op::dynamic_update_slice>::info = {
    .name = "dynamic_update_slice",
    .doc =
        "Operand 0 with operand 1 in the window whose start the other operands give, an integer scalar per dim. The start is clamped so "
        "that "
        "the window lies inside. Where an extent is smaller than the window, what lies outside is not written.",
    .min_operands = 2,
    .max_operands = -1,
    .infer = infer_dynamic_update_slice,
    .evaluate = evaluate_dynamic_update_slice,
    .gradient = gradient_dynamic_update_slice,
    .update = update_dynamic_update_slice,
    .kernel = KernelKind::update,
    .samples = samples_dynamic,
    .no_samples = {SampleClass::broadcast, SampleClass::special_values},
};

}  // namespace kiln::ir

// reduce: folds dims away.
//
// Gradients. A sum spreads its cotangent. An extremum shares its cotangent evenly among the elements that attain it. A product gives each
// element the product of the others, p / x[i], which is 0 / 0 at zeros. So zeros are set apart: with p the product of the elements that are
// not 0, and the zeros counted,
//   no zero besides x[i]:        p / x'[i]          (x' is x with zeros replaced by 1)
//   one zero besides x[i]:       p / x'[i] * z      (z is that zero: the value 0, but kept so that it can be differentiated)
//   more zeros besides x[i]:     0
// This is linear work, and exact for first and second derivatives; a third one where several elements are 0 comes out as 0.
#include <algorithm>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/ops/combiner.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

std::vector<Type> infer_reduce(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  require_combiner(context);
  const auto& dimensions = integers_or_empty(context.attributes, "dimensions");
  require_distinct_axes(context, dimensions, operand.rank(), "dimensions");
  Dims dims;
  for (const std::int64_t axis : other_axes(operand.rank(), dimensions)) dims.push_back(operand.dims[axis]);
  return {tensor_type(operand.dtype, std::move(dims))};
}

// ---- evaluation

std::vector<Array> evaluate_reduce(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const LoopOp combiner = combiner_of(context.attributes.text("combiner"));
  const std::vector<std::int64_t> kept = other_axes(operand.shape().rank(), integers_or_empty(context.attributes, "dimensions"));
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  visit_dtype(result.dtype(), [&]<class T>(T) {
    using C = Compute<T>;
    const Literal identity = identity_of(combiner, result.dtype());
    std::vector<std::conditional_t<std::is_same_v<C, bool>, char, C>> folds(
        result.size(), is_floating(result.dtype()) ? static_cast<C>(identity.number) : static_cast<C>(identity.integer));
    std::int64_t i = 0;
    for_each_index(operand.shape(), [&](std::span<const std::int64_t> index) {
      std::vector<std::int64_t> to;
      for (const std::int64_t axis : kept) to.push_back(index[axis]);
      auto& fold = folds[offset_of(result.shape(), to)];
      fold = combine(combiner, static_cast<C>(fold), static_cast<C>(operand.data<T>()[i++]));
    });
    std::ranges::transform(folds, result.mutable_data<T>().begin(), [](auto fold) { return static_cast<T>(fold); });
  });
  return {result};
}

// ---- gradients

void gradient_of_sum(GradientContext& c, const std::vector<std::int64_t>& kept) {
  Builder& b = c.builder();
  const Dims dims = b.type(c.operand(0)).dims;
  c.add(0, b.broadcast_in_dim(c.cotangent(), dims, kept));
}

void gradient_of_extremum(GradientContext& c, const std::vector<std::int64_t>& dimensions, const std::vector<std::int64_t>& kept) {
  Builder& b = c.builder();
  const ValueId x = c.operand(0);
  const Type type = b.type(x);
  const ValueId attained = b.compare(Comparison::eq, x, b.broadcast_in_dim(c.result(), type.dims, kept));
  const ValueId count = b.reduce_add(b.convert(attained, type.dtype), dimensions);
  const ValueId share = b.broadcast_in_dim(b.divide(c.cotangent(), count), type.dims, kept);
  c.add(0, b.select(attained, share, b.zeros(type)));
}

/// See the head of the file.
void gradient_of_product(GradientContext& c, const std::vector<std::int64_t>& dimensions, const std::vector<std::int64_t>& kept) {
  Builder& b = c.builder();
  const ValueId x = c.operand(0);
  const Type type = b.type(x);
  const auto spread = [&](ValueId v) { return b.broadcast_in_dim(v, type.dims, kept); };
  const ValueId zero = b.zeros(type), one = b.splat(1, type);
  const ValueId is_zero = b.compare(Comparison::eq, x, zero);
  const ValueId nonzero = b.select(is_zero, one, x);
  const ValueId only_zeros = b.select(is_zero, x, zero);
  const ValueId ones_at_zeros = b.convert(is_zero, type.dtype);
  const ValueId other_zeros = b.subtract(spread(b.reduce_add(ones_at_zeros, dimensions)), ones_at_zeros);
  const ValueId other_zero = b.subtract(spread(b.reduce_add(only_zeros, dimensions)), only_zeros);
  const ValueId quotient = b.divide(spread(b.reduce(nonzero, "multiply", dimensions)), nonzero);
  const ValueId factor =
      b.select(b.compare(Comparison::eq, other_zeros, zero), one, b.select(b.compare(Comparison::eq, other_zeros, one), other_zero, zero));
  c.add(0, b.multiply(spread(c.cotangent()), b.multiply(quotient, factor)));
}

void gradient_reduce(GradientContext& c) {
  const Attributes attributes = c.node().attributes;
  const auto& dimensions = integers_or_empty(attributes, "dimensions");
  const std::vector<std::int64_t> kept = other_axes(c.builder().type(c.operand(0)).rank(), dimensions);
  switch (combiner_of(attributes.text("combiner"))) {
    case LoopOp::add: return gradient_of_sum(c, kept);
    case LoopOp::multiply: return gradient_of_product(c, dimensions, kept);
    case LoopOp::maximum:
    case LoopOp::minimum: return gradient_of_extremum(c, dimensions, kept);
    default: break;  // "and" and "or" fold no floats
  }
}

// ---- lowering

Structured structured_reduce(const Node& node, std::span<const Type> operands, const Type& result) {
  const Type& operand = operands[0];
  std::vector<std::int64_t> order = other_axes(operand.rank(), integers_or_empty(node.attributes, "dimensions"));
  const std::size_t parallel = order.size();
  for (const std::int64_t axis : other_axes(operand.rank(), order)) order.push_back(axis);
  Structured structured;
  for (std::size_t i = 0; i < order.size(); ++i) structured.axes.push_back({operand.dims[order[i]], i >= parallel});
  structured.combiner = combiner_of(node.attributes.text("combiner"));
  structured.identity = identity_of(structured.combiner, result.dtype);
  structured.body = [order](ScalarBuilder& b, std::span<const Dim> axes) {
    Dims index(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) index[order[i]] = axes[i];
    return b.operand(0, index);
  };
  return structured;
}

// ---- samples

std::vector<Sample> samples_reduce(Op) {
  const Dim n = sample_symbol();
  std::vector<Sample> all;
  const auto add = [&](SampleClass kind, std::string_view combiner, DType dtype, Dims dims, std::vector<std::int64_t> dimensions) {
    // Values of one sign: where a sum cancels, ULPs of the result say nothing of the order's influence.
    all.push_back({.kind = kind,
                   .operands = {sample_type(std::move(dims), dtype)},
                   .attributes = {{"combiner", std::string(combiner)}, {"dimensions", std::move(dimensions)}},
                   .generic = false,
                   .low = 0.25,
                   .high = 1.75});
  };
  for (int d = 0; d < dtype_count; ++d) {
    const DType dtype = static_cast<DType>(d);
    for (const auto& [name, op] : combiners) {
      const bool logical = op == LoopOp::and_ || op == LoopOp::or_;
      if (logical ? is_floating(dtype) : dtype == DType::boolean) continue;
      add(SampleClass::scalar, name, dtype, {}, {});
      add(SampleClass::scalar, name, dtype, {5}, {0});
      add(SampleClass::one, name, dtype, {1}, {0});
      add(SampleClass::empty, name, dtype, {2, 0}, {1});  // the identity
      add(SampleClass::empty, name, dtype, {0, 3}, {1});
      add(SampleClass::odd, name, dtype, {3, 5}, {});
      add(SampleClass::odd, name, dtype, {3, 5}, {0});
      add(SampleClass::odd, name, dtype, {3, 5}, {1});
      add(SampleClass::odd, name, dtype, {2, 3, 5}, {2, 0});
      add(SampleClass::wide, name, dtype, {2, 67}, {1});
      add(SampleClass::symbolic, name, dtype, {n, 3}, {0});
      add(SampleClass::symbolic, name, dtype, {3, n}, {0});
      const std::vector<double> special = special_values();
      const std::int64_t count = static_cast<std::int64_t>(special.size());
      std::vector<double> pairs;  // each with 1, and with its neighbour
      for (std::int64_t i = 0; i < count; ++i) pairs.insert(pairs.end(), {special[i], 1.0, special[i], special[(i + 1) % count]});
      add(SampleClass::special_values, name, dtype, {2 * count, 2}, {1});
      all.back().values = {Array({2 * count, 2}, pairs)};
      all.back().differentiable = false;
    }
  }
  // Products with no, one and two zeros.
  add(SampleClass::odd, "multiply", DType::f64, {3, 3}, {1});
  all.back().values = {Array({3, 3}, {1.5, 2.0, -0.5, 0.0, 2.0, 3.0, 0.0, 0.0, 4.0})};
  return all;
}

constexpr AttributeSpec reduce_attributes[] = {{"combiner", AttributeKind::text, "add, multiply, maximum, minimum, and, or"},
                                               {"dimensions", AttributeKind::integers, "the dims that are folded away", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::reduce>::info = {
    .name = "reduce",
    .doc =
        "Folds the dims `dimensions` away with `combiner`, starting from its identity (0, 1, the lowest or the highest value, all ones, "
        "0). The reference "
        "folds in row-major order; a schedule may use a fixed tree instead.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = reduce_attributes,
    .infer = infer_reduce,
    .evaluate = evaluate_reduce,
    .gradient = gradient_reduce,
    .structured = structured_reduce,
    .kernel = KernelKind::reduction,
    .samples = samples_reduce,
    .tolerance = 64,
};

}  // namespace kiln::ir

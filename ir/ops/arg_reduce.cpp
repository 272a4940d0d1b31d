// arg_reduce: the position of an extremum along a dim.
#include <fmt/format.h>

#include "ir/ops/combiner.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

std::vector<Type> infer_arg_reduce(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const std::int64_t dimension = context.attributes.integer("dimension");
  require_direction(context);
  require_axis(context, dimension, operand.rank(), "dimension");
  Dims dims = operand.dims;
  dims.erase(dims.begin() + dimension);
  return {tensor_type(DType::i64, std::move(dims))};
}

std::vector<Array> evaluate_arg_reduce(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const bool maximum = context.attributes.text("direction") == "maximum";
  const std::int64_t dimension = context.attributes.integer("dimension");
  Array result(DType::i64, context.result_shapes[0]);
  auto out = result.mutable_data<std::int64_t>().begin();
  visit_allowed<numbers>(operand.dtype(), [&]<class T>(T) {
    for_each_index(result.shape(), [&](std::span<const std::int64_t> index) {
      std::vector<std::int64_t> at(index.begin(), index.end());
      at.insert(at.begin() + dimension, 0);
      std::int64_t best_position = no_position;
      Compute<T> best{};
      for (std::int64_t i = 0; i < operand.shape()[dimension]; ++i) {
        at[dimension] = i;
        const auto value = static_cast<Compute<T>>(operand.data<T>()[offset_of(operand.shape(), at)]);
        if (best_position != no_position && !beats(maximum, value, best)) continue;
        best_position = i;
        best = value;
      }
      *out++ = best_position;
    });
  });
  return {result};
}

Structured structured_arg_reduce(const Node& node, std::span<const Type> operands, const Type& result) {
  const auto dimension = static_cast<std::ptrdiff_t>(node.attributes.integer("dimension"));
  const bool maximum = node.attributes.text("direction") == "maximum";
  Structured structured;
  for (const Dim& extent : result.dims) structured.axes.push_back({extent, false});
  structured.axes.push_back({operands[0].dims[dimension], true});
  structured.start = [dtype = operands[0].dtype](ScalarBuilder& b, std::span<const Dim>) { return start_of_extremum(b, dtype); };
  structured.step = [dimension, maximum](ScalarBuilder& b, std::span<const ScalarId> carried, std::span<const Dim> axes) {
    Dims index(axes.begin(), axes.end() - 1);
    index.insert(index.begin() + dimension, axes.back());
    return step_of_extremum(b, maximum, carried, none, b.operand(0, index), b.index_value(axes.back()));
  };
  return structured;
}

std::vector<Sample> samples_arg_reduce(Op) {
  const Dim n = sample_symbol();
  std::vector<Sample> all;
  for (const char* direction : {"maximum", "minimum"}) {
    const auto add = [&](SampleClass kind, Dims dims, std::int64_t dimension) {
      all.push_back({.kind = kind,
                     .operands = {sample_type(std::move(dims))},
                     .attributes = {{"direction", std::string(direction)}, {"dimension", dimension}},
                     .low = 0,
                     .high = 6});  // integers of that range repeat: the first wins
    };
    add(SampleClass::scalar, {5}, 0);
    add(SampleClass::one, {1}, 0);
    add(SampleClass::empty, {2, 0}, 1);  // of nothing
    add(SampleClass::empty, {0, 3}, 1);
    add(SampleClass::odd, {3, 5}, 0);
    add(SampleClass::odd, {3, 5}, 1);
    add(SampleClass::odd, {2, 3, 5}, 1);
    add(SampleClass::wide, {3, 67}, 0);
    add(SampleClass::wide, {2, 67}, 1);
    add(SampleClass::symbolic, {n, 3}, 0);
    add(SampleClass::symbolic, {3, n}, 0);
    const std::vector<double> special = special_values();
    const auto count = static_cast<std::int64_t>(special.size());
    std::vector<double> pairs;  // each with 1, and with its neighbour
    for (std::int64_t i = 0; i < count; ++i) pairs.insert(pairs.end(), {special[i], 1.0, special[i], special[(i + 1) % count]});
    add(SampleClass::special_values, {2 * count, 2}, 1);
    all.back().values = {Array({2 * count, 2}, pairs)};
  }
  return all;
}

constexpr AttributeSpec arg_reduce_attributes[] = {{"direction", AttributeKind::text, "maximum, minimum"},
                                                   {"dimension", AttributeKind::integer, "the dim along which is searched"}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::arg_reduce>::info = {
    .name = "arg_reduce",
    .doc =
        "The position (i64) along `dimension` of the first element that attains the maximum or minimum; NaN wins, and of no elements it is "
        "-1.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = arg_reduce_attributes,
    .dtypes = numbers,
    .infer = infer_arg_reduce,
    .evaluate = evaluate_arg_reduce,
    .no_gradient = integer_result,
    .structured = structured_arg_reduce,
    .kernel = KernelKind::fold,
    .samples = samples_arg_reduce,
};

}  // namespace kiln::ir

// window_argument: where a window's extremum stands. window_select: the linear map that reads one element of each window, and its
// transpose, which sends values, one per window, to those elements. They are each other's gradients, so that pooling with maxima can be
// differentiated to any order; both fold over the places of a window in a fixed order, so that they run in parallel with equal bits. (XLA
// has the pair as select_and_gather_add and select_and_scatter_add, which compare again to find the element.)
#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/ops/combiner.h"
#include "ir/ops/samples.h"
#include "ir/ops/window_geometry.h"

namespace kiln::ir {
namespace {
using namespace ops;

// ---- window_argument

std::vector<Type> infer_argument(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  require_direction(context);
  require_window(context, operand.rank());
  return {tensor_type(DType::i64, windows_of(window_of(context.attributes, operand.rank()), operand.dims))};
}

std::vector<Array> evaluate_argument(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const bool maximum = context.attributes.text("direction") == "maximum";
  const std::vector<WindowDim> window = window_of(context.attributes, operand.shape().rank());
  Array result(DType::i64, context.result_shapes[0]);
  auto out = result.mutable_data<std::int64_t>().begin();
  visit_allowed<numbers>(operand.dtype(), [&]<class T>(T) {
    for_each_index(result.shape(), [&](std::span<const std::int64_t> o) {
      std::int64_t best_position = no_position;
      Compute<T> best{};
      for_each_place(window, operand.shape(), o, [&](std::int64_t position, std::span<const std::int64_t> element) {
        const auto value = static_cast<Compute<T>>(operand.data<T>()[offset_of(operand.shape(), element)]);
        if (best_position != no_position && !beats(maximum, value, best)) return;
        best_position = position;
        best = value;
      });
      *out++ = best_position;
    });
  });
  return {result};
}

Structured structured_argument(const Node& node, std::span<const Type> operands, const Type& result) {
  const Dims extents = operands[0].dims;
  const DType dtype = operands[0].dtype;
  const bool maximum = node.attributes.text("direction") == "maximum";
  const std::vector<WindowDim> window = window_of(node.attributes, extents.size());
  Structured structured;
  for (const Dim& extent : result.dims) structured.axes.push_back({extent, false});
  for (const WindowDim& w : window) structured.axes.push_back({w.size, true});
  structured.start = [dtype](ScalarBuilder& b, std::span<const Dim>) { return start_of_extremum(b, dtype); };
  structured.step = [extents, dtype, maximum, window](ScalarBuilder& b, std::span<const ScalarId> carried, std::span<const Dim> axes) {
    const std::span<const Dim> k = axes.subspan(extents.size());
    const WindowPlace place = place_of(b, window, extents, axes.first(extents.size()), k);
    if (place.never) return std::vector<ScalarId>(carried.begin(), carried.end());
    const ScalarId value =
        place.inside == none ? b.operand(0, place.index) : b.operand_where(place.inside, 0, place.index, b.constant(Literal::of(dtype, 0)));
    return step_of_extremum(b, maximum, carried, place.inside, value, b.index_value(position_of(window, k)));
  };
  return structured;
}

// ---- window_select

bool is_transposed(const Attributes& attributes) {
  const AttributeValue* value = attributes.find("transposed");
  return value != nullptr && std::get<bool>(*value);
}

std::vector<Type> infer_select(const InferContext& context) {
  const Type &values = tensor(context, 0), &argument = tensor(context, 1);
  if (argument.dtype != DType::i64)
    fail(context, ErrorCode::dtype_mismatch, fmt::format("positions must be i64, but are {}", to_string(argument)));
  require_window(context, values.rank());
  const bool transposed = is_transposed(context.attributes);
  const Dims& dims = transposed ? dims_or_empty(context.attributes, "dims") : values.dims;
  if (transposed) {
    require_length(context, dims.size(), values.rank(), "dims");
    require_extents(context, dims);
  }
  const Dims windows = windows_of(window_of(context.attributes, values.rank()), dims);
  const auto require_windows = [&](const Type& type) {
    const std::string no = fmt::format("{} has {} windows, but {} is given", to_string(dims), to_string(windows), to_string(type));
    if (type.rank() != windows.size()) fail(context, ErrorCode::shape_mismatch, no);
    for (std::size_t d = 0; d < windows.size(); ++d) require_equal(context, type.dims[d], windows[d], no);
  };
  require_windows(argument);
  if (transposed) require_windows(values);
  return {tensor_type(values.dtype, transposed ? dims : argument.dims)};
}

std::vector<Array> evaluate_select(const EvaluateContext& context) {
  const Array &values = context.operands[0], &argument = context.operands[1];
  const bool transposed = is_transposed(context.attributes);
  const std::vector<WindowDim> window = window_of(context.attributes, values.shape().rank());
  const Shape& elements = transposed ? context.result_shapes[0] : values.shape();
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  visit_allowed<numbers>(result.dtype(), [&]<class T>(T) {
    using C = Compute<T>;
    std::vector<C> sums(result.size(), C{0});
    std::int64_t o = 0;
    for_each_index(argument.shape(), [&](std::span<const std::int64_t> index) {
      for_each_place(window, elements, index, [&](std::int64_t position, std::span<const std::int64_t> element) {
        if (position != argument.data<std::int64_t>()[o]) return;
        const std::int64_t e = offset_of(elements, element);
        C& sum = sums[transposed ? e : o];
        sum = combine(LoopOp::add, sum, static_cast<C>(values.data<T>()[transposed ? o : e]));
      });
      ++o;
    });
    for (std::size_t i = 0; i < sums.size(); ++i) result.mutable_data<T>()[i] = static_cast<T>(sums[i]);
  });
  return {result};
}

void gradient_select(GradientContext& c) {
  Builder& b = c.builder();
  if (!c.needs(0)) return;
  const Attributes attributes = c.node().attributes;
  const Attributes other = is_transposed(attributes) ? attributes.without("transposed").without("dims")
                                                     : attributes.with("transposed", true).with("dims", b.type(c.operand(0)).dims);
  c.add(0, b.create(Op::window_select, {c.cotangent(), c.operand(1)}, other));
}

/// A sum over the places of a window; transposed, the last places first: the windows over an element in row-major order.
Structured structured_select(const Node& node, std::span<const Type> operands, const Type& result) {
  const bool transposed = is_transposed(node.attributes);
  const std::size_t rank = result.rank();
  const Dims extents = operands[0].dims;
  const std::vector<WindowDim> window = window_of(node.attributes, rank);
  Structured structured;
  for (const Dim& extent : result.dims) structured.axes.push_back({extent, false});
  for (const WindowDim& w : window) structured.axes.push_back({w.size, true});
  structured.identity = identity_of(LoopOp::add, result.dtype);
  structured.body = [=, zero = structured.identity](ScalarBuilder& b, std::span<const Dim> axes) {
    const std::span<const Dim> at = axes.first(rank);
    Dims k(axes.begin() + static_cast<std::ptrdiff_t>(rank), axes.end());
    if (transposed)
      for (std::size_t d = 0; d < rank; ++d) k[d] = Dim(window[d].size - 1) - k[d];
    const WindowPlace place = transposed ? window_over(b, window, extents, at, k) : place_of(b, window, extents, at, k);
    if (place.never) return b.constant(zero);
    const Dims position(at.begin(), at.end());
    const Dims& of_argument = transposed ? place.index : position;
    const ScalarId none_chosen = b.constant(Literal::of_bits(DType::i64, no_position));
    const ScalarId chosen =
        !transposed || place.inside == none ? b.operand(1, of_argument) : b.operand_where(place.inside, 1, of_argument, none_chosen);
    ScalarId hit = b.compare(Comparison::eq, chosen, b.index_value(position_of(window, k)));
    if (place.inside != none) hit = b.apply(LoopOp::and_, DType::boolean, {place.inside, hit});
    return b.operand_where(hit, 0, place.index, b.constant(zero));
  };
  return structured;
}

// ---- samples

/// Windows that the samples of all ops here have in common.
struct Example {
  SampleClass kind;
  Dims dims;
  std::vector<std::int64_t> window, strides = {}, low = {}, high = {}, base = {}, dilation = {};

  Attributes attributes() const {
    return {{"window", window}, {"strides", strides}, {"low", low}, {"high", high}, {"base_dilation", base}, {"window_dilation", dilation}};
  }
};

std::vector<Example> examples() {
  const Dim n = sample_symbol();
  return {{SampleClass::scalar, {}, {}},
          {SampleClass::one, {1}, {3}, {2}, {1}, {1}},
          {SampleClass::empty, {0, 3}, {2, 2}, {1, 1}, {1, 0}, {2, 0}},
          {SampleClass::empty, {3, 2}, {4, 1}},
          {SampleClass::odd, {2, 7, 5, 3}, {1, 3, 2, 1}, {1, 2, 2, 1}},
          {SampleClass::odd, {7, 6}, {3, 3}, {2, 1}, {1, 1}, {0, 2}},
          {SampleClass::odd, {9}, {3}, {1}, {-1}, {-2}},
          {SampleClass::odd, {5, 4}, {2, 3}, {1, 2}, {1, 0}, {1, 1}, {2, 3}, {2, 1}},
          {SampleClass::wide, {2, 6, 67}, {1, 3, 1}, {1, 1, 1}, {0, 1, 0}, {0, 1, 0}},
          {SampleClass::wide, {2, 70}, {1, 3}, {1, 2}, {0, 1}, {0, 1}},
          {SampleClass::symbolic, {n, 6, 2}, {1, 2, 1}, {1, 2, 1}},
          {SampleClass::symbolic, {n}, {3}, {2}, {1}, {1}}};
}

std::vector<Sample> samples_argument(Op) {
  std::vector<Sample> all;
  for (const Example& example : examples())
    for (const char* direction : {"maximum", "minimum"})
      all.push_back({.kind = example.kind,
                     .operands = {sample_type(example.dims)},
                     .attributes = example.attributes().with("direction", std::string(direction)),
                     .low = 0,
                     .high = 6});  // integers of that range repeat: the first wins
  const std::vector<double> special = special_values();
  for (const char* direction : {"maximum", "minimum"})
    all.push_back({.kind = SampleClass::special_values,
                   .operands = {sample_type({static_cast<std::int64_t>(special.size())})},
                   .attributes = {{"direction", std::string(direction)}, {"window", std::vector<std::int64_t>{3}}},
                   .values = {sample_values(special)}});
  return all;
}

std::vector<Sample> samples_select(Op) {
  std::vector<Sample> all;
  for (const Example& example : examples()) {
    const Dims windows = windows_of(window_of(example.attributes(), example.dims.size()), example.dims);
    std::int64_t places = 1;
    for (const std::int64_t size : example.window) places *= size;
    for (const bool transposed : {false, true}) {
      Sample sample{.kind = example.kind,
                    .operands = {sample_type(transposed ? windows : example.dims), sample_type(windows, DType::i64)},
                    .attributes = example.attributes(),
                    .low = -1.5,  // positions from -1 on, some beyond the last
                    .high = static_cast<double>(places) + 0.5};
      if (transposed) sample.attributes = sample.attributes.with("transposed", true).with("dims", example.dims);
      all.push_back(std::move(sample));
    }
  }
  return all;
}

constexpr AttributeSpec argument_attributes[] = {
    {"direction", AttributeKind::text, "maximum, minimum"},
    window_size_attribute,
    window_strides_attribute,
    base_dilation_attribute,
    window_dilation_attribute,
    window_low_attribute,
    window_high_attribute,
};
constexpr AttributeSpec select_attributes[] = {
    window_size_attribute,
    window_strides_attribute,
    base_dilation_attribute,
    window_dilation_attribute,
    window_low_attribute,
    window_high_attribute,
    {"transposed", AttributeKind::flag, "send values to elements instead of reading elements", false},
    {"dims", AttributeKind::dims, "transposed: the extents that the windows slide over", false},
};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::window_argument>::info = {
    .name = "window_argument",
    .doc =
        "The position inside each window, row-major over its places, of the first element that attains the maximum or minimum; NaN wins, "
        "padding does not, and a window of nothing but padding has -1.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = argument_attributes,
    .dtypes = numbers,
    .infer = infer_argument,
    .evaluate = evaluate_argument,
    .no_gradient = integer_result,
    .structured = structured_argument,
    .kernel = KernelKind::fold,
    .samples = samples_argument,
};

template <>
constinit const OpInfo OpEntry<Op::window_select>::info = {
    .name = "window_select",
    .doc =
        "The element of operand 0 at position operand 1 (i64, as window_argument gives it) of each window; 0 where none stands there. "
        "Transposed: operand 0 holds a value per window, and each element becomes the sum of the values of the windows that choose it.",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = select_attributes,
    .dtypes = numbers,
    .infer = infer_select,
    .evaluate = evaluate_select,
    .gradient = gradient_select,
    .structured = structured_select,
    .kernel = KernelKind::fold,
    .samples = samples_select,
    .no_samples = {SampleClass::broadcast, SampleClass::special_values},
};

}  // namespace kiln::ir

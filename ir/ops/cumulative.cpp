// Running folds along a dim: cumulative (sums, products, extrema) and linear_recurrence.
//
// Gradients. With `next` the shift by one against the direction of the fold and g the cotangent (of an exclusive fold: next(g), since its
// element t is what the inclusive one has at t - 1):
//   linear_recurrence   y[t] = a[t] * y[t-1] + b[t]. What reaches b[t] is l[t] = g[t] + a[t+1] * l[t+1], a linear_recurrence in the other
//                       direction with the coefficients next(a); a[t] receives l[t] * y[t-1].
//   add                 the cumulative sum of g in the other direction.
//   multiply            y[t] = x[t] * y[t-1] is a recurrence without b: x[t] receives l[t] times the product before t. Nothing is divided.
//   maximum, minimum    g goes to the last element so far that attains the extremum, as in PyTorch: a record, x[t] = y[t]. It collects what
//                       comes until the next record: l[t] = g[t] + (t+1 is a record ? 0 : l[t+1]), a linear_recurrence once more.
// All are linear in g and built of these two ops, so they have derivatives of any order.
#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/ops/combiner.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

bool flag_or_false(const Attributes& attributes, std::string_view name) {
  const AttributeValue* value = attributes.find(name);
  return value != nullptr && std::get<bool>(*value);
}

constexpr std::size_t cumulative_combiners = 4;  // add, multiply, maximum, minimum

std::vector<Type> infer_cumulative(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  require_combiner(context, cumulative_combiners);
  require_axis(context, context.attributes.integer("dimension"), operand.rank(), "dimension");
  return {operand};
}

std::vector<Type> infer_recurrence(const InferContext& context) {
  require_same_dtype(context, 0, 1);
  require_same_shape(context, 0, 1);
  require_axis(context, context.attributes.integer("dimension"), tensor(context, 0).rank(), "dimension");
  return {tensor(context, 0)};
}

// ---- evaluation

/// Calls f(offset, first) for the positions along the dim in the order of the fold, line by line.
void for_each_step(const Shape& shape, std::int64_t dimension, bool reverse, const std::function<void(std::int64_t, bool)>& f) {
  std::int64_t stride = 1;
  for (std::size_t d = static_cast<std::size_t>(dimension) + 1; d < shape.rank(); ++d) stride *= shape[d];
  const std::int64_t extent = shape[dimension];
  std::vector<std::int64_t> lines(shape.begin(), shape.end());
  lines[dimension] = extent > 0 ? 1 : 0;
  const Shape starts(lines);
  for_each_index(starts, [&](std::span<const std::int64_t> line) {
    const std::int64_t first = offset_of(shape, line);
    for (std::int64_t t = 0; t < extent; ++t) f(first + (reverse ? extent - 1 - t : t) * stride, t == 0);
  });
}

std::vector<Array> evaluate_cumulative(const EvaluateContext& context) {
  const LoopOp combiner = combiner_of(context.attributes.text("combiner"));
  const bool reverse = flag_or_false(context.attributes, "reverse"), exclusive = flag_or_false(context.attributes, "exclusive");
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  visit_allowed<numbers>(result.dtype(), [&]<class T>(T) {
    using C = Compute<T>;
    const Literal identity = identity_of(combiner, result.dtype());
    C fold{};
    for_each_step(result.shape(), context.attributes.integer("dimension"), reverse, [&](std::int64_t at, bool first) {
      if (first) fold = is_floating(result.dtype()) ? static_cast<C>(identity.number) : static_cast<C>(identity.integer);
      const C before = fold;
      fold = combine(combiner, fold, static_cast<C>(context.operands[0].data<T>()[at]));
      result.mutable_data<T>()[at] = static_cast<T>(exclusive ? before : fold);
    });
  });
  return {result};
}

std::vector<Array> evaluate_recurrence(const EvaluateContext& context) {
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  visit_allowed<numbers>(result.dtype(), [&]<class T>(T) {
    using C = Compute<T>;
    C y{};
    for_each_step(result.shape(), context.attributes.integer("dimension"), flag_or_false(context.attributes, "reverse"),
                  [&](std::int64_t at, bool first) {
                    if (first) y = C{0};
                    const C product = combine(LoopOp::multiply, static_cast<C>(context.operands[0].data<T>()[at]), y);
                    y = combine(LoopOp::add, product, static_cast<C>(context.operands[1].data<T>()[at]));
                    result.mutable_data<T>()[at] = static_cast<T>(y);
                  });
  });
  return {result};
}

// ---- gradients

/// element t = v[t + by] in the direction of the fold, `fill` where there is none.
ValueId shifted(Builder& b, ValueId v, std::int64_t dimension, bool reverse, std::int64_t by, ValueId fill) {
  const std::size_t rank = b.type(v).rank();
  Dims low(rank, Dim(0)), high(rank, Dim(0));
  const std::int64_t forward = reverse ? -by : by;
  low[dimension] = -forward;
  high[dimension] = forward;
  return b.pad(v, fill, low, high, std::vector<std::int64_t>(rank, 0));
}

ValueId recurrence(Builder& b, ValueId a, ValueId x, std::int64_t dimension, bool reverse) {
  Attributes attributes{{"dimension", dimension}};
  if (reverse) attributes = attributes.with("reverse", true);
  return b.create(Op::linear_recurrence, {a, x}, attributes);
}

Attributes turned(const Attributes& attributes) {
  return flag_or_false(attributes, "reverse") ? attributes.without("reverse") : attributes.with("reverse", true);
}

void gradient_recurrence(GradientContext& c) {
  Builder& b = c.builder();
  const std::int64_t dimension = c.node().attributes.integer("dimension");
  const bool reverse = flag_or_false(c.node().attributes, "reverse");
  const ValueId zero = b.scalar(b.type(c.result()).dtype, 0);
  const ValueId reaching = recurrence(b, shifted(b, c.operand(0), dimension, reverse, 1, zero), c.cotangent(), dimension, !reverse);
  if (c.needs(0)) c.add(0, b.multiply(reaching, shifted(b, c.result(), dimension, reverse, -1, zero)));
  if (c.needs(1)) c.add(1, reaching);
}

void gradient_cumulative(GradientContext& c) {
  Builder& b = c.builder();
  const Attributes attributes = c.node().attributes;
  const std::int64_t dimension = attributes.integer("dimension");
  const bool reverse = flag_or_false(attributes, "reverse"), exclusive = flag_or_false(attributes, "exclusive");
  const ValueId x = c.operand(0);
  const Type type = b.type(x);
  const LoopOp combiner = combiner_of(attributes.text("combiner"));
  if (combiner == LoopOp::add) return c.add(0, b.create(Op::cumulative, {c.cotangent()}, turned(attributes)));

  const ValueId zero = b.scalar(type.dtype, 0);
  const ValueId g = exclusive ? shifted(b, c.cotangent(), dimension, reverse, 1, zero) : c.cotangent();
  if (combiner == LoopOp::multiply) {
    const ValueId before = exclusive ? c.result() : b.create(Op::cumulative, {x}, attributes.with("exclusive", true));
    const ValueId reaching = recurrence(b, shifted(b, x, dimension, reverse, 1, zero), g, dimension, !reverse);
    return c.add(0, b.multiply(reaching, before));
  }
  const ValueId folded = exclusive ? b.create(Op::cumulative, {x}, attributes.without("exclusive")) : c.result();
  const ValueId record = b.create(Op::or_, {b.compare(Comparison::eq, x, folded), b.compare(Comparison::ne, x, x)});
  const ValueId goes_on = b.convert(b.create(Op::not_, {record}), type.dtype);
  const ValueId reaching = recurrence(b, shifted(b, goes_on, dimension, reverse, 1, zero), g, dimension, !reverse);
  c.add(0, b.select(record, reaching, b.zeros(type)));
}

// ---- lowering

/// A running fold along the dim of a result: the other dims are parallel.
Structured running(const Attributes& attributes, const Type& result) {
  const auto dimension = static_cast<std::size_t>(attributes.integer("dimension"));
  Structured structured;
  for (std::size_t d = 0; d < result.rank(); ++d)
    if (d != dimension) structured.axes.push_back({result.dims[d], false});
  structured.axes.push_back({result.dims[dimension], true});
  structured.running = true;
  structured.exclusive = flag_or_false(attributes, "exclusive");
  structured.place = [dimension, extent = result.dims[dimension],
                      reverse = flag_or_false(attributes, "reverse")](std::span<const Dim> axes) {
    Dims index(axes.begin(), axes.end() - 1);
    index.insert(index.begin() + static_cast<std::ptrdiff_t>(dimension), reverse ? extent - 1 - axes.back() : axes.back());
    return index;
  };
  return structured;
}

Structured structured_cumulative(const Node& node, std::span<const Type>, const Type& result) {
  Structured structured = running(node.attributes, result);
  structured.combiner = combiner_of(node.attributes.text("combiner"));
  structured.identity = identity_of(structured.combiner, result.dtype);
  structured.body = [place = structured.place](ScalarBuilder& b, std::span<const Dim> axes) { return b.operand(0, place(axes)); };
  return structured;
}

Structured structured_recurrence(const Node& node, std::span<const Type>, const Type& result) {
  Structured structured = running(node.attributes, result);
  const DType dtype = accumulator_of(result.dtype);
  structured.start = [dtype](ScalarBuilder& b, std::span<const Dim>) { return std::vector{b.constant(Literal::of(dtype, 0))}; };
  structured.step = [dtype, place = structured.place](ScalarBuilder& b, std::span<const ScalarId> carried, std::span<const Dim> axes) {
    const Dims index = place(axes);
    const auto operand = [&](std::size_t i) { return b.apply(LoopOp::convert, dtype, {b.operand(i, index)}); };
    const ScalarId product = b.apply(LoopOp::multiply, dtype, {operand(0), carried[0]});
    return std::vector{b.apply(LoopOp::add, dtype, {product, operand(1)})};
  };
  return structured;
}

// ---- samples

/// Calls add(class, dims, dimension, further attributes) for every shape that both ops are tested with.
void for_each_example(const std::function<void(SampleClass, Dims, std::int64_t, bool)>& add) {
  const Dim n = sample_symbol();
  for (const bool reverse : {false, true}) {
    add(SampleClass::scalar, {3}, 0, reverse);
    add(SampleClass::one, {1}, 0, reverse);
    add(SampleClass::empty, {2, 0}, 1, reverse);
    add(SampleClass::empty, {0, 3}, 1, reverse);
    add(SampleClass::odd, {3, 5}, 0, reverse);
    add(SampleClass::odd, {3, 5}, 1, reverse);
    add(SampleClass::odd, {2, 4, 3}, 1, reverse);
    add(SampleClass::wide, {3, 67}, 0, reverse);
    add(SampleClass::wide, {18, 9}, 1, reverse);
    add(SampleClass::symbolic, {n, 3}, 0, reverse);
    add(SampleClass::symbolic, {3, n}, 0, reverse);
  }
}

std::vector<Sample> samples_cumulative(Op) {
  std::vector<Sample> all;
  for (std::size_t k = 0; k < cumulative_combiners; ++k) {
    const std::string combiner(combiners[k].name);
    for (const bool exclusive : {false, true}) {
      for_each_example([&](SampleClass kind, Dims dims, std::int64_t dimension, bool reverse) {
        Attributes attributes{{"combiner", combiner}, {"dimension", dimension}};
        if (reverse) attributes = attributes.with("reverse", true);
        if (exclusive) attributes = attributes.with("exclusive", true);
        // An exclusive extremum starts with an infinity, which no difference quotient survives.
        const bool infinite = exclusive && combiners[k].op != LoopOp::add && combiners[k].op != LoopOp::multiply;
        all.push_back(
            {.kind = kind, .operands = {sample_type(std::move(dims))}, .attributes = std::move(attributes), .differentiable = !infinite});
      });
    }
    const std::vector<double> special = special_values();
    const auto count = static_cast<std::int64_t>(special.size());
    std::vector<double> pairs;
    for (std::int64_t i = 0; i < count; ++i) pairs.insert(pairs.end(), {special[i], special[(i + 1) % count]});
    all.push_back({.kind = SampleClass::special_values,
                   .operands = {sample_type({count, 2})},
                   .attributes = {{"combiner", combiner}, {"dimension", std::int64_t{1}}},
                   .values = {Array({count, 2}, pairs)},
                   .differentiable = false});
    // With zeros: a product's derivative divides by nothing.
    all.push_back({.kind = SampleClass::odd,
                   .operands = {sample_type({5}, DType::f64)},
                   .attributes = {{"combiner", std::string("multiply")}, {"dimension", std::int64_t{0}}},
                   .generic = false,
                   .values = {Array({5}, {2.0, 0.0, 3.0, 0.0, -1.0})}});
  }
  return all;
}

std::vector<Sample> samples_recurrence(Op) {
  std::vector<Sample> all;
  for_each_example([&](SampleClass kind, Dims dims, std::int64_t dimension, bool reverse) {
    Attributes attributes{{"dimension", dimension}};
    if (reverse) attributes = attributes.with("reverse", true);
    const Type type = sample_type(std::move(dims));
    all.push_back({.kind = kind, .operands = {type, type}, .attributes = std::move(attributes)});
  });
  const std::vector<double> special = special_values();
  const auto count = static_cast<std::int64_t>(special.size());
  all.push_back({.kind = SampleClass::special_values,
                 .operands = {sample_type({count, 2}), sample_type({count, 2})},
                 .attributes = {{"dimension", std::int64_t{0}}},
                 .values = {Array::full(DType::f64, {count, 2}, 0.5)},
                 .differentiable = false});
  std::vector<double> twice;
  for (const double v : special) twice.insert(twice.end(), {v, 1.0});
  all.back().values.push_back(Array({count, 2}, twice));
  return all;
}

constexpr AttributeSpec cumulative_attributes[] = {
    {"combiner", AttributeKind::text, "add, multiply, maximum, minimum"},
    {"dimension", AttributeKind::integer, "the dim along which is folded"},
    {"reverse", AttributeKind::flag, "from the last element to the first", false},
    {"exclusive", AttributeKind::flag, "each result leaves out its own element: the first one is the identity", false}};
constexpr AttributeSpec recurrence_attributes[] = {{"dimension", AttributeKind::integer, "the dim along which t runs"},
                                                   {"reverse", AttributeKind::flag, "from the last element to the first", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::cumulative>::info = {
    .name = "cumulative",
    .doc = "The fold with `combiner` of all elements up to each one along `dimension`, in order, starting from the combiner's identity.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = cumulative_attributes,
    .dtypes = numbers,
    .infer = infer_cumulative,
    .evaluate = evaluate_cumulative,
    .gradient = gradient_cumulative,
    .structured = structured_cumulative,
    .kernel = KernelKind::fold,
    .samples = samples_cumulative,
};

template <>
constinit const OpInfo OpEntry<Op::linear_recurrence>::info = {
    .name = "linear_recurrence",
    .doc = "y[t] = a[t] * y[t-1] + b[t] along `dimension` with y[-1] = 0, of operands a and b; product and sum are rounded one by one.",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = recurrence_attributes,
    .dtypes = numbers,
    .infer = infer_recurrence,
    .evaluate = evaluate_recurrence,
    .gradient = gradient_recurrence,
    .structured = structured_recurrence,
    .kernel = KernelKind::fold,
    .samples = samples_recurrence,
};

}  // namespace kiln::ir

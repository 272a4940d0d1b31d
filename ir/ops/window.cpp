// reduce_window: a fold over sliding windows (ops/window_geometry.h says where they stand).
//
// Gradients. With T the transposed window sum, which adds to each element the values of the windows that hold it:
//   add                 T(cotangent), itself a reduce_window: of the cotangent, dilated by the strides, under windows that reach backwards
//                       (JAX, _reduce_window_sum_transpose_rule).
//   maximum, minimum    the cotangent goes to the element that attains it, the first in a window (PyTorch): window_argument finds it,
//                       window_select sends it there.
//   multiply            an element's derivative is the product of the others. As for reduce, zeros are set apart, so that nothing is
//   divided by
//                       zero: with p the product of a window's elements that are not 0, c the count of its zeros and z their sum (the value
//                       0, kept so that it can be differentiated), an element x receives
//                           x != 0:  T(cotangent * p * (c == 0 ? 1 : c == 1 ? z : 0)) / x
//                           x == 0:  T(cotangent * p * [c == 1]) + T(cotangent * p * [c == 2] * z) - x * T(cotangent * p * [c == 2])
//                       which is exact for first and second derivatives.
#include <algorithm>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/ops/combiner.h"
#include "ir/ops/samples.h"
#include "ir/ops/window_geometry.h"

namespace kiln::ir {
namespace {
using namespace ops;

std::vector<Type> infer_reduce_window(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  require_combiner(context);
  require_window(context, operand.rank());
  return {tensor_type(operand.dtype, windows_of(window_of(context.attributes, operand.rank()), operand.dims))};
}

std::vector<Array> evaluate_reduce_window(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const LoopOp combiner = combiner_of(context.attributes.text("combiner"));
  const std::vector<WindowDim> window = window_of(context.attributes, operand.shape().rank());
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  visit_dtype(result.dtype(), [&]<class T>(T) {
    using C = Compute<T>;
    const Literal identity = identity_of(combiner, result.dtype());
    auto out = result.mutable_data<T>().begin();
    for_each_index(result.shape(), [&](std::span<const std::int64_t> o) {
      C fold = is_floating(result.dtype()) ? static_cast<C>(identity.number) : static_cast<C>(identity.integer);
      for_each_place(window, operand.shape(), o, [&](std::int64_t, std::span<const std::int64_t> element) {
        fold = combine(combiner, fold, static_cast<C>(operand.data<T>()[offset_of(operand.shape(), element)]));
      });
      *out++ = static_cast<T>(fold);
    });
  });
  return {result};
}

// ---- gradients

/// The attributes of the same windows without what is not theirs.
Attributes windows_only(const Attributes& attributes) {
  std::vector<Attributes::Item> items;
  for (const Attributes::Item& item : attributes.items())
    if (item.first != "combiner") items.push_back(item);
  return Attributes(std::move(items));
}

/// T of the head of the file: `values`, one per window, to a tensor of `dims`.
ValueId transposed_sum(Builder& b, ValueId values, const std::vector<WindowDim>& window, const Dims& dims) {
  std::vector<std::int64_t> size, strides, base, dilation, low, high;
  Dims rest;  // what the extents lack after that: nothing where they are constant
  const Type type = b.type(values);
  for (std::size_t d = 0; d < window.size(); ++d) {
    const WindowDim& w = window[d];
    WindowDim t{.size = w.size, .stride = w.base, .base = w.stride, .dilation = w.dilation, .low = w.length() - 1 - w.low};
    // High padding that gives the extent of `dims`: with constants, or with stride 1, there is one for all values of the symbols.
    t.high = w.length() - 1 - w.high;
    if (const Dim exact =
            max(dims[d] - 1, 0) * Dim(w.base) + t.length() - t.low - (type.dims[d] + max(type.dims[d] - 1, 0) * Dim(w.stride - 1));
        exact.is_constant())
      t.high = exact.constant();
    rest.push_back(dims[d] - t.windows(type.dims[d]));
    size.push_back(t.size);
    strides.push_back(t.stride);
    base.push_back(t.base);
    dilation.push_back(t.dilation);
    low.push_back(t.low);
    high.push_back(t.high);
  }
  ValueId sum = b.create(Op::reduce_window, {values},
                         {{"combiner", std::string("add")},
                          {"window", size},
                          {"strides", strides},
                          {"base_dilation", base},
                          {"window_dilation", dilation},
                          {"low", low},
                          {"high", high}});
  if (std::ranges::any_of(rest, [](const Dim& r) { return !r.is_constant(0); }))
    sum = b.pad(sum, b.scalar(type.dtype, 0), Dims(dims.size(), Dim(0)), rest, std::vector<std::int64_t>(dims.size(), 0));
  return sum;
}

/// See the head of the file.
void gradient_of_product(GradientContext& c, const std::vector<WindowDim>& window) {
  Builder& b = c.builder();
  const Attributes attributes = c.node().attributes;
  const ValueId x = c.operand(0);
  const Type type = b.type(x), folded = b.type(c.result());
  const auto fold = [&](ValueId v, const char* combiner) {
    return b.create(Op::reduce_window, {v}, attributes.with("combiner", std::string(combiner)));
  };
  const auto count_is = [&](ValueId count, double wanted) { return b.compare(Comparison::eq, count, b.splat(wanted, folded)); };
  const auto spread = [&](ValueId v) { return transposed_sum(b, v, window, type.dims); };
  const ValueId zero = b.zeros(type), none = b.zeros(folded);
  const ValueId is_zero = b.compare(Comparison::eq, x, zero);
  const ValueId nonzero = b.select(is_zero, b.splat(1, type), x);
  const ValueId product = b.multiply(c.cotangent(), fold(nonzero, "multiply"));
  const ValueId count = fold(b.convert(is_zero, type.dtype), "add");
  const ValueId zeros = fold(b.select(is_zero, x, zero), "add");
  const ValueId of_two = b.select(count_is(count, 2), product, none);
  const ValueId factor = b.select(count_is(count, 0), b.splat(1, folded), b.select(count_is(count, 1), zeros, none));
  const ValueId at_nonzero = b.divide(spread(b.multiply(product, factor)), nonzero);
  const ValueId at_zero = b.subtract(b.add(spread(b.select(count_is(count, 1), product, none)), spread(b.multiply(of_two, zeros))),
                                     b.multiply(x, spread(of_two)));
  c.add(0, b.select(is_zero, at_zero, at_nonzero));
}

void gradient_reduce_window(GradientContext& c) {
  Builder& b = c.builder();
  const Attributes attributes = c.node().attributes;
  const Dims dims = b.type(c.operand(0)).dims;
  const std::vector<WindowDim> window = window_of(attributes, dims.size());
  const std::string& combiner = attributes.text("combiner");
  switch (combiner_of(combiner)) {
    case LoopOp::add: c.add(0, transposed_sum(b, c.cotangent(), window, dims)); break;
    case LoopOp::multiply: gradient_of_product(c, window); break;
    case LoopOp::maximum:
    case LoopOp::minimum: {
      const Attributes windows = windows_only(attributes);
      const ValueId argument = b.create(Op::window_argument, {c.operand(0)}, windows.with("direction", combiner));
      c.add(0, b.create(Op::window_select, {c.cotangent(), argument}, windows.with("transposed", true).with("dims", dims)));
      break;
    }
    default: break;  // "and" and "or" fold no floats
  }
}

// ---- lowering

Structured structured_reduce_window(const Node& node, std::span<const Type> operands, const Type& result) {
  const Dims extents = operands[0].dims;
  const std::vector<WindowDim> window = window_of(node.attributes, extents.size());
  Structured structured;
  for (const Dim& extent : result.dims) structured.axes.push_back({extent, false});
  for (const WindowDim& w : window) structured.axes.push_back({w.size, true});
  structured.combiner = combiner_of(node.attributes.text("combiner"));
  structured.identity = identity_of(structured.combiner, result.dtype);
  structured.body = [extents, window, identity = structured.identity](ScalarBuilder& b, std::span<const Dim> axes) {
    const WindowPlace place = place_of(b, window, extents, axes.first(extents.size()), axes.subspan(extents.size()));
    if (place.never) return b.constant(identity);
    return place.inside == none ? b.operand(0, place.index) : b.operand_where(place.inside, 0, place.index, b.constant(identity));
  };
  return structured;
}

// ---- samples

std::vector<Sample> samples_reduce_window(Op) {
  const Dim n = sample_symbol();
  std::vector<Sample> all;
  const auto add = [&](SampleClass kind, std::string_view combiner, DType dtype, Dims dims, std::vector<std::int64_t> window,
                       std::vector<std::int64_t> strides = {}, std::vector<std::int64_t> low = {}, std::vector<std::int64_t> high = {},
                       std::vector<std::int64_t> base = {}, std::vector<std::int64_t> dilation = {}) {
    all.push_back({.kind = kind,
                   .operands = {sample_type(std::move(dims), dtype)},
                   .attributes = {{"combiner", std::string(combiner)},
                                  {"window", std::move(window)},
                                  {"strides", std::move(strides)},
                                  {"low", std::move(low)},
                                  {"high", std::move(high)},
                                  {"base_dilation", std::move(base)},
                                  {"window_dilation", std::move(dilation)}},
                   .generic = false,
                   .low = 0.25,
                   .high = 1.75});
  };
  for (int t = 0; t < dtype_count; ++t) {
    const DType dtype = static_cast<DType>(t);
    for (const auto& [name, op] : combiners) {
      const bool logical = op == LoopOp::and_ || op == LoopOp::or_;
      if (logical ? is_floating(dtype) : dtype == DType::boolean) continue;
      add(SampleClass::odd, name, dtype, {2, 7, 5, 3}, {1, 3, 2, 1}, {1, 2, 2, 1});
      add(SampleClass::odd, name, dtype, {7, 6}, {3, 3}, {2, 1}, {1, 1}, {0, 2});
      if (dtype == DType::f32 || dtype == DType::f64) {  // the geometry is the same for all
        add(SampleClass::scalar, name, dtype, {}, {});
        add(SampleClass::one, name, dtype, {1}, {1});
        add(SampleClass::one, name, dtype, {1}, {3}, {2}, {1}, {1});
        add(SampleClass::empty, name, dtype, {0, 3}, {2, 2}, {1, 1}, {1, 0}, {2, 0});
        add(SampleClass::empty, name, dtype, {3, 2}, {4, 1});             // no window fits
        add(SampleClass::empty, name, dtype, {3}, {2}, {1}, {-2}, {-2});  // nothing is left
        add(SampleClass::odd, name, dtype, {9}, {3}, {1}, {-1}, {-2});
        add(SampleClass::odd, name, dtype, {5, 4}, {2, 3}, {1, 2}, {1, 0}, {1, 1}, {2, 3}, {1, 1});
        add(SampleClass::odd, name, dtype, {8}, {3}, {3}, {2}, {3}, {}, {2});
        add(SampleClass::wide, name, dtype, {3, 6, 67}, {1, 3, 1}, {1, 1, 1}, {0, 1, 0}, {0, 1, 0});
        add(SampleClass::wide, name, dtype, {2, 70}, {1, 3}, {1, 2}, {0, 1}, {0, 1});
        add(SampleClass::symbolic, name, dtype, {n, 6, 2}, {1, 2, 1}, {1, 2, 1});
        add(SampleClass::symbolic, name, dtype, {n}, {3}, {2}, {1}, {1});
        add(SampleClass::symbolic, name, dtype, {n, 3}, {3, 2}, {1, 1}, {1, -1}, {0, 0}, {3, 1}, {1, 1});
      }
      const std::vector<double> special = special_values();
      const auto count = static_cast<std::int64_t>(special.size());
      add(SampleClass::special_values, name, dtype, {count}, {2}, {1}, {1}, {0});
      all.back().values = {sample_values(special)};
      all.back().differentiable = false;
    }
  }
  // Products of windows with no, one and two zeros, and of one zero in several windows.
  add(SampleClass::odd, "multiply", DType::f64, {7}, {2}, {1}, {1}, {0});
  all.back().values = {Array({7}, {1.5, 0.0, 2.0, -0.5, 0.0, 0.0, 3.0})};
  return all;
}

constexpr AttributeSpec reduce_window_attributes[] = {
    {"combiner", AttributeKind::text, "add, multiply, maximum, minimum, and, or"},
    window_size_attribute,
    window_strides_attribute,
    base_dilation_attribute,
    window_dilation_attribute,
    window_low_attribute,
    window_high_attribute,
};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::reduce_window>::info = {
    .name = "reduce_window",
    .doc =
        "Folds each window with `combiner` in row-major order, starting from its identity; padding and the holes of base dilation fold "
        "nothing. Windows stand wherever they fit into the padded operand, `strides` apart; there are none when it is smaller than one.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = reduce_window_attributes,
    .infer = infer_reduce_window,
    .evaluate = evaluate_reduce_window,
    .gradient = gradient_reduce_window,
    .structured = structured_reduce_window,
    .kernel = KernelKind::fold,
    .samples = samples_reduce_window,
};

}  // namespace kiln::ir

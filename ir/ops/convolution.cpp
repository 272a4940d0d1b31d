// convolution: sums of products over a window that moves across the spatial dims, with StableHLO's semantics.
//
// With x the lhs after dilation and padding, w the rhs, along each spatial dim
//
//   result[b, o, y] = sum over k and c of x[b, c, y * stride + k * rhs_dilation] * w[c, o, k]      (k runs backwards where reversed)
//
// where c runs over the input features of o's group. Padding is a zero that is multiplied like any other element: under an infinite weight
// it gives NaN. An extent of the result is the number of places where the whole window fits, 0 if there is none.
//
// Gradients are convolutions again, of the same padded tensor walked another way (the transpose rules of JAX's conv_general_dilated):
//
//   of lhs: the cotangent, dilated by the strides, under the window turned round; lhs_dilation becomes the stride.
//   of rhs: lhs under the cotangent as the window, dilated by the strides; batch and features change places in lhs and cotangent, and
//           rhs_dilation becomes the stride. Groups of features become groups of the batch, and groups of the batch groups of features.
//
// Their padding follows from the extents, which may be symbols: so low and high are dims.
#include "ir/ops/convolution.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/builder.h"
#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/samples.h"

namespace kiln::ir {

namespace ops {

namespace {

std::int64_t integer_or(const Attributes& attributes, std::string_view name, std::int64_t otherwise) {
  return attributes.find(name) ? attributes.integer(name) : otherwise;
}

std::optional<ScalarId> both(ScalarBuilder& b, std::optional<ScalarId> a, ScalarId c) {
  return a ? b.apply(LoopOp::and_, DType::boolean, {*a, c}) : c;
}

}  // namespace

Convolution convolution_of(const Attributes& attributes) {
  Convolution c;
  c.lhs_batch = attributes.integer("lhs_batch");
  c.lhs_feature = attributes.integer("lhs_feature");
  c.lhs_spatial = integers_or_empty(attributes, "lhs_spatial");
  c.rhs_input_feature = attributes.integer("rhs_input_feature");
  c.rhs_output_feature = attributes.integer("rhs_output_feature");
  c.rhs_spatial = integers_or_empty(attributes, "rhs_spatial");
  c.result_batch = attributes.integer("result_batch");
  c.result_feature = attributes.integer("result_feature");
  c.result_spatial = integers_or_empty(attributes, "result_spatial");
  c.feature_groups = integer_or(attributes, "feature_groups", 1);
  c.batch_groups = integer_or(attributes, "batch_groups", 1);
  c.windows.resize(c.spatial());
  const auto set = [&](std::string_view name, std::int64_t ConvolutionWindow::* member) {
    const auto& values = integers_or_empty(attributes, name);
    for (std::size_t d = 0; d < values.size(); ++d) c.windows[d].*member = values[d];
  };
  set("strides", &ConvolutionWindow::stride);
  set("lhs_dilation", &ConvolutionWindow::lhs_dilation);
  set("rhs_dilation", &ConvolutionWindow::rhs_dilation);
  const Dims &low = dims_or_empty(attributes, "low"), &high = dims_or_empty(attributes, "high");
  for (std::size_t d = 0; d < low.size(); ++d) c.windows[d].low = low[d];
  for (std::size_t d = 0; d < high.size(); ++d) c.windows[d].high = high[d];
  const auto& reversed = integers_or_empty(attributes, "window_reversal");
  for (std::size_t d = 0; d < reversed.size(); ++d) c.windows[d].reversed = reversed[d] != 0;
  return c;
}

Dim dilated(const Dim& n, std::int64_t dilation) { return dilation == 1 ? n : n + max(n - 1, 0) * Dim(dilation - 1); }

ScalarId padded_element(ScalarBuilder& b, const Convolution& c, std::span<const Dim> index, std::span<const Dim> extents) {
  const Type& lhs = b.operand_type(0);
  const ScalarId zero = b.constant(Literal::of(lhs.dtype, 0));
  std::optional<ScalarId> inside;
  Dims from(index.begin(), index.end());
  for (std::size_t d = 0; d < c.spatial(); ++d) {
    const ConvolutionWindow& w = c.windows[d];
    const Dim& extent = lhs.dims[c.lhs_spatial[d]];
    if (extent.is_constant(0)) return zero;
    const Dim place = index[c.lhs_spatial[d]] - w.low;
    const Dim element = floordiv(place, w.lhs_dilation);
    const bool below = less_equal(w.low, 0) != Truth::yes;
    const bool beyond = less_equal(extents[d] - w.low, dilated(extent, w.lhs_dilation)) != Truth::yes;
    if (below) inside = both(b, inside, b.compare(Comparison::ge, b.index_value(place), b.index_value(0)));
    if (beyond) inside = both(b, inside, b.compare(Comparison::lt, b.index_value(element), b.index_value(extent)));
    if (w.lhs_dilation > 1)
      inside = both(b, inside, b.compare(Comparison::eq, b.index_value(mod(place, w.lhs_dilation)), b.index_value(0)));
    const Dim capped = beyond ? min(element, extent - 1) : element;
    from[c.lhs_spatial[d]] = below || beyond ? max(capped, 0) : capped;
  }
  return inside ? b.operand_where(*inside, 0, from, zero) : b.operand(0, from);
}

}  // namespace ops

namespace {
using namespace ops;

/// How often a window of extent `window`, dilated, fits into `padded` elements.
///
/// Where the length left over is some n dilated by the stride, that n: the gradients' extents come out as the operands' own.
Dim window_count(const Dim& padded, const Dim& window, std::int64_t stride) {
  const Dim length = padded - window + 1;
  if (stride == 1) return max(length, 0);
  if (!length.is_constant())
    for (const DimTerm& term : terms(length))
      for (const auto& [atom, power] : term.factors)
        if (atom.kind == DimAtom::Kind::max)
          for (const Dim& n : {*atom.a + 1, *atom.b + 1})
            if (dilated(n, stride) == length) return n;
  return max(ceildiv(length, stride), 0);
}

Dim padded_extent(const ConvolutionWindow& w, const Dim& extent) { return w.low + dilated(extent, w.lhs_dilation) + w.high; }

// ---- inference

void require_roles(const InferContext& context, const std::string& side, std::size_t rank, std::int64_t a, std::int64_t b,
                   const std::vector<std::int64_t>& spatial) {
  std::vector<std::int64_t> axes{a, b};
  axes.insert(axes.end(), spatial.begin(), spatial.end());
  if (axes.size() != rank)
    fail(context, ErrorCode::shape_mismatch,
         fmt::format("{} of rank {} needs {} spatial dims, but {}_spatial is {} (operands are {})", side, rank,
                     static_cast<std::int64_t>(rank) - 2, side, list_text(spatial), describe_types(context.operands)));
  require_distinct_axes(context, axes, rank, "the dimension numbers of " + side);
}

Dim part_of(const InferContext& context, const Type& type, std::int64_t axis, std::int64_t groups, const std::string& what) {
  const Dim& extent = type.dims[axis];
  const Dim part = floordiv(extent, groups);
  if (equals(part * groups, extent) != Truth::yes)
    fail(context, ErrorCode::shape_mismatch,
         fmt::format("the {} {} of {} (dim {}) cannot be divided into {} groups", to_string(extent), what, to_string(type), axis, groups));
  return part;
}

std::vector<Type> infer_convolution(const InferContext& context) {
  const Type& lhs = tensor(context, 0);
  const Type& rhs = tensor(context, 1);
  require_same_dtype(context, 0, 1);
  const auto& attributes = context.attributes;
  const std::size_t spatial = integers_or_empty(attributes, "lhs_spatial").size();
  for (const char* name : {"strides", "lhs_dilation", "rhs_dilation", "window_reversal"}) {
    const auto& values = integers_or_empty(attributes, name);
    if (!values.empty() && values.size() != spatial)
      fail(context, ErrorCode::invalid_argument,
           fmt::format("{} {} needs one entry for each of {} spatial dims", name, list_text(values), spatial));
    for (const std::int64_t value : values)
      if (std::string_view(name) != "window_reversal" && value < 1)
        fail(context, ErrorCode::invalid_argument, fmt::format("{} {} must be at least 1", name, list_text(values)));
  }
  for (const char* name : {"low", "high"})
    if (const Dims& values = dims_or_empty(attributes, name); !values.empty() && values.size() != spatial)
      fail(context, ErrorCode::invalid_argument,
           fmt::format("{} {} needs one entry for each of {} spatial dims", name, to_string(values), spatial));
  const Convolution c = convolution_of(attributes);
  require_roles(context, "lhs", lhs.rank(), c.lhs_batch, c.lhs_feature, c.lhs_spatial);
  require_roles(context, "rhs", rhs.rank(), c.rhs_input_feature, c.rhs_output_feature, c.rhs_spatial);
  require_roles(context, "result", lhs.rank(), c.result_batch, c.result_feature, c.result_spatial);
  if (rhs.rank() != lhs.rank())
    fail(context, ErrorCode::shape_mismatch, fmt::format("{} and {} have different ranks", to_string(lhs), to_string(rhs)));
  if (c.feature_groups < 1 || c.batch_groups < 1 || (c.feature_groups > 1 && c.batch_groups > 1))
    fail(context, ErrorCode::invalid_argument,
         fmt::format("feature_groups is {} and batch_groups {}: both are at least 1, and one of them is 1", c.feature_groups,
                     c.batch_groups));
  const Dim features = part_of(context, lhs, c.lhs_feature, c.feature_groups, "features");
  const Dim batch = part_of(context, lhs, c.lhs_batch, c.batch_groups, "elements of the batch");
  part_of(context, rhs, c.rhs_output_feature, c.feature_groups * c.batch_groups, "output features");
  require_equal(context, features, rhs.dims[c.rhs_input_feature],
                fmt::format("{} has {} features at dim {} in {} {}, thus {} each, but {} has {} input features at dim {}", to_string(lhs),
                            to_string(lhs.dims[c.lhs_feature]), c.lhs_feature, c.feature_groups, c.feature_groups == 1 ? "group" : "groups",
                            to_string(features), to_string(rhs), to_string(rhs.dims[c.rhs_input_feature]), c.rhs_input_feature));
  Type result = tensor_type(lhs.dtype, Dims(lhs.rank()));
  if (attributes.find("dtype")) {
    result.dtype = attributes.dtype("dtype");
    require_accumulator(context, lhs.dtype, result.dtype);
  }
  result.dims[c.result_batch] = batch;
  result.dims[c.result_feature] = rhs.dims[c.rhs_output_feature];
  for (std::size_t d = 0; d < spatial; ++d) {
    const ConvolutionWindow& w = c.windows[d];
    result.dims[c.result_spatial[d]] =
        window_count(padded_extent(w, lhs.dims[c.lhs_spatial[d]]), dilated(rhs.dims[c.rhs_spatial[d]], w.rhs_dilation), w.stride);
  }
  return {result};
}

// ---- evaluation

std::vector<Array> evaluate_convolution(const EvaluateContext& context) {
  const Array lhs = context.operands[0].convert(context.result_dtypes[0]), rhs = context.operands[1].convert(context.result_dtypes[0]);
  const Convolution c = convolution_of(context.attributes);
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  const std::int64_t groups = c.feature_groups * c.batch_groups;
  const std::int64_t outputs = rhs.shape()[c.rhs_output_feature] / groups, inputs = rhs.shape()[c.rhs_input_feature];
  const std::int64_t batch = result.shape()[c.result_batch];
  std::vector<std::int64_t> summed;
  for (const std::int64_t axis : c.rhs_spatial) summed.push_back(rhs.shape()[axis]);
  summed.push_back(inputs);
  visit_allowed<numbers>(result.dtype(), [&]<class T>(T) {
    using C = Compute<T>;
    std::vector<std::int64_t> from(lhs.shape().rank()), weight(lhs.shape().rank());
    T* out = result.mutable_data<T>().data();
    for_each_index(result.shape(), [&](std::span<const std::int64_t> index) {
      const std::int64_t group = index[c.result_feature] / std::max<std::int64_t>(outputs, 1);
      C total = 0, sum = 0;  // of the finished blocks, of the current one
      std::int64_t k = 0;
      for_each_index(Shape(summed), [&](std::span<const std::int64_t> at) {
        from[c.lhs_batch] = index[c.result_batch] + (c.batch_groups > 1 ? group * batch : 0);
        from[c.lhs_feature] = at.back() + (c.feature_groups > 1 ? group * inputs : 0);
        weight[c.rhs_input_feature] = at.back();
        weight[c.rhs_output_feature] = index[c.result_feature];
        bool inside = true;
        for (std::size_t d = 0; d < c.spatial(); ++d) {
          const ConvolutionWindow& w = c.windows[d];
          weight[c.rhs_spatial[d]] = w.reversed ? summed[d] - 1 - at[d] : at[d];
          const std::int64_t place = index[c.result_spatial[d]] * w.stride + at[d] * w.rhs_dilation - w.low.constant();
          from[c.lhs_spatial[d]] = place / w.lhs_dilation;
          inside = inside && place >= 0 && place % w.lhs_dilation == 0 && from[c.lhs_spatial[d]] < lhs.shape()[c.lhs_spatial[d]];
        }
        const C a = inside ? static_cast<C>(lhs.data<T>()[offset_of(lhs.shape(), from)]) : C{0};
        const C b = static_cast<C>(rhs.data<T>()[offset_of(rhs.shape(), weight)]);
        if constexpr (std::is_floating_point_v<C>) {
          if (k++ % contraction_block == 0) {
            total += sum;
            sum = 0;
          }
          sum = std::fma(a, b, sum);
        } else {
          sum = wrapping_add(sum, wrapping_multiply(a, b));
        }
      });
      if constexpr (std::is_floating_point_v<C>) sum = total + sum;
      *out++ = static_cast<T>(sum);
    });
  });
  return {result};
}

// ---- gradients

/// Dim `from` is cut into `groups` equal parts, whose number becomes the major part of dim `to`.
ValueId move_groups(Builder& b, ValueId value, std::int64_t from, std::int64_t to, std::int64_t groups) {
  Dims dims = b.type(value).dims;
  const Dim part = floordiv(dims[from], groups);
  dims[from] = part;
  dims.insert(dims.begin() + from, Dim(groups));
  value = b.reshape(value, dims);
  // The groups' dim goes right before `to`, which has moved up by one if it lies behind it.
  const std::int64_t rank = static_cast<std::int64_t>(dims.size());
  const std::int64_t target = to >= from ? to + 1 : to;
  std::vector<std::int64_t> order;
  for (std::int64_t d = 0; d < rank; ++d) {
    if (d == target) order.push_back(from);
    if (d != from) order.push_back(d);
  }
  value = b.transpose(value, order);
  Dims joined = b.type(value).dims;
  const auto at = std::ranges::find(order, from) - order.begin();
  joined[at] = joined[at] * joined[at + 1];
  joined.erase(joined.begin() + at + 1);
  return b.reshape(value, joined);
}

ValueId create_convolution(Builder& b, ValueId lhs, ValueId rhs, const Convolution& c) {
  std::vector<std::int64_t> strides, lhs_dilation, rhs_dilation, reversal;
  Dims low, high;
  for (const ConvolutionWindow& w : c.windows) {
    strides.push_back(w.stride);
    lhs_dilation.push_back(w.lhs_dilation);
    rhs_dilation.push_back(w.rhs_dilation);
    reversal.push_back(w.reversed);
    low.push_back(w.low);
    high.push_back(w.high);
  }
  return b.create(Op::convolution, {lhs, rhs},
                  {{"strides", strides},
                   {"low", low},
                   {"high", high},
                   {"lhs_dilation", lhs_dilation},
                   {"rhs_dilation", rhs_dilation},
                   {"window_reversal", reversal},
                   {"lhs_batch", c.lhs_batch},
                   {"lhs_feature", c.lhs_feature},
                   {"lhs_spatial", c.lhs_spatial},
                   {"rhs_input_feature", c.rhs_input_feature},
                   {"rhs_output_feature", c.rhs_output_feature},
                   {"rhs_spatial", c.rhs_spatial},
                   {"result_batch", c.result_batch},
                   {"result_feature", c.result_feature},
                   {"result_spatial", c.result_spatial},
                   {"feature_groups", c.feature_groups},
                   {"batch_groups", c.batch_groups}});
}

ValueId gradient_of_lhs(Builder& b, const Convolution& c, const Type& lhs, ValueId rhs, ValueId cotangent) {
  const Type weights = b.type(rhs), g = b.type(cotangent);
  const std::int64_t groups = c.feature_groups * c.batch_groups;
  Convolution t = c;
  t.lhs_batch = c.result_batch, t.lhs_feature = c.result_feature, t.lhs_spatial = c.result_spatial;
  t.result_batch = c.lhs_batch, t.result_feature = c.lhs_feature, t.result_spatial = c.lhs_spatial;
  t.rhs_input_feature = c.rhs_output_feature, t.rhs_output_feature = c.rhs_input_feature;
  t.feature_groups = groups, t.batch_groups = 1;
  for (std::size_t d = 0; d < c.spatial(); ++d) {
    const ConvolutionWindow& w = c.windows[d];
    const Dim window = dilated(weights.dims[c.rhs_spatial[d]], w.rhs_dilation),
              extent = dilated(lhs.dims[c.lhs_spatial[d]], w.lhs_dilation);
    const Dim low = window - 1 - w.low;
    t.windows[d] = {.stride = w.lhs_dilation,
                    .lhs_dilation = w.stride,
                    .rhs_dilation = w.rhs_dilation,
                    .low = low,
                    .high = extent + window - 1 - dilated(g.dims[c.result_spatial[d]], w.stride) - low,
                    .reversed = !w.reversed};
  }
  if (groups > 1) rhs = move_groups(b, rhs, c.rhs_output_feature, c.rhs_input_feature, groups);
  const ValueId share = create_convolution(b, cotangent, rhs, t);
  return c.batch_groups > 1 ? move_groups(b, share, c.lhs_feature, c.lhs_batch, groups) : share;
}

ValueId gradient_of_rhs(Builder& b, const Convolution& c, ValueId lhs, const Type& rhs, ValueId cotangent) {
  const Type x = b.type(lhs), g = b.type(cotangent);
  Convolution t = c;
  std::swap(t.lhs_batch, t.lhs_feature);
  t.rhs_input_feature = c.result_batch, t.rhs_output_feature = c.result_feature, t.rhs_spatial = c.result_spatial;
  t.result_batch = c.rhs_input_feature, t.result_feature = c.rhs_output_feature, t.result_spatial = c.rhs_spatial;
  std::swap(t.feature_groups, t.batch_groups);
  std::vector<std::int64_t> reversed;
  for (std::size_t d = 0; d < c.spatial(); ++d) {
    const ConvolutionWindow& w = c.windows[d];
    const Dim window = dilated(rhs.dims[c.rhs_spatial[d]], w.rhs_dilation), extent = dilated(x.dims[c.lhs_spatial[d]], w.lhs_dilation);
    t.windows[d] = {.stride = w.rhs_dilation,
                    .lhs_dilation = w.lhs_dilation,
                    .rhs_dilation = w.stride,
                    .low = w.low,
                    .high = dilated(g.dims[c.result_spatial[d]], w.stride) - extent + window - w.low - 1,
                    .reversed = false};
    if (w.reversed) reversed.push_back(c.rhs_spatial[d]);
  }
  const ValueId share = create_convolution(b, lhs, cotangent, t);
  return reversed.empty() ? share : b.create(Op::reverse, {share}, {{"dimensions", reversed}});
}

void gradient_convolution(GradientContext& context) {
  Builder& b = context.builder();
  const Convolution c = convolution_of(context.node().attributes);
  const Type lhs = b.type(context.operand(0)), rhs = b.type(context.operand(1));
  const DType dtype = b.type(context.cotangent()).dtype;
  const auto wide = [&](ValueId v) { return b.type(v).dtype == dtype ? v : b.convert(v, dtype); };
  const auto share = [&](std::size_t i, ValueId v) { context.add(i, lhs.dtype == dtype ? v : b.convert(v, lhs.dtype)); };
  if (context.needs(0)) share(0, gradient_of_lhs(b, c, lhs, wide(context.operand(1)), context.cotangent()));
  if (context.needs(1)) share(1, gradient_of_rhs(b, c, wide(context.operand(0)), rhs, context.cotangent()));
}

// ---- lowering

Structured structured_convolution(const Node& node, std::span<const Type> operands, const Type& result) {
  const Convolution c = convolution_of(node.attributes);
  const Type lhs = operands[0], rhs = operands[1];
  Structured structured;
  for (const Dim& extent : result.dims) structured.axes.push_back({extent, false});
  for (const std::int64_t axis : c.rhs_spatial) structured.axes.push_back({rhs.dims[axis], true});
  structured.axes.push_back({rhs.dims[c.rhs_input_feature], true});
  structured.combiner = LoopOp::add;
  structured.identity = Literal::of(result.dtype, 0);
  structured.body = [c, lhs, rhs, result](ScalarBuilder& b, std::span<const Dim> axes) {
    const std::size_t rank = lhs.rank();
    const Dim &output = axes[c.result_feature], &input = axes.back();
    const std::int64_t groups = c.feature_groups * c.batch_groups;
    const Dim group = groups == 1 ? Dim(0) : floordiv(output, max(floordiv(rhs.dims[c.rhs_output_feature], groups), 1));
    Dims from(rank), weight(rank), reach;
    from[c.lhs_batch] = axes[c.result_batch] + (c.batch_groups > 1 ? group * result.dims[c.result_batch] : Dim(0));
    from[c.lhs_feature] = input + (c.feature_groups > 1 ? group * rhs.dims[c.rhs_input_feature] : Dim(0));
    weight[c.rhs_input_feature] = input;
    weight[c.rhs_output_feature] = output;
    for (std::size_t d = 0; d < c.spatial(); ++d) {
      const ConvolutionWindow& w = c.windows[d];
      const Dim &k = axes[rank + d], &extent = rhs.dims[c.rhs_spatial[d]];
      weight[c.rhs_spatial[d]] = w.reversed ? extent - 1 - k : k;
      from[c.lhs_spatial[d]] = axes[c.result_spatial[d]] * w.stride + k * w.rhs_dilation;
      reach.push_back((result.dims[c.result_spatial[d]] - 1) * w.stride + dilated(extent, w.rhs_dilation));
    }
    const ScalarId a = b.apply(LoopOp::convert, result.dtype, {padded_element(b, c, from, reach)});
    return b.apply(LoopOp::multiply, result.dtype, {a, b.apply(LoopOp::convert, result.dtype, {b.operand(1, weight)})});
  };
  return structured;
}

// ---- samples

/// Dims in the order batch, feature, spatial...; input feature, output feature, spatial...; batch, feature, spatial...
Convolution plain(std::size_t spatial) {
  Convolution c;
  c.lhs_feature = c.rhs_output_feature = c.result_feature = 1;
  for (std::size_t d = 0; d < spatial; ++d) {
    for (auto* axes : {&c.lhs_spatial, &c.rhs_spatial, &c.result_spatial}) axes->push_back(static_cast<std::int64_t>(d) + 2);
    c.windows.push_back({});
  }
  return c;
}

Sample sample_of(SampleClass kind, Dims lhs, Dims rhs, const Convolution& c) {
  Module module;
  module.main = module.add_graph("sample");
  Builder b(module, module.main);
  Graph& graph = module.main_graph();
  const Type left = sample_type(std::move(lhs)), right = sample_type(std::move(rhs));
  const ValueId x = graph.add_parameter(left, "", 0), w = graph.add_parameter(right, "", 0);
  Sample sample{.kind = kind, .operands = {left, right}, .attributes = graph.definition(create_convolution(b, x, w, c)).attributes};
  sample.low = 0.25;  // of one sign, as in reduce
  sample.high = 2;
  return sample;
}

std::vector<Sample> samples_convolution(Op) {
  const Dim n = sample_symbol();
  std::vector<Sample> all;
  const auto add = [&](SampleClass kind, Dims lhs, Dims rhs, const Convolution& c) {
    all.push_back(sample_of(kind, std::move(lhs), std::move(rhs), c));
  };
  const auto with = [](std::vector<ConvolutionWindow> windows, std::int64_t feature_groups = 1, std::int64_t batch_groups = 1) {
    Convolution c = plain(windows.size());
    c.windows = std::move(windows);
    c.feature_groups = feature_groups;
    c.batch_groups = batch_groups;
    return c;
  };
  add(SampleClass::one, {1, 1}, {1, 1}, plain(0));
  add(SampleClass::one, {1, 1, 1}, {1, 1, 3}, with({{.low = 1, .high = 1}}));
  add(SampleClass::empty, {0, 2, 3}, {2, 3, 2}, plain(1));
  add(SampleClass::empty, {2, 0, 3}, {0, 3, 2}, plain(1));                       // no features: zeros
  add(SampleClass::empty, {2, 1, 0}, {1, 2, 2}, with({{.low = 2, .high = 1}}));  // padding alone
  add(SampleClass::empty, {2, 1, 3}, {1, 2, 5}, plain(1));                       // the window fits nowhere
  add(SampleClass::empty, {2, 3, 4}, {3, 0, 2}, plain(1));
  add(SampleClass::odd, {3, 2}, {2, 5}, plain(0));
  add(SampleClass::odd, {2, 3, 7}, {3, 2, 3}, with({{.stride = 2, .low = 1, .high = 2}}));
  add(SampleClass::odd, {1, 2, 7}, {2, 3, 2}, with({{.stride = 2, .rhs_dilation = 3, .low = 2, .high = 1, .reversed = true}}));
  add(SampleClass::odd, {1, 2, 4}, {2, 3, 3}, with({{.stride = 1, .lhs_dilation = 3, .low = 1, .high = -2}}));
  add(SampleClass::odd, {1, 2, 9}, {2, 3, 3}, with({{.stride = 2, .lhs_dilation = 2, .rhs_dilation = 2, .low = -1, .high = -3}}));
  add(SampleClass::odd, {2, 1, 5, 4}, {1, 2, 3, 2}, with({{.low = 1, .high = 1}, {.stride = 2, .high = 1}}));
  add(SampleClass::odd, {1, 4, 5, 4}, {2, 6, 3, 2}, with({{.low = 1}, {.rhs_dilation = 2, .low = 1, .high = 1}}, 2));  // groups
  add(SampleClass::odd, {2, 3, 5}, {1, 6, 2}, with({{.stride = 2}}, 3));             // depthwise, twice as many
  add(SampleClass::odd, {4, 2, 5}, {2, 6, 3}, with({{.low = 1, .high = 1}}, 1, 2));  // batch groups
  add(SampleClass::odd, {1, 1, 3, 2, 4}, {1, 2, 2, 1, 3}, with({{}, {.low = 1}, {.stride = 2, .low = 2}}));
  Convolution last;
  last.lhs_feature = last.rhs_output_feature = last.result_feature = 3, last.rhs_input_feature = 2;
  last.lhs_spatial = last.result_spatial = {1, 2};
  last.rhs_spatial = {0, 1};
  last.windows = {{.stride = 2, .low = 1, .high = 1}, {.low = 1}};
  add(SampleClass::odd, {2, 5, 3, 2}, {3, 2, 2, 3}, last);
  Convolution mixed;
  mixed.lhs_batch = 2, mixed.rhs_input_feature = 1, mixed.result_batch = 1, mixed.result_feature = 3;
  mixed.lhs_spatial = {3, 1}, mixed.rhs_spatial = {2, 3}, mixed.result_spatial = {0, 2};
  mixed.windows = {{.low = 1, .reversed = true}, {.stride = 2, .high = 1}};
  mixed.feature_groups = 2;
  add(SampleClass::odd, {4, 5, 3, 6}, {2, 2, 3, 2}, mixed);
  add(SampleClass::wide, {1, 1, 66}, {1, 20, 3}, with({{.low = 1, .high = 1}}));
  add(SampleClass::wide, {1, 35, 5}, {35, 17, 2}, plain(1));
  add(SampleClass::symbolic, {n, 2, 4}, {2, 3, 3}, with({{.low = 1, .high = 1}}));
  add(SampleClass::symbolic, {2, 2, n}, {2, 3, 3}, with({{.stride = 2, .low = 1, .high = 1}}));
  add(SampleClass::symbolic, {2, 1, n}, {1, 2, 2}, with({{.lhs_dilation = 2, .rhs_dilation = 2, .low = 1, .high = 2}}));
  add(SampleClass::symbolic, {2, n, 3}, {n, 2, 2}, plain(1));
  add(SampleClass::symbolic, {2, 1, 9}, {1, 2, n}, with({{.low = n, .high = n}}));
  const std::vector<double> special = special_values();
  const std::int64_t count = static_cast<std::int64_t>(special.size());
  Sample sample = sample_of(SampleClass::special_values, {count, 1, 1}, {1, count, 2}, with({{.high = 1}}));
  std::vector<double> pairs;
  for (const double value : special) pairs.insert(pairs.end(), {value, 1.0});
  sample.values = {Array({count, 1, 1}, special), Array({1, count, 2}, pairs)};
  sample.differentiable = false;
  all.push_back(std::move(sample));
  for (const auto& [from, to] :
       {std::pair{DType::i8, DType::i32}, {DType::u8, DType::u32}, {DType::bf16, DType::f32}, {DType::f16, DType::f64}}) {
    Sample wider = sample_of(SampleClass::odd, {2, 3, 7}, {3, 2, 3}, with({{.stride = 2, .low = 1, .high = 2}}));
    for (Type& type : wider.operands) type.dtype = from;
    wider.attributes = wider.attributes.with("dtype", to);
    wider.generic = false;
    all.push_back(std::move(wider));
  }
  return all;
}

constexpr AttributeSpec convolution_attributes[] = {
    {"strides", AttributeKind::integers, "steps of the window per spatial dim; absent: 1", false},
    {"low", AttributeKind::dims, "zeros before the dilated lhs per spatial dim; negative: elements cut off", false},
    {"high", AttributeKind::dims, "zeros behind it, likewise", false},
    {"lhs_dilation", AttributeKind::integers, "distance of neighbours of lhs once dilated; absent: 1", false},
    {"rhs_dilation", AttributeKind::integers, "distance of neighbours of the window; absent: 1", false},
    {"window_reversal", AttributeKind::integers, "1 where the window is turned round; absent: 0", false},
    {"lhs_batch", AttributeKind::integer, "dim of operand 0"},
    {"lhs_feature", AttributeKind::integer, "dim of operand 0 that is summed over"},
    {"lhs_spatial", AttributeKind::integers, "the other dims of operand 0", false},
    {"rhs_input_feature", AttributeKind::integer, "dim of operand 1 that is summed over: as many as lhs features of a group"},
    {"rhs_output_feature", AttributeKind::integer, "dim of operand 1"},
    {"rhs_spatial", AttributeKind::integers, "the dims of the window, partners of lhs_spatial", false},
    {"result_batch", AttributeKind::integer, "dim of the result"},
    {"result_feature", AttributeKind::integer, "dim of the result"},
    {"result_spatial", AttributeKind::integers, "dims of the result, partners of lhs_spatial", false},
    {"feature_groups", AttributeKind::integer, "groups of features of lhs and of output features; absent: 1", false},
    {"batch_groups", AttributeKind::integer, "groups of the batch of lhs and of output features; absent: 1", false},
    {"dtype", AttributeKind::dtype, "what is summed up and returned, at least as wide as the operands' dtype; absent: that", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::convolution>::info = {
    .name = "convolution",
    .doc =
        "Sums of products of operand 0, dilated and padded, with operand 1 as a window that moves over it. Floats accumulate as in "
        "dot_general, in row-major order of the window's dims and the input features; integers wrap.",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = convolution_attributes,
    .dtypes = numbers,
    .infer = infer_convolution,
    .evaluate = evaluate_convolution,
    .gradient = gradient_convolution,
    .structured = structured_convolution,
    .kernel = KernelKind::contraction,
    .samples = samples_convolution,
    .no_samples = {SampleClass::scalar, SampleClass::broadcast},
    .tolerance = 64,
};

}  // namespace kiln::ir

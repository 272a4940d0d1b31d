// Convolution and its transpose (kiln/convolution.h), over the operator of that name; unfold and fold, over pad and slice.
//
// A transposed convolution is the gradient of a convolution by its input: the input dilated by the strides, under the window turned round.
// Its weights hold the features of the groups side by side along the axis that is summed over; the operator wants them along the other.
#include "kiln/convolution.h"

#include <fmt/format.h>

#include "frontend/composite.h"
#include "frontend/spatial.h"

namespace kiln {

using namespace detail;

namespace {

/// The attributes of a convolution between tensors of one layout; weights [out, in, window...] or [window..., in, out].
ir::Attributes attributes_of(const SpatialAxes& axes, Layout layout, bool transposed, const std::vector<std::int64_t>& strides,
                             const std::vector<std::int64_t>& dilation, ir::Dims low, ir::Dims high, std::int64_t groups) {
  const auto count = static_cast<std::int64_t>(axes.spatial.size());
  const bool last = layout == Layout::channels_last;
  const std::vector<std::int64_t> once(axes.spatial.size(), 1);
  std::vector<std::int64_t> window;
  for (std::int64_t i = 0; i < count; ++i) window.push_back(last ? i : i + 2);
  const std::int64_t in = last ? count : 1, out = last ? count + 1 : 0;
  return {{"strides", transposed ? once : strides},
          {"low", std::move(low)},
          {"high", std::move(high)},
          {"lhs_dilation", transposed ? strides : once},
          {"rhs_dilation", dilation},
          {"window_reversal", std::vector<std::int64_t>(axes.spatial.size(), transposed ? 1 : 0)},
          {"lhs_batch", axes.batch},
          {"lhs_feature", axes.channels},
          {"lhs_spatial", axes.spatial},
          {"rhs_input_feature", transposed ? out : in},
          {"rhs_output_feature", transposed ? in : out},
          {"rhs_spatial", window},
          {"result_batch", axes.batch},
          {"result_feature", axes.channels},
          {"result_spatial", axes.spatial},
          {"feature_groups", groups},
          {"batch_groups", std::int64_t{1}}};
}

void require_numbers(const Composite& of, const Tensor& x, const Tensor& weight) {
  if (x.dtype() == DType::boolean)
    of.fail(ErrorCode::dtype_mismatch, fmt::format("takes tensors of numbers, but was given {}", to_string(x)),
            "convert it first: convert(x, f32)");
  if (x.rank() != weight.rank())
    of.fail(ErrorCode::shape_mismatch, fmt::format("{} and the weight {} have different ranks", to_string(x), to_string(weight)),
            "the weight has one axis for the window per spatial axis, and two for channels");
}

/// Extents of the weight's window, which must be known: lengths and padding follow from them.
std::vector<std::int64_t> window_of(const Composite& of, const Tensor& weight, Layout layout) {
  std::vector<std::int64_t> window;
  for (std::size_t i = 0; i + 2 < weight.rank(); ++i) {
    const ir::Dim& extent = type_of(weight).dims[layout == Layout::channels_last ? i : i + 2];
    if (!extent.is_constant() || extent.constant() < 1)
      of.fail(ErrorCode::shape_mismatch,
              fmt::format("the weight {} has the extent {} in its window", to_string(weight), ir::to_string(extent)),
              "extents of the window are numbers, at least 1");
    window.push_back(extent.constant());
  }
  return window;
}

std::vector<std::int64_t> lengths_of(const std::vector<std::int64_t>& window, const std::vector<std::int64_t>& dilation) {
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 0; i < window.size(); ++i) lengths.push_back((window[i] - 1) * dilation[i] + 1);
  return lengths;
}

/// Channels of x, and those that the weight has along `axis`, in groups: `per_group` of the weight's belong to each of x's groups.
void require_channels(const Composite& of, const Tensor& x, const Tensor& weight, std::int64_t channels, std::int64_t in, std::int64_t out,
                      std::int64_t groups) {
  of.require(groups >= 1, fmt::format("groups is {}", groups), "groups is at least 1");
  const auto divides = [&](const ir::Dim& extent) { return ir::equals(floordiv(extent, groups) * groups, extent) == ir::Truth::yes; };
  const ir::Dim &of_x = type_of(x).dims[static_cast<std::size_t>(channels)], &of_in = type_of(weight).dims[static_cast<std::size_t>(in)],
                &of_out = type_of(weight).dims[static_cast<std::size_t>(out)];
  if (!divides(of_x) || ir::equals(floordiv(of_x, groups), of_in) != ir::Truth::yes)
    of.fail(
        ErrorCode::shape_mismatch,
        fmt::format("{} has {} channels (axis {}) in {} {}, but the weight {} has {} input channels (axis {})", to_string(x),
                    ir::to_string(of_x), channels, groups, groups == 1 ? "group" : "groups", to_string(weight), ir::to_string(of_in), in),
        "the weight has as many input channels as a group of x; Layout says where channels are");
  if (!divides(of_out))
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("the {} output channels of the weight {} (axis {}) cannot be divided into {} groups", ir::to_string(of_out),
                        to_string(weight), out, groups),
            "the number of groups divides the output channels");
}

Tensor with_bias(const Composite& of, const Tensor& product, const Tensor& bias, std::int64_t channels) {
  const ir::Dim& wanted = type_of(product).dims[static_cast<std::size_t>(channels)];
  if (bias.rank() != 1 || ir::equals(type_of(bias).dims[0], wanted) != ir::Truth::yes)
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("the bias is {}, but {} has {} channels", to_string(bias), to_string(product), ir::to_string(wanted)),
            "a bias has one number per output channel");
  return product + spread(bias, product.dims(), {channels});
}

Tensor convolve(const char* name, std::optional<std::size_t> spatial, const Operand& x_, const Operand& weight_, const Operand* bias,
                const ConvolutionOptions& options) {
  Composite of({&x_, &weight_}, name);
  const Tensor x = of.tensor(x_), weight = of.tensor(weight_);
  if (spatial && x.rank() != *spatial + 2)
    of.fail(ErrorCode::shape_mismatch, fmt::format("{} has rank {}, not {}", to_string(x), x.rank(), *spatial + 2),
            fmt::format("{} takes a batch, channels and {} spatial {}; conv() takes any number", name, *spatial,
                        *spatial == 1 ? "axis" : "axes"));
  const SpatialAxes axes = spatial_axes(of, x, options.layout, 2);
  require_numbers(of, x, weight);
  const bool last = options.layout == Layout::channels_last;
  const std::size_t count = axes.spatial.size();
  const std::int64_t in = last ? static_cast<std::int64_t>(count) : 1, out = last ? in + 1 : 0;
  require_channels(of, x, weight, axes.channels, in, out, options.groups);
  const std::vector<std::int64_t> window = window_of(of, weight, options.layout);
  const std::vector<std::int64_t> strides = numbers_of(of, x, options.stride, count, 1, "stride");
  const std::vector<std::int64_t> dilation = numbers_of(of, x, options.dilation, count, 1, "dilation");
  ir::Dims extents;
  for (const std::int64_t axis : axes.spatial) extents.push_back(type_of(x).dims[static_cast<std::size_t>(axis)]);
  const std::vector<std::int64_t> lengths = lengths_of(window, dilation);
  const Amounts amounts = amounts_of(of, x, options.padding, extents, lengths, strides);
  for (std::size_t i = 0; i < count; ++i) {
    const ir::Dim padded = amounts.low[i] + extents[i] + amounts.high[i];
    if (!extents[i].is_constant(0) && ir::less(padded, lengths[i]) == ir::Truth::yes)
      of.fail(ErrorCode::shape_mismatch,
              fmt::format("the window of {} places with dilation {} is longer than axis {} of {} with its padding, {}", window[i],
                          dilation[i], axes.spatial[i], to_string(x), ir::to_string(padded)),
              "add padding, or use a shorter window");
  }
  ir::Attributes attributes = attributes_of(axes, options.layout, false, strides, dilation, amounts.low, amounts.high, options.groups);
  if (options.dtype) attributes = attributes.with("dtype", *options.dtype);
  const Tensor product = apply(ir::Op::convolution, {x, weight}, std::move(attributes));
  if (bias == nullptr) return product;
  return with_bias(of, product, of.tensor(*bias), axes.channels);
}

Tensor convolve_transposed(const Operand& x_, const Operand& weight_, const Operand* bias, const TransposedConvolutionOptions& options) {
  Composite of({&x_, &weight_}, "conv_transpose");
  const Tensor x = of.tensor(x_);
  Tensor weight = of.tensor(weight_);
  const SpatialAxes axes = spatial_axes(of, x, options.layout, 2);
  require_numbers(of, x, weight);
  const bool last = options.layout == Layout::channels_last;
  const std::size_t count = axes.spatial.size();
  // Of the convolution that is transposed: `features` are its input features per group, `summed` its output features.
  const std::int64_t features = last ? static_cast<std::int64_t>(count) : 1, summed = last ? features + 1 : 0;
  of.require(options.groups >= 1, fmt::format("groups is {}", options.groups), "groups is at least 1");
  const ir::Dim channels = type_of(x).dims[static_cast<std::size_t>(axes.channels)];
  const ir::Dim weight_channels = type_of(weight).dims[static_cast<std::size_t>(summed)];
  if (ir::equals(channels, weight_channels) != ir::Truth::yes ||
      ir::equals(floordiv(channels, options.groups) * options.groups, channels) != ir::Truth::yes)
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("{} has {} channels (axis {}) in {} {}, but the weight {} has {} of them (axis {})", to_string(x),
                        ir::to_string(channels), axes.channels, options.groups, options.groups == 1 ? "group" : "groups", to_string(weight),
                        ir::to_string(weight_channels), summed),
            "weights are [in, out / groups, window...], or [window..., out / groups, in] with channels last");
  const std::vector<std::int64_t> window = window_of(of, weight, options.layout);
  const std::vector<std::int64_t> strides = numbers_of(of, x, options.stride, count, 1, "stride");
  const std::vector<std::int64_t> dilation = numbers_of(of, x, options.dilation, count, 1, "dilation");
  const std::vector<std::int64_t> added = numbers_of(of, x, options.output_padding, count, 0, "output_padding");
  for (std::size_t i = 0; i < count; ++i)
    of.require(added[i] < std::max(strides[i], dilation[i]),
               fmt::format("output_padding is {} where the stride is {} and dilation is {}", added[i], strides[i], dilation[i]),
               "output_padding is less than stride or dilation");
  const std::vector<std::int64_t> lengths = lengths_of(window, dilation);
  ir::Dims extents;
  for (const std::int64_t axis : axes.spatial) extents.push_back(type_of(x).dims[static_cast<std::size_t>(axis)]);
  Amounts amounts{ir::Dims(count, ir::Dim(0)), ir::Dims(count, ir::Dim(0))};
  const bool same = options.padding.kind() != Padding::Kind::amounts;
  if (same || options.output.given()) {
    const std::vector<std::int64_t> wanted =
        options.output.given() ? numbers_of(of, x, options.output, count, 0, "output") : std::vector<std::int64_t>();
    for (std::size_t i = 0; i < count; ++i) {
      const ir::Dim target = options.output.given() ? ir::Dim(wanted[i]) : extents[i] * strides[i];
      const ir::Dim total = (extents[i] - 1) * strides[i] + lengths[i] + added[i] - target, half = floordiv(total, 2);
      amounts.low[i] = options.padding.kind() == Padding::Kind::same ? half : total - half;
      amounts.high[i] = total - amounts.low[i];
    }
  } else {
    amounts = amounts_of(of, x, options.padding, extents, lengths, strides);
  }
  for (std::size_t i = 0; i < count; ++i) {
    amounts.low[i] = ir::Dim(lengths[i] - 1) - amounts.low[i];
    amounts.high[i] = ir::Dim(lengths[i] - 1 + added[i]) - amounts.high[i];
  }
  if (options.groups > 1) {
    // [groups * in, features] -> [in, groups * features], wherever these two axes are.
    std::vector<Dim> dims = dims_of(weight);
    const Dim per_group = dims[static_cast<std::size_t>(summed)] / Dim(options.groups), each = dims[static_cast<std::size_t>(features)];
    std::vector<std::int64_t> order;
    for (std::size_t i = 0; i <= dims.size(); ++i) order.push_back(static_cast<std::int64_t>(i));
    std::vector<Dim> split = dims, joined = dims;
    split[static_cast<std::size_t>(summed)] = per_group;
    split.insert(split.begin() + summed, Dim(options.groups));
    joined[static_cast<std::size_t>(summed)] = per_group;
    joined[static_cast<std::size_t>(features)] = each * Dim(options.groups);
    if (last)
      std::swap(order[static_cast<std::size_t>(features)], order[static_cast<std::size_t>(summed)]);  // [f, g, i] -> [g, f, i]
    else
      std::swap(order[0], order[1]);  // [g, i, f] -> [i, g, f]
    weight = reshaped(transpose(reshaped(weight, split), order), joined);
  }
  const Tensor product = apply(ir::Op::convolution, {x, weight},
                               attributes_of(axes, options.layout, true, strides, dilation, amounts.low, amounts.high, options.groups));
  if (bias == nullptr) return product;
  return with_bias(of, product, of.tensor(*bias), axes.channels);
}

}  // namespace

Tensor conv(const Operand& x, const Operand& weight, const ConvolutionOptions& options) {
  return convolve("conv", {}, x, weight, nullptr, options);
}
Tensor conv(const Operand& x, const Operand& weight, const Operand& bias, const ConvolutionOptions& options) {
  return convolve("conv", {}, x, weight, &bias, options);
}
Tensor conv1d(const Operand& x, const Operand& weight, const ConvolutionOptions& options) {
  return convolve("conv1d", 1, x, weight, nullptr, options);
}
Tensor conv1d(const Operand& x, const Operand& weight, const Operand& bias, const ConvolutionOptions& options) {
  return convolve("conv1d", 1, x, weight, &bias, options);
}
Tensor conv2d(const Operand& x, const Operand& weight, const ConvolutionOptions& options) {
  return convolve("conv2d", 2, x, weight, nullptr, options);
}
Tensor conv2d(const Operand& x, const Operand& weight, const Operand& bias, const ConvolutionOptions& options) {
  return convolve("conv2d", 2, x, weight, &bias, options);
}
Tensor conv3d(const Operand& x, const Operand& weight, const ConvolutionOptions& options) {
  return convolve("conv3d", 3, x, weight, nullptr, options);
}
Tensor conv3d(const Operand& x, const Operand& weight, const Operand& bias, const ConvolutionOptions& options) {
  return convolve("conv3d", 3, x, weight, &bias, options);
}

Tensor depthwise_conv(const Operand& x_, const Operand& weight_, const ConvolutionOptions& options) {
  Composite of({&x_, &weight_}, "depthwise_conv");
  const Tensor x = of.tensor(x_), weight = of.tensor(weight_);
  const SpatialAxes axes = spatial_axes(of, x, options.layout, 2);
  require_numbers(of, x, weight);
  of.require(options.groups == 1, fmt::format("groups is {}", options.groups), "each channel is a group; conv() takes other numbers");
  const Dim channels = x.dim(axes.channels);
  const bool last = options.layout == Layout::channels_last;
  const std::int64_t axis = last ? static_cast<std::int64_t>(axes.spatial.size()) : 0;
  if (!channels.is_constant() || !(weight.dim(axis) == channels))
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("{} has {} channels (axis {}), the weight {} has {} (axis {})", to_string(x), to_string(channels), axes.channels,
                        to_string(weight), to_string(weight.dim(axis)), axis),
            "both are one number: weights are [channels, multiplier, window...], or [window..., channels, multiplier] with channels last");
  std::vector<Dim> dims = dims_of(weight);
  const auto at = static_cast<std::size_t>(axis);
  const Dim all = channels * dims[at + 1];
  dims[at] = last ? Dim(1) : all;
  dims[at + 1] = last ? all : Dim(1);
  ConvolutionOptions grouped = options;
  grouped.groups = channels.value();
  return convolve("depthwise_conv", {}, x, reshaped(weight, dims), nullptr, grouped);
}

Tensor conv_transpose(const Operand& x, const Operand& weight, const TransposedConvolutionOptions& options) {
  return convolve_transposed(x, weight, nullptr, options);
}
Tensor conv_transpose(const Operand& x, const Operand& weight, const Operand& bias, const TransposedConvolutionOptions& options) {
  return convolve_transposed(x, weight, &bias, options);
}

// ---- columns

namespace {

/// The windows of unfold and fold over spatial extents.
struct Columns {
  std::vector<std::int64_t> window, strides, padding, dilation;
  ir::Dims extents, counts;  ///< of the tensor; how many windows
  std::int64_t places = 1;

  Columns(const Composite& of, const Tensor& x, const ir::Dims& spatial, const PerAxis& window_, const UnfoldOptions& options)
      : extents(spatial) {
    const std::size_t count = spatial.size();
    window = numbers_of(of, x, window_, count, 1, "the window");
    strides = numbers_of(of, x, options.stride, count, 1, "stride");
    padding = numbers_of(of, x, options.padding, count, 0, "padding");
    dilation = numbers_of(of, x, options.dilation, count, 1, "dilation");
    for (std::size_t i = 0; i < count; ++i) {
      places *= window[i];
      const ir::Dim length = (window[i] - 1) * dilation[i] + 1, padded = spatial[i] + 2 * padding[i];
      if (ir::less(padded, length) == ir::Truth::yes)
        of.fail(ErrorCode::shape_mismatch,
                fmt::format("the window of {} places with dilation {} is longer than spatial axis {} with its padding, {}", window[i],
                            dilation[i], i, ir::to_string(padded)),
                "add padding, or use a shorter window");
      counts.push_back(max(ir::ceildiv(padded - length + 1, strides[i]), 0));
    }
  }
  /// Of place `number` of the window, per axis.
  std::vector<std::int64_t> place(std::int64_t number) const {
    std::vector<std::int64_t> at(window.size());
    for (std::size_t i = window.size(); i-- > 0; number /= window[i]) at[i] = number % window[i] * dilation[i];
    return at;
  }
  /// From the first window's element to the last one's, both included.
  ir::Dim reach(std::size_t i) const { return max((counts[i] - 1) * strides[i] + 1, 0); }
};

}  // namespace

Tensor unfold(const Operand& x_, const PerAxis& window, const UnfoldOptions& options) {
  Composite of({&x_}, "unfold");
  const Tensor x = of.tensor(x_);
  of.require_rank(x, 3, "a tensor of batch, channels and spatial axes", "expand_dims() adds a batch or channel axis of 1");
  const ir::Dims dims = type_of(x).dims;
  const Columns columns(of, x, ir::Dims(dims.begin() + 2, dims.end()), window, options);
  std::vector<Tensor> parts;
  for (std::int64_t k = 0; k < columns.places; ++k) {
    const std::vector<std::int64_t> at = columns.place(k);
    ir::Dims low(2, ir::Dim(0)), high = low;
    std::vector<std::int64_t> strides(2, 1);
    for (std::size_t i = 0; i < at.size(); ++i) {
      low.push_back(columns.padding[i] - at[i]);
      high.push_back(columns.reach(i) - low.back() - columns.extents[i]);
      strides.push_back(columns.strides[i]);
    }
    Tensor part = apply(ir::Op::pad, {x, of.number(0, x.dtype())},
                        {{"low", low}, {"high", high}, {"interior", std::vector<std::int64_t>(dims.size(), 0)}});
    part =
        apply(ir::Op::slice, {part}, {{"starts", ir::Dims(dims.size(), ir::Dim(0))}, {"limits", type_of(part).dims}, {"strides", strides}});
    parts.push_back(reshaped(part, {x.dim(0), x.dim(1), 1, from_ir({ir::product(std::span(type_of(part).dims).subspan(2))})[0]}));
  }
  const Tensor stacked = parts.size() == 1 ? parts[0] : apply(ir::Op::concatenate, parts, {{"dim", std::int64_t{2}}});
  return reshaped(stacked, {x.dim(0), x.dim(1) * Dim(columns.places), stacked.dim(3)});
}

Tensor fold(const Operand& columns_, const Dims& extents, const PerAxis& window, const UnfoldOptions& options) {
  Composite of({&columns_}, "fold");
  const Tensor x = of.tensor(columns_);
  const ir::Dims spatial = to_ir(extents);
  of.state().use_symbols(spatial, of.emitter().location());
  const Columns columns(of, x, spatial, window, options);
  const ir::Dims dims = type_of(x).dims;
  const ir::Dim windows = ir::product(columns.counts);
  const ir::Dim channels = dims.size() == 3 ? floordiv(dims[1], columns.places) : ir::Dim(0);
  if (dims.size() != 3 || ir::equals(channels * columns.places, dims[1]) != ir::Truth::yes ||
      ir::equals(dims[2], windows) != ir::Truth::yes)
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("{} is not [batch, channels * {}, {}], which windows over {} give", to_string(x), columns.places,
                        ir::to_string(windows), to_string(extents)),
            "columns are what unfold() makes of a tensor with these spatial extents");
  ir::Dims split{dims[0], channels, ir::Dim(columns.places)};
  split.insert(split.end(), columns.counts.begin(), columns.counts.end());
  const Tensor apart = reshaped(x, from_ir(split));
  Tensor sum;
  for (std::int64_t k = 0; k < columns.places; ++k) {
    const std::vector<std::int64_t> at = columns.place(k);
    ir::Dims starts(split.size(), ir::Dim(0)), limits = split, shape{dims[0], channels}, low(2, ir::Dim(0)), high = low;
    starts[2] = k;
    limits[2] = k + 1;
    std::vector<std::int64_t> interior(2, 0);
    for (std::size_t i = 0; i < at.size(); ++i) {
      shape.push_back(columns.counts[i]);
      low.push_back(at[i] - columns.padding[i]);
      interior.push_back(columns.strides[i] - 1);
      const ir::Dim& n = columns.counts[i];
      high.push_back(columns.extents[i] - low.back() - (n + max(n - 1, 0) * interior.back()));
    }
    Tensor part =
        apply(ir::Op::slice, {apart}, {{"starts", starts}, {"limits", limits}, {"strides", std::vector<std::int64_t>(split.size(), 1)}});
    part = apply(ir::Op::pad, {reshaped(part, from_ir(shape)), of.number(0, x.dtype())},
                 {{"low", low}, {"high", high}, {"interior", interior}});
    sum = k == 0 ? part : sum + part;
  }
  return sum;
}

}  // namespace kiln

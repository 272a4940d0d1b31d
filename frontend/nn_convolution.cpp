// Convolution modules: the functions of kiln/convolution.h with PyTorch's layouts.
#include "kiln/nn/convolution.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <cmath>

#include "frontend/nn_module.h"
#include "kiln/convolution.h"
#include "kiln/operators.h"

namespace kiln::nn {

using detail::at_call;
using detail::graph_of;

namespace {

std::vector<std::int64_t> per_axis(const char* name, const char* what, const PerAxis& given, std::size_t rank, std::int64_t least,
                                   const Location& where) {
  std::vector<std::int64_t> values = given.values();
  if (given.same()) values.resize(rank, values[0]);
  if (values.size() != rank)
    throw Error(ErrorCode::invalid_argument, fmt::format("{}: {} is [{}]", name, what, fmt::join(values, ", ")), where,
                fmt::format("give one number, or {}", rank));
  for (const std::int64_t value : values)
    if (value < least)
      throw Error(ErrorCode::invalid_argument, fmt::format("{}: {} is [{}]", name, what, fmt::join(values, ", ")), where,
                  fmt::format("{} >= {}", what, least));
  return values;
}

}  // namespace

Convolution::Convolution(const char* name, std::size_t rank, std::int64_t in, std::int64_t out, const PerAxis& kernel,
                         const PerAxis& stride, const Padding& padding, const PerAxis& output_padding, const PerAxis& dilation,
                         std::int64_t groups, bool bias, bool transposed, const Location& where)
    : name_(name),
      in_(in),
      out_(out),
      groups_(groups),
      kernel_(per_axis(name, "kernel", kernel, rank, 1, where)),
      stride_(per_axis(name, "stride", stride, rank, 1, where)),
      output_padding_(per_axis(name, "output_padding", output_padding, rank, 0, where)),
      dilation_(per_axis(name, "dilation", dilation, rank, 1, where)),
      padding_(padding),
      bias_(bias),
      transposed_(transposed) {
  if (padding.both().given()) per_axis(name, "padding", padding.both(), rank, 0, where);
  if (in < 1 || out < 1 || groups < 1 || in % groups != 0 || out % groups != 0)
    throw Error(ErrorCode::invalid_argument, fmt::format("{}: {} groups of {} input and {} output channels", name, groups, in, out), where,
                "the number of groups divides both");
}

Shape Convolution::weight_shape() const {
  std::vector<std::int64_t> shape{transposed_ ? in_ : out_, (transposed_ ? out_ : in_) / groups_};
  shape.insert(shape.end(), kernel_.begin(), kernel_.end());
  return Shape(std::move(shape));
}

void Convolution::make_parameters(Graph& graph, DType dtype) {
  const Shape shape = weight_shape();
  const double bound = 1 / std::sqrt(static_cast<double>(shape.size() / shape[0]));
  parameter(graph, "weight", random_uniform(dtype, shape, {.low = -bound, .high = bound}));
  if (bias_) parameter(graph, "bias", random_uniform(dtype, {out_}, {.low = -bound, .high = bound}));
}

Tensor Convolution::forward(const Tensor& x) {
  const std::size_t spatial = kernel_.size();
  if (x.rank() != spatial + 2)
    detail::fail(ErrorCode::shape_mismatch, fmt::format("{}: the input is {}, but must have rank {}", name_, to_string(x), spatial + 2),
                 "[batch, channels, spatial...]: expand_dims() adds an axis of 1");
  detail::require_input(name_, x, 1, in_, "in");
  return at_call([&] {
    Graph graph = graph_of(x);
    make_parameters(graph, x.dtype());
    const Shape shape = weight_shape();
    const Variable weight = parameter(graph, "weight", zeros(x.dtype(), shape));
    Variable bias;
    if (bias_) bias = parameter(graph, "bias", zeros(x.dtype(), {out_}));
    if (transposed_) {
      const TransposedConvolutionOptions options{
          .stride = stride_, .padding = padding_, .output_padding = output_padding_, .dilation = dilation_, .groups = groups_};
      return bias_ ? conv_transpose(x, weight, bias, options) : conv_transpose(x, weight, options);
    }
    const ConvolutionOptions options{.stride = stride_, .padding = padding_, .dilation = dilation_, .groups = groups_};
    return bias_ ? conv(x, weight, bias, options) : conv(x, weight, options);
  });
}

Conv1d::Conv1d(std::int64_t in, std::int64_t out, const PerAxis& kernel, ConvOptions options, std::source_location location)
    : Convolution("Conv1d", 1, in, out, kernel, options.stride, options.padding, 0, options.dilation, options.groups, options.bias, false,
                  location) {}
Conv2d::Conv2d(std::int64_t in, std::int64_t out, const PerAxis& kernel, ConvOptions options, std::source_location location)
    : Convolution("Conv2d", 2, in, out, kernel, options.stride, options.padding, 0, options.dilation, options.groups, options.bias, false,
                  location) {}
Conv3d::Conv3d(std::int64_t in, std::int64_t out, const PerAxis& kernel, ConvOptions options, std::source_location location)
    : Convolution("Conv3d", 3, in, out, kernel, options.stride, options.padding, 0, options.dilation, options.groups, options.bias, false,
                  location) {}
ConvTranspose1d::ConvTranspose1d(std::int64_t in, std::int64_t out, const PerAxis& kernel, ConvTransposeOptions options,
                                 std::source_location location)
    : Convolution("ConvTranspose1d", 1, in, out, kernel, options.stride, options.padding, options.output_padding, options.dilation,
                  options.groups, options.bias, true, location) {}
ConvTranspose2d::ConvTranspose2d(std::int64_t in, std::int64_t out, const PerAxis& kernel, ConvTransposeOptions options,
                                 std::source_location location)
    : Convolution("ConvTranspose2d", 2, in, out, kernel, options.stride, options.padding, options.output_padding, options.dilation,
                  options.groups, options.bias, true, location) {}
ConvTranspose3d::ConvTranspose3d(std::int64_t in, std::int64_t out, const PerAxis& kernel, ConvTransposeOptions options,
                                 std::source_location location)
    : Convolution("ConvTranspose3d", 3, in, out, kernel, options.stride, options.padding, options.output_padding, options.dilation,
                  options.groups, options.bias, true, location) {}

}  // namespace kiln::nn

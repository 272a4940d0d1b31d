// Normalisation modules.
#include "kiln/nn/normalization.h"

#include <fmt/format.h>

#include "frontend/nn_module.h"
#include "kiln/normalization.h"
#include "kiln/operators.h"

namespace kiln::nn {

using detail::at_call;
using detail::graph_of;

// ---- BatchNorm

void BatchNorm::make_parameters(Graph& graph, DType dtype) {
  const Shape shape{channels_};
  if (options_.affine) {
    parameter(graph, "weight", ones(dtype, shape));
    parameter(graph, "bias", zeros(dtype, shape));
  }
  if (options_.track_running_stats) {
    buffer(graph, "running_mean", zeros(dtype, shape));
    buffer(graph, "running_var", ones(dtype, shape));
    buffer(graph, "num_batches_tracked", zeros(i64, {}));
  }
}

Tensor BatchNorm::forward(const Tensor& x) {
  if (x.rank() < least_rank_ || x.rank() > most_rank_)
    detail::fail(ErrorCode::shape_mismatch,
                 fmt::format("{}: the input is {}, but must have rank {}{}", name_, to_string(x), least_rank_,
                             least_rank_ == most_rank_ ? std::string() : fmt::format(" or {}", most_rank_)),
                 "[batch, channels, ...]");
  detail::require_input(name_, x, 1, channels_, "channels");
  return at_call([&] {
    Graph graph = graph_of(x);
    const DType dtype = x.dtype();
    const Shape shape{channels_};
    make_parameters(graph, dtype);
    ChannelNormOptions norm{.eps = options_.eps};
    if (options_.affine) {
      norm.weight = parameter(graph, "weight", ones(dtype, shape));
      norm.bias = parameter(graph, "bias", zeros(dtype, shape));
    }
    const bool tracks = options_.track_running_stats;
    if (!training() && tracks)
      return batch_norm(x, buffer(graph, "running_mean", zeros(dtype, shape)), buffer(graph, "running_var", ones(dtype, shape)), norm);
    // With momentum 1 the running statistics are this batch's.
    const Tensor nothing = graph.zeros(dtype, {channels_});
    const BatchNormTraining result = batch_norm_training(x, nothing, nothing, {.norm = norm, .momentum = 1});
    if (training() && tracks) {
      const auto moving = [momentum = options_.momentum](const Tensor& now) {
        return [=](const Tensor& current) { return (1 - momentum) * current + momentum * now; };
      };
      update(buffer(graph, "running_mean", zeros(dtype, shape)), result.output, moving(result.running_mean));
      update(buffer(graph, "running_var", ones(dtype, shape)), result.output, moving(result.running_variance));
      update(buffer(graph, "num_batches_tracked", zeros(i64, {})), result.output, [](const Tensor& count) { return count + 1; });
    }
    return result.output;
  });
}

// ---- LayerNorm, RMSNorm

void LayerNorm::make_parameters(Graph& graph, DType dtype) {
  if (!options_.affine) return;
  parameter(graph, "weight", ones(dtype, shape_));
  if (options_.bias) parameter(graph, "bias", zeros(dtype, shape_));
}

Tensor LayerNorm::forward(const Tensor& x) {
  for (std::size_t i = 0; i < shape_.rank(); ++i)
    detail::require_input("LayerNorm", x, static_cast<std::int64_t>(i) - static_cast<std::int64_t>(shape_.rank()), shape_[i], "shape");
  return at_call([&] {
    Graph graph = graph_of(x);
    make_parameters(graph, x.dtype());
    NormOptions norm{.eps = options_.eps};
    if (options_.affine) norm.weight = parameter(graph, "weight", ones(x.dtype(), shape_));
    if (options_.affine && options_.bias) norm.bias = parameter(graph, "bias", zeros(x.dtype(), shape_));
    std::vector<std::int64_t> axes;
    for (std::size_t i = 0; i < shape_.rank(); ++i) axes.push_back(static_cast<std::int64_t>(i) - static_cast<std::int64_t>(shape_.rank()));
    return layer_norm(x, axes, norm);
  });
}

void RMSNorm::make_parameters(Graph& graph, DType dtype) {
  if (options_.affine) parameter(graph, "weight", ones(dtype, {width_}));
}

Tensor RMSNorm::forward(const Tensor& x) {
  detail::require_input("RMSNorm", x, -1, width_, "width");
  return at_call([&] {
    Graph graph = graph_of(x);
    make_parameters(graph, x.dtype());
    RmsNormOptions norm{.eps = options_.eps};
    if (options_.affine) norm.weight = parameter(graph, "weight", ones(x.dtype(), {width_}));
    return rms_norm(x, -1, norm);
  });
}

// ---- GroupNorm, InstanceNorm

GroupNorm::GroupNorm(std::int64_t groups, std::int64_t channels, GroupNormOptions options, std::source_location location)
    : groups_(groups), channels_(channels), options_(options) {
  if (groups < 1 || channels % groups != 0)
    throw Error(ErrorCode::invalid_argument, fmt::format("GroupNorm: {} groups of {} channels", groups, channels), location,
                "the number of groups divides that of the channels");
}

void GroupNorm::make_parameters(Graph& graph, DType dtype) {
  if (!options_.affine) return;
  parameter(graph, "weight", ones(dtype, {channels_}));
  parameter(graph, "bias", zeros(dtype, {channels_}));
}

Tensor GroupNorm::forward(const Tensor& x) {
  detail::require_input("GroupNorm", x, 1, channels_, "channels");
  return at_call([&] {
    Graph graph = graph_of(x);
    make_parameters(graph, x.dtype());
    ChannelNormOptions norm{.eps = options_.eps};
    if (options_.affine) {
      norm.weight = parameter(graph, "weight", ones(x.dtype(), {channels_}));
      norm.bias = parameter(graph, "bias", zeros(x.dtype(), {channels_}));
    }
    return group_norm(x, groups_, norm);
  });
}

void InstanceNorm::make_parameters(Graph& graph, DType dtype) {
  if (!options_.affine) return;
  parameter(graph, "weight", ones(dtype, {channels_}));
  parameter(graph, "bias", zeros(dtype, {channels_}));
}

Tensor InstanceNorm::forward(const Tensor& x) {
  if (x.rank() != rank_)
    detail::fail(ErrorCode::shape_mismatch, fmt::format("{}: the input is {}, but must have rank {}", name_, to_string(x), rank_),
                 "[batch, channels, spatial...]: expand_dims() adds an axis of 1");
  detail::require_input(name_, x, 1, channels_, "channels");
  return at_call([&] {
    Graph graph = graph_of(x);
    make_parameters(graph, x.dtype());
    ChannelNormOptions norm{.eps = options_.eps};
    if (options_.affine) {
      norm.weight = parameter(graph, "weight", ones(x.dtype(), {channels_}));
      norm.bias = parameter(graph, "bias", zeros(x.dtype(), {channels_}));
    }
    return instance_norm(x, norm);
  });
}

}  // namespace kiln::nn

// Normalisation layers. Channels are axis 1, as PyTorch has them; weights start at 1 and biases at 0.
#pragma once

#include "kiln/nn/module.h"

namespace kiln::nn {

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;            ///< running = (1 - momentum) * running + momentum * batch
  bool affine = true;               ///< with weight and bias
  bool track_running_stats = true;  ///< false: the batch's statistics in evaluation too
};
/// What the batch norms of all ranks have in common. Not for use by itself.
class BatchNorm : public Module {
 protected:
  BatchNorm(const char* name, std::size_t least_rank, std::size_t most_rank, std::int64_t channels, const BatchNormOptions& options)
      : name_(name), least_rank_(least_rank), most_rank_(most_rank), channels_(channels), options_(options) {}

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  const char* name_;
  std::size_t least_rank_, most_rank_;
  std::int64_t channels_;
  BatchNormOptions options_;
};

/// (x - mean) / sqrt(variance + eps) * weight + bias for each channel (arXiv:1502.03167). In training with the statistics of the batch,
/// and running ones are noted for Module::updates(), the variance divided by count - 1; in evaluation with the running ones. Parameters
/// weight, bias [channels]; buffers running_mean, running_var [channels] and num_batches_tracked. [batch, channels] or [batch, channels,
/// length].
class BatchNorm1d final : public BatchNorm {
 public:
  explicit BatchNorm1d(std::int64_t channels, BatchNormOptions options = {}) : BatchNorm("BatchNorm1d", 2, 3, channels, options) {}
};
/// [batch, channels, height, width].
class BatchNorm2d final : public BatchNorm {
 public:
  explicit BatchNorm2d(std::int64_t channels, BatchNormOptions options = {}) : BatchNorm("BatchNorm2d", 4, 4, channels, options) {}
};
/// [batch, channels, depth, height, width].
class BatchNorm3d final : public BatchNorm {
 public:
  explicit BatchNorm3d(std::int64_t channels, BatchNormOptions options = {}) : BatchNorm("BatchNorm3d", 5, 5, channels, options) {}
};

struct LayerNormOptions {
  double eps = 1e-5;
  bool affine = true;  ///< with weight (and bias)
  bool bias = true;
};
/// Statistics over the last axes, whose extents are `shape` (arXiv:1607.06450). Parameters weight, bias of that shape.
class LayerNorm final : public Module {
 public:
  explicit LayerNorm(Shape shape, LayerNormOptions options = {}) : shape_(std::move(shape)), options_(options) {}
  explicit LayerNorm(std::int64_t width, LayerNormOptions options = {}) : LayerNorm(Shape{width}, options) {}

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  Shape shape_;
  LayerNormOptions options_;
};

struct RMSNormOptions {
  std::optional<double> eps = {};  ///< not given: the rounding unit of the dtype, as in PyTorch
  bool affine = true;
};
/// x / sqrt(mean(x^2) + eps) * weight over the last axis (arXiv:1910.07467). Parameter weight [width].
class RMSNorm final : public Module {
 public:
  explicit RMSNorm(std::int64_t width, RMSNormOptions options = {}) : width_(width), options_(options) {}

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  std::int64_t width_;
  RMSNormOptions options_;
};

struct GroupNormOptions {
  double eps = 1e-5;
  bool affine = true;
};
/// Statistics of each sample over the spatial axes and over `groups` equal parts of the channels (arXiv:1803.08494). [batch, channels,
/// ...].
class GroupNorm final : public Module {
 public:
  GroupNorm(std::int64_t groups, std::int64_t channels, GroupNormOptions options = {},
            std::source_location location = std::source_location::current());

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  std::int64_t groups_, channels_;
  GroupNormOptions options_;
};

struct InstanceNormOptions {
  double eps = 1e-5;
  bool affine = false;
};
/// What the instance norms of all ranks have in common. Not for use by itself.
class InstanceNorm : public Module {
 protected:
  InstanceNorm(const char* name, std::size_t rank, std::int64_t channels, const InstanceNormOptions& options)
      : name_(name), rank_(rank), channels_(channels), options_(options) {}

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  const char* name_;
  std::size_t rank_;
  std::int64_t channels_;
  InstanceNormOptions options_;
};
/// Statistics of each sample and channel over the spatial axes (arXiv:1607.08022): [batch, channels, spatial...] with one, two, three of
/// them.
class InstanceNorm1d final : public InstanceNorm {
 public:
  explicit InstanceNorm1d(std::int64_t channels, InstanceNormOptions options = {}) : InstanceNorm("InstanceNorm1d", 3, channels, options) {}
};
class InstanceNorm2d final : public InstanceNorm {
 public:
  explicit InstanceNorm2d(std::int64_t channels, InstanceNormOptions options = {}) : InstanceNorm("InstanceNorm2d", 4, channels, options) {}
};
class InstanceNorm3d final : public InstanceNorm {
 public:
  explicit InstanceNorm3d(std::int64_t channels, InstanceNormOptions options = {}) : InstanceNorm("InstanceNorm3d", 5, channels, options) {}
};

}  // namespace kiln::nn

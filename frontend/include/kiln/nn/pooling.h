// Pooling modules: the functions of kiln/pooling.h on [batch, channels, spatial...] tensors.
#pragma once

#include "kiln/nn/module.h"
#include "kiln/pooling.h"

namespace kiln::nn {

struct MaxPoolOptions {
  PerAxis stride = {};  ///< not given: the window
  Padding padding = {};
  PerAxis dilation = 1;
  bool ceil_mode = false;
};
struct AveragePoolOptions {
  PerAxis stride = {};  ///< not given: the window
  Padding padding = {};
  bool ceil_mode = false;
  bool count_include_pad = true;
};
struct LPPoolOptions {
  PerAxis stride = {};  ///< not given: the window
  bool ceil_mode = false;
};

/// The maximum of each window: max_pool().
class MaxPool1d final : public Module {
 public:
  explicit MaxPool1d(PerAxis window, MaxPoolOptions options = {}) : window_(std::move(window)), options_(std::move(options)) {}

 private:
  Tensor forward(const Tensor& input) override;
  PerAxis window_;
  MaxPoolOptions options_;
};
class MaxPool2d final : public Module {
 public:
  explicit MaxPool2d(PerAxis window, MaxPoolOptions options = {}) : window_(std::move(window)), options_(std::move(options)) {}

 private:
  Tensor forward(const Tensor& input) override;
  PerAxis window_;
  MaxPoolOptions options_;
};
class MaxPool3d final : public Module {
 public:
  explicit MaxPool3d(PerAxis window, MaxPoolOptions options = {}) : window_(std::move(window)), options_(std::move(options)) {}

 private:
  Tensor forward(const Tensor& input) override;
  PerAxis window_;
  MaxPoolOptions options_;
};

/// The mean of each window: avg_pool().
class AvgPool1d final : public Module {
 public:
  explicit AvgPool1d(PerAxis window, AveragePoolOptions options = {}) : window_(std::move(window)), options_(std::move(options)) {}

 private:
  Tensor forward(const Tensor& input) override;
  PerAxis window_;
  AveragePoolOptions options_;
};
class AvgPool2d final : public Module {
 public:
  explicit AvgPool2d(PerAxis window, AveragePoolOptions options = {}) : window_(std::move(window)), options_(std::move(options)) {}

 private:
  Tensor forward(const Tensor& input) override;
  PerAxis window_;
  AveragePoolOptions options_;
};
class AvgPool3d final : public Module {
 public:
  explicit AvgPool3d(PerAxis window, AveragePoolOptions options = {}) : window_(std::move(window)), options_(std::move(options)) {}

 private:
  Tensor forward(const Tensor& input) override;
  PerAxis window_;
  AveragePoolOptions options_;
};

/// (sum of |x|^p)^(1/p) of each window: lp_pool().
class LPPool1d final : public Module {
 public:
  LPPool1d(double p, PerAxis window, LPPoolOptions options = {}) : p_(p), window_(std::move(window)), options_(std::move(options)) {}

 private:
  Tensor forward(const Tensor& input) override;
  double p_;
  PerAxis window_;
  LPPoolOptions options_;
};
class LPPool2d final : public Module {
 public:
  LPPool2d(double p, PerAxis window, LPPoolOptions options = {}) : p_(p), window_(std::move(window)), options_(std::move(options)) {}

 private:
  Tensor forward(const Tensor& input) override;
  double p_;
  PerAxis window_;
  LPPoolOptions options_;
};

/// Windows chosen so that `output` of them cover each spatial axis: adaptive_avg_pool(), adaptive_max_pool(). With output 1 the spatial
/// extents may be symbolic.
class AdaptiveAvgPool1d final : public Module {
 public:
  explicit AdaptiveAvgPool1d(PerAxis output) : output_(std::move(output)) {}

 private:
  Tensor forward(const Tensor& input) override;
  PerAxis output_;
};
class AdaptiveAvgPool2d final : public Module {
 public:
  explicit AdaptiveAvgPool2d(PerAxis output) : output_(std::move(output)) {}

 private:
  Tensor forward(const Tensor& input) override;
  PerAxis output_;
};
class AdaptiveAvgPool3d final : public Module {
 public:
  explicit AdaptiveAvgPool3d(PerAxis output) : output_(std::move(output)) {}

 private:
  Tensor forward(const Tensor& input) override;
  PerAxis output_;
};
class AdaptiveMaxPool1d final : public Module {
 public:
  explicit AdaptiveMaxPool1d(PerAxis output) : output_(std::move(output)) {}

 private:
  Tensor forward(const Tensor& input) override;
  PerAxis output_;
};
class AdaptiveMaxPool2d final : public Module {
 public:
  explicit AdaptiveMaxPool2d(PerAxis output) : output_(std::move(output)) {}

 private:
  Tensor forward(const Tensor& input) override;
  PerAxis output_;
};
class AdaptiveMaxPool3d final : public Module {
 public:
  explicit AdaptiveMaxPool3d(PerAxis output) : output_(std::move(output)) {}

 private:
  Tensor forward(const Tensor& input) override;
  PerAxis output_;
};

}  // namespace kiln::nn

// Dropout (arXiv:1207.0580) and its variants: they draw in training, and pass their input on otherwise.
#pragma once

#include "kiln/nn/module.h"

namespace kiln::nn {

/// Each element is 0 with probability `rate`, and divided by 1 - rate otherwise.
class Dropout final : public Module {
 public:
  explicit Dropout(double rate = 0.5, std::source_location location = std::source_location::current());

 private:
  Tensor forward(const Tensor& input) override;
  double rate_;
};

/// Whole channels, [batch, channels, ...], are 0 with probability `rate`, and divided by 1 - rate otherwise. Rank 3, 4 and 5.
class Dropout1d final : public Module {
 public:
  explicit Dropout1d(double rate = 0.5, std::source_location location = std::source_location::current());

 private:
  Tensor forward(const Tensor& input) override;
  double rate_;
};
class Dropout2d final : public Module {
 public:
  explicit Dropout2d(double rate = 0.5, std::source_location location = std::source_location::current());

 private:
  Tensor forward(const Tensor& input) override;
  double rate_;
};
class Dropout3d final : public Module {
 public:
  explicit Dropout3d(double rate = 0.5, std::source_location location = std::source_location::current());

 private:
  Tensor forward(const Tensor& input) override;
  double rate_;
};

/// Dropout for SELU networks (arXiv:1706.02515): dropped elements take SELU's negative limit, and the result is scaled and moved so that
/// mean 0 and variance 1 stay.
class AlphaDropout final : public Module {
 public:
  explicit AlphaDropout(double rate = 0.5, std::source_location location = std::source_location::current());

 private:
  Tensor forward(const Tensor& input) override;
  double rate_;
};

/// Whole examples of a batch are 0 with probability `rate`, and divided by 1 - rate otherwise: stochastic depth (arXiv:1603.09382), for the
/// body of a residual block.
class DropPath final : public Module {
 public:
  explicit DropPath(double rate = 0.5, std::source_location location = std::source_location::current());

 private:
  Tensor forward(const Tensor& input) override;
  double rate_;
};

}  // namespace kiln::nn

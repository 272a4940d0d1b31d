// Modules that move elements: flatten and its inverse, upsampling, sub-pixel layouts.
#pragma once

#include "kiln/nn/module.h"
#include "kiln/resize.h"

namespace kiln::nn {

/// Axes from `first_axis` to `last_axis` become one.
class Flatten final : public Module {
 public:
  explicit Flatten(std::int64_t first_axis = 1, std::int64_t last_axis = -1) : first_axis_(first_axis), last_axis_(last_axis) {}

 private:
  Tensor forward(const Tensor& input) override;
  std::int64_t first_axis_, last_axis_;
};

/// An axis becomes several, whose extents have its extent as product.
///   nn::Unflatten(1, {3, 8, 8})   // [batch, 192] -> [batch, 3, 8, 8]
class Unflatten final : public Module {
 public:
  Unflatten(std::int64_t axis, Dims dims) : axis_(axis), dims_(std::move(dims)) {}

 private:
  Tensor forward(const Tensor& input) override;
  std::int64_t axis_;
  Dims dims_;
};

/// [batch, channels * r^2, height, width] -> [batch, channels, height * r, width * r] (arXiv:1609.05158).
class PixelShuffle final : public Module {
 public:
  explicit PixelShuffle(std::int64_t factor) : factor_(factor) {}

 private:
  Tensor forward(const Tensor& input) override;
  std::int64_t factor_;
};
/// The inverse of PixelShuffle.
class PixelUnshuffle final : public Module {
 public:
  explicit PixelUnshuffle(std::int64_t factor) : factor_(factor) {}

 private:
  Tensor forward(const Tensor& input) override;
  std::int64_t factor_;
};
/// Channels [groups * n] are dealt out anew, as a matrix [groups, n] is transposed (arXiv:1707.01083).
class ChannelShuffle final : public Module {
 public:
  explicit ChannelShuffle(std::int64_t groups) : groups_(groups) {}

 private:
  Tensor forward(const Tensor& input) override;
  std::int64_t groups_;
};

struct UpsampleOptions {
  Resampling mode = Resampling::nearest;
  /// linear, cubic: the first and last samples of input and output coincide; otherwise the edges of their cells do.
  bool align_corners = false;
};
/// [batch, channels, spatial...] with each spatial extent multiplied by an integer factor: resize().
class Upsample final : public Module {
 public:
  explicit Upsample(std::int64_t factor, UpsampleOptions options = {}) : factor_(factor), options_(options) {}

 private:
  Tensor forward(const Tensor& input) override;
  std::int64_t factor_;
  UpsampleOptions options_;
};

}  // namespace kiln::nn

// Convolution layers. Tensors are [batch, channels, spatial...], as PyTorch has them.
#pragma once

#include "kiln/nn/module.h"
#include "kiln/spatial.h"

namespace kiln::nn {

/// Numbers stand for every spatial axis, or are listed for each: {.stride = 2, .padding = {1, 3}}; {.padding = Padding::same()}.
struct ConvOptions {
  PerAxis stride = 1;
  Padding padding = {};  ///< zeros before and after
  PerAxis dilation = 1;
  std::int64_t groups = 1;  ///< divides both channel counts
  bool bias = true;
};
struct ConvTransposeOptions {
  PerAxis stride = 1;
  Padding padding = {};        ///< places cut off before and after
  PerAxis output_padding = 0;  ///< places added after
  PerAxis dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
};

/// What the convolutions of all ranks have in common. Not for use by itself.
class Convolution : public Module {
 protected:
  Convolution(const char* name, std::size_t rank, std::int64_t in, std::int64_t out, const PerAxis& kernel, const PerAxis& stride,
              const Padding& padding, const PerAxis& output_padding, const PerAxis& dilation, std::int64_t groups, bool bias,
              bool transposed, const Location& where);

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  Shape weight_shape() const;
  const char* name_;
  std::int64_t in_, out_, groups_;
  std::vector<std::int64_t> kernel_, stride_, output_padding_, dilation_;
  Padding padding_;
  bool bias_, transposed_;
};

/// Cross-correlation of [batch, in, spatial...] with a kernel, to [batch, out, ...]: one, two and three spatial axes. Parameters weight
/// [out, in / groups, kernel...] and bias [out], uniform in +-1/sqrt(in / groups * kernel size).
///   nn::Conv2d(3, 64, 7, {.stride = 2, .padding = 3, .bias = false})
class Conv1d final : public Convolution {
 public:
  Conv1d(std::int64_t in, std::int64_t out, const PerAxis& kernel, ConvOptions options = {},
         std::source_location location = std::source_location::current());
};
class Conv2d final : public Convolution {
 public:
  Conv2d(std::int64_t in, std::int64_t out, const PerAxis& kernel, ConvOptions options = {},
         std::source_location location = std::source_location::current());
};
class Conv3d final : public Convolution {
 public:
  Conv3d(std::int64_t in, std::int64_t out, const PerAxis& kernel, ConvOptions options = {},
         std::source_location location = std::source_location::current());
};

/// The convolution whose gradient this would be: n places become (n - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding
/// + 1. Parameters weight [in, out / groups, kernel...] and bias [out], uniform in +-1/sqrt(out / groups * kernel size).
class ConvTranspose1d final : public Convolution {
 public:
  ConvTranspose1d(std::int64_t in, std::int64_t out, const PerAxis& kernel, ConvTransposeOptions options = {},
                  std::source_location location = std::source_location::current());
};
class ConvTranspose2d final : public Convolution {
 public:
  ConvTranspose2d(std::int64_t in, std::int64_t out, const PerAxis& kernel, ConvTransposeOptions options = {},
                  std::source_location location = std::source_location::current());
};
class ConvTranspose3d final : public Convolution {
 public:
  ConvTranspose3d(std::int64_t in, std::int64_t out, const PerAxis& kernel, ConvTransposeOptions options = {},
                  std::source_location location = std::source_location::current());
};

}  // namespace kiln::nn

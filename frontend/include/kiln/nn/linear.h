// Layers that are matrix products, and the table of an embedding.
#pragma once

#include "kiln/nn/module.h"

namespace kiln::nn {

struct LinearOptions {
  bool bias = true;
};
/// x W^T + b: [..., in] -> [..., out]. Parameters weight [out, in] and bias [out], uniform in +-1/sqrt(in).
class Linear final : public Module {
 public:
  Linear(std::int64_t in, std::int64_t out, LinearOptions options = {});

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  std::int64_t in_, out_;
  LinearOptions options_;
};

struct BilinearOptions {
  bool bias = true;
};
/// y[..., o] = sum_ij a[..., i] W[o, i, j] b[..., j] + bias[o]: [..., in1], [..., in2] -> [..., out]. Parameters weight [out, in1, in2] and
/// bias [out], uniform in +-1/sqrt(in1).
///   Tensor score = nn::Bilinear(64, 32, 1)(user, item);
class Bilinear final : public Module {
 public:
  Bilinear(std::int64_t in1, std::int64_t in2, std::int64_t out, BilinearOptions options = {});
  Tensor operator()(const Tensor& a, const Tensor& b, Mode mode = {}, std::source_location location = std::source_location::current());

 private:
  void make_parameters(Graph& graph, DType dtype) override;
  std::int64_t in1_, in2_, out_;
  BilinearOptions options_;
};

struct EmbeddingOptions {
  /// The row of this index starts at zero and is not trained. Negative ones count from the back.
  std::optional<std::int64_t> padding_idx = {};
  DType dtype = f32;  ///< of the parameter, which the integer input cannot tell
};
/// Rows of a table at integer indices: [...] -> [..., width]. Parameter weight [count, width], from the standard normal distribution.
class Embedding final : public Module {
 public:
  Embedding(std::int64_t count, std::int64_t width, EmbeddingOptions options = {},
            std::source_location location = std::source_location::current());

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  std::int64_t count_, width_;
  EmbeddingOptions options_;
};

}  // namespace kiln::nn

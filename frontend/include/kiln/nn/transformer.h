// Attention and transformer layers, with PyTorch's names of parameters.
#pragma once

#include "kiln/nn/container.h"
#include "kiln/nn/dropout.h"
#include "kiln/nn/linear.h"
#include "kiln/nn/normalization.h"

namespace kiln::nn {

/// Who sees whom. All that is given counts together.
struct AttentionInput {
  /// Bool, broadcast to [batch, heads, queries, keys]: true where a query sees a key (PyTorch's attn_mask negated). Or floating: added to
  /// the scores.
  Tensor mask = {};
  Tensor key_mask = {};  ///< bool [batch, keys]: false for padding (PyTorch's key_padding_mask negated)
  bool causal = false;   ///< a query sees keys up to its own position
};

struct MultiheadAttentionOptions {
  bool bias = true;
  double dropout = 0;                           ///< in training, on the attention weights
  bool batch_first = false;                     ///< tensors are [batch, time, width] instead of [time, batch, width]
  std::int64_t key_width = 0, value_width = 0;  ///< of keys and values, where it is not `width`
};
/// `heads` attentions side by side over projections of query, key and value (arXiv:1706.03762). Parameters in_proj_weight [3 * width,
/// width] (or q_proj_weight, k_proj_weight, v_proj_weight where widths differ) and in_proj_bias [3 * width]; part out_proj. As a function
/// of one tensor it is self-attention.
///   Tensor y = attention(x, x, x, {.causal = true});
class MultiheadAttention final : public Module {
 public:
  MultiheadAttention(std::int64_t width, std::int64_t heads, MultiheadAttentionOptions options = {},
                     std::source_location location = std::source_location::current());
  Tensor operator()(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionInput& given = {}, Mode mode = {},
                    std::source_location location = std::source_location::current());
  using Module::operator();

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  Tensor run(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionInput& given);
  bool packed() const { return options_.key_width == width_ && options_.value_width == width_; }
  std::int64_t width_, heads_;
  MultiheadAttentionOptions options_;
  Linear out_;
};

enum class TransformerActivation : std::uint8_t { relu, gelu };
struct TransformerOptions {
  std::int64_t feedforward = 2048;  ///< width between the two linear layers
  double dropout = 0.1;
  TransformerActivation activation = TransformerActivation::relu;
  double eps = 1e-5;     ///< of the layer norms
  bool batch_first = false;  ///< tensors are [batch, time, width] instead of [time, batch, width]
  bool norm_first = false;   ///< normalise before attention and feedforward instead of after their residuals
};

/// Self-attention and a feedforward block, each with a residual and a layer norm. Parts self_attn, linear1, linear2, norm1, norm2.
class TransformerEncoderLayer final : public Module {
 public:
  TransformerEncoderLayer(std::int64_t width, std::int64_t heads, TransformerOptions options = {},
                          std::source_location location = std::source_location::current());
  Tensor operator()(const Tensor& source, const AttentionInput& given = {}, Mode mode = {},
                    std::source_location location = std::source_location::current());

 private:
  Tensor forward(const Tensor& input) override;
  Tensor run(const Tensor& source, const AttentionInput& given);
  TransformerOptions options_;
  MultiheadAttention attention_;
  Linear linear1_, linear2_;
  LayerNorm norm1_, norm2_;
  Dropout dropout_;
};

/// Self-attention, attention to a memory and a feedforward block. Parts self_attn, multihead_attn, linear1, linear2, norm1, norm2, norm3.
class TransformerDecoderLayer final : public Module {
 public:
  TransformerDecoderLayer(std::int64_t width, std::int64_t heads, TransformerOptions options = {},
                          std::source_location location = std::source_location::current());
  /// `self` says who sees whom among targets, `cross` which target sees which element of the memory.
  Tensor operator()(const Tensor& target, const Tensor& memory, const AttentionInput& self = {}, const AttentionInput& cross = {},
                    Mode mode = {}, std::source_location location = std::source_location::current());

 private:
  Tensor run(const Tensor& target, const Tensor& memory, const AttentionInput& self, const AttentionInput& cross);
  TransformerOptions options_;
  MultiheadAttention attention_, cross_attention_;
  Linear linear1_, linear2_;
  LayerNorm norm1_, norm2_, norm3_;
  Dropout dropout_;
};

/// Several encoder layers ("layers.0" ...) and, if wanted, a last norm ("norm").
class TransformerEncoder final : public Module {
 public:
  TransformerEncoder(int layers, std::int64_t width, std::int64_t heads, TransformerOptions options = {}, bool last_norm = false,
                     std::source_location location = std::source_location::current());
  Tensor operator()(const Tensor& source, const AttentionInput& given = {}, Mode mode = {},
                    std::source_location location = std::source_location::current());

 private:
  Tensor forward(const Tensor& input) override;
  Tensor run(const Tensor& source, const AttentionInput& given);
  ModuleList<TransformerEncoderLayer> layers_;
  std::optional<LayerNorm> norm_;
};

/// Several decoder layers and, if wanted, a last norm, named alike.
class TransformerDecoder final : public Module {
 public:
  TransformerDecoder(int layers, std::int64_t width, std::int64_t heads, TransformerOptions options = {}, bool last_norm = false,
                     std::source_location location = std::source_location::current());
  Tensor operator()(const Tensor& target, const Tensor& memory, const AttentionInput& self = {}, const AttentionInput& cross = {},
                    Mode mode = {}, std::source_location location = std::source_location::current());

 private:
  ModuleList<TransformerDecoderLayer> layers_;
  std::optional<LayerNorm> norm_;
};

/// x + sinusoidal_positions(), with dropout in training: x [batch, time, width].
class SinusoidalPositions final : public Module {
 public:
  explicit SinusoidalPositions(double dropout = 0, std::source_location location = std::source_location::current())
      : dropout_(add("dropout", Dropout(dropout, location))) {}

 private:
  Tensor forward(const Tensor& input) override;
  Dropout dropout_;
};

/// x + a trained vector for each position: x [batch, time, width] with time <= length, which a symbolic time says by its max.
/// Parameter weight [length, width], from the normal distribution with deviation 0.02.
class LearnedPositions final : public Module {
 public:
  LearnedPositions(std::int64_t length, std::int64_t width) : length_(length), width_(width) {}

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  std::int64_t length_, width_;
};

}  // namespace kiln::nn

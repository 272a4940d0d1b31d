// Attention, and what tells it positions.
#pragma once

#include <optional>

#include "kiln/operators.h"

namespace kiln {

struct AttentionOptions {
  /// Broadcast to [..., heads, queries, keys]. Bool: true where a query sees a key; floating: added to the scores.
  Tensor mask = {};
  bool causal = false;               ///< a query sees keys up to its own position
  std::optional<double> scale = {};  ///< of the scores; 1 / sqrt(width) by default
  double dropout = 0;                ///< share of the weights that is set to 0, the others scaled up; for training graphs
  /// Integers, one per batch element (the axes before the heads): keys from this position on are padding, which nobody sees.
  Tensor key_lengths = {};
  double softcap = 0;                       ///< scores become softcap * tanh(score / softcap); 0: they are left alone
  std::optional<std::int64_t> window = {};  ///< a query sees keys less than this far away, on either side
  Dim query_offset = 0;                     ///< position of the first query among the keys: the number of cached keys when decoding
};

/// softmax(q k^T * scale) v (Vaswani et al. 2017, arXiv:1706.03762): q [..., heads, queries, width], k [..., key heads, keys, width], v
/// [..., key heads, keys, value width]; result [..., heads, queries, value width]. There may be fewer key heads than heads, which they
/// divide: each then serves a group of neighbouring heads (grouped queries, arXiv:2305.13245). The heads' axis may be missing from all
/// three. A query that sees no key yields 0.
///   scaled_dot_product_attention(q, k, v, {.causal = true})
Tensor scaled_dot_product_attention(const Operand& q, const Operand& k, const Operand& v, const AttentionOptions& options = {});

/// [..., time, heads * width] -> [..., heads, time, width], and back.
Tensor split_heads(const Operand& x, std::int64_t heads);
Tensor merge_heads(const Operand& x);

struct RotaryOptions {
  double base = 10000;
  Dim offset = 0;         ///< position of the first element
  Tensor positions = {};  ///< integers [time] in place of offset, offset + 1 ...; or [batch, time], x's first axis being the batch
  bool interleaved =
      false;  ///< pairs are neighbours (2 i, 2 i + 1), as in the paper; else halves (i, i + width / 2), as in GPT-NeoX and Llama
};
/// Pair i of the last axis turned by position * base^(-2 i / width): x [..., time, width] of even width (Su et al., arXiv:2104.09864).
Tensor rotary_embedding(const Operand& x, const RotaryOptions& options = {});

/// [heads, queries, keys]: -slope * |query - key|, to be added to scores as a mask (Press et al., arXiv:2108.12409). Slopes are 2^(-8 i /
/// heads), i = 1 ... heads, filled up from the next power of two where heads is none.
Tensor alibi_bias(Graph& graph, DType dtype, std::int64_t heads, const Dim& queries, const Dim& keys, const Dim& query_offset = 0,
                  std::source_location location = std::source_location::current());

/// [time, width]: sin(t / base^(2 i / width)) at 2 i, cos of the same at 2 i + 1 (Vaswani et al. 2017).
Tensor sinusoidal_positions(Graph& graph, DType dtype, const Dim& time, std::int64_t width, double base = 10000,
                            std::source_location location = std::source_location::current());

}  // namespace kiln

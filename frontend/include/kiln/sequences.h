// Sequences of different lengths in one tensor, and counts of their parts.
#pragma once

#include <vector>

#include "kiln/operators.h"

namespace kiln {

/// Whether a position lies within a length: lengths [...] -> bool[..., size]. tf.sequence_mask.
///   sequence_mask(lengths, 3)   // {1, 3} -> {{true, false, false}, {true, true, true}}
Tensor sequence_mask(const Operand& lengths, const Dim& size);

/// The first lengths[b] elements along `time_axis` in reverse order, for each index b of `batch_axis`; the others stay. Lengths are
/// integers [batch], counted as at least 0 and at most the extent. tf.reverse_sequence, ONNX ReverseSequence.
///   reverse_sequence(x, lengths)    // x [time, batch, ...]
Tensor reverse_sequence(const Operand& x, const Operand& lengths, std::int64_t time_axis = 0, std::int64_t batch_axis = 1);

/// What an n-gram's count becomes.
enum class NgramWeighting : std::uint8_t {
  counts,    ///< stays: term frequency (ONNX's TF)
  occurs,    ///< its weight where it occurs at all (IDF)
  weighted,  ///< times its weight (TFIDF)
};
struct NgramOptions {
  NgramWeighting weighting = NgramWeighting::counts;
  std::int64_t min_length = 1, max_length = 1;  ///< n-grams of these lengths are counted
  std::int64_t max_skip = 0;                    ///< up to so many items are left out between two of an n-gram, the same number each time
  std::vector<std::vector<std::int64_t>> pool = {};  ///< the n-grams
  std::vector<std::int64_t> indices = {};            ///< where each one's result goes; by default its place in the pool
  std::vector<double> weights = {};                  ///< of each; by default 1
};
/// How often n-grams of a pool occur in sequences of integers: x [..., time] -> f32[..., size], size being one more than the largest index.
/// ONNX TfIdfVectorizer.
///   tf_idf_vectorizer(tokens, {.max_length = 2, .pool = {{3}, {5, 6}}})   // {3, 5, 6, 3} -> {2, 1}
Tensor tf_idf_vectorizer(const Operand& x, const NgramOptions& options);

}  // namespace kiln

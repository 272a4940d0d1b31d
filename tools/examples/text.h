// Text as the example language models see it: one number per byte, in the order of the bytes that occur.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kiln/array.h"

namespace kiln {

/// The bytes of a file, numbered. The last tenth is for validation.
class TextData {
 public:
  /// std::runtime_error for a file that cannot be read or has fewer than 1000 bytes.
  explicit TextData(const std::string& path);
  std::int64_t vocabulary() const { return static_cast<std::int64_t>(bytes_.size()); }
  const std::vector<std::int32_t>& train() const { return train_; }
  const std::vector<std::int32_t>& validation() const { return validation_; }
  char byte(std::int64_t token) const { return bytes_.at(static_cast<std::size_t>(token)); }

 private:
  std::string bytes_;
  std::vector<std::int32_t> train_, validation_;
};

/// Inputs and the tokens that follow them, i32[batch, time] each.
struct TextBatch {
  Array inputs, targets;
};
/// Windows from random places.
TextBatch random_batch(const std::vector<std::int32_t>& tokens, std::int64_t batch, std::int64_t time, std::mt19937_64& random);
/// Number `index` of the windows that go through `batch` equal parts of the text side by side, without gaps.
TextBatch consecutive_batch(const std::vector<std::int32_t>& tokens, std::int64_t batch, std::int64_t time, std::int64_t index);
/// How many of those there are.
std::int64_t consecutive_batches(const std::vector<std::int32_t>& tokens, std::int64_t batch, std::int64_t time);

/// Draws a token from softmax(logits / temperature).
std::int32_t sample(std::span<const float> logits, double temperature, std::mt19937_64& random);

}  // namespace kiln

// Text for the example language models.
#include "text.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace kiln {

TextData::TextData(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file && text.empty()) throw std::runtime_error("cannot read " + path);
  if (text.size() < 1000) throw std::runtime_error(path + " has only " + std::to_string(text.size()) + " bytes: too short to learn from");
  bytes_ = text;
  std::sort(bytes_.begin(), bytes_.end());
  bytes_.erase(std::unique(bytes_.begin(), bytes_.end()), bytes_.end());
  std::vector<std::int32_t> tokens;
  for (const char c : text) tokens.push_back(static_cast<std::int32_t>(std::lower_bound(bytes_.begin(), bytes_.end(), c) - bytes_.begin()));
  const auto split = tokens.begin() + static_cast<std::ptrdiff_t>(tokens.size() * 9 / 10);
  train_.assign(tokens.begin(), split);
  validation_.assign(split, tokens.end());
}

namespace {

TextBatch batch_at(const std::vector<std::int32_t>& tokens, const std::vector<std::int64_t>& starts, std::int64_t time) {
  const auto batch = static_cast<std::int64_t>(starts.size());
  TextBatch result{Array(DType::i32, {batch, time}), Array(DType::i32, {batch, time})};
  const auto inputs = result.inputs.mutable_data<std::int32_t>(), targets = result.targets.mutable_data<std::int32_t>();
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t t = 0; t < time; ++t) {
      const auto from = static_cast<std::size_t>(starts[static_cast<std::size_t>(b)] + t), to = static_cast<std::size_t>(b * time + t);
      inputs[to] = tokens.at(from);
      targets[to] = tokens.at(from + 1);
    }
  return result;
}

}  // namespace

TextBatch random_batch(const std::vector<std::int32_t>& tokens, std::int64_t batch, std::int64_t time, std::mt19937_64& random) {
  const auto last = static_cast<std::int64_t>(tokens.size()) - time - 1;
  if (last < 0) throw std::runtime_error("the text is shorter than one window of " + std::to_string(time) + " bytes");
  std::vector<std::int64_t> starts(static_cast<std::size_t>(batch));
  for (std::int64_t& start : starts) start = std::uniform_int_distribution<std::int64_t>(0, last)(random);
  return batch_at(tokens, starts, time);
}

std::int64_t consecutive_batches(const std::vector<std::int32_t>& tokens, std::int64_t batch, std::int64_t time) {
  return (static_cast<std::int64_t>(tokens.size()) - 1) / batch / time;
}

TextBatch consecutive_batch(const std::vector<std::int32_t>& tokens, std::int64_t batch, std::int64_t time, std::int64_t index) {
  const std::int64_t part = (static_cast<std::int64_t>(tokens.size()) - 1) / batch;
  std::vector<std::int64_t> starts(static_cast<std::size_t>(batch));
  for (std::int64_t b = 0; b < batch; ++b) starts[static_cast<std::size_t>(b)] = b * part + index * time;
  return batch_at(tokens, starts, time);
}

std::int32_t sample(std::span<const float> logits, double temperature, std::mt19937_64& random) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> weights;
  for (const float logit : logits) weights.push_back(std::exp((logit - largest) / temperature));
  return std::discrete_distribution<std::int32_t>(weights.begin(), weights.end())(random);
}

}  // namespace kiln

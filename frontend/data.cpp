// Shuffled mini-batches. The order is a Fisher-Yates shuffle driven by splitmix64 (Steele, Lea, Flood 2014), written out here so that a
// seed means the same order everywhere: the standard library's shuffles do not promise that.
#include "kiln/data.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstring>
#include <numeric>

namespace kiln {

namespace {

std::uint64_t next(std::uint64_t& state) {
  std::uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/// Uniform in 0..bound-1, by rejection of the incomplete last interval.
std::uint64_t below(std::uint64_t& state, std::uint64_t bound) {
  const std::uint64_t rest = (0 - bound) % bound;  // 2^64 mod bound
  std::uint64_t draw;
  do draw = next(state);
  while (draw < rest);
  return draw % bound;
}

}  // namespace

Batches::Batches(std::vector<Array> arrays, BatchOptions options, std::source_location location)
    : arrays_(std::move(arrays)), options_(options) {
  if (arrays_.empty()) throw Error(ErrorCode::invalid_argument, "Batches: there are no arrays", location, "give at least one array");
  if (options_.batch_size < 1)
    throw Error(ErrorCode::invalid_argument, fmt::format("Batches: the batch size is {}", options_.batch_size), location,
                "batch_size >= 1");
  for (const Array& array : arrays_) {
    if (array.shape().rank() == 0)
      throw Error(ErrorCode::shape_mismatch, "Batches: a scalar has no rows", location, "each array's first axis runs over the examples");
    if (array.shape()[0] != arrays_[0].shape()[0])
      throw Error(ErrorCode::shape_mismatch,
                  fmt::format("Batches: the arrays {} and {} have different numbers of rows", to_string(arrays_[0].shape()),
                              to_string(array.shape())),
                  location, "each array's first axis runs over the same examples");
  }
  rows_ = arrays_[0].shape()[0];
  order_.resize(static_cast<std::size_t>(rows_));
  std::iota(order_.begin(), order_.end(), std::int64_t{0});
}

std::int64_t Batches::count() const {
  return options_.drop_last ? rows_ / options_.batch_size : rows_ / options_.batch_size + (rows_ % options_.batch_size != 0);
}

Batches::Iterator Batches::begin() {
  if (options_.shuffle) {
    std::uint64_t state = options_.seed;
    // An epoch's order depends on the seed and the epoch's number alone.
    state = next(state) ^ epoch_;
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[below(state, i)]);
  }
  ++epoch_;
  return Iterator(*this);
}

Batches::Iterator::Iterator(const Batches& owner) : owner_(&owner) {
  const std::int64_t size = owner.options_.batch_size;
  end_ = owner.options_.drop_last ? owner.rows_ / size * size : owner.rows_;
  fill();
}

Batches::Iterator& Batches::Iterator::operator++() {
  position_ += owner_->options_.batch_size;
  fill();
  return *this;
}

void Batches::Iterator::fill() {
  if (position_ >= end_) return;
  const std::int64_t count = std::min(owner_->options_.batch_size, end_ - position_);
  batch_.resize(owner_->arrays_.size());
  for (std::size_t k = 0; k < batch_.size(); ++k) {
    const Array& source = owner_->arrays_[k];
    Shape shape = source.shape();
    const std::size_t row = shape[0] == 0 ? 0 : source.bytes() / static_cast<std::size_t>(shape[0]);
    shape[0] = count;
    // Memory of the last batch is used again unless the caller kept it.
    if (batch_[k].dtype() != source.dtype() || batch_[k].shape() != shape || !batch_[k].unshared())
      batch_[k] = Array(source.dtype(), shape);
    auto* target = static_cast<unsigned char*>(batch_[k].mutable_raw());
    const auto* from = static_cast<const unsigned char*>(source.raw());
    for (std::int64_t i = 0; i < count; ++i)
      std::memcpy(target + static_cast<std::size_t>(i) * row,
                  from + static_cast<std::size_t>(owner_->order_[static_cast<std::size_t>(position_ + i)]) * row, row);
  }
}

}  // namespace kiln

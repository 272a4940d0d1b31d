// Mini-batches of arrays.
#pragma once

#include <cstdint>
#include <iterator>
#include <vector>

#include "kiln/array.h"

namespace kiln {

struct BatchOptions {
  std::int64_t batch_size = 32;
  bool shuffle = true;
  std::uint64_t seed = 0;  ///< the same seed gives the same order on every machine
  bool drop_last = false;  ///< leave out a last batch that is not full
};

/// One epoch after another of mini-batches: rows (along the first axis) of several arrays, in the same order for all. Each begin() starts
/// an epoch, with an order of its own when shuffled.
///
///   Batches batches({images, labels}, {.batch_size = 100, .seed = 7});
///   for (const std::vector<Array>& batch : batches) session.run({step}, {{x, batch[0]}, {y, batch[1]}});
class Batches {
 public:
  /// Error(shape_mismatch) unless all arrays have the same first extent; Error(invalid_argument) for a batch size below 1 or no arrays.
  Batches(std::vector<Array> arrays, BatchOptions options = {}, std::source_location location = std::source_location::current());

  /// Rows, and batches in one epoch.
  std::int64_t rows() const { return rows_; }
  std::int64_t count() const;

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::vector<Array>;
    using difference_type = std::ptrdiff_t;

    /// Valid until the iterator moves on; copies of the arrays stay valid.
    const std::vector<Array>& operator*() const { return batch_; }
    const std::vector<Array>* operator->() const { return &batch_; }
    Iterator& operator++();
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& iterator, std::default_sentinel_t) { return iterator.position_ >= iterator.end_; }

   private:
    friend class Batches;
    explicit Iterator(const Batches& owner);
    void fill();
    const Batches* owner_;
    std::int64_t position_ = 0, end_ = 0;
    std::vector<Array> batch_;
  };

  /// Starts the next epoch; iterators of earlier ones must no longer be used.
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

 private:
  std::vector<Array> arrays_;
  BatchOptions options_;
  std::int64_t rows_ = 0;
  std::uint64_t epoch_ = 0;
  std::vector<std::int64_t> order_;
};

}  // namespace kiln

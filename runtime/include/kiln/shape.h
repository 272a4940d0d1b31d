// Concrete shapes: a list of extents.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace kiln {

/// Extents of an array, outermost first; rank 0 is a scalar. Memory is row-major.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span<const std::int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const std::int64_t> dims) {
    std::int64_t* target = resize(dims.size());
    for (std::size_t i = 0; i < dims.size(); ++i) target[i] = dims[i];
  }
  explicit Shape(const std::vector<std::int64_t>& dims) : Shape(std::span<const std::int64_t>(dims)) {}
  /// `rank` extents of 0, to be filled in.
  static Shape of_rank(std::size_t rank) {
    Shape shape;
    shape.resize(rank);
    return shape;
  }
  Shape(const Shape& other) : Shape(other.dims()) {}
  Shape(Shape&& other) noexcept { *this = std::move(other); }
  Shape& operator=(const Shape& other) {
    if (this != &other) *this = Shape(other);
    return *this;
  }
  Shape& operator=(Shape&& other) noexcept {
    std::copy_n(other.few_, few, few_);
    many_ = std::move(other.many_);
    rank_ = many_ ? std::exchange(other.rank_, 0) : other.rank_;
    return *this;
  }

  std::size_t rank() const { return rank_; }
  std::int64_t operator[](std::size_t i) const { return begin()[i]; }
  std::int64_t& operator[](std::size_t i) { return (many_ ? many_.get() : few_)[i]; }
  const std::int64_t* begin() const { return many_ ? many_.get() : few_; }
  const std::int64_t* end() const { return begin() + rank_; }
  std::span<const std::int64_t> dims() const { return {begin(), rank_}; }

  /// Number of elements (1 for rank 0). Throws Error(out_of_memory) when it exceeds int64, invalid_argument for a negative extent.
  std::int64_t size() const;
  /// Row-major strides in elements.
  std::vector<std::int64_t> strides() const;

  friend bool operator==(const Shape& a, const Shape& b) { return std::ranges::equal(a.dims(), b.dims()); }

 private:
  static constexpr std::size_t few = 6;

  std::int64_t* resize(std::size_t rank) {
    rank_ = rank;
    if (rank > few) many_ = std::make_unique<std::int64_t[]>(rank);
    return many_ ? many_.get() : few_;
  }

  // Shapes are copied with every array that is passed around: up to six extents live in the object, so that copies allocate nothing.
  std::size_t rank_ = 0;
  std::int64_t few_[few] = {};
  std::unique_ptr<std::int64_t[]> many_;
};

/// "[64, 1000]"; "[]" for a scalar.
std::string to_string(const Shape& shape);

}  // namespace kiln

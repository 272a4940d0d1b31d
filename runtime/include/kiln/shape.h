// Concrete shapes: a list of extents.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kiln {

/// Extents of an array, outermost first; rank 0 is a scalar. Memory is row-major.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) : dims_(dims) {}
  explicit Shape(std::span<const std::int64_t> dims) : dims_(dims.begin(), dims.end()) {}
  explicit Shape(std::vector<std::int64_t> dims) : dims_(std::move(dims)) {}

  std::size_t rank() const { return dims_.size(); }
  std::int64_t operator[](std::size_t i) const { return dims_[i]; }
  std::int64_t& operator[](std::size_t i) { return dims_[i]; }
  auto begin() const { return dims_.begin(); }
  auto end() const { return dims_.end(); }
  std::span<const std::int64_t> dims() const { return dims_; }

  /// Number of elements (1 for rank 0). Throws Error(out_of_memory) when it exceeds int64, invalid_argument for a negative extent.
  std::int64_t size() const;
  /// Row-major strides in elements.
  std::vector<std::int64_t> strides() const;

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::vector<std::int64_t> dims_;
};

/// "[64, 1000]"; "[]" for a scalar.
std::string to_string(const Shape& shape);

}  // namespace kiln

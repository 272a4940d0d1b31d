// Dim and Dims: extents of tensors, numbers or symbols such as a batch size that is known only when a feed arrives.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <source_location>
#include <string>
#include <vector>

#include "kiln/shape.h"

namespace kiln {

namespace detail {
struct DimValue;
}

/// What is known of a symbolic extent; checked when it is fed. One graph may not hold two symbols of one name with different options.
struct DimOptions {
  std::int64_t min = 0;
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::int64_t multiple_of = 1;
  std::int64_t typical = 0;  ///< a usual value, for cost models only; 0: not given
};

/// One extent: a number, a symbol, or arithmetic on them. In one graph the same name means the same value in one run.
///
///   Dim batch("batch", {.min = 1, .typical = 64});
///   Dim pairs = batch * (batch - 1) / 2;
class Dim {
 public:
  Dim() = default;
  template <std::integral T>
  Dim(T value) : constant_(static_cast<std::int64_t>(value)) {}
  /// A symbol. The name starts with a letter or underscore and goes on with letters, digits and underscores.
  Dim(const char* name, DimOptions options = {}, std::source_location location = std::source_location::current());
  Dim(const std::string& name, DimOptions options = {}, std::source_location location = std::source_location::current());

  bool is_constant() const { return symbolic_ == nullptr; }
  /// The number; throws Error(invalid_argument) when the extent is symbolic.
  std::int64_t value(std::source_location location = std::source_location::current()) const;

  friend Dim operator+(const Dim& a, const Dim& b);
  friend Dim operator-(const Dim& a, const Dim& b);
  friend Dim operator*(const Dim& a, const Dim& b);
  /// Quotient and remainder rounded towards minus infinity; b > 0.
  friend Dim operator/(const Dim& a, const Dim& b);
  friend Dim operator%(const Dim& a, const Dim& b);
  /// Equal as expressions: batch + 1 equals 1 + batch.
  friend bool operator==(const Dim& a, const Dim& b);

 private:
  friend struct detail::DimValue;
  std::int64_t constant_ = 0;
  std::shared_ptr<const detail::DimValue> symbolic_;
};

/// The quotient rounded up: ceildiv(n, 2) pairs hold n items.
Dim ceildiv(const Dim& a, const Dim& b);
/// The smaller and the larger of two extents.
Dim smaller(const Dim& a, const Dim& b);
Dim larger(const Dim& a, const Dim& b);
/// "64", "batch", "2*batch + 1".
std::string to_string(const Dim& dim);

/// Extents of a tensor, outermost first; empty for a scalar. Written as a list wherever a function takes one: `{batch, 1000}`.
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<Dim> dims) : dims_(dims) {}
  Dims(std::vector<Dim> dims) : dims_(std::move(dims)) {}
  Dims(const Shape& shape) : dims_(shape.begin(), shape.end()) {}

  std::size_t rank() const { return dims_.size(); }
  const Dim& operator[](std::size_t i) const { return dims_[i]; }
  Dim& operator[](std::size_t i) { return dims_[i]; }
  auto begin() const { return dims_.begin(); }
  auto end() const { return dims_.end(); }
  void push_back(Dim dim) { dims_.push_back(std::move(dim)); }
  friend bool operator==(const Dims&, const Dims&) = default;

 private:
  std::vector<Dim> dims_;
};

/// "[batch, 1000]".
std::string to_string(const Dims& dims);

}  // namespace kiln

// Array: a dense row-major value in memory. ArrayView and MutableArrayView: the same without ownership.
#pragma once

#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <vector>

#include "kiln/dtype.h"
#include "kiln/error.h"
#include "kiln/shape.h"

namespace kiln {

class Array;

/// A dense row-major array that somebody else owns. It must outlive the view.
class ArrayView {
 public:
  ArrayView() = default;
  ArrayView(DType dtype, Shape shape, const void* data) : dtype_(dtype), shape_(std::move(shape)), data_(data) {}
  ArrayView(const Array& array);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  const void* raw() const { return data_; }
  std::int64_t size() const { return shape_.size(); }
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * size_of(dtype_); }
  /// Elements in row-major order; throws Error(dtype_mismatch) unless T is the array's dtype.
  template <Element T>
  std::span<const T> data(std::source_location location = std::source_location::current()) const;

 private:
  DType dtype_ = DType::f32;
  Shape shape_{0};
  const void* data_ = nullptr;
};

/// The same to write to. Its own constness says nothing of the elements', as with std::span.
class MutableArrayView {
 public:
  MutableArrayView() = default;
  MutableArrayView(DType dtype, Shape shape, void* data) : dtype_(dtype), shape_(std::move(shape)), data_(data) {}
  operator ArrayView() const { return ArrayView(dtype_, shape_, data_); }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  void* raw() const { return data_; }
  std::int64_t size() const { return shape_.size(); }
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * size_of(dtype_); }
  /// Elements in row-major order; throws Error(dtype_mismatch) unless T is the array's dtype.
  template <Element T>
  std::span<T> data(std::source_location location = std::source_location::current()) const;

 private:
  DType dtype_ = DType::f32;
  Shape shape_{0};
  void* data_ = nullptr;
};

/// A dense row-major array that owns its memory (64-byte aligned). Copies share the memory until one of them is written through
/// `mutable_data` (copy on write), so passing arrays by value is cheap.
///
///   Array a = Array::from({{1.f, 2.f}, {3.f, 4.f}});   // f32[2, 2]
///   Array b({2, 3}, std::vector<double>{1, 2, 3, 4, 5, 6});
///   float first = a.at<float>({0, 1});                  // 2
class Array {
 public:
  /// An empty array: f32[0].
  Array();
  /// Uninitialised elements.
  Array(DType dtype, Shape shape);
  /// A rank-0 array.
  template <Element T>
  Array(T value);
  /// Elements in row-major order; throws Error(shape_mismatch) when `values` is not exactly shape.size() long.
  template <Element T>
  Array(Shape shape, std::span<const T> values, std::source_location location = std::source_location::current());
  template <Element T>
  Array(Shape shape, const std::vector<T>& values, std::source_location location = std::source_location::current());
  template <Element T>
  Array(Shape shape, std::initializer_list<T> values, std::source_location location = std::source_location::current())
      : Array(std::move(shape), std::span<const T>(values.begin(), values.size()), location) {}
  /// A copy of what the view sees.
  explicit Array(const ArrayView& view);
  /// From nested lists; throws Error(shape_mismatch) for ragged ones.
  template <Element T>
  static Array from(std::initializer_list<T> values);
  template <Element T>
  static Array from(std::initializer_list<std::initializer_list<T>> values,
                    std::source_location location = std::source_location::current());

  static Array zeros(DType dtype, Shape shape);
  /// Every element is `value`, converted to dtype.
  static Array full(DType dtype, Shape shape, double value);
  /// An array on memory owned by `owner` (a mapped file, say); never written to: mutable_data copies first.
  static Array adopt(DType dtype, Shape shape, const void* data, std::shared_ptr<const void> owner);
  /// Reads a .npy file (see kiln/files.h for the formats and their errors).
  static Array load(const std::string& path, Location where = std::source_location::current());

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t size() const { return size_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * size_of(dtype_); }
  const void* raw() const { return data_; }
  /// Writable memory; copies first when it is shared.
  void* mutable_raw();
  /// True when mutable_raw() would not copy: nobody else shares the memory.
  bool unshared() const;

  /// Elements in row-major order; throws Error(dtype_mismatch) unless T is the array's dtype.
  template <Element T>
  std::span<const T> data(std::source_location location = std::source_location::current()) const;
  template <Element T>
  std::span<T> mutable_data(std::source_location location = std::source_location::current());
  /// The single element of an array of size 1, of dtype T.
  template <Element T>
  T item(std::source_location location = std::source_location::current()) const;
  /// One element; throws Error(invalid_argument) when the index is out of range.
  template <Element T>
  T at(std::initializer_list<std::int64_t> index, std::source_location location = std::source_location::current()) const;

  /// Same elements, other shape of equal size (shares memory).
  Array reshape(Shape shape, std::source_location location = std::source_location::current()) const;
  /// A copy with every element converted to `dtype` (float to integer saturates, NaN becomes 0).
  Array convert(DType dtype) const;

 private:
  std::int64_t checked_offset(std::span<const std::int64_t> index, std::source_location location) const;

  DType dtype_ = DType::f32;
  Shape shape_{0};
  std::int64_t size_ = 0;
  const void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
  bool writable_ = true;
};

/// Values as nested lists, long axes shortened with "...": "f32[2, 2] {{1, 2}, {3, 4}}".
std::string to_string(const Array& array);
std::ostream& operator<<(std::ostream& out, const Array& array);

/// True when dtype, shape and every byte are equal (NaN equals the same NaN).
bool identical(const ArrayView& a, const ArrayView& b);

/// Element `index` (row-major) of any dtype as double / int64; for printing and checks, not for speed.
double element_as_double(const ArrayView& array, std::int64_t index);
std::int64_t element_as_int(const ArrayView& array, std::int64_t index);

}  // namespace kiln

#include "kiln/detail/array_inline.h"

// Template members of kiln/array.h.
#pragma once

namespace kiln {

inline ArrayView::ArrayView(const Array& array) : dtype_(array.dtype()), shape_(array.shape()), data_(array.raw()) {}

namespace detail {
/// Throws Error(dtype_mismatch) unless elements of an array of `dtype` and `shape` may be seen as `wanted`.
void check_element(DType wanted, DType dtype, const Shape& shape, std::source_location location);
/// Throws Error(shape_mismatch): `given` values for an array of shape `shape`.
[[noreturn]] void throw_wrong_count(const Shape& shape, std::size_t given, std::source_location location);
/// Throws Error(shape_mismatch): row `row` of nested lists has `given` values, the first row has `expected`.
[[noreturn]] void throw_ragged(std::size_t row, std::size_t given, std::size_t expected, std::source_location location);
/// Throws Error(invalid_argument): item() of an array that does not have exactly one element.
[[noreturn]] void throw_not_one_element(const Shape& shape, std::source_location location);
}  // namespace detail

template <Element T>
std::span<const T> ArrayView::data(std::source_location location) const {
  detail::check_element(dtype_of<T>(), dtype_, shape_, location);
  return {static_cast<const T*>(data_), static_cast<std::size_t>(size())};
}

template <Element T>
std::span<T> MutableArrayView::data(std::source_location location) const {
  detail::check_element(dtype_of<T>(), dtype_, shape_, location);
  return {static_cast<T*>(data_), static_cast<std::size_t>(size())};
}

template <Element T>
Array::Array(T value) : Array(dtype_of<T>(), Shape{}) {
  *static_cast<T*>(mutable_raw()) = value;
}

template <Element T>
Array::Array(Shape shape, std::span<const T> values, std::source_location location) : Array(dtype_of<T>(), std::move(shape)) {
  if (static_cast<std::uint64_t>(size_) != values.size()) detail::throw_wrong_count(shape_, values.size(), location);
  if (!values.empty()) std::memcpy(mutable_raw(), values.data(), values.size_bytes());
}

template <Element T>
Array::Array(Shape shape, const std::vector<T>& values, std::source_location location) : Array(dtype_of<T>(), std::move(shape)) {
  if (static_cast<std::uint64_t>(size_) != values.size()) detail::throw_wrong_count(shape_, values.size(), location);
  T* out = static_cast<T*>(mutable_raw());
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = values[i];  // element by element: vector<bool> has no array of bool
}

template <Element T>
Array Array::from(std::initializer_list<T> values) {
  return Array(Shape{static_cast<std::int64_t>(values.size())}, std::span<const T>(values.begin(), values.size()));
}

template <Element T>
Array Array::from(std::initializer_list<std::initializer_list<T>> values, std::source_location location) {
  const std::size_t columns = values.size() == 0 ? 0 : values.begin()->size();
  Array result(dtype_of<T>(), Shape{static_cast<std::int64_t>(values.size()), static_cast<std::int64_t>(columns)});
  T* out = static_cast<T*>(result.mutable_raw());
  std::size_t row_index = 0;
  for (const auto& row : values) {
    if (row.size() != columns) detail::throw_ragged(row_index, row.size(), columns, location);
    for (const T& value : row) *out++ = value;
    ++row_index;
  }
  return result;
}

template <Element T>
std::span<const T> Array::data(std::source_location location) const {
  detail::check_element(dtype_of<T>(), dtype_, shape_, location);
  return {static_cast<const T*>(data_), static_cast<std::size_t>(size_)};
}

template <Element T>
std::span<T> Array::mutable_data(std::source_location location) {
  detail::check_element(dtype_of<T>(), dtype_, shape_, location);
  return {static_cast<T*>(mutable_raw()), static_cast<std::size_t>(size_)};
}

template <Element T>
T Array::item(std::source_location location) const {
  detail::check_element(dtype_of<T>(), dtype_, shape_, location);
  if (size_ != 1) detail::throw_not_one_element(shape_, location);
  return *static_cast<const T*>(data_);
}

template <Element T>
T Array::at(std::initializer_list<std::int64_t> index, std::source_location location) const {
  detail::check_element(dtype_of<T>(), dtype_, shape_, location);
  return static_cast<const T*>(data_)[checked_offset({index.begin(), index.size()}, location)];
}

}  // namespace kiln

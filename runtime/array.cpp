// Array: memory, copy on write, conversion between dtypes.
//
// An Array is a pointer to elements and an owner that keeps them alive. Memory of its own comes as one block with the reference count,
// over-allocated so that the elements can start at a multiple of 64 bytes (a cache line, and the widest vector register).
#include "kiln/array.h"

#include <bit>
#include <cmath>
#include <limits>
#include <new>

namespace kiln {
namespace {

constexpr std::size_t alignment = 64;

struct Block {
  std::shared_ptr<const void> owner;
  void* data;
};

Block allocate(DType dtype, const Shape& shape, std::int64_t size) {
  std::int64_t bytes;
  if (__builtin_mul_overflow(size, static_cast<std::int64_t>(size_of(dtype)), &bytes) || bytes > PTRDIFF_MAX - 4096)
    throw Error(ErrorCode::out_of_memory,
                "the bytes of an array " + std::string(name_of(dtype)) + to_string(shape) + " do not fit in 63 bits");
  std::shared_ptr<std::byte[]> memory;
  try {
    memory = std::make_shared_for_overwrite<std::byte[]>(static_cast<std::size_t>(bytes) + alignment - 1);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory,
                "no memory for an array " + std::string(name_of(dtype)) + to_string(shape) + " (" + std::to_string(bytes) + " bytes)");
  }
  const auto address = reinterpret_cast<std::uintptr_t>(memory.get());
  void* data = memory.get() + ((address + alignment - 1) / alignment * alignment - address);
  return {std::move(memory), data};
}

// Rounds a double to float towards the neighbour with an odd mantissa, unless exact. Rounding that to a narrower format gives what rounding
// the double directly would: plain double rounding errs when the first rounding lands on a tie.
float round_to_odd(double value) {
  const float nearest = static_cast<float>(value);
  if (!std::isfinite(nearest) && std::isfinite(value)) return nearest;  // overflows the narrower format anyway
  if (std::isnan(value) || static_cast<double>(nearest) == value) return nearest;
  std::uint32_t bits = std::bit_cast<std::uint32_t>(nearest);
  if ((bits & 1u) == 0) bits += std::abs(static_cast<double>(nearest)) > std::abs(value) ? UINT32_MAX : 1u;
  return std::bit_cast<float>(bits);
}

// An integer as a double from which rounding to 16-bit floats is exact: bits beyond a double's 53 are folded into a sticky bit.
template <class Integer>
double sticky_double(Integer value) {
  const bool negative = std::is_signed_v<Integer> && static_cast<std::int64_t>(value) < 0;
  std::uint64_t magnitude = negative ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  if (magnitude >= (std::uint64_t{1} << 53) && (magnitude & 0x7ff) != 0) magnitude = (magnitude & ~std::uint64_t{0x7ff}) | 0x800;
  const double result = static_cast<double>(magnitude);
  return negative ? -result : result;
}

template <class To, class From>
To convert_element(From value) {
  constexpr bool from_16 = std::is_same_v<From, float16> || std::is_same_v<From, bfloat16>;
  constexpr bool to_16 = std::is_same_v<To, float16> || std::is_same_v<To, bfloat16>;
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (from_16) {
    return convert_element<To>(static_cast<float>(value));
  } else if constexpr (to_16) {
    if constexpr (std::is_same_v<From, float>)
      return To(value);
    else if constexpr (std::is_same_v<From, double>)
      return To(round_to_odd(value));
    else
      return To(round_to_odd(sticky_double(value)));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (std::isnan(value)) return 0;
    // 2^digits is exact in every float type, unlike max(), which rounds up to it.
    constexpr int digits = std::numeric_limits<To>::digits;
    if (value >= std::ldexp(From{1}, digits)) return std::numeric_limits<To>::max();
    if (std::is_unsigned_v<To> ? value <= From{0} : value <= -std::ldexp(From{1}, digits)) return std::numeric_limits<To>::min();
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace

namespace detail {

void throw_wrong_count(const Shape& shape, std::size_t given, std::source_location location) {
  throw Error(
      ErrorCode::shape_mismatch,
      "shape " + to_string(shape) + " needs " + std::to_string(shape.size()) + " values, but " + std::to_string(given) + " are given",
      location);
}

void throw_ragged(std::size_t row, std::size_t given, std::size_t expected, std::source_location location) {
  throw Error(ErrorCode::shape_mismatch,
              "nested lists are ragged: row " + std::to_string(row) + " has " + std::to_string(given) + " values, row 0 has " +
                  std::to_string(expected),
              location);
}

void throw_not_one_element(const Shape& shape, std::source_location location) {
  throw Error(ErrorCode::shape_mismatch, "item() needs an array with exactly one element, but the shape is " + to_string(shape), location,
              "use at<T>({i, j}) for one element, or data<T>() for all of them");
}

}  // namespace detail

Array::Array() = default;

Array::Array(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)), size_(shape_.size()) {
  Block block = allocate(dtype_, shape_, size_);
  owner_ = std::move(block.owner);
  data_ = block.data;
}

Array::Array(const ArrayView& view) : Array(view.dtype(), view.shape()) {
  if (size_ > 0) std::memcpy(const_cast<void*>(data_), view.raw(), bytes());
}

Array Array::zeros(DType dtype, Shape shape) {
  Array result(dtype, std::move(shape));
  if (result.size_ > 0) std::memset(result.mutable_raw(), 0, result.bytes());
  return result;
}

Array Array::full(DType dtype, Shape shape, double value) {
  Array result(dtype, std::move(shape));
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    const T element = convert_element<T>(value);
    for (T& out : result.mutable_data<T>()) out = element;
  });
  return result;
}

Array Array::adopt(DType dtype, Shape shape, const void* data, std::shared_ptr<const void> owner) {
  Array result;
  result.dtype_ = dtype;
  result.shape_ = std::move(shape);
  result.size_ = result.shape_.size();
  result.data_ = data;
  result.owner_ = std::move(owner);
  result.writable_ = false;
  return result;
}

bool Array::unshared() const {
  if (!writable_ || owner_ == nullptr) return false;
  // Copying and dropping the owner makes this thread acquire what other threads did before they dropped theirs; a plain use_count() would
  // not.
  std::shared_ptr<const void> probe = owner_;
  return probe.use_count() == 2;
}

void* Array::mutable_raw() {
  if (size_ == 0) return const_cast<void*>(data_);
  if (!unshared()) {
    Block block = allocate(dtype_, shape_, size_);
    std::memcpy(block.data, data_, bytes());
    owner_ = std::move(block.owner);
    data_ = block.data;
    writable_ = true;
  }
  return const_cast<void*>(data_);
}

void detail::check_element(DType wanted, DType dtype, const Shape& shape, std::source_location location) {
  if (wanted == dtype) return;
  throw Error(
      ErrorCode::dtype_mismatch,
      "elements are read as " + std::string(name_of(wanted)) + ", but the array is " + std::string(name_of(dtype)) + to_string(shape),
      location, "use the C++ type of " + std::string(name_of(dtype)) + ", or convert(" + std::string(name_of(wanted)) + ") first");
}

std::int64_t Array::checked_offset(std::span<const std::int64_t> index, std::source_location location) const {
  bool valid = index.size() == shape_.rank();
  std::int64_t offset = 0;
  for (std::size_t i = 0; valid && i < index.size(); ++i) {
    valid = index[i] >= 0 && index[i] < shape_[i];
    offset = offset * shape_[i] + index[i];
  }
  if (!valid)
    throw Error(ErrorCode::invalid_argument, "index " + to_string(Shape(index)) + " is outside of an array of shape " + to_string(shape_),
                location);
  return offset;
}

Array Array::reshape(Shape shape, std::source_location location) const {
  if (shape.size() != size_)
    throw Error(ErrorCode::shape_mismatch,
                "an array of shape " + to_string(shape_) + " (" + std::to_string(size_) + " elements) cannot be reshaped to " +
                    to_string(shape) + " (" + std::to_string(shape.size()) + " elements)",
                location);
  Array result = *this;
  result.shape_ = std::move(shape);
  return result;
}

Array Array::convert(DType dtype) const {
  if (dtype == dtype_) return *this;
  Array result(dtype, shape_);
  visit_dtype(dtype_, [&](auto from_tag) {
    using From = decltype(from_tag);
    visit_dtype(dtype, [&](auto to_tag) {
      using To = decltype(to_tag);
      const From* source = static_cast<const From*>(data_);
      To* target = static_cast<To*>(result.mutable_raw());
      for (std::int64_t i = 0; i < size_; ++i) target[i] = convert_element<To>(source[i]);
    });
  });
  return result;
}

bool identical(const ArrayView& a, const ArrayView& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  return a.size() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

double element_as_double(const ArrayView& array, std::int64_t index) {
  return visit_dtype(array.dtype(),
                     [&](auto tag) { return convert_element<double>(static_cast<const decltype(tag)*>(array.raw())[index]); });
}

std::int64_t element_as_int(const ArrayView& array, std::int64_t index) {
  return visit_dtype(array.dtype(),
                     [&](auto tag) { return convert_element<std::int64_t>(static_cast<const decltype(tag)*>(array.raw())[index]); });
}

}  // namespace kiln

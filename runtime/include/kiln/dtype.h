// Element types of arrays and tensors, and how C++ types map to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>

namespace kiln {

/// Element type of an array or tensor. The order is part of the binary interface of compiled objects.
enum class DType : std::uint8_t { boolean, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64 };

inline constexpr int dtype_count = 13;

/// Short names, to be written as in `graph.placeholder("x", f32, {batch, 1000})`. bool is a C++ keyword, hence `boolean`.
inline constexpr DType boolean = DType::boolean;
inline constexpr DType i8 = DType::i8;
inline constexpr DType i16 = DType::i16;
inline constexpr DType i32 = DType::i32;
inline constexpr DType i64 = DType::i64;
inline constexpr DType u8 = DType::u8;
inline constexpr DType u16 = DType::u16;
inline constexpr DType u32 = DType::u32;
inline constexpr DType u64 = DType::u64;
inline constexpr DType f16 = DType::f16;
inline constexpr DType bf16 = DType::bf16;
inline constexpr DType f32 = DType::f32;
inline constexpr DType f64 = DType::f64;

/// Bytes of one element; bool takes one byte that is 0 or 1.
constexpr std::size_t size_of(DType dtype) {
  constexpr std::uint8_t sizes[dtype_count] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8};
  return sizes[static_cast<std::size_t>(dtype)];
}

/// The name used in text everywhere: "bool", "i8" ... "f64".
constexpr std::string_view name_of(DType dtype) {
  constexpr std::string_view names[dtype_count] = {"bool", "i8",  "i16", "i32",  "i64", "u8", "u16",
                                                   "u32",  "u64", "f16", "bf16", "f32", "f64"};
  return names[static_cast<std::size_t>(dtype)];
}

/// The dtype with this name, or nothing.
constexpr std::optional<DType> dtype_from_name(std::string_view name) {
  for (int i = 0; i < dtype_count; ++i)
    if (name_of(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  return std::nullopt;
}

constexpr bool is_floating(DType dtype) { return dtype >= DType::f16; }
constexpr bool is_integer(DType dtype) { return dtype >= DType::i8 && dtype <= DType::u64; }
constexpr bool is_signed_integer(DType dtype) { return dtype >= DType::i8 && dtype <= DType::i64; }
constexpr bool is_unsigned_integer(DType dtype) { return dtype >= DType::u8 && dtype <= DType::u64; }

/// Storage of an IEEE half; converts to and from float with round to nearest even.
struct float16 {
  std::uint16_t bits = 0;
  float16() = default;
  explicit float16(float value);
  explicit operator float() const;
};

/// Storage of a bfloat16 (the upper half of a float); converts with round to nearest even, NaN stays NaN.
struct bfloat16 {
  std::uint16_t bits = 0;
  bfloat16() = default;
  explicit bfloat16(float value);
  explicit operator float() const;
};

namespace detail {
template <class T>
constexpr std::optional<DType> dtype_of_type() {
  if constexpr (std::is_same_v<T, bool>) return DType::boolean;
  else if constexpr (std::is_same_v<T, float>) return DType::f32;
  else if constexpr (std::is_same_v<T, double>) return DType::f64;
  else if constexpr (std::is_same_v<T, float16>) return DType::f16;
  else if constexpr (std::is_same_v<T, bfloat16>) return DType::bf16;
  else if constexpr (std::is_integral_v<T> && sizeof(T) <= 8) {
    constexpr int log2 = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return static_cast<DType>((std::is_signed_v<T> ? 1 : 5) + log2);
  } else return std::nullopt;
}
}  // namespace detail

/// True for the C++ types that have a dtype: bool, the integers, float, double, float16, bfloat16.
template <class T>
concept Element = detail::dtype_of_type<T>().has_value();

/// The dtype of a C++ element type: `dtype_of<float>() == f32`.
template <Element T>
constexpr DType dtype_of() {
  return *detail::dtype_of_type<T>();
}

/// Calls `function` with a value-initialised object of the C++ type that stores `dtype`: the one switch over dtypes.
template <class Function>
decltype(auto) visit_dtype(DType dtype, Function&& function) {
  switch (dtype) {
    case DType::boolean: return function(bool{});
    case DType::i8: return function(std::int8_t{});
    case DType::i16: return function(std::int16_t{});
    case DType::i32: return function(std::int32_t{});
    case DType::i64: return function(std::int64_t{});
    case DType::u8: return function(std::uint8_t{});
    case DType::u16: return function(std::uint16_t{});
    case DType::u32: return function(std::uint32_t{});
    case DType::u64: return function(std::uint64_t{});
    case DType::f16: return function(float16{});
    case DType::bf16: return function(bfloat16{});
    case DType::f32: return function(float{});
    case DType::f64: break;
  }
  return function(double{});
}

}  // namespace kiln

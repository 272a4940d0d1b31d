// Text of numbers and literal arrays (ir/literal_text.h).
//
// Floating numbers print with the fewest digits that read back to the same bits. NaN is written `nan` or `-nan` for the quiet NaN without
// payload, and nan(0x...) with all its bits otherwise.
#include "ir/literal_text.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

namespace kiln::ir {

namespace {

template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint16_t>>;

template <class T>
constexpr BitsOf<T> quiet_nan() {
  if constexpr (std::is_same_v<T, double>)
    return 0x7FF8000000000000;
  else if constexpr (std::is_same_v<T, float>)
    return 0x7FC00000;
  else if constexpr (std::is_same_v<T, float16>)
    return 0x7E00;
  else
    return 0x7FC0;  // bfloat16
}

template <class T>
constexpr BitsOf<T> sign_bit = BitsOf<T>(BitsOf<T>{1} << (8 * sizeof(T) - 1));

/// As text with the fewest digits that read back the same; of 16-bit values also the fewest characters, so that 65504 is no 6.55e+04.
template <class T>
std::string shortest(T value) {
  std::array<char, 64> buffer;
  char *const begin = buffer.data(), *const end = begin + buffer.size();
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
    return std::string(begin, std::to_chars(begin, end, value).ptr);
  } else {
    const float wide = static_cast<float>(value);
    const std::string exact = shortest(wide);
    for (int digits = 1; digits < 9; ++digits) {
      char* const last = std::to_chars(begin, end, wide, std::chars_format::general, digits).ptr;
      float back = 0;
      std::from_chars(begin, last, back);
      if (T(back).bits != value.bits) continue;
      return last - begin < static_cast<std::ptrdiff_t>(exact.size()) ? std::string(begin, last) : exact;
    }
    return exact;
  }
}

template <class T>
void print_floating(T value, std::string& out) {
  const auto bits = std::bit_cast<BitsOf<T>>(value);
  const double wide = [&] {
    if constexpr (std::is_same_v<T, double>)
      return value;
    else
      return static_cast<double>(static_cast<float>(value));
  }();
  if (std::isnan(wide)) {
    if (bits == quiet_nan<T>())
      out += "nan";
    else if (bits == (quiet_nan<T>() | sign_bit<T>))
      out += "-nan";
    else
      out += fmt::format("nan(0x{:x})", bits);
    return;
  }
  out += shortest(value);
}

template <class T>
T parse_floating(TextScanner& scanner) {
  const std::size_t start = scanner.position();
  const bool negative = scanner.accept("-nan");
  if (negative || scanner.accept("nan")) {
    auto bits = static_cast<BitsOf<T>>(quiet_nan<T>() | (negative ? sign_bit<T> : 0));
    if (!negative && scanner.accept("(")) {
      const std::uint64_t given = scanner.hexadecimal("the bits of a NaN");
      bits = static_cast<BitsOf<T>>(given);
      constexpr auto infinity = quiet_nan<T>() & (quiet_nan<T>() << 1);  // without the quiet bit, which is the lowest one set
      const bool is_nan = (bits & ~sign_bit<T>) > infinity;
      if (given != bits || !is_nan) scanner.fail_at(start, "these are not the bits of a NaN of this dtype");
      scanner.expect(")");
    }
    return std::bit_cast<T>(bits);
  }
  return T(scanner.literal(dtype_of<T>()).number);
}

template <class T>
void print_element(T value, std::string& out) {
  if constexpr (std::is_same_v<T, bool>) {
    out += value ? "true" : "false";
  } else if constexpr (std::is_integral_v<T>) {
    std::array<char, 24> buffer;
    out.append(buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr);
  } else {
    print_floating(value, out);
  }
}

template <class T>
T parse_element(TextScanner& scanner) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(scanner.literal(dtype_of<T>()).integer);
  else
    return parse_floating<T>(scanner);
}

/// For each axis, the number of elements in one list of that level: a list opens or closes at its multiples.
std::vector<std::int64_t> list_sizes(const Shape& shape) {
  std::vector<std::int64_t> sizes(shape.rank(), 1);
  std::int64_t size = 1;
  for (std::size_t d = shape.rank(); d-- > 0;) sizes[d] = size *= shape[d];
  return sizes;
}

}  // namespace

void print_number(double value, std::string& out) {
  const std::size_t start = out.size();
  print_floating(value, out);
  if (out.find_first_not_of("-0123456789", start) == std::string::npos) out += ".0";
}

double parse_number(TextScanner& scanner) { return parse_floating<double>(scanner); }

void print_elements(const Array& array, std::string& out) {
  if (array.size() == 0) {
    out += "{}";
    return;
  }
  const std::vector<std::int64_t> lists = list_sizes(array.shape());
  visit_dtype(array.dtype(), [&]<class T>(T) {
    const T* elements = static_cast<const T*>(array.raw());
    for (std::int64_t i = 0; i < array.size(); ++i) {
      if (i > 0) out += ", ";
      for (const std::int64_t list : lists)
        if (i % list == 0) out += '{';
      print_element(elements[i], out);
      for (const std::int64_t list : lists)
        if ((i + 1) % list == 0) out += '}';
    }
  });
}

Array parse_elements(TextScanner& scanner, DType dtype, const Shape& shape, std::size_t text_size) {
  const std::size_t start = scanner.position();
  std::int64_t size = 0;
  try {
    size = shape.size();
  } catch (const Error& error) {
    scanner.fail_at(start, error.message());
  }
  if (size > 0 && static_cast<std::uint64_t>(size) > text_size)
    scanner.fail("the literal has fewer elements than its shape " + to_string(shape));
  Array array(dtype, shape);
  if (size == 0) {
    scanner.expect("{");
    scanner.expect("}");
    return array;
  }
  const std::vector<std::int64_t> lists = list_sizes(shape);
  visit_dtype(dtype, [&]<class T>(T) {
    T* elements = static_cast<T*>(array.mutable_raw());
    for (std::int64_t i = 0; i < size; ++i) {
      if (i > 0) scanner.expect(",");
      for (const std::int64_t list : lists)
        if (i % list == 0) scanner.expect("{");
      elements[i] = parse_element<T>(scanner);
      for (const std::int64_t list : lists)
        if ((i + 1) % list == 0) scanner.expect("}");
    }
  });
  return array;
}

std::string content_hash(const Array& array) {
  // Two multiplicative hashes over 8-byte words with different constants; the words beyond the end count as zeros, and the size is hashed
  // too.
  std::uint64_t a = 0x243F6A8885A308D3, b = 0x13198A2E03707344;
  const auto mix = [&](std::uint64_t word) {
    a = std::rotl((a ^ word) * 0x9E3779B97F4A7C15, 29);
    b = std::rotl((b + word) * 0xC2B2AE3D27D4EB4F, 31) ^ a;
  };
  mix(static_cast<std::uint64_t>(array.dtype()));
  mix(array.shape().rank());
  for (const std::int64_t extent : array.shape()) mix(static_cast<std::uint64_t>(extent));
  const auto* bytes = static_cast<const unsigned char*>(array.raw());
  for (std::size_t i = 0; i < array.bytes(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + i, std::min<std::size_t>(8, array.bytes() - i));
    mix(word);
  }
  mix(array.bytes());
  return fmt::format("{:016x}{:016x}", a, b);
}

}  // namespace kiln::ir

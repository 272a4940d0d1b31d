// The 16-bit floats, against a definition by search: the nearest representable value, ties to even.
#include "kiln/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace kiln {
namespace {

static_assert(dtype_of<std::int8_t>() == i8 && dtype_of<long long>() == i64 && dtype_of<unsigned long>() == u64);
static_assert(dtype_from_name("bool") == boolean && dtype_from_name("f80") == std::nullopt);

// Value of half bits by the formula.
double half_value(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const double mantissa = bits & 1023;
  const double magnitude = exponent == 0 ? mantissa * 0x1p-24 : std::ldexp(1024 + mantissa, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(Float16, EveryValueHasItsMeaningAndComesBack) {
  for (std::uint32_t b = 0; b < 65536; ++b) {
    float16 half;
    half.bits = static_cast<std::uint16_t>(b);
    const float value = static_cast<float>(half);
    if ((b & 0x7fff) > 0x7c00) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_EQ(float16(value).bits, b | 0x200);
      continue;
    }
    if ((b & 0x7fff) < 0x7c00) {
      ASSERT_EQ(static_cast<double>(value), half_value(half.bits)) << b;
    } else {
      ASSERT_TRUE(std::isinf(value));
    }
    ASSERT_EQ(float16(value).bits, b);
  }
}

TEST(Float16, RoundsToNearestEven) {
  for (std::uint32_t b = 0; b < 0x7bff; ++b) {
    const float low = static_cast<float>(half_value(static_cast<std::uint16_t>(b))),
                high = static_cast<float>(half_value(static_cast<std::uint16_t>(b + 1)));
    const float middle = (low + high) / 2;  // exact in f32
    const std::uint32_t even = (b & 1) == 0 ? b : b + 1;
    ASSERT_EQ(float16(middle).bits, even);
    ASSERT_EQ(float16(std::nextafter(middle, 0.f)).bits, b);
    ASSERT_EQ(float16(std::nextafter(middle, 1e9f)).bits, b + 1);
    ASSERT_EQ(float16(-middle).bits, even | 0x8000);
  }
  EXPECT_EQ(float16(65519.99f).bits, 0x7bff);
  EXPECT_EQ(float16(65520.f).bits, 0x7c00);
  EXPECT_EQ(float16(1e30f).bits, 0x7c00);
  EXPECT_EQ(float16(std::numeric_limits<float>::denorm_min()).bits, 0);
}

TEST(BFloat16, EveryValueComesBack) {
  for (std::uint32_t b = 0; b < 65536; ++b) {
    bfloat16 value;
    value.bits = static_cast<std::uint16_t>(b);
    const bool nan = (b & 0x7fff) > 0x7f80;
    ASSERT_EQ(bfloat16(static_cast<float>(value)).bits, nan ? (b | 0x40) : b);
  }
}

TEST(BFloat16, RoundsToNearestEven) {
  const auto rounded = [](std::uint32_t bits) { return bfloat16(std::bit_cast<float>(bits)).bits; };
  EXPECT_EQ(rounded(0x3f808000), 0x3f80);
  EXPECT_EQ(rounded(0x3f818000), 0x3f82);
  EXPECT_EQ(rounded(0x3f808001), 0x3f81);
  EXPECT_EQ(rounded(0x3f807fff), 0x3f80);
  EXPECT_EQ(rounded(0x7f7fffff), 0x7f80);
  EXPECT_EQ(rounded(0x7f800001), 0x7fc0);  // a NaN whose upper half alone would be infinity
}

}  // namespace
}  // namespace kiln

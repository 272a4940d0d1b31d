// The two 16-bit float formats.
#include "kiln/dtype.h"

#include <bit>

namespace kiln {

// Adding a suitably scaled float lets the adder do the rounding (to nearest, ties to even) at the bit where the half's mantissa ends; the
// same trick serves normal and denormal results, as the scale is clamped to that of the smallest normal half.
float16::float16(float value) {
  const std::uint32_t source = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (source >> 16) & 0x8000u;
  std::uint32_t magnitude = source & 0x7fffffffu;
  std::uint32_t result;
  if (magnitude >= 0x47800000u) {  // 65536 and beyond, infinity, NaN
    result = magnitude > 0x7f800000u ? 0x7e00u | ((magnitude >> 13) & 0x1ffu) : 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // below the smallest normal half, 2^-14
    // 0.5 has an ulp of 2^-24, which is the spacing of denormal halves.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    result = std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u;
  } else {
    const std::uint32_t odd = (magnitude >> 13) & 1u;
    magnitude += 0xc8000fffu + odd;  // rebias the exponent by -112, add just under half an ulp
    result = magnitude >> 13;
  }
  bits = static_cast<std::uint16_t>(sign | result);
}

float16::operator float() const {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  if (magnitude >= 0x0400u) return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
  const float denormal = static_cast<float>(magnitude) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(denormal));
}

bfloat16::bfloat16(float value) {
  const std::uint32_t source = std::bit_cast<std::uint32_t>(value);
  if ((source & 0x7fffffffu) > 0x7f800000u)
    bits = static_cast<std::uint16_t>((source >> 16) | 0x40u);  // stays a NaN, made quiet
  else
    bits = static_cast<std::uint16_t>((source + 0x7fffu + ((source >> 16) & 1u)) >> 16);
}

bfloat16::operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

}  // namespace kiln

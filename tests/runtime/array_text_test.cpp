// Arrays as text.
#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <sstream>

#include "kiln/array.h"

namespace kiln {
namespace {

TEST(ArrayText, ShortArraysStandOnOneLine) {
  EXPECT_EQ(to_string(Array::from({{1.f, 2.f}, {3.f, 4.5f}})), "f32[2, 2] {{1, 2}, {3, 4.5}}");
  EXPECT_EQ(to_string(Array(7)), "i32[] 7");
  EXPECT_EQ(to_string(Array()), "f32[0] {}");
  EXPECT_EQ(to_string(Array(f32, {0, 5})), "f32[0, 5] {}");
  EXPECT_EQ(to_string(Array::from({true, false})), "bool[2] {true, false}");
  EXPECT_EQ(to_string(Array({2}, {std::uint8_t{65}, std::uint8_t{255}})), "u8[2] {65, 255}");
  std::ostringstream out;
  out << Array::from({1, 2});
  EXPECT_EQ(out.str(), "i32[2] {1, 2}");
}

TEST(ArrayText, NumbersReadBack) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(to_string(Array::from({0.1f, -0.f, 1e-40f, inf, -inf})), "f32[5] {0.1, -0, 1e-40, inf, -inf}");
  EXPECT_EQ(to_string(Array(0.1)), "f64[] 0.1");
  EXPECT_EQ(to_string(Array(1.0 / 3)), "f64[] 0.3333333333333333");
  EXPECT_EQ(to_string(Array(float16(0.1f))), "f16[] 0.1");
  EXPECT_EQ(to_string(Array(bfloat16(3.14159f))), "bf16[] 3.14");
  EXPECT_EQ(to_string(Array(float16(inf))), "f16[] inf");
}

TEST(ArrayText, LongerArraysStandInLines) {
  std::vector<int> values(60);
  std::iota(values.begin(), values.end(), 100);
  EXPECT_EQ(to_string(Array({2, 3, 10}, values)),
            "i32[2, 3, 10]\n"
            "{{{100, 101, 102, 103, 104, 105, 106, 107, 108, 109},\n"
            "  {110, 111, 112, 113, 114, 115, 116, 117, 118, 119},\n"
            "  {120, 121, 122, 123, 124, 125, 126, 127, 128, 129}},\n"
            " {{130, 131, 132, 133, 134, 135, 136, 137, 138, 139},\n"
            "  {140, 141, 142, 143, 144, 145, 146, 147, 148, 149},\n"
            "  {150, 151, 152, 153, 154, 155, 156, 157, 158, 159}}}");
}

TEST(ArrayText, LargeArraysAreShortened) {
  std::vector<int> values(5000);
  std::iota(values.begin(), values.end(), 0);
  EXPECT_EQ(to_string(Array({5000}, values)), "i32[5000] {0, 1, 2, ..., 4997, 4998, 4999}");
  EXPECT_EQ(to_string(Array({1000, 5}, values)),
            "i32[1000, 5]\n"
            "{{0, 1, 2, 3, 4},\n"
            " {5, 6, 7, 8, 9},\n"
            " {10, 11, 12, 13, 14},\n"
            " ...,\n"
            " {4985, 4986, 4987, 4988, 4989},\n"
            " {4990, 4991, 4992, 4993, 4994},\n"
            " {4995, 4996, 4997, 4998, 4999}}");
}

}  // namespace
}  // namespace kiln

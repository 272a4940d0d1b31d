// Array: construction, sharing, access, conversion.
#include "kiln/array.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "temporary.h"

// Sanitizers end the program at an impossible allocation, unless told to fail as the system does.
extern "C" __attribute__((no_sanitize("address", "thread", "undefined"))) const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}
extern "C" __attribute__((no_sanitize("address", "thread", "undefined"))) const char* __tsan_default_options() {
  return "allocator_may_return_null=1";
}

namespace kiln {
namespace {

using testing::error_of;

TEST(Array, ConstructsFromValues) {
  const Array a({2, 3}, std::vector<double>{1, 2, 3, 4, 5, 6});
  EXPECT_EQ(a.dtype(), f64);
  EXPECT_EQ(a.shape(), (Shape{2, 3}));
  EXPECT_EQ(a.bytes(), 48u);
  EXPECT_EQ(a.at<double>({1, 2}), 6);
  EXPECT_EQ(Array::from({{1, 2}, {3, 4}}).at<int>({1, 0}), 3);
  EXPECT_EQ(Array::from({1.f, 2.f}).shape(), (Shape{2}));
  EXPECT_EQ(Array({3}, std::vector<bool>{true, false, true}).data<bool>()[2], true);
  EXPECT_EQ(Array(2.5f).item<float>(), 2.5f);
  EXPECT_EQ(Array(2.5f).shape().rank(), 0u);
}

TEST(Array, DefaultIsEmpty) {
  Array a;
  EXPECT_EQ(a.dtype(), f32);
  EXPECT_EQ(a.size(), 0);
  EXPECT_EQ(a.bytes(), 0u);
  EXPECT_TRUE(a.mutable_data<float>().empty());
}

TEST(Array, MemoryIsAligned) {
  for (std::int64_t n : {0, 1, 3, 17, 1000}) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(Array(u8, {n}).raw()) % 64, 0u);
}

// clang-format off: the lines are part of the expected texts.
#line 1 "user.cpp"
const auto three_values = [] { Array({2, 2}, std::vector<float>{1, 2, 3}); };
const auto ragged = [] { Array::from({{1, 2}, {3}}); };
const auto item_of_two = [] { Array::zeros(f32, {2}).item<float>(); };
const auto beyond = [] { Array::zeros(f32, {2}).at<float>({2}); };
const auto two_indices = [] { Array::zeros(f32, {2}).at<float>({0, 0}); };
const auto other_type = [] { Array::zeros(f32, {2}).data<double>(); };
const auto other_size = [] { Array::zeros(f32, {2}).reshape({3}); };
#line 59 "array_test.cpp"
// clang-format on

TEST(Array, MistakesAreErrorsAtTheUsersLine) {
  EXPECT_EQ(error_of(ErrorCode::shape_mismatch, three_values), "user.cpp:1: error: shape [2, 2] needs 4 values, but 3 are given");
  EXPECT_EQ(error_of(ErrorCode::shape_mismatch, ragged), "user.cpp:2: error: nested lists are ragged: row 1 has 1 values, row 0 has 2");
  EXPECT_EQ(error_of(ErrorCode::shape_mismatch, item_of_two),
            "user.cpp:3: error: item() needs an array with exactly one element, but the shape is [2]\n"
            "  hint: use at<T>({i, j}) for one element, or data<T>() for all of them");
  EXPECT_EQ(error_of(ErrorCode::invalid_argument, beyond), "user.cpp:4: error: index [2] is outside of an array of shape [2]");
  EXPECT_EQ(error_of(ErrorCode::invalid_argument, two_indices), "user.cpp:5: error: index [0, 0] is outside of an array of shape [2]");
  EXPECT_EQ(error_of(ErrorCode::dtype_mismatch, other_type),
            "user.cpp:6: error: elements are read as f64, but the array is f32[2]\n  hint: use the C++ type of f32, or convert(f64) first");
  EXPECT_EQ(error_of(ErrorCode::shape_mismatch, other_size),
            "user.cpp:7: error: an array of shape [2] (2 elements) cannot be reshaped to [3] (3 elements)");
}

TEST(Array, HugeShapesAreErrors) {
  error_of(ErrorCode::out_of_memory, [] { Array(f32, {std::int64_t{1} << 40, std::int64_t{1} << 40}); });
  error_of(ErrorCode::out_of_memory, [] { Array(f64, {std::int64_t{1} << 61}); });
  error_of(ErrorCode::out_of_memory, [] { Array(u8, {std::int64_t{1} << 62}); });
  error_of(ErrorCode::invalid_argument, [] { Array(f32, {2, -1}); });
  EXPECT_EQ(Array(f32, {std::int64_t{1} << 40, std::int64_t{1} << 40, 0}).size(), 0);
}

TEST(Array, CopiesShareUntilWritten) {
  Array a = Array::from({1, 2, 3});
  EXPECT_TRUE(a.unshared());
  Array b = a;
  EXPECT_EQ(a.raw(), b.raw());
  EXPECT_FALSE(a.unshared());
  b.mutable_data<int>()[0] = 9;
  EXPECT_EQ(a.at<int>({0}), 1);
  EXPECT_EQ(b.at<int>({0}), 9);
  EXPECT_TRUE(a.unshared());
  const void* before = a.raw();
  a.mutable_data<int>()[0] = 5;
  EXPECT_EQ(a.raw(), before);
}

TEST(Array, AdoptedMemoryIsNeverWritten) {
  const auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2});
  Array a = Array::adopt(f32, {2}, owner->data(), owner);
  EXPECT_EQ(a.raw(), owner->data());
  EXPECT_FALSE(a.unshared());
  a.mutable_data<float>()[0] = 7;
  EXPECT_EQ((*owner)[0], 1);
  EXPECT_EQ(a.at<float>({0}), 7);
  EXPECT_EQ(a.at<float>({1}), 2);
  EXPECT_EQ(owner.use_count(), 1);
}

TEST(Array, ReshapeShares) {
  const Array a = Array::from({{1, 2, 3}, {4, 5, 6}});
  const Array b = a.reshape({3, 2});
  EXPECT_EQ(b.raw(), a.raw());
  EXPECT_EQ(b.at<int>({2, 1}), 6);
}

TEST(Array, ViewsCopyIntoArrays) {
  const float values[] = {1, 2, 3};
  const Array a(ArrayView(f32, {3}, values));
  EXPECT_NE(a.raw(), static_cast<const void*>(values));
  EXPECT_TRUE(identical(a, Array::from({1.f, 2.f, 3.f})));
}

TEST(Array, IdenticalComparesBits) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(identical(Array(nan), Array(nan)));
  EXPECT_FALSE(identical(Array(0.f), Array(-0.f)));
  EXPECT_FALSE(identical(Array::from({1, 2}), Array::from({{1, 2}})));
  EXPECT_FALSE(identical(Array(1), Array(1u)));
}

TEST(Array, FloatToIntegerSaturates) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const Array source = Array::from({1.9, -1.9, 300.0, -300.0, 1e30, -1e30, inf, -inf, nan, 9223372036854775807.0});
  const auto check = [&]<class T>(T, std::vector<T> expected) {
    EXPECT_TRUE(identical(source.convert(dtype_of<T>()), Array({10}, expected))) << to_string(source.convert(dtype_of<T>()));
  };
  check(std::int8_t{}, {1, -1, 127, -128, 127, -128, 127, -128, 0, 127});
  check(std::uint8_t{}, {1, 0, 255, 0, 255, 0, 255, 0, 0, 255});
  check(std::int64_t{}, {1, -1, 300, -300, INT64_MAX, INT64_MIN, INT64_MAX, INT64_MIN, 0, INT64_MAX});
  check(std::uint64_t{}, {1, 0, 300, 0, UINT64_MAX, 0, UINT64_MAX, 0, 0, std::uint64_t{1} << 63});
  check(bool{}, {true, true, true, true, true, true, true, true, true, true});
}

TEST(Array, IntegersWrapAndRound) {
  EXPECT_EQ(Array(300).convert(u8).item<std::uint8_t>(), 44);
  EXPECT_EQ(Array(-1).convert(u64).item<std::uint64_t>(), UINT64_MAX);
  EXPECT_EQ(Array(true).convert(f32).item<float>(), 1.f);
  EXPECT_EQ(Array(16777217).convert(f32).item<float>(), 16777216.f);
  EXPECT_EQ(Array::full(i32, {2}, -3.7).at<int>({1}), -3);
}

TEST(Array, ConversionToHalvesRoundsOnce) {
  // Just above the tie between two halves: rounding to float first would land on the tie and then round down to even.
  const double above_tie = 1.0 + 0x1p-11 + 0x1p-40;
  EXPECT_EQ(Array(above_tie).convert(f16).item<float16>().bits, 0x3c01);
  EXPECT_EQ(Array(1.0 + 0x1p-11).convert(f16).item<float16>().bits, 0x3c00);
  const double above_bf16_tie = 1.0 + 0x1p-8 + 0x1p-40;
  EXPECT_EQ(Array(above_bf16_tie).convert(bf16).item<bfloat16>().bits, 0x3f81);
  const std::int64_t integer = (std::int64_t{1} << 62) + (std::int64_t{1} << 54) + 1;  // a tie of bf16, plus 1
  EXPECT_EQ(Array(integer).convert(bf16).item<bfloat16>().bits, 0x5e81);
  EXPECT_EQ(Array(integer - 1).convert(bf16).item<bfloat16>().bits, 0x5e80);
  EXPECT_EQ(Array(1e300).convert(f16).item<float16>().bits, 0x7c00);
  EXPECT_EQ(Array(-1e-300).convert(f16).item<float16>().bits, 0x8000);
}

TEST(Array, ElementsAsNumbers) {
  const Array a = Array::from({1.5, 2.5});
  EXPECT_EQ(element_as_double(a, 1), 2.5);
  EXPECT_EQ(element_as_int(a, 1), 2);
  EXPECT_EQ(element_as_double(Array(UINT64_MAX), 0), 18446744073709551615.0);
}

TEST(Shape, KeepsManyExtents) {
  Shape a({1, 2, 3, 4, 5, 6, 7, 8});
  Shape b = a;
  EXPECT_EQ(a, b);
  b[7] = 9;
  EXPECT_NE(a, b);
  const Shape c = std::move(b);
  EXPECT_EQ(c[7], 9);
  EXPECT_EQ(b.rank(), 0u);  // NOLINT: a moved-from shape is a scalar's
  b = a;
  EXPECT_EQ(b, a);
  a = Shape{5};
  EXPECT_EQ(to_string(a), "[5]");
  EXPECT_EQ(b.size(), 40320);
  EXPECT_EQ(to_string(Shape{}), "[]");
}

TEST(Shape, StridesAreRowMajor) {
  EXPECT_EQ((Shape{2, 3, 4}.strides()), (std::vector<std::int64_t>{12, 4, 1}));
  EXPECT_TRUE(Shape{}.strides().empty());
}

TEST(Error, HasLocationAndHint) {
  const Error error(ErrorCode::io, "no disk", Location::interned("train.cpp", 12), "buy one");
  EXPECT_STREQ(error.what(), "train.cpp:12: error: no disk\n  hint: buy one");
  EXPECT_EQ(error.message(), "no disk");
  EXPECT_EQ(error.hint(), "buy one");
  EXPECT_EQ(error.where().line, 12u);
  EXPECT_EQ(to_string(Location{}), "unknown location");
  EXPECT_EQ(Location::interned("train.cpp", 1).file, Location::interned(std::string("train") + ".cpp", 2).file);
}

}  // namespace
}  // namespace kiln

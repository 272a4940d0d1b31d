// Sort kernels against std::stable_sort: both ways (counting, radix), all dtypes, ties, several keys, strided rows, prologues.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "ir/interpreter.h"
#include "support.h"

namespace kiln::test {
namespace {

/// Few distinct values, so that most elements have equals.
constexpr CheckOptions ties{.tolerance = 0, .low = -3, .high = 4};

std::string argsort(const std::string& type, const std::string& attributes, const std::string& shape) {
  return fmt::format("graph @main(%x: {0}{2}) -> (%y) {{\n  %y = argsort %x {{{1}}} : i64{2}\n}}\n", type, attributes, shape);
}

TEST(SortSchedule, Lengths) {
  for (const int n : {0, 1, 2, 3, 47, 48, 49, 64, 257, 1000}) {
    check(argsort("f32", "dimension = 0", fmt::format("[{}]", n)));
    check(argsort("i32", "descending = true, dimension = 1", fmt::format("[3, {}]", n)), {}, ties);
  }
}

TEST(SortSchedule, DTypes) {
  for (const char* type : {"bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f16", "bf16", "f32", "f64"}) {
    const bool has_sign = type[0] != 'u' && type[0] != 'b';
    const CheckOptions options{.tolerance = 0, .low = has_sign ? -60.0 : 0.0, .high = 60};
    for (const char* shape : {"[5, 7]", "[2, 150]"}) {
      check(argsort(type, "dimension = 1", shape), {}, options);
      check(argsort(type, "descending = true, dimension = 1", shape), {}, options);
    }
  }
}

TEST(SortSchedule, StridedRows) {
  check(argsort("f32", "dimension = 0", "[60, 3]"), {}, ties);
  check(argsort("f32", "dimension = 0", "[9, 3]"), {}, ties);
  check(argsort("i16", "dimension = 1", "[2, 50, 3]"), {}, ties);
  check(argsort("u8", "dimension = 1", "[2, 50, 3]"), {}, CheckOptions{.tolerance = 0, .low = 0, .high = 255});
}

TEST(SortSchedule, SymbolicLengths) {
  for (const std::int64_t n : {0, 1, 5, 48, 49, 100})
    for (const char* dimension : {"0", "1"}) check(argsort("f32", std::string("dimension = ") + dimension, "[n, 4]"), {{"n", n}}, ties);
}

TEST(SortSchedule, SeveralKeys) {
  for (const int n : {7, 200})
    for (const char* order : {"", "descending = true, "}) {
      const std::string text = fmt::format(
          "graph @main(%a: i8[2, {0}], %b: f32[2, {0}], %c: i8[2, {0}]) -> (%y) {{\n"
          "  %y = argsort %a, %b, %c {{{1}dimension = 1}} : i64[2, {0}]\n}}\n",
          n, order);
      check(text, {}, CheckOptions{.tolerance = 0, .low = 0, .high = 3});
    }
}

TEST(SortSchedule, PrologueIsComputedOnce) {
  for (const int n : {6, 90}) {
    check(
        fmt::format("graph @main(%x: f32[3, {0}], %b: f32[{0}]) -> (%y) {{\n"
                    "  %s = broadcast_in_dim %b {{dims = dims [3, {0}], positions = [1]}} : f32[3, {0}]\n"
                    "  %d = subtract %x, %s : f32[3, {0}]\n"
                    "  %a = abs %d : f32[3, {0}]\n"
                    "  %y = argsort %a {{dimension = 1}} : i64[3, {0}]\n}}\n",
                    n));
  }
}

TEST(SortSchedule, NaNAndZeros) {
  const ir::Module module = ir::parse(argsort("f32", "dimension = 0", "[60]"));
  const ir::Module small = ir::parse(argsort("f32", "dimension = 0", "[12]"));
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> twelve = {nan, 0.0F, -0.0F, -infinity, -nan, 1e-45F, infinity, -1e-45F, -0.0F, 3.0F, 0.0F, -3.0F};
  const std::vector<std::int64_t> expected = {3, 11, 7, 1, 2, 8, 10, 5, 9, 6, 0, 4};
  const Array few({12}, twelve);
  const std::vector<Array> placed = run(passes::lower_kernel(small, small.main, v4()), small, {few}, {});
  EXPECT_EQ(std::vector<std::int64_t>(placed[0].data<std::int64_t>().begin(), placed[0].data<std::int64_t>().end()), expected);
  std::vector<float> many;
  for (int i = 0; i < 5; ++i) many.insert(many.end(), twelve.begin(), twelve.end());
  const Array values({60}, many);
  const Array reference = ir::interpret(module, {values}, {}).results[0];
  const std::vector<Array> sorted = run(passes::lower_kernel(module, module.main, v4()), module, {values}, {});
  for (std::int64_t i = 0; i < 60; ++i) EXPECT_EQ(sorted[0].data<std::int64_t>()[i], reference.data<std::int64_t>()[i]) << i;
}

}  // namespace
}  // namespace kiln::test

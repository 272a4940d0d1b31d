// Fold kernels: windows, running folds, folds of several values. The order of a fold is the reference's, so all bits are equal.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support.h"

namespace kiln::test {
namespace {

TEST(Fold, WindowsOfImages) {
  for (const auto& [n, h, c] : {std::tuple{1, 4, 3}, {2, 7, 16}, {0, 5, 4}, {1, 1, 70}, {3, 6, 33}})
    for (const char* combiner : {"add", "maximum"})
      check(fmt::format(R"(
graph @main(%x: f32[n, h, 9, c]) -> (%y) {{
  %y = reduce_window %x {{combiner = "{}", high = [0, 1, 1, 0], low = [0, 1, 1, 0], strides = [1, 2, 2, 1], window = [1, 3, 3, 1]}} : f32[n, floordiv(h + -1, 2) + 1, 5, c]
}})",
                        combiner),
            {{"n", n}, {"h", h}, {"c", c}});
}

TEST(Fold, WindowsAlongTheInnermostDim) {
  for (const int n : {0, 1, 2, 5, 64, 131, 40000})
    check(R"(
graph @main(%x: f32[n]) -> (%y) {
  %y = reduce_window %x {combiner = "add", high = [1], low = [1], window = [3]} : f32[n]
})",
          {{"n", n}});
}

TEST(Fold, DilatedAndReversedWindows) {
  for (const int n : {0, 1, 2, 9, 40})
    check(R"(
graph @main(%x: f64[n, 5]) -> (%y) {
  %y = reduce_window %x {base_dilation = [2, 1], combiner = "multiply", high = [2, -1], low = [3, -1], window = [3, 2], window_dilation = [2, 1]} : f64[n + max(n + -1, 0) + 1, 2]
})",
          {{"n", n}});
}

TEST(Fold, PositionsAndTheirTranspose) {
  for (const auto& [n, c] : {std::pair{6, 3}, {0, 2}, {17, 40}})
    check(R"(
graph @main(%x: f32[n, c]) -> (%y) {
  %y = window_argument %x {direction = "maximum", high = [1, 0], low = [1, 0], window = [3, 1]} : i64[n, c]
})",
          {{"n", n}, {"c", c}});
  for (const auto& [n, c] : {std::pair{6, 3}, {0, 2}, {17, 40}})
    check(R"(
graph @main(%g: f32[n, c], %at: i64[n, c]) -> (%y) {
  %y = window_select %g, %at {dims = [n, c], high = [1, 0], low = [1, 0], transposed = true, window = [3, 1]} : f32[n, c]
})",
          {{"n", n}, {"c", c}}, {0, -1, 4});
}

TEST(Fold, RunningFoldsOverManySizes) {
  for (const auto& [m, n] : {std::pair{0, 5}, {5, 0}, {1, 1}, {3, 10}, {7, 64}, {40, 100}, {2, 5000}, {300, 65}})
    for (const char* options : {"", ", reverse = true", ", exclusive = true"})
      for (const int dimension : {0, 1})
        check(fmt::format(
                  "graph @main(%x: f32[m, n]) -> (%y) {{\n  %y = cumulative %x {{combiner = \"add\", dimension = {}{}}} : f32[m, n]\n}}",
                  dimension, std::string(options).find("exclusive") != std::string::npos ? ", exclusive = true" : options),
              {{"m", m}, {"n", n}});
}

TEST(Fold, RecurrencesInEveryDtype) {
  for (const char* type : {"f16", "bf16", "f32", "f64", "i8", "u32", "i64"})
    check(fmt::format(
              "graph @main(%a: {0}[m, n], %b: {0}[m, n]) -> (%y) {{\n  %y = linear_recurrence %a, %b {{dimension = 0}} : {0}[m, n]\n}}",
              type),
          {{"m", 6}, {"n", 37}}, {0, -1, 1});
}

TEST(Fold, PositionsOfExtrema) {
  for (const auto& [m, n] : {std::pair{0, 5}, {5, 0}, {1, 1}, {3, 10}, {70, 33}})
    for (const int dimension : {0, 1})
      check(fmt::format(
                "graph @main(%x: i32[m, n]) -> (%y) {{\n  %y = arg_reduce %x {{dimension = {}, direction = \"minimum\"}} : i64[{}]\n}}",
                dimension, dimension == 0 ? "n" : "m"),
            {{"m", m}, {"n", n}}, {0, 0, 4});
}

TEST(Fold, ElementwiseWorkBeforeAndAfter) {
  for (const auto& [m, n] : {std::pair{0, 5}, {9, 0}, {2, 3}, {9, 70}}) {
    check(R"(
graph @main(%x: f32[m, n], %bias: f32[n], %r: f32[m, n]) -> (%y, %z) {
  %zero = constant {value = f32[] 0} : f32[]
  %zeros = broadcast_in_dim %zero {dims = [m, n]} : f32[m, n]
  %relu = maximum %zeros, %x : f32[m, n]
  %w = reduce_window %relu {combiner = "add", high = [1, 0], low = [1, 0], window = [3, 1]} : f32[m, n]
  %b = broadcast_in_dim %bias {dims = [m, n], positions = [1]} : f32[m, n]
  %y = add %w, %b : f32[m, n]
  %z = multiply %y, %r : f32[m, n]
})",
          {{"m", m}, {"n", n}});
    check(R"(
graph @main(%x: f16[m, n], %r: f16[m, n]) -> (%s, %z) {
  %d = multiply %x, %r : f16[m, n]
  %s = cumulative %d {combiner = "add", dimension = 0, reverse = true} : f16[m, n]
  %z = subtract %s, %r : f16[m, n]
})",
          {{"m", m}, {"n", n}});
  }
}

TEST(Fold, NothingIsReadOfAnEmptyTensor) {
  // With n = 0 the windows stand on padding alone, and the interpreter reports any access to the operand.
  for (const int n : {0, 1, 3})
    for (const char* combiner : {"maximum", "add"})
      check(fmt::format(R"(
graph @main(%x: f32[n, 20]) -> (%y) {{
  %y = reduce_window %x {{combiner = "{}", high = [2, 0], low = [2, 0], window = [3, 1]}} : f32[n + 2, 20]
}})",
                        combiner),
            {{"n", n}});
}

TEST(Fold, TwoFoldsInOneKernelAreAnInternalError) {
  const ir::Module module = ir::parse(R"(
graph @main(%x: f32[3, 4]) -> (%r, %s) {
  %r = cumulative %x {combiner = "add", dimension = 0} : f32[3, 4]
  %s = cumulative %x {combiner = "add", dimension = 1} : f32[3, 4]
})");
  EXPECT_THROW(passes::lower_kernel(module, module.main, v4()), InternalError);
}

}  // namespace
}  // namespace kiln::test

// Convolution kernels: windows, dimension numbers, groups, gradients' shapes, epilogues, dtypes. Sums have the reference's order, so the
// tolerance is 0 throughout.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support.h"

namespace kiln::test {
namespace {

/// Dimension numbers: the places of batch and feature among the dims of each tensor, the spatial dims in order.
struct Layout {
  int lhs_batch, lhs_feature, rhs_input, rhs_output, result_batch, result_feature;
};
constexpr Layout channels_first{0, 1, 1, 0, 0, 1};
constexpr Layout channels_last2{0, 3, 2, 3, 0, 3};
constexpr Layout weights_gradient{3, 0, 0, 3, 2, 3};  // NHWC: features are the batch, the batch is summed over

std::string spatial_of(int a, int b, int rank) {
  std::string text;
  for (int d = 0; d < rank; ++d)
    if (d != a && d != b) text += (text.empty() ? "" : ", ") + std::to_string(d);
  return text;
}

std::string numbers(const Layout& l, int rank) {
  return fmt::format(
      "lhs_batch = {}, lhs_feature = {}, lhs_spatial = [{}], rhs_input_feature = {}, rhs_output_feature = {}, rhs_spatial = [{}], "
      "result_batch = {}, result_feature = {}, result_spatial = [{}]",
      l.lhs_batch, l.lhs_feature, spatial_of(l.lhs_batch, l.lhs_feature, rank), l.rhs_input, l.rhs_output,
      spatial_of(l.rhs_input, l.rhs_output, rank), l.result_batch, l.result_feature, spatial_of(l.result_batch, l.result_feature, rank));
}

/// One convolution of f32 operands.
void check_convolution(const std::string& lhs, const std::string& rhs, const std::string& result, const Layout& layout, int rank,
                       const std::string& window, const Symbols& symbols = {}, const char* dtype = "f32") {
  check(fmt::format("graph @main(%x: {0}[{1}], %w: {0}[{2}]) -> (%r) {{\n  %r = convolution %x, %w {{{3}{4}{5}}} : {0}[{6}]\n}}", dtype,
                    lhs, rhs, window, window.empty() ? "" : ", ", numbers(layout, rank), result),
        symbols);
}

TEST(Convolution, ChannelsLast) {
  check_convolution("2, 9, 7, 5", "3, 3, 5, 20", "2, 9, 7, 20", channels_last2, 4, "low = [1, 1], high = [1, 1]");
  check_convolution("1, 16, 15, 40", "3, 3, 40, 33", "1, 14, 13, 33", channels_last2, 4, "");  // K beyond a block, rows that cross it
  check_convolution("3, 9, 8, 3", "3, 2, 3, 16", "3, 5, 4, 16", channels_last2, 4, "strides = [2, 2], low = [1, 0], high = [1, 0]");
  check_convolution("1, 9, 8, 64", "3, 3, 64, 24", "1, 5, 8, 24", channels_last2, 4,
                    "rhs_dilation = [2, 1], low = [0, 1], high = [0, 1]");  // rows of k fill blocks
  check_convolution("1, 5, 4, 3", "3, 3, 3, 17", "1, 11, 9, 17", channels_last2, 4, "low = [2, 2], high = [2, 2], lhs_dilation = [2, 2]");
  check_convolution("2, 6, 6, 4", "2, 3, 4, 5", "2, 2, 3, 5", channels_last2, 4,
                    "low = [-1, 1], high = [-2, -2], window_reversal = [1, 0]");
}

TEST(Convolution, ChannelsFirst) {
  check_convolution("2, 5, 9, 20", "6, 5, 3, 3", "2, 6, 9, 20", channels_first, 4, "low = [1, 1], high = [1, 1]");
  check_convolution("1, 40, 8, 8", "33, 40, 3, 3", "1, 33, 6, 6", channels_first, 4, "");
  check_convolution("2, 3, 17, 33", "16, 3, 7, 7", "2, 16, 9, 17", channels_first, 4, "strides = [2, 2], low = [3, 3], high = [3, 3]");
  check_convolution("2, 5, 7, 16", "4, 5, 1, 1", "2, 4, 7, 16", channels_first, 4, "");
  check_convolution("2, 5, 7, 16", "20, 5, 1, 1", "2, 20, 4, 8", channels_first, 4, "strides = [2, 2]");
}

TEST(Convolution, ManyDimsAndNone) {
  check_convolution("3, 5", "7, 5", "3, 7", channels_first, 2, "");
  check_convolution("2, 3, 40", "5, 3, 4", "2, 5, 39", channels_first, 3, "low = [1], high = [1]");
  check_convolution("1, 1, 40", "1, 1, 4", "1, 1, 37", channels_first, 3, "");
  check_convolution("2, 2, 4, 5, 18", "3, 2, 3, 2, 3", "2, 3, 4, 4, 18", channels_first, 5, "low = [1, 0, 1], high = [1, 0, 1]");
}

TEST(Convolution, Groups) {
  check_convolution("2, 6, 7, 20", "8, 3, 3, 3", "2, 8, 7, 20", channels_first, 4, "low = [1, 1], high = [1, 1], feature_groups = 2");
  check_convolution("2, 7, 6, 8", "3, 3, 4, 34", "2, 5, 4, 34", channels_last2, 4, "feature_groups = 2");
  check_convolution("4, 7, 6, 3", "3, 3, 3, 10", "2, 5, 4, 10", channels_last2, 4, "batch_groups = 2");
  check_convolution("2, 9, 8, 37", "3, 3, 1, 37", "2, 9, 8, 37", channels_last2, 4, "low = [1, 1], high = [1, 1], feature_groups = 37");
  check_convolution("2, 9, 8, 5", "3, 3, 1, 10", "2, 9, 8, 10", channels_last2, 4, "low = [1, 1], high = [1, 1], feature_groups = 5");
  check_convolution("2, 5, 9, 20", "5, 1, 3, 3", "2, 5, 5, 10", channels_first, 4,
                    "strides = [2, 2], low = [1, 1], high = [1, 1], feature_groups = 5");
  check_convolution("2, 5, 9, 20", "5, 1, 3, 3", "2, 5, 9, 20", channels_first, 4, "low = [1, 1], high = [1, 1], feature_groups = 5");
  check_convolution("40, 9, 8, 1", "3, 3, 1, 40", "1, 7, 6, 40", channels_last2, 4, "batch_groups = 40");
}

TEST(Convolution, WindowsAsLongAsTheInput) {
  for (const char* batch : {"1", "3"})
    check_convolution(fmt::format("{}, 8, 9, 20", batch), fmt::format("{}, 8, 9, 17", batch), "3, 3, 20, 17", weights_gradient, 4,
                      "low = [1, 1], high = [1, 1]");
  check_convolution("2, 26, 25, 19", "2, 24, 25, 18", "3, 3, 19, 18", weights_gradient, 4, "high = [0, 2]");  // k in blocks
  check_convolution("1, 35, 35, 3", "1, 33, 35, 5", "3, 3, 3, 5", weights_gradient, 4, "low = [0, 1], high = [0, 1]", {}, "i32");
  check_convolution("2, 9, 9, 4", "2, 5, 5, 6", "3, 3, 4, 6", weights_gradient, 4, "low = [1, 1], high = [1, 1], rhs_dilation = [2, 2]");
}

TEST(Convolution, SymbolicExtents) {
  for (const std::int64_t n : {0, 1, 2, 9}) {
    check_convolution("n, 5, 6, 3", "3, 3, 3, 20", "n, 5, 6, 20", channels_last2, 4, "low = [1, 1], high = [1, 1]", {{"n", n}});
    check_convolution("2, n, m, 3", "3, 3, 3, 20", "2, n, m, 20", channels_last2, 4, "low = [1, 1], high = [1, 1]", {{"n", n}, {"m", 4}});
    check_convolution("2, 3, n, m", "4, 3, 3, 3", "2, 4, floordiv(n - 1, 2) + 1, floordiv(m - 1, 2) + 1", channels_first, 4,
                      "strides = [2, 2], low = [1, 1], high = [1, 1]", {{"n", n}, {"m", 20}});
    check_convolution("2, c, 7, 7", "o, c, 3, 3", "2, o, 5, 5", channels_first, 4, "", {{"c", n}, {"o", 6}});
    check_convolution("n, 5, 6, 20", "n, 5, 6, 17", "3, 3, 20, 17", weights_gradient, 4, "low = [1, 1], high = [1, 1]", {{"n", n}});
  }
}

TEST(Convolution, Dtypes) {
  for (const char* dtype : {"f64", "f16", "bf16", "i8", "u8", "i32", "u64"})
    check_convolution("2, 7, 6, 5", "3, 3, 5, 20", "2, 7, 6, 20", channels_last2, 4, "low = [1, 1], high = [1, 1]", {}, dtype);
  check(fmt::format(R"(
graph @main(%x: i8[2, 7, 6, 5], %w: i8[3, 3, 5, 20]) -> (%r) {{
  %r = convolution %x, %w {{low = [1, 1], high = [1, 1], dtype = i32, {}}} : i32[2, 7, 6, 20]
}})",
                    numbers(channels_last2, 4)));
}

TEST(Convolution, EpiloguesAndPrologues) {
  for (const Layout& layout : {channels_last2, channels_first}) {
    const bool last = layout.lhs_feature == 3;
    const std::string x = last ? "2, 8, 9, 5" : "2, 5, 8, 9", w = last ? "3, 3, 5, 20" : "20, 5, 3, 3",
                      r = last ? "2, 8, 9, 20" : "2, 20, 8, 9", z = last ? "2, 8, 9, 20" : "2, 20, 8, 9";
    check(fmt::format(R"(
graph @main(%x: f32[{0}], %w: f32[{1}], %b: f32[20], %s: f32[{2}], %k: f32[5]) -> (%p, %y) {{
  %kk = broadcast_in_dim %k {{dims = [{0}], positions = [{5}]}} : f32[{0}]
  %t = multiply %x, %kk : f32[{0}]
  %h = add %w, %w : f32[{1}]
  %p = convolution %t, %h {{low = [1, 1], high = [1, 1], {3}}} : f32[{2}]
  %bb = broadcast_in_dim %b {{dims = [{2}], positions = [{4}]}} : f32[{2}]
  %q = add %p, %bb : f32[{2}]
  %u = add %q, %s : f32[{2}]
  %zero = constant {{value = f32[] 0}} : f32[]
  %zz = broadcast_in_dim %zero {{dims = [{2}]}} : f32[{2}]
  %y = maximum %zz, %u : f32[{2}]
}})",
                      x, w, r, numbers(layout, 4), last ? 3 : 1, last ? 3 : 1));
  }
}

TEST(Convolution, TheInputIsAlsoTheResidual) {
  check(fmt::format(R"(
graph @main(%x: f32[2, 8, 9, 5], %w: f32[3, 3, 5, 5]) -> (%y) {{
  %p = convolution %x, %w {{low = [1, 1], high = [1, 1], {}}} : f32[2, 8, 9, 5]
  %y = add %p, %x : f32[2, 8, 9, 5]
}})",
                    numbers(channels_last2, 4)));
}

TEST(Convolution, ATransposedResult) {
  check(fmt::format(R"(
graph @main(%x: f32[2, 8, 9, 5], %w: f32[3, 3, 5, 20]) -> (%y) {{
  %p = convolution %x, %w {{low = [1, 1], high = [1, 1], {}}} : f32[2, 8, 9, 20]
  %y = transpose %p {{permutation = [0, 3, 1, 2]}} : f32[2, 20, 8, 9]
}})",
                    numbers(channels_last2, 4)));
}

TEST(Convolution, LargeWeights) {
  check_convolution("1, 5, 5, 130", "3, 3, 130, 300", "1, 5, 5, 300", channels_last2, 4, "low = [1, 1], high = [1, 1]");
  check_convolution("13, 4, 4, 120", "3, 3, 120, 290", "13, 4, 4, 290", channels_last2, 4, "low = [1, 1], high = [1, 1]");
}

}  // namespace
}  // namespace kiln::test

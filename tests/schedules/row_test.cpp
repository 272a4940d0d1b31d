// Reduction and row kernels.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support.h"

namespace kiln::test {
namespace {

constexpr double sums = 2e-5;  // of some thousand terms around 1, folded in another order

TEST(Reduction, InnerOverManySizes) {
  for (const auto& [m, n] : {std::pair{0, 5}, {5, 0}, {1, 1}, {3, 10}, {7, 64}, {4, 100}, {2, 1000}, {300, 65}})
    check(R"(
graph @main(%x: f32[m, n]) -> (%s, %h) {
  %s = reduce %x {combiner = "add", dimensions = [1]} : f32[m]
  %h = reduce %x {combiner = "maximum", dimensions = [1]} : f32[m]
})",
          {{"m", m}, {"n", n}}, {sums});
}

TEST(Reduction, OuterOverManySizes) {
  for (const auto& [m, n] : {std::pair{0, 5}, {5, 0}, {1, 1}, {3, 10}, {64, 100}, {512, 70}, {513, 70}, {2000, 3}})
    check(R"(
graph @main(%x: f32[m, n], %w: f32[n]) -> (%s, %p) {
  %s = reduce %x {combiner = "add", dimensions = [0]} : f32[n]
  %p = subtract %w, %s : f32[n]
})",
          {{"m", m}, {"n", n}}, {2e-5});
}

TEST(Reduction, FullInTwoStages) {
  for (const auto& [m, n] : {std::pair{0, 5}, {1, 1}, {3, 10}, {64, 10}, {128, 128}, {130, 127}, {400, 100}})
    check(R"(
graph @main(%p: f32[m, n], %y: f32[m, n], %row: f32[n]) -> (%d, %loss, %weighted) {
  %d = subtract %p, %y : f32[m, n]
  %s = multiply %d, %d : f32[m, n]
  %loss = reduce %s {combiner = "add", dimensions = [0, 1]} : f32[]
  %b = broadcast_in_dim %row {dims = [m, n], positions = [1]} : f32[m, n]
  %t = multiply %d, %b : f32[m, n]
  %sum = reduce %t {combiner = "add", dimensions = [0, 1]} : f32[]
  %weighted = negate %sum : f32[]
})",
          {{"m", m}, {"n", n}}, {1e-4});
}

TEST(Reduction, MiddleAndSeveralDims) {
  for (const auto& [a, b, c] : {std::tuple{2, 3, 5}, {4, 33, 70}, {3, 0, 2}}) {
    check("graph @main(%x: f32[a, b, c]) -> (%r) {\n  %r = reduce %x {combiner = \"add\", dimensions = [1]} : f32[a, c]\n}",
          {{"a", a}, {"b", b}, {"c", c}}, {1e-5});
    check("graph @main(%x: f32[a, b, c]) -> (%r) {\n  %r = reduce %x {combiner = \"add\", dimensions = [0, 2]} : f32[b]\n}",
          {{"a", a}, {"b", b}, {"c", c}}, {1e-5});
    check("graph @main(%x: f32[a, b, c]) -> (%r) {\n  %r = reduce %x {combiner = \"minimum\", dimensions = [0]} : f32[b, c]\n}",
          {{"a", a}, {"b", b}, {"c", c}});
  }
}

TEST(Reduction, CombinersAndDtypes) {
  for (const char* type : {"f32", "f64", "i32", "i64", "u8", "f16"})
    for (const char* combiner : {"add", "multiply", "maximum", "minimum"})
      check(fmt::format("graph @main(%x: {0}[m, n]) -> (%r, %s) {{\n  %r = reduce %x {{combiner = \"{1}\", dimensions = [1]}} : {0}[m]\n"
                        "  %s = reduce %x {{combiner = \"{1}\", dimensions = [1]}} : {0}[m]\n}}",
                        type, combiner),
            {{"m", 3}, {"n", 21}}, {type[0] == 'f' && type[1] == '1' ? 1e-2 : 1e-5, 0.5, 2});
  for (const char* combiner : {"and", "or"})
    check(fmt::format("graph @main(%x: bool[m, n]) -> (%r, %s) {{\n  %r = reduce %x {{combiner = \"{0}\", dimensions = [1]}} : bool[m]\n"
                      "  %s = reduce %x {{combiner = \"{0}\", dimensions = [1]}} : bool[m]\n}}",
                      combiner),
          {{"m", 5}, {"n", 150}});
}

const char* const softmax = R"(
graph @main(%x: f32[m, n]) -> (%o, %l) {
  %h = reduce %x {combiner = "maximum", dimensions = [1]} : f32[m]
  %hb = broadcast_in_dim %h {dims = [m, n], positions = [0]} : f32[m, n]
  %c = subtract %x, %hb : f32[m, n]
  %e = exp %c : f32[m, n]
  %s = reduce %e {combiner = "add", dimensions = [1]} : f32[m]
  %sb = broadcast_in_dim %s {dims = [m, n], positions = [0]} : f32[m, n]
  %o = divide %e, %sb : f32[m, n]
  %l = log %s : f32[m]
})";

TEST(Row, Softmax) {
  for (const auto& [m, n] : {std::pair{1, 1}, {5, 10}, {3, 64}, {40, 100}, {2, 1000}, {0, 4}}) check(softmax, {{"m", m}, {"n", n}}, {1e-6});
}

TEST(Row, SoftmaxKeepsItsExponentialsInTheOutput) {
  const ir::Module module = ir::parse(softmax);
  const std::string text = ir::print(passes::lower_kernel(module, module.main, v4()));
  std::size_t exponentials = 0;
  for (std::size_t at = text.find("= exp "); at != std::string::npos; at = text.find("= exp ", at + 1)) ++exponentials;
  EXPECT_EQ(exponentials, 2u) << "one in the strips and one in the masked rest of the summing pass\n" << text;
}

TEST(Row, LayerNormWithItsStatistics) {
  for (const auto& [m, n] : {std::pair{1, 1}, {5, 10}, {3, 64}, {6, 100}})
    check(R"(
graph @main(%x: f32[m, n], %gain: f32[n], %count: f32[]) -> (%o, %mean, %variance) {
  %s = reduce %x {combiner = "add", dimensions = [1]} : f32[m]
  %cb = broadcast_in_dim %count {dims = [m]} : f32[m]
  %mean = divide %s, %cb : f32[m]
  %mb = broadcast_in_dim %mean {dims = [m, n], positions = [0]} : f32[m, n]
  %c = subtract %x, %mb : f32[m, n]
  %q = multiply %c, %c : f32[m, n]
  %v = reduce %q {combiner = "add", dimensions = [1]} : f32[m]
  %variance = divide %v, %cb : f32[m]
  %one = constant {value = f32[] 1} : f32[]
  %ones = broadcast_in_dim %one {dims = [m]} : f32[m]
  %w = add %variance, %ones : f32[m]
  %i = rsqrt %w : f32[m]
  %ib = broadcast_in_dim %i {dims = [m, n], positions = [0]} : f32[m, n]
  %z = multiply %c, %ib : f32[m, n]
  %gb = broadcast_in_dim %gain {dims = [m, n], positions = [1]} : f32[m, n]
  %o = multiply %z, %gb : f32[m, n]
})",
          {{"m", m}, {"n", n}}, {2e-5, 1, 2});
}

TEST(Row, BatchNormFoldsTheOuterDim) {
  for (const auto& [m, n] : {std::pair{1, 1}, {5, 10}, {64, 100}, {9, 200}})
    check(R"(
graph @main(%x: f32[m, n]) -> (%o) {
  %s = reduce %x {combiner = "add", dimensions = [0]} : f32[n]
  %sb = broadcast_in_dim %s {dims = [m, n], positions = [1]} : f32[m, n]
  %c = subtract %x, %sb : f32[m, n]
  %q = multiply %c, %c : f32[m, n]
  %v = reduce %q {combiner = "add", dimensions = [0]} : f32[n]
  %vb = broadcast_in_dim %v {dims = [m, n], positions = [1]} : f32[m, n]
  %o = divide %c, %vb : f32[m, n]
})",
          {{"m", m}, {"n", n}}, {1e-4, 1, 2});
}

TEST(Row, CrossEntropyAndItsGradient) {
  for (const auto& [m, n] : {std::pair{1, 2}, {6, 10}, {33, 100}})
    check(R"(
graph @main(%x: f32[m, n], %y: f32[m, n]) -> (%g, %loss) {
  %h = reduce %x {combiner = "maximum", dimensions = [1]} : f32[m]
  %hb = broadcast_in_dim %h {dims = [m, n], positions = [0]} : f32[m, n]
  %c = subtract %x, %hb : f32[m, n]
  %e = exp %c : f32[m, n]
  %s = reduce %e {combiner = "add", dimensions = [1]} : f32[m]
  %sb = broadcast_in_dim %s {dims = [m, n], positions = [0]} : f32[m, n]
  %p = divide %e, %sb : f32[m, n]
  %g = subtract %p, %y : f32[m, n]
  %l = log %s : f32[m]
  %lb = broadcast_in_dim %l {dims = [m, n], positions = [0]} : f32[m, n]
  %lp = subtract %c, %lb : f32[m, n]
  %t = multiply %lp, %y : f32[m, n]
  %loss = reduce %t {combiner = "add", dimensions = [1]} : f32[m]
})",
          {{"m", m}, {"n", n}}, {1e-5, 0, 2});
}

TEST(Row, KeptDims) {
  check(R"(
graph @main(%x: f32[m, n]) -> (%o, %k) {
  %s = reduce %x {combiner = "add", dimensions = [1]} : f32[m]
  %k = broadcast_in_dim %s {dims = [m, 1], positions = [0]} : f32[m, 1]
  %b = broadcast_in_dim %k {dims = [m, n], positions = [0, 1]} : f32[m, n]
  %o = subtract %x, %b : f32[m, n]
})",
        {{"m", 4}, {"n", 30}}, {1e-5});
}

TEST(Row, ASingleLongRow) {
  check(R"(
graph @main(%x: f32[n]) -> (%o) {
  %s = reduce %x {combiner = "maximum", dimensions = [0]} : f32[]
  %b = broadcast_in_dim %s {dims = [n]} : f32[n]
  %o = subtract %x, %b : f32[n]
})",
        {{"n", 20000}});
}

TEST(Row, ReductionsOfDifferentDimsAreAnInternalError) {
  const ir::Module module = ir::parse(R"(
graph @main(%x: f32[3, 4]) -> (%r, %s) {
  %r = reduce %x {combiner = "add", dimensions = [0]} : f32[4]
  %s = reduce %x {combiner = "add", dimensions = [1]} : f32[3]
})");
  EXPECT_THROW(passes::lower_kernel(module, module.main, v4()), InternalError);
}

}  // namespace
}  // namespace kiln::test

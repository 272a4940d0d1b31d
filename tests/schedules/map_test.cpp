// Map kernels: shapes, broadcasts, shape ops, dtypes.
#include <gtest/gtest.h>

#include "passes/plan_in_place.h"
#include "support.h"

namespace kiln::test {
namespace {

TEST(Map, ElementwiseOverManySizes) {
  for (const std::int64_t n : {0, 1, 7, 16, 63, 64, 65, 1000, 16384, 40000})
    check(R"(
graph @main(%x: f32[n], %y: f32[n]) -> (%r, %s) {
  %r = add %x, %y : f32[n]
  %s = multiply %r, %x : f32[n]
})",
          {{"n", n}});
}

TEST(Map, BroadcastsAndStrides) {
  for (const auto& [m, n] : {std::pair{1, 1}, {3, 7}, {16, 100}, {5, 0}, {0, 5}, {2, 20000}, {130, 130}})
    check(R"(
graph @main(%x: f32[m, n], %row: f32[n], %column: f32[m], %scalar: f32[], %t: f32[n, m]) -> (%r, %u) {
  %a = broadcast_in_dim %row {dims = [m, n], positions = [1]} : f32[m, n]
  %b = broadcast_in_dim %column {dims = [m, n], positions = [0]} : f32[m, n]
  %c = broadcast_in_dim %scalar {dims = [m, n]} : f32[m, n]
  %d = transpose %t {permutation = [1, 0]} : f32[m, n]
  %e = add %x, %a : f32[m, n]
  %f = multiply %e, %b : f32[m, n]
  %g = subtract %f, %c : f32[m, n]
  %r = maximum %g, %d : f32[m, n]
  %u = transpose %t {permutation = [1, 0]} : f32[m, n]
})",
          {{"m", m}, {"n", n}});
}

TEST(Map, TransposeAlone) {
  for (const auto& [m, n] : {std::pair{1, 33}, {17, 40}, {64, 64}})
    check(R"(
graph @main(%x: f64[b, m, n]) -> (%r) {
  %r = transpose %x {permutation = [0, 2, 1]} : f64[b, n, m]
})",
          {{"b", 2}, {"m", m}, {"n", n}});
}

TEST(Map, Reshapes) {
  check(R"(
graph @main(%x: f32[b, 6, 4], %y: f32[24*b]) -> (%r) {
  %f = reshape %x {dims = [24*b]} : f32[24*b]
  %s = add %f, %y : f32[24*b]
  %r = reshape %s {dims = [b, 3, 8]} : f32[b, 3, 8]
})",
        {{"b", 5}});
  check(R"(
graph @main(%x: f32[6, 4], %bias: f32[8]) -> (%r, %s) {
  %f = reshape %x {dims = [3, 8]} : f32[3, 8]
  %b = broadcast_in_dim %bias {dims = [3, 8], positions = [1]} : f32[3, 8]
  %r = add %f, %b : f32[3, 8]
  %s = negate %x : f32[6, 4]
})");
}

TEST(Map, SlicesAndPads) {
  for (const std::int64_t n : {0, 1, 20, 100})
    check(R"(
graph @main(%x: f32[n, 9], %y: f32[n, 9], %zero: f32[]) -> (%r) {
  %c = concatenate %x, %y {dim = 1} : f32[n, 18]
  %s = slice %c {starts = [0, 1], limits = [n, 17], strides = [1, 3]} : f32[n, 6]
  %p = pad %s, %zero {low = [2, 1], high = [0, 3], interior = [0, 1]} : f32[n + 2, 15]
  %r = reverse %p {dimensions = [1]} : f32[n + 2, 15]
})",
          {{"n", n}});
}

TEST(Map, GathersPickAVectorAxis) {
  check(R"(
graph @main(%table: f32[30, 20], %ids: i32[n]) -> (%r) {
  %t = gather %table, %ids {offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1, slice_sizes = [1, 20]} : f32[n, 20]
  %r = negate %t : f32[n, 20]
})",
        {{"n", 9}}, {0, -5, 40});
  check(R"(
graph @main(%table: f32[30], %ids: i64[n]) -> (%r) {
  %r = gather %table, %ids {collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1, slice_sizes = [1]} : f32[n]
})",
        {{"n", 19}}, {0, -5, 40});
}

TEST(Map, DtypesShareOneVectorLoop) {
  for (const std::int64_t n : {1, 100, 517}) {
    check(R"(
graph @main(%x: f32[n], %k: f64[n], %b: bool[n], %i: i64[n]) -> (%r, %s, %m) {
  %d = convert %x {dtype = f64} : f64[n]
  %e = multiply %d, %k : f64[n]
  %j = convert %i {dtype = f64} : f64[n]
  %r = select %b, %e, %j : f64[n]
  %s = convert %r {dtype = f32} : f32[n]
  %m = compare %k, %d {direction = "lt"} : bool[n]
})",
          {{"n", n}});
    for (const std::string type : {"bool", "u8"})
      check("graph @main(%x: " + type + "[n], %y: " + type + "[n]) -> (%r) {\n  %r = xor %x, %y : " + type + "[n]\n}", {{"n", n}});
    for (const std::string type : {"i8", "u16", "i32", "u64", "f16", "bf16"})
      check("graph @main(%x: " + type + "[n], %y: " + type + "[n]) -> (%r) {\n  %s = multiply %x, %y : " + type +
                "[n]\n  %r = add %s, %x : " + type + "[n]\n}",
            {{"n", n}});
  }
}

TEST(Map, ScalarsAndIotas) {
  check("graph @main(%x: f32[], %y: f32[]) -> (%r) {\n  %r = divide %x, %y : f32[]\n}");
  check(
      "graph @main(%x: f32[n, 5]) -> (%r) {\n  %i = iota {dtype = f32, dims = [n, 5], dim = 1} : f32[n, 5]\n  %r = add %i, %x : f32[n, "
      "5]\n}",
      {{"n", 3}});
}

TEST(Map, OutputMayShareMemoryWithAnInputReadAtItsOwnIndex) {
  const std::string text = R"(
graph @main(%w: f32[n], %g: f32[n], %rate: f32[]) -> (%r) {
  %b = broadcast_in_dim %rate {dims = [n]} : f32[n]
  %s = multiply %b, %g : f32[n]
  %r = subtract %w, %s : f32[n]
})";
  const ir::Module module = ir::parse(text);
  for (const std::int64_t n : {5, 100, 20000}) {
    const Symbols symbols{{"n", n}};
    const std::vector<Array> inputs = random_inputs(module, symbols, {});
    const ir::Kernel kernel = passes::lower_kernel(module, module.main, v4());
    EXPECT_TRUE(identical(run(kernel, module, inputs, symbols).at(0), run_in_place(kernel, module, inputs, symbols, 0)));
    EXPECT_TRUE(passes::may_overwrite(kernel, 0, 3)) << ir::print(kernel);
  }
}

TEST(Map, AChainOfAHundredThousandNodesDoesNotRecurse) {
  std::string text = "graph @main(%x: f32[8]) -> (%r) {\n  %0 = negate %x : f32[8]\n";
  const int length = 100000;
  for (int i = 1; i < length; ++i) text += "  %" + std::to_string(i) + " = negate %" + std::to_string(i - 1) + " : f32[8]\n";
  text += "  %r = negate %" + std::to_string(length - 1) + " : f32[8]\n}";
  const ir::Module module = ir::parse(text);
  const ir::Kernel kernel = passes::lower_kernel(module, module.main, v4());
  ir::verify(kernel);
  EXPECT_GT(kernel.registers.size(), static_cast<std::size_t>(length));
}

}  // namespace
}  // namespace kiln::test

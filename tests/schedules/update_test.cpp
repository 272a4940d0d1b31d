// Update kernels: scatter and dynamic_update_slice, in place and from an expression.
#include <gtest/gtest.h>

#include "support.h"

namespace kiln::test {
namespace {

ir::Kernel kernel_of(const std::string& text) {
  const ir::Module module = ir::parse(text);
  return passes::lower_kernel(module, module.main, v4());
}

TEST(Update, RowsAddedToZeros) {
  for (const auto& [n, d] : {std::pair{0, 5}, {1, 1}, {20, 7}, {9, 100}, {3, 300}})
    check(R"(
graph @main(%ids: i32[n], %updates: f32[n, d]) -> (%r) {
  %z = constant {value = f32[] 0} : f32[]
  %zeros = broadcast_in_dim %z {dims = [6, d]} : f32[6, d]
  %r = scatter %zeros, %ids, %updates {combiner = "add", update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1} : f32[6, d]
})",
          {{"n", n}, {"d", d}}, {0, -3, 9});
}

TEST(Update, EveryCombinerInPlace) {
  for (const char* combiner : {"add", "multiply", "minimum", "maximum", "replace"})
    for (const char* dtype : {"f32", "f64", "bf16", "i8", "u64"}) {
      const std::string type = dtype;
      check("graph @main(%x: " + type + "[6, d], %ids: i32[n], %updates: " + type + R"([n, d]) -> (%r) {
  %r = scatter %x, %ids, %updates {combiner = ")" +
                combiner +
                R"(", update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1} : )" +
                type + "[6, d]\n}",
            {{"n", 20}, {"d", 37}}, {0, -3, 9});
    }
}

TEST(Update, AnOperandThatIsAParameterIsChangedInPlace) {
  const ir::Kernel kernel = kernel_of(R"(
graph @main(%x: f32[6, d], %ids: i32[n], %updates: f32[n, d]) -> (%r) {
  %r = scatter %x, %ids, %updates {combiner = "add", update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1} : f32[6, d]
})");
  ASSERT_EQ(kernel.buffers.size(), 3u);
  EXPECT_EQ(kernel.buffers[0].role, ir::Buffer::Role::inout);
  EXPECT_EQ(kernel.buffers[1].role, ir::Buffer::Role::input);
}

TEST(Update, AnOperandThatIsReadOtherwiseIsCopiedFirst) {
  const std::string text = R"(
graph @main(%x: f32[9], %i: i32[]) -> (%r) {
  %s = slice %x {starts = [2], limits = [5], strides = [1]} : f32[3]
  %r = dynamic_update_slice %x, %s, %i : f32[9]
})";
  EXPECT_EQ(kernel_of(text).buffers.back().role, ir::Buffer::Role::output);
  check(text, {}, {0, -2, 9});
}

TEST(Update, MiddleAndLastAxesAndSeveralIndexDims) {
  check(R"(
graph @main(%x: f32[3, 5, 20], %ids: i64[n, 2], %updates: f32[3, n, 2, 20]) -> (%r) {
  %r = scatter %x, %ids, %updates {combiner = "add", update_window_dims = [0, 3], inserted_window_dims = [1], scatter_dims_to_operand_dims = [1], index_vector_dim = 2} : f32[3, 5, 20]
})",
        {{"n", 4}}, {0, -3, 9});
  check(R"(
graph @main(%x: f64[3, 5], %ids: u8[n], %updates: f64[3, n]) -> (%r) {
  %r = scatter %x, %ids, %updates {combiner = "add", update_window_dims = [0], inserted_window_dims = [1], scatter_dims_to_operand_dims = [1], index_vector_dim = 1} : f64[3, 5]
})",
        {{"n", 11}}, {0, 0, 9});
  check(R"(
graph @main(%x: i32[4], %ids: i32[n], %updates: i32[n]) -> (%r) {
  %r = scatter %x, %ids, %updates {combiner = "add", inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1} : i32[4]
})",
        {{"n", 30}}, {0, -3, 9});
}

TEST(Update, BatchDimsAndWindowsThatLieHalfOutside) {
  for (const std::int64_t n : {0, 1, 6})
    check(R"(
graph @main(%x: f32[n, 50], %ids: i32[n, 4], %updates: f32[n, 4]) -> (%r) {
  %r = scatter %x, %ids, %updates {combiner = "replace", inserted_window_dims = [1], input_batching_dims = [0], scatter_indices_batching_dims = [0], scatter_dims_to_operand_dims = [1], index_vector_dim = 2} : f32[n, 50]
})",
          {{"n", n}}, {0, -3, 60});
  check(R"(
graph @main(%x: f32[8, 40], %ids: i32[n, 2], %updates: f32[n, 3, 20]) -> (%r) {
  %r = scatter %x, %ids, %updates {combiner = "add", update_window_dims = [1, 2], scatter_dims_to_operand_dims = [1, 0], index_vector_dim = 1} : f32[8, 40]
})",
        {{"n", 9}}, {0, -25, 45});
}

TEST(Update, PrologueOfValuesAndIndices) {
  check(R"(
graph @main(%x: f32[6, d], %ids: i32[n], %updates: f32[n, d], %scale: f32[d], %shift: i32[]) -> (%r) {
  %s = broadcast_in_dim %scale {dims = [n, d], positions = [1]} : f32[n, d]
  %t = multiply %updates, %s : f32[n, d]
  %e = exp %t : f32[n, d]
  %b = broadcast_in_dim %shift {dims = [n]} : i32[n]
  %i = add %ids, %b : i32[n]
  %r = scatter %x, %i, %e {combiner = "add", update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1} : f32[6, d]
})",
        {{"n", 20}, {"d", 37}}, {1e-5, -3, 3});
}

TEST(Update, StartsAsAnExpression) {
  check(R"(
graph @main(%x: f32[6, d], %ids: i32[n], %updates: f32[n, d]) -> (%r) {
  %m = negate %x : f32[6, d]
  %r = scatter %m, %ids, %updates {combiner = "maximum", update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1} : f32[6, d]
})",
        {{"n", 20}, {"d", 37}}, {0, -3, 9});
}

TEST(Update, SlicesAtComputedPlaces) {
  for (const std::int64_t n : {1, 7, 40})
    check(R"(
graph @main(%x: f32[n, 100], %row: f32[1, 70], %i: i64[], %j: u8[]) -> (%r) {
  %s = exp %row : f32[1, 70]
  %r = dynamic_update_slice %x, %s, %i, %j : f32[n, 100]
})",
          {{"n", n}}, {1e-5, -2, 50});
  // More rows than the operand may have.
  for (const std::int64_t n : {0, 1, 5})
    check(R"(
graph @main(%x: f32[n, 20], %rows: f32[3, 20], %i: i64[], %j: i32[]) -> (%r) {
  %r = dynamic_update_slice %x, %rows, %i, %j : f32[n, 20]
})",
          {{"n", n}}, {0, -2, 9});
}

TEST(Update, EmptyOperands) {
  for (const std::int64_t v : {0, 3})
    check(R"(
graph @main(%x: f32[v, d], %ids: i32[n], %updates: f32[n, d]) -> (%r) {
  %r = scatter %x, %ids, %updates {combiner = "add", update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1} : f32[v, d]
})",
          {{"n", 5}, {"d", 20}, {"v", v}}, {0, -3, 9});
}

TEST(Gather, RowsSlicesAndEmptyTables) {
  for (const std::int64_t v : {0, 1, 7})
    check(R"(
graph @main(%x: f32[v, d], %ids: i32[n], %i: i32[], %j: i64[]) -> (%r, %s) {
  %r = gather %x, %ids {offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1, slice_sizes = [1, d]} : f32[n, d]
  %w = dynamic_slice %x, %i, %j {sizes = [1, d]} : f32[1, d]
  %v = reshape %w {dims = [d]} : f32[d]
  %s = broadcast_in_dim %v {dims = [n, d], positions = [1]} : f32[n, d]
})",
          {{"n", 5}, {"d", 20}, {"v", v}}, {0, -3, 9});
}

}  // namespace
}  // namespace kiln::test

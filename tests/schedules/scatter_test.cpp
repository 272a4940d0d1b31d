// Scatter kernels.
#include <gtest/gtest.h>

#include "support.h"

namespace kiln::test {
namespace {

TEST(Scatter, RowsOfATable) {
  for (const auto& [n, d] : {std::pair{0, 5}, {1, 1}, {20, 7}, {9, 100}})
    check(R"(
graph @main(%ids: i32[n], %updates: f32[n, d]) -> (%r) {
  %r = scatter_add %ids, %updates {dims = [6, d], axis = 0} : f32[6, d]
})",
          {{"n", n}, {"d", d}}, {0, -3, 9});
}

TEST(Scatter, MiddleAndLastAxesAndSeveralIndexDims) {
  check(R"(
graph @main(%ids: i64[n, 2], %updates: f32[3, n, 2, 20]) -> (%r) {
  %r = scatter_add %ids, %updates {dims = [3, 5, 20], axis = 1} : f32[3, 5, 20]
})",
        {{"n", 4}}, {0, -3, 9});
  check(R"(
graph @main(%ids: u8[n], %updates: f64[3, n]) -> (%r) {
  %r = scatter_add %ids, %updates {dims = [3, 5], axis = 1} : f64[3, 5]
})",
        {{"n", 11}}, {0, 0, 9});
  check("graph @main(%ids: i32[n], %updates: i32[n]) -> (%r) {\n  %r = scatter_add %ids, %updates {dims = [4], axis = 0} : i32[4]\n}",
        {{"n", 30}}, {0, -3, 9});
}

TEST(Scatter, PrologueAndEpilogue) {
  check(R"(
graph @main(%ids: i32[n], %updates: f32[n, d], %scale: f32[d], %w: f32[6, d], %rate: f32[]) -> (%r, %g) {
  %s = broadcast_in_dim %scale {dims = [n, d], positions = [1]} : f32[n, d]
  %u = multiply %updates, %s : f32[n, d]
  %g = scatter_add %ids, %u {dims = [6, d], axis = 0} : f32[6, d]
  %b = broadcast_in_dim %rate {dims = [6, d]} : f32[6, d]
  %t = multiply %b, %g : f32[6, d]
  %r = subtract %w, %t : f32[6, d]
})",
        {{"n", 20}, {"d", 37}}, {0, -3, 9});
}

}  // namespace
}  // namespace kiln::test

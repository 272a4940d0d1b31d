// Contraction kernels: layouts, sizes, prologues, epilogues, dtypes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "passes/plan_in_place.h"
#include "support.h"

namespace kiln::test {
namespace {

// The order of accumulation is that of the reference, so results are equal bit for bit: the tolerance is 0 throughout.

TEST(Contraction, AllLayouts) {
  for (const char* left : {"m, k", "k, m"})
    for (const char* right : {"k, n", "n, k"})
      for (const auto& [m, n, k] :
           {std::tuple{1, 1, 1}, {5, 37, 9}, {30, 100, 17}, {64, 10, 33}, {3, 16, 0}, {0, 5, 4}, {4, 0, 3}, {13, 1, 20}, {1, 70, 20}})
        check(fmt::format(R"(
graph @main(%a: f32[{}], %b: f32[{}]) -> (%r) {{
  %r = dot_general %a, %b {{lhs_contract = [{}], rhs_contract = [{}]}} : f32[m, n]
}})",
                          left, right, left[0] == 'm' ? 1 : 0, right[0] == 'k' ? 0 : 1),
              {{"m", m}, {"n", n}, {"k", k}});
}

TEST(Contraction, PackedPanelsAndManyRows) {
  for (const auto& [m, n, k] : {std::tuple{150, 520, 512}, {129, 530, 513}})
    check(fmt::format(R"(
graph @main(%a: f32[{0}, {2}], %b: f32[{2}, {1}]) -> (%r) {{
  %r = dot_general %a, %b {{lhs_contract = [1], rhs_contract = [0]}} : f32[{0}, {1}]
}})",
                      m, n, k));
}

TEST(Contraction, BlocksOfK) {
  // Few rows with a panel beyond L1, and many rows with a deep k; the symbolic ones by what is typical.
  for (const auto& [m, n, k] : {std::tuple{20, 40, 700}, {130, 20, 2100}, {20, 10, 1}, {20, 40, 0}})
    check(R"(
symbol k {typical = 3000}
graph @main(%a: f32[m, k], %b: f32[k, n], %c: f32[n]) -> (%r, %p) {
  %p = dot_general %a, %b {lhs_contract = [1], rhs_contract = [0]} : f32[m, n]
  %d = broadcast_in_dim %c {dims = [m, n], positions = [1]} : f32[m, n]
  %r = add %p, %d : f32[m, n]
})",
          {{"m", m}, {"n", n}, {"k", k}});
}

TEST(Contraction, Batches) {
  for (const auto& [b, m, n, k] : {std::tuple{1, 3, 20, 5}, {9, 17, 33, 6}, {0, 3, 3, 3}}) {
    check(R"(
graph @main(%a: f32[b, m, k], %b: f32[b, k, n]) -> (%r) {
  %r = dot_general %a, %b {lhs_batch = [0], rhs_batch = [0], lhs_contract = [2], rhs_contract = [1]} : f32[b, m, n]
})",
          {{"b", b}, {"m", m}, {"n", n}, {"k", k}});
    check(R"(
graph @main(%a: f32[m, b, k], %b: f32[n, b, k]) -> (%r) {
  %r = dot_general %a, %b {lhs_batch = [1], rhs_batch = [1], lhs_contract = [2], rhs_contract = [2]} : f32[b, m, n]
})",
          {{"b", b}, {"m", m}, {"n", n}, {"k", k}});
  }
}

TEST(Contraction, SeveralFreeAndContractedDims) {
  check(R"(
graph @main(%a: f32[4, m, 3, k], %b: f32[3, k, 2, 7]) -> (%r) {
  %r = dot_general %a, %b {lhs_contract = [2, 3], rhs_contract = [0, 1]} : f32[4, m, 2, 7]
})",
        {{"m", 5}, {"k", 6}});
  check(R"(
graph @main(%a: f32[3, 4, m, k], %b: f32[k, 2, 3, 7]) -> (%r) {
  %r = dot_general %a, %b {lhs_contract = [0, 3], rhs_contract = [2, 0]} : f32[4, m, 2, 7]
})",
        {{"m", 5}, {"k", 6}});
}

TEST(Contraction, VectorsAndScalars) {
  for (const std::int64_t k : {0, 1, 50}) {
    check("graph @main(%a: f32[k], %b: f32[k]) -> (%r) {\n  %r = dot_general %a, %b {lhs_contract = [0], rhs_contract = [0]} : f32[]\n}",
          {{"k", k}});
    check(
        "graph @main(%a: f32[m, k], %b: f32[k]) -> (%r) {\n  %r = dot_general %a, %b {lhs_contract = [1], rhs_contract = [0]} : f32[m]\n}",
        {{"k", k}, {"m", 37}});
    check(
        "graph @main(%a: f32[k, m], %b: f32[k]) -> (%r) {\n  %r = dot_general %a, %b {lhs_contract = [0], rhs_contract = [0]} : f32[m]\n}",
        {{"k", k}, {"m", 37}});
    check(
        "graph @main(%a: f32[k], %b: f32[k, n]) -> (%r) {\n  %r = dot_general %a, %b {lhs_contract = [0], rhs_contract = [0]} : f32[n]\n}",
        {{"k", k}, {"n", 100}});
  }
  check("graph @main(%a: f32[m], %b: f32[n]) -> (%r) {\n  %r = dot_general %a, %b : f32[m, n]\n}", {{"m", 9}, {"n", 30}});
}

TEST(Contraction, Dtypes) {
  for (const char* type : {"f64", "i32", "i64", "u8", "i16", "f16", "bf16"})
    for (const auto& [m, n, k] : {std::tuple{1, 9, 3}, {20, 75, 11}})
      check(fmt::format(R"(
graph @main(%a: {0}[m, k], %b: {0}[k, n], %c: {0}[n]) -> (%r) {{
  %p = dot_general %a, %b {{lhs_contract = [1], rhs_contract = [0]}} : {0}[m, n]
  %d = broadcast_in_dim %c {{dims = [m, n], positions = [1]}} : {0}[m, n]
  %r = add %p, %d : {0}[m, n]
}})",
                        type),
            {{"m", m}, {"n", n}, {"k", k}});
}

TEST(Contraction, EpilogueWithSeveralOutputs) {
  for (const auto& [m, n, k] : {std::tuple{1, 1, 1}, {7, 100, 20}, {50, 10, 100}})
    check(R"(
graph @main(%x: f32[m, k], %w: f32[k, n], %bias: f32[n], %residual: f32[m, n], %rows: f32[m]) -> (%p, %relu, %mask, %t) {
  %p = dot_general %x, %w {lhs_contract = [1], rhs_contract = [0]} : f32[m, n]
  %b = broadcast_in_dim %bias {dims = [m, n], positions = [1]} : f32[m, n]
  %c = broadcast_in_dim %rows {dims = [m, n], positions = [0]} : f32[m, n]
  %s = add %p, %b : f32[m, n]
  %u = add %s, %residual : f32[m, n]
  %v = multiply %u, %c : f32[m, n]
  %zero = constant {value = f32[] 0} : f32[]
  %z = broadcast_in_dim %zero {dims = [m, n]} : f32[m, n]
  %relu = maximum %z, %v : f32[m, n]
  %mask = compare %v, %z {direction = "gt"} : bool[m, n]
  %t = convert %v {dtype = f64} : f64[m, n]
})",
          {{"m", m}, {"n", n}, {"k", k}});
}

TEST(Contraction, TransposedOutput) {
  for (const auto& [m, n, k] : {std::tuple{3, 40, 5}, {40, 3, 5}})
    check(R"(
graph @main(%x: f32[m, k], %w: f32[k, n], %old: f32[n, m]) -> (%r) {
  %p = dot_general %x, %w {lhs_contract = [1], rhs_contract = [0]} : f32[m, n]
  %t = transpose %p {permutation = [1, 0]} : f32[n, m]
  %r = subtract %old, %t : f32[n, m]
})",
          {{"m", m}, {"n", n}, {"k", k}});
}

TEST(Contraction, Prologues) {
  for (const auto& [m, n, k] : {std::tuple{1, 1, 1}, {7, 100, 20}, {50, 10, 100}, {70, 200, 3}})
    check(R"(
graph @main(%d: f32[m, k], %h: f32[m, k], %w: f32[n, k], %scale: f32[k]) -> (%r) {
  %two = constant {value = f32[] 2} : f32[]
  %twos = broadcast_in_dim %two {dims = [m, k]} : f32[m, k]
  %zero = constant {value = f32[] 0} : f32[]
  %z = broadcast_in_dim %zero {dims = [m, k]} : f32[m, k]
  %e = multiply %twos, %d : f32[m, k]
  %mask = compare %h, %z {direction = "gt"} : bool[m, k]
  %a = select %mask, %e, %z : f32[m, k]
  %t = transpose %w {permutation = [1, 0]} : f32[k, n]
  %s = broadcast_in_dim %scale {dims = [k, n], positions = [0]} : f32[k, n]
  %b = multiply %t, %s : f32[k, n]
  %r = dot_general %a, %b {lhs_contract = [1], rhs_contract = [0]} : f32[m, n]
})",
          {{"m", m}, {"n", n}, {"k", k}});
}

TEST(Contraction, UpdatesAWeightInPlace) {
  const std::string text = R"(
symbol batch {typical = 1000}
graph @main(%x: f32[batch, 70], %g: f32[batch, 100], %w: f32[70, 100], %rate: f32[]) -> (%r) {
  %p = dot_general %x, %g {lhs_contract = [0], rhs_contract = [0]} : f32[70, 100]
  %b = broadcast_in_dim %rate {dims = [70, 100]} : f32[70, 100]
  %s = multiply %b, %p : f32[70, 100]
  %r = subtract %w, %s : f32[70, 100]
})";
  for (const std::int64_t batch : {0, 1, 64, 700}) {
    const Symbols symbols{{"batch", batch}};
    check(text, symbols);
    const ir::Module module = ir::parse(text);
    const std::vector<Array> inputs = random_inputs(module, symbols, {});
    const ir::Kernel kernel = passes::lower_kernel(module, module.main, v4());
    EXPECT_TRUE(identical(run(kernel, module, inputs, symbols).at(0), run_in_place(kernel, module, inputs, symbols, 2)));
    EXPECT_TRUE(passes::may_overwrite(kernel, 2, 4)) << "the planner does not see that w may be updated in place\n" << ir::print(kernel);
  }
}

TEST(Contraction, OutputsOfAnotherShapeAreAnInternalError) {
  const ir::Module module = ir::parse(R"(
graph @main(%a: f32[3, 4], %b: f32[4, 5]) -> (%r, %s) {
  %r = dot_general %a, %b {lhs_contract = [1], rhs_contract = [0]} : f32[3, 5]
  %s = reduce %r {combiner = "add", dimensions = [0]} : f32[5]
})");
  EXPECT_THROW(passes::lower_kernel(module, module.main, v4()), InternalError);
}

}  // namespace
}  // namespace kiln::test

// may_overwrite: loops that may and may not work in place. Where it says yes, the interpreter agrees on shared memory.
#include "passes/plan_in_place.h"

#include <gtest/gtest.h>

#include "ir/loop_interpreter.h"
#include "ir/loop_text.h"

namespace kiln::passes {
namespace {

bool allowed(const std::string& body, const std::string& parameters = "x: f32[16], y: f32[16] output") {
  const auto kernels = ir::parse_kernels("kernel @k(" + parameters + ") {\n" + body + "}\n");
  const bool result = may_overwrite(kernels.at(0), 0, 1);
  if (result) {
    std::vector<float> memory(256, 1), other(256, 1);
    std::vector<ir::BoundBuffer> buffers{{memory.data()}, {memory.data()}};
    for (std::size_t k = 2; k < kernels[0].buffers.size(); ++k) buffers.push_back({other.data()});
    EXPECT_NO_THROW(ir::interpret(kernels[0], buffers, {})) << body;
    EXPECT_NO_THROW(ir::interpret_reversed(kernels[0], buffers, {})) << body;
  }
  return result;
}

TEST(InPlace, LoadThenStoreOfTheSameElements) {
  EXPECT_TRUE(allowed(
      "for parallel i in 0 .. 4 {\n  %0 = load x[4*i + $v] : f32x4\n  %1 = negate %0 : f32x4\n  store y[4*i + $v], %1 : f32x4\n}\n"));
  // Chunks: the outer loop moves the inner one's bounds.
  EXPECT_TRUE(
      allowed("for parallel c in 0 .. 4 {\n  for i in 4*c .. 4*c + 4 {\n    %0 = load x[i] : f32\n    store y[i], %0 : f32\n  }\n}\n"));
  EXPECT_TRUE(allowed(
      "for parallel t in 0 .. 4 {\n  for r in 2*t .. 2*t + 2 {\n    %0 = index 2*r : i64\n    let i = %0\n    %1 = load x[i + $v] : f32x2\n"
      "    store y[i + $v], %1 : f32x2\n  }\n}\n"));
  // A loop of at most one iteration still passes on what moves its bounds.
  EXPECT_TRUE(
      allowed("for parallel t in 0 .. 4 {\n  for c in t .. min(t + 1, 3) {\n    %0 = load x[4*c + $v] : f32x4\n"
              "    store y[4*c + $v], %0 : f32x4\n  }\n}\n"));
  // A kernel that does not read the parameter at all.
  EXPECT_TRUE(allowed("%0 = constant 1 : f32x16\nstore y[$v], %0 : f32x16\n"));
}

TEST(InPlace, OtherElements) {
  EXPECT_FALSE(allowed("for i in 0 .. 16 {\n  %0 = load x[15 - i] : f32\n  store y[i], %0 : f32\n}\n"));
  EXPECT_FALSE(allowed("for i in 0 .. 16 {\n  %0 = load x[0] : f32\n  store y[i], %0 : f32\n}\n"));
  // A wider load than the store.
  EXPECT_FALSE(allowed("%0 = load x[$v] : f32x16\n%1 = reduce add lanes %0 : f32\nstore y[$v], %1 : f32x8\n"));
}

TEST(InPlace, OrderAndRepetition) {
  EXPECT_FALSE(allowed("for i in 0 .. 16 {\n  %0 = constant 1 : f32\n  store y[i], %0 : f32\n  %1 = load x[i] : f32\n}\n"));
  // Loaded again after the store, in the block and in a block after it.
  EXPECT_FALSE(
      allowed("for i in 0 .. 16 {\n  %0 = load x[i] : f32\n  store y[i], %0 : f32\n  %1 = load x[i] : f32\n  store y[i], %1 : f32\n}\n"));
  EXPECT_FALSE(allowed(
      "for i in 0 .. 16 {\n  %0 = load x[i] : f32\n  store y[i], %0 : f32\n  for j in 0 .. 2 {\n    %1 = load x[i] : f32\n  }\n}\n"));
  // The loop over k runs the update twice.
  EXPECT_FALSE(allowed("for i in 0 .. 16 {\n  for k in 0 .. 2 {\n    %0 = load x[i] : f32\n    store y[i], %0 : f32\n  }\n}\n"));
  EXPECT_TRUE(allowed("for i in 0 .. 16 {\n  for k in 0 .. 1 {\n    %0 = load x[i] : f32\n    store y[i], %0 : f32\n  }\n}\n"));
}

TEST(InPlace, PartialSumsInTheResult) {
  EXPECT_FALSE(allowed("for i in 0 .. 16 {\n  %0 = load x[i] : f32\n  store y[i], %0 : f32\n  %1 = load y[i] : f32\n}\n"));
}

TEST(InPlace, OtherTypes) {
  const std::string body = "for i in 0 .. 16 {\n  %0 = load x[i] : f32\n  %1 = convert %0 : f64\n  store y[i], %1 : f64\n}\n";
  EXPECT_FALSE(allowed(body, "x: f32[16], y: f64[16] output"));
}

}  // namespace
}  // namespace kiln::passes

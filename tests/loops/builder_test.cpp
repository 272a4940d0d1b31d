// KernelBuilder: what it writes, as text.
#include "ir/loop_builder.h"

#include <gtest/gtest.h>

#include "ir/loop_text.h"
#include "tests/loops/kernels.h"

namespace kiln::ir {
namespace {

TEST(LoopBuilder, WritesARegisterTiledProduct) {
  const Dim m = Dim::symbol("m");
  KernelBuilder b("dot_relu");
  b.comment("out = relu(x * w)");
  b.work(49152);
  const BufferId x = b.buffer("x", f32, {m, 24}, Buffer::Role::input);
  const BufferId w = b.buffer("w", f32, {24, 32}, Buffer::Role::input);
  const BufferId out = b.buffer("out", f32, {m, 32}, Buffer::Role::output);
  const Dim r = Dim::symbol(tile_row), v = Dim::symbol(tile_vector);
  const RegisterType tile{f32, 4, 2, 16};
  b.for_loop("i", 0, ceildiv(m, 4), 1, LoopKind::parallel, [&](const Dim& i) {
    const RegisterId zero = b.constant(tile, 0);
    const RegisterId row_index = b.index(4 * i + r, {i64, 4, 1, 1});
    const RegisterId inside = b.compare(Comparison::lt, row_index, b.index(m));
    const auto sum = b.for_loop("k", 0, 24, 1, LoopKind::serial, {zero}, [&](const Dim& k, std::span<const RegisterId> carried) {
      const RegisterId a = b.load(x, {4 * i + r, k}, {f32, 4, 1, 1}, inside);
      const RegisterId row = b.load(w, {k, v}, {f32, 1, 2, 16});
      return KernelBuilder::Registers{b.fma(a, row, carried[0])};
    });
    b.store(out, {4 * i + r, v}, b.binary(LoopOp::maximum, b.constant({f32}, 0), sum[0]), tile, inside);
  });
  const Kernel kernel = b.finish();
  verify(kernel);
  EXPECT_EQ(print(kernel), dot_relu_text);
}

TEST(LoopBuilder, NamesOfLoopsAvoidSymbolsAndEachOther) {
  const Dim n = Dim::symbol("i");
  KernelBuilder b("names");
  const BufferId x = b.buffer("x", f32, {n}, Buffer::Role::output);
  for (int repeat = 0; repeat < 2; ++repeat) {
    b.for_loop("i", 0, n, 1, LoopKind::serial, [&](const Dim& i) { b.store(x, {i}, b.constant({f32}, 1), {f32}); });
  }
  b.for_loop("i.1", 0, n, 1, LoopKind::serial, [&](const Dim& i) { b.store(x, {i}, b.constant({f32}, 1), {f32}); });
  const Kernel kernel = b.finish();
  EXPECT_EQ(find_violation(kernel), "");
  ASSERT_EQ(kernel.symbols.size(), 1U);
  EXPECT_EQ(kernel.symbols[0]->name, "i");
}

TEST(LoopBuilder, BranchesLetsAndReductions) {
  KernelBuilder b("branches");
  const BufferId x = b.buffer("x", i32, {8}, Buffer::Role::input);
  const BufferId table = b.buffer("table", f64, {Dim::symbol("n")}, Buffer::Role::input);
  const BufferId y = b.buffer("y", f64, {2}, Buffer::Role::output);
  const Dim v = Dim::symbol(tile_vector);
  const RegisterId values = b.load(x, {v}, {i32, 1, 1, 8});
  const RegisterId sum = b.reduce(values, LoopOp::add, Axis::lanes);
  const Dim j = b.let("j", sum);
  const RegisterId positive = b.compare(Comparison::gt, sum, b.constant({i32}, 0));
  const auto picked = b.if_else(
      positive, [&] { return KernelBuilder::Registers{b.load(table, {j}, {f64})}; },
      [&] { return KernelBuilder::Registers{b.convert(sum, f64)}; });
  b.switch_on(mod(j, 2), {0, 1}, [&](std::int64_t value) { b.store(y, {value}, picked[0], {f64}); });
  EXPECT_EQ(print(b.finish()), R"(kernel @branches(x: i32[8], table: f64[n], y: f64[2] output) symbols(n) {
  %0 = load x[$v] : i32x8
  %1 = reduce add lanes %0 : i32
  let j = %1
  %2 = constant 0 : i32
  %3 = compare gt %1, %2 : bool
  %6 = if %3 {
    %4 = load table[j] : f64
    yield %4
  } else {
    %5 = convert %1 : f64
    yield %5
  }
  switch mod(j, 2) {
    case 0 {
      store y[0], %6 : f64
    }
    case 1 {
      store y[1], %6 : f64
    }
  }
}
)");
}

}  // namespace
}  // namespace kiln::ir

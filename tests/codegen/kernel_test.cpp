// Kernels as text: memory access of every shape, structure, register tiles, parallel loops; machine code against the loop interpreter.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "ir/loop_interpreter.h"
#include "ir/loop_text.h"
#include "tests/codegen/support.h"
#include "tests/loops/kernels.h"

namespace kiln {
namespace {

void expect_same_text(const std::string& text, const std::vector<std::int64_t>& symbols = {}, bool fma = false) {
  test::expect_same_everywhere(ir::parse_kernels(text), symbols, fma);
}

/// Every size of element, the bool among the bytes.
constexpr DType memory_dtypes[] = {DType::boolean, DType::u8, DType::f16, DType::f32, DType::i64};

/// One kernel per dtype and lane count from a text in which T, L and P stand for the dtype, its lanes ("x16" or nothing) and the number of
/// elements.
std::vector<ir::Kernel> for_memory_dtypes(const std::string& text) {
  std::vector<ir::Kernel> kernels;
  for (const DType dtype : memory_dtypes) {
    for (const int lanes : {1, ir::vector_lanes(dtype)}) {
      std::string instance;
      for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == 'T')
          instance += name_of(dtype);
        else if (text[i] == 'L')
          instance += lanes == 1 ? "" : "x" + std::to_string(lanes);
        else if (text[i] == 'P')
          instance += std::to_string(lanes);
        else
          instance += text[i];
      }
      kernels.push_back(ir::parse_kernels(instance).at(0));
    }
  }
  return kernels;
}

TEST(KernelCode, ContiguousWithMaskedTail) {
  const auto kernels = for_memory_dtypes(R"(kernel @k(x: T[n], y: T[n] inout) symbols(n) {
  for i in 0 .. n step P {
    %0 = index i + $v : i64L
    %1 = index n : i64
    %2 = compare lt %0, %1 : boolL
    %3 = load x[i + $v] if %2 : TL
    store y[i + $v], %3 if %2 : TL
  }
})");
  for (const std::int64_t n : {0, 1, 63, 64, 131}) test::expect_same_everywhere(kernels, {n});
}

// Strided, constant and computed positions; the mask is a scalar, a row or a vector.
TEST(KernelCode, LoadsOfEveryShape) {
  for (const char* index :
       {"i, $v", "i, 3*$v", "$v, i", "i, 5", "i, 63 - $v", "i, floordiv($v, 3)", "floordiv($v, 8), mod($v, 8)", "mod(i + $v, 7), i"}) {
    for (const char* mask : {"", " if %3", " if %5"}) {
      std::string text = R"(kernel @k(x: T[64, 200], y: T[7, P] output, m: bool[7, P]) {
  for i in 0 .. 7 {
    %0 = index i : i64
    %1 = constant 3 : i64
    %3 = compare ne %0, %1 : bool
    %5 = load m[i, $v] : boolL
    %6 = load x[INDEX]MASK : TL
    store y[i, $v], %6 : TL
  }
})";
      text.replace(text.find("INDEX"), 5, index);
      text.replace(text.find("MASK"), 4, mask);
      test::expect_same_everywhere(for_memory_dtypes(text));
    }
  }
}

TEST(KernelCode, StoresOfEveryShape) {
  for (const char* index : {"i, $v", "i, 3*$v", "$v, i", "i, 63 - $v", "i, $v + floordiv($v, 3)"}) {
    for (const char* mask : {"", " if %3", " if %5"}) {
      std::string text = R"(kernel @k(x: T[64, 200], y: T[64, 200] inout, m: bool[7, P]) {
  for i in 0 .. 7 {
    %0 = index i : i64
    %1 = constant 3 : i64
    %3 = compare ne %0, %1 : bool
    %5 = load m[i, $v] : boolL
    %6 = load x[i, $v] : TL
    store y[INDEX], %6MASK : TL
  }
})";
      text.replace(text.find("INDEX"), 5, index);
      text.replace(text.find("MASK"), 4, mask);
      test::expect_same_everywhere(for_memory_dtypes(text));
    }
  }
}

TEST(KernelCode, EveryConstruct) { expect_same_text(ir::all_constructs_text, {6}); }

TEST(KernelCode, ProductWithMaskedRows) {
  for (const std::int64_t m : {0, 1, 3, 4, 9, 64}) expect_same_text(ir::dot_relu_text, {m}, true);
}

TEST(KernelCode, TilesBroadcastRowsColumnsAndLanes) {
  expect_same_text(R"(kernel @k(a: f32[5], b: f32[32], c: f32[5, 2], y: f32[5, 32] output, z: bool[5, 32] output) {
  %0 = load a[$r] : f32[5,1]
  %1 = load b[$v] : f32x16[1,2]
  %2 = load c[$r, $v] : f32[5,2]
  %3 = multiply %0, %1 : f32x16[5,2]
  %4 = maximum %3, %2 : f32x16[5,2]
  %5 = compare lt %0, %2 : bool[5,2]
  %6 = select %5, %4, %1 : f32x16[5,2]
  store y[$r, $v], %6 : f32x16[5,2]
  store z[$r, $v], %5 : boolx16[5,2]
})");
}

TEST(KernelCode, LoopsCarryTiles) {
  const std::string text = R"(kernel @k(x: f32[n, 24], y: f32[3, 8] output, z: i64[2] output) symbols(n) {
  %0 = constant 1 : f32x8[3,1]
  %1 = constant 0 : i64
  %2 = constant 5 : i64
  %8, %9, %10 = for i in 2 .. n step 3 carry (%3 = %0, %4 = %1, %5 = %2) {
    %6 = load x[i, 8*$r + $v] : f32x8[3,1]
    %7 = subtract %6, %3 : f32x8[3,1]
    yield %7, %5, %4
  }
  store y[$r, $v], %8 : f32x8[3,1]
  store z[0], %9 : i64
  store z[1], %10 : i64
})";
  for (const std::int64_t n : {0, 2, 3, 5, 20}) expect_same_text(text, {n});
}

TEST(KernelCode, NestedLoopsBranchesAndLets) {
  const std::string text = R"(kernel @k(x: f32[n, n], t: i32[n], y: f32[n, n] inout, s: f64[n] output) symbols(n) {
  for i in 0 .. n {
    %0 = load t[i] : i32
    let j = %0
    %1 = constant 0 : f64
    %20 = for k in 0 .. min(i + 1, n) carry (%2 = %1) {
      %3 = index mod(i*n + k, 3) : i64
      %4 = constant 1 : i64
      %5 = compare eq %3, %4 : bool
      %9 = if %5 {
        %6 = load x[i, max(k - 1, 0)] : f32
        %7 = load x[k, mod(j, n)] : f32
        %8 = add %6, %7 : f32
        yield %8
      } else {
        %10 = load x[floordiv(k*i, n), k] : f32
        switch mod(k, 4) {
          case 1 {
            store y[i, k], %10 : f32
          }
          case 3 {
            %11 = negate %10 : f32
            store y[i, floordiv(k, 2)], %11 : f32
          }
        }
        yield %10
      }
      %12 = convert %9 : f64
      %13 = add %2, %12 : f64
      yield %13
    }
    store s[i], %20 : f64
  }
})";
  for (const std::int64_t n : {1, 2, 7, 13}) expect_same_text(text, {n});
}

TEST(KernelCode, UnrolledLoops) {
  expect_same_text(R"(kernel @k(x: f32[40], y: f32[40] output, z: f32[] output) {
  %0 = constant 0 : f32
  %6 = for unrolled i in 0 .. 5 carry (%1 = %0) {
    %2 = load x[8*i + $v] : f32x8
    for unrolled j in i .. 5 step 2 {
      store y[8*j + $v], %2 : f32x8
    }
    %4 = reduce add lanes %2 : f32
    %5 = add %1, %4 : f32
    yield %5
  }
  store z[], %6 : f32
})");
}

TEST(KernelCode, IndexValues) {
  expect_same_text(R"(kernel @k(y: i64[4, 32] output, z: i64[32] output) symbols(n) {
  for i in 0 .. 2 {
    %0 = index 100*i + n*$r + 7*$v : i64x16[2,2]
    store y[2*i + $r, $v], %0 : i64x16[2,2]
  }
  %1 = index floordiv($v*n - 17, 5) + mod($v - 9, 4) : i64x8[1,4]
  store z[$v], %1 : i64x8[1,4]
})",
                   {1000003});
}

TEST(KernelCode, StridedBuffersWithSymbols) {
  expect_same_text(R"(kernel @k(x: f32[m, n] strides [2*n, 1], y: f32[n, m] output) symbols(m, n) {
  for i in 0 .. m {
    for j in 0 .. n {
      %0 = load x[i, j] : f32
      store y[j, i], %0 : f32
    }
  }
})",
                   {5, 9});
}

// Aligned vectors may use non-temporal stores; unaligned ones must not fault.
TEST(KernelCode, NonTemporalStores) {
  expect_same_text(R"(kernel @k(x: f32[256] align 64, y: f32[256] output align 64, z: f32[257] inout, w: f64[128] output align 64) {
  for i in 0 .. 256 step 16 {
    %0 = load x[i + $v] : f32x16
    store y[i + $v], %0 non_temporal : f32x16
    store z[i + 1 + $v], %0 non_temporal : f32x16
  }
  for j in 0 .. 128 step 8 {
    %1 = constant 2.5 : f64x8
    store w[j + $v], %1 non_temporal : f64x8
  }
})");
}

// ---- parallel loops

const std::string parallel_text = R"(kernel @k(x: f32[n, m], scale: f32[8], y: f32[n, m] output, t: i32[n]) symbols(n, m) work(100000000) {
  %0 = load scale[$v] : f32x8
  %1 = index m : i64
  for j in 0 .. m step 8 {
    for parallel i in 1 .. n step 2 {
      %2 = index j + $v : i64x8
      %3 = compare lt %2, %1 : boolx8
      %4 = load x[i, j + $v] if %3 : f32x8
      %5 = multiply %4, %0 : f32x8
      store y[i, j + $v], %5 if %3 : f32x8
      for parallel k in 0 .. 1 {
        %6 = load t[i - 1] : i32
        %7 = convert %6 : f32
        store y[i - 1, j], %7 : f32
      }
    }
  }
})";

struct Pool {
  std::atomic<int> calls{0};
  std::atomic<std::int64_t> iterations{0};
  int threads = 3;
};

/// Splits the iterations over real threads, the last piece first.
void run_on_threads(void* context, std::int64_t count, kiln_parallel_body body, void* body_context) {
  auto* pool = static_cast<Pool*>(context);
  ++pool->calls;
  pool->iterations += count;
  std::vector<std::thread> threads;
  for (int i = pool->threads; i-- > 0;)
    threads.emplace_back([=] { body(body_context, count * i / pool->threads, count * (i + 1) / pool->threads); });
  for (auto& thread : threads) thread.join();
}

class Parallel : public testing::TestWithParam<std::int64_t> {};

TEST_P(Parallel, SameOnThreadsAndSerially) {
  const ir::Kernel kernel = ir::parse_kernels(parallel_text).at(0);
  const std::int64_t n = GetParam(), m = 21;
  std::vector<float> x(static_cast<std::size_t>(n * m)), scale(8), expected(x.size(), -1.0F);
  std::vector<std::int32_t> t(static_cast<std::size_t>(n), 17);
  test::fill_special(x.data(), DType::f32, x.size(), 1);
  test::fill_special(scale.data(), DType::f32, scale.size(), 1);
  const ir::BoundBuffer bound[] = {{x.data()}, {scale.data()}, {expected.data()}, {t.data()}};
  const std::int64_t symbols[] = {n, m};
  ir::interpret(kernel, bound, symbols);
  const test::Compiled compiled = test::compile(test::program_of(kernel));
  for (const bool threads : {false, true}) {
    std::vector<float> y(x.size(), -1.0F);
    Pool pool;
    test::Call call;
    call.inputs = {x.data(), scale.data(), t.data()};
    call.outputs = {y.data()};
    call.symbols = {n, m};
    if (threads) {
      call.call.parallel_for = run_on_threads;
      call.call.pool = &pool;
    }
    ASSERT_EQ(compiled.code.entry(call.prepare()), KILN_OK);
    for (std::size_t i = 0; i < y.size(); ++i) {
      std::uint32_t have = 0, want = 0;
      std::memcpy(&have, &y[i], 4);
      std::memcpy(&want, &expected[i], 4);
      const bool both_nan = y[i] != y[i] && expected[i] != expected[i];
      ASSERT_TRUE(have == want || both_nan) << i << ": " << y[i] << " instead of " << expected[i];
    }
    if (threads && n > 3) {  // one iteration or none needs no thread; a parallel loop in another runs inline
      EXPECT_EQ(pool.calls, 3);
      EXPECT_EQ(pool.iterations, 3 * (n / 2));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Parallel, testing::Values(1, 2, 3, 4, 5, 64, 101));

TEST(KernelCode, LittleWorkStaysSerial) {
  std::string text = parallel_text;
  text.replace(text.find("100000000"), 9, "1000");
  const std::int64_t n = 6, m = 8;
  const test::Compiled compiled = test::compile(test::program_of(ir::parse_kernels(text)));
  std::vector<float> x(48), scale(8), y(48);
  std::vector<std::int32_t> t(6);
  Pool pool;
  test::Call call;
  call.inputs = {x.data(), scale.data(), t.data()};
  call.outputs = {y.data()};
  call.symbols = {n, m};
  call.call.parallel_for = run_on_threads;
  call.call.pool = &pool;
  ASSERT_EQ(compiled.code.entry(call.prepare()), KILN_OK);
  EXPECT_EQ(pool.calls, 0);
}

// ---- what the machine code looks like

/// Lines of the innermost loop that contains `marker`: from the last label before its first occurrence to the first backward jump after its
/// last one.
std::string loop_around(const std::string& assembly, const std::string& marker) {
  const std::size_t first = assembly.find(marker), last = assembly.rfind(marker);
  if (first == std::string::npos) return "";
  const std::size_t begin = assembly.rfind("\n.LBB", first), end = assembly.find("\tj", last);
  return assembly.substr(begin, end - begin);
}

TEST(KernelCode, RegisterTiledProductDoesNotSpill) {
  for (const auto& [target, tile, fmas] :
       {std::tuple("x86-64-v4", "14,2", 28), std::tuple("x86-64-v4", "8,3", 24), std::tuple("x86-64-v4", "6,4", 24)}) {
    std::string text = R"(kernel @gemm(a: f32[56, 300], b: f32[300, 96], c: f32[56, 96] output) {
  %0 = constant 0 : f32x16[TILE]
  %5 = for k in 0 .. 300 carry (%1 = %0) {
    %2 = load a[$r, k] : f32[ROWS,1]
    %3 = load b[k, $v] : f32x16[1,COLS]
    %4 = fma %2, %3, %1 : f32x16[TILE]
    yield %4
  }
  store c[$r, $v], %5 : f32x16[TILE]
})";
    const std::string shape = tile;
    const auto replace = [&](const std::string& what, const std::string& with) {
      for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
        text.replace(at, what.size(), with);
    };
    replace("TILE", shape);
    replace("ROWS", shape.substr(0, shape.find(',')));
    replace("COLS", shape.substr(shape.find(',') + 1));
    codegen::X86Options options;
    options.target = target;
    const std::string loop = loop_around(codegen::assembly_text(test::program_of(ir::parse_kernels(text)), options), "vfmadd");
    int multiply_adds = 0;
    for (std::size_t at = loop.find("vfmadd"); at != std::string::npos; at = loop.find("vfmadd", at + 1)) ++multiply_adds;
    EXPECT_EQ(multiply_adds, fmas) << loop;
    EXPECT_EQ(loop.find("rsp"), std::string::npos) << loop;
    EXPECT_EQ(loop.find("rbp"), std::string::npos) << loop;
  }
}

}  // namespace
}  // namespace kiln

// The loop interpreter: results to the bit, and planted bugs that its checks must find.
#include "ir/loop_interpreter.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "ir/loop_builder.h"
#include "ir/loop_text.h"
#include "tests/loops/kernels.h"

namespace kiln::ir {
namespace {

Kernel parse_one(const std::string& text) { return std::move(parse_kernels(text).at(0)); }

std::string failure(const std::string& text, std::vector<BoundBuffer> buffers, std::vector<std::int64_t> symbols = {}) {
  try {
    interpret(parse_one(text), buffers, symbols);
  } catch (const InternalError& error) {
    return error.what();
  }
  return "no failure";
}

TEST(LoopInterpreter, ProductWithMaskedEdge) {
  const Kernel kernel = parse_one(dot_relu_text);
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (const std::int64_t m : {0, 1, 3, 4, 9}) {
    std::vector<float> x(static_cast<std::size_t>(m) * 24), w(24 * 32), out(static_cast<std::size_t>(m) * 32, -1), reversed = out;
    for (float& v : x) v = normal(random);
    for (float& v : w) v = normal(random);
    const BoundBuffer buffers[] = {{x.data()}, {w.data()}, {out.data()}}, other[] = {{x.data()}, {w.data()}, {reversed.data()}};
    const std::int64_t symbols[] = {m};
    interpret(kernel, buffers, symbols);
    interpret_reversed(kernel, other, symbols);
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < 32; ++j) {
        float sum = 0;
        for (std::int64_t k = 0; k < 24; ++k)
          sum = std::fma(x[static_cast<std::size_t>(i * 24 + k)], w[static_cast<std::size_t>(k * 32 + j)], sum);
        EXPECT_EQ(out[static_cast<std::size_t>(i * 32 + j)], 0 > sum ? 0 : sum);
      }
    }
    EXPECT_EQ(out, reversed);
  }
}

/// The value of one unary or binary op on scalars.
template <class T>
T apply(LoopOp op, std::vector<T> operands) {
  KernelBuilder b("one");
  const BufferId in = b.buffer("in", dtype_of<T>(), {static_cast<int>(operands.size())}, Buffer::Role::input);
  const BufferId out = b.buffer("out", dtype_of<T>(), {}, Buffer::Role::output);
  KernelBuilder::Registers values;
  for (std::size_t k = 0; k < operands.size(); ++k) values.push_back(b.load(in, {static_cast<int>(k)}, {dtype_of<T>()}));
  b.store(out, {}, b.apply(op, values), {dtype_of<T>()});
  T values_in_memory[3] = {}, result{};
  std::copy(operands.begin(), operands.end(), values_in_memory);
  const BoundBuffer buffers[] = {{values_in_memory}, {&result}};
  const Kernel kernel = b.finish();
  verify(kernel);
  interpret(kernel, buffers, {});
  return result;
}

template <class From, class To>
To convert(From value) {
  KernelBuilder b("one");
  const BufferId in = b.buffer("in", dtype_of<From>(), {}, Buffer::Role::input);
  const BufferId out = b.buffer("out", dtype_of<To>(), {}, Buffer::Role::output);
  b.store(out, {}, b.convert(b.load(in, {}, {dtype_of<From>()}), dtype_of<To>()), {dtype_of<To>()});
  To result{};
  const BoundBuffer buffers[] = {{&value}, {&result}};
  interpret(b.finish(), buffers, {});
  return result;
}

TEST(LoopInterpreter, IntegerEdges) {
  constexpr std::int32_t least = INT32_MIN;
  EXPECT_EQ(apply<std::int32_t>(LoopOp::divide, {7, 0}), -1);
  EXPECT_EQ(apply<std::int32_t>(LoopOp::divide, {least, -1}), least);
  EXPECT_EQ(apply<std::int32_t>(LoopOp::divide, {-7, 2}), -3);
  EXPECT_EQ(apply<std::int32_t>(LoopOp::remainder, {-7, 2}), -1);
  EXPECT_EQ(apply<std::int32_t>(LoopOp::remainder, {7, 0}), 7);
  EXPECT_EQ(apply<std::int32_t>(LoopOp::remainder, {least, -1}), 0);
  EXPECT_EQ(apply<std::uint8_t>(LoopOp::divide, {7, 0}), 255);
  EXPECT_EQ(apply<std::uint16_t>(LoopOp::multiply, {65535, 65535}), 1);
  EXPECT_EQ(apply<std::int64_t>(LoopOp::add, {INT64_MAX, 1}), INT64_MIN);
  EXPECT_EQ(apply<std::int8_t>(LoopOp::abs, {-128}), -128);
  EXPECT_EQ(apply<std::int32_t>(LoopOp::negate, {least}), least);
  EXPECT_EQ(apply<std::int32_t>(LoopOp::shift_left, {1, 32}), 0);
  EXPECT_EQ(apply<std::int32_t>(LoopOp::shift_left, {1, -1}), 0);
  EXPECT_EQ(apply<std::int32_t>(LoopOp::shift_right_arithmetic, {-8, 99}), -1);
  EXPECT_EQ(apply<std::int32_t>(LoopOp::shift_right_logical, {-1, 28}), 15);
  EXPECT_EQ(apply<std::uint32_t>(LoopOp::shift_right_arithmetic, {0x80000000U, 31}), 0xFFFFFFFFU);
  EXPECT_EQ(apply<bool>(LoopOp::not_, {true}), false);
  EXPECT_EQ(apply<bool>(LoopOp::xor_, {true, true}), false);
}

TEST(LoopInterpreter, FloatEdges) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isnan(apply<float>(LoopOp::maximum, {nan, 1})));
  EXPECT_TRUE(std::isnan(apply<float>(LoopOp::maximum, {1, nan})));
  EXPECT_TRUE(std::isnan(apply<float>(LoopOp::minimum, {nan, 1})));
  EXPECT_TRUE(std::signbit(apply<float>(LoopOp::maximum, {0.F, -0.F})));  // a > b is false: b
  EXPECT_TRUE(std::signbit(apply<float>(LoopOp::negate, {0.F})));
  EXPECT_EQ(apply<float>(LoopOp::round_nearest_even, {2.5F}), 2);
  EXPECT_EQ(apply<float>(LoopOp::round_nearest_even, {3.5F}), 4);
  EXPECT_TRUE(std::signbit(apply<float>(LoopOp::round_nearest_even, {-0.25F})));
  EXPECT_EQ(apply<float>(LoopOp::round_nearest_even, {16777217.0F}), 16777216.0F);
  EXPECT_EQ(apply<float>(LoopOp::remainder, {-5.5F, 2}), -1.5F);
  // fma rounds once: (1 + e)(1 - e) - 1 = -e^2
  const float e = std::ldexp(1.F, -13);
  EXPECT_EQ(apply<float>(LoopOp::fma, {1 + e, 1 - e, -1}), -e * e);
  EXPECT_EQ(apply<double>(LoopOp::fma, {1 + 1e-9, 1 - 1e-9, -1}), std::fma(1 + 1e-9, 1 - 1e-9, -1.0));
  EXPECT_EQ(static_cast<float>(apply<float16>(LoopOp::add, {float16(2048), float16(1)})), 2048);
  EXPECT_EQ(static_cast<float>(apply<bfloat16>(LoopOp::multiply, {bfloat16(3), bfloat16(0.5F)})), 1.5F);

  EXPECT_EQ((convert<float, std::int32_t>(nan)), 0);
  EXPECT_EQ((convert<float, std::int32_t>(inf)), INT32_MAX);
  EXPECT_EQ((convert<float, std::int32_t>(-3e9F)), INT32_MIN);
  EXPECT_EQ((convert<float, std::uint8_t>(-1.5F)), 0);
  EXPECT_EQ((convert<float, std::uint8_t>(255.9F)), 255);
  EXPECT_EQ((convert<double, std::int64_t>(9.3e18)), INT64_MAX);
  EXPECT_EQ((convert<double, std::int64_t>(-1.9)), -1);
  EXPECT_EQ((convert<std::int32_t, std::int8_t>(300)), 44);
  EXPECT_EQ((convert<float, bool>(nan)), true);
  EXPECT_EQ((convert<float, bool>(-0.F)), false);
  EXPECT_EQ((convert<bool, double>(true)), 1.0);
}

TEST(LoopInterpreter, ReductionTree) {
  // 7 lanes: the last onto the first, then halves: ((a0 + a6) + a3), (a1 + a4), (a2 + a5) -> odd again: element 2 onto 0, then 1 onto 0.
  const std::vector<float> a = {1e8F, 1, -1e8F, 3, 1e-3F, 7, 0.5F};
  const float e0 = (a[0] + a[6]) + a[3], e1 = a[1] + a[4], e2 = a[2] + a[5];
  // n = 7: last onto 0, n = 6 -> i with i + 3; n = 3: last onto 0, n = 2 -> i with i + 1.
  const float expected = (e0 + e2) + e1;
  const std::string text = R"(kernel @k(a: f32[7], out: f32[] output) {
  %0 = load a[$v] : f32x7
  %1 = reduce add lanes %0 : f32
  store out[], %1 : f32
}
)";
  float result = 0;
  const BoundBuffer buffers[] = {{const_cast<float*>(a.data())}, {&result}};
  interpret(parse_one(text), buffers, {});
  EXPECT_EQ(result, expected);
}

TEST(LoopInterpreter, AxesOfReductionsAndBroadcasts) {
  const std::string text = R"(kernel @k(rows: i32[2,3] output, cols: i32[2,4] output, lanes: i32[2,3] output, all: i32[2,12] output) {
  %0 = index 100*$r + $v : i64x4[2,3]
  %1 = convert %0 : i32x4[2,3]
  store all[$r, $v], %1 : i32x4[2,3]
  %2 = reduce add lanes %1 : i32[2,3]
  store lanes[$r, $v], %2 : i32[2,3]
  %3 = reduce maximum cols %1 : i32x4[2,1]
  store cols[$r, $v], %3 : i32x4[2,1]
  %4 = reduce add rows %2 : i32[1,3]
  store rows[$r, $v], %4 : i32[2,3]
}
)";
  std::vector<std::int32_t> rows(6), cols(8), lanes(6), all(24);
  const BoundBuffer buffers[] = {{rows.data()}, {cols.data()}, {lanes.data()}, {all.data()}};
  interpret(parse_one(text), buffers, {});
  EXPECT_EQ(all[13], 101);
  EXPECT_EQ(lanes, (std::vector<std::int32_t>{6, 22, 38, 406, 422, 438}));
  EXPECT_EQ(cols, (std::vector<std::int32_t>{8, 9, 10, 11, 108, 109, 110, 111}));
  EXPECT_EQ(rows, (std::vector<std::int32_t>{412, 444, 476, 412, 444, 476}));
}

TEST(LoopInterpreter, CarriedValuesSwapAndAccumulate) {
  // Fibonacci by swapping carried values; a zero-trip loop yields what it started with.
  const std::string text = R"(kernel @k(out: i64[3] output) symbols(n) {
  %0 = constant 0 : i64
  %1 = constant 1 : i64
  %5, %6 = for i in 0 .. n carry (%2 = %0, %3 = %1) {
    %4 = add %2, %3 : i64
    yield %3, %4
  }
  store out[0], %5 : i64
  %9, %10 = for j in 0 .. n carry (%7 = %0, %8 = %1) {
    yield %8, %7
  }
  store out[1], %9 : i64
  %12 = for k in n .. n carry (%11 = %1) {
    yield %0
  }
  store out[2], %12 : i64
}
)";
  std::int64_t out[3];
  const BoundBuffer buffers[] = {{out}};
  const std::int64_t symbols[] = {11};
  interpret(parse_one(text), buffers, symbols);
  EXPECT_EQ(out[0], 89);
  EXPECT_EQ(out[1], 1);
  EXPECT_EQ(out[2], 1);
}

TEST(LoopInterpreter, EveryConstructRuns) {
  const Kernel kernel = parse_one(all_constructs_text);
  const std::int64_t n = 6;
  std::vector<float> a(48), out(48, 0), tmp(16);
  for (std::size_t k = 0; k < a.size(); ++k) a[k] = static_cast<float>(k % 11);
  std::vector<double> b(8, 2), io(6, 1);
  std::vector<std::int32_t> c(6, 3);
  const BoundBuffer buffers[] = {{a.data()}, {b.data()}, {c.data()}, {out.data()}, {io.data()}, {tmp.data()}};
  const std::int64_t symbols[] = {n};
  interpret(kernel, buffers, symbols);
  for (std::size_t i = 0; i < 6; ++i) {
    float sum[8];
    float greatest = 0;
    for (std::size_t v = 0; v < 8; ++v) {
      sum[v] = std::max(a[8 * i + v], a[8 * i + 3 * v % 8]);
      greatest = std::max(greatest, a[8 * i + v]);
    }
    const float total = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
    EXPECT_EQ(out[8 * i], total >= greatest ? total + greatest : total - greatest);
    EXPECT_EQ(out[8 * i + 1], i % 3 == 0 ? total : 0);
    EXPECT_EQ(out[8 * i + 2], i % 3 == 2 ? greatest : 0);
    EXPECT_EQ(io[i], 1 + static_cast<double>(out[8 * i]) + 2);
  }
}

// ---- planted bugs

TEST(LoopInterpreter, FindsIndicesOutOfBounds) {
  float x[8] = {}, y[8];
  const std::string message =
      failure("kernel @k(x: f32[8]) symbols(n) {\n  for i in 0 .. n {\n    %0 = load x[4*i + $v] : f32x4\n  }\n}\n", {{x}}, {3});
  EXPECT_NE(message.find("kernel @k: out of bounds: index 0 of buffer 'x' runs from 8 to 11, its extent is 8: `%0 = load x[4*i + $v] : "
                         "f32x4` with n = 3, i = 2"),
            std::string::npos)
      << message;
  EXPECT_NE(failure("kernel @k(y: f32[8] output) {\n  %0 = constant 0 : f32\n  store y[-1], %0 : f32\n}\n", {{y}})
                .find("index 0 of buffer 'y' is -1"),
            std::string::npos);
  // Inside the buffer, outside the row.
  EXPECT_NE(
      failure("kernel @k(x: f32[2, 4]) {\n  %0 = load x[0, 1 + $v] : f32x4\n}\n", {{x}}).find("index 1 of buffer 'x' runs from 1 to 4"),
      std::string::npos);
  // A mask makes it legal; a mask that lets one bad lane through does not.
  const std::string masked =
      "kernel @k(x: f32[8]) symbols(n) {\n  %0 = index 6 + $v : i64x4\n  %1 = index n : i64\n  %2 = compare lt %0, %1 : boolx4\n"
      "  %3 = load x[6 + $v] if %2 : f32x4\n}\n";
  EXPECT_EQ(failure(masked, {{x}}, {8}), "no failure");
  EXPECT_NE(failure(masked, {{x}}, {9}).find("index 0 of buffer 'x' is 8"), std::string::npos);
}

TEST(LoopInterpreter, FindsRaces) {
  std::vector<float> x(64, 1), y(64);
  // Two iterations write one cell.
  EXPECT_NE(failure("kernel @k(y: f32[64] output) {\n  %0 = constant 1 : f32x8\n  for parallel i in 0 .. 8 {\n    store y[7*i + $v], %0 : "
                    "f32x8\n  }\n}\n",
                    {{y.data()}})
                .find("a race: another iteration of a parallel loop wrote a cell of buffer 'y'"),
            std::string::npos);
  // An iteration reads what an earlier one wrote, and what a later one will write.
  const std::string shifted =
      "kernel @k(y: f32[64] inout) {\n  for parallel i in 1 .. 63 {\n    %0 = load y[i + OFFSET] : f32\n    store y[i], %0 : f32\n  }\n}\n";
  for (const char* offset : {"-1", "1"}) {
    std::string text = shifted;
    text.replace(text.find("+ OFFSET"), 8, offset[0] == '-' ? "- 1" : "+ 1");
    EXPECT_NE(failure(text, {{y.data()}}).find("a race"), std::string::npos) << text;
  }
  std::string same = shifted;
  same.replace(same.find(" + OFFSET"), 9, "");
  EXPECT_EQ(failure(same, {{y.data()}}), "no failure");
  // A reduction into one cell without a second stage.
  EXPECT_NE(
      failure("kernel @k(x: f32[64], y: f32[] inout) {\n  for parallel i in 0 .. 64 {\n    %0 = load x[i] : f32\n    %1 = load y[] : f32\n"
              "    %2 = add %0, %1 : f32\n    store y[], %2 : f32\n  }\n}\n",
              {{x.data()}, {y.data()}})
          .find("a race"),
      std::string::npos);
  // Two parallel loops one after the other are ordered.
  EXPECT_EQ(failure("kernel @k(x: f32[64], y: f32[64] output, t: f32[64] scratch) {\n  for parallel i in 0 .. 64 {\n    %0 = load x[i] : "
                    "f32\n    store t[i], %0 : f32\n  }\n"
                    "  for parallel j in 0 .. 64 {\n    %1 = load t[63 - j] : f32\n    store y[j], %1 : f32\n  }\n}\n",
                    {{x.data()}, {y.data()}, {std::vector<float>(64).data()}}),
            "no failure");
  // Parallel loops inside parallel loops.
  const std::string nested =
      "kernel @k(y: f32[64] output) {\n  %0 = constant 1 : f32\n  for parallel i in 0 .. 8 {\n    for parallel j in 0 .. 8 {\n"
      "      store y[INDEX], %0 : f32\n    }\n  }\n}\n";
  for (const auto& [index, bad] : {std::pair{"8*i + j", false}, {"i", true}, {"j", true}, {"i + 8*j", false}, {"4*i + j", true}}) {
    std::string text = nested;
    text.replace(text.find("INDEX"), 5, index);
    EXPECT_EQ(failure(text, {{y.data()}}).find("a race") != std::string::npos, bad) << index;
  }
  // The inner loop may read what its outer iteration wrote before it.
  EXPECT_EQ(failure("kernel @k(y: f32[8,8] output, t: f32[8] scratch) {\n  %0 = constant 1 : f32\n  for parallel i in 0 .. 8 {\n    store "
                    "t[i], %0 : f32\n"
                    "    for parallel j in 0 .. 8 {\n      %1 = load t[i] : f32\n      store y[i, j], %1 : f32\n    }\n  }\n}\n",
                    {{y.data()}, {x.data()}}),
            "no failure");
}

TEST(LoopInterpreter, FindsReadsOfUnwrittenMemory) {
  std::vector<float> y(16), t(16);
  const std::string text =
      "kernel @k(y: f32[16] output, t: f32[16] scratch) symbols(n) {\n  %0 = constant 1 : f32\n  for i in 0 .. n {\n    store t[i], %0 : "
      "f32\n  }\n"
      "  %1 = load t[$v] : f32x16\n  store y[$v], %1 : f32x16\n}\n";
  EXPECT_EQ(failure(text, {{y.data()}, {t.data()}}, {16}), "no failure");
  EXPECT_NE(failure(text, {{y.data()}, {t.data()}}, {15}).find("a read of a cell of buffer 't'"), std::string::npos);
  EXPECT_NE(failure("kernel @k(y: f32[16] output) {\n  %0 = load y[3] : f32\n  store y[3], %0 : f32\n}\n", {{y.data()}})
                .find("that nothing has written"),
            std::string::npos);
}

TEST(LoopInterpreter, MemoryMayBeShared) {
  // y[i] = x[i] + 1 in place is fine; y[i] = x[15 - i] is not.
  std::vector<float> x(16, 1);
  const std::string in_place =
      "kernel @k(x: f32[16], y: f32[16] output) {\n  %0 = constant 1 : f32\n  for parallel i in 0 .. 16 {\n    %1 = load x[i] : f32\n"
      "    %2 = add %0, %1 : f32\n    store y[i], %2 : f32\n  }\n}\n";
  EXPECT_EQ(failure(in_place, {{x.data()}, {x.data()}}), "no failure");
  EXPECT_EQ(x, std::vector<float>(16, 2));
  const std::string reversal =
      "kernel @k(x: f32[16], y: f32[16] output) {\n  for i in 0 .. 16 {\n    %1 = load x[15 - i] : f32\n    store y[i], %1 : f32\n  }\n}\n";
  EXPECT_NE(failure(reversal, {{x.data()}, {x.data()}}).find("after a store through another buffer on the same memory"), std::string::npos);
  std::vector<float> y(16);
  EXPECT_EQ(failure(reversal, {{x.data()}, {y.data()}}), "no failure");
}

TEST(LoopInterpreter, FindsStoresThatFallOnOneCell) {
  float y[8];
  EXPECT_NE(failure("kernel @k(y: f32[8] output) {\n  %0 = constant 0 : f32x8\n  store y[3], %0 : f32x8\n}\n", {{y}})
                .find("fall on the same cell"),
            std::string::npos);
}

}  // namespace
}  // namespace kiln::ir

// Programs as one native function: order, storage, control flow, tapes, checks, commits, the plan.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>

#include "ir/loop_text.h"
#include "tests/codegen/support.h"
#include "tests/loops/programs.h"

namespace kiln {
namespace {

using ir::Dim;
using ir::Statement;
using ir::StatementKind;
using ir::Storage;

constexpr const char* kernels_text = R"(
kernel @add(a: f32[4], b: f32[4], y: f32[4] output) {
  %0 = load a[$v] : f32x4
  %1 = load b[$v] : f32x4
  %2 = add %0, %1 : f32x4
  store y[$v], %2 : f32x4
}
kernel @less(i: i64[], n: i64[], y: bool[] output) {
  %0 = load i[] : i64
  %1 = load n[] : i64
  %2 = compare lt %0, %1 : bool
  store y[], %2 : bool
}
kernel @increment(i: i64[] inout) {
  %0 = load i[] : i64
  %1 = constant 1 : i64
  %2 = add %0, %1 : i64
  store i[], %2 : i64
}
kernel @zero(i: i64[] output) {
  %0 = constant 0 : i64
  store i[], %0 : i64
}
kernel @fill(y: f32[n, 3] output, out: f32[n, 3] output) symbols(n) {
  for i in 0 .. n {
    for j in 0 .. 3 {
      %0 = index n*100 + 3*i + j : i64
      %1 = convert %0 : f32
      store y[i, j], %1 : f32
      store out[i, j], %1 : f32
    }
  }
}
)";

enum Kernel : std::uint32_t { add, less, increment, zero, fill };

/// A program under construction: buffers by kind, statements by kind.
struct Writer {
  ir::Program program;
  Writer() {
    program.name = "p";
    program.kernels = ir::parse_kernels(kernels_text);
  }
  std::uint32_t buffer(Storage storage, std::uint32_t index, DType dtype, ir::Dims extents, Dim offset = 0) {
    ir::ProgramBuffer b;
    b.name = "b" + std::to_string(program.buffers.size());
    b.storage = storage;
    b.index = index;
    b.dtype = dtype;
    b.extents = std::move(extents);
    b.offset = std::move(offset);
    program.buffers.push_back(b);
    return static_cast<std::uint32_t>(program.buffers.size() - 1);
  }
  static Statement statement(StatementKind kind, std::uint32_t index, std::vector<std::uint32_t> buffers,
                             std::vector<std::vector<Statement>> blocks = {}) {
    Statement s;
    s.kind = kind;
    s.index = index;
    s.buffers = std::move(buffers);
    s.blocks = std::move(blocks);
    return s;
  }
};

Statement call(Kernel kernel, std::vector<std::uint32_t> buffers) {
  return Writer::statement(StatementKind::call, kernel, std::move(buffers));
}

/// An arena of 64-byte aligned, poisoned bytes.
struct Arena {
  explicit Arena(std::size_t bytes) : data(static_cast<unsigned char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64))) {
    std::memset(data, 0xa5, bytes);
  }
  ~Arena() { std::free(data); }
  unsigned char* data;
};

struct Allocator {
  std::vector<void*> blocks;
  std::vector<std::size_t> sizes;
  std::size_t limit = 1000;
  ~Allocator() {
    for (void* block : blocks) std::free(block);
  }
  static void* allocate(void* self, std::size_t bytes) {
    auto* allocator = static_cast<Allocator*>(self);
    if (allocator->blocks.size() >= allocator->limit) return nullptr;
    allocator->sizes.push_back(bytes);
    allocator->blocks.push_back(std::malloc(bytes));
    return allocator->blocks.back();
  }
};

TEST(ProgramCode, StorageOfEveryKindAndCommit) {
  Writer w;
  const auto in = w.buffer(Storage::input, 0, f32, {4}), out = w.buffer(Storage::output, 0, f32, {4}),
             variable = w.buffer(Storage::variable, 1, f32, {4}), shadow = w.buffer(Storage::shadow, 1, f32, {4}),
             constant = w.buffer(Storage::constant, 0, f32, {4}), scratch = w.buffer(Storage::arena, 0, f32, {4}, 128);
  w.program.body = {call(add, {in, constant, scratch}), call(add, {scratch, variable, shadow}),
                    Writer::statement(StatementKind::commit, 1, {}),
                    // From here on `variable` is what was the shadow.
                    Writer::statement(StatementKind::copy, 0, {out, variable})};
  const test::Compiled compiled = test::compile(w.program);
  float x[] = {1, 2, 3, 4}, c[] = {10, 20, 30, 40}, v0[4] = {}, v1[] = {100, 200, 300, 400}, s1[4] = {}, y[4] = {};
  Arena arena(256);
  test::Call call;
  call.inputs = {x};
  call.outputs = {y};
  call.constants = {c};
  call.variables = {v0, v1};
  call.shadows = {nullptr, s1};
  call.call.arena = arena.data;
  ASSERT_EQ(compiled.code.entry(call.prepare()), KILN_OK);
  EXPECT_EQ(call.variables[1], s1);
  EXPECT_EQ(call.shadows[1], v1);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(y[i], 111.0F * static_cast<float>(i + 1));
    EXPECT_EQ(v1[i], 100.0F * static_cast<float>(i + 1));
  }
}

// sum = start; for (i = 0; i < n; ++i) sum += x, with an if inside, a poll at the back-edge and a check after it.
struct Loop {
  Writer w;
  Loop() {
    const auto x = w.buffer(Storage::input, 0, f32, {4}), n = w.buffer(Storage::input, 1, i64, {}),
               doubled = w.buffer(Storage::input, 2, boolean, {}), ok = w.buffer(Storage::input, 3, boolean, {}),
               sum = w.buffer(Storage::output, 0, f32, {4}), i = w.buffer(Storage::arena, 0, i64, {}, 0),
               test = w.buffer(Storage::arena, 0, boolean, {}, 64);
    w.program.checks.resize(3);
    w.program.body = {
        call(zero, {i}), Writer::statement(StatementKind::copy, 0, {sum, x}),
        Writer::statement(StatementKind::while_, 0, {test},
                          {{call(less, {i, n, test})},
                           {call(add, {sum, x, sum}), Writer::statement(StatementKind::if_, 0, {doubled}, {{call(add, {sum, x, sum})}, {}}),
                            call(increment, {i}), Writer::statement(StatementKind::poll, 0, {})}}),
        Writer::statement(StatementKind::check, 2, {ok})};
  }
};

TEST(ProgramCode, WhileIfPollAndCheck) {
  const Loop loop;
  const test::Compiled compiled = test::compile(loop.w.program);
  for (const std::int64_t n : {0, 1, 5}) {
    for (const bool doubled : {false, true}) {
      for (const bool ok : {true, false}) {
        float x[] = {1, 2, 3, 4}, sum[4] = {};
        Arena arena(128);
        test::Call call;
        call.inputs = {x, &n, &doubled, &ok};
        call.outputs = {sum};
        call.call.arena = arena.data;
        EXPECT_EQ(compiled.code.entry(call.prepare()), ok ? KILN_OK : KILN_CHECK_FAILED);
        EXPECT_EQ(call.call.detail, ok ? 0 : 2);
        EXPECT_EQ(sum[3], 4.0F * static_cast<float>(1 + (doubled ? 2 : 1) * n));
      }
    }
  }
}

TEST(ProgramCode, PollStopsTheRun) {
  const Loop loop;
  const test::Compiled compiled = test::compile(loop.w.program);
  const std::int64_t n = 100;
  const bool doubled = false, ok = true;
  float x[] = {1, 1, 1, 1}, sum[4] = {};
  Arena arena(128);
  int polls = 0;
  test::Call call;
  call.inputs = {x, &n, &doubled, &ok};
  call.outputs = {sum};
  call.call.arena = arena.data;
  call.call.poll_context = &polls;
  call.call.poll = [](void* context) -> std::int32_t { return ++*static_cast<int*>(context) == 7 ? KILN_DEADLINE : KILN_OK; };
  EXPECT_EQ(compiled.code.entry(call.prepare()), KILN_DEADLINE);
  EXPECT_EQ(polls, 7);
  EXPECT_EQ(sum[0], 8);
}

// Pushes 0, 1 ... n-1 and pops them all, `rounds` times.
ir::Program tape_program() {
  Writer w;
  const Dim rows = Dim::symbol("rows");
  w.program.symbols = {std::make_shared<const ir::SymbolInfo>(*rows.symbol_info())};
  const auto n = w.buffer(Storage::input, 0, i64, {}), last = w.buffer(Storage::output, 0, i64, {}),
             trace = w.buffer(Storage::output, 1, i64, {}), state = w.buffer(Storage::arena, 0, u8, {64}, 0),
             i = w.buffer(Storage::arena, 0, i64, {rows}, 64), test = w.buffer(Storage::arena, 0, boolean, {}, rows * 8 + 64),
             round = w.buffer(Storage::arena, 0, i64, {}, rows * 8 + 128), rounds = w.buffer(Storage::input, 1, i64, {});
  w.program.tapes.push_back({"tape", i64, {rows}, state});
  const auto counting = [&](std::uint32_t counter, std::uint32_t limit, std::vector<Statement> body) {
    return Writer::statement(StatementKind::while_, 0, {test}, {{call(less, {counter, limit, test})}, std::move(body)});
  };
  // trace counts pops; `last` is first the inner counter, at the end what the final pop gave.
  w.program.body = {
      call(zero, {round}), call(zero, {trace}),
      counting(round, rounds,
               {Writer::statement(StatementKind::tape_clear, 0, {}), call(zero, {i}),
                counting(i, n, {Writer::statement(StatementKind::tape_push, 0, {i}), call(increment, {i})}), call(zero, {last}),
                counting(last, n, {Writer::statement(StatementKind::tape_pop, 0, {i}), call(increment, {last}), call(increment, {trace})}),
                call(increment, {round})}),
      Writer::statement(StatementKind::copy, 0, {last, i})};
  w.program.arena_bytes = rows * 8 + 256;
  return w.program;
}

TEST(ProgramCode, TapesAreStacksInGrowingChunks) {
  const test::Compiled compiled = test::compile(tape_program());
  for (const std::int64_t rows : {1, 3, 700}) {
    for (const std::int64_t n : {0, 1, 2, 600, 5000}) {
      const std::int64_t rounds = 2;
      std::int64_t last = -1, trace = -1;
      Arena arena(static_cast<std::size_t>(rows) * 8 + 256);
      Allocator allocator;
      test::Call call;
      call.inputs = {&n, &rounds};
      call.outputs = {&last, &trace};
      call.symbols = {rows};
      call.call.arena = arena.data;
      call.call.allocate = Allocator::allocate;
      call.call.allocator = &allocator;
      ASSERT_EQ(compiled.code.entry(call.prepare()), KILN_OK) << rows << " rows, " << n << " pushes";
      EXPECT_EQ(trace, 2 * n);
      EXPECT_EQ(last, 0);  // popped in reverse: the first one pushed comes last
      std::size_t bytes = 0;
      for (const std::size_t size : allocator.sizes) bytes += size;
      EXPECT_LE(bytes, static_cast<std::size_t>(2 * n * rows * 8 + 8192)) << "the second round must use the chunks of the first";
      EXPECT_LE(allocator.sizes.size(), 24U);
    }
  }
}

TEST(ProgramCode, TapeWithoutMemory) {
  const test::Compiled compiled = test::compile(tape_program());
  const std::int64_t n = 100000, rounds = 1;
  std::int64_t last = 0, trace = 0;
  Arena arena(512);
  Allocator allocator;
  allocator.limit = 2;
  test::Call call;
  call.inputs = {&n, &rounds};
  call.outputs = {&last, &trace};
  call.symbols = {2};
  call.call.arena = arena.data;
  call.call.allocate = Allocator::allocate;
  call.call.allocator = &allocator;
  EXPECT_EQ(compiled.code.entry(call.prepare()), KILN_OUT_OF_MEMORY);
  call.call.allocate = nullptr;
  EXPECT_EQ(compiled.code.entry(&call.call), KILN_OUT_OF_MEMORY);
}

TEST(ProgramCode, SymbolsReachKernelsAndOffsets) {
  Writer w;
  const Dim n = Dim::symbol("n"), m = Dim::symbol("m");
  w.program.symbols = {std::make_shared<const ir::SymbolInfo>(*m.symbol_info()), std::make_shared<const ir::SymbolInfo>(*n.symbol_info())};
  const auto first = w.buffer(Storage::arena, 0, f32, {n, 3}, ir::ceildiv(n * 12, 64) * 64 + m * 64),
             out = w.buffer(Storage::output, 0, f32, {n, 3}), copy = w.buffer(Storage::output, 1, f32, {n, 3});
  w.program.body = {call(fill, {first, out}), Writer::statement(StatementKind::copy, 0, {copy, first})};
  const test::Compiled compiled = test::compile(w.program);
  for (const std::int64_t extent : {0, 1, 7}) {
    const std::size_t count = static_cast<std::size_t>(extent) * 3;
    std::vector<float> y(count), z(count);
    Arena arena(4096);
    test::Call call;
    call.outputs = {y.data(), z.data()};
    call.symbols = {2, extent};
    call.call.arena = arena.data;
    ASSERT_EQ(compiled.code.entry(call.prepare()), KILN_OK);
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(z[i], static_cast<float>(extent * 100) + static_cast<float>(i));
    EXPECT_EQ(y, z);
    const std::size_t offset = static_cast<std::size_t>((extent * 12 + 63) / 64 * 64 + 128);
    EXPECT_TRUE(std::equal(y.begin(), y.end(), reinterpret_cast<const float*>(arena.data + offset)));
  }
}

TEST(ProgramCode, PlanComputesAndDetectsOverflow) {
  Writer w;
  const Dim n = Dim::symbol("n"), m = Dim::symbol("m");
  w.program.symbols = {std::make_shared<const ir::SymbolInfo>(*n.symbol_info()), std::make_shared<const ir::SymbolInfo>(*m.symbol_info())};
  w.program.inputs = {{"x", f32, {n, ir::floordiv(n - 5, 3), 4}, 0}};
  w.program.outputs = {{"y", f32, {n * m, ir::mod(n - 5, 3), ir::max(n, m)}, 0}};
  w.program.extent_checks = {{n + 1, m * 2, 0}};
  w.program.checks.resize(1);
  w.program.arena_bytes = n * m * 4096 + 64;
  const std::vector<Dim> dims = ir::plan_dims(w.program);
  ASSERT_GE(dims.size(), 6U);
  const test::Compiled compiled = test::compile(w.program);
  for (const auto& [a, b] : {std::pair<std::int64_t, std::int64_t>{0, 0}, {1, 7}, {3, 2}, {1000000, 1000}}) {
    const std::int64_t symbols[] = {a, b};
    std::vector<std::int64_t> values(dims.size(), -1);
    ASSERT_EQ(compiled.code.plan(nullptr, symbols, values.data()), KILN_OK);
    for (std::size_t i = 0; i < dims.size(); ++i) {
      EXPECT_EQ(values[i], ir::evaluate(dims[i], [&](std::string_view name) -> std::optional<std::int64_t> { return name == "n" ? a : b; }))
          << ir::to_string(dims[i]);
    }
  }
  std::vector<std::int64_t> values(dims.size());
  const std::int64_t large[] = {std::int64_t{1} << 40, std::int64_t{1} << 20};
  EXPECT_EQ(compiled.code.plan(nullptr, large, values.data()), KILN_OVERFLOW);
}

// Two thousand nested statements and two thousand in a row: no recursion, and a compile time that stays proportional.
TEST(ProgramCode, DeepAndLongPrograms) {
  Writer w;
  const auto flag = w.buffer(Storage::input, 0, boolean, {}), i = w.buffer(Storage::output, 0, i64, {});
  std::vector<Statement> body{call(increment, {i})};
  for (int depth = 0; depth < 2000; ++depth) {
    std::vector<std::vector<Statement>> blocks(2);
    blocks[0] = std::move(body);
    body.clear();
    body.push_back(Writer::statement(StatementKind::if_, 0, {flag}, std::move(blocks)));
  }
  for (int k = 0; k < 2000; ++k) body.push_back(call(increment, {i}));
  body.insert(body.begin(), call(zero, {i}));
  w.program.body = std::move(body);
  const test::Compiled compiled = test::compile(w.program);
  const bool yes = true;
  std::int64_t count = 0;
  test::Call call;
  call.inputs = {&yes};
  call.outputs = {&count};
  ASSERT_EQ(compiled.code.entry(call.prepare()), KILN_OK);
  EXPECT_EQ(count, 2001);
}

// ---- against the program interpreter

/// A run of `entry` on fresh memory: status, outputs and the current storage of the variables.
struct Outcome {
  std::int32_t status = 0;
  std::int64_t detail = 0;
  std::vector<std::vector<char>> outputs, variables;
  bool operator==(const Outcome&) const = default;
};

Outcome run(const ir::Program& program, kiln_entry entry, const std::vector<const void*>& inputs,
            const std::vector<std::int64_t>& symbols) {
  const auto bytes = [&](DType dtype, const ir::Dims& extents) {
    const auto value_of = [&](std::string_view name) -> std::optional<std::int64_t> {
      for (std::size_t i = 0; i < program.symbols.size(); ++i)
        if (program.symbols[i]->name == name) return symbols[i];
      return std::nullopt;
    };
    return static_cast<std::size_t>(ir::evaluate(ir::product(extents), value_of)) * size_of(dtype);
  };
  Outcome outcome;
  test::Call call;
  call.inputs = inputs;
  call.symbols = symbols;
  call.values.resize(ir::plan_dims(program).size());
  EXPECT_EQ(ir::interpret_plan(const_cast<ir::Program*>(&program), symbols.data(), call.values.data()), KILN_OK);
  for (const Array& constant : program.constants) call.constants.push_back(constant.raw());
  for (const ir::ProgramPort& port : program.outputs) outcome.outputs.emplace_back(bytes(port.dtype, port.dims), '\0');
  for (auto& output : outcome.outputs) call.outputs.push_back(output.data());
  std::vector<std::vector<char>> storage;
  for (const ir::ProgramVariable& variable : program.variables)
    for (int i = 0; i < 2; ++i) storage.emplace_back(bytes(variable.dtype, variable.dims), static_cast<char>(i == 0 ? 0x3f : 0));
  for (std::size_t i = 0; i < storage.size(); i += 2) {
    call.variables.push_back(storage[i].data());
    call.shadows.push_back(storage[i + 1].data());
  }
  const Arena arena(static_cast<std::size_t>(call.values[0]) + 64);
  Allocator allocator;
  call.call.arena = arena.data;
  call.call.allocate = Allocator::allocate;
  call.call.allocator = &allocator;
  call.call.program = const_cast<ir::Program*>(&program);
  outcome.status = entry(call.prepare());
  outcome.detail = call.call.detail;
  for (std::size_t i = 0; i < program.variables.size(); ++i) {
    const char* current = static_cast<const char*>(call.variables[i]);
    outcome.variables.emplace_back(current, current + storage[2 * i].size());
  }
  return outcome;
}

TEST(ProgramCode, UpdateLikeTheInterpreter) {
  const ir::Program program = ir::parse_program(ir::update_text);
  const test::Compiled compiled = test::compile(program);
  const float x[] = {1, 2, 3, 4.5F};
  for (const bool holds : {true, false}) {
    const Outcome expected = run(program, ir::interpret_program, {x, &holds}, {4});
    EXPECT_EQ(expected.status, holds ? KILN_OK : KILN_CHECK_FAILED);
    EXPECT_TRUE(run(program, compiled.code.entry, {x, &holds}, {4}) == expected);
  }
}

TEST(ProgramCode, TapeLikeTheInterpreter) {
  const ir::Program program = ir::parse_program(ir::tape_text);
  const test::Compiled compiled = test::compile(program);
  for (const std::int64_t n : {0, 1, 2, 40, 3000}) {
    const Outcome expected = run(program, ir::interpret_program, {&n}, {});
    EXPECT_EQ(expected.status, KILN_OK);
    EXPECT_TRUE(run(program, compiled.code.entry, {&n}, {}) == expected) << n;
  }
}

}  // namespace
}  // namespace kiln

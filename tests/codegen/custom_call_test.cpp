// Custom calls in program IR: text, invariants, and what the interpreter and machine code do with the hook of kiln/abi.h.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "tests/codegen/support.h"

namespace kiln {
namespace {

/// Calls a function in a loop on its own result, and then changes the variable in place.
const std::string program_source = R"(program @p symbols(n) arena(64*ceildiv(n, 16) + 128) {
  input x: f32[n]
  input m: i64[]
  output y: f32[n]
  output count: i64[]
  variable w: f32[2] read assigned
  constant i64[] 0
  custom_call "twice" (f32[n], i64[]) -> (f32[n], i64[]) loc("model.cpp":7)
  custom_call "last" (f32[n]) -> (f32[n])
  buffer x = input x
  buffer m = input m
  buffer y = output y
  buffer count = output count
  buffer w = variable w
  buffer zero = constant 0
  buffer i = arena 0 : i64[]
  buffer p = arena 64 : bool[]
  buffer next = arena 128 : f32[n]

  copy y = x
  copy i = zero
  while p {
    call @less(i, m, p)
  } do {
    custom_call 0 (y, i) -> (next, i)
    copy y = next
  }
  custom_call 1 (y) -> (next)
  copy count = i
  call @increment(w)
}

kernel @less(a: i64[], b: i64[], p: bool[] output) {
  %0 = load a[] : i64
  %1 = load b[] : i64
  %2 = compare lt %0, %1 : bool
  store p[], %2 : bool
}

kernel @increment(w: f32[2] inout) {
  %0 = load w[$v] : f32x2
  %1 = constant 1.0 : f32x2
  %2 = add %0, %1 : f32x2
  store w[$v], %2 : f32x2
}
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(CustomCallProgram, RoundTrips) {
  const std::string once = ir::print(ir::parse_program(program_source), true, true);
  EXPECT_EQ(once.substr(0, once.find("\nkernel")), program_source.substr(0, program_source.find("\nkernel")));
  EXPECT_EQ(ir::print(ir::parse_program(once), true, true), once);
}

TEST(CustomCallProgram, InvariantsAreChecked) {
  const auto violation = [](const std::string& from, const std::string& to) {
    try {
      ir::parse_program(replaced(program_source, from, to));
    } catch (const Error& error) {
      return error.message();
    }
    return std::string("no error");
  };
  const auto expect = [&](int invariant, const std::string& what, const std::string& from, const std::string& to) {
    const std::string text = violation(from, to);
    EXPECT_NE(text.find("breaks invariant " + std::to_string(invariant) + " of program IR: " + what), std::string::npos) << text;
  };
  expect(3, "custom call \"last\" mentions 'k', which is no symbol of the program", "\"last\" (f32[n])", "\"last\" (f32[k])");
  expect(6, "custom call \"last\" has 1 operands and 1 results, but 3 buffers", "custom_call 1 (y) -> (next)",
         "custom_call 1 (y, y) -> (next)");
  expect(6, "custom call \"last\" needs f32[n], but gets 'i', i64[]", "custom_call 1 (y) -> (next)", "custom_call 1 (i) -> (next)");
  expect(7, "'x' is written", "custom_call 1 (y) -> (next)", "custom_call 1 (y) -> (x)");
  expect(8, "a statement has index 2 of 2", "custom_call 1 (y) -> (next)", "custom_call 2 (y) -> (next)");
  expect(11, "something that can fail stands after variable 'w' has changed",
         "  custom_call 1 (y) -> (next)\n  copy count = i\n  call @increment(w)\n",
         "  copy count = i\n  call @increment(w)\n  custom_call 1 (y) -> (next)\n");
  expect(14, "'next' is read before it is written", "custom_call 0 (y, i) -> (next, i)\n    copy y = next",
         "custom_call 0 (next, i) -> (next, i)\n    copy y = next");
}

/// What the hook is asked, and when it fails.
struct Asked {
  std::vector<std::int64_t> calls;
  int fail_at = -1;  ///< which call, from 0
  static std::int32_t hook(void* self, std::int64_t index, const void* const* inputs, void* const* outputs) {
    auto& asked = *static_cast<Asked*>(self);
    asked.calls.push_back(index);
    if (static_cast<int>(asked.calls.size()) - 1 == asked.fail_at) return 77;
    const auto* x = static_cast<const float*>(inputs[0]);
    for (int k = 0; k < 3; ++k) static_cast<float*>(outputs[0])[k] = 2 * x[k];
    if (index == 0) *static_cast<std::int64_t*>(outputs[1]) = *static_cast<const std::int64_t*>(inputs[1]) + 1;
    return 0;
  }
};

TEST(CustomCallProgram, TheHookIsAskedAndItsFailureEndsTheRun) {
  const ir::Program program = ir::parse_program(program_source);
  const test::Compiled compiled = test::compile(program);
  for (const kiln_entry entry : {compiled.code.entry, static_cast<kiln_entry>(ir::interpret_program)}) {
    SCOPED_TRACE(entry == compiled.code.entry ? "machine code" : "interpreter");
    const std::unique_ptr<unsigned char, decltype(&std::free)> arena(static_cast<unsigned char*>(std::aligned_alloc(64, 256)), &std::free);
    const float x[] = {1, 2, 3};
    const std::int64_t zero = 0;
    for (const std::int64_t rounds : {0, 1, 3}) {
      for (const int fail_at : {-2, -1, 0, 1, 3}) {  // -2: there is no hook, -1: never
        std::int64_t count = -1;
        float y[3] = {}, w[2] = {5, 6};
        Asked asked;
        asked.fail_at = fail_at;
        test::Call call;
        call.inputs = {x, &rounds};
        call.outputs = {y, &count};
        call.variables = {w};
        call.shadows = {nullptr};
        call.constants = {&zero};
        call.symbols = {3};
        call.values = {192};
        call.call.arena = arena.get();
        call.call.program = const_cast<ir::Program*>(&program);
        if (fail_at != -2) call.call.custom_call = Asked::hook;
        call.call.custom_call_context = &asked;
        const bool fails = fail_at == -2 || (fail_at >= 0 && fail_at <= rounds);
        ASSERT_EQ(entry(call.prepare()), fails ? KILN_CUSTOM_CALL : KILN_OK) << rounds << " rounds, fails at " << fail_at;
        std::vector<std::int64_t> expected(static_cast<std::size_t>(rounds), 0);
        expected.push_back(1);
        const std::int64_t failing = fail_at == -2 ? 0 : fail_at;
        if (fails) {
          EXPECT_EQ(call.call.detail, expected[static_cast<std::size_t>(failing)]);
          EXPECT_EQ(w[0], 5);
          EXPECT_EQ(w[1], 6);
          expected.resize(fail_at == -2 ? 0 : static_cast<std::size_t>(fail_at) + 1);
        } else {
          EXPECT_EQ(count, rounds);
          EXPECT_EQ(y[2], 3.0F * static_cast<float>(1 << rounds));
          EXPECT_EQ(w[0], 6);
          EXPECT_EQ(w[1], 7);
        }
        EXPECT_EQ(asked.calls, expected);
      }
    }
  }
}

}  // namespace
}  // namespace kiln

// plan_program: modules as text, fused, planned, verified, run by the interpreter of program IR on a poisoned arena, and compared bit for
// bit with the reference interpreter of the module.
#include <algorithm>
#include <chrono>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ir/program_liveness.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "tests/loops/plan_fixture.h"

namespace kiln::passes {
namespace {

const Array a4 = Array::from<float>({1, 2, 3, 4}), b4 = Array::from<float>({10, 20, 30, 40});

// ---- variables

TEST(Plan, UpdateInPlace) {
  const ir::Program program = check(R"(
variable @w : f32[4]
graph @main(%g: f32[4]) {
  %w = variable {name = "w"} : f32[4]
  %next = subtract %w, %g : f32[4]
  %0 = assign %next {name = "w"} : f32[4]
})",
                                    {b4}, {{"w", a4}});
  EXPECT_FALSE(program.variables.at(0).shadowed);
  EXPECT_EQ(program.body.size(), 1U) << print(program);
}

TEST(Plan, ContractionUpdatesItsWeightInPlace) {
  const std::string text = R"(
variable @w : f32[24, 10]
graph @main(%x: f32[batch, 24], %y: f32[batch, 10]) -> (%loss) {
  %w = variable {name = "w"} : f32[24, 10]
  %p = dot_general %x, %w {lhs_contract = [1], rhs_contract = [0]} : f32[batch, 10]
  %d = subtract %p, %y : f32[batch, 10]
  %s = multiply %d, %d : f32[batch, 10]
  %loss = reduce %s {combiner = "add", dimensions = [0, 1]} : f32[]
  %grad = dot_general %x, %d {lhs_contract = [0], rhs_contract = [0]} : f32[24, 10]
  %rate = constant {value = f32[] 0.125} : f32[]
  %rates = broadcast_in_dim %rate {dims = [24, 10]} : f32[24, 10]
  %step = multiply %rates, %grad : f32[24, 10]
  %next = subtract %w, %step : f32[24, 10]
  %0 = assign %next {name = "w"} : f32[24, 10]
})";
  ir::Program program = plan(text);
  EXPECT_FALSE(program.variables.at(0).shadowed) << print(program);
  for (const std::int64_t batch : {0, 1, 7, 33}) {
    const std::vector<Array> inputs{random_array({batch, 24}, 1), random_array({batch, 10}, 2)};
    const Variables variables{{"w", random_array({24, 10}, 3)}};
    const ir::RunResult expected = ir::interpret(ir::parse(text), inputs, variables);
    Variables current = variables;
    const ir::ProgramRun run = ir::run_program(program, inputs, {batch}, current);
    EXPECT_EQ(run.status, KILN_OK);
    const Array got = current.at("w"), want = expected.assigned.at("w");
    for (std::int64_t i = 0; i < 240; ++i) EXPECT_NEAR(element_as_double(got, i), element_as_double(want, i), 1e-5);
  }
}

TEST(Plan, TrainingStepOfTwoLayers) {
  // Six kernels; both weights are updated by the epilogues of their gradients' contractions, in place.
  const std::string text = R"(
variable @w1 : f32[1000, 100]
variable @w2 : f32[100, 10]
graph @main(%x: f32[batch, 1000], %y: f32[batch, 10]) -> (%loss) {
  %w1 = variable {name = "w1"} : f32[1000, 100]
  %w2 = variable {name = "w2"} : f32[100, 10]
  %h0 = dot_general %x, %w1 {lhs_contract = [1], rhs_contract = [0]} : f32[batch, 100]
  %z = constant {value = f32[] 0} : f32[]
  %zb = broadcast_in_dim %z {dims = [batch, 100]} : f32[batch, 100]
  %h = maximum %zb, %h0 : f32[batch, 100]
  %p = dot_general %h, %w2 {lhs_contract = [1], rhs_contract = [0]} : f32[batch, 10]
  %d = subtract %p, %y : f32[batch, 10]
  %s = multiply %d, %d : f32[batch, 10]
  %loss = reduce %s {combiner = "add", dimensions = [0, 1]} : f32[]
  %d2 = add %d, %d : f32[batch, 10]
  %g2 = dot_general %h, %d2 {lhs_contract = [0], rhs_contract = [0]} : f32[100, 10]
  %gh = dot_general %d2, %w2 {lhs_contract = [1], rhs_contract = [1]} : f32[batch, 100]
  %m = compare %h0, %zb {direction = "gt"} : bool[batch, 100]
  %gz = select %m, %gh, %zb : f32[batch, 100]
  %g1 = dot_general %x, %gz {lhs_contract = [0], rhs_contract = [0]} : f32[1000, 100]
  %r = constant {value = f32[] 1e-6} : f32[]
  %r1 = broadcast_in_dim %r {dims = [1000, 100]} : f32[1000, 100]
  %r2 = broadcast_in_dim %r {dims = [100, 10]} : f32[100, 10]
  %u1 = multiply %r1, %g1 : f32[1000, 100]
  %u2 = multiply %r2, %g2 : f32[100, 10]
  %n1 = subtract %w1, %u1 : f32[1000, 100]
  %n2 = subtract %w2, %u2 : f32[100, 10]
  %a1 = assign %n1 {name = "w1"} : f32[1000, 100]
  %a2 = assign %n2 {name = "w2"} : f32[100, 10]
})";
  const ir::Program program = plan(text);
  std::string calls;
  for (const ir::Statement& s : program.body)
    calls += s.kind == ir::StatementKind::call ? 'k' : s.kind == ir::StatementKind::poll ? '.' : '?';
  EXPECT_EQ(calls, "k.k.k.k.kk") << print(program, false);
  for (const ir::ProgramVariable& v : program.variables) EXPECT_FALSE(v.shadowed) << v.name;

  const std::vector<Array> inputs{random_array({5, 1000}, 1), random_array({5, 10}, 2)};
  const Variables variables{{"w1", random_array({1000, 100}, 3)}, {"w2", random_array({100, 10}, 4)}};
  const ir::RunResult expected = ir::interpret(ir::parse(text), inputs, variables);
  Variables current = variables;
  const ir::ProgramRun run = ir::run_program(program, inputs, {5}, current);
  EXPECT_EQ(run.status, KILN_OK);
  // The contractions agree to the bit; the loss is summed in another tree.
  EXPECT_TRUE(identical(current.at("w1"), expected.assigned.at("w1")));
  EXPECT_TRUE(identical(current.at("w2"), expected.assigned.at("w2")));
  EXPECT_NEAR(run.outputs.at(0).item<float>() / expected.results.at(0).item<float>(), 1, 1e-5);
}

TEST(Plan, ReadsAtOtherElementsAreDoubleBuffered) {
  const ir::Program program = check(R"(
variable @w : f32[4, 4]
graph @main() {
  %w = variable {name = "w"} : f32[4, 4]
  %t = transpose %w {permutation = [1, 0]} : f32[4, 4]
  %next = add %w, %t : f32[4, 4]
  %0 = assign %next {name = "w"} : f32[4, 4]
})",
                                    {}, {{"w", random_array({4, 4}, 5)}});
  EXPECT_TRUE(program.variables.at(0).shadowed);
}

TEST(Plan, OtherReadersComeFirst) {
  // The product reads w as a whole; the update of w waits for it although it stands first.
  const ir::Program program = check(R"(
variable @w : f32[4]
graph @main(%g: f32[4]) -> (%sum) {
  %w = variable {name = "w"} : f32[4]
  %next = subtract %w, %g : f32[4]
  %0 = assign %next {name = "w"} : f32[4]
  %square = multiply %w, %w : f32[4]
  %sum = reduce %square {combiner = "add", dimensions = [0]} : f32[]
})",
                                    {b4}, {{"w", a4}});
  EXPECT_FALSE(program.variables.at(0).shadowed);
}

TEST(Plan, VariablesThatSwap) {
  const ir::Program program = check(R"(
variable @a : f32[4]
variable @b : f32[4]
graph @main() {
  %a = variable {name = "a"} : f32[4]
  %b = variable {name = "b"} : f32[4]
  %0 = negate %b : f32[4]
  %1 = assign %0 {name = "a"} : f32[4]
  %2 = abs %a : f32[4]
  %3 = assign %2 {name = "b"} : f32[4]
})",
                                    {}, {{"a", a4}, {"b", b4}});
  EXPECT_TRUE(program.variables.at(0).shadowed || program.variables.at(1).shadowed);
  check(R"(
variable @a : f32[4]
variable @b : f32[4]
graph @main() {
  %a = variable {name = "a"} : f32[4]
  %b = variable {name = "b"} : f32[4]
  %0 = assign %b {name = "a"} : f32[4]
  %1 = assign %a {name = "b"} : f32[4]
})",
        {}, {{"a", a4}, {"b", b4}});
}

TEST(Plan, CyclesOfReadersBreakOnce) {
  // a <- b, b <- c, c <- a, each through a kernel of its own.
  std::string text = "variable @a : f32[4]\nvariable @b : f32[4]\nvariable @c : f32[4]\ngraph @main() {\n";
  for (const char* v : {"a", "b", "c"}) text += fmt::format("  %{0} = variable {{name = \"{0}\"}} : f32[4]\n", v);
  text += "  %x = negate %b : f32[4]\n  %y = abs %c : f32[4]\n  %z = floor %a : f32[4]\n";
  for (const auto& [v, x] : {std::pair{"a", "x"}, {"b", "y"}, {"c", "z"}})
    text += fmt::format("  %n{0} = assign %{1} {{name = \"{0}\"}} : f32[4]\n", v, x);
  check(text + "}\n", {}, {{"a", a4}, {"b", b4}, {"c", random_array({4}, 3)}});
}

TEST(Plan, AssignsOfFeedsConstantsAndItself) {
  check(R"(
variable @a : f32[4]
variable @b : f32[4]
variable @c : f32[2]
graph @main(%x: f32[4]) -> (%b, %1) {
  %a = variable {name = "a"} : f32[4]
  %b = variable {name = "b"} : f32[4]
  %0 = assign %x {name = "a"} : f32[4]
  %1 = assign %b {name = "b"} : f32[4]
  %k = constant {value = f32[2] {5, 6}} : f32[2]
  %2 = assign %k {name = "c"} : f32[2]
})",
        {b4}, {{"a", a4}, {"b", b4}, {"c", Array::from<float>({0, 0})}});
}

TEST(Plan, NewValueIsAlsoFetchedAndUsed) {
  check(R"(
variable @w : f32[4]
graph @main(%g: f32[4]) -> (%new, %twice, %w, %new) {
  %w = variable {name = "w"} : f32[4]
  %next = subtract %w, %g : f32[4]
  %new = assign %next {name = "w"} : f32[4]
  %twice = add %new, %new : f32[4]
})",
        {b4}, {{"w", a4}});
  // One value for two variables.
  check(R"(
variable @v : f32[4]
variable @w : f32[4]
graph @main(%g: f32[4]) {
  %w = variable {name = "w"} : f32[4]
  %next = subtract %w, %g : f32[4]
  %0 = assign %next {name = "w"} : f32[4]
  %1 = assign %next {name = "v"} : f32[4]
})",
        {b4}, {{"v", a4}, {"w", a4}});
}

TEST(Plan, FetchesOfEveryKind) {
  check(R"(
variable @w : f32[4]
graph @main(%x: f32[4]) -> (%x, %w, %k, %y, %y, %r, %x) {
  %w = variable {name = "w"} : f32[4]
  %k = constant {value = f32[2] {1, 2}} : f32[2]
  %y = add %x, %w : f32[4]
  %r = reshape %y {dims = [2, 2]} : f32[2, 2]
})",
        {a4}, {{"w", b4}});
}

TEST(Plan, ProducedExtents) {
  const std::string text = R"(
variable @w : f32[2]
graph @main(%x: f32[n, 2], %c: i64[], %d: i64[]) -> (%x, %rows, %sums, %fewer, %rest) {
  %e = add %x, %x : f32[n, 2]
  %rows = shrink %e, %c {symbol = "k"} : f32[k, 2]
  %fewer = shrink %rows, %d {symbol = "j"} : f32[j, 2]
  %sums = reduce %rows {combiner = "add", dimensions = [0]} : f32[2]
  %rest = iota {dtype = i64, dims = dims [2*n - k - j], dim = 0} : i64[-j - k + 2*n]
  %w = variable {name = "w"} : f32[2]
  %f = reduce %fewer {combiner = "add", dimensions = [0]} : f32[2]
  %next = add %w, %f : f32[2]
  %set = assign %next {name = "w"} : f32[2]
})";
  for (const std::int64_t n : {0, 1, 4})
    for (const std::int64_t c : {-1, 0, 2, 9})
      for (const std::int64_t d : {0, 1, 3})
        check(text, {random_array({n, 2}, 1), Array(c), Array(d)}, {{"w", random_array({2}, 2)}}, {n});
}

TEST(Plan, ProducedExtentsInALoop) {
  const std::string text = R"(
graph @main(%x: f32[n], %zero: i64[], %start: f32[]) -> (%i, %s) {
  %i, %s = while_loop %zero, %start, %x {body = @body, carried = 2, condition = @condition} : i64[], f32[]
}
graph @condition(%i: i64[], %s: f32[], %x: f32[n]) -> (%p) {
  %four = constant {value = i64[] 4} : i64[]
  %p = compare %i, %four {direction = "lt"} : bool[]
}
graph @body(%i: i64[], %s: f32[], %x: f32[n]) -> (%j, %t) {
  %one = constant {value = i64[] 1} : i64[]
  %j = add %i, %one : i64[]
  %some = shrink %x, %i {symbol = "k"} : f32[k]
  %e = multiply %some, %some : f32[k]
  %r = reduce %e {combiner = "add", dimensions = [0]} : f32[]
  %t = add %s, %r : f32[]
})";
  for (const std::int64_t n : {0, 2, 5}) check(text, {random_array({n}, 1), Array(std::int64_t{0}), Array(0.5F)}, {}, {n});
}

TEST(Plan, FailureLeavesVariables) {
  const std::string text = R"(
variable @w : f32[4]
graph @main(%g: f32[4], %ok: bool[]) {
  %w = variable {name = "w"} : f32[4]
  %next = subtract %w, %g : f32[4]
  %0 = assign %next {name = "w"} : f32[4]
  check %ok {code = 9, message = "not ok", hint = "say true"}
})";
  check(text, {b4, Array(true)}, {{"w", a4}});
  ir::Program program = plan(text);
  Variables current{{"w", a4}};
  EXPECT_EQ(ir::run_program(program, {b4, Array(false)}, {}, current).status, KILN_CHECK_FAILED);
  EXPECT_TRUE(identical(current.at("w"), a4));
  EXPECT_EQ(program.checks.at(0).message, "not ok");
  EXPECT_EQ(program.checks.at(0).hint, "say true");
}

TEST(Plan, EveryPollMayStopTheRun) {
  const std::string text = R"(
variable @w : f32[4]
graph @main(%g: f32[4]) -> (%b) {
  %w = variable {name = "w"} : f32[4]
  %a = reduce %g {combiner = "add", dimensions = [0]} : f32[]
  %s = broadcast_in_dim %a {dims = [4]} : f32[4]
  %next = subtract %w, %s : f32[4]
  %0 = assign %next {name = "w"} : f32[4]
  %m = multiply %w, %s : f32[4]
  %b = reduce %m {combiner = "add", dimensions = [0]} : f32[]
})";
  ir::Program program = plan(text);
  Variables current{{"w", a4}};
  const int polls = ir::run_program(program, {b4}, {}, current).polls;
  EXPECT_GE(polls, 1);
  for (int stop = 1; stop <= polls; ++stop) {
    current = {{"w", a4}};
    EXPECT_EQ(ir::run_program(program, {b4}, {}, current, stop).status, KILN_CANCELLED);
    EXPECT_TRUE(identical(current.at("w"), a4));
  }
}

// ---- regions

const std::string loops = R"(
graph @below(%i: i64[], %x: f32[4], %y: f32[4], %n: i64[]) -> (%0) {
  %0 = compare %i, %n {direction = "lt"} : bool[]
}
graph @swap(%i: i64[], %x: f32[4], %y: f32[4], %n: i64[]) -> (%next, %y, %z) {
  %one = constant {value = i64[] 1} : i64[]
  %next = add %i, %one : i64[]
  %z = subtract %x, %y : f32[4]
}
)";

TEST(Plan, LoopsCarryValues) {
  const std::string text = R"(
variable @w : f32[4]
graph @main(%n: i64[], %x: f32[4]) -> (%count, %p, %q) {
  %w = variable {name = "w"} : f32[4]
  %zero = constant {value = i64[] 0} : i64[]
  %count, %p, %q = while_loop %zero, %x, %w, %n {body = @swap, carried = 3, condition = @below} : i64[], f32[4], f32[4]
  %0 = assign %q {name = "w"} : f32[4]
})" + loops;
  for (const std::int64_t n : {0, 1, 2, 7}) check(text, {Array(n), a4}, {{"w", b4}});
}

TEST(Plan, LoopsRotateAndRepeatCarriedValues) {
  const std::string text = R"(
graph @main(%n: i64[], %x: f32[4], %y: f32[4], %z: f32[4]) -> (%p, %q, %r) {
  %zero = constant {value = i64[] 0} : i64[]
  %c, %p, %q, %r = while_loop %zero, %x, %y, %z, %n, %x {body = @rotate, carried = 4, condition = @below} : i64[], f32[4], f32[4], f32[4]
}
graph @below(%i: i64[], %x: f32[4], %y: f32[4], %z: f32[4], %n: i64[], %k: f32[4]) -> (%0) {
  %0 = compare %i, %n {direction = "lt"} : bool[]
}
graph @rotate(%i: i64[], %x: f32[4], %y: f32[4], %z: f32[4], %n: i64[], %k: f32[4]) -> (%next, RESULTS) {
  %one = constant {value = i64[] 1} : i64[]
  %next = add %i, %one : i64[]
  %s = add %x, %k : f32[4]
})";
  for (const char* results : {"%y, %z, %x", "%z, %x, %y", "%y, %y, %s", "%s, %x, %s", "%k, %x, %y", "%x, %z, %y", "%s, %s, %x"}) {
    std::string one = text;
    one.replace(one.find("RESULTS"), 7, results);
    for (const std::int64_t n : {0, 1, 5}) check(one, {Array(n), a4, b4, random_array({4}, 9)});
  }
}

TEST(Plan, LoopsUpdateCarriedValuesInPlace) {
  const auto text = [](const char* results) {
    return fmt::format(R"(
graph @main(%n: i64[], %x: f32[4, 4], %w: f32[4, 4]) -> (%y, %z) {{
  %zero = constant {{value = i64[] 0}} : i64[]
  %c, %y, %z = while_loop %zero, %x, %x, %n, %w {{body = @step, carried = 3, condition = @below}} : i64[], f32[4, 4], f32[4, 4]
}}
graph @below(%i: i64[], %x: f32[4, 4], %y: f32[4, 4], %n: i64[], %w: f32[4, 4]) -> (%0) {{
  %0 = compare %i, %n {{direction = "lt"}} : bool[]
}}
graph @step(%i: i64[], %x: f32[4, 4], %y: f32[4, 4], %n: i64[], %w: f32[4, 4]) -> (%next, {}) {{
  %one = constant {{value = i64[] 1}} : i64[]
  %next = add %i, %one : i64[]
  %s = add %x, %w : f32[4, 4]
  %d = dot_general %y, %w {{lhs_contract = [1], rhs_contract = [0]}} : f32[4, 4]
}})",
                       results);
  };
  const std::vector<Array> inputs{Array(std::int64_t{3}), random_array({4, 4}, 1), random_array({4, 4}, 2)};
  const auto copies = [](const ir::Program& program) {
    int count = 0;
    for_each_statement(program, [&](const ir::Statement& s, int depth) { count += depth > 0 && s.kind == ir::StatementKind::copy; });
    return count;
  };
  // The sum is updated in place; the product reads all of what it replaces, so it is copied.
  EXPECT_EQ(copies(check(text("%s, %d"), inputs)), 1);
  // Here each next value replaces the other's operand: the sum comes first and must not destroy y; the product may then replace x.
  EXPECT_EQ(copies(check(text("%d, %s"), inputs)), 1);
  EXPECT_EQ(copies(check(text("%s, %s"), inputs)), 2);
}

TEST(Plan, BranchesInLoopsInBranches) {
  const std::string text = R"(
graph @main(%p: bool[], %n: i64[], %x: f32[4]) -> (%y, %z) {
  %y, %z = cond %p, %n, %x {else = @plain, then = @looping} : f32[4], f32[4]
}
graph @plain(%n: i64[], %x: f32[4]) -> (%x, %0) {
  %0 = negate %x : f32[4]
}
graph @looping(%n: i64[], %x: f32[4]) -> (%0, %0) {
  %zero = constant {value = i64[] 0} : i64[]
  %c, %0 = while_loop %zero, %x, %n {body = @step, carried = 2, condition = @below} : i64[], f32[4]
}
graph @below(%i: i64[], %x: f32[4], %n: i64[]) -> (%0) {
  %0 = compare %i, %n {direction = "lt"} : bool[]
}
graph @step(%i: i64[], %x: f32[4], %n: i64[]) -> (%next, %0) {
  %one = constant {value = i64[] 1} : i64[]
  %next = add %i, %one : i64[]
  %odd = remainder %i, %two : i64[]
  %two = constant {value = i64[] 2} : i64[]
  %q = compare %odd, %one {direction = "eq"} : bool[]
  %0 = cond %q, %x {else = @double, then = @same} : f32[4]
}
graph @same(%x: f32[4]) -> (%x) {
}
graph @double(%x: f32[4]) -> (%0) {
  %0 = add %x, %x : f32[4]
})";
  std::string ordered = text;
  const std::string two = "  %two = constant {value = i64[] 2} : i64[]\n", odd = "  %odd = remainder %i, %two : i64[]\n";
  ordered.replace(ordered.find(odd + two), odd.size() + two.size(), two + odd);
  for (const bool p : {true, false})
    for (const std::int64_t n : {0, 3, 6}) check(ordered, {Array(p), Array(n), a4});
}

TEST(Plan, Tapes) {
  const std::string text = R"(
graph @main(%n: i64[], %x: f64[3]) -> (%count, %last, %sum) {
  %zero = constant {value = i64[] 0} : i64[]
  %empty = tape_new {dims = [3], dtype = f64} : tape<f64[3]>
  %count, %last, %full = while_loop %zero, %x, %empty, %n {body = @forward, carried = 3, condition = @below} : i64[], f64[3], tape<f64[3]>
  %left, %sum, %rest = while_loop %count, %last, %full, %zero {body = @backward, carried = 3, condition = @above} : i64[], f64[3], tape<f64[3]>
}
graph @below(%i: i64[], %x: f64[3], %tape: tape<f64[3]>, %n: i64[]) -> (%0) {
  %0 = compare %i, %n {direction = "lt"} : bool[]
}
graph @forward(%i: i64[], %x: f64[3], %tape: tape<f64[3]>, %n: i64[]) -> (%next, %square, %pushed) {
  %pushed = tape_push %tape, %x : tape<f64[3]>
  %square = multiply %x, %x : f64[3]
  %one = constant {value = i64[] 1} : i64[]
  %next = add %i, %one : i64[]
}
graph @above(%i: i64[], %x: f64[3], %tape: tape<f64[3]>, %n: i64[]) -> (%0) {
  %0 = compare %i, %n {direction = "gt"} : bool[]
}
graph @backward(%i: i64[], %sum: f64[3], %tape: tape<f64[3]>, %n: i64[]) -> (%next, %more, %popped) {
  %popped, %x = tape_pop %tape : tape<f64[3]>, f64[3]
  %more = add %sum, %x : f64[3]
  %one = constant {value = i64[] 1} : i64[]
  %next = subtract %i, %one : i64[]
})";
  for (const std::int64_t n : {0, 1, 4}) check(text, {Array(n), Array::from<double>({1.5, -0.5, 2})});
}

TEST(Plan, RegionsNestThousandsDeep) {
  constexpr int depth = 3000;
  std::string text = "graph @main(%p: bool[], %x: f32[4]) -> (%0) {\n  %0 = cond %p, %p, %x {else = @leaf, then = @g0} : f32[4]\n}\n";
  for (int i = 0; i < depth; ++i) {
    const std::string next = i + 1 < depth ? fmt::format("g{}", i + 1) : "leaf";
    text += fmt::format("graph @g{}(%p: bool[], %x: f32[4]) -> (%0) {{\n  %0 = cond %p, %p, %x {{else = @leaf, then = @{}}} : f32[4]\n}}\n",
                        i, next);
  }
  text += "graph @leaf(%p: bool[], %x: f32[4]) -> (%0) {\n  %0 = negate %x : f32[4]\n}\n";
  ir::Module module = ir::parse(text);
  fuse(module);
  const ir::Program program = plan_program(module, {});
  EXPECT_EQ(ir::find_violation(program), "");
  Variables none;
  const ir::ProgramRun run = ir::run_program(program, {Array(true), a4}, {}, none);
  EXPECT_TRUE(identical(run.outputs.at(0), Array::from<float>({-1, -2, -3, -4})));
}

// ---- random programs

/// A main graph over f32[4, 4]: variables, ops that read elements in place or elsewhere, assigns of anything, fetches of anything.
std::string random_module(unsigned seed) {
  std::mt19937 random(seed);
  const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::size_t variables = 1 + pick(4);
  std::string text, body;
  std::vector<std::string> values{"x", "y"};
  for (std::size_t v = 0; v < variables; ++v) {
    text += fmt::format("variable @v{} : f32[4, 4]\n", v);
    body += fmt::format("  %v{0} = variable {{name = \"v{0}\"}} : f32[4, 4]\n", v);
    values.push_back(fmt::format("v{}", v));
  }
  const auto any = [&] {
    return values[random() % 2 == 0 ? pick(values.size()) : values.size() - 1 - pick(std::min<std::size_t>(values.size(), 4))];
  };
  std::vector<std::size_t> unassigned;
  for (std::size_t v = 0; v < variables; ++v)
    if (random() % 5 != 0) unassigned.push_back(v);
  const std::size_t nodes = 3 + pick(14);
  for (std::size_t i = 0; i < nodes; ++i) {
    const std::string name = fmt::format("t{}", i), a = any(), b = any();
    switch (pick(8)) {
      case 0:
        body += fmt::format("  %{} = dot_general %{}, %{} {{lhs_contract = [1], rhs_contract = [0]}} : f32[4, 4]\n", name, a, b);
        break;
      case 1: body += fmt::format("  %{} = transpose %{} {{permutation = [1, 0]}} : f32[4, 4]\n", name, a); break;
      case 2: body += fmt::format("  %{} = reverse %{} {{dimensions = [0]}} : f32[4, 4]\n", name, a); break;
      case 3: body += fmt::format("  %{} = maximum %{}, %{} : f32[4, 4]\n", name, a, b); break;
      case 4: body += fmt::format("  %{} = add %{}, %{} : f32[4, 4]\n", name, a, b); break;
      default: body += fmt::format("  %{} = subtract %{}, %{} : f32[4, 4]\n", name, a, b);
    }
    values.push_back(name);
    if (!unassigned.empty() && (random() % 3 == 0 || i + unassigned.size() >= nodes)) {
      body += fmt::format("  %n{0} = assign %{1} {{name = \"v{0}\"}} : f32[4, 4]\n", unassigned.back(), any());
      values.push_back(fmt::format("n{}", unassigned.back()));
      unassigned.pop_back();
    }
  }
  std::string results;
  for (std::size_t k = pick(4); k-- > 0;) results += (results.empty() ? "" : ", ") + ("%" + any());
  return text + "graph @main(%x: f32[4, 4], %y: f32[4, 4])" + (results.empty() ? "" : " -> (" + results + ")") + " {\n" + body + "}\n";
}

TEST(Plan, RandomStateIsUpdatedAsTheReferenceSays) {
  int shadowed = 0, in_place = 0;
  for (unsigned seed = 0; seed < 400; ++seed) {
    const std::string text = random_module(seed);
    SCOPED_TRACE(text);
    Variables variables;
    for (unsigned v = 0; text.find(fmt::format("variable @v{} ", v)) != std::string::npos; ++v)
      variables[fmt::format("v{}", v)] = random_array({4, 4}, 100 + v);
    const ir::Program program = check(text, {random_array({4, 4}, 1), random_array({4, 4}, 2)}, variables);
    if (HasFailure()) return;
    for (const ir::ProgramVariable& v : program.variables) (v.shadowed ? shadowed : in_place) += v.assigned;
  }
  EXPECT_GT(shadowed, 100);
  EXPECT_GT(in_place, 50);
}

// ---- memory

std::string chain(int layers, const std::string& rows) {
  std::string text = fmt::format("graph @main(%x0: f32[{}, 8], %w: f32[8, 8]) -> (%x{}) {{\n", rows, layers);
  for (int i = 0; i < layers; ++i)
    text += fmt::format("  %x{} = dot_general %x{}, %w {{lhs_contract = [1], rhs_contract = [0]}} : f32[{}, 8]\n", i + 1, i, rows);
  return text + "}\n";
}

TEST(Plan, SlotsAreShared) {
  // A chain needs two slots, whatever its length and whatever batch is; the last value lies in the output.
  const ir::Program fixed = plan(chain(20, "16")), symbolic = plan(chain(20, "batch"));
  EXPECT_EQ(to_string(fixed.arena_bytes), "1024");
  EXPECT_EQ(to_string(symbolic.arena_bytes), "128*ceildiv(batch, 2)");
  EXPECT_EQ(fixed.kernels.size(), 1U);
  const Array w = random_array({8, 8}, 1);
  check(chain(5, "batch"), {random_array({3, 8}, 2), w}, {}, {3});
  check(chain(5, "batch"), {random_array({0, 8}, 2), w}, {}, {0});
}

/// Layers with weights of their own, each updated from what its layer makes.
std::string trained_chain(int layers) {
  std::string text, body = "graph @main(%x0: f32[batch, 8]) {\n";
  for (int i = 0; i < layers; ++i) {
    text += fmt::format("variable @w{} : f32[8, 8]\n", i);
    body += fmt::format("  %w{0} = variable {{name = \"w{0}\"}} : f32[8, 8]\n", i);
    body += fmt::format("  %x{} = dot_general %x{}, %w{} {{lhs_contract = [1], rhs_contract = [0]}} : f32[batch, 8]\n", i + 1, i, i);
  }
  for (int i = layers; i-- > 0;) {
    body += fmt::format("  %g{} = dot_general %x{}, %x{} {{lhs_contract = [0], rhs_contract = [0]}} : f32[8, 8]\n", i, i, i + 1);
    body += fmt::format("  %n{0} = subtract %w{0}, %g{0} : f32[8, 8]\n  %a{0} = assign %n{0} {{name = \"w{0}\"}} : f32[8, 8]\n", i);
  }
  return text + body + "}\n";
}

TEST(Plan, DeepNetworksTakeLinearTime) {
  // The best of three: 8 times the layers take 8 times as long and some cache misses more; quadratic work would take 64 times.
  const auto seconds = [](int layers) {
    ir::Module module = ir::parse(trained_chain(layers));
    fuse(module);
    double best = 1e9;
    for (int round = 0; round < 3; ++round) {
      const auto start = std::chrono::steady_clock::now();
      const ir::Program program = plan_program(module, {});
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      EXPECT_EQ(program.kernels.size(), 2U);
      for (const ir::ProgramVariable& v : program.variables) EXPECT_FALSE(v.shadowed);
    }
    return best;
  };
  const double small = seconds(1000), large = seconds(8000);
  EXPECT_LT(large, 45 * small) << small << " s and " << large << " s";
}

}  // namespace
}  // namespace kiln::passes

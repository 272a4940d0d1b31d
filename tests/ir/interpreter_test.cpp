// The reference interpreter: symbols, state, regions, loops with tapes, errors with the user's line.
#include <gtest/gtest.h>

#include <fstream>

#include "ir/builder.h"
#include "ir/interpreter.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace kiln::ir {
namespace {

RunResult run(const std::string& text, const std::vector<Array>& inputs, const std::map<std::string, Array>& variables = {}) {
  return interpret(parse(text), inputs, variables);
}

Array vector(std::initializer_list<float> values) { return Array({static_cast<std::int64_t>(values.size())}, values); }

/// Code and message of the error that running gives.
std::pair<ErrorCode, std::string> error(const std::string& text, const std::vector<Array>& inputs,
                                        const std::map<std::string, Array>& variables = {}) {
  try {
    run(text, inputs, variables);
  } catch (const Error& e) {
    return {e.code(), e.what()};
  }
  return {ErrorCode::io, "no error"};
}

TEST(Interpreter, DenseLayer) {
  const RunResult result = run(R"(
variable @w : f32[2, 2]
graph @main(%x: f32[batch, 2]) -> (%h, %n) {
  %w = variable {name = "w"} : f32[2, 2]
  %h = dot_general %x, %w {lhs_contract = [1], rhs_contract = [0]} : f32[batch, 2]
  %n = dim_size {dims = [2*batch + 1]} : i64[]
})",
                               {Array({3, 2}, {1.F, 0.F, 0.F, 1.F, 2.F, 3.F})}, {{"w", Array({2, 2}, {1.F, 2.F, 3.F, 4.F})}});
  EXPECT_TRUE(identical(result.results[0], Array({3, 2}, {1.F, 2.F, 3.F, 4.F, 11.F, 16.F})));
  EXPECT_EQ(result.results[1].item<std::int64_t>(), 7);
}

TEST(Interpreter, AttributesSeeConcreteDims) {
  const RunResult result = run(R"(
symbol n {min = 2}
graph @main(%x: f32[n]) -> (%0) {
  %0 = slice %x {limits = [n], starts = [n - 2], strides = [1]} : f32[2]
})",
                               {vector({1, 2, 3, 4})});
  EXPECT_TRUE(identical(result.results[0], vector({3, 4})));
}

TEST(Interpreter, SymbolsAreBoundAndChecked) {
  const std::string text = R"(
symbol n {min = 2, max = 6, multiple_of = 2}
graph @main(%x: f32[n, m], %y: f32[n], %z: f32[2*n + k]) -> (%0) {
  %0 = dim_size {dims = [k]} : i64[]
})";
  const auto x = [](std::int64_t n, std::int64_t m) { return Array::zeros(f32, {n, m}); };
  const auto v = [](std::int64_t n) { return Array::zeros(f32, {n}); };
  // k is the only unknown of 2*n + k.
  EXPECT_EQ(run(text, {x(4, 0), v(4), v(11)}).results[0].item<std::int64_t>(), 3);
  EXPECT_EQ(error(text, {x(4, 5), v(6), v(11)}),
            std::pair(ErrorCode::invalid_feed, std::string("error: input y is f32[6], but must be f32[n], where n is already 4")));
  EXPECT_EQ(
      error(text, {x(5, 5), v(5), v(11)}),
      std::pair(ErrorCode::invalid_feed,
                std::string("error: input x is f32[5, 5], but must be f32[n, m]; n must be at least 2 and at most 6 and a multiple of 2")));
  EXPECT_EQ(error(text, {v(4), v(4), v(8)}),
            std::pair(ErrorCode::invalid_feed, std::string("error: input x is f32[4], but must be f32[n, m]")));
  EXPECT_EQ(error(text, {x(4, 5), v(4)}),
            std::pair(ErrorCode::missing_feed, std::string("error: graph @main takes 3 inputs, but was given 2")));
  EXPECT_EQ(error(text, {x(4, 5), v(4), v(7)}).second, "error: input z is f32[7], but must be f32[k + 2*n]; k must be at least 0");
  EXPECT_EQ(error("graph @main(%x: f32[2*n]) {}", {v(7)}).second, "error: input x is f32[7], but must be f32[2*n], where 2*n is 6");
  EXPECT_EQ(error("graph @main(%x: f32[n*m]) {}", {v(6)}).second,
            "error: the extent m*n of input x does not determine the symbol m\n  hint: make the symbol an extent of its own in some input");
  EXPECT_EQ(error("graph @main(%x: f32[n], %y: f32[2*n]) {}", {v(4), v(7)}).second,
            "error: input y is f32[7], but must be f32[2*n], where 2*n is 8");
}

TEST(Interpreter, ReadsSeeTheValueFromBeforeTheRun) {
  const RunResult result = run(R"(
variable @v : f32[]
graph @main(%x: f32[]) -> (%new, %after) {
  %before = variable {name = "v"} : f32[]
  %sum = add %before, %x : f32[]
  %new = assign %sum {name = "v"} : f32[]
  %after = variable {name = "v"} : f32[]
})",
                               {Array(2.F)}, {{"v", Array(40.F)}});
  EXPECT_EQ(result.results[0].item<float>(), 42);
  EXPECT_EQ(result.results[1].item<float>(), 40);
  EXPECT_EQ(result.assigned.at("v").item<float>(), 42);
}

TEST(Interpreter, UninitializedVariable) {
  EXPECT_EQ(error(R"(
variable @v : f32[]
graph @main() -> (%0) {
  %0 = variable {name = "v"} : f32[] loc("train.cpp":31)
})",
                  {})
                .second.substr(0, 51),
            "train.cpp:31: error: variable @v has no value\n  hin");
}

TEST(Interpreter, ChecksFailWithTheUsersLine) {
  const std::string text = R"(
graph @main(%x: f32[], %y: f32[]) -> (%x) {
  %0 = compare %x, %y {direction = "lt"} : bool[]
  check %0 {code = 0, hint = "swap them", message = "x must be below y"} loc("model.cpp":7)
})";
  EXPECT_EQ(run(text, {Array(1.F), Array(2.F)}).results[0].item<float>(), 1);
  EXPECT_EQ(error(text, {Array(3.F), Array(2.F)}),
            std::pair(ErrorCode::invalid_argument, std::string("model.cpp:7: error: x must be below y\n  hint: swap them")));
}

TEST(Interpreter, CallsKernelsAndCompositesRunTheirBodies) {
  const RunResult result = run(R"(
graph @main(%x: f32[3]) -> (%a, %b, %c, %d) {
  %a = call %x {body = @double} : f32[3]
  %b = kernel %a {body = @double, kind = "map"} : f32[3]
  %c, %d = composite %b {decomposition = @both, name = "both"} : f32[3], f32[3]
}
graph @double(%x: f32[3]) -> (%0) {
  %0 = add %x, %x : f32[3]
}
graph @both(%x: f32[3]) -> (%0, %x) {
  %0 = negate %x : f32[3]
})",
                               {vector({1, 2, 3})});
  EXPECT_TRUE(identical(result.results[0], vector({2, 4, 6})));
  EXPECT_TRUE(identical(result.results[1], vector({4, 8, 12})));
  EXPECT_TRUE(identical(result.results[2], vector({-4, -8, -12})));
  EXPECT_TRUE(identical(result.results[3], vector({4, 8, 12})));
}

TEST(Interpreter, OnlyTheTakenBranchRuns) {
  const std::string text = R"(
graph @main(%p: bool[], %x: f32[]) -> (%0) {
  %0 = cond %p, %x {else = @fails, then = @negative} : f32[]
}
graph @negative(%x: f32[]) -> (%0) {
  %0 = negate %x : f32[]
}
graph @fails(%x: f32[]) -> (%x) {
  %0 = constant {value = bool[] false} : bool[]
  check %0 {code = 9, message = "taken"}
})";
  EXPECT_EQ(run(text, {Array(true), Array(5.F)}).results[0].item<float>(), -5);
  EXPECT_EQ(error(text, {Array(false), Array(5.F)}).second, "error: taken");
}

// x is replaced by x*x n times, each x is pushed on a tape, and a second loop pops them all and adds them up.
constexpr const char* loops = R"(
graph @main(%n: i64[], %x: f64[]) -> (%count, %last, %sum) {
  %zero = constant {value = i64[] 0} : i64[]
  %empty = tape_new {dtype = f64} : tape<f64[]>
  %count, %last, %full = while_loop %zero, %x, %empty, %n {body = @forward, carried = 3, condition = @below} : i64[], f64[], tape<f64[]>
  %start = constant {value = f64[] 0} : f64[]
  %left, %sum, %rest = while_loop %count, %start, %full, %zero {body = @backward, carried = 3, condition = @above} : i64[], f64[], tape<f64[]>
}
graph @below(%i: i64[], %x: f64[], %tape: tape<f64[]>, %n: i64[]) -> (%0) {
  %0 = compare %i, %n {direction = "lt"} : bool[]
}
graph @forward(%i: i64[], %x: f64[], %tape: tape<f64[]>, %n: i64[]) -> (%next, %square, %pushed) {
  %pushed = tape_push %tape, %x : tape<f64[]>
  %square = multiply %x, %x : f64[]
  %one = constant {value = i64[] 1} : i64[]
  %next = add %i, %one : i64[]
}
graph @above(%i: i64[], %x: f64[], %tape: tape<f64[]>, %n: i64[]) -> (%0) {
  %0 = compare %i, %n {direction = "gt"} : bool[]
}
graph @backward(%i: i64[], %sum: f64[], %tape: tape<f64[]>, %n: i64[]) -> (%next, %more, %popped) {
  %popped, %x = tape_pop %tape : tape<f64[]>, f64[]
  %more = add %sum, %x : f64[]
  %one = constant {value = i64[] 1} : i64[]
  %next = subtract %i, %one : i64[]
})";

TEST(Interpreter, LoopsWithTapes) {
  const RunResult result = run(loops, {Array(std::int64_t{3}), Array(2.0)});
  EXPECT_EQ(result.results[0].item<std::int64_t>(), 3);
  EXPECT_EQ(result.results[1].item<double>(), 256);
  EXPECT_EQ(result.results[2].item<double>(), 2 + 4 + 16);
  EXPECT_EQ(run(loops, {Array(std::int64_t{0}), Array(2.0)}).results[1].item<double>(), 2);
}

TEST(Interpreter, TripCountIsABound) {
  const std::string text = R"(
graph @main(%n: i64[]) -> (%0) {
  %zero = constant {value = i64[] 0} : i64[]
  %0 = while_loop %zero, %n {body = @next, carried = 1, condition = @below, max_trip_count = 5} : i64[] loc("loop.cpp":2)
}
graph @below(%i: i64[], %n: i64[]) -> (%0) {
  %0 = compare %i, %n {direction = "lt"} : bool[]
}
graph @next(%i: i64[], %n: i64[]) -> (%0) {
  %one = constant {value = i64[] 1} : i64[]
  %0 = add %i, %one : i64[]
})";
  EXPECT_EQ(run(text, {Array(std::int64_t{5})}).results[0].item<std::int64_t>(), 5);
  EXPECT_EQ(error(text, {Array(std::int64_t{6})}),
            std::pair(ErrorCode::check_failed, std::string("loop.cpp:2: error: the loop runs more than its max_trip_count = 5 times")));
}

TEST(Interpreter, RegionsNestDeep) {
  constexpr int depth = 5000;
  Module module;
  const Type type{f32, Type::Kind::tensor, {2}};
  GraphId inner = module.add_graph("innermost");
  {
    const ValueId x = module.graph(inner).add_parameter(type);
    module.graph(inner).results = {Builder(module, inner).negate(x)};
  }
  for (int i = 0; i < depth; ++i) {
    const GraphId outer = i + 1 == depth ? module.main : module.add_graph("level");
    const ValueId x = module.graph(outer).add_parameter(type);
    module.graph(outer).results = {Builder(module, outer).create(Op::call, {x}, {{"body", GraphRef{inner}}})};
    inner = outer;
  }
  verify(module);
  const std::string text = print(module);
  EXPECT_EQ(print(parse(text)), text);
  module.sweep();
  EXPECT_TRUE(identical(interpret(module, {vector({1, -2})}, {}).results[0], vector({-1, 2})));
}

/// Peak resident memory in MB since the last reset_peak().
long peak_megabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") {
      long kilobytes = 0;
      status >> kilobytes;
      return kilobytes / 1024;
    }
  return 0;
}
void reset_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

TEST(Interpreter, ValuesAreDroppedAfterTheirLastUse) {
  // 3000 values of 256 KB are 750 MB; one or two of them live at a time. (Address sanitizer keeps up to 256 MB of what was freed.)
  Module module;
  Builder b(module, module.main);
  ValueId x = module.main_graph().add_parameter({f32, Type::Kind::tensor, {65536}}, "x");
  for (int i = 0; i < 3000; ++i) x = b.negate(x);
  module.main_graph().results = {x};
  reset_peak();
  const long before = peak_megabytes();
  EXPECT_EQ(interpret(module, {Array::full(f32, {65536}, 3)}, {}).results[0].data<float>()[77], 3);
  EXPECT_LT(peak_megabytes() - before, 400);
}

TEST(Interpreter, GradientsMustBeExpanded) {
  Module module;
  Builder b(module, module.main);
  const ValueId x = module.main_graph().add_parameter({f32, Type::Kind::tensor, {}}, "x");
  module.main_graph().results = {b.create(Op::gradients, {x, x})};
  EXPECT_THROW(interpret(module, {Array(1.F)}, {}), InternalError);
}

}  // namespace
}  // namespace kiln::ir

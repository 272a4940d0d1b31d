// Program IR: text, verifier, interpreter.
#include "ir/program.h"

#include <functional>
#include <random>

#include <gtest/gtest.h>

#include "ir/program_liveness.h"
#include "tests/loops/program_fixture.h"
#include "tests/loops/programs.h"

namespace kiln::ir {
namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

std::string parse_error(const std::string& text) {
  try {
    parse_program(text, "p.kiln");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// ---- text

TEST(ProgramText, RoundTrips) {
  for (const std::string& text : {update_text, tape_text, produce_text}) {
    const std::string once = print(parse_program(text));
    EXPECT_EQ(print(parse_program(once)), once);
    EXPECT_EQ(once.substr(0, once.find("\nkernel")), text.substr(0, text.find("\nkernel")));
  }
}

TEST(ProgramText, LocationsOnRequest) {
  const std::string located = replaced(update_text, "hint \"feed true\"", "hint \"feed true\" loc(\"train.cpp\":12)");
  const Program program = parse_program(located);
  EXPECT_EQ(print(program, false).find("train.cpp"), std::string::npos);
  const std::string text = print(program, true, true);
  EXPECT_NE(text.find("loc(\"train.cpp\":12)"), std::string::npos);
  EXPECT_EQ(print(parse_program(text), true, true), text);
}

TEST(ProgramText, ErrorsNameThePlace) {
  EXPECT_EQ(parse_error(replaced(update_text, "copy old = w", "copy old = q")),
            "p.kiln:15: error: column 14: 'q' is not the name of a buffer");
  EXPECT_EQ(parse_error(replaced(update_text, "  poll", "  stop")), "p.kiln:16: error: column 3: 'stop' is no statement of program IR");
  EXPECT_EQ(parse_error("program @p arena(0) {\n"), "p.kiln:2: error: column 1: expected '}', found the end of the text");
  EXPECT_EQ(parse_error("program @p arena(0) {\n  buffer b = arena 0 : f32[]\n  call @k(b)\n}\n"),
            "p.kiln:1: error: column 1: a call names a kernel that the text does not hold");
}

TEST(ProgramText, DeepNestingWorksAndIsBounded) {
  const auto nested = [](int depth) {
    std::string text = "program @p arena(0) {\n  input p: bool[]\n  buffer p = input p\n";
    for (int i = 0; i < depth; ++i) text += "if p {\n";
    for (int i = 0; i < depth; ++i) text += "}\n";
    return text + "}\n";
  };
  const Program program = parse_program(nested(3000));
  const std::string text = print(program);
  EXPECT_EQ(print(parse_program(text)), text);
  std::map<std::string, Array> none;
  EXPECT_EQ(run_program(program, {Array(true)}, {}, none).status, KILN_OK);
  EXPECT_NE(parse_error(nested(100000)).find("nest more than 4096 deep"), std::string::npos);
}

TEST(ProgramText, ArbitraryBytes) {
  std::mt19937 random(3);
  int errors = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = round % 2 == 0 ? update_text : tape_text;
    for (int c = 0; c < 1 + round % 3; ++c) {
      if (text.empty()) break;
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0: text[at] = static_cast<char>(random() % 256); break;
        case 1: text.erase(at, 1 + random() % 8); break;
        case 2: text.insert(at, text.substr(random() % text.size(), random() % 30)); break;
        default: text.resize(at + 1);
      }
    }
    try {
      const Program program = parse_program(text);
      EXPECT_EQ(print(parse_program(print(program))), print(program));
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 1500);
}

// ---- verifier

TEST(ProgramVerify, EachInvariantIsChecked) {
  struct Case {
    int invariant;
    const char* message;
    std::function<void(Program&)> damage;
    bool tape = false;
  };
  const auto statement = [](StatementKind kind, std::uint32_t index, std::vector<std::uint32_t> buffers) {
    Statement s;
    s.kind = kind;
    s.index = index;
    s.buffers = std::move(buffers);
    return s;
  };
  // Buffers of @update: 0 x, 1 p, 2 old, 3 w, 4 w.next. Statements: call, copy, poll, check, commit.
  const Case cases[] = {
      {1, "two buffers are named 'x'", [](Program& p) { p.buffers[1].name = "x"; }},
      {2, "is input 7, which does not exist", [](Program& p) { p.buffers[0].index = 7; }},
      {2, "but its input is f32[n]", [](Program& p) { p.buffers[0].dtype = f64; }},
      {2, "which is not shadowed", [](Program& p) { p.variables[0].shadowed = false; }},
      {3, "mentions 'm', which is no symbol", [](Program& p) { p.inputs[0].dims = {Dim::symbol("m")}; }},
      {3, "variable 'w' has extent n", [](Program& p) { p.variables[0].dims = {Dim::symbol("n")}; }},
      {4, "begins at 8, which is no multiple of 64", [](Program& p) { p.buffers[5].offset = 8; }, true},
      {4, "ends beyond the arena", [](Program& p) { p.arena_bytes = 320; }, true},
      {5, "'i' and 'i.next' are alive at the same time and overlap", [](Program& p) { p.buffers[6].offset = 0; }, true},
      {6, "kernel @axpy takes 3 buffers, not 2", [](Program& p) { p.body[0].buffers.pop_back(); }},
      {6, "'w' of kernel @axpy is f32[4], but it gets 'p', bool[]", [](Program& p) { p.body[0].buffers[1] = 1; }},
      {6, "kernel @axpy needs symbol 'n'",
       [](Program& p) {
         p.symbols[0] = std::make_shared<SymbolInfo>(SymbolInfo{"k"});
         p.inputs[0].dims = p.buffers[0].extents = {4};
         p.extent_checks.clear();
       }},
      {7, "'w' is written, but",
       [](Program& p) {
         p.variables[0].assigned = false, p.body.pop_back();
         p.body[0].buffers[2] = 3;
       }},
      {7, "'x' is written", [&](Program& p) { p.body.insert(p.body.begin(), statement(StatementKind::copy, 0, {0, 0})); }},
      {8, "a statement has 1 buffers instead of 2", [](Program& p) { p.body[1].buffers.pop_back(); }},
      {8, "a statement has index 9 of 1", [](Program& p) { p.body[3].index = 9; }},
      {9, "the predicate 'x' is f32[n]", [](Program& p) { p.body[3].buffers[0] = 0; }},
      {10, "a copy from 'p' to 'old', which differ in type", [](Program& p) { p.body[1].buffers[1] = 1; }},
      {10, "'p' is no item of tape 't'", [](Program& p) { p.body[2].blocks[1][0].buffers[0] = 5; }, true},
      {11, "after variable 'w' has changed", [](Program& p) { std::swap(p.body[3], p.body[4]); }},
      {12, "changes inside an if or while",
       [&](Program& p) {
         Statement s = statement(StatementKind::if_, 0, {1});
         s.blocks = {{p.body.back()}, {}};
         p.body.back() = s;
       }},
      {12, "is committed twice", [](Program& p) { p.body.push_back(p.body.back()); }},
      {12, "'w' is mentioned after variable 'w' was committed", [&](Program& p) { p.body.push_back(p.body[1]); }},
      {13, "'w' is read, but variable 'w' is not", [](Program& p) { p.variables[0].read = false; }},
      {13, "'w.next' is written, but variable 'w' is not assigned",
       [](Program& p) {
         p.variables[0].assigned = false;
         p.body.pop_back();
       }},
      {14, "'acc' is read before it is written", [](Program& p) { p.body.erase(p.body.begin() + 4); }, true},
      {14, "output 'old' is never written", [](Program& p) { p.body.erase(p.body.begin() + 1); }},
      {15, "a requirement names check 3 of 1", [](Program& p) { p.extent_checks[0].check = 3; }},
      {17, "breaks invariant 9 of loop IR", [](Program& p) { p.kernels[0].buffers[0].extents.push_back(1); }},
  };
  for (const Case& c : cases) {
    Program program = parse_program(c.tape ? tape_text : update_text);
    c.damage(program);
    const std::string violation = find_violation(program);
    const int number = std::string(c.message) == "'w' is written, but" ? 13 : c.invariant;
    EXPECT_NE(violation.find("breaks invariant " + std::to_string(number) + " of program IR"), std::string::npos) << c.message << "\n"
                                                                                                                  << violation;
    EXPECT_NE(violation.find(c.message), std::string::npos) << violation;
  }
  EXPECT_EQ(find_violation(parse_program(tape_text)), "");
}

TEST(ProgramVerify, ProducedExtents) {
  const auto violation = [](const std::string& from, const std::string& to) { return parse_error(replaced(produce_text, from, to)); };
  const auto expect = [&](const std::string& from, const std::string& to, const std::string& message) {
    EXPECT_NE(violation(from, to).find("breaks invariant 18 of program IR: " + message), std::string::npos) << violation(from, to);
  };
  expect("  produce k = c limit n\n  copy y = x\n", "  copy y = x\n  produce k = c limit n\n", "a copy needs 'k' before it is produced");
  expect("limit n\n", "limit k\n", "a limit needs 'k' before it is produced");
  expect("produce k = c", "produce k = x", "'k' is produced from 'x', f32[n]");
  expect("bound n", "bound k", "the bound of 'k' mentions 'k', which is produced");
  expect("input x: f32[n]", "input x: f32[k]", "'x' mentions 'k', which is produced");
  expect("arena(64)", "arena(64*k)", "the arena's size mentions 'k', which is produced");
  EXPECT_NE(violation("symbols(n)", "symbols(n, k)").find("symbol 'k' is listed twice"), std::string::npos);
  EXPECT_NE(violation("limit n", "limit m").find("mentions 'm', which is no symbol"), std::string::npos);
}

TEST(ProgramVerify, LiveRangesCoverLoops) {
  const Program program = parse_program(tape_text);
  const std::vector<LiveRange> ranges = live_ranges(program);
  const auto range = [&](const char* name) {
    for (std::size_t i = 0; i < program.buffers.size(); ++i)
      if (program.buffers[i].name == name) return ranges[i];
    throw InternalError("no such buffer");
  };
  // item lives inside the second loop only; acc passes around its back-edge.
  EXPECT_GT(range("item").first, range("i").last);
  EXPECT_LT(range("item").last - range("item").first, 4U);
  EXPECT_GT(range("acc").last, range("item").last);
  EXPECT_GT(range("state").last, range("item").first);
}

// ---- interpreter

TEST(ProgramInterpreter, CommitSwapsAndChecksComeFirst) {
  const Program program = parse_program(update_text);
  const Array x = Array::from<float>({1, 2, 3, 4}), w = Array::from<float>({10, 20, 30, 40});
  std::map<std::string, Array> variables{{"w", w}};
  ProgramRun run = run_program(program, {x, Array(true)}, {4}, variables);
  EXPECT_EQ(run.status, KILN_OK);
  EXPECT_TRUE(identical(run.outputs.at(0), w));
  EXPECT_TRUE(identical(variables.at("w"), Array::from<float>({20, 30, 40, 50})));
  EXPECT_EQ(run.polls, 1);

  variables = {{"w", w}};
  run = run_program(program, {x, Array(false)}, {4}, variables);
  EXPECT_EQ(run.status, KILN_CHECK_FAILED);
  EXPECT_EQ(run.detail, 0);
  EXPECT_TRUE(identical(variables.at("w"), w));
  run = run_program(program, {x, Array(true)}, {4}, variables, 1);
  EXPECT_EQ(run.status, KILN_CANCELLED);
  EXPECT_TRUE(identical(variables.at("w"), w));
}

TEST(ProgramInterpreter, LoopsAndTapes) {
  const Program program = parse_program(tape_text);
  std::map<std::string, Array> none;
  for (const std::int64_t n : {0, 1, 5, 20}) {
    std::int64_t expected = 0;
    for (std::int64_t i = n; i-- > 0;) expected = 2 * expected + i;
    const ProgramRun run = run_program(program, {Array(n)}, {}, none);
    EXPECT_EQ(run.status, KILN_OK);
    EXPECT_EQ(run.outputs.at(0).item<std::int64_t>(), expected);
    EXPECT_EQ(run.polls, n);
    EXPECT_EQ(run.allocations, n == 0 ? 0 : 1);
  }
  // Beyond one chunk of 8192 items, wrapping arithmetic and all.
  std::uint64_t expected = 0;
  for (std::int64_t i = 20000; i-- > 0;) expected = 2 * expected + static_cast<std::uint64_t>(i);
  const ProgramRun run = run_program(program, {Array(std::int64_t{20000})}, {}, none);
  EXPECT_EQ(run.outputs.at(0).item<std::int64_t>(), static_cast<std::int64_t>(expected));
  EXPECT_EQ(run.allocations, 3);
  EXPECT_EQ(run_program(program, {Array(std::int64_t{3})}, {}, none, 0, false).status, KILN_OUT_OF_MEMORY);
}

TEST(ProgramInterpreter, ProducedExtentsStayWithinTheirLimits) {
  const Program program = parse_program(produce_text);
  std::map<std::string, Array> none;
  for (const auto& [given, count] : std::vector<std::pair<std::int64_t, std::int64_t>>{{2, 2}, {0, 0}, {3, 3}, {-5, 0}, {100, 3}}) {
    const ProgramRun run = run_program(program, {Array({3}, {1.0F, 2.0F, 3.0F}), Array(given)}, {3}, none);
    EXPECT_EQ(run.status, KILN_OK);
    EXPECT_EQ(run.outputs[0].shape(), Shape{count});
    EXPECT_EQ(run.outputs[1].shape(), Shape{3 - count});
    for (std::int64_t i = 0; i < count; ++i) EXPECT_EQ(run.outputs[0].at<float>({i}), static_cast<float>(i + 1));
  }
}

TEST(ProgramInterpreter, PlanValues) {
  const Program program = parse_program(update_text);
  const std::vector<Dim> dims = plan_dims(program);
  ASSERT_EQ(dims.size(), 3U);
  std::int64_t values[3];
  const std::int64_t symbols[] = {5};
  EXPECT_EQ(interpret_plan(const_cast<Program*>(&program), symbols, values), KILN_OK);
  EXPECT_EQ(values[1], 5);
  EXPECT_EQ(values[2], 4);
  Program large = parse_program(update_text);
  large.arena_bytes = 64 * Dim::symbol("n") * Dim::symbol("n");
  const std::int64_t huge[] = {std::int64_t{1} << 40};
  EXPECT_EQ(interpret_plan(&large, huge, values), KILN_OVERFLOW);
}

}  // namespace
}  // namespace kiln::ir

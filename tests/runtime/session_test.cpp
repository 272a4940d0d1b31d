// Session: runs, caching of programs, variables, initialisation, checkpoints.
#include "kiln/session.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "fake_source.h"
#include "kiln/files.h"
#include "runtime/session_state.h"
#include "temporary.h"

namespace kiln {
namespace {

using testing::FakeGraph;
using testing::FakeProgram;
using testing::TemporaryFolder;
using testing::TestGraph;

const Array x = Array::from({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}});
const Array y = Array::from({{10.f, 20.f, 30.f}, {40.f, 50.f, 60.f}});

TEST(Session, RunsAndCachesPrograms) {
  TestGraph test;
  Session session(test);
  EXPECT_EQ(to_string(session.run("sum", {{"x", x}, {"y", y}})), "f32[2, 3] {{11, 22, 33}, {44, 55, 66}}");
  EXPECT_EQ(to_string(session.run("sum", {{"x", y}, {"y", y}})), "f32[2, 3] {{20, 40, 60}, {80, 100, 120}}");
  EXPECT_EQ(test.graph.compiled, 1);
  // Another order of feeds is another request, with the same result.
  EXPECT_EQ(to_string(session.run("sum", {{"y", y}, {"x", x}})), "f32[2, 3] {{11, 22, 33}, {44, 55, 66}}");
  EXPECT_EQ(test.graph.compiled, 2);
  // Other extents of the symbol are the same program.
  const Array three = Array::zeros(f32, {3, 3});
  EXPECT_EQ(session.run("sum", {{"x", three}, {"y", three}}).shape(), (Shape{3, 3}));
  EXPECT_EQ(test.graph.compiled, 2);
}

TEST(Session, PrepareCompiles) {
  TestGraph test;
  Session session(test);
  session.prepare({"sum"}, {"x", "y"});
  EXPECT_EQ(test.graph.compiled, 1);
  session.run({"sum"}, {{"x", x}, {"y", y}});
  EXPECT_EQ(test.graph.compiled, 1);
}

TEST(Session, KeysOfEntitiesAreTheirIdentity) {
  TestGraph test;
  Session session(test);
  const int graph_a = 0, graph_b = 0;
  const auto key = [](const void* graph, std::uint32_t id, Key::Kind kind = Key::Kind::tensor) { return Key(kind, graph, id, "sum"); };
  const Feed feeds[] = {{"x", x}, {"y", y}};
  session.run(key(&graph_a, 1), feeds);
  session.run(key(&graph_a, 1), feeds);
  EXPECT_EQ(test.graph.compiled, 1);
  session.run(key(&graph_a, 2), feeds);
  session.run(key(&graph_b, 1), feeds);
  session.run(key(&graph_a, 1, Key::Kind::operation), feeds);
  session.run("sum", feeds);
  EXPECT_EQ(test.graph.compiled, 5);
}

TEST(Session, SeveralFetchesAndSharedOutputs) {
  TestGraph test;
  Session session(test);
  session.initialize();
  std::vector<Array> out = session.run({"sum", "scaled"}, {{"x", x}, {"y", y}});
  EXPECT_EQ(to_string(out[0]), "f32[2, 3] {{11, 22, 33}, {44, 55, 66}}");
  EXPECT_EQ(to_string(out[1]), "f32[2, 3] {{1, 4, 9}, {4, 10, 18}}");
  out = session.run({"twice", "again"}, {{"x", x}, {"y", y}});
  EXPECT_TRUE(identical(out[0], out[1]));
  EXPECT_TRUE(out[0].unshared());
}

TEST(Session, StepsUpdateVariablesTogether) {
  TestGraph test;
  Session session(test);
  session.initialize();
  const std::vector<Array> out = session.run({"!step"}, {{"x", x}});
  EXPECT_EQ(out[0].size(), 0);
  EXPECT_EQ(to_string(session.value("w")), "f32[3] {6, 9, 12}");
  EXPECT_EQ(to_string(session.value("c")), "f32[3] {1, 2, 3}");  // the value of w from before the run
  session.run("!step", {{"x", x}});
  EXPECT_EQ(to_string(session.value("w")), "f32[3] {11, 16, 21}");
  EXPECT_EQ(to_string(session.value("c")), "f32[3] {6, 9, 12}");
  const std::vector<Array> both = session.run({"w", "c"});
  EXPECT_TRUE(identical(both[0], session.value("w")));
}

TEST(Session, FailedRunsChangeNothing) {
  TestGraph test;
  Session session(test);
  session.initialize();
  session.run("!step", {{"x", x}});
  const Array w = session.value("w"), c = session.value("c");
  for (const std::int32_t status :
       {KILN_CHECK_FAILED, KILN_CANCELLED, KILN_DEADLINE, KILN_OUT_OF_MEMORY, KILN_CUSTOM_CALL, KILN_OVERFLOW}) {
    test.graph.programs.at("!step");
    test.step_status = status;
    EXPECT_THROW(session.run("!step", {{"x", x}}), Error);
    EXPECT_TRUE(identical(session.value("w"), w));
    EXPECT_TRUE(identical(session.value("c"), c));
  }
  test.step_status = 0;
  session.run("!step", {{"x", x}});
  EXPECT_EQ(to_string(session.value("w")), "f32[3] {11, 16, 21}");
}

TEST(Session, ExceptionsOfInterpretersPass) {
  TestGraph test;
  FakeProgram& throwing = test.graph.programs["!throw"];
  throwing = test.graph.programs.at("!step");
  throwing.body = [](kiln_call& call) -> std::int32_t {
    std::swap(call.variables[0], call.shadows[0]);
    throw InternalError("broken");
  };
  Session session(test);
  session.initialize();
  EXPECT_THROW(session.run("!throw", {{"x", x}}), InternalError);
  EXPECT_EQ(to_string(session.value("w")), "f32[3] {1, 2, 3}");
  session.run("!step", {{"x", x}});  // the lock is free
}

TEST(Session, InitializeStartsAnew) {
  TestGraph test;
  Session session(test, {.seed = 5});
  for (int round = 0; round < 2; ++round) {
    session.initialize();
    EXPECT_EQ(to_string(session.value("w")), "f32[3] {1, 2, 3}");
    EXPECT_EQ(to_string(session.value("c")), "f32[3] {5, 5, 5}");
    EXPECT_EQ(to_string(session.value("kiln.run")), "u64[] 1");
    session.set_value("kiln.run", Array(std::uint64_t{99}));
    session.set_value("kiln.seed", Array(std::uint64_t{98}));
  }
  // A failing initializer puts the random state back.
  test.graph.initializer.body = [](kiln_call& call) -> std::int32_t {
    EXPECT_EQ(*static_cast<std::uint64_t*>(call.variables[3]), 0u);
    return KILN_DEADLINE;
  };
  EXPECT_THROW(session.initialize(), Error);
  EXPECT_EQ(to_string(session.value("kiln.run")), "u64[] 99");
  EXPECT_EQ(to_string(session.value("kiln.seed")), "u64[] 98");
}

TEST(Session, VariablesAreListed) {
  TestGraph test;
  Session session(test);
  std::vector<VariableInfo> infos = session.variables();
  ASSERT_EQ(infos.size(), 4u);
  EXPECT_EQ(infos[0].name, "w");
  EXPECT_FALSE(infos[0].initialized);
  EXPECT_FALSE(infos[0].hidden);
  EXPECT_TRUE(infos[2].hidden);
  EXPECT_TRUE(infos[2].initialized);  // the session gives the random state its values
  session.set_value("w", Array::from({7.f, 8.f, 9.f}));
  EXPECT_TRUE(session.variables()[0].initialized);
  EXPECT_FALSE(session.variables()[1].initialized);
  EXPECT_EQ(to_string(session.value("w")), "f32[3] {7, 8, 9}");
}

TEST(Session, CheckpointsRestoreEverything) {
  TestGraph test;
  TemporaryFolder folder;
  Session a(test, {.seed = 7});
  a.initialize();
  a.run("!step", {{"x", x}});
  a.save(folder.file("a.safetensors"));
  Session b(test);
  b.restore(folder.file("a.safetensors"));
  for (const char* name : {"w", "c", "kiln.seed", "kiln.run"}) EXPECT_TRUE(identical(a.value(name), b.value(name))) << name;
  // Weights alone, as other programs write them, are enough.
  write_safetensors(folder.file("w.safetensors"), {{"w", Array::from({1.f, 1.f, 1.f})}, {"c", Array::from({2.f, 2.f, 2.f})}});
  b.restore(folder.file("w.safetensors"));
  EXPECT_EQ(to_string(b.value("c")), "f32[3] {2, 2, 2}");
  EXPECT_EQ(to_string(b.value("kiln.seed")), "u64[] 7");
}

TEST(Session, PlanValuesGiveExtentsAndArena) {
  FakeGraph graph;
  FakeProgram& program = graph.programs["doubled"];
  program.description.symbols = {{"n"}};
  program.description.inputs = {{"a", i32, {testing::symbol_dim(0, "n")}, {}}, {"b", i32, {testing::value_dim(1, "2*n")}, {}}};
  program.description.outputs = {{"doubled", i32, {testing::value_dim(1, "2*n")}, {}}};
  program.description.plan_values = 2;
  program.plan = [](const std::int64_t* symbols, std::int64_t* values) {
    values[0] = symbols[0] * 4;
    values[1] = 2 * symbols[0];
    return KILN_OK;
  };
  program.body = [](kiln_call& call) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(call.arena) % 64, 0u);
    auto* scratch = reinterpret_cast<std::int32_t*>(call.arena);
    for (std::int64_t i = 0; i < call.symbols[0]; ++i) scratch[i] = static_cast<const std::int32_t*>(call.inputs[0])[i];
    for (std::int64_t i = 0; i < call.values[1]; ++i)
      static_cast<std::int32_t*>(call.outputs[0])[i] = static_cast<const std::int32_t*>(call.inputs[1])[i] + scratch[i / 2];
    return KILN_OK;
  };
  Session session(graph);
  EXPECT_EQ(to_string(session.run("doubled", {{"a", Array::from({10, 20})}, {"b", Array::from({1, 2, 3, 4})}})), "i32[4] {11, 12, 23, 24}");
  EXPECT_EQ(session.run("doubled", {{"a", Array(i32, {0})}, {"b", Array(i32, {0})}}).size(), 0);
  const Array large = Array::zeros(i32, {3'000'000}), twice = Array::zeros(i32, {6'000'000});  // an arena of huge pages
  EXPECT_EQ(session.run("doubled", {{"a", large}, {"b", twice}}).size(), 6'000'000);
}

TEST(Session, TapesComeFromTheRunsMemory) {
  FakeGraph graph;
  std::vector<void*> pieces;
  FakeProgram& program = graph.programs["!tape"];
  program.body = [&](kiln_call& call) -> std::int32_t {
    pieces.clear();
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{100}, std::size_t{3} << 20, std::size_t{64}}) {
      auto* piece = static_cast<unsigned char*>(call.allocate(call.allocator, bytes));
      if (piece == nullptr) return KILN_OUT_OF_MEMORY;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece) % 64, 0u);
      std::memset(piece, 0xab, bytes);
      pieces.push_back(piece);
    }
    return KILN_OK;
  };
  Session session(graph);
  session.run("!tape");
  EXPECT_EQ(pieces.size(), 4u);
  Session limited(graph, {.memory_limit = 2 << 20});
  EXPECT_EQ(
      testing::error_of(ErrorCode::out_of_memory, [&] { limited.run("!tape"); }).find("tapes of a loop's gradient") == std::string::npos,
      false);
  EXPECT_EQ(pieces.size(), 2u);
}

TEST(Session, PoisonShowsUnwrittenMemory) {
  FakeGraph graph;
  FakeProgram& program = graph.programs["out"];
  program.description.outputs = {{"out", f32, {testing::constant_dim(2)}, {}}};
  program.plan = [](const std::int64_t*, std::int64_t* values) {
    values[0] = 4;
    return KILN_OK;
  };
  program.body = [](kiln_call& call) {
    std::memcpy(call.outputs[0], call.arena, 4);  // the second element stays unwritten
    return KILN_OK;
  };
  ::setenv("KILN_POISON", "1", 1);
  Session session(graph);
  ::unsetenv("KILN_POISON");
  const Array out = session.run("out");
  EXPECT_TRUE(std::isnan(out.at<float>({0})));
  EXPECT_TRUE(std::isnan(out.at<float>({1})));
}

TEST(Session, ThreadsAndOptions) {
  TestGraph test;
  EXPECT_EQ(Session(test, {.threads = 3}).threads(), 3);
  EXPECT_EQ(Session(test).threads(), runtime::available_threads());
  EXPECT_EQ(to_string(Session(test).options().device), "cpu");
}

}  // namespace
}  // namespace kiln

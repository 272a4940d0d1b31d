// Several threads on one session: runs that assign exclude all others and are atomic, failing ones leave no trace, nobody starves, waiting
// ends at the deadline.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "fake_source.h"
#include "kiln/files.h"
#include "kiln/session.h"
#include "temporary.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::FakeGraph;
using testing::FakeProgram;
using testing::TestGraph;

void in_threads(int count, const std::function<void(int)>& function) {
  std::vector<std::thread> threads;
  for (int t = 0; t < count; ++t) threads.emplace_back(function, t);
  for (std::thread& thread : threads) thread.join();
}

TEST(Concurrency, StepsAndReadsInterleaveWhole) {
  TestGraph test;
  // As "!step", but every second one fails after it has written the shadow buffer.
  FakeProgram& flaky = test.graph.programs["!flaky"];
  flaky = test.graph.programs.at("!step");
  const auto step = flaky.body;
  std::atomic<int> ordinal = 0;
  flaky.body = [&, step](kiln_call& call) -> std::int32_t {
    if (ordinal.fetch_add(1) % 2 == 0) return step(call);
    std::memset(call.shadows[0], 0xff, 12);
    return KILN_CHECK_FAILED;
  };
  Session session(test, {.threads = 2});
  session.initialize();
  const Array x = Array::from({{0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}});  // adds 1 to each element of w
  constexpr int rounds = 300;
  std::atomic<int> committed = 0;
  in_threads(4, [&](int thread) {
    float last = 0;
    for (int round = 0; round < rounds; ++round) {
      if (thread < 2) {
        try {
          session.run("!flaky", {{"x", x}});
          ++committed;
        } catch (const Error& error) {
          EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ErrorCode::check_failed));
        }
      } else {
        // A torn or failed step would show as elements that are not 0, 1, 2 apart; w only grows.
        const std::vector<Array> state = session.run({"w", "c"});
        const float first = state[0].at<float>({0});
        EXPECT_EQ(state[0].at<float>({1}), first + 1);
        EXPECT_EQ(state[0].at<float>({2}), first + 2);
        EXPECT_GE(first, last);
        last = first;
        const Array value = session.value("w");
        EXPECT_EQ(value.at<float>({2}), value.at<float>({0}) + 2);
      }
    }
  });
  EXPECT_EQ(committed, rounds);
  EXPECT_EQ(session.value("w").at<float>({0}), 1.f + rounds);
}

TEST(Concurrency, ConcurrentRunsHaveTheirOwnArenas) {
  FakeGraph graph;
  FakeProgram& program = graph.programs["out"];
  program.description.symbols = {{"n"}};
  program.description.inputs = {{"a", i32, {testing::symbol_dim(0, "n")}, {}}};
  program.description.outputs = {{"out", i32, {testing::symbol_dim(0, "n")}, {}}};
  program.plan = [](const std::int64_t* symbols, std::int64_t* values) {
    values[0] = 4 * symbols[0];
    return KILN_OK;
  };
  program.body = [](kiln_call& call) {
    auto* scratch = reinterpret_cast<std::int32_t*>(call.arena);
    for (std::int64_t i = 0; i < call.symbols[0]; ++i) scratch[i] = static_cast<const std::int32_t*>(call.inputs[0])[i];
    std::this_thread::yield();
    for (std::int64_t i = 0; i < call.symbols[0]; ++i) static_cast<std::int32_t*>(call.outputs[0])[i] = scratch[i] + 1;
    return KILN_OK;
  };
  Session session(graph);
  in_threads(4, [&](int thread) {
    const Callable callable = session.callable("out", {"a"});
    for (int round = 0; round < 200; ++round) {
      const Array a = Array::full(i32, {1 + (round * 7 + thread) % 50}, thread * 1000 + round);
      EXPECT_TRUE(identical(callable({a})[0], Array::full(i32, a.shape(), thread * 1000 + round + 1)));
    }
  });
  EXPECT_EQ(graph.compiled, 1);
}

TEST(Concurrency, ARequestIsCompiledOnce) {
  TestGraph test;
  Session session(test);
  const Array x = Array::zeros(f32, {2, 3});
  in_threads(4, [&](int) { session.run("sum", {{"x", x}, {"y", x}}); });
  EXPECT_EQ(test.graph.compiled, 1);
}

// A program "w" that reads w and holds the lock until told, and "!set", which assigns w.
struct Holding {
  Holding() {
    graph.variables = {{"w", f32, {}, false, false, {}}};
    FakeProgram& reader = graph.programs["w"];
    reader.description.variables = {{"w", f32, {}, true, false, false, {}}};
    reader.description.outputs = {{"w", f32, {}, {}}};
    reader.body = [this](kiln_call& call) {
      ++inside;
      while (hold) std::this_thread::sleep_for(100us);
      std::memcpy(call.outputs[0], call.variables[0], 4);
      return KILN_OK;
    };
    FakeProgram& writer = graph.programs["!set"];
    writer.description.variables = {{"w", f32, {}, false, true, false, {}}};
    writer.body = [](kiln_call& call) {
      *static_cast<float*>(call.variables[0]) = 2;
      return KILN_OK;
    };
  }
  FakeGraph graph;
  std::atomic<bool> hold = true;
  std::atomic<int> inside = 0;
};

TEST(Concurrency, ReadersRunSideBySideAndWritersWaitNoLongerThanTheirDeadline) {
  Holding holding;
  Session session(holding.graph);
  session.set_value("w", Array(1.f));
  std::thread readers[2];
  for (std::thread& reader : readers) reader = std::thread([&] { EXPECT_EQ(session.run("w").item<float>(), 1.f); });
  while (holding.inside < 2) std::this_thread::yield();  // both hold the lock

  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(testing::error_of(ErrorCode::deadline_exceeded, [&] { session.run("!set", {}, {.deadline = 20ms}); }).empty(), false);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  CancelToken token;
  std::thread canceller([&] {
    std::this_thread::sleep_for(5ms);
    token.cancel();
  });
  EXPECT_EQ(testing::error_of(ErrorCode::cancelled, [&] { session.run("!set", {}, {.cancel = token}); }).empty(), false);
  canceller.join();

  holding.hold = false;
  for (std::thread& reader : readers) reader.join();
  session.run("!set", {}, {.deadline = 10s});
  EXPECT_EQ(session.value("w").item<float>(), 2.f);
}

TEST(Concurrency, WritersDoNotStarve) {
  Holding holding;
  holding.hold = false;
  Session session(holding.graph);
  session.set_value("w", Array(1.f));
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t)
    readers.emplace_back([&] {
      while (!done) session.run("w");
    });
  for (int round = 0; round < 20; ++round) session.run("!set", {}, {.deadline = 60s});
  done = true;
  for (std::thread& reader : readers) reader.join();
}

TEST(Concurrency, CheckpointsAreOfOneMoment) {
  TestGraph test;
  testing::TemporaryFolder folder;
  Session session(test);
  session.initialize();
  const Array x = Array::from({{0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}});
  session.run("!step", {{"x", x}});
  std::thread trainer([&] {
    for (int round = 0; round < 200; ++round) session.run("!step", {{"x", x}});
  });
  for (int round = 0; round < 5; ++round) {
    session.save(folder.file("a"));
    const auto file = read_safetensors(folder.file("a"));
    EXPECT_EQ(file.at("w").at<float>({0}), file.at("c").at<float>({0}) + 1);  // c is always one step behind
  }
  trainer.join();
}

}  // namespace
}  // namespace kiln

// Callables: reuse of results, and no allocation once warm, counted by replacing operator new.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "fake_source.h"
#include "kiln/session.h"

namespace {
std::atomic<long> allocations = 0;

void* counted(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(bytes > 0 ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
}  // namespace

// The whole test program allocates through these. Memory from malloc, so that sanitizers see it as usual.
void* operator new(std::size_t bytes) { return counted(bytes); }
void* operator new[](std::size_t bytes) { return counted(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(bytes > 0 ? bytes : 1);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace kiln {
namespace {

using testing::TestGraph;

const Array x = Array::from({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}});
const Array y = Array::from({{10.f, 20.f, 30.f}, {40.f, 50.f, 60.f}});

template <class Function>
long allocations_in(Function&& function) {
  const long before = allocations.load();
  function();
  return allocations.load() - before;
}

TEST(Callable, GivesTheResultsOfRun) {
  TestGraph test;
  Session session(test);
  session.initialize();
  const Callable both = session.callable({"sum", "scaled"}, {"x", "y"});
  const std::vector<Array> called = both({x, y}), run = session.run({"sum", "scaled"}, {{"x", x}, {"y", y}});
  EXPECT_TRUE(identical(called[0], run[0]));
  EXPECT_TRUE(identical(called[1], run[1]));
  EXPECT_EQ(test.graph.compiled, 1);
}

TEST(Callable, AllocatesNothingOnceWarm) {
  TestGraph test;
  Session session(test);
  session.initialize();
  EXPECT_GT(allocations_in([] { Array a(f32, {3}); }), 0);  // the counter counts
  const Callable both = session.callable({"sum", "scaled"}, {"x", "y"});
  const Callable step = session.callable("!step", {"x"});
  std::vector<Array> results(2), nothing(1);
  both({x, y}, results);
  step({x}, nothing);
  const void* memory = results[0].raw();
  EXPECT_EQ(allocations_in([&] {
              for (int i = 0; i < 100; ++i) {
                both({x, y}, results);
                step({x}, nothing);
              }
            }),
            0);
  EXPECT_EQ(results[0].raw(), memory);
  EXPECT_EQ(to_string(results[0]), "f32[2, 3] {{11, 22, 33}, {44, 55, 66}}");
}

TEST(Callable, KeepsResultsThatSomebodyElseHolds) {
  TestGraph test;
  Session session(test);
  const Callable sum = session.callable("sum", {"x", "y"});
  std::vector<Array> results(1);
  sum({x, y}, results);
  const Array kept = results[0];
  sum({x, x}, results);
  EXPECT_EQ(to_string(kept), "f32[2, 3] {{11, 22, 33}, {44, 55, 66}}");
  EXPECT_EQ(to_string(results[0]), "f32[2, 3] {{2, 4, 6}, {8, 10, 12}}");
}

TEST(Callable, AdaptsResultsOfOtherTypes) {
  TestGraph test;
  Session session(test);
  const Callable sum = session.callable("sum", {"x", "y"});
  std::vector<Array> results = {Array::zeros(f64, {7})};
  sum({x, y}, results);
  EXPECT_EQ(results[0].dtype(), f32);
  const Array larger = Array::zeros(f32, {5, 3});
  sum({larger, larger}, results);
  EXPECT_EQ(results[0].shape(), (Shape{5, 3}));
}

TEST(Callable, NeverWritesIntoItsFeeds) {
  TestGraph test;
  Session session(test);
  const Callable sum = session.callable("sum", {"x", "y"});
  std::vector<Array> results(1);
  sum({x, y}, results);
  const void* memory = results[0].raw();
  const ArrayView previous = results[0];
  sum({previous, y}, results);  // the result of the last call is a feed of this one
  EXPECT_NE(results[0].raw(), memory);
  EXPECT_EQ(to_string(results[0]), "f32[2, 3] {{21, 42, 63}, {84, 105, 126}}");
}

TEST(Callable, OutlivesItsSession) {
  TestGraph test;
  Callable sum = [&] { return Session(test).callable("sum", {"x", "y"}); }();
  EXPECT_EQ(to_string(sum({x, y})[0]), "f32[2, 3] {{11, 22, 33}, {44, 55, 66}}");
}

TEST(Run, AllocatesOnlyWhatItReturns) {
  TestGraph test;
  Session session(test);
  session.run("sum", {{"x", x}, {"y", y}});
  // The list of results, and one block per array.
  EXPECT_EQ(allocations_in([&] { session.run("sum", {{"x", x}, {"y", y}}); }), 2);
}

}  // namespace
}  // namespace kiln

// The thread pool: every iteration runs once, whoever calls, from wherever, however many threads there are.
#include "runtime/thread_pool.h"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>
#include <vector>

namespace kiln::runtime {
namespace {

// Counts how often each iteration ran. Cells are plain: overlapping pieces would be a race that the thread sanitizer sees.
struct Counts {
  std::vector<int> cells;
  static void body(void* self, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) ++static_cast<Counts*>(self)->cells[static_cast<std::size_t>(i)];
  }
};

void expect_each_once(ThreadPool& pool, std::int64_t count) {
  Counts counts{std::vector<int>(static_cast<std::size_t>(count))};
  pool.run(count, Counts::body, &counts);
  for (int n : counts.cells) ASSERT_EQ(n, 1) << count;
}

TEST(ThreadPool, EveryIterationRunsOnce) {
  for (const int threads : {1, 2, 3, 4, 16}) {  // more than there are processors, too
    ThreadPool pool(threads);
    for (const std::int64_t count : {0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 1000})
      for (int round = 0; round < 20; ++round) expect_each_once(pool, count);
  }
}

TEST(ThreadPool, WorksAfterItsThreadsFellAsleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    expect_each_once(pool, 100);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST(ThreadPool, SeveralCallersAtOnce) {
  ThreadPool pool(2);
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 500; ++round) expect_each_once(pool, 50);
    });
  for (std::thread& caller : callers) caller.join();
}

TEST(ThreadPool, CallsFromWithinABodyRunInline) {
  ThreadPool pool(2);
  struct Nested {
    ThreadPool& pool;
    std::vector<Counts> counts;
  } nested{pool, std::vector<Counts>(20, Counts{std::vector<int>(30)})};
  pool.run(
      20,
      [](void* context, std::int64_t begin, std::int64_t end) {
        auto& nested = *static_cast<Nested*>(context);
        for (std::int64_t i = begin; i < end; ++i) nested.pool.run(30, Counts::body, &nested.counts[static_cast<std::size_t>(i)]);
      },
      &nested);
  for (const Counts& counts : nested.counts) EXPECT_EQ(std::accumulate(counts.cells.begin(), counts.cells.end(), 0), 30);
}

TEST(ThreadPool, HugeCountsDoNotOverflow) {
  struct Sum {
    std::atomic<std::int64_t> covered = 0;
  } sum;
  ThreadPool pool(4);
  pool.run(
      INT64_MAX, [](void* context, std::int64_t begin, std::int64_t end) { static_cast<Sum*>(context)->covered += end - begin; }, &sum);
  EXPECT_EQ(sum.covered, INT64_MAX);
}

TEST(ThreadPool, UsesSeveralThreads) {
  ThreadPool pool(2);
  struct Meeting {
    std::atomic<int> present = 0;
  } meeting;
  // Both pieces wait for each other: ends only if two threads take part.
  pool.run(
      2,
      [](void* context, std::int64_t, std::int64_t) {
        auto& present = static_cast<Meeting*>(context)->present;
        ++present;
        while (present.load() < 2) std::this_thread::yield();
      },
      &meeting);
  EXPECT_EQ(meeting.present, 2);
}

TEST(AvailableThreads, IsWithinTheMachine) {
  EXPECT_GE(available_threads(), 1);
  EXPECT_LE(available_threads(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace kiln::runtime

// The thread pool: one job at a time, cut into more pieces than there are threads, which are taken with an atomic counter. What piece a
// thread gets never matters to results: kernels fix their reduction trees by logical extents.
//
// Why not pthreadpool: measured on two cores (Debian 12's 2021-05-07 version, empty bodies), its fork-join takes 0.8 us, which is fine, but
// a second caller waits until the first one's job is done (19 ms where that took 20 ms; ours does its work inline at once), and its workers
// either spin for 11 ms of processor time after every job, or, with its yield flag, sleep at once and cost 37 us at the 99th percentile to
// wake. A call from within a body deadlocks. This pool's fork-join measured 0.5 us (median); workers spin for 30 us (about what waking a
// sleeper costs), then sleep.
//
// Joining a job is voluntary: a worker that sleeps or has been preempted must not delay a job whose pieces others have finished. `state_`
// holds
//   generation (upper 32 bits) | open (bit 31) | number of workers inside (lower 31 bits).
// The caller writes the job's fields and opens a new generation; a worker enters by incrementing the count while the job is open, by
// compare and swap, and decrements it when no piece is left; the caller closes the job when it finds no piece left, and waits for the count
// to fall to 0. Late workers find the job closed and never touch its fields. Entering and leaving are acquire and release on state_, so
// bodies see what the caller wrote before, and the caller sees what they wrote.
#include "runtime/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <system_error>

namespace kiln::runtime {
namespace {

constexpr std::uint64_t open_bit = std::uint64_t{1} << 31;
constexpr std::uint64_t inside_mask = open_bit - 1;
constexpr std::int64_t pieces_per_thread = 4;
constexpr auto spin_time = std::chrono::microseconds(30);

std::uint32_t generation(std::uint64_t state) { return static_cast<std::uint32_t>(state >> 32); }

// Tells the processor that this is a waiting loop.
void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Calls `done` in a busy loop until it is true (returns true) or the spin time is over.
template <class Condition>
bool spin_until(Condition&& done) {
  const auto end = std::chrono::steady_clock::now() + spin_time;
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

// The CPU quota of the control group (version 2, then 1) in whole processors, or 0 when there is none.
int quota_processors() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period && quota != "max" && period > 0)
    return std::max(1, static_cast<int>(std::strtod(quota.c_str(), nullptr) / period + 0.999));
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double limit = 0;
  if (v1_quota >> limit && v1_period >> period && limit > 0 && period > 0) return std::max(1, static_cast<int>(limit / period + 0.999));
  return 0;
}

}  // namespace

int available_threads() {
  // Sized for machines beyond the 1024 processors of a plain cpu_set_t.
  constexpr int most = 8192;
  int count = 0;
  if (cpu_set_t* set = CPU_ALLOC(most)) {
    const std::size_t bytes = CPU_ALLOC_SIZE(most);
    if (sched_getaffinity(0, bytes, set) == 0) count = CPU_COUNT_S(bytes, set);
    CPU_FREE(set);
  }
  if (count <= 0) count = std::max(1u, std::thread::hardware_concurrency());
  const int quota = quota_processors();
  return quota > 0 ? std::min(count, quota) : count;
}

ThreadPool::ThreadPool(int threads) : threads_(std::max(1, threads)) {}

ThreadPool::~ThreadPool() {
  ending_.store(true);
  wake_.fetch_add(1);
  wake_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

void ThreadPool::start() {
  started_ = true;
  try {
    workers_.reserve(static_cast<std::size_t>(threads_ - 1));
    for (int i = 1; i < threads_; ++i) workers_.emplace_back([this] { worker(); });
  } catch (const std::exception&) {
    // The system has no more threads for us: those that started do the work.
  }
}

void ThreadPool::work_on_job() {
  for (;;) {
    const std::int64_t piece = next_piece_.fetch_add(1, std::memory_order_relaxed);
    if (piece >= pieces_) return;
    // Pieces differ in size by one at most; count = whole * pieces + rest, so that nothing overflows.
    const std::int64_t whole = count_ / pieces_, rest = count_ % pieces_;
    const std::int64_t begin = piece * whole + std::min(piece, rest);
    body_(context_, begin, begin + whole + (piece < rest ? 1 : 0));
  }
}

void ThreadPool::run(std::int64_t count, kiln_parallel_body body, void* context) {
  if (count <= 0) return;
  if (count == 1 || threads_ == 1 || busy_.exchange(true, std::memory_order_acquire)) {
    body(context, 0, count);
    return;
  }
  if (!started_) start();

  count_ = count;
  pieces_ = std::min(count, threads_ * pieces_per_thread);
  body_ = body;
  context_ = context;
  next_piece_.store(0, std::memory_order_relaxed);
  const std::uint64_t next_generation = (state_.load(std::memory_order_relaxed) >> 32) + 1;
  state_.store(next_generation << 32 | open_bit, std::memory_order_seq_cst);
  wake_.fetch_add(1, std::memory_order_seq_cst);
  wake_.notify_all();  // a system call only when somebody sleeps

  work_on_job();

  const std::uint64_t closed = state_.fetch_and(~open_bit, std::memory_order_acq_rel);
  const auto everybody_left = [this] { return (state_.load(std::memory_order_acquire) & inside_mask) == 0; };
  if ((closed & inside_mask) != 0 && !spin_until(everybody_left)) {
    for (;;) {
      const std::uint32_t seen = done_.load(std::memory_order_acquire);
      if (everybody_left()) break;
      done_.wait(seen);
    }
  }
  busy_.store(false, std::memory_order_release);
}

void ThreadPool::worker() {
  std::uint32_t last = 0;  // generation of the last job seen
  for (;;) {
    const auto has_job = [&] {
      const std::uint64_t state = state_.load(std::memory_order_acquire);
      return ((state & open_bit) != 0 && generation(state) != last) || ending_.load(std::memory_order_relaxed);
    };
    if (!spin_until(has_job)) {
      for (;;) {
        const std::uint32_t seen = wake_.load(std::memory_order_seq_cst);
        if (has_job()) break;
        wake_.wait(seen);
      }
    }
    if (ending_.load(std::memory_order_acquire)) return;

    std::uint64_t state = state_.load(std::memory_order_acquire);
    while ((state & open_bit) != 0 && generation(state) != last) {
      if (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) continue;
      last = generation(state);
      work_on_job();
      const std::uint64_t before = state_.fetch_sub(1, std::memory_order_acq_rel);
      if ((before & inside_mask) == 1 && (before & open_bit) == 0) {
        done_.fetch_add(1, std::memory_order_release);
        done_.notify_all();
      }
      break;
    }
  }
}

}  // namespace kiln::runtime

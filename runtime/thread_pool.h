// The threads that share a run's parallel loops.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "kiln/abi.h"

namespace kiln::runtime {

/// How many threads this process may use: its CPU affinity, cut by the container's CPU quota. At least 1.
int available_threads();

class ThreadPool {
 public:
  /// A pool in which `threads` threads compute, the caller of run() among them. Threads start with the first loop that can use them.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  /// Calls body(context, begin, end) for pieces that together cover 0..count-1; returns when all are done. May be called by several
  /// threads, and from within a body: while the pool is busy, the calling thread does all the work itself.
  void run(std::int64_t count, kiln_parallel_body body, void* context);

  /// The hook of kiln_call; `pool` is a ThreadPool.
  static void parallel_for(void* pool, std::int64_t count, kiln_parallel_body body, void* context) {
    static_cast<ThreadPool*>(pool)->run(count, body, context);
  }

 private:
  void start();
  void worker();
  void work_on_job();

  int threads_;
  std::vector<std::thread> workers_;
  std::atomic<bool> busy_ = false;  // owned by the caller whose job is in the pool
  bool started_ = false;            // guarded by busy_

  // The job. Written by its caller while no worker is inside; read by workers that are inside.
  std::int64_t count_ = 0, pieces_ = 0;
  kiln_parallel_body body_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<std::int64_t> next_piece_ = 0;

  // generation << 32 | open << 31 | workers inside: see thread_pool.cpp.
  alignas(64) std::atomic<std::uint64_t> state_ = 0;
  alignas(64) std::atomic<std::uint32_t> wake_ = 0;  // changes when a job is there or the pool ends; sleeping workers wait on it
  alignas(64) std::atomic<std::uint32_t> done_ = 0;  // changes when the last worker leaves a closed job; its caller may wait on it
  std::atomic<bool> ending_ = false;
};

}  // namespace kiln::runtime

// Memory of a session: variables and arenas (what a run computes with), under one limit.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kiln/error.h"

namespace kiln::runtime {

/// How much memory a piece of so many bytes takes: 64-byte lines, large pieces whole 2 MB pages.
std::uint64_t allocated_bytes(std::uint64_t bytes);

/// Counts a session's bytes against its limit.
class MemoryMeter {
 public:
  explicit MemoryMeter(std::uint64_t limit) : limit_(limit) {}
  /// Throws Error(out_of_memory), saying for `what`, when the limit does not allow it.
  void charge(std::uint64_t bytes, const char* what, Location where);
  void release(std::uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  std::uint64_t limit_;
  std::atomic<std::uint64_t> used_ = 0;
};

/// A piece of memory, 64-byte aligned (large ones aligned and advised for 2 MB pages), never null once made.
class Memory {
 public:
  Memory() = default;
  /// Throws Error(out_of_memory).
  Memory(std::size_t bytes, MemoryMeter& meter, const char* what, Location where);
  Memory(Memory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)), meter_(std::exchange(other.meter_, nullptr)) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(meter_, other.meter_);
    return *this;
  }
  ~Memory();

  unsigned char* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  unsigned char* data_ = nullptr;
  std::size_t bytes_ = 0;
  MemoryMeter* meter_ = nullptr;
};

/// Memory that one run asks for while it runs, for tapes without a bound: pieces of growing chunks, all given back at the run's end.
class RunMemory {
 public:
  explicit RunMemory(MemoryMeter& meter) : meter_(meter) {}
  /// 64-byte aligned; null when memory or the limit is exhausted (generated code reports that by status).
  void* allocate(std::size_t bytes) noexcept;
  void clear() {
    chunks_.clear();
    used_ = 0;
  }
  /// The hook of kiln_call.
  static void* hook(void* self, std::size_t bytes) noexcept { return static_cast<RunMemory*>(self)->allocate(bytes); }

 private:
  MemoryMeter& meter_;
  std::vector<Memory> chunks_;
  std::size_t used_ = 0;  // bytes handed out of the last chunk
};

}  // namespace kiln::runtime

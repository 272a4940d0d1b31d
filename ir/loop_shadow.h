// Shadow memory of the loop interpreter: who wrote and read each cell during one call of a kernel.
//
// Time is counted in tasks: every iteration of a parallel loop begins a new one. The interpreter runs iterations one after another, so an
// access of task w conflicts with the current one exactly when, for some parallel loop now running, w lies between the first task of this
// execution of the loop and the first task of its current iteration: an earlier iteration of the same execution. Accesses before the loop,
// or inside loops that have ended, are ordered before it.
//
// Cells belong to memory, not to buffers: two buffers on the same memory (a kernel that works in place) share them. Memory that the kernel
// never stores to has none.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace kiln::ir {

class Shadow {
 public:
  enum class Fault : std::uint8_t {
    none,
    written_by_other,   ///< another iteration wrote the cell that this one reads or writes
    read_by_other,      ///< another iteration read the cell that this one writes
    uninitialized,      ///< nothing wrote the cell, and it held nothing before the call
    overwritten_input,  ///< a store through an alias changed an input before this read
  };

  /// One buffer as the kernel uses it.
  struct Extent {
    const void* data = nullptr;
    std::int64_t bytes = 0;  ///< from `data` to the end of the last element
    std::int64_t element_bytes = 0;
    bool stored = false, initialized = false, constant = false;
  };

  /// Forgets everything and finds out which buffers share memory.
  void begin_call(std::span<const Extent> buffers);
  bool tracked(std::size_t buffer) const { return buffers_[buffer].region != nullptr; }
  /// The same number for buffers that share memory; -1: none that is stored to.
  int region_of(std::size_t buffer) const { return buffers_[buffer].region_index; }

  void enter_loop() { loops_.push_back({task_ + 1, task_ + 1}); }
  void begin_iteration() { loops_.back().current = ++task_; }
  void leave_loop() { loops_.pop_back(); }

  /// Checks and notes an access to `count` elements from element `offset` (in elements of the buffer) on. `races`: other iterations may
  /// touch them too.
  Fault read(std::size_t buffer, std::int64_t offset, std::int64_t count, bool races);
  Fault write(std::size_t buffer, std::int64_t offset, std::int64_t count);

 private:
  struct Region {
    std::int64_t cell_bytes = 1;
    bool initialized = false;
    std::vector<std::uint32_t> writer;                     // 0: nobody in this call
    std::vector<std::uint32_t> first_reader, last_reader;  // of the outermost loop now running
  };
  struct View {
    Region* region = nullptr;
    int region_index = -1;
    std::int64_t first_cell = 0, cells_per_element = 1;
    bool constant = false;
  };
  struct Loop {
    std::uint32_t first, current;
  };

  bool earlier_iteration(std::uint32_t task) const {
    for (const Loop& loop : loops_)
      if (task >= loop.first && task < loop.current) return true;
    return false;
  }

  std::vector<View> buffers_;
  std::vector<Region> regions_;
  std::vector<Loop> loops_;
  std::uint32_t task_ = 1;
};

}  // namespace kiln::ir

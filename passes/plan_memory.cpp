// Arena planning (passes/plan_memory.h).
//
// Slots are handed out in order of first use, as a linear scan: a buffer takes the smallest free slot that is known to be large enough for
// it, whatever the symbols are; else it grows a free slot that is known to be smaller; else it opens a new one. Free slots are kept by size
// class: constant sizes sorted by size, symbolic sizes by their normal form, so that each step looks at a few candidates and not at all
// slots.
#include "passes/plan_memory.h"

#include <algorithm>
#include <map>
#include <queue>

#include "ir/program_liveness.h"

namespace kiln::passes {
namespace {

using ir::Dim;
using ir::Truth;

/// How many symbolic slots a buffer is compared with; comparisons of polynomials cost more than the memory that the hundredth one would
/// save.
constexpr std::size_t max_candidates = 16;

/// For produced extents that of their bounds.
Dim size_in_bytes(const ir::Program& program, const ir::ProgramBuffer& buffer) {
  Dim bytes = static_cast<std::int64_t>(size_of(buffer.dtype));
  for (const Dim& extent : buffer.extents) bytes *= extent;
  return 64 * ceildiv(upper_bound(program, bytes), 64);
}

class Arena {
 public:
  explicit Arena(ir::Program& program) : program_(program) {}

  void run() {
    const std::vector<ir::LiveRange> ranges = ir::live_ranges(program_);
    std::vector<std::uint32_t> order;
    for (std::uint32_t b = 0; b < program_.buffers.size(); ++b)
      if (program_.buffers[b].storage == ir::Storage::arena && ranges[b].first <= ranges[b].last) order.push_back(b);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return ranges[a].first < ranges[b].first; });

    slot_of_.assign(program_.buffers.size(), 0);
    using End = std::pair<std::uint32_t, std::uint32_t>;  // last position, slot
    std::priority_queue<End, std::vector<End>, std::greater<>> busy;
    for (std::uint32_t b : order) {
      while (!busy.empty() && busy.top().first < ranges[b].first) {
        release(busy.top().second);
        busy.pop();
      }
      slot_of_[b] = take(size_in_bytes(program_, program_.buffers[b]));
      busy.emplace(ranges[b].last, slot_of_[b]);
    }

    std::vector<Dim> offsets;
    Dim end = 0;
    for (const Dim& size : slots_) {
      offsets.push_back(end);
      end += size;
    }
    for (std::uint32_t b : order) program_.buffers[b].offset = offsets[slot_of_[b]];
    program_.arena_bytes = end;
  }

 private:
  void release(std::uint32_t slot) {
    if (slots_[slot].is_constant())
      free_constant_.emplace(slots_[slot].constant(), slot);
    else
      free_symbolic_.push_back(slot);
  }

  std::uint32_t take(const Dim& size) {
    if (size.is_constant()) {
      if (const auto fit = free_constant_.lower_bound(size.constant()); fit != free_constant_.end()) return remove(fit);
      if (!free_constant_.empty()) {
        const std::uint32_t slot = remove(std::prev(free_constant_.end()));
        slots_[slot] = size;
        return slot;
      }
    } else {
      // Newest first: equal layers release slots of equal size just before they are wanted.
      std::size_t looked = 0;
      std::size_t larger = free_symbolic_.size(), smaller = free_symbolic_.size();
      for (std::size_t k = free_symbolic_.size(); k-- > 0 && looked < max_candidates; ++looked) {
        const Dim& have = slots_[free_symbolic_[k]];
        if (have == size) return remove(k);
        if (larger == free_symbolic_.size() && less_equal(size, have) == Truth::yes) larger = k;
        if (smaller == free_symbolic_.size() && less_equal(have, size) == Truth::yes) smaller = k;
      }
      if (larger < free_symbolic_.size()) return remove(larger);
      if (smaller < free_symbolic_.size()) {
        const std::uint32_t slot = remove(smaller);
        slots_[slot] = size;
        return slot;
      }
    }
    slots_.push_back(size);
    return static_cast<std::uint32_t>(slots_.size() - 1);
  }

  std::uint32_t remove(std::multimap<std::int64_t, std::uint32_t>::iterator at) {
    const std::uint32_t slot = at->second;
    free_constant_.erase(at);
    return slot;
  }
  std::uint32_t remove(std::size_t k) {
    const std::uint32_t slot = free_symbolic_[k];
    free_symbolic_.erase(free_symbolic_.begin() + static_cast<std::ptrdiff_t>(k));
    return slot;
  }

  ir::Program& program_;
  std::vector<Dim> slots_;  // sizes
  std::vector<std::uint32_t> slot_of_;
  std::multimap<std::int64_t, std::uint32_t> free_constant_;
  std::vector<std::uint32_t> free_symbolic_;
};

}  // namespace

void plan_memory(ir::Program& program) { Arena(program).run(); }

}  // namespace kiln::passes

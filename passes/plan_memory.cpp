// Arena planning (passes/plan_memory.h).
//
// Each buffer is an interval of time with a size; those that are alive at the same time must not overlap in memory. Sizes are polynomials
// of symbols, which in general cannot be compared, so buffers are sorted by *unit*: a size is a number times a primitive polynomial
// (512*batch is 512 of the unit `batch`), and within a unit sizes are numbers. Units lie in the arena one after another; within each,
// buffers are packed as numbers are. A program without symbols has one unit, one where a batch is symbolic two.
//
// Where units are many, nothing would share memory with anything that is not exactly proportional to it. Then *slots* may need less: in
// order of first use, a buffer takes the smallest free slot that is known to be large enough for it whatever the symbols are, else grows
// one that is known to be smaller, else opens a new one. What is less for typical values of the symbols is taken.
//
// Packing intervals into the least memory is NP-hard. Two heuristics are tried, and the better result is kept:
//   by size   the largest buffer first, each at the lowest place that is free during its life; near the bound for training steps, whose
//             long-lived activations would otherwise lie between short-lived buffers
//   by time   in order of first use, as an allocator with a free list does (the smallest gap that fits); for programs too large for the
//             first, which compares pairs
#include "passes/plan_memory.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <queue>
#include <set>
#include <string>

#include "ir/program_liveness.h"
#include "passes/lowering.h"

namespace kiln::passes {
namespace {

using ir::Dim;
using ir::Truth;

/// More buffers than this are packed by time alone: comparing all pairs of 4096 takes some 20 ms.
constexpr std::size_t max_by_size = 4096;

/// A buffer within its unit. Sizes and offsets are multiples of 64.
struct Block {
  std::int64_t size = 0;
  ir::LiveRange range;
  std::int64_t offset = 0;
};

/// For produced extents that of their bounds.
Dim size_in_bytes(const ir::Program& program, const ir::ProgramBuffer& buffer) {
  Dim bytes = static_cast<std::int64_t>(size_of(buffer.dtype));
  for (const Dim& extent : buffer.extents) bytes *= extent;
  return 64 * ceildiv(upper_bound(program, bytes), 64);
}

struct Size {
  std::int64_t count = 0;
  Dim unit;
};

Size in_units(const Dim& bytes) {
  if (bytes.is_constant()) return {bytes.constant(), 1};
  std::int64_t count = 0;
  for (const ir::DimTerm& term : terms(bytes)) count = std::gcd(count, term.coefficient);
  return {count, floordiv(bytes, count)};
}

/// Places the blocks; returns where the last one ends.
std::int64_t pack_by_size(std::vector<Block>& blocks) {
  std::vector<std::size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(-blocks[a].size, blocks[a].range.first) < std::pair(-blocks[b].size, blocks[b].range.first);
  });
  std::vector<const Block*> placed;  // by offset
  std::int64_t end = 0;
  for (const std::size_t i : order) {
    Block& block = blocks[i];
    block.offset = 0;
    for (const Block* other : placed) {
      if (other->range.last < block.range.first || block.range.last < other->range.first) continue;
      if (other->offset >= block.offset + block.size) break;
      block.offset = std::max(block.offset, other->offset + other->size);
    }
    end = std::max(end, block.offset + block.size);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), &block, [](const Block* a, const Block* b) { return a->offset < b->offset; }),
        &block);
  }
  return end;
}

/// Memory with gaps, as an allocator keeps it.
class Gaps {
 public:
  std::int64_t take(std::int64_t size) {
    if (const auto fit = by_size_.lower_bound({size, 0}); fit != by_size_.end()) {
      const auto [length, offset] = *fit;
      remove(offset, length);
      if (length > size) add(offset + size, length - size);
      return offset;
    }
    std::int64_t offset = end_;
    if (!by_offset_.empty() && by_offset_.rbegin()->first + by_offset_.rbegin()->second == end_) {  // the last gap grows
      offset = by_offset_.rbegin()->first;
      remove(offset, end_ - offset);
    }
    end_ = offset + size;
    return offset;
  }

  void give_back(std::int64_t offset, std::int64_t size) {
    auto above = by_offset_.lower_bound(offset);
    if (above != by_offset_.end() && above->first == offset + size) {
      size += above->second;
      remove(above->first, above->second);
    }
    above = by_offset_.lower_bound(offset);
    if (above != by_offset_.begin()) {
      const auto [below, length] = *std::prev(above);
      if (below + length == offset) {
        remove(below, length);
        offset = below;
        size += length;
      }
    }
    add(offset, size);
  }

  std::int64_t end() const { return end_; }

 private:
  void add(std::int64_t offset, std::int64_t length) {
    by_offset_.emplace(offset, length);
    by_size_.emplace(length, offset);
  }
  void remove(std::int64_t offset, std::int64_t length) {
    by_offset_.erase(offset);
    by_size_.erase({length, offset});
  }

  std::map<std::int64_t, std::int64_t> by_offset_;
  std::set<std::pair<std::int64_t, std::int64_t>> by_size_;
  std::int64_t end_ = 0;
};

/// The same for blocks in order of first use.
std::int64_t pack_by_time(std::vector<Block>& blocks) {
  using End = std::pair<std::uint32_t, std::size_t>;  // last position, block
  std::priority_queue<End, std::vector<End>, std::greater<>> busy;
  Gaps gaps;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    for (; !busy.empty() && busy.top().first < blocks[i].range.first; busy.pop()) {
      const Block& done = blocks[busy.top().second];
      gaps.give_back(done.offset, done.size);
    }
    blocks[i].offset = 0;
    if (blocks[i].size == 0) continue;
    blocks[i].offset = gaps.take(blocks[i].size);
    busy.emplace(blocks[i].range.last, i);
  }
  return gaps.end();
}

std::int64_t pack(std::vector<Block>& blocks) {
  std::vector<Block> by_time = blocks;
  const std::int64_t end = pack_by_time(by_time);
  if (blocks.size() <= max_by_size)
    if (const std::int64_t other = pack_by_size(blocks); other <= end) return other;
  blocks = std::move(by_time);
  return end;
}

/// How many symbolic slots a buffer is compared with; comparisons of polynomials cost more than the memory that the hundredth one would
/// save.
constexpr std::size_t max_candidates = 16;

/// Where each buffer lies, and the size of all.
struct Layout {
  std::vector<Dim> offsets;  // of `order`
  Dim bytes;
};

class Slots {
 public:
  Layout run(const ir::Program& program, const std::vector<std::uint32_t>& order, const std::vector<ir::LiveRange>& ranges) {
    using End = std::pair<std::uint32_t, std::uint32_t>;  // last position, slot
    std::priority_queue<End, std::vector<End>, std::greater<>> busy;
    std::vector<std::uint32_t> slot_of;
    for (const std::uint32_t b : order) {
      for (; !busy.empty() && busy.top().first < ranges[b].first; busy.pop()) release(busy.top().second);
      slot_of.push_back(take(size_in_bytes(program, program.buffers[b])));
      busy.emplace(ranges[b].last, slot_of.back());
    }
    Layout layout;
    std::vector<Dim> starts;
    for (const Dim& size : slots_) {
      starts.push_back(layout.bytes);
      layout.bytes += size;
    }
    for (const std::uint32_t slot : slot_of) layout.offsets.push_back(starts[slot]);
    return layout;
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

  std::vector<Dim> slots_;  // sizes
  std::multimap<std::int64_t, std::uint32_t> free_constant_;
  std::vector<std::uint32_t> free_symbolic_;
};

struct Unit {
  Dim bytes;
  std::vector<std::size_t> members;  // positions in the order of first use
  std::vector<Block> blocks;
};

Layout pack_by_unit(const ir::Program& program, const std::vector<std::uint32_t>& order, const std::vector<ir::LiveRange>& ranges) {
  std::vector<Unit> units;  // in order of first use
  std::map<std::string, std::size_t> unit_of;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Size size = in_units(size_in_bytes(program, program.buffers[order[i]]));
    const auto [found, fresh] = unit_of.try_emplace(to_string(size.unit), units.size());
    if (fresh) units.push_back({size.unit, {}, {}});
    Unit& unit = units[found->second];
    unit.members.push_back(i);
    unit.blocks.push_back({size.count, ranges[order[i]], 0});
  }
  Layout layout{std::vector<Dim>(order.size()), 0};
  for (Unit& unit : units) {
    const std::int64_t count = pack(unit.blocks);
    for (std::size_t k = 0; k < unit.members.size(); ++k)
      layout.offsets[unit.members[k]] = layout.bytes + unit.blocks[k].offset * unit.bytes;
    layout.bytes += count * unit.bytes;
  }
  return layout;
}

}  // namespace

void plan_memory(ir::Program& program) {
  const std::vector<ir::LiveRange> ranges = ir::live_ranges(program);
  std::vector<std::uint32_t> order;
  for (std::uint32_t b = 0; b < program.buffers.size(); ++b)
    if (program.buffers[b].storage == ir::Storage::arena && ranges[b].first <= ranges[b].last) order.push_back(b);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return ranges[a].first < ranges[b].first; });

  Layout layout = pack_by_unit(program, order, ranges);
  if (!layout.bytes.is_constant())
    if (Layout slots = Slots().run(program, order, ranges); typical(slots.bytes) < typical(layout.bytes)) layout = std::move(slots);
  for (std::size_t i = 0; i < order.size(); ++i) program.buffers[order[i]].offset = layout.offsets[i];
  program.arena_bytes = layout.bytes;
}

}  // namespace kiln::passes

// Shadow memory (ir/loop_shadow.h).
#include "ir/loop_shadow.h"

#include <algorithm>
#include <numeric>

namespace kiln::ir {

void Shadow::begin_call(std::span<const Extent> buffers) {
  buffers_.assign(buffers.size(), {});
  loops_.clear();
  task_ = 1;

  // Buffers by address; overlapping ones form a region.
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return reinterpret_cast<std::uintptr_t>(buffers[a].data) < reinterpret_cast<std::uintptr_t>(buffers[b].data);
  });
  std::size_t region_count = 0;
  regions_.resize(buffers.size());  // views point into it
  for (std::size_t first = 0; first < order.size();) {
    const auto begin = reinterpret_cast<std::uintptr_t>(buffers[order[first]].data);
    std::uintptr_t end = begin;
    std::int64_t cell = 8;
    bool stored = false, initialized = false;
    std::size_t last = first;
    for (; last < order.size(); ++last) {
      const Extent& b = buffers[order[last]];
      const auto at = reinterpret_cast<std::uintptr_t>(b.data);
      if (last > first && at >= end) break;
      end = std::max(end, at + static_cast<std::uintptr_t>(std::max<std::int64_t>(b.bytes, 0)));
      cell = std::gcd(std::gcd(cell, b.element_bytes),
                      static_cast<std::int64_t>(at - begin) == 0 ? cell : static_cast<std::int64_t>(at - begin));
      stored |= b.stored;
      initialized |= b.initialized;
    }
    if (stored && end > begin) {
      Region& region = regions_[region_count];
      region.cell_bytes = cell;
      region.initialized = initialized;
      region.writer.assign((end - begin) / static_cast<std::uintptr_t>(cell), 0);
      region.first_reader.clear();
      region.last_reader.clear();
      for (std::size_t k = first; k < last; ++k) {
        const Extent& b = buffers[order[k]];
        buffers_[order[k]] = {&region, static_cast<int>(region_count),
                              static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(b.data) - begin) / cell, b.element_bytes / cell,
                              b.constant};
      }
      ++region_count;
    }
    first = last;
  }
}

Shadow::Fault Shadow::read(std::size_t buffer, std::int64_t offset, std::int64_t count, bool races) {
  const View& view = buffers_[buffer];
  Region& region = *view.region;
  const auto begin = static_cast<std::size_t>(view.first_cell + offset * view.cells_per_element);
  const std::size_t end = begin + static_cast<std::size_t>(count * view.cells_per_element);
  if (!region.initialized) {
    std::uint32_t least = UINT32_MAX;
    for (std::size_t c = begin; c < end; ++c) least = std::min(least, region.writer[c]);
    if (least == 0) return Fault::uninitialized;
  }
  if (view.constant) {
    std::uint32_t greatest = 0;
    for (std::size_t c = begin; c < end; ++c) greatest = std::max(greatest, region.writer[c]);
    if (greatest != 0)
      return greatest != task_ && !loops_.empty() && earlier_iteration(greatest) ? Fault::written_by_other : Fault::overwritten_input;
  }
  if (!races || loops_.empty()) return Fault::none;
  if (region.first_reader.empty()) {
    region.first_reader.assign(region.writer.size(), 0);
    region.last_reader.assign(region.writer.size(), 0);
  }
  const std::uint32_t outermost = loops_.front().first;
  for (std::size_t c = begin; c < end; ++c) {
    if (earlier_iteration(region.writer[c])) return Fault::written_by_other;
    if (region.first_reader[c] < outermost) region.first_reader[c] = task_;
    region.last_reader[c] = task_;
  }
  return Fault::none;
}

Shadow::Fault Shadow::write(std::size_t buffer, std::int64_t offset, std::int64_t count) {
  const View& view = buffers_[buffer];
  Region& region = *view.region;
  const auto begin = static_cast<std::size_t>(view.first_cell + offset * view.cells_per_element);
  const std::size_t end = begin + static_cast<std::size_t>(count * view.cells_per_element);
  if (!loops_.empty()) {
    for (std::size_t c = begin; c < end; ++c)
      if (earlier_iteration(region.writer[c])) return Fault::written_by_other;
    if (!region.first_reader.empty()) {
      for (std::size_t c = begin; c < end; ++c)
        if (earlier_iteration(region.first_reader[c]) || earlier_iteration(region.last_reader[c])) return Fault::read_by_other;
    }
  }
  std::fill(region.writer.begin() + static_cast<std::ptrdiff_t>(begin), region.writer.begin() + static_cast<std::ptrdiff_t>(end), task_);
  return Fault::none;
}

}  // namespace kiln::ir

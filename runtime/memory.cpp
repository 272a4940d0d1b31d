// Memory of a session.
#include "runtime/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

namespace kiln::runtime {
namespace {

constexpr std::size_t cache_line = 64;
constexpr std::size_t huge_page = std::size_t{2} << 20;
// Below this, alignment to huge pages would waste more address space than the fewer TLB misses are worth.
constexpr std::size_t huge_from = 2 * huge_page;
constexpr std::size_t first_chunk = std::size_t{1} << 20;
constexpr std::size_t largest_chunk = std::size_t{64} << 20;

std::size_t round_up(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

std::size_t alignment_of(std::size_t bytes) { return bytes >= huge_from ? huge_page : cache_line; }

}  // namespace

std::uint64_t allocated_bytes(std::uint64_t bytes) {
  if (bytes > PTRDIFF_MAX - huge_page) return bytes;
  return round_up(std::max(bytes, std::uint64_t{cache_line}), alignment_of(bytes));
}

void MemoryMeter::charge(std::uint64_t bytes, const char* what, Location where) {
  const std::uint64_t before = used_.fetch_add(bytes, std::memory_order_relaxed);
  if (limit_ == 0 || (before <= limit_ && bytes <= limit_ - before)) return;
  release(bytes);
  throw Error(ErrorCode::out_of_memory,
              std::to_string(bytes) + " bytes for " + what + " exceed the session's memory limit of " + std::to_string(limit_) +
                  " bytes (" + std::to_string(before) + " are in use)",
              where, "raise SessionOptions::memory_limit, or run with smaller feeds");
}

Memory::Memory(std::size_t bytes, MemoryMeter& meter, const char* what, Location where) {
  if (bytes > PTRDIFF_MAX - huge_page)
    throw Error(ErrorCode::out_of_memory, std::to_string(bytes) + " bytes for " + what + " are more than can be addressed", where);
  const std::size_t alignment = alignment_of(bytes);
  const std::size_t rounded = allocated_bytes(bytes);
  meter.charge(rounded, what, where);
  data_ = static_cast<unsigned char*>(std::aligned_alloc(alignment, rounded));
  if (data_ == nullptr) {
    meter.release(rounded);
    throw Error(ErrorCode::out_of_memory, "no memory for " + std::to_string(bytes) + " bytes of " + what, where);
  }
  bytes_ = rounded;
  meter_ = &meter;
  // A kernel without huge pages refuses, which costs speed only.
  if (alignment == huge_page) madvise(data_, bytes_, MADV_HUGEPAGE);
}

Memory::~Memory() {
  if (data_ == nullptr) return;
  std::free(data_);
  meter_->release(bytes_);
}

void* RunMemory::allocate(std::size_t bytes) noexcept {
  if (bytes > PTRDIFF_MAX - huge_page) return nullptr;
  bytes = round_up(std::max<std::size_t>(bytes, 1), cache_line);
  if (chunks_.empty() || chunks_.back().bytes() - used_ < bytes) {
    const std::size_t doubled = chunks_.empty() ? first_chunk : std::min(chunks_.back().bytes() * 2, largest_chunk);
    try {
      chunks_.push_back(Memory(std::max(bytes, doubled), meter_, "tapes", {}));
    } catch (const std::exception&) {
      return nullptr;
    }
    used_ = 0;
  }
  void* result = chunks_.back().data() + used_;
  used_ += bytes;
  return result;
}

}  // namespace kiln::runtime

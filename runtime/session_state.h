// The inside of a Session: values of variables, compiled programs, and what a run needs. Internal to the runtime.
//
// Locks, in the order in which they are taken:
//   compile_mutex   the source, the list of variable slots, and adding a program. Held while compiling; never by a run of a program that is
//   cached. run_lock        the contents of the slots. Held by runs for the kernels only: for writing by programs that assign, else for
//   reading. frame_mutex     the pool of frames. Held for a few instructions.
// Looking up a cached program takes no lock: programs are immutable, live as long as the session, and hang in hash buckets that only grow
// at the front.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "kiln/session.h"
#include "runtime/custom_call.h"
#include "runtime/memory.h"
#include "runtime/prints.h"
#include "runtime/program.h"
#include "runtime/program_source.h"
#include "runtime/run_lock.h"
#include "runtime/thread_pool.h"

namespace kiln::runtime {

/// A variable's place in a session. The description never changes; the memory is guarded by the run lock.
struct VariableSlot {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  Location where;
  std::size_t bytes = 0;
  Memory storage;
  Memory shadow;  ///< second buffer, made by the first run of a program that needs it
  bool initialized = false;
};

/// A view of members that lie `stride` bytes apart: the keys or values of a list of Feeds without copying them.
template <class T>
class Strided {
 public:
  Strided() = default;
  Strided(std::span<const T> items) : first_(reinterpret_cast<const char*>(items.data())), stride_(sizeof(T)), size_(items.size()) {}
  Strided(const T* first, std::size_t stride, std::size_t size)
      : first_(reinterpret_cast<const char*>(first)), stride_(stride), size_(size) {}
  std::size_t size() const { return size_; }
  const T& operator[](std::size_t i) const { return *reinterpret_cast<const T*>(first_ + i * stride_); }

 private:
  const char* first_ = nullptr;
  std::size_t stride_ = 0, size_ = 0;
};

/// A program with everything about it that runs would otherwise compute each time.
struct CachedProgram {
  CachedProgram() = default;
  ~CachedProgram() { delete smaller.load(); }
  CachedProgram(const CachedProgram&) = delete;
  CachedProgram& operator=(const CachedProgram&) = delete;

  std::shared_ptr<const Program> program;
  Access access = Access::none;
  std::vector<VariableSlot*> slots;       ///< of each variable of the program
  std::vector<const void*> constants;     ///< their memory
  std::vector<Array> constant_copies;     ///< those that were not aligned as generated code needs them
  std::vector<std::int32_t> first_fetch;  ///< of each output: the fetch that its memory belongs to
  std::size_t fetch_count = 0;
  std::uint64_t variable_bytes = 0;  ///< with a memory limit: of all variables, and the shadows of this program
  /// The program for runs that this one has too little memory for; owned.
  mutable std::atomic<CachedProgram*> smaller = nullptr;

  // The request that this answers; names of keys point into `names`.
  std::size_t hash = 0;
  std::vector<Key> fetches, feeds;
  std::deque<std::string> names;
  CachedProgram* next = nullptr;
};

/// What one run works with. Frames are pooled, so that runs allocate nothing once theirs has grown.
struct Frame {
  explicit Frame(MemoryMeter& meter) : tapes(meter) {}
  Memory arena;
  RunMemory tapes;
  std::vector<Array> fed;  ///< memory of results that were replaced while a feed points into it
  std::vector<const void*> inputs;
  std::vector<void*> outputs, variables, shadows;
  std::vector<std::int64_t> symbols, values;
};

/// What an extent is in the run of this frame, once its sizes are computed.
std::int64_t extent_of(const DimSpec& dim, const Frame& frame);

/// The hidden variables that initialize() sets to their start before it runs; null for those that the graph does not have.
struct RandomState {
  VariableSlot* seed = nullptr;
  VariableSlot* run = nullptr;
};

/// When a run must stop.
struct StopRule {
  StopRule(const RunOptions& options) : cancel(options.cancel ? &*options.cancel : nullptr), has_deadline(options.deadline.has_value()) {
    if (has_deadline) deadline = deadline_after(*options.deadline);
  }
  static std::chrono::steady_clock::time_point deadline_after(std::chrono::steady_clock::duration time);
  bool any() const { return cancel != nullptr || has_deadline; }
  /// KILN_OK, KILN_CANCELLED or KILN_DEADLINE.
  std::int32_t poll() const;
  static std::int32_t hook(void* self) { return static_cast<const StopRule*>(self)->poll(); }

  const CancelToken* cancel;
  bool has_deadline;
  std::chrono::steady_clock::time_point deadline;
};

class SessionState {
 public:
  SessionState(std::shared_ptr<ProgramSource> source, SessionOptions options, Location where);
  ~SessionState();

  const SessionOptions& options() const { return options_; }
  int threads() const { return pool_.threads(); }

  /// The program for a request; compiled when this is its first use.
  const CachedProgram& resolve(std::span<const Key> fetches, const Strided<Key>& feeds, Location where);

  /// One run (runtime/run.cpp). `results` has one array per fetch; their memory is used again where that is possible.
  void run(const CachedProgram& cached, const Strided<ArrayView>& feeds, std::span<Array> results, const RunOptions& options,
           Location where);

  /// What the program for a request needs in memory, as text for people.
  std::string memory_report(std::span<const Key> fetches, std::span<const Key> feeds, Location where);

  void initialize(Location where);
  Array value(const Key& variable, Location where);
  void set_value(const Key& variable, const ArrayView& value, Location where);
  std::vector<VariableInfo> variables(Location where);
  void save(const std::string& path, Location where);
  void restore(const std::string& path, Location where);

 private:
  struct FrameLease;

  /// The program for a request that the feeds of this run leave enough memory for: this one, or one that computes more again.
  const CachedProgram& fitting(const CachedProgram& cached, const Strided<ArrayView>& feeds, Location where);
  static void keep_request(CachedProgram& made, std::span<const Key> fetches, std::span<const Key> feeds);
  std::unique_ptr<CachedProgram> describe(std::shared_ptr<const Program> program, Location where);
  VariableSlot& slot_of(const std::string& name, DType dtype, const Shape& shape, Location made, Location where);
  VariableSlot& slot_of(const VariableInfo& info, Location where) { return slot_of(info.name, info.dtype, info.shape, info.where, where); }
  std::vector<VariableSlot*> all_slots(std::vector<VariableInfo>& infos, Location where);
  void execute(const CachedProgram& cached, const Strided<ArrayView>& feeds, std::span<Array> results, const RunOptions& options,
               Location where, const RandomState& random);
  [[noreturn]] void fail(const Program& program, std::int32_t status, std::int64_t detail, const CustomCalls& functions,
                         const Prints& prints, const RunOptions& options, Location where);

  std::shared_ptr<ProgramSource> source_;
  SessionOptions options_;
  bool poison_;  ///< KILN_POISON=1: arenas and results are filled with NaN before every run, so that reads of unwritten memory show
  MemoryMeter meter_;
  ThreadPool pool_;

  std::mutex compile_mutex_;
  std::deque<VariableSlot> slots_;  ///< never shrinks or moves: programs point to its elements
  static constexpr std::size_t bucket_count = 64;
  std::array<std::atomic<CachedProgram*>, bucket_count> buckets_{};

  RunLock run_lock_;

  std::mutex frame_mutex_;
  std::vector<std::unique_ptr<Frame>> frames_;
};

}  // namespace kiln::runtime

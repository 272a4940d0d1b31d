// One run of a program: feeds are checked and bound to symbols, sizes computed, results and the arena provided; then, under the run lock,
// the entry is called and what it committed is taken over.
//
// Results whose extents the run itself finds out get memory for their bound before it, since nothing may fail once variables have changed;
// afterwards they are cut to what there is.
//
// A run changes the session in one place, after the entry has returned KILN_OK: double-buffered variables swap their two buffers. In-place
// updates were made by the entry itself, which by the contract of kiln_call makes them only when nothing can fail any more. So any error,
// from whatever step, leaves all variables alone.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "runtime/session_state.h"

namespace kiln::runtime {
namespace {

std::string dim_text(const DimSpec& dim) { return dim.text.empty() ? std::to_string(dim.value) : dim.text; }

std::string type_text(const PortSpec& port) {
  std::string text = std::string(name_of(port.dtype)) + "[";
  for (std::size_t i = 0; i < port.dims.size(); ++i) text += (i > 0 ? ", " : "") + dim_text(port.dims[i]);
  return text + "]";
}

std::string declared_at(const PortSpec& port) { return port.where.known() ? " (declared at " + to_string(port.where) + ")" : ""; }

[[noreturn]] void refuse_feed(const PortSpec& port, const ArrayView& value, const std::string& why, Location where,
                              const std::string& hint = "") {
  throw Error(ErrorCode::invalid_feed,
              "the feed of placeholder '" + port.name + "' is " + std::string(name_of(value.dtype())) + to_string(value.shape()) +
                  ", but " + type_text(port) + " is declared" + declared_at(port) + (why.empty() ? "" : ": " + why),
              where, hint);
}

// Who gave symbol `index` its value: found again for messages only, so that runs need not keep it.
std::string origin_of_symbol(const Program& program, const Strided<ArrayView>& feeds, std::int64_t index) {
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    const PortSpec& port = program.inputs[i];
    for (std::size_t d = 0; d < port.dims.size(); ++d) {
      if (port.dims[d].kind == DimSpec::Kind::symbol && port.dims[d].value == index)
        return "it is " + std::to_string(feeds[static_cast<std::size_t>(program.input_feeds[i])].shape()[d]) + " in dimension " +
               std::to_string(d) + " of '" + port.name + "'" + declared_at(port);
    }
  }
  return "it has no value";
}

[[noreturn]] void refuse_symbol(const Program& program, const Strided<ArrayView>& feeds, std::size_t input, std::size_t dim,
                                Location where) {
  const PortSpec& port = program.inputs[input];
  const std::int64_t symbol = port.dims[dim].value;
  const std::int64_t extent = feeds[static_cast<std::size_t>(program.input_feeds[input])].shape()[dim];
  throw Error(ErrorCode::invalid_feed,
              "the feeds disagree about dimension '" + program.symbols[static_cast<std::size_t>(symbol)].name +
                  "': " + origin_of_symbol(program, feeds, symbol) + ", but " + std::to_string(extent) + " in dimension " +
                  std::to_string(dim) + " of '" + port.name + "'" + declared_at(port),
              where, "dimensions of the same name must have the same extent in one run");
}

void check_bounds(const SymbolSpec& symbol, const PortSpec& port, const ArrayView& value, std::size_t dim, Location where) {
  const std::int64_t extent = value.shape()[dim];
  std::string rule;
  if (extent < symbol.min)
    rule = "at least " + std::to_string(symbol.min);
  else if (extent > symbol.max)
    rule = "at most " + std::to_string(symbol.max);
  else if (symbol.multiple_of > 1 && extent % symbol.multiple_of != 0)
    rule = "a multiple of " + std::to_string(symbol.multiple_of);
  if (rule.empty()) return;
  refuse_feed(port, value,
              "dimension " + std::to_string(dim) + " is " + std::to_string(extent) + ", and '" + symbol.name + "' must be " + rule, where);
}

// Checks the feeds and gives every symbol its value.
void bind_feeds(const Program& program, const Strided<ArrayView>& feeds, Frame& frame, Location where) {
  constexpr std::int64_t unbound = -1;
  frame.symbols.assign(program.symbols.size() + static_cast<std::size_t>(program.produced), unbound);
  frame.inputs.resize(program.inputs.size());
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    const PortSpec& port = program.inputs[i];
    const ArrayView& value = feeds[static_cast<std::size_t>(program.input_feeds[i])];
    if (value.dtype() != port.dtype) [[unlikely]]
      refuse_feed(port, value, "", where, "convert it: value.convert(" + std::string(name_of(port.dtype)) + ")");
    if (value.shape().rank() != port.dims.size()) [[unlikely]]
      refuse_feed(port, value, "the rank is " + std::to_string(value.shape().rank()) + ", not " + std::to_string(port.dims.size()), where);
    for (std::size_t d = 0; d < port.dims.size(); ++d) {
      const DimSpec& dim = port.dims[d];
      const std::int64_t extent = value.shape()[d];
      if (extent < 0) [[unlikely]]
        refuse_feed(port, value, "an extent is negative", where);
      if (dim.kind == DimSpec::Kind::constant) {
        if (extent != dim.value) [[unlikely]]
          refuse_feed(port, value,
                      "dimension " + std::to_string(d) + " is " + std::to_string(extent) + ", not " + std::to_string(dim.value), where);
      } else if (dim.kind == DimSpec::Kind::symbol) {
        std::int64_t& bound = frame.symbols[static_cast<std::size_t>(dim.value)];
        if (bound == unbound) {
          check_bounds(program.symbols[static_cast<std::size_t>(dim.value)], port, value, d, where);
          bound = extent;
        } else if (bound != extent) [[unlikely]] {
          refuse_symbol(program, feeds, i, d, where);
        }
      }
    }
    if (value.raw() == nullptr && value.size() > 0) [[unlikely]]
      refuse_feed(port, value, "its data pointer is null", where);
    if (reinterpret_cast<std::uintptr_t>(value.raw()) % size_of(port.dtype) != 0) [[unlikely]]
      refuse_feed(port, value, "its data is not aligned to its element size", where, "copy it into an Array first");
    frame.inputs[i] = value.raw();
  }
  for (std::size_t s = 0; s < program.symbols.size(); ++s) {
    if (frame.symbols[s] == unbound) [[unlikely]]
      throw Error(ErrorCode::invalid_feed,
                  "dimension '" + program.symbols[s].name + "' has no value: no feed has a dimension that is exactly it", where,
                  "feed a placeholder that has '" + program.symbols[s].name + "' as one of its dimensions");
  }
  std::fill(frame.symbols.begin() + static_cast<std::ptrdiff_t>(program.symbols.size()), frame.symbols.end(), 0);
}

// What can be said about extents once the plan has computed them.
void check_extents(const Program& program, const Strided<ArrayView>& feeds, const Frame& frame, Location where) {
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    const PortSpec& port = program.inputs[i];
    for (std::size_t d = 0; d < port.dims.size(); ++d) {
      const DimSpec& dim = port.dims[d];
      if (dim.kind != DimSpec::Kind::expression) continue;
      const ArrayView& value = feeds[static_cast<std::size_t>(program.input_feeds[i])];
      const std::int64_t expected = frame.values[static_cast<std::size_t>(dim.value)];
      if (value.shape()[d] != expected)
        refuse_feed(port, value,
                    "dimension " + std::to_string(d) + " is " + std::to_string(value.shape()[d]) + ", but " + dim_text(dim) + " is " +
                        std::to_string(expected) + " for the dimensions fed",
                    where);
    }
  }
  for (const DimCheck& check : program.dim_checks) {
    const std::int64_t left = frame.values[static_cast<std::size_t>(check.left)];
    const std::int64_t right = frame.values[static_cast<std::size_t>(check.right)];
    if (left == right) continue;
    const CheckSpec& spec = program.checks[static_cast<std::size_t>(check.check)];
    throw Error(spec.code, spec.message + " (" + std::to_string(left) + " and " + std::to_string(right) + " in this run)", spec.where,
                spec.hint);
  }
}

bool overlaps(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
  const auto x = reinterpret_cast<std::uintptr_t>(a), y = reinterpret_cast<std::uintptr_t>(b);
  return x < y + b_bytes && y < x + a_bytes;
}

// Makes `result` a writable array of the output's dtype and shape; keeps its memory when it already is one, and no feed lies in it: reads
// of a feed and writes of a result may come in any order. Memory that is replaced but fed lives in `frame.fed` until the run ends, as the
// feed's view does not hold it.
void provide_result(Array& result, const PortSpec& port, Frame& frame, const Strided<ArrayView>& feeds, Location where) {
  bool fed = false;
  for (std::size_t i = 0; i < feeds.size(); ++i) fed = fed || overlaps(result.raw(), result.bytes(), feeds[i].raw(), feeds[i].bytes());
  bool keep = !fed && result.dtype() == port.dtype && result.shape().rank() == port.dims.size();
  for (std::size_t d = 0; keep && d < port.dims.size(); ++d) keep = result.shape()[d] == extent_of(port.dims[d], frame);
  if (keep && result.unshared()) return;
  if (fed) frame.fed.push_back(std::move(result));
  result = Array();  // gives the old memory back before the new is taken
  Shape shape = Shape::of_rank(port.dims.size());
  for (std::size_t d = 0; d < port.dims.size(); ++d) {
    shape[d] = extent_of(port.dims[d], frame);
    if (shape[d] < 0)
      throw Error(ErrorCode::shape_mismatch,
                  "dimension " + std::to_string(d) + " of '" + port.name + "', " + dim_text(port.dims[d]) + ", is " +
                      std::to_string(shape[d]) + " for the dimensions fed" + declared_at(port),
                  where);
  }
  try {
    result = Array(port.dtype, std::move(shape));
  } catch (const Error& error) {
    throw Error(error.code(), error.message(), where, error.hint());
  }
}

// Memory for a result of which only the greatest number of elements is known.
void provide_room(Array& result, const PortSpec& port, Frame& frame, Location where) {
  if (result.raw() != nullptr) frame.fed.push_back(std::move(result));  // may be fed, as in provide_result
  const std::int64_t elements = std::max<std::int64_t>(frame.values[static_cast<std::size_t>(port.capacity)], 0);
  try {
    result = Array(port.dtype, Shape{elements});
  } catch (const Error& error) {
    throw Error(error.code(), error.message(), where, error.hint());
  }
}

// Gives such a result its shape. A copy of what there is gives the rest back; where there is no memory for it, the result keeps the room.
void cut_result(Array& result, const PortSpec& port, const Frame& frame) {
  Shape shape = Shape::of_rank(port.dims.size());
  for (std::size_t d = 0; d < port.dims.size(); ++d) shape[d] = extent_of(port.dims[d], frame);
  internal_check(shape.size() <= result.size(), "a result has at most as many elements as its bound");
  if (shape.size() == result.size()) {
    result = result.reshape(std::move(shape));
    return;
  }
  try {
    Array cut(port.dtype, shape);
    if (cut.bytes() > 0) std::memcpy(cut.mutable_raw(), result.raw(), cut.bytes());
    result = std::move(cut);
  } catch (const Error&) {
    const void* data = result.raw();
    result = Array::adopt(port.dtype, std::move(shape), data, std::make_shared<Array>(std::move(result)));
  }
}

// Sets the random state to its start, and back again unless keep() is called. The caller holds the run lock for writing.
class RandomRestart {
 public:
  RandomRestart(const RandomState& random, std::uint64_t seed) : random_(random) {
    exchange(random_.seed, seed, old_seed_);
    exchange(random_.run, 0, old_run_);
  }
  ~RandomRestart() {
    std::uint64_t ignored;
    exchange(random_.seed, old_seed_, ignored);
    exchange(random_.run, old_run_, ignored);
  }
  void keep() { random_ = {}; }

 private:
  static void exchange(VariableSlot* slot, std::uint64_t value, std::uint64_t& old) {
    if (slot == nullptr) return;
    std::memcpy(&old, slot->storage.data(), sizeof old);
    std::memcpy(slot->storage.data(), &value, sizeof value);
  }
  RandomState random_;
  std::uint64_t old_seed_ = 0, old_run_ = 0;
};

}  // namespace

std::int64_t extent_of(const DimSpec& dim, const Frame& frame) {
  if (dim.kind == DimSpec::Kind::constant) return dim.value;
  return (dim.kind == DimSpec::Kind::symbol ? frame.symbols : frame.values)[static_cast<std::size_t>(dim.value)];
}

std::chrono::steady_clock::time_point StopRule::deadline_after(std::chrono::steady_clock::duration time) {
  const auto now = std::chrono::steady_clock::now();
  const auto longest = std::chrono::steady_clock::time_point::max() - now;
  return now + std::min(time, longest);
}

std::int32_t StopRule::poll() const {
  if (cancel != nullptr && cancel->cancelled()) return KILN_CANCELLED;
  if (has_deadline && std::chrono::steady_clock::now() >= deadline) return KILN_DEADLINE;
  return KILN_OK;
}

// A frame of the pool, for one run.
struct SessionState::FrameLease {
  explicit FrameLease(SessionState& session) : state(session) {
    {
      std::lock_guard guard(state.frame_mutex_);
      if (!state.frames_.empty()) {
        frame = std::move(state.frames_.back());
        state.frames_.pop_back();
      }
    }
    if (frame == nullptr) frame = std::make_unique<Frame>(state.meter_);
  }
  ~FrameLease() {
    frame->tapes.clear();
    frame->fed.clear();
    std::lock_guard guard(state.frame_mutex_);
    try {
      state.frames_.push_back(std::move(frame));
    } catch (const std::bad_alloc&) {
      // The frame is dropped; the next run makes a new one.
    }
  }
  SessionState& state;
  std::unique_ptr<Frame> frame;
};

void SessionState::run(const CachedProgram& cached, const Strided<ArrayView>& feeds, std::span<Array> results, const RunOptions& options,
                       Location where) {
  execute(fitting(cached, feeds, where), feeds, results, options, where, {});
}

const CachedProgram& SessionState::fitting(const CachedProgram& cached, const Strided<ArrayView>& feeds, Location where) {
  if (options_.memory_limit == 0 || cached.program->symbols.empty() || feeds.size() != cached.feeds.size()) return cached;
  Frame probe(meter_);
  const CachedProgram* at = &cached;
  while (true) {
    const Program& program = *at->program;
    bind_feeds(program, feeds, probe, where);
    probe.values.assign(static_cast<std::size_t>(std::max(program.plan_values, 1)), 0);
    if (program.plan == nullptr || program.plan(program.self, probe.symbols.data(), probe.values.data()) != KILN_OK) return *at;
    const auto arena = static_cast<std::uint64_t>(std::max<std::int64_t>(probe.values[0], 0));
    if (at->variable_bytes + (arena > 0 ? allocated_bytes(arena) : 0) <= options_.memory_limit) return *at;
    if (const CachedProgram* smaller = at->smaller.load(std::memory_order_acquire)) {
      at = smaller;
      continue;
    }
    std::lock_guard guard(compile_mutex_);
    if (at->smaller.load() != nullptr) continue;  // another thread was first
    std::map<std::string, std::int64_t> extents;
    for (std::size_t s = 0; s < program.symbols.size(); ++s) extents[program.symbols[s].name] = probe.symbols[s];
    std::shared_ptr<const Program> compiled = source_->compile_for(at->fetches, at->feeds, options_, extents, where);
    if (compiled == nullptr) return *at;
    std::unique_ptr<CachedProgram> made = describe(std::move(compiled), where);
    keep_request(*made, at->fetches, at->feeds);
    at->smaller.store(made.get(), std::memory_order_release);
    return *made.release();
  }
}

void SessionState::execute(const CachedProgram& cached, const Strided<ArrayView>& feeds, std::span<Array> results,
                           const RunOptions& options, Location where, const RandomState& random) {
  const Program& program = *cached.program;
  if (feeds.size() != cached.feeds.size() || results.size() != cached.fetch_count)
    throw Error(ErrorCode::invalid_argument,
                "this callable takes " + std::to_string(cached.feeds.size()) + " feeds and gives " + std::to_string(cached.fetch_count) +
                    " results, but " + std::to_string(feeds.size()) + " feeds and " + std::to_string(results.size()) + " results are given",
                where);
  refuse_in_custom_call(*this, where);
  const StopRule stop(options);
  FrameLease lease(*this);
  Frame& frame = *lease.frame;
  CustomCalls functions(*this, program, frame);
  Prints prints(options_, program);

  bind_feeds(program, feeds, frame, where);
  frame.values.assign(static_cast<std::size_t>(std::max(program.plan_values, 1)), 0);
  if (program.plan != nullptr) {
    const std::int32_t status = program.plan(program.self, frame.symbols.data(), frame.values.data());
    if (status != KILN_OK) fail(program, status, 0, functions, prints, options, where);
  }
  check_extents(program, feeds, frame, where);

  const std::size_t arena_bytes = static_cast<std::size_t>(std::max<std::int64_t>(frame.values[0], 0));
  if (arena_bytes > frame.arena.bytes()) {
    frame.arena = Memory();
    frame.arena = Memory(arena_bytes, meter_, "intermediate values", where);
  }
  frame.outputs.resize(program.outputs.size());
  for (std::size_t o = 0; o < program.outputs.size(); ++o) {
    Array& result = results[static_cast<std::size_t>(cached.first_fetch[o])];
    if (program.outputs[o].capacity >= 0)
      provide_room(result, program.outputs[o], frame, where);
    else
      provide_result(result, program.outputs[o], frame, feeds, where);
    frame.outputs[o] = result.mutable_raw();
    if (poison_) std::memset(frame.outputs[o], 0xff, result.bytes());
  }
  if (poison_ && arena_bytes > 0) std::memset(frame.arena.data(), 0xff, arena_bytes);
  frame.variables.resize(cached.slots.size());
  frame.shadows.resize(cached.slots.size());

  kiln_call call = {};
  call.inputs = frame.inputs.data();
  call.outputs = frame.outputs.data();
  call.variables = frame.variables.data();
  call.shadows = frame.shadows.data();
  call.constants = cached.constants.data();
  call.symbols = frame.symbols.data();
  call.values = frame.values.data();
  call.arena = frame.arena.data();
  if (pool_.threads() > 1) {
    call.parallel_for = ThreadPool::parallel_for;
    call.pool = &pool_;
  }
  call.allocate = RunMemory::hook;
  call.allocator = &frame.tapes;
  if (stop.any()) {
    call.poll = StopRule::hook;
    call.poll_context = const_cast<StopRule*>(&stop);
  }
  if (!program.custom_calls.empty()) {
    call.custom_call = CustomCalls::hook;
    call.custom_call_context = &functions;
  }
  if (!program.prints.empty()) {
    call.print = Prints::hook;
    call.print_context = &prints;
  }
  call.program = program.self;

  {
    RunLockGuard guard(run_lock_, cached.access, [&] { return stop.poll(); });
    if (guard.status() != KILN_OK) fail(program, guard.status(), 0, functions, prints, options, where);
    if (stop.any()) {
      if (const std::int32_t status = stop.poll(); status != KILN_OK) fail(program, status, 0, functions, prints, options, where);
    }
    for (std::size_t v = 0; v < cached.slots.size(); ++v) {
      VariableSlot& slot = *cached.slots[v];
      const VariableSpec& spec = program.variables[v];
      if (spec.read && !slot.initialized) [[unlikely]]
        throw Error(ErrorCode::uninitialized,
                    "variable '" + slot.name + "'" + (spec.where.known() ? " (made at " + to_string(spec.where) + ")" : std::string()) +
                        " is read before it has a value",
                    where, "call session.initialize() first, or give it a value with session.set_value() or session.restore()");
      if (spec.shadowed && !slot.shadow) slot.shadow = Memory(slot.bytes, meter_, "variables", where);
      frame.variables[v] = slot.storage.data();
      frame.shadows[v] = spec.shadowed ? slot.shadow.data() : nullptr;
    }
    // The initializer draws from the start of the random sequence; what it found comes back should it fail.
    RandomRestart restart(random, options_.seed);
    const std::int32_t status = program.entry(&call);
    if (status != KILN_OK) fail(program, status, call.detail, functions, prints, options, where);
    restart.keep();
    for (std::size_t v = 0; v < cached.slots.size(); ++v) {
      if (!program.variables[v].assigned) continue;
      VariableSlot& slot = *cached.slots[v];
      if (frame.variables[v] != slot.storage.data()) std::swap(slot.storage, slot.shadow);
      slot.initialized = true;
    }
  }

  if (program.produced > 0 && program.plan != nullptr) {
    const std::int32_t status = program.plan(program.self, frame.symbols.data(), frame.values.data());
    internal_check(status == KILN_OK, "sizes within their bounds do not overflow");
    for (std::size_t o = 0; o < program.outputs.size(); ++o)
      if (program.outputs[o].capacity >= 0) cut_result(results[static_cast<std::size_t>(cached.first_fetch[o])], program.outputs[o], frame);
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    const std::int32_t output = program.fetch_outputs[i];
    if (output < 0) {
      if (results[i].size() != 0 || results[i].shape().rank() != 1) results[i] = Array();
    } else if (const auto first = static_cast<std::size_t>(cached.first_fetch[static_cast<std::size_t>(output)]); first != i) {
      // The same tensor fetched again: results are independent of each other.
      Array& result = results[i];
      const Array& source = results[first];
      if (result.dtype() != source.dtype() || result.shape() != source.shape() || !result.unshared())
        result = Array(source.dtype(), source.shape());
      if (source.size() > 0) std::memcpy(result.mutable_raw(), source.raw(), source.bytes());
    }
  }
}

void SessionState::fail(const Program& program, std::int32_t status, std::int64_t detail, const CustomCalls& functions,
                        const Prints& prints, const RunOptions& options, Location where) {
  switch (status) {
    case KILN_CHECK_FAILED: {
      internal_check(detail >= 0 && static_cast<std::size_t>(detail) < program.checks.size(),
                     "generated code reports a check that does not exist");
      const CheckSpec& check = program.checks[static_cast<std::size_t>(detail)];
      throw Error(check.code, check.message, check.where.known() ? check.where : where, check.hint);
    }
    case KILN_CANCELLED: throw Error(ErrorCode::cancelled, "the run was cancelled; no variable has changed", where);
    case KILN_DEADLINE: {
      const double milliseconds = options.deadline ? std::chrono::duration<double, std::milli>(*options.deadline).count() : 0;
      char text[32];
      std::snprintf(text, sizeof text, "%g", milliseconds);
      throw Error(ErrorCode::deadline_exceeded,
                  "the run did not end within its deadline of " + std::string(text) + " ms; no variable has changed", where,
                  "give it more time with RunOptions::deadline, or less work");
    }
    case KILN_OUT_OF_MEMORY:
      throw Error(ErrorCode::out_of_memory, "no memory for the tapes of a loop's gradient", where,
                  "a while_loop with max_trip_count keeps its tape in memory that is known before the run");
    case KILN_CUSTOM_CALL: functions.fail(detail, where);
    case KILN_PRINT_FAILED: prints.fail();
    case KILN_OVERFLOW:
      throw Error(ErrorCode::out_of_memory, "a size does not fit in 63 bits for the dimensions fed", where, "feed smaller arrays");
    default: throw InternalError("generated code returned status " + std::to_string(status));
  }
}

}  // namespace kiln::runtime

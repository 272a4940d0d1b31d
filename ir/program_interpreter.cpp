// The interpreter of program IR: statements one after the other, kernels through the loop interpreter. It has the signature of generated
// code (kiln/abi.h), so that whatever runs programs can run it instead.
//
// A tape's state (64 bytes of the arena) holds its topmost chunk and how many items lie in it. Chunks come from the run's allocator, are
// linked both ways and kept for reuse when they empty; the allocator's owner frees them when the run ends.
#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "ir/loop_interpreter.h"
#include "ir/produced.h"
#include "ir/program.h"
#include "kiln/abi.h"

namespace kiln::ir {

namespace {

struct Chunk {
  Chunk* below;
  Chunk* above;
};
constexpr std::size_t chunk_header = 64;  // keeps items aligned as the chunk is
constexpr std::size_t chunk_bytes = 65536;

struct TapeState {
  Chunk* top;
  std::int64_t count;  // items in it
};

using ValueOf = std::function<std::optional<std::int64_t>(std::string_view)>;

ValueOf value_lookup(const Program& program, const std::int64_t* symbols) {
  return [&program, symbols](std::string_view name) -> std::optional<std::int64_t> {
    const std::optional<std::size_t> index = symbol_index(program, name);
    return index ? std::optional(symbols[*index]) : std::nullopt;
  };
}

class Run {
 public:
  Run(const Program& program, kiln_call& call) : p_(program), call_(call), value_of_(value_lookup(program, call.symbols)) {
    for (const ProgramBuffer& b : program.buffers) offsets_.push_back(b.storage == Storage::arena ? evaluate(b.offset, value_of_) : 0);
    for (const Tape& t : program.tapes)
      item_bytes_.push_back(static_cast<std::size_t>(evaluate(product(t.extents), value_of_)) * size_of(t.dtype));
    first_chunks_.resize(program.tapes.size());
    kernels_.resize(program.kernels.size());
  }

  std::int32_t run() {
    frames_.push_back({&p_.body});
    while (!frames_.empty()) {
      Frame& frame = frames_.back();
      if (frame.at < frame.block->size()) {
        if (const std::int32_t status = execute((*frame.block)[frame.at++]); status != KILN_OK) return status;
        continue;
      }
      const Frame done = frame;
      frames_.pop_back();
      if (!done.loop) continue;
      // After the condition: the body, or the end; after the body: the condition.
      if (!done.condition)
        frames_.push_back({&done.loop->blocks[0], 0, done.loop, true});
      else if (is_true(done.loop->buffers[0]))
        frames_.push_back({&done.loop->blocks[1], 0, done.loop, false});
    }
    return KILN_OK;
  }

 private:
  struct Frame {
    const std::vector<Statement>* block;
    std::size_t at = 0;
    const Statement* loop = nullptr;
    bool condition = false;
  };

  unsigned char* address(std::uint32_t id) const {
    const ProgramBuffer& b = p_.buffers[id];
    const void* p = nullptr;
    switch (b.storage) {
      case Storage::input: p = call_.inputs[b.index]; break;
      case Storage::output: p = call_.outputs[b.index]; break;
      case Storage::variable: p = call_.variables[b.index]; break;
      case Storage::shadow: p = call_.shadows[b.index]; break;
      case Storage::constant: p = call_.constants[b.index]; break;
      case Storage::arena: p = call_.arena + offsets_[id]; break;
    }
    return static_cast<unsigned char*>(const_cast<void*>(p));  // who writes what is the verifier's matter
  }
  bool is_true(std::uint32_t id) const { return *address(id) != 0; }

  std::int32_t execute(const Statement& s) {
    switch (s.kind) {
      case StatementKind::call: call(s); break;
      case StatementKind::copy:
        if (const std::size_t bytes = bytes_of(s.buffers[0]); bytes != 0) std::memmove(address(s.buffers[0]), address(s.buffers[1]), bytes);
        break;
      case StatementKind::if_: frames_.push_back({&s.blocks[is_true(s.buffers[0]) ? 0 : 1]}); break;
      case StatementKind::while_: frames_.push_back({&s.blocks[0], 0, &s, true}); break;
      case StatementKind::tape_clear: {
        const TapeState empty{first_chunks_[s.index], 0};
        std::memcpy(address(p_.tapes[s.index].state), &empty, sizeof empty);
        break;
      }
      case StatementKind::tape_push: return push(s);
      case StatementKind::tape_pop: pop(s); break;
      case StatementKind::custom_call: return custom_call(s);
      case StatementKind::check:
        if (is_true(s.buffers[0])) break;
        call_.detail = s.index;
        return KILN_CHECK_FAILED;
      case StatementKind::print: {
        if (!call_.print) break;
        std::vector<std::int64_t> extents;
        for (const Dim& dim : p_.prints[s.index].type.dims) extents.push_back(evaluate(dim, value_of_));
        if (call_.print(call_.print_context, s.index, address(s.buffers[0]), extents.data()) == 0) break;
        call_.detail = s.index;
        return KILN_PRINT_FAILED;
      }
      case StatementKind::poll:
        if (call_.poll) return call_.poll(call_.poll_context);
        break;
      case StatementKind::produce: {
        std::int64_t count = 0;
        std::memcpy(&count, address(s.buffers[0]), sizeof count);
        call_.symbols[p_.symbols.size() + s.index] = std::clamp<std::int64_t>(count, 0, std::max<std::int64_t>(0, evaluate(s.limit, value_of_)));
        break;
      }
      case StatementKind::commit: std::swap(call_.variables[s.index], call_.shadows[s.index]); break;
    }
    return KILN_OK;
  }

  void call(const Statement& s) {
    auto& ready = kernels_[s.index];
    if (!ready) {
      const Kernel& kernel = p_.kernels[s.index];
      ready.emplace(Ready{KernelInterpreter(kernel), {}, {}});
      for (const auto& info : kernel.symbols) ready->places.push_back(symbol_index(p_, info->name).value());
    }
    ready->symbols.clear();
    for (const std::size_t place : ready->places) ready->symbols.push_back(call_.symbols[place]);
    buffers_.clear();
    for (const std::uint32_t id : s.buffers) buffers_.push_back({address(id)});
    ready->interpreter.run(buffers_, ready->symbols);
  }

  std::int32_t custom_call(const Statement& s) {
    const auto inputs = static_cast<std::ptrdiff_t>(p_.custom_calls[s.index].operands.size());
    std::vector<void*> addresses;
    for (const std::uint32_t id : s.buffers) addresses.push_back(address(id));
    const std::vector<const void*> read(addresses.begin(), addresses.begin() + inputs);
    if (call_.custom_call && call_.custom_call(call_.custom_call_context, s.index, read.data(), addresses.data() + inputs) == 0)
      return KILN_OK;
    call_.detail = s.index;
    return KILN_CUSTOM_CALL;
  }

  std::int64_t capacity(std::size_t item) const {
    return static_cast<std::int64_t>(std::max<std::size_t>(1, item == 0 ? chunk_bytes : chunk_bytes / item));
  }
  unsigned char* item(const TapeState& state, std::size_t bytes) const {
    return reinterpret_cast<unsigned char*>(state.top) + chunk_header + static_cast<std::size_t>(state.count) * bytes;
  }

  std::int32_t push(const Statement& s) {
    const std::size_t bytes = item_bytes_[s.index];
    TapeState state;
    std::memcpy(&state, address(p_.tapes[s.index].state), sizeof state);
    if (!state.top || state.count == capacity(bytes)) {
      Chunk* next = state.top ? state.top->above : nullptr;
      if (!next) {
        const std::size_t size = chunk_header + static_cast<std::size_t>(capacity(bytes)) * bytes;
        void* memory = call_.allocate ? call_.allocate(call_.allocator, size) : nullptr;
        if (!memory) return KILN_OUT_OF_MEMORY;
        next = new (memory) Chunk{state.top, nullptr};
        (state.top ? state.top->above : first_chunks_[s.index]) = next;
      }
      state = {next, 0};
    }
    if (bytes != 0) std::memcpy(item(state, bytes), address(s.buffers[0]), bytes);
    ++state.count;
    std::memcpy(address(p_.tapes[s.index].state), &state, sizeof state);
    return KILN_OK;
  }

  void pop(const Statement& s) {
    const std::size_t bytes = item_bytes_[s.index];
    TapeState state;
    std::memcpy(&state, address(p_.tapes[s.index].state), sizeof state);
    if (state.count == 0 && state.top && state.top->below) state = {state.top->below, capacity(bytes)};
    if (state.count == 0)
      throw InternalError(fmt::format("program @{}: a pop from tape '{}', which is empty", p_.name, p_.tapes[s.index].name));
    --state.count;
    if (bytes != 0) std::memcpy(address(s.buffers[0]), item(state, bytes), bytes);
    std::memcpy(address(p_.tapes[s.index].state), &state, sizeof state);
  }

  struct Ready {
    KernelInterpreter interpreter;
    std::vector<std::size_t> places;  ///< of its symbols in kiln_call::symbols
    std::vector<std::int64_t> symbols;
  };

  std::size_t bytes_of(std::uint32_t id) const {
    const ProgramBuffer& b = p_.buffers[id];
    return static_cast<std::size_t>(evaluate(product(b.extents), value_of_)) * size_of(b.dtype);
  }

  const Program& p_;
  kiln_call& call_;
  ValueOf value_of_;
  std::vector<std::int64_t> offsets_;
  std::vector<std::size_t> item_bytes_;  // of tapes
  std::vector<Chunk*> first_chunks_;     // of tapes; null: none yet
  std::vector<std::optional<Ready>> kernels_;
  std::vector<Frame> frames_;
  std::vector<BoundBuffer> buffers_;
};

}  // namespace

std::vector<Dim> plan_dims(const Program& program) {
  std::vector<Dim> result{program.arena_bytes};
  for (const auto* ports : {&program.inputs, &program.outputs})
    for (const ProgramPort& port : *ports)
      for (const Dim& dim : port.dims)
        if (!dim.is_constant() && !dim.as_symbol()) result.push_back(dim);
  for (const ExtentCheck& check : program.extent_checks) {
    result.push_back(check.left);
    result.push_back(check.right);
  }
  for (const ProgramCustomCall& call : program.custom_calls)
    for (const auto* list : {&call.operands, &call.results})
      for (const Type& type : *list)
        for (const Dim& dim : type.dims)
          if (!dim.is_constant() && !dim.as_symbol()) result.push_back(dim);
  for (const ProgramPort& port : program.outputs)
    if (has_produced_extents(program, port)) result.push_back(upper_bound(program, product(port.dims)));
  return result;
}

Dim upper_bound(const Program& program, const Dim& dim) {
  if (dim.is_constant() || program.produced.empty()) return dim;
  return upper_bound(dim, [&](std::string_view name) -> std::optional<Dim> {
    const auto found = std::ranges::find(program.produced, name, &ProducedExtent::name);
    return found == program.produced.end() ? std::nullopt : std::optional(found->bound);
  });
}

std::optional<std::size_t> symbol_index(const Program& program, std::string_view name) {
  for (std::size_t i = 0; i < program.symbols.size(); ++i)
    if (program.symbols[i]->name == name) return i;
  for (std::size_t i = 0; i < program.produced.size(); ++i)
    if (program.produced[i].name == name) return program.symbols.size() + i;
  return std::nullopt;
}

bool has_produced_extents(const Program& program, const ProgramPort& port) {
  return std::ranges::any_of(port.dims, [&](const Dim& dim) {
    if (dim.is_constant()) return false;
    return std::ranges::any_of(program.produced, [&](const ProducedExtent& extent) { return mentions(dim, extent.name); });
  });
}

std::int32_t interpret_plan(void* program, const std::int64_t* symbols, std::int64_t* values) {
  const auto& p = *static_cast<const Program*>(program);
  const ValueOf value_of = value_lookup(p, symbols);
  try {
    for (const Dim& dim : plan_dims(p)) *values++ = evaluate(dim, value_of);
    return KILN_OK;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::out_of_memory) throw;
    return KILN_OVERFLOW;
  }
}

std::int32_t interpret_program(kiln_call* call) {
  try {
    return Run(*static_cast<const Program*>(call->program), *call).run();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::out_of_memory) throw;
    return KILN_OVERFLOW;
  }
}

}  // namespace kiln::ir

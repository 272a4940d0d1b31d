// The loop interpreter (ir/loop_interpreter.h).
//
// A kernel is compiled once to a tree of steps: registers get places in one block of memory, constants are written there once, index
// expressions become programs over slots (ir/dim_program.h), and arithmetic becomes a function pointer and a walk over elements
// (ir/loop_arithmetic.h). Accesses whose indices are linear in $r and $v, as nearly all are, cost one evaluation per tile: bounds are
// checked at the tile's corners.
#include "ir/loop_interpreter.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "ir/dim_program.h"
#include "ir/loop_arithmetic.h"
#include "ir/loop_builder.h"
#include "ir/loop_shadow.h"
#include "ir/loop_text.h"

namespace kiln::ir {

namespace {

/// One index of an access, or the expression of an `index` op.
struct TileIndex {
  DimProgram base, row, vector;  ///< base + row * $r + vector * $v, when linear
  bool linear = true;
  DimProgram whole;  ///< otherwise: evaluated per element
};

/// What an execution of a load, store, or index op sees: one number per dim.
struct Corner {
  std::int64_t base, row, vector;
};

struct Step;
using Steps = std::vector<Step>;

/// A register to copy at the end of a block.
struct Copy {
  std::uint32_t to, from, bytes;  // offsets in register memory
};

struct Step {
  enum class Kind : std::uint8_t { apply, fold, index, load, store, loop, branch, choose, let };
  Kind kind{};
  const Instruction* instruction = nullptr;
  std::uint32_t out = 0;  // offsets in register memory
  std::uint32_t in[ElementWalk::max_operands] = {};
  std::uint32_t mask = 0;
  ElementApply apply = nullptr;
  FoldApply fold = nullptr;
  ElementWalk walk;  // apply; store: of the value
  ElementWalk mask_walk;
  std::vector<TileIndex> indices;
  const Instruction* parallel_loop = nullptr;  // the outermost one around an access
  bool races = false;                          // load: that loop also stores to this memory
  bool linear = true;                          // all indices are
  // structure
  std::uint32_t slot = 0;
  DimProgram begin, end, step;  // loop; branch on cases: begin is the selector
  std::vector<Steps> blocks;
  std::vector<std::vector<Copy>> ends;  // per block: what its yield does
  std::vector<Copy> before;             // loop: initial values
  bool staged = false;                  // loop: a yielded value is a parameter, so copy through a buffer
};

struct BufferState {
  unsigned char* data = nullptr;
  std::vector<std::int64_t> extents, strides;
};

std::int64_t read_integer(DType dtype, const unsigned char* p) {
  return visit_dtype(dtype, [&](auto tag) -> std::int64_t {
    using T = decltype(tag);
    if constexpr (std::is_integral_v<T>) {
      T value;
      std::memcpy(&value, p, sizeof(T));
      return static_cast<std::int64_t>(value);
    }
    return 0;
  });
}

template <class T>
void gather(void* out, const unsigned char* data, std::int64_t offset, std::int64_t row, std::int64_t vector, int rows, int width) {
  T* o = static_cast<T*>(out);
  for (int r = 0; r < rows; ++r, o += width) {
    const T* from = reinterpret_cast<const T*>(data) + offset + r * row;
    if (vector == 1)
      std::memcpy(o, from, static_cast<std::size_t>(width) * sizeof(T));
    else
      for (int v = 0; v < width; ++v) o[v] = from[v * vector];
  }
}

template <class T>
void scatter(const void* in, unsigned char* data, std::int64_t offset, std::int64_t row, std::int64_t vector, int rows, int width) {
  const T* value = static_cast<const T*>(in);
  for (int r = 0; r < rows; ++r, value += width) {
    T* to = reinterpret_cast<T*>(data) + offset + r * row;
    for (int v = 0; v < width; ++v) to[v * vector] = value[v];
  }
}

}  // namespace

class KernelInterpreter::Machine {
 public:
  explicit Machine(const Kernel& kernel) : kernel_(kernel) {
    for (const auto& info : kernel.symbols) slots_by_name_.emplace(info->name, slot_count_++);
    row_slot_ = slots_by_name_[tile_row] = slot_count_++;
    vector_slot_ = slots_by_name_[tile_vector] = slot_count_++;

    offsets_.resize(kernel.registers.size());
    std::size_t size = 0, largest = 0;
    for (std::size_t r = 0; r < kernel.registers.size(); ++r) {
      offsets_[r] = static_cast<std::uint32_t>(size);
      const std::size_t bytes = register_bytes(static_cast<RegisterId>(r));
      size += (bytes + 63) / 64 * 64;
      largest = std::max(largest, bytes);
    }
    registers_.resize(size / 64 + 1);
    staging_.resize(largest);

    for (const Buffer& b : kernel.buffers) {
      extents_.emplace_back();
      for (const Dim& dim : b.extents) extents_.back().push_back(compile_dim(dim));
      strides_.emplace_back();
      for (const Dim& dim : b.strides) strides_.back().push_back(compile_dim(dim));
    }
    body_ = compile(kernel.body, nullptr);
    slots_.resize(slot_count_);
    buffers_.resize(kernel.buffers.size());
  }

  void run(std::span<const BoundBuffer> buffers, std::span<const std::int64_t> symbols, bool reversed) {
    if (buffers.size() != kernel_.buffers.size() || symbols.size() != kernel_.symbols.size()) {
      throw InternalError(fmt::format("kernel @{} takes {} buffers and {} symbols; it was called with {} and {}", kernel_.name,
                                      kernel_.buffers.size(), kernel_.symbols.size(), buffers.size(), symbols.size()));
    }
    reversed_ = reversed;
    std::copy(symbols.begin(), symbols.end(), slots_.begin());
    loops_.clear();
    bind(buffers);
    execute(body_);
  }

 private:
  struct alignas(64) CacheLine {
    unsigned char bytes[64];
  };

  // ---- compilation

  std::size_t register_bytes(RegisterId id) const {
    const RegisterType& t = kernel_.registers[id];
    return static_cast<std::size_t>(t.elements()) * size_of(t.dtype);
  }
  const RegisterType& type(RegisterId id) const { return kernel_.registers[id]; }

  DimProgram compile_dim(const Dim& dim) {
    return DimProgram(
        dim,
        [&](std::string_view name) {
          const auto found = slots_by_name_.find(std::string(name));
          if (found == slots_by_name_.end()) throw InternalError(fmt::format("kernel @{}: '{}' is not in scope", kernel_.name, name));
          return found->second;
        },
        slot_count_);
  }

  TileIndex compile_index(const Dim& dim) {
    TileIndex index;
    if (!mentions(dim, tile_row) && !mentions(dim, tile_vector)) {
      index.base = compile_dim(dim);
      return index;
    }
    if (const auto row = linear_in(dim, tile_row)) {
      if (const auto vector = linear_in(row->rest, tile_vector); vector && !mentions(row->coefficient, tile_vector)) {
        index.base = compile_dim(vector->rest);
        index.row = compile_dim(row->coefficient);
        index.vector = compile_dim(vector->coefficient);
        return index;
      }
    }
    index.linear = false;
    index.whole = compile_dim(dim);
    return index;
  }

  std::vector<Copy> yield_copies(const Block& block, const std::vector<RegisterId>& targets) const {
    std::vector<Copy> copies;
    for (std::size_t k = 0; k < targets.size(); ++k) {
      const RegisterId from = block.instructions.back().operands[k];
      if (offsets_[targets[k]] != offsets_[from])
        copies.push_back({offsets_[targets[k]], offsets_[from], static_cast<std::uint32_t>(register_bytes(from))});
    }
    return copies;
  }

  Steps compile(const Block& block, const Instruction* parallel_loop) {
    Steps steps;
    for (const Instruction& i : block.instructions) {
      if (i.op == LoopOp::yield || i.op == LoopOp::prefetch) continue;
      if (i.op == LoopOp::constant) {
        fill(memory(offsets_[i.results[0]]), i.type.elements(), i.literal);
        continue;
      }
      steps.push_back(compile(i, parallel_loop));
    }
    return steps;
  }

  Step compile(const Instruction& i, const Instruction* parallel_loop) {
    Step s;
    s.instruction = &i;
    s.parallel_loop = parallel_loop;
    if (!i.results.empty()) s.out = offsets_[i.results[0]];
    switch (i.op) {
      case LoopOp::for_: compile_loop(s, i, parallel_loop); break;
      case LoopOp::if_:
        s.kind = Step::Kind::branch;
        s.in[0] = offsets_[i.operands[0]];
        for (const Block& b : i.blocks) {
          s.blocks.push_back(compile(b, parallel_loop));
          s.ends.push_back(i.results.empty() ? std::vector<Copy>{} : yield_copies(b, i.results));
        }
        break;
      case LoopOp::switch_:
        s.kind = Step::Kind::choose;
        s.begin = compile_dim(i.indices[0]);
        for (const Block& b : i.blocks) s.blocks.push_back(compile(b, parallel_loop));
        break;
      case LoopOp::let:
        s.kind = Step::Kind::let;
        s.in[0] = offsets_[i.operands[0]];
        s.slot = slots_by_name_[i.name] = slot_count_++;
        break;
      case LoopOp::load:
      case LoopOp::store:
      case LoopOp::index: compile_access(s, i); break;
      case LoopOp::reduce:
        s.kind = Step::Kind::fold;
        s.in[0] = offsets_[i.operands[0]];
        s.fold = find_fold(i.combiner, i.type.dtype);
        break;
      default: {
        s.kind = Step::Kind::apply;
        const RegisterType* types[ElementWalk::max_operands] = {};
        for (std::size_t k = 0; k < i.operands.size(); ++k) {
          s.in[k] = offsets_[i.operands[k]];
          types[k] = &type(i.operands[k]);
        }
        s.walk = make_walk(i.type, types, i.operands.size());
        s.apply = find_arithmetic(i, types[0]->dtype);
      }
    }
    return s;
  }

  void compile_access(Step& s, const Instruction& i) {
    s.kind = i.op == LoopOp::load ? Step::Kind::load : i.op == LoopOp::store ? Step::Kind::store : Step::Kind::index;
    for (const Dim& dim : i.indices) {
      s.indices.push_back(compile_index(dim));
      s.linear &= s.indices.back().linear;
    }
    if (i.masked) {
      s.mask = offsets_[i.operands.back()];
      const RegisterType* mask = &type(i.operands.back());
      s.mask_walk = make_walk(i.type, &mask, 1);
    }
    if (i.op == LoopOp::store) {
      s.in[0] = offsets_[i.operands[0]];
      const RegisterType* value = &type(i.operands[0]);
      s.walk = make_walk(i.type, &value, 1);
      Instruction copy;
      copy.op = LoopOp::broadcast;
      copy.type = i.type;
      if (*value != i.type) {
        s.apply = find_arithmetic(copy, i.type.dtype);
        spread_.resize(std::max(spread_.size(), static_cast<std::size_t>(i.type.elements()) * size_of(i.type.dtype) / 64 + 1));
      }
    }
  }

  void compile_loop(Step& s, const Instruction& i, const Instruction* parallel_loop) {
    s.kind = Step::Kind::loop;
    s.begin = compile_dim(i.indices[0]);
    s.end = compile_dim(i.indices[1]);
    s.step = compile_dim(i.indices[2]);
    s.slot = slots_by_name_[i.name] = slot_count_++;
    const Block& body = i.blocks[0];
    // A result lives where its carried value lives: the two are never needed at once.
    for (std::size_t k = 0; k < i.operands.size(); ++k) {
      offsets_[i.results[k]] = offsets_[body.parameters[k]];
      s.before.push_back(
          {offsets_[body.parameters[k]], offsets_[i.operands[k]], static_cast<std::uint32_t>(register_bytes(i.operands[k]))});
    }
    if (!i.operands.empty()) s.out = offsets_[i.results[0]];
    carry_in_place(body);
    s.blocks.push_back(compile(body, parallel_loop ? parallel_loop : i.loop == LoopKind::parallel ? &i : nullptr));
    s.ends.push_back(i.operands.empty() ? std::vector<Copy>{} : yield_copies(body, body.parameters));
    for (const Copy& a : s.ends[0])
      for (const Copy& b : s.ends[0]) s.staged |= a.from == b.to;
  }

  /// Gives a value that only becomes the next carried value the place of the carried one, where the op that makes it is that one's last
  /// use: an accumulator.
  void carry_in_place(const Block& body) {
    if (body.parameters.empty()) return;
    const Instruction& yield = body.instructions.back();
    std::unordered_map<RegisterId, std::size_t>
        last_use;  // index of the last instruction of the block that uses a register, inner blocks included
    std::unordered_map<RegisterId, std::size_t> defined_at;
    for (std::size_t k = 0; k + 1 < body.instructions.size(); ++k) {
      note_uses(body.instructions[k], k, last_use);
      for (const RegisterId id : body.instructions[k].results) defined_at[id] = k;
    }
    for (std::size_t p = 0; p < body.parameters.size(); ++p) {
      const RegisterId parameter = body.parameters[p], next = yield.operands[p];
      const auto definition = defined_at.find(next);
      if (definition == defined_at.end()) continue;
      const Instruction& i = body.instructions[definition->second];
      const bool elementwise =
          i.op != LoopOp::load && i.op != LoopOp::index && i.op != LoopOp::constant && i.op != LoopOp::reduce && i.blocks.empty();
      const bool once = std::count(yield.operands.begin(), yield.operands.end(), next) == 1 &&
                        std::count(yield.operands.begin(), yield.operands.end(), parameter) == 0;
      const auto used = last_use.find(parameter);
      if (elementwise && once && (used == last_use.end() || used->second <= definition->second)) {
        // An operand that repeats must not be overwritten while it is read.
        const bool repeats = std::find(i.operands.begin(), i.operands.end(), parameter) != i.operands.end() && type(parameter) != i.type;
        if (!repeats && size_of(type(parameter).dtype) == size_of(i.type.dtype)) offsets_[next] = offsets_[parameter];
      }
    }
  }
  void note_uses(const Instruction& i, std::size_t at, std::unordered_map<RegisterId, std::size_t>& last_use) const {
    for (const RegisterId id : i.operands) last_use[id] = at;
    for (const Block& b : i.blocks)
      for (const Instruction& inner : b.instructions) note_uses(inner, at, last_use);
  }

  // ---- binding

  void bind(std::span<const BoundBuffer> bound) {
    std::vector<Shadow::Extent> extents(bound.size());
    for (std::size_t k = 0; k < bound.size(); ++k) {
      const Buffer& b = kernel_.buffers[k];
      BufferState& state = buffers_[k];
      state.data = static_cast<unsigned char*>(bound[k].data);
      state.extents.clear();
      state.strides.assign(b.extents.size(), 1);
      bool empty = false;
      for (const DimProgram& dim : extents_[k]) {
        state.extents.push_back(dim.evaluate(slots_.data()));
        if (state.extents.back() < 0)
          throw InternalError(fmt::format("kernel @{}: buffer '{}' has a negative extent", kernel_.name, b.name));
        empty |= state.extents.back() == 0;
      }
      std::int64_t elements = 1;
      for (std::size_t d = b.extents.size(); d-- > 0;) {
        state.strides[d] = b.strides.empty() ? elements : strides_[k][d].evaluate(slots_.data());
        elements *= std::max<std::int64_t>(state.extents[d], 1);
      }
      std::int64_t last = 0;
      for (std::size_t d = 0; d < b.extents.size(); ++d) last += (state.extents[d] - 1) * state.strides[d];
      const auto size = static_cast<std::int64_t>(size_of(b.dtype));
      extents[k] = {state.data,
                    empty ? 0 : (last + 1) * size,
                    size,
                    false,
                    b.role == Buffer::Role::input || b.role == Buffer::Role::inout,
                    b.role == Buffer::Role::input};
    }
    note_stores(kernel_.body, [&](const Instruction& store) { extents[store.buffer].stored = true; });
    shadow_.begin_call(extents);
    note_races(body_);
  }

  template <class Visit>
  static void note_stores(const Block& block, const Visit& visit) {
    for (const Instruction& i : block.instructions) {
      if (i.op == LoopOp::store) visit(i);
      for (const Block& inner : i.blocks) note_stores(inner, visit);
    }
  }

  /// A load can race only when the parallel loop around it stores to the same memory.
  void note_races(Steps& steps) {
    std::unordered_map<const Instruction*, std::vector<bool>> stored;  // per outermost parallel loop: regions it stores to
    note_races(steps, stored);
  }
  void note_races(Steps& steps, std::unordered_map<const Instruction*, std::vector<bool>>& stored) {
    for (Step& s : steps) {
      if (s.kind == Step::Kind::load && s.parallel_loop && shadow_.tracked(s.instruction->buffer)) {
        auto [entry, fresh] = stored.try_emplace(s.parallel_loop, kernel_.buffers.size(), false);
        if (fresh) {
          note_stores(s.parallel_loop->blocks[0], [&](const Instruction& store) {
            if (shadow_.tracked(store.buffer)) entry->second[static_cast<std::size_t>(shadow_.region_of(store.buffer))] = true;
          });
        }
        s.races = entry->second[static_cast<std::size_t>(shadow_.region_of(s.instruction->buffer))];
      }
      for (Steps& inner : s.blocks) note_races(inner, stored);
    }
  }

  // ---- execution

  unsigned char* memory(std::uint32_t offset) { return registers_[0].bytes + offset; }

  [[noreturn]] void fail(const Step& s, const std::string& message) const {
    std::vector<std::string> names;
    for (const auto& info : kernel_.symbols) names.push_back(info->name);
    for (const Step* loop : loops_) names.push_back(loop->instruction->name);
    for (const Dim& dim : s.instruction->indices)
      for (std::string& name : symbols_of(dim)) names.push_back(std::move(name));
    std::string values;
    for (std::size_t k = 0; k < names.size(); ++k) {
      const bool shown = std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(k), names[k]) !=
                         names.begin() + static_cast<std::ptrdiff_t>(k);
      if (shown || names[k] == tile_row || names[k] == tile_vector) continue;
      values += fmt::format("{}{} = {}", values.empty() ? " with " : ", ", names[k], slots_[slots_by_name_.at(names[k])]);
    }
    throw InternalError(fmt::format("kernel @{}: {}: `{}`{}", kernel_.name, message, describe(kernel_, *s.instruction), values));
  }

  void execute(const Steps& steps) {
    for (const Step& s : steps) {
      switch (s.kind) {
        case Step::Kind::apply: {
          const void* in[ElementWalk::max_operands];
          for (std::size_t k = 0; k < s.instruction->operands.size(); ++k) in[k] = memory(s.in[k]);
          s.apply(s.walk, memory(s.out), in);
          break;
        }
        case Step::Kind::fold: fold(s); break;
        case Step::Kind::index: index(s); break;
        case Step::Kind::load:
        case Step::Kind::store: access(s); break;
        case Step::Kind::loop: loop(s); break;
        case Step::Kind::branch: {
          const std::size_t taken = *memory(s.in[0]) != 0 ? 0 : 1;
          execute(s.blocks[taken]);
          for (const Copy& c : s.ends[taken]) std::memcpy(memory(c.to), memory(c.from), c.bytes);
          break;
        }
        case Step::Kind::choose: {
          const std::int64_t value = s.begin.evaluate(slots_.data());
          const auto& cases = s.instruction->cases;
          const auto found = std::find(cases.begin(), cases.end(), value);
          if (found != cases.end()) execute(s.blocks[static_cast<std::size_t>(found - cases.begin())]);
          break;
        }
        case Step::Kind::let: slots_[s.slot] = read_integer(type(s.instruction->operands[0]).dtype, memory(s.in[0])); break;
      }
    }
  }

  void loop(const Step& s) {
    const std::int64_t begin = s.begin.evaluate(slots_.data()), end = s.end.evaluate(slots_.data()), step = s.step.evaluate(slots_.data());
    if (step < 1) fail(s, fmt::format("the step is {}", step));
    for (const Copy& c : s.before) std::memcpy(memory(c.to), memory(c.from), c.bytes);
    if (begin >= end) return;
    loops_.push_back(&s);
    const std::int64_t count = (end - begin - 1) / step + 1;
    const bool parallel = s.instruction->loop == LoopKind::parallel;
    if (parallel) shadow_.enter_loop();
    for (std::int64_t k = 0; k < count; ++k) {
      if (parallel) shadow_.begin_iteration();
      slots_[s.slot] = begin + (parallel && reversed_ ? count - 1 - k : k) * step;
      execute(s.blocks[0]);
      if (!s.staged) {
        for (const Copy& c : s.ends[0]) std::memcpy(memory(c.to), memory(c.from), c.bytes);
      } else {
        std::size_t at = 0;
        for (const Copy& c : s.ends[0]) at += c.bytes;
        staging_.resize(std::max(staging_.size(), at));
        at = 0;
        for (const Copy& c : s.ends[0]) std::memcpy(staging_.data() + std::exchange(at, at + c.bytes), memory(c.from), c.bytes);
        at = 0;
        for (const Copy& c : s.ends[0]) std::memcpy(memory(c.to), staging_.data() + std::exchange(at, at + c.bytes), c.bytes);
      }
    }
    if (parallel) shadow_.leave_loop();
    loops_.pop_back();
  }

  void fold(const Step& s) {
    const Instruction& i = *s.instruction;
    const RegisterType& from = type(i.operands[0]);
    const std::size_t size = size_of(from.dtype), bytes = register_bytes(i.operands[0]);
    std::memcpy(staging_.data(), memory(s.in[0]), bytes);
    const int extent = i.axis == Axis::lanes ? from.lanes : i.axis == Axis::cols ? from.cols : from.rows;
    const int inner = i.axis == Axis::lanes ? 1 : i.axis == Axis::cols ? from.lanes : from.cols * from.lanes;
    const int outer = from.elements() / (extent * inner);
    unsigned char* out = memory(s.out);
    for (int a = 0; a < outer; ++a) {
      for (int b = 0; b < inner; ++b, out += size) {
        unsigned char* first = staging_.data() + static_cast<std::size_t>(a * extent * inner + b) * size;
        s.fold(first, extent, inner);
        std::memcpy(out, first, size);
      }
    }
  }

  /// The value of a non-linear index at an element.
  std::int64_t value_at(const TileIndex& index, int r, int v) {
    slots_[row_slot_] = r;
    slots_[vector_slot_] = v;
    return index.whole.evaluate(slots_.data());
  }
  Corner corner_of(const TileIndex& index) {
    return {index.base.evaluate(slots_.data()), index.row.evaluate(slots_.data()), index.vector.evaluate(slots_.data())};
  }

  void index(const Step& s) {
    const RegisterType& t = s.instruction->type;
    auto* out = reinterpret_cast<std::int64_t*>(memory(s.out));
    const int width = t.cols * t.lanes;
    const Corner c = s.linear ? corner_of(s.indices[0]) : Corner{};
    for (int r = 0; r < t.rows; ++r)
      for (int v = 0; v < width; ++v) *out++ = s.linear ? c.base + c.row * r + c.vector * v : value_at(s.indices[0], r, v);
  }

  void access(const Step& s) {
    const Instruction& i = *s.instruction;
    const BufferState& buffer = buffers_[i.buffer];
    const int rows = i.type.rows, width = i.type.cols * i.type.lanes;
    const void* value = memory(s.in[0]);
    if (s.kind == Step::Kind::store && s.apply) {  // an operand that repeats
      s.apply(s.walk, spread_[0].bytes, &value);
      value = spread_[0].bytes;
    }
    if (i.masked || !s.linear) return access_elements(s, value);

    std::int64_t offset = 0, row = 0, vector = 0;
    for (std::size_t d = 0; d < s.indices.size(); ++d) {
      const Corner c = corner_of(s.indices[d]);
      std::int64_t least = c.base, greatest = c.base;
      (c.row < 0 ? least : greatest) += c.row * (rows - 1);
      (c.vector < 0 ? least : greatest) += c.vector * (width - 1);
      if (least < 0 || greatest >= buffer.extents[d]) out_of_bounds(s, d, least, greatest);
      offset += c.base * buffer.strides[d];
      row += c.row * buffer.strides[d];
      vector += c.vector * buffer.strides[d];
    }
    const bool store = s.kind == Step::Kind::store;
    if (store && ((rows > 1 && row == 0) || (width > 1 && vector == 0))) fail(s, "elements of one store fall on the same cell");
    if (shadow_.tracked(i.buffer)) {
      for (int r = 0; r < rows; ++r) {
        if (vector == 1)
          check(s, offset + r * row, width);
        else
          for (int v = 0; v < width; ++v) check(s, offset + r * row + v * vector, 1);
      }
    }
    void* const out = memory(s.out);
    switch (size_of(i.type.dtype)) {
      case 1:
        store ? scatter<std::uint8_t>(value, buffer.data, offset, row, vector, rows, width)
              : gather<std::uint8_t>(out, buffer.data, offset, row, vector, rows, width);
        break;
      case 2:
        store ? scatter<std::uint16_t>(value, buffer.data, offset, row, vector, rows, width)
              : gather<std::uint16_t>(out, buffer.data, offset, row, vector, rows, width);
        break;
      case 4:
        store ? scatter<std::uint32_t>(value, buffer.data, offset, row, vector, rows, width)
              : gather<std::uint32_t>(out, buffer.data, offset, row, vector, rows, width);
        break;
      default:
        store ? scatter<std::uint64_t>(value, buffer.data, offset, row, vector, rows, width)
              : gather<std::uint64_t>(out, buffer.data, offset, row, vector, rows, width);
    }
  }

  /// Element by element: masked, or with indices that are not linear.
  void access_elements(const Step& s, const void* value) {
    const Instruction& i = *s.instruction;
    const BufferState& buffer = buffers_[i.buffer];
    const int rows = i.type.rows, width = i.type.cols * i.type.lanes;
    const std::size_t size = size_of(i.type.dtype);
    mask_.assign(static_cast<std::size_t>(rows * width), 1);
    if (i.masked) {
      const void* mask = memory(s.mask);
      Instruction copy;
      copy.op = LoopOp::broadcast;
      find_arithmetic(copy, DType::boolean)(s.mask_walk, mask_.data(), &mask);
    }
    std::vector<Corner>& corners = corners_;
    corners.resize(s.indices.size());
    for (std::size_t d = 0; d < s.indices.size(); ++d)
      if (s.indices[d].linear) corners[d] = corner_of(s.indices[d]);
    const bool store = s.kind == Step::Kind::store;
    unsigned char* out = memory(s.out);
    const unsigned char* in = static_cast<const unsigned char*>(value);
    for (int r = 0, e = 0; r < rows; ++r) {
      for (int v = 0; v < width; ++v, ++e, out += size, in += size) {
        if (!mask_[static_cast<std::size_t>(e)]) {
          if (!store) std::memset(out, 0, size);
          continue;
        }
        std::int64_t offset = 0;
        for (std::size_t d = 0; d < s.indices.size(); ++d) {
          const std::int64_t at =
              s.indices[d].linear ? corners[d].base + corners[d].row * r + corners[d].vector * v : value_at(s.indices[d], r, v);
          if (at < 0 || at >= buffer.extents[d]) out_of_bounds(s, d, at, at);
          offset += at * buffer.strides[d];
        }
        if (shadow_.tracked(i.buffer)) check(s, offset, 1);
        unsigned char* cell = buffer.data + offset * static_cast<std::int64_t>(size);
        store ? std::memcpy(cell, in, size) : std::memcpy(out, cell, size);
      }
    }
  }

  void check(const Step& s, std::int64_t offset, std::int64_t count) {
    const bool store = s.kind == Step::Kind::store;
    const Shadow::Fault fault =
        store ? shadow_.write(s.instruction->buffer, offset, count) : shadow_.read(s.instruction->buffer, offset, count, s.races);
    if (fault == Shadow::Fault::none) [[likely]]
      return;
    const std::string where = fmt::format("of buffer '{}' (element {} of memory{})", kernel_.buffers[s.instruction->buffer].name, offset,
                                          count > 1 ? fmt::format(" or one of the {} after it", count - 1) : "");
    switch (fault) {
      case Shadow::Fault::written_by_other:
        fail(s, fmt::format("a race: another iteration of a parallel loop wrote a cell {} that this one {}", where,
                            store ? "writes" : "reads"));
      case Shadow::Fault::read_by_other:
        fail(s, fmt::format("a race: another iteration of a parallel loop read a cell {} that this one writes", where));
      case Shadow::Fault::uninitialized: fail(s, fmt::format("a read of a cell {} that nothing has written", where));
      default: fail(s, fmt::format("a read of a cell {} after a store through another buffer on the same memory", where));
    }
  }

  [[noreturn]] void out_of_bounds(const Step& s, std::size_t dim, std::int64_t least, std::int64_t greatest) const {
    const std::string range = least == greatest ? fmt::format("is {}", least) : fmt::format("runs from {} to {}", least, greatest);
    fail(s, fmt::format("out of bounds: index {} of buffer '{}' {}, its extent is {}", dim, kernel_.buffers[s.instruction->buffer].name,
                        range, buffers_[s.instruction->buffer].extents[dim]));
  }

  const Kernel& kernel_;
  Steps body_;
  std::unordered_map<std::string, std::uint32_t> slots_by_name_;
  std::uint32_t slot_count_ = 0, row_slot_ = 0, vector_slot_ = 0;
  std::vector<std::int64_t> slots_;
  std::vector<std::uint32_t> offsets_;  // of registers
  std::vector<CacheLine> registers_;
  std::vector<CacheLine> spread_;   // the value of a store, repeated up to the store's type
  std::vector<const Step*> loops_;  // now running
  std::vector<unsigned char> staging_, mask_;
  std::vector<Corner> corners_;
  std::vector<std::vector<DimProgram>> extents_, strides_;
  std::vector<BufferState> buffers_;
  Shadow shadow_;
  bool reversed_ = false;
};

KernelInterpreter::KernelInterpreter(const Kernel& kernel) : machine_(std::make_unique<Machine>(kernel)) {}
KernelInterpreter::~KernelInterpreter() = default;
KernelInterpreter::KernelInterpreter(KernelInterpreter&&) noexcept = default;

void KernelInterpreter::run(std::span<const BoundBuffer> buffers, std::span<const std::int64_t> symbols, bool reversed) {
  machine_->run(buffers, symbols, reversed);
}

void interpret(const Kernel& kernel, std::span<const BoundBuffer> buffers, std::span<const std::int64_t> symbols) {
  KernelInterpreter(kernel).run(buffers, symbols);
}

void interpret_reversed(const Kernel& kernel, std::span<const BoundBuffer> buffers, std::span<const std::int64_t> symbols) {
  KernelInterpreter(kernel).run(buffers, symbols, true);
}

}  // namespace kiln::ir

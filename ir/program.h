// Program IR: what happens in which order in one run. x86 emits it as one native function; CUDA reads it as its launch plan; AOT's C entry
// is it.
//
// Buffers are named pieces of memory: an input, an output, a variable's current storage or its shadow, a constant, or a slot of the arena
// at an offset that is a Dim of the program's symbols. Statements run in order; `while` and `if` hold statements. Every run starts by
// computing `values` (the plan): arena size, offsets and whatever else is a Dim at run time.
//
// Produced symbols: extents that a run finds out (ir/produced.h). `produce` gives one its value; kernels called and extents copied from then
// on use it. Offsets and the arena's size are those of its bound, so that memory is known before the run.
//
// Order of state: every statement that can fail comes before the first statement that changes a variable (an in-place kernel call whose
// output is a `variable` buffer, or a commit). A commit makes the shadow buffer the variable's storage.
//
// Text: print/parse below. Invariants are numbered in program_verify.cpp.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/loop.h"

namespace kiln::ir {

enum class Storage : std::uint8_t { input, output, variable, shadow, constant, arena };

struct ProgramBuffer {
  std::string name;
  DType dtype = DType::f32;
  Dims extents;
  Storage storage = Storage::arena;
  std::uint32_t index = 0;  ///< which input, output, variable (shadow: of which variable) or constant
  Dim offset;               ///< arena: bytes from its start, a multiple of 64
};

enum class StatementKind : std::uint8_t {
  call,         ///< kernel `index` with `buffers` and `symbols`
  copy,         ///< buffers[0] = buffers[1], whole
  if_,          ///< buffers[0] is the predicate (bool[]); blocks: then, else
  while_,       ///< blocks: condition (which writes buffers[0], bool[]), body
  tape_clear,   ///< tape `index` becomes empty
  tape_push,    ///< pushes the content of buffers[0] on tape `index`
  tape_pop,     ///< pops into buffers[0]
  custom_call,  ///< the user's function of custom call `index` reads the first of `buffers` and writes the others; may fail
  check,        ///< fails with check `index` unless buffers[0] (bool[]) is true
  poll,         ///< may stop the run (deadline, cancellation)
  commit,       ///< swaps variable `index` with its shadow
  print,        ///< hands buffers[0] to the run's hook, as print `index`; may fail
  produce,      ///< produced symbol `index` = buffers[0] (i64[]), at least 0 and at most `limit`
};

struct Statement {
  StatementKind kind{};
  std::uint32_t index = 0;
  std::vector<std::uint32_t> buffers;
  std::vector<std::vector<Statement>> blocks;
  Dim limit = 0;  ///< produce
};

/// An extent that the run finds out. Its buffers have room for the bound.
struct ProducedExtent {
  std::string name;
  Dim bound;  ///< in the symbols that are fed
};

/// A stack of equally sized items used by loop gradients. With a bound the items lie in the arena, else in chunks from the run's allocator.
struct Tape {
  std::string name;
  DType dtype = DType::f32;
  Dims extents;
  std::uint32_t state = 0;  ///< arena buffer (u8[64]) that holds the tape's bookkeeping
};

struct ProgramPort {
  std::string name;
  DType dtype = DType::f32;
  Dims dims;
  LocationId location = 0;
};

struct ProgramVariable {
  std::string name;
  DType dtype = DType::f32;
  Dims dims;  ///< static
  bool read = false, assigned = false, shadowed = false;
  LocationId location = 0;
};

struct ProgramCheck {
  ErrorCode code = ErrorCode::check_failed;
  std::string message;
  LocationId location = 0;
  std::string hint;
};

/// A call of a user's function. The types are those that the function sees; buffers may have other dims, and as many elements.
struct ProgramCustomCall {
  std::string name;
  std::vector<Type> operands, results;
  LocationId location = 0;
};

/// A value that the run shows. The type is the one that the user sees.
struct ProgramPrint {
  std::string message;
  Type type;
  LocationId location = 0;
};

/// What was done to keep a memory limit (passes/limit_memory.h). Bytes are those of variables, their shadows and the arena together, for the
/// symbol values that the choice was made with.
struct MemoryPlan {
  std::int64_t limit = 0;            ///< 0: there is none
  std::int64_t needed = 0;
  std::int64_t without = 0;          ///< what the program needs when nothing is computed again
  std::int64_t extra_permille = 0;   ///< arithmetic for that, of all arithmetic: an estimate
  /// A part of the forward pass that is computed again.
  struct Part {
    std::int64_t operations = 0;          ///< nodes
    LocationId first = 0, last = 0;
  };
  std::vector<Part> recomputed;
};

struct ExtentCheck {  ///< left == right, else check `check` fails before anything runs
  Dim left, right;
  std::uint32_t check = 0;
};

struct Program {
  std::string name;
  std::vector<std::shared_ptr<const SymbolInfo>> symbols;  ///< that are fed
  std::vector<ProducedExtent> produced;
  std::vector<ProgramPort> inputs, outputs;
  std::vector<ProgramVariable> variables;
  std::vector<Array> constants;
  std::vector<ProgramBuffer> buffers;
  std::vector<Kernel> kernels;  ///< each once, however often called
  std::vector<Tape> tapes;
  std::vector<ProgramCustomCall> custom_calls;
  std::vector<ProgramCheck> checks;
  std::vector<ProgramPrint> prints;
  std::vector<ExtentCheck> extent_checks;
  std::vector<Statement> body;
  Dim arena_bytes;
  MemoryPlan memory;
  std::vector<Location> locations{Location{}};  ///< LocationId -> location
};

/// Kernels are printed after the program, in loop IR text, unless left out. `locations`: with the user's lines.
///
///   program @train symbols(batch) arena(64*ceildiv(4*batch, 64) + 64) {
///     input x: f32[batch, 8]
///     output loss: f32[]
///     variable w: f32[8] read assigned shadowed
///     constant f32[2] {1.0, 2.0}
///     custom_call "clip" (f32[batch]) -> (f32[batch], i64[])
///     check check_failed "loss is not finite" hint "lower the learning rate"
///     print "h" f32[batch]
///     require batch == n check 0
///     memory limit 65536 needed 61184 without 90112 extra 210
///     recomputed 12
///     produced count bound batch
///     buffer x = input x
///     buffer h = arena 0 : f32[batch]
///     buffer p = arena 64*ceildiv(4*batch, 64) : bool[]
///     buffer w.next = shadow w
///     tape t: f32[8] state t.state
///
///     call @dot(x, w, h)
///     copy loss = h
///     custom_call 0 (h) -> (clipped, count)
///     check 0, p
///     print 0, h
///     poll
///     while p {
///       tape_push t, w
///     } do {
///       tape_pop t, w
///     }
///     if p {
///     } else {
///     }
///     produce count = c limit batch
///     commit w
///   }
std::string print(const Program& program, bool with_kernels = true, bool locations = false);
/// Throws Error(parse) at line and column of `file`, also when the program breaks an invariant.
Program parse_program(std::string_view text, const std::string& file = "<text>");
/// Throws InternalError naming the numbered invariant that the program breaks.
void verify(const Program& program);
/// The same as a message; empty when the program is sound.
std::string find_violation(const Program& program);
/// How deep statements may nest. Nothing but their destruction recurses over them.
inline constexpr int max_statement_depth = 4096;

/// The kernel-call symbols of a program are matched by name: kernel symbol "batch" gets the program's "batch", fed or produced.

/// An upper bound of `dim` in the symbols that are fed.
Dim upper_bound(const Program& program, const Dim& dim);
/// Where kiln_call::symbols holds a symbol: the fed ones come first, then the produced ones. Nothing for one that the program does not know.
std::optional<std::size_t> symbol_index(const Program& program, std::string_view name);

/// Runs a program on memory with the loop interpreter for its kernels: the exact meaning of what codegen emits. `call` as for generated
/// code. Serves as kiln_entry / kiln_plan through these, with the Program in kiln_call::program.
}  // namespace kiln::ir

struct kiln_call;
namespace kiln::ir {
std::int32_t interpret_program(kiln_call* call);
std::int32_t interpret_plan(void* program, const std::int64_t* symbols, std::int64_t* values);

/// The Dims that the plan computes, in order: arena bytes, then the non-constant, non-symbol extents of inputs, then of outputs, then both
/// sides of the extent checks, then the non-constant, non-symbol extents of each custom call's operands and results, then for each output
/// with produced extents an upper bound of its number of elements. Everything that fills or reads kiln_call::values uses this list.
std::vector<Dim> plan_dims(const Program& program);
/// Has the port extents that are known only after the run?
bool has_produced_extents(const Program& program, const ProgramPort& port);
}  // namespace kiln::ir

// Loop IR: how a kernel computes. What emitters see.
//
// A Kernel has buffers (its parameters, row-major unless strides say otherwise), symbols, and a tree of blocks. Values are SSA and live in
// registers: a value has the type `dtype [rows, cols] x lanes`, a small matrix of vectors, written f32x16[8,2]; f32 alone is one scalar.
// Arithmetic works element by element; an operand whose rows, cols or lanes is 1 is repeated, so `fma a:f32[8,1], b:f32x16[1,2],
// c:f32x16[8,2]` is one step of a register-tiled product. Vectors have 64 bytes at every CPU level (16 lanes of f32, 8 of f64): an emitter
// for narrower registers splits them, so results have the same bits everywhere.
//
// Indices are Dims (ir/dim.h): polynomials over the kernel's symbols, the loop variables in scope and named index values (`let`), plus two
// tile coordinates: "$r" is the row of the value's element and "$v" its position across columns and lanes (col * lanes + lane). `load A[i +
// $r, k] : f32[8,1]` reads a column of scalars, `load B[k, j + $v] : f32x16[1,2]` two vectors of 16.
//
// Semantics. Arithmetic as in ir/graph.h; fma rounds once; every op is evaluated exactly as written, never contracted or reassociated.
// Loops run begin, begin + step ... < end (step > 0), carry SSA values, and yield them; a parallel loop carries nothing, and its iterations
// touch disjoint cells. A masked load gives zero where the mask is false and touches no memory there; a masked store leaves the cell.
// `reduce` folds an axis of the value in the fixed tree described at its op. Out-of-bounds access is an error that the interpreter reports.
//
// Text: ir/loop_text.h. Invariants: ir/loop_verify.cpp. Interpreter: ir/loop_interpreter.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/dim.h"
#include "kiln/dtype.h"
#include "kiln/error.h"

namespace kiln::ir {

enum class LoopOp : std::uint8_t {
#define KILN_LOOP_OP(name, ...) name,
#include "ir/loop_ops.def"
#undef KILN_LOOP_OP
};

/// As in text: "add", "and", "for": the enumerator without a trailing underscore.
std::string_view name_of(LoopOp op);
std::optional<LoopOp> loop_op_from_name(std::string_view name);
/// Number of operands as the table says; -1 when it varies.
int operand_count(LoopOp op);
/// add, multiply, minimum, maximum, and_, or_: what a reduction may fold with.
bool is_combiner(LoopOp op);

enum class Comparison : std::uint8_t { eq, ne, lt, le, gt, ge };  ///< on floats: all but ne are false for NaN
enum class LoopKind : std::uint8_t { serial, parallel, unrolled };
enum class Axis : std::uint8_t { lanes, cols, rows };  ///< of a register value

struct RegisterType {
  DType dtype = DType::f32;
  std::int16_t rows = 1, cols = 1, lanes = 1;
  friend bool operator==(const RegisterType&, const RegisterType&) = default;
  int elements() const { return rows * cols * lanes; }
};
/// "f32", "f32x16", "f32x16[8,2]".
std::string to_string(const RegisterType& type);

/// Lanes of a 64-byte vector of `dtype`.
constexpr int vector_lanes(DType dtype) { return static_cast<int>(64 / size_of(dtype)); }

/// The names of the tile coordinates in index expressions.
inline constexpr const char* tile_row = "$r";
inline constexpr const char* tile_vector = "$v";

using RegisterId = std::uint32_t;
using BufferId = std::uint32_t;

/// A scalar literal in the bits of its dtype: floats as double (exact for f32, f16, bf16), integers and bool as int64 / uint64 bit
/// patterns.
struct Literal {
  DType dtype = DType::f32;
  double number = 0;
  std::int64_t integer = 0;
  static Literal of(DType dtype, double value);
  static Literal of_bits(DType dtype, std::int64_t value);
  friend bool operator==(const Literal&, const Literal&);  // bitwise: NaN equals NaN, -0 differs from 0
};

struct Block;

struct Instruction {
  LoopOp op{};
  RegisterType type;                 ///< of the results of a value op (for a loop or if: see each result)
  std::vector<RegisterId> operands;  ///< registers; for loads/stores the optional mask comes last
  std::vector<RegisterId> results;

  // What only some ops have.
  BufferId buffer = 0;        ///< load, store, prefetch
  std::vector<Dim> indices;   ///< load, store, prefetch: one per buffer dim; index: one; for: begin, end, step
  bool masked = false;        ///< load, store: the last operand is the mask
  bool non_temporal = false;  ///< store
  Literal literal;            ///< constant
  Comparison comparison = Comparison::eq;
  Axis axis = Axis::lanes;           ///< reduce
  LoopOp combiner{};                 ///< reduce: add, multiply, minimum, maximum, and_, or_
  LoopKind loop = LoopKind::serial;  ///< for
  std::string name;                  ///< for: the loop variable; let: the index value's name
  std::vector<std::int64_t> cases;   ///< switch: the selector value of each block; indices[0] is the selector
  std::vector<Block> blocks;         ///< for: body; if: then, else; switch: one per case
};

/// Instructions in order. A block that yields values ends with `yield`.
struct Block {
  std::vector<RegisterId> parameters;  ///< for bodies: the carried values
  std::vector<Instruction> instructions;
};

struct Buffer {
  enum class Role : std::uint8_t { input, output, inout, scratch };
  std::string name;
  DType dtype = DType::f32;
  Dims extents;
  Dims strides;  ///< in elements; empty means row-major
  Role role = Role::input;
  std::int32_t alignment = 0;  ///< known alignment of its first element in bytes; 0: that of the element
};

struct Kernel {
  std::string name;
  std::string comment;                                     ///< what it computes, one line, for readers of the text
  std::vector<Buffer> buffers;                             ///< the parameters, in call order
  std::vector<std::shared_ptr<const SymbolInfo>> symbols;  ///< run-time arguments, in call order
  std::vector<RegisterType> registers;                     ///< type of each register
  Block body;
  std::int64_t work =
      0;  ///< estimated floating-point operations or bytes for typical symbols, whichever costs more; decides serial or parallel
};

}  // namespace kiln::ir

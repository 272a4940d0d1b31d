// The operator table: one entry per op, as data. Everything that is known of an op stands in its entry: shape inference, reference
// evaluation, gradient, lowering, test samples. Passes, printers, tests and docs ask the table; nothing switches over ops.
//
// Adding an operator: a line in ir/ops.def, an entry in ir/ops/<family>.cpp, a public function in frontend/.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "ir/loop.h"

namespace kiln::ir {

class Builder;

/// The order of a floating-point contraction, everywhere: blocks of this many consecutive k (row-major over the contracted dims) are
/// accumulated from 0 by fma in increasing k, and the blocks' sums are added in order. One long chain would lose twice the digits at K =
/// 1000; the extent alone decides, so every schedule and target has the same bits.
inline constexpr std::int64_t contraction_block = 256;

/// A set of dtypes, one bit each.
struct DTypeSet {
  std::uint16_t bits = 0;
  constexpr bool contains(DType dtype) const { return bits >> static_cast<int>(dtype) & 1; }
  friend constexpr DTypeSet operator|(DTypeSet a, DTypeSet b) { return {static_cast<std::uint16_t>(a.bits | b.bits)}; }
};
inline constexpr DTypeSet all_dtypes{0x1FFF};
inline constexpr DTypeSet bool_dtype{0x0001};
inline constexpr DTypeSet signed_integers{0x001E};
inline constexpr DTypeSet unsigned_integers{0x01E0};
inline constexpr DTypeSet integers = signed_integers | unsigned_integers;
inline constexpr DTypeSet floats{0x1E00};
inline constexpr DTypeSet numbers = integers | floats;

enum class AttributeKind : std::uint8_t { flag, integer, number, text, dtype, integers, dims, literal, graph };
struct AttributeSpec {
  std::string_view name;
  AttributeKind kind;
  std::string_view doc;
  bool required = true;
};

/// What `infer` sees. Errors are thrown as Error with the shapes in the message; the caller adds the location.
/// Two extents of a node of which it cannot be shown that they are equal or differ.
struct UnprovenExtents {
  Dim a, b;
  std::string message;  ///< what is wrong should they differ
};

struct InferContext {
  Op op{};
  std::span<const Type> operands;
  const Attributes& attributes;
  const Module* module = nullptr;  ///< for ops that refer to graphs or variables
  /// Given: extents that may be equal are put here and taken for equal, else they are an error. Whoever asks for them makes the operands'
  /// types agree (match_extents) and infers again, so that types in a module are equal and no pass has to assume anything.
  std::vector<UnprovenExtents>* unproven = nullptr;
};
using InferFunction = std::vector<Type> (*)(const InferContext&);

/// What `evaluate` sees: concrete operands and the concrete types of the results. Dims in the attributes are constants: whoever
/// evaluates has put in the symbols' values.
struct EvaluateContext {
  Op op{};
  std::span<const Array> operands;
  const Attributes& attributes;
  std::span<const Shape> result_shapes;
  std::span<const DType> result_dtypes;
};
/// Naive, obviously right, in the op's own dtype (f16 and bf16: computed in f32, rounded once).
using EvaluateFunction = std::vector<Array> (*)(const EvaluateContext&);

/// What a gradient rule sees and does. Operands, results and cotangents are values of the graph that `builder` appends to.
class GradientContext {
 public:
  virtual ~GradientContext() = default;
  virtual Builder& builder() = 0;
  virtual const Node& node() const = 0;
  virtual ValueId operand(std::size_t i) const = 0;
  virtual ValueId result(std::size_t i = 0) const = 0;
  /// Cotangent of a result; zeros where nothing flows into it (has_cotangent tells).
  virtual ValueId cotangent(std::size_t i = 0) = 0;
  virtual bool has_cotangent(std::size_t i = 0) const = 0;
  /// Does the gradient need operand i's cotangent? Rules may skip work otherwise.
  virtual bool needs(std::size_t i) const = 0;
  /// Adds to operand i's cotangent. Its type must be the operand's.
  virtual void add(std::size_t i, ValueId cotangent) = 0;
};
using GradientFunction = void (*)(GradientContext&);

// ---- Lowering: from a tensor op to scalar expressions. Schedules turn these into loops; an operator never writes loops.

using ScalarId = std::uint32_t;

/// One expression of a ScalarGraph.
struct ScalarNode {
  LoopOp op{};  ///< an arithmetic op, a function, constant, index, load, or let (= an integer made into an index atom)
  DType dtype = DType::f32;
  std::vector<ScalarId> operands;
  std::uint32_t source = none;  ///< load: which value of the kernel graph (or which buffer, once assigned)
  std::vector<Dim> indices;     ///< load: one per dim of the source; index: one
  Literal literal;
  Comparison comparison = Comparison::eq;
  std::string name;  ///< let: the atom's name
};

/// Builds scalar expressions with hash-consing: equal expressions get the same id, so sharing is by construction. Implemented by the
/// lowering pass.
class ScalarBuilder {
 public:
  virtual ~ScalarBuilder() = default;
  /// Operand `i` of the node being lowered, at `index` (one Dim per dim of the operand). The lowering pass decides whether that reads
  /// memory or continues with the expression of a fused producer.
  virtual ScalarId operand(std::size_t i, std::span<const Dim> index) = 0;
  /// Operand `i` where `mask` holds, else `otherwise`. `index` lies in bounds wherever the operand has elements; where the operand may be
  /// empty (a symbolic extent of 0) only the mask keeps the read from memory that does not exist, so a load must carry it.
  virtual ScalarId operand_where(ScalarId mask, std::size_t i, std::span<const Dim> index, ScalarId otherwise) {
    const ScalarId value = operand(i, index);
    return apply(LoopOp::select, dtype_of(value), {mask, value, otherwise});
  }
  virtual const Type& operand_type(std::size_t i) const = 0;
  virtual const Type& result_type(std::size_t i = 0) const = 0;
  virtual ScalarId apply(LoopOp op, DType dtype, std::span<const ScalarId> operands) = 0;
  virtual ScalarId compare(Comparison comparison, ScalarId a, ScalarId b) = 0;
  virtual ScalarId constant(const Literal& literal) = 0;
  /// The value of an index expression, as i64.
  virtual ScalarId index_value(const Dim& index) = 0;
  /// An integer expression made usable inside indices (a gather). The caller clamps it first.
  virtual Dim index_atom(ScalarId integer, std::int64_t min, const Dim& max_inclusive) = 0;
  virtual DType dtype_of(ScalarId id) const = 0;

  ScalarId apply(LoopOp op, DType dtype, std::initializer_list<ScalarId> operands) {
    return apply(op, dtype, std::span<const ScalarId>(operands.begin(), operands.size()));
  }
};

/// The value of result `result` at `index`, as an expression.
using ElementFunction = ScalarId (*)(ScalarBuilder&, const Node&, std::size_t result, std::span<const Dim> index);

/// Which schedule makes an op's loops (passes/schedule_*.cpp), and what a kernel of fused nodes is called after.
enum class KernelKind : std::uint8_t {
  map,          ///< each element on its own
  reduction,    ///< a fold over whole dims, with `combiner`
  row,          ///< reductions and maps over the same rows; made by fusion only
  contraction,  ///< a sum of products over whole dims
  fold,         ///< any other Structured op: windows, convolutions, running folds, folds of several values
  update,       ///< an Update: some cells of operand 0 are changed
  sort,         ///< an Ordering
};
std::string_view name_of(KernelKind kind);

/// An op that folds: result[parallel axes] = the fold over the reduced axes.
///
/// A plain fold has `combiner`, `identity` and `body`. A general one carries several values: `start` gives them before the first step, and
/// `step` the next ones at given axes, in row-major order of the reduced axes; result r is carried value r, converted to the result's dtype
/// (a fold of f16 or bf16 carries f32: `start` decides). A running fold, plain or general, stores the carried values after (exclusive:
/// before) every step, at `place`: its results have the reduced axis too.
struct Structured {
  struct Iteration {
    Dim extent;
    bool reduced = false;
  };
  std::vector<Iteration> axes;    ///< the parallel ones first, in the order of the result's dims, then the reduced ones
  LoopOp combiner = LoopOp::add;  ///< add, multiply, minimum, maximum, and_, or_
  Literal identity;               ///< start of the fold
  /// The value to fold, at given axis indices. For a contraction a product: schedules recognise multiply under add.
  std::function<ScalarId(ScalarBuilder&, std::span<const Dim> axes)> body;

  std::function<std::vector<ScalarId>(ScalarBuilder&, std::span<const Dim> parallel)> start;
  std::function<std::vector<ScalarId>(ScalarBuilder&, std::span<const ScalarId> carried, std::span<const Dim> axes)> step;
  bool running = false;
  bool exclusive = false;
  /// Running: the index in the result of the value of the step at `axes`.
  std::function<Dims(std::span<const Dim> axes)> place;
};
using StructuredFunction = Structured (*)(const Node&, std::span<const Type> operands, const Type& result);

/// An op that changes some cells of operand 0. The result starts as operand 0; then, for each point of the axes in row-major order at which
/// `mask` holds, result[index] = combiner(result[index], value), or = value when `replace`.
///
/// The kernel changes its result buffer in place: the planner lets it be operand 0's memory where nobody else needs that, else copies
/// first.
struct Update {
  struct Iteration {
    Dim extent;
    bool disjoint = false;  ///< points that differ here never meet in one cell, so threads may share them out
  };
  std::vector<Iteration> axes;
  LoopOp combiner = LoopOp::add;
  bool replace = false;
  struct Cell {
    ScalarId mask = none;  ///< none: always
    Dims index;            ///< in bounds wherever the mask holds
    ScalarId value = none;
  };
  std::function<Cell(ScalarBuilder&, std::span<const Dim> axes)> cell;
};
using UpdateFunction = Update (*)(const Node&, std::span<const Type> operands, const Type& result);

/// An op that orders the positions 0 .. extent - 1 along one axis of its operands; the result holds them, in order. Stable.
struct Ordering {
  std::size_t axis = 0;
  struct Key {
    ScalarId bits = none;  ///< an unsigned integer: the lesser one comes first
    int unused_bits = 0;   ///< the lowest bits that decide nothing
  };
  /// What stands at an index, as keys; the first one that differs decides.
  std::function<std::vector<Key>(ScalarBuilder&, std::span<const Dim> index)> keys;
};
using OrderingFunction = Ordering (*)(const Node&, std::span<const Type> operands, const Type& result);

// ---- Samples for the table-driven tests

enum class SampleClass : std::uint8_t { scalar, empty, one, odd, wide, special_values, broadcast, symbolic };

/// A set of sample classes.
struct SampleClasses {
  std::uint16_t bits = 0;
  constexpr SampleClasses() = default;
  constexpr SampleClasses(std::initializer_list<SampleClass> classes) {
    for (const SampleClass c : classes) bits |= static_cast<std::uint16_t>(1 << static_cast<int>(c));
  }
  constexpr bool contains(SampleClass c) const { return bits >> static_cast<int>(c) & 1; }
};

struct Sample {
  SampleClass kind = SampleClass::odd;
  /// `generic`: each dtype of the entry in turn replaces operand 0's dtype, in all operands that have it.
  std::vector<Type> operands = {};
  Attributes attributes = {};
  bool generic = true;
  double low = -2, high = 2;  ///< range of random operand values
  /// Explicit operand values instead of random ones (may be fewer), converted to the operands' dtypes.
  std::vector<Array> values = {};
  bool differentiable = true;  ///< false: at a kink or in integers
};
using SamplesFunction = std::vector<Sample> (*)(Op);

// ---- The entry

struct OpInfo {
  std::string_view name;
  std::string_view doc;                             ///< one sentence, then semantics at the edges
  std::int16_t min_operands = 0, max_operands = 0;  ///< -1: any number
  std::span<const AttributeSpec> attributes = {};
  DTypeSet dtypes = all_dtypes;  ///< of operand 0 (of the result, for ops without operands)
  InferFunction infer = nullptr;
  EvaluateFunction evaluate = nullptr;  ///< null: the interpreter handles it (state and control)
  GradientFunction gradient = nullptr;
  std::string_view no_gradient = {};  ///< why there is none, when `gradient` is null; shown in errors
  /// The lowering: at most one of the four, or none for what is no kernel (state, control, calls).
  ElementFunction element = nullptr;
  StructuredFunction structured = nullptr;
  UpdateFunction update = nullptr;
  OrderingFunction ordering = nullptr;
  KernelKind kernel = KernelKind::map;  ///< the schedule of a kernel around this op
  SamplesFunction samples = nullptr;
  /// Sample classes that make no sense for the op. `broadcast` makes sense only where operands may differ in shape.
  SampleClasses no_samples = {SampleClass::broadcast};
  double tolerance = 0;  ///< of loops against evaluate, in ULP of the result; 0: exact
  /// result[i] depends on operand[i] only; operands have the result's shape (the mask of select, bounds of clamp: or rank 0).
  bool elementwise = false;
  bool commutative = false;
  bool effect = false;                ///< must not be removed or merged (assign, check)
  bool open_attributes = false;       ///< attributes beyond the listed ones are allowed (composite, kernel)
  LoopOp loop_op = LoopOp::constant;  ///< elementwise ops that are one loop operation: which (constant: none)
};

/// Defined once per op, in ir/ops/: `template <> constinit const OpInfo OpEntry<Op::negate>::info = {.name = "negate", ...};`. (A static
/// member, because a specialisation of a const variable template has internal linkage in g++.)
template <Op op>
struct OpEntry {
  static const OpInfo info;
};
#define KILN_OP(name) \
  template <>         \
  const OpInfo OpEntry<Op::name>::info;
#include "ir/ops.def"
#undef KILN_OP
template <Op op>
inline constexpr const OpInfo& op_entry = OpEntry<op>::info;

/// The entry of an op.
const OpInfo& info(Op op);
/// The op with this name, or nothing.
std::optional<Op> op_from_name(std::string_view name);
std::span<const Op> all_ops();

/// List attributes that are empty are not printed, and thus may be absent: these give an empty list then.
const std::vector<std::int64_t>& integers_or_empty(const Attributes& attributes, std::string_view name);
const Dims& dims_or_empty(const Attributes& attributes, std::string_view name);

/// Runs `infer` after checking operand count, attribute names and kinds, and dtypes. Throws Error with a message that names the op and the
/// operand types; the location is the caller's to add.
std::vector<Type> infer_types(const InferContext& context);

}  // namespace kiln::ir

// KernelBuilder: writes a kernel of loop IR, instruction by instruction, with nested loops as callbacks. Schedules and tests use it.
//
//   KernelBuilder b("scale");
//   BufferId x = b.buffer("x", f32, {n}, Buffer::Role::input), y = b.buffer("y", f32, {n}, Buffer::Role::output);
//   b.for_loop("i", 0, n, 1, LoopKind::parallel, [&](const Dim& i) {
//     RegisterId v = b.load(x, {i}, {f32});
//     b.store(y, {i}, b.binary(LoopOp::multiply, v, b.constant({f32}, 2)), {f32});
//   });
//   Kernel kernel = b.finish();
//
// Types of results follow from the operands: dtype as the op says; rows, cols and lanes are the greatest among the operands (the others are
// repeated).
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/loop.h"

namespace kiln::ir {

/// What a masked load or store takes; nothing: unmasked.
using Mask = std::optional<RegisterId>;

class KernelBuilder {
 public:
  using Registers = std::vector<RegisterId>;
  using CarryingBody = std::function<Registers(const Dim& variable, std::span<const RegisterId> carried)>;
  using Body = std::function<void(const Dim& variable)>;

  explicit KernelBuilder(std::string name);

  // ---- the signature
  BufferId buffer(std::string name, DType dtype, Dims extents, Buffer::Role role, Dims strides = {}, std::int32_t alignment = 0);
  const Buffer& buffer_info(BufferId id) const { return kernel_.buffers[id]; }
  /// Declares a symbol ahead of use, to fix its place among the call's symbols.
  void symbol(std::shared_ptr<const SymbolInfo> info);
  /// Keeps a name from loops and lets, for a symbol that will occur later.
  void reserve(std::string_view name) { names_.try_emplace(std::string(name), 1); }
  void comment(std::string text) { kernel_.comment = std::move(text); }
  void work(std::int64_t amount) { kernel_.work = amount; }

  // ---- values
  const RegisterType& type(RegisterId id) const { return kernel_.registers[id]; }
  RegisterId constant(const RegisterType& type, double value);
  RegisterId constant(const RegisterType& type, const Literal& literal);
  /// The value of `index`, in which $r and $v may occur, as i64 of the shape of `type` (its dtype is ignored).
  RegisterId index(const Dim& index, RegisterType type = {});
  RegisterId load(BufferId buffer, std::vector<Dim> indices, const RegisterType& type, Mask mask = {});
  RegisterId unary(LoopOp op, RegisterId a) { return apply(op, {a}); }
  RegisterId binary(LoopOp op, RegisterId a, RegisterId b) { return apply(op, {a, b}); }
  RegisterId fma(RegisterId a, RegisterId b, RegisterId c) { return apply(LoopOp::fma, {a, b, c}); }
  /// Any element-by-element op whose result dtype is its operands' (select: that of the arms).
  RegisterId apply(LoopOp op, std::span<const RegisterId> operands);
  RegisterId apply(LoopOp op, std::initializer_list<RegisterId> operands) {
    return apply(op, std::span<const RegisterId>(operands.begin(), operands.size()));
  }
  RegisterId compare(Comparison comparison, RegisterId a, RegisterId b);
  RegisterId select(RegisterId mask, RegisterId a, RegisterId b) { return apply(LoopOp::select, {mask, a, b}); }
  RegisterId convert(RegisterId a, DType dtype);
  RegisterId bitcast(RegisterId a, DType dtype);
  /// `a` repeated up to rows, cols and lanes of `type` (its dtype is ignored); `a` itself when it has them.
  RegisterId broadcast(RegisterId a, RegisterType type);
  /// Folds one axis to extent 1.
  RegisterId reduce(RegisterId a, LoopOp combiner, Axis axis);

  // ---- effects
  void store(BufferId buffer, std::vector<Dim> indices, RegisterId value, const RegisterType& type, Mask mask = {},
             bool non_temporal = false);
  void prefetch(BufferId buffer, std::vector<Dim> indices, const RegisterType& type);

  // ---- structure
  /// A loop that carries values; returns their last ones. The variable's name is `name`, made unique in the kernel; the body gets it as a
  /// Dim whose bounds are those of the loop.
  Registers for_loop(std::string_view name, const Dim& begin, const Dim& end, const Dim& step, LoopKind kind, const Registers& initial,
                     const CarryingBody& body);
  void for_loop(std::string_view name, const Dim& begin, const Dim& end, const Dim& step, LoopKind kind, const Body& body);
  /// Both callbacks return as many values of equal types.
  Registers if_else(RegisterId condition, const std::function<Registers()>& then_body, const std::function<Registers()>& else_body);
  void if_then(RegisterId condition, const std::function<void()>& body);
  /// Runs body(case) for the case that `selector` equals.
  void switch_on(const Dim& selector, std::vector<std::int64_t> cases, const std::function<void(std::int64_t)>& body);
  /// A scalar integer as an atom of index expressions, named `name` made unique. `min` and `max` are bounds that the caller guarantees.
  Dim let(std::string_view name, RegisterId integer, std::int64_t min = 0, std::int64_t max = INT64_MAX);

  /// An instruction as it is; registers of its results are given. For what has no function here.
  void append(Instruction instruction) { block_->instructions.push_back(std::move(instruction)); }
  RegisterId new_register(const RegisterType& type);
  std::string unique_name(std::string_view base);

  /// The kernel; its symbols are those declared, then those in extents and strides, then those in loops and indices, in order of
  /// occurrence.
  Kernel finish();

 private:
  RegisterId append_value(LoopOp op, const RegisterType& type, Registers operands, const std::function<void(Instruction&)>& set = {});
  RegisterType joined(std::span<const RegisterId> operands, DType dtype) const;
  Block nested(const std::function<Registers()>& fill);

  Kernel kernel_;
  Block* block_;
  std::unordered_map<std::string, int> names_;  // taken by symbols, loop variables and lets; how often each was asked for
};

/// Fills kernel.symbols with every symbol that occurs in extents, strides, bounds and indices and is neither a loop variable, a let nor a
/// tile coordinate, after those already listed.
void collect_symbols(Kernel& kernel);

/// Calls `visit` with every symbol in `dim`, atoms' operands included, in canonical order (a symbol may come more than once).
void for_each_symbol(const Dim& dim, const std::function<void(const std::shared_ptr<const SymbolInfo>&)>& visit);

}  // namespace kiln::ir

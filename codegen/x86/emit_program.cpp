// A program as one native function: NAME_entry runs the statements, NAME_plan computes sizes. Nothing is interpreted between kernels.
//
// Pointers are fetched from the kiln_call where they are used (a variable's may have been swapped since); arena offsets that depend on
// symbols are computed once at entry and kept in the frame, where a program of thousands of statements can leave them. Statements nest
// through an explicit stack: bodies within bodies cost no native stack here.
//
// Long programs are cut into pieces, functions that the entry calls one after the other: LLVM takes more than linear time on a function, so
// a network of two thousand layers must not be one.
#include <llvm/IR/Constants.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "codegen/x86/emit_dim.h"
#include "codegen/x86/emit_module.h"
#include "codegen/x86/emit_tape.h"
#include "kiln/abi.h"

namespace kiln::codegen {
namespace {

using ir::Statement;
using ir::StatementKind;
using llvm::BasicBlock;
using llvm::Value;

/// Glue between kernels is straight-line and long: LLVM's schedulers take quadratic time on it and have nothing to gain, so it is selected
/// fast and left as it is written.
void mark_glue(llvm::Function* function) {
  function->addFnAttr(llvm::Attribute::OptimizeNone);
  function->addFnAttr(llvm::Attribute::NoInline);
}

class ProgramEmitter {
 public:
  ProgramEmitter(ModuleEmitter& module, const ir::Program& program, const std::vector<llvm::Function*>& kernels, llvm::Function* function)
      : m_(module),
        program_(program),
        kernels_(kernels),
        function_(function),
        b_(module.context),
        call_(function->getArg(0)),
        dims_{module, b_, [this](const std::string& name) { return symbol(name); }} {}

  void emit() {
    begin(function_);
    prepare_offsets();
    if (!program_.tapes.empty()) {
      ready_ = b_.CreateAlloca(m_.i8, m_.integer(static_cast<std::int64_t>(program_.tapes.size())));
      b_.CreateMemSet(ready_, b_.getInt8(0), m_.integer(static_cast<std::int64_t>(program_.tapes.size())), llvm::MaybeAlign());
    }
    std::size_t most_buffers = 0;
    for (const ir::ProgramCustomCall& call : program_.custom_calls)
      most_buffers = std::max(most_buffers, call.operands.size() + call.results.size());
    if (most_buffers > 0) pointers_ = b_.CreateAlloca(m_.pointer, m_.integer(static_cast<std::int64_t>(most_buffers)));
    in_pieces(program_.body.size(), piece_statements, [&](std::size_t first, std::size_t last) { statements(first, last); });
    end();
  }

 private:
  static constexpr std::size_t piece_statements = 128;
  static constexpr std::size_t piece_offsets = 256;

  void begin(llvm::Function* function) {
    function_ = function;
    call_ = function->getArg(0);
    failed_ = BasicBlock::Create(m_.context, "failed");
    b_.SetInsertPoint(block("entry"));
    status_ = b_.CreateAlloca(m_.i32);
    std::size_t rank = 0;
    for (const ir::ProgramPrint& print : program_.prints) rank = std::max(rank, print.type.rank());
    extents_ = b_.CreateAlloca(m_.i64, m_.integer(static_cast<std::int64_t>(rank)));
  }

  void end() {
    b_.CreateRet(b_.getInt32(KILN_OK));
    if (failed_->hasNPredecessorsOrMore(1)) {
      function_->insert(function_->end(), failed_);
      b_.SetInsertPoint(failed_);
      b_.CreateRet(b_.CreateLoad(m_.i32, status_));
    } else {
      delete failed_;
    }
  }

  /// Emits items 0..count-1: here when they are few, else in functions of their own that are called from here.
  template <class Emit>
  void in_pieces(std::size_t count, std::size_t piece, const Emit& emit) {
    if (count <= piece) return emit(std::size_t{0}, count);
    const std::array<Value*, 3> shared{ready_, pointers_, offsets_};
    for (std::size_t first = 0; first < count; first += piece) {
      llvm::Function* const outer = function_;
      BasicBlock* const outer_failed = failed_;
      Value *const outer_status = status_, *const outer_extents = extents_;
      const auto place = b_.saveIP();
      llvm::Function* part = m_.new_function(
          outer->getName().str() + ".part", llvm::FunctionType::get(m_.i32, {m_.pointer, m_.pointer, m_.pointer, m_.pointer}, false), true);
      mark_glue(part);
      begin(part);
      ready_ = part->getArg(1);
      pointers_ = part->getArg(2);
      offsets_ = part->getArg(3);
      emit(first, std::min(count, first + piece));
      end();
      function_ = outer;
      call_ = outer->getArg(0);
      failed_ = outer_failed;
      status_ = outer_status;
      extents_ = outer_extents;
      std::tie(ready_, pointers_, offsets_) = std::tuple(shared[0], shared[1], shared[2]);
      b_.restoreIP(place);
      std::vector<Value*> arguments{call_};
      for (Value* value : shared)
        arguments.push_back(value ? value : llvm::ConstantPointerNull::get(llvm::cast<llvm::PointerType>(m_.pointer)));
      return_if_failed(b_.CreateCall(part, arguments));
    }
  }

  BasicBlock* block(const char* name) { return BasicBlock::Create(m_.context, name, function_); }
  Value* call_pointer(std::size_t offset) {
    return b_.CreateAlignedLoad(m_.pointer, b_.CreateConstGEP1_64(m_.i8, call_, offset), llvm::Align(8));
  }
  Value* slot(std::size_t table, std::uint32_t index) { return b_.CreateConstGEP1_64(m_.pointer, call_pointer(table), index); }

  Value* symbol(const std::string& name) {
    const std::optional<std::size_t> index = ir::symbol_index(program_, name);
    if (!index) throw InternalError("program '" + program_.name + "' has no symbol '" + name + "'");
    return b_.CreateAlignedLoad(m_.i64, symbol_place(*index), llvm::Align(8));
  }
  Value* symbol_place(std::size_t index) { return b_.CreateConstGEP1_64(m_.i64, call_pointer(offsetof(kiln_call, symbols)), index); }

  void prepare_offsets() {
    std::vector<ir::Dim> distinct;
    std::unordered_map<std::size_t, std::vector<std::size_t>> by_hash;
    offset_slots_.assign(program_.buffers.size(), -1);
    for (std::size_t i = 0; i < program_.buffers.size(); ++i) {
      const ir::ProgramBuffer& buffer = program_.buffers[i];
      if (buffer.storage != ir::Storage::arena || buffer.offset.is_constant()) continue;
      auto& candidates = by_hash[buffer.offset.hash()];
      for (const std::size_t j : candidates)
        if (distinct[j] == buffer.offset) offset_slots_[i] = static_cast<std::int64_t>(j);
      if (offset_slots_[i] >= 0) continue;
      offset_slots_[i] = static_cast<std::int64_t>(distinct.size());
      candidates.push_back(distinct.size());
      distinct.push_back(buffer.offset);
    }
    if (distinct.empty()) return;
    offsets_ = b_.CreateAlloca(m_.i64, m_.integer(static_cast<std::int64_t>(distinct.size())));
    in_pieces(distinct.size(), piece_offsets, [&](std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i) b_.CreateStore(dims_.emit(distinct[i]), b_.CreateConstGEP1_64(m_.i64, offsets_, i));
    });
  }

  Value* pointer_of(std::uint32_t id) {
    const ir::ProgramBuffer& buffer = program_.buffers[id];
    const auto entry_of = [&](std::size_t table) -> Value* {
      return b_.CreateAlignedLoad(m_.pointer, slot(table, buffer.index), llvm::Align(8));
    };
    switch (buffer.storage) {
      case ir::Storage::input: return entry_of(offsetof(kiln_call, inputs));
      case ir::Storage::output: return entry_of(offsetof(kiln_call, outputs));
      case ir::Storage::variable: return entry_of(offsetof(kiln_call, variables));
      case ir::Storage::shadow: return entry_of(offsetof(kiln_call, shadows));
      case ir::Storage::constant: return entry_of(offsetof(kiln_call, constants));
      case ir::Storage::arena: break;
    }
    Value* arena = call_pointer(offsetof(kiln_call, arena));
    if (buffer.offset.is_constant()) return b_.CreateConstGEP1_64(m_.i8, arena, static_cast<std::uint64_t>(buffer.offset.constant()));
    Value* offset = b_.CreateLoad(m_.i64, b_.CreateConstGEP1_64(m_.i64, offsets_, static_cast<std::uint64_t>(offset_slots_[id])));
    return b_.CreateGEP(m_.i8, arena, offset);
  }

  Value* bytes_of(const ir::Dims& extents, DType dtype) {
    return dims_.emit(ir::product(extents) * ir::Dim(static_cast<std::int64_t>(size_of(dtype))));
  }
  Value* is_true(std::uint32_t buffer) { return b_.CreateICmpNE(b_.CreateLoad(m_.i8, pointer_of(buffer)), b_.getInt8(0)); }

  /// Leaves the function with `status` when it is not KILN_OK.
  void return_if_failed(Value* status) {
    BasicBlock* next = block("");
    b_.CreateStore(status, status_);
    b_.CreateCondBr(b_.CreateICmpEQ(status, b_.getInt32(KILN_OK)), next, failed_);
    b_.SetInsertPoint(next);
  }

  void simple(const Statement& statement) {
    switch (statement.kind) {
      case StatementKind::call: {
        const ir::Kernel& kernel = program_.kernels[statement.index];
        std::vector<Value*> arguments;
        for (const std::uint32_t buffer : statement.buffers) arguments.push_back(pointer_of(buffer));
        for (const auto& info : kernel.symbols) arguments.push_back(symbol(info->name));
        arguments.push_back(call_);
        internal_check(arguments.size() == kernels_[statement.index]->arg_size(), "a kernel call has as many buffers as the kernel");
        b_.CreateCall(kernels_[statement.index], arguments);
        break;
      }
      case StatementKind::copy: {
        const ir::ProgramBuffer& to = program_.buffers[statement.buffers[0]];
        b_.CreateMemCpy(pointer_of(statement.buffers[0]), llvm::MaybeAlign(), pointer_of(statement.buffers[1]), llvm::MaybeAlign(),
                        bytes_of(to.extents, to.dtype));
        break;
      }
      case StatementKind::tape_clear:
        b_.CreateCall(tape_clear_helper(m_),
                      {pointer_of(program_.tapes[statement.index].state), b_.CreateConstGEP1_64(m_.i8, ready_, statement.index)});
        break;
      case StatementKind::tape_push: {
        const ir::Tape& tape = program_.tapes[statement.index];
        return_if_failed(b_.CreateCall(
            tape_push_helper(m_), {call_, pointer_of(tape.state), pointer_of(statement.buffers[0]), bytes_of(tape.extents, tape.dtype)}));
        break;
      }
      case StatementKind::tape_pop: {
        const ir::Tape& tape = program_.tapes[statement.index];
        b_.CreateCall(tape_pop_helper(m_), {pointer_of(tape.state), pointer_of(statement.buffers[0]), bytes_of(tape.extents, tape.dtype)});
        break;
      }
      case StatementKind::custom_call: {
        for (std::size_t k = 0; k < statement.buffers.size(); ++k)
          b_.CreateStore(pointer_of(statement.buffers[k]), b_.CreateConstGEP1_64(m_.pointer, pointers_, k));
        Value* results = b_.CreateConstGEP1_64(m_.pointer, pointers_, program_.custom_calls[statement.index].operands.size());
        return_if_failed(b_.CreateCall(custom_call_helper(), {call_, m_.integer(statement.index), pointers_, results}));
        break;
      }
      case StatementKind::check: {
        BasicBlock* bad = block("check");
        BasicBlock* next = block("");
        b_.CreateCondBr(is_true(statement.buffers[0]), next, bad);
        b_.SetInsertPoint(bad);
        b_.CreateAlignedStore(m_.integer(statement.index), b_.CreateConstGEP1_64(m_.i8, call_, offsetof(kiln_call, detail)),
                              llvm::Align(8));
        b_.CreateStore(b_.getInt32(KILN_CHECK_FAILED), status_);
        b_.CreateBr(failed_);
        b_.SetInsertPoint(next);
        break;
      }
      case StatementKind::print: {
        const ir::Dims& dims = program_.prints[statement.index].type.dims;
        for (std::size_t d = 0; d < dims.size(); ++d) b_.CreateStore(dims_.emit(dims[d]), b_.CreateConstGEP1_64(m_.i64, extents_, d));
        return_if_failed(b_.CreateCall(print_helper(), {call_, m_.integer(statement.index), pointer_of(statement.buffers[0]), extents_}));
        break;
      }
      case StatementKind::poll: return_if_failed(b_.CreateCall(poll_helper(), {call_})); break;
      case StatementKind::commit: {
        Value* current = slot(offsetof(kiln_call, variables), statement.index);
        Value* shadow = slot(offsetof(kiln_call, shadows), statement.index);
        Value* old = b_.CreateAlignedLoad(m_.pointer, current, llvm::Align(8));
        b_.CreateAlignedStore(b_.CreateAlignedLoad(m_.pointer, shadow, llvm::Align(8)), current, llvm::Align(8));
        b_.CreateAlignedStore(old, shadow, llvm::Align(8));
        break;
      }
      case StatementKind::produce: {
        const auto clamp = [&](llvm::CmpInst::Predicate outside, Value* value, Value* limit) {
          return b_.CreateSelect(b_.CreateICmp(outside, value, limit), limit, value);
        };
        Value* count = b_.CreateAlignedLoad(m_.i64, pointer_of(statement.buffers[0]), llvm::Align(8));
        count = clamp(llvm::CmpInst::ICMP_SGT, count, dims_.emit(statement.limit));
        count = clamp(llvm::CmpInst::ICMP_SLT, count, m_.integer(0));
        b_.CreateAlignedStore(count, symbol_place(program_.symbols.size() + statement.index), llvm::Align(8));
        break;
      }
      case StatementKind::if_:
      case StatementKind::while_: break;  // statements() opens these
    }
  }

  /// i32 poll(call): the hook's answer, KILN_OK without one.
  llvm::Function* poll_helper() {
    llvm::Function*& helper = m_.helpers["kiln.poll"];
    if (helper) return helper;
    helper = m_.new_function("kiln.poll", llvm::FunctionType::get(m_.i32, {m_.pointer}, false), true);
    Builder b(BasicBlock::Create(m_.context, "entry", helper));
    BasicBlock* ask = BasicBlock::Create(m_.context, "ask", helper);
    BasicBlock* never = BasicBlock::Create(m_.context, "never", helper);
    const auto field = [&](std::size_t offset) {
      return b.CreateAlignedLoad(m_.pointer, b.CreateConstGEP1_64(m_.i8, helper->getArg(0), offset), llvm::Align(8));
    };
    Value* hook = field(offsetof(kiln_call, poll));
    b.CreateCondBr(b.CreateIsNull(hook), never, ask);
    b.SetInsertPoint(never);
    b.CreateRet(b.getInt32(KILN_OK));
    b.SetInsertPoint(ask);
    b.CreateRet(b.CreateCall(llvm::FunctionType::get(m_.i32, {m_.pointer}, false), hook, {field(offsetof(kiln_call, poll_context))}));
    return helper;
  }

  /// i32 custom_call(call, index, inputs, outputs): KILN_OK when the hook returns 0, else KILN_CUSTOM_CALL with the index as detail.
  llvm::Function* custom_call_helper() {
    llvm::Function*& helper = m_.helpers["kiln.custom_call"];
    if (helper) return helper;
    helper =
        m_.new_function("kiln.custom_call", llvm::FunctionType::get(m_.i32, {m_.pointer, m_.i64, m_.pointer, m_.pointer}, false), true);
    Builder b(BasicBlock::Create(m_.context, "entry", helper));
    BasicBlock* ask = BasicBlock::Create(m_.context, "ask", helper);
    BasicBlock* done = BasicBlock::Create(m_.context, "done", helper);
    BasicBlock* failed = BasicBlock::Create(m_.context, "failed", helper);
    const auto field = [&](std::size_t offset) { return b.CreateConstGEP1_64(m_.i8, helper->getArg(0), offset); };
    const auto load = [&](std::size_t offset) { return b.CreateAlignedLoad(m_.pointer, field(offset), llvm::Align(8)); };
    Value* hook = load(offsetof(kiln_call, custom_call));
    b.CreateCondBr(b.CreateIsNull(hook), failed, ask);
    b.SetInsertPoint(ask);
    Value* answer = b.CreateCall(llvm::FunctionType::get(m_.i32, {m_.pointer, m_.i64, m_.pointer, m_.pointer}, false), hook,
                                 {load(offsetof(kiln_call, custom_call_context)), helper->getArg(1), helper->getArg(2), helper->getArg(3)});
    b.CreateCondBr(b.CreateICmpEQ(answer, b.getInt32(0)), done, failed);
    b.SetInsertPoint(done);
    b.CreateRet(b.getInt32(KILN_OK));
    b.SetInsertPoint(failed);
    b.CreateAlignedStore(helper->getArg(1), field(offsetof(kiln_call, detail)), llvm::Align(8));
    b.CreateRet(b.getInt32(KILN_CUSTOM_CALL));
    return helper;
  }

  /// i32 print(call, index, data, extents): KILN_OK when there is no hook or it returns 0, else KILN_PRINT_FAILED with the index as detail.
  llvm::Function* print_helper() {
    llvm::Function*& helper = m_.helpers["kiln.print"];
    if (helper) return helper;
    auto* const type = llvm::FunctionType::get(m_.i32, {m_.pointer, m_.i64, m_.pointer, m_.pointer}, false);
    helper = m_.new_function("kiln.print", type, true);
    Builder b(BasicBlock::Create(m_.context, "entry", helper));
    BasicBlock* show = BasicBlock::Create(m_.context, "show", helper);
    BasicBlock* done = BasicBlock::Create(m_.context, "done", helper);
    BasicBlock* failed = BasicBlock::Create(m_.context, "failed", helper);
    const auto field = [&](std::size_t offset) { return b.CreateConstGEP1_64(m_.i8, helper->getArg(0), offset); };
    const auto load = [&](std::size_t offset) { return b.CreateAlignedLoad(m_.pointer, field(offset), llvm::Align(8)); };
    Value* hook = load(offsetof(kiln_call, print));
    b.CreateCondBr(b.CreateIsNull(hook), done, show);
    b.SetInsertPoint(show);
    Value* answer =
        b.CreateCall(type, hook, {load(offsetof(kiln_call, print_context)), helper->getArg(1), helper->getArg(2), helper->getArg(3)});
    b.CreateCondBr(b.CreateICmpEQ(answer, b.getInt32(0)), done, failed);
    b.SetInsertPoint(done);
    b.CreateRet(b.getInt32(KILN_OK));
    b.SetInsertPoint(failed);
    b.CreateAlignedStore(helper->getArg(1), field(offsetof(kiln_call, detail)), llvm::Align(8));
    b.CreateRet(b.getInt32(KILN_PRINT_FAILED));
    return helper;
  }

  /// A statement list being emitted, and what to do at its end.
  struct Frame {
    const std::vector<Statement>* list = nullptr;
    std::size_t next = 0, last = 0;
    enum class End { function, then_branch, else_branch, condition, body } end = End::function;
    const Statement* owner = nullptr;
    BasicBlock* first = nullptr;  ///< if: the else block; while: the condition's block
    BasicBlock* after = nullptr;
  };

  /// Statements [first, last) of the program's body.
  void statements(std::size_t first, std::size_t last) {
    static const std::vector<Statement> nothing;
    const auto nested = [](const Statement& statement, std::size_t i) {
      return i < statement.blocks.size() ? &statement.blocks[i] : &nothing;
    };
    std::vector<Frame> stack{{&program_.body, first, last}};
    const auto open = [&](const std::vector<Statement>* list, Frame::End end, const Statement* owner, BasicBlock* head, BasicBlock* after) {
      stack.push_back({list, 0, list->size(), end, owner, head, after});
    };
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.next < frame.last) {
        const Statement& statement = (*frame.list)[frame.next++];
        if (statement.kind == StatementKind::if_) {
          BasicBlock *then = block("then"), *otherwise = block("else"), *after = block("");
          b_.CreateCondBr(is_true(statement.buffers[0]), then, otherwise);
          b_.SetInsertPoint(then);
          open(nested(statement, 0), Frame::End::then_branch, &statement, otherwise, after);
        } else if (statement.kind == StatementKind::while_) {
          BasicBlock *condition = block("while"), *after = block("");
          b_.CreateBr(condition);
          b_.SetInsertPoint(condition);
          open(nested(statement, 0), Frame::End::condition, &statement, condition, after);
        } else {
          simple(statement);
        }
        continue;
      }
      const Frame done = frame;
      stack.pop_back();
      switch (done.end) {
        case Frame::End::function: break;
        case Frame::End::then_branch:
          b_.CreateBr(done.after);
          b_.SetInsertPoint(done.first);
          open(nested(*done.owner, 1), Frame::End::else_branch, done.owner, nullptr, done.after);
          break;
        case Frame::End::condition: {
          BasicBlock* body = block("do");
          b_.CreateCondBr(is_true(done.owner->buffers[0]), body, done.after);
          b_.SetInsertPoint(body);
          open(nested(*done.owner, 1), Frame::End::body, done.owner, done.first, done.after);
          break;
        }
        case Frame::End::else_branch:
        case Frame::End::body:
          b_.CreateBr(done.end == Frame::End::body ? done.first : done.after);
          b_.SetInsertPoint(done.after);
          break;
      }
    }
  }

  ModuleEmitter& m_;
  const ir::Program& program_;
  const std::vector<llvm::Function*>& kernels_;
  llvm::Function* function_;
  Builder b_;
  Value* call_;
  DimEmitter dims_;
  BasicBlock* failed_ = nullptr;
  Value* status_ = nullptr;
  Value* ready_ = nullptr;     ///< one byte per tape: its state is initialised
  Value* pointers_ = nullptr;  ///< the buffers of the custom call that is being made
  Value* extents_ = nullptr;   ///< those of the value that is being printed
  Value* offsets_ = nullptr;   ///< the table of symbolic arena offsets
  std::vector<std::int64_t> offset_slots_;
};

void emit_plan(ModuleEmitter& m, const ir::Program& program, llvm::Function* function) {
  Builder b(BasicBlock::Create(m.context, "entry", function));
  DimEmitter dims{m, b, [&](const std::string& name) -> Value* {
                    const std::optional<std::size_t> index = ir::symbol_index(program, name);
                    if (!index) throw InternalError("program '" + program.name + "' has no symbol '" + name + "'");
                    return b.CreateAlignedLoad(m.i64, b.CreateConstGEP1_64(m.i64, function->getArg(1), *index), llvm::Align(8));
                  }};
  dims.checked = true;
  std::uint64_t at = 0;
  for (const ir::Dim& dim : ir::plan_dims(program))
    b.CreateAlignedStore(dims.emit(dim), b.CreateConstGEP1_64(m.i64, function->getArg(2), at++), llvm::Align(8));
  if (!dims.overflow) {
    b.CreateRet(b.getInt32(KILN_OK));
    return;
  }
  b.CreateRet(b.CreateSelect(dims.overflow, b.getInt32(KILN_OVERFLOW), b.getInt32(KILN_OK)));
}

}  // namespace

void emit_program(ModuleEmitter& m, const ir::Program& program, const std::string& name, const std::vector<llvm::Function*>& kernels) {
  llvm::Function* plan = m.new_function(name + "_plan", llvm::FunctionType::get(m.i32, {m.pointer, m.pointer, m.pointer}, false), false);
  mark_glue(plan);
  emit_plan(m, program, plan);
  llvm::Function* entry = m.new_function(name + "_entry", llvm::FunctionType::get(m.i32, {m.pointer}, false), false);
  mark_glue(entry);
  ProgramEmitter(m, program, kernels, entry).emit();
}

}  // namespace kiln::codegen

#include "codegen/x86/emit_tape.h"

#include <llvm/IR/Constants.h>

#include <cstddef>

#include "kiln/abi.h"

namespace kiln::codegen {
namespace {

using llvm::BasicBlock;
using llvm::Value;

/// The first chunk has about this many bytes, so that tapes of scalars do not allocate per push.
constexpr std::int64_t first_chunk_bytes = 4096;
/// Chunks stop growing here: a tape then wastes at most this much.
constexpr std::int64_t largest_chunk_bytes = std::int64_t{8} << 20;

enum StateField : unsigned { current_chunk, item_count, first_chunk };
enum ChunkField : unsigned { previous_chunk, next_chunk, capacity };

struct Fields {
  ModuleEmitter& m;
  Builder& b;
  Value* at(Value* base, unsigned field) const { return b.CreateConstGEP1_64(m.i8, base, 8ULL * field); }
  Value* load_pointer(Value* base, unsigned field) const { return b.CreateAlignedLoad(m.pointer, at(base, field), llvm::Align(8)); }
  Value* load_integer(Value* base, unsigned field) const { return b.CreateAlignedLoad(m.i64, at(base, field), llvm::Align(8)); }
  void store(Value* base, unsigned field, Value* value) const { b.CreateAlignedStore(value, at(base, field), llvm::Align(8)); }
  /// Where item `index` of a chunk lies.
  Value* item(Value* chunk, Value* index, Value* bytes) const {
    return b.CreateGEP(m.i8, chunk, b.CreateAdd(m.integer(tape_header_bytes), b.CreateMul(index, bytes)));
  }
};

}  // namespace

llvm::Function* tape_clear_helper(ModuleEmitter& m) {
  llvm::Function*& helper = m.helpers["kiln.tape_clear"];
  if (helper) return helper;
  helper =
      m.new_function("kiln.tape_clear", llvm::FunctionType::get(llvm::Type::getVoidTy(m.context), {m.pointer, m.pointer}, false), true);
  Value *state = helper->getArg(0), *ready = helper->getArg(1);
  BasicBlock* entry = BasicBlock::Create(m.context, "entry", helper);
  BasicBlock* initialise = BasicBlock::Create(m.context, "initialise", helper);
  BasicBlock* rewind = BasicBlock::Create(m.context, "rewind", helper);
  Builder b(entry);
  const Fields f{m, b};
  b.CreateCondBr(b.CreateICmpEQ(b.CreateLoad(m.i8, ready), b.getInt8(0)), initialise, rewind);
  b.SetInsertPoint(initialise);
  b.CreateStore(b.getInt8(1), ready);
  f.store(state, first_chunk, llvm::ConstantPointerNull::get(m.pointer));
  b.CreateBr(rewind);
  b.SetInsertPoint(rewind);
  f.store(state, current_chunk, f.load_pointer(state, first_chunk));
  f.store(state, item_count, m.integer(0));
  b.CreateRetVoid();
  return helper;
}

llvm::Function* tape_push_helper(ModuleEmitter& m) {
  llvm::Function*& helper = m.helpers["kiln.tape_push"];
  if (helper) return helper;
  helper = m.new_function("kiln.tape_push", llvm::FunctionType::get(m.i32, {m.pointer, m.pointer, m.pointer, m.i64}, false), true);
  Value *call = helper->getArg(0), *state = helper->getArg(1), *source = helper->getArg(2), *bytes = helper->getArg(3);
  const auto block = [&](const char* name) { return BasicBlock::Create(m.context, name, helper); };
  BasicBlock *entry = block("entry"), *test_full = block("test_full"), *full = block("full"), *reuse = block("reuse"),
             *grow = block("grow"), *link = block("link"), *link_first = block("link_first"), *link_next = block("link_next"),
             *linked = block("linked"), *copy = block("copy"), *no_memory = block("no_memory");
  Value* null = llvm::ConstantPointerNull::get(m.pointer);
  Builder b(entry);
  const Fields f{m, b};
  Value* chunk = f.load_pointer(state, current_chunk);
  Value* count = f.load_integer(state, item_count);
  b.CreateCondBr(b.CreateIsNull(chunk), grow, test_full);

  b.SetInsertPoint(test_full);
  Value* chunk_capacity = f.load_integer(chunk, capacity);
  b.CreateCondBr(b.CreateICmpSLT(count, chunk_capacity), copy, full);

  b.SetInsertPoint(full);
  Value* next = f.load_pointer(chunk, next_chunk);
  Value* doubled = b.CreateMul(chunk_capacity, m.integer(2));
  Value* limit = b.CreateUDiv(m.integer(largest_chunk_bytes), b.CreateBinaryIntrinsic(llvm::Intrinsic::umax, bytes, m.integer(1)));
  Value* grown =
      b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, chunk_capacity, b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, doubled, limit));
  b.CreateCondBr(b.CreateIsNull(next), grow, reuse);

  b.SetInsertPoint(reuse);
  b.CreateBr(linked);

  b.SetInsertPoint(grow);
  llvm::PHINode* wanted = b.CreatePHI(m.i64, 2);
  Value* start = Builder(entry->getTerminator())
                     .CreateUDiv(m.integer(first_chunk_bytes),
                                 Builder(entry->getTerminator()).CreateBinaryIntrinsic(llvm::Intrinsic::umax, bytes, m.integer(1)));
  wanted->addIncoming(start, entry);
  wanted->addIncoming(grown, full);
  Value* items = b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, wanted, m.integer(1));
  Value* size = b.CreateAdd(m.integer(tape_header_bytes), b.CreateMul(items, bytes));
  Value* allocate = b.CreateAlignedLoad(m.pointer, b.CreateConstGEP1_64(m.i8, call, offsetof(kiln_call, allocate)), llvm::Align(8));
  Value* allocator = b.CreateAlignedLoad(m.pointer, b.CreateConstGEP1_64(m.i8, call, offsetof(kiln_call, allocator)), llvm::Align(8));
  BasicBlock* have_hook = block("have_hook");
  b.CreateCondBr(b.CreateIsNull(allocate), no_memory, have_hook);
  b.SetInsertPoint(have_hook);
  Value* fresh = b.CreateCall(llvm::FunctionType::get(m.pointer, {m.pointer, m.i64}, false), allocate, {allocator, size});
  b.CreateCondBr(b.CreateIsNull(fresh), no_memory, link);

  b.SetInsertPoint(link);
  f.store(fresh, previous_chunk, chunk);
  f.store(fresh, next_chunk, null);
  f.store(fresh, capacity, items);
  b.CreateCondBr(b.CreateIsNull(chunk), link_first, link_next);
  b.SetInsertPoint(link_first);
  f.store(state, first_chunk, fresh);
  b.CreateBr(linked);
  b.SetInsertPoint(link_next);
  f.store(chunk, next_chunk, fresh);
  b.CreateBr(linked);

  b.SetInsertPoint(linked);
  llvm::PHINode* target = b.CreatePHI(m.pointer, 3);
  target->addIncoming(next, reuse);
  target->addIncoming(fresh, link_first);
  target->addIncoming(fresh, link_next);
  f.store(state, current_chunk, target);
  b.CreateBr(copy);

  b.SetInsertPoint(copy);
  llvm::PHINode* into = b.CreatePHI(m.pointer, 2);
  into->addIncoming(chunk, test_full);
  into->addIncoming(target, linked);
  llvm::PHINode* position = b.CreatePHI(m.i64, 2);
  position->addIncoming(count, test_full);
  position->addIncoming(m.integer(0), linked);
  b.CreateMemCpy(f.item(into, position, bytes), llvm::MaybeAlign(), source, llvm::MaybeAlign(), bytes);
  f.store(state, item_count, b.CreateAdd(position, m.integer(1)));
  b.CreateRet(b.getInt32(KILN_OK));

  b.SetInsertPoint(no_memory);
  b.CreateRet(b.getInt32(KILN_OUT_OF_MEMORY));
  return helper;
}

llvm::Function* tape_pop_helper(ModuleEmitter& m) {
  llvm::Function*& helper = m.helpers["kiln.tape_pop"];
  if (helper) return helper;
  helper = m.new_function("kiln.tape_pop", llvm::FunctionType::get(llvm::Type::getVoidTy(m.context), {m.pointer, m.pointer, m.i64}, false),
                          true);
  Value *state = helper->getArg(0), *destination = helper->getArg(1), *bytes = helper->getArg(2);
  BasicBlock* entry = BasicBlock::Create(m.context, "entry", helper);
  BasicBlock* back = BasicBlock::Create(m.context, "back", helper);
  BasicBlock* copy = BasicBlock::Create(m.context, "copy", helper);
  Builder b(entry);
  const Fields f{m, b};
  Value* chunk = f.load_pointer(state, current_chunk);
  Value* count = f.load_integer(state, item_count);
  b.CreateCondBr(b.CreateICmpEQ(count, m.integer(0)), back, copy);
  b.SetInsertPoint(back);
  Value* previous = f.load_pointer(chunk, previous_chunk);
  f.store(state, current_chunk, previous);
  Value* previous_count = f.load_integer(previous, capacity);
  b.CreateBr(copy);
  b.SetInsertPoint(copy);
  llvm::PHINode* from = b.CreatePHI(m.pointer, 2);
  from->addIncoming(chunk, entry);
  from->addIncoming(previous, back);
  llvm::PHINode* items = b.CreatePHI(m.i64, 2);
  items->addIncoming(count, entry);
  items->addIncoming(previous_count, back);
  Value* last = b.CreateSub(items, m.integer(1));
  b.CreateMemCpy(destination, llvm::MaybeAlign(), f.item(from, last, bytes), llvm::MaybeAlign(), bytes);
  f.store(state, item_count, last);
  b.CreateRetVoid();
  return helper;
}

}  // namespace kiln::codegen

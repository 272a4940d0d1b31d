// Loop IR to LLVM IR, one to one: every register becomes rows * cols SSA values, every carried value a phi, every loop a loop. No policy
// lives here: unrolling, tiling, vector lengths and splits were decided by the schedule; LLVM's code generator allocates registers, picks
// addressing modes and orders instructions.
//
// A scalar used as an operand of a vector operation is splat right behind its definition, once: loop-invariant splats are thus outside
// their loops, and the splat of a loaded scalar becomes a broadcasting load.
//
// A tile of scalar loads is emitted element by element where each is first used: LLVM keeps much of the order it is given, and all rows of
// a column loaded ahead of the multiply-adds would need registers that the accumulators hold (a 14 x 32 tile then copies and spills: 40 %
// of peak instead of 95 %).
//
// Loops are emitted rotated: a test in front (left out when both bounds are constants), the test of the next iteration at the end.
//
// A parallel loop becomes a function (context, begin, end) over its iterations; the context is a struct with what the body uses from
// outside. Kernels whose estimated work is small, and parallel loops inside parallel loops, run serially in line.
#include "codegen/x86/emit_kernel.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <cstddef>
#include <numeric>
#include <set>

#include "codegen/x86/emit_value.h"
#include "kiln/abi.h"

namespace kiln::codegen {

using ir::Instruction;
using ir::LoopOp;
using llvm::Value;

namespace {

/// Kernel::work from which a parallel loop goes to the threads: about 20 us on one core at 200 flops per ns. A fork and join over spinning
/// threads costs about 1 us, over sleeping ones 5 us and more.
constexpr std::int64_t parallel_work = 4'000'000;

/// What the blocks of an instruction use, from anywhere.
struct Uses {
  std::set<ir::BufferId> buffers;
  std::set<ir::RegisterId> registers;
  std::set<std::string> names;
};

void collect_uses(const ir::Block& block, const std::vector<ir::Dims>& strides, Uses& uses) {
  const auto add_names = [&](const ir::Dim& dim) {
    for (auto& name : ir::symbols_of(dim)) uses.names.insert(name);
  };
  for (const Instruction& instruction : block.instructions) {
    uses.registers.insert(instruction.operands.begin(), instruction.operands.end());
    for (const ir::Dim& dim : instruction.indices) add_names(dim);
    if (instruction.op == LoopOp::load || instruction.op == LoopOp::store || instruction.op == LoopOp::prefetch) {
      uses.buffers.insert(instruction.buffer);
      for (const ir::Dim& stride : strides[instruction.buffer]) add_names(stride);
    }
    for (const ir::Block& inner : instruction.blocks) collect_uses(inner, strides, uses);
  }
}

ir::Dims row_major_strides(const ir::Buffer& buffer) {
  if (!buffer.strides.empty()) return buffer.strides;
  ir::Dims strides(buffer.extents.size());
  ir::Dim stride = 1;
  for (std::size_t i = strides.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= buffer.extents[i];
  }
  return strides;
}

std::optional<std::int64_t> as_constant(const Value* value) {
  const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(value);
  return constant ? std::optional(constant->getSExtValue()) : std::nullopt;
}

}  // namespace

KernelEmitter::KernelEmitter(ModuleEmitter& module, const ir::Kernel& kernel) : m_(module), kernel_(kernel) {
  for (const ir::Buffer& buffer : kernel.buffers) strides_.push_back(row_major_strides(buffer));
}

void KernelEmitter::emit(llvm::Function* function) {
  FunctionState state(m_, function);
  f_ = &state;
  state.registers.resize(kernel_.registers.size());
  state.builder.SetInsertPoint(llvm::BasicBlock::Create(m_.context, "entry", function));
  state.index.open_scope(nullptr);
  unsigned argument = 0;
  for (const ir::Buffer& buffer : kernel_.buffers) {
    state.buffers.push_back(function->getArg(argument++));
    state.buffers.back()->setName(buffer.name);
  }
  for (const auto& symbol : kernel_.symbols) state.index.bind(symbol->name, function->getArg(argument++), symbol->multiple_of);
  state.call = function->getArg(argument);
  emit_block(kernel_.body, nullptr, {});
  finish_function();
  f_ = nullptr;
}

void KernelEmitter::finish_function() {
  // Non-temporal stores are not ordered by the locks and atomics through which the next reader learns that this function is done.
  if (f_->non_temporal) f_->builder.CreateIntrinsic(llvm::Intrinsic::x86_sse_sfence, {}, {});
  f_->builder.CreateRetVoid();
}

llvm::BasicBlock* KernelEmitter::new_block(const char* name) { return llvm::BasicBlock::Create(m_.context, name, f_->function); }

Value* KernelEmitter::splat_at_definition(Value* value, int lanes) {
  if (lanes == 1 || value->getType()->isVectorTy()) return value;
  if (llvm::isa<llvm::Constant>(value)) return splat(f_->builder, value, lanes);
  auto& known = f_->splats[value];
  for (const auto& [count, vector] : known)
    if (count == lanes) return vector;
  const Builder::InsertPointGuard guard(f_->builder);
  if (auto* definition = llvm::dyn_cast<llvm::Instruction>(value)) {
    if (llvm::isa<llvm::PHINode>(definition))
      f_->builder.SetInsertPoint(definition->getParent(), definition->getParent()->getFirstInsertionPt());
    else
      f_->builder.SetInsertPoint(definition->getParent(), std::next(definition->getIterator()));
  } else {
    llvm::BasicBlock& entry = f_->function->getEntryBlock();
    f_->builder.SetInsertPoint(&entry, entry.getFirstInsertionPt());
  }
  Value* vector = splat(f_->builder, value, lanes);
  known.emplace_back(lanes, vector);
  return vector;
}

Value* KernelEmitter::element(ir::RegisterId id, int row, int col, int lanes) {
  const ir::RegisterType& type = type_of(id);
  const Tile& tile = f_->registers[id];
  internal_check(!tile.empty(), "a register is used before its definition");
  const int r = type.rows == 1 ? 0 : row, c = type.cols == 1 ? 0 : col;
  Value* value = tile[static_cast<std::size_t>(r * type.cols + c)];
  if (f_->waiting.erase(value) != 0) {
    auto* load = llvm::cast<llvm::Instruction>(value);
    if (load->getParent() == f_->builder.GetInsertBlock()) load->moveBefore(*load->getParent(), load->getParent()->end());
  }
  return splat_at_definition(value, lanes);
}

Tile KernelEmitter::tile_as(ir::RegisterId id, const ir::RegisterType& type) {
  Tile tile;
  for (int row = 0; row < type.rows; ++row)
    for (int col = 0; col < type.cols; ++col) tile.push_back(element(id, row, col, type.lanes));
  return tile;
}

void KernelEmitter::emit_block(const ir::Block& block, std::vector<Tile>* yielded, const std::vector<ir::RegisterId>& as) {
  for (const Instruction& instruction : block.instructions) {
    if (instruction.op == LoopOp::yield) {
      if (!yielded) continue;
      for (std::size_t i = 0; i < instruction.operands.size(); ++i) yielded->push_back(tile_as(instruction.operands[i], type_of(as[i])));
    } else {
      emit_instruction(instruction);
    }
  }
}

void KernelEmitter::emit_instruction(const Instruction& instruction) {
  switch (instruction.op) {
    case LoopOp::constant: {
      const ir::RegisterType& type = type_of(instruction.results[0]);
      Value* value = splat(f_->builder, literal_value(m_, instruction.literal), type.lanes);
      return define(instruction.results[0], Tile(static_cast<std::size_t>(type.rows * type.cols), value));
    }
    case LoopOp::index: return emit_index(instruction);
    case LoopOp::load: return emit_load(instruction);
    case LoopOp::store: return emit_store(instruction);
    case LoopOp::prefetch: return emit_prefetch(instruction);
    case LoopOp::broadcast: return define(instruction.results[0], tile_as(instruction.operands[0], type_of(instruction.results[0])));
    case LoopOp::reduce: return emit_reduce(instruction);
    case LoopOp::for_: return emit_for(instruction);
    case LoopOp::if_: return emit_if(instruction);
    case LoopOp::switch_: return emit_switch(instruction);
    case LoopOp::let: return emit_let(instruction);
    default: return emit_elements(instruction);
  }
}

void KernelEmitter::emit_elements(const Instruction& instruction) {
  const ir::RegisterType& type = type_of(instruction.results[0]);
  const DType source = instruction.operands.empty() ? type.dtype : type_of(instruction.operands[0]).dtype;
  Tile tile;
  std::vector<Value*> operands(instruction.operands.size());
  for (int row = 0; row < type.rows; ++row) {
    for (int col = 0; col < type.cols; ++col) {
      for (std::size_t i = 0; i < operands.size(); ++i) operands[i] = element(instruction.operands[i], row, col, type.lanes);
      Value* result = nullptr;
      if (instruction.op == LoopOp::convert)
        result = emit_convert(m_, f_->builder, operands[0], source, type.dtype);
      else if (instruction.op == LoopOp::bitcast)
        result = emit_bitcast(m_, f_->builder, operands[0], source, type.dtype);
      else
        result = emit_elementwise(m_, f_->builder, instruction.op, source, operands, instruction.comparison);
      tile.push_back(result);
    }
  }
  define(instruction.results[0], std::move(tile));
}

void KernelEmitter::emit_index(const Instruction& instruction) {
  Builder& b = f_->builder;
  const ir::RegisterType& type = type_of(instruction.results[0]);
  const ir::Dim& dim = instruction.indices[0];
  const auto at = [&](int row, std::int64_t position) {
    return f_->index
        .evaluate(ir::substitute(dim,
                                 [&](const ir::SymbolInfo& symbol) -> std::optional<ir::Dim> {
                                   if (symbol.name == ir::tile_row) return ir::Dim(row);
                                   if (symbol.name == ir::tile_vector) return ir::Dim(position);
                                   return std::nullopt;
                                 }))
        .value;
  };
  const auto linear = ir::linear_in(dim, ir::tile_vector);
  Tile tile;
  for (int row = 0; row < type.rows; ++row) {
    for (int col = 0; col < type.cols; ++col) {
      const std::int64_t position = std::int64_t{col} * type.lanes;
      if (type.lanes == 1 || (linear && linear->coefficient.is_constant(0))) {
        tile.push_back(splat_at_definition(at(row, position), type.lanes));
      } else if (linear && linear->coefficient.is_constant()) {
        std::vector<llvm::Constant*> steps;
        for (int lane = 0; lane < type.lanes; ++lane) steps.push_back(m_.integer(lane * linear->coefficient.constant()));
        tile.push_back(b.CreateAdd(splat_at_definition(at(row, position), type.lanes), llvm::ConstantVector::get(steps)));
      } else {
        Value* vector = llvm::PoisonValue::get(with_lanes(m_.i64, type.lanes));
        for (int lane = 0; lane < type.lanes; ++lane)
          vector = b.CreateInsertElement(vector, at(row, position + lane), static_cast<std::uint64_t>(lane));
        tile.push_back(vector);
      }
    }
  }
  define(instruction.results[0], std::move(tile));
}

void KernelEmitter::emit_let(const Instruction& instruction) {
  const DType dtype = type_of(instruction.operands[0]).dtype;
  Value* value = emit_convert(m_, f_->builder, element(instruction.operands[0], 0, 0, 1), dtype, DType::i64);
  // Frozen, so that loop strength reduction takes the value as it is: it would recompute the whole expression (minima, products) in the
  // loops that use it.
  f_->index.bind(instruction.name, llvm::isa<llvm::Constant>(value) ? value : f_->builder.CreateFreeze(value));
}

void KernelEmitter::emit_reduce(const Instruction& instruction) {
  Builder& b = f_->builder;
  const ir::RegisterType& from = type_of(instruction.operands[0]);
  const auto combine = [&](Value* x, Value* y) {
    Value* const operands[] = {x, y};
    return emit_elementwise(m_, b, instruction.combiner, from.dtype, operands, ir::Comparison::eq);
  };
  const auto fold = [&](std::vector<Value*> values) {
    while (values.size() > 1) {
      if (values.size() % 2 != 0) {
        values[0] = combine(values[0], values.back());
        values.pop_back();
      }
      if (values.size() == 1) break;
      const std::size_t half = values.size() / 2;
      for (std::size_t i = 0; i < half; ++i) values[i] = combine(values[i], values[i + half]);
      values.resize(half);
    }
    return values[0];
  };
  const auto part = [&](Value* vector, int first, int count) {
    std::vector<int> mask(static_cast<std::size_t>(count));
    std::iota(mask.begin(), mask.end(), first);
    return b.CreateShuffleVector(vector, mask);
  };
  const auto fold_lanes = [&](Value* vector) -> Value* {
    int lanes = from.lanes;
    for (; lanes > 2 && lanes % 2 == 0; lanes /= 2) vector = combine(part(vector, 0, lanes / 2), part(vector, lanes / 2, lanes / 2));
    std::vector<Value*> scalars;
    for (int lane = 0; lane < lanes; ++lane)
      scalars.push_back(lanes == 1 ? vector : b.CreateExtractElement(vector, static_cast<std::uint64_t>(lane)));
    return fold(std::move(scalars));
  };
  const int rows = instruction.axis == ir::Axis::rows ? 1 : from.rows;
  const int cols = instruction.axis == ir::Axis::cols ? 1 : from.cols;
  Tile tile;
  for (int row = 0; row < rows; ++row) {
    for (int col = 0; col < cols; ++col) {
      if (instruction.axis == ir::Axis::lanes) {
        tile.push_back(from.lanes == 1 ? element(instruction.operands[0], row, col, 1)
                                       : fold_lanes(element(instruction.operands[0], row, col, from.lanes)));
        continue;
      }
      std::vector<Value*> values;
      const int count = instruction.axis == ir::Axis::rows ? from.rows : from.cols;
      for (int i = 0; i < count; ++i) {
        const bool over_rows = instruction.axis == ir::Axis::rows;
        values.push_back(element(instruction.operands[0], over_rows ? i : row, over_rows ? col : i, from.lanes));
      }
      tile.push_back(fold(std::move(values)));
    }
  }
  define(instruction.results[0], std::move(tile));
}

// ---- structure -------------------------------------------------------------------------------------------------------

void KernelEmitter::emit_for(const Instruction& instruction) {
  if (instruction.loop == ir::LoopKind::parallel && !inside_parallel_ && kernel_.work >= parallel_work) return emit_parallel(instruction);
  const IndexValue begin = f_->index.evaluate(instruction.indices[0]), end = f_->index.evaluate(instruction.indices[1]),
                   step = f_->index.evaluate(instruction.indices[2]);
  const auto first = as_constant(begin.value), last = as_constant(end.value), stride = as_constant(step.value);
  const bool constant = first && last && stride;
  if (constant && (instruction.loop == ir::LoopKind::unrolled || *last - *first <= *stride))
    return emit_unrolled(instruction, *first, *last, *stride);
  const std::int64_t divisor = std::gcd(f_->index.divisor(instruction.indices[0]), f_->index.divisor(instruction.indices[2]));
  emit_loop(instruction, begin.value, end.value, step.value, divisor);
}

void KernelEmitter::emit_loop(const Instruction& instruction, Value* begin, Value* end, Value* step, std::int64_t divisor) {
  Builder& b = f_->builder;
  const ir::Block& body = instruction.blocks[0];
  const auto first = as_constant(begin), last = as_constant(end);
  const bool runs = first && last && *first < *last;
  std::vector<Tile> initial;
  for (std::size_t i = 0; i < body.parameters.size(); ++i) initial.push_back(tile_as(instruction.operands[i], type_of(body.parameters[i])));

  llvm::BasicBlock* before = b.GetInsertBlock();
  llvm::BasicBlock* loop = new_block(instruction.name.c_str());
  llvm::BasicBlock* after = llvm::BasicBlock::Create(m_.context, "after");
  llvm::Instruction* enter = runs ? b.CreateBr(loop) : b.CreateCondBr(b.CreateICmpSLT(begin, end), loop, after);

  b.SetInsertPoint(loop);
  llvm::PHINode* variable = b.CreatePHI(m_.i64, 2, instruction.name);
  variable->addIncoming(begin, before);
  std::vector<std::vector<llvm::PHINode*>> carried;
  for (std::size_t i = 0; i < body.parameters.size(); ++i) {
    Tile tile;
    carried.emplace_back();
    for (Value* value : initial[i]) {
      carried.back().push_back(b.CreatePHI(value->getType(), 2));
      carried.back().back()->addIncoming(value, before);
      tile.push_back(carried.back().back());
    }
    define(body.parameters[i], std::move(tile));
  }
  f_->index.open_scope(enter);
  f_->index.bind(instruction.name, variable, divisor);
  std::vector<Tile> yielded;
  emit_block(body, &yielded, body.parameters);
  f_->index.close_scope();

  llvm::BasicBlock* latch = b.GetInsertBlock();
  Value* next = b.CreateAdd(variable, step, "", false, true);
  variable->addIncoming(next, latch);
  for (std::size_t i = 0; i < carried.size(); ++i)
    for (std::size_t j = 0; j < carried[i].size(); ++j) carried[i][j]->addIncoming(yielded[i][j], latch);
  b.CreateCondBr(b.CreateICmpSLT(next, end), loop, after);

  f_->function->insert(f_->function->end(), after);
  b.SetInsertPoint(after);
  for (std::size_t i = 0; i < carried.size(); ++i) {
    if (runs) {
      define(instruction.results[i], yielded[i]);
      continue;
    }
    Tile tile;
    for (std::size_t j = 0; j < carried[i].size(); ++j) {
      llvm::PHINode* result = b.CreatePHI(yielded[i][j]->getType(), 2);
      result->addIncoming(initial[i][j], before);
      result->addIncoming(yielded[i][j], latch);
      tile.push_back(result);
    }
    define(instruction.results[i], std::move(tile));
  }
}

void KernelEmitter::emit_unrolled(const Instruction& instruction, std::int64_t begin, std::int64_t end, std::int64_t step) {
  const ir::Block& body = instruction.blocks[0];
  std::vector<Tile> carried;
  for (std::size_t i = 0; i < body.parameters.size(); ++i) carried.push_back(tile_as(instruction.operands[i], type_of(body.parameters[i])));
  for (std::int64_t i = begin; i < end; i += step) {
    f_->index.bind(instruction.name, m_.integer(i), i);
    for (std::size_t j = 0; j < carried.size(); ++j) define(body.parameters[j], std::move(carried[j]));
    carried.clear();
    emit_block(body, &carried, body.parameters);
  }
  for (std::size_t i = 0; i < carried.size(); ++i) define(instruction.results[i], std::move(carried[i]));
}

void KernelEmitter::emit_if(const Instruction& instruction) {
  Builder& b = f_->builder;
  Value* condition = element(instruction.operands[0], 0, 0, 1);
  llvm::BasicBlock* after = llvm::BasicBlock::Create(m_.context, "after");
  llvm::BasicBlock* branches[2] = {new_block("then"), new_block("else")};
  llvm::Instruction* split = b.CreateCondBr(condition, branches[0], branches[1]);
  std::vector<Tile> yielded[2];
  llvm::BasicBlock* ends[2] = {};
  for (int i = 0; i < 2; ++i) {
    b.SetInsertPoint(branches[i]);
    f_->index.open_scope(split);
    if (static_cast<std::size_t>(i) < instruction.blocks.size())
      emit_block(instruction.blocks[static_cast<std::size_t>(i)], &yielded[i], instruction.results);
    f_->index.close_scope();
    ends[i] = b.GetInsertBlock();
    b.CreateBr(after);
  }
  f_->function->insert(f_->function->end(), after);
  b.SetInsertPoint(after);
  for (std::size_t i = 0; i < instruction.results.size(); ++i) {
    Tile tile;
    for (std::size_t j = 0; j < yielded[0][i].size(); ++j) {
      llvm::PHINode* result = b.CreatePHI(yielded[0][i][j]->getType(), 2);
      for (int k = 0; k < 2; ++k) result->addIncoming(yielded[k][i][j], ends[k]);
      tile.push_back(result);
    }
    define(instruction.results[i], std::move(tile));
  }
}

void KernelEmitter::emit_switch(const Instruction& instruction) {
  Builder& b = f_->builder;
  Value* selector = f_->index.evaluate(instruction.indices[0]).value;
  llvm::BasicBlock* after = llvm::BasicBlock::Create(m_.context, "after");
  llvm::SwitchInst* split = b.CreateSwitch(selector, after, static_cast<unsigned>(instruction.cases.size()));
  for (std::size_t i = 0; i < instruction.cases.size(); ++i) {
    llvm::BasicBlock* branch = new_block("case");
    split->addCase(m_.integer(instruction.cases[i]), branch);
    b.SetInsertPoint(branch);
    f_->index.open_scope(split);
    emit_block(instruction.blocks[i], nullptr, {});
    f_->index.close_scope();
    b.CreateBr(after);
  }
  f_->function->insert(f_->function->end(), after);
  b.SetInsertPoint(after);
}

void KernelEmitter::emit_parallel(const Instruction& instruction) {
  const IndexValue begin = f_->index.evaluate(instruction.indices[0]), end = f_->index.evaluate(instruction.indices[1]),
                   step = f_->index.evaluate(instruction.indices[2]);
  const std::int64_t divisor = std::gcd(f_->index.divisor(instruction.indices[0]), f_->index.divisor(instruction.indices[2]));

  // What the body captures, in a fixed order: the call, first iteration and step, buffers, names, registers.
  Uses uses;
  collect_uses(instruction.blocks[0], strides_, uses);
  std::vector<Value*> captured{f_->call, begin.value, step.value};
  std::vector<std::string> names;
  std::vector<ir::RegisterId> registers;
  for (const ir::BufferId buffer : uses.buffers) captured.push_back(f_->buffers[buffer]);
  for (const std::string& name : uses.names) {
    const IndexValue* value = f_->index.find(name);
    if (!value || name == instruction.name) continue;
    names.push_back(name);
    captured.push_back(value->value);
  }
  for (const ir::RegisterId id : uses.registers) {
    if (f_->registers[id].empty()) continue;
    registers.push_back(id);
    captured.insert(captured.end(), f_->registers[id].begin(), f_->registers[id].end());
  }
  std::vector<llvm::Type*> types;
  for (const Value* value : captured) types.push_back(value->getType());
  llvm::StructType* context_type = llvm::StructType::get(m_.context, types);

  // The body as a function.
  llvm::FunctionType* body_type = llvm::FunctionType::get(llvm::Type::getVoidTy(m_.context), {m_.pointer, m_.i64, m_.i64}, false);
  llvm::Function* body = m_.new_function(f_->function->getName().str() + "." + instruction.name, body_type, true);
  FunctionState* outer = f_;
  FunctionState state(m_, body);
  f_ = &state;
  inside_parallel_ = true;
  state.registers.resize(kernel_.registers.size());
  state.buffers.resize(kernel_.buffers.size());
  state.builder.SetInsertPoint(llvm::BasicBlock::Create(m_.context, "entry", body));
  state.index.open_scope(nullptr);
  unsigned field = 0;
  const auto next_field = [&]() -> Value* {
    const unsigned at = field++;
    if (llvm::isa<llvm::Constant>(captured[at])) return captured[at];
    return state.builder.CreateLoad(types[at], state.builder.CreateStructGEP(context_type, body->getArg(0), at));
  };
  state.call = next_field();
  Value* first = next_field();
  Value* stride = next_field();
  for (const ir::BufferId buffer : uses.buffers) state.buffers[buffer] = next_field();
  for (const std::string& name : names) state.index.bind(name, next_field(), outer->index.divisor(ir::Dim::symbol(name)));
  for (const ir::RegisterId id : registers)
    for (std::size_t i = 0; i < outer->registers[id].size(); ++i) state.registers[id].push_back(next_field());
  const auto iteration = [&](unsigned argument) {
    return state.builder.CreateAdd(first, state.builder.CreateMul(body->getArg(argument), stride, "", false, true), "", false, true);
  };
  Value* from = iteration(1);
  Value* to = iteration(2);
  emit_loop(instruction, from, to, stride, divisor);
  finish_function();
  inside_parallel_ = false;
  f_ = outer;

  // The call: through the hook when there is one.
  Builder& b = f_->builder;
  llvm::BasicBlock& entry = f_->function->getEntryBlock();
  Value* context = Builder(&entry, entry.begin()).CreateAlloca(context_type);
  for (unsigned i = 0; i < captured.size(); ++i)
    if (!llvm::isa<llvm::Constant>(captured[i])) b.CreateStore(captured[i], b.CreateStructGEP(context_type, context, i));
  Value* span = b.CreateAdd(b.CreateSub(end.value, begin.value), b.CreateSub(step.value, m_.integer(1)));
  Value* count = b.CreateSDiv(b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, span, m_.integer(0)), step.value);
  const auto call_field = [&](std::size_t offset) {
    return b.CreateAlignedLoad(m_.pointer, b.CreateConstGEP1_64(m_.i8, f_->call, offset), llvm::Align(8));
  };
  Value* hook = call_field(offsetof(kiln_call, parallel_for));
  llvm::BasicBlock* threads = new_block("threads");
  llvm::BasicBlock* serial = new_block("serial");
  llvm::BasicBlock* after = new_block("after");
  b.CreateCondBr(b.CreateAnd(b.CreateIsNotNull(hook), b.CreateICmpSGT(count, m_.integer(1))), threads, serial);
  b.SetInsertPoint(threads);
  llvm::FunctionType* hook_type =
      llvm::FunctionType::get(llvm::Type::getVoidTy(m_.context), {m_.pointer, m_.i64, m_.pointer, m_.pointer}, false);
  b.CreateCall(hook_type, hook, {call_field(offsetof(kiln_call, pool)), count, body, context});
  b.CreateBr(after);
  b.SetInsertPoint(serial);
  b.CreateCall(body, {context, m_.integer(0), count});
  b.CreateBr(after);
  b.SetInsertPoint(after);
}

void emit_kernel(ModuleEmitter& m, const ir::Kernel& kernel, llvm::Function* function) { KernelEmitter(m, kernel).emit(function); }

}  // namespace kiln::codegen

// The emitter of one kernel: its state, and what its files share. emit_kernel.cpp holds structure (blocks, loops, branches, parallel
// bodies) and dispatch, emit_memory.cpp loads and stores. Internal to codegen/x86.
#pragma once

#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "codegen/x86/emit_index.h"
#include "codegen/x86/emit_module.h"

namespace kiln::codegen {

/// The LLVM values of a register: rows * cols of them, row-major, each of `lanes` lanes.
using Tile = std::vector<llvm::Value*>;

class KernelEmitter {
 public:
  KernelEmitter(ModuleEmitter& module, const ir::Kernel& kernel);
  /// Writes the body of `function`, which has the type kernel_type().
  void emit(llvm::Function* function);

 private:
  /// What belongs to the LLVM function being written; a parallel loop's body has its own.
  struct FunctionState {
    explicit FunctionState(ModuleEmitter& m, llvm::Function* function_) : function(function_), builder(m.context), index(m, builder) {}
    llvm::Function* function;
    Builder builder;
    IndexEmitter index;
    std::vector<Tile> registers;  ///< by RegisterId; empty while undefined
    std::vector<llvm::Value*> buffers;
    llvm::Value* call = nullptr;
    std::unordered_map<llvm::Value*, std::vector<std::pair<int, llvm::Value*>>> splats;
    std::unordered_set<llvm::Value*> waiting;  ///< loads not used so far, which may move down to their first use; see emit_kernel.cpp
    bool non_temporal = false;                 ///< has stores that need a fence at the end
  };

  // ---- emit_kernel.cpp
  /// Appends what the block yields to `yielded` (if any), in the types of the registers `as`.
  void emit_block(const ir::Block& block, std::vector<Tile>* yielded, const std::vector<ir::RegisterId>& as);
  void emit_instruction(const ir::Instruction& instruction);
  void emit_for(const ir::Instruction& instruction);
  void emit_loop(const ir::Instruction& instruction, llvm::Value* begin, llvm::Value* end, llvm::Value* step, std::int64_t divisor);
  void emit_unrolled(const ir::Instruction& instruction, std::int64_t begin, std::int64_t end, std::int64_t step);
  void emit_parallel(const ir::Instruction& instruction);
  void emit_if(const ir::Instruction& instruction);
  void emit_switch(const ir::Instruction& instruction);
  void emit_elements(const ir::Instruction& instruction);
  void emit_index(const ir::Instruction& instruction);
  void emit_reduce(const ir::Instruction& instruction);
  void emit_let(const ir::Instruction& instruction);
  void finish_function();
  llvm::BasicBlock* new_block(const char* name);
  const ir::RegisterType& type_of(ir::RegisterId id) const { return kernel_.registers[id]; }
  /// Element (row, col) of a register as seen by an instruction of type `as`: rows, cols and lanes of 1 are repeated.
  llvm::Value* element(ir::RegisterId id, int row, int col, int lanes);
  /// All elements of a register, repeated up to `type`.
  Tile tile_as(ir::RegisterId id, const ir::RegisterType& type);
  llvm::Value* splat_at_definition(llvm::Value* value, int lanes);
  void define(ir::RegisterId id, Tile tile) { f_->registers[id] = std::move(tile); }

  // ---- emit_memory.cpp
  /// The place of buffer elements in terms of the tile's coordinates: offset + row * $r + vector * $v elements, when it is linear in both.
  struct Place {
    ir::BufferId buffer = 0;
    ir::Dim offset;  ///< with $r and $v in it
    bool linear = false;
    ir::Dim base, row, vector;
  };
  Place place_of(const ir::Instruction& instruction) const;
  ir::Dim offset_at(const Place& place, int row, std::int64_t position) const;
  llvm::Value* address_of(const Place& place, int row, std::int64_t position);
  llvm::Align alignment_of(const Place& place, int row, std::int64_t position) const;
  void emit_load(const ir::Instruction& instruction);
  void emit_store(const ir::Instruction& instruction);
  void emit_prefetch(const ir::Instruction& instruction);
  /// The mask of an access as a scalar or a vector, as it was given; null when every lane is accessed.
  llvm::Value* mask_of(const ir::Instruction& instruction, int row, int col);
  llvm::Value* address_if(llvm::Value* mask, llvm::Value* address);
  llvm::Value* load_scalar(const Place& place, int row, std::int64_t position, llvm::Value* mask);
  llvm::Value* load_vector(const Place& place, int row, std::int64_t position, int lanes, llvm::Value* mask);
  void store_scalar(const Place& place, int row, std::int64_t position, llvm::Value* value, llvm::Value* mask);
  void store_vector(const Place& place, int row, std::int64_t position, int lanes, llvm::Value* value, llvm::Value* mask,
                    bool non_temporal);
  /// Runs `body` only where the scalar `mask` is true (always, for null).
  template <class Body>
  void guarded(llvm::Value* mask, Body&& body);
  llvm::Value* from_memory(llvm::Value* value, DType dtype);
  llvm::Value* to_memory(llvm::Value* value, DType dtype);

  ModuleEmitter& m_;
  const ir::Kernel& kernel_;
  std::vector<ir::Dims> strides_;  ///< of each buffer, in elements
  FunctionState* f_ = nullptr;
  bool inside_parallel_ = false;
};

}  // namespace kiln::codegen

// What all emitters of one LLVM module share: types, functions with the right attributes, helper functions. Internal to codegen/x86.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <map>
#include <string>

#include "codegen/x86/target.h"
#include "ir/loop.h"
#include "ir/program.h"

namespace kiln::codegen {

using Builder = llvm::IRBuilder<>;

struct ModuleEmitter {
  ModuleEmitter(llvm::LLVMContext& context, const std::string& name, const Target& target);

  llvm::LLVMContext& context;
  llvm::Module module;
  const Target& target;
  std::map<std::string, llvm::Function*> helpers;  ///< by name, made on first use
  llvm::GlobalVariable* zeros = nullptr;           ///< what masked-out loads read, made on first use
  llvm::IntegerType* i1;
  llvm::IntegerType* i8;
  llvm::IntegerType* i32;
  llvm::IntegerType* i64;
  llvm::PointerType* pointer;

  llvm::ConstantInt* integer(std::int64_t value) const { return llvm::ConstantInt::getSigned(i64, value); }
  /// A function with the attributes of all generated code. Internal ones are private to the module; the others have hidden visibility when
  /// `hidden`.
  llvm::Function* new_function(const std::string& name, llvm::FunctionType* type, bool internal, bool hidden = false);
};

/// Registers hold f16 and bf16 as their bits, bool as i1.
llvm::Type* register_type(const ModuleEmitter& m, DType dtype);
/// In memory bool takes a byte.
llvm::Type* memory_type(const ModuleEmitter& m, DType dtype);
/// `lanes` of a type: itself for 1, else a vector.
llvm::Type* with_lanes(llvm::Type* type, int lanes);

/// The signature of a kernel: buffers, symbols, the kiln_call.
llvm::FunctionType* kernel_type(const ModuleEmitter& m, const ir::Kernel& kernel);
/// Emits the body of `function`, made with kernel_type().
void emit_kernel(ModuleEmitter& m, const ir::Kernel& kernel, llvm::Function* function);

/// Emits NAME_entry and NAME_plan; `kernels` are (declarations of) the program's kernels in order.
void emit_program(ModuleEmitter& m, const ir::Program& program, const std::string& name, const std::vector<llvm::Function*>& kernels);

}  // namespace kiln::codegen

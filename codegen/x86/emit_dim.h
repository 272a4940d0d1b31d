// Dims of a program (sizes, offsets, plan values) as straight-line LLVM code. Internal to codegen/x86; indices inside kernels are
// emit_index.h's.
#pragma once

#include <functional>

#include "codegen/x86/emit_module.h"

namespace kiln::codegen {

struct DimEmitter {
  ModuleEmitter& m;
  Builder& builder;
  std::function<llvm::Value*(const std::string&)> symbol;  ///< the value of a program symbol
  llvm::Value* overflow = nullptr;                         ///< an i1: some sum or product so far did not fit; only kept when `checked`
  bool checked = false;

  llvm::Value* emit(const ir::Dim& dim);

 private:
  llvm::Value* apply(bool product, llvm::Value* a, llvm::Value* b);
  llvm::Value* atom(const ir::DimAtom& atom);
};

}  // namespace kiln::codegen

// Element-wise operations of the loop IR on LLVM values (scalars or vectors of equal lanes). Internal to codegen/x86.
#pragma once

#include <span>

#include "codegen/x86/emit_module.h"

namespace kiln::codegen {

/// `value` in every lane.
llvm::Value* splat(Builder& builder, llvm::Value* value, int lanes);
/// The literal as a scalar of register_type().
llvm::Constant* literal_value(const ModuleEmitter& m, const ir::Literal& literal);

/// One operation whose operands and result have `dtype` (compare: result bool; select: operand 0 bool).
llvm::Value* emit_elementwise(ModuleEmitter& m, Builder& builder, ir::LoopOp op, DType dtype, std::span<llvm::Value* const> operands,
                              ir::Comparison comparison);
llvm::Value* emit_convert(ModuleEmitter& m, Builder& builder, llvm::Value* value, DType from, DType to);
llvm::Value* emit_bitcast(ModuleEmitter& m, Builder& builder, llvm::Value* value, DType from, DType to);
/// fmod, element by element, through a helper function of the module.
llvm::Value* emit_float_remainder(ModuleEmitter& m, Builder& builder, llvm::Value* a, llvm::Value* b);

}  // namespace kiln::codegen

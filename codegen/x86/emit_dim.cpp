#include "codegen/x86/emit_dim.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

namespace kiln::codegen {

using llvm::Value;

Value* DimEmitter::apply(bool product, Value* a, Value* b) {
  if (!checked) return product ? builder.CreateMul(a, b) : builder.CreateAdd(a, b);
  const auto operation = product ? llvm::Intrinsic::smul_with_overflow : llvm::Intrinsic::sadd_with_overflow;
  Value* pair = builder.CreateBinaryIntrinsic(operation, a, b);
  Value* flag = builder.CreateExtractValue(pair, 1);
  overflow = overflow ? builder.CreateOr(overflow, flag) : flag;
  return builder.CreateExtractValue(pair, 0);
}

Value* DimEmitter::atom(const ir::DimAtom& atom) {
  using Kind = ir::DimAtom::Kind;
  if (atom.kind == Kind::symbol) return symbol(atom.symbol->name);
  Value* a = emit(*atom.a);
  Value* b = emit(*atom.b);
  if (atom.kind == Kind::min) return builder.CreateBinaryIntrinsic(llvm::Intrinsic::smin, a, b);
  if (atom.kind == Kind::max) return builder.CreateBinaryIntrinsic(llvm::Intrinsic::smax, a, b);
  // Rounded towards minus infinity; a divisor that symbols made zero must not trap.
  b = builder.CreateBinaryIntrinsic(llvm::Intrinsic::smax, b, m.integer(1));
  Value* remainder = builder.CreateSRem(a, b);
  Value* negative = builder.CreateICmpSLT(remainder, m.integer(0));
  if (atom.kind == Kind::mod) return builder.CreateSelect(negative, builder.CreateAdd(remainder, b), remainder);
  return builder.CreateAdd(builder.CreateSDiv(a, b), builder.CreateSExt(negative, m.i64));
}

Value* DimEmitter::emit(const ir::Dim& dim) {
  if (dim.is_constant()) return m.integer(dim.constant());
  Value* sum = nullptr;
  for (const ir::DimTerm& term : ir::terms(dim)) {
    Value* product = nullptr;
    if (term.coefficient != 1 || term.factors.empty()) product = m.integer(term.coefficient);
    for (const auto& [factor, power] : term.factors) {
      Value* value = atom(factor);
      for (int i = 0; i < power; ++i) product = product ? apply(true, product, value) : value;
    }
    sum = sum ? apply(false, sum, product) : product;
  }
  return sum ? sum : m.integer(0);
}

}  // namespace kiln::codegen

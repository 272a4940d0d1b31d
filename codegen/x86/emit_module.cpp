// Types and functions of generated modules. Function attributes: the target per function, so that one module can hold code for several
// CPUs; "no-builtins", so that no pass turns a loop into a library call; "prefer-vector-width"=512 without "min-legal-vector-width", since
// any other combination makes LLVM split 64-byte vectors and spill (a register-tiled product then runs at a fifth of its speed).
#include "codegen/x86/emit_module.h"

#include <llvm/IR/DerivedTypes.h>

namespace kiln::codegen {

ModuleEmitter::ModuleEmitter(llvm::LLVMContext& context_, const std::string& name, const Target& target_)
    : context(context_),
      module(name, context_),
      target(target_),
      i1(llvm::Type::getInt1Ty(context_)),
      i8(llvm::Type::getInt8Ty(context_)),
      i32(llvm::Type::getInt32Ty(context_)),
      i64(llvm::Type::getInt64Ty(context_)),
      pointer(llvm::PointerType::get(context_, 0)) {}

llvm::Function* ModuleEmitter::new_function(const std::string& name, llvm::FunctionType* type, bool internal, bool hidden) {
  auto* function =
      llvm::Function::Create(type, internal ? llvm::GlobalValue::InternalLinkage : llvm::GlobalValue::ExternalLinkage, name, module);
  if (hidden) function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  function->setDSOLocal(true);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  function->addFnAttr("target-cpu", target.cpu);
  if (!target.features.empty()) function->addFnAttr("target-features", target.features);
  function->addFnAttr("prefer-vector-width", "512");
  function->addFnAttr("no-builtins");
  return function;
}

llvm::Type* register_type(const ModuleEmitter& m, DType dtype) {
  switch (dtype) {
    case DType::boolean: return m.i1;
    case DType::f32: return llvm::Type::getFloatTy(m.context);
    case DType::f64: return llvm::Type::getDoubleTy(m.context);
    default: return llvm::Type::getIntNTy(m.context, static_cast<unsigned>(8 * size_of(dtype)));
  }
}

llvm::Type* memory_type(const ModuleEmitter& m, DType dtype) { return dtype == DType::boolean ? m.i8 : register_type(m, dtype); }

llvm::Type* with_lanes(llvm::Type* type, int lanes) {
  return lanes == 1 ? type : llvm::FixedVectorType::get(type, static_cast<unsigned>(lanes));
}

llvm::FunctionType* kernel_type(const ModuleEmitter& m, const ir::Kernel& kernel) {
  std::vector<llvm::Type*> parameters(kernel.buffers.size(), m.pointer);
  parameters.insert(parameters.end(), kernel.symbols.size(), m.i64);
  parameters.push_back(m.pointer);
  return llvm::FunctionType::get(llvm::Type::getVoidTy(m.context), parameters, false);
}

}  // namespace kiln::codegen

// Arithmetic of the loop IR in LLVM instructions. No fast-math flag is ever set, so LLVM keeps every rounding, NaN, infinity, signed zero
// and denormal; fma is the explicit intrinsic. Where LLVM's instruction is undefined (division by zero, shifts by the width or more,
// conversions out of range), guards give the defined value; they fold away for constant operands.
#include "codegen/x86/emit_value.h"

#include <llvm/ADT/APFloat.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

namespace kiln::codegen {
namespace {

using ir::Comparison;
using ir::LoopOp;
using llvm::Value;

unsigned bits_of(const Value* value) { return value->getType()->getScalarSizeInBits(); }

Value* integer_like(const Value* value, std::int64_t number) { return llvm::ConstantInt::getSigned(value->getType(), number); }

/// The scalar that a constant (vector) consists of when it is one float in every lane.
const llvm::ConstantFP* as_float_constant(const Value* value) {
  const auto* constant = llvm::dyn_cast<llvm::Constant>(value);
  if (!constant) return nullptr;
  if (constant->getType()->isVectorTy()) constant = constant->getSplatValue();
  return constant ? llvm::dyn_cast<llvm::ConstantFP>(constant) : nullptr;
}

/// maximum (greater) or minimum: a is NaN ? a : (a > b ? a : b). `a > b ? a : b` alone is x86's maxps, which yields b when either is NaN;
/// so the NaN test is needed unless a is known to be a number, or b is a non-zero number: then maxps(b, a) yields the NaN, and ties are
/// equal bits.
Value* float_extremum(Builder& builder, Value* a, Value* b, bool greater) {
  const auto pick = [&](Value* x, Value* y) {
    Value* test = greater ? builder.CreateFCmpOGT(x, y) : builder.CreateFCmpOLT(x, y);
    return builder.CreateSelect(test, x, y);
  };
  const auto* left = as_float_constant(a);
  if (left && !left->isNaN()) return pick(a, b);
  const auto* right = as_float_constant(b);
  if (right && !right->isNaN() && !right->isZero()) return pick(b, a);
  return builder.CreateSelect(builder.CreateFCmpUNO(a, a), a, pick(a, b));
}

Value* integer_division(Builder& builder, Value* a, Value* b, bool is_signed, bool quotient) {
  Value* zero_divisor = builder.CreateICmpEQ(b, integer_like(b, 0));
  Value* unsafe = zero_divisor;
  if (is_signed) {
    Value* smallest = llvm::ConstantInt::get(a->getType(), llvm::APInt::getSignedMinValue(bits_of(a)));
    unsafe = builder.CreateOr(unsafe, builder.CreateAnd(builder.CreateICmpEQ(b, integer_like(b, -1)), builder.CreateICmpEQ(a, smallest)));
  }
  Value* divisor = builder.CreateSelect(unsafe, integer_like(b, 1), b);  // MIN / -1 = MIN / 1
  if (quotient) {
    Value* q = is_signed ? builder.CreateSDiv(a, divisor) : builder.CreateUDiv(a, divisor);
    return builder.CreateSelect(zero_divisor, integer_like(a, -1), q);
  }
  Value* r = is_signed ? builder.CreateSRem(a, divisor) : builder.CreateURem(a, divisor);
  return builder.CreateSelect(zero_divisor, a, r);
}

Value* shift(Builder& builder, LoopOp op, Value* a, Value* b) {
  Value* width = integer_like(b, bits_of(b));
  if (op == LoopOp::shift_right_arithmetic) {
    Value* amount = builder.CreateBinaryIntrinsic(llvm::Intrinsic::umin, b, integer_like(b, bits_of(b) - 1));
    return builder.CreateAShr(a, amount);
  }
  Value* shifted = op == LoopOp::shift_left ? builder.CreateShl(a, b) : builder.CreateLShr(a, b);
  return builder.CreateSelect(builder.CreateICmpULT(b, width), shifted, integer_like(a, 0));
}

Value* compare_values(Builder& builder, Comparison comparison, DType dtype, Value* a, Value* b) {
  using P = llvm::CmpInst::Predicate;
  constexpr P floats[] = {P::FCMP_OEQ, P::FCMP_UNE, P::FCMP_OLT, P::FCMP_OLE, P::FCMP_OGT, P::FCMP_OGE};
  constexpr P signeds[] = {P::ICMP_EQ, P::ICMP_NE, P::ICMP_SLT, P::ICMP_SLE, P::ICMP_SGT, P::ICMP_SGE};
  constexpr P unsigneds[] = {P::ICMP_EQ, P::ICMP_NE, P::ICMP_ULT, P::ICMP_ULE, P::ICMP_UGT, P::ICMP_UGE};
  const auto which = static_cast<std::size_t>(comparison);
  if (is_floating(dtype)) return builder.CreateFCmp(floats[which], a, b);
  return builder.CreateICmp(is_signed_integer(dtype) ? signeds[which] : unsigneds[which], a, b);
}

Value* float_operation(ModuleEmitter& m, Builder& builder, LoopOp op, DType dtype, std::span<Value* const> v, Comparison comparison) {
  switch (op) {
    case LoopOp::add: return builder.CreateFAdd(v[0], v[1]);
    case LoopOp::subtract: return builder.CreateFSub(v[0], v[1]);
    case LoopOp::multiply: return builder.CreateFMul(v[0], v[1]);
    case LoopOp::divide: return builder.CreateFDiv(v[0], v[1]);
    case LoopOp::remainder: return emit_float_remainder(m, builder, v[0], v[1]);
    case LoopOp::fma:
      if (m.target.fma) return builder.CreateIntrinsic(llvm::Intrinsic::fma, {v[0]->getType()}, {v[0], v[1], v[2]});
      return builder.CreateFAdd(builder.CreateFMul(v[0], v[1]), v[2]);
    case LoopOp::minimum: return float_extremum(builder, v[0], v[1], false);
    case LoopOp::maximum: return float_extremum(builder, v[0], v[1], true);
    case LoopOp::negate: return builder.CreateFNeg(v[0]);
    case LoopOp::abs: return builder.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, v[0]);
    case LoopOp::sqrt: return builder.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, v[0]);
    case LoopOp::floor: return builder.CreateUnaryIntrinsic(llvm::Intrinsic::floor, v[0]);
    case LoopOp::ceil: return builder.CreateUnaryIntrinsic(llvm::Intrinsic::ceil, v[0]);
    case LoopOp::round_nearest_even: return builder.CreateUnaryIntrinsic(llvm::Intrinsic::roundeven, v[0]);
    case LoopOp::compare: return compare_values(builder, comparison, dtype, v[0], v[1]);
    default: throw InternalError("a loop operation on floats that code generation does not know: it belongs before passes/expand_math");
  }
}

Value* integer_operation(Builder& builder, LoopOp op, DType dtype, std::span<Value* const> v, Comparison comparison) {
  const bool is_signed = is_signed_integer(dtype);
  switch (op) {
    case LoopOp::add: return builder.CreateAdd(v[0], v[1]);
    case LoopOp::subtract: return builder.CreateSub(v[0], v[1]);
    case LoopOp::multiply: return builder.CreateMul(v[0], v[1]);
    case LoopOp::divide: return integer_division(builder, v[0], v[1], is_signed, true);
    case LoopOp::remainder: return integer_division(builder, v[0], v[1], is_signed, false);
    case LoopOp::minimum: return builder.CreateBinaryIntrinsic(is_signed ? llvm::Intrinsic::smin : llvm::Intrinsic::umin, v[0], v[1]);
    case LoopOp::maximum: return builder.CreateBinaryIntrinsic(is_signed ? llvm::Intrinsic::smax : llvm::Intrinsic::umax, v[0], v[1]);
    case LoopOp::negate: return builder.CreateNeg(v[0]);
    case LoopOp::abs: return is_signed ? builder.CreateBinaryIntrinsic(llvm::Intrinsic::abs, v[0], builder.getFalse()) : v[0];
    case LoopOp::and_: return builder.CreateAnd(v[0], v[1]);
    case LoopOp::or_: return builder.CreateOr(v[0], v[1]);
    case LoopOp::xor_: return builder.CreateXor(v[0], v[1]);
    case LoopOp::not_: return builder.CreateNot(v[0]);
    case LoopOp::popcnt: return builder.CreateUnaryIntrinsic(llvm::Intrinsic::ctpop, v[0]);
    case LoopOp::count_leading_zeros: return builder.CreateBinaryIntrinsic(llvm::Intrinsic::ctlz, v[0], builder.getFalse());
    case LoopOp::shift_left:
    case LoopOp::shift_right_arithmetic:
    case LoopOp::shift_right_logical: return shift(builder, op, v[0], v[1]);
    case LoopOp::compare: return compare_values(builder, comparison, dtype, v[0], v[1]);
    default: throw InternalError("a loop operation on integers that code generation does not know");
  }
}

}  // namespace

llvm::Value* splat(Builder& builder, Value* value, int lanes) {
  if (lanes == 1) return value;
  if (auto* constant = llvm::dyn_cast<llvm::Constant>(value))
    return llvm::ConstantVector::getSplat(llvm::ElementCount::getFixed(static_cast<unsigned>(lanes)), constant);
  return builder.CreateVectorSplat(static_cast<unsigned>(lanes), value);
}

llvm::Constant* literal_value(const ModuleEmitter& m, const ir::Literal& literal) {
  llvm::Type* type = register_type(m, literal.dtype);
  switch (literal.dtype) {
    case DType::f64: return llvm::ConstantFP::get(m.context, llvm::APFloat(literal.number));
    case DType::f32: return llvm::ConstantFP::get(m.context, llvm::APFloat(static_cast<float>(literal.number)));
    case DType::f16: return llvm::ConstantInt::get(type, float16(static_cast<float>(literal.number)).bits);
    case DType::bf16: return llvm::ConstantInt::get(type, bfloat16(static_cast<float>(literal.number)).bits);
    case DType::boolean: return llvm::ConstantInt::get(type, literal.integer != 0);
    default: return llvm::ConstantInt::get(type, static_cast<std::uint64_t>(literal.integer), true);
  }
}

Value* emit_elementwise(ModuleEmitter& m, Builder& builder, LoopOp op, DType dtype, std::span<Value* const> operands,
                        Comparison comparison) {
  if (op == LoopOp::select) return builder.CreateSelect(operands[0], operands[1], operands[2]);
  if (!is_floating(dtype)) return integer_operation(builder, op, dtype, operands, comparison);
  if (dtype == DType::f32 || dtype == DType::f64) return float_operation(m, builder, op, dtype, operands, comparison);
  // f16 and bf16 compute as f32 and round once per operation.
  Value* wide[3] = {};
  for (std::size_t i = 0; i < operands.size(); ++i) wide[i] = emit_convert(m, builder, operands[i], dtype, DType::f32);
  Value* result = float_operation(m, builder, op, DType::f32, std::span<Value* const>(wide, operands.size()), comparison);
  return op == LoopOp::compare ? result : emit_convert(m, builder, result, DType::f32, dtype);
}

}  // namespace kiln::codegen

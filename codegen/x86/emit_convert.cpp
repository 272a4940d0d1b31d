// Conversions between dtypes, and the two float operations that x86 has no instruction for.
//
// Half precision is spelled out in integer arithmetic where the CPU cannot convert it, and bf16 always: the hardware's vcvtneps2bf16
// flushes denormals. Both round to nearest even and keep NaNs (quiet). What has more digits than f32 reaches them through an f32 that was
// rounded towards zero with a sticky last bit ("to odd"), so the value is rounded once (Boldo and Melquiond, Emulation of FMA and correctly
// rounded sums, 2008).
//
// Float to integer saturates: the operand is limited first, so that the conversion instruction never sees what it has no answer for.
//
// fmod is exact, hence a loop over exponent differences (binary long division), emitted once per module and called per element.
#include <cmath>

#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include "codegen/x86/emit_value.h"

namespace kiln::codegen {
namespace {

using llvm::Value;

int lanes_of(const Value* value) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(value->getType());
  return vector ? static_cast<int>(vector->getNumElements()) : 1;
}

llvm::Type* like(const ModuleEmitter& m, const Value* shape, DType dtype) { return with_lanes(register_type(m, dtype), lanes_of(shape)); }

Value* constant_like(Value* value, std::uint64_t bits) { return llvm::ConstantInt::get(value->getType(), bits); }

/// f16 bits to f32 without F16C: exponents are rescaled by a multiplication with 2^112, which also normalises denormals; infinities and
/// NaNs keep the highest exponent.
Value* half_to_float(ModuleEmitter& m, Builder& b, Value* half) {
  llvm::Type* floats = like(m, half, DType::f32);
  Value* bits = b.CreateZExt(half, like(m, half, DType::i32));
  Value* sign = b.CreateShl(b.CreateAnd(bits, constant_like(bits, 0x8000)), constant_like(bits, 16));
  Value* magnitude = b.CreateShl(b.CreateAnd(bits, constant_like(bits, 0x7fff)), constant_like(bits, 13));
  Value* scaled =
      b.CreateBitCast(b.CreateFMul(b.CreateBitCast(magnitude, floats), llvm::ConstantFP::get(floats, 0x1p112)), bits->getType());
  Value* is_nan = b.CreateICmpUGT(magnitude, constant_like(bits, 0x0f800000));
  Value* special = b.CreateOr(magnitude, b.CreateSelect(is_nan, constant_like(bits, 0x7fc00000), constant_like(bits, 0x7f800000)));
  Value* is_special = b.CreateICmpUGE(magnitude, constant_like(bits, 0x0f800000));
  return b.CreateBitCast(b.CreateOr(sign, b.CreateSelect(is_special, special, scaled)), floats);
}

/// f32 to f16 bits without F16C. Results below 2^-14 are rounded by adding 0.5, whose last place is the step of f16's denormals.
Value* float_to_half(ModuleEmitter& m, Builder& b, Value* value) {
  llvm::Type* integers = like(m, value, DType::i32);
  Value* bits = b.CreateBitCast(value, integers);
  Value* sign = b.CreateAnd(b.CreateLShr(bits, constant_like(bits, 16)), constant_like(bits, 0x8000));
  Value* magnitude = b.CreateAnd(bits, constant_like(bits, 0x7fffffff));
  Value* odd = b.CreateAnd(b.CreateLShr(magnitude, constant_like(bits, 13)), constant_like(bits, 1));
  Value* rounded = b.CreateAdd(b.CreateAdd(magnitude, constant_like(bits, 0xc8000fffU)),
                               odd);  // exponent bias 127 -> 15, half of the last place less one
  Value* normal = b.CreateLShr(rounded, constant_like(bits, 13));
  Value* shifted = b.CreateFAdd(b.CreateBitCast(magnitude, value->getType()), llvm::ConstantFP::get(value->getType(), 0.5));
  Value* denormal = b.CreateSub(b.CreateBitCast(shifted, integers), constant_like(bits, 0x3f000000));
  Value* nan =
      b.CreateOr(b.CreateAnd(b.CreateLShr(magnitude, constant_like(bits, 13)), constant_like(bits, 0x3ff)), constant_like(bits, 0x7e00));
  Value* result = b.CreateSelect(b.CreateICmpULT(magnitude, constant_like(bits, 0x38800000)), denormal, normal);
  result = b.CreateSelect(b.CreateICmpUGE(magnitude, constant_like(bits, 0x47800000)), constant_like(bits, 0x7c00), result);
  result = b.CreateSelect(b.CreateICmpUGT(magnitude, constant_like(bits, 0x7f800000)), nan, result);
  return b.CreateTrunc(b.CreateOr(result, sign), like(m, value, DType::f16));
}

Value* bfloat_to_float(ModuleEmitter& m, Builder& b, Value* value) {
  Value* bits = b.CreateZExt(value, like(m, value, DType::i32));
  return b.CreateBitCast(b.CreateShl(bits, constant_like(bits, 16)), like(m, value, DType::f32));
}

Value* float_to_bfloat(ModuleEmitter& m, Builder& b, Value* value) {
  Value* bits = b.CreateBitCast(value, like(m, value, DType::i32));
  Value* upper = b.CreateLShr(bits, constant_like(bits, 16));
  Value* odd = b.CreateAnd(upper, constant_like(bits, 1));
  Value* rounded = b.CreateLShr(b.CreateAdd(b.CreateAdd(bits, constant_like(bits, 0x7fff)), odd), constant_like(bits, 16));
  Value* nan = b.CreateOr(upper, constant_like(bits, 0x40));
  return b.CreateTrunc(b.CreateSelect(b.CreateFCmpUNO(value, value), nan, rounded), like(m, value, DType::bf16));
}

/// An f64 as the f32 from which halves are rounded as from itself.
Value* rounded_to_odd(ModuleEmitter& m, Builder& b, Value* value) {
  Value* nearest = b.CreateFPTrunc(value, like(m, value, DType::f32));
  Value* back = b.CreateFPExt(nearest, value->getType());
  llvm::Type* integers = like(m, value, DType::i32);
  Value* too_large =
      b.CreateFCmpOGT(b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, back), b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, value));
  Value* bits = b.CreateSub(b.CreateBitCast(nearest, integers), b.CreateZExt(too_large, integers));
  bits = b.CreateOr(bits, b.CreateZExt(b.CreateFCmpONE(back, value), integers));
  return b.CreateBitCast(bits, nearest->getType());
}

/// A 64-bit integer that has at most 48 digits and rounds to bf16 as `value` does: of one beyond 2^40, the low 16 bits count only as
/// something or nothing.
Value* shortened(Builder& b, Value* value, bool is_signed) {
  Value* low = b.CreateAnd(value, constant_like(value, 0xFFFF));
  Value* cut = b.CreateOr(b.CreateXor(value, low), constant_like(value, 0x8000));
  Value* large = b.CreateICmpUGE(value, constant_like(value, std::uint64_t{1} << 40));
  if (is_signed) large = b.CreateAnd(large, b.CreateICmpULT(value, constant_like(value, 0 - (std::uint64_t{1} << 40))));
  return b.CreateSelect(b.CreateAnd(large, b.CreateICmpNE(low, constant_like(value, 0))), cut, value);
}

Value* saturated_integer(ModuleEmitter& m, Builder& b, Value* value, DType from, DType to) {
  const bool is_signed = is_signed_integer(to);
  const int bits = static_cast<int>(8 * size_of(to)), digits = bits - (is_signed ? 1 : 0);
  const auto number = [&](double x) { return llvm::ConstantFP::get(value->getType(), x); };
  llvm::Type* type = like(m, value, to);
  Value* low = number(is_signed ? -std::ldexp(1.0, digits) : 0);
  const auto integer = [&](Value* x, llvm::Type* result) { return is_signed ? b.CreateFPToSI(x, result) : b.CreateFPToUI(x, result); };
  Value* result = nullptr;
  if (digits <= (from == DType::f64 ? 53 : 24)) {  // the greatest integer is a number of the float type
    Value* high = number(std::ldexp(1.0, digits) - 1);
    Value* limited = b.CreateSelect(b.CreateFCmpOLT(value, high), value, high);
    limited = b.CreateSelect(b.CreateFCmpOGT(limited, low), limited, low);
    result = bits < 32 ? b.CreateTrunc(b.CreateFPToSI(limited, like(m, value, DType::i32)), type) : integer(limited, type);
  } else {
    Value* limit = number(std::ldexp(1.0, digits));
    Value* limited = b.CreateSelect(b.CreateFCmpOGT(value, low), value, low);
    limited = b.CreateSelect(b.CreateFCmpOLT(limited, limit), limited, low);
    const auto highest =
        is_signed ? llvm::APInt::getSignedMaxValue(static_cast<unsigned>(bits)) : llvm::APInt::getMaxValue(static_cast<unsigned>(bits));
    result = b.CreateSelect(b.CreateFCmpOGE(value, limit), llvm::ConstantInt::get(type, highest), integer(limited, type));
  }
  return b.CreateSelect(b.CreateFCmpUNO(value, value), constant_like(result, 0), result);
}

/// helper(x, y) = x - trunc(x / y) * y exactly, with the sign of x; NaN when x is infinite, y is zero or either is NaN.
llvm::Function* remainder_helper(ModuleEmitter& m, DType dtype) {
  const bool wide = dtype == DType::f64;
  const std::string name = wide ? "kiln.fmod.f64" : "kiln.fmod.f32";
  llvm::Function*& helper = m.helpers[name];
  if (helper) return helper;
  llvm::Type* floats = register_type(m, dtype);
  llvm::Type* integers = register_type(m, wide ? DType::i64 : DType::i32);
  const int mantissa = wide ? 52 : 23, width = wide ? 64 : 32, highest = wide ? 0x7ff : 0xff;
  helper = m.new_function(name, llvm::FunctionType::get(floats, {floats, floats}, false), true);
  auto* entry = llvm::BasicBlock::Create(m.context, "entry", helper);
  auto* special = llvm::BasicBlock::Create(m.context, "special", helper);
  auto* ordered = llvm::BasicBlock::Create(m.context, "ordered", helper);
  auto* smaller = llvm::BasicBlock::Create(m.context, "smaller", helper);
  auto* normalize = llvm::BasicBlock::Create(m.context, "normalize", helper);
  auto* loop = llvm::BasicBlock::Create(m.context, "loop", helper);
  auto* done = llvm::BasicBlock::Create(m.context, "done", helper);
  const auto constant = [&](std::int64_t value) { return llvm::ConstantInt::getSigned(integers, value); };
  const std::int64_t sign_mask = wide ? INT64_MIN : INT32_MIN;
  Value *x = helper->getArg(0), *y = helper->getArg(1);

  Builder b(entry);
  Value* x_bits = b.CreateBitCast(x, integers);
  Value* x_sign = b.CreateAnd(x_bits, constant(sign_mask));
  Value* x_magnitude = b.CreateAnd(x_bits, constant(~sign_mask));
  Value* y_magnitude = b.CreateAnd(b.CreateBitCast(y, integers), constant(~sign_mask));
  Value* infinity = constant(static_cast<std::int64_t>(highest) << mantissa);
  Value* invalid = b.CreateOr(b.CreateICmpEQ(y_magnitude, constant(0)),
                              b.CreateOr(b.CreateICmpUGT(y_magnitude, infinity), b.CreateICmpUGE(x_magnitude, infinity)));
  b.CreateCondBr(invalid, special, ordered);

  b.SetInsertPoint(special);  // (x*y) / (x*y) is NaN for all of these
  Value* product = b.CreateFMul(x, y);
  b.CreateRet(b.CreateFDiv(product, product));

  b.SetInsertPoint(ordered);
  b.CreateCondBr(b.CreateICmpULT(x_magnitude, y_magnitude), smaller, normalize);
  b.SetInsertPoint(smaller);
  b.CreateRet(x);

  b.SetInsertPoint(normalize);  // mantissas with the leading one at bit `mantissa`; exponents of denormals below 1. x = 0 comes no further
                                // than `smaller`
  const auto split = [&](Value* magnitude) {
    Value* exponent = b.CreateLShr(magnitude, constant(mantissa));
    Value* zeros = b.CreateBinaryIntrinsic(llvm::Intrinsic::ctlz, magnitude, b.getFalse());
    Value* shift = b.CreateSub(zeros, constant(width - 1 - mantissa));
    Value* denormal = b.CreateICmpEQ(exponent, constant(0));
    Value* fraction =
        b.CreateOr(b.CreateAnd(magnitude, constant((std::int64_t{1} << mantissa) - 1)), constant(std::int64_t{1} << mantissa));
    Value* safe_shift = b.CreateSelect(denormal, shift, constant(0));
    return std::pair(b.CreateSelect(denormal, b.CreateShl(magnitude, safe_shift), fraction),
                     b.CreateSelect(denormal, b.CreateSub(constant(1), safe_shift), exponent));
  };
  const auto [x_mantissa, x_exponent] = split(x_magnitude);
  const auto [y_mantissa, y_exponent] = split(y_magnitude);
  b.CreateBr(loop);

  b.SetInsertPoint(loop);
  llvm::PHINode* rest = b.CreatePHI(integers, 2);
  llvm::PHINode* exponent = b.CreatePHI(integers, 2);
  rest->addIncoming(x_mantissa, normalize);
  exponent->addIncoming(x_exponent, normalize);
  Value* difference = b.CreateSub(rest, y_mantissa);
  Value* reduced = b.CreateSelect(b.CreateICmpSLT(difference, constant(0)), rest, difference);
  rest->addIncoming(b.CreateShl(reduced, constant(1)), loop);
  exponent->addIncoming(b.CreateSub(exponent, constant(1)), loop);
  b.CreateCondBr(b.CreateICmpSGT(exponent, y_exponent), loop, done);

  b.SetInsertPoint(done);
  Value* zeros = b.CreateBinaryIntrinsic(llvm::Intrinsic::ctlz, reduced, b.getFalse());
  Value* is_zero = b.CreateICmpEQ(reduced, constant(0));
  Value* shift = b.CreateSelect(is_zero, constant(0), b.CreateSub(zeros, constant(width - 1 - mantissa)));
  Value* normal = b.CreateShl(reduced, shift);
  Value* new_exponent = b.CreateSub(exponent, shift);
  Value* biased =
      b.CreateOr(b.CreateAnd(normal, constant((std::int64_t{1} << mantissa) - 1)), b.CreateShl(new_exponent, constant(mantissa)));
  Value* is_normal = b.CreateICmpSGT(new_exponent, constant(0));
  Value* denormal_shift = b.CreateSelect(is_normal, constant(0), b.CreateSub(constant(1), new_exponent));
  Value* result = b.CreateSelect(is_normal, biased, b.CreateLShr(normal, denormal_shift));
  result = b.CreateSelect(is_zero, constant(0), result);
  b.CreateRet(b.CreateBitCast(b.CreateOr(result, x_sign), floats));
  return helper;
}

}  // namespace

Value* emit_float_remainder(ModuleEmitter& m, Builder& builder, Value* a, Value* b) {
  llvm::Function* helper = remainder_helper(m, a->getType()->getScalarType()->isDoubleTy() ? DType::f64 : DType::f32);
  const int lanes = lanes_of(a);
  if (lanes == 1) return builder.CreateCall(helper, {a, b});
  Value* result = llvm::PoisonValue::get(a->getType());
  for (int lane = 0; lane < lanes; ++lane) {
    const auto at = static_cast<std::uint64_t>(lane);
    result = builder.CreateInsertElement(
        result, builder.CreateCall(helper, {builder.CreateExtractElement(a, at), builder.CreateExtractElement(b, at)}), at);
  }
  return result;
}

Value* emit_convert(ModuleEmitter& m, Builder& builder, Value* value, DType from, DType to) {
  if (from == to) return value;
  // Half floats in and out through f32.
  if (from == DType::f16 || from == DType::bf16) {
    Value* wide = nullptr;
    if (from == DType::bf16)
      wide = bfloat_to_float(m, builder, value);
    else if (m.target.f16c)
      wide = builder.CreateFPExt(builder.CreateBitCast(value, with_lanes(llvm::Type::getHalfTy(m.context), lanes_of(value))),
                                 like(m, value, DType::f32));
    else
      wide = half_to_float(m, builder, value);
    return emit_convert(m, builder, wide, DType::f32, to);
  }
  if (to == DType::f16 || to == DType::bf16) {
    // To f16 an integer may go straight through f32: what f32 cannot hold exactly is far beyond f16's greatest number.
    const bool large = is_integer(from) && size_of(from) >= 4 && to == DType::bf16;
    if (large && size_of(from) == 8) value = shortened(builder, value, is_signed_integer(from));
    Value* wide = large ? emit_convert(m, builder, value, from, DType::f64) : value;
    Value* single = large || from == DType::f64 ? rounded_to_odd(m, builder, wide) : emit_convert(m, builder, value, from, DType::f32);
    if (to == DType::bf16) return float_to_bfloat(m, builder, single);
    if (!m.target.f16c) return float_to_half(m, builder, single);
    return builder.CreateBitCast(builder.CreateFPTrunc(single, with_lanes(llvm::Type::getHalfTy(m.context), lanes_of(value))),
                                 like(m, value, DType::f16));
  }
  llvm::Type* type = like(m, value, to);
  if (to == DType::boolean) {
    if (is_floating(from)) return builder.CreateFCmpUNE(value, llvm::ConstantFP::get(value->getType(), 0));
    return builder.CreateICmpNE(value, constant_like(value, 0));
  }
  if (is_floating(from)) {
    if (to == DType::f64) return builder.CreateFPExt(value, type);
    if (to == DType::f32) return builder.CreateFPTrunc(value, type);
    return saturated_integer(m, builder, value, from, to);
  }
  const bool is_signed = is_signed_integer(from);
  if (is_floating(to)) return is_signed ? builder.CreateSIToFP(value, type) : builder.CreateUIToFP(value, type);
  return is_signed ? builder.CreateSExtOrTrunc(value, type) : builder.CreateZExtOrTrunc(value, type);
}

Value* emit_bitcast(ModuleEmitter& m, Builder& builder, Value* value, DType from, DType to) {
  if (from == to) return value;
  return builder.CreateBitCast(value, like(m, value, to));
}

}  // namespace kiln::codegen

// Writing straight-line loop IR as formulas: the notation of passes/math_functions.cpp. Inside passes/ only.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ir/loop.h"

namespace kiln::passes {

class Code;

/// A register under construction; operators append instructions.
struct Value {
  Code* code = nullptr;
  ir::RegisterId id = 0;
};

/// Appends instructions to a list. Constants are scalars (an operand with one lane is repeated), written once each.
class Code {
 public:
  Code(ir::Kernel& kernel, std::vector<ir::Instruction>& out) : kernel_(kernel), out_(out) {}

  Value value(ir::RegisterId id) { return {this, id}; }
  const ir::RegisterType& type(Value v) const { return kernel_.registers[v.id]; }
  Value number(DType dtype, double value) { return constant(ir::Literal::of(dtype, value)); }
  Value bits(DType dtype, std::int64_t value) { return constant(ir::Literal::of_bits(dtype, value)); }
  Value apply(ir::LoopOp op, DType dtype, std::initializer_list<Value> operands);
  Value compare(ir::Comparison comparison, Value a, Value b);
  /// The two-way branch on one scalar bool; `then_code` and `else_code` return values of one type.
  template <class Then, class Else>
  Value branch(Value condition, const Then& then_code, const Else& else_code);
  /// The values after `count` rounds of `body`, which takes the current ones to the next.
  using Round = std::function<std::vector<Value>(Code& inner, const std::vector<Value>& current)>;
  std::vector<Value> repeat(std::int64_t count, const std::vector<Value>& initial, const Round& body);
  /// `a` with its rows, cols and lanes repeated up to those of `type`.
  Value broadcast(Value a, const ir::RegisterType& type);
  /// Whether any element of a mask is true, as one scalar.
  Value any(Value mask);

 private:
  Value constant(const ir::Literal& literal);
  Value append(ir::Instruction instruction, const ir::RegisterType& type);

  ir::Kernel& kernel_;
  std::vector<ir::Instruction>& out_;
  std::vector<std::pair<ir::Literal, ir::RegisterId>> constants_;
};

inline DType dtype_of(Value v) { return v.code->type(v).dtype; }
inline Value apply(ir::LoopOp op, Value a) { return a.code->apply(op, dtype_of(a), {a}); }
inline Value apply(ir::LoopOp op, Value a, Value b) { return a.code->apply(op, dtype_of(a), {a, b}); }
inline Value like(Value a, double number) { return a.code->number(dtype_of(a), number); }

inline Value operator+(Value a, Value b) { return apply(ir::LoopOp::add, a, b); }
inline Value operator-(Value a, Value b) { return apply(ir::LoopOp::subtract, a, b); }
inline Value operator*(Value a, Value b) { return apply(ir::LoopOp::multiply, a, b); }
inline Value operator/(Value a, Value b) { return apply(ir::LoopOp::divide, a, b); }
inline Value operator-(Value a) { return apply(ir::LoopOp::negate, a); }
inline Value operator&(Value a, Value b) { return apply(ir::LoopOp::and_, a, b); }
inline Value operator|(Value a, Value b) { return apply(ir::LoopOp::or_, a, b); }
inline Value operator^(Value a, Value b) { return apply(ir::LoopOp::xor_, a, b); }
inline Value operator+(Value a, double b) { return a + like(a, b); }
inline Value operator-(Value a, double b) { return a - like(a, b); }
inline Value operator*(Value a, double b) { return a * like(a, b); }
inline Value operator~(Value a) { return apply(ir::LoopOp::not_, a); }
inline Value operator*(double a, Value b) { return like(b, a) * b; }
inline Value operator-(double a, Value b) { return like(b, a) - b; }
inline Value operator/(double a, Value b) { return like(b, a) / b; }
inline Value operator<(Value a, Value b) { return a.code->compare(ir::Comparison::lt, a, b); }
inline Value operator<(Value a, double b) { return a < like(a, b); }
inline Value operator>(Value a, double b) { return a.code->compare(ir::Comparison::gt, a, like(a, b)); }
inline Value operator>(Value a, Value b) { return a.code->compare(ir::Comparison::gt, a, b); }
inline Value equal(Value a, Value b) { return a.code->compare(ir::Comparison::eq, a, b); }
inline Value equal(Value a, double b) { return equal(a, like(a, b)); }
inline Value is_nan(Value a) { return a.code->compare(ir::Comparison::ne, a, a); }
/// a * b + c, rounded once.
inline Value fma(Value a, Value b, Value c) { return a.code->apply(ir::LoopOp::fma, dtype_of(a), {a, b, c}); }
inline Value fma(Value a, double b, Value c) { return fma(a, like(a, b), c); }
inline Value select(Value mask, Value a, Value b) { return a.code->apply(ir::LoopOp::select, dtype_of(a), {mask, a, b}); }
inline Value select(Value mask, Value a, double b) { return select(mask, a, like(a, b)); }
inline Value select(Value mask, double a, Value b) { return select(mask, like(b, a), b); }
inline Value minimum(Value a, Value b) { return apply(ir::LoopOp::minimum, a, b); }
inline Value maximum(Value a, Value b) { return apply(ir::LoopOp::maximum, a, b); }
inline Value abs(Value a) { return apply(ir::LoopOp::abs, a); }
inline Value floor(Value a) { return apply(ir::LoopOp::floor, a); }
inline Value nearest(Value a) { return apply(ir::LoopOp::round_nearest_even, a); }
inline Value convert(Value a, DType dtype) { return a.code->apply(ir::LoopOp::convert, dtype, {a}); }
inline Value bitcast(Value a, DType dtype) { return a.code->apply(ir::LoopOp::bitcast, dtype, {a}); }
inline Value shift_left(Value a, int n) { return apply(ir::LoopOp::shift_left, a, a.code->bits(dtype_of(a), n)); }
inline Value shift_right(Value a, int n) { return apply(ir::LoopOp::shift_right_arithmetic, a, a.code->bits(dtype_of(a), n)); }
/// c[0] + c[1] x + c[2] x^2 ... by Horner's rule in fma.
Value polynomial(std::span<const double> c, Value x);

template <class Then, class Else>
Value Code::branch(Value condition, const Then& then_code, const Else& else_code) {
  ir::Instruction instruction;
  instruction.op = ir::LoopOp::if_;
  instruction.operands = {condition.id};
  ir::RegisterType result;
  auto fill = [&](const auto& body) {
    ir::Block block;
    Code inner(kernel_, block.instructions);
    const Value value = body(inner);
    result = kernel_.registers[value.id];
    ir::Instruction yield;
    yield.op = ir::LoopOp::yield;
    yield.operands = {value.id};
    block.instructions.push_back(std::move(yield));
    instruction.blocks.push_back(std::move(block));
  };
  fill(then_code);
  fill(else_code);
  return append(std::move(instruction), result);
}

/// What the algorithms need to know of a float format, and their coefficients (math_f32.cpp, math_f64.cpp).
struct FloatFormat {
  DType real, integer;
  int mantissa_bits;  // stored ones
  int bias;
  double min_normal;
  double ln2_high, ln2_low;          // ln 2 = high + low
  double ln2_short, ln2_rest;        // the same, with a high part whose product with an exponent is exact
  double exp_low, exp_high;          // beyond: 0 and infinity
  double half_pi[3];                 // pi / 2 in three parts
  double sincos_limit;               // reduction in this format is exact enough below
  double erf_limit;                  // erf is 1 above
  std::span<const double> exp;       // (e^r - 1 - r) / r^2, |r| <= ln2 / 2
  std::span<const double> expm1;     // the same, good relative to e^r - 1
  std::span<const double> log;       // (log((1+s)/(1-s)) - 2s) / s^3 in s^2, s <= (sqrt2 - 1)/(sqrt2 + 1)
  std::span<const double> sin, cos;  // (sin r - r) / r^3 and (cos r - 1 + r^2/2) / r^4 in r^2, |r| <= pi/4
  std::span<const double> tan;       // (tan r - r) / r^3 in r^2, |r| <= pi/4
  std::span<const double> atan;      // (atan t - t) / t^3 in t^2, |t| <= tan(pi/8)
  std::span<const double> tanh;      // (tanh x - x) / x^3 in x^2, |x| <= 0.625
  std::span<const double> erf;       // erf(x) / x - 1 in x^2, |x| <= 1
  std::span<const double> erfc;      // -log(erfc(x)) in x, 1 <= x <= erf_limit
};
extern const FloatFormat f32_format, f64_format;

/// The function as code. Operands are f32 or f64.
Value expand_function(ir::LoopOp op, std::span<const Value> operands);

}  // namespace kiln::passes

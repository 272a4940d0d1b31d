// Arithmetic, comparisons, logic and functions element by element.
#include <fmt/format.h>
#include <cmath>
#include <numbers>

#include "frontend/state.h"
#include "kiln/operators.h"

namespace kiln {

using namespace detail;

namespace {

bool is_number(DType dtype) { return dtype != DType::boolean; }
bool is_boolean(DType dtype) { return dtype == DType::boolean; }

Tensor binary(const char* name, ir::Op op, const Operand& a, const Operand& b, bool (*accepts)(DType), const char* wanted) {
  Emitter emitter({&a, &b}, name);
  const DType dtype = emitter.common_dtype({&a, &b});
  ir::ValueId values[] = {emitter.use(a, dtype), emitter.use(b, dtype)};
  emitter.require_dtypes(values[0], accepts, wanted, is_number(dtype) ? "convert the tensor first" : "convert(x, i32) counts true as 1");
  emitter.broadcast(values);
  return emitter.wrap(emitter.builder().create(op, {values[0], values[1]}));
}

Tensor arithmetic(const char* name, ir::Op op, const Operand& a, const Operand& b) { return binary(name, op, a, b, is_number, "numeric"); }

Tensor comparison(const char* name, ir::Comparison direction, const Operand& a, const Operand& b) {
  Emitter emitter({&a, &b}, name);
  const DType dtype = emitter.common_dtype({&a, &b});
  ir::ValueId values[] = {emitter.use(a, dtype), emitter.use(b, dtype)};
  emitter.broadcast(values);
  return emitter.wrap(emitter.builder().compare(direction, values[0], values[1]));
}

Tensor unary(const char* name, ir::Op op, const Operand& x, bool (*accepts)(DType), const char* wanted, const char* hint) {
  Emitter emitter({&x}, name);
  const ir::ValueId value = emitter.use(x.tensor());
  emitter.require_dtypes(value, accepts, wanted, hint);
  return emitter.wrap(emitter.builder().create(op, {value}));
}

Tensor of_numbers(const char* name, ir::Op op, const Operand& x) {
  return unary(name, op, x, is_number, "numeric", "convert it first: convert(x, f32)");
}
Tensor of_floats(const char* name, ir::Op op, const Operand& x) {
  return unary(name, op, x, is_floating, "floating", "convert it first: convert(x, f32)");
}

/// Checks the operand of a composite and opens its location scope.
struct Composite {
  Composite(const Operand& x, const char* name) : scope(x.location()), emitter({&x}, name), x(x.tensor()) {
    emitter.require_dtypes(emitter.use(this->x), is_floating, "floating", "convert it first: convert(x, f32)");
  }
  LocationScope scope;
  Emitter emitter;
  const Tensor& x;
};

}  // namespace

// ---- arithmetic

Tensor operator+(const Operand& a, const Operand& b) { return arithmetic("operator +", ir::Op::add, a, b); }
Tensor operator-(const Operand& a, const Operand& b) { return arithmetic("operator -", ir::Op::subtract, a, b); }
Tensor operator*(const Operand& a, const Operand& b) { return arithmetic("operator *", ir::Op::multiply, a, b); }
Tensor operator/(const Operand& a, const Operand& b) { return arithmetic("operator /", ir::Op::divide, a, b); }
Tensor operator%(const Operand& a, const Operand& b) { return arithmetic("operator %", ir::Op::remainder, a, b); }
Tensor operator-(const Operand& a) { return of_numbers("operator -", ir::Op::negate, a); }

Tensor add(const Operand& a, const Operand& b) { return arithmetic("add", ir::Op::add, a, b); }
Tensor subtract(const Operand& a, const Operand& b) { return arithmetic("subtract", ir::Op::subtract, a, b); }
Tensor multiply(const Operand& a, const Operand& b) { return arithmetic("multiply", ir::Op::multiply, a, b); }
Tensor divide(const Operand& a, const Operand& b) { return arithmetic("divide", ir::Op::divide, a, b); }
Tensor remainder(const Operand& a, const Operand& b) { return arithmetic("remainder", ir::Op::remainder, a, b); }
Tensor negate(const Operand& a) { return of_numbers("negate", ir::Op::negate, a); }
Tensor power(const Operand& a, const Operand& b) { return arithmetic("power", ir::Op::power, a, b); }
Tensor pow(const Operand& a, const Operand& b) { return power(a, b); }
Tensor atan2(const Operand& a, const Operand& b) { return binary("atan2", ir::Op::atan2, a, b, is_floating, "floating"); }
Tensor maximum(const Operand& a, const Operand& b) { return arithmetic("maximum", ir::Op::maximum, a, b); }
Tensor minimum(const Operand& a, const Operand& b) { return arithmetic("minimum", ir::Op::minimum, a, b); }

Tensor clamp(const Operand& x, const Operand& low, const Operand& high) {
  LocationScope scope(x.location());
  return minimum(maximum(x, low), high);
}
Tensor clip(const Operand& x, const Operand& low, const Operand& high) { return clamp(x, low, high); }

Tensor squared_difference(const Operand& a, const Operand& b) {
  LocationScope scope(a.location());
  return square(a - b);
}

Tensor lerp(const Operand& a, const Operand& b, const Operand& weight) {
  LocationScope scope(a.location());
  return a + weight * (b - a);
}

// ---- comparison and logic

Tensor equal(const Operand& a, const Operand& b) { return comparison("equal", ir::Comparison::eq, a, b); }
Tensor not_equal(const Operand& a, const Operand& b) { return comparison("not_equal", ir::Comparison::ne, a, b); }
Tensor less(const Operand& a, const Operand& b) { return comparison("less", ir::Comparison::lt, a, b); }
Tensor less_equal(const Operand& a, const Operand& b) { return comparison("less_equal", ir::Comparison::le, a, b); }
Tensor greater(const Operand& a, const Operand& b) { return comparison("greater", ir::Comparison::gt, a, b); }
Tensor greater_equal(const Operand& a, const Operand& b) { return comparison("greater_equal", ir::Comparison::ge, a, b); }
Tensor operator<(const Operand& a, const Operand& b) { return comparison("operator <", ir::Comparison::lt, a, b); }
Tensor operator<=(const Operand& a, const Operand& b) { return comparison("operator <=", ir::Comparison::le, a, b); }
Tensor operator>(const Operand& a, const Operand& b) { return comparison("operator >", ir::Comparison::gt, a, b); }
Tensor operator>=(const Operand& a, const Operand& b) { return comparison("operator >=", ir::Comparison::ge, a, b); }

namespace {
Tensor logic(const char* name, ir::Op op, const Operand& a, const Operand& b) {
  Emitter emitter({&a, &b}, name);
  for (const Operand* operand : {&a, &b})
    if (operand->is_tensor() && !is_boolean(type_of(operand->tensor()).dtype))
      emitter.fail(ErrorCode::dtype_mismatch, fmt::format("takes bool tensors, but was given {}", to_string(operand->tensor())),
                   "compare first: not_equal(x, 0)");
  return binary(name, op, a, b, is_boolean, "bool");
}
}  // namespace

Tensor logical_and(const Operand& a, const Operand& b) { return logic("logical_and", ir::Op::and_, a, b); }
Tensor logical_or(const Operand& a, const Operand& b) { return logic("logical_or", ir::Op::or_, a, b); }
Tensor logical_xor(const Operand& a, const Operand& b) { return logic("logical_xor", ir::Op::xor_, a, b); }
Tensor logical_not(const Operand& a) { return unary("logical_not", ir::Op::not_, a, is_boolean, "bool", "compare first: not_equal(x, 0)"); }
Tensor is_finite(const Operand& x) { return of_floats("is_finite", ir::Op::is_finite, x); }

Tensor select(const Operand& mask, const Operand& a, const Operand& b) {
  Emitter emitter({&mask, &a, &b}, "select");
  if (!mask.is_tensor() || !is_boolean(type_of(mask.tensor()).dtype))
    emitter.fail(ErrorCode::dtype_mismatch,
                 fmt::format("the mask must be a bool tensor, but is {}", mask.is_tensor() ? to_string(mask.tensor()) : "a number"),
                 "compare first: select(greater(x, 0), a, b)");
  if (!a.is_tensor() && !b.is_tensor())
    emitter.fail(ErrorCode::invalid_argument, "needs a tensor beside the mask, but was given only numbers",
                 "make one with graph.constant(value)");
  const DType dtype = emitter.common_dtype({&a, &b});
  ir::ValueId values[] = {emitter.use(mask.tensor()), emitter.use(a, dtype), emitter.use(b, dtype)};
  if (emitter.builder().type(values[0]).rank() == 0) {
    emitter.broadcast(std::span(values).subspan(1));
  } else {
    emitter.broadcast(values);
  }
  return emitter.wrap(emitter.builder().select(values[0], values[1], values[2]));
}

Tensor where(const Operand& mask, const Operand& a, const Operand& b) { return select(mask, a, b); }
Tensor masked_fill(const Operand& x, const Operand& mask, const Operand& value) {
  LocationScope scope(x.location());
  return select(mask, value, x);
}

// ---- functions

Tensor abs(const Operand& x) { return of_numbers("abs", ir::Op::abs, x); }
Tensor sign(const Operand& x) { return of_numbers("sign", ir::Op::sign, x); }
Tensor floor(const Operand& x) { return of_floats("floor", ir::Op::floor, x); }
Tensor ceil(const Operand& x) { return of_floats("ceil", ir::Op::ceil, x); }
Tensor round(const Operand& x) { return of_floats("round", ir::Op::round_nearest_even, x); }
Tensor exp(const Operand& x) { return of_floats("exp", ir::Op::exp, x); }
Tensor expm1(const Operand& x) { return of_floats("expm1", ir::Op::expm1, x); }
Tensor log(const Operand& x) { return of_floats("log", ir::Op::log, x); }
Tensor log1p(const Operand& x) { return of_floats("log1p", ir::Op::log1p, x); }
Tensor sqrt(const Operand& x) { return of_floats("sqrt", ir::Op::sqrt, x); }
Tensor rsqrt(const Operand& x) { return of_floats("rsqrt", ir::Op::rsqrt, x); }
Tensor cbrt(const Operand& x) { return of_floats("cbrt", ir::Op::cbrt, x); }
Tensor sin(const Operand& x) { return of_floats("sin", ir::Op::sin, x); }
Tensor cos(const Operand& x) { return of_floats("cos", ir::Op::cos, x); }
Tensor tan(const Operand& x) { return of_floats("tan", ir::Op::tan, x); }
Tensor tanh(const Operand& x) { return of_floats("tanh", ir::Op::tanh, x); }
Tensor erf(const Operand& x) { return of_floats("erf", ir::Op::erf, x); }
Tensor sigmoid(const Operand& x) { return of_floats("sigmoid", ir::Op::logistic, x); }
Tensor square(const Operand& x) { return arithmetic("square", ir::Op::multiply, x, x); }
Tensor reciprocal(const Operand& x) {
  LocationScope scope(x.location());
  return arithmetic("reciprocal", ir::Op::divide, 1, x);
}

Tensor convert(const Operand& x, DType dtype) {
  Emitter emitter({&x}, "convert");
  const ir::ValueId value = emitter.use(x.tensor());
  if (emitter.builder().type(value).dtype == dtype) return emitter.wrap(value);
  if (dtype == DType::boolean) return not_equal(x, 0);
  return emitter.wrap(emitter.builder().convert(value, dtype));
}

Tensor relu(const Operand& x) {
  Emitter emitter({&x}, "relu");
  emitter.require_dtypes(emitter.use(x.tensor()), is_number, "numeric", "convert it first: convert(x, f32)");
  LocationScope scope(x.location());
  return arithmetic("relu", ir::Op::maximum, 0, x);
}

Tensor leaky_relu(const Operand& x, double slope) {
  Composite of(x, "leaky_relu");
  return select(greater(of.x, 0), of.x, slope * of.x);
}

Tensor elu(const Operand& x, double alpha) {
  Composite of(x, "elu");
  // The exponential is taken of the negative part alone: where x is large the unused arm would overflow, and its gradient would be 0 * inf.
  return select(greater(of.x, 0), of.x, alpha * expm1(minimum(of.x, 0)));
}

Tensor gelu(const Operand& x, bool approximate) {
  Composite of(x, "gelu");
  if (!approximate) return 0.5 * of.x * (1 + erf(of.x * std::numbers::sqrt2 / 2));
  const double scale = std::sqrt(2 * std::numbers::inv_pi);
  return 0.5 * of.x * (1 + tanh(scale * (of.x + 0.044715 * of.x * of.x * of.x)));
}

Tensor silu(const Operand& x) {
  Composite of(x, "silu");
  return of.x * sigmoid(of.x);
}

// ---- others

Tensor stop_gradient(const Operand& x) {
  Emitter emitter({&x}, "stop_gradient");
  return emitter.wrap(emitter.builder().create(ir::Op::stop_gradient, {emitter.use(x.tensor())}));
}

Operation check(const Operand& condition, const std::string& message) {
  Emitter emitter({&condition}, "check");
  const ir::ValueId value = emitter.use(condition.tensor());
  if (const ir::Type& type = emitter.builder().type(value); !is_boolean(type.dtype) || type.rank() != 0)
    emitter.fail(type.rank() != 0 ? ErrorCode::shape_mismatch : ErrorCode::dtype_mismatch,
                 fmt::format("the condition must be a bool scalar, but is {}", ir::to_string(type)),
                 type.rank() != 0 ? "say which elements count: reduce_all(condition)" : "compare first: check(greater(x, 0), ...)");
  emitter.builder().create_many(ir::Op::check, {value},
                                {{"code", static_cast<std::int64_t>(ErrorCode::check_failed)}, {"message", message}});
  if (emitter.state().open.size() > 1) return {};
  return Access::operation(emitter.state(), {static_cast<ir::NodeId>(emitter.builder().graph().node_count() - 1)});
}

}  // namespace kiln

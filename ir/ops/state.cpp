// State and structure: what a graph reads, keeps and is made of. Most of these mean something only together with the module or a run (the
// interpreter and the passes handle them), so their entries have no `evaluate`.
#include <fmt/format.h>
#include <algorithm>

#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

std::vector<Type> infer_parameter(const InferContext&) { throw InternalError("the type of a parameter is given, not inferred"); }

std::vector<Type> infer_constant(const InferContext& context) {
  const Array& literal = context.attributes.literal("value");
  return {tensor_type(literal.dtype(), Dims(literal.shape().begin(), literal.shape().end()))};
}

const Variable& variable_named(const InferContext& context) {
  internal_check(context.module != nullptr, "variables are inferred within their module");
  const std::string& name = context.attributes.text("name");
  const auto index = context.module->find_variable(name);
  if (!index) fail(context, ErrorCode::invalid_argument, fmt::format("there is no variable named \"{}\"", name));
  return context.module->variables[*index];
}

std::vector<Type> infer_variable(const InferContext& context) { return {variable_named(context).type}; }

std::vector<Type> infer_assign(const InferContext& context) {
  const Variable& variable = variable_named(context);
  const Type& value = tensor(context, 0);
  if (value.dtype != variable.type.dtype)
    fail(context, ErrorCode::dtype_mismatch,
         fmt::format("variable \"{}\" is {}, the new value is {}", variable.name, to_string(variable.type), to_string(value)),
         fmt::format("convert the value: convert(x, {})", name_of(variable.type.dtype)));
  const std::string no =
      fmt::format("variable \"{}\" is {}, the new value is {}", variable.name, to_string(variable.type), to_string(value));
  if (value.rank() != variable.type.rank()) fail(context, ErrorCode::shape_mismatch, no);
  for (std::size_t d = 0; d < value.rank(); ++d) require_equal(context, value.dims[d], variable.type.dims[d], no);
  return {variable.type};
}

std::vector<Type> infer_gradients(const InferContext& context) {
  const bool seeded = context.attributes.find("seeded") && context.attributes.flag("seeded");
  const std::int64_t targets = context.attributes.find("targets") ? context.attributes.integer("targets") : 1;
  const auto operands = static_cast<std::int64_t>(context.operands.size());
  if (targets < 1 || targets > operands)
    fail(context, ErrorCode::invalid_argument, fmt::format("{} values are differentiated, but there are {} operands", targets, operands));
  const auto count = static_cast<std::size_t>(targets);
  for (std::size_t i = 0; i < count; ++i) {
    const Type& y = tensor(context, i);
    if (!is_floating(y.dtype))
      fail(context, ErrorCode::not_differentiable, fmt::format("only floating tensors have gradients, but y is {}", to_string(y)),
           "convert it to a floating dtype before what is differentiated");
    if (seeded) {
      if (context.operands.size() < 2 * count) fail(context, ErrorCode::invalid_argument, "the cotangent of y is missing");
      require_same_dtype(context, i, count + i);
      require_same_shape(context, i, count + i);
    } else if (y.rank() != 0) {
      fail(context, ErrorCode::shape_mismatch, fmt::format("y must be a scalar, but is {}", to_string(y)),
           "reduce it, for example with reduce_sum, or give the cotangent of y");
    }
  }
  std::vector<Type> results;
  for (std::size_t i = seeded ? 2 * count : count; i < context.operands.size(); ++i) {
    const Type& x = tensor(context, i);
    if (!is_floating(x.dtype))
      fail(context, ErrorCode::not_differentiable,
           fmt::format("there is no gradient with respect to {}: only floating tensors have gradients", to_string(x)));
    results.push_back(x);
  }
  return results;
}

std::vector<Type> infer_check(const InferContext& context) {
  if (const Type& condition = tensor(context, 0); condition.rank() != 0)
    fail(context, ErrorCode::shape_mismatch, fmt::format("the condition must be bool[], but is {}", to_string(condition)),
         "combine its elements with reduce \"and\"");
  std::vector<Type> guarded;
  if (context.operands.size() > 1) guarded.push_back(tensor(context, 1));
  return guarded;
}

/// What a check guards passes through.
void gradient_check(GradientContext& c) { c.add(1, c.cotangent()); }

std::vector<Array> evaluate_constant(const EvaluateContext& context) { return {context.attributes.literal("value")}; }

/// The new value is what the result is.
void gradient_assign(GradientContext& c) { c.add(0, c.cotangent()); }

/// Inside a kernel a constant has no memory to be read from: all its elements must be equal.
ScalarId element_constant(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim>) {
  const Array& literal = node.attributes.literal("value");
  const std::size_t bytes = size_of(literal.dtype());
  const char* data = static_cast<const char*>(literal.raw());
  if (literal.size() == 0) return b.constant(Literal::of(literal.dtype(), 0));  // no element has an index
  for (std::int64_t i = 1; i < literal.size(); ++i)
    internal_check(std::memcmp(data, data + i * bytes, bytes) == 0, "a constant inside a kernel has equal elements");
  return b.constant(is_floating(literal.dtype()) ? Literal::of(literal.dtype(), element_as_double(literal, 0))
                                                 : Literal::of_bits(literal.dtype(), element_as_int(literal, 0)));
}

ScalarId element_identity(ScalarBuilder& b, const Node&, std::size_t, std::span<const Dim> index) { return b.operand(0, index); }

/// Its values change with the operand, its derivative is zero all the same.
std::vector<Sample> samples_stop_gradient(Op op) {
  std::vector<Sample> samples = samples_unary(op);
  for (Sample& sample : samples) sample.differentiable = false;
  return samples;
}

std::vector<Sample> samples_constant(Op) {
  std::vector<Sample> all;
  const auto add = [&](SampleClass kind, Array value) {
    all.push_back({.kind = kind, .attributes = {{"value", std::move(value)}}, .generic = false, .differentiable = false});
  };
  for (int d = 0; d < dtype_count; ++d) {
    const DType dtype = static_cast<DType>(d);
    add(SampleClass::scalar, Array::full(dtype, {}, 3));
    add(SampleClass::one, Array::full(dtype, {1}, -1.5));
    add(SampleClass::empty, Array::zeros(dtype, {0, 3}));
    add(SampleClass::odd, Array::full(dtype, {3, 5}, 1));
    for (const double v : special_values()) add(SampleClass::special_values, Array(v).convert(dtype));
  }
  add(SampleClass::wide, Array::full(DType::f32, {2, 67}, 0.1));
  return all;
}

constexpr AttributeSpec constant_attributes[] = {{"value", AttributeKind::literal, "the value"}};
constexpr AttributeSpec variable_attributes[] = {{"name", AttributeKind::text, "the variable's name"}};
constexpr AttributeSpec gradients_attributes[] = {
    {"seeded", AttributeKind::flag, "the operands after what is differentiated are its cotangents", false},
    {"targets", AttributeKind::integer, "how many operands, from the first, are differentiated, and their gradients summed; absent: 1",
     false}};
constexpr AttributeSpec check_attributes[] = {{"message", AttributeKind::text, "of the error"},
                                              {"code", AttributeKind::integer, "the ErrorCode"},
                                              {"hint", AttributeKind::text, "of the error", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::parameter>::info = {
    .name = "parameter",
    .doc = "A value that the graph is called with; in the main graph a placeholder. Its type is given, not inferred.",
    .infer = infer_parameter,
    .no_gradient = "it is what gradients are taken with respect to",
};

template <>
constinit const OpInfo OpEntry<Op::constant>::info = {
    .name = "constant",
    .doc = "The literal `value`.",
    .attributes = constant_attributes,
    .infer = infer_constant,
    .evaluate = evaluate_constant,
    .no_gradient = "it has no operands",
    .element = element_constant,
    .samples = samples_constant,
    .no_samples = {SampleClass::broadcast, SampleClass::symbolic},
};

template <>
constinit const OpInfo OpEntry<Op::variable>::info = {
    .name = "variable",
    .doc = "The value of the variable `name` from before the run.",
    .attributes = variable_attributes,
    .infer = infer_variable,
    .no_gradient = "it is what gradients are taken with respect to",
};

template <>
constinit const OpInfo OpEntry<Op::assign>::info = {
    .name = "assign",
    .doc =
        "Gives the variable `name` a new value when the run ends; the result is that value. Only in the main graph, once per variable and "
        "run.",
    .min_operands = 1,
    .max_operands = 1,
    .attributes = variable_attributes,
    .infer = infer_assign,
    .gradient = gradient_assign,
    .effect = true,
};

template <>
constinit const OpInfo OpEntry<Op::gradients>::info = {
    .name = "gradients",
    .doc =
        "Gradients of operand 0 (a scalar, or with `seeded` any tensor, whose cotangent is operand 1) with respect to each further "
        "operand: one result per "
        "operand, of its type; zeros where y does not depend on it. Replaced by primitives before anything else is rewritten, so that its "
        "results can be "
        "differentiated again.",
    .min_operands = 1,
    .max_operands = -1,
    .attributes = gradients_attributes,
    .dtypes = floats,
    .infer = infer_gradients,
};

template <>
constinit const OpInfo OpEntry<Op::stop_gradient>::info = {
    .name = "stop_gradient",
    .doc = "The operand; no gradient flows back through it.",
    .min_operands = 1,
    .max_operands = 1,
    .infer = infer_same,
    .evaluate = evaluate_identity,
    .gradient = gradient_zero,
    .element = element_identity,
    .samples = samples_stop_gradient,
    .elementwise = true,
};

template <>
constinit const OpInfo OpEntry<Op::check>::info = {
    .name = "check",
    .doc =
        "Ends the run with Error(`code`), `message` and `hint` when operand 0 is false. With a second operand the check guards it: the "
        "result is that operand, so whoever uses it runs the check first. All checks of a run pass before any variable changes.",
    .min_operands = 1,
    .max_operands = 2,
    .attributes = check_attributes,
    .dtypes = bool_dtype,
    .infer = infer_check,
    .gradient = gradient_check,
    .effect = true,
};

}  // namespace kiln::ir

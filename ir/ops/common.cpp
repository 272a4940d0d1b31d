#include "ir/ops/common.h"

#include <fmt/format.h>
#include <algorithm>

#include "ir/builder.h"

namespace kiln::ir {

const std::vector<std::int64_t>& integers_or_empty(const Attributes& attributes, std::string_view name) {
  static const std::vector<std::int64_t> empty;
  return attributes.find(name) ? attributes.integers(name) : empty;
}

const Dims& dims_or_empty(const Attributes& attributes, std::string_view name) {
  static const Dims empty;
  return attributes.find(name) ? attributes.dims(name) : empty;
}

namespace ops {

namespace {
const char* one_symbol_hint = "use one symbol for both extents, or give both a constant";
}  // namespace

void fail(const InferContext& context, ErrorCode code, const std::string& message, const std::string& hint) {
  throw Error(code, fmt::format("{}: {}", info(context.op).name, message), {}, hint);
}

const Type& tensor(const InferContext& context, std::size_t i) {
  const Type& type = context.operands[i];
  if (type.kind != Type::Kind::tensor)
    fail(context, ErrorCode::invalid_argument, fmt::format("operand {} must be a tensor, but is {}", i, to_string(type)));
  return type;
}

Type tensor_type(DType dtype, Dims dims) { return Type{.dtype = dtype, .kind = Type::Kind::tensor, .dims = std::move(dims)}; }

void require_equal(const InferContext& context, const Dim& a, const Dim& b, const std::string& no) {
  switch (equals(a, b)) {
    case Truth::yes: return;
    case Truth::no: fail(context, ErrorCode::shape_mismatch, no);
    case Truth::unknown: break;
  }
  if (context.unproven) return context.unproven->push_back({a, b, no});
  fail(context, ErrorCode::shape_mismatch, fmt::format("it cannot be shown that {} equals {}: {}", to_string(a), to_string(b), no),
       one_symbol_hint);
}

void require_less_equal(const InferContext& context, const Dim& a, const Dim& b, const std::string& what) {
  const Truth truth = less_equal(a, b);
  if (truth == Truth::yes) return;
  const std::string claim = fmt::format("{} <= {}", to_string(a), to_string(b));
  if (truth == Truth::no) fail(context, ErrorCode::shape_mismatch, fmt::format("{}, but {} does not hold", what, claim));
  fail(context, ErrorCode::shape_mismatch, fmt::format("{}, but it cannot be shown that {}", what, claim),
       "give the symbol bounds that imply it: Dim(\"n\", {.min = ...})");
}

void require_same_dtype(const InferContext& context, std::size_t i, std::size_t j) {
  const Type& a = tensor(context, i);
  const Type& b = tensor(context, j);
  if (a.dtype == b.dtype) return;
  fail(context, ErrorCode::dtype_mismatch,
       fmt::format("dtypes differ: {} has {}, {} has {}", to_string(a), name_of(a.dtype), to_string(b), name_of(b.dtype)),
       fmt::format("convert one of them: convert(x, {})", name_of(std::max(a.dtype, b.dtype))));
}

void require_accumulator(const InferContext& context, DType operands, DType result) {
  const auto is_integer = [](DType dtype) { return !is_floating(dtype) && dtype != DType::boolean; };
  const bool alike = is_floating(operands) ? is_floating(result) : is_integer(result);
  if (operands == result || (alike && size_of(result) >= size_of(operands) && !(is_floating(result) && size_of(result) == size_of(operands))))
    return;
  fail(context, ErrorCode::dtype_mismatch, fmt::format("{} operands cannot be summed up in {}", name_of(operands), name_of(result)),
       is_floating(operands) ? "floats are summed up in a wider float, or in their own dtype"
                             : "integers are summed up in an integer dtype of at least as many bits");
}

void require_same_shape(const InferContext& context, std::size_t i, std::size_t j) {
  const Type& a = tensor(context, i);
  const Type& b = tensor(context, j);
  if (a.rank() != b.rank())
    fail(context, ErrorCode::shape_mismatch,
         fmt::format("shapes differ: {} has rank {}, {} has rank {}", to_string(a), a.rank(), to_string(b), b.rank()));
  for (std::size_t d = 0; d < a.rank(); ++d)
    if (!(a.dims[d] == b.dims[d]))
      require_equal(context, a.dims[d], b.dims[d],
                    fmt::format("shapes differ: {} has {} at dim {}, {} has {}", to_string(a), to_string(a.dims[d]), d, to_string(b),
                                to_string(b.dims[d])));
}

void require_axis(const InferContext& context, std::int64_t axis, std::size_t rank, const std::string& what) {
  if (axis >= 0 && axis < static_cast<std::int64_t>(rank)) return;
  fail(context, ErrorCode::invalid_argument,
       rank == 0 ? fmt::format("{} names dim {}, but the tensor has rank 0", what, axis)
                 : fmt::format("{} names dim {}, which is not one of 0 to {}", what, axis, rank - 1));
}

void require_distinct_axes(const InferContext& context, std::span<const std::int64_t> axes, std::size_t rank, const std::string& what) {
  std::vector<bool> seen(rank);
  for (const std::int64_t axis : axes) {
    require_axis(context, axis, rank, what);
    if (seen[axis]) fail(context, ErrorCode::invalid_argument, fmt::format("{} names dim {} twice: {}", what, axis, list_text(axes)));
    seen[axis] = true;
  }
}

void require_length(const InferContext& context, std::size_t length, std::size_t wanted, const std::string& what) {
  if (length != wanted)
    fail(context, ErrorCode::invalid_argument,
         fmt::format("{} has {} {}, but needs {}: one per dim{}", what, length, length == 1 ? "entry" : "entries", wanted,
                     context.operands.empty() ? "" : " of " + to_string(context.operands[0])));
}

void require_extents(const InferContext& context, const Dims& dims) {
  for (const Dim& dim : dims)
    if (less(dim, 0) == Truth::yes)
      fail(context, ErrorCode::shape_mismatch, fmt::format("the extent {} of {} is negative", to_string(dim), to_string(dims)));
}

std::vector<Type> infer_same(const InferContext& context) {
  for (std::size_t i = 1; i < context.operands.size(); ++i) {
    require_same_dtype(context, 0, i);
    require_same_shape(context, 0, i);
  }
  return {tensor(context, 0)};
}

std::vector<Type> infer_predicate(const InferContext& context) {
  Type type = infer_same(context)[0];
  type.dtype = DType::boolean;
  return {type};
}

std::vector<Type> infer_nothing(const InferContext&) { return {}; }

std::vector<Type> parameter_types(const Graph& graph) {
  std::vector<Type> types;
  for (const ValueId v : graph.parameters) types.push_back(graph.type(v));
  return types;
}

std::vector<Type> result_types(const Graph& graph) {
  std::vector<Type> types;
  for (const ValueId v : graph.results) types.push_back(graph.type(v));
  return types;
}

const Graph& region(const InferContext& context, std::string_view attribute) {
  internal_check(context.module != nullptr, "an op that refers to graphs is inferred within its module");
  const GraphId id = context.attributes.graph(attribute);
  internal_check(id < context.module->graphs.size() && context.module->graphs[id], "a graph attribute refers to a graph of the module");
  return context.module->graph(id);
}

void require_parameters(const InferContext& context, const Graph& graph, std::span<const Type> given, const std::string& what) {
  const std::vector<Type> parameters = parameter_types(graph);
  if (parameters.size() != given.size())
    fail(context, ErrorCode::invalid_argument,
         fmt::format("@{} takes {} values, but there are {} {}", graph.name, parameters.size(), given.size(), what));
  for (std::size_t i = 0; i < given.size(); ++i)
    if (!(parameters[i] == given[i]))
      fail(context, parameters[i].dtype != given[i].dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
           fmt::format("parameter {} of @{} is {}, but {} gives {}", i, graph.name, to_string(parameters[i]), what, to_string(given[i])));
}

std::vector<std::int64_t> other_axes(std::size_t rank, std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  std::vector<std::int64_t> rest;
  for (std::int64_t axis = 0; axis < static_cast<std::int64_t>(rank); ++axis)
    if (std::ranges::find(a, axis) == a.end() && std::ranges::find(b, axis) == b.end()) rest.push_back(axis);
  return rest;
}

std::string list_text(std::span<const std::int64_t> values) { return fmt::format("[{}]", fmt::join(values, ", ")); }

void gradient_zero(GradientContext&) {}

LoopOp loop_op_on(LoopOp op, DType dtype) {
  if (dtype != DType::boolean) return op;
  if (op == LoopOp::add || op == LoopOp::maximum) return LoopOp::or_;
  return op == LoopOp::multiply || op == LoopOp::minimum ? LoopOp::and_ : op;
}

ScalarId element_loop_op(ScalarBuilder& builder, const Node& node, std::size_t, std::span<const Dim> index) {
  std::vector<ScalarId> operands;
  for (std::size_t i = 0; i < node.operands.size(); ++i) operands.push_back(builder.operand(i, index));
  const DType dtype = builder.result_type().dtype;
  return builder.apply(loop_op_on(info(node.op).loop_op, dtype), dtype, operands);
}

}  // namespace ops
}  // namespace kiln::ir

// Control: graphs called from graphs, branches, loops (scan is in scan.cpp), and the tapes that loop gradients are kept on. Regions are
// isolated, so a node's operands are everything its bodies see. The interpreter runs the bodies and the passes lower them, hence no
// `evaluate` and no lowering here.
//
// A tape is a stack of tensors of one type. A forward loop pushes what its backward loop pops, in reverse order. A tape is used linearly:
// each push or pop consumes the tape that it is given and yields the next state, so the memory plan may update it in place.
//
// Gradients: passes/gradients.cpp differentiates these ops itself (it has to make graphs), so `gradient` is null although there is one;
// `no_gradient` is empty for that reason. A composite's gradient is its `backward` graph, or that of its decomposition.
#include <fmt/format.h>
#include <algorithm>

#include "ir/ops/common.h"

namespace kiln::ir {
namespace {
using namespace ops;

std::vector<Type> infer_body(const InferContext& context) {
  const Graph& body = region(context, "body");
  require_parameters(context, body, context.operands, "operands");
  return result_types(body);
}

std::vector<Type> infer_composite(const InferContext& context) {
  const Graph& decomposition = region(context, "decomposition");
  require_parameters(context, decomposition, context.operands, "operands");
  const std::vector<Type> results = result_types(decomposition);
  if (context.attributes.find("backward")) {
    const Graph& backward = region(context, "backward");
    std::vector<Type> given(context.operands.begin(), context.operands.end());
    given.insert(given.end(), results.begin(), results.end());
    given.insert(given.end(), results.begin(), results.end());
    require_parameters(context, backward, given, "operands, results and cotangents of the results");
    std::vector<Type> wanted;
    std::ranges::copy_if(context.operands, std::back_inserter(wanted), [](const Type& t) { return is_floating(t.dtype); });
    const std::vector<Type> returned = result_types(backward);
    if (returned.size() != wanted.size())
      fail(context, ErrorCode::invalid_argument,
           fmt::format("the backward graph @{} returns {} cotangents, but there are {} floating operands", backward.name, returned.size(),
                       wanted.size()));
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (!(returned[i] == wanted[i]))
        fail(context, ErrorCode::shape_mismatch,
             fmt::format("cotangent {} of the backward graph @{} is {}, but its operand is {}", i, backward.name, to_string(returned[i]),
                         to_string(wanted[i])));
  }
  return results;
}

std::vector<Type> infer_kernel(const InferContext& context) {
  constexpr std::string_view kinds[] = {"map", "reduction", "row", "contraction", "fold", "update", "sort"};
  const std::string& kind = context.attributes.text("kind");
  if (std::ranges::find(kinds, kind) == std::end(kinds))
    fail(context, ErrorCode::invalid_argument,
         fmt::format("there is no kernel kind \"{}\": the kinds are {}", kind, fmt::join(kinds, ", ")));
  return infer_body(context);
}

std::vector<Type> infer_cond(const InferContext& context) {
  if (const Type& predicate = tensor(context, 0); predicate.rank() != 0)
    fail(context, ErrorCode::shape_mismatch, fmt::format("the predicate must be bool[], but is {}", to_string(predicate)),
         "select() chooses element by element");
  const Graph& then_graph = region(context, "then");
  const Graph& else_graph = region(context, "else");
  require_parameters(context, then_graph, context.operands.subspan(1), "captured values");
  require_parameters(context, else_graph, context.operands.subspan(1), "captured values");
  const std::vector<Type> a = result_types(then_graph), b = result_types(else_graph);
  if (a.size() != b.size())
    fail(context, ErrorCode::invalid_argument,
         fmt::format("the branches yield different numbers of values: then yields {}, else yields {}", a.size(), b.size()));
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(a[i] == b[i]))
      fail(context, a[i].dtype != b[i].dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
           fmt::format("the branches yield different types for result {}: then yields {}, else yields {}", i, to_string(a[i]),
                       to_string(b[i])));
  return a;
}

std::vector<Type> infer_while_loop(const InferContext& context) {
  const std::int64_t carried = context.attributes.integer("carried");
  if (carried < 0 || carried > static_cast<std::int64_t>(context.operands.size()))
    fail(context, ErrorCode::invalid_argument,
         fmt::format("{} values are carried, but there are {} operands", carried, context.operands.size()));
  const Graph& condition = region(context, "condition");
  const Graph& body = region(context, "body");
  require_parameters(context, condition, context.operands, "carried and captured values");
  require_parameters(context, body, context.operands, "carried and captured values");
  const std::vector<Type> decision = result_types(condition);
  if (decision.size() != 1 || !(decision[0] == tensor_type(DType::boolean, {})))
    fail(context, ErrorCode::shape_mismatch,
         fmt::format("the condition must yield one bool[], but yields {}", decision.empty()      ? "nothing"
                                                                           : decision.size() > 1 ? "several values"
                                                                                                 : to_string(decision[0])));
  const std::vector<Type> next = result_types(body);
  if (static_cast<std::int64_t>(next.size()) != carried)
    fail(context, ErrorCode::invalid_argument, fmt::format("the body yields {} values, but {} are carried", next.size(), carried));
  for (std::size_t i = 0; i < next.size(); ++i)
    if (!(next[i] == context.operands[i]))
      fail(context, next[i].dtype != context.operands[i].dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
           fmt::format("carried value {} enters as {}, but the body yields {}", i, to_string(context.operands[i]), to_string(next[i])),
           "a carried value keeps its dtype and shape through the loop");
  if (context.attributes.find("max_trip_count") && context.attributes.integer("max_trip_count") < 0)
    fail(context, ErrorCode::invalid_argument, fmt::format("max_trip_count is {}", context.attributes.integer("max_trip_count")));
  return next;
}

std::vector<Type> infer_tape_new(const InferContext& context) {
  const Dims& dims = dims_or_empty(context.attributes, "dims");
  require_extents(context, dims);
  if (context.attributes.find("bound") && context.attributes.integer("bound") < 0)
    fail(context, ErrorCode::invalid_argument, fmt::format("bound is {}", context.attributes.integer("bound")));
  return {Type{.dtype = context.attributes.dtype("dtype"), .kind = Type::Kind::tape, .dims = dims}};
}

Type tape_operand(const InferContext& context) {
  const Type& tape = context.operands[0];
  if (tape.kind != Type::Kind::tape)
    fail(context, ErrorCode::invalid_argument, fmt::format("operand 0 must be a tape, but is {}", to_string(tape)));
  return tape;
}

std::vector<Type> infer_tape_push(const InferContext& context) {
  const Type tape = tape_operand(context);
  const Type& value = tensor(context, 1);
  if (!(value == tensor_type(tape.dtype, tape.dims)))
    fail(context, value.dtype != tape.dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
         fmt::format("{} cannot be pushed on {}", to_string(value), to_string(tape)));
  return {tape};
}

std::vector<Type> infer_tape_pop(const InferContext& context) {
  const Type tape = tape_operand(context);
  return {tape, tensor_type(tape.dtype, tape.dims)};
}

constexpr AttributeSpec call_attributes[] = {
    {"body", AttributeKind::graph, "the graph that is called"},
    {"recompute", AttributeKind::flag, "the gradient keeps nothing but the operands and computes the body again", false}};
constexpr AttributeSpec composite_attributes[] = {
    {"name", AttributeKind::text, "what it is, for passes that know it"},
    {"decomposition", AttributeKind::graph, "what it means; its parameters are the operands"},
    {"backward", AttributeKind::graph, "takes operands, results and cotangents of the results; returns a cotangent per floating operand",
     false}};
constexpr AttributeSpec kernel_attributes[] = {
    {"body", AttributeKind::graph, "what the kernel computes"},
    {"kind", AttributeKind::text, "map, reduction, row, contraction or scatter: which schedule writes its loops"}};
constexpr AttributeSpec cond_attributes[] = {{"then", AttributeKind::graph, "runs when the predicate is true"},
                                             {"else", AttributeKind::graph, "runs when it is false"}};
constexpr AttributeSpec while_loop_attributes[] = {
    {"carried", AttributeKind::integer, "how many of the operands, from the first, are carried; the others are captured"},
    {"condition", AttributeKind::graph, "takes all operands, yields bool[]"},
    {"body", AttributeKind::graph, "takes all operands, yields the next carried values"},
    {"max_trip_count", AttributeKind::integer, "the run fails when the condition still holds after that many iterations", false},
    {"within_bound", AttributeKind::flag, "max_trip_count holds by construction and need not be checked", false}};
constexpr AttributeSpec tape_new_attributes[] = {
    {"dtype", AttributeKind::dtype, "of what is pushed"},
    {"dims", AttributeKind::dims, "of what is pushed", false},
    {"bound", AttributeKind::integer, "the largest number of pushes; absent: unbounded", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::call>::info = {
    .name = "call",
    .doc =
        "The results of the graph `body` for the operands. Marked as recomputed, as the gradient of a call with `recompute` is, it stays a "
        "region of its own, which runs when its operands are there and shares nothing with what runs elsewhere.",
    .min_operands = 0,
    .max_operands = -1,
    .attributes = call_attributes,
    .infer = infer_body,
};

template <>
constinit const OpInfo OpEntry<Op::composite>::info = {
    .name = "composite",
    .doc =
        "The results of the graph `decomposition` for the operands, under a name that fusion may use; any pass may inline it. Further "
        "attributes "
        "describe it.",
    .min_operands = 0,
    .max_operands = -1,
    .attributes = composite_attributes,
    .infer = infer_composite,
    .open_attributes = true,
};

template <>
constinit const OpInfo OpEntry<Op::kernel>::info = {
    .name = "kernel",
    .doc = "The results of the graph `body` for the operands, computed by one kernel. Fusion makes these.",
    .min_operands = 0,
    .max_operands = -1,
    .attributes = kernel_attributes,
    .infer = infer_kernel,
    .no_gradient = "gradients are taken before kernels are made",
    .open_attributes = true,
};

template <>
constinit const OpInfo OpEntry<Op::cond>::info = {
    .name = "cond",
    .doc =
        "The results of `then` when operand 0 is true, else those of `else`; the other operands are what the branches capture. Only one "
        "branch runs.",
    .min_operands = 1,
    .max_operands = -1,
    .attributes = cond_attributes,
    .dtypes = bool_dtype,
    .infer = infer_cond,
};

template <>
constinit const OpInfo OpEntry<Op::while_loop>::info = {
    .name = "while_loop",
    .doc =
        "While `condition` of the carried and captured values holds, replaces the carried ones by what `body` yields; the results are the "
        "last carried "
        "values. Zero iterations yield the initial ones.",
    .min_operands = 0,
    .max_operands = -1,
    .attributes = while_loop_attributes,
    .infer = infer_while_loop,
};

template <>
constinit const OpInfo OpEntry<Op::tape_new>::info = {
    .name = "tape_new",
    .doc = "An empty tape of tensors of the given dtype and dims.",
    .attributes = tape_new_attributes,
    .infer = infer_tape_new,
};

template <>
constinit const OpInfo OpEntry<Op::tape_push>::info = {
    .name = "tape_push",
    .doc = "The tape with operand 1 on top.",
    .min_operands = 2,
    .max_operands = 2,
    .infer = infer_tape_push,
};

template <>
constinit const OpInfo OpEntry<Op::tape_pop>::info = {
    .name = "tape_pop",
    .doc = "The tape without its top, and the top. Popping an empty tape is an internal error.",
    .min_operands = 1,
    .max_operands = 1,
    .infer = infer_tape_pop,
};

}  // namespace kiln::ir

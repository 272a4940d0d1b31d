// Loops with checkpoints; see checkpoints.h. And checkpoint() itself.
#include "frontend/checkpoints.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>

#include "frontend/regions.h"
#include "kiln/control.h"

namespace kiln::detail {

namespace {

/// Where nothing is known of the number of iterations.
constexpr std::int64_t usual_distance = 32;

std::vector<ir::ValueId> call(ir::Builder& builder, ir::GraphId body, std::vector<ir::ValueId> operands, bool recompute) {
  ir::Attributes attributes{{"body", ir::GraphRef{body}}};
  if (recompute) attributes = attributes.with("recompute", true);
  return builder.create_many(ir::Op::call, std::move(operands), std::move(attributes));
}

/// A new graph with a parameter for each type.
ir::Builder new_region(Emitter& emitter, const std::string& name, std::span<const ir::Type> types) {
  ir::Module& module = emitter.state().module;
  ir::Builder inside(module, module.add_graph(name));
  inside.location = emitter.builder().location;
  for (const ir::Type& type : types) inside.graph().add_parameter(type, "", inside.location);
  return inside;
}

std::vector<ir::Type> types_of(const ir::Builder& builder, std::span<const ir::ValueId> values) {
  std::vector<ir::Type> types;
  for (const ir::ValueId v : values) types.push_back(builder.type(v));
  return types;
}

}  // namespace

std::int64_t checkpoint_distance(const Emitter& emitter, std::int64_t every, const ir::Dim& length) {
  if (every >= 0) return every;
  if (every != automatic)
    emitter.fail(ErrorCode::invalid_argument, fmt::format("checkpoint_every is {}", every), "0 means none, kiln::automatic chooses");
  std::int64_t known = -1;
  if (length.is_constant())
    known = length.constant();
  else if (const ir::SymbolInfo* symbol = length.symbol_info())
    known = symbol->typical > 0 ? symbol->typical : symbol->max < INT64_MAX ? symbol->max : -1;
  if (known < 0) return usual_distance;
  return std::max<std::int64_t>(1, std::llround(std::ceil(std::sqrt(static_cast<double>(known)))));
}

// ---- while_loop ----------------------------------------------------------------------------------------------------------

std::vector<ir::ValueId> emit_while(ir::Builder& builder, const WhileParts& loop, std::vector<ir::ValueId> operands) {
  ir::Attributes attributes{
      {"carried", static_cast<std::int64_t>(loop.carried)}, {"condition", ir::GraphRef{loop.condition}}, {"body", ir::GraphRef{loop.body}}};
  if (loop.max_trip_count) attributes = attributes.with("max_trip_count", *loop.max_trip_count);
  return builder.create_many(ir::Op::while_loop, std::move(operands), std::move(attributes));
}

std::vector<ir::ValueId> emit_checkpointed_while(Emitter& emitter, const WhileParts& loop, std::vector<ir::ValueId> operands,
                                                 std::int64_t every) {
  const std::vector<ir::Type> types = types_of(emitter.builder(), operands);
  const auto carried = static_cast<std::ptrdiff_t>(loop.carried);
  std::vector<ir::Type> counted = types;
  counted.insert(counted.begin() + carried, {DType::i64, ir::Type::Kind::tensor, {}});

  // Inside a chunk: as before, and at most `every` times.
  ir::Builder condition = new_region(emitter, "chunk_condition", counted);
  std::vector<ir::ValueId> given = condition.graph().parameters;
  const ir::ValueId tried = given[loop.carried];
  given.erase(given.begin() + carried);
  const ir::ValueId goes_on = call(condition, loop.condition, given, false)[0];
  const ir::ValueId within = condition.compare(ir::Comparison::lt, tried, condition.constant(Array(every)));
  condition.graph().results = {condition.create(ir::Op::and_, {goes_on, within})};

  ir::Builder body = new_region(emitter, "chunk_body", counted);
  given = body.graph().parameters;
  const ir::ValueId count = given[loop.carried];
  given.erase(given.begin() + carried);
  std::vector<ir::ValueId> next = call(body, loop.body, given, false);
  next.push_back(body.add(count, body.constant(Array(std::int64_t{1}))));
  body.graph().results = std::move(next);

  ir::Builder chunk = new_region(emitter, "chunk", types);
  given = chunk.graph().parameters;
  given.insert(given.begin() + carried, chunk.constant(Array(std::int64_t{0})));
  std::vector<ir::ValueId> last = chunk.create_many(ir::Op::while_loop, std::move(given),
                                                    {{"carried", static_cast<std::int64_t>(loop.carried + 1)},
                                                     {"condition", ir::GraphRef{condition.graph_id()}},
                                                     {"body", ir::GraphRef{body.graph_id()}},
                                                     {"max_trip_count", every},
                                                     {"within_bound", true}});
  last.pop_back();
  chunk.graph().results = std::move(last);

  ir::Builder outer = new_region(emitter, "chunks", types);
  given = outer.graph().parameters;
  outer.graph().results = call(outer, chunk.graph_id(), std::move(given), true);
  WhileParts chunks{loop.condition, outer.graph_id(), loop.carried, {}};
  if (loop.max_trip_count) chunks.max_trip_count = *loop.max_trip_count / every + (*loop.max_trip_count % every != 0);
  return emit_while(emitter.builder(), chunks, std::move(operands));
}

// ---- scan ----------------------------------------------------------------------------------------------------------------

std::vector<ir::ValueId> emit_scan(ir::Builder& builder, const ScanParts& scan, std::vector<ir::ValueId> operands) {
  ir::Attributes attributes{{"carried", static_cast<std::int64_t>(scan.carried)},
                            {"sequences", static_cast<std::int64_t>(scan.sequences)},
                            {"body", ir::GraphRef{scan.body}},
                            {"length", ir::Dims{scan.length}}};
  if (scan.reverse) attributes = attributes.with("reverse", true);
  return builder.create_many(ir::Op::scan, std::move(operands), std::move(attributes));
}

namespace {

/// Elements begin .. end of dim 0.
ir::ValueId part_of(ir::Builder& builder, ir::ValueId v, const ir::Dim& begin, const ir::Dim& end) {
  ir::Dims starts(builder.type(v).dims.size(), ir::Dim(0)), limits = builder.type(v).dims;
  if (begin.is_constant(0) && end == limits[0]) return v;
  std::vector<std::int64_t> strides(starts.size(), 1);
  starts[0] = begin;
  limits[0] = end;
  return builder.slice(v, starts, limits, std::move(strides));
}

/// [count * size, ...] -> [count, size, ...], or back.
ir::ValueId split(ir::Builder& builder, ir::ValueId v, const ir::Dim& count, const ir::Dim& size) {
  ir::Dims dims = builder.type(v).dims;
  dims[0] = size;
  dims.insert(dims.begin(), count);
  return builder.reshape(v, dims);
}
ir::ValueId join(ir::Builder& builder, ir::ValueId v, const ir::Dim& extent) {
  ir::Dims dims = builder.type(v).dims;
  dims.erase(dims.begin());
  dims[0] = extent;
  return builder.reshape(v, dims);
}

}  // namespace

std::vector<ir::ValueId> emit_checkpointed_scan(Emitter& emitter, const ScanParts& scan, const std::vector<ir::ValueId>& operands,
                                                std::int64_t every) {
  ir::Builder& builder = emitter.builder();
  const ir::Dim chunks = ir::floordiv(scan.length, every), whole = chunks * every, rest = scan.length - whole;
  const auto is_sequence = [&](std::size_t i) { return i >= scan.carried && i < scan.carried + scan.sequences; };
  const std::size_t outputs = emitter.state().module.graph(scan.body).results.size() - scan.carried;

  // A chunk of `size` iterations as a graph; its operands are like the scan's.
  const auto chunk_of = [&](const ir::Dim& size) {
    std::vector<ir::Type> types = types_of(builder, operands);
    for (std::size_t i = 0; i < types.size(); ++i)
      if (is_sequence(i)) types[i].dims[0] = size;
    ir::Builder chunk = new_region(emitter, "chunk", types);
    std::vector<ir::ValueId> given = chunk.graph().parameters;
    ScanParts inner = scan;
    inner.length = size;
    chunk.graph().results = emit_scan(chunk, inner, std::move(given));
    return chunk.graph_id();
  };
  std::vector<ir::ValueId> carried(operands.begin(), operands.begin() + static_cast<std::ptrdiff_t>(scan.carried));
  std::vector<ir::ValueId> stacks(outputs, ir::none), left(outputs, ir::none);
  const auto take = [&](std::vector<ir::ValueId> results, std::vector<ir::ValueId>& into) {
    std::copy(results.begin(), results.begin() + static_cast<std::ptrdiff_t>(scan.carried), carried.begin());
    std::copy(results.begin() + static_cast<std::ptrdiff_t>(scan.carried), results.end(), into.begin());
  };
  const auto run_chunks = [&] {
    if (chunks.is_constant(0)) return;
    std::vector<ir::ValueId> given;
    for (std::size_t i = 0; i < operands.size(); ++i)
      given.push_back(i < scan.carried ? carried[i]
                      : is_sequence(i) ? split(builder, part_of(builder, operands[i], 0, whole), chunks, every)
                                       : operands[i]);
    std::vector<ir::Type> types = types_of(builder, given);
    for (std::size_t i = 0; i < types.size(); ++i)
      if (is_sequence(i)) types[i].dims.erase(types[i].dims.begin());
    ir::Builder outer = new_region(emitter, "chunks", types);
    std::vector<ir::ValueId> parameters = outer.graph().parameters;
    outer.graph().results = call(outer, chunk_of(every), std::move(parameters), true);
    ScanParts over = scan;
    over.body = outer.graph_id();
    over.length = chunks;
    take(emit_scan(builder, over, std::move(given)), stacks);
    for (ir::ValueId& v : stacks) v = join(builder, v, whole);
  };
  const auto run_rest = [&] {
    if (rest.is_constant(0)) return;
    std::vector<ir::ValueId> given;
    for (std::size_t i = 0; i < operands.size(); ++i)
      given.push_back(i < scan.carried ? carried[i] : is_sequence(i) ? part_of(builder, operands[i], whole, scan.length) : operands[i]);
    take(call(builder, chunk_of(rest), std::move(given), true), left);
  };
  if (scan.reverse) run_rest();
  run_chunks();
  if (!scan.reverse) run_rest();

  std::vector<ir::ValueId> results = carried;
  for (std::size_t i = 0; i < outputs; ++i) {
    if (stacks[i] == ir::none)
      results.push_back(left[i] == ir::none ? ir::none : left[i]);
    else
      results.push_back(left[i] == ir::none ? stacks[i] : builder.concatenate({stacks[i], left[i]}, 0));
  }
  return results;
}

}  // namespace kiln::detail

namespace kiln {

using namespace detail;

TensorFunction checkpoint(TensorFunction function, std::source_location location) {
  const Location where = LocationScope::resolve(location);
  return [function = std::move(function), where](const std::vector<Tensor>& inputs) {
    if (inputs.empty())
      throw Error(ErrorCode::invalid_argument, "checkpoint: there are no inputs", where, "a gradient flows to at least one");
    type_of(inputs[0]);
    GraphState& state = *Access::state(inputs[0]);
    Emitter emitter(state, "checkpoint", where);
    std::vector<ir::ValueId> operands;
    std::vector<ir::Type> types;
    std::vector<std::string> names;
    for (const Tensor& input : inputs) {
      operands.push_back(emitter.use(input));
      types.push_back(emitter.builder().type(operands.back()));
      names.push_back(input.name());
    }
    const Region region = build_region(state, "checkpoint", "body of checkpoint", "checkpoint", emitter.location(), types, names, nullptr,
                                       [&](const std::vector<Tensor>& in) { return function(in); });
    for (const ir::ValueId outer : all_captures({&region})) operands.push_back(outer);
    const std::vector<ir::ValueId> values = call(emitter.builder(), region.graph, std::move(operands), true);
    return wrap_all(emitter, values, values.size());
  };
}

}  // namespace kiln

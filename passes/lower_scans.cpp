// Scans become loops.
//
//     x', y = scan(x, s, p)      =>      i, x', y = while_loop(0, x, zeros, s, p)
//                                            condition: i < length
//                                            body:      s_i = dynamic_slice(s, i);  x, y_i = f(x, s_i, p);  y = dynamic_update_slice(y,
//                                            y_i, i)
//
// backwards, i goes from length - 1 down to 0. The stacks y are carried, so that the memory plan updates them in place: an iteration costs
// what its slices cost.
#include <algorithm>

#include "ir/op.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace kiln::passes {

using namespace ir;

namespace {

/// Index `i` of dim 0, then 0 for every other dim.
std::vector<ValueId> starts_at(Builder& builder, ValueId index, std::size_t rank) {
  std::vector<ValueId> starts{index};
  if (rank > 1) starts.resize(rank, builder.scalar(DType::i64, 0));
  return starts;
}

/// Part i of dim 0, without that dim.
ValueId read_slice(Builder& builder, ValueId stack, ValueId index) {
  Dims sizes = builder.type(stack).dims;
  const Dims rest(sizes.begin() + 1, sizes.end());
  sizes[0] = Dim(1);
  std::vector<ValueId> operands{stack};
  std::ranges::copy(starts_at(builder, index, sizes.size()), std::back_inserter(operands));
  return builder.reshape(builder.create(Op::dynamic_slice, std::move(operands), {{"sizes", sizes}}), rest);
}

ValueId write_slice(Builder& builder, ValueId stack, ValueId part, ValueId index) {
  Dims dims = builder.type(part).dims;
  dims.insert(dims.begin(), Dim(1));
  std::vector<ValueId> operands{stack, builder.reshape(part, dims)};
  std::ranges::copy(starts_at(builder, index, dims.size()), std::back_inserter(operands));
  return builder.create(Op::dynamic_update_slice, std::move(operands));
}

void lower_scan(Module& module, Rebuild& rebuild, NodeId n, const std::vector<bool>& effects) {
  const Node& scan = rebuild.old().node(n);
  const Graph& source = module.graph(scan.attributes.graph("body"));
  const auto carried = static_cast<std::size_t>(scan.attributes.integer("carried"));
  const auto sequences = static_cast<std::size_t>(scan.attributes.integer("sequences"));
  const bool reverse = scan.attributes.find("reverse") && scan.attributes.flag("reverse");
  const Dim length = scan.attributes.dims("length")[0];
  Builder& outer = rebuild.builder();
  outer.location = scan.location;
  if (length.is_constant(0)) {
    for (std::uint32_t i = 0; i < scan.result_count; ++i) {
      const ValueId v = scan.first_result + i;
      rebuild.replace(v, i < carried ? rebuild[scan.operands[i]] : outer.zeros(Type(rebuild.old().type(v))));
    }
    return;
  }

  // Carried: the index, the carried values, the stacks. Captured: the sequences, the captured values.
  std::vector<ValueId> operands;
  const ValueId first = outer.scalar(DType::i64, 0);
  operands.push_back(reverse ? outer.subtract(outer.dim_size(length), outer.scalar(DType::i64, 1)) : first);
  for (std::size_t i = 0; i < carried; ++i) operands.push_back(rebuild[scan.operands[i]]);
  // Each stack has zeros of its own, which are not merged with others: so it starts where they lie, without a copy.
  outer.recompute = true;
  for (std::uint32_t i = static_cast<std::uint32_t>(carried); i < scan.result_count; ++i)
    operands.push_back(outer.zeros(Type(rebuild.old().type(scan.first_result + i))));
  outer.recompute = false;
  const std::size_t loop_carried = operands.size();
  for (std::size_t i = carried; i < scan.operands.size(); ++i) operands.push_back(rebuild[scan.operands[i]]);

  const GraphId body_id = module.add_graph(source.name + "_loop"), condition_id = module.add_graph(source.name + "_condition");
  Graph& body = module.graph(body_id);
  Graph& condition = module.graph(condition_id);
  Builder inside(module, body_id), decide(module, condition_id);
  inside.location = decide.location = scan.location;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const bool stack = i > carried && i < loop_carried;
    std::string name;
    if (i >= 1 && i <= carried) name = source.value_name(source.parameters[i - 1]);
    if (i >= loop_carried + sequences) name = source.value_name(source.parameters[carried + i - loop_carried]);
    if (stack) name = source.value_name(source.results[i - 1]);
    body.add_parameter(outer.type(operands[i]), stack && !name.empty() ? name + "_stack" : name, scan.location);
    condition.add_parameter(outer.type(operands[i]), "", scan.location);
  }
  const ValueId index = body.parameters[0];
  condition.results = {reverse ? decide.compare(Comparison::ge, condition.parameters[0], decide.scalar(DType::i64, 0))
                               : decide.compare(Comparison::lt, condition.parameters[0], decide.dim_size(length))};

  const std::vector<ValueId> given = body.parameters;
  std::vector<ValueId> arguments;
  for (std::size_t i = 0; i < source.parameters.size(); ++i) {
    if (i < carried)
      arguments.push_back(given[1 + i]);
    else if (i < carried + sequences)
      arguments.push_back(read_slice(inside, given[loop_carried + i - carried], index));
    else
      arguments.push_back(given[loop_carried + i - carried]);
  }
  const std::vector<ValueId> results = inline_graph(source, body, arguments, &effects);
  const ValueId one = inside.scalar(DType::i64, 1);
  std::vector<ValueId> next{reverse ? inside.subtract(index, one) : inside.add(index, one)};
  for (std::size_t i = 0; i < results.size(); ++i)
    next.push_back(i < carried ? results[i] : write_slice(inside, given[1 + i], results[i], index));
  body.results = std::move(next);

  outer.recompute = scan.recompute;
  const std::vector<ValueId> values = outer.create_many(
      Op::while_loop, std::move(operands),
      {{"carried", static_cast<std::int64_t>(loop_carried)}, {"condition", GraphRef{condition_id}}, {"body", GraphRef{body_id}}});
  outer.recompute = false;
  for (std::uint32_t i = 0; i < scan.result_count; ++i) rebuild.replace(scan.first_result + i, values[1 + i]);
}

bool holds_scan(const Graph& graph) {
  for (NodeId n = 0; n < graph.node_count(); ++n)
    if (graph.node(n).op == Op::scan) return true;
  return false;
}

}  // namespace

bool lower_scans(Module& module) {
  const std::vector<bool> effects = graphs_with_effects(module);
  bool changed = false;
  // Bodies before the graphs that they are copied into.
  for (GraphId id : callees_first(module)) {
    if (!holds_scan(module.graph(id))) continue;
    changed = true;
    Rebuild rebuild(module, id);
    for (NodeId n = 0; n < rebuild.old().node_count(); ++n) {
      if (rebuild.old().node(n).op == Op::scan)
        lower_scan(module, rebuild, n, effects);
      else
        rebuild.keep(n);
    }
    rebuild.finish();
  }
  if (changed) module.sweep();
  return changed;
}

}  // namespace kiln::passes

// Regions of nodes; see regions.h.
#include "frontend/regions.h"

#include <algorithm>

namespace kiln::detail {

std::vector<ir::ValueId> all_captures(std::initializer_list<const Region*> regions) {
  std::vector<ir::ValueId> values;
  std::unordered_set<ir::ValueId> seen;
  for (const Region* region : regions)
    for (const auto& [outer, inner] : region->captures)
      if (seen.insert(outer).second) values.push_back(outer);
  return values;
}

ir::ValueId capture_parameter(ir::Module& module, const Region& region, const ir::Graph& enclosing, ir::ValueId outer) {
  if (const auto found = region.inner_of.find(outer); found != region.inner_of.end()) return found->second;
  return module.graph(region.graph).add_parameter(enclosing.type(outer), enclosing.value_name(outer), enclosing.definition(outer).location);
}

ir::Type counter_type() { return {DType::u64, ir::Type::Kind::tensor, {}}; }

Region build_region(GraphState& state, const std::string& name, const char* kind, const char* op, const Location& where,
                    std::span<const ir::Type> types, std::span<const std::string> names, ir::ValueId* iteration,
                    const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& build) {
  OpenRegion region(state, name, kind, where);
  const ir::GraphId graph = region.region().graph;
  std::vector<Tensor> arguments;
  const ir::LocationId location = state.module.add_location(where);
  for (std::size_t i = 0; i < types.size(); ++i)
    arguments.push_back(
        Access::make<Tensor>(state, graph, state.module.graph(graph).add_parameter(types[i], i < names.size() ? names[i] : "", location)));
  if (iteration) {
    region.region().iteration = [&state, graph, iteration] {
      if (*iteration == ir::none) *iteration = state.module.graph(graph).add_parameter(counter_type(), "iteration");
      return *iteration;
    };
  }
  const std::vector<Tensor> results = build(arguments);
  Emitter emitter(state, op, where);
  std::vector<ir::ValueId> values;
  for (const Tensor& result : results) values.push_back(emitter.use(result));
  return region.close(std::move(values));
}

std::vector<ir::Type> result_types(const GraphState& state, const Region& region) {
  const ir::Graph& graph = state.module.graph(region.graph);
  std::vector<ir::Type> types;
  for (const ir::ValueId value : graph.results) types.push_back(graph.type(value));
  return types;
}

std::string types_text(std::span<const ir::Type> types) {
  std::string text;
  for (const ir::Type& type : types) text += (text.empty() ? "" : ", ") + ir::to_string(type);
  return "(" + text + ")";
}

ErrorCode mismatch_code(std::span<const ir::Type> a, std::span<const ir::Type> b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (a[i].dtype != b[i].dtype) return ErrorCode::dtype_mismatch;
  return ErrorCode::shape_mismatch;
}

std::vector<Tensor> wrap_all(Emitter& emitter, const std::vector<ir::ValueId>& values, std::size_t count) {
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; i < count; ++i) tensors.push_back(emitter.wrap(values[i]));
  return tensors;
}

bool finish_loop_regions(Emitter& emitter, std::span<const LoopRegion> regions, std::size_t carried, std::size_t declared,
                         std::vector<ir::ValueId>& operands) {
  ir::Module& module = emitter.state().module;
  const bool counted = std::ranges::any_of(regions, [](const LoopRegion& r) { return *r.counter != ir::none; });
  const auto after_carried = static_cast<std::ptrdiff_t>(carried);
  if (counted) {
    for (const LoopRegion& r : regions)
      if (*r.counter == ir::none) *r.counter = module.graph(r.region->graph).add_parameter(counter_type(), "iteration");
    ir::Builder inside(module, regions.back().region->graph);
    inside.location = emitter.builder().location;
    const ir::ValueId next = inside.add(*regions.back().counter, inside.constant(Array(std::uint64_t{1})));
    inside.graph().results.insert(inside.graph().results.begin() + after_carried, next);
    operands.insert(operands.begin() + after_carried, emitter.builder().constant(Array(std::uint64_t{0})));
  }
  std::vector<ir::ValueId> captures;
  std::unordered_set<ir::ValueId> seen;
  for (const LoopRegion& r : regions)
    for (const auto& [outer, inner] : r.region->captures)
      if (seen.insert(outer).second) captures.push_back(outer);
  for (const LoopRegion& r : regions) {
    std::vector<ir::ValueId>& parameters = module.graph(r.region->graph).parameters;
    std::vector<ir::ValueId> ordered(parameters.begin(), parameters.begin() + static_cast<std::ptrdiff_t>(declared));
    if (counted) ordered.insert(ordered.begin() + after_carried, *r.counter);
    for (const ir::ValueId outer : captures) ordered.push_back(capture_parameter(module, *r.region, emitter.builder().graph(), outer));
    module.graph(r.region->graph).parameters = std::move(ordered);
  }
  operands.insert(operands.end(), captures.begin(), captures.end());
  return counted;
}

}  // namespace kiln::detail

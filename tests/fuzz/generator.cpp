// Whole cases: inputs, state, gradients, results.
#include "tests/fuzz/generator.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <random>
#include <set>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/interpreter.h"
#include "ir/ops/samples.h"
#include "ir/verify.h"
#include "passes/passes.h"
#include "tests/fuzz/region.h"

namespace kiln::fuzz {

using namespace ir;

namespace {

/// Sums a floating value and differentiates with respect to a few values it depends on.
void add_gradients(World& world, Region& main) {
  Builder& b = main.builder();
  Random& random = world.random;
  for (int attempt = 0; attempt < 12; ++attempt) {
    const Item y = main.any();
    const Type type = b.type(y.value);
    if (!is_floating(type.dtype)) continue;
    std::vector<std::int64_t> all;
    for (std::size_t d = 0; d < type.rank(); ++d) all.push_back(static_cast<std::int64_t>(d));
    const ValueId loss = b.reduce_add(b.multiply(y.value, y.value), all);
    std::vector<ValueId> operands{loss};
    for (const Item& item : main.pool()) {
      if (!is_floating(b.type(item.value).dtype) || item.value >= y.value || operands.size() > 4 || random.chance(40)) continue;
      const ValueId wrt[] = {item.value};
      if (!passes::find_gradient_problem(world.made.module, b.graph_id(), loss, wrt)) operands.push_back(item.value);
    }
    for (const ValueId parameter : b.graph().parameters) {
      if (!is_floating(b.type(parameter).dtype) || operands.size() > 5) continue;
      const ValueId wrt[] = {parameter};
      if (!passes::find_gradient_problem(world.made.module, b.graph_id(), loss, wrt) &&
          std::ranges::find(operands, parameter) == operands.end())
        operands.push_back(parameter);
    }
    if (operands.size() < 2) continue;
    const std::vector<ValueId> gradients = b.create_many(Op::gradients, operands);
    for (const ValueId g : gradients) b.graph().results.push_back(g);
    if (random.chance(30)) {  // second order
      const Type& of = b.type(gradients[0]);
      std::vector<std::int64_t> dims;
      for (std::size_t d = 0; d < of.rank(); ++d) dims.push_back(static_cast<std::int64_t>(d));
      const ValueId total = b.reduce_add(gradients[0], dims);
      const ValueId wrt[] = {operands.back()};
      if (!passes::find_gradient_problem(world.made.module, b.graph_id(), total, wrt))
        for (const ValueId g : b.create_many(Op::gradients, {total, operands.back()})) b.graph().results.push_back(g);
    }
    return;
  }
}

}  // namespace

Recipe recipe_of(std::uint64_t seed) {
  Random random(seed ^ 0x5DEECE66Dull);
  Recipe recipe;
  recipe.seed = seed;
  recipe.nodes = 14 + random.pick(22);
  recipe.symbolic = random.chance(45);
  recipe.control = random.chance(40);
  recipe.gradients = random.chance(35);
  recipe.f64 = recipe.gradients && random.chance(50);
  return recipe;
}

Case generate(const Recipe& recipe) {
  World world(recipe);
  static const std::vector<std::int64_t> extents{0, 1, 2, 3, 5, 5, 9, 17};
  world.extent = recipe.symbolic ? world.random.of(extents) : 1;
  world.made.recipe = recipe;
  world.made.extent = world.extent;
  Module& module = world.made.module;
  Region main(world, module.main, 0);
  static const std::vector<DType> dtypes{DType::f32, DType::f32, DType::f64, DType::i32, DType::boolean};
  for (int i = 0; i < 4; ++i) {
    Dims dims;
    for (int d = world.random.pick(4); d > 0; --d)
      dims.push_back(recipe.symbolic && world.random.chance(35) ? Dim::symbol("n") : Dim(1 + world.random.pick(5)));
    const DType dtype = world.random.of(dtypes);
    main.add(main.fresh({recipe.f64 && is_floating(dtype) ? DType::f64 : dtype, Type::Kind::tensor, dims}, -2, 2));
  }
  main.grow(recipe.nodes);
  Graph& graph = module.main_graph();
  const int results = 2 + world.random.pick(4);
  for (int i = 0; i < results; ++i) graph.results.push_back(main.any().value);
  if (world.random.chance(25)) {  // state: a variable that is read, and assigned something of its type
    const Item next = main.any();
    const Type type = main.builder().type(next.value);
    if (is_static(type.dims) && type.dtype != DType::boolean) {
      Variable variable;
      variable.name = "state";
      variable.type = type;
      module.add_variable(variable);
      world.made.variables["state"] = main.random_array(type, -2, 2);
      Builder& b = main.builder();
      const ValueId old = b.create(Op::variable, {}, {{"name", std::string("state")}});
      const ValueId mixed = b.create(Op::add, {old, next.value});
      b.create(Op::assign, {world.random.chance(70) ? mixed : next.value}, {{"name", std::string("state")}});
      if (world.random.chance(50)) graph.results.push_back(mixed);
    }
  }
  if (recipe.gradients) add_gradients(world, main);
  if (recipe.symbolic) {
    graph.add_parameter({.dtype = DType::boolean, .dims = {Dim::symbol("n")}}, "n_elements");
    world.made.inputs.push_back(Array::zeros(DType::boolean, {world.extent}));
  }
  verify(module);
  return std::move(world.made);
}

bool keeps_bits(const Node& node, DType dtype) {
  if (!is_floating(dtype)) return true;
  const OpInfo& entry = info(node.op);
  if (node.op == Op::cond || node.op == Op::while_loop || node.op == Op::call || node.op == Op::scan) return true;  // the caller knows more
  if (const auto* combiner = node.attributes.find("combiner"))
    if (const auto* text = std::get_if<std::string>(combiner); text && (*text == "maximum" || *text == "minimum" || *text == "replace"))
      return true;
  return entry.tolerance == 0;
}

bool is_discontinuous(const Node& node, std::span<const Type> operands, std::span<const Type> results) {
  switch (node.op) {
    case Op::floor:
    case Op::ceil:
    case Op::round_nearest_even:
    case Op::round_nearest_afz:
    case Op::reduce_precision:
    case Op::bitcast_convert:
    case Op::sign:
    case Op::remainder:
    case Op::atan2:
    case Op::tan:
    case Op::cbrt:
    case Op::power: return true;
    default: break;
  }
  const auto floating = [](const Type& type) { return is_floating(type.dtype); };
  return std::ranges::any_of(operands, floating) && !std::ranges::all_of(results, floating);
}

std::vector<std::pair<Op, DType>> wanted_pairs() {
  std::vector<std::pair<Op, DType>> pairs;
  for (const Op op : all_ops()) {
    if (!is_drawn(op)) continue;
    for (int d = 0; d < dtype_count; ++d)
      if (info(op).dtypes.contains(static_cast<DType>(d))) pairs.emplace_back(op, static_cast<DType>(d));
  }
  return pairs;
}

void count(const Module& module, Coverage& coverage) {
  for (const auto& graph : module.graphs)
    for (NodeId id = 0; id < graph->node_count(); ++id) {
      const Node& node = graph->node(id);
      if (node.result_count == 0 && node.operands.empty()) continue;
      const DType dtype = node.operands.empty() ? graph->type(node.first_result).dtype : graph->type(node.operands[0]).dtype;
      ++coverage[{node.op, dtype}];
    }
}

std::size_t size_of_module(const Module& module) {
  std::size_t size = 0;
  for (const auto& graph : module.graphs)
    for (NodeId id = 0; id < graph->node_count(); ++id) size += graph->node(id).op != Op::parameter && graph->node(id).op != Op::constant;
  return size;
}

}  // namespace kiln::fuzz

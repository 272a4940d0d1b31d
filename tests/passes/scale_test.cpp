// Size: a chain of a million nodes, a thousand nested regions and deep networks go through the tensor passes without recursion and in
// linear time.
#include <chrono>
#include <functional>

#include "ir/builder.h"
#include "support.h"

namespace kiln::test {
namespace {

using namespace ir;

const Type scalar{f32, Type::Kind::tensor, {}};

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void run_all(Module& module) {
  passes::run_passes(
      module,
      {"dead_code", "gradients", "dead_code", "inline_calls", "canonicalize", "fold_constants", "simplify", "common_subexpressions"}, {});
}

TEST(Scale, AMillionNodesInAChain) {
  Module module;
  Builder builder(module, module.main);
  const ValueId x = builder.graph().add_parameter(scalar, "x");
  ValueId v = x;
  for (int i = 0; i < 1'000'000; ++i) v = builder.create(Op::sin, {v});
  builder.graph().results = {v};
  run_all(module);
  EXPECT_EQ(module.main_graph().node_count(), 1'000'001u);
}

TEST(Scale, AMillionConstantNodesFoldToOne) {
  Module module;
  Builder builder(module, module.main);
  ValueId v = builder.scalar(f32, 1);
  const ValueId step = builder.scalar(f32, 0.5);
  for (int i = 0; i < 1'000'000; ++i) v = builder.multiply(v, step);
  builder.graph().results = {v};
  run_all(module);
  EXPECT_EQ(module.main_graph().node_count(), 1u);
}

/// main calls a cond whose branches are a cond ... `depth` deep; gradients of the whole.
Module nested(int depth, Op op) {
  Module module;
  const Type flag{boolean, Type::Kind::tensor, {}};
  GraphId inner = none;
  for (int level = 0; level <= depth; ++level) {
    const GraphId id = level == depth ? module.main : module.add_graph("level");
    Builder builder(module, id);
    const ValueId choice = builder.graph().add_parameter(flag, "choice");
    const ValueId x = builder.graph().add_parameter(scalar, "x");
    ValueId y = none;
    if (inner == none)
      y = builder.create(Op::sin, {x});
    else if (op == Op::cond)
      y = builder.create(op, {choice, choice, x}, {{"then", GraphRef{inner}}, {"else", GraphRef{inner}}});
    else
      y = builder.create(op, {choice, x}, {{"body", GraphRef{inner}}});
    if (level < depth) {
      builder.graph().results = {builder.multiply(y, x)};
    } else {
      builder.graph().results = {builder.create(Op::gradients, {y, x})};
    }
    inner = id;
  }
  return module;
}

TEST(Scale, AThousandNestedBranches) {
  Module module = nested(1000, Op::cond);
  run_all(module);
  verify(module);
  EXPECT_GT(module.graphs.size(), 1000u);
}

TEST(Scale, AThousandNestedCalls) {
  Module module = nested(1000, Op::call);
  passes::run_passes(module, {"dead_code", "gradients", "dead_code", "inline_calls", "common_subexpressions"}, {});
  EXPECT_EQ(module.graphs.size(), 1u);
  verify(module);
}

Module deep_network(int layers) {
  Module module;
  Builder builder(module, module.main);
  Graph& graph = builder.graph();
  const Type weights{f32, Type::Kind::tensor, {64, 64}};
  ValueId h = graph.add_parameter(Type{f32, Type::Kind::tensor, {Dim::symbol("batch"), 64}}, "x");
  std::vector<ValueId> operands{none};
  for (int i = 0; i < layers; ++i) {
    operands.push_back(graph.add_parameter(weights, "w"));
    const ValueId p = builder.dot_general(h, operands.back(), {}, {}, {1}, {0});
    h = builder.create(Op::maximum, {builder.zeros(Type(builder.type(p))), p});
  }
  operands[0] = builder.reduce_add(h, {0, 1});
  graph.results = builder.create_many(Op::gradients, operands);
  return module;
}

TEST(Scale, DeepNetworksTakeLinearTime) {
  Module small = deep_network(250), large = deep_network(2000);
  run_all(small);  // once to warm up
  small = deep_network(250);
  const double few = seconds_of([&] { run_all(small); });
  const double many = seconds_of([&] { run_all(large); });
  // Eight times the layers: linear is 8, quadratic 64.
  EXPECT_LT(many, few * 24) << few << " s for 250 layers, " << many << " s for 2000";
  EXPECT_EQ(large.main_graph().results.size(), 2000u);
}

}  // namespace
}  // namespace kiln::test

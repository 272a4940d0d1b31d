// Attributes, graphs, modules, the operator table's checks, and the builder.
#include <gtest/gtest.h>

#include <limits>

#include "ir/builder.h"
#include "ir/text.h"

namespace kiln::ir {
namespace {

TEST(Attributes, SortedSharedAndTyped) {
  const Attributes a{{"strides", std::vector<std::int64_t>{1, 2}}, {"dtype", f32}, {"limit", std::int64_t{7}}};
  EXPECT_EQ(a.items()[0].first, "dtype");
  EXPECT_EQ(a.items()[2].first, "strides");
  EXPECT_EQ(a.integer("limit"), 7);
  EXPECT_EQ(a.dtype("dtype"), f32);
  EXPECT_EQ(a.find("absent"), nullptr);
  EXPECT_THROW(a.integer("dtype"), InternalError);
  EXPECT_THROW(a.integer("absent"), InternalError);
  EXPECT_THROW((Attributes{{"a", true}, {"a", false}}), InternalError);

  const Attributes changed = a.with("limit", std::int64_t{8}).without("dtype");
  EXPECT_EQ(changed.integer("limit"), 8);
  EXPECT_EQ(changed.items().size(), 2u);
  EXPECT_EQ(a.integer("limit"), 7);
  EXPECT_TRUE(a == changed.with("dtype", f32).with("limit", std::int64_t{7}));
  EXPECT_FALSE(a == changed);
}

TEST(Attributes, FloatsCompareByBits) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE((Attributes{{"x", nan}} == Attributes{{"x", nan}}));
  EXPECT_FALSE((Attributes{{"x", 0.0}} == Attributes{{"x", -0.0}}));
  EXPECT_TRUE((Attributes{{"x", Array::full(f32, {2}, nan)}} == Attributes{{"x", Array::full(f32, {2}, nan)}}));
  EXPECT_FALSE((Attributes{{"x", Array::full(f32, {2}, 1)}} == Attributes{{"x", Array::full(f64, {2}, 1)}}));
  EXPECT_FALSE((Attributes{{"x", std::int64_t{1}}} == Attributes{{"x", true}}));
}

TEST(Module, StartsWithAnEmptyMainGraph) {
  Module module;
  EXPECT_EQ(module.main_graph().name, "main");
  EXPECT_EQ(module.main_graph().node_count(), 0u);
}

TEST(Module, GraphNamesBecomeUnique) {
  Module module;
  EXPECT_EQ(module.graph(module.add_graph("main")).name, "main.1");
  EXPECT_EQ(module.graph(module.add_graph("main.2")).name, "main.2");
  EXPECT_EQ(module.graph(module.add_graph("main")).name, "main.3");
  EXPECT_EQ(module.graph(module.add_graph("body")).name, "body");
}

TEST(Module, EqualLocationsHaveOneId) {
  Module module;
  const std::string copy = "a.cpp";
  const LocationId first = module.add_location(Location::interned("a.cpp", 3));
  const LocationId second = module.add_location(Location::interned("a.cpp", 4));
  EXPECT_NE(first, second);
  EXPECT_EQ(module.add_location(Location::interned(copy, 3)), first);
  EXPECT_EQ(module.add_location(Location{}), 0u);
  EXPECT_EQ(module.location(second).line, 4u);
  EXPECT_EQ(module.location_count(), 3u);
}

TEST(Module, CloneIsIndependent) {
  Module module;
  Builder b(module, module.main);
  const ValueId x = module.main_graph().add_parameter({f32, Type::Kind::tensor, {4}}, "x");
  module.main_graph().results = {b.negate(x)};
  const std::string before = print(module);
  Module copy = module.clone();
  Builder(copy, copy.main).negate(0);
  copy.main_graph().set_value_name(0, "renamed");
  copy.add_graph("other");
  EXPECT_EQ(print(module), before);
  EXPECT_NE(print(copy), before);
  EXPECT_EQ(copy.graph(copy.add_graph("main")).name, "main.1");
}

TEST(Module, SweepDropsUnreachableGraphsAndRenumbers) {
  Module module = parse(R"(
variable @v : f32[] = @init
graph @main(%p: bool[], %x: f32[]) -> (%y) {
  %y = cond %p, %x {else = @second, then = @first} : f32[]
}
graph @first(%x: f32[]) -> (%0) {
  %0 = call %x {body = @inner} : f32[]
}
graph @second(%x: f32[]) -> (%x) {
}
graph @inner(%x: f32[]) -> (%x) {
}
graph @init() -> (%0) {
  %0 = constant {value = f32[] 1} : f32[]
}
)");
  const std::string text = print(module);
  // Other ids, and a graph that nothing refers to.
  const GraphId unused = module.add_graph("unused");
  std::swap(module.graphs[unused], module.graphs[module.main]);
  module.main = unused;
  module.sweep();
  ASSERT_EQ(module.graphs.size(), 5u);
  const char* const order[] = {"main", "second", "first", "inner", "init"};
  for (GraphId i = 0; i < 5; ++i) EXPECT_EQ(module.graph(i).name, order[i]);
  EXPECT_EQ(print(module), text);
  EXPECT_EQ(module.graph(module.add_graph("unused")).name, "unused");
}

TEST(Module, VariablesAreFoundHoweverTheyWereAdded) {
  Module module;
  const auto named = [](const char* name) {
    Variable variable;
    variable.name = name;
    return variable;
  };
  EXPECT_EQ(module.add_variable(named("a")), 0u);
  module.variables.push_back(named("b"));
  EXPECT_EQ(module.find_variable("a"), 0u);
  EXPECT_EQ(module.find_variable("b"), 1u);
  EXPECT_EQ(module.find_variable("c"), std::nullopt);
  module.variables.erase(module.variables.begin());
  EXPECT_EQ(module.find_variable("a"), std::nullopt);
  EXPECT_EQ(module.find_variable("b"), 0u);
}

TEST(OperatorTable, NamesFindTheirOps) {
  for (const Op op : all_ops()) EXPECT_EQ(op_from_name(info(op).name), op);
  EXPECT_EQ(op_from_name("no_such_op"), std::nullopt);
  EXPECT_EQ(info(Op::dot_general).name, "dot_general");
}

class BuilderErrors : public testing::Test {
 protected:
  BuilderErrors() {
    builder.location = module.add_location(Location::interned("model.cpp", 12));
    x = module.main_graph().add_parameter({f32, Type::Kind::tensor, {4}}, "x");
    flags = module.main_graph().add_parameter({boolean, Type::Kind::tensor, {4}}, "flags");
  }

  std::string error(Op op, std::vector<ValueId> operands, Attributes attributes = {}) {
    try {
      builder.create(op, std::move(operands), std::move(attributes));
    } catch (const Error& e) {
      EXPECT_EQ(e.where().line, 12u);
      return e.message();
    }
    return "no error";
  }

  Module module;
  Builder builder{module, module.main};
  ValueId x, flags;
};

TEST_F(BuilderErrors, OperandCount) {
  EXPECT_EQ(error(Op::add, {x}), "add takes 2 operands, but was given f32[4]");
  EXPECT_EQ(error(Op::negate, {}), "negate takes 1 operand, but was given no operands");
  EXPECT_EQ(error(Op::select, {flags, x, x, x}), "select takes 3 operands, but was given bool[4], f32[4], f32[4] and f32[4]");
}

TEST_F(BuilderErrors, Attributes) {
  EXPECT_EQ(error(Op::negate, {x}, {{"axis", std::int64_t{0}}}), "negate has no attribute 'axis'");
  EXPECT_EQ(error(Op::convert, {x}, {{"dtype", std::int64_t{0}}}),
            "convert: attribute 'dtype' must be of kind dtype, but is of kind integer");
  EXPECT_EQ(error(Op::convert, {x}), "convert: attribute 'dtype' (dtype: of the result) is missing");
}

TEST_F(BuilderErrors, DTypes) {
  EXPECT_EQ(error(Op::exp, {flags}), "exp of dtype bool does not exist: operands are bool[4]");
  EXPECT_EQ(error(Op::not_, {x}).substr(0, 31), "not of dtype f32 does not exist");
}

TEST_F(BuilderErrors, NothingIsAppendedOnAnError) {
  const std::size_t before = module.main_graph().node_count();
  error(Op::add, {x});
  EXPECT_EQ(module.main_graph().node_count(), before);
  EXPECT_THROW(builder.create(Op::add, {x, 1000}), InternalError);
}

}  // namespace
}  // namespace kiln::ir

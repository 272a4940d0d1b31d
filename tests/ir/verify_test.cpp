// The verifier: every invariant broken once, and the message that says so.
#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace kiln::ir {
namespace {

const Type scalar{f32, Type::Kind::tensor, {}};
const Type flag{boolean, Type::Kind::tensor, {}};
const Type tape{f32, Type::Kind::tape, {}};

/// main(x, p) with y = negate(x), a graph f(x) = x, and a variable v.
struct Broken : testing::Test {
  Broken() {
    Graph& main = module.main_graph();
    x = main.add_parameter(scalar, "x");
    p = main.add_parameter(flag, "p");
    y = builder.negate(x);
    main.results = {y};
    f = module.add_graph("f");
    module.graph(f).results = {module.graph(f).add_parameter(scalar, "x")};
    Variable variable;
    variable.name = "v";
    variable.type = scalar;
    module.add_variable(std::move(variable));
  }

  Node& node_of(ValueId v) { return module.main_graph().node(module.main_graph().defining_node(v)); }

  /// "4: message" of the first violation; also checks that verify() throws it.
  std::string violation() {
    const auto found = find_violation(module);
    if (!found) return "none";
    try {
      verify(module);
      ADD_FAILURE() << "verify does not throw";
    } catch (const InternalError& error) {
      const std::string start = "tensor IR breaks invariant " + std::to_string(found->invariant) + ": " + found->message;
      EXPECT_NE(std::string(error.what()).find(start), std::string::npos) << error.what();
    }
    return std::to_string(found->invariant) + ": " + found->message;
  }

  Module module;
  Builder builder{module, module.main};
  ValueId x, p, y;
  GraphId f;
};

TEST_F(Broken, NotYet) { EXPECT_EQ(violation(), "none"); }

TEST_F(Broken, NoMain) {
  module.main = none;
  EXPECT_EQ(violation(), "1: there is no main graph");
}

TEST_F(Broken, MissingGraph) {
  node_of(builder.create(Op::call, {x}, {{"body", GraphRef{f}}})).attributes = {{"body", GraphRef{77}}};
  EXPECT_EQ(violation(), "1: attribute 'body' refers to a graph that does not exist");
}

TEST_F(Broken, MissingInitializer) {
  module.variables[0].initializer = 77;
  EXPECT_EQ(violation(), "1: variable @v is initialized by a graph that does not exist");
}

TEST_F(Broken, GraphNames) {
  module.graph(f).name = "main";
  EXPECT_EQ(violation(), "2: two graphs have the name 'main'");
  module.graph(f).name = "";
  EXPECT_EQ(violation(), "2: the graph has no name");
}

TEST_F(Broken, Cycle) {
  const GraphId g = module.add_graph("g");
  const ValueId parameter = module.graph(g).add_parameter(scalar);
  module.graph(g).results = {Builder(module, g).create(Op::call, {parameter}, {{"body", GraphRef{f}}})};
  module.graph(f).append(Op::call, {0}, {{"body", GraphRef{g}}}, {scalar});
  EXPECT_EQ(violation(), "2: references between graphs form a cycle through @f");
}

TEST_F(Broken, Variables) {
  const Module good = module.clone();
  module.variables.push_back(module.variables[0]);
  EXPECT_EQ(violation(), "3: two variables have the name 'v'");
  module = good.clone();
  module.variables[0].name = "";
  EXPECT_EQ(violation(), "3: a variable has no name");
  module = good.clone();
  module.variables[0].type.dims = {Dim::symbol("n")};
  EXPECT_EQ(violation(), "3: variable @v has no static shape: f32[n]");
  module = good.clone();
  module.variables[0].type.kind = Type::Kind::tape;
  EXPECT_EQ(violation(), "3: variable @v is no tensor");
  module = good.clone();
  module.variables[0].initial = Array(1.0);
  EXPECT_EQ(violation(), "3: variable @v is f32[], but its initial value is f64[]");
  module = good.clone();
  module.variables[0].initializer = f;
  EXPECT_EQ(violation(), "3: variable @v is initialized by @f, which must take nothing and yield one f32[]");
  module.variables[0].initial = Array(1.0F);
  EXPECT_EQ(violation(), "3: variable @v has both an initial value and an initializer");
}

TEST_F(Broken, NumberingOfResults) {
  node_of(y).first_result = 7;
  EXPECT_EQ(violation(), "4: the node's results are not numbered in order");
  node_of(y).first_result = y;
  node_of(y).result_count = 0;
  EXPECT_EQ(violation().substr(0, 2), "8:");  // negate without a result
  module.main_graph().node(2).result_count = 2;
  EXPECT_EQ(violation(), "4: the node's results are not numbered in order");
}

TEST_F(Broken, OrderOfOperands) {
  const ValueId z = builder.negate(y);
  node_of(y).operands = {z};
  EXPECT_EQ(violation(), "5: operand 3 is not defined before the node");
  node_of(y).operands = {y};
  EXPECT_EQ(violation(), "5: operand 2 is not defined before the node");
  node_of(y).operands = {none};
  EXPECT_EQ(violation(), "5: operand 4294967295 is not defined before the node");
}

TEST_F(Broken, ResultsOfTheGraph) {
  module.main_graph().results = {99};
  EXPECT_EQ(violation(), "5: result 99 is no value of the graph");
}

TEST_F(Broken, Parameters) {
  module.main_graph().parameters = {x, y};
  EXPECT_EQ(violation(), "6: parameter 2 is no result of a parameter node");
  module.main_graph().parameters = {x, 99};
  EXPECT_EQ(violation(), "6: parameter 99 is no result of a parameter node");
  module.main_graph().parameters = {x, x};
  EXPECT_EQ(violation(), "6: parameter 0 is listed twice");
  module.main_graph().parameters = {x};
  EXPECT_EQ(violation(), "6: the graph has 2 parameter nodes, but lists 1 parameters");
}

TEST_F(Broken, TapesAtTheBorder) {
  module.main_graph().add_parameter(tape);
  EXPECT_EQ(violation(), "6: a parameter of the main graph is no tensor");
  module.main_graph().parameters.pop_back();
  module.main_graph() = Graph();
  module.main_graph().name = "main";
  module.main_graph().results = {builder.create(Op::tape_new, {}, {{"dtype", f32}})};
  EXPECT_EQ(violation(), "6: a result of the main graph is no tensor");
}

TEST_F(Broken, NegativeExtents) {
  module.main_graph().add_parameter({f32, Type::Kind::tensor, {-2}});
  EXPECT_EQ(violation(), "7: the extent -2 of f32[-2] is negative");
  Module other;
  other.main_graph().add_parameter({f32, Type::Kind::tensor, {-Dim::symbol("n") - Dim(1)}});
  module = std::move(other);
  EXPECT_EQ(violation(), "7: the extent -n - 1 of f32[-n - 1] is negative");
}

TEST_F(Broken, ResultTypes) {
  module.main_graph().append(Op::negate, {x}, {}, {{f64, Type::Kind::tensor, {}}});
  EXPECT_EQ(violation(), "8: result 0 of negate is f64[], but f32[] is inferred");
}

TEST_F(Broken, ResultCount) {
  module.main_graph().append(Op::negate, {x}, {}, {scalar, scalar});
  EXPECT_EQ(violation(), "8: negate has 2 results, but 1 are inferred");
}

TEST_F(Broken, OperandCount) {
  node_of(y).operands.push_back(x);
  EXPECT_EQ(violation(), "8: negate takes 1 operand, but was given f32[] and f32[]");
}

TEST_F(Broken, AttributeKinds) {
  node_of(y).attributes = {{"axis", std::int64_t{1}}};
  EXPECT_EQ(violation(), "8: negate has no attribute 'axis'");
}

TEST_F(Broken, RegionSignature) {
  node_of(builder.create(Op::call, {x}, {{"body", GraphRef{f}}})).operands = {p};
  EXPECT_EQ(violation().substr(0, 8), "8: call:");
}

TEST_F(Broken, UndeclaredVariable) {
  node_of(builder.create(Op::variable, {}, {{"name", std::string("v")}})).attributes = {{"name", std::string("w")}};
  EXPECT_EQ(violation(), "8: variable: there is no variable named \"w\"");
}

TEST_F(Broken, TypeOfAVariable) {
  builder.create(Op::variable, {}, {{"name", std::string("v")}});
  module.variables[0].type.dtype = f64;
  EXPECT_EQ(violation(), "8: result 0 of variable is f32[], but f64[] is inferred");
}

TEST_F(Broken, ParameterWithOperands) {
  node_of(p).operands = {x};
  EXPECT_EQ(violation(), "8: a parameter has no operands, no attributes and one result");
}

TEST_F(Broken, AssignInARegion) {
  Builder(module, f).create(Op::assign, {0}, {{"name", std::string("v")}});
  EXPECT_EQ(violation(), "9: assign stands outside of the main graph");
}

TEST_F(Broken, VariableInARegion) {
  Builder(module, f).create(Op::variable, {}, {{"name", std::string("v")}});
  EXPECT_EQ(violation(), "9: variable stands outside of the main graph and of initializers");
  module.graph(f) = Graph();
  module.graph(f).name = "f";
  module.graph(f).results = {Builder(module, f).create(Op::variable, {}, {{"name", std::string("v")}})};
  Variable drawn;
  drawn.name = "drawn";
  drawn.type = scalar;
  drawn.initializer = f;
  module.add_variable(std::move(drawn));
  EXPECT_EQ(violation(), "none");
}

TEST_F(Broken, TwoAssigns) {
  builder.create(Op::assign, {x}, {{"name", std::string("v")}});
  EXPECT_EQ(violation(), "none");
  builder.create(Op::assign, {y}, {{"name", std::string("v")}});
  EXPECT_EQ(violation(), "9: variable @v is assigned twice");
}

TEST_F(Broken, TapeUsedTwice) {
  const ValueId t = builder.create(Op::tape_new, {}, {{"dtype", f32}});
  builder.create(Op::tape_push, {t, x});
  EXPECT_EQ(violation(), "none");
  builder.create(Op::tape_push, {t, y});
  EXPECT_EQ(violation(), "10: tape 3 is used more than once");
}

TEST_F(Broken, TapeCapturedByALoop) {
  const GraphId condition = module.add_graph("condition"), body = module.add_graph("body");
  for (const GraphId id : {condition, body})
    for (const Type& type : {flag, tape}) module.graph(id).add_parameter(type);
  module.graph(condition).results = module.graph(body).results = {0};
  const ValueId t = builder.create(Op::tape_new, {}, {{"dtype", f32}});
  builder.create(Op::while_loop, {p, t}, {{"carried", std::int64_t{1}}, {"condition", GraphRef{condition}}, {"body", GraphRef{body}}});
  EXPECT_EQ(violation(), "10: the loop captures a tape, operand 1");
}

TEST_F(Broken, KernelWithControlFlow) {
  const GraphId g = module.add_graph("g");
  const ValueId parameter = module.graph(g).add_parameter(scalar);
  module.graph(g).results = {Builder(module, g).create(Op::call, {parameter}, {{"body", GraphRef{f}}})};
  builder.create(Op::kernel, {x}, {{"body", GraphRef{g}}, {"kind", std::string("map")}});
  EXPECT_EQ(violation(), "11: the kernel's body @g holds a node of call");
}

TEST_F(Broken, Locations) {
  node_of(y).location = 5;
  EXPECT_EQ(violation(), "12: the node has a location that the module does not have");
  node_of(y).location = 0;
  module.variables[0].location = 5;
  EXPECT_EQ(violation(), "12: variable @v has a location that the module does not have");
}

TEST_F(Broken, ProducedSymbols) {
  const Type vector{f32, Type::Kind::tensor, {Dim::symbol("n")}}, count{i64, Type::Kind::tensor, {}};
  Graph& main = module.main_graph();
  const ValueId v = main.add_parameter(vector, "v"), c = main.add_parameter(count, "c");
  main.parameters = {x, p, v, c};
  const auto zeros = [](Builder& b, const char* symbol) { return b.create(Op::iota, {}, {{"dtype", f32}, {"dims", Dims{Dim::symbol(symbol)}}, {"dim", std::int64_t{0}}}); };
  const auto shrink = [](Builder& b, ValueId from, ValueId number, const char* symbol) {
    return b.create(Op::shrink, {from, number}, {{"symbol", std::string(symbol)}});
  };
  const auto with = [&](auto&& add) {
    const Module before = module.clone();
    add();
    std::string message = violation();
    for (GraphId g = 0; g < before.graphs.size(); ++g) module.graph(g) = before.graph(g);
    module.graphs.resize(before.graphs.size());
    return message;
  };
  EXPECT_EQ(with([&] { zeros(builder, "n"), shrink(builder, v, c, "k"), zeros(builder, "k"); }), "none");
  EXPECT_EQ(with([&] { zeros(builder, "k"), shrink(builder, v, c, "k"); }), "13: the symbol k is mentioned before the node that produces it");
  EXPECT_EQ(with([&] { shrink(builder, v, c, "k"), shrink(builder, v, c, "k"); }), "13: the symbol k is produced twice");
  // A graph that produces k and hands it out, one that does not, and one that needs it.
  const auto region = [&](bool produces, bool hands_out) {
    const GraphId g = module.add_graph("g");
    Builder inside(module, g);
    const ValueId from = module.graph(g).add_parameter(vector), number = module.graph(g).add_parameter(count);
    const ValueId k = produces ? shrink(inside, from, number, "k") : zeros(inside, "k");
    module.graph(g).results = {hands_out ? k : number};
    return g;
  };
  const auto call = [&](GraphId g) { return builder.create(Op::call, {v, c}, {{"body", GraphRef{g}}}); };
  EXPECT_EQ(with([&] { call(region(true, false)); }), "none");
  EXPECT_EQ(with([&] { call(region(true, true)); }), "13: a result of the region is f32[k], whose k is produced inside");
  EXPECT_EQ(with([&] { shrink(builder, v, c, "k"), call(region(false, false)); }), "none");
  EXPECT_EQ(with([&] { call(region(false, false)), shrink(builder, v, c, "k"); }), "13: the symbol k is mentioned before the node that produces it");
  EXPECT_EQ(with([&] { shrink(builder, v, c, "k"), call(region(true, false)); }), "13: @g.4 produces k, which has a value where it runs");
  EXPECT_EQ(with([&] {
              const GraphId g = region(true, false);
              call(g), call(g);
            }),
            "13: the symbol k is produced by two calls");
}

TEST_F(Broken, TheMessageShowsPlaceAndGraph) {
  builder.location = module.add_location(Location::interned("model.cpp", 8));
  node_of(builder.negate(y)).operands = {p};
  try {
    verify(module);
    ADD_FAILURE();
  } catch (const InternalError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("\n  in graph @main, node 3 (negate), written at model.cpp:8\ngraph @main(%x: f32[], %p: bool[]) -> (%0) {\n"),
              std::string::npos)
        << text;
  }
}

}  // namespace
}  // namespace kiln::ir

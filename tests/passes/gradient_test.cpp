// Gradients against central differences of the reference interpreter, in f64.
#include "support.h"

namespace kiln::test {
namespace {

TEST(Gradients, OfTwoLayers) {
  std::mt19937 random(1);
  check_gradients(R"(
graph @main(%w1: f64[4, 5], %w2: f64[5, 2], %x: f64[3, 4], %y: f64[3, 2]) -> (%loss, %g1, %g2) {
  %h = dot_general %x, %w1 {lhs_contract = [1], rhs_contract = [0]} : f64[3, 5]
  %t = tanh %h : f64[3, 5]
  %p = dot_general %t, %w2 {lhs_contract = [1], rhs_contract = [0]} : f64[3, 2]
  %d = subtract %p, %y : f64[3, 2]
  %s = multiply %d, %d : f64[3, 2]
  %loss = reduce %s {combiner = "add", dimensions = [0, 1]} : f64[]
  %g1, %g2 = gradients %loss, %w1, %w2 : f64[4, 5], f64[5, 2]
}
)",
                  {random_array({4, 5}, random), random_array({5, 2}, random), random_array({3, 4}, random), random_array({3, 2}, random)});
}

// A value and an equal one that is computed apart are different things to differentiate with respect to.
TEST(Gradients, SeparateEqualValues) {
  const ir::Module module = compiled(R"(
graph @main(%x: f64[]) -> (%g) {
  %one = constant {value = f64[] 1} : f64[]
  %a = add %x, %one : f64[]
  %b = add %x, %one : f64[]
  %y = multiply %a, %b : f64[]
  %g = gradients %y, %a : f64[]
}
)",
                                     {"gradients", "canonicalize", "common_subexpressions", "simplify"});
  EXPECT_EQ(run(module, {Array(2.0)})[0].item<double>(), 3.0);
}

TEST(Gradients, ZerosWhereNothingFlows) {
  const ir::Module module = compiled(R"(
graph @main(%x: f64[2], %z: f64[3]) -> (%g, %gz, %gs) {
  %s = stop_gradient %x : f64[2]
  %p = multiply %s, %x : f64[2]
  %y = reduce %p {combiner = "add", dimensions = [0]} : f64[]
  %g, %gz, %gs = gradients %y, %x, %z, %s : f64[2], f64[3], f64[2]
}
)",
                                     {"gradients"});
  const std::vector<Array> results = run(module, {Array({2}, {3.0, 4.0}), Array({3}, {1.0, 1.0, 1.0})});
  EXPECT_TRUE(identical(results[0], Array({2}, {3.0, 4.0})));
  EXPECT_TRUE(identical(results[1], Array({3}, {0.0, 0.0, 0.0})));
  EXPECT_TRUE(identical(results[2], Array({2}, {3.0, 4.0})));
}

TEST(Gradients, StartFromAGivenCotangent) {
  const ir::Module module = compiled(R"(
graph @main(%x: f64[2], %c: f64[2]) -> (%g) {
  %y = multiply %x, %x : f64[2]
  %g = gradients %y, %c, %x {seeded = true} : f64[2]
}
)",
                                     {"gradients"});
  EXPECT_TRUE(identical(run(module, {Array({2}, {3.0, 4.0}), Array({2}, {1.0, 10.0})})[0], Array({2}, {6.0, 80.0})));
}

TEST(Gradients, OfSecondOrder) {
  std::mt19937 random(2);
  // The first gradient's own squared norm, differentiated: what gradient penalties do.
  check_gradients(R"(
graph @main(%x: f64[4]) -> (%loss, %g2) {
  %t = tanh %x : f64[4]
  %e = exp %t : f64[4]
  %m = multiply %e, %x : f64[4]
  %y = reduce %m {combiner = "add", dimensions = [0]} : f64[]
  %g = gradients %y, %x : f64[4]
  %s = multiply %g, %g : f64[4]
  %loss = reduce %s {combiner = "add", dimensions = [0]} : f64[]
  %g2 = gradients %loss, %x : f64[4]
}
)",
                  {random_array({4}, random)});
}

const std::string branches = R"(
graph @main(%x: f64[3], %w: f64[3], %choice: bool[]) -> (%loss, %gx, %gw) {
  %a, %b = cond %choice, %x, %w {then = @square, else = @weighted} : f64[3], f64[3]
  %p = multiply %a, %b : f64[3]
  %loss = reduce %p {combiner = "add", dimensions = [0]} : f64[]
  %gx, %gw = gradients %loss, %x, %w : f64[3], f64[3]
}
graph @square(%x: f64[3], %w: f64[3]) -> (%y, %x) {
  %y = multiply %x, %x : f64[3]
}
graph @weighted(%x: f64[3], %w: f64[3]) -> (%y, %t) {
  %y = multiply %x, %w : f64[3]
  %t = tanh %w : f64[3]
}
)";

TEST(Gradients, ThroughBranches) {
  std::mt19937 random(3);
  for (bool choice : {true, false}) check_gradients(branches, {random_array({3}, random), random_array({3}, random), Array(choice)});
}

TEST(Gradients, ThroughCallsAndComposites) {
  std::mt19937 random(4);
  check_gradients(R"(
graph @main(%x: f64[3], %w: f64[3]) -> (%loss, %gx, %gw) {
  %a, %b = call %x, %w {body = @outer} : f64[3], f64[3]
  %c = composite %a {name = "triple", decomposition = @triple, backward = @triple_backward} : f64[3]
  %p = multiply %c, %b : f64[3]
  %loss = reduce %p {combiner = "add", dimensions = [0]} : f64[]
  %gx, %gw = gradients %loss, %x, %w : f64[3], f64[3]
}
graph @inner(%a: f64[3]) -> (%r) {
  %s = sin %a : f64[3]
  %r = multiply %s, %a : f64[3]
}
graph @outer(%a: f64[3], %b: f64[3]) -> (%r, %q) {
  %r = call %a {body = @inner} : f64[3]
  %q = composite %b {name = "wave", decomposition = @inner} : f64[3]
}
graph @triple(%a: f64[3]) -> (%r) {
  %three = constant {value = f64[] 3} : f64[]
  %b = broadcast_in_dim %three {dims = [3]} : f64[3]
  %r = multiply %a, %b : f64[3]
}
graph @triple_backward(%a: f64[3], %r: f64[3], %c: f64[3]) -> (%g) {
  %three = constant {value = f64[] 3} : f64[]
  %b = broadcast_in_dim %three {dims = [3]} : f64[3]
  %g = multiply %c, %b : f64[3]
}
)",
                  {random_array({3}, random), random_array({3}, random)});
}

// h <- tanh(h w + i), while i < n, with the trip count fed; w is captured, the counter an integer.
const std::string loop_graphs = R"(
graph @less(%h: f64[3], %i: i64[], %w: f64[3, 3], %n: i64[]) -> (%c) {
  %c = compare %i, %n {direction = "lt"} : bool[]
}
graph @step(%h: f64[3], %i: i64[], %w: f64[3, 3], %n: i64[]) -> (%t, %next) {
  %p = dot_general %h, %w {lhs_contract = [0], rhs_contract = [0]} : f64[3]
  %f = convert %i {dtype = f64} : f64[]
  %b = broadcast_in_dim %f {dims = [3]} : f64[3]
  %s = add %p, %b : f64[3]
  %t = sin %s : f64[3]
  %one = constant {value = i64[] 1} : i64[]
  %next = add %i, %one : i64[]
}
)";

TEST(Gradients, ThroughALoopOfFedLength) {
  std::mt19937 random(5);
  for (std::int64_t n : {0, 1, 4})
    check_gradients(R"(
graph @main(%x: f64[3], %w: f64[3, 3], %n: i64[]) -> (%loss, %gx, %gw) {
  %zero = constant {value = i64[] 0} : i64[]
  %h, %i = while_loop %x, %zero, %w, %n {carried = 2, condition = @less, body = @step, max_trip_count = 8} : f64[3], i64[]
  %q = multiply %h, %h : f64[3]
  %loss = reduce %q {combiner = "add", dimensions = [0]} : f64[]
  %gx, %gw = gradients %loss, %x, %w : f64[3], f64[3, 3]
}
)" + loop_graphs,
                    {random_array({3}, random), random_array({3, 3}, random), Array(n)});
}

TEST(Gradients, OfSecondOrderThroughALoop) {
  std::mt19937 random(6);
  for (std::int64_t n : {0, 1, 3})
    check_gradients(R"(
graph @main(%x: f64[3], %w: f64[3, 3], %n: i64[]) -> (%loss, %g2x, %g2w) {
  %zero = constant {value = i64[] 0} : i64[]
  %h, %i = while_loop %x, %zero, %w, %n {carried = 2, condition = @less, body = @step} : f64[3], i64[]
  %q = multiply %h, %h : f64[3]
  %y = reduce %q {combiner = "add", dimensions = [0]} : f64[]
  %gx, %gw = gradients %y, %x, %w : f64[3], f64[3, 3]
  %sx = multiply %gx, %gx : f64[3]
  %sw = multiply %gw, %gw : f64[3, 3]
  %lx = reduce %sx {combiner = "add", dimensions = [0]} : f64[]
  %lw = reduce %sw {combiner = "add", dimensions = [0, 1]} : f64[]
  %loss = add %lx, %lw : f64[]
  %g2x, %g2w = gradients %loss, %x, %w : f64[3], f64[3, 3]
}
)" + loop_graphs,
                    {random_array({3}, random), random_array({3, 3}, random), Array(n)}, 1e-5);
}

TEST(Gradients, OfThirdOrderThroughALoop) {
  check_gradients(R"(
graph @main(%w: f64[], %x: f64[], %n: i64[]) -> (%second, %third) {
  %zero = constant {value = i64[] 0} : i64[]
  %h, %i = while_loop %x, %zero, %w, %n {carried = 2, condition = @less, body = @step} : f64[], i64[]
  %first = gradients %h, %w : f64[]
  %second = gradients %first, %w : f64[]
  %third = gradients %second, %w : f64[]
}
graph @less(%h: f64[], %i: i64[], %w: f64[], %n: i64[]) -> (%c) {
  %c = compare %i, %n {direction = "lt"} : bool[]
}
graph @step(%h: f64[], %i: i64[], %w: f64[], %n: i64[]) -> (%t, %next) {
  %p = multiply %h, %w : f64[]
  %t = sin %p : f64[]
  %one = constant {value = i64[] 1} : i64[]
  %next = add %i, %one : i64[]
}
)",
                  {Array(0.7), Array(1.3), Array(std::int64_t{3})}, 1e-5);
}

TEST(Gradients, ThroughLoopsInLoopsAndBranchesInLoops) {
  std::mt19937 random(7);
  const std::string text = R"(
graph @main(%x: f64[2], %w: f64[2], %n: i64[]) -> (%loss, %gx, %gw) {
  %zero = constant {value = i64[] 0} : i64[]
  %h, %i = while_loop %x, %zero, %w, %n {carried = 2, condition = @less, body = @outer_step} : f64[2], i64[]
  %loss = reduce %h {combiner = "add", dimensions = [0]} : f64[]
  %gx, %gw = gradients %loss, %x, %w : f64[2], f64[2]
}
graph @less(%h: f64[2], %i: i64[], %w: f64[2], %n: i64[]) -> (%c) {
  %c = compare %i, %n {direction = "lt"} : bool[]
}
graph @inner_step(%h: f64[2], %i: i64[], %w: f64[2], %n: i64[]) -> (%t, %next) {
  %p = multiply %h, %w : f64[2]
  %t = cos %p : f64[2]
  %one = constant {value = i64[] 1} : i64[]
  %next = add %i, %one : i64[]
}
graph @even(%h: f64[2], %w: f64[2]) -> (%y) {
  %y = multiply %h, %h : f64[2]
}
graph @odd(%h: f64[2], %w: f64[2]) -> (%y) {
  %y = add %h, %w : f64[2]
}
graph @outer_step(%h: f64[2], %i: i64[], %w: f64[2], %n: i64[]) -> (%y, %next) {
  %zero = constant {value = i64[] 0} : i64[]
  %t, %k = while_loop %h, %zero, %w, %i {carried = 2, condition = @less, body = @inner_step} : f64[2], i64[]
  %two = constant {value = i64[] 2} : i64[]
  %r = remainder %i, %two : i64[]
  %c = compare %r, %zero {direction = "eq"} : bool[]
  %y = cond %c, %t, %w {then = @even, else = @odd} : f64[2]
  %one = constant {value = i64[] 1} : i64[]
  %next = add %i, %one : i64[]
}
)";
  for (std::int64_t n : {1, 2, 4}) check_gradients(text, {random_array({2}, random), random_array({2}, random), Array(n)});
}

// A gradient inside the body of a loop (each iteration is a step of gradient descent), and the gradient of the whole with respect to the
// start.
TEST(Gradients, ThroughALoopThatDescends) {
  check_gradients(R"(
graph @main(%x: f64[2], %n: i64[]) -> (%loss, %gx) {
  %zero = constant {value = i64[] 0} : i64[]
  %h, %i = while_loop %x, %zero, %n {carried = 2, condition = @less, body = @descend} : f64[2], i64[]
  %q = multiply %h, %h : f64[2]
  %loss = reduce %q {combiner = "add", dimensions = [0]} : f64[]
  %gx = gradients %loss, %x : f64[2]
}
graph @less(%x: f64[2], %i: i64[], %n: i64[]) -> (%c) {
  %c = compare %i, %n {direction = "lt"} : bool[]
}
graph @descend(%x: f64[2], %i: i64[], %n: i64[]) -> (%y, %next) {
  %e = exp %x : f64[2]
  %l = reduce %e {combiner = "add", dimensions = [0]} : f64[]
  %g = gradients %l, %x : f64[2]
  %y = subtract %x, %g : f64[2]
  %one = constant {value = i64[] 1} : i64[]
  %next = add %i, %one : i64[]
}
)",
                  {Array({2}, {0.3, -0.4}), Array(std::int64_t{3})});
}

// ---- what gradients() checks at the call

ir::ValueId named(const ir::Graph& graph, const std::string& name) {
  for (ir::ValueId v = 0; v < graph.value_count(); ++v)
    if (graph.value_name(v) == name) return v;
  ADD_FAILURE() << "no value " << name;
  return 0;
}

std::optional<passes::GradientProblem> problem_of(const std::string& text, const std::vector<std::string>& wrt) {
  const ir::Module module = ir::parse(text);
  std::vector<ir::ValueId> values;
  for (const std::string& name : wrt) values.push_back(named(module.main_graph(), name));
  return passes::find_gradient_problem(module, module.main, named(module.main_graph(), "loss"), values);
}

const std::string cut_path = R"(
graph @main(%x: f64[2], %w: f64[2]) -> (%loss) {
  %s = stop_gradient %w : f64[2]
  %p = multiply %s, %x : f64[2]
  %loss = reduce %p {combiner = "add", dimensions = [0]} : f64[]
}
)";

TEST(GradientProblem, NamesWhatTheLossDoesNotDependOn) {
  EXPECT_FALSE(problem_of(cut_path, {"x"}));
  const auto problem = problem_of(cut_path, {"x", "w"});
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->wrt, 1u);
  EXPECT_EQ(problem->message,
            "\"loss\" does not depend on \"w\" in a differentiable way: stop_gradient has no gradient (it is there to cut the path)\n"
            "  on the path reduce <- multiply <- stop_gradient <- parameter");
}

TEST(GradientProblem, NamesTheOpThatCutsThePathWithItsLine) {
  const auto problem = problem_of(R"(
graph @main(%x: f64[2], %z: f64[2], %lonely: f64[]) -> (%loss) {
  %c = compare %x, %z {direction = "gt"} : bool[2] loc("model.cpp":12)
  %f = convert %c {dtype = f64} : f64[2] loc("model.cpp":13)
  %loss = reduce %f {combiner = "add", dimensions = [0]} : f64[] loc("model.cpp":14)
})",
                                  {"x"});
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->message,
            "\"loss\" at model.cpp:14 does not depend on \"x\" in a differentiable way: compare at model.cpp:12 has no gradient (its "
            "result is bool)\n"
            "  on the path reduce (model.cpp:14) <- convert (model.cpp:13) <- compare (model.cpp:12) <- parameter");
}

TEST(GradientProblem, SaysWhenNothingConnects) {
  const auto problem = problem_of(R"(
graph @main(%x: f64[2], %lonely: f64[]) -> (%loss) {
  %loss = reduce %x {combiner = "add", dimensions = [0]} : f64[]
})",
                                  {"lonely"});
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->message, "\"loss\" does not depend on \"lonely\"");
}

TEST(GradientProblem, LooksThroughLoops) {
  const std::string text = R"(
graph @main(%x: f64[3], %w: f64[3, 3], %n: i64[], %unused: f64[]) -> (%loss) {
  %zero = constant {value = i64[] 0} : i64[]
  %h, %i = while_loop %x, %zero, %w, %n {carried = 2, condition = @less, body = @step} : f64[3], i64[]
  %loss = reduce %h {combiner = "add", dimensions = [0]} : f64[]
}
)" + loop_graphs;
  EXPECT_FALSE(problem_of(text, {"x", "w"}));
  const auto problem = problem_of(text, {"w", "unused"});
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->wrt, 1u);
}

TEST(GradientProblem, TakesLinearTimeOnAChain) {
  ir::Module module;
  ir::Builder builder(module, module.main);
  ir::ValueId v = module.main_graph().add_parameter(ir::Type{f64, ir::Type::Kind::tensor, {}}, "x");
  const ir::ValueId x = v;
  for (int i = 0; i < 200000; ++i) v = builder.negate(v);
  EXPECT_FALSE(passes::find_gradient_problem(module, module.main, v, {&x, 1}));
}

}  // namespace
}  // namespace kiln::test

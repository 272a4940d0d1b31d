// Updates in the plan: where a scatter or dynamic_update_slice changes its operand's memory, and where that is copied first.
#include <fmt/format.h>

#include "ir/program_liveness.h"
#include "tests/loops/plan_fixture.h"

namespace kiln::passes {
namespace {

/// Copies of more than a scalar (loops copy their counters).
std::size_t copies(const ir::Program& program) {
  std::size_t count = 0;
  ir::for_each_statement(program, [&](const ir::Statement& s, int) {
    count += s.kind == ir::StatementKind::copy && !program.buffers[s.buffers[0]].extents.empty();
  });
  return count;
}

/// A loop of n steps that carries a buffer f32[n, 8]: `body` makes %next from %i (i64[]), %buffer and %x.
std::string loop(const std::string& body, const std::string& start = R"(  %z = constant {value = f32[] 0} : f32[]
  %start = broadcast_in_dim %z {dims = [n, 8]} : f32[n, 8]
)") {
  return R"(
graph @main(%x: f32[n, 8]) -> (%y) {
  %zero = constant {value = i64[] 0} : i64[]
)" + start +
         R"(
  %c, %y = while_loop %zero, %start, %x {body = @step, carried = 2, condition = @below} : i64[], f32[n, 8]
}

graph @below(%i: i64[], %buffer: f32[n, 8], %x: f32[n, 8]) -> (%p) {
  %n = dim_size {dims = [n]} : i64[]
  %p = compare %i, %n {direction = "lt"} : bool[]
}

graph @step(%i: i64[], %buffer: f32[n, 8], %x: f32[n, 8]) -> (%j, %next) {
  %one = constant {value = i64[] 1} : i64[]
  %zero = constant {value = i64[] 0} : i64[]
  %j = add %i, %one : i64[]
)" + body +
         "\n}";
}

std::vector<Array> rows(std::int64_t n) { return {random_array({n, 8}, 1)}; }

TEST(PlanUpdate, ALoopChangesSlicesOfWhatItCarries) {
  const std::string text = loop(R"(  %row = dynamic_slice %x, %i, %zero {sizes = [1, 8]} : f32[1, 8]
  %twice = add %row, %row : f32[1, 8]
  %next = dynamic_update_slice %buffer, %twice, %i, %zero : f32[n, 8])");
  for (const std::int64_t n : {0, 1, 5}) {
    const ir::Program program = check(text, rows(n), {}, {n});
    EXPECT_EQ(copies(program), 0u) << print(program, false);
  }
}

TEST(PlanUpdate, ALoopReadsTheSliceThatItChanges) {
  // The row before this one, which the last step made, goes into the next; then the row itself is read again.
  const ir::Program program = check(loop(R"(  %back = subtract %i, %one : i64[]
  %row = dynamic_slice %buffer, %back, %zero {sizes = [1, 8]} : f32[1, 8]
  %own = dynamic_slice %x, %i, %zero {sizes = [1, 8]} : f32[1, 8]
  %sum = add %row, %own : f32[1, 8]
  %next = dynamic_update_slice %buffer, %sum, %i, %zero : f32[n, 8])"),
                                    rows(5), {}, {5});
  EXPECT_EQ(copies(program), 0u) << print(program, false);
}

TEST(PlanUpdate, ChainsOfUpdatesShareTheBuffer) {
  const ir::Program program = check(loop(R"(  %row = dynamic_slice %x, %i, %zero {sizes = [1, 8]} : f32[1, 8]
  %a = dynamic_update_slice %buffer, %row, %i, %zero : f32[n, 8]
  %m = negate %row : f32[1, 8]
  %next = dynamic_update_slice %a, %m, %zero, %zero : f32[n, 8])"),
                                    rows(5), {}, {5});
  EXPECT_EQ(copies(program), 0u) << print(program, false);
}

TEST(PlanUpdate, LaterReadersComeBeforeTheUpdate) {
  // %last reads the old buffer, and stands behind the update in the graph.
  const std::string text = loop(R"(  %row = dynamic_slice %x, %i, %zero {sizes = [1, 8]} : f32[1, 8]
  %a = dynamic_update_slice %buffer, %row, %i, %zero : f32[n, 8]
  %last = dynamic_slice %buffer, %j, %zero {sizes = [1, 8]} : f32[1, 8]
  %e = negate %last : f32[1, 8]
  %next = dynamic_update_slice %a, %e, %zero, %zero : f32[n, 8])");
  const ir::Program program = check(text, rows(5), {}, {5});
  EXPECT_EQ(copies(program), 0u) << print(program, false);
}

TEST(PlanUpdate, AnElementWiseKernelBehindAnUpdateStaysInTheBufferToo) {
  const ir::Program program = check(loop(R"(  %row = dynamic_slice %x, %i, %zero {sizes = [1, 8]} : f32[1, 8]
  %a = dynamic_update_slice %buffer, %row, %i, %zero : f32[n, 8]
  %next = negate %a : f32[n, 8])"),
                                    rows(5), {}, {5});
  EXPECT_EQ(copies(program), 0u) << print(program, false);
}

TEST(PlanUpdate, AValueThatIsReadAfterwardsIsCopied) {
  // Both the old and the new buffer are wanted.
  const ir::Program program = check(loop(R"(  %row = dynamic_slice %x, %i, %zero {sizes = [1, 8]} : f32[1, 8]
  %a = dynamic_update_slice %buffer, %row, %i, %zero : f32[n, 8]
  %next = add %a, %buffer : f32[n, 8])"),
                                    rows(5), {}, {5});
  EXPECT_EQ(copies(program), 1u) << print(program, false);
}

TEST(PlanUpdate, WhatALoopOnlyReadsIsNeverChanged) {
  // %x is captured: the step may not change it, although it reads it once.
  const ir::Program program = check(loop(R"(  %row = dynamic_slice %buffer, %i, %zero {sizes = [1, 8]} : f32[1, 8]
  %next = dynamic_update_slice %x, %row, %i, %zero : f32[n, 8])"),
                                    rows(5), {}, {5});
  EXPECT_GE(copies(program), 1u) << print(program, false);
}

TEST(PlanUpdate, SwappedBuffersBothSurvive) {
  check(R"(
graph @main(%x: f32[4], %y: f32[4], %n: i64[]) -> (%p, %q) {
  %zero = constant {value = i64[] 0} : i64[]
  %c, %p, %q = while_loop %zero, %x, %y, %n {body = @step, carried = 3, condition = @below} : i64[], f32[4], f32[4]
}

graph @below(%i: i64[], %a: f32[4], %b: f32[4], %n: i64[]) -> (%p) {
  %p = compare %i, %n {direction = "lt"} : bool[]
}

graph @step(%i: i64[], %a: f32[4], %b: f32[4], %n: i64[]) -> (%j, %b2, %a2) {
  %one = constant {value = i64[] 1} : i64[]
  %j = add %i, %one : i64[]
  %s = slice %b {starts = [1], limits = [2], strides = [1]} : f32[1]
  %t = slice %a {starts = [2], limits = [3], strides = [1]} : f32[1]
  %a2 = dynamic_update_slice %a, %s, %i : f32[4]
  %b2 = dynamic_update_slice %b, %t, %i : f32[4]
})",
        {random_array({4}, 1), random_array({4}, 2), Array(std::int64_t{3})});
}

constexpr const char* rows_of_table =
    "update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1";

TEST(PlanUpdate, AnEmbeddingTableIsChangedWhereItIs) {
  const ir::Program program =
      check(fmt::format(R"(
variable @table : f32[20, 8]
graph @main(%ids: i64[n], %g: f32[n, 8]) -> (%sum) {{
  %table = variable {{name = "table"}} : f32[20, 8]
  %step = negate %g : f32[n, 8]
  %next = scatter %table, %ids, %step {{combiner = "add", {}}} : f32[20, 8]
  %0 = assign %next {{name = "table"}} : f32[20, 8]
  %rows = gather %table, %ids {{offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1, slice_sizes = [1, 8]}} : f32[n, 8]
  %sum = reduce %rows {{combiner = "maximum", dimensions = [0, 1]}} : f32[]
}})",
                        rows_of_table),
            {Array::from<std::int64_t>({3, 19, 3}), random_array({3, 8}, 1)}, {{"table", random_array({20, 8}, 2)}}, {3});
  EXPECT_FALSE(program.variables.at(0).shadowed);
  EXPECT_EQ(copies(program), 0u) << print(program, false);
}

TEST(PlanUpdate, AVariableThatTheUpdateReadsOtherwiseIsDoubleBuffered) {
  const ir::Program program = check(fmt::format(R"(
variable @table : f32[3, 8]
graph @main(%ids: i64[3]) {{
  %table = variable {{name = "table"}} : f32[3, 8]
  %step = reverse %table {{dimensions = [0]}} : f32[3, 8]
  %next = scatter %table, %ids, %step {{combiner = "add", {}}} : f32[3, 8]
  %0 = assign %next {{name = "table"}} : f32[3, 8]
}})",
                                                rows_of_table),
                                    {Array::from<std::int64_t>({2, 0, 2})}, {{"table", random_array({3, 8}, 2)}});
  // The reversed rows are made first, so even this one is changed in place.
  EXPECT_FALSE(program.variables.at(0).shadowed) << print(program, false);
}

TEST(PlanUpdate, AnUpdateOfAnotherValueBecomesTheVariable) {
  check(fmt::format(R"(
variable @table : f32[3, 8]
graph @main(%x: f32[3, 8], %ids: i64[3]) {{
  %table = variable {{name = "table"}} : f32[3, 8]
  %e = negate %x : f32[3, 8]
  %next = scatter %e, %ids, %table {{combiner = "add", {}}} : f32[3, 8]
  %0 = assign %next {{name = "table"}} : f32[3, 8]
}})",
                    rows_of_table),
        {random_array({3, 8}, 3), Array::from<std::int64_t>({2, 0, 2})}, {{"table", random_array({3, 8}, 2)}});
}

TEST(PlanUpdate, AnUpdateOfAFeedBecomesAVariableThatIsNotRead) {
  const ir::Program program = check(R"(
variable @w : f32[4]
graph @main(%x: f32[4], %u: f32[1], %i: i64[]) {
  %next = dynamic_update_slice %x, %u, %i : f32[4]
  %0 = assign %next {name = "w"} : f32[4]
})",
                                    {random_array({4}, 1), random_array({1}, 2), Array(std::int64_t{1})}, {{"w", random_array({4}, 3)}});
  EXPECT_FALSE(program.variables.at(0).read);
}

TEST(PlanUpdate, FeedsConstantsAndFetchedValuesAreCopied) {
  const ir::Program program = check(R"(
graph @main(%x: f32[4], %u: f32[1], %i: i64[]) -> (%a, %b, %c, %d) {
  %k = constant {value = f32[4] {1, 2, 3, 4}} : f32[4]
  %a = dynamic_update_slice %x, %u, %i : f32[4]
  %b = dynamic_update_slice %k, %u, %i : f32[4]
  %c = exp %x : f32[4]
  %d = dynamic_update_slice %c, %u, %i : f32[4]
})",
                                    {random_array({4}, 9), random_array({1}, 1), Array(std::int64_t{2})});
  EXPECT_EQ(copies(program), 3u) << print(program, false);
}

TEST(PlanUpdate, OutputsAreMadeInPlaceFromTheirFirstValueOn) {
  const ir::Program program = check(R"(
graph @main(%x: f32[4], %u: f32[1], %i: i64[]) -> (%r) {
  %e = exp %x : f32[4]
  %f = dynamic_update_slice %e, %u, %i : f32[4]
  %zero = constant {value = i64[] 0} : i64[]
  %r = dynamic_update_slice %f, %u, %zero : f32[4]
})",
                                    {random_array({4}, 9), random_array({1}, 1), Array(std::int64_t{2})});
  EXPECT_EQ(copies(program), 0u) << print(program, false);
  EXPECT_TRUE(program.arena_bytes.is_constant(0)) << print(program, false);
}

TEST(PlanUpdate, ReshapesStayTheSameMemory) {
  const ir::Program program = check(loop(R"(  %flat = reshape %buffer {dims = [8*n]} : f32[8*n]
  %v = constant {value = f32[1] {5}} : f32[1]
  %a = dynamic_update_slice %flat, %v, %i : f32[8*n]
  %next = reshape %a {dims = [n, 8]} : f32[n, 8])"),
                                    rows(5), {}, {5});
  EXPECT_EQ(copies(program), 0u) << print(program, false);
}

}  // namespace
}  // namespace kiln::passes

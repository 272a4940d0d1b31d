// Gradients through scans, alone and nested with branches and loops, against central differences of the reference interpreter, in f64.
#include "support.h"
#include "tests/loops/program_fixture.h"

namespace kiln::test {
namespace {

/// A recurrent cell over a sequence: the last state and all states count. `%s` stands for more attributes of the scan.
std::string recurrent(const std::string& length, const std::string& more = "") {
  return R"(
graph @main(%w: f64[3, 3], %xs: f64[)" +
         length + R"(, 2, 3], %h0: f64[2, 3]) -> (%loss, %gw, %gx, %gh) {
  %h, %ys = scan %h0, %xs, %w {body = @cell, carried = 1, sequences = 1, length = [)" +
         length + "]" + more + R"(} : f64[2, 3], f64[)" + length + R"(, 2, 3]
  %p = multiply %ys, %xs : f64[)" +
         length + R"(, 2, 3]
  %a = reduce %p {combiner = "add", dimensions = [0, 1, 2]} : f64[]
  %q = multiply %h, %h : f64[2, 3]
  %b = reduce %q {combiner = "add", dimensions = [0, 1]} : f64[]
  %loss = add %a, %b : f64[]
  %gw, %gx, %gh = gradients %loss, %w, %xs, %h0 : f64[3, 3], f64[)" +
         length + R"(, 2, 3], f64[2, 3]
}
graph @cell(%h: f64[2, 3], %x: f64[2, 3], %w: f64[3, 3]) -> (%t, %y) {
  %p = dot_general %h, %w {lhs_contract = [1], rhs_contract = [0]} : f64[2, 3]
  %s = add %p, %x : f64[2, 3]
  %t = tanh %s : f64[2, 3]
  %y = multiply %t, %x : f64[2, 3]
}
)";
}

TEST(ScanGradients, OfARecurrentCell) {
  std::mt19937 random(1);
  for (const std::int64_t length : {0, 1, 4})
    for (const char* more : {"", ", reverse = true"})
      check_gradients(recurrent(std::to_string(length), more),
                      {random_array({3, 3}, random), random_array({length, 2, 3}, random), random_array({2, 3}, random)});
}

TEST(ScanGradients, OfASymbolicLength) {
  std::mt19937 random(2);
  for (const std::int64_t length : {0, 1, 5})
    for (const char* more : {"", ", reverse = true"})
      check_gradients(recurrent("time", more),
                      {random_array({3, 3}, random), random_array({length, 2, 3}, random), random_array({2, 3}, random)});
}

// Rows outside, columns inside: the inner scan's residuals are stacked by the outer one.
TEST(ScanGradients, OfAScanInAScan) {
  std::mt19937 random(3);
  check_gradients(R"(
graph @main(%w: f64[2], %xs: f64[3, 4, 2]) -> (%loss, %gw, %gx) {
  %zero = constant {value = f64[] 0} : f64[]
  %h0 = broadcast_in_dim %zero {dims = [2]} : f64[2]
  %h, %ys = scan %h0, %xs, %w {body = @row, carried = 1, sequences = 1, length = [3]} : f64[2], f64[3, 4, 2]
  %p = multiply %ys, %ys : f64[3, 4, 2]
  %loss = reduce %p {combiner = "add", dimensions = [0, 1, 2]} : f64[]
  %gw, %gx = gradients %loss, %w, %xs : f64[2], f64[3, 4, 2]
}
graph @row(%h: f64[2], %x: f64[4, 2], %w: f64[2]) -> (%last, %states) {
  %last, %states = scan %h, %x, %w {body = @column, carried = 1, sequences = 1, length = [4], reverse = true} : f64[2], f64[4, 2]
}
graph @column(%h: f64[2], %x: f64[2], %w: f64[2]) -> (%t, %t) {
  %p = multiply %h, %w : f64[2]
  %s = add %p, %x : f64[2]
  %t = sin %s : f64[2]
}
)",
                  {random_array({2}, random), random_array({3, 4, 2}, random)});
}

TEST(ScanGradients, OfSecondOrder) {
  std::mt19937 random(4);
  check_gradients(R"(
graph @main(%w: f64[2], %xs: f64[4, 2]) -> (%loss, %ggw, %ggx) {
  %h, %ys = scan %w, %xs, %w {body = @step, carried = 1, sequences = 1, length = [4]} : f64[2], f64[4, 2]
  %p = multiply %ys, %ys : f64[4, 2]
  %y = reduce %p {combiner = "add", dimensions = [0, 1]} : f64[]
  %gw, %gx = gradients %y, %w, %xs : f64[2], f64[4, 2]
  %qw = multiply %gw, %gw : f64[2]
  %qx = multiply %gx, %gx : f64[4, 2]
  %a = reduce %qw {combiner = "add", dimensions = [0]} : f64[]
  %b = reduce %qx {combiner = "add", dimensions = [0, 1]} : f64[]
  %loss = add %a, %b : f64[]
  %ggw, %ggx = gradients %loss, %w, %xs : f64[2], f64[4, 2]
}
graph @step(%h: f64[2], %x: f64[2], %w: f64[2]) -> (%t, %y) {
  %p = multiply %h, %w : f64[2]
  %s = add %p, %x : f64[2]
  %t = tanh %s : f64[2]
  %y = multiply %t, %h : f64[2]
}
)",
                  {random_array({2}, random), random_array({4, 2}, random)});
}

const std::string scan_in_branch = R"(
graph @main(%w: f64[2], %xs: f64[4, 2], %choice: bool[]) -> (%loss, %ggw, %ggx) {
  %v = cond %choice, %w, %xs {then = @loop, else = @plain} : f64[2]
  %p = multiply %v, %v : f64[2]
  %y = reduce %p {combiner = "add", dimensions = [0]} : f64[]
  %gw, %gx = gradients %y, %w, %xs : f64[2], f64[4, 2]
  %qw = multiply %gw, %w : f64[2]
  %qx = multiply %gx, %xs : f64[4, 2]
  %a = reduce %qw {combiner = "add", dimensions = [0]} : f64[]
  %b = reduce %qx {combiner = "add", dimensions = [0, 1]} : f64[]
  %loss = add %a, %b : f64[]
  %ggw, %ggx = gradients %loss, %w, %xs : f64[2], f64[4, 2]
}
graph @loop(%w: f64[2], %xs: f64[4, 2]) -> (%h) {
  %h = scan %w, %xs, %w {body = @step, carried = 1, sequences = 1, length = [4]} : f64[2]
}
graph @step(%h: f64[2], %x: f64[2], %w: f64[2]) -> (%t) {
  %p = multiply %h, %w : f64[2]
  %s = add %p, %x : f64[2]
  %t = tanh %s : f64[2]
}
graph @plain(%w: f64[2], %xs: f64[4, 2]) -> (%r) {
  %s = reduce %xs {combiner = "add", dimensions = [0]} : f64[2]
  %e = exp %w : f64[2]
  %r = multiply %s, %e : f64[2]
}
)";

TEST(ScanGradients, OfAScanInABranchToSecondOrder) {
  std::mt19937 random(5);
  for (const bool choice : {true, false})
    check_gradients(scan_in_branch, {random_array({2}, random), random_array({4, 2}, random), Array(choice)});
}

// A while_loop in the step is run again backwards: its tapes cannot be handed from one iteration to another. A scan in a while_loop stacks,
// and its stacks go on the tapes of the loop.
TEST(ScanGradients, WithLoopsInsideAndOutside) {
  std::mt19937 random(6);
  for (const char* bound : {"", ", max_trip_count = 5"}) {
    const std::string text = std::string(R"(
graph @main(%w: f64[2], %xs: f64[3, 2], %n: i64[]) -> (%loss, %gw, %gx) {
  %zero = constant {value = i64[] 0} : i64[]
  %h, %i = while_loop %w, %zero, %xs, %w, %n {carried = 2, condition = @outer_less, body = @outer)") +
                             bound + R"(} : f64[2], i64[]
  %p = multiply %h, %h : f64[2]
  %loss = reduce %p {combiner = "add", dimensions = [0]} : f64[]
  %gw, %gx = gradients %loss, %w, %xs : f64[2], f64[3, 2]
}
graph @outer_less(%h: f64[2], %i: i64[], %xs: f64[3, 2], %w: f64[2], %n: i64[]) -> (%c) {
  %c = compare %i, %n {direction = "lt"} : bool[]
}
graph @outer(%h: f64[2], %i: i64[], %xs: f64[3, 2], %w: f64[2], %n: i64[]) -> (%last, %next) {
  %last = scan %h, %xs, %w, %i {body = @middle, carried = 1, sequences = 1, length = [3]} : f64[2]
  %one = constant {value = i64[] 1} : i64[]
  %next = add %i, %one : i64[]
}
graph @middle(%h: f64[2], %x: f64[2], %w: f64[2], %i: i64[]) -> (%r) {
  %zero = constant {value = i64[] 0} : i64[]
  %s, %j = while_loop %h, %zero, %x, %w, %i {carried = 2, condition = @inner_less, body = @inner)" +
                             bound + R"(} : f64[2], i64[]
  %m = multiply %s, %x : f64[2]
  %r = sin %m : f64[2]
}
graph @inner_less(%h: f64[2], %j: i64[], %x: f64[2], %w: f64[2], %i: i64[]) -> (%c) {
  %c = compare %j, %i {direction = "le"} : bool[]
}
graph @inner(%h: f64[2], %j: i64[], %x: f64[2], %w: f64[2], %i: i64[]) -> (%t, %next) {
  %p = multiply %h, %w : f64[2]
  %s = add %p, %x : f64[2]
  %t = tanh %s : f64[2]
  %one = constant {value = i64[] 1} : i64[]
  %next = add %j, %one : i64[]
}
)";
    for (const std::int64_t n : {0, 1, 3}) check_gradients(text, {random_array({2}, random), random_array({3, 2}, random), Array(n)});
  }
}

}  // namespace
}  // namespace kiln::test

// StableHLO: shapes, reductions and windows, contractions, control flow.
#include "stablehlo.h"

namespace kiln::test {

namespace {

StablehloRow of(std::string op, std::vector<std::string> operands, std::string node, std::string result) {
  return {std::move(op), std::move(operands), std::move(node), {std::move(result)}};
}

}  // namespace

std::vector<StablehloRow> stablehlo_structure() {
  const std::string m = "f32[2, 3] {{1, 2, 3}, {4, 5, 6}}";
  const std::string image = "f32[1, 3, 3, 1] {{{{1}, {2}, {3}}, {{4}, {5}, {6}}, {{7}, {8}, {9}}}}";
  std::vector<StablehloRow> rows = {
      of("broadcast_in_dim", {"i32[1, 3] {{1, 2, 3}}"}, "broadcast_in_dim %a {dims = dims [2, 3, 2], positions = [0, 1]}",
         "i32[2, 3, 2] {{{1, 1}, {2, 2}, {3, 3}}, {{1, 1}, {2, 2}, {3, 3}}}"),
      of("broadcast_in_dim", {"i32[2] {1, 2}"}, "broadcast_in_dim %a {dims = dims [2, 0], positions = [0]}", "i32[2, 0] {}"),
      of("broadcast", {"i32[2] {1, 2}"}, "broadcast_in_dim %a {dims = dims [2, 2], positions = [1]}", "i32[2, 2] {{1, 2}, {1, 2}}"),
      of("concatenate", {"i32[1, 2] {{1, 2}}", "i32[0, 2] {}", "i32[2, 2] {{3, 4}, {5, 6}}"}, "concatenate %a, %b, %c {dim = 0}",
         "i32[3, 2] {{1, 2}, {3, 4}, {5, 6}}"),
      of("constant", {}, "constant {value = f16[2] {1.5, -inf}}", "f16[2] {1.5, -inf}"),
      of("iota", {}, "iota {dtype = i32, dims = dims [2, 3], dim = 1}", "i32[2, 3] {{0, 1, 2}, {0, 1, 2}}"),
      of("iota", {}, "iota {dtype = u8, dims = dims [3, 0], dim = 0}", "u8[3, 0] {}"),
      of("get_dimension_size", {m}, "dim_size {dims = dims [3]}", "i64[] 3"),
      of("pad", {m, "f32[] 0"}, "pad %a, %b {low = dims [0, 1], high = dims [1, -1], interior = [1, 2]}",
         "f32[4, 7] {{0, 1, 0, 0, 2, 0, 0}, {0, 0, 0, 0, 0, 0, 0}, {0, 4, 0, 0, 5, 0, 0}, {0, 0, 0, 0, 0, 0, 0}}"),
      of("pad", {"i32[2] {1, 2}", "i32[] 7"}, "pad %a, %b {low = dims [-1], high = dims [-2], interior = [1]}", "i32[0] {}"),
      of("reshape", {m}, "reshape %a {dims = dims [3, 2]}", "f32[3, 2] {{1, 2}, {3, 4}, {5, 6}}"),
      of("reverse", {m}, "reverse %a {dimensions = [0, 1]}", "f32[2, 3] {{6, 5, 4}, {3, 2, 1}}"),
      of("slice", {m}, "slice %a {starts = dims [0, 0], limits = dims [2, 3], strides = [1, 2]}", "f32[2, 2] {{1, 3}, {4, 6}}"),
      of("slice", {m}, "slice %a {starts = dims [1, 3], limits = dims [2, 3], strides = [1, 1]}", "f32[1, 0] {}"),
      of("transpose", {"i32[1, 2, 2] {{{1, 2}, {3, 4}}}"}, "transpose %a {permutation = [2, 1, 0]}",
         "i32[2, 2, 1] {{{1}, {3}}, {{2}, {4}}}"),

      of("reduce", {m}, "reduce %a {combiner = \"add\", dimensions = [0]}", "f32[3] {5, 7, 9}"),
      of("reduce", {m}, "reduce %a {combiner = \"multiply\", dimensions = [1]}", "f32[2] {6, 120}"),
      of("reduce", {"f32[0, 2] {}"}, "reduce %a {combiner = \"maximum\", dimensions = [0]}", "f32[2] {-inf, -inf}"),
      of("reduce", {"f32[3] {1, nan, 3}"}, "reduce %a {combiner = \"minimum\", dimensions = [0]}", "f32[] nan"),
      of("reduce", {"i8[0] {}"}, "reduce %a {combiner = \"minimum\", dimensions = [0]}", "i8[] 127"),
      of("reduce", {"bool[2, 2] {{true, false}, {true, true}}"}, "reduce %a {combiner = \"and\", dimensions = [1]}",
         "bool[2] {false, true}"),
      of("reduce", {"bool[0] {}"}, "reduce %a {combiner = \"or\", dimensions = [0]}", "bool[] false"),
      of("reduce_window", {m}, "reduce_window %a {combiner = \"add\", window = [2, 2], strides = [1, 1]}", "f32[1, 2] {{12, 16}}"),
      of("reduce_window", {"i32[3, 2] {{1, 2}, {3, 4}, {5, 6}}"},
         "reduce_window %a {combiner = \"add\", window = [2, 1], strides = [4, 1], base_dilation = [2, 1], window_dilation = [3, 1], low = "
         "[2, 0], "
         "high = [1, 0]}",
         "i32[2, 2] {{0, 0}, {3, 4}}"),
      of("reduce_window", {"f32[2] {1, 2}"}, "reduce_window %a {combiner = \"maximum\", window = [3], low = [3], high = [0]}",
         "f32[3] {-inf, 1, 2}"),

      of("dot_general", {"i32[2, 2, 2] {{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}", "i32[2, 2, 2] {{{1, 0}, {0, 1}}, {{1, 0}, {0, 1}}}"},
         "dot_general %a, %b {lhs_batch = [0], rhs_batch = [0], lhs_contract = [2], rhs_contract = [1]}",
         "i32[2, 2, 2] {{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}"),
      of("dot_general", {"f32[2, 0] {}", "f32[0, 2] {}"}, "dot_general %a, %b {lhs_contract = [1], rhs_contract = [0]}",
         "f32[2, 2] {{0, 0}, {0, 0}}"),
      of("dot_general", {"i8[1, 2] {{100, 100}}", "i8[2] {100, 100}"},
         "dot_general %a, %b {lhs_contract = [1], rhs_contract = [0], dtype = i32}", "i32[1] {20000}"),
      of("dot_general", {"f32[2] {1, 2}", "f32[2] {3, 4}"}, "dot_general %a, %b", "f32[2, 2] {{3, 4}, {6, 8}}"),
      of("dot", {m, "f32[3] {1, 0, 2}"}, "dot_general %a, %b {lhs_contract = [1], rhs_contract = [0]}", "f32[2] {7, 16}"),
      of("convolution", {image, "f32[2, 2, 1, 1] {{{{1}}, {{2}}}, {{{3}}, {{4}}}}"},
         "convolution %a, %b {strides = [2, 2], low = dims [1, 0], high = dims [0, 1], lhs_batch = 0, lhs_feature = 3, lhs_spatial = [1, "
         "2], "
         "rhs_spatial = [0, 1], rhs_input_feature = 2, rhs_output_feature = 3, result_batch = 0, result_feature = 3, result_spatial = [1, "
         "2]}",
         "f32[1, 2, 2, 1] {{{{11}, {9}}, {{67}, {33}}}}"),
      // The window turned round, over an input with gaps.
      of("convolution", {"f32[1, 2, 1] {{{1}, {2}}}", "f32[3, 1, 1] {{{1}}, {{10}}, {{100}}}"},
         "convolution %a, %b {lhs_dilation = [2], low = dims [2], high = dims [2], window_reversal = [1], lhs_batch = 0, lhs_feature = 2, "
         "lhs_spatial = [1], "
         "rhs_spatial = [0], rhs_input_feature = 1, rhs_output_feature = 2, result_batch = 0, result_feature = 2, result_spatial = [1]}",
         "f32[1, 5, 1] {{{1}, {10}, {102}, {20}, {200}}}"),
      of("convolution", {"f32[1, 2, 2] {{{1, 2}, {3, 4}}}", "f32[1, 1, 2] {{{10, 100}}}"},
         "convolution %a, %b {lhs_batch = 0, lhs_feature = 2, lhs_spatial = [1], rhs_spatial = [0], rhs_input_feature = 1, "
         "rhs_output_feature = 2, "
         "result_batch = 0, result_feature = 2, result_spatial = [1], feature_groups = 2}",
         "f32[1, 2, 2] {{{10, 200}, {30, 400}}}"),
      of("convolution", {"f32[2, 2, 1] {{{1}, {2}}, {{3}, {4}}}", "f32[2, 1, 2] {{{1, 10}}, {{1, 10}}}"},
         "convolution %a, %b {lhs_batch = 0, lhs_feature = 2, lhs_spatial = [1], rhs_spatial = [0], rhs_input_feature = 1, "
         "rhs_output_feature = 2, "
         "result_batch = 0, result_feature = 2, result_spatial = [1], batch_groups = 2}",
         "f32[1, 1, 2] {{{3, 70}}}"),
      of("convolution", {"f32[1, 5, 1] {{{1}, {2}, {3}, {4}, {5}}}", "f32[2, 1, 1] {{{1}}, {{10}}}"},
         "convolution %a, %b {rhs_dilation = [3], low = dims [-1], lhs_batch = 0, lhs_feature = 2, lhs_spatial = [1], rhs_spatial = [0], "
         "rhs_input_feature = 1, rhs_output_feature = 2, result_batch = 0, result_feature = 2, result_spatial = [1]}",
         "f32[1, 1, 1] {{{52}}}"),
  };

  const std::string bodies =
      "\ngraph @twice(%x: f32[]) -> (%y) {\n  %y = add %x, %x : f32[]\n}\n\ngraph @negated(%x: f32[]) -> (%y) {\n  %y = negate %x : "
      "f32[]\n}\n";
  for (const bool taken : {true, false})
    rows.push_back({.op = "if",
                    .operands = {taken ? "bool[] true" : "bool[] false", "f32[] 3"},
                    .node = "cond %a, %b {then = @twice, else = @negated}",
                    .results = {taken ? "f32[] 6" : "f32[] -3"},
                    .graphs = bodies});
  rows.push_back({.op = "composite",
                  .operands = {"f32[] 3"},
                  .node = "composite %a {name = \"example.twice\", decomposition = @twice}",
                  .results = {"f32[] 6"},
                  .graphs = bodies});
  rows.push_back(
      {.op = "while",
       .operands = {"i64[] 0", "f32[] 1", "i64[] 5"},
       .node = "while_loop %a, %b, %c {body = @step, condition = @goes_on, carried = 2}",
       .results = {"i64[] 5", "f32[] 32"},
       .graphs = "\ngraph @goes_on(%i: i64[], %x: f32[], %n: i64[]) -> (%c) {\n  %c = compare %i, %n {direction = \"lt\"} : bool[]\n}\n"
                 "\ngraph @step(%i: i64[], %x: f32[], %n: i64[]) -> (%j, %y) {\n  %one = constant {value = i64[] 1} : i64[]\n"
                 "  %j = add %i, %one : i64[]\n  %y = add %x, %x : f32[]\n}\n"});
  // An index outside, on either side, takes the last branch.
  for (const auto& [index, result] : {std::pair{"i32[] 0", "f32[] 4"}, std::pair{"i32[] 1", "f32[] -4"}, std::pair{"i32[] 7", "f32[] 16"},
                                      std::pair{"i32[] -1", "f32[] 16"}})
    rows.push_back(built("case", "an index inside and outside", {index, "f32[] 4"},
                         [](const In& x) {
                           return switch_case(x[0], {[&] { return std::vector{x[1] * 1}; }, [&] { return std::vector{-x[1]}; },
                                                     [&] { return std::vector{x[1] * x[1]}; }});
                         },
                         {result}));
  return rows;
}

}  // namespace kiln::test

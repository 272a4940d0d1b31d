// StableHLO, element by element, at the edges that the specification and IEEE 754 name.
#include "stablehlo.h"

namespace kiln::test {

namespace {

StablehloRow of(std::string op, std::vector<std::string> operands, std::string node, std::string result, double tolerance = 0) {
  return {std::move(op), std::move(operands), std::move(node), {std::move(result)}, tolerance};
}

}  // namespace

std::vector<StablehloRow> stablehlo_elementwise() {
  const std::string edges = "f32[6] {-inf, -0, 0, inf, nan, 4}";
  std::vector<StablehloRow> rows = {
      of("abs", {edges}, "abs %a", "f32[6] {inf, 0, 0, inf, nan, 4}"),
      of("abs", {"i8[3] {-128, -1, 5}"}, "abs %a", "i8[3] {-128, 1, 5}"),
      of("add", {"i8[2] {127, -128}", "i8[2] {1, -1}"}, "add %a, %b", "i8[2] {-128, 127}"),
      of("add", {"f32[3] {inf, -0, 1}", "f32[3] {-inf, -0, 2}"}, "add %a, %b", "f32[3] {nan, -0, 3}", 1e-30),
      of("add", {"bool[4] {false, false, true, true}", "bool[4] {false, true, false, true}"}, "or %a, %b",
         "bool[4] {false, true, true, true}"),
      of("and", {"i32[2] {12, -1}", "i32[2] {10, 7}"}, "and %a, %b", "i32[2] {8, 7}"),
      of("and", {"bool[2] {true, true}", "bool[2] {false, true}"}, "and %a, %b", "bool[2] {false, true}"),
      of("or", {"i32[2] {12, -8}", "i32[2] {10, 7}"}, "or %a, %b", "i32[2] {14, -1}"),
      of("xor", {"u8[2] {12, 255}", "u8[2] {10, 15}"}, "xor %a, %b", "u8[2] {6, 240}"),
      of("not", {"i8[2] {0, 5}"}, "not %a", "i8[2] {-1, -6}"),
      of("not", {"bool[2] {true, false}"}, "not %a", "bool[2] {false, true}"),
      of("atan2", {"f64[6] {0, -0, 1, -1, inf, 0}", "f64[6] {-1, -1, 0, 0, inf, 1}"}, "atan2 %a, %b",
         "f64[6] {3.141592653589793, -3.141592653589793, 1.5707963267948966, -1.5707963267948966, 0.7853981633974483, 0}", 1e-15),
      of("cbrt", {"f64[4] {-8, 27, 0, inf}"}, "cbrt %a", "f64[4] {-2, 3, 0, inf}", 1e-15),
      of("ceil", {"f32[5] {-0.9, 0.2, -2.5, inf, nan}"}, "ceil %a", "f32[5] {-0, 1, -2, inf, nan}"),
      of("floor", {"f32[5] {-0.9, 0.2, -2.5, -inf, nan}"}, "floor %a", "f32[5] {-1, 0, -3, -inf, nan}"),
      of("round_nearest_even", {"f32[6] {-2.5, -0.4, 0.5, 1.5, 2.5, inf}"}, "round_nearest_even %a", "f32[6] {-2, -0, 0, 2, 2, inf}"),
      of("round_nearest_afz", {"f32[6] {-2.5, -0.4, 0.5, 1.5, 2.5, inf}"}, "round_nearest_afz %a", "f32[6] {-3, -0, 1, 2, 3, inf}"),
      of("clamp", {"f32[] 0", "f32[4] {-1, 0.5, 3, nan}", "f32[] 1"}, "clamp %a, %b, %c", "f32[4] {0, 0.5, 1, nan}"),
      of("clamp", {"i32[2] {1, 5}", "i32[2] {0, 9}", "i32[2] {3, 7}"}, "clamp %a, %b, %c", "i32[2] {1, 7}"),
      of("compare", {edges, "f32[6] {-inf, 0, 0, 1, nan, 5}"}, "compare %a, %b {direction = \"eq\"}",
         "bool[6] {true, true, true, false, false, false}"),
      of("compare", {edges, "f32[6] {-inf, 0, 0, 1, nan, 5}"}, "compare %a, %b {direction = \"ne\"}",
         "bool[6] {false, false, false, true, true, true}"),
      of("compare", {edges, "f32[6] {-inf, 0, 0, 1, nan, 5}"}, "compare %a, %b {direction = \"ge\"}",
         "bool[6] {true, true, true, true, false, false}"),
      of("compare", {edges, "f32[6] {-inf, 0, 0, 1, inf, 5}"}, "compare %a, %b {direction = \"gt\", total_order = true}",
         "bool[6] {false, false, false, true, true, false}"),
      of("compare", {"f32[3] {-0, 0, -nan}", "f32[3] {0, -0, -inf}"}, "compare %a, %b {direction = \"lt\", total_order = true}",
         "bool[3] {true, false, true}"),
      of("compare", {"u8[2] {200, 1}", "u8[2] {100, 1}"}, "compare %a, %b {direction = \"lt\"}", "bool[2] {false, false}"),
      of("compare", {"bool[2] {false, true}", "bool[2] {true, true}"}, "compare %a, %b {direction = \"le\"}", "bool[2] {true, true}"),
      of("convert", {"bool[2] {true, false}"}, "convert %a {dtype = f32}", "f32[2] {1, 0}"),
      of("convert", {"f32[4] {0, -0, 0.1, nan}"}, "convert %a {dtype = bool}", "bool[4] {false, false, true, true}"),
      of("convert", {"f32[3] {-2.9, 2.9, 0}"}, "convert %a {dtype = i32}", "i32[3] {-2, 2, 0}"),
      of("convert", {"i64[2] {16777217, -3}"}, "convert %a {dtype = f32}", "f32[2] {16777216, -3}"),
      of("convert", {"f32[2] {1.00390625, 1.01171875}"}, "convert %a {dtype = bf16}", "bf16[2] {1, 1.015625}"),
      of("convert", {"i32[2] {-1, 300}"}, "convert %a {dtype = u8}", "u8[2] {255, 44}"),
      of("cosine", {"f64[3] {0, 3.141592653589793, inf}"}, "cos %a", "f64[3] {1, -1, nan}", 1e-15),
      of("sine", {"f64[3] {-0, 1.5707963267948966, inf}"}, "sin %a", "f64[3] {-0, 1, nan}", 1e-15),
      of("tan", {"f64[2] {0.7853981633974483, 0}"}, "tan %a", "f64[2] {1, 0}", 1e-15),
      of("tanh", {"f64[4] {-inf, 0, inf, 0.5}"}, "tanh %a", "f64[4] {-1, 0, 1, 0.46211715726000973}", 1e-15),
      of("count_leading_zeros", {"i16[3] {0, 1, -1}"}, "count_leading_zeros %a", "i16[3] {16, 15, 0}"),
      of("popcnt", {"i16[3] {0, 7, -1}"}, "popcnt %a", "i16[3] {0, 3, 16}"),
      of("divide", {"i32[4] {17, -17, 17, -17}", "i32[4] {3, 3, -3, -3}"}, "divide %a, %b", "i32[4] {5, -5, -5, 5}"),
      of("divide", {"f32[4] {1, -1, 0, 1}", "f32[4] {0, 0, 0, inf}"}, "divide %a, %b", "f32[4] {inf, -inf, nan, 0}", 1e-30),
      of("remainder", {"i32[4] {17, -17, 17, -17}", "i32[4] {3, 3, -3, -3}"}, "remainder %a, %b", "i32[4] {2, -2, 2, -2}"),
      of("remainder", {"f64[5] {17.1, -17.1, 17.1, 3, inf}", "f64[5] {3, 3, -3, inf, 3}"}, "remainder %a, %b",
         "f64[5] {2.1, -2.1, 2.1, 3, nan}", 1e-14),
      of("exponential", {"f64[4] {-inf, 0, 1, inf}"}, "exp %a", "f64[4] {0, 1, 2.718281828459045, inf}", 1e-15),
      of("exponential_minus_one", {"f64[4] {-inf, -0, 1e-20, inf}"}, "expm1 %a", "f64[4] {-1, -0, 1e-20, inf}"),
      of("log", {"f64[4] {0, 1, -1, inf}"}, "log %a", "f64[4] {-inf, 0, nan, inf}", 1e-15),
      of("log_plus_one", {"f64[4] {-1, -0, 1e-20, -2}"}, "log1p %a", "f64[4] {-inf, -0, 1e-20, nan}", 1e-15),
      of("logistic", {"f64[4] {-inf, 0, inf, 1}"}, "logistic %a", "f64[4] {0, 0.5, 1, 0.7310585786300049}", 1e-15),
      of("is_finite", {edges}, "is_finite %a", "bool[6] {false, true, true, false, false, true}"),
      of("maximum", {"f32[4] {nan, 1, -inf, 3}", "f32[4] {1, nan, 0, -3}"}, "maximum %a, %b", "f32[4] {nan, nan, 0, 3}"),
      of("minimum", {"f32[4] {nan, 1, -inf, 3}", "f32[4] {1, nan, 0, -3}"}, "minimum %a, %b", "f32[4] {nan, nan, -inf, -3}"),
      of("maximum", {"i8[2] {-3, 5}", "i8[2] {2, -7}"}, "maximum %a, %b", "i8[2] {2, 5}"),
      of("minimum", {"u8[2] {200, 5}", "u8[2] {2, 7}"}, "minimum %a, %b", "u8[2] {2, 5}"),
      of("multiply", {"i8[2] {64, -128}", "i8[2] {2, -1}"}, "multiply %a, %b", "i8[2] {-128, -128}"),
      of("multiply", {"f32[3] {inf, -0, 1e30}", "f32[3] {0, 5, 1e30}"}, "multiply %a, %b", "f32[3] {nan, -0, inf}", 1e-30),
      of("multiply", {"bool[2] {true, true}", "bool[2] {true, false}"}, "and %a, %b", "bool[2] {true, false}"),
      of("negate", {"i8[2] {-128, 5}"}, "negate %a", "i8[2] {-128, -5}"),
      of("negate", {"f32[3] {0, -0, inf}"}, "negate %a", "f32[3] {-0, 0, -inf}"),
      of("power", {"f64[7] {-2, -0, -0, nan, 1, 4, -8}", "f64[7] {2, -1, 2, 0, nan, 0.5, 0.3333}"}, "power %a, %b",
         "f64[7] {4, -inf, 0, 1, 1, 2, nan}", 1e-15),
      of("power", {"i32[6] {-2, 0, -36, 5, 3, 10}", "i32[6] {2, 0, 1, -3, 1, 11}"}, "power %a, %b", "i32[6] {4, 1, -36, 0, 3, 1215752192}"),
      of("reduce_precision", {"f32[6] {inf, 65520, 3.1415927, -0, 1e-8, 1.0009766}"},
         "reduce_precision %a {exponent_bits = 5, mantissa_bits = 10}", "f32[6] {inf, inf, 3.140625, -0, 0, 1.0009766}"),
      of("rsqrt", {"f64[4] {4, 0, inf, -1}"}, "rsqrt %a", "f64[4] {0.5, inf, 0, nan}", 1e-15),
      of("sqrt", {"f64[4] {4, -0, inf, -1}"}, "sqrt %a", "f64[4] {2, -0, inf, nan}", 1e-30),
      of("select", {"bool[2] {true, false}", "f32[2] {1, 2}", "f32[2] {3, 4}"}, "select %a, %b, %c", "f32[2] {1, 4}"),
      of("shift_left", {"i8[5] {-1, 0, 1, 1, 64}", "i8[5] {1, 2, 3, 8, 1}"}, "shift_left %a, %b", "i8[5] {-2, 0, 8, 0, -128}"),
      of("shift_right_arithmetic", {"i8[4] {-1, -36, 36, -128}", "i8[4] {1, 2, 3, 9}"}, "shift_right_arithmetic %a, %b",
         "i8[4] {-1, -9, 4, -1}"),
      of("shift_right_logical", {"i8[4] {-1, -36, 36, -128}", "i8[4] {1, 2, 3, 9}"}, "shift_right_logical %a, %b", "i8[4] {127, 55, 4, 0}"),
      of("sign", {edges}, "sign %a", "f32[6] {-1, -0, 0, 1, nan, 1}"),
      of("sign", {"i8[3] {-9, 0, 9}"}, "sign %a", "i8[3] {-1, 0, 1}"),
      of("subtract", {"u8[2] {1, 7}", "u8[2] {3, 1}"}, "subtract %a, %b", "u8[2] {254, 6}"),
      of("bitcast_convert", {"f32[2] {1, -0}"}, "bitcast_convert %a {dtype = u32}", "u32[2] {1065353216, 2147483648}"),
      of("bitcast_convert", {"u16[2] {513, 1027}"}, "bitcast_convert %a {dtype = u8}", "u8[2, 2] {{1, 2}, {3, 4}}"),
      of("bitcast_convert", {"u8[2, 2] {{1, 2}, {3, 4}}"}, "bitcast_convert %a {dtype = u16}", "u16[2] {513, 1027}"),
  };
  // Of two equal zeros Kiln's extrema take the second operand, as the machine's instructions do; IEEE 754's order of zeros is a sum away.
  const std::vector<std::string> zeros{"f32[4] {-0, 0, -0, 0}", "f32[4] {0, -0, -0, 0}"};
  const auto both_zero = [](const In& x) { return logical_and(equal(x[0], 0), equal(x[1], 0)); };
  rows.push_back(built("maximum", "signed zeros", zeros,
                       [=](const In& x) { return select(both_zero(x), x[0] + x[1], maximum(x[0], x[1])); }, {"f32[4] {0, 0, -0, 0}"}));
  rows.push_back(built("minimum", "signed zeros", zeros,
                       [=](const In& x) { return select(both_zero(x), -(-x[0] - x[1]), minimum(x[0], x[1])); },
                       {"f32[4] {-0, -0, -0, 0}"}));
  rows.push_back(built("map", "a computation of the elements of two tensors, at every place", {"f32[2] {1, 2}", "f32[2] {3, 4}"},
                       [](const In& x) { return x[0] * x[1] + x[0]; }, {"f32[2] {4, 10}"}));
  rows.push_back(built("optimization_barrier", "values pass through", {"f32[2] {1, 2}", "i32[1] {3}"},
                       [](const In& x) { return std::vector{x[0], x[1]}; }, {"f32[2] {1, 2}", "i32[1] {3}"}));
  return rows;
}

}  // namespace kiln::test

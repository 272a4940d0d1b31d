// ONNX: reductions, positions of extrema, running folds, order, and what selects elements.
#include "onnx.h"

namespace kiln::test {

namespace {

using Reduce = Tensor (*)(const Operand&, const Axes&, bool);

Tensor log_sum_exp(const Operand& x, const Axes& axes, bool keep) { return logsumexp(x, axes, keep); }

/// The five ways to name axes: an input, several, none (all of them), none that means no axis, and the attribute of older opsets.
void add_reduction(Rows& rows, const char* op, Reduce reduce) {
  rows.push_back({op, "keepdims", [=](const In& x) { return reduce(x[0], 1, true); }});
  rows.push_back({op, "two_axes", [=](const In& x) { return reduce(x[0], {0, -1}, false); }});
  rows.push_back({op, "all", [=](const In& x) { return reduce(x[0], {}, true); }});
  // Without axes each element is reduced by itself.
  rows.push_back({op, "noop", [=](const In& x) { return reduce(x[0], Axes(std::vector<std::int64_t>{}), true); }});
  rows.push_back({op, "axes_attribute", [=](const In& x) { return reduce(x[0], -2, false); }});
}

}  // namespace

Rows onnx_reductions() {
  Rows rows = {
      {"ReduceMax", "bool", [](const In& x) { return reduce_any(x[0], 1); }},
      {"ReduceMin", "bool", [](const In& x) { return reduce_all(x[0], 1); }},
      {"ReduceSum", "integers", [](const In& x) { return reduce_sum(x[0], 1); }},
      {"ArgMax", "first", [](const In& x) { return argmax(x[0], 1, true); }},
      {"ArgMax", "last", [](const In& x) { return argmax(x[0], -1, false, true); }},
      {"ArgMax", "axis_0", [](const In& x) { return argmax(x[0], 0); }},
      {"ArgMin", "first", [](const In& x) { return argmin(x[0], 1, true); }},
      {"ArgMin", "last", [](const In& x) { return argmin(x[0], -1, false, true); }},
      {"ArgMin", "axis_0", [](const In& x) { return argmin(x[0], 0); }},
      {"CumSum", "plain", [](const In& x) { return cumsum(x[0], 1); }},
      {"CumSum", "exclusive_reverse", [](const In& x) { return cumsum(x[0], -1, {.exclusive = true, .reverse = true}); }},
      {"CumProd", "plain", [](const In& x) { return cumprod(x[0], 1); }},
      {"CumProd", "exclusive_reverse", [](const In& x) { return cumprod(x[0], 0, {.exclusive = true, .reverse = true}); }},
      {"TopK", "largest",
       [](const In& x) {
         const Selected s = top_k(x[0], 3, 1);
         return std::vector{s.values, s.indices};
       }},
      {"TopK", "smallest",
       [](const In& x) {
         const Selected s = top_k(x[0], 2, -1, false);
         return std::vector{s.values, s.indices};
       }},
      {"TopK", "axis_0",
       [](const In& x) {
         const Selected s = top_k(x[0], 2, 0);
         return std::vector{s.values, s.indices};
       }},
      {"NonZero", "plain", [](const In& x) { return nonzero(x[0], PositionLayout::columns); }},
      {"Compress", "axis", [](const In& x) { return compress(x[1], x[0], 0); }},
      // A condition that is shorter than the elements leaves out the rest.
      {"Compress", "flat", [](const In& x) { return compress(pad(x[1], {0}, {1}, false), x[0]); }},
  };
  const auto unique_row = [&](const char* variant, auto... arguments) {
    rows.push_back({"Unique", variant, [=](const In& x) {
                      const Unique u = unique(x[0], arguments...);
                      return std::vector{u.values, u.first_indices, flatten(u.inverse), u.counts};
                    }});
  };
  unique_row("sorted");
  unique_row("unsorted", UniqueOptions{.sorted = false});
  unique_row("axis_0", 0);
  unique_row("axis_1", 1);
  add_reduction(rows, "ReduceL1", reduce_l1);
  add_reduction(rows, "ReduceL2", reduce_l2);
  add_reduction(rows, "ReduceLogSum", reduce_log_sum);
  add_reduction(rows, "ReduceLogSumExp", log_sum_exp);
  add_reduction(rows, "ReduceMax", reduce_max);
  add_reduction(rows, "ReduceMean", reduce_mean);
  add_reduction(rows, "ReduceMin", reduce_min);
  add_reduction(rows, "ReduceProd", reduce_prod);
  add_reduction(rows, "ReduceSum", reduce_sum);
  add_reduction(rows, "ReduceSumSquare", reduce_sum_square);
  return rows;
}

Rows onnx_products() {
  return {
      {"MatMul", "matrices", [](const In& x) { return matmul(x[0], x[1]); }},
      {"MatMul", "batch", [](const In& x) { return matmul(x[0], x[1]); }},
      {"MatMul", "vector", [](const In& x) { return matmul(x[0], x[1]); }},
      {"MatMul", "integers", [](const In& x) { return matmul(x[0], x[1]); }},
      {"Gemm", "all", [](const In& x) { return 0.25 * matmul(transpose(x[0]), transpose(x[1])) + 0.35 * x[2]; }},
      {"Gemm", "no_bias", [](const In& x) { return matmul(x[0], x[1]); }},
      {"Gemm", "scalar_bias", [](const In& x) { return matmul(x[0], x[1]) + x[2]; }},
      {"Einsum", "batch", [](const In& x) { return einsum("bij, bjk -> bik", {x[0], x[1]}); }},
      {"Einsum", "diagonal", [](const In& x) { return einsum("...ii ->...i", {x[0]}); }},
      {"Einsum", "implicit", [](const In& x) { return einsum("ij,ji", {x[0], x[1]}); }},
      {"Det", "batch", [](const In& x) { return det(x[0]); }},
      {"MatMulInteger", "zero_points", [](const In& x) { return matmul_integer(x[0], x[1], x[2], x[3]); }},
      {"MatMulInteger", "rows", [](const In& x) { return matmul_integer(x[0], x[1], x[2], x[3]); }},
      {"QLinearMatMul", "plain", [](const In& x) { return qlinear_matmul({x[0], x[1], x[2]}, {x[3], x[4], x[5]}, x[6], x[7]); }},
      {"QLinearMatMul", "batch_i8", [](const In& x) { return qlinear_matmul({x[0], x[1], x[2]}, {x[3], x[4], x[5]}, x[6], x[7]); }},
      {"QuantizeLinear", "default", [](const In& x) { return quantize_linear(x[0], x[1]); }},
      {"QuantizeLinear", "tensor", [](const In& x) { return quantize_linear(x[0], x[1], x[2]); }},
      {"QuantizeLinear", "axis", [](const In& x) { return quantize_linear(x[0], x[1], x[2], {.axis = 1}); }},
      {"QuantizeLinear", "blocks", [](const In& x) { return quantize_linear(x[0], x[1], x[2], {.axis = 1, .block = 2}); }},
      {"QuantizeLinear", "output_dtype", [](const In& x) { return quantize_linear(x[0], x[1], {}, {.dtype = i16}); }},
      {"DequantizeLinear", "tensor", [](const In& x) { return dequantize_linear(x[0], x[1], x[2]); }},
      {"DequantizeLinear", "no_zero_point", [](const In& x) { return dequantize_linear(x[0], x[1]); }},
      {"DequantizeLinear", "axis", [](const In& x) { return dequantize_linear(x[0], x[1], x[2], {.axis = -1}); }},
      {"DequantizeLinear", "blocks", [](const In& x) { return dequantize_linear(x[0], x[1], x[2], {.axis = 0, .block = 2}); }},
      {"DynamicQuantizeLinear", "both_signs",
       [](const In& x) {
         const Quantized q = dynamic_quantize_linear(x[0]);
         return std::vector{q.values, q.scale, q.zero_point};
       }},
      {"DynamicQuantizeLinear", "negative",
       [](const In& x) {
         const Quantized q = dynamic_quantize_linear(x[0]);
         return std::vector{q.values, q.scale, q.zero_point};
       }},
      {"DynamicQuantizeLinear", "positive",
       [](const In& x) {
         const Quantized q = dynamic_quantize_linear(x[0]);
         return std::vector{q.values, q.scale, q.zero_point};
       }},
      {"ConvInteger", "padding", [](const In& x) { return conv_integer(x[0], x[1], x[2], {}, {.padding = 1}); }},
      {"ConvInteger", "groups",
       [](const In& x) { return conv_integer(x[0], x[1], x[2], x[3], {.stride = 2, .padding = {{1, 1}, {0, 0}}, .groups = 2}); }},
      {"QLinearConv", "plain", [](const In& x) { return qlinear_conv({x[0], x[1], x[2]}, {x[3], x[4], x[5]}, x[6], x[7]); }},
      {"QLinearConv", "channels_bias",
       [](const In& x) { return qlinear_conv({x[0], x[1], x[2]}, {x[3], x[4], x[5]}, x[6], x[7], x[8], {.padding = {{1, 0}, {0, 1}}}); }},
  };
}

}  // namespace kiln::test

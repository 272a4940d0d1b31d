// StableHLO and CHLO: what Kiln has as functions of the front end. Complex numbers are pairs along a last axis of extent 2; quantised
// tensors are integers with scale and zero point beside them.
#include <algorithm>
#include <cmath>

#include "stablehlo.h"

namespace kiln::test {

namespace {

StablehloRow unary(const char* op, Tensor (*function)(const Operand&), std::string operand, std::string result, double tolerance = 1e-14) {
  return built(
      op, "element by element", {std::move(operand)}, [function](const In& x) { return function(x[0]); }, {std::move(result)}, tolerance);
}

Tensor part(const Tensor& z, std::int64_t i) { return index(z, {ellipsis, i}); }

/// Transforms along axes of a signal [..., axes, 2].
Tensor fft(Tensor z, bool inverse, std::int64_t count) {
  for (std::int64_t axis = 1; axis <= count; ++axis) z = dft(z, {.axis = -1 - axis, .inverse = inverse});
  return z;
}

std::vector<Tensor> batch_norm_gradients(const In& x) {
  const BatchNormTraining bn = batch_norm_training(x[0], x.graph.zeros(f64, {2}), x.graph.ones(f64, {2}),
                                                   {.norm = {.weight = x[1], .bias = x[2], .eps = 0, .axis = 1}});
  return gradients(reduce_sum(bn.output * x[3]), {x[0], x[1], x[2]});
}

}  // namespace

std::vector<StablehloRow> stablehlo_functions() {
  const std::string rows2 = "f64[4, 2] {{1, 2}, {3, 2}, {1, 4}, {3, 4}}";
  return {
      built(
          "batch_norm_inference", "statistics given", {rows2, "f64[2] {1, 2}", "f64[2] {0, 1}", "f64[2] {2, 3}", "f64[2] {1, 4}"},
          [](const In& x) { return batch_norm(x[0], x[3], x[4], {.weight = x[1], .bias = x[2], .eps = 0, .axis = 1}); },
          {"f64[4, 2] {{-1, 0}, {1, 0}, {-1, 2}, {1, 2}}"}, 1e-14),
      built(
          "batch_norm_training", "statistics of the batch", {rows2, "f64[2] {1, 2}", "f64[2] {0, 1}"},
          [](const In& x) {
            const BatchNormTraining bn = batch_norm_training(x[0], x.graph.zeros(f64, {2}), x.graph.ones(f64, {2}),
                                                             {.norm = {.weight = x[1], .bias = x[2], .eps = 0, .axis = 1}});
            return std::vector{bn.output, bn.mean, bn.variance};
          },
          {"f64[4, 2] {{-1, -1}, {1, -1}, {-1, 3}, {1, 3}}", "f64[2] {2, 3}", "f64[2] {1, 1}"}, 1e-14),
      // By the decomposition of the specification, with grad_output {{1, 0}, {0, 0}, {0, 2}, {0, 0}}.
      built("batch_norm_grad", "gradients of all three",
            {rows2, "f64[2] {1, 2}", "f64[2] {0, 1}", "f64[4, 2] {{1, 0}, {0, 0}, {0, 2}, {0, 0}}"}, batch_norm_gradients,
            {"f64[4, 2] {{0.5, 0}, {0, 0}, {-0.5, 2}, {0, -2}}", "f64[2] {-1, 2}", "f64[2] {1, 2}"}, 1e-13),
      built(
          "cholesky", "lower and upper", {"f64[2, 2] {{4, 2}, {2, 5}}"},
          [](const In& x) { return std::vector{cholesky(x[0]), cholesky(x[0], true)}; },
          {"f64[2, 2] {{2, 0}, {1, 2}}", "f64[2, 2] {{2, 1}, {0, 2}}"}, 1e-15),
      built(
          "triangular_solve", "left, lower", {"f64[2, 2] {{2, 9}, {1, 4}}", "f64[2, 1] {{4}, {10}}"},
          [](const In& x) { return triangular_solve(x[0], x[1]); }, {"f64[2, 1] {{2}, {2}}"}, 1e-15),
      built(
          "triangular_solve", "right, upper, transposed, unit diagonal", {"f64[2, 2] {{7, 3}, {9, 7}}", "f64[1, 2] {{5, 1}}"},
          [](const In& x) {
            return triangular_solve(x[0], x[1], {.left_side = false, .lower = false, .unit_diagonal = true, .transpose_a = true});
          },
          // x u^T = b with u = {{1, 3}, {0, 1}}: x1 = 1, x0 = 5 - 3.
          {"f64[1, 2] {{2, 1}}"}, 1e-15),
      built("custom_call", "a function of the user", {"f32[3] {3, 1, 2}"},
            [](const In& x) {
              return custom_call("example.sort", {x[0]}, {{f32, {3}}}, [](std::span<const ArrayView> in, std::span<MutableArrayView> out) {
                std::ranges::copy(in[0].data<float>(), out[0].data<float>().begin());
                std::ranges::sort(out[0].data<float>());
              });
            },
            {"f32[3] {1, 2, 3}"}),
      built("einsum", "a product by its equation", {"f32[1, 2] {{1, 2}}", "f32[2, 1] {{3}, {4}}"},
            [](const In& x) { return einsum("ij,jk->ik", {x[0], x[1]}); }, {"f32[1, 1] {{11}}"}),
      built("unary_einsum", "a sum by its equation", {"f32[2, 2] {{1, 2}, {3, 4}}"}, [](const In& x) { return einsum("ij->j", {x[0]}); },
            {"f32[2] {4, 6}"}),
      built(
          "fft", "FFT, one axis", {"f64[4, 2] {{1, 0}, {0, 0}, {0, 0}, {0, 0}}"}, [](const In& x) { return fft(x[0], false, 1); },
          {"f64[4, 2] {{1, 0}, {1, 0}, {1, 0}, {1, 0}}"}, 1e-14),
      built(
          "fft", "IFFT, two axes", {"f64[2, 2, 2] {{{4, 0}, {0, 0}}, {{0, 4}, {0, 0}}}"}, [](const In& x) { return fft(x[0], true, 2); },
          {"f64[2, 2, 2] {{{1, 1}, {1, 1}}, {{1, -1}, {1, -1}}}"}, 1e-14),
      built(
          "fft", "RFFT and IRFFT", {"f64[4] {1, 2, 3, 4}"},
          [](const In& x) {
            const Tensor frequencies = rfft(x[0]);
            return std::vector{frequencies, irfft(frequencies, 4)};
          },
          {"f64[3, 2] {{10, 0}, {-2, 2}, {-2, 0}}", "f64[4] {1, 2, 3, 4}"}, 1e-14),
      // The first words of Philox 4x32-10 with counter and key 0, from the known answers of Random123.
      {.op = "rng_bit_generator",
       .operands = {"u64[] 0", "u64[] 0"},
       .node = "rng_bits %a, %b {stream = 0, dims = dims [4]}",
       .results = {"u32[4] {1713891541, 3781805453, 3159862348, 2600524760}"}},
      built("rng", "UNIFORM and NORMAL: within bounds, and around the mean", {},
            [](const In& x) {
              const Tensor u = x.graph.random_uniform(f64, {1000}, {.low = 2, .high = 3}),
                           n = x.graph.random_normal(f64, {10000}, {.mean = 5});
              return std::vector{reduce_all(logical_and(greater_equal(u, 2), less(u, 3))), less(abs(reduce_mean(n) - 5), 0.05)};
            },
            {"bool[] true", "bool[] true"}),
      built("uniform_quantize", "halves to even, saturated", {"f32[4] {0.25, 0.75, -1, 1000}"},
            [](const In& x) { return quantize_linear(x[0], 0.5, x.graph.full(i8, {}, 10)); }, {"i8[4] {10, 12, 8, 127}"}),
      built("uniform_dequantize", "per axis", {"i8[2, 2] {{10, 20}, {30, 40}}", "f32[2] {0.5, 2}", "i8[2] {10, 0}"},
            [](const In& x) { return dequantize_linear(x[0], x[1], x[2], {.axis = 1}); }, {"f32[2, 2] {{0, 40}, {10, 80}}"}),
      built("complex", "a pair", {"f32[2] {1, 2}", "f32[2] {3, 4}"}, [](const In& x) { return stack({x[0], x[1]}, -1); },
            {"f32[2, 2] {{1, 3}, {2, 4}}"}),
      built("real", "the first of a pair", {"f32[2, 2] {{1, 3}, {2, 4}}"}, [](const In& x) { return part(x[0], 0); }, {"f32[2] {1, 2}"}),
      built("imag", "the second of a pair", {"f32[2, 2] {{1, 3}, {2, 4}}"}, [](const In& x) { return part(x[0], 1); }, {"f32[2] {3, 4}"}),

      unary("chlo.acos", acos, "f64[3] {-1, 0, 1}", "f64[3] {3.141592653589793, 1.5707963267948966, 0}"),
      unary("chlo.acosh", acosh, "f64[2] {1, 2}", "f64[2] {0, 1.3169578969248166}"),
      unary("chlo.asin", asin, "f64[3] {-1, 0, 2}", "f64[3] {-1.5707963267948966, 0, nan}"),
      unary("chlo.asinh", asinh, "f64[2] {0, 2}", "f64[2] {0, 1.4436354751788103}"),
      unary("chlo.atan", atan, "f64[2] {1, inf}", "f64[2] {0.7853981633974483, 1.5707963267948966}"),
      unary("chlo.atanh", atanh, "f64[3] {0.5, 1, 2}", "f64[3] {0.5493061443340549, inf, nan}"),
      unary("chlo.bessel_i1e", i1e, "f64[2] {0, 1}", "f64[2] {0, 0.2079104153497085}"),
      unary("chlo.cosh", cosh, "f64[2] {0, 1}", "f64[2] {1, 1.5430806348152437}"),
      unary("chlo.sinh", sinh, "f64[2] {0, 1}", "f64[2] {0, 1.1752011936438014}"),
      unary("chlo.tan", tan, "f64[2] {0, 0.7853981633974483}", "f64[2] {0, 1}"),
      unary("chlo.digamma", digamma, "f64[2] {1, 0.5}", "f64[2] {-0.5772156649015329, -1.9635100260214235}"),
      unary("chlo.lgamma", lgamma, "f64[3] {1, 5, 0.5}", "f64[3] {0, 3.1780538303479458, 0.5723649429247001}"),
      unary("chlo.erf", erf, "f64[3] {-inf, 0, 1}", "f64[3] {-1, 0, 0.8427007929497149}"),
      unary("chlo.erf_inv", erf_inv, "f64[3] {0, 0.8427007929497149, 1}", "f64[3] {0, 1, inf}"),
      unary("chlo.erfc", erfc, "f64[2] {0, 1}", "f64[2] {1, 0.15729920705028513}"),
      unary("chlo.square", square, "f64[2] {-3, inf}", "f64[2] {9, inf}"),
      unary("chlo.is_inf", is_inf, "f32[4] {-inf, 1, nan, inf}", "bool[4] {true, false, false, true}"),
      built("chlo.is_neg_inf", "one sign", {"f32[3] {-inf, nan, inf}"},
            [](const In& x) { return equal(x[0], -std::numeric_limits<double>::infinity()); }, {"bool[3] {true, false, false}"}),
      built("chlo.is_pos_inf", "one sign", {"f32[3] {-inf, nan, inf}"},
            [](const In& x) { return equal(x[0], std::numeric_limits<double>::infinity()); }, {"bool[3] {false, false, true}"}),
      built("chlo.next_after", "up, down, across zero", {"f32[3] {1, 1, 0}", "f32[3] {2, 0, -1}"},
            [](const In& x) { return next_after(x[0], x[1]); }, {"f32[3] {1.0000001, 0.99999994, -1e-45}"}),
      built(
          "chlo.polygamma", "order 1", {"f64[1] {1}"}, [](const In& x) { return polygamma(1, x[0]); }, {"f64[1] {1.6449340668482264}"},
          1e-14),
      built(
          "chlo.zeta", "Hurwitz", {"f64[5] {2, 3, 2, 1, 4}", "f64[5] {1, 2, 0.5, 3, -1}"}, [](const In& x) { return zeta(x[0], x[1]); },
          {"f64[5] {1.6449340668482264, 0.2020569031595943, 4.934802200544679, inf, inf}"}, 1e-14),
      built("chlo.conj", "the second of each pair with the other sign", {"f32[1, 2] {{1, 3}}"},
            [](const In& x) { return stack({part(x[0], 0), -part(x[0], 1)}, -1); }, {"f32[1, 2] {{1, -3}}"}),
      built("chlo.constant", "a literal", {}, [](const In& x) { return x.graph.constant(Array({2}, {1.F, 2.F})); }, {"f32[2] {1, 2}"}),
      built("chlo.constant_like", "of another's dims", {"f32[2, 1] {{1}, {2}}"},
            [](const In& x) { return x.graph.full(i32, x[0].dims(), 7); }, {"i32[2, 1] {{7}, {7}}"}),
      built("chlo.broadcast_add", "NumPy's broadcasting; the other broadcast_ operations likewise",
            {"f32[2, 1] {{1}, {2}}", "f32[2] {10, 20}"}, [](const In& x) { return x[0] + x[1]; }, {"f32[2, 2] {{11, 21}, {12, 22}}"}),
      built("chlo.broadcast_select", "NumPy's broadcasting", {"bool[] true", "f32[2] {1, 2}", "f32[2] {3, 4}"},
            [](const In& x) { return select(x[0], x[1], x[2]); }, {"f32[2] {1, 2}"}),
      built("chlo.top_k", "equals in order", {"f32[2, 4] {{1, 3, 3, 2}, {0, -1, 5, 4}}"},
            [](const In& x) {
              const Selected s = top_k(x[0], 2);
              return std::vector{s.values, s.indices};
            },
            {"f32[2, 2] {{3, 3}, {5, 4}}", "i64[2, 2] {{1, 2}, {2, 3}}"}),
      built("chlo.mulhi", "the high half of a product", {"i32[2] {2147483647, -5}", "i32[2] {4, 3}"},
            [](const In& x) { return convert((convert(x[0], i64) * convert(x[1], i64)) >> 32, i32); }, {"i32[2] {1, -1}"}),
      // Rows of the left belong to groups of these sizes, each with a matrix of its own on the right.
      built("chlo.ragged_dot", "two groups",
            {"f32[3, 2] {{1, 2}, {3, 4}, {5, 6}}", "f32[2, 2, 1] {{{1}, {1}}, {{1}, {-1}}}", "i64[2] {1, 2}"},
            [](const In& x) {
              const Tensor group = searchsorted(cumsum(x[2]), x.graph.range(i64, x[0].dim(0)), Side::right);
              return squeeze(matmul(expand_dims(x[0], 1), take(x[1], group)), 1);
            },
            {"f32[3, 1] {{3}, {-1}, {-1}}"}),
      built("chlo.scan", "running products", {"f32[3] {2, 3, 4}", "f32[] 1"},
            [](const In& x) {
              const ScanResult s = scan([](auto& c, auto& e) { return ScanResult{{c[0] * e[0]}, {c[0] * e[0]}}; }, {x[1]}, {x[0]});
              return std::vector{s.outputs[0], s.carried[0]};
            },
            {"f32[3] {2, 6, 24}", "f32[] 24"}),
  };
}

}  // namespace kiln::test

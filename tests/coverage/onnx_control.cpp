// ONNX: branches and loops, and the operator that asks for gradients.
#include "onnx.h"

namespace kiln::test {

namespace {

/// Loop: values are multiplied by 2 as long as they are below 20, at most as often as the second input says; each is an output. The outputs
/// of a loop whose trip count the run decides are written into memory for the greatest one, and cut to as many as there are.
std::vector<Tensor> loop(const In& x) {
  constexpr std::int64_t most = 10;
  const auto result =
      while_loop([&](const std::vector<Tensor>& v) { return logical_and(less(v[0], x[1]), v[1]); },
                 [&](const std::vector<Tensor>& v) {
                   const Tensor next = v[2] * 2;
                   return std::vector{v[0] + 1, less(next, 20), next, dynamic_update_slice(v[3], reshape(next, {1}), {v[0]})};
                 },
                 {x.graph.constant(Array(std::int64_t{0})), x.graph.constant(Array(true)), x[0], x.graph.zeros(f32, {most})});
  const Tensor outputs = boolean_mask(result[3], less(x.graph.range(i64, most), result[0]));
  return {result[2], outputs};
}

ScanResult sums(const std::vector<Tensor>& carried, const std::vector<Tensor>& slices) {
  const Tensor next = carried[0] + slices[0];
  return {{next}, {next}};
}

}  // namespace

Rows onnx_control() {
  const auto branch = [](const In& x) { return cond(x[1], [&] { return -x[0]; }, [&] { return exp(x[0]); }); };
  return {
      {"If", "then", branch},
      {"If", "else", branch},
      {"Loop", "condition", loop},
      {"Loop", "trip_count", loop},
      {"Scan", "sum",
       [](const In& x) {
         const ScanResult s = scan(sums, {x[0]}, {x[1]});
         return std::vector{s.carried[0], s.outputs[0]};
       }},
      {"Scan", "reverse_axis_1",
       [](const In& x) {
         const ScanResult s = scan(sums, {x[0]}, {moveaxis(x[1], 1, 0)}, {.reverse = true});
         return std::vector{s.carried[0], moveaxis(s.outputs[0], 0, 1)};
       }},
      {"Gradient", "product", [](const In& x) { return gradients(reduce_sum(square(x[0]) * x[1]), {x[0], x[1]}); }},
  };
}

}  // namespace kiln::test

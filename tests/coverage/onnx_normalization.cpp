// ONNX: normalisation, softmax and losses.
#include "onnx.h"

namespace kiln::test {

namespace {

/// Statistics of rows, as LayerNormalization returns them.
std::vector<Tensor> layer_norm_with_statistics(const In& x) {
  const Moments m = moments(x[0], -1, true);
  return {layer_norm(x[0], -1, {.weight = x[1], .bias = x[2]}), m.mean, rsqrt(m.variance + 1e-5)};
}

Tensor flattened_softmax(const Tensor& x) { return softmax(x, {1, 2}); }

}  // namespace

Rows onnx_normalization() {
  Rows rows = {
      {"BatchNormalization", "inference",
       [](const In& x) { return batch_norm(x[0], x[3], x[4], {.weight = x[1], .bias = x[2], .eps = 1e-2}); }},
      // ONNX's momentum is the share of the old statistics.
      {"BatchNormalization", "training",
       [](const In& x) {
         const BatchNormTraining bn =
             batch_norm_training(x[0], x[3], x[4], {.norm = {.weight = x[1], .bias = x[2]}, .momentum = 1 - 0.8, .unbiased = false});
         return std::vector{bn.output, bn.running_mean, bn.running_variance};
       }},
      {"InstanceNormalization", "plain", [](const In& x) { return instance_norm(x[0], {.weight = x[1], .bias = x[2], .eps = 1e-2}); }},
      {"LayerNormalization", "last", layer_norm_with_statistics},
      {"LayerNormalization", "two_axes", [](const In& x) { return layer_norm(x[0], {1, 2}, {.weight = x[1], .eps = 1e-2}); }},
      {"RMSNormalization", "two_axes", [](const In& x) { return rms_norm(x[0], {1, 2}, {.weight = x[1], .eps = 1e-2}); }},
      {"GroupNormalization", "plain", [](const In& x) { return group_norm(x[0], 2, {.weight = x[1], .bias = x[2]}); }},
      {"LpNormalization", "l2", [](const In& x) { return lp_normalize(x[0], 2, 1); }},
      {"LpNormalization", "l1", [](const In& x) { return lp_normalize(x[0], 1, 0); }},
      {"MeanVarianceNormalization", "default", [](const In& x) { return mean_variance_normalization(x[0]); }},
      {"MeanVarianceNormalization", "axes", [](const In& x) { return mean_variance_normalization(x[0], 1); }},
      {"LRN", "odd", [](const In& x) { return local_response_norm(x[0], {.size = 3, .alpha = 0.2, .beta = 0.5, .k = 2}); }},
      // Of an even number of channels, ONNX puts the odd one behind, PyTorch before: the same with the channels turned round.
      {"LRN", "even",
       [](const In& x) { return reverse(local_response_norm(reverse(x[0], 1), {.size = 4, .alpha = 0.2, .beta = 0.5, .k = 2}), 1); }},
      {"Softmax", "last", [](const In& x) { return softmax(x[0]); }},
      {"Softmax", "axis", [](const In& x) { return softmax(x[0], 1); }},
      // Before opset 13 all axes from the given one on.
      {"Softmax", "flattened", [](const In& x) { return flattened_softmax(x[0]); }},
      {"LogSoftmax", "last", [](const In& x) { return log_softmax(x[0]); }},
      {"LogSoftmax", "axis", [](const In& x) { return log_softmax(x[0], 1); }},
      {"Hardmax", "last", [](const In& x) { return hardmax(x[0]); }},
      {"Hardmax", "axis", [](const In& x) { return hardmax(x[0], 1); }},
      {"Hardmax", "ties", [](const In& x) { return hardmax(x[0]); }},
      {"SoftmaxCrossEntropyLoss", "log_prob",
       [](const In& x) {
         return std::vector{softmax_cross_entropy(x[0], x[1], {.reduction = Reduction::mean, .axis = 1}), log_softmax(x[0], 1)};
       }},
  };
  using Loss = Tensor (*)(const Operand&, const Operand&, const ClassificationOptions&);
  const std::pair<const char*, Loss> losses[] = {{"SoftmaxCrossEntropyLoss", softmax_cross_entropy},
                                                 {"NegativeLogLikelihoodLoss", nll_loss}};
  for (const auto& [op, function] : losses) {
    const Loss loss = function;
    rows.push_back({op, "mean", [=](const In& x) { return loss(x[0], x[1], {.reduction = Reduction::mean, .axis = 1}); }});
    rows.push_back({op, "none", [=](const In& x) { return loss(x[0], x[1], {.reduction = Reduction::none, .axis = 1}); }});
    rows.push_back({op, "sum_weights",
                    [=](const In& x) { return loss(x[0], x[1], {.reduction = Reduction::sum, .axis = 1, .class_weights = x[2]}); }});
    rows.push_back({op, "mean_weights_ignore", [=](const In& x) {
                      return loss(x[0], x[1], {.reduction = Reduction::mean, .axis = 1, .ignore_index = 4, .class_weights = x[2]});
                    }});
  }
  return rows;
}

}  // namespace kiln::test

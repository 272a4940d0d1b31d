// Softmax and its kin, and normalisation by statistics of axes.
//
// Everything here is made of a few reductions over the same rows, which the compiler computes in one kernel. Weights (gamma) and biases
// (beta) are optional tensors; eps is added to a variance before its square root.
#pragma once

#include <optional>

#include "kiln/operators.h"

namespace kiln {

// ---- Softmax ---------------------------------------------------------------------------------------------------------

/// log(sum(exp(x))) over the axes, without overflow: -inf of nothing but -inf, inf where one is inf.
Tensor logsumexp(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
/// exp(x) / sum(exp(x)) over an axis or several.
Tensor softmax(const Operand& x, const Axes& axes = -1);
/// log(softmax(x)), without overflow or cancellation.
Tensor log_softmax(const Operand& x, const Axes& axes = -1);
/// softmax(-x)
Tensor softmin(const Operand& x, const Axes& axes = -1);
/// 1 at the first (or last) maximum along an axis, 0 elsewhere: ONNX Hardmax. No gradient flows.
Tensor hardmax(const Operand& x, std::int64_t axis = -1, bool last = false);
/// The softmax of those elements whose mask is true; 0 elsewhere, and everywhere in a row without a true one. The mask is broadcast to x.
///   masked_softmax(scores, less(position, length))
Tensor masked_softmax(const Operand& x, const Operand& mask, const Axes& axes = -1);

struct GumbelSoftmaxOptions {
  double temperature = 1;
  bool hard = false;  ///< one-hot samples, with the gradient of the soft ones (straight-through)
  std::int64_t axis = -1;
};
/// A differentiable sample of the categorical distribution of these logits: softmax((logits + gumbel noise) / temperature) (Jang et al.
/// 2016, arXiv:1611.01144). Draws anew in every run.
Tensor gumbel_softmax(const Operand& logits, const GumbelSoftmaxOptions& options = {});

// ---- Normalisation over a row ------------------------------------------------------------------------------------------

struct NormOptions {
  Tensor weight = {};  ///< of the shape of the normalised axes, or broadcast to it
  Tensor bias = {};
  double eps = 1e-5;
};
/// (x - mean) / sqrt(variance + eps) * weight + bias, statistics over the given axes (Ba et al. 2016, arXiv:1607.06450). The variance
/// is that of the population.
///   layer_norm(x, -1, {.weight = gamma, .bias = beta})   // [batch, time, width], gamma and beta [width]
Tensor layer_norm(const Operand& x, const Axes& axes = -1, const NormOptions& options = {});

struct RmsNormOptions {
  Tensor weight = {};  ///< as in NormOptions
  Tensor bias = {};
  std::optional<double> eps = {};  ///< not given: the rounding unit of x's dtype, of f32 for f16 and bf16 (PyTorch's default)
};
/// x / sqrt(mean(x^2) + eps) * weight + bias (Zhang and Sennrich 2019, arXiv:1910.07467).
Tensor rms_norm(const Operand& x, const Axes& axes = -1, const RmsNormOptions& options = {});

// ---- Normalisation of channels -----------------------------------------------------------------------------------------

struct ChannelNormOptions {
  Tensor weight = {};  ///< [channels]
  Tensor bias = {};    ///< [channels]
  double eps = 1e-5;
  std::int64_t axis = 1;  ///< runs over the channels; axis 0 is the batch
};
/// With the statistics given, [channels] each: what a trained network does (Ioffe and Szegedy 2015, arXiv:1502.03167).
///   batch_norm(x, running_mean, running_variance, {.weight = gamma, .bias = beta})
Tensor batch_norm(const Operand& x, const Operand& mean, const Operand& variance, const ChannelNormOptions& options = {});

struct BatchNormTrainingOptions {
  ChannelNormOptions norm = {};
  double momentum = 0.1;  ///< running = (1 - momentum) * running + momentum * batch
  bool unbiased = true;   ///< the running variance is divided by count - 1, as in PyTorch; false: by count, as in ONNX and TensorFlow
};
struct BatchNormTraining {
  Tensor output;
  Tensor running_mean, running_variance;  ///< updated; assign() them to the variables that were passed. No gradient flows through them
  Tensor mean, variance;                  ///< of this batch, of the population
};
/// With the statistics of the batch itself, over all axes but that of the channels, and the running statistics' next values.
///   BatchNormTraining bn = batch_norm_training(x, mean, variance, {.norm = {.weight = gamma, .bias = beta}});
///   group({assign(mean, bn.running_mean), assign(variance, bn.running_variance)});
BatchNormTraining batch_norm_training(const Operand& x, const Operand& running_mean, const Operand& running_variance,
                                      const BatchNormTrainingOptions& options = {});

/// Statistics of each sample over the other axes and over `groups` equal parts of the channels (Wu and He 2018, arXiv:1803.08494).
Tensor group_norm(const Operand& x, std::int64_t groups, const ChannelNormOptions& options = {});
/// Statistics of each sample and channel over the other axes (Ulyanov et al. 2016, arXiv:1607.08022).
Tensor instance_norm(const Operand& x, const ChannelNormOptions& options = {});

/// (x - mean) / (deviation + eps), of the population, over the axes: ONNX MeanVarianceNormalization, whose default axes are those of
/// images without the channels, {0, 2, 3}.
Tensor mean_variance_normalization(const Operand& x, const Axes& axes = {0, 2, 3}, double eps = 1e-9);

struct LocalResponseNormOptions {
  std::int64_t size = 5;  ///< channels that count together, (size - 1) / 2 of them after the own one
  double alpha = 1e-4, beta = 0.75, k = 1;
  std::int64_t axis = 1;
};
/// x / (k + alpha / size * sum of squares over neighbouring channels)^beta (Krizhevsky et al. 2012).
Tensor local_response_norm(const Operand& x, const LocalResponseNormOptions& options = {});

// ---- By length ---------------------------------------------------------------------------------------------------------

/// x / max(|x|_p, eps) along the axes; see vector_norm() for p.
Tensor lp_normalize(const Operand& x, double p = 2, const Axes& axes = -1, double eps = 1e-12);
/// The cosine of the angle between a and b along an axis: a . b / (max(|a|, eps) max(|b|, eps)).
Tensor cosine_similarity(const Operand& a, const Operand& b, std::int64_t axis = -1, double eps = 1e-8);

}  // namespace kiln

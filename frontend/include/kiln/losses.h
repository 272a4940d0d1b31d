// Losses: functions that say how far predictions are from targets.
//
// All compute one loss per element (or per row, as each says), of which `reduction` makes a scalar: their mean by default, or their sum;
// with Reduction::none the result is what the function's comment says. Predictions and targets must have the same
// shape: losses do not broadcast, as [n] against [n, 1] would quietly compare all pairs. Formulas, defaults and derivatives are those of
// the functions of the same names in torch.nn.functional, unless stated. Gradients stay finite where the loss itself is finite.
//
//   Tensor loss = softmax_cross_entropy(logits, labels, {.label_smoothing = 0.1});
//   Tensor each = softmax_cross_entropy(logits, labels, {.reduction = Reduction::none});
#pragma once

#include <optional>

#include "kiln/operators.h"

namespace kiln {

/// How a loss's elements become its value: their mean, their sum, or left alone.
enum class Reduction : std::uint8_t { mean, sum, none };

/// Options that all losses of elements share.
struct LossOptions {
  Reduction reduction = Reduction::mean;
  Tensor weight = {};  ///< multiplies the elements, which it is broadcast to; the mean still divides by their number
};

// ---- Classification --------------------------------------------------------------------------------------------------

struct ClassificationOptions {
  Reduction reduction = Reduction::mean;
  std::int64_t axis = -1;                         ///< runs over the classes: 1 for images [batch, classes, height, width]
  std::optional<std::int64_t> ignore_index = {};  ///< rows with this label count 0, and the mean leaves them out
  Tensor class_weights = {};                      ///< [classes]; the mean of rows with integer labels divides by the sum of their weights
  double label_smoothing = 0;                     ///< this share of the label is spread evenly over all classes
};

/// -log softmax(logits)[label] for each row: logits [..., classes], integer labels [...] in 0..classes-1; result [...]. Floating labels are
/// probabilities of the shape of the logits: -sum(labels * log_softmax(logits)). A label out of range counts as no class: the row's loss is
/// 0. Logits of -inf are classes that are ruled out, and cost nothing where their label is 0.
///   softmax_cross_entropy(logits, labels)   // f32[batch, 10], i64[batch] -> f32[]
Tensor softmax_cross_entropy(const Operand& logits, const Operand& labels, const ClassificationOptions& options = {});
/// softmax_cross_entropy() under PyTorch's name.
Tensor cross_entropy(const Operand& logits, const Operand& labels, const ClassificationOptions& options = {});
/// -log_probabilities[label] for each row: the second half of softmax_cross_entropy(). Integer labels only.
Tensor nll_loss(const Operand& log_probabilities, const Operand& labels, const ClassificationOptions& options = {});

/// -(t log p + (1 - t) log(1 - p)) for probabilities p and labels t in [0, 1]; the logarithms are at least -100.
Tensor binary_cross_entropy(const Operand& probabilities, const Operand& labels, const LossOptions& options = {});

struct LogitsOptions {
  Reduction reduction = Reduction::mean;
  Tensor weight = {};
  Tensor positive_weight =
      {};  ///< multiplies the term of label 1; broadcast to the elements: one per class where they run along the last axis
};
/// binary_cross_entropy(sigmoid(logits), labels), without overflow or cancellation.
Tensor binary_cross_entropy_with_logits(const Operand& logits, const Operand& labels, const LogitsOptions& options = {});

struct FocalOptions {
  Reduction reduction = Reduction::mean;
  double alpha = 0.25;  ///< weight of label 1, 1 - alpha of label 0; negative: no weights
  double gamma = 2;
};
/// alpha_t (1 - p_t)^gamma * -log p_t, p_t being the probability that sigmoid(logits) gives to the label: Lin et al. 2017
/// (arXiv:1708.02002), for labels 0 and 1, and interpolated between them as torchvision does.
Tensor focal_loss(const Operand& logits, const Operand& labels, const FocalOptions& options = {});

struct DiceOptions {
  Reduction reduction = Reduction::mean;
  Axes axes = {};     ///< summed over; by default all but the first
  double smooth = 1;  ///< added to numerator and denominator
};
/// 1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth) over the axes, of probabilities p and labels t: Milletari et al. 2016
/// (arXiv:1606.04797), with sums in place of sums of squares.
Tensor dice_loss(const Operand& probabilities, const Operand& labels, const DiceOptions& options = {});

struct CtcOptions {
  Reduction reduction = Reduction::mean;  ///< the mean divides each loss by its target's length first
  std::int64_t blank = 0;                 ///< the class that stands for no symbol
  bool zero_infinity = false;             ///< 0 instead of infinity where the target is too long for its input
};
/// Connectionist temporal classification: -log of the probability that a sequence of classes, with repetitions and blanks taken out, is the
/// target (Graves et al. 2006), by the forward algorithm in log space. log_probabilities [time, batch, classes], targets [batch, length]
/// (integers; what lies beyond a target's length is not read), and integers [batch] for both lengths, input_lengths at least 1. Result
/// [batch]; infinity where no path exists.
Tensor ctc_loss(const Operand& log_probabilities, const Operand& targets, const Operand& input_lengths, const Operand& target_lengths,
                const CtcOptions& options = {});

// ---- Regression --------------------------------------------------------------------------------------------------------

/// (prediction - target)^2
Tensor mse_loss(const Operand& prediction, const Operand& target, const LossOptions& options = {});
/// |prediction - target|
Tensor l1_loss(const Operand& prediction, const Operand& target, const LossOptions& options = {});
/// With d = |prediction - target|: d^2 / (2 beta) below beta, d - beta / 2 from there; beta > 0, or 0 for l1_loss().
Tensor smooth_l1_loss(const Operand& prediction, const Operand& target, double beta = 1, const LossOptions& options = {});
/// With d = |prediction - target|: d^2 / 2 up to delta, delta (d - delta / 2) beyond; delta > 0.
Tensor huber_loss(const Operand& prediction, const Operand& target, double delta = 1, const LossOptions& options = {});

struct PoissonOptions {
  Reduction reduction = Reduction::mean;
  bool log_input = true;  ///< the prediction is the logarithm of the rate
  bool full = false;      ///< adds Stirling's approximation of log(target!) for targets above 1
  double eps = 1e-8;  ///< added to the rate before its logarithm is taken
};
/// rate - target * log(rate), without the term that does not depend on the rate.
Tensor poisson_nll_loss(const Operand& prediction, const Operand& target, const PoissonOptions& options = {});

struct GaussianOptions {
  Reduction reduction = Reduction::mean;
  bool full = false;      ///< adds log(2 pi) / 2
  double eps = 1e-6;  ///< the variance counts as at least this; its gradient does not notice
};
/// (log(variance) + (prediction - target)^2 / variance) / 2; the variance has the shape of the prediction or is broadcast to it.
Tensor gaussian_nll_loss(const Operand& prediction, const Operand& target, const Operand& variance, const GaussianOptions& options = {});

// ---- Distributions, rankings, distances ----------------------------------------------------------------------------------

/// target * (log(target) - log_probabilities), element by element; targets of 0 count 0. With log_target the target is a logarithm too. The
/// divergence of a row is the sum of its elements.
Tensor kl_div(const Operand& log_probabilities, const Operand& target, bool log_target = false, const LossOptions& options = {});
/// max(0, 1 - label * score) for labels -1 and 1.
Tensor hinge_loss(const Operand& scores, const Operand& labels, const LossOptions& options = {});
/// x where the label is 1, max(0, margin - x) where it is -1.
Tensor hinge_embedding_loss(const Operand& x, const Operand& labels, double margin = 1, const LossOptions& options = {});
/// Of rows a and b [..., n] and labels [...]: 1 - cos(a, b) where the label is 1, max(0, cos(a, b) - margin) where it is -1.
Tensor cosine_embedding_loss(const Operand& a, const Operand& b, const Operand& labels, double margin = 0, const LossOptions& options = {});
/// max(0, -label * (a - b) + margin): label 1 where a shall rank higher, -1 where b shall.
Tensor margin_ranking_loss(const Operand& a, const Operand& b, const Operand& labels, double margin = 0, const LossOptions& options = {});

struct TripletOptions {
  Reduction reduction = Reduction::mean;
  double margin = 1;
  double p = 2;  ///< of the distance |a - b + eps|_p
  double eps = 1e-6;
  bool swap = false;  ///< takes the negative's distance to the positive where that is smaller (Balntas et al. 2016)
};
/// max(0, |anchor - positive| - |anchor - negative| + margin) of rows [..., n]; result [...].
Tensor triplet_margin_loss(const Operand& anchor, const Operand& positive, const Operand& negative, const TripletOptions& options = {});

}  // namespace kiln

// Losses (kiln/losses.h), but for CTC (ctc_loss.cpp).
//
// Logarithms of probabilities come from log-sum-exp forms wherever logits are given. What is left are edges, where a derived gradient would
// be 0 * inf: a product with a weight of 0 (weighted()), a clamped logarithm (a closed form instead), a norm at 0 (norm_sqrt()).
#include "kiln/losses.h"

#include <fmt/format.h>
#include <cmath>
#include <limits>
#include <numbers>

#include "frontend/composite.h"
#include "kiln/gradients.h"
#include "kiln/linear_algebra.h"
#include "kiln/normalization.h"

namespace kiln {

using namespace detail;

namespace {

Tensor reduced(const Tensor& elements, Reduction reduction) {
  switch (reduction) {
    case Reduction::sum: return reduce_sum(elements);
    case Reduction::mean: return reduce_mean(elements);
    case Reduction::none: break;
  }
  return elements;
}

/// Weights the elements and reduces them.
template <class Options>
Tensor finish(Composite& of, const Tensor& elements, const Options& options) {
  if (!options.weight.valid()) return reduced(elements, options.reduction);
  const Tensor scaled = elements * of.tensor(options.weight);
  of.require_same_dims(scaled, elements, "the weighted loss", "the loss");
  return reduced(scaled, options.reduction);
}

/// Prediction and target of one shape and floating dtype.
struct Pair {
  Pair(const Operand& prediction, const Operand& target, const char* name, const char* what_a = "the prediction",
       const char* what_b = "the target")
      : of({&prediction, &target}, name), x(of.tensor(prediction)), t(of.tensor(target)) {
    of.require_floating(x);
    of.require_same_dims(x, t, what_a, what_b);
  }
  Composite of;
  Tensor x, t;
};

// ---- classes

/// Rows of scores and their labels.
struct Classes {
  Composite of;
  Tensor scores, labels;
  std::int64_t axis = 0;
  bool integer = false;

  Classes(const Operand& given_scores, const Operand& given_labels, const ClassificationOptions& options, const char* name,
          bool integer_only)
      : of({&given_scores}, name), scores(of.tensor(given_scores)), labels(given_labels.tensor()) {
    of.require_floating(scores);
    const ir::Type& type = type_of(scores);
    const ir::Type& given = type_of(labels);
    const auto explain = [&] {
      return fmt::format("{} {} and labels {} do not fit together", integer_only ? "scores" : "logits", ir::to_string(type),
                         ir::to_string(given));
    };
    if (type.rank() == 0) of.fail(ErrorCode::shape_mismatch, explain(), "the last axis of the logits runs over the classes");
    axis = of.axis(options.axis, scores);
    of.require(options.label_smoothing >= 0 && options.label_smoothing <= 1, fmt::format("label_smoothing is {}", options.label_smoothing),
               "0 <= label_smoothing <= 1");
    integer = is_integer(given.dtype);
    if (integer) {
      ir::Dims rows = type.dims;
      rows.erase(rows.begin() + axis);
      if (!(given.dims == rows))
        of.fail(ErrorCode::shape_mismatch, explain(),
                options.axis != -1 ? "integer labels have the shape of the logits without the axis of the classes"
                : type.rank() > 2
                    ? "integer labels have the shape of the logits without the last axis; {.axis = 1} where axis 1 runs over the classes"
                    : "integer labels have the shape of the logits without the last axis");
    } else if (!is_floating(given.dtype) || integer_only) {
      of.fail(ErrorCode::dtype_mismatch, explain(),
              integer_only ? "labels are integer class indices" : "labels are integer class indices or floating probabilities");
    } else {
      if (!(given.dims == type.dims))
        of.fail(ErrorCode::shape_mismatch, explain(), "floating labels are probabilities, one per logit; integer labels are class indices");
      if (options.ignore_index)
        of.fail(ErrorCode::invalid_argument, "ignore_index is given, but the labels are probabilities",
                "multiply the losses of the rows by a mask");
      if (given.dtype != type.dtype)
        of.fail(ErrorCode::dtype_mismatch, explain(), fmt::format("convert one of them: convert(x, {})", name_of(type.dtype)));
    }
    if (options.class_weights.valid()) {
      const Tensor weights = of.tensor(options.class_weights);
      if (!(type_of(weights).dims == ir::Dims{type.dims[static_cast<std::size_t>(axis)]}) || weights.dtype() != scores.dtype())
        of.fail(weights.dtype() != scores.dtype() ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                fmt::format("class_weights are {}, but there are scores {}", to_string(weights), to_string(scores)),
                "give one weight of the scores' dtype for each class");
    }
  }
};

/// The loss of rows from their log-probabilities. The label's score is picked by comparison with the position, which fuses with the row's
/// other passes, as a gather would not.
Tensor classification(Classes& rows, const Tensor& log_probabilities, const ClassificationOptions& options) {
  Composite& of = rows.of;
  const std::int64_t axis = rows.axis;
  const double smoothing = options.label_smoothing;
  const Dim classes = rows.scores.dim(axis);
  const auto smooth_share = [&] { return smoothing / of.count(rows.scores.dims(), {axis}, rows.scores.dtype()); };
  const Tensor weights = options.class_weights.valid() ? along(options.class_weights, axis, rows.scores.rank()) : Tensor();

  if (!rows.integer) {
    Tensor labels = rows.labels;
    if (smoothing > 0) labels = labels * (1 - smoothing) + smooth_share();
    if (weights.valid()) labels = labels * weights;
    return reduced(-reduce_sum(weighted(labels, log_probabilities), axis), options.reduction);
  }

  const Tensor position = of.iota(rows.labels.dtype(), rows.scores.dims(), axis);
  const Tensor chosen = equal(position, expand_dims(rows.labels, axis));
  Tensor scores = log_probabilities;
  if (weights.valid()) scores = weighted(weights, scores);
  Tensor loss = -reduce_sum(select(chosen, scores, 0), axis);
  if (smoothing > 0) loss = loss * (1 - smoothing) - reduce_sum(scores, axis) * smooth_share();
  // The denominator of the mean: rows that count, by their weights.
  Tensor denominator;
  if (options.reduction == Reduction::mean && weights.valid()) denominator = reduce_sum(select(chosen, weights, 0), axis);
  if (options.ignore_index) {
    const Tensor counts = not_equal(rows.labels, of.number(*options.ignore_index, rows.labels.dtype()));
    loss = select(counts, loss, 0);
    if (options.reduction == Reduction::mean)
      denominator = denominator.valid() ? select(counts, denominator, 0) : convert(counts, rows.scores.dtype());
  }
  if (denominator.valid()) return reduce_sum(loss) / reduce_sum(denominator);
  return reduced(loss, options.reduction);
}

}  // namespace

Tensor softmax_cross_entropy(const Operand& logits, const Operand& labels, const ClassificationOptions& options) {
  Classes rows(logits, labels, options, "softmax_cross_entropy", false);
  return classification(rows, log_softmax(rows.scores, rows.axis), options);
}

Tensor cross_entropy(const Operand& logits, const Operand& labels, const ClassificationOptions& options) {
  return softmax_cross_entropy(logits, labels, options);
}

Tensor nll_loss(const Operand& log_probabilities, const Operand& labels, const ClassificationOptions& options) {
  Classes rows(log_probabilities, labels, options, "nll_loss", true);
  return classification(rows, rows.scores, options);
}

Tensor binary_cross_entropy(const Operand& probabilities, const Operand& labels, const LossOptions& options) {
  Pair pair(probabilities, labels, "binary_cross_entropy", "the probabilities", "the labels");
  const auto logarithms = [](const Tensor& p) { return std::pair(maximum(log(p), -100), maximum(log1p(-p), -100)); };
  const Tensor elements = custom_gradient(
      {pair.x, pair.t},
      [&](const auto& in) {
        const auto [yes, no] = logarithms(in[0]);
        return std::vector<Tensor>{-(in[1] * yes + (1 - in[1]) * no)};
      },
      [&](const auto& in, const auto&, const auto& grad) {
        const auto [yes, no] = logarithms(in[0]);
        return std::vector<Tensor>{grad[0] * (in[0] - in[1]) / maximum(in[0] * (1 - in[0]), 1e-12), grad[0] * (no - yes)};
      },
      "binary_cross_entropy")[0];
  return finish(pair.of, elements, options);
}

Tensor binary_cross_entropy_with_logits(const Operand& logits, const Operand& labels, const LogitsOptions& options) {
  Pair pair(logits, labels, "binary_cross_entropy_with_logits", "the logits", "the labels");
  // -log p = softplus(-x), -log(1 - p) = softplus(x)
  Tensor yes = stable_softplus(-pair.x);
  if (options.positive_weight.valid()) {
    yes = weighted(pair.of.tensor(options.positive_weight), yes);
    pair.of.require_same_dims(yes, pair.x, "the weighted loss", "the logits");
  }
  return finish(pair.of, weighted(pair.t, yes) + weighted(1 - pair.t, stable_softplus(pair.x)), options);
}

Tensor focal_loss(const Operand& logits, const Operand& labels, const FocalOptions& options) {
  Pair pair(logits, labels, "focal_loss", "the logits", "the labels");
  pair.of.require(options.gamma >= 0, fmt::format("gamma is {}", options.gamma), "gamma >= 0");
  pair.of.require(options.alpha <= 1, fmt::format("alpha is {}", options.alpha), "alpha <= 1; a negative one means no weights");
  const Tensor &x = pair.x, &t = pair.t;
  Tensor loss = weighted(t, stable_softplus(-x)) + weighted(1 - t, stable_softplus(x));
  if (options.gamma > 0) {
    // 1 - p_t without cancellation; kept above 0, where the power has no derivative for gamma < 1.
    const Tensor miss = sigmoid(x) * (1 - t) + sigmoid(-x) * t;
    const double least = x.dtype() == f64 ? std::numeric_limits<double>::min() : std::numeric_limits<float>::min();
    loss = weighted(power(maximum(miss, x.dtype() == f16 ? 6.1035e-5 : least), options.gamma), loss);
  }
  if (options.alpha >= 0) loss = loss * (options.alpha * t + (1 - options.alpha) * (1 - t));
  return reduced(loss, options.reduction);
}

Tensor dice_loss(const Operand& probabilities, const Operand& labels, const DiceOptions& options) {
  Pair pair(probabilities, labels, "dice_loss", "the probabilities", "the labels");
  std::vector<std::int64_t> axes = pair.of.axes(options.axes, pair.x);
  if (options.axes.all() && !axes.empty()) axes.erase(axes.begin());
  const Tensor overlap = reduce_sum(pair.x * pair.t, axes), total = reduce_sum(pair.x, axes) + reduce_sum(pair.t, axes);
  return reduced(1 - (2 * overlap + options.smooth) / (total + options.smooth), options.reduction);
}

// ---- regression

Tensor mse_loss(const Operand& prediction, const Operand& target, const LossOptions& options) {
  Pair pair(prediction, target, "mse_loss");
  return finish(pair.of, square(pair.x - pair.t), options);
}

Tensor l1_loss(const Operand& prediction, const Operand& target, const LossOptions& options) {
  Pair pair(prediction, target, "l1_loss");
  return finish(pair.of, abs(pair.x - pair.t), options);
}

Tensor smooth_l1_loss(const Operand& prediction, const Operand& target, double beta, const LossOptions& options) {
  Pair pair(prediction, target, "smooth_l1_loss");
  pair.of.require(beta >= 0, fmt::format("beta is {}", beta), "beta >= 0");
  const Tensor d = abs(pair.x - pair.t);
  if (beta == 0) return finish(pair.of, d, options);
  return finish(pair.of, select(less(d, beta), d * d * (0.5 / beta), d - beta / 2), options);
}

Tensor huber_loss(const Operand& prediction, const Operand& target, double delta, const LossOptions& options) {
  Pair pair(prediction, target, "huber_loss");
  pair.of.require(delta > 0, fmt::format("delta is {}", delta), "delta > 0");
  const Tensor d = abs(pair.x - pair.t);
  return finish(pair.of, select(less_equal(d, delta), 0.5 * d * d, delta * (d - delta / 2)), options);
}

Tensor poisson_nll_loss(const Operand& prediction, const Operand& target, const PoissonOptions& options) {
  Pair pair(prediction, target, "poisson_nll_loss");
  const Tensor &x = pair.x, &t = pair.t;
  Tensor loss = options.log_input ? exp(x) - t * x : x - t * log(x + options.eps);
  if (options.full) {
    const Tensor large = greater(t, 1), safe = select(large, t, 1);
    loss = loss + select(large, safe * log(safe) - safe + 0.5 * log(2 * std::numbers::pi * safe), 0);
  }
  return reduced(loss, options.reduction);
}

Tensor gaussian_nll_loss(const Operand& prediction, const Operand& target, const Operand& variance, const GaussianOptions& options) {
  Pair pair(prediction, target, "gaussian_nll_loss");
  Composite of({&prediction, &variance}, "gaussian_nll_loss");
  const Tensor given = of.tensor(variance);
  const Tensor held = given + stop_gradient(maximum(given, options.eps) - given);
  const Tensor loss = 0.5 * (log(held) + square(pair.x - pair.t) / held);
  of.require_same_dims(loss, pair.x, "the loss with its variance", "the prediction");
  return reduced(options.full ? loss + 0.5 * std::log(2 * std::numbers::pi) : loss, options.reduction);
}

// ---- distributions, rankings, distances

Tensor kl_div(const Operand& log_probabilities, const Operand& target, bool log_target, const LossOptions& options) {
  Pair pair(log_probabilities, target, "kl_div", "the log-probabilities", "the target");
  const Tensor &x = pair.x, &t = pair.t;
  if (log_target) return finish(pair.of, weighted(exp(t), t - x), options);
  return finish(pair.of, weighted(t, log(select(greater(t, 0), t, 1)) - x), options);
}

Tensor hinge_loss(const Operand& scores, const Operand& labels, const LossOptions& options) {
  Pair pair(scores, labels, "hinge_loss", "the scores", "the labels");
  return finish(pair.of, maximum(0, 1 - pair.t * pair.x), options);
}

Tensor hinge_embedding_loss(const Operand& x, const Operand& labels, double margin, const LossOptions& options) {
  Pair pair(x, labels, "hinge_embedding_loss", "x", "the labels");
  return finish(pair.of, select(equal(pair.t, 1), pair.x, maximum(0, margin - pair.x)), options);
}

Tensor cosine_embedding_loss(const Operand& a, const Operand& b, const Operand& labels, double margin, const LossOptions& options) {
  Pair pair(a, b, "cosine_embedding_loss", "a", "b");
  pair.of.require_rank(pair.x, 1, "a row", "expand_dims(x, 0)");
  const Tensor t = pair.of.tensor(labels);
  constexpr double eps = 1e-12;
  const Tensor norms = sqrt((reduce_sum(square(pair.x), -1) + eps) * (reduce_sum(square(pair.t), -1) + eps));
  const Tensor cosine = reduce_sum(pair.x * pair.t, -1) / norms;
  pair.of.require_same_dims(t, cosine, "the labels", "the rows");
  return finish(pair.of, select(equal(t, 1), 1 - cosine, maximum(0, cosine - margin)), options);
}

Tensor margin_ranking_loss(const Operand& a, const Operand& b, const Operand& labels, double margin, const LossOptions& options) {
  Pair pair(a, b, "margin_ranking_loss", "a", "b");
  const Tensor t = pair.of.tensor(labels);
  pair.of.require_same_dims(t, pair.x, "the labels", "a");
  return finish(pair.of, maximum(0, margin - t * (pair.x - pair.t)), options);
}

Tensor triplet_margin_loss(const Operand& anchor, const Operand& positive, const Operand& negative, const TripletOptions& options) {
  Pair pair(anchor, positive, "triplet_margin_loss", "the anchor", "the positive");
  const Tensor n = pair.of.tensor(negative);
  pair.of.require_same_dims(pair.x, n, "the anchor", "the negative");
  pair.of.require_rank(pair.x, 1, "a row", "expand_dims(x, 0)");
  const auto distance = [&](const Tensor& a, const Tensor& b) { return vector_norm(a - b + options.eps, options.p, -1); };
  Tensor far = distance(pair.x, n);
  if (options.swap) far = minimum(far, distance(pair.t, n));
  return reduced(maximum(0, distance(pair.x, pair.t) - far + options.margin), options.reduction);
}

}  // namespace kiln

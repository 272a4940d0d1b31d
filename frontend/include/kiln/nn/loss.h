// Losses as objects: how they reduce, and their other options, are chosen once. They are the functions of kiln/losses.h, which say what
// each computes and which shapes and dtypes it takes. They reduce to the mean, as in PyTorch, unless the options say otherwise; a Reduction
// may also be given first.
//
//   nn::CrossEntropyLoss criterion({.label_smoothing = 0.1});
//   Tensor loss = criterion(model(x, {.training = true}), labels);
//   Tensor each = nn::CrossEntropyLoss(nn::Reduction::none)(logits, labels);
#pragma once

#include "kiln/losses.h"

namespace kiln::nn {

using kiln::Reduction;

/// (prediction - target)^2
class MSELoss {
 public:
  explicit MSELoss(LossOptions options = {}) : options_(std::move(options)) {}
  explicit MSELoss(Reduction reduction, LossOptions options = {}) : options_(std::move(options)) { options_.reduction = reduction; }
  Tensor operator()(const Tensor& prediction, const Tensor& target, std::source_location location = std::source_location::current()) const;

 private:
  LossOptions options_;
};
/// |prediction - target|
class L1Loss {
 public:
  explicit L1Loss(LossOptions options = {}) : options_(std::move(options)) {}
  explicit L1Loss(Reduction reduction, LossOptions options = {}) : options_(std::move(options)) { options_.reduction = reduction; }
  Tensor operator()(const Tensor& prediction, const Tensor& target, std::source_location location = std::source_location::current()) const;

 private:
  LossOptions options_;
};
/// smooth_l1_loss()
class SmoothL1Loss {
 public:
  explicit SmoothL1Loss(double beta = 1, LossOptions options = {}) : beta_(beta), options_(std::move(options)) {}
  explicit SmoothL1Loss(Reduction reduction, double beta = 1, LossOptions options = {}) : beta_(beta), options_(std::move(options)) {
    options_.reduction = reduction;
  }
  Tensor operator()(const Tensor& prediction, const Tensor& target, std::source_location location = std::source_location::current()) const;

 private:
  double beta_;
  LossOptions options_;
};
/// huber_loss()
class HuberLoss {
 public:
  explicit HuberLoss(double delta = 1, LossOptions options = {}) : delta_(delta), options_(std::move(options)) {}
  explicit HuberLoss(Reduction reduction, double delta = 1, LossOptions options = {}) : delta_(delta), options_(std::move(options)) {
    options_.reduction = reduction;
  }
  Tensor operator()(const Tensor& prediction, const Tensor& target, std::source_location location = std::source_location::current()) const;

 private:
  double delta_;
  LossOptions options_;
};
/// softmax_cross_entropy() of logits and class indices (or probabilities).
class CrossEntropyLoss {
 public:
  explicit CrossEntropyLoss(ClassificationOptions options = {}) : options_(std::move(options)) {}
  explicit CrossEntropyLoss(Reduction reduction, ClassificationOptions options = {}) : options_(std::move(options)) {
    options_.reduction = reduction;
  }
  Tensor operator()(const Tensor& logits, const Tensor& labels, std::source_location location = std::source_location::current()) const;

 private:
  ClassificationOptions options_;
};
/// nll_loss() of log-probabilities and class indices.
class NLLLoss {
 public:
  explicit NLLLoss(ClassificationOptions options = {}) : options_(std::move(options)) {}
  explicit NLLLoss(Reduction reduction, ClassificationOptions options = {}) : options_(std::move(options)) {
    options_.reduction = reduction;
  }
  Tensor operator()(const Tensor& log_probabilities, const Tensor& labels,
                    std::source_location location = std::source_location::current()) const;

 private:
  ClassificationOptions options_;
};
/// binary_cross_entropy() of probabilities and labels in [0, 1].
class BCELoss {
 public:
  explicit BCELoss(LossOptions options = {}) : options_(std::move(options)) {}
  explicit BCELoss(Reduction reduction, LossOptions options = {}) : options_(std::move(options)) { options_.reduction = reduction; }
  Tensor operator()(const Tensor& probabilities, const Tensor& labels,
                    std::source_location location = std::source_location::current()) const;

 private:
  LossOptions options_;
};
/// binary_cross_entropy_with_logits()
class BCEWithLogitsLoss {
 public:
  explicit BCEWithLogitsLoss(LogitsOptions options = {}) : options_(std::move(options)) {}
  explicit BCEWithLogitsLoss(Reduction reduction, LogitsOptions options = {}) : options_(std::move(options)) {
    options_.reduction = reduction;
  }
  Tensor operator()(const Tensor& logits, const Tensor& labels, std::source_location location = std::source_location::current()) const;

 private:
  LogitsOptions options_;
};
/// kl_div(); the mean is over elements.
class KLDivLoss {
 public:
  explicit KLDivLoss(bool log_target = false, LossOptions options = {}) : log_target_(log_target), options_(std::move(options)) {}
  explicit KLDivLoss(Reduction reduction, bool log_target = false, LossOptions options = {})
      : log_target_(log_target), options_(std::move(options)) {
    options_.reduction = reduction;
  }
  Tensor operator()(const Tensor& log_probabilities, const Tensor& target,
                    std::source_location location = std::source_location::current()) const;

 private:
  bool log_target_;
  LossOptions options_;
};
/// poisson_nll_loss()
class PoissonNLLLoss {
 public:
  explicit PoissonNLLLoss(PoissonOptions options = {}) : options_(std::move(options)) {}
  explicit PoissonNLLLoss(Reduction reduction, PoissonOptions options = {}) : options_(std::move(options)) {
    options_.reduction = reduction;
  }
  Tensor operator()(const Tensor& prediction, const Tensor& target, std::source_location location = std::source_location::current()) const;

 private:
  PoissonOptions options_;
};
/// gaussian_nll_loss()
class GaussianNLLLoss {
 public:
  explicit GaussianNLLLoss(GaussianOptions options = {}) : options_(std::move(options)) {}
  explicit GaussianNLLLoss(Reduction reduction, GaussianOptions options = {}) : options_(std::move(options)) {
    options_.reduction = reduction;
  }
  Tensor operator()(const Tensor& prediction, const Tensor& target, const Tensor& variance,
                    std::source_location location = std::source_location::current()) const;

 private:
  GaussianOptions options_;
};
/// hinge_embedding_loss()
class HingeEmbeddingLoss {
 public:
  explicit HingeEmbeddingLoss(double margin = 1, LossOptions options = {}) : margin_(margin), options_(std::move(options)) {}
  explicit HingeEmbeddingLoss(Reduction reduction, double margin = 1, LossOptions options = {})
      : margin_(margin), options_(std::move(options)) {
    options_.reduction = reduction;
  }
  Tensor operator()(const Tensor& x, const Tensor& labels, std::source_location location = std::source_location::current()) const;

 private:
  double margin_;
  LossOptions options_;
};
/// cosine_embedding_loss()
class CosineEmbeddingLoss {
 public:
  explicit CosineEmbeddingLoss(double margin = 0, LossOptions options = {}) : margin_(margin), options_(std::move(options)) {}
  explicit CosineEmbeddingLoss(Reduction reduction, double margin = 0, LossOptions options = {})
      : margin_(margin), options_(std::move(options)) {
    options_.reduction = reduction;
  }
  Tensor operator()(const Tensor& a, const Tensor& b, const Tensor& labels,
                    std::source_location location = std::source_location::current()) const;

 private:
  double margin_;
  LossOptions options_;
};
/// margin_ranking_loss()
class MarginRankingLoss {
 public:
  explicit MarginRankingLoss(double margin = 0, LossOptions options = {}) : margin_(margin), options_(std::move(options)) {}
  explicit MarginRankingLoss(Reduction reduction, double margin = 0, LossOptions options = {})
      : margin_(margin), options_(std::move(options)) {
    options_.reduction = reduction;
  }
  Tensor operator()(const Tensor& a, const Tensor& b, const Tensor& labels,
                    std::source_location location = std::source_location::current()) const;

 private:
  double margin_;
  LossOptions options_;
};
/// triplet_margin_loss()
class TripletMarginLoss {
 public:
  explicit TripletMarginLoss(TripletOptions options = {}) : options_(std::move(options)) {}
  explicit TripletMarginLoss(Reduction reduction, TripletOptions options = {}) : options_(std::move(options)) {
    options_.reduction = reduction;
  }
  Tensor operator()(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                    std::source_location location = std::source_location::current()) const;

 private:
  TripletOptions options_;
};
/// ctc_loss()
class CTCLoss {
 public:
  explicit CTCLoss(CtcOptions options = {}) : options_(std::move(options)) {}
  explicit CTCLoss(Reduction reduction, CtcOptions options = {}) : options_(std::move(options)) { options_.reduction = reduction; }
  Tensor operator()(const Tensor& log_probabilities, const Tensor& targets, const Tensor& input_lengths, const Tensor& target_lengths,
                    std::source_location location = std::source_location::current()) const;

 private:
  CtcOptions options_;
};

}  // namespace kiln::nn

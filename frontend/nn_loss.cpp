// Losses as objects.
#include "kiln/nn/loss.h"

#include "frontend/state.h"

namespace kiln::nn {

using kiln::detail::LocationScope;

Tensor MSELoss::operator()(const Tensor& prediction, const Tensor& target, std::source_location location) const {
  LocationScope scope{Location(location)};
  return mse_loss(prediction, target, options_);
}
Tensor L1Loss::operator()(const Tensor& prediction, const Tensor& target, std::source_location location) const {
  LocationScope scope{Location(location)};
  return l1_loss(prediction, target, options_);
}
Tensor SmoothL1Loss::operator()(const Tensor& prediction, const Tensor& target, std::source_location location) const {
  LocationScope scope{Location(location)};
  return smooth_l1_loss(prediction, target, beta_, options_);
}
Tensor HuberLoss::operator()(const Tensor& prediction, const Tensor& target, std::source_location location) const {
  LocationScope scope{Location(location)};
  return huber_loss(prediction, target, delta_, options_);
}
Tensor CrossEntropyLoss::operator()(const Tensor& logits, const Tensor& labels, std::source_location location) const {
  LocationScope scope{Location(location)};
  return softmax_cross_entropy(logits, labels, options_);
}
Tensor NLLLoss::operator()(const Tensor& log_probabilities, const Tensor& labels, std::source_location location) const {
  LocationScope scope{Location(location)};
  return nll_loss(log_probabilities, labels, options_);
}
Tensor BCELoss::operator()(const Tensor& probabilities, const Tensor& labels, std::source_location location) const {
  LocationScope scope{Location(location)};
  return binary_cross_entropy(probabilities, labels, options_);
}
Tensor BCEWithLogitsLoss::operator()(const Tensor& logits, const Tensor& labels, std::source_location location) const {
  LocationScope scope{Location(location)};
  return binary_cross_entropy_with_logits(logits, labels, options_);
}
Tensor KLDivLoss::operator()(const Tensor& log_probabilities, const Tensor& target, std::source_location location) const {
  LocationScope scope{Location(location)};
  return kl_div(log_probabilities, target, log_target_, options_);
}
Tensor PoissonNLLLoss::operator()(const Tensor& prediction, const Tensor& target, std::source_location location) const {
  LocationScope scope{Location(location)};
  return poisson_nll_loss(prediction, target, options_);
}
Tensor GaussianNLLLoss::operator()(const Tensor& prediction, const Tensor& target, const Tensor& variance,
                                   std::source_location location) const {
  LocationScope scope{Location(location)};
  return gaussian_nll_loss(prediction, target, variance, options_);
}
Tensor HingeEmbeddingLoss::operator()(const Tensor& x, const Tensor& labels, std::source_location location) const {
  LocationScope scope{Location(location)};
  return hinge_embedding_loss(x, labels, margin_, options_);
}
Tensor CosineEmbeddingLoss::operator()(const Tensor& a, const Tensor& b, const Tensor& labels, std::source_location location) const {
  LocationScope scope{Location(location)};
  return cosine_embedding_loss(a, b, labels, margin_, options_);
}
Tensor MarginRankingLoss::operator()(const Tensor& a, const Tensor& b, const Tensor& labels, std::source_location location) const {
  LocationScope scope{Location(location)};
  return margin_ranking_loss(a, b, labels, margin_, options_);
}
Tensor TripletMarginLoss::operator()(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                                     std::source_location location) const {
  LocationScope scope{Location(location)};
  return triplet_margin_loss(anchor, positive, negative, options_);
}
Tensor CTCLoss::operator()(const Tensor& log_probabilities, const Tensor& targets, const Tensor& input_lengths,
                           const Tensor& target_lengths, std::source_location location) const {
  LocationScope scope{Location(location)};
  return ctc_loss(log_probabilities, targets, input_lengths, target_lengths, options_);
}

}  // namespace kiln::nn

// Losses as objects: how they reduce is chosen once.
#pragma once

#include "kiln/losses.h"

namespace kiln::nn {

using kiln::Reduction;

/// (prediction - target)^2, element by element, then reduced.
class MSELoss {
 public:
  explicit MSELoss(Reduction reduction = Reduction::mean) : reduction_(reduction) {}
  Tensor operator()(const Tensor& prediction, const Tensor& target, std::source_location location = std::source_location::current()) const;

 private:
  Reduction reduction_;
};

/// softmax_cross_entropy() of logits and class indices (or probabilities), then reduced.
class CrossEntropyLoss {
 public:
  explicit CrossEntropyLoss(Reduction reduction = Reduction::mean) : reduction_(reduction) {}
  Tensor operator()(const Tensor& logits, const Tensor& labels, std::source_location location = std::source_location::current()) const;

 private:
  Reduction reduction_;
};

}  // namespace kiln::nn

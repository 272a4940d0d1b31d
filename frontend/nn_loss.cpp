// Losses as objects.
#include "kiln/nn/loss.h"

#include <fmt/format.h>

#include "frontend/state.h"

namespace kiln::nn {

using kiln::detail::LocationScope;

namespace {

Tensor reduced(const Tensor& elements, Reduction reduction) {
  switch (reduction) {
    case Reduction::sum: return reduce_sum(elements);
    case Reduction::mean: return reduce_mean(elements);
    case Reduction::none: break;
  }
  return elements;
}

}  // namespace

Tensor MSELoss::operator()(const Tensor& prediction, const Tensor& target, std::source_location location) const {
  LocationScope scope{Location(location)};
  const ir::Type &a = kiln::detail::type_of(prediction), &b = kiln::detail::type_of(target);
  // Broadcasting is no help here: a [n] against a [n, 1] would quietly compare all pairs.
  if (!(a == b))
    throw Error(a.dtype != b.dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                fmt::format("MSELoss: the prediction is {}, the target {}", ir::to_string(a), ir::to_string(b)),
                LocationScope::resolve(location),
                a.dtype != b.dtype ? "convert one of them: convert(x, f32)" : "both must have the same shape; reshape() one of them");
  return reduced(square(prediction - target), reduction_);
}

Tensor CrossEntropyLoss::operator()(const Tensor& logits, const Tensor& labels, std::source_location location) const {
  LocationScope scope{Location(location)};
  return reduced(softmax_cross_entropy(logits, labels), reduction_);
}

}  // namespace kiln::nn

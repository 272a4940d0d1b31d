// Dropout modules.
#include "kiln/nn/dropout.h"

#include <fmt/format.h>
#include <cmath>

#include "frontend/nn_module.h"
#include "kiln/operators.h"
#include "kiln/random.h"

namespace kiln::nn {

using detail::at_call;

namespace {

void require_rate(const char* name, double rate, const Location& where) {
  if (!(rate >= 0 && rate < 1))
    throw Error(ErrorCode::invalid_argument, fmt::format("{}: the rate is {}", name, rate), where, "0 <= rate < 1");
}

/// The first `kept` dims of x, each drawn for itself; the others are all or nothing.
Tensor drop_whole(const char* name, const Tensor& x, double rate, std::size_t kept, std::size_t rank) {
  if (rank && x.rank() != rank)
    detail::fail(ErrorCode::shape_mismatch, fmt::format("{}: takes tensors of rank {}, but was given {}", name, rank, to_string(x)),
                 "[batch, channels, ...]; Dropout drops single elements");
  if (x.rank() < kept)
    detail::fail(ErrorCode::shape_mismatch, fmt::format("{}: the input is {}", name, to_string(x)), "[batch, ...]");
  std::vector<Dim> dims(x.rank(), Dim(1));
  for (std::size_t i = 0; i < kept; ++i) dims[i] = x.dims()[i];
  return x * dropout(detail::graph_of(x).ones(x.dtype(), dims), rate);
}

}  // namespace

Dropout::Dropout(double rate, std::source_location location) : rate_(rate) { require_rate("Dropout", rate, location); }
Dropout1d::Dropout1d(double rate, std::source_location location) : rate_(rate) { require_rate("Dropout1d", rate, location); }
Dropout2d::Dropout2d(double rate, std::source_location location) : rate_(rate) { require_rate("Dropout2d", rate, location); }
Dropout3d::Dropout3d(double rate, std::source_location location) : rate_(rate) { require_rate("Dropout3d", rate, location); }
AlphaDropout::AlphaDropout(double rate, std::source_location location) : rate_(rate) { require_rate("AlphaDropout", rate, location); }
DropPath::DropPath(double rate, std::source_location location) : rate_(rate) { require_rate("DropPath", rate, location); }

Tensor Dropout::forward(const Tensor& x) {
  return at_call([&] { return training() ? dropout(x, rate_) : x; });
}
Tensor Dropout1d::forward(const Tensor& x) {
  return at_call([&] { return training() ? drop_whole("Dropout1d", x, rate_, 2, 3) : x; });
}
Tensor Dropout2d::forward(const Tensor& x) {
  return at_call([&] { return training() ? drop_whole("Dropout2d", x, rate_, 2, 4) : x; });
}
Tensor Dropout3d::forward(const Tensor& x) {
  return at_call([&] { return training() ? drop_whole("Dropout3d", x, rate_, 2, 5) : x; });
}
Tensor DropPath::forward(const Tensor& x) {
  return at_call([&] { return training() ? drop_whole("DropPath", x, rate_, 1, 0) : x; });
}

Tensor AlphaDropout::forward(const Tensor& x) {
  if (!training() || rate_ == 0) return x;
  return at_call([&] {
    constexpr double limit = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717;  // -scale * alpha of SELU
    const double scale = 1 / std::sqrt((limit * limit * rate_ + 1) * (1 - rate_));
    const Tensor kept = greater(dropout(ones_like(x), rate_), 0);
    return select(kept, x, limit) * scale - limit * scale * rate_;
  });
}

}  // namespace kiln::nn

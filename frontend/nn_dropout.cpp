// Dropout modules.
#include "kiln/nn/dropout.h"

#include <fmt/format.h>

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

Tensor drop_channels(const char* name, const Tensor& x, double rate, std::size_t rank) {
  if (x.rank() != rank)
    detail::fail(ErrorCode::shape_mismatch, fmt::format("{}: takes tensors of rank {}, but was given {}", name, rank, to_string(x)),
                 "[batch, channels, ...]; Dropout drops single elements");
  return channel_dropout(x, rate);
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
  return at_call([&] { return training() ? drop_channels("Dropout1d", x, rate_, 3) : x; });
}
Tensor Dropout2d::forward(const Tensor& x) {
  return at_call([&] { return training() ? drop_channels("Dropout2d", x, rate_, 4) : x; });
}
Tensor Dropout3d::forward(const Tensor& x) {
  return at_call([&] { return training() ? drop_channels("Dropout3d", x, rate_, 5) : x; });
}
Tensor DropPath::forward(const Tensor& x) {
  if (x.rank() == 0) detail::fail(ErrorCode::shape_mismatch, fmt::format("DropPath: the input is {}", to_string(x)), "[batch, ...]");
  return at_call([&] {
    if (!training()) return x;
    std::vector<Dim> dims(x.rank(), Dim(1));
    dims[0] = x.dim(0);
    return x * dropout(detail::graph_of(x).ones(x.dtype(), dims), rate_);
  });
}

Tensor AlphaDropout::forward(const Tensor& x) {
  return at_call([&] { return training() ? alpha_dropout(x, rate_) : x; });
}

}  // namespace kiln::nn

// Dropout (kiln/random.h).
#include <fmt/format.h>
#include <cmath>

#include "frontend/draws.h"
#include "kiln/random.h"

namespace kiln {

using namespace detail;

namespace {

struct Dropped {
  Dropped(const Operand& operand, double rate, const char* name) : of({&operand}, name), x(of.tensor(operand)), rate(rate) {
    of.require_floating(x);
    of.require(rate >= 0 && rate < 1, fmt::format("the rate is {}", rate), "0 <= rate < 1");
  }
  /// True with probability 1 - rate.
  Tensor kept(const Dims& dims) { return greater_equal(draw_unit(of, x.dtype() == DType::f64 ? f64 : f32, dims), rate); }
  Composite of;
  Tensor x;
  double rate;
};

}  // namespace

Tensor dropout(const Operand& operand, double rate) {
  Dropped d(operand, rate, "dropout");
  if (rate == 0) return d.x;
  return select(d.kept(d.x.dims()), d.x * (1 / (1 - rate)), 0);
}

Tensor channel_dropout(const Operand& operand, double rate, std::int64_t channel_axis) {
  Dropped d(operand, rate, "channel_dropout");
  d.of.require_rank(d.x, 2, "a batch of channels", "axis 0 is the batch");
  const std::int64_t axis = d.of.axis(channel_axis, d.x);
  if (rate == 0) return d.x;
  std::vector<Dim> dims(d.x.rank(), Dim(1));
  dims[0] = d.x.dim(0);
  dims[static_cast<std::size_t>(axis)] = d.x.dim(axis);
  return select(broadcast_to(d.kept(dims), d.x.dims()), d.x * (1 / (1 - rate)), 0);
}

Tensor alpha_dropout(const Operand& operand, double rate) {
  Dropped d(operand, rate, "alpha_dropout");
  if (rate == 0) return d.x;
  constexpr double limit = -1.7580993408473766;  // -lambda alpha of SELU
  const double scale = 1 / std::sqrt((1 - rate) * (1 + rate * limit * limit));
  return select(d.kept(d.x.dims()), d.x * scale, limit * scale) + (-scale * limit * rate);
}

}  // namespace kiln

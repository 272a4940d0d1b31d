// The register tiles of a contraction: their shape, and how a height is cut into them.
#include <algorithm>

#include "passes/contraction.h"

namespace kiln::passes {

using ir::Dim;

namespace {

constexpr int max_symbolic_height = 8;  // microkernels of heights 1..8 for a symbolic M: code size

}  // namespace

/// By counting fma and load slots (two of each per cycle) and a latency of 4. The last terms stand for loads that come from L2 or cross
/// cache lines; with them the order of tiles is the measured one (64 x 100 x 1000 and 1000 x 100 x 64).
TileShape choose_tile(const Dim& m, std::int64_t n_vectors, std::int64_t k, const CpuTarget& target) {
  const int parts = std::max(1, 64 / target.register_bytes);
  const int budget = target.registers - 1;
  TileShape best;
  double best_cost = 0;
  for (int columns = 1; columns <= 4; ++columns) {
    int rows = (budget - 1 - columns * parts) / (columns * parts);
    if (rows < 1) break;
    if (!m.is_constant()) rows = std::min(rows, max_symbolic_height);
    const std::int64_t height = std::max<std::int64_t>(1, m.is_constant() ? m.constant() : 64);
    const std::int64_t row_tiles = (height + rows - 1) / rows;
    double cost = 0;
    for (std::int64_t left = n_vectors; left > 0; left -= columns) {
      const double w = static_cast<double>(std::min<std::int64_t>(left, columns)) * parts;
      const double h = static_cast<double>(height) / static_cast<double>(row_tiles);
      const double cycles = std::max({h * w / 2, (h + w) / 2, 4.0}) + 0.5 * w + 0.1 * h;
      cost += static_cast<double>(row_tiles) * (static_cast<double>(k) * cycles + 40);
    }
    if (best_cost == 0 || cost < best_cost) {
      best_cost = cost;
      best = {rows, columns};
    }
  }
  return best;
}

Dim Balanced::size(const Dim& t) const { return longer.is_constant(0) ? base : base + min(max(longer - t, 0), 1); }

Dim Balanced::begin(const Dim& t) const { return longer.is_constant(0) ? base * t : base * t + min(t, longer); }

Balanced Balanced::of(const Dim& extent, int most) {
  const Dim pieces = ceildiv(extent, most);
  const Dim divisor = max(pieces, 1);
  return {pieces, floordiv(extent, divisor), mod(extent, divisor)};
}

}  // namespace kiln::passes

// Map kernels: every element of the domain on its own.
//
// Neighbouring axes that all accesses walk as one are collapsed, so most maps become one loop over memory. One axis is the vector axis: the
// one along which most accesses have unit stride. It runs in strips of `cols` vectors of 64 bytes, then in masked vectors; the other axes
// are plain loops around it. The work is cut into a fixed number of elements per parallel iteration, so the cut never depends on the number
// of threads.
//
// Each output element is stored right after everything it reads was read, so a parameter that is read only at the output's own index may
// share its memory.
#include <algorithm>

#include "passes/lowering.h"

namespace kiln::passes {

using ir::Dim;
using ir::Dims;
using ir::LoopKind;
using ir::LoopOp;
using ir::ScalarId;

namespace {

/// Elements per parallel iteration: some microseconds of work, 64 KiB of f32 per stream.
constexpr std::int64_t chunk_elements = 16384;

/// Index of the axis to vectorise, or nothing when there is none.
std::optional<std::size_t> choose_vector_axis(const Lowering& lowering, const std::vector<Axis>& axes, const std::vector<Store>& stores,
                                              std::span<const ScalarId> roots) {
  std::optional<std::size_t> best;
  int best_score = 0;
  for (std::size_t a = axes.size(); a-- > 0;) {
    if (axes[a].extent.is_constant(1) || lowering.gathers_along(roots, axes[a])) continue;
    int score = 1;
    for (const Store& store : stores) {
      const auto stride = stride_of(lowering.store_offset(store), axes[a]);
      score += stride && stride->is_constant(1) ? 3 : 0;
    }
    for (const ScalarId id : lowering.scalars.reachable(roots)) {
      if (!lowering.is_parameter_load(id)) continue;
      const auto stride = stride_of(lowering.load_offset(id), axes[a]);
      score += stride && stride->is_constant(1) ? 2 : 0;
    }
    if (score > best_score) {
      best = a;
      best_score = score;
    }
  }
  return best;
}

/// Vectors per strip: more hide latency, fewer keep long expressions in registers.
int choose_columns(const Lowering& lowering, std::span<const ScalarId> roots) {
  int operations = 0;
  bool functions = false;
  for (const ScalarId id : lowering.scalars.reachable(roots)) {
    const LoopOp op = lowering.scalars.node(id).op;
    operations += op != LoopOp::constant;
    functions |= is_function(op);
  }
  const int columns = functions || operations > 24 ? 2 : 4;
  return std::max(1, columns / lowering.registers_per_vector());
}

class MapNest {
 public:
  MapNest(Lowering& lowering, const std::vector<Axis>& axes, const std::vector<Store>& stores)
      : lowering_(lowering), b_(lowering.builder), stores_(stores) {
    std::vector<DType> stored;
    for (const Store& store : stores) {
      roots_.push_back(store.value);
      stored.push_back(lowering.scalars.dtype_of(store.value));
    }
    const std::optional<std::size_t> vector = choose_vector_axis(lowering, axes, stores, roots_);
    for (std::size_t a = 0; a < axes.size(); ++a)
      if (a != vector) outer_.push_back(&axes[a]);
    if (vector) {
      vector_ = &axes[*vector];
      lanes_ = lanes_along(lowering, roots_, stored, *vector_);
      columns_ = choose_columns(lowering, roots_);
      if (vector_->extent.is_constant())
        columns_ = static_cast<int>(std::clamp<std::int64_t>(vector_->extent.constant() / lanes_, 1, columns_));
    }
  }

  void emit() {
    Dim inner = vector_ != nullptr ? vector_->extent : Dim(1), all = inner;
    for (const Axis* axis : outer_) all *= axis->extent;
    const bool parallel = !all.is_constant() || all.constant() > chunk_elements;
    const bool long_strip = !inner.is_constant() || inner.constant() > chunk_elements;
    const bool few_rows = outer_.empty() || (outer_[0]->extent.is_constant() && outer_[0]->extent.constant() < 8);
    if (parallel && few_rows && long_strip && vector_ != nullptr) {
      // Chunks of the vector axis outermost.
      b_.for_loop("chunk", 0, ceildiv(inner, chunk_elements), 1, LoopKind::parallel, [&](const Dim& chunk) {
        const Dim begin = chunk * chunk_elements;
        const Dim end = lowering_.named("end", min(begin + chunk_elements, inner));
        loops(0, LoopKind::serial, [&] { strips(begin, end); });
      });
    } else {
      loops(0, parallel && !outer_.empty() ? LoopKind::parallel : LoopKind::serial, [&] { strips(0, inner); });
    }
  }

 private:
  void loops(std::size_t depth, LoopKind kind, const std::function<void()>& body) {
    if (depth == outer_.size()) return body();
    b_.for_loop(outer_[depth]->name, 0, outer_[depth]->extent, 1, kind, [&](const Dim& i) {
      at_.emplace_back(outer_[depth], i);
      loops(depth + 1, LoopKind::serial, body);
      at_.pop_back();
    });
  }

  void strips(const Dim& begin, const Dim& end) {
    if (vector_ == nullptr) return tile({}, 1, 1, {});
    const Dim step = columns_ * lanes_;
    const Dim length = floordiv(end - begin, step) * step;
    const Dim main_end = length.is_constant() ? begin + length : lowering_.named("middle", begin + length);
    if (!(main_end == begin)) {
      if (main_end == begin + step)
        tile(begin, columns_, lanes_, {});
      else
        b_.for_loop(vector_->name, begin, main_end, step, LoopKind::serial, [&](const Dim& i) { tile(i, columns_, lanes_, {}); });
    }
    const Dim rest = end - main_end;
    if (rest.is_constant()) {
      const std::int64_t whole = rest.constant() / lanes_;
      if (whole > 0) tile(main_end, static_cast<int>(whole), lanes_, {});
      if (rest.constant() % lanes_ != 0) {
        const Dim last = main_end + whole * lanes_;
        tile(last, 1, lanes_, mask_below(b_, last, end, 1, lanes_));
      }
    } else {
      b_.for_loop(vector_->name, main_end, end, lanes_, LoopKind::serial,
                  [&](const Dim& i) { tile(i, 1, lanes_, mask_below(b_, i, end, 1, lanes_)); });
    }
  }

  void tile(const Dim& i, int cols, int lanes, ir::Mask mask) {
    Tile tile;
    tile.at = at_;
    tile.cols = cols;
    tile.lanes = lanes;
    tile.mask = mask;
    if (vector_ != nullptr) tile.at.emplace_back(vector_, i + Dim::symbol(ir::tile_vector));
    Expressions expressions(lowering_, std::move(tile));
    // Everything is computed before anything is stored: outputs may share memory with parameters.
    for (const Store& store : stores_) expressions.value(store.value);
    for (const Store& store : stores_) expressions.store(store);
  }

  Lowering& lowering_;
  ir::KernelBuilder& b_;
  const std::vector<Store>& stores_;
  std::vector<ScalarId> roots_;
  std::vector<const Axis*> outer_;
  const Axis* vector_ = nullptr;
  int lanes_ = 1, columns_ = 1;
  std::vector<std::pair<const Axis*, Dim>> at_;
};

}  // namespace

void emit_map(Lowering& lowering, const std::vector<Axis>& axes, const std::vector<Store>& stores) {
  MapNest(lowering, axes, stores).emit();
}

ir::Kernel schedule_map(Lowering& lowering) {
  const ir::Graph& graph = lowering.graph;
  // One domain for all results; results of other dims (a reshape) are walked by position.
  const Dims& dims = graph.type(graph.results.at(0)).dims;
  bool equal_dims = true;
  for (const ir::ValueId result : graph.results) equal_dims &= graph.type(result).dims == dims;
  std::vector<Axis> axes = lowering.axes_of(equal_dims ? dims : Dims{ir::product(dims)});
  std::vector<Store> stores;
  std::int64_t bytes = 0;
  for (std::uint32_t i = 0; i < graph.results.size(); ++i) {
    const ir::Type& type = graph.type(graph.results[i]);
    Dims index;
    if (equal_dims) {
      for (const Axis& axis : axes) index.push_back(axis.symbol);
    } else {
      internal_check(ir::product(type.dims) == axes[0].extent, "lowering: results of a map kernel differ in size");
      index = position_to_index(axes[0].symbol, type.dims);
    }
    stores.push_back({i, lowering.scalars.value(graph.results[i], index), index});
    bytes += static_cast<std::int64_t>(size_of(type.dtype)) * typical(ir::product(type.dims));
  }
  lowering.collapse(axes, stores);
  lowering.declare_buffers();
  for (const ir::ValueId parameter : graph.parameters)
    bytes += static_cast<std::int64_t>(size_of(graph.type(parameter).dtype)) * typical(ir::product(graph.type(parameter).dims));
  std::vector<ScalarId> roots;
  for (const Store& store : stores) roots.push_back(store.value);
  lowering.builder.work(std::max(bytes, cost_of(lowering.scalars, roots) * typical(ir::product(dims))));
  emit_map(lowering, axes, stores);
  return lowering.builder.finish();
}

}  // namespace kiln::passes

// Update kernels: one op that changes some cells of its operand 0 (scatter, dynamic_update_slice), with the elementwise work before it.
//
// The result starts as operand 0. Where that is a parameter, the kernel changes the parameter's buffer in place (role `inout`); the planner
// sees to it that nobody else needs what was there. Where it is an expression (zeros, in a gradient), or is read otherwise too, the kernel
// writes it into the result first.
//
// The points of the update run in this order of loops:
//
//   disjoint axes       points that differ there meet in no cell, so threads share them out
//   chunk of the vector axis
//   all other axes      in row-major order, as the op says; where points meet in a cell, they do so here, in one thread
//   vectors             along the innermost disjoint axis that runs through memory with stride 1 and moves no index
//
// What the places need (index values, their clamping, masks that are the same along the vector axis) is computed in front of the vectors:
// a row that is out of bounds costs one comparison. Nothing depends on the number of threads: chunks have a fixed length.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "passes/lowering.h"

namespace kiln::passes {

using ir::Dim;
using ir::Dims;
using ir::LoopKind;
using ir::LoopOp;
using ir::RegisterId;
using ir::RegisterType;
using ir::ScalarId;

namespace {

/// Elements of the vector axis per parallel iteration. Where points are disjoint: as in map kernels. Else every chunk walks all serial
/// points, so a chunk is a few cache lines that share the work of finding the place.
constexpr std::int64_t disjoint_chunk = 16384;
constexpr std::int64_t serial_chunk = 128;

class UpdateNest {
 public:
  explicit UpdateNest(Lowering& lowering) : lowering_(lowering), b_(lowering.builder), graph_(lowering.graph) {}

  ir::Kernel run() {
    find();
    if (in_place_) lowering_.starts_as(0, node_->operands[0]);
    lowering_.declare_buffers();
    result_ = lowering_.output_buffer(0);
    if (!in_place_) initialise();
    choose_axes();
    estimate();
    emit();
    return b_.finish();
  }

 private:
  [[noreturn]] void unfit(const std::string& why) const {
    throw InternalError(fmt::format("lowering: update kernel @{}: {}", graph_.name, why));
  }

  void find() {
    ir::NodeId id = ir::none;
    for (ir::NodeId i = 0; i < graph_.node_count(); ++i) {
      if (ir::info(graph_.node(i).op).update == nullptr) continue;
      if (id != ir::none) unfit("more than one update");
      id = i;
    }
    node_ = &graph_.node(id);
    if (graph_.results.size() != 1 || graph_.results[0] != node_->first_result) unfit("its result is not that of the update");
    std::vector<ir::Type> operands;
    for (const ir::ValueId v : node_->operands) operands.push_back(graph_.type(v));
    type_ = graph_.type(node_->first_result);
    update_ = ir::info(node_->op).update(*node_, operands, type_);
    for (const ir::Update::Iteration& axis : update_.axes) axes_.push_back(lowering_.axis(axis.disjoint ? "i" : "n", axis.extent));
    Dims symbols;
    for (const Axis& axis : axes_) symbols.push_back(axis.symbol);
    cell_ = lowering_.scalars.cell(id, update_, symbols);
    roots_ = {cell_.value};
    if (cell_.mask != ir::none) roots_.push_back(cell_.mask);
    for (const Dim& dim : cell_.index)
      ir::for_each_symbol(dim, [&](const auto& info) {
        if (const ScalarId atom = lowering_.scalars.atom(info->name); atom != ir::none) roots_.push_back(atom);
      });
    const ir::ValueId start = node_->operands[0];
    in_place_ = graph_.definition(start).op == ir::Op::parameter;
    for (const ScalarId s : lowering_.scalars.reachable(roots_))
      if (lowering_.scalars.node(s).op == LoopOp::load && lowering_.scalars.node(s).source == start) in_place_ = false;
  }

  void initialise() {
    const std::vector<Axis> axes = lowering_.axes_of(type_.dims);
    Dims index;
    for (const Axis& axis : axes) index.push_back(axis.symbol);
    emit_map(lowering_, axes, {{0, lowering_.scalars.value(node_->operands[0], index), index}});
  }

  void choose_axes() {
    const Dim offset = memory_offset(type_.dims, cell_.index);
    for (std::size_t a = axes_.size(); a-- > 0 && vector_ == nullptr;) {
      if (!update_.axes[a].disjoint || axes_[a].extent.is_constant(1) || lowering_.gathers_along(roots_, axes_[a])) continue;
      const auto stride = stride_of(offset, axes_[a]);
      if (stride && stride->is_constant(1)) vector_ = &axes_[a];
    }
    for (std::size_t a = 0; a < axes_.size(); ++a)
      if (&axes_[a] != vector_) (update_.axes[a].disjoint ? outer_ : serial_).push_back(&axes_[a]);
    if (vector_ == nullptr) return;
    const std::array<DType, 1> stored{type_.dtype};
    lanes_ = std::min(lanes_along(lowering_, roots_, stored, *vector_), ir::vector_lanes(type_.dtype));
    columns_ = std::max(1, 4 / lowering_.registers_per_vector());
    if (vector_->extent.is_constant())
      columns_ = static_cast<int>(std::clamp<std::int64_t>(vector_->extent.constant() / lanes_, 1, columns_));
  }

  void estimate() {
    Dim points = 1;
    for (const Axis& axis : axes_) points *= axis.extent;
    points_ = typical(points);
    const std::int64_t initial = in_place_ ? 0 : typical(ir::product(type_.dims));
    const std::int64_t per_point =
        std::max<std::int64_t>(2 * static_cast<std::int64_t>(size_of(type_.dtype)), cost_of(lowering_.scalars, roots_));
    b_.work(initial * static_cast<std::int64_t>(size_of(type_.dtype)) + points_ * per_point);
  }

  // ---- loops

  void emit() {
    const bool large = points_ * static_cast<std::int64_t>(size_of(type_.dtype)) > disjoint_chunk;
    const std::int64_t chunk = serial_.empty() ? disjoint_chunk : serial_chunk;
    const bool cut = vector_ != nullptr && !(vector_->extent.is_constant() && vector_->extent.constant() <= chunk);
    loops(outer_, 0, large ? LoopKind::parallel : LoopKind::serial, [&] {
      if (!cut) return points(0, vector_ == nullptr ? Dim(1) : vector_->extent);
      const LoopKind kind = large && outer_.empty() ? LoopKind::parallel : LoopKind::serial;
      b_.for_loop("chunk", 0, ceildiv(vector_->extent, chunk), 1, kind, [&](const Dim& c) {
        const Dim begin = c * chunk;
        points(begin, lowering_.named("end", min(begin + chunk, vector_->extent)));
      });
    });
  }

  void loops(const std::vector<const Axis*>& axes, std::size_t depth, LoopKind kind, const std::function<void()>& body) {
    if (depth == axes.size()) return body();
    b_.for_loop(axes[depth]->name, 0, axes[depth]->extent, 1, kind, [&](const Dim& i) {
      at_.emplace_back(axes[depth], i);
      loops(axes, depth + 1, LoopKind::serial, body);
      at_.pop_back();
    });
  }

  /// All serial points for begin .. end of the vector axis.
  void points(const Dim& begin, const Dim& end) {
    loops(serial_, 0, LoopKind::serial, [&] {
      Tile tile;
      tile.at = at_;
      Expressions places(lowering_, std::move(tile));
      for (const ScalarId id : lowering_.scalars.reachable(roots_))
        if (lowering_.scalars.node(id).op == LoopOp::let) places.value(id);
      const auto strip = [&] { strips(places, begin, end); };
      if (cell_.mask == ir::none || (vector_ != nullptr && moves_mask()))
        strip();
      else
        b_.if_then(places.value(cell_.mask), strip);
    });
  }

  bool moves_mask() const { return lowering_.dependents(std::span(&cell_.mask, 1), *vector_)[cell_.mask]; }

  void strips(const Expressions& places, const Dim& begin, const Dim& end) {
    if (vector_ == nullptr) return change(places, 0, 1, 1, {});
    const Dim step = columns_ * lanes_;
    const Dim length = floordiv(end - begin, step) * step;
    const Dim middle = length.is_constant() ? begin + length : lowering_.named("middle", begin + length);
    if (middle == begin + step)
      change(places, begin, columns_, lanes_, {});
    else if (!(middle == begin))
      b_.for_loop(vector_->name, begin, middle, step, LoopKind::serial, [&](const Dim& j) { change(places, j, columns_, lanes_, {}); });
    const Dim rest = end - middle;
    if (rest.is_constant(0)) return;
    if (rest.is_constant() && rest.constant() <= lanes_)
      change(places, middle, 1, lanes_, mask_below(b_, middle, end, 1, lanes_));
    else
      b_.for_loop(vector_->name, middle, end, lanes_, LoopKind::serial,
                  [&](const Dim& j) { change(places, j, 1, lanes_, mask_below(b_, j, end, 1, lanes_)); });
  }

  void change(const Expressions& places, const Dim& j, int cols, int lanes, ir::Mask mask) {
    Tile tile;
    tile.at = at_;
    tile.cols = cols;
    tile.lanes = lanes;
    tile.mask = mask;
    if (vector_ != nullptr) tile.at.emplace_back(vector_, j + Dim::symbol(ir::tile_vector));
    Expressions expressions = places.inside(std::move(tile));
    if (cell_.mask != ir::none && vector_ != nullptr && moves_mask()) {
      const RegisterId hit = expressions.value(cell_.mask);
      mask = mask ? b_.binary(LoopOp::and_, *mask, hit) : hit;
    }
    const Dims index = expressions.place(cell_.index);
    const RegisterType type = expressions.type_at(type_.dtype, index);
    RegisterId value = expressions.value(cell_.value);
    if (!update_.replace) {
      const bool half = type_.dtype == DType::f16 || type_.dtype == DType::bf16;
      RegisterId old = b_.load(result_, index, type, mask);
      if (half) {
        old = b_.convert(old, DType::f32);
        value = b_.convert(value, DType::f32);
      }
      value = b_.binary(update_.combiner, old, value);
      if (half) value = b_.convert(value, type_.dtype);
    }
    b_.store(result_, index, value, type, mask);
  }

  Lowering& lowering_;
  ir::KernelBuilder& b_;
  const ir::Graph& graph_;
  const ir::Node* node_ = nullptr;
  ir::Update update_;
  ir::Type type_;
  ir::Update::Cell cell_;
  std::vector<ScalarId> roots_;  // value, mask, and the atoms in the index
  bool in_place_ = false;
  std::vector<Axis> axes_;
  std::vector<const Axis*> outer_, serial_;
  const Axis* vector_ = nullptr;
  int lanes_ = 1, columns_ = 1;
  std::int64_t points_ = 0;
  ir::BufferId result_ = 0;
  std::vector<std::pair<const Axis*, Dim>> at_;
};

}  // namespace

ir::Kernel schedule_update(Lowering& lowering) { return UpdateNest(lowering).run(); }

}  // namespace kiln::passes

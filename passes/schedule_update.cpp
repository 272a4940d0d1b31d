// Scatter kernels: one scatter_add with anything elementwise before and after.
//
// Three nests: zeros; the updates, added where their index says, in the order in which the reference adds them; the epilogue. Updates of
// one destination meet in one parallel iteration, because only the dims beside the scattered axis are cut: results do not depend on the
// number of threads. Without an epilogue the sums are made in the output itself.
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

class Scatter {
 public:
  explicit Scatter(Lowering& lowering) : lowering_(lowering), b_(lowering.builder), graph_(lowering.graph) {}

  ir::Kernel run() {
    find();
    lowering_.declare_buffers();
    choose_sums();
    const ScalarId zero = lowering_.scalars.constant(ir::Literal::of(accumulator_, 0));
    emit_map(lowering_, axes_, {{0, zero, index_of(axes_), sums_}});
    add_updates();
    if (!in_output_) epilogue();
    return b_.finish();
  }

 private:
  [[noreturn]] void unfit(const std::string& why) const {
    throw InternalError(fmt::format("lowering: scatter kernel @{}: {}", graph_.name, why));
  }

  static Dims index_of(const std::vector<Axis>& axes) {
    Dims index;
    for (const Axis& axis : axes) index.push_back(axis.symbol);
    return index;
  }

  void find() {
    for (ir::NodeId id = 0; id < graph_.node_count(); ++id) {
      if (graph_.node(id).op != ir::Op::scatter_add) continue;
      if (node_ != nullptr) unfit("more than one scatter_add");
      node_ = &graph_.node(id);
    }
    value_ = node_->first_result;
    dtype_ = graph_.type(value_).dtype;
    accumulator_ = dtype_ == DType::f16 || dtype_ == DType::bf16 ? DType::f32 : dtype_;
    axis_ = static_cast<std::size_t>(node_->attributes.integer("axis"));
    axes_ = lowering_.axes_of(graph_.type(value_).dims);
    const Dims& which_dims = graph_.type(node_->operands[0]).dims;
    for (const Dim& extent : which_dims) which_.push_back(lowering_.axis("n", extent));
    Dims from;
    for (std::size_t d = 0; d < axes_.size(); ++d) {
      if (d != axis_)
        from.push_back(axes_[d].symbol);
      else
        for (const Axis& axis : which_) from.push_back(axis.symbol);
    }
    update_ = lowering_.scalars.value(node_->operands[1], from);
    if (accumulator_ != dtype_) update_ = lowering_.scalars.apply(LoopOp::convert, accumulator_, {update_});
    at_ = clamped(lowering_.scalars.value(node_->operands[0], index_of(which_)));
    leaf_ = lowering_.scalars.value(value_, index_of(axes_));
    for (std::uint32_t i = 0; i < graph_.results.size(); ++i) {
      if (graph_.type(graph_.results[i]).dims != graph_.type(value_).dims)
        unfit(fmt::format("result {} has another shape than the scatter_add", i));
      stores_.push_back({i, lowering_.scalars.value(graph_.results[i], index_of(axes_)), index_of(axes_)});
    }
  }

  /// The index as i64 within the scattered dim. u64 is cut before it is converted, since its upper half would turn negative.
  ScalarId clamped(ScalarId index) {
    ScalarGraph& s = lowering_.scalars;
    const ScalarId last = s.index_value(axes_[axis_].extent - 1);
    if (s.dtype_of(index) == DType::u64)
      return s.apply(LoopOp::convert, DType::i64,
                     {s.apply(LoopOp::minimum, DType::u64, {index, s.apply(LoopOp::convert, DType::u64, {last})})});
    const ScalarId wide = s.apply(LoopOp::convert, DType::i64, {index});
    return s.apply(LoopOp::minimum, DType::i64, {s.apply(LoopOp::maximum, DType::i64, {wide, s.index_value(0)}), last});
  }

  void choose_sums() {
    in_output_ = stores_.size() == 1 && stores_[0].value == leaf_ && accumulator_ == dtype_;
    sums_ = in_output_ ? lowering_.output_buffer(0)
                       : b_.buffer("sums", accumulator_, graph_.type(value_).dims, ir::Buffer::Role::scratch, {}, 64);
    const std::int64_t bytes =
        typical(ir::product(graph_.type(value_).dims)) + 2 * typical(ir::product(graph_.type(node_->operands[1]).dims));
    b_.work(bytes * static_cast<std::int64_t>(size_of(accumulator_)));
  }

  void add_updates() {
    // The innermost dim beside the axis is the vector axis when it is contiguous in the sums and the indices do not depend on it.
    const bool vector = axis_ + 1 < axes_.size();
    std::vector<const Axis*> outer;
    for (std::size_t d = 0; d < axes_.size(); ++d)
      if (d != axis_ && !(vector && d + 1 == axes_.size())) outer.push_back(&axes_[d]);
    At at;
    auto strip = [&](const Dim& j, int lanes, bool masked) {
      if (vector) at.emplace_back(&axes_.back(), lanes == 1 ? j : j + Dim::symbol(ir::tile_vector));
      const ir::Mask mask = masked ? ir::Mask(mask_below(b_, j, axes_.back().extent, 1, lanes)) : ir::Mask{};
      loops(at, which_axes(), 0, false, [&] { add_one(at, lanes, mask); });
      if (vector) at.pop_back();
    };
    const bool parallel = !ir::product(graph_.type(node_->operands[1]).dims).is_constant(0);
    loops(at, outer, 0, parallel, [&] {
      if (!vector) return strip(0, 1, false);
      const std::array<DType, 1> stored{accumulator_};
      const int lanes = lanes_along(lowering_, std::span(&update_, 1), stored, axes_.back());
      const Dim extent = axes_.back().extent, whole = floordiv(extent, lanes) * lanes;
      const LoopKind kind = outer.empty() && parallel ? LoopKind::parallel : LoopKind::serial;
      if (!whole.is_constant(0)) b_.for_loop(axes_.back().name, 0, whole, lanes, kind, [&](const Dim& j) { strip(j, lanes, false); });
      if (!(whole == extent))
        b_.for_loop(axes_.back().name, whole, extent, lanes, LoopKind::serial, [&](const Dim& j) { strip(j, lanes, true); });
    });
  }

  std::vector<const Axis*> which_axes() const {
    std::vector<const Axis*> axes;
    for (const Axis& axis : which_) axes.push_back(&axis);
    return axes;
  }

  using At = std::vector<std::pair<const Axis*, Dim>>;

  void loops(At& at, const std::vector<const Axis*>& axes, std::size_t depth, bool parallel, const std::function<void()>& body) {
    if (depth == axes.size()) return body();
    b_.for_loop(axes[depth]->name, 0, axes[depth]->extent, 1, parallel ? LoopKind::parallel : LoopKind::serial, [&](const Dim& i) {
      at.emplace_back(axes[depth], i);
      loops(at, axes, depth + 1, false, body);
      at.pop_back();
    });
  }

  void add_one(const At& at, int lanes, ir::Mask mask) {
    Tile tile;
    tile.at = at;
    tile.lanes = lanes;
    tile.mask = mask;
    Expressions expressions(lowering_, std::move(tile));
    const Dim place = b_.let("t", expressions.value(at_), 0, ir::bounds(axes_[axis_].extent - 1).max);
    Dims index;
    for (std::size_t d = 0; d < axes_.size(); ++d) index.push_back(d == axis_ ? place : expressions.place(axes_[d].symbol));
    const RegisterType type = expressions.type_at(accumulator_, index);
    const RegisterId sum = b_.binary(LoopOp::add, b_.load(sums_, index, type, mask), expressions.value(update_));
    b_.store(sums_, index, sum, type, mask);
  }

  void epilogue() {
    lowering_.computed(leaf_, sums_);
    emit_map(lowering_, axes_, stores_);
  }

  Lowering& lowering_;
  ir::KernelBuilder& b_;
  const ir::Graph& graph_;
  const ir::Node* node_ = nullptr;
  ir::ValueId value_ = ir::none;
  DType dtype_{}, accumulator_{};
  std::size_t axis_ = 0;
  std::vector<Axis> axes_, which_;  // of the result; of the indices
  ScalarId update_ = 0, at_ = 0, leaf_ = 0;
  std::vector<Store> stores_;
  bool in_output_ = false;
  ir::BufferId sums_ = 0;
};

}  // namespace

ir::Kernel schedule_update(Lowering& lowering) { return Scatter(lowering).run(); }

}  // namespace kiln::passes

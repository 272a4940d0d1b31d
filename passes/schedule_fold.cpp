// Fold kernels: one Structured op that is neither a reduction over whole dims nor a contraction (a window, an extremum's position, a
// running fold), with anything elementwise before it and after it.
//
// Every fold is brought into the general form: carried values, what they are before the first step, and what they are after a step. Loops
// over the parallel axes are outermost; the reduced axes are serial loops inside, in row-major order, and carry the values in registers. So
// the order of every fold is that of the reference, whatever the extents, the target or the threads: a schedule changes no bit. f16 and
// bf16 are carried in f32 and rounded when they are stored.
//
// One parallel axis is the vector axis, each lane a fold of its own: the axis along which most accesses have unit stride (the channels of a
// channel-last window, what lies behind the scanned dim), in strips of several vectors, which also hide the latency of the chain. A fold
// with unit stride along its reduced axis alone (a scan of rows) still takes rows as lanes: its loads and stores go lane by lane, but the
// arithmetic, which is a serial chain, does not.
//
// A running fold stores at every step; any other one after its last step.
#include <algorithm>

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

/// Steps per parallel iteration: some microseconds of work.
constexpr std::int64_t chunk_steps = 16384;
/// Reduced axes of at most this many steps together are unrolled: then each place in a window has its own constants.
constexpr std::int64_t unrolled_steps = 9;

using Registers = ir::KernelBuilder::Registers;

class Fold {
 public:
  explicit Fold(Lowering& lowering) : lowering_(lowering), b_(lowering.builder), graph_(lowering.graph) {}

  ir::Kernel run() {
    find_fold();
    find_outputs();
    collapse_axes();
    lowering_.declare_buffers();
    choose_vector_axis();
    estimate_work();
    emit();
    return b_.finish();
  }

 private:
  [[noreturn]] void unfit(const std::string& why) const { throw InternalError(fmt::format("lowering: kernel @{}: {}", graph_.name, why)); }

  // ---- what is computed

  void find_fold() {
    for (ir::NodeId id = 0; id < graph_.node_count(); ++id) {
      if (ir::info(graph_.node(id).op).kernel != ir::KernelKind::fold) continue;
      if (node_ != ir::none) unfit("more than one fold");
      node_ = id;
    }
    const ir::Node& node = graph_.node(node_);
    std::vector<ir::Type> operands;
    for (const ir::ValueId v : node.operands) operands.push_back(graph_.type(v));
    structured_ = ir::info(node.op).structured(node, operands, graph_.type(node.first_result));

    static constexpr const char* parallel_names[] = {"i", "j", "k", "l"};
    Dims parallel, all;
    for (const ir::Structured::Iteration& iteration : structured_.axes) {
      if (iteration.extent.is_constant(1)) {  // no loop
        all.emplace_back(0);
        if (!iteration.reduced) parallel.emplace_back(0);
        continue;
      }
      const std::string name = iteration.reduced ? "w" : axes_.size() < 4 ? parallel_names[axes_.size()] : "i";
      axes_.push_back(lowering_.axis(name, iteration.extent, iteration.reduced ? 1 : 0));
      all.push_back(axes_.back().symbol);
      if (!iteration.reduced) parallel.push_back(axes_.back().symbol);
    }
    place_ = structured_.running ? structured_.place(all) : parallel;

    ScalarGraph& s = lowering_.scalars;
    if (structured_.step) {
      start_ = s.start(node_, structured_, parallel);
      for (const ScalarId id : start_) carried_.push_back(s.carried(s.dtype_of(id), static_cast<std::uint32_t>(carried_.size())));
      step_ = s.step(node_, structured_, carried_, all);
    } else {
      const DType dtype = graph_.type(node.first_result).dtype;
      const bool half = dtype == DType::f16 || dtype == DType::bf16;
      const ir::Literal identity = half ? ir::Literal::of(DType::f32, structured_.identity.number) : structured_.identity;
      start_ = {s.constant(identity)};
      carried_ = {s.carried(identity.dtype, 0)};
      const ScalarId value = s.apply(LoopOp::convert, identity.dtype, {s.body(node_, structured_, all)});
      step_ = {s.apply(structured_.combiner, identity.dtype, {carried_[0], value})};
    }
    internal_check(start_.size() >= node.result_count && step_.size() == start_.size(), "lowering: a fold carries each of its results");
    for (std::size_t i = 0; i < step_.size(); ++i)
      internal_check(s.dtype_of(step_[i]) == s.dtype_of(start_[i]), "lowering: a carried value keeps its dtype");
    for (std::uint32_t r = 0; r < node.result_count; ++r) leaves_.push_back(s.value(node.first_result + r, place_));
  }

  void find_outputs() {
    const Dims& dims = graph_.type(graph_.node(node_).first_result).dims;
    for (std::uint32_t i = 0; i < graph_.results.size(); ++i) {
      if (graph_.type(graph_.results[i]).dims != dims) unfit(fmt::format("result {} has another shape than the fold", i));
      stores_.push_back({i, lowering_.scalars.value(graph_.results[i], place_), place_});
    }
    for (const Store& store : stores_)
      for (const ScalarId id : lowering_.scalars.reachable(std::span(&store.value, 1)))
        if (lowering_.scalars.node(id).op == LoopOp::load && !lowering_.is_parameter_load(id) &&
            std::find(leaves_.begin(), leaves_.end(), id) == leaves_.end())
          unfit("the fold's result is read at another index than its own");
  }

  void collapse_axes() {
    std::vector<ScalarId> roots = start_;
    roots.insert(roots.end(), step_.begin(), step_.end());
    lowering_.collapse(axes_, stores_, roots);
    roots_ = roots;
    for (const Store& store : stores_) roots_.push_back(store.value);
  }

  // ---- how it is computed

  void choose_vector_axis() {
    int best = 0;
    for (const Axis& axis : axes_) {
      if (axis.group == 1 || axis.extent.is_constant(1) || lowering_.gathers_along(roots_, axis)) continue;
      int score = 1;
      auto count = [&](const Dim& offset, int weight) {
        const auto stride = stride_of(offset, axis);
        score += stride && stride->is_constant(1) ? weight : 0;
      };
      for (const Store& store : stores_) count(lowering_.store_offset(store), 3);
      for (const ScalarId id : lowering_.scalars.reachable(roots_))
        if (lowering_.is_parameter_load(id)) count(lowering_.load_offset(id), 2);
      if (score < best) continue;  // of equals the inner one
      best = score;
      vector_ = &axis;
    }
    for (const Axis& axis : axes_) {
      if (&axis == vector_) continue;
      (axis.group == 1 ? reduced_ : outer_).push_back(&axis);
    }
    Dim steps = 1;
    for (const Axis* axis : reduced_) steps *= axis->extent;
    unrolled_ = !structured_.running && steps.is_constant() && steps.constant() <= unrolled_steps;
    if (vector_ == nullptr) return;
    std::vector<DType> moved;
    for (const Store& store : stores_) moved.push_back(lowering_.scalars.dtype_of(store.value));
    for (const ScalarId id : carried_) moved.push_back(lowering_.scalars.dtype_of(id));
    lanes_ = lanes_along(lowering_, roots_, moved, *vector_);
    const bool heavy = cost_of(lowering_.scalars, roots_) > 24 || carried_.size() > 2;
    columns_ = std::max(1, (heavy ? 2 : 4) / lowering_.registers_per_vector());
    if (vector_->extent.is_constant())
      columns_ = static_cast<int>(std::clamp<std::int64_t>(vector_->extent.constant() / lanes_, 1, columns_));
  }

  void estimate_work() {
    std::int64_t bytes = 0;
    for (const ir::ValueId parameter : graph_.parameters)
      bytes += static_cast<std::int64_t>(size_of(graph_.type(parameter).dtype)) * typical(ir::product(graph_.type(parameter).dims));
    for (const ir::ValueId result : graph_.results)
      bytes += static_cast<std::int64_t>(size_of(graph_.type(result).dtype)) * typical(ir::product(graph_.type(result).dims));
    b_.work(std::max(bytes, cost_of(lowering_.scalars, roots_) * typical(all_steps())));
  }

  Dim all_steps() const {
    Dim steps = 1;
    for (const Axis& axis : axes_) steps *= axis.extent;
    return steps;
  }

  // ---- loops

  void emit() {
    const Dim inner = vector_ != nullptr ? vector_->extent : Dim(1), all = all_steps();
    const bool parallel = !all.is_constant() || all.constant() > chunk_steps;
    const bool few_rows = outer_.empty() || (outer_[0]->extent.is_constant() && outer_[0]->extent.constant() < 8);
    if (parallel && few_rows && vector_ != nullptr) {
      // Chunks of the vector axis outermost, so long that one is worth a thread's while.
      Dim steps = 1;
      for (const Axis* axis : reduced_) steps *= axis->extent;
      for (const Axis* axis : outer_) steps *= axis->extent;
      const std::int64_t strip = static_cast<std::int64_t>(columns_) * lanes_;
      const std::int64_t strips = std::max<std::int64_t>(1, chunk_steps / std::max<std::int64_t>(1, typical(steps)) / strip);
      if (!inner.is_constant() || inner.constant() > strips * strip) {
        b_.for_loop("chunk", 0, ceildiv(inner, strips * strip), 1, LoopKind::parallel, [&](const Dim& chunk) {
          const Dim begin = chunk * (strips * strip);
          const Dim end = lowering_.named("end", min(begin + strips * strip, inner));
          loops(0, LoopKind::serial, [&] { strips_of(begin, end); });
        });
        return;
      }
    }
    loops(0, parallel && !outer_.empty() ? LoopKind::parallel : LoopKind::serial, [&] { strips_of(0, inner); });
  }

  void loops(std::size_t depth, LoopKind kind, const std::function<void()>& body) {
    if (depth == outer_.size()) return body();
    b_.for_loop(outer_[depth]->name, 0, outer_[depth]->extent, 1, kind, [&](const Dim& i) {
      at_.emplace_back(outer_[depth], i);
      loops(depth + 1, LoopKind::serial, body);
      at_.pop_back();
    });
  }

  /// The vector axis from `begin` to `end`: whole strips, whole vectors, a masked vector.
  void strips_of(const Dim& begin, const Dim& end) {
    if (vector_ == nullptr) return strip({}, 1, 1, {});
    const Dim step = columns_ * lanes_;
    const Dim length = floordiv(end - begin, step) * step;
    const Dim middle = length.is_constant() ? begin + length : lowering_.named("middle", begin + length);
    if (middle == begin + step)
      strip(begin, columns_, lanes_, {});
    else if (!(middle == begin))
      b_.for_loop(vector_->name, begin, middle, step, LoopKind::serial, [&](const Dim& i) { strip(i, columns_, lanes_, {}); });
    const Dim rest = end - middle;
    if (rest.is_constant()) {
      const std::int64_t whole = rest.constant() / lanes_;
      if (whole > 0) strip(middle, static_cast<int>(whole), lanes_, {});
      if (rest.constant() % lanes_ == 0) return;
      const Dim last = middle + whole * lanes_;
      strip(last, 1, lanes_, mask_below(b_, last, end, 1, lanes_));
    } else {
      b_.for_loop(vector_->name, middle, end, lanes_, LoopKind::serial,
                  [&](const Dim& i) { strip(i, 1, lanes_, mask_below(b_, i, end, 1, lanes_)); });
    }
  }

  /// The folds of one tile of lanes.
  void strip(const Dim& i, int cols, int lanes, ir::Mask mask) {
    tile_cols_ = cols;
    tile_lanes_ = lanes;
    mask_ = mask;
    if (vector_ != nullptr) at_.emplace_back(vector_, i + Dim::symbol(ir::tile_vector));
    Registers carried;
    {
      Expressions expressions = block();
      for (const ScalarId id : start_) carried.push_back(shaped(expressions.value(id)));
    }
    carried = steps(0, std::move(carried));
    if (!structured_.running) {
      Expressions expressions = block();
      store(expressions, carried);
    }
    if (vector_ != nullptr) at_.pop_back();
  }

  Registers steps(std::size_t depth, Registers carried) {
    if (depth == reduced_.size()) return step(carried);
    const Axis* axis = reduced_[depth];
    return b_.for_loop(axis->name, 0, axis->extent, 1, unrolled_ ? LoopKind::unrolled : LoopKind::serial, carried,
                       [&](const Dim& i, std::span<const RegisterId> inner) {
                         at_.emplace_back(axis, i);
                         Registers next = steps(depth + 1, Registers(inner.begin(), inner.end()));
                         at_.pop_back();
                         return next;
                       });
  }

  Registers step(const Registers& carried) {
    Expressions expressions = block();
    for (std::size_t c = 0; c < carried.size(); ++c) expressions.bind(carried_[c], carried[c]);
    Registers next;
    for (const ScalarId id : step_) next.push_back(shaped(expressions.value(id)));
    if (structured_.running) store(expressions, structured_.exclusive ? carried : next);
    return next;
  }

  void store(Expressions& expressions, const Registers& carried) {
    const ir::Node& node = graph_.node(node_);
    for (std::uint32_t r = 0; r < node.result_count; ++r)
      expressions.bind(leaves_[r], b_.convert(carried[r], graph_.type(node.first_result + r).dtype));
    // Everything is computed before anything is stored: outputs may share memory with parameters.
    for (const Store& s : stores_) expressions.value(s.value);
    for (const Store& s : stores_) expressions.store(s);
  }

  Expressions block() {
    Tile tile;
    tile.at = at_;
    tile.cols = tile_cols_;
    tile.lanes = tile_lanes_;
    tile.mask = mask_;
    return {lowering_, std::move(tile)};
  }

  /// A carried value has all lanes of the tile, also where they are equal.
  RegisterId shaped(RegisterId value) {
    return b_.broadcast(value, {b_.type(value).dtype, 1, static_cast<std::int16_t>(tile_cols_), static_cast<std::int16_t>(tile_lanes_)});
  }

  Lowering& lowering_;
  ir::KernelBuilder& b_;
  const ir::Graph& graph_;

  ir::NodeId node_ = ir::none;
  ir::Structured structured_;
  std::vector<Axis> axes_;  // group 1: reduced
  Dims place_;              // index of the result that a step, or the whole fold, makes
  std::vector<ScalarId> start_, carried_, step_, leaves_, roots_;
  std::vector<Store> stores_;

  const Axis* vector_ = nullptr;
  std::vector<const Axis*> outer_, reduced_;
  int lanes_ = 1, columns_ = 1;
  bool unrolled_ = false;

  // Where emission stands.
  std::vector<std::pair<const Axis*, Dim>> at_;
  int tile_cols_ = 1, tile_lanes_ = 1;
  ir::Mask mask_;
};

}  // namespace

ir::Kernel schedule_fold(Lowering& lowering) { return Fold(lowering).run(); }

}  // namespace kiln::passes

// Contraction kernels: one dot_general with anything elementwise around it.
//
// Axes. The domain is batch x m x n x k: m are the free dims of one operand, n those of the other, k the contracted ones. Neighbours that
// run through memory as one are collapsed; what is left beside the innermost m, n and k become plain loops. n is the vector axis; the
// operands change roles when the results are contiguous along the other one.
//
// Register tile. `rows` x `columns` vectors of accumulators are one SSA value carried by the k loop; each step loads `columns` vectors of
// B, repeats `rows` scalars of A and does rows * columns fma. rows * columns + columns + 1 registers fit the register file (a vector counts
// as often as registers are needed for 64 bytes). M is cut into tiles of equal height give or take one: ceil(M / rows) tiles, so there is
// no slow remainder; a switch selects the microkernel of the height, which also serves symbolic M. N is cut into tiles of `columns`
// vectors, the last one narrower and masked.
//
// Order of accumulation: blocks of ir::contraction_block steps of k, each from 0 by one fma per step, their sums added in order. Neither
// tile sizes nor the packing nor the target change it, so neither changes a bit. The total is a value carried by the loop over blocks; it
// is not used in the loop over k, so it is what the register allocator moves to the stack, once per block.
//
// Memory. B is read in place when it is contiguous along n and small (or M is): a tile's columns then stream from L2. Otherwise it is
// packed first, with its prologue, into K-major panels as wide as a tile, in parallel. A is read in place, element by element with any
// strides, when it is a plain parameter; with a prologue it is evaluated once into a row-major copy, unless one column tile covers N. Order
// of tiles: with few rows, all row tiles of a column panel (the panel is reused from cache); with many rows, all panels of a block of
// columns that fits in L2 for each row tile (whose A rows are reused from L1).
//
// Cuts of k. When a panel exceeds L1 (few rows) or A's rows do (many rows), k is cut into pieces of whole blocks; a tile's total waits in a
// scratch array, bit for bit, and the last piece runs the epilogue. Order of tiles inside a piece as above.
//
// Epilogue. Each tile is finished in registers: the expressions of all outputs are evaluated on the accumulators and stored. A parameter
// that is read only in the epilogue, at an output's own index, is read right before that element is stored and may share memory with the
// output: that is how `w - rate * acc` updates w in place.
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

enum Group { batch_group, m_group, n_group, k_group, group_count };

constexpr std::int64_t l2_block_bytes = 1 << 20;    // of B: half of a 2 MiB L2
constexpr std::int64_t pack_above_bytes = 1 << 20;  // packing costs more than it saves below (measured: even at 512^3 f32)
constexpr std::int64_t pack_above_rows = 128;
constexpr std::int64_t task_operations = 4 << 20;  // per parallel iteration: about 20 us on one core
constexpr std::int64_t max_tasks = 64;
constexpr std::int64_t l1_panel_bytes = 32 << 10;  // of B that stays in L1 while row tiles pass: two thirds of 48 KiB
constexpr std::int64_t many_rows_depth = 2048;     // K beyond which many rows are worth blocks of k (at 1024 they cost 6 %)
constexpr int max_symbolic_height = 8;             // microkernels of heights 1..8 for a symbolic M: code size

struct TileShape {
  int rows = 1, columns = 1;
};

/// The tile with the fewest cycles for the whole product, by counting fma and load slots (two of each per cycle) and a latency of 4. The
/// last terms stand for loads that come from L2 or cross cache lines; with them the order of tiles is the measured one (64 x 100 x 1000 and
/// 1000 x 100 x 64).
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

/// Cuts an extent into ceil(extent / most) pieces whose sizes differ by at most one.
struct Balanced {
  Dim pieces, base, longer;  ///< number of pieces; size of the shorter ones; how many are one longer
  Dim size(const Dim& t) const { return longer.is_constant(0) ? base : base + min(max(longer - t, 0), 1); }
  Dim begin(const Dim& t) const { return longer.is_constant(0) ? base * t : base * t + min(t, longer); }
  static Balanced of(const Dim& extent, int most) {
    const Dim pieces = ceildiv(extent, most);
    const Dim divisor = max(pieces, 1);
    return {pieces, floordiv(extent, divisor), mod(extent, divisor)};
  }
};

/// An operand of the product: an expression, and the scratch it was packed into, if it was.
struct Operand {
  ScalarId value = 0;
  bool packed = false;
  ir::BufferId buffer = 0;
};

class Contraction {
 public:
  explicit Contraction(Lowering& lowering) : lowering_(lowering), b_(lowering.builder), graph_(lowering.graph) {}

  ir::Kernel run() {
    find_product();
    find_outputs();
    choose_roles();
    collapse_axes();
    lowering_.declare_buffers();
    choose_shapes();
    pack();
    compute();
    return b_.finish();
  }

 private:
  [[noreturn]] void unfit(const std::string& why) const {
    throw InternalError(fmt::format("lowering: contraction kernel @{}: {}", graph_.name, why));
  }

  // ---- what is computed

  void find_product() {
    for (ir::NodeId id = 0; id < graph_.node_count(); ++id) {
      if (graph_.node(id).op != ir::Op::dot_general) continue;
      if (dot_ != ir::none) unfit("more than one dot_general");
      dot_ = id;
    }
    const ir::Node& node = graph_.node(dot_);
    product_ = node.first_result;
    const std::array<ir::Type, 2> types{graph_.type(node.operands[0]), graph_.type(node.operands[1])};
    const ir::Structured structured = ir::info(node.op).structured(node, types, graph_.type(product_));
    const std::size_t batch = ir::integers_or_empty(node.attributes, "lhs_batch").size();
    const std::size_t contracted = ir::integers_or_empty(node.attributes, "lhs_contract").size();
    const std::size_t lhs_free = types[0].rank() - batch - contracted;
    Dims index;
    for (std::size_t i = 0; i < structured.axes.size(); ++i) {
      const Group group = structured.axes[i].reduced ? k_group : i < batch ? batch_group : i < batch + lhs_free ? m_group : n_group;
      static constexpr const char* names[] = {"b", "i", "j", "k"};
      axes_.push_back(lowering_.axis(names[group], structured.axes[i].extent, group));
      index.push_back(axes_.back().symbol);
    }
    // The product itself; in f16 and bf16 without the rounding that a multiply has on its own.
    ScalarId root = lowering_.scalars.body(dot_, structured, index);
    if (lowering_.scalars.node(root).op == LoopOp::convert) root = lowering_.scalars.node(root).operands[0];
    const ir::ScalarNode product = lowering_.scalars.node(root);
    if (product.op != LoopOp::multiply || structured.combiner != LoopOp::add) unfit("its body is not a sum of products");
    accumulator_ = product.dtype;
    a_.value = product.operands[0];
    b_operand_.value = product.operands[1];
    for (std::size_t i = 0; i < graph_.type(product_).rank(); ++i) product_index_.push_back(index[i]);
    leaf_ = lowering_.scalars.value(product_, product_index_);
  }

  /// The outputs in the axes of the product: an output may be a transpose of it, or independent of it with the same dims.
  void find_outputs() {
    for (std::uint32_t i = 0; i < graph_.results.size(); ++i) {
      const ir::ValueId result = graph_.results[i];
      const Dims& dims = graph_.type(result).dims;
      if (dims.size() != product_index_.size()) unfit(fmt::format("result {} has another rank than the product", i));
      Dims index = product_index_;
      const std::vector<Axis> trial = lowering_.axes_of(dims);
      Dims trial_index;
      for (const Axis& axis : trial) trial_index.push_back(axis.symbol);
      const ScalarId probe = lowering_.scalars.value(result, trial_index);
      for (const ScalarId id : lowering_.scalars.reachable(std::span(&probe, 1))) {
        const ir::ScalarNode& node = lowering_.scalars.node(id);
        if (node.op != LoopOp::load || node.source != product_) continue;
        // Dim d of the product is read at output dim `position`: the output's axis there is the product's axis d.
        for (std::size_t d = 0; d < node.indices.size(); ++d) {
          const auto at = std::find(trial_index.begin(), trial_index.end(), node.indices[d]);
          if (at != trial_index.end())
            index[static_cast<std::size_t>(at - trial_index.begin())] = product_index_[d];
          else if (!graph_.type(product_).dims[d].is_constant(1))
            unfit(fmt::format("result {} reads the product at index {}", i, to_string(node.indices)));
        }
      }
      const ScalarId value = lowering_.scalars.value(result, index);
      for (const ScalarId id : lowering_.scalars.reachable(std::span(&value, 1))) {
        const ir::ScalarNode& node = lowering_.scalars.node(id);
        if (node.op == LoopOp::load && !lowering_.is_parameter_load(id) && id != leaf_)
          unfit(fmt::format("result {} reads the product twice", i));
      }
      stores_.push_back({i, value, index});
    }
  }

  /// m and n by memory order: n is where vectors run.
  void choose_roles() {
    auto score = [&](int group, const Operand& operand) {
      const Axis* axis = innermost(group);
      if (axis == nullptr || axis->extent.is_constant(1)) return -1;
      int score = 0;
      for (const Store& store : stores_) score += unit_stride(lowering_.store_offset(store), *axis) ? 2 : 0;
      score += lowering_.is_parameter_load(operand.value) && unit_stride(lowering_.load_offset(operand.value), *axis) ? 1 : 0;
      for (const Store& store : stores_)
        if (lowering_.gathers_along(std::span(&store.value, 1), *axis)) score = -1;
      return score;
    };
    if (score(m_group, a_) > score(n_group, b_operand_)) {
      std::swap(a_, b_operand_);
      for (Axis& axis : axes_) axis.group = axis.group == m_group ? n_group : axis.group == n_group ? m_group : axis.group;
    }
  }

  void collapse_axes() {
    lowering_.collapse(axes_, stores_, {a_.value, b_operand_.value});
    for (const Axis& axis : axes_) groups_[axis.group].push_back(&axis);
    m_ = groups_[m_group].empty() ? nullptr : groups_[m_group].back();
    n_ = groups_[n_group].empty() ? nullptr : groups_[n_group].back();
  }

  const Axis* innermost(int group) const {
    const Axis* result = nullptr;
    for (const Axis& axis : axes_)
      if (axis.group == group) result = &axis;
    return result;
  }

  static bool unit_stride(const Dim& offset, const Axis& axis) {
    const auto stride = stride_of(offset, axis);
    return stride && stride->is_constant(1);
  }

  static Dim extent_of(const Axis* axis) { return axis == nullptr ? Dim(1) : axis->extent; }

  static Dim product_of(const std::vector<const Axis*>& axes) {
    Dim product = 1;
    for (const Axis* axis : axes) product *= axis->extent;
    return product;
  }

  // ---- the plan

  void choose_shapes() {
    const Dim m = extent_of(m_), n = extent_of(n_), k = product_of(groups_[k_group]);
    std::vector<ScalarId> roots;
    std::vector<DType> stored;
    for (const Store& store : stores_) {
      roots.push_back(store.value);
      stored.push_back(lowering_.scalars.dtype_of(store.value));
    }
    stored.push_back(accumulator_);
    lanes_ = n.is_constant(1) || n_ == nullptr || lowering_.gathers_along(roots, *n_) ? 1 : lanes_along(lowering_, roots, stored, *n_);
    const std::int64_t n_vectors = n.is_constant() ? (n.constant() + lanes_ - 1) / lanes_ : 12;
    tile_ = choose_tile(m, n_vectors, typical(k), lowering_.target);
    if (lanes_ == 1) tile_.columns = 1;
    if (m.is_constant()) tile_.rows = static_cast<int>(std::clamp<std::int64_t>(m.constant(), 1, tile_.rows));
    rows_ = Balanced::of(m, tile_.rows);
    width_ = tile_.columns * lanes_;
    column_tiles_ = ceildiv(n, width_);

    // Packing.
    const std::int64_t element = static_cast<std::int64_t>(size_of(accumulator_));
    const bool large = typical(k * n) * element >= pack_above_bytes && m.is_constant() && m.constant() > pack_above_rows;
    const bool plain_b = is_plain(b_operand_.value);
    const bool contiguous = n_ == nullptr || lanes_ == 1 || (plain_b && unit_stride(lowering_.load_offset(b_operand_.value), *n_));
    const bool one_row_tile = rows_.pieces.is_constant(1);
    b_operand_.packed = large || !(one_row_tile || (plain_b && contiguous));
    a_.packed = !is_plain(a_.value) && !column_tiles_.is_constant(1);

    // Tasks.
    const std::int64_t row_tiles = std::max<std::int64_t>(1, typical(rows_.pieces)),
                       column_tiles = std::max<std::int64_t>(1, typical(column_tiles_));
    const Dim outer = product_of(outer_axes());
    const double operations = 2.0 * static_cast<double>(typical(m * n * k)) * static_cast<double>(typical(outer));
    b_.work(static_cast<std::int64_t>(std::min(operations, 9e18)));
    const std::int64_t tasks = std::clamp<std::int64_t>(static_cast<std::int64_t>(operations / task_operations), 1, max_tasks);
    const std::int64_t wanted = std::max<std::int64_t>(1, tasks / std::max<std::int64_t>(1, typical(outer)));
    const std::int64_t panel_bytes = std::max<std::int64_t>(1, typical(k) * width_ * element);
    many_rows_ = m.is_constant() && typical(m * k) * element > l2_block_bytes / 2;
    if (many_rows_) {
      column_block_ = std::clamp<std::int64_t>(l2_block_bytes / panel_bytes, 1, column_tiles);
      const std::int64_t column_blocks = (column_tiles + column_block_ - 1) / column_block_;
      row_block_ = std::max<std::int64_t>(1, row_tiles * column_blocks / wanted);
    } else {
      row_block_ = m.is_constant() ? row_tiles : 16;
      const std::int64_t row_blocks = (row_tiles + row_block_ - 1) / row_block_;
      column_block_ = std::max<std::int64_t>(1, column_tiles * row_blocks / wanted);
    }
    choose_depth(typical(k), row_tiles, element);
    parallel_ = tasks > 1 || !outer.is_constant() || !m.is_constant() || !n.is_constant();
    b_.comment(fmt::format("{} x {} x {}, tiles of {} x {} {}", to_string(m), to_string(n), to_string(k), tile_.rows, width_,
                           name_of(accumulator_)));
  }

  /// The size of the blocks of k, if it is cut.
  void choose_depth(std::int64_t k, std::int64_t row_tiles, std::int64_t element) {
    if (groups_[k_group].size() != 1) return;
    const std::int64_t row = width_ * element;
    if (many_rows_) {
      if (k > many_rows_depth) depth_ = many_rows_depth / 2;
    } else if (row_tiles > 1 && k * row > l1_panel_bytes) {
      depth_ = std::max<std::int64_t>(1, l1_panel_bytes / (row * ir::contraction_block)) * ir::contraction_block;
      if (depth_ >= k) depth_ = 0;
    }
    if (depth_ == 0) return;
    // [batch..., m..., n...]
    Dims extents;
    for (const int group : {batch_group, m_group, n_group})
      for (const Axis* axis : groups_[group]) extents.push_back(axis->extent);
    sums_ = b_.buffer("sums", accumulator_, extents, ir::Buffer::Role::scratch, {}, 64);
  }

  std::vector<const Axis*> outer_axes() const {
    std::vector<const Axis*> axes = groups_[batch_group];
    for (const int group : {m_group, n_group})
      for (std::size_t i = 0; i + 1 < groups_[group].size(); ++i) axes.push_back(groups_[group][i]);
    return axes;
  }

  /// A parameter as it is: a scalar load per element costs no more than a load from a copy.
  bool is_plain(ScalarId id) const {
    if (!lowering_.is_parameter_load(id) || !lowering_.scalars.node(id).operands.empty()) return false;
    const Dim offset = lowering_.load_offset(id);
    return std::all_of(axes_.begin(), axes_.end(), [&](const Axis& axis) { return stride_of(offset, axis).has_value(); });
  }

  // ---- packing

  void pack() {
    if (b_operand_.packed) pack_panels();
    if (a_.packed) pack_rows();
  }

  /// B into [batch..., outer n..., panels, k..., width].
  void pack_panels() {
    std::vector<const Axis*> outer = groups_[batch_group];
    for (std::size_t i = 0; i + 1 < groups_[n_group].size(); ++i) outer.push_back(groups_[n_group][i]);
    Dims extents;
    for (const Axis* axis : outer) extents.push_back(axis->extent);
    extents.push_back(column_tiles_);
    for (const Axis* axis : groups_[k_group]) extents.push_back(axis->extent);
    extents.push_back(width_);
    b_operand_.buffer = b_.buffer("panels", accumulator_, extents, ir::Buffer::Role::scratch, {}, 64);

    // Rows of B outside, panels inside: reads run along memory.
    std::vector<const Axis*> loops = outer;
    loops.insert(loops.end(), groups_[k_group].begin(), groups_[k_group].end());
    nest(loops, parallel_, [&](const At& at) {
      const Dim n = extent_of(n_);
      const Dim whole = floordiv(n, width_);
      auto panel = [&](const Dim& p, int columns, ir::Mask mask, int stored_columns) {
        Expressions expressions = block(at, {{n_, p * width_ + vector()}}, 1, columns, mask);
        const RegisterId value = expressions.value(b_operand_.value);
        Dims index;
        for (const Axis* axis : outer) index.push_back(expressions.place(axis->symbol));
        index.push_back(p);
        for (const Axis* axis : groups_[k_group]) index.push_back(expressions.place(axis->symbol));
        index.push_back(width_ == 1 ? Dim(0) : vector());
        const RegisterType type{accumulator_, 1, static_cast<std::int16_t>(stored_columns), static_cast<std::int16_t>(lanes_)};
        b_.store(b_operand_.buffer, index, value, type);
      };
      if (!whole.is_constant(0))
        b_.for_loop("p", 0, whole, 1, LoopKind::serial, [&](const Dim& p) { panel(p, tile_.columns, {}, tile_.columns); });
      if (!(whole * width_ == n)) {
        // The last panel: what lies beyond N is never used, only loaded.
        b_.for_loop("p", whole, column_tiles_, 1, LoopKind::serial,
                    [&](const Dim& p) { panel(p, tile_.columns, mask_below(b_, p * width_, n, tile_.columns, lanes_), tile_.columns); });
      }
    });
  }

  /// A with its prologue into [batch..., m..., k...].
  void pack_rows() {
    std::vector<const Axis*> all = groups_[batch_group];
    all.insert(all.end(), groups_[m_group].begin(), groups_[m_group].end());
    all.insert(all.end(), groups_[k_group].begin(), groups_[k_group].end());
    Dims extents;
    std::vector<Axis> axes;
    for (const Axis* axis : all) {
      extents.push_back(axis->extent);
      axes.push_back(*axis);
    }
    a_.buffer = b_.buffer("rows", accumulator_, extents, ir::Buffer::Role::scratch, {}, 64);
    Dims index;
    for (const Axis* axis : all) index.push_back(axis->symbol);
    emit_map(lowering_, axes, {{0, a_.value, index, a_.buffer}});
  }

  // ---- the product

  using At = std::vector<std::pair<const Axis*, Dim>>;

  static Dim vector() { return Dim::symbol(ir::tile_vector); }

  void nest(const std::vector<const Axis*>& axes, bool parallel, const std::function<void(const At&)>& body) {
    At at;
    std::function<void(std::size_t)> loop = [&](std::size_t depth) {
      if (depth == axes.size()) return body(at);
      const LoopKind kind = depth == 0 && parallel ? LoopKind::parallel : LoopKind::serial;
      b_.for_loop(axes[depth]->name, 0, axes[depth]->extent, 1, kind, [&](const Dim& i) {
        at.emplace_back(axes[depth], i);
        loop(depth + 1);
        at.pop_back();
      });
    };
    loop(0);
  }

  Expressions block(At at, const At& more, int rows, int columns, ir::Mask mask) {
    Tile tile;
    tile.at = std::move(at);
    for (const auto& [axis, where] : more)
      if (axis != nullptr) tile.at.emplace_back(axis, where);
    tile.rows = rows;
    tile.cols = columns;
    tile.lanes = lanes_;
    tile.mask = mask;
    return Expressions(lowering_, std::move(tile));
  }

  void compute() {
    const std::vector<const Axis*> outer = outer_axes();
    if (!outer.empty()) {
      // The outer loops are the parallel ones where there are enough of them.
      const bool enough = parallel_ && typical(outer[0]->extent) >= 8;
      nest(outer, enough, [&](const At& at) { tasks(at, parallel_ && !enough); });
    } else {
      tasks({}, parallel_);
    }
  }

  /// Blocks of row tiles times blocks of column tiles.
  void tasks(const At& at, bool parallel) {
    const Dim row_blocks = ceildiv(rows_.pieces, row_block_), column_blocks = ceildiv(column_tiles_, column_block_);
    auto block = [&](const Dim& row, const Dim& column) {
      const Dim row_begin = lowering_.named("r0", row * row_block_), row_end = min(row_begin + row_block_, rows_.pieces);
      const Dim column_begin = lowering_.named("c0", column * column_block_), column_end = min(column_begin + column_block_, column_tiles_);
      base_ = lowering_.named("base", rows_.base);
      longer_ = lowering_.named("longer", rows_.longer);
      if (many_rows_) {
        loop_depth([&] {
          loop("r", row_begin, row_end,
               [&](const Dim& r) { loop_columns(column_begin, column_end, [&](const Dim& c, bool last) { tile(at, r, c, last); }); });
        });
      } else {
        loop_columns(column_begin, column_end, [&](const Dim& c, bool last) {
          loop_depth([&] { loop("r", row_begin, row_end, [&](const Dim& r) { tile(at, r, c, last); }); });
        });
      }
    };
    const LoopKind kind = parallel ? LoopKind::parallel : LoopKind::serial;
    if (row_blocks.is_constant(1) && column_blocks.is_constant(1)) return block(0, 0);
    if (row_blocks.is_constant(1)) return b_.for_loop("task", 0, column_blocks, 1, kind, [&](const Dim& t) { block(0, t); });
    if (column_blocks.is_constant(1)) return b_.for_loop("task", 0, row_blocks, 1, kind, [&](const Dim& t) { block(t, 0); });
    b_.for_loop("task", 0, row_blocks * column_blocks, 1, kind, [&](const Dim& t) { block(mod(t, row_blocks), floordiv(t, row_blocks)); });
  }

  /// Blocks of k around `body`; all of k at once when it is not cut. The last block, which finishes the tiles, stands behind the loop, so
  /// that outputs are stored once, outside of any loop over k.
  void loop_depth(const std::function<void()>& body) {
    if (depth_ == 0) return body();
    const Dim k = groups_[k_group].front()->extent;
    const Dim last = floordiv(max(k, 1) - 1, depth_) * depth_;
    finishing_ = false;
    if (!last.is_constant(0)) {
      b_.for_loop("k0", 0, last, depth_, LoopKind::serial, [&](const Dim& begin) {
        k_begin_ = begin;
        k_end_ = begin + depth_;
        body();
      });
    }
    finishing_ = true;
    k_begin_ = lowering_.named("k1", last);
    k_end_ = k;
    body();
  }

  void loop(const char* name, const Dim& begin, const Dim& end, const std::function<void(const Dim&)>& body) {
    if (end == begin + 1) return body(begin);
    b_.for_loop(name, begin, end, 1, LoopKind::serial, body);
  }

  /// Column tiles [begin, end): the whole ones, then the one that N cuts.
  void loop_columns(const Dim& begin, const Dim& end, const std::function<void(const Dim&, bool last)>& body) {
    const Dim whole = floordiv(extent_of(n_), width_);
    if (whole == column_tiles_) return loop("c", begin, end, [&](const Dim& c) { body(c, false); });
    if (column_tiles_.is_constant(1)) return body(0, true);
    const Dim middle = max(min(end, whole), begin);
    b_.for_loop("c", begin, min(end, whole), 1, LoopKind::serial, [&](const Dim& c) { body(c, false); });
    b_.for_loop("c", middle, end, 1, LoopKind::serial, [&](const Dim& c) { body(c, true); });
  }

  /// One register tile: the microkernel of the row tile's height.
  void tile(const At& at, const Dim& r, const Dim& c, bool last) {
    int columns = tile_.columns;
    if (last && extent_of(n_).is_constant()) {
      const std::int64_t left = extent_of(n_).constant() - extent_of(n_).constant() / width_ * width_;
      columns = static_cast<int>((left + lanes_ - 1) / lanes_);
    }
    const Dim n = extent_of(n_);
    const Dim j = c * width_;
    const bool masked = last && !(n.is_constant() && n.constant() % lanes_ == 0);
    const Balanced rows{rows_.pieces, base_, longer_};
    if (rows_.base.is_constant(0) && rows_.longer.is_constant(0)) return;  // no rows at all
    const Dim height = rows.size(r), i = lowering_.named("i", rows.begin(r));
    if (height.is_constant()) return microkernel(at, static_cast<int>(height.constant()), i, c, j, columns, masked);
    std::vector<std::int64_t> heights;
    if (rows_.base.is_constant()) {
      if (!rows_.base.is_constant(0)) heights.push_back(rows_.base.constant());
      heights.push_back(rows_.base.constant() + 1);
    } else {
      for (int h = 1; h <= tile_.rows; ++h) heights.push_back(h);
    }
    b_.switch_on(height, heights, [&](std::int64_t h) { microkernel(at, static_cast<int>(h), i, c, j, columns, masked); });
  }

  using Step = std::function<RegisterId(const At& ks, RegisterId carried)>;

  /// `sum` and all of k (or the current piece of it), in the order of ir::contraction_block.
  RegisterId accumulate(RegisterId sum, const Step& step) {
    const std::vector<const Axis*>& ks = groups_[k_group];
    const Dim extent = product_of(ks);
    const bool one_block = extent.is_constant() && extent.constant() <= ir::contraction_block;
    if (!is_floating(accumulator_) || one_block) return chain(sum, {}, 0, step);

    // The axes of k that do not run through memory as one are counted together.
    const bool cut = depth_ != 0;
    const Dim begin = cut ? k_begin_ : Dim(0), end = cut ? k_end_ : extent;
    auto position = [&](const Dim& k) {
      if (ks.size() == 1) return At{{ks[0], k}};
      At where;
      Dim rest = k;
      for (std::size_t i = ks.size(); i-- > 0;) {
        const Dim divisor = max(ks[i]->extent, 1);
        where.emplace_back(ks[i], i == 0 ? rest : mod(rest, divisor));
        rest = floordiv(rest, divisor);
      }
      return where;
    };
    auto block = [&](const Dim& first, const Dim& last, RegisterId total) {
      const RegisterId zero = b_.constant(b_.type(total), ir::Literal::of(accumulator_, 0));
      const RegisterId part =
          b_.for_loop("k", first, last, 1, LoopKind::serial, {zero}, [&](const Dim& k, std::span<const RegisterId> carried) {
            return ir::KernelBuilder::Registers{step(position(k), carried[0])};
          })[0];
      return b_.binary(LoopOp::add, total, part);
    };
    if (cut && depth_ == ir::contraction_block) return block(begin, end, sum);
    return b_.for_loop("kb", begin, end, ir::contraction_block, LoopKind::serial, {sum},
                       [&](const Dim& first, std::span<const RegisterId> carried) {
                         return ir::KernelBuilder::Registers{block(first, min(first + ir::contraction_block, end), carried[0])};
                       })[0];
  }

  /// One chain over the axes of k from `depth` inwards (over the current piece, if k is cut).
  RegisterId chain(RegisterId carried, const At& ks, std::size_t depth, const Step& step) {
    const std::vector<const Axis*>& axes = groups_[k_group];
    if (depth == axes.size()) return step(ks, carried);
    const bool cut = depth_ != 0;
    return b_.for_loop("k", cut ? k_begin_ : Dim(0), cut ? k_end_ : axes[depth]->extent, 1, LoopKind::serial, {carried},
                       [&](const Dim& k, std::span<const RegisterId> registers) {
                         At inner = ks;
                         inner.emplace_back(axes[depth], k);
                         return ir::KernelBuilder::Registers{chain(registers[0], inner, depth + 1, step)};
                       })[0];
  }

  void microkernel(const At& at, int height, const Dim& i, const Dim& c, const Dim& j, int columns, bool masked) {
    ir::Mask mask;
    if (masked) mask = mask_below(b_, j, extent_of(n_), columns, lanes_);
    const At place{{m_, height == 1 ? i : i + Dim::symbol(ir::tile_row)}, {n_, lanes_ * columns == 1 ? j : j + vector()}};
    const RegisterType accumulator{accumulator_, static_cast<std::int16_t>(height), static_cast<std::int16_t>(columns),
                                   static_cast<std::int16_t>(lanes_)};
    RegisterId sum = 0;
    if (depth_ == 0) {
      sum = b_.constant(accumulator, ir::Literal::of(accumulator_, 0));
    } else {
      // 0 in the first block: a masked load gives zeros.
      const RegisterId later = b_.compare(ir::Comparison::gt, b_.index(k_begin_), b_.index(0));
      sum = b_.load(sums_, sums_index(block(at, place, height, columns, {})), accumulator,
                    mask ? b_.binary(LoopOp::and_, *mask, later) : later);
    }
    sum = accumulate(sum, [&](const At& ks, RegisterId carried) {
      At all = at;
      all.insert(all.end(), ks.begin(), ks.end());
      Expressions expressions = block(all, place, height, columns, mask);
      const RegisterId a = a_.packed ? packed_row(expressions, height) : expressions.value(a_.value);
      const RegisterId b = b_operand_.packed ? packed_panel(expressions, c, columns) : expressions.value(b_operand_.value);
      if (is_floating(accumulator_) && lowering_.target.fma) return b_.fma(a, b, carried);
      return b_.binary(LoopOp::add, b_.binary(LoopOp::multiply, a, b), carried);
    });

    if (!finishing_) return b_.store(sums_, sums_index(block(at, place, height, columns, {})), sum, accumulator, mask);
    Expressions epilogue = block(at, place, height, columns, mask);
    epilogue.bind(leaf_, b_.convert(sum, graph_.type(product_).dtype));
    for (const Store& store : stores_) epilogue.value(store.value);
    for (const Store& store : stores_) epilogue.store(store);
  }

  Dims sums_index(const Expressions& expressions) const {
    Dims index;
    for (const int group : {batch_group, m_group, n_group})
      for (const Axis* axis : groups_[group]) index.push_back(expressions.place(axis->symbol));
    return index;
  }

  RegisterId packed_row(const Expressions& expressions, int height) {
    Dims index;
    for (const int group : {batch_group, m_group, k_group})
      for (const Axis* axis : groups_[group]) index.push_back(expressions.place(axis->symbol));
    return b_.load(a_.buffer, index, {accumulator_, static_cast<std::int16_t>(height)});
  }

  RegisterId packed_panel(const Expressions& expressions, const Dim& c, int columns) {
    Dims index;
    for (const Axis* axis : groups_[batch_group]) index.push_back(expressions.place(axis->symbol));
    for (std::size_t i = 0; i + 1 < groups_[n_group].size(); ++i) index.push_back(expressions.place(groups_[n_group][i]->symbol));
    index.push_back(c);
    for (const Axis* axis : groups_[k_group]) index.push_back(expressions.place(axis->symbol));
    index.push_back(lanes_ * columns == 1 ? Dim(0) : vector());
    return b_.load(b_operand_.buffer, index, {accumulator_, 1, static_cast<std::int16_t>(columns), static_cast<std::int16_t>(lanes_)});
  }

  Lowering& lowering_;
  ir::KernelBuilder& b_;
  const ir::Graph& graph_;

  ir::NodeId dot_ = ir::none;
  ir::ValueId product_ = ir::none;
  DType accumulator_ = DType::f32;
  std::vector<Axis> axes_;
  Dims product_index_;
  ScalarId leaf_ = 0;
  Operand a_, b_operand_;
  std::vector<Store> stores_;

  std::array<std::vector<const Axis*>, group_count> groups_;
  const Axis *m_ = nullptr, *n_ = nullptr;
  int lanes_ = 1, width_ = 1;
  TileShape tile_;
  Balanced rows_;
  Dim base_, longer_;  // of rows_, as they are called in the current task
  Dim column_tiles_;
  std::int64_t row_block_ = 1, column_block_ = 1;
  bool many_rows_ = false, parallel_ = false;
  std::int64_t depth_ = 0;  // of a block of k; 0: k is not cut
  ir::BufferId sums_ = 0;   // partial sums between blocks of k
  Dim k_begin_, k_end_;     // the current block
  bool finishing_ = true;   // it is the last one
};

}  // namespace

ir::Kernel schedule_contraction(Lowering& lowering) { return Contraction(lowering).run(); }

}  // namespace kiln::passes

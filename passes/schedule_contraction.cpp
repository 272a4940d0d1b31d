// Contraction kernels: one dot_general or convolution with anything elementwise around it.
//
// Axes. The domain is batch x m x n x k: m are the free dims of one operand, n those of the other, k the contracted ones. Neighbours that
// run through memory as one are collapsed; what is left beside one m, one n and k become plain loops. n is the vector axis; the operands
// change roles when the results are contiguous along the other one. How a convolution becomes such a product, and why its loops need no
// masks for padding, stands in contraction_product.cpp.
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
// Several axes of k are walked as one row-major count: a loop over blocks, in it one over the rows of the innermost axis that a block
// meets, in it one over what of the row lies in the block. Only the rows' loop divides.
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
// Convolutions. All loops but the tiles' are one loop: over the positions beside a tile's rows, and blocks of output features. Weights that
// fit into L2 stay there while positions pass; larger ones are walked outermost, a panel of columns at a time. Where the window is longer
// than the result (a gradient by the weights), k is cut into blocks, and all sums of a task wait in scratch while a block of both factors
// is in cache.
//
// Epilogue. Each tile is finished in registers: the expressions of all outputs are evaluated on the accumulators and stored. A parameter
// that is read only in the epilogue, at an output's own index, is read right before that element is stored and may share memory with the
// output: that is how `w - rate * acc` updates w in place.
#include <algorithm>

#include <fmt/format.h>

#include "passes/contraction.h"

namespace kiln::passes {

using ir::Dim;
using ir::Dims;
using ir::LoopKind;
using ir::LoopOp;
using ir::RegisterId;
using ir::RegisterType;
using ir::ScalarId;

namespace {

constexpr std::int64_t l2_block_bytes = 1 << 20;    // of B: half of a 2 MiB L2
constexpr std::int64_t pack_above_bytes = 1 << 20;  // packing costs more than it saves below (measured: even at 512^3 f32)
constexpr std::int64_t pack_above_rows = 128;
constexpr std::int64_t task_operations = 4 << 20;  // per parallel iteration: about 20 us on one core
constexpr std::int64_t max_tasks = 64;
constexpr std::int64_t l1_panel_bytes = 32 << 10;  // of B that stays in L1 while row tiles pass: two thirds of 48 KiB
constexpr std::int64_t many_positions = 4;         // of a convolution beside those of a tile: enough to be the parallel loop
constexpr std::int64_t max_deep_tasks = 8;         // each reads all of one factor
constexpr std::int64_t many_rows_depth = 2048;     // K beyond which many rows are worth blocks of k (at 1024 they cost 6 %)

class Contraction {
 public:
  explicit Contraction(Lowering& lowering)
      : lowering_(lowering),
        b_(lowering.builder),
        product_(find_product(lowering)),
        groups_(product_.groups),
        m_(product_.m),
        n_(product_.n) {}

  ir::Kernel run() {
    choose_shapes();
    for (Factor* factor : {&product_.left, &product_.right})
      if (factor->staged) stage(lowering_, product_, *factor);
    if (pack_right_) pack_panels(lowering_, product_, tile_, lanes_, parallel_);
    if (pack_left_) pack_rows(lowering_, product_);
    compute();
    return b_.finish();
  }

 private:
  static Dim extent_of(const Axis* axis) { return axis == nullptr ? Dim(1) : axis->extent; }

  // ---- the plan

  void choose_shapes() {
    const Dim m = extent_of(m_), n = extent_of(n_), k = product_.k_extent();
    std::vector<ScalarId> roots;
    std::vector<DType> stored;
    for (const Store& store : product_.stores) {
      roots.push_back(store.value);
      stored.push_back(lowering_.scalars.dtype_of(store.value));
    }
    stored.push_back(product_.accumulator);
    lanes_ = n.is_constant(1) || n_ == nullptr || lowering_.gathers_along(roots, *n_) ? 1 : lanes_along(lowering_, roots, stored, *n_);
    const std::int64_t n_vectors = n.is_constant() ? (n.constant() + lanes_ - 1) / lanes_ : 12;
    tile_ = choose_tile(m, n_vectors, typical(k), lowering_.target);
    if (lanes_ == 1) tile_.columns = 1;
    if (m.is_constant()) tile_.rows = static_cast<int>(std::clamp<std::int64_t>(m.constant(), 1, tile_.rows));
    rows_ = Balanced::of(m, tile_.rows);
    width_ = tile_.columns * lanes_;
    column_tiles_ = ceildiv(n, width_);

    // Packing.
    const std::int64_t element = static_cast<std::int64_t>(size_of(product_.accumulator));
    const bool large = typical(k * n) * element >= pack_above_bytes && all_rows_above(pack_above_rows);
    const Factor &left = product_.left, &right = product_.right;
    const bool plain_left = is_plain(lowering_, product_, left), plain_right = is_plain(lowering_, product_, right);
    const bool contiguous = n_ == nullptr || lanes_ == 1 || (plain_right && unit_stride(offset_of(lowering_, right), *n_));
    if (product_.convolution) {
      const bool of_rows = m_ != nullptr && depends_on(lowering_, right, *m_);
      pack_right_ = !right.staged && !of_rows && (large || !(plain_right && contiguous));
      const Axis* innermost = groups_[k_group].empty() ? nullptr : groups_[k_group].back();
      pack_left_ = !left.staged && !(plain_left && (innermost == nullptr || unit_stride(offset_of(lowering_, left), *innermost))) &&
                   (n_ == nullptr || !depends_on(lowering_, left, *n_));
    } else {
      const bool one_row_tile = rows_.pieces.is_constant(1);
      pack_right_ = large || !(one_row_tile || (plain_right && contiguous));
      pack_left_ = !plain_left && !column_tiles_.is_constant(1);
    }

    // Tasks.
    const std::int64_t row_tiles = std::max<std::int64_t>(1, typical(rows_.pieces)),
                       column_tiles = std::max<std::int64_t>(1, typical(column_tiles_));
    const Dim outer = product_of(product_.outer());
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
    deep_ = product_.long_window && is_floating(product_.accumulator) && typical(k) > 4 * ir::contraction_block;
    if (deep_) {
      many_rows_ = false;
      row_block_ = std::max<std::int64_t>(1, row_tiles / max_deep_tasks);
      column_block_ = column_tiles;
      cut_depth(ir::contraction_block);
    } else if (product_.convolution && typical(outer) >= many_positions) {
      many_rows_ = false;
      row_block_ = row_tiles;
      weights_outermost_ = typical(k * n) * element > l2_block_bytes;
      column_block_ = weights_outermost_ ? 1 : column_tiles;
    } else {
      choose_depth(typical(k), row_tiles, element);
    }
    parallel_ = tasks > 1 || !outer.is_constant() || !m.is_constant() || !n.is_constant();
    b_.comment(fmt::format("{} x {} x {}, tiles of {} x {} {}", to_string(m), to_string(n), to_string(k), tile_.rows, width_,
                           name_of(product_.accumulator)));
  }

  /// Whether more rows than this are multiplied, symbols apart.
  bool all_rows_above(std::int64_t rows) const {
    if (!product_.convolution) return extent_of(m_).is_constant() && extent_of(m_).constant() > rows;
    return typical(product_of(groups_[m_group])) > rows;
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
    if (depth_ != 0) cut_depth(depth_);
  }

  void cut_depth(std::int64_t depth) {
    depth_ = depth;
    // [batch..., m..., n...]
    Dims extents;
    for (const int group : {batch_group, m_group, n_group})
      for (const Axis* axis : groups_[group]) extents.push_back(axis->extent);
    sums_ = b_.buffer("sums", product_.accumulator, extents, ir::Buffer::Role::scratch, {}, 64);
  }

  // ---- the product

  using At = AxisPlaces;

  static Dim vector() { return Dim::symbol(ir::tile_vector); }

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
    const std::vector<const Axis*> outer = product_.outer();
    if (deep_) return compute_deep(outer);
    if (product_.convolution && typical(product_of(outer)) >= many_positions) return compute_positions(outer);
    if (!outer.empty()) {
      // The outer loops are the parallel ones where there are enough of them.
      const bool enough = parallel_ && typical(outer[0]->extent) >= 8;
      nest(b_, outer, enough, [&](const At& at) { tasks(at, parallel_ && !enough); });
    } else {
      tasks({}, parallel_);
    }
  }

  /// Of a convolution: one loop over everything beside the tiles.
  void compute_positions(const std::vector<const Axis*>& outer) {
    const Dim positions = product_of(outer), blocks = ceildiv(column_tiles_, column_block_);
    const LoopKind kind = parallel_ ? LoopKind::parallel : LoopKind::serial;
    b_.for_loop("task", 0, positions * blocks, 1, kind, [&](const Dim& t) {
      const Dim divisor = max(weights_outermost_ ? positions : blocks, 1);
      const Dim major = lowering_.named("major", floordiv(t, divisor)), minor = lowering_.named("minor", mod(t, divisor));
      const At at = axes_at(outer, weights_outermost_ ? minor : major);
      const Dim column = weights_outermost_ ? major : minor;
      const Dim begin = lowering_.named("c0", column * column_block_);
      const Dim end = lowering_.named("c1", min(begin + column_block_, column_tiles_));
      base_ = lowering_.named("base", rows_.base);
      longer_ = lowering_.named("longer", rows_.longer);
      loop_columns(begin, end, [&](const Dim& c, bool last) { loop("r", 0, rows_.pieces, [&](const Dim& r) { tile(at, r, c, last); }); });
    });
  }

  /// Of a convolution with a long window: tasks are blocks of row tiles, each of which walks through k once and keeps all its sums.
  void compute_deep(const std::vector<const Axis*>& outer) {
    const LoopKind kind = parallel_ ? LoopKind::parallel : LoopKind::serial;
    b_.for_loop("task", 0, ceildiv(rows_.pieces, row_block_), 1, kind, [&](const Dim& t) {
      const Dim begin = lowering_.named("r0", t * row_block_), end = lowering_.named("r1", min(begin + row_block_, rows_.pieces));
      base_ = lowering_.named("base", rows_.base);
      longer_ = lowering_.named("longer", rows_.longer);
      loop_depth([&] {
        loop_columns(0, column_tiles_, [&](const Dim& c, bool last) {
          nest(b_, outer, false, [&](const At& at) { loop("r", begin, end, [&](const Dim& r) { tile(at, r, c, last); }); });
        });
      });
    });
  }

  /// Where the axes are at a row-major count of them.
  At axes_at(std::span<const Axis* const> axes, const Dim& count) {
    At at;
    Dim rest = count;
    for (std::size_t i = axes.size(); i-- > 0;) {
      const Dim divisor = max(axes[i]->extent, 1);
      at.emplace_back(axes[i], i == 0 ? rest : lowering_.named(axes[i]->name.c_str(), mod(rest, divisor)));
      if (i > 0) rest = lowering_.named("rest", floordiv(rest, divisor));
    }
    return at;
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
    const Dim k = product_.k_extent();
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
    const Dim extent = product_.k_extent();
    const bool one_block = extent.is_constant() && extent.constant() <= ir::contraction_block;
    if (!is_floating(product_.accumulator) || one_block) return chain(sum, {}, 0, step);

    const bool cut = depth_ != 0;
    const Dim begin = cut ? k_begin_ : Dim(0), end = cut ? k_end_ : extent;
    auto block = [&](const Dim& first, const Dim& last, RegisterId total) {
      const RegisterId zero = b_.constant(b_.type(total), ir::Literal::of(product_.accumulator, 0));
      return b_.binary(LoopOp::add, total, part_of_block(first, last, zero, step));
    };
    if (cut && depth_ == ir::contraction_block) return block(begin, end, sum);
    return b_.for_loop("kb", begin, end, ir::contraction_block, LoopKind::serial, {sum},
                       [&](const Dim& first, std::span<const RegisterId> carried) {
                         return ir::KernelBuilder::Registers{block(first, min(first + ir::contraction_block, end), carried[0])};
                       })[0];
  }

  /// The steps of k from `first` to `last`, counted row-major over its axes.
  RegisterId part_of_block(const Dim& first, const Dim& last, RegisterId zero, const Step& step) {
    const std::vector<const Axis*>& ks = groups_[k_group];
    const auto row = [&](const At& where, const Dim& begin, const Dim& end, RegisterId carried) {
      return b_.for_loop("k", begin, end, 1, LoopKind::serial, {carried}, [&](const Dim& k, std::span<const RegisterId> registers) {
        At at = where;
        at.emplace_back(ks.back(), k);
        return ir::KernelBuilder::Registers{step(at, registers[0])};
      })[0];
    };
    if (ks.size() == 1) return row({}, first, last, zero);
    const Dim length = max(ks.back()->extent, 1);
    const bool whole_rows = length.is_constant() && ir::contraction_block % length.constant() == 0;
    return b_.for_loop("row", floordiv(first, length), ceildiv(last, length), 1, LoopKind::serial, {zero},
                       [&](const Dim& q, std::span<const RegisterId> carried) {
                         const At where = axes_at(std::span(ks).first(ks.size() - 1), q);
                         if (whole_rows) return ir::KernelBuilder::Registers{row(where, 0, length, carried[0])};
                         const Dim begin = lowering_.named("from", max(first - q * length, 0));
                         const Dim end = lowering_.named("to", min(last - q * length, length));
                         return ir::KernelBuilder::Registers{row(where, begin, end, carried[0])};
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
    const RegisterType accumulator{product_.accumulator, static_cast<std::int16_t>(height), static_cast<std::int16_t>(columns),
                                   static_cast<std::int16_t>(lanes_)};
    RegisterId sum = 0;
    if (depth_ == 0) {
      sum = b_.constant(accumulator, ir::Literal::of(product_.accumulator, 0));
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
      const RegisterId a =
          product_.left.packed ? packed_row(expressions, height) : factor_value(lowering_, product_, product_.left, expressions);
      const RegisterId b =
          product_.right.packed ? packed_panel(expressions, c, columns) : factor_value(lowering_, product_, product_.right, expressions);
      if (is_floating(product_.accumulator) && lowering_.target.fma) return b_.fma(a, b, carried);
      return b_.binary(LoopOp::add, b_.binary(LoopOp::multiply, a, b), carried);
    });

    if (!finishing_) return b_.store(sums_, sums_index(block(at, place, height, columns, {})), sum, accumulator, mask);
    Expressions epilogue = block(at, place, height, columns, mask);
    epilogue.bind(product_.leaf, b_.convert(sum, lowering_.graph.type(product_.value).dtype));
    for (const Store& store : product_.stores) epilogue.value(store.value);
    for (const Store& store : product_.stores) epilogue.store(store);
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
    return b_.load(*product_.left.buffer, index, {product_.accumulator, static_cast<std::int16_t>(height)});
  }

  RegisterId packed_panel(const Expressions& expressions, const Dim& c, int columns) {
    Dims index;
    for (const Axis* axis : groups_[batch_group]) index.push_back(expressions.place(axis->symbol));
    for (const Axis* axis : groups_[n_group])
      if (axis != n_) index.push_back(expressions.place(axis->symbol));
    index.push_back(c);
    for (const Axis* axis : groups_[k_group]) index.push_back(expressions.place(axis->symbol));
    index.push_back(lanes_ * columns == 1 ? Dim(0) : vector());
    return b_.load(*product_.right.buffer, index,
                   {product_.accumulator, 1, static_cast<std::int16_t>(columns), static_cast<std::int16_t>(lanes_)});
  }

  Lowering& lowering_;
  ir::KernelBuilder& b_;
  Product product_;
  const std::array<std::vector<const Axis*>, contraction_group_count>& groups_;
  const Axis *m_, *n_;
  int lanes_ = 1, width_ = 1;
  TileShape tile_;
  Balanced rows_;
  Dim base_, longer_;  // of rows_, as they are called in the current task
  Dim column_tiles_;
  bool pack_left_ = false, pack_right_ = false;
  std::int64_t row_block_ = 1, column_block_ = 1;
  bool weights_outermost_ = false, deep_ = false;
  bool many_rows_ = false, parallel_ = false;
  std::int64_t depth_ = 0;  // of a block of k; 0: k is not cut
  ir::BufferId sums_ = 0;   // partial sums between blocks of k
  Dim k_begin_, k_end_;     // the current block
  bool finishing_ = true;   // it is the last one
};

}  // namespace

ir::Kernel schedule_contraction(Lowering& lowering) { return Contraction(lowering).run(); }

}  // namespace kiln::passes

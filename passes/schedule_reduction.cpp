// Reduction and row kernels: `reduce` nodes over the same rows, with anything elementwise before, between and after.
//
// Domain. All reductions fold the same dims of the same full shape; the other dims are the rows. Expressions are of full shape or of one
// element per row. A reduction whose body needs another one's result is of a higher level: max is level 0 of a softmax, the sum of exp(x -
// max) level 1. Pass p walks a row once, folds the reductions of level p and stores the full-shape outputs that need results of lower
// levels only; row data comes from L1 after the first pass.
//
// Inner form (the vector axis is reduced): each row is folded into `4 x 64 bytes` of accumulators, what remains after the last whole strip
// into one more vector, masked. The four are folded in the fixed tree of the loop IR's `reduce`, the fifth is added, then the lanes are
// folded. Outer form (the vector axis runs over rows): each element of a vector is a row of its own, folded in row-major order.
//
// What a later pass would compute again at the price of a function (the exponentials of a softmax) is stored in an output of full shape by
// the pass that needs it first, and read back from there, out of L1.
//
// Two stages. With nothing but the reduced dims to cut (a full reduction; a sum over the batch), a kernel of one level folds chunks of the
// outermost reduced axis into a scratch of partial results in parallel, and then the partial results in order. The chunk's size is a
// function of logical extents only.
//
// So the order of every fold depends on logical extents alone: not on the target, the threads, nor on what was known at compile time.
// Accumulators that fold nothing hold the identity, which changes no bit of what it is combined with; that is why parts that are statically
// empty can be left out.
//
// f16 and bf16 fold in f32 and round once.
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

constexpr int inner_columns = 4;              // accumulators of an inner fold
constexpr std::int64_t inner_chunk = 16384;   // elements of a chunk of a full reduction
constexpr std::int64_t outer_chunk = 512;     // rows of a chunk of an outer fold
constexpr std::int64_t serial_below = 16384;  // elements: less is not worth other cores

struct Reduction {
  ir::ValueId value = ir::none;
  ScalarId body = 0, leaf = 0;
  LoopOp combiner{};
  ir::Literal identity;
  DType accumulator{};
  int level = 0;
  ir::BufferId partial = 0;
};

struct Output {
  Store store;
  bool full = false;
  int level = 0;
  // A part of the value that an earlier pass leaves in the output's memory.
  std::optional<ScalarId> kept;
  int kept_level = 0;
};

using Registers = ir::KernelBuilder::Registers;

class Rows {
 public:
  explicit Rows(Lowering& lowering) : lowering_(lowering), b_(lowering.builder), graph_(lowering.graph) {}

  ir::Kernel run() {
    find_reductions();
    find_outputs();
    collapse_axes();
    lowering_.declare_buffers();
    choose();
    if (two_stages_) {
      first_stage();
      second_stage();
    } else {
      loops(row_axes_, 0, parallel_ && !row_axes_.empty(), [&] { rows(parallel_ && row_axes_.empty(), [&] { passes(); }); });
    }
    return b_.finish();
  }

 private:
  [[noreturn]] void unfit(const std::string& why) const { throw InternalError(fmt::format("lowering: kernel @{}: {}", graph_.name, why)); }

  // ---- what is computed

  void find_reductions() {
    for (ir::NodeId id = 0; id < graph_.node_count(); ++id) {
      const ir::Node& node = graph_.node(id);
      if (node.op != ir::Op::reduce) continue;
      const ir::Type& operand = graph_.type(node.operands[0]);
      std::vector<bool> reduced(operand.rank(), false);
      for (const std::int64_t d : ir::integers_or_empty(node.attributes, "dimensions")) reduced[static_cast<std::size_t>(d)] = true;
      if (reductions_.empty()) {
        full_dims_ = operand.dims;
        reduced_dims_ = reduced;
        axes_ = lowering_.axes_of(full_dims_);
        for (std::size_t d = 0; d < axes_.size(); ++d) {
          axes_[d].group = reduced[d] ? 1 : 0;
          if (!reduced[d]) row_index_.push_back(axes_[d].symbol);
          full_index_.push_back(axes_[d].symbol);
        }
      } else if (operand.dims != full_dims_ || reduced != reduced_dims_) {
        unfit("its reductions do not fold the same dims of the same shape");
      }
      const ir::Structured structured = ir::info(node.op).structured(node, std::span(&operand, 1), graph_.type(node.first_result));
      Dims index = row_index_;
      for (std::size_t d = 0; d < axes_.size(); ++d)
        if (reduced[d]) index.push_back(axes_[d].symbol);
      Reduction reduction;
      reduction.value = node.first_result;
      reduction.body = lowering_.scalars.body(id, structured, index);
      reduction.leaf = lowering_.scalars.value(reduction.value, row_index_);
      reduction.combiner = structured.combiner;
      reduction.identity = structured.identity;
      reduction.accumulator = operand.dtype;
      if (operand.dtype == DType::f16 || operand.dtype == DType::bf16) {
        reduction.accumulator = DType::f32;
        reduction.identity = ir::Literal::of(DType::f32, structured.identity.number);
      }
      reduction.level = level_of(reduction.body);
      levels_ = std::max(levels_, reduction.level + 1);
      reductions_.push_back(std::move(reduction));
    }
  }

  /// The pass in which an expression can be computed: one after the last reduction that it reads.
  int level_of(ScalarId root) const {
    int level = 0;
    for (const ScalarId id : lowering_.scalars.reachable(std::span(&root, 1))) {
      const ir::ScalarNode& node = lowering_.scalars.node(id);
      if (node.op != LoopOp::load || lowering_.is_parameter_load(id)) continue;
      const auto found = std::find_if(reductions_.begin(), reductions_.end(), [&](const Reduction& r) { return r.leaf == id; });
      if (found == reductions_.end()) unfit(fmt::format("a reduced value is read at {}", to_string(node.indices)));
      level = std::max(level, found->level + 1);
    }
    return level;
  }

  void find_outputs() {
    for (std::uint32_t i = 0; i < graph_.results.size(); ++i) {
      const Dims& dims = graph_.type(graph_.results[i]).dims;
      Output output;
      Dims index;
      if (dims == full_dims_) {
        output.full = true;
        index = full_index_;
      } else {
        index = row_output_index(dims, i);
      }
      output.store = {i, lowering_.scalars.value(graph_.results[i], index), index};
      output.level = level_of(output.store.value);
      outputs_.push_back(std::move(output));
    }
  }

  /// Indices of a result with one element per row: the row dims in order, with extents of 1 anywhere between.
  Dims row_output_index(const Dims& dims, std::uint32_t result) const {
    std::vector<const Axis*> rows;
    for (std::size_t d = 0; d < axes_.size(); ++d)
      if (!reduced_dims_[d]) rows.push_back(&axes_[d]);
    Dims index;
    std::size_t next = 0;
    for (const Dim& dim : dims) {
      while (next < rows.size() && !(rows[next]->extent == dim) && rows[next]->extent.is_constant(1)) ++next;
      if (next < rows.size() && rows[next]->extent == dim)
        index.push_back(rows[next++]->symbol);
      else if (dim.is_constant(1))
        index.push_back(0);
      else
        unfit(fmt::format("result {} has dims {}, neither those of the rows nor the full ones", result, to_string(dims)));
    }
    while (next < rows.size() && rows[next]->extent.is_constant(1)) ++next;
    if (next != rows.size()) unfit(fmt::format("result {} has fewer dims than the rows", result));
    return index;
  }

  void collapse_axes() {
    std::vector<Store> stores;
    for (const Output& output : outputs_) stores.push_back(output.store);
    std::vector<ScalarId> bodies;
    for (const Reduction& reduction : reductions_) bodies.push_back(reduction.body);
    lowering_.collapse(axes_, stores, bodies);
    for (std::size_t i = 0; i < outputs_.size(); ++i) outputs_[i].store = stores[i];
  }

  // ---- the plan

  void choose() {
    std::vector<ScalarId> roots, full_roots;
    std::vector<DType> stored;
    for (const Reduction& reduction : reductions_) {
      full_roots.push_back(reduction.body);
      stored.push_back(reduction.accumulator);
    }
    for (const Output& output : outputs_) {
      roots.push_back(output.store.value);
      if (!output.full) continue;
      full_roots.push_back(output.store.value);
      stored.push_back(lowering_.scalars.dtype_of(output.store.value));
    }
    roots.insert(roots.end(), full_roots.begin(), full_roots.end());
    int best = -1;
    for (const Axis& axis : axes_) {
      if (axis.extent.is_constant(1) || lowering_.gathers_along(roots, axis)) continue;
      int score = 0;
      auto count = [&](const Dim& offset) {
        const auto stride = stride_of(offset, axis);
        score += stride && stride->is_constant(1) ? 1 : 0;
      };
      for (const ScalarId id : lowering_.scalars.reachable(full_roots))
        if (lowering_.is_parameter_load(id)) count(lowering_.load_offset(id));
      for (const Output& output : outputs_)
        if (output.full) count(lowering_.store_offset(output.store));
      if (score < best) continue;  // of equals the inner one
      best = score;
      vector_ = &axis;
    }
    if (vector_ != nullptr) lanes_ = lanes_along(lowering_, roots, stored, *vector_);
    inner_ = vector_ != nullptr && vector_->group == 1;
    for (const Axis& axis : axes_) {
      if (&axis == vector_) continue;
      (axis.group == 1 ? reduced_axes_ : row_axes_).push_back(&axis);
    }

    for (Output& output : outputs_) choose_kept(output);
    bool late_outputs = levels_ > 1;
    for (const Output& output : outputs_) late_outputs |= output.full && output.level > 0;
    chunked_ = !reduced_axes_.empty() ? reduced_axes_.front() : inner_ ? vector_ : nullptr;
    two_stages_ = !late_outputs && row_axes_.empty() && chunked_ != nullptr;
    if (two_stages_) {
      if (inner_) {
        Dim below = 1;  // elements per step of the chunked axis
        for (const Axis& axis : axes_)
          if (&axis != chunked_) below *= axis.extent;
        chunk_ = below.is_constant(1) ? Dim(inner_chunk) : max(floordiv(inner_chunk, max(below, 1)), 1);
      } else {
        chunk_ = outer_chunk;
      }
      two_stages_ = ir::less_equal(chunked_->extent, chunk_) != ir::Truth::yes;
    }

    const Dim elements = ir::product(full_dims_);
    parallel_ = !elements.is_constant() || elements.constant() > serial_below;
    std::int64_t bytes = 0;
    for (const ir::ValueId parameter : graph_.parameters)
      bytes += static_cast<std::int64_t>(size_of(graph_.type(parameter).dtype)) * typical(ir::product(graph_.type(parameter).dims));
    b_.work(std::max(bytes, cost_of(lowering_.scalars, roots) * typical(elements)));
  }

  /// The largest part of a late output that costs a function and that a reduction of an earlier pass computes anyway.
  void choose_kept(Output& output) const {
    if (!output.full || output.level == 0 || vector_ == nullptr) return;
    const std::vector<bool> varies = lowering_.dependents(std::span(&output.store.value, 1), *vector_);
    const DType dtype = lowering_.scalars.dtype_of(output.store.value);
    for (const ScalarId id : lowering_.scalars.reachable(std::span(&output.store.value, 1))) {
      if (id == output.store.value || !varies[id] || lowering_.scalars.dtype_of(id) != dtype) continue;
      const int level = level_of(id);
      if (level >= output.level || !costs_function(id)) continue;
      const bool computed = std::any_of(reductions_.begin(), reductions_.end(), [&](const Reduction& r) {
        const std::vector<ScalarId> below = lowering_.scalars.reachable(std::span(&r.body, 1));
        return r.level == level && std::binary_search(below.begin(), below.end(), id);
      });
      if (!computed) continue;
      output.kept = id;  // ids ascend: the last one contains the others
      output.kept_level = level;
    }
  }

  bool costs_function(ScalarId id) const {
    for (const ScalarId below : lowering_.scalars.reachable(std::span(&id, 1)))
      if (is_function(lowering_.scalars.node(below).op)) return true;
    return false;
  }

  // ---- loops

  using At = std::vector<std::pair<const Axis*, Dim>>;

  void loops(const std::vector<const Axis*>& axes, std::size_t depth, bool parallel, const std::function<void()>& body) {
    if (depth == axes.size()) return body();
    b_.for_loop(axes[depth]->name, 0, axes[depth]->extent, 1, parallel ? LoopKind::parallel : LoopKind::serial, [&](const Dim& i) {
      at_.emplace_back(axes[depth], i);
      loops(axes, depth + 1, false, body);
      at_.pop_back();
    });
  }

  /// Outer form: strips of the vector axis, each with `columns_` and `mask_` set. Inner form and scalars: the body alone.
  void rows(bool parallel, const std::function<void()>& body) {
    if (inner_ || vector_ == nullptr) return body();
    auto strip = [&](const Dim& i, int columns, bool masked) {
      at_.emplace_back(vector_, i + Dim::symbol(ir::tile_vector));
      columns_ = columns;
      mask_ = masked ? ir::Mask(mask_below(b_, i, vector_->extent, columns, lanes_)) : ir::Mask{};
      body();
      at_.pop_back();
      columns_ = 1;
      mask_.reset();
    };
    const Dim extent = vector_->extent;
    int columns = std::max(1, inner_columns / lowering_.registers_per_vector());
    if (extent.is_constant()) columns = static_cast<int>(std::clamp<std::int64_t>(extent.constant() / lanes_, 1, columns));
    const Dim step = columns * lanes_, whole = floordiv(extent, step) * step;
    const LoopKind kind = parallel ? LoopKind::parallel : LoopKind::serial;
    if (!whole.is_constant(0)) b_.for_loop(vector_->name, 0, whole, step, kind, [&](const Dim& i) { strip(i, columns, false); });
    const bool cut = !(extent.is_constant() && extent.constant() % lanes_ == 0);
    if (!(whole == extent)) b_.for_loop(vector_->name, whole, extent, lanes_, LoopKind::serial, [&](const Dim& i) { strip(i, 1, cut); });
  }

  Expressions block() {
    Tile tile;
    tile.at = at_;
    tile.cols = columns_;
    tile.lanes = vector_ != nullptr ? lanes_ : 1;
    tile.mask = mask_;
    Expressions expressions(lowering_, std::move(tile));
    for (const auto& [leaf, reg] : reduced_) expressions.bind(leaf, reg);
    return expressions;
  }

  RegisterType accumulator_type(const Reduction& reduction, int columns) const {
    const bool vector = vector_ != nullptr;
    return {reduction.accumulator, 1, static_cast<std::int16_t>(vector ? columns : 1), static_cast<std::int16_t>(vector ? lanes_ : 1)};
  }

  RegisterId combine(const Reduction& reduction, RegisterId a, RegisterId b) { return b_.binary(reduction.combiner, a, b); }

  // ---- one row, or one strip of rows

  void passes() {
    reduced_.clear();
    for (int level = 0; level <= levels_; ++level) pass(level);
    Expressions expressions = block();
    for (const Output& output : outputs_)
      if (!output.full) expressions.value(output.store.value);
    for (const Output& output : outputs_)
      if (!output.full) expressions.store(output.store);
    reduced_.clear();
  }

  void pass(int level) {
    std::vector<Reduction*> folded;
    for (Reduction& reduction : reductions_)
      if (reduction.level == level) folded.push_back(&reduction);
    std::vector<const Output*> stored;
    for (const Output& output : outputs_)
      if (output.full && output.level == level) stored.push_back(&output);
    if (folded.empty() && stored.empty()) return;
    const Registers results = fold(folded, stored, {}, {}, level);
    for (std::size_t i = 0; i < folded.size(); ++i)
      reduced_.emplace_back(folded[i]->leaf, b_.convert(results[i], graph_.type(folded[i]->value).dtype));
  }

  /// Folds over all reduced axes (the chunked one from `begin` to `end`, if given) and stores the outputs on the way. One register per
  /// reduction: a scalar in inner form, else a vector of rows.
  Registers fold(const std::vector<Reduction*>& folded, const std::vector<const Output*>& stored, std::optional<Dim> begin,
                 std::optional<Dim> end, int level = 0) {
    auto range = [&](const Axis* axis) { return axis == chunked_ && begin ? std::pair(*begin, *end) : std::pair(Dim(0), axis->extent); };
    // Inner form carries the strips' accumulators, then those of the remainders.
    bool strips = true, remainders = inner_;
    if (inner_) {
      const auto [from, to] = range(vector_);
      const Dim length = to - from;
      if (length.is_constant()) {
        strips = length.constant() >= inner_columns * lanes_;
        remainders = length.constant() % (inner_columns * lanes_) != 0;
      }
    }
    Registers carried;
    if (strips)
      for (const Reduction* r : folded)
        carried.push_back(b_.constant(accumulator_type(*r, inner_ ? inner_columns : columns_), r->identity));
    if (remainders)
      for (const Reduction* r : folded) carried.push_back(b_.constant(accumulator_type(*r, 1), r->identity));

    auto element = [&](std::span<const RegisterId> accumulators) {
      Expressions expressions = block();
      for (const Output* output : stored)
        if (output->kept) expressions.bind(*output->kept, read_back(*output, expressions));
      Registers next;
      for (std::size_t i = 0; i < folded.size(); ++i) {
        const RegisterId value = b_.convert(expressions.value(folded[i]->body), folded[i]->accumulator);
        RegisterId sum = combine(*folded[i], accumulators[i], value);
        if (inner_ && mask_) sum = b_.select(*mask_, sum, accumulators[i]);
        next.push_back(sum);
      }
      for (const Output& output : outputs_) {
        if (!output.kept || output.kept_level != level) continue;
        Store part = output.store;
        part.value = *output.kept;
        expressions.store(part);
      }
      for (const Output* output : stored) expressions.value(output->store.value);
      for (const Output* output : stored) expressions.store(output->store);
      return next;
    };
    auto innermost = [&](Registers registers) -> Registers {
      if (!inner_) return element(registers);
      const auto [from, to] = range(vector_);
      const Dim step = inner_columns * lanes_, whole = floordiv(to - from, step) * step;
      const Dim middle = whole.is_constant() ? from + whole : lowering_.named("middle", from + whole);
      const std::size_t n = folded.size();
      Registers wide(registers.begin(), registers.begin() + static_cast<std::ptrdiff_t>(strips ? n : 0));
      Registers narrow(registers.end() - static_cast<std::ptrdiff_t>(remainders ? n : 0), registers.end());
      auto walk = [&](const Dim& a, const Dim& z, int columns, bool masked, Registers initial) {
        return b_.for_loop(vector_->name, a, z, columns * lanes_, LoopKind::serial, initial,
                           [&](const Dim& i, std::span<const RegisterId> registers) {
                             at_.emplace_back(vector_, i + Dim::symbol(ir::tile_vector));
                             columns_ = columns;
                             if (masked) mask_ = mask_below(b_, i, z, 1, lanes_);
                             Registers next = element(registers);
                             at_.pop_back();
                             columns_ = 1;
                             mask_.reset();
                             return next;
                           });
      };
      const Dim length = to - from;
      if (strips) wide = walk(from, middle, inner_columns, false, std::move(wide));
      if (remainders) narrow = walk(middle, to, 1, !(length.is_constant() && length.constant() % lanes_ == 0), std::move(narrow));
      wide.insert(wide.end(), narrow.begin(), narrow.end());
      return wide;
    };
    std::function<Registers(std::size_t, Registers)> nest = [&](std::size_t depth, Registers registers) -> Registers {
      if (depth == reduced_axes_.size()) return innermost(std::move(registers));
      const Axis* axis = reduced_axes_[depth];
      const auto [from, to] = range(axis);
      return b_.for_loop(axis->name, from, to, 1, LoopKind::serial, registers, [&](const Dim& i, std::span<const RegisterId> inner) {
        at_.emplace_back(axis, i);
        Registers next = nest(depth + 1, Registers(inner.begin(), inner.end()));
        at_.pop_back();
        return next;
      });
    };
    carried = nest(0, std::move(carried));
    if (!inner_) return carried;

    Registers results;
    const std::size_t n = folded.size();
    for (std::size_t i = 0; i < n; ++i) {
      const Reduction& r = *folded[i];
      std::optional<RegisterId> sum;
      if (strips) sum = b_.reduce(carried[i], r.combiner, ir::Axis::cols);
      if (remainders) {
        const RegisterId rest = carried[carried.size() - n + i];
        sum = sum ? combine(r, *sum, rest) : rest;
      }
      if (!sum) sum = b_.constant(accumulator_type(r, 1), r.identity);  // statically empty rows
      results.push_back(b_.reduce(*sum, r.combiner, ir::Axis::lanes));
    }
    return results;
  }

  RegisterId read_back(const Output& output, const Expressions& expressions) {
    const Dims index = expressions.place(output.store.index);
    const RegisterType type = expressions.type_at(lowering_.scalars.dtype_of(*output.kept), index);
    return b_.load(lowering_.output_buffer(output.store.output), index, type, type.cols * type.lanes > 1 ? mask_ : ir::Mask{});
  }

  // ---- two stages

  void first_stage() {
    const Dim chunks = ceildiv(chunked_->extent, chunk_);
    std::vector<Reduction*> folded;
    for (Reduction& reduction : reductions_) {
      Dims extents{chunks};
      if (!inner_ && vector_ != nullptr) extents.push_back(vector_->extent);
      reduction.partial = b_.buffer("partial", reduction.accumulator, extents, ir::Buffer::Role::scratch, {}, 64);
      folded.push_back(&reduction);
    }
    std::vector<const Output*> stored;
    for (const Output& output : outputs_)
      if (output.full) stored.push_back(&output);
    b_.for_loop("chunk", 0, chunks, 1, LoopKind::parallel, [&](const Dim& chunk) {
      const Dim begin = chunk * chunk_, end = lowering_.named("end", min(begin + chunk_, chunked_->extent));
      rows(false, [&] {
        const Registers results = fold(folded, stored, begin, end);
        for (std::size_t i = 0; i < folded.size(); ++i)
          b_.store(folded[i]->partial, partial_index(chunk), results[i], partial_type(*folded[i]), mask_);
      });
    });
  }

  void second_stage() {
    rows(false, [&] {
      Registers initial;
      for (const Reduction& r : reductions_) initial.push_back(b_.constant(partial_type(r), r.identity));
      const Registers results = b_.for_loop("chunk", 0, ceildiv(chunked_->extent, chunk_), 1, LoopKind::serial, initial,
                                            [&](const Dim& chunk, std::span<const RegisterId> sums) {
                                              Registers next;
                                              for (std::size_t i = 0; i < reductions_.size(); ++i) {
                                                const RegisterId part = b_.load(reductions_[i].partial, partial_index(chunk),
                                                                                partial_type(reductions_[i]), mask_);
                                                next.push_back(combine(reductions_[i], sums[i], part));
                                              }
                                              return next;
                                            });
      for (std::size_t i = 0; i < reductions_.size(); ++i)
        reduced_.emplace_back(reductions_[i].leaf, b_.convert(results[i], graph_.type(reductions_[i].value).dtype));
      Expressions expressions = block();
      for (const Output& output : outputs_)
        if (!output.full) expressions.value(output.store.value);
      for (const Output& output : outputs_)
        if (!output.full) expressions.store(output.store);
      reduced_.clear();
    });
  }

  Dims partial_index(const Dim& chunk) const {
    if (inner_ || vector_ == nullptr) return {chunk};
    return {chunk, at_.back().second};
  }

  RegisterType partial_type(const Reduction& reduction) const {
    return inner_ ? RegisterType{reduction.accumulator} : accumulator_type(reduction, columns_);
  }

  Lowering& lowering_;
  ir::KernelBuilder& b_;
  const ir::Graph& graph_;

  Dims full_dims_, row_index_, full_index_;
  std::vector<bool> reduced_dims_;
  std::vector<Axis> axes_;  // in the order of the full shape; group 1: reduced
  std::vector<Reduction> reductions_;
  std::vector<Output> outputs_;
  int levels_ = 0;

  const Axis* vector_ = nullptr;
  bool inner_ = false;  // the vector axis is reduced
  int lanes_ = 1;
  std::vector<const Axis*> row_axes_, reduced_axes_;  // without the vector axis
  const Axis* chunked_ = nullptr;                     // the outermost reduced axis
  Dim chunk_;
  bool two_stages_ = false, parallel_ = false;

  // Where emission stands.
  At at_;
  int columns_ = 1;
  ir::Mask mask_;
  std::vector<std::pair<ScalarId, RegisterId>> reduced_;  // results of reductions in scope
};

}  // namespace

ir::Kernel schedule_rows(Lowering& lowering) { return Rows(lowering).run(); }

}  // namespace kiln::passes

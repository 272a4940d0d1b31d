// Sort kernels: the order along one dim, as positions.
//
// Keys are unsigned integers (ir::Ordering), so nothing has to be compared and no branch depends on the data. A row is what stands along
// the sorted dim; rows are sorted in parallel. Two ways, by the length n of a row:
//
//   counting      n <= 48. The place of an element is the number of elements that come before it: those with a lesser key, and those with
//                 an equal one further in front. n * n comparisons of keys that lie in L1.
//   radix sort    least significant digit first, in digits of 8 bits. A pass distributes (key, position) over 256 buckets; since it keeps
//                 the order within a bucket, after the pass of the highest digit all digits have been taken into account. One sweep
//                 computes the keys, which is also where a fused prologue and the stride of the dim are paid for, and counts the digits of
//                 all passes; then a pass needs one sweep more. n * (1 + digits) steps, whatever the data.
//
// Several keys: the passes of the last one first. The keys of each are gathered in the order that the passes before have left.
//
// Passes write to and fro between two arrays of positions; the number of passes decides which comes first, so that the last one writes the
// result. Along the innermost dim the result is one of the two.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "passes/lowering.h"

namespace kiln::passes {

using ir::BufferId;
using ir::Comparison;
using ir::Dim;
using ir::Dims;
using ir::LoopKind;
using ir::LoopOp;
using ir::RegisterId;
using ir::RegisterType;

namespace {

/// Rows up to this long are sorted by counting. Measured on rows of f32: counting takes 2.7 us for 32 elements and grows with the square, a
/// radix sort 8 us for 64, most of it for its buckets; they meet near 50.
constexpr std::int64_t longest_counted = 48;
constexpr int digit_bits = 8;
constexpr std::int64_t buckets = 1 << digit_bits;
constexpr RegisterType i64{DType::i64};

class Sort {
 public:
  explicit Sort(Lowering& lowering) : lowering_(lowering), b_(lowering.builder), graph_(lowering.graph) {}

  ir::Kernel run() {
    find();
    lowering_.declare_buffers();
    const Dim& n = along_->extent;
    const ir::Interval length = ir::bounds(n);
    const bool counted = length.min <= longest_counted, distributed = length.max > longest_counted;
    declare_scratch(distributed);
    std::int64_t digits = 0;
    for (const ir::Ordering::Key& key : keys_) digits += digits_of(key);
    b_.work(typical(ir::product(graph_.type(value_).dims)) * 8 * (digits + 1));
    rows(0, [&] {
      if (counted && distributed)
        b_.if_else(
            b_.compare(Comparison::le, b_.index(n), b_.index(longest_counted)),
            [&] {
              count_row();
              return ir::KernelBuilder::Registers{};
            },
            [&] {
              distribute_row();
              return ir::KernelBuilder::Registers{};
            });
      else if (counted)
        count_row();
      else
        distribute_row();
    });
    return b_.finish();
  }

 private:
  [[noreturn]] void unfit(const std::string& why) const {
    throw InternalError(fmt::format("lowering: sort kernel @{}: {}", graph_.name, why));
  }

  void find() {
    ir::NodeId found = ir::none;
    for (ir::NodeId id = 0; id < graph_.node_count(); ++id) {
      if (ir::info(graph_.node(id).op).ordering == nullptr) continue;
      if (found != ir::none) unfit("more than one ordering");
      found = id;
    }
    const ir::Node& node = graph_.node(found);
    value_ = node.first_result;
    for (const ir::ValueId result : graph_.results)
      if (result != value_) unfit("a result is not the order itself");
    std::vector<ir::Type> operands;
    for (const ir::ValueId operand : node.operands) operands.push_back(graph_.type(operand));
    const ir::Ordering ordering = ir::info(node.op).ordering(node, operands, graph_.type(value_));
    axes_ = lowering_.axes_of(graph_.type(value_).dims);
    Dims index;
    for (const Axis& axis : axes_) index.push_back(axis.symbol);
    keys_ = lowering_.scalars.keys(found, ordering, index);
    for (std::size_t d = 0; d < axes_.size(); ++d)
      if (d != ordering.axis) outer_.push_back(&axes_[d]);
    along_ = &axes_[ordering.axis];
  }

  DType dtype_of(const ir::Ordering::Key& key) const { return lowering_.scalars.dtype_of(key.bits); }
  int bits_of(const ir::Ordering::Key& key) const { return static_cast<int>(8 * size_of(dtype_of(key))); }
  int digits_of(const ir::Ordering::Key& key) const { return (bits_of(key) - key.unused_bits + digit_bits - 1) / digit_bits; }

  /// Scratch has a row for each row of the result, as rows are sorted in parallel.
  void declare_scratch(bool distributed) {
    Dims rows;
    for (const Axis* axis : outer_) rows.push_back(axis->extent);
    const auto scratch = [&](const std::string& name, DType dtype, Dims more) {
      Dims extents = rows;
      extents.insert(extents.end(), more.begin(), more.end());
      return b_.buffer(name, dtype, std::move(extents), ir::Buffer::Role::scratch, {}, 64);
    };
    const Dim& n = along_->extent;
    for (std::size_t k = 0; k < keys_.size(); ++k) row_keys_.push_back(scratch(fmt::format("key{}", k), dtype_of(keys_[k]), {n}));
    if (!distributed) return;
    int most_digits = 0, passes = 0;
    for (const ir::Ordering::Key& key : keys_) {
      most_digits = std::max(most_digits, digits_of(key));
      passes += digits_of(key);
      const DType dtype = dtype_of(key);
      if (digits_of(key) > 1 && !moved_keys_.contains(dtype))
        moved_keys_[dtype] = scratch(fmt::format("moved_{}", name_of(dtype)), dtype, {n});
    }
    counts_ = scratch("counts", DType::i64, {most_digits, buckets});
    result_is_row_ = along_ == &axes_.back();
    if (passes > 1) order_[1] = scratch("order", DType::i64, {n});
    if (passes > 2 && !result_is_row_) order_[0] = scratch("order_2", DType::i64, {n});
    passes_ = passes;
  }

  /// Loops over the rows.
  void rows(std::size_t depth, const std::function<void()>& body) {
    if (depth == outer_.size()) return body();
    const LoopKind kind = depth == 0 ? LoopKind::parallel : LoopKind::serial;
    b_.for_loop(outer_[depth]->name, 0, outer_[depth]->extent, 1, kind, [&](const Dim& i) {
      at_.emplace_back(outer_[depth], i);
      rows(depth + 1, body);
      at_.pop_back();
    });
  }

  /// The index of element i of the current row in a scratch buffer, and in the result.
  Dims in_row(std::initializer_list<Dim> more) const {
    Dims index;
    for (const auto& [axis, i] : at_) index.push_back(i);
    index.insert(index.end(), more.begin(), more.end());
    return index;
  }
  Dims in_result(const Dim& i) const {
    Dims index;
    std::size_t next = 0;
    for (const Axis& axis : axes_) index.push_back(&axis == along_ ? i : at_[next++].second);
    return index;
  }

  void for_row(const std::function<void(const Dim&)>& body) { b_.for_loop(along_->name, 0, along_->extent, 1, LoopKind::serial, body); }

  RegisterId key_at(const ir::Ordering::Key& key, const Dim& i) {
    Tile tile;
    tile.at = at_;
    tile.at.emplace_back(along_, i);
    return Expressions(lowering_, std::move(tile)).value(key.bits);
  }

  Dim position(const char* name, RegisterId integer) { return b_.let(name, integer, 0, ir::bounds(along_->extent - 1).max); }

  // ---- short rows

  void count_row() {
    for_row([&](const Dim& i) {
      for (std::size_t k = 0; k < keys_.size(); ++k) b_.store(row_keys_[k], in_row({i}), key_at(keys_[k], i), {dtype_of(keys_[k])});
    });
    for_row([&](const Dim& i) {
      std::vector<RegisterId> own;
      for (std::size_t k = 0; k < keys_.size(); ++k) own.push_back(b_.load(row_keys_[k], in_row({i}), {dtype_of(keys_[k])}));
      const RegisterId one = b_.constant(i64, 1), zero = b_.constant(i64, 0);
      const auto place = b_.for_loop("other", 0, along_->extent, 1, LoopKind::serial, {zero},
                                     [&](const Dim& j, std::span<const RegisterId> carried) -> ir::KernelBuilder::Registers {
                                       // From the last key to the first: before, or equal and the later ones decide.
                                       RegisterId before = b_.compare(Comparison::lt, b_.index(j), b_.index(i));
                                       for (std::size_t k = keys_.size(); k-- > 0;) {
                                         const RegisterId other = b_.load(row_keys_[k], in_row({j}), {dtype_of(keys_[k])});
                                         const RegisterId equal = b_.compare(Comparison::eq, other, own[k]);
                                         before = b_.binary(LoopOp::or_, b_.compare(Comparison::lt, other, own[k]),
                                                            b_.binary(LoopOp::and_, equal, before));
                                       }
                                       return {b_.binary(LoopOp::add, carried[0], b_.select(before, one, zero))};
                                     });
      b_.store(lowering_.output_buffer(0), in_result(position("place", place[0])), b_.index(i), i64);
    });
  }

  // ---- long rows

  /// The digit of a key as an index.
  Dim digit(RegisterId key, int shift) {
    const DType dtype = b_.type(key).dtype;
    if (shift > 0) key = b_.binary(LoopOp::shift_right_logical, key, b_.constant({dtype}, shift));
    if (size_of(dtype) > 1) key = b_.binary(LoopOp::and_, key, b_.constant({dtype}, buckets - 1));
    return b_.let("digit", b_.convert(key, DType::i64), 0, buckets - 1);
  }

  /// counts[pass, digit] + 1, and what it was.
  RegisterId count(int pass, const Dim& digit) {
    const Dims cell = in_row({pass, digit});
    const RegisterId before = b_.load(counts_, cell, i64);
    b_.store(counts_, cell, b_.binary(LoopOp::add, before, b_.constant(i64, 1)), i64);
    return before;
  }

  /// Where pass number `pass` of all leaves the positions: in the result, or one of the arrays beside it.
  bool in_the_result(int pass) const { return pass + 1 == passes_ || (result_is_row_ && (passes_ - 1 - pass) % 2 == 0); }
  RegisterId load_position(int pass, const Dim& i) {
    if (in_the_result(pass)) return b_.load(lowering_.output_buffer(0), in_result(i), i64);
    return b_.load(order_[(passes_ - 1 - pass) % 2], in_row({i}), i64);
  }
  void store_position(int pass, const Dim& i, RegisterId value) {
    if (in_the_result(pass)) return b_.store(lowering_.output_buffer(0), in_result(i), value, i64);
    b_.store(order_[(passes_ - 1 - pass) % 2], in_row({i}), value, i64);
  }

  void distribute_row() {
    int pass = 0;
    for (std::size_t k = keys_.size(); k-- > 0;) {
      gather_keys(k, pass);
      for (int d = 0; d < digits_of(keys_[k]); ++d) distribute(k, d, pass++);
    }
  }

  /// The keys in the present order, and the counts of their digits.
  void gather_keys(std::size_t k, int pass) {
    const ir::Ordering::Key& key = keys_[k];
    const int digits = digits_of(key);
    b_.for_loop("bucket", 0, buckets, 1, LoopKind::serial, [&](const Dim& c) {
      for (int d = 0; d < digits; ++d) b_.store(counts_, in_row({d, c}), b_.constant(i64, 0), i64);
    });
    for_row([&](const Dim& i) {
      const RegisterId value = key_at(key, pass == 0 ? i : position("from", load_position(pass - 1, i)));
      b_.store(row_keys_[k], in_row({i}), value, {dtype_of(key)});
      for (int d = 0; d < digits; ++d) count(d, digit(value, key.unused_bits + d * digit_bits));
    });
    // A bucket begins where those before it end.
    const RegisterId zero = b_.constant(i64, 0);
    b_.for_loop("bucket", 0, buckets, 1, LoopKind::serial, ir::KernelBuilder::Registers(static_cast<std::size_t>(digits), zero),
                [&](const Dim& c, std::span<const RegisterId> begins) {
                  ir::KernelBuilder::Registers next;
                  for (int d = 0; d < digits; ++d) {
                    const Dims cell = in_row({d, c});
                    const RegisterId size = b_.load(counts_, cell, i64);
                    b_.store(counts_, cell, begins[static_cast<std::size_t>(d)], i64);
                    next.push_back(b_.binary(LoopOp::add, begins[static_cast<std::size_t>(d)], size));
                  }
                  return next;
                });
  }

  void distribute(std::size_t k, int d, int pass) {
    const ir::Ordering::Key& key = keys_[k];
    const RegisterType type{dtype_of(key)};
    const auto other = moved_keys_.find(type.dtype);
    const BufferId from = d % 2 == 0 ? row_keys_[k] : other->second, to = d % 2 != 0                   ? row_keys_[k]
                                                                          : other == moved_keys_.end() ? 0
                                                                                                       : other->second;
    for_row([&](const Dim& i) {
      const RegisterId value = b_.load(from, in_row({i}), type);
      const RegisterId source = pass == 0 ? b_.index(i) : load_position(pass - 1, i);
      const Dim place = position("place", count(d, digit(value, key.unused_bits + d * digit_bits)));
      store_position(pass, place, source);
      if (d + 1 < digits_of(key)) b_.store(to, in_row({place}), value, type);
    });
  }

  Lowering& lowering_;
  ir::KernelBuilder& b_;
  const ir::Graph& graph_;
  ir::ValueId value_ = ir::none;
  std::vector<Axis> axes_;
  std::vector<const Axis*> outer_;
  const Axis* along_ = nullptr;
  std::vector<ir::Ordering::Key> keys_;
  std::vector<std::pair<const Axis*, Dim>> at_;  // the row
  std::vector<BufferId> row_keys_;               // of each key
  std::map<DType, BufferId> moved_keys_;         // where a pass moves keys of a dtype to
  BufferId counts_ = 0, order_[2] = {0, 0};
  int passes_ = 0;
  bool result_is_row_ = false;
};

}  // namespace

ir::Kernel schedule_sort(Lowering& lowering) { return Sort(lowering).run(); }

}  // namespace kiln::passes

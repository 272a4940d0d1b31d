// Indexing by computed integers: reading and writing elements at places that the data say, and tensor[...] with slices.
//
// Indices are integer tensors of any integer dtype, or numbers. What happens to an index outside 0 .. n - 1 depends on the function: those
// that read take an IndexMode; those that write skip such updates. Functions with ONNX's and NumPy's names that say so count negative
// indices from the back first. Gradients flow through values, never through indices; where an index repeats, gradients add up in a fixed
// order, so results have the same bits with any number of threads.
#pragma once

#include <optional>
#include <variant>

#include "kiln/operators.h"

namespace kiln {

/// What becomes of an index outside 0 .. n - 1.
enum class IndexMode : std::uint8_t {
  clamp,  ///< the nearest end
  wrap,   ///< modulo n, so that -1 is the last
  fill,   ///< the element reads as 0
  check,  ///< the run fails: Error(check_failed) with the user's line. The check is tied to the result: it runs when the result is needed
};

/// How a written value meets what is there. Where indices repeat, values are taken in row-major order.
enum class Combine : std::uint8_t { replace, add, multiply, minimum, maximum };

// ---- Reading ------------------------------------------------------------------------------------------------------

/// Slices of `table` along `axis` at integer indices: numpy.take. The indices' dims take the place of the axis.
///   take(embedding, tokens)   // [words, width], [batch, time] -> [batch, time, width]
Tensor take(const Operand& table, const Operand& indices, std::int64_t axis = 0, IndexMode mode = IndexMode::clamp);
/// torch.index_select: take() along an axis.
Tensor index_select(const Operand& x, std::int64_t axis, const Operand& indices, IndexMode mode = IndexMode::clamp);
/// result[i, j] = x[i, indices[i, j]] for axis 1: numpy.take_along_axis. Other axes are broadcast together; negative indices count from the
/// back.
///   take_along_axis(x, argsort(x), -1)   // sorted
Tensor take_along_axis(const Operand& x, const Operand& indices, std::int64_t axis, IndexMode mode = IndexMode::clamp);
/// ONNX GatherElements, torch.gather: as take_along_axis, but the other axes of `indices` may be shorter than x's: then x's first elements
/// count.
Tensor gather_elements(const Operand& x, const Operand& indices, std::int64_t axis = 0, IndexMode mode = IndexMode::clamp);
/// Slices at index vectors: the last axis of `indices` ([b..., i..., k]) holds indices of the k axes of x ([b..., n1 ... nk, rest...]) that
/// follow `batch_dims` shared ones. Result [b..., i..., rest...]. tf.gather_nd, ONNX GatherND; negative indices count from the back.
Tensor gather_nd(const Operand& x, const Operand& indices, std::int64_t batch_dims = 0, IndexMode mode = IndexMode::clamp);
/// Rows of a table at ids, whose gradient does not reach the row `padding_idx`: torch.nn.functional.embedding. Ids outside fail the run.
Tensor embedding(const Operand& table, const Operand& ids, std::optional<std::int64_t> padding_idx = {});
/// The sum, mean or maximum of each bag of rows, without storing the rows: table [words, width], ids [bags, size] -> [bags, width].
/// torch.nn.functional.embedding_bag; `padding_idx` does not count.
enum class BagMode : std::uint8_t { sum, mean, maximum };
Tensor embedding_bag(const Operand& table, const Operand& ids, BagMode mode = BagMode::mean, std::optional<std::int64_t> padding_idx = {});
/// 1 where the index along a new axis equals the integer, else 0: [...] -> [..., depth].
Tensor one_hot(const Operand& indices, const Dim& depth, DType dtype = f32);
/// The same with other values and a place for the new axis, negative ones from the back: ONNX OneHot (negative indices count from the
/// back).
Tensor one_hot(const Operand& indices, const Dim& depth, std::int64_t axis, const Operand& on, const Operand& off);

// ---- Writing ------------------------------------------------------------------------------------------------------

/// x with updates[i, j] written at [i, indices[i, j]] for axis 1: numpy.put_along_axis as a function. `updates` is broadcast to the
/// indices; the other axes of both are x's. Negative indices count from the back; indices outside are skipped.
Tensor put_along_axis(const Operand& x, const Operand& indices, const Operand& updates, std::int64_t axis,
                      Combine combine = Combine::replace);
/// ONNX ScatterElements, torch.scatter and scatter_reduce: as put_along_axis, but the other axes of `indices` may be shorter than x's.
Tensor scatter_elements(const Operand& x, const Operand& indices, const Operand& updates, std::int64_t axis = 0,
                        Combine combine = Combine::replace);
/// x with slices written at index vectors: the inverse of gather_nd without batch dims. indices [i..., k], updates [i..., rest...].
/// tf.tensor_scatter_nd_update, ONNX ScatterND.
Tensor scatter_nd(const Operand& x, const Operand& indices, const Operand& updates, Combine combine = Combine::replace);
/// x with slices of `updates` added along an axis at integer indices [n]: torch.index_add. Indices outside are skipped.
///   assign(table, index_add(table, 0, ids, -0.1 * grad))   // changes the rows where they are
Tensor index_add(const Operand& x, std::int64_t axis, const Operand& indices, const Operand& updates);
/// x with slices replaced along an axis: torch.index_copy.
Tensor index_copy(const Operand& x, std::int64_t axis, const Operand& indices, const Operand& updates);
/// x[indices[0], indices[1], ...] = values (or += values): torch.index_put. The indices are broadcast together and index the first axes.
Tensor index_put(const Operand& x, std::initializer_list<Operand> indices, const Operand& values, bool accumulate = false);

/// Folds slices of x ([n, ...]) that have one id ([n], 0 .. num_segments - 1) into one: [num_segments, ...]. Ids need not be sorted; those
/// outside are skipped. A segment without slices is 0 (sum), NaN (mean), 1 (product), -inf or inf (maximum, minimum; the least and greatest
/// integers). tf.math.unsorted_segment_sum and its kin.
Tensor segment_sum(const Operand& x, const Operand& ids, const Dim& num_segments);
Tensor segment_mean(const Operand& x, const Operand& ids, const Dim& num_segments);
Tensor segment_prod(const Operand& x, const Operand& ids, const Dim& num_segments);
Tensor segment_max(const Operand& x, const Operand& ids, const Dim& num_segments);
Tensor segment_min(const Operand& x, const Operand& ids, const Dim& num_segments);

// ---- Windows ------------------------------------------------------------------------------------------------------

/// The window of x of these sizes whose start is given by one integer scalar per axis, moved inside: XLA's DynamicSlice.
///   dynamic_slice(tokens, {step, 0}, {1, width})
Tensor dynamic_slice(const Operand& x, std::initializer_list<Operand> starts, const Dims& sizes);
/// x with `update` written into the window at that start. In a loop that carries x this changes nothing but the window's memory.
Tensor dynamic_update_slice(const Operand& x, const Operand& update, std::initializer_list<Operand> starts);

// ---- tensor[...] --------------------------------------------------------------------------------------------------

/// Elements start, start + step ... before stop, as in Python: negative numbers count from the back, what lies outside is cut off, a
/// negative step walks backwards.
struct Slice {
  std::optional<Dim> start = {}, stop = {};
  std::int64_t step = 1;
};
struct Ellipsis {};
struct NewAxis {};
inline constexpr Ellipsis ellipsis{};  ///< as many whole axes as are left
inline constexpr NewAxis new_axis{};   ///< an axis of extent 1

/// One entry of index().
class Index {
 public:
  template <std::integral T>
  Index(T at) : entry_(Dim(at)) {}
  Index(const Dim& at) : entry_(at) {}               ///< one element; the axis goes away
  Index(const Slice& slice) : entry_(slice) {}       ///< a range
  Index(const Tensor& indices) : entry_(indices) {}  ///< integers; their dims take the place of the axis (a scalar's: none)
  Index(Ellipsis) : entry_(ellipsis) {}
  Index(NewAxis) : entry_(new_axis) {}

  const std::variant<Dim, Slice, Tensor, Ellipsis, NewAxis>& entry() const { return entry_; }

 private:
  std::variant<Dim, Slice, Tensor, Ellipsis, NewAxis> entry_;
};

/// x[...] as NumPy writes it; axes without an entry stay whole. Numbers must lie inside; index tensors are clamped, negative ones count
/// from the back.
///   index(x, {0, ellipsis, Slice{.step = -1}})   // x[0, ..., ::-1]
///   index(x, {Slice{1, -1}, new_axis, token})    // x[1:-1, None, token]
Tensor index(const Operand& x, std::initializer_list<Index> indices);

}  // namespace kiln

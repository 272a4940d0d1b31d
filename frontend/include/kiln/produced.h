// Tensors whose size depends on values: where something holds, distinct elements, computed ranges.
//
// The extent that a run finds out is a new symbol of the graph, with an upper bound that is known before the run: memory is planned for the
// bound, kernels work on as many elements as there are, and what is fetched has the actual shape. Tensors that come out of one call share
// their symbol, so they fit together; y.dim(0) is the symbol, for use in other functions. It cannot be fed, and a loop or branch cannot
// return a tensor that has an extent which its body produces.
//
//   Tensor rows = boolean_mask(x, greater(x_norm, 1));        // x: [batch, 10] -> [mask, 10]
//   Tensor mean = reduce_sum(rows, 0) / convert(graph.size(rows.dim(0)), f32);
#pragma once

#include "kiln/operators.h"

namespace kiln {

struct ProducedOptions {
  std::string name = {};             ///< of the extent; "": the function's name. A number is appended where it is taken.
  std::optional<Dim> max_size = {};  ///< the bound, where it is known to be less than all there can be; what comes after is dropped
};

/// How positions in several axes are laid out.
enum class PositionLayout : std::uint8_t {
  rows,     ///< [count, rank]: PyTorch, TensorFlow's where
  columns,  ///< [rank, count]: ONNX
};

/// Positions (i64) of the elements that are not 0, or are true, in row-major order: torch.nonzero.
///   nonzero(x)         // {{0, 7}, {1, 0}} -> {{0, 1}, {1, 0}}
Tensor nonzero(const Operand& x, PositionLayout layout = PositionLayout::rows, const ProducedOptions& options = {});
/// Positions in the elements as one vector: numpy.flatnonzero.
Tensor flatnonzero(const Operand& x, const ProducedOptions& options = {});
/// The parts of x for which the mask is true, in order: the mask's dims are x's from `axis` on, and become one axis. The gradient goes back
/// to where the parts came from.
///   boolean_mask(x, greater(x, 1))   // {1, 2, 3} -> {2, 3}
Tensor boolean_mask(const Operand& x, const Tensor& mask, std::int64_t axis = 0, const ProducedOptions& options = {});
/// boolean_mask along one axis, or, without one, of the elements as one vector: numpy.compress, ONNX Compress.
Tensor compress(const Tensor& condition, const Operand& x, std::optional<std::int64_t> axis = {}, const ProducedOptions& options = {});

struct UniqueOptions {
  bool sorted = true;  ///< false: in the order in which they appear first
  std::string name = {};
  std::optional<Dim> max_size = {};
};
struct Unique {
  Tensor values;         ///< [unique], each once
  Tensor inverse;        ///< i64 of x's shape: which of the values each element is
  Tensor counts;         ///< i64[unique]: how often each occurs
  Tensor first_indices;  ///< i64[unique]: where each occurs first, in x as one vector
};
/// The distinct elements: numpy.unique. All NaN count as one, and so do 0 and -0. What is not used costs nothing.
///   unique(x).values   // {3, 1, 3} -> {1, 3}
Unique unique(const Operand& x, const UniqueOptions& options = {});
/// The distinct slices along an axis, in lexicographic order of their elements: numpy.unique(axis). Values keep x's dims but for the axis;
/// inverse, counts and first_indices are vectors over the axis.
///   unique(x, 0).values   // {{1, 0}, {1, 0}, {0, 5}} -> {{0, 5}, {1, 0}}
Unique unique(const Operand& x, std::int64_t axis, const UniqueOptions& options = {});

/// start, start + step ... below limit (above it, when step is negative), for scalars of one dtype that the run computes: numpy.arange. No
/// step is NaN; of a step of 0 nothing comes. `max_size` says how many there are at most.
///   range(start, limit, step, 100)
Tensor range(const Operand& start, const Operand& limit, const Operand& step, const Dim& max_size, const ProducedOptions& options = {});

/// Each part along the axis as often as the count at its place says (an integer vector; negative counts are 0): numpy.repeat. `max_size` is
/// the greatest sum of the counts; what goes beyond is dropped.
///   repeat(x, counts, 10)   // x {7, 8}, counts {1, 2} -> {7, 8, 8}
Tensor repeat(const Operand& x, const Tensor& counts, const Dim& max_size, std::int64_t axis = 0, const ProducedOptions& options = {});

struct NonMaxSuppressionOptions {
  std::int64_t max_output_per_class = 0;       ///< 0: no boxes, as in ONNX
  double iou_threshold = 0;                    ///< boxes that overlap a better one by more than this are dropped
  std::optional<double> score_threshold = {};  ///< boxes with a score of at most this are dropped
  bool center_point_box = false;               ///< boxes are {x_center, y_center, width, height}, not two corners {y1, x1, y2, x2}
  std::string name = {};
};
/// The boxes that remain when each suppresses worse ones that overlap it: ONNX NonMaxSuppression. boxes [batch, n, 4], scores [batch,
/// classes, n], both floating; the result is i64[selected, 3]: batch, class, box, by batch, class and falling score.
Tensor non_max_suppression(const Operand& boxes, const Operand& scores, const NonMaxSuppressionOptions& options);

}  // namespace kiln

// Order: sorting, selection by rank, search in sorted sequences, histograms.
//
// Everywhere: numbers of any dtype and bool (false < true) are ordered; all NaN are equal and greater than any number, so they come last
// (first when descending), as in NumPy and PyTorch; -0 equals 0. Sorts are stable: equals keep their order, also when descending. Negative
// axes count from the back. Values carry gradients to where they came from; positions are i64 and carry none.
#pragma once

#include "kiln/operators.h"

namespace kiln {

/// The elements along an axis in order: numpy.sort.
///   sort(x)            // {3, 1, 2} -> {1, 2, 3}
Tensor sort(const Operand& x, std::int64_t axis = -1, bool descending = false);
/// Where the elements of sort() come from: take_along_axis(x, argsort(x), axis) is sort(x).
///   argsort(x)         // {3, 1, 2} -> {1, 2, 0}
Tensor argsort(const Operand& x, std::int64_t axis = -1, bool descending = false);
/// The order along an axis by several keys of one shape, the last of which counts most: numpy.lexsort.
///   lexsort({first_name, surname})
Tensor lexsort(std::initializer_list<Tensor> keys, std::int64_t axis = -1, std::source_location location = std::source_location::current());
Tensor lexsort(std::span<const Tensor> keys, std::int64_t axis = -1, std::source_location location = std::source_location::current());

struct Sorted {
  Tensor keys, values;
};
/// Keys in order, and the values at their places; both have one shape.
Sorted sort_by_key(const Operand& keys, const Tensor& values, std::int64_t axis = -1, bool descending = false);

/// Elements and where they stood.
struct Selected {
  Tensor values;
  Tensor indices;  ///< i64
};
/// The k largest (or smallest) elements along an axis, the most extreme first, of equals the first: torch.topk, ONNX TopK. k is at most the
/// axis' extent, for all values of its symbols.
///   top_k(x, 2).values  // {3, 1, 2} -> {3, 2}
Selected top_k(const Operand& x, const Dim& k, std::int64_t axis = -1, bool largest = true);
/// The k-th smallest element along an axis, counted from 1: torch.kthvalue.
Selected kth_value(const Operand& x, std::int64_t k, std::int64_t axis = -1, bool keep_dims = false);
/// The most frequent element along an axis, of several the smallest, and the last position where it stands: torch.mode.
Selected mode(const Operand& x, std::int64_t axis = -1, bool keep_dims = false);

/// What lies at a fraction of the way between two elements.
enum class QuantileMethod : std::uint8_t { linear, lower, higher, midpoint, nearest };

/// The value below which the fraction q (0 to 1) of the elements along an axis lies: numpy.quantile. Of floating tensors; NaN when an
/// element is NaN or there is none. `nearest` rounds halves to even.
///   quantile(x, 0.5)   // {1, 2, 4, 8} -> 3
Tensor quantile(const Operand& x, double q, std::int64_t axis = -1, QuantileMethod method = QuantileMethod::linear, bool keep_dims = false);
/// quantile at q / 100.
Tensor percentile(const Operand& x, double q, std::int64_t axis = -1, QuantileMethod method = QuantileMethod::linear,
                  bool keep_dims = false);
/// quantile at 0.5: the middle element, or the mean of the two (numpy.median; torch.median takes the lower one).
Tensor median(const Operand& x, std::int64_t axis = -1, bool keep_dims = false);

/// Whether elements along the axis are in ascending order: bool, without the axis.
Tensor is_sorted(const Operand& x, std::int64_t axis = -1);

/// Which end of a run of equal elements is meant.
enum class Side : std::uint8_t { left, right };

/// Where each value would be inserted into a vector in ascending order, before (left) or after (right) what equals it: i64 of the values'
/// shape, 0 to n. numpy.searchsorted.
///   searchsorted(edges, x)  // edges {1, 3}, x {0, 1, 2, 5} -> {0, 0, 1, 2}
Tensor searchsorted(const Operand& sorted, const Operand& values, Side side = Side::left);
/// The same with the arguments in PyTorch's order: which bucket each element of x belongs to; `right` closes buckets on the left, as
/// numpy.digitize does.
Tensor bucketize(const Operand& x, const Operand& boundaries, bool right = false);

/// How often each of 0 .. size - 1 occurs in an integer tensor (i64), or the sum of the weights where it does (their dtype); other numbers
/// are left out.
///   bincount(x, 3)     // {0, 2, 2} -> {1, 0, 2}
Tensor bincount(const Operand& x, const Dim& size);
Tensor bincount(const Operand& x, const Dim& size, const Operand& weights);

struct Histogram {
  Tensor counts;  ///< i64[bins]
  Tensor edges;   ///< bins + 1 of them, in x's dtype
};
/// How many elements of a floating tensor lie in each of `bins` bins of equal width from low to high. Bins are closed on the left, the last
/// one on both sides; elements outside and NaN are left out: numpy.histogram with a range.
Histogram histogram(const Operand& x, std::int64_t bins, double low, double high);

}  // namespace kiln

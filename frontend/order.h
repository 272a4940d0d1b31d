// What sorting.cpp and produced.cpp share: the order of elements, reading and counting by computed positions, shrinking.
#pragma once

#include <string>
#include <vector>

#include "frontend/composite.h"
#include "kiln/indexing.h"

namespace kiln::detail {

/// Positions (i64) along an axis, in the order of several keys of one shape; the first key that differs decides. Stable.
Tensor order_of(const std::vector<Tensor>& keys, std::int64_t axis, bool descending);
/// Element (..., i, ...) is x[..., positions[..., i, ...], ...]: the dims differ along the axis alone.
Tensor take_along(const Tensor& x, const Tensor& positions, std::int64_t axis);
/// Of each element along the axis the one before it, and of the first one `first`.
Tensor previous_along(const Tensor& x, std::int64_t axis, const Tensor& first);
/// Whether a comes strictly before b: NaN is greater than any number.
Tensor comes_before(const Tensor& a, const Tensor& b);
/// sums[i] = the sum of the weights whose position is i; positions outside of 0 .. size - 1 are left out. Vectors.
Tensor sum_at(Composite& of, const Tensor& positions, const Tensor& weights, const Dim& size);
/// Number of elements of `sorted` (a vector in ascending order) that come before each of `values`, or that do not come after it.
Tensor places_in(Composite& of, const Tensor& sorted, const Tensor& values, bool right);

/// The first `count` (an i64 scalar) elements along dim 0; the extent is a new symbol called `name`, or name_1, name_2 ...
Tensor shrink(Composite& of, const Tensor& x, const Tensor& count, const std::string& name);
/// The positions (i64) at which the vector is true, `count` of them.
Tensor true_positions(Composite& of, const Tensor& mask, const std::string& name, const std::optional<Dim>& max_size);

}  // namespace kiln::detail

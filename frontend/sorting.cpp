// Order (kiln/sorting.h): composites over argsort, gather and scatter.
#include "kiln/sorting.h"

#include <fmt/format.h>
#include <cmath>

#include "frontend/order.h"
#include "kiln/cumulative.h"

namespace kiln {

using namespace detail;

namespace {

void require_axis(const Composite& of, const Tensor& x) {
  of.require_rank(x, 1, "what is ordered", "reshape(x, {1}) makes a vector of a scalar");
}

/// Elements begin .. end - 1 of an axis.
Tensor part_of(const Tensor& x, std::int64_t axis, const Dim& begin, const Dim& end) {
  Dims starts(std::vector<Dim>(x.rank(), Dim(0))), limits = x.dims();
  starts[static_cast<std::size_t>(axis)] = begin;
  limits[static_cast<std::size_t>(axis)] = end;
  return slice(x, starts, limits);
}

/// One element of an axis, which stays where keep_dims is set.
Tensor without_axis(const Tensor& x, std::int64_t axis, bool keep_dims) { return keep_dims ? x : squeeze(x, axis); }

}  // namespace

Tensor sort(const Operand& operand, std::int64_t axis, bool descending) {
  Composite of({&operand}, "sort");
  const Tensor x = of.tensor(operand);
  require_axis(of, x);
  const std::int64_t dim = of.axis(axis, x);
  return take_along(x, order_of({x}, dim, descending), dim);
}

Tensor argsort(const Operand& operand, std::int64_t axis, bool descending) {
  Composite of({&operand}, "argsort");
  const Tensor x = of.tensor(operand);
  require_axis(of, x);
  return order_of({x}, of.axis(axis, x), descending);
}

Tensor lexsort(std::initializer_list<Tensor> keys, std::int64_t axis, std::source_location location) {
  return lexsort(std::span<const Tensor>(keys.begin(), keys.size()), axis, location);
}

Tensor lexsort(std::span<const Tensor> keys, std::int64_t axis, std::source_location location) {
  if (keys.empty())
    throw Error(ErrorCode::invalid_argument, "lexsort: there are no keys", LocationScope::resolve(location), "give at least one");
  Composite of(keys[0], "lexsort", location);
  require_axis(of, keys[0]);
  for (const Tensor& key : keys) of.require_same_dims(keys[0], key, "the key", "the key");
  return order_of(std::vector<Tensor>(keys.rbegin(), keys.rend()), of.axis(axis, keys[0]), false);
}

Sorted sort_by_key(const Operand& operand, const Tensor& values, std::int64_t axis, bool descending) {
  Composite of({&operand}, "sort_by_key");
  const Tensor keys = of.tensor(operand);
  require_axis(of, keys);
  of.require_same_dims(keys, values, "the keys", "the values");
  const std::int64_t dim = of.axis(axis, keys);
  const Tensor order = order_of({keys}, dim, descending);
  return {take_along(keys, order, dim), take_along(values, order, dim)};
}

Selected top_k(const Operand& operand, const Dim& k, std::int64_t axis, bool largest) {
  Composite of({&operand}, "top_k");
  const Tensor x = of.tensor(operand);
  require_axis(of, x);
  const std::int64_t dim = of.axis(axis, x);
  const ir::Dim count = DimValue::unwrap(k), extent = DimValue::unwrap(x.dim(dim));
  if (ir::less_equal(0, count) != ir::Truth::yes || ir::less_equal(count, extent) != ir::Truth::yes)
    of.fail(ErrorCode::invalid_argument,
            fmt::format("k is {}, but axis {} of {} has the extent {}", to_string(k), dim, to_string(x), to_string(x.dim(dim))),
            "k must be at most the extent, whatever its symbols are: Dim(\"n\", {.min = k}) says that it is large enough");
  const Tensor indices = part_of(order_of({x}, dim, largest), dim, 0, k);
  return {take_along(x, indices, dim), indices};
}

Selected kth_value(const Operand& operand, std::int64_t k, std::int64_t axis, bool keep_dims) {
  Composite of({&operand}, "kth_value");
  const Tensor x = of.tensor(operand);
  require_axis(of, x);
  const std::int64_t dim = of.axis(axis, x);
  if (k < 1 || ir::less_equal(ir::Dim(k), DimValue::unwrap(x.dim(dim))) != ir::Truth::yes)
    of.fail(ErrorCode::invalid_argument,
            fmt::format("k is {}, but axis {} of {} has the extent {}", k, dim, to_string(x), to_string(x.dim(dim))),
            "k counts from 1 up to the extent, whatever its symbols are");
  const Tensor indices = part_of(order_of({x}, dim, false), dim, k - 1, k);
  return {without_axis(take_along(x, indices, dim), dim, keep_dims), without_axis(indices, dim, keep_dims)};
}

Selected mode(const Operand& operand, std::int64_t axis, bool keep_dims) {
  Composite of({&operand}, "mode");
  const Tensor x = of.tensor(operand);
  require_axis(of, x);
  const std::int64_t dim = of.axis(axis, x);
  const Tensor order = order_of({x}, dim, false), sorted = take_along(x, order, dim);
  // How many equals stand at each place and before it; the first of the greatest numbers ends the longest run of the smallest element.
  const Tensor place = of.iota(i64, x.dims(), dim);
  const Tensor starts = logical_or(equal(place, 0), comes_before(previous_along(sorted, dim, of.number(0, x.dtype())), sorted));
  const Tensor run = place - cummax(select(starts, place, 0), dim).values;
  const Tensor last = argmax(run, dim, true);
  return {without_axis(take_along(sorted, last, dim), dim, keep_dims), without_axis(take_along(order, last, dim), dim, keep_dims)};
}

namespace {

Tensor quantile_of(Composite& of, const Tensor& x, double q, std::int64_t axis, QuantileMethod method, bool keep_dims) {
  of.require_floating(x);
  require_axis(of, x);
  of.require(q >= 0 && q <= 1, fmt::format("the fraction is {}", q), "it lies between 0 and 1");
  const std::int64_t dim = of.axis(axis, x);
  const Tensor sorted = take_along(x, order_of({x}, dim, false), dim);
  Dims one = x.dims();
  one[static_cast<std::size_t>(dim)] = 1;
  const auto at = [&](const Tensor& position) { return take_along(sorted, broadcast_to(convert(position, i64), one), dim); };
  const Tensor last = maximum(of.count(x.dims(), {dim}, f64) - 1, 0);
  const Tensor place = last * q, below = floor(place), fraction = place - below;
  Tensor result;
  switch (method) {
    case QuantileMethod::lower: result = at(below); break;
    case QuantileMethod::higher: result = at(ceil(place)); break;
    case QuantileMethod::nearest: result = at(round(place)); break;
    case QuantileMethod::midpoint:
    case QuantileMethod::linear: {
      const Tensor low = at(below), high = at(ceil(place));
      const Tensor weight = method == QuantileMethod::linear ? fraction : select(equal(fraction, 0), 0, of.number(0.5, f64));
      // Equal ones need no interpolation, which would make NaN of infinities.
      result = select(equal(low, high), low, low + (high - low) * convert(weight, x.dtype()));
    }
  }
  // NaN stands last; of no element there is no value.
  const Tensor greatest = at(last), empty = less(of.count(x.dims(), {dim}, i64), 1);
  const Tensor undefined = logical_or(not_equal(greatest, greatest), broadcast_to(empty, one));
  return without_axis(select(undefined, std::nan(""), result), dim, keep_dims);
}

}  // namespace

Tensor quantile(const Operand& operand, double q, std::int64_t axis, QuantileMethod method, bool keep_dims) {
  Composite of({&operand}, "quantile");
  return quantile_of(of, of.tensor(operand), q, axis, method, keep_dims);
}

Tensor percentile(const Operand& operand, double q, std::int64_t axis, QuantileMethod method, bool keep_dims) {
  Composite of({&operand}, "percentile");
  return quantile_of(of, of.tensor(operand), q / 100, axis, method, keep_dims);
}

Tensor median(const Operand& operand, std::int64_t axis, bool keep_dims) {
  Composite of({&operand}, "median");
  return quantile_of(of, of.tensor(operand), 0.5, axis, QuantileMethod::linear, keep_dims);
}

Tensor is_sorted(const Operand& operand, std::int64_t axis) {
  Composite of({&operand}, "is_sorted");
  const Tensor x = of.tensor(operand);
  require_axis(of, x);
  const std::int64_t dim = of.axis(axis, x);
  const Tensor descends = comes_before(x, previous_along(x, dim, of.number(0, x.dtype())));
  return reduce_all(logical_or(equal(of.iota(i64, x.dims(), dim), 0), logical_not(descends)), dim);
}

namespace {

Tensor search(Composite& of, const Tensor& sorted, const Tensor& values, bool right) {
  if (sorted.rank() != 1)
    of.fail(ErrorCode::shape_mismatch, fmt::format("{} is searched, which is no vector", to_string(sorted)), "search rows one by one");
  return places_in(of, stop_gradient(sorted), stop_gradient(values), right);
}

}  // namespace

Tensor searchsorted(const Operand& sorted, const Operand& values, Side side) {
  Composite of({&sorted, &values}, "searchsorted");
  return search(of, of.tensor(sorted), of.tensor(values), side == Side::right);
}

Tensor bucketize(const Operand& x, const Operand& boundaries, bool right) {
  Composite of({&x, &boundaries}, "bucketize");
  return search(of, of.tensor(boundaries), of.tensor(x), right);
}

Tensor bincount(const Operand& operand, const Dim& size) {
  Composite of({&operand}, "bincount");
  const Tensor x = of.tensor(operand);
  of.require_integer(x, "what is counted");
  of.state().use_symbols({DimValue::unwrap(size)}, of.emitter().location());
  const Tensor flat = flatten(x);
  return sum_at(of, flat, of.full(i64, flat.dims(), 1), size);
}

Tensor bincount(const Operand& operand, const Dim& size, const Operand& weights) {
  Composite of({&operand}, "bincount");
  const Tensor x = of.tensor(operand), weight = weights.tensor();
  of.require_integer(x, "what is counted");
  of.require_same_dims(x, weight, "the numbers", "the weights");
  of.state().use_symbols({DimValue::unwrap(size)}, of.emitter().location());
  return sum_at(of, flatten(x), flatten(weight), size);
}

Histogram histogram(const Operand& operand, std::int64_t bins, double low, double high) {
  Composite of({&operand}, "histogram");
  const Tensor x = of.tensor(operand);
  of.require_floating(x);
  of.require(bins >= 1, fmt::format("there are {} bins", bins), "there is at least one");
  of.require(std::isfinite(low) && std::isfinite(high) && low < high, fmt::format("the bins go from {} to {}", low, high),
             "both ends are finite, the first one less than the last one");
  std::vector<double> bounds;
  for (std::int64_t i = 0; i < bins; ++i) bounds.push_back(low + static_cast<double>(i) * ((high - low) / static_cast<double>(bins)));
  bounds.push_back(high);
  const Tensor edges = of.graph().constant(Array({bins + 1}, bounds).convert(x.dtype()));
  const Tensor flat = flatten(x);
  const Tensor place = search(of, edges, flat, true);  // 0: below the first edge, bins + 1: from the last one on, or NaN
  const Tensor bin = select(equal(flat, of.number(high, x.dtype())), bins, place) - 1;
  return {sum_at(of, bin, of.full(i64, flat.dims(), 1), bins), edges};
}

}  // namespace kiln

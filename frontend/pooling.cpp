// Pooling (kiln/pooling.h), over reduce_window.
//
// Padding whose amount is known becomes an attribute of the windows. What depends on a symbolic extent (SAME or ceil_mode with strides) is
// put around the tensor by a `pad` with the fold's identity, which fusion takes into the fold. (Such padding can be the position of a maximum
// where a window holds nothing above the identity.)
#include "kiln/pooling.h"

#include <fmt/format.h>
#include <algorithm>
#include <limits>

#include "frontend/spatial.h"
#include "frontend/wide.h"
#include "kiln/indexing.h"

namespace kiln {

using namespace detail;

namespace {

/// Windows over a tensor: one entry per axis of it, 1 and 0 on batch and channels.
struct Windows {
  std::vector<std::int64_t> axes;  ///< the spatial ones
  std::vector<std::int64_t> size, strides, dilation;
  ir::Dims low, high;  ///< padding
  ir::Dims beyond;     ///< what ceil_mode adds after that; may be negative

  std::int64_t places() const {
    std::int64_t product = 1;
    for (const std::int64_t s : size) product *= s;
    return product;
  }
};

std::vector<std::int64_t> pooled_axes(const Composite& of, const Tensor& x, Layout layout) {
  return spatial_axes(of, x, layout, 3).spatial;
}

template <class Options>
Windows windows_over(const Composite& of, const Tensor& x, const PerAxis& window, const Options& options) {
  Windows w;
  w.axes = pooled_axes(of, x, options.layout);
  const std::size_t count = w.axes.size();
  const std::vector<std::int64_t> size = numbers_of(of, x, window, count, 1, "the window");
  const std::vector<std::int64_t> strides = options.stride.given() ? numbers_of(of, x, options.stride, count, 1, "stride") : size;
  const std::vector<std::int64_t> dilation = numbers_of(of, x, options.dilation, count, 1, "dilation");
  const ir::Dims dims = type_of(x).dims;
  ir::Dims extents;
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 0; i < count; ++i) {
    extents.push_back(dims[static_cast<std::size_t>(w.axes[i])]);
    lengths.push_back((size[i] - 1) * dilation[i] + 1);
  }
  const Amounts padding = amounts_of(of, x, options.padding, extents, lengths, strides);
  w.size.assign(dims.size(), 1);
  w.strides = w.dilation = w.size;
  w.low.assign(dims.size(), ir::Dim(0));
  w.high = w.beyond = w.low;
  for (std::size_t i = 0; i < count; ++i) {
    const auto axis = static_cast<std::size_t>(w.axes[i]);
    const ir::Dim n = extents[i], stride = strides[i], length = lengths[i];
    w.size[axis] = size[i];
    w.strides[axis] = strides[i];
    w.dilation[axis] = dilation[i];
    w.low[axis] = padding.low[i];
    w.high[axis] = padding.high[i];
    if (options.padding.kind() == Padding::Kind::amounts)
      for (const ir::Dim& amount : {padding.low[i], padding.high[i]})
        if (amount.constant() < 0 || amount.constant() >= lengths[i])
          of.fail(ErrorCode::invalid_argument,
                  fmt::format("padding of spatial axis {} is {}, but must be from 0 to {}, the window's length less 1", i,
                              amount.constant(), lengths[i] - 1),
                  amount.constant() < 0 ? "slice() crops" : "a window of nothing but padding has no value");
    if (!options.ceil_mode) continue;
    const ir::Dim padded = w.low[axis] + n + w.high[axis];
    const ir::Dim windows = max(min(ir::ceildiv(padded - length, stride) + 1, ir::ceildiv(w.low[axis] + n, stride)), 0);
    w.beyond[axis] = max((windows - 1) * stride + length, 0) - padded;
  }
  return w;
}

bool all_constant(const ir::Dims& dims) {
  return std::ranges::all_of(dims, [](const ir::Dim& dim) { return dim.is_constant(); });
}

std::vector<std::int64_t> constants_of(const ir::Dims& dims) {
  std::vector<std::int64_t> values;
  for (const ir::Dim& dim : dims) values.push_back(dim.constant());
  return values;
}

ir::Dims sum_of(const ir::Dims& a, const ir::Dims& b) {
  ir::Dims sum;
  for (std::size_t i = 0; i < a.size(); ++i) sum.push_back(a[i] + b[i]);
  return sum;
}

/// A scalar that a fold with the combiner passes over.
Tensor identity_of(Composite& of, DType dtype, bool maximum) {
  if (!maximum) return of.number(0, dtype);
  if (is_floating(dtype)) return of.number(-std::numeric_limits<double>::infinity(), dtype);
  std::int64_t lowest = 0;
  visit_dtype(dtype, [&]<class T>(T) {
    if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) lowest = static_cast<std::int64_t>(std::numeric_limits<T>::min());
  });
  return of.number(lowest, dtype);
}

/// The operand of a window op and its attributes.
struct Windowed {
  Tensor x;
  ir::Attributes attributes;
};

Windowed windowed(Composite& of, const Tensor& x, const Windows& w, bool maximum) {
  ir::Dims low = w.low, high = sum_of(w.high, w.beyond);
  const std::size_t rank = low.size();
  Tensor padded = x;
  if (!all_constant(low) || !all_constant(high)) {
    padded = apply(ir::Op::pad, {x, identity_of(of, x.dtype(), maximum)},
                   {{"low", low}, {"high", high}, {"interior", std::vector<std::int64_t>(rank, 0)}});
    low = high = ir::Dims(rank, ir::Dim(0));
  }
  return {padded,
          {{"window", w.size},
           {"strides", w.strides},
           {"window_dilation", w.dilation},
           {"low", constants_of(low)},
           {"high", constants_of(high)}}};
}

Tensor fold_windows(Composite& of, const Tensor& x, const Windows& w, const char* combiner) {
  const Windowed t = windowed(of, x, w, combiner[0] == 'm');
  return apply(ir::Op::reduce_window, {t.x}, t.attributes.with("combiner", std::string(combiner)));
}

/// How many places of each window count, of extent 1 on batch and channels; nothing: all of them, in every window.
std::optional<Tensor> counts_of(Composite& of, const Tensor& x, const Windows& w, bool include_padding) {
  const auto none = [](const ir::Dims& dims) { return std::ranges::all_of(dims, [](const ir::Dim& d) { return d.is_constant(0); }); };
  if (none(w.beyond) && (include_padding || (none(w.low) && none(w.high)))) return std::nullopt;
  ir::Dims dims(x.rank(), ir::Dim(1));
  for (const std::int64_t axis : w.axes) dims[static_cast<std::size_t>(axis)] = type_of(x).dims[static_cast<std::size_t>(axis)];
  Windows of_ones = w;
  if (include_padding) {
    dims = sum_of(sum_of(dims, w.low), w.high);
    of_ones.low = of_ones.high = ir::Dims(dims.size(), ir::Dim(0));
  }
  return fold_windows(of, of.full(x.dtype(), from_ir(dims), 1), of_ones, "add");
}

void require_number(const Composite& of, const Tensor& x) {
  if (x.dtype() == DType::boolean)
    of.fail(ErrorCode::dtype_mismatch, fmt::format("takes numbers, but was given {}", to_string(x)), "convert it first: convert(x, u8)");
}

Axes axes_of(const Composite& of, const Tensor& x, Layout layout) { return Axes(pooled_axes(of, x, layout)); }

/// Calls f(x, axis, number of windows) for each spatial axis in turn.
Tensor each_axis(const Composite& of, Tensor x, const PerAxis& output, Layout layout,
                 const std::function<Tensor(const Tensor&, std::int64_t, std::int64_t)>& f) {
  const std::vector<std::int64_t> axes = pooled_axes(of, x, layout);
  const std::vector<std::int64_t> counts = numbers_of(of, x, output, axes.size(), 1, "the output");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const Dim n = x.dim(axes[i]);
    if (!n.is_constant())
      of.fail(ErrorCode::shape_mismatch, fmt::format("axis {} of {} is symbolic, so that its windows are not known", axes[i], to_string(x)),
              "give the spatial extents constants, or use global_avg_pool() or global_max_pool()");
    if (n.value() == 0)
      of.fail(ErrorCode::shape_mismatch, fmt::format("axis {} of {} has no elements", axes[i], to_string(x)),
              "a window of nothing has no value");
    x = f(x, axes[i], counts[i]);
  }
  return x;
}

std::int64_t adaptive_begin(std::int64_t i, std::int64_t n, std::int64_t m) { return i * n / m; }
std::int64_t adaptive_end(std::int64_t i, std::int64_t n, std::int64_t m) { return ((i + 1) * n + m - 1) / m; }

/// Windows of equal size along one axis, where they are.
std::optional<Windows> equal_windows(const Tensor& x, std::int64_t axis, std::int64_t count) {
  const std::int64_t n = x.dim(axis).value();
  if (n % count != 0) return std::nullopt;
  Windows w;
  w.axes = {axis};
  w.size.assign(x.rank(), 1);
  w.dilation = w.size;
  w.size[static_cast<std::size_t>(axis)] = n / count;
  w.strides = w.size;
  w.low.assign(x.rank(), ir::Dim(0));
  w.high = w.beyond = w.low;
  return w;
}

}  // namespace

Tensor max_pool(const Operand& operand, const PerAxis& window, const PoolOptions& options) {
  Composite of({&operand}, "max_pool");
  const Tensor x = of.tensor(operand);
  require_number(of, x);
  return fold_windows(of, x, windows_over(of, x, window, options), "maximum");
}

PooledWithIndices max_pool_with_indices(const Operand& operand, const PerAxis& window, const PoolOptions& options) {
  Composite of({&operand}, "max_pool_with_indices");
  const Tensor x = of.tensor(operand);
  require_number(of, x);
  const Windows w = windows_over(of, x, window, options);
  const Windowed t = windowed(of, x, w, true);
  const Tensor place = apply(ir::Op::window_argument, {t.x}, t.attributes.with("direction", std::string("maximum")));
  const Tensor values = apply(ir::Op::window_select, {t.x, place}, t.attributes);
  // The place in the window, taken apart from its last axis on, gives the element's index along each axis.
  Tensor rest = place, position = of.full(i64, place.dims(), 0);
  Dim below = 1;
  for (std::size_t i = w.axes.size(); i-- > 0;) {
    const auto axis = static_cast<std::size_t>(w.axes[i]);
    const Tensor k = rest % w.size[axis];
    rest = rest / w.size[axis];
    const Tensor first = of.iota(i64, place.dims(), w.axes[i]) * w.strides[axis] - of.count(from_ir({w.low[axis]}), {0}, i64);
    position = position + (first + k * w.dilation[axis]) * of.count({below}, {0}, i64);
    below = below * x.dim(w.axes[i]);
  }
  return {values, position};
}

Tensor max_unpool(const Operand& operand, const Operand& indices, const Dims& dims, Layout layout) {
  Composite of({&operand}, "max_unpool");
  const Tensor x = of.tensor(operand), at = of.tensor(indices);
  of.require_integer(at, "indices");
  of.require_same_dims(x, at, "the values", "the indices");
  const std::vector<std::int64_t> axes = pooled_axes(of, x, layout);
  if (dims.rank() != axes.size())
    of.fail(ErrorCode::shape_mismatch, fmt::format("{} has {} spatial axes, but dims has {}", to_string(x), axes.size(), dims.rank()),
            "name the extents of the spatial axes alone");
  // The spatial axes as one, between batch and channels or behind both.
  const std::int64_t spatial = axes[0], channels = layout == Layout::channels_last ? 2 : 1;
  Dim pooled = 1, whole = 1;
  for (const std::int64_t axis : axes) pooled = pooled * x.dim(axis);
  for (const Dim& dim : dims) whole = whole * dim;
  const std::int64_t channel_axis = layout == Layout::channels_last ? -1 : 1;
  const auto flat = [&](const Dim& extent) {
    return spatial == 1 ? Dims{x.dim(0), extent, x.dim(channel_axis)} : Dims{x.dim(0), x.dim(channel_axis), extent};
  };
  using Integers = std::vector<std::int64_t>;
  const Tensor result =
      apply(ir::Op::scatter, {of.full(x.dtype(), flat(whole), 0), reshaped(convert(at, i64), flat(pooled)), reshaped(x, flat(pooled))},
            {{"combiner", std::string("replace")},
             {"inserted_window_dims", Integers{spatial}},
             {"input_batching_dims", Integers{0, channels}},
             {"scatter_indices_batching_dims", Integers{0, channels}},
             {"scatter_dims_to_operand_dims", Integers{spatial}},
             {"index_vector_dim", std::int64_t{3}}});
  std::vector<Dim> full(dims.begin(), dims.end());
  full.insert(spatial == 1 ? full.end() : full.begin(), x.dim(channel_axis));
  full.insert(full.begin(), x.dim(0));
  return reshaped(result, full);
}

Tensor avg_pool(const Operand& operand, const PerAxis& window, const AvgPoolOptions& options) {
  Composite of({&operand}, "avg_pool");
  const Tensor x = of.tensor(operand);
  of.require_floating(x);
  const Windows w = windows_over(of, x, window, options);
  const bool include = options.count_include_pad.value_or(options.padding.kind() == Padding::Kind::amounts);
  return in_wide(x, [&](const Tensor& wide) {
    const Tensor sum = fold_windows(of, wide, w, "add");
    const std::optional<Tensor> counts = counts_of(of, wide, w, include);
    return counts ? sum / *counts : sum / static_cast<double>(w.places());
  });
}

namespace {

/// x^p of numbers that are not negative, and its inverse.
Tensor power_of(const Tensor& x, double p) { return p == 1 ? x : p == 2 ? x * x : power(x, p); }
Tensor root_of(const Tensor& x, double p) {
  if (p == 1) return x;
  if (p == 2) return norm_sqrt(x);
  const Tensor zero = equal(x, 0);
  return select(zero, 0, power(select(zero, 1, x), 1 / p));
}

void require_order(const Composite& of, double p) {
  of.require(p > 0 && p <= std::numeric_limits<double>::max(), fmt::format("p must be positive and finite, but is {}", p),
             "max_pool() is the limit of large p");
}

}  // namespace

Tensor lp_pool(const Operand& operand, double p, const PerAxis& window, const PoolOptions& options) {
  Composite of({&operand}, "lp_pool");
  const Tensor x = of.tensor(operand);
  of.require_floating(x);
  require_order(of, p);
  const Windows w = windows_over(of, x, window, options);
  return in_wide(x, [&](const Tensor& wide) { return root_of(fold_windows(of, power_of(abs(wide), p), w, "add"), p); });
}

Tensor global_max_pool(const Operand& operand, Layout layout, bool keep_dims) {
  Composite of({&operand}, "global_max_pool");
  const Tensor x = of.tensor(operand);
  require_number(of, x);
  return reduce_max(x, axes_of(of, x, layout), keep_dims);
}

Tensor global_avg_pool(const Operand& operand, Layout layout, bool keep_dims) {
  Composite of({&operand}, "global_avg_pool");
  const Tensor x = of.tensor(operand);
  of.require_floating(x);
  return reduce_mean(x, axes_of(of, x, layout), keep_dims);
}

Tensor global_lp_pool(const Operand& operand, double p, Layout layout, bool keep_dims) {
  Composite of({&operand}, "global_lp_pool");
  const Tensor x = of.tensor(operand);
  of.require_floating(x);
  require_order(of, p);
  return in_wide(x, [&](const Tensor& wide) { return root_of(reduce_sum(power_of(abs(wide), p), axes_of(of, x, layout), keep_dims), p); });
}

/// The mean of a box is the mean along one axis of the means along the others: one product with a matrix of weights per axis.
Tensor adaptive_avg_pool(const Operand& operand, const PerAxis& output, Layout layout) {
  Composite of({&operand}, "adaptive_avg_pool");
  const Tensor x = of.tensor(operand);
  of.require_floating(x);
  return in_wide(x, [&](const Tensor& wide) {
    return each_axis(of, wide, output, layout, [&](const Tensor& t, std::int64_t axis, std::int64_t m) -> Tensor {
      const std::int64_t n = t.dim(axis).value();
      if (const auto w = equal_windows(t, axis, m)) return fold_windows(of, t, *w, "add") / static_cast<double>(w->places());
      std::vector<double> weights(static_cast<std::size_t>(m * n), 0.0);
      for (std::int64_t i = 0; i < m; ++i) {
        const std::int64_t begin = adaptive_begin(i, n, m), end = adaptive_end(i, n, m);
        for (std::int64_t k = begin; k < end; ++k) weights[static_cast<std::size_t>(i * n + k)] = 1.0 / static_cast<double>(end - begin);
      }
      Graph graph = of.graph();
      const Tensor matrix = graph.constant(Array({m, n}, weights).convert(t.dtype()));
      const Tensor means = dot_general(t, matrix, {}, {}, {axis}, {1});  // the axis comes last
      std::vector<std::int64_t> back;
      const auto last = static_cast<std::int64_t>(t.rank()) - 1;
      for (std::int64_t d = 0; d <= last; ++d) back.push_back(d < axis ? d : d == axis ? last : d - 1);
      return transpose(means, back);
    });
  });
}

/// Windows that differ in size are filled up to the largest with repetitions of their last element.
Tensor adaptive_max_pool(const Operand& operand, const PerAxis& output, Layout layout) {
  Composite of({&operand}, "adaptive_max_pool");
  const Tensor x = of.tensor(operand);
  require_number(of, x);
  return each_axis(of, x, output, layout, [&](const Tensor& t, std::int64_t axis, std::int64_t m) -> Tensor {
    const std::int64_t n = t.dim(axis).value();
    if (const auto w = equal_windows(t, axis, m)) return fold_windows(of, t, *w, "maximum");
    std::int64_t size = 0;
    for (std::int64_t i = 0; i < m; ++i) size = std::max(size, adaptive_end(i, n, m) - adaptive_begin(i, n, m));
    std::vector<std::int64_t> places;
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t k = 0; k < size; ++k) places.push_back(std::min(adaptive_begin(i, n, m) + k, adaptive_end(i, n, m) - 1));
    Graph graph = of.graph();
    return reduce_max(take(t, graph.constant(Array({m, size}, places)), axis), axis + 1);
  });
}

}  // namespace kiln

// The softmax family and normalisation (kiln/normalization.h), written in primitives; fusion makes one kernel per row of them.
//
// Softmax is shifted by the maximum, so that nothing overflows. The shift carries no gradient: it cancels in the derivative, and dropping
// it leaves softmax - onehot for the cross entropy.
#include "kiln/normalization.h"

#include <fmt/format.h>
#include <limits>

#include "frontend/composite.h"
#include "frontend/draws.h"
#include "frontend/wide.h"
#include "kiln/linear_algebra.h"

namespace kiln {

using namespace detail;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// The maximum over the axes, kept as axes of extent 1; without a gradient.
Tensor top_of(const Tensor& x, const Axes& axes) { return stop_gradient(reduce_max(x, axes, true)); }

/// The same, 0 where it is infinite: subtracting infinity would give inf - inf.
Tensor finite_top_of(const Tensor& x, const Axes& axes) {
  const Tensor top = top_of(x, axes);
  return select(is_finite(top), top, 0);
}

Tensor removed(const Tensor& x, const std::vector<std::int64_t>& axes) {
  std::vector<Dim> dims;
  const Dims given = x.dims();
  for (std::size_t i = 0, next = 0; i < given.rank(); ++i) {
    if (next < axes.size() && axes[next] == static_cast<std::int64_t>(i))
      ++next;
    else
      dims.push_back(given[i]);
  }
  return reshaped(x, dims);
}

struct OneTensor {
  OneTensor(const Operand& operand, const char* name) : of({&operand}, name), x(of.tensor(operand)) { of.require_floating(x); }
  Composite of;
  Tensor x;
};

}  // namespace

// ---- softmax

Tensor logsumexp(const Operand& operand, const Axes& axes, bool keep_dims) {
  OneTensor t(operand, "logsumexp");
  const std::vector<std::int64_t> list = t.of.axes(axes, t.x);
  const Tensor shift = finite_top_of(t.x, list);
  const Tensor result = log(reduce_sum(exp(t.x - shift), list, true)) + shift;
  return keep_dims ? result : removed(result, list);
}

Tensor softmax(const Operand& operand, const Axes& axes) {
  OneTensor t(operand, "softmax");
  const std::vector<std::int64_t> list = t.of.axes(axes, t.x);
  const Tensor e = exp(t.x - top_of(t.x, list));
  return e / reduce_sum(e, list, true);
}

Tensor log_softmax(const Operand& operand, const Axes& axes) {
  OneTensor t(operand, "log_softmax");
  const std::vector<std::int64_t> list = t.of.axes(axes, t.x);
  const Tensor z = t.x - top_of(t.x, list);
  return z - log(reduce_sum(exp(z), list, true));
}

Tensor softmin(const Operand& operand, const Axes& axes) {
  OneTensor t(operand, "softmin");
  return softmax(-t.x, axes);
}

Tensor hardmax(const Operand& operand, std::int64_t axis, bool last) {
  OneTensor t(operand, "hardmax");
  const std::int64_t dim = t.of.axis(axis, t.x);
  const Tensor position = argmax(t.x, dim, true, last), places = t.of.iota(i64, t.x.dims(), dim);
  return convert(equal(places, position), t.x.dtype());
}

Tensor masked_softmax(const Operand& operand, const Operand& mask, const Axes& axes) {
  OneTensor t(operand, "masked_softmax");
  const std::vector<std::int64_t> list = t.of.axes(axes, t.x);
  if (!mask.is_tensor() || mask.tensor().dtype() != DType::boolean)
    t.of.fail(ErrorCode::dtype_mismatch,
              fmt::format("the mask must be a bool tensor, but is {}", mask.is_tensor() ? to_string(mask.tensor()) : "a number"),
              "compare first: less(position, length)");
  const Tensor z = select(mask, t.x, -infinity);
  t.of.require_same_dims(z, t.x, "the masked tensor", "the tensor");
  const Tensor e = exp(z - finite_top_of(z, list));
  const Tensor sum = reduce_sum(e, list, true);
  return e / select(equal(sum, 0), 1, sum);
}

Tensor gumbel_softmax(const Operand& operand, const GumbelSoftmaxOptions& options) {
  OneTensor t(operand, "gumbel_softmax");
  t.of.require(options.temperature > 0, fmt::format("the temperature is {}", options.temperature), "temperature > 0");
  const std::int64_t axis = t.of.axis(options.axis, t.x);
  const Tensor noise = draw_gumbel(t.of, t.x.dtype(), t.x.dims());
  const Tensor soft = softmax((t.x + noise) / options.temperature, axis);
  if (!options.hard) return soft;
  const Tensor position = t.of.iota(i64, t.x.dims(), axis);
  const Tensor hard = convert(equal(position, expand_dims(argmax(soft, axis), axis)), t.x.dtype());
  return soft + stop_gradient(hard - soft);
}

// ---- rows

namespace {

/// y * weight + bias; both must fit into y's shape.
Tensor affine(Composite& of, Tensor y, const Tensor& weight, const Tensor& bias) {
  const Tensor before = y;
  if (weight.valid()) y = y * of.tensor(weight);
  if (bias.valid()) y = y + of.tensor(bias);
  if (!(type_of(y).dims == type_of(before).dims))
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("weight {} and bias {} do not fit into {}", weight.valid() ? to_string(weight) : "none",
                        bias.valid() ? to_string(bias) : "none", to_string(before)),
            "they have the shape of the normalised axes");
  return y;
}

Tensor normalized(const Tensor& x, const std::vector<std::int64_t>& axes, double eps) {
  const Tensor centred = x - reduce_mean(x, axes, true);
  return centred * rsqrt(reduce_mean(square(centred), axes, true) + eps);
}

}  // namespace

Tensor layer_norm(const Operand& operand, const Axes& axes, const NormOptions& options) {
  OneTensor t(operand, "layer_norm");
  return affine(t.of, normalized(t.x, t.of.axes(axes, t.x), options.eps), options.weight, options.bias);
}

Tensor rms_norm(const Operand& operand, const Axes& axes, const RmsNormOptions& options) {
  OneTensor t(operand, "rms_norm");
  const double eps = options.eps.value_or(t.x.dtype() == f64 ? 0x1p-52 : 0x1p-23);
  const std::vector<std::int64_t> list = t.of.axes(axes, t.x);
  return affine(t.of, t.x * rsqrt(reduce_mean(square(t.x), list, true) + eps), options.weight, options.bias);
}

// ---- channels

namespace {

/// A tensor [batch, ..., channels, ...].
struct Channels {
  Channels(const Operand& operand, std::int64_t given_axis, const char* name) : of({&operand}, name), x(of.tensor(operand)) {
    of.require_floating(x);
    of.require_rank(x, 2, "a batch of channels", "axis 0 is the batch, axis 1 the channels");
    axis = of.axis(given_axis, x);
    of.require(axis != 0, "axis 0 is the batch, and cannot run over the channels", "axis = -1 where the channels come last");
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(x.rank()); ++i)
      if (i != axis) others.push_back(i);
  }
  /// A value per channel, ready to be broadcast.
  Tensor vector(const Tensor& values, const char* what) {
    const Tensor v = of.tensor(values);
    if (v.rank() != 1 || !(type_of(v).dims[0] == type_of(x).dims[static_cast<std::size_t>(axis)]) || v.dtype() != x.dtype())
      of.fail(v.dtype() != x.dtype() ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
              fmt::format("the {} is {}, but the channels run along axis {} of {}", what, to_string(v), axis, to_string(x)),
              "give one value of the same dtype for each channel");
    return along(v, axis, x.rank());
  }
  Tensor affine(Tensor y, const ChannelNormOptions& options) {
    if (options.weight.valid()) y = y * vector(options.weight, "weight");
    if (options.bias.valid()) y = y + vector(options.bias, "bias");
    return y;
  }
  Composite of;
  Tensor x;
  std::int64_t axis = 1;
  std::vector<std::int64_t> others;
};

}  // namespace

Tensor batch_norm(const Operand& operand, const Operand& mean, const Operand& variance, const ChannelNormOptions& options) {
  Channels c(operand, options.axis, "batch_norm");
  const Tensor m = c.vector(mean.tensor(), "mean"), v = c.vector(variance.tensor(), "variance");
  return c.affine((c.x - m) * rsqrt(v + options.eps), options);
}

BatchNormTraining batch_norm_training(const Operand& operand, const Operand& running_mean, const Operand& running_variance,
                                      const BatchNormTrainingOptions& options) {
  Channels c(operand, options.norm.axis, "batch_norm_training");
  c.of.require(options.momentum >= 0 && options.momentum <= 1, fmt::format("the momentum is {}", options.momentum), "0 <= momentum <= 1");
  c.vector(running_mean.tensor(), "running mean");
  c.vector(running_variance.tensor(), "running variance");
  const Tensor mean = reduce_mean(c.x, c.others, true);
  const Tensor centred = c.x - mean;
  const Tensor variance = reduce_mean(square(centred), c.others, true);
  BatchNormTraining result;
  result.output = c.affine(centred * rsqrt(variance + options.norm.eps), options.norm);
  const Dims channels = {c.x.dim(c.axis)};
  result.mean = reshaped(mean, channels);
  result.variance = reshaped(variance, channels);
  Tensor spread_variance = result.variance;
  if (options.unbiased) {
    const Tensor count = c.of.count(c.x.dims(), c.others, c.x.dtype());
    spread_variance = spread_variance * (count / (count - 1));
  }
  const auto update = [&](const Tensor& running, const Tensor& now) {
    return stop_gradient(running * (1 - options.momentum) + now * options.momentum);
  };
  result.running_mean = update(running_mean.tensor(), result.mean);
  result.running_variance = update(running_variance.tensor(), spread_variance);
  return result;
}

Tensor group_norm(const Operand& operand, std::int64_t groups, const ChannelNormOptions& options) {
  Channels c(operand, options.axis, "group_norm");
  const Dim channels = c.x.dim(c.axis);
  if (groups < 1 || !(channels % groups == Dim(0)))
    c.of.fail(ErrorCode::invalid_argument,
              fmt::format("{} channels of {} are not divided by {} groups", to_string(channels), to_string(c.x), groups),
              "the groups divide the channels");
  // [n, channels, ...] -> [n, groups, channels / groups, ...]
  std::vector<Dim> dims;
  std::vector<std::int64_t> axes;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(c.x.rank()); ++i) {
    if (i == c.axis) {
      dims.push_back(groups);
      axes.push_back(static_cast<std::int64_t>(dims.size()));
      dims.push_back(channels / groups);
    } else {
      if (i != 0) axes.push_back(static_cast<std::int64_t>(dims.size()));
      dims.push_back(c.x.dim(i));
    }
  }
  return c.affine(reshaped(normalized(reshaped(c.x, dims), axes, options.eps), c.x.dims()), options);
}

Tensor instance_norm(const Operand& operand, const ChannelNormOptions& options) {
  Channels c(operand, options.axis, "instance_norm");
  const std::vector<std::int64_t> axes(c.others.begin() + 1, c.others.end());
  c.of.require(!axes.empty(), fmt::format("{} has no axes beside batch and channels", to_string(c.x)),
               "layer_norm() normalises the last axis");
  return c.affine(normalized(c.x, axes, options.eps), options);
}

Tensor mean_variance_normalization(const Operand& operand, const Axes& axes, double eps) {
  OneTensor t(operand, "mean_variance_normalization");
  const std::vector<std::int64_t> list = t.of.axes(axes, t.x);
  return in_wide(t.x, [&](const Tensor& x) {
    const Tensor centred = x - reduce_mean(x, list, true);
    return centred / (norm_sqrt(reduce_mean(square(centred), list, true)) + eps);
  });
}

Tensor local_response_norm(const Operand& operand, const LocalResponseNormOptions& options) {
  Channels c(operand, options.axis, "local_response_norm");
  c.of.require(options.size >= 1, fmt::format("the size is {}", options.size), "size >= 1");
  const std::size_t rank = c.x.rank(), axis = static_cast<std::size_t>(c.axis);
  const Dims dims = c.x.dims();
  Dims low(std::vector<Dim>(rank, Dim(0))), high = low;
  low[axis] = options.size / 2;
  high[axis] = (options.size - 1) / 2;
  const Tensor squares = pad(square(c.x), low, high, 0);
  Tensor sum;
  for (std::int64_t shift = 0; shift < options.size; ++shift) {
    Dims starts(std::vector<Dim>(rank, Dim(0))), limits = dims;
    starts[axis] = shift;
    limits[axis] = dims[axis] + shift;
    const Tensor part = slice(squares, starts, limits);
    sum = sum.valid() ? sum + part : part;
  }
  return c.x / power(options.k + sum * (options.alpha / static_cast<double>(options.size)), options.beta);
}

// ---- by length

Tensor lp_normalize(const Operand& operand, double p, const Axes& axes, double eps) {
  OneTensor t(operand, "lp_normalize");
  return t.x / maximum(vector_norm(t.x, p, t.of.axes(axes, t.x), true), eps);
}

Tensor cosine_similarity(const Operand& a, const Operand& b, std::int64_t axis, double eps) {
  Composite of({&a, &b}, "cosine_similarity");
  const Tensor x = of.tensor(a), y = of.tensor(b);
  of.require_floating(x);
  const Tensor product = x * y;
  // Counted from the back, the axis is the same of operands that are broadcast.
  const std::int64_t last = of.axis(axis, product) - static_cast<std::int64_t>(product.rank());
  const auto norm = [&](const Tensor& v) {
    of.axis(last, v);
    return maximum(vector_norm(v, 2, last), eps);
  };
  return reduce_sum(product, last) / (norm(x) * norm(y));
}

}  // namespace kiln

// Statistics and norms (kiln/statistics.h).
#include "kiln/statistics.h"

#include <fmt/format.h>
#include <cmath>
#include <limits>

#include "frontend/composite.h"
#include "frontend/wide.h"

namespace kiln {

using namespace detail;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// One operand and its axes, checked.
struct Reduced {
  Reduced(const Operand& operand, const char* name, const Axes& given)
      : of({&operand}, name), x(of.tensor(operand)), axes(of.axes(given, x)) {}
  Reduced& floating() {
    of.require_floating(x);
    return *this;
  }
  Reduced& numbers() {
    if (x.dtype() == DType::boolean)
      of.fail(ErrorCode::dtype_mismatch, fmt::format("takes numbers, but was given {}", to_string(x)), "convert it first: convert(x, f32)");
    return *this;
  }
  Composite of;
  Tensor x;
  std::vector<std::int64_t> axes;
};

/// The list as Axes: an empty one means no axis here.
Tensor sum(const Tensor& x, const std::vector<std::int64_t>& axes, bool keep) { return reduce_sum(x, Axes(axes), keep); }

/// n - ddof, not below 0, so that the quotient of too few elements is NaN.
Tensor freedom(const Tensor& count, std::int64_t ddof) { return ddof == 0 ? count : maximum(count - ddof, 0); }

Moments moments_of(Reduced& r, const Tensor& x, bool keep_dims, std::int64_t ddof) {
  const Tensor count = r.of.count(x.dims(), r.axes, x.dtype());
  const Tensor mean = sum(x, r.axes, true) / count, centred = x - mean;
  const Tensor variance = sum(centred * centred, r.axes, keep_dims) / freedom(count, ddof);
  return {keep_dims ? mean : reshaped(mean, variance.dims()), variance};
}

Tensor variance_of(const char* name, const Operand& x, const Axes& axes, bool keep_dims, std::int64_t ddof, bool root) {
  Reduced r(x, name, axes);
  return in_wide(r.floating().x, [&](const Tensor& wide) {
    const Tensor variance = moments_of(r, wide, keep_dims, ddof).variance;
    return root ? norm_sqrt(variance) : variance;
  });
}

// ---- without NaN

Tensor is_number(const Tensor& x) { return equal(x, x); }
Tensor without_nan(const Tensor& x, double instead) { return select(is_number(x), x, instead); }
Tensor count_numbers(const Tensor& x, const std::vector<std::int64_t>& axes, bool keep) {
  return sum(convert(is_number(x), x.dtype()), axes, keep);
}

Tensor nan_extremum(const char* name, const Operand& operand, const Axes& axes, bool keep_dims, bool maximum) {
  Reduced r(operand, name, axes);
  const Tensor& x = r.floating().x;
  const Tensor filled = without_nan(x, maximum ? -infinity : infinity);
  const Tensor extremum = maximum ? reduce_max(filled, Axes(r.axes), keep_dims) : reduce_min(filled, Axes(r.axes), keep_dims);
  return select(reduce_any(is_number(x), Axes(r.axes), keep_dims), extremum, std::numeric_limits<double>::quiet_NaN());
}

Tensor nan_variance(const char* name, const Operand& operand, const Axes& axes, bool keep_dims, std::int64_t ddof, bool root) {
  Reduced r(operand, name, axes);
  return in_wide(r.floating().x, [&](const Tensor& x) {
    const Tensor mean = sum(without_nan(x, 0), r.axes, true) / count_numbers(x, r.axes, true);
    const Tensor centred = without_nan(x - mean, 0);
    const Tensor variance = sum(centred * centred, r.axes, keep_dims) / freedom(count_numbers(x, r.axes, keep_dims), ddof);
    return root ? norm_sqrt(variance) : variance;
  });
}

}  // namespace

Tensor reduce_variance(const Operand& x, const Axes& axes, bool keep_dims, std::int64_t ddof) {
  return variance_of("reduce_variance", x, axes, keep_dims, ddof, false);
}
Tensor reduce_std(const Operand& x, const Axes& axes, bool keep_dims, std::int64_t ddof) {
  return variance_of("reduce_std", x, axes, keep_dims, ddof, true);
}

Moments moments(const Operand& operand, const Axes& axes, bool keep_dims, std::int64_t ddof) {
  Reduced r(operand, "moments", axes);
  const DType dtype = r.floating().x.dtype();
  const Moments wide = moments_of(r, size_of(dtype) < 4 ? convert(r.x, f32) : r.x, keep_dims, ddof);
  return {convert(wide.mean, dtype), convert(wide.variance, dtype)};
}

Tensor count_nonzero(const Operand& operand, const Axes& axes, bool keep_dims) {
  Reduced r(operand, "count_nonzero", axes);
  return sum(convert(r.x.dtype() == DType::boolean ? r.x : not_equal(r.x, 0), i64), r.axes, keep_dims);
}

Tensor ptp(const Operand& operand, const Axes& axes, bool keep_dims) {
  Reduced r(operand, "ptp", axes);
  const Tensor& x = r.numbers().x;
  return reduce_max(x, Axes(r.axes), keep_dims) - reduce_min(x, Axes(r.axes), keep_dims);
}

Tensor reduce_l1(const Operand& operand, const Axes& axes, bool keep_dims) {
  Reduced r(operand, "reduce_l1", axes);
  return sum(abs(r.numbers().x), r.axes, keep_dims);
}

Tensor reduce_l2(const Operand& operand, const Axes& axes, bool keep_dims) {
  Reduced r(operand, "reduce_l2", axes);
  return in_wide(r.floating().x, [&](const Tensor& x) { return norm_sqrt(sum(x * x, r.axes, keep_dims)); });
}

Tensor reduce_sum_square(const Operand& operand, const Axes& axes, bool keep_dims) {
  Reduced r(operand, "reduce_sum_square", axes);
  return in_wide(r.numbers().x, [&](const Tensor& x) { return sum(x * x, r.axes, keep_dims); });
}

Tensor reduce_log_sum(const Operand& operand, const Axes& axes, bool keep_dims) {
  Reduced r(operand, "reduce_log_sum", axes);
  return in_wide(r.floating().x, [&](const Tensor& x) { return log(sum(x, r.axes, keep_dims)); });
}

Tensor vector_norm(const Operand& operand, double p, const Axes& axes, bool keep_dims) {
  Reduced r(operand, "vector_norm", axes);
  r.of.require(!std::isnan(p), "p is NaN", "p is a number, or an infinity for the largest or smallest element");
  return in_wide(r.floating().x, [&](const Tensor& x) -> Tensor {
    const Tensor magnitude = abs(x);
    if (p == infinity) return reduce_max(magnitude, Axes(r.axes), keep_dims);
    if (p == -infinity) return reduce_min(magnitude, Axes(r.axes), keep_dims);
    if (p == 0) return sum(convert(not_equal(x, 0), x.dtype()), r.axes, keep_dims);
    if (p == 1) return sum(magnitude, r.axes, keep_dims);
    if (p == 2) return norm_sqrt(sum(x * x, r.axes, keep_dims));
    if (p < 0) {
      const Tensor total = sum(power(magnitude, p), r.axes, keep_dims);
      return select(equal(total, 0), infinity, power(total, 1 / p));
    }
    // A power below 1 has an infinite derivative at 0: zeros are taken out before it.
    const auto power_of = [](const Tensor& t, double exponent) {
      const Tensor zero = equal(t, 0);
      return select(zero, 0, power(select(zero, 1, t), exponent));
    };
    return power_of(sum(power_of(magnitude, p), r.axes, keep_dims), 1 / p);
  });
}

Tensor pairwise_distance(const Operand& a, const Operand& b, double p, double eps, bool keep_dims) {
  LocationScope scope(a.location());
  return vector_norm(a - b + eps, p, -1, keep_dims);
}

Tensor cdist(const Operand& a, const Operand& b, double p) {
  Composite of({&a, &b}, "cdist");
  const Tensor x = of.tensor(a), y = of.tensor(b);
  if (x.rank() < 2 || y.rank() < 2 || !(x.dim(-1) == y.dim(-1)))
    of.fail(ErrorCode::shape_mismatch, fmt::format("{} and {} are no rows of one length", to_string(x), to_string(y)),
            "they are [..., m, n] and [..., k, n]");
  return vector_norm(expand_dims(x, -2) - expand_dims(y, -3), p, -1);
}

Tensor norm(const Operand& x, double p, const Axes& axes, bool keep_dims) { return vector_norm(x, p, axes, keep_dims); }

Tensor nansum(const Operand& operand, const Axes& axes, bool keep_dims) {
  Reduced r(operand, "nansum", axes);
  return sum(without_nan(r.floating().x, 0), r.axes, keep_dims);
}

Tensor nanprod(const Operand& operand, const Axes& axes, bool keep_dims) {
  Reduced r(operand, "nanprod", axes);
  return reduce_prod(without_nan(r.floating().x, 1), Axes(r.axes), keep_dims);
}

Tensor nanmean(const Operand& operand, const Axes& axes, bool keep_dims) {
  Reduced r(operand, "nanmean", axes);
  return in_wide(r.floating().x,
                 [&](const Tensor& x) { return sum(without_nan(x, 0), r.axes, keep_dims) / count_numbers(x, r.axes, keep_dims); });
}

Tensor nanmax(const Operand& x, const Axes& axes, bool keep_dims) { return nan_extremum("nanmax", x, axes, keep_dims, true); }
Tensor nanmin(const Operand& x, const Axes& axes, bool keep_dims) { return nan_extremum("nanmin", x, axes, keep_dims, false); }
Tensor nanvar(const Operand& x, const Axes& axes, bool keep_dims, std::int64_t ddof) {
  return nan_variance("nanvar", x, axes, keep_dims, ddof, false);
}
Tensor nanstd(const Operand& x, const Axes& axes, bool keep_dims, std::int64_t ddof) {
  return nan_variance("nanstd", x, axes, keep_dims, ddof, true);
}

}  // namespace kiln

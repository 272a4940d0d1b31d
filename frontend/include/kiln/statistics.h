// Statistics and norms of axes, written in reductions, which the compiler computes in as few trips through memory as they need.
//
// As for every reduction, axes are one, a list, or (by default) all, and keep_dims keeps them with extent 1. f16 and bf16 are computed in
// f32. Floating tensors only, unless said otherwise.
#pragma once

#include "kiln/operators.h"

namespace kiln {

/// sum((x - mean)^2) / (n - ddof): ddof 0 is the population's variance (NumPy's default), 1 the sample's (PyTorch's). NaN where n <= ddof.
Tensor reduce_variance(const Operand& x, const Axes& axes = {}, bool keep_dims = false, std::int64_t ddof = 0);
/// Its square root, whose gradient at 0 is 0.
Tensor reduce_std(const Operand& x, const Axes& axes = {}, bool keep_dims = false, std::int64_t ddof = 0);

struct Moments {
  Tensor mean, variance;
};
/// Both at once.
Moments moments(const Operand& x, const Axes& axes = {}, bool keep_dims = false, std::int64_t ddof = 0);

/// How many elements (i64) are not 0, or are true; of any dtype. NaN is not 0.
Tensor count_nonzero(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
/// The maximum less the minimum, of numbers: numpy.ptp.
Tensor ptp(const Operand& x, const Axes& axes = {}, bool keep_dims = false);

/// ONNX's norms: sum |x|, sqrt(sum x^2), sum x^2 (numbers of any dtype but for the root), log(sum x).
Tensor reduce_l1(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor reduce_l2(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor reduce_sum_square(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor reduce_log_sum(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
/// The p-norm of the elements as one vector: (sum |x|^p)^(1/p); p = infinity: the largest |x|, -infinity: the smallest, 0: how many are not
/// 0 (torch.linalg.vector_norm). The gradient at 0 is 0. Norms of matrices are in kiln/linear_algebra.h.
Tensor vector_norm(const Operand& x, double p = 2, const Axes& axes = {}, bool keep_dims = false);
/// |a - b + eps|_p of rows: [..., n] and [..., n] -> [...]. torch.nn.functional.pairwise_distance.
Tensor pairwise_distance(const Operand& a, const Operand& b, double p = 2, double eps = 1e-6, bool keep_dims = false);
/// |a_i - b_j|_p of every row of a with every row of b: [..., m, n] and [..., k, n] -> [..., m, k]. torch.cdist, scipy's cdist.
Tensor cdist(const Operand& a, const Operand& b, double p = 2);
/// vector_norm() under NumPy's name.
Tensor norm(const Operand& x, double p = 2, const Axes& axes = {}, bool keep_dims = false);

/// The same without the elements that are NaN (numpy.nansum ...). Of nothing but NaN: the sum is 0, the product 1, the others NaN.
Tensor nansum(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor nanprod(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor nanmean(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor nanmax(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor nanmin(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
Tensor nanvar(const Operand& x, const Axes& axes = {}, bool keep_dims = false, std::int64_t ddof = 0);
Tensor nanstd(const Operand& x, const Axes& axes = {}, bool keep_dims = false, std::int64_t ddof = 0);

}  // namespace kiln

// Random tensors beyond Graph::random_uniform and Graph::random_normal.
//
// All draw anew in every run and in every iteration of a loop; the bits are a function of the session's seed, the run's number, the loops'
// iterations and the draw's stream, and are the same on every engine, target and number of threads. A draw's stream comes from its scope (a
// variable's initializer, a body of a loop or branch, else the graph; within it, the functions below one by one) and its place among the
// draws of that scope: what draws nothing never shifts a draw, and neither does a draw in another scope, or one that is made later.
//
// Draws of a standard distribution take a graph, a dtype and dims; location and scale are arithmetic: mean + stddev * g.random_normal(f32,
// {n}), which is also how gradients reach them. Draws with parameters of their own take them as tensors and have their shape.
#pragma once

#include "kiln/operators.h"

namespace kiln {

// ---- Continuous distributions ------------------------------------------------------------------------------------------

/// The normal distribution with this mean and deviation, restricted to low..high (in the same units).
struct TruncatedNormalOptions {
  double mean = 0, stddev = 1;
  double low = -2, high = 2;
};
Tensor random_truncated_normal(Graph& graph, DType dtype, const Dims& dims, TruncatedNormalOptions options = {},
                               std::source_location location = std::source_location::current());
/// Density exp(-x) for x >= 0.
Tensor random_exponential(Graph& graph, DType dtype, const Dims& dims, std::source_location location = std::source_location::current());
/// Density exp(-|x|) / 2.
Tensor random_laplace(Graph& graph, DType dtype, const Dims& dims, std::source_location location = std::source_location::current());
/// Distribution function exp(-exp(-x)).
Tensor random_gumbel(Graph& graph, DType dtype, const Dims& dims, std::source_location location = std::source_location::current());
/// Distribution function 1 / (1 + exp(-x)).
Tensor random_logistic(Graph& graph, DType dtype, const Dims& dims, std::source_location location = std::source_location::current());
/// Density 1 / (pi (1 + x^2)).
Tensor random_cauchy(Graph& graph, DType dtype, const Dims& dims, std::source_location location = std::source_location::current());

/// Uniform in [0, 1), or standard normal, of x's dtype and dims.
Tensor random_uniform_like(const Operand& x);
Tensor random_normal_like(const Operand& x);

/// The gamma distribution with these shape parameters (> 0) and scale 1, by Marsaglia and Tsang's rejection (2000). Divide by a rate,
/// through which gradients flow; none flows to the shape parameter.
Tensor random_gamma(const Operand& concentration);
/// The beta distribution, from two gammas: parameters > 0. No gradient flows to them.
Tensor random_beta(const Operand& a, const Operand& b);
/// The Dirichlet distribution along the last axis, which sums to 1. No gradient flows to the parameters.
Tensor random_dirichlet(const Operand& concentration);

// ---- Discrete distributions --------------------------------------------------------------------------------------------

/// Integers in low..high-1, every one with the same probability (Lemire 2019: words that would favour some are drawn again). Dtype i32,
/// i64, u8...
Tensor random_integers(Graph& graph, DType dtype, const Dims& dims, std::int64_t low, std::int64_t high,
                       std::source_location location = std::source_location::current());
/// True with these probabilities.
Tensor random_bernoulli(const Operand& probabilities);
/// The Poisson distribution with these rates >= 0, in their floating dtype: Knuth's product of uniforms below 10, Hoermann's PTRS (1993)
/// from there.
Tensor random_poisson(const Operand& rate);
/// Class numbers (i64) with probabilities softmax(logits) along the last axis: [..., classes] -> [...]. A class with a logit of -inf never
/// comes.
Tensor random_categorical(const Operand& logits);
/// `count` independent classes: [..., classes] -> [..., count]. Without replacement all differ, as if drawn one after the other and put
/// aside; of fewer than `count` classes with probability, the others follow.
///   random_multinomial(log(probabilities), 3, false)
Tensor random_multinomial(const Operand& logits, const Dim& count, bool replacement);
/// 0 ... n - 1 in random order (i64); every order has the same probability, up to the collisions of 64-bit keys.
Tensor random_permutation(Graph& graph, const Dim& n, std::source_location location = std::source_location::current());
/// Slices of x along an axis in random order.
Tensor shuffle(const Operand& x, std::int64_t axis = 0);

// ---- Dropout -------------------------------------------------------------------------------------------------------------

/// x with each element set to 0 with probability `rate` and the others scaled by 1 / (1 - rate).
Tensor dropout(const Operand& x, double rate);
/// Whole channels at once: one decision for each index of the first axis and of `channel_axis` (Tompson et al. 2015, arXiv:1411.4280).
Tensor channel_dropout(const Operand& x, double rate, std::int64_t channel_axis = 1);
/// Dropped elements take SELU's negative limit, and all are scaled and moved so that mean 0 and variance 1 stay (Klambauer et al. 2017,
/// arXiv:1706.02515).
Tensor alpha_dropout(const Operand& x, double rate);

}  // namespace kiln

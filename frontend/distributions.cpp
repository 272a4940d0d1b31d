// Random distributions (kiln/random.h).
//
// Closed forms where the quantile function is one. Rejection methods are loops: in each iteration every element draws a proposal, elements
// that had one accepted keep it, and the loop ends when all have. An element's result depends on its own draws alone, so it is the same
// whatever its neighbours do and on any number of threads.
#include "kiln/random.h"

#include <fmt/format.h>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "frontend/draws.h"
#include "kiln/control.h"
#include "kiln/normalization.h"

namespace kiln {

using namespace detail;

namespace {

/// The inverse of erf, by Giles' polynomials (Approximating the erfinv function, GPU Computing Gems 2, 2012), whose error of some 1e-7 one
/// Newton step squares.
Tensor inverse_erf(const Tensor& x) {
  const Tensor w = -log((1 - x) * (1 + x));
  const auto polynomial = [](const Tensor& t, std::initializer_list<double> coefficients) {
    Tensor sum;
    for (const double c : coefficients) sum = sum.valid() ? sum * t + c : zeros_like(t) + c;
    return sum;
  };
  const Tensor centre = polynomial(w - 2.5, {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
                                             -0.00417768164, 0.246640727, 1.50140941});
  const Tensor tail = polynomial(sqrt(maximum(w, 5)) - 3, {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                                                           -0.0076224613, 0.00943887047, 1.00167406, 2.83297682});
  const Tensor y = select(less(w, 5), centre, tail) * x;
  return y - (erf(y) - x) * (std::sqrt(std::numbers::pi) / 2) * exp(y * y);
}

/// A draw without tensor operands.
struct Draw {
  Draw(Graph& graph, const char* name, DType dtype, const Dims& dims, const Location& location)
      : of(graph, name, location), scope(of.state(), name), dtype(dtype), compute(dtype == f64 ? f64 : f32), dims(dims) {
    of.state().use_symbols(to_ir(dims), of.emitter().location());
  }
  void require_floating() const {
    if (!is_floating(dtype))
      of.fail(ErrorCode::dtype_mismatch, fmt::format("there are no such numbers of dtype {}", name_of(dtype)),
              "draw in f32, and convert() the result");
  }
  Tensor open_unit() { return draw_open_unit(of, compute, dims); }
  Composite of;
  DrawScope scope;
  DType dtype, compute;
  const Dims& dims;
};

/// Parameters as tensors of one shape, without gradients.
struct Parameters {
  Parameters(std::initializer_list<const Operand*> operands, const char* name, bool wide = false)
      : of(operands, name), scope(of.state(), name) {
    for (const Operand* operand : operands) values.push_back(of.tensor(*operand));
    of.require_floating(values[0]);
    Tensor common = values[0];
    for (std::size_t i = 1; i < values.size(); ++i) common = common + values[i];  // for its dims alone
    for (Tensor& value : values) value = stop_gradient(broadcast_to(value, common.dims()));
    dtype = values[0].dtype();
    compute = dtype == f64 || wide ? f64 : f32;
    dims = common.dims();
    for (Tensor& value : values) value = convert(value, compute);
  }
  Composite of;
  DrawScope scope;
  std::vector<Tensor> values;
  DType dtype, compute;
  Dims dims;
};

/// Draws proposals until each element has accepted one. `propose` yields the proposals and which of them are accepted; elements whose
/// `start` is true need none, and stay at `value`.
Tensor reject(const Tensor& start, const Tensor& value, const std::function<std::pair<Tensor, Tensor>()>& propose) {
  return while_loop([](const auto& v) { return logical_not(reduce_all(v[0])); },
                    [&](const auto& v) {
                      const auto [proposal, accepted] = propose();
                      return std::vector<Tensor>{logical_or(v[0], accepted), select(v[0], v[1], select(accepted, proposal, v[1]))};
                    },
                    {start, value})[1];
}

/// log of a gamma variate: the logarithm, because a shape parameter near 0 makes the variate itself underflow.
///
/// Marsaglia and Tsang, A simple method for generating gamma variables (ACM TOMS 26, 2000): d v with v = (1 + c x)^3 for a normal x,
/// accepted where log u < x^2 / 2 + d (1 - v + log v). A shape below 1 is raised by 1, and the variate multiplied by u^(1 / shape).
Tensor log_gamma_variate(Parameters& of, const Tensor& concentration) {
  const Tensor small = less(concentration, 1);
  const Tensor d = select(small, concentration + 1, concentration) - 1.0 / 3;
  const Tensor c = (1.0 / 3) * rsqrt(d);
  // NaN and parameters that are not positive have no variates: their NaN must not keep the loop going.
  const Tensor broken = logical_not(greater(concentration, 0));
  const Tensor boost = log(draw_open_unit(of.of, of.compute, of.dims));
  const Tensor log_variate = reject(broken, zeros_like(d), [&] {
    const Tensor x = draw_normal(of.of, of.compute, of.dims);
    const Tensor root = 1 + c * x;
    const Tensor positive = greater(root, 0);
    const Tensor log_v = 3 * log(select(positive, root, 1));
    const Tensor u = draw_open_unit(of.of, of.compute, of.dims);
    const Tensor accepted = logical_and(positive, less(log(u), 0.5 * x * x + d * (1 - exp(log_v) + log_v)));
    return std::pair(log(d) + log_v, accepted);
  });
  const Tensor result = select(small, log_variate + boost / select(small, concentration, 1), log_variate);
  return select(broken, std::numeric_limits<double>::quiet_NaN(), result);
}

}  // namespace

// ---- continuous

Tensor random_truncated_normal(Graph& graph, DType dtype, const Dims& dims, TruncatedNormalOptions options, std::source_location location) {
  Draw draw(graph, "random_truncated_normal", dtype, dims, location);
  draw.require_floating();
  draw.of.require(options.stddev > 0, fmt::format("stddev is {}", options.stddev), "stddev > 0");
  draw.of.require(options.low < options.high, fmt::format("low is {}, high is {}", options.low, options.high), "low < high");
  // The quantile function: of the normal distribution's values between the bounds, the one at a uniform probability.
  const double from = (options.low - options.mean) / options.stddev, to = (options.high - options.mean) / options.stddev;
  const double low = std::erf(from / std::numbers::sqrt2), high = std::erf(to / std::numbers::sqrt2);
  draw.of.require(high - low > 1e-6, fmt::format("the interval {}..{} has next to no probability", options.low, options.high),
                  "bounds lie within some standard deviations of the mean");
  const Tensor u = draw_unit(draw.of, draw.compute, dims) * (high - low) + low;
  return convert(clamp(inverse_erf(u) * std::numbers::sqrt2, from, to) * options.stddev + options.mean, dtype);
}

Tensor random_exponential(Graph& graph, DType dtype, const Dims& dims, std::source_location location) {
  Draw draw(graph, "random_exponential", dtype, dims, location);
  draw.require_floating();
  return convert(-log(draw.open_unit()), dtype);
}

Tensor random_laplace(Graph& graph, DType dtype, const Dims& dims, std::source_location location) {
  Draw draw(graph, "random_laplace", dtype, dims, location);
  draw.require_floating();
  // u below 1/2: log(2 u); above: -log(2 (1 - u)).
  const Tensor u = draw.open_unit();
  return convert(select(less(u, 0.5), log(2 * u), -log(2 * (1 - u))), dtype);
}

Tensor random_gumbel(Graph& graph, DType dtype, const Dims& dims, std::source_location location) {
  Draw draw(graph, "random_gumbel", dtype, dims, location);
  draw.require_floating();
  return draw_gumbel(draw.of, dtype, dims);
}

Tensor random_logistic(Graph& graph, DType dtype, const Dims& dims, std::source_location location) {
  Draw draw(graph, "random_logistic", dtype, dims, location);
  draw.require_floating();
  const Tensor u = draw.open_unit();
  return convert(log(u) - log1p(-u), dtype);
}

Tensor random_cauchy(Graph& graph, DType dtype, const Dims& dims, std::source_location location) {
  Draw draw(graph, "random_cauchy", dtype, dims, location);
  draw.require_floating();
  return convert(tan((draw.open_unit() - 0.5) * std::numbers::pi), dtype);
}

Tensor random_uniform_like(const Operand& operand) {
  Composite of({&operand}, "random_uniform_like");
  DrawScope scope(of.state(), "random_uniform_like");
  const Tensor x = of.tensor(operand);
  of.require_floating(x);
  return draw_unit(of, x.dtype(), x.dims());
}

Tensor random_normal_like(const Operand& operand) {
  Composite of({&operand}, "random_normal_like");
  DrawScope scope(of.state(), "random_normal_like");
  const Tensor x = of.tensor(operand);
  of.require_floating(x);
  return convert(draw_normal(of, x.dtype(), x.dims()), x.dtype());
}

Tensor random_gamma(const Operand& concentration) {
  Parameters of({&concentration}, "random_gamma");
  return convert(exp(log_gamma_variate(of, of.values[0])), of.dtype);
}

Tensor random_beta(const Operand& a, const Operand& b) {
  Parameters of({&a, &b}, "random_beta");
  const Tensor x = log_gamma_variate(of, of.values[0]), y = log_gamma_variate(of, of.values[1]);
  return convert(sigmoid(x - y), of.dtype);
}

Tensor random_dirichlet(const Operand& concentration) {
  Parameters of({&concentration}, "random_dirichlet");
  of.of.require_rank(of.values[0], 1, "a vector of parameters", "the last axis sums to 1");
  return convert(softmax(log_gamma_variate(of, of.values[0]), -1), of.dtype);
}

// ---- discrete

Tensor random_integers(Graph& graph, DType dtype, const Dims& dims, std::int64_t low, std::int64_t high, std::source_location location) {
  Draw draw(graph, "random_integers", dtype, dims, location);
  if (!is_integer(dtype))
    draw.of.fail(ErrorCode::dtype_mismatch, fmt::format("{} is no integer dtype", name_of(dtype)),
                 "draw i32 or i64, and convert() the result");
  draw.of.require(low < high, fmt::format("low is {}, high is {}", low, high), "low < high");
  const bool fits = visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) return std::in_range<T>(low) && std::in_range<T>(high - 1);
    return false;
  });
  if (!fits)
    draw.of.fail(ErrorCode::dtype_mismatch, fmt::format("{} does not hold all numbers from {} to {}", name_of(dtype), low, high - 1),
                 "draw in a wider dtype");
  const std::uint64_t range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  const ir::Dims extents = to_ir(dims);
  const auto word = [&] { return convert(draw_bits(draw.of.state(), "random_integers", extents, draw.of.emitter().location()), u64); };
  const auto wide = [&](std::uint64_t value) { return draw.of.graph().constant(Array(value)); };
  const auto shifted = [&](ir::Op op, const Tensor& x, std::uint64_t count) { return apply(op, {x, broadcast_to(wide(count), x.dims())}); };

  Tensor drawn;
  if (range <= std::uint64_t{1} << 32) {
    // Lemire, Fast random integer generation in an interval (2019): the high word of word * range, unless the low word is one of the first
    // 2^32 mod range, which would come once too often.
    const std::uint64_t threshold = (std::uint64_t{1} << 32) % range;
    const auto propose = [&] {
      const Tensor product = word() * wide(range);
      const Tensor low_word = apply(ir::Op::and_, {product, broadcast_to(wide(0xFFFFFFFFu), product.dims())});
      return std::pair(shifted(ir::Op::shift_right_logical, product, 32), greater_equal(low_word, wide(threshold)));
    };
    if (threshold == 0)
      drawn = propose().first;
    else
      drawn = reject(draw.of.full(DType::boolean, dims, false), draw.of.full(u64, dims, 0), propose);
  } else {
    // Whole 64-bit words below the largest multiple of the range, modulo the range.
    const std::uint64_t excess = (std::numeric_limits<std::uint64_t>::max() % range + 1) % range;
    const auto propose = [&] {
      const Tensor both = shifted(ir::Op::shift_left, word(), 32) + word();
      return std::pair(both % wide(range), less_equal(both, wide(std::numeric_limits<std::uint64_t>::max() - excess)));
    };
    drawn = reject(draw.of.full(DType::boolean, dims, false), draw.of.full(u64, dims, 0), propose);
  }
  // Two's complement: the sum wraps around to the right integer whatever the sign of low.
  return convert(convert(drawn + wide(static_cast<std::uint64_t>(low)), i64), dtype);
}

Tensor random_bernoulli(const Operand& probabilities) {
  Composite of({&probabilities}, "random_bernoulli");
  DrawScope scope(of.state(), "random_bernoulli");
  const Tensor p = of.tensor(probabilities);
  of.require_floating(p);
  const DType compute = p.dtype() == f64 ? f64 : f32;
  return less(draw_unit(of, compute, p.dims()), convert(p, compute));
}

namespace {

/// log(k!) by Stirling's series at k + 8, whose first terms are exact to f64 there, and the product of the factors in between.
Tensor log_factorial(const Tensor& k) {
  Tensor product = k + 1;
  for (int i = 2; i <= 7; ++i) product = product * (k + i);
  const Tensor x = k + 8, inverse = 1 / x, square_inverse = inverse * inverse;
  const Tensor series = inverse * (1.0 / 12 - square_inverse * (1.0 / 360 - square_inverse * (1.0 / 1260 - square_inverse * (1.0 / 1680))));
  return (x - 0.5) * log(x) - x + 0.5 * std::log(2 * std::numbers::pi) + series - log(product);
}

}  // namespace

Tensor random_poisson(const Operand& rate) {
  // In f64 whatever the dtype: acceptance compares numbers of the size of mu log(mu) that differ by some units.
  Parameters of({&rate}, "random_poisson", true);
  const Tensor& mu = of.values[0];
  const Tensor valid = greater_equal(mu, 0), large = greater_equal(mu, 10);

  // Knuth: as many uniforms as their product stays above exp(-mu).
  const Tensor limit = exp(-select(logical_and(valid, logical_not(large)), mu, 0));
  const Tensor few = while_loop([](const auto& v) { return logical_not(reduce_all(v[0])); },
                                [&](const auto& v) {
                                  const Tensor product = v[1] * draw_open_unit(of.of, of.compute, of.dims);
                                  const Tensor done = logical_or(v[0], less_equal(product, limit));
                                  return std::vector<Tensor>{done, product, select(done, v[2], v[2] + 1)};
                                },
                                {logical_or(large, logical_not(valid)), ones_like(mu), zeros_like(mu)})[2];

  // Hoermann, The transformed rejection method for generating Poisson random variables (1993), algorithm PTRS.
  const Tensor infinite = equal(mu, std::numeric_limits<double>::infinity());
  const Tensor m = select(logical_and(large, logical_not(infinite)), mu, 10);
  const Tensor b = 0.931 + 2.53 * sqrt(m), a = -0.059 + 0.02483 * b;
  const Tensor inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), log_m = log(m);
  const Tensor many = reject(logical_or(logical_not(large), infinite), m, [&] {
    const Tensor u = draw_open_unit(of.of, of.compute, of.dims) - 0.5, v = draw_open_unit(of.of, of.compute, of.dims);
    const Tensor us = 0.5 - abs(u);
    const Tensor k = floor((2 * a / us + b) * u + m + 0.43);
    const Tensor inside = logical_and(greater_equal(k, 0), logical_not(logical_and(less(us, 0.013), greater(v, us))));
    const Tensor safe = maximum(k, 0);
    const Tensor accepted = less_equal(log(v * inverse_alpha / (a / (us * us) + b)), safe * log_m - m - log_factorial(safe));
    return std::pair(k, logical_and(inside, accepted));
  });
  const Tensor drawn = select(large, select(infinite, mu, many), few);
  return convert(select(valid, drawn, std::numeric_limits<double>::quiet_NaN()), of.dtype);
}

namespace {

struct Logits {
  Logits(const Operand& operand, const char* name) : of({&operand}, name), scope(of.state(), name), logits(of.tensor(operand)) {
    of.require_floating(logits);
    of.require_rank(logits, 1, "a vector of logits", "the last axis runs over the classes");
    compute = logits.dtype() == f64 ? f64 : f32;
    logits = stop_gradient(convert(logits, compute));
  }
  Composite of;
  DrawScope scope;
  Tensor logits;
  DType compute;
};

}  // namespace

Tensor random_categorical(const Operand& operand) {
  Logits of(operand, "random_categorical");
  // Gumbel's trick: the largest of logits with independent Gumbel noise is distributed as their softmax.
  return argmax(of.logits + draw_gumbel(of.of, of.compute, of.logits.dims()), -1);
}

Tensor random_multinomial(const Operand& operand, const Dim& count, bool replacement) {
  Logits of(operand, "random_multinomial");
  const std::size_t rank = of.logits.rank();
  of.of.state().use_symbols({DimValue::unwrap(count)}, of.of.emitter().location());
  if (replacement) {
    std::vector<Dim> dims;
    for (const Dim& dim : of.logits.dims()) dims.push_back(dim);
    dims.insert(dims.end() - 1, count);
    const Tensor noise = draw_gumbel(of.of, of.compute, dims);
    return argmax(expand_dims(of.logits, static_cast<std::int64_t>(rank) - 1) + noise, -1);
  }
  const ir::Dim classes = type_of(of.logits).dims.back(), wanted = DimValue::unwrap(count);
  if (ir::less(classes, wanted) != ir::Truth::no)
    of.of.fail(ErrorCode::shape_mismatch,
               fmt::format("{} different classes are asked for, but there {} {}", ir::to_string(wanted),
                           ir::less(classes, wanted) == ir::Truth::yes ? "are" : "may be only", ir::to_string(classes)),
               "draw with replacement, or bound the symbols");
  // The largest `count` of logits with Gumbel noise (Vieira 2014; Kool et al. 2019, arXiv:1903.06059).
  const Tensor noisy = of.logits + draw_gumbel(of.of, of.compute, of.logits.dims());
  const Tensor order = apply(ir::Op::argsort, {noisy}, {{"dimension", static_cast<std::int64_t>(rank) - 1}, {"descending", true}});
  Dims starts(std::vector<Dim>(rank, Dim(0))), limits = order.dims();
  limits[rank - 1] = count;
  return slice(order, starts, limits);
}

namespace {

Tensor permutation(Composite& of, const Dim& n) {
  const ir::Dims extents{DimValue::unwrap(n)};
  const auto word = [&] { return draw_bits(of.state(), of.emitter().op(), extents, of.emitter().location()); };
  const Tensor high = word(), low = word();
  return apply(ir::Op::argsort, {high, low}, {{"dimension", std::int64_t{0}}});
}

}  // namespace

Tensor random_permutation(Graph& graph, const Dim& n, std::source_location location) {
  Composite of(graph, "random_permutation", location);
  DrawScope scope(of.state(), "random_permutation");
  of.state().use_symbols({DimValue::unwrap(n)}, of.emitter().location());
  return permutation(of, n);
}

Tensor shuffle(const Operand& operand, std::int64_t axis) {
  Composite of({&operand}, "shuffle");
  DrawScope scope(of.state(), "shuffle");
  const Tensor x = of.tensor(operand);
  const std::int64_t along = of.axis(axis, x);
  if (x.dim(along) == Dim(0)) return x;
  return take(x, permutation(of, x.dim(along)), along);
}

}  // namespace kiln

// Fourier transforms, windows and filter banks (kiln/signal.h).
#include "kiln/signal.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "frontend/composite.h"

namespace kiln {

using namespace detail;

namespace {

/// cos and sin of 2 pi j k / n, [samples, frequencies].
struct Waves {
  Waves(Composite& of, const Dim& n, const Dim& samples, const Dim& frequencies, DType dtype) {
    const Tensor turns = of.iota(i64, {samples, frequencies}, 0) * of.iota(i64, {samples, frequencies}, 1) % of.count({n}, {0}, i64);
    const Tensor angle = convert(turns, dtype) * (2 * std::numbers::pi / of.count({n}, {0}, dtype));
    cosine = cos(angle);
    sine = sin(angle);
  }
  Tensor cosine, sine;
};

Tensor last_part(const Tensor& x, std::int64_t index) {
  Dims starts(std::vector<Dim>(x.rank(), Dim(0))), limits = x.dims();
  starts[x.rank() - 1] = index;
  limits[x.rank() - 1] = index + 1;
  return squeeze(slice(x, starts, limits), -1);
}

/// Axis `from` moved to place `to`, the others keeping their order.
Tensor moved_axis(const Tensor& x, std::int64_t from, std::int64_t to) {
  std::vector<std::int64_t> permutation(x.rank());
  std::iota(permutation.begin(), permutation.end(), 0);
  permutation.erase(permutation.begin() + from);
  permutation.insert(permutation.begin() + to, from);
  return std::is_sorted(permutation.begin(), permutation.end()) ? x : transpose(x, permutation);
}

/// The transform along the last axis of parts [..., n]; `imaginary` may be missing.
Tensor transform(Composite& of, const Tensor& real, const Tensor& imaginary, bool inverse, bool onesided) {
  const Dim n = real.dim(-1), frequencies = onesided ? n / 2 + 1 : n;
  const Waves waves(of, n, n, frequencies, real.dtype());
  const Tensor sine = inverse ? -waves.sine : waves.sine;
  Tensor re = matmul(real, waves.cosine), im = -matmul(real, sine);
  if (imaginary.valid()) {
    re = re + matmul(imaginary, sine);
    im = im + matmul(imaginary, waves.cosine);
  }
  const Tensor result = stack({re, im}, -1);
  return inverse ? result / of.count({n}, {0}, real.dtype()) : result;
}

}  // namespace

Tensor dft(const Operand& operand, const DftOptions& options) {
  Composite of({&operand}, "dft");
  const Tensor x = of.tensor(operand);
  of.require_floating(x, true);
  of.require_rank(x, 2, "a signal", "x is [..., n, 2], or [..., n, 1] for a real one");
  if (!(x.dim(-1) == Dim(2)) && !(x.dim(-1) == Dim(1)))
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("the last axis of {} holds real and imaginary part, and must have the extent 1 or 2", to_string(x)),
            "expand_dims(x, -1) makes a real signal");
  const auto last = static_cast<std::int64_t>(x.rank()) - 1;
  const std::int64_t axis = of.axis(options.axis, x);
  of.require(axis != last, "the last axis holds real and imaginary part", "the signal runs along another axis");
  const auto part = [&](std::int64_t index) { return moved_axis(last_part(x, index), axis, last - 1); };
  const Tensor result = transform(of, part(0), x.dim(-1) == Dim(2) ? part(1) : Tensor(), options.inverse, options.onesided);
  return moved_axis(result, last - 1, axis);
}

Tensor rfft(const Operand& operand, std::int64_t axis) {
  Composite of({&operand}, "rfft");
  const Tensor x = of.tensor(operand);
  of.require_floating(x, true);
  const std::int64_t along = of.axis(axis, x), last = static_cast<std::int64_t>(x.rank()) - 1;
  return moved_axis(transform(of, moved_axis(x, along, last), Tensor(), false, true), last, along);
}

Tensor irfft(const Operand& operand, const Dim& n) {
  Composite of({&operand}, "irfft");
  const Tensor x = of.tensor(operand);
  of.require_floating(x, true);
  of.require_rank(x, 2, "a spectrum", "x is [..., n / 2 + 1, 2]");
  const Dim frequencies = n / 2 + 1;
  if (!(x.dim(-1) == Dim(2)) || !(x.dim(-2) == frequencies))
    of.fail(
        ErrorCode::shape_mismatch,
        fmt::format("the spectrum of a signal of length {} is [..., {}, 2], not {}", to_string(n), to_string(frequencies), to_string(x)),
        "n / 2 + 1 frequencies, and two parts");
  of.state().use_symbols({DimValue::unwrap(n)}, of.emitter().location());
  // Frequencies but the first, and the middle one of an even length, stand for their mirror images too.
  const Tensor k = of.iota(i64, {frequencies}, 0), length = of.count({n}, {0}, i64);
  const Tensor weight = convert(select(logical_or(equal(k, 0), equal(2 * k, length)), ones_like(k), ones_like(k) * 2), x.dtype());
  const Waves waves(of, n, frequencies, n, x.dtype());
  return (matmul(last_part(x, 0) * weight, waves.cosine) - matmul(last_part(x, 1) * weight, waves.sine)) / of.count({n}, {0}, x.dtype());
}

Tensor stft(const Operand& operand, const StftOptions& options) {
  Composite of({&operand}, "stft");
  const Tensor x = of.tensor(operand);
  of.require_floating(x, true);
  of.require_rank(x, 1, "a signal", "the last axis runs over time");
  of.require(options.frame_length >= 1 && options.frame_step >= 1,
             fmt::format("frame_length is {}, frame_step {}", options.frame_length, options.frame_step), "both are at least 1");
  const Dim time = x.dim(-1), length = options.frame_length;
  const Dim frames = larger((time - length + options.frame_step) / options.frame_step, 0);
  const Tensor index = of.iota(i64, {frames, length}, 0) * options.frame_step + of.iota(i64, {frames, length}, 1);
  Tensor framed = time == Dim(0) ? of.full(x.dtype(), {0, length}, 0) : take(x, index, -1);
  if (options.window.valid()) {
    const Tensor window = of.tensor(options.window);
    if (!(window.dims() == Dims{length}) || window.dtype() != x.dtype())
      of.fail(window.dtype() != x.dtype() ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
              fmt::format("the window is {}, but frames are {}[{}]", to_string(window), name_of(x.dtype()), options.frame_length),
              "the window has the dtype of the signal and the length of a frame");
    framed = framed * window;
  }
  return transform(of, framed, Tensor(), false, options.onesided);
}

namespace {

Tensor window(Graph& graph, const char* name, DType dtype, const Dim& size, bool periodic, std::initializer_list<double> coefficients,
              const Location& location) {
  Composite of(graph, name, location);
  of.require(is_floating(dtype), fmt::format("there is no window of dtype {}", name_of(dtype)), "use f32");
  of.state().use_symbols({DimValue::unwrap(size)}, of.emitter().location());
  const DType compute = dtype == f64 ? f64 : f32;
  const Tensor count = of.count({size}, {0}, compute);
  const Tensor angle = of.iota(compute, {size}, 0) * (2 * std::numbers::pi) / maximum(periodic ? count : count - 1, 1);
  Tensor sum;
  double sign = 1, order = 0;
  for (const double c : coefficients) {
    sum = sum.valid() ? sum + sign * c * cos(order * angle) : zeros_like(angle) + c;
    sign = -sign;
    ++order;
  }
  return convert(sum, dtype);
}

}  // namespace

Tensor hann_window(Graph& graph, DType dtype, const Dim& size, bool periodic, std::source_location location) {
  return window(graph, "hann_window", dtype, size, periodic, {0.5, 0.5}, location);
}
Tensor hamming_window(Graph& graph, DType dtype, const Dim& size, bool periodic, std::source_location location) {
  return window(graph, "hamming_window", dtype, size, periodic, {25.0 / 46, 21.0 / 46}, location);
}
Tensor blackman_window(Graph& graph, DType dtype, const Dim& size, bool periodic, std::source_location location) {
  return window(graph, "blackman_window", dtype, size, periodic, {0.42, 0.5, 0.08}, location);
}

Tensor mel_weight_matrix(Graph& graph, DType dtype, const MelOptions& options, std::source_location location) {
  Composite of(graph, "mel_weight_matrix", location);
  of.require(is_floating(dtype), fmt::format("there are no weights of dtype {}", name_of(dtype)), "use f32");
  of.require(options.bins >= 1 && options.dft_length >= 1 && options.sample_rate > 0,
             fmt::format("bins is {}, dft_length {}, sample_rate {}", options.bins, options.dft_length, options.sample_rate),
             "all are positive");
  of.require(options.low >= 0 && options.low < options.high && options.high <= options.sample_rate / 2,
             fmt::format("the filters span {} to {} Hz of a signal sampled at {} Hz", options.low, options.high, options.sample_rate),
             "0 <= low < high <= sample_rate / 2");
  const auto mel = [](double hz) { return 2595 * std::log10(1 + hz / 700); };
  const double low = mel(options.low), step = (mel(options.high) - low) / static_cast<double>(options.bins + 2);
  const std::int64_t frequencies = options.dft_length / 2 + 1;
  const auto edge = [&](std::int64_t i) {
    const double hz = 700 * (std::pow(10, (low + step * static_cast<double>(i)) / 2595) - 1);
    return static_cast<std::int64_t>(std::floor(static_cast<double>(options.dft_length + 1) * hz / options.sample_rate));
  };
  std::vector<double> weights(static_cast<std::size_t>(frequencies * options.bins));
  for (std::int64_t bin = 0; bin < options.bins; ++bin) {
    const std::int64_t left = edge(bin), centre = edge(bin + 1), right = edge(bin + 2);
    const auto set = [&](std::int64_t frequency, double value) {
      if (frequency < frequencies) weights[static_cast<std::size_t>(frequency * options.bins + bin)] = value;
    };
    if (left == centre) set(centre, 1);
    for (std::int64_t j = left; left < centre && j <= centre; ++j)
      set(j, static_cast<double>(j - left) / static_cast<double>(centre - left));
    for (std::int64_t j = centre; j < right; ++j) set(j, static_cast<double>(right - j) / static_cast<double>(right - centre));
  }
  return of.graph().constant(Array(Shape{frequencies, options.bins}, weights).convert(dtype));
}

}  // namespace kiln

// Quantised arithmetic (kiln/quantization.h), made of conversions and of integer products.
//
// Zero points are taken off in i32 before a product, so that padding stands for 0 and sums are exact; the scales of the operands and of the
// result are one factor of the sum.
#include "kiln/quantization.h"

#include <fmt/format.h>
#include <limits>

#include "frontend/composite.h"
#include "frontend/spatial.h"
#include "kiln/arrangement.h"
#include "kiln/gradients.h"

namespace kiln {

using namespace detail;

namespace {

bool is_quantized(DType dtype) { return is_integer(dtype) && size_of(dtype) <= 2; }

/// Least and greatest integer of a dtype of at most 16 bits.
std::pair<std::int64_t, std::int64_t> limits_of(DType dtype) {
  const std::int64_t all = std::int64_t{1} << (8 * size_of(dtype));
  return is_signed_integer(dtype) ? std::pair{-all / 2, all / 2 - 1} : std::pair{std::int64_t{0}, all - 1};
}

/// A scale or zero point, spread to the dims of x.
Tensor spread_over(const Composite& of, const Tensor& x, const Tensor& parameter, const char* what, const QuantizeOptions& options) {
  of.require(options.block >= 0, fmt::format("blocks of {} elements", options.block), "0 means that there are no blocks");
  if (parameter.rank() == 0) return parameter;
  const std::int64_t axis = of.axis(options.axis, x);
  const auto misfit = [&](const char* hint) {
    of.fail(ErrorCode::shape_mismatch,
            fmt::format("the {} {} does not fit {} along axis {}", what, to_string(parameter), to_string(x), axis), hint);
  };
  const auto same = [](const Dim& a, const Dim& b) { return ir::equals(DimValue::unwrap(a), DimValue::unwrap(b)) == ir::Truth::yes; };
  if (options.block == 0) {
    if (parameter.rank() != 1 || !same(parameter.dim(0), x.dim(axis)))
      misfit("it is a scalar, a vector along the axis, or has blocks: {.block = n}");
    return along(parameter, axis, x.rank());
  }
  if (parameter.rank() != x.rank()) misfit("with blocks it has one axis for each of the tensor's");
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(x.rank()); ++d)
    if (!same(parameter.dim(d), d == axis ? ceildiv(x.dim(d), options.block) : x.dim(d)))
      misfit("with blocks its extent along the axis is the number of blocks, and the others are the tensor's");
  std::vector<Dim> limits = dims_of(x);
  return slice(repeat_interleave(parameter, options.block, axis), std::vector<Dim>(x.rank(), Dim(0)), limits);
}

/// What integers of a tensor stand for, checked and spread over it.
struct Grid {
  Tensor scale;
  Tensor zero_point;  ///< i32; not valid: 0
};
Grid grid_of(const Composite& of, const Tensor& x, const Tensor& scale, const Tensor& zero_point, const QuantizeOptions& options) {
  Grid grid{spread_over(of, x, scale, "scale", options), {}};
  if (!zero_point.valid()) return grid;
  of.require_integer(zero_point, "the zero point");
  grid.zero_point = convert(spread_over(of, x, zero_point, "zero point", options), i32);
  return grid;
}

/// The dtype of quantised results and their limits.
struct Target {
  DType dtype;
  std::int64_t low, high;
};
Target target_of(const Composite& of, const Tensor& zero_point, const QuantizeOptions& options) {
  const DType dtype = zero_point.valid() ? zero_point.dtype() : options.dtype;
  if (!is_quantized(dtype))
    of.fail(ErrorCode::dtype_mismatch, fmt::format("cannot quantise to {}", name_of(dtype)), "the result is i8, u8, i16 or u16");
  const auto [least, greatest] = limits_of(dtype);
  const Target target{dtype, options.low.value_or(least), options.high.value_or(greatest)};
  of.require(least <= target.low && target.low <= target.high && target.high <= greatest,
             fmt::format("limits {} to {} of {}", target.low, target.high, name_of(dtype)),
             fmt::format("they lie between {} and {}, the lower one first", least, greatest));
  return target;
}

/// The integers before they are limited, as floats: all of them are exact where it matters.
Tensor unlimited(const Tensor& x, const Grid& grid) {
  const Tensor rounded = round(x / grid.scale);
  return grid.zero_point.valid() ? rounded + convert(grid.zero_point, x.dtype()) : rounded;
}

/// In f32 at least.
Tensor widened(const Tensor& x) { return size_of(x.dtype()) < 4 ? convert(x, f32) : x; }

Tensor as_tensor(Composite& of, const Operand& operand, DType dtype) {
  return operand.is_tensor() ? operand.tensor() : of.number(operand.scalar(), dtype);
}

/// 8-bit integers less their zero point, as i32. A vector of zero points runs along `axis`.
Tensor centred(const Composite& of, const Tensor& q, const Tensor& zero_point, std::int64_t axis, const char* what) {
  if (!is_integer(q.dtype()) || size_of(q.dtype()) != 1)
    of.fail(ErrorCode::dtype_mismatch, fmt::format("{} is {}", what, to_string(q)), "quantised operands are i8 or u8");
  const Tensor wide = convert(q, i32);
  if (!zero_point.valid()) return wide;
  of.require_integer(zero_point, "the zero point");
  const Tensor zero = convert(zero_point, i32);
  return wide - (zero.rank() == 1 && q.rank() > 1 ? along(zero, axis, q.rank()) : zero);
}

/// Sums of products of integers, times the quotient of scales, as integers again.
Tensor requantized(const Composite& of, const Tensor& sums, const Tensor& factor, const Tensor& zero_point) {
  if (!zero_point.valid() || zero_point.rank() != 0)
    of.fail(ErrorCode::shape_mismatch, "the zero point of the result is not a scalar",
            "it also gives the result its dtype: graph.full(u8, {}, 128)");
  const Target target = target_of(of, zero_point, {});
  const Tensor scaled = round(convert(sums, factor.dtype()) * factor) + convert(zero_point, factor.dtype());
  return convert(clamp(scaled, static_cast<double>(target.low), static_cast<double>(target.high)), target.dtype);
}

/// Scales of the operands over that of the result, spread over a result of this rank.
Tensor factor_of(Composite& of, const Tensor& a, std::int64_t a_axis, const Tensor& b, std::int64_t b_axis, const Operand& scale,
                 std::size_t rank) {
  of.require_floating(a);
  of.require_floating(b);
  const auto spread_scale = [&](const Tensor& s, std::int64_t axis) { return s.rank() == 1 && rank > 1 ? along(s, axis, rank) : s; };
  const Tensor product = widened(spread_scale(a, a_axis)) * widened(spread_scale(b, b_axis));
  const Tensor of_result = widened(as_tensor(of, scale, product.dtype()));
  of.require_floating(of_result);
  return product / of_result;
}

ConvolutionOptions summed_as_i32(ConvolutionOptions options) {
  options.dtype = std::nullopt;
  return options;
}
std::int64_t channel_axis(const Tensor& x, Layout layout) {
  return layout == Layout::channels_first ? 1 : static_cast<std::int64_t>(x.rank()) - 1;
}
std::int64_t filter_axis(const Tensor& weight, Layout layout) {
  return layout == Layout::channels_first ? 0 : static_cast<std::int64_t>(weight.rank()) - 1;
}

}  // namespace

Tensor quantize_linear(const Operand& x_, const Operand& scale_, const Tensor& zero_point, const QuantizeOptions& options) {
  Composite of({&x_, &scale_}, "quantize_linear");
  const Tensor x = of.tensor(x_);
  of.require_floating(x);
  const Target target = target_of(of, zero_point, options);
  const Tensor wide = widened(x);
  const Grid grid = grid_of(of, wide, widened(of.tensor(scale_)), zero_point, options);
  const Tensor limited = clamp(unlimited(wide, grid), static_cast<double>(target.low), static_cast<double>(target.high));
  return convert(limited, target.dtype);
}

Tensor dequantize_linear(const Operand& q_, const Operand& scale_, const Tensor& zero_point, const QuantizeOptions& options) {
  Composite of(q_.tensor(), "dequantize_linear", q_.location());
  const Tensor q = q_.tensor(), scale = as_tensor(of, scale_, f32);
  of.require_floating(scale);
  if (!is_quantized(q.dtype()) && q.dtype() != i32)
    of.fail(ErrorCode::dtype_mismatch, fmt::format("cannot dequantise {}", to_string(q)), "takes i8, u8, i16, u16 or i32");
  const Grid grid = grid_of(of, q, scale, zero_point, options);
  const Tensor wide = convert(q, i32), difference = grid.zero_point.valid() ? wide - grid.zero_point : wide;
  return convert(convert(difference, widened(scale).dtype()) * widened(grid.scale), scale.dtype());
}

Quantized dynamic_quantize_linear(const Operand& x_) {
  Composite of({&x_}, "dynamic_quantize_linear");
  const Tensor x = of.tensor(x_);
  of.require_floating(x, true);
  const Tensor high = maximum(reduce_max(x), 0), low = minimum(reduce_min(x), 0);
  const Tensor scale = select(equal(high, low), 1, (high - low) / 255);
  const Tensor zero_point = convert(round(clamp(-low / scale, 0, 255)), u8);
  return {quantize_linear(x, scale, zero_point), scale, zero_point};
}

Tensor fake_quantize(const Operand& x_, const Operand& scale_, const Tensor& zero_point, const QuantizeOptions& options) {
  Composite of({&x_, &scale_}, "fake_quantize");
  const Tensor x = of.tensor(x_);
  of.require_floating(x);
  const Target target = target_of(of, zero_point, options);
  const auto low = static_cast<double>(target.low), high = static_cast<double>(target.high);
  const Tensor wide = widened(x);
  Grid grid = grid_of(of, wide, widened(of.tensor(scale_)), zero_point, options);
  grid.scale = stop_gradient(grid.scale);
  const Tensor zero = grid.zero_point.valid() ? stop_gradient(convert(grid.zero_point, wide.dtype())) : of.number(0, wide.dtype());
  const Tensor result = custom_gradient(
      {wide},
      [&](const std::vector<Tensor>& in) {
        return std::vector<Tensor>{(clamp(round(in[0] / grid.scale) + zero, low, high) - zero) * grid.scale};
      },
      [&](const std::vector<Tensor>& in, const std::vector<Tensor>&, const std::vector<Tensor>& cotangent) {
        const Tensor q = round(in[0] / grid.scale) + zero;
        return std::vector<Tensor>{select(logical_and(greater_equal(q, low), less_equal(q, high)), cotangent[0], 0)};
      },
      "fake_quantize")[0];
  return convert(result, x.dtype());
}

Tensor matmul_integer(const Operand& a, const Operand& b, const Tensor& a_zero_point, const Tensor& b_zero_point) {
  Composite of(a.tensor(), "matmul_integer", a.location());
  const auto rows = static_cast<std::int64_t>(a.tensor().rank()) - 2, columns = static_cast<std::int64_t>(b.tensor().rank()) - 1;
  const Tensor left = centred(of, a.tensor(), a_zero_point, rows, "the left operand");
  return matmul(left, centred(of, b.tensor(), b_zero_point, columns, "the right operand"));
}

Tensor conv_integer(const Operand& x, const Operand& weight, const Tensor& x_zero_point, const Tensor& weight_zero_point,
                    const ConvolutionOptions& options) {
  Composite of(x.tensor(), "conv_integer", x.location());
  const Tensor w = weight.tensor(), input = centred(of, x.tensor(), x_zero_point, 0, "x");
  return conv(input, centred(of, w, weight_zero_point, filter_axis(w, options.layout), "the weight"), summed_as_i32(options));
}

Tensor qlinear_matmul(const Quantized& a, const Quantized& b, const Operand& scale, const Tensor& zero_point,
                      std::source_location location) {
  Composite of(a.values, "qlinear_matmul", location);
  const Tensor sums = matmul_integer(a.values, b.values, a.zero_point, b.zero_point);
  const auto rank = static_cast<std::int64_t>(sums.rank());
  return requantized(of, sums, factor_of(of, a.scale, rank - 2, b.scale, rank - 1, scale, sums.rank()), zero_point);
}

Tensor qlinear_conv(const Quantized& x, const Quantized& weight, const Operand& scale, const Tensor& zero_point, const Tensor& bias,
                    const ConvolutionOptions& options, std::source_location location) {
  Composite of(x.values, "qlinear_conv", location);
  Tensor sums = conv_integer(x.values, weight.values, x.zero_point, weight.zero_point, options);
  const std::int64_t channels = channel_axis(sums, options.layout);
  if (bias.valid()) {
    if (bias.rank() != 1 || bias.dtype() != i32)
      of.fail(ErrorCode::dtype_mismatch, fmt::format("the bias is {}", to_string(bias)),
              "it is i32[out], in units of x.scale * weight.scale");
    sums = sums + along(bias, channels, sums.rank());
  }
  return requantized(of, sums, factor_of(of, x.scale, 0, weight.scale, channels, scale, sums.rank()), zero_point);
}

}  // namespace kiln

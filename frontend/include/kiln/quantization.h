// Quantised arithmetic: integers q that stand for the numbers (q - zero_point) * scale.
//
// A scale, and the zero point of the same dims beside it, is one for the whole tensor (a scalar), one for each index of an axis (a vector),
// or one for each block of an axis (a tensor of x's rank, shorter along the axis). A zero point that is not given is 0. Formulas are those
// of ONNX's operators of these names (QuantizeLinear ...): halves round to even, results saturate.
//
// Four bits and other widths are written as i8 or u8 with limits: {.dtype = i8, .low = -8, .high = 7}.
#pragma once

#include <optional>

#include "kiln/convolution.h"
#include "kiln/operators.h"

namespace kiln {

struct QuantizeOptions {
  std::int64_t axis = 1;                 ///< that a vector of scales runs along, or that blocks divide
  std::int64_t block = 0;                ///< elements of a block, the last of which may be shorter; 0: no blocks
  DType dtype = u8;                      ///< of the result: i8, u8, i16 or u16. A zero point that is given decides instead
  std::optional<std::int64_t> low = {};  ///< least and greatest integer; by default those of the dtype
  std::optional<std::int64_t> high = {};
};

/// round(x / scale) + zero_point, limited to low..high: x floating, result integers. No gradient flows.
///   quantize_linear(x, 0.1, zero)   // {-1, 0.04, 30}, zero point u8 128 -> u8 {118, 128, 255}
/// Errors: shape_mismatch where the scale does not fit x, dtype_mismatch, invalid_argument for limits that the dtype lacks.
Tensor quantize_linear(const Operand& x, const Operand& scale, const Tensor& zero_point = {}, const QuantizeOptions& options = {});

/// (q - zero_point) * scale, in the scale's dtype; a number as scale makes f32. q is i8, u8, i16, u16 or i32. Of the options, axis and
/// block count.
Tensor dequantize_linear(const Operand& q, const Operand& scale, const Tensor& zero_point = {}, const QuantizeOptions& options = {});

/// Integers with what they stand for.
struct Quantized {
  Tensor values;
  Tensor scale;
  Tensor zero_point = {};
};
/// x as u8 with a scale and zero point that make the range of its elements, and 0, just fit. Where all elements are 0 the scale is 1.
Quantized dynamic_quantize_linear(const Operand& x);

/// dequantize_linear(quantize_linear(x)): what quantisation does to x, for training that is aware of it. The gradient is that of x inside
/// of the limits and 0 outside (straight-through, Bengio et al., arXiv:1308.3432; torch.fake_quantize_per_tensor_affine); none flows to
/// scale and zero point.
Tensor fake_quantize(const Operand& x, const Operand& scale, const Tensor& zero_point = {}, const QuantizeOptions& options = {});

/// matmul(a - a_zero_point, b - b_zero_point) of 8-bit integers, summed as i32. Zero points are scalars, a vector with one per row of a
/// (per column of b), or tensors that are broadcast.
Tensor matmul_integer(const Operand& a, const Operand& b, const Tensor& a_zero_point = {}, const Tensor& b_zero_point = {});
/// conv(x - x_zero_point, weight - weight_zero_point) of 8-bit integers, summed as i32; padding stands for 0. weight_zero_point may have
/// one element per output channel.
Tensor conv_integer(const Operand& x, const Operand& weight, const Tensor& x_zero_point = {}, const Tensor& weight_zero_point = {},
                    const ConvolutionOptions& options = {});

/// The product of quantised matrices, quantised again: round(sum * a.scale * b.scale / scale) + zero_point, saturated. Scales and zero
/// points of a and b as in matmul_integer; the result has the dtype of zero_point.
Tensor qlinear_matmul(const Quantized& a, const Quantized& b, const Operand& scale, const Tensor& zero_point,
                      std::source_location location = std::source_location::current());
/// The convolution of quantised tensors, quantised again; `bias` is i32[out] in units of x.scale * weight.scale. weight.scale and its zero
/// point may have one element per output channel.
Tensor qlinear_conv(const Quantized& x, const Quantized& weight, const Operand& scale, const Tensor& zero_point, const Tensor& bias = {},
                    const ConvolutionOptions& options = {}, std::source_location location = std::source_location::current());

}  // namespace kiln

// Convolution, its transpose, and windows as columns.
//
// Tensors are [batch, channels, spatial axes...] and weights [out, in / groups, window...], as in PyTorch; with Layout::channels_last
// tensors are [batch, spatial axes..., channels] and weights [window..., in / groups, out], as in TensorFlow. Any number of spatial axes,
// also none; extents may be symbols.
//
// Along an axis of n elements, with padding p before and q after, a window of k places at distance d and strides s there are
//   floor((n + p + q - (k - 1) d - 1) / s) + 1
// results. As everywhere in the field the window is not turned round: this is a correlation.
//
// Errors: shape_mismatch where ranks, channels and groups do not go together, or where the window is longer than the padded input;
// dtype_mismatch for operands of different dtypes or of bool; invalid_argument for strides, dilation or groups below 1.
#pragma once

#include <optional>

#include "kiln/operators.h"
#include "kiln/spatial.h"

namespace kiln {

struct ConvolutionOptions {
  PerAxis stride = 1;
  Padding padding = {};     ///< negative amounts crop
  PerAxis dilation = 1;     ///< from one place of the window to the next
  std::int64_t groups = 1;  ///< channels in as many groups, each with its own share of the output channels
  Layout layout = Layout::channels_first;
  std::optional<DType> dtype = {};  ///< of sums and result: i32 for i8 operands, f32 for bf16. Not given: the operands'
};

/// Each place of the window multiplied with the input under it, summed over places and input channels:
///   conv(x, w, {.stride = 2, .padding = 1})   // f32[n, 3, 224, 224], f32[64, 3, 3, 3] -> f32[n, 64, 112, 112]
/// `bias` is [out]. Sums of floats run over the window in row-major order, then over channels; f16 and bf16 are summed in f32.
Tensor conv(const Operand& x, const Operand& weight, const ConvolutionOptions& options = {});
Tensor conv(const Operand& x, const Operand& weight, const Operand& bias, const ConvolutionOptions& options = {});
/// conv() with one, two, three spatial axes: torch.nn.functional.conv1d and its kin.
Tensor conv1d(const Operand& x, const Operand& weight, const ConvolutionOptions& options = {});
Tensor conv1d(const Operand& x, const Operand& weight, const Operand& bias, const ConvolutionOptions& options = {});
Tensor conv2d(const Operand& x, const Operand& weight, const ConvolutionOptions& options = {});
Tensor conv2d(const Operand& x, const Operand& weight, const Operand& bias, const ConvolutionOptions& options = {});
Tensor conv3d(const Operand& x, const Operand& weight, const ConvolutionOptions& options = {});
Tensor conv3d(const Operand& x, const Operand& weight, const Operand& bias, const ConvolutionOptions& options = {});

/// Every channel on its own, with `multiplier` results each: weight [window..., channels, multiplier] with channels last (TensorFlow's
/// depthwise_conv2d), [channels, multiplier, window...] with channels first; channels * multiplier channels come out, those of one input
/// channel side by side. options.groups stays 1.
Tensor depthwise_conv(const Operand& x, const Operand& weight, const ConvolutionOptions& options = {});

struct DeformableConvolutionOptions {
  PerAxis stride = 1;
  Padding padding = {};
  PerAxis dilation = 1;
  std::int64_t groups = 1;
  Tensor mask = {};  ///< [batch, offset groups * places, out height, out width]: multiplies the samples
  Tensor bias = {};  ///< [out]
};
/// conv() of images whose window's places are each moved by an offset of its own, with bilinear samples and zeros outside (Dai et al.,
/// arXiv:1703.06211; with a mask Zhu et al., arXiv:1811.11168): torchvision.ops.deform_conv2d, ONNX DeformConv. x [batch, channels, h, w],
/// weight [out, channels / groups, window...], offsets [batch, offset groups * places * 2, out height, out width], rows before columns;
/// each group of channels in order has offsets of its own. Differentiable in everything.
Tensor deform_conv(const Operand& x, const Operand& weight, const Operand& offsets, const DeformableConvolutionOptions& options = {});

struct TransposedConvolutionOptions {
  PerAxis stride = 1;
  /// What is taken off the full result, (n - 1) s + (k - 1) d + 1 long. SAME: as much that n s results are left.
  Padding padding = {};
  PerAxis output_padding = 0;  ///< added after the last result, to choose among the lengths that one convolution maps to the same n
  PerAxis output = {};         ///< instead of padding: the wanted extents (ONNX's output_shape)
  PerAxis dilation = 1;
  std::int64_t groups = 1;
  Layout layout = Layout::channels_first;
};

/// The transpose of conv(): each input element adds the window, times its value, to the places that it would be computed from. Weights are
/// those of the convolution that it transposes: [in, out / groups, window...] (torch.nn.functional.conv_transpose2d, ONNX ConvTranspose),
/// or [window..., out / groups, in] with channels last (tf.nn.conv2d_transpose). Along an axis of n elements there are
///   (n - 1) s - p - q + (k - 1) d + 1 + output_padding
/// results.
///   conv_transpose(x, w, {.stride = 2, .padding = 1, .output_padding = 1})   // f32[n, 64, 56, 56] -> f32[n, 32, 112, 112]
Tensor conv_transpose(const Operand& x, const Operand& weight, const TransposedConvolutionOptions& options = {});
Tensor conv_transpose(const Operand& x, const Operand& weight, const Operand& bias, const TransposedConvolutionOptions& options = {});

struct UnfoldOptions {
  PerAxis stride = 1;
  PerAxis padding = 0;
  PerAxis dilation = 1;
};
/// Every window as a column: [batch, channels, spatial axes...] -> [batch, channels * places, windows], places and windows in row-major
/// order (im2col, torch.nn.functional.unfold).
Tensor unfold(const Operand& x, const PerAxis& window, const UnfoldOptions& options = {});
/// The sum of columns where their elements came from, in a tensor with these spatial extents (col2im, torch.nn.functional.fold): the
/// transpose of unfold().
Tensor fold(const Operand& columns, const Dims& extents, const PerAxis& window, const UnfoldOptions& options = {});

}  // namespace kiln

// Other sizes for images and signals: resize, and rearrangements between channels and positions.
#pragma once

#include <optional>
#include <vector>

#include "kiln/operators.h"
#include "kiln/spatial.h"

namespace kiln {

/// How a value between elements comes about.
enum class Resampling : std::uint8_t {
  nearest,  ///< one element
  linear,   ///< linear, bilinear, trilinear ... by the number of axes
  cubic,    ///< Keys' cubic convolution with the coefficient cubic_a
  area,     ///< the mean of the elements that a result covers (PyTorch's "area": adaptive average pooling)
};

/// Where result i of m stands among the n elements of the input, with scale = m / n. ONNX's names.
enum class Coordinates : std::uint8_t {
  half_pixel,            ///< (i + 0.5) / scale - 0.5; PyTorch's align_corners=False
  pytorch_half_pixel,    ///< likewise, and 0 where m is 1
  half_pixel_symmetric,  ///< half_pixel, centred where a scale does not fit the sizes exactly
  align_corners,         ///< i (n - 1) / (m - 1): the first and last elements keep their places; 0 where m is 1
  asymmetric,            ///< i / scale
  tf_crop_and_resize,    ///< from `roi`, whose ends are fractions of n - 1
};

/// Which neighbour is nearest.
enum class Nearest : std::uint8_t { round_prefer_floor, round_prefer_ceil, floor, ceil };

struct ResizeOptions {
  Resampling mode = Resampling::linear;
  Coordinates coordinates = Coordinates::half_pixel;
  Nearest nearest = Nearest::round_prefer_floor;
  double cubic_a = -0.75;  ///< PyTorch's, ONNX's and OpenCV's; TensorFlow and PIL take -0.5
  /// cubic, antialias: places outside have no weight, instead of that of the element at the edge. Not given: with antialias alone, as in
  /// PyTorch and PIL; ONNX's default is false.
  std::optional<bool> exclude_outside = {};
  bool antialias = false;  ///< linear, cubic: when shrinking, widen the kernel by the scale (PIL, PyTorch, ONNX)
  /// Scales that differ from m / n, per axis: coordinates follow them. ONNX's and PyTorch's scale factors, where m = floor(n * scale).
  std::vector<double> scales = {};
  /// tf_crop_and_resize: starts of all axes, then ends.
  std::vector<double> roi = {};
  double extrapolation = 0;                ///< tf_crop_and_resize: the value of results outside of the input
  Layout layout = Layout::channels_first;  ///< which axes are resized, when `axes` is empty: all but batch and channels
  std::vector<std::int64_t> axes = {};     ///< the axes to resize
};

/// x with other extents along its spatial axes (or `axes`): one size for each. Floating tensors; nearest takes any dtype. Coordinates are
/// computed in f64. Extents may be symbols, if known to be at least 1.
///   resize(x, {224, 224})                                                   // bilinear: f32[n, 3, h, w] -> f32[n, 3, 224, 224]
///   resize(x, {2 * h, 2 * w}, {.mode = Resampling::nearest})
/// Errors: shape_mismatch where sizes and axes do not go together, dtype_mismatch, invalid_argument for options that exclude each other.
Tensor resize(const Operand& x, const Dims& sizes, const ResizeOptions& options = {});

/// Channels to positions: [batch, c r^2, h, w] -> [batch, c, r h, r w] (torch.nn.functional.pixel_shuffle), for any number of spatial axes.
Tensor pixel_shuffle(const Operand& x, std::int64_t factor);
/// The inverse.
Tensor pixel_unshuffle(const Operand& x, std::int64_t factor);
/// tf.nn.depth_to_space: the channels of a position become a block, in the order row, column, depth (ONNX's DCR); with `depth_first` depth,
/// row, column (CRD: pixel_shuffle).
Tensor depth_to_space(const Operand& x, std::int64_t block, Layout layout = Layout::channels_first, bool depth_first = false);
/// tf.nn.space_to_depth, the inverse of depth_to_space with the default order.
Tensor space_to_depth(const Operand& x, std::int64_t block, Layout layout = Layout::channels_first);
/// Channels in groups, taken from the groups in turn: torch.nn.functional.channel_shuffle.
Tensor channel_shuffle(const Operand& x, std::int64_t groups, Layout layout = Layout::channels_first);

enum class SamplePadding : std::uint8_t {
  zeros,       ///< 0 outside
  border,      ///< the element at the edge
  reflection,  ///< mirrored at the edges, as often as needed
};
struct GridSampleOptions {
  Resampling mode = Resampling::linear;  ///< nearest, linear or cubic (two axes)
  SamplePadding padding = SamplePadding::zeros;
  bool align_corners = false;  ///< -1 and 1 are the centres of the outermost elements, else their outer edges
};
/// x at the places of `grid`: x [batch, channels, spatial axes...] with two or three spatial axes, grid [batch, places..., axes] with
/// coordinates from -1 to 1, the innermost spatial axis first (torch.nn.functional.grid_sample, ONNX GridSample). Differentiable in both.
Tensor grid_sample(const Operand& x, const Operand& grid, const GridSampleOptions& options = {});
/// The grid of affine maps theta [batch, d, d + 1] over these d spatial extents: [batch, extents..., d] (torch.nn.functional.affine_grid).
Tensor affine_grid(const Operand& theta, const Dims& extents, bool align_corners = false);

struct RoiAlignOptions {
  std::int64_t sampling_ratio = 2;  ///< samples per axis of each bin; 0: as many as the bin is long, rounded up (not with maximum)
  double spatial_scale = 1;         ///< from the boxes' units to elements of x
  bool half_pixel = true;           ///< boxes' coordinates are of edges, half an element before centres (torchvision's aligned=True)
  bool maximum = false;             ///< ONNX's max: of the weighted elements of a bin's samples, the largest one, instead of the mean
};
/// Bins of boxes, each the mean of bilinear samples: x [batch, channels, h, w], boxes [n, 4] as (x1, y1, x2, y2), indices [n] of the batch,
/// result [n, channels, height, width] (torchvision.ops.roi_align, ONNX RoiAlign).
Tensor roi_align(const Operand& x, const Operand& boxes, const Operand& indices, std::int64_t height, std::int64_t width,
                 const RoiAlignOptions& options = {});
/// Bins of boxes, each the maximum of the elements that it covers, 0 where there are none; the boxes, times spatial_scale, are rounded to
/// elements, both ends included (Girshick, arXiv:1504.08083; torchvision.ops.roi_pool, ONNX MaxRoiPool). Operands as of roi_align().
Tensor roi_pool(const Operand& x, const Operand& boxes, const Operand& indices, std::int64_t height, std::int64_t width,
                double spatial_scale = 1);

}  // namespace kiln

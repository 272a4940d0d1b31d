// ONNX: convolution, pooling, samples of images, resizing. Layouts are ONNX's, channels first.
#include <cmath>

#include "onnx.h"

namespace kiln::test {

namespace {

/// ONNX counts positions of maxima through the whole tensor, Kiln through the spatial axes. `column_major`: columns before rows.
std::vector<Tensor> max_pool_with_positions(const In& x, bool column_major) {
  const PooledWithIndices pooled = max_pool_with_indices(x[0], 2, {.stride = 2});
  Tensor position = pooled.indices;
  const Dim h = x[0].dim(2), w = x[0].dim(3);
  if (column_major) position = floor_mod(position, x.graph.size(w)) * x.graph.size(h) + floor_divide(position, x.graph.size(w));
  const Dims planes{x[0].dim(0), x[0].dim(1), 1, 1};
  const Tensor plane = x.graph.iota(i64, planes, 0) * x.graph.size(x[0].dim(1)) + x.graph.iota(i64, planes, 1);
  return {pooled.values, plane * x.graph.size(h * w) + position};
}

/// Positions through a tensor with these spatial extents, back to positions through its planes, of one plane here.
Tensor unpooled(const In& x, std::int64_t extent) { return max_unpool(x[0], x[1], {extent, extent}); }

/// The extents that ONNX's scales give, and the scales as given, which coordinates follow.
Tensor scaled(const In& x, std::vector<double> scales, ResizeOptions options) {
  Dims sizes;
  for (std::size_t i = 0; i < scales.size(); ++i)
    sizes.push_back(static_cast<std::int64_t>(std::floor(static_cast<double>(x[0].dims()[i + 2].value()) * scales[i])));
  options.scales = std::move(scales);
  return resize(x[0], sizes, options);
}

/// keep_aspect_ratio_policy: one scale for all axes, the least or the greatest one; sizes are rounded.
Tensor of_one_scale(const In& x, bool larger) {
  const double h = 7.0 / 4, w = 8.0 / 5, scale = larger ? std::max(h, w) : std::min(h, w);
  return resize(x[0], {std::llround(4 * scale), std::llround(5 * scale)}, {.mode = Resampling::nearest, .scales = {scale, scale}});
}

constexpr Resampling modes[] = {Resampling::linear, Resampling::nearest, Resampling::cubic};
constexpr const char* mode_names[] = {"linear", "nearest", "cubic"};
constexpr SamplePadding paddings[] = {SamplePadding::zeros, SamplePadding::border, SamplePadding::reflection};
constexpr const char* padding_names[] = {"zeros", "border", "reflection"};

}  // namespace

Rows onnx_windows() {
  Rows rows = {
      {"MaxPool", "valid", [](const In& x) { return max_pool(x[0], {2, 3}, {.stride = 2}); }},
      {"MaxPool", "ceil", [](const In& x) { return max_pool(x[0], 3, {.stride = 2, .ceil_mode = true}); }},
      {"MaxPool", "pads_dilations",
       [](const In& x) { return max_pool(x[0], 2, {.stride = 1, .padding = {{1, 1}, {0, 1}}, .dilation = 2}); }},
      {"MaxPool", "same_upper", [](const In& x) { return max_pool(x[0], {3, 2}, {.stride = 2, .padding = Padding::same()}); }},
      {"MaxPool", "same_lower", [](const In& x) { return max_pool(x[0], 2, {.stride = 1, .padding = Padding::same_lower()}); }},
      {"MaxPool", "indices", [](const In& x) { return max_pool_with_positions(x, false); }},
      {"MaxPool", "column_major", [](const In& x) { return max_pool_with_positions(x, true); }},
      {"MaxPool", "1d_u8", [](const In& x) { return max_pool(x[0], 2, {.stride = 1}); }},
      {"AveragePool", "valid", [](const In& x) { return avg_pool(x[0], {2, 3}, {.stride = 2}); }},
      {"AveragePool", "ceil", [](const In& x) { return avg_pool(x[0], 3, {.stride = 2, .ceil_mode = true}); }},
      {"AveragePool", "pads", [](const In& x) { return avg_pool(x[0], 3, {.stride = 2, .padding = {2, 1}, .count_include_pad = false}); }},
      {"AveragePool", "pads_counted",
       [](const In& x) { return avg_pool(x[0], 3, {.stride = 2, .padding = {2, 1}, .count_include_pad = true}); }},
      {"AveragePool", "same_upper", [](const In& x) { return avg_pool(x[0], 2, {.stride = 1, .padding = Padding::same()}); }},
      {"AveragePool", "same_lower", [](const In& x) { return avg_pool(x[0], 2, {.stride = 1, .padding = Padding::same_lower()}); }},
      {"AveragePool", "dilations", [](const In& x) { return avg_pool(x[0], 2, {.stride = 1, .dilation = 2}); }},
      {"LpPool", "p2", [](const In& x) { return lp_pool(x[0], 2, 2, {.stride = 1}); }},
      {"LpPool", "p3_pads", [](const In& x) { return lp_pool(x[0], 3, 3, {.stride = 2, .padding = 1}); }},
      {"LpPool", "same", [](const In& x) { return lp_pool(x[0], 2, 2, {.stride = 1, .padding = Padding::same()}); }},
      {"LpPool", "dilations", [](const In& x) { return lp_pool(x[0], 2, 2, {.stride = 1, .dilation = 2}); }},
      {"GlobalAveragePool", "plain", [](const In& x) { return global_avg_pool(x[0]); }},
      {"GlobalMaxPool", "plain", [](const In& x) { return global_max_pool(x[0]); }},
      {"GlobalLpPool", "p3", [](const In& x) { return global_lp_pool(x[0], 3); }},
      {"MaxUnpool", "default", [](const In& x) { return unpooled(x, 4); }},
      // Positions are those of the pooled tensor's own extents, 5 here: ONNX takes them as they are.
      {"MaxUnpool", "output_shape", [](const In& x) { return pad(unpooled(x, 4), {0, 0, 0, 0}, {0, 0, 1, 1}, 0); }},
      {"Conv", "pads", [](const In& x) { return conv(x[0], x[1], {.padding = {{1, 1}, {0, 1}}}); }},
      {"Conv", "strides_bias", [](const In& x) { return conv(x[0], x[1], x[2], {.stride = {2, 1}}); }},
      {"Conv", "same_lower", [](const In& x) { return conv(x[0], x[1], {.stride = 2, .padding = Padding::same_lower()}); }},
      {"Conv", "same_upper", [](const In& x) { return conv(x[0], x[1], {.padding = Padding::same()}); }},
      {"Conv", "groups_dilations", [](const In& x) { return conv(x[0], x[1], {.dilation = {2, 1}, .groups = 2}); }},
      {"Conv", "1d", [](const In& x) { return conv(x[0], x[1]); }},
      {"Conv", "3d", [](const In& x) { return conv(x[0], x[1]); }},
      {"ConvTranspose", "plain", [](const In& x) { return conv_transpose(x[0], x[1]); }},
      {"ConvTranspose", "pads_strides",
       [](const In& x) { return conv_transpose(x[0], x[1], x[2], {.stride = {3, 2}, .padding = {{1, 1}, {2, 2}}}); }},
      {"ConvTranspose", "output_padding", [](const In& x) { return conv_transpose(x[0], x[1], {.stride = {3, 2}, .output_padding = 1}); }},
      {"ConvTranspose", "output_shape", [](const In& x) { return conv_transpose(x[0], x[1], {.stride = {3, 2}, .output = {10, 8}}); }},
      {"ConvTranspose", "same", [](const In& x) { return conv_transpose(x[0], x[1], {.stride = 2, .padding = Padding::same()}); }},
      {"ConvTranspose", "dilations", [](const In& x) { return conv_transpose(x[0], x[1], {.dilation = 2}); }},
      {"ConvTranspose", "groups", [](const In& x) { return conv_transpose(x[0], x[1], {.groups = 2}); }},
      {"ConvTranspose", "1d", [](const In& x) { return conv_transpose(x[0], x[1]); }},
      {"DeformConv", "plain", [](const In& x) { return deform_conv(x[0], x[1], x[2], {.padding = 1}); }},
      {"DeformConv", "mask_bias", [](const In& x) { return deform_conv(x[0], x[1], x[2], {.padding = 1, .mask = x[4], .bias = x[3]}); }},
      {"DeformConv", "groups", [](const In& x) { return deform_conv(x[0], x[1], x[2], {.groups = 2}); }},
      {"DeformConv", "strides", [](const In& x) { return deform_conv(x[0], x[1], x[2], {.stride = 2, .dilation = 2}); }},
      {"MaxRoiPool", "plain",
       [](const In& x) {
         const std::vector<Tensor> parts = split(x[1], Dims{1, 4}, 1);
         return roi_pool(x[0], parts[1], convert(squeeze(parts[0], 1), i64), 2, 2);
       }},
      {"RoiAlign", "half_pixel", [](const In& x) { return roi_align(x[0], x[1], x[2], 2, 2); }},
      {"RoiAlign", "output_half_pixel",
       [](const In& x) { return roi_align(x[0], x[1], x[2], 2, 2, {.spatial_scale = 0.5, .half_pixel = false}); }},
      {"RoiAlign", "max", [](const In& x) { return roi_align(x[0], x[1], x[2], 2, 2, {.maximum = true}); }},
      {"RoiAlign", "adaptive", [](const In& x) { return roi_align(x[0], x[1], x[2], 2, 3, {.sampling_ratio = 0}); }},
      {"AffineGrid", "2d", [](const In& x) { return affine_grid(x[0], {3, 4}); }},
      {"AffineGrid", "align_corners", [](const In& x) { return affine_grid(x[0], {3, 4}, true); }},
      {"AffineGrid", "3d", [](const In& x) { return affine_grid(x[0], {2, 3, 2}); }},
      {"GridSample", "3d", [](const In& x) { return grid_sample(x[0], x[1]); }},
  };
  for (std::size_t m = 0; m < 3; ++m)
    for (std::size_t p = 0; p < 3; ++p)
      rows.push_back({"GridSample", std::string(mode_names[m]) + "_" + padding_names[p], [=](const In& x) {
                        // ONNX brings places to the border before it looks for neighbours, PyTorch and Kiln bring each neighbour there.
                        const Tensor grid = p == 1 ? clamp(x[1], -1, 1) : x[1];
                        return grid_sample(x[0], grid, {.mode = modes[m], .padding = paddings[p], .align_corners = p == 1});
                      }});
  for (const char* variant : {"plain", "score_threshold", "two_classes", "center"}) {
    const std::string name = variant;
    NonMaxSuppressionOptions options{.max_output_per_class = name == "two_classes" ? 2 : 3, .iou_threshold = 0.5, .score_threshold = 0};
    if (name == "score_threshold") options.score_threshold = 0.4F;
    options.center_point_box = name == "center";
    rows.push_back({"NonMaxSuppression", variant, [=](const In& x) { return non_max_suppression(x[0], x[1], options); }});
  }
  return rows;
}

Rows onnx_resizes() {
  constexpr auto asymmetric = Coordinates::asymmetric;
  Rows rows = {
      {"Resize", "cubic_coefficient",
       [](const In& x) { return scaled(x, {2, 2}, {.mode = Resampling::cubic, .cubic_a = -0.5, .exclude_outside = true}); }},
      {"Resize", "antialias_linear", [](const In& x) { return scaled(x, {0.6, 0.6}, {.exclude_outside = false, .antialias = true}); }},
      {"Resize", "antialias_excluding",
       [](const In& x) { return scaled(x, {0.6, 0.6}, {.mode = Resampling::cubic, .exclude_outside = true, .antialias = true}); }},
      {"Resize", "antialias_cubic",
       [](const In& x) { return resize(x[0], {2, 2}, {.mode = Resampling::cubic, .exclude_outside = false, .antialias = true}); }},
      {"Resize", "crop",
       [](const In& x) { return resize(x[0], {3, 3}, {.coordinates = Coordinates::tf_crop_and_resize, .roi = {0.4, 0.6, 0.6, 0.8}}); }},
      {"Resize", "crop_outside",
       [](const In& x) {
         return resize(x[0], {3, 3}, {.coordinates = Coordinates::tf_crop_and_resize, .roi = {0.4, 0.6, 1.2, 1.7}, .extrapolation = 10});
       }},
      {"Resize", "axes", [](const In& x) { return resize(x[0], {10, 6}, {.scales = {2, 1.5}, .axes = {3, 2}}); }},
      {"Resize", "not_larger", [](const In& x) { return of_one_scale(x, false); }},
      {"Resize", "not_smaller", [](const In& x) { return of_one_scale(x, true); }},
      {"Upsample", "nearest",
       [=](const In& x) {
         return resize(x[0], {4, 6}, {.mode = Resampling::nearest, .coordinates = asymmetric, .nearest = Nearest::floor, .scales = {2, 3}});
       }},
  };
  for (std::size_t m = 0; m < 3; ++m) {
    rows.push_back({"Resize", std::string("up_") + mode_names[m], [=](const In& x) { return scaled(x, {2, 1.5}, {.mode = modes[m]}); }});
    rows.push_back(
        {"Resize", std::string("down_") + mode_names[m], [=](const In& x) { return scaled(x, {0.6, 0.5}, {.mode = modes[m]}); }});
  }
  const std::pair<const char*, Coordinates> coordinates[] = {{"linear_align_corners", Coordinates::align_corners},
                                                             {"linear_asymmetric", asymmetric},
                                                             {"linear_pytorch_half_pixel", Coordinates::pytorch_half_pixel},
                                                             {"linear_half_pixel_symmetric", Coordinates::half_pixel_symmetric}};
  for (const auto& [name, value] : coordinates)
    rows.push_back({"Resize", name, [value = value](const In& x) { return resize(x[0], {7, 3}, {.coordinates = value}); }});
  const std::pair<const char*, Nearest> nearest[] = {
      {"nearest_floor", Nearest::floor}, {"nearest_ceil", Nearest::ceil}, {"nearest_round_prefer_ceil", Nearest::round_prefer_ceil}};
  for (const auto& [name, value] : nearest)
    rows.push_back(
        {"Resize", name, [value = value](const In& x) { return resize(x[0], {7, 8}, {.mode = Resampling::nearest, .nearest = value}); }});
  return rows;
}

}  // namespace kiln::test

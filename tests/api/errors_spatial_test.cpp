// Wrong programs: convolution, padding modes, resize, samples.
// clang-format off: the cases' lines are part of the expected texts.
#include "errors.h"

// Values made to be refused are not used.
#pragma GCC diagnostic ignored "-Wunused-variable"

namespace kiln::test {

std::vector<WrongProgram> wrong_spatial() {
  std::vector<WrongProgram> all;

  all.push_back({"conv_channels", [] {
#line 1 "conv_channels.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {Dim("n"), 3, 32, 32});
Tensor weight = graph.placeholder("weight", f32, {16, 4, 3, 3});
conv2d(images, weight);
  }});

  all.push_back({"conv_layout", [] {
#line 1 "conv_layout.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {Dim("n"), 32, 32, 3});
Tensor weight = graph.placeholder("weight", f32, {16, 3, 3, 3});
conv2d(images, weight, {.padding = 1});
  }});

  all.push_back({"conv_rank", [] {
#line 1 "conv_rank.cpp"
Graph graph;
Tensor signal = graph.placeholder("signal", f32, {8, 3, 100});
Tensor weight = graph.placeholder("weight", f32, {16, 3, 3});
conv2d(signal, weight);
  }});

  all.push_back({"conv_weight_rank", [] {
#line 1 "conv_weight_rank.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 3, 32, 32});
Tensor weight = graph.placeholder("weight", f32, {16, 3, 3});
conv(images, weight);
  }});

  all.push_back({"conv_dtypes", [] {
#line 1 "conv_dtypes.cpp"
Graph graph;
Tensor images = graph.placeholder("images", u8, {8, 3, 32, 32});
Tensor weight = graph.placeholder("weight", f32, {16, 3, 3, 3});
conv2d(images, weight);
  }});

  all.push_back({"conv_accumulator", [] {
#line 1 "conv_accumulator.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 3, 32, 32});
Tensor weight = graph.placeholder("weight", f32, {16, 3, 3, 3});
conv2d(images, weight, {.dtype = i32});
  }});

  all.push_back({"conv_window", [] {
#line 1 "conv_window.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 3, 4, 4});
Tensor weight = graph.placeholder("weight", f32, {16, 3, 3, 3});
conv2d(images, weight, {.dilation = 2});
  }});

  all.push_back({"conv_groups", [] {
#line 1 "conv_groups.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 6, 32, 32});
Tensor weight = graph.placeholder("weight", f32, {16, 2, 3, 3});
conv2d(images, weight, {.groups = 3});
  }});

  all.push_back({"conv_strides", [] {
#line 1 "conv_strides.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 3, 32, 32});
Tensor weight = graph.placeholder("weight", f32, {16, 3, 3, 3});
conv2d(images, weight, {.stride = {2, 2, 1}});
  }});

  all.push_back({"conv_bias", [] {
#line 1 "conv_bias.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 3, 32, 32});
Tensor weight = graph.placeholder("weight", f32, {16, 3, 3, 3});
Tensor bias = graph.placeholder("bias", f32, {3});
conv2d(images, weight, bias);
  }});

  all.push_back({"depthwise_channels", [] {
#line 1 "depthwise_channels.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 32, 32, 6});
Tensor weight = graph.placeholder("weight", f32, {3, 3, 4, 1});
depthwise_conv(images, weight, {.layout = Layout::channels_last});
  }});

  all.push_back({"conv_transpose_channels", [] {
#line 1 "conv_transpose_channels.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 64, 16, 16});
Tensor weight = graph.placeholder("weight", f32, {32, 64, 3, 3});
conv_transpose(images, weight, {.stride = 2});
  }});

  all.push_back({"conv_transpose_output_padding", [] {
#line 1 "conv_transpose_output_padding.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 64, 16, 16});
Tensor weight = graph.placeholder("weight", f32, {64, 32, 3, 3});
conv_transpose(images, weight, {.stride = 2, .output_padding = 2});
  }});

  all.push_back({"fold_columns", [] {
#line 1 "fold_columns.cpp"
Graph graph;
Tensor columns = graph.placeholder("columns", f32, {2, 18, 20});
fold(columns, {8, 8}, 3);
  }});

  all.push_back({"pad_mode_symbol", [] {
#line 1 "pad_mode_symbol.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("n"), 3});
pad(x, {1, 0}, {1, 0}, PadMode::reflect);
  }});

  all.push_back({"pad_mode_rank", [] {
#line 1 "pad_mode_rank.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {8, 3});
pad(x, {1}, {1}, PadMode::edge);
  }});

  all.push_back({"resize_sizes", [] {
#line 1 "resize_sizes.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 3, 32, 32});
resize(images, {8, 3, 64, 64});
  }});

  all.push_back({"resize_dtype", [] {
#line 1 "resize_dtype.cpp"
Graph graph;
Tensor images = graph.placeholder("images", u8, {8, 3, 32, 32});
resize(images, {64, 64});
  }});

  all.push_back({"resize_symbol", [] {
#line 1 "resize_symbol.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 3, Dim("h"), Dim("w")});
resize(images, {224, 224});
  }});

  all.push_back({"resize_antialias", [] {
#line 1 "resize_antialias.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 3, 32, 32});
resize(images, {16, 16}, {.mode = Resampling::nearest, .antialias = true});
  }});

  all.push_back({"pixel_shuffle_channels", [] {
#line 1 "pixel_shuffle_channels.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 6, 32, 32});
pixel_shuffle(images, 2);
  }});

  all.push_back({"space_to_depth_symbol", [] {
#line 1 "space_to_depth_symbol.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 6, Dim("h"), 32});
space_to_depth(images, 2);
  }});

  all.push_back({"grid_sample_grid", [] {
#line 1 "grid_sample_grid.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 6, 32, 32});
Tensor grid = graph.placeholder("grid", f32, {8, 16, 16, 3});
grid_sample(images, grid);
  }});

  all.push_back({"affine_grid_theta", [] {
#line 1 "affine_grid_theta.cpp"
Graph graph;
Tensor theta = graph.placeholder("theta", f32, {8, 2, 2});
affine_grid(theta, {16, 16});
  }});

  all.push_back({"roi_align_ratio", [] {
#line 1 "roi_align_ratio.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 6, 32, 32});
Tensor boxes = graph.placeholder("boxes", f32, {Dim("n"), 4});
Tensor indices = graph.placeholder("indices", i64, {Dim("n")});
roi_align(images, boxes, indices, 7, 7, {.sampling_ratio = 0, .maximum = true});
  }});

  all.push_back({"deform_conv_offsets", [] {
#line 1 "deform_conv_offsets.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {8, 6, 32, 32});
Tensor weight = graph.placeholder("weight", f32, {4, 6, 3, 3});
Tensor offsets = graph.placeholder("offsets", f32, {8, 18, 32, 32});
deform_conv(images, weight, offsets);
  }});

  return all;
}

}  // namespace kiln::test

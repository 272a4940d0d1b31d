// Padding modes, resize, rearrangements, samples: against PyTorch and NumPy, ONNX's conventions, symbolic extents.
#include "composites.h"

using namespace kiln;

namespace {

using test::Case;
using test::Inputs;
using test::one;

TEST(Padding, Values) {
  std::vector<Case> cases;
  const std::pair<const char*, PadMode> torch[] = {
      {"reflect", PadMode::reflect}, {"replicate", PadMode::edge}, {"circular", PadMode::wrap}};
  for (const auto& [name, mode] : torch)
    cases.push_back({name, one([mode = mode](const Inputs& in) { return pad(in[0], {0, 0, 3, 2}, {0, 0, 0, 1}, mode); }), false});
  const std::pair<const char*, PadMode> numpy[] = {
      {"edge", PadMode::edge}, {"reflect", PadMode::reflect}, {"symmetric", PadMode::symmetric}, {"wrap", PadMode::wrap}};
  for (const auto& [name, mode] : numpy)  // amounts beyond the extents
    cases.push_back(
        {std::string("numpy_") + name, one([mode = mode](const Inputs& in) { return pad(in[0], {7, 1}, {2, 9}, mode); }), false});
  test::check_cases("padding", cases);
}

TEST(Padding, SymbolsAndCropping) {
  for (const PadMode mode : {PadMode::edge, PadMode::reflect, PadMode::symmetric, PadMode::wrap}) {
    Graph graph;
    const Tensor x = graph.placeholder("x", f64, {Dim("m", {.min = 3}), Dim("n", {.min = 1})});
    const Tensor y = pad(x, {2, -1 + 1}, {1, 4}, mode), z = pad(x, {-1, 0}, {1, 0}, mode);
    const Tensor slope = gradients(reduce_sum(square(y)), {x})[0];
    Session session(graph, test::options());
    for (const Shape& shape : {Shape{3, 1}, Shape{4, 7}}) {
      const Array values = test::random_array(f64, shape);
      const auto symbolic = session.run({y, z, slope}, {{x, values}});
      const auto fixed = test::evaluate({values}, [&](Graph&, const Inputs& in) {
        const Tensor p = pad(in[0], {2, 0}, {1, 4}, mode);
        return std::vector<Tensor>{p, pad(slice(in[0], {1, 0}, {in[0].dim(0), in[0].dim(1)}), {0, 0}, {1, 0}, mode),
                                   gradients(reduce_sum(square(p)), {in[0]})[0]};
      });
      EXPECT_TRUE(identical(symbolic[0], fixed[0]));
      EXPECT_TRUE(identical(symbolic[1], fixed[1]));
      test::expect_near(symbolic[2], fixed[2], 1e-14);
    }
  }
}

TEST(Resize, Values) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, auto f) { cases.push_back({name, one(f), false}); };
  const std::pair<const char*, Dims> sizes[] = {{"up", {8, 11}}, {"down", {3, 4}}, {"double", {10, 12}}, {"mixed", {7, 3}}};
  for (const auto& [name_, size_] : sizes) {
    const std::string name = name_;
    const Dims size = size_;
    const auto resized = [&](const std::string& what, const ResizeOptions& options) {
      add(what, [=](const Inputs& in) { return resize(in[0], size, options); });
    };
    resized("nearest_" + name, {.mode = Resampling::nearest, .coordinates = Coordinates::asymmetric, .nearest = Nearest::floor});
    resized("nearest_exact_" + name, {.mode = Resampling::nearest, .nearest = Nearest::round_prefer_ceil});
    for (const auto& [word, mode] : {std::pair{"bilinear_", Resampling::linear}, {"bicubic_", Resampling::cubic}}) {
      resized(word + name + "_0", {.mode = mode});
      resized(word + name + "_1", {.mode = mode, .coordinates = Coordinates::align_corners});
    }
    resized("area_" + name, {.mode = Resampling::area});
    resized("antialias_" + name, {.antialias = true});
    resized("antialias_cubic_" + name, {.mode = Resampling::cubic, .cubic_a = -0.5, .antialias = true});
  }
  add("scaled", [](const Inputs& in) { return resize(in[0], {8, 13}, {.scales = {1.7, 2.3}}); });
  add("scaled_nearest", [](const Inputs& in) {
    return resize(in[0], {8, 3},
                  {.mode = Resampling::nearest, .coordinates = Coordinates::asymmetric, .nearest = Nearest::floor, .scales = {1.7, 0.6}});
  });
  add("linear", [](const Inputs& in) { return resize(in[0], {12}); });
  add("trilinear", [](const Inputs& in) { return resize(in[0], {5, 3, 6}, {.coordinates = Coordinates::align_corners}); });
  add("pixel_shuffle", [](const Inputs& in) { return pixel_shuffle(in[0], 2); });
  add("pixel_unshuffle", [](const Inputs& in) { return pixel_unshuffle(in[0], 2); });
  add("channel_shuffle", [](const Inputs& in) { return channel_shuffle(in[0], 3); });
  test::check_cases("resize", cases);
}

/// The results of resizing the vector 0, 10, 20, 30.
std::vector<double> resized(std::int64_t size, const ResizeOptions& options) {
  ResizeOptions all = options;
  all.axes = {0};
  const Array result = test::evaluate({Array({4}, {0.0, 10.0, 20.0, 30.0})},
                                      [&](Graph&, const Inputs& in) { return std::vector<Tensor>{resize(in[0], {size}, all)}; })[0];
  return {result.data<double>().begin(), result.data<double>().end()};
}

TEST(Resize, RoundsAsONNXSays) {
  using Doubles = std::vector<double>;
  // From 4 to 8 elements, places are -0.25, 0.25, 0.75 ...; from 4 to 2 they are 0.5 and 2.5: ties.
  const auto nearest = [](Nearest rule, Coordinates coordinates) {
    return ResizeOptions{.mode = Resampling::nearest, .coordinates = coordinates, .nearest = rule};
  };
  EXPECT_EQ(resized(2, nearest(Nearest::round_prefer_floor, Coordinates::half_pixel)), (Doubles{0, 20}));
  EXPECT_EQ(resized(2, nearest(Nearest::round_prefer_ceil, Coordinates::half_pixel)), (Doubles{10, 30}));
  EXPECT_EQ(resized(2, nearest(Nearest::floor, Coordinates::half_pixel)), (Doubles{0, 20}));
  EXPECT_EQ(resized(2, nearest(Nearest::ceil, Coordinates::half_pixel)), (Doubles{10, 30}));
  EXPECT_EQ(resized(8, nearest(Nearest::ceil, Coordinates::asymmetric)), (Doubles{0, 10, 10, 20, 20, 30, 30, 30}));
  EXPECT_EQ(resized(8, nearest(Nearest::round_prefer_floor, Coordinates::asymmetric)), (Doubles{0, 0, 10, 10, 20, 20, 30, 30}));
  EXPECT_EQ(resized(8, nearest(Nearest::round_prefer_ceil, Coordinates::asymmetric)), (Doubles{0, 10, 10, 20, 20, 30, 30, 30}));
  EXPECT_EQ(resized(8, nearest(Nearest::round_prefer_floor, Coordinates::half_pixel)), (Doubles{0, 0, 10, 10, 20, 20, 30, 30}));
  EXPECT_EQ(resized(3, nearest(Nearest::floor, Coordinates::align_corners)), (Doubles{0, 10, 30}));
}

TEST(Resize, Coordinates) {
  using Doubles = std::vector<double>;
  EXPECT_EQ(resized(1, {.coordinates = Coordinates::half_pixel}), (Doubles{15}));
  EXPECT_EQ(resized(1, {.coordinates = Coordinates::pytorch_half_pixel}), (Doubles{0}));
  EXPECT_EQ(resized(1, {.coordinates = Coordinates::align_corners}), (Doubles{0}));
  EXPECT_EQ(resized(2, {.coordinates = Coordinates::align_corners}), (Doubles{0, 30}));
  EXPECT_EQ(resized(2, {.coordinates = Coordinates::asymmetric}), (Doubles{0, 20}));
  EXPECT_EQ(resized(8, {.coordinates = Coordinates::asymmetric}), (Doubles{0, 5, 10, 15, 20, 25, 30, 30}));
  // Half of the axis, and beyond its end.
  EXPECT_EQ(resized(3, {.coordinates = Coordinates::tf_crop_and_resize, .roi = {0, 0.5}}), (Doubles{0, 7.5, 15}));
  EXPECT_EQ(resized(3, {.coordinates = Coordinates::tf_crop_and_resize, .roi = {0.5, 1.5}, .extrapolation = -1}), (Doubles{15, 30, -1}));
  EXPECT_EQ(resized(1, {.coordinates = Coordinates::tf_crop_and_resize, .roi = {0, 0.5}}), (Doubles{7.5}));
  // Scale 0.6 of 4 elements gives 2 results; half_pixel_symmetric centres them: places (4 / 2) (1 - 2 / 2.4) + (i + 0.5) / 0.6 - 0.5.
  const Doubles centred = resized(2, {.coordinates = Coordinates::half_pixel_symmetric, .scales = {0.6}});
  EXPECT_NEAR(centred[0], 10 * (1.0 / 3 + 0.5 / 0.6 - 0.5), 1e-12);
  EXPECT_NEAR(centred[0] + centred[1], 30, 1e-12);
}

TEST(Resize, CubicWithoutOutside) {
  // Weights of the places inside are scaled to a sum of 1, so constants stay.
  const Array constant = test::evaluate({Array::full(f64, {1, 1, 5}, 3)}, [](Graph&, const Inputs& in) {
    return std::vector<Tensor>{resize(in[0], {9}, {.mode = Resampling::cubic, .exclude_outside = true})};
  })[0];
  for (const double value : constant.data<double>()) EXPECT_NEAR(value, 3, 1e-14);
}

TEST(Resize, SymbolsChangeNothing) {
  for (const Resampling mode : {Resampling::nearest, Resampling::linear, Resampling::cubic, Resampling::area}) {
    Graph graph;
    const Dim n("n", {.min = 1}), m("m");
    const Tensor x = graph.placeholder("x", f32, {Dim("b"), 2, n, 5}), size = graph.placeholder("size", boolean, {m});
    const Tensor y = resize(x, {m, 7}, {.mode = mode}), twice = resize(x, {2 * n, 10}, {.mode = mode});
    const Tensor slope = gradients(reduce_sum(square(y)), {x})[0];
    Session session(graph, test::options());
    for (const auto& [from, to] : {std::pair{4, 9}, {9, 4}, {1, 3}, {5, 0}}) {
      const Array image = test::random_array(f32, {2, 2, from, 5});
      const auto symbolic = session.run({y, twice, slope}, {{x, image}, {size, Array::zeros(boolean, {to})}});
      const auto fixed = test::evaluate({image}, [&](Graph&, const Inputs& in) {
        const Tensor r = resize(in[0], {to, 7}, {.mode = mode});
        return std::vector<Tensor>{r, resize(in[0], {2 * from, 10}, {.mode = mode}), gradients(reduce_sum(square(r)), {in[0]})[0]};
      });
      for (std::size_t i = 0; i < fixed.size(); ++i) test::expect_near(symbolic[i], fixed[i], 1e-6);
    }
  }
}

TEST(Resize, DepthAndSpace) {
  // One position with channels 0 .. 7 becomes a block of 2 x 2 with two channels: rows, columns, depth; or depth, rows, columns.
  std::vector<double> numbers(8);
  for (int i = 0; i < 8; ++i) numbers[static_cast<std::size_t>(i)] = i;
  const Array x({1, 8, 1, 1}, numbers);
  const auto results = test::evaluate({x}, [](Graph&, const Inputs& in) {
    const Tensor last = transpose(in[0], {0, 2, 3, 1});
    return std::vector<Tensor>{depth_to_space(in[0], 2), depth_to_space(in[0], 2, Layout::channels_first, true),
                               depth_to_space(last, 2, Layout::channels_last), space_to_depth(depth_to_space(in[0], 2), 2),
                               space_to_depth(depth_to_space(last, 2, Layout::channels_last), 2, Layout::channels_last)};
  });
  EXPECT_TRUE(identical(results[0], Array({1, 2, 2, 2}, {0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0})));
  EXPECT_TRUE(identical(results[1], Array({1, 2, 2, 2}, {0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0})));
  EXPECT_TRUE(identical(results[2], Array({1, 2, 2, 2}, {0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0})));
  EXPECT_TRUE(identical(results[3], x));
  EXPECT_TRUE(identical(results[4], Array({1, 1, 1, 8}, numbers)));
}

TEST(Sampling, Values) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, auto f) { cases.push_back({name, one(f), false}); };
  const std::pair<const char*, Resampling> modes[] = {
      {"nearest", Resampling::nearest}, {"bilinear", Resampling::linear}, {"bicubic", Resampling::cubic}};
  const std::pair<const char*, SamplePadding> paddings[] = {
      {"zeros", SamplePadding::zeros}, {"border", SamplePadding::border}, {"reflection", SamplePadding::reflection}};
  for (const auto& [mode_name, mode] : modes)
    for (const auto& [padding_name, padding] : paddings)
      for (const bool corners : {false, true})
        add(std::string(mode_name) + "_" + padding_name + "_" + std::to_string(corners),
            [=, mode = mode, padding = padding](const Inputs& in) {
              return grid_sample(in[0], in[1], {.mode = mode, .padding = padding, .align_corners = corners});
            });
  add("volume", [](const Inputs& in) { return grid_sample(in[0], in[1]); });
  for (const bool corners : {false, true}) {
    add("affine_" + std::to_string(corners), [=](const Inputs& in) { return affine_grid(in[0], {4, 5}, corners); });
    add("affine_volume_" + std::to_string(corners), [=](const Inputs& in) { return affine_grid(in[0], {2, 4, 5}, corners); });
  }
  test::check_cases("sampling", cases);
}

TEST(Sampling, RoiAlignOfAPlane) {
  // On x[h, w] = 10 h + w bilinear samples are exact, so a bin's mean is the plane at its centre.
  std::vector<double> plane;
  for (int h = 0; h < 8; ++h)
    for (int w = 0; w < 9; ++w) plane.push_back(10 * h + w);
  for (int h = 0; h < 8; ++h)
    for (int w = 0; w < 9; ++w) plane.push_back(-10 * h - w);
  const auto results = test::evaluate(
      {Array({2, 1, 8, 9}, plane), Array({2, 4}, {1.0, 2.0, 5.0, 6.0, 2.0, 1.0, 4.0, 3.0}), Array({2}, {1, 0})},
      [](Graph&, const Inputs& in) {
        return std::vector<Tensor>{roi_align(in[0], in[1], in[2], 2, 2), roi_align(in[0], in[1], in[2], 1, 1, {.half_pixel = false})};
      });
  // The first box spans x 1..5 and y 2..6 of image 1; in elements' centres 0.5..4.5 and 1.5..5.5: bins' centres at 1.5, 3.5 and 2.5, 4.5.
  test::expect_near(results[0], Array({2, 1, 2, 2}, {-26.5, -28.5, -46.5, -48.5, 12.0, 13.0, 22.0, 23.0}), 1e-13);
  test::expect_near(results[1], Array({2, 1, 1, 1}, {-43.0, 23.0}), 1e-13);
}

}  // namespace

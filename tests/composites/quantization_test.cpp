// Quantised arithmetic, functions of sequences, and samples of images at computed places: what tests/coverage does not show of them, which
// is gradients, symbolic extents, and laws that hold for any numbers.
#include "composites.h"

using namespace kiln;
using namespace kiln::test;

namespace {

TEST(Quantization, DequantizedNumbersAreWithinHalfAStep) {
  const Array x = random_array(f32, {50, 7}, -10, 10);
  for (const DType dtype : {i8, u8, i16}) {
    const Build there_and_back = [dtype](Graph& g, const Inputs& in) {
      const Tensor zero = g.full(dtype, {}, dtype == u8 ? 120 : 3);
      return std::vector{abs(dequantize_linear(quantize_linear(in[0], 0.1, zero), 0.1, zero) - in[0])};
    };
    const Array error = evaluate({x}, there_and_back)[0];
    for (const float e : error.data<float>()) EXPECT_LE(e, 0.0501F) << name_of(dtype);
  }
}

TEST(Quantization, FakeQuantizationIsQuantizationThereAndBack) {
  const Array x = random_array(f64, {40, 3}, -20, 20), scale({3}, {0.1, 0.05, 0.2});
  const std::vector<Array> results = evaluate({x, scale}, [](Graph& g, const Inputs& in) {
    const Tensor zero = g.constant(Array({3}, {std::int8_t{5}, std::int8_t{-3}, std::int8_t{0}}));
    const QuantizeOptions bits4{.axis = 1, .low = -8, .high = 7};
    return std::vector{fake_quantize(in[0], in[1], zero, bits4),
                       dequantize_linear(quantize_linear(in[0], in[1], zero, bits4), in[1], zero, bits4)};
  });
  expect_near(results[0], results[1], 1e-15);
}

TEST(Quantization, FakeQuantizationPassesGradientsInsideOfTheLimits) {
  // With scale 1 and zero point 10, u8 stands for -10 to 245.
  const std::vector<Array> results = evaluate({Array({5}, {-11.0, -10.4, 0.3, 245.4, 246.0})}, [](Graph& g, const Inputs& in) {
    const Tensor y = fake_quantize(in[0], 1, g.full(u8, {}, 10));
    return std::vector{y, gradients(reduce_sum(y * 3), {in[0]})[0]};
  });
  expect_near(results[0], Array({5}, {-10.0, -10.0, 0.0, 245.0, 245.0}), 0);
  expect_near(results[1], Array({5}, {0.0, 3.0, 3.0, 3.0, 0.0}), 0);
}

TEST(Quantization, BlocksDivideASymbolicAxis) {
  Graph graph;
  const Dim n("n");
  const Tensor q = graph.placeholder("q", i8, {n, 2}), scale = graph.placeholder("scale", f32, {ceildiv(n, 2), 2});
  const Tensor y = dequantize_linear(q, scale, {}, {.axis = 0, .block = 2});
  Session session(graph, options());
  const Array result =
      session.run(y, {{q, Array({3, 2}, {std::int8_t{1}, std::int8_t{2}, std::int8_t{3}, std::int8_t{4}, std::int8_t{5}, std::int8_t{6}})},
                      {scale, Array({2, 2}, {1.F, 10.F, 2.F, 20.F})}});
  expect_near(result, Array({3, 2}, {1.F, 20.F, 3.F, 40.F, 10.F, 120.F}), 0);
}

TEST(Quantization, DynamicRangeOfZerosHasScaleOne) {
  const std::vector<Array> results = evaluate({Array::zeros(f32, {4})}, [](Graph&, const Inputs& in) {
    const Quantized q = dynamic_quantize_linear(in[0]);
    return std::vector{q.values, q.scale, q.zero_point};
  });
  EXPECT_EQ(results[1].item<float>(), 1.F);
  EXPECT_EQ(results[2].item<std::uint8_t>(), 0);
  for (const std::uint8_t value : results[0].data<std::uint8_t>()) EXPECT_EQ(value, 0);
}

TEST(Sequences, ReversedTwiceAreThemselves) {
  Graph graph;
  const Dim time("time"), batch("batch");
  const Tensor x = graph.placeholder("x", f32, {batch, time, 2}), lengths = graph.placeholder("lengths", i32, {batch});
  const Tensor once = reverse_sequence(x, lengths, 1, 0), mask = sequence_mask(lengths, time);
  Session session(graph, options());
  const Array value = random_array(f32, {3, 5, 2}), given({3}, {0, 4, 9});  // a length beyond the end is the whole sequence
  const std::vector<Array> results = session.run({once, reverse_sequence(once, lengths, 1, 0), mask}, {{x, value}, {lengths, given}});
  expect_near(results[1], value, 0);
  for (std::int64_t t = 0; t < 5; ++t) {
    EXPECT_EQ(results[0].at<float>({0, t, 1}), value.at<float>({0, t, 1}));
    EXPECT_EQ(results[0].at<float>({1, t, 1}), value.at<float>({1, t < 4 ? 3 - t : t, 1}));
    EXPECT_EQ(results[0].at<float>({2, t, 1}), value.at<float>({2, 4 - t, 1}));
    EXPECT_EQ(results[2].at<bool>({1, t}), t < 4);
  }
}

TEST(Sequences, GradientOfAReversedOne) {
  check_derivatives(
      {random_array(f64, {4, 2})},
      [](const Inputs& in) {
        const Tensor lengths = convert(reduce_sum(zeros_like(in[0]), 0), i64) + 3;
        const Tensor y = reverse_sequence(in[0], lengths);
        return reduce_sum(square(y) * y);
      },
      1e-6);
}

TEST(Samples, DeformableConvolutionWithoutOffsetsIsConvolution) {
  const std::vector<Array> results =
      evaluate({random_array(f64, {2, 4, 5, 6}), random_array(f64, {6, 2, 3, 2}, -1, 1, 2)}, [](Graph& g, const Inputs& in) {
        const ConvolutionOptions plain{.stride = {1, 2}, .padding = {{1, 1}, {0, 1}}, .groups = 2};
        const Tensor wanted = conv(in[0], in[1], plain);
        const Tensor offsets = g.zeros(f64, {2, 12, wanted.dim(2), wanted.dim(3)});
        return std::vector{deform_conv(in[0], in[1], offsets, {.stride = plain.stride, .padding = plain.padding, .groups = 2}), wanted};
      });
  expect_near(results[0], results[1], 1e-13);
}

TEST(Samples, GradientsOfDeformableConvolution) {
  // Offsets keep clear of whole numbers, where samples have corners.
  check_derivatives(
      {random_array(f64, {1, 2, 3, 3}), random_array(f64, {1, 2, 2, 2}, -1, 1, 2), random_array(f64, {1, 8, 2, 2}, 0.2, 0.4, 3),
       random_array(f64, {1, 4, 2, 2}, 0.5, 1, 4)},
      [](const Inputs& in) {
        const Tensor y = deform_conv(in[0], in[1], in[2], {.mask = in[3]});
        return reduce_sum(square(y));
      },
      1e-6);
}

TEST(Samples, AsManySamplesAsABinIsLong) {
  // Boxes 4 x 6 in 2 x 2 bins: 2 x 3 samples each, which a sampling ratio cannot say; columns are constant, so rows alone decide.
  const std::vector<Array> results =
      evaluate({random_array(f64, {1, 1, 8, 1}), Array({2, 4}, {1.0, 1.0, 5.0, 5.0, 0.0, 2.0, 6.0, 6.0}),
                Array({2}, {std::int64_t{0}, std::int64_t{0}})},
               [](Graph&, const Inputs& in) {
                 const Tensor image = broadcast_to(in[0], {1, 1, 8, 8});
                 return std::vector{roi_align(image, in[1], in[2], 2, 2, {.sampling_ratio = 0}), roi_align(image, in[1], in[2], 2, 2)};
               });
  expect_near(results[0], results[1], 1e-13);
}

TEST(Samples, GradientsOfRegions) {
  const Array boxes({2, 4}, {0.6, 1.3, 4.2, 3.9, 1.1, 0.7, 3.3, 4.4});
  const auto where = [](const Inputs& in) { return convert(reduce_sum(zeros_like(in[1]), 1), i64); };
  check_derivatives(
      {random_array(f64, {1, 2, 5, 5}), boxes},
      [&](const Inputs& in) { return reduce_sum(square(roi_align(in[0], in[1], where(in), 2, 1, {.sampling_ratio = 0}))); }, 1e-5);
  // The boxes of a pool are rounded: the gradient reaches the image alone, once for each channel and box.
  const std::vector<Array> results = evaluate({random_array(f64, {1, 1, 5, 5}), boxes}, [&](Graph&, const Inputs& in) {
    return std::vector{reduce_sum(gradients(reduce_sum(roi_pool(in[0], in[1], where(in), 1, 1)), {in[0]})[0])};
  });
  EXPECT_EQ(results[0].item<double>(), 2);
}

TEST(Zeta, IsRiemannsAndItsDerivativeIsTheNextOne) {
  // zeta(2), zeta(4), zeta(1.5); zeta(3, 10.5) by polygamma(2, x) = -2 zeta(3, x).
  const std::vector<Array> results = evaluate({Array({3}, {2.0, 4.0, 1.5})}, [](Graph& g, const Inputs& in) {
    const Tensor q = g.constant(Array({2}, {10.5, 0.25}));
    return std::vector{zeta(in[0], 1), zeta(3, q) + polygamma(2, q) / 2, zeta(2, -0.5 + 0 * q)};
  });
  expect_near(results[0], Array({3}, {1.6449340668482264, 1.0823232337111382, 2.6123753486854883}), 1e-15);
  expect_near(results[1], Array({2}, {0.0, 0.0}), 1e-13);
  expect_near(results[2], Array({2}, {8.934802200544679, 8.934802200544679}), 1e-15);
  check_derivatives(
      {Array({2}, {2.5, 3.0}), Array({2}, {0.7, 5.0})}, [](const Inputs& in) { return reduce_sum(zeta(in[0], in[1])); }, 1e-5);
}

}  // namespace

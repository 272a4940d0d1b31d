// Fourier transforms and windows against PyTorch; the mel matrix against ONNX's definition.
#include "composites.h"

using namespace kiln;

namespace {

using test::Case;
using test::Inputs;
using test::one;

TEST(Signal, Values) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, auto f, bool symbolic = true) { cases.push_back({name, one(f), symbolic}); };
  // The last axis is 2 in all of them, which a symbol could not say.
  add("dft", [](const Inputs& in) { return dft(in[0]); }, false);
  add("dft_inverse", [](const Inputs& in) { return dft(in[0], {.inverse = true}); }, false);
  add("dft_axis", [](const Inputs& in) { return dft(in[0], {.axis = 0}); }, false);
  add("rfft", [](const Inputs& in) { return rfft(in[0]); });
  add("rfft_odd", [](const Inputs& in) { return rfft(in[0], 1); });
  for (const int n : {8, 7}) add("irfft_" + std::to_string(n), [=](const Inputs& in) { return irfft(in[0], n); }, false);
  add("stft", [](const Inputs& in) { return stft(in[0], {.frame_length = 6, .frame_step = 4, .window = in[1]}); }, false);
  for (const bool periodic : {true, false}) {
    const auto made = [&](const std::string& name, auto f) {
      cases.push_back({name + "_" + std::to_string(periodic), [=](Graph& g, const Inputs&) { return std::vector<Tensor>{f(g)}; }, false});
    };
    made("hann", [=](Graph& g) { return hann_window(g, f64, 9, periodic); });
    made("hamming", [=](Graph& g) { return hamming_window(g, f64, 9, periodic); });
    made("blackman", [=](Graph& g) { return blackman_window(g, f64, 9, periodic); });
  }
  test::check_cases("signal", cases);
}

TEST(Signal, LongTransformsKeepTheirDigits) {
  // A wave of 3 periods: two lines in the spectrum, and nothing else.
  constexpr std::int64_t n = 1500;
  std::vector<double> wave(n);
  for (std::int64_t i = 0; i < n; ++i) wave[static_cast<std::size_t>(i)] = std::cos(2 * M_PI * 3 * static_cast<double>(i) / n);
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {Dim("n")});
  const Tensor spectrum = rfft(x), back = irfft(spectrum, "n");
  Session session(graph, test::options());
  const Array signal(Shape{n}, wave);
  const auto out = session.run({spectrum, back}, {{x, signal}});
  for (std::int64_t k = 0; k <= n / 2; ++k) {
    EXPECT_NEAR(element_as_double(out[0], 2 * k), k == 3 ? n / 2 : 0, 1e-9) << k;
    EXPECT_NEAR(element_as_double(out[0], 2 * k + 1), 0, 1e-9) << k;
  }
  test::expect_near(out[1], signal, 1e-12);
}

TEST(Signal, FramesOfASymbolicSignal) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {Dim("time")});
  const Tensor y = stft(x, {.frame_length = 4, .frame_step = 3, .onesided = false});
  EXPECT_EQ(y.rank(), 3u);
  Session session(graph, test::options());
  for (const auto& [time, frames] : std::vector<std::pair<std::int64_t, std::int64_t>>{{10, 3}, {12, 3}, {4, 1}, {3, 0}, {1, 0}})
    EXPECT_EQ(session.run(y, {{x, Array::zeros(f64, Shape{time})}}).shape(), (Shape{frames, 4, 2})) << time;
}

TEST(Signal, MelWeights) {
  // ONNX's MelWeightMatrix for 4 bins, a transform of 16 samples at 8192 Hz, between 0 and 4096 Hz: edges at 0, 1, 2, 4, 5 (of 9
  // frequencies).
  const auto out = test::evaluate({}, [](Graph& g, const Inputs&) {
    return std::vector<Tensor>{mel_weight_matrix(g, f64, {.bins = 8, .dft_length = 16, .sample_rate = 8192, .high = 4096})};
  });
  ASSERT_EQ(to_string(out[0].shape()), "[9, 8]");
  // The example of ONNX's documentation, as its reference implementation computes it.
  const std::vector<double> expected = {1, 1, 0, 0, 0, 0, 0, 0,  //
                                        0, 0, 1, 1, 0, 0, 0, 0,  //
                                        0, 0, 0, 0, 1, 0, 0, 0,  //
                                        0, 0, 0, 0, 0, 1, 0, 0,  //
                                        0, 0, 0, 0, 0, 0, 1, 0,  //
                                        0, 0, 0, 0, 0, 0, 0, 1,  //
                                        0, 0, 0, 0, 0, 0, 0, 0,  //
                                        0, 0, 0, 0, 0, 0, 0, 0,  //
                                        0, 0, 0, 0, 0, 0, 0, 0};
  test::expect_near(out[0], Array(Shape{9, 8}, expected), 1e-15);
}

}  // namespace

// Fourier transforms, windows and filter banks. A complex tensor has a last axis of extent 2: real and imaginary part.
//
// Transforms are products with matrices of cosines and sines: exact to rounding for any length, symbolic ones included, at a cost of the
// square of the length. Angles are reduced as integers first, so that long transforms lose no digits. Definitions are ONNX's (DFT, STFT,
// HannWindow ...).
#pragma once

#include "kiln/operators.h"

namespace kiln {

struct DftOptions {
  std::int64_t axis = -2;  ///< runs over the signal; not the last axis
  bool inverse = false;    ///< conjugate angles, and division by the length
  bool onesided = false;   ///< only the first length / 2 + 1 frequencies
};
/// The discrete Fourier transform sum_j x_j exp(-2 pi i j k / n): x [..., n, 2] complex or [..., n, 1] real; result complex.
Tensor dft(const Operand& x, const DftOptions& options = {});
/// Of a real signal along an axis: [..., n] -> [..., n / 2 + 1, 2]; the frequencies take the signal's place.
Tensor rfft(const Operand& x, std::int64_t axis = -1);
/// The real signal of length n with these first n / 2 + 1 frequencies: [..., n / 2 + 1, 2] -> [..., n].
Tensor irfft(const Operand& x, const Dim& n);

struct StftOptions {
  std::int64_t frame_length = 0;  ///< samples of a frame
  std::int64_t frame_step = 0;    ///< from the start of one frame to the next
  Tensor window = {};             ///< [frame_length]; multiplies each frame
  bool onesided = true;
};
/// The transforms of successive frames of a real signal: [..., time] -> [..., frames, frequencies, 2]. What does not fill a frame is left
/// out.
Tensor stft(const Operand& signal, const StftOptions& options);

/// [size]: a0 - a1 cos(2 pi i / N) + a2 cos(4 pi i / N), N = size, or size - 1 where not periodic.
/// Hann: 1/2, 1/2; Hamming: 25/46, 21/46; Blackman: 0.42, 0.5, 0.08.
Tensor hann_window(Graph& graph, DType dtype, const Dim& size, bool periodic = true,
                   std::source_location location = std::source_location::current());
Tensor hamming_window(Graph& graph, DType dtype, const Dim& size, bool periodic = true,
                      std::source_location location = std::source_location::current());
Tensor blackman_window(Graph& graph, DType dtype, const Dim& size, bool periodic = true,
                       std::source_location location = std::source_location::current());

struct MelOptions {
  std::int64_t bins = 0;        ///< of the result
  std::int64_t dft_length = 0;  ///< of the transform that makes the spectrum
  double sample_rate = 0;       ///< Hz
  double low = 0, high = 0;     ///< Hz: the edges of the lowest and the highest filter; high at most sample_rate / 2
};
/// [dft_length / 2 + 1, bins]: multiplies a spectrum to give its energy in overlapping triangles, evenly spaced on the mel scale.
Tensor mel_weight_matrix(Graph& graph, DType dtype, const MelOptions& options,
                         std::source_location location = std::source_location::current());

}  // namespace kiln

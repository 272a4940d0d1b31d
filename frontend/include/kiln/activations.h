// Activation functions, element by element, under the names of PyTorch's torch.nn.functional.
//
// All take floating tensors of any shape and give one of the same type (the gated ones halve an axis). f16 and bf16 are computed in f32 and
// rounded once. Where a function has a corner, its derivative there is the one that PyTorch takes.
#pragma once

#include "kiln/graph.h"

namespace kiln {

/// min(max(x, 0), 6). At the corners the derivative is 0.
Tensor relu6(const Operand& x);
/// x limited to low..high. At the corners the derivative is 0.
Tensor hardtanh(const Operand& x, double low = -1, double high = 1);
/// slope * x + offset limited to 0..1; ONNX's default is slope 0.2. At the corners the derivative is 0.
Tensor hardsigmoid(const Operand& x, double slope = 1.0 / 6, double offset = 0.5);
/// x * hardsigmoid(x): Howard et al., Searching for MobileNetV3 (arXiv:1905.02244).
Tensor hardswish(const Operand& x);
/// scale * elu(x, alpha) with the constants that keep mean 0 and variance 1: Klambauer et al. (arXiv:1706.02515).
Tensor selu(const Operand& x);
/// x for x > 0, else alpha * (exp(x / alpha) - 1): Barron (arXiv:1704.07483). Error when alpha is 0.
Tensor celu(const Operand& x, double alpha = 1);
/// x * tanh(softplus(x)): Misra (arXiv:1908.08681).
Tensor mish(const Operand& x);
/// x / (1 + |x|)
Tensor softsign(const Operand& x);
/// x moved towards 0 by lambda, at most to 0.
Tensor softshrink(const Operand& x, double lambda = 0.5);
/// x where |x| > lambda, else 0.
Tensor hardshrink(const Operand& x, double lambda = 0.5);
/// x - tanh(x)
Tensor tanhshrink(const Operand& x);
/// x where x > threshold, else value.
Tensor threshold(const Operand& x, double threshold, double value);
/// x where x > alpha, else 0 (ONNX's ThresholdedRelu).
Tensor thresholded_relu(const Operand& x, double alpha = 1);
/// x + bias where x < -lambda, x - bias where x > lambda, else 0 (ONNX's Shrink): bias 0 is hardshrink(), bias lambda softshrink().
Tensor shrink(const Operand& x, double lambda = 0.5, double bias = 0);
/// log(sigmoid(x)), without overflow.
Tensor logsigmoid(const Operand& x);
/// x * sigmoid(beta * x): Ramachandran et al. (arXiv:1710.05941). beta = 1 is silu().
Tensor swish(const Operand& x, double beta = 1);
/// log(1 + exp(beta * x)) / beta, without overflow. Error when beta is 0.
Tensor softplus(const Operand& x, double beta = 1);
/// x for x > 0, else slope * x, where slope is a tensor. A vector lies along `axis` of x (one slope per channel); other slopes combine with
/// x as operands of * do. At 0 the derivative is the slope.
///   prelu(image, slope)    // [batch, channels, height, width], [channels]
Tensor prelu(const Operand& x, const Operand& slope, std::int64_t axis = 1);

/// The axis is cut in two halves, a and b: a * sigmoid(b) (Dauphin et al., arXiv:1612.08083). Error when its extent is odd or not known to
/// be even.
Tensor glu(const Operand& x, std::int64_t axis = -1);
/// The same with other gates (Shazeer, arXiv:2002.05202): silu(a) * b and gelu(a) * b; the first half is the gate, as in LLaMA and T5.
Tensor swiglu(const Operand& x, std::int64_t axis = -1);
Tensor geglu(const Operand& x, std::int64_t axis = -1);

}  // namespace kiln

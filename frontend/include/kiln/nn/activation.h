// Activation functions as modules, named as PyTorch names them. All keep dtype and dims (GLU apart: it halves an axis) and take floating
// tensors of any rank.
#pragma once

#include "kiln/nn/module.h"

namespace kiln::nn {

/// x for x > 0, else alpha * (exp(x) - 1).
class ELU final : public Module {
 public:
  explicit ELU(double alpha = 1) : alpha_(alpha) {}

 private:
  Tensor forward(const Tensor& input) override;
  double alpha_;
};
/// x for x > 0, else alpha * (exp(x / alpha) - 1); alpha is not 0.
class CELU final : public Module {
 public:
  explicit CELU(double alpha = 1) : alpha_(alpha) {}

 private:
  Tensor forward(const Tensor& input) override;
  double alpha_;
};
/// Klambauer et al. (arXiv:1706.02515): an ELU whose scale and alpha keep mean 0 and variance 1.
class SELU final : public Module {
  Tensor forward(const Tensor& input) override;
};
/// x * Phi(x), with erf or the tanh approximation.
class GELU final : public Module {
 public:
  explicit GELU(bool approximate = false) : approximate_(approximate) {}

 private:
  Tensor forward(const Tensor& input) override;
  bool approximate_;
};
/// max(0, x)
class ReLU final : public Module {
  Tensor forward(const Tensor& input) override;
};
/// min(max(0, x), 6)
class ReLU6 final : public Module {
  Tensor forward(const Tensor& input) override;
};
/// x for x > 0, else slope * x.
class LeakyReLU final : public Module {
 public:
  explicit LeakyReLU(double slope = 0.01) : slope_(slope) {}

 private:
  Tensor forward(const Tensor& input) override;
  double slope_;
};
/// x for x > 0, else a * x: a is drawn for each element from low..high in training, else it is their mean (arXiv:1505.00853).
class RReLU final : public Module {
 public:
  explicit RReLU(double low = 1.0 / 8, double high = 1.0 / 3) : low_(low), high_(high) {}

 private:
  Tensor forward(const Tensor& input) override;
  double low_, high_;
};
/// x for x > threshold, else value.
class Threshold final : public Module {
 public:
  Threshold(double threshold, double value) : threshold_(threshold), value_(value) {}

 private:
  Tensor forward(const Tensor& input) override;
  double threshold_, value_;
};
/// x limited to low..high.
class Hardtanh final : public Module {
 public:
  explicit Hardtanh(double low = -1, double high = 1) : low_(low), high_(high) {}

 private:
  Tensor forward(const Tensor& input) override;
  double low_, high_;
};
/// (x + 3) / 6 limited to 0..1.
class Hardsigmoid final : public Module {
  Tensor forward(const Tensor& input) override;
};
/// x * hardsigmoid(x)
class Hardswish final : public Module {
  Tensor forward(const Tensor& input) override;
};
/// x where |x| > lambda, else 0.
class Hardshrink final : public Module {
 public:
  explicit Hardshrink(double lambda = 0.5) : lambda_(lambda) {}

 private:
  Tensor forward(const Tensor& input) override;
  double lambda_;
};
/// x moved by lambda towards 0, and 0 where |x| <= lambda.
class Softshrink final : public Module {
 public:
  explicit Softshrink(double lambda = 0.5) : lambda_(lambda) {}

 private:
  Tensor forward(const Tensor& input) override;
  double lambda_;
};
/// x - tanh(x)
class Tanhshrink final : public Module {
  Tensor forward(const Tensor& input) override;
};
/// tanh(x)
class Tanh final : public Module {
  Tensor forward(const Tensor& input) override;
};
/// 1 / (1 + exp(-x))
class Sigmoid final : public Module {
  Tensor forward(const Tensor& input) override;
};
/// log(1 / (1 + exp(-x))), without overflow.
class LogSigmoid final : public Module {
  Tensor forward(const Tensor& input) override;
};
/// x * sigmoid(x)
class SiLU final : public Module {
  Tensor forward(const Tensor& input) override;
};
/// x * tanh(softplus(x)) (arXiv:1908.08681)
class Mish final : public Module {
  Tensor forward(const Tensor& input) override;
};
/// log(1 + exp(beta * x)) / beta, without overflow.
class Softplus final : public Module {
 public:
  explicit Softplus(double beta = 1) : beta_(beta) {}

 private:
  Tensor forward(const Tensor& input) override;
  double beta_;
};
/// x / (1 + |x|)
class Softsign final : public Module {
  Tensor forward(const Tensor& input) override;
};
/// Of the halves a and b of an axis of even extent: a * sigmoid(b).
class GLU final : public Module {
 public:
  explicit GLU(std::int64_t axis = -1) : axis_(axis) {}

 private:
  Tensor forward(const Tensor& input) override;
  std::int64_t axis_;
};
/// exp(x) / sum(exp(x)) along an axis.
class Softmax final : public Module {
 public:
  explicit Softmax(std::int64_t axis = -1) : axis_(axis) {}

 private:
  Tensor forward(const Tensor& input) override;
  std::int64_t axis_;
};
/// softmax(-x)
class Softmin final : public Module {
 public:
  explicit Softmin(std::int64_t axis = -1) : axis_(axis) {}

 private:
  Tensor forward(const Tensor& input) override;
  std::int64_t axis_;
};
/// log(softmax(x)), without overflow or cancellation.
class LogSoftmax final : public Module {
 public:
  explicit LogSoftmax(std::int64_t axis = -1) : axis_(axis) {}

 private:
  Tensor forward(const Tensor& input) override;
  std::int64_t axis_;
};

/// x for x > 0, else weight * x, with one slope for all, or one for each channel (axis 1). Parameter weight [count], from `initial`
/// (arXiv:1502.01852).
class PReLU final : public Module {
 public:
  explicit PReLU(std::int64_t count = 1, double initial = 0.25) : count_(count), initial_(initial) {}

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  std::int64_t count_;
  double initial_;
};

}  // namespace kiln::nn

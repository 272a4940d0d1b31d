// Optimizers: they make, for each parameter, state variables and the assigns of one training step. Formulas and defaults are PyTorch's
// (torch.optim) unless stated.
//
//   Operation step = AdamW({.lr = 3e-4}).minimize(loss);
//
// minimize() is compute_gradients() and apply_gradients(); kiln/training.h has what may stand between them.
#pragma once

#include <map>
#include <optional>
#include <span>

#include "kiln/initializers.h"
#include "kiln/schedules.h"

namespace kiln {

/// A hyperparameter: a number, a scalar tensor (a variable or placeholder, say) so that it can change between runs, or a schedule.
class Hyperparameter {
 public:
  template <class T>
    requires std::is_arithmetic_v<T>
  Hyperparameter(T value) : number_(static_cast<double>(value)) {}
  Hyperparameter(const Tensor& tensor) : tensor_(tensor) {}
  Hyperparameter(Schedule schedule) : schedule_(std::move(schedule)) {}
  bool is_number() const { return !tensor_.valid() && !schedule_; }
  bool is_tensor() const { return tensor_.valid(); }
  const Tensor& tensor() const { return tensor_; }
  const std::optional<Schedule>& schedule() const { return schedule_; }
  double number() const { return number_; }

 private:
  double number_ = 0;
  Tensor tensor_;
  std::optional<Schedule> schedule_;
};

/// A parameter and its gradient.
struct GradientPair {
  Variable parameter;
  Tensor gradient;
};

/// The gradients of a step, when it is made, and what else happens with it.
struct GradientSet {
  std::vector<GradientPair> pairs;
  Tensor condition = {};                ///< bool scalar: false in runs that make no step; invalid: every run makes one
  std::vector<Operation> updates = {};  ///< happen in every run, with a step or without: running statistics, accumulators, scales
};

/// The gradients of the scalar `loss` with respect to all trainable variables that it depends on, with the changes of running statistics
/// that modules called in training noted (nn::Module::updates()) as far as the loss depends on those calls.
GradientSet compute_gradients(const Tensor& loss, std::source_location location = std::source_location::current());
/// The same of these parameters; Error(not_differentiable) when the loss does not depend on one of them.
GradientSet compute_gradients(const Tensor& loss, std::span<const Variable> parameters,
                              std::source_location location = std::source_location::current());
GradientSet compute_gradients(const Tensor& loss, std::initializer_list<Variable> parameters,
                              std::source_location location = std::source_location::current());

/// Parameters with hyperparameters of their own.
struct ParameterGroup {
  std::vector<Variable> parameters;
  std::optional<Hyperparameter> lr = {};    ///< in place of the optimizer's
  std::optional<double> weight_decay = {};  ///< in place of the optimizer's
};
/// Those of rank 0 and 1: biases and the weights of norms, which are customarily not decayed.
///   adamw.add_group({.parameters = biases_and_norms(model.parameters()), .weight_decay = 0});
std::vector<Variable> biases_and_norms(std::span<const Variable> parameters);

/// What all optimizers can do. State variables are named PARAMETER.NAME ("0.weight.exp_avg"), the count of
/// steps is "optimizer.step", made unique with .1, .2; they are initialised with all others, and saved in checkpoints.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// One step down the gradient of the scalar `loss`, of all trainable variables that it depends on.
  Operation minimize(const Tensor& loss, std::source_location location = std::source_location::current());
  /// The same of these parameters; Error(not_differentiable) when the loss does not depend on one of them.
  Operation minimize(const Tensor& loss, std::span<const Variable> parameters,
                     std::source_location location = std::source_location::current());
  Operation minimize(const Tensor& loss, std::initializer_list<Variable> parameters,
                     std::source_location location = std::source_location::current());
  /// One step with gradients that the caller has computed (clipped, averaged...).
  Operation apply_gradients(const GradientSet& gradients, std::source_location location = std::source_location::current());
  Operation apply_gradients(std::span<const GradientPair> pairs, std::source_location location = std::source_location::current());
  /// From the next step that is built on, these parameters have hyperparameters of their own. Error(invalid_argument) for a parameter that
  /// is in a group already.
  void add_group(ParameterGroup group, std::source_location location = std::source_location::current());

 protected:
  /// One step under construction: where `update` gets state from and puts its assigns.
  class Step {
   public:
    /// A state variable of the parameter's dtype and shape that starts at `value`.
    Variable state(const Variable& parameter, const std::string& name, double value = 0);
    /// The same of another shape or dtype.
    Variable state(const Variable& parameter, const std::string& name, DType dtype, const Shape& shape, double value);
    /// The number of this step, from 1, as an f64 scalar.
    Tensor number();
    /// A hyperparameter as an f64 scalar.
    Tensor hyperparameter(const Hyperparameter& value);
    /// value * x, where the value takes x's dtype.
    Tensor scaled(const Hyperparameter& value, const Tensor& x);
    /// The optimizer's hyperparameter, or that of the current parameter's group.
    Hyperparameter lr(const Hyperparameter& common) const;
    double weight_decay(double common) const;
    void assign(const Variable& variable, const Operand& value);

   private:
    friend class Optimizer;
    Step(Optimizer& optimizer, const Graph& graph) : optimizer_(optimizer), graph_(graph) {}
    Optimizer& optimizer_;
    Graph graph_;
    const ParameterGroup* group_ = nullptr;
    Tensor condition_;
    std::vector<Operation> assigns_;
    Tensor number_;
  };
  /// Emits the assigns that update one parameter.
  virtual void update(Step& step, const Variable& parameter, const Tensor& gradient) = 0;

 private:
  /// The state variable of this name, made when it is first asked for.
  Variable state(Graph& graph, const std::string& name, const Initializer& initial);
  std::map<std::string, Variable> states_;
  std::vector<ParameterGroup> groups_;
};

struct SGDOptions {
  Hyperparameter lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;
};
/// g += weight_decay * w; m = momentum * m + (1 - dampening) * g (the first step: m = g); g = nesterov ? g + momentum * m : m; w -= lr * g.
class SGD : public Optimizer {
 public:
  explicit SGD(SGDOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  SGDOptions options_;
};

struct AdamOptions {
  Hyperparameter lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  bool amsgrad = false;  ///< the second moment never falls (Reddi et al., arXiv:1904.09237)
};
/// Kingma and Ba (arXiv:1412.6980); weight decay is added to the gradient.
class Adam : public Optimizer {
 public:
  explicit Adam(AdamOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  AdamOptions options_;
};

struct AdamWOptions {
  Hyperparameter lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-2;
  bool amsgrad = false;
};
/// Loshchilov and Hutter (arXiv:1711.05101): Adam, with w *= 1 - lr * weight_decay before the step.
class AdamW : public Optimizer {
 public:
  explicit AdamW(AdamWOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  AdamWOptions options_;
};

struct AdagradOptions {
  Hyperparameter lr = 1e-2;
  double lr_decay = 0;
  double weight_decay = 0;
  double initial_accumulator_value = 0;
  double eps = 1e-10;
};
/// Duchi et al. 2011: s += g * g; w -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(s) + eps).
class Adagrad : public Optimizer {
 public:
  explicit Adagrad(AdagradOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  AdagradOptions options_;
};

struct RMSpropOptions {
  Hyperparameter lr = 1e-2;
  double alpha = 0.99;
  double eps = 1e-8;
  double weight_decay = 0;
  double momentum = 0;
  bool centered = false;
};
/// Tieleman and Hinton 2012: s = alpha * s + (1 - alpha) * g * g; w -= lr * g / (sqrt(s) + eps); centred: s minus the square of the mean
/// gradient.
class RMSprop : public Optimizer {
 public:
  explicit RMSprop(RMSpropOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  RMSpropOptions options_;
};

struct AdadeltaOptions {
  Hyperparameter lr = 1.0;
  double rho = 0.9;
  double eps = 1e-6;
  double weight_decay = 0;
};
/// Zeiler 2012 (arXiv:1212.5701): s = rho * s + (1 - rho) * g * g; d = sqrt(a + eps) / sqrt(s + eps) * g; a = rho * a + (1 - rho) * d * d;
/// w -= lr * d.
class Adadelta : public Optimizer {
 public:
  explicit Adadelta(AdadeltaOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  AdadeltaOptions options_;
};

struct AdamaxOptions {
  Hyperparameter lr = 2e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
};
/// Adam with the infinity norm (arXiv:1412.6980, section 7): u = max(beta2 * u, |g| + eps); w -= lr / (1 - beta1^t) * m / u.
class Adamax : public Optimizer {
 public:
  explicit Adamax(AdamaxOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  AdamaxOptions options_;
};

struct NAdamOptions {
  Hyperparameter lr = 2e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  double momentum_decay = 4e-3;
};
/// Dozat 2016: Adam with Nesterov's momentum, whose coefficient is beta1 * (1 - 0.96^(t * momentum_decay) / 2).
class NAdam : public Optimizer {
 public:
  explicit NAdam(NAdamOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  NAdamOptions options_;
};

struct RAdamOptions {
  Hyperparameter lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
};
/// Liu et al. 2019 (arXiv:1908.03265): Adam whose adaptive rate is rectified by its variance, and left out in the first steps.
class RAdam : public Optimizer {
 public:
  explicit RAdam(RAdamOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  RAdamOptions options_;
};

struct RpropOptions {
  double lr = 1e-2;
  double shrink = 0.5, grow = 1.2;
  double min_step = 1e-6, max_step = 50;
};
/// Riedmiller and Braun 1993: each weight has a step size, from `lr`, that grows while its gradient keeps its sign and shrinks when it
/// changes; only the sign of the gradient counts. For whole-batch gradients.
class Rprop : public Optimizer {
 public:
  explicit Rprop(RpropOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  RpropOptions options_;
};

struct ASGDOptions {
  Hyperparameter lr = 1e-2;
  double lambda = 1e-4;
  double alpha = 0.75;
  double t0 = 1e6;
  double weight_decay = 0;
};
/// Polyak and Juditsky 1992: SGD with rate lr / (1 + lambda * lr * t)^alpha; state `ax` is the average of the parameters from step t0 on.
class ASGD : public Optimizer {
 public:
  explicit ASGD(ASGDOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  ASGDOptions options_;
};

struct LionOptions {
  Hyperparameter lr = 1e-4;
  double beta1 = 0.9, beta2 = 0.99;
  double weight_decay = 0;
};
/// Chen et al. 2023 (arXiv:2302.06675): w -= lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * w); m = beta2 * m + (1 - beta2) * g.
class Lion : public Optimizer {
 public:
  explicit Lion(LionOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  LionOptions options_;
};

struct LAMBOptions {
  Hyperparameter lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-6;
  double weight_decay = 0;
};
/// You et al. 2019 (arXiv:1904.00962): Adam's step r, with bias correction and + weight_decay * w, times |w| / |r| for each parameter (1
/// where one of the norms is 0).
class LAMB : public Optimizer {
 public:
  explicit LAMB(LAMBOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  LAMBOptions options_;
};

struct AdafactorOptions {
  Hyperparameter lr = 1e-2;
  double beta2_decay = -0.8;  ///< the second moment's decay is 1 - step^beta2_decay
  double eps1 = 0;            ///< least root of the second moment; 0: the dtype's epsilon
  double eps2 = 1e-3;         ///< least root mean square of a parameter that scales its step
  double clip = 1;            ///< steps have at most this root mean square, before lr
  double weight_decay = 0;
};
/// Shazeer and Stern 2018 (arXiv:1804.04235): second moments of matrices are kept as row and column means, so that state is small. Formula
/// of torch.optim.Adafactor: w -= max(eps2, rms(w)) * min(lr, 1 / sqrt(t)) * u / max(1, rms(u) / clip), u = g / sqrt(second moment).
class Adafactor : public Optimizer {
 public:
  explicit Adafactor(AdafactorOptions options = {}, std::source_location location = std::source_location::current());

 private:
  void update(Step& step, const Variable& parameter, const Tensor& gradient) override;
  AdafactorOptions options_;
};

}  // namespace kiln

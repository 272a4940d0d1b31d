// Optimizers: they make, for each parameter, state variables and the assigns of one training step. Formulas and defaults are PyTorch's
// (torch.optim).
#pragma once

#include <map>

#include "kiln/initializers.h"

namespace kiln {

/// A hyperparameter: a number, or a scalar tensor (a variable or placeholder, say) so that it can change between runs.
class Hyperparameter {
 public:
  template <class T>
    requires std::is_arithmetic_v<T>
  Hyperparameter(T value) : number_(static_cast<double>(value)) {}
  Hyperparameter(const Tensor& tensor) : tensor_(tensor) {}
  bool is_tensor() const { return tensor_.valid(); }
  const Tensor& tensor() const { return tensor_; }
  double number() const { return number_; }

 private:
  double number_ = 0;
  Tensor tensor_;
};

/// A parameter and its gradient.
struct GradientPair {
  Variable parameter;
  Tensor gradient;
};

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
  Operation apply_gradients(std::span<const GradientPair> pairs, std::source_location location = std::source_location::current());

 protected:
  /// One step under construction: where `update` gets state from and puts its assigns.
  class Step {
   public:
    /// A state variable of the parameter's dtype and shape that starts at `value`.
    Variable state(const Variable& parameter, const std::string& name, double value = 0);
    /// The number of this step, from 1, as an f64 scalar.
    Tensor number();
    /// A hyperparameter as an f64 scalar.
    Tensor hyperparameter(const Hyperparameter& value);
    void assign(const Variable& variable, const Operand& value);

   private:
    friend class Optimizer;
    Step(Optimizer& optimizer, const Graph& graph) : optimizer_(optimizer), graph_(graph) {}
    Optimizer& optimizer_;
    Graph graph_;
    std::vector<Operation> assigns_;
    Tensor number_;
  };
  /// Emits the assigns that update one parameter.
  virtual void update(Step& step, const Variable& parameter, const Tensor& gradient) = 0;

 private:
  /// The state variable of this name, made when it is first asked for.
  Variable state(Graph& graph, const std::string& name, const Initializer& initial);
  std::map<std::string, Variable> states_;
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

}  // namespace kiln

// Neural network modules: functions from tensor to tensor that own their parameters.
//
// A module makes its parameters when it is first called, in the graph and with the dtype of its input, or when build() is called. Their
// names are paths, as in PyTorch: "0.weight" for the first layer of a Sequential.
//
//   nn::Sequential model(nn::Linear(784, 128), nn::ReLU(), nn::Linear(128, 10));
//   Tensor loss = nn::CrossEntropyLoss()(model(x), labels);
//   Operation step = Adam({.lr = 1e-3}).minimize(loss, model.parameters());
#pragma once

#include <concepts>
#include <memory>
#include <utility>

#include "kiln/initializers.h"
#include "kiln/operators.h"

namespace kiln::nn {

namespace detail {
struct ModuleState;
}

/// A parameter and its path.
struct NamedParameter {
  std::string name;
  Variable variable;
};

/// Base of all modules. An own one derives from it, adds its parts, and overrides forward():
///
///   class TwoLayerNet : public nn::Module {
///    public:
///     TwoLayerNet(int in, int hidden, int out) : linear1(add("linear1", nn::Linear(in, hidden))), linear2(add("linear2",
///     nn::Linear(hidden, out))) {}
///
///    private:
///     Tensor forward(const Tensor& x) override { return linear2(relu(linear1(x))) * parameter(x, "scale", ones(x.dtype(), {})); }
///     nn::Linear linear1, linear2;
///   };
///
/// Copies of a module share its parameters.
class Module {
 public:
  Module();
  virtual ~Module() = default;

  /// The module applied to a tensor. What it appends carries the caller's line.
  Tensor operator()(const Tensor& input, std::source_location location = std::source_location::current());

  /// Makes the parameters now, in this graph, of this dtype. Nothing happens to those that exist.
  void build(Graph& graph, DType dtype = f32, std::source_location location = std::source_location::current());

  /// The parameters of the module and of its parts, in order of addition. Error(invalid_argument) when they have not been made yet.
  std::vector<Variable> parameters(std::source_location location = std::source_location::current()) const;
  std::vector<NamedParameter> named_parameters(std::source_location location = std::source_location::current()) const;

  /// Puts a prefix before the names of parameters that are still to be made: two models of one graph need different ones.
  void set_name(const std::string& name);

 protected:
  /// What the module computes. Reached through operator().
  virtual Tensor forward(const Tensor& input) = 0;
  /// Makes what forward() would make, for modules that know it beforehand.
  virtual void make_parameters(Graph& graph, DType dtype);

  /// Registers a part under a name; returns it.
  template <std::derived_from<Module> M>
  M add(const std::string& name, M module) {
    add_part(name, std::make_shared<M>(module));
    return module;
  }
  /// The parameter of this name, made with `initial` when it is first asked for, in the graph of `near`.
  Variable parameter(const Tensor& near, const std::string& name, const Initializer& initial);
  Variable parameter(Graph& graph, const std::string& name, const Initializer& initial);
  /// A part applied to a tensor, with this module's caller as its caller: for modules that only chain others.
  static Tensor call(Module& part, const Tensor& input);
  void add_part(const std::string& name, std::shared_ptr<Module> module);

 private:
  std::shared_ptr<detail::ModuleState> state_;
};

/// Modules one after the other, named "0", "1" ...
class Sequential final : public Module {
 public:
  template <std::derived_from<Module>... Modules>
  explicit Sequential(Modules... modules) {
    (append(std::move(modules)), ...);
  }
  template <std::derived_from<Module> M>
  void append(M module) {
    parts_.push_back(std::make_shared<M>(std::move(module)));
    add_part(std::to_string(parts_.size() - 1), parts_.back());
  }

 private:
  Tensor forward(const Tensor& input) override;
  std::vector<std::shared_ptr<Module>> parts_;
};

struct LinearOptions {
  bool bias = true;
};
/// x W^T + b: [..., in] -> [..., out]. Parameters weight [out, in] and bias [out], uniform in +-1/sqrt(in).
class Linear final : public Module {
 public:
  Linear(std::int64_t in, std::int64_t out, LinearOptions options = {});

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  std::int64_t in_, out_;
  LinearOptions options_;
};

/// Any function of one tensor as a module: Lambda([](const Tensor& x) { return x * 2; }).
class Lambda final : public Module {
 public:
  explicit Lambda(std::function<Tensor(const Tensor&)> function) : function_(std::move(function)) {}

 private:
  Tensor forward(const Tensor& input) override { return function_(input); }
  std::function<Tensor(const Tensor&)> function_;
};

/// Modules without parameters, named as the functions that they apply.
class ReLU final : public Module {
  Tensor forward(const Tensor& input) override;
};
class Sigmoid final : public Module {
  Tensor forward(const Tensor& input) override;
};
class Tanh final : public Module {
  Tensor forward(const Tensor& input) override;
};
class SiLU final : public Module {
  Tensor forward(const Tensor& input) override;
};
class Softplus final : public Module {
  Tensor forward(const Tensor& input) override;
};
class GELU final : public Module {
 public:
  explicit GELU(bool approximate = false) : approximate_(approximate) {}

 private:
  Tensor forward(const Tensor& input) override;
  bool approximate_;
};
class LeakyReLU final : public Module {
 public:
  explicit LeakyReLU(double slope = 0.01) : slope_(slope) {}

 private:
  Tensor forward(const Tensor& input) override;
  double slope_;
};
class ELU final : public Module {
 public:
  explicit ELU(double alpha = 1) : alpha_(alpha) {}

 private:
  Tensor forward(const Tensor& input) override;
  double alpha_;
};
class Softmax final : public Module {
 public:
  explicit Softmax(std::int64_t axis = -1) : axis_(axis) {}

 private:
  Tensor forward(const Tensor& input) override;
  std::int64_t axis_;
};
/// Axes from `first_axis` on become one.
class Flatten final : public Module {
 public:
  explicit Flatten(std::int64_t first_axis = 1) : first_axis_(first_axis) {}

 private:
  Tensor forward(const Tensor& input) override;
  std::int64_t first_axis_;
};
/// kiln::dropout(), for training graphs; a graph for evaluation leaves it out.
class Dropout final : public Module {
 public:
  explicit Dropout(double rate = 0.5) : rate_(rate) {}

 private:
  Tensor forward(const Tensor& input) override;
  double rate_;
};

/// How a loss's elements become its value.
enum class Reduction : std::uint8_t { mean, sum, none };

/// (prediction - target)^2, element by element, then reduced.
class MSELoss {
 public:
  explicit MSELoss(Reduction reduction = Reduction::mean) : reduction_(reduction) {}
  Tensor operator()(const Tensor& prediction, const Tensor& target, std::source_location location = std::source_location::current()) const;

 private:
  Reduction reduction_;
};

/// softmax_cross_entropy() of logits and class indices (or probabilities), then reduced.
class CrossEntropyLoss {
 public:
  explicit CrossEntropyLoss(Reduction reduction = Reduction::mean) : reduction_(reduction) {}
  Tensor operator()(const Tensor& logits, const Tensor& labels, std::source_location location = std::source_location::current()) const;

 private:
  Reduction reduction_;
};

}  // namespace kiln::nn

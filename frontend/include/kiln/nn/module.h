// Module: a function from tensors to tensors that owns its parameters.
//
// Parameters are variables, made in the graph and with the dtype of the first input, when the module is first called or when build() is.
// Their names are paths through the parts of the outermost module, as in PyTorch's state_dict: "encoder.layers.0.linear1.weight". So
// weights that were exported from PyTorch load by name (nn::load_state), and a model built again in another graph finds its checkpoint.
//
// A call says whether it trains: model(x, {.training = true}). Modules called inside a module's forward() follow its call, unless their own
// call says otherwise; an outermost call that says nothing evaluates. In training, dropout draws, and batch normalisation uses the
// batch's statistics and notes how its running ones change. minimize() and compute_gradients() include these changes; Module::updates() is
// the same as an operation of its own.
#pragma once

#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kiln/initializers.h"

namespace kiln {
class Session;
}

namespace kiln::nn {

namespace detail {
struct ModuleState;
}  // namespace detail

/// How a module is called.
struct Mode {
  /// True: dropout and batch statistics. Not given: as the module whose forward() makes the call; false outside of all modules.
  std::optional<bool> training = {};
};

/// A parameter, or a buffer (state that gradients do not train, as running statistics), and its path.
struct NamedParameter {
  std::string name;
  Variable variable;
};

/// What an initialisation rule sees of a parameter that is about to be made.
struct ParameterInfo {
  std::string name;  ///< its path
  DType dtype = f32;
  Shape shape;
};
/// Gives a parameter another initial value than its module's own; nothing leaves it.
using InitializationRule = std::function<std::optional<Initializer>(const ParameterInfo&)>;

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
/// A module of other arguments has an operator() of its own, which opens a Call:
///
///   Tensor operator()(const Tensor& query, const Tensor& key, nn::Mode mode = {},
///                     std::source_location location = std::source_location::current()) {
///     return call(mode, location, [&] { return matmul(q(query), transpose(k(key))); });
///   }
///
/// Copies of a module share its parameters. A part may be added to several modules, which then share it too; its parameters are named by
/// the first.
class Module {
 public:
  Module();
  Module(const Module&) = default;
  Module& operator=(const Module&) = default;
  virtual ~Module() = default;

  /// The module applied to a tensor. What it appends carries the caller's line.
  Tensor operator()(const Tensor& input, Mode mode = {}, std::source_location location = std::source_location::current());

  /// Makes the parameters now, in this graph, of this dtype. Nothing happens to those that exist.
  void build(Graph& graph, DType dtype = f32, std::source_location location = std::source_location::current());

  /// The parameters of the module and of its parts that train (all but frozen ones), in order of addition, each once.
  /// Error(invalid_argument) when they have not been made yet.
  std::vector<Variable> parameters(std::source_location location = std::source_location::current()) const;
  /// All of them, frozen or not, with their names.
  std::vector<NamedParameter> named_parameters(std::source_location location = std::source_location::current()) const;
  /// Running statistics and other state of the module and of its parts; there may be none.
  std::vector<Variable> buffers(std::source_location location = std::source_location::current()) const;
  std::vector<NamedParameter> named_buffers(std::source_location location = std::source_location::current()) const;
  /// The modules added to this one, by name.
  std::vector<std::pair<std::string, std::shared_ptr<Module>>> parts() const;

  /// The changes of running statistics that calls in training noted, as one operation; none when there was no such call. In a run with a
  /// step of minimize(), which has them, they are assigned once all the same.
  Operation updates(std::source_location location = std::source_location::current()) const;

  /// Takes the parameters of the module and of its parts, those still to be made too, out of training: minimize() and parameters() leave
  /// them out. unfreeze() takes them back.
  void freeze();
  void unfreeze();

  /// Puts a prefix before the names of parameters that are still to be made: two models of one graph need different ones.
  void set_name(const std::string& name);
  /// Initial values by rule for the parameters of the module and of its parts that are still to be made:
  ///   model.set_initialization([](const nn::ParameterInfo& p) -> std::optional<Initializer> {
  ///     if (!p.name.ends_with(".weight")) return {};
  ///     return random_normal(p.dtype, p.shape, {.stddev = 0.02});
  ///   });
  void set_initialization(InitializationRule rule);
  /// From now on this module's parameter `name` is that of another module (weight tying):
  ///   head.tie("weight", token_embedding);
  template <std::derived_from<Module> M>
  void tie(const std::string& name, const M& owner, const std::string& owner_name = {},
           std::source_location location = std::source_location::current()) {
    tie_parameter(name, std::make_shared<M>(owner), owner_name.empty() ? name : owner_name, location);
  }
  /// The class's name as summary() prints it: "Linear".
  virtual std::string type_name() const;

 protected:
  /// What the module computes. Reached through operator(). The default is for modules with an operator() of their own:
  /// Error(invalid_argument), one tensor is not what they take.
  virtual Tensor forward(const Tensor& input);
  /// Makes what forward() would make, for modules that know it beforehand.
  virtual void make_parameters(Graph& graph, DType dtype);

  /// Whether the innermost call trains.
  static bool training();
  /// Registers a part under a name; returns it. Names are unique within a module.
  template <std::derived_from<Module> M>
  M add(const std::string& name, M module) {
    add_part(name, std::make_shared<M>(module));
    return module;
  }
  /// The parameter of this name, made with `initial` when it is first asked for, in the graph of `near`.
  Variable parameter(const Tensor& near, const std::string& name, const Initializer& initial);
  Variable parameter(Graph& graph, const std::string& name, const Initializer& initial);
  /// State that no gradient trains, made like a parameter.
  Variable buffer(Graph& graph, const std::string& name, const Initializer& initial);
  /// In training: at the end of a run the buffer becomes next(its value). Which calls a run's updates include depends on what its loss
  /// depends on: `result` is what this call returns. Several calls change the buffer one after the other.
  void update(const Variable& buffer, const Tensor& result, std::function<Tensor(const Tensor& current)> next);
  /// A part applied to a tensor, with this module's caller as its caller: for modules that only chain others.
  static Tensor call(Module& part, const Tensor& input);
  /// Runs the body of an operator() of one's own as a call of this module.
  template <class Function>
  auto call(Mode mode, std::source_location location, Function&& function) {
    const Call open(*this, mode, location);
    auto result = function();
    open.returns(result);
    return result;
  }
  void add_part(const std::string& name, std::shared_ptr<Module> module);

 private:
  friend struct detail::ModuleState;

  /// While one lives, its module is the innermost that is called.
  class Call {
   public:
    Call(Module& module, Mode mode, std::source_location location);
    explicit Call(Module& module);  ///< with the caller's mode and line
    ~Call();
    Call(const Call&) = delete;
    /// Tells summary() what came out.
    template <class Result>
    void returns(const Result& result) const {
      if constexpr (std::convertible_to<const Result&, const Tensor&>)
        note(result);
      else if constexpr (requires { note(result.output); })
        note(result.output);
    }

   private:
    void note(const Tensor& result) const;
    Location location_before_;
    bool training_before_;
    std::size_t trace_ = 0;
  };

  void tie_parameter(const std::string& name, std::shared_ptr<Module> owner, const std::string& owner_name, const Location& where);
  std::vector<NamedParameter> collect(bool buffers, const Location& where) const;

  std::shared_ptr<detail::ModuleState> state_;
};

/// Which names load_state() insists on.
struct LoadOptions {
  bool strict = true;  ///< every parameter and buffer is given, and nothing else
};

/// The values of a module's parameters and buffers in a session, by name: PyTorch's state_dict.
///   write_safetensors("model.safetensors", nn::state(session, model));
std::map<std::string, Array> state(const Session& session, const Module& module,
                                   std::source_location location = std::source_location::current());
/// Sets a module's parameters and buffers by name; floating values are converted to the parameter's dtype. Everything is checked before
/// anything changes. Error(invalid_argument) lists names that are missing or left over (strict), Error(shape_mismatch) shapes that differ.
///   nn::load_state(session, model, read_safetensors("resnet18.safetensors"));
void load_state(Session& session, const Module& module, const std::map<std::string, Array>& values, LoadOptions options = {},
                std::source_location location = std::source_location::current());

}  // namespace kiln::nn

// vjp, jvp, jacobian, hessian and products with it, made of gradients() and map().
#include <fmt/format.h>

#include "frontend/state.h"
#include "kiln/control.h"
#include "kiln/gradients.h"
#include "kiln/operators.h"

namespace kiln {

using namespace detail;

namespace {

/// What every function here starts with: inputs of one graph, and the user's line for what is built around the user's function. (No scope:
/// what the function builds belongs to its own lines.)
class Derivation {
 public:
  Derivation(const char* op, const std::vector<Tensor>& inputs, const std::source_location& location)
      : location_(location), emitter_(state_of(op, inputs, location), op, location) {}

  const std::source_location& location() const { return location_; }

  Emitter& emitter() { return emitter_; }
  Graph graph() { return Access::graph(emitter_.state().shared_from_this()); }

  /// One vector for each tensor, of its dtype and dims.
  void require_vectors(const std::vector<Tensor>& tensors, const std::vector<Tensor>& vectors, const char* tensor,
                       const char* vector) const {
    if (tensors.size() != vectors.size())
      emitter_.fail(ErrorCode::invalid_argument,
                    fmt::format("there are {} {}s, but {} {}s", tensors.size(), tensor, vectors.size(), vector),
                    fmt::format("give one {} for each {}", vector, tensor));
    for (std::size_t i = 0; i < tensors.size(); ++i)
      if (const ir::Type &a = type_of(tensors[i]), &b = type_of(vectors[i]); !(a == b))
        emitter_.fail(a.dtype != b.dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                      fmt::format("{} {} is {}, but its {} is {}", tensor, i, ir::to_string(a), vector, ir::to_string(b)),
                      fmt::format("a {} has the dtype and dims of its {}", vector, tensor));
  }

 private:
  static GraphState& state_of(const char* op, const std::vector<Tensor>& inputs, const Location& location) {
    if (inputs.empty())
      throw Error(ErrorCode::invalid_argument, fmt::format("{}: there are no inputs", op), LocationScope::resolve(location),
                  "a derivative is taken with respect to at least one tensor");
    type_of(inputs[0]);
    return *Access::state(inputs[0]);
  }

  std::source_location location_;
  Emitter emitter_;
};

/// jvp of tensors.
std::vector<Tensor> forward_derivatives(Derivation& derivation, const std::vector<Tensor>& ys, const std::vector<Tensor>& xs,
                                        const std::vector<Tensor>& tangents) {
  derivation.require_vectors(xs, tangents, "input", "tangent");
  // The cotangents' values do not matter, as the products are linear in them; the second pass asks how they depend on them.
  std::vector<Tensor> cotangents;
  for (const Tensor& y : ys) {
    Emitter emitter(derivation.emitter().state(), "jvp", derivation.location());
    cotangents.push_back(emitter.wrap(emitter.builder().zeros(type_of(y))));
  }
  const std::vector<Tensor> products = gradients(ys, xs, {.grad_outputs = cotangents, .unconnected_zeros = true}, derivation.location());
  return gradients(products, cotangents, {.grad_outputs = tangents, .unconnected_zeros = true}, derivation.location());
}

Tensor checked_scalar(Derivation& derivation, const Tensor& y) {
  if (const ir::Type& type = type_of(y); type.rank() != 0 || !is_floating(type.dtype))
    derivation.emitter().fail(ErrorCode::not_differentiable,
                              fmt::format("the function must return a floating scalar, but returns {}", to_string(y)),
                              "reduce it, with reduce_sum() or reduce_mean()");
  return y;
}

Tensor build_jacobian(Derivation& derivation, const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  const ir::Type type = type_of(f(x));
  if (!is_floating(type.dtype))
    derivation.emitter().fail(ErrorCode::not_differentiable,
                              fmt::format("the function must return a floating tensor, but returns {}", ir::to_string(type)),
                              "only floating tensors have a derivative");
  const Dims dims = from_ir(type.dims);
  const Dim rows = DimValue::wrap(ir::product(type.dims));
  const std::source_location location = derivation.location();
  const Tensor stacked = map(
      [&](const std::vector<Tensor>& slices) {
        const std::vector<Tensor> y{f(x)}, inputs{x};
        const Tensor row = [&] {
          const LocationScope scope(location);
          return reshape(convert(equal(derivation.graph().range(i64, rows), slices[0]), type.dtype), dims);
        }();
        return gradients(y, inputs, {.grad_outputs = {row}, .unconnected_zeros = true}, location);
      },
      {derivation.graph().range(i64, rows, location)}, location)[0];
  Dims all = dims;
  for (const Dim& dim : x.dims()) all.push_back(dim);
  const LocationScope scope(location);
  return reshape(stacked, all);
}

}  // namespace

Derivatives vjp(const DifferentiableFunction& f, const std::vector<Tensor>& inputs, const std::vector<Tensor>& cotangents,
                std::source_location location) {
  Derivation derivation("vjp", inputs, location);
  const std::vector<Tensor> values = f(inputs);
  derivation.require_vectors(values, cotangents, "value", "cotangent");
  return {values, gradients(values, inputs, {.grad_outputs = cotangents, .unconnected_zeros = true}, location)};
}

Derivatives jvp(const DifferentiableFunction& f, const std::vector<Tensor>& inputs, const std::vector<Tensor>& tangents,
                std::source_location location) {
  Derivation derivation("jvp", inputs, location);
  const std::vector<Tensor> values = f(inputs);
  return {values, forward_derivatives(derivation, values, inputs, tangents)};
}

std::vector<Tensor> jvp(const std::vector<Tensor>& ys, const std::vector<Tensor>& xs, const std::vector<Tensor>& tangents,
                        std::source_location location) {
  Derivation derivation("jvp", xs, location);
  return forward_derivatives(derivation, ys, xs, tangents);
}

Derivatives value_and_gradients(const ScalarFunction& f, const std::vector<Tensor>& inputs, std::source_location location) {
  Derivation derivation("value_and_gradients", inputs, location);
  const std::vector<Tensor> value{checked_scalar(derivation, f(inputs))};
  return {value, gradients(value, inputs, {}, location)};
}

Tensor jacobian(const std::function<Tensor(const Tensor&)>& f, const Tensor& x, std::source_location location) {
  Derivation derivation("jacobian", {x}, location);
  return build_jacobian(derivation, f, x);
}

Tensor hessian(const std::function<Tensor(const Tensor&)>& f, const Tensor& x, std::source_location location) {
  Derivation derivation("hessian", {x}, location);
  return build_jacobian(
      derivation,
      [&](const Tensor& at) {
        const std::vector<Tensor> y{checked_scalar(derivation, f(at))}, inputs{at};
        return gradients(y, inputs, {.unconnected_zeros = true}, location)[0];
      },
      x);
}

std::vector<Tensor> hessian_vector_product(const ScalarFunction& f, const std::vector<Tensor>& inputs, const std::vector<Tensor>& vectors,
                                           std::source_location location) {
  Derivation derivation("hessian_vector_product", inputs, location);
  derivation.require_vectors(inputs, vectors, "input", "vector");
  const std::vector<Tensor> value{checked_scalar(derivation, f(inputs))};
  const std::vector<Tensor> first = gradients(value, inputs, {.unconnected_zeros = true}, location);
  return gradients(first, inputs, {.grad_outputs = vectors, .unconnected_zeros = true}, location);
}

}  // namespace kiln

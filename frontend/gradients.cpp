// gradients(): appends the graph operator that passes/gradients.cpp expands, after checking that it can be.
#include "kiln/gradients.h"

#include <fmt/format.h>

#include "frontend/state.h"
#include "passes/passes.h"

namespace kiln {

using namespace detail;

std::vector<Tensor> gradients(const Tensor& loss, std::span<const Tensor> with_respect_to, const Tensor& grad_output,
                              std::source_location location) {
  const Location where = LocationScope::resolve(location);
  if (!loss.valid())
    throw Error(ErrorCode::invalid_argument, "gradients: the loss is a default-constructed Tensor", where,
                "assign it a tensor of a graph first");
  Emitter emitter(*Access::state(loss), "gradients", location);
  if (with_respect_to.empty()) return {};
  const ir::ValueId y = emitter.use(loss);
  const ir::Type& type = emitter.builder().type(y);
  const auto made = [](const Tensor& tensor) {
    const std::string name = tensor.name();
    return fmt::format("{}{} made at {}", name.empty() ? "" : "\"" + name + "\", ", to_string(tensor), to_string(tensor.location()));
  };
  if (!is_floating(type.dtype))
    emitter.fail(ErrorCode::not_differentiable, fmt::format("the loss must be floating, but is {}", made(loss)),
                 "compute it in f32 or f64: convert(x, f32)");
  if (!grad_output.valid() && type.rank() != 0)
    emitter.fail(ErrorCode::not_differentiable, fmt::format("the loss must be a scalar, but is {}", made(loss)),
                 "reduce it, with reduce_sum() or reduce_mean(), or give grad_output for a vector-Jacobian product");
  std::vector<ir::ValueId> operands{y};
  if (grad_output.valid()) {
    operands.push_back(emitter.use(grad_output));
    if (!(emitter.builder().type(operands[1]) == type))
      emitter.fail(emitter.builder().type(operands[1]).dtype != type.dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                   fmt::format("grad_output is {}, but the loss is {}", to_string(grad_output), ir::to_string(type)),
                   "grad_output has the loss's dtype and dims");
  }
  const std::size_t first = operands.size();
  for (const Tensor& tensor : with_respect_to) {
    operands.push_back(emitter.use(tensor));
    if (!is_floating(emitter.builder().type(operands.back()).dtype))
      emitter.fail(ErrorCode::not_differentiable, fmt::format("there is no derivative with respect to {}", made(tensor)),
                   "only floating tensors have one");
  }
  if (const auto problem =
          passes::find_gradient_problem(emitter.state().module, emitter.builder().graph_id(), y, std::span(operands).subspan(first)))
    emitter.fail(ErrorCode::not_differentiable, problem->message, problem->hint);

  std::vector<Tensor> result;
  ir::Attributes attributes;
  if (grad_output.valid()) attributes = {{"seeded", true}};
  for (const ir::ValueId value : emitter.builder().create_many(ir::Op::gradients, std::move(operands), std::move(attributes)))
    result.push_back(emitter.wrap(value));
  return result;
}

std::vector<Tensor> gradients(const Tensor& loss, std::initializer_list<Tensor> with_respect_to, const Tensor& grad_output,
                              std::source_location location) {
  return gradients(loss, std::span<const Tensor>(with_respect_to.begin(), with_respect_to.size()), grad_output, location);
}

std::vector<Tensor> gradients(const Tensor& loss, std::span<const Variable> with_respect_to, const Tensor& grad_output,
                              std::source_location location) {
  const std::vector<Tensor> tensors(with_respect_to.begin(), with_respect_to.end());
  return gradients(loss, std::span<const Tensor>(tensors), grad_output, location);
}

}  // namespace kiln

// gradients(): appends the graph operator that passes/gradients.cpp expands, after checking that it can be.
#include "kiln/gradients.h"

#include <fmt/format.h>

#include "frontend/state.h"
#include "passes/passes.h"

namespace kiln {

using namespace detail;

namespace {

std::string described(const Tensor& tensor) {
  const std::string name = tensor.name();
  return fmt::format("{}{} made at {}", name.empty() ? "" : "\"" + name + "\", ", to_string(tensor), to_string(tensor.location()));
}

}  // namespace

std::vector<Tensor> gradients(std::span<const Tensor> ys, std::span<const Tensor> xs, const GradientsOptions& options,
                              std::source_location location) {
  const Location where = LocationScope::resolve(location);
  if (ys.empty())
    throw Error(ErrorCode::invalid_argument, "gradients: nothing is differentiated", where, "give at least one tensor, the loss");
  if (!ys[0].valid())
    throw Error(ErrorCode::invalid_argument, "gradients: the loss is a default-constructed Tensor", where,
                "assign it a tensor of a graph first");
  Emitter emitter(*Access::state(ys[0]), "gradients", location);
  if (xs.empty()) return {};
  const bool seeded = !options.grad_outputs.empty();
  if (seeded && options.grad_outputs.size() != ys.size())
    emitter.fail(ErrorCode::invalid_argument,
                 fmt::format("{} tensors are differentiated, but there are {} grad_outputs", ys.size(), options.grad_outputs.size()),
                 "give one cotangent for each, or none");
  std::vector<ir::ValueId> operands;
  for (const Tensor& y : ys) {
    operands.push_back(emitter.use(y));
    const ir::Type& type = emitter.builder().type(operands.back());
    if (!is_floating(type.dtype))
      emitter.fail(ErrorCode::not_differentiable, fmt::format("the loss must be floating, but is {}", described(y)),
                   "compute it in f32 or f64: convert(x, f32)");
    if (!seeded && type.rank() != 0)
      emitter.fail(ErrorCode::not_differentiable, fmt::format("the loss must be a scalar, but is {}", described(y)),
                   "reduce it, with reduce_sum() or reduce_mean(), or give grad_output for a vector-Jacobian product");
  }
  for (std::size_t i = 0; i < options.grad_outputs.size(); ++i) {
    operands.push_back(emitter.use(options.grad_outputs[i]));
    const ir::Type &given = emitter.builder().type(operands.back()), &wanted = emitter.builder().type(operands[i]);
    if (!(given == wanted))
      emitter.fail(given.dtype != wanted.dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                   fmt::format("grad_output is {}, but the loss is {}", to_string(options.grad_outputs[i]), ir::to_string(wanted)),
                   "grad_output has the loss's dtype and dims");
  }
  const std::size_t first = operands.size();
  for (const Tensor& tensor : xs) {
    operands.push_back(emitter.use(tensor));
    if (!is_floating(emitter.builder().type(operands.back()).dtype))
      emitter.fail(ErrorCode::not_differentiable, fmt::format("there is no derivative with respect to {}", described(tensor)),
                   "only floating tensors have one");
  }
  const std::span<const ir::ValueId> values(operands);
  if (const auto problem = passes::find_gradient_problem(emitter.state().module, emitter.builder().graph_id(), values.first(ys.size()),
                                                         values.subspan(first), options.unconnected_zeros))
    emitter.fail(ErrorCode::not_differentiable, problem->message, problem->hint);

  std::vector<Tensor> result;
  ir::Attributes attributes;
  if (seeded) attributes = attributes.with("seeded", true);
  if (ys.size() > 1) attributes = attributes.with("targets", static_cast<std::int64_t>(ys.size()));
  for (const ir::ValueId value : emitter.builder().create_many(ir::Op::gradients, std::move(operands), std::move(attributes)))
    result.push_back(emitter.wrap(value));
  return result;
}

std::vector<Tensor> gradients(std::initializer_list<Tensor> ys, std::initializer_list<Tensor> xs, const GradientsOptions& options,
                              std::source_location location) {
  return gradients(std::span<const Tensor>(ys.begin(), ys.size()), std::span<const Tensor>(xs.begin(), xs.size()), options, location);
}

std::vector<Tensor> gradients(std::initializer_list<Tensor> ys, std::span<const Tensor> xs, const GradientsOptions& options,
                              std::source_location location) {
  return gradients(std::span<const Tensor>(ys.begin(), ys.size()), xs, options, location);
}

std::vector<Tensor> gradients(std::initializer_list<Tensor> ys, std::span<const Variable> xs, const GradientsOptions& options,
                              std::source_location location) {
  const std::vector<Tensor> tensors(xs.begin(), xs.end());
  return gradients(ys, std::span<const Tensor>(tensors), options, location);
}

std::vector<Tensor> gradients(const Tensor& loss, std::span<const Tensor> with_respect_to, const Tensor& grad_output,
                              std::source_location location) {
  GradientsOptions options;
  if (grad_output.valid()) options.grad_outputs = {grad_output};
  return gradients(std::span<const Tensor>(&loss, 1), with_respect_to, options, location);
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

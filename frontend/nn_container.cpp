// Modules made of modules.
#include "frontend/nn_module.h"
#include "kiln/nn/container.h"
#include "kiln/operators.h"

namespace kiln::nn {

Tensor Sequential::forward(const Tensor& input) {
  Tensor x = input;
  for (const auto& part : *parts_) x = call(*part, x);
  return x;
}

Tensor Residual::forward(const Tensor& input) {
  const Tensor x = shortcut_ ? call(*shortcut_, input) : input;
  const Tensor y = call(*body_, input);
  return detail::at_call([&] { return x + y; });
}

}  // namespace kiln::nn

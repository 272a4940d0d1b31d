// Composites of one floating tensor (wide.h).
#include "frontend/wide.h"

#include "kiln/gradients.h"

namespace kiln::detail {

Tensor in_wide(const Tensor& x, const TensorFunction& f) { return size_of(x.dtype()) < 4 ? convert(f(convert(x, f32)), x.dtype()) : f(x); }

Tensor in_double(const Tensor& x, const TensorFunction& f) { return x.dtype() == f64 ? f(x) : convert(f(convert(x, f64)), x.dtype()); }

namespace {

Tensor checked(const Operand& x, const char* name, const TensorFunction& f, Tensor (*compute)(const Tensor&, const TensorFunction&)) {
  Composite of({&x}, name);
  const Tensor t = of.tensor(x);
  of.require_floating(t);
  return compute(t, f);
}

}  // namespace

Tensor element_function(const Operand& x, const char* name, const TensorFunction& f) { return checked(x, name, f, in_wide); }
Tensor precise_function(const Operand& x, const char* name, const TensorFunction& f) { return checked(x, name, f, in_double); }

Tensor with_derivative(const Tensor& x, const char* name, const TensorFunction& forward,
                       const std::function<Tensor(const Tensor&, const Tensor&)>& derivative) {
  return custom_gradient(
      {x}, [&](const std::vector<Tensor>& in) { return std::vector<Tensor>{forward(in[0])}; },
      [&](const std::vector<Tensor>& in, const std::vector<Tensor>& out, const std::vector<Tensor>& cotangent) {
        return std::vector<Tensor>{cotangent[0] * derivative(in[0], out[0])};
      },
      name)[0];
}

Tensor polynomial(std::span<const double> c, const Tensor& x) {
  Tensor sum = c[c.size() - 1] * x + c[c.size() - 2];
  for (std::size_t i = c.size() - 2; i-- > 0;) sum = sum * x + c[i];
  return sum;
}

}  // namespace kiln::detail

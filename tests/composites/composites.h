// Composites against numbers made elsewhere (make_expectations.py): values, and gradients of weighted sums of the results.
//
// Every case runs twice: with the extents of its arrays, and with a symbol in place of each extent above 1 (unless it says that it cannot).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "api_test.h"

namespace kiln::test {

using Inputs = std::vector<Tensor>;
/// Builds the results of a case.
using Build = std::function<std::vector<Tensor>(Graph&, const Inputs&)>;

struct Case {
  std::string name;
  Build build;
  bool symbolic = true;
  double tolerance = 1e-12;
};

/// Runs all cases of expectations/GROUP.safetensors; each of them must be in the list.
void check_cases(const std::string& group, const std::vector<Case>& cases);

/// The results of a function of some arrays, on the engine under test.
std::vector<Array> evaluate(const std::vector<Array>& inputs, const Build& build, std::uint64_t seed = 0);

/// The gradient of f by central differences against gradients(), and the same of the gradient: second derivatives. All inputs are f64.
void check_derivatives(const std::vector<Array>& inputs, const std::function<Tensor(const Inputs&)>& f, double tolerance);

inline Build one(std::function<Tensor(const Inputs&)> f) {
  return [f = std::move(f)](Graph&, const Inputs& in) { return std::vector<Tensor>{f(in)}; };
}

}  // namespace kiln::test

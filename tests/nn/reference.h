// Comparison of modules with what PyTorch computed: tests/nn/data, made by reference.py.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kiln/kiln.h"

namespace kiln::test {

using Arrays = std::map<std::string, Array>;

/// The arrays of a file of tests/nn/data.
const Arrays& reference(const std::string& file);
/// Those under "NAME/", without it.
Arrays under(const Arrays& all, const std::string& name);

/// Largest difference, relative to the largest expected magnitude. The expectation is in f64, whatever the dtype.
void expect_close(const Array& actual, const Array& expected, double tolerance, const std::string& what);

/// A module and what it is applied to; returns the outputs.
struct Model {
  std::shared_ptr<nn::Module> module;
  std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)> call;
};

/// A module of one input and one output, in the mode given.
template <std::derived_from<nn::Module> M>
Model unary(M module, nn::Mode mode = {.training = true}) {
  auto shared = std::make_shared<M>(std::move(module));
  nn::Module& base = *shared;
  return {shared, [&base, mode](const std::vector<Tensor>& in) { return std::vector<Tensor>{base(in[0], mode)}; }};
}

/// Loads the parameters of a case by name, and compares outputs, gradients of all parameters and inputs, and buffers after the call. With
/// `symbolic`, the dims of that axis of the inputs are one symbol.
struct Comparison {
  DType dtype = f64;
  double tolerance = 1e-12;
  std::optional<std::size_t> symbolic_axis = {};
};
void compare(const Arrays& expected, const Model& model, const Comparison& options = {});

/// Every node of the graph carries a line of these tests, none of Kiln.
void expect_own_lines(const Graph& graph);

}  // namespace kiln::test

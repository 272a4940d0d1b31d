// Helpers of the pass tests: modules from text, random inputs, the reference interpreter, central differences.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/interpreter.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/passes.h"

namespace kiln::test {

/// Parses the text and runs the passes on it, verified after each.
ir::Module compiled(const std::string& text, const std::vector<std::string>& passes);

/// f64 values in [low, high).
Array random_array(const Shape& shape, std::mt19937& random, double low = -1, double high = 1);

std::vector<Array> run(const ir::Module& module, const std::vector<Array>& inputs);

/// `text` is a module whose main graph returns a loss and then its gradients with respect to the first parameters (f64), in order. Expands
/// it and compares the gradients with central differences of the loss at `inputs`.
void check_gradients(const std::string& text, const std::vector<Array>& inputs, double tolerance = 1e-6);

}  // namespace kiln::test

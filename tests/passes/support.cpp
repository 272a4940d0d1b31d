#include "support.h"

#include <cmath>

#include "tests/loops/program_fixture.h"

namespace kiln::test {

ir::Module compiled(const std::string& text, const std::vector<std::string>& names) {
  ir::Module module = ir::parse(text);
  passes::PipelineOptions options;
  options.verify_each = options.round_trip = true;
  passes::run_passes(module, names, options);
  return module;
}

Array random_array(const Shape& shape, std::mt19937& random, double low, double high) {
  Array array(f64, shape);
  std::uniform_real_distribution<double> uniform(low, high);
  for (double& x : array.mutable_data<double>()) x = uniform(random);
  return array;
}

std::vector<Array> run(const ir::Module& module, const std::vector<Array>& inputs) { return ir::interpret(module, inputs, {}).results; }

namespace {

/// Values of the program's symbols, each an extent of its own of some input.
std::vector<std::int64_t> symbol_values(const ir::Program& program, const std::vector<Array>& inputs) {
  std::vector<std::int64_t> values;
  for (const auto& symbol : program.symbols) {
    std::int64_t value = -1;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      for (std::size_t d = 0; d < program.inputs[i].dims.size(); ++d)
        if (const ir::SymbolInfo* info = program.inputs[i].dims[d].symbol_info(); info && info->name == symbol->name)
          value = inputs[i].shape()[d];
    values.push_back(value);
  }
  return values;
}

}  // namespace

void check_gradients(const std::string& text, const std::vector<Array>& inputs, double tolerance) {
  const ir::Module module = compiled(text, {"dead_code", "gradients"});
  const std::vector<Array> results = run(module, inputs);
  // The rest of the tensor passes keep every bit, loops and branches included.
  const ir::Module simplified =
      compiled(text, {"dead_code", "gradients", "dead_code", "inline_calls", "lower_scans", "lower_bounds", "canonicalize",
                      "fold_constants", "simplify", "simplify_loops", "common_subexpressions", "canonicalize", "simplify", "simplify_loops",
                      "common_subexpressions", "dead_code", "fuse"});
  const std::vector<Array> again = run(simplified, inputs);
  for (std::size_t i = 0; i < results.size(); ++i)
    EXPECT_TRUE(identical(again[i], results[i])) << print(module) << "became\n" << print(simplified);
  // So does the program, up to the order of sums.
  std::map<std::string, Array> variables;
  const ir::Program planned = passes::run_pipeline(ir::parse(text), {}).program;
  const ir::ProgramRun program = ir::run_program(planned, inputs, symbol_values(planned, inputs), variables);
  ASSERT_EQ(program.status, KILN_OK);
  for (std::size_t r = 0; r < results.size(); ++r)
    for (std::int64_t i = 0; i < results[r].size(); ++i) {
      const double expected = element_as_double(results[r], i);
      EXPECT_NEAR(element_as_double(program.outputs[r], i), expected, 1e-12 * (1 + std::fabs(expected)))
          << "result " << r << " of the program";
    }
  ASSERT_GE(results.size(), 2u) << "a loss and at least one gradient";
  constexpr double step = 1e-5;
  for (std::size_t p = 0; p + 1 < results.size(); ++p) {
    const std::span<const double> gradient = results[p + 1].data<double>();
    for (std::int64_t i = 0; i < inputs[p].size(); ++i) {
      const auto loss_at = [&](double offset) {
        std::vector<Array> moved = inputs;
        moved[p].mutable_data<double>()[i] += offset;
        return run(module, moved)[0].item<double>();
      };
      const double expected = (loss_at(step) - loss_at(-step)) / (2 * step);
      EXPECT_NEAR(gradient[i], expected, tolerance * (1 + std::fabs(expected))) << "parameter " << p << ", element " << i;
    }
  }
}

}  // namespace kiln::test

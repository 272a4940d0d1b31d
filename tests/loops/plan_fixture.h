// Plans as text: a module, fused, planned, verified, run by the interpreter of program IR on a poisoned arena, and compared bit for bit
// with the reference interpreter of the module.
#pragma once

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ir/interpreter.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "tests/loops/program_fixture.h"

namespace kiln::passes {

using Variables = std::map<std::string, Array>;

inline ir::Program plan(const std::string& text) {
  ir::Module module = ir::parse(text);
  eliminate_dead_code(module);
  fuse(module);
  ir::Program program = plan_program(module, {});
  EXPECT_EQ(ir::find_violation(program), "") << print(program);
  const std::string printed = print(program);
  EXPECT_EQ(print(ir::parse_program(printed)), printed);
  return program;
}

/// Runs both and compares; the program.
inline ir::Program check(const std::string& text, const std::vector<Array>& inputs, const Variables& variables = {},
                         const std::vector<std::int64_t>& symbols = {}) {
  const ir::RunResult expected = ir::interpret(ir::parse(text), inputs, variables);
  ir::Program program = plan(text);
  Variables current = variables;
  const ir::ProgramRun run = ir::run_program(program, inputs, symbols, current);
  EXPECT_EQ(run.status, KILN_OK);
  EXPECT_EQ(run.outputs.size(), expected.results.size());
  for (std::size_t k = 0; k < run.outputs.size(); ++k)
    EXPECT_TRUE(identical(run.outputs[k], expected.results[k]))
        << "result " << k << ": " << run.outputs[k] << " instead of " << expected.results[k] << "\n"
        << print(program);
  for (const auto& [name, value] : variables) {
    if (std::none_of(program.variables.begin(), program.variables.end(), [&](const auto& v) { return v.name == name; })) {
      EXPECT_FALSE(expected.assigned.contains(name));
      continue;
    }
    const auto assigned = expected.assigned.find(name);
    const Array& wanted = assigned == expected.assigned.end() ? value : assigned->second;
    EXPECT_TRUE(identical(current.at(name), wanted)) << name << ": " << current.at(name) << " instead of " << wanted << "\n"
                                                     << print(program);
  }
  return program;
}

inline Array random_array(Shape shape, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<std::size_t>(shape.size()));
  for (float& v : values) v = uniform(random);
  return Array(std::move(shape), values);
}

}  // namespace kiln::passes

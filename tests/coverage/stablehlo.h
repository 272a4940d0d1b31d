// The rows of StableHLO; stablehlo_test.cpp runs them.
#pragma once

#include <optional>

#include "coverage.h"

namespace kiln::test {

struct StablehloRow {
  std::string op;
  std::vector<std::string> operands;  ///< literals, fed as %a, %b ...
  std::string node;                   ///< the node that makes the results, without their types
  std::vector<std::string> results;   ///< literals
  double tolerance = 0;               ///< 0: equal as text, with the sign of zero
  std::string before = {};            ///< nodes before it, a line each
  std::string graphs = {};            ///< bodies
  std::string title = {};             ///< for rows made of public functions: what they show
  std::optional<Build> build = {};
};

/// A row of public functions.
inline StablehloRow built(std::string op, std::string title, std::vector<std::string> operands, Build build,
                          std::vector<std::string> results, double tolerance = 0) {
  StablehloRow row{std::move(op), std::move(operands), {}, std::move(results), tolerance};
  row.title = std::move(title);
  row.build = std::move(build);
  return row;
}

std::vector<StablehloRow> stablehlo_elementwise();
std::vector<StablehloRow> stablehlo_structure();
std::vector<StablehloRow> stablehlo_indexing();
std::vector<StablehloRow> stablehlo_functions();

}  // namespace kiln::test

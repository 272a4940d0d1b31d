// Programs that are wrong, each with the message that its author sees: tests/api/errors/NAME.txt.
//
// `#line 1 "NAME.cpp"` before each makes its lines its own, so that the texts do not change when another case is added.
#pragma once

#include <functional>
#include <vector>

#include "api_test.h"

namespace kiln::test {

struct WrongProgram {
  const char* name;
  std::function<void()> run;
};

std::vector<WrongProgram> wrong_shapes();
std::vector<WrongProgram> wrong_elementwise();
std::vector<WrongProgram> wrong_graphs();
std::vector<WrongProgram> wrong_loops();
std::vector<WrongProgram> wrong_feeds();
std::vector<WrongProgram> wrong_composites();
std::vector<WrongProgram> wrong_folds();
std::vector<WrongProgram> wrong_indexing();
std::vector<WrongProgram> wrong_debugging();
std::vector<WrongProgram> wrong_orders();
std::vector<WrongProgram> wrong_spatial();

}  // namespace kiln::test

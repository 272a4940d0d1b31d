// What a module requires of extents at run time (the op match_extents).
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace kiln::ir {

/// left == right, in symbols that are fed.
struct ExtentRequirement {
  Dim left, right;
  std::string message;
  LocationId location = 0;
};

/// Those of all graphs that main reaches, each pair once, with the line that comes first.
std::vector<ExtentRequirement> extent_requirements(const Module& module);

}  // namespace kiln::ir

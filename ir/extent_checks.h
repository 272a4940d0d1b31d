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

/// Does a match_extents with these attributes say that the extents are equal one by one? (Else they are as a reshape's, in their product.)
bool match_by_dims(const Attributes& attributes, const Dims& from, const Dims& to);

/// What helps against all of them.
inline constexpr const char* unequal_extents_hint =
    "feed arrays in which these extents are equal; one symbol for both makes a difference show as soon as they are fed";

/// Those of all graphs that main reaches, each pair once, with the line that comes first.
std::vector<ExtentRequirement> extent_requirements(const Module& module);

}  // namespace kiln::ir

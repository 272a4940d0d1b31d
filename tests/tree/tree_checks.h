// Rules of the source tree itself, as a function from a folder to what is wrong in it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace kiln::tree {

/// One line for each broken rule, beginning with the file. The rules are numbered in tree_checks.cpp.
std::vector<std::string> find_violations(const std::filesystem::path& root);

}  // namespace kiln::tree

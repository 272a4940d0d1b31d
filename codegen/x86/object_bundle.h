// The blob that compile_object returns and load_object takes: one ELF relocatable object, or several in a bundle. Internal to codegen/x86.
//
// A bundle is "KILNOBJ1", the number of objects and the size of each as little-endian u64, then the objects, each at a multiple of 16 bytes
// from the start.
#pragma once

#include <span>
#include <vector>

namespace kiln::codegen {

/// One object is returned as it is.
std::vector<char> bundle_objects(const std::vector<std::vector<char>>& objects);
/// The objects in a blob; views into it. Throws Error(corrupt_file) when sizes do not fit.
std::vector<std::span<const char>> unbundle_objects(std::span<const char> blob);

}  // namespace kiln::codegen

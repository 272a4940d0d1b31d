// A program's description as bytes: what the on-disk cache keeps beside machine code, and what shared objects carry. Internal to Kiln.
#pragma once

#include <span>
#include <string>

#include "runtime/program.h"

namespace kiln::runtime {

/// Everything but `plan`, `entry`, `self`, `code`, and the functions of custom calls. The same description gives the same bytes.
std::string serialize(const Program& program);

/// The inverse; the caller adds the code and the functions. Bytes may be damaged or hostile: throws Error(corrupt_file) naming `name`, and
/// every index in the result is valid.
Program deserialize(std::span<const unsigned char> bytes, const std::string& name);

}  // namespace kiln::runtime

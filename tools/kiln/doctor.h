// What `kiln doctor` finds out, one function a topic.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace kiln::command {

using Json = nlohmann::ordered_json;

/// Model, level, features.
Json describe_cpu();
/// Processors, and what this process may use of them and of memory.
Json describe_limits();
/// The cache folder of compiled programs: whether it can be used, and what is in it.
Json describe_cache();
/// NVRTC and the CUDA driver, if the dynamic linker finds them.
Json describe_cuda();
/// Compiles and runs a small training step, and compares it with the reference engine. "passed" and times, or "error".
Json run_self_test();

}  // namespace kiln::command

// Looking into the compiler: what becomes of a graph, stage by stage.
#pragma once

#include "kiln/graph.h"
#include "kiln/session.h"

namespace kiln {

struct InspectOptions {
  /// The last pass to run, one of compiler_passes(); "" is the program as pruned to the fetches, before any pass; "program" is what is
  /// given to the code generator; "llvm" and "assembly" are what it makes of that.
  std::string after_pass = "program";
  /// "native", an x86-64 level ("x86-64-v3"), or a CPU name that LLVM knows.
  std::string target = "native";
  /// As SessionOptions::memory_limit; 0: none. Symbols count with their typical values.
  std::uint64_t memory_limit = 0;
  bool locations = false;  ///< with the user's lines, in tensor IR and program IR
};

/// The text of the program that computes `fetches` from `feeds`, after a pass. Errors are those of Session::run.
std::string program_text(const Graph& graph, ListRef<Key> fetches, ListRef<Key> feeds, const InspectOptions& options = {},
                         std::source_location location = std::source_location::current());

/// Why neighbouring operations were or were not fused, a line for each pair.
std::vector<std::string> fusion_log(const Graph& graph, ListRef<Key> fetches, ListRef<Key> feeds,
                                    std::source_location location = std::source_location::current());

/// Names of the passes in the order in which they run.
std::vector<std::string> compiler_passes();

}  // namespace kiln

// What of a graph a subcommand asks for: the feeds are all its placeholders, the fetches those named, or whatever the graph is for.
#pragma once

#include <string>
#include <vector>

#include "kiln/graph.h"
#include "kiln/session.h"

namespace kiln::command {

struct Selection {
  std::vector<Key> fetches, feeds;
  std::vector<std::string> labels;  ///< of each fetch; "" for an assign or check
};

/// `names` (which must outlive the result) are tensors to fetch; without any, everything that the graph lists as its results or leaves
/// unused, and all assigns and checks. `effects`: the assigns and checks besides the names.
Selection select(const Graph& graph, const std::vector<std::string>& names, bool effects);

}  // namespace kiln::command

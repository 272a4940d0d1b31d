// Fetches and feeds of a graph that was read from a file.
#include "tools/kiln/selection.h"

#include <algorithm>

namespace kiln::command {

Selection select(const Graph& graph, const std::vector<std::string>& names, bool effects) {
  Selection selection;
  for (const Tensor& placeholder : graph.placeholders()) selection.feeds.push_back(placeholder);
  for (const std::string& name : names) {
    selection.fetches.emplace_back(name);
    selection.labels.push_back(name);
  }
  if (names.empty()) {
    const std::vector<Tensor> results = graph.results();
    for (std::size_t i = 0; i < results.size(); ++i) {
      selection.fetches.push_back(results[i]);
      selection.labels.push_back(results[i].name().empty() ? "result " + std::to_string(i) : results[i].name());
    }
  }
  if (names.empty() || effects)
    for (const Operation& effect : graph.effects()) {
      selection.fetches.push_back(effect);
      selection.labels.emplace_back();
    }
  if (selection.fetches.empty())
    throw Error(ErrorCode::invalid_argument, "the graph has no results, no assigns and no named tensors that nothing else uses", {},
                "say what to compute: --fetch NAME");
  return selection;
}

}  // namespace kiln::command

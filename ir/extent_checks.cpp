// Requirements of extents; see extent_checks.h.
#include "ir/extent_checks.h"

#include <fmt/format.h>
#include <set>

namespace kiln::ir {

std::vector<ExtentRequirement> extent_requirements(const Module& module) {
  std::vector<ExtentRequirement> result;
  std::set<std::string> seen;
  for (const GraphId id : reachable_graphs(module)) {
    const Graph& graph = module.graph(id);
    for (NodeId n = 0; n < graph.node_count(); ++n) {
      const Node& node = graph.node(n);
      if (node.op != Op::match_extents) continue;
      const Dims &left = node.attributes.dims("left"), &right = node.attributes.dims("right");
      for (std::size_t i = 0; i < left.size(); ++i)
        if (equals(left[i], right[i]) != Truth::yes && seen.insert(fmt::format("{} == {}", to_string(left[i]), to_string(right[i]))).second)
          result.push_back({left[i], right[i], node.attributes.text("message"), node.location});
    }
  }
  return result;
}

}  // namespace kiln::ir

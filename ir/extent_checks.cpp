// Requirements of extents; see extent_checks.h.
#include "ir/extent_checks.h"

#include <fmt/format.h>
#include <algorithm>
#include <set>

namespace kiln::ir {

bool match_by_dims(const Attributes& attributes, const Dims& from, const Dims& to) {
  const Dims &left = attributes.dims("left"), &right = attributes.dims("right");
  bool fits = from.size() == to.size();
  for (std::size_t d = 0; fits && d < to.size(); ++d) {
    fits = equals(from[d], to[d]) == Truth::yes;
    for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i)
      fits = fits || (left[i] == from[d] && right[i] == to[d]) || (left[i] == to[d] && right[i] == from[d]);
  }
  return fits;
}

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

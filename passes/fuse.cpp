// Fusion: which nodes become one kernel. First every graph's nodes are divided into clusters (fuse_clusters.cpp, with the theory), then
// each cluster becomes a kernel node (fuse_rebuild.cpp).
#include <set>

#include "passes/fuse_clusters.h"
#include "passes/passes.h"

namespace kiln::passes {

bool fuse(ir::Module& module, std::vector<std::string>* log) {
  bool changed = false;
  std::map<std::string, ir::GraphId> bodies;
  ir::ProducedSymbols symbols(module);
  std::vector<ir::ProducedUse> uses = ir::produced_uses(module, symbols);
  const fusion::Produced produced{std::move(symbols), std::move(uses)};
  const auto count = static_cast<ir::GraphId>(module.graphs.size());
  std::set<ir::GraphId> kernels;
  for (ir::GraphId g = 0; g < count; ++g)
    for (ir::NodeId i = 0; i < module.graph(g).node_count(); ++i)
      if (const ir::Node& node = module.graph(g).node(i); node.op == ir::Op::kernel) kernels.insert(node.attributes.graph("body"));
  for (ir::GraphId g = 0; g < count; ++g)
    if (!kernels.count(g))
      if (auto clustering = fusion::form_clusters(module, g, produced, log)) {
        fusion::rebuild_with_kernels(module, g, std::move(*clustering), bodies);
        changed = true;
      }
  if (changed) module.sweep();
  return changed;
}

}  // namespace kiln::passes

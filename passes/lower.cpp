// lower_kernel: which schedule a kernel body gets. The content decides, not the kind that fusion wrote.
#include "passes/lowering.h"

namespace kiln::passes {

ir::Kernel lower_kernel(const ir::Module& module, ir::GraphId id, const CpuTarget& target) {
  const ir::Graph& graph = module.graph(id);
  bool reduces = false, contracts = false, scatters = false;
  for (ir::NodeId node = 0; node < graph.node_count(); ++node) {
    reduces |= graph.node(node).op == ir::Op::reduce;
    contracts |= graph.node(node).op == ir::Op::dot_general;
    scatters |= graph.node(node).op == ir::Op::scatter_add;
  }
  Lowering lowering(module, id, target);
  if (contracts + reduces + scatters > 1)
    throw InternalError("lowering: kernel @" + graph.name +
                        " holds more than one kind of reduce, dot_general and scatter_add: no schedule fits");
  if (contracts) return schedule_contraction(lowering);
  if (scatters) return schedule_scatter(lowering);
  if (reduces) return schedule_rows(lowering);
  return schedule_map(lowering);
}

}  // namespace kiln::passes

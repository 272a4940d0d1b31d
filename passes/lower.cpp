// lower_kernel: which schedule a kernel body gets. The content decides, not the kind that fusion wrote.
#include "passes/lowering.h"

namespace kiln::passes {

ir::Kernel lower_kernel(const ir::Module& module, ir::GraphId id, const CpuTarget& target) {
  const ir::Graph& graph = module.graph(id);
  bool reduces = false, contracts = false;
  for (ir::NodeId node = 0; node < graph.node_count(); ++node) {
    reduces |= graph.node(node).op == ir::Op::reduce;
    contracts |= graph.node(node).op == ir::Op::dot_general;
  }
  Lowering lowering(module, id, target);
  if (contracts && reduces) throw InternalError("lowering: kernel @" + graph.name + " both contracts and reduces: no schedule fits");
  if (contracts) return schedule_contraction(lowering);
  if (reduces) return schedule_rows(lowering);
  return schedule_map(lowering);
}

}  // namespace kiln::passes

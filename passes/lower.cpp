// lower_kernel: which schedule a kernel body gets. The content decides, not the kind that fusion wrote.
#include <fmt/format.h>

#include "ir/op.h"
#include "passes/lowering.h"

namespace kiln::passes {

ir::Kernel lower_kernel(const ir::Module& module, ir::GraphId id, const CpuTarget& target) {
  const ir::Graph& graph = module.graph(id);
  ir::KernelKind kind = ir::KernelKind::map;
  for (ir::NodeId node = 0; node < graph.node_count(); ++node) {
    const ir::KernelKind own = ir::info(graph.node(node).op).kernel;
    if (own == ir::KernelKind::map) continue;
    if (kind != ir::KernelKind::map && kind != own)
      throw InternalError(
          fmt::format("lowering: kernel @{} holds ops of kinds {} and {}: no schedule fits", graph.name, name_of(kind), name_of(own)));
    kind = own;
  }
  Lowering lowering(module, id, target);
  switch (kind) {
    case ir::KernelKind::map: return schedule_map(lowering);
    case ir::KernelKind::reduction:
    case ir::KernelKind::row: return schedule_rows(lowering);
    case ir::KernelKind::contraction: return schedule_contraction(lowering);
    case ir::KernelKind::fold: return schedule_fold(lowering);
    case ir::KernelKind::update: return schedule_update(lowering);
    case ir::KernelKind::sort: return schedule_sort(lowering);
  }
  throw InternalError("lowering: no such kind");
}

}  // namespace kiln::passes

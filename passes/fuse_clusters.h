// What fusion's two halves share: the clusters that fuse_clusters.cpp forms and fuse_rebuild.cpp makes kernels of. Inside passes/ only; the
// theory is at the head of fuse_clusters.cpp.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/op.h"
#include "ir/produced.h"

namespace kiln::passes::fusion {

enum class Role : std::uint8_t {
  boundary,  ///< stays a node of its own: state, control, large constants
  element,   ///< element-wise or index-changing, with an element lowering
  reduce,
  contraction,
  own,   ///< has a kernel of its own: fold, update, sort
  view,  ///< copied into each user
  free,  ///< copied into each user
};

using Kind = ir::KernelKind;

struct Cluster {
  Kind kind = Kind::map;
  ir::Dims domain;                 ///< map: of all values; reduction, row: the full shape; contraction: the result's
  ir::Dims reduced;                ///< reduction, row: shape of the reduced values
  std::vector<std::int64_t> dims;  ///< reduction, row: the reduced dims
  std::vector<ir::NodeId> nodes;   ///< in topological order (the order of joining)
  std::size_t inputs = 0;          ///< an upper bound on how many values it reads
};

/// Produced symbols of the module, and what each graph needs of them.
struct Produced {
  ir::ProducedSymbols symbols;
  std::vector<ir::ProducedUse> uses;
};

/// Which node of a graph goes where. By node, unless said otherwise.
struct Clustering {
  std::vector<Role> roles;
  std::vector<std::uint32_t> cluster_of;                 ///< none: in no cluster
  std::vector<std::vector<ir::NodeId>> users;            ///< each once, in order
  std::vector<std::vector<ir::NodeId>> produced_before;  ///< the shrinks whose symbols it mentions
  std::vector<Cluster> clusters;                         ///< by number; those without nodes were merged into others
};

/// The value behind views, and whether there are any.
struct Source {
  ir::ValueId value;
  bool viewed = false;
};
Source source_of(const ir::Graph& graph, const std::vector<Role>& roles, ir::ValueId v);
/// Is one of the node's values a result of the graph?
bool is_result(const ir::Graph& graph, ir::NodeId i);

/// Nothing when the graph has nothing to put into kernels. `log`, when given, receives a line for each pair of neighbours.
std::optional<Clustering> form_clusters(const ir::Module& module, ir::GraphId id, const Produced& produced, std::vector<std::string>* log);

/// Replaces the graph by one whose clusters are kernel nodes. `bodies`: texts of the kernel bodies made so far, which equal ones share.
void rebuild_with_kernels(ir::Module& module, ir::GraphId id, Clustering clustering, std::map<std::string, ir::GraphId>& bodies);

}  // namespace kiln::passes::fusion

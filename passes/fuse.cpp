// Fusion: which nodes become one kernel.
//
// Nodes are taken in an order by level, where every reduction and contraction starts a new level, and each one either joins the cluster of
// one of its operands or opens a new cluster. Clusters are numbered as they open; the rule that keeps the graph of clusters free of cycles
// is
//
//     everything a cluster reads from outside depends only on clusters with smaller numbers.
//
// It makes the whole pass linear: no reachability is ever computed. Level order makes the rule a good one: what does not depend on a
// contraction is there before the contraction opens its cluster, so that its epilogue can take it in.
//
// A cluster is one of these kinds, the ones that passes/lower.cpp has schedules for:
//   map          element-wise work over one domain
//   reduction    reduces of one shape over the same dims, with the element-wise work before and after them
//   row          the same, where reduced values meet the full rows again (softmax, layer norm): the reduced dims are the innermost ones
//   contraction  one dot_general and the element-wise work on its result: bias, activation, residual, optimizer update
//   fold         one window, running fold or the like, the element-wise work on its results, and what makes its operands where computing
//                that at every step costs less than memory would
//
// Views (broadcasts and reshapes that only insert or drop dims of 1) and free values (small expressions of constants, iotas and extents)
// belong to no cluster: each cluster that uses one has a copy.
#include <algorithm>
#include <map>
#include <queue>
#include <set>
#include <string>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/op.h"
#include "ir/produced.h"
#include "ir/text.h"
#include "passes/lowering.h"
#include "passes/passes.h"

namespace kiln::passes {
namespace {

using ir::Dims;
using ir::Graph;
using ir::GraphId;
using ir::Module;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Type;
using ir::ValueId;

/// Beyond this a kernel's registers and compile time suffer more than memory traffic gains.
constexpr std::size_t max_cluster_nodes = 192;
constexpr std::size_t max_cluster_inputs = 48;
/// A free value is recomputed by each kernel that uses it; larger expressions are worth a buffer.
constexpr int max_free_nodes = 12;
/// A fold that reads each element more often leaves arithmetic on it to a kernel of its own.
constexpr std::int64_t max_fold_reads = 4;

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

/// Whether element-wise work on the results may join.
bool has_epilogue(Kind kind) { return kind != Kind::update && kind != Kind::sort; }

struct Cluster {
  Kind kind = Kind::map;
  Dims domain;                     ///< map: of all values; reduction, row: the full shape; contraction: the result's
  Dims reduced;                    ///< reduction, row: shape of the reduced values
  std::vector<std::int64_t> dims;  ///< reduction, row: the reduced dims
  std::vector<NodeId> nodes;       ///< in topological order (the order of joining)
  std::size_t inputs = 0;          ///< an upper bound on how many values it reads
};

/// Dims without the ones that are statically 1.
Dims squeezed(const Dims& dims) {
  Dims out;
  for (const auto& d : dims)
    if (!d.is_constant(1)) out.push_back(d);
  return out;
}

/// Produced symbols of the module, and what each graph needs of them.
struct Produced {
  ir::ProducedSymbols symbols;
  std::vector<ir::ProducedUse> uses;
};

class Fuser {
 public:
  Fuser(Module& module, GraphId id, const Produced& produced, std::map<std::string, GraphId>& bodies, std::vector<std::string>* log)
      : module_(module), graph_(module.graph(id)), id_(id), produced_(produced), bodies_(bodies), log_(log) {}

  bool run() {
    classify();
    if (std::none_of(roles_.begin(), roles_.end(), [](Role r) { return r != Role::boundary && r != Role::free; })) return false;
    form_clusters();
    rebuild();
    return true;
  }

 private:
  // ---- what each node is -------------------------------------------------------------------------------------------

  void classify() {
    const std::size_t n = graph_.node_count();
    roles_.assign(n, Role::boundary);
    level_.assign(n, 0);
    cluster_of_.assign(n, ir::none);
    ready_.assign(n, -1);
    users_.assign(n, {});
    produced_before_.assign(n, {});
    std::vector<int> free_size(n, 0);
    for (NodeId i = 0; i < n; ++i) {
      const Node& node = graph_.node(i);
      roles_[i] = role_of(i, free_size);
      find_produced(i);
      int level = 0;
      for (const NodeId d : produced_before_[i]) level = std::max(level, level_[d]);
      for (ValueId v : node.operands) {
        const NodeId d = graph_.defining_node(v);
        level = std::max(level, level_[d]);
        if (users_[d].empty() || users_[d].back() != i) users_[d].push_back(i);
      }
      // Whatever is no plain element-wise work starts a level: its users see it as done.
      const bool starts = roles_[i] == Role::reduce || roles_[i] == Role::contraction || roles_[i] == Role::own ||
                          (roles_[i] == Role::boundary && !node.operands.empty());
      level_[i] = level + (starts ? 1 : 0);
    }
    // What state and control read directly must be in memory: views and free values there become kernels of their own. Going
    // backwards, a value needed by such a node is seen before its own definition.
    std::vector<bool> needed(n, false);
    for (ValueId v : graph_.results) needed[graph_.defining_node(v)] = true;
    for (NodeId i = 0; i < n; ++i)
      if (roles_[i] == Role::boundary)
        for (ValueId v : graph_.node(i).operands) needed[graph_.defining_node(v)] = true;
    // What an update starts as is the same memory, also through a reshape.
    for (NodeId i = 0; i < n; ++i)
      if (ir::info(graph_.node(i).op).update != nullptr)
        if (const NodeId d = graph_.defining_node(graph_.node(i).operands[0]); graph_.node(d).op == Op::reshape) needed[d] = true;
    for (NodeId i = 0; i < n; ++i) {
      const Node& node = graph_.node(i);
      if (!needed[i] || node.op == Op::constant) continue;
      if (node.op == Op::reshape && roles_[i] == Role::view)
        roles_[i] = Role::boundary, needed[graph_.defining_node(node.operands[0])] = true;
      if (roles_[i] == Role::view || roles_[i] == Role::free) roles_[i] = Role::element;
    }
    // A reshape kept as an alias needs its operand in memory too; one more sweep settles chains of them.
    for (NodeId i = static_cast<NodeId>(n); i-- > 0;) {
      if (graph_.node(i).op != Op::reshape || roles_[i] != Role::boundary) continue;
      const NodeId d = graph_.defining_node(graph_.node(i).operands[0]);
      if (graph_.node(d).op == Op::constant) continue;
      if (graph_.node(d).op == Op::reshape)
        roles_[d] = Role::boundary;
      else if (roles_[d] == Role::view || roles_[d] == Role::free)
        roles_[d] = Role::element;
    }
    feeds_reduce_.assign(n, false);
    for (NodeId i = static_cast<NodeId>(n); i-- > 0;) {
      if (users_[i].empty() || is_result(i)) continue;
      feeds_reduce_[i] = std::all_of(users_[i].begin(), users_[i].end(), [&](NodeId u) {
        return roles_[u] == Role::reduce || ((roles_[u] == Role::element || roles_[u] == Role::view) && feeds_reduce_[u]);
      });
    }
  }

  /// The shrinks that give the symbols of the node their values: it runs after them. What is copied into its users hands them on.
  void find_produced(NodeId i) {
    if (produced_.symbols.empty()) return;
    const Node& node = graph_.node(i);
    std::set<NodeId> before;
    const auto add = [&](const std::string& symbol) {
      for (const auto& definition : produced_.symbols.definitions(symbol))
        if (definition.graph == id_) before.insert(definition.node);
    };
    for (const std::string& symbol : produced_.symbols.mentioned(graph_, node)) add(symbol);
    for (const GraphId region : ir::regions_of(node))
      for (const std::string& symbol : produced_.uses[region].needed) add(symbol);
    for (ValueId v : node.operands) {
      const NodeId d = graph_.defining_node(v);
      if (roles_[d] == Role::view || roles_[d] == Role::free) before.insert(produced_before_[d].begin(), produced_before_[d].end());
    }
    produced_before_[i].assign(before.begin(), before.end());
  }

  Role role_of(NodeId i, std::vector<int>& free_size) const {
    const Node& node = graph_.node(i);
    const ir::OpInfo& entry = ir::info(node.op);
    if (node.op == Op::constant) {
      const bool small = node.attributes.literal("value").size() == 1;
      free_size[i] = 1;
      return small ? Role::free : Role::boundary;
    }
    switch (entry.kernel) {
      case Kind::reduction: return Role::reduce;
      case Kind::contraction: return Role::contraction;
      case Kind::map: break;
      default: return Role::own;
    }
    if (entry.element == nullptr || entry.effect) return Role::boundary;
    if (node.op == Op::rng_bits) return Role::element;
    int size = 1;
    bool free = true;
    for (ValueId v : node.operands) {
      const NodeId d = graph_.defining_node(v);
      free = free && roles_[d] == Role::free;
      size += free_size[d];
    }
    if (free && size <= max_free_nodes) {
      free_size[i] = size;
      return Role::free;
    }
    if (node.op == Op::broadcast_in_dim) return Role::view;
    if (node.op == Op::reshape) {
      const Type& from = graph_.type(node.operands[0]);
      const Type& to = graph_.type(node.first_result);
      // A reshape that moves extents between dims is free in memory (rows stay in order) but not in index arithmetic.
      return squeezed(from.dims) == squeezed(to.dims) ? Role::view : Role::boundary;
    }
    return Role::element;
  }

  bool is_result(NodeId i) const {
    const Node& node = graph_.node(i);
    return std::any_of(graph_.results.begin(), graph_.results.end(),
                       [&](ValueId v) { return v >= node.first_result && v < node.first_result + node.result_count; });
  }

  // ---- forming clusters ----------------------------------------------------------------------------------------------

  /// The value behind views, and whether the way there repeats elements.
  struct Source {
    ValueId value;
    bool viewed = false;
  };
  Source source_of(ValueId v) const {
    Source s{v, false};
    while (roles_[graph_.defining_node(s.value)] == Role::view) {
      s.value = graph_.definition(s.value).operands[0];
      s.viewed = true;
    }
    return s;
  }

  const Dims& dims_of(NodeId i) const { return graph_.type(graph_.node(i).first_result).dims; }

  void form_clusters() {
    std::vector<NodeId> order;
    for (NodeId i = 0; i < graph_.node_count(); ++i) order.push_back(i);
    // Those that start their level come first; the rest of a level, views among them, in topological order.
    auto rank = [&](NodeId i) { return roles_[i] == Role::element || roles_[i] == Role::view || roles_[i] == Role::free ? 1 : 0; };
    std::stable_sort(order.begin(), order.end(),
                     [&](NodeId a, NodeId b) { return std::pair(level_[a], rank(a)) < std::pair(level_[b], rank(b)); });
    for (NodeId i : order) {
      switch (roles_[i]) {
        case Role::view:
        case Role::free: ready_[i] = latest(i); break;
        case Role::boundary: ready_[i] = latest(i) < 0 ? -1 : latest(i) | 1; break;
        case Role::element: place_element(i); break;
        case Role::reduce: place_reduce(i); break;
        case Role::contraction: open_contraction(i); break;
        case Role::own: open_own(i); break;
      }
    }
    merge_private_maps();
  }

  /// A map kernel that only one later kernel reads, over the same domain, becomes part of that one: `momentum * buffer` is ready before the
  /// gradient's contraction opens, and yet belongs to its epilogue. Nothing but that kernel waits for it, so no cycle can come of it. The
  /// latest go first, so that chains collapse.
  void merge_private_maps() {
    for (std::size_t p = clusters_.size(); p-- > 0;) {
      if (clusters_[p].kind != Kind::map || clusters_[p].nodes.empty()) continue;
      const int user = only_user(static_cast<std::uint32_t>(p));
      if (user < 0) continue;
      Cluster& c = clusters_[static_cast<std::size_t>(user)];
      if (c.nodes.size() + clusters_[p].nodes.size() > max_cluster_nodes) continue;
      note(user, clusters_[p].nodes.back(), "taken in, nobody else reads it");
      move_nodes(static_cast<std::uint32_t>(p), user);
    }
  }

  /// The cluster that alone reads the map cluster's values, each at its own index and none as an operand of a contraction; -1: there is no
  /// such one.
  int only_user(std::uint32_t p) const {
    int user = -1;
    for (NodeId m : clusters_[p].nodes) {
      if (is_result(m)) return -1;
      for (NodeId u : users_[m]) {
        if (cluster_of_[u] == p) continue;
        if (cluster_of_[u] == ir::none || (user >= 0 && static_cast<int>(cluster_of_[u]) != user)) return -1;
        if (!ir::info(graph_.node(u).op).elementwise || !(dims_of(u) == clusters_[p].domain)) return -1;
        user = static_cast<int>(cluster_of_[u]);
      }
    }
    if (user < 0) return -1;
    const Cluster& c = clusters_[static_cast<std::size_t>(user)];
    if (!has_epilogue(c.kind)) return -1;
    const bool rows = c.kind == Kind::reduction || c.kind == Kind::row;
    return clusters_[p].domain == c.domain || (rows && squeezed(clusters_[p].domain) == squeezed(c.reduced)) ? user : -1;
  }

  void move_nodes(std::uint32_t from, int to) {
    Cluster& source = clusters_[from];
    Cluster& target = clusters_[static_cast<std::size_t>(to)];
    target.nodes.insert(target.nodes.begin(), source.nodes.begin(), source.nodes.end());
    for (NodeId m : source.nodes) {
      cluster_of_[m] = static_cast<std::uint32_t>(to);
      ready_[m] = 2 * to;
    }
    target.inputs += source.inputs;
    source.nodes.clear();
  }

  /// When the node's operands are there: 2 * c for members of cluster c, 2 * c + 1 for what only follows it; -1 for what needs no cluster.
  int latest(NodeId i) const {
    int latest = -1;
    for (ValueId v : graph_.node(i).operands) latest = std::max(latest, ready_[graph_.defining_node(v)]);
    for (const NodeId d : produced_before_[i]) latest = std::max(latest, ready_[d]);
    return latest;
  }

  Cluster& open(NodeId i, Kind kind) {
    clusters_.emplace_back();
    Cluster& c = clusters_.back();
    c.kind = kind;
    add(static_cast<int>(clusters_.size()) - 1, i);
    return c;
  }

  void add(int number, NodeId i) {
    Cluster& c = clusters_[static_cast<std::size_t>(number)];
    c.nodes.push_back(i);
    c.inputs += graph_.node(i).operands.size();
    cluster_of_[i] = static_cast<std::uint32_t>(number);
    ready_[i] = 2 * number;
  }

  /// The cluster that the rule allows a node to join: the latest one among its operands, when an operand is a member of it.
  int candidate(NodeId i) const {
    const int ready = latest(i);
    if (ready < 0 || ready % 2 != 0) return -1;
    const int number = ready / 2;
    for (ValueId v : graph_.node(i).operands)
      if (cluster_of_[graph_.defining_node(source_of(v).value)] == static_cast<std::uint32_t>(number)) return number;
    return -1;
  }

  bool full(const Cluster& c, NodeId i) const {
    return c.nodes.size() >= max_cluster_nodes || c.inputs + graph_.node(i).operands.size() > max_cluster_inputs * 4;
  }

  void place_element(NodeId i) {
    const int number = candidate(i);
    const char* reason = "nothing to join";
    if (number >= 0) {
      reason = why_not_element(number, i);
      if (reason == nullptr) {
        Cluster& c = clusters_[static_cast<std::size_t>(number)];
        if (c.kind == Kind::reduction && squeezed(dims_of(i)) == squeezed(c.domain) && depends_on_reduced(c, i)) c.kind = Kind::row;
        note(number, i, "joined");
        add(number, i);
        return;
      }
      note(number, i, reason);
    }
    Cluster& c = open(i, Kind::map);
    c.domain = dims_of(i);
    if (!ir::info(graph_.node(i).op).elementwise) absorb_producers(i);
  }

  /// Null when the element-wise node may join the cluster, else the reason why not.
  const char* why_not_element(int number, NodeId i) const {
    const Cluster& c = clusters_[static_cast<std::size_t>(number)];
    if (full(c, i)) return "the kernel is as large as kernels get";
    if (!ir::info(graph_.node(i).op).elementwise) return "it changes indices, so its operand is needed in memory";
    const Dims& dims = dims_of(i);
    if (!has_epilogue(c.kind)) return "kernels of this kind have no epilogue";
    if (c.kind == Kind::map) {
      if (!(dims == c.domain)) return "other domain";
      return viewed_members(number, i) ? "it repeats elements of the kernel's own result" : nullptr;
    }
    if (c.kind == Kind::contraction || c.kind == Kind::fold) {
      if (!(dims == c.domain)) return "other domain than the kernel's result";
      if (feeds_reduce_[i]) return "it belongs to the reduction that follows";
      return viewed_members(number, i) ? "it repeats elements of the kernel's own result" : nullptr;
    }
    // reduction and row
    if (squeezed(dims) == squeezed(c.reduced)) return reads_full(number, i) ? "it mixes rows and reduced values" : nullptr;
    if (!(dims == c.domain)) return "other rows than the kernel's";
    if (!inner(c)) return c.kind == Kind::reduction && !depends_on_reduced(c, i) ? nullptr : "the reduced dims are not the innermost ones";
    if (depends_on_reduced(c, i)) {
      if (c.reduced.empty()) return "one value of the whole tensor is needed first";
      if (!rows_line_up(number, i)) return "its broadcast does not run along the rows";
    }
    return nullptr;
  }

  static bool inner(const Cluster& c) {
    const auto rank = static_cast<std::int64_t>(c.domain.size());
    for (std::size_t k = 0; k < c.dims.size(); ++k)
      if (c.dims[k] != rank - static_cast<std::int64_t>(c.dims.size()) + static_cast<std::int64_t>(k)) return false;
    return true;
  }

  bool member(int number, ValueId v) const { return cluster_of_[graph_.defining_node(v)] == static_cast<std::uint32_t>(number); }

  /// Does the node read a member at other indices than its own: through a view, or a scalar mask or bound?
  bool viewed_members(int number, NodeId i) const {
    const Dims& dims = ir::info(graph_.node(i).op).elementwise ? dims_of(i) : graph_.type(graph_.node(i).operands[0]).dims;
    for (ValueId v : graph_.node(i).operands) {
      const Source s = source_of(v);
      if ((s.viewed || !(graph_.type(v).dims == dims)) && member(number, s.value)) return true;
    }
    return false;
  }

  bool depends_on_reduced(const Cluster& c, NodeId i) const {
    const int number = static_cast<int>(&c - clusters_.data());
    for (ValueId v : graph_.node(i).operands) {
      const Source s = source_of(v);
      if (member(number, s.value) && !(graph_.type(s.value).dims == c.domain)) return true;
    }
    return false;
  }

  bool reads_full(int number, NodeId i) const {
    const Cluster& c = clusters_[static_cast<std::size_t>(number)];
    if (c.domain == c.reduced || squeezed(c.domain) == squeezed(c.reduced)) return false;
    for (ValueId v : graph_.node(i).operands)
      if (const Source s = source_of(v); member(number, s.value) && graph_.type(s.value).dims == c.domain) return true;
    return false;
  }

  /// Every broadcast of a reduced member to the full shape maps the kept dims onto the leading dims in order.
  bool rows_line_up(int number, NodeId i) const {
    const Cluster& c = clusters_[static_cast<std::size_t>(number)];
    for (ValueId v : graph_.node(i).operands) {
      const Source s = source_of(v);
      if (!member(number, s.value) || graph_.type(s.value).dims == c.domain) continue;
      ValueId at = v;
      while (at != s.value) {
        const Node& view = graph_.definition(at);
        if (view.op == Op::broadcast_in_dim) {
          const std::vector<std::int64_t> positions = ir::integers_or_empty(view.attributes, "positions");
          for (std::size_t k = 0; k < positions.size(); ++k)
            if (positions[k] != static_cast<std::int64_t>(k)) return false;
        } else if (const Dims& from = graph_.type(view.operands[0]).dims; from.size() > graph_.type(at).dims.size()) {
          return false;
        }
        at = view.operands[0];
      }
    }
    return true;
  }

  void place_reduce(NodeId i) {
    const Node& node = graph_.node(i);
    const Dims& full_dims = graph_.type(node.operands[0]).dims;
    const std::vector<std::int64_t> dims = ir::integers_or_empty(node.attributes, "dimensions");
    const int number = candidate(i);
    if (number >= 0) {
      Cluster& c = clusters_[static_cast<std::size_t>(number)];
      const char* reason = nullptr;
      if (full(c, i))
        reason = "the kernel is as large as kernels get";
      else if (c.kind == Kind::contraction)
        reason = "a contraction's tiles do not see whole rows of its result";
      else if (c.kind == Kind::fold || !has_epilogue(c.kind))
        reason = "kernels of this kind do not fold rows of their results";
      else if (!(c.domain == full_dims))
        reason = "other domain";
      else if (c.kind != Kind::map && c.dims != dims)
        reason = "it reduces other dims";
      else if (viewed_members(number, i) && !rows_line_up(number, i))
        reason = "its broadcast does not run along the rows";
      note(number, i, reason ? reason : "joined");
      if (reason == nullptr) {
        if (c.kind == Kind::map) {
          c.kind = Kind::reduction;
          c.dims = dims;
          c.reduced = dims_of(i);
        } else if (needs_reduced_first(c, i)) {
          c.kind = Kind::row;
        }
        add(number, i);
        return;
      }
    }
    Cluster& c = open(i, Kind::reduction);
    c.domain = full_dims;
    c.dims = dims;
    c.reduced = dims_of(i);
  }

  /// A reduce of a full-shape value in a cluster that has reduced already: a second trip over the row when that value uses the first
  /// result.
  bool needs_reduced_first(const Cluster& c, NodeId i) const { return c.kind == Kind::row || depends_on_reduced(c, i); }

  void open_contraction(NodeId i) {
    Cluster& c = open(i, Kind::contraction);
    c.domain = dims_of(i);
    absorb_producers(i);
  }

  void open_own(NodeId i) {
    const Kind kind = ir::info(graph_.node(i).op).kernel;
    open(i, kind).domain = dims_of(i);
    if (kind == Kind::fold || kind == Kind::sort || kind == Kind::update) absorb_producers(i);
  }

  /// How often a fold reads each element of an operand, for typical extents.
  std::int64_t reads_per_element(NodeId i, ValueId operand) const {
    const Node& node = graph_.node(i);
    std::vector<Type> types;
    for (ValueId v : node.operands) types.push_back(graph_.type(v));
    std::int64_t steps = 1;
    for (const auto& axis : ir::info(node.op).structured(node, types, graph_.type(node.first_result)).axes) steps *= typical(axis.extent);
    return steps / std::max<std::int64_t>(1, typical(ir::product(graph_.type(operand).dims)));
  }

  /// Whether a fold may compute a producer's node anew for every read: a step in registers against a trip through memory.
  bool cheap_in_fold(NodeId m, std::int64_t reads) const {
    const ir::OpInfo& entry = ir::info(graph_.node(m).op);
    if (reads <= 1 || !entry.elementwise || graph_.node(m).op == Op::convert) return true;
    return reads <= max_fold_reads && entry.loop_op != ir::LoopOp::constant && entry.loop_op < ir::LoopOp::exp &&
           entry.loop_op != ir::LoopOp::divide && entry.loop_op != ir::LoopOp::remainder && entry.loop_op != ir::LoopOp::sqrt;
  }

  /// A node that reads its operand at other indices takes in a producing map kernel that nobody else needs, when that costs nothing twice.
  /// Does the producer read what the update starts as? Then the update could not change that in place.
  bool reads_start(const Cluster& producer, NodeId update) const {
    const ValueId start = source_of(graph_.node(update).operands[0]).value;
    return std::any_of(producer.nodes.begin(), producer.nodes.end(), [&](NodeId m) {
      return std::ranges::any_of(graph_.node(m).operands, [&](ValueId v) { return source_of(v).value == start; });
    });
  }

  /// Is the node the first of a chain of reshapes that only `user` reads?
  bool only_reshapes(NodeId i, NodeId user) const {
    while (roles_[i] == Role::view && graph_.node(i).op == Op::reshape && users_[i].size() == 1) {
      if (users_[i][0] == user) return true;
      i = users_[i][0];
    }
    return false;
  }

  /// Does the node read elements of this operand several times, as far as is known?
  bool repeats_operand(NodeId i, ValueId v) const {
    return graph_.node(i).op == Op::gather && v == graph_.node(i).operands[0] &&
           typical(ir::product(dims_of(i))) > typical(ir::product(graph_.type(v).dims));
  }

  void absorb_producers(NodeId i) {
    const int number = static_cast<int>(cluster_of_[i]);
    const bool contraction = roles_[i] == Role::contraction, fold = clusters_[static_cast<std::size_t>(number)].kind == Kind::fold;
    for (ValueId v : graph_.node(i).operands) {
      const Source s = source_of(v);
      const NodeId d = graph_.defining_node(s.value);
      const std::uint32_t p = cluster_of_[d];
      if (p == ir::none || static_cast<int>(p) == number) continue;
      Cluster& producer = clusters_[p];
      if (producer.kind != Kind::map) continue;
      const bool update = clusters_[static_cast<std::size_t>(number)].kind == Kind::update;
      if (update ? s.value == source_of(graph_.node(i).operands[0]).value || reads_start(producer, i) : s.viewed) continue;
      if (producer.nodes.size() + clusters_[static_cast<std::size_t>(number)].nodes.size() > max_cluster_nodes) continue;
      const bool private_result = std::all_of(producer.nodes.begin(), producer.nodes.end(), [&](NodeId m) {
        if (is_result(m)) return false;
        return std::all_of(users_[m].begin(), users_[m].end(), [&](NodeId u) {
          return cluster_of_[u] == p || (m == d && (u == i || (update && only_reshapes(u, i))));
        });
      });
      // A contraction reads an operand many times or packs it; only moving data is worth taking in, arithmetic is done once before.
      const std::int64_t reads = fold ? reads_per_element(i, v) : 1;
      const bool cheap = std::all_of(producer.nodes.begin(), producer.nodes.end(), [&](NodeId m) {
        const ir::OpInfo& entry = ir::info(graph_.node(m).op);
        if (fold) return cheap_in_fold(m, reads);
        if (repeats_operand(i, v)) return cheap_in_fold(m, max_fold_reads) && producer.nodes.size() <= 4;
        return contraction ? !entry.elementwise || graph_.node(m).op == Op::convert : true;
      });
      if (!private_result || !cheap) continue;
      note(number, d, "taken in");
      move_nodes(p, number);
    }
  }

  void note(int number, NodeId i, const char* what) {
    if (log_ == nullptr) return;
    const Cluster& c = clusters_[static_cast<std::size_t>(number)];
    const Node& node = graph_.node(i);
    const Node& head = graph_.node(c.nodes.front());
    log_->push_back(fmt::format("@{}: {} {} and the {} kernel of {}: {}", graph_.name, ir::info(node.op).name,
                                to_string(graph_.type(node.first_result)), name_of(c.kind), ir::info(head.op).name, what));
  }

  // ---- the new graph ------------------------------------------------------------------------------------------------

  /// Boundary nodes and clusters in a topological order that stays as close to the original order as it can (a heap on the position of the
  /// last node of each), so that values live no longer than they did.
  void rebuild() {
    struct Unit {
      NodeId position;        // original position of its last node
      std::uint32_t cluster;  // none: the boundary node `position`
      std::vector<std::uint32_t> users;
      std::uint32_t missing = 0;
    };
    std::vector<Unit> units;
    std::vector<std::uint32_t> unit_of_node(graph_.node_count(), ir::none);
    for (std::uint32_t c = 0; c < clusters_.size(); ++c) {
      if (clusters_[c].nodes.empty()) continue;
      std::sort(clusters_[c].nodes.begin(), clusters_[c].nodes.end());
      for (NodeId m : clusters_[c].nodes) unit_of_node[m] = static_cast<std::uint32_t>(units.size());
      units.push_back({clusters_[c].nodes.back(), c, {}, 0});
    }
    for (NodeId i = 0; i < graph_.node_count(); ++i) {
      if (roles_[i] != Role::boundary && !(graph_.node(i).op == Op::constant && needed_constant(i))) continue;
      unit_of_node[i] = static_cast<std::uint32_t>(units.size());
      units.push_back({i, ir::none, {}, 0});
    }
    auto edges_of = [&](std::uint32_t u, auto&& visit) {
      std::set<std::uint32_t> seen;
      auto from = [&](NodeId i) {
        for (ValueId v : graph_.node(i).operands) {
          const std::uint32_t p = unit_of_node[graph_.defining_node(source_of(v).value)];
          if (p != ir::none && p != u && seen.insert(p).second) visit(p);
        }
        for (const NodeId d : produced_before_[i])
          if (const std::uint32_t p = unit_of_node[d]; p != u && seen.insert(p).second) visit(p);
      };
      if (units[u].cluster == ir::none)
        from(units[u].position);
      else
        for (NodeId m : clusters_[units[u].cluster].nodes) from(m);
    };
    for (std::uint32_t u = 0; u < units.size(); ++u)
      edges_of(u, [&](std::uint32_t p) {
        units[p].users.push_back(u);
        ++units[u].missing;
      });
    // Other readers of what an update starts as come first, unless they need the update's result: then it is changed in place.
    const auto reaches = [&](std::uint32_t from, std::uint32_t to) {
      std::vector<bool> seen(units.size(), false);
      std::vector<std::uint32_t> stack{from};
      while (!stack.empty()) {
        const std::uint32_t u = stack.back();
        stack.pop_back();
        if (u == to) return true;
        if (seen[u]) continue;
        seen[u] = true;
        stack.insert(stack.end(), units[u].users.begin(), units[u].users.end());
      }
      return false;
    };
    for (std::uint32_t u = 0; u < units.size(); ++u) {
      if (units[u].cluster == ir::none || clusters_[units[u].cluster].kind != Kind::update) continue;
      for (const std::uint32_t reader : readers_of_start(clusters_[units[u].cluster], unit_of_node)) {
        if (reader == u || reaches(u, reader)) continue;
        units[reader].users.push_back(u);
        ++units[u].missing;
      }
    }
    using Entry = std::pair<NodeId, std::uint32_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> heap;
    for (std::uint32_t u = 0; u < units.size(); ++u)
      if (units[u].missing == 0) heap.emplace(units[u].position, u);

    next_ = std::make_unique<Graph>();
    next_->name = graph_.name;
    map_.assign(graph_.value_count(), ir::none);
    std::size_t done = 0;
    while (!heap.empty()) {
      const std::uint32_t u = heap.top().second;
      heap.pop();
      ++done;
      if (units[u].cluster == ir::none)
        copy_node(units[u].position);
      else
        emit_cluster(clusters_[units[u].cluster]);
      for (std::uint32_t user : units[u].users)
        if (--units[user].missing == 0) heap.emplace(units[user].position, user);
    }
    if (done != units.size()) throw InternalError("fuse: clusters of @" + graph_.name + " depend on each other in a cycle");
    for (ValueId p : graph_.parameters) next_->parameters.push_back(map_[p]);
    for (ValueId r : graph_.results) next_->results.push_back(map_[r]);
    module_.graphs[id_] = std::move(next_);
  }

  /// The units that read what the cluster's update starts as, itself among them.
  std::set<std::uint32_t> readers_of_start(const Cluster& c, const std::vector<std::uint32_t>& unit_of_node) const {
    const NodeId update = *std::ranges::find_if(c.nodes, [&](NodeId m) { return ir::info(graph_.node(m).op).update != nullptr; });
    NodeId start = graph_.defining_node(source_of(graph_.node(update).operands[0]).value);
    while (graph_.node(start).op == Op::reshape) start = graph_.defining_node(source_of(graph_.node(start).operands[0]).value);
    std::set<std::uint32_t> units;
    std::vector<NodeId> stack{start};
    while (!stack.empty()) {
      const NodeId i = stack.back();
      stack.pop_back();
      for (const NodeId user : users_[i]) {
        if (unit_of_node[user] != ir::none) units.insert(unit_of_node[user]);
        if (roles_[user] == Role::view || graph_.node(user).op == Op::reshape) stack.push_back(user);
      }
    }
    return units;
  }

  /// A scalar constant that a boundary node or result reads directly.
  bool needed_constant(NodeId i) const {
    return is_result(i) || std::any_of(users_[i].begin(), users_[i].end(), [&](NodeId u) { return roles_[u] == Role::boundary; });
  }

  void copy_node(NodeId i) {
    const Node& node = graph_.node(i);
    std::vector<ValueId> operands;
    for (ValueId v : node.operands) operands.push_back(map_[v]);
    std::vector<Type> types;
    for (std::uint32_t r = 0; r < node.result_count; ++r) types.push_back(graph_.type(node.first_result + r));
    const NodeId copy = next_->append(node.op, std::move(operands), node.attributes, std::move(types), node.location);
    next_->node(copy).recompute = node.recompute;
    for (std::uint32_t r = 0; r < node.result_count; ++r) {
      map_[node.first_result + r] = next_->node(copy).first_result + r;
      if (const auto& name = graph_.value_name(node.first_result + r); !name.empty())
        next_->set_value_name(map_[node.first_result + r], name);
    }
  }

  void emit_cluster(const Cluster& c) {
    const std::uint32_t number = cluster_of_[c.nodes.front()];
    // The body, and the values that become its parameters.
    auto body = std::make_unique<Graph>();
    std::map<ValueId, ValueId> inside;
    std::vector<ValueId> inputs;
    auto import_value = [&](ValueId wanted) {
      // Views and free values are copied with everything below them; depth is bounded by what is copied, and the stack is explicit.
      std::vector<ValueId> stack{wanted};
      while (!stack.empty()) {
        const ValueId v = stack.back();
        if (inside.count(v)) {
          stack.pop_back();
          continue;
        }
        const NodeId d = graph_.defining_node(v);
        if (roles_[d] != Role::view && roles_[d] != Role::free) {
          inside[v] = body->add_parameter(graph_.type(v), "", 0);
          inputs.push_back(v);
          stack.pop_back();
          continue;
        }
        const Node& node = graph_.node(d);
        bool complete = true;
        for (ValueId o : node.operands)
          if (!inside.count(o)) stack.push_back(o), complete = false;
        if (!complete) continue;
        std::vector<ValueId> operands;
        for (ValueId o : node.operands) operands.push_back(inside[o]);
        const NodeId copy = body->append(node.op, std::move(operands), node.attributes, {graph_.type(v)}, node.location);
        inside[v] = body->node(copy).first_result;
        stack.pop_back();
      }
    };
    std::vector<ValueId> outputs;
    std::vector<std::pair<ValueId, std::uint64_t>> streams;  // parameters of the body that random draws read
    for (NodeId m : c.nodes) {
      const Node& node = graph_.node(m);
      std::vector<ValueId> operands;
      for (ValueId v : node.operands) {
        import_value(v);
        operands.push_back(inside[v]);
      }
      ir::Attributes attributes = node.attributes;
      if (node.op == Op::rng_bits && operands.size() < 4) {
        // The stream comes from outside: a model's initializers differ in little else.
        const Type scalar{DType::u64, Type::Kind::tensor, {}};
        if (operands.size() == 2) {
          const NodeId zero = body->append(Op::constant, {}, {{"value", Array(std::uint64_t{0})}}, {scalar}, node.location);
          operands.push_back(body->node(zero).first_result);
        }
        operands.push_back(body->add_parameter(scalar, "", 0));
        streams.emplace_back(operands.back(), static_cast<std::uint64_t>(attributes.integer("stream")));
        attributes = attributes.without("stream");
      }
      std::vector<Type> results;
      for (std::uint32_t r = 0; r < node.result_count; ++r) results.push_back(graph_.type(node.first_result + r));
      const NodeId copy = body->append(node.op, std::move(operands), std::move(attributes), std::move(results), node.location);
      for (std::uint32_t r = 0; r < node.result_count; ++r) {
        inside[node.first_result + r] = body->node(copy).first_result + r;
        if (escapes(node.first_result + r, number)) outputs.push_back(node.first_result + r);
      }
    }
    for (ValueId v : outputs) body->results.push_back(inside[v]);

    std::vector<ValueId> operands;
    std::size_t next_input = 0, next_stream = 0;
    for (ValueId parameter : body->parameters) {
      if (next_stream == streams.size() || streams[next_stream].first != parameter) {
        operands.push_back(map_[inputs[next_input++]]);
        continue;
      }
      const Type scalar{DType::u64, Type::Kind::tensor, {}};
      const NodeId stream = next_->append(Op::constant, {}, {{"value", Array(streams[next_stream++].second)}}, {scalar});
      operands.push_back(next_->node(stream).first_result);
    }
    const GraphId body_id = shared_body(std::move(body), c, inside, inputs, outputs);
    std::vector<Type> types;
    for (ValueId v : outputs) types.push_back(graph_.type(v));
    const NodeId kernel =
        next_->append(Op::kernel, std::move(operands), {{"body", ir::GraphRef{body_id}}, {"kind", std::string(name_of(c.kind))}},
                      std::move(types), graph_.node(c.nodes.back()).location);
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      map_[outputs[k]] = next_->node(kernel).first_result + static_cast<ValueId>(k);
      if (const auto& name = graph_.value_name(outputs[k]); !name.empty()) next_->set_value_name(map_[outputs[k]], name);
    }
  }

  /// Is the value read outside of its cluster (directly or through views)?
  bool escapes(ValueId value, std::uint32_t number) const {
    std::vector<ValueId> stack{value};
    while (!stack.empty()) {
      const ValueId v = stack.back();
      stack.pop_back();
      if (std::find(graph_.results.begin(), graph_.results.end(), v) != graph_.results.end()) return true;
      for (NodeId u : users_[graph_.defining_node(v)]) {
        const std::vector<ValueId>& read = graph_.node(u).operands;
        if (std::find(read.begin(), read.end(), v) == read.end()) continue;
        if (roles_[u] == Role::view)
          stack.push_back(graph_.node(u).first_result);
        else if (cluster_of_[u] != number)
          return true;
      }
    }
    return false;
  }

  /// Equal bodies become one graph: the key is the structure without names and locations.
  GraphId shared_body(std::unique_ptr<Graph> body, const Cluster& c, const std::map<ValueId, ValueId>& inside,
                      const std::vector<ValueId>& inputs, const std::vector<ValueId>& outputs) {
    const GraphId id = module_.add_graph(body_name(c));
    const std::string name = module_.graph(id).name;
    body->name = "body";
    module_.graphs[id] = std::move(body);
    const std::string key = ir::print(module_, id);
    const auto [found, fresh] = bodies_.emplace(key, id);
    if (!fresh) {
      module_.graphs.pop_back();
      return found->second;
    }
    Graph& graph = module_.graph(id);
    graph.name = name;
    for (ValueId v : inputs)
      if (const auto& n = graph_.value_name(v); !n.empty()) graph.set_value_name(inside.at(v), n);
    for (ValueId v : outputs)
      if (const auto& n = graph_.value_name(v); !n.empty()) graph.set_value_name(inside.at(v), n);
    return id;
  }

  /// What the kernel computes, for readers: "dot_add_maximum", "reduce_exp_divide".
  std::string body_name(const Cluster& c) const {
    std::string name;
    auto say = [&](std::string_view word) {
      if (name.find(word) == std::string::npos && name.size() < 40) name += (name.empty() ? "" : "_") + std::string(word);
    };
    if (c.kind == Kind::contraction) say("dot");
    if (c.kind == Kind::reduction || c.kind == Kind::row) say("reduce");
    for (NodeId m : c.nodes)
      if (const Op op = graph_.node(m).op; op != Op::dot_general && op != Op::reduce) say(ir::info(op).name);
    return name;
  }

  Module& module_;
  Graph& graph_;
  GraphId id_;
  const Produced& produced_;
  std::map<std::string, GraphId>& bodies_;
  std::vector<std::string>* log_;

  std::vector<Role> roles_;
  std::vector<int> level_, ready_;
  std::vector<std::uint32_t> cluster_of_;
  std::vector<std::vector<NodeId>> users_;
  std::vector<std::vector<NodeId>> produced_before_;
  std::vector<bool> feeds_reduce_;
  std::vector<Cluster> clusters_;

  std::unique_ptr<Graph> next_;
  std::vector<ValueId> map_;
};

}  // namespace

bool fuse(ir::Module& module, std::vector<std::string>* log) {
  bool changed = false;
  std::map<std::string, GraphId> bodies;
  ir::ProducedSymbols symbols(module);
  std::vector<ir::ProducedUse> uses = ir::produced_uses(module, symbols);
  const Produced produced{std::move(symbols), std::move(uses)};
  const auto count = static_cast<GraphId>(module.graphs.size());
  std::set<GraphId> kernels;
  for (GraphId g = 0; g < count; ++g)
    for (NodeId i = 0; i < module.graph(g).node_count(); ++i)
      if (const Node& node = module.graph(g).node(i); node.op == Op::kernel) kernels.insert(node.attributes.graph("body"));
  for (GraphId g = 0; g < count; ++g)
    if (!kernels.count(g)) changed |= Fuser(module, g, produced, bodies, log).run();
  if (changed) module.sweep();
  return changed;
}

}  // namespace kiln::passes

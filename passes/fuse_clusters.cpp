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
#include "passes/fuse_clusters.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "ir/extent_checks.h"
#include "passes/lowering.h"

namespace kiln::passes::fusion {

using ir::Dims;
using ir::Graph;
using ir::GraphId;
using ir::Module;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::Type;
using ir::ValueId;

Source source_of(const Graph& graph, const std::vector<Role>& roles, ValueId v) {
  Source s{v, false};
  while (roles[graph.defining_node(s.value)] == Role::view) {
    s.value = graph.definition(s.value).operands[0];
    s.viewed = true;
  }
  return s;
}

bool is_result(const Graph& graph, NodeId i) {
  const Node& node = graph.node(i);
  return std::any_of(graph.results.begin(), graph.results.end(),
                     [&](ValueId v) { return v >= node.first_result && v < node.first_result + node.result_count; });
}

namespace {

/// Beyond this a kernel's registers and compile time suffer more than memory traffic gains.
constexpr std::size_t max_cluster_nodes = 192;
constexpr std::size_t max_cluster_inputs = 48;
/// A free value is recomputed by each kernel that uses it; larger expressions are worth a buffer.
constexpr int max_free_nodes = 12;
/// What a parameter's gradient reads may live until the end of the step so that the update is the gradient's epilogue: that saves a trip of
/// the gradient through memory, and costs this much in each of a network's hundreds of parameters.
constexpr std::int64_t max_kept_bytes = 64 << 10;
/// A fold that reads each element more often leaves arithmetic on it to a kernel of its own.
constexpr std::int64_t max_fold_reads = 4;

/// Whether element-wise work on the results may join.
bool has_epilogue(Kind kind) { return kind != Kind::update && kind != Kind::sort; }

/// Dims without the ones that are statically 1.
Dims squeezed(const Dims& dims) {
  Dims out;
  for (const auto& d : dims)
    if (!d.is_constant(1)) out.push_back(d);
  return out;
}

class Former {
 public:
  Former(const Module& module, GraphId id, const Produced& produced, std::vector<std::string>* log)
      : graph_(module.graph(id)), id_(id), produced_(produced), log_(log) {}

  std::optional<Clustering> run() {
    classify();
    if (std::none_of(roles_.begin(), roles_.end(), [](Role r) { return r != Role::boundary && r != Role::free; })) return std::nullopt;
    form_clusters();
    return Clustering{std::move(roles_), std::move(cluster_of_), std::move(users_), std::move(produced_before_), std::move(clusters_)};
  }

 private:
  // ---- what each node is -------------------------------------------------------------------------------------------

  void classify() {
    const std::size_t n = graph_.node_count();
    roles_.assign(n, Role::boundary);
    level_.assign(n, 0);
    opens_level_.assign(n, false);
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
      opens_level_[i] = roles_[i] == Role::reduce || roles_[i] == Role::contraction || roles_[i] == Role::own ||
                        (roles_[i] == Role::boundary && !node.operands.empty());
      level_[i] = level + (opens_level_[i] ? 1 : 0);
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
      if (ir::info(graph_.node(i).op).update != nullptr) {
        starts_.insert(graph_.node(i).operands[0]);
        if (const NodeId d = graph_.defining_node(graph_.node(i).operands[0]); graph_.node(d).op == Op::reshape) needed[d] = true;
      }
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
    only_assigned_.assign(n, false);
    for (NodeId i = static_cast<NodeId>(n); i-- > 0;)
      only_assigned_[i] = !users_[i].empty() && !is_result(graph_, i) && std::all_of(users_[i].begin(), users_[i].end(), [&](NodeId u) {
        return graph_.node(u).op == Op::assign || (graph_.node(u).op != Op::check && roles_[u] != Role::boundary && only_assigned_[u]);
      });
    feeds_reduce_.assign(n, false);
    for (NodeId i = static_cast<NodeId>(n); i-- > 0;) {
      if (users_[i].empty() || is_result(graph_, i)) continue;
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
    if (node.op == Op::match_extents &&
        ir::match_by_dims(node.attributes, graph_.type(node.operands[0]).dims, graph_.type(node.first_result).dims))
      return Role::view;
    if (node.op == Op::reshape) {
      const Type& from = graph_.type(node.operands[0]);
      const Type& to = graph_.type(node.first_result);
      // A reshape that moves extents between dims is free in memory (rows stay in order) but not in index arithmetic.
      return squeezed(from.dims) == squeezed(to.dims) ? Role::view : Role::boundary;
    }
    return Role::element;
  }

  // ---- forming clusters ----------------------------------------------------------------------------------------------

  const Dims& dims_of(NodeId i) const { return graph_.type(graph_.node(i).first_result).dims; }

  void form_clusters() {
    std::vector<NodeId> order;
    for (NodeId i = 0; i < graph_.node_count(); ++i) order.push_back(i);
    // Those that start their level come first; the rest of it in topological order.
    auto rank = [&](NodeId i) { return opens_level_[i] ? 0 : 1; };
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
      if (is_result(graph_, m)) return -1;
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
    // Tiles need one index for all their rows, which gathered ones do not have.
    const auto gathers = [&](NodeId m) { return graph_.node(m).op == Op::gather; };
    if ((c.kind == Kind::contraction || c.kind == Kind::fold) && std::ranges::any_of(clusters_[p].nodes, gathers)) return -1;
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
      if (cluster_of_[graph_.defining_node(source_of(graph_, roles_, v).value)] == static_cast<std::uint32_t>(number)) return number;
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
      if (only_assigned_[i] && keeps_much_alive(c)) return "variables change last, and the operands would have to live until then";
      if (feeds_reduce_[i]) return "it belongs to the reduction that follows";
      return viewed_members(number, i) ? "it repeats elements of the kernel's own result" : nullptr;
    }
    // reduction and row
    if (only_assigned_[i] && keeps_much_alive(c)) return "variables change last, and the operands would have to live until then";
    if (squeezed(dims) == squeezed(c.reduced)) return reads_full(number, i) ? "it mixes rows and reduced values" : nullptr;
    if (!(dims == c.domain)) return "other rows than the kernel's";
    if (!inner(c)) return c.kind == Kind::reduction && !depends_on_reduced(c, i) ? nullptr : "the reduced dims are not the innermost ones";
    if (depends_on_reduced(c, i)) {
      if (c.reduced.empty()) return "one value of the whole tensor is needed first";
      if (!rows_line_up(number, i)) return "its broadcast does not run along the rows";
    }
    return nullptr;
  }

  /// A kernel that changes a variable runs at the end of the step, so what it reads lives until then. For a sum over many rows that is far
  /// more than its result, which the update can as well read from memory.
  bool keeps_much_alive(const Cluster& c) const {
    const auto bytes_of = [&](ValueId v) {
      return static_cast<std::int64_t>(size_of(graph_.type(v).dtype)) * typical(ir::product(graph_.type(v).dims));
    };
    const std::uint32_t number = cluster_of_[c.nodes.front()];
    std::set<ValueId> read;
    std::int64_t result = 0;
    for (NodeId i : c.nodes) {
      for (ValueId v : graph_.node(i).operands) {
        const ValueId source = source_of(graph_, roles_, v).value;
        const NodeId d = graph_.defining_node(source);
        const Op op = graph_.node(d).op;
        const bool stays = op == Op::parameter || op == Op::variable || op == Op::constant || roles_[d] == Role::free || only_assigned_[d];
        if (!stays && cluster_of_[d] != number) read.insert(source);
      }
      if (roles_[i] == Role::reduce || roles_[i] == Role::contraction) result = std::max(result, bytes_of(graph_.node(i).first_result));
    }
    std::int64_t bytes = 0;
    for (ValueId v : read) bytes += bytes_of(v);
    return bytes > std::max(result, max_kept_bytes);
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
      const Source s = source_of(graph_, roles_, v);
      if ((s.viewed || !(graph_.type(v).dims == dims)) && member(number, s.value)) return true;
    }
    return false;
  }

  bool depends_on_reduced(const Cluster& c, NodeId i) const {
    const int number = static_cast<int>(&c - clusters_.data());
    for (ValueId v : graph_.node(i).operands) {
      const Source s = source_of(graph_, roles_, v);
      if (member(number, s.value) && !(graph_.type(s.value).dims == c.domain)) return true;
    }
    return false;
  }

  bool reads_full(int number, NodeId i) const {
    const Cluster& c = clusters_[static_cast<std::size_t>(number)];
    if (c.domain == c.reduced || squeezed(c.domain) == squeezed(c.reduced)) return false;
    for (ValueId v : graph_.node(i).operands)
      if (const Source s = source_of(graph_, roles_, v); member(number, s.value) && graph_.type(s.value).dims == c.domain) return true;
    return false;
  }

  /// Every broadcast of a reduced member to the full shape maps the kept dims onto the leading dims in order.
  bool rows_line_up(int number, NodeId i) const {
    const Cluster& c = clusters_[static_cast<std::size_t>(number)];
    for (ValueId v : graph_.node(i).operands) {
      const Source s = source_of(graph_, roles_, v);
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

  /// Does the producer read what an update starts as? As part of that update, or of a later one, it would keep the old value alive, which
  /// then could not be changed in place.
  bool reads_start(const Cluster& producer) const {
    return std::any_of(producer.nodes.begin(), producer.nodes.end(), [&](NodeId m) {
      return std::ranges::any_of(graph_.node(m).operands, [&](ValueId v) { return starts_.contains(source_of(graph_, roles_, v).value); });
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

  /// A node that reads its operand at other indices takes in a producing map kernel that nobody else needs, when that costs nothing twice.
  void absorb_producers(NodeId i) {
    const int number = static_cast<int>(cluster_of_[i]);
    const bool contraction = roles_[i] == Role::contraction, fold = clusters_[static_cast<std::size_t>(number)].kind == Kind::fold;
    for (ValueId v : graph_.node(i).operands) {
      const Source s = source_of(graph_, roles_, v);
      const NodeId d = graph_.defining_node(s.value);
      const std::uint32_t p = cluster_of_[d];
      if (p == ir::none || static_cast<int>(p) == number) continue;
      Cluster& producer = clusters_[p];
      if (producer.kind != Kind::map) continue;
      const bool update = clusters_[static_cast<std::size_t>(number)].kind == Kind::update;
      if (update ? s.value == source_of(graph_, roles_, graph_.node(i).operands[0]).value || reads_start(producer) : s.viewed) continue;
      if (producer.nodes.size() + clusters_[static_cast<std::size_t>(number)].nodes.size() > max_cluster_nodes) continue;
      const bool private_result = std::all_of(producer.nodes.begin(), producer.nodes.end(), [&](NodeId m) {
        if (is_result(graph_, m)) return false;
        return std::all_of(users_[m].begin(), users_[m].end(),
                           [&](NodeId u) { return cluster_of_[u] == p || (m == d && (u == i || (update && only_reshapes(u, i)))); });
      });
      // A contraction reads an operand many times or packs it; only moving data is worth taking in, arithmetic is done once before. Tiles
      // need one index for all their rows, which gathered ones do not have.
      const std::int64_t reads = fold ? reads_per_element(i, v) : 1;
      const bool cheap = std::all_of(producer.nodes.begin(), producer.nodes.end(), [&](NodeId m) {
        const ir::OpInfo& entry = ir::info(graph_.node(m).op);
        if (fold) return cheap_in_fold(m, reads);
        if (repeats_operand(i, v)) return cheap_in_fold(m, max_fold_reads) && producer.nodes.size() <= 4;
        if (contraction) return (!entry.elementwise && graph_.node(m).op != Op::gather) || graph_.node(m).op == Op::convert;
        return true;
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

  const Graph& graph_;
  GraphId id_;
  const Produced& produced_;
  std::vector<std::string>* log_;

  std::vector<Role> roles_;
  std::vector<int> level_, ready_;
  std::vector<bool> opens_level_;  ///< its level: it comes before what else is on it
  std::vector<std::uint32_t> cluster_of_;
  std::vector<std::vector<NodeId>> users_;
  std::vector<std::vector<NodeId>> produced_before_;
  std::vector<bool> feeds_reduce_;
  std::set<ValueId> starts_;         // what updates start as
  std::vector<bool> only_assigned_;  ///< nothing but variables' new values comes of it
  std::vector<Cluster> clusters_;
};

}  // namespace

std::optional<Clustering> form_clusters(const Module& module, GraphId id, const Produced& produced, std::vector<std::string>* log) {
  return Former(module, id, produced, log).run();
}

}  // namespace kiln::passes::fusion

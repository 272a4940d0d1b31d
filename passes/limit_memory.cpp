// Segments of the forward pass, and calls made of them; see limit_memory.h.
//
// The forward pass are the ancestors of the differentiated values, without those that come from gradients. Parameters, variables and
// *static* values (small expressions of constants and iotas: masks, scales) are no part of it: the former are there anyway, the latter are
// copied to wherever they are read.
//
// Cutting. After each node, the boundary is what is there and still to be read within the forward pass, in bytes. It is small between
// layers (the residual stream) and large within them. A range of nodes is cut at its smallest boundary, the one nearest to its middle
// where several are equal, so that equal layers give equal segments; then the two halves are, until no boundary is small against what lies
// on both sides.
#include "passes/limit_memory.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ir/op.h"
#include "ir/produced.h"
#include "passes/rewrite.h"

namespace kiln::passes {

using namespace ir;

namespace {

/// A static value is copied with all that it is made of, if that is no more than this.
constexpr int max_static_nodes = 12;
constexpr std::int64_t max_static_literal = 16;  ///< elements
/// No segment is smaller than this part of the forward pass: more of them would gain little and cost time.
constexpr double smallest_part = 1.0 / 256;
/// A cut lies at least this part of the range from its ends.
constexpr double margin = 0.2;
/// What a cut hands on, times this, is no more than what either side keeps.
constexpr double narrow = 4;
/// Iterations of a loop of which nothing is known.
constexpr double usual_trips = 16;

constexpr std::uint32_t no_position = UINT32_MAX;

bool is_view(Op op) { return op == Op::reshape || op == Op::stop_gradient; }
bool is_copied(Op op) { return is_view(op) || op == Op::broadcast_in_dim; }

class Sizes {
 public:
  Sizes(const Module& module, const SymbolValues& symbols) : symbols_(symbols) {
    for (const auto& info : module.symbols) known_[info->name] = info.get();
  }

  double count(const Dims& dims) const {
    double result = 1;
    for (const Dim& d : dims) result *= static_cast<double>(extent(d));
    return result;
  }
  double bytes(const Type& type) const {
    return type.kind == Type::Kind::tape ? 0 : count(type.dims) * static_cast<double>(size_of(type.dtype));
  }
  std::int64_t extent(const Dim& dim) const {
    if (dim.is_constant()) return dim.constant();
    const Dim value = substitute(dim, [&](const SymbolInfo& info) -> std::optional<Dim> {
      if (const auto given = symbols_.find(info.name); given != symbols_.end()) return Dim(given->second);
      return Dim(std::clamp(info.typical != 0 ? info.typical : std::int64_t{64}, info.min, info.max));
    });
    return value.is_constant() ? std::max<std::int64_t>(0, value.constant()) : 64;
  }

 private:
  const SymbolValues& symbols_;
  std::map<std::string, const SymbolInfo*> known_;
};

/// Arithmetic of the nodes of each graph, those that it runs included.
class Arithmetic {
 public:
  Arithmetic(const Module& module, const Sizes& sizes) : sizes_(sizes), graphs_(module.graphs.size(), 0) {
    for (const GraphId id : callees_first(module)) {
      const Graph& graph = module.graph(id);
      for (NodeId n = 0; n < graph.node_count(); ++n) graphs_[id] += of(graph, graph.node(n));
    }
  }

  double of(const Graph& graph, const Node& node) const {
    if (node.op == Op::gradients || node.op == Op::parameter || node.op == Op::variable || node.op == Op::constant || is_copied(node.op))
      return 0;
    if (const std::vector<GraphId> regions = regions_of(node); !regions.empty()) {
      double trips = 1;
      if (node.op == Op::scan) trips = static_cast<double>(sizes_.extent(node.attributes.dims("length")[0]));
      if (node.op == Op::while_loop)
        trips = node.attributes.find("max_trip_count") ? static_cast<double>(node.attributes.integer("max_trip_count")) : usual_trips;
      return trips * graphs_[regions.back()];
    }
    if (node.result_count == 0) return 0;
    const double results = sizes_.count(graph.type(node.first_result).dims);
    if (node.op == Op::dot_general) {
      double steps = 2;
      for (const std::int64_t d : integers_or_empty(node.attributes, "lhs_contract"))
        steps *= static_cast<double>(sizes_.extent(graph.type(node.operands[0]).dims[static_cast<std::size_t>(d)]));
      return steps * results;
    }
    if (node.op == Op::convolution) {
      const Dims& kernel = graph.type(node.operands[1]).dims;
      const auto features = static_cast<std::size_t>(node.attributes.integer("rhs_output_feature"));
      return 2 * results * sizes_.count(kernel) / std::max(1.0, static_cast<double>(sizes_.extent(kernel[features])));
    }
    double most = results;
    for (const ValueId v : node.operands) most = std::max(most, sizes_.count(graph.type(v).dims));
    return most;
  }

 private:
  const Sizes& sizes_;
  std::vector<double> graphs_;
};

/// What main's nodes are to the forward pass.
struct Roles {
  std::vector<bool> is_static;    ///< by node
  std::vector<std::uint32_t> at;  ///< by node: position in `nodes`; no_position: not in the forward pass
  std::vector<NodeId> nodes;      ///< the forward pass
  std::vector<bool> stays;        ///< by position: in no segment
};

Roles find_roles(const Module& module) {
  const Graph& graph = module.main_graph();
  const std::size_t count = graph.node_count();
  std::vector<bool> derived(count), forward(count), wanted(count);
  for (NodeId n = 0; n < count; ++n) {
    const Node& node = graph.node(n);
    derived[n] = node.op == Op::gradients;
    for (const ValueId v : node.operands) derived[n] = derived[n] || derived[graph.defining_node(v)];
    if (node.op != Op::gradients) continue;
    const bool seeded = node.attributes.find("seeded") && node.attributes.flag("seeded");
    const auto targets = static_cast<std::size_t>(node.attributes.find("targets") ? node.attributes.integer("targets") : 1);
    for (std::size_t i = 0; i < node.operands.size(); ++i) {
      const NodeId definition = graph.defining_node(node.operands[i]);
      if (i < targets) forward[definition] = !derived[definition];
      if (i >= (seeded ? 2 * targets : targets)) wanted[definition] = true;
    }
  }
  Roles roles{std::vector<bool>(count), std::vector<std::uint32_t>(count, no_position), {}, {}};
  std::vector<int> static_nodes(count);
  for (NodeId n = 0; n < count; ++n) {
    const Node& node = graph.node(n);
    const OpInfo& entry = info(node.op);
    if (wanted[n] || entry.effect || node.result_count != 1) continue;
    if (node.op != Op::constant && node.op != Op::iota && node.op != Op::dim_size && !is_copied(node.op) && !entry.elementwise) continue;
    int made_of = 1;
    bool fixed = node.op != Op::constant || node.attributes.literal("value").size() <= max_static_literal;
    for (const ValueId v : node.operands) {
      fixed = fixed && roles.is_static[graph.defining_node(v)];
      made_of += static_nodes[graph.defining_node(v)];
    }
    static_nodes[n] = made_of;
    roles.is_static[n] = fixed && made_of <= max_static_nodes;
  }
  for (NodeId n = static_cast<NodeId>(count); n-- > 0;)
    if (forward[n])
      for (const ValueId v : graph.node(n).operands) forward[graph.defining_node(v)] = true;

  const std::vector<bool> effects = graphs_with_effects(module);
  const ProducedSymbols produced(module);
  for (NodeId n = 0; n < count; ++n) {
    const Node& node = graph.node(n);
    if (!forward[n] || derived[n] || roles.is_static[n] || node.op == Op::parameter || node.op == Op::variable || node.op == Op::constant)
      continue;
    roles.at[n] = static_cast<std::uint32_t>(roles.nodes.size());
    roles.nodes.push_back(n);
    roles.stays.push_back(wanted[n] || node.op == Op::custom_call || produced_symbol(node) || has_effect(node, effects) ||
                          touches_tape(graph, node) || !produced.mentioned(graph, node).empty());
  }
  return roles;
}

class Cutter {
 public:
  Cutter(const Graph& graph, const Roles& roles, const Sizes& sizes, const Arithmetic& arithmetic)
      : graph_(graph), roles_(roles), sizes_(sizes), arithmetic_(arithmetic) {
    measure();
  }

  std::vector<Segment> run() {
    std::vector<Segment> segments;
    const std::size_t count = roles_.nodes.size();
    for (std::size_t begin = 0; begin < count;) {
      if (roles_.stays[begin]) {
        ++begin;
        continue;
      }
      std::size_t end = begin;
      while (end < count && !roles_.stays[end]) ++end;
      cut(begin, end, segments);
      begin = end;
    }
    return segments;
  }

 private:
  /// The value whose memory a view is.
  ValueId root(ValueId v) const {
    while (is_view(graph_.definition(v).op) && in_pass(v)) v = graph_.definition(v).operands[0];
    return v;
  }
  bool in_pass(ValueId v) const { return roles_.at[graph_.defining_node(v)] != no_position; }

  void measure() {
    const std::size_t count = roles_.nodes.size();
    std::vector<std::size_t> last(graph_.value_count(), 0);
    for (std::size_t p = 0; p < count; ++p)
      for (const ValueId v : graph_.node(roles_.nodes[p]).operands)
        if (in_pass(v)) last[v] = last[root(v)] = p;
    std::vector<double> change(count + 1, 0);
    made_.assign(count + 1, 0);
    for (std::size_t p = 0; p < count; ++p) {
      const Node& node = graph_.node(roles_.nodes[p]);
      made_[p + 1] = made_[p];
      for (std::uint32_t r = 0; r < node.result_count; ++r) {
        const ValueId v = node.first_result + r;
        const double bytes = is_view(node.op) && in_pass(root(v)) ? 0 : sizes_.bytes(graph_.type(v));
        if (!is_copied(node.op)) made_[p + 1] += bytes;
        if (last[v] <= p) continue;
        change[p] += bytes;
        change[last[v]] -= bytes;
      }
    }
    boundary_.assign(count, 0);
    double now = 0;
    for (std::size_t p = 0; p < count; ++p) boundary_[p] = now += change[p];
  }

  /// Segments of the positions begin .. end - 1, in order.
  void cut(std::size_t begin, std::size_t end, std::vector<Segment>& segments) const {
    std::vector<std::pair<std::size_t, std::size_t>> stack{{begin, end}};
    while (!stack.empty()) {
      const auto [from, to] = stack.back();
      stack.pop_back();
      if (const std::size_t after = best_cut(from, to); after != to) {
        stack.emplace_back(after + 1, to);
        stack.emplace_back(from, after + 1);
        continue;
      }
      segments.push_back(segment(from, to));
    }
  }

  /// The position after which the range is cut best; `to`: nowhere.
  std::size_t best_cut(std::size_t from, std::size_t to) const {
    const double whole = made_[to] - made_[from];
    if (whole < 2 * smallest_part * made_.back()) return to;
    std::size_t best = to;
    double best_bytes = std::numeric_limits<double>::infinity(), best_distance = 0;
    for (std::size_t p = from; p + 1 < to; ++p) {
      const double left = made_[p + 1] - made_[from], least = std::min(left, whole - left);
      if (least < margin * whole || boundary_[p] * narrow > least) continue;
      const double distance = std::abs(left - whole / 2);
      if (boundary_[p] > best_bytes || (boundary_[p] == best_bytes && distance >= best_distance)) continue;
      best = p;
      best_bytes = boundary_[p];
      best_distance = distance;
    }
    return best;
  }

  Segment segment(std::size_t from, std::size_t to) const {
    Segment result;
    result.follows = from > 0 && !roles_.stays[from - 1];
    result.saved_bytes = made_[to] - made_[from] - boundary_[to - 1];
    for (std::size_t p = from; p < to; ++p) {
      result.nodes.push_back(roles_.nodes[p]);
      result.operations += arithmetic_.of(graph_, graph_.node(roles_.nodes[p]));
    }
    return result;
  }

  const Graph& graph_;
  const Roles& roles_;
  const Sizes& sizes_;
  const Arithmetic& arithmetic_;
  std::vector<double> boundary_;  // after each position
  std::vector<double> made_;      // bytes of what comes before each position
};

/// Copies static values into a body, once each.
void copy_static(const Graph& from, ValueId value, const Roles& roles, Graph& to, ValueMap& map) {
  std::vector<ValueId> stack{value};
  while (!stack.empty()) {
    const ValueId v = stack.back();
    const std::size_t depth = stack.size();
    if (map[v] == none)
      for (const ValueId operand : from.definition(v).operands)
        if (map[operand] == none) stack.push_back(operand);
    if (stack.size() > depth) continue;
    stack.pop_back();
    if (map[v] == none) copy_node(from, from.defining_node(v), to, map);
  }
  internal_check(roles.is_static[from.defining_node(value)], "only static values are copied");
}

}  // namespace

ForwardPass find_segments(const Module& module, const SymbolValues& symbols) {
  const Graph& main = module.main_graph();
  const Sizes sizes(module, symbols);
  const Arithmetic arithmetic(module, sizes);
  const Roles roles = find_roles(module);
  ForwardPass result;
  result.segments = Cutter(main, roles, sizes, arithmetic).run();
  // A gradient of a product is two products.
  for (NodeId n = 0; n < main.node_count(); ++n)
    result.operations += (roles.at[n] != no_position ? 3 : 1) * arithmetic.of(main, main.node(n));
  const auto worth = [&](std::size_t i) {
    const Segment& s = result.segments[i];
    // In steps of a quarter: equal layers differ a little where masks and scales are shared.
    return std::lround(std::log(s.saved_bytes / std::max(1.0, s.operations)) / std::log(1.25));
  };
  for (std::size_t i = 0; i < result.segments.size(); ++i)
    if (result.segments[i].saved_bytes > 0) result.by_worth.push_back(i);
  std::stable_sort(result.by_worth.begin(), result.by_worth.end(), [&](std::size_t a, std::size_t b) { return worth(a) > worth(b); });
  return result;
}

void recompute(Module& module, std::span<const std::vector<NodeId>> groups) {
  const Roles roles = find_roles(module);
  std::vector<std::uint32_t> group_of(module.main_graph().node_count(), none);
  for (std::uint32_t g = 0; g < groups.size(); ++g)
    for (const NodeId n : groups[g]) group_of[n] = g;
  Rebuild rebuild(module, module.main);
  const Graph& old = rebuild.old();

  // What others read of each group.
  std::vector<bool> read(old.value_count());
  for (NodeId n = 0; n < old.node_count(); ++n)
    for (const ValueId v : old.node(n).operands)
      if (group_of[n] == none || group_of[n] != group_of[old.defining_node(v)]) read[v] = true;
  for (const ValueId v : old.results) read[v] = true;

  const auto make_call = [&](const std::vector<NodeId>& nodes) {
    const GraphId id = module.add_graph("recomputed");
    Graph& body = module.graph(id);
    ValueMap inside(old.value_count(), none);
    std::vector<ValueId> operands, results;
    std::vector<Type> types;
    for (const NodeId n : nodes)
      for (const ValueId v : old.node(n).operands) {
        if (inside[v] != none || group_of[old.defining_node(v)] == group_of[n]) continue;
        if (roles.is_static[old.defining_node(v)]) continue;
        inside[v] = body.add_parameter(old.type(v), old.value_name(v), old.definition(v).location);
        operands.push_back(rebuild[v]);
      }
    for (const NodeId n : nodes) {
      for (const ValueId v : old.node(n).operands)
        if (inside[v] == none) copy_static(old, v, roles, body, inside);
      copy_node(old, n, body, inside);
      for (std::uint32_t r = 0; r < old.node(n).result_count; ++r) {
        const ValueId v = old.node(n).first_result + r;
        if (!read[v]) continue;
        results.push_back(v);
        body.results.push_back(inside[v]);
        types.push_back(old.type(v));
      }
    }
    Graph& main = rebuild.graph();
    const NodeId call = main.append(Op::call, std::move(operands), {{"body", GraphRef{id}}, {"recompute", true}}, std::move(types),
                                    old.node(nodes.front()).location);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const ValueId value = main.node(call).first_result + static_cast<ValueId>(i);
      rebuild.replace(results[i], value);
      pass_name(old, results[i], main, value);
    }
  };

  // What is there anyway, then the forward pass, then the rest: a group's call stands where its last node stood, and nothing outside of the
  // forward pass comes between its nodes.
  const auto is_first = [&](NodeId n) {
    const Op op = old.node(n).op;
    return roles.is_static[n] || op == Op::parameter || op == Op::variable || op == Op::constant;
  };
  for (NodeId n = 0; n < old.node_count(); ++n)
    if (is_first(n)) rebuild.keep(n);
  for (const NodeId n : roles.nodes) {
    if (group_of[n] == none)
      rebuild.keep(n);
    else if (groups[group_of[n]].back() == n)
      make_call(groups[group_of[n]]);
  }
  for (NodeId n = 0; n < old.node_count(); ++n)
    if (!is_first(n) && roles.at[n] == no_position) rebuild.keep(n);
  rebuild.finish();
}

bool limit_memory(Module& module) {
  std::vector<std::vector<NodeId>> groups;
  for (const Segment& segment : find_segments(module, {}).segments) groups.push_back(segment.nodes);
  if (groups.empty()) return false;
  recompute(module, groups);
  return true;
}

}  // namespace kiln::passes

// The second half of fusion: clusters become kernel nodes, in an order that keeps values short-lived. Kernel bodies that are equal become
// one graph.
#include <algorithm>
#include <functional>
#include <memory>
#include <queue>
#include <set>

#include <fmt/format.h>

#include "ir/text.h"
#include "passes/fuse_clusters.h"

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

namespace {

class Rebuilder {
 public:
  Rebuilder(Module& module, GraphId id, Clustering clustering, std::map<std::string, GraphId>& bodies)
      : module_(module),
        graph_(module.graph(id)),
        id_(id),
        bodies_(bodies),
        roles_(std::move(clustering.roles)),
        cluster_of_(std::move(clustering.cluster_of)),
        users_(std::move(clustering.users)),
        produced_before_(std::move(clustering.produced_before)),
        clusters_(std::move(clustering.clusters)) {}

  /// Boundary nodes and clusters in a topological order that stays as close to the original order as it can (a heap on the position of the
  /// last node of each), so that values live no longer than they did.
  void run() {
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
        // Through what is copied into the unit: views, and free values, one of whose operands may be in memory because a result is.
        std::vector<NodeId> stack{i};
        std::set<NodeId> copied;
        while (!stack.empty()) {
          const NodeId at = stack.back();
          stack.pop_back();
          for (ValueId v : graph_.node(at).operands) {
            const NodeId d = graph_.defining_node(v);
            if (const std::uint32_t p = unit_of_node[d]; p != ir::none) {
              if (p != u && seen.insert(p).second) visit(p);
            } else if ((roles_[d] == Role::view || roles_[d] == Role::free) && copied.insert(d).second) {
              stack.push_back(d);
            }
          }
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

 private:
  /// The units that read what the cluster's update starts as, itself among them.
  std::set<std::uint32_t> readers_of_start(const Cluster& c, const std::vector<std::uint32_t>& unit_of_node) const {
    const NodeId update = *std::ranges::find_if(c.nodes, [&](NodeId m) { return ir::info(graph_.node(m).op).update != nullptr; });
    NodeId start = graph_.defining_node(source_of(graph_, roles_, graph_.node(update).operands[0]).value);
    while (graph_.node(start).op == Op::reshape)
      start = graph_.defining_node(source_of(graph_, roles_, graph_.node(start).operands[0]).value);
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
    return is_result(graph_, i) || std::any_of(users_[i].begin(), users_[i].end(), [&](NodeId u) { return roles_[u] == Role::boundary; });
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
  std::map<std::string, GraphId>& bodies_;

  std::vector<Role> roles_;
  std::vector<std::uint32_t> cluster_of_;
  std::vector<std::vector<NodeId>> users_;
  std::vector<std::vector<NodeId>> produced_before_;
  std::vector<Cluster> clusters_;

  std::unique_ptr<Graph> next_;
  std::vector<ValueId> map_;
};

}  // namespace

void rebuild_with_kernels(Module& module, GraphId id, Clustering clustering, std::map<std::string, GraphId>& bodies) {
  Rebuilder(module, id, std::move(clustering), bodies).run();
}

}  // namespace kiln::passes::fusion

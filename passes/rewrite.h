// What the tensor -> tensor passes share: copying nodes, rebuilding a graph in one forward sweep, and a driver for local rewrite rules.
//
// No pass edits a graph in place. It moves the old graph aside, walks its nodes in order and appends to a new one, with a map from old to
// new values. Order is topological, so operands are always mapped before they are used, a pass is linear in the size of the graph, and the
// result never holds dead ids. Locations, user names and recompute tags travel with the nodes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"

namespace kiln::passes {

/// Old value -> new value; ir::none where there is none (yet).
using ValueMap = std::vector<ir::ValueId>;

/// Appends a copy of node `id` of `from` to `to`; `map` gives the operands and receives the results, which keep their names.
ir::NodeId copy_node(const ir::Graph& from, ir::NodeId id, ir::Graph& to, ValueMap& map);

/// The same with other operands, attributes and op (what a rule or pass made of the node), and results of equal number and type.
ir::NodeId copy_node(const ir::Graph& from, ir::NodeId id, ir::Graph& to, ValueMap& map, std::vector<ir::ValueId> operands,
                     ir::Attributes attributes);

/// Appends the nodes of `from`, with `arguments` in place of its parameters, and returns its results as values of `to`. Leaves out nodes
/// that neither a result nor, where `effects` (graphs_with_effects) is given, an effect needs; an argument that nothing needs may be
/// ir::none.
std::vector<ir::ValueId> inline_graph(const ir::Graph& from, ir::Graph& to, std::span<const ir::ValueId> arguments,
                                      const std::vector<bool>* effects = nullptr);

/// Gives `to` the user's name of `from`, unless it has one.
void pass_name(const ir::Graph& from, ir::ValueId value, ir::Graph& to, ir::ValueId copy);

/// A graph under reconstruction.
class Rebuild {
 public:
  /// Moves graph `id` aside and puts an empty one with its name in its place.
  Rebuild(ir::Module& module, ir::GraphId id);

  const ir::Graph& old() const { return *old_; }
  ir::Graph& graph() { return builder_.graph(); }
  ir::Builder& builder() { return builder_; }
  ir::ValueId operator[](ir::ValueId old) const { return map_[old]; }
  ValueMap& map() { return map_; }
  std::vector<ir::ValueId> mapped(std::span<const ir::ValueId> old) const;

  /// Copies a node as it is.
  void keep(ir::NodeId id) { copy_node(*old_, id, graph(), map_); }
  /// Declares that `old` is computed by `value` from now on.
  void replace(ir::ValueId old, ir::ValueId value);
  /// Sets parameters and results from the map. Every parameter and result must be mapped.
  void finish();

 private:
  std::unique_ptr<ir::Graph> old_;
  ir::Builder builder_;
  ValueMap map_;
};

/// Graphs in an order where every graph comes after those that its nodes refer to. Covers all graphs of the module.
std::vector<ir::GraphId> callees_first(const ir::Module& module);

/// For each graph: does it, or a graph that it refers to, hold a node with an effect?
std::vector<bool> graphs_with_effects(const ir::Module& module);

/// Is the node itself one, or does it run a graph that holds one?
bool has_effect(const ir::Node& node, const std::vector<bool>& graphs_with_effects);

/// For each node of the graph: does a result or an effect need it?
std::vector<bool> live_nodes(const ir::Graph& graph, const std::vector<bool>& graphs_with_effects);

/// Has a tape among its operands or results: such a node must be neither merged nor repeated.
bool touches_tape(const ir::Graph& graph, const ir::Node& node);

// ---- rewrite rules

/// What a rule sees: the new graph so far, and a node whose operands are values of it.
struct Match {
  ir::Builder& builder;
  const ir::Node& node;  ///< not yet part of the graph
  const ir::Type& type;  ///< of its first result

  ir::ValueId operand(std::size_t i) const { return node.operands[i]; }
  const ir::Type& type_of(ir::ValueId v) const { return builder.type(v); }
  const ir::Node& definition(ir::ValueId v) const { return builder.graph().definition(v); }
  /// The node that defines operand i, when its op is `op`; else null. Invalid once the builder has appended a node: copy what is needed.
  const ir::Node* operand_if(std::size_t i, ir::Op op) const { return defined_by(operand(i), op); }
  const ir::Node* defined_by(ir::ValueId v, ir::Op op) const;
  /// The scalar that every element of `v` equals: a rank-0 or one-element constant, or a broadcast of one.
  std::optional<Array> splat(ir::ValueId v) const;
  /// Is `v` a splat of this number (of this integer)? Zeros are told apart by sign for floats.
  bool is_splat(ir::ValueId v, double number) const;
};

/// Returns the value that replaces the node's only result, or ir::none to leave the node alone.
using Rule = ir::ValueId (*)(Match&);

/// Tries the rules in order on each node that has one result, in node order, in every graph. A rule's new nodes are not tried again before
/// the next sweep. Nodes that become dead, or were, are dropped at the end of each sweep. Sweeps until nothing changes, at most
/// `max_sweeps` times (every rule must lead to fewer or simpler nodes; the bound keeps two rules that undo each other from running
/// forever). Returns whether anything changed.
bool apply_rules(ir::Module& module, std::span<const Rule> rules, int max_sweeps = 16);

}  // namespace kiln::passes

// Produced symbols: extents that become known during a run.
//
// A `shrink` node gives its symbol a value, the number of leading elements that it keeps; from there on the symbol may stand in types and
// attributes like any other, in the same graph and in the graphs that its nodes run. So beside its operands a node depends on the shrinks
// of the symbols that it mentions, and whatever drops or reorders nodes asks here. The order of nodes in a graph respects these dependences
// (invariant 13, ir/verify.cpp).
//
// A symbol has an upper bound, the extent that was shrunk: memory is planned for it, and kernels work with the value.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace kiln::ir {

/// The symbol that a node produces; null for nodes that produce none.
const std::string* produced_symbol(const Node& node);

/// The shrinks of a module, by symbol. Graphs that do not run inside each other may use one name.
class ProducedSymbols {
 public:
  struct Definition {
    GraphId graph = none;
    NodeId node = none;
  };
  explicit ProducedSymbols(const Module& module);
  /// Those of one graph alone.
  ProducedSymbols(const Module& module, GraphId graph);
  bool empty() const { return definitions_.empty(); }
  bool contains(std::string_view symbol) const { return definitions_.contains(symbol); }
  const std::map<std::string, std::vector<Definition>, std::less<>>& all() const { return definitions_; }
  /// Of a symbol; empty for one that is not produced.
  const std::vector<Definition>& definitions(std::string_view symbol) const;
  /// Produced symbols in the node's result types and attributes, each once, without the one that it produces itself.
  std::vector<std::string> mentioned(const Graph& graph, const Node& node) const;
  /// The same of a type.
  std::vector<std::string> mentioned(const Type& type) const;

 private:
  void add(const Module& module, GraphId graph);

  std::map<std::string, std::vector<Definition>, std::less<>> definitions_;
};

/// What a graph has to do with produced symbols.
struct ProducedUse {
  std::set<std::string> needed;   ///< must have a value when the graph starts: mentioned, here or in graphs that run inside
  std::set<std::string> defined;  ///< get one while it runs, here or in graphs that run inside
};

/// Why a module breaks the rules of produced symbols: the graph, the node (or none) and what is wrong.
struct ProducedViolation {
  GraphId graph = none;
  NodeId node = none;
  std::string message;
};

/// Of each graph; references between graphs form no cycle. With `violation`, the first breach of invariant 13 is stored there.
std::vector<ProducedUse> produced_uses(const Module& module, const ProducedSymbols& symbols,
                                       std::optional<ProducedViolation>* violation = nullptr);

/// An upper bound of `dim` for all values of the produced symbols from 0 to their bounds, in which `bound_of` gives the bounds (nothing for
/// symbols that are not produced).
Dim upper_bound(const Dim& dim, const std::function<std::optional<Dim>(std::string_view)>& bound_of);

}  // namespace kiln::ir

#include "ir/produced.h"

#include <algorithm>

#include <fmt/format.h>

namespace kiln::ir {

const std::string* produced_symbol(const Node& node) { return node.op == Op::shrink ? &node.attributes.text("symbol") : nullptr; }

ProducedSymbols::ProducedSymbols(const Module& module) {
  for (GraphId g = 0; g < module.graphs.size(); ++g) add(module, g);
}

ProducedSymbols::ProducedSymbols(const Module& module, GraphId graph) { add(module, graph); }

void ProducedSymbols::add(const Module& module, GraphId g) {
  const Graph& graph = module.graph(g);
  for (NodeId n = 0; n < graph.node_count(); ++n)
    if (const std::string* symbol = produced_symbol(graph.node(n))) definitions_[*symbol].push_back({g, n});
}

const std::vector<ProducedSymbols::Definition>& ProducedSymbols::definitions(std::string_view symbol) const {
  static const std::vector<Definition> nothing;
  const auto found = definitions_.find(symbol);
  return found == definitions_.end() ? nothing : found->second;
}

namespace {

void collect(const Dims& dims, const ProducedSymbols& symbols, std::vector<std::string>& found) {
  for (const Dim& dim : dims) {
    if (dim.is_constant()) continue;
    for (std::string& name : symbols_of(dim))
      if (symbols.contains(name) && std::ranges::find(found, name) == found.end()) found.push_back(std::move(name));
  }
}

}  // namespace

std::vector<std::string> ProducedSymbols::mentioned(const Graph& graph, const Node& node) const {
  std::vector<std::string> found;
  if (empty()) return found;
  for (std::uint32_t i = 0; i < node.result_count; ++i) collect(graph.type(node.first_result + i).dims, *this, found);
  for (const auto& [name, value] : node.attributes.items())
    if (const Dims* dims = std::get_if<Dims>(&value)) collect(*dims, *this, found);
  if (const std::string* own = produced_symbol(node)) std::erase(found, *own);
  return found;
}

std::vector<std::string> ProducedSymbols::mentioned(const Type& type) const {
  std::vector<std::string> found;
  collect(type.dims, *this, found);
  return found;
}

std::vector<ProducedUse> produced_uses(const Module& module, const ProducedSymbols& symbols, std::optional<ProducedViolation>* violation) {
  std::vector<ProducedUse> uses(module.graphs.size());
  if (symbols.empty()) return uses;
  const auto fail = [&](GraphId graph, NodeId node, std::string message) {
    if (violation && !*violation) *violation = ProducedViolation{graph, node, std::move(message)};
  };
  // Callees first.
  std::vector<GraphId> order;
  std::vector<bool> seen(module.graphs.size());
  struct Entry {
    GraphId graph;
    std::vector<GraphId> callees;
    std::size_t next = 0;
  };
  const auto callees_of = [&](GraphId g) {
    std::vector<GraphId> callees;
    for (NodeId n = 0; n < module.graph(g).node_count(); ++n)
      for (const GraphId callee : regions_of(module.graph(g).node(n))) callees.push_back(callee);
    return callees;
  };
  std::vector<Entry> stack;
  for (GraphId root = 0; root < module.graphs.size(); ++root) {
    if (seen[root]) continue;
    seen[root] = true;
    stack.push_back({root, callees_of(root)});
    while (!stack.empty()) {
      Entry& top = stack.back();
      if (top.next == top.callees.size()) {
        order.push_back(top.graph);
        stack.pop_back();
      } else if (const GraphId callee = top.callees[top.next++]; !seen[callee]) {
        seen[callee] = true;
        stack.push_back({callee, callees_of(callee)});
      }
    }
  }
  for (const GraphId g : order) {
    const Graph& graph = module.graph(g);
    ProducedUse& use = uses[g];
    std::set<std::string> known;   // produced in this graph so far
    std::set<std::string> called;  // in graphs that this one calls and that may become part of it
    for (NodeId n = 0; n < graph.node_count(); ++n) {
      const Node& node = graph.node(n);
      const auto needs = [&](const std::string& symbol) {
        if (!known.contains(symbol)) use.needed.insert(symbol);
      };
      for (const std::string& symbol : symbols.mentioned(graph, node)) needs(symbol);
      for (const GraphId callee : regions_of(node)) {
        for (const std::string& symbol : uses[callee].needed) needs(symbol);
        for (const std::string& symbol : uses[callee].defined) {
          if (known.contains(symbol))
            fail(g, n, fmt::format("@{} produces {}, which has a value where it runs", module.graph(callee).name, symbol));
          if ((node.op == Op::call || node.op == Op::composite) && !called.insert(symbol).second)
            fail(g, n, fmt::format("the symbol {} is produced by two calls", symbol));
          use.defined.insert(symbol);
        }
      }
      const std::string* own = produced_symbol(node);
      if (!own) continue;
      if (called.contains(*own) || !known.insert(*own).second) fail(g, n, fmt::format("the symbol {} is produced twice", *own));
      if (use.needed.contains(*own)) fail(g, n, fmt::format("the symbol {} is mentioned before the node that produces it", *own));
    }
    use.defined.insert(known.begin(), known.end());
    for (const std::string& symbol : use.defined)
      if (use.needed.contains(symbol)) fail(g, none, fmt::format("the symbol {} is produced where it has a value", symbol));
    for (const ValueId result : graph.results)
      for (const std::string& symbol : symbols.mentioned(graph.type(result)))
        if (g != module.main && known.contains(symbol))
          fail(g, none, fmt::format("a result of the region is {}, whose {} is produced inside", to_string(graph.type(result)), symbol));
  }
  const auto require_closed = [&](GraphId g) {
    if (g < uses.size() && !uses[g].needed.empty())
      fail(g, none, fmt::format("the symbol {} is mentioned where nothing has produced it", *uses[g].needed.begin()));
  };
  require_closed(module.main);
  for (const Variable& variable : module.variables) require_closed(variable.initializer);
  return uses;
}

namespace {

Dim bound_of_atom(const DimAtom& atom, const std::function<std::optional<Dim>(std::string_view)>& bound_of) {
  switch (atom.kind) {
    case DimAtom::Kind::symbol: {
      const auto bound = bound_of(atom.symbol->name);
      return bound ? *bound : Dim::symbol(atom.symbol);
    }
    case DimAtom::Kind::floordiv: {
      const Dim numerator = upper_bound(*atom.a, bound_of);
      // Extents are divided by constants or by symbols that do not change.
      return atom.b->is_constant() ? floordiv(numerator, *atom.b) : max(numerator, 0);
    }
    case DimAtom::Kind::mod: return upper_bound(*atom.b, bound_of);
    case DimAtom::Kind::min: return min(upper_bound(*atom.a, bound_of), upper_bound(*atom.b, bound_of));
    case DimAtom::Kind::max: break;
  }
  return max(upper_bound(*atom.a, bound_of), upper_bound(*atom.b, bound_of));
}

bool mentions_produced(const Dim& dim, const std::function<std::optional<Dim>(std::string_view)>& bound_of) {
  if (dim.is_constant()) return false;
  return std::ranges::any_of(symbols_of(dim), [&](const std::string& name) { return bound_of(name).has_value(); });
}

Dim as_dim(const DimAtom& atom) {
  switch (atom.kind) {
    case DimAtom::Kind::symbol: return Dim::symbol(atom.symbol);
    case DimAtom::Kind::floordiv: return floordiv(*atom.a, *atom.b);
    case DimAtom::Kind::mod: return mod(*atom.a, *atom.b);
    case DimAtom::Kind::min: return min(*atom.a, *atom.b);
    case DimAtom::Kind::max: break;
  }
  return max(*atom.a, *atom.b);
}

}  // namespace

Dim upper_bound(const Dim& dim, const std::function<std::optional<Dim>(std::string_view)>& bound_of) {
  if (!mentions_produced(dim, bound_of)) return dim;
  Dim sum = 0;
  for (const DimTerm& term : terms(dim)) {
    // A product of factors that are not negative is greatest where each is, and with a negative coefficient where one that may be 0 is.
    Dim greatest = term.coefficient, as_it_is = term.coefficient;
    bool produced = false;
    for (const auto& [atom, power] : term.factors) {
      const Dim own = as_dim(atom);
      const bool changes = mentions_produced(own, bound_of);
      produced = produced || changes;
      for (int i = 0; i < power; ++i) {
        greatest *= changes ? bound_of_atom(atom, bound_of) : own;
        as_it_is *= own;
      }
    }
    if (!produced)
      sum += as_it_is;
    else if (term.coefficient > 0)
      sum += greatest;
  }
  return sum;
}

}  // namespace kiln::ir

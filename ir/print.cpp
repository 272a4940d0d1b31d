// Printing of tensor IR (ir/text.h).
//
// Graphs are printed in order of first reference, the main one first, whatever their ids; values are numbered in order of definition,
// parameters first. So text depends on the meaning of a module alone, and parsing and printing it again gives the same bytes.
#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "ir/literal_text.h"
#include "ir/op.h"
#include "ir/text.h"

namespace kiln::ir {

namespace {

constexpr std::size_t large_literal_bytes = 256;

bool has_facts(const SymbolInfo& info) { return info.min != 0 || info.max != INT64_MAX || info.multiple_of != 1 || info.typical != 0; }

/// An optional attribute with its default: absent means the same.
bool is_default(const AttributeSpec* spec, const AttributeValue& value) {
  if (!spec || spec->required) return false;
  if (const auto* flag = std::get_if<bool>(&value)) return !*flag;
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value)) return list->empty();
  if (const auto* dims = std::get_if<Dims>(&value)) return dims->empty();
  return false;
}

class Printer {
 public:
  Printer(const Module& module, const PrintOptions& options) : module_(module), options_(options) {}

  std::string take() { return std::move(out_); }

  void print_module() {
    const std::vector<GraphId> graphs = reachable_graphs(module_);
    print_symbols(graphs);
    for (const Variable& variable : module_.variables) print_variable(variable);
    for (const GraphId id : graphs) {
      if (!out_.empty()) out_ += '\n';
      print_graph(id);
    }
  }

  void print_graph(GraphId id) {
    const Graph& graph = module_.graph(id);
    name_values(graph);
    out_ += "graph @" + name_text(graph.name) + "(";
    for (std::size_t i = 0; i < graph.parameters.size(); ++i) {
      const ValueId parameter = graph.parameters[i];
      if (i > 0) out_ += ", ";
      print_value(graph, parameter);
      out_ += ": " + to_string(graph.type(parameter));
      print_location(graph.definition(parameter).location);
    }
    out_ += ")";
    for (std::size_t i = 0; i < graph.results.size(); ++i) {
      out_ += i == 0 ? " -> (" : ", ";
      print_value(graph, graph.results[i]);
    }
    out_ += graph.results.empty() ? " {\n" : ") {\n";
    for (NodeId n = 0; n < graph.node_count(); ++n)
      if (graph.node(n).op != Op::parameter) print_node(graph, graph.node(n));
    out_ += "}\n";
  }

 private:
  /// The declared symbols, then those that the graphs mention and that nobody declared.
  void print_symbols(const std::vector<GraphId>& graphs) {
    std::unordered_set<std::string_view> printed;
    const auto print_symbol = [&](const SymbolInfo& info) {
      if (has_facts(info) && printed.insert(info.name).second) out_ += "symbol " + symbol_text(info) + "\n";
    };
    for (const auto& info : module_.symbols) print_symbol(*info);
    const auto print_symbols_of = [&](const Dims& dims) {
      for (const Dim& dim : dims)
        if (!dim.is_constant())
          for (const auto& info : symbol_infos_of(dim)) print_symbol(*info);
    };
    for (const GraphId id : graphs) {
      const Graph& graph = module_.graph(id);
      const Type* last = nullptr;
      for (ValueId v = 0; v < graph.value_count(); ++v) {
        if (&graph.type(v) == last) continue;
        last = &graph.type(v);
        print_symbols_of(last->dims);
      }
      for (NodeId n = 0; n < graph.node_count(); ++n)
        for (const auto& [name, value] : graph.node(n).attributes.items())
          if (const Dims* dims = std::get_if<Dims>(&value)) print_symbols_of(*dims);
    }
  }

  void print_variable(const Variable& variable) {
    if (variable.hidden) out_ += "hidden ";
    out_ += "variable @" + name_text(variable.name) + " : " + to_string(variable.type);
    if (variable.initializer != none) {
      out_ += " = @" + name_text(module_.graph(variable.initializer).name);
    } else if (variable.initial) {
      out_ += " = ";
      print_content(*variable.initial, variable.name);
    }
    print_location(variable.location);
    out_ += '\n';
  }

  /// A literal without its type.
  void print_content(const Array& literal, const std::string& name) {
    const bool large = literal.bytes() > large_literal_bytes;
    if (large && options_.elide_large) {
      out_ += "#" + content_hash(literal);
    } else if (large && options_.store) {
      std::string unique = name;
      for (int i = 1; !options_.store->try_emplace(unique, literal).second; ++i) unique = fmt::format("{}.{}", name, i);
      out_ += "tensor(" + quoted_text(unique) + ")";
    } else {
      print_elements(literal, out_);
    }
  }

  /// Chooses a text for each named value of the graph and counts the others.
  void name_values(const Graph& graph) {
    names_.clear();
    numbers_.assign(graph.value_count(), none);
    std::uint32_t next = 0;
    std::unordered_map<std::string, std::uint32_t> suffixes;  // names in use -> the next suffix to try
    const auto name = [&](ValueId v) {
      const std::string& wanted = graph.value_name(v);
      if (wanted.empty()) {
        numbers_[v] = next++;
        return;
      }
      std::string unique = wanted;
      while (!suffixes.try_emplace(unique, 1).second) unique = fmt::format("{}.{}", wanted, suffixes[wanted]++);
      names_[v] = name_text(unique);
    };
    for (const ValueId parameter : graph.parameters) name(parameter);
    for (NodeId n = 0; n < graph.node_count(); ++n) {
      const Node& node = graph.node(n);
      for (std::uint32_t i = 0; node.op != Op::parameter && i < node.result_count; ++i) name(node.first_result + i);
    }
  }

  void print_value(const Graph& graph, ValueId v) {
    // Also used to show graphs that break an invariant, so a value that does not exist prints as well.
    if (v >= graph.value_count())
      fmt::format_to(std::back_inserter(out_), "%<no value {}>", v);
    else if (numbers_[v] != none)
      fmt::format_to(std::back_inserter(out_), "%{}", numbers_[v]);
    else if (const auto found = names_.find(v); found != names_.end())
      out_ += '%' + found->second;
    else
      fmt::format_to(std::back_inserter(out_), "%<unlisted parameter {}>", v);
  }

  void print_node(const Graph& graph, const Node& node) {
    out_ += "  ";
    for (std::uint32_t i = 0; i < node.result_count; ++i) {
      if (i > 0) out_ += ", ";
      print_value(graph, node.first_result + i);
    }
    if (node.result_count > 0) out_ += " = ";
    if (node.recompute) out_ += "recompute ";
    const OpInfo& entry = info(node.op);
    out_ += entry.name;
    for (std::size_t i = 0; i < node.operands.size(); ++i) {
      out_ += i == 0 ? " " : ", ";
      print_value(graph, node.operands[i]);
    }
    print_attributes(entry, node.attributes);
    for (std::uint32_t i = 0; i < node.result_count; ++i) {
      out_ += i == 0 ? " : " : ", ";
      out_ += to_string(graph.type(node.first_result + i));
    }
    print_location(node.location);
    out_ += '\n';
  }

  void print_attributes(const OpInfo& entry, const Attributes& attributes) {
    bool first = true;
    for (const auto& [name, value] : attributes.items()) {
      const auto found = std::ranges::find(entry.attributes, std::string_view(name), &AttributeSpec::name);
      const AttributeSpec* spec = found == entry.attributes.end() ? nullptr : &*found;
      if (is_default(spec, value)) continue;
      out_ += first ? " {" : ", ";
      first = false;
      out_ += name_text(name) + " = ";
      print_attribute(spec, value);
    }
    if (!first) out_ += '}';
  }

  void print_attribute(const AttributeSpec* spec, const AttributeValue& value) {
    std::visit(
        [&](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<T, bool>) {
            out_ += v ? "true" : "false";
          } else if constexpr (std::is_same_v<T, std::int64_t>) {
            out_ += std::to_string(v);
          } else if constexpr (std::is_same_v<T, double>) {
            print_number(v, out_);
          } else if constexpr (std::is_same_v<T, std::string>) {
            out_ += quoted_text(v);
          } else if constexpr (std::is_same_v<T, DType>) {
            out_ += name_of(v);
          } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
            out_ += fmt::format("[{}]", fmt::join(v, ", "));
          } else if constexpr (std::is_same_v<T, Dims>) {
            // Where the table does not say what a list holds, the text must.
            if (!spec || spec->kind != AttributeKind::dims) out_ += "dims ";
            out_ += to_string(v);
          } else if constexpr (std::is_same_v<T, Array>) {
            out_ += std::string(name_of(v.dtype())) + to_string(v.shape()) + " ";
            print_content(v, fmt::format("constant_{}", literal_count_++));
          } else {
            static_assert(std::is_same_v<T, GraphRef>);
            out_ += v.id < module_.graphs.size() ? "@" + name_text(module_.graph(v.id).name) : "@<no graph>";
          }
        },
        value);
  }

  void print_location(LocationId id) {
    if (!options_.locations || id == 0) return;
    const Location& location = module_.location(id);
    out_ += fmt::format(" loc({}:{}", quoted_text(location.file), location.line);
    if (location.column != 0) out_ += fmt::format(":{}", location.column);
    out_ += ')';
  }

  const Module& module_;
  const PrintOptions& options_;
  std::string out_;
  std::unordered_map<ValueId, std::string> names_;
  std::vector<std::uint32_t> numbers_;
  int literal_count_ = 0;
};

}  // namespace

std::string print(const Module& module, const PrintOptions& options) {
  Printer printer(module, options);
  printer.print_module();
  return printer.take();
}

std::string print(const Module& module, GraphId graph, const PrintOptions& options) {
  Printer printer(module, options);
  printer.print_graph(graph);
  return printer.take();
}

}  // namespace kiln::ir

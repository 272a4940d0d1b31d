// Pruning: the slice of a graph that one run needs, as a module of its own.
//
// A worklist walks from the fetches backwards, so the cost is that of the slice, whatever the size of the graph. Nodes keep their order,
// which keeps the text of equal requests equal: feeds may come in any order.
#include "frontend/prune.h"

#include <fmt/format.h>
#include <algorithm>

namespace kiln::detail {

namespace {

using Renamed = std::unordered_map<ir::ValueId, ir::ValueId>;

/// Copies nodes of one module into another: locations by value, graphs that nodes refer to once.
class Copier {
 public:
  Copier(const ir::Module& from, ir::Module& to) : from_(from), to_(to) {}

  ir::LocationId location(ir::LocationId id) { return to_.add_location(from_.location(id)); }

  /// Appends a node to `target` with its operands renamed, and adds its results to `renamed`.
  ir::NodeId node(const ir::Graph& source, ir::NodeId id, ir::Graph& target, Renamed& renamed) {
    const ir::Node& node = source.node(id);
    std::vector<ir::ValueId> operands;
    for (const ir::ValueId operand : node.operands) operands.push_back(renamed.at(operand));
    std::vector<ir::Type> types;
    for (std::uint32_t i = 0; i < node.result_count; ++i) types.push_back(source.type(node.first_result + i));
    const ir::NodeId copy =
        target.append(node.op, std::move(operands), attributes(node.attributes), std::move(types), location(node.location));
    target.node(copy).recompute = node.recompute;
    for (std::uint32_t i = 0; i < node.result_count; ++i) {
      const ir::ValueId value = target.node(copy).first_result + i;
      renamed[node.first_result + i] = value;
      if (const std::string& name = source.value_name(node.first_result + i); !name.empty()) target.set_value_name(value, name);
    }
    return copy;
  }

  /// Copies the graphs that the nodes so far refer to. A worklist, as regions may nest deeply.
  void finish() {
    for (std::size_t next = 0; next < reached_.size(); ++next) {
      const auto [source, target] = reached_[next];
      const std::string name = to_.graph(target).name;
      to_.graph(target) = from_.graph(source);
      ir::Graph& graph = to_.graph(target);
      graph.name = name;
      for (ir::NodeId n = 0; n < graph.node_count(); ++n) {
        graph.node(n).location = location(graph.node(n).location);
        graph.node(n).attributes = attributes(graph.node(n).attributes);
      }
    }
  }

 private:
  ir::Attributes attributes(const ir::Attributes& given) {
    ir::Attributes result = given;
    for (const auto& [name, value] : given.items())
      if (const auto* ref = std::get_if<ir::GraphRef>(&value)) result = result.with(name, ir::GraphRef{copy_of(ref->id)});
    return result;
  }

  ir::GraphId copy_of(ir::GraphId id) {
    const auto [found, added] = copies_.try_emplace(id, ir::none);
    if (added) {
      found->second = to_.add_graph(from_.graph(id).name);
      reached_.emplace_back(id, found->second);
    }
    return found->second;
  }

  const ir::Module& from_;
  ir::Module& to_;
  std::unordered_map<ir::GraphId, ir::GraphId> copies_;
  std::vector<std::pair<ir::GraphId, ir::GraphId>> reached_;
};

std::string described(const GraphState& state, ir::ValueId value) {
  const ir::Graph& graph = state.module.main_graph();
  const std::string& name = graph.value_name(value);
  const std::string place = to_string(state.module.location(graph.definition(value).location));
  return fmt::format("{}{} made at {}", name.empty() ? "" : "\"" + name + "\", ", ir::to_string(graph.type(value)), place);
}

std::string known_names(const GraphState& state) {
  std::vector<std::string> names;
  for (const auto& [name, value] : state.names) names.push_back(name);
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) {
    if (text.size() > 160) return text + " ...";
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

/// The tensor that a key names; variables too.
ir::ValueId resolve_tensor(GraphState& state, const Key& key, const Location& where) {
  if (key.kind() == Key::Kind::name) {
    const std::string name(key.name());
    if (const auto found = state.names.find(name); found != state.names.end()) return found->second;
    if (const auto found = state.variables.find(name); found != state.variables.end()) return state.variable_value(found->second);
    throw Error(ErrorCode::invalid_argument, fmt::format("there is no tensor named \"{}\" in the graph", name), where,
                state.names.empty() ? "name tensors with Tensor::named()" : "named tensors are " + known_names(state));
  }
  if (!key.graph())
    throw Error(ErrorCode::invalid_argument,
                key.kind() == Key::Kind::operation ? "a default-constructed Operation was fetched"
                                                   : "a default-constructed Tensor was passed to the session",
                where, "assign it a value first: what assign(), group(), check() or a function of the graph returned");
  if (key.graph() != &state)
    throw Error(ErrorCode::foreign_graph,
                key.name().empty() ? std::string("a tensor or operation of another graph was passed to the session")
                                   : fmt::format("the tensor \"{}\" belongs to another graph than the session's", key.name()),
                where, "a session runs the graph that it was made from");
  return key.id();
}

struct Slice {
  std::vector<ir::ValueId> outputs;                     ///< each once
  std::vector<ir::NodeId> nodes;                        ///< reached, in order
  std::unordered_map<ir::ValueId, std::int32_t> feeds;  ///< placeholder -> feed of the request
};

void collect_symbols(const ir::Dim& dim, std::vector<std::string>& found, std::unordered_set<std::string>& seen) {
  if (dim.is_constant()) return;
  for (std::string& name : ir::symbols_of(dim))
    if (seen.insert(name).second) found.push_back(std::move(name));
}

/// The nodes of main that give values to the produced symbols that a node mentions, in its types, its attributes or the graphs that it runs.
class ProducedSources {
 public:
  explicit ProducedSources(const GraphState& state) : state_(state), seen_(state.produced.empty() ? 0 : state.module.graphs.size()) {}

  /// Calls reach(node) for each.
  template <class Reach>
  void visit(const ir::Node& node, Reach&& reach) {
    if (state_.produced.empty()) return;
    std::vector<std::string> found;
    mentioned(state_.module.main_graph(), node, found);
    std::vector<ir::GraphId> work = ir::regions_of(node);
    while (!work.empty()) {
      const ir::GraphId id = work.back();
      work.pop_back();
      if (seen_[id]) continue;
      seen_[id] = true;
      const ir::Graph& graph = state_.module.graph(id);
      for (ir::NodeId n = 0; n < graph.node_count(); ++n) {
        mentioned(graph, graph.node(n), found);
        for (const ir::GraphId region : ir::regions_of(graph.node(n))) work.push_back(region);
      }
    }
    for (const std::string& name : found)
      if (const auto source = state_.produced.find(name); source != state_.produced.end() && source->second.graph == state_.module.main)
        reach(source->second.node);
  }

 private:
  static void mentioned(const ir::Graph& graph, const ir::Node& node, std::vector<std::string>& found) {
    std::unordered_set<std::string> seen;
    for (std::uint32_t i = 0; i < node.result_count; ++i)
      for (const ir::Dim& dim : graph.type(node.first_result + i).dims) collect_symbols(dim, found, seen);
    for (const auto& [name, value] : node.attributes.items())
      if (const auto* dims = std::get_if<ir::Dims>(&value))
        for (const ir::Dim& dim : *dims) collect_symbols(dim, found, seen);
  }

  const GraphState& state_;
  std::vector<bool> seen_;  ///< graphs whose needs are reached already
};

/// Names of the symbols in types and attributes of all graphs, in order of first occurrence.
std::vector<std::string> symbols_of(const ir::Module& module) {
  std::vector<std::string> found;
  std::unordered_set<std::string> seen;
  for (const auto& graph : module.graphs)
    for (ir::NodeId n = 0; n < graph->node_count(); ++n) {
      const ir::Node& node = graph->node(n);
      for (std::uint32_t i = 0; i < node.result_count; ++i)
        for (const ir::Dim& dim : graph->type(node.first_result + i).dims) collect_symbols(dim, found, seen);
      for (const auto& [name, value] : node.attributes.items())
        if (const auto* dims = std::get_if<ir::Dims>(&value))
          for (const ir::Dim& dim : *dims) collect_symbols(dim, found, seen);
    }
  return found;
}

void require_single_assigns(const GraphState& state, const std::vector<ir::NodeId>& nodes, const Location& where) {
  const ir::Graph& graph = state.module.main_graph();
  std::unordered_map<std::string, ir::NodeId> assigns;
  for (const ir::NodeId n : nodes) {
    const ir::Node& node = graph.node(n);
    if (node.op != ir::Op::assign) continue;
    const auto [found, added] = assigns.try_emplace(node.attributes.text("name"), n);
    if (added) continue;
    throw Error(
        ErrorCode::conflicting_assign,
        fmt::format("the variable \"{}\" is assigned twice in one run: at {} and at {}", found->first,
                    to_string(state.module.location(graph.node(found->second).location)), to_string(state.module.location(node.location))),
        where, "fetch one of the two assigns, or combine the values and assign once");
  }
}

/// Adds parameters for feeds that nothing reads, where only they tell the value of a symbol.
void bind_symbols(const GraphState& state, const std::vector<std::string>& symbols,
                  const std::unordered_map<ir::ValueId, std::int32_t>& feeds, std::unordered_set<ir::ValueId>& inputs,
                  const Location& where) {
  const ir::Graph& graph = state.module.main_graph();
  const auto binds = [&](ir::ValueId value, const std::string& symbol) {
    const ir::Dims& dims = graph.type(value).dims;
    return std::any_of(dims.begin(), dims.end(), [&](const ir::Dim& dim) { return dim.as_symbol() == symbol; });
  };
  std::vector<ir::ValueId> fed;
  for (const auto& [value, index] : feeds) fed.push_back(value);
  std::sort(fed.begin(), fed.end());
  for (const std::string& symbol : symbols) {
    if (std::any_of(inputs.begin(), inputs.end(), [&](ir::ValueId v) { return binds(v, symbol); })) continue;
    const auto found = std::find_if(fed.begin(), fed.end(), [&](ir::ValueId v) { return binds(v, symbol); });
    if (found == fed.end())
      throw Error(ErrorCode::missing_feed, fmt::format("nothing that is fed tells the extent \"{}\", which the fetches need", symbol),
                  where, fmt::format("feed a placeholder that has \"{}\" among its dims", symbol));
    inputs.insert(*found);
  }
}

}  // namespace

PrunedModule prune(GraphState& state, std::span<const Key> fetches, std::span<const Key> feeds, const Location& where) {
  PrunedModule pruned;
  Slice slice;
  const ir::Graph& main = state.module.main_graph();

  for (std::size_t i = 0; i < feeds.size(); ++i) {
    if (feeds[i].kind() == Key::Kind::operation)
      throw Error(ErrorCode::invalid_feed, "an operation cannot be fed", where, "feed placeholders");
    const ir::ValueId value = resolve_tensor(state, feeds[i], where);
    if (main.definition(value).op != ir::Op::parameter)
      throw Error(ErrorCode::invalid_feed, fmt::format("the tensor {} is no placeholder and cannot be fed", described(state, value)), where,
                  main.definition(value).op == ir::Op::variable ? "session.set_value() changes a variable"
                                                                : "make a placeholder, and compute with that");
    if (!slice.feeds.try_emplace(value, static_cast<std::int32_t>(i)).second)
      throw Error(ErrorCode::invalid_feed, fmt::format("the placeholder {} is fed twice", described(state, value)), where,
                  "feed each placeholder once");
  }

  // What is wanted, then what that needs.
  std::unordered_set<ir::NodeId> seen;
  const auto reach = [&](ir::NodeId node) {
    if (seen.insert(node).second) slice.nodes.push_back(node);
  };
  std::unordered_map<ir::ValueId, std::int32_t> output_of;
  for (const Key& fetch : fetches) {
    if (fetch.kind() == Key::Kind::operation) {
      resolve_tensor(state, fetch, where);
      for (const ir::NodeId node : state.operations[fetch.id()]) reach(node);
      pruned.fetch_outputs.push_back(-1);
      continue;
    }
    const ir::ValueId value = resolve_tensor(state, fetch, where);
    const auto [found, added] = output_of.try_emplace(value, static_cast<std::int32_t>(slice.outputs.size()));
    if (added) slice.outputs.push_back(value);
    pruned.fetch_outputs.push_back(found->second);
    reach(main.defining_node(value));
  }
  ProducedSources sources(state);
  for (std::size_t next = 0; next < slice.nodes.size(); ++next) {
    for (const ir::ValueId operand : main.node(slice.nodes[next]).operands) reach(main.defining_node(operand));
    sources.visit(main.node(slice.nodes[next]), reach);
  }
  std::sort(slice.nodes.begin(), slice.nodes.end());
  require_single_assigns(state, slice.nodes, where);

  std::unordered_set<ir::ValueId> inputs;
  std::string missing;
  for (const ir::NodeId n : slice.nodes) {
    if (main.node(n).op != ir::Op::parameter) continue;
    const ir::ValueId value = main.node(n).first_result;
    inputs.insert(value);
    if (!slice.feeds.contains(value)) missing += (missing.empty() ? "" : "; ") + described(state, value);
  }
  if (!missing.empty())
    throw Error(ErrorCode::missing_feed, fmt::format("the fetches need placeholders that are not fed: {}", missing), where,
                "add them to the feeds: session.run(fetches, {{placeholder, array}})");

  // The copy.
  ir::Module& module = pruned.module;
  Copier copier(state.module, module);
  const auto add_variable = [&](const std::string& name) {
    if (module.find_variable(name)) return;
    ir::Variable variable = state.module.variables[state.variables.at(name)];
    variable.initializer = ir::none;
    variable.initial.reset();
    variable.location = copier.location(variable.location);
    module.add_variable(std::move(variable));
  };
  Renamed renamed;
  std::vector<ir::ValueId> parameters;
  bool draws = false;
  for (const ir::NodeId n : slice.nodes) {
    const ir::Node& node = main.node(n);
    if (node.op == ir::Op::parameter) {
      parameters.push_back(node.first_result);
      renamed[node.first_result] = module.main_graph().add_parameter(main.type(node.first_result), main.value_name(node.first_result),
                                                                     copier.location(node.location));
      continue;
    }
    if (node.op == ir::Op::variable || node.op == ir::Op::assign) {
      add_variable(node.attributes.text("name"));
      draws = draws || node.attributes.text("name") == "kiln.run";
    }
    copier.node(main, n, module.main_graph(), renamed);
  }
  copier.finish();
  for (const ir::ValueId value : slice.outputs) module.main_graph().results.push_back(renamed.at(value));

  std::vector<std::string> symbols = symbols_of(module);
  std::erase_if(symbols, [&](const std::string& name) { return state.produced.contains(name); });
  bind_symbols(state, symbols, slice.feeds, inputs, where);
  std::vector<ir::ValueId> extra;
  for (const ir::ValueId value : inputs)
    if (!renamed.contains(value)) extra.push_back(value);
  std::sort(extra.begin(), extra.end());
  for (const ir::ValueId value : extra) {
    parameters.push_back(value);
    module.main_graph().add_parameter(main.type(value), main.value_name(value), copier.location(main.definition(value).location));
  }
  for (const ir::ValueId value : parameters) pruned.input_feeds.push_back(slice.feeds.at(value));
  const std::unordered_set<std::string> used(symbols.begin(), symbols.end());
  for (const auto& info : state.module.symbols)
    if (used.contains(info->name)) module.symbols.push_back(info);

  if (draws) {
    // The next run that draws counts one further.
    ir::Builder builder(module, module.main);
    const ir::ValueId run = renamed.at(state.variable_values[state.variables.at("kiln.run")]);
    builder.create(ir::Op::assign, {builder.add(run, builder.constant(Array(std::uint64_t{1})))}, {{"name", std::string("kiln.run")}});
  }
  return pruned;
}

ir::Module initializer_module(const GraphState& state) {
  ir::Module module;
  Copier copier(state.module, module);
  for (const ir::Variable& given : state.module.variables) {
    if (given.hidden && given.name != "kiln.seed") continue;
    if (!given.hidden && given.initializer == ir::none && !given.initial) continue;
    ir::Variable variable = given;
    variable.initializer = ir::none;
    variable.initial.reset();
    variable.location = copier.location(given.location);
    module.add_variable(std::move(variable));
    if (given.hidden) continue;
    ir::Builder builder(module, module.main);
    builder.location = copier.location(given.location);
    ir::ValueId value;
    if (given.initial) {
      value = builder.constant(*given.initial);
    } else {
      const ir::Graph& program = state.module.graph(given.initializer);
      Renamed renamed;
      for (ir::NodeId n = 0; n < program.node_count(); ++n) copier.node(program, n, module.main_graph(), renamed);
      value = renamed.at(program.results[0]);
    }
    builder.create(ir::Op::assign, {value}, {{"name", given.name}});
  }
  copier.finish();
  return module;
}

std::uint32_t resolve_variable(const GraphState& state, const Key& key, const Location& where) {
  std::string name(key.name());
  if (key.kind() != Key::Kind::name) {
    if (key.graph() != &state)
      throw Error(ErrorCode::foreign_graph, fmt::format("\"{}\" belongs to another graph than the session's", name), where,
                  "a session runs the graph that it was made from");
    const ir::Graph& graph = state.module.main_graph();
    if (key.kind() == Key::Kind::operation)
      throw Error(ErrorCode::invalid_argument, "an operation is no variable", where, "pass a Variable or its name");
    const ir::Node& node = graph.definition(key.id());
    if (node.op != ir::Op::variable)
      throw Error(ErrorCode::invalid_argument, fmt::format("the tensor {} is no variable", described(state, key.id())), where,
                  "session.run() computes the value of a tensor");
    name = node.attributes.text("name");
  }
  const auto found = state.variables.find(name);
  if (found == state.variables.end()) {
    std::string known;
    for (const ir::Variable& v : state.module.variables)
      if (!v.hidden && known.size() < 160) known += (known.empty() ? "" : ", ") + v.name;
    throw Error(ErrorCode::invalid_argument, fmt::format("there is no variable \"{}\" in the graph", name), where,
                known.empty() ? "the graph has no variables" : "its variables are " + known);
  }
  return found->second;
}

// ---- locations by ordinal

namespace {
constexpr const char* ordinal_file = "#";
}

std::vector<Location> number_locations(ir::Module& module) {
  std::vector<Location> table{Location{}};
  const auto number = [&](ir::LocationId& id) {
    table.push_back(module.location(id));
    Location ordinal;
    ordinal.file = ordinal_file;
    ordinal.line = static_cast<std::uint32_t>(table.size() - 1);
    id = module.add_location(ordinal);
  };
  for (ir::Variable& variable : module.variables) number(variable.location);
  for (const auto& graph : module.graphs)
    for (ir::NodeId n = 0; n < graph->node_count(); ++n) number(graph->node(n).location);
  return table;
}

Location numbered_location(const std::vector<Location>& table, const Location& location) {
  if (std::string_view(location.file) != ordinal_file || location.line >= table.size())
    return location.file == std::string_view(ordinal_file) ? Location{} : location;
  return table[location.line];
}

}  // namespace kiln::detail

// Modules, graphs, nodes and attributes.
#include "ir/graph.h"

#include <algorithm>
#include <cstring>

#include "ir/op.h"

namespace kiln::ir {

std::string to_string(const Type& type) {
  std::string text(name_of(type.dtype));
  text += to_string(type.dims);
  return type.kind == Type::Kind::tape ? "tape<" + text + ">" : text;
}

bool same_value(const AttributeValue& a, const AttributeValue& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&](const auto& x) {
        using T = std::decay_t<decltype(x)>;
        const T& y = std::get<T>(b);
        if constexpr (std::is_same_v<T, Array>)
          return identical(x, y);
        else if constexpr (std::is_same_v<T, double>)
          return std::memcmp(&x, &y, sizeof x) == 0;
        else
          return x == y;
      },
      a);
}

// ---- Attributes

namespace {

[[noreturn]] void throw_attribute(std::string_view name, const AttributeValue* found, const char* wanted) {
  throw InternalError("attribute '" + std::string(name) + "' " + (found ? "is of another kind than " : "is missing; wanted ") + wanted);
}

template <class T>
const T& get(const Attributes& attributes, std::string_view name, const char* wanted) {
  const AttributeValue* value = attributes.find(name);
  const T* typed = value ? std::get_if<T>(value) : nullptr;
  if (!typed) throw_attribute(name, value, wanted);
  return *typed;
}

std::shared_ptr<const std::vector<Attributes::Item>> sorted(std::vector<Attributes::Item> items) {
  if (items.empty()) return nullptr;
  std::ranges::sort(items, {}, &Attributes::Item::first);
  const auto twice = std::ranges::adjacent_find(items, {}, &Attributes::Item::first);
  if (twice != items.end()) throw InternalError("attribute '" + twice->first + "' is given twice");
  return std::make_shared<const std::vector<Attributes::Item>>(std::move(items));
}

}  // namespace

Attributes::Attributes(std::initializer_list<Item> items) : items_(sorted(items)) {}
Attributes::Attributes(std::vector<Item> items) : items_(sorted(std::move(items))) {}

const AttributeValue* Attributes::find(std::string_view name) const {
  for (const Item& item : items())
    if (item.first == name) return &item.second;
  return nullptr;
}

Attributes Attributes::with(std::string name, AttributeValue value) const {
  std::vector<Item> changed(items().begin(), items().end());
  const auto found = std::ranges::find(changed, name, &Item::first);
  if (found != changed.end())
    found->second = std::move(value);
  else
    changed.emplace_back(std::move(name), std::move(value));
  return Attributes(std::move(changed));
}

Attributes Attributes::without(std::string_view name) const {
  std::vector<Item> changed(items().begin(), items().end());
  std::erase_if(changed, [&](const Item& item) { return item.first == name; });
  return Attributes(std::move(changed));
}

bool Attributes::flag(std::string_view name) const { return get<bool>(*this, name, "a flag"); }
std::int64_t Attributes::integer(std::string_view name) const { return get<std::int64_t>(*this, name, "an integer"); }
double Attributes::number(std::string_view name) const { return get<double>(*this, name, "a number"); }
const std::string& Attributes::text(std::string_view name) const { return get<std::string>(*this, name, "text"); }
DType Attributes::dtype(std::string_view name) const { return get<DType>(*this, name, "a dtype"); }
const std::vector<std::int64_t>& Attributes::integers(std::string_view name) const {
  return get<std::vector<std::int64_t>>(*this, name, "integers");
}
const Dims& Attributes::dims(std::string_view name) const { return get<Dims>(*this, name, "dims"); }
const Array& Attributes::literal(std::string_view name) const { return get<Array>(*this, name, "a literal"); }
GraphId Attributes::graph(std::string_view name) const { return get<GraphRef>(*this, name, "a graph").id; }

bool operator==(const Attributes& a, const Attributes& b) {
  if (a.items_ == b.items_) return true;
  return std::ranges::equal(a.items(), b.items(), [](const Attributes::Item& x, const Attributes::Item& y) {
    return x.first == y.first && same_value(x.second, y.second);
  });
}

// ---- Graph

NodeId Graph::append(Op op, std::vector<ValueId> operands, Attributes attributes, std::vector<Type> types, LocationId location) {
  if (nodes_.size() >= none || values_.size() + types.size() >= none)
    throw Error(ErrorCode::out_of_memory, "graph '" + name + "' has more than 2^32 nodes");
  const NodeId id = static_cast<NodeId>(nodes_.size());
  Node& node = nodes_.emplace_back();
  node.op = op;
  node.location = location;
  node.first_result = static_cast<ValueId>(values_.size());
  node.result_count = static_cast<std::uint32_t>(types.size());
  for (Type& type : types) {
    // Most results have the type of an operand: share it, as types outweigh nodes.
    std::shared_ptr<const Type> shared;
    for (std::size_t i = 0; i < operands.size() && i < 2 && !shared; ++i)
      if (operands[i] < values_.size() && *values_[operands[i]].type == type) shared = values_[operands[i]].type;
    if (!shared) shared = std::make_shared<const Type>(std::move(type));
    values_.push_back({id, std::move(shared)});
  }
  node.operands = std::move(operands);
  node.attributes = std::move(attributes);
  return id;
}

ValueId Graph::add_parameter(Type type, std::string value_name, LocationId location) {
  const NodeId id = append(Op::parameter, {}, {}, {std::move(type)}, location);
  const ValueId value = nodes_[id].first_result;
  parameters.push_back(value);
  if (!value_name.empty()) set_value_name(value, std::move(value_name));
  return value;
}

const std::string& Graph::value_name(ValueId id) const {
  static const std::string unnamed;
  const auto found = names_.find(id);
  return found == names_.end() ? unnamed : found->second;
}

void Graph::set_value_name(ValueId id, std::string value_name) {
  if (value_name.empty())
    names_.erase(id);
  else
    names_[id] = std::move(value_name);
}

// ---- Module

std::size_t Module::LocationHash::operator()(const Location& location) const {
  const std::size_t file = std::hash<std::string_view>{}(location.file);
  return file ^ (location.line * 0x9E3779B97F4A7C15ull) ^ (std::size_t{location.column} << 48);
}

bool Module::LocationEqual::operator()(const Location& a, const Location& b) const {
  return a.line == b.line && a.column == b.column && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

Module::Module() : locations_{Location{}} { main = add_graph("main"); }

Module Module::clone() const {
  Module copy;
  copy.graphs.clear();
  for (const auto& graph : graphs) copy.graphs.push_back(std::make_unique<Graph>(*graph));
  copy.variables = variables;
  copy.symbols = symbols;
  copy.main = main;
  copy.locations_ = locations_;
  copy.location_ids_ = location_ids_;
  copy.graph_suffixes_ = graph_suffixes_;
  copy.variable_indices_ = variable_indices_;
  return copy;
}

GraphId Module::add_graph(std::string name) {
  std::string unique = name;
  if (!graph_suffixes_.try_emplace(unique, 1).second) {
    std::uint32_t& suffix = graph_suffixes_[name];
    std::uint32_t next = suffix;
    do unique = name + "." + std::to_string(next++);
    while (graph_suffixes_.contains(unique));
    suffix = next;
    graph_suffixes_.emplace(unique, 1);
  }
  graphs.push_back(std::make_unique<Graph>());
  graphs.back()->name = std::move(unique);
  return static_cast<GraphId>(graphs.size() - 1);
}

std::uint32_t Module::add_variable(Variable variable) {
  const auto index = static_cast<std::uint32_t>(variables.size());
  variable_indices_.try_emplace(variable.name, index);
  variables.push_back(std::move(variable));
  return index;
}

std::optional<std::uint32_t> Module::find_variable(std::string_view name) const {
  const auto found = variable_indices_.find(std::string(name));
  if (found != variable_indices_.end() && found->second < variables.size() && variables[found->second].name == name) return found->second;
  for (std::size_t i = 0; i < variables.size(); ++i)
    if (variables[i].name == name) return static_cast<std::uint32_t>(i);
  return std::nullopt;
}

LocationId Module::add_location(const Location& location) {
  if (!location.known()) return 0;
  if (LocationEqual{}(locations_.back(), location)) return static_cast<LocationId>(locations_.size() - 1);
  const auto [found, added] = location_ids_.try_emplace(location, static_cast<LocationId>(locations_.size()));
  if (added) locations_.push_back(location);
  return found->second;
}

std::vector<GraphId> regions_of(const Node& node) {
  std::vector<GraphId> regions;
  for (const auto& [name, value] : node.attributes.items())
    if (const GraphRef* ref = std::get_if<GraphRef>(&value)) regions.push_back(ref->id);
  return regions;
}

std::vector<GraphId> reachable_graphs(const Module& module) {
  std::vector<GraphId> order;
  std::vector<bool> seen(module.graphs.size(), false);
  const auto reach = [&](GraphId id) {
    if (id >= seen.size() || seen[id]) return;
    seen[id] = true;
    order.push_back(id);
  };
  std::size_t next = 0;
  const auto follow = [&] {
    for (; next < order.size(); ++next) {
      const Graph& graph = module.graph(order[next]);
      for (NodeId n = 0; n < graph.node_count(); ++n)
        for (const auto& [name, value] : graph.node(n).attributes.items())
          if (const GraphRef* ref = std::get_if<GraphRef>(&value)) reach(ref->id);
    }
  };
  reach(module.main);
  follow();
  for (const Variable& variable : module.variables) reach(variable.initializer);
  follow();
  return order;
}

void Module::sweep() {
  const std::vector<GraphId> order = reachable_graphs(*this);
  std::vector<GraphId> renumbered(graphs.size(), none);
  for (std::size_t i = 0; i < order.size(); ++i) renumbered[order[i]] = static_cast<GraphId>(i);
  std::vector<std::unique_ptr<Graph>> kept;
  for (const GraphId id : order) kept.push_back(std::move(graphs[id]));
  graphs = std::move(kept);
  graph_suffixes_.clear();
  for (const auto& graph : graphs) {
    graph_suffixes_.try_emplace(graph->name, 1);
    for (NodeId n = 0; n < graph->node_count(); ++n) {
      Node& node = graph->node(n);
      std::vector<Attributes::Item> changed;
      for (const auto& [name, value] : node.attributes.items())
        if (const GraphRef* ref = std::get_if<GraphRef>(&value); ref && ref->id < renumbered.size() && renumbered[ref->id] != ref->id)
          changed.emplace_back(name, GraphRef{renumbered[ref->id]});
      for (Attributes::Item& item : changed) node.attributes = node.attributes.with(item.first, std::move(item.second));
    }
  }
  for (Variable& variable : variables)
    if (variable.initializer != none) variable.initializer = renumbered[variable.initializer];
  main = main == none ? none : renumbered[main];
}

}  // namespace kiln::ir

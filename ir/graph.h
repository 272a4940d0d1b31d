// Tensor IR: what a computation is, in SSA form.
//
// A Module holds variables, symbols and Graphs. A Graph is a function: parameters, nodes in topological order, results. Nodes are uniform:
// {op, operands, attributes, result types}; what an op means stands in the operator table (ir/op.h), nowhere else. Regions (bodies of
// loops and branches, composites, fused kernels) are graphs of the same module, referred to by attribute and *isolated*: they see only
// their parameters, so what a body captures is an explicit operand of its node. Nothing here nests, so nothing recurses over depth.
//
// Semantics, for every op: a node's results depend only on its operands, attributes and (for `variable`) the variables' values from before
// the run. `assign` takes effect at the end of the run; its result is the new value. Integer arithmetic wraps; x/0 = -1, x%0 = x, MIN/-1 =
// MIN. Float arithmetic is IEEE with NaN, infinities, signed zeros and denormals kept; maximum(a, b) is `a is NaN ? a : (a > b ? a : b)`,
// minimum likewise. Conversion float -> integer saturates, NaN -> 0.
//
// The text form is in ir/text.h, the rules that every module keeps are in ir/verify.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "ir/dim.h"
#include "kiln/array.h"
#include "kiln/dtype.h"
#include "kiln/error.h"

namespace kiln::ir {

/// Every operator; the entries are in ir/ops/*.cpp.
enum class Op : std::uint16_t {
#define KILN_OP(name) name,
#include "ir/ops.def"
#undef KILN_OP
};

/// Type of a value: a tensor, or a tape (a stack of tensors of one type, used by loop gradients; see ir/ops/control.cpp).
struct Type {
  enum class Kind : std::uint8_t { tensor, tape };
  DType dtype = DType::f32;
  Kind kind = Kind::tensor;
  Dims dims;

  std::size_t rank() const { return dims.size(); }
  friend bool operator==(const Type&, const Type&) = default;
};
/// "f32[batch, 1000]", "tape<f32[64]>".
std::string to_string(const Type& type);

using ValueId = std::uint32_t;
using NodeId = std::uint32_t;
using GraphId = std::uint32_t;
using LocationId = std::uint32_t;  ///< index in Module's table; 0 is "unknown"
inline constexpr std::uint32_t none = UINT32_MAX;

/// A reference to a graph of the same module, as an attribute.
struct GraphRef {
  GraphId id = none;
  friend bool operator==(const GraphRef&, const GraphRef&) = default;
};

/// Values of attributes. Array is a literal.
using AttributeValue = std::variant<bool, std::int64_t, double, std::string, DType, std::vector<std::int64_t>, Dims, Array, GraphRef>;
/// Equal kind and content; floats by bits, so that NaN equals itself and -0 differs from 0, as it must for merging nodes.
bool same_value(const AttributeValue& a, const AttributeValue& b);

/// Attributes of one node, sorted by name; immutable and shared between copies of the node.
class Attributes {
 public:
  using Item = std::pair<std::string, AttributeValue>;
  Attributes() = default;
  Attributes(std::initializer_list<Item> items);
  explicit Attributes(std::vector<Item> items);

  std::span<const Item> items() const { return items_ ? std::span<const Item>(*items_) : std::span<const Item>(); }
  const AttributeValue* find(std::string_view name) const;
  Attributes with(std::string name, AttributeValue value) const;
  Attributes without(std::string_view name) const;

  /// Typed access; InternalError when absent or of another type (the verifier has checked both).
  bool flag(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  DType dtype(std::string_view name) const;
  const std::vector<std::int64_t>& integers(std::string_view name) const;
  const Dims& dims(std::string_view name) const;
  const Array& literal(std::string_view name) const;
  GraphId graph(std::string_view name) const;

  friend bool operator==(const Attributes& a, const Attributes& b);

 private:
  std::shared_ptr<const std::vector<Item>> items_;
};

struct Node {
  Op op{};
  bool recompute = false;  ///< a checkpoint's clone: CSE must not merge it with the original
  LocationId location = 0;
  ValueId first_result = none;
  std::uint32_t result_count = 0;
  std::vector<ValueId> operands;
  Attributes attributes;
};

struct Value {
  NodeId node = none;
  std::shared_ptr<const Type> type;
};

/// One function. Values of parameters are results of `parameter` nodes, which may stand anywhere before their uses.
class Graph {
 public:
  std::string name;
  std::vector<ValueId> parameters;
  std::vector<ValueId> results;

  NodeId append(Op op, std::vector<ValueId> operands, Attributes attributes, std::vector<Type> types, LocationId location = 0);
  ValueId add_parameter(Type type, std::string name = "", LocationId location = 0);

  std::size_t node_count() const { return nodes_.size(); }
  std::size_t value_count() const { return values_.size(); }
  const Node& node(NodeId id) const { return nodes_[id]; }
  Node& node(NodeId id) { return nodes_[id]; }
  const Type& type(ValueId id) const { return *values_[id].type; }
  std::shared_ptr<const Type> shared_type(ValueId id) const { return values_[id].type; }
  NodeId defining_node(ValueId id) const { return values_[id].node; }
  const Node& definition(ValueId id) const { return nodes_[values_[id].node]; }
  /// Which result of its node the value is.
  std::uint32_t result_index(ValueId id) const { return id - nodes_[values_[id].node].first_result; }

  /// The name a user gave a value, or "". Kept by passes where the value survives.
  const std::string& value_name(ValueId id) const;
  void set_value_name(ValueId id, std::string name);

 private:
  std::vector<Node> nodes_;
  std::vector<Value> values_;
  std::unordered_map<ValueId, std::string> names_;
};

/// A variable: state that outlives runs. Its shape is static.
struct Variable {
  std::string name;
  Type type;
  GraphId initializer = none;      ///< graph without parameters and one result, or
  std::optional<Array> initial;    ///< the initial value itself, or neither (must be set before use)
  bool hidden = false;             ///< random state; not listed among a model's parameters
  LocationId location = 0;
};

/// What a module stands for: one run, which assigns a variable at most once, or a whole program as a user builds it, which may hold the assigns of several
/// training steps, of which each run takes its own.
enum class ModuleRole : std::uint8_t { run, program };

class Module {
 public:
  /// Deque-like stability: a Graph& stays valid while other graphs are added.
  std::vector<std::unique_ptr<Graph>> graphs;
  std::vector<Variable> variables;
  std::vector<std::shared_ptr<const SymbolInfo>> symbols;  ///< those with more than a name
  GraphId main = none;

  Module();  ///< with one empty graph, "main", which is the main one
  Module(Module&&) noexcept = default;
  Module& operator=(Module&&) noexcept = default;
  Module clone() const;

  GraphId add_graph(std::string name);  ///< the name is made unique with .1, .2 ...
  Graph& graph(GraphId id) { return *graphs[id]; }
  const Graph& graph(GraphId id) const { return *graphs[id]; }
  Graph& main_graph() { return *graphs[main]; }
  const Graph& main_graph() const { return *graphs[main]; }
  std::uint32_t add_variable(Variable variable);  ///< its index; found by name in constant time, unlike one pushed to `variables` directly
  std::optional<std::uint32_t> find_variable(std::string_view name) const;

  LocationId add_location(const Location& location);  ///< equal locations have one id; an unknown one has id 0
  const Location& location(LocationId id) const { return locations_[id]; }
  std::size_t location_count() const { return locations_.size(); }

  /// Drops graphs that `main` (and variables' initializers) do not reach, and renumbers the rest in order of first reference.
  void sweep();

 private:
  struct LocationHash {
    std::size_t operator()(const Location& location) const;
  };
  struct LocationEqual {
    bool operator()(const Location& a, const Location& b) const;
  };
  std::vector<Location> locations_;
  std::unordered_map<Location, LocationId, LocationHash, LocationEqual> location_ids_;
  std::unordered_map<std::string, std::uint32_t> graph_suffixes_;    ///< names in use -> the next suffix to try
  std::unordered_map<std::string, std::uint32_t> variable_indices_;  ///< of those added by add_variable
};

/// Graphs that the node's attributes refer to, in attribute order.
std::vector<GraphId> regions_of(const Node& node);
/// The graphs that `main`, then the initializers, reach: each once, in order of first reference, breadth first.
std::vector<GraphId> reachable_graphs(const Module& module);

}  // namespace kiln::ir

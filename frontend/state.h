// What a Graph is inside: a module of tensor IR that grows, the stack of regions (bodies of loops and branches) that are open, and names.
//
// Everything the public functions append goes through an Emitter: it finds the innermost open region, captures operands from outer regions
// (a capture becomes a parameter of each region on the way in, and later an operand of the loop or branch), and gives nodes the user's
// location.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"
#include "kiln/graph.h"

namespace kiln::detail {

/// The symbolic half of a public Dim.
struct DimValue {
  ir::Dim dim;
  static Dim wrap(const ir::Dim& dim);
  static ir::Dim unwrap(const Dim& dim);
};

ir::Dims to_ir(const Dims& dims);
Dims from_ir(const ir::Dims& dims);

/// A graph under construction inside another.
struct Region {
  ir::GraphId graph = ir::none;
  const char* kind = "main graph";                            ///< "body of while_loop" ..., for messages
  Location where;                                             ///< the call that opened it
  bool may_capture = true;                                    ///< false: initializers see nothing from outside
  std::unordered_map<ir::ValueId, ir::ValueId> inner_of;      ///< value of the enclosing region -> parameter of this one
  std::vector<std::pair<ir::ValueId, ir::ValueId>> captures;  ///< the same in order
  std::function<ir::ValueId()> iteration;                     ///< in a loop body: makes or finds the iteration counter, a parameter (u64[])
  std::string scope;                                          ///< prefix of random streams in it
};

/// A change of a module's running statistics that a call in training mode noted: frontend/nn_module.h.
struct StateUpdate {
  ir::ValueId variable = ir::none;  ///< its value in the main graph
  ir::ValueId result = ir::none;    ///< what the call returned: whoever depends on it has the change in its step
  std::function<Tensor(const Tensor& current)> next;
};

struct GraphState : std::enable_shared_from_this<GraphState> {
  GraphState();

  ir::Module module;
  std::vector<Region> open;                                                   ///< innermost last; the first is the main graph
  std::unordered_map<ir::GraphId, std::pair<const char*, Location>> regions;  ///< every region ever opened: kind and line
  std::unordered_map<std::string, ir::ValueId> names;                         ///< named tensors of the main graph
  std::unordered_map<std::string, std::uint32_t> variables;                   ///< name -> index in module.variables
  std::vector<ir::ValueId> variable_values;  ///< their `variable` nodes' results in the main graph (none: not made yet)
  std::vector<bool> trainable;
  std::unordered_map<std::string, std::shared_ptr<const ir::SymbolInfo>> symbols;
  struct Produced {
    ir::GraphId graph = ir::none;
    ir::NodeId node = ir::none;
  };
  std::unordered_map<std::string, Produced> produced;  ///< symbols that a run gives their values: the shrink of each
  std::vector<std::vector<ir::NodeId>> operations;       ///< nodes of the main graph that each Operation runs
  std::unordered_set<std::uint32_t> streams;             ///< taken random streams
  std::unordered_map<std::string, std::uint32_t> draws;  ///< random operations so far in each scope, and bodies so far of each name

  std::vector<StateUpdate> updates;                            ///< in order of the calls
  std::map<std::vector<std::size_t>, ir::NodeId> update_nodes;  ///< indices in `updates`, of one variable -> the assign of all of them

  std::map<std::string, CustomFunction> custom_functions;
  std::int64_t next_custom_call = 0;                     ///< ordinal of the next custom_call

  mutable std::mutex compiling;  ///< sessions of one graph compile one after the other: pruning may make a variable's node

  Region& innermost() { return open.back(); }
  /// Checks a symbol's options against what is known of the name, and remembers them.
  void use_symbols(const ir::Dims& dims, const Location& where);
  /// Error when an extent of something that is fed depends on what a run produces.
  void require_fed(const ir::Dims& dims, const std::string& what, const Location& where) const;
  /// `wanted`, or with _1, _2 ... when a symbol has that name.
  std::string new_symbol(const std::string& wanted) const;
  /// The variable's value in the main graph.
  ir::ValueId variable_value(std::uint32_t index);
  /// Index of a new variable; Error when the name is taken.
  std::uint32_t add_variable(ir::Variable variable, bool trainable);
  /// Index of the hidden u64 variable of this name, made when it is first needed.
  std::uint32_t hidden_variable(const std::string& name);
  /// A random stream for the next draw in `scope`, a function of scope and ordinal alone unless two collide.
  std::int64_t next_stream(const std::string& scope);
};

/// The door to private parts of the public handles.
struct Access {
  static GraphState& state(const Graph& graph) { return *graph.state_; }
  static std::shared_ptr<GraphState> shared(const Graph& graph) { return graph.state_; }
  static Graph graph(std::shared_ptr<GraphState> state) { return Graph(std::move(state)); }
  static GraphState* state(const Tensor& tensor) { return tensor.state_; }
  static ir::GraphId region(const Tensor& tensor) { return tensor.region_; }
  static ir::ValueId value(const Tensor& tensor) { return tensor.value_; }
  static GraphState* state(const Operation& operation) { return operation.state_; }
  static std::uint32_t id(const Operation& operation) { return operation.id_; }
  template <class T>
  static T make(GraphState& state, ir::GraphId region, ir::ValueId value) {
    T tensor;
    tensor.state_ = &state;
    tensor.region_ = region;
    tensor.value_ = value;
    return tensor;
  }
  static Operation operation(GraphState& state, std::vector<ir::NodeId> nodes);
};

/// The IR type of a tensor; Error(invalid_argument) for one that refers to nothing.
const ir::Type& type_of(const Tensor& tensor);
/// The user's line that made a tensor.
Location location_of(const Tensor& tensor);

/// While one lives, whatever is appended on this thread carries its location: what Kiln's own composites build belongs to the line that
/// called them. An inner one changes nothing, so the outermost line counts.
class LocationScope {
 public:
  explicit LocationScope(const Location& location);
  ~LocationScope();
  LocationScope(const LocationScope&) = delete;
  /// `location`, or that of the outermost scope.
  static Location resolve(const Location& location);

 private:
  bool opened_ = false;
};

/// Opens a region on construction; an exception on the way closes it.
class OpenRegion {
 public:
  OpenRegion(GraphState& state, const std::string& name, const char* kind, const Location& where, bool may_capture = true);
  ~OpenRegion();
  OpenRegion(const OpenRegion&) = delete;
  Region& region() { return state_.open[depth_]; }
  /// Sets the graph's results (values of this region), closes it and hands its bookkeeping over.
  Region close(std::vector<ir::ValueId> results);

 private:
  GraphState& state_;
  std::size_t depth_;
};

/// Appends to the innermost region of one graph, at one location, for the public function called `op`.
class Emitter {
 public:
  Emitter(GraphState& state, const char* op, const Location& location);
  /// For operands of which at least one is a tensor: the graph is the first one's.
  Emitter(std::initializer_list<const Operand*> operands, const char* op);

  GraphState& state() { return state_; }
  ir::Builder& builder() { return builder_; }
  const Location& location() const { return location_; }
  const char* op() const { return op_; }

  /// The tensor as a value of the innermost region. Error(foreign_graph) when it belongs to another graph or to a closed body.
  ir::ValueId use(const Tensor& tensor);
  /// A tensor, or a number as a scalar constant of this dtype.
  ir::ValueId use(const Operand& operand, DType dtype);
  Tensor wrap(ir::ValueId value) { return Access::make<Tensor>(state_, builder_.graph_id(), value); }
  ir::ValueId scalar(const Scalar& scalar, DType dtype);

  [[noreturn]] void fail(ErrorCode code, const std::string& message, const std::string& hint = "") const;
  /// "name: message" with both types, for operands that do not fit together.
  void require_dtypes(ir::ValueId value, bool (*accepts)(DType), const char* wanted, const std::string& hint = "");

  /// NumPy's broadcasting of values of any dtypes to common dims.
  void broadcast(std::span<ir::ValueId> values);
  ir::ValueId broadcast_to(ir::ValueId value, const ir::Dims& dims);
  /// `axis` of `rank` dims, negative ones from the back.
  std::int64_t axis(std::int64_t axis, std::size_t rank) const;
  /// The dtype that a list of operands has, numbers apart; Error(dtype_mismatch) when tensors differ.
  DType common_dtype(std::initializer_list<const Operand*> operands) const;

 private:
  ir::ValueId capture(const Tensor& tensor);

  GraphState& state_;
  const char* op_;
  Location location_;
  ir::Builder builder_;
};

}  // namespace kiln::detail

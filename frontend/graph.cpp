// Graph and the handles to its parts.
#include "kiln/graph.h"

#include <fmt/format.h>

#include "frontend/state.h"
#include "kiln/initializers.h"
#include "kiln/operators.h"
#include "kiln/session.h"

namespace kiln {

using namespace detail;

// ---- Tensor

DType Tensor::dtype() const { return type_of(*this).dtype; }
Dims Tensor::dims() const { return from_ir(type_of(*this).dims); }
std::size_t Tensor::rank() const { return type_of(*this).rank(); }

Dim Tensor::dim(std::int64_t axis) const {
  const ir::Type& type = type_of(*this);
  const auto rank = static_cast<std::int64_t>(type.rank());
  if (axis < -rank || axis >= rank)
    throw Error(ErrorCode::invalid_argument, fmt::format("dim: there is no axis {} in {}", axis, ir::to_string(type)), location());
  return DimValue::wrap(type.dims[static_cast<std::size_t>(axis < 0 ? axis + rank : axis)]);
}

std::string Tensor::name() const {
  type_of(*this);
  return state_->module.graph(region_).value_name(value_);
}

Tensor Tensor::named(const std::string& name) const {
  type_of(*this);
  if (name.empty()) throw Error(ErrorCode::invalid_argument, "named: a name must not be empty", location());
  if (region_ == state_->module.main) {
    const auto [found, added] = state_->names.try_emplace(name, value_);
    if (!added && found->second != value_)
      throw Error(ErrorCode::invalid_argument,
                  "named: there is already a tensor \"" + name + "\", made at " +
                      to_string(location_of(Access::make<Tensor>(*state_, region_, found->second))),
                  location(), "give each tensor its own name");
  }
  state_->module.graph(region_).set_value_name(value_, name);
  return *this;
}

Location Tensor::location() const { return location_of(*this); }

Tensor::operator Key() const {
  // A session says where a key to nothing was used.
  if (!state_) return Key(Key::Kind::tensor, nullptr, 0, "");
  if (region_ != state_->module.main) {
    const auto& [kind, where] = state_->regions.at(region_);
    throw Error(ErrorCode::foreign_graph,
                fmt::format("the tensor {} made at {} exists only in the {} at {}", to_string(*this), to_string(location()), kind,
                            to_string(where)),
                location(), "return it from the body: the call's results can be fetched");
  }
  return Key(Key::Kind::tensor, state_, value_, state_->module.main_graph().value_name(value_));
}

std::string to_string(const Tensor& tensor) { return ir::to_string(type_of(tensor)); }

Operation::operator Key() const { return Key(Key::Kind::operation, state_, id_, ""); }

Assignment::operator Operation() const {
  type_of(*this);
  return Access::operation(*state_, {state_->module.main_graph().defining_node(value_)});
}

// ---- Graph: what takes part in runs

Graph::Graph() : state_(std::make_shared<GraphState>()) {}

Tensor Graph::placeholder(const std::string& name, DType dtype, const Dims& dims, std::source_location location) {
  const Location where = LocationScope::resolve(location);
  if (name.empty()) throw Error(ErrorCode::invalid_argument, "placeholder: a placeholder needs a name", where);
  if (const auto found = state_->names.find(name); found != state_->names.end())
    throw Error(ErrorCode::invalid_argument,
                "placeholder: there is already a tensor \"" + name + "\", made at " +
                    to_string(location_of(Access::make<Tensor>(*state_, state_->module.main, found->second))),
                where, "give each placeholder its own name");
  ir::Type type;
  type.dtype = dtype;
  type.dims = to_ir(dims);
  for (const ir::Dim& dim : type.dims)
    if (ir::less(dim, 0) == ir::Truth::yes)
      throw Error(ErrorCode::invalid_argument, "placeholder: the extent " + ir::to_string(dim) + " of \"" + name + "\" is negative", where,
                  "use Dim(\"batch\") for an extent that is known only when a value is fed");
  state_->require_fed(type.dims, "placeholder \"" + name + "\"", where);
  state_->use_symbols(type.dims, where);
  const ir::ValueId value = state_->module.main_graph().add_parameter(std::move(type), name, state_->module.add_location(where));
  state_->names.emplace(name, value);
  return Access::make<Tensor>(*state_, state_->module.main, value);
}

namespace {

Variable add_variable(GraphState& state, ir::Variable variable, const VariableOptions& options, const Location& where) {
  if (variable.name.empty()) throw Error(ErrorCode::invalid_argument, "variable: a variable needs a name", where);
  if (variable.name.starts_with("kiln."))
    throw Error(ErrorCode::invalid_argument, "variable: \"" + variable.name + "\": names that start with \"kiln.\" are Kiln's own", where,
                "choose another name");
  variable.location = state.module.add_location(where);
  const std::uint32_t index = state.add_variable(std::move(variable), options.trainable);
  return Access::make<Variable>(state, state.module.main, state.variable_value(index));
}

ir::Type static_type(DType dtype, const Shape& shape, const std::string& name, const Location& where) {
  ir::Type type;
  type.dtype = dtype;
  for (const std::int64_t extent : shape) {
    if (extent < 0)
      throw Error(ErrorCode::invalid_argument, "variable: the shape " + to_string(shape) + " of \"" + name + "\" has a negative extent",
                  where);
    type.dims.push_back(extent);
  }
  return type;
}

}  // namespace

Variable Graph::variable(const std::string& name, const Initializer& initial, VariableOptions options, std::source_location location) {
  const Location where = LocationScope::resolve(location);
  ir::Variable variable;
  variable.name = name;
  variable.type = static_type(initial.dtype(), initial.shape(), name, where);
  {
    LocationScope scope(where);
    OpenRegion region(*state_, name + ".initial", "initializer", where, false);
    region.region().scope = name;
    const Tensor value = initial.build(*this);
    Emitter emitter(*state_, "variable", where);
    const ir::ValueId result = emitter.use(value);
    if (!(type_of(value) == variable.type))
      emitter.fail(
          ErrorCode::shape_mismatch,
          fmt::format("the initializer of \"{}\" is said to yield {}, but yields {}", name, ir::to_string(variable.type), to_string(value)),
          "the function given to Initializer returns a tensor of the dtype and shape given beside it");
    variable.initializer = region.close({result}).graph;
  }
  return add_variable(*state_, std::move(variable), options, where);
}

Variable Graph::variable(const std::string& name, Array initial, VariableOptions options, std::source_location location) {
  const Location where = LocationScope::resolve(location);
  ir::Variable variable;
  variable.name = name;
  variable.type = static_type(initial.dtype(), initial.shape(), name, where);
  variable.initial = std::move(initial);
  return add_variable(*state_, std::move(variable), options, where);
}

Variable Graph::variable(const std::string& name, DType dtype, const Shape& shape, VariableOptions options, std::source_location location) {
  const Location where = LocationScope::resolve(location);
  ir::Variable variable;
  variable.name = name;
  variable.type = static_type(dtype, shape, name, where);
  return add_variable(*state_, std::move(variable), options, where);
}

Variable Graph::find_variable(const std::string& name, std::source_location location) const {
  const auto found = state_->variables.find(name);
  if (found == state_->variables.end()) {
    std::string known;
    for (const ir::Variable& v : state_->module.variables)
      if (!v.hidden && known.size() < 200) known += (known.empty() ? "" : ", ") + v.name;
    throw Error(ErrorCode::invalid_argument, "there is no variable \"" + name + "\"", LocationScope::resolve(location),
                known.empty() ? "the graph has no variables" : "its variables are " + known);
  }
  return Access::make<Variable>(*state_, state_->module.main, state_->variable_value(found->second));
}

std::vector<Variable> Graph::variables() const {
  std::vector<Variable> result;
  for (std::uint32_t i = 0; i < state_->module.variables.size(); ++i)
    if (!state_->module.variables[i].hidden)
      result.push_back(Access::make<Variable>(*state_, state_->module.main, state_->variable_value(i)));
  return result;
}

Tensor Graph::find_tensor(const std::string& name, std::source_location location) const {
  const auto found = state_->names.find(name);
  if (found == state_->names.end())
    throw Error(ErrorCode::invalid_argument, "there is no tensor \"" + name + "\"", LocationScope::resolve(location),
                "name one with Tensor::named()");
  return Access::make<Tensor>(*state_, state_->module.main, found->second);
}

std::vector<Tensor> Graph::placeholders() const {
  std::vector<Tensor> result;
  for (const ir::ValueId value : state_->module.main_graph().parameters)
    result.push_back(Access::make<Tensor>(*state_, state_->module.main, value));
  return result;
}

std::vector<Tensor> Graph::results() const {
  const ir::Graph& main = state_->module.main_graph();
  std::vector<ir::ValueId> values = main.results;
  if (values.empty()) {
    std::vector<bool> used(main.value_count());
    for (ir::NodeId n = 0; n < main.node_count(); ++n)
      if (main.node(n).op != ir::Op::gradients)
        for (const ir::ValueId operand : main.node(n).operands) used[operand] = true;
    for (ir::ValueId value = 0; value < main.value_count(); ++value) {
      const ir::Op op = main.definition(value).op;
      if (!used[value] && !main.value_name(value).empty() && op != ir::Op::parameter && op != ir::Op::variable) values.push_back(value);
    }
  }
  std::vector<Tensor> result;
  for (const ir::ValueId value : values) result.push_back(Access::make<Tensor>(*state_, state_->module.main, value));
  return result;
}

std::vector<Operation> Graph::effects() const {
  const ir::Graph& main = state_->module.main_graph();
  std::vector<Operation> result;
  for (ir::NodeId n = 0; n < main.node_count(); ++n) {
    const ir::Node& node = main.node(n);
    // A run that draws counts itself.
    const bool own = node.op == ir::Op::assign && node.attributes.text("name").starts_with("kiln.");
    const bool check = node.op == ir::Op::check && node.result_count == 0;  // one that guards a value runs with it
    const bool debug = node.op == ir::Op::print || node.op == ir::Op::check_finite;
    if (check || debug || (node.op == ir::Op::assign && !own)) result.push_back(Access::operation(*state_, {n}));
  }
  return result;
}

// ---- Graph: tensors made from nothing

Tensor Graph::constant(Array value, std::source_location location) {
  Emitter emitter(*state_, "constant", location);
  return emitter.wrap(emitter.builder().constant(std::move(value)));
}

Tensor Graph::full(DType dtype, const Dims& dims, Scalar value, std::source_location location) {
  Emitter emitter(*state_, "full", location);
  const ir::Dims extents = to_ir(dims);
  state_->use_symbols(extents, emitter.location());
  return emitter.wrap(emitter.broadcast_to(emitter.scalar(value, dtype), extents));
}

Tensor Graph::zeros(DType dtype, const Dims& dims, std::source_location location) { return full(dtype, dims, 0, location); }
Tensor Graph::ones(DType dtype, const Dims& dims, std::source_location location) { return full(dtype, dims, 1, location); }

Tensor Graph::iota(DType dtype, const Dims& dims, std::int64_t axis, std::source_location location) {
  Emitter emitter(*state_, "iota", location);
  const ir::Dims extents = to_ir(dims);
  state_->use_symbols(extents, emitter.location());
  const std::int64_t dim = emitter.axis(axis, extents.size());
  return emitter.wrap(emitter.builder().create(ir::Op::iota, {}, {{"dtype", dtype}, {"dims", extents}, {"dim", dim}}));
}

Tensor Graph::range(DType dtype, const Dim& size, std::source_location location) { return iota(dtype, {size}, 0, location); }

Tensor Graph::size(const Dim& dim, std::source_location location) {
  Emitter emitter(*state_, "size", location);
  const ir::Dim extent = DimValue::unwrap(dim);
  state_->use_symbols({extent}, emitter.location());
  return emitter.wrap(emitter.builder().dim_size(extent));
}

// ---- state

namespace {

Assignment assign_as(const char* op, const Variable& variable, const Operand& value, ir::Op combine) {
  GraphState* state = Access::state(variable);
  if (!state)
    throw Error(ErrorCode::invalid_argument, std::string(op) + ": a default-constructed Variable was assigned",
                LocationScope::resolve(value.location()), "use what graph.variable() returned");
  Emitter emitter(*state, op, value.location());
  if (state->open.size() > 1)
    emitter.fail(ErrorCode::conflicting_assign,
                 fmt::format("the variable \"{}\" cannot be assigned in the {} at {}", variable.name(), state->innermost().kind,
                             to_string(state->innermost().where)),
                 "return the new value from the body, and assign it outside");
  const ir::Type& type = type_of(variable);
  ir::ValueId current = emitter.use(static_cast<const Tensor&>(variable));
  ir::ValueId next = emitter.use(value, type.dtype);
  const ir::Type& given = emitter.builder().type(next);
  const auto explain = [&] {
    return fmt::format("the variable \"{}\" is {}, the value {}", variable.name(), ir::to_string(type), ir::to_string(given));
  };
  if (given.dtype != type.dtype)
    emitter.fail(ErrorCode::dtype_mismatch, explain(), fmt::format("convert the value: convert(x, {})", name_of(type.dtype)));
  bool fits = given.rank() == type.rank();
  for (std::size_t i = 0; fits && i < given.rank(); ++i)
    fits = ir::equals(given.dims[i], type.dims[i]) != ir::Truth::no && emitter.builder().checkable(given.dims[i], type.dims[i]);
  if (value.is_tensor() && combine == ir::Op::assign && !fits)
    emitter.fail(ErrorCode::shape_mismatch, explain(), "a variable keeps its shape; reshape() or broadcast_to() the value");
  if (given.rank() > type.rank()) emitter.fail(ErrorCode::shape_mismatch, explain(), "a variable keeps its shape");
  std::vector<ir::ValueId> both{current, next};
  emitter.broadcast(both);
  if (!(emitter.builder().type(both[0]).dims == type.dims))
    emitter.fail(ErrorCode::shape_mismatch, explain(), "a variable keeps its shape");
  next = both[1];
  if (combine != ir::Op::assign) next = emitter.builder().create(combine, {current, next});
  const std::string name = emitter.builder().graph().definition(Access::value(variable)).attributes.text("name");
  next = emitter.builder().create(ir::Op::assign, {next}, {{"name", name}});
  return Access::make<Assignment>(*state, state->module.main, next);
}

}  // namespace

Assignment assign(const Variable& variable, const Operand& value) { return assign_as("assign", variable, value, ir::Op::assign); }
Assignment assign_add(const Variable& variable, const Operand& value) { return assign_as("assign_add", variable, value, ir::Op::add); }
Assignment assign_sub(const Variable& variable, const Operand& value) { return assign_as("assign_sub", variable, value, ir::Op::subtract); }

Operation group(std::span<const Operation> operations, std::source_location location) {
  GraphState* state = nullptr;
  std::vector<ir::NodeId> nodes;
  for (const Operation& operation : operations) {
    GraphState* other = Access::state(operation);
    if (!other) continue;
    const auto line = [](const GraphState& graph, ir::NodeId node) {
      return to_string(graph.module.location(graph.module.main_graph().node(node).location));
    };
    if (state && other != state && !nodes.empty() && !other->operations[Access::id(operation)].empty())
      throw Error(ErrorCode::foreign_graph,
                  fmt::format("group: the operations made at {} and at {} belong to different graphs", line(*state, nodes[0]),
                              line(*other, other->operations[Access::id(operation)][0])),
                  LocationScope::resolve(location), "group operations of one graph");
    state = other;
    const std::vector<ir::NodeId>& own = state->operations[Access::id(operation)];
    nodes.insert(nodes.end(), own.begin(), own.end());
  }
  return state ? Access::operation(*state, std::move(nodes)) : Operation();
}

Operation group(std::initializer_list<Operation> operations, std::source_location location) {
  return group(std::span<const Operation>(operations.begin(), operations.size()), location);
}

}  // namespace kiln

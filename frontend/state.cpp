// The state of a graph under construction, and the Emitter that everything appends through.
#include "frontend/state.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace kiln::detail {

namespace {

/// FNV-1a: a fixed function of the text, so that random streams are the same in every process.
std::uint32_t hash_text(const std::string& text) {
  std::uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

std::string symbol_text(const ir::SymbolInfo& s) {
  return "min " + std::to_string(s.min) + ", max " + (s.max == INT64_MAX ? "none" : std::to_string(s.max)) + ", multiple_of " +
         std::to_string(s.multiple_of) + ", typical " + std::to_string(s.typical);
}

void collect_symbols(const ir::Dim& dim, std::vector<std::shared_ptr<const ir::SymbolInfo>>& found) {
  // Expressions nest as deeply as the user wrote them; a worklist keeps that off the stack.
  std::vector<ir::Dim> pending{dim};
  while (!pending.empty()) {
    const ir::Dim next = pending.back();
    pending.pop_back();
    if (next.is_constant()) continue;
    for (const ir::DimTerm& term : ir::terms(next))
      for (const auto& [atom, exponent] : term.factors) {
        if (atom.kind == ir::DimAtom::Kind::symbol) {
          found.push_back(atom.symbol);
        } else {
          pending.push_back(*atom.a);
          pending.push_back(*atom.b);
        }
      }
  }
}

}  // namespace

// ---- GraphState

GraphState::GraphState() {
  Region main;
  main.graph = module.main;
  open.push_back(std::move(main));
}

void GraphState::use_symbols(const ir::Dims& dims, const Location& where) {
  std::vector<std::shared_ptr<const ir::SymbolInfo>> found;
  for (const ir::Dim& dim : dims)
    if (!dim.is_constant()) collect_symbols(dim, found);
  for (const auto& info : found) {
    if (const auto source = produced.find(info->name); source != produced.end()) {
      if (std::ranges::find(open, source->second.graph, &Region::graph) != open.end()) continue;
      const auto& [kind, opened_at] = regions.at(source->second.graph);
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("the extent {} exists only in the {} at {}, which produces it", info->name, kind, to_string(opened_at)), where,
                  "use it in the body, or return a tensor of fixed extents and the count");
    }
    const auto [known, added] = symbols.try_emplace(info->name, info);
    if (added) {
      if (info->min != 0 || info->max != INT64_MAX || info->multiple_of != 1 || info->typical != 0) module.symbols.push_back(info);
      continue;
    }
    const ir::SymbolInfo& a = *known->second;
    if (&a != info.get() && (a.min != info->min || a.max != info->max || a.multiple_of != info->multiple_of || a.typical != info->typical))
      throw Error(
          ErrorCode::invalid_argument,
          "two extents named \"" + a.name + "\" have different options: one " + symbol_text(a) + ", the other " + symbol_text(*info), where,
          "in one graph the same name means the same value: use one Dim object, or two names");
  }
}

void GraphState::require_fed(const ir::Dims& dims, const std::string& what, const Location& where) const {
  for (const ir::Dim& dim : dims)
    for (const std::string& name : ir::symbols_of(dim))
      if (const auto source = produced.find(name); source != produced.end()) {
        const ir::Node& node = module.graph(source->second.graph).node(source->second.node);
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("{}: the extent {} is found out by the run, at {}, and cannot be fed", what, name,
                                to_string(module.location(node.location))),
                    where, "declare an extent of its own: Dim(\"name\")");
      }
}

std::string GraphState::new_symbol(const std::string& wanted) const {
  std::string name = wanted;
  for (int k = 1; symbols.contains(name) || produced.contains(name); ++k) name = fmt::format("{}_{}", wanted, k);
  return name;
}

ir::ValueId GraphState::variable_value(std::uint32_t index) {
  if (variable_values[index] == ir::none) {
    const ir::Variable& variable = module.variables[index];
    ir::Builder builder(module, module.main);
    builder.location = variable.location;
    variable_values[index] = builder.create(ir::Op::variable, {}, {{"name", variable.name}});
    if (!variable.hidden && !names.contains(variable.name)) {
      module.main_graph().set_value_name(variable_values[index], variable.name);
      names.emplace(variable.name, variable_values[index]);
    }
  }
  return variable_values[index];
}

std::uint32_t GraphState::add_variable(ir::Variable variable, bool is_trainable) {
  const auto [found, added] = variables.try_emplace(variable.name, static_cast<std::uint32_t>(module.variables.size()));
  if (!added)
    throw Error(ErrorCode::invalid_argument,
                "there is already a variable \"" + variable.name + "\", made at " +
                    to_string(module.location(module.variables[found->second].location)),
                module.location(variable.location),
                "give each variable its own name; modules of one graph are parts of one module, or have names: module.set_name(\"head\")");
  module.add_variable(std::move(variable));
  variable_values.push_back(ir::none);
  trainable.push_back(is_trainable);
  return found->second;
}

std::uint32_t GraphState::hidden_variable(const std::string& name) {
  if (const auto found = variables.find(name); found != variables.end()) return found->second;
  ir::Variable variable;
  variable.name = name;
  variable.type.dtype = DType::u64;
  variable.hidden = true;
  return add_variable(std::move(variable), false);
}

std::int64_t GraphState::next_stream(const std::string& scope) {
  const std::uint32_t ordinal = draws[scope]++;
  std::uint32_t stream = hash_text(scope + "#" + std::to_string(ordinal));
  while (!streams.insert(stream).second) ++stream;
  return stream;
}

Operation Access::operation(GraphState& state, std::vector<ir::NodeId> nodes) {
  Operation operation;
  operation.state_ = &state;
  operation.id_ = static_cast<std::uint32_t>(state.operations.size());
  state.operations.push_back(std::move(nodes));
  return operation;
}

const ir::Type& type_of(const Tensor& tensor) {
  const GraphState* state = Access::state(tensor);
  if (!state)
    throw Error(ErrorCode::invalid_argument, "a default-constructed Tensor was used", LocationScope::resolve({}),
                "assign it a tensor of a graph first");
  return state->module.graph(Access::region(tensor)).type(Access::value(tensor));
}

Location location_of(const Tensor& tensor) {
  const GraphState* state = Access::state(tensor);
  if (!state) return {};
  const ir::Graph& graph = state->module.graph(Access::region(tensor));
  return state->module.location(graph.definition(Access::value(tensor)).location);
}

// ---- locations

namespace {
thread_local Location outermost;
}

LocationScope::LocationScope(const Location& location) {
  if (outermost.known() || !location.known()) return;
  outermost = location;
  opened_ = true;
}

LocationScope::~LocationScope() {
  if (opened_) outermost = {};
}

Location LocationScope::resolve(const Location& location) { return outermost.known() ? outermost : location; }

// ---- regions

OpenRegion::OpenRegion(GraphState& state, const std::string& name, const char* kind, const Location& where, bool may_capture)
    : state_(state), depth_(state.open.size()) {
  Region region;
  region.graph = state.module.add_graph(name);
  region.kind = kind;
  region.where = where;
  region.may_capture = may_capture;
  // Bodies have scopes of their own: draws in one shift none outside of it.
  const std::string scope = state.innermost().scope + "/" + name;
  region.scope = scope + "#" + std::to_string(state.draws[scope]++);
  state.regions.emplace(region.graph, std::pair(kind, where));
  state.open.push_back(std::move(region));
}

OpenRegion::~OpenRegion() {
  if (state_.open.size() > depth_) state_.open.resize(depth_);
}

Region OpenRegion::close(std::vector<ir::ValueId> results) {
  internal_check(state_.open.size() == depth_ + 1, "regions close in the reverse of the order in which they were opened");
  const ir::Graph& graph = state_.module.graph(state_.open.back().graph);
  for (const ir::ValueId result : results)
    for (const ir::Dim& dim : graph.type(result).dims)
      for (const std::string& name : ir::symbols_of(dim)) {
        const auto source = state_.produced.find(name);
        if (source == state_.produced.end() || source->second.graph != state_.open.back().graph) continue;
        throw Error(ErrorCode::unsupported,
                    fmt::format("the {} returns {}, but the extent {} is produced inside, at {}, and has no value outside",
                                state_.open.back().kind, ir::to_string(graph.type(result)), name,
                                to_string(state_.module.location(graph.node(source->second.node).location))),
                    state_.open.back().where, "return a tensor of fixed extents and the count; pad() fills up to the bound");
      }
  Region region = std::move(state_.open.back());
  state_.open.pop_back();
  state_.module.graph(region.graph).results = std::move(results);
  return region;
}

// ---- Emitter

namespace {

GraphState& state_of(std::initializer_list<const Operand*> operands, const char* op) {
  for (const Operand* operand : operands)
    if (operand->is_tensor()) return *Access::state(operand->tensor());
  throw Error(ErrorCode::invalid_argument,
              std::string(op) + (operands.size() == 1 ? " needs a tensor" : " needs at least one tensor") +
                  ", but was given only numbers or default-constructed Tensors",
              LocationScope::resolve((*operands.begin())->location()), "make a tensor of a number with graph.constant(value)");
}

}  // namespace

namespace {

/// 3*n + 6*m as n + 2*m.
ir::Dim without_factor(const ir::Dim& dim) {
  std::int64_t factor = 0;
  for (const ir::DimTerm& term : ir::terms(dim)) factor = std::gcd(factor, term.coefficient);
  return ir::floordiv(dim, factor);
}

}  // namespace

Emitter::Emitter(GraphState& state, const char* op, const Location& location)
    : state_(state), op_(op), location_(LocationScope::resolve(location)), builder_(state.module, state.innermost().graph) {
  builder_.location = state.module.add_location(location_);
  // What a run produces is not known before it; and what is equal for extents of 0 alone (n and 2*n) is a mistake.
  builder_.checkable = [&state](const ir::Dim& a, const ir::Dim& b) {
    if (!a.is_constant() && !b.is_constant() && !(a == b) && without_factor(a) == without_factor(b)) return false;
    if (state.produced.empty()) return true;
    for (const ir::Dim* dim : {&a, &b}) {
      if (dim->is_constant()) continue;
      for (const std::string& name : ir::symbols_of(*dim))
        if (state.produced.contains(name)) return false;
    }
    return true;
  };
}

Emitter::Emitter(std::initializer_list<const Operand*> operands, const char* op)
    : Emitter(state_of(operands, op), op, (*operands.begin())->location()) {}

void Emitter::fail(ErrorCode code, const std::string& message, const std::string& hint) const {
  throw Error(code, std::string(op_) + ": " + message, location_, hint);
}

ir::ValueId Emitter::use(const Tensor& tensor) {
  if (Access::state(tensor) == &state_ && Access::region(tensor) == builder_.graph_id()) return Access::value(tensor);
  return capture(tensor);
}

ir::ValueId Emitter::capture(const Tensor& tensor) {
  if (!tensor.valid()) fail(ErrorCode::invalid_argument, "a default-constructed Tensor was used", "assign it a tensor of a graph first");
  if (Access::state(tensor) != &state_)
    fail(ErrorCode::foreign_graph,
         "the tensor " + to_string(tensor) + " made at " + to_string(location_of(tensor)) + " belongs to another graph",
         "build both operands in one Graph, or feed the other graph's value through a placeholder");
  std::size_t depth = state_.open.size();
  while (depth > 0 && state_.open[depth - 1].graph != Access::region(tensor)) --depth;
  if (depth == 0) {
    const auto& [kind, where] = state_.regions.at(Access::region(tensor));
    fail(ErrorCode::foreign_graph,
         "the tensor " + to_string(tensor) + " made at " + to_string(location_of(tensor)) + " exists only in the " + kind + " at " +
             to_string(where),
         "return it from the body: the call's results are the values that leave it");
  }
  ir::ValueId value = Access::value(tensor);
  for (; depth < state_.open.size(); ++depth) {
    Region& region = state_.open[depth];
    if (!region.may_capture)
      fail(ErrorCode::foreign_graph,
           "the tensor " + to_string(tensor) + " made at " + to_string(location_of(tensor)) + " cannot be used in the " + region.kind +
               " at " + to_string(region.where),
           "an initializer is computed from nothing but the graph that is passed to it");
    const auto [found, added] = region.inner_of.try_emplace(value, ir::none);
    if (added) {
      const ir::Graph& outer = state_.module.graph(state_.open[depth - 1].graph);
      const ir::Type type = outer.type(value);
      const std::string name = outer.value_name(value);
      found->second = state_.module.graph(region.graph).add_parameter(type, name, outer.definition(value).location);
      region.captures.emplace_back(value, found->second);
    }
    value = found->second;
  }
  return value;
}

ir::ValueId Emitter::scalar(const Scalar& scalar, DType dtype) {
  if (is_floating(dtype)) return builder_.scalar(dtype, scalar.as_double());
  const bool fraction = scalar.kind() == Scalar::Kind::real &&
                        !(scalar.as_double() == std::trunc(scalar.as_double()) && std::abs(scalar.as_double()) < 0x1p63);
  Array literal(dtype, Shape{});
  const bool fits = !fraction && visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) {
      const std::int64_t value = scalar.as_integer();
      static_cast<T*>(literal.mutable_raw())[0] = static_cast<T>(value);
      return std::in_range<std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>>(value) &&
             (!std::is_same_v<T, bool> || value == 0 || value == 1);
    }
    return false;
  });
  if (!fits)
    fail(ErrorCode::dtype_mismatch,
         fmt::format("the number {} has no value in {}, the dtype of the tensor that it meets",
                     scalar.kind() == Scalar::Kind::real ? fmt::format("{}", scalar.as_double()) : fmt::format("{}", scalar.as_integer()),
                     name_of(dtype)),
         "convert the tensor first: convert(x, f32)");
  return builder_.constant(std::move(literal));
}

ir::ValueId Emitter::use(const Operand& operand, DType dtype) {
  if (operand.is_tensor()) return use(operand.tensor());
  return scalar(operand.scalar(), dtype);
}

DType Emitter::common_dtype(std::initializer_list<const Operand*> operands) const {
  const Operand* first = nullptr;
  for (const Operand* operand : operands) {
    if (!operand->is_tensor()) continue;
    if (!first) {
      first = operand;
    } else if (type_of(operand->tensor()).dtype != type_of(first->tensor()).dtype) {
      const ir::Type &a = type_of(first->tensor()), &b = type_of(operand->tensor());
      fail(ErrorCode::dtype_mismatch, fmt::format("operands have different dtypes: {} and {}", ir::to_string(a), ir::to_string(b)),
           fmt::format("convert one of them: convert(x, {})", name_of(std::max(a.dtype, b.dtype))));
    }
  }
  return type_of(first->tensor()).dtype;
}

void Emitter::require_dtypes(ir::ValueId value, bool (*accepts)(DType), const char* wanted, const std::string& hint) {
  const ir::Type& type = builder_.type(value);
  if (!accepts(type.dtype))
    fail(ErrorCode::dtype_mismatch, fmt::format("takes {} tensors, but was given {}", wanted, ir::to_string(type)), hint);
}

ir::ValueId Emitter::broadcast_to(ir::ValueId value, const ir::Dims& dims) {
  const ir::Type& type = builder_.type(value);
  if (type.dims == dims) return value;
  std::vector<std::int64_t> positions(type.rank());
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int64_t>(dims.size() - type.rank() + i);
  return builder_.broadcast_in_dim(value, dims, std::move(positions));
}

void Emitter::broadcast(std::span<ir::ValueId> values) {
  const ir::Dims& first = builder_.type(values[0]).dims;
  if (std::all_of(values.begin() + 1, values.end(), [&](ir::ValueId v) { return builder_.type(v).dims == first; })) return;
  std::size_t rank = 0;
  for (const ir::ValueId v : values) rank = std::max(rank, builder_.type(v).rank());
  ir::Dims dims(rank, ir::Dim(1));
  const std::vector<ir::ValueId> operands(values.begin(), values.end());
  for (ir::ValueId& v : values) {
    const ir::Dims given = builder_.type(v).dims;
    for (std::size_t i = 0; i < given.size(); ++i) {
      ir::Dim& extent = dims[rank - given.size() + i];
      const ir::Dim& other = given[i];
      if (extent == other || other.is_constant(1)) continue;
      if (extent.is_constant(1)) {
        extent = other;
        continue;
      }
      const ir::Truth same = ir::equals(extent, other);
      if (same == ir::Truth::yes) continue;
      std::string types;
      for (std::size_t k = 0; k < operands.size(); ++k)
        types += (k == 0 ? "" : k + 1 == operands.size() ? " and " : ", ") + ir::to_string(builder_.type(operands[k]));
      const std::string extents = fmt::format("extents {} and {}", ir::to_string(extent), ir::to_string(other));
      if (same == ir::Truth::no)
        fail(ErrorCode::shape_mismatch, fmt::format("shapes do not fit together: {} ({} differ)", types, extents),
             "shapes are aligned at the right, and only an extent of 1 is repeated; reshape() or expand_dims() moves an axis");
      if (builder_.checkable(extent, other)) {
        // The first extent counts; whether the other is equal is seen before the run.
        ir::Dims dims_of_first = builder_.type(v).dims;
        dims_of_first[i] = extent;
        v = builder_.create(ir::Op::match_extents, {v},
                            {{"dims", dims_of_first},
                             {"left", ir::Dims{extent}},
                             {"right", ir::Dims{other}},
                             {"message", fmt::format("{}: shapes do not fit together: {} ({} differ)", op_, types, extents)}});
        continue;
      }
      fail(ErrorCode::shape_mismatch, fmt::format("shapes do not fit together for certain: {} ({} may differ)", types, extents),
           "use one symbol for both; a symbolic extent is never taken for 1");
    }
  }
  for (ir::ValueId& v : values) v = broadcast_to(v, dims);
}

std::int64_t Emitter::axis(std::int64_t axis, std::size_t rank) const {
  const auto n = static_cast<std::int64_t>(rank);
  if (axis < -n || axis >= n)
    fail(ErrorCode::invalid_argument,
         n == 0 ? fmt::format("axis {} of a scalar, which has none", axis)
                : fmt::format("there is no axis {} in a tensor of rank {}", axis, n),
         n == 0 ? "reshape(x, {1}) makes it a vector of one element"
                : fmt::format("axes are 0 to {}, or -{} to -1 from the back", n - 1, n));
  return axis < 0 ? axis + n : axis;
}

}  // namespace kiln::detail

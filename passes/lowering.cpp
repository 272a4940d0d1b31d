// The shared part of lowering (passes/lowering.h): axes and their collapse, buffers, emission of expressions.
#include "passes/lowering.h"

#include <algorithm>

#include <fmt/format.h>

namespace kiln::passes {

using ir::Dim;
using ir::Dims;
using ir::LoopOp;
using ir::RegisterId;
using ir::RegisterType;
using ir::ScalarId;
using ir::ScalarNode;

// ---- index arithmetic

namespace {

Dim dim_of(const ir::DimAtom& atom) {
  switch (atom.kind) {
    case ir::DimAtom::Kind::symbol: return Dim::symbol(atom.symbol);
    case ir::DimAtom::Kind::floordiv: return floordiv(*atom.a, *atom.b);
    case ir::DimAtom::Kind::mod: return mod(*atom.a, *atom.b);
    case ir::DimAtom::Kind::min: return min(*atom.a, *atom.b);
    case ir::DimAtom::Kind::max: break;
  }
  return max(*atom.a, *atom.b);
}

/// The factor of an atom in a polynomial: the sum of the terms that have it once, without it.
Dim coefficient_of(const Dim& polynomial, const Dim& atom) {
  Dim sum = 0;
  for (const ir::DimTerm& term : ir::terms(polynomial)) {
    Dim rest = term.coefficient;
    int power = 0;
    for (const auto& [factor, exponent] : term.factors) {
      const Dim value = dim_of(factor);
      if (value == atom)
        power += exponent;
      else
        for (int i = 0; i < exponent; ++i) rest *= value;
    }
    if (power == 1) sum += rest;
  }
  return sum;
}

/// Puts c * b * floordiv(x, b) + c * mod(x, b) together to c * x, until nothing changes.
Dim rejoin(Dim offset) {
  for (bool changed = true; changed;) {
    changed = false;
    for (const ir::DimTerm& term : ir::terms(offset)) {
      for (const auto& [atom, power] : term.factors) {
        if (atom.kind != ir::DimAtom::Kind::mod || power != 1) continue;
        const Dim remainder = dim_of(atom), quotient = floordiv(*atom.a, *atom.b);
        const Dim factor = coefficient_of(offset, remainder);
        if (quotient.is_constant() || !(coefficient_of(offset, quotient) == factor * *atom.b)) continue;
        offset = offset - factor * remainder - factor * *atom.b * quotient + factor * *atom.a;
        changed = true;
        break;
      }
      if (changed) break;
    }
  }
  return offset;
}

bool is_polynomial(const Dim& dim) {
  for (const ir::DimTerm& term : ir::terms(dim))
    for (const auto& [atom, power] : term.factors)
      if (atom.kind != ir::DimAtom::Kind::symbol) return false;
  return true;
}

Dim replace(const Dim& dim, const std::function<std::optional<Dim>(std::string_view)>& by) {
  return ir::substitute(dim, [&](const ir::SymbolInfo& info) { return by(info.name); });
}

std::vector<Axis> components(const Axis& axis) { return axis.merged.empty() ? std::vector<Axis>{axis} : axis.merged; }

}  // namespace

Dim memory_offset(const Dims& extents, const Dims& index) {
  Dim offset = 0;
  for (std::size_t i = 0; i < index.size(); ++i) offset = offset * extents[i] + index[i];
  return rejoin(offset);
}

Dims position_to_index(const Dim& position, const Dims& extents) {
  Dims index(extents.size());
  Dim rest = position;
  for (std::size_t i = extents.size(); i-- > 0;) {
    index[i] = i == 0 ? rest : mod(rest, extents[i]);
    if (i > 0) rest = floordiv(rest, extents[i]);
  }
  return index;
}

std::optional<Dim> stride_of(const Dim& offset, const Axis& axis) {
  if (!ir::mentions(offset, axis.id())) return Dim(0);
  const auto linear = ir::linear_in(offset, axis.id());
  if (!linear) return std::nullopt;
  return linear->coefficient;
}

std::int64_t typical(const Dim& dim) {
  const Dim value = ir::substitute(dim, [](const ir::SymbolInfo& info) -> std::optional<Dim> {
    return Dim(std::clamp(info.typical != 0 ? info.typical : std::int64_t{64}, info.min, info.max));
  });
  return value.is_constant() ? value.constant() : 64;
}

// ---- Lowering

Lowering::Lowering(const ir::Module& module, ir::GraphId id, const CpuTarget& cpu)
    : graph(module.graph(id)), target(cpu), scalars(module, graph), builder(graph.name) {
  for (const ir::ValueId parameter : graph.parameters) parameter_extents_[parameter] = graph.type(parameter).dims;
  for (const ir::ValueId result : graph.results) output_extents_.push_back(graph.type(result).dims);
  const auto reserve = [&](const Dims& dims) {
    for (const Dim& dim : dims) ir::for_each_symbol(dim, [&](const auto& info) { builder.reserve(info->name); });
  };
  for (ir::NodeId node = 0; node < graph.node_count(); ++node) {
    for (std::uint32_t r = 0; r < graph.node(node).result_count; ++r) reserve(graph.type(graph.node(node).first_result + r).dims);
    for (const auto& [name, value] : graph.node(node).attributes.items())
      if (const Dims* dims = std::get_if<Dims>(&value)) reserve(*dims);
  }
}

Axis Lowering::axis(std::string name, const Dim& extent, int group) {
  auto info = std::make_shared<ir::SymbolInfo>();
  info->name = fmt::format("${}{}", name, next_axis_++);
  info->max = ir::bounds(extent).max;
  if (info->max != INT64_MAX && info->max > 0) --info->max;
  return {std::move(name), Dim::symbol(info), extent, group, {}};
}

std::vector<Axis> Lowering::axes_of(const Dims& dims, int group) {
  static constexpr const char* names[] = {"i", "j", "k", "l"};
  std::vector<Axis> axes;
  for (std::size_t i = 0; i < dims.size(); ++i)
    axes.push_back(axis(i < std::size(names) ? names[i] : fmt::format("i{}", i), dims[i], group));
  return axes;
}

bool Lowering::is_parameter_load(ScalarId id) const {
  const ScalarNode& node = scalars.node(id);
  return node.op == LoopOp::load && parameter_extents_.contains(node.source);
}

const Dims& Lowering::load_index(ScalarId id) const {
  const auto it = load_index_.find(id);
  return it == load_index_.end() ? scalars.node(id).indices : it->second;
}

Dim Lowering::load_offset(ScalarId id) const { return memory_offset(parameter_extents_.at(scalars.node(id).source), load_index(id)); }

Dim Lowering::store_offset(const Store& store) const {
  return memory_offset(store.scratch ? builder.buffer_info(*store.scratch).extents : output_extents_[store.output], store.index);
}

Dim Lowering::named(const char* name, const Dim& dim) {
  if (is_polynomial(dim) && ir::terms(dim).size() <= 1) return dim;
  const ir::Interval interval = ir::bounds(dim);
  return builder.let(name, builder.index(dim), std::max<std::int64_t>(interval.min, 0), interval.max);
}

std::vector<bool> Lowering::dependents(std::span<const ScalarId> roots, const Axis& axis) const {
  std::vector<bool> result(scalars.size());
  for (const ScalarId id : scalars.reachable(roots)) {  // operands first
    const ScalarNode& node = scalars.node(id);
    bool depends = scalars.is_carried(id) || std::any_of(node.operands.begin(), node.operands.end(), [&](ScalarId operand) { return result[operand]; });
    if (node.op != LoopOp::let)
      for (const Dim& dim : load_index(id))
        ir::for_each_symbol(dim, [&](const auto& info) {
          const ScalarId atom = scalars.atom(info->name);
          depends |= atom == ir::none ? info->name == axis.id() : result[atom];
        });
    result[id] = depends;
  }
  return result;
}

bool Lowering::gathers_along(std::span<const ScalarId> roots, const Axis& axis) const {
  const std::vector<bool> dependent = dependents(roots, axis);
  for (ScalarId id = 0; id < dependent.size(); ++id)
    if (dependent[id] && scalars.node(id).op == LoopOp::let) return true;
  return false;
}

void Lowering::collapse(std::vector<Axis>& axes, std::vector<Store>& stores, const std::vector<ScalarId>& more_roots,
                        std::vector<Dim>* places) {
  std::vector<ScalarId> roots = more_roots;
  for (const Store& store : stores) roots.push_back(store.value);
  std::vector<ScalarId> loads;
  std::vector<Dim> offsets, fixed;  // of accesses; index values that must stay as they are
  for (const ScalarId id : scalars.reachable(roots)) {
    if (is_parameter_load(id)) {
      loads.push_back(id);
      offsets.push_back(load_offset(id));
    } else if (scalars.node(id).op == LoopOp::index) {
      fixed.push_back(scalars.node(id).indices[0]);
    }
  }
  for (const Store& store : stores) offsets.push_back(store_offset(store));
  if (places != nullptr) offsets.insert(offsets.end(), places->begin(), places->end());

  auto mergeable = [&](const Axis& outer, const Axis& inner) {
    if (outer.group != inner.group) return false;
    for (const Dim& dim : fixed)
      if (ir::mentions(dim, outer.id()) || ir::mentions(dim, inner.id())) return false;
    return std::all_of(offsets.begin(), offsets.end(), [&](const Dim& offset) {
      const auto a = stride_of(offset, outer), b = stride_of(offset, inner);
      return a && b && *a == *b * inner.extent;
    });
  };
  bool changed = false;
  for (std::size_t i = 0; i + 1 < axes.size();) {
    Axis &outer = axes[i], &inner = axes[i + 1];
    if (!mergeable(outer, inner)) {
      ++i;
      continue;
    }
    changed = true;
    Axis joined = axis(outer.name, outer.extent * inner.extent, outer.group);
    joined.merged = components(outer);
    for (const Axis& c : components(inner)) joined.merged.push_back(c);
    for (Dim& offset : offsets)
      offset = replace(offset, [&](std::string_view name) -> std::optional<Dim> {
        if (name == outer.id()) return Dim(0);
        if (name == inner.id()) return joined.symbol;
        return std::nullopt;
      });
    axes[i] = std::move(joined);
    axes.erase(axes.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    if (i > 0) --i;  // the joined axis may now fit the one before
  }

  if (places != nullptr) std::copy(offsets.end() - static_cast<std::ptrdiff_t>(places->size()), offsets.end(), places->begin());

  // Indices per buffer: in its own dims where they fit the merged axes, else as one offset.
  auto rewrite = [&](Dims& extents, const std::vector<Dims*>& indices, const std::vector<Dim>& flat) {
    bool plain = true;
    for (std::size_t i = 0; i < indices.size(); ++i)
      plain &= !is_polynomial(flat[i]) || std::all_of(indices[i]->begin(), indices[i]->end(), is_polynomial);
    if (!changed && plain) return;
    if (plain) {
      if (Dims merged = present(extents, indices, axes); !merged.empty()) {
        extents = std::move(merged);
        return;
      }
    }
    if (extents.empty()) return;
    extents = {ir::product(extents)};
    for (std::size_t i = 0; i < indices.size(); ++i) *indices[i] = {flat[i]};
  };
  for (const ir::ValueId parameter : graph.parameters) {
    std::vector<Dims*> indices;
    std::vector<Dim> flat;
    for (std::size_t i = 0; i < loads.size(); ++i) {
      if (scalars.node(loads[i]).source != parameter) continue;
      indices.push_back(&load_index_.try_emplace(loads[i], scalars.node(loads[i]).indices).first->second);
      flat.push_back(offsets[i]);
    }
    if (!indices.empty()) rewrite(parameter_extents_[parameter], indices, flat);
  }
  for (std::size_t i = 0; i < stores.size(); ++i)
    rewrite(output_extents_[stores[i].output], {&stores[i].index}, {offsets[loads.size() + i]});
}

/// Joins the buffer's dims that run with a merged axis, in all accesses alike; empty when some access does not fit.
Dims Lowering::present(Dims& extents, const std::vector<Dims*>& indices, const std::vector<Axis>& axes) {
  std::vector<Dims> rewritten;
  std::vector<std::size_t> partition;
  for (std::size_t a = 0; a < indices.size(); ++a) {
    const Dims& index = *indices[a];
    Dims result;
    std::vector<std::size_t> lengths;
    for (std::size_t d = 0; d < index.size();) {
      std::size_t length = 1;
      Dim joined = index[d];
      for (const Axis& axis : axes) {
        if (axis.merged.empty()) continue;
        bool fits = d + axis.merged.size() <= index.size();
        for (std::size_t k = 0; fits && k < axis.merged.size(); ++k)
          fits = index[d + k] == axis.merged[k].symbol && (k == 0 || extents[d + k] == axis.merged[k].extent);
        if (fits) {
          length = axis.merged.size();
          joined = axis.symbol;
          break;
        }
        for (const Axis& part : axis.merged)
          if (ir::mentions(index[d], part.id())) return {};
      }
      result.push_back(joined);
      lengths.push_back(length);
      d += length;
    }
    if (a > 0 && lengths != partition) return {};
    partition = lengths;
    rewritten.push_back(std::move(result));
  }
  Dims joined;
  std::size_t d = 0;
  for (const std::size_t length : partition) {
    joined.push_back(ir::product(std::span(extents).subspan(d, length)));
    d += length;
  }
  for (std::size_t a = 0; a < indices.size(); ++a) *indices[a] = rewritten[a];
  return joined;
}

void Lowering::declare_buffers() {
  auto name_of_value = [&](ir::ValueId value, std::string otherwise) {
    const std::string& name = graph.value_name(value);
    return name.empty() ? otherwise : name;
  };
  for (const ir::ValueId parameter : graph.parameters)
    for (const Dim& dim : graph.type(parameter).dims) ir::for_each_symbol(dim, [&](const auto& info) { builder.symbol(info); });
  for (std::size_t i = 0; i < graph.parameters.size(); ++i) {
    const ir::ValueId value = graph.parameters[i];
    const bool changed = std::any_of(starts_as_.begin(), starts_as_.end(), [&](const auto& start) { return start.second == value; });
    parameter_buffers_[value] =
        builder.buffer(name_of_value(value, fmt::format("in{}", i)), graph.type(value).dtype, parameter_extents_.at(value),
                       changed ? ir::Buffer::Role::inout : ir::Buffer::Role::input);
  }
  for (std::uint32_t i = 0; i < graph.results.size(); ++i) {
    const ir::ValueId value = graph.results[i];
    if (const auto start = starts_as_.find(i); start != starts_as_.end()) {
      output_buffers_.push_back(parameter_buffers_.at(start->second));
      continue;
    }
    output_buffers_.push_back(builder.buffer(name_of_value(value, fmt::format("out{}", i)), graph.type(value).dtype, output_extents_[i],
                                             ir::Buffer::Role::output));
  }
}

// ---- Expressions

Dim Expressions::place(const Dim& dim) const {
  return replace(dim, [&](std::string_view name) -> std::optional<Dim> {
    if (name.empty() || name[0] != '$') return std::nullopt;
    for (const auto& [axis, where] : tile_.at)
      if (axis->id() == name) return where;
    if (const auto it = lets_.find(std::string(name)); it != lets_.end()) return it->second;
    return std::nullopt;
  });
}

Dims Expressions::place(const Dims& dims) const {
  Dims result;
  for (const Dim& dim : dims) result.push_back(place(dim));
  return result;
}

RegisterType Expressions::type_at(DType dtype, std::span<const Dim> placed) const {
  RegisterType type{dtype};
  for (const Dim& dim : placed) {
    if (ir::mentions(dim, ir::tile_row)) type.rows = static_cast<std::int16_t>(tile_.rows);
    if (ir::mentions(dim, ir::tile_vector)) {
      type.cols = static_cast<std::int16_t>(tile_.cols);
      type.lanes = static_cast<std::int16_t>(tile_.lanes);
    }
  }
  return type;
}

RegisterId Expressions::value(ScalarId root) {
  // What is missing, in topological order; nothing below a known value is made.
  std::vector<ScalarId> stack{root}, missing;
  std::unordered_map<ScalarId, bool> seen;
  while (!stack.empty()) {
    const ScalarId id = stack.back();
    stack.pop_back();
    if (registers_.contains(id) || !seen.emplace(id, true).second) continue;
    missing.push_back(id);
    const ScalarNode& node = lowering_.scalars.node(id);
    stack.insert(stack.end(), node.operands.begin(), node.operands.end());
    if (node.op == LoopOp::let) continue;
    for (const Dim& dim : lowering_.load_index(id))
      ir::for_each_symbol(dim, [&](const auto& info) {
        if (const ScalarId atom = lowering_.scalars.atom(info->name); atom != ir::none) stack.push_back(atom);
      });
  }
  std::sort(missing.begin(), missing.end());
  for (const ScalarId id : missing) registers_[id] = emit(id);
  return registers_.at(root);
}

RegisterId Expressions::emit(ScalarId id) {
  ir::KernelBuilder& b = lowering_.builder;
  const ScalarNode& node = lowering_.scalars.node(id);
  std::vector<RegisterId> operands;
  for (const ScalarId operand : node.operands) operands.push_back(registers_.at(operand));
  switch (node.op) {
    case LoopOp::constant: return b.constant({node.dtype}, node.literal);
    case LoopOp::index: {
      const Dim index = place(node.indices[0]);
      return b.index(index, type_at(DType::i64, std::span(&index, 1)));
    }
    case LoopOp::let: {
      internal_check(b.type(operands[0]).elements() == 1, "lowering: a gather along the vector axis");
      const ir::SymbolInfo* info = node.indices[0].symbol_info();
      lets_[node.name] = b.let("t", operands[0], info->min, info->max);
      return operands[0];
    }
    case LoopOp::load: {
      const std::optional<ir::BufferId> computed = lowering_.computed_buffer(id);
      internal_check(computed || lowering_.is_parameter_load(id), "lowering: a computed value is read where the schedule has not made it");
      Dims indices = place(lowering_.load_index(id));
      RegisterType type = type_at(computed ? b.buffer_info(*computed).dtype : node.dtype, indices);
      ir::Mask mask;
      if (tile_.mask && type.cols * type.lanes > 1) mask = tile_.mask;
      if (!operands.empty()) {
        const RegisterType& own = b.type(operands[0]);
        type.rows = std::max(type.rows, own.rows);
        type.cols = std::max(type.cols, own.cols);
        type.lanes = std::max(type.lanes, own.lanes);
        mask = mask ? b.binary(LoopOp::and_, *mask, operands[0]) : operands[0];
      }
      const RegisterId value = b.load(computed ? *computed : lowering_.parameter_buffer(node.source), std::move(indices), type, mask);
      return b.convert(value, node.dtype);
    }
    case LoopOp::compare: return b.compare(node.comparison, operands[0], operands[1]);
    case LoopOp::convert: return b.convert(operands[0], node.dtype);
    case LoopOp::bitcast: return b.bitcast(operands[0], node.dtype);
    default: return b.apply(node.op, operands);
  }
}

void Expressions::store(const Store& store) {
  const RegisterId reg = value(store.value);
  Dims indices = place(store.index);
  const RegisterType type = type_at(lowering_.builder.type(reg).dtype, indices);
  const ir::BufferId buffer = store.scratch ? *store.scratch : lowering_.output_buffer(store.output);
  lowering_.builder.store(buffer, std::move(indices), reg, type, type.cols * type.lanes > 1 ? tile_.mask : ir::Mask{});
}

RegisterId mask_below(ir::KernelBuilder& builder, const Dim& begin, const Dim& end, int cols, int lanes) {
  const RegisterType type{DType::i64, 1, static_cast<std::int16_t>(cols), static_cast<std::int16_t>(lanes)};
  const RegisterId position = builder.index(Dim::symbol(ir::tile_vector), type);
  return builder.compare(ir::Comparison::lt, position, builder.index(end - begin));
}

// ---- what schedules ask of expressions

int lanes_along(const Lowering& lowering, std::span<const ScalarId> roots, std::span<const DType> stored, const Axis& axis) {
  int lanes = 64;
  for (const DType dtype : stored) lanes = std::min(lanes, ir::vector_lanes(dtype));
  const std::vector<bool> dependent = lowering.dependents(roots, axis);
  for (ScalarId id = 0; id < dependent.size(); ++id) {
    const ScalarNode& node = lowering.scalars.node(id);
    if (dependent[id] && node.op != LoopOp::index && node.op != LoopOp::let) lanes = std::min(lanes, ir::vector_lanes(node.dtype));
  }
  return lanes;
}

bool is_function(LoopOp op) { return op >= LoopOp::exp; }

std::int64_t cost_of(const ScalarGraph& scalars, std::span<const ScalarId> roots) {
  std::int64_t cost = 0;
  for (const ScalarId id : scalars.reachable(roots)) {
    const LoopOp op = scalars.node(id).op;
    cost += is_function(op) ? 15 : op == LoopOp::divide || op == LoopOp::sqrt ? 8 : op == LoopOp::constant ? 0 : 1;
  }
  return cost;
}

}  // namespace kiln::passes

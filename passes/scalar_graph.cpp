// ScalarGraph (passes/scalar_graph.h).
#include "passes/scalar_graph.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "ir/loop_builder.h"

namespace kiln::passes {

using ir::Dim;
using ir::Dims;
using ir::LoopOp;
using ir::ScalarId;
using ir::ScalarNode;

namespace {

constexpr const char* pending_atom = "$pending";

std::size_t combine(std::size_t seed, std::size_t value) { return (seed ^ value) * 0x9E3779B97F4A7C15u + (seed >> 29); }

std::size_t hash_of(const ScalarNode& n) {
  std::size_t h = combine(static_cast<std::size_t>(n.op), static_cast<std::size_t>(n.dtype));
  for (const ScalarId id : n.operands) h = combine(h, id);
  h = combine(h, n.source);
  for (const Dim& dim : n.indices) h = combine(h, dim.hash());
  h = combine(h, std::bit_cast<std::uint64_t>(n.literal.number));
  h = combine(h, static_cast<std::size_t>(n.literal.integer));
  return combine(h, static_cast<std::size_t>(n.comparison));
}

bool equal(const ScalarNode& a, const ScalarNode& b) {
  return a.op == b.op && a.dtype == b.dtype && a.operands == b.operands && a.source == b.source && a.comparison == b.comparison &&
         (a.op == LoopOp::let || a.indices == b.indices) && (a.op != LoopOp::constant || a.literal == b.literal);
}

bool is_small_float(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }

/// Ops that move bits or choose between values: exact in f16 and bf16 as they are.
bool keeps_bits(LoopOp op) { return op == LoopOp::select || op == LoopOp::bitcast || op == LoopOp::convert; }

bool mentions_pending(std::span<const Dim> index) {
  return std::any_of(index.begin(), index.end(), [](const Dim& dim) { return ir::mentions(dim, pending_atom); });
}

}  // namespace

std::size_t ScalarGraph::ElementHash::operator()(const Element& e) const {
  std::size_t h = combine(e.value, e.mask);
  for (const Dim& dim : e.index) h = combine(h, dim.hash());
  return h;
}

ScalarGraph::ScalarGraph(const ir::Module& module, const ir::Graph& graph) : module_(module), graph_(graph) {
  for (int i = 0; i < dtype_count; ++i) {
    ScalarNode node;
    node.op = LoopOp::yield;
    node.dtype = static_cast<DType>(i);
    nodes_.push_back(std::move(node));
  }
}

ScalarId ScalarGraph::intern(ScalarNode node) {
  std::vector<ScalarId>& bucket = by_hash_[hash_of(node)];
  for (const ScalarId id : bucket)
    if (equal(nodes_[id], node)) return id;
  nodes_.push_back(std::move(node));
  bucket.push_back(static_cast<ScalarId>(nodes_.size() - 1));
  return bucket.back();
}

ScalarId ScalarGraph::atom(std::string_view name) const {
  const auto it = atoms_.find(std::string(name));
  return it == atoms_.end() ? ir::none : it->second;
}

std::vector<ScalarId> ScalarGraph::reachable(std::span<const ScalarId> roots) const {
  std::vector<bool> seen(nodes_.size());
  std::vector<ScalarId> stack(roots.begin(), roots.end()), order;
  while (!stack.empty()) {
    const ScalarId id = stack.back();
    stack.pop_back();
    if (seen[id]) continue;
    seen[id] = true;
    order.push_back(id);
    const ScalarNode& n = nodes_[id];
    stack.insert(stack.end(), n.operands.begin(), n.operands.end());
    for (const Dim& dim : n.indices)
      ir::for_each_symbol(dim, [&](const auto& info) {
        if (const ScalarId a = atom(info->name); a != ir::none) stack.push_back(a);
      });
  }
  std::sort(order.begin(), order.end());
  return order;
}

// ---- pulling

bool ScalarGraph::is_leaf(ir::ValueId value) const {
  const ir::Node& node = graph_.definition(value);
  return node.op == ir::Op::parameter || ir::info(node.op).kernel != ir::KernelKind::map;
}

ScalarId ScalarGraph::leaf(const Element& element) {
  ScalarNode node;
  node.op = LoopOp::load;
  node.dtype = graph_.type(element.value).dtype;
  node.source = element.value;
  node.indices = element.index;
  if (graph_.definition(element.value).op == ir::Op::parameter) {
    if (element.mask != ir::none) node.operands = {element.mask};
  } else {
    // The schedule knows a computed value by its index, which must have one form: 0 where there is nothing else. It lies in registers, so
    // it needs no mask.
    for (std::size_t d = 0; d < node.indices.size(); ++d)
      if (graph_.type(element.value).dims[d].is_constant(1)) node.indices[d] = 0;
  }
  return intern(std::move(node));
}

ScalarId ScalarGraph::element(const Element& element) {
  if (is_leaf(element.value)) return leaf(element);
  if (const auto it = known_.find(element); it != known_.end()) return it->second;
  wanted_.push_back(element);
  return pending(graph_.type(element.value).dtype);
}

ScalarId ScalarGraph::lower_element(const ir::Node& node, std::uint32_t result, const Dims& index) {
  const ir::OpInfo& info = ir::info(node.op);
  if (info.element != nullptr) return info.element(*this, node, result, index);
  if (info.elementwise && info.loop_op != LoopOp::constant) {
    std::vector<ScalarId> operands;
    for (std::size_t i = 0; i < node.operands.size(); ++i) operands.push_back(operand(i, index));
    return apply(info.loop_op, result_type().dtype, operands);
  }
  throw InternalError(fmt::format("lowering: op '{}' in kernel body @{} has no element function", info.name, graph_.name));
}

void ScalarGraph::resolve() {
  std::vector<Element> stack = std::move(wanted_);
  wanted_.clear();
  while (!stack.empty()) {
    if (known_.contains(stack.back())) {
      stack.pop_back();
      continue;
    }
    const Element goal = stack.back();
    const ir::Node& node = graph_.definition(goal.value);
    current_ = &node;
    current_mask_ = goal.mask;
    const ScalarId id = lower_element(node, graph_.result_index(goal.value), goal.index);
    if (wanted_.empty()) {
      internal_check(!is_pending(id), "lowering: an element function lost an operand");
      known_.emplace(goal, id);
      stack.pop_back();
    } else {
      stack.insert(stack.end(), wanted_.begin(), wanted_.end());
      wanted_.clear();
    }
  }
}

ScalarId ScalarGraph::value(ir::ValueId value, const Dims& index) {
  const Element goal{value, index, ir::none};
  if (is_leaf(value)) return leaf(goal);
  wanted_ = {goal};
  resolve();
  return known_.at(goal);
}

std::vector<ScalarId> ScalarGraph::pulled(ir::NodeId node, const std::function<std::vector<ScalarId>()>& function) {
  for (;;) {
    wanted_.clear();
    current_ = &graph_.node(node);
    current_mask_ = ir::none;
    std::vector<ScalarId> ids = function();
    if (wanted_.empty()) return ids;
    resolve();
  }
}

ScalarId ScalarGraph::body(ir::NodeId node, const ir::Structured& structured, const Dims& axes) {
  return pulled(node, [&] { return std::vector{structured.body(*this, axes)}; })[0];
}

std::vector<ScalarId> ScalarGraph::start(ir::NodeId node, const ir::Structured& structured, const Dims& parallel) {
  return pulled(node, [&] { return structured.start(*this, parallel); });
}

std::vector<ScalarId> ScalarGraph::step(ir::NodeId node, const ir::Structured& structured, std::span<const ScalarId> carried,
                                        const Dims& axes) {
  return pulled(node, [&] { return structured.step(*this, carried, axes); });
}

ScalarId ScalarGraph::carried(DType dtype, std::uint32_t number) {
  ScalarNode node;
  node.op = LoopOp::yield;
  node.dtype = dtype;
  node.source = number;
  return intern(std::move(node));
}

std::vector<ir::Ordering::Key> ScalarGraph::keys(ir::NodeId node, const ir::Ordering& ordering, const Dims& index) {
  for (;;) {
    wanted_.clear();
    current_ = &graph_.node(node);
    current_mask_ = ir::none;
    std::vector<ir::Ordering::Key> keys = ordering.keys(*this, index);
    if (wanted_.empty()) return keys;
    resolve();
  }
}

ir::Update::Cell ScalarGraph::cell(ir::NodeId node, const ir::Update& update, const Dims& axes) {
  for (;;) {
    wanted_.clear();
    current_ = &graph_.node(node);
    current_mask_ = ir::none;
    ir::Update::Cell cell = update.cell(*this, axes);
    if (wanted_.empty()) return cell;
    resolve();
  }
}

// ---- what element functions call

ScalarId ScalarGraph::operand(std::size_t i, std::span<const Dim> index) {
  const ir::ValueId value = current_->operands[i];
  if (mentions_pending(index)) return pending(graph_.type(value).dtype);
  return element({value, Dims(index.begin(), index.end()), current_mask_});
}

ScalarId ScalarGraph::operand_where(ScalarId mask, std::size_t i, std::span<const Dim> index, ScalarId otherwise) {
  const ir::ValueId value = current_->operands[i];
  const DType dtype = graph_.type(value).dtype;
  if (mentions_pending(index) || is_pending(mask)) return pending(dtype);
  const ScalarId all = current_mask_ == ir::none ? mask : apply(LoopOp::and_, DType::boolean, {current_mask_, mask});
  const ScalarId read = element({value, Dims(index.begin(), index.end()), all});
  return apply(LoopOp::select, dtype, {mask, read, otherwise});
}

const ir::Type& ScalarGraph::operand_type(std::size_t i) const { return graph_.type(current_->operands[i]); }
const ir::Type& ScalarGraph::result_type(std::size_t i) const { return graph_.type(current_->first_result + static_cast<ir::ValueId>(i)); }

ScalarId ScalarGraph::as_float(ScalarId id) { return is_small_float(dtype_of(id)) ? apply(LoopOp::convert, DType::f32, {id}) : id; }

ScalarId ScalarGraph::apply(LoopOp op, DType dtype, std::span<const ScalarId> operands) {
  if (std::any_of(operands.begin(), operands.end(), [&](ScalarId id) { return is_pending(id); })) return pending(dtype);
  if (op == LoopOp::convert && dtype_of(operands[0]) == dtype) return operands[0];
  if (is_small_float(dtype) && !keeps_bits(op)) {
    std::vector<ScalarId> wide;
    for (const ScalarId id : operands) wide.push_back(as_float(id));
    const ScalarId result = apply(op, DType::f32, wide);
    return apply(LoopOp::convert, dtype, {result});
  }
  ScalarNode node;
  node.op = op;
  node.dtype = dtype;
  node.operands.assign(operands.begin(), operands.end());
  return intern(std::move(node));
}

ScalarId ScalarGraph::compare(ir::Comparison comparison, ScalarId a, ScalarId b) {
  if (is_pending(a) || is_pending(b)) return pending(DType::boolean);
  ScalarNode node;
  node.op = LoopOp::compare;
  node.dtype = DType::boolean;
  node.operands = {as_float(a), as_float(b)};
  node.comparison = comparison;
  return intern(std::move(node));
}

ScalarId ScalarGraph::constant(const ir::Literal& literal) {
  ScalarNode node;
  node.op = LoopOp::constant;
  node.dtype = literal.dtype;
  node.literal = literal;
  return intern(std::move(node));
}

ScalarId ScalarGraph::index_value(const Dim& index) {
  if (ir::mentions(index, pending_atom)) return pending(DType::i64);
  if (index.is_constant()) return constant(ir::Literal::of_bits(DType::i64, index.constant()));
  ScalarNode node;
  node.op = LoopOp::index;
  node.dtype = DType::i64;
  node.indices = {index};
  return intern(std::move(node));
}

Dim ScalarGraph::index_atom(ScalarId integer, std::int64_t min, const Dim& max_inclusive) {
  if (is_pending(integer)) return Dim::symbol(pending_atom);
  if (const ScalarNode& n = nodes_[integer]; n.op == LoopOp::index) return n.indices[0];
  if (const ScalarNode& n = nodes_[integer]; n.op == LoopOp::constant) return Dim(n.literal.integer);
  ScalarNode node;
  node.op = LoopOp::let;
  node.dtype = dtype_of(integer);
  node.operands = {integer};
  const ScalarId id = intern(std::move(node));
  // The name is known by the id: equal integers give equal atoms.
  auto info = std::make_shared<ir::SymbolInfo>();
  info->name = fmt::format("$atom{}", id);
  info->min = min;
  info->max = ir::bounds(max_inclusive).max;
  nodes_[id].name = info->name;
  nodes_[id].indices = {Dim::symbol(info)};  // with its bounds, for emission
  atoms_.emplace(info->name, id);
  return Dim::symbol(info);
}

}  // namespace kiln::passes

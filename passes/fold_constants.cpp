// fold_constants: what depends on constants alone becomes a constant, computed by the reference evaluator, which is the meaning of every
// op.
//
// A broadcast of a scalar and an iota are smaller as they are; they stay, but count as known for what is computed from them. Large literals
// are not computed with: the program would carry the result, and the reference is slow. Nor is what compiled code computes to other last
// bits than the reference (functions, sums of floats): a value must not depend on whether its operands are known early.
#include "ir/op.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace kiln::passes {

using namespace ir;

namespace {

bool all_constant(const Dims& dims) {
  for (const Dim& d : dims)
    if (!d.is_constant()) return false;
  return true;
}

/// Nothing in the node depends on the run: no symbols, no random stream.
bool is_fixed(const Graph& graph, const Node& node) {
  if (node.op == Op::rng_bits || !info(node.op).evaluate || info(node.op).effect || node.recompute) return false;
  if (info(node.op).tolerance > 0 && node.result_count > 0 && is_floating(graph.type(node.first_result).dtype)) return false;
  for (const auto& [name, value] : node.attributes.items())
    if (const Dims* dims = std::get_if<Dims>(&value); dims && !all_constant(*dims)) return false;
  for (std::uint32_t i = 0; i < node.result_count; ++i) {
    const Type& type = graph.type(node.first_result + i);
    if (type.kind != Type::Kind::tensor || !all_constant(type.dims)) return false;
  }
  return true;
}

Shape shape_of(const Type& type) {
  std::vector<std::int64_t> extents;
  for (const Dim& d : type.dims) extents.push_back(d.constant());
  return Shape(std::move(extents));
}

bool is_compact(const Node& node, const Array* operand) {
  return node.op == Op::iota || (node.op == Op::broadcast_in_dim && operand->size() == 1);
}

bool fits(const Shape& shape, DType dtype, std::int64_t max_bytes) {
  std::int64_t size = static_cast<std::int64_t>(size_of(dtype));
  for (std::int64_t extent : shape.dims()) {
    if (extent != 0 && size > max_bytes / extent) return false;
    size *= extent;
  }
  return true;
}

/// The node's results when all that it depends on is known and small.
std::optional<std::vector<Array>> evaluate(const Graph& graph, const Node& node, const std::vector<std::optional<Array>>& known,
                                           std::int64_t max_bytes) {
  if (!is_fixed(graph, node)) return std::nullopt;
  std::vector<Array> operands;
  for (ValueId v : node.operands) {
    if (!known[v]) return std::nullopt;
    operands.push_back(*known[v]);
  }
  std::vector<Shape> shapes;
  std::vector<DType> dtypes;
  for (std::uint32_t i = 0; i < node.result_count; ++i) {
    const Type& type = graph.type(node.first_result + i);
    shapes.push_back(shape_of(type));
    dtypes.push_back(type.dtype);
    if (!fits(shapes.back(), type.dtype, max_bytes)) return std::nullopt;
  }
  return info(node.op).evaluate({node.op, operands, node.attributes, shapes, dtypes});
}

bool fold_graph(Module& module, GraphId id, std::int64_t max_bytes) {
  const Graph& graph = module.graph(id);
  std::vector<std::optional<Array>> known(graph.value_count());
  std::vector<bool> folded(graph.node_count());
  bool changed = false;
  for (NodeId n = 0; n < graph.node_count(); ++n) {
    const Node& node = graph.node(n);
    if (node.op == Op::constant) {
      const Array& literal = node.attributes.literal("value");
      if (static_cast<std::int64_t>(literal.bytes()) <= max_bytes) known[node.first_result] = literal;
      continue;
    }
    std::optional<std::vector<Array>> results = evaluate(graph, node, known, max_bytes);
    if (!results) continue;
    folded[n] = !is_compact(node, node.operands.empty() ? nullptr : &*known[node.operands[0]]);
    changed = changed || folded[n];
    for (std::uint32_t i = 0; i < node.result_count; ++i) known[node.first_result + i] = std::move((*results)[i]);
  }
  if (!changed) return false;
  Rebuild rebuild(module, id);
  for (NodeId n = 0; n < rebuild.old().node_count(); ++n) {
    if (!folded[n]) {
      rebuild.keep(n);
      continue;
    }
    const Node& node = rebuild.old().node(n);
    rebuild.builder().location = node.location;
    for (std::uint32_t i = 0; i < node.result_count; ++i)
      rebuild.replace(node.first_result + i, rebuild.builder().constant(*known[node.first_result + i]));
  }
  rebuild.finish();
  return true;
}

}  // namespace

bool fold_constants(Module& module, std::int64_t max_bytes) {
  bool changed = false;
  for (GraphId id = 0; id < module.graphs.size(); ++id) changed |= fold_graph(module, id, max_bytes);
  return changed;
}

}  // namespace kiln::passes

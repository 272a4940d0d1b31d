// check_finite as checks.
//
// A value is *finite* when none of its elements is infinite or NaN: an `and` over is_finite, which fusion computes where the value is made
// or read. The operation to blame is one whose result is not finite while its operands are; operations that only move elements, or choose
// among those of their operands, are never to blame. The checks stand in the order of the program and pass when all that is checked is
// finite: infinities on the way to a finite value (a mask of attention) are no error. What comes from no operation (feeds, variables) is
// blamed only after all operations, and a loop or branch is one operation. Each check holds where an earlier one fails, so that no more
// than one does, in whatever order they run.
#include <fmt/format.h>

#include <cmath>
#include <map>

#include "ir/op.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace kiln::passes {

using namespace ir;

namespace {

/// The operand whose elements, each at least once or none at all, are the result's; none: it is no such op.
ValueId viewed(const Node& node) {
  switch (node.op) {
    case Op::reshape:
    case Op::match_extents:
    case Op::transpose:
    case Op::reverse:
    case Op::broadcast_in_dim:
    case Op::negate:
    case Op::abs:
    case Op::stop_gradient: return node.operands[0];
    case Op::check: return node.operands.size() > 1 ? node.operands[1] : none;
    default: return none;
  }
}

/// Finite operands give a finite result, whatever they are.
bool keeps_finite(Op op) {
  switch (op) {
    case Op::parameter:
    case Op::variable:
    case Op::constant:
    case Op::assign:
    case Op::sign:
    case Op::floor:
    case Op::ceil:
    case Op::tanh:
    case Op::logistic:
    case Op::erf:
    case Op::sin:
    case Op::cos:
    case Op::maximum:
    case Op::minimum:
    case Op::clamp:
    case Op::select:
    case Op::iota:
    case Op::slice:
    case Op::pad:
    case Op::concatenate:
    case Op::gather:
    case Op::dynamic_slice:
    case Op::dynamic_update_slice: return true;
    default: return false;
  }
}

bool all_finite(const Array& literal) {
  bool finite = true;
  const Array numbers = literal.convert(DType::f64);
  for (const double x : numbers.data<double>()) finite = finite && std::isfinite(x);
  return finite;
}

class Expander {
 public:
  Expander(Module& module, GraphId id) : rebuild_(module, id), builder_(rebuild_.builder()) {}

  void run() {
    const Graph& old = rebuild_.old();
    for (NodeId n = 0; n < old.node_count(); ++n) {
      if (old.node(n).op != Op::check_finite)
        rebuild_.keep(n);
      else
        expand(n);
    }
    rebuild_.finish();
  }

 private:
  bool is_floating(ValueId old) const {
    const Type& type = rebuild_.old().type(old);
    return type.kind == Type::Kind::tensor && kiln::is_floating(type.dtype);
  }

  /// Whether all elements of an old value are finite, as a bool scalar of the new graph; none: they are for certain.
  ValueId finite(ValueId v) {
    const Graph& old = rebuild_.old();
    while (viewed(old.definition(v)) != none) v = viewed(old.definition(v));
    if (!is_floating(v)) return none;
    const auto [entry, fresh] = finite_.try_emplace(v, none);
    if (!fresh) return entry->second;
    const Node& node = old.definition(v);
    if (node.op == Op::iota) return none;
    if (node.op == Op::constant)
      return entry->second = all_finite(node.attributes.literal("value")) ? none : builder_.constant(Array(false));
    builder_.location = node.location;
    std::vector<std::int64_t> dims;
    for (std::size_t d = 0; d < old.type(v).rank(); ++d) dims.push_back(static_cast<std::int64_t>(d));
    const ValueId each = builder_.create(Op::is_finite, {rebuild_[v]});
    return entry->second = dims.empty() ? each : builder_.reduce(each, "and", std::move(dims));
  }

  ValueId both(ValueId a, ValueId b) { return a == none ? b : b == none ? a : builder_.create(Op::and_, {a, b}); }
  ValueId all(std::span<const ValueId> values) {
    ValueId result = none;
    for (const ValueId v : values)
      if (is_floating(v)) result = both(result, finite(v));
    return result;
  }
  ValueId inverse(ValueId a) { return builder_.create(Op::not_, {a}); }

  /// Fails when `wrong` holds and it is the first; `settled_`: everything checked is finite, or another check has failed.
  void check(ValueId wrong, const std::string& message, LocationId location) {
    builder_.location = location;
    const ValueId holds = wrong == none ? settled_ : builder_.create(Op::or_, {settled_, inverse(wrong)});
    if (wrong != none) settled_ = builder_.create(Op::or_, {settled_, wrong});
    builder_.create_many(Op::check, {holds},
                         {{"code", static_cast<std::int64_t>(ErrorCode::check_failed)},
                          {"message", message},
                          {"hint", "infinities and NaN are looked for because of check_finite"}});
  }

  void expand(NodeId checked) {
    const Graph& old = rebuild_.old();
    const Node& node = old.node(checked);
    builder_.location = node.location;
    settled_ = all(node.operands);
    if (settled_ == none) return;
    std::vector<bool> upstream(checked, false);
    for (const ValueId v : node.operands) upstream[old.defining_node(v)] = true;
    for (NodeId n = checked; n-- > 0;)
      if (upstream[n])
        for (const ValueId v : old.node(n).operands) upstream[old.defining_node(v)] = true;
    for (NodeId n = 0; n < checked; ++n)
      if (upstream[n] && !keeps_finite(old.node(n).op) && viewed(old.node(n)) == none) blame_operation(n);
    for (NodeId n = 0; n < checked; ++n)
      if (upstream[n] && (old.node(n).op == Op::parameter || old.node(n).op == Op::variable)) blame_source(n);
    check(none, "a value holds NaN or an infinity", node.location);
  }

  void blame_operation(NodeId n) {
    const Graph& old = rebuild_.old();
    const Node& node = old.node(n);
    std::vector<ValueId> results;
    for (std::uint32_t r = 0; r < node.result_count; ++r) results.push_back(node.first_result + r);
    const ValueId good = all(results);
    if (good == none) return;
    builder_.location = node.location;
    check(both(inverse(good), all(node.operands)),
          fmt::format("{} makes NaN or an infinity out of finite values; its result is {}", info(node.op).name,
                      to_string(old.type(results[0]))),
          node.location);
  }

  void blame_source(NodeId n) {
    const Graph& old = rebuild_.old();
    const Node& node = old.node(n);
    if (!is_floating(node.first_result)) return;
    const std::string& name = node.op == Op::variable ? node.attributes.text("name") : old.value_name(node.first_result);
    check(inverse(finite(node.first_result)),
          fmt::format("the {} {} holds NaN or an infinity", node.op == Op::variable ? "variable" : "value fed for",
                      name.empty() ? to_string(old.type(node.first_result)) : "'" + name + "'"),
          node.location);
  }

  Rebuild rebuild_;
  Builder& builder_;
  std::map<ValueId, ValueId> finite_;
  ValueId settled_ = none;
};

}  // namespace

bool expand_finite_checks(Module& module) {
  bool changed = false;
  for (const GraphId id : reachable_graphs(module)) {
    bool holds = false;
    const Graph& graph = module.graph(id);
    for (NodeId n = 0; n < graph.node_count(); ++n) holds = holds || graph.node(n).op == Op::check_finite;
    if (!holds) continue;
    Expander(module, id).run();
    changed = true;
  }
  return changed;
}

}  // namespace kiln::passes

// Loops that carry less and compute less.
//
//   - A carried value that the body hands on as it is is captured.
//   - Carried values that start equal and go on equally are one: two counters, the trip count and the count of each tape. Equality is found
//     as for automata: assume that values with one start are equal, number the body's values under that assumption, split what comes back
//     with different numbers, and repeat until nothing splits.
//   - Work that is the same in every iteration is done once, in front of the loop, when it is worth a buffer: contractions, reductions,
//     functions. Loops, branches and calls stay where they are: in a loop that does not run they might not end, or fail.
//
// A rebuilt loop has a condition and a body of its own.
#include <algorithm>
#include <map>

#include "ir/op.h"
#include "ir/produced.h"
#include "passes/lowering.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace kiln::passes {

using namespace ir;

namespace {

bool worth_hoisting(const Node& node) {
  const OpInfo& entry = info(node.op);
  if (entry.effect || !entry.evaluate) return false;
  return entry.kernel != KernelKind::map || is_function(entry.loop_op);
}

/// One loop: what becomes of its operands and of the values of its body.
class LoopRewriter {
 public:
  LoopRewriter(Module& module, const Node& loop, const std::vector<bool>& effects)
      : module_(module),
        loop_(loop),
        effects_(effects),
        body_(module.graph(loop.attributes.graph("body"))),
        condition_(module.graph(loop.attributes.graph("condition"))),
        carried_(loop.result_count) {}

  /// False when there is nothing to do.
  bool plan() {
    find_captured();
    find_equal();
    find_hoisted();
    return changes_;
  }

  /// Appends the loop, as it is now, to the graph that is rebuilt.
  void rewrite(Rebuild& rebuild) {
    Builder& builder = rebuild.builder();
    builder.location = loop_.location;
    // New operands: carried ones that stay, then captured values, each once, then what was hoisted.
    std::vector<ValueId> operands;
    std::vector<std::size_t> position(loop_.operands.size());  // of each old operand among the new ones
    for (std::size_t i = 0; i < carried_; ++i)
      if (!captured_[i] && representative_[i] == i) {
        position[i] = operands.size();
        operands.push_back(rebuild[loop_.operands[i]]);
      }
    const std::size_t kept = operands.size();
    for (std::size_t i = 0; i < carried_; ++i)
      if (!captured_[i]) position[i] = position[representative_[i]];
    std::map<ValueId, std::size_t> known;
    for (std::size_t i = 0; i < loop_.operands.size(); ++i) {
      if (i < carried_ && !captured_[i]) continue;
      const ValueId value = rebuild[loop_.operands[i]];
      const auto [found, fresh] = known.emplace(value, operands.size());
      if (fresh) operands.push_back(value);
      position[i] = found->second;
    }
    ValueMap outside(body_.value_count(), none);  // hoisted values and what they need, in the outer graph
    for (std::size_t i = 0; i < loop_.operands.size(); ++i)
      if (i >= carried_ || captured_[i]) outside[body_.parameters[i]] = rebuild[loop_.operands[i]];
    std::vector<std::pair<ValueId, std::size_t>> hoisted;  // value of the body, position of its operand
    for (NodeId n = 0; n < body_.node_count(); ++n) {
      if (!moved_[n]) continue;
      copy_node(body_, n, builder.graph(), outside);
      const Node& node = body_.node(n);
      for (std::uint32_t i = 0; i < node.result_count; ++i) {
        const ValueId v = node.first_result + i;
        if (!read_inside_[v]) continue;
        hoisted.emplace_back(v, operands.size());
        operands.push_back(outside[v]);
      }
    }

    const GraphId condition = copy_region(condition_, builder.graph(), operands, position, {});
    const GraphId body = copy_region(body_, builder.graph(), operands, position, hoisted);
    std::vector<ValueId> results;
    for (std::size_t i = 0; i < carried_; ++i)
      if (!captured_[i] && representative_[i] == i) results.push_back(module_.graph(body).results[i]);
    module_.graph(body).results = std::move(results);

    builder.recompute = loop_.recompute;
    const std::vector<ValueId> initial = operands;
    const std::vector<ValueId> values = builder.create_many(Op::while_loop, std::move(operands),
                                                            loop_.attributes.with("carried", static_cast<std::int64_t>(kept))
                                                                .with("condition", GraphRef{condition})
                                                                .with("body", GraphRef{body}));
    builder.recompute = false;
    for (std::size_t i = 0; i < carried_; ++i)
      rebuild.replace(loop_.first_result + static_cast<ValueId>(i), captured_[i] ? initial[position[i]] : values[position[i]]);
  }

 private:
  bool is_tape(std::size_t i) const { return body_.type(body_.parameters[i]).kind == Type::Kind::tape; }

  void find_captured() {
    captured_.resize(carried_);
    for (std::size_t i = 0; i < carried_; ++i)
      if (body_.results[i] == body_.parameters[i] && !is_tape(i)) captured_[i] = changes_ = true;
  }

  void find_equal() {
    representative_.resize(carried_);
    std::map<ValueId, std::size_t> first_with;
    std::vector<std::size_t> group(loop_.operands.size());  // by operand: the first one that is assumed equal
    bool any = false;
    for (std::size_t i = 0; i < loop_.operands.size(); ++i) {
      const auto [found, fresh] = first_with.emplace(loop_.operands[i], i);
      const bool alone = i < carried_ && is_tape(i);
      group[i] = alone ? i : found->second;
      any = any || (i < carried_ && group[i] != i && !captured_[i]);
    }
    for (std::size_t i = 0; i < carried_; ++i) representative_[i] = i;
    if (!any) return;
    // A captured value does not move, so it is never equal to one that does.
    while (true) {
      const std::vector<std::uint32_t> numbers = number_values(group);
      std::map<std::tuple<std::size_t, bool, std::uint32_t>, std::size_t> split;
      std::vector<std::size_t> next(group.size());
      bool stable = true;
      for (std::size_t i = 0; i < group.size(); ++i) {
        const bool moves = i < carried_ && !captured_[i];
        const auto key = std::tuple(group[i], moves, moves ? numbers[body_.results[i]] : 0);
        next[i] = split.emplace(key, i).first->second;
        stable = stable && next[i] == group[i];
      }
      group = std::move(next);
      if (stable) break;
    }
    for (std::size_t i = 0; i < carried_; ++i)
      if (!captured_[i] && group[i] != i) {
        representative_[i] = group[i];
        changes_ = true;
      }
  }

  /// Equal numbers, equal values, if operands of one group are equal.
  std::vector<std::uint32_t> number_values(const std::vector<std::size_t>& group) const {
    std::vector<std::uint32_t> numbers(body_.value_count());
    std::uint32_t next = static_cast<std::uint32_t>(group.size());
    for (std::size_t i = 0; i < group.size(); ++i) numbers[body_.parameters[i]] = static_cast<std::uint32_t>(group[i]);
    std::map<std::pair<Op, std::vector<std::uint32_t>>, std::vector<NodeId>> seen;
    for (NodeId n = 0; n < body_.node_count(); ++n) {
      const Node& node = body_.node(n);
      if (node.op == Op::parameter) continue;
      NodeId twin = none;
      if (!node.recompute && !has_effect(node, effects_) && !touches_tape(body_, node)) {
        std::vector<std::uint32_t> operands;
        for (ValueId v : node.operands) operands.push_back(numbers[v]);
        std::vector<NodeId>& candidates = seen[{node.op, std::move(operands)}];
        for (NodeId c : candidates)
          if (twin == none && body_.node(c).attributes == node.attributes) twin = c;
        if (twin == none) candidates.push_back(n);
      }
      for (std::uint32_t i = 0; i < node.result_count; ++i)
        numbers[node.first_result + i] = twin == none ? next++ : numbers[body_.node(twin).first_result + i];
    }
    return numbers;
  }

  void find_hoisted() {
    std::vector<bool> same(body_.value_count()), wanted(body_.node_count());
    for (std::size_t i = 0; i < loop_.operands.size(); ++i) same[body_.parameters[i]] = i >= carried_ || captured_[i];
    moved_.resize(body_.node_count());
    read_inside_.resize(body_.value_count());
    bool any = false;
    const ProducedSymbols produced(module_, loop_.attributes.graph("body"));  // each iteration has its own values of them
    for (NodeId n = 0; n < body_.node_count(); ++n) {
      const Node& node = body_.node(n);
      if (!produced.mentioned(body_, node).empty()) continue;
      if (node.op == Op::parameter || info(node.op).effect || !info(node.op).evaluate || touches_tape(body_, node)) continue;
      if (!std::ranges::all_of(node.operands, [&](ValueId v) { return same[v]; })) continue;
      for (std::uint32_t i = 0; i < node.result_count; ++i) same[node.first_result + i] = true;
      wanted[n] = worth_hoisting(node);
      any = any || wanted[n];
    }
    if (!any) return;
    changes_ = true;
    // What moves: the worthwhile nodes, and copies of whatever they need. What stays inside reads the worthwhile ones alone.
    for (NodeId n = static_cast<NodeId>(body_.node_count()); n-- > 0;) {
      if (!wanted[n] && !moved_[n]) continue;
      moved_[n] = true;
      for (ValueId v : body_.node(n).operands)
        if (body_.definition(v).op != Op::parameter) moved_[body_.defining_node(v)] = true;
    }
    for (NodeId n = 0; n < body_.node_count(); ++n)
      for (std::uint32_t i = 0; wanted[n] && i < body_.node(n).result_count; ++i) read_inside_[body_.node(n).first_result + i] = true;
  }

  /// The region with the loop's new parameters, without what was hoisted.
  GraphId copy_region(const Graph& from, const Graph& outer, const std::vector<ValueId>& operands, const std::vector<std::size_t>& position,
                      const std::vector<std::pair<ValueId, std::size_t>>& hoisted) {
    const GraphId id = module_.add_graph(from.name);
    Graph& to = module_.graph(id);
    for (ValueId v : operands) to.add_parameter(outer.type(v), "", loop_.location);
    ValueMap map(from.value_count(), none);
    for (std::size_t i = 0; i < from.parameters.size(); ++i) {
      map[from.parameters[i]] = to.parameters[position[i]];
      pass_name(from, from.parameters[i], to, to.parameters[position[i]]);
    }
    for (const auto& [value, at] : hoisted) {
      map[value] = to.parameters[at];
      pass_name(from, value, to, to.parameters[at]);
    }
    for (NodeId n = 0; n < from.node_count(); ++n) {
      const Node& node = from.node(n);
      if (node.op != Op::parameter && (node.result_count == 0 || !was_hoisted(node, map))) copy_node(from, n, to, map);
    }
    for (ValueId v : from.results) to.results.push_back(map[v]);
    return id;
  }

  static bool was_hoisted(const Node& node, const ValueMap& map) { return map[node.first_result] != none; }

  Module& module_;
  const Node& loop_;
  const std::vector<bool>& effects_;
  const Graph& body_;
  const Graph& condition_;
  std::size_t carried_;
  bool changes_ = false;
  std::vector<bool> captured_;               // by carried value
  std::vector<std::size_t> representative_;  // by carried value: the first of those equal to it
  std::vector<bool> moved_;                  // by node of the body
  std::vector<bool> read_inside_;            // by value of the body: hoisted, and a parameter of the body from now on
};

}  // namespace

bool simplify_loops(Module& module) {
  const std::vector<bool> effects = graphs_with_effects(module);
  bool changed = false;
  for (GraphId id : callees_first(module)) {
    std::vector<NodeId> loops;
    for (NodeId n = 0; n < module.graph(id).node_count(); ++n) {
      const Node& node = module.graph(id).node(n);
      if (node.op == Op::while_loop && LoopRewriter(module, node, effects).plan()) loops.push_back(n);
    }
    if (loops.empty()) continue;
    changed = true;
    Rebuild rebuild(module, id);
    std::size_t next = 0;
    for (NodeId n = 0; n < rebuild.old().node_count(); ++n) {
      if (next == loops.size() || loops[next] != n) {
        rebuild.keep(n);
        continue;
      }
      ++next;
      LoopRewriter rewriter(module, rebuild.old().node(n), effects);
      rewriter.plan();
      rewriter.rewrite(rebuild);
    }
    rebuild.finish();
  }
  if (changed) module.sweep();
  return changed;
}

}  // namespace kiln::passes

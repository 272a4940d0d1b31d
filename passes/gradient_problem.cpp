// find_gradient_problem: the checks of gradients() at the time of the call, and their messages.
#include <fmt/format.h>

#include <set>

#include "ir/op.h"
#include "ir/produced.h"
#include "passes/gradients.h"
#include "passes/passes.h"

namespace kiln::passes {

using namespace ir;

namespace {

/// "%name", or "the dot_general at train.cpp:12".
std::string describe(const Module& module, const Graph& graph, ValueId value) {
  const Node& node = graph.definition(value);
  if (node.op == Op::variable) return fmt::format("variable \"{}\"", node.attributes.text("name"));
  const std::string& name = graph.value_name(value);
  const std::string place = node.location == 0 ? "" : fmt::format(" at {}", to_string(module.location(node.location)));
  if (!name.empty()) return fmt::format("\"{}\"{}", name, place);
  return fmt::format("the {}{}", info(node.op).name, place);
}

std::string step_of_path(const Module& module, const Node& node) {
  if (node.location == 0) return std::string(info(node.op).name);
  return fmt::format("{} ({})", info(node.op).name, to_string(module.location(node.location)));
}

/// The ops from the seeded results (`targets`) down to `node`, both included, along values on the path.
std::vector<NodeId> ops_between(const Graph& graph, std::span<const ValueId> targets, NodeId node, const Bits& path) {
  std::vector<NodeId> towards(graph.value_count(), none);  // the user through which a value reaches a target
  NodeId last = 0;
  for (ValueId v : targets) last = std::max(last, graph.defining_node(v));
  std::vector<bool> reaches(graph.node_count());
  for (ValueId v : targets) reaches[graph.defining_node(v)] = true;
  for (NodeId n = last + 1; n-- > node;) {
    if (!reaches[n]) continue;
    for (ValueId v : graph.node(n).operands)
      if (path[v]) {
        towards[v] = n;
        reaches[graph.defining_node(v)] = true;
      }
  }
  std::vector<NodeId> ops{node};
  for (NodeId n = node; n != none;) {
    NodeId next = none;
    for (std::uint32_t i = 0; i < graph.node(n).result_count && next == none; ++i) {
      const ValueId v = graph.node(n).first_result + i;
      if (path[v]) next = towards[v];
    }
    if (next != none) ops.push_back(next);
    n = next;
  }
  return {ops.rbegin(), ops.rend()};
}

std::string join_path(const std::vector<std::string>& steps) {
  constexpr std::size_t shown_at_each_end = 4;  // a longer list helps nobody to find the op
  std::string text;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps.size() > 2 * shown_at_each_end + 1 && i == shown_at_each_end) {
      const std::size_t left_out = steps.size() - 2 * shown_at_each_end;
      text += fmt::format(" <- ... {} more ...", left_out);
      i += left_out - 1;
      continue;
    }
    if (i > 0) text += " <- ";
    text += steps[i];
  }
  return text;
}

std::string path_text(const Module& module, const Graph& graph, std::span<const NodeId> ops) {
  std::vector<std::string> steps;
  for (NodeId op : ops) steps.push_back(step_of_path(module, graph.node(op)));
  return join_path(steps);
}

/// Values on any path from `from` to `to`, integers and cut paths included.
Bits connected(const Graph& graph, ValueId from, ValueId to) {
  Bits after(graph.value_count()), before(graph.value_count());
  after[from] = before[to] = true;
  const NodeId last = graph.defining_node(to);
  for (NodeId n = graph.defining_node(from) + 1; n <= last && n < graph.node_count(); ++n) {
    const Node& node = graph.node(n);
    bool any = false;
    for (ValueId v : node.operands) any = any || after[v];
    for (std::uint32_t i = 0; any && i < node.result_count; ++i) after[node.first_result + i] = true;
  }
  for (NodeId n = last + 1; n-- > 0;) {
    const Node& node = graph.node(n);
    bool any = false;
    for (std::uint32_t i = 0; i < node.result_count; ++i) any = any || before[node.first_result + i];
    for (std::size_t i = 0; any && i < node.operands.size(); ++i) before[node.operands[i]] = true;
  }
  for (std::size_t v = 0; v < after.size(); ++v) after[v] = after[v] && before[v];
  return after;
}

/// Why no gradient flows from y to wrt: they are unrelated, or an op on the way cuts the path.
GradientProblem missing_dependence(const Module& module, const Graph& graph, ValueId y, ValueId wrt, std::size_t index) {
  const std::string names = fmt::format("{} does not depend on {}", describe(module, graph, y), describe(module, graph, wrt));
  const Bits related = connected(graph, wrt, y);
  if (!related[wrt]) return {index, names, "leave it out, or compute something from it on the way to what is differentiated"};
  const std::vector<NodeId> ops = ops_between(graph, {&y, 1}, graph.defining_node(wrt), related);
  for (NodeId op : ops) {
    const Node& node = graph.node(op);
    if (op == graph.defining_node(wrt)) break;
    bool floating = false;
    for (std::uint32_t i = 0; i < node.result_count; ++i)
      floating = floating || (related[node.first_result + i] && is_differentiable(graph.type(node.first_result + i)));
    if (floating && node.op != Op::stop_gradient) continue;
    const std::string_view reason = node.op == Op::stop_gradient         ? "it is there to cut the path"
                                    : !info(node.op).no_gradient.empty() ? info(node.op).no_gradient
                                                                         : "its result is no floating tensor";
    const std::string place = node.location == 0 ? "" : fmt::format(" at {}", to_string(module.location(node.location)));
    return {index,
            fmt::format("{} in a differentiable way: {}{} has no gradient ({})\n  on the path {}", names, info(node.op).name, place, reason,
                        path_text(module, graph, ops)),
            "a smooth function in its place has one"};
  }
  return {index, fmt::format("{} in a differentiable way\n  on the path {}", names, path_text(module, graph, ops)),
          "integers, comparisons and stop_gradient inside a loop, branch or call cut the path"};
}

/// The way back through a body would need the extents that each of its runs has produced, and their values, on tapes whose items are of one
/// size.
std::optional<GradientProblem> produced_inside(const Module& module, const Graph& body, const Node& owner) {
  for (NodeId n = 0; n < body.node_count(); ++n) {
    const std::string* symbol = produced_symbol(body.node(n));
    if (!symbol) continue;
    const auto place = [&](const Node& node) {
      return node.location == 0 ? std::string() : fmt::format(" at {}", to_string(module.location(node.location)));
    };
    return GradientProblem{0,
                           fmt::format("{}{} has no gradient: its body @{} produces the extent {}{}", info(owner.op).name, place(owner), body.name,
                                       *symbol, place(body.node(n))),
                           "select() with a mask in place of the elements that it picks keeps the extents"};
  }
  return std::nullopt;
}

/// A graph that is differentiated, and from which node of which other one.
struct Visit {
  DerivativeRequest request;
  std::size_t parent = SIZE_MAX;
  NodeId node = none;  ///< of the parent
};

}  // namespace

std::optional<GradientProblem> find_gradient_problem(const Module& module, GraphId id, ValueId y, std::span<const ValueId> wrt) {
  return find_gradient_problem(module, id, {&y, 1}, wrt, false);
}

std::optional<GradientProblem> find_gradient_problem(const Module& module, GraphId id, std::span<const ValueId> ys,
                                                     std::span<const ValueId> wrt, bool unconnected) {
  const Graph& graph = module.graph(id);
  GradientPaths paths(module);
  const Bits useful = paths.useful(id, ys);
  for (std::size_t i = 0; i < wrt.size() && !unconnected; ++i) {
    if (useful[wrt[i]]) continue;
    return missing_dependence(module, graph, ys[0], wrt[i], i);
  }
  Bits root = paths.active(id, wrt);
  for (std::size_t v = 0; v < root.size(); ++v) root[v] = root[v] && useful[v];

  std::vector<Visit> visits{{}};
  std::set<DerivativeRequest> seen;
  const auto path_in = [&](std::size_t visit) {
    return visit == 0 ? root : path_of(paths, module.graph(visits[visit].request.graph), visits[visit].request);
  };
  for (std::size_t visit = 0; visit < visits.size(); ++visit) {
    const GraphId current_id = visit == 0 ? id : visits[visit].request.graph;
    const Graph& current = module.graph(current_id);
    if (visit != 0) {
      const Visit& own = visits[visit];
      const GraphId holder = own.parent == 0 ? id : visits[own.parent].request.graph;
      if (auto problem = produced_inside(module, current, module.graph(holder).node(own.node))) return problem;
    }
    const Bits path = path_in(visit);
    for (NodeId n = 0; n < current.node_count(); ++n) {
      const Node& node = current.node(n);
      if (!on_path(node, path)) continue;
      if (has_gradient_rule(node)) {
        for (DerivativeRequest& inner : requests_of_node(paths, node, path))
          if (seen.insert(inner).second) visits.push_back({std::move(inner), visit, n});
        continue;
      }
      // Outermost graph first: the path leads through the regions down to the op.
      std::vector<std::pair<std::size_t, NodeId>> chain{{visit, n}};
      for (std::size_t at = visit; at != 0; at = visits[at].parent) chain.emplace_back(visits[at].parent, visits[at].node);
      std::vector<std::string> steps;
      for (std::size_t i = chain.size(); i-- > 0;) {
        const auto& [where, target] = chain[i];
        const Graph& holder = module.graph(where == 0 ? id : visits[where].request.graph);
        std::vector<ValueId> targets(ys.begin(), ys.end());
        if (where != 0) {
          targets.clear();
          for (std::size_t r = 0; r < holder.results.size(); ++r)
            if (visits[where].request.seeds[r]) targets.push_back(holder.results[r]);
        }
        for (NodeId op : ops_between(holder, targets, target, path_in(where))) steps.push_back(step_of_path(module, holder.node(op)));
      }
      std::size_t blamed = 0;
      const Bits before = paths.useful(current_id, {&node.first_result, 1});
      for (std::size_t i = 0; visit == 0 && i < wrt.size(); ++i)
        if (before[wrt[i]]) {
          blamed = i;
          break;
        }
      const std::string place = node.location == 0 ? "" : fmt::format(" at {}", to_string(module.location(node.location)));
      return GradientProblem{
          blamed,
          fmt::format("{}{} has no gradient: {}\n  on the path {}", info(node.op).name, place, info(node.op).no_gradient, join_path(steps)),
          "stop_gradient() on its operand treats it as a constant"};
    }
  }
  return std::nullopt;
}

}  // namespace kiln::passes

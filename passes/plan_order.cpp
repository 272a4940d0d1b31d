// Which kernels change variables, and when they run (the theory is at the head of plan_program.cpp).
#include "passes/plan_order.h"

#include <algorithm>
#include <map>
#include <queue>

#include "passes/plan_in_place.h"

namespace kiln::passes {

using ir::Graph;
using ir::Module;
using ir::Node;
using ir::NodeId;
using ir::Op;
using ir::ValueId;

bool is_alias(Op op) { return op == Op::reshape || op == Op::stop_gradient || op == Op::assign || op == Op::shrink; }

std::span<const ValueId> read_operands(const Node& node) {
  const std::span<const ValueId> operands(node.operands);
  if (node.op == Op::shrink) return operands.subspan(1);
  if (node.op == Op::check) return operands.first(1);
  return is_alias(node.op) && node.op != Op::assign ? operands.first(0) : operands;
}

bool writes_results(Op op) { return op == Op::kernel || op == Op::custom_call || op == Op::while_loop; }

ValueId root_of(const Graph& graph, ValueId v) {
  while (true) {
    const Node& node = graph.definition(v);
    if (node.op == Op::check)
      v = node.operands[1];
    else if (is_alias(node.op))
      v = node.operands[0];
    else
      return v;
  }
}

namespace {

class MainPlanner {
 public:
  MainPlanner(const Module& module, KernelFunction kernel) : module_(module), graph_(module.main_graph()), kernel_(std::move(kernel)) {}

  MainPlan run() {
    collect();
    choose_tail();
    order_tail();
    for (NodeId i = 0; i < graph_.node_count(); ++i)
      if (!in_tail_[i] && graph_.node(i).op != Op::assign) plan_.order.push_back(i);
    for (const auto& [variable, value] : assigned_)
      if (!in_place_.count(variable)) plan_.shadowed.insert(variable);
    return std::move(plan_);
  }

 private:
  void collect() {
    users_.resize(graph_.value_count());
    for (NodeId i = 0; i < graph_.node_count(); ++i) {
      const Node& node = graph_.node(i);
      for (ValueId v : read_operands(node)) users_[root_of(graph_, v)].push_back(i);
      if (node.op == Op::variable) variable_of_[node.first_result] = *module_.find_variable(node.attributes.text("name"));
      if (node.op == Op::assign)
        assigned_.emplace_back(*module_.find_variable(node.attributes.text("name")), root_of(graph_, node.operands[0]));
    }
    for (const auto& [value, variable] : variable_of_)
      for (NodeId user : users_[value])
        if (graph_.node(user).op != Op::assign) readers_[variable].insert(user);
    for (ValueId v : graph_.results) fetched_.insert(root_of(graph_, v));
  }

  /// A kernel belongs to the tail when each of its results is assigned to one variable or handed to other tail kernels, and one at least is
  /// assigned.
  void choose_tail() {
    in_tail_.assign(graph_.node_count(), false);
    for (NodeId i = static_cast<NodeId>(graph_.node_count()); i-- > 0;) {
      const Node& node = graph_.node(i);
      if (node.op != Op::kernel) continue;
      bool assigns = false, fits = true;
      for (std::uint32_t r = 0; r < node.result_count && fits; ++r) {
        const auto& users = users_[node.first_result + r];
        const auto updates = std::count_if(users.begin(), users.end(), [&](NodeId u) { return graph_.node(u).op == Op::assign; });
        fits = std::all_of(users.begin(), users.end(), [&](NodeId u) { return graph_.node(u).op == Op::assign || in_tail_[u]; });
        // Straight into the variable: nobody else may want the value in a buffer of its own.
        if (updates == 1 && users.size() == 1 && !fetched_.count(node.first_result + r))
          assigns = true;
        else
          fits = fits && updates == 0;
      }
      in_tail_[i] = assigns && fits;
    }
    for (const auto& [variable, value] : assigned_) {
      const NodeId writer = graph_.defining_node(value);
      if (!in_tail_[writer] || users_[value].size() != 1) continue;
      if (reads_elsewhere(writer, variable, value)) continue;
      in_place_[variable] = writer;
    }
  }

  /// Does the kernel read the variable other than at the element of `value` that it is about to write? An update may start as the variable;
  /// starting as anything else it would read what was put into the variable's memory for it, which only a shadow is there for.
  bool reads_elsewhere(NodeId kernel, std::uint32_t variable, ValueId value) const {
    const Node& node = graph_.node(kernel);
    const ir::Kernel& loops = kernel_(node.attributes.graph("body"));
    const auto updated = updated_parameter(loops);
    const auto reads = [&](std::size_t operand) {
      const auto found = variable_of_.find(root_of(graph_, node.operands[operand]));
      return found != variable_of_.end() && found->second == variable;
    };
    if (updated && !reads(*updated)) return true;
    for (std::size_t k = 0; k < node.operands.size(); ++k) {
      if (!reads(k) || updated == k) continue;
      const auto parameter = static_cast<ir::BufferId>(k);
      if (updated) return true;
      const auto result = static_cast<ir::BufferId>(node.operands.size() + graph_.result_index(value));
      if (!may_overwrite(loops, parameter, result)) return true;
    }
    return false;
  }

  /// Kahn's algorithm on the tail with two kinds of edges: value to user, and reader of a variable to its in-place writer. Where it is
  /// stuck, the writer that waits and comes first in the graph gives its variables up to shadows.
  void order_tail() {
    std::vector<NodeId> left;
    for (NodeId i = 0; i < graph_.node_count(); ++i)
      if (in_tail_[i]) left.push_back(i);
    std::map<NodeId, std::set<NodeId>> after;  // node -> tail nodes that must come later
    std::map<NodeId, std::size_t> waits;
    auto edge = [&](NodeId from, NodeId to) {
      if (from != to && after[from].insert(to).second) ++waits[to];
    };
    for (NodeId i : left)
      for (ValueId v : graph_.node(i).operands)
        if (const NodeId d = graph_.defining_node(root_of(graph_, v)); in_tail_[d]) edge(d, i);
    std::map<NodeId, std::vector<std::uint32_t>> variables_of;
    for (const auto& [variable, writer] : in_place_) {
      variables_of[writer].push_back(variable);
      for (NodeId reader : readers_[variable])
        if (in_tail_[reader]) edge(reader, writer);
    }
    std::priority_queue<NodeId, std::vector<NodeId>, std::greater<>> ready;
    std::set<NodeId> waiting;
    for (NodeId i : left) {
      if (waits[i] == 0)
        ready.push(i);
      else
        waiting.insert(i);
    }
    while (plan_.tail.size() < left.size()) {
      if (ready.empty()) {
        const NodeId stuck = *std::find_if(waiting.begin(), waiting.end(), [&](NodeId i) { return variables_of.count(i) != 0; });
        for (std::uint32_t variable : variables_of[stuck]) {
          in_place_.erase(variable);
          for (NodeId reader : readers_[variable])
            if (in_tail_[reader] && reader != stuck && !feeds(reader, stuck) && after[reader].erase(stuck) && --waits[stuck] == 0) {
              waiting.erase(stuck);
              ready.push(stuck);
            }
        }
        variables_of.erase(stuck);
        continue;
      }
      const NodeId i = ready.top();
      ready.pop();
      plan_.tail.push_back(i);
      for (NodeId next : after[i])
        if (--waits[next] == 0) {
          waiting.erase(next);
          ready.push(next);
        }
      after[i].clear();
    }
  }

  bool feeds(NodeId from, NodeId to) const {
    const auto& operands = graph_.node(to).operands;
    return std::any_of(operands.begin(), operands.end(), [&](ValueId v) { return graph_.defining_node(root_of(graph_, v)) == from; });
  }

  const Module& module_;
  const Graph& graph_;
  KernelFunction kernel_;
  std::vector<std::vector<NodeId>> users_;  // of root values, aliases seen through
  std::map<ValueId, std::uint32_t> variable_of_;
  std::vector<std::pair<std::uint32_t, ValueId>> assigned_;  // variable, root of its new value
  std::map<std::uint32_t, std::set<NodeId>> readers_;
  std::set<ValueId> fetched_;
  std::vector<bool> in_tail_;
  std::map<std::uint32_t, NodeId> in_place_;
  MainPlan plan_;
};

}  // namespace

MainPlan plan_order(const Module& module, KernelFunction kernel) { return MainPlanner(module, std::move(kernel)).run(); }

}  // namespace kiln::passes

// Activity analysis across regions; see gradient_paths.h.
#include "passes/gradient_paths.h"

#include "ir/op.h"

namespace kiln::passes {

using namespace ir;

bool is_differentiable(const Type& type) { return is_floating(type.dtype); }

GraphId differentiated_body(const Node& node) {
  if (node.op == Op::call) return node.attributes.graph("body");
  if (node.op == Op::composite && !node.attributes.find("backward")) return node.attributes.graph("decomposition");
  return none;
}

std::size_t carried_count(const Node& node) {
  const bool loop = node.op == Op::while_loop || node.op == Op::scan;
  return loop ? static_cast<std::size_t>(node.attributes.integer("carried")) : 0;
}

namespace {

Bits slice_of(const Bits& bits, std::size_t begin, std::size_t count) {
  return Bits(bits.begin() + static_cast<std::ptrdiff_t>(begin), bits.begin() + static_cast<std::ptrdiff_t>(begin + count));
}

/// a |= b on the first `count` bits; true when a grew.
bool join(Bits& a, const Bits& b, std::size_t count) {
  bool grew = false;
  for (std::size_t i = 0; i < count; ++i)
    if (b[i] && !a[i]) a[i] = grew = true;
  return grew;
}

Bits operand_bits(const Node& node, const Bits& marks, std::size_t skip) {
  Bits bits;
  for (std::size_t i = skip; i < node.operands.size(); ++i) bits.push_back(marks[node.operands[i]]);
  return bits;
}

Bits result_bits(const Node& node, const Bits& marks) { return slice_of(marks, node.first_result, node.result_count); }

}  // namespace

const Bits* GradientPaths::ask(Direction direction, GraphId graph, const Bits& bits) {
  Question question{direction, graph, bits};
  const auto found = answers_.find(question);
  if (found != answers_.end()) return &found->second;
  missing_.push_back(std::move(question));
  return nullptr;
}

GradientPaths::Sweep GradientPaths::begin(Question question) const {
  const Graph& graph = module_.graph(question.graph);
  Sweep sweep{std::move(question), Bits(graph.value_count()), 0};
  const bool forward = sweep.question.direction == Direction::forward;
  const std::vector<ValueId>& seeds = forward ? graph.parameters : graph.results;
  internal_check(sweep.question.bits.size() == seeds.size(), "a dependence question has one bit per parameter or result");
  for (std::size_t i = 0; i < seeds.size(); ++i)
    if (sweep.question.bits[i] && is_differentiable(graph.type(seeds[i]))) sweep.marks[seeds[i]] = true;
  sweep.position = forward ? 0 : static_cast<NodeId>(graph.node_count());
  return sweep;
}

/// Passes marks through the next nodes until the end (true) or until an answer about a region is missing (false; missing_ says which).
bool GradientPaths::step(Sweep& sweep) {
  const Graph& graph = module_.graph(sweep.question.graph);
  if (sweep.question.direction == Direction::forward) {
    for (; sweep.position < graph.node_count(); ++sweep.position)
      if (!pass_forward(graph, graph.node(sweep.position), sweep.marks)) return false;
  } else {
    for (; sweep.position > 0; --sweep.position)
      if (!pass_backward(graph, graph.node(sweep.position - 1), sweep.marks)) return false;
  }
  return true;
}

Bits GradientPaths::run(Sweep root) {
  root.root = true;
  std::vector<Sweep> stack;
  stack.push_back(std::move(root));
  while (true) {
    missing_.clear();
    if (!step(stack.back())) {
      for (Question& question : missing_) stack.push_back(begin(std::move(question)));
      continue;
    }
    Sweep done = std::move(stack.back());
    stack.pop_back();
    if (done.root) return std::move(done.marks);
    const Graph& graph = module_.graph(done.question.graph);
    Bits answer;
    for (ValueId v : done.question.direction == Direction::forward ? graph.results : graph.parameters) answer.push_back(done.marks[v]);
    answers_.insert_or_assign(std::move(done.question), std::move(answer));
  }
}

bool GradientPaths::pass_forward(const Graph& graph, const Node& node, Bits& marks) {
  bool any = false;
  for (ValueId v : node.operands) any = any || marks[v];
  if (!any || node.op == Op::stop_gradient) return true;
  Bits reached(node.result_count, true);
  if (node.op == Op::cond) {
    const Bits captured = operand_bits(node, marks, 1);
    const Bits* on_true = ask(Direction::forward, node.attributes.graph("then"), captured);
    const Bits* on_false = ask(Direction::forward, node.attributes.graph("else"), captured);
    if (!on_true || !on_false) return false;
    reached = *on_true;
    join(reached, *on_false, reached.size());
  } else if (const std::size_t carried = carried_count(node); node.op == Op::while_loop || node.op == Op::scan) {
    const Bits operands = operand_bits(node, marks, 0);
    Bits active = operands;
    while (true) {
      const Bits* next = ask(Direction::forward, node.attributes.graph("body"), active);
      if (!next) return false;
      if (join(active, *next, carried)) continue;
      reached = *next;
      break;
    }
    join(reached, operands, carried);
  } else if (const GraphId body = differentiated_body(node); body != none) {
    const Bits* answer = ask(Direction::forward, body, operand_bits(node, marks, 0));
    if (!answer) return false;
    reached = *answer;
  }
  for (std::uint32_t i = 0; i < node.result_count; ++i)
    if (reached[i] && is_differentiable(graph.type(node.first_result + i))) marks[node.first_result + i] = true;
  return true;
}

bool GradientPaths::pass_backward(const Graph& graph, const Node& node, Bits& marks) {
  bool any = false;
  for (std::uint32_t i = 0; i < node.result_count; ++i) any = any || marks[node.first_result + i];
  if (!any || node.op == Op::stop_gradient) return true;
  Bits reaching(node.operands.size(), true);
  if (node.op == Op::cond) {
    const Bits results = result_bits(node, marks);
    const Bits* on_true = ask(Direction::backward, node.attributes.graph("then"), results);
    const Bits* on_false = ask(Direction::backward, node.attributes.graph("else"), results);
    if (!on_true || !on_false) return false;
    for (std::size_t i = 0; i < on_true->size(); ++i) reaching[i + 1] = (*on_true)[i] || (*on_false)[i];
  } else if (const std::size_t carried = carried_count(node); node.op == Op::while_loop || node.op == Op::scan) {
    Bits useful = result_bits(node, marks);
    while (true) {
      const Bits* next = ask(Direction::backward, node.attributes.graph("body"), useful);
      if (!next) return false;
      if (join(useful, *next, carried)) continue;
      reaching = *next;
      break;
    }
    join(reaching, useful, carried);
  } else if (const GraphId body = differentiated_body(node); body != none) {
    const Bits* answer = ask(Direction::backward, body, result_bits(node, marks));
    if (!answer) return false;
    reaching = *answer;
  }
  for (std::size_t i = 0; i < node.operands.size(); ++i)
    if (reaching[i] && is_differentiable(graph.type(node.operands[i]))) marks[node.operands[i]] = true;
  return true;
}

Bits GradientPaths::active(GraphId id, std::span<const ValueId> sources) {
  Sweep sweep = begin({Direction::forward, id, Bits(module_.graph(id).parameters.size())});
  sweep.position = static_cast<NodeId>(module_.graph(id).node_count());
  for (ValueId v : sources) {
    sweep.marks[v] = true;
    sweep.position = std::min(sweep.position, module_.graph(id).defining_node(v) + 1);
  }
  return run(std::move(sweep));
}

Bits GradientPaths::useful(GraphId id, std::span<const ValueId> targets) {
  Sweep sweep = begin({Direction::backward, id, Bits(module_.graph(id).results.size())});
  sweep.position = 0;
  for (ValueId v : targets) {
    sweep.marks[v] = true;
    sweep.position = std::max(sweep.position, module_.graph(id).defining_node(v) + 1);
  }
  return run(std::move(sweep));
}

const Bits& GradientPaths::reached_results(GraphId graph, const Bits& parameters) {
  missing_.clear();
  if (const Bits* answer = ask(Direction::forward, graph, parameters)) return *answer;
  Question question = missing_.back();
  const Bits marks = run(begin(question));
  Bits answer;
  for (ValueId v : module_.graph(graph).results) answer.push_back(marks[v]);
  return answers_.insert_or_assign(std::move(question), std::move(answer)).first->second;
}

const Bits& GradientPaths::reaching_parameters(GraphId graph, const Bits& results) {
  missing_.clear();
  if (const Bits* answer = ask(Direction::backward, graph, results)) return *answer;
  Question question = missing_.back();
  const Bits marks = run(begin(question));
  Bits answer;
  for (ValueId v : module_.graph(graph).parameters) answer.push_back(marks[v]);
  return answers_.insert_or_assign(std::move(question), std::move(answer)).first->second;
}

Bits GradientPaths::loop_active(const Node& loop, Bits operands) {
  while (join(operands, reached_results(loop.attributes.graph("body"), operands), carried_count(loop))) {
  }
  return operands;
}

Bits GradientPaths::loop_useful(const Node& loop, Bits results) {
  while (join(results, reaching_parameters(loop.attributes.graph("body"), results), carried_count(loop))) {
  }
  return results;
}

}  // namespace kiln::passes

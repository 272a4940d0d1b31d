// The invariants of tensor IR. Every pass may rely on them and must keep them; tests break each one once.
//
//  1. The module has a main graph, and every reference to a graph (an attribute, an initializer) is to a graph of the module.
//  2. Graphs have unique names that are not empty. References between graphs form no cycle.
//  3. Variables have unique names that are not empty, static shapes, and at most one of: an initial value of their dtype and shape; an
//  initializer, which is a
//     graph without parameters and with one result of the variable's type.
//  4. Values are numbered in order of their nodes: node n's results follow those of node n - 1 and name n as their definition.
//  5. An operand is defined before the node that uses it, in the same graph. A graph's results are values of it.
//  6. A graph's parameters are exactly the results of its `parameter` nodes, each once. Those of main, and its results, are tensors.
//  7. Extents are not negative, whatever constant or lower bound is known of them at least not always: no extent has an upper bound below
//  0.
//  8. Operand count, attribute names and kinds, and dtypes are as the operator table says, and result types are those that the op infers.
//  For ops with
//     regions this includes the regions' signatures: they are isolated, so their parameters are the node's operands.
//  9. `variable` stands in main and in initializers only (which may read the random seed), `assign` in main only, in one run's module at most
//  once for each variable.
// 10. Tapes are linear: a tape is used at most once, as an operand or a result of its graph, and is not captured by a loop.
// 11. The body of a `kernel` computes: it holds no state, effect, control flow, tape or kernel.
// 12. Locations are those of the module.
// 13. A produced symbol (ir/produced.h) is produced before every node that mentions it, in a type, in an attribute or in a graph that the
//     node runs; once in a graph and what it calls, and not where it has a value already. No result of a region mentions a symbol that is
//     produced inside.
#include "ir/verify.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include "ir/op.h"
#include "ir/produced.h"
#include "ir/text.h"

namespace kiln::ir {

namespace {

class Verifier {
 public:
  Verifier(const Module& module, ModuleRole role) : module_(module), role_(role) {}

  void check_module() {
    if (module_.main >= module_.graphs.size()) fail(1, "there is no main graph");
    std::unordered_set<std::string_view> names;
    for (graph_ = 0; graph_ < module_.graphs.size(); ++graph_) {
      const std::string& name = module_.graph(graph_).name;
      if (name.empty()) fail(2, "the graph has no name");
      if (!names.insert(name).second) fail(2, "two graphs have the name '" + name + "'");
      check_references();
    }
    graph_ = none;
    check_cycles();
    check_variables();
    for (graph_ = 0; graph_ < module_.graphs.size(); ++graph_) check_graph(module_.graph(graph_));
    graph_ = none;
    // After the graphs, whose results must exist.
    for (const Variable& variable : module_.variables) check_initializer(variable);
    check_produced();
  }

 private:
  [[noreturn]] void fail(int invariant, std::string message) const { throw Violation{invariant, graph_, node_, std::move(message)}; }

  void check_references() {
    const Graph& graph = module_.graph(graph_);
    for (node_ = 0; node_ < graph.node_count(); ++node_)
      for (const auto& [name, value] : graph.node(node_).attributes.items())
        if (const GraphRef* ref = std::get_if<GraphRef>(&value); ref && ref->id >= module_.graphs.size())
          fail(1, "attribute '" + name + "' refers to a graph that does not exist");
    node_ = none;
  }

  /// Depth-first over references, with a stack of its own.
  void check_cycles() {
    enum class State : std::uint8_t { unseen, open, done };
    std::vector<State> states(module_.graphs.size(), State::unseen);
    struct Entry {
      GraphId graph;
      std::vector<GraphId> references;
      std::size_t next = 0;
    };
    std::vector<Entry> stack;
    const auto open = [&](GraphId id) {
      states[id] = State::open;
      Entry& entry = stack.emplace_back();
      entry.graph = id;
      const Graph& graph = module_.graph(id);
      for (NodeId n = 0; n < graph.node_count(); ++n)
        for (const auto& [name, value] : graph.node(n).attributes.items())
          if (const GraphRef* ref = std::get_if<GraphRef>(&value)) entry.references.push_back(ref->id);
    };
    for (GraphId root = 0; root < module_.graphs.size(); ++root) {
      if (states[root] != State::unseen) continue;
      open(root);
      while (!stack.empty()) {
        Entry& top = stack.back();
        if (top.next == top.references.size()) {
          states[top.graph] = State::done;
          stack.pop_back();
          continue;
        }
        const GraphId target = top.references[top.next++];
        if (states[target] == State::open) {
          graph_ = top.graph;
          fail(2, "references between graphs form a cycle through @" + module_.graph(target).name);
        }
        if (states[target] == State::unseen) open(target);
      }
    }
  }

  void check_variables() {
    std::unordered_set<std::string_view> names;
    for (const Variable& variable : module_.variables) {
      const std::string who = "variable @" + variable.name;
      if (variable.name.empty()) fail(3, "a variable has no name");
      if (!names.insert(variable.name).second) fail(3, "two variables have the name '" + variable.name + "'");
      if (variable.type.kind != Type::Kind::tensor) fail(3, who + " is no tensor");
      for (const Dim& dim : variable.type.dims)
        if (!dim.is_constant() || dim.constant() < 0) fail(3, who + " has no static shape: " + to_string(variable.type));
      if (variable.initializer != none && variable.initial) fail(3, who + " has both an initial value and an initializer");
      if (variable.initial) {
        const Shape& shape = variable.initial->shape();
        const Type given{variable.initial->dtype(), Type::Kind::tensor, Dims(shape.begin(), shape.end())};
        if (!(given == variable.type)) fail(3, who + " is " + to_string(variable.type) + ", but its initial value is " + to_string(given));
      }
      if (variable.initializer != none && variable.initializer >= module_.graphs.size())
        fail(1, who + " is initialized by a graph that does not exist");
      if (variable.initializer != none) initializers_.insert(variable.initializer);
      if (!location_exists(variable.location)) fail(12, who + " has a location that the module does not have");
    }
  }

  void check_initializer(const Variable& variable) const {
    if (variable.initializer == none) return;
    const Graph& graph = module_.graph(variable.initializer);
    if (!graph.parameters.empty() || graph.results.size() != 1 || !(graph.type(graph.results[0]) == variable.type))
      fail(3, fmt::format("variable @{} is initialized by @{}, which must take nothing and yield one {}", variable.name, graph.name,
                          to_string(variable.type)));
  }

  void check_graph(const Graph& graph) {
    check_parameters(graph);
    std::vector<bool> tape_used;  // allocated for the first tape
    const auto use = [&](ValueId v) {
      if (graph.type(v).kind != Type::Kind::tape) return;
      tape_used.resize(graph.value_count());
      if (tape_used[v]) fail(10, fmt::format("tape {} is used more than once", v));
      tape_used[v] = true;
    };
    ValueId next = 0;
    for (node_ = 0; node_ < graph.node_count(); ++node_) {
      const Node& node = graph.node(node_);
      if (node.first_result != next || node.result_count > graph.value_count() - next)
        fail(4, "the node's results are not numbered in order");
      for (std::uint32_t i = 0; i < node.result_count; ++i)
        if (graph.defining_node(next + i) != node_) fail(4, fmt::format("value {} names another node as its definition", next + i));
      for (const ValueId operand : node.operands) {
        if (operand >= next) fail(5, fmt::format("operand {} is not defined before the node", operand));
        use(operand);
      }
      next += node.result_count;
      if (!location_exists(node.location)) fail(12, "the node has a location that the module does not have");
      check_types(graph, node);
      check_placement(graph, node);
    }
    node_ = none;
    if (next != graph.value_count()) fail(4, "there are values that no node defines");
    for (const ValueId result : graph.results) {
      if (result >= graph.value_count()) fail(5, fmt::format("result {} is no value of the graph", result));
      use(result);
      if (graph_ == module_.main && graph.type(result).kind != Type::Kind::tensor) fail(6, "a result of the main graph is no tensor");
    }
  }

  void check_parameters(const Graph& graph) {
    std::vector<bool> listed(graph.value_count(), false);
    for (const ValueId parameter : graph.parameters) {
      if (parameter >= graph.value_count() || graph.defining_node(parameter) >= graph.node_count() ||
          graph.definition(parameter).op != Op::parameter)
        fail(6, fmt::format("parameter {} is no result of a parameter node", parameter));
      if (listed[parameter]) fail(6, fmt::format("parameter {} is listed twice", parameter));
      listed[parameter] = true;
      if (graph_ == module_.main && graph.type(parameter).kind != Type::Kind::tensor) fail(6, "a parameter of the main graph is no tensor");
    }
    std::size_t nodes = 0;
    for (NodeId n = 0; n < graph.node_count(); ++n) nodes += graph.node(n).op == Op::parameter;
    if (nodes != graph.parameters.size())
      fail(6, fmt::format("the graph has {} parameter nodes, but lists {} parameters", nodes, graph.parameters.size()));
  }

  void check_types(const Graph& graph, const Node& node) {
    for (std::uint32_t i = 0; i < node.result_count; ++i)
      for (const Dim& dim : graph.type(node.first_result + i).dims)
        if (dim.is_constant() ? dim.constant() < 0 : bounds(dim).max < 0)
          fail(7, "the extent " + to_string(dim) + " of " + to_string(graph.type(node.first_result + i)) + " is negative");
    if (node.op == Op::parameter) {
      if (!node.operands.empty() || !node.attributes.items().empty() || node.result_count != 1)
        fail(8, "a parameter has no operands, no attributes and one result");
      return;
    }
    operand_types_.resize(node.operands.size());
    for (std::size_t i = 0; i < node.operands.size(); ++i) operand_types_[i] = graph.type(node.operands[i]);
    std::vector<Type> inferred;
    try {
      inferred = infer_types({node.op, operand_types_, node.attributes, &module_});
    } catch (const Error& error) {
      fail(8, error.message());
    } catch (const InternalError& error) {
      fail(8, error.what());
    }
    if (inferred.size() != node.result_count)
      fail(8, fmt::format("{} has {} results, but {} are inferred", info(node.op).name, node.result_count, inferred.size()));
    for (std::uint32_t i = 0; i < node.result_count; ++i)
      if (!(inferred[i] == graph.type(node.first_result + i)))
        fail(8, fmt::format("result {} of {} is {}, but {} is inferred", i, info(node.op).name,
                            to_string(graph.type(node.first_result + i)), to_string(inferred[i])));
  }

  /// What may stand where: invariants 9, 10 (captured tapes) and 11.
  void check_placement(const Graph& graph, const Node& node) {
    switch (node.op) {
      case Op::variable:
        if (graph_ != module_.main && !initializers_.contains(graph_))
          fail(9, "variable stands outside of the main graph and of initializers");
        break;
      case Op::assign:
        if (graph_ != module_.main) fail(9, "assign stands outside of the main graph");
        if (!assigned_.insert(node.attributes.text("name")).second && role_ == ModuleRole::run)
          fail(9, "variable @" + node.attributes.text("name") + " is assigned twice");
        break;
      case Op::while_loop:
        for (std::size_t i = static_cast<std::size_t>(node.attributes.integer("carried")); i < node.operands.size(); ++i)
          if (graph.type(node.operands[i]).kind == Type::Kind::tape) fail(10, fmt::format("the loop captures a tape, operand {}", i));
        break;
      case Op::kernel: check_kernel_body(node.attributes.graph("body")); break;
      default: break;
    }
  }

  void check_kernel_body(GraphId id) {
    if (!checked_bodies_.insert(id).second) return;
    const Graph& body = module_.graph(id);
    constexpr Op excluded[] = {Op::variable, Op::assign,     Op::gradients, Op::check, Op::print, Op::check_finite, Op::call,    Op::cond,
                               Op::kernel,   Op::while_loop, Op::scan,      Op::tape_new,  Op::tape_push, Op::tape_pop, Op::custom_call, Op::shrink};
    for (NodeId n = 0; n < body.node_count(); ++n)
      if (std::ranges::find(excluded, body.node(n).op) != std::end(excluded))
        fail(11, fmt::format("the kernel's body @{} holds a node of {}", body.name, info(body.node(n).op).name));
  }

  void check_produced() {
    const ProducedSymbols symbols(module_);
    std::optional<ProducedViolation> violation;
    produced_uses(module_, symbols, &violation);
    if (violation) throw Violation{13, violation->graph, violation->node, std::move(violation->message)};
  }

  bool location_exists(LocationId id) const { return id < module_.location_count(); }

  const Module& module_;
  ModuleRole role_;
  GraphId graph_ = none;
  NodeId node_ = none;
  std::vector<Type> operand_types_;
  std::unordered_set<GraphId> initializers_;
  std::unordered_set<std::string> assigned_;
  std::unordered_set<GraphId> checked_bodies_;
};

}  // namespace

std::optional<Violation> find_violation(const Module& module, ModuleRole role) {
  try {
    Verifier(module, role).check_module();
  } catch (Violation& violation) {
    return std::move(violation);
  }
  return std::nullopt;
}

void verify(const Module& module, ModuleRole role) {
  const auto violation = find_violation(module, role);
  if (!violation) return;
  std::string text = fmt::format("tensor IR breaks invariant {}: {}", violation->invariant, violation->message);
  if (violation->graph != none) {
    const Graph& graph = module.graph(violation->graph);
    text += fmt::format("\n  in graph @{}", graph.name);
    if (violation->node != none) {
      const Node& node = graph.node(violation->node);
      text += fmt::format(", node {} ({})", violation->node, info(node.op).name);
      if (node.location < module.location_count() && module.location(node.location).known())
        text += ", written at " + to_string(module.location(node.location));
    }
    // The printer relies on the numbering of values (4) and parameters (6), and a whole graph helps only as far as somebody reads it.
    constexpr std::size_t printed_nodes = 1000;
    if ((violation->invariant == 5 || violation->invariant > 6) && graph.node_count() <= printed_nodes)
      text += "\n" + print(module, violation->graph, {.elide_large = true});
  }
  throw InternalError(text);
}

}  // namespace kiln::ir

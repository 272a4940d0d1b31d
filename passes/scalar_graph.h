// ScalarGraph: the body of a kernel as scalar expressions. Every element op of the body is pulled through its `element` function, from the
// outputs towards the parameters, at symbolic indices; what is left are arithmetic nodes over loads. Equal expressions share one node, so
// work is shared by construction and node ids are a topological order (operands have smaller ids).
//
// Loads stand for three things: elements of the graph's parameters, and of values that a schedule computes apart from the expressions:
// results of `reduce` and `dot_general`. `source` is the value's id in the tensor graph.
//
// A fold's carried values are leaves too, nodes of op `yield`: the schedule binds each to the register that its loop carries.
//
// Depth. An element function asks for operands while it runs, which is a recursion by nature. Here an operand that is not known yet answers
// with a placeholder
// ("pending") and is put on an explicit stack; the function runs again when its operands are there. Each function runs a small constant
// number of times.
//
// f16 and bf16: arithmetic is done in f32 and rounded once per op, so the converts stand in the expressions.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "ir/op.h"

namespace kiln::passes {

class ScalarGraph final : public ir::ScalarBuilder {
 public:
  ScalarGraph(const ir::Module& module, const ir::Graph& graph);

  /// The expression of one element of a value.
  ir::ScalarId value(ir::ValueId value, const ir::Dims& index);
  /// The expression that a structured node folds, at given axis indices.
  ir::ScalarId body(ir::NodeId node, const ir::Structured& structured, const ir::Dims& axes);
  /// The cell that an update changes, at given axis indices.
  ir::Update::Cell cell(ir::NodeId node, const ir::Update& update, const ir::Dims& axes);
  /// The keys by which a node orders what stands at an index.
  std::vector<ir::Ordering::Key> keys(ir::NodeId node, const ir::Ordering& ordering, const ir::Dims& index);
  /// The expressions of a general fold: its carried values before the first step, and after the step at given axis indices.
  std::vector<ir::ScalarId> start(ir::NodeId node, const ir::Structured& structured, const ir::Dims& parallel);
  std::vector<ir::ScalarId> step(ir::NodeId node, const ir::Structured& structured, std::span<const ir::ScalarId> carried,
                                 const ir::Dims& axes);
  /// The leaf of carried value `number`.
  ir::ScalarId carried(DType dtype, std::uint32_t number);
  bool is_carried(ir::ScalarId id) const { return nodes_[id].op == ir::LoopOp::yield; }

  const ir::ScalarNode& node(ir::ScalarId id) const { return nodes_[id]; }
  std::size_t size() const { return nodes_.size(); }
  /// The node that made the atom of this name, or `none`.
  ir::ScalarId atom(std::string_view name) const;
  /// All nodes that the roots depend on, atoms of load indices included, in topological order.
  std::vector<ir::ScalarId> reachable(std::span<const ir::ScalarId> roots) const;

  // ScalarBuilder, for element functions
  ir::ScalarId operand(std::size_t i, std::span<const ir::Dim> index) override;
  ir::ScalarId operand_where(ir::ScalarId mask, std::size_t i, std::span<const ir::Dim> index, ir::ScalarId otherwise) override;
  const ir::Type& operand_type(std::size_t i) const override;
  const ir::Type& result_type(std::size_t i = 0) const override;
  using ir::ScalarBuilder::apply;
  ir::ScalarId apply(ir::LoopOp op, DType dtype, std::span<const ir::ScalarId> operands) override;
  ir::ScalarId compare(ir::Comparison comparison, ir::ScalarId a, ir::ScalarId b) override;
  ir::ScalarId constant(const ir::Literal& literal) override;
  ir::ScalarId index_value(const ir::Dim& index) override;
  ir::Dim index_atom(ir::ScalarId integer, std::int64_t min, const ir::Dim& max_inclusive) override;
  DType dtype_of(ir::ScalarId id) const override { return nodes_[id].dtype; }

 private:
  /// One element to compute: `mask` (or none) holds where its loads may touch memory.
  struct Element {
    ir::ValueId value = ir::none;
    ir::Dims index;
    ir::ScalarId mask = ir::none;
    friend bool operator==(const Element&, const Element&) = default;
  };
  struct ElementHash {
    std::size_t operator()(const Element& e) const;
  };

  ir::ScalarId intern(ir::ScalarNode node);
  bool is_pending(ir::ScalarId id) const { return id < static_cast<ir::ScalarId>(dtype_count); }
  ir::ScalarId pending(DType dtype) const { return static_cast<ir::ScalarId>(dtype); }
  ir::ScalarId element(const Element& element);
  /// Computes everything on the list of wanted elements and what they need.
  void resolve();
  /// Calls a lowering function of the node until it asks for nothing that is unknown.
  std::vector<ir::ScalarId> pulled(ir::NodeId node, const std::function<std::vector<ir::ScalarId>()>& function);
  ir::ScalarId lower_element(const ir::Node& node, std::uint32_t result, const ir::Dims& index);
  bool is_leaf(ir::ValueId value) const;
  ir::ScalarId leaf(const Element& element);
  ir::ScalarId as_float(ir::ScalarId id);

  const ir::Module& module_;
  const ir::Graph& graph_;
  std::vector<ir::ScalarNode> nodes_;  // the first dtype_count are the pending placeholders
  std::unordered_map<std::size_t, std::vector<ir::ScalarId>> by_hash_;
  std::unordered_map<Element, ir::ScalarId, ElementHash> known_;
  std::unordered_map<std::string, ir::ScalarId> atoms_;
  std::vector<Element> wanted_;        // asked for and not known yet
  const ir::Node* current_ = nullptr;  // whose element function runs
  ir::ScalarId current_mask_ = ir::none;
};

}  // namespace kiln::passes

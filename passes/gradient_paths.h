// Which values lie on a differentiable path: activity analysis across regions.
//
// A value is *active* when a floating value that somebody differentiates with respect to reaches it, and *useful* when it reaches the value
// that is differentiated. Only values that are both get cotangents. An op passes dependence from each floating operand to each floating
// result; integers and bool cut it, stop_gradient cuts it. cond, while_loop, scan, call and composite (without a backward graph of its own) pass
// it as their regions do, so each region is summarised: these parameters reach those results. Summaries are kept by region and question,
// and computed with an explicit stack of sweeps, so nesting costs no recursion. A loop asks again until its carried values stop changing,
// at most once per carried value.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "ir/graph.h"

namespace kiln::passes {

using Bits = std::vector<bool>;

/// What of a type has a gradient: floating tensors and tapes of them.
bool is_differentiable(const ir::Type& type);

/// The region that a call or a composite is differentiated through, or ir::none (a composite with a backward graph is opaque).
ir::GraphId differentiated_body(const ir::Node& node);

/// How many values a while_loop or scan carries; 0 for other ops.
std::size_t carried_count(const ir::Node& node);

/// Dependence along differentiable paths. The module's regions must not change while one lives; the graph that is asked about may grow.
class GradientPaths {
 public:
  explicit GradientPaths(const ir::Module& module) : module_(module) {}

  /// Marks, by value, what the `sources` reach. Each source is active itself.
  Bits active(ir::GraphId graph, std::span<const ir::ValueId> sources);
  /// Marks, by value, what reaches the `targets`.
  Bits useful(ir::GraphId graph, std::span<const ir::ValueId> targets);

  /// Results of `graph` (bit per result) that the marked parameters reach.
  const Bits& reached_results(ir::GraphId graph, const Bits& parameters);
  /// Parameters of `graph` that reach the marked results.
  const Bits& reaching_parameters(ir::GraphId graph, const Bits& results);

  /// Closed under the loop's iterations: which parameters of the body are active, given which operands are.
  Bits loop_active(const ir::Node& loop, Bits operands);
  /// Which results of the body are useful, given which results of the loop are.
  Bits loop_useful(const ir::Node& loop, Bits results);

 private:
  enum class Direction : std::uint8_t { forward, backward };
  struct Question {
    Direction direction;
    ir::GraphId graph;
    Bits bits;
    friend bool operator<(const Question& a, const Question& b) {
      if (a.direction != b.direction) return a.direction < b.direction;
      if (a.graph != b.graph) return a.graph < b.graph;
      return a.bits < b.bits;
    }
  };
  struct Sweep {
    Question question;
    Bits marks;
    ir::NodeId position;  ///< forward: next node; backward: one past the next node
    bool root = false;
  };

  Bits run(Sweep root);
  Sweep begin(Question question) const;
  bool step(Sweep& sweep);
  bool pass_forward(const ir::Graph& graph, const ir::Node& node, Bits& marks);
  bool pass_backward(const ir::Graph& graph, const ir::Node& node, Bits& marks);
  /// The kept answer, or null after noting the question as missing.
  const Bits* ask(Direction direction, ir::GraphId graph, const Bits& bits);

  const ir::Module& module_;
  std::map<Question, Bits> answers_;
  std::vector<Question> missing_;
};

}  // namespace kiln::passes

// Inside of expand_gradients (passes/passes.h): what gradients.cpp, gradient_regions.cpp and gradient_loops.cpp share.
//
// The theory is reverse mode. A sweep walks the nodes on the path from the values differentiated with respect to (wrt) to the
// differentiated value y, last first. Each value on the path has a cotangent, dy/dvalue, which is the sum of what its users contribute, in
// the order in which the sweep meets them: reverse node order, then the order in which a rule adds, so sums have a fixed order. An op's
// rule turns the cotangents of its results into contributions to its operands; it is the table's `gradient`, except for the ops that hold
// regions or move tapes:
//
//   call, composite   a call of the derivative of the body (or of the composite's own backward graph)
//   cond              a cond on the same predicate, of the derivatives of both branches
//   while_loop        see gradient_loops.cpp
//   tape_push         its cotangent is a pop; that of tape_pop is a push: so loops that came from gradients differentiate like any other
//   assign            yields its operand, so the cotangent passes
//
// The *derivative* of a graph takes the graph's parameters and cotangents of some results, and returns cotangents of some parameters. It
// contains a copy of the forward nodes: branches and calls recompute, which CSE undoes where both end up in one graph.
#pragma once

#include <map>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"
#include "passes/gradient_paths.h"
#include "passes/rewrite.h"

namespace kiln::passes {

/// Asks for the derivative of a graph.
struct DerivativeRequest {
  ir::GraphId graph = ir::none;
  Bits wanted;        ///< by parameter: which cotangents it returns. These parameters are what is active inside.
  Bits seeds;         ///< by result: for which it takes a cotangent
  bool step = false;  ///< of a loop's body, for one step backward: takes saved values instead of recomputing them (gradient_loops.cpp)
  friend bool operator<(const DerivativeRequest& a, const DerivativeRequest& b) {
    return std::tie(a.graph, a.step, a.wanted, a.seeds) < std::tie(b.graph, b.step, b.wanted, b.seeds);
  }
};

/// Its parameters are, in order: parameters of the graph, saved values, cotangents of the seeds. Its results: cotangents of the wanted
/// parameters.
struct Derivative {
  ir::GraphId graph = ir::none;
  std::vector<std::size_t> parameters;  ///< which parameters of the graph it takes: all, but a step takes no tapes
  std::vector<ir::ValueId> saved;       ///< a step: values of the body that it takes instead of recomputing them
  Bits used;                            ///< by parameter of the derivative: do its results depend on it?
};

struct GradientState {
  explicit GradientState(ir::Module& m) : module(m), paths(m) {}
  ir::Module& module;
  GradientPaths paths;
  std::map<DerivativeRequest, Derivative> derivatives;
};

/// A loop that was copied with tapes, and what its backward loop starts from.
struct TapedLoop {
  DerivativeRequest step;
  std::vector<std::size_t> popped;  ///< per tape: which parameter of the step it feeds
  std::vector<ir::ValueId> tapes;   ///< after the loop
  ir::ValueId trip_count = ir::none;
};

/// One reverse sweep over (the first nodes of) `source`; cotangents are built in the builder's graph, which holds copies of the source's
/// values, or is the source.
struct ReverseSweep {
  GradientState& state;
  const ir::Graph& source;
  ir::Builder builder;
  Bits path;                              ///< by source value: active and useful
  ValueMap map;                           ///< source value -> value in the builder's graph
  std::vector<ir::ValueId> cotangents;    ///< by source value; none: nothing has flowed into it
  std::map<ir::NodeId, TapedLoop> loops;  ///< the source's loops on the path
};

/// The requests that a node on the path makes: none for an ordinary op.
std::vector<DerivativeRequest> requests_of_node(GradientPaths& paths, const ir::Node& node, const Bits& path);
/// Those of all nodes on the path, in node order.
std::vector<DerivativeRequest> requests_of(GradientPaths& paths, const ir::Graph& graph, const Bits& path);
/// Values of `graph` between its wanted parameters and its seeded results.
Bits path_of(GradientPaths& paths, const ir::Graph& graph, const DerivativeRequest& request);
/// The request that a cond's branch, a call's body or a loop's body needs.
DerivativeRequest branch_request(const ir::Node& node, ir::GraphId branch, const Bits& path);
DerivativeRequest call_request(const ir::Node& node, const Bits& path);
DerivativeRequest loop_request(GradientPaths& paths, const ir::Node& loop, const Bits& path);
/// Is a result of the node and one of its operands on the path?
bool on_path(const ir::Node& node, const Bits& path);
/// Can the op be differentiated: by a rule of the table, or one of this pass?
bool has_gradient_rule(const ir::Node& node);

/// Makes the derivatives that are asked for, and those that they need, innermost first.
void make_derivatives(GradientState& state, std::vector<DerivativeRequest> requests);

/// Adds to the cotangent of a source value, unless it is off the path.
void add_cotangent(ReverseSweep& sweep, ir::ValueId value, ir::ValueId cotangent);
/// The cotangent of a source value, or zeros.
ir::ValueId cotangent_or_zeros(ReverseSweep& sweep, ir::ValueId value);
/// Zeros of a tensor type; for a tape type an empty tape, which is the cotangent of a tape that nothing flows into.
ir::ValueId zero_cotangent(ir::Builder& builder, const ir::Type& type);
/// Sweeps over the nodes before `end`.
void reverse(ReverseSweep& sweep, ir::NodeId end);

void reverse_call(ReverseSweep& sweep, const ir::Node& node);
void reverse_cond(ReverseSweep& sweep, const ir::Node& node);
void reverse_loop(ReverseSweep& sweep, ir::NodeId id);

/// Copies a loop so that it also records what its backward loop needs and counts its iterations.
TapedLoop copy_with_tapes(GradientState& state, const ir::Graph& source, ir::NodeId id, const DerivativeRequest& step, ir::Builder& builder,
                          ValueMap& map);

}  // namespace kiln::passes

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
//   while_loop        a loop back, over tapes: gradient_loops.cpp
//   scan              a scan the other way round, over stacked values: gradient_scans.cpp
//   tape_push         its cotangent is a pop; that of tape_pop is a push: so loops that came from gradients differentiate like any other
//   assign            yields its operand, so the cotangent passes
//
// The *derivative* of a graph takes the graph's parameters and cotangents of some results, and returns cotangents of some parameters. It
// contains a copy of the forward nodes: branches and calls recompute, which CSE undoes where both end up in one graph. The derivative of a
// loop's body, its *step*, takes values that the forward loop has recorded, and recomputes the rest: gradient_steps.cpp says which.
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
  Bits wanted;                             ///< by parameter: which cotangents it returns. These parameters are what is active inside.
  Bits seeds;                              ///< by result: for which it takes a cotangent
  bool step = false;                       ///< of a loop's body, for one step backward (gradient_steps.cpp)
  std::size_t carried = 0, sequences = 0;  ///< a step: how many parameters of the body are carried, and are slices
  /// By parameter, or empty: it takes what has flowed into the parameter so far, and adds to that.
  Bits started = {};
  friend bool operator<(const DerivativeRequest& a, const DerivativeRequest& b) {
    return std::tie(a.graph, a.step, a.carried, a.sequences, a.wanted, a.seeds, a.started) <
           std::tie(b.graph, b.step, b.carried, b.sequences, b.wanted, b.seeds, b.started);
  }
};

/// Its parameters are, in order: parameters of the graph, saved values, cotangents of the seeds, those of the started. Its results: cotangents of the wanted
/// parameters.
struct Derivative {
  ir::GraphId graph = ir::none;
  ir::GraphId forward = ir::none;  ///< a step: the body as the forward loop runs it, the request's or one whose scans also stack values
  std::vector<std::size_t> parameters;  ///< which parameters of the graph it takes: all, but a step only those that it uses
  std::vector<ir::ValueId> saved;       ///< a step: values of `forward` that it takes instead of recomputing them
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

/// A scan that was copied so that it also stacks what its backward scan needs.
struct StackedScan {
  DerivativeRequest step;
  std::vector<std::size_t> read;  ///< per stack: which parameter of the step it feeds
  std::vector<ir::ValueId> stacks;
};

/// One reverse sweep over (the first nodes of) `source`; cotangents are built in the builder's graph, which holds copies of the source's
/// values, or is the source.
struct ReverseSweep {
  GradientState& state;
  const ir::Graph& source;
  ir::Builder builder;
  Bits path;                                   ///< by source value: active and useful
  ValueMap map;                                ///< source value -> value in the builder's graph
  std::vector<ir::ValueId> cotangents;         ///< by source value; none: nothing has flowed into it
  std::map<ir::NodeId, TapedLoop> loops = {};  ///< the source's loops on the path
  std::map<ir::NodeId, StackedScan> scans = {};
};

/// The requests that a node on the path makes: none for an ordinary op.
std::vector<DerivativeRequest> requests_of_node(GradientPaths& paths, const ir::Node& node, const Bits& path);
/// Those of all nodes on the path, in node order; without those of checkpoints.
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
void reverse_scan(ReverseSweep& sweep, ir::NodeId id);

/// Copies a node of the source; a loop on the path so that it records what its backward loop needs.
void copy_for_reverse(ReverseSweep& sweep, ir::NodeId id);
/// Leaves out a node with an effect, which happens forward alone; what it guards, its last operands, passes through.
void pass_effect(ReverseSweep& sweep, ir::NodeId id);
/// Copies a loop so that it also records what its backward loop needs and counts its iterations.
TapedLoop copy_with_tapes(GradientState& state, const ir::Graph& source, ir::NodeId id, const DerivativeRequest& step, ir::Builder& builder,
                          ValueMap& map);
/// Copies a scan so that it also stacks what its backward scan needs.
StackedScan copy_with_stacks(GradientState& state, const ir::Graph& source, ir::NodeId id, const DerivativeRequest& step,
                             ir::Builder& builder, ValueMap& map);

/// The derivative of a loop's body for one step backward.
Derivative make_step(GradientState& state, const DerivativeRequest& request, const Bits& path);
/// Reverses from the seeds, which are added to the builder's graph as parameters, and gives that graph its results.
void reverse_graph(ReverseSweep& sweep, const DerivativeRequest& request);

/// A parameter of a step that the forward loop records: a carried value, or one from the middle of the body.
struct Recorded {
  std::size_t parameter;  ///< of the step
  ir::ValueId value;      ///< of the forward body
};
/// A carried value that the body hands on as it is counts as captured, and is not recorded.
std::vector<Recorded> recorded_values(const ir::Graph& body, const Derivative& step, std::size_t carried);
/// Is the parameter the same in all iterations: captured, or carried and handed on as it is?
bool is_invariant(const ir::Graph& body, std::size_t parameter, std::size_t carried, std::size_t sequences);

}  // namespace kiln::passes

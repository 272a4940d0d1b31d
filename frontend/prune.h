// From a graph that keeps growing to the module of one run: what the fetches need, and nothing else.
#pragma once

#include <span>
#include <vector>

#include "frontend/state.h"
#include "kiln/session.h"

namespace kiln::detail {

/// A self-contained module: parameters of main = the feeds that are needed, in order of creation; results = the fetched tensors, each once;
/// effects = exactly the assigns and checks that must run; variables = those read or assigned, without initial values.
struct PrunedModule {
  ir::Module module;
  std::vector<std::int32_t> input_feeds;    ///< of each parameter: which feed of the request it is
  std::vector<std::int32_t> fetch_outputs;  ///< of each fetch: which result it is, or -1 for an operation
};

/// `where` is the user's call of run() or prepare(). Throws Error for whatever is wrong with the request.
PrunedModule prune(GraphState& state, std::span<const Key> fetches, std::span<const Key> feeds, const Location& where);

/// A module whose main graph assigns every variable that has an initial value.
ir::Module initializer_module(const GraphState& state);

/// The variable that a key names.
std::uint32_t resolve_variable(const GraphState& state, const Key& key, const Location& where);

/// Replaces locations by the ordinals of their nodes, variables and parameters, so that equal programs written on different lines are
/// compiled once. Gives the real ones back, by ordinal.
std::vector<Location> number_locations(ir::Module& module);
/// The real location for one that carries an ordinal.
Location numbered_location(const std::vector<Location>& table, const Location& location);

}  // namespace kiln::detail

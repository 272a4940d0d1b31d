// Random programs: typed graphs over the whole operator table, with symbolic extents, control flow, state and gradients.
//
// A graph grows node by node. An (op, dtype) pair is drawn, one of the op's table samples says which operand types and attributes fit, and
// values of the pool are *adapted* to these types (converted, clamped into the sample's range, reshaped, cut, padded, repeated), or new
// parameters made. Shape ops, element-wise ops, reductions and products also take the shapes of the pool as they come. So a new op of the
// table is fuzzed without an edit here.
//
// Every value carries an example, computed by the reference interpreter while the graph grows, which keeps the graph away from oceans of
// NaN; and whether it is *exact*, that is, whether every stage computes the same bits. Discontinuous ops (comparisons, rounding, conversion
// to integers, order) take exact operands only: anything else would turn a legitimate last-bit difference into another result.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/op.h"

namespace kiln::fuzz {

struct Recipe {
  std::uint64_t seed = 0;
  int nodes = 24;  ///< of the main graph, roughly
  bool symbolic = false, control = false, gradients = false;
  bool f64 = false;  ///< no other float, so that gradients can be compared with differences
};
/// The recipe of a seed: the chances are such that over 30 % of all graphs end up symbolic, over 20 % with control flow, over 20 % with
/// gradients.
Recipe recipe_of(std::uint64_t seed);

struct Case {
  Recipe recipe;
  ir::Module module;
  std::vector<Array> inputs;               ///< of the main graph's parameters
  std::map<std::string, Array> variables;  ///< current values
  std::int64_t extent = 0;                 ///< of symbol n
};
Case generate(const Recipe& recipe);

/// How often each (op, dtype of operand 0) occurred.
using Coverage = std::map<std::pair<ir::Op, DType>, std::int64_t>;
void count(const ir::Module& module, Coverage& coverage);
/// The pairs that must occur: each op that a graph can hold, in each dtype of its entry.
std::vector<std::pair<ir::Op, DType>> wanted_pairs();

/// Whether all stages compute the op's results bit for bit from equal operands.
bool keeps_bits(const ir::Node& node, DType dtype);
/// Whether a small change of its floating operands may change its result by much.
bool is_discontinuous(const ir::Node& node, std::span<const ir::Type> operands, std::span<const ir::Type> results);

/// Nodes of all graphs, parameters and constants apart.
std::size_t size_of_module(const ir::Module& module);

}  // namespace kiln::fuzz

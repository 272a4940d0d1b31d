// Text of tensor IR. Canonical: print(parse(print(m))) == print(m), byte for byte.
//
//   symbol batch {min = 1, typical = 64}
//   variable @w1 : f32[1000, 100] = @w1.initial            // or `= {…literal…}`, or nothing
//   hidden variable @kiln.run : u64[] = 0
//   graph @main(%x: f32[batch, 1000], %y: f32[batch, 10]) -> (%loss) {
//     %w = variable {name = "w1"} : f32[1000, 100]
//     %h = dot_general %x, %w {lhs_contract = [1], rhs_contract = [0]} : f32[batch, 100]
//     %2 = recompute tanh %h : f32[batch, 100]
//     %3, %4 = kernel %h, %w {body = @fused_1} : f32[batch], f32[]
//     ...
//   }
//
// The whole grammar is in parse.cpp. The first graph is the main one; the others follow in order of first reference. Values with a user's
// name print as %name (made unique with .1, .2), the others as %0, %1 ... in order. Empty-list attributes and attributes that have their
// default are not printed. Floats print with the fewest digits that read back the same. Literals above 256 bytes go to a side file as
// `tensor("name")` when a TensorStore is given, else they print in full.
#pragma once

#include <map>
#include <string>

#include "ir/graph.h"

namespace kiln::ir {

struct PrintOptions {
  bool locations = false;                         ///< append `loc("file":line:column)` to what has one
  std::map<std::string, Array>* store = nullptr;  ///< receives large literals, by name
  bool elide_large = false;                       ///< print large literals as `#hash`: for cache keys and dumps; does not parse back
};

std::string print(const Module& module, const PrintOptions& options = {});
std::string print(const Module& module, GraphId graph, const PrintOptions& options = {});  ///< one graph alone

/// Throws Error(parse) at `file:line`. The result is verified.
Module parse(std::string_view text, const std::string& file = "<text>", const std::map<std::string, Array>* store = nullptr,
             ModuleRole role = ModuleRole::run);

}  // namespace kiln::ir

// What must agree: every stage of one case, from the reference interpreter to machine code.
//
//   graph       text -> parse -> text; verifiers between all passes
//   optimised   the tensor passes keep every bit, so before and after them the reference interpreter gives equal bits; so after fusion
//   program     program and loop interpreter against the reference: equal bits where all ops are exact, else within a tolerance (below)
//   loops       each kernel, parallel iterations first to last and last to first: equal bits
//   machine     JIT against the program interpreter, serially and in pieces: equal bits
//   gradients   of f64 losses: the directional derivative against differences, where they converge
//
// The tolerance comes from the graph itself. A copy in which every inexact result is multiplied by 1 + a few ULP (of either sign) is run
// by the reference interpreter too: how far the results move says how well the graph is conditioned, and a stage may be off by a multiple
// of that.
#pragma once

#include <map>
#include <string>

#include "tests/fuzz/generator.h"

namespace kiln::fuzz {

struct Verdict {
  std::string stage;  ///< "" when everything agrees
  std::string message;
  bool failed() const { return !stage.empty(); }
};

struct CheckOptions {
  bool machine = true;
};

/// Milliseconds by stage, summed over calls.
using Times = std::map<std::string, double>;

Verdict check(const Case& c, const CheckOptions& options = {}, Times* times = nullptr);

/// The smallest case it finds that fails at the same stage: fewer results, nodes replaced by literals of their values.
Case shrink(const Case& c, const std::string& stage, const CheckOptions& options = {});

/// The case as text: module, then the inputs in comments.
std::string describe(const Case& c);

}  // namespace kiln::fuzz

// Looking at values while a graph runs. (What the compiler does: kiln/inspect.h.)
#pragma once

#include <string>

#include "kiln/graph.h"

namespace kiln {

/// Shows x whenever a run in which it takes part comes to it: one line, "message: f32[3] {1, 2, 3}", abbreviated as printed arrays are. It
/// takes part where it is fetched (alone or in a group), and in a loop or branch body whenever the body runs; prints come in the order in
/// which they were made. SessionOptions::print receives the lines; without it they go to stderr. Derivatives do not print.
///   session.run({loss, print(logits, "logits")}, feeds);
Operation print(const Operand& x, const std::string& message);

/// Fails a run in which it takes part when x (floating) holds an infinity or NaN: Error(check_failed), with the line and name of the first
/// operation among those that x comes from, gradients included, whose result does while its own operands do not. Infinities on the way to
/// a finite x are no failure. A loop or branch counts as one operation, unless the check stands inside of it. Costs a look at each of these
/// values; SessionOptions::check_finite does it for all that runs return and assign.
///   session.run({step, check_finite(gradients(loss, {w})[0])}, feeds);
Operation check_finite(const Operand& x);

}  // namespace kiln

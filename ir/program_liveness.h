// What the statements of a program read and write, and how long each buffer is alive.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ir/program.h"

namespace kiln::ir {

struct Access {
  std::uint32_t buffer = 0;
  bool read = false, written = false;
};

/// What one statement touches itself; what its blocks touch is theirs. The predicate of a while is read between its condition and its body.
/// Reads come before writes.
std::vector<Access> accesses_of(const Program& program, const Statement& statement);

/// Positions count statements, and the begin, test and end of loops, in the order of the text. A buffer holds something that matters from
/// `first` to `last`, both included; one that is never touched has first > last.
struct LiveRange {
  std::uint32_t first = UINT32_MAX, last = 0;
};

/// A buffer that is touched inside a loop and also outside it is alive during the whole loop: its content may pass around the back-edge.
/// One that is touched inside a loop only begins with a write in every iteration, so it is alive from there to its last use.
std::vector<LiveRange> live_ranges(const Program& program);

/// Calls `visit` for every statement in the order of the text, blocks after their owner; without recursion. `depth` is 0 in the program's
/// body.
void for_each_statement(const Program& program, const std::function<void(const Statement&, int depth)>& visit);

}  // namespace kiln::ir

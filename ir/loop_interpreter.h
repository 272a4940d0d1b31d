// Interpreter of loop IR: the exact meaning of a kernel, bit for bit what emitted code computes. It checks that indices are in bounds, that parallel iterations
// touch disjoint cells (a cell written by one iteration is neither read nor written by another), and that nothing reads a cell of scratch that was not written.
#pragma once

#include <cstdint>
#include <span>

#include "ir/loop.h"

namespace kiln::ir {

struct BoundBuffer {
  void* data = nullptr;
};

/// Runs the kernel on memory. Throws InternalError with the kernel's name, the instruction's text and the values involved when a check fails.
void interpret(const Kernel& kernel, std::span<const BoundBuffer> buffers, std::span<const std::int64_t> symbols);

/// As interpret(), with parallel loops run in reverse order: results must not change.
void interpret_reversed(const Kernel& kernel, std::span<const BoundBuffer> buffers, std::span<const std::int64_t> symbols);

}  // namespace kiln::ir

// Interpreter of loop IR: the exact meaning of a kernel, bit for bit what emitted code computes. It checks that indices are in bounds, that
// parallel iterations touch disjoint cells (a cell written by one iteration is neither read nor written by another), that nothing reads a
// cell of scratch or of an output that was not written, and that a cell of an input is not read after a store through another buffer on the
// same memory (buffers may share memory: ir/loop_shadow.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "ir/loop.h"

namespace kiln::ir {

struct BoundBuffer {
  void* data = nullptr;
};

/// A kernel made ready to run many times. Refers to the kernel, which must have passed verify().
class KernelInterpreter {
 public:
  explicit KernelInterpreter(const Kernel& kernel);
  ~KernelInterpreter();
  KernelInterpreter(KernelInterpreter&&) noexcept;
  /// As interpret() below; `reversed`: parallel loops run their iterations last to first.
  void run(std::span<const BoundBuffer> buffers, std::span<const std::int64_t> symbols, bool reversed = false);

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};

/// Runs the kernel on memory. Throws InternalError with the kernel's name, the instruction's text and the values involved when a check
/// fails.
void interpret(const Kernel& kernel, std::span<const BoundBuffer> buffers, std::span<const std::int64_t> symbols);

/// As interpret(), with parallel loops run in reverse order: results must not change.
void interpret_reversed(const Kernel& kernel, std::span<const BoundBuffer> buffers, std::span<const std::int64_t> symbols);

}  // namespace kiln::ir

// Running single kernels and programs through code generation, for tests.
#pragma once

#include <string>
#include <vector>

#include "codegen/x86/x86.h"
#include "ir/loop.h"
#include "ir/program.h"

namespace kiln::test {

/// A program that calls `kernel` once: its inputs are the program's inputs; output, inout and scratch buffers are outputs.
ir::Program program_of(const ir::Kernel& kernel);

/// A compiled program and its run on given memory.
struct Compiled {
  codegen::LoadedCode code;
  std::size_t object_bytes = 0;
};
Compiled compile(const ir::Program& program, const codegen::X86Options& options = {});

/// The kiln_call of a run, with storage for its tables.
struct Call {
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  std::vector<void*> variables, shadows;
  std::vector<const void*> constants;
  std::vector<std::int64_t> symbols, values;
  std::vector<unsigned char> arena;
  kiln_call call{};
  /// Points the tables of `call` at the vectors.
  kiln_call* prepare();
};

/// Compiles `kernel` for `target` and runs it on `buffers` (in the order of kernel.buffers).
void run_kernel(const ir::Kernel& kernel, const std::vector<void*>& buffers, const std::vector<std::int64_t>& symbols,
                const codegen::X86Options& options = {});

/// Does this CPU run code for the level?
bool host_runs(const std::string& level);

}  // namespace kiln::test

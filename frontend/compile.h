// From a pruned module to a program that a Session can run.
#pragma once

#include "frontend/prune.h"
#include "ir/program.h"
#include "passes/passes.h"
#include "runtime/program.h"

namespace kiln::detail {

/// The registers of a CPU level. `target` is "native" or "x86-64-v2" to "x86-64-v4"; Error(unsupported) for others.
passes::CpuTarget cpu_target(const std::string& target);

/// What a Session must know of a program: everything but the code. Ports, variables and checks keep the locations that the program has.
runtime::Program describe(const ir::Program& program);

/// The limit of the options, and what counts besides the arena: all variables of the graph. `extents`: of the symbols in a run, or null.
passes::MemoryRequest memory_request(const ir::Module& graph, const ir::Module& pruned, const SessionOptions& options,
                                     const std::map<std::string, std::int64_t>* extents);

/// Throws Error(invalid_argument) when the module calls a function that the graph does not have.
void require_functions(const GraphState& state, const ir::Module& module, const Location& where);
/// Gives the program's custom calls the graph's functions.
void attach_functions(const GraphState& state, runtime::Program& program);

/// A program that evaluates the module operator by operator.
runtime::Program reference_program(ir::Module module);

}  // namespace kiln::detail

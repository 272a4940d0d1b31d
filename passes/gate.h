// The gate that every pass goes through: it skips by name, times, dumps what changed, verifies, and checks that the text reads back as it
// was written. And the table of the passes, by which the gate, tools and tests know them.
#pragma once

#include <chrono>
#include <string>

#include "passes/limit_memory.h"
#include "passes/passes.h"

namespace kiln::passes {

using PassFunction = bool (*)(ir::Module&, PipelineResult&);

struct Pass {
  const char* name;
  PassFunction run;
};

inline constexpr Pass dead_code{"dead_code", [](ir::Module& module, PipelineResult&) { return eliminate_dead_code(module); }};
inline constexpr Pass gradients{"gradients", [](ir::Module& module, PipelineResult&) { return expand_gradients(module); }};
inline constexpr Pass inlining{"inline_calls", [](ir::Module& module, PipelineResult&) { return inline_calls(module); }};
inline constexpr Pass forward_segments{"limit_memory", [](ir::Module& module, PipelineResult&) { return limit_memory(module); }};
inline constexpr Pass finite_checks{"expand_finite_checks", [](ir::Module& module, PipelineResult&) { return expand_finite_checks(module); }};
inline constexpr Pass scan_lowering{"lower_scans", [](ir::Module& module, PipelineResult&) { return lower_scans(module); }};
inline constexpr Pass bound_lowering{"lower_bounds", [](ir::Module& module, PipelineResult&) { return lower_bounds(module); }};
inline constexpr Pass loop_algebra{"simplify_loops", [](ir::Module& module, PipelineResult&) { return simplify_loops(module); }};
inline constexpr Pass branch_algebra{"simplify_branches", [](ir::Module& module, PipelineResult&) { return simplify_branches(module); }};
inline constexpr Pass canonical{"canonicalize", [](ir::Module& module, PipelineResult&) { return canonicalize(module); }};
inline constexpr Pass folding{"fold_constants", [](ir::Module& module, PipelineResult&) { return fold_constants(module); }};
inline constexpr Pass algebra{"simplify", [](ir::Module& module, PipelineResult&) { return simplify(module); }};
inline constexpr Pass merging{"common_subexpressions",
                              [](ir::Module& module, PipelineResult&) { return eliminate_common_subexpressions(module); }};
inline constexpr Pass fusion{"fuse", [](ir::Module& module, PipelineResult& result) { return fuse(module, &result.fusion_log); }};
inline constexpr const char* loops_stage = "loops";
inline constexpr const char* program_stage = "program";

inline constexpr Pass tensor_passes[] = {dead_code, forward_segments, gradients, inlining, finite_checks, scan_lowering,  bound_lowering, canonical,
                                         folding,   algebra,   loop_algebra, branch_algebra, merging,        fusion};

/// What the gate remembers between passes.
struct Gate {
  const PipelineOptions& options;
  PipelineResult& result;
  int stage = 0;  ///< number of the next dump
};

/// Runs one pass; true when it changed the module. Throws InternalError naming the pass when it, or a check after it, fails.
bool run_pass(Gate& gate, const Pass& pass, ir::Module& module);

/// Dumps and checks what something other than a pass of the table has made of the module.
void changed_by(Gate& gate, const char* name, const ir::Module& module);

/// True when the pipeline ends after this pass; the text is in the result then.
bool stops(Gate& gate, const Pass& pass, const ir::Module& module);

/// Writes the module as it came in, and checks it.
void enter(Gate& gate, const ir::Module& module);

/// Writes `text` as NN_name.kiln into the dump folder, if there is one.
void dump(Gate& gate, const std::string& name, const std::string& text);
/// Throws InternalError with both texts when they differ.
void check_round_trip(const std::string& stage, const std::string& first, const std::string& second);
double milliseconds_since(std::chrono::steady_clock::time_point start);

/// plan_program through the gate: times, dumps and checks its kernels and statements; their text is in the result when the pipeline stops
/// there. `memory` becomes part of the program.
void run_planning(Gate& gate, const ir::Module& module, const ir::MemoryPlan& memory);

}  // namespace kiln::passes

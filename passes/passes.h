// All passes. A pass is a free function; true means that it changed something. The pipeline that calls them in order is passes/pipeline.cpp: read that page first.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/loop.h"
#include "ir/program.h"

namespace kiln::passes {

// ---- tensor -> tensor ---------------------------------------------------------------------------------------------

/// Removes nodes and graph parameters of called graphs that no result and no effect needs. Leaves the parameters of `main` alone (they are its
/// signature). Exists so that a run computes what was fetched and nothing else.
bool eliminate_dead_code(ir::Module& module);

/// Replaces every `gradients` node by reverse-mode differentiation, innermost first, through cond, while_loop (with tapes), scan, call and composite. Leaves no gradients node.
/// Runs before any rewriting: a rewriting pass could merge values that a user differentiates separately.
bool expand_gradients(ir::Module& module);

/// Why gradients(y, wrt) would fail, as the message and hint of an Error(not_differentiable).
struct GradientProblem {
  std::size_t wrt = 0;   ///< which of them
  std::string message, hint;
};
/// Checks what expand_gradients needs, when gradients() is called, so that the error has that line: y depends on each wrt, and every op between them has a
/// gradient. Nothing when all is well. Linear in the size of the graph, whatever the number of wrts.
std::optional<GradientProblem> find_gradient_problem(const ir::Module& module, ir::GraphId graph, ir::ValueId y, std::span<const ir::ValueId> wrt);
/// The same for several values at once, of which each wrt must reach one; `unconnected`: it need not.
std::optional<GradientProblem> find_gradient_problem(const ir::Module& module, ir::GraphId graph, std::span<const ir::ValueId> ys,
                                                     std::span<const ir::ValueId> wrt, bool unconnected);

/// Inlines calls, and composites that no later pass knows by name. Leaves bodies of loops, branches and kernels as graphs, and calls that are marked as
/// recomputed, which keep apart what must not be merged or started early.
bool inline_calls(ir::Module& module);

/// Makes of each check_finite checks that name the first operation that turned finite values into infinities or NaN. Leaves no check_finite.
/// Exists after gradients and inlining, whose operations it looks at.
bool expand_finite_checks(ir::Module& module);

/// Makes while_loops of scans, with dynamic_slice and dynamic_update_slice in their bodies. Leaves no scan. Exists after gradients, which are
/// scans themselves, and after inlining, as it copies bodies; before simplification, which sees loops alone.
bool lower_scans(ir::Module& module);

/// Makes tensors of tapes that have a bound, and checks in the loops that have one that it holds. Leaves unbounded tapes alone. Exists after
/// gradients, which need tapes as tapes.
bool lower_bounds(ir::Module& module);

/// Takes out of while_loops what is the same in every iteration and merges carried values that are equal. Leaves branches, loops and calls inside a
/// body there. Exists beside common_subexpressions, which does not look around a loop.
bool simplify_loops(ir::Module& module);

/// Inlines the branch of a cond that is sure to run: the predicate is a constant, or both branches are one graph. Leaves other branches alone.
/// Exists in the simplification group, where predicates become constants.
bool simplify_branches(ir::Module& module);

/// One normal form per meaning: operand order of commutative ops, default attributes dropped, trivial shape ops removed, chains of
/// reshape/transpose/convert/broadcast merged. Leaves values' bits alone.
bool canonicalize(ir::Module& module);

/// Evaluates nodes whose operands are constants, with the reference evaluator, up to `max_bytes` per result. Leaves larger ones and everything random alone.
bool fold_constants(ir::Module& module, std::int64_t max_bytes = 4096);

/// Merges equal nodes of a graph. Leaves effects, random draws with different streams and recompute clones alone.
bool eliminate_common_subexpressions(ir::Module& module);

/// Algebraic rewrites that keep every bit for every input (x*1, x+(-0), double negation, select with equal arms, transposes into dot_general...),
/// by family: passes/simplify_*.cpp. Leaves x-x, x*0 and x/c alone: NaN and rounding forbid them.
bool simplify(ir::Module& module);

/// Groups nodes into `kernel` nodes, each with a body graph and a kind; equal bodies become one graph. Leaves control flow, variables, assigns,
/// checks and tapes outside. `log`, when given, receives a line for each pair of neighbours: why they were or were not fused.
bool fuse(ir::Module& module, std::vector<std::string>* log = nullptr);

// ---- tensor -> loops ------------------------------------------------------------------------------------------------

/// The registers a schedule may use: everything that differs between CPU levels.
struct CpuTarget {
  std::string name = "x86-64-v4";   ///< as given to the code generator; "native" is resolved before
  int registers = 32;               ///< vector registers
  int register_bytes = 64;          ///< width of one
  bool fma = true;
};

/// Turns the body of a kernel node into loops. `graph` holds only ops with a lowering; the kind attribute and shapes choose the schedule.
/// The kernel's buffers are the graph's parameters, then its results, then scratch. A result that starts as a parameter (of an update: a
/// scatter, a dynamic_update_slice) has no buffer of its own: the parameter's has the role `inout`, and holds the result afterwards.
ir::Kernel lower_kernel(const ir::Module& module, ir::GraphId graph, const CpuTarget& target);

/// Replaces the functions (exp, tanh, ...) by polynomials, in place, and takes constants and loop-invariant values out of loops.
void expand_math(ir::Kernel& kernel);

// ---- -> program -----------------------------------------------------------------------------------------------------

/// Orders statements, decides what happens in place and which variables are double-buffered, plans the arena, and lowers each distinct kernel
/// once. `module` has been fused.
ir::Program plan_program(const ir::Module& module, const CpuTarget& target);

// ---- the gate ---------------------------------------------------------------------------------------------------------

/// A limit of memory, and what counts besides the arena.
struct MemoryRequest {
  std::int64_t limit = 0;                        ///< bytes; 0: none
  std::int64_t variables = 0;                    ///< bytes of variables, without the shadows of this program
  std::map<std::string, std::int64_t> symbols;   ///< of the run; those that are missing count with their typical values
  bool required = true;                          ///< false: what does not fit is compiled with the least memory possible
  std::function<std::int64_t(std::int64_t)> allocated;  ///< how much memory so many bytes take; absent: as many
};

struct PipelineOptions {
  MemoryRequest memory;
  std::vector<std::string> skip;            ///< passes not to run, by name (for debugging)
  bool verify_each = false;                 ///< verify after every pass
  bool round_trip = false;                  ///< print, parse, print after every pass; InternalError when it differs
  std::string dump_folder;                  ///< writes every stage that changed: NN_pass.kiln
  std::string stop_after;                   ///< the last pass to run; its text is in `stopped_text`
  bool locations = false;                   ///< with the user's lines in that text, where it is tensor IR
  CpuTarget target;
};

struct PassTime {
  std::string pass;
  double milliseconds = 0;
  bool changed = false;
};

struct PipelineResult {
  ir::Program program;                      ///< empty when stopped earlier
  std::string stopped_text;
  std::vector<PassTime> times;
  std::vector<std::string> fusion_log;
};

/// Names of the passes in the order in which they run.
std::vector<std::string> pass_names();

/// Runs the whole pipeline on a module whose main graph has been pruned to what is fetched.
PipelineResult run_pipeline(ir::Module module, const PipelineOptions& options);

/// Runs named passes only ("simplify", "fuse", ...), for `kiln opt` and golden tests.
void run_passes(ir::Module& module, const std::vector<std::string>& names, const PipelineOptions& options);

}  // namespace kiln::passes

// The pipeline: every pass in the order in which it runs, with what holds from there on. Read run_pipeline first, at the end of this page.
//
// One gate runs them all: it skips by name, times, dumps what changed, verifies, and checks that the text reads back as it was written.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "ir/loop_text.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/passes.h"

namespace kiln::passes {

using namespace ir;

namespace {

using PassFunction = bool (*)(Module&, PipelineResult&);

struct Pass {
  const char* name;
  PassFunction run;
};

constexpr Pass dead_code{"dead_code", [](Module& module, PipelineResult&) { return eliminate_dead_code(module); }};
constexpr Pass gradients{"gradients", [](Module& module, PipelineResult&) { return expand_gradients(module); }};
constexpr Pass inlining{"inline_calls", [](Module& module, PipelineResult&) { return inline_calls(module); }};
constexpr Pass canonical{"canonicalize", [](Module& module, PipelineResult&) { return canonicalize(module); }};
constexpr Pass folding{"fold_constants", [](Module& module, PipelineResult&) { return fold_constants(module); }};
constexpr Pass algebra{"simplify", [](Module& module, PipelineResult&) { return simplify(module); }};
constexpr Pass merging{"common_subexpressions", [](Module& module, PipelineResult&) { return eliminate_common_subexpressions(module); }};
constexpr Pass fusion{"fuse", [](Module& module, PipelineResult& result) { return fuse(module, &result.fusion_log); }};
constexpr const char* loops_stage = "loops";
constexpr const char* program_stage = "program";

constexpr Pass tensor_passes[] = {dead_code, gradients, inlining, canonical, folding, algebra, merging, fusion};

/// Rounds of the simplification group. Most graphs need two and a third that finds nothing; the bound is for passes that undo each other.
constexpr int max_rounds = 8;

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

/// What the gate remembers between passes.
struct Gate {
  const PipelineOptions& options;
  PipelineResult& result;
  int stage = 0;   ///< number of the next dump
};

void dump(Gate& gate, const std::string& name, const std::string& text) {
  if (gate.options.dump_folder.empty()) return;
  namespace fs = std::filesystem;
  const fs::path folder(gate.options.dump_folder);
  const fs::path path = folder / fmt::format("{:02}_{}.kiln", gate.stage++, name);
  std::error_code failed;
  fs::create_directories(folder, failed);
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (failed || !file) throw Error(ErrorCode::io, fmt::format("cannot write {}", path.string()), {}, "the dump folder must be writable");
}

std::string dump_text(const Module& module) { return print(module, {.locations = true, .elide_large = true}); }

void check_round_trip(const std::string& stage, const std::string& first, const std::string& second) {
  if (first != second)
    throw InternalError(fmt::format("after {}: the text does not read back as it was printed\n---- printed\n{}---- read back and printed\n{}", stage, first,
                                    second));
}

void check_module(const Gate& gate, const std::string& stage, const Module& module) {
  if (gate.options.verify_each) {
    try {
      verify(module);
    } catch (const InternalError& error) {
      throw InternalError(fmt::format("after {}: {}\n{}", stage, error.what(), print(module, {.elide_large = true})));
    }
  }
  if (gate.options.round_trip) {
    std::map<std::string, Array> store, again;
    const std::string text = print(module, {.store = &store});
    check_round_trip(stage, text, print(parse(text, stage, &store), {.store = &again}));
  }
}

/// Runs one pass; true when it changed the module.
bool run_pass(Gate& gate, const Pass& pass, Module& module) {
  const std::vector<std::string>& skip = gate.options.skip;
  if (std::find(skip.begin(), skip.end(), pass.name) != skip.end()) return false;
  const auto start = std::chrono::steady_clock::now();
  bool changed = false;
  try {
    changed = pass.run(module, gate.result);
  } catch (const InternalError& error) {
    throw InternalError(fmt::format("in {}: {}", pass.name, error.what()));
  }
  gate.result.times.push_back({pass.name, milliseconds_since(start), changed});
  if (changed) {
    if (!gate.options.dump_folder.empty()) dump(gate, pass.name, dump_text(module));
    check_module(gate, pass.name, module);
  }
  return changed;
}

/// True when the pipeline ends here; its text is in the result then.
bool stops(Gate& gate, const Pass& pass, const Module& module) {
  if (gate.options.stop_after != pass.name) return false;
  gate.result.stopped_text = print(module);
  return true;
}

std::string loops_text(const Program& program) {
  std::string text;
  for (const Kernel& kernel : program.kernels) text += (text.empty() ? "" : "\n") + print(kernel);
  return text;
}

void check_program(const Gate& gate, const Program& program) {
  if (gate.options.verify_each) {
    for (const Kernel& kernel : program.kernels) verify(kernel);
    verify(program);
  }
  if (gate.options.round_trip) {
    const std::string loops = loops_text(program), text = print(program);
    Program read;
    read.kernels = parse_kernels(loops, loops_stage);
    check_round_trip(loops_stage, loops, loops_text(read));
    check_round_trip(program_stage, text, print(parse_program(text, program_stage)));
  }
}

}  // namespace

std::vector<std::string> pass_names() {
  std::vector<std::string> names;
  for (const Pass& pass : tensor_passes) names.emplace_back(pass.name);
  names.insert(names.end(), {loops_stage, program_stage});
  return names;
}

void run_passes(Module& module, const std::vector<std::string>& names, const PipelineOptions& options) {
  PipelineResult result;
  Gate gate{options, result};
  for (const std::string& name : names) {
    const auto pass = std::find_if(std::begin(tensor_passes), std::end(tensor_passes), [&](const Pass& p) { return name == p.name; });
    if (pass == std::end(tensor_passes))
      throw Error(ErrorCode::invalid_argument, fmt::format("there is no pass named \"{}\"", name), {},
                  fmt::format("the passes are {}", fmt::join(pass_names().begin(), pass_names().end() - 2, ", ")));
    run_pass(gate, *pass, module);
  }
}

PipelineResult run_pipeline(Module module, const PipelineOptions& options) {
  PipelineResult result;
  Gate gate{options, result};
  if (const std::vector<std::string> names = pass_names();
      !options.stop_after.empty() && std::find(names.begin(), names.end(), options.stop_after) == names.end())
    throw Error(ErrorCode::invalid_argument, fmt::format("there is no stage named \"{}\"", options.stop_after), {},
                fmt::format("the stages are {}", fmt::join(names, ", ")));
  if (!options.dump_folder.empty()) dump(gate, "input", dump_text(module));
  check_module(gate, "input", module);

  // Nothing but what the run needs: gradients that nobody fetches are not even derived.
  run_pass(gate, dead_code, module);

  // Derivatives in primitives. No rewriting comes before: it could merge values that a user differentiates separately. From here on there are no
  // gradients nodes, and every value may be rewritten.
  run_pass(gate, gradients, module);
  if (stops(gate, gradients, module)) return result;

  // Without the parts of the derivatives that nothing uses: cotangents of data, values that a loop would carry for nobody.
  run_pass(gate, dead_code, module);

  // One flat graph per loop body, branch and main. From here on only kernels, loops and branches hold regions.
  run_pass(gate, inlining, module);
  if (stops(gate, inlining, module)) return result;

  // One form per meaning, and less of it. Each pass makes work for the others, so they repeat until none finds any. All of them keep every bit.
  bool changed = true;
  for (int round = 0; changed && round < max_rounds; ++round) {
    changed = run_pass(gate, canonical, module);        // equal meanings look equal: the rules below know one form only
    changed |= run_pass(gate, folding, module);         // what depends on constants alone is a constant
    changed |= run_pass(gate, algebra, module);         // algebra by family: arithmetic, shapes, contractions
    changed |= run_pass(gate, merging, module);         // no value is computed twice
  }
  for (const Pass& pass : {canonical, folding, algebra, merging})
    if (stops(gate, pass, module)) return result;

  // The graph as the user would have written it with all the time in the world.
  run_pass(gate, dead_code, module);
  if (stops(gate, dead_code, module)) return result;

  // From here on every computation is inside a kernel node, which becomes one trip through memory.
  run_pass(gate, fusion, module);
  if (stops(gate, fusion, module)) return result;

  // Kernels as loops, statements in order, every buffer at its place in memory: what code generation reads.
  const auto start = std::chrono::steady_clock::now();
  try {
    result.program = plan_program(module, options.target);
  } catch (const InternalError& error) {
    throw InternalError(fmt::format("in {}: {}", program_stage, error.what()));
  }
  result.times.push_back({program_stage, milliseconds_since(start), true});
  if (!options.dump_folder.empty()) {
    dump(gate, loops_stage, loops_text(result.program));
    dump(gate, program_stage, print(result.program, false));
  }
  check_program(gate, result.program);
  if (options.stop_after == loops_stage) result.stopped_text = loops_text(result.program);
  if (options.stop_after == program_stage) result.stopped_text = print(result.program, false);
  return result;
}

}  // namespace kiln::passes

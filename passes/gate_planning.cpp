// The last stage through the gate: kernels as loops, and the program that calls them. See gate.h.
#include <fmt/format.h>

#include "ir/loop_text.h"
#include "passes/gate.h"
#include "passes/pipeline_memory.h"

namespace kiln::passes {

using namespace ir;

namespace {

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

void run_planning(Gate& gate, const Module& module, const MemoryPlan& memory) {
  PipelineResult& result = gate.result;
  const auto start = std::chrono::steady_clock::now();
  try {
    result.program = plan_program(module, gate.options.target);
  } catch (const InternalError& error) {
    throw InternalError(fmt::format("in {}: {}", program_stage, error.what()));
  }
  add_memory(result.program, module, memory);
  result.times.push_back({program_stage, milliseconds_since(start), true});
  if (!gate.options.dump_folder.empty()) {
    dump(gate, loops_stage, loops_text(result.program));
    dump(gate, program_stage, print(result.program, false));
  }
  check_program(gate, result.program);
  if (gate.options.stop_after == loops_stage) result.stopped_text = loops_text(result.program);
  if (gate.options.stop_after == program_stage) result.stopped_text = print(result.program, false);
}

}  // namespace kiln::passes

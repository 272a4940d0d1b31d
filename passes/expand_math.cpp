// expand_math: functions become the arithmetic of passes/math_functions.cpp, then constants and invariant values move out of loops.
#include "passes/hoist.h"
#include "passes/math_code.h"
#include "passes/passes.h"

namespace kiln::passes {

namespace {

bool is_function(ir::LoopOp op) { return op >= ir::LoopOp::exp; }

/// Replaces the functions of one block; those of its inner blocks are on the caller's stack.
void expand_block(ir::Kernel& kernel, ir::Block& block) {
  std::vector<ir::Instruction> expanded;
  for (ir::Instruction& instruction : block.instructions) {
    if (!is_function(instruction.op)) {
      expanded.push_back(std::move(instruction));
      continue;
    }
    Code code(kernel, expanded);
    std::vector<Value> operands;
    for (const ir::RegisterId id : instruction.operands) operands.push_back(code.value(id));
    const Value result = expand_function(instruction.op, operands);
    // Others read the function's own register: the last instruction writes that one instead.
    internal_check(
        expanded.back().results.size() == 1 && expanded.back().results[0] == result.id && expanded.back().type == instruction.type,
        "expand_math: a function's value is not its last instruction");
    expanded.back().results = instruction.results;
  }
  block.instructions = std::move(expanded);
}

}  // namespace

void expand_math(ir::Kernel& kernel) {
  std::vector<ir::Block*> stack{&kernel.body};
  while (!stack.empty()) {
    ir::Block* block = stack.back();
    stack.pop_back();
    expand_block(kernel, *block);
    for (ir::Instruction& instruction : block->instructions)
      for (ir::Block& inner : instruction.blocks) stack.push_back(&inner);
  }
  hoist_invariants(kernel);
}

}  // namespace kiln::passes

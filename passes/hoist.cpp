// Loop-invariant code motion on loop IR (passes/hoist.h).
//
// Each register and index name has a level: the depth of the block that defines it. An instruction of a block at level n whose operands and
// names are all of lower levels belongs in front of the loop. Blocks are visited inside out, so what an inner loop gives up is offered to
// the next one. Nesting is bounded by the verifier, so recursion over blocks is, too.
#include "passes/hoist.h"

#include <unordered_map>

#include "ir/loop_builder.h"

namespace kiln::passes {

using ir::Block;
using ir::Instruction;
using ir::LoopOp;
using ir::RegisterId;

namespace {

class Hoister {
 public:
  explicit Hoister(ir::Kernel& kernel) : kernel_(kernel), level_(kernel.registers.size(), 0), renamed_(kernel.registers.size()) {
    for (RegisterId id = 0; id < renamed_.size(); ++id) renamed_[id] = id;
  }

  void run() {
    visit(kernel_.body, 0, nullptr);
    // Bodies that were visited before a constant met its equal still name the dropped one.
    std::vector<Block*> stack{&kernel_.body};
    while (!stack.empty()) {
      Block* block = stack.back();
      stack.pop_back();
      for (Instruction& instruction : block->instructions) {
        for (RegisterId& id : instruction.operands) id = renamed_[id];
        for (Block& inner : instruction.blocks) stack.push_back(&inner);
      }
    }
  }

 private:
  struct Constant {
    RegisterId id;
    ir::RegisterType type;
    ir::Literal literal;
    int level;
  };

  /// `outside`: receives what moves in front of the loop whose body this is; null when nothing may.
  void visit(Block& block, int level, std::vector<Instruction>* outside) {
    std::vector<Instruction> kept;
    const std::size_t known_constants = constants_.size();
    for (const RegisterId id : block.parameters) level_[id] = level;
    for (Instruction& instruction : block.instructions) {
      for (RegisterId& id : instruction.operands) id = renamed_[id];
      if (instruction.op == LoopOp::for_ || instruction.op == LoopOp::let)
        names_[instruction.name] = instruction.op == LoopOp::let ? level : level + 1;
      const bool serial_loop = instruction.op == LoopOp::for_ && instruction.loop != ir::LoopKind::parallel;
      const bool parallel_loop = instruction.op == LoopOp::for_ && instruction.loop == ir::LoopKind::parallel;
      const int floor = constant_floor_;
      if (parallel_loop) constant_floor_ = level + 1;
      for (Block& inner : instruction.blocks) {
        std::vector<Instruction> moved;
        visit(inner, level + 1, serial_loop ? &moved : nullptr);
        for (Instruction& m : moved) place(std::move(m), level, outside, kept);
      }
      constant_floor_ = floor;
      place(std::move(instruction), level, outside, kept);
    }
    block.instructions = std::move(kept);
    constants_.resize(known_constants);
  }

  void place(Instruction instruction, int level, std::vector<Instruction>* outside, std::vector<Instruction>& kept) {
    for (RegisterId& id : instruction.operands) id = renamed_[id];  // a moved one may have met its equal meanwhile
    if (outside != nullptr && moves(instruction, level)) {
      for (const RegisterId id : instruction.results) level_[id] = level - 1;
      outside->push_back(std::move(instruction));
      return;
    }
    if (instruction.op == LoopOp::constant) {
      for (const Constant& c : constants_) {
        if (c.level < constant_floor_ || c.type != instruction.type || !(c.literal == instruction.literal)) continue;
        rename(instruction.results[0], c.id);
        return;
      }
      constants_.push_back({instruction.results[0], instruction.type, instruction.literal, level});
    }
    for (const RegisterId id : instruction.results) level_[id] = level;
    kept.push_back(std::move(instruction));
  }

  void rename(RegisterId from, RegisterId to) {
    renamed_[from] = to;
    level_[from] = level_[to];
  }

  bool moves(const Instruction& instruction, int level) const {
    switch (instruction.op) {
      case LoopOp::store:
      case LoopOp::prefetch:
      case LoopOp::for_:
      case LoopOp::if_:
      case LoopOp::switch_:
      case LoopOp::let:
      case LoopOp::yield: return false;
      case LoopOp::load:
        if (kernel_.buffers[instruction.buffer].role != ir::Buffer::Role::input) return false;
        break;
      default: break;
    }
    for (const RegisterId id : instruction.operands)
      if (level_[id] >= level) return false;
    bool inside = false;
    for (const ir::Dim& dim : instruction.indices)
      ir::for_each_symbol(dim, [&](const auto& info) {
        const auto it = names_.find(info->name);
        inside |= it != names_.end() && it->second >= level;
      });
    return !inside;
  }

  ir::Kernel& kernel_;
  std::vector<int> level_;           // of registers
  std::vector<RegisterId> renamed_;  // constants that met an equal one
  std::unordered_map<std::string, int> names_;
  std::vector<Constant> constants_;  // in scope
  int constant_floor_ = 0;           // constants outside the innermost parallel loop stay there
};

}  // namespace

void hoist_invariants(ir::Kernel& kernel) { Hoister(kernel).run(); }

}  // namespace kiln::passes

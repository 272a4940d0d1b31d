// In-place updates (passes/plan_in_place.h).
//
// A kernel computes the same on shared memory when each element of the parameter is loaded only before the store that overwrites it. The
// loops show that when
//
//   - the result is only stored, never loaded (a kernel that keeps partial sums in its result would destroy the parameter with them);
//   - each load of the parameter is followed, in the same block, by a store to the result at the same indices and of the same shape, and no
//   load
//     of the parameter comes after that store in the block;
//   - every store to the result runs once per element: each loop around it moves its indices, directly, through the bounds of a loop
//   inside, or through a let. A loop
//     that does not (over blocks of a contracted dim, say) would store, and load, the same element again.
//
// What remains is that the tiles of one loop do not overlap, as a last tile moved back over the one before it would. Schedules store each
// element of a result that they never load exactly once; their tests run kernels on shared memory, where the loop interpreter reports such
// an overlap.
//
// Anything else is double-buffered.
#include "passes/plan_in_place.h"

#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace kiln::passes {
namespace {

using ir::Block;
using ir::Dim;
using ir::Instruction;
using ir::LoopOp;

class Check {
 public:
  Check(const ir::Kernel& kernel, ir::BufferId parameter, ir::BufferId result) : kernel_(kernel), parameter_(parameter), result_(result) {}
  bool run() {
    note_lets(kernel_.body);
    return block(kernel_.body);
  }

 private:
  /// A let names the value of a register; where that is an index op, what moves the expression moves the let.
  void note_lets(const Block& b) {
    for (const Instruction& i : b.instructions) {
      if (i.op == LoopOp::index) indices_[i.results[0]] = &i.indices[0];
      if (i.op == LoopOp::let) {
        if (const auto index = indices_.find(i.operands[0]); index != indices_.end()) lets_[i.name] = index->second;
      }
      for (const Block& inner : i.blocks) note_lets(inner);
    }
  }

  bool block(const Block& b) {
    for (std::size_t k = 0; k < b.instructions.size(); ++k) {
      const Instruction& i = b.instructions[k];
      if (i.op == LoopOp::load && i.buffer == result_) return false;
      if (i.op == LoopOp::store && i.buffer == result_ && !runs_once_per_element(i)) return false;
      if (i.op == LoopOp::load && i.buffer == parameter_ && !overwritten_later(b, k)) return false;
      const bool loop = i.op == LoopOp::for_;
      if (loop) loops_.push_back(&i);
      for (const Block& inner : i.blocks)
        if (!block(inner)) return false;
      if (loop) loops_.pop_back();
    }
    return true;
  }

  static bool runs_once(const Instruction& loop) {
    return less_equal(loop.indices[1] - loop.indices[0], loop.indices[2]) == ir::Truth::yes;
  }

  bool overwritten_later(const Block& b, std::size_t at) const {
    const Instruction& load = b.instructions[at];
    for (std::size_t k = at + 1; k < b.instructions.size(); ++k) {
      const Instruction& i = b.instructions[k];
      if (i.op == LoopOp::store && i.buffer == result_ && i.indices == load.indices)
        return covers(i.type, load.type, load.indices) && !loaded_after(b, k);
      if (!i.blocks.empty() && touches(i)) return false;
    }
    return false;
  }

  /// The store's tile holds every element of the load's. A load that repeats along an axis which its indices do not mention is smaller
  /// there.
  static bool covers(const ir::RegisterType& store, const ir::RegisterType& load, const std::vector<Dim>& indices) {
    const auto mentioned = [&](const char* coordinate) {
      return std::any_of(indices.begin(), indices.end(), [&](const Dim& d) { return mentions(d, coordinate); });
    };
    const bool rows = store.rows == load.rows || !mentioned(ir::tile_row);
    const bool vector = store.cols * store.lanes == load.cols * load.lanes || !mentioned(ir::tile_vector);
    return rows && vector;
  }

  bool loaded_after(const Block& b, std::size_t store) const {
    for (std::size_t k = store + 1; k < b.instructions.size(); ++k) {
      const Instruction& i = b.instructions[k];
      if ((i.op == LoopOp::load && i.buffer == parameter_) || touches(i)) return true;
    }
    return false;
  }

  /// Do the instruction's blocks load the parameter or store the result?
  bool touches(const Instruction& i) const {
    for (const Block& b : i.blocks) {
      for (const Instruction& inner : b.instructions) {
        const bool touch =
            (inner.op == LoopOp::load && inner.buffer == parameter_) || (inner.op == LoopOp::store && inner.buffer == result_);
        if (touch || touches(inner)) return true;
      }
    }
    return false;
  }

  bool runs_once_per_element(const Instruction& store) const {
    std::set<std::string> moving;  // names that change the indices
    const auto add = [&](const Dim& dim) {
      std::vector<std::string> names = symbols_of(dim);
      while (!names.empty()) {
        std::string name = std::move(names.back());
        names.pop_back();
        if (!moving.insert(name).second) continue;
        if (const auto let = lets_.find(name); let != lets_.end())
          for (std::string& inner : symbols_of(*let->second)) names.push_back(std::move(inner));
      }
    };
    for (const Dim& index : store.indices) add(index);
    for (auto loop = loops_.rbegin(); loop != loops_.rend(); ++loop) {
      if (moving.contains((*loop)->name)) {
        add((*loop)->indices[0]);
        add((*loop)->indices[1]);
      } else if (!runs_once(**loop)) {
        return false;
      }
    }
    return true;
  }

  const ir::Kernel& kernel_;
  ir::BufferId parameter_, result_;
  std::vector<const Instruction*> loops_;  // around the block
  std::unordered_map<ir::RegisterId, const Dim*> indices_;
  std::unordered_map<std::string, const Dim*> lets_;
};

}  // namespace

std::optional<ir::BufferId> updated_parameter(const ir::Kernel& kernel) {
  for (ir::BufferId b = 0; b < kernel.buffers.size(); ++b)
    if (kernel.buffers[b].role == ir::Buffer::Role::inout) return b;
  return std::nullopt;
}

bool may_overwrite(const ir::Kernel& kernel, ir::BufferId parameter, ir::BufferId result) {
  const ir::Buffer &p = kernel.buffers[parameter], &r = kernel.buffers[result];
  if (p.dtype != r.dtype || p.strides != r.strides || p.extents != r.extents) return false;
  return Check(kernel, parameter, result).run();
}

}  // namespace kiln::passes

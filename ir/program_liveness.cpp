// Accesses and live ranges of program IR (ir/program_liveness.h).
#include "ir/program_liveness.h"

#include <algorithm>

namespace kiln::ir {

namespace {

constexpr std::uint32_t no_loop = UINT32_MAX;

struct Loop {
  std::uint32_t parent = no_loop;
  std::uint32_t depth = 0;
  std::uint32_t begin = 0, end = 0;
};

struct Touch {
  std::uint32_t buffer, position, loop;
};

/// Walks a program in the order of the text and numbers positions.
class Walk {
 public:
  explicit Walk(const Program& program) : program_(program) {}

  void run() {
    enter(program_.body);
    while (!frames_.empty()) step();
  }

  std::vector<Loop> loops;
  std::vector<Touch> touches;

 private:
  struct Frame {
    const std::vector<Statement>* block;
    std::size_t at = 0;
    const Statement* loop = nullptr;  // the while whose condition or body this is
    bool condition = false;
  };

  void enter(const std::vector<Statement>& block, const Statement* loop = nullptr, bool condition = false) {
    frames_.push_back({&block, 0, loop, condition});
  }

  void touch(const Statement& statement) {
    for (const Access& access : accesses_of(program_, statement)) touches.push_back({access.buffer, position_, loop_});
  }

  void step() {
    Frame& frame = frames_.back();
    if (frame.at == frame.block->size()) {
      const Frame done = frame;
      frames_.pop_back();
      if (!done.loop) return;
      if (done.condition) {
        touch(*done.loop);
        ++position_;
        enter(done.loop->blocks[1], done.loop, false);
      } else {
        loops[loop_].end = position_++;
        loop_ = loops[loop_].parent;
      }
      return;
    }
    const Statement& statement = (*frame.block)[frame.at++];
    if (statement.kind == StatementKind::while_) {
      loops.push_back({loop_, loop_ == no_loop ? 1 : loops[loop_].depth + 1, position_++, 0});
      loop_ = static_cast<std::uint32_t>(loops.size() - 1);
      enter(statement.blocks[0], &statement, true);
      return;
    }
    touch(statement);
    ++position_;
    for (auto block = statement.blocks.rbegin(); block != statement.blocks.rend(); ++block) enter(*block);
  }

  const Program& program_;
  std::vector<Frame> frames_;
  std::uint32_t position_ = 0, loop_ = no_loop;
};

}  // namespace

std::vector<Access> accesses_of(const Program& program, const Statement& statement) {
  std::vector<Access> result;
  const auto& b = statement.buffers;
  switch (statement.kind) {
    case StatementKind::call: {
      const Kernel& kernel = program.kernels[statement.index];
      for (std::size_t k = 0; k < b.size(); ++k)
        if (kernel.buffers[k].role == Buffer::Role::input) result.push_back({b[k], true, false});
      for (std::size_t k = 0; k < b.size(); ++k) {
        const Buffer::Role role = kernel.buffers[k].role;
        if (role != Buffer::Role::input) result.push_back({b[k], role == Buffer::Role::inout, true});
      }
      break;
    }
    case StatementKind::custom_call: {
      const std::size_t inputs = program.custom_calls[statement.index].operands.size();
      for (std::size_t k = 0; k < b.size(); ++k) result.push_back({b[k], k < inputs, k >= inputs});
      break;
    }
    case StatementKind::copy: result = {{b[1], true, false}, {b[0], false, true}}; break;
    case StatementKind::if_:
    case StatementKind::while_:
    case StatementKind::produce:
    case StatementKind::print:
    case StatementKind::check: result = {{b[0], true, false}}; break;
    case StatementKind::tape_clear: result = {{program.tapes[statement.index].state, false, true}}; break;
    case StatementKind::tape_push: result = {{b[0], true, false}, {program.tapes[statement.index].state, true, true}}; break;
    case StatementKind::tape_pop: result = {{program.tapes[statement.index].state, true, true}, {b[0], false, true}}; break;
    case StatementKind::poll:
    case StatementKind::commit: break;
  }
  return result;
}

std::vector<LiveRange> live_ranges(const Program& program) {
  Walk walk(program);
  walk.run();
  const auto depth = [&](std::uint32_t loop) { return loop == no_loop ? 0 : walk.loops[loop].depth; };
  const auto parent = [&](std::uint32_t loop) { return walk.loops[loop].parent; };

  // The innermost loop around all uses of a buffer.
  std::vector<std::uint32_t> home(program.buffers.size(), no_loop);
  std::vector<bool> seen(program.buffers.size(), false);
  for (const Touch& t : walk.touches) {
    std::uint32_t a = t.loop, &h = home[t.buffer];
    if (!seen[t.buffer]) {
      seen[t.buffer] = true;
      h = a;
      continue;
    }
    while (a != h) (depth(a) > depth(h) ? a : h) = parent(depth(a) > depth(h) ? a : h);
  }
  std::vector<LiveRange> ranges(program.buffers.size());
  for (const Touch& t : walk.touches) {
    std::uint32_t loop = t.loop;
    std::uint32_t first = t.position, last = t.position;
    for (; loop != home[t.buffer]; loop = parent(loop)) {
      first = walk.loops[loop].begin;
      last = walk.loops[loop].end;
    }
    LiveRange& range = ranges[t.buffer];
    range.first = std::min(range.first, first);
    range.last = std::max(range.last, last);
  }
  return ranges;
}

void for_each_statement(const Program& program, const std::function<void(const Statement&, int)>& visit) {
  std::vector<std::pair<const Statement*, int>> stack;
  const auto push = [&](const std::vector<Statement>& block, int depth) {
    for (auto s = block.rbegin(); s != block.rend(); ++s) stack.emplace_back(&*s, depth);
  };
  push(program.body, 0);
  while (!stack.empty()) {
    const auto [statement, depth] = stack.back();
    stack.pop_back();
    visit(*statement, depth);
    for (auto block = statement->blocks.rbegin(); block != statement->blocks.rend(); ++block) push(*block, depth + 1);
  }
}

}  // namespace kiln::ir

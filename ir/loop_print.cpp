// Text of loop IR (ir/loop_text.h). Registers are numbered in the order of their definitions in the text, whatever their ids: the carried
// values of a loop, then its body, then its results.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/loop_text.h"
#include "ir/text_scanner.h"

namespace kiln::ir {

namespace {

std::string_view text_of(Buffer::Role role) {
  switch (role) {
    case Buffer::Role::input: return "";
    case Buffer::Role::output: return " output";
    case Buffer::Role::inout: return " inout";
    case Buffer::Role::scratch: return " scratch";
  }
  return "";
}

std::string_view text_of(Axis axis) { return axis == Axis::lanes ? "lanes" : axis == Axis::cols ? "cols" : "rows"; }

class Printer {
 public:
  /// `canonical`: without the names that do not count.
  Printer(const Kernel& kernel, bool canonical) : kernel_(kernel), canonical_(canonical), numbers_(kernel.registers.size(), none) {
    number(kernel.body);
  }

  std::string kernel_text() {
    std::string parameters;
    for (std::size_t i = 0; i < kernel_.buffers.size(); ++i) {
      const Buffer& b = kernel_.buffers[i];
      parameters += fmt::format("{}{}: {}{}{}", i == 0 ? "" : ", ", buffer_name(static_cast<BufferId>(i)), name_of(b.dtype),
                                to_string(b.extents), text_of(b.role));
      if (!b.strides.empty()) parameters += fmt::format(" strides {}", to_string(b.strides));
      if (b.alignment != 0) parameters += fmt::format(" align {}", b.alignment);
    }
    out_ = fmt::format("kernel {}({})", canonical_ ? "" : "@" + name_text(kernel_.name), parameters);
    if (!kernel_.symbols.empty()) {
      out_ += " symbols(";
      for (std::size_t i = 0; i < kernel_.symbols.size(); ++i) out_ += (i == 0 ? "" : ", ") + symbol_text(*kernel_.symbols[i]);
      out_ += ')';
    }
    if (kernel_.work != 0) out_ += fmt::format(" work({})", kernel_.work);
    out_ += " {";
    if (!canonical_ && !kernel_.comment.empty()) {
      std::string line = kernel_.comment;
      std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
      out_ += "  // " + line;
    }
    out_ += '\n';
    block(kernel_.body, 1);
    out_ += "}\n";
    return std::move(out_);
  }

  std::string head(const Instruction& i) const {
    std::string text;
    for (std::size_t r = 0; r < i.results.size(); ++r) text += (r == 0 ? "" : ", ") + reg(i.results[r]);
    if (!i.results.empty()) text += " = ";
    switch (i.op) {
      case LoopOp::constant: text += fmt::format("constant {}", to_string(i.literal)); break;
      case LoopOp::index: text += fmt::format("index {}", index(i, 0)); break;
      case LoopOp::load: text += "load " + access(i) + mask(i, 0); break;
      case LoopOp::store:
        text += fmt::format("store {}, {}{}{}", access(i), operand(i, 0), mask(i, 1), i.non_temporal ? " non_temporal" : "");
        break;
      case LoopOp::prefetch: text += "prefetch " + access(i); break;
      case LoopOp::compare: text += fmt::format("compare {} {}", name_of(i.comparison), operands(i)); break;
      case LoopOp::reduce: text += fmt::format("reduce {} {} {}", name_of(i.combiner), text_of(i.axis), operands(i)); break;
      case LoopOp::for_: return text + for_head(i);
      case LoopOp::if_: return text + fmt::format("if {} {{", operand(i, 0));
      case LoopOp::switch_: return text + fmt::format("switch {} {{", index(i, 0));
      case LoopOp::let: return text + fmt::format("let {} = {}", name_text(i.name), operand(i, 0));
      case LoopOp::yield: return text + "yield " + operands(i);
      default: text += fmt::format("{} {}", name_of(i.op), operands(i));
    }
    return text + " : " + to_string(i.type);
  }

 private:
  std::string reg(RegisterId id) const {
    if (id < numbers_.size() && numbers_[id] != none) return fmt::format("%{}", numbers_[id]);
    return fmt::format("%undefined{}", id);
  }
  std::string operand(const Instruction& i, std::size_t k) const { return k < i.operands.size() ? reg(i.operands[k]) : "%missing"; }
  std::string operands(const Instruction& i) const {
    std::string text;
    for (std::size_t k = 0; k < i.operands.size(); ++k) text += (k == 0 ? "" : ", ") + reg(i.operands[k]);
    return text;
  }
  std::string index(const Instruction& i, std::size_t k) const { return k < i.indices.size() ? to_string(i.indices[k]) : "missing"; }
  std::string mask(const Instruction& i, std::size_t k) const { return i.masked ? " if " + operand(i, k) : ""; }
  std::string buffer_name(BufferId id) const {
    if (id >= kernel_.buffers.size()) return fmt::format("undefined_buffer{}", id);
    return canonical_ ? fmt::format("b{}", id) : name_text(kernel_.buffers[id].name);
  }
  std::string access(const Instruction& i) const { return buffer_name(i.buffer) + to_string(i.indices); }

  std::string for_head(const Instruction& i) const {
    const std::string_view kind = i.loop == LoopKind::parallel ? "parallel " : i.loop == LoopKind::unrolled ? "unrolled " : "";
    std::string text = fmt::format("for {}{} in {} .. {}", kind, name_text(i.name), index(i, 0), index(i, 1));
    if (i.indices.size() < 3 || !i.indices[2].is_constant(1)) text += fmt::format(" step {}", index(i, 2));
    if (!i.operands.empty()) {
      text += " carry (";
      for (std::size_t k = 0; k < i.operands.size(); ++k) {
        const bool has = !i.blocks.empty() && k < i.blocks[0].parameters.size();
        text += fmt::format("{}{} = {}", k == 0 ? "" : ", ", has ? reg(i.blocks[0].parameters[k]) : "%missing", operand(i, k));
      }
      text += ')';
    }
    return text + " {";
  }

  void define(RegisterId id) {
    if (id < numbers_.size() && numbers_[id] == none) numbers_[id] = count_++;
  }
  void number(const Block& block) {
    for (const RegisterId id : block.parameters) define(id);
    for (const Instruction& i : block.instructions) {
      for (const Block& inner : i.blocks) number(inner);
      for (const RegisterId id : i.results) define(id);
    }
  }

  void line(int depth, const std::string& text) { out_ += std::string(2 * static_cast<std::size_t>(depth), ' ') + text + '\n'; }

  void block(const Block& block_to_print, int depth) {
    for (const Instruction& i : block_to_print.instructions) {
      line(depth, head(i));
      switch (i.op) {
        case LoopOp::for_: block(i.blocks[0], depth + 1); break;
        case LoopOp::if_:
          block(i.blocks[0], depth + 1);
          if (!i.blocks[1].instructions.empty()) {
            line(depth, "} else {");
            block(i.blocks[1], depth + 1);
          }
          break;
        case LoopOp::switch_:
          for (std::size_t k = 0; k < i.blocks.size(); ++k) {
            line(depth + 1, fmt::format("case {} {{", i.cases[k]));
            block(i.blocks[k], depth + 2);
            line(depth + 1, "}");
          }
          break;
        default: continue;
      }
      line(depth, "}");
    }
  }

  const Kernel& kernel_;
  bool canonical_;
  std::vector<std::uint32_t> numbers_;
  std::uint32_t count_ = 0;
  std::string out_;
};

}  // namespace

std::string to_string(const Literal& literal) {
  switch (literal.dtype) {
    case DType::boolean: return literal.integer != 0 ? "true" : "false";
    case DType::f64: break;
    case DType::f16:
    case DType::bf16:
    case DType::f32:
      if (!std::isnan(literal.number)) return fmt::format("{}", static_cast<float>(literal.number));
      break;
    default:
      if (is_signed_integer(literal.dtype)) return fmt::format("{}", literal.integer);
      return fmt::format("{}", static_cast<std::uint64_t>(literal.integer));
  }
  if (std::isnan(literal.number)) return std::signbit(literal.number) ? "-nan" : "nan";
  return fmt::format("{}", literal.number);
}

std::string print(const Kernel& kernel) { return Printer(kernel, false).kernel_text(); }

std::string canonical_text(const Kernel& kernel) { return Printer(kernel, true).kernel_text(); }

std::string describe(const Kernel& kernel, const Instruction& instruction) { return Printer(kernel, false).head(instruction); }

}  // namespace kiln::ir

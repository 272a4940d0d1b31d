// Parser of loop IR text (ir/loop_text.h): one pass over the text, block by block; the depth of blocks is bounded, so that recursion over
// them is.
#include <memory>
#include <unordered_map>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/loop_builder.h"
#include "ir/loop_text.h"
#include "ir/text_scanner.h"

namespace kiln::ir {

namespace {

class KernelParser {
 public:
  explicit KernelParser(TextScanner& scanner) : s_(scanner) {}

  Kernel kernel() {
    const std::size_t start = s_.position();
    s_.expect("kernel");
    kernel_.name = s_.name_after('@', "the kernel's name");
    s_.expect("(");
    if (!s_.accept(")")) {
      do buffer();
      while (s_.accept(","));
      s_.expect(")");
    }
    if (s_.accept("symbols")) {
      s_.expect("(");
      do {
        const std::size_t at = s_.position();
        const auto info = symbol_info(s_.name("a symbol's name"));
        for (const auto& known : kernel_.symbols)
          if (known == info) s_.fail_at(at, fmt::format("symbol '{}' is listed twice", info->name));
        parse_symbol_info(s_, *info);
        kernel_.symbols.push_back(info);
      } while (s_.accept(","));
      s_.expect(")");
    }
    if (s_.accept("work")) {
      s_.expect("(");
      kernel_.work = s_.integer("the amount of work");
      s_.expect(")");
    }
    s_.expect("{");
    kernel_.comment = s_.trailing_comment();
    kernel_.body = block(0);
    s_.expect("}");
    if (const std::string violation = find_violation(kernel_); !violation.empty()) s_.fail_at(start, violation);
    return std::move(kernel_);
  }

 private:
  std::shared_ptr<SymbolInfo> symbol_info(const std::string& name) {
    auto& info = symbols_[name];
    if (!info) {
      info = std::make_shared<SymbolInfo>();
      info->name = name;
    }
    return info;
  }

  Dim dim() {
    return s_.dim([&](std::string_view name) { return Dim::symbol(symbol_info(std::string(name))); });
  }
  std::vector<Dim> dims() {
    return s_.dims([&](std::string_view name) { return Dim::symbol(symbol_info(std::string(name))); });
  }

  void buffer() {
    Buffer b;
    const std::size_t at = s_.position();
    b.name = s_.name("a buffer's name");
    if (!buffers_.try_emplace(b.name, kernel_.buffers.size()).second) s_.fail_at(at, fmt::format("two buffers are named '{}'", b.name));
    s_.expect(":");
    b.dtype = s_.dtype();
    b.extents = dims();
    if (s_.accept("output"))
      b.role = Buffer::Role::output;
    else if (s_.accept("inout"))
      b.role = Buffer::Role::inout;
    else if (s_.accept("scratch"))
      b.role = Buffer::Role::scratch;
    if (s_.accept("strides")) b.strides = dims();
    if (s_.accept("align")) b.alignment = static_cast<std::int32_t>(s_.index("an alignment") & INT32_MAX);
    kernel_.buffers.push_back(std::move(b));
  }

  BufferId buffer_reference() {
    const std::size_t at = s_.position();
    const std::string name = s_.name("a buffer's name");
    const auto found = buffers_.find(name);
    if (found == buffers_.end()) s_.fail_at(at, fmt::format("no buffer is named '{}'", name));
    return static_cast<BufferId>(found->second);
  }

  RegisterId use() {
    const std::size_t at = s_.position();
    const std::string name = s_.name_after('%', "a register");
    const auto found = registers_.find(name);
    if (found == registers_.end()) s_.fail_at(at, fmt::format("register %{} is not defined before this", name));
    return found->second;
  }
  std::vector<RegisterId> uses() {
    std::vector<RegisterId> result;
    do result.push_back(use());
    while (s_.accept(","));
    return result;
  }

  struct Name {
    std::size_t at;
    std::string text;
  };
  Name new_name() {
    const std::size_t at = s_.position();
    return {at, s_.name_after('%', "a register")};
  }
  RegisterId define(const Name& name, const RegisterType& type) {
    const auto id = static_cast<RegisterId>(kernel_.registers.size());
    if (!registers_.try_emplace(name.text, id).second) s_.fail_at(name.at, fmt::format("register %{} is defined twice", name.text));
    kernel_.registers.push_back(type);
    return id;
  }

  Block block(int depth) {
    if (depth > max_block_depth) s_.fail(fmt::format("blocks nest more than {} deep", max_block_depth));
    Block result;
    while (!s_.at_end() && s_.peek_char() != '}') result.instructions.push_back(instruction(depth));
    return result;
  }

  Instruction instruction(int depth) {
    std::vector<Name> names;
    if (s_.peek_char() == '%') {
      do names.push_back(new_name());
      while (s_.accept(","));
      s_.expect("=");
    }
    const std::size_t at = s_.position();
    Instruction i;
    const std::string word = s_.name("an operation");
    const auto op = loop_op_from_name(word);
    if (!op) s_.fail_at(at, fmt::format("'{}' is no operation of loop IR", word));
    i.op = *op;
    switch (i.op) {
      case LoopOp::for_: for_loop(i, names, at, depth); return i;
      case LoopOp::if_: if_else(i, names, at, depth); return i;
      case LoopOp::switch_: switch_on(i, depth); break;
      case LoopOp::let:
        i.name = s_.name("a name");
        s_.expect("=");
        i.operands = {use()};
        i.type = kernel_.registers[i.operands[0]];
        break;
      case LoopOp::yield: i.operands = uses(); break;
      case LoopOp::store:
        access(i);
        s_.expect(",");
        i.operands = {use()};
        mask(i);
        i.non_temporal = s_.accept("non_temporal");
        typed(i);
        break;
      case LoopOp::prefetch:
        access(i);
        typed(i);
        break;
      default: value(i); break;
    }
    const bool has_result =
        i.op != LoopOp::store && i.op != LoopOp::prefetch && i.op != LoopOp::let && i.op != LoopOp::yield && i.op != LoopOp::switch_;
    if (names.size() != (has_result ? 1U : 0U))
      s_.fail_at(at, fmt::format("'{}' has {} result{}", word, has_result ? 1 : 0, has_result ? "" : "s"));
    if (has_result) i.results = {define(names[0], i.type)};
    return i;
  }

  void value(Instruction& i) {
    switch (i.op) {
      case LoopOp::constant: {
        // The literal's dtype stands after it: read it twice.
        const std::size_t before = s_.position();
        while (s_.peek_char() != ':' && !s_.at_end()) s_.skip_word();
        s_.expect(":");
        i.type = s_.register_type();
        const std::size_t after = s_.position();
        s_.seek(before);
        i.literal = s_.literal(i.type.dtype);
        s_.expect(":");
        s_.seek(after);
        return;
      }
      case LoopOp::index: i.indices = {dim()}; break;
      case LoopOp::load:
        access(i);
        mask(i);
        break;
      case LoopOp::compare: {
        const std::size_t at = s_.position();
        const auto comparison = comparison_from_name(s_.name("eq, ne, lt, le, gt or ge"));
        if (!comparison) s_.fail_at(at, "expected eq, ne, lt, le, gt or ge");
        i.comparison = *comparison;
        i.operands = uses();
        break;
      }
      case LoopOp::reduce: {
        const std::size_t at = s_.position();
        const auto combiner = loop_op_from_name(s_.name("what to fold with"));
        if (!combiner || !is_combiner(*combiner)) s_.fail_at(at, "expected add, multiply, minimum, maximum, and or or");
        i.combiner = *combiner;
        if (s_.accept("lanes"))
          i.axis = Axis::lanes;
        else if (s_.accept("cols"))
          i.axis = Axis::cols;
        else if (s_.accept("rows"))
          i.axis = Axis::rows;
        else
          s_.fail("expected lanes, cols or rows");
        i.operands = uses();
        break;
      }
      default: i.operands = uses();
    }
    typed(i);
  }

  void typed(Instruction& i) {
    s_.expect(":");
    i.type = s_.register_type();
  }
  void access(Instruction& i) {
    i.buffer = buffer_reference();
    i.indices = dims();
  }
  void mask(Instruction& i) {
    i.masked = s_.accept("if");
    if (i.masked) i.operands.push_back(use());
  }

  void for_loop(Instruction& i, const std::vector<Name>& names, std::size_t at, int depth) {
    if (s_.accept("parallel"))
      i.loop = LoopKind::parallel;
    else if (s_.accept("unrolled"))
      i.loop = LoopKind::unrolled;
    i.name = s_.name("the loop variable");
    s_.expect("in");
    const Dim begin = dim();
    s_.expect("..");
    const Dim end = dim();
    i.indices = {begin, end, s_.accept("step") ? dim() : Dim(1)};
    symbol_info(i.name)->min = bounds(begin).min;
    Block body;
    if (s_.accept("carry")) {
      s_.expect("(");
      do {
        const Name name = new_name();
        s_.expect("=");
        i.operands.push_back(use());
        body.parameters.push_back(define(name, kernel_.registers[i.operands.back()]));
      } while (s_.accept(","));
      s_.expect(")");
    }
    if (names.size() != i.operands.size()) {
      s_.fail_at(at, fmt::format("a loop has one result for each value that it carries: {} and {}", names.size(), i.operands.size()));
    }
    s_.expect("{");
    body.instructions = block(depth + 1).instructions;
    s_.expect("}");
    for (std::size_t k = 0; k < names.size(); ++k) i.results.push_back(define(names[k], kernel_.registers[i.operands[k]]));
    i.blocks.push_back(std::move(body));
  }

  void if_else(Instruction& i, const std::vector<Name>& names, std::size_t at, int depth) {
    i.operands = {use()};
    s_.expect("{");
    i.blocks.push_back(block(depth + 1));
    s_.expect("}");
    i.blocks.emplace_back();
    if (s_.accept("else")) {
      s_.expect("{");
      i.blocks[1] = block(depth + 1);
      s_.expect("}");
    }
    const auto& then_block = i.blocks[0].instructions;
    const bool yields = !then_block.empty() && then_block.back().op == LoopOp::yield;
    const std::size_t count = yields ? then_block.back().operands.size() : 0;
    if (names.size() != count)
      s_.fail_at(at, fmt::format("an if has one result for each value that its blocks yield: {} and {}", names.size(), count));
    for (std::size_t k = 0; k < count; ++k) i.results.push_back(define(names[k], kernel_.registers[then_block.back().operands[k]]));
  }

  void switch_on(Instruction& i, int depth) {
    i.indices = {dim()};
    s_.expect("{");
    while (s_.accept("case")) {
      i.cases.push_back(s_.integer("a case"));
      s_.expect("{");
      i.blocks.push_back(block(depth + 1));
      s_.expect("}");
    }
    s_.expect("}");
  }

  TextScanner& s_;
  Kernel kernel_;
  std::unordered_map<std::string, std::shared_ptr<SymbolInfo>> symbols_;
  std::unordered_map<std::string, std::size_t> buffers_;
  std::unordered_map<std::string, RegisterId> registers_;
};

}  // namespace

std::vector<Kernel> parse_kernels(TextScanner& scanner) {
  std::vector<Kernel> kernels;
  while (scanner.peek("kernel")) kernels.push_back(KernelParser(scanner).kernel());
  if (!scanner.at_end()) scanner.expect("kernel");
  return kernels;
}

std::vector<Kernel> parse_kernels(std::string_view text, const std::string& file) {
  TextScanner scanner(text, file);
  return parse_kernels(scanner);
}

}  // namespace kiln::ir

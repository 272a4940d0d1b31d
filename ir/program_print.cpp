// Text of program IR (the form is shown in ir/program.h).
#include <fmt/format.h>

#include "ir/literal_text.h"
#include "ir/loop_text.h"
#include "ir/program_text.h"
#include "ir/text_scanner.h"

namespace kiln::ir {

namespace {

constexpr std::string_view error_code_names[] = {
    "invalid_argument",   "shape_mismatch",
    "dtype_mismatch",     "foreign_graph",
    "not_differentiable", "missing_feed",
    "invalid_feed",       "uninitialized",
    "conflicting_assign", "check_failed",
    "deadline_exceeded",  "cancelled",
    "out_of_memory",      "io",
    "corrupt_file",       "parse",
    "unsupported",        "custom_call_failed",
    "poisoned",
};
static_assert(std::size(error_code_names) == static_cast<std::size_t>(ErrorCode::poisoned) + 1);

constexpr std::string_view storage_names[] = {"input", "output", "variable", "shadow", "constant", "arena"};
static_assert(std::size(storage_names) == static_cast<std::size_t>(Storage::arena) + 1);

class Printer {
 public:
  Printer(const Program& program, bool locations) : program_(program), locations_(locations) {}

  std::string text() {
    out_ = fmt::format("program @{}", name_text(program_.name));
    if (!program_.symbols.empty()) {
      out_ += " symbols(";
      for (std::size_t i = 0; i < program_.symbols.size(); ++i) out_ += (i == 0 ? "" : ", ") + symbol_text(*program_.symbols[i]);
      out_ += ')';
    }
    out_ += fmt::format(" arena({}) {{\n", to_string(program_.arena_bytes));
    declarations();
    if (!program_.body.empty()) out_ += '\n';
    statements();
    out_ += "}\n";
    return std::move(out_);
  }

 private:
  std::string location(LocationId id) const {
    if (!locations_ || id >= program_.locations.size() || !program_.locations[id].known()) return "";
    const Location& l = program_.locations[id];
    return fmt::format(" loc({}:{}{})", quoted_text(l.file), l.line, l.column == 0 ? "" : fmt::format(":{}", l.column));
  }

  void declarations() {
    const auto type = [](DType dtype, const Dims& dims) { return std::string(name_of(dtype)) + to_string(dims); };
    for (const ProgramPort& p : program_.inputs)
      out_ += fmt::format("  input {}: {}{}\n", name_text(p.name), type(p.dtype, p.dims), location(p.location));
    for (const ProgramPort& p : program_.outputs)
      out_ += fmt::format("  output {}: {}{}\n", name_text(p.name), type(p.dtype, p.dims), location(p.location));
    for (const ProgramVariable& v : program_.variables) {
      out_ += fmt::format("  variable {}: {}{}{}{}{}\n", name_text(v.name), type(v.dtype, v.dims), v.read ? " read" : "",
                          v.assigned ? " assigned" : "", v.shadowed ? " shadowed" : "", location(v.location));
    }
    for (const Array& constant : program_.constants) {
      out_ += fmt::format("  constant {}{} ", name_of(constant.dtype()), to_string(constant.shape()));
      print_elements(constant, out_);
      out_ += '\n';
    }
    for (const ProgramCustomCall& c : program_.custom_calls) {
      const auto types = [](const std::vector<Type>& list) {
        std::string text;
        for (const Type& t : list) text += (text.empty() ? "" : ", ") + to_string(t);
        return text;
      };
      out_ +=
          fmt::format("  custom_call {} ({}) -> ({}){}\n", quoted_text(c.name), types(c.operands), types(c.results), location(c.location));
    }
    for (const ProgramCheck& c : program_.checks) {
      out_ += fmt::format("  check {} {}{}{}\n", name_of(c.code), quoted_text(c.message),
                          c.hint.empty() ? "" : " hint " + quoted_text(c.hint), location(c.location));
    }
    for (const ProgramPrint& p : program_.prints)
      out_ += fmt::format("  print {} {}{}\n", quoted_text(p.message), to_string(p.type), location(p.location));
    if (const MemoryPlan& m = program_.memory; m.limit != 0) {
      out_ += fmt::format("  memory limit {} needed {} without {} extra {}\n", m.limit, m.needed, m.without, m.extra_permille);
      for (const MemoryPlan::Part& part : m.recomputed) {
        const std::string first = location(part.first), last = location(part.last);
        out_ += fmt::format("  recomputed {}{}{}\n", part.operations, first, first.empty() || first == last ? "" : " to" + last);
      }
    }
    for (const ExtentCheck& c : program_.extent_checks)
      out_ += fmt::format("  require {} == {} check {}\n", to_string(c.left), to_string(c.right), c.check);
    for (const ProducedExtent& e : program_.produced)
      out_ += fmt::format("  produced {} bound {}\n", name_text(e.name), to_string(e.bound));
    for (const ProgramBuffer& b : program_.buffers) {
      out_ += fmt::format("  buffer {} = {} {}\n", name_text(b.name), name_of(b.storage), place(b));
    }
    for (const Tape& t : program_.tapes) {
      out_ += fmt::format("  tape {}: {} state {}\n", name_text(t.name), type(t.dtype, t.extents), buffer(t.state));
    }
  }

  /// Of an arena buffer the offset and type; of the others what is behind them, with the type only where it differs.
  std::string place(const ProgramBuffer& b) const {
    const std::string type = fmt::format(" : {}{}", name_of(b.dtype), to_string(b.extents));
    if (b.storage == Storage::arena) return to_string(b.offset) + type;
    const auto known = type_of_storage(program_, b.storage, b.index);
    const std::string suffix = known && known->dtype == b.dtype && known->extents == b.extents ? "" : type;
    if (!known) return fmt::format("missing{}", b.index) + suffix;
    switch (b.storage) {
      case Storage::input: return name_text(program_.inputs[b.index].name) + suffix;
      case Storage::output: return name_text(program_.outputs[b.index].name) + suffix;
      case Storage::variable:
      case Storage::shadow: return name_text(program_.variables[b.index].name) + suffix;
      default: return fmt::format("{}", b.index) + suffix;
    }
  }

  std::string buffer(std::uint32_t id) const {
    return id < program_.buffers.size() ? name_text(program_.buffers[id].name) : fmt::format("missing{}", id);
  }
  std::string operand(const Statement& s, std::size_t k) const { return k < s.buffers.size() ? buffer(s.buffers[k]) : "missing"; }
  template <class T>
  std::string name_in(const std::vector<T>& list, std::uint32_t index) const {
    return index < list.size() ? name_text(list[index].name) : fmt::format("missing{}", index);
  }

  std::string head(const Statement& s) const {
    switch (s.kind) {
      case StatementKind::call: {
        std::string text = fmt::format("call @{}(", name_in(program_.kernels, s.index));
        for (std::size_t k = 0; k < s.buffers.size(); ++k) text += (k == 0 ? "" : ", ") + operand(s, k);
        return text + ")";
      }
      case StatementKind::copy: return fmt::format("copy {} = {}", operand(s, 0), operand(s, 1));
      case StatementKind::if_: return fmt::format("if {} {{", operand(s, 0));
      case StatementKind::while_: return fmt::format("while {} {{", operand(s, 0));
      case StatementKind::tape_clear: return fmt::format("tape_clear {}", name_in(program_.tapes, s.index));
      case StatementKind::tape_push: return fmt::format("tape_push {}, {}", name_in(program_.tapes, s.index), operand(s, 0));
      case StatementKind::tape_pop: return fmt::format("tape_pop {}, {}", name_in(program_.tapes, s.index), operand(s, 0));
      case StatementKind::custom_call: {
        const std::size_t inputs =
            s.index < program_.custom_calls.size() ? program_.custom_calls[s.index].operands.size() : s.buffers.size();
        std::string text = fmt::format("custom_call {} (", s.index);
        for (std::size_t k = 0; k < inputs; ++k) text += (k == 0 ? "" : ", ") + operand(s, k);
        text += ") -> (";
        for (std::size_t k = inputs; k < s.buffers.size(); ++k) text += (k == inputs ? "" : ", ") + operand(s, k);
        return text + ")";
      }
      case StatementKind::check: return fmt::format("check {}, {}", s.index, operand(s, 0));
      case StatementKind::print: return fmt::format("print {}, {}", s.index, operand(s, 0));
      case StatementKind::poll: return "poll";
      case StatementKind::commit: return fmt::format("commit {}", name_in(program_.variables, s.index));
      case StatementKind::produce:
        return fmt::format("produce {} = {} limit {}", name_in(program_.produced, s.index), operand(s, 0), to_string(s.limit));
    }
    return "";
  }

  /// Without recursion: what remains to be printed lies on a stack.
  void statements() {
    struct Rest {
      const std::vector<Statement>* block;  // null: a line
      std::size_t at;
      int depth;
      std::string line;
    };
    std::vector<Rest> stack{{&program_.body, 0, 1, ""}};
    while (!stack.empty()) {
      Rest rest = std::move(stack.back());
      stack.pop_back();
      const std::string indent(2 * static_cast<std::size_t>(rest.depth), ' ');
      if (!rest.block) {
        out_ += indent + rest.line + '\n';
        continue;
      }
      if (rest.at == rest.block->size()) continue;
      const Statement& s = (*rest.block)[rest.at];
      stack.push_back({rest.block, rest.at + 1, rest.depth, ""});
      out_ += indent + head(s) + '\n';
      if (s.kind != StatementKind::if_ && s.kind != StatementKind::while_) continue;
      stack.push_back({nullptr, 0, rest.depth, "}"});
      if (s.blocks.size() > 1 && (s.kind == StatementKind::while_ || !s.blocks[1].empty())) {
        stack.push_back({&s.blocks[1], 0, rest.depth + 1, ""});
        stack.push_back({nullptr, 0, rest.depth, s.kind == StatementKind::while_ ? "} do {" : "} else {"});
      }
      if (!s.blocks.empty()) stack.push_back({&s.blocks[0], 0, rest.depth + 1, ""});
    }
  }

  const Program& program_;
  bool locations_;
  std::string out_;
};

}  // namespace

std::string_view name_of(ErrorCode code) { return error_code_names[static_cast<std::size_t>(code)]; }

std::optional<ErrorCode> error_code_from_name(std::string_view name) {
  for (std::size_t i = 0; i < std::size(error_code_names); ++i)
    if (error_code_names[i] == name) return static_cast<ErrorCode>(i);
  return std::nullopt;
}

std::string_view name_of(Storage storage) { return storage_names[static_cast<std::size_t>(storage)]; }

std::optional<Storage> storage_from_name(std::string_view name) {
  for (std::size_t i = 0; i < std::size(storage_names); ++i)
    if (storage_names[i] == name) return static_cast<Storage>(i);
  return std::nullopt;
}

std::optional<StorageType> type_of_storage(const Program& program, Storage storage, std::uint32_t index) {
  const auto port = [&](const auto& list) -> std::optional<StorageType> {
    if (index >= list.size()) return std::nullopt;
    return StorageType{list[index].dtype, list[index].dims};
  };
  switch (storage) {
    case Storage::input: return port(program.inputs);
    case Storage::output: return port(program.outputs);
    case Storage::variable:
    case Storage::shadow: return port(program.variables);
    case Storage::constant:
      if (index < program.constants.size()) {
        const auto dims = program.constants[index].shape().dims();
        return StorageType{program.constants[index].dtype(), Dims(dims.begin(), dims.end())};
      }
      return std::nullopt;
    case Storage::arena: break;
  }
  return std::nullopt;
}

std::string print(const Program& program, bool with_kernels, bool locations) {
  std::string text = Printer(program, locations).text();
  if (with_kernels)
    for (const Kernel& kernel : program.kernels) text += '\n' + print(kernel);
  return text;
}

}  // namespace kiln::ir

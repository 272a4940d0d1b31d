// Parser of program IR text (the form is shown in ir/program.h). Statements that are open lie on a stack, so depth costs no recursion.
#include <unordered_map>

#include <fmt/format.h>

#include "ir/literal_text.h"
#include "ir/loop_text.h"
#include "ir/program_text.h"
#include "ir/text_scanner.h"

namespace kiln::ir {

namespace {

class ProgramParser {
 public:
  ProgramParser(std::string_view text, const std::string& file) : s_(text, file), size_(text.size()) {}

  Program program() {
    const std::size_t start = s_.position();
    s_.expect("program");
    p_.name = s_.name_after('@', "the program's name");
    if (s_.accept("symbols")) {
      s_.expect("(");
      do {
        const std::size_t at = s_.position();
        const auto info = symbol_info(s_.name("a symbol's name"));
        for (const auto& known : p_.symbols)
          if (known == info) s_.fail_at(at, fmt::format("symbol '{}' is listed twice", info->name));
        parse_symbol_info(s_, *info);
        p_.symbols.push_back(info);
      } while (s_.accept(","));
      s_.expect(")");
    }
    s_.expect("arena");
    s_.expect("(");
    p_.arena_bytes = dim();
    s_.expect(")");
    s_.expect("{");
    while (declaration()) {
    }
    statements();
    p_.kernels = parse_kernels(s_);
    resolve_kernels(start);
    if (const std::string violation = find_violation(p_); !violation.empty()) s_.fail_at(start, violation);
    return std::move(p_);
  }

 private:
  using Names = std::unordered_map<std::string, std::uint32_t>;

  std::shared_ptr<SymbolInfo> symbol_info(const std::string& name) {
    auto& info = symbols_[name];
    if (!info) {
      info = std::make_shared<SymbolInfo>();
      info->name = name;
    }
    return info;
  }
  Dim symbol(std::string_view name) { return Dim::symbol(symbol_info(std::string(name))); }
  Dim dim() {
    return s_.dim([&](std::string_view name) { return symbol(name); });
  }
  Dims dims() {
    return s_.dims([&](std::string_view name) { return symbol(name); });
  }

  std::string new_name(Names& names, std::string_view what) {
    const std::size_t at = s_.position();
    std::string name = s_.name(what);
    if (!names.try_emplace(name, static_cast<std::uint32_t>(names.size())).second)
      s_.fail_at(at, fmt::format("{} is named '{}' already", what, name));
    return name;
  }
  std::uint32_t reference(const Names& names, std::string_view what) {
    const std::size_t at = s_.position();
    const std::string name = s_.name(what);
    const auto found = names.find(name);
    if (found == names.end()) s_.fail_at(at, fmt::format("'{}' is not the name of {}", name, what));
    return found->second;
  }

  LocationId location() {
    if (!s_.accept("loc")) return 0;
    s_.expect("(");
    const std::string file = s_.quoted("a file name");
    s_.expect(":");
    const std::uint32_t line = s_.index("a line");
    const std::uint32_t column = s_.accept(":") ? s_.index("a column") : 0;
    s_.expect(")");
    p_.locations.push_back(Location::interned(file, line, column));
    return static_cast<LocationId>(p_.locations.size() - 1);
  }

  bool declaration() {
    if (s_.accept("input")) return port(p_.inputs, inputs_, "an input"), true;
    if (s_.accept("output")) return port(p_.outputs, outputs_, "an output"), true;
    if (s_.accept("variable")) return variable(), true;
    if (s_.accept("constant")) return constant(), true;
    if (s_.accept("buffer")) return buffer(), true;
    if (s_.accept("tape")) {
      Tape t;
      t.name = new_name(tapes_, "a tape");
      s_.expect(":");
      t.dtype = s_.dtype();
      t.extents = dims();
      s_.expect("state");
      t.state = reference(buffers_, "a buffer");
      p_.tapes.push_back(std::move(t));
      return true;
    }
    if (s_.accept("require")) {
      ExtentCheck check;
      check.left = dim();
      s_.expect("==");
      check.right = dim();
      s_.expect("check");
      check.check = s_.index("a check");
      p_.extent_checks.push_back(std::move(check));
      return true;
    }
    if (s_.accept("produced")) {
      ProducedExtent extent;
      extent.name = new_name(produced_, "a produced symbol");
      s_.expect("bound");
      extent.bound = dim();
      p_.produced.push_back(std::move(extent));
      return true;
    }
    if (s_.accept("memory")) return memory(), true;
    if (s_.accept("recomputed")) {
      MemoryPlan::Part& part = p_.memory.recomputed.emplace_back();
      part.operations = s_.integer("a number of operations");
      part.first = part.last = location();
      if (s_.accept("to")) part.last = location();
      return true;
    }
    const std::size_t at = s_.position();
    const bool call = s_.accept("custom_call"), print = !call && s_.accept("print");
    if (!call && !print && !s_.accept("check")) return false;
    const char next = s_.peek_char();
    if (next >= '0' && next <= '9') return s_.seek(at), false;  // the statement
    if (call) return custom_call(), true;
    if (print) {
      ProgramPrint& p = p_.prints.emplace_back();
      p.message = s_.quoted("a message");
      p.type.dtype = s_.dtype();
      p.type.dims = dims();
      p.location = location();
      return true;
    }
    ProgramCheck check;
    const std::size_t code_at = s_.position();
    const auto code = error_code_from_name(s_.name("an error code"));
    if (!code) s_.fail_at(code_at, "expected an error code such as check_failed");
    check.code = *code;
    check.message = s_.quoted("a message");
    if (s_.accept("hint")) check.hint = s_.quoted("a hint");
    check.location = location();
    p_.checks.push_back(std::move(check));
    return true;
  }

  std::vector<Type> types() {
    std::vector<Type> list;
    s_.expect("(");
    if (s_.accept(")")) return list;
    do {
      Type& type = list.emplace_back();
      type.dtype = s_.dtype();
      type.dims = dims();
    } while (s_.accept(","));
    s_.expect(")");
    return list;
  }

  void memory() {
    const auto number = [&](std::string_view word) {
      s_.expect(word);
      return s_.integer("a number");
    };
    p_.memory.limit = number("limit");
    p_.memory.needed = number("needed");
    p_.memory.without = number("without");
    p_.memory.extra_permille = number("extra");
  }

  void custom_call() {
    ProgramCustomCall c;
    c.name = s_.quoted("the name of a function");
    c.operands = types();
    s_.expect("->");
    c.results = types();
    c.location = location();
    p_.custom_calls.push_back(std::move(c));
  }

  void port(std::vector<ProgramPort>& ports, Names& names, std::string_view what) {
    ProgramPort p;
    p.name = new_name(names, what);
    s_.expect(":");
    p.dtype = s_.dtype();
    p.dims = dims();
    p.location = location();
    ports.push_back(std::move(p));
  }

  void variable() {
    ProgramVariable v;
    v.name = new_name(variables_, "a variable");
    s_.expect(":");
    v.dtype = s_.dtype();
    v.dims = dims();
    v.read = s_.accept("read");
    v.assigned = s_.accept("assigned");
    v.shadowed = s_.accept("shadowed");
    v.location = location();
    p_.variables.push_back(std::move(v));
  }

  void constant() {
    const std::size_t at = s_.position();
    const DType dtype = s_.dtype();
    std::vector<std::int64_t> extents;
    for (const Dim& d : dims()) {
      if (!d.is_constant() || d.constant() < 0) s_.fail_at(at, "the extents of a constant are numbers");
      extents.push_back(d.constant());
    }
    p_.constants.push_back(parse_elements(s_, dtype, Shape(std::move(extents)), size_));
  }

  void buffer() {
    ProgramBuffer b;
    b.name = new_name(buffers_, "a buffer");
    s_.expect("=");
    const std::size_t at = s_.position();
    const auto storage = storage_from_name(s_.name("a storage"));
    if (!storage) s_.fail_at(at, "expected input, output, variable, shadow, constant or arena");
    b.storage = *storage;
    switch (b.storage) {
      case Storage::input: b.index = reference(inputs_, "an input"); break;
      case Storage::output: b.index = reference(outputs_, "an output"); break;
      case Storage::variable:
      case Storage::shadow: b.index = reference(variables_, "a variable"); break;
      case Storage::constant: b.index = s_.index("a constant"); break;
      case Storage::arena: b.offset = dim(); break;
    }
    const auto known = type_of_storage(p_, b.storage, b.index);
    if (b.storage == Storage::arena || s_.peek(":") || !known) {
      s_.expect(":");
      b.dtype = s_.dtype();
      b.extents = dims();
    } else {
      b.dtype = known->dtype;
      b.extents = known->extents;
    }
    p_.buffers.push_back(std::move(b));
  }

  /// A list in parentheses.
  void buffer_references(std::vector<std::uint32_t>& buffers) {
    s_.expect("(");
    if (s_.accept(")")) return;
    do buffers.push_back(buffer_reference());
    while (s_.accept(","));
    s_.expect(")");
  }
  std::uint32_t buffer_reference() { return reference(buffers_, "a buffer"); }

  /// One statement's head; its blocks follow.
  Statement head() {
    Statement s;
    const std::size_t at = s_.position();
    const std::string word = s_.name("a statement");
    if (word == "call") {
      s.kind = StatementKind::call;
      s.index = kernels_.try_emplace(s_.name_after('@', "a kernel"), static_cast<std::uint32_t>(kernels_.size())).first->second;
      buffer_references(s.buffers);
    } else if (word == "custom_call") {
      s.kind = StatementKind::custom_call;
      s.index = s_.index("a custom call");
      buffer_references(s.buffers);
      s_.expect("->");
      buffer_references(s.buffers);
    } else if (word == "copy") {
      s.kind = StatementKind::copy;
      s.buffers.push_back(buffer_reference());
      s_.expect("=");
      s.buffers.push_back(buffer_reference());
    } else if (word == "if" || word == "while") {
      s.kind = word == "if" ? StatementKind::if_ : StatementKind::while_;
      s.buffers = {buffer_reference()};
      s_.expect("{");
    } else if (word == "tape_clear" || word == "tape_push" || word == "tape_pop") {
      s.kind = word == "tape_clear" ? StatementKind::tape_clear : word == "tape_push" ? StatementKind::tape_push : StatementKind::tape_pop;
      s.index = reference(tapes_, "a tape");
      if (s.kind != StatementKind::tape_clear) {
        s_.expect(",");
        s.buffers = {buffer_reference()};
      }
    } else if (word == "check") {
      s.kind = StatementKind::check;
      s.index = s_.index("a check");
      s_.expect(",");
      s.buffers = {buffer_reference()};
    } else if (word == "print") {
      s.kind = StatementKind::print;
      s.index = s_.index("a print");
      s_.expect(",");
      s.buffers = {buffer_reference()};
    } else if (word == "produce") {
      s.kind = StatementKind::produce;
      s.index = reference(produced_, "a produced symbol");
      s_.expect("=");
      s.buffers = {buffer_reference()};
      s_.expect("limit");
      s.limit = dim();
    } else if (word == "poll") {
      s.kind = StatementKind::poll;
    } else if (word == "commit") {
      s.kind = StatementKind::commit;
      s.index = reference(variables_, "a variable");
    } else {
      s_.fail_at(at, fmt::format("'{}' is no statement of program IR", word));
    }
    return s;
  }

  /// Up to the brace that closes the program.
  void statements() {
    std::vector<Statement> open;
    const auto append = [&](Statement s) { (open.empty() ? p_.body : open.back().blocks.back()).push_back(std::move(s)); };
    while (true) {
      if (!s_.accept("}")) {
        if (s_.at_end()) s_.expect("}");
        Statement s = head();
        if (s.kind != StatementKind::if_ && s.kind != StatementKind::while_) {
          append(std::move(s));
          continue;
        }
        if (open.size() >= static_cast<std::size_t>(max_statement_depth))
          s_.fail(fmt::format("statements nest more than {} deep", max_statement_depth));
        s.blocks.emplace_back();
        open.push_back(std::move(s));
        continue;
      }
      if (open.empty()) return;
      Statement& innermost = open.back();
      if (innermost.blocks.size() == 1) {
        const bool loop = innermost.kind == StatementKind::while_;
        if (loop) s_.expect("do");
        if (loop || s_.accept("else")) {
          s_.expect("{");
          innermost.blocks.emplace_back();
          continue;
        }
        innermost.blocks.emplace_back();
      }
      Statement done = std::move(open.back());
      open.pop_back();
      append(std::move(done));
    }
  }

  /// Calls name kernels that stand after the program: gives them their indices.
  void resolve_kernels(std::size_t start) {
    std::vector<std::uint32_t> index(kernels_.size(), none);
    for (std::uint32_t k = 0; k < p_.kernels.size(); ++k) {
      const auto found = kernels_.find(p_.kernels[k].name);
      if (found != kernels_.end()) index[found->second] = k;
    }
    for (const auto& [name, id] : kernels_)
      if (index[id] == none) s_.fail_at(start, "a call names a kernel that the text does not hold");
    std::vector<std::vector<Statement>*> blocks{&p_.body};
    while (!blocks.empty()) {
      std::vector<Statement>& block = *blocks.back();
      blocks.pop_back();
      for (Statement& s : block) {
        if (s.kind == StatementKind::call) s.index = index[s.index];
        for (auto& inner : s.blocks) blocks.push_back(&inner);
      }
    }
  }

  TextScanner s_;
  std::size_t size_;
  Program p_;
  std::unordered_map<std::string, std::shared_ptr<SymbolInfo>> symbols_;
  Names inputs_, outputs_, variables_, buffers_, tapes_, produced_;
  Names kernels_;  // as calls mention them, in order
};

}  // namespace

Program parse_program(std::string_view text, const std::string& file) { return ProgramParser(text, file).program(); }

}  // namespace kiln::ir

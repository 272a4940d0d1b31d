// The invariants of program IR. Messages cite the numbers.
//
//  1. Inputs, outputs, variables, buffers, kernels and tapes have distinct names within their kind.
//  2. A buffer names an existing port, variable or constant, has its dtype, and as many elements; a shadow belongs to a variable that is
//  `shadowed`.
//  3. Dims mention only the program's symbols, which have distinct names; extents of variables are numbers.
//  4. An arena buffer begins at a multiple of 64 and ends within arena_bytes.
//  5. Arena buffers that are alive at the same time (ir/program_liveness.h) do not overlap.
//  6. A call gives a kernel as many buffers as it has, of the same dtypes and numbers of elements; the kernel's symbols are the program's.
//  A custom call likewise has a buffer for each of its operands and results.
//  7. Inputs and constants are not written.
//  8. A statement has the buffers, blocks and index that its kind needs.
//  9. The predicate of an if, while or check is bool[].
// 10. Copies and tape items have equal dtypes and numbers of elements on both sides; a tape's state is u8[64] in the arena.
// 11. What can fail (check, poll, tape_push, custom_call) stands before the first statement that changes a variable.
// 12. Variables are changed in the body of the program only, not inside an if or while. A variable is committed at most once, and after
// that neither it nor its
//     shadow is mentioned.
// 13. A variable that is written or committed is `assigned`, one that is read is `read`; commits are of shadowed variables.
// 14. Memory of the arena is written before it is read, and every output is written.
// 15. Extent checks name existing checks.
// 16. Statements nest at most max_statement_depth deep.
// 17. Every kernel keeps the invariants of loop IR.
// 18. A produce is of an i64[]. What a statement needs of extents (the symbols of a kernel, the sizes of a copy, a tape item or the types
//     of a custom call, the limit of a produce) and the extents of outputs have been produced before it. Inputs, requirements, bounds and
//     the arena mention no produced symbol.
//
// Sizes that cannot be compared symbolically (invariants 4 and 5) are compared at several values of the symbols.
#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "ir/loop_builder.h"
#include "ir/loop_text.h"
#include "ir/program_liveness.h"
#include "ir/program_text.h"

namespace kiln::ir {

namespace {

struct Violation {
  std::string message;
};

class Verifier {
 public:
  explicit Verifier(const Program& program) : p_(program) {}

  void run() {
    symbols();
    declarations();
    for (const Kernel& kernel : p_.kernels)
      if (const std::string violation = find_violation(kernel); !violation.empty()) fail(17, violation);
    for_each_statement(p_, [&](const Statement& s, int depth) {
      if (depth > max_statement_depth) fail(16, fmt::format("statements nest more than {} deep", max_statement_depth));
      shape(s);
    });
    order();
    written_before_read();
    produced_before_use();
    memory();
  }

 private:
  [[noreturn]] void fail(int number, const std::string& message) const {
    throw Violation{fmt::format("program @{} breaks invariant {} of program IR: {}", p_.name, number, message)};
  }

  // ---- declarations

  void symbols() {
    for (const auto& info : p_.symbols)
      if (!symbols_.insert(info->name).second) fail(3, fmt::format("symbol '{}' is listed twice", info->name));
    for (const ProducedExtent& extent : p_.produced) {
      if (!symbols_.insert(extent.name).second) fail(3, fmt::format("symbol '{}' is listed twice", extent.name));
      produced_.insert(extent.name);
    }
    for (const ProducedExtent& extent : p_.produced) check_fed(extent.bound, fmt::format("the bound of '{}'", extent.name));
    check_fed(p_.arena_bytes, "the arena's size");
  }

  /// As check_dim; no produced symbol either.
  void check_fed(const Dim& dim, const std::string& what) const {
    check_dim(dim, what);
    if (dim.is_constant()) return;
    for (const std::string& name : symbols_of(dim))
      if (produced_.contains(name)) fail(18, fmt::format("{} mentions '{}', which is produced", what, name));
  }

  void check_dim(const Dim& dim, std::string_view what) const {
    if (dim.is_constant()) return;
    for_each_symbol(dim, [&](const std::shared_ptr<const SymbolInfo>& info) {
      if (!symbols_.contains(info->name)) fail(3, fmt::format("{} mentions '{}', which is no symbol of the program", what, info->name));
    });
  }

  template <class List>
  void distinct(const List& list, std::string_view what) const {
    std::unordered_set<std::string_view> names;
    for (const auto& item : list)
      if (!names.insert(item.name).second) fail(1, fmt::format("two {} are named '{}'", what, item.name));
  }

  void declarations() {
    distinct(p_.inputs, "inputs");
    distinct(p_.outputs, "outputs");
    distinct(p_.variables, "variables");
    distinct(p_.buffers, "buffers");
    distinct(p_.kernels, "kernels");
    distinct(p_.tapes, "tapes");
    for (const auto* ports : {&p_.inputs, &p_.outputs})
      for (const ProgramPort& port : *ports)
        for (const Dim& dim : port.dims) {
          const std::string what = fmt::format("'{}'", port.name);
          ports == &p_.inputs ? check_fed(dim, what) : check_dim(dim, what);
        }
    for (const ProgramVariable& v : p_.variables)
      for (const Dim& dim : v.dims)
        if (!dim.is_constant()) fail(3, fmt::format("variable '{}' has extent {}", v.name, to_string(dim)));
    for (const ProgramBuffer& b : p_.buffers) buffer(b);
    for (const Tape& t : p_.tapes) {
      for (const Dim& dim : t.extents) check_dim(dim, fmt::format("tape '{}'", t.name));
      if (t.state >= p_.buffers.size()) fail(10, fmt::format("the state of tape '{}' is no buffer", t.name));
      const ProgramBuffer& state = p_.buffers[t.state];
      if (state.storage != Storage::arena || state.dtype != DType::u8 || state.extents != Dims{64})
        fail(10, fmt::format("the state of tape '{}' is not u8[64] in the arena", t.name));
    }
    for (const ProgramCustomCall& c : p_.custom_calls)
      for (const auto* list : {&c.operands, &c.results})
        for (const Type& type : *list)
          for (const Dim& dim : type.dims) check_dim(dim, fmt::format("custom call \"{}\"", c.name));
    for (const ProgramPrint& p : p_.prints)
      for (const Dim& dim : p.type.dims) check_dim(dim, fmt::format("print \"{}\"", p.message));
    for (const ExtentCheck& c : p_.extent_checks) {
      check_fed(c.left, "a requirement");
      check_fed(c.right, "a requirement");
      if (c.check >= p_.checks.size()) fail(15, fmt::format("a requirement names check {} of {}", c.check, p_.checks.size()));
    }
  }

  void buffer(const ProgramBuffer& b) const {
    for (const Dim& dim : b.extents) check_dim(dim, fmt::format("buffer '{}'", b.name));
    if (b.storage == Storage::arena) {
      check_fed(b.offset, fmt::format("buffer '{}'", b.name));
      if (!b.offset.is_constant(0) && known_divisor(b.offset) % 64 != 0)
        fail(4, fmt::format("buffer '{}' begins at {}, which is no multiple of 64", b.name, to_string(b.offset)));
      return;
    }
    const auto known = type_of_storage(p_, b.storage, b.index);
    if (!known) fail(2, fmt::format("buffer '{}' is {} {}, which does not exist", b.name, name_of(b.storage), b.index));
    if (known->dtype != b.dtype || !same_size(known->extents, b.extents)) {
      fail(2, fmt::format("buffer '{}' is {}{}, but its {} is {}{}", b.name, name_of(b.dtype), to_string(b.extents), name_of(b.storage),
                          name_of(known->dtype), to_string(known->extents)));
    }
    if (b.storage == Storage::shadow && !p_.variables[b.index].shadowed)
      fail(2, fmt::format("buffer '{}' is the shadow of '{}', which is not shadowed", b.name, p_.variables[b.index].name));
  }

  /// Memory is row-major, so a reshape is the same memory: numbers of elements count. Symbolic ones must not be known to differ.
  static bool same_size(const Dims& a, const Dims& b) { return a == b || equals(product(a), product(b)) != Truth::no; }

  // ---- statements

  std::string_view name(std::uint32_t id) const { return p_.buffers[id].name; }

  void shape(const Statement& s) const {
    for (const std::uint32_t id : s.buffers)
      if (id >= p_.buffers.size()) fail(8, fmt::format("a statement names buffer {} of {}", id, p_.buffers.size()));
    const auto need = [&](std::size_t buffers, std::size_t blocks, std::size_t indices) {
      if (s.buffers.size() != buffers) fail(8, fmt::format("a statement has {} buffers instead of {}", s.buffers.size(), buffers));
      if (s.blocks.size() != blocks) fail(8, fmt::format("a statement has {} blocks instead of {}", s.blocks.size(), blocks));
      if (s.index >= indices) fail(8, fmt::format("a statement has index {} of {}", s.index, indices));
    };
    const auto predicate = [&] {
      const ProgramBuffer& b = p_.buffers[s.buffers[0]];
      if (b.dtype != DType::boolean || !same_size(b.extents, {}))
        fail(9, fmt::format("the predicate '{}' is {}{}", b.name, name_of(b.dtype), to_string(b.extents)));
    };
    const auto tape_item = [&] {
      const ProgramBuffer& b = p_.buffers[s.buffers[0]];
      const Tape& t = p_.tapes[s.index];
      if (b.dtype != t.dtype || !same_size(b.extents, t.extents)) fail(10, fmt::format("'{}' is no item of tape '{}'", b.name, t.name));
    };
    switch (s.kind) {
      case StatementKind::call: call(s); break;
      case StatementKind::custom_call:
        need(s.buffers.size(), 0, p_.custom_calls.size());
        custom_call(s);
        break;
      case StatementKind::copy: {
        need(2, 0, SIZE_MAX);
        const ProgramBuffer &to = p_.buffers[s.buffers[0]], &from = p_.buffers[s.buffers[1]];
        if (to.dtype != from.dtype || !same_size(to.extents, from.extents))
          fail(10, fmt::format("a copy from '{}' to '{}', which differ in type", from.name, to.name));
        break;
      }
      case StatementKind::if_:
      case StatementKind::while_:
        need(1, 2, SIZE_MAX);
        predicate();
        break;
      case StatementKind::check:
        need(1, 0, p_.checks.size());
        predicate();
        break;
      case StatementKind::print: {
        need(1, 0, p_.prints.size());
        const ProgramBuffer& b = p_.buffers[s.buffers[0]];
        const Type& shown = p_.prints[s.index].type;
        if (b.dtype != shown.dtype || !same_size(b.extents, shown.dims))
          fail(8, fmt::format("a print shows '{}' as {}, but it is {}{}", b.name, to_string(shown), name_of(b.dtype), to_string(b.extents)));
        break;
      }
      case StatementKind::tape_clear: need(0, 0, p_.tapes.size()); break;
      case StatementKind::tape_push:
      case StatementKind::tape_pop:
        need(1, 0, p_.tapes.size());
        tape_item();
        break;
      case StatementKind::poll: need(0, 0, SIZE_MAX); break;
      case StatementKind::produce: {
        need(1, 0, p_.produced.size());
        const ProgramBuffer& b = p_.buffers[s.buffers[0]];
        if (b.dtype != DType::i64 || !same_size(b.extents, {}))
          fail(18, fmt::format("'{}' is produced from '{}', {}{}", p_.produced[s.index].name, b.name, name_of(b.dtype), to_string(b.extents)));
        check_dim(s.limit, fmt::format("the limit of '{}'", p_.produced[s.index].name));
        break;
      }
      case StatementKind::commit:
        need(0, 0, p_.variables.size());
        if (!p_.variables[s.index].shadowed || !p_.variables[s.index].assigned)
          fail(13, fmt::format("a commit of '{}', which is not shadowed and assigned", p_.variables[s.index].name));
        break;
    }
    for (const Access& a : accesses_of(p_, s)) {
      const ProgramBuffer& b = p_.buffers[a.buffer];
      if (a.written && (b.storage == Storage::input || b.storage == Storage::constant)) fail(7, fmt::format("'{}' is written", b.name));
      if (b.storage != Storage::variable && b.storage != Storage::shadow) continue;
      const ProgramVariable& v = p_.variables[b.index];
      if (a.written && !v.assigned) fail(13, fmt::format("'{}' is written, but variable '{}' is not assigned", b.name, v.name));
      if (a.read && b.storage == Storage::variable && !v.read)
        fail(13, fmt::format("'{}' is read, but variable '{}' is not", b.name, v.name));
    }
  }

  void call(const Statement& s) const {
    if (s.index >= p_.kernels.size() || !s.blocks.empty()) fail(8, fmt::format("a call of kernel {} of {}", s.index, p_.kernels.size()));
    const Kernel& k = p_.kernels[s.index];
    if (k.buffers.size() != s.buffers.size())
      fail(6, fmt::format("kernel @{} takes {} buffers, not {}", k.name, k.buffers.size(), s.buffers.size()));
    for (std::size_t i = 0; i < s.buffers.size(); ++i) {
      const ProgramBuffer& b = p_.buffers[s.buffers[i]];
      const Buffer& wanted = k.buffers[i];
      if (b.dtype != wanted.dtype || !same_size(b.extents, wanted.extents)) {
        fail(6, fmt::format("'{}' of kernel @{} is {}{}, but it gets '{}', {}{}", wanted.name, k.name, name_of(wanted.dtype),
                            to_string(wanted.extents), b.name, name_of(b.dtype), to_string(b.extents)));
      }
    }
    for (const auto& info : k.symbols)
      if (!symbols_.contains(info->name)) fail(6, fmt::format("kernel @{} needs symbol '{}'", k.name, info->name));
  }

  void custom_call(const Statement& s) const {
    const ProgramCustomCall& c = p_.custom_calls[s.index];
    const std::size_t inputs = c.operands.size();
    if (s.buffers.size() != inputs + c.results.size())
      fail(6, fmt::format("custom call \"{}\" has {} operands and {} results, but {} buffers", c.name, inputs, c.results.size(),
                          s.buffers.size()));
    for (std::size_t i = 0; i < s.buffers.size(); ++i) {
      const ProgramBuffer& b = p_.buffers[s.buffers[i]];
      const Type& wanted = i < inputs ? c.operands[i] : c.results[i - inputs];
      if (b.dtype != wanted.dtype || !same_size(b.extents, wanted.dims))
        fail(6, fmt::format("custom call \"{}\" needs {}, but gets '{}', {}{}", c.name, to_string(wanted), b.name, name_of(b.dtype),
                            to_string(b.extents)));
    }
  }

  /// Invariants 11 and 12.
  void order() const {
    std::string changed;  // the variable that was changed first
    std::vector<bool> committed(p_.variables.size(), false);
    for_each_statement(p_, [&](const Statement& s, int depth) {
      const bool can_fail = s.kind == StatementKind::check || s.kind == StatementKind::poll || s.kind == StatementKind::tape_push ||
                            s.kind == StatementKind::custom_call || s.kind == StatementKind::print;
      if (!changed.empty() && can_fail) fail(11, fmt::format("something that can fail stands after variable '{}' has changed", changed));
      const auto change = [&](const std::string& variable) {
        if (depth > 0) fail(12, fmt::format("variable '{}' changes inside an if or while", variable));
        if (changed.empty()) changed = variable;
      };
      for (const Access& a : accesses_of(p_, s)) {
        const ProgramBuffer& b = p_.buffers[a.buffer];
        if (b.storage != Storage::variable && b.storage != Storage::shadow) continue;
        if (committed[b.index])
          fail(12, fmt::format("'{}' is mentioned after variable '{}' was committed", b.name, p_.variables[b.index].name));
        if (a.written && b.storage == Storage::variable) change(p_.variables[b.index].name);
      }
      if (s.kind != StatementKind::commit) return;
      change(p_.variables[s.index].name);
      if (committed[s.index]) fail(12, fmt::format("variable '{}' is committed twice", p_.variables[s.index].name));
      committed[s.index] = true;
    });
  }

  void written_before_read() const {
    std::vector<bool> written(p_.buffers.size(), false);
    std::vector<bool> outputs(p_.outputs.size(), false);
    const auto touch = [&](const Access& a) {
      const ProgramBuffer& b = p_.buffers[a.buffer];
      if (b.storage == Storage::output && a.written) outputs[b.index] = true;
      if (b.storage != Storage::arena) return;
      if (a.read && !written[a.buffer]) fail(14, fmt::format("'{}' is read before it is written", b.name));
      if (a.written) written[a.buffer] = true;
    };
    // The predicate of a while is read after its condition block.
    struct Rest {
      const Statement* statement;
      bool test;
    };
    std::vector<Rest> stack;
    const auto push = [&](const std::vector<Statement>& block) {
      for (auto s = block.rbegin(); s != block.rend(); ++s) stack.push_back({&*s, false});
    };
    push(p_.body);
    while (!stack.empty()) {
      const auto [s, test] = stack.back();
      stack.pop_back();
      if (s->kind == StatementKind::while_ && !test) {
        push(s->blocks[1]);
        stack.push_back({s, true});
        push(s->blocks[0]);
        continue;
      }
      for (const Access& a : accesses_of(p_, *s)) touch(a);
      if (s->kind == StatementKind::if_) {
        push(s->blocks[1]);
        push(s->blocks[0]);
      }
    }
    for (std::size_t k = 0; k < outputs.size(); ++k)
      if (!outputs[k]) fail(14, fmt::format("output '{}' is never written", p_.outputs[k].name));
  }

  /// Invariant 18, in the order of the text: a loop's body counts as run.
  void produced_before_use() const {
    if (p_.produced.empty()) return;
    std::unordered_set<std::string> known;
    const auto need = [&](std::string_view name, std::string_view what) {
      if (produced_.contains(std::string(name)) && !known.contains(std::string(name)))
        fail(18, fmt::format("{} needs '{}' before it is produced", what, name));
    };
    const auto need_dims = [&](std::span<const Dim> dims, std::string_view what) {
      for (const Dim& dim : dims)
        if (!dim.is_constant())
          for (const std::string& name : symbols_of(dim)) need(name, what);
    };
    for_each_statement(p_, [&](const Statement& s, int) {
      switch (s.kind) {
        case StatementKind::call:
          for (const auto& info : p_.kernels[s.index].symbols) need(info->name, fmt::format("kernel @{}", p_.kernels[s.index].name));
          break;
        case StatementKind::copy: need_dims(p_.buffers[s.buffers[0]].extents, "a copy"); break;
        case StatementKind::tape_push:
        case StatementKind::tape_pop: need_dims(p_.tapes[s.index].extents, "a tape"); break;
        case StatementKind::custom_call:
          for (const auto* list : {&p_.custom_calls[s.index].operands, &p_.custom_calls[s.index].results})
            for (const Type& type : *list) need_dims(type.dims, "a custom call");
          break;
        case StatementKind::print: need_dims(p_.prints[s.index].type.dims, "a print"); break;
        case StatementKind::produce:
          need_dims(std::span(&s.limit, 1), "a limit");
          known.insert(p_.produced[s.index].name);
          break;
        default: break;
      }
    });
    for (const ProgramPort& port : p_.outputs) need_dims(port.dims, fmt::format("output '{}'", port.name));
  }

  // ---- the arena

  /// Symbol values to compare sizes at: the least, and some greater ones that differ between symbols, within their bounds and multiples.
  std::vector<std::unordered_map<std::string, std::int64_t>> samples() const {
    std::vector<std::unordered_map<std::string, std::int64_t>> result;
    for (std::int64_t round = 0; round < (p_.symbols.empty() ? 1 : 6); ++round) {
      auto& values = result.emplace_back();
      std::int64_t k = 0;
      for (const auto& info : p_.symbols) {
        std::int64_t value = info->min;
        if (round > 0) value = std::max<std::int64_t>(info->min, (round * 37 + k * 11 * (round % 3)) % (round < 3 ? 5 : 1000));
        const std::int64_t m = std::max<std::int64_t>(info->multiple_of, 1);
        value = (value + m - 1) / m * m;
        values[info->name] = std::min(value, info->max / m * m);
        ++k;
      }
    }
    return result;
  }

  void memory() const {
    const std::vector<LiveRange> ranges = live_ranges(p_);
    std::vector<std::uint32_t> order;
    for (std::uint32_t id = 0; id < p_.buffers.size(); ++id)
      if (p_.buffers[id].storage == Storage::arena && ranges[id].first <= ranges[id].last) order.push_back(id);
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return ranges[a].first < ranges[b].first; });

    for (const auto& values : samples()) {
      const auto value_of = [&](std::string_view symbol) -> std::optional<std::int64_t> { return values.at(std::string(symbol)); };
      const std::int64_t arena = evaluate(p_.arena_bytes, value_of);
      // Alive now, by address; and the order in which they end.
      std::map<std::int64_t, std::pair<std::int64_t, std::uint32_t>> alive;
      std::multimap<std::uint32_t, std::int64_t> ends;
      for (const std::uint32_t id : order) {
        const ProgramBuffer& b = p_.buffers[id];
        const std::int64_t begin = evaluate(b.offset, value_of);
        const std::int64_t bytes = evaluate(upper_bound(p_, product(b.extents)), value_of) * static_cast<std::int64_t>(size_of(b.dtype));
        if (begin < 0 || bytes > arena - begin) fail(4, fmt::format("buffer '{}' ends beyond the arena", b.name));
        if (bytes == 0) continue;
        for (; !ends.empty() && ends.begin()->first < ranges[id].first; ends.erase(ends.begin())) alive.erase(ends.begin()->second);
        const auto above = alive.lower_bound(begin);
        const bool hits_above = above != alive.end() && above->first < begin + bytes;
        const bool hits_below = above != alive.begin() && std::prev(above)->second.first > begin;
        if (hits_above || hits_below) {
          const std::uint32_t other = hits_above ? above->second.second : std::prev(above)->second.second;
          fail(5, fmt::format("'{}' and '{}' are alive at the same time and overlap", p_.buffers[other].name, b.name));
        }
        alive[begin] = {begin + bytes, id};
        ends.emplace(ranges[id].last, begin);
      }
    }
  }

  const Program& p_;
  std::unordered_set<std::string> symbols_;   // fed and produced
  std::unordered_set<std::string> produced_;
};

}  // namespace

std::string find_violation(const Program& program) {
  try {
    Verifier(program).run();
    return "";
  } catch (const Violation& violation) {
    return violation.message;
  }
}

void verify(const Program& program) {
  if (const std::string message = find_violation(program); !message.empty()) throw InternalError(message);
}

}  // namespace kiln::ir

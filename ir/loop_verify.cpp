// The invariants of loop IR. Messages cite the numbers.
//
//  1. Buffers have distinct names, strides for none or all of their dims, and an alignment of 0 or a power of two.
//  2. Symbols have distinct names. Extents and strides mention no other symbols.
//  3. Each register is defined once and used only after its definition, in the same block or one inside it.
//  4. Each op has the number of operands, results, indices and blocks that it needs.
//  5. Rows, cols and lanes are at least 1 and a register has at most 65536 elements; a result has its instruction's type.
//  6. Operands have the rows, cols and lanes of the result, or 1.
//  7. Dtypes: operands and result agree, except as compare, select, convert, bitcast and index define; arithmetic is on numbers, fma and
//  roots on floats,
//     bits on integers and bool, shifts and counts of bits on integers; bitcast keeps the size.
//  8. A constant's literal has the constant's dtype.
//  9. Loads, stores and prefetches name a buffer, give one index per dim, and have the buffer's dtype.
// 10. Index expressions mention symbols of the kernel, loop variables and lets in scope, and (except in bounds and selectors) $r and $v.
// 11. Buffers of role input are not stored to.
// 12. Names of loop variables and lets are distinct from each other and from symbols and tile coordinates.
// 13. A loop's step is at least 1; what it carries, its parameters and its results have equal types; its body ends with a yield of those
// types exactly when it
//     carries something; parallel loops carry nothing.
// 14. A yield stands at the end of the body of a loop or an if, nowhere else.
// 15. An if has a scalar bool and two blocks, which both yield values of the results' types.
// 16. A switch has distinct cases, one block each.
// 17. A let names a scalar integer.
// 18. Blocks nest at most max_block_depth deep.
// 19. A mask is bool and has the rows, cols and lanes of the access, or 1.
// 20. A reduction folds one axis to 1, keeps the others, and its combiner fits the dtype.
#include <bit>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "ir/loop_builder.h"
#include "ir/loop_text.h"

namespace kiln::ir {

namespace {

constexpr int max_elements = 65536;

/// Unwinds to find_violation.
struct Violation {
  std::string message;
};

enum class Form : std::uint8_t { value, effect, structure };

Form form_of(LoopOp op) {
  switch (op) {
    case LoopOp::store:
    case LoopOp::prefetch:
    case LoopOp::let:
    case LoopOp::yield: return Form::effect;
    case LoopOp::for_:
    case LoopOp::if_:
    case LoopOp::switch_: return Form::structure;
    default: return Form::value;
  }
}

class Verifier {
 public:
  explicit Verifier(const Kernel& kernel) : kernel_(kernel), state_(kernel.registers.size(), State::undefined) {}

  void run() {
    signature();
    for (const RegisterType& type : kernel_.registers) {
      const bool sound =
          type.rows >= 1 && type.cols >= 1 && type.lanes >= 1 && std::int64_t{type.rows} * type.cols * type.lanes <= max_elements;
      if (!sound) fail(5, fmt::format("register type {} is out of range", to_string(type)));
    }
    if (!kernel_.body.parameters.empty()) fail(4, "the kernel's body has block parameters");
    block(kernel_.body, {}, 0);
  }

 private:
  enum class State : std::uint8_t { undefined, live, ended };

  [[noreturn]] void fail(int number, const std::string& message) const {
    throw Violation{fmt::format("kernel @{} breaks invariant {} of loop IR: {}", kernel_.name, number, message)};
  }
  [[noreturn]] void fail(int number, const Instruction& i, const std::string& message) const {
    fail(number, fmt::format("{}: `{}`", message, describe(kernel_, i)));
  }

  void signature() {
    std::unordered_set<std::string> names;
    for (const auto& info : kernel_.symbols) {
      if (!scope_.insert(info->name).second) fail(2, fmt::format("symbol '{}' is listed twice", info->name));
      if (info->name == tile_row || info->name == tile_vector) fail(12, fmt::format("'{}' is a tile coordinate, not a symbol", info->name));
    }
    taken_ = scope_;
    for (const Buffer& b : kernel_.buffers) {
      if (!names.insert(b.name).second) fail(1, fmt::format("two buffers are named '{}'", b.name));
      if (!b.strides.empty() && b.strides.size() != b.extents.size())
        fail(1, fmt::format("buffer '{}' has {} extents and {} strides", b.name, b.extents.size(), b.strides.size()));
      if (b.alignment < 0 || (b.alignment != 0 && !std::has_single_bit(static_cast<std::uint32_t>(b.alignment))))
        fail(1, fmt::format("buffer '{}' has alignment {}", b.name, b.alignment));
      for (const Dims* dims : {&b.extents, &b.strides}) {
        for (const Dim& dim : *dims) {
          if (const std::string stranger = unknown_symbol(dim, false); !stranger.empty())
            fail(2, fmt::format("buffer '{}' mentions '{}', which is no symbol of the kernel", b.name, stranger));
        }
      }
    }
  }

  /// A symbol in `dim` that is not in scope, or "".
  std::string unknown_symbol(const Dim& dim, bool tile) const {
    if (dim.is_constant()) return "";
    std::string stranger;
    for_each_symbol(dim, [&](const std::shared_ptr<const SymbolInfo>& info) {
      const bool coordinate = info->name == tile_row || info->name == tile_vector;
      if (coordinate ? !tile : !scope_.contains(info->name)) stranger = info->name;
    });
    return stranger;
  }
  void check_index(const Instruction& i, const Dim& dim, bool tile) const {
    if (const std::string stranger = unknown_symbol(dim, tile); !stranger.empty())
      fail(10, i, fmt::format("'{}' is not in scope", stranger));
  }

  const RegisterType& type(RegisterId id) const { return kernel_.registers[id]; }
  void define(const Instruction& i, RegisterId id) {
    if (id >= state_.size()) fail(3, i, fmt::format("register id {} is out of range", id));
    if (state_[id] != State::undefined) fail(3, i, "a register is defined twice");
    state_[id] = State::live;
    defined_.push_back(id);
  }
  void use(const Instruction& i, RegisterId id) const {
    if (id >= state_.size()) fail(3, i, fmt::format("register id {} is out of range", id));
    if (state_[id] == State::undefined) fail(3, i, "an operand is used before its definition");
    if (state_[id] == State::ended) fail(3, i, "an operand is used outside the block that defines it");
  }
  void bind(const Instruction& i) {
    if (i.name == tile_row || i.name == tile_vector || !taken_.insert(i.name).second)
      fail(12, i, fmt::format("the name '{}' is taken", i.name));
    scope_.insert(i.name);
    bound_.push_back(i.name);
  }

  /// `owner`: the loop or branch that the block belongs to; null for the kernel's body.
  void block(const Block& b, const Instruction* owner, int depth) {
    if (depth > max_block_depth) fail(18, fmt::format("blocks nest more than {} deep", max_block_depth));
    const std::size_t first_register = defined_.size(), first_name = bound_.size();
    if (owner && owner->op == LoopOp::for_) {
      bind(*owner);
      for (const RegisterId id : b.parameters) define(*owner, id);
    }
    for (std::size_t k = 0; k < b.instructions.size(); ++k) {
      const Instruction& i = b.instructions[k];
      const bool may_yield = k + 1 == b.instructions.size() && owner && (owner->op == LoopOp::for_ || owner->op == LoopOp::if_);
      if (i.op == LoopOp::yield && !may_yield) fail(14, i, "a yield stands where none may");
      instruction(i, depth);
    }
    for (; defined_.size() > first_register; defined_.pop_back()) state_[defined_.back()] = State::ended;
    for (; bound_.size() > first_name; bound_.pop_back()) scope_.erase(bound_.back());
  }

  void instruction(const Instruction& i, int depth) {
    const int wanted = operand_count(i.op);
    if (wanted >= 0 && i.operands.size() != static_cast<std::size_t>(wanted))
      fail(4, i, fmt::format("{} operands instead of {}", i.operands.size(), wanted));
    for (const RegisterId id : i.operands) use(i, id);
    const Form form = form_of(i.op);
    if (form != Form::structure) {
      if (!i.blocks.empty()) fail(4, i, "it has blocks");
      const std::size_t results = form == Form::value ? 1 : 0;
      if (i.results.size() != results) fail(4, i, fmt::format("{} results instead of {}", i.results.size(), results));
    } else if (i.op != LoopOp::for_) {
      for (const Block& b : i.blocks)
        if (!b.parameters.empty()) fail(4, i, "a branch has block parameters");
    }
    switch (i.op) {
      case LoopOp::for_: loop(i, depth); break;
      case LoopOp::if_: branch(i, depth); break;
      case LoopOp::switch_: switch_on(i, depth); break;
      case LoopOp::load:
      case LoopOp::store:
      case LoopOp::prefetch: access(i); break;
      case LoopOp::let:
        if (type(i.operands[0]).elements() != 1 || !is_integer(type(i.operands[0]).dtype)) fail(17, i, "a let needs a scalar integer");
        bind(i);
        break;
      case LoopOp::yield:
        if (i.operands.empty()) fail(14, i, "a yield without values");
        break;
      default: value(i);
    }
    for (const RegisterId id : i.results) define(i, id);
    if (form == Form::value && type(i.results[0]) != i.type)
      fail(5, i, fmt::format("the result register has type {}", to_string(type(i.results[0]))));
  }

  void check_repeats(const Instruction& i, const RegisterType& operand, int number = 6) const {
    auto fits = [](int have, int want) { return have == want || have == 1; };
    if (!fits(operand.rows, i.type.rows) || !fits(operand.cols, i.type.cols) || !fits(operand.lanes, i.type.lanes))
      fail(number, i, fmt::format("an operand of type {} does not repeat to {}", to_string(operand), to_string(i.type)));
  }
  void need(const Instruction& i, bool condition) const {
    if (condition) return;
    std::string types;
    for (const RegisterId id : i.operands) types += (types.empty() ? "" : ", ") + to_string(type(id));
    fail(7, i, fmt::format("dtypes do not fit, operands are {}", types));
  }

  void value(const Instruction& i) const {
    const DType dtype = i.type.dtype;
    if (i.op != LoopOp::reduce)
      for (const RegisterId id : i.operands) check_repeats(i, type(id));
    auto same = [&](std::size_t from) {
      for (std::size_t k = from; k < i.operands.size(); ++k) need(i, type(i.operands[k]).dtype == dtype);
    };
    switch (i.op) {
      case LoopOp::constant:
        if (i.literal.dtype != dtype) fail(8, i, fmt::format("the literal has dtype {}", name_of(i.literal.dtype)));
        break;
      case LoopOp::index:
        if (i.indices.size() != 1) fail(4, i, "an index op has one expression");
        check_index(i, i.indices[0], true);
        need(i, dtype == DType::i64);
        break;
      case LoopOp::add:
      case LoopOp::subtract:
      case LoopOp::multiply:
      case LoopOp::divide:
      case LoopOp::remainder:
      case LoopOp::minimum:
      case LoopOp::maximum:
      case LoopOp::negate:
      case LoopOp::abs:
      case LoopOp::power:
        same(0);
        need(i, dtype != DType::boolean);
        break;
      case LoopOp::and_:
      case LoopOp::or_:
      case LoopOp::xor_:
      case LoopOp::not_:
        same(0);
        need(i, !is_floating(dtype));
        break;
      case LoopOp::popcnt:
      case LoopOp::count_leading_zeros:
      case LoopOp::shift_left:
      case LoopOp::shift_right_arithmetic:
      case LoopOp::shift_right_logical:
        same(0);
        need(i, is_integer(dtype));
        break;
      case LoopOp::compare: need(i, dtype == DType::boolean && type(i.operands[0]).dtype == type(i.operands[1]).dtype); break;
      case LoopOp::select:
        need(i, type(i.operands[0]).dtype == DType::boolean);
        same(1);
        break;
      case LoopOp::convert: break;
      case LoopOp::bitcast: {
        const DType from = type(i.operands[0]).dtype;
        need(i, size_of(from) == size_of(dtype) && from != DType::boolean && dtype != DType::boolean);
        break;
      }
      case LoopOp::broadcast: same(0); break;
      case LoopOp::reduce: reduction(i); break;
      default:  // fma, roots, rounding, functions
        same(0);
        need(i, is_floating(dtype));
    }
  }

  void reduction(const Instruction& i) const {
    RegisterType folded = type(i.operands[0]);
    (i.axis == Axis::lanes ? folded.lanes : i.axis == Axis::cols ? folded.cols : folded.rows) = 1;
    if (folded != i.type) fail(20, i, fmt::format("an operand of type {} folds to {}", to_string(type(i.operands[0])), to_string(folded)));
    const bool logical = i.combiner == LoopOp::and_ || i.combiner == LoopOp::or_;
    if (!is_combiner(i.combiner) || (logical ? is_floating(folded.dtype) : folded.dtype == DType::boolean))
      fail(20, i, "the combiner does not fit the dtype");
  }

  void access(const Instruction& i) const {
    if (i.buffer >= kernel_.buffers.size()) fail(9, i, "no such buffer");
    const Buffer& b = kernel_.buffers[i.buffer];
    if (i.indices.size() != b.extents.size())
      fail(9, i, fmt::format("{} indices for buffer '{}' of rank {}", i.indices.size(), b.name, b.extents.size()));
    for (const Dim& dim : i.indices) check_index(i, dim, true);
    if (i.type.dtype != b.dtype) fail(9, i, fmt::format("buffer '{}' has dtype {}", b.name, name_of(b.dtype)));
    if (std::int64_t{i.type.rows} * i.type.cols * i.type.lanes > max_elements || i.type.rows < 1 || i.type.cols < 1 || i.type.lanes < 1)
      fail(5, i, "the type is out of range");
    const std::size_t values = i.op == LoopOp::store ? 1 : 0;
    if (i.operands.size() != values + (i.masked ? 1 : 0) || (i.masked && i.op == LoopOp::prefetch))
      fail(4, i, fmt::format("{} operands", i.operands.size()));
    if (i.op == LoopOp::store) {
      if (b.role == Buffer::Role::input) fail(11, i, fmt::format("buffer '{}' is an input", b.name));
      if (type(i.operands[0]).dtype != i.type.dtype) fail(7, i, fmt::format("the value has type {}", to_string(type(i.operands[0]))));
      check_repeats(i, type(i.operands[0]));
    }
    if (i.masked) {
      const RegisterType& mask = type(i.operands.back());
      if (mask.dtype != DType::boolean) fail(19, i, fmt::format("the mask has type {}", to_string(mask)));
      check_repeats(i, mask, 19);
    }
  }

  void check_yield(const Instruction& i, const Block& b, const std::vector<RegisterId>& wanted, int number) const {
    const bool yields = !b.instructions.empty() && b.instructions.back().op == LoopOp::yield;
    const std::size_t count = yields ? b.instructions.back().operands.size() : 0;
    if (count != wanted.size()) fail(number, i, fmt::format("a block yields {} values instead of {}", count, wanted.size()));
    for (std::size_t k = 0; k < count; ++k) {
      const RegisterType& have = type(b.instructions.back().operands[k]);
      if (have != type(wanted[k]))
        fail(number, i, fmt::format("a block yields {} instead of {}", to_string(have), to_string(type(wanted[k]))));
    }
  }
  void check_results(const Instruction& i) const {
    for (const RegisterId id : i.results)
      if (id >= state_.size()) fail(3, i, fmt::format("register id {} is out of range", id));
  }

  void loop(const Instruction& i, int depth) {
    if (i.indices.size() != 3 || i.blocks.size() != 1) fail(4, i, "a loop has begin, end, step and one block");
    for (const Dim& dim : i.indices) check_index(i, dim, false);
    if (bounds(i.indices[2]).min < 1) fail(13, i, "the step may be less than 1");
    if (i.loop == LoopKind::parallel && !i.operands.empty()) fail(13, i, "a parallel loop carries values");
    const Block& body = i.blocks[0];
    if (body.parameters.size() != i.operands.size() || i.results.size() != i.operands.size()) {
      fail(13, i, fmt::format("{} initial values, {} parameters, {} results", i.operands.size(), body.parameters.size(), i.results.size()));
    }
    check_results(i);
    for (std::size_t k = 0; k < i.operands.size(); ++k) {
      if (body.parameters[k] >= state_.size()) fail(3, i, fmt::format("register id {} is out of range", body.parameters[k]));
      if (type(body.parameters[k]) != type(i.operands[k]) || type(i.results[k]) != type(i.operands[k]))
        fail(13, i,
             fmt::format("carried value {} starts as {}, is {} in the body and {} after it", k, to_string(type(i.operands[k])),
                         to_string(type(body.parameters[k])), to_string(type(i.results[k]))));
    }
    block(body, &i, depth + 1);
    check_yield(i, body, i.operands, 13);
  }

  void branch(const Instruction& i, int depth) {
    if (i.blocks.size() != 2) fail(4, i, "an if has two blocks");
    if (type(i.operands[0]) != RegisterType{DType::boolean})
      fail(15, i, fmt::format("the condition has type {}", to_string(type(i.operands[0]))));
    check_results(i);
    for (const Block& b : i.blocks) block(b, &i, depth + 1);
    for (const Block& b : i.blocks) check_yield(i, b, i.results, 15);
  }

  void switch_on(const Instruction& i, int depth) {
    if (i.indices.size() != 1 || i.cases.size() != i.blocks.size() || !i.results.empty())
      fail(4, i, "a switch has a selector and one block per case");
    check_index(i, i.indices[0], false);
    std::set<std::int64_t> seen;
    for (const std::int64_t value : i.cases)
      if (!seen.insert(value).second) fail(16, i, fmt::format("case {} occurs twice", value));
    for (const Block& b : i.blocks) block(b, &i, depth + 1);
  }

  const Kernel& kernel_;
  std::vector<State> state_;
  std::vector<RegisterId> defined_;                // in scope, in order of definition
  std::unordered_set<std::string> scope_, taken_;  // names usable now; names ever used
  std::vector<std::string> bound_;                 // loop variables and lets in scope
};

}  // namespace

std::string find_violation(const Kernel& kernel) {
  try {
    Verifier(kernel).run();
    return "";
  } catch (const Violation& violation) {
    return violation.message;
  }
}

void verify(const Kernel& kernel) {
  if (const std::string message = find_violation(kernel); !message.empty()) throw InternalError(message);
}

}  // namespace kiln::ir

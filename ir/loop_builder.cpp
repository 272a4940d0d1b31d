// KernelBuilder (ir/loop_builder.h), and the collection of a kernel's symbols.
#include "ir/loop_builder.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

namespace kiln::ir {

KernelBuilder::KernelBuilder(std::string name) : block_(&kernel_.body) { kernel_.name = std::move(name); }

BufferId KernelBuilder::buffer(std::string name, DType dtype, Dims extents, Buffer::Role role, Dims strides, std::int32_t alignment) {
  auto taken = [&](const std::string& candidate) {
    return std::any_of(kernel_.buffers.begin(), kernel_.buffers.end(), [&](const Buffer& b) { return b.name == candidate; });
  };
  auto reserve = [&](const std::shared_ptr<const SymbolInfo>& info) { names_.try_emplace(info->name, 1); };
  for (const Dim& dim : extents) for_each_symbol(dim, reserve);
  for (const Dim& dim : strides) for_each_symbol(dim, reserve);
  std::string unique = name;
  for (int i = 1; taken(unique); ++i) unique = fmt::format("{}.{}", name, i);
  kernel_.buffers.push_back({std::move(unique), dtype, std::move(extents), std::move(strides), role, alignment});
  return static_cast<BufferId>(kernel_.buffers.size() - 1);
}

void KernelBuilder::symbol(std::shared_ptr<const SymbolInfo> info) {
  for (const auto& known : kernel_.symbols)
    if (known->name == info->name) return;
  names_.try_emplace(info->name, 1);
  kernel_.symbols.push_back(std::move(info));
}

RegisterId KernelBuilder::new_register(const RegisterType& type) {
  kernel_.registers.push_back(type);
  return static_cast<RegisterId>(kernel_.registers.size() - 1);
}

std::string KernelBuilder::unique_name(std::string_view base) {
  int& count = names_[std::string(base)];
  std::string name = count == 0 ? std::string(base) : fmt::format("{}.{}", base, count);
  ++count;
  if (count == 1) return name;
  // "i.1" may itself have been asked for, or be a symbol.
  for (int i = count; !names_.try_emplace(name, 1).second; ++i) name = fmt::format("{}.{}", base, i);
  return name;
}

RegisterId KernelBuilder::append_value(LoopOp op, const RegisterType& type, Registers operands,
                                       const std::function<void(Instruction&)>& set) {
  Instruction instruction;
  instruction.op = op;
  instruction.type = type;
  instruction.operands = std::move(operands);
  if (set) set(instruction);
  const RegisterId result = new_register(type);
  instruction.results = {result};
  append(std::move(instruction));
  return result;
}

RegisterType KernelBuilder::joined(std::span<const RegisterId> operands, DType dtype) const {
  RegisterType result{dtype};
  for (const RegisterId id : operands) {
    const RegisterType& t = type(id);
    result.rows = std::max(result.rows, t.rows);
    result.cols = std::max(result.cols, t.cols);
    result.lanes = std::max(result.lanes, t.lanes);
  }
  return result;
}

RegisterId KernelBuilder::constant(const RegisterType& type, double value) { return constant(type, Literal::of(type.dtype, value)); }

RegisterId KernelBuilder::constant(const RegisterType& type, const Literal& literal) {
  return append_value(LoopOp::constant, type, {}, [&](Instruction& i) { i.literal = literal; });
}

RegisterId KernelBuilder::index(const Dim& index, RegisterType type) {
  type.dtype = DType::i64;
  return append_value(LoopOp::index, type, {}, [&](Instruction& i) { i.indices = {index}; });
}

RegisterId KernelBuilder::load(BufferId buffer, std::vector<Dim> indices, const RegisterType& type, Mask mask) {
  return append_value(LoopOp::load, type, mask ? Registers{*mask} : Registers{}, [&](Instruction& i) {
    i.buffer = buffer;
    i.indices = std::move(indices);
    i.masked = mask.has_value();
  });
}

RegisterId KernelBuilder::apply(LoopOp op, std::span<const RegisterId> operands) {
  return append_value(op, joined(operands, type(operands.back()).dtype), Registers(operands.begin(), operands.end()));
}

RegisterId KernelBuilder::compare(Comparison comparison, RegisterId a, RegisterId b) {
  const RegisterId operands[] = {a, b};
  return append_value(LoopOp::compare, joined(operands, DType::boolean), {a, b}, [&](Instruction& i) { i.comparison = comparison; });
}

RegisterId KernelBuilder::convert(RegisterId a, DType dtype) {
  if (type(a).dtype == dtype) return a;
  RegisterType to = type(a);
  to.dtype = dtype;
  return append_value(LoopOp::convert, to, {a});
}

RegisterId KernelBuilder::bitcast(RegisterId a, DType dtype) {
  if (type(a).dtype == dtype) return a;
  RegisterType to = type(a);
  to.dtype = dtype;
  return append_value(LoopOp::bitcast, to, {a});
}

RegisterId KernelBuilder::broadcast(RegisterId a, RegisterType to) {
  to.dtype = type(a).dtype;
  return to == type(a) ? a : append_value(LoopOp::broadcast, to, {a});
}

RegisterId KernelBuilder::reduce(RegisterId a, LoopOp combiner, Axis axis) {
  RegisterType to = type(a);
  (axis == Axis::lanes ? to.lanes : axis == Axis::cols ? to.cols : to.rows) = 1;
  if (to == type(a)) return a;
  return append_value(LoopOp::reduce, to, {a}, [&](Instruction& i) {
    i.axis = axis;
    i.combiner = combiner;
  });
}

void KernelBuilder::store(BufferId buffer, std::vector<Dim> indices, RegisterId value, const RegisterType& type, Mask mask,
                          bool non_temporal) {
  Instruction i;
  i.op = LoopOp::store;
  i.type = type;
  i.operands = {value};
  if (mask) i.operands.push_back(*mask);
  i.masked = mask.has_value();
  i.buffer = buffer;
  i.indices = std::move(indices);
  i.non_temporal = non_temporal;
  append(std::move(i));
}

void KernelBuilder::prefetch(BufferId buffer, std::vector<Dim> indices, const RegisterType& type) {
  Instruction i;
  i.op = LoopOp::prefetch;
  i.type = type;
  i.buffer = buffer;
  i.indices = std::move(indices);
  append(std::move(i));
}

Block KernelBuilder::nested(const std::function<Registers()>& fill) {
  Block block;
  Block* const outer = std::exchange(block_, &block);
  Registers yields = fill();
  if (!yields.empty()) {
    Instruction yield;
    yield.op = LoopOp::yield;
    yield.operands = std::move(yields);
    append(std::move(yield));
  }
  block_ = outer;
  return block;
}

KernelBuilder::Registers KernelBuilder::for_loop(std::string_view name, const Dim& begin, const Dim& end, const Dim& step, LoopKind kind,
                                                 const Registers& initial, const CarryingBody& body) {
  Instruction loop;
  loop.op = LoopOp::for_;
  loop.loop = kind;
  loop.name = unique_name(name);
  loop.indices = {begin, end, step};
  loop.operands = initial;
  auto info = std::make_shared<SymbolInfo>();
  info->name = loop.name;
  info->min = bounds(begin).min;
  info->max = bounds(end).max == INT64_MAX ? INT64_MAX : std::max(info->min, bounds(end).max - 1);
  const Dim variable = Dim::symbol(info);

  Registers carried;
  for (const RegisterId id : initial) carried.push_back(new_register(type(id)));
  Block block = nested([&] { return body(variable, carried); });
  block.parameters = carried;
  loop.blocks.push_back(std::move(block));
  for (const RegisterId id : initial) loop.results.push_back(new_register(type(id)));
  Registers results = loop.results;
  append(std::move(loop));
  return results;
}

void KernelBuilder::for_loop(std::string_view name, const Dim& begin, const Dim& end, const Dim& step, LoopKind kind, const Body& body) {
  for_loop(name, begin, end, step, kind, {}, [&](const Dim& variable, std::span<const RegisterId>) {
    body(variable);
    return Registers{};
  });
}

KernelBuilder::Registers KernelBuilder::if_else(RegisterId condition, const std::function<Registers()>& then_body,
                                                const std::function<Registers()>& else_body) {
  Instruction branch;
  branch.op = LoopOp::if_;
  branch.operands = {condition};
  Registers yields;
  branch.blocks.push_back(nested([&] { return yields = then_body(); }));
  branch.blocks.push_back(nested(else_body));
  for (const RegisterId id : yields) branch.results.push_back(new_register(type(id)));
  Registers results = branch.results;
  append(std::move(branch));
  return results;
}

void KernelBuilder::if_then(RegisterId condition, const std::function<void()>& body) {
  if_else(
      condition,
      [&] {
        body();
        return Registers{};
      },
      [] { return Registers{}; });
}

void KernelBuilder::switch_on(const Dim& selector, std::vector<std::int64_t> cases, const std::function<void(std::int64_t)>& body) {
  Instruction instruction;
  instruction.op = LoopOp::switch_;
  instruction.indices = {selector};
  for (const std::int64_t value : cases)
    instruction.blocks.push_back(nested([&] {
      body(value);
      return Registers{};
    }));
  instruction.cases = std::move(cases);
  append(std::move(instruction));
}

Dim KernelBuilder::let(std::string_view name, RegisterId integer, std::int64_t min, std::int64_t max) {
  auto info = std::make_shared<SymbolInfo>();
  info->name = unique_name(name);
  info->min = min;
  info->max = max;
  Instruction instruction;
  instruction.op = LoopOp::let;
  instruction.type = type(integer);
  instruction.operands = {integer};
  instruction.name = info->name;
  append(std::move(instruction));
  return Dim::symbol(info);
}

Kernel KernelBuilder::finish() {
  internal_check(block_ == &kernel_.body, "KernelBuilder::finish inside a nested block");
  collect_symbols(kernel_);
  return std::move(kernel_);
}

void for_each_symbol(const Dim& dim, const std::function<void(const std::shared_ptr<const SymbolInfo>&)>& visit) {
  for (const DimTerm& term : terms(dim)) {
    for (const auto& [atom, power] : term.factors) {
      if (atom.kind == DimAtom::Kind::symbol) {
        visit(atom.symbol);
      } else {
        for_each_symbol(*atom.a, visit);
        for_each_symbol(*atom.b, visit);
      }
    }
  }
}

void collect_symbols(Kernel& kernel) {
  std::unordered_set<std::string> seen{tile_row, tile_vector};
  for (const auto& info : kernel.symbols) seen.insert(info->name);

  // Names that a loop or let defines; scopes do not matter, since they are unique in a kernel.
  std::vector<const Block*> stack{&kernel.body};
  while (!stack.empty()) {
    const Block* block = stack.back();
    stack.pop_back();
    for (const Instruction& i : block->instructions) {
      if (i.op == LoopOp::for_ || i.op == LoopOp::let) seen.insert(i.name);
      for (const Block& inner : i.blocks) stack.push_back(&inner);
    }
  }

  auto note = [&](const Dim& dim) {
    for_each_symbol(dim, [&](const std::shared_ptr<const SymbolInfo>& info) {
      if (seen.insert(info->name).second) kernel.symbols.push_back(info);
    });
  };
  for (const Buffer& buffer : kernel.buffers) {
    for (const Dim& dim : buffer.extents) note(dim);
    for (const Dim& dim : buffer.strides) note(dim);
  }
  stack = {&kernel.body};
  while (!stack.empty()) {
    const Block* block = stack.back();
    stack.pop_back();
    for (const Instruction& i : block->instructions)
      for (const Dim& dim : i.indices) note(dim);
    // Deeper blocks later, first to last: an order that depends on the text alone.
    for (auto i = block->instructions.rbegin(); i != block->instructions.rend(); ++i)
      for (auto inner = i->blocks.rbegin(); inner != i->blocks.rend(); ++inner) stack.push_back(&*inner);
  }
}

}  // namespace kiln::ir

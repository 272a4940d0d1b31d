#include "codegen/x86/emit_index.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <numeric>

namespace kiln::codegen {

using llvm::Value;

void IndexEmitter::open_scope(llvm::Instruction* hoist) {
  scopes_.emplace_back();
  scopes_.back().hoist = hoist;
}

void IndexEmitter::close_scope() { scopes_.pop_back(); }

void IndexEmitter::bind(const std::string& name, Value* value, std::int64_t divisor) {
  scopes_.back().names[name] = {{value, llvm::isa<llvm::Constant>(value) ? 0 : depth()}, divisor};
}

const IndexValue* IndexEmitter::find(std::string_view name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto it = scope->names.find(name);
    if (it != scope->names.end()) return &it->second.value;
  }
  return nullptr;
}

const IndexEmitter::Name& IndexEmitter::name(std::string_view name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto it = scope->names.find(name);
    if (it != scope->names.end()) return it->second;
  }
  throw InternalError("an index expression mentions '" + std::string(name) + "', which is not in scope");
}

Value* IndexEmitter::create(Operation operation, Value* a, Value* b, llvm::Type* element) {
  // Extents and indices fit in 63 bits (the plan has checked the sizes), so nothing wraps.
  switch (operation) {
    case Operation::add: return builder_.CreateAdd(a, b, "", false, true);
    case Operation::multiply: return builder_.CreateMul(a, b, "", false, true);
    case Operation::minimum: return builder_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, a, b);
    case Operation::maximum: return builder_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, a, b);
    case Operation::offset: return builder_.CreateGEP(element, a, b);
    default: break;
  }
  // Quotients. A divisor is positive where the value is used, but the value may be computed outside a branch or loop that never runs: no
  // trap there.
  const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(b);
  if (!constant) b = builder_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, b, m_.integer(1));
  const bool power = constant && constant->getValue().isPowerOf2();
  const bool quotient = operation == Operation::divide_signed || operation == Operation::divide_unsigned;
  if (power && quotient) return builder_.CreateAShr(a, m_.integer(constant->getValue().logBase2()));
  if (power) return builder_.CreateAnd(a, m_.integer(constant->getSExtValue() - 1));
  if (operation == Operation::divide_unsigned) return builder_.CreateUDiv(a, b);
  if (operation == Operation::modulo_unsigned) return builder_.CreateURem(a, b);
  Value* remainder = builder_.CreateSRem(a, b);
  Value* negative = builder_.CreateICmpSLT(remainder, m_.integer(0));
  if (!quotient) return builder_.CreateSelect(negative, builder_.CreateAdd(remainder, b), remainder);
  return builder_.CreateAdd(builder_.CreateSDiv(a, b), builder_.CreateSExt(negative, m_.i64));
}

IndexValue IndexEmitter::apply(Operation operation, IndexValue a, IndexValue b, llvm::Type* element) {
  const auto is = [](const IndexValue& value, std::int64_t number) {
    const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(value.value);
    return constant && constant->getSExtValue() == number;
  };
  if (operation == Operation::add && is(a, 0)) return b;
  if ((operation == Operation::add || operation == Operation::offset) && is(b, 0)) return a;
  if (operation == Operation::multiply && is(a, 1)) return b;
  if (operation == Operation::multiply && is(b, 1)) return a;
  const int at = std::max(a.depth, b.depth);
  auto& computed = scopes_[static_cast<std::size_t>(at)].computed;
  Value*& result = computed[Key{operation, a.value, b.value, element}];
  if (!result) {
    const Builder::InsertPointGuard guard(builder_);
    if (at < depth()) builder_.SetInsertPoint(scopes_[static_cast<std::size_t>(at) + 1].hoist);
    result = create(operation, a.value, b.value, element);
  }
  return {result, llvm::isa<llvm::Constant>(result) ? 0 : at};
}

IndexValue IndexEmitter::atom(const ir::DimAtom& atom) {
  using Kind = ir::DimAtom::Kind;
  if (atom.kind == Kind::symbol) return name(atom.symbol->name).value;
  const IndexValue a = evaluate(*atom.a), b = evaluate(*atom.b);
  const bool nonnegative = ir::bounds(*atom.a).min >= 0;
  switch (atom.kind) {
    case Kind::floordiv: return apply(nonnegative ? Operation::divide_unsigned : Operation::divide_signed, a, b);
    case Kind::mod: return apply(nonnegative ? Operation::modulo_unsigned : Operation::modulo_signed, a, b);
    case Kind::min: return apply(Operation::minimum, a, b);
    default: return apply(Operation::maximum, a, b);
  }
}

std::pair<std::vector<IndexValue>, std::int64_t> IndexEmitter::sorted_terms(const ir::Dim& dim) {
  std::int64_t constant = 0;
  std::vector<IndexValue> sum;
  for (const ir::DimTerm& term : ir::terms(dim)) {
    // Outer factors first, so that `stride * i` with an invariant stride is one multiplication per iteration.
    std::vector<IndexValue> factors{{m_.integer(term.coefficient), 0}};
    for (const auto& [atom_, power] : term.factors) factors.insert(factors.end(), static_cast<std::size_t>(power), atom(atom_));
    std::stable_sort(factors.begin(), factors.end(), [](const IndexValue& a, const IndexValue& b) { return a.depth < b.depth; });
    IndexValue product = factors.front();
    for (std::size_t i = 1; i < factors.size(); ++i) product = apply(Operation::multiply, product, factors[i]);
    if (const auto* number = llvm::dyn_cast<llvm::ConstantInt>(product.value))
      constant += number->getSExtValue();
    else
      sum.push_back(product);
  }
  std::stable_sort(sum.begin(), sum.end(), [](const IndexValue& a, const IndexValue& b) { return a.depth < b.depth; });
  return {std::move(sum), constant};
}

IndexValue IndexEmitter::evaluate(const ir::Dim& dim) {
  if (dim.is_constant()) return {m_.integer(dim.constant()), 0};
  const auto [sum, constant] = sorted_terms(dim);
  IndexValue total{m_.integer(0), 0};
  for (const IndexValue& term : sum) total = apply(Operation::add, total, term);
  return apply(Operation::add, total, {m_.integer(constant), 0});
}

Value* IndexEmitter::address(IndexValue base, const ir::Dim& dim, llvm::Type* type) {
  const auto [sum, constant] = sorted_terms(dim);
  // One pointer per depth: terms of one depth are summed first.
  for (std::size_t i = 0; i < sum.size();) {
    IndexValue step = sum[i];
    for (++i; i < sum.size() && sum[i].depth == step.depth; ++i) step = apply(Operation::add, step, sum[i]);
    base = apply(Operation::offset, base, step, type);
  }
  // The displacement stays at its use, where it costs nothing.
  if (constant != 0) base = apply(Operation::offset, {base.value, depth()}, {m_.integer(constant), 0}, type);
  return base.value;
}

std::int64_t IndexEmitter::divisor(const ir::Dim& dim) const {
  std::int64_t result = 0;
  for (const ir::DimTerm& term : ir::terms(dim)) {
    std::int64_t product = term.coefficient;
    for (const auto& [atom, power] : term.factors) {
      if (atom.kind != ir::DimAtom::Kind::symbol) continue;
      const std::int64_t known = name(atom.symbol->name).divisor;
      std::int64_t larger = 0;
      for (int i = 0; i < power; ++i)
        if (!__builtin_mul_overflow(product, known, &larger)) product = larger;
    }
    result = std::gcd(result, product);
  }
  return result;
}

}  // namespace kiln::codegen

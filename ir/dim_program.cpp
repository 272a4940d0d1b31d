// Compilation and evaluation of Dims on slots (ir/dim_program.h).
#include "ir/dim_program.h"

#include <algorithm>

#include "kiln/error.h"

namespace kiln::ir {

namespace {

[[noreturn]] void overflow() { throw Error(ErrorCode::out_of_memory, "a size or index does not fit in 63 bits"); }

std::int64_t checked_multiply(std::int64_t a, std::int64_t b) {
  std::int64_t result;
  if (__builtin_mul_overflow(a, b, &result)) overflow();
  return result;
}

std::int64_t checked_add(std::int64_t a, std::int64_t b) {
  std::int64_t result;
  if (__builtin_add_overflow(a, b, &result)) overflow();
  return result;
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  if (b <= 0) throw InternalError("floordiv or mod by a value that is not positive");
  const std::int64_t quotient = a / b;
  return quotient - (a % b < 0 ? 1 : 0);
}

}  // namespace

DimProgram::DimProgram(const Dim& dim, const std::function<std::uint32_t(std::string_view)>& slot_of, std::uint32_t& slot_count) {
  for (const DimTerm& term : ir::terms(dim)) {
    if (term.factors.empty()) {
      constant_ = term.coefficient;
      continue;
    }
    Term compiled{term.coefficient, static_cast<std::uint32_t>(factors_.size()), 0};
    for (const auto& [atom, power] : term.factors) {
      std::uint32_t slot;
      if (atom.kind == DimAtom::Kind::symbol) {
        slot = slot_of(atom.symbol->name);
      } else {
        Step step{atom.kind, 0, DimProgram(*atom.a, slot_of, slot_count), DimProgram(*atom.b, slot_of, slot_count)};
        slot = step.slot = slot_count++;
        steps_.push_back(std::move(step));
      }
      factors_.insert(factors_.end(), static_cast<std::size_t>(power), slot);
      compiled.factor_count += static_cast<std::uint32_t>(power);
    }
    terms_.push_back(compiled);
  }
}

std::int64_t DimProgram::evaluate_slowly(std::int64_t* slots) const {
  for (const Step& step : steps_) {
    const std::int64_t a = step.a.evaluate(slots), b = step.b.evaluate(slots);
    switch (step.kind) {
      case DimAtom::Kind::floordiv: slots[step.slot] = floor_divide(a, b); break;
      case DimAtom::Kind::mod: slots[step.slot] = a - floor_divide(a, b) * b; break;
      case DimAtom::Kind::min: slots[step.slot] = std::min(a, b); break;
      case DimAtom::Kind::max: slots[step.slot] = std::max(a, b); break;
      case DimAtom::Kind::symbol: break;
    }
  }
  std::int64_t sum = constant_;
  for (const Term& term : terms_) {
    std::int64_t product = term.coefficient;
    for (std::uint32_t k = 0; k < term.factor_count; ++k) product = checked_multiply(product, slots[factors_[term.first_factor + k]]);
    sum = checked_add(sum, product);
  }
  return sum;
}

}  // namespace kiln::ir

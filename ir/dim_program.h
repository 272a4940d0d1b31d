// A Dim compiled for repeated evaluation on an array of int64 slots: symbols, loop variables, tile coordinates and intermediate atoms each
// have one.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "ir/dim.h"

namespace kiln::ir {

/// A polynomial as a list of terms over slots; floordiv, mod, min and max atoms are computed into slots of their own first.
class DimProgram {
 public:
  DimProgram() = default;
  /// `slot_of` gives the slot of a symbol; `slot_count` is the size of the slot array so far and grows by one for each atom.
  DimProgram(const Dim& dim, const std::function<std::uint32_t(std::string_view)>& slot_of, std::uint32_t& slot_count);

  /// The value; writes the slots of atoms. Throws Error(out_of_memory) when it exceeds int64.
  std::int64_t evaluate(std::int64_t* slots) const {
    if (steps_.empty() && terms_.empty()) return constant_;
    if (steps_.empty() && terms_.size() == 1 && constant_ == 0 && terms_[0].coefficient == 1 && terms_[0].factor_count == 1)
      return slots[factors_[0]];
    return evaluate_slowly(slots);
  }
  bool is_constant() const { return steps_.empty() && terms_.empty(); }
  bool is_zero() const { return is_constant() && constant_ == 0; }

 private:
  struct Term {
    std::int64_t coefficient;
    std::uint32_t first_factor, factor_count;
  };
  struct Step;
  std::int64_t evaluate_slowly(std::int64_t* slots) const;

  std::int64_t constant_ = 0;
  std::vector<Term> terms_;
  std::vector<std::uint32_t> factors_;  // slots
  std::vector<Step> steps_;
};

struct DimProgram::Step {
  DimAtom::Kind kind;
  std::uint32_t slot;
  DimProgram a, b;
};

}  // namespace kiln::ir

// simplify: all algebraic families in one sweep, so that one family's result is seen by the others' rules at once.
#include "passes/passes.h"
#include "passes/rules.h"

namespace kiln::passes {

bool simplify(ir::Module& module) {
  std::vector<Rule> rules;
  for (std::span<const Rule> family : {arithmetic_rules(), shape_rules(), contraction_rules()})
    rules.insert(rules.end(), family.begin(), family.end());
  return apply_rules(module, rules);
}

}  // namespace kiln::passes

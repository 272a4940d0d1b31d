// The samples of the operator table as runnable cases: every op, every dtype that its entry allows, every sample, with values filled in.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/op.h"

namespace kiln::test {

struct OpCase {
  ir::Op op{};
  std::string name;  ///< "add f32 odd 3"
  ir::Sample sample;
  std::vector<ir::Type> operands;  ///< the sample's, with the dtype put in
  std::vector<Array> values;       ///< one per operand, of its type with symbols bound
  std::int64_t symbolic_extent = 5;
};

/// The value that `symbol` has in the cases: `n` is `symbolic_extent`, others are 4.
std::int64_t symbol_value(std::string_view symbol, std::int64_t symbolic_extent);
std::int64_t evaluate(const ir::Dim& dim, std::int64_t symbolic_extent);

/// All cases of an op. Values are the same in every run. Symbolic samples are bound with n = symbolic_extent.
std::vector<OpCase> op_cases(ir::Op op, std::int64_t symbolic_extent = 5);

/// A module whose main graph has the operands as parameters and holds the one node. A symbolic case has one more parameter, unused, which
/// binds the symbol.
ir::Module module_of(const OpCase& c);
/// Values of the module's parameters.
std::vector<Array> inputs_of(const OpCase& c);

/// Results of the reference interpreter.
std::vector<Array> reference(const OpCase& c);

/// "" when the arrays agree within `ulps` (0: bit for bit, any NaN equal to any NaN), else where they first differ.
std::string difference(const Array& got, const Array& wanted, double ulps);

}  // namespace kiln::test

namespace kiln::ir {

/// How GoogleTest shows an op.
void PrintTo(Op op, std::ostream* out);

}  // namespace kiln::ir

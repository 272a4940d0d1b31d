// Every case as a kernel: scheduled to loops, functions expanded to polynomials, run by the loop interpreter (which checks bounds and
// disjointness), compared with the reference. The functions' tolerance is that of their polynomials against the C library.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "ir/loop_interpreter.h"
#include "ir/loop_text.h"
#include "passes/passes.h"
#include "tests/ir/op_cases.h"

namespace kiln::test {
namespace {
using namespace ir;

std::vector<Array> run_kernel(const Kernel& kernel, const OpCase& c, bool reversed) {
  std::vector<Array> arrays = inputs_of(c);
  const std::size_t inputs = arrays.size();
  for (std::size_t i = inputs; i < kernel.buffers.size(); ++i) {
    std::vector<std::int64_t> extents;
    for (const Dim& dim : kernel.buffers[i].extents) extents.push_back(evaluate(dim, c.symbolic_extent));
    arrays.push_back(Array(kernel.buffers[i].dtype, Shape(extents)));
    std::memset(arrays.back().mutable_raw(), 0xA5, arrays.back().bytes());
  }
  std::vector<BoundBuffer> bound;
  for (Array& array : arrays) bound.push_back({array.mutable_raw()});
  std::vector<std::int64_t> symbols;
  for (const auto& symbol : kernel.symbols) symbols.push_back(symbol_value(symbol->name, c.symbolic_extent));
  (reversed ? interpret_reversed : interpret)(kernel, bound, symbols);
  for (std::size_t i = 0; i < inputs; ++i)  // an update changes its operand's buffer in place
    if (kernel.buffers[i].role == Buffer::Role::inout) return {arrays[i]};
  return {arrays.begin() + static_cast<std::ptrdiff_t>(inputs), arrays.end()};
}

class Loops : public testing::TestWithParam<Op> {};

TEST_P(Loops, KernelAgreesWithEvaluation) {
  for (const int registers : {32, 16})
    for (const std::int64_t extent : {5, 0, 40})
      for (const OpCase& c : op_cases(GetParam(), extent)) {
        if (extent != 5 && c.sample.kind != SampleClass::symbolic) continue;
        SCOPED_TRACE(fmt::format("{}, n = {}", c.name, extent));
        const Module module = module_of(c);
        Kernel kernel = passes::lower_kernel(module, module.main, {.registers = registers, .register_bytes = 2 * registers});
        passes::expand_math(kernel);
        ASSERT_NO_THROW(verify(kernel));
        const Array wanted = reference(c)[0];
        const Array got = run_kernel(kernel, c, false)[0].reshape(wanted.shape());
        ASSERT_EQ(difference(got, wanted, info(c.op).tolerance), "") << print(kernel);
        ASSERT_EQ(difference(run_kernel(kernel, c, true)[0].reshape(wanted.shape()), got, 0), "");
      }
}

/// Ops that kernels are made of.
std::vector<Op> lowered_ops() {
  std::vector<Op> ops;
  for (const Op op : all_ops())
    if (info(op).element || info(op).structured || info(op).update || info(op).ordering) ops.push_back(op);
  return ops;
}

INSTANTIATE_TEST_SUITE_P(Ops, Loops, testing::ValuesIn(lowered_ops()),
                         [](const testing::TestParamInfo<Op>& info) { return std::string(ir::info(info.param).name); });

}  // namespace
}  // namespace kiln::test

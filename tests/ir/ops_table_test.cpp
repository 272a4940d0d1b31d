// Facts about the operator table itself, and what holds for every case of every op: types, text, lowering.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "ir/interpreter.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "tests/ir/op_cases.h"
#include "tests/ir/scalar_evaluation.h"

namespace kiln::test {
namespace {
using namespace ir;

/// State, control, and what passes replace: the interpreter runs these itself, and they are no kernels.
bool handled_by_interpreter(Op op) { return info(op).evaluate == nullptr; }

TEST(OpTable, EntriesAreComplete) {
  for (const Op op : all_ops()) {
    const OpInfo& entry = info(op);
    SCOPED_TRACE(entry.name);
    EXPECT_EQ(op_from_name(entry.name), op);
    EXPECT_GT(entry.doc.size(), 10u);
    EXPECT_TRUE(entry.doc.ends_with('.'));
    EXPECT_NE(entry.infer, nullptr);
    for (const AttributeSpec& attribute : entry.attributes) EXPECT_FALSE(attribute.doc.empty()) << attribute.name;
    EXPECT_TRUE(!entry.gradient || entry.no_gradient.empty()) << "both a gradient and a reason for having none";
    if (handled_by_interpreter(op)) {
      EXPECT_EQ(entry.element, nullptr);
      EXPECT_EQ(entry.structured, nullptr);
      continue;
    }
    EXPECT_TRUE(entry.gradient || !entry.no_gradient.empty());
    const int lowerings = (entry.element != nullptr) + (entry.structured != nullptr) + (entry.update != nullptr) + (entry.ordering != nullptr);
    EXPECT_EQ(lowerings, 1) << "exactly one kind of lowering";
    EXPECT_NE(entry.samples, nullptr);
    EXPECT_EQ(entry.loop_op != LoopOp::constant, entry.element == info(Op::add).element) << "loop_op is for element_loop_op";
  }
}

TEST(OpTable, ControlAndStateAreTheOnlyOpsWithoutEvaluation) {
  std::string names;
  for (const Op op : all_ops())
    if (handled_by_interpreter(op)) names += std::string(info(op).name) + " ";
  EXPECT_EQ(names, "parameter variable assign gradients check check_finite print shrink call composite kernel cond while_loop scan tape_new tape_push tape_pop custom_call ");
}

TEST(OpTable, EveryOpHasSamplesOfEveryClass) {
  for (const Op op : all_ops()) {
    if (handled_by_interpreter(op)) continue;
    SampleClasses present;
    for (const Sample& sample : info(op).samples(op)) present.bits |= 1 << static_cast<int>(sample.kind);
    for (int c = 0; c <= static_cast<int>(SampleClass::symbolic); ++c) {
      const auto kind = static_cast<SampleClass>(c);
      EXPECT_NE(present.contains(kind), info(op).no_samples.contains(kind)) << info(op).name << ", sample class " << c;
    }
  }
}

/// A case for every dtype that an entry allows for operand 0, so that no dtype goes untested.
TEST(OpTable, EveryDTypeHasACase) {
  for (const Op op : all_ops()) {
    if (handled_by_interpreter(op)) continue;
    DTypeSet seen;
    for (const OpCase& c : op_cases(op)) {
      const Type type = c.operands.empty() ? module_of(c).main_graph().type(module_of(c).main_graph().results[0]) : c.operands[0];
      seen.bits |= 1 << static_cast<int>(type.dtype);
    }
    EXPECT_EQ(seen.bits, info(op).dtypes.bits) << info(op).name;
  }
}

class EveryCase : public testing::TestWithParam<Op> {};

TEST_P(EveryCase, InferredTypesAreThoseOfTheValues) {
  for (const std::int64_t extent : {5, 0})
    for (const OpCase& c : op_cases(GetParam(), extent)) {
      SCOPED_TRACE(c.name);
      const Module module = module_of(c);
      ASSERT_NO_THROW(verify(module));
      const std::vector<Array> results = interpret(module, inputs_of(c), {}).results;
      for (std::size_t r = 0; r < results.size(); ++r) {
        const Type& type = module.main_graph().type(module.main_graph().results[r]);
        ASSERT_EQ(results[r].dtype(), type.dtype);
        ASSERT_EQ(results[r].shape().rank(), type.rank());
        for (std::size_t d = 0; d < type.rank(); ++d) ASSERT_EQ(results[r].shape()[d], evaluate(type.dims[d], extent));
      }
    }
}

TEST_P(EveryCase, TextRoundTrip) {
  for (const OpCase& c : op_cases(GetParam())) {
    SCOPED_TRACE(c.name);
    const std::string text = print(module_of(c));
    ASSERT_EQ(print(parse(text)), text);
  }
}

/// The lowering, element by element: indices in bounds, values as the reference has them.
TEST_P(EveryCase, LoweringAgreesWithEvaluation) {
  for (const std::int64_t extent : {5, 1, 0})
    for (const OpCase& c : op_cases(GetParam(), extent)) {
      SCOPED_TRACE(fmt::format("{}, n = {}", c.name, extent));
      const std::vector<Array> wanted = reference(c);
      for (std::size_t r = 0; r < wanted.size(); ++r) ASSERT_EQ(difference(lowered(c, r), wanted[r], info(c.op).tolerance), "");
    }
}

std::vector<Op> evaluated_ops() {
  std::vector<Op> ops;
  for (const Op op : all_ops())
    if (!handled_by_interpreter(op)) ops.push_back(op);
  return ops;
}

INSTANTIATE_TEST_SUITE_P(Ops, EveryCase, testing::ValuesIn(evaluated_ops()),
                         [](const testing::TestParamInfo<Op>& info) { return std::string(ir::info(info.param).name); });

}  // namespace
}  // namespace kiln::test

// Gradients of every floating op against central differences through the reference interpreter, first and second order, and the conventions
// at kinks.
#include <gtest/gtest.h>

#include <cmath>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/interpreter.h"
#include "ir/verify.h"
#include "passes/passes.h"
#include "tests/ir/op_cases.h"

namespace kiln::test {
namespace {
using namespace ir;

bool is_f64(const Type& type) { return type.dtype == DType::f64; }

/// The floating operands, when differences mean something: all in f64, at points where the op has a derivative.
std::vector<std::size_t> differentiated_operands(const OpCase& c, const Module& module) {
  std::vector<std::size_t> operands;
  if (!c.sample.differentiable || !is_f64(module.main_graph().type(module.main_graph().results[0]))) return {};
  for (std::size_t i = 0; i < c.operands.size(); ++i) {
    if (is_f64(c.operands[i]))
      operands.push_back(i);
    else if (is_floating(c.operands[i].dtype))
      return {};
  }
  return operands;
}

Array weights(const Shape& shape) {
  Array array(DType::f64, shape);
  std::int64_t i = 0;
  for (double& w : array.mutable_data<double>()) w = std::cos(1.7 * static_cast<double>(++i)) + 0.3;
  return array;
}

double weighted_sum(const Array& values, const Array& by) {
  double sum = 0;
  for (std::int64_t i = 0; i < values.size(); ++i) sum += values.data<double>()[i] * by.data<double>()[i];
  return sum;
}

/// The op's gradients for a cotangent, which is one more parameter; `second` adds those of the gradients' weighted sum, with the weights as
/// parameters.
Module gradient_module(const OpCase& c, const std::vector<std::size_t>& operands, bool second) {
  Module module = module_of(c);
  Graph& graph = module.main_graph();
  Builder b(module, module.main);
  const ValueId y = graph.results[0];
  std::vector<ValueId> wrt;
  for (const std::size_t i : operands) wrt.push_back(graph.parameters[i]);
  std::vector<ValueId> of_y = {y, graph.add_parameter(Type(graph.type(y)), "cotangent")};
  of_y.insert(of_y.end(), wrt.begin(), wrt.end());
  const std::vector<ValueId> first = b.create_many(Op::gradients, of_y, {{"seeded", true}});
  graph.results = first;
  if (second) {
    ValueId total = b.scalar(DType::f64, 0);
    for (const ValueId g : first) {
      const ValueId weight = graph.add_parameter(Type(graph.type(g)), "weight");
      std::vector<std::int64_t> all;
      for (std::size_t d = 0; d < graph.type(g).rank(); ++d) all.push_back(static_cast<std::int64_t>(d));
      total = b.add(total, b.reduce_add(b.multiply(g, weight), all));
    }
    std::vector<ValueId> of_total = {total};
    of_total.insert(of_total.end(), wrt.begin(), wrt.end());
    graph.results = b.create_many(Op::gradients, of_total);
  }
  passes::expand_gradients(module);
  verify(module);
  return module;
}

/// Derivative of f with respect to element `i` of the values, by central differences.
template <class Function>
double difference_quotient(std::vector<Array>& inputs, std::size_t operand, std::int64_t i, Function&& f) {
  const double x = inputs[operand].data<double>()[i];
  const double h = 6e-6 * std::max(1.0, std::abs(x));
  const auto at = [&](double value) {
    inputs[operand].mutable_data<double>()[i] = value;
    return f(inputs);
  };
  const double slope = (at(x + h) - at(x - h)) / (2 * h);
  inputs[operand].mutable_data<double>()[i] = x;
  return slope;
}

/// Compares gradients with difference quotients of f at a few elements of each operand.
template <class Function>
void expect_slopes(const std::vector<Array>& gradients, std::vector<Array> inputs, const std::vector<std::size_t>& operands, Function&& f) {
  for (std::size_t k = 0; k < operands.size(); ++k) {
    const Array& gradient = gradients[k];
    ASSERT_EQ(gradient.shape(), inputs[operands[k]].shape());
    const std::int64_t step = gradient.size() / 9 + 1;
    for (std::int64_t i = 0; i < gradient.size(); i += step) {
      const double wanted = difference_quotient(inputs, operands[k], i, f);
      ASSERT_NEAR(gradient.data<double>()[i], wanted, 2e-6 * (1 + std::abs(wanted))) << "operand " << operands[k] << ", element " << i;
    }
  }
}

class Gradient : public testing::TestWithParam<Op> {};

TEST_P(Gradient, AgreesWithDifferences) {
  int checked = 0;
  for (const OpCase& c : op_cases(GetParam())) {
    const Module plain = module_of(c);
    const std::vector<std::size_t> operands = differentiated_operands(c, plain);
    if (operands.empty()) continue;
    SCOPED_TRACE(c.name);
    std::vector<Array> inputs = inputs_of(c);
    const Array cotangent = weights(interpret(plain, inputs, {}).results[0].shape());

    const Module first = gradient_module(c, operands, false);
    const auto gradients_at = [&](std::vector<Array> at) {
      at.push_back(cotangent);
      return interpret(first, at, {}).results;
    };
    const std::vector<Array> gradients = gradients_at(inputs);
    expect_slopes(gradients, inputs, operands,
                  [&](const std::vector<Array>& at) { return weighted_sum(interpret(plain, at, {}).results[0], cotangent); });

    std::vector<Array> weight;
    for (const Array& g : gradients) weight.push_back(weights(g.shape()));
    std::vector<Array> second_inputs = inputs;
    second_inputs.push_back(cotangent);
    second_inputs.insert(second_inputs.end(), weight.begin(), weight.end());
    const std::vector<Array> second = interpret(gradient_module(c, operands, true), second_inputs, {}).results;
    expect_slopes(second, inputs, operands, [&](const std::vector<Array>& at) {
      const std::vector<Array> g = gradients_at(at);
      double sum = 0;
      for (std::size_t i = 0; i < g.size(); ++i) sum += weighted_sum(g[i], weight[i]);
      return sum;
    });
    ++checked;
  }
  EXPECT_GT(checked, 0) << "no differentiable sample";
}

/// All with a gradient but stop_gradient, whose derivative is not its slope.
std::vector<Op> differentiable_ops() {
  std::vector<Op> ops;
  for (const Op op : all_ops())
    if (info(op).gradient && info(op).evaluate && op != Op::stop_gradient) ops.push_back(op);
  return ops;
}

INSTANTIATE_TEST_SUITE_P(Ops, Gradient, testing::ValuesIn(differentiable_ops()),
                         [](const testing::TestParamInfo<Op>& info) { return std::string(ir::info(info.param).name); });

/// Gradients (cotangent 1) of op at given f64 operands.
std::vector<Array> gradients_of(Op op, const std::vector<Array>& values, Attributes attributes = {}) {
  OpCase c;
  c.op = op;
  c.sample.attributes = std::move(attributes);
  c.values = values;
  std::vector<std::size_t> operands;
  for (const Array& value : values) {
    operands.push_back(c.operands.size());
    c.operands.push_back({.dtype = DType::f64, .dims = Dims(value.shape().begin(), value.shape().end())});
  }
  std::vector<Array> inputs = values;
  inputs.push_back(Array::full(DType::f64, reference(c)[0].shape(), 1));
  return interpret(gradient_module(c, operands, false), inputs, {}).results;
}

Array vector(std::initializer_list<double> values) { return Array({static_cast<std::int64_t>(values.size())}, values); }

TEST(GradientConvention, ReluIsFlatAtZero) {
  const auto g = gradients_of(Op::maximum, {vector({0, 0, 0}), vector({-1, 0, 2})});
  EXPECT_EQ(difference(g[1], vector({0, 0, 1}), 0), "");
  EXPECT_EQ(difference(g[0], vector({1, 1, 0}), 0), "");
}

TEST(GradientConvention, TiesOfMaximumAndMinimumGoToTheFirstOperand) {
  const auto g = gradients_of(Op::minimum, {vector({1, 2, 3}), vector({1, 1, 4})});
  EXPECT_EQ(difference(g[0], vector({1, 0, 1}), 0), "");
  EXPECT_EQ(difference(g[1], vector({0, 1, 0}), 0), "");
}

TEST(GradientConvention, TiesOfAReductionShareEvenly) {
  const auto g = gradients_of(Op::reduce, {vector({1, 3, 3, 2})},
                              {{"combiner", std::string("maximum")}, {"dimensions", std::vector<std::int64_t>{0}}});
  EXPECT_EQ(difference(g[0], vector({0, 0.5, 0.5, 0}), 0), "");
}

Attributes fold_along_0(const char* combiner) { return {{"combiner", std::string(combiner)}, {"dimension", std::int64_t{0}}}; }

TEST(GradientConvention, RunningExtremaGoToTheLastThatAttains) {
  const Array x = vector({1, 3, 3, 2, 4});
  EXPECT_EQ(difference(gradients_of(Op::cumulative, {x}, fold_along_0("maximum"))[0], vector({1, 1, 2, 0, 1}), 0), "");
  EXPECT_EQ(difference(gradients_of(Op::cumulative, {x}, fold_along_0("minimum"))[0], vector({5, 0, 0, 0, 0}), 0), "");
  EXPECT_EQ(difference(gradients_of(Op::cumulative, {x}, fold_along_0("maximum").with("exclusive", true))[0], vector({1, 1, 2, 0, 0}), 0), "");
  EXPECT_EQ(difference(gradients_of(Op::cumulative, {x}, fold_along_0("maximum").with("exclusive", true).with("reverse", true))[0],
                       vector({0, 0, 0, 0, 4}), 0),
            "");
}

TEST(GradientConvention, RunningProductsWithZeros) {
  // (a, ab, abc, abcd) at b = 0.
  EXPECT_EQ(difference(gradients_of(Op::cumulative, {vector({2, 0, 3, 5})}, fold_along_0("multiply"))[0], vector({1, 38, 0, 0}), 0), "");
}

TEST(GradientConvention, TiesInAWindowGoToTheFirst) {
  const auto g = gradients_of(Op::reduce_window, {vector({2, 2, 1, 1, 2})},
                              {{"combiner", std::string("maximum")}, {"window", std::vector<std::int64_t>{2}}});
  EXPECT_EQ(difference(g[0], vector({1, 1, 1, 0, 1}), 0), "");
}

TEST(GradientConvention, ProductsOfWindowsWithZeros) {
  const auto g = gradients_of(Op::reduce_window, {vector({2, 0, 0, 3, 5})},
                              {{"combiner", std::string("multiply")}, {"window", std::vector<std::int64_t>{2}}});
  EXPECT_EQ(difference(g[0], vector({0, 2, 3, 5, 3}), 0), "");
}

TEST(GradientConvention, ClampPassesAtItsBounds) {
  const auto g = gradients_of(Op::clamp, {Array(-1.0), vector({-2, -1, 0, 1, 2}), Array(1.0)});
  EXPECT_EQ(difference(g[1], vector({0, 1, 1, 1, 0}), 0), "");
  EXPECT_EQ(g[0].item<double>(), 1);
  EXPECT_EQ(g[2].item<double>(), 1);
}

TEST(GradientConvention, PowersOfZero) {
  const auto g = gradients_of(Op::power, {vector({0, 0, 0, 2}), vector({2, 1, 0, 0})});
  EXPECT_EQ(difference(g[0], vector({0, 1, 0, 0}), 0), "");
  EXPECT_EQ(difference(g[1], vector({0, 0, 0, std::log(2.0)}), 1), "");
}

TEST(GradientConvention, ProductsWithZeros) {
  const auto product = [](const Array& x) {
    return gradients_of(Op::reduce, {x}, {{"combiner", std::string("multiply")}, {"dimensions", std::vector<std::int64_t>{0}}})[0];
  };
  EXPECT_EQ(difference(product(vector({2, 3, 4})), vector({12, 8, 6}), 0), "");
  EXPECT_EQ(difference(product(vector({2, 0, 4})), vector({0, 8, 0}), 0), "");
  EXPECT_EQ(difference(product(vector({0, 0, 4})), vector({0, 0, 0}), 0), "");
}

TEST(GradientConvention, NothingFlowsThroughStopGradient) {
  EXPECT_EQ(difference(gradients_of(Op::stop_gradient, {vector({1, 2})})[0], vector({0, 0}), 0), "");
}

}  // namespace
}  // namespace kiln::test

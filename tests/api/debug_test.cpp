// print and check_finite.
#include <functional>
#include <limits>
#include <stdexcept>

#include "api_test.h"

using namespace kiln;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

struct Printed {
  std::vector<std::string> lines;
  SessionOptions options() {
    SessionOptions result = test::options();
    result.print = [this](std::string_view line) { lines.emplace_back(line); };
    return result;
  }
};

TEST(Print, ShowsValuesInTheOrderOfTheProgram) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {Dim("n"), 2});
  const Tensor y = x * 2;
  const Operation first = print(y, "twice");
  const Tensor z = reduce_sum(y, 0);
  const Operation second = print(z, "columns"), third = print(greater(z, 3), "more than 3"), fourth = print(x, "fed");
  Printed printed;
  Session session(graph, printed.options());
  session.run({third, fourth, first, second}, {{x, Array({2, 2}, {0.5F, 1.0F, 1.5F, 2.0F})}});
  EXPECT_EQ(printed.lines,
            (std::vector<std::string>{
                "twice: " + to_string(Array({2, 2}, {1.0F, 2.0F, 3.0F, 4.0F})), "columns: " + to_string(Array({2}, {4.0F, 6.0F})),
                "more than 3: " + to_string(Array({2}, {true, true})), "fed: " + to_string(Array({2, 2}, {0.5F, 1.0F, 1.5F, 2.0F}))}));
  printed.lines.clear();
  session.run({z, first}, {{x, Array::full(f32, Shape{0, 2}, 0)}});
  EXPECT_EQ(printed.lines, std::vector<std::string>{"twice: " + to_string(Array::full(f32, Shape{0, 2}, 0))});
}

TEST(Print, NotFetchedIsNotShown) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {});
  const Tensor y = x + 1;
  print(y, "y");
  Printed printed;
  Session session(graph, printed.options());
  EXPECT_EQ(session.run(y, {{x, Array(1.0F)}}).item<float>(), 2);
  EXPECT_TRUE(printed.lines.empty());
}

TEST(Print, LongValuesAreAbbreviatedOnOneLine) {
  Graph graph;
  const Tensor x = graph.range(i32, 2000);
  const Tensor rows = reshape(x, {40, 50});
  Printed printed;
  Session session(graph, printed.options());
  session.run({print(x, "x"), print(rows, "rows")});
  ASSERT_EQ(printed.lines.size(), 2u);
  for (const std::string& line : printed.lines) {
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    EXPECT_NE(line.find("..."), std::string::npos) << line;
    EXPECT_LT(line.size(), 300u) << line;
  }
}

TEST(Print, InLoopsShowsEveryIteration) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {});
  const auto last = while_loop([](const auto& v) { return less(v[0], 20); },
                               [](const auto& v) {
                                 print(v[0], "now");
                                 return std::vector{v[0] * 2};
                               },
                               {x});
  const Tensor slope = gradients(last[0], {x})[0];
  Printed printed;
  Session session(graph, printed.options());
  EXPECT_EQ(session.run({last[0], slope}, {{x, Array(3.0F)}})[1].item<float>(), 8);
  EXPECT_EQ(printed.lines, (std::vector<std::string>{"now: " + to_string(Array(3.0F)), "now: " + to_string(Array(6.0F)),
                                                     "now: " + to_string(Array(12.0F))}));
}

TEST(Print, ProducedExtents) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {Dim("n")});
  const Tensor positive = boolean_mask(x, greater(x, 0));
  const Tensor twice = concatenate({positive, positive}, 0);
  Printed printed;
  Session session(graph, printed.options());
  session.run({print(positive, "positive"), print(twice, "twice")}, {{x, Array({4}, {1.0F, -1.0F, 2.0F, -3.0F})}});
  EXPECT_EQ(printed.lines, (std::vector<std::string>{"positive: " + to_string(Array({2}, {1.0F, 2.0F})),
                                                     "twice: " + to_string(Array({4}, {1.0F, 2.0F, 1.0F, 2.0F}))}));
}

TEST(Print, WhatTheReceiverThrowsEndsTheRun) {
  Graph graph;
  const Variable v = graph.variable("v", Array(1.0F));
  const Operation step = group({assign(v, v + 1), print(v, "v")});
  SessionOptions options = test::options();
  options.print = [](std::string_view) { throw std::runtime_error("full"); };
  Session session(graph, options);
  session.initialize();
  EXPECT_THROW(session.run({step}), std::runtime_error);
  EXPECT_EQ(session.value(v).item<float>(), 1);
}

// ---- check_finite

/// The message of the Error that `run` throws, and its line in this file.
struct Blamed {
  std::string message;
  std::uint32_t line = 0;
};
Blamed blamed(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::check_failed) << error.what();
    return {error.message(), error.where().line};
  }
  ADD_FAILURE() << "no error";
  return {};
}

TEST(CheckFinite, NamesTheFirstOperation) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {Dim("n")});
  const Tensor shifted = x + 1;
  const std::uint32_t line = __LINE__ + 1;
  const Tensor y = log(shifted);
  const Tensor z = reduce_sum(kiln::exp(y) * y - y);
  const Operation checked = check_finite(z);
  Session session(graph, test::options());
  EXPECT_NO_THROW(session.run({z, checked}, {{x, Array({2}, {0.0F, 1.0F})}}));
  const Blamed blame = blamed([&] { session.run({z, checked}, {{x, Array({3}, {0.0F, -1.0F, 1.0F})}}); });
  EXPECT_EQ(blame.message, "log makes NaN or an infinity out of finite values; its result is f32[n]");
  EXPECT_EQ(blame.line, line);
  // Not fetched, not checked.
  EXPECT_TRUE(std::isnan(session.run(z, {{x, Array({1}, {-2.0F})}}).item<float>()));
}

TEST(CheckFinite, GradientsAreLookedAt) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {2});
  const std::uint32_t line = __LINE__ + 1;
  const Tensor y = sqrt(x);
  const Tensor slope = gradients(reduce_sum(y), {x})[0];
  const Operation value = check_finite(y), derivative = check_finite(slope);
  Session session(graph, test::options());
  const Array with_zero({2}, {0.0F, 1.0F});
  const std::vector<Feed> zero{{x, with_zero}};
  EXPECT_NO_THROW(session.run({value}, zero));
  EXPECT_EQ(blamed([&] { session.run({derivative}, zero); }).line, line);
}

TEST(CheckFinite, InfinitiesOnTheWayAreFine) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {3});
  const Tensor scores = select(greater(x, 0), x, -infinity);
  const Tensor y = softmax(scores);
  Session session(graph, test::options());
  EXPECT_NO_THROW(session.run({check_finite(y)}, {{x, Array({3}, {1.0F, -1.0F, 2.0F})}}));
  // All masked: the first operation that is given finite values is to blame, not the mask.
  EXPECT_THROW(session.run({check_finite(y)}, {{x, Array({3}, {-1.0F, -1.0F, -2.0F})}}), Error);
}

TEST(CheckFinite, FeedsAndVariables) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {2});
  const Variable v = graph.variable("v", Array(1.0F));
  const Tensor y = x * v + 1;
  const Operation checked = check_finite(y);
  Session session(graph, test::options());
  session.initialize();
  EXPECT_EQ(blamed([&] { session.run({checked}, {{x, Array({2}, {0.0F, nan})}}); }).message,
            "the value fed for 'x' holds NaN or an infinity");
  session.set_value(v, Array(infinity));
  EXPECT_EQ(blamed([&] { session.run({checked}, {{x, Array({2}, {1.0F, 2.0F})}}); }).message, "the variable 'v' holds NaN or an infinity");
}

TEST(CheckFinite, LoopsAreOneOperationFromOutside) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {});
  const auto outside = while_loop([](const auto& v) { return less(v[1], 8); },
                                  [](const auto& v) { return std::vector{v[0] * v[0], v[1] + 1}; }, {x, graph.constant(Array(0.0F))});
  std::uint32_t line = 0;
  const auto inside = while_loop([](const auto& v) { return less(v[1], 8); },
                                 [&](const auto& v) {
                                   line = __LINE__ + 1;
                                   const Tensor next = v[0] * v[0];
                                   check_finite(next);
                                   return std::vector{next, v[1] + 1};
                                 },
                                 {x, graph.constant(Array(0.0F))});
  Session session(graph, test::options());
  const Array much(1e10F);
  const std::vector<Feed> large{{x, much}};
  EXPECT_EQ(blamed([&] { session.run({check_finite(outside[0])}, large); }).message,
            "while_loop makes NaN or an infinity out of finite values; its result is f32[]");
  const Blamed blame = blamed([&] { session.run({inside[0]}, large); });
  EXPECT_EQ(blame.message, "multiply makes NaN or an infinity out of finite values; its result is f32[]");
  EXPECT_EQ(blame.line, line);
}

TEST(CheckFinite, OptionChecksWhatRunsReturnAndAssign) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {});
  const Variable v = graph.variable("v", Array(2.0F));
  const Tensor y = v / x;
  const Operation step = assign(v, y);
  SessionOptions options = test::options();
  options.check_finite = true;
  Session session(graph, options);
  session.initialize();
  EXPECT_NO_THROW(session.run({y}, {{x, Array(2.0F)}}));
  EXPECT_EQ(blamed([&] { session.run({y}, {{x, Array(0.0F)}}); }).message,
            "divide makes NaN or an infinity out of finite values; its result is f32[]");
  EXPECT_THROW(session.run({step}, {{x, Array(0.0F)}}), Error);
  EXPECT_EQ(session.value(v).item<float>(), 2);
  session.run({step}, {{x, Array(4.0F)}});
  EXPECT_EQ(session.value(v).item<float>(), 0.5);
}

}  // namespace

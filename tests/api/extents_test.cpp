// Extents of which only the run can say whether they are equal.
#include <functional>

#include "api_test.h"

using namespace kiln;

namespace {

struct Refused {
  std::string message;
  std::uint32_t line = 0;
};
Refused refused(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::shape_mismatch) << error.what();
    return {error.message(), error.where().line};
  }
  ADD_FAILURE() << "no error";
  return {};
}

Array counted(const Shape& shape) {
  std::vector<double> values(static_cast<std::size_t>(shape.size()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  return Array(shape, values).convert(f32);
}

TEST(Extents, ElementwiseTakesTheFirstExtent) {
  Graph graph;
  const Tensor a = graph.placeholder("a", f32, {Dim("n"), 3}), b = graph.placeholder("b", f32, {Dim("m"), 3});
  const std::uint32_t line = __LINE__ + 1;
  const Tensor c = a + b;
  EXPECT_EQ(to_string(c), "f32[n, 3]");
  const Tensor d = reduce_sum(c * a);
  const std::vector<Tensor> slopes = gradients(d, {a, b});
  EXPECT_EQ(to_string(slopes[1]), "f32[m, 3]");
  Session session(graph, test::options());
  const std::vector<Array> out = session.run({c, slopes[0], slopes[1]}, {{a, counted({2, 3})}, {b, counted({2, 3})}});
  test::expect_near(out[0], Array({2, 3}, {0.0F, 2.0F, 4.0F, 6.0F, 8.0F, 10.0F}), 0);
  test::expect_near(out[1], Array({2, 3}, {0.0F, 3.0F, 6.0F, 9.0F, 12.0F, 15.0F}), 0);
  test::expect_near(out[2], counted({2, 3}), 0);
  const Refused refusal = refused([&] { session.run(c, {{a, counted({2, 3})}, {b, counted({4, 3})}}); });
  EXPECT_EQ(refusal.message,
            "operator +: shapes do not fit together: f32[n, 3] and f32[m, 3] (extents n and m differ) (2 and 4 in this run)");
  EXPECT_EQ(refusal.line, line);
  // An extent of 1 that is not written as one is not repeated.
  EXPECT_THROW(session.run(c, {{a, counted({2, 3})}, {b, counted({1, 3})}}), Error);
  EXPECT_EQ(session.run(c, {{a, counted({0, 3})}, {b, counted({0, 3})}}).size(), 0);
}

TEST(Extents, NumbersAndExpressions) {
  Graph graph;
  const Dim n("n"), m("m");
  const Tensor a = graph.placeholder("a", f32, {n}), b = graph.placeholder("b", f32, {2 * m}), m_values = graph.placeholder("c", f32, {m});
  const Tensor fixed = a * graph.constant(counted({4})), doubled = a + b;
  Session session(graph, test::options());
  EXPECT_EQ(session.run(fixed, {{a, counted({4})}}).size(), 4);
  EXPECT_THROW(session.run(fixed, {{a, counted({5})}}), Error);
  const Array sum = session.run(doubled, {{a, counted({6})}, {b, counted({6})}, {m_values, counted({3})}});
  test::expect_near(sum, Array({6}, {0.0F, 2.0F, 4.0F, 6.0F, 8.0F, 10.0F}), 0);
  EXPECT_THROW(session.run(doubled, {{a, counted({5})}, {b, counted({6})}, {m_values, counted({3})}}), Error);
}

TEST(Extents, ContractionsAndConcatenation) {
  Graph graph;
  const Tensor a = graph.placeholder("a", f32, {3, Dim("n")}), b = graph.placeholder("b", f32, {Dim("m"), 5});
  const Tensor product = matmul(a, b);
  const std::vector<Tensor> slopes = gradients(reduce_sum(square(product)), {a, b});
  const Tensor rows = graph.placeholder("rows", f32, {7, Dim("k")});
  const Tensor joined = concatenate({a, rows}, 0);
  EXPECT_EQ(to_string(joined), "f32[10, n]");
  Session session(graph, test::options()), reference(graph, test::reference_options());
  for (const std::int64_t n : {1, 4, 33}) {
    const Array left = test::random_array(f32, {3, n}), right = test::random_array(f32, {n, 5});
    const std::vector<Feed> feeds{{a, left}, {b, right}};
    const std::vector<Key> fetches{product, slopes[0], slopes[1]};
    const std::vector<Array> out = session.run(fetches, feeds), expected = reference.run(fetches, feeds);
    for (std::size_t i = 0; i < out.size(); ++i) test::expect_near(out[i], expected[i], 1e-5);
  }
  EXPECT_THROW(session.run(product, {{a, counted({3, 4})}, {b, counted({5, 5})}}), Error);
  const Array both = session.run(joined, {{a, counted({3, 2})}, {rows, counted({7, 2})}});
  EXPECT_EQ(element_as_double(both, 6), 0);
  EXPECT_EQ(element_as_double(both, 19), 13);
  EXPECT_THROW(session.run(joined, {{a, counted({3, 2})}, {rows, counted({7, 3})}}), Error);
}

TEST(Extents, ReshapeAndAssign) {
  Graph graph;
  const Dim n("n"), m("m");
  const Tensor x = graph.placeholder("x", f32, {n, 4}), like = graph.placeholder("like", f32, {m});
  const Tensor y = reshape(x, {m, 2});
  const Tensor z = transpose(y + 1);
  const Variable v = graph.variable("v", Array::full(f32, Shape{3}, 0));
  const Tensor update = graph.placeholder("update", f32, {Dim("k")});
  const Operation step = assign(v, update * 2);
  Session session(graph, test::options());
  session.initialize();
  const Array turned = session.run(z, {{x, counted({2, 4})}, {like, counted({4})}});
  test::expect_near(turned, Array({2, 4}, {1.0F, 3.0F, 5.0F, 7.0F, 2.0F, 4.0F, 6.0F, 8.0F}), 0);
  EXPECT_THROW(session.run(z, {{x, counted({2, 4})}, {like, counted({5})}}), Error);
  session.run({step}, {{update, counted({3})}});
  test::expect_near(session.value(v), Array({3}, {0.0F, 2.0F, 4.0F}), 0);
  EXPECT_THROW(session.run({step}, {{update, counted({4})}}), Error);
}

TEST(Extents, InLoops) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {Dim("n")}), y = graph.placeholder("y", f32, {Dim("m")});
  const auto last =
      while_loop([](const auto& v) { return less(reduce_sum(v[0]), 100); }, [&](const auto& v) { return std::vector{v[0] + y}; }, {x});
  Session session(graph, test::options());
  test::expect_near(session.run(last[0], {{x, counted({2})}, {y, Array({2}, {50.0F, 50.0F})}}), Array({2}, {50.0F, 51.0F}), 0);
  EXPECT_THROW(session.run(last[0], {{x, counted({2})}, {y, counted({3})}}), Error);
}

TEST(Extents, WhatIsNotNeededIsNotChecked) {
  Graph graph;
  const Tensor a = graph.placeholder("a", f32, {Dim("n")}), b = graph.placeholder("b", f32, {Dim("m")});
  const Tensor sum = a + b, alone = a * 2;
  (void)sum;
  Session session(graph, test::options());
  EXPECT_NO_THROW(session.run(alone, {{a, counted({2})}, {b, counted({3})}}));
}

TEST(Extents, WhatIsEqualWithoutElementsAloneIsRefused) {
  Graph graph;
  const Dim n("n");
  const Tensor x = graph.placeholder("x", f32, {n}), y = graph.placeholder("y", f32, {2 * n});
  EXPECT_THROW(x + y, Error);
  EXPECT_THROW(reshape(y, {n, 3}), Error);
}

TEST(Extents, ProducedOnesAreNotKnownBeforeTheRun) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {Dim("n")});
  const Tensor found = boolean_mask(x, greater(x, 0));
  EXPECT_THROW(found + x, Error);
}

}  // namespace

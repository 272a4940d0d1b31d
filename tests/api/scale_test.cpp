// Size: building is linear, and nothing recurses over the depth of a graph.
#include <chrono>

#include "api_test.h"

using namespace kiln;

namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(Scale, AMillionNodesBuildPrintAndRunInSlices) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {4});
  Tensor y = x, early;
  double first = 0, second = 0;
  first = seconds_of([&] {
    for (int i = 0; i < 500000; ++i) {
      y = y + x;
      if (i == 99) early = y;
    }
  });
  second = seconds_of([&] {
    for (int i = 0; i < 500000; ++i) y = y * x;
  });
  // Linear: the second half takes no longer than the first, but for noise.
  EXPECT_LT(second, 3 * first + 1);
  EXPECT_LT(first + second, 20);
  const std::string text = graph.text();
  EXPECT_GT(text.size(), 20u * 1000 * 1000);
  Session session(graph, test::options());
  const Array out = session.run(early, {{x, Array({4}, {1.0f, 2.0f, 3.0f, 4.0f})}});
  EXPECT_EQ(out.at<float>({3}), 404.0f);
}

TEST(Scale, GradientOfADeepChain) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {});
  Tensor y = x;
  for (int i = 0; i < 100000; ++i) y = y * 1.00001;
  const Tensor gradient = gradients(y, {x})[0];
  Session session(graph, test::reference_options());
  EXPECT_NEAR(session.run(gradient, {{x, Array(1.0)}}).item<double>(), std::pow(1.00001, 100000), 1e-9);
}

}  // namespace

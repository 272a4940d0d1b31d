// Compiling deep networks: equal layers share their kernels, and time grows with depth and no faster.
#include <gtest/gtest.h>

#include <ctime>

#include "kiln/kiln.h"

namespace {

using namespace kiln;

struct DeepStep {
  Graph graph;
  Tensor x, y, loss;
  Operation step;
};

DeepStep deep_step(int layers) {
  DeepStep s;
  Dim batch("batch");
  s.x = s.graph.placeholder("x", f32, {batch, 32});
  s.y = s.graph.placeholder("y", f32, {batch, 32});
  nn::Sequential model;
  for (int i = 0; i < layers; ++i) {
    model.append(nn::Linear(32, 32));
    model.append(nn::ReLU());
  }
  s.loss = nn::MSELoss()(model(s.x), s.y);
  s.step = SGD({.lr = 1e-3}).minimize(s.loss);
  return s;
}

SessionOptions uncached() {
  SessionOptions options;
  options.cache_folder = "";
  return options;
}

/// Processor seconds of building and compiling the training step.
double compile_seconds(int layers) {
  const std::clock_t start = std::clock();
  DeepStep s = deep_step(layers);
  Session session(s.graph, uncached());
  session.prepare({s.loss, s.step}, {s.x, s.y});
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

TEST(DeepNetwork, EqualLayersShareTheirKernels) {
  const auto kernels = [](int layers) {
    DeepStep s = deep_step(layers);
    const std::vector<Key> fetches{s.loss, s.step}, feeds{s.x, s.y};
    const std::string text = program_text(s.graph, fetches, feeds, {.after_pass = "program"});
    std::size_t count = 0;
    for (std::size_t at = text.find("\nkernel @"); at != std::string::npos; at = text.find("\nkernel @", at + 1)) ++count;
    return count;
  };
  const std::size_t few = kernels(8);
  EXPECT_GE(few, 4U);
  EXPECT_LE(few, 12U);
  EXPECT_EQ(kernels(200), few);
}

TEST(DeepNetwork, CompileTimeIsLinearInDepth) {
  compile_seconds(8);
  // What does not depend on depth (the kernels themselves) is in both and cancels out in the difference.
  const double base = compile_seconds(8), shallow = compile_seconds(250) - base, deep = compile_seconds(2000) - base;
  std::printf("250 layers: %.2f s, 2000 layers: %.2f s of processor time\n", shallow + base, deep + base);
  // 8 times as deep: linear is 8, quadratic 64; caches and allocators cost a part.
  EXPECT_LE(deep, 20 * shallow);
}

TEST(DeepNetwork, TwoThousandLayersTrain) {
  DeepStep s = deep_step(2000);
  Session session(s.graph, uncached());
  session.initialize();
  const Array x = Array::full(f32, {4, 32}, 0.5), y = Array::full(f32, {4, 32}, 0.25);
  const float first = session.run({s.loss, s.step}, {{s.x, x}, {s.y, y}})[0].item<float>();
  const float second = session.run({s.loss, s.step}, {{s.x, x}, {s.y, y}})[0].item<float>();
  EXPECT_LT(second, first);
}

}  // namespace

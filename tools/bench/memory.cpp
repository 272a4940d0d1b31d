// A training step under a memory limit: a transformer with the proportions of a GPT, with and without SessionOptions::memory_limit.
//
//   kiln_memory_bench [layers width time batch part]
//
// Prints what both need and how long they take, from rounds in which they take turns, so that a busy machine slows both. What a limit costs
// is the arithmetic of the parts that are computed again, less what smaller memory gains in caches and page faults.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kiln/kiln.h"

using namespace kiln;

namespace {

constexpr int rounds = 7;

class Block : public nn::Module {
 public:
  explicit Block(std::int64_t width)
      : ln_1_(add("ln_1", nn::LayerNorm(width))),
        attn_(add("attn", nn::MultiheadAttention(width, std::max<std::int64_t>(1, width / 32), {.batch_first = true}))),
        ln_2_(add("ln_2", nn::LayerNorm(width))),
        mlp_(add("mlp", nn::Sequential(nn::Linear(width, 4 * width), nn::GELU(), nn::Linear(4 * width, width)))) {}

 private:
  Tensor forward(const Tensor& input) override {
    const Tensor normed = ln_1_(input);
    const Tensor x = input + attn_(normed, normed, normed, {.causal = true});
    return x + mlp_(ln_2_(x));
  }
  nn::LayerNorm ln_1_;
  nn::MultiheadAttention attn_;
  nn::LayerNorm ln_2_;
  nn::Sequential mlp_;
};

double seconds_of(const Callable& step, const Array& x, const Array& y) {
  const auto start = std::chrono::steady_clock::now();
  step({x, y});
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Array noise(const Shape& shape, std::uint32_t state) {
  Array result(f32, shape);
  for (float& value : result.mutable_data<float>()) {
    state = state * 1664525 + 1013904223;
    value = static_cast<float>(state >> 8) / (1 << 23) - 1;
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, double otherwise) { return argc > i ? std::atof(argv[i]) : otherwise; };
  const int layers = static_cast<int>(argument(1, 24));
  const auto width = static_cast<std::int64_t>(argument(2, 128)), time = static_cast<std::int64_t>(argument(3, 128)),
             batch = static_cast<std::int64_t>(argument(4, 8));
  const double part = argument(5, 0.6);

  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {batch, time, width}), y = graph.placeholder("y", f32, {batch, time, width});
  nn::ModuleList<Block> blocks(layers, [&](int) { return Block(width); });
  Tensor h = x;
  for (Block& block : blocks) h = block(h);
  const Tensor loss = reduce_mean(square(h - y));
  const Operation step = Adam({.lr = 1e-3}).minimize(loss);

  // The figure without a limit, of a program that is compiled with one that does not bind.
  unsigned long long all = 0;
  const std::string text = program_text(graph, {loss, step}, {x, y}, {.memory_limit = std::uint64_t{1} << 60});
  std::sscanf(text.c_str() + text.find(" needed "), " needed %llu", &all);
  Session free(graph), limited(graph, {.memory_limit = static_cast<std::uint64_t>(part * static_cast<double>(all))});
  std::printf("%s\n%s\n", free.memory_report({loss, step}, {x, y}).c_str(), limited.memory_report({loss, step}, {x, y}).c_str());
  for (Session* session : {&free, &limited}) session->initialize();
  const Callable free_step = free.callable({loss, step}, {x, y}), limited_step = limited.callable({loss, step}, {x, y});
  const Array x_value = noise({batch, time, width}, 1), y_value = noise({batch, time, width}, 2);
  std::vector<double> free_seconds, limited_seconds;
  for (int i = 0; i <= rounds; ++i) {
    const double a = seconds_of(free_step, x_value, y_value), b = seconds_of(limited_step, x_value, y_value);
    if (i == 0) continue;  // page faults
    free_seconds.push_back(a);
    limited_seconds.push_back(b);
  }
  std::printf("%.1f ms a step without a limit, %.1f ms with it: %.3f times as long\n", 1e3 * median(free_seconds),
              1e3 * median(limited_seconds), median(limited_seconds) / median(free_seconds));
}

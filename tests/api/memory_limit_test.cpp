// SessionOptions::memory_limit: parts of the forward pass are computed again, results stay what they are.
#include <cstring>
#include <regex>

#include "api_test.h"

using namespace kiln;

namespace {

struct Needed {
  std::uint64_t needed = 0, without = 0;
  int permille = 0, parts = 0;
};

/// What the program says of itself.
Needed needed(const Graph& graph, ListRef<Key> fetches, ListRef<Key> feeds, std::uint64_t limit) {
  const std::string text = program_text(graph, fetches, feeds, {.memory_limit = limit});
  std::smatch match;
  EXPECT_TRUE(std::regex_search(text, match, std::regex("memory limit \\d+ needed (\\d+) without (\\d+) extra (\\d+)\n"))) << text;
  Needed result{std::stoull(match[1]), std::stoull(match[2]), std::stoi(match[3]), 0};
  for (std::size_t at = 0; (at = text.find("\n  recomputed ", at)) != std::string::npos; ++at) ++result.parts;
  return result;
}

constexpr std::uint64_t no_limit = std::uint64_t{1} << 50;

/// A stack of equal layers with a residual stream, and a step of Adam.
struct Network {
  Network(const Dim& batch, int layers, double dropout_rate) {
    x = graph.placeholder("x", f32, {batch, width});
    y = graph.placeholder("y", f32, {batch, width});
    Tensor h = x;
    for (int i = 0; i < layers; ++i) {
      const std::string name = "layer" + std::to_string(i);
      const Variable up = graph.variable(name + ".up", random_normal(f32, {width, 4 * width}, {.stddev = 0.1}));
      const Variable down = graph.variable(name + ".down", random_normal(f32, {4 * width, width}, {.stddev = 0.1}));
      const Variable gain = graph.variable(name + ".gain", ones(f32, {width}));
      Tensor inner = gelu(matmul(kiln::tanh(h * gain), up));
      if (dropout_rate > 0) inner = dropout(inner, dropout_rate);
      h = h + matmul(inner, down);
      middle.push_back(h);
    }
    loss = reduce_mean(square(h - y));
    step = Adam({.lr = 1e-2}).minimize(loss);
  }
  static constexpr std::int64_t width = 16;
  Graph graph;
  Tensor x, y, loss;
  std::vector<Tensor> middle;
  Operation step;
};

Array data(std::int64_t batch, unsigned seed) { return test::random_array(f32, {batch, Network::width}, -1, 1, seed); }

void expect_same_bits(const Array& a, const Array& b, const std::string& what) {
  ASSERT_EQ(to_string(a.shape()), to_string(b.shape())) << what;
  EXPECT_EQ(a.bytes() == 0 ? 0 : std::memcmp(a.raw(), b.raw(), a.bytes()), 0) << what;
}

void expect_same_variables(const Session& a, const Session& b) {
  for (const VariableInfo& variable : a.variables()) expect_same_bits(a.value(variable.name), b.value(variable.name), variable.name);
}

SessionOptions limited(std::uint64_t bytes) {
  SessionOptions options = test::options();
  options.memory_limit = bytes;
  return options;
}

/// Steps with and without a limit of this part of what is needed have equal bits.
void expect_same_steps(Network& network, double part) {
  const std::vector<Key> fetches{network.loss, network.step}, feeds{network.x, network.y};
  const Needed all = needed(network.graph, fetches, feeds, no_limit);
  EXPECT_EQ(all.needed, all.without);
  EXPECT_EQ(all.parts, 0);
  const auto limit = static_cast<std::uint64_t>(part * static_cast<double>(all.needed));
  const Needed less = needed(network.graph, fetches, feeds, limit);
  EXPECT_LE(less.needed, limit);
  EXPECT_EQ(less.without, all.needed);
  EXPECT_GT(less.parts, 0);
  EXPECT_GT(less.permille, 0);
  EXPECT_LE(less.permille, 334);  // one more forward pass of three

  Session free(network.graph, test::options()), tight(network.graph, limited(limit));
  free.initialize();
  tight.initialize();
  for (unsigned i = 0; i < 3; ++i) {
    const Array inputs = data(128, 2 * i), targets = data(128, 2 * i + 1);
    const std::vector<Feed> values{{network.x, inputs}, {network.y, targets}};
    expect_same_bits(free.run(fetches, values)[0], tight.run(fetches, values)[0], "loss");
  }
  expect_same_variables(free, tight);
}

TEST(MemoryLimit, StepsHaveEqualBits) {
  Network network(128, 12, 0);
  expect_same_steps(network, 0.6);
}

TEST(MemoryLimit, RandomNumbersAreDrawnAgain) {
  Network network(128, 12, 0.25);
  expect_same_steps(network, 0.6);
}

TEST(MemoryLimit, TheLeastPossibleIsSaidWhenItIsTooMuch) {
  if (test::options().engine == Engine::reference) GTEST_SKIP() << "the reference engine keeps values for as long as it likes";
  Network network(128, 12, 0);
  Session session(network.graph, limited(300'000));
  try {
    session.prepare({network.loss, network.step}, {network.x, network.y});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    EXPECT_TRUE(
        std::regex_search(error.message(), std::regex("needs \\d+ bytes for variables and intermediate values, and the session's memory "
                                                      "limit is 300000 bytes; computing \\d+ parts? of the forward pass again brings "
                                                      "it down to \\d+ bytes at best")))
        << error.message();
    EXPECT_NE(std::string(error.where().file).find("memory_limit_test.cpp"), std::string::npos);
  }
}

TEST(MemoryLimit, NothingToComputeAgain) {
  if (test::options().engine == Engine::reference) GTEST_SKIP() << "the reference engine keeps values for as long as it likes";
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {512, 512});
  const Tensor y = matmul(matmul(x, x), x);
  Session session(graph, limited(100'000));
  try {
    session.run(y, {{x, data(1, 1)}});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    EXPECT_NE(error.message().find("it has no forward pass of which parts could be computed again"), std::string::npos) << error.message();
  }
}

TEST(MemoryLimit, ReportNamesTheLines) {
  if (test::options().engine == Engine::reference) GTEST_SKIP() << "the reference engine plans no memory";
  Network network(128, 12, 0);
  const std::vector<Key> fetches{network.loss, network.step}, feeds{network.x, network.y};
  const std::uint64_t all = needed(network.graph, fetches, feeds, no_limit).needed;
  Session session(network.graph, limited(all * 6 / 10));
  const std::string report = session.memory_report(fetches, feeds);
  EXPECT_TRUE(std::regex_search(
      report, std::regex("^memory limit [0-9.]+ MB, needed [0-9.]+ MB, without recomputation [0-9.]+ MB\n"
                         "computed again instead of kept: \\d+ parts? of the forward pass, about [0-9.]+ % more arithmetic\n"
                         "  \\d+ operations, .*memory_limit_test.cpp:\\d+")))
      << report;
  Session free(network.graph, test::options());
  EXPECT_TRUE(std::regex_search(free.memory_report(fetches, feeds),
                                std::regex("^no memory limit; variables [0-9.]+ MB, intermediate values [0-9.]+ MB\n$")));
}

TEST(MemoryLimit, LargerFeedsAreCompiledForAnew) {
  Network network(Dim("batch", {.typical = 8}), 12, 0.25);
  const std::vector<Key> fetches{network.loss, network.step}, feeds{network.x, network.y};
  Network fixed(256, 12, 0.25);
  const std::uint64_t limit = needed(fixed.graph, {fixed.loss, fixed.step}, {fixed.x, fixed.y}, no_limit).needed * 7 / 10;
  Session free(network.graph, test::options()), tight(network.graph, limited(limit));
  free.initialize();
  tight.initialize();
  for (const std::int64_t batch : {8, 256, 8, 200, 256}) {
    const Array inputs = data(batch, 1), targets = data(batch, 2);
    const std::vector<Feed> values{{network.x, inputs}, {network.y, targets}};
    expect_same_bits(free.run(fetches, values)[0], tight.run(fetches, values)[0], "loss");
    if (test::options().engine == Engine::reference) continue;
    const bool again = tight.memory_report(fetches, feeds).find("computed again") != std::string::npos;
    EXPECT_TRUE(again || batch == 8) << batch;
  }
  expect_same_variables(free, tight);
  if (test::options().engine == Engine::reference) return;
  try {
    tight.run(fetches, {{network.x, data(20000, 1)}, {network.y, data(20000, 2)}});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    EXPECT_NE(error.message().find("bytes at best"), std::string::npos) << error.message();
  }
  expect_same_variables(free, tight);
}

TEST(MemoryLimit, WhatOthersReadIsKept) {
  Network network(128, 12, 0);
  // A gradient with respect to a value in the middle, the value itself, and one that reads it.
  const Tensor inner = network.middle[5];
  const Tensor gradient = gradients(network.loss, {inner})[0];
  const std::vector<Key> fetches{network.loss, network.step, inner, gradient, reduce_max(network.middle[8])}, feeds{network.x, network.y};
  const std::uint64_t all = needed(network.graph, fetches, feeds, no_limit).needed;
  Session free(network.graph, test::options()), tight(network.graph, limited(all * 7 / 10));
  free.initialize();
  tight.initialize();
  const Array inputs = data(128, 1), targets = data(128, 2);
  const std::vector<Feed> values{{network.x, inputs}, {network.y, targets}};
  const std::vector<Array> a = free.run(fetches, values), b = tight.run(fetches, values);
  for (std::size_t i = 0; i < a.size(); ++i) expect_same_bits(a[i], b[i], "fetch " + std::to_string(i));
  expect_same_variables(free, tight);
}

TEST(MemoryLimit, EffectsHappenOnce) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {128, 16});
  int calls = 0;
  Tensor h = x;
  const Variable w = graph.variable("w", random_normal(f32, {16, 64}, {.stddev = 0.1}));
  for (int i = 0; i < 12; ++i) {
    h = h + matmul(gelu(matmul(h, w)), transpose(w));
    print(reduce_max(h), "in the middle");
    if (i != 5) continue;
    h = h + stop_gradient(custom_call("noise", {h}, {{f32, {128, 16}}}, [&](std::span<const ArrayView>, std::span<MutableArrayView> out) {
          ++calls;
          for (float& value : out[0].data<float>()) value = 0.5F;
        })[0]);
  }
  const Tensor loss = reduce_mean(square(h));
  const Operation step = SGD({.lr = 0.01}).minimize(loss);
  const Operation show = print(loss, "loss");
  const std::vector<Key> fetches{loss, step, show}, feeds{x};
  const std::uint64_t all = needed(graph, fetches, feeds, no_limit).needed;
  SessionOptions options = limited(all * 6 / 10);
  int lines = 0;
  options.print = [&](std::string_view line) { lines += line.starts_with("loss: f32[]") ? 1 : 100; };
  Session session(graph, options);
  session.initialize();
  session.run(fetches, {{x, test::random_array(f32, {128, 16})}});
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(lines, 1);
}

}  // namespace

// while_loop with a bound, checkpoints of loops and of blocks: what they compute, what memory they take, what happens when a bound is too
// small.
#include <iostream>

#include "api_test.h"

using namespace kiln;

namespace {

/// Bytes of the arena of the program that computes the fetches; shapes are static.
std::int64_t arena_bytes(const Graph& graph, const std::vector<Tensor>& fetches, const std::vector<Tensor>& feeds) {
  const std::vector<Key> keys(fetches.begin(), fetches.end()), fed(feeds.begin(), feeds.end());
  const std::string text = program_text(graph, ListRef<Key>(keys), ListRef<Key>(fed));
  const std::size_t start = text.find("arena(");
  EXPECT_NE(start, std::string::npos) << text.substr(0, 200);
  EXPECT_EQ(text.find("\n  tape "), std::string::npos) << "an unbounded tape lies outside of the arena";
  return std::stoll(text.substr(start + 6));
}

TEST(BoundedLoop, GradientsAreThoseOfTheUnboundedLoop) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {3});
  const Tensor depth = graph.placeholder("depth", i32, {});
  const Variable w = graph.variable("w", test::random_array(f64, {3, 3}));
  const auto everything = [&](WhileOptions options) {
    const std::vector<Tensor> out =
        while_loop([&](auto& v) { return less(v[0], depth); },
                   [&](auto& v) { return std::vector<Tensor>{v[0] + 1, kiln::tanh(matmul(v[1], w) + v[2]), v[2]}; },
                   {graph.constant(Array(0)), x, x * 2}, options);
    const std::vector<Tensor> first = gradients(reduce_sum(square(out[1])), {x, w});
    const std::vector<Tensor> second = gradients(reduce_sum(square(first[0])) + reduce_sum(square(first[1])), {x, w});
    return std::vector<Tensor>{out[1], first[0], first[1], second[0], second[1]};
  };
  const std::vector<Tensor> plain = everything({});
  std::vector<std::vector<Tensor>> others;
  others.push_back(everything({.max_trip_count = 8}));
  others.push_back(everything({.max_trip_count = 8, .checkpoint_every = 3}));
  others.push_back(everything({.checkpoint_every = 2}));
  others.push_back(everything({.checkpoint_every = automatic}));
  Session session(graph, test::options());
  session.initialize();
  const Array at = test::random_array(f64, {3}, -1, 1, 4);
  for (const int n : {0, 1, 3, 8}) {
    Tensor h = x;
    for (int i = 0; i < n; ++i) h = kiln::tanh(matmul(h, w) + x * 2);
    const Array count(n);
    const std::vector<Feed> feeds{{x, at}, {depth, count}};
    const std::vector<Tensor> first = gradients({reduce_sum(square(h))}, {x, w}, {.unconnected_zeros = true});
    const std::vector<Tensor> second =
        gradients({reduce_sum(square(first[0])) + reduce_sum(square(first[1]))}, {x, w}, {.unconnected_zeros = true});
    const std::vector<Array> unrolled = session.run({h, first[0], first[1], second[0], second[1]}, {{x, at}});
    const std::vector<Key> keys(plain.begin(), plain.end());
    const std::vector<Array> expected = session.run(ListRef<Key>(keys), feeds);
    for (std::size_t i = 0; i < unrolled.size(); ++i) test::expect_near(expected[i], unrolled[i], 1e-12, "n = " + std::to_string(n));
    for (const std::vector<Tensor>& tensors : others) {
      const std::vector<Key> fetched(tensors.begin(), tensors.end());
      const std::vector<Array> out = session.run(ListRef<Key>(fetched), feeds);
      for (std::size_t i = 0; i < out.size(); ++i) test::expect_near(out[i], expected[i], 1e-12, "n = " + std::to_string(n));
    }
  }
}

TEST(BoundedLoop, FailsWhereTheBoundDoesNotHold) {
  Graph graph;
  const Tensor n = graph.placeholder("n", i64, {});
  const Variable v = graph.variable("v", Array(1.0));
  const std::vector<Tensor> out =
      while_loop([&](auto& c) { return less(c[0], n); }, [&](auto& c) { return std::vector<Tensor>{c[0] + 1, c[1] * 2.0}; },
                 {graph.constant(Array(std::int64_t{0})), v}, {.max_trip_count = 4});
  const Assignment update = assign(v, out[1]);
  Session session(graph, test::options());
  session.initialize();
  for (const std::int64_t trips : {5, 400}) {
    try {
      session.run(update, {{n, Array(trips)}});
      FAIL() << "the bound is exceeded";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::check_failed);
      EXPECT_EQ(error.message(), "the loop runs more than its max_trip_count = 4 times");
      EXPECT_EQ(error.where().line, out[0].location().line);
    }
    EXPECT_EQ(session.value(v).item<double>(), 1) << "a failed run changes nothing";
  }
  session.run(update, {{n, Array(std::int64_t{4})}});
  EXPECT_EQ(session.value(v).item<double>(), 16);
}

/// A chain of layers as a loop over their weights: n steps, each of `state` bytes.
struct Chain {
  static constexpr std::int64_t steps = 1000, width = 64;
  static constexpr std::int64_t state = width * 4;
  Graph graph;
  Tensor x = graph.placeholder("x", f32, {width});
  Tensor w = graph.placeholder("w", f32, {width});

  Tensor step(const Tensor& h) const { return kiln::sin(h * w) + h; }
  std::int64_t scan_bytes(std::int64_t every) const {
    const Tensor last =
        scan([&](auto& c, auto&) { return ScanResult{{step(c[0])}, {}}; }, {x}, {}, {.length = steps, .checkpoint_every = every})
            .carried[0];
    return arena_bytes(graph, gradients(reduce_sum(last), {x, w}), {x, w});
  }
  std::int64_t while_bytes(std::int64_t every) {
    const Tensor count = graph.placeholder("count" + std::to_string(every), i64, {});
    const Tensor last =
        while_loop([&](auto& v) { return less(v[0], count); }, [&](auto& v) { return std::vector<Tensor>{v[0] + 1, step(v[1])}; },
                   {graph.constant(Array(std::int64_t{0})), x}, {.max_trip_count = steps, .checkpoint_every = every})[1];
    return arena_bytes(graph, gradients(reduce_sum(last), {x, w}), {x, w, count});
  }
};

TEST(Checkpoints, OfALoopTakeTheMemoryOfTwoSquareRoots) {
  Chain chain;
  const std::int64_t all = chain.scan_bytes(0), few = chain.scan_bytes(automatic);
  const std::int64_t all_while = chain.while_bytes(0), few_while = chain.while_bytes(automatic);
  std::cout << "arena for the gradient of " << Chain::steps << " steps of " << Chain::state << " bytes\n"
            << "  scan        " << all << ", checkpoint every 32: " << few << "\n"
            << "  while_loop  " << all_while << ", checkpoint every 32: " << few_while << "\n";
  EXPECT_GE(all, Chain::steps * Chain::state);
  EXPECT_GE(all_while, Chain::steps * Chain::state);
  // 32 chunks and 32 steps in each, of two values at most, and a few buffers beside.
  EXPECT_LE(few, (2 * 32 + 2 * 32 + 20) * Chain::state);
  EXPECT_LE(few_while, (2 * 32 + 2 * 32 + 20) * Chain::state);
}

TEST(Checkpoints, OfBlocksKeepTheirInputsAlone) {
  constexpr std::int64_t blocks = 8, layers = 6, width = 4096;
  const auto bytes = [&](bool checkpointed) {
    Graph graph;
    const Tensor x = graph.placeholder("x", f32, {width});
    const Tensor w = graph.placeholder("w", f32, {width});
    Tensor h = x;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const TensorFunction block = [&](const std::vector<Tensor>& in) {
        Tensor y = in[0];
        // The sum keeps the layers of a block from being one kernel.
        for (std::int64_t l = 0; l < layers; ++l) y = kiln::sin(y * w) + reduce_sum(y);
        return std::vector<Tensor>{y};
      };
      h = checkpointed ? checkpoint(block)({h})[0] : block({h})[0];
    }
    return arena_bytes(graph, gradients(reduce_sum(h), {x, w}), {x, w});
  };
  const std::int64_t with = bytes(true), without = bytes(false);
  std::cout << "arena for the gradient of " << blocks << " blocks: " << without << ", checkpointed: " << with << "\n";
  EXPECT_LE(with, (blocks + layers + 8) * width * 4);
  EXPECT_LE(2 * with, without);
}

TEST(Checkpoints, ChangeNoValue) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {4, 4});
  const Variable w = graph.variable("w", test::random_array(f64, {4, 4}));
  const TensorFunction block = [&](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kiln::tanh(matmul(in[0], w)), reduce_sum(square(in[0]))};
  };
  const auto everything = [&](const TensorFunction& f) {
    const std::vector<Tensor> inner = f({f({x})[0]});
    const Tensor loss = reduce_sum(kiln::exp(inner[0])) + inner[1];
    const std::vector<Tensor> first = gradients(loss, {x, w});
    const std::vector<Tensor> second = gradients(reduce_sum(square(first[0])) + reduce_sum(square(first[1])), {x, w});
    return std::vector<Tensor>{loss, first[0], first[1], second[0], second[1]};
  };
  const std::vector<Tensor> a = everything(block), b = everything(checkpoint(block)), c = everything(checkpoint(checkpoint(block)));
  Session session(graph, test::options());
  session.initialize();
  const Array at = test::random_array(f64, {4, 4}, -0.5, 0.5, 3);
  const std::vector<Key> ka(a.begin(), a.end()), kb(b.begin(), b.end()), kc(c.begin(), c.end());
  const std::vector<Array> expected = session.run(ListRef<Key>(ka), {{x, at}});
  for (const std::vector<Key>& keys : {kb, kc}) {
    const std::vector<Array> out = session.run(ListRef<Key>(keys), {{x, at}});
    for (std::size_t i = 0; i < out.size(); ++i) test::expect_near(out[i], expected[i], 1e-13, "result " + std::to_string(i));
  }
}

/// Five steps of training a network of six equal layers, written out or looped, whatever is kept or computed again: the same bits, but for
/// loops with checkpoints, which sum the gradients of the weights chunk by chunk.
TEST(Checkpoints, TrainAlike) {
  enum class Layers : std::uint8_t { written_out, checkpointed, looped, looped_with_checkpoints };
  const auto train = [](Layers layers) {
    constexpr std::int64_t depth = 6;
    Graph graph;
    const Tensor x = graph.placeholder("x", f64, {Dim("batch"), 16});
    const Variable w = graph.variable("w", test::random_array(f64, {16, 16}, -0.4, 0.4));
    const Variable v = graph.variable("v", test::random_array(f64, {16}, 0.5, 1.5));
    TensorFunction layer = [&](const std::vector<Tensor>& in) { return std::vector<Tensor>{kiln::tanh(matmul(in[0], w)) * v}; };
    if (layers == Layers::checkpointed) layer = checkpoint(layer);
    Tensor h = x;
    if (layers == Layers::written_out || layers == Layers::checkpointed) {
      for (std::int64_t i = 0; i < depth; ++i) h = layer({h})[0];
    } else {
      ScanOptions options;
      options.length = depth;
      options.checkpoint_every = layers == Layers::looped ? 0 : 4;
      h = scan([&](auto& c, auto&) { return ScanResult{layer(c), {}}; }, {x}, {}, options).carried[0];
    }
    const Tensor loss = reduce_sum(square(h));
    const std::vector<Tensor> g = gradients(loss, {w, v});
    const Operation step = group({assign_sub(w, 0.01 * g[0]), assign_sub(v, 0.01 * g[1])});
    Session session(graph, test::options());
    session.initialize();
    const Array input = test::random_array(f64, {8, 16}, -1, 1, 7);
    std::vector<Array> results;
    for (int i = 0; i < 5; ++i) results.push_back(session.run({loss, step}, {{x, input}})[0]);
    results.push_back(session.value(w));
    results.push_back(session.value(v));
    return results;
  };
  const std::vector<Array> expected = train(Layers::written_out);
  for (const Layers layers : {Layers::checkpointed, Layers::looped, Layers::looped_with_checkpoints}) {
    const std::vector<Array> results = train(layers);
    for (std::size_t i = 0; i < results.size(); ++i)
      test::expect_near(results[i], expected[i], layers == Layers::looped_with_checkpoints ? 1e-13 : 0, "result " + std::to_string(i));
  }
}

}  // namespace

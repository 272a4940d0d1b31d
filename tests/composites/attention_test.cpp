// Attention against its definition, written out in PyTorch.
#include <cmath>

#include "composites.h"

using namespace kiln;

namespace {

using test::Case;
using test::Inputs;
using test::one;

TEST(Attention, Values) {
  std::vector<Case> cases;
  const auto add = [&](const char* name, auto options, bool symbolic = false) {
    cases.push_back(
        {name, one([=](const Inputs& in) { return scaled_dot_product_attention(in[0], in[1], in[2], options(in)); }), symbolic});
  };
  using Options = AttentionOptions;
  add("plain", [](const Inputs&) { return Options{}; });
  add("scaled", [](const Inputs&) { return Options{.scale = 0.3}; }, true);
  add("causal", [](const Inputs&) { return Options{.causal = true}; });
  add("causal_offset", [](const Inputs&) { return Options{.causal = true, .query_offset = 2}; });
  add("window", [](const Inputs&) { return Options{.window = 3}; });
  add("softcap", [](const Inputs&) { return Options{.softcap = 0.5}; });
  add("mask", [](const Inputs& in) { return Options{.mask = in[3]}; });
  add("bias", [](const Inputs& in) { return Options{.mask = in[3]}; });
  add("lengths", [](const Inputs& in) { return Options{.key_lengths = in[3]}; });
  add("grouped", [](const Inputs& in) { return Options{.mask = in[3]}; });
  add("no_heads", [](const Inputs&) { return Options{}; });
  cases.push_back({"rotary", one([](const Inputs& in) { return rotary_embedding(in[0]); }), false});
  cases.push_back({"rotary_interleaved",
                   one([](const Inputs& in) { return rotary_embedding(in[0], {.base = 500, .offset = 3, .interleaved = true}); }), false});
  cases.push_back({"heads", one([](const Inputs& in) { return split_heads(in[0], 3); }), false});
  const auto made = [&](const char* name, auto f) {
    cases.push_back({name, [=](Graph& g, const Inputs&) { return std::vector<Tensor>{f(g)}; }, false});
  };
  made("alibi", [](Graph& g) { return alibi_bias(g, f64, 8, 5, 7); });
  made("alibi_six", [](Graph& g) { return alibi_bias(g, f64, 6, 5, 7); });
  made("sinusoidal", [](Graph& g) { return sinusoidal_positions(g, f64, 5, 7); });
  test::check_cases("attention", cases);
}

TEST(Attention, BatchAndTimeMayBeSymbolic) {
  const Array q = test::random_array(f64, {2, 4, 5, 6}), k = test::random_array(f64, {2, 2, 7, 6}, -1, 1, 2),
              v = test::random_array(f64, {2, 2, 7, 3}, -1, 1, 3), n(Shape{2}, std::vector<std::int64_t>{7, 4});
  const auto run = [&](const Dim& b, const Dim& t, const Dim& s, Array queries, Array keys, Array values, Array lengths) {
    Graph graph;
    const Tensor qt = graph.placeholder("q", f64, {b, 4, t, 6}), kt = graph.placeholder("k", f64, {b, 2, s, 6}),
                 vt = graph.placeholder("v", f64, {b, 2, s, 3}), nt = graph.placeholder("n", i64, {b});
    const Tensor y = scaled_dot_product_attention(rotary_embedding(qt, {.offset = s - t}), kt, vt,
                                                  {.causal = true, .key_lengths = nt, .window = 4, .query_offset = s - t});
    const std::vector<Tensor> g = gradients(reduce_sum(square(y)), {qt, kt, vt});
    Session session(graph, test::options());
    return session.run(std::vector<Key>{y, g[0], g[1], g[2], merge_heads(y)}, {{qt, queries}, {kt, keys}, {vt, values}, {nt, lengths}});
  };
  const auto expected = run(2, 5, 7, q, k, v, n);
  const auto actual = run("b", "t", "s", q, k, v, n);
  for (std::size_t i = 0; i < expected.size(); ++i) test::expect_near(actual[i], expected[i], 1e-15, "fetch " + std::to_string(i));
  EXPECT_EQ(to_string(actual[4].shape()), "[2, 5, 12]");
  // No batch, no keys: queries that see nothing yield 0.
  EXPECT_EQ(run("b", "t", "s", Array(f64, Shape{0, 4, 5, 6}), Array(f64, Shape{0, 2, 7, 6}), Array(f64, Shape{0, 2, 7, 3}),
                Array(DType::i64, Shape{0}))[0]
                .size(),
            0);
  const auto nothing = run("b", "t", "s", q, Array(f64, Shape{2, 2, 0, 6}), Array(f64, Shape{2, 2, 0, 3}), n);
  test::expect_near(nothing[0], Array::zeros(f64, {2, 4, 5, 3}), 0);
}

TEST(Attention, PositionsMayBeGiven) {
  const Array x = test::random_array(f64, {2, 3, 5, 6});
  const auto out = test::evaluate(
      {x, Array({5}, std::vector<std::int64_t>{3, 4, 5, 6, 7}), Array({2, 5}, std::vector<std::int64_t>{3, 4, 5, 6, 7, 0, 1, 2, 3, 4})},
      [](Graph&, const Inputs& in) {
        return std::vector<Tensor>{rotary_embedding(in[0], {.offset = 3}), rotary_embedding(in[0], {.positions = in[1]}),
                                   rotary_embedding(in[0], {.positions = in[2]}), rotary_embedding(in[0])};
      });
  test::expect_near(out[1], out[0], 1e-15);
  for (std::int64_t i = 0; i < 180; ++i) EXPECT_NEAR(element_as_double(out[2], i), element_as_double(out[i < 90 ? 0 : 3], i), 1e-15);
}

TEST(Attention, DropoutKeepsTheMean) {
  const Array q = Array::zeros(f32, {1, 1, 400, 4}), v = Array::full(f32, {1, 1, 50, 1}, 1);
  const auto out = test::evaluate({q, Array::zeros(f32, {1, 1, 50, 4}), v}, [](Graph&, const Inputs& in) {
    return std::vector<Tensor>{scaled_dot_product_attention(in[0], in[1], in[2], {.dropout = 0.4})};
  });
  double sum = 0, squares = 0;
  for (std::int64_t i = 0; i < 400; ++i) {
    const double y = element_as_double(out[0], i);
    sum += y, squares += y * y;
  }
  // Of 50 weights of 1/50, each kept with probability 0.6: variance 0.4 / (0.6 * 50).
  EXPECT_NEAR(sum / 400, 1, 5 * std::sqrt(0.4 / 30 / 400));
  EXPECT_NEAR(squares / 400 - sum * sum / 160000, 0.4 / 30, 5 * 0.4 / 30 * std::sqrt(2.0 / 400));
}

}  // namespace

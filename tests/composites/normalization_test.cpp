// Softmax and normalisation against PyTorch, and rows without anything in them.
#include <cmath>
#include <limits>

#include "composites.h"
#include "kiln/inspect.h"

using namespace kiln;

namespace {

using test::Case;
using test::Inputs;
using test::one;

constexpr double infinity = std::numeric_limits<double>::infinity();

TEST(Normalization, Values) {
  std::vector<Case> cases;
  const auto add = [&](const char* name, auto f, bool symbolic = true) { cases.push_back({name, one(f), symbolic}); };
  add("softmax", [](const Inputs& in) { return softmax(in[0], 1); });
  add("softmax_two", [](const Inputs& in) { return softmax(in[0], {0, 2}); });
  add("log_softmax", [](const Inputs& in) { return log_softmax(in[0]); });
  add("softmin", [](const Inputs& in) { return softmin(in[0]); });
  add("logsumexp", [](const Inputs& in) { return logsumexp(in[0], {0, 2}); });
  add("masked_softmax", [](const Inputs& in) { return masked_softmax(in[0], in[1]); });
  add("layer_norm", [](const Inputs& in) { return layer_norm(in[0], -1, {.weight = in[1], .bias = in[2]}); });
  add("layer_norm_two", [](const Inputs& in) { return layer_norm(in[0], {1, 2}, {.weight = in[1], .bias = in[2], .eps = 1e-3}); });
  add("layer_norm_plain", [](const Inputs& in) { return layer_norm(in[0]); });
  add("rms_norm", [](const Inputs& in) { return rms_norm(in[0], -1, {.weight = in[1], .eps = 1e-5}); });
  add("batch_norm", [](const Inputs& in) { return batch_norm(in[0], in[1], in[2], {.weight = in[3], .bias = in[4]}); });
  cases.push_back({"batch_norm_training", [](Graph&, const Inputs& in) {
                     const auto r = batch_norm_training(in[0], in[1], in[2], {.norm = {.weight = in[3], .bias = in[4]}, .momentum = 0.3});
                     return std::vector<Tensor>{r.output, r.running_mean, r.running_variance};
                   }});
  // The number of channels must be known to be divided by the groups.
  add("group_norm", [](const Inputs& in) { return group_norm(in[0], 2, {.weight = in[1], .bias = in[2]}); }, false);
  add("instance_norm", [](const Inputs& in) { return instance_norm(in[0], {.weight = in[1], .bias = in[2]}); });
  for (const int size : {3, 4})
    cases.push_back({"local_response_norm_" + std::to_string(size), one([=](const Inputs& in) {
                       return local_response_norm(in[0], {.size = size, .alpha = 0.3, .beta = 0.6, .k = 1.5});
                     })});
  add("lp_normalize", [](const Inputs& in) { return lp_normalize(in[0], 2, 1); });
  add("lp_normalize_3", [](const Inputs& in) { return lp_normalize(in[0], 3); });
  add("cosine_similarity", [](const Inputs& in) { return cosine_similarity(in[0], in[1], 1); });
  test::check_cases("normalization", cases);
}

TEST(Normalization, RowsWithNothing) {
  const auto out =
      test::evaluate({Array({2, 2}, {1.0, 2.0, 3.0, 4.0}), Array({2, 2}, {true, false, false, false})}, [](Graph&, const Inputs& in) {
        const Tensor y = masked_softmax(in[0], in[1]);
        return std::vector<Tensor>{y, gradients(reduce_sum(y * in[0]), {in[0]})[0]};
      });
  test::expect_near(out[0], Array({2, 2}, {1.0, 0.0, 0.0, 0.0}), 0);
  test::expect_near(out[1], Array({2, 2}, {1.0, 0.0, 0.0, 0.0}), 0);

  const auto zeros = test::evaluate({Array({1, 2}, {0.0, 0.0})}, [](Graph&, const Inputs& in) {
    const Tensor y = lp_normalize(in[0]);
    return std::vector<Tensor>{y, gradients(reduce_sum(y), {in[0]})[0], cosine_similarity(in[0], in[0] + 1)};
  });
  test::expect_near(zeros[0], Array({1, 2}, {0.0, 0.0}), 0);
  EXPECT_TRUE(std::isfinite(zeros[1].at<double>({0, 0})));
  test::expect_near(zeros[2], Array({1}, {0.0}), 0);

  const auto logs = test::evaluate({Array({2, 2}, {-infinity, -infinity, infinity, 0.0})},
                                   [](Graph&, const Inputs& in) { return std::vector<Tensor>{logsumexp(in[0], 1)}; });
  test::expect_near(logs[0], Array({2}, {-infinity, infinity}), 0);
}

TEST(Normalization, StatisticsOfTheBatchAreThoseOfOnnxWhenBiased) {
  const auto out =
      test::evaluate({Array({2, 1, 2}, {1.0, 2.0, 3.0, 6.0}), Array({1}, {0.0}), Array({1}, {0.0})}, [](Graph&, const Inputs& in) {
        const auto r = batch_norm_training(in[0], in[1], in[2], {.momentum = 1, .unbiased = false});
        return std::vector<Tensor>{r.running_mean, r.running_variance, r.mean, r.variance};
      });
  for (const int i : {0, 2}) test::expect_near(out[static_cast<std::size_t>(i)], Array({1}, {3.0}), 1e-15);
  for (const int i : {1, 3}) test::expect_near(out[static_cast<std::size_t>(i)], Array({1}, {3.5}), 1e-15);
}

TEST(Normalization, GumbelSamplesAreOneHotWithASoftGradient) {
  const auto out = test::evaluate({test::random_array(f64, {50, 4})}, [](Graph&, const Inputs& in) {
    const Tensor y = gumbel_softmax(in[0], {.temperature = 0.7, .hard = true});
    return std::vector<Tensor>{y, reduce_sum(y, -1), gradients(reduce_sum(y * square(in[0])), {in[0]})[0]};
  });
  for (std::int64_t i = 0; i < 200; ++i) {
    const double v = element_as_double(out[0], i);
    EXPECT_TRUE(std::abs(v) < 1e-15 || std::abs(v - 1) < 1e-15) << v;
  }
  test::expect_near(out[1], Array::full(f64, {50}, 1), 1e-15);
  double moved = 0;
  for (std::int64_t i = 0; i < 200; ++i) moved += std::abs(element_as_double(out[2], i));
  EXPECT_GT(moved, 1);
}

TEST(Normalization, IsOneKernel) {
  const std::vector<std::pair<const char*, std::function<Tensor(Graph&, const Tensor&)>>> functions = {
      {"softmax", [](Graph&, const Tensor& x) { return softmax(x); }},
      {"log_softmax", [](Graph&, const Tensor& x) { return log_softmax(x); }},
      {"logsumexp", [](Graph&, const Tensor& x) { return logsumexp(x, -1); }},
      {"masked_softmax", [](Graph& g, const Tensor& x) { return masked_softmax(x, less(g.range(i64, 100), 60)); }},
      {"layer_norm",
       [](Graph& g, const Tensor& x) {
         return layer_norm(x, -1, {.weight = g.placeholder("w", f32, {100}), .bias = g.placeholder("b", f32, {100})});
       }},
      {"rms_norm", [](Graph& g, const Tensor& x) { return rms_norm(x, -1, {.weight = g.placeholder("w", f32, {100})}); }},
      {"lp_normalize", [](Graph&, const Tensor& x) { return lp_normalize(x); }},
      {"cross_entropy",
       [](Graph& g, const Tensor& x) {
         return softmax_cross_entropy(x, g.placeholder("labels", i64, {Dim("rows")}),
                                      {.reduction = Reduction::none, .ignore_index = 3, .label_smoothing = 0.1});
       }},
  };
  for (const auto& [name, build] : functions) {
    Graph graph;
    const Tensor y = build(graph, graph.placeholder("x", f32, {Dim("rows"), 100}));
    const std::vector<Tensor> feeds = graph.placeholders();
    const std::string text = program_text(graph, {y}, std::vector<Key>(feeds.begin(), feeds.end()), {.after_pass = "fuse"});
    std::size_t kernels = 0;
    for (std::size_t at = 0; (at = text.find(" = kernel ", at)) != std::string::npos; ++at) ++kernels;
    EXPECT_EQ(kernels, 1u) << name << "\n" << text;
  }
}

}  // namespace

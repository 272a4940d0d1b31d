// Losses against PyTorch, and at the edges where a derived gradient would be NaN.
#include <cmath>
#include <limits>

#include "composites.h"

using namespace kiln;

namespace {

using test::Case;
using test::Inputs;
using test::one;

constexpr Reduction none = Reduction::none;
constexpr double infinity = std::numeric_limits<double>::infinity();

Reduction reduction(const std::string& name) {
  return name == "none" ? Reduction::none : name == "mean" ? Reduction::mean : Reduction::sum;
}

TEST(Losses, OfClasses) {
  std::vector<Case> cases;
  for (const std::string r : {"none", "mean", "sum"}) {
    cases.push_back(
        {"cross_entropy_" + r, one([=](const Inputs& in) { return softmax_cross_entropy(in[0], in[1], {.reduction = reduction(r)}); })});
    cases.push_back({"cross_entropy_all_" + r, one([=](const Inputs& in) {
                       return softmax_cross_entropy(
                           in[0], in[1], {.reduction = reduction(r), .ignore_index = 0, .class_weights = in[2], .label_smoothing = 0.2});
                     })});
    cases.push_back({"cross_entropy_probabilities_" + r, one([=](const Inputs& in) {
                       Tensor loss =
                           softmax_cross_entropy(in[0], in[1], {.reduction = reduction(r), .class_weights = in[2], .label_smoothing = 0.1});
                       return loss;
                     })});
  }
  cases.push_back({"cross_entropy_spatial",
                   one([](const Inputs& in) { return softmax_cross_entropy(in[0], in[1], {.reduction = Reduction::mean, .axis = 1}); })});
  cases.push_back({"nll_spatial", one([](const Inputs& in) {
                     return nll_loss(in[0], in[1], {.reduction = Reduction::mean, .axis = 1, .ignore_index = 2, .class_weights = in[2]});
                   })});
  cases.push_back({"nll_none", one([](const Inputs& in) { return nll_loss(in[0], in[1], {.reduction = none}); })});
  const auto both = [&](const char* name, auto f) { cases.push_back({name, one(f)}); };
  both("bce", [](const Inputs& in) { return binary_cross_entropy(in[0], in[1], {.reduction = none}); });
  both("bce_weighted_mean",
       [](const Inputs& in) { return binary_cross_entropy(in[0], in[1], {.reduction = Reduction::mean, .weight = in[2]}); });
  both("bce_logits", [](const Inputs& in) { return binary_cross_entropy_with_logits(in[0], in[1], {.reduction = none}); });
  both("bce_logits_pos", [](const Inputs& in) {
    return binary_cross_entropy_with_logits(in[0], in[1], {.reduction = Reduction::mean, .positive_weight = in[2]});
  });
  both("focal", [](const Inputs& in) { return focal_loss(in[0], in[1], {.reduction = none}); });
  both("focal_half", [](const Inputs& in) { return focal_loss(in[0], in[1], {.reduction = none, .alpha = 0.6, .gamma = 0.5}); });
  both("dice", [](const Inputs& in) { return dice_loss(in[0], in[1], {.reduction = none}); });
  both("mse_none", [](const Inputs& in) { return mse_loss(in[0], in[1], {.reduction = none}); });
  both("mse_mean", [](const Inputs& in) { return mse_loss(in[0], in[1]); });
  both("l1_none", [](const Inputs& in) { return l1_loss(in[0], in[1], {.reduction = none}); });
  both("l1_mean", [](const Inputs& in) { return l1_loss(in[0], in[1]); });
  both("smooth_l1", [](const Inputs& in) { return smooth_l1_loss(in[0], in[1], 0.7, {.reduction = none}); });
  both("huber", [](const Inputs& in) { return huber_loss(in[0], in[1], 0.7, {.reduction = none}); });
  both("kl_div", [](const Inputs& in) { return kl_div(in[0], in[1], false, {.reduction = none}); });
  both("kl_div_log", [](const Inputs& in) { return kl_div(in[0], in[1], true, {.reduction = none}); });
  both("hinge", [](const Inputs& in) { return hinge_loss(in[0], in[1], {.reduction = none}); });
  both("hinge_embedding", [](const Inputs& in) { return hinge_embedding_loss(in[0], in[1], 0.8, {.reduction = none}); });
  both("cosine_embedding", [](const Inputs& in) { return cosine_embedding_loss(in[0], in[1], in[2], 0.1, {.reduction = none}); });
  both("margin_ranking", [](const Inputs& in) { return margin_ranking_loss(in[0], in[1], in[2], 0.3, {.reduction = none}); });
  both("triplet", [](const Inputs& in) { return triplet_margin_loss(in[0], in[1], in[2], {.reduction = none, .margin = 5}); });
  both("triplet_swap", [](const Inputs& in) { return triplet_margin_loss(in[0], in[1], in[2], {.margin = 9, .p = 3, .swap = true}); });
  both("poisson", [](const Inputs& in) { return poisson_nll_loss(in[0], in[1], {.reduction = none, .full = true}); });
  both("poisson_rate", [](const Inputs& in) { return poisson_nll_loss(in[0], in[1], {.reduction = Reduction::mean, .log_input = false}); });
  both("gaussian", [](const Inputs& in) { return gaussian_nll_loss(in[0], in[1], in[2], {.reduction = none, .full = true}); });
  both("ctc_none", [](const Inputs& in) { return ctc_loss(log_softmax(in[0]), in[1], in[2], in[3], {.reduction = none}); });
  both("ctc_mean", [](const Inputs& in) { return ctc_loss(log_softmax(in[0]), in[1], in[2], in[3]); });
  both("ctc_impossible",
       [](const Inputs& in) { return ctc_loss(log_softmax(in[0]), in[1], in[2], in[3], {.reduction = none, .zero_infinity = true}); });
  test::check_cases("losses", cases);
}

/// Value and gradient of a sum, of which no element may be NaN.
void expect_finite_gradient(const std::vector<Array>& inputs, const std::function<Tensor(const Inputs&)>& loss, const Array& value,
                            const Array& gradient) {
  const auto out = test::evaluate(inputs, [&](Graph&, const Inputs& in) {
    const Tensor l = loss(in);
    return std::vector<Tensor>{l, gradients(reduce_sum(l), {in[0]})[0]};
  });
  test::expect_near(out[0], value, 1e-12, "value");
  test::expect_near(out[1], gradient, 1e-12, "gradient");
}

TEST(Losses, AtTheirEdges) {
  // A class that is ruled out and has no share in the label costs nothing.
  expect_finite_gradient(
      {Array({1, 3}, {0.0, 0.0, -infinity}), Array({1, 3}, {0.5, 0.5, 0.0})},
      [](const Inputs& in) { return softmax_cross_entropy(in[0], in[1], {.reduction = none}); }, Array({1}, {std::log(2.0)}),
      Array({1, 3}, {0.0, 0.0, 0.0}));
  expect_finite_gradient(
      {Array({2}, {infinity, -infinity}), Array({2}, {1.0, 0.0})},
      [](const Inputs& in) { return binary_cross_entropy_with_logits(in[0], in[1], {.reduction = none}); }, Array({2}, {0.0, 0.0}),
      Array({2}, {0.0, 0.0}));
  expect_finite_gradient(
      {Array({2}, {0.0, 1e4}), Array({2}, {1.0, 1.0})},
      [](const Inputs& in) { return focal_loss(in[0], in[1], {.reduction = none, .alpha = -1, .gamma = 0.5}); },
      Array({2}, {std::sqrt(0.5) * std::log(2.0), 0.0}), Array({2}, {-std::sqrt(0.5) * (0.25 * std::log(2.0) + 0.5), 0.0}));
  expect_finite_gradient(
      {Array({2}, {0.0, 0.0}), Array({2}, {0.0, 0.0})}, [](const Inputs& in) { return kl_div(in[0], in[1], false, {.reduction = none}); },
      Array({2}, {0.0, 0.0}), Array({2}, {0.0, 0.0}));
  // Equal embeddings: the distance has no derivative at 0, and takes 0.
  expect_finite_gradient(
      {Array({1, 2}, {1.0, 2.0}), Array({1, 2}, {1.0, 2.0}), Array({1, 2}, {4.0, 6.0})},
      [](const Inputs& in) { return triplet_margin_loss(in[0], in[1], in[2], {.reduction = none, .margin = 6, .eps = 0}); },
      Array({1}, {1.0}), Array({1, 2}, {0.6, 0.8}));
  // No path is as long as the target: infinite, with a gradient of 0.
  expect_finite_gradient(
      {Array({1, 1, 2}, {-1.0, -0.5}), Array({1, 3}, std::vector<std::int64_t>{1, 1, 1}), Array({1}, std::vector<std::int64_t>{1}),
       Array({1}, std::vector<std::int64_t>{3})},
      [](const Inputs& in) { return ctc_loss(in[0], in[1], in[2], in[3], {.reduction = none}); }, Array({1}, {infinity}),
      Array({1, 1, 2}, {0.0, 0.0}));
}

TEST(Losses, OfNothing) {
  const auto sum = test::evaluate({Array(f64, Shape{0, 4}), Array(DType::i64, Shape{0})}, [](Graph&, const Inputs& in) {
    const Tensor loss = softmax_cross_entropy(in[0], in[1], {.reduction = Reduction::sum});
    return std::vector<Tensor>{loss, gradients(loss, {in[0]})[0]};
  });
  EXPECT_EQ(sum[0].item<double>(), 0);
  EXPECT_EQ(sum[1].size(), 0);
}

}  // namespace

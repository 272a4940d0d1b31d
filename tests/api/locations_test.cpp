// Whatever a public function appends carries the line of the user's call, never a line of Kiln.
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "api_test.h"

using namespace kiln;

namespace {

std::string written(const Graph& graph) {
  const std::string path = (std::filesystem::temp_directory_path() / ("kiln_locations_" + std::to_string(::getpid()) + ".kiln")).string();
  graph.write(path);
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  std::filesystem::remove(path);
  return text.str();
}

/// Every line of a graph that defines a value must name this file.
void expect_own_lines(const Graph& graph) {
  std::stringstream text(written(graph));
  int nodes = 0;
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("  ") || line.find(" : ") == std::string::npos) continue;
    ++nodes;
    // The random state has no line: no user wrote it.
    if (line.find("variable {name = \"kiln.") != std::string::npos) continue;
    const std::size_t at = line.find("loc(\"");
    ASSERT_NE(at, std::string::npos) << line;
    EXPECT_NE(line.find("locations_test.cpp\":", at), std::string::npos) << line;
  }
  EXPECT_GT(nodes, 0);
}

TEST(Locations, OfEveryPublicFunctionAreTheCallers) {
  using Build = std::function<void(Graph&, const Tensor&)>;
  const std::vector<std::pair<const char*, Build>> all = {
      {"operators", [](Graph&, const Tensor& x) { -((x + 1) * (2 - x) / (x + 3) % 5); }},
      {"arithmetic", [](Graph&, const Tensor& x) { add(x, subtract(x, multiply(1, divide(x, negate(remainder(x, 2)))))); }},
      {"binary", [](Graph&, const Tensor& x) { clamp(maximum(power(x, 2), minimum(kiln::atan2(x, 1), 3)), 0, x); }},
      {"compare",
       [](Graph&, const Tensor& x) {
         logical_xor(logical_and(equal(x, 1), not_equal(x, 2)), logical_or(less(x, 1), logical_not(greater(x, 2))));
       }},
      {"compare_more", [](Graph&, const Tensor& x) { select(less_equal(x, 1), x, 2), where(greater_equal(x, 1), 1, x), is_finite(x); }},
      {"functions",
       [](Graph&, const Tensor& x) {
         kiln::abs(
             sign(kiln::floor(kiln::ceil(kiln::round(kiln::exp(kiln::expm1(kiln::log(kiln::log1p(kiln::sqrt(rsqrt(kiln::cbrt(x))))))))))));
       }},
      {"more_functions",
       [](Graph&, const Tensor& x) { kiln::sin(kiln::cos(kiln::tan(kiln::tanh(kiln::erf(square(reciprocal(convert(x, f64)))))))); }},
      {"activations", [](Graph&, const Tensor& x) { relu(leaky_relu(elu(gelu(gelu(sigmoid(silu(softplus(x))), true))))); }},
      {"convert_bool", [](Graph&, const Tensor& x) { convert(x, boolean); }},
      {"reductions",
       [](Graph&, const Tensor& x) {
         reduce_sum(x), reduce_mean(x, 0), reduce_prod(x), reduce_max(x, 1, true), reduce_min(x), argmax(x), argmin(x, 0);
       }},
      {"logic_reductions", [](Graph&, const Tensor& x) { reduce_all(greater(x, 0)), reduce_any(greater(x, 0), 1); }},
      {"symbolic_mean", [](Graph& g, const Tensor&) { reduce_mean(g.placeholder("s", f32, {Dim("n")})); }},
      {"softmax", [](Graph&, const Tensor& x) { softmax(x), log_softmax(x, 0), logsumexp(x, 0); }},
      {"cross_entropy", [](Graph&, const Tensor& x) { softmax_cross_entropy(x, argmax(x)), softmax_cross_entropy(x, softmax(x)); }},
      {"matmul", [](Graph& g, const Tensor& x) { matmul(x, g.ones(f32, {2, 3, 5})), matmul(x, transpose(x)); }},
      {"shapes",
       [](Graph&, const Tensor& x) { squeeze(expand_dims(flatten(reshape(x, {2, 3, -1}), 1), 0), 0), broadcast_to(x, {4, 2, 3}); }},
      {"moves", [](Graph&, const Tensor& x) { pad(slice(reverse(transpose(x, {1, 0}), 0), {0, 0}, {2, 2}), {1, 1}, {0, 0}, 0); }},
      {"joins", [](Graph&, const Tensor& x) { concatenate({x, x}, 0), stack({x, x}); }},
      {"indices", [](Graph&, const Tensor& x) { take(x, 1), one_hot(argmax(x), 4), zeros_like(x), ones_like(x); }},
      {"makers",
       [](Graph& g, const Tensor&) {
         g.constant(Array(1)), g.full(f32, {2}, 3), g.zeros(f32, {2}), g.ones(f32, {2}), g.iota(i32, {2, 2}, 1), g.range(i64, 4),
             g.size(Dim("m"));
       }},
      {"random",
       [](Graph& g, const Tensor& x) { g.random_uniform(f64, {2}), g.random_normal(f32, {2}), g.random_bits({3}), dropout(x, 0.5); }},
      {"others",
       [](Graph&, const Tensor& x) {
         stop_gradient(x);
         check(reduce_all(is_finite(x)), "finite");
       }},
      {"initializers",
       [](Graph& g, const Tensor&) {
         g.variable("a", zeros(f32, {2}));
         g.variable("b", truncated_normal(f32, {2}));
         g.variable("c", xavier_uniform(f32, {2, 3}));
         g.variable("d", xavier_normal(f32, {2, 3}));
         g.variable("e", kaiming_uniform(f32, {2, 3}));
         g.variable("f", kaiming_normal(f64, {2, 3}));
         g.variable("g", constant(i32, {2}, 3));
         g.variable("h", Array(1.0f));
         g.variable("i", f32, Shape{2});
       }},
      {"state",
       [](Graph& g, const Tensor& x) {
         const Variable v = g.variable("v", ones(f32, {2, 3}));
         group({assign(v, x), assign_add(v, 1), assign_sub(v, x)});
       }},
      {"control",
       [](Graph& g, const Tensor& x) {
         cond(g.constant(Array(true)), [&] { return x + 1; }, [&] { return x; });
         while_loop([&](auto& v) { return less(v[0], 2); },
                    [&](auto& v) { return std::vector<Tensor>{v[0] + 1, v[1] * g.random_uniform(f32, {2, 3})}; },
                    {g.constant(Array(0)), x});
       }},
      {"gradients", [](Graph&, const Tensor& x) { gradients(reduce_sum(x * x), {x}); }},
      {"custom_gradient",
       [](Graph&, const Tensor& x) {
         custom_gradient(
             {x}, [](auto& in) { return std::vector<Tensor>{in[0] * 2}; },
             [](auto&, auto&, auto& grad) { return std::vector<Tensor>{grad[0] * 2}; });
       }},
      {"losses",
       [](Graph& g, const Tensor& x) {
         const Tensor p = sigmoid(x), t = g.ones(f32, {2, 3}), rows = g.ones(f32, {2});
         nll_loss(log_softmax(x), argmax(x), {.class_weights = g.ones(f32, {3}), .label_smoothing = 0.1});
         binary_cross_entropy(p, t), binary_cross_entropy_with_logits(x, t), focal_loss(x, t), dice_loss(p, t), mse_loss(x, t),
             l1_loss(x, t);
         smooth_l1_loss(x, t), huber_loss(x, t), poisson_nll_loss(x, t), gaussian_nll_loss(x, t, p), kl_div(x, p), hinge_loss(x, t);
         hinge_embedding_loss(x, t), cosine_embedding_loss(x, t, rows), margin_ranking_loss(x, t, t), triplet_margin_loss(x, t, p);
         ctc_loss(reshape(x, {2, 1, 3}), g.ones(i64, {1, 2}), g.ones(i64, {1}), g.ones(i64, {1}));
       }},
      {"normalization",
       [](Graph& g, const Tensor& x) {
         const Tensor v = g.ones(f32, {3});
         masked_softmax(softmin(x), greater(x, 0)), gumbel_softmax(x), layer_norm(x, -1, {.weight = v}), rms_norm(x), batch_norm(x, v, v);
         batch_norm_training(x, v, v), group_norm(x, 3), local_response_norm(x), lp_normalize(x, 3), cosine_similarity(x, x);
         instance_norm(expand_dims(x, -1));
       }},
      {"products",
       [](Graph& g, const Tensor& x) {
         einsum("ij,kj,k->ik", {x, x, g.ones(f32, {2})}), einsum("ii", {matmul(x, transpose(x))}), tensordot(x, x), outer(x, x),
             inner(x, x);
         vecdot(x, x), kron(x, x), cross(x, x), bilinear(x, x, g.ones(f32, {4, 3, 3}), g.ones(f32, {4}));
       }},
      {"attention",
       [](Graph& g, const Tensor& x) {
         const Tensor q = split_heads(expand_dims(g.ones(f32, {5, 8}), 0), 2);
         merge_heads(scaled_dot_product_attention(rotary_embedding(q), q, q, {.causal = true, .dropout = 0.1, .softcap = 3}));
         alibi_bias(g, f32, 3, 4, 5), sinusoidal_positions(g, f32, 4, 6), negate(x);
       }},
      {"linear_algebra",
       [](Graph&, const Tensor& x) {
         const Tensor a = matmul(x, transpose(x));
         vector_norm(x), matrix_norm(x), matrix_power(a, -2), matrix_exp(a), triangular_solve(a, x), cholesky_solve(x, cholesky(a)), lu(a);
         solve(a, x), inverse(a), det(a), slogdet(a), qr(x), lstsq(x, x), pinv(x), eigh(a);
       }},
      {"signal",
       [](Graph& g, const Tensor& x) {
         dft(expand_dims(x, -1)), irfft(rfft(x), 3), stft(x, {.frame_length = 2, .frame_step = 1}), hann_window(g, f32, 4);
         hamming_window(g, f32, 4), blackman_window(g, f32, 4);
         mel_weight_matrix(g, f32, {.bins = 2, .dft_length = 8, .sample_rate = 8, .high = 4});
       }},
      {"distributions",
       [](Graph& g, const Tensor& x) {
         random_truncated_normal(g, f32, {2}), random_exponential(g, f32, {2}), random_laplace(g, f32, {2}), random_gumbel(g, f32, {2});
         random_logistic(g, f32, {2}), random_cauchy(g, f32, {2}), random_uniform_like(x), random_normal_like(x), random_gamma(x);
         random_beta(x, 1), random_dirichlet(x), random_integers(g, i32, {2}, 0, 10), random_bernoulli(x), random_poisson(x);
         random_categorical(x), random_multinomial(x, 2, false), random_permutation(g, 4), shuffle(x), channel_dropout(x, 0.1);
         alpha_dropout(x, 0.1);
       }},
      {"modules",
       [](Graph&, const Tensor& x) {
         nn::Sequential model(nn::Linear(3, 4), nn::ReLU(), nn::GELU(),
                              nn::Sequential(nn::Linear(4, 3), nn::Dropout(0.1), nn::Softplus(), nn::ELU()), nn::Flatten());
         nn::MSELoss()(model(x), x);
         nn::CrossEntropyLoss(nn::Reduction::sum)(nn::Softmax()(x), argmax(x));
       }},
      {"build", [](Graph& g, const Tensor&) { nn::Sequential(nn::Linear(3, 4)).build(g); }},
      {"optimizers",
       [](Graph& g, const Tensor& x) {
         const Variable v = g.variable("v", ones(f32, {2, 3}));
         const Tensor loss = reduce_sum(v * x);
         SGD({.lr = 1, .momentum = 0.9, .dampening = 0.1, .weight_decay = 0.1}).minimize(loss);
         Adam({.weight_decay = 0.1}).minimize(loss, {v});
         AdamW().minimize(loss);
         Adagrad({.lr_decay = 0.1}).minimize(loss);
         RMSprop({.momentum = 0.9, .centered = true}).minimize(loss);
       }},
  };
  for (const auto& [name, build] : all) {
    SCOPED_TRACE(name);
    Graph graph;
    build(graph, graph.placeholder("x", f32, {2, 3}));
    expect_own_lines(graph);
  }
}

TEST(Locations, OfAModulesPartsAreTheLinesOfItsOwnForward) {
  class Net : public nn::Module {
   public:
    Tensor forward(const Tensor& x) override {
      line = std::source_location::current().line() + 1;
      return relu(x) + 1;
    }
    unsigned line = 0;
  };
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {2});
  Net net;
  const Tensor y = net(x);
  EXPECT_EQ(y.location().line, net.line);
  const unsigned here = std::source_location::current().line() + 1;
  EXPECT_EQ(nn::Sequential(nn::Linear(2, 2), nn::ReLU())(x).location().line, here);
}

}  // namespace

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
      {"debug",
       [](Graph&, const Tensor& x) {
         print(x * 2, "x");
         check_finite(x + 1);
       }},
      {"match_extents", [](Graph& g, const Tensor& x) { x + g.placeholder("of_another_extent", x.dtype(), {Dim("another")}); }},
      {"arithmetic", [](Graph&, const Tensor& x) { add(x, subtract(x, multiply(1, divide(x, negate(remainder(x, 2)))))); }},
      {"binary", [](Graph&, const Tensor& x) { clamp(maximum(power(x, 2), minimum(kiln::atan2(x, 1), 3)), 0, x); }},
      {"compare",
       [](Graph&, const Tensor& x) {
         logical_xor(logical_and(equal(x, 1), not_equal(x, 2)), logical_or(less(x, 1), logical_not(greater(x, 2))));
       }},
      {"compare_more", [](Graph&, const Tensor& x) { select(less_equal(x, 1), x, 2), where(greater_equal(x, 1), 1, x), is_finite(x); }},
      {"other_names",
       [](Graph& g, const Tensor& x) {
         masked_fill(pow(x, 2), (x < 1) & (x <= 2) & (x > -1) & (x >= 0), 3), clip(x, 0, 1), full_like(x, 2), is_close(x, 1);
         squared_difference(x, 1), lerp(x, 1, 0.5), unsqueeze(permute(x, {1, 0}), 0), pad(x, {1, 1}, {0, 0});
         linear(x, g.ones(f32, {4, 3}), g.ones(f32, {4})), cross_entropy(x, argmax(x)), pairwise_distance(x, 1), cdist(x, x, 3);
         arange(g, i32, 0, 5, 2), arange(g, f32, 0.5, 2, 0.25), linspace(g, f32, 0, 1, Dim("places"));
       }},
      {"graph",
       [](Graph& g, const Tensor& x) {
         g.full(f32, {2}, 3), g.zeros(f32, {2}), g.ones(i64, {2}), g.iota(i64, {2, 3}, 1), g.range(i64, 4), g.size(x.dim(0)),
             g.constant(Array(1));
         g.random_uniform(f32, {2}), g.random_normal(f32, {2}, {.mean = 1}), g.random_bits({2});
       }},
      {"debug",
       [](Graph&, const Tensor& x) {
         kiln::print(x, "x"), check_finite(x);
         x + 1;
       }},
      {"of_onnx",
       [](Graph& g, const Tensor& x) {
         shrink(x), hardmax(x), mean_variance_normalization(x, 0), sequence_mask(argmax(x), 4), reverse_sequence(x, g.ones(i64, {3}));
         tf_idf_vectorizer(convert(x, i64), {.pool = {{1}}});
         const Tensor image = g.ones(f32, {2, 4, 6, 6});
         roi_pool(image, g.ones(f32, {3, 4}), g.zeros(i64, {3}), 2, 2);
         deform_conv(image, g.ones(f32, {2, 4, 3, 3}), g.ones(f32, {2, 18, 4, 4}));
       }},
      {"quantization",
       [](Graph& g, const Tensor& x) {
         const Tensor q = quantize_linear(x, 0.1), scale = g.constant(Array(0.5f)), zero = g.zeros(u8, {});
         dequantize_linear(q, 0.1), dynamic_quantize_linear(x), fake_quantize(x, 0.1), matmul_integer(q, transpose(q));
         const Tensor image = g.ones(u8, {1, 2, 4, 4}), weight = g.ones(u8, {3, 2, 2, 2});
         conv_integer(image, weight), qlinear_matmul({q, scale}, {transpose(q), scale}, scale, zero);
         qlinear_conv({image, scale}, {weight, scale}, scale, zero);
       }},
      {"custom_call",
       [](Graph&, const Tensor& x) {
         custom_call("nothing", {x}, {{f32, {2}}}, [](std::span<const ArrayView>, std::span<MutableArrayView>) {});
       }},
      {"functions",
       [](Graph&, const Tensor& x) {
         kiln::abs(
             sign(kiln::floor(kiln::ceil(kiln::round(kiln::exp(kiln::expm1(kiln::log(kiln::log1p(kiln::sqrt(rsqrt(kiln::cbrt(x))))))))))));
       }},
      {"more_functions",
       [](Graph&, const Tensor& x) { kiln::sin(kiln::cos(kiln::tan(kiln::tanh(kiln::erf(square(reciprocal(convert(x, f64)))))))); }},
      {"activations", [](Graph&, const Tensor& x) { relu(leaky_relu(elu(gelu(gelu(sigmoid(silu(softplus(x))), true))))); }},
      {"more_activations",
       [](Graph& g, const Tensor& x) {
         relu6(hardtanh(hardsigmoid(hardswish(selu(celu(mish(softsign(softshrink(hardshrink(x))))))))));
         tanhshrink(threshold(thresholded_relu(logsigmoid(swish(softplus(x, 2), 2))), 1, 0));
         prelu(x, 0.1), prelu(x, g.ones(f32, {3})), glu(g.ones(f32, {2, 4})), swiglu(x, 0), geglu(x, 0);
       }},
      {"bits",
       [](Graph&, const Tensor& x) {
         const Tensor i = bitcast(x, i32);
         ~((i & 1) | (i ^ 2)) << (i >> 3);
         bitwise_not(bitwise_and(i, bitwise_or(i, bitwise_xor(i, 5)))), left_shift(right_shift(i, 1), 2);
         popcount(i), count_leading_zeros(i), bitcast(x, u8), reduce_precision(x, 5, 10);
       }},
      {"rounding_and_signs",
       [](Graph&, const Tensor& x) {
         round_away(trunc(frac(x))), fmod(x, 2), floor_divide(x, 2), floor_mod(x, 2), is_nan(x), is_inf(x), sign_bit(x);
         copysign(x, -1), next_after(x, 1), nan_to_num(x), heaviside(x, 0.5);
         const Tensor i = convert(x, i32);
         gcd(i, 6), lcm(i, 4), floor_divide(i, 2), floor_mod(i, 3), power(i, 2);
       }},
      {"special",
       [](Graph&, const Tensor& x) {
         exp2(log2(log10(logit(x)))), logaddexp(x, 1), xlogy(x, x), hypot(x, 2), degrees(radians(sinc(x)));
         kiln::asin(kiln::acos(kiln::atan(kiln::sinh(kiln::cosh(kiln::asinh(kiln::acosh(kiln::atanh(x))))))));
         kiln::erfc(erf_inv(x)), kiln::lgamma(digamma(polygamma(2, x))), i0(i1(i0e(i1e(x))));
       }},
      {"gradients_of_several",
       [](Graph& g, const Tensor& x) {
         const Variable v = g.variable("v", ones(f32, {2, 3}));
         const Tensor a = reduce_sum(x * v), b = reduce_max(x + v);
         const std::vector<Tensor> tensors{x, v};
         const std::vector<Variable> variables{v};
         gradients({a, b}, {x, v}), gradients({a, b}, tensors), gradients({a, b}, variables), gradients(a, tensors),
             gradients(a, variables);
       }},
      {"derived_special", [](Graph&, const Tensor& x) { gradients(reduce_sum(kiln::lgamma(x) + erf_inv(x)), {x}); }},
      {"convert_bool", [](Graph&, const Tensor& x) { convert(x, boolean); }},
      {"reductions",
       [](Graph&, const Tensor& x) {
         reduce_sum(x), reduce_mean(x, 0), reduce_prod(x), reduce_max(x, 1, true), reduce_min(x), argmax(x), argmin(x, 0);
       }},
      {"pooling",
       [](Graph& g, const Tensor&) {
         const Tensor image = g.ones(f32, {1, 2, 6, 5}), any = g.placeholder("any", f32, {1, 2, Dim("h"), Dim("w")});
         max_pool(image, 2, {.padding = 1, .ceil_mode = true}), avg_pool(image, {2, 3}, {.padding = Padding::same()}), lp_pool(image, 3, 2);
         max_pool(any, 2, {.padding = Padding::same()}), avg_pool(any, 2, {.padding = 1, .ceil_mode = true});
         const PooledWithIndices pooled = max_pool_with_indices(image, 2);
         max_unpool(pooled.values, pooled.indices, {6, 5});
         global_max_pool(image), global_avg_pool(image, Layout::channels_last), global_lp_pool(image, 2);
         adaptive_avg_pool(image, {4, 5}), adaptive_max_pool(image, {4, 5});
       }},
      {"running_folds",
       [](Graph&, const Tensor& x) {
         cumsum(x, 0, {.exclusive = true}), cumprod(x, 1, {.reverse = true}), cummax(x), cummin(x), logcumsumexp(x), diff(x, 2);
         linear_recurrence(0.5, x), linear_recurrence(x, 1, 0, true);
       }},
      {"statistics",
       [](Graph&, const Tensor& x) {
         reduce_variance(x, 0), reduce_std(x, {}, true, 1), moments(x, 1), count_nonzero(x), ptp(x, 0), norm(x), norm(x, 3, 1), norm(x, 0);
         reduce_l1(x), reduce_l2(x, 0), reduce_sum_square(x), reduce_log_sum(x);
         nansum(x), nanprod(x), nanmean(x, 0), nanmax(x), nanmin(x, 1, true), nanvar(x), nanstd(x, 0, false, 1);
       }},
      {"last_arguments", [](Graph&, const Tensor& x) { argmax(x, 0, true, true), argmin(x, 1, false, true); }},
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
      {"gathers",
       [](Graph& g, const Tensor& x) {
         const Tensor at = g.constant(Array({2, 1}, std::vector<std::int64_t>{1, -1})), ids = g.constant(Array({2}, {1, 5}));
         for (const IndexMode mode : {IndexMode::clamp, IndexMode::wrap, IndexMode::fill, IndexMode::check}) {
           take(x, ids, 1, mode), index_select(x, 0, ids, mode), take_along_axis(x, at, 1, mode), gather_elements(x, at, 1, mode);
           gather_nd(x, at, 0, mode);
         }
         embedding(x, ids, 0), embedding_bag(x, at), embedding_bag(x, at, BagMode::maximum, 1), one_hot(ids, 3, 0, 1.5, 0);
       }},
      {"scatters",
       [](Graph& g, const Tensor& x) {
         const Tensor at = g.constant(Array({2, 1}, std::vector<std::int64_t>{1, -1})), ids = g.constant(Array({2}, {1, 5}));
         put_along_axis(x, at, 1, 1), scatter_elements(x, at, 1, 0, Combine::add), scatter_nd(x, at, 1), index_put(x, {ids, 0}, 2);
         index_add(x, 0, ids, 1), index_copy(x, 1, ids, 1), segment_sum(x, ids, 3), segment_mean(x, ids, 3), segment_prod(x, ids, 3);
         segment_max(x, ids, 3), segment_min(x, ids, 3), dynamic_update_slice(x, dynamic_slice(x, {0, 1}, {1, 1}), {0, 1});
       }},
      {"tensor_index",
       [](Graph& g, const Tensor& x) {
         index(x, {0, ellipsis, Slice{.step = -1}}), index(x, {Slice{1, -1}, new_axis, g.constant(Array(-1))});
       }},
      {"arrangement",
       [](Graph& g, const Tensor& x) {
         eye(g, f32, 2, 3, 1);
         split(x, Dims{1, -1}), split(x, 3, 1), chunk(x, 2, 1), unstack(x), squeeze(tile(x, {1, 2, 1})), moveaxis(x, 0, 1),
             swapaxes(x, 0, 1);
         repeat_interleave(x, 2, 0), flip(x), roll(x, 1, 1), rot90(x), rot90(x, 3), meshgrid({trace(x), diagonal(x)}), tril(x), triu(x, 1);
         diag(diag(x), 1), diag_embed(x, -1);
       }},
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
      {"loops",
       [](Graph& g, const Tensor& x) {
         scan([&](auto& c, auto& s) { return ScanResult{{c[0] + s[0]}, {c[0] * g.random_uniform(f32, {3})}}; }, {reduce_sum(x, 0)}, {x},
              {.checkpoint_every = 1});
         map([&](auto& s) { return std::vector<Tensor>{s[0] * 2}; }, {x});
         for_loop(3, [&](const Tensor& i, auto& v) { return std::vector<Tensor>{v[0] * convert(i, f32)}; }, {x});
         while_loop([&](auto& v) { return less(v[0], 2); }, [&](auto& v) { return std::vector<Tensor>{v[0] + 1}; }, {g.constant(Array(0))},
                    {.max_trip_count = 4, .checkpoint_every = 2});
         switch_case(argmax(reduce_sum(x, 1)), {[&] { return std::vector<Tensor>{x}; }, [&] { return std::vector<Tensor>{-x}; }});
         checkpoint([](auto& in) { return std::vector<Tensor>{in[0] * 2}; })({x});
       }},
      {"gradients",
       [](Graph&, const Tensor& x) {
         gradients(reduce_sum(x * x), {x});
         gradients({reduce_sum(x), reduce_sum(x * x)}, {x});
       }},
      {"derivatives",
       [](Graph&, const Tensor& x) {
         const DifferentiableFunction f = [](auto& in) { return std::vector<Tensor>{in[0] * in[0]}; };
         const ScalarFunction s = [](auto& in) { return reduce_sum(in[0] * in[0]); };
         vjp(f, {x}, {x});
         jvp(f, {x}, {x});
         jvp({x * x}, {x}, {x});
         value_and_gradients(s, {x});
         hessian_vector_product(s, {x}, {x});
         jacobian([](const Tensor& in) { return in * 2; }, x);
         hessian([](const Tensor& in) { return reduce_sum(in * in); }, x);
       }},
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
      {"convolution",
       [](Graph& g, const Tensor&) {
         const Tensor x = g.ones(f32, {2, 4, 6, 6}), w = g.ones(f32, {4, 2, 3, 3}), v = g.ones(f32, {4, 3, 3, 3}),
                      line = g.ones(f32, {2, 4, 5});
         conv(x, w, {.groups = 2}), conv2d(x, w, g.ones(f32, {4}), {.padding = Padding::same(), .groups = 2});
         conv1d(line, g.ones(f32, {3, 4, 2})), conv3d(expand_dims(x, 2), g.ones(f32, {3, 4, 1, 2, 2}));
         depthwise_conv(x, g.ones(f32, {4, 1, 3, 3})), conv_transpose(x, v), conv_transpose(x, w, {.groups = 2});
         fold(unfold(x, 3), {6, 6}, 3);
       }},
      {"padding_modes",
       [](Graph& g, const Tensor& x) {
         const Tensor n = g.placeholder("n", f32, {Dim("n", {.min = 1})});
         for (const PadMode mode : {PadMode::edge, PadMode::reflect, PadMode::symmetric, PadMode::wrap})
           pad(x, {1, -1}, {1, 1}, mode), pad(x, {7, 7}, {0, 0}, mode), pad(n, {3}, {2}, mode);
       }},
      {"quantization",
       [](Graph& g, const Tensor& x) {
         const Tensor zero = g.full(u8, {}, 128), q = quantize_linear(x, 0.1, zero), one = g.ones(f32, {});
         dequantize_linear(q, 0.1, zero), dynamic_quantize_linear(x), fake_quantize(x, 0.1, zero);
         const Tensor m = g.ones(i8, {2, 2}), image = g.ones(u8, {1, 2, 3, 3}), filter = g.ones(i8, {1, 2, 2, 2});
         matmul_integer(m, m, zero), conv_integer(image, filter, zero);
         qlinear_matmul({m, one}, {m, one}, 0.5, zero), qlinear_conv({image, one, zero}, {filter, one}, 0.5, zero, g.ones(i32, {1}));
       }},
      {"sequences",
       [](Graph& g, const Tensor&) {
         const Tensor lengths = g.ones(i64, {3});
         sequence_mask(lengths, 4), reverse_sequence(g.ones(f32, {4, 3, 2}), lengths);
         tf_idf_vectorizer(g.ones(i32, {2, 5}), {.max_length = 2, .max_skip = 1, .pool = {{1}, {1, 2}}, .weights = {1, 2}});
       }},
      {"operators_of_onnx",
       [](Graph& g, const Tensor& x) {
         hardmax(x), mean_variance_normalization(x, 0), shrink(x, 1, 1), zeta(x, 2), unique(g.ones(f32, {3, 2}), 0);
         const Tensor image = g.ones(f32, {1, 1, 4, 4}), boxes = g.ones(f32, {3, 4}), indices = g.zeros(i64, {3});
         roi_pool(image, boxes, indices, 2, 2), roi_align(image, boxes, indices, 2, 2, {.sampling_ratio = 0});
         resize(image, {2, 2}, {.exclude_outside = false, .antialias = true});
         deform_conv(image, g.ones(f32, {1, 1, 2, 2}), g.zeros(f32, {1, 8, 3, 3}), {.mask = g.ones(f32, {1, 4, 3, 3}), .bias = g.ones(f32, {1})});
       }},
      {"resize",
       [](Graph& g, const Tensor&) {
         const Tensor x = g.ones(f16, {2, 4, 6, 6});
         for (const Resampling mode : {Resampling::nearest, Resampling::linear, Resampling::cubic, Resampling::area})
           resize(x, {12, 7}, {.mode = mode}), resize(x, {3, 3}, {.mode = mode, .scales = {0.6, 0.6}});
         resize(x, {3, 3}, {.coordinates = Coordinates::tf_crop_and_resize, .roi = {0, 0, 2, 2}}), resize(x, {3, 3}, {.antialias = true});
         pixel_unshuffle(pixel_shuffle(x, 2), 2), space_to_depth(depth_to_space(x, 2), 2), channel_shuffle(x, 2);
       }},
      {"samples",
       [](Graph& g, const Tensor&) {
         const Tensor x = g.ones(f32, {2, 4, 6, 6}), grid = affine_grid(g.ones(f32, {2, 2, 3}), {3, 3});
         for (const SamplePadding padding : {SamplePadding::zeros, SamplePadding::border, SamplePadding::reflection})
           grid_sample(x, grid, {.padding = padding}), grid_sample(x, grid, {.mode = Resampling::cubic, .padding = padding});
         roi_align(x, g.ones(f32, {3, 4}), g.zeros(i64, {3}), 2, 2);
       }},
      {"sorting",
       [](Graph&, const Tensor& x) {
         sort(x), argsort(x), lexsort({x, x}), sort_by_key(x, x), top_k(x, 2), kth_value(x, 1), mode(x), is_sorted(x);
         for (const QuantileMethod method : {QuantileMethod::linear, QuantileMethod::midpoint, QuantileMethod::nearest})
           quantile(x, 0.3, 0, method);
         percentile(x, 30), median(x), searchsorted(reshape(x, {6}), x), bucketize(x, reshape(x, {6}), true), histogram(x, 4, 0, 1);
         bincount(convert(x, i32), 3), bincount(convert(x, i32), 3, x);
       }},
      {"produced",
       [](Graph& g, const Tensor& x) {
         const Tensor mask = greater(x, 0), row = greater(reduce_sum(x, 1), 0), one = g.constant(Array(1));
         nonzero(x), nonzero(x, PositionLayout::columns), nonzero(one), flatnonzero(x, {.max_size = 2}), boolean_mask(x, mask),
             compress(row, x, 0);
         unique(x), unique(x, {.sorted = false}), range(one, one, one, 5), range(convert(one, f32), 2, 1, 5),
             repeat(x, convert(row, i32), 5);
         const Tensor boxes = g.ones(f32, {2, 3, 4}), scores = g.ones(f32, {2, 1, 3});
         non_max_suppression(boxes, scores, {.max_output_per_class = 2, .score_threshold = 0.5, .center_point_box = true});
       }},
      {"optimizers",
       [](Graph& g, const Tensor& x) {
         const Variable v = g.variable("v", ones(f32, {2, 3}));
         const Tensor loss = reduce_sum(v * x);
         SGD({.lr = 1, .momentum = 0.9, .dampening = 0.1, .weight_decay = 0.1}).minimize(loss);
         Adam({.weight_decay = 0.1}).minimize(loss, {v});
         AdamW().minimize(loss);
         Adagrad({.lr_decay = 0.1}).minimize(loss);
         RMSprop({.momentum = 0.9, .centered = true}).minimize(loss);
         Adadelta().minimize(loss), Adamax().minimize(loss), NAdam().minimize(loss), RAdam().minimize(loss), Rprop().minimize(loss);
         ASGD().minimize(loss), Lion().minimize(loss), LAMB().minimize(loss), Adafactor().minimize(loss);
       }},
      {"training",
       [](Graph& g, const Tensor& x) {
         const Variable v = g.variable("v", ones(f32, {2, 3}));
         LossScale scale(g);
         GradientSet set = scale.unscale(compute_gradients(scale.scale(reduce_sum(v * x)), {v}));
         set = clip_by_value(clip_by_norm(clip_by_global_norm(centralize(adaptive_clip(set)), 1), 1), 1);
         AdamW adamw({.lr = schedule::warm_up(5, schedule::cosine(3e-4, 100))});
         const Operation step = adamw.apply_gradients(accumulate(set, 4));
         ExponentialMovingAverage average(std::vector{v});
         average.update(step), average.swap(), global_norm(set);
       }},
      {"schedules",
       [](Graph& g, const Tensor&) {
         const Tensor step = g.placeholder("step", i64, {});
         for (const Schedule& s :
              {schedule::constant(1, 0.5, 3), schedule::step(1, 2), schedule::multi_step(1, {2, 4}), schedule::exponential(1, 0.9),
               schedule::linear(1, 5), schedule::polynomial(1, 5), schedule::cosine_restarts(1, 5), schedule::one_cycle(1, 9),
               schedule::cyclic(0, 1, 3), schedule::sequence({schedule::constant(1), schedule::constant(2)}, {3}),
               schedule::chain({schedule::constant(1), schedule::exponential(1, 0.5)})})
           s(step);
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

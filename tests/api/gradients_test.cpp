// The gradient of every public function against central differences in f64, through the reference engine.
#include <functional>

#include "api_test.h"

using namespace kiln;

namespace {

struct Case {
  const char* name;
  Shape shape;
  std::function<Tensor(Graph&, const Tensor&)> function;
  double low = -2, high = 2;
};

Array differences(const std::function<double(const Array&)>& f, const Array& x) {
  const double h = 1e-6;
  Array result(f64, x.shape());
  for (std::int64_t i = 0; i < x.size(); ++i) {
    Array moved = x;
    moved.mutable_data<double>()[static_cast<std::size_t>(i)] += h;
    const double up = f(moved);
    moved.mutable_data<double>()[static_cast<std::size_t>(i)] -= 2 * h;
    result.mutable_data<double>()[static_cast<std::size_t>(i)] = (up - f(moved)) / (2 * h);
  }
  return result;
}

const std::vector<Case>& cases() {
  static const auto c = [](Graph& g, const Shape& shape) { return g.constant(test::random_array(f64, shape, 0.5, 1.5, 3)); };
  static const std::vector<Case> all = {
      {"add", {2, 3}, [](Graph& g, const Tensor& x) { return x + c(g, {3}); }},
      {"add_broadcast", {3}, [](Graph& g, const Tensor& x) { return c(g, {2, 3}) + x; }},
      {"subtract", {2, 3}, [](Graph& g, const Tensor& x) { return c(g, {2, 1}) - x; }},
      {"multiply", {2, 3}, [](Graph& g, const Tensor& x) { return x * c(g, {2, 3}) * x; }},
      {"divide", {2, 3}, [](Graph&, const Tensor& x) { return 1 / x + x / 3; }, 0.5, 2},
      {"remainder", {4}, [](Graph&, const Tensor& x) { return x % 0.7; }, 0.75, 1.3},
      {"negate", {2}, [](Graph&, const Tensor& x) { return -x; }},
      {"power", {5}, [](Graph&, const Tensor& x) { return power(x, 2.5) + power(2, x); }, 0.5, 2},
      {"power_both", {4}, [](Graph&, const Tensor& x) { return power(x, x); }, 0.5, 2},
      {"atan2", {4}, [](Graph& g, const Tensor& x) { return kiln::atan2(x, c(g, {4})); }},
      {"maximum", {6}, [](Graph& g, const Tensor& x) { return maximum(x, c(g, {6})); }},
      {"minimum", {6}, [](Graph& g, const Tensor& x) { return minimum(x, c(g, {6})); }},
      {"clamp", {6}, [](Graph&, const Tensor& x) { return clamp(x, -0.5, 1); }},
      {"select", {6}, [](Graph&, const Tensor& x) { return select(greater(x, 0), x * x, 3 * x); }},
      {"where_scalar_mask", {3}, [](Graph& g, const Tensor& x) { return where(g.constant(Array(true)), x * x, x); }},
      {"abs", {5}, [](Graph&, const Tensor& x) { return kiln::abs(x); }},
      {"sign", {5}, [](Graph&, const Tensor& x) { return sign(x) * x; }},
      {"floor", {5}, [](Graph&, const Tensor& x) { return kiln::floor(x) * x; }},
      {"ceil", {5}, [](Graph&, const Tensor& x) { return kiln::ceil(x) * x; }},
      {"round", {5}, [](Graph&, const Tensor& x) { return kiln::round(x) * x; }},
      {"exp", {5}, [](Graph&, const Tensor& x) { return kiln::exp(x); }},
      {"expm1", {5}, [](Graph&, const Tensor& x) { return kiln::expm1(x); }},
      {"log", {5}, [](Graph&, const Tensor& x) { return kiln::log(x); }, 0.5, 2},
      {"log1p", {5}, [](Graph&, const Tensor& x) { return kiln::log1p(x); }, -0.5, 2},
      {"sqrt", {5}, [](Graph&, const Tensor& x) { return kiln::sqrt(x); }, 0.5, 2},
      {"rsqrt", {5}, [](Graph&, const Tensor& x) { return rsqrt(x); }, 0.5, 2},
      {"cbrt", {5}, [](Graph&, const Tensor& x) { return kiln::cbrt(x); }, 0.5, 2},
      {"sin", {5}, [](Graph&, const Tensor& x) { return kiln::sin(x); }},
      {"cos", {5}, [](Graph&, const Tensor& x) { return kiln::cos(x); }},
      {"tan", {5}, [](Graph&, const Tensor& x) { return kiln::tan(x); }, -1, 1},
      {"tanh", {5}, [](Graph&, const Tensor& x) { return kiln::tanh(x); }},
      {"erf", {5}, [](Graph&, const Tensor& x) { return kiln::erf(x); }},
      {"square", {5}, [](Graph&, const Tensor& x) { return square(x); }},
      {"reciprocal", {5}, [](Graph&, const Tensor& x) { return reciprocal(x); }, 0.5, 2},
      {"relu", {7}, [](Graph&, const Tensor& x) { return relu(x); }},
      {"leaky_relu", {7}, [](Graph&, const Tensor& x) { return leaky_relu(x, 0.1); }},
      {"elu", {7}, [](Graph&, const Tensor& x) { return elu(x, 1.5); }},
      {"gelu", {7}, [](Graph&, const Tensor& x) { return gelu(x); }},
      {"gelu_tanh", {7}, [](Graph&, const Tensor& x) { return gelu(x, true); }},
      {"sigmoid", {7}, [](Graph&, const Tensor& x) { return sigmoid(x); }},
      {"silu", {7}, [](Graph&, const Tensor& x) { return silu(x); }},
      {"softplus", {7}, [](Graph&, const Tensor& x) { return softplus(x); }},
      {"reduce_sum", {2, 3, 2}, [](Graph&, const Tensor& x) { return reduce_sum(x * x, {0, 2}); }},
      {"reduce_sum_keep", {2, 3}, [](Graph&, const Tensor& x) { return reduce_sum(x * x, 1, true) * x; }},
      {"reduce_mean", {2, 3}, [](Graph&, const Tensor& x) { return reduce_mean(x * x, -1); }},
      {"reduce_prod", {2, 3}, [](Graph&, const Tensor& x) { return reduce_prod(x, 1); }, 0.5, 2},
      {"reduce_max", {3, 4}, [](Graph&, const Tensor& x) { return reduce_max(x, 1); }},
      {"reduce_min", {3, 4}, [](Graph&, const Tensor& x) { return reduce_min(x, 0); }},
      {"logsumexp", {3, 4}, [](Graph&, const Tensor& x) { return logsumexp(x, 1); }},
      {"logsumexp_all", {3, 4}, [](Graph&, const Tensor& x) { return logsumexp(x); }},
      {"softmax", {3, 4}, [](Graph&, const Tensor& x) { return softmax(x); }},
      {"softmax_axis", {3, 4}, [](Graph&, const Tensor& x) { return softmax(x, 0); }},
      {"log_softmax", {3, 4}, [](Graph&, const Tensor& x) { return log_softmax(x); }},
      {"cross_entropy", {3, 4}, [](Graph& g, const Tensor& x) { return softmax_cross_entropy(x, g.constant(Array({3}, {2, 0, 3})), {.reduction = Reduction::none}); }},
      {"cross_entropy_probabilities", {3, 4}, [](Graph& g, const Tensor& x) { return softmax_cross_entropy(x, softmax(c(g, {3, 4})), {.reduction = Reduction::none}); }},
      {"matmul", {2, 3}, [](Graph& g, const Tensor& x) { return matmul(x, c(g, {3, 4})); }},
      {"matmul_right", {3, 4}, [](Graph& g, const Tensor& x) { return matmul(c(g, {2, 3}), x); }},
      {"matmul_vector", {3}, [](Graph& g, const Tensor& x) { return matmul(x, c(g, {3, 2})); }},
      {"matmul_dot", {3}, [](Graph&, const Tensor& x) { return matmul(x, x * x); }},
      {"matmul_batch", {2, 2, 3}, [](Graph& g, const Tensor& x) { return matmul(x, c(g, {2, 3, 2})); }},
      {"matmul_batch_broadcast", {2, 3}, [](Graph& g, const Tensor& x) { return matmul(x, c(g, {4, 3, 2})); }},
      {"matmul_rows", {2, 2, 3}, [](Graph& g, const Tensor& x) { return matmul(x, c(g, {3, 2})); }},
      {"matmul_batch_row", {3}, [](Graph& g, const Tensor& x) { return matmul(x, c(g, {2, 3, 2})); }},
      {"reshape", {2, 6}, [](Graph&, const Tensor& x) { return reshape(x, {3, -1}); }},
      {"flatten", {2, 3, 2}, [](Graph&, const Tensor& x) { return flatten(x, 1); }},
      {"transpose", {2, 3}, [](Graph&, const Tensor& x) { return transpose(x); }},
      {"transpose_permutation", {2, 3, 4}, [](Graph&, const Tensor& x) { return transpose(x, {1, 2, 0}); }},
      {"expand_squeeze", {2, 3}, [](Graph&, const Tensor& x) { return squeeze(expand_dims(x, 1) * 2, 1); }},
      {"broadcast_to", {3, 1}, [](Graph&, const Tensor& x) { return broadcast_to(x, {2, 3, 4}); }},
      {"slice", {4, 5}, [](Graph&, const Tensor& x) { return slice(x, {1, 0}, {4, 5}, {2, 3}); }},
      {"pad", {2, 3}, [](Graph&, const Tensor& x) { return pad(x, {1, -1}, {0, 2}, 7); }},
      {"reverse", {2, 3}, [](Graph&, const Tensor& x) { return reverse(x, 1); }},
      {"concatenate", {2, 3}, [](Graph& g, const Tensor& x) { return concatenate({x, c(g, {2, 2}), x * x}, 1); }},
      {"stack", {2, 3}, [](Graph&, const Tensor& x) { return stack({x, x * x}, 1); }},
      {"take", {4, 2}, [](Graph& g, const Tensor& x) { return take(x, g.constant(Array({2, 2}, {3, 0, 3, 9}))); }},
      {"take_axis", {2, 4}, [](Graph& g, const Tensor& x) { return take(x, g.constant(Array({3}, {3, 3, 1})), 1); }},
      {"take_wrap", {4, 2}, [](Graph& g, const Tensor& x) { return take(x, g.constant(Array({3}, {-1, 5, 1})), 0, IndexMode::wrap); }},
      {"take_fill", {4, 2}, [](Graph& g, const Tensor& x) { return take(x, g.constant(Array({3}, {-1, 5, 1})), 0, IndexMode::fill); }},
      {"take_check", {4, 2}, [](Graph& g, const Tensor& x) { return take(x, g.constant(Array({2}, {3, 3})), 0, IndexMode::check); }},
      {"take_along_axis",
       {2, 3},
       [](Graph& g, const Tensor& x) { return take_along_axis(x, g.constant(Array({2, 2}, std::vector<std::int64_t>{0, -1, 1, 1})), 1); }},
      {"gather_nd",
       {2, 3, 2},
       [](Graph& g, const Tensor& x) { return gather_nd(x, g.constant(Array({2, 2}, std::vector<std::int64_t>{0, 2, -1, 0}))); }},
      {"embedding_bag",
       {4, 2},
       [](Graph& g, const Tensor& x) { return embedding_bag(x, g.constant(Array({2, 3}, std::vector<std::int64_t>{0, 1, 1, 3, 3, 2}))); }},
      {"index_add", {4, 2}, [](Graph& g, const Tensor& x) { return index_add(x, 0, g.constant(Array({4}, {1, 1, 3, 8})), x * x + c(g, {4, 2})); }},
      {"segment_mean", {4, 2}, [](Graph& g, const Tensor& x) { return segment_mean(x, g.constant(Array({4}, {1, 0, 1, 1})), 2); }},
      {"segment_max", {4, 2}, [](Graph& g, const Tensor& x) { return segment_max(x, g.constant(Array({4}, {1, 0, 1, 1})), 2); }},
      {"dynamic_slices",
       {4, 2},
       [](Graph& g, const Tensor& x) {
         const Tensor at = g.constant(Array(std::int64_t{2}));
         return dynamic_update_slice(x * x, dynamic_slice(x, {at, 0}, {1, 2}) * 3, {0, 1});
       }},
      {"index", {3, 4}, [](Graph&, const Tensor& x) { return index(x, {Slice{.step = -2}, new_axis, -1}); }},
      {"roll", {3, 4}, [](Graph&, const Tensor& x) { return roll(x, -1, 1) * x; }},
      {"diagonals", {3, 4}, [](Graph&, const Tensor& x) { return matmul(diag(diagonal(x, 1)), tril(x)); }},
      {"convert", {3}, [](Graph&, const Tensor& x) { return convert(x, f64) * x; }},
      {"cond", {3}, [](Graph& g, const Tensor& x) { return cond(g.constant(Array(true)), [&] { return x * x; }, [&] { return x; }); }},
      {"while_loop",
       {3},
       [](Graph& g, const Tensor& x) {
         return while_loop([&](auto& v) { return less(v[0], 3); },
                           [&](auto& v) { return std::vector<Tensor>{v[0] + 1, v[1] * x + kiln::sin(v[1])}; },
                           {g.constant(Array(0)), x})[1];
       }},
      {"second_order", {3}, [](Graph&, const Tensor& x) { return gradients(reduce_sum(x * x * x), {x})[0]; }},
  };
  return all;
}

TEST(Gradients, OfEveryFunctionMatchDifferences) {
  for (const Case& test : cases()) {
    SCOPED_TRACE(test.name);
    Graph graph;
    const Tensor x = graph.placeholder("x", f64, test.shape);
    const Tensor y = test.function(graph, x);
    // A fixed cotangent that differs from element to element, so that no error hides in a sum.
    std::vector<std::int64_t> extents;
    for (const Dim& dim : y.dims()) extents.push_back(dim.value());
    const Tensor loss = reduce_sum(y * graph.constant(test::random_array(f64, Shape(extents), 0.5, 1.5, 9)));
    const Tensor gradient = gradients(loss, {x})[0];
    Session session(graph, test::reference_options());
    const Array at = test::random_array(f64, test.shape, test.low, test.high, 17);
    const Array expected = differences([&](const Array& value) { return session.run(loss, {{x, value}}).item<double>(); }, at);
    test::expect_near(session.run(gradient, {{x, at}}), expected, 2e-7, test.name);
    Session compiled(graph, test::options());
    test::expect_near(compiled.run(gradient, {{x, at}}), session.run(gradient, {{x, at}}), 1e-11, test.name);
  }
}

TEST(Gradients, VectorJacobianProduct) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {3});
  const Tensor seed = graph.placeholder("seed", f64, {3});
  const Tensor product = gradients(x * x, {x}, seed)[0];
  Session session(graph, test::options());
  test::expect_near(session.run(product, {{x, Array({3}, {1.0, 2.0, 3.0})}, {seed, Array({3}, {1.0, 10.0, 100.0})}}),
                    Array({3}, {2.0, 40.0, 600.0}), 0);
}

TEST(Gradients, ValuesThatLookEqualAreDifferentiatedSeparately) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {});
  const Tensor a = x + 1, b = x + 1;
  const std::vector<Tensor> grads = gradients(a * b, {a, b, x});
  Session session(graph, test::options());
  const auto out = session.run({grads[0], grads[1], grads[2]}, {{x, Array(2.0)}});
  EXPECT_EQ(out[0].item<double>(), 3);
  EXPECT_EQ(out[1].item<double>(), 3);
  EXPECT_EQ(out[2].item<double>(), 6);
}

TEST(Gradients, StopGradientCuts) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {});
  const Tensor gradient = gradients(x * stop_gradient(x), {x})[0];
  Session session(graph, test::options());
  EXPECT_EQ(session.run(gradient, {{x, Array(5.0)}}).item<double>(), 5);
}

Tensor custom_relu(const Tensor& x) {
  return custom_gradient(
      {x}, [](auto& in) { return std::vector<Tensor>{maximum(0, in[0])}; },
      [](auto& in, auto&, auto& grad) { return std::vector<Tensor>{select(greater(in[0], 0), grad[0], 0)}; })[0];
}

TEST(Gradients, CustomGradientOfRelu) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {6});
  const Tensor own = custom_relu(x), library = relu(x);
  const Tensor a = gradients(reduce_sum(own * own), {x})[0], b = gradients(reduce_sum(library * library), {x})[0];
  Session session(graph, test::options());
  const auto out = session.run({own, library, a, b}, {{x, test::random_array(f64, {6})}});
  test::expect_near(out[0], out[1], 0);
  test::expect_near(out[2], out[3], 0);
}

TEST(Gradients, CustomGradientMayCaptureConstantsAndIntegers) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {2});
  const Tensor scale = graph.constant(Array(3.0));
  const Tensor power = graph.placeholder("n", i32, {});
  // Its gradient is a lie on purpose: ten times the cotangent, plus the scale.
  const Tensor y = custom_gradient(
      {x}, [&](auto& in) { return std::vector<Tensor>{in[0] * scale * convert(power, f64)}; },
      [&](auto&, auto& out, auto& grad) { return std::vector<Tensor>{grad[0] * 10 + scale + 0 * out[0]}; })[0];
  const Tensor gradient = gradients(reduce_sum(y), {x})[0];
  Session session(graph, test::options());
  const auto out = session.run({y, gradient}, {{x, Array({2}, {1.0, 2.0})}, {power, Array(2)}});
  test::expect_near(out[0], Array({2}, {6.0, 12.0}), 0);
  test::expect_near(out[1], Array({2}, {13.0, 13.0}), 0);
}

}  // namespace

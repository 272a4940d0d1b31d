// ONNX: the parts of ai.onnx.ml that take and give tensors of numbers, the optimizers of the training preview, n-grams, random numbers.
#include <cmath>
#include <map>

#include "onnx.h"

namespace kiln::test {

namespace {

template <class T>
Tensor vector(const In& x, const std::vector<T>& values) {
  return x.graph.constant(Array({static_cast<std::int64_t>(values.size())}, values));
}
template <class T>
Tensor matrix(const In& x, std::int64_t rows, const std::vector<T>& values) {
  return x.graph.constant(Array({rows, static_cast<std::int64_t>(values.size()) / rows}, values));
}

/// The value beside the key that equals each element, or the default.
Tensor looked_up(const In& x, const std::vector<std::int64_t>& keys, const std::vector<float>& values, float otherwise) {
  const Tensor hits = equal(expand_dims(x[0], -1), vector(x, keys));
  const Tensor found = reduce_sum(select(hits, vector(x, values), 0), -1);
  return select(reduce_any(hits, -1), found, otherwise);
}

/// Two trees as tables: x <= split leads to `yes`, else to `no`; a leaf leads to itself. All rows walk all trees together, as many steps as
/// the deepest tree has. Numbers 3 .. 5 of the nodes are the first tree's leaves, 6 and 7 the second's.
Tensor leaves(const In& x) {
  const Tensor feature = vector<std::int64_t>(x, {0, 1, 1, 0, 0, 0, 0, 0}), splits = vector<float>(x, {0.2F, -0.5F, 0.7F, 0, 0, 0, 0, 0});
  const Tensor yes = vector<std::int64_t>(x, {1, 4, 6, 3, 4, 5, 6, 7}), no = vector<std::int64_t>(x, {3, 5, 7, 3, 4, 5, 6, 7});
  const Tensor roots = broadcast_to(vector<std::int64_t>(x, {0, 2}), {x[0].dim(0), 2});
  return for_loop(2,
                  [&](const Tensor&, const std::vector<Tensor>& at) {
                    const Tensor value = take_along_axis(x[0], take(feature, at[0]), 1);
                    return std::vector{select(less_equal(value, take(splits, at[0])), take(yes, at[0]), take(no, at[0]))};
                  },
                  {roots})[0];
}

Tensor tree_sum(const In& x) {
  const Tensor weights = vector<float>(x, {0, 0, 0, 1, 2, 4, 10, 20});
  return reduce_sum(take(weights, leaves(x)), 1, true);
}

std::vector<Tensor> tree_classes(const In& x) {
  const Tensor weights = vector<float>(x, {0, 0, 0, 1, 2, 4, 1.5F, 2.5F}), classes = vector<std::int64_t>(x, {0, 0, 0, 0, 1, 2, 0, 1});
  const Tensor at = leaves(x);
  const Tensor scores = reduce_sum(expand_dims(take(weights, at), -1) * one_hot(take(classes, at), 3), 1);
  return {take(vector<std::int64_t>(x, {5, 6, 7}), argmax(scores, 1)), scores};
}

Tensor imputed(const Tensor& x, const Operand& missing, const Operand& values) { return select(missing.tensor(), values, x); }

Tensor svm(const In& x, std::int64_t count, const std::vector<float>& support, const std::vector<float>& coefficients, bool rbf) {
  const Tensor s = matrix(x, count, support), c = vector(x, coefficients);
  const Tensor kernel = rbf ? exp(-0.5 * reduce_sum(square(expand_dims(x[0], 1) - s), -1)) : matmul(x[0], transpose(s));
  return expand_dims(matmul(kernel, c) + 0.3F, 1);
}

/// The gradient with weight decay, as the training operators begin.
Tensor regularized(const In& x) { return 0.01 * x[0] + x[1]; }

std::vector<Tensor> momentum(const In& x, bool nesterov) {
  const Tensor g = regularized(x), v = 0.95 * x[2] + 0.1 * g;
  return {x[0] - 0.1 * (nesterov ? g + 0.95 * v : v), v};
}

NgramOptions ngrams(std::int64_t least, std::int64_t skip, NgramWeighting weighting = NgramWeighting::counts) {
  NgramOptions options;
  options.weighting = weighting;
  options.min_length = least;
  options.max_length = 2;
  options.max_skip = skip;
  options.pool = {{2}, {3}, {5}, {4}, {5, 6}, {7, 8}, {6, 7}};
  if (weighting != NgramWeighting::counts) options.weights = {0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5};
  return options;
}

double mean_of(const Array& a) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) sum += element_as_double(a, i);
  return sum / static_cast<double>(a.size());
}

}  // namespace

Rows onnx_learning() {
  return {
      {"Binarizer", "threshold", [](const In& x) { return convert(greater(x[0], 0.3F), f32); }},
      {"ArrayFeatureExtractor", "plain", [](const In& x) { return take(x[0], flatten(x[1]), -1); }},
      {"FeatureVectorizer", "plain", [](const In& x) { return concatenate({x[0], x[1]}, 1); }},
      {"Scaler", "plain", [](const In& x) { return (x[0] - vector<float>(x, {1, 2, 3, 4})) * vector<float>(x, {0.5, 2, 1, 3}); }},
      {"Imputer", "nan", [](const In& x) { return imputed(x[0], is_nan(x[0]), 9); }},
      {"Imputer", "value", [](const In& x) { return imputed(x[0], equal(x[0], -7), vector<float>(x, {10, 20, 30, 40})); }},
      {"Normalizer", "max", [](const In& x) { return x[0] / reduce_max(abs(x[0]), 1, true); }},
      {"Normalizer", "l1", [](const In& x) { return lp_normalize(x[0], 1, 1); }},
      {"Normalizer", "l2", [](const In& x) { return lp_normalize(x[0], 2, 1); }},
      {"LabelEncoder", "integers", [](const In& x) { return looked_up(x, {1, 3, 5}, {0.5, 1.5, 2.5}, -1); }},
      {"OneHotEncoder", "integers",
       [](const In& x) { return convert(equal(expand_dims(x[0], -1), vector<std::int64_t>(x, {2, 3, 4})), f32); }},
      {"LinearRegressor", "plain",
       [](const In& x) { return matmul(x[0], transpose(matrix<float>(x, 2, {0.5, -1, 2, 1, 0, -0.5}))) + vector<float>(x, {0.25, -1}); }},
      {"LinearClassifier", "softmax",
       [](const In& x) {
         const Tensor scores =
             matmul(x[0], transpose(matrix<float>(x, 3, {1, -2, 0.5, 1.5, -1, 0.25}))) + vector<float>(x, {0.1F, 0.2F, -0.3F});
         return std::vector{take(vector<std::int64_t>(x, {7, 8, 9}), argmax(scores, 1)), softmax(scores)};
       }},
      {"SVMRegressor", "rbf", [](const In& x) { return svm(x, 3, {1, 0, -1, 0.5, 0, 2}, {0.7F, -1.2F, 0.4F}, true); }},
      {"SVMRegressor", "linear", [](const In& x) { return svm(x, 2, {1, 0, -1, 0.5}, {0.7F, -1.2F}, false); }},
      // A classifier of two classes: the sign of a regressor's value chooses.
      {"SVMClassifier", "two_classes",
       [](const In& x) {
         const Tensor score = squeeze(svm(x, 2, {1, 0, -1, 0.5}, {0.7F, -1.2F}, false), 1);
         return select(greater(score, 0), take(vector<std::int64_t>(x, {3, 8}), x.graph.ones(i64, {x[0].dim(0)})), 3);
       }},
      {"TreeEnsemble", "sum", tree_sum},
      {"TreeEnsembleRegressor", "sum", tree_sum},
      {"TreeEnsembleClassifier", "argmax", tree_classes},
      {"Adagrad", "step",
       [](const In& x) {
         const Tensor g = regularized(x), sum = x[2] + square(g);
         return std::vector{x[0] - 0.1 / (1 + 3 * 0.05) * g / (sqrt(sum) + 1e-6), sum};
       }},
      {"Adam", "step",
       [](const In& x) {
         const Tensor g = regularized(x), v = 0.9 * x[2] + 0.1 * g, h = 0.999 * x[3] + 0.001 * square(g);
         const double rate = 0.1 * std::sqrt(1 - std::pow(0.999, 3)) / (1 - std::pow(0.9, 3));
         return std::vector{x[0] - rate * v / (sqrt(h) + 1e-6), v, h};
       }},
      {"Momentum", "standard", [](const In& x) { return momentum(x, false); }},
      {"Momentum", "nesterov", [](const In& x) { return momentum(x, true); }},
      {"TfIdfVectorizer", "bigrams", [](const In& x) { return tf_idf_vectorizer(x[0], ngrams(2, 0)); }},
      {"TfIdfVectorizer", "skips", [](const In& x) { return tf_idf_vectorizer(x[0], ngrams(2, 5)); }},
      {"TfIdfVectorizer", "both", [](const In& x) { return tf_idf_vectorizer(x[0], ngrams(1, 5)); }},
      {"TfIdfVectorizer", "weights", [](const In& x) { return tf_idf_vectorizer(x[0], ngrams(1, 1, NgramWeighting::weighted)); }},
      {"TfIdfVectorizer", "idf", [](const In& x) { return tf_idf_vectorizer(x[0], ngrams(1, 1, NgramWeighting::occurs)); }},
  };
}

std::vector<RandomRow> onnx_random() {
  static constexpr std::int64_t n = 10000;
  const auto moments_are = [](double mean, double margin) {
    return [=](const Array& a) {
      EXPECT_EQ(a.size(), n);
      EXPECT_NEAR(mean_of(a), mean, margin);
    };
  };
  return {
      {"RandomNormal", [](const In& x) { return x.graph.random_normal(f32, {n}, {.mean = 2, .stddev = 3}); }, moments_are(2, 0.15)},
      {"RandomNormalLike", [](const In& x) { return random_normal_like(x.graph.zeros(f64, {100, 100})) * 2 + 1; }, moments_are(1, 0.1)},
      {"RandomUniform", [](const In& x) { return x.graph.random_uniform(f32, {n}, {.low = -1, .high = 3}); }, moments_are(1, 0.06)},
      {"RandomUniformLike", [](const In& x) { return random_uniform_like(x.graph.zeros(f32, {n})); }, moments_are(0.5, 0.015)},
      {"Bernoulli", [](const In& x) { return convert(random_bernoulli(x.graph.full(f32, {n}, 0.25)), f64); }, moments_are(0.25, 0.025)},
      {"Multinomial",
       [](const In& x) {
         const Tensor logits = x.graph.constant(Array({1, 3}, {std::log(0.5F), std::log(0.25F), std::log(0.25F)}));
         return convert(random_multinomial(logits, n, true), i32);
       },
       moments_are(0.75, 0.04)},
      {"Dropout", [](const In& x) { return dropout(x.graph.ones(f32, {n}), 0.25); },
       [](const Array& a) {
         std::map<float, int> values;
         for (const float v : a.data<float>()) ++values[v];
         EXPECT_EQ(values.size(), 2U);
         EXPECT_NEAR(values[0], 0.25 * n, 0.02 * n);
         EXPECT_EQ(values[0] + values[1 / 0.75F], n);
       }},
  };
}

}  // namespace kiln::test

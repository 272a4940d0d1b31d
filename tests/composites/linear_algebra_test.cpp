// Linear algebra against LAPACK (through PyTorch), properties at sizes that are odd, 1 and 0, and second derivatives.
#include <cmath>
#include <limits>

#include "composites.h"

using namespace kiln;

namespace {

using test::Case;
using test::Inputs;
using test::one;

constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();

TEST(LinearAlgebra, Values) {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, auto f, bool symbolic = true, double tolerance = 1e-12) {
    cases.push_back({name, one(f), symbolic, tolerance});
  };
  for (const bool left : {true, false})
    for (const bool upper : {false, true})
      for (const bool unit : {false, true})
        for (const bool transposed : {false, true})
          add(
              "triangular_" + std::to_string(left) + std::to_string(upper) + std::to_string(unit) + std::to_string(transposed),
              [=](const Inputs& in) {
                return triangular_solve(in[0], in[1],
                                        {.left_side = left, .lower = !upper, .unit_diagonal = unit, .transpose_a = transposed});
              },
              left != upper);
  add("cholesky", [](const Inputs& in) { return cholesky(in[0]); });
  add("cholesky_upper", [](const Inputs& in) { return cholesky(in[0], true); });
  add("cholesky_solve", [](const Inputs& in) { return cholesky_solve(in[0], in[1]); });
  cases.push_back({"lu", [](Graph&, const Inputs& in) {
                     const LU parts = lu(in[0]);
                     return std::vector<Tensor>{parts.l, parts.u, parts.permutation};
                   }});
  add("solve", [](const Inputs& in) { return solve(in[0], in[1]); });
  add("solve_vector", [](const Inputs& in) { return solve(in[0], in[1]); });
  add("inverse", [](const Inputs& in) { return inverse(in[0]); });
  add("det", [](const Inputs& in) { return det(in[0]); });
  cases.push_back({"slogdet", [](Graph&, const Inputs& in) {
                     const SignedLogDet parts = slogdet(in[0]);
                     return std::vector<Tensor>{parts.sign, parts.log_abs};
                   }});
  for (const std::string name : {"tall", "square", "wide"})
    cases.push_back({"qr_" + name,
                     [](Graph&, const Inputs& in) {
                       const QR parts = qr(in[0]);
                       return std::vector<Tensor>{parts.q, parts.r};
                     },
                     name == "square"});
  for (const std::string name : {"tall", "wide"}) {
    add("lstsq_" + name, [](const Inputs& in) { return lstsq(in[0], in[1]); }, false);
    add("pinv_" + name, [](const Inputs& in) { return pinv(in[0]); }, false);
  }
  add("matrix_exp", [](const Inputs& in) { return matrix_exp(in[0]); });
  // Relative to the largest element, of some 1e4.
  add("matrix_exp_large", [](const Inputs& in) { return matrix_exp(in[0]); }, true, 1e-10);
  add("matrix_power", [](const Inputs& in) { return matrix_power(in[0], 5); });
  add("matrix_power_negative", [](const Inputs& in) { return matrix_power(in[0], -3); });
  add("matrix_norm_fro", [](const Inputs& in) { return matrix_norm(in[0]); });
  add("matrix_norm_one", [](const Inputs& in) { return matrix_norm(in[0], MatrixNorm::one); });
  add("matrix_norm_inf", [](const Inputs& in) { return matrix_norm(in[0], MatrixNorm::infinity); });
  for (const auto& [name, p] :
       std::map<std::string, double>{{"1.0", 1}, {"2.0", 2}, {"3.0", 3}, {"0.5", 0.5}, {"inf", infinity}, {"-inf", -infinity}})
    add("vector_norm_" + name, [p = p](const Inputs& in) { return vector_norm(in[0], p, -1); });
  for (const int n : {1, 2, 3, 5, 6}) {
    add("eigh_" + std::to_string(n), [](const Inputs& in) { return eigh(in[0]).values; });
    cases.push_back({"eigh_vectors_" + std::to_string(n), [](Graph&, const Inputs& in) {
                       const Eigh parts = eigh(in[0]);
                       return std::vector<Tensor>{parts.values, parts.vectors};
                     }});
  }
  test::check_cases("linear_algebra", cases);
}

/// Largest absolute element of a - b.
double distance(const Array& a, const Array& b) {
  double most = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(element_as_double(a, i) - element_as_double(b, i)));
  return most;
}

TEST(LinearAlgebra, FactorsMultiplyToTheMatrix) {
  for (const DType dtype : {f32, f64})
    for (const std::int64_t n : {0, 1, 2, 7, 33}) {
      SCOPED_TRACE(std::string(name_of(dtype)) + " " + std::to_string(n));
      const double tolerance = (dtype == f64 ? 1e-14 : 1e-5) * static_cast<double>(n + 1);
      const Array a = test::random_array(dtype, {2, n, n});
      const auto out = test::evaluate({a}, [](Graph&, const Inputs& in) {
        const Tensor x = in[0], xt = transpose(x, {0, 2, 1});
        const Tensor spd = matmul(x, xt) + matmul(xt, x);
        const Tensor c = cholesky(spd);
        const LU parts = lu(x);
        const QR orthogonal = qr(x);
        const Tensor symmetric = x + xt;
        const Eigh eigen = eigh(symmetric);
        const auto t = [](const Tensor& m) { return transpose(m, {0, 2, 1}); };
        return std::vector<Tensor>{spd,
                                   matmul(c, t(c)),
                                   x,
                                   matmul(orthogonal.q, orthogonal.r),
                                   matmul(t(orthogonal.q), orthogonal.q),
                                   matmul(x, inverse(x)),
                                   symmetric,
                                   matmul(eigen.vectors * expand_dims(eigen.values, -2), t(eigen.vectors)),
                                   matmul(parts.l, parts.u),
                                   parts.permutation};
      });
      EXPECT_LE(distance(out[1], out[0]), 10 * tolerance) << "cholesky";
      EXPECT_LE(distance(out[3], out[2]), tolerance) << "qr";
      EXPECT_LE(distance(out[7], out[6]), 4 * tolerance) << "eigh";
      Array rows = out[8];
      for (std::int64_t b = 0; b < 2; ++b)
        for (std::int64_t i = 0; i < n; ++i)
          for (std::int64_t j = 0; j < n; ++j) {
            EXPECT_NEAR(element_as_double(out[4], (b * n + i) * n + j), i == j, tolerance) << "q";
            EXPECT_NEAR(element_as_double(out[5], (b * n + i) * n + j), i == j, 200 * tolerance) << "inverse";
            const std::int64_t from = element_as_int(out[9], b * n + i);
            EXPECT_NEAR(element_as_double(rows, (b * n + i) * n + j), element_as_double(a, (b * n + from) * n + j), tolerance) << "lu";
          }
    }
}

TEST(LinearAlgebra, SingularMatrices) {
  const auto out =
      test::evaluate({Array({2, 2}, {1.0, 2.0, 2.0, 4.0}), Array({2, 2}, {0.0, 0.0, 0.0, 0.0}), Array({2, 2}, {1.0, 2.0, 2.0, 1.0})},
                     [](Graph&, const Inputs& in) {
                       return std::vector<Tensor>{det(in[0]),      det(in[1]),        slogdet(in[0]).sign, slogdet(in[0]).log_abs,
                                                  cholesky(in[2]), eigh(in[1]).values};
                     });
  EXPECT_EQ(out[0].item<double>(), 0);
  EXPECT_EQ(out[1].item<double>(), 0);
  EXPECT_EQ(out[2].item<double>(), 0);
  EXPECT_EQ(out[3].item<double>(), -infinity);
  EXPECT_TRUE(std::isnan(out[4].at<double>({1, 1})));
  test::expect_near(out[5], Array({2}, {0.0, 0.0}), 0);
}

TEST(LinearAlgebra, OnlyTheTriangleIsRead) {
  const Array a({2, 2}, {2.0, nan, 1.0, 4.0}), b({2, 1}, {2.0, 5.0});
  const auto out = test::evaluate({a, b}, [](Graph&, const Inputs& in) {
    return std::vector<Tensor>{triangular_solve(in[0], in[1]), cholesky(in[0]), eigh(in[0]).values};
  });
  test::expect_near(out[0], Array({2, 1}, {1.0, 1.0}), 1e-15);
  test::expect_near(out[1], Array({2, 2}, {std::sqrt(2.0), 0.0, std::sqrt(0.5), std::sqrt(3.5)}), 1e-15);
  test::expect_near(out[2], Array({2}, {3 - std::sqrt(2.0), 3 + std::sqrt(2.0)}), 1e-15);
}

TEST(LinearAlgebra, NotANumberEndsEveryLoop) {
  const auto out = test::evaluate({Array({2, 2}, {nan, infinity, infinity, 1.0})}, [](Graph&, const Inputs& in) {
    return std::vector<Tensor>{eigh(in[0]).values, matrix_exp(in[0]), det(in[0])};
  });
  EXPECT_TRUE(std::isnan(out[1].at<double>({0, 0})));
}

TEST(LinearAlgebra, SecondDerivatives) {
  const Array a = test::random_array(f64, {3, 3}, -1, 1, 5), b = test::random_array(f64, {3, 2}, -1, 1, 6);
  Array well = a;
  for (std::size_t i = 0; i < 3; ++i) well.mutable_data<double>()[4 * i] += 2.5;
  const auto spd = [](const Tensor& x) { return matmul(x, transpose(x)); };
  const std::vector<std::pair<const char*, std::function<Tensor(const Inputs&)>>> functions = {
      {"triangular_solve", [](const Inputs& in) { return triangular_solve(in[0], in[1]); }},
      {"triangular_solve_right",
       [](const Inputs& in) {
         return triangular_solve(in[0], transpose(in[1]), {.left_side = false, .lower = false, .transpose_a = true});
       }},
      {"cholesky", [&](const Inputs& in) { return matmul(cholesky(spd(in[0])), in[1]); }},
      {"solve", [](const Inputs& in) { return solve(in[0], in[1]); }},
      {"inverse", [](const Inputs& in) { return matmul(inverse(in[0]), in[1]); }},
      {"det", [](const Inputs& in) { return det(in[0]) * in[1]; }},
      {"slogdet", [](const Inputs& in) { return slogdet(in[0]).log_abs * in[1]; }},
      {"lu", [](const Inputs& in) { return matmul(lu(in[0]).l * lu(in[0]).u, in[1]) + matmul(lu(in[0]).u, in[1]); }},
      {"qr", [](const Inputs& in) { return matmul(qr(in[0]).q + qr(in[0]).r, in[1]); }},
      {"eigh",
       [](const Inputs& in) {
         const Eigh parts = eigh(in[0] + transpose(in[0]));
         return matmul(parts.vectors, in[1]) * expand_dims(parts.values, -1);
       }},
      {"matrix_exp", [](const Inputs& in) { return matmul(matrix_exp(in[0]), in[1]); }},
      {"lstsq", [](const Inputs& in) { return lstsq(slice(in[0], {0, 0}, {3, 2}), in[1]); }},
  };
  for (const auto& [name, f] : functions) {
    SCOPED_TRACE(name);
    test::check_derivatives({well, b}, f, 2e-7);
  }
}

TEST(LinearAlgebra, ThirdDerivative) {
  // det(t a) = t^3 det(a): the third derivative with respect to t is 6 det(a).
  const auto out = test::evaluate({Array(1.3), test::random_array(f64, {3, 3})}, [](Graph&, const Inputs& in) {
    Tensor d = det(in[0] * in[1]);
    for (int order = 0; order < 3; ++order) d = gradients(d, {in[0]})[0];
    return std::vector<Tensor>{d, det(in[1])};
  });
  EXPECT_NEAR(out[0].item<double>(), 6 * out[1].item<double>(), 1e-10);
}

}  // namespace

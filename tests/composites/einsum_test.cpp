// einsum and its kin against PyTorch; NumPy's grammar beyond it; the order of contraction.
#include <numeric>

#include "composites.h"

using namespace kiln;

namespace {

using test::Case;
using test::Inputs;
using test::one;

TEST(Einsum, Values) {
  // In the order of the script's EINSUMS.
  const std::vector<std::string> equations = {"ij,jk->ik",       "ij,jk",
                                              "ij->ji",          "ii",
                                              "ii->i",           "ij->",
                                              "bij,bjk->bik",    "...ij,...jk->...ik",
                                              "i,j->ij",         "ij,ij->ij",
                                              "ijj->ij",         "ij,k->kji",
                                              "bhqd,bhkd->bhqk", "ij,jk,kl->il",
                                              "a,ab,b->",        "...,...->...",
                                              "i...->...",       "ij,jk,kl,lm,m->i",
                                              "iij,jk->ik",      "ba",
                                              "ij,kj->ik",       "abc,cd,ad->b",
                                              "i,i,i->i",        "z...,z...->..."};
  std::vector<Case> cases;
  for (std::size_t i = 0; i < equations.size(); ++i)
    cases.push_back({(i < 10 ? "0" : "") + std::to_string(i), one([=](const Inputs& in) { return einsum(equations[i], in); })});
  const auto add = [&](const char* name, auto f, bool symbolic = true) { cases.push_back({name, one(f), symbolic}); };
  add("tensordot", [](const Inputs& in) { return tensordot(in[0], in[1]); });
  add("tensordot_axes", [](const Inputs& in) { return tensordot(in[0], in[1], {0, 2}, {1, 0}); });
  add("outer", [](const Inputs& in) { return outer(in[0], in[1]); });
  add("inner", [](const Inputs& in) { return inner(in[0], in[1]); });
  add("vecdot", [](const Inputs& in) { return vecdot(in[0], in[1]); });
  add("kron", [](const Inputs& in) { return kron(in[0], in[1]); });
  add("cross", [](const Inputs& in) { return cross(in[0], in[1]); }, false);
  add("cross_first", [](const Inputs& in) { return cross(in[0], in[1], 0); }, false);
  add("bilinear", [](const Inputs& in) { return bilinear(in[0], in[1], in[2], in[3]); });
  test::check_cases("einsum", cases);
}

TEST(Einsum, RepeatsExtentsOfOne) {
  const Array a({2, 3}, {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}), row({1, 3}, {1.0, 10.0, 100.0});
  const auto out = test::evaluate({a, row}, [](Graph&, const Inputs& in) {
    return std::vector<Tensor>{einsum("ij,ij->ij", {in[0], in[1]}), einsum("ij,ij->ij", {in[1], in[1]})};
  });
  test::expect_near(out[0], Array({2, 3}, {1.0, 20.0, 300.0, 4.0, 50.0, 600.0}), 0);
  test::expect_near(out[1], Array({1, 3}, {1.0, 100.0, 10000.0}), 0);
}

TEST(Einsum, OfIntegers) {
  const auto out = test::evaluate({Array({2, 2}, std::vector<std::int64_t>{1, 2, 3, 4})},
                                  [](Graph&, const Inputs& in) { return std::vector<Tensor>{einsum("ij,jk->ik", {in[0], in[0]})}; });
  test::expect_near(out[0], Array({2, 2}, std::vector<std::int64_t>{7, 10, 15, 22}), 0);
}

/// The largest tensor that any node of the graph makes, in elements.
std::int64_t largest(const Graph& graph) {
  std::int64_t most = 0;
  const std::string text = graph.text();
  for (std::size_t at = 0; (at = text.find(": f64[", at)) != std::string::npos; ++at) {
    std::int64_t size = 1, value = 0;
    for (std::size_t i = at + 6; text[i] != ']'; ++i) {
      if (text[i] >= '0' && text[i] <= '9') value = value * 10 + (text[i] - '0');
      if (text[i] == ',') size *= value, value = 0;
    }
    most = std::max(most, size * std::max<std::int64_t>(value, 1));
  }
  return most;
}

TEST(Einsum, ContractsInACheapOrder) {
  // A chain of matrices that is cheap from the right only: no product of two of the large matrices is made.
  Graph graph;
  const Tensor m = graph.placeholder("m", f64, {100, 100}), v = graph.placeholder("v", f64, {100});
  einsum("ab,bc,cd,d->a", {m, m, m, v});
  EXPECT_EQ(graph.text().find("f64[100, 100]", graph.text().find("dot_general")), std::string::npos) << graph.text();
  // More operands than the exact search takes.
  Graph many;
  const Tensor x = many.placeholder("x", f64, {20, 20}), y = many.placeholder("y", f64, {20});
  const Tensor all = einsum("a,ab,bc,cd,de,ef,fg,gh,hi,i->", {y, x, x, x, x, x, x, x, x, y});
  EXPECT_EQ(to_string(all), "f64[]");
  EXPECT_LE(largest(many), 400);
}

}  // namespace

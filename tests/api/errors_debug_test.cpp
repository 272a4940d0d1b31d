// Wrong programs: values that are looked at, and extents that only the run can compare.
// clang-format off: the cases' lines are part of the expected texts.
#include "errors.h"

// Values made to be refused are not used.
#pragma GCC diagnostic ignored "-Wunused-variable"

namespace kiln::test {

std::vector<WrongProgram> wrong_debugging() {
  std::vector<WrongProgram> all;

  all.push_back({"check_finite_of_integers", [] {
#line 1 "check_finite_of_integers.cpp"
Graph graph;
check_finite(graph.placeholder("x", i32, {4}));
  }});

  all.push_back({"not_finite", [] {
#line 1 "not_finite.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("n")});
Tensor y = log(x);
Tensor z = reduce_sum(y * y);
Session(graph, options()).run({z, check_finite(z)}, {{x, Array({2}, {1.0F, 0.0F})}});
  }});

  all.push_back({"extents_differ_in_a_run", [] {
#line 1 "extents_differ_in_a_run.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("n"), 2}), y = graph.placeholder("y", f32, {Dim("m"), 2});
Tensor z = x * y;
Session(graph, options()).run(z, {{x, Array::full(f32, Shape{3, 2}, 1)}, {y, Array::full(f32, Shape{4, 2}, 1)}});
  }});

  all.push_back({"inner_dims_differ_in_a_run", [] {
#line 1 "inner_dims_differ_in_a_run.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {2, Dim("n")}), y = graph.placeholder("y", f32, {Dim("m"), 2});
Tensor z = matmul(x, y);
Session(graph, options()).run(z, {{x, Array::full(f32, Shape{2, 3}, 1)}, {y, Array::full(f32, Shape{4, 2}, 1)}});
  }});

  all.push_back({"reshape_differs_in_a_run", [] {
#line 1 "reshape_differs_in_a_run.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("n")}), like = graph.placeholder("like", f32, {Dim("m")});
Tensor z = reshape(x, {Dim("m"), 2});
Session(graph, options()).run(z, {{x, Array::full(f32, Shape{6}, 1)}, {like, Array::full(f32, Shape{4}, 1)}});
  }});

  all.push_back({"produced_extent_may_differ", [] {
#line 1 "produced_extent_may_differ.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("n")});
x + boolean_mask(x, greater(x, 0));
  }});

  return all;
}

}  // namespace kiln::test

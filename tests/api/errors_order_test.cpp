// Wrong programs: sorting, and extents that a run produces.
// clang-format off: the cases' lines are part of the expected texts.
#include "errors.h"

// Values made to be refused are not used.
#pragma GCC diagnostic ignored "-Wunused-variable"

namespace kiln::test {

std::vector<WrongProgram> wrong_orders() {
  std::vector<WrongProgram> all;

  all.push_back({"top_k_of_more_than_there_are", [] {
#line 1 "top_k_of_more_than_there_are.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {8, Dim("n")});
top_k(x, 3);
  }});

  all.push_back({"sort_of_scalar", [] {
#line 1 "sort_of_scalar.cpp"
Graph graph;
sort(graph.placeholder("x", f32, {}));
  }});

  all.push_back({"lexsort_shapes", [] {
#line 1 "lexsort_shapes.cpp"
Graph graph;
lexsort({graph.placeholder("x", f32, {4}), graph.placeholder("y", f32, {5})});
  }});

  all.push_back({"quantile_of_integers", [] {
#line 1 "quantile_of_integers.cpp"
Graph graph;
quantile(graph.placeholder("x", i32, {4}), 0.5);
  }});

  all.push_back({"mask_shape", [] {
#line 1 "mask_shape.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("n"), 4});
boolean_mask(x, graph.placeholder("m", boolean, {Dim("m")}));
  }});

  all.push_back({"produced_extent_is_fed", [] {
#line 1 "produced_extent_is_fed.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {100});
Tensor found = flatnonzero(greater(x, 0));
graph.placeholder("weights", f32, {found.dim(0)});
  }});

  all.push_back({"produced_extent_leaves_a_loop", [] {
#line 1 "produced_extent_leaves_a_loop.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {100});
while_loop([](const auto& v) { return less(reduce_sum(v[0]), 1); },
[](const auto& v) { return std::vector{boolean_mask(v[0], greater(v[0], 0))}; }, {x});
  }});

  all.push_back({"produced_extents_differ", [] {
#line 1 "produced_extents_differ.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {100});
Tensor positive = boolean_mask(x, greater(x, 0)), negative = boolean_mask(x, less(x, 0));
positive + negative;
  }});

  all.push_back({"gradient_through_produced_extent", [] {
#line 1 "gradient_through_produced_extent.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {100});
Tensor y = for_loop(3, [](const auto&, const auto& v) { return std::vector{v[0] * reduce_sum(boolean_mask(v[0], greater(v[0], 0)))}; }, {x})[0];
gradients(reduce_sum(y), {x});
  }});

  return all;
}

}  // namespace kiln::test

// Wrong programs: indexing by computed integers, and arrangement of elements.
// clang-format off: the cases' lines are part of the expected texts.
#include "errors.h"

// Values made to be refused are not used.
#pragma GCC diagnostic ignored "-Wunused-variable"

namespace kiln::test {

std::vector<WrongProgram> wrong_indexing() {
  std::vector<WrongProgram> all;

  all.push_back({"take_scalar_table", [] {
#line 1 "take_scalar_table.cpp"
Graph graph;
Tensor ids = graph.placeholder("ids", i64, {4});
take(3, ids);
  }});

  all.push_back({"take_empty_axis", [] {
#line 1 "take_empty_axis.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {0, 3});
take(x, 1);
  }});

  all.push_back({"take_along_axis_rank", [] {
#line 1 "take_along_axis_rank.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
Tensor at = graph.placeholder("at", i64, {4});
take_along_axis(x, at, 1);
  }});

  all.push_back({"take_along_axis_shapes", [] {
#line 1 "take_along_axis_shapes.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
Tensor at = graph.placeholder("at", i64, {5, 2});
take_along_axis(x, at, 1);
  }});

  all.push_back({"gather_elements_longer", [] {
#line 1 "gather_elements_longer.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
Tensor at = graph.placeholder("at", i64, {5, 2});
gather_elements(x, at, 1);
  }});

  all.push_back({"gather_nd_components", [] {
#line 1 "gather_nd_components.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
Tensor at = graph.placeholder("at", i64, {7, 3});
gather_nd(x, at);
  }});

  all.push_back({"gather_nd_symbol", [] {
#line 1 "gather_nd_symbol.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
Tensor at = graph.placeholder("at", i64, {7, Dim("k")});
gather_nd(x, at);
  }});

  all.push_back({"embedding_padding", [] {
#line 1 "embedding_padding.cpp"
Graph graph;
Tensor words = graph.placeholder("words", f32, {100, 8});
Tensor ids = graph.placeholder("ids", i64, {7});
embedding(words, ids, 100);
  }});

  all.push_back({"scatter_updates", [] {
#line 1 "scatter_updates.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
Tensor at = graph.placeholder("at", i64, {2, 3});
Tensor u = graph.placeholder("u", f32, {2, 2});
scatter_elements(x, at, u);
  }});

  all.push_back({"scatter_dtypes", [] {
#line 1 "scatter_dtypes.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4});
Tensor at = graph.placeholder("at", i64, {2});
Tensor u = graph.placeholder("u", f64, {2});
scatter_elements(x, at, u);
  }});

  all.push_back({"scatter_bool", [] {
#line 1 "scatter_bool.cpp"
Graph graph;
Tensor x = graph.placeholder("x", boolean, {4});
Tensor at = graph.placeholder("at", i64, {2});
scatter_elements(x, at, x, 0, Combine::add);
  }});

  all.push_back({"scatter_nd_indices", [] {
#line 1 "scatter_nd_indices.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4});
Tensor at = graph.placeholder("at", i64, {2, 2});
scatter_nd(x, at, 1);
  }});

  all.push_back({"index_add_matrix", [] {
#line 1 "index_add_matrix.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
Tensor at = graph.placeholder("at", i64, {2, 2});
index_add(x, 0, at, 1);
  }});

  all.push_back({"segment_ids", [] {
#line 1 "segment_ids.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
Tensor ids = graph.placeholder("ids", i64, {3});
segment_sum(x, ids, 5);
  }});

  all.push_back({"dynamic_slice_starts", [] {
#line 1 "dynamic_slice_starts.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
dynamic_slice(x, {1}, {2, 3});
  }});

  all.push_back({"dynamic_slice_window", [] {
#line 1 "dynamic_slice_window.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
dynamic_slice(x, {1, 0}, {5, 3});
  }});

  all.push_back({"dynamic_update_dtypes", [] {
#line 1 "dynamic_update_dtypes.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4});
Tensor u = graph.placeholder("u", i32, {2});
dynamic_update_slice(x, u, {0});
  }});

  all.push_back({"index_beyond", [] {
#line 1 "index_beyond.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
index(x, {ellipsis, -4});
  }});

  all.push_back({"index_too_many", [] {
#line 1 "index_too_many.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
index(x, {0, 0, 0});
  }});

  all.push_back({"index_two_tensors", [] {
#line 1 "index_two_tensors.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
Tensor at = graph.placeholder("at", i64, {2});
index(x, {at, at});
  }});

  all.push_back({"index_step", [] {
#line 1 "index_step.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4});
index(x, {Slice{.step = 0}});
  }});

  all.push_back({"split_sizes", [] {
#line 1 "split_sizes.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 3});
split(x, Dims{1, 2});
  }});

  all.push_back({"split_parts", [] {
#line 1 "split_parts.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("n"), 3});
split(x, 2);
  }});

  all.push_back({"unstack_symbol", [] {
#line 1 "unstack_symbol.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("n"), 3});
unstack(x);
  }});

  all.push_back({"diagonal_vector", [] {
#line 1 "diagonal_vector.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4});
diagonal(x);
  }});

  all.push_back({"tile_negative", [] {
#line 1 "tile_negative.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4});
tile(x, {-1});
  }});

  return all;
}

}  // namespace kiln::test

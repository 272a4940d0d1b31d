// Wrong programs: pooling, running folds, statistics.
// clang-format off: the cases' lines are part of the expected texts.
#include "errors.h"

// Values made to be refused are not used.
#pragma GCC diagnostic ignored "-Wunused-variable"

namespace kiln::test {

std::vector<WrongProgram> wrong_folds() {
  std::vector<WrongProgram> all;

  all.push_back({"pool_rank", [] {
#line 1 "pool_rank.cpp"
Graph graph;
Tensor image = graph.placeholder("image", f32, {28, 28});
max_pool(image, 2);
  }});

  all.push_back({"pool_window", [] {
#line 1 "pool_window.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {Dim("n"), 3, 28, 28});
avg_pool(images, {1, 2, 2, 1});
  }});

  all.push_back({"pool_stride", [] {
#line 1 "pool_stride.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {Dim("n"), 3, 28, 28});
max_pool(images, 2, {.stride = 0});
  }});

  all.push_back({"pool_padding", [] {
#line 1 "pool_padding.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {Dim("n"), 3, 28, 28});
max_pool(images, 2, {.padding = {{0, 1}, {2, 0}}});
  }});

  all.push_back({"pool_padding_pairs", [] {
#line 1 "pool_padding_pairs.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {Dim("n"), 3, 28, 28});
max_pool(images, 2, {.padding = {{0, 1}}});
  }});

  all.push_back({"pool_dtype", [] {
#line 1 "pool_dtype.cpp"
Graph graph;
Tensor images = graph.placeholder("images", u8, {Dim("n"), 3, 28, 28});
avg_pool(images, 2);
  }});

  all.push_back({"pool_order", [] {
#line 1 "pool_order.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {Dim("n"), 3, 28, 28});
lp_pool(images, 0, 2);
  }});

  all.push_back({"pool_adaptive_symbolic", [] {
#line 1 "pool_adaptive_symbolic.cpp"
Graph graph;
Tensor images = graph.placeholder("images", f32, {1, 3, Dim("h"), Dim("w")});
adaptive_avg_pool(images, 7);
  }});

  all.push_back({"unpool_shapes", [] {
#line 1 "unpool_shapes.cpp"
Graph graph;
Tensor values = graph.placeholder("values", f32, {1, 3, 14, 14});
Tensor indices = graph.placeholder("indices", i64, {1, 4, 14, 14});
max_unpool(values, indices, {28, 28});
  }});

  all.push_back({"unpool_dims", [] {
#line 1 "unpool_dims.cpp"
Graph graph;
Tensor values = graph.placeholder("values", f32, {1, 3, 14, 14});
Tensor indices = graph.placeholder("indices", i64, {1, 3, 14, 14});
max_unpool(values, indices, {1, 3, 28, 28});
  }});

  all.push_back({"cumsum_axis", [] {
#line 1 "cumsum_axis.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3, 4});
cumsum(x, 2);
  }});

  all.push_back({"cumsum_bool", [] {
#line 1 "cumsum_bool.cpp"
Graph graph;
Tensor x = graph.placeholder("x", boolean, {3, 4});
cumsum(x);
  }});

  all.push_back({"linear_recurrence_shapes", [] {
#line 1 "linear_recurrence_shapes.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {3, 4}), b = graph.placeholder("b", f32, {3, 5});
linear_recurrence(a, b);
  }});

  all.push_back({"diff_of_perhaps_nothing", [] {
#line 1 "diff_of_perhaps_nothing.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("n")});
diff(x);
  }});

  all.push_back({"diff_order", [] {
#line 1 "diff_order.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {5});
diff(x, -1);
  }});

  all.push_back({"variance_of_integers", [] {
#line 1 "variance_of_integers.cpp"
Graph graph;
Tensor x = graph.placeholder("x", i32, {5});
reduce_variance(x);
  }});

  all.push_back({"norm_of_nothing", [] {
#line 1 "norm_of_nothing.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {5});
norm(x, std::numeric_limits<double>::quiet_NaN());
  }});

  return all;
}

}  // namespace kiln::test

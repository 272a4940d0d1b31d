// Wrong programs: shapes and dtypes that do not fit together.
// clang-format off: the cases' lines are part of the expected texts.
#include "errors.h"

// Values made to be refused are not used.
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"

namespace kiln::test {

std::vector<WrongProgram> wrong_shapes() {
  std::vector<WrongProgram> all;

  all.push_back({"matmul_inner", [] {
#line 1 "matmul_inner.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {64, 1000});
Tensor w = graph.placeholder("w", f32, {100, 10});
matmul(x, w);
  }});

  all.push_back({"matmul_scalar", [] {
#line 1 "matmul_scalar.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {64, 1000});
Tensor s = graph.placeholder("s", f32, {});
matmul(x, s);
  }});

  all.push_back({"matmul_number", [] {
#line 1 "matmul_number.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {64, 1000});
matmul(x, 2);
  }});

  all.push_back({"matmul_batch", [] {
#line 1 "matmul_batch.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {5, 2, 3});
Tensor b = graph.placeholder("b", f32, {4, 3, 2});
matmul(a, b);
  }});

  all.push_back({"matmul_dtypes", [] {
#line 1 "matmul_dtypes.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {2, 3});
Tensor b = graph.placeholder("b", f64, {3, 2});
matmul(a, b);
  }});

  all.push_back({"add_shapes", [] {
#line 1 "add_shapes.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {64, 100});
Tensor b = graph.placeholder("b", f32, {10});
a + b;
  }});

  all.push_back({"add_dtypes", [] {
#line 1 "add_dtypes.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {3});
Tensor b = graph.placeholder("b", i64, {3});
a * b;
  }});

  all.push_back({"literal_fraction", [] {
#line 1 "literal_fraction.cpp"
Graph graph;
Tensor count = graph.placeholder("count", i32, {3});
Tensor half =
    count * 0.5;
  }});

  all.push_back({"literal_range", [] {
#line 1 "literal_range.cpp"
Graph graph;
Tensor byte = graph.placeholder("byte", u8, {3});
byte + 300;
  }});

  all.push_back({"no_tensor", [] {
#line 1 "no_tensor.cpp"
add(1, 2);
  }});

  all.push_back({"arithmetic_of_bool", [] {
#line 1 "arithmetic_of_bool.cpp"
Graph graph;
Tensor a = graph.placeholder("a", boolean, {3});
a + a;
  }});

  all.push_back({"reshape_size", [] {
#line 1 "reshape_size.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("batch"), 28, 28});
reshape(x, {Dim("batch"), 700});
  }});

  all.push_back({"reshape_two_open", [] {
#line 1 "reshape_two_open.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 6});
reshape(x, {-1, -1});
  }});

  all.push_back({"reshape_indivisible", [] {
#line 1 "reshape_indivisible.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 6});
reshape(x, {5, -1});
  }});

  all.push_back({"transpose_permutation", [] {
#line 1 "transpose_permutation.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 6, 2});
transpose(x, {0, 1, 1});
  }});

  all.push_back({"transpose_length", [] {
#line 1 "transpose_length.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 6, 2});
transpose(x, {1, 0});
  }});

  all.push_back({"concatenate_shapes", [] {
#line 1 "concatenate_shapes.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {4, 6});
Tensor b = graph.placeholder("b", f32, {3, 5});
concatenate({a, b}, 0);
  }});

  all.push_back({"concatenate_nothing", [] {
#line 1 "concatenate_nothing.cpp"
concatenate({}, 0);
  }});

  all.push_back({"stack_shapes", [] {
#line 1 "stack_shapes.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {4, 6});
Tensor b = graph.placeholder("b", f32, {4, 5});
stack({a, b});
  }});

  all.push_back({"slice_bounds", [] {
#line 1 "slice_bounds.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 6});
slice(x, {0, 2}, {4, 7});
  }});

  all.push_back({"slice_rank", [] {
#line 1 "slice_rank.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 6});
slice(x, {0}, {4});
  }});

  all.push_back({"slice_symbol", [] {
#line 1 "slice_symbol.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("n"), 6});
slice(x, {0, 0}, {2, 6});
  }});

  all.push_back({"axis_range", [] {
#line 1 "axis_range.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 6});
reduce_sum(x, 2);
  }});

  all.push_back({"axis_of_scalar", [] {
#line 1 "axis_of_scalar.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {});
softmax(x);
  }});

  all.push_back({"axis_twice", [] {
#line 1 "axis_twice.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 6});
reduce_max(x, {1, -1});
  }});

  all.push_back({"squeeze_extent", [] {
#line 1 "squeeze_extent.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 6});
squeeze(x, 0);
  }});

  all.push_back({"broadcast_to_smaller", [] {
#line 1 "broadcast_to_smaller.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 6});
broadcast_to(x, {4, 1});
  }});

  all.push_back({"exp_of_integers", [] {
#line 1 "exp_of_integers.cpp"
Graph graph;
Tensor x = graph.placeholder("x", i32, {4});
kiln::exp(x);
  }});

  all.push_back({"mean_of_integers", [] {
#line 1 "mean_of_integers.cpp"
Graph graph;
Tensor x = graph.placeholder("x", u8, {4});
reduce_mean(x);
  }});

  all.push_back({"softmax_of_integers", [] {
#line 1 "softmax_of_integers.cpp"
Graph graph;
Tensor x = graph.placeholder("x", i64, {4});
softmax(x);
  }});

  all.push_back({"logic_of_numbers", [] {
#line 1 "logic_of_numbers.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4});
logical_and(x, greater(x, 0));
  }});

  all.push_back({"select_mask", [] {
#line 1 "select_mask.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4});
select(x, x, 0);
  }});

  all.push_back({"select_numbers", [] {
#line 1 "select_numbers.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4});
select(greater(x, 0), 1, 0);
  }});

  all.push_back({"take_indices", [] {
#line 1 "take_indices.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4});
take(x, x);
  }});

  all.push_back({"one_hot_indices", [] {
#line 1 "one_hot_indices.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4});
one_hot(x, 10);
  }});

  all.push_back({"pad_rank", [] {
#line 1 "pad_rank.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {4, 5});
pad(x, {1}, {1}, 0);
  }});

  all.push_back({"cross_entropy_labels", [] {
#line 1 "cross_entropy_labels.cpp"
Graph graph;
Tensor logits = graph.placeholder("logits", f32, {32, 10});
Tensor labels = graph.placeholder("labels", i64, {32, 1});
nn::CrossEntropyLoss()(logits, labels);
  }});

  all.push_back({"cross_entropy_bool", [] {
#line 1 "cross_entropy_bool.cpp"
Graph graph;
Tensor logits = graph.placeholder("logits", f32, {32, 10});
Tensor labels = graph.placeholder("labels", boolean, {32});
softmax_cross_entropy(logits, labels);
  }});

  all.push_back({"mse_shapes", [] {
#line 1 "mse_shapes.cpp"
Graph graph;
Tensor p = graph.placeholder("p", f32, {32, 1});
Tensor t = graph.placeholder("t", f32, {32});
nn::MSELoss()(p, t);
  }});

  all.push_back({"linear_input", [] {
#line 1 "linear_input.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {32, 28, 28});
nn::Sequential model(nn::Linear(784, 10), nn::ReLU());
model(x);
  }});

  all.push_back({"iota_axis", [] {
#line 1 "iota_axis.cpp"
Graph graph;
graph.iota(i32, {3}, 1);
  }});

  all.push_back({"random_integers", [] {
#line 1 "random_integers.cpp"
Graph graph;
graph.random_uniform(i32, {3});
  }});

  return all;
}

}  // namespace kiln::test

// Wrong programs: graphs that make no sense.
// clang-format off: the cases' lines are part of the expected texts.
#include "errors.h"

// Values made to be refused are not used.
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"

namespace kiln::test {

std::vector<WrongProgram> wrong_graphs() {
  std::vector<WrongProgram> all;

  all.push_back({"foreign_graph", [] {
#line 1 "foreign_graph.cpp"
Graph one, two;
Tensor a = one.placeholder("a", f32, {3});
Tensor b = two.placeholder("b", f32, {3});
a + b;
  }});

  all.push_back({"escaped_loop_body", [] {
#line 1 "escaped_loop_body.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
Tensor kept;
while_loop([&](auto& v) { return less(reduce_sum(v[0]), 10); },
           [&](auto& v) {
             kept = v[0] * 2;
             return std::vector<Tensor>{kept};
           },
           {x});
Tensor y = x + kept;
  }});

  all.push_back({"escaped_branch_fetched", [] {
#line 1 "escaped_branch_fetched.cpp"
Graph graph;
Tensor flag = graph.placeholder("flag", boolean, {});
Tensor x = graph.placeholder("x", f32, {3});
Tensor kept;
cond(flag, [&] { return kept = x * 2; }, [&] { return x; });
Session session(graph, options());
session.run(kept, {{flag, Array(true)}, {x, Array::zeros(f32, {3})}});
  }});

  all.push_back({"assign_in_loop", [] {
#line 1 "assign_in_loop.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3}));
while_loop([&](auto& v) { return less(reduce_sum(v[0]), 10); },
           [&](auto& v) {
             assign(w, v[0]);
             return std::vector<Tensor>{v[0] + 1};
           },
           {w});
  }});

  all.push_back({"assign_in_branch", [] {
#line 1 "assign_in_branch.cpp"
Graph graph;
Tensor flag = graph.placeholder("flag", boolean, {});
Variable w = graph.variable("w", zeros(f32, {3}));
cond(flag, [&] { return assign_add(w, 1); }, [&] { return w; });
  }});

  all.push_back({"assign_shape", [] {
#line 1 "assign_shape.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3, 4}));
assign(w, graph.zeros(f32, {4, 3}));
  }});

  all.push_back({"assign_dtype", [] {
#line 1 "assign_dtype.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3}));
assign_sub(w, graph.zeros(f64, {3}));
  }});

  all.push_back({"assign_rank", [] {
#line 1 "assign_rank.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3}));
assign_sub(w, graph.zeros(f32, {2, 3}));
  }});

  all.push_back({"duplicate_placeholder", [] {
#line 1 "duplicate_placeholder.cpp"
Graph graph;
graph.placeholder("x", f32, {3});
graph.placeholder("x", f32, {4});
  }});

  all.push_back({"duplicate_variable", [] {
#line 1 "duplicate_variable.cpp"
Graph graph;
graph.variable("w", zeros(f32, {3}));
graph.variable("w", zeros(f32, {4}));
  }});

  all.push_back({"duplicate_module", [] {
#line 1 "duplicate_module.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {1, 3});
nn::Linear one(3, 3), two(3, 3);
one(x);
two(x);
  }});

  all.push_back({"reserved_variable", [] {
#line 1 "reserved_variable.cpp"
Graph graph;
graph.variable("kiln.seed", zeros(u64, {}));
  }});

  all.push_back({"negative_extent", [] {
#line 1 "negative_extent.cpp"
Graph graph;
graph.placeholder("x", f32, {-1, 1000});
  }});

  all.push_back({"unknown_variable", [] {
#line 1 "unknown_variable.cpp"
Graph graph;
graph.variable("weight", zeros(f32, {3}));
graph.find_variable("wieght");
  }});

  all.push_back({"cond_branches", [] {
#line 1 "cond_branches.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
cond(greater(reduce_sum(x), 0), [&] { return x; }, [&] { return reduce_sum(x); });
  }});

  all.push_back({"cond_predicate", [] {
#line 1 "cond_predicate.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
cond(greater(x, 0), [&] { return x; }, [&] { return -x; });
  }});

  all.push_back({"loop_condition", [] {
#line 1 "loop_condition.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {});
while_loop([&](auto& v) { return v[0]; }, [&](auto& v) { return v; }, {x});
  }});

  all.push_back({"loop_body_shape", [] {
#line 1 "loop_body_shape.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
while_loop([&](auto& v) { return less(reduce_sum(v[0]), 9); }, [&](auto& v) { return std::vector<Tensor>{concatenate({v[0], v[0]}, 0)}; }, {x});
  }});

  all.push_back({"loop_body_count", [] {
#line 1 "loop_body_count.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {});
while_loop([&](auto& v) { return less(v[0], 9); }, [&](auto& v) { return std::vector<Tensor>{v[0], v[0]}; }, {x});
  }});

  all.push_back({"gradient_of_vector", [] {
#line 1 "gradient_of_vector.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3}));
Tensor loss = square(w);
gradients(loss, {w});
  }});

  all.push_back({"gradient_of_integer", [] {
#line 1 "gradient_of_integer.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(i32, {3}));
gradients(reduce_sum(w), {w});
  }});

  all.push_back({"gradient_for_integer", [] {
#line 1 "gradient_for_integer.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3}));
Tensor indices = graph.placeholder("indices", i64, {3});
gradients(reduce_sum(take(w, indices)), {indices});
  }});

  all.push_back({"gradient_unconnected", [] {
#line 1 "gradient_unconnected.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3}));
Variable unused = graph.variable("unused", zeros(f32, {3}));
Tensor loss = reduce_sum(w);
gradients(loss, {w, unused});
  }});

  all.push_back({"gradient_through_integers", [] {
#line 1 "gradient_through_integers.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3}));
Tensor rounded = convert(convert(w, i32), f32);
gradients(reduce_sum(rounded), {w});
  }});

  all.push_back({"gradient_seed", [] {
#line 1 "gradient_seed.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3}));
gradients(w * 2, {w}, graph.ones(f32, {4}));
  }});

  all.push_back({"check_condition", [] {
#line 1 "check_condition.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
check(greater(x, 0), "x must be positive");
  }});

  all.push_back({"custom_gradient_backward", [] {
#line 1 "custom_gradient_backward.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
custom_gradient({x}, [](auto& in) { return std::vector<Tensor>{reduce_sum(in[0])}; },
                [](auto&, auto&, auto& grad) { return std::vector<Tensor>{grad[0]}; });
  }});

  all.push_back({"custom_gradient_capture", [] {
#line 1 "custom_gradient_capture.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
Variable w = graph.variable("w", zeros(f32, {3}));
custom_gradient({x}, [&](auto& in) { return std::vector<Tensor>{in[0] * w}; },
                [&](auto&, auto&, auto& grad) { return std::vector<Tensor>{grad[0] * w}; });
  }});

  all.push_back({"initializer_capture", [] {
#line 1 "initializer_capture.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
graph.variable("w", Initializer(f32, {3}, [&](Graph&) { return x * 2; }));
  }});

  all.push_back({"initializer_shape", [] {
#line 1 "initializer_shape.cpp"
Graph graph;
graph.variable("w", Initializer(f32, {3}, [](Graph& g) { return g.zeros(f32, {4}); }));
  }});

  all.push_back({"fan_of_vector", [] {
#line 1 "fan_of_vector.cpp"
Graph graph;
graph.variable("b", xavier_uniform(f32, {10}));
  }});

  all.push_back({"nesterov_without_momentum", [] {
#line 1 "nesterov_without_momentum.cpp"
SGD({.lr = 0.1, .nesterov = true});
  }});

  all.push_back({"negative_eps", [] {
#line 1 "negative_eps.cpp"
Adam({.lr = 0.1, .eps = -1e-8});
  }});

  all.push_back({"minimize_nothing", [] {
#line 1 "minimize_nothing.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {});
SGD({.lr = 0.1}).minimize(x * x);
  }});

  all.push_back({"minimize_vector", [] {
#line 1 "minimize_vector.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {2, 3});
Tensor y = nn::Linear(3, 1)(x);
Adam().minimize(y);
  }});

  all.push_back({"dim_options_conflict", [] {
#line 1 "dim_options_conflict.cpp"
Graph graph;
graph.placeholder("x", f32, {Dim("n", {.min = 1})});
graph.placeholder("y", f32, {Dim("n", {.min = 2})});
  }});

  all.push_back({"dim_name", [] {
#line 1 "dim_name.cpp"
Dim batch("batch size");
  }});

  all.push_back({"dim_options", [] {
#line 1 "dim_options.cpp"
Dim batch("batch", {.min = 10, .max = 5});
  }});

  all.push_back({"default_tensor", [] {
#line 1 "default_tensor.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3}), nothing;
concatenate({x, nothing}, 0);
  }});

  all.push_back({"dropout_rate", [] {
#line 1 "dropout_rate.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
dropout(x, 1.5);
  }});

  all.push_back({"batches_rows", [] {
#line 1 "batches_rows.cpp"
Batches({Array::zeros(f32, {10, 2}), Array::zeros(i32, {9})}, {.batch_size = 2});
  }});

  all.push_back({"batch_size", [] {
#line 1 "batch_size.cpp"
Batches({Array::zeros(f32, {10, 2})}, {.batch_size = 0});
  }});

  all.push_back({"parameters_too_early", [] {
#line 1 "parameters_too_early.cpp"
nn::Sequential model(nn::Linear(3, 3));
model.parameters();
  }});

  all.push_back({"module_of_another_graph", [] {
#line 1 "module_of_another_graph.cpp"
Graph one, two;
nn::Linear layer(3, 3);
layer(one.placeholder("x", f32, {1, 3}));
layer(two.placeholder("x", f32, {1, 3}));
  }});

  all.push_back({"group_of_two_graphs", [] {
#line 1 "group_of_two_graphs.cpp"
Graph one, two;
Variable a = one.variable("a", Array(1.0f)), b = two.variable("b", Array(1.0f));
group({assign(a, 2), assign(b, 2)});
  }});

  return all;
}

}  // namespace kiln::test

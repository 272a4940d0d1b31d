// Wrong programs: feeds, runs and files.
// clang-format off: the cases' lines are part of the expected texts.
#include "errors.h"
#include <chrono>
#include <filesystem>
#include <fstream>

#include "kiln/files.h"

// Values made to be refused are not used.
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"

namespace kiln::test {

std::vector<WrongProgram> wrong_feeds() {
  std::vector<WrongProgram> all;

  all.push_back({"missing_feed", [] {
#line 1 "missing_feed.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("batch"), 3});
Tensor y = graph.placeholder("y", f32, {Dim("batch")});
Tensor loss = reduce_sum(reduce_sum(x, 1) - y);
Session session(graph, options());
session.run(loss, {{x, Array::zeros(f32, {2, 3})}});
  }});

  all.push_back({"feed_shape", [] {
#line 1 "feed_shape.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("batch"), 3});
Session session(graph, options());
session.run(x * 2, {{x, Array::zeros(f32, {2, 4})}});
  }});

  all.push_back({"feed_rank", [] {
#line 1 "feed_rank.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("batch"), 3});
Session session(graph, options());
session.run(x * 2, {{x, Array::zeros(f32, {3})}});
  }});

  all.push_back({"feed_dtype", [] {
#line 1 "feed_dtype.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
Session session(graph, options());
session.run(x * 2, {{x, Array::zeros(f64, {3})}});
  }});

  all.push_back({"feed_symbol_conflict", [] {
#line 1 "feed_symbol_conflict.cpp"
Graph graph;
Dim batch("batch");
Tensor x = graph.placeholder("x", f32, {batch, 3});
Tensor y = graph.placeholder("y", f32, {batch, 3});
Session session(graph, options());
session.run(x + y, {{x, Array::zeros(f32, {2, 3})}, {y, Array::zeros(f32, {5, 3})}});
  }});

  all.push_back({"feed_below_minimum", [] {
#line 1 "feed_below_minimum.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("batch", {.min = 1})});
Session session(graph, options());
session.run(x * 2, {{x, Array::zeros(f32, {0})}});
  }});

  all.push_back({"feed_expression", [] {
#line 1 "feed_expression.cpp"
Graph graph;
Dim n("n");
Tensor x = graph.placeholder("x", f32, {n});
Tensor y = graph.placeholder("y", f32, {2 * n});
Session session(graph, options());
session.run(reduce_sum(x) + reduce_sum(y), {{x, Array::zeros(f32, {3})}, {y, Array::zeros(f32, {5})}});
  }});

  all.push_back({"feed_of_computed", [] {
#line 1 "feed_of_computed.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
Tensor y = x * 2;
Session session(graph, options());
session.run(y, {{y, Array::zeros(f32, {3})}});
  }});

  all.push_back({"feed_of_variable", [] {
#line 1 "feed_of_variable.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3}));
Session session(graph, options());
session.run(w * 2, {{w, Array::zeros(f32, {3})}});
  }});

  all.push_back({"feed_twice", [] {
#line 1 "feed_twice.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
Session session(graph, options());
session.run(x * 2, {{x, Array::zeros(f32, {3})}, {"x", Array::zeros(f32, {3})}});
  }});

  all.push_back({"feed_unknown", [] {
#line 1 "feed_unknown.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
Session session(graph, options());
session.run(x * 2, {{"input", Array::zeros(f32, {3})}});
  }});

  all.push_back({"fetch_unknown", [] {
#line 1 "fetch_unknown.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
Session session(graph, options());
session.run("loss", {{x, Array::zeros(f32, {3})}});
  }});

  all.push_back({"fetch_foreign", [] {
#line 1 "fetch_foreign.cpp"
Graph one, two;
Tensor a = one.constant(Array(1.0f));
Session session(two, options());
session.run(a);
  }});

  all.push_back({"fetch_empty_operation", [] {
#line 1 "fetch_empty_operation.cpp"
Graph graph;
Operation nothing;
Session session(graph, options());
session.run({nothing});
  }});

  all.push_back({"unbound_symbol", [] {
#line 1 "unbound_symbol.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {Dim("n")});
Tensor zeros = graph.zeros(f32, {Dim("n")});
Session session(graph, options());
session.run(zeros);
  }});

  all.push_back({"double_assign", [] {
#line 1 "double_assign.cpp"
Graph graph;
Variable w = graph.variable("w", Array(1.0f));
Operation one = assign(w, 2);
Operation two = assign_add(w, 1);
Session session(graph, options());
session.initialize();
session.run({one, two});
  }});

  all.push_back({"uninitialized", [] {
#line 1 "uninitialized.cpp"
Graph graph;
Variable w = graph.variable("w", Array(1.0f));
Session session(graph, options());
session.run(w + 1);
  }});

  all.push_back({"check_failed", [] {
#line 1 "check_failed.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {});
Operation positive = check(greater(x, 0), "x must be positive");
Session session(graph, options());
session.run({positive}, {{x, Array(-1.0f)}});
  }});

  all.push_back({"deadline", [] {
#line 1 "deadline.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {});
Session session(graph, options());
RunOptions limit;
limit.deadline = std::chrono::nanoseconds(1);
session.run(x + 1, {{x, Array(1.0f)}}, limit);
  }});

  all.push_back({"cancelled", [] {
#line 1 "cancelled.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {});
Session session(graph, options());
RunOptions stop;
stop.cancel = CancelToken();
stop.cancel->cancel();
session.run(x + 1, {{x, Array(1.0f)}}, stop);
  }});

  all.push_back({"set_value_shape", [] {
#line 1 "set_value_shape.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3}));
Session session(graph, options());
session.set_value(w, Array::zeros(f32, {4}));
  }});

  all.push_back({"set_value_dtype", [] {
#line 1 "set_value_dtype.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3}));
Session session(graph, options());
session.set_value("w", Array::zeros(f64, {3}));
  }});

  all.push_back({"value_of_tensor", [] {
#line 1 "value_of_tensor.cpp"
Graph graph;
Variable w = graph.variable("w", zeros(f32, {3}));
Tensor y = w * 2;
Session session(graph, options());
session.value(y);
  }});

  all.push_back({"value_unknown", [] {
#line 1 "value_unknown.cpp"
Graph graph;
graph.variable("w", zeros(f32, {3}));
Session session(graph, options());
session.value("v");
  }});

  all.push_back({"load_missing", [] {
#line 1 "load_missing.cpp"
Array::load("no_such_file.npy");
  }});

  all.push_back({"load_truncated", [] {
#line 1 "load_truncated.cpp"
write_npy("truncated.npy", Array::zeros(f32, {100}));
std::filesystem::resize_file("truncated.npy", 200);
Array::load("truncated.npy");
  }});

  all.push_back({"restore_missing", [] {
#line 1 "restore_missing.cpp"
Graph graph;
graph.variable("w", zeros(f32, {3}));
Session session(graph, options());
session.restore("no_such_file.safetensors");
  }});

  all.push_back({"restore_other_model", [] {
#line 1 "restore_other_model.cpp"
Graph one, two;
one.variable("w", Array(1.0f));
two.variable("w", Array({2}, {1.0f, 2.0f}));
Session first(one, options()), second(two, options());
first.initialize();
first.save("other_model.safetensors");
second.restore("other_model.safetensors");
  }});

  all.push_back({"restore_damaged", [] {
#line 1 "restore_damaged.cpp"
std::ofstream("damaged.safetensors") << "this is no model";
Graph graph;
graph.variable("w", zeros(f32, {3}));
Session session(graph, options());
session.restore("damaged.safetensors");
  }});

  all.push_back({"read_missing", [] {
#line 1 "read_missing.cpp"
Graph::read("no_such_file.kiln");
  }});

  all.push_back({"unknown_pass", [] {
#line 1 "unknown_pass.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
program_text(graph, std::vector<Key>{x * 2}, std::vector<Key>{x}, {.after_pass = "optimise"});
  }});

  all.push_back({"unknown_target", [] {
#line 1 "unknown_target.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
program_text(graph, std::vector<Key>{x * 2}, std::vector<Key>{x}, {.target = "vax"});
  }});

  return all;
}

}  // namespace kiln::test

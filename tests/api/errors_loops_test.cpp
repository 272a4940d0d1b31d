// Wrong calls of scan, map, for_loop, switch_case, checkpoint and the derivatives of functions. See errors.h.
// clang-format off
#include "errors.h"

using namespace kiln;

namespace kiln::test {

std::vector<WrongProgram> wrong_loops() {
  std::vector<WrongProgram> all;

  all.push_back({"scan_carried", [] {
#line 1 "scan_carried.cpp"
Graph graph;
Tensor h = graph.placeholder("h", f32, {4}), xs = graph.placeholder("xs", f32, {10, 4});
scan([&](auto& c, auto& s) { return ScanResult{{concatenate({c[0], s[0]}, 0)}, {}}; }, {h}, {xs});
  }});

  all.push_back({"scan_count", [] {
#line 1 "scan_count.cpp"
Graph graph;
Tensor h = graph.placeholder("h", f32, {4}), xs = graph.placeholder("xs", f32, {10, 4});
scan([&](auto& c, auto& s) { return ScanResult{{}, {c[0] + s[0]}}; }, {h}, {xs});
  }});

  all.push_back({"scan_lengths", [] {
#line 1 "scan_lengths.cpp"
Graph graph;
Tensor xs = graph.placeholder("xs", f32, {10, 4}), ys = graph.placeholder("ys", f32, {9, 4});
scan([&](auto&, auto& s) { return ScanResult{{}, {s[0] + s[1]}}; }, {}, {xs, ys});
  }});

  all.push_back({"scan_symbols", [] {
#line 1 "scan_symbols.cpp"
Graph graph;
Tensor xs = graph.placeholder("xs", f32, {Dim("time"), 4});
scan([&](auto&, auto& s) { return ScanResult{{}, {s[0]}}; }, {}, {xs}, {.length = 10});
  }});

  all.push_back({"scan_no_length", [] {
#line 1 "scan_no_length.cpp"
Graph graph;
Tensor h = graph.placeholder("h", f32, {4});
scan([&](auto& c, auto&) { return ScanResult{{c[0] * 2}, {}}; }, {h}, {});
  }});

  all.push_back({"scan_scalar_sequence", [] {
#line 1 "scan_scalar_sequence.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {});
scan([&](auto&, auto& s) { return ScanResult{{}, {s[0]}}; }, {}, {x});
  }});

  all.push_back({"scan_checkpoint_every", [] {
#line 1 "scan_checkpoint_every.cpp"
Graph graph;
Tensor xs = graph.placeholder("xs", f32, {10, 4});
scan([&](auto&, auto& s) { return ScanResult{{}, {s[0]}}; }, {}, {xs}, {.checkpoint_every = -2});
  }});

  all.push_back({"for_loop_body", [] {
#line 1 "for_loop_body.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
for_loop(5, [&](const Tensor& i, auto& v) { return std::vector<Tensor>{v[0] * convert(i, f32), v[0]}; }, {x});
  }});

  all.push_back({"switch_case_bodies", [] {
#line 1 "switch_case_bodies.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3}), kind = graph.placeholder("kind", i32, {});
switch_case(kind, {[&] { return std::vector{x}; }, [&] { return std::vector{-x}; }, [&] { return std::vector{reduce_sum(x)}; }});
  }});

  all.push_back({"switch_case_index", [] {
#line 1 "switch_case_index.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {});
switch_case(x, {[&] { return std::vector{x}; }});
  }});

  all.push_back({"checkpoint_no_inputs", [] {
#line 1 "checkpoint_no_inputs.cpp"
checkpoint([](auto& in) { return in; })({});
  }});

  all.push_back({"jvp_tangent", [] {
#line 1 "jvp_tangent.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3}), v = graph.placeholder("v", f32, {2});
jvp([](auto& in) { return std::vector{square(in[0])}; }, {x}, {v});
  }});

  all.push_back({"hessian_of_vector", [] {
#line 1 "hessian_of_vector.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3});
hessian([](const Tensor& in) { return square(in); }, x);
  }});

  all.push_back({"gradients_unconnected", [] {
#line 1 "gradients_unconnected.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {3}), z = graph.placeholder("z", f32, {3});
gradients({reduce_sum(x), reduce_sum(square(x))}, {x, z});
  }});

  all.push_back({"gradient_through_scan", [] {
#line 1 "gradient_through_scan.cpp"
Graph graph;
Tensor xs = graph.placeholder("xs", f32, {10, 4});
auto out = scan([&](auto& c, auto& s) { return ScanResult{{custom_call("f", {c[0] + s[0]}, {{f32, {4}}})[0]}, {}}; }, {graph.zeros(f32, {4})}, {xs});
gradients(reduce_sum(out.carried[0]), {xs});
  }});

  return all;
}

}  // namespace kiln::test

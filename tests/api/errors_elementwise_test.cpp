// Wrong programs: element-wise functions of wrong dtypes and arguments.
// clang-format off: the cases' lines are part of the expected texts.
#include "errors.h"

// Values made to be refused are not used.
#pragma GCC diagnostic ignored "-Wunused-variable"

namespace kiln::test {

std::vector<WrongProgram> wrong_elementwise() {
  std::vector<WrongProgram> all;

  all.push_back({"bitwise_of_floats", [] {
#line 1 "bitwise_of_floats.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {64, 10});
x & x;
  }});

  all.push_back({"bitwise_dtypes", [] {
#line 1 "bitwise_dtypes.cpp"
Graph graph;
Tensor a = graph.placeholder("a", i32, {64});
Tensor b = graph.placeholder("b", u32, {64});
bitwise_or(a, b);
  }});

  all.push_back({"shift_of_bool", [] {
#line 1 "shift_of_bool.cpp"
Graph graph;
Tensor mask = graph.placeholder("mask", boolean, {64});
mask << mask;
  }});

  all.push_back({"popcount_of_bool", [] {
#line 1 "popcount_of_bool.cpp"
Graph graph;
popcount(graph.placeholder("mask", boolean, {64}));
  }});

  all.push_back({"bitcast_of_bool", [] {
#line 1 "bitcast_of_bool.cpp"
Graph graph;
bitcast(graph.placeholder("mask", boolean, {64}), u8);
  }});

  all.push_back({"bitcast_to_bool", [] {
#line 1 "bitcast_to_bool.cpp"
Graph graph;
bitcast(graph.placeholder("x", f32, {64}), boolean);
  }});

  all.push_back({"bitcast_last_dim", [] {
#line 1 "bitcast_last_dim.cpp"
Graph graph;
bitcast(graph.placeholder("x", u8, {64, 3}), f32);
  }});

  all.push_back({"bitcast_scalar", [] {
#line 1 "bitcast_scalar.cpp"
Graph graph;
bitcast(graph.placeholder("x", u8, {}), f32);
  }});

  all.push_back({"reduce_precision_bits", [] {
#line 1 "reduce_precision_bits.cpp"
Graph graph;
reduce_precision(graph.placeholder("x", f32, {64}), 0, 7);
  }});

  all.push_back({"gcd_of_floats", [] {
#line 1 "gcd_of_floats.cpp"
Graph graph;
gcd(graph.placeholder("x", f32, {64}), 12);
  }});

  all.push_back({"lgamma_of_integers", [] {
#line 1 "lgamma_of_integers.cpp"
Graph graph;
lgamma(graph.placeholder("x", i64, {64}));
  }});

  all.push_back({"hypot_shapes", [] {
#line 1 "hypot_shapes.cpp"
Graph graph;
Tensor a = graph.placeholder("a", f32, {64, 10});
Tensor b = graph.placeholder("b", f32, {64});
hypot(a, b);
  }});

  all.push_back({"polygamma_order", [] {
#line 1 "polygamma_order.cpp"
Graph graph;
polygamma(-1, graph.placeholder("x", f32, {64}));
  }});

  all.push_back({"celu_alpha", [] {
#line 1 "celu_alpha.cpp"
Graph graph;
celu(graph.placeholder("x", f32, {64}), 0);
  }});

  all.push_back({"mish_of_integers", [] {
#line 1 "mish_of_integers.cpp"
Graph graph;
mish(graph.placeholder("x", i32, {64}));
  }});

  all.push_back({"glu_odd", [] {
#line 1 "glu_odd.cpp"
Graph graph;
glu(graph.placeholder("x", f32, {64, 7}));
  }});

  all.push_back({"swiglu_symbol", [] {
#line 1 "swiglu_symbol.cpp"
Graph graph;
swiglu(graph.placeholder("x", f32, {64, Dim("width")}));
  }});

  all.push_back({"prelu_axis", [] {
#line 1 "prelu_axis.cpp"
Graph graph;
Tensor x = graph.placeholder("x", f32, {8, 3, 32, 32});
Tensor slope = graph.placeholder("slope", f32, {3});
prelu(x, slope, 4);
  }});

  all.push_back({"sign_bit_of_bool", [] {
#line 1 "sign_bit_of_bool.cpp"
Graph graph;
sign_bit(graph.placeholder("mask", boolean, {64}));
  }});

  return all;
}

}  // namespace kiln::test

// Convolution, its transpose, columns: against PyTorch; symbolic extents against numbers; identities that hold bit for bit.
#include "composites.h"

using namespace kiln;

namespace {

using test::Case;
using test::Inputs;
using test::one;

TEST(Convolution, Values) {
  std::vector<Case> cases;
  // Extents of windows are no symbols, so each case runs with numbers.
  const auto add = [&](const std::string& name, auto f) { cases.push_back({name, one(f), false}); };
  add("conv1d", [](const Inputs& in) { return conv1d(in[0], in[1], in[2], {.stride = 2, .padding = 1}); });
  add("conv2d", [](const Inputs& in) { return conv2d(in[0], in[1], in[2], {.padding = 1}); });
  add("conv2d_strided", [](const Inputs& in) { return conv2d(in[0], in[1], {.stride = {2, 3}, .padding = PerAxis{1, 0}}); });
  add("conv2d_dilated", [](const Inputs& in) { return conv(in[0], in[1], {.padding = PerAxis{2, 1}, .dilation = {2, 3}}); });
  add("conv2d_groups", [](const Inputs& in) { return conv2d(in[0], in[1], {.padding = 1, .groups = 2}); });
  add("conv2d_depthwise",
      [](const Inputs& in) { return depthwise_conv(in[0], reshape(in[1], {3, 2, 3, 3}), {.stride = 2, .padding = 1}); });
  add("conv2d_same", [](const Inputs& in) { return conv2d(in[0], in[1], {.padding = Padding::same()}); });
  add("conv2d_last", [](const Inputs& in) { return conv2d(in[0], in[1], {.padding = 1, .layout = Layout::channels_last}); });
  add("conv3d", [](const Inputs& in) { return conv3d(in[0], in[1], {.stride = {1, 2, 1}, .padding = PerAxis{1, 1, 0}}); });
  add("transpose1d",
      [](const Inputs& in) { return conv_transpose(in[0], in[1], in[2], {.stride = 2, .padding = 1, .output_padding = 1}); });
  add("transpose2d", [](const Inputs& in) { return conv_transpose(in[0], in[1], {.stride = {2, 1}, .padding = 1}); });
  add("transpose2d_groups",
      [](const Inputs& in) { return conv_transpose(in[0], in[1], {.stride = 2, .output_padding = 1, .dilation = 2, .groups = 2}); });
  add("transpose3d", [](const Inputs& in) { return conv_transpose(in[0], in[1], {.stride = 2, .padding = 1}); });
  add("unfold", [](const Inputs& in) { return unfold(in[0], {3, 2}, {.stride = {2, 1}, .padding = {1, 0}, .dilation = {1, 2}}); });
  add("fold", [](const Inputs& in) { return fold(in[0], {6, 7}, {3, 2}, {.stride = {2, 1}, .padding = {1, 0}, .dilation = {1, 2}}); });
  test::check_cases("convolution", cases);
}

TEST(Convolution, SecondDerivatives) {
  const std::vector<Array> inputs{test::random_array(f64, {1, 2, 4, 3}), test::random_array(f64, {2, 2, 2, 2}, -1, 1, 2)};
  test::check_derivatives(inputs, [](const Inputs& in) { return square(conv2d(in[0], in[1], {.stride = {2, 1}, .padding = 1})); }, 1e-6);
  test::check_derivatives(inputs, [](const Inputs& in) { return square(conv_transpose(in[0], in[1], {.stride = 2})); }, 1e-6);
}

/// One graph with symbols for batch and spatial extents, run for several sizes; each result must be the one of a graph with numbers.
void expect_symbols_change_nothing(const std::function<Tensor(const Tensor&, const Tensor&)>& f, const Shape& weight) {
  Graph graph;
  const Dim n("n"), h("h", {.min = 1, .typical = 20}), w("w", {.min = 1});
  const Tensor x = graph.placeholder("x", f32, {n, 3, h, w}), y = graph.placeholder("y", f32, Dims(weight));
  const Tensor result = f(x, y);
  const std::vector<Tensor> grads = gradients(reduce_sum(square(result)), {x, y});
  Session session(graph, test::options());
  const Array weights = test::random_array(f32, weight, -1, 1, 3);
  for (const Shape& shape : {Shape{2, 3, 8, 9}, Shape{1, 3, 5, 20}, Shape{3, 3, 4, 4}, Shape{0, 3, 5, 5}}) {
    const Array image = test::random_array(f32, shape);
    const auto symbolic = session.run({result, grads[0], grads[1]}, {{x, image}, {y, weights}});
    const auto fixed = test::evaluate({image, weights}, [&](Graph&, const Inputs& in) {
      const Tensor r = f(in[0], in[1]);
      const std::vector<Tensor> g = gradients(reduce_sum(square(r)), {in[0], in[1]});
      return std::vector<Tensor>{r, g[0], g[1]};
    });
    for (std::size_t i = 0; i < fixed.size(); ++i)
      EXPECT_TRUE(identical(symbolic[i], fixed[i])) << "result " << i << " for " << to_string(shape);
  }
}

TEST(Convolution, Symbols) {
  expect_symbols_change_nothing([](const Tensor& x, const Tensor& w) { return conv2d(x, w, {.padding = 1}); }, {4, 3, 3, 3});
  expect_symbols_change_nothing([](const Tensor& x, const Tensor& w) { return conv2d(x, w, {.stride = 2, .padding = 1}); }, {4, 3, 3, 3});
  expect_symbols_change_nothing([](const Tensor& x, const Tensor& w) { return conv2d(x, w, {.stride = 2, .padding = Padding::same()}); },
                                {4, 3, 3, 2});
  expect_symbols_change_nothing([](const Tensor& x, const Tensor& w) { return conv_transpose(x, w, {.stride = 2, .padding = 1}); },
                                {3, 4, 3, 3});
}

TEST(Convolution, SameHasOneWindowForEachStride) {
  Graph graph;
  const Dim n("n");
  const Tensor x = graph.placeholder("x", f32, {1, 2, n});
  const Tensor w = graph.placeholder("w", f32, {3, 2, 4});
  EXPECT_EQ(to_string(conv1d(x, w, {.stride = 2, .padding = Padding::same()}).dim(2)), to_string(ceildiv(n, 2)));
  EXPECT_EQ(conv1d(x, w, {.padding = Padding::same_lower()}).dim(2), n);
  const Dim m("m", {.min = 1});  // of no element there would be one window's worth of results, not none
  const Tensor y = graph.placeholder("y", f32, {1, 2, m}), v = graph.placeholder("v", f32, {2, 3, 4});
  EXPECT_EQ(to_string(conv_transpose(y, v, {.stride = 2, .padding = Padding::same()}).dim(2)), to_string(2 * m));
}

TEST(Convolution, OutputExtentsChosen) {
  const auto run = [](const TransposedConvolutionOptions& options) {
    return test::evaluate({test::random_array(f64, {1, 2, 5}), test::random_array(f64, {2, 3, 3}, -1, 1, 2)},
                          [&](Graph&, const Inputs& in) { return std::vector<Tensor>{conv_transpose(in[0], in[1], options)}; })[0];
  };
  // 11 results in full; one of them is cut off before (ONNX: the odd one comes first), or after.
  EXPECT_TRUE(identical(run({.stride = 2, .output = 10}), run({.stride = 2, .padding = {{1, 0}}})));
  EXPECT_TRUE(identical(run({.stride = 2, .padding = Padding::same()}), run({.stride = 2, .padding = {{0, 1}}})));
  EXPECT_TRUE(identical(run({.stride = 2, .padding = Padding::same_lower()}), run({.stride = 2, .padding = {{1, 0}}})));
}

TEST(Convolution, LayoutsAgree) {
  // The order of sums is that of window and channels in both layouts, so results have equal bits.
  const auto results = test::evaluate(
      {test::random_array(f32, {2, 5, 9, 8}), test::random_array(f32, {7, 5, 3, 3}, -1, 1, 2)}, [](Graph&, const Inputs& in) {
        const Tensor last = conv2d(transpose(in[0], {0, 2, 3, 1}), transpose(in[1], {2, 3, 1, 0}),
                                   {.stride = 2, .padding = 1, .layout = Layout::channels_last});
        return std::vector<Tensor>{conv2d(in[0], in[1], {.stride = 2, .padding = 1}), transpose(last, {0, 3, 1, 2})};
      });
  EXPECT_TRUE(identical(results[0], results[1]));
}

TEST(Convolution, IntegersSumUpInAWiderDType) {
  const auto results = test::evaluate({test::random_array(i8, {1, 3, 6, 6}, -100, 100), test::random_array(i8, {2, 3, 3, 3}, -100, 100, 2)},
                                      [](Graph&, const Inputs& in) {
                                        return std::vector<Tensor>{conv2d(in[0], in[1], {.padding = 1, .dtype = i32}),
                                                                   conv2d(convert(in[0], i32), convert(in[1], i32), {.padding = 1})};
                                      });
  EXPECT_TRUE(identical(results[0], results[1]));
}

TEST(Convolution, FoldIsTheTransposeOfUnfold) {
  const std::vector<Array> x{test::random_array(f64, {2, 3, 7, 6})};
  const auto columns = [](const Tensor& t) { return unfold(t, {3, 2}, {.stride = {1, 2}, .padding = 1}); };
  const auto results = test::evaluate(x, [&](Graph& graph, const Inputs& in) {
    const Tensor unfolded = columns(in[0]);
    const Tensor weights = graph.constant(test::random_array(f64, {2, 18, 28}, -1, 1, 9));
    const Tensor back = fold(weights, {7, 6}, {3, 2}, {.stride = {1, 2}, .padding = 1});
    return std::vector<Tensor>{gradients(reduce_sum(unfolded * weights), {in[0]})[0], back};
  });
  test::expect_near(results[0], results[1], 1e-14);
}

}  // namespace

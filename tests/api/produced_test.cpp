// Extents that a run produces: all that there can be, nothing, and what lies between; in loops, with gradients, and their errors.
#include <functional>

#include "api_test.h"

using namespace kiln;
using kiln::test::options;

namespace {

template <class T>
void expect_array(const Array& actual, const Shape& shape, const std::vector<T>& values) {
  EXPECT_TRUE(identical(actual, Array(shape, values))) << actual << " instead of " << Array(shape, values);
}

/// The message of the Error that `work` throws.
std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return std::string(error.message()) + " (" + error.hint() + ")";
  }
  return "no error";
}

TEST(Produced, NonzeroFindsNothingSomethingAndEverything) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {Dim("n"), 2});
  const Tensor rows = nonzero(x), columns = nonzero(x, PositionLayout::columns), flat = flatnonzero(x);
  const Tensor count = graph.size(rows.dim(0));
  Session session(graph, options());
  const auto run = [&](const Array& value) { return session.run({rows, columns, flat, count}, {{x, value}}); };
  std::vector<Array> found = run(Array({3, 2}, {0.0F, 7.0F, 0.0F, 0.0F, 1.0F, -1.0F}));
  expect_array<std::int64_t>(found[0], {3, 2}, {0, 1, 2, 0, 2, 1});
  expect_array<std::int64_t>(found[1], {2, 3}, {0, 2, 2, 1, 0, 1});
  expect_array<std::int64_t>(found[2], {3}, {1, 4, 5});
  EXPECT_EQ(found[3].item<std::int64_t>(), 3);
  found = run(Array::zeros(f32, {3, 2}));
  expect_array<std::int64_t>(found[0], {0, 2}, {});
  expect_array<std::int64_t>(found[1], {2, 0}, {});
  EXPECT_EQ(found[3].item<std::int64_t>(), 0);
  found = run(Array::full(f32, {1, 2}, 1));
  expect_array<std::int64_t>(found[0], {2, 2}, {0, 0, 0, 1});
  found = run(Array(f32, {0, 2}));
  expect_array<std::int64_t>(found[2], {0}, {});
}

TEST(Produced, ExtentsFitTogetherAndCompute) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {Dim("n"), 3}), keep = graph.placeholder("keep", boolean, {Dim("n")});
  const Tensor rows = boolean_mask(x, keep);
  const Tensor scaled = rows * 2.0 + convert(expand_dims(graph.range(i64, rows.dim(0)), 1), f64);
  const Tensor total = reduce_sum(scaled, 0), gram = matmul(rows, transpose(rows)), left = graph.range(i64, x.dim(0) - rows.dim(0));
  Session session(graph, options());
  const Array value({4, 3}, {1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12.});
  for (int bits = 0; bits < 16; ++bits) {
    Array mask(boolean, {4});
    std::vector<double> wanted, sums(3);
    std::int64_t count = 0;
    for (int i = 0; i < 4; ++i) {
      mask.mutable_data<bool>()[i] = bits >> i & 1;
      if (!(bits >> i & 1)) continue;
      for (int j = 0; j < 3; ++j) {
        wanted.push_back(2.0 * (3 * i + j + 1) + static_cast<double>(count));
        sums[static_cast<std::size_t>(j)] += wanted.back();
      }
      ++count;
    }
    const std::vector<Array> got = session.run({scaled, total, gram, left}, {{x, value}, {keep, mask}});
    expect_array<double>(got[0], {count, 3}, wanted);
    expect_array<double>(got[1], {3}, sums);
    EXPECT_EQ(got[2].shape(), (Shape{count, count}));
    EXPECT_EQ(got[3].shape(), Shape{4 - count});
  }
}

TEST(Produced, MasksOfSeveralAxesAndCompress) {
  Graph graph;
  const Tensor x = graph.constant(Array({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}));
  const Tensor corners = graph.constant(Array({2, 2}, {true, false, false, true}));
  const Tensor second = graph.constant(Array({2}, {false, true})),
               odd = graph.constant(Array({8}, {true, false, true, false, true, false, true, false}));
  Session session(graph, options());
  expect_array<int>(session.run(boolean_mask(x, corners), {}), {2, 2}, {1, 2, 7, 8});
  expect_array<int>(session.run(boolean_mask(x, corners, 1), {}), {2, 2}, {1, 4, 5, 8});
  expect_array<int>(session.run(compress(second, x, 2), {}), {2, 2, 1}, {2, 4, 6, 8});
  expect_array<int>(session.run(compress(odd, x), {}), {4}, {1, 3, 5, 7});
  expect_array<int>(session.run(boolean_mask(x, corners, 0, {.max_size = 1}), {}), {1, 2}, {1, 2});
  expect_array<std::int64_t>(session.run(flatnonzero(x, {.max_size = 3}), {}), {3}, {0, 1, 2});
}

TEST(Produced, Unique) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {Dim("rows"), 4});
  const Unique sorted = unique(x), seen = unique(x, {.sorted = false, .name = "seen"}), two = unique(x, {.max_size = 2});
  Session session(graph, options());
  const auto run = [&](const Unique& u, const Array& value) {
    return session.run({u.values, u.inverse, u.counts, u.first_indices}, {{x, value}});
  };
  const Array value({2, 4}, {3.0F, nan, 1.0F, 3.0F, 2.0F, nan, 1.0F, 3.0F});
  std::vector<Array> got = run(sorted, value);
  EXPECT_EQ(got[0].shape(), Shape{4});
  EXPECT_EQ(got[0].at<float>({0}), 1);
  EXPECT_TRUE(std::isnan(got[0].at<float>({3})));
  expect_array<std::int64_t>(got[1], {2, 4}, {2, 3, 0, 2, 1, 3, 0, 2});
  expect_array<std::int64_t>(got[2], {4}, {2, 1, 3, 2});
  expect_array<std::int64_t>(got[3], {4}, {2, 4, 0, 1});
  got = run(seen, value);
  EXPECT_EQ(got[0].at<float>({0}), 3);
  EXPECT_EQ(got[0].at<float>({3}), 2);
  expect_array<std::int64_t>(got[1], {2, 4}, {0, 1, 2, 0, 3, 1, 2, 0});
  expect_array<std::int64_t>(got[2], {4}, {3, 2, 2, 1});
  expect_array<std::int64_t>(got[3], {4}, {0, 1, 2, 4});
  got = run(two, value);
  expect_array<float>(got[0], {2}, {1, 2});
  expect_array<std::int64_t>(got[2], {2}, {2, 1});
  got = run(sorted, Array(f32, {0, 4}));
  expect_array<float>(got[0], {0}, {});
  expect_array<std::int64_t>(got[2], {0}, {});
}

TEST(Produced, Ranges) {
  Graph graph;
  const Tensor start = graph.placeholder("start", i32, {}), limit = graph.placeholder("limit", i32, {}),
               step = graph.placeholder("step", i32, {});
  const Tensor whole = range(start, limit, step, 8);
  const Tensor real = range(convert(start, f64) / 2, convert(limit, f64), convert(step, f64) / 2, 8);
  Session session(graph, options());
  const auto run = [&](const Tensor& t, int a, int b, int c) {
    return session.run(t, {{start, Array(a)}, {limit, Array(b)}, {step, Array(c)}});
  };
  expect_array<int>(run(whole, 2, 9, 3), {3}, {2, 5, 8});
  expect_array<int>(run(whole, 2, 8, 3), {2}, {2, 5});
  expect_array<int>(run(whole, 5, 0, -2), {3}, {5, 3, 1});
  expect_array<int>(run(whole, 5, 5, 1), {0}, {});
  expect_array<int>(run(whole, 5, 9, -1), {0}, {});
  expect_array<int>(run(whole, 5, 9, 0), {0}, {});
  expect_array<int>(run(whole, 0, 100, 1), {8}, {0, 1, 2, 3, 4, 5, 6, 7});
  expect_array<double>(run(real, 1, 2, 1), {3}, {0.5, 1, 1.5});
  expect_array<double>(run(real, 1, 2, 0), {0}, {});
}

TEST(Produced, Repeat) {
  Graph graph;
  const Tensor x = graph.constant(Array({3, 2}, {1, 2, 3, 4, 5, 6})), counts = graph.placeholder("counts", i32, {3});
  const Tensor rows = repeat(x, counts, 6);
  Session session(graph, options());
  const auto run = [&](std::vector<int> c) { return session.run(rows, {{counts, Array({3}, c)}}); };
  expect_array<int>(run({1, 0, 2}), {3, 2}, {1, 2, 5, 6, 5, 6});
  expect_array<int>(run({0, -1, 0}), {0, 2}, {});
  expect_array<int>(run({4, 4, 4}), {6, 2}, {1, 2, 1, 2, 1, 2, 1, 2, 3, 4, 3, 4});
}

// The example of the ONNX specification (nonmaxsuppression_suppress_by_IOU), and its variants.
TEST(Produced, NonMaxSuppression) {
  const Array corners({1, 6, 4}, {0.0F, 0.0F,  1.0F, 1.0F,  0.0F, 0.1F,  1.0F, 1.1F,  0.0F, -0.1F,  1.0F, 0.9F,
                                  0.0F, 10.0F, 1.0F, 11.0F, 0.0F, 10.1F, 1.0F, 11.1F, 0.0F, 100.0F, 1.0F, 101.0F});
  const Array scores({1, 1, 6}, {0.9F, 0.75F, 0.6F, 0.95F, 0.5F, 0.3F});
  Graph graph;
  const Tensor boxes = graph.constant(corners), score = graph.constant(scores);
  Session session(graph, options());
  const auto run = [&](const NonMaxSuppressionOptions& how) { return session.run(non_max_suppression(boxes, score, how), {}); };
  expect_array<std::int64_t>(run({.max_output_per_class = 3, .iou_threshold = 0.5, .score_threshold = 0}), {3, 3},
                             {0, 0, 3, 0, 0, 0, 0, 0, 5});
  expect_array<std::int64_t>(run({.max_output_per_class = 2, .iou_threshold = 0.5}), {2, 3}, {0, 0, 3, 0, 0, 0});
  expect_array<std::int64_t>(run({.max_output_per_class = 3, .iou_threshold = 0.5, .score_threshold = 0.4}), {2, 3}, {0, 0, 3, 0, 0, 0});
  expect_array<std::int64_t>(run({.iou_threshold = 0.5}), {0, 3}, {});
  // The same boxes in another form, and two classes.
  const Array centers({1, 6, 4}, {0.5F,  0.5F, 1.0F, 1.0F, 0.6F,  0.5F, 1.0F, 1.0F, 0.4F,   0.5F, 1.0F, 1.0F,
                                  10.5F, 0.5F, 1.0F, 1.0F, 10.6F, 0.5F, 1.0F, 1.0F, 100.5F, 0.5F, 1.0F, 1.0F});
  const Tensor twice = concatenate({score, score}, 1);
  expect_array<std::int64_t>(session.run(non_max_suppression(graph.constant(centers), twice,
                                                             {.max_output_per_class = 2, .iou_threshold = 0.5, .center_point_box = true}),
                                         {}),
                             {4, 3}, {0, 0, 3, 0, 0, 0, 0, 1, 3, 0, 1, 0});
}

TEST(Produced, InsideALoop) {
  // Halves the elements that are greater than 1 until none is left, and counts how many there were in each round.
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {Dim("n")});
  const std::vector<Tensor> end =
      while_loop([](const std::vector<Tensor>& v) { return reduce_any(greater(v[0], 1)); },
                 [&](const std::vector<Tensor>& v) {
                   const Tensor large = boolean_mask(v[0], greater(v[0], 1), 0, {.name = "large"});
                   const Tensor count = graph.size(large.dim(0));
                   return std::vector<Tensor>{select(greater(v[0], 1), v[0] / 2, v[0]), v[1] + count, v[2] + reduce_sum(large)};
                 },
                 {x, graph.constant(Array(std::int64_t{0})), graph.constant(Array(0.0F))});
  Session session(graph, options());
  const std::vector<Array> got = session.run({end[0], end[1], end[2]}, {{x, Array({4}, {8.0F, 0.5F, 3.0F, 1.0F})}});
  expect_array<float>(got[0], {4}, {1, 0.5, 0.75, 1});
  EXPECT_EQ(got[1].item<std::int64_t>(), 5);  // 8 and 3, 4 and 1.5, 2
  EXPECT_EQ(got[2].item<float>(), 18.5F);
}

TEST(Produced, InsideScansAndCheckpoints) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {3, Dim("n")});
  const ScanResult sums = scan(
      [&](const std::vector<Tensor>& carried, const std::vector<Tensor>& row) {
        const Tensor positive = boolean_mask(row[0], greater(row[0], 0));
        return ScanResult{{carried[0] + graph.size(positive.dim(0))}, {reduce_sum(positive)}};
      },
      {graph.constant(Array(std::int64_t{0}))}, {x});
  const Tensor largest =
      checkpoint([](const std::vector<Tensor>& in) { return std::vector{reduce_max(boolean_mask(in[0], less(in[0], 3)))}; })({x})[0];
  Session session(graph, options());
  const std::vector<Array> got =
      session.run({sums.carried[0], sums.outputs[0], largest}, {{x, Array({3, 2}, {1.0F, -1.0F, 2.0F, 3.0F, -4.0F, -5.0F})}});
  EXPECT_EQ(got[0].item<std::int64_t>(), 3);
  expect_array<float>(got[1], {3}, {1, 5, 0});
  EXPECT_EQ(got[2].item<float>(), 2);
}

TEST(Produced, Gradients) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {Dim("n")});
  const Tensor large = boolean_mask(x, greater(x, 1.0)), loss = reduce_sum(square(large) * large);
  const Tensor first = gradients(loss, {x})[0], second = gradients(reduce_sum(first), {x})[0];
  Session session(graph, options());
  std::vector<Array> got = session.run({first, second}, {{x, Array({4}, {2., 0.5, 3., 1.})}});
  expect_array<double>(got[0], {4}, {12, 0, 27, 0});
  expect_array<double>(got[1], {4}, {12, 0, 18, 0});
  got = session.run({first, second}, {{x, Array({2}, {0., 1.})}});
  expect_array<double>(got[0], {2}, {0, 0});
}

TEST(Produced, TrainsOnSelectedRows) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {Dim("n"), 2});
  const Variable w = graph.variable("w", Array({2}, {1., 1.}));
  const Tensor rows = boolean_mask(x, greater(reduce_sum(x, 1), 0.0));
  const Tensor loss = reduce_sum(square(matmul(rows, w)));
  const Operation step = assign_sub(w, 0.5 * gradients(loss, {w})[0]);
  Session session(graph, options());
  session.initialize();
  const std::vector<Array> got = session.run({loss, step}, {{x, Array({3, 2}, {1., 0., -5., 2., 0., 0.5})}});
  EXPECT_EQ(got[0].item<double>(), 1.25);
  expect_array<double>(session.value(w), {2}, {0, 0.75});
}

TEST(Produced, CallablesGiveEachRunItsShape) {
  Graph graph;
  const Tensor x = graph.placeholder("x", i32, {6});
  const Callable find = Session(graph, options()).callable({flatnonzero(x)}, {x});
  std::vector<Array> results(1);
  for (int count = 0; count <= 6; ++count) {
    Array value = Array::zeros(i32, {6});
    for (int i = 0; i < count; ++i) value.mutable_data<std::int32_t>()[i] = 1;
    const std::vector<ArrayView> feeds{value};
    find(feeds, results);
    EXPECT_EQ(results[0].shape(), Shape{count});
    for (int i = 0; i < count; ++i) EXPECT_EQ(results[0].data<std::int64_t>()[i], i);
  }
}

TEST(Produced, NoGradientThroughABodyThatProduces) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {4});
  const Tensor y = cond(
      greater(reduce_sum(x), 0), [&] { return std::vector{reduce_sum(boolean_mask(x, greater(x, 0), 0, {.name = "positive"}))}; },
      [&] { return std::vector{reduce_sum(x)}; })[0];
  const std::string message = message_of([&] { gradients(y, {x}); });
  EXPECT_NE(message.find("has no gradient: its body @then produces the extent positive"), std::string::npos) << message;
  EXPECT_EQ(Session(graph, options()).run(y, {{x, Array({4}, {1.0F, -1.0F, 3.0F, 0.0F})}}).item<float>(), 4);
}

TEST(Produced, Errors) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f32, {4});
  const Tensor found = flatnonzero(x, {.name = "found"});
  EXPECT_NE(message_of([&] { graph.placeholder("y", f32, {found.dim(0)}); }).find("the extent found is found out by the run"),
            std::string::npos);
  EXPECT_NE(message_of([&] { range(x, x, x, found.dim(0)); }).find("max_size: the extent found is found out by the run"),
            std::string::npos);
  Tensor inside;
  const std::string escapes = message_of([&] {
    cond(
        greater(reduce_sum(x), 0),
        [&] {
          inside = boolean_mask(x, greater(x, 0), 0, {.name = "positive"});
          return std::vector{inside};
        },
        [&] { return std::vector{x}; });
  });
  EXPECT_NE(escapes.find("the then body of cond returns f32[positive], but the extent positive is produced inside"), std::string::npos)
      << escapes;
  EXPECT_NE(message_of([&] { reshape(x, {inside.dim(0)}); }).find("the extent positive exists only in the then body of cond"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              boolean_mask(x, graph.constant(Array({3}, {true, true, false})));
            }).find("the mask bool[3] does not have the extents of"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              Session(graph, options()).run(graph.iota(i64, {Dim("unknown")}), {});
            }).find("nothing that is fed tells the extent"),
            std::string::npos);
}

}  // namespace

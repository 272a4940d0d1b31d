// Functions of the user in a graph: what they see and yield, in loops and branches, in gradients, from the cache, through text, and what
// becomes of their exceptions.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>

#include "api_test.h"

using namespace kiln;

namespace {

using Inputs = std::span<const ArrayView>;
using Results = std::span<MutableArrayView>;

/// Element by element, in f64.
CustomFunction mapped(std::function<double(double)> f) {
  return [f = std::move(f)](Inputs in, Results out) { std::ranges::transform(in[0].data<double>(), out[0].data<double>().begin(), f); };
}

/// The message of the Error that `run` throws.
std::string message_of(ErrorCode code, const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(CustomCall, SeveralResultsOfSymbolicDims) {
  Graph graph;
  const Dim batch("batch"), width("width");
  const Tensor x = graph.placeholder("x", f32, {batch, width});
  const Tensor scale = graph.placeholder("scale", f64, {});
  std::vector<Shape> seen;
  const auto out =
      custom_call("split", {x + 1, scale}, {{f32, {width, batch}}, {i64, {}}, {f64, {batch * width + 1}}}, [&](Inputs in, Results results) {
        seen = {in[0].shape(), in[1].shape(), results[0].shape(), results[1].shape(), results[2].shape()};
        const auto from = in[0].data<float>();
        const auto rows = static_cast<std::size_t>(in[0].shape()[0]), columns = static_cast<std::size_t>(in[0].shape()[1]);
        for (std::size_t i = 0; i < rows; ++i)
          for (std::size_t j = 0; j < columns; ++j) results[0].data<float>()[j * rows + i] = from[i * columns + j];
        results[1].data<std::int64_t>()[0] = in[0].size();
        for (std::size_t i = 0; i < results[2].data<double>().size(); ++i)
          results[2].data<double>()[i] = static_cast<double>(i) * in[1].data<double>()[0];
      });
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(to_string(out[0]), "f32[width, batch]");
  EXPECT_EQ(to_string(out[1]), "i64[]");
  EXPECT_EQ(to_string(out[2]), "f64[batch*width + 1]");
  const Tensor next = out[0] * 2;  // a kernel reads what the function wrote
  Session session(graph, test::options());
  for (const auto& [rows, columns] : {std::pair(2, 3), std::pair(1, 7), std::pair(0, 4)}) {
    const Array value = test::random_array(f32, {rows, columns});
    const auto results = session.run({next, out[1], out[2], out[0]}, {{x, value}, {scale, Array(0.5)}});
    ASSERT_EQ(seen, (std::vector<Shape>{{rows, columns}, {}, {columns, rows}, {}, {rows * columns + 1}}));
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j) {
        EXPECT_EQ(results[3].at<float>({j, i}), value.at<float>({i, j}) + 1);
        EXPECT_EQ(results[0].at<float>({j, i}), (value.at<float>({i, j}) + 1) * 2);
      }
    EXPECT_EQ(results[1].item<std::int64_t>(), rows * columns);
    for (std::int64_t i = 0; i <= rows * columns; ++i) EXPECT_EQ(results[2].at<double>({i}), 0.5 * static_cast<double>(i));
  }
}

TEST(CustomCall, OperandsOfEveryOrigin) {
  // A feed, a variable, a literal, a reshape of a computed value, another call's result; results that are fetched, assigned, and both.
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {4});
  const Variable w = graph.variable("w", Array({4}, {10.0, 20.0, 30.0, 40.0}));
  const Tensor literal = graph.constant(Array({2, 2}, {1.0, 2.0, 3.0, 4.0}));
  const CustomFunction sum = [](Inputs in, Results out) {
    for (std::size_t i = 0; i < 4; ++i) {
      out[0].data<double>()[i] = 0;
      for (const ArrayView& view : in) out[0].data<double>()[i] += view.data<double>()[i];
    }
  };
  graph.register_custom_call("sum", sum);
  const Tensor square = reshape(x * x, {2, 2});
  const Tensor first = custom_call("sum", {x, w, literal, square, x}, {{f64, {4}}})[0];
  const Tensor second = custom_call("sum", {first, first}, {{f64, {2, 2}}})[0];
  const Assignment update = assign(w, reshape(second, {4}));
  Session session(graph, test::options());
  session.initialize();
  const auto out = session.run({first, update}, {{x, Array({4}, {1.0, 2.0, 3.0, 4.0})}});
  test::expect_near(out[0], Array({4}, {1 + 10 + 1 + 1 + 1.0, 2 + 20 + 2 + 4 + 2.0, 3 + 30 + 3 + 9 + 3.0, 4 + 40 + 4 + 16 + 4.0}), 0);
  test::expect_near(session.value(w), Array({4}, {28.0, 60.0, 96.0, 136.0}), 0);
  test::expect_near(out[1], session.value(w), 0);
}

TEST(CustomCall, RunsOnceForEachUseAndOnlyWhenNeeded) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {});
  int calls = 0;
  graph.register_custom_call("count", [&](Inputs, Results out) { out[0].data<double>()[0] = ++calls; });
  const Tensor a = custom_call("count", {x}, {{f64, {}}})[0], b = custom_call("count", {x}, {{f64, {}}})[0];
  const Tensor both = a + b, one = a * 1 + a;
  Session session(graph, test::options());
  EXPECT_EQ(session.run(both, {{x, Array(0.0)}}).item<double>(), 3);  // equal calls are two
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(session.run(one, {{x, Array(0.0)}}).item<double>(), 6);
  EXPECT_EQ(calls, 3);
  session.run(x + 1, {{x, Array(0.0)}});
  EXPECT_EQ(calls, 3);
}

TEST(CustomCall, InLoopsAndBranches) {
  Graph graph;
  const Dim n("n");
  const Tensor x = graph.placeholder("x", f64, {n});
  const Tensor count = graph.placeholder("count", i32, {});
  int calls = 0;
  graph.register_custom_call("halve", mapped([&](double v) { return ++calls, v / 2; }));
  graph.register_custom_call("negate", mapped([](double v) { return -v; }));
  const auto out = while_loop(
      [&](auto& v) { return less(v[0], count); },
      [&](auto& v) {
        const Tensor half = custom_call("halve", {v[1]}, {{f64, {n}}})[0];
        const Tensor next = cond(equal(v[0], 1), [&] { return custom_call("negate", {half}, {{f64, {n}}})[0]; }, [&] { return half + x; });
        return std::vector<Tensor>{v[0] + 1, next};
      },
      {graph.constant(Array(0)), x});
  Session session(graph, test::options());
  for (const int trips : {0, 1, 2, 3}) {
    calls = 0;
    const Array result = session.run(out[1], {{x, Array({2}, {8.0, 16.0})}, {count, Array(trips)}});
    double expected = 8;
    for (int i = 0; i < trips; ++i) expected = i == 1 ? -expected / 2 : expected / 2 + 8;
    EXPECT_EQ(result.at<double>({0}), expected);
    EXPECT_EQ(result.at<double>({1}), 2 * expected);
    EXPECT_EQ(calls, 2 * trips);
  }
}

TEST(CustomCall, GradientsGoAroundIt) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {3});
  const Tensor count = graph.placeholder("count", i32, {});
  int calls = 0;
  graph.register_custom_call("cube", mapped([&](double v) { return ++calls, v * v * v; }));
  const auto cube = [&](const Tensor& v) {
    return custom_gradient(
        {v}, [&](auto& in) { return custom_call("cube", in, {{f64, {3}}}); },
        [](auto& in, auto&, auto& grad) { return std::vector<Tensor>{3 * in[0] * in[0] * grad[0]}; })[0];
  };
  const Tensor once = gradients(reduce_sum(cube(x)), {x})[0];
  // As data: its values matter to the gradient, but nothing flows through it. In a loop the step back takes them from a tape.
  const auto looped = while_loop([&](auto& v) { return less(v[0], count); },
                                 [&](auto& v) {
                                   const Tensor factor = stop_gradient(custom_call("cube", {v[1]}, {{f64, {3}}})[0]);
                                   return std::vector<Tensor>{v[0] + 1, v[1] * factor};
                                 },
                                 {graph.constant(Array(0)), x});
  const Tensor through = gradients(reduce_sum(looped[1]), {x})[0];
  Session session(graph, test::options());
  const Array at({3}, {1.0, 2.0, -1.0});
  test::expect_near(session.run(once, {{x, at}}), Array({3}, {3.0, 12.0, 3.0}), 0);
  calls = 0;
  // x1 = x0 * [x0^3], x2 = x1 * [x1^3]: d x2 / d x0 = x1^3 * x0^3 = x0^15.
  test::expect_near(session.run(through, {{x, at}, {count, Array(2)}}), Array({3}, {1.0, 32768.0, -1.0}), 0);
  EXPECT_EQ(calls, 6);

  const Tensor direct = custom_call("cube", {x}, {{f64, {3}}})[0];
  EXPECT_NE(message_of(ErrorCode::not_differentiable, [&] { gradients(reduce_sum(direct), {x}); })
                .find("it is a function outside of the graph; custom_gradient() around it gives it one"),
            std::string::npos);
}

TEST(CustomCall, ExceptionsBecomeErrorsAtTheLineOfTheCall) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {});
  const Variable w = graph.variable("w", Array(5.0));
  struct Own : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  const auto throwing = [&](const std::string& name, CustomFunction function) {
    return custom_call(name, {x}, {{f64, {}}}, std::move(function))[0];
  };
  const Tensor own = throwing("own", [](Inputs, Results) { throw Own("no such row"); });
  const Tensor number = throwing("number", [](Inputs, Results) { throw 42; });
  const Tensor typed = throwing("typed", [](Inputs in, Results) { (void)in[0].data<float>(); });
  const Tensor fine = throwing("fine", mapped([](double v) { return v + 1; }));
  const std::uint_least32_t line = std::source_location::current().line() + 1;
  const Tensor here = custom_call("here", {x}, {{f64, {}}}, [](Inputs, Results) { throw Own("gone"); })[0];
  Session session(graph, test::options());
  session.initialize();
  const auto told = [&](const Tensor& y) {
    const std::string text = message_of(ErrorCode::custom_call_failed, [&] { session.run({y, assign_add(w, y)}, {{x, Array(1.0)}}); });
    EXPECT_EQ(session.value(w).item<double>(), 5);
    return text.substr(text.find("error: "));
  };
  EXPECT_EQ(told(own), "error: the custom call \"own\" failed: no such row");
  EXPECT_EQ(told(number), "error: the custom call \"number\" failed: it threw something that is no std::exception");
  EXPECT_NE(told(typed).find("elements are read as f32, but the array is f64[]"), std::string::npos) << told(typed);
  try {
    session.run(here, {{x, Array(1.0)}});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.where().line, line);
    EXPECT_NE(std::string(error.where().file).find("custom_call_test.cpp"), std::string::npos);
    try {
      std::rethrow_if_nested(error);
      FAIL() << "nothing is nested";
    } catch (const Own& nested) {
      EXPECT_STREQ(nested.what(), "gone");
    }
  }
  EXPECT_EQ(session.run(fine, {{x, Array(1.0)}}).item<double>(), 2);
}

TEST(CustomCall, TheSessionThatRunsItIsOutOfReach) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {});
  const Variable w = graph.variable("w", Array(5.0));
  Session* inner = nullptr;
  const Tensor y =
      custom_call("nested", {x * w}, {{f64, {}}},
                  [&](Inputs in, Results out) { out[0].data<double>()[0] = inner->run("y", {{"x", in[0]}}).item<double>(); })[0]
          .named("y");
  const Assignment update = assign(w, y);
  Session session(graph, test::options());
  session.initialize();

  // Another session is free to use.
  Graph other;
  (void)(other.placeholder("x", f64, {}) + 1).named("y");
  Session helper(other, test::options());
  inner = &helper;
  EXPECT_EQ(session.run(y, {{x, Array(2.0)}}).item<double>(), 11);

  inner = &session;
  EXPECT_NE(message_of(ErrorCode::custom_call_failed, [&] { session.run({update}, {{x, Array(2.0)}}); })
                .find("a custom call uses the session that is running it, and would wait for itself"),
            std::string::npos);
  EXPECT_EQ(session.value(w).item<double>(), 5);
}

TEST(CustomCall, TextKeepsNamesAndTypes) {
  Graph graph;
  const Dim n("n");
  const Tensor x = graph.placeholder("x", f64, {n, 2});
  const auto out = custom_call("stats", {x}, {{f64, {n}}, {i64, {}}}, [](Inputs, Results) {});
  (void)(out[0] + convert(out[1], f64)).named("y");
  const std::string text = graph.text();
  EXPECT_NE(
      text.find("= custom_call %x {dims = [n], dtypes = \"f64, i64\", name = \"stats\", ordinal = 0, ranks = [1, 0]} : f64[n], i64[]"),
      std::string::npos)
      << text;
  Graph read = Graph::parse(text, "model.kiln");
  EXPECT_EQ(read.text(), text);

  Session session(read, test::options());
  const Array value({2, 2}, {1.0, 2.0, 3.0, 4.0});
  const std::string missing = message_of(ErrorCode::invalid_argument, [&] { session.run("y", {{"x", value}}); });
  EXPECT_NE(missing.find("the graph calls the function \"stats\", which it does not have"), std::string::npos) << missing;
  EXPECT_NE(missing.find("graph.register_custom_call(\"stats\", function)"), std::string::npos) << missing;
  read.register_custom_call("stats", [](Inputs in, Results results) {
    for (std::size_t i = 0; i < results[0].data<double>().size(); ++i)
      results[0].data<double>()[i] = in[0].data<double>()[2 * i] + in[0].data<double>()[2 * i + 1];
    results[1].data<std::int64_t>()[0] = in[0].shape()[0];
  });
  test::expect_near(session.run("y", {{"x", value}}), Array({2}, {5.0, 9.0}), 0);

  // Calls that are added to it are told apart from those that it came with.
  const Tensor again = custom_call("stats", {read.find_tensor("x")}, {{f64, {n}}, {i64, {}}})[0];
  EXPECT_NE(read.text().find("ordinal = 1"), std::string::npos) << read.text();
  test::expect_near(session.run(again, {{"x", value}}), Array({2}, {3.0, 7.0}), 0);
}

TEST(CustomCall, TextWithContradictoryTypesIsRefused) {
  const auto told = [](const std::string& attributes, const std::string& types) {
    const std::string text =
        "graph @main(%x: f64[n]) -> (%y) {\n  %y = custom_call %x {" + attributes + ", ordinal = 0} : " + types + "\n}\n";
    return message_of(ErrorCode::parse, [&] { Graph::parse(text, "model.kiln"); });
  };
  const auto expect = [&](const std::string& attributes, const std::string& types, const std::string& message) {
    const std::string text = told(attributes, types);
    EXPECT_NE(text.find("model.kiln:"), std::string::npos) << text;
    EXPECT_NE(text.find(message), std::string::npos) << text;
  };
  expect("name = \"f\", dtypes = \"f99\", ranks = [0]", "f64[]", "\"f99\" in dtypes is no dtype");
  expect("name = \"f\", dtypes = \"f64\", ranks = [1]", "f64[]", "the ranks take more than the 0 dims");
  expect("name = \"f\", dtypes = \"f64\", ranks = [-1]", "f64[]", "the ranks take more than the 0 dims");
  expect("name = \"f\", dtypes = \"f64\", ranks = [0], dims = [n]", "f64[]", "there are 1 ranks for the dtypes \"f64\" and 1 dims");
  expect("name = \"f\", dtypes = \"f64, i64\", ranks = [0]", "f64[]", "there are 1 ranks for the dtypes \"f64, i64\" and 0 dims");
  expect("name = \"f\", dtypes = \"\", ranks = []", "f64[]", "there are no results");
  expect("name = \"\", dtypes = \"f64\", ranks = [0]", "f64[]", "the function has no name");
  expect("name = \"f\", dtypes = \"f64\", ranks = [0]", "f64[n]", "f64[]");
}

TEST(CustomCall, CachedProgramsCallTheFunctionsOfTheCurrentGraph) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("kiln_custom_call_" + std::to_string(::getpid()));
  SessionOptions options = test::options();
  options.engine = Engine::compiled;  // only machine code is cached
  options.cache_folder = folder.string();
  std::set<ino_t> files;
  for (const double factor : {2.0, 3.0}) {
    Graph graph;
    const Dim n("n");
    const Tensor x = graph.placeholder("x", f64, {n});
    graph.register_custom_call("f", mapped([factor](double v) {
                                 if (v > 100) throw std::runtime_error("too large");
                                 return factor * v;
                               }));
    // The same program, written on another line the second time.
    Tensor y;
    if (factor == 2) {
      y = custom_call("f", {x + 1}, {{f64, {n}}})[0];
    } else {
      y = custom_call("f", {x + 1}, {{f64, {n}}})[0];
    }
    Session session(graph, options);
    test::expect_near(session.run(y, {{x, Array({2}, {0.0, 4.0})}}), Array({2}, {factor, 5 * factor}), 0);
    EXPECT_EQ(message_of(ErrorCode::custom_call_failed, [&] { session.run(y, {{x, Array({1}, {1000.0})}}); }),
              to_string(y.location()) + ": error: the custom call \"f\" failed: too large");
    std::set<ino_t> now;  // a file that is written again is another one
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      struct stat status = {};
      if (entry.is_regular_file() && ::stat(entry.path().c_str(), &status) == 0) now.insert(status.st_ino);
    }
    EXPECT_FALSE(now.empty());
    EXPECT_TRUE(files.empty() || now == files) << "the second graph was compiled, not found";
    files = now;
  }
  std::filesystem::remove_all(folder);
}

TEST(CustomCall, MistakesAreToldAtTheirLine) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {3});
  const CustomFunction nothing = [](Inputs, Results) {};
  const auto invalid = [&](const std::function<void()>& run) {
    const std::string text = message_of(ErrorCode::invalid_argument, run);
    EXPECT_NE(text.find("custom_call_test.cpp:"), std::string::npos) << text;
    return text.substr(text.find("error: "));
  };
  EXPECT_EQ(invalid([&] { custom_call("f", {}, {{f64, {3}}}, nothing); }),
            "error: custom_call \"f\": there are no inputs\n"
            "  hint: pass at least one tensor: a function without need of one can be given graph.constant(0)");
  EXPECT_EQ(invalid([&] { custom_call("f", {x}, {}, nothing); }),
            "error: custom_call \"f\": there are no results\n  hint: list the dtype and dims of each: {{f32, {batch}}}");
  EXPECT_EQ(invalid([&] { custom_call("f", {x}, {{f64, {3}}}, CustomFunction()); }),
            "error: the function \"f\" is empty\n  hint: pass a callable object");
  EXPECT_EQ(invalid([&] { custom_call("", {x}, {{f64, {3}}}, nothing); }),
            "error: the function of a custom call has no name\n  hint: give it one");
  custom_call("f", {x}, {{f64, {3}}}, nothing);
  EXPECT_EQ(invalid([&] { custom_call("f", {x}, {{f64, {3}}}, nothing); }),
            "error: the graph has a function \"f\" already\n"
            "  hint: leave the function out to call that one: custom_call(\"f\", inputs, results); or choose another name");
  Graph other;
  EXPECT_NE(message_of(ErrorCode::foreign_graph, [&] { custom_call("f", {x, other.constant(Array(1.0))}, {{f64, {3}}}); })
                .find("belongs to another graph"),
            std::string::npos);
  const Tensor unknown = custom_call("unknown", {x}, {{f64, {3}}})[0];
  Session session(graph, test::options());
  EXPECT_EQ(invalid([&] { session.run(unknown, {{x, Array::zeros(f64, {3})}}); }),
            "error: the graph calls the function \"unknown\", which it does not have\n"
            "  hint: register it before the first run: graph.register_custom_call(\"unknown\", function)");
}

}  // namespace

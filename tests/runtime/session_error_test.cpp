// What users are told by a Session: whole messages, with the line of their call.
#include <gtest/gtest.h>

#include <chrono>

#include "fake_source.h"
#include "kiln/files.h"
#include "kiln/session.h"
#include "temporary.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::error_of;
using testing::FakeGraph;
using testing::FakeProgram;
using testing::TemporaryFolder;
using testing::TestGraph;

// The message with the position of this file replaced by "test:".
template <class Function>
std::string told(ErrorCode code, Function&& function) {
  std::string text = error_of(code, function);
  if (text.starts_with(__FILE__)) text = "test" + text.substr(text.find(": "));
  return text;
}

class SessionErrors : public ::testing::Test {
 protected:
  std::string feeding(const Array& x, const Array& y) {
    return told(ErrorCode::invalid_feed, [&] { session.run("sum", {{"x", x}, {"y", y}}); });
  }
  TestGraph test;
  Session session{test};
  const Array good = Array::zeros(f32, {4, 3});
};

TEST_F(SessionErrors, Feeds) {
  EXPECT_EQ(feeding(Array::zeros(f64, {4, 3}), good),
            "test: error: the feed of placeholder 'x' is f64[4, 3], but f32[batch, 3] is declared (declared at model.cpp:11)\n"
            "  hint: convert it: value.convert(f32)");
  EXPECT_EQ(
      feeding(good, Array::zeros(f32, {4})),
      "test: error: the feed of placeholder 'y' is f32[4], but f32[batch, 3] is declared (declared at model.cpp:12): the rank is 1, not 2");
  EXPECT_EQ(feeding(good, Array::zeros(f32, {4, 7})),
            "test: error: the feed of placeholder 'y' is f32[4, 7], but f32[batch, 3] is declared (declared at model.cpp:12): dimension 1 "
            "is 7, not 3");
  EXPECT_EQ(feeding(good, Array::zeros(f32, {5, 3})),
            "test: error: the feeds disagree about dimension 'batch': it is 4 in dimension 0 of 'x' (declared at model.cpp:11), but 5 in "
            "dimension 0 of "
            "'y' (declared at model.cpp:12)\n  hint: dimensions of the same name must have the same extent in one run");
  EXPECT_EQ(feeding(Array::zeros(f32, {1, 3}), good),
            "test: error: the feed of placeholder 'x' is f32[1, 3], but f32[batch, 3] is declared (declared at model.cpp:11): dimension 0 "
            "is 1, and "
            "'batch' must be at least 2");
  EXPECT_EQ(feeding(Array::zeros(f32, {1001, 3}), good),
            "test: error: the feed of placeholder 'x' is f32[1001, 3], but f32[batch, 3] is declared (declared at model.cpp:11): dimension "
            "0 is 1001, "
            "and 'batch' must be at most 1000");
  EXPECT_EQ(told(ErrorCode::invalid_feed, [&] { session.run("sum", {{"x", good}, {"x", good}}); }),
            "test: error: 'x' is fed twice\n  hint: leave one of the two feeds out");
  EXPECT_EQ(told(ErrorCode::missing_feed, [&] { session.run("sum", {{"x", good}}); }), "test: error: placeholder 'y' is not fed");
}

TEST_F(SessionErrors, FeedsThatAreNoArrays) {
  EXPECT_EQ(told(ErrorCode::invalid_feed, [&] { session.run("sum", {{"x", ArrayView(f32, {4, 3}, nullptr)}, {"y", good}}); }),
            "test: error: the feed of placeholder 'x' is f32[4, 3], but f32[batch, 3] is declared (declared at model.cpp:11): its data "
            "pointer is null");
  EXPECT_EQ(told(ErrorCode::invalid_feed, [&] { session.run("sum", {{"x", ArrayView(f32, {-4, 3}, good.raw())}, {"y", good}}); }),
            "test: error: the feed of placeholder 'x' is f32[-4, 3], but f32[batch, 3] is declared (declared at model.cpp:11): an extent "
            "is negative");
  const void* odd = static_cast<const char*>(good.raw()) + 1;
  EXPECT_EQ(told(ErrorCode::invalid_feed, [&] { session.run("sum", {{"x", ArrayView(f32, {2, 3}, odd)}, {"y", good}}); }),
            "test: error: the feed of placeholder 'x' is f32[2, 3], but f32[batch, 3] is declared (declared at model.cpp:11): its data is "
            "not aligned to "
            "its element size\n  hint: copy it into an Array first");
}

TEST_F(SessionErrors, Variables) {
  EXPECT_EQ(told(ErrorCode::uninitialized, [&] { session.run("scaled", {{"x", good}}); }),
            "test: error: variable 'w' (made at model.cpp:21) is read before it has a value\n"
            "  hint: call session.initialize() first, or give it a value with session.set_value() or session.restore()");
  EXPECT_EQ(told(ErrorCode::uninitialized, [&] { session.value("w"); }),
            "test: error: variable 'w' (made at model.cpp:21) has no value yet\n"
            "  hint: call session.initialize() first, or give it a value with session.set_value() or session.restore()");
  EXPECT_EQ(told(ErrorCode::invalid_argument, [&] { session.value("v"); }), "test: error: no variable is named 'v'");
  EXPECT_EQ(told(ErrorCode::shape_mismatch, [&] { session.set_value("w", Array::zeros(f32, {4})); }),
            "test: error: variable 'w' is f32[3] (made at model.cpp:21), the value is f32[4]");
  EXPECT_EQ(told(ErrorCode::dtype_mismatch, [&] { session.set_value("w", Array::zeros(i32, {3})); }),
            "test: error: variable 'w' is f32[3] (made at model.cpp:21), the value is i32[3]\n  hint: convert it: value.convert(f32)");
}

TEST_F(SessionErrors, Checkpoints) {
  TemporaryFolder folder;
  const std::string path = folder.file("a.safetensors");
  EXPECT_EQ(told(ErrorCode::uninitialized, [&] { session.save(path); }),
            "test: error: cannot save '" + path +
                "': variable 'w' (made at model.cpp:21) has no value yet\n  hint: call session.initialize() first");
  EXPECT_EQ(folder.file_count(), 0u);
  EXPECT_EQ(told(ErrorCode::io, [&] { session.restore(path); }), "test: error: cannot read '" + path + "': No such file or directory");

  session.initialize();
  const Array before = session.value("w");
  const auto restoring = [&](ErrorCode code, const std::map<std::string, Array>& arrays) {
    write_safetensors(path, arrays);
    const std::string text = told(code, [&] { session.restore(path); });
    EXPECT_TRUE(identical(session.value("w"), before));
    return text;
  };
  const Array other = Array::from({9.f, 9.f, 9.f});
  EXPECT_EQ(restoring(ErrorCode::invalid_argument, {{"w", other}, {"bias", other}}),
            "test: error: '" + path +
                "' does not fit the graph: it lacks 'c', and it holds 'bias', which no variable is named\n"
                "  hint: restore() needs a file with exactly the graph's variables; single ones are set with session.set_value(name, "
                "read_safetensors(path).at(name))");
  EXPECT_EQ(restoring(ErrorCode::shape_mismatch, {{"w", other}, {"c", Array::zeros(f32, {4})}}),
            "test: error: '" + path + "' holds 'c' as f32[4], but the variable is f32[3] (made at model.cpp:22)");
  EXPECT_EQ(restoring(ErrorCode::dtype_mismatch, {{"w", other}, {"c", Array::zeros(f64, {3})}}),
            "test: error: '" + path + "' holds 'c' as f64[3], but the variable is f32[3] (made at model.cpp:22)");
}

TEST_F(SessionErrors, ChecksHaveTheirOwnLine) {
  session.initialize();
  test.step_status = KILN_CHECK_FAILED;
  EXPECT_EQ(told(ErrorCode::check_failed, [&] { session.run("!step", {{"x", good}}); }),
            "model.cpp:41: error: x must be finite\n  hint: look at the data");
  test.step_status = KILN_CUSTOM_CALL;
  EXPECT_EQ(told(ErrorCode::custom_call_failed, [&] { session.run("!step", {{"x", good}}); }), 
            "model.cpp:43: error: the custom call \"scale\" failed: it returned an error");
  test.step_status = KILN_OVERFLOW;
  EXPECT_EQ(told(ErrorCode::out_of_memory, [&] { session.run("!step", {{"x", good}}); }),
            "test: error: a size does not fit in 63 bits for the dimensions fed\n  hint: feed smaller arrays");
  test.step_status = 77;
  EXPECT_THROW(session.run("!step", {{"x", good}}), InternalError);
}

TEST_F(SessionErrors, DeadlinesAndCancellation) {
  EXPECT_EQ(told(ErrorCode::deadline_exceeded, [&] { session.run("sum", {{"x", good}, {"y", good}}, {.deadline = 0ms}); }),
            "test: error: the run did not end within its deadline of 0 ms; no variable has changed\n"
            "  hint: give it more time with RunOptions::deadline, or less work");
  CancelToken token;
  EXPECT_NO_THROW(session.run("sum", {{"x", good}, {"y", good}}, {.deadline = std::chrono::hours(1 << 20), .cancel = token}));
  token.cancel();
  EXPECT_EQ(told(ErrorCode::cancelled, [&] { session.run("sum", {{"x", good}, {"y", good}}, {.cancel = token}); }),
            "test: error: the run was cancelled; no variable has changed");
  token.reset();
  EXPECT_NO_THROW(session.run("sum", {{"x", good}, {"y", good}}, {.cancel = token}));
}

TEST_F(SessionErrors, CallablesCountTheirArguments) {
  const Callable sum = session.callable("sum", {"x", "y"});
  EXPECT_EQ(told(ErrorCode::invalid_argument, [&] { sum({good}); }),
            "test: error: this callable takes 2 feeds and gives 1 results, but 1 feeds and 1 results are given");
  std::vector<Array> results(3);
  EXPECT_EQ(told(ErrorCode::invalid_argument, [&] { sum({good, good}, results); }),
            "test: error: this callable takes 2 feeds and gives 1 results, but 2 feeds and 3 results are given");
}

TEST(SessionPlanErrors, ExtentsThatOnlyTheRunKnows) {
  FakeGraph graph;
  FakeProgram& program = graph.programs["cut"];
  program.description.symbols = {{"n", 0, INT64_MAX, 4}};
  program.description.inputs = {{"a", i32, {testing::symbol_dim(0, "n")}, testing::user_line(1)},
                                {"b", i32, {testing::value_dim(2, "n + 1")}, testing::user_line(2)}};
  program.description.outputs = {{"cut", i32, {testing::value_dim(1, "n - 8")}, testing::user_line(3)}};
  program.description.plan_values = 4;
  program.description.checks = {{ErrorCode::shape_mismatch, "n and 12 must be equal", testing::user_line(4), ""}};
  program.description.dim_checks = {{3, 2, 0}};
  program.plan = [](const std::int64_t* symbols, std::int64_t* values) -> std::int32_t {
    values[0] = 0;
    values[1] = symbols[0] - 8;
    values[2] = symbols[0] + 1;
    values[3] = symbols[0] == 16 ? 0 : symbols[0] + 1;
    return symbols[0] == 20 ? KILN_OVERFLOW : KILN_OK;
  };
  program.body = [](kiln_call&) { return KILN_OK; };
  Session session(graph);
  const auto fed = [&](std::int64_t a, std::int64_t b) {
    session.run("cut", {{"a", Array::zeros(i32, {a})}, {"b", Array::zeros(i32, {b})}});
  };
  EXPECT_NO_THROW(fed(8, 9));
  EXPECT_EQ(told(ErrorCode::invalid_feed, [&] { fed(8, 10); }),
            "test: error: the feed of placeholder 'b' is i32[10], but i32[n + 1] is declared (declared at model.cpp:2): dimension 0 is 10, "
            "but n + 1 is "
            "9 for the dimensions fed");
  EXPECT_EQ(told(ErrorCode::invalid_feed, [&] { fed(6, 7); }),
            "test: error: the feed of placeholder 'a' is i32[6], but i32[n] is declared (declared at model.cpp:1): dimension 0 is 6, and "
            "'n' must be a "
            "multiple of 4");
  EXPECT_EQ(told(ErrorCode::shape_mismatch, [&] { fed(4, 5); }),
            "test: error: dimension 0 of 'cut', n - 8, is -4 for the dimensions fed (declared at model.cpp:3)");
  EXPECT_EQ(told(ErrorCode::shape_mismatch, [&] { fed(16, 17); }), "model.cpp:4: error: n and 12 must be equal (0 and 17 in this run)");
  EXPECT_EQ(told(ErrorCode::out_of_memory, [&] { fed(20, 21); }),
            "test: error: a size does not fit in 63 bits for the dimensions fed\n  hint: feed smaller arrays");
}

TEST(SessionMemoryErrors, LimitsAreKept) {
  TestGraph test;
  Session session(test, {.memory_limit = 200});
  EXPECT_EQ(told(ErrorCode::out_of_memory, [&] { session.initialize(); }),
            "test: error: 64 bytes for variables exceed the session's memory limit of 200 bytes (192 are in use)\n"
            "  hint: raise SessionOptions::memory_limit, or run with smaller feeds");
  EXPECT_EQ(told(ErrorCode::invalid_argument, [&] { Session(test, {.threads = -1}); }),
            "test: error: SessionOptions::threads is -1\n  hint: give the number of threads, or 0 for as many as this process may use");
}

}  // namespace
}  // namespace kiln

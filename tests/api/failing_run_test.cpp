// A run that fails leaves every variable as it was, whatever it fails of: a missing feed, a check, its deadline, cancellation, a function
// of the user that throws. The program is a training step that updates in place, where that is not for free; and four threads share the
// session, some runs failing, others not, others only reading: what is left is exactly what the successful runs made.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "api_test.h"

using namespace kiln;
using namespace std::chrono_literals;

namespace {

/// SGD with momentum on a two-layer network. The fed flags decide how a run ends, so one program may succeed or fail.
struct Training {
  Graph graph;
  Tensor x, target, limit, trips, fail_function;
  Tensor spun;
  std::vector<Variable> variables;
  Operation step, check_limit;
  std::shared_ptr<std::atomic<int>> calls = std::make_shared<std::atomic<int>>(0);

  Training() {
    const Dim batch("batch");
    x = graph.placeholder("x", f32, {batch, 8});
    target = graph.placeholder("target", f32, {batch, 4});
    limit = graph.placeholder("limit", f32, {});
    trips = graph.placeholder("trips", i32, {});
    fail_function = graph.placeholder("fail_function", boolean, {});
    const Variable w1 = graph.variable("w1", test::random_array(f32, {8, 16}, -0.5, 0.5, 1));
    const Variable b1 = graph.variable("b1", Array::zeros(f32, {16}));
    const Variable w2 = graph.variable("w2", test::random_array(f32, {16, 4}, -0.5, 0.5, 2));
    // Between the two layers stands a function of the user. When it is called, the step has read the first layer's variables; it then gives
    // other threads time to change them, which a lock must prevent.
    graph.register_custom_call("inspect", [calls = calls](std::span<const ArrayView> in, std::span<MutableArrayView> out) {
      ++*calls;
      std::this_thread::sleep_for(100us);
      if (in[1].data<bool>()[0]) throw std::runtime_error("bad data");
      std::ranges::copy(in[0].data<float>(), out[0].data<float>().begin());
    });
    const Tensor h = custom_gradient(
        {relu(matmul(x, w1) + b1), fail_function}, [&](auto& in) { return custom_call("inspect", in, {{f32, {batch, 16}}}); },
        [](auto&, auto&, auto& cotangents) { return std::vector<Tensor>{cotangents[0]}; })[0];
    const Tensor loss = reduce_mean(square(matmul(h, w2) - target));
    // A loop that runs as long as it is told to.
    spun = while_loop([&](auto& v) { return less(v[0], trips); }, [](auto& v) { return std::vector<Tensor>{v[0] + 1, v[1] * 0.75f}; },
                      {graph.constant(Array(0)), loss})[1];
    check_limit = check(less_equal(loss, limit), "the loss is above its limit");
    step = SGD({.lr = 0.05, .momentum = 0.9}).minimize(loss);
    variables = graph.variables();
  }
};

/// What is fed when nothing is to fail.
struct Data {
  Array x = test::random_array(f32, {6, 8}, -1, 1, 3), target = test::random_array(f32, {6, 4}, -1, 1, 4);
};

using State = std::vector<Array>;

State state_of(Session& session, const std::vector<Variable>& variables) {
  return session.run(std::vector<Key>(variables.begin(), variables.end()));
}

bool same(const State& a, const State& b) {
  return std::ranges::equal(a, b, [](const Array& p, const Array& q) { return identical(p, q); });
}

constexpr float no_limit = 1e30f;
constexpr std::int32_t for_ever = 2'000'000'000;

/// One run of the whole step; what is given decides how it ends.
struct Attempt {
  const char* name;
  ErrorCode code;  ///< what it fails with
  float limit = no_limit;
  std::int32_t trips = 3;
  bool fail_function = false;
  bool feed_target = true;
  bool with_deadline = false, with_cancel = false;
};

constexpr Attempt failures[] = {
    {.name = "feed", .code = ErrorCode::missing_feed, .feed_target = false},
    {.name = "check", .code = ErrorCode::check_failed, .limit = -1},
    {.name = "deadline", .code = ErrorCode::deadline_exceeded, .trips = for_ever, .with_deadline = true},
    {.name = "cancel", .code = ErrorCode::cancelled, .trips = for_ever, .with_cancel = true},
    {.name = "function", .code = ErrorCode::custom_call_failed, .fail_function = true},
};
constexpr Attempt success{.name = "success", .code = {}};

void run(Session& session, const Training& t, const Data& data, const Attempt& attempt) {
  std::vector<Feed> feeds{{t.x, data.x}};
  const Array limit(attempt.limit), trips(attempt.trips), fail_function(attempt.fail_function);
  feeds.push_back({t.limit, limit});
  feeds.push_back({t.trips, trips});
  feeds.push_back({t.fail_function, fail_function});
  if (attempt.feed_target) feeds.push_back({t.target, data.target});
  RunOptions options;
  if (attempt.with_deadline) options.deadline = 3ms;
  std::thread canceller;
  if (attempt.with_cancel) {
    options.cancel.emplace();
    canceller = std::thread([token = *options.cancel]() mutable {
      std::this_thread::sleep_for(2ms);
      token.cancel();
    });
  }
  struct Join {
    std::thread& thread;
    ~Join() {
      if (thread.joinable()) thread.join();
    }
  } join{canceller};
  session.run({t.step, t.check_limit, t.spun}, feeds, options);
}

/// Fails as announced.
void expect_failure(Session& session, const Training& t, const Data& data, const Attempt& attempt) {
  try {
    run(session, t, data, attempt);
    ADD_FAILURE() << attempt.name << ": no error";
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(attempt.code)) << attempt.name << ": " << error.what();
  }
}

/// The states after 0, 1, 2 ... successful steps.
std::vector<State> states_of_success(const Training& t, const Data& data, int steps) {
  Session session(t.graph, test::options());
  session.initialize();
  std::vector<State> states{state_of(session, t.variables)};
  for (int i = 0; i < steps; ++i) {
    run(session, t, data, success);
    states.push_back(state_of(session, t.variables));
    EXPECT_FALSE(same(states[states.size() - 2], states.back()));
  }
  return states;
}

TEST(FailingRun, TheStepUpdatesInPlace) {
  // Otherwise these tests would show nothing: a double-buffered variable survives a failure by itself.
  const Training t;
  const std::string text = program_text(t.graph, std::vector<Key>{t.step, t.check_limit, t.spun},
                                        std::vector<Key>{t.x, t.target, t.limit, t.trips, t.fail_function});
  EXPECT_NE(text.find("variable w1: f32[8, 16] read assigned\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("shadow"), std::string::npos) << text;
}

TEST(FailingRun, LeavesEveryVariableAsItWas) {
  const Training t;
  const Data data;
  const std::vector<State> states = states_of_success(t, data, 3);
  Session session(t.graph, test::options());
  session.initialize();
  for (std::size_t n = 0; n < states.size(); ++n) {
    for (const Attempt& attempt : failures) {
      expect_failure(session, t, data, attempt);
      EXPECT_TRUE(same(state_of(session, t.variables), states[n])) << attempt.name << " after " << n << " steps";
    }
    if (n + 1 < states.size()) run(session, t, data, success);
  }
}

TEST(FailingRun, UninitializedVariablesStayUninitialized) {
  const Training t;
  const Data data;
  Session session(t.graph, test::options());
  Attempt attempt = success;
  attempt.code = ErrorCode::uninitialized;
  expect_failure(session, t, data, attempt);
  for (const VariableInfo& info : session.variables()) EXPECT_FALSE(info.initialized) << info.name;
}

TEST(FailingRun, InASessionOfFourThreads) {
  constexpr int threads = 4, rounds = 24;
  const Training t;
  const Data data;
  const std::vector<State> states = states_of_success(t, data, threads * rounds);
  SessionOptions options = test::options();
  options.threads = 2;
  Session session(t.graph, options);
  session.initialize();
  std::atomic<int> succeeded = 0;
  std::vector<std::thread> pool;
  for (int thread = 0; thread < threads; ++thread)
    pool.emplace_back([&, thread] {
      std::mt19937 choose(static_cast<unsigned>(thread));
      std::size_t last = 0;
      for (int round = 0; round < rounds; ++round) {
        const std::size_t choice = choose() % (std::size(failures) + 3);
        if (choice < std::size(failures)) {
          expect_failure(session, t, data, failures[choice]);
        } else if (choice > std::size(failures)) {
          run(session, t, data, success);
          ++succeeded;
        }
        // What is read is the state after some number of whole steps, and no step is ever undone.
        const State now = state_of(session, t.variables);
        const auto found =
            std::find_if(states.begin() + static_cast<std::ptrdiff_t>(last), states.end(), [&](const State& s) { return same(s, now); });
        if (found == states.end()) {
          ADD_FAILURE() << "thread " << thread << ", round " << round << ": a state that no number of steps leads to";
          return;
        }
        last = static_cast<std::size_t>(found - states.begin());
      }
    });
  for (std::thread& thread : pool) thread.join();
  EXPECT_GT(succeeded, 0);
  EXPECT_GT(t.calls->load(), 0);
  EXPECT_TRUE(same(state_of(session, t.variables), states[static_cast<std::size_t>(succeeded)]));
}

TEST(FailingRun, FunctionsOfConcurrentReadersThrowEachForItself) {
  // Programs that assign nothing run side by side; the function runs on several threads at once.
  Graph graph;
  const Tensor x = graph.placeholder("x", i32, {});
  const Variable w = graph.variable("w", Array(std::int32_t{7}));
  const Tensor y = custom_call("odd", {x, w}, {{i32, {}}}, [](auto in, auto out) {
    const std::int32_t value = in[0].template data<std::int32_t>()[0];
    if (value % 2 != 0) throw std::runtime_error("odd: " + std::to_string(value));
    out[0].template data<std::int32_t>()[0] = value * in[1].template data<std::int32_t>()[0];
  })[0];
  Session session(graph, test::options());
  session.initialize();
  const Callable callable = session.callable(y, {x});
  std::vector<std::thread> pool;
  for (int thread = 0; thread < 4; ++thread)
    pool.emplace_back([&, thread] {
      for (int i = 0; i < 200; ++i) {
        const std::int32_t value = thread * 1000 + i;
        try {
          const Array result = callable({Array(value)})[0];
          EXPECT_EQ(value % 2, 0);
          EXPECT_EQ(result.item<std::int32_t>(), 7 * value);
        } catch (const Error& error) {
          EXPECT_EQ(value % 2, 1);
          EXPECT_EQ(error.message(), "the custom call \"odd\" failed: odd: " + std::to_string(value));
        }
      }
    });
  for (std::thread& thread : pool) thread.join();
  EXPECT_EQ(session.value(w).item<std::int32_t>(), 7);
}

}  // namespace

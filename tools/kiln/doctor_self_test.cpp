// The self test of `kiln doctor`: a training step of a small network, compiled afresh, against the reference engine.
#include <algorithm>
#include <chrono>
#include <vector>

#include "kiln/kiln.h"
#include "tools/kiln/doctor.h"
#include "tools/kiln/random_array.h"

namespace kiln::command {

namespace {

using Clock = std::chrono::steady_clock;
constexpr int runs = 50;

struct Measured {
  std::vector<double> losses;
  double compile_ms = 0, run_us = 0;
};

Measured train(Engine engine, int steps) {
  Graph graph;
  const Dim batch("batch");
  const Tensor x = graph.placeholder("x", f32, {batch, 64});
  const Tensor y = graph.placeholder("y", f32, {batch, 10});
  const Variable w1 = graph.variable("w1", random_array(f32, {64, 32}, 1));
  const Variable w2 = graph.variable("w2", random_array(f32, {32, 10}, 2));
  const Tensor loss = reduce_mean(square(matmul(relu(matmul(x, w1)), w2) - y));
  const std::vector<Tensor> slopes = gradients(loss, {w1, w2});
  const Operation step = group({assign_sub(w1, 1e-3 * slopes[0]), assign_sub(w2, 1e-3 * slopes[1])});
  Session session(graph, {.cache_folder = "", .engine = engine});
  session.initialize();
  Measured result;
  const auto start = Clock::now();
  const Callable callable = session.callable({loss, step}, {x, y});
  result.compile_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  const Array x_value = random_array(f32, {20, 64}, 3), y_value = random_array(f32, {20, 10}, 4);
  std::vector<Array> results(2);
  std::vector<double> times;
  for (int i = 0; i < steps; ++i) {
    const auto begin = Clock::now();
    callable({x_value, y_value}, results);
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    result.losses.push_back(results[0].item<float>());
  }
  std::sort(times.begin(), times.end());
  result.run_us = times[times.size() / 2];
  return result;
}

}  // namespace

Json run_self_test() {
  Json test;
  test["passed"] = false;
  try {
    constexpr int compared = 3;
    constexpr double tolerance = 1e-4;
    const Measured compiled = train(Engine::compiled, runs), reference = train(Engine::reference, compared);
    test["compile_ms"] = compiled.compile_ms;
    test["run_us"] = compiled.run_us;
    for (std::size_t i = 0; i < compared; ++i)
      if (!(std::abs(compiled.losses[i] - reference.losses[i]) <= tolerance * std::abs(reference.losses[i]))) {
        test["error"] = "machine code and reference differ at step " + std::to_string(i) + ": " + std::to_string(compiled.losses[i]) +
                        " and " + std::to_string(reference.losses[i]);
        return test;
      }
    test["passed"] = true;
  } catch (const std::exception& error) {
    test["error"] = error.what();
  }
  return test;
}

}  // namespace kiln::command

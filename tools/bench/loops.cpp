// Loops against the same steps written out: time of the forward pass and of forward and backward, of a recurrent network's training step.
//
//   kiln_loops_bench [time batch hidden]
//
// What a backward loop may cost more than unrolled code is the counting, the slices that it reads and writes, and the stacks of what the
// forward loop keeps; what it must not have is copies, or kernels that are less fused. The ratios are the medians of rounds in which both
// take turns, so that a busy machine slows both.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "kiln/control.h"
#include "kiln/gradients.h"
#include "kiln/initializers.h"
#include "kiln/operators.h"
#include "kiln/session.h"

using namespace kiln;

namespace {

constexpr int rounds = 31;

struct Program {
  std::vector<Tensor> forward, backward;
};

struct Network {
  std::int64_t time, batch, hidden;
  Graph graph;
  Tensor xs = graph.placeholder("xs", f32, {time, batch, hidden});
  Variable w = graph.variable("w", random_normal(f32, {hidden, hidden}, {.stddev = 0.05}));
  Variable u = graph.variable("u", random_normal(f32, {hidden, hidden}, {.stddev = 0.05}));
  Variable bias = graph.variable("bias", zeros(f32, {hidden}));

  Tensor step(const Tensor& h, const Tensor& x) const { return kiln::tanh(matmul(h, w) + matmul(x, u) + bias); }
  Tensor first() { return graph.zeros(f32, {batch, hidden}); }

  Program finish(const Tensor& last) const {
    const Tensor loss = reduce_sum(square(last));
    Program result{{loss}, gradients(loss, {w, u, bias})};
    result.backward.insert(result.backward.begin(), loss);
    return result;
  }

  Tensor last_unrolled() {
    Tensor h = first();
    for (std::int64_t t = 0; t < time; ++t) h = step(h, reshape(slice(xs, {t, 0, 0}, {t + 1, batch, hidden}), {batch, hidden}));
    return h;
  }
  Tensor last_scanned(std::int64_t checkpoint_every) {
    return scan([&](auto& h, auto& x) { return ScanResult{{step(h[0], x[0])}, {}}; }, {first()}, {xs},
                {.checkpoint_every = checkpoint_every})
        .carried[0];
  }
  /// Rows of steps, a scan in a scan.
  Program nested() {
    constexpr std::int64_t rows = 8;
    const Tensor split = reshape(xs, {rows, time / rows, batch, hidden});
    return finish(scan(
                      [&](auto& outer, auto& row) {
                        return ScanResult{
                            scan([&](auto& h, auto& x) { return ScanResult{{step(h[0], x[0])}, {}}; }, {outer[0]}, {row[0]}).carried, {}};
                      },
                      {first()}, {split})
                      .carried[0]);
  }
  /// A scan that runs where a condition says so, against the same steps there.
  Program in_branch(const Tensor& count, bool unroll) {
    return finish(cond(greater(count, 0), [&] { return unroll ? last_unrolled() : last_scanned(0); }, [&] { return first(); }));
  }
  /// The loop that does not know its trip count; the input is the same in each step.
  Program looped(const Tensor& count, WhileOptions options) {
    const Tensor x = reshape(slice(xs, {0, 0, 0}, {1, batch, hidden}), {batch, hidden});
    return finish(while_loop([&](auto& v) { return less(v[0], count); },
                             [&](auto& v) { return std::vector<Tensor>{v[0] + 1, step(v[1], x * v[2]), v[2]}; },
                             {graph.constant(Array(std::int64_t{0})), first(), graph.ones(f32, {})}, options)[1]);
  }
};

double seconds(const Callable& callable, std::span<const ArrayView> feeds, std::vector<Array>& results) {
  const auto start = std::chrono::steady_clock::now();
  callable(feeds, results);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, std::int64_t otherwise) { return argc > i ? std::atoll(argv[i]) : otherwise; };
  Network network{argument(1, 64), argument(2, 32), argument(3, 128)};
  const Tensor count = network.graph.placeholder("count", i64, {});
  struct Case {
    const char* name;
    Program program;
  };
  const std::vector<Case> cases{{"unrolled", network.finish(network.last_unrolled())},
                                {"scan", network.finish(network.last_scanned(0))},
                                {"scan, checkpoint every sqrt(n)", network.finish(network.last_scanned(automatic))},
                                {"scan in a scan", network.nested()},
                                {"unrolled in a branch", network.in_branch(count, true)},
                                {"scan in a branch", network.in_branch(count, false)},
                                {"while_loop, bounded", network.looped(count, {.max_trip_count = network.time})},
                                {"while_loop", network.looped(count, {})}};
  SessionOptions options;
  options.threads = 1;
  options.cache_folder = "";
  Session session(network.graph, options);
  session.initialize();
  const Array x = Array::full(f32, {network.time, network.batch, network.hidden}, 0.1);
  const Array trips(network.time);
  std::printf("%lld steps of %lld x %lld, one thread, medians of %d rounds\n", static_cast<long long>(network.time),
              static_cast<long long>(network.batch), static_cast<long long>(network.hidden), rounds);
  std::vector<Callable> callables;
  std::vector<std::vector<Array>> results;
  for (const Case& c : cases)
    for (const std::vector<Tensor>* fetches : {&c.program.forward, &c.program.backward}) {
      const std::vector<Key> keys(fetches->begin(), fetches->end());
      callables.push_back(session.callable(keys, {network.xs, count}));
      results.emplace_back(keys.size());
    }
  const std::vector<ArrayView> feeds{x, trips};
  std::vector<std::vector<double>> times(callables.size()), ratios(callables.size());
  for (int round = -2; round < rounds; ++round)
    for (std::size_t i = 0; i < callables.size(); ++i) {
      const double taken = seconds(callables[i], feeds, results[i]);
      if (round >= 0) times[i].push_back(taken);
    }
  for (std::size_t i = 0; i < callables.size(); ++i)
    for (std::size_t r = 0; r < times[i].size(); ++r) {
      const std::size_t kind = i % 2;
      const double own = kind == 0 ? times[i][r] : times[i][r] - times[i - 1][r];
      const double base = kind == 0 ? times[0][r] : times[1][r] - times[0][r];
      ratios[i].push_back(own / base);
    }
  std::printf("%-32s %12s %8s %16s %8s\n", "", "forward ms", "ratio", "with backward", "backward alone");
  for (std::size_t c = 0; c < cases.size(); ++c)
    std::printf("%-32s %12.3f %8.2f %16.3f %8.2f\n", cases[c].name, 1e3 * median(times[2 * c]), median(ratios[2 * c]),
                1e3 * median(times[2 * c + 1]), median(ratios[2 * c + 1]));
}

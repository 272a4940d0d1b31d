// kiln_bench: what Kiln takes for a few workloads, beside the limits of this machine measured in the same run. Prints; asserts nothing.
//
//   kiln_bench [NAME...]      seed, gemm, call, compile; all without names
//
// Times are medians of several rounds; a round is long enough (about 50 ms) for the clock to settle. tools/bench/compare runs this beside PyTorch.
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "kiln/kiln.h"

using namespace kiln;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// Median seconds of one call of `function`.
double time_of(const std::function<void()>& function, int rounds = 9) {
  function();
  int calls = 1;
  for (;;) {
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) function();
    if (seconds_since(start) > 0.05 || calls > 50'000'000) break;
    calls *= 2;
  }
  std::vector<double> times;
  for (int r = 0; r < rounds; ++r) {
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) function();
    times.push_back(seconds_since(start) / calls);
  }
  return median(times);
}

// ---- the machine's limit: independent fused multiply-adds in registers

[[gnu::target("avx512f,fma")]] float fma_chain_512(int steps) {
  __m512 a[24];
  for (auto& v : a) v = _mm512_set1_ps(1.0f);
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
  for (int i = 0; i < steps; ++i)
#pragma GCC unroll 24
    for (int k = 0; k < 24; ++k) a[k] = _mm512_fmadd_ps(a[k], x, y);
  for (int k = 1; k < 24; ++k) a[0] = _mm512_add_ps(a[0], a[k]);
  return _mm512_cvtss_f32(a[0]);
}

[[gnu::target("avx2,fma")]] float fma_chain_256(int steps) {
  __m256 a[12];
  for (auto& v : a) v = _mm256_set1_ps(1.0f);
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
  for (int i = 0; i < steps; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < 12; ++k) a[k] = _mm256_fmadd_ps(a[k], x, y);
  for (int k = 1; k < 12; ++k) a[0] = _mm256_add_ps(a[0], a[k]);
  return _mm256_cvtss_f32(a[0]);
}

/// FLOP per second of one core.
double fma_peak() {
  constexpr int steps = 1000;
  volatile float sink = 0;
  const bool wide = __builtin_cpu_supports("avx512f");
  const double t = time_of([&] { sink = wide ? fma_chain_512(steps) : fma_chain_256(steps); });
  (void)sink;
  return 2.0 * steps * (wide ? 24 * 16 : 12 * 8) / t;
}

Array random_array(Shape shape, std::uint64_t seed) {
  Array a(f32, shape);
  for (float& v : a.mutable_data<float>()) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    v = static_cast<float>(static_cast<double>(seed >> 40) / (1 << 24) - 0.5);
  }
  return a;
}

SessionOptions one_thread() { return {.threads = 1}; }

// ---- workloads

struct SeedStep {
  Graph graph;
  Tensor x, y, loss;
  Operation step;
};

SeedStep seed_step() {
  SeedStep s;
  Dim batch("batch");
  s.x = s.graph.placeholder("x", f32, {batch, 1000});
  s.y = s.graph.placeholder("y", f32, {batch, 10});
  Variable w1 = s.graph.variable("w1", random_normal(f32, {1000, 100}));
  Variable w2 = s.graph.variable("w2", random_normal(f32, {100, 10}));
  Tensor y_pred = matmul(relu(matmul(s.x, w1)), w2);
  s.loss = reduce_sum(square(y_pred - s.y));
  std::vector<Tensor> grads = gradients(s.loss, {w1, w2});
  s.step = group({assign_sub(w1, 1e-6 * grads[0]), assign_sub(w2, 1e-6 * grads[1])});
  return s;
}

void bench_seed() {
  const double peak = fma_peak();
  SeedStep s = seed_step();
  Session session(s.graph, one_thread());
  session.initialize();
  const Array x = random_array({64, 1000}, 1), y = random_array({64, 10}, 2);
  Callable train = session.callable({s.loss, s.step}, {s.x, s.y});
  std::vector<Array> results(2);
  const double t = time_of([&] { train({x, y}, results); });
  // Forward twice 2mnk, backward three products (none with respect to x).
  const double flops = 2.0 * 64 * (1000 * 100 * 2 + 100 * 10 * 3);
  std::printf("seed_step_us %.2f\nseed_step_fraction_of_fma_peak %.3f\n", 1e6 * t, flops / t / peak);
}

void bench_gemm() {
  for (const std::int64_t n : {256, 512, 1024}) {
    Graph graph;
    Tensor a = graph.placeholder("a", f32, {n, n}), b = graph.placeholder("b", f32, {n, n});
    Tensor c = matmul(a, b);
    Session session(graph, one_thread());
    Callable product = session.callable(c, {a, b});
    const Array x = random_array({n, n}, 1), y = random_array({n, n}, 2);
    std::vector<Array> results(1);
    std::vector<double> fractions, times;
    for (int r = 0; r < 5; ++r) {
      const double peak = fma_peak();
      const double t = time_of([&] { product({x, y}, results); }, 3);
      times.push_back(t);
      fractions.push_back(2.0 * static_cast<double>(n * n * n) / t / peak);
    }
    std::printf("gemm_%lld_us %.1f\ngemm_%lld_fraction_of_fma_peak %.3f\n", static_cast<long long>(n), 1e6 * median(times),
                static_cast<long long>(n), median(fractions));
  }
}

void bench_call() {
  Graph graph;
  Tensor a = graph.placeholder("a", f32, {4}), b = graph.placeholder("b", f32, {4});
  Tensor c = a + b;
  Session session(graph, one_thread());
  const Array x = random_array({4}, 1), y = random_array({4}, 2);
  const double run = time_of([&] { session.run({c}, {{a, x}, {b, y}}); });
  Callable add = session.callable(c, {a, b});
  std::vector<Array> results(1);
  const double call = time_of([&] { add({x, y}, results); });
  std::printf("session_run_add_4_floats_ns %.0f\ncallable_add_4_floats_ns %.0f\n", 1e9 * run, 1e9 * call);
}

/// Compile time of the seed step in this process: with an empty cache, and with a filled one.
void bench_compile(const std::string& cache_folder) {
  const auto start = Clock::now();
  SeedStep s = seed_step();
  SessionOptions options = one_thread();
  options.cache_folder = cache_folder;
  Session session(s.graph, options);
  session.prepare({s.loss, s.step}, {s.x, s.y});
  std::printf("prepare_ms %.2f\n", 1e3 * seconds_since(start));
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> names(argv + 1, argv + argc);
  if (names.size() == 2 && names[0] == "prepare") {
    bench_compile(names[1]);
    return 0;
  }
  if (names.empty()) names = {"seed", "gemm", "call", "compile"};
  for (const std::string& name : names) {
    if (name == "seed") bench_seed();
    else if (name == "gemm") bench_gemm();
    else if (name == "call") bench_call();
    else if (name == "compile") {
      // Each measurement is a process of its own: what a user's first and second start take.
      const std::string folder = (std::filesystem::temp_directory_path() / ("kiln_bench_" + std::to_string(Clock::now().time_since_epoch().count()))).string();
      const std::string command = std::string(argv[0]) + " prepare " + folder;
      std::printf("cold:   ");
      std::fflush(stdout);
      if (std::system(command.c_str()) != 0) return 1;
      for (int i = 0; i < 3; ++i) {
        std::printf("cached: ");
        std::fflush(stdout);
        if (std::system(command.c_str()) != 0) return 1;
      }
      std::filesystem::remove_all(folder);
    } else {
      std::fprintf(stderr, "unknown benchmark '%s'; there are seed, gemm, call, compile\n", name.c_str());
      return 2;
    }
  }
  return 0;
}

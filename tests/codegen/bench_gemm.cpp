// Prints how fast a hand-written register-tiled product runs, against the peak of multiply-adds measured in the same run, and what it takes
// to compile. Asserts nothing.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "ir/loop_text.h"
#include "tests/codegen/support.h"

namespace {

using namespace kiln;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// C = A * B of n x n in register tiles, B packed into panels as wide as a tile. The last tiles overlap the ones before instead of being
/// smaller.
std::string gemm_text(int n, int rows, int vectors, int lanes) {
  const int columns = vectors * lanes, panels = (n + columns - 1) / columns;
  return fmt::format(
      "kernel @gemm(a: f32[{n}, {n}], b: f32[{n}, {n}], packed: f32[{panels}, {n}, {columns}] inout, c: f32[{n}, {n}] output) work(0) {{\n"
      "  for k0 in 0 .. {n} {{\n"
      "    for p in 0 .. {panels} {{\n"
      "      %0 = load b[k0, min({columns}*p, {last_column}) + $v] : f32x{lanes}[1,{vectors}]\n"
      "      store packed[p, k0, $v], %0 : f32x{lanes}[1,{vectors}]\n"
      "    }}\n"
      "  }}\n"
      "  for i in 0 .. {n} step {rows} {{\n"
      "    for j in 0 .. {panels} {{\n"
      "      %1 = constant 0 : f32x{lanes}[{rows},{vectors}]\n"
      "      %6 = for k in 0 .. {n} carry (%2 = %1) {{\n"
      "        prefetch packed[j, k + 8, $v] : f32x{lanes}[1,{vectors}]\n"
      "        %3 = load a[min(i, {last_row}) + $r, k] : f32[{rows},1]\n"
      "        %4 = load packed[j, k, $v] : f32x{lanes}[1,{vectors}]\n"
      "        %5 = fma %3, %4, %2 : f32x{lanes}[{rows},{vectors}]\n"
      "        yield %5\n"
      "      }}\n"
      "      store c[min(i, {last_row}) + $r, min({columns}*j, {last_column}) + $v], %6 : f32x{lanes}[{rows},{vectors}]\n"
      "    }}\n"
      "  }}\n}}\n",
      fmt::arg("n", n), fmt::arg("panels", panels), fmt::arg("columns", columns), fmt::arg("rows", rows), fmt::arg("vectors", vectors),
      fmt::arg("lanes", lanes), fmt::arg("last_row", n - rows), fmt::arg("last_column", n - columns));
}

/// Independent multiply-adds on registers only.
std::string peak_text(int rows, int vectors, int lanes) {
  return fmt::format(
      "kernel @peak(x: f32[{0}], y: f32[{1}, {0}] output) symbols(n) work(0) {{\n"
      "  %0 = load x[$v] : f32x{2}[1,{3}]\n"
      "  %1 = constant 1 : f32x{2}[{1},{3}]\n"
      "  %4 = for i in 0 .. n carry (%2 = %1) {{\n"
      "    %3 = fma %2, %0, %0 : f32x{2}[{1},{3}]\n"
      "    yield %3\n"
      "  }}\n"
      "  store y[$r, $v], %4 : f32x{2}[{1},{3}]\n}}\n",
      vectors * lanes, rows, lanes, vectors);
}

template <class Run>
double best_of(int repeats, Run&& run) {
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    const auto start = Clock::now();
    run();
    best = std::min(best, seconds_since(start));
  }
  return best;
}

float* floats(std::size_t count) {
  auto* memory = static_cast<float*>(std::aligned_alloc(64, (count * 4 + 63) / 64 * 64));
  for (std::size_t i = 0; i < count; ++i) memory[i] = static_cast<float>(i % 17) / 17;
  return memory;
}

struct Kernel {
  test::Compiled compiled;
  test::Call call;
};

Kernel prepare(const std::string& text, std::vector<std::int64_t> symbols, const std::string& target) {
  const ir::Kernel kernel = ir::parse_kernels(text).at(0);
  ir::verify(kernel);
  Kernel result;
  const auto start = Clock::now();
  codegen::X86Options options;
  options.target = target;
  result.compiled = test::compile(test::program_of(kernel), options);
  std::printf("  %s: compiled in %.1f ms\n", kernel.name.c_str(), 1e3 * seconds_since(start));
  for (const auto& buffer : kernel.buffers) {
    float* memory = floats(static_cast<std::size_t>(ir::product(buffer.extents).constant()) + 1024);
    if (buffer.role == ir::Buffer::Role::input)
      result.call.inputs.push_back(memory);
    else
      result.call.outputs.push_back(memory);
  }
  result.call.symbols = std::move(symbols);
  result.call.prepare();
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string target = argc > 1 ? argv[1] : "native";
  const bool wide = (target == "native" ? codegen::host_cpu().level : target) == "x86-64-v4";
  struct Tile {
    int rows, vectors;
  };
  const std::vector<Tile> tiles = wide ? std::vector<Tile>{{14, 2}, {8, 3}} : std::vector<Tile>{{6, 1}, {4, 1}};
  constexpr std::int64_t steps = 100000;
  Kernel peak = prepare(peak_text(wide ? 12 : 6, wide ? 2 : 1, 16), {steps}, target);
  const auto measure_peak = [&] {
    return 2e-9 * steps * (wide ? 24 : 6) * 16 / best_of(10, [&] { peak.compiled.code.entry(&peak.call.call); });
  };
  for (const int n : {256, 512, 1024}) {
    for (const Tile tile : tiles) {
      std::printf("%d^3, tile %dx%d\n", n, tile.rows, tile.vectors * 16);
      Kernel gemm = prepare(gemm_text(n, tile.rows, tile.vectors, 16), {}, target);
      const double top = measure_peak();
      const double speed = 2e-9 * n * n * n / best_of(20, [&] { gemm.compiled.code.entry(&gemm.call.call); });
      std::printf("  %.1f GFLOP/s, %.0f %% of %.1f\n", speed, 100 * speed / top, top);
    }
  }
}

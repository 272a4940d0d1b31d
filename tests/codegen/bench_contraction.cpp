// Prints how fast scheduled contractions run on one core, against the peak of multiply-adds measured in the same run: matrix products and
// convolutions with their gradients, in both usual layouts. Asserts nothing.
//
//   bench_contraction [WORD]      only those whose name contains the word
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "ir/loop_text.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "tests/codegen/support.h"

namespace {

using namespace kiln;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

passes::CpuTarget target() {
  const bool wide = codegen::host_cpu().level == "x86-64-v4";
  return {codegen::host_cpu().level, wide ? 32 : 16, wide ? 64 : 32, true};
}

/// Independent multiply-adds on registers only.
std::string peak_text(int rows, int vectors) {
  return fmt::format(
      "kernel @peak(x: f32[{0}], y: f32[{1}, {0}] output) symbols(n) work(0) {{\n"
      "  %0 = load x[$v] : f32x16[1,{2}]\n"
      "  %1 = constant 1 : f32x16[{1},{2}]\n"
      "  %4 = for i in 0 .. n carry (%2 = %1) {{\n"
      "    %3 = fma %2, %0, %0 : f32x16[{1},{2}]\n"
      "    yield %3\n"
      "  }}\n"
      "  store y[$r, $v], %4 : f32x16[{1},{2}]\n}}\n",
      vectors * 16, rows, vectors);
}

/// A compiled kernel and memory for its buffers.
struct Runner {
  test::Compiled compiled;
  test::Call call;
  std::vector<void*> memory;
  double compile_seconds = 0;

  Runner(const ir::Kernel& kernel, std::vector<std::int64_t> symbols) {
    const auto start = Clock::now();
    compiled = test::compile(test::program_of(kernel));
    compile_seconds = seconds_since(start);
    for (const ir::Buffer& buffer : kernel.buffers) {
      const auto count = static_cast<std::size_t>(ir::product(buffer.extents).constant()) + 1024;
      auto* floats = static_cast<float*>(std::aligned_alloc(64, (count * 4 + 63) / 64 * 64));
      for (std::size_t i = 0; i < count; ++i) floats[i] = static_cast<float>(i % 17) / 17;
      memory.push_back(floats);
      if (buffer.role == ir::Buffer::Role::input)
        call.inputs.push_back(floats);
      else
        call.outputs.push_back(floats);
    }
    call.symbols = std::move(symbols);
    call.prepare();
  }
  Runner(const Runner&) = delete;
  ~Runner() {
    for (void* m : memory) std::free(m);
  }

  double seconds() {
    double best = 1e30;
    for (int i = 0; i < 15; ++i) {
      const auto start = Clock::now();
      compiled.code.entry(&call.call);
      best = std::min(best, seconds_since(start));
    }
    return best;
  }
};

double peak() {
  constexpr std::int64_t steps = 100000;
  const bool wide = codegen::host_cpu().level == "x86-64-v4";
  static Runner runner(ir::parse_kernels(peak_text(wide ? 12 : 6, wide ? 2 : 1)).at(0), {steps});
  return 2e-9 * steps * (wide ? 24 : 6) * 16 / runner.seconds();
}

void measure(const std::string& name, double operations, const std::string& text) {
  const ir::Module module = ir::parse(text);
  ir::Kernel kernel = passes::lower_kernel(module, module.main, target());
  passes::expand_math(kernel);
  if (std::getenv("PRINT_KERNELS") != nullptr) std::printf("%s", ir::print(kernel).c_str());
  Runner runner(kernel, {});
  const double top = peak(), speed = 1e-9 * operations / runner.seconds();
  std::printf("%-36s %7.1f GFLOP/s  %3.0f %% of %.1f   compiled in %.0f ms\n", name.c_str(), speed, 100 * speed / top, top,
              1e3 * runner.compile_seconds);
}

struct Case {
  std::string name;
  int batch, inputs, outputs, size, window, stride, groups;
};

/// The three convolutions of a layer: size x size positions, `window` wide, padded by half of it.
void measure_layer(const Case& c, bool last, const std::string& word) {
  const int pad = c.window / 2, to = (c.size + 2 * pad - c.window) / c.stride + 1, per_group = c.inputs / c.groups;
  const double operations = 2.0 * c.batch * to * to * c.outputs * per_group * c.window * c.window;
  const auto dims = [&](int batch, int features, int size) {
    return last ? fmt::format("{}, {}, {}, {}", batch, size, size, features) : fmt::format("{}, {}, {}, {}", batch, features, size, size);
  };
  const std::string x = dims(c.batch, c.inputs, c.size), y = dims(c.batch, c.outputs, to);
  const std::string w = last ? fmt::format("{0}, {0}, {1}, {2}", c.window, per_group, c.outputs)
                             : fmt::format("{2}, {1}, {0}, {0}", c.window, per_group, c.outputs);
  const int feature = last ? 3 : 1;
  const char* spatial = last ? "1, 2" : "2, 3";
  const int in = last ? 2 : 1, out = last ? 3 : 0;
  const char* window = last ? "0, 1" : "2, 3";
  const auto run = [&](const char* what, const std::string& text) {
    const std::string name = fmt::format("{} {} {}", c.name, last ? "NHWC" : "NCHW", what);
    if (name.find(word) != std::string::npos) measure(name, operations, text);
  };
  run("forward", fmt::format(R"(
graph @main(%x: f32[{0}], %w: f32[{1}]) -> (%y) {{
  %y = convolution %x, %w {{strides = [{3}, {3}], low = [{4}, {4}], high = [{4}, {4}], feature_groups = {10},
    lhs_batch = 0, lhs_feature = {5}, lhs_spatial = [{6}], rhs_input_feature = {7}, rhs_output_feature = {8}, rhs_spatial = [{9}],
    result_batch = 0, result_feature = {5}, result_spatial = [{6}]}} : f32[{2}]
}})",
                             x, w, y, c.stride, pad, feature, spatial, in, out, window, c.groups));
  if (c.groups > 1) return;
  const int low = c.window - 1 - pad, high = c.size + c.window - 1 - ((to - 1) * c.stride + 1) - low;
  run("gradient of input", fmt::format(R"(
graph @main(%y: f32[{2}], %w: f32[{1}]) -> (%x) {{
  %x = convolution %y, %w {{lhs_dilation = [{3}, {3}], low = [{4}, {4}], high = [{10}, {10}], window_reversal = [1, 1],
    lhs_batch = 0, lhs_feature = {5}, lhs_spatial = [{6}], rhs_input_feature = {8}, rhs_output_feature = {7}, rhs_spatial = [{9}],
    result_batch = 0, result_feature = {5}, result_spatial = [{6}]}} : f32[{0}]
}})",
                                       x, w, y, c.stride, low, feature, spatial, in, out, window, high));
  run("gradient of weights",
      fmt::format(R"(
graph @main(%x: f32[{0}], %y: f32[{2}]) -> (%w) {{
  %w = convolution %x, %y {{rhs_dilation = [{3}, {3}], low = [{4}, {4}], high = [{10}, {10}],
    lhs_batch = {5}, lhs_feature = 0, lhs_spatial = [{6}], rhs_input_feature = 0, rhs_output_feature = {5}, rhs_spatial = [{6}],
    result_batch = {7}, result_feature = {8}, result_spatial = [{9}]}} : f32[{1}]
}})",
                  x, w, y, c.stride, pad, feature, spatial, in, out, window, (to - 1) * c.stride + 1 - c.size + c.window - pad - 1));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string word = argc > 1 ? argv[1] : "";
  for (const int n : {256, 512, 1024})
    if (const std::string name = fmt::format("product {}", n); name.find(word) != std::string::npos)
      measure(name, 2.0 * n * n * n,
              fmt::format("graph @main(%a: f32[{0}, {0}], %b: f32[{0}, {0}]) -> (%c) {{\n  %c = dot_general %a, %b {{lhs_contract = [1], "
                          "rhs_contract = [0]}} : f32[{0}, {0}]\n}}",
                          n));
  for (const Case& c : {Case{"3x3 64->64 56x56", 1, 64, 64, 56, 3, 1, 1}, Case{"3x3 64->64 56x56 batch 8", 8, 64, 64, 56, 3, 1, 1},
                        Case{"3x3 512->512 7x7 batch 8", 8, 512, 512, 7, 3, 1, 1}, Case{"7x7 3->64 112x112 /2", 1, 3, 64, 112, 7, 2, 1},
                        Case{"1x1 256->64 28x28", 1, 256, 64, 28, 1, 1, 1}, Case{"3x3 depthwise 128 56x56", 1, 128, 128, 56, 3, 1, 128}})
    for (const bool last : {true, false}) measure_layer(c, last, word);
}

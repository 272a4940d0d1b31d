// kiln opt: named passes over text of any level, as golden tests and bug reports need them.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>

#include "ir/loop_text.h"
#include "ir/program.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/passes.h"
#include "tools/kiln/command.h"
#include "tools/kiln/kernel_check.h"
#include "tools/kiln/text_file.h"

namespace kiln::command {

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string file;
  std::vector<std::string> passes;
  bool verify = false, time = false;
};

/// Runs a pass; with --time says on standard error how long it took.
template <class Work>
void timed(const Options& options, const std::string& name, Work work) {
  const auto start = Clock::now();
  work();
  if (options.time)
    fmt::print(stderr, "{:<24} {:10.3f} ms\n", name, std::chrono::duration<double, std::milli>(Clock::now() - start).count());
}

[[noreturn]] void unknown_pass(const std::string& name, Level level, const char* known) {
  throw Error(ErrorCode::invalid_argument, fmt::format("there is no pass named \"{}\" over {}", name, name_of(level)), {},
              fmt::format("the passes are {}", known));
}

std::string optimize_module(const TextFile& file, const Options& options) {
  ir::Module module;
  timed(options, "parse", [&] { module = parse_module(file); });
  // A user's whole program may hold several steps that assign one variable; passes see one run at a time.
  if (const auto violation = ir::find_violation(module))
    throw Error(ErrorCode::invalid_argument, fmt::format("{} is not the program of one run: {}", file.path, violation->message), {},
                "cut it out first: kiln print FILE --fetch NAME");
  passes::PipelineOptions pipeline;
  pipeline.verify_each = pipeline.round_trip = options.verify;
  for (const std::string& name : options.passes) timed(options, name, [&] { passes::run_passes(module, {name}, pipeline); });
  return ir::print(module);
}

std::string optimize_kernels(const TextFile& file, const Options& options) {
  std::vector<ir::Kernel> kernels;
  timed(options, "parse", [&] { kernels = ir::parse_kernels(file.text, file.path); });
  for (const std::string& name : options.passes)
    timed(options, name, [&] {
      for (ir::Kernel& kernel : kernels) {
        if (name == "expand_math")
          passes::expand_math(kernel);
        else if (name == "interpret")
          fmt::print(stderr, "{}\n", interpret_on_random_data(kernel));
        else if (name != "verify")
          unknown_pass(name, file.level, "expand_math, interpret and verify");
        if (options.verify || name == "verify") ir::verify(kernel);
      }
    });
  std::string text;
  for (const ir::Kernel& kernel : kernels) text += (text.empty() ? "" : "\n") + ir::print(kernel);
  return text;
}

std::string optimize_program(const TextFile& file, const Options& options) {
  ir::Program program;
  timed(options, "parse", [&] { program = ir::parse_program(file.text, file.path); });
  for (const std::string& name : options.passes)
    timed(options, name, [&] {
      if (name == "expand_math") {
        for (ir::Kernel& kernel : program.kernels) passes::expand_math(kernel);
      } else if (name != "verify") {
        unknown_pass(name, file.level, "expand_math and verify");
      }
      if (options.verify || name == "verify") {
        for (const ir::Kernel& kernel : program.kernels) ir::verify(kernel);
        ir::verify(program);
      }
    });
  return ir::print(program);
}

void optimize(const Options& options) {
  const TextFile file = read_text(options.file);
  const std::string text = file.level == Level::tensor  ? optimize_module(file, options)
                           : file.level == Level::loops ? optimize_kernels(file, options)
                                                        : optimize_program(file, options);
  std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace

void add_opt(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("opt", "Runs named passes over a program and prints the result");
  command->add_option("FILE", options->file, "MODEL.kiln, or text of loop IR or program IR; - is standard input")->required();
  command
      ->add_option(
          "--passes", options->passes,
          "Passes in order, with commas between. Tensor IR: those of `kiln print --list` before loops. Loop IR: expand_math, interpret "
          "(on random data, forwards and backwards) and verify. Program IR: expand_math and verify")
      ->delimiter(',');
  command->add_flag("--verify", options->verify, "Check every invariant, and that the text reads back, after each pass");
  command->add_flag("--time", options->time, "Say on standard error how long each pass took");
  command->callback([options] { optimize(*options); });
}

}  // namespace kiln::command

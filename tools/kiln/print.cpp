// kiln print: what becomes of a program, stage by stage.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "codegen/x86/x86.h"
#include "ir/loop_text.h"
#include "ir/program.h"
#include "kiln/inspect.h"
#include "tools/kiln/command.h"
#include "tools/kiln/selection.h"
#include "tools/kiln/text_file.h"

namespace kiln::command {

namespace {

struct Options {
  std::string file, after = "input", target = "native";
  std::vector<std::string> fetches;
  bool effects = false, locations = false, list = false;
};

/// The stages of a file of this level, in order.
std::vector<std::string> stages(Level level) {
  switch (level) {
    case Level::loops: return {"input"};
    case Level::program: return {"input", "llvm", "assembly"};
    case Level::tensor: break;
  }
  std::vector<std::string> names{"input"};
  for (std::string& pass : compiler_passes()) names.push_back(std::move(pass));
  names.insert(names.end(), {"llvm", "assembly"});
  return names;
}

std::string stage_text(const TextFile& file, const Options& options) {
  const std::string name = file.path == "-" ? "<stdin>" : file.path;
  switch (file.level) {
    case Level::loops: {
      std::string text;
      for (const ir::Kernel& kernel : ir::parse_kernels(file.text, name)) text += (text.empty() ? "" : "\n") + ir::print(kernel);
      return text;
    }
    case Level::program: {
      const ir::Program program = ir::parse_program(file.text, name);
      const codegen::X86Options x86{.target = options.target};
      if (options.after == "llvm") return codegen::llvm_text(program, x86);
      if (options.after == "assembly") return codegen::assembly_text(program, x86);
      return ir::print(program, true, options.locations);
    }
    case Level::tensor: break;
  }
  const Graph graph = file.path == "-" ? Graph::parse(file.text, name) : Graph::read(file.path, nowhere);
  const Selection selection = select(graph, options.fetches, options.effects);
  return program_text(
      graph, selection.fetches, selection.feeds,
      {.after_pass = options.after == "input" ? "" : options.after, .target = options.target, .locations = options.locations}, nowhere);
}

void print(const Options& options) {
  if (options.file.empty()) {
    if (!options.list) usage_error("a FILE is needed");
    fmt::print("{}\n", fmt::join(stages(Level::tensor), "\n"));
    return;
  }
  const TextFile file = read_text(options.file);
  const std::vector<std::string> names = stages(file.level);
  if (options.list) {
    fmt::print("{}\n", fmt::join(names, "\n"));
    return;
  }
  if (std::find(names.begin(), names.end(), options.after) == names.end())
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{} holds {}, which has no stage \"{}\"", options.file, name_of(file.level), options.after), {},
                fmt::format("its stages are {}", fmt::join(names, ", ")));
  const std::string text = stage_text(file, options);
  std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace

void add_print(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("print", "Prints a program at any stage of its compilation");
  command->add_option("FILE", options->file, "MODEL.kiln, or text of loop IR or program IR; - is standard input");
  command->add_option("--after", options->after, "The last stage to go through; --list names them")->capture_default_str();
  command
      ->add_option("--fetch", options->fetches,
                   "Tensors to compute; default: the graph's results, or named tensors that nothing else uses, "
                   "and every assign and check")
      ->expected(1, -1);
  command->add_flag("--effects", options->effects, "Besides --fetch: every assign and check");
  command->add_option("--target", options->target, "native, x86-64-v2, x86-64-v3 or x86-64-v4")->capture_default_str();
  command->add_flag("--locations", options->locations, "With the lines of the user's program, in tensor IR and program IR");
  command->add_flag("--list", options->list, "List the stages (of FILE) and stop");
  command->callback([options] { print(*options); });
}

}  // namespace kiln::command

// The stages of compilation as text.
#include "kiln/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>

#include "codegen/x86/x86.h"
#include "frontend/compile.h"
#include "ir/text.h"

namespace kiln {

using namespace detail;

namespace {

ir::Module pruned_module(const Graph& graph, const ListRef<Key>& fetches, const ListRef<Key>& feeds, const Location& where) {
  GraphState& state = Access::state(graph);
  std::lock_guard lock(state.compiling);
  return prune(state, fetches.span(), feeds.span(), where).module;
}

}  // namespace

std::string program_text(const Graph& graph, ListRef<Key> fetches, ListRef<Key> feeds, const InspectOptions& options,
                         std::source_location location) {
  LocationScope scope{Location(location)};
  ir::Module module = pruned_module(graph, fetches, feeds, location);
  if (options.after_pass.empty()) return ir::print(module, {.locations = options.locations, .elide_large = true});
  const bool machine = options.after_pass == "llvm" || options.after_pass == "assembly";
  passes::PipelineOptions pipeline;
  pipeline.target = cpu_target(options.target);
  if (const std::vector<std::string> names = compiler_passes();
      !machine && std::find(names.begin(), names.end(), options.after_pass) == names.end())
    throw Error(ErrorCode::invalid_argument, fmt::format("there is no stage \"{}\"", options.after_pass), location,
                fmt::format("the stages are {}, llvm and assembly", fmt::join(names, ", ")));
  if (!machine) pipeline.stop_after = options.after_pass;
  pipeline.locations = options.locations;
  SessionOptions session;
  session.memory_limit = options.memory_limit;
  pipeline.memory = memory_request(Access::state(graph).module, module, session, nullptr);
  const passes::PipelineResult result = passes::run_pipeline(std::move(module), pipeline);
  // With its kernels: the text is complete, and code can be generated from it.
  if (options.after_pass == "program") return ir::print(result.program, true, options.locations);
  if (!machine) return result.stopped_text;
  const codegen::X86Options x86{.target = options.target};
  return options.after_pass == "llvm" ? codegen::llvm_text(result.program, x86) : codegen::assembly_text(result.program, x86);
}

std::vector<std::string> fusion_log(const Graph& graph, ListRef<Key> fetches, ListRef<Key> feeds, std::source_location location) {
  passes::PipelineOptions options;
  options.target = cpu_target("native");
  return passes::run_pipeline(pruned_module(graph, fetches, feeds, location), options).fusion_log;
}

std::vector<std::string> compiler_passes() { return passes::pass_names(); }

}  // namespace kiln

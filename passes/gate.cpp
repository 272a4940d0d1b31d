// The gate; see gate.h.
#include "passes/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "ir/text.h"
#include "ir/verify.h"

namespace kiln::passes {

using namespace ir;

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void dump(Gate& gate, const std::string& name, const std::string& text) {
  if (gate.options.dump_folder.empty()) return;
  namespace fs = std::filesystem;
  const fs::path folder(gate.options.dump_folder);
  const fs::path path = folder / fmt::format("{:02}_{}.kiln", gate.stage++, name);
  std::error_code failed;
  fs::create_directories(folder, failed);
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (failed || !file) throw Error(ErrorCode::io, fmt::format("cannot write {}", path.string()), {}, "the dump folder must be writable");
}

void check_round_trip(const std::string& stage, const std::string& first, const std::string& second) {
  if (first != second)
    throw InternalError(fmt::format(
        "after {}: the text does not read back as it was printed\n---- printed\n{}---- read back and printed\n{}", stage, first, second));
}

namespace {

std::string dump_text(const Module& module) { return print(module, {.locations = true, .elide_large = true}); }

void check_module(const Gate& gate, const std::string& stage, const Module& module) {
  if (gate.options.verify_each) {
    try {
      verify(module);
    } catch (const InternalError& error) {
      throw InternalError(fmt::format("after {}: {}\n{}", stage, error.what(), print(module, {.elide_large = true})));
    }
  }
  if (gate.options.round_trip) {
    std::map<std::string, Array> store, again;
    const std::string text = print(module, {.store = &store});
    check_round_trip(stage, text, print(parse(text, stage, &store), {.store = &again}));
  }
}

}  // namespace

bool run_pass(Gate& gate, const Pass& pass, Module& module) {
  const std::vector<std::string>& skip = gate.options.skip;
  if (std::find(skip.begin(), skip.end(), pass.name) != skip.end()) return false;
  const auto start = std::chrono::steady_clock::now();
  bool changed = false;
  try {
    changed = pass.run(module, gate.result);
  } catch (const InternalError& error) {
    throw InternalError(fmt::format("in {}: {}", pass.name, error.what()));
  }
  gate.result.times.push_back({pass.name, milliseconds_since(start), changed});
  if (changed) changed_by(gate, pass.name, module);
  return changed;
}

void changed_by(Gate& gate, const char* name, const Module& module) {
  if (!gate.options.dump_folder.empty()) dump(gate, name, dump_text(module));
  check_module(gate, name, module);
}

void enter(Gate& gate, const Module& module) {
  if (!gate.options.dump_folder.empty()) dump(gate, "input", dump_text(module));
  check_module(gate, "input", module);
}

bool stops(Gate& gate, const Pass& pass, const Module& module) {
  if (gate.options.stop_after != pass.name) return false;
  gate.result.stopped_text = print(module, {.locations = gate.options.locations});
  return true;
}

std::vector<std::string> pass_names() {
  std::vector<std::string> names;
  for (const Pass& pass : tensor_passes) names.emplace_back(pass.name);
  names.insert(names.end(), {loops_stage, program_stage});
  return names;
}

void run_passes(Module& module, const std::vector<std::string>& names, const PipelineOptions& options) {
  PipelineResult result;
  Gate gate{options, result};
  for (const std::string& name : names) {
    const auto pass = std::find_if(std::begin(tensor_passes), std::end(tensor_passes), [&](const Pass& p) { return name == p.name; });
    if (pass == std::end(tensor_passes)) {
      std::string known;
      for (const Pass& p : tensor_passes) known += fmt::format("{}{}", known.empty() ? "" : ", ", p.name);
      throw Error(ErrorCode::invalid_argument, fmt::format("there is no pass named \"{}\"", name), {}, "the passes are " + known);
    }
    run_pass(gate, *pass, module);
  }
}

}  // namespace kiln::passes

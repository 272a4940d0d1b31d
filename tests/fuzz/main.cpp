// kiln_fuzz: random programs through every stage.
//
//   kiln_fuzz --graphs 20000 --jobs 2            what the project runs before a release; prints coverage and times
//   kiln_fuzz --seed 4711 --graphs 1 --print     one graph, again
//   kiln_fuzz --graphs 5000 --first              stops at the first failure (planted bugs)
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "tests/fuzz/oracle.h"

namespace {

using namespace kiln;
using namespace kiln::fuzz;

struct Options {
  std::uint64_t seed = 0, graphs = 1000;
  int jobs = 1;
  bool print = false, first = false, coverage = false, no_machine = false, no_shrink = false;
  std::string log;
};

struct Tally {
  std::uint64_t graphs = 0, symbolic = 0, control = 0, gradients = 0, failures = 0;
  std::vector<std::size_t> sizes;
  Coverage coverage;
  Times times;
};

bool has(const ir::Module& module, std::initializer_list<ir::Op> ops) {
  for (const auto& graph : module.graphs)
    for (ir::NodeId id = 0; id < graph->node_count(); ++id)
      if (std::ranges::find(ops, graph->node(id).op) != ops.end()) return true;
  return false;
}

bool is_symbolic(const ir::Module& module) {
  const ir::Graph& graph = module.main_graph();
  for (ir::NodeId id = 0; id < graph.node_count(); ++id) {
    const ir::Node& node = graph.node(id);
    if (node.op == ir::Op::parameter) continue;
    for (std::uint32_t r = 0; r < node.result_count; ++r)
      for (const ir::Dim& dim : graph.type(node.first_result + r).dims)
        if (!dim.is_constant()) return true;
  }
  return false;
}

/// Every `jobs`-th seed from `offset` on.
Tally run(const Options& options, std::uint64_t offset) {
  Tally tally;
  const CheckOptions check_options{.machine = !options.no_machine};
  for (std::uint64_t i = offset; i < options.graphs; i += static_cast<std::uint64_t>(options.jobs)) {
    const std::uint64_t seed = options.seed + i;
    Case c;
    Verdict verdict;
    try {
      c = generate(recipe_of(seed));
      if (options.print) fmt::print("{}\n", describe(c));
      verdict = check(c, check_options, &tally.times);
    } catch (const std::exception& error) {
      verdict = {"generator", error.what()};
    }
    ++tally.graphs;
    tally.sizes.push_back(size_of_module(c.module));
    tally.symbolic += is_symbolic(c.module);
    tally.control += has(c.module, {ir::Op::cond, ir::Op::while_loop, ir::Op::scan, ir::Op::call});
    tally.gradients += has(c.module, {ir::Op::gradients});
    count(c.module, tally.coverage);
    if (!verdict.failed()) continue;
    ++tally.failures;
    std::string text =
        fmt::format("seed {}: {} disagrees: {}\n", seed, verdict.stage, verdict.message.substr(0, verdict.message.find('\n')));
    if (!options.no_shrink && verdict.stage != "generator") {
      const Case small = shrink(c, verdict.stage, check_options);
      text += fmt::format("{}{}\n", describe(small), check(small, check_options).message);
    }
    fmt::print("{}", text);
    std::fflush(stdout);
    if (options.first) break;
  }
  return tally;
}

void write(const Tally& tally, std::FILE* file) {
  fmt::print(file, "{} {} {} {} {}\n", tally.graphs, tally.symbolic, tally.control, tally.gradients, tally.failures);
  fmt::print(file, "{}", tally.sizes.size());
  for (const std::size_t size : tally.sizes) fmt::print(file, " {}", size);
  fmt::print(file, "\n{}\n", tally.coverage.size());
  for (const auto& [pair, n] : tally.coverage)
    fmt::print(file, "{} {} {}\n", static_cast<int>(pair.first), static_cast<int>(pair.second), n);
  fmt::print(file, "{}\n", tally.times.size());
  for (const auto& [name, ms] : tally.times) fmt::print(file, "{} {}\n", ms, name);
}

void add(Tally& total, std::istream& in) {
  Tally part;
  std::size_t n = 0;
  in >> part.graphs >> part.symbolic >> part.control >> part.gradients >> part.failures;
  total.graphs += part.graphs, total.symbolic += part.symbolic, total.control += part.control, total.gradients += part.gradients;
  total.failures += part.failures;
  in >> n;
  for (std::size_t i = 0, size = 0; i < n && in >> size; ++i) total.sizes.push_back(size);
  in >> n;
  for (std::size_t i = 0; i < n; ++i) {
    int op = 0, dtype = 0;
    std::int64_t times = 0;
    in >> op >> dtype >> times;
    total.coverage[{static_cast<ir::Op>(op), static_cast<DType>(dtype)}] += times;
  }
  in >> n;
  for (std::size_t i = 0; i < n; ++i) {
    double ms = 0;
    std::string name;
    in >> ms;
    std::getline(in >> std::ws, name);
    total.times[name] += ms;
  }
}

void report(const Options& options, Tally& tally, double seconds) {
  std::ranges::sort(tally.sizes);
  const auto share = [&](std::uint64_t n) {
    return tally.graphs ? 100.0 * static_cast<double>(n) / static_cast<double>(tally.graphs) : 0.0;
  };
  fmt::print(
      "{} graphs in {:.0f} s, {} failures; median {} nodes (largest {}); {:.0f} % symbolic, {:.0f} % with control flow, {:.0f} % with "
      "gradients\n",
      tally.graphs, seconds, tally.failures, tally.sizes.empty() ? 0 : tally.sizes[tally.sizes.size() / 2],
      tally.sizes.empty() ? 0 : tally.sizes.back(), share(tally.symbolic), share(tally.control), share(tally.gradients));
  for (const auto& [name, ms] : tally.times) fmt::print("  {:<24}{:9.1f} s\n", name, ms / 1000);
  std::int64_t least = INT64_MAX;
  std::string rarest;
  for (const auto& pair : wanted_pairs()) {
    const std::int64_t n = tally.coverage.contains(pair) ? tally.coverage.at(pair) : 0;
    if (n < least) least = n, rarest = fmt::format("{} {}", ir::info(pair.first).name, name_of(pair.second));
  }
  fmt::print("{} (op, dtype) pairs, the rarest {} times: {}\n", wanted_pairs().size(), least, rarest);
  if (!options.coverage) return;
  std::map<std::string, std::string> lines;
  for (const auto& [pair, n] : tally.coverage)
    lines[std::string(ir::info(pair.first).name)] += fmt::format(" {} {}", name_of(pair.second), n);
  for (const auto& [name, line] : lines) fmt::print("  {:<24}{}\n", name, line);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Random programs through every stage of the compiler: interpreters, passes, machine code."};
  app.add_option("--seed", options.seed, "the first seed");
  app.add_option("--graphs", options.graphs, "how many graphs");
  app.add_option("--jobs", options.jobs, "how many processes")->check(CLI::Range(1, 64));
  app.add_flag("--print", options.print, "each graph as text");
  app.add_flag("--first", options.first, "stop at the first failure");
  app.add_flag("--coverage", options.coverage, "print how often each op occurred in each dtype");
  app.add_flag("--no-machine", options.no_machine, "without machine code");
  app.add_flag("--no-shrink", options.no_shrink, "report failures as they are");
  CLI11_PARSE(app, argc, argv);

  const auto start = std::chrono::steady_clock::now();
  Tally total;
  if (options.jobs == 1) {
    total = run(options, 0);
  } else {
    // Processes: a crash in one graph must not hide the others.
    std::vector<std::pair<pid_t, std::FILE*>> children;
    for (int job = 0; job < options.jobs; ++job) {
      std::FILE* file = std::tmpfile();
      std::fflush(stdout);
      const pid_t child = fork();
      if (child == 0) {
        const Tally part = run(options, static_cast<std::uint64_t>(job));
        write(part, file);
        std::fflush(file);
        std::fflush(stdout);
        _exit(0);
      }
      children.emplace_back(child, file);
    }
    for (const auto& [child, file] : children) {
      int status = 0;
      waitpid(child, &status, 0);
      if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fmt::print("a process died of signal {}\n", WTERMSIG(status));
        ++total.failures;
        continue;
      }
      std::rewind(file);
      std::string text;
      char buffer[65536];
      for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, n);
      std::istringstream in(text);
      add(total, in);
    }
  }
  report(options, total, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return total.failures == 0 ? 0 : 1;
}

// The search for the cheapest recomputation that keeps a limit of memory; see pipeline_memory.h.
//
// Segments are computed again in the order of their worth (limit_memory.h): more of them need less memory, so that the least number that
// fits is found by bisection. Where all of them do not suffice, neighbours are joined to segments twice as long, and so on: then fewer
// boundaries are kept, but more has to be there while one of them is computed again. However long they are, each is computed again once,
// so the arithmetic grows by no more than one forward pass.
#include "passes/pipeline_memory.h"

#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <cmath>

#include "passes/limit_memory.h"
#include "passes/lowering.h"

namespace kiln::passes {

using namespace ir;

namespace {

using Groups = std::vector<std::vector<NodeId>>;

std::int64_t value_at(const Dim& dim, const SymbolValues& symbols) {
  if (dim.is_constant()) return dim.constant();
  return typical(substitute(dim, [&](const SymbolInfo& info) -> std::optional<Dim> {
    const auto given = symbols.find(info.name);
    return given == symbols.end() ? std::nullopt : std::optional(Dim(given->second));
  }));
}

std::int64_t needed_bytes(const Program& program, const MemoryRequest& request) {
  const auto allocated = [&](std::int64_t bytes) { return request.allocated ? request.allocated(bytes) : bytes; };
  std::int64_t bytes = request.variables;
  for (const ProgramVariable& v : program.variables)
    if (v.shadowed) bytes += allocated(product(v.dims).constant() * static_cast<std::int64_t>(size_of(v.dtype)));
  const std::int64_t arena = value_at(program.arena_bytes, request.symbols);
  return bytes + (arena > 0 ? allocated(arena) : 0);
}

class Search {
 public:
  Search(const Module& module, const PipelineOptions& options) : module_(module), options_(options), request_(options.memory) {
    options_.memory = {};
    options_.verify_each = options_.round_trip = false;
    options_.dump_folder = options_.stop_after = "";
  }

  /// What the program needs when these groups are computed again.
  std::int64_t needed(const Groups& groups) {
    Module module = module_.clone();
    if (!groups.empty()) recompute(module, groups);
    return needed_bytes(run_pipeline(std::move(module), options_).program, request_);
  }

  struct Found {
    Groups groups;
    std::int64_t needed = 0;
  };

  /// The cheapest groups that fit, or those that need the least.
  Found run(const ForwardPass& pass) {
    Found found = first(pass, pass.by_worth.size());
    if (found.needed <= request_.limit) {
      std::size_t most = pass.by_worth.size(), least = 0;  // `least` do not fit, `most` do
      while (most - least > 1) {
        const std::size_t middle = (most + least) / 2;
        Found fewer = first(pass, middle);
        if (fewer.needed <= request_.limit) {
          most = middle;
          found = std::move(fewer);
        } else {
          least = middle;
        }
      }
      return found;
    }
    for (std::size_t length = 2; length / 2 < pass.segments.size() && found.needed > request_.limit; length *= 2) {
      Found longer{joined(pass, length), 0};
      longer.needed = needed(longer.groups);
      if (longer.needed < found.needed) found = std::move(longer);
    }
    return found;
  }

 private:
  Found first(const ForwardPass& pass, std::size_t count) {
    std::vector<std::size_t> chosen(pass.by_worth.begin(), pass.by_worth.begin() + static_cast<std::ptrdiff_t>(count));
    std::sort(chosen.begin(), chosen.end());
    Found result;
    for (const std::size_t i : chosen) result.groups.push_back(pass.segments[i].nodes);
    result.needed = needed(result.groups);
    return result;
  }

  static Groups joined(const ForwardPass& pass, std::size_t length) {
    Groups groups;
    for (std::size_t i = 0; i < pass.segments.size(); ++i) {
      const std::vector<NodeId>& nodes = pass.segments[i].nodes;
      // What lies between two segments happens once, and cannot be in the middle of one.
      if (i % length == 0 || !pass.segments[i].follows)
        groups.push_back(nodes);
      else
        groups.back().insert(groups.back().end(), nodes.begin(), nodes.end());
    }
    return groups;
  }

  const Module& module_;
  PipelineOptions options_;
  MemoryRequest request_;
};

double operations_of(const ForwardPass& pass, const Groups& groups) {
  double result = 0;
  std::size_t s = 0;
  for (const std::vector<NodeId>& group : groups) {
    while (s < pass.segments.size() && pass.segments[s].nodes.front() != group.front()) ++s;
    for (std::size_t nodes = 0; s < pass.segments.size() && nodes < group.size(); ++s) {
      nodes += pass.segments[s].nodes.size();
      result += pass.segments[s].operations;
    }
  }
  return result;
}

[[noreturn]] void refuse(const MemoryPlan& plan, std::size_t parts) {
  throw Error(ErrorCode::out_of_memory,
              fmt::format("the run needs {} bytes for variables and intermediate values, and the session's memory limit is {} bytes; {}",
                          plan.without, plan.limit,
                          parts == 0 ? "it has no forward pass of which parts could be computed again instead of being kept"
                                     : fmt::format("computing {} parts of the forward pass again brings it down to {} bytes at best", parts,
                                                   plan.needed)),
              {}, "raise SessionOptions::memory_limit, or run with smaller feeds");
}

}  // namespace

MemoryPlan meet_limit(Gate& gate, Module& module) {
  const MemoryRequest& request = gate.options.memory;
  MemoryPlan plan;
  if (request.limit <= 0) return plan;
  const auto start = std::chrono::steady_clock::now();
  Search search(module, gate.options);
  plan.limit = request.limit;
  plan.without = plan.needed = search.needed({});
  Groups groups;
  if (plan.needed > request.limit) {
    const ForwardPass pass = find_segments(module, request.symbols);
    Search::Found found = search.run(pass);
    if (found.needed < plan.needed) {
      plan.needed = found.needed;
      groups = std::move(found.groups);
      plan.extra_permille = std::llround(1000 * operations_of(pass, groups) / std::max(1.0, pass.operations));
    }
    if (plan.needed > request.limit && request.required) refuse(plan, groups.size());
  }
  for (const std::vector<NodeId>& group : groups) {
    const Graph& main = module.main_graph();
    plan.recomputed.push_back(
        {static_cast<std::int64_t>(group.size()), main.node(group.front()).location, main.node(group.back()).location});
  }
  if (!groups.empty()) recompute(module, groups);
  gate.result.times.push_back({forward_segments.name, milliseconds_since(start), !groups.empty()});
  if (!groups.empty()) changed_by(gate, forward_segments.name, module);
  return plan;
}

void add_memory(Program& program, const Module& module, MemoryPlan memory) {
  for (MemoryPlan::Part& part : memory.recomputed)
    for (LocationId* id : {&part.first, &part.last}) {
      const Location& where = module.location(*id);
      *id = 0;
      if (!where.known()) continue;
      program.locations.push_back(where);
      *id = static_cast<LocationId>(program.locations.size() - 1);
    }
  program.memory = std::move(memory);
}

}  // namespace kiln::passes

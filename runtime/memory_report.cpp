// What a program needs in memory, as text for people: Session::memory_report.
#include <algorithm>
#include <cstdio>

#include "runtime/session_state.h"

namespace kiln::runtime {
namespace {

/// "12.3 MB"; figures in errors are exact, here they are to be read.
std::string megabytes(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

std::string part_text(const MemorySpec::Part& part) {
  std::string text = std::to_string(part.operations) + (part.operations == 1 ? " operation" : " operations");
  if (part.first.known()) text += ", " + to_string(part.first);
  if (part.last.known() && to_string(part.last) != to_string(part.first)) text += " to " + to_string(part.last);
  return text;
}

std::string recomputation_text(const MemorySpec& memory) {
  char head[160];
  std::snprintf(head, sizeof head, "computed again instead of kept: %zu %s of the forward pass, about %.1f %% more arithmetic\n",
                memory.recomputed.size(), memory.recomputed.size() == 1 ? "part" : "parts",
                static_cast<double>(memory.extra_permille) / 10);
  std::string text = head;
  // Layers that one line made are one line here.
  std::vector<std::pair<std::string, int>> lines;
  for (const MemorySpec::Part& part : memory.recomputed) {
    const std::string line = part_text(part);
    const auto found = std::find_if(lines.begin(), lines.end(), [&](const auto& known) { return known.first == line; });
    if (found == lines.end())
      lines.emplace_back(line, 1);
    else
      ++found->second;
  }
  for (const auto& [line, count] : lines) text += "  " + line + (count > 1 ? ", " + std::to_string(count) + " times" : "") + "\n";
  return text;
}

}  // namespace

std::string SessionState::memory_report(std::span<const Key> fetches, std::span<const Key> feeds, Location where) {
  const CachedProgram* cached = &resolve(fetches, feeds, where);
  while (const CachedProgram* smaller = cached->smaller.load(std::memory_order_acquire)) cached = smaller;
  const Program& program = *cached->program;
  if (const MemorySpec& memory = program.memory; memory.limit != 0) {
    std::string text = "memory limit " + megabytes(memory.limit) + ", needed " + megabytes(memory.needed);
    if (memory.recomputed.empty()) return text + "\n";
    return text + ", without recomputation " + megabytes(memory.without) + "\n" + recomputation_text(memory);
  }
  std::uint64_t variables = 0;
  for (const VariableSpec& variable : program.variables)
    variables += allocated_bytes(static_cast<std::uint64_t>(variable.shape.size()) * size_of(variable.dtype)) * (variable.shadowed ? 2 : 1);
  std::string text = "no memory limit; variables " + megabytes(variables);
  if (!program.symbols.empty() || program.plan == nullptr) return text + ", intermediate values as the feeds demand\n";
  std::vector<std::int64_t> values(static_cast<std::size_t>(std::max(program.plan_values, 1)), 0);
  const std::vector<std::int64_t> symbols(static_cast<std::size_t>(program.produced), 0);
  if (program.plan(program.self, symbols.data(), values.data()) != KILN_OK) return text + "\n";
  return text + ", intermediate values " + megabytes(values[0] > 0 ? allocated_bytes(static_cast<std::uint64_t>(values[0])) : 0) + "\n";
}

}  // namespace kiln::runtime

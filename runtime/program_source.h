// Where a Session gets its programs from: a graph and its compiler, or a loaded model. Internal to Kiln.
//
// `Session(graph)` calls `make_program_source(graph)`, found by argument-dependent lookup; it returns a std::shared_ptr to a ProgramSource,
// which keeps alive whatever it needs.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "kiln/session.h"
#include "runtime/program.h"

namespace kiln::runtime {

/// Names of the hidden variables (both u64[]) that hold the state of random operations. The session gives them values itself: the seed of
/// its options, and 0. A program that draws reads both and assigns `run_variable` its value + 1.
inline constexpr std::string_view seed_variable = "kiln.seed";
inline constexpr std::string_view run_variable = "kiln.run";

/// A session calls its source under a lock: one call at a time, whatever the number of threads.
class ProgramSource {
 public:
  virtual ~ProgramSource() = default;

  /// The program that computes `fetches` from `feeds`. Throws Error for whatever is wrong with them: a missing or unknown feed, one given
  /// twice under two keys, a tensor of another graph... `where` is the user's call of run(), callable() or prepare(). Program::input_feeds
  /// and fetch_outputs say how its inputs and outputs map to the two lists.
  virtual std::shared_ptr<const Program> compile(std::span<const Key> fetches, std::span<const Key> feeds, const SessionOptions& options,
                                                 Location where) = 0;

  /// The same with less memory, for a run whose symbols have these values and which does not fit into the options' memory_limit. Throws
  /// Error(out_of_memory) with the figures when none does; null: there is only one program.
  virtual std::shared_ptr<const Program> compile_for(std::span<const Key>, std::span<const Key>, const SessionOptions&,
                                                     const std::map<std::string, std::int64_t>&, Location) {
    return nullptr;
  }

  /// The program that assigns every variable its initial value, but leaves `seed_variable` alone: no inputs, no outputs.
  virtual std::shared_ptr<const Program> initializer(const SessionOptions& options, Location where) = 0;

  /// All variables, in the order in which they were made; `initialized` is not used.
  virtual std::vector<VariableInfo> variables() const = 0;

  /// The variable that a key names. Throws Error(invalid_argument or foreign_graph) when it names none.
  virtual VariableInfo find_variable(const Key& key, Location where) const = 0;
};

}  // namespace kiln::runtime

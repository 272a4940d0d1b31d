// A program source without graph and compiler: programs are C++ functions, chosen by the names that are fetched. It makes a Session
// testable alone.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kiln/session.h"
#include "runtime/program_source.h"

namespace kiln::testing {

/// A program whose entry and plan are C++ functions.
struct FakeProgram {
  runtime::Program description;  ///< without input_feeds and fetch_outputs, which the source fills in
  std::function<std::int32_t(kiln_call&)> body;
  std::function<std::int32_t(const std::int64_t* symbols, std::int64_t* values)> plan;
};

struct FakeGraph {
  std::vector<VariableInfo> variables;
  /// By the names fetched, joined by commas. A name that begins with '!' is an operation, the others are outputs in order.
  std::map<std::string, FakeProgram> programs;
  FakeProgram initializer;
  mutable int compiled = 0;
};

/// Keeps a pointer to the graph, which must outlive it.
std::shared_ptr<runtime::ProgramSource> make_program_source(const FakeGraph& graph);

runtime::DimSpec constant_dim(std::int64_t extent);
runtime::DimSpec symbol_dim(std::int64_t index, std::string name);
runtime::DimSpec value_dim(std::int64_t index, std::string text);

/// What fixed lines of a user's program look like.
Location user_line(std::uint32_t line);

/// A graph with symbol "batch" (2 to 1000), placeholders x, y: f32[batch, 3], variables w: f32[3] (double-buffered by the step), c: f32[3]
/// (updated in place), and programs "sum" (x + y), "scaled" (x * w), "sum,scaled", "twice,again" (one output fetched twice), "!step" (w +=
/// x summed over the batch, c = w's old value; fails with `step_status` after having written the shadow, when that is not 0), "w,c" (both
/// variables).
struct TestGraph {
  TestGraph();
  FakeGraph graph;
  std::int32_t step_status = 0;
};

inline std::shared_ptr<runtime::ProgramSource> make_program_source(const TestGraph& graph) { return make_program_source(graph.graph); }

}  // namespace kiln::testing

// Differential test of the rewriting passes: random small graphs, interpreted before and after each pass, must give the same bits (any NaN
// equals any other).
#include "random_graph.h"
#include "support.h"

namespace kiln::test {
namespace {

using namespace ir;

/// Runs the passes on a copy and compares the results.
void expect_preserved(RandomGraph& graph, const std::vector<std::string>& names, unsigned seed) {
  passes::PipelineOptions options;
  options.verify_each = options.round_trip = true;
  Module changed = graph.module().clone();
  passes::run_passes(changed, names, options);
  const std::vector<Array> before = run(graph.module(), graph.inputs()), after = run(changed, graph.inputs());
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i)
    ASSERT_TRUE(same_bits(before[i], after[i])) << "seed " << seed << ", result " << i << "\n"
                                                << before[i] << "\n"
                                                << after[i] << "\n"
                                                << print(graph.module()) << "\nbecame\n"
                                                << print(changed);
}

TEST(Preserve, BitsOfRandomGraphs) {
  for (unsigned seed = 0; seed < 1500; ++seed) {
    RandomGraph graph(seed);
    for (const char* pass : {"dead_code", "canonicalize", "fold_constants", "simplify", "common_subexpressions"}) {
      expect_preserved(graph, {pass}, seed);
      if (HasFatalFailure()) return;
    }
    const std::vector<std::string> round{"canonicalize", "fold_constants", "simplify", "common_subexpressions"};
    std::vector<std::string> rounds;
    for (int i = 0; i < 3; ++i) rounds.insert(rounds.end(), round.begin(), round.end());
    rounds.push_back("fuse");
    expect_preserved(graph, rounds, seed);
    if (HasFatalFailure()) return;
  }
}

// Everything up to the program: each stage verifies and reads back as it was written.
TEST(Preserve, RandomGraphsReachAProgram) {
  passes::PipelineOptions options;
  options.verify_each = options.round_trip = true;
  for (unsigned seed = 0; seed < 200; ++seed) {
    RandomGraph graph(seed);
    ASSERT_NO_THROW(passes::run_pipeline(graph.module().clone(), options)) << "seed " << seed << "\n" << print(graph.module());
  }
}

// The rules must come to rest: two that undo each other would run until a bound stops them.
TEST(Preserve, RewritingComesToRest) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    RandomGraph graph(seed);
    Module& module = graph.module();
    bool changed = true;
    for (int round = 0; changed && round < 8; ++round) {
      changed = passes::canonicalize(module);
      changed |= passes::fold_constants(module);
      changed |= passes::simplify(module);
      changed |= passes::eliminate_common_subexpressions(module);
    }
    ASSERT_FALSE(changed) << "seed " << seed << "\n" << print(module);
  }
}

}  // namespace
}  // namespace kiln::test

// The whole way down: programs, run by the program and loop interpreters, against the reference interpreter.
#include "random_graph.h"
#include "support.h"
#include "tests/loops/program_fixture.h"

namespace kiln::test {
namespace {

TEST(Program, ComputesWhatTheGraphSays) {
  passes::PipelineOptions options;
  options.verify_each = true;
  for (unsigned seed = 0; seed < 300; ++seed) {
    RandomGraph graph(seed, Folds::integers_only);
    const std::vector<Array> expected = run(graph.module(), graph.inputs());
    const ir::Program program = passes::run_pipeline(graph.module().clone(), options).program;
    std::map<std::string, Array> variables;
    const ir::ProgramRun result = ir::run_program(program, graph.inputs(), {}, variables);
    ASSERT_EQ(result.status, KILN_OK) << "seed " << seed;
    ASSERT_EQ(result.outputs.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      ASSERT_TRUE(same_bits(expected[i], result.outputs[i])) << "seed " << seed << ", result " << i << "\n"
                                                             << expected[i] << "\n"
                                                             << result.outputs[i] << "\n"
                                                             << print(graph.module()) << "\n"
                                                             << print(program);
  }
}

}  // namespace
}  // namespace kiln::test

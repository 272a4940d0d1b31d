// Runs the wrong programs and compares the messages. KILN_BLESS=1 rewrites the texts.
#include "errors.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

using namespace kiln;

namespace {

const char* name_of(ErrorCode code) {
  constexpr const char* names[] = {"invalid_argument",
                                   "shape_mismatch",
                                   "dtype_mismatch",
                                   "foreign_graph",
                                   "not_differentiable",
                                   "missing_feed",
                                   "invalid_feed",
                                   "uninitialized",
                                   "conflicting_assign",
                                   "check_failed",
                                   "deadline_exceeded",
                                   "cancelled",
                                   "out_of_memory",
                                   "io",
                                   "corrupt_file",
                                   "parse",
                                   "unsupported",
                                   "custom_call_failed",
                                   "poisoned"};
  return names[static_cast<int>(code)];
}

/// `hint`: the message must say what to do. Of files and feeds that is often plain from what is wrong with them.
void check(const test::WrongProgram& program, bool hint) {
  SCOPED_TRACE(program.name);
  std::string actual;
  try {
    program.run();
    FAIL() << "no error";
  } catch (const Error& error) {
    actual = std::string(name_of(error.code())) + "\n" + error.what() + "\n";
    EXPECT_EQ(std::string(error.where().file), std::string(program.name) + ".cpp") << error.what();
    EXPECT_FALSE(hint && error.hint().empty()) << error.what();
  } catch (const std::exception& other) {
    FAIL() << "another exception: " << other.what();
  }
  const std::string path = std::string(KILN_SOURCE_DIR) + "/tests/api/errors/" + program.name + ".txt";
  if (std::getenv("KILN_BLESS")) {
    std::ofstream(path, std::ios::binary) << actual;
    return;
  }
  std::ifstream file(path, std::ios::binary);
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(actual, expected.str()) << "expected by " << path;
}

TEST(Errors, OfShapesAndDtypes) {
  for (const auto& program : test::wrong_shapes()) check(program, true);
}

TEST(Errors, OfPoolingRunningFoldsAndStatistics) {
  for (const auto& program : test::wrong_folds()) check(program, true);
}

TEST(Errors, OfElementwiseFunctions) {
  for (const auto& program : test::wrong_elementwise()) check(program, true);
}

TEST(Errors, OfIndexingAndArrangement) {
  for (const auto& program : test::wrong_indexing()) check(program, true);
}

TEST(Errors, OfConvolutionAndResize) {
  for (const auto& program : test::wrong_spatial()) check(program, true);
}

TEST(Errors, OfOrderAndProducedExtents) {
  for (const auto& program : test::wrong_orders()) check(program, true);
}

TEST(Errors, Debugging) {
  for (const auto& program : test::wrong_debugging()) check(program, true);
}

TEST(Errors, OfGraphs) {
  for (const auto& program : test::wrong_graphs()) check(program, true);
}

TEST(Errors, OfLoopsAndDerivativesOfFunctions) {
  for (const auto& program : test::wrong_loops()) check(program, true);
}

TEST(Errors, OfComposites) {
  for (const auto& program : test::wrong_composites()) check(program, true);
}

/// The current folder is one of its own, so that the programs may write files whose names are in their messages.
class CurrentScratchFolder {
 public:
  CurrentScratchFolder() : before_(std::filesystem::current_path()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "kiln-test-XXXXXX").string();
    scratch_ = ::mkdtemp(pattern.data());
    std::filesystem::current_path(scratch_);
  }
  ~CurrentScratchFolder() {
    std::error_code ignored;
    std::filesystem::current_path(before_, ignored);
    std::filesystem::remove_all(scratch_, ignored);
  }

 private:
  std::filesystem::path before_, scratch_;
};

TEST(Errors, OfFeedsRunsAndFiles) {
  const CurrentScratchFolder folder;
  for (const auto& program : test::wrong_feeds()) check(program, false);
}

TEST(Errors, HaveDistinctNames) {
  std::set<std::string> names;
  std::size_t count = 0;
  for (const auto& list :
       {test::wrong_shapes(), test::wrong_elementwise(), test::wrong_graphs(), test::wrong_loops(), test::wrong_feeds(),
        test::wrong_folds(), test::wrong_composites(), test::wrong_indexing(), test::wrong_spatial(), test::wrong_orders(), test::wrong_debugging()})
    for (const auto& program : list) names.insert(program.name), ++count;
  EXPECT_EQ(names.size(), count);
  EXPECT_GE(count, 40u);
}

}  // namespace

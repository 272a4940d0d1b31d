// What stands between a graph and its runs: the cache, dumps, texts of the stages, concurrent runs.
#include <sys/stat.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <thread>

#include "api_test.h"

using namespace kiln;

namespace {

class Folder {
 public:
  explicit Folder(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / ("kiln_" + name + "_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_.string(); }
  /// Identities of the files: a file that is written again is another one, even under its old name.
  std::set<ino_t> files() const {
    std::set<ino_t> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
      struct stat status {};
      if (entry.is_regular_file() && stat(entry.path().c_str(), &status) == 0) found.insert(status.st_ino);
    }
    return found;
  }

 private:
  std::filesystem::path path_;
};

/// A training step with a check, which is written on the line that is passed.
struct Step {
  Graph graph;
  Tensor x;
  Variable w;
  Tensor loss;
  Operation step;
  unsigned check_line = 0;
  explicit Step(bool later) {
    x = graph.placeholder("x", f64, {Dim("n"), 3});
    w = graph.variable("w", Array({3, 2}, {1.0, 2.0, 3.0, 4.0, 5.0, 6.0}));
    loss = reduce_sum(square(matmul(x, w)));
    Operation finite;
    if (later) {
      finite = check(less(loss, 1e6), "the loss exploded"), check_line = std::source_location::current().line();
    } else {
      finite = check(less(loss, 1e6), "the loss exploded"), check_line = std::source_location::current().line();
    }
    step = group({SGD({.lr = 0.001}).minimize(loss), finite});
  }
};

TEST(Compile, CachedProgramsNameTheLinesOfTheCurrentGraph) {
  const Folder folder("cache");
  SessionOptions options = test::options();
  options.engine = Engine::compiled;
  options.cache_folder = folder.path();
  std::vector<Array> losses;
  unsigned lines[2];
  std::set<ino_t> files[2];
  for (const bool later : {false, true}) {
    Step program(later);
    Session session(program.graph, options);
    session.initialize();
    losses.push_back(session.run({program.loss, program.step}, {{program.x, test::random_array(f64, {4, 3})}})[0]);
    losses.push_back(session.value(program.w));
    files[later] = folder.files();
    try {
      session.run({program.loss, program.step}, {{program.x, test::random_array(f64, {4, 3}, 1e5, 1e6)}});
      ADD_FAILURE() << "the check did not fail";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::check_failed);
      EXPECT_EQ(error.where().line, program.check_line) << error.what();
      lines[later] = error.where().line;
    }
  }
  EXPECT_NE(lines[0], lines[1]);
  EXPECT_GE(files[0].size(), 1u);
  EXPECT_EQ(files[0], files[1]);  // the second graph found the first one's code and wrote nothing
  EXPECT_TRUE(identical(losses[0], losses[2]));
  EXPECT_TRUE(identical(losses[1], losses[3]));
}

TEST(Compile, EnginesAgreeBitForBit) {
  std::vector<Array> values;
  for (const Engine engine : {Engine::compiled, Engine::program_interpreter}) {
    Step program(false);
    SessionOptions options = test::options();
    options.engine = engine;
    Session session(program.graph, options);
    session.initialize();
    for (int i = 0; i < 3; ++i) session.run({program.step}, {{program.x, test::random_array(f64, {5, 3})}});
    values.push_back(session.value(program.w));
  }
  EXPECT_TRUE(identical(values[0], values[1]));
}

TEST(Compile, EveryStageHasAText) {
  const Step program(false);
  const std::vector<Key> fetches{program.loss, program.step}, feeds{program.x};
  const std::string pruned = program_text(program.graph, fetches, feeds, {.after_pass = ""});
  EXPECT_NE(pruned.find("gradients"), std::string::npos);
  EXPECT_EQ(Graph::parse(pruned).text(), pruned);
  EXPECT_NE(program_text(program.graph, fetches, feeds, {.after_pass = "", .locations = true}).find("compile_test.cpp"), std::string::npos);
  for (const std::string& pass : compiler_passes()) {
    const std::string text = program_text(program.graph, fetches, feeds, {.after_pass = pass});
    EXPECT_FALSE(text.empty()) << pass;
    EXPECT_EQ(text, program_text(program.graph, fetches, feeds, {.after_pass = pass})) << pass;
    if (pass == "loops" || pass == "program") continue;
    EXPECT_EQ(Graph::parse(text).text(), text) << pass;
  }
  EXPECT_NE(program_text(program.graph, fetches, feeds, {.after_pass = "assembly", .target = "x86-64-v3"}).find("ret"), std::string::npos);
  EXPECT_NE(program_text(program.graph, fetches, feeds, {.after_pass = "llvm"}).find("define"), std::string::npos);
  EXPECT_FALSE(fusion_log(program.graph, fetches, feeds).empty());
}

TEST(Compile, DumpsEveryStage) {
  const Folder folder("dump");
  ::setenv("KILN_DUMP", folder.path().c_str(), 1);
  Step program(false);
  SessionOptions options = test::options();
  options.engine = Engine::compiled;
  Session session(program.graph, options);
  session.prepare({program.loss}, {program.x});
  ::unsetenv("KILN_DUMP");
  EXPECT_GE(folder.files().size(), 4u);
}

TEST(Compile, RunsThatFailBesideOthersChangeNothing) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {});
  const Variable sum = graph.variable("sum", Array(0.0)), count = graph.variable("count", Array(std::int64_t{0}));
  const Operation step = group({assign_add(sum, x), assign_add(count, 1), check(greater(x, 0), "x must be positive")});
  Session session(graph, test::options());
  session.initialize();
  session.prepare({step}, {x});
  constexpr int threads = 4, runs = 50;
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t)
    workers.emplace_back([&, t] {
      for (int i = 0; i < runs; ++i) {
        try {
          session.run({step}, {{x, Array(t % 2 == 0 ? 2.0 : -1.0)}});
          EXPECT_EQ(t % 2, 0);
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::check_failed);
          EXPECT_EQ(t % 2, 1);
        }
      }
    });
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(session.value(sum).item<double>(), 2.0 * runs * threads / 2);
  EXPECT_EQ(session.value(count).item<std::int64_t>(), runs * threads / 2);
}

TEST(Compile, AGraphMayGrowAfterItsSessionWasMade) {
  Graph graph;
  const Tensor x = graph.placeholder("x", f64, {});
  Session session(graph, test::options());
  EXPECT_EQ(session.run(x + 1, {{x, Array(1.0)}}).item<double>(), 2);
  const Variable late = graph.variable("late", Array(5.0));
  session.initialize();
  EXPECT_EQ(session.run(x + late, {{x, Array(1.0)}}).item<double>(), 6);
}

}  // namespace

// The kiln command as its users see it: what it prints, the files it writes, its exit status.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <sstream>

#include "kiln/files.h"
#include "kiln/kiln.h"
#include "tests/examples/example.h"

namespace {

using namespace kiln;
using kiln::examples::Finished;
using kiln::examples::scratch_folder;

Finished run_kiln(const std::vector<std::string>& arguments) { return examples::run(KILN_COMMAND, arguments, scratch_folder() + "/cache"); }

std::string file(const std::string& name) { return scratch_folder() + "/" + name; }

std::string written(const std::string& name, const std::string& content) {
  std::ofstream(file(name), std::ios::binary) << content;
  return file(name);
}

/// A training step with a batch of any size, and w = {1, 2, 3}: written once, as a user's program would.
const std::string& model() {
  static const std::string path = [] {
    Graph graph;
    const Dim batch("batch");
    const Tensor x = graph.placeholder("x", f32, {batch, 3});
    const Tensor y = graph.placeholder("y", f32, {batch});
    const Variable w = graph.variable("w", Array({3}, {1.f, 2.f, 3.f}));
    const Tensor predicted = reduce_sum(x * w, {1}).named("predicted");
    const Tensor loss = reduce_mean(square(predicted - y)).named("loss");
    assign_sub(w, 0.1 * gradients(loss, {w})[0]);
    graph.write(file("model.kiln"));
    write_npy(file("x.npy"), Array::from({{1.f, 0.f, 0.f}, {1.f, 1.f, 1.f}}));
    write_npy(file("y.npy"), Array({2}, {0.f, 6.f}));
    return file("model.kiln");
  }();
  return path;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(KilnPrint, EveryStageOfAnIrReadsBack) {
  const Finished list = run_kiln({"print", model(), "--list"});
  ASSERT_EQ(list.status, 0) << list.output;
  const std::vector<std::string> stages = lines_of(list.output);
  ASSERT_GT(stages.size(), 8U);
  EXPECT_EQ(stages.front(), "input");
  for (const std::string& stage : stages) {
    const Finished printed = run_kiln({"print", model(), "--after", stage});
    ASSERT_EQ(printed.status, 0) << stage << ": " << printed.output;
    if (stage == "llvm") {
      EXPECT_NE(printed.output.find("define"), std::string::npos);
    } else if (stage == "assembly") {
      EXPECT_NE(printed.output.find("ret"), std::string::npos);
    } else {
      const Finished again = run_kiln({"opt", written("stage.kiln", printed.output)});
      EXPECT_EQ(again.status, 0) << stage << ": " << again.output;
      EXPECT_EQ(again.output, printed.output) << stage;
    }
  }
}

TEST(KilnPrint, SlicesToTheFetches) {
  const Finished all = run_kiln({"print", model()});
  EXPECT_NE(all.output.find("assign"), std::string::npos) << all.output;
  const Finished one = run_kiln({"print", model(), "--fetch", "predicted"});
  EXPECT_EQ(one.status, 0);
  EXPECT_EQ(one.output.find("assign"), std::string::npos) << one.output;
  EXPECT_NE(one.output.find("-> (%predicted)"), std::string::npos) << one.output;
  EXPECT_NE(run_kiln({"print", model(), "--fetch", "predicted", "--effects"}).output.find("assign"), std::string::npos);
}

TEST(KilnPrint, ShowsTheUsersLines) {
  EXPECT_EQ(run_kiln({"print", model()}).output.find("loc("), std::string::npos);
  for (const char* stage : {"input", "gradients", "fuse", "program"})
    EXPECT_NE(run_kiln({"print", model(), "--after", stage, "--locations"}).output.find("command_test.cpp\":"), std::string::npos) << stage;
}

TEST(KilnPrint, GeneratesCodeFromProgramText) {
  const std::string program = written("program.kiln", run_kiln({"print", model(), "--after", "program"}).output);
  const Finished direct = run_kiln({"print", model(), "--after", "assembly", "--target", "x86-64-v3"});
  const Finished from_text = run_kiln({"print", program, "--after", "assembly", "--target", "x86-64-v3"});
  EXPECT_EQ(from_text.status, 0) << from_text.output;
  EXPECT_NE(direct.output.find("ymm"), std::string::npos);
  EXPECT_NE(from_text.output.find("ymm"), std::string::npos);
}

TEST(KilnOpt, RunsPassesInOrder) {
  const std::string input = written("opt.kiln",
                                    "graph @main(%x: f32[4]) -> (%y) {\n"
                                    "  %0 = constant {value = f32[] 2} : f32[]\n"
                                    "  %1 = negate %0 : f32[]\n"
                                    "  %2 = broadcast_in_dim %1 {dims = [4]} : f32[4]\n"
                                    "  %y = multiply %x, %2 : f32[4]\n"
                                    "}\n");
  const Finished folded = run_kiln({"opt", input, "--passes", "fold_constants,dead_code", "--verify"});
  EXPECT_EQ(folded.status, 0);
  EXPECT_EQ(folded.output.find("negate"), std::string::npos) << folded.output;
  const Finished timed = run_kiln({"opt", input, "--passes", "simplify", "--time"});
  EXPECT_NE(timed.output.find("simplify"), std::string::npos) << timed.output;
  EXPECT_NE(timed.output.find(" ms\n"), std::string::npos) << timed.output;
  const Finished unknown = run_kiln({"opt", input, "--passes", "optimise"});
  EXPECT_EQ(unknown.status, 1);
  EXPECT_NE(unknown.output.find("there is no pass named \"optimise\""), std::string::npos) << unknown.output;
}

TEST(KilnOpt, WantsTheProgramOfOneRun) {
  const std::string two_steps = written("two_steps.kiln",
                                        "variable @w : f32[]\n\n"
                                        "graph @main(%x: f32[]) {\n"
                                        "  %a = assign %x {name = \"w\"} : f32[]\n"
                                        "  %0 = negate %x : f32[]\n"
                                        "  %b = assign %0 {name = \"w\"} : f32[]\n"
                                        "}\n");
  const Finished both = run_kiln({"opt", two_steps});
  EXPECT_EQ(both.status, 1);
  EXPECT_NE(both.output.find("kiln print FILE --fetch NAME"), std::string::npos) << both.output;
  const Finished one = run_kiln({"opt", written("one_step.kiln", run_kiln({"print", two_steps, "--fetch", "b"}).output)});
  EXPECT_EQ(one.status, 0) << one.output;
  EXPECT_NE(one.output.find("%b = assign"), std::string::npos) << one.output;
}

TEST(KilnOpt, TriesKernelsOnRandomData) {
  const std::string sound =
      "kernel @scale(x: f32[n], y: f32[n] output) symbols(n) {\n"
      "  for parallel i in 0 .. n {\n"
      "    %0 = load x[i] : f32\n"
      "    %1 = multiply %0, %0 : f32\n"
      "    store y[i], %1 : f32\n"
      "  }\n"
      "}\n";
  const Finished good = run_kiln({"opt", written("kernel.kiln", sound), "--passes", "verify,interpret"});
  EXPECT_EQ(good.status, 0) << good.output;
  EXPECT_NE(good.output.find("@scale runs with n = 13: equal bits forwards and backwards"), std::string::npos) << good.output;
  // All iterations write one cell: a race.
  std::string racing = sound;
  racing.replace(racing.find("store y[i]"), 10, "store y[0]");
  const Finished bad = run_kiln({"opt", written("racing.kiln", racing), "--passes", "interpret"});
  EXPECT_EQ(bad.status, 3) << bad.output;
  EXPECT_NE(bad.output.find("@scale"), std::string::npos) << bad.output;
  EXPECT_NE(bad.output.find("This is a bug in Kiln"), std::string::npos) << bad.output;
}

TEST(KilnRun, ComputesFromFiles) {
  const Finished run = run_kiln({"run", model(), "--feed", "x=" + file("x.npy"), "--feed", "y=" + file("y.npy"), "--fetch", "predicted",
                                 "--fetch", "loss=" + file("loss.npy"), "--effects", "--save", file("after.safetensors")});
  ASSERT_EQ(run.status, 0) << run.output;
  EXPECT_EQ(run.output, "predicted = f32[2] {1, 6}\n");
  EXPECT_EQ(read_npy(file("loss.npy")).item<float>(), 0.5f);
  // d loss / d w = {1, 0, 0}: the first weight has lost 0.1.
  EXPECT_TRUE(identical(read_safetensors(file("after.safetensors")).at("w"), Array({3}, {1.f - 0.1f, 2.f, 3.f})));
  const Finished restored =
      run_kiln({"run", model(), "--feed", "x=" + file("x.npy"), "--fetch", "predicted", "--variables", file("after.safetensors")});
  EXPECT_EQ(restored.output, "predicted = f32[2] {0.9, 5.9}\n");
}

TEST(KilnRun, EnginesAgreeOnMadeUpData) {
  const auto run = [](const std::string& engine, const std::string& seed) {
    return run_kiln({"run", model(), "--feed", "x=random", "y=zeros", "--symbol", "batch=5", "--fetch", "predicted", "loss", "--engine",
                     engine, "--seed", seed})
        .output;
  };
  const std::string compiled = run("compiled", "1");
  EXPECT_NE(compiled.find("predicted = f32[5]"), std::string::npos) << compiled;
  EXPECT_EQ(run("program_interpreter", "1"), compiled);
  EXPECT_NE(run("compiled", "2"), compiled);
  const Finished timed =
      run_kiln({"run", model(), "--feed", "x=random", "y=random", "--symbol", "batch=5", "--time", "3", "--threads", "1", "--no-cache"});
  EXPECT_NE(timed.output.find("3 runs on 1 threads: min "), std::string::npos) << timed.output;
}

TEST(Kiln, ErrorsSayWhatToDo) {
  struct Wrong {
    std::vector<std::string> arguments;
    int status;
    std::string message;
  };
  model();
  const std::vector<Wrong> list = {
      {{}, 2, "subcommand"},
      {{"prnt"}, 2, "subcommand"},
      {{"print"}, 2, "a FILE is needed"},
      {{"print", file("nothing.kiln")}, 1, "nothing.kiln"},
      {{"print", written("bad.kiln", "graph @main( {\n")}, 1, "bad.kiln:1: error:"},
      {{"print", model(), "--after", "optimise"}, 1, "its stages are input, dead_code"},
      {{"print", model(), "--fetch", "lss"}, 1, "there is no tensor named \"lss\""},
      {{"print", model(), "--after", "assembly", "--target", "vax"}, 1, "x86-64-v3"},
      {{"run", model(), "--feed", "x"}, 2, "expected NAME=FILE.npy"},
      {{"run", model(), "--feed", "x=random"}, 1, "--symbol batch=64"},
      {{"run", model(), "--feed", "z=random"}, 1, "the placeholders are x, y"},
      {{"run", model(), "--feed", "x=" + file("x.npy")}, 1, "--feed NAME=FILE.npy"},
      {{"run", model(), "--feed", "x=" + file("y.npy"), "--fetch", "predicted"}, 1, "f32[batch, 3]"},
      {{"run",
        written("uninitialized.kiln", "variable @w : f32[2]\ngraph @main() -> (%0) {\n  %0 = variable {name = \"w\"} : f32[2]\n}\n")},
       1,
       "--variables FILE.safetensors"},
      {{"run", written("empty.kiln", "graph @main(%x: f32[2]) {\n}\n")}, 1, "say what to compute: --fetch NAME"},
  };
  for (const Wrong& wrong : list) {
    const Finished finished = run_kiln(wrong.arguments);
    std::string command;
    for (const std::string& argument : wrong.arguments) command += argument + " ";
    EXPECT_EQ(finished.status, wrong.status) << command << ": " << finished.output;
    EXPECT_NE(finished.output.find(wrong.message), std::string::npos) << command << ": " << finished.output;
  }
}

TEST(KilnDoctor, Reports) {
  const Finished text = run_kiln({"doctor"});
  EXPECT_EQ(text.status, 0) << text.output;
  EXPECT_NE(text.output.find("self test    passed"), std::string::npos) << text.output;
  const Finished json = run_kiln({"doctor", "--json"});
  ASSERT_EQ(json.status, 0) << json.output;
  const auto report = nlohmann::json::parse(json.output);
  EXPECT_TRUE(report.at("self_test").at("passed").get<bool>());
  EXPECT_TRUE(report.at("cache").at("usable").get<bool>());
  EXPECT_EQ(report.at("cache").at("folder"), scratch_folder() + "/cache/kiln");
  EXPECT_GE(report.at("limits").at("threads").get<int>(), 1);
  EXPECT_TRUE(report.at("cpu").at("level").get<std::string>().starts_with("x86-64-v"));
  EXPECT_TRUE(report.at("cuda").contains("nvrtc"));
}

// The page of the operator table. With KILN_BLESS=1 it is written anew; read the difference before it is committed.
TEST(KilnDoc, TheReferenceOfOperatorsIsCurrent) {
  const Finished printed = run_kiln({"doc"});
  ASSERT_EQ(printed.status, 0) << printed.output;
  const std::string path = std::string(KILN_SOURCE_DIR) + "/ir/ops/README.md";
  if (std::getenv("KILN_BLESS")) std::ofstream(path, std::ios::binary) << printed.output;
  std::ifstream stream(path, std::ios::binary);
  const std::string page((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  EXPECT_TRUE(page == printed.output) << "ir/ops/README.md differs from the operator table: kiln doc -o ir/ops/README.md";
  EXPECT_EQ(run_kiln({"doc", "-o", file("operators.md")}).status, 0);
  EXPECT_EQ(run_kiln({"doc", "-o", "/nowhere/operators.md"}).status, 1);
}

TEST(Kiln, SaysWhatItIs) {
  EXPECT_TRUE(run_kiln({"--version"}).output.starts_with("kiln "));
  const Finished help = run_kiln({"--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* name : {"print", "opt", "run", "doctor"}) EXPECT_NE(help.output.find(name), std::string::npos) << name;
}

}  // namespace

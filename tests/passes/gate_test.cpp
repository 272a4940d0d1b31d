// The gate: skipping, timing, dumping; and recompute clones, which merging leaves alone.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "ir/builder.h"
#include "support.h"

namespace kiln::test {
namespace {

namespace fs = std::filesystem;

const std::string text = R"(
graph @main(%x: f32[2]) -> (%y) {
  %a = call %x {body = @twice} : f32[2]
  %b = call %x {body = @twice} : f32[2]
  %y = multiply %a, %b : f32[2]
}

graph @twice(%p: f32[2]) -> (%r) {
  %n = negate %p : f32[2]
  %r = negate %n : f32[2]
}
)";

TEST(Gate, SkipsByName) {
  passes::PipelineOptions options;
  options.stop_after = "dead_code";
  const std::string all = passes::run_pipeline(ir::parse(text), options).stopped_text;
  EXPECT_EQ(all.find("negate"), std::string::npos) << all;
  options.skip = {"simplify"};
  const std::string without = passes::run_pipeline(ir::parse(text), options).stopped_text;
  EXPECT_NE(without.find("negate"), std::string::npos) << without;
}

TEST(Gate, TimesEveryPass) {
  passes::PipelineOptions options;
  options.stop_after = "dead_code";
  const passes::PipelineResult result = passes::run_pipeline(ir::parse(text), options);
  std::vector<std::string> order;
  for (const passes::PassTime& time : result.times) {
    EXPECT_GE(time.milliseconds, 0);
    if (order.size() < 4) order.push_back(time.pass);
  }
  EXPECT_EQ(order, (std::vector<std::string>{"dead_code", "gradients", "dead_code", "inline_calls"}));
}

TEST(Gate, DumpsWhatChanged) {
  const fs::path folder = fs::temp_directory_path() / ("kiln_gate_test_" + std::to_string(::getpid()));
  fs::remove_all(folder);
  passes::PipelineOptions options;
  options.stop_after = "dead_code";
  options.dump_folder = folder.string();
  passes::run_pipeline(ir::parse(text), options);
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path().filename().string());
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files, (std::vector<std::string>{"00_input.kiln", "01_inline_calls.kiln", "02_simplify.kiln"}));
  std::ifstream file(folder / "01_inline_calls.kiln");
  const std::string dumped((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(dumped, ir::print(compiled(text, {"inline_calls"})));
  fs::remove_all(folder);
}

TEST(Gate, SaysWhenTheDumpFolderCannotBeWritten) {
  passes::PipelineOptions options;
  options.stop_after = "dead_code";
  options.dump_folder = "/proc/kiln";
  try {
    passes::run_pipeline(ir::parse(text), options);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_EQ(error.message(), "cannot write /proc/kiln/00_input.kiln");
  }
}

TEST(Merging, LeavesRecomputeClonesAlone) {
  ir::Module module;
  ir::Builder builder(module, module.main);
  const ir::ValueId x = builder.graph().add_parameter(ir::Type{f32, ir::Type::Kind::tensor, {2}}, "x");
  const ir::ValueId a = builder.create(ir::Op::exp, {x});
  builder.recompute = true;
  const ir::ValueId clone = builder.create(ir::Op::exp, {x});
  builder.recompute = false;
  builder.graph().results = {builder.add(a, clone)};
  EXPECT_FALSE(passes::eliminate_common_subexpressions(module));
  EXPECT_EQ(module.main_graph().node_count(), 4u);
}

TEST(DeadCode, KeepsLoopsThatOnlyCheck) {
  const ir::Module module = compiled(R"(
graph @main(%n: i64[]) -> (%n) {
  %zero = constant {value = i64[] 0} : i64[]
  %i = while_loop %zero, %n {body = @step, carried = 1, condition = @less} : i64[]
}

graph @less(%i: i64[], %n: i64[]) -> (%c) {
  %c = compare %i, %n {direction = "lt"} : bool[]
}

graph @step(%i: i64[], %n: i64[]) -> (%next) {
  %one = constant {value = i64[] 1} : i64[]
  %next = add %i, %one : i64[]
  %small = compare %next, %n {direction = "le"} : bool[]
  check %small {code = 9, message = "too far"}
}
)",
                                     {"dead_code"});
  EXPECT_EQ(module.graphs.size(), 3u);
}

}  // namespace
}  // namespace kiln::test

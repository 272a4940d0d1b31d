// Golden tests: text in, text out. A file tests/golden/<topic>/<name>.kiln holds a command, an input and the whole expected output:
//
//   // RUN: canonicalize,simplify
//   // What it shows, in words.
//   graph @main(...) ...
//   // ----
//   graph @main(...) ...
//
// Commands:
//   pass[,pass...]        those passes, verified and read back after each; the output is the module
//   after STAGE           the whole pipeline up to a stage of run_pipeline, loops and program included; `fuse`, `loops` and `program` alone
//   mean this too error COMMAND         the command, or with nothing more the parser, throws kiln::Error; the output is its whole message
//
// Besides, every module that a file holds goes through the whole pipeline, verified and with its text read back at every stage.
// KILN_BLESS=1 in the environment writes what came out into the files instead; read the difference before it is committed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ir/text.h"
#include "passes/passes.h"

namespace fs = std::filesystem;

namespace {

using namespace kiln;

constexpr std::string_view run_prefix = "// RUN:";
constexpr std::string_view separator = "// ----\n";

struct GoldenFile {
  fs::path path;
  std::string command;  ///< without the prefix
  std::string head;     ///< the comment lines it starts with, RUN included
  std::string input;
  std::string expected;
};

std::string trimmed(std::string text) {
  const auto from = text.find_first_not_of(' ');
  const auto to = text.find_last_not_of(" \n");
  return from == std::string::npos ? "" : text.substr(from, to - from + 1);
}

GoldenFile read_golden(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  GoldenFile golden{path, {}, {}, {}, {}};
  std::size_t at = 0;
  while (text.compare(at, 2, "//") == 0 && text.compare(at, separator.size(), separator) != 0) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string line = text.substr(at, end - at);
    if (line.starts_with(run_prefix)) golden.command = trimmed(line.substr(run_prefix.size()));
    golden.head += line;
    at = end;
  }
  const std::size_t split = text.find(separator, at);
  golden.input = text.substr(at, split == std::string::npos ? split : split - at);
  if (split != std::string::npos) golden.expected = text.substr(split + separator.size());
  return golden;
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(trimmed(part));
  return parts;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// The difference line by line, along a longest common subsequence, with three lines around each change.
std::string difference(const std::string& expected, const std::string& actual) {
  const std::vector<std::string> a = lines_of(expected), b = lines_of(actual);
  std::vector<std::vector<std::uint32_t>> common(a.size() + 1, std::vector<std::uint32_t>(b.size() + 1));
  for (std::size_t i = a.size(); i-- > 0;)
    for (std::size_t j = b.size(); j-- > 0;)
      common[i][j] = a[i] == b[j] ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
  std::vector<std::pair<char, std::string>> edits;
  for (std::size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    if (i < a.size() && j < b.size() && a[i] == b[j])
      edits.emplace_back(' ', a[i]), ++i, ++j;
    else if (j == b.size() || (i < a.size() && common[i + 1][j] >= common[i][j + 1]))
      edits.emplace_back('-', a[i++]);
    else
      edits.emplace_back('+', b[j++]);
  }
  constexpr std::size_t around = 3;
  std::string text = "--- expected\n+++ came out\n";
  std::size_t shown = 0;
  for (std::size_t i = 0; i < edits.size(); ++i) {
    bool near = false;
    for (std::size_t k = i > around ? i - around : 0; k < std::min(edits.size(), i + around + 1); ++k) near = near || edits[k].first != ' ';
    if (!near) continue;
    if (i != shown) text += "@@\n";
    text += fmt::format("{}{}\n", edits[i].first, edits[i].second);
    shown = i + 1;
  }
  return text;
}

std::string run_command(std::string command, const std::string& input) {
  if (command == "error" || command.starts_with("error ")) {
    try {
      run_command(trimmed(command.substr(5)), input);
    } catch (const Error& error) {
      return std::string(error.what()) + "\n";
    }
    return "no error\n";
  }
  ir::Module module = ir::parse(input, "input.kiln");
  if (command.empty()) return ir::print(module);
  passes::PipelineOptions options;
  options.verify_each = options.round_trip = true;
  if (command == "fuse" || command == "loops" || command == "program") command = "after " + command;
  if (command.starts_with("after ")) {
    options.stop_after = trimmed(command.substr(6));
    return passes::run_pipeline(std::move(module), options).stopped_text;
  }
  passes::run_passes(module, split_list(command), options);
  return ir::print(module);
}

class GoldenTest : public testing::Test {
 public:
  explicit GoldenTest(fs::path path) : path_(std::move(path)) {}

  void TestBody() override {
    const GoldenFile golden = read_golden(path_);
    ASSERT_FALSE(golden.command.empty()) << path_ << ": the first line must be // RUN: COMMAND";
    const std::string actual = run_command(golden.command, golden.input);
    if (std::getenv("KILN_BLESS")) {
      std::ofstream(path_, std::ios::binary) << golden.head << golden.input << separator << actual;
      return;
    }
    if (actual != golden.expected) ADD_FAILURE() << difference(golden.expected, actual);
    if (golden.command.starts_with("error")) return;
    passes::PipelineOptions options;
    options.verify_each = options.round_trip = true;
    passes::run_pipeline(ir::parse(golden.input, "input.kiln"), options);
  }

 private:
  fs::path path_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const fs::path root = fs::path(KILN_SOURCE_DIR) / "tests" / "golden";
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(root))
    if (entry.path().extension() == ".kiln") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) {
    const std::string topic = path.parent_path().filename().string(), name = path.stem().string();
    testing::RegisterTest(topic.c_str(), name.c_str(), nullptr, nullptr, path.c_str(), 1,
                          [path]() -> testing::Test* { return new GoldenTest(path); });
  }
  return RUN_ALL_TESTS();
}

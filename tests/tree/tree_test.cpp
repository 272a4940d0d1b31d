// The tree keeps its rules, and each rule can find what breaks it: a small tree with one planted mistake at a time.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tree_checks.h"

namespace fs = std::filesystem;

namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

TEST(Tree, KeepsItsRules) {
  const std::vector<std::string> violations = kiln::tree::find_violations(KILN_SOURCE_DIR);
  EXPECT_TRUE(violations.empty()) << joined(violations);
}

/// A small tree without mistakes.
class PlantedTree : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "kiln-tree-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    for (const char* name : {".clang-format", ".clang-tidy", ".clangd", ".editorconfig", ".gitignore", "ARCHITECTURE.md", "CMakeLists.txt",
                             "CMakePresets.json", "CONTRIBUTING.md", "LICENSE", "README.md", ".ci/run", "tools/setup"})
      write(name, "");
    write("runtime/CMakeLists.txt", "add_library(kiln_runtime STATIC\n  array.cpp\n  session.cpp\n)\n");
    write("runtime/array.cpp", "// Arrays.\n#include \"kiln/array.h\"\n#include <vector>\n");
    write("runtime/session.cpp", "// Sessions.\n#include \"kiln/session.h\"\n#include \"runtime/state.h\"\n");
    write("runtime/state.h", "// State.\n");
    write("runtime/include/kiln/array.h", "// Arrays.\n#include <span>\n");
    write("runtime/include/kiln/session.h", "// Sessions.\n#include <stdint.h>\n#include \"kiln/array.h\"\n");
    write("ir/CMakeLists.txt", "add_library(kiln_ir STATIC\n  graph.cpp\n)\n");
    write("ir/graph.cpp", "// Graphs.\n#include \"ir/graph.h\"\n");
    write("ir/graph.h", "// Graphs.\n#include \"kiln/array.h\"\n");
    write("passes/CMakeLists.txt", "add_library(kiln_passes STATIC fold.cpp)\n");
    write("passes/fold.cpp", "// Folding.\n#include \"ir/graph.h\"\n");
    write("passes/passes.h", "// Passes.\n");
    write("codegen/CMakeLists.txt", "add_library(kiln_codegen STATIC\n  x86/emit.cpp\n)\n");
    write("codegen/x86/emit.cpp", "// Emits.\n#include <llvm/IR/Module.h>\n#include \"ir/graph.h\"\n");
    write("frontend/CMakeLists.txt", "add_library(kiln STATIC\n  graph.cpp)\n");
    write("frontend/graph.cpp",
          "// Graphs of users.\n#include \"kiln/graph.h\"\n#include \"passes/passes.h\"\n#include \"runtime/state.h\"\n");
    write("frontend/include/kiln/graph.h", "// Graphs of users.\n#include <string>\n#include \"kiln/array.h\"\n");
    write("tests/CMakeLists.txt", "");
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& name, const std::string& content) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << content;
  }
  void append(const std::string& name, const std::string& content) {
    std::ofstream(root_ / name, std::ios::binary | std::ios::app) << content;
  }
  std::string violations() const { return joined(kiln::tree::find_violations(root_)); }

  fs::path root_;
};

TEST_F(PlantedTree, IsSoundBeforeAnythingIsPlanted) { EXPECT_EQ(violations(), ""); }

TEST_F(PlantedTree, TopLevel) {
  write("docs/page.md", "");
  fs::remove(root_ / "LICENSE");
  fs::create_directories(root_ / "build" / "release");
  EXPECT_EQ(violations(), "docs: T1: is no agreed entry of the top level\nLICENSE: T1: is missing from the top level\n");
}

TEST_F(PlantedTree, RuntimeIncludesNothingOfOurs) {
  append("runtime/array.cpp", "#include \"ir/graph.h\"\n");
  EXPECT_EQ(violations(), "runtime/array.cpp: T2: runtime includes ir/graph.h of ir\n");
}

TEST_F(PlantedTree, LowerRoomsSeeBasicHeadersOfTheRuntimeOnly) {
  append("ir/graph.cpp", "#include \"kiln/session.h\"\n");
  append("passes/fold.cpp", "#include \"runtime/state.h\"\n");
  EXPECT_EQ(violations(),
            "ir/graph.cpp: T2: ir includes kiln/session.h of runtime\npasses/fold.cpp: T2: passes includes runtime/state.h of runtime\n");
}

TEST_F(PlantedTree, PassesAndCodeGenerationDoNotMeet) {
  write("codegen/x86/x86.h", "// Code.\n");
  append("passes/fold.cpp", "#include \"codegen/x86/x86.h\"\n");
  append("codegen/x86/emit.cpp", "#include <passes/passes.h>\n");
  EXPECT_EQ(violations(),
            "codegen/x86/emit.cpp: T2: codegen includes passes/passes.h of passes\n"
            "passes/fold.cpp: T2: passes includes codegen/x86/x86.h of codegen\n");
}

TEST_F(PlantedTree, LlvmAndCuda) {
  append("frontend/graph.cpp", "#include <llvm/IR/Module.h>\n");
  append("codegen/x86/emit.cpp", "# include <cuda.h>\n");
  EXPECT_EQ(violations(),
            "codegen/x86/emit.cpp: T3: includes CUDA's cuda.h; CUDA is reached through dlopen alone\n"
            "frontend/graph.cpp: T3: includes LLVM's llvm/IR/Module.h\n");
}

TEST_F(PlantedTree, PublicHeaders) {
  append("frontend/include/kiln/graph.h", "#include \"ir/graph.h\"\n#include <nlohmann/json.hpp>\n");
  append("runtime/include/kiln/session.h", "#include \"kiln/graph.h\"\n");
  EXPECT_EQ(violations(),
            "frontend/include/kiln/graph.h: T4: a public header includes ir/graph.h\n"
            "frontend/include/kiln/graph.h: T4: a public header includes nlohmann/json.hpp\n"
            "runtime/include/kiln/session.h: T4: a public header includes kiln/graph.h\n"
            "runtime/include/kiln/session.h: T2: runtime includes kiln/graph.h of frontend\n");
}

TEST_F(PlantedTree, LongFiles) {
  for (int i = 0; i < 800; ++i) append("ir/graph.h", "\n");
  EXPECT_EQ(violations(), "ir/graph.h: T5: 802 lines; a file has at most 800\n");
}

TEST_F(PlantedTree, SourceLists) {
  write("ir/print.cpp", "// Prints.\n");
  write("ir/CMakeLists.txt", "add_library(kiln_ir STATIC\n  parse.cpp\n  graph.cpp\n)\nfile(GLOB more *.cpp)\n");
  EXPECT_EQ(violations(),
            "ir/CMakeLists.txt: T6: graph.cpp is not at its place in the sorted list\n"
            "ir/CMakeLists.txt: T6: lists sources by a glob\n"
            "ir/print.cpp: T6: is not listed in ir/CMakeLists.txt\n");
}

TEST_F(PlantedTree, PathsOfMachines) {
  append("README.md", std::string("see /ho") + "me/somebody/notes\n");
  EXPECT_EQ(violations(), std::string("README.md: T7: line 1 mentions a path of a machine, /ho") + "me/\n");
}

TEST_F(PlantedTree, FilesSayWhatTheyAre) {
  write("passes/passes.h", "#pragma once\n");
  EXPECT_EQ(violations(), "passes/passes.h: T8: does not open with a comment that says what it is\n");
}

}  // namespace

// The rules of the tree:
//
//   T1  top level: exactly the agreed entries
//   T2  arrows between rooms: who may include whom (the table `rooms` below)
//   T3  LLVM's headers are included under codegen/x86 only, CUDA's nowhere
//   T4  public headers include public headers and the standard library only
//   T5  no source file is longer than 800 lines
//   T6  every .cpp file is in the list of the nearest CMakeLists.txt; lists are sorted, and no list is a glob
//   T7  no file mentions a path of somebody's machine
//   T8  a source file opens with a comment that says what it is; that of name.cpp may stand in name.h
#include "tree_checks.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace fs = std::filesystem;

namespace kiln::tree {

namespace {

constexpr std::size_t max_lines = 800;

const std::set<std::string> top_level = {".ci",
                                         ".clang-format",
                                         ".clang-tidy",
                                         ".clangd",
                                         ".editorconfig",
                                         ".gitignore",
                                         "ARCHITECTURE.md",
                                         "CMakeLists.txt",
                                         "CMakePresets.json",
                                         "CONTRIBUTING.md",
                                         "LICENSE",
                                         "README.md",
                                         "codegen",
                                         "frontend",
                                         "ir",
                                         "passes",
                                         "runtime",
                                         "tests",
                                         "tools"};

/// What a working copy may hold besides: nothing of it is in the repository.
bool ignored(const std::string& name) {
  return name == ".git" || name == "build" || name.starts_with("build-") || name == ".cache" || name == "compile_commands.json";
}

/// Rooms, and the rooms that each may include beside itself and the runtime's basic headers.
const std::map<std::string, std::set<std::string>> rooms = {
    {"runtime", {}},
    {"ir", {}},
    {"passes", {"ir"}},
    {"codegen", {"ir"}},
    {"frontend", {"runtime", "ir", "passes", "codegen"}},
    {"tools", {"runtime", "ir", "passes", "codegen", "frontend"}},
    {"tests", {"runtime", "ir", "passes", "codegen", "frontend", "tools"}},
};

/// Public headers of the runtime that every room may include.
const std::set<std::string> basic_headers = {"kiln/abi.h", "kiln/array.h", "kiln/dtype.h", "kiln/error.h", "kiln/files.h", "kiln/shape.h"};

struct Include {
  std::string path;
  bool quoted = false;
};

struct File {
  fs::path path;  ///< relative to the root
  std::vector<std::string> lines;
  std::vector<Include> includes;

  std::string room() const { return path.begin()->string(); }
  std::string text() const { return path.generic_string(); }
  bool is_source() const {
    const auto extension = path.extension();
    return extension == ".h" || extension == ".cpp" || extension == ".def";
  }
};

File read(const fs::path& root, const fs::path& path) {
  File file;
  file.path = fs::relative(path, root);
  std::ifstream stream(path, std::ios::binary);
  static const std::regex include(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  for (std::string line; std::getline(stream, line);) {
    std::smatch match;
    if (line.find("include") != std::string::npos && std::regex_search(line, match, include))
      file.includes.push_back({match[2].str(), match[1].str() == "\""});
    file.lines.push_back(std::move(line));
  }
  return file;
}

bool is_text(const fs::path& path) {
  static const std::set<std::string> extensions = {".h",  ".cpp",  ".def",  ".md", ".txt", ".cmake",
                                                   ".in", ".kiln", ".json", ".py", ".sh",  ""};
  return extensions.contains(path.extension().string());
}

class Checker {
 public:
  explicit Checker(const fs::path& root) : root_(root) {
    for (const auto& entry : fs::directory_iterator(root)) {
      const std::string name = entry.path().filename().string();
      if (ignored(name)) continue;
      entries_.insert(name);
      if (!entry.is_directory()) {
        files_.push_back(read(root, entry.path()));
        continue;
      }
      for (const auto& inside : fs::recursive_directory_iterator(entry))
        if (inside.is_regular_file() && is_text(inside.path())) files_.push_back(read(root, inside.path()));
    }
    std::sort(files_.begin(), files_.end(), [](const File& a, const File& b) { return a.path < b.path; });
  }

  std::vector<std::string> run() {
    check_top_level();
    for (const File& file : files_) {
      check_machine_paths(file);
      if (file.path.filename() == "CMakeLists.txt") check_list(file);
      if (!file.is_source()) continue;
      check_includes(file);
      if (file.lines.size() > max_lines)
        report(file, "T5", std::to_string(file.lines.size()) + " lines; a file has at most " + std::to_string(max_lines));
      check_opening(file);
      if (file.path.extension() == ".cpp") check_listed(file);
    }
    return std::move(violations_);
  }

 private:
  void report(const File& file, const std::string& rule, const std::string& what) {
    violations_.push_back(file.text() + ": " + rule + ": " + what);
  }

  void check_top_level() {
    for (const std::string& name : entries_)
      if (!top_level.contains(name)) violations_.push_back(name + ": T1: is no agreed entry of the top level");
    for (const std::string& name : top_level)
      if (!entries_.contains(name)) violations_.push_back(name + ": T1: is missing from the top level");
  }

  void check_opening(const File& file) {
    if (!file.lines.empty() && (file.lines[0].starts_with("//") || file.lines[0].starts_with("/*"))) return;
    if (file.path.extension() == ".cpp" && exists(fs::path(file.path).replace_extension(".h"))) return;
    report(file, "T8", "does not open with a comment that says what it is");
  }

  bool exists(const fs::path& path) const { return fs::exists(root_ / path); }

  /// The room that an included path lies in; "" for what is not ours.
  std::string room_of(const File& file, const Include& include) const {
    const fs::path path = include.path;
    if (path.begin()->string() == "kiln") {
      if (exists("runtime/include" / path)) return "runtime";
      if (exists("frontend/include" / path)) return "frontend";
      return "";
    }
    if (rooms.contains(path.begin()->string()) && exists(path)) return path.begin()->string();
    if (include.quoted && exists(file.path.parent_path() / path)) return file.room();
    return "";
  }

  void check_includes(const File& file) {
    const auto room = rooms.find(file.room());
    const bool is_public = file.text().starts_with("runtime/include/") || file.text().starts_with("frontend/include/");
    for (const Include& include : file.includes) {
      if ((include.path.starts_with("llvm/") || include.path.starts_with("llvm-c/")) && !file.text().starts_with("codegen/x86/"))
        report(file, "T3", "includes LLVM's " + include.path);
      if (std::regex_search(include.path, std::regex("^(cuda|nvrtc|cublas|cudnn)")))
        report(file, "T3", "includes CUDA's " + include.path + "; CUDA is reached through dlopen alone");
      const std::string target = room_of(file, include);
      if (is_public) check_public(file, include, target);
      if (room == rooms.end() || target.empty() || target == file.room() || room->second.contains(target)) continue;
      // A basic header is for everybody, and the only thing that the lower rooms may have of the runtime.
      if (basic_headers.contains(include.path) && target == "runtime") continue;
      report(file, "T2", file.room() + " includes " + include.path + " of " + target);
    }
  }

  void check_public(const File& file, const Include& include, const std::string& target) {
    static const std::regex standard(R"(^([a-z_0-9]+|stddef\.h|stdint\.h)$)");
    const bool from_runtime = file.room() == "runtime";
    const bool ours = include.path.starts_with("kiln/") && (target == "runtime" || (target == "frontend" && !from_runtime));
    if (!ours && (include.quoted || !std::regex_match(include.path, standard)))
      report(file, "T4", "a public header includes " + include.path);
  }

  void check_machine_paths(const File& file) {
    // In two pieces, so that this file does not find itself.
    static const std::vector<std::string> places = {std::string("/ho") + "me/", std::string("/wo") + "rk/", std::string("/ro") + "ot/",
                                                    std::string("/Us") + "ers/"};
    for (std::size_t i = 0; i < file.lines.size(); ++i)
      for (const std::string& place : places)
        if (file.lines[i].find(place) != std::string::npos)
          report(file, "T7", "line " + std::to_string(i + 1) + " mentions a path of a machine, " + place);
  }

  /// Lines of a CMake file that are the name of a source and nothing else, in blocks.
  static std::vector<std::vector<std::string>> source_lists(const File& file) {
    static const std::regex name(R"(^\s+([A-Za-z0-9_./]+\.cpp)\)?$)");
    std::vector<std::vector<std::string>> lists(1);
    for (const std::string& line : file.lines) {
      std::smatch match;
      if (std::regex_match(line, match, name))
        lists.back().push_back(match[1].str());
      else if (!lists.back().empty())
        lists.emplace_back();
    }
    return lists;
  }

  void check_list(const File& file) {
    for (const auto& list : source_lists(file)) {
      const auto wrong = std::is_sorted_until(list.begin(), list.end());
      if (wrong != list.end()) report(file, "T6", *wrong + " is not at its place in the sorted list");
    }
    for (const std::string& line : file.lines)
      if (std::regex_search(line, std::regex(R"(file\s*\(\s*GLOB)"))) report(file, "T6", "lists sources by a glob");
  }

  void check_listed(const File& file) {
    for (fs::path folder = file.path.parent_path();; folder = folder.parent_path()) {
      const auto list = std::find_if(files_.begin(), files_.end(), [&](const File& f) { return f.path == folder / "CMakeLists.txt"; });
      if (list != files_.end()) {
        std::string escaped;
        for (const char c : fs::relative(root_ / file.path, root_ / folder).generic_string())
          escaped += c == '.' ? "\\." : std::string(1, c);
        const std::regex mention("(^|[\\s(/])" + escaped + "($|[\\s)])");
        const bool listed = std::any_of(list->lines.begin(), list->lines.end(),
                                        [&](const std::string& line) { return line.find('#') != 0 && std::regex_search(line, mention); });
        if (!listed) report(file, "T6", "is not listed in " + list->text());
        return;
      }
      if (folder.empty()) break;
    }
    report(file, "T6", "belongs to no CMakeLists.txt");
  }

  fs::path root_;
  std::set<std::string> entries_;
  std::vector<File> files_;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> find_violations(const fs::path& root) { return Checker(root).run(); }

}  // namespace kiln::tree

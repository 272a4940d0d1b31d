// Reading text of any level of IR.
#include "tools/kiln/text_file.h"

#include <filesystem>
#include <iostream>
#include <iterator>

#include "ir/text.h"
#include "kiln/files.h"
#include "runtime/formats.h"

namespace kiln::command {

namespace {

/// The first word that is no comment.
std::string_view first_word(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  for (;;) {
    const std::size_t start = text.find_first_not_of(space);
    if (start == std::string_view::npos) return "";
    text.remove_prefix(start);
    if (!text.starts_with("//")) return text.substr(0, text.find_first_of(" \t\r\n@("));
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return "";
    text.remove_prefix(end);
  }
}

}  // namespace

const char* name_of(Level level) {
  switch (level) {
    case Level::tensor: return "tensor IR";
    case Level::loops: return "loop IR";
    case Level::program: break;
  }
  return "program IR";
}

TextFile read_text(const std::string& path) {
  TextFile file;
  file.path = path;
  if (path == "-") {
    file.text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    const std::vector<unsigned char> bytes = runtime::read_file(path, {});
    file.text.assign(bytes.begin(), bytes.end());
  }
  const std::string_view word = first_word(file.text);
  file.level = word == "kernel" ? Level::loops : word == "program" ? Level::program : Level::tensor;
  return file;
}

ir::Module parse_module(const TextFile& file) {
  std::map<std::string, Array> literals;
  if (file.path != "-") {
    const std::filesystem::path side = std::filesystem::path(file.path).replace_extension(".safetensors");
    std::error_code failed;
    if (std::filesystem::exists(side, failed)) literals = read_safetensors(side.string(), {});
  }
  return ir::parse(file.text, file.path == "-" ? "<stdin>" : file.path, &literals, ir::ModuleRole::program);
}

}  // namespace kiln::command

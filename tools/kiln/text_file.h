// A file that holds one of Kiln's three levels of IR as text.
#pragma once

#include <string>

#include "ir/graph.h"

namespace kiln::command {

enum class Level { tensor, loops, program };
/// "tensor IR" ...
const char* name_of(Level level);

struct TextFile {
  std::string path;  ///< "-" is standard input
  std::string text;
  Level level = Level::tensor;
};

/// Throws Error(io) when it cannot be read. The level is known by the first word: `kernel`, `program`, or anything else.
TextFile read_text(const std::string& path);

/// Parses tensor IR. Literals that the text refers to are in a .safetensors file of the same stem.
ir::Module parse_module(const TextFile& file);

}  // namespace kiln::command

// Values that a run shows (runtime/prints.h).
#include "runtime/prints.h"

#include <cstdio>

namespace kiln::runtime {

std::string print_line(const std::string& message, const ArrayView& value) {
  const std::string text = to_string(Array::adopt(value.dtype(), value.shape(), value.raw(), nullptr));
  std::string line = message + ": ";
  for (const char c : text) {
    if (c != '\n')
      line += c == ' ' && line.back() == ' ' ? std::string() : std::string(1, c);
    else if (line.back() != ' ')
      line += ' ';
  }
  return line;
}

std::int32_t Prints::hook(void* self, std::int64_t index, const void* data, const std::int64_t* extents) noexcept {
  auto& prints = *static_cast<Prints*>(self);
  try {
    const PrintSpec& spec = prints.program_.prints.at(static_cast<std::size_t>(index));
    Shape shape = Shape::of_rank(static_cast<std::size_t>(spec.rank));
    for (std::size_t d = 0; d < shape.rank(); ++d) shape[d] = extents[d];
    const std::string line = print_line(spec.message, ArrayView(spec.dtype, std::move(shape), data));
    if (prints.options_.print)
      prints.options_.print(line);
    else
      std::fprintf(stderr, "%s\n", line.c_str());
    return 0;
  } catch (...) {
    prints.thrown_ = std::current_exception();
    return 1;
  }
}

void Prints::fail() const {
  internal_check(thrown_ != nullptr, "generated code reports a print that has not failed");
  std::rethrow_exception(thrown_);
}

}  // namespace kiln::runtime

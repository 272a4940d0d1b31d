// A kernel on random data.
#include "tools/kiln/kernel_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ir/loop_interpreter.h"
#include "tools/kiln/random_array.h"

namespace kiln::command {

namespace {

/// A value that the symbol may have: the usual one when it is given, else a small one that is no multiple of a vector's width.
std::int64_t value_of(const ir::SymbolInfo& symbol) {
  constexpr std::int64_t small = 13;
  std::int64_t value = symbol.typical > 0 ? symbol.typical : small;
  value = std::clamp(value, symbol.min, symbol.max);
  if (const std::int64_t rest = value % symbol.multiple_of; rest != 0)
    value += value <= symbol.max - (symbol.multiple_of - rest) ? symbol.multiple_of - rest : -rest;
  return value;
}

}  // namespace

std::string interpret_on_random_data(const ir::Kernel& kernel) {
  std::vector<std::int64_t> symbols;
  std::string with;
  for (const auto& symbol : kernel.symbols) {
    symbols.push_back(value_of(*symbol));
    with += fmt::format("{}{} = {}", with.empty() ? " with " : ", ", symbol->name, symbols.back());
  }
  const auto extent = [&](const ir::Dim& dim) {
    return ir::evaluate(dim, [&](std::string_view name) -> std::optional<std::int64_t> {
      for (std::size_t i = 0; i < symbols.size(); ++i)
        if (kernel.symbols[i]->name == name) return symbols[i];
      return std::nullopt;
    });
  };
  std::vector<Array> arrays;
  for (std::size_t i = 0; i < kernel.buffers.size(); ++i) {
    const ir::Buffer& buffer = kernel.buffers[i];
    // Strides may leave gaps: as many elements as the last cell's index says.
    std::int64_t elements = 1, last = 0;
    bool empty = false;
    std::vector<std::int64_t> extents;
    for (const ir::Dim& dim : buffer.extents) extents.push_back(extent(dim));
    for (std::size_t d = 0; d < extents.size(); ++d) {
      elements *= extents[d];
      empty = empty || extents[d] == 0;
      if (!buffer.strides.empty()) last += (extents[d] - 1) * extent(buffer.strides[d]);
    }
    if (!buffer.strides.empty()) elements = empty ? 0 : last + 1;
    arrays.push_back(random_array(buffer.dtype, Shape{elements}, i));
  }
  std::vector<Array> again = arrays;
  const auto bind = [](std::vector<Array>& from) {
    std::vector<ir::BoundBuffer> buffers;
    for (Array& array : from) buffers.push_back({array.mutable_raw()});
    return buffers;
  };
  ir::interpret(kernel, bind(arrays), symbols);
  ir::interpret_reversed(kernel, bind(again), symbols);
  for (std::size_t i = 0; i < arrays.size(); ++i)
    if (kernel.buffers[i].role != ir::Buffer::Role::scratch && !identical(arrays[i], again[i]))
      throw InternalError(
          fmt::format("kernel @{}: buffer {} differs when parallel loops run backwards", kernel.name, kernel.buffers[i].name));
  return fmt::format("@{} runs{}: equal bits forwards and backwards", kernel.name, with);
}

}  // namespace kiln::command

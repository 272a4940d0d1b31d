// Arrays as text for people: dtype and shape, then nested lists. Arrays of more than 1000 elements show the first and last three entries of
// each long axis (numpy's convention). Short arrays stand on one line; others have one innermost list per line.
#include <charconv>
#include <cmath>
#include <ostream>

#include "kiln/array.h"

namespace kiln {
namespace {

constexpr std::int64_t elide_above = 1000;
constexpr std::int64_t edge = 3;
constexpr std::size_t line_width = 100;

template <class T>
std::string number_text(T value) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return std::string(buffer, end);
}

// The fewest digits that read back as the same 16-bit float.
template <class Half>
std::string half_text(Half value) {
  const float wide = static_cast<float>(value);
  if (std::isfinite(wide)) {
    for (int digits = 1; digits < 9; ++digits) {
      char buffer[64];
      const auto end = std::to_chars(buffer, buffer + sizeof buffer, wide, std::chars_format::general, digits).ptr;
      float back = 0;
      std::from_chars(buffer, end, back);
      if (Half(back).bits == value.bits) return std::string(buffer, end);
    }
  }
  return number_text(wide);
}

std::string element_text(const ArrayView& array, std::int64_t index) {
  return visit_dtype(array.dtype(), [&](auto tag) -> std::string {
    using T = decltype(tag);
    const T value = static_cast<const T*>(array.raw())[index];
    if constexpr (std::is_same_v<T, bool>)
      return value ? "true" : "false";
    else if constexpr (std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>)
      return half_text(value);
    else
      return number_text(value);
  });
}

struct Printer {
  const ArrayView& array;
  std::vector<std::int64_t> strides;
  bool elide;
  bool one_line;
  std::string text;

  // Depth is the array's rank, which nobody makes large.
  void print(std::size_t axis, std::int64_t offset) {
    if (axis == array.shape().rank()) {
      text += element_text(array, offset);
      return;
    }
    const std::int64_t extent = array.shape()[axis];
    const bool innermost = axis + 1 == array.shape().rank();
    text += '{';
    for (std::int64_t i = 0; i < extent; ++i) {
      if (i > 0) text += innermost || one_line ? ", " : ",\n" + std::string(axis + 1, ' ');
      if (elide && extent > 2 * edge && i == edge) {
        text += "...";
        i = extent - edge - 1;
        continue;
      }
      print(axis + 1, offset + i * strides[axis]);
    }
    text += '}';
  }
};

std::string elements_text(const ArrayView& array, bool one_line) {
  Printer printer{array, array.shape().strides(), array.size() > elide_above, one_line, {}};
  printer.print(0, 0);
  return std::move(printer.text);
}

}  // namespace

std::string to_string(const Array& array) {
  const std::string head = std::string(name_of(array.dtype())) + to_string(array.shape());
  // An empty array may have huge other extents; it has nothing to show.
  if (array.size() == 0) return head + " {}";
  std::string line = head + " " + elements_text(array, true);
  if (line.size() <= line_width || array.shape().rank() < 2) return line;
  return head + "\n" + elements_text(array, false);
}

std::ostream& operator<<(std::ostream& out, const Array& array) { return out << to_string(array); }

}  // namespace kiln

// Sliding windows: their attributes, and where their places stand.
//
// Along one dim of extent n, base dilation puts base - 1 holes between neighbours, padding adds `low` places before and `high` after
// (negative amounts take away), and a window of `size` places, `dilation` apart, stands at every `stride`-th place at which it fits:
//
//   spread  = n == 0 ? 0 : (n - 1) * base + 1
//   padded  = low + spread + high
//   length  = (size - 1) * dilation + 1
//   windows = padded < length ? 0 : floor((padded - length) / stride) + 1
//
// Place k of window o is element e where o * stride + k * dilation - low == e * base, if there is such an e in 0 .. n - 1; else it is
// padding.
#pragma once

#include <optional>
#include <vector>

#include "ir/ops/common.h"

namespace kiln::ir::ops {

/// Along one dim.
struct WindowDim {
  std::int64_t size = 1, stride = 1, base = 1, dilation = 1, low = 0, high = 0;

  std::int64_t length() const { return (size - 1) * dilation + 1; }
  /// How many windows an extent has.
  Dim windows(const Dim& extent) const;
  /// The element at place k of window o among `extent`; nothing: padding.
  std::optional<std::int64_t> element(std::int64_t o, std::int64_t k, std::int64_t extent) const;
};

/// The attributes of every op on windows: window, strides, base_dilation, window_dilation, low, high.
std::vector<WindowDim> window_of(const Attributes& attributes, std::size_t rank);
/// Throws unless they fit an operand of this rank.
void require_window(const InferContext& context, std::size_t rank);
/// The extents of the windows of an operand with these extents.
Dims windows_of(const std::vector<WindowDim>& window, const Dims& extents);
Shape shape_of(const std::vector<WindowDim>& window);

/// A place of a window as scalars.
struct WindowPlace {
  ScalarId inside = none;  ///< whether an element stands there; none: always
  Dims index;              ///< the element; in bounds, also where none stands there, as long as there are elements
  bool never = false;      ///< no element ever does
};
/// Place k of window o in an operand of these extents.
WindowPlace place_of(ScalarBuilder& builder, const std::vector<WindowDim>& window, const Dims& extents, std::span<const Dim> o,
                     std::span<const Dim> k);
/// The other way round: the window, among `windows`, whose place k is element `e`.
WindowPlace window_over(ScalarBuilder& builder, const std::vector<WindowDim>& window, const Dims& windows, std::span<const Dim> e,
                        std::span<const Dim> k);
/// Row-major position of k in the window.
Dim position_of(const std::vector<WindowDim>& window, std::span<const Dim> k);

/// Positions and elements of one window, in row-major order of its places: calls f(position, element index) where an element stands.
void for_each_place(const std::vector<WindowDim>& window, const Shape& extents, std::span<const std::int64_t> o,
                    const std::function<void(std::int64_t, std::span<const std::int64_t>)>& f);

inline constexpr AttributeSpec window_size_attribute = {"window", AttributeKind::integers, "places of a window per dim, at least 1", false};
inline constexpr AttributeSpec window_strides_attribute = {"strides", AttributeKind::integers,
                                                           "from one window to the next per dim; absent: 1", false};
inline constexpr AttributeSpec base_dilation_attribute = {"base_dilation", AttributeKind::integers,
                                                          "from one element to the next per dim; absent: 1", false};
inline constexpr AttributeSpec window_dilation_attribute = {"window_dilation", AttributeKind::integers,
                                                            "from one place of a window to the next per dim; absent: 1", false};
inline constexpr AttributeSpec window_low_attribute = {"low", AttributeKind::integers,
                                                       "padding before the first element per dim; negative: cut off; absent: 0", false};
inline constexpr AttributeSpec window_high_attribute = {"high", AttributeKind::integers, "padding after the last; absent: 0", false};

}  // namespace kiln::ir::ops

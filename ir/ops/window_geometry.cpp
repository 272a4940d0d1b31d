#include "ir/ops/window_geometry.h"

#include <algorithm>

#include <fmt/format.h>

#include "ir/ops/evaluate.h"

namespace kiln::ir::ops {

namespace {

/// Beyond this an extent's arithmetic might leave int64 for extents that memory can hold.
constexpr std::int64_t largest_parameter = std::int64_t{1} << 31;

Dim spread(const Dim& n, std::int64_t base) { return base == 1 ? n : n + max(n - 1, 0) * Dim(base - 1); }

/// numerator / denominator as an index among `extent`, and what must hold for that.
struct Quotient {
  ScalarBuilder& builder;
  WindowPlace& place;

  void require(ScalarId condition) {
    place.inside = place.inside == none ? condition : builder.apply(LoopOp::and_, DType::boolean, {place.inside, condition});
  }
  void add(const Dim& numerator, std::int64_t denominator, const Dim& extent, bool may_be_beyond) {
    const Dim index = floordiv(numerator, denominator);
    const bool may_be_below = less_equal(0, numerator) != Truth::yes;
    may_be_beyond = may_be_beyond && less(index, extent) != Truth::yes;
    if (may_be_below) require(builder.compare(Comparison::ge, builder.index_value(numerator), builder.index_value(0)));
    if (may_be_beyond) require(builder.compare(Comparison::lt, builder.index_value(index), builder.index_value(extent)));
    if (const Dim rest = mod(numerator, denominator); !rest.is_constant(0))
      require(builder.compare(Comparison::eq, builder.index_value(rest), builder.index_value(0)));
    Dim clamped = may_be_beyond ? min(index, extent - 1) : index;
    if (may_be_below || (may_be_beyond && less_equal(1, extent) != Truth::yes)) clamped = max(clamped, 0);
    place.index.push_back(clamped);
    place.never |= extent.is_constant(0);
  }
};

}  // namespace

Dim WindowDim::windows(const Dim& extent) const { return max(floordiv(Dim(low + high) + spread(extent, base) - length(), stride) + 1, 0); }

std::optional<std::int64_t> WindowDim::element(std::int64_t o, std::int64_t k, std::int64_t extent) const {
  const std::int64_t place = o * stride + k * dilation - low;
  if (place < 0 || place % base != 0 || place / base >= extent) return std::nullopt;
  return place / base;
}

std::vector<WindowDim> window_of(const Attributes& attributes, std::size_t rank) {
  std::vector<WindowDim> window(rank);
  const auto fill = [&](std::string_view name, std::int64_t WindowDim::* member) {
    const auto& values = integers_or_empty(attributes, name);
    for (std::size_t d = 0; d < values.size() && d < rank; ++d) window[d].*member = values[d];
  };
  fill("window", &WindowDim::size);
  fill("strides", &WindowDim::stride);
  fill("base_dilation", &WindowDim::base);
  fill("window_dilation", &WindowDim::dilation);
  fill("low", &WindowDim::low);
  fill("high", &WindowDim::high);
  return window;
}

void require_window(const InferContext& context, std::size_t rank) {
  require_length(context, integers_or_empty(context.attributes, "window").size(), rank, "window");
  for (const char* name : {"strides", "base_dilation", "window_dilation", "low", "high"})
    if (const auto& values = integers_or_empty(context.attributes, name); !values.empty())
      require_length(context, values.size(), rank, name);
  for (const char* name : {"window", "strides", "base_dilation", "window_dilation"}) {
    const auto& values = integers_or_empty(context.attributes, name);
    for (std::size_t d = 0; d < values.size(); ++d)
      if (values[d] < 1 || values[d] > largest_parameter)
        fail(context, ErrorCode::invalid_argument,
             fmt::format("{} of dim {} is {}, but must be from 1 to {}", name, d, values[d], largest_parameter));
  }
  for (const char* name : {"low", "high"}) {
    const auto& values = integers_or_empty(context.attributes, name);
    for (std::size_t d = 0; d < values.size(); ++d)
      if (values[d] < -largest_parameter || values[d] > largest_parameter)
        fail(context, ErrorCode::invalid_argument,
             fmt::format("padding {} of dim {} is {}, which is beyond {}", name, d, values[d], largest_parameter));
  }
}

Dims windows_of(const std::vector<WindowDim>& window, const Dims& extents) {
  Dims dims;
  for (std::size_t d = 0; d < extents.size(); ++d) dims.push_back(window[d].windows(extents[d]));
  return dims;
}

Shape shape_of(const std::vector<WindowDim>& window) {
  std::vector<std::int64_t> sizes;
  for (const WindowDim& w : window) sizes.push_back(w.size);
  return Shape(std::move(sizes));
}

WindowPlace place_of(ScalarBuilder& builder, const std::vector<WindowDim>& window, const Dims& extents, std::span<const Dim> o,
                     std::span<const Dim> k) {
  WindowPlace place;
  Quotient quotient{builder, place};
  for (std::size_t d = 0; d < window.size(); ++d) {
    const WindowDim& w = window[d];
    // The last place of the last window is spread + high - 1 at most, seen from the first element.
    quotient.add(o[d] * Dim(w.stride) + k[d] * Dim(w.dilation) - w.low, w.base, extents[d], w.high > 0);
  }
  return place;
}

WindowPlace window_over(ScalarBuilder& builder, const std::vector<WindowDim>& window, const Dims& windows, std::span<const Dim> e,
                        std::span<const Dim> k) {
  WindowPlace place;
  Quotient quotient{builder, place};
  for (std::size_t d = 0; d < window.size(); ++d) {
    const WindowDim& w = window[d];
    quotient.add(e[d] * Dim(w.base) + w.low - k[d] * Dim(w.dilation), w.stride, windows[d], true);
  }
  return place;
}

Dim position_of(const std::vector<WindowDim>& window, std::span<const Dim> k) {
  Dim position = 0;
  for (std::size_t d = 0; d < window.size(); ++d) position = position * Dim(window[d].size) + k[d];
  return position;
}

void for_each_place(const std::vector<WindowDim>& window, const Shape& extents, std::span<const std::int64_t> o,
                    const std::function<void(std::int64_t, std::span<const std::int64_t>)>& f) {
  std::vector<std::int64_t> element(window.size());
  std::int64_t position = -1;
  for_each_index(shape_of(window), [&](std::span<const std::int64_t> k) {
    ++position;
    for (std::size_t d = 0; d < window.size(); ++d) {
      const auto found = window[d].element(o[d], k[d], extents[d]);
      if (!found) return;
      element[d] = *found;
    }
    f(position, element);
  });
}

}  // namespace kiln::ir::ops

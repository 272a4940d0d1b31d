// What pooling and convolution have in common: where the spatial axes are, sizes per axis, padding.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace kiln {

/// Order of the axes: batch, channels, spatial axes (PyTorch's and ONNX's NCHW, the default everywhere), or batch, spatial axes, channels
/// (TensorFlow's NHWC). Channels last is the faster one: neighbours in memory are treated alike.
enum class Layout : std::uint8_t { channels_first, channels_last };

/// One number for every spatial axis, or one for each, outermost first: `3` or `{3, 5}`.
class PerAxis {
 public:
  PerAxis() = default;  ///< not given
  PerAxis(int value) : values_{value}, same_(true) {}
  PerAxis(std::int64_t value) : values_{value}, same_(true) {}
  PerAxis(std::initializer_list<std::int64_t> values) : values_(values) {}
  PerAxis(std::vector<std::int64_t> values) : values_(std::move(values)) {}
  bool given() const { return same_ || !values_.empty(); }
  /// Whether one number stands for all axes.
  bool same() const { return same_; }
  const std::vector<std::int64_t>& values() const { return values_; }

 private:
  std::vector<std::int64_t> values_;
  bool same_ = false;
};

/// How many places are added around the spatial axes before windows slide over them.
class Padding {
 public:
  enum class Kind : std::uint8_t {
    amounts,
    same,  ///< as many that a window stands at every stride-th element: ceil(n / stride) windows; an odd one comes after the last element
    same_lower,  ///< likewise; an odd one comes before the first element (ONNX's SAME_LOWER)
  };
  Padding() = default;  ///< none, TensorFlow's VALID
  /// As many before as after, on every axis.
  Padding(int amount) : both_(amount) {}
  Padding(std::int64_t amount) : both_(amount) {}
  /// The same per axis, outermost first: {1, 2}.
  Padding(PerAxis both) : both_(std::move(both)) {}
  Padding(std::initializer_list<std::int64_t> both) : both_(both) {}
  /// (before, after) per axis.
  Padding(std::initializer_list<std::pair<std::int64_t, std::int64_t>> amounts) : amounts_(amounts) {}
  Padding(std::vector<std::pair<std::int64_t, std::int64_t>> amounts) : amounts_(std::move(amounts)) {}
  static Padding valid() { return {}; }
  static Padding same() { return Padding(Kind::same); }
  static Padding same_lower() { return Padding(Kind::same_lower); }

  Kind kind() const { return kind_; }
  const PerAxis& both() const { return both_; }
  const std::vector<std::pair<std::int64_t, std::int64_t>>& amounts() const { return amounts_; }

 private:
  explicit Padding(Kind kind) : kind_(kind) {}
  Kind kind_ = Kind::amounts;
  PerAxis both_;
  std::vector<std::pair<std::int64_t, std::int64_t>> amounts_;
};

}  // namespace kiln

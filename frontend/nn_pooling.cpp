// Pooling modules.
#include "kiln/nn/pooling.h"

#include <fmt/format.h>
#include <algorithm>

#include "frontend/nn_module.h"

namespace kiln::nn {

using detail::at_call;

namespace {

void require_rank(const char* name, const Tensor& x, std::size_t spatial) {
  if (x.rank() != spatial + 2)
    detail::fail(ErrorCode::shape_mismatch, fmt::format("{}: the input is {}, but must have rank {}", name, to_string(x), spatial + 2),
                 "[batch, channels, spatial...]: expand_dims() adds an axis of 1");
}

Tensor max_pooled(const char* name, std::size_t spatial, const Tensor& x, const PerAxis& window, const MaxPoolOptions& options) {
  return at_call([&] {
    require_rank(name, x, spatial);
    return max_pool(x, window,
                    {.stride = options.stride,
                     .padding = options.padding,
                     .dilation = options.dilation,
                     .ceil_mode = options.ceil_mode});
  });
}

Tensor averaged(const char* name, std::size_t spatial, const Tensor& x, const PerAxis& window, const AveragePoolOptions& options) {
  return at_call([&] {
    require_rank(name, x, spatial);
    return avg_pool(x, window,
                    {.stride = options.stride,
                     .padding = options.padding,
                     .ceil_mode = options.ceil_mode,
                     .count_include_pad = options.count_include_pad});
  });
}

Tensor normed(const char* name, std::size_t spatial, const Tensor& x, double p, const PerAxis& window, const LPPoolOptions& options) {
  return at_call([&] {
    require_rank(name, x, spatial);
    return lp_pool(x, p, window, {.stride = options.stride, .ceil_mode = options.ceil_mode});
  });
}

bool to_one(const PerAxis& output) {
  return std::all_of(output.values().begin(), output.values().end(), [](std::int64_t n) { return n == 1; });
}

Tensor adaptive_average(const char* name, std::size_t spatial, const Tensor& x, const PerAxis& output) {
  return at_call([&] {
    require_rank(name, x, spatial);
    return to_one(output) ? global_avg_pool(x) : adaptive_avg_pool(x, output);
  });
}

Tensor adaptive_maximum(const char* name, std::size_t spatial, const Tensor& x, const PerAxis& output) {
  return at_call([&] {
    require_rank(name, x, spatial);
    return to_one(output) ? global_max_pool(x) : adaptive_max_pool(x, output);
  });
}

}  // namespace

Tensor MaxPool1d::forward(const Tensor& x) { return max_pooled("MaxPool1d", 1, x, window_, options_); }
Tensor MaxPool2d::forward(const Tensor& x) { return max_pooled("MaxPool2d", 2, x, window_, options_); }
Tensor MaxPool3d::forward(const Tensor& x) { return max_pooled("MaxPool3d", 3, x, window_, options_); }
Tensor AvgPool1d::forward(const Tensor& x) { return averaged("AvgPool1d", 1, x, window_, options_); }
Tensor AvgPool2d::forward(const Tensor& x) { return averaged("AvgPool2d", 2, x, window_, options_); }
Tensor AvgPool3d::forward(const Tensor& x) { return averaged("AvgPool3d", 3, x, window_, options_); }
Tensor LPPool1d::forward(const Tensor& x) { return normed("LPPool1d", 1, x, p_, window_, options_); }
Tensor LPPool2d::forward(const Tensor& x) { return normed("LPPool2d", 2, x, p_, window_, options_); }
Tensor AdaptiveAvgPool1d::forward(const Tensor& x) { return adaptive_average("AdaptiveAvgPool1d", 1, x, output_); }
Tensor AdaptiveAvgPool2d::forward(const Tensor& x) { return adaptive_average("AdaptiveAvgPool2d", 2, x, output_); }
Tensor AdaptiveAvgPool3d::forward(const Tensor& x) { return adaptive_average("AdaptiveAvgPool3d", 3, x, output_); }
Tensor AdaptiveMaxPool1d::forward(const Tensor& x) { return adaptive_maximum("AdaptiveMaxPool1d", 1, x, output_); }
Tensor AdaptiveMaxPool2d::forward(const Tensor& x) { return adaptive_maximum("AdaptiveMaxPool2d", 2, x, output_); }
Tensor AdaptiveMaxPool3d::forward(const Tensor& x) { return adaptive_maximum("AdaptiveMaxPool3d", 3, x, output_); }

}  // namespace kiln::nn

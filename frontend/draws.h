// Random numbers as parts of composites. Each call takes one stream (or as many as it says) of the scope that it is built in.
#pragma once

#include "frontend/composite.h"

namespace kiln::detail {

/// While one lives, draws have a scope of their own, named after the function that draws and numbered among its calls: what a function
/// needs inside (streams, loops) shifts no draw of another function.
class DrawScope {
 public:
  DrawScope(GraphState& state, const std::string& function)
      : state_(state), depth_(state.open.size() - 1), before_(state.innermost().scope) {
    const std::string scope = before_ + "/" + function;
    state.innermost().scope = scope + "#" + std::to_string(state.draws[scope]++);
  }
  ~DrawScope() { state_.open[depth_].scope = before_; }
  DrawScope(const DrawScope&) = delete;

 private:
  GraphState& state_;
  std::size_t depth_;  ///< the region's place: the list of open regions moves when a body opens
  std::string before_;
};

/// Uniform 32-bit words.
Tensor draw_bits(GraphState& state, const char* op, const ir::Dims& dims, const Location& location);
/// Uniform in [0, 1): as many random bits as the dtype's fraction has. Two streams for f64.
Tensor draw_unit(Composite& of, DType dtype, const Dims& dims);
/// Uniform in (0, 1), symmetric about 1/2: neither end ever comes. For f32 and f64; other dtypes are drawn as f32.
Tensor draw_open_unit(Composite& of, DType dtype, const Dims& dims);
/// Standard normal, by Box and Muller. Two units.
Tensor draw_normal(Composite& of, DType dtype, const Dims& dims);
/// Standard Gumbel, -log(-log(u)).
Tensor draw_gumbel(Composite& of, DType dtype, const Dims& dims);

}  // namespace kiln::detail

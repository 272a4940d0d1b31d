// Random numbers as parts of composites. Each call takes one stream (or as many as it says) of the scope that it is built in.
#pragma once

#include "frontend/composite.h"

namespace kiln::detail {

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

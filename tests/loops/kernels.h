// Kernels that several tests use, as text.
#pragma once

#include <string>

namespace kiln::ir {

/// out = relu(x * w) for any m; k = 24, n = 32: a register-tiled product with a masked edge.
inline const std::string dot_relu_text =
    R"(kernel @dot_relu(x: f32[m, 24], w: f32[24, 32], out: f32[m, 32] output) symbols(m) work(49152) {  // out = relu(x * w)
  for parallel i in 0 .. ceildiv(m, 4) {
    %0 = constant 0 : f32x16[4,2]
    %1 = index 4*i + $r : i64[4,1]
    %2 = index m : i64
    %3 = compare lt %1, %2 : bool[4,1]
    %8 = for k in 0 .. 24 carry (%4 = %0) {
      %5 = load x[4*i + $r, k] if %3 : f32[4,1]
      %6 = load w[k, $v] : f32x16[1,2]
      %7 = fma %5, %6, %4 : f32x16[4,2]
      yield %7
    }
    %9 = constant 0 : f32
    %10 = maximum %9, %8 : f32x16[4,2]
    store out[4*i + $r, $v], %10 if %3 : f32x16[4,2]
  }
}
)";

/// Every construct of the text once.
inline const std::string all_constructs_text =
    R"(kernel @all(a: f32[n, 8], b: f64[4] strides [2] align 64, c: i32[n], out: f32[n, 8] output, io: f64[n] inout, tmp: f32[16] scratch align 32) symbols(n {max = 1000, multiple_of = 2, typical = 64}) {
  %0 = constant -0 : f32x8
  %1 = constant inf : f64
  %2 = constant nan : f64
  %3 = constant true : bool
  %4 = constant -3 : i32
  %5 = constant 18446744073709551615 : u64
  store tmp[$v], %0 : f32x8
  for unrolled u in 4 .. 9 step 4 {
    store tmp[u + $v], %0 non_temporal : f32x8
  }
  for parallel i in 0 .. n {
    %6 = load c[i] : i32
    let j = %6
    prefetch a[min(j, n - 1), 0] : f32
    %7 = load a[i, $v] : f32x8
    %8 = load a[i, mod(3*$v, 8)] : f32x8
    %9 = compare gt %7, %8 : boolx8
    %10 = select %9, %7, %8 : f32x8
    %11 = reduce add lanes %10 : f32
    %12 = reduce maximum lanes %7 : f32
    %13 = compare ge %11, %12 : bool
    %16 = if %13 {
      %14 = add %11, %12 : f32
      yield %14
    } else {
      %15 = subtract %11, %12 : f32
      yield %15
    }
    if %3 {
      store out[i, 0], %16 : f32
    }
    switch mod(i, 3) {
      case 0 {
        store out[i, 1], %11 : f32
      }
      case 2 {
        store out[i, 2], %12 : f32
      }
    }
    %17 = load io[i] : f64
    %18 = convert %16 : f64
    %19 = add %17, %18 : f64
    %20 = load b[mod(i, 4)] if %13 : f64
    %21 = add %19, %20 : f64
    store io[i], %21 if %13 : f64
    %22 = bitcast %16 : i32
    %23 = broadcast %22 : i32x4[2,1]
  }
  %24, %27 = for s in 0 .. n step 2 carry (%25 = %1, %26 = %2) {
    yield %26, %25
  }
}
)";

}  // namespace kiln::ir

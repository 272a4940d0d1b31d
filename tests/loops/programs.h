// Programs that several tests use, as text.
#pragma once

#include <string>

namespace kiln::ir {

inline const std::string axpy_kernel = R"(
kernel @axpy(x: f32[n], w: f32[4], y: f32[4] output) symbols(n) {
  for i in 0 .. 4 {
    %0 = load w[i] : f32
    %1 = constant 0 : f32
    %4 = for k in 0 .. n carry (%2 = %1) {
      %5 = load x[k] : f32
      %3 = add %2, %5 : f32
      yield %3
    }
    %6 = add %0, %4 : f32
    store y[i], %6 : f32
  }
}
)";

/// Fetches the first c elements of x, and how many they are.
inline const std::string produce_text = R"(program @first symbols(n) arena(64) {
  input x: f32[n]
  input c: i64[]
  output y: f32[k]
  output left: f32[-k + n]
  produced k bound n
  buffer x = input x
  buffer c = input c
  buffer y = output y
  buffer left = output left

  produce k = c limit n
  copy y = x
  copy left = x
}
)";

/// w += sum(x), unless the check of p fails; also fetches the old w.
inline const std::string update_text = R"(program @update symbols(n {min = 1}) arena(0) {
  input x: f32[n]
  input p: bool[]
  output old: f32[4]
  variable w: f32[4] read assigned shadowed
  check check_failed "p must hold" hint "feed true"
  require n == 2*floordiv(n, 2) check 0
  buffer x = input x
  buffer p = input p
  buffer old = output old
  buffer w = variable w
  buffer w.next = shadow w

  call @axpy(x, w, w.next)
  copy old = w
  poll
  check 0, p
  commit w
}
)" + axpy_kernel;

inline const std::string count_kernels = R"(
kernel @less(i: i64[], n: i64[], p: bool[] output) {
  %0 = load i[] : i64
  %1 = load n[] : i64
  %2 = compare lt %0, %1 : bool
  store p[], %2 : bool
}

kernel @add(a: i64[], b: i64[], c: i64[] output) {
  %0 = load a[] : i64
  %1 = load b[] : i64
  %2 = add %0, %1 : i64
  store c[], %2 : i64
}
)";

/// Pushes i = 0 .. n-1 on a tape of rows, then pops them: out = sum of i * 3^position.
inline const std::string tape_text = R"(program @tape arena(512) {
  input n: i64[]
  output sum: i64[]
  constant i64[] 0
  constant i64[] 1
  buffer n = input n
  buffer sum = output sum
  buffer zero = constant 0
  buffer one = constant 1
  buffer i = arena 0 : i64[]
  buffer p = arena 64 : bool[]
  buffer i.next = arena 128 : i64[]
  buffer state = arena 192 : u8[64]
  buffer item = arena 256 : i64[]
  buffer left = arena 320 : i64[]
  buffer acc = arena 384 : i64[]
  buffer acc.next = arena 448 : i64[]
  tape t: i64[] state state

  tape_clear t
  copy i = zero
  while p {
    call @less(i, n, p)
  } do {
    tape_push t, i
    call @add(i, one, i.next)
    copy i = i.next
    poll
  }
  copy left = zero
  copy acc = zero
  while p {
    call @less(left, n, p)
  } do {
    tape_pop t, item
    call @add(acc, acc, acc.next)
    call @add(acc.next, item, acc)
    call @add(left, one, i.next)
    copy left = i.next
  }
  copy sum = acc
}
)" + count_kernels;

}  // namespace kiln::ir

// The arithmetic of loop IR (ir/loop_arithmetic.h), exact to the bit: floats are computed in their own type, f16 and bf16 in f32 and
// rounded once per operation, integers wrap. Functions (exp, tanh ...) come from the C++ library: they stand in kernels only before
// expand_math and are not bit-exact.
#include "ir/loop_arithmetic.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kiln/dtype.h"

namespace kiln::ir {

namespace {

template <class T>
constexpr bool is_half = std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;
/// What an element is computed in.
template <class T>
using Compute = std::conditional_t<is_half<T>, float, T>;
template <class T>
constexpr bool is_float = std::is_floating_point_v<Compute<T>>;

template <class T>
Compute<T> load(const T& element) {
  return static_cast<Compute<T>>(element);
}

// ---- walks

template <class R, class T, class F>
void walk1(const ElementWalk& w, void* out, const void* const* in, F f) {
  R* o = static_cast<R*>(out);
  const T* a0 = static_cast<const T*>(in[0]);
  const std::int32_t n = w.extents[2], sa = w.strides[0][2];
  for (std::int32_t i = 0; i < w.extents[0]; ++i) {
    for (std::int32_t j = 0; j < w.extents[1]; ++j, o += n) {
      const T* a = a0 + i * w.strides[0][0] + j * w.strides[0][1];
      for (std::int32_t k = 0; k < n; ++k) o[k] = static_cast<R>(f(load(a[k * sa])));
    }
  }
}

template <class R, class T, class F>
void walk2(const ElementWalk& w, void* out, const void* const* in, F f) {
  R* o = static_cast<R*>(out);
  const T *a0 = static_cast<const T*>(in[0]), *b0 = static_cast<const T*>(in[1]);
  const std::int32_t n = w.extents[2], sa = w.strides[0][2], sb = w.strides[1][2];
  for (std::int32_t i = 0; i < w.extents[0]; ++i) {
    for (std::int32_t j = 0; j < w.extents[1]; ++j, o += n) {
      const T* a = a0 + i * w.strides[0][0] + j * w.strides[0][1];
      const T* b = b0 + i * w.strides[1][0] + j * w.strides[1][1];
      if (sa == 1 && sb == 1) {
        for (std::int32_t k = 0; k < n; ++k) o[k] = static_cast<R>(f(load(a[k]), load(b[k])));
      } else {
        for (std::int32_t k = 0; k < n; ++k) o[k] = static_cast<R>(f(load(a[k * sa]), load(b[k * sb])));
      }
    }
  }
}

template <class T>
void select_elements(const ElementWalk& w, void* out, const void* const* in) {
  T* o = static_cast<T*>(out);
  const std::int32_t n = w.extents[2];
  for (std::int32_t i = 0; i < w.extents[0]; ++i) {
    for (std::int32_t j = 0; j < w.extents[1]; ++j, o += n) {
      const bool* m = static_cast<const bool*>(in[0]) + i * w.strides[0][0] + j * w.strides[0][1];
      const T* a = static_cast<const T*>(in[1]) + i * w.strides[1][0] + j * w.strides[1][1];
      const T* b = static_cast<const T*>(in[2]) + i * w.strides[2][0] + j * w.strides[2][1];
      for (std::int32_t k = 0; k < n; ++k) o[k] = m[k * w.strides[0][2]] ? a[k * w.strides[1][2]] : b[k * w.strides[2][2]];
    }
  }
}

// ---- fma: where the interpreter spends its time. std::fma is a library call unless the instruction set has it.

#if defined(__x86_64__)
#define KILN_FMA_TARGET __attribute__((target("avx2,fma")))
#else
#define KILN_FMA_TARGET
#endif

template <class T, bool repeat_a, bool repeat_b>
KILN_FMA_TARGET void fma_row_hardware(std::int32_t n, T* o, const T* a, const T* b, const T* c, std::int32_t sc) {
  const T a0 = *a, b0 = *b;
  for (std::int32_t k = 0; k < n; ++k) {
    if constexpr (std::is_same_v<T, float>)
      o[k] = __builtin_fmaf(repeat_a ? a0 : a[k], repeat_b ? b0 : b[k], c[k * sc]);
    else
      o[k] = __builtin_fma(repeat_a ? a0 : a[k], repeat_b ? b0 : b[k], c[k * sc]);
  }
}

template <class T, bool repeat_a, bool repeat_b>
void fma_row(bool hardware, std::int32_t n, T* o, const T* a, const T* b, const T* c, std::int32_t sc) {
  if (hardware) return fma_row_hardware<T, repeat_a, repeat_b>(n, o, a, b, c, sc);
  for (std::int32_t k = 0; k < n; ++k) o[k] = std::fma(a[repeat_a ? 0 : k], b[repeat_b ? 0 : k], c[k * sc]);
}

bool has_fma() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return has;
#else
  return true;
#endif
}

template <class T>
void fma_elements(const ElementWalk& w, void* out, const void* const* in) {
  T* o = static_cast<T*>(out);
  const std::int32_t n = w.extents[2];
  const bool repeat_a = w.strides[0][2] == 0, repeat_b = w.strides[1][2] == 0;
  const bool hardware = has_fma();
  for (std::int32_t i = 0; i < w.extents[0]; ++i) {
    for (std::int32_t j = 0; j < w.extents[1]; ++j, o += n) {
      const T* a = static_cast<const T*>(in[0]) + i * w.strides[0][0] + j * w.strides[0][1];
      const T* b = static_cast<const T*>(in[1]) + i * w.strides[1][0] + j * w.strides[1][1];
      const T* c = static_cast<const T*>(in[2]) + i * w.strides[2][0] + j * w.strides[2][1];
      const std::int32_t sc = w.strides[2][2];
      if constexpr (is_half<T>) {
        for (std::int32_t k = 0; k < n; ++k) o[k] = T(std::fma(load(a[repeat_a ? 0 : k]), load(b[repeat_b ? 0 : k]), load(c[k * sc])));
      } else if (repeat_a) {
        repeat_b ? fma_row<T, true, true>(hardware, n, o, a, b, c, sc) : fma_row<T, true, false>(hardware, n, o, a, b, c, sc);
      } else {
        repeat_b ? fma_row<T, false, true>(hardware, n, o, a, b, c, sc) : fma_row<T, false, false>(hardware, n, o, a, b, c, sc);
      }
    }
  }
}

// ---- scalar definitions

/// Integer arithmetic in 64 unsigned bits: wraps, whatever C++ promotes to.
template <class T>
std::uint64_t wide(T value) {
  return static_cast<std::uint64_t>(value);
}

template <class C>
C add(C a, C b) {
  if constexpr (std::is_integral_v<C>)
    return static_cast<C>(wide(a) + wide(b));
  else
    return a + b;
}
template <class C>
C subtract(C a, C b) {
  if constexpr (std::is_integral_v<C>)
    return static_cast<C>(wide(a) - wide(b));
  else
    return a - b;
}
template <class C>
C multiply(C a, C b) {
  if constexpr (std::is_integral_v<C>)
    return static_cast<C>(wide(a) * wide(b));
  else
    return a * b;
}
template <class C>
C divide(C a, C b) {
  if constexpr (std::is_integral_v<C>) {
    if (b == 0) return static_cast<C>(-1);
    if constexpr (std::is_signed_v<C>)
      if (b == -1) return static_cast<C>(-wide(a));
    return static_cast<C>(a / b);
  } else {
    return a / b;
  }
}
template <class C>
C remainder(C a, C b) {
  if constexpr (std::is_integral_v<C>) {
    if (b == 0) return a;
    if constexpr (std::is_signed_v<C>)
      if (b == -1) return 0;
    return static_cast<C>(a % b);
  } else {
    return std::fmod(a, b);
  }
}
template <class C>
C minimum(C a, C b) {
  return a != a ? a : a < b ? a : b;
}
template <class C>
C maximum(C a, C b) {
  return a != a ? a : a > b ? a : b;
}
template <class C>
C negate(C a) {
  if constexpr (std::is_integral_v<C>)
    return static_cast<C>(-wide(a));
  else
    return -a;
}
template <class C>
C absolute(C a) {
  if constexpr (std::is_unsigned_v<C>)
    return a;
  else if constexpr (std::is_integral_v<C>)
    return a < 0 ? static_cast<C>(-wide(a)) : a;
  else
    return std::fabs(a);
}
/// To the nearest integer, ties to even, whatever the rounding mode; the sign of zero stays.
template <class C>
C round_nearest_even(C a) {
  const C floor = std::floor(a), difference = a - floor;
  if (!(difference == difference) || difference == 0) return a;
  const C half = C(0.5);
  const C result = difference < half ? floor : difference > half ? floor + 1 : std::fmod(floor, C(2)) == 0 ? floor : floor + 1;
  return std::copysign(result, a);
}
template <class C>
C logistic(C a) {
  return 1 / (1 + std::exp(-a));
}

template <class C>
C shift_left(C a, C b) {
  constexpr int bits = 8 * sizeof(C);
  if (b < 0 || wide(b) >= bits) return 0;
  return static_cast<C>(wide(a) << b);
}
template <class C>
C shift_right_arithmetic(C a, C b) {
  constexpr int bits = 8 * sizeof(C);
  using Signed = std::make_signed_t<C>;
  const int count = b < 0 || wide(b) >= bits ? bits - 1 : static_cast<int>(b);
  return static_cast<C>(static_cast<Signed>(a) >> count);
}
template <class C>
C shift_right_logical(C a, C b) {
  constexpr int bits = 8 * sizeof(C);
  using Unsigned = std::make_unsigned_t<C>;
  if (b < 0 || wide(b) >= bits) return 0;
  return static_cast<C>(static_cast<Unsigned>(a) >> b);
}

/// Square and multiply. A negative exponent leaves something only of 1 and -1.
template <class C>
C integer_power(C a, C b) {
  if constexpr (std::is_signed_v<C>)
    if (b < 0) return a == 1 ? C(1) : a != -1 ? C(0) : b % 2 == 0 ? C(1) : C(-1);
  C result = 1;
  for (std::uint64_t rest = wide(b); rest != 0; rest >>= 1, a = multiply(a, a))
    if (rest & 1) result = multiply(result, a);
  return result;
}

/// A float that rounds to half precision as `value` does: towards zero, and odd when anything was cut off, so that nothing lies half-way
/// between two halves that did not before.
float rounded_to_odd(double value) {
  const float nearest = static_cast<float>(value);
  const double back = static_cast<double>(nearest);
  if (value != value || back == value) return nearest;
  const auto bits = std::bit_cast<std::uint32_t>(nearest) - (std::fabs(back) > std::fabs(value) ? 1U : 0U);
  return std::bit_cast<float>(bits | 1U);
}

/// An integer whose rounding to half precision is that of `value`, few enough digits for a double: of a large one, the low 16 bits count
/// only as something or nothing.
template <class C>
double short_of(C value) {
  if constexpr (sizeof(C) == 8) {
    constexpr C low = 0xFFFF, large = C(1) << 40;
    if ((value & low) != 0 && (value >= large || (std::is_signed_v<C> && value < C(0) - large)))
      value = static_cast<C>((value & ~low) | 0x8000);
  }
  return static_cast<double>(value);
}

template <class To, class From>
To convert(From value) {
  using C = Compute<From>;
  const C v = load(value);
  if constexpr (std::is_same_v<To, bool>) {
    return v != 0;
  } else if constexpr (is_half<To>) {
    if constexpr (std::is_same_v<C, float>)
      return To(v);
    else if constexpr (std::is_same_v<C, double>)
      return To(rounded_to_odd(v));
    else
      return To(rounded_to_odd(short_of(v)));
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<C>) {
    if (v != v) return 0;
    const C limit = std::ldexp(C(1), std::numeric_limits<To>::digits);
    if (v >= limit) return std::numeric_limits<To>::max();
    if (v <= (std::is_signed_v<To> ? -limit : C(0))) return std::numeric_limits<To>::min();
    return static_cast<To>(v);
  } else {
    return static_cast<To>(v);
  }
}

// ---- tables of functions

template <class T>
ElementApply unary_function(LoopOp op) {
  using C = Compute<T>;
#define KILN_UNARY(expression) \
  return [](const ElementWalk& w, void* out, const void* const* in) { walk1<T, T>(w, out, in, [](C a) { return expression; }); }
  if constexpr (!std::is_same_v<T, bool>) {
    if (op == LoopOp::negate) KILN_UNARY(negate<C>(a));
    if (op == LoopOp::abs) KILN_UNARY(absolute<C>(a));
  }
  if constexpr (std::is_same_v<T, bool>) {
    if (op == LoopOp::not_) KILN_UNARY(!a);
  } else if constexpr (std::is_integral_v<T>) {
    using Unsigned = std::make_unsigned_t<C>;
    if (op == LoopOp::not_) KILN_UNARY(static_cast<C>(~a));
    if (op == LoopOp::popcnt) KILN_UNARY(static_cast<C>(std::popcount(static_cast<Unsigned>(a))));
    if (op == LoopOp::count_leading_zeros) KILN_UNARY(static_cast<C>(std::countl_zero(static_cast<Unsigned>(a))));
  } else {
    switch (op) {
      case LoopOp::sqrt: KILN_UNARY(std::sqrt(a));
      case LoopOp::floor: KILN_UNARY(std::floor(a));
      case LoopOp::ceil: KILN_UNARY(std::ceil(a));
      case LoopOp::round_nearest_even: KILN_UNARY(round_nearest_even(a));
      case LoopOp::exp: KILN_UNARY(std::exp(a));
      case LoopOp::expm1: KILN_UNARY(std::expm1(a));
      case LoopOp::log: KILN_UNARY(std::log(a));
      case LoopOp::log1p: KILN_UNARY(std::log1p(a));
      case LoopOp::cbrt: KILN_UNARY(std::cbrt(a));
      case LoopOp::tanh: KILN_UNARY(std::tanh(a));
      case LoopOp::logistic: KILN_UNARY(logistic(a));
      case LoopOp::erf: KILN_UNARY(std::erf(a));
      case LoopOp::sin: KILN_UNARY(std::sin(a));
      case LoopOp::cos: KILN_UNARY(std::cos(a));
      case LoopOp::tan: KILN_UNARY(std::tan(a));
      default: break;
    }
  }
#undef KILN_UNARY
  return nullptr;
}

/// Calls `use` with the scalar function of a binary op; false when T has none.
template <class T, class Use>
bool with_binary(LoopOp op, Use use) {
  using C = Compute<T>;
  if constexpr (!std::is_same_v<T, bool>) {
    switch (op) {
      case LoopOp::add: return use([](C a, C b) { return add<C>(a, b); }), true;
      case LoopOp::subtract: return use([](C a, C b) { return subtract<C>(a, b); }), true;
      case LoopOp::multiply: return use([](C a, C b) { return multiply<C>(a, b); }), true;
      case LoopOp::divide: return use([](C a, C b) { return divide<C>(a, b); }), true;
      case LoopOp::remainder: return use([](C a, C b) { return remainder<C>(a, b); }), true;
      case LoopOp::minimum: return use([](C a, C b) { return minimum<C>(a, b); }), true;
      case LoopOp::maximum: return use([](C a, C b) { return maximum<C>(a, b); }), true;
      default: break;
    }
  }
  if constexpr (std::is_floating_point_v<C>) {
    if (op == LoopOp::power) return use([](C a, C b) { return std::pow(a, b); }), true;
    if (op == LoopOp::atan2) return use([](C a, C b) { return std::atan2(a, b); }), true;
  } else {
    if (op == LoopOp::and_) return use([](C a, C b) { return static_cast<C>(a & b); }), true;
    if (op == LoopOp::or_) return use([](C a, C b) { return static_cast<C>(a | b); }), true;
    if (op == LoopOp::xor_) return use([](C a, C b) { return static_cast<C>(a ^ b); }), true;
    if constexpr (!std::is_same_v<T, bool>) {
      if (op == LoopOp::power) return use([](C a, C b) { return integer_power<C>(a, b); }), true;
      if (op == LoopOp::shift_left) return use([](C a, C b) { return shift_left<C>(a, b); }), true;
      if (op == LoopOp::shift_right_arithmetic) return use([](C a, C b) { return shift_right_arithmetic<C>(a, b); }), true;
      if (op == LoopOp::shift_right_logical) return use([](C a, C b) { return shift_right_logical<C>(a, b); }), true;
    }
  }
  return false;
}

template <class T>
ElementApply binary_function(LoopOp op) {
  ElementApply result = nullptr;
  with_binary<T>(op, [&](auto f) {
    using F = decltype(f);
    result = [](const ElementWalk& w, void* out, const void* const* in) { walk2<T, T>(w, out, in, F{}); };
  });
  return result;
}

template <class T>
ElementApply comparison_function(Comparison comparison) {
  using C = Compute<T>;
#define KILN_COMPARE(name, symbol) \
  case Comparison::name:           \
    return [](const ElementWalk& w, void* out, const void* const* in) { walk2<bool, T>(w, out, in, [](C a, C b) { return a symbol b; }); }
  switch (comparison) {
    KILN_COMPARE(eq, ==);
    KILN_COMPARE(ne, !=);
    KILN_COMPARE(lt, <);
    KILN_COMPARE(le, <=);
    KILN_COMPARE(gt, >);
    KILN_COMPARE(ge, >=);
  }
#undef KILN_COMPARE
  return nullptr;
}

template <class From>
ElementApply conversion_function(DType to) {
  return visit_dtype(to, [](auto tag) -> ElementApply {
    using To = decltype(tag);
    return [](const ElementWalk& w, void* out, const void* const* in) {
      To* o = static_cast<To*>(out);
      const From* a0 = static_cast<const From*>(in[0]);
      for (std::int32_t i = 0; i < w.extents[0]; ++i)
        for (std::int32_t j = 0; j < w.extents[1]; ++j)
          for (std::int32_t k = 0; k < w.extents[2]; ++k)
            *o++ = convert<To, From>(a0[i * w.strides[0][0] + j * w.strides[0][1] + k * w.strides[0][2]]);
    };
  });
}

/// Copies bits: broadcast and bitcast.
template <class T>
void copy_elements(const ElementWalk& w, void* out, const void* const* in) {
  T* o = static_cast<T*>(out);
  const T* a0 = static_cast<const T*>(in[0]);
  for (std::int32_t i = 0; i < w.extents[0]; ++i)
    for (std::int32_t j = 0; j < w.extents[1]; ++j)
      for (std::int32_t k = 0; k < w.extents[2]; ++k) *o++ = a0[i * w.strides[0][0] + j * w.strides[0][1] + k * w.strides[0][2]];
}

ElementApply copy_function(std::size_t size) {
  return size == 1   ? copy_elements<std::uint8_t>
         : size == 2 ? copy_elements<std::uint16_t>
         : size == 4 ? copy_elements<std::uint32_t>
                     : copy_elements<std::uint64_t>;
}

}  // namespace

ElementWalk make_walk(const RegisterType& result, const RegisterType* const* operands, std::size_t count) {
  const std::int32_t extents[3] = {result.rows, result.cols, result.lanes};
  std::array<std::array<std::int32_t, 3>, ElementWalk::max_operands> strides{};
  for (std::size_t p = 0; p < count; ++p) {
    const RegisterType& t = *operands[p];
    strides[p] = {t.rows == 1 ? 0 : t.cols * t.lanes, t.cols == 1 ? 0 : t.lanes, t.lanes == 1 ? 0 : 1};
  }
  // From the innermost axis outwards: axes of extent 1 vanish, an axis joins the one inside it when every operand walks through both
  // evenly.
  ElementWalk walk;
  int at = 3;
  for (int axis = 2; axis >= 0; --axis) {
    if (extents[axis] == 1) continue;
    bool joins = at < 3;
    for (std::size_t p = 0; joins && p < count; ++p) joins = strides[p][axis] == walk.strides[p][at] * walk.extents[at];
    if (joins) {
      walk.extents[at] *= extents[axis];
      continue;
    }
    --at;
    walk.extents[at] = extents[axis];
    for (std::size_t p = 0; p < count; ++p) walk.strides[p][at] = strides[p][axis];
  }
  return walk;
}

ElementApply find_arithmetic(const Instruction& i, DType operand_dtype) {
  ElementApply result = nullptr;
  switch (i.op) {
    case LoopOp::broadcast:
    case LoopOp::bitcast: return copy_function(size_of(operand_dtype));
    case LoopOp::convert:
      result = visit_dtype(operand_dtype, [&](auto tag) { return conversion_function<decltype(tag)>(i.type.dtype); });
      break;
    case LoopOp::compare:
      result = visit_dtype(operand_dtype, [&](auto tag) { return comparison_function<decltype(tag)>(i.comparison); });
      break;
    case LoopOp::select: result = visit_dtype(i.type.dtype, [](auto tag) -> ElementApply { return select_elements<decltype(tag)>; }); break;
    case LoopOp::fma:
      result = visit_dtype(i.type.dtype, [](auto tag) -> ElementApply {
        if constexpr (is_float<decltype(tag)>)
          return fma_elements<decltype(tag)>;
        else
          return nullptr;
      });
      break;
    default:
      result = visit_dtype(i.type.dtype, [&](auto tag) {
        return i.operands.size() == 1 ? unary_function<decltype(tag)>(i.op) : binary_function<decltype(tag)>(i.op);
      });
  }
  internal_check(result != nullptr, "an op of loop IR without arithmetic for its dtype");
  return result;
}

FoldApply find_fold(LoopOp combiner, DType dtype) {
  FoldApply result = nullptr;
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    with_binary<T>(combiner, [&](auto f) {
      using F = decltype(f);
      result = [](void* elements, std::int32_t count, std::int32_t stride) {
        T* e = static_cast<T*>(elements);
        auto fold = [&](std::int32_t to, std::int32_t from) {
          e[to * stride] = static_cast<T>(F{}(load(e[to * stride]), load(e[from * stride])));
        };
        while (count > 1) {
          if (count % 2 != 0) fold(0, --count);
          count /= 2;
          for (std::int32_t k = 0; k < count; ++k) fold(k, k + count);
        }
      };
    });
  });
  internal_check(result != nullptr, "a reduction of loop IR without arithmetic for its dtype");
  return result;
}

void fill(void* elements, std::int32_t count, const Literal& literal) {
  visit_dtype(literal.dtype, [&](auto tag) {
    using T = decltype(tag);
    T value;
    if constexpr (is_half<T>)
      value = T(static_cast<float>(literal.number));
    else if constexpr (is_float<T>)
      value = static_cast<T>(literal.number);
    else
      value = static_cast<T>(literal.integer);
    std::fill_n(static_cast<T*>(elements), count, value);
  });
}

}  // namespace kiln::ir

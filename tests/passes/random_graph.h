// Random small graphs for differential tests, biased towards what rewrite rules look for: few constants with special values, chains of
// shape ops, repeated operands.
#pragma once

#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "ir/builder.h"
#include "ir/op.h"
#include "ir/verify.h"

namespace kiln::test {

using ir::Builder, ir::Comparison, ir::Dim, ir::Dims, ir::Module, ir::Op, ir::Type, ir::ValueId;

/// What a graph may hold: float sums and products have an order of their own in a schedule, so only the reference keeps their bits.
enum class Folds : std::uint8_t { any, integers_only };

class RandomGraph {
 public:
  explicit RandomGraph(unsigned seed, Folds folds = Folds::any) : folds_(folds), random_(seed), builder_(module_, module_.main) {
    for (DType dtype : {f32, i32})
      for (const Dims& dims : {Dims{}, Dims{3}, Dims{2, 3}, Dims{1, 3}, Dims{3, 3}}) {
        values_.push_back(builder_.graph().add_parameter(Type{dtype, Type::Kind::tensor, dims}));
        inputs_.push_back(special(dtype, dims));
      }
    const int count = 8 + pick(30);
    for (int i = 0; i < count; ++i) grow();
    for (int i = 0; i < 4; ++i)
      builder_.graph().results.push_back(values_[values_.size() - 1 - pick(std::min<int>(12, static_cast<int>(values_.size())))]);
    verify(module_);
  }

  Module& module() { return module_; }
  const std::vector<Array>& inputs() const { return inputs_; }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  double special_number(DType dtype) {
    constexpr double floats[] = {0.0, -0.0, 1, -1, 2, 0.5, -4, 3.25, 1e-39, 1e38, INFINITY, NAN, 0.1};
    constexpr double ints[] = {0, 1, -1, 2, 7, -128, 2147483647, -2147483648.0};
    if (dtype == boolean) return pick(2);
    return is_floating(dtype) ? floats[pick(std::size(floats))] : ints[pick(std::size(ints))];
  }

  Array special(DType dtype, const Dims& dims) {
    std::vector<std::int64_t> extents;
    for (const Dim& d : dims) extents.push_back(d.constant());
    Array array(dtype, Shape(extents));
    for (std::int64_t i = 0; i < array.size(); ++i) {
      const Array one = Array::full(dtype, Shape{}, special_number(dtype));
      std::memcpy(static_cast<char*>(array.mutable_raw()) + i * static_cast<std::int64_t>(size_of(dtype)), one.raw(), size_of(dtype));
    }
    return array;
  }

  /// Recent values are likelier, so that chains form.
  ValueId any() {
    const int n = static_cast<int>(values_.size());
    return values_[pick(2) ? n - 1 - pick(std::min(n, 5)) : pick(n)];
  }

  /// Another value of the type: an existing one, a splat or a literal.
  ValueId like(ValueId v) {
    const Type type = builder_.type(v);
    if (pick(3) == 0) return builder_.splat(special_number(type.dtype), type);
    if (pick(8) == 0) return builder_.constant(special(type.dtype, type.dims));
    for (int attempt = 0; attempt < 20; ++attempt)
      if (const ValueId other = any(); builder_.type(other) == type) return other;
    return v;
  }

  std::vector<std::int64_t> permutation(std::size_t rank) {
    std::vector<std::int64_t> p(rank);
    for (std::size_t i = 0; i < rank; ++i) p[i] = static_cast<std::int64_t>(i);
    for (std::size_t i = rank; i > 1; --i) std::swap(p[i - 1], p[pick(static_cast<int>(i))]);
    return p;
  }

  void grow() {
    const ValueId a = any();
    const Type type = builder_.type(a);
    const std::size_t rank = type.rank();
    const bool number = type.dtype != boolean;
    switch (pick(18)) {
      case 0:
      case 1:
      case 2:
      case 3:
        if (number) {
          constexpr Op ops[] = {Op::add, Op::subtract, Op::multiply, Op::divide, Op::maximum, Op::minimum, Op::add, Op::multiply};
          return keep(pick(4) ? builder_.create(ops[pick(std::size(ops))], {a, like(a)})
                              : builder_.create(ops[pick(std::size(ops))], {like(a), a}));
        } else {
          constexpr Op ops[] = {Op::and_, Op::or_, Op::xor_};
          return keep(builder_.create(ops[pick(3)], {a, like(a)}));
        }
      case 4:
        if (number) return keep(builder_.create(pick(3) ? Op::negate : Op::abs, {a}));
        return keep(builder_.create(Op::not_, {a}));
      case 5:
        if (number) return keep(builder_.compare(static_cast<Comparison>(pick(6)), a, like(a)));
        return;
      case 6:
        for (ValueId mask : values_)
          if (builder_.type(mask).dtype == boolean && builder_.type(mask).dims == type.dims) return keep(builder_.select(mask, a, like(a)));
        return;
      case 7:
        if (number) return keep(builder_.convert(a, std::array{f32, i32, f64, i64, i8}[pick(5)]));
        return;
      case 8:
        if (rank > 0) return keep(builder_.transpose(a, permutation(rank)));
        return;
      case 9: {
        Dims dims;
        for (const Dim& d : type.dims) {
          if (pick(3) == 0) dims.push_back(1);
          dims.push_back(d);
        }
        if (rank == 2 && pick(2)) dims = {type.dims[0] * type.dims[1]};
        return dims.size() < 5 ? keep(builder_.reshape(a, dims)) : void();
      }
      case 10: {
        if (rank > 2) return;
        Dims dims;
        std::vector<std::int64_t> positions;
        for (const Dim& d : type.dims) {
          if (pick(2)) dims.push_back(2);
          positions.push_back(static_cast<std::int64_t>(dims.size()));
          dims.push_back(d.is_constant(1) && pick(2) ? Dim(3) : d);
        }
        if (pick(3) == 0) dims.push_back(1 + pick(2));
        return keep(builder_.broadcast_in_dim(a, dims, positions));
      }
      case 11: {
        Dims starts, limits;
        std::vector<std::int64_t> strides;
        for (const Dim& d : type.dims) {
          const std::int64_t n = d.constant();
          const std::int64_t start = pick(3) ? 0 : pick(static_cast<int>(n) + 1);
          starts.push_back(start);
          limits.push_back(pick(2) ? n : start + pick(static_cast<int>(n - start) + 1));
          strides.push_back(1 + (pick(4) == 0));
        }
        return keep(builder_.slice(a, starts, limits, strides));
      }
      case 12: {
        if (rank == 0) return;
        const std::int64_t dim = pick(static_cast<int>(rank));
        const ValueId joined = builder_.concatenate({a, like(a)}, dim);
        return type.dims[dim].constant() < 9 ? keep(joined) : void();
      }
      case 13: {
        std::vector<std::int64_t> dims;
        for (std::size_t d = 0; d < rank; ++d)
          if (pick(2)) dims.push_back(static_cast<std::int64_t>(d));
        if (pick(2)) return keep(builder_.create(Op::reverse, {a}, {{"dimensions", dims}}));
        constexpr const char* combiners[] = {"add", "multiply", "maximum", "minimum"};
        if (folds_ == Folds::integers_only && is_floating(type.dtype)) return;
        return number ? keep(builder_.reduce(a, combiners[pick(4)], dims)) : void();
      }
      case 14: {
        if (rank != 2 || !number || (folds_ == Folds::integers_only && is_floating(type.dtype))) return;
        const ValueId b = like(a);
        const std::int64_t left = pick(2);
        return keep(builder_.dot_general(a, b, {}, {}, {left}, {left}));
      }
      case 15: {
        Dims low, high;
        std::vector<std::int64_t> interior;
        for (const Dim& d : type.dims) {
          low.push_back(pick(3) ? 0 : 1);
          high.push_back(pick(3) ? 0 : d.constant() > 0 ? -1 : 1);
          interior.push_back(pick(5) == 0 && d.constant() < 5);
        }
        return keep(builder_.pad(a, builder_.scalar(type.dtype, special_number(type.dtype)), low, high, interior));
      }
      case 16:
        if (number) keep(builder_.create(Op::multiply, {builder_.negate(a), like(a)}));
        return;
      default:
        if (number) {
          const Op op = pick(3) ? Op::multiply : Op::add;
          const ValueId inner = builder_.create(op, {a, builder_.splat(special_number(type.dtype), type)});
          keep(builder_.create(op, {inner, builder_.splat(special_number(type.dtype), type)}));
        }
    }
  }

  void keep(ValueId v) {
    for (const Dim& d : builder_.type(v).dims)
      if (d.constant() > 20) return;
    values_.push_back(v);
  }

  Folds folds_;
  std::mt19937 random_;
  Module module_;
  Builder builder_;
  std::vector<ValueId> values_;
  std::vector<Array> inputs_;
};

/// Equal bits, any NaN equal to any other.
inline bool same_bits(const Array& a, const Array& b) {
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return false;
  if (!is_floating(a.dtype())) return identical(a, b);
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const double x = element_as_double(a, i), y = element_as_double(b, i);
    if (std::isnan(x) ? !std::isnan(y) : x != y || std::signbit(x) != std::signbit(y)) return false;
  }
  return true;
}

}  // namespace kiln::test

// argsort: the order of what stands along a dim.
//
// Floats are ordered as NumPy and PyTorch do: all NaN are equal and come last, -0 equals 0. The lowering turns that order into the order of
// unsigned integers, so that sorts compare (or count) bits and never a float:
//   signed integers   the sign bit is flipped
//   floats            IEEE numbers of one sign are ordered as their bits are: a negative one has all bits flipped, the others the sign bit;
//                     -0 is then put in the place of 0, and NaN has all bits set
//   descending        all bits are flipped: the order is reversed, and equals stay equal, so the sort stays stable
// f16 and bf16 go through f32, whose low bits then decide nothing.
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

bool is_descending(const Attributes& attributes) {
  const AttributeValue* flag = attributes.find("descending");
  return flag != nullptr && std::get<bool>(*flag);
}

std::vector<Type> infer_argsort(const InferContext& context) {
  const Type& first = tensor(context, 0);
  require_axis(context, context.attributes.integer("dimension"), first.rank(), "dimension");
  for (std::size_t i = 1; i < context.operands.size(); ++i) require_same_shape(context, 0, i);
  return {tensor_type(DType::i64, first.dims)};
}

// ---- evaluation

/// Whether a stands strictly before b in ascending order.
template <class T>
bool comes_before(T a, T b) {
  if (a != a) return false;
  if (b != b) return true;
  return a < b;
}

std::vector<Array> evaluate_argsort(const EvaluateContext& context) {
  const Shape& shape = context.result_shapes[0];
  const auto axis = static_cast<std::size_t>(context.attributes.integer("dimension"));
  const bool descending = is_descending(context.attributes);
  Array result(DType::i64, shape);
  std::int64_t stride = 1;
  for (std::size_t d = axis + 1; d < shape.rank(); ++d) stride *= shape[d];
  std::vector<std::int64_t> order(static_cast<std::size_t>(shape[axis]));
  for_each_index(shape, [&](std::span<const std::int64_t> index) {
    if (index[axis] != 0) return;
    const std::int64_t start = offset_of(shape, index);
    const auto before = [&](std::int64_t p, std::int64_t q) {
      if (descending) std::swap(p, q);
      for (const Array& key : context.operands) {
        int answer = 0;
        visit_dtype(key.dtype(), [&]<class T>(T) {
          const auto a = static_cast<Compute<T>>(key.data<T>()[start + p * stride]);
          const auto b = static_cast<Compute<T>>(key.data<T>()[start + q * stride]);
          answer = comes_before(a, b) ? 1 : comes_before(b, a) ? -1 : 0;
        });
        if (answer != 0) return answer > 0;
      }
      return false;
    };
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), before);
    for (std::size_t k = 0; k < order.size(); ++k)
      result.mutable_data<std::int64_t>()[start + static_cast<std::int64_t>(k) * stride] = order[k];
  });
  return {result};
}

// ---- lowering

DType unsigned_of(DType dtype) {
  switch (size_of(dtype)) {
    case 1: return DType::u8;
    case 2: return DType::u16;
    case 4: return DType::u32;
    default: return DType::u64;
  }
}

/// Unsigned literals: all bits set, and only the highest one.
Literal all_bits(DType dtype) { return Literal::of_bits(dtype, static_cast<std::int64_t>(~std::uint64_t{0} >> (64 - 8 * size_of(dtype)))); }
Literal sign_bit(DType dtype) { return Literal::of_bits(dtype, static_cast<std::int64_t>(std::uint64_t{1} << (8 * size_of(dtype) - 1))); }

Ordering::Key key_of(ScalarBuilder& b, ScalarId value, bool descending) {
  const DType dtype = b.dtype_of(value);
  Ordering::Key key;
  DType bits = unsigned_of(dtype);
  if (dtype == DType::boolean) {
    key.bits = b.apply(LoopOp::convert, bits, {value});
  } else if (is_floating(dtype)) {
    const DType wide = dtype == DType::f64 ? DType::f64 : DType::f32;
    if (dtype == DType::f16) key.unused_bits = 13;
    if (dtype == DType::bf16) key.unused_bits = 16;
    bits = unsigned_of(wide);
    const ScalarId x = b.apply(LoopOp::convert, wide, {value});
    const ScalarId plain = b.apply(LoopOp::bitcast, bits, {x});
    const ScalarId top = b.constant(sign_bit(bits));
    const auto choose = [&](ScalarId condition, ScalarId then) { key.bits = b.apply(LoopOp::select, bits, {condition, then, key.bits}); };
    key.bits = b.apply(LoopOp::or_, bits, {plain, top});
    choose(b.compare(Comparison::ge, plain, top), b.apply(LoopOp::not_, bits, {plain}));
    choose(b.compare(Comparison::eq, x, b.constant(Literal::of(wide, 0))), top);
    choose(b.compare(Comparison::ne, x, x), b.constant(all_bits(bits)));
  } else if (is_signed_integer(dtype)) {
    key.bits = b.apply(LoopOp::xor_, bits, {b.apply(LoopOp::bitcast, bits, {value}), b.constant(sign_bit(bits))});
  } else {
    key.bits = value;
  }
  if (descending) key.bits = b.apply(LoopOp::not_, bits, {key.bits});
  return key;
}

Ordering ordering_argsort(const Node& node, std::span<const Type>, const Type&) {
  Ordering ordering;
  ordering.axis = static_cast<std::size_t>(node.attributes.integer("dimension"));
  const std::size_t count = node.operands.size();
  const bool descending = is_descending(node.attributes);
  ordering.keys = [count, descending](ScalarBuilder& b, std::span<const Dim> index) {
    std::vector<Ordering::Key> keys;
    for (std::size_t i = 0; i < count; ++i) keys.push_back(key_of(b, b.operand(i, index), descending));
    return keys;
  };
  return ordering;
}

// ---- samples

std::vector<Sample> samples_argsort(Op) {
  const Dim n = sample_symbol();
  std::vector<Sample> all;
  const auto add = [&](SampleClass kind, std::vector<Type> operands, std::int64_t dimension, bool descending = false) -> Sample& {
    Attributes attributes{{"dimension", dimension}};
    if (descending) attributes = attributes.with("descending", true);
    all.push_back({.kind = kind, .operands = std::move(operands), .attributes = std::move(attributes), .low = -3, .high = 3});
    return all.back();
  };
  add(SampleClass::one, {sample_type({1})}, 0);
  add(SampleClass::one, {sample_type({5, 1})}, 1);
  add(SampleClass::empty, {sample_type({0})}, 0);
  add(SampleClass::empty, {sample_type({3, 0})}, 0);
  add(SampleClass::empty, {sample_type({3, 0})}, 1, true);
  add(SampleClass::odd, {sample_type({2})}, 0);
  add(SampleClass::odd, {sample_type({3})}, 0, true);
  add(SampleClass::odd, {sample_type({3, 5})}, 0);
  add(SampleClass::odd, {sample_type({3, 5})}, 1, true);
  add(SampleClass::odd, {sample_type({3, 4, 5})}, 1);
  add(SampleClass::odd, {sample_type({3, 7}), sample_type({3, 7})}, 1);
  add(SampleClass::wide, {sample_type({2, 67})}, 1);
  add(SampleClass::wide, {sample_type({131, 2})}, 0, true);
  add(SampleClass::symbolic, {sample_type({n, 3})}, 0);
  add(SampleClass::symbolic, {sample_type({3, n})}, 1, true);
  // Each special value before and after each other one; few distinct values of the first key, then the second decides.
  const std::vector<double> special = special_values();
  std::vector<double> around(special);
  around.insert(around.end(), special.rbegin(), special.rend());
  around.insert(around.end(), special.begin(), special.end());
  const auto length = static_cast<std::int64_t>(around.size());
  for (const bool descending : {false, true}) {
    add(SampleClass::special_values, {sample_type({length})}, 0, descending).values = {sample_values(around)};
    std::vector<double> coarse;
    for (std::int64_t i = 0; i < length; ++i) coarse.push_back(static_cast<double>(i % 3));
    add(SampleClass::special_values, {sample_type({length}), sample_type({length})}, 0, descending).values = {sample_values(coarse),
                                                                                                              sample_values(around)};
  }
  return all;
}

constexpr AttributeSpec argsort_attributes[] = {{"dimension", AttributeKind::integer, "the dim along which to order"},
                                                {"descending", AttributeKind::flag, "the greatest first", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::argsort>::info = {
    .name = "argsort",
    .doc =
        "The positions along `dimension` in the order of what stands there: of operand 0, where that is equal of operand 1, and so on; "
        "equals "
        "stay in the order of their positions. All NaN are equal and greater than any number, -0 equals 0.",
    .min_operands = 1,
    .max_operands = -1,
    .attributes = argsort_attributes,
    .infer = infer_argsort,
    .evaluate = evaluate_argsort,
    .no_gradient = integer_result,
    .ordering = ordering_argsort,
    .kernel = KernelKind::sort,
    .samples = samples_argsort,
    .no_samples = {SampleClass::scalar, SampleClass::broadcast},
};

}  // namespace kiln::ir

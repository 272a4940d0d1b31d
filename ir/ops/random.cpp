// Random bits by Philox 4x32-10.
//
// Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011). A bijection of a 128-bit counter under a 64-bit key:
// ten rounds of two 32x32 -> 64 multiplications. Every element knows its counter, so bits are the same in any order, on any number of
// threads, on every target.
//
// key     = (low half of seed, high half of seed)
// counter = (element / 4, iteration, run, stream), the low 32 bits of each; element is the row-major index
//
// The stream is an attribute, or operand 3: fusion moves it there, so that draws which differ in nothing else share a kernel.
// result  = word element % 4
#include <fmt/format.h>
#include <algorithm>
#include <array>

#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/philox.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

constexpr std::uint32_t multiplier_0 = 0xD2511F53, multiplier_1 = 0xCD9E8D57;
constexpr std::uint32_t key_step_0 = 0x9E3779B9, key_step_1 = 0xBB67AE85;  // golden ratio, sqrt(3) - 1
constexpr int rounds = 10;
}  // namespace

std::array<std::uint32_t, 4> ops::philox_4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < rounds; ++round) {
    const std::uint64_t p0 = std::uint64_t{multiplier_0} * counter[0], p1 = std::uint64_t{multiplier_1} * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key = {key[0] + key_step_0, key[1] + key_step_1};
  }
  return counter;
}

namespace {

std::vector<Type> infer_rng_bits(const InferContext& context) {
  constexpr std::string_view names[] = {"seed", "run", "iteration", "stream"};
  for (std::size_t i = 0; i < context.operands.size(); ++i)
    if (!(tensor(context, i) == tensor_type(DType::u64, {})))
      fail(context, context.operands[i].dtype != DType::u64 ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
           fmt::format("{} must be u64[], but is {}", names[i], to_string(context.operands[i])));
  if ((context.operands.size() == 4) == (context.attributes.find("stream") != nullptr))
    fail(context, ErrorCode::invalid_argument, "the stream must be given once, as attribute or as operand 3");
  const Dims& dims = dims_or_empty(context.attributes, "dims");
  require_extents(context, dims);
  return {tensor_type(DType::u32, dims)};
}

// ---- evaluation

std::vector<Array> evaluate_rng_bits(const EvaluateContext& context) {
  const std::uint64_t seed = context.operands[0].item<std::uint64_t>(), run = context.operands[1].item<std::uint64_t>();
  const std::uint64_t iteration = context.operands.size() > 2 ? context.operands[2].item<std::uint64_t>() : 0;
  const auto stream =
      static_cast<std::uint32_t>(context.operands.size() > 3 ? static_cast<std::int64_t>(context.operands[3].item<std::uint64_t>())
                                                             : context.attributes.integer("stream"));
  Array result(DType::u32, context.result_shapes[0]);
  const auto out = result.mutable_data<std::uint32_t>();
  for (std::size_t element = 0; element < out.size(); ++element)
    out[element] = philox_4x32(
        {static_cast<std::uint32_t>(element / 4), static_cast<std::uint32_t>(iteration), static_cast<std::uint32_t>(run), stream},
        {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)})[element % 4];
  return {result};
}

// ---- lowering

/// The ten rounds as scalar operations. Rounds differ only in key constants added to the seed's halves, so what depends on the seed alone
/// can leave the loops.
ScalarId element_rng_bits(ScalarBuilder& b, const Node& node, std::size_t, std::span<const Dim> index) {
  const auto u32 = [&](std::uint32_t value) { return b.constant(Literal::of_bits(DType::u32, value)); };
  const auto u64 = [&](std::uint64_t value) { return b.constant(Literal::of_bits(DType::u64, static_cast<std::int64_t>(value))); };
  const auto low = [&](ScalarId a) { return b.apply(LoopOp::convert, DType::u32, {a}); };
  const auto high = [&](ScalarId a) { return low(b.apply(LoopOp::shift_right_logical, DType::u64, {a, u64(32)})); };
  const auto exclusive_or = [&](ScalarId x, ScalarId y) { return b.apply(LoopOp::xor_, DType::u32, {x, y}); };
  const auto product = [&](std::uint32_t multiplier, ScalarId a) {
    return b.apply(LoopOp::multiply, DType::u64, {u64(multiplier), b.apply(LoopOp::convert, DType::u64, {a})});
  };

  Dim element = 0;
  const Dims& dims = b.result_type().dims;
  for (std::size_t d = 0; d < dims.size(); ++d) element = element * dims[d] + index[d];
  const ScalarId seed = b.operand(0, {});
  std::array<ScalarId, 4> counter = {
      low(b.index_value(floordiv(element, 4))), node.operands.size() > 2 ? low(b.operand(2, {})) : u32(0), low(b.operand(1, {})),
      node.operands.size() > 3 ? low(b.operand(3, {})) : u32(static_cast<std::uint32_t>(node.attributes.integer("stream")))};
  const std::array<ScalarId, 2> key = {low(seed), high(seed)};
  for (int round = 0; round < rounds; ++round) {
    const auto key_word = [&](int i, std::uint32_t step) {
      return round == 0 ? key[i] : b.apply(LoopOp::add, DType::u32, {key[i], u32(static_cast<std::uint32_t>(round) * step)});
    };
    const ScalarId p0 = product(multiplier_0, counter[0]), p1 = product(multiplier_1, counter[2]);
    counter = {exclusive_or(exclusive_or(high(p1), counter[1]), key_word(0, key_step_0)), low(p1),
               exclusive_or(exclusive_or(high(p0), counter[3]), key_word(1, key_step_1)), low(p0)};
  }

  const ScalarId word = b.index_value(mod(element, 4));
  ScalarId result = counter[3];
  for (int i = 2; i >= 0; --i)
    result = b.apply(LoopOp::select, DType::u32, {b.compare(Comparison::eq, word, b.index_value(i)), counter[i], result});
  return result;
}

// ---- samples

std::vector<Sample> samples_rng_bits(Op) {
  const auto of = [](SampleClass kind, Dims dims, std::size_t operands = 2, std::int64_t stream = 3) {
    return Sample{
        .kind = kind,
        .operands = std::vector<Type>(operands, sample_type({}, DType::u64)),
        .attributes = operands == 4 ? Attributes{{"dims", std::move(dims)}} : Attributes{{"stream", stream}, {"dims", std::move(dims)}},
        .generic = false,
        .low = 0,
        .high = 1e18,
        .differentiable = false};
  };
  return {of(SampleClass::scalar, {}),         of(SampleClass::one, {1}, 3),
          of(SampleClass::empty, {0, 3}),      of(SampleClass::odd, {3, 5}, 2, 0),
          of(SampleClass::odd, {3, 5}, 3, -1), of(SampleClass::odd, {7, 3}, 4),
          of(SampleClass::wide, {2, 67}),      of(SampleClass::symbolic, {sample_symbol(), 3}, 3)};
}

constexpr AttributeSpec rng_bits_attributes[] = {
    {"stream", AttributeKind::integer, "tells the draws of a graph apart; its low 32 bits count; absent when it is operand 3", false},
    {"dims", AttributeKind::dims, "of the result", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::rng_bits>::info = {
    .name = "rng_bits",
    .doc =
        "32 random bits per element: Philox 4x32-10 with key (seed) and counter (element / 4, iteration or 0, run, stream), word element % "
        "4.",
    .min_operands = 2,
    .max_operands = 4,
    .attributes = rng_bits_attributes,
    .dtypes = {1 << static_cast<int>(DType::u64)},
    .infer = infer_rng_bits,
    .evaluate = evaluate_rng_bits,
    .no_gradient = integer_result,
    .element = element_rng_bits,
    .samples = samples_rng_bits,
    .no_samples = {SampleClass::broadcast, SampleClass::special_values},
};

}  // namespace kiln::ir

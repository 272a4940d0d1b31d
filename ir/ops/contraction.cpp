// dot_general: products summed over common dims, the one contraction behind matmul, batched matmul and einsum.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

/// The dims of both operands by role.
struct Roles {
  std::vector<std::int64_t> lhs_batch, rhs_batch, lhs_contract, rhs_contract, lhs_free, rhs_free;
};

Roles roles_of(const Attributes& attributes, std::size_t lhs_rank, std::size_t rhs_rank) {
  Roles roles;
  roles.lhs_batch = integers_or_empty(attributes, "lhs_batch");
  roles.rhs_batch = integers_or_empty(attributes, "rhs_batch");
  roles.lhs_contract = integers_or_empty(attributes, "lhs_contract");
  roles.rhs_contract = integers_or_empty(attributes, "rhs_contract");
  roles.lhs_free = other_axes(lhs_rank, roles.lhs_batch, roles.lhs_contract);
  roles.rhs_free = other_axes(rhs_rank, roles.rhs_batch, roles.rhs_contract);
  return roles;
}

void require_pairs(const InferContext& context, const std::vector<std::int64_t>& lhs_axes, const std::vector<std::int64_t>& rhs_axes,
                   const std::string& role) {
  const Type& lhs = tensor(context, 0);
  const Type& rhs = tensor(context, 1);
  if (lhs_axes.size() != rhs_axes.size())
    fail(context, ErrorCode::invalid_argument,
         fmt::format("lhs_{0} {1} and rhs_{0} {2} must have equally many dims", role, list_text(lhs_axes), list_text(rhs_axes)));
  for (std::size_t i = 0; i < lhs_axes.size(); ++i) {
    const Dim& a = lhs.dims[lhs_axes[i]];
    const Dim& b = rhs.dims[rhs_axes[i]];
    if (a == b) continue;
    require_equal(context, a, b,
                  fmt::format("{} dims differ: {} has {} at dim {}, {} has {} at dim {}", role == "batch" ? "batch" : "contracted",
                              to_string(lhs), to_string(a), lhs_axes[i], to_string(rhs), to_string(b), rhs_axes[i]));
  }
}

std::vector<Type> infer_dot_general(const InferContext& context) {
  const Type& lhs = tensor(context, 0);
  const Type& rhs = tensor(context, 1);
  require_same_dtype(context, 0, 1);
  const Roles roles = roles_of(context.attributes, lhs.rank(), rhs.rank());
  const auto require_roles = [&](const std::vector<std::int64_t>& batch, const std::vector<std::int64_t>& contract, std::size_t rank,
                                 const std::string& side) {
    require_distinct_axes(context, batch, rank, side + "_batch");
    require_distinct_axes(context, contract, rank, side + "_contract");
    for (const std::int64_t axis : batch)
      if (std::ranges::find(contract, axis) != contract.end())
        fail(context, ErrorCode::invalid_argument, fmt::format("dim {} is both in {}_batch and in {}_contract", axis, side, side));
  };
  require_roles(roles.lhs_batch, roles.lhs_contract, lhs.rank(), "lhs");
  require_roles(roles.rhs_batch, roles.rhs_contract, rhs.rank(), "rhs");
  require_pairs(context, roles.lhs_batch, roles.rhs_batch, "batch");
  require_pairs(context, roles.lhs_contract, roles.rhs_contract, "contract");
  Dims dims;
  for (const std::int64_t axis : roles.lhs_batch) dims.push_back(lhs.dims[axis]);
  for (const std::int64_t axis : roles.lhs_free) dims.push_back(lhs.dims[axis]);
  for (const std::int64_t axis : roles.rhs_free) dims.push_back(rhs.dims[axis]);
  DType dtype = lhs.dtype;
  if (context.attributes.find("dtype")) {
    dtype = context.attributes.dtype("dtype");
    require_accumulator(context, lhs.dtype, dtype);
  }
  return {tensor_type(dtype, std::move(dims))};
}

// ---- evaluation

/// Indices of both operands for an index of the result and one of the contracted dims.
void operand_indices(const Roles& roles, std::span<const std::int64_t> result, std::span<const std::int64_t> contracted,
                     std::vector<std::int64_t>& lhs, std::vector<std::int64_t>& rhs) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < roles.lhs_batch.size(); ++i) lhs[roles.lhs_batch[i]] = rhs[roles.rhs_batch[i]] = result[at++];
  for (const std::int64_t axis : roles.lhs_free) lhs[axis] = result[at++];
  for (const std::int64_t axis : roles.rhs_free) rhs[axis] = result[at++];
  for (std::size_t i = 0; i < roles.lhs_contract.size(); ++i) lhs[roles.lhs_contract[i]] = rhs[roles.rhs_contract[i]] = contracted[i];
}

std::vector<Array> evaluate_dot_general(const EvaluateContext& context) {
  const Array lhs = context.operands[0].convert(context.result_dtypes[0]), rhs = context.operands[1].convert(context.result_dtypes[0]);
  const Roles roles = roles_of(context.attributes, lhs.shape().rank(), rhs.shape().rank());
  std::vector<std::int64_t> contracted_extents;
  for (const std::int64_t axis : roles.lhs_contract) contracted_extents.push_back(lhs.shape()[axis]);
  const Shape contracted_shape(contracted_extents);
  Array result(context.result_dtypes[0], context.result_shapes[0]);
  visit_allowed<numbers>(result.dtype(), [&]<class T>(T) {
    using C = Compute<T>;
    std::vector<std::int64_t> i(lhs.shape().rank()), j(rhs.shape().rank());
    T* out = result.mutable_data<T>().data();
    for_each_index(result.shape(), [&](std::span<const std::int64_t> index) {
      C total = 0, sum = 0;  // of the finished blocks, of the current one
      std::int64_t k = 0;
      for_each_index(contracted_shape, [&](std::span<const std::int64_t> contracted) {
        operand_indices(roles, index, contracted, i, j);
        const C a = static_cast<C>(lhs.data<T>()[offset_of(lhs.shape(), i)]), b = static_cast<C>(rhs.data<T>()[offset_of(rhs.shape(), j)]);
        if constexpr (std::is_floating_point_v<C>) {
          if (k++ % contraction_block == 0) {
            total += sum;
            sum = 0;
          }
          sum = std::fma(a, b, sum);
        } else {
          sum = wrapping_add(sum, wrapping_multiply(a, b));
        }
      });
      if constexpr (std::is_floating_point_v<C>) sum = total + sum;
      *out++ = static_cast<T>(sum);
    });
  });
  return {result};
}

// ---- gradients

/// first, first + 1 ... (count of them).
std::vector<std::int64_t> range(std::size_t first, std::size_t count) {
  std::vector<std::int64_t> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<std::int64_t>(first + i);
  return values;
}

/// Where `value` stands among the sorted values.
std::int64_t rank_in(const std::vector<std::int64_t>& values, std::int64_t value) {
  return std::ranges::count_if(values, [&](std::int64_t v) { return v < value; });
}

ValueId transposed(Builder& b, ValueId v, const std::vector<std::int64_t>& permutation) {
  return std::ranges::is_sorted(permutation) ? v : b.transpose(v, permutation);
}

/// Each operand's cotangent is the contraction of g with the other operand over the other's free dims. Its dims come out as batch, own free
/// dims, contracted dims (or contracted before free, for the right operand), the contracted ones in the order in which the other operand
/// has them; a transpose brings them home.
void gradient_dot_general(GradientContext& c) {
  Builder& b = c.builder();
  const DType narrow = b.type(c.operand(0)).dtype, dtype = b.type(c.cotangent()).dtype;
  const auto as = [&](ValueId v, DType wanted) { return b.type(v).dtype == wanted ? v : b.convert(v, wanted); };
  const ValueId lhs = as(c.operand(0), dtype), rhs = as(c.operand(1), dtype);
  const Roles roles = roles_of(c.node().attributes, b.type(lhs).rank(), b.type(rhs).rank());
  const std::size_t batch = roles.lhs_batch.size(), lhs_free = roles.lhs_free.size(), rhs_free = roles.rhs_free.size();
  const std::size_t contracted = roles.lhs_contract.size();
  if (c.needs(0)) {
    const ValueId share =
        b.dot_general(c.cotangent(), rhs, range(0, batch), roles.rhs_batch, range(batch + lhs_free, rhs_free), roles.rhs_free);
    std::vector<std::int64_t> permutation(b.type(lhs).rank());
    for (std::size_t i = 0; i < batch; ++i) permutation[roles.lhs_batch[i]] = i;
    for (std::size_t i = 0; i < lhs_free; ++i) permutation[roles.lhs_free[i]] = batch + i;
    for (std::size_t i = 0; i < contracted; ++i)
      permutation[roles.lhs_contract[i]] = batch + lhs_free + rank_in(roles.rhs_contract, roles.rhs_contract[i]);
    c.add(0, as(transposed(b, share, permutation), narrow));
  }
  if (c.needs(1)) {
    const ValueId share = b.dot_general(lhs, c.cotangent(), roles.lhs_batch, range(0, batch), roles.lhs_free, range(batch, lhs_free));
    std::vector<std::int64_t> permutation(b.type(rhs).rank());
    for (std::size_t i = 0; i < batch; ++i) permutation[roles.rhs_batch[i]] = i;
    for (std::size_t i = 0; i < contracted; ++i)
      permutation[roles.rhs_contract[i]] = batch + rank_in(roles.lhs_contract, roles.lhs_contract[i]);
    for (std::size_t i = 0; i < rhs_free; ++i) permutation[roles.rhs_free[i]] = batch + contracted + i;
    c.add(1, as(transposed(b, share, permutation), narrow));
  }
}

// ---- lowering

Structured structured_dot_general(const Node& node, std::span<const Type> operands, const Type& result) {
  const Roles roles = roles_of(node.attributes, operands[0].rank(), operands[1].rank());
  Structured structured;
  for (const Dim& extent : result.dims) structured.axes.push_back({extent, false});
  for (const std::int64_t axis : roles.lhs_contract) structured.axes.push_back({operands[0].dims[axis], true});
  structured.combiner = LoopOp::add;
  structured.identity = Literal::of(result.dtype, 0);
  structured.body = [roles, dtype = result.dtype, lhs_rank = operands[0].rank(), rhs_rank = operands[1].rank()](ScalarBuilder& b,
                                                                                                                std::span<const Dim> axes) {
    Dims lhs(lhs_rank), rhs(rhs_rank);
    std::size_t at = 0;
    for (std::size_t i = 0; i < roles.lhs_batch.size(); ++i) lhs[roles.lhs_batch[i]] = rhs[roles.rhs_batch[i]] = axes[at++];
    for (const std::int64_t axis : roles.lhs_free) lhs[axis] = axes[at++];
    for (const std::int64_t axis : roles.rhs_free) rhs[axis] = axes[at++];
    for (std::size_t i = 0; i < roles.lhs_contract.size(); ++i) lhs[roles.lhs_contract[i]] = rhs[roles.rhs_contract[i]] = axes[at++];
    const ScalarId a = b.apply(LoopOp::convert, dtype, {b.operand(0, lhs)});
    return b.apply(LoopOp::multiply, dtype, {a, b.apply(LoopOp::convert, dtype, {b.operand(1, rhs)})});
  };
  return structured;
}

// ---- samples

std::vector<Sample> samples_dot_general(Op) {
  const Dim n = sample_symbol();
  struct Lists {
    std::vector<std::int64_t> lhs_batch, rhs_batch, lhs_contract, rhs_contract;
  };
  const auto of = [](SampleClass kind, Dims lhs, Dims rhs, Lists lists) {
    return Sample{.kind = kind,
                  .operands = {sample_type(std::move(lhs)), sample_type(std::move(rhs))},
                  .attributes = {{"lhs_batch", std::move(lists.lhs_batch)},
                                 {"rhs_batch", std::move(lists.rhs_batch)},
                                 {"lhs_contract", std::move(lists.lhs_contract)},
                                 {"rhs_contract", std::move(lists.rhs_contract)}},
                  .low = 0.25,  // of one sign, as in reduce
                  .high = 2};
  };
  const Lists matmul{{}, {}, {1}, {0}};
  std::vector<Sample> all = {
      of(SampleClass::scalar, {}, {}, {}),
      of(SampleClass::scalar, {5}, {5}, {{}, {}, {0}, {0}}),
      of(SampleClass::one, {1, 1}, {1, 1}, matmul),
      of(SampleClass::empty, {3, 0}, {0, 5}, matmul),  // zeros
      of(SampleClass::empty, {0, 2}, {2, 5}, matmul),
      of(SampleClass::odd, {3, 5}, {5, 7}, matmul),
      of(SampleClass::odd, {3, 5}, {7, 5}, {{}, {}, {1}, {1}}),
      of(SampleClass::odd, {5, 3}, {5, 7}, {{}, {}, {0}, {0}}),
      of(SampleClass::odd, {3}, {5}, {}),                                       // outer product
      of(SampleClass::odd, {2, 3, 5}, {2, 5, 4}, {{0}, {0}, {2}, {1}}),         // batched matmul
      of(SampleClass::odd, {3, 2, 5}, {5, 4, 2}, {{1}, {2}, {2}, {0}}),         // batch in the middle
      of(SampleClass::odd, {2, 3, 4, 5}, {5, 2, 3}, {{}, {}, {3, 0}, {0, 1}}),  // two contracted dims, listed out of order
      of(SampleClass::odd, {2, 3, 4}, {3, 5, 2}, {{}, {}, {0, 1}, {2, 0}}),
      of(SampleClass::odd, {2, 3, 4, 5}, {4, 3, 2, 6}, {{0, 1}, {2, 1}, {2}, {0}}),
      of(SampleClass::wide, {2, 67}, {67, 66}, matmul),
      of(SampleClass::symbolic, {n, 5}, {5, 3}, matmul),
      of(SampleClass::symbolic, {3, n}, {n, 2}, matmul),
      of(SampleClass::symbolic, {n, 3, 5}, {n, 5, 2}, {{0}, {0}, {2}, {1}})};
  const std::vector<double> special = special_values();
  const std::int64_t count = static_cast<std::int64_t>(special.size());
  Sample sample = of(SampleClass::special_values, {count, 1}, {1, count}, matmul);
  sample.values = {Array({count, 1}, special), Array({1, count}, special)};
  sample.differentiable = false;
  all.push_back(std::move(sample));
  for (const auto& [from, to] :
       {std::pair{DType::i8, DType::i32}, {DType::u8, DType::u32}, {DType::bf16, DType::f32}, {DType::f16, DType::f64}}) {
    Sample wider = of(SampleClass::odd, {3, 5}, {5, 7}, matmul);
    for (Type& type : wider.operands) type.dtype = from;
    wider.attributes = wider.attributes.with("dtype", to);
    wider.generic = false;
    all.push_back(std::move(wider));
  }
  return all;
}

constexpr AttributeSpec dot_general_attributes[] = {
    {"lhs_batch", AttributeKind::integers, "dims of operand 0 that both share and keep", false},
    {"rhs_batch", AttributeKind::integers, "their partners in operand 1", false},
    {"lhs_contract", AttributeKind::integers, "dims of operand 0 that are summed over", false},
    {"rhs_contract", AttributeKind::integers, "their partners in operand 1", false},
    {"dtype", AttributeKind::dtype, "what is summed up and returned, at least as wide as the operands' dtype; absent: that", false}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::dot_general>::info = {
    .name = "dot_general",
    .doc =
        "Sums of products over the contracted dims; result dims: batch, free dims of operand 0, free dims of operand 1. Floats accumulate "
        "from 0 by fma, in "
        "increasing row-major order of the contracted dims as lhs_contract lists them (f16 and bf16 in f32, rounded once at the end), "
        "unless a schedule documents a fixed "
        "tree; integers wrap.",
    .min_operands = 2,
    .max_operands = 2,
    .attributes = dot_general_attributes,
    .dtypes = numbers,
    .infer = infer_dot_general,
    .evaluate = evaluate_dot_general,
    .gradient = gradient_dot_general,
    .structured = structured_dot_general,
    .kernel = KernelKind::contraction,
    .samples = samples_dot_general,
    .tolerance = 64,
};

}  // namespace kiln::ir

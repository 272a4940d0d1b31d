// scatter: windows put into the operand at many computed places (StableHLO's, with one of five combiners). The dims are explained in
// ir/ops/indexing.h.
//
// Updates are applied in row-major order of the updates tensor, each rounded to the dtype; an element that would fall outside is skipped.
//
// Gradients. `at(t)` is what t holds at each update's place, a gather from t with a border around it, so that updates which were skipped
// read the border and get no cotangent.
//   add                the operand's is the cotangent, the updates' at(cotangent)
//   replace            the last update of a cell wins: found by scattering the updates' ordinals. The cotangent goes to the winner, or to
//                      the operand where there is none
//   maximum, minimum   the cotangent is shared evenly among all that attain the result, as reduce does
//   multiply           each factor gets the product of the others without dividing by zero, as in ir/ops/reduction.cpp: with p the product
//                      of the cell's factors that are not 0, and its zeros counted,
//                        no other zero: p / x';   one other zero z: p / x' * z;   more: 0      (x' is x with zeros replaced by 1)
#include <algorithm>

#include <fmt/format.h>

#include "ir/ops/common.h"
#include "ir/ops/evaluate.h"
#include "ir/ops/indexing.h"
#include "ir/ops/samples.h"

namespace kiln::ir {
namespace {
using namespace ops;

struct Combiner {
  std::string_view name;
  LoopOp op;
  bool replace = false;
};
constexpr Combiner combiners[] = {{"add", LoopOp::add},
                                  {"multiply", LoopOp::multiply},
                                  {"minimum", LoopOp::minimum},
                                  {"maximum", LoopOp::maximum},
                                  {"replace", LoopOp::add, true}};

const Combiner* find_combiner(const Attributes& attributes) {
  const auto* found = std::ranges::find(combiners, attributes.text("combiner"), &Combiner::name);
  return found == std::end(combiners) ? nullptr : found;
}

/// The extent of an update's window in operand dim d.
Dim window_extent(const OperandDim& from, const Type& updates) {
  return from.window < 0 ? Dim(1) : updates.dims[static_cast<std::size_t>(from.window)];
}

std::vector<Type> infer_scatter(const InferContext& context) {
  const Type& operand = tensor(context, 0);
  const Type& indices = tensor(context, 1);
  const Type& updates = tensor(context, 2);
  const Combiner* combiner = find_combiner(context.attributes);
  if (combiner == nullptr)
    fail(context, ErrorCode::invalid_argument,
         fmt::format("there is no combiner \"{}\": there are add, multiply, minimum, maximum, replace",
                     context.attributes.text("combiner")));
  require_same_dtype(context, 0, 2);
  if (operand.dtype == DType::boolean && !combiner->replace)
    fail(context, ErrorCode::dtype_mismatch, fmt::format("\"{}\" takes numbers, but the operand is {}", combiner->name, to_string(operand)),
         "convert it to a number dtype");
  const IndexedDims dims = scatter_dims(context.attributes);
  require_indexed_dims(context, dims, operand, indices, updates.rank());
  const std::size_t batch = indices.rank() - (dims.vector_dim < static_cast<std::int64_t>(indices.rank()) ? 1 : 0);
  const std::vector<std::int64_t> axes = batch_axes(dims, updates.rank());
  if (axes.size() != batch)
    fail(context, ErrorCode::shape_mismatch,
         fmt::format("the updates {} have {} dims besides update_window_dims, but the indices {} have {} besides index_vector_dim",
                     to_string(updates), axes.size(), to_string(indices), batch));
  std::size_t b = 0;
  for (const std::int64_t axis : axes) {
    if (static_cast<std::int64_t>(b) == dims.vector_dim) ++b;
    require_equal(context, updates.dims[static_cast<std::size_t>(axis)], indices.dims[b],
                  fmt::format("dim {} of the updates {} and dim {} of the indices {} run together, but differ", axis, to_string(updates), b,
                              to_string(indices)));
    ++b;
  }
  return {operand};
}

// ---- evaluation

template <class T>
T combined(const Combiner& combiner, T old, T update) {
  if (combiner.replace) return update;
  if constexpr (!std::is_same_v<T, bool>) {
    using C = Compute<T>;
    const C a = static_cast<C>(old), b = static_cast<C>(update);
    switch (combiner.op) {
      case LoopOp::minimum: return static_cast<T>(reference_minimum(a, b));
      case LoopOp::maximum: return static_cast<T>(reference_maximum(a, b));
      case LoopOp::multiply:
        if constexpr (std::is_integral_v<T>)
          return wrapping_multiply(a, b);
        else
          return static_cast<T>(a * b);
      default:
        if constexpr (std::is_integral_v<T>)
          return wrapping_add(a, b);
        else
          return static_cast<T>(a + b);
    }
  }
  return old;
}

std::vector<Array> evaluate_scatter(const EvaluateContext& context) {
  const Array& operand = context.operands[0];
  const Array& indices = context.operands[1];
  const Array& updates = context.operands[2];
  const IndexedDims dims = scatter_dims(context.attributes);
  const Combiner& combiner = *find_combiner(context.attributes);
  const Shape& extents = operand.shape();
  const std::vector<OperandDim> from = operand_dims(dims, extents.rank(), updates.shape().rank());
  Array result = operand;
  visit_dtype(result.dtype(), [&]<class T>(T) {
    const auto cells = result.mutable_data<T>();
    const auto values = updates.data<T>();
    std::size_t u = 0;
    for_each_index(updates.shape(), [&](std::span<const std::int64_t> index) {
      std::vector<std::int64_t> at(extents.rank(), 0);
      bool inside = true;
      for (std::size_t d = 0; d < at.size(); ++d) {
        std::int64_t start = 0;
        if (from[d].component >= 0) {
          const auto where = component_position<std::int64_t>(dims, index, from[d].component, indices.shape().rank());
          start = index_at(indices, offset_of(indices.shape(), where));
        }
        if (from[d].batch >= 0) start = index[static_cast<std::size_t>(from[d].batch)];
        const std::int64_t within = from[d].window >= 0 ? index[static_cast<std::size_t>(from[d].window)] : 0;
        inside &= start >= -within && start < extents[d] - within;
        at[d] = inside ? start + within : 0;
      }
      const T update = values[u++];
      if (!inside) return;
      T& cell = cells[static_cast<std::size_t>(offset_of(extents, at))];
      cell = combined<T>(combiner, cell, update);
    });
  });
  return {result};
}

// ---- gradients

/// A scatter and what its gradient makes of it.
class ScatterGradient {
 public:
  explicit ScatterGradient(GradientContext& c)
      : c_(c),
        b_(c.builder()),
        attributes_(c.node().attributes),
        dims_(scatter_dims(attributes_)),
        operand_(b_.type(c.operand(0))),
        updates_(b_.type(c.operand(2))),
        from_(operand_dims(dims_, operand_.rank(), updates_.rank())) {}

  void run() {
    const Combiner& combiner = *find_combiner(attributes_);
    if (combiner.replace) return replace();
    switch (combiner.op) {
      case LoopOp::multiply: return multiply();
      case LoopOp::minimum:
      case LoopOp::maximum: return extremum();
      default:
        if (c_.needs(0)) c_.add(0, c_.cotangent());
        if (c_.needs(2)) c_.add(2, at(c_.cotangent(), 0));
    }
  }

 private:
  /// Scatters other updates to the same places.
  ValueId scatter(const char* combiner, ValueId operand, ValueId updates) {
    return b_.create(Op::scatter, {operand, c_.operand(1), updates}, attributes_.with("combiner", std::string(combiner)));
  }

  /// What a tensor of the operand's shape holds at each update's place; `border` where the update is skipped.
  ValueId at(ValueId tensor, double border) {
    Dims pads(operand_.rank(), Dim(0)), sizes(operand_.rank(), Dim(1));
    for (std::size_t d = 0; d < operand_.rank(); ++d) {
      sizes[d] = window_extent(from_[d], updates_);
      if (from_[d].component >= 0) pads[d] = sizes[d];
    }
    const auto size = [&](std::size_t k) { return sizes[static_cast<std::size_t>(dims_.index_map[k])]; };
    if (bordered_indices_ == none)
      bordered_indices_ = limited_indices(
          b_, c_.operand(1), dims_, [&](std::size_t k) { return -size(k); },
          [&](std::size_t k) { return operand_.dims[static_cast<std::size_t>(dims_.index_map[k])]; }, size);
    const DType dtype = b_.type(tensor).dtype;
    const ValueId bordered = b_.pad(tensor, b_.scalar(dtype, border), pads, pads, std::vector<std::int64_t>(operand_.rank(), 0));
    std::vector<Attributes::Item> items{{"index_vector_dim", dims_.vector_dim}};
    const auto give = [&](const char* name, const std::vector<std::int64_t>& list) {
      if (!list.empty()) items.emplace_back(name, list);
    };
    give("offset_dims", dims_.window_dims);
    give("collapsed_slice_dims", dims_.dropped);
    give("operand_batching_dims", dims_.operand_batch);
    give("start_indices_batching_dims", dims_.indices_batch);
    give("start_index_map", dims_.index_map);
    if (!sizes.empty()) items.emplace_back("slice_sizes", sizes);
    return b_.create(Op::gather, {bordered, bordered_indices_}, Attributes(std::move(items)));
  }

  void replace() {
    const Type ordinal{.dtype = DType::i64, .kind = Type::Kind::tensor, .dims = updates_.dims};
    const Type winner{.dtype = DType::i64, .kind = Type::Kind::tensor, .dims = operand_.dims};
    const ValueId ordinals = b_.reshape(
        b_.create(Op::iota, {}, {{"dtype", DType::i64}, {"dims", Dims{product(updates_.dims)}}, {"dim", std::int64_t{0}}}), ordinal.dims);
    const ValueId nobody = b_.splat(-1, winner);
    const ValueId winners = scatter("replace", nobody, ordinals);
    if (c_.needs(0)) c_.add(0, b_.select(b_.compare(Comparison::eq, winners, nobody), c_.cotangent(), b_.zeros(operand_)));
    if (c_.needs(2)) c_.add(2, b_.select(b_.compare(Comparison::eq, at(winners, -1), ordinals), at(c_.cotangent(), 0), b_.zeros(updates_)));
  }

  void extremum() {
    const ValueId attained = b_.compare(Comparison::eq, c_.operand(0), c_.result());
    const ValueId update_attained = b_.compare(Comparison::eq, c_.operand(2), at(c_.result(), 0));
    const ValueId count = scatter("add", b_.convert(attained, operand_.dtype), b_.convert(update_attained, operand_.dtype));
    // A cell whose result is NaN is attained by nobody.
    const ValueId share = b_.divide(c_.cotangent(), b_.create(Op::maximum, {count, b_.splat(1, operand_)}));
    if (c_.needs(0)) c_.add(0, b_.select(attained, share, b_.zeros(operand_)));
    if (c_.needs(2)) c_.add(2, b_.select(update_attained, at(share, 0), b_.zeros(updates_)));
  }

  /// A factor's zeros set apart.
  struct Factor {
    ValueId nonzero, only_zeros, ones_at_zeros;
  };
  Factor factor(ValueId x, const Type& type) {
    const ValueId zero = b_.zeros(type), is_zero = b_.compare(Comparison::eq, x, zero);
    return {b_.select(is_zero, b_.splat(1, type), x), b_.select(is_zero, x, zero), b_.convert(is_zero, type.dtype)};
  }

  /// cotangent * the product of the cell's other factors, where product, zeros and zero are those of all its factors.
  ValueId share(const Factor& x, const Type& type, ValueId cotangent, ValueId product, ValueId zeros, ValueId zero_sum) {
    const ValueId zero = b_.zeros(type), one = b_.splat(1, type);
    const ValueId other_zeros = b_.subtract(zeros, x.ones_at_zeros), other_zero = b_.subtract(zero_sum, x.only_zeros);
    const ValueId single = b_.select(b_.compare(Comparison::eq, other_zeros, one), other_zero, zero);
    const ValueId others = b_.select(b_.compare(Comparison::eq, other_zeros, zero), one, single);
    return b_.multiply(cotangent, b_.multiply(b_.divide(product, x.nonzero), others));
  }

  void multiply() {
    const Factor x = factor(c_.operand(0), operand_), u = factor(c_.operand(2), updates_);
    const ValueId product = scatter("multiply", x.nonzero, u.nonzero);
    const ValueId zeros = scatter("add", x.ones_at_zeros, u.ones_at_zeros);
    const ValueId zero_sum = scatter("add", x.only_zeros, u.only_zeros);
    if (c_.needs(0)) c_.add(0, share(x, operand_, c_.cotangent(), product, zeros, zero_sum));
    if (c_.needs(2)) c_.add(2, share(u, updates_, at(c_.cotangent(), 0), at(product, 1), at(zeros, 0), at(zero_sum, 0)));
  }

  GradientContext& c_;
  Builder& b_;
  const Attributes attributes_;
  const IndexedDims dims_;
  const Type operand_, updates_;
  const std::vector<OperandDim> from_;
  ValueId bordered_indices_ = none;
};

void gradient_scatter(GradientContext& c) { ScatterGradient(c).run(); }

// ---- lowering

/// A cell's index and mask. Where windows have extent 1 the clamped start is the index; else the start stays where windows lie half
/// outside, and the mask picks elements.
Update::Cell cell_of(ScalarBuilder& b, const IndexedDims& dims, std::span<const Dim> axes) {
  const Type updates = b.operand_type(2);
  const Dims& extents = b.operand_type(0).dims;
  const std::size_t indices_rank = b.operand_type(1).rank();
  const std::vector<OperandDim> from = operand_dims(dims, extents.size(), axes.size());
  Update::Cell cell;
  for (std::size_t d = 0; d < extents.size(); ++d) {
    if (from[d].batch >= 0) {
      cell.index.push_back(axes[static_cast<std::size_t>(from[d].batch)]);
      continue;
    }
    const Dim size = window_extent(from[d], updates);
    Dim place = from[d].window >= 0 ? axes[static_cast<std::size_t>(from[d].window)] : Dim(0);
    if (from[d].component < 0) {
      if (less_equal(size, extents[d]) != Truth::yes) cell.mask = both(b, cell.mask, within(b, place, extents[d], false, true));
      cell.index.push_back(place);
      continue;
    }
    const ScalarId start = wide_scalar(b, b.operand(1, component_position<Dim>(dims, axes, from[d].component, indices_rank)));
    if (size.is_constant(1)) {
      cell.mask = both(b, cell.mask, b.compare(Comparison::ge, start, b.index_value(0)));
      cell.mask = both(b, cell.mask, b.compare(Comparison::lt, start, b.index_value(extents[d])));
      cell.index.push_back(b.index_atom(limited_scalar(b, start, 0, extents[d] - 1), 0, max(extents[d] - 1, 0)) + place);
    } else {
      const Dim at = b.index_atom(limited_scalar(b, start, -size, extents[d]), bounds(-size).min, extents[d]) + place;
      cell.mask = both(b, cell.mask, within(b, at, extents[d], true, true));
      cell.index.push_back(at);
    }
  }
  cell.value = b.operand(2, axes);
  return cell;
}

Update update_scatter(const Node& node, std::span<const Type> operands, const Type&) {
  const IndexedDims dims = scatter_dims(node.attributes);
  const Combiner& combiner = *find_combiner(node.attributes);
  Update update;
  update.combiner = combiner.op;
  update.replace = combiner.replace;
  for (const Dim& extent : operands[2].dims) update.axes.push_back({extent, false});
  // Points that differ where the operand's index runs with the axis and nothing else moves it never meet.
  for (const OperandDim& from : operand_dims(dims, operands[0].rank(), operands[2].rank())) {
    if (from.batch >= 0) update.axes[static_cast<std::size_t>(from.batch)].disjoint = true;
    if (from.window >= 0 && from.component < 0) update.axes[static_cast<std::size_t>(from.window)].disjoint = true;
  }
  update.cell = [dims](ScalarBuilder& b, std::span<const Dim> axes) { return cell_of(b, dims, axes); };
  return update;
}

// ---- samples

using Integers = std::vector<std::int64_t>;

struct Numbers {
  Integers window = {}, inserted = {}, input_batch = {}, indices_batch = {}, map = {};
  std::int64_t vector_dim = 0;
};

Sample sample(SampleClass kind, const char* combiner, Dims operand, Dims indices, Dims updates, const Numbers& numbers,
              DType index_dtype = DType::i64) {
  std::vector<Attributes::Item> items{{"combiner", std::string(combiner)}, {"index_vector_dim", numbers.vector_dim}};
  const auto give = [&](const char* name, const Integers& list) {
    if (!list.empty()) items.emplace_back(name, list);
  };
  give("update_window_dims", numbers.window);
  give("inserted_window_dims", numbers.inserted);
  give("input_batching_dims", numbers.input_batch);
  give("scatter_indices_batching_dims", numbers.indices_batch);
  give("scatter_dims_to_operand_dims", numbers.map);
  return {.kind = kind,
          .operands = {sample_type(std::move(operand)), sample_type(std::move(indices), index_dtype), sample_type(std::move(updates))},
          .attributes = Attributes(std::move(items)),
          .low = -2,
          .high = 6};
}

std::vector<Sample> samples_of(const char* combiner) {
  const Dim n = sample_symbol();
  const Numbers rows{.window = {1}, .inserted = {0}, .map = {0}, .vector_dim = 1};
  const Numbers cells{.inserted = {0}, .map = {0}, .vector_dim = 1};
  return {
      sample(SampleClass::scalar, combiner, {}, {0}, {}, {.vector_dim = 0}),
      sample(SampleClass::scalar, combiner, {5}, {}, {}, {.inserted = {0}, .map = {0}, .vector_dim = 0}),
      sample(SampleClass::one, combiner, {1}, {1}, {1}, cells),
      sample(SampleClass::empty, combiner, {5, 3}, {0}, {0, 3}, rows),
      sample(SampleClass::empty, combiner, {0, 3}, {4}, {4, 3}, rows),
      sample(SampleClass::empty, combiner, {5, 0}, {2}, {2, 0}, rows),
      sample(SampleClass::odd, combiner, {4}, {9}, {9}, cells),
      sample(SampleClass::odd, combiner, {5, 3}, {7}, {7, 3}, rows),
      // Windows of 2 x 3 in dims 0 and 1, some half outside, at pairs of indices in dim 0.
      sample(SampleClass::odd, combiner, {4, 5, 2}, {2, 3}, {2, 3, 3}, {.window = {0, 1}, .inserted = {2}, .map = {2, 0}, .vector_dim = 0}),
      // Along the last axis, with a batch axis that both share (put_along_axis).
      sample(SampleClass::odd, combiner, {3, 5}, {3, 4}, {3, 4},
             {.inserted = {1}, .input_batch = {0}, .indices_batch = {0}, .map = {1}, .vector_dim = 2}),
      sample(SampleClass::odd, combiner, {2, 3, 5}, {3, 2, 2, 2}, {3, 2, 2, 2, 2},
             {.window = {3}, .input_batch = {0, 1}, .indices_batch = {3, 0}, .map = {2}, .vector_dim = 4}),
      sample(SampleClass::wide, combiner, {4, 67}, {9}, {9, 67}, rows),
      sample(SampleClass::symbolic, combiner, {5, 3}, {n}, {n, 3}, rows),
      sample(SampleClass::symbolic, combiner, {n, 3}, {4}, {4, 3}, rows),
      sample(SampleClass::symbolic, combiner, {5, n}, {4}, {4, n}, rows),
  };
}

std::vector<Sample> samples_scatter(Op) {
  std::vector<Sample> all;
  for (const char* combiner : {"add", "multiply", "minimum", "maximum", "replace"}) {
    const Numbers cells{.inserted = {0}, .map = {0}, .vector_dim = 1};
    const bool replace = std::string_view(combiner) == "replace";
    for (Sample one : samples_of(combiner)) {
      if (replace) {
        all.push_back(std::move(one));  // of every dtype
        continue;
      }
      one.generic = false;
      for (const DType dtype : {DType::i8, DType::u32, DType::i64, DType::bf16, DType::f32, DType::f64}) {
        Sample typed = one;
        typed.operands[0].dtype = typed.operands[2].dtype = dtype;
        if (std::string_view(combiner) == "multiply") typed.low = 0.5, typed.high = 3;
        all.push_back(std::move(typed));
      }
    }
    const std::vector<double> special = special_values();
    const auto count = static_cast<std::int64_t>(special.size());
    for (const DType dtype : {DType::f16, DType::f32, DType::f64}) {
      Sample values = sample(SampleClass::special_values, combiner, {count}, {count}, {count}, cells);
      values.generic = values.differentiable = false;
      values.operands[0].dtype = values.operands[2].dtype = dtype;
      std::vector<double> places;
      for (std::int64_t i = 0; i < count; ++i) places.push_back(static_cast<double>(i * 7 % count / 2));
      values.values = {sample_values(special), sample_values(places), sample_values(special)};
      all.push_back(std::move(values));
    }
  }
  // Indices of every dtype, beyond its ends and the operand's.
  for (int d = static_cast<int>(DType::i8); d <= static_cast<int>(DType::u64); ++d) {
    Sample one = sample(SampleClass::odd, "add", {4}, {7}, {7}, {.inserted = {0}, .map = {0}, .vector_dim = 1}, static_cast<DType>(d));
    one.generic = false;
    one.values = {sample_values({0, 0, 0, 0}), sample_values({0, 3, -1, 4, 100, -1e30, 1e30}), sample_values({1, 2, 4, 8, 16, 32, 64})};
    all.push_back(one);
  }
  return all;
}

constexpr AttributeSpec scatter_attributes[] = {
    {"combiner", AttributeKind::text, "add, multiply, minimum, maximum or replace: how an update meets what is there"},
    {"update_window_dims", AttributeKind::integers, "dims of the updates that run within a window", false},
    {"inserted_window_dims", AttributeKind::integers, "dims of the operand in which windows have extent 1, and the updates no dim", false},
    {"input_batching_dims", AttributeKind::integers, "dims of the operand that run with scatter_indices_batching_dims", false},
    {"scatter_indices_batching_dims", AttributeKind::integers, "dims of the indices that run with input_batching_dims", false},
    {"scatter_dims_to_operand_dims", AttributeKind::integers, "the operand dim in which each component of an index vector is the start",
     false},
    {"index_vector_dim", AttributeKind::integer, "the dim of the indices that holds the vectors; their rank: vectors of one component"}};
}  // namespace

template <>
constinit const OpInfo OpEntry<Op::scatter>::info = {
    .name = "scatter",
    .doc =
        "Operand 0 with the windows of operand 2 (updates) combined into it at the starts that the index vectors of operand 1 give: "
        "StableHLO's scatter. Updates are applied in row-major order, so the last one wins with \"replace\"; elements outside are skipped.",
    .min_operands = 3,
    .max_operands = 3,
    .attributes = scatter_attributes,
    .infer = infer_scatter,
    .evaluate = evaluate_scatter,
    .gradient = gradient_scatter,
    .update = update_scatter,
    .kernel = KernelKind::update,
    .samples = samples_scatter,
    .no_samples = {SampleClass::broadcast},
};

}  // namespace kiln::ir

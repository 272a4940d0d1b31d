#include "tests/ir/scalar_evaluation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "ir/ops/evaluate.h"

namespace kiln::test {

using namespace ir;

namespace {

// ---- scalar arithmetic on literals. Floats compute in double and round to the dtype, which for + - * / and sqrt of f32 gives the same
// bits as f32 arithmetic (a double has more than twice its digits).

double rounded(DType dtype, double value) {
  switch (dtype) {
    case DType::f16: return static_cast<float>(float16(static_cast<float>(value)));
    case DType::bf16: return static_cast<float>(bfloat16(static_cast<float>(value)));
    case DType::f32: return static_cast<float>(value);
    default: return value;
  }
}

/// The low bits of an integer as a value of the dtype.
std::int64_t cut(DType dtype, std::uint64_t bits) {
  std::int64_t value = 0;
  visit_dtype(dtype, [&]<class T>(T) {
    if constexpr (std::is_integral_v<T>) value = static_cast<std::int64_t>(static_cast<T>(bits));
  });
  return value;
}

Literal floating(DType dtype, double value) { return {.dtype = dtype, .number = rounded(dtype, value), .integer = 0}; }
Literal integer(DType dtype, std::uint64_t bits) { return {.dtype = dtype, .number = 0, .integer = cut(dtype, bits)}; }

Literal load(const Array& array, std::int64_t offset) {
  return is_floating(array.dtype()) ? floating(array.dtype(), element_as_double(array, offset))
                                    : integer(array.dtype(), static_cast<std::uint64_t>(element_as_int(array, offset)));
}

void store(Array& array, std::int64_t offset, const Literal& value) {
  visit_dtype(array.dtype(), [&]<class T>(T) {
    T& cell = array.mutable_data<T>()[offset];
    if constexpr (ops::is_half<T>)
      cell = T(static_cast<float>(value.number));
    else if constexpr (std::is_floating_point_v<T>)
      cell = static_cast<T>(value.number);
    else
      cell = static_cast<T>(value.integer);
  });
}

bool less(const Literal& a, const Literal& b) {
  if (is_floating(a.dtype)) return a.number < b.number;
  if (a.dtype == DType::u64) return static_cast<std::uint64_t>(a.integer) < static_cast<std::uint64_t>(b.integer);
  return a.integer < b.integer;
}

bool is_nan(const Literal& a) { return is_floating(a.dtype) && std::isnan(a.number); }
bool equal(const Literal& a, const Literal& b) { return is_floating(a.dtype) ? a.number == b.number : a.integer == b.integer; }

Literal apply_floating(LoopOp op, DType dtype, const std::vector<Literal>& x) {
  const double a = x[0].number, b = x.size() > 1 ? x[1].number : 0;
  switch (op) {
    case LoopOp::add: return floating(dtype, a + b);
    case LoopOp::subtract: return floating(dtype, a - b);
    case LoopOp::multiply: return floating(dtype, a * b);
    case LoopOp::divide: return floating(dtype, a / b);
    case LoopOp::remainder: return floating(dtype, std::fmod(a, b));
    case LoopOp::negate: return floating(dtype, -a);
    case LoopOp::abs: return floating(dtype, std::fabs(a));
    case LoopOp::sqrt: return floating(dtype, std::sqrt(a));
    case LoopOp::floor: return floating(dtype, std::floor(a));
    case LoopOp::ceil: return floating(dtype, std::ceil(a));
    case LoopOp::round_nearest_even: return floating(dtype, std::nearbyint(a));
    case LoopOp::exp: return floating(dtype, std::exp(a));
    case LoopOp::expm1: return floating(dtype, std::expm1(a));
    case LoopOp::log: return floating(dtype, std::log(a));
    case LoopOp::log1p: return floating(dtype, std::log1p(a));
    case LoopOp::cbrt: return floating(dtype, std::cbrt(a));
    case LoopOp::tanh: return floating(dtype, std::tanh(a));
    case LoopOp::logistic: return floating(dtype, 1 / (1 + std::exp(-a)));
    case LoopOp::erf: return floating(dtype, std::erf(a));
    case LoopOp::sin: return floating(dtype, std::sin(a));
    case LoopOp::cos: return floating(dtype, std::cos(a));
    case LoopOp::tan: return floating(dtype, std::tan(a));
    case LoopOp::power: return floating(dtype, std::pow(a, b));
    case LoopOp::atan2: return floating(dtype, std::atan2(a, b));
    default: throw InternalError("no floating operation");
  }
}

Literal apply_integer(LoopOp op, DType dtype, const std::vector<Literal>& x) {
  const std::int64_t a = x[0].integer, b = x.size() > 1 ? x[1].integer : 0;
  const auto ua = static_cast<std::uint64_t>(a), ub = static_cast<std::uint64_t>(b);
  const bool is_signed = is_signed_integer(dtype);
  const int bits = static_cast<int>(8 * size_of(dtype));
  const bool in_range = is_signed ? b >= 0 && b < bits : ub < static_cast<std::uint64_t>(bits);
  const std::uint64_t mask = ~std::uint64_t{0} >> (64 - bits);
  switch (op) {
    case LoopOp::add: return integer(dtype, ua + ub);
    case LoopOp::subtract: return integer(dtype, ua - ub);
    case LoopOp::multiply: return integer(dtype, ua * ub);
    case LoopOp::divide:
      if (b == 0) return integer(dtype, ~std::uint64_t{0});
      if (!is_signed) return integer(dtype, ua / ub);
      return b == -1 ? integer(dtype, 0 - ua) : integer(dtype, static_cast<std::uint64_t>(a / b));
    case LoopOp::remainder:
      if (b == 0) return x[0];
      if (!is_signed) return integer(dtype, ua % ub);
      return b == -1 ? integer(dtype, 0) : integer(dtype, static_cast<std::uint64_t>(a % b));
    case LoopOp::negate: return integer(dtype, 0 - ua);
    case LoopOp::abs: return integer(dtype, is_signed && a < 0 ? 0 - ua : ua);
    case LoopOp::and_: return integer(dtype, ua & ub);
    case LoopOp::or_: return integer(dtype, ua | ub);
    case LoopOp::xor_: return integer(dtype, ua ^ ub);
    case LoopOp::not_: return integer(dtype, dtype == DType::boolean ? !a : ~ua);
    case LoopOp::shift_left: return integer(dtype, in_range ? ua << b : 0);
    case LoopOp::shift_right_logical: return integer(dtype, in_range ? (ua & mask) >> b : 0);
    case LoopOp::shift_right_arithmetic: {  // of unsigned dtypes the highest bit is a sign here
      const auto extended = static_cast<std::int64_t>(ua << (64 - bits));
      return integer(dtype, static_cast<std::uint64_t>(extended >> (64 - bits) >> (in_range ? b : bits - 1)));
    }
    case LoopOp::popcnt: return integer(dtype, static_cast<std::uint64_t>(std::popcount(ua & mask)));
    case LoopOp::count_leading_zeros: return integer(dtype, static_cast<std::uint64_t>(std::countl_zero(ua & mask) - (64 - bits)));
    case LoopOp::power: {
      if (is_signed && b < 0) return integer(dtype, a == 1 || a == -1 ? (b % 2 == 0 ? 1 : ua) : 0);
      std::uint64_t result = 1, base = ua;
      for (std::uint64_t rest = ub & mask; rest != 0; rest /= 2, base *= base) result *= rest % 2 == 0 ? 1 : base;
      return integer(dtype, result);
    }
    default: throw InternalError("no integer operation");
  }
}

/// The same bytes as another dtype of equal size.
Literal bitcast(DType to, const Literal& x) {
  Array one(x.dtype, Shape{});
  store(one, 0, x);
  return load(Array(ArrayView(to, Shape{}, one.raw())), 0);
}

Literal convert(DType to, const Literal& x) {
  Array one(x.dtype, Shape{});
  store(one, 0, x);
  return load(one.convert(to), 0);
}

Literal apply_to(LoopOp op, DType dtype, const std::vector<Literal>& x) {
  switch (op) {
    case LoopOp::maximum: return is_nan(x[0]) ? x[0] : less(x[1], x[0]) ? x[0] : x[1];
    case LoopOp::minimum: return is_nan(x[0]) ? x[0] : less(x[0], x[1]) ? x[0] : x[1];
    case LoopOp::select: return x[0].integer ? x[1] : x[2];
    case LoopOp::convert: return convert(dtype, x[0]);
    case LoopOp::bitcast: return bitcast(dtype, x[0]);
    default: return is_floating(dtype) ? apply_floating(op, dtype, x) : apply_integer(op, dtype, x);
  }
}

/// Evaluates every expression as it is made.
class Evaluation final : public ScalarBuilder {
 public:
  Evaluation(const OpCase& c, std::vector<Type> results) : case_(c), results_(std::move(results)) {}

  void begin(const std::vector<std::string>& names, std::span<const std::int64_t> index) {
    values_.clear();
    for (std::size_t d = 0; d < names.size(); ++d) index_[names[d]] = index[d];
  }
  const Literal& value(ScalarId id) const { return values_[id]; }

  ScalarId operand(std::size_t i, std::span<const Dim> index) override {
    const Array& array = case_.values[i];
    internal_check(index.size() == array.shape().rank(), "a read has one index per dim");
    std::vector<std::int64_t> at;
    for (std::size_t d = 0; d < index.size(); ++d) {
      at.push_back(concrete(index[d]));
      if (at.back() < 0 || at.back() >= array.shape()[d])
        throw InternalError(fmt::format("operand {} is read at {} = {} of dim {}, whose extent is {}", i, to_string(index[d]), at.back(), d,
                                        array.shape()[d]));
    }
    return push(load(array, ops::offset_of(array.shape(), at)));
  }
  ScalarId operand_where(ScalarId mask, std::size_t i, std::span<const Dim> index, ScalarId otherwise) override {
    // What is not selected is read too, as a fused producer is computed, unless there is nothing to read.
    if (case_.values[i].size() == 0) {
      internal_check(!value(mask).integer, "an empty operand is never selected");
      return otherwise;
    }
    const ScalarId read = operand(i, index);
    return value(mask).integer ? read : otherwise;
  }
  const Type& operand_type(std::size_t i) const override { return case_.operands[i]; }
  const Type& result_type(std::size_t i) const override { return results_[i]; }
  ScalarId apply(LoopOp op, DType dtype, std::span<const ScalarId> operands) override {
    std::vector<Literal> x;
    for (const ScalarId id : operands) x.push_back(value(id));
    for (std::size_t i = op == LoopOp::select ? 1 : 0; i < x.size(); ++i)
      internal_check(op == LoopOp::convert || op == LoopOp::bitcast || x[i].dtype == dtype, "an operation's operands have its dtype");
    return push(apply_to(op, dtype, x));
  }
  using ScalarBuilder::apply;
  ScalarId compare(Comparison comparison, ScalarId first, ScalarId second) override {
    const Literal a = value(first), b = value(second);
    internal_check(a.dtype == b.dtype, "a comparison's operands have one dtype");
    const bool nan = is_nan(a) || is_nan(b);
    const bool truth = comparison == Comparison::eq   ? equal(a, b)
                       : comparison == Comparison::ne ? !equal(a, b)
                       : comparison == Comparison::lt ? less(a, b)
                       : comparison == Comparison::gt ? less(b, a)
                       : comparison == Comparison::le ? !nan && !less(b, a)
                                                      : !nan && !less(a, b);
    return push(integer(DType::boolean, truth));
  }
  ScalarId constant(const Literal& literal) override { return push(literal); }
  ScalarId index_value(const Dim& index) override { return push(integer(DType::i64, static_cast<std::uint64_t>(concrete(index)))); }
  Dim index_atom(ScalarId id, std::int64_t min, const Dim& max_inclusive) override {
    const std::int64_t index = value(id).integer;
    internal_check(value(id).dtype == DType::i64, "an index is i64");
    internal_check(index >= min && index <= concrete(max_inclusive), "an index atom lies within its bounds");
    return index;
  }
  DType dtype_of(ScalarId id) const override { return value(id).dtype; }

  ScalarId push(const Literal& value) {
    values_.push_back(value);
    return static_cast<ScalarId>(values_.size() - 1);
  }
  std::int64_t concrete(const Dim& dim) const {
    return ir::evaluate(dim, [&](std::string_view name) -> std::optional<std::int64_t> {
      const auto found = index_.find(name);
      return found != index_.end() ? found->second : symbol_value(name, case_.symbolic_extent);
    });
  }

 private:
  const OpCase& case_;
  std::vector<Type> results_;
  std::map<std::string, std::int64_t, std::less<>> index_;
  std::vector<Literal> values_;
};

/// A fold of any form, step by step. Like all folds, those of f16 and bf16 are carried in f32.
Array folded(const OpCase& c, const Structured& structured, const std::vector<Type>& types, std::size_t result,
             const std::vector<std::string>& names, const Dims& axes, std::span<const std::int64_t> extents) {
  const Type& type = types[result];
  std::size_t parallel = 0;
  while (parallel < structured.axes.size() && !structured.axes[parallel].reduced) ++parallel;
  for (std::size_t a = parallel; a < structured.axes.size(); ++a) internal_check(structured.axes[a].reduced, "reduced axes come last");
  if (!structured.running) {
    internal_check(parallel == type.rank(), "parallel axes are the result's dims");
    for (std::size_t a = 0; a < parallel; ++a)
      internal_check(structured.axes[a].extent == type.dims[a], "parallel axes are the result's dims");
  }

  Evaluation evaluation(c, types);
  const Shape outer(extents.first(parallel)), inner(extents.subspan(parallel));
  std::vector<std::int64_t> result_extents;
  for (const Dim& dim : type.dims) result_extents.push_back(evaluate(dim, c.symbolic_extent));
  Array out(type.dtype, Shape(result_extents));
  std::vector<bool> stored(static_cast<std::size_t>(out.size()), false);
  ops::for_each_index(outer, [&](std::span<const std::int64_t> index) {
    std::vector<std::int64_t> at(index.begin(), index.end());
    at.insert(at.end(), inner.rank(), 0);
    evaluation.begin(names, at);
    std::vector<Literal> carried;
    if (structured.step) {
      for (const ScalarId id : structured.start(evaluation, std::span(axes).first(parallel))) carried.push_back(evaluation.value(id));
    } else {
      internal_check(structured.identity.dtype == type.dtype, "an identity has the result's dtype");
      const bool half = type.dtype == DType::f16 || type.dtype == DType::bf16;
      carried = {structured.identity};
      carried[0].dtype = half ? DType::f32 : type.dtype;
    }
    internal_check(carried.size() >= types.size(), "each result is carried");
    const auto put = [&](const Dims& where) {
      std::vector<std::int64_t> place;
      for (const Dim& dim : where) place.push_back(evaluation.concrete(dim));
      const std::int64_t offset = ops::offset_of(out.shape(), place);
      internal_check(!stored[static_cast<std::size_t>(offset)], "each element is stored once");
      stored[static_cast<std::size_t>(offset)] = true;
      store(out, offset, convert(type.dtype, carried[result]));
    };
    ops::for_each_index(inner, [&](std::span<const std::int64_t> step) {
      std::copy(step.begin(), step.end(), at.begin() + static_cast<std::ptrdiff_t>(parallel));
      evaluation.begin(names, at);
      if (structured.running && structured.exclusive) put(structured.place(axes));
      if (structured.step) {
        std::vector<ScalarId> ids;
        for (const Literal& value : carried) ids.push_back(evaluation.push(value));
        const std::vector<ScalarId> next = structured.step(evaluation, ids, axes);
        internal_check(next.size() == carried.size(), "a step gives every carried value");
        for (std::size_t i = 0; i < next.size(); ++i) {
          internal_check(evaluation.value(next[i]).dtype == carried[i].dtype, "a carried value keeps its dtype");
          carried[i] = evaluation.value(next[i]);
        }
      } else {
        const Literal value = convert(carried[0].dtype, evaluation.value(structured.body(evaluation, axes)));
        carried[0] = apply_to(structured.combiner, carried[0].dtype, {carried[0], value});
      }
      if (structured.running && !structured.exclusive) put(structured.place(axes));
    });
    if (!structured.running) put(Dims(axes.begin(), axes.begin() + static_cast<std::ptrdiff_t>(parallel)));
  });
  for (const bool done : stored) internal_check(done, "every element is stored");
  return out;
}

/// An update, cell by cell. Each change is rounded to the dtype; points of disjoint axes are seen to meet in no cell.
Array updated(const OpCase& c, const Update& update, const std::vector<Type>& types, const std::vector<std::string>& names,
              const Dims& axes, const Shape& extents) {
  Array out = c.values[0];
  const DType dtype = types[0].dtype;
  Evaluation evaluation(c, types);
  std::map<std::int64_t, std::vector<std::int64_t>> disjoint;  // by cell: where the axes stood
  ops::for_each_index(extents, [&](std::span<const std::int64_t> index) {
    evaluation.begin(names, index);
    const Update::Cell cell = update.cell(evaluation, axes);
    if (cell.mask != none && !evaluation.value(cell.mask).integer) return;
    std::vector<std::int64_t> at, here;
    for (std::size_t d = 0; d < cell.index.size(); ++d) {
      at.push_back(evaluation.concrete(cell.index[d]));
      internal_check(at[d] >= 0 && at[d] < out.shape()[d], "a cell lies in the result");
    }
    for (std::size_t a = 0; a < axes.size(); ++a)
      if (update.axes[a].disjoint) here.push_back(index[a]);
    const std::int64_t offset = ops::offset_of(out.shape(), at);
    internal_check(disjoint.emplace(offset, here).first->second == here, "points of disjoint axes meet in no cell");
    const Literal value = evaluation.value(cell.value);
    internal_check(value.dtype == dtype, "an update has the result's dtype");
    store(out, offset, update.replace ? value : apply_to(update.combiner, dtype, {load(out, offset), value}));
  });
  return out;
}

/// An ordering: each element's place in its row is the number of those before it, by their keys.
Array ordered(const OpCase& c, const Ordering& ordering, const std::vector<Type>& types, const std::vector<std::string>& names,
              const Dims& axes, const Shape& extents) {
  Array out(types[0].dtype, extents);
  Evaluation evaluation(c, types);
  std::vector<std::vector<std::uint64_t>> keys;  // of each element, in memory order
  ops::for_each_index(extents, [&](std::span<const std::int64_t> index) {
    evaluation.begin(names, index);
    std::vector<std::uint64_t>& own = keys.emplace_back();
    for (const Ordering::Key& key : ordering.keys(evaluation, axes)) {
      internal_check(is_unsigned_integer(evaluation.dtype_of(key.bits)), "a key is an unsigned integer");
      own.push_back(static_cast<std::uint64_t>(evaluation.value(key.bits).integer) >> key.unused_bits);
    }
  });
  ops::for_each_index(extents, [&](std::span<const std::int64_t> index) {
    const auto at = [&](std::int64_t i) {
      std::vector<std::int64_t> there(index.begin(), index.end());
      there[ordering.axis] = i;
      return ops::offset_of(extents, there);
    };
    const std::int64_t own = index[ordering.axis];
    const auto& key = keys[static_cast<std::size_t>(at(own))];
    std::int64_t place = 0;
    for (std::int64_t i = 0; i < extents[ordering.axis]; ++i) {
      const auto& other = keys[static_cast<std::size_t>(at(i))];
      place += other < key || (other == key && i < own);
    }
    out.mutable_data<std::int64_t>()[at(place)] = own;
  });
  return out;
}

}  // namespace

Array lowered(const OpCase& c, std::size_t result) {
  const Module module = module_of(c);
  const Graph& graph = module.main_graph();
  const Node& node = graph.definition(graph.results[result]);
  std::vector<Type> types;
  for (const ValueId v : graph.results) types.push_back(graph.type(v));
  const Type& type = types[result];
  const OpInfo& entry = info(c.op);

  std::optional<Structured> structured;
  if (entry.structured) structured = entry.structured(node, c.operands, type);
  Dims extents = type.dims;
  if (structured) {
    extents.clear();
    for (const Structured::Iteration& axis : structured->axes) extents.push_back(axis.extent);
  }
  std::optional<Update> update;
  if (entry.update) {
    update = entry.update(node, c.operands, type);
    extents.clear();
    for (const Update::Iteration& axis : update->axes) extents.push_back(axis.extent);
  }
  std::vector<std::string> names;
  Dims axes;
  std::vector<std::int64_t> concrete;
  for (const Dim& extent : extents) {
    names.push_back(fmt::format("i{}", names.size()));
    concrete.push_back(evaluate(extent, c.symbolic_extent));
    axes.push_back(Dim::symbol(std::make_shared<SymbolInfo>(SymbolInfo{.name = names.back(), .min = 0})));
  }

  const std::span<const std::int64_t> all(concrete);
  if (structured) return folded(c, *structured, types, result, names, axes, all);
  if (update) return updated(c, *update, types, names, axes, Shape(all));
  if (entry.ordering) return ordered(c, entry.ordering(node, c.operands, type), types, names, axes, Shape(all));
  const Shape shape(all);
  Array out(type.dtype, shape);
  Evaluation evaluation(c, types);
  std::int64_t offset = 0;
  ops::for_each_index(shape, [&](std::span<const std::int64_t> index) {
    evaluation.begin(names, index);
    const Literal value = evaluation.value(entry.element(evaluation, node, result, axes));
    internal_check(value.dtype == type.dtype, "an element has the result's dtype");
    store(out, offset++, value);
  });
  return out;
}

}  // namespace kiln::test

// How a region grows by a node: from the table's samples, or by a shape op, a reduction, a product.
#include "tests/fuzz/region.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "ir/interpreter.h"
#include "ir/op.h"

namespace kiln::fuzz {

using namespace ir;

namespace {

bool mentions_other_symbols(const Dims& dims, bool n_allowed) {
  for (const Dim& dim : dims)
    for (const std::string& name : symbols_of(dim))
      if (name != "n" || !n_allowed) return true;
  return false;
}

}  // namespace

void Region::step() {
  const int die = world_.random.pick(100);
  if (world_.recipe.control && depth_ < 3) {
    const int odds = depth_ == 0 ? 12 : 5;
    if (die < odds) {
      switch (world_.random.pick(4)) {
        case 0: return grow_cond();
        case 1: return grow_while();
        case 2: return info(Op::scan).infer != nullptr ? grow_scan() : grow_while();
        default: return grow_call();
      }
    }
  }
  if (depth_ == 0 && world_.random.chance(2) && !pool_.empty()) return grow_shrink();
  if (world_.random.chance(45) && !pool_.empty()) return shaped_node();
  table_node();
}

/// A node of a random (op, dtype), by one of the op's samples.
void Region::table_node() {
  static const std::vector<std::pair<Op, DType>> pairs = [] {
    std::vector<std::pair<Op, DType>> list;
    for (const auto& pair : wanted_pairs())
      if (is_drawn(pair.first)) list.push_back(pair);
    return list;
  }();
  auto [op, dtype] = world_.random.of(pairs);
  const auto other_float = [&](DType d) { return world_.recipe.f64 && is_floating(d) && d != DType::f64; };
  if (other_float(dtype)) dtype = DType::f64;
  std::vector<Sample> fitting;
  for (Sample& sample : info(op).samples(op)) {
    bool fits = true;
    for (const Type& type : sample.operands) fits = fits && !mentions_other_symbols(type.dims, world_.recipe.symbolic);
    for (const auto& [name, value] : sample.attributes.items())
      if (const Dims* dims = std::get_if<Dims>(&value)) fits = fits && !mentions_other_symbols(*dims, world_.recipe.symbolic);
    if (sample.operands.empty() || !sample.generic) {
      const auto* named = sample.attributes.find("dtype");
      const DType own = !sample.operands.empty() ? sample.operands[0].dtype : named ? std::get<DType>(*named) : dtype;
      fits = fits && own == dtype;
    }
    if (fits) fitting.push_back(std::move(sample));
  }
  if (fitting.empty()) return;
  const Sample sample = world_.random.of(fitting);
  std::vector<Type> types = sample.operands;
  if (sample.generic && !types.empty()) {
    const DType stands_for = sample.operands[0].dtype;
    for (Type& type : types)
      if (type.dtype == stands_for) type.dtype = dtype;
  }
  // Element-wise ops take any shape: that of a value of the pool.
  if (info(op).elementwise && !pool_.empty() && world_.random.chance(75)) {
    const Dims dims = builder_.type(any().value).dims;
    for (Type& type : types)
      if (type.rank() != 0 || types.size() == 1 || &type == &types[0]) type.dims = dims;
    if (types.size() > 1)
      for (std::size_t i = 0; i < types.size(); ++i)
        types[i].dims = sample.operands[i].rank() == 0 && sample.kind != SampleClass::scalar ? Dims{} : dims;
  }
  Attributes attributes = sample.attributes;
  if (op == Op::rng_bits)
    attributes = attributes.find("stream") ? attributes.with("stream", std::int64_t{100 + world_.streams++}) : attributes;
  std::vector<Type> results;
  try {
    results = infer_types({.op = op, .operands = types, .attributes = attributes, .module = &world_.made.module});
  } catch (const Error&) {
    return;
  }
  for (const Type& type : types)
    if (other_float(type.dtype)) return;
  for (const Type& type : results) {
    if (other_float(type.dtype)) return;
    if (mentions_other_symbols(type.dims, world_.recipe.symbolic)) return;
    if (value_of(world_, product(type.dims)) > largest_value) return;
  }
  Node probe;
  probe.op = op;
  probe.attributes = attributes;
  const bool exact = is_discontinuous(probe, types, results);
  std::vector<Item> items;
  for (std::size_t i = 0; i < types.size(); ++i) {
    Item item;
    if (i < sample.values.size() && types[i].dims == sample.operands[i].dims && world_.random.chance(40)) {
      const Array value = sample.values[i].convert(types[i].dtype);
      item = {builder_.constant(value), value, true};
      side_[item.value] = item;
    } else {
      item = adapt(types[i], sample.low, sample.high, exact);
    }
    if (item.value == none || !(builder_.type(item.value) == types[i])) return;
    side_[item.value] = item;
    items.push_back(item);
  }
  std::vector<ValueId> operands;
  for (const Item& item : items) operands.push_back(item.value);
  const std::vector<ValueId> made = builder_.create_many(op, operands, attributes);
  for (const ValueId value : made) {
    const Item item = known(value, items);
    if (item.value == none) continue;
    if (healthy(item.example) || world_.random.chance(15)) pool_.push_back(item);
  }
}

/// Shape ops, reductions and products on a value as it comes.
void Region::shaped_node() {
  Random& random = world_.random;
  const Item a = any();
  const Type type = builder_.type(a.value);
  const std::size_t rank = type.rank();
  const auto axis = [&] { return static_cast<std::int64_t>(random.pick(static_cast<int>(rank))); };
  ValueId made = none;
  switch (random.pick(11)) {
    case 0: {  // transpose
      if (rank < 2) return;
      std::vector<std::int64_t> order(rank);
      for (std::size_t i = 0; i < rank; ++i) order[i] = static_cast<std::int64_t>(i);
      for (std::size_t i = rank; i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(random.pick(static_cast<int>(i)))]);
      made = builder_.transpose(a.value, order);
      break;
    }
    case 1: {  // reshape: merge all, or put in ones
      Dims dims;
      if (random.chance(40)) {
        dims = {product(type.dims)};
      } else {
        for (const Dim& d : type.dims) {
          if (random.chance(30)) dims.push_back(1);
          dims.push_back(d);
        }
        if (dims.size() > 5) return;
      }
      made = builder_.reshape(a.value, dims);
      break;
    }
    case 2: {  // broadcast
      if (rank > 3) return;
      Dims dims;
      std::vector<std::int64_t> positions;
      for (const Dim& d : type.dims) {
        if (random.chance(30)) dims.push_back(world_.recipe.symbolic && random.chance(50) ? Dim::symbol("n") : Dim(1 + random.pick(3)));
        positions.push_back(static_cast<std::int64_t>(dims.size()));
        dims.push_back(d.is_constant(1) ? Dim(1 + random.pick(4)) : d);
      }
      if (random.chance(30)) dims.push_back(2);
      if (value_of(world_, product(dims)) > largest_value) return;
      made = builder_.broadcast_in_dim(a.value, dims, positions);
      break;
    }
    case 3: {  // slice
      Dims starts, limits;
      std::vector<std::int64_t> strides;
      for (const Dim& d : type.dims) {
        if (!d.is_constant()) {
          starts.push_back(0), limits.push_back(d), strides.push_back(1);
          continue;
        }
        const auto n = static_cast<int>(d.constant());
        const int start = random.chance(50) ? 0 : random.pick(n + 1);
        starts.push_back(start);
        limits.push_back(random.chance(60) ? n : start + random.pick(n - start + 1));
        strides.push_back(1 + random.chance(25));
      }
      made = builder_.slice(a.value, starts, limits, strides);
      break;
    }
    case 4: {  // pad
      Dims low, high;
      std::vector<std::int64_t> interior;
      for (const Dim& d : type.dims) {
        const bool cut = d.is_constant() && d.constant() > 1;
        low.push_back(random.pick(3) - (cut ? 1 : 0));
        high.push_back(random.pick(2));
        interior.push_back(random.chance(20));
      }
      const Item filler = fresh({type.dtype, Type::Kind::tensor, {}}, -1, 1);
      side_[filler.value] = filler;
      made = builder_.pad(a.value, filler.value, low, high, interior);
      break;
    }
    case 5: {  // concatenate
      if (rank == 0) return;
      const Item b = adapt(type, -2, 2, false);
      if (b.value == none || !(builder_.type(b.value) == type)) return;
      side_[b.value] = b;
      made = builder_.concatenate({a.value, b.value}, axis());
      break;
    }
    case 6: {  // reverse
      if (rank == 0) return;
      made = builder_.create(Op::reverse, {a.value}, {{"dimensions", std::vector<std::int64_t>{axis()}}});
      break;
    }
    case 7:
    case 8: {  // reduce
      static const std::vector<std::string> numeric{"add", "add", "maximum", "minimum", "multiply"}, logical{"and", "or"};
      std::vector<std::int64_t> dims;
      for (std::size_t d = 0; d < rank; ++d)
        if (random.chance(50)) dims.push_back(static_cast<std::int64_t>(d));
      std::string combiner = random.of(type.dtype == DType::boolean ? logical : numeric);
      // Where a long product overflows depends on the order of its factors.
      if (combiner == "multiply" && a.example.size() > 64) combiner = "add";
      made = builder_.reduce(a.value, combiner, dims);
      break;
    }
    case 9: {  // dot_general over one dim, batched sometimes
      if (rank < 1 || type.dtype == DType::boolean) return;
      const std::int64_t contracted = axis();
      Dims other{type.dims[static_cast<std::size_t>(contracted)], Dim(1 + random.pick(6))};
      if (random.chance(50)) std::swap(other[0], other[1]);
      const Item b = adapt({type.dtype, Type::Kind::tensor, other}, -2, 2, false);
      if (b.value == none) return;
      side_[b.value] = b;
      const Dims& dims = builder_.type(b.value).dims;
      if (!(dims == other)) return;
      const std::int64_t side = other[0] == type.dims[static_cast<std::size_t>(contracted)] ? 0 : 1;
      made = builder_.dot_general(a.value, b.value, {}, {}, {contracted}, {side});
      break;
    }
    default: {  // element-wise with a value of the same type
      static const std::vector<Op> numeric{Op::add, Op::subtract, Op::multiply, Op::maximum, Op::minimum, Op::multiply, Op::divide},
          logical{Op::and_, Op::or_, Op::xor_};
      const Item b = adapt(type, -2, 2, false);
      if (b.value == none || !(builder_.type(b.value) == type)) return;
      side_[b.value] = b;
      made = builder_.create(random.of(type.dtype == DType::boolean ? logical : numeric), {a.value, b.value});
    }
  }
  if (value_of(world_, product(builder_.type(made).dims)) > largest_value) return;
  const Item item = known(made, {});
  if (item.value != none && (healthy(item.example) || random.chance(15))) pool_.push_back(item);
}

}  // namespace kiln::fuzz

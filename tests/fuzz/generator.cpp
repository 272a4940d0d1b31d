#include "tests/fuzz/generator.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <random>
#include <set>

#include <fmt/format.h>

#include "ir/builder.h"
#include "ir/interpreter.h"
#include "ir/ops/samples.h"
#include "ir/verify.h"
#include "passes/passes.h"

namespace kiln::fuzz {

using namespace ir;

namespace {

constexpr std::int64_t largest_value = 600;  // elements: the interpreters are slow on purpose

/// State, control and what only passes make. Control flow is grown by functions of its own.
bool is_drawn(Op op) {
  switch (op) {
    case Op::parameter:
    case Op::constant:
    case Op::variable:
    case Op::assign:
    case Op::gradients:
    case Op::check:
    case Op::check_finite:
    case Op::print:
    case Op::call:
    case Op::composite:
    case Op::kernel:
    case Op::cond:
    case Op::while_loop:
    case Op::scan:
    case Op::tape_new:
    case Op::tape_push:
    case Op::tape_pop:
    case Op::custom_call:
    case Op::shrink: return false;
    default: return info(op).samples != nullptr && info(op).infer != nullptr;
  }
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed * 0x9E3779B97F4A7C15ull + 1) {}
  /// 0 .. n - 1.
  int pick(int n) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(n)); }
  bool chance(int percent) { return pick(100) < percent; }
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  template <class T>
  const T& of(const std::vector<T>& list) {
    return list[static_cast<std::size_t>(pick(static_cast<int>(list.size())))];
  }

 private:
  std::mt19937_64 engine_;
};

struct Item {
  ValueId value = none;
  Array example;
  bool exact = true;
};

/// What all regions of one case share.
struct World {
  explicit World(const Recipe& r) : recipe(r), random(r.seed) {}
  Recipe recipe;
  Random random;
  Case made;
  std::int64_t extent = 5;
  int streams = 0;
};

std::int64_t value_of(const World& world, const Dim& dim) {
  return ir::evaluate(dim, [&](std::string_view name) { return std::optional<std::int64_t>(name == "n" ? world.extent : 4); });
}

bool mentions_other_symbols(const Dims& dims, bool n_allowed) {
  for (const Dim& dim : dims)
    for (const std::string& name : symbols_of(dim))
      if (name != "n" || !n_allowed) return true;
  return false;
}

bool is_static(const Dims& dims) {
  return std::ranges::all_of(dims, [](const Dim& d) { return d.is_constant(); });
}

/// A graph under construction: the main one, or a body.
class Region {
 public:
  Region(World& world, GraphId graph, int depth) : world_(world), builder_(world.made.module, graph), depth_(depth) {}

  Builder& builder() { return builder_; }
  std::vector<Item>& pool() { return pool_; }

  void grow(int nodes) {
    if (pool_.empty()) add(fresh({world_.recipe.f64 ? DType::f64 : DType::f32, Type::Kind::tensor, {3}}, -2, 2));
    const std::size_t until = pool_.size() + static_cast<std::size_t>(nodes);
    for (int tries = 0; pool_.size() < until && tries < 8 * nodes; ++tries) step();
  }

  /// A value of the type: from the pool, adapted or new.
  Item adapt(const Type& type, double low, double high, bool exact) {
    std::vector<std::size_t> same, usable;
    for (std::size_t i = 0; i < pool_.size(); ++i) {
      if (exact && !pool_[i].exact) continue;
      const Type& other = builder_.type(pool_[i].value);
      if (other == type) same.push_back(i);
      if (can_convert(pool_[i], other.dtype, type.dtype)) usable.push_back(i);
    }
    const bool everyday = low <= -2 && high >= 2;
    if (!same.empty() && world_.random.chance(70)) {
      const Item item = pool_[recent(same)];
      if (everyday || world_.random.chance(30)) return item;
      return clamped(item, type, low, high);
    }
    if (!usable.empty() && world_.random.chance(75)) {
      const Item item = reshaped(pool_[recent(usable)], type);
      if (item.value != none) return everyday && is_floating(type.dtype) ? item : clamped(item, type, low, high);
    }
    return fresh(type, low, high);
  }

  /// New data: a parameter of the main graph, a literal of a body.
  Item fresh(const Type& type, double low, double high) {
    const Array example = random_array(type, low, high);
    if (depth_ == 0 && world_.random.chance(80)) {
      const ValueId value = builder_.graph().add_parameter(type, fmt::format("x{}", world_.made.inputs.size()));
      world_.made.inputs.push_back(example);
      return side_[value] = {value, example, true};
    }
    if (is_static(type.dims) && example.size() <= 64) {
      const ValueId value = builder_.constant(example);
      return side_[value] = {value, example, true};
    }
    const double number =
        type.dtype == DType::boolean ? world_.random.pick(2) : std::round(4 * (low + world_.random.unit() * (high - low))) / 4;
    return known(builder_.splat(number, type), {});
  }

  void add(Item item) {
    if (item.value != none) pool_.push_back(std::move(item));
  }

  std::size_t recent(const std::vector<std::size_t>& list) {
    const int n = static_cast<int>(list.size());
    return world_.random.chance(60) ? list[n - 1 - world_.random.pick(std::min(n, 6))] : list[world_.random.pick(n)];
  }

  const Item& any() {
    std::vector<std::size_t> all(pool_.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
    return pool_[recent(all)];
  }

  Array random_array(const Type& type, double low, double high) {
    std::vector<std::int64_t> extents;
    for (const Dim& dim : type.dims) extents.push_back(value_of(world_, dim));
    Array values(DType::f64, Shape(extents));
    for (double& x : values.mutable_data<double>()) {
      x = type.dtype == DType::boolean ? world_.random.pick(2) : low + world_.random.unit() * (high - low);
      if (world_.random.chance(6)) x = std::round(x);  // ties, zeros
    }
    return values.convert(type.dtype);
  }

 private:
  void step();
  void table_node();
  void shaped_node();
  void grow_cond();
  void grow_while();
  void grow_scan();
  void grow_call();

  static bool can_convert(const Item& item, DType from, DType to) { return item.exact || is_floating(to) || from == to; }

  /// The example of a new value, by the reference interpreter on its node alone.
  Item known(ValueId value, const std::vector<Item>& given) {
    const Graph& graph = builder_.graph();
    const Node& node = graph.definition(value);
    Module module = regions_of(node).empty() ? Module() : world_.made.module.clone();
    const GraphId main = module.add_graph("example");
    module.main = main;
    Builder copy(module, main);
    std::vector<ValueId> operands;
    std::vector<Array> inputs;
    bool exact = true;
    std::vector<Type> types;
    for (ValueId operand : node.operands) {
      const Item item = find(operand, given);
      operands.push_back(module.graph(main).add_parameter(builder_.type(operand)));
      inputs.push_back(item.example);
      exact = exact && item.exact;
      types.push_back(builder_.type(operand));
    }
    module.graph(main).add_parameter({.dtype = DType::boolean, .dims = {Dim::symbol("n")}}, "n_elements");
    inputs.push_back(Array::zeros(DType::boolean, {world_.extent}));
    module.graph(main).results = copy.create_many(node.op, operands, node.attributes);
    const Array example = interpret(module, inputs, {}).results[graph.result_index(value)];
    if (example.size() > largest_value) return {};
    const DType dtype = types.empty() ? builder_.type(value).dtype : types[0].dtype;
    return {value, example, exact && keeps_bits(node, dtype)};
  }

  Item find(ValueId value, const std::vector<Item>& given) {
    for (const Item& item : given)
      if (item.value == value) return item;
    for (const Item& item : pool_)
      if (item.value == value) return item;
    if (const auto found = side_.find(value); found != side_.end()) return found->second;
    const Item item = known(value, {});
    side_[value] = item;
    return item;
  }

  /// A helper value that is not in the pool.
  Item side(ValueId value) {
    const Item item = known(value, {});
    if (item.value != none) side_[value] = item;
    return item;
  }

  Item converted(const Item& item, DType dtype) {
    if (builder_.type(item.value).dtype == dtype) return item;
    return side(builder_.convert(item.value, dtype));
  }

  Item clamped(const Item& item, const Type& type, double low, double high) {
    if (type.dtype == DType::boolean || item.value == none) return item;
    if (!is_floating(type.dtype)) low = std::ceil(low), high = std::floor(high);
    if (is_unsigned(type.dtype)) low = std::max(low, 0.0);
    const Item bottom = side(builder_.scalar(type.dtype, low)), top = side(builder_.scalar(type.dtype, std::max(low, high)));
    return side(builder_.create(Op::clamp, {bottom.value, item.value, top.value}));
  }

  static bool is_unsigned(DType dtype) { return dtype == DType::u8 || dtype == DType::u16 || dtype == DType::u32 || dtype == DType::u64; }

  /// `item` with the dtype and dims of the type; value none when there is no way.
  Item reshaped(Item item, const Type& type) {
    item = converted(item, type.dtype);
    if (item.value == none) return item;
    const Type own = builder_.type(item.value);
    if (own.dims == type.dims) return item;
    if (own.rank() == 0) return side(builder_.broadcast_in_dim(item.value, type.dims, {}));
    if (!is_static(own.dims) || !is_static(type.dims)) {
      // The trailing dims agree: repeat.
      if (own.rank() < type.rank() &&
          std::equal(own.dims.begin(), own.dims.end(), type.dims.end() - static_cast<std::ptrdiff_t>(own.rank()))) {
        std::vector<std::int64_t> positions;
        for (std::size_t i = 0; i < own.rank(); ++i) positions.push_back(static_cast<std::int64_t>(type.rank() - own.rank() + i));
        return side(builder_.broadcast_in_dim(item.value, type.dims, positions));
      }
      if (own.dtype == DType::boolean) return {};
      std::vector<std::int64_t> all;
      for (std::size_t i = 0; i < own.rank(); ++i) all.push_back(static_cast<std::int64_t>(i));
      if (product(own.dims).is_constant(0)) return {};
      const Item least = side(builder_.reduce(item.value, "minimum", all));
      if (least.value == none) return {};
      return side(builder_.broadcast_in_dim(least.value, type.dims, {}));
    }
    const std::int64_t have = product(own.dims).constant(), want = product(type.dims).constant();
    if (want > largest_value) return {};
    if (own.rank() != 1) item = side(builder_.reshape(item.value, {Dim(have)}));
    if (have > want) item = side(builder_.slice(item.value, {Dim(0)}, {Dim(want)}, {1}));
    if (have < want) {
      const Item filler = side(builder_.scalar(type.dtype, type.dtype == DType::boolean ? 1 : 0.5));
      item = side(builder_.pad(item.value, filler.value, {Dim(0)}, {Dim(want - have)}, {0}));
    }
    return side(builder_.reshape(item.value, type.dims));
  }

  World& world_;
  Builder builder_;
  int depth_;
  std::vector<Item> pool_;
  std::map<ValueId, Item> side_;
};

bool healthy(const Array& array) {
  if (!is_floating(array.dtype()) || array.size() == 0) return true;
  std::int64_t good = 0;
  for (std::int64_t i = 0; i < array.size(); ++i) {
    const double x = element_as_double(array, i);
    good += std::isfinite(x) && std::abs(x) < 1e4;
  }
  return 2 * good >= array.size();
}

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
      made = builder_.reduce(a.value, random.of(type.dtype == DType::boolean ? logical : numeric), dims);
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

// ---- control flow. A body's parameters stand for its node's operands, and have their examples.

Region enter(World& world, const std::string& name, int depth, const std::vector<Item>& arguments, const Graph& from) {
  const GraphId id = world.made.module.add_graph(name);
  Region region(world, id, depth);
  for (const Item& item : arguments) {
    Item inner = item;
    inner.value = world.made.module.graph(id).add_parameter(from.type(item.value));
    region.add(inner);
  }
  return region;
}

std::vector<ValueId> values_of(const std::vector<Item>& items) {
  std::vector<ValueId> values;
  for (const Item& item : items) values.push_back(item.value);
  return values;
}

void Region::grow_cond() {
  Random& random = world_.random;
  const Item predicate = adapt({DType::boolean, Type::Kind::tensor, {}}, 0, 1, true);
  if (predicate.value == none || builder_.type(predicate.value).rank() != 0) return;
  side_[predicate.value] = predicate;
  std::vector<Item> captured;
  for (int i = 0, n = 1 + random.pick(4); i < n && !pool_.empty(); ++i) captured.push_back(any());
  const Graph& graph = builder_.graph();
  Region then_region = enter(world_, "then", depth_ + 1, captured, graph);
  Region else_region = enter(world_, "else", depth_ + 1, captured, graph);
  then_region.grow(3 + random.pick(5));
  else_region.grow(2 + random.pick(4));
  if (then_region.pool().empty()) return;
  std::vector<ValueId> then_results, else_results;
  bool exact = predicate.exact;
  for (int i = 0, n = 1 + random.pick(3); i < n; ++i) {
    const Item a = then_region.pool()[then_region.pool().size() - 1 -
                                      static_cast<std::size_t>(random.pick(std::min<int>(4, static_cast<int>(then_region.pool().size()))))];
    const Item b = else_region.adapt(then_region.builder().type(a.value), -2, 2, false);
    if (b.value == none || !(else_region.builder().type(b.value) == then_region.builder().type(a.value))) continue;
    exact = exact && a.exact && b.exact;
    then_results.push_back(a.value);
    else_results.push_back(b.value);
  }
  if (then_results.empty()) return;
  then_region.builder().graph().results = then_results;
  else_region.builder().graph().results = else_results;
  std::vector<ValueId> operands{predicate.value};
  for (const Item& item : captured) operands.push_back(item.value);
  const auto results = builder_.create_many(
      Op::cond, operands, {{"then", GraphRef{then_region.builder().graph_id()}}, {"else", GraphRef{else_region.builder().graph_id()}}});
  for (const ValueId value : results) {
    Item item = known(value, captured);
    item.exact = item.exact && exact;
    if (item.value != none && healthy(item.example)) pool_.push_back(item);
  }
}

void Region::grow_while() {
  Random& random = world_.random;
  const Type scalar{DType::i64, Type::Kind::tensor, {}};
  const Item zero = side(builder_.scalar(DType::i64, 0));
  // The trip count: known when the graph is built, or only in the run.
  Item trips = random.chance(50) ? side(builder_.scalar(DType::i64, random.pick(5))) : adapt(scalar, 0, 4, true);
  if (trips.value == none || !(builder_.type(trips.value) == scalar)) return;
  trips = clamped(trips, scalar, 0, 5);
  std::vector<Item> arguments{zero};
  const int carried = 1 + random.pick(3), captured = random.pick(3);
  for (int i = 0; i < carried && !pool_.empty(); ++i) arguments.push_back(any());
  const std::size_t state = arguments.size();
  arguments.push_back(trips);
  for (int i = 0; i < captured && !pool_.empty(); ++i) arguments.push_back(any());
  const Graph& graph = builder_.graph();
  Region condition = enter(world_, "condition", depth_ + 1, arguments, graph);
  Builder& c = condition.builder();
  c.graph().results = {c.compare(Comparison::lt, c.graph().parameters[0], c.graph().parameters[state])};
  Region body = enter(world_, "body", depth_ + 1, arguments, graph);
  // Values change from one iteration to the next: nothing of the carried state counts as exact unless all of it stays so.
  for (std::size_t i = 1; i < state; ++i)
    if (is_floating(body.builder().type(body.pool()[i].value).dtype)) body.pool()[i].exact = false;
  body.grow(3 + random.pick(6));
  Builder& b = body.builder();
  std::vector<ValueId> next{b.add(b.graph().parameters[0], b.scalar(DType::i64, 1))};
  bool exact = true;
  for (std::size_t i = 1; i < state; ++i) {
    const Type& type = builder_.type(arguments[i].value);
    const bool discrete = !is_floating(type.dtype);
    Item item = body.adapt(type, -2, 2, discrete);
    if (item.value == none || !(b.type(item.value) == type))
      item.value = b.graph().parameters[i];
    else
      exact = exact && item.exact;
    // Keeps the state from growing beyond all bounds.
    next.push_back(is_floating(type.dtype) && random.chance(60) ? b.create(Op::tanh, {item.value}) : item.value);
  }
  b.graph().results = next;
  const auto results = builder_.create_many(
      Op::while_loop, values_of(arguments),
      {{"carried", static_cast<std::int64_t>(state)}, {"condition", GraphRef{c.graph_id()}}, {"body", GraphRef{b.graph_id()}}});
  for (std::size_t i = 0; i < results.size(); ++i) {
    Item item = known(results[i], arguments);
    if (item.value == none) continue;
    item.exact = item.exact && (i == 0 || (exact && !is_floating(item.example.dtype())));
    if (healthy(item.example)) pool_.push_back(item);
  }
}

void Region::grow_scan() {
  Random& random = world_.random;
  const Dim length = world_.recipe.symbolic && random.chance(40) ? Dim::symbol("n") : Dim(random.pick(5));
  std::vector<Item> arguments;
  const int carried = 1 + random.pick(2), sequences = random.pick(3), captured = random.pick(3);
  for (int i = 0; i < carried && !pool_.empty(); ++i) arguments.push_back(any());
  const std::size_t state = arguments.size();
  static const std::vector<DType> dtypes{DType::f32, DType::f64, DType::i32};
  for (int i = 0; i < sequences; ++i) {
    Dims dims{length};
    for (int d = random.pick(3); d > 0; --d) dims.push_back(1 + random.pick(4));
    const DType dtype = random.of(dtypes);
    const Item item = adapt({world_.recipe.f64 && is_floating(dtype) ? DType::f64 : dtype, Type::Kind::tensor, dims}, -2, 2, false);
    if (item.value == none || !(builder_.type(item.value).dims == dims)) return;
    side_[item.value] = item;
    arguments.push_back(item);
  }
  const std::size_t before_captured = arguments.size();
  for (int i = 0; i < captured && !pool_.empty(); ++i) arguments.push_back(any());
  const GraphId id = world_.made.module.add_graph("step");
  Region body(world_, id, depth_ + 1);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    Type type = builder_.type(arguments[i].value);
    Item inner = arguments[i];
    if (i >= state && i < before_captured) {
      type.dims.erase(type.dims.begin());
      inner.example = body.random_array(type, -1, 1);
    }
    inner.value = body.builder().graph().add_parameter(type);
    if (is_floating(type.dtype) && i < state) inner.exact = false;
    body.add(inner);
  }
  body.grow(3 + random.pick(6));
  Builder& b = body.builder();
  std::vector<ValueId> results;
  for (std::size_t i = 0; i < state; ++i) {
    const Type& type = builder_.type(arguments[i].value);
    Item item = body.adapt(type, -2, 2, !is_floating(type.dtype));
    if (item.value == none || !(b.type(item.value) == type)) item.value = b.graph().parameters[i];
    results.push_back(is_floating(type.dtype) && random.chance(60) ? b.create(Op::tanh, {item.value}) : item.value);
  }
  for (int i = 0, n = random.pick(3); i < n; ++i) results.push_back(body.any().value);
  b.graph().results = results;
  Attributes attributes{{"carried", static_cast<std::int64_t>(state)},
                        {"sequences", static_cast<std::int64_t>(before_captured - state)},
                        {"body", GraphRef{id}},
                        {"length", Dims{length}}};
  if (random.chance(30)) attributes = attributes.with("reverse", true);
  const auto made = builder_.create_many(Op::scan, values_of(arguments), attributes);
  for (const ValueId value : made) {
    Item item = known(value, arguments);
    if (item.value == none) continue;
    item.exact = false;
    if (healthy(item.example) && is_floating(item.example.dtype())) pool_.push_back(item);
  }
}

void Region::grow_call() {
  Random& random = world_.random;
  std::vector<Item> arguments;
  for (int i = 0, n = 1 + random.pick(3); i < n && !pool_.empty(); ++i) arguments.push_back(any());
  Region body = enter(world_, "function", depth_ + 1, arguments, builder_.graph());
  body.grow(2 + random.pick(5));
  if (body.pool().empty()) return;
  std::vector<ValueId> results;
  bool exact = true;
  for (int i = 0, n = 1 + random.pick(2); i < n; ++i) {
    const Item item = body.any();
    results.push_back(item.value);
    exact = exact && item.exact;
  }
  body.builder().graph().results = results;
  const auto made = builder_.create_many(Op::call, values_of(arguments), {{"body", GraphRef{body.builder().graph_id()}}});
  for (const ValueId value : made) {
    Item item = known(value, arguments);
    item.exact = item.exact && exact;
    if (item.value != none && healthy(item.example)) pool_.push_back(item);
  }
}

/// Sums a floating value and differentiates with respect to a few values it depends on.
void add_gradients(World& world, Region& main) {
  Builder& b = main.builder();
  Random& random = world.random;
  for (int attempt = 0; attempt < 12; ++attempt) {
    const Item y = main.any();
    const Type type = b.type(y.value);
    if (!is_floating(type.dtype)) continue;
    std::vector<std::int64_t> all;
    for (std::size_t d = 0; d < type.rank(); ++d) all.push_back(static_cast<std::int64_t>(d));
    const ValueId loss = b.reduce_add(b.multiply(y.value, y.value), all);
    std::vector<ValueId> operands{loss};
    for (const Item& item : main.pool()) {
      if (!is_floating(b.type(item.value).dtype) || item.value >= y.value || operands.size() > 4 || random.chance(40)) continue;
      const ValueId wrt[] = {item.value};
      if (!passes::find_gradient_problem(world.made.module, b.graph_id(), loss, wrt)) operands.push_back(item.value);
    }
    for (const ValueId parameter : b.graph().parameters) {
      if (!is_floating(b.type(parameter).dtype) || operands.size() > 5) continue;
      const ValueId wrt[] = {parameter};
      if (!passes::find_gradient_problem(world.made.module, b.graph_id(), loss, wrt) &&
          std::ranges::find(operands, parameter) == operands.end())
        operands.push_back(parameter);
    }
    if (operands.size() < 2) continue;
    const std::vector<ValueId> gradients = b.create_many(Op::gradients, operands);
    for (const ValueId g : gradients) b.graph().results.push_back(g);
    if (random.chance(30)) {  // second order
      const Type& of = b.type(gradients[0]);
      std::vector<std::int64_t> dims;
      for (std::size_t d = 0; d < of.rank(); ++d) dims.push_back(static_cast<std::int64_t>(d));
      const ValueId total = b.reduce_add(gradients[0], dims);
      const ValueId wrt[] = {operands.back()};
      if (!passes::find_gradient_problem(world.made.module, b.graph_id(), total, wrt))
        for (const ValueId g : b.create_many(Op::gradients, {total, operands.back()})) b.graph().results.push_back(g);
    }
    return;
  }
}

}  // namespace

Recipe recipe_of(std::uint64_t seed) {
  Random random(seed ^ 0x5DEECE66Dull);
  Recipe recipe;
  recipe.seed = seed;
  recipe.nodes = 14 + random.pick(22);
  recipe.symbolic = random.chance(45);
  recipe.control = random.chance(40);
  recipe.gradients = random.chance(35);
  recipe.f64 = recipe.gradients && random.chance(50);
  return recipe;
}

Case generate(const Recipe& recipe) {
  World world(recipe);
  static const std::vector<std::int64_t> extents{0, 1, 2, 3, 5, 5, 9, 17};
  world.extent = recipe.symbolic ? world.random.of(extents) : 1;
  world.made.recipe = recipe;
  world.made.extent = world.extent;
  Module& module = world.made.module;
  Region main(world, module.main, 0);
  static const std::vector<DType> dtypes{DType::f32, DType::f32, DType::f64, DType::i32, DType::boolean};
  for (int i = 0; i < 4; ++i) {
    Dims dims;
    for (int d = world.random.pick(4); d > 0; --d)
      dims.push_back(recipe.symbolic && world.random.chance(35) ? Dim::symbol("n") : Dim(1 + world.random.pick(5)));
    const DType dtype = world.random.of(dtypes);
    main.add(main.fresh({recipe.f64 && is_floating(dtype) ? DType::f64 : dtype, Type::Kind::tensor, dims}, -2, 2));
  }
  main.grow(recipe.nodes);
  Graph& graph = module.main_graph();
  const int results = 2 + world.random.pick(4);
  for (int i = 0; i < results; ++i) graph.results.push_back(main.any().value);
  if (world.random.chance(25)) {  // state: a variable that is read, and assigned something of its type
    const Item next = main.any();
    const Type type = main.builder().type(next.value);
    if (is_static(type.dims) && type.dtype != DType::boolean) {
      Variable variable;
      variable.name = "state";
      variable.type = type;
      module.add_variable(variable);
      world.made.variables["state"] = main.random_array(type, -2, 2);
      Builder& b = main.builder();
      const ValueId old = b.create(Op::variable, {}, {{"name", std::string("state")}});
      const ValueId mixed = b.create(Op::add, {old, next.value});
      b.create(Op::assign, {world.random.chance(70) ? mixed : next.value}, {{"name", std::string("state")}});
      if (world.random.chance(50)) graph.results.push_back(mixed);
    }
  }
  if (recipe.gradients) add_gradients(world, main);
  if (recipe.symbolic) {
    graph.add_parameter({.dtype = DType::boolean, .dims = {Dim::symbol("n")}}, "n_elements");
    world.made.inputs.push_back(Array::zeros(DType::boolean, {world.extent}));
  }
  verify(module);
  return std::move(world.made);
}

bool keeps_bits(const Node& node, DType dtype) {
  if (!is_floating(dtype)) return true;
  const OpInfo& entry = info(node.op);
  if (node.op == Op::cond || node.op == Op::while_loop || node.op == Op::call || node.op == Op::scan) return true;  // the caller knows more
  if (const auto* combiner = node.attributes.find("combiner"))
    if (const auto* text = std::get_if<std::string>(combiner); text && (*text == "maximum" || *text == "minimum" || *text == "replace"))
      return true;
  return entry.tolerance == 0;
}

bool is_discontinuous(const Node& node, std::span<const Type> operands, std::span<const Type> results) {
  switch (node.op) {
    case Op::floor:
    case Op::ceil:
    case Op::round_nearest_even:
    case Op::round_nearest_afz:
    case Op::reduce_precision:
    case Op::bitcast_convert:
    case Op::sign:
    case Op::remainder:
    case Op::atan2:
    case Op::tan:
    case Op::cbrt:
    case Op::power: return true;
    default: break;
  }
  const auto floating = [](const Type& type) { return is_floating(type.dtype); };
  return std::ranges::any_of(operands, floating) && !std::ranges::all_of(results, floating);
}

std::vector<std::pair<Op, DType>> wanted_pairs() {
  std::vector<std::pair<Op, DType>> pairs;
  for (const Op op : all_ops()) {
    if (!is_drawn(op)) continue;
    for (int d = 0; d < dtype_count; ++d)
      if (info(op).dtypes.contains(static_cast<DType>(d))) pairs.emplace_back(op, static_cast<DType>(d));
  }
  return pairs;
}

void count(const Module& module, Coverage& coverage) {
  for (const auto& graph : module.graphs)
    for (NodeId id = 0; id < graph->node_count(); ++id) {
      const Node& node = graph->node(id);
      if (node.result_count == 0 && node.operands.empty()) continue;
      const DType dtype = node.operands.empty() ? graph->type(node.first_result).dtype : graph->type(node.operands[0]).dtype;
      ++coverage[{node.op, dtype}];
    }
}

std::size_t size_of_module(const Module& module) {
  std::size_t size = 0;
  for (const auto& graph : module.graphs)
    for (NodeId id = 0; id < graph->node_count(); ++id) size += graph->node(id).op != Op::parameter && graph->node(id).op != Op::constant;
  return size;
}

}  // namespace kiln::fuzz

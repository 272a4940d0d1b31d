// Values of a region: adapting, making, knowing them by example.
#include "tests/fuzz/region.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "ir/interpreter.h"
#include "ir/op.h"

namespace kiln::fuzz {

using namespace ir;

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

std::int64_t value_of(const World& world, const Dim& dim) {
  return ir::evaluate(dim, [&](std::string_view name) {
    const auto produced = world.produced.find(std::string(name));
    if (produced != world.produced.end()) return std::optional(produced->second);
    return std::optional<std::int64_t>(name == "n" ? world.extent : 4);
  });
}

bool is_static(const Dims& dims) {
  return std::ranges::all_of(dims, [](const Dim& d) { return d.is_constant(); });
}

bool healthy(const Array& array) {
  if (!is_floating(array.dtype()) || array.size() == 0) return true;
  std::int64_t good = 0;
  for (std::int64_t i = 0; i < array.size(); ++i) {
    const double x = element_as_double(array, i);
    good += std::isfinite(x) && std::abs(x) < 1e4;
  }
  return 2 * good >= array.size();
}

void Region::grow(int nodes) {
  if (pool_.empty()) add(fresh({world_.recipe.f64 ? DType::f64 : DType::f32, Type::Kind::tensor, {3}}, -2, 2));
  const std::size_t until = pool_.size() + static_cast<std::size_t>(nodes);
  for (int tries = 0; pool_.size() < until && tries < 8 * nodes; ++tries) step();
}

Item Region::adapt(const Type& type, double low, double high, bool exact) {
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

Item Region::fresh(const Type& type, double low, double high) {
  const Array example = random_array(type, low, high);
  bool is_fed = depth_ == 0 && world_.random.chance(80);
  for (const Dim& dim : type.dims)
    for (const std::string& name : symbols_of(dim)) is_fed = is_fed && !world_.produced.contains(name);
  if (is_fed) {
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

Array Region::random_array(const Type& type, double low, double high) {
  std::vector<std::int64_t> extents;
  for (const Dim& dim : type.dims) extents.push_back(value_of(world_, dim));
  Array values(DType::f64, Shape(extents));
  for (double& x : values.mutable_data<double>()) {
    x = type.dtype == DType::boolean ? world_.random.pick(2) : low + world_.random.unit() * (high - low);
    if (world_.random.chance(6)) x = std::round(x);  // ties, zeros
  }
  return values.convert(type.dtype);
}

Item Region::known(ValueId value, const std::vector<Item>& given) {
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
  for (const auto& [symbol, extent] : world_.produced) {
    if (node.op == Op::shrink && node.attributes.text("symbol") == symbol) continue;
    module.graph(main).add_parameter({.dtype = DType::boolean, .dims = {Dim::symbol(symbol)}}, symbol + "_elements");
    inputs.push_back(Array::zeros(DType::boolean, {extent}));
  }
  module.graph(main).results = copy.create_many(node.op, operands, node.attributes);
  if (!regions_of(node).empty()) module.sweep();  // without the nodes that produce what is fed here
  const Array example = interpret(module, inputs, {}).results[graph.result_index(value)];
  if (example.size() > largest_value) return {};
  const DType dtype = types.empty() ? builder_.type(value).dtype : types[0].dtype;
  return {value, example, exact && keeps_bits(node, dtype)};
}

Item Region::find(ValueId value, const std::vector<Item>& given) {
  for (const Item& item : given)
    if (item.value == value) return item;
  for (const Item& item : pool_)
    if (item.value == value) return item;
  if (const auto found = side_.find(value); found != side_.end()) return found->second;
  const Item item = known(value, {});
  side_[value] = item;
  return item;
}

Item Region::side(ValueId value) {
  const Item item = known(value, {});
  if (item.value != none) side_[value] = item;
  return item;
}

Item Region::converted(const Item& item, DType dtype) {
  if (builder_.type(item.value).dtype == dtype) return item;
  return side(builder_.convert(item.value, dtype));
}

Item Region::clamped(const Item& item, const Type& type, double low, double high) {
  if (type.dtype == DType::boolean || item.value == none) return item;
  if (!is_floating(type.dtype)) low = std::ceil(low), high = std::floor(high);
  if (is_unsigned(type.dtype)) low = std::max(low, 0.0);
  const Item bottom = side(builder_.scalar(type.dtype, low)), top = side(builder_.scalar(type.dtype, std::max(low, high)));
  return side(builder_.create(Op::clamp, {bottom.value, item.value, top.value}));
}

Item Region::reshaped(Item item, const Type& type) {
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

}  // namespace kiln::fuzz

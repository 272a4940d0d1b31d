// Control flow and produced extents.
#include "tests/fuzz/region.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "ir/interpreter.h"
#include "ir/op.h"

namespace kiln::fuzz {

using namespace ir;

// ---- control flow. A body's parameters stand for its node's operands, and have their examples.

namespace {

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

}  // namespace

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

/// The first elements of a value, as many as a scalar says, and what can be done with an extent that only the run knows.
void Region::grow_shrink() {
  Random& random = world_.random;
  const Item x = any();
  const Type type = builder_.type(x.value);
  if (type.rank() == 0 || !type.dims[0].is_constant()) return;
  const Item count = adapt({DType::i64, Type::Kind::tensor, {}}, -1, static_cast<double>(type.dims[0].constant()) + 1, true);
  if (count.value == none || builder_.type(count.value).rank() != 0 || builder_.type(count.value).dtype != DType::i64) return;
  side_[count.value] = count;
  const std::string symbol = fmt::format("p{}", world_.produced.size());
  world_.produced[symbol] = std::clamp<std::int64_t>(count.example.item<std::int64_t>(), 0, type.dims[0].constant());
  const ValueId made = builder_.create(Op::shrink, {x.value, count.value}, {{"symbol", symbol}});
  const Item item = known(made, {});
  if (item.value == none) return;
  pool_.push_back(item);
  if (random.chance(60)) {
    const ValueId sum = builder_.reduce(made, type.dtype == DType::boolean ? "or" : "maximum", {0});
    if (const Item folded = known(sum, {}); folded.value != none && healthy(folded.example)) pool_.push_back(folded);
  }
}

}  // namespace kiln::fuzz

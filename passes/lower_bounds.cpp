// What max_trip_count means for a loop and for the tapes that its gradient keeps.
//
// The loop counts its iterations and checks in each that the bound holds, so a run that breaks it fails before anything changes. (A bound
// that ended the loop silently would make results and gradients wrong.) Backward loops, which run as often as the forward loop did, are not
// checked again.
//
// A tape with a bound is a tensor and a count:
//
//     tape_new           stack = zeros[bound, ...], count = 0
//     tape_push          stack = dynamic_update_slice(stack, value, count), count + 1
//     tape_pop           count - 1, dynamic_slice(stack, count - 1)
//
// so it lies in the arena, planned before the run, and pushes and pops fuse with the kernels that make and use the values. Values that are
// one tape (in front of, in and after a loop, before and after a push) form a class. A class is lowered when each tape_new in it has a
// bound and it goes through loops alone.
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "ir/op.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace kiln::passes {

using namespace ir;

namespace {

class TapeClasses {
 public:
  explicit TapeClasses(const Module& module) : module_(module) {
    std::size_t total = 0;
    for (GraphId g = 0; g < module.graphs.size(); ++g) {
      first_.push_back(total);
      total += module.graph(g).value_count();
    }
    parent_.resize(total);
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
    bound_.assign(total, 0);
    for (GraphId g = 0; g < module.graphs.size(); ++g)
      for (NodeId n = 0; n < module.graph(g).node_count(); ++n) visit(g, n);
  }

  /// The bound of a tape that is lowered, or 0.
  std::int64_t bound(GraphId graph, ValueId v) {
    if (!is_tape(graph, v)) return 0;
    return std::max<std::int64_t>(bound_[find(first_[graph] + v)], 0);
  }

  bool is_tape(GraphId graph, ValueId v) const { return module_.graph(graph).type(v).kind == Type::Kind::tape; }

 private:
  static constexpr std::int64_t unbounded = -1;

  std::size_t find(std::size_t at) {
    while (parent_[at] != at) at = parent_[at] = parent_[parent_[at]];
    return at;
  }
  void join(GraphId a, ValueId v, GraphId b, ValueId w) {
    const std::size_t x = find(first_[a] + v), y = find(first_[b] + w);
    if (x == y) return;
    parent_[y] = x;
    bound_[x] = bound_[x] == unbounded || bound_[y] == unbounded ? unbounded : std::max(bound_[x], bound_[y]);
  }
  void limit(GraphId graph, ValueId v, std::int64_t bound) {
    std::int64_t& known = bound_[find(first_[graph] + v)];
    known = known == unbounded || bound == unbounded ? unbounded : std::max(known, bound);
  }

  void visit(GraphId g, NodeId n) {
    const Graph& graph = module_.graph(g);
    const Node& node = graph.node(n);
    if (!touches_tape(graph, node) || node.op == Op::parameter) return;
    switch (node.op) {
      case Op::tape_new:
        // A stack of extent 0 has no slices, so an empty one has room for one item that is never pushed.
        limit(g, node.first_result,
              node.attributes.find("bound") ? std::max<std::int64_t>(node.attributes.integer("bound"), 1) : unbounded);
        return;
      case Op::tape_push:
      case Op::tape_pop: join(g, node.operands[0], g, node.first_result); return;
      case Op::while_loop:
        for (std::uint32_t i = 0; i < node.result_count; ++i) {
          const ValueId result = node.first_result + i;
          if (!is_tape(g, result)) continue;
          join(g, node.operands[i], g, result);
          for (GraphId region : regions_of(node)) join(g, result, region, module_.graph(region).parameters[i]);
          const GraphId body = node.attributes.graph("body");
          join(g, result, body, module_.graph(body).results[i]);
        }
        return;
      default:
        for (ValueId v : node.operands)
          if (is_tape(g, v)) limit(g, v, unbounded);
        for (std::uint32_t i = 0; i < node.result_count; ++i)
          if (is_tape(g, node.first_result + i)) limit(g, node.first_result + i, unbounded);
        for (GraphId region : regions_of(node))
          for (const auto* list : {&module_.graph(region).parameters, &module_.graph(region).results})
            for (ValueId v : *list)
              if (is_tape(region, v)) limit(region, v, unbounded);
    }
  }

  const Module& module_;
  std::vector<std::size_t> first_, parent_;  // values of all graphs, numbered through
  std::vector<std::int64_t> bound_;          // of the class, at its root; 0: not known yet
};

/// The start of a window at index `count` of dim 0.
std::vector<ValueId> window_starts(Builder& builder, ValueId count, std::size_t rank) {
  std::vector<ValueId> starts{count};
  if (rank > 1) starts.resize(rank, builder.scalar(DType::i64, 0));
  return starts;
}

class TapeLowering {
 public:
  TapeLowering(Module& module, const std::vector<std::int64_t>& bounds, GraphId id) : bounds_(bounds), rebuild_(module, id) {}

  void run() {
    const Graph& old = rebuild_.old();
    counts_.assign(old.value_count(), none);
    for (NodeId n = 0; n < old.node_count(); ++n) lower(n);
    for (const auto& [from, to] :
         {std::pair(&old.parameters, &rebuild_.graph().parameters), std::pair(&old.results, &rebuild_.graph().results)}) {
      std::vector<ValueId> list;
      for (ValueId v : *from) append(list, v);
      *to = std::move(list);
    }
  }

 private:
  std::int64_t bound(ValueId v) const { return bounds_[v]; }

  Type stack_type(ValueId tape) const {
    Type type = rebuild_.old().type(tape);
    type.kind = Type::Kind::tensor;
    type.dims.insert(type.dims.begin(), Dim(bound(tape)));
    return type;
  }

  /// The value, or the stack and the count that it has become.
  void append(std::vector<ValueId>& list, ValueId v) const {
    list.push_back(rebuild_[v]);
    if (bound(v) > 0) list.push_back(counts_[v]);
  }

  void set(ValueId tape, ValueId stack, ValueId count) {
    rebuild_.map()[tape] = stack;
    counts_[tape] = count;
  }

  void lower(NodeId n) {
    const Graph& old = rebuild_.old();
    const Node& node = old.node(n);
    Builder& builder = rebuild_.builder();
    builder.location = node.location;
    const ValueId first = node.first_result;
    bool lowered = false;
    for (ValueId v : node.operands) lowered |= bound(v) > 0;
    for (std::uint32_t i = 0; i < node.result_count; ++i) lowered |= bound(first + i) > 0;
    if (!lowered) return rebuild_.keep(n);
    switch (node.op) {
      case Op::parameter: {
        Graph& graph = rebuild_.graph();
        const ValueId stack = graph.add_parameter(stack_type(first), old.value_name(first), node.location);
        return set(first, stack, graph.add_parameter({DType::i64, Type::Kind::tensor, {}}, "", node.location));
      }
      case Op::tape_new: {
        // Zeros of its own, which are not merged with others: so the stack starts where they lie, without a copy.
        builder.recompute = true;
        const ValueId stack = builder.zeros(stack_type(first));
        builder.recompute = false;
        return set(first, stack, builder.scalar(DType::i64, 0));
      }
      case Op::tape_push: {
        const ValueId stack = rebuild_[node.operands[0]], count = counts_[node.operands[0]];
        Dims dims = old.type(node.operands[1]).dims;
        dims.insert(dims.begin(), Dim(1));
        std::vector<ValueId> operands{stack, builder.reshape(rebuild_[node.operands[1]], dims)};
        for (ValueId start : window_starts(builder, count, dims.size())) operands.push_back(start);
        const ValueId pushed = builder.create(Op::dynamic_update_slice, std::move(operands));
        return set(first, pushed, builder.add(count, builder.scalar(DType::i64, 1)));
      }
      case Op::tape_pop: {
        const ValueId stack = rebuild_[node.operands[0]];
        const ValueId count = builder.subtract(counts_[node.operands[0]], builder.scalar(DType::i64, 1));
        Dims dims = old.type(first + 1).dims;
        dims.insert(dims.begin(), Dim(1));
        std::vector<ValueId> operands{stack};
        for (ValueId start : window_starts(builder, count, dims.size())) operands.push_back(start);
        const ValueId top = builder.create(Op::dynamic_slice, std::move(operands), {{"sizes", dims}});
        set(first, stack, count);
        return rebuild_.replace(first + 1, builder.reshape(top, old.type(first + 1).dims));
      }
      default: break;
    }
    internal_check(node.op == Op::while_loop, "tapes that are lowered go through loops alone");
    std::vector<ValueId> operands;
    for (ValueId v : node.operands) append(operands, v);
    std::vector<Type> types;
    std::vector<std::uint32_t> position;  // by result: where it is among the new ones
    for (std::uint32_t i = 0; i < node.result_count; ++i) {
      position.push_back(static_cast<std::uint32_t>(types.size()));
      const bool tape = bound(first + i) > 0;
      types.push_back(tape ? stack_type(first + i) : old.type(first + i));
      if (tape) types.push_back({DType::i64, Type::Kind::tensor, {}});
    }
    Graph& graph = rebuild_.graph();
    const Attributes attributes = node.attributes.with("carried", static_cast<std::int64_t>(types.size()));
    const NodeId copy = graph.append(Op::while_loop, std::move(operands), attributes, std::move(types), node.location);
    graph.node(copy).recompute = node.recompute;
    for (std::uint32_t i = 0; i < node.result_count; ++i) {
      const ValueId value = graph.node(copy).first_result + position[i];
      if (bound(first + i) > 0)
        set(first + i, value, value + 1);
      else
        rebuild_.replace(first + i, value);
    }
  }

  const std::vector<std::int64_t>& bounds_;  // by old value; 0: no tape that is lowered
  Rebuild rebuild_;
  std::vector<ValueId> counts_;  // by old value
};

bool lower_tapes(Module& module) {
  std::vector<std::vector<std::int64_t>> bounds(module.graphs.size());
  std::vector<bool> holds(module.graphs.size());
  TapeClasses classes(module);
  for (GraphId g = 0; g < module.graphs.size(); ++g)
    for (ValueId v = 0; v < module.graph(g).value_count(); ++v) {
      bounds[g].push_back(classes.bound(g, v));
      if (bounds[g].back() > 0) holds[g] = true;
    }
  for (GraphId g = 0; g < module.graphs.size(); ++g)
    if (holds[g]) TapeLowering(module, bounds[g], g).run();
  return std::ranges::find(holds, true) != holds.end();
}

bool is_unchecked_bound(const Node& node) {
  return node.op == Op::while_loop && node.attributes.find("max_trip_count") &&
         !(node.attributes.find("within_bound") && node.attributes.flag("within_bound"));
}

/// A copy of a region with a counter among its parameters, after the carried ones.
GraphId with_counter(Module& module, GraphId region, std::size_t carried, ValueId& counter) {
  const GraphId id = module.add_graph(module.graph(region).name + "_counted");
  const std::string name = module.graph(id).name;
  module.graph(id) = module.graph(region);
  Graph& graph = module.graph(id);
  graph.name = name;
  counter = graph.add_parameter({DType::i64, Type::Kind::tensor, {}}, "trips");
  graph.parameters.pop_back();
  graph.parameters.insert(graph.parameters.begin() + static_cast<std::ptrdiff_t>(carried), counter);
  return id;
}

void check_bound(Module& module, Rebuild& rebuild, NodeId n) {
  const Node& loop = rebuild.old().node(n);
  const std::size_t carried = loop.result_count;
  const std::int64_t bound = loop.attributes.integer("max_trip_count");
  ValueId counter = none;
  const GraphId condition = with_counter(module, loop.attributes.graph("condition"), carried, counter);
  const GraphId body = with_counter(module, loop.attributes.graph("body"), carried, counter);
  Builder inside(module, body);
  inside.location = loop.location;
  const ValueId within = inside.compare(Comparison::lt, counter, inside.constant(Array(bound)));
  inside.create_many(Op::check, {within},
                     {{"message", fmt::format("the loop runs more than its max_trip_count = {} times", bound)},
                      {"code", static_cast<std::int64_t>(ErrorCode::check_failed)}});
  inside.graph().results.push_back(inside.add(counter, inside.scalar(DType::i64, 1)));
  std::vector<ValueId> operands = rebuild.mapped(loop.operands);
  rebuild.builder().location = loop.location;
  operands.insert(operands.begin() + static_cast<std::ptrdiff_t>(carried), rebuild.builder().scalar(DType::i64, 0));
  rebuild.builder().recompute = loop.recompute;
  const std::vector<ValueId> values = rebuild.builder().create_many(Op::while_loop, std::move(operands),
                                                                    loop.attributes.without("max_trip_count")
                                                                        .with("carried", static_cast<std::int64_t>(carried + 1))
                                                                        .with("condition", GraphRef{condition})
                                                                        .with("body", GraphRef{body}));
  rebuild.builder().recompute = false;
  for (std::uint32_t i = 0; i < loop.result_count; ++i) rebuild.replace(loop.first_result + i, values[i]);
}

bool check_bounds(Module& module) {
  bool changed = false;
  for (GraphId id : callees_first(module)) {
    const Graph& graph = module.graph(id);
    bool found = false;
    for (NodeId n = 0; n < graph.node_count() && !found; ++n) found = is_unchecked_bound(graph.node(n));
    if (!found) continue;
    changed = true;
    Rebuild rebuild(module, id);
    for (NodeId n = 0; n < rebuild.old().node_count(); ++n) {
      if (is_unchecked_bound(rebuild.old().node(n)))
        check_bound(module, rebuild, n);
      else
        rebuild.keep(n);
    }
    rebuild.finish();
  }
  return changed;
}

}  // namespace

bool lower_bounds(Module& module) {
  bool changed = lower_tapes(module);
  changed |= check_bounds(module);
  if (changed) module.sweep();
  return changed;
}

}  // namespace kiln::passes

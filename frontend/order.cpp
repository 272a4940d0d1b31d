// Order, positions, shrinking (order.h).
#include "frontend/order.h"

#include "kiln/control.h"

namespace kiln::detail {

Tensor order_of(const std::vector<Tensor>& keys, std::int64_t axis, bool descending) {
  ir::Attributes attributes{{"dimension", axis}};
  if (descending) attributes = attributes.with("descending", true);
  return apply(ir::Op::argsort, keys, attributes);
}

Tensor take_along(const Tensor& x, const Tensor& positions, std::int64_t axis) {
  const auto rank = static_cast<std::int64_t>(x.rank());
  std::vector<std::int64_t> batch;
  for (std::int64_t d = 0; d < rank; ++d)
    if (d != axis) batch.push_back(d);
  ir::Attributes attributes{{"collapsed_slice_dims", std::vector<std::int64_t>{axis}},
                            {"start_index_map", std::vector<std::int64_t>{axis}},
                            {"index_vector_dim", rank},
                            {"slice_sizes", ir::Dims(x.rank(), ir::Dim(1))}};
  if (!batch.empty()) attributes = attributes.with("operand_batching_dims", batch).with("start_indices_batching_dims", batch);
  return apply(ir::Op::gather, {x, positions}, attributes);
}

Tensor previous_along(const Tensor& x, std::int64_t axis, const Tensor& first) {
  ir::Dims low(x.rank(), ir::Dim(0)), high = low;
  low[static_cast<std::size_t>(axis)] = 1;
  high[static_cast<std::size_t>(axis)] = -1;
  return apply(ir::Op::pad, {x, first}, {{"low", low}, {"high", high}, {"interior", std::vector<std::int64_t>(x.rank(), 0)}});
}

Tensor comes_before(const Tensor& a, const Tensor& b) {
  if (a.dtype() == DType::boolean) return logical_and(logical_not(a), b);
  const Tensor less_than = less(a, b);
  return is_floating(a.dtype()) ? logical_or(less_than, logical_and(not_equal(b, b), equal(a, a))) : less_than;
}

Tensor sum_at(Composite& of, const Tensor& positions, const Tensor& weights, const Dim& size) {
  return apply(ir::Op::scatter, {of.full(weights.dtype(), {size}, 0), positions, weights},
               {{"combiner", std::string("add")},
                {"inserted_window_dims", std::vector<std::int64_t>{0}},
                {"scatter_dims_to_operand_dims", std::vector<std::int64_t>{0}},
                {"index_vector_dim", std::int64_t{1}}});
}

/// Binary search, all values at once: as many steps as the vector's length has bits.
Tensor places_in(Composite& of, const Tensor& sorted, const Tensor& values, bool right) {
  const Tensor begin = of.full(i64, values.dims(), 0);
  const Tensor end = broadcast_to(of.count(sorted.dims(), {0}, i64), values.dims());
  const auto open = [](const std::vector<Tensor>& v) { return less(v[0], v[1]); };
  return while_loop([&](const std::vector<Tensor>& v) { return reduce_any(open(v)); },
                    [&](const std::vector<Tensor>& v) {
                      const Tensor middle = v[0] + (v[1] - v[0]) / 2, active = open(v);
                      const Tensor probe = take(sorted, middle, 0);
                      const Tensor below = right ? logical_not(comes_before(values, probe)) : comes_before(probe, values);
                      return std::vector<Tensor>{select(logical_and(active, below), middle + 1, v[0]),
                                                 select(logical_and(active, logical_not(below)), middle, v[1])};
                    },
                    {begin, end})[0];
}

Tensor shrink(Composite& of, const Tensor& x, const Tensor& count, const std::string& name) {
  GraphState& state = of.state();
  const std::string symbol = state.new_symbol(name);
  Emitter here(state, of.emitter().op(), of.emitter().location());
  const ir::ValueId operand = here.use(x), number = here.use(count);
  const ir::ValueId result = here.builder().create(ir::Op::shrink, {operand, number}, {{"symbol", symbol}});
  state.produced.emplace(symbol, GraphState::Produced{here.builder().graph_id(), here.builder().graph().defining_node(result)});
  return here.wrap(result);
}

/// A stable sort by the mask puts the positions where it is true first, in order.
Tensor true_positions(Composite& of, const Tensor& mask, const std::string& name, const std::optional<Dim>& max_size) {
  Tensor order = order_of({logical_not(mask)}, 0, false);
  if (max_size) {
    const ir::Dim have = DimValue::unwrap(mask.dim(0)), most = DimValue::unwrap(*max_size);
    of.state().use_symbols({most}, of.emitter().location());
    const ir::Dim bound = ir::min(have, most);
    if (!(bound == have))
      order = apply(ir::Op::pad, {order, of.number(0, i64)},
                    {{"low", ir::Dims{0}}, {"high", ir::Dims{bound - have}}, {"interior", std::vector<std::int64_t>{0}}});
  }
  return shrink(of, order, reduce_sum(convert(mask, i64)), name);
}

}  // namespace kiln::detail

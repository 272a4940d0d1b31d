// What a contraction kernel computes: the product behind a dot_general or a convolution, its axes by role, and its outputs in these axes.
//
// A convolution is the product with
//   m = batch and output positions,   n = output features,   k = positions of the window and input features
// for each group of features (or of the batch): a batch axis. Its left factor is the padded, dilated input. Where that is more than a view
// of a parameter, it is staged: copied once into scratch memory with the padding around it, in an order of dims that suits the walk. From
// there each element is read at a place that is linear in all axes, with no mask in the product's loops, although the kernel never holds
// the matrix of all windows.
//
// Roles. Vectors run along the axis that fills them best: where the results are contiguous if that is long enough (positions, when features
// come before them in memory), else the output features. The factors change places when vectors run along an axis of m. In a depthwise
// convolution n has no axis; the vector axis is then one of the groups or positions, and both factors may change along it.
#include <algorithm>

#include <fmt/format.h>

#include "ir/ops/convolution.h"
#include "passes/contraction.h"

namespace kiln::passes {

using ir::Dim;
using ir::Dims;
using ir::LoopOp;
using ir::ScalarId;
using ir::ops::Convolution;
using ir::ops::ConvolutionWindow;

// ---- what schedules ask

Dim product_of(const std::vector<const Axis*>& axes) {
  Dim product = 1;
  for (const Axis* axis : axes) product *= axis->extent;
  return product;
}

bool unit_stride(const Dim& offset, const Axis& axis) {
  const auto stride = stride_of(offset, axis);
  return stride && stride->is_constant(1);
}

std::vector<const Axis*> Product::outer() const {
  std::vector<const Axis*> result;
  for (const int group : {batch_group, m_group, n_group})
    for (const Axis* axis : groups[group])
      if (axis != m && axis != n) result.push_back(axis);
  return result;
}

Dim Product::k_extent() const { return product_of(groups[k_group]); }

Dim offset_of(const Lowering& lowering, const Factor& factor) { return factor.staged ? factor.offset : lowering.load_offset(factor.value); }

bool depends_on(const Lowering& lowering, const Factor& factor, const Axis& axis) {
  if (factor.staged) return ir::mentions(factor.offset, axis.id());
  return lowering.dependents(std::span(&factor.value, 1), axis)[factor.value];
}

bool is_plain(const Lowering& lowering, const Product& product, const Factor& factor) {
  if (!factor.staged && (!lowering.is_parameter_load(factor.value) || !lowering.scalars.node(factor.value).operands.empty())) return false;
  const Dim offset = offset_of(lowering, factor);
  return std::all_of(product.axes.begin(), product.axes.end(), [&](const Axis& axis) { return stride_of(offset, axis).has_value(); });
}

namespace {

[[noreturn]] void unfit(const Lowering& lowering, const std::string& why) {
  throw InternalError(fmt::format("lowering: contraction kernel @{}: {}", lowering.graph.name, why));
}

const char* name_of_group(int group) {
  static constexpr const char* names[] = {"b", "i", "j", "k", "c", "w"};
  return names[group];
}

// ---- the factors

/// The two factors of the body's product; in f16 and bf16 without the rounding that a multiply has on its own.
void find_factors(Lowering& lowering, Product& p, const ir::Structured& structured, const Dims& index) {
  ScalarId root = lowering.scalars.body(p.node, structured, index);
  if (lowering.scalars.node(root).op == LoopOp::convert) root = lowering.scalars.node(root).operands[0];
  const ir::ScalarNode product = lowering.scalars.node(root);
  if (product.op != LoopOp::multiply || structured.combiner != LoopOp::add) unfit(lowering, "its body is not a sum of products");
  p.accumulator = product.dtype;
  p.left.value = product.operands[0];
  p.right.value = product.operands[1];
}

void find_dot(Lowering& lowering, Product& p, const ir::Node& node, const std::array<ir::Type, 2>& types) {
  const ir::Structured structured = ir::info(node.op).structured(node, types, lowering.graph.type(p.value));
  const std::size_t batch = ir::integers_or_empty(node.attributes, "lhs_batch").size();
  const std::size_t contracted = ir::integers_or_empty(node.attributes, "lhs_contract").size();
  const std::size_t lhs_free = types[0].rank() - batch - contracted;
  Dims index;
  for (std::size_t i = 0; i < structured.axes.size(); ++i) {
    const int group = structured.axes[i].reduced ? k_group : i < batch ? batch_group : i < batch + lhs_free ? m_group : n_group;
    p.axes.push_back(lowering.axis(name_of_group(group), structured.axes[i].extent, group));
    index.push_back(p.axes.back().symbol);
  }
  find_factors(lowering, p, structured, index);
  p.index.assign(index.begin(), index.begin() + static_cast<std::ptrdiff_t>(lowering.graph.type(p.value).rank()));
}

/// A convolution on its way: its roles, and the axes that its dims became (0 where an extent is 1).
struct ConvolutionAxes {
  Convolution roles;
  ir::Type lhs, rhs, result;
  Dim group = 0, batch = 0, output = 0, input = 0;  ///< output: within its group
  Dims position, window;                            ///< per spatial dim
  Dim outputs;                                      ///< output features of a group
};

ConvolutionAxes find_convolution(Lowering& lowering, Product& p, const ir::Node& node, const std::array<ir::Type, 2>& types) {
  ConvolutionAxes c;
  c.roles = ir::ops::convolution_of(node.attributes);
  c.lhs = types[0], c.rhs = types[1], c.result = lowering.graph.type(p.value);
  const Convolution& roles = c.roles;
  const std::int64_t groups = roles.feature_groups * roles.batch_groups;
  const auto axis = [&](int group, const Dim& extent) {
    if (extent.is_constant(1)) return Dim(0);
    p.axes.push_back(lowering.axis(name_of_group(group), extent, group));
    return p.axes.back().symbol;
  };
  c.outputs = floordiv(c.rhs.dims[roles.rhs_output_feature], groups);
  c.position.resize(roles.spatial());
  p.index.resize(c.result.rank());
  for (std::int64_t d = 0; d < static_cast<std::int64_t>(c.result.rank()); ++d) {
    if (d == roles.result_feature) {
      c.group = axis(batch_group, groups);
      c.output = axis(n_group, c.outputs);
      p.index[d] = c.group * c.outputs + c.output;
    } else if (d == roles.result_batch) {
      p.index[d] = c.batch = axis(m_group, c.result.dims[d]);
    } else {
      const auto s = std::ranges::find(roles.result_spatial, d) - roles.result_spatial.begin();
      p.index[d] = c.position[s] = axis(m_group, c.result.dims[d]);
    }
  }
  Dims index = p.index;
  for (const std::int64_t d : roles.rhs_spatial) index.push_back(c.window.emplace_back(axis(k_group, c.rhs.dims[d])));
  c.input = axis(k_group, c.rhs.dims[roles.rhs_input_feature]);
  index.push_back(c.input);
  find_factors(lowering, p, ir::info(node.op).structured(node, types, c.result), index);
  p.convolution = true;
  Dim positions = 1, window = 1;
  for (std::size_t s = 0; s < roles.spatial(); ++s) {
    positions *= c.result.dims[roles.result_spatial[s]];
    window *= c.rhs.dims[roles.rhs_spatial[s]];
  }
  p.long_window = typical(window) > typical(positions);
  return c;
}

// ---- outputs

/// The outputs in the axes of the product: an output may be a transpose of it, or independent of it with the same dims.
void find_outputs(Lowering& lowering, Product& p) {
  const ir::Graph& graph = lowering.graph;
  p.leaf = lowering.scalars.value(p.value, p.index);
  for (std::uint32_t i = 0; i < graph.results.size(); ++i) {
    const ir::ValueId result = graph.results[i];
    const Dims& dims = graph.type(result).dims;
    if (dims.size() != p.index.size()) unfit(lowering, fmt::format("result {} has another rank than the product", i));
    Dims index = p.index;
    const std::vector<Axis> trial = lowering.axes_of(dims);
    Dims trial_index;
    for (const Axis& axis : trial) trial_index.push_back(axis.symbol);
    const ScalarId probe = lowering.scalars.value(result, trial_index);
    for (const ScalarId id : lowering.scalars.reachable(std::span(&probe, 1))) {
      const ir::ScalarNode& node = lowering.scalars.node(id);
      if (node.op != LoopOp::load || node.source != p.value) continue;
      // Dim d of the product is read at output dim `position`: the output's axis there is the product's axis d.
      for (std::size_t d = 0; d < node.indices.size(); ++d) {
        const auto at = std::find(trial_index.begin(), trial_index.end(), node.indices[d]);
        if (at != trial_index.end())
          index[static_cast<std::size_t>(at - trial_index.begin())] = p.index[d];
        else if (!graph.type(p.value).dims[d].is_constant(1))
          unfit(lowering, fmt::format("result {} reads the product at index {}", i, to_string(node.indices)));
      }
    }
    const ScalarId value = lowering.scalars.value(result, index);
    for (const ScalarId id : lowering.scalars.reachable(std::span(&value, 1))) {
      const ir::ScalarNode& node = lowering.scalars.node(id);
      if (node.op == LoopOp::load && !lowering.is_parameter_load(id) && id != p.leaf)
        unfit(lowering, fmt::format("result {} reads the product twice", i));
    }
    p.stores.push_back({i, value, index});
  }
}

// ---- roles

const Axis* innermost(const Product& p, int group) {
  const Axis* result = nullptr;
  for (const Axis& axis : p.axes)
    if (axis.group == group) result = &axis;
  return result;
}

void exchange(Product& p) {
  std::swap(p.left, p.right);
  for (Axis& axis : p.axes) axis.group = axis.group == m_group ? n_group : axis.group == n_group ? m_group : axis.group;
}

/// dot_general: n is the side along which results (and then operands) run through memory.
void choose_dot_roles(const Lowering& lowering, Product& p) {
  auto score = [&](int group, const Factor& factor) {
    const Axis* axis = innermost(p, group);
    if (axis == nullptr || axis->extent.is_constant(1)) return -1;
    int score = 0;
    for (const Store& store : p.stores) score += unit_stride(lowering.store_offset(store), *axis) ? 2 : 0;
    score += lowering.is_parameter_load(factor.value) && unit_stride(lowering.load_offset(factor.value), *axis) ? 1 : 0;
    for (const Store& store : p.stores)
      if (lowering.gathers_along(std::span(&store.value, 1), *axis)) score = -1;
    return score;
  };
  if (score(m_group, p.left) > score(n_group, p.right)) exchange(p);
}

/// The share of a vector's lanes that an axis of this extent fills.
double filled(const Dim& extent, int lanes) {
  const std::int64_t n = std::max<std::int64_t>(1, typical(extent));
  return static_cast<double>(n) / static_cast<double>((n + lanes - 1) / lanes * lanes);
}

/// convolution: the vector axis by how well it fills vectors, and by what its loads and stores cost beside the sums of a tile. Returns its
/// symbol; the factors have changed places when it is an axis of m.
Dim choose_convolution_roles(const Lowering& lowering, Product& p, const ConvolutionAxes& c) {
  const int lanes = ir::vector_lanes(p.accumulator);
  const double k = static_cast<double>(std::max<std::int64_t>(1, typical(c.rhs.dims[c.roles.rhs_input_feature] * [&] {
                                                                Dim window = 1;
                                                                for (const std::int64_t d : c.roles.rhs_spatial) window *= c.rhs.dims[d];
                                                                return window;
                                                              }())));
  const bool depthwise = c.outputs.is_constant(1);
  const Axis* best = nullptr;
  double best_score = 0;
  for (const Axis& axis : p.axes) {
    if (axis.group == k_group || (axis.group == batch_group && !depthwise)) continue;
    bool gathers = false;
    double cost = 1;  // of a step of k for one vector, in multiply-adds of a tile
    for (const Store& store : p.stores) {
      gathers |= lowering.gathers_along(std::span(&store.value, 1), axis);
      if (!unit_stride(lowering.store_offset(store), axis))
        cost += 24 / k;  // an access per lane (measured: worth it even at 56 positions a row, where the other way reaches 65 % of the peak,
                         // not 75 %)
    }
    for (std::size_t d = 0; d < c.roles.spatial(); ++d)
      if (c.position[d] == axis.symbol && c.roles.windows[d].stride > 1) cost += 0.5;  // loads with gaps
    if (gathers) continue;
    const double score = filled(axis.extent, lanes) / cost;
    if (score >= best_score) {  // of equal ones the innermost
      best = &axis;
      best_score = score;
    }
  }
  if (best == nullptr) return Dim(0);
  const Dim symbol = best->symbol;
  if (best->group == m_group) {
    exchange(p);
  } else if (best->group == batch_group) {
    for (Axis& axis : p.axes)
      if (axis.symbol == symbol) axis.group = n_group;
  }
  return symbol;
}

/// The cells of the padded input that no element is copied to: two slabs per spatial dim; with lhs_dilation, simply all.
std::vector<Factor::Padding> padding_of(Lowering& lowering, const ConvolutionAxes& c, const std::vector<std::int64_t>& order,
                                        const Dims& extents, const Dims& first, const Dims& counts) {
  std::vector<Factor::Padding> padding;
  const auto add = [&](std::int64_t dim, const Dim& begin, const Dim& length) {
    if (length.is_constant(0)) return;
    Factor::Padding cells;
    Dims ordered, index;
    for (const std::int64_t d : order) {
      cells.axes.push_back(lowering.axis("p", d == dim ? length : extents[d]));
      ordered.push_back(extents[d]);
      index.push_back(d == dim ? begin + cells.axes.back().symbol : cells.axes.back().symbol);
    }
    cells.offset = memory_offset(ordered, index);
    padding.push_back(std::move(cells));
  };
  const auto& windows = c.roles.windows;
  if (std::any_of(windows.begin(), windows.end(), [](const ConvolutionWindow& w) { return w.lhs_dilation > 1; })) {
    const Dim all = ir::product(extents);
    Factor::Padding cells{{lowering.axis("p", all)}, 0};
    cells.offset = cells.axes[0].symbol;
    padding.push_back(std::move(cells));
    return padding;
  }
  for (std::size_t s = 0; s < c.roles.spatial(); ++s) {
    const std::int64_t d = c.roles.lhs_spatial[s];
    if (counts[d] == extents[d]) continue;
    // Where nothing is copied at all, all cells lie behind.
    const Dim begin = min(max(first[d] + windows[s].low, 0), extents[d]);
    add(d, 0, begin);
    add(d, min(begin + counts[d], extents[d]), max(extents[d] - begin - counts[d], 0));
  }
  return padding;
}

/// Copies the input with its padding. Order of dims: what vectors run along is contiguous, else the input features, so that steps of k are;
/// the windows of a gradient by the weights are longer than its results, so there the batch stands inside, where rows of tiles run.
void stage_input(Lowering& lowering, Product& p, Factor& input, const ConvolutionAxes& c, const Dim& vector) {
  const Convolution& roles = c.roles;
  std::optional<std::int64_t> along;  // the dim of lhs that vectors run along, if it is spatial
  for (std::size_t s = 0; s < roles.spatial(); ++s)
    if (c.position[s] == vector && !vector.is_constant()) along = roles.lhs_spatial[s];
  std::vector<std::int64_t> order;
  const auto add_spatial = [&] {
    for (const std::int64_t d : roles.lhs_spatial)
      if (d != along) order.push_back(d);
  };
  if (along) {
    order = {roles.lhs_batch, roles.lhs_feature};
    add_spatial();
    order.push_back(*along);
  } else if (p.long_window || (c.batch == vector && !vector.is_constant())) {
    add_spatial();
    order.insert(order.end(), {roles.lhs_feature, roles.lhs_batch});
  } else {
    order = {roles.lhs_batch};
    add_spatial();
    order.push_back(roles.lhs_feature);
  }

  // Per dim of lhs: the extent in the copy, the place in the product's axes, and which elements are copied where.
  const std::size_t rank = c.lhs.rank();
  Dims extents = c.lhs.dims, place(rank), from(rank), to(rank), counts(rank);
  place[roles.lhs_batch] = c.batch + (roles.batch_groups > 1 ? c.group * c.result.dims[roles.result_batch] : Dim(0));
  place[roles.lhs_feature] = c.input + (roles.feature_groups > 1 ? c.group * c.rhs.dims[roles.rhs_input_feature] : Dim(0));
  counts[roles.lhs_batch] = c.lhs.dims[roles.lhs_batch];
  counts[roles.lhs_feature] = c.lhs.dims[roles.lhs_feature];
  Dims first(rank, Dim(0));
  for (std::size_t s = 0; s < roles.spatial(); ++s) {
    const ConvolutionWindow& w = roles.windows[s];
    const std::int64_t d = roles.lhs_spatial[s];
    const Dim &n = c.lhs.dims[d], &window = c.rhs.dims[roles.rhs_spatial[s]], &results = c.result.dims[roles.result_spatial[s]];
    extents[d] = max((results - 1) * w.stride + ir::ops::dilated(window, w.rhs_dilation), 0);
    place[d] = c.position[s] * w.stride + c.window[s] * w.rhs_dilation;
    first[d] = max(ceildiv(-w.low, w.lhs_dilation), 0);
    counts[d] = max(min(n, ceildiv(extents[d] - w.low, w.lhs_dilation)) - first[d], 0);
  }
  Dims ordered_extents, ordered_place, ordered_to;
  for (const std::int64_t d : order) {
    Dim at = 0;
    if (!counts[d].is_constant(1)) {
      p.axes.push_back(lowering.axis(name_of_group(input_group), counts[d], input_group));
      at = p.axes.back().symbol;
    }
    from[d] = first[d] + at;
    to[d] = from[d];
    if (const auto s = std::ranges::find(roles.lhs_spatial, d) - roles.lhs_spatial.begin();
        s < static_cast<std::ptrdiff_t>(roles.spatial()))
      to[d] = from[d] * roles.windows[s].lhs_dilation + roles.windows[s].low;
    ordered_extents.push_back(extents[d]);
    ordered_place.push_back(place[d]);
    ordered_to.push_back(to[d]);
  }
  input.padding = padding_of(lowering, c, order, extents, first, counts);
  input.staged = true;
  input.copy_extent = ir::product(ordered_extents);
  input.offset = memory_offset(ordered_extents, ordered_place);
  input.copy_offset = memory_offset(ordered_extents, ordered_to);
  ir::Structured copy;
  copy.body = [&](ir::ScalarBuilder& b, std::span<const Dim>) { return b.apply(LoopOp::convert, p.accumulator, {b.operand(0, from)}); };
  input.value = lowering.scalars.body(p.node, copy, {});
}

/// Copies the weights into the order [window..., input features, output features]: a walk through k is one through memory.
void stage_weights(Lowering& lowering, Product& p, Factor& weights, const ConvolutionAxes& c) {
  const Convolution& roles = c.roles;
  std::vector<std::int64_t> order = roles.rhs_spatial;
  order.insert(order.end(), {roles.rhs_input_feature, roles.rhs_output_feature});
  Dims extents, place, to, from(c.rhs.rank());
  for (const std::int64_t d : order) {
    extents.push_back(c.rhs.dims[d]);
    if (c.rhs.dims[d].is_constant(1)) {
      from[d] = 0;
    } else {
      p.axes.push_back(lowering.axis(name_of_group(weights_group), c.rhs.dims[d], weights_group));
      from[d] = p.axes.back().symbol;
    }
    to.push_back(from[d]);
  }
  for (std::size_t s = 0; s < roles.spatial(); ++s)
    place.push_back(roles.windows[s].reversed ? c.rhs.dims[roles.rhs_spatial[s]] - 1 - c.window[s] : c.window[s]);
  place.insert(place.end(), {c.input, c.group * c.outputs + c.output});
  weights.staged = true;
  weights.copy_group = weights_group;
  weights.copy_extent = ir::product(extents);
  weights.offset = memory_offset(extents, place);
  weights.copy_offset = memory_offset(extents, to);
  ir::Structured copy;
  copy.body = [&](ir::ScalarBuilder& b, std::span<const Dim>) { return b.apply(LoopOp::convert, p.accumulator, {b.operand(1, from)}); };
  weights.value = lowering.scalars.body(p.node, copy, {});
}

void collapse(Lowering& lowering, Product& p) {
  std::vector<Dim> places;
  for (const Factor* factor : {&p.left, &p.right})
    if (factor->staged) places.insert(places.end(), {factor->offset, factor->copy_offset});
  lowering.collapse(p.axes, p.stores, {p.left.value, p.right.value}, &places);
  std::size_t next = 0;
  for (Factor* factor : {&p.left, &p.right}) {
    if (!factor->staged) continue;
    factor->offset = places[next++];
    factor->copy_offset = places[next++];
  }
}

/// The axes of a tile. Of several axes of m, rows run along the last one that is long enough for a tile, else along the longest.
void find_tile_axes(Product& p, const Dim& vector) {
  constexpr std::int64_t enough_rows = 6;
  p.groups = {};
  for (const Axis& axis : p.axes) p.groups[axis.group].push_back(&axis);
  const auto &m = p.groups[m_group], &n = p.groups[n_group];
  p.n = n.empty() ? nullptr : n.back();
  if (!p.convolution) {
    p.m = m.empty() ? nullptr : m.back();
    return;
  }
  // The vector's axis may have been collapsed with others.
  for (const Axis* axis : n) {
    if (axis->symbol == vector) p.n = axis;
    for (const Axis& part : axis->merged)
      if (part.symbol == vector) p.n = axis;
  }
  std::vector<const Axis*> candidates = m;
  if (candidates.empty())
    for (const Axis* axis : n)
      if (axis != p.n) candidates.push_back(axis);
  for (auto axis = candidates.rbegin(); axis != candidates.rend(); ++axis) {
    if (p.m != nullptr && typical(p.m->extent) >= enough_rows) break;
    if (p.m == nullptr || typical((*axis)->extent) > typical(p.m->extent)) p.m = *axis;
  }
}

}  // namespace

Product find_product(Lowering& lowering) {
  const ir::Graph& graph = lowering.graph;
  Product p;
  for (ir::NodeId id = 0; id < graph.node_count(); ++id) {
    if (ir::info(graph.node(id).op).kernel != ir::KernelKind::contraction) continue;
    if (p.node != ir::none) unfit(lowering, "more than one contraction");
    p.node = id;
  }
  const ir::Node& node = graph.node(p.node);
  p.value = node.first_result;
  const std::array<ir::Type, 2> types{graph.type(node.operands[0]), graph.type(node.operands[1])};
  Dim vector = 0;
  if (node.op == ir::Op::convolution) {
    const ConvolutionAxes c = find_convolution(lowering, p, node, types);
    find_outputs(lowering, p);
    const ScalarId input = p.left.value;
    vector = choose_convolution_roles(lowering, p, c);
    const bool exchanged = p.left.value != input;
    Factor &inputs = exchanged ? p.right : p.left, &weights = exchanged ? p.left : p.right;
    const bool far_steps = p.long_window && !c.input.is_constant();  // k ends with the batch, whose elements lie far apart
    if (far_steps || !is_plain(lowering, p, inputs)) stage_input(lowering, p, inputs, c, vector);
    if (far_steps) stage_weights(lowering, p, weights, c);
  } else {
    find_dot(lowering, p, node, types);
    find_outputs(lowering, p);
    choose_dot_roles(lowering, p);
  }
  collapse(lowering, p);
  find_tile_axes(p, vector);
  lowering.declare_buffers();
  return p;
}

}  // namespace kiln::passes

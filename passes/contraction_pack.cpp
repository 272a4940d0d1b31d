// Factors of a contraction in scratch memory: staged copies, rows and panels, in the order in which tiles read them. Any expression can be
// copied; what it costs per element is paid once.
#include <algorithm>

#include "passes/contraction.h"

namespace kiln::passes {

using ir::Dim;
using ir::Dims;
using ir::LoopKind;
using ir::RegisterId;
using ir::RegisterType;

void nest(ir::KernelBuilder& builder, const std::vector<const Axis*>& axes, bool parallel,
          const std::function<void(const AxisPlaces&)>& body) {
  AxisPlaces at;
  std::function<void(std::size_t)> loop = [&](std::size_t depth) {
    if (depth == axes.size()) return body(at);
    const LoopKind kind = depth == 0 && parallel ? LoopKind::parallel : LoopKind::serial;
    builder.for_loop(axes[depth]->name, 0, axes[depth]->extent, 1, kind, [&](const Dim& i) {
      at.emplace_back(axes[depth], i);
      loop(depth + 1);
      at.pop_back();
    });
  };
  loop(0);
}

RegisterId factor_value(Lowering& lowering, const Product& product, const Factor& factor, Expressions& expressions) {
  if (!factor.staged) return expressions.value(factor.value);
  const Dim place = expressions.place(factor.offset);
  const RegisterType type = expressions.type_at(product.accumulator, std::span(&place, 1));
  return lowering.builder.load(*factor.buffer, {place}, type, type.cols * type.lanes > 1 ? expressions.tile().mask : ir::Mask{});
}

/// Zeros first, where there is padding, then the elements.
void stage(Lowering& lowering, Product& product, Factor& factor) {
  const char* name = factor.copy_group == input_group ? "input" : "weights";
  factor.buffer = lowering.builder.buffer(name, product.accumulator, {factor.copy_extent}, ir::Buffer::Role::scratch, {}, 64);
  const ir::ScalarId zero = lowering.scalars.constant(ir::Literal::of(product.accumulator, 0));
  for (const Factor::Padding& cells : factor.padding) emit_map(lowering, cells.axes, {{0, zero, {cells.offset}, factor.buffer}});
  std::vector<Axis> axes;
  for (const Axis* axis : product.groups[factor.copy_group]) axes.push_back(*axis);
  emit_map(lowering, axes, {{0, factor.value, {factor.copy_offset}, factor.buffer}});
}

void pack_rows(Lowering& lowering, Product& product) {
  std::vector<const Axis*> all;
  for (const int group : {batch_group, m_group, k_group}) all.insert(all.end(), product.groups[group].begin(), product.groups[group].end());
  Dims extents, index;
  std::vector<Axis> axes;
  for (const Axis* axis : all) {
    extents.push_back(axis->extent);
    index.push_back(axis->symbol);
    axes.push_back(*axis);
  }
  product.left.packed = true;
  product.left.buffer = lowering.builder.buffer("rows", product.accumulator, extents, ir::Buffer::Role::scratch, {}, 64);
  emit_map(lowering, axes, {{0, product.left.value, index, product.left.buffer}});
}

void pack_panels(Lowering& lowering, Product& product, TileShape tile, int lanes, bool parallel) {
  ir::KernelBuilder& b = lowering.builder;
  std::vector<const Axis*> outer = product.groups[batch_group];
  for (const Axis* axis : product.groups[n_group])
    if (axis != product.n) outer.push_back(axis);
  const int width = tile.columns * lanes;
  const Dim n = product.n == nullptr ? Dim(1) : product.n->extent, panels = ceildiv(n, width), whole = floordiv(n, width);
  Dims extents;
  for (const Axis* axis : outer) extents.push_back(axis->extent);
  extents.push_back(panels);
  for (const Axis* axis : product.groups[k_group]) extents.push_back(axis->extent);
  extents.push_back(width);
  const ir::BufferId buffer = b.buffer("panels", product.accumulator, extents, ir::Buffer::Role::scratch, {}, 64);

  // Rows of the factor outside, panels inside: reads run along memory.
  std::vector<const Axis*> loops = outer;
  loops.insert(loops.end(), product.groups[k_group].begin(), product.groups[k_group].end());
  nest(b, loops, parallel, [&](const AxisPlaces& at) {
    const auto panel = [&](const Dim& p, ir::Mask mask) {
      Tile block;
      block.at = at;
      if (product.n != nullptr) block.at.emplace_back(product.n, p * width + Dim::symbol(ir::tile_vector));
      block.cols = tile.columns;
      block.lanes = lanes;
      block.mask = mask;
      Expressions expressions(lowering, std::move(block));
      const RegisterId value = factor_value(lowering, product, product.right, expressions);
      Dims index;
      for (const Axis* axis : outer) index.push_back(expressions.place(axis->symbol));
      index.push_back(p);
      for (const Axis* axis : product.groups[k_group]) index.push_back(expressions.place(axis->symbol));
      index.push_back(width == 1 ? Dim(0) : Dim::symbol(ir::tile_vector));
      b.store(buffer, index, value,
              RegisterType{product.accumulator, 1, static_cast<std::int16_t>(tile.columns), static_cast<std::int16_t>(lanes)});
    };
    if (!whole.is_constant(0)) b.for_loop("p", 0, whole, 1, LoopKind::serial, [&](const Dim& p) { panel(p, {}); });
    if (!(whole * width == n)) {
      // The last panel: what lies beyond N is never used, only loaded.
      b.for_loop("p", whole, panels, 1, LoopKind::serial,
                 [&](const Dim& p) { panel(p, mask_below(b, p * width, n, tile.columns, lanes)); });
    }
  });
  product.right.packed = true;
  product.right.buffer = buffer;
}

}  // namespace kiln::passes

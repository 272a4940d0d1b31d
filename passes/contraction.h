// The parts of the contraction schedule (passes/schedule_contraction.cpp says what it does): what is computed, how it is cut into tiles,
// how factors are brought into memory in the order in which they are read. Inside passes/ only.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "passes/lowering.h"

namespace kiln::passes {

/// Axes of a product by what they do. Those of the last two belong to the copies of staged factors and are no part of the product.
enum ContractionGroup { batch_group, m_group, n_group, k_group, input_group, weights_group, contraction_group_count };

/// A factor of the product: an expression, or an element of a copy that the kernel makes first.
struct Factor {
  ir::ScalarId value = 0;  ///< the expression (for a staged one: of the copy, in the axes of the copy)
  bool staged = false;
  ir::Dim copy_extent;           ///< staged: elements of the copy
  ir::Dim offset;                ///< staged: where the factor stands in the copy, in the axes of the product
  ir::Dim copy_offset;           ///< staged: where the copied element goes, in the axes of the copy
  int copy_group = input_group;  ///< staged: whose axes the copy runs over
  struct Padding {
    std::vector<Axis> axes;
    ir::Dim offset;
  };
  std::vector<Padding> padding = {};  ///< staged: cells of the copy that are zeroed first
  bool packed = false;                ///< in panels (the right factor) or rows (the left one); `buffer` holds them
  std::optional<ir::BufferId> buffer = {};
};

/// sum over k of left[batch, m, k] * right[batch, k, n], with what is computed from the sums. Vectors run along n.
struct Product {
  ir::NodeId node = ir::none;
  ir::ValueId value = ir::none;
  DType accumulator = DType::f32;
  std::vector<Axis> axes;
  ir::Dims index;         ///< of the node's result, in axes
  ir::ScalarId leaf = 0;  ///< the result's element there, which epilogues read
  Factor left, right;
  std::vector<Store> stores;

  std::array<std::vector<const Axis*>, contraction_group_count> groups = {};
  const Axis *m = nullptr, *n = nullptr;  ///< the axes of a register tile; null: there is none
  bool convolution = false;
  bool long_window = false;  ///< of a convolution: more positions in its window than in its result (a gradient by the weights)

  /// All that are neither k nor tile axes: the loops around the tiles.
  std::vector<const Axis*> outer() const;
  ir::Dim k_extent() const;
};

/// Finds the one contraction of the kernel, its axes and roles, collapses axes, and declares the kernel's buffers.
Product find_product(Lowering& lowering);

ir::Dim product_of(const std::vector<const Axis*>& axes);
bool unit_stride(const ir::Dim& offset, const Axis& axis);
/// Whether the factor, as it stands in memory, changes along the axis.
bool depends_on(const Lowering& lowering, const Factor& factor, const Axis& axis);
/// Read in place at a cost that does not exceed that of a copy: a parameter or a staged factor that is linear in all axes.
bool is_plain(const Lowering& lowering, const Product& product, const Factor& factor);
/// Where a plain factor stands in its buffer.
ir::Dim offset_of(const Lowering& lowering, const Factor& factor);
/// The factor in one block: its expression, or its element of the staged copy.
ir::RegisterId factor_value(Lowering& lowering, const Product& product, const Factor& factor, Expressions& expressions);

struct TileShape {
  int rows = 1, columns = 1;
};
/// Rows and vectors of the register tile with the fewest cycles for the whole product.
TileShape choose_tile(const ir::Dim& m, std::int64_t n_vectors, std::int64_t k, const CpuTarget& target);

/// Cuts an extent into ceil(extent / most) pieces whose sizes differ by at most one.
struct Balanced {
  ir::Dim pieces, base, longer;  ///< number of pieces; size of the shorter ones; how many are one longer
  ir::Dim size(const ir::Dim& t) const;
  ir::Dim begin(const ir::Dim& t) const;
  static Balanced of(const ir::Dim& extent, int most);
};

/// Loops over axes, as callbacks; the first one is parallel if asked for.
using AxisPlaces = std::vector<std::pair<const Axis*, ir::Dim>>;
void nest(ir::KernelBuilder& builder, const std::vector<const Axis*>& axes, bool parallel,
          const std::function<void(const AxisPlaces&)>& body);

/// Makes the copy of a staged factor.
void stage(Lowering& lowering, Product& product, Factor& factor);
/// The left factor into a buffer [batch..., m..., k...].
void pack_rows(Lowering& lowering, Product& product);
/// The right factor into a buffer [batch..., n but the tile's..., panels, k..., width].
void pack_panels(Lowering& lowering, Product& product, TileShape tile, int lanes, bool parallel);

}  // namespace kiln::passes

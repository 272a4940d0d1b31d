// What the schedules share: the kernel being lowered (its expressions, its accesses to memory, its axes), the collapse of axes, and the
// emission of expressions for a tile of elements. Inside passes/ only.
//
// An axis is one dimension of the iteration domain, an index symbol with an extent. Expressions and accesses are written in axis symbols; a
// schedule chooses loops and says for each block of loop IR what the axes are there: `i` is the loop variable, or loop variable + $r (rows
// of a register tile), or loop variable + $v (columns and lanes). Emission derives everything else: a load that does not mention $v is a
// scalar that is repeated, one that mentions $v with unit stride is a vector, and so on.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/loop_builder.h"
#include "passes/passes.h"
#include "passes/scalar_graph.h"

namespace kiln::passes {

struct Axis {
  std::string name;  ///< for the loop variable: "i"
  ir::Dim symbol;    ///< what expressions use
  ir::Dim extent;
  int group = 0;             ///< only neighbours of one group may be collapsed
  std::vector<Axis> merged;  ///< the axes that it was collapsed from, outermost first; empty: none

  std::string_view id() const { return *symbol.as_symbol(); }
};

/// output[index] = value, in axis symbols.
struct Store {
  std::uint32_t output = 0;  ///< which result of the graph
  ir::ScalarId value = 0;
  ir::Dims index;
  std::optional<ir::BufferId> scratch = {};  ///< a buffer of the schedule instead of an output
};

/// A kernel on its way from graph to loops.
class Lowering {
 public:
  Lowering(const ir::Module& module, ir::GraphId graph, const CpuTarget& target);

  const ir::Graph& graph;
  const CpuTarget& target;
  ScalarGraph scalars;
  ir::KernelBuilder builder;

  Axis axis(std::string name, const ir::Dim& extent, int group = 0);
  /// Fresh axes for the dims of a type.
  std::vector<Axis> axes_of(const ir::Dims& dims, int group = 0);

  /// Merges neighbouring axes of one group wherever every load reachable from the roots and every store runs through memory as if the two
  /// were one. Rewrites the stores' indices, and the loads' as seen through load_index. `kept` are scalars whose indices must stay as they
  /// are.
  /// `places` are offsets in memory of the schedule's own, which count as accesses and are rewritten too.
  void collapse(std::vector<Axis>& axes, std::vector<Store>& stores, const std::vector<ir::ScalarId>& more_roots = {},
                std::vector<ir::Dim>* places = nullptr);

  /// The result starts as the parameter and has no buffer of its own: the parameter's is `inout`, changed in place. Call before the buffers
  /// are declared.
  void starts_as(std::uint32_t output, ir::ValueId parameter) { starts_as_[output] = parameter; }
  /// Declares the kernel's buffers, in the extents that the collapse left. Call once, before emission.
  void declare_buffers();
  ir::BufferId parameter_buffer(ir::ValueId parameter) const { return parameter_buffers_.at(parameter); }
  ir::BufferId output_buffer(std::uint32_t output) const { return output_buffers_[output]; }
  /// A value that the schedule has put into memory: loads of this node read `buffer` at the node's indices.
  void computed(ir::ScalarId leaf, ir::BufferId buffer) { computed_[leaf] = buffer; }
  std::optional<ir::BufferId> computed_buffer(ir::ScalarId leaf) const {
    const auto it = computed_.find(leaf);
    return it == computed_.end() ? std::nullopt : std::optional(it->second);
  }
  /// Indices of a load node, in the axes that the collapse left.
  const ir::Dims& load_index(ir::ScalarId id) const;
  /// Where a load node stands in memory, in elements: a polynomial in the axes.
  ir::Dim load_offset(ir::ScalarId id) const;
  ir::Dim store_offset(const Store& store) const;
  bool is_parameter_load(ir::ScalarId id) const;

  /// The scalars below the roots that depend on the axis, through an index or through an atom of one; indexed by id. Carried values of a
  /// fold depend on every axis.
  std::vector<bool> dependents(std::span<const ir::ScalarId> roots, const Axis& axis) const;
  /// Whether a gather's index depends on the axis: then it cannot be the vector axis.
  bool gathers_along(std::span<const ir::ScalarId> roots, const Axis& axis) const;

  /// A name, by a let at the builder's place, for an index that would make expressions long; short ones stay as they are.
  ir::Dim named(const char* name, const ir::Dim& dim);

  int registers_per_vector() const { return 64 / target.register_bytes; }

 private:
  ir::Dims present(ir::Dims& extents, const std::vector<ir::Dims*>& indices, const std::vector<Axis>& axes);

  std::unordered_map<ir::ValueId, ir::Dims> parameter_extents_;
  std::vector<ir::Dims> output_extents_;
  std::unordered_map<ir::ScalarId, ir::Dims> load_index_;
  std::unordered_map<ir::ValueId, ir::BufferId> parameter_buffers_;
  std::vector<ir::BufferId> output_buffers_;
  std::unordered_map<ir::ScalarId, ir::BufferId> computed_;
  std::unordered_map<std::uint32_t, ir::ValueId> starts_as_;
  int next_axis_ = 0;
};

/// Row-major position of `index` in `extents`; b * floordiv(x, b) + mod(x, b) is put together again.
ir::Dim memory_offset(const ir::Dims& extents, const ir::Dims& index);
/// The index in an array of these extents that stands at a row-major position.
ir::Dims position_to_index(const ir::Dim& position, const ir::Dims& extents);
/// The factor of the axis in an offset: 0 when it does not occur, nothing when it is not linear in it.
std::optional<ir::Dim> stride_of(const ir::Dim& offset, const Axis& axis);

/// What the axes are in one block, and the shape of the values there.
struct Tile {
  std::vector<std::pair<const Axis*, ir::Dim>> at;  ///< $r and $v may occur
  int rows = 1, cols = 1, lanes = 1;
  ir::Mask mask;  ///< of everything along $v
};

/// Emits expressions for one tile at the builder's current place. Values are made once per Expressions object, so one object serves one
/// block.
class Expressions {
 public:
  Expressions(Lowering& lowering, Tile tile) : lowering_(lowering), tile_(std::move(tile)) {}
  /// The register of a scalar node is given: an accumulator, a reduced value.
  void bind(ir::ScalarId id, ir::RegisterId reg) { registers_[id] = reg; }
  ir::RegisterId value(ir::ScalarId root);
  void store(const Store& store);
  /// Axis symbols replaced by what they are in this tile.
  ir::Dim place(const ir::Dim& dim) const;
  ir::Dims place(const ir::Dims& dims) const;
  /// The type of a value of this dtype at these (placed) indices.
  ir::RegisterType type_at(DType dtype, std::span<const ir::Dim> placed) const;
  const Tile& tile() const { return tile_; }
  /// The same in another tile: for a block inside this one's, where everything made here has the same value.
  Expressions inside(Tile tile) const {
    Expressions result = *this;
    result.tile_ = std::move(tile);
    return result;
  }

 private:
  ir::RegisterId emit(ir::ScalarId id);
  Lowering& lowering_;
  Tile tile_;
  std::unordered_map<ir::ScalarId, ir::RegisterId> registers_;
  std::unordered_map<std::string, ir::Dim> lets_;
};

/// A mask of the columns and lanes whose position along the vector axis is below `end`.
ir::RegisterId mask_below(ir::KernelBuilder& builder, const ir::Dim& begin, const ir::Dim& end, int cols, int lanes);

/// 64-byte vectors of the widest dtype that depends on the axis: one vector loop then serves every dtype of the expression.
int lanes_along(const Lowering& lowering, std::span<const ir::ScalarId> roots, std::span<const DType> stored, const Axis& axis);
bool is_function(ir::LoopOp op);
/// Estimated floating-point operations per element.
std::int64_t cost_of(const ScalarGraph& scalars, std::span<const ir::ScalarId> roots);
/// The value of a Dim for typical symbols, for cost estimates only.
std::int64_t typical(const ir::Dim& dim);

// ---- the schedules; schedule_*.cpp

/// Every element of a domain on its own. Loops over `axes`, vector loop included; parallel when `parallel`.
void emit_map(Lowering& lowering, const std::vector<Axis>& axes, const std::vector<Store>& stores);
ir::Kernel schedule_map(Lowering& lowering);
ir::Kernel schedule_rows(Lowering& lowering);
ir::Kernel schedule_contraction(Lowering& lowering);
ir::Kernel schedule_fold(Lowering& lowering);
ir::Kernel schedule_update(Lowering& lowering);
ir::Kernel schedule_sort(Lowering& lowering);

}  // namespace kiln::passes

// Builder: appends nodes to a graph with inferred types. Gradient rules, passes and the public front end use it.
#pragma once

#include <functional>

#include "ir/graph.h"
#include "ir/op.h"

namespace kiln::ir {

/// Appends to one graph of one module. Nothing is simplified here; equal nodes stay separate.
class Builder {
 public:
  Builder(Module& module, GraphId graph) : module_(module), graph_(graph) {}

  Module& module() { return module_; }
  Graph& graph() { return module_.graph(graph_); }
  GraphId graph_id() const { return graph_; }
  const Type& type(ValueId v) const { return module_.graph(graph_).type(v); }
  /// Location given to nodes from now on.
  LocationId location = 0;
  bool recompute = false;
  /// Given: where it cannot be shown that two extents are equal, and this says that the run can find out before it starts, an operand goes
  /// through match_extents, and the operation sees the first of the two extents. Not given: that is an error.
  std::function<bool(const Dim& a, const Dim& b)> checkable;

  /// Any op; throws Error (with this builder's location) when the operands do not fit.
  ValueId create(Op op, std::vector<ValueId> operands, Attributes attributes = {});
  std::vector<ValueId> create_many(Op op, std::vector<ValueId> operands, Attributes attributes = {});

  // The ops by name. Binary ones need operands of one type; scalars are broadcast with `splat`.
  ValueId constant(Array literal);
  ValueId scalar(DType dtype, double value);
  ValueId splat(double value, const Type& like);  ///< a scalar constant broadcast to the type's shape
  ValueId zeros(const Type& like) { return splat(0, like); }
  ValueId negate(ValueId a) { return create(Op::negate, {a}); }
  ValueId add(ValueId a, ValueId b) { return create(Op::add, {a, b}); }
  ValueId subtract(ValueId a, ValueId b) { return create(Op::subtract, {a, b}); }
  ValueId multiply(ValueId a, ValueId b) { return create(Op::multiply, {a, b}); }
  ValueId divide(ValueId a, ValueId b) { return create(Op::divide, {a, b}); }
  ValueId select(ValueId mask, ValueId a, ValueId b) { return create(Op::select, {mask, a, b}); }
  ValueId compare(Comparison comparison, ValueId a, ValueId b);
  ValueId convert(ValueId a, DType dtype);
  /// Dim i of `a` becomes dim positions[i] of the result; other dims are repeated.
  ValueId broadcast_in_dim(ValueId a, const Dims& dims, std::vector<std::int64_t> positions);
  ValueId reshape(ValueId a, const Dims& dims);
  ValueId transpose(ValueId a, std::vector<std::int64_t> permutation);
  ValueId slice(ValueId a, const Dims& starts, const Dims& limits, std::vector<std::int64_t> strides);
  ValueId pad(ValueId a, ValueId value, const Dims& low, const Dims& high, std::vector<std::int64_t> interior);
  ValueId concatenate(std::vector<ValueId> parts, std::int64_t dim);
  /// Folds `dims` away with combiner "add", "multiply", "maximum", "minimum", "and" or "or".
  ValueId reduce(ValueId a, std::string combiner, std::vector<std::int64_t> dims);
  ValueId reduce_add(ValueId a, std::vector<std::int64_t> dims) { return reduce(a, "add", std::move(dims)); }
  ValueId dot_general(ValueId a, ValueId b, std::vector<std::int64_t> lhs_batch, std::vector<std::int64_t> rhs_batch,
                      std::vector<std::int64_t> lhs_contract, std::vector<std::int64_t> rhs_contract);
  /// The extent as an i64 scalar.
  ValueId dim_size(const Dim& dim);

 private:
  std::vector<Type> infer(Op op, std::vector<ValueId>& operands, const Attributes& attributes);

  Module& module_;
  GraphId graph_;
};

/// "add", "subtract" ... for messages: an operand list with types, "f32[64, 100] and f32[10]".
std::string describe_types(std::span<const Type> types);

/// Comparison attribute text: "eq" ... "ge".
std::string_view name_of(Comparison comparison);
std::optional<Comparison> comparison_from_name(std::string_view name);

}  // namespace kiln::ir

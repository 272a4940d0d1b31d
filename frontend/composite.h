// What functions that are made of other public functions share: one location and one name for everything that they append, checks in the
// user's words, and the small tensors (positions, filled tensors) that masks are made of.
#pragma once

#include <optional>
#include <vector>

#include "frontend/state.h"
#include "kiln/indexing.h"
#include "kiln/operators.h"

namespace kiln::detail {

/// Opens the location scope of a public function and checks its operands. Numbers among the operands become scalar tensors of the dtype of
/// the tensors, so that the function's body meets tensors alone.
class Composite {
 public:
  Composite(std::initializer_list<const Operand*> operands, const char* name);
  /// For functions without operands, or with a list of tensors: `near` is any of them.
  Composite(const Tensor& near, const char* name, const Location& location);
  Composite(Graph& graph, const char* name, const Location& location);

  GraphState& state() { return emitter_.state(); }
  Graph graph() { return Access::graph(emitter_.state().shared_from_this()); }
  const Emitter& emitter() const { return emitter_; }
  [[noreturn]] void fail(ErrorCode code, const std::string& message, const std::string& hint = "") const {
    emitter_.fail(code, message, hint);
  }

  /// The operand as a tensor of the common dtype.
  Tensor tensor(const Operand& operand);
  /// Fails unless the tensor is floating; where `float32_up`, f16 and bf16 are refused too.
  void require_floating(const Tensor& x, bool float32_up = false) const;
  void require_integer(const Tensor& x, const char* what) const;
  /// Fails unless the shapes are equal: losses do not broadcast, as [n] against [n, 1] would quietly compare all pairs.
  void require_same_dims(const Tensor& a, const Tensor& b, const char* what_a, const char* what_b) const;
  void require_rank(const Tensor& x, std::size_t least, const char* what, const char* hint) const;
  void require(bool condition, const std::string& message, const std::string& hint = "") const {
    if (!condition) fail(ErrorCode::invalid_argument, message, hint);
  }
  std::int64_t axis(std::int64_t axis, const Tensor& x) const { return emitter_.axis(axis, x.rank()); }
  /// Sorted, without negative ones; Error(invalid_argument) when one is given twice.
  std::vector<std::int64_t> axes(const Axes& axes, const Tensor& x) const;

  /// Element (i0, i1, ...) of these dims is i_axis.
  Tensor iota(DType dtype, const Dims& dims, std::int64_t axis);
  Tensor number(Scalar value, DType dtype);
  Tensor full(DType dtype, const Dims& dims, Scalar value);
  /// The product of extents as a scalar; a constant where they are known.
  Tensor count(const Dims& dims, const std::vector<std::int64_t>& axes, DType dtype);

 private:
  LocationScope scope_;
  Emitter emitter_;
  std::optional<DType> dtype_;
};

/// Builds the primitive op at the current location.
Tensor apply(ir::Op op, const std::vector<Tensor>& operands, ir::Attributes attributes = {});
std::vector<Tensor> apply_many(ir::Op op, const std::vector<Tensor>& operands, ir::Attributes attributes = {});
/// The general contraction; result dims: batch, free dims of a, free dims of b.
Tensor dot_general(const Tensor& a, const Tensor& b, std::vector<std::int64_t> a_batch, std::vector<std::int64_t> b_batch,
                   std::vector<std::int64_t> a_contract, std::vector<std::int64_t> b_contract);
/// Reshape to dims that are known to fit: no check in the user's words.
Tensor reshaped(const Tensor& x, const Dims& dims);
/// Dim i of x becomes dim positions[i] of the result; other dims are repeated.
Tensor spread(const Tensor& x, const Dims& dims, std::vector<std::int64_t> positions);
/// A vector along `axis` of a tensor of this rank: [n] -> [1, ..., n, ..., 1].
Tensor along(const Tensor& vector, std::int64_t axis, std::size_t rank);
/// Axes `a` and `b` exchanged.
Tensor swap_axes(const Tensor& x, std::int64_t a, std::int64_t b);
/// The last two axes exchanged.
Tensor matrix_transpose(const Tensor& x);
/// log(1 + exp(x)); the derivative is sigmoid(x), at 0 too.
Tensor stable_softplus(const Tensor& x);
/// weight * value, where a weight of 0 makes even an infinite value 0: x log x at 0, or a class of probability 0 at a logit of -inf.
Tensor weighted(const Tensor& weight, const Tensor& value);
/// Square root whose derivative at 0 is 0, the least subgradient of a norm.
Tensor norm_sqrt(const Tensor& sum_of_squares);

}  // namespace kiln::detail

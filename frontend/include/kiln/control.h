// Branches, loops, and what their gradients keep in memory.
//
// Bodies are functions that build a part of the graph, called once. What they use from outside (tensors and variables) is captured. Tensors
// made in a body exist only there: using one outside is Error(foreign_graph); a body hands values out by returning them. assign in a body
// is an error: return the value, then assign it outside.
#pragma once

#include <functional>
#include <optional>

#include "kiln/graph.h"

namespace kiln {

/// The results of `then_body` when the bool scalar is true, else of `else_body`. Both return as many tensors, of the same dtypes and dims.
/// Only the chosen one runs.
///   Tensor y = cond(greater(loss, 1.0), [&] { return x * 0.5; }, [&] { return x; });
std::vector<Tensor> cond(const Operand& predicate, const std::function<std::vector<Tensor>()>& then_body,
                         const std::function<std::vector<Tensor>()>& else_body);

/// The same for bodies that return one tensor.
template <class Then, class Else>
  requires std::is_convertible_v<std::invoke_result_t<Then>, Tensor> && std::is_convertible_v<std::invoke_result_t<Else>, Tensor>
Tensor cond(const Operand& predicate, Then&& then_body, Else&& else_body) {
  return cond(predicate, std::function<std::vector<Tensor>()>([&] { return std::vector<Tensor>{then_body()}; }),
              std::function<std::vector<Tensor>()>([&] { return std::vector<Tensor>{else_body()}; }))[0];
}

/// The results of bodies[index]; of the last body when the index, an integer scalar, is out of range. All bodies return as many tensors, of
/// the same dtypes and dims. Only the chosen one runs. (StableHLO's case.)
///   auto y = switch_case(kind, {[&] { return std::vector{relu(x)}; }, [&] { return std::vector{tanh(x)}; }, [&] { return std::vector{x};
///   }});
std::vector<Tensor> switch_case(const Operand& index, const std::vector<std::function<std::vector<Tensor>()>>& bodies);

/// For checkpoint_every: about the square root of the number of iterations, where that is known, or has a bound or a typical value;
/// else 32.
inline constexpr std::int64_t automatic = -1;

struct WhileOptions {
  /// An upper bound of the number of iterations, where one is known: gradients then keep their intermediate values in memory that is
  /// planned before the run. A run in which the condition still holds after that many iterations fails with Error(check_failed) at this
  /// line, and changes no variable. (With checkpoint_every it is rounded up to a multiple of that.)
  std::optional<std::int64_t> max_trip_count = {};
  /// The gradient keeps the values of every k-th iteration alone and computes the others again, k at a time: memory for n / k + k
  /// iterations in place of n, for one more forward computation. 0: keeps what every iteration needs.
  std::int64_t checkpoint_every = 0;
};

using LoopCondition = std::function<Tensor(const std::vector<Tensor>&)>;
using LoopBody = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

/// Starts from `initial`, and replaces the values by body(values) as long as condition(values), a bool scalar, is true. The body keeps the
/// number, dtypes and dims of the values. Returns the last values. Differentiable, whatever the trip count.
///   auto out = while_loop([&](auto& v) { return less(v[0], depth); },
///                         [&](auto& v) { return std::vector{v[0] + 1, relu(matmul(v[1], w))}; }, {zero, x});
std::vector<Tensor> while_loop(const LoopCondition& condition, const LoopBody& body, const std::vector<Tensor>& initial,
                               WhileOptions options = {}, std::source_location location = std::source_location::current());

struct ScanOptions {
  std::optional<Dim> length = {};     ///< the number of iterations; where it is left out, dim 0 of the sequences
  bool reverse = false;               ///< from the last index to the first
  std::int64_t checkpoint_every = 0;  ///< as in WhileOptions
};

/// What the body of a scan returns, and what the scan does.
struct ScanResult {
  std::vector<Tensor> carried;
  std::vector<Tensor> outputs;
};
using ScanBody = std::function<ScanResult(const std::vector<Tensor>& carried, const std::vector<Tensor>& slices)>;

/// For each index t of dim 0 of the sequences, in order: carried, outputs = body(carried, {sequence[t]...}). Returns the last carried
/// values and the outputs stacked along a new dim 0. The number of iterations may be symbolic, and 0. The body keeps number, dtypes and
/// dims of the carried values, and may return any outputs. The gradient is a scan too; what it needs is planned before the run.
///   auto [last, states] = scan([&](auto& h, auto& x) {
///     const Tensor next = tanh(matmul(x[0], u) + matmul(h[0], w));
///     return ScanResult{{next}, {next}};
///   }, {h0}, {inputs});                             // inputs: [time, batch, n] -> states[0]: [time, batch, m]
ScanResult scan(const ScanBody& body, const std::vector<Tensor>& initial, const std::vector<Tensor>& sequences, ScanOptions options = {},
                std::source_location location = std::source_location::current());

using MapBody = std::function<std::vector<Tensor>(const std::vector<Tensor>& slices)>;

/// The results of body({sequence[t]...}) for each index t of dim 0, stacked along a new dim 0: a scan that carries nothing.
///   Tensor inverses = map([](auto& m) { return std::vector{inverse(m[0])}; }, {matrices})[0];
std::vector<Tensor> map(const MapBody& body, const std::vector<Tensor>& sequences,
                        std::source_location location = std::source_location::current());

using ForBody = std::function<std::vector<Tensor>(const Tensor& index, const std::vector<Tensor>& values)>;

/// values = body(i, values) for i = 0 .. count - 1, an i64 scalar; starts from `initial` and returns the last values. The count is an
/// extent, so it is known before the run; while_loop decides in the run.
std::vector<Tensor> for_loop(const Dim& count, const ForBody& body, const std::vector<Tensor>& initial,
                             std::source_location location = std::source_location::current());

/// Builds results from inputs.
using TensorFunction = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)>;

/// The same function, whose gradient keeps nothing but its inputs (and what it captures) and computes the rest again when it needs it.
///   auto block = checkpoint([&](auto& in) { return std::vector{relu(matmul(in[0], w))}; });
///   Tensor y = block({x})[0];
TensorFunction checkpoint(TensorFunction function, std::source_location location = std::source_location::current());

}  // namespace kiln

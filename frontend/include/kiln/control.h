// Branches and loops whose course is decided in the run.
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

struct WhileOptions {
  /// An upper bound of the number of iterations, where one is known: gradients then keep their intermediate values in memory that is
  /// planned before the run.
  std::optional<std::int64_t> max_trip_count = {};
};

using LoopCondition = std::function<Tensor(const std::vector<Tensor>&)>;
using LoopBody = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

/// Starts from `initial`, and replaces the values by body(values) as long as condition(values), a bool scalar, is true. The body keeps the
/// number, dtypes and dims of the values. Returns the last values. Differentiable, whatever the trip count.
///   auto out = while_loop([&](auto& v) { return less(v[0], depth); },
///                         [&](auto& v) { return std::vector{v[0] + 1, relu(matmul(v[1], w))}; }, {zero, x});
std::vector<Tensor> while_loop(const LoopCondition& condition, const LoopBody& body, const std::vector<Tensor>& initial,
                               WhileOptions options = {}, std::source_location location = std::source_location::current());

}  // namespace kiln

// Functions of the user inside a graph: what Kiln has no operation for, or what must be done on the host in the middle of a step.
#pragma once

#include <source_location>
#include <string>
#include <vector>

#include "kiln/custom_function.h"
#include "kiln/graph.h"

namespace kiln {

/// Dtype and dims of a tensor that does not exist yet.
struct TensorType {
  DType dtype = DType::f32;
  Dims dims = {};
};

/// The results of `function` for the inputs. The types of the results are given, as no rule tells them; their dims may use the symbols of
/// the graph. At least one input (it says which graph) and one result.
///
///   Tensor sorted = custom_call("sort", {x}, {{f32, {batch}}}, [](std::span<const ArrayView> in, std::span<MutableArrayView> out) {
///     std::ranges::copy(in[0].data<float>(), out[0].data<float>().begin());
///     std::ranges::sort(out[0].data<float>());
///   })[0];
///
/// The function is called when a run needs one of the results, in a loop in every iteration; calls are never merged. When it throws, the
/// run fails with Error(custom_call_failed) at this line, and no variable changes: everything that a run changes, it changes after the last
/// call. See kiln/custom_function.h for what it may do.
///
/// There is no gradient through it: put custom_gradient() around it to give it one, or stop_gradient() on its results. The gradient of a
/// cond computes its branch again, calls included.
///
/// `name` stands for the function in the graph's text, which cannot hold it: a graph that was read needs Graph::register_custom_call.
/// Error(invalid_argument) when the graph has a function of that name already.
std::vector<Tensor> custom_call(const std::string& name, const std::vector<Tensor>& inputs, const std::vector<TensorType>& results,
                                CustomFunction function, std::source_location location = std::source_location::current());
/// Calls the function that is, or by the first run will be, registered under the name.
std::vector<Tensor> custom_call(const std::string& name, const std::vector<Tensor>& inputs, const std::vector<TensorType>& results,
                                std::source_location location = std::source_location::current());

}  // namespace kiln

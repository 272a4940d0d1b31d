// summary(): what a model is made of, as a table.
#pragma once

#include "kiln/nn/module.h"

namespace kiln::nn {

/// A line of a summary.
struct SummaryRow {
  std::string name;  ///< path; "" for the model itself
  std::string type;  ///< class
  int depth = 0;
  std::string output;           ///< type of what this call returned, as "f32[batch, 10]"
  std::int64_t parameters = 0;  ///< numbers in parameters of its own, without its parts'; 0 where an earlier line counted them
  Dim flops;                    ///< floating-point operations of matrix products and convolutions of its own: two for each multiply-add
};
struct Summary {
  std::vector<SummaryRow> rows;  ///< in order of calls
  std::int64_t parameters = 0, trainable_parameters = 0, buffers = 0;
  Dim flops;
  /// The table.
  std::string text() const;
};

/// Calls a module on a placeholder of this type in a graph of its own, and says what its parts returned. The module's parameters, made or
/// not, stay as they were.
///   std::puts(nn::summary(model, {Dim("batch"), 3, 32, 32}).text().c_str());
Summary summary(Module& module, const Dims& input, DType dtype = f32, Mode mode = {},
                std::source_location location = std::source_location::current());
/// The same for modules of other arguments: `call` makes placeholders in the graph that it is given and calls the module.
///   nn::summary(attention, [&](Graph& g) { attention(g.placeholder("q", f32, {n, 8, 64}), ...); });
Summary summary(Module& module, const std::function<void(Graph&)>& call, std::source_location location = std::source_location::current());

}  // namespace kiln::nn

// What a list of operators from elsewhere becomes in Kiln: a table of rows, each of which builds one variant of one operator out of public
// functions, as an importer would, and is compared with numbers that were made elsewhere.
#pragma once

#include <concepts>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "../api/api_test.h"

namespace kiln::test {

/// The inputs of a node, those that are not given left out, and the graph that they are in.
struct In {
  Graph& graph;
  std::vector<Tensor> tensors;
  const Tensor& operator[](std::size_t i) const { return tensors.at(i); }
};

/// Builds the results of a node: one tensor or a list.
class Build {
 public:
  template <class F>
    requires std::invocable<F, const In&>
  Build(F f) {
    if constexpr (std::is_convertible_v<std::invoke_result_t<F, const In&>, Tensor>)
      function_ = [f = std::move(f)](const In& in) { return std::vector<Tensor>{f(in)}; };
    else
      function_ = std::move(f);
  }
  std::vector<Tensor> operator()(const In& in) const { return function_(in); }

 private:
  std::function<std::vector<Tensor>(const In&)> function_;
};

struct Row {
  std::string op;       ///< the operator's name in the list
  std::string variant;  ///< the case op/variant of the expectations
  Build build;
  double tolerance = 1e-5;
};
using Rows = std::vector<Row>;

/// A draw: whatever comes, it has this property. There are no expectations.
struct RandomRow {
  std::string op;
  Build build;
  std::function<void(const Array&)> property;
};

}  // namespace kiln::test

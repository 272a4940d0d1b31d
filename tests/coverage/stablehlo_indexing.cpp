// StableHLO: slices and gathers at computed places, scatters, order, and the operations whose shapes are operands. An operand that holds
// extents is known when the graph is built, or is the extent of something that is fed, a symbol.
#include "stablehlo.h"

namespace kiln::test {

namespace {

StablehloRow of(std::string op, std::vector<std::string> operands, std::string node, std::string result) {
  return {std::move(op), std::move(operands), std::move(node), {std::move(result)}};
}

/// A row of one more operand, a vector whose extent is the symbol n: what an operand of extents would say.
StablehloRow dynamic(std::string op, std::vector<std::string> operands, std::function<Tensor(const In&, const Dim&)> build,
                     std::string result) {
  return built(std::move(op), "an extent known in the run", std::move(operands),
               [build = std::move(build)](const In& x) { return build(x, x.tensors.back().dim(0)); }, {std::move(result)});
}

}  // namespace

std::vector<StablehloRow> stablehlo_indexing() {
  const std::string m = "i32[3, 4] {{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}}";
  std::vector<StablehloRow> rows = {
      of("dynamic_slice", {m, "i64[] 1", "i64[] 3"}, "dynamic_slice %a, %b, %c {sizes = dims [2, 2]}", "i32[2, 2] {{6, 7}, {10, 11}}"),
      of("dynamic_slice", {m, "i32[] -5", "i32[] 9"}, "dynamic_slice %a, %b, %c {sizes = dims [1, 4]}", "i32[1, 4] {{0, 1, 2, 3}}"),
      of("dynamic_update_slice", {m, "i32[1, 2] {{-1, -2}}", "i64[] 9", "i64[] 3"}, "dynamic_update_slice %a, %b, %c, %d",
         "i32[3, 4] {{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, -1, -2}}"),
      of("gather", {m, "i64[2, 2] {{0, 1}, {5, -3}}"},
         "gather %a, %b {offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0, 1], index_vector_dim = 1, slice_sizes = dims "
         "[1, 2]}",
         "i32[2, 2] {{1, 2}, {8, 9}}"),
      of("gather", {m, "i32[2] {2, 0}"},
         "gather %a, %b {offset_dims = [0], collapsed_slice_dims = [1], start_index_map = [1], index_vector_dim = 1, slice_sizes = dims "
         "[3, 1]}",
         "i32[3, 2] {{2, 0}, {6, 4}, {10, 8}}"),
      of("gather", {m, "i64[3, 1] {{3}, {0}, {1}}"},
         "gather %a, %b {collapsed_slice_dims = [1], operand_batching_dims = [0], start_indices_batching_dims = [0], start_index_map = "
         "[1], "
         "index_vector_dim = 1, slice_sizes = dims [1, 1]}",
         "i32[3] {3, 4, 9}"),
      of("scatter", {"i32[4] {1, 2, 3, 4}", "i64[3, 1] {{1}, {1}, {9}}", "i32[3] {10, 20, 30}"},
         "scatter %a, %b, %c {combiner = \"add\", inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1}",
         "i32[4] {1, 32, 3, 4}"),
      of("scatter", {"i32[4] {1, 2, 3, 4}", "i64[2, 1] {{-1}, {2}}", "i32[2] {10, 20}"},
         "scatter %a, %b, %c {combiner = \"replace\", inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = "
         "1}",
         "i32[4] {1, 2, 20, 4}"),
      // Of a window that does not fit the elements outside are skipped, and they alone.
      of("scatter", {"i32[4] {1, 2, 3, 4}", "i64[2, 1] {{3}, {1}}", "i32[2, 2] {{10, 20}, {30, 40}}"},
         "scatter %a, %b, %c {combiner = \"replace\", update_window_dims = [1], scatter_dims_to_operand_dims = [0], index_vector_dim = 1}",
         "i32[4] {1, 30, 40, 10}"),
      of("scatter", {"f32[2, 2] {{1, 2}, {3, 4}}", "i64[2, 1] {{1}, {0}}", "f32[2] {5, 6}"},
         "scatter %a, %b, %c {combiner = \"maximum\", inserted_window_dims = [1], input_batching_dims = [0], scatter_indices_batching_dims "
         "= [0], "
         "scatter_dims_to_operand_dims = [1], index_vector_dim = 1}",
         "f32[2, 2] {{1, 5}, {6, 4}}"),
      of("sort", {"f32[6] {nan, -0, 0, -inf, 1, -1}"}, "argsort %a {dimension = 0}", "i64[6] {3, 5, 1, 2, 4, 0}"),
      of("sort", {"i32[2, 3] {{3, 1, 2}, {1, 3, 1}}"}, "argsort %a {dimension = 1, descending = true}", "i64[2, 3] {{0, 2, 1}, {1, 0, 2}}"),
      of("sort", {"i32[4] {1, 0, 1, 0}", "i32[4] {5, 7, 4, 6}"}, "argsort %a, %b {dimension = 0}", "i64[4] {3, 1, 2, 0}"),
      built("sort", "two tensors by a comparator of the first one", {"i32[3] {2, 3, 1}", "f32[3] {20, 30, 10}"},
            [](const In& x) {
              const Sorted s = sort_by_key(x[0], x[1], 0, true);
              return std::vector{s.keys, s.values};
            },
            {"i32[3] {3, 2, 1}", "f32[3] {30, 20, 10}"}),
      built("sort", "a comparator that compares magnitudes", {"f32[4] {-3, 2, -1, 0}"},
            [](const In& x) { return take_along_axis(x[0], argsort(abs(x[0])), 0); }, {"f32[4] {0, -1, 2, -3}"}),
      built("torch_index_select", "slices along a dim", {m, "i64[2] {2, 0}"}, [](const In& x) { return index_select(x[0], 1, x[1]); },
            {"i32[3, 2] {{2, 0}, {6, 4}, {10, 8}}"}),
      built("reduce", "two operands: the greatest number and where it stands", {"f32[2, 3] {{1, 5, 5}, {-1, -2, -3}}"},
            [](const In& x) { return std::vector{reduce_max(x[0], 1), argmax(x[0], 1)}; }, {"f32[2] {5, -1}", "i64[2] {1, 0}"}),
      built("reduce", "a body that is none of the combiners: the sum of squares from an initial value", {"f32[3] {1, 2, 3}", "f32[] 10"},
            [](const In& x) { return scan([](auto& s, auto& e) { return ScanResult{{s[0] + e[0] * e[0]}, {}}; }, {x[1]}, {x[0]}).carried; },
            {"f32[] 24"}),
      built("reduce_window", "a body that is none of the combiners, over windows as columns", {"f32[1, 1, 4] {{{1, -5, 3, 4}}}"},
            [](const In& x) {
              const Tensor columns = unfold(x[0], 2, {.stride = 2});
              return take_along_axis(columns, argmax(abs(columns), 1, true), 1);
            },
            {"f32[1, 1, 2] {{{-5, 4}}}"}),
      built("select_and_scatter", "the greatest of each window gets the source's value, added where windows overlap",
            {"f32[1, 1, 5] {{{1, 5, 2, 0, 7}}}", "f32[1, 1, 3] {{{10, 20, 30}}}", "f32[] 0.5"},
            [](const In& x) {
              const PooledWithIndices top = max_pool_with_indices(x[0], 3, {.stride = 1});
              const Tensor start = broadcast_to(x[2], {1, 1, 5});
              return scatter_elements(start, top.indices, x[1], 2, Combine::add);
            },
            {"f32[1, 1, 5] {{{0.5, 30.5, 0.5, 0.5, 30.5}}}"}),
      dynamic(
          "dynamic_broadcast_in_dim", {"i32[2] {1, 2}", "i32[3] {0, 0, 0}"},
          [](const In& x, const Dim& n) { return broadcast_to(x[0], {n, 2}); }, "i32[3, 2] {{1, 2}, {1, 2}, {1, 2}}"),
      dynamic(
          "dynamic_iota", {"i32[3] {0, 0, 0}"}, [](const In& x, const Dim& n) { return x.graph.iota(i64, {2, n}, 1); },
          "i64[2, 3] {{0, 1, 2}, {0, 1, 2}}"),
      dynamic(
          "dynamic_pad", {"i32[2] {1, 2}", "i32[1] {0}"}, [](const In& x, const Dim& n) { return pad(x[0], {n}, {2 * n}, 9); },
          "i32[5] {9, 1, 2, 9, 9}"),
      dynamic(
          "dynamic_reshape", {"i32[6] {1, 2, 3, 4, 5, 6}", "i32[3] {0, 0, 0}"},
          [](const In& x, const Dim& n) { return reshape(x[0], {2, n}); }, "i32[2, 3] {{1, 2, 3}, {4, 5, 6}}"),
      dynamic(
          "dynamic_gather", {m, "i64[2] {2, 0}", "i32[3] {0, 0, 0}"},
          [](const In& x, const Dim& n) { return slice(take(x[0], x[1], 0), {0, 0}, {2, n}); }, "i32[2, 3] {{8, 9, 10}, {0, 1, 2}}"),
      dynamic(
          "dynamic_conv", {"f32[1, 1, 3] {{{1, 2, 3}}}", "f32[1, 1, 2] {{{1, 10}}}", "i32[1] {0}"},
          [](const In& x, const Dim& n) { return conv(pad(x[0], {0, 0, n}, {0, 0, 0}, 0), x[1]); }, "f32[1, 1, 3] {{{10, 21, 32}}}"),
      // set_dimension_size: what lies beyond the size is cut off; a size that the run computes makes a produced extent.
      built("set_dimension_size", "the first elements, as many as the run says", {"i32[4] {1, 2, 3, 4}", "i64[] 2"},
            [](const In& x) { return boolean_mask(x[0], less(x.graph.range(i64, 4), x[1])); }, {"i32[2] {1, 2}"}),
  };
  return rows;
}

}  // namespace kiln::test

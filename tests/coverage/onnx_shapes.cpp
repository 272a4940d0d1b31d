// ONNX: shapes, rearrangement, indexing, filled tensors. What an ONNX model gives as a tensor of extents or axes is known before the run,
// as an importer folds it; Slice/fed and the like show what becomes of those that are not.
#include "onnx.h"

namespace kiln::test {

namespace {

/// Writes `update` [batch, heads, time, n] into the cache at `position` [batch] of axis 2.
Tensor tensor_scatter(const In& x, bool circular) {
  const Tensor &cache = x[0], &update = x[1];
  const Dims two{update.dim(0), update.dim(2)};
  Tensor place = reshape(x[2], {update.dim(0), 1}) + x.graph.iota(i64, two, 1);
  if (circular) place = floor_mod(place, x.graph.size(cache.dim(2)));
  const Tensor batch = x.graph.iota(i64, two, 0);
  const Tensor indices = stack({batch, place}, -1);
  // Index vectors of the batch and of time lead, heads and the rest follow.
  const Tensor result = scatter_nd(transpose(cache, {0, 2, 1, 3}), indices, transpose(update, {0, 2, 1, 3}));
  return transpose(result, {0, 2, 1, 3});
}

/// One axis of CenterCropPad: the middle of x, or x in the middle.
Tensor centred(const Tensor& x, std::int64_t axis, std::int64_t extent) {
  const std::int64_t have = x.dim(axis).value();
  std::vector<Dim> low(x.rank(), Dim(0)), high = low;
  const std::int64_t before = extent < have ? -((have - extent) / 2) : (extent - have) / 2;
  low[static_cast<std::size_t>(axis)] = before;
  high[static_cast<std::size_t>(axis)] = extent - have - before;
  return pad(x, low, high, 0);
}

constexpr Combine combines[] = {Combine::add, Combine::multiply, Combine::maximum, Combine::minimum};
constexpr const char* combine_names[] = {"add", "mul", "max", "min"};

}  // namespace

Rows onnx_shapes() {
  Rows rows = {
      {"Reshape", "zero_and_rest", [](const In& x) { return reshape(x[0], {x[0].dim(0), -1}); }},
      {"Reshape", "allowzero", [](const In& x) { return reshape(x[0], {3, 0}); }},
      {"Flatten", "axis_1", [](const In& x) { return reshape(x[0], {2, -1}); }},
      {"Flatten", "axis_0", [](const In& x) { return reshape(x[0], {1, -1}); }},
      {"Flatten", "negative", [](const In& x) { return reshape(x[0], {-1, 4}); }},
      {"Transpose", "default", [](const In& x) { return transpose(x[0]); }},
      {"Transpose", "perm", [](const In& x) { return transpose(x[0], {1, 2, 0}); }},
      {"Squeeze", "axes", [](const In& x) { return squeeze(x[0], 0); }},
      {"Squeeze", "all", [](const In& x) { return squeeze(x[0]); }},
      {"Unsqueeze", "axes", [](const In& x) { return expand_dims(expand_dims(x[0], 0), -1); }},
      {"Expand", "both_ways", [](const In& x) { return broadcast_to(x[0], {2, 3, 4}); }},
      {"Tile", "plain", [](const In& x) { return tile(x[0], {2, 1}); }},
      {"Concat", "axis", [](const In& x) { return concatenate({x[0], x[1]}, -1); }},
      {"Split", "sizes", [](const In& x) { return split(x[0], Dims{2, 4}, 1); }},
      {"Split", "uneven", [](const In& x) { return chunk(x[0], 3, 0); }},
      {"Slice", "steps", [](const In& x) { return index(x[0], {Slice{1, 5, 2}, Slice{-1, -100, -2}}); }},
      {"Slice", "default_axes", [](const In& x) { return index(x[0], {Slice{1, 1000}, Slice{0, -1}}); }},
      // Ends that the run computes: the extent is produced.
      {"Slice", "fed",
       [](const In& x) {
         const auto scalar = [&](std::size_t i) { return reshape(x[i], {}); };
         return take(x[0], range(scalar(1), scalar(2), scalar(4), x[0].dim(0)), 0);
       }},
      {"Shape", "all",
       [](const In& x) { return stack({x.graph.size(x[0].dim(0)), x.graph.size(x[0].dim(1)), x.graph.size(x[0].dim(2))}); }},
      {"Shape", "part", [](const In& x) { return stack({x.graph.size(x[0].dim(1)), x.graph.size(x[0].dim(2))}); }},
      {"Size", "plain", [](const In& x) { return x.graph.size(x[0].dim(0) * x[0].dim(1) * x[0].dim(2)); }},
      {"Pad", "constant", [](const In& x) { return pad(x[0], {0, 2}, {1, 0}, x[2]); }},
      {"Pad", "axes_negative", [](const In& x) { return pad(x[0], {0, -1}, {0, 2}, 0); }},
      {"Pad", "reflect", [](const In& x) { return pad(x[0], {1, 2}, {2, 1}, PadMode::reflect); }},
      {"Pad", "edge", [](const In& x) { return pad(x[0], {1, 2}, {2, 1}, PadMode::edge); }},
      {"Pad", "wrap", [](const In& x) { return pad(x[0], {1, 2}, {2, 1}, PadMode::wrap); }},
      {"Gather", "axis_1", [](const In& x) { return take(x[0], x[1], 1, IndexMode::wrap); }},
      {"GatherElements", "negative", [](const In& x) { return gather_elements(x[0], x[1], 0); }},
      {"GatherND", "plain", [](const In& x) { return gather_nd(x[0], x[1]); }},
      {"GatherND", "batch", [](const In& x) { return gather_nd(x[0], x[1], 1); }},
      {"ScatterElements", "replace", [](const In& x) { return scatter_elements(x[0], x[1], x[2], 0); }},
      {"Scatter", "replace", [](const In& x) { return scatter_elements(x[0], x[1], x[2], 0); }},
      {"ScatterND", "replace", [](const In& x) { return scatter_nd(x[0], x[1], x[2]); }},
      {"TensorScatter", "linear", [](const In& x) { return tensor_scatter(x, false); }},
      {"TensorScatter", "circular", [](const In& x) { return tensor_scatter(x, true); }},
      {"OneHot", "axis", [](const In& x) { return one_hot(x[0], 5, 0, index(x[2], {1}), index(x[2], {0})); }},
      {"OneHot", "last", [](const In& x) { return one_hot(x[0], 3, -1, index(x[2], {1}), index(x[2], {0})); }},
      {"Range", "integers", [](const In& x) { return range(x[0], x[1], x[2], 100); }},
      {"Range", "floats", [](const In& x) { return range(x[0], x[1], x[2], 100); }},
      {"ConstantOfShape", "value", [](const In& x) { return x.graph.full(i32, {2, 3}, 7); }},
      {"ConstantOfShape", "default", [](const In& x) { return x.graph.zeros(f32, {2}); }},
      {"Constant", "value", [](const In& x) { return x.graph.constant(Array::from({{1.F, 2.F}, {3.F, 4.F}})); }},
      {"EyeLike", "k", [](const In& x) { return eye(x.graph, f32, x[0].dim(0), x[0].dim(1), 1); }},
      {"Trilu", "upper", [](const In& x) { return triu(x[0]); }},
      {"Trilu", "lower_k", [](const In& x) { return tril(x[0], -1); }},
      {"ReverseSequence", "time_first", [](const In& x) { return reverse_sequence(x[0], x[1]); }},
      {"ReverseSequence", "batch_first", [](const In& x) { return reverse_sequence(x[0], x[1], 1, 0); }},
      {"DepthToSpace", "dcr", [](const In& x) { return depth_to_space(x[0], 2); }},
      {"DepthToSpace", "crd", [](const In& x) { return depth_to_space(x[0], 2, Layout::channels_first, true); }},
      {"SpaceToDepth", "plain", [](const In& x) { return space_to_depth(x[0], 2); }},
      {"CenterCropPad", "crop", [](const In& x) { return centred(centred(x[0], 0, 3), 1, 3); }},
      {"CenterCropPad", "crop_and_pad", [](const In& x) { return centred(centred(x[0], 0, 2), 1, 7); }},
      {"CenterCropPad", "axes", [](const In& x) { return centred(x[0], 1, 7); }},
      {"Col2Im", "plain", [](const In& x) { return fold(x[0], {5, 5}, {1, 5}); }},
      {"Col2Im", "strides", [](const In& x) { return fold(x[0], {5, 5}, {3, 3}, {.stride = 2}); }},
      {"Col2Im", "pads", [](const In& x) { return fold(x[0], {5, 5}, {1, 5}, {.padding = {0, 1}}); }},
      {"Col2Im", "dilations", [](const In& x) { return fold(x[0], {6, 6}, {2, 2}, {.dilation = {1, 5}}); }},
  };
  for (int i = 0; i < 4; ++i) {
    const Combine combine = combines[i];
    rows.push_back({"ScatterElements", combine_names[i], [=](const In& x) { return scatter_elements(x[0], x[1], x[2], 1, combine); }});
    rows.push_back({"ScatterND", combine_names[i], [=](const In& x) { return scatter_nd(x[0], x[1], x[2], combine); }});
  }
  return rows;
}

}  // namespace kiln::test

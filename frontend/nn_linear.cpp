// Linear, Bilinear, Embedding.
#include "kiln/nn/linear.h"

#include <fmt/format.h>
#include <cmath>

#include "frontend/nn_module.h"
#include "kiln/indexing.h"
#include "kiln/operators.h"

namespace kiln::nn {

using detail::at_call;
using detail::graph_of;

Tensor detail::times_transposed(const char* name, const Tensor& x, const Tensor& weight) {
  Graph graph = graph_of(x);
  kiln::detail::Emitter emitter(kiln::detail::Access::state(graph), name, call_location());
  return emitter.wrap(
      emitter.builder().dot_general(emitter.use(x), emitter.use(weight), {}, {}, {static_cast<std::int64_t>(x.rank()) - 1}, {1}));
}

// ---- Linear

Linear::Linear(std::int64_t in, std::int64_t out, LinearOptions options) : in_(in), out_(out), options_(options) {}

void Linear::make_parameters(Graph& graph, DType dtype) {
  // PyTorch's default: uniform within 1 / sqrt(fan_in) for both.
  const double bound = 1 / std::sqrt(static_cast<double>(in_));
  parameter(graph, "weight", random_uniform(dtype, {out_, in_}, {.low = -bound, .high = bound}));
  if (options_.bias) parameter(graph, "bias", random_uniform(dtype, {out_}, {.low = -bound, .high = bound}));
}

Tensor Linear::forward(const Tensor& input) {
  const ir::Type& type = kiln::detail::type_of(input);
  if (type.rank() == 0 || ir::equals(type.dims.back(), in_) != ir::Truth::yes || !is_floating(type.dtype))
    detail::fail(is_floating(type.dtype) ? ErrorCode::shape_mismatch : ErrorCode::dtype_mismatch,
                 fmt::format("Linear: the input is {}, but the layer has the weight [{}, {}]: the last dim must be {}", ir::to_string(type),
                             out_, in_, in_),
                 is_floating(type.dtype) ? "Linear(in, out): in is the input's last dim" : "convert it first: convert(x, f32)");
  return at_call([&] {
    Graph graph = graph_of(input);
    const DType dtype = input.dtype();
    make_parameters(graph, dtype);
    const Variable weight = parameter(graph, "weight", zeros(dtype, {out_, in_}));
    const Tensor product = detail::times_transposed("Linear", input, weight);
    return options_.bias ? product + parameter(graph, "bias", zeros(dtype, {out_})) : product;
  });
}

// ---- Bilinear

Bilinear::Bilinear(std::int64_t in1, std::int64_t in2, std::int64_t out, BilinearOptions options)
    : in1_(in1), in2_(in2), out_(out), options_(options) {}

void Bilinear::make_parameters(Graph& graph, DType dtype) {
  const double bound = 1 / std::sqrt(static_cast<double>(in1_));
  parameter(graph, "weight", random_uniform(dtype, {out_, in1_, in2_}, {.low = -bound, .high = bound}));
  if (options_.bias) parameter(graph, "bias", random_uniform(dtype, {out_}, {.low = -bound, .high = bound}));
}

Tensor Bilinear::operator()(const Tensor& a, const Tensor& b, Mode mode, std::source_location location) {
  return call(mode, location, [&] {
    kiln::detail::LocationScope scope(detail::call_location());
    detail::require_input("Bilinear", a, -1, in1_, "in1");
    detail::require_input("Bilinear", b, -1, in2_, "in2");
    return at_call([&] {
      Graph graph = graph_of(a);
      make_parameters(graph, a.dtype());
      const Variable weight = parameter(graph, "weight", zeros(a.dtype(), {out_, in1_, in2_}));
      // [..., in1] x [out, in1, in2] -> [..., out, in2], then the row's product with b.
      kiln::detail::Emitter emitter(kiln::detail::Access::state(graph), "Bilinear", detail::call_location());
      const Tensor half = emitter.wrap(emitter.builder().dot_general(emitter.use(a), emitter.use(static_cast<const Tensor&>(weight)), {},
                                                                     {}, {static_cast<std::int64_t>(a.rank()) - 1}, {1}));
      const Tensor product = reduce_sum(half * expand_dims(b, -2), -1);
      return options_.bias ? product + parameter(graph, "bias", zeros(a.dtype(), {out_})) : product;
    });
  });
}

// ---- Embedding

Embedding::Embedding(std::int64_t count, std::int64_t width, EmbeddingOptions options, std::source_location location)
    : count_(count), width_(width), options_(options) {
  if (options_.padding_idx && (*options_.padding_idx < -count || *options_.padding_idx >= count))
    throw Error(ErrorCode::invalid_argument,
                fmt::format("Embedding: padding_idx is {} in a table of {} rows", *options_.padding_idx, count), location,
                fmt::format("-{} <= padding_idx < {}", count, count));
  if (options_.padding_idx && *options_.padding_idx < 0) *options_.padding_idx += count;
  if (!is_floating(options_.dtype))
    throw Error(ErrorCode::dtype_mismatch, fmt::format("Embedding: the rows would be {}", name_of(options_.dtype)), location,
                "choose a floating dtype");
}

void Embedding::make_parameters(Graph& graph, DType) {
  const Shape shape{count_, width_};
  const DType dtype = options_.dtype;
  if (!options_.padding_idx) {
    parameter(graph, "weight", random_normal(dtype, shape));
    return;
  }
  parameter(graph, "weight", Initializer(dtype, shape, [=, padding = *options_.padding_idx](Graph& g) {
              return select(equal(g.iota(i64, shape, 0), padding), 0.0, g.random_normal(dtype, shape));
            }));
}

Tensor Embedding::forward(const Tensor& input) {
  if (const ir::Type& type = kiln::detail::type_of(input); !is_integer(type.dtype))
    detail::fail(ErrorCode::dtype_mismatch, fmt::format("Embedding: takes integer indices, but was given {}", ir::to_string(type)),
                 "convert them: convert(x, i64)");
  return at_call([&] {
    Graph graph = graph_of(input);
    make_parameters(graph, options_.dtype);
    const Variable weight = parameter(graph, "weight", zeros(options_.dtype, {count_, width_}));
    const Tensor rows = take(weight, input);
    if (!options_.padding_idx) return rows;
    // The value of the padding row, without its gradient.
    const Tensor padding = expand_dims(equal(input, *options_.padding_idx), -1);
    return select(padding, stop_gradient(rows), rows);
  });
}

}  // namespace kiln::nn

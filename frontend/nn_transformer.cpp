// Attention and transformer layers.
#include "kiln/nn/transformer.h"

#include <fmt/format.h>
#include <limits>

#include "frontend/nn_module.h"
#include "kiln/attention.h"
#include "kiln/operators.h"

namespace kiln::nn {

using detail::at_call;
using detail::graph_of;
using detail::times_transposed;

// ---- MultiheadAttention

MultiheadAttention::MultiheadAttention(std::int64_t width, std::int64_t heads, MultiheadAttentionOptions options,
                                       std::source_location location)
    : width_(width), heads_(heads), options_(options), out_(add("out_proj", Linear(width, width, {.bias = options.bias}))) {
  if (heads < 1 || width % heads != 0)
    throw Error(ErrorCode::invalid_argument, fmt::format("MultiheadAttention: {} heads of a width of {}", heads, width), location,
                "the number of heads divides the width");
  if (!(options.dropout >= 0 && options.dropout < 1))
    throw Error(ErrorCode::invalid_argument, fmt::format("MultiheadAttention: the dropout is {}", options.dropout), location,
                "0 <= dropout < 1");
  if (options_.key_width == 0) options_.key_width = width;
  if (options_.value_width == 0) options_.value_width = width;
}

void MultiheadAttention::make_parameters(Graph& graph, DType dtype) {
  if (packed()) {
    parameter(graph, "in_proj_weight", xavier_uniform(dtype, {3 * width_, width_}));
  } else {
    parameter(graph, "q_proj_weight", xavier_uniform(dtype, {width_, width_}));
    parameter(graph, "k_proj_weight", xavier_uniform(dtype, {width_, options_.key_width}));
    parameter(graph, "v_proj_weight", xavier_uniform(dtype, {width_, options_.value_width}));
  }
  if (options_.bias) parameter(graph, "in_proj_bias", zeros(dtype, {3 * width_}));
}

Tensor MultiheadAttention::operator()(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionInput& given, Mode mode,
                                      std::source_location location) {
  return call(mode, location, [&] { return run(query, key, value, given); });
}

Tensor MultiheadAttention::forward(const Tensor& input) { return run(input, input, input, {}); }

Tensor MultiheadAttention::run(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionInput& given) {
  kiln::detail::LocationScope scope(detail::call_location());
  for (const Tensor* x : {&query, &key, &value})
    if (x->rank() != 3)
      detail::fail(ErrorCode::shape_mismatch, fmt::format("MultiheadAttention: an input is {}, but must have rank 3", to_string(*x)),
                   options_.batch_first ? "[batch, time, width]" : "[time, batch, width]");
  detail::require_input("MultiheadAttention", query, -1, width_, "width");
  detail::require_input("MultiheadAttention", key, -1, options_.key_width, "key_width");
  detail::require_input("MultiheadAttention", value, -1, options_.value_width, "value_width");
  const Tensor attended = at_call([&] {
    Graph graph = graph_of(query);
    const DType dtype = query.dtype();
    make_parameters(graph, dtype);
    const auto part = [&](const Tensor& x, std::int64_t index) {
      std::vector<Dim> starts(x.rank(), Dim(0)), limits = detail::extents(x);
      const std::size_t axis = x.rank() == 3 ? 2 : 0;
      starts[axis] = Dim(index * width_);
      limits[axis] = Dim((index + 1) * width_);
      return slice(x, starts, limits);
    };
    using kiln::detail::Access;
    const auto same = [](const Tensor& a, const Tensor& b) {
      return Access::value(a) == Access::value(b) && Access::region(a) == Access::region(b);
    };
    Tensor bias;
    if (options_.bias) bias = parameter(graph, "in_proj_bias", zeros(dtype, {3 * width_}));
    Tensor q, k, v;
    if (packed() && same(query, key) && same(key, value)) {
      Tensor all = times_transposed("MultiheadAttention", query, parameter(graph, "in_proj_weight", zeros(dtype, {3 * width_, width_})));
      if (bias.valid()) all = all + bias;
      q = part(all, 0), k = part(all, 1), v = part(all, 2);
    } else {
      const auto projected = [&](const Tensor& x, std::int64_t index, const char* name, std::int64_t in) {
        const Tensor weight = packed() ? part(parameter(graph, "in_proj_weight", zeros(dtype, {3 * width_, width_})), index)
                                       : Tensor(parameter(graph, name, zeros(dtype, {width_, in})));
        const Tensor product = times_transposed("MultiheadAttention", x, weight);
        return bias.valid() ? product + part(bias, index) : product;
      };
      q = projected(query, 0, "q_proj_weight", width_);
      k = projected(key, 1, "k_proj_weight", options_.key_width);
      v = projected(value, 2, "v_proj_weight", options_.value_width);
    }
    // [time, batch, width] -> [batch, heads, time, width / heads]
    const auto split = [&](const Tensor& x) { return split_heads(options_.batch_first ? x : transpose(x, {1, 0, 2}), heads_); };
    q = split(q), k = split(k), v = split(v);
    AttentionOptions options{.mask = given.mask, .causal = given.causal, .dropout = training() ? options_.dropout : 0};
    if (given.key_mask.valid()) {
      const Tensor& keys = given.key_mask;
      if (keys.dtype() != boolean || !(keys.dims() == Dims{k.dim(0), k.dim(2)}))
        detail::fail(
            keys.dtype() != boolean ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
            fmt::format("MultiheadAttention: the key mask is {}, but must be bool{}", to_string(keys), to_string(Dims{k.dim(0), k.dim(2)})),
            "true for keys that count: [batch, keys]");
      const Tensor counts = reshape(keys, {k.dim(0), 1, 1, k.dim(2)});
      if (!options.mask.valid())
        options.mask = counts;
      else if (options.mask.dtype() == boolean)
        options.mask = logical_and(options.mask, counts);
      else
        options.mask = select(counts, options.mask, -std::numeric_limits<double>::infinity());
    }
    const Tensor joined = merge_heads(scaled_dot_product_attention(q, k, v, options));
    return options_.batch_first ? joined : transpose(joined, {1, 0, 2});
  });
  return Module::call(out_, attended);
}

// ---- transformer layers

namespace {

Tensor activated(const Tensor& x, TransformerActivation activation) {
  return at_call([&] { return activation == TransformerActivation::relu ? relu(x) : gelu(x); });
}

Tensor sum(const Tensor& a, const Tensor& b) {
  return at_call([&] { return a + b; });
}

MultiheadAttentionOptions attention_options(const TransformerOptions& options) {
  return {.dropout = options.dropout, .batch_first = options.batch_first};
}

}  // namespace

TransformerEncoderLayer::TransformerEncoderLayer(std::int64_t width, std::int64_t heads, TransformerOptions options,
                                                 std::source_location location)
    : options_(options),
      attention_(add("self_attn", MultiheadAttention(width, heads, attention_options(options), location))),
      linear1_(add("linear1", Linear(width, options.feedforward))),
      linear2_(add("linear2", Linear(options.feedforward, width))),
      norm1_(add("norm1", LayerNorm(width, {.eps = options.eps}))),
      norm2_(add("norm2", LayerNorm(width, {.eps = options.eps}))),
      dropout_(options.dropout, location) {}

Tensor TransformerEncoderLayer::operator()(const Tensor& source, const AttentionInput& given, Mode mode, std::source_location location) {
  return call(mode, location, [&] { return run(source, given); });
}

Tensor TransformerEncoderLayer::forward(const Tensor& input) { return run(input, {}); }

Tensor TransformerEncoderLayer::run(const Tensor& source, const AttentionInput& given) {
  kiln::detail::LocationScope scope(detail::call_location());
  const auto attend = [&](const Tensor& x) { return Module::call(dropout_, attention_(x, x, x, given)); };
  const auto feed = [&](const Tensor& x) {
    const Tensor inner = activated(Module::call(linear1_, x), options_.activation);
    return Module::call(dropout_, Module::call(linear2_, Module::call(dropout_, inner)));
  };
  if (options_.norm_first) {
    const Tensor x = sum(source, attend(Module::call(norm1_, source)));
    return sum(x, feed(Module::call(norm2_, x)));
  }
  const Tensor x = Module::call(norm1_, sum(source, attend(source)));
  return Module::call(norm2_, sum(x, feed(x)));
}

TransformerDecoderLayer::TransformerDecoderLayer(std::int64_t width, std::int64_t heads, TransformerOptions options,
                                                 std::source_location location)
    : options_(options),
      attention_(add("self_attn", MultiheadAttention(width, heads, attention_options(options), location))),
      cross_attention_(add("multihead_attn", MultiheadAttention(width, heads, attention_options(options), location))),
      linear1_(add("linear1", Linear(width, options.feedforward))),
      linear2_(add("linear2", Linear(options.feedforward, width))),
      norm1_(add("norm1", LayerNorm(width, {.eps = options.eps}))),
      norm2_(add("norm2", LayerNorm(width, {.eps = options.eps}))),
      norm3_(add("norm3", LayerNorm(width, {.eps = options.eps}))),
      dropout_(options.dropout, location) {}

Tensor TransformerDecoderLayer::operator()(const Tensor& target, const Tensor& memory, const AttentionInput& self,
                                           const AttentionInput& cross, Mode mode, std::source_location location) {
  return call(mode, location, [&] { return run(target, memory, self, cross); });
}

Tensor TransformerDecoderLayer::run(const Tensor& target, const Tensor& memory, const AttentionInput& self, const AttentionInput& cross) {
  kiln::detail::LocationScope scope(detail::call_location());
  const auto attend = [&](const Tensor& x) { return Module::call(dropout_, attention_(x, x, x, self)); };
  const auto look = [&](const Tensor& x) { return Module::call(dropout_, cross_attention_(x, memory, memory, cross)); };
  const auto feed = [&](const Tensor& x) {
    const Tensor inner = activated(Module::call(linear1_, x), options_.activation);
    return Module::call(dropout_, Module::call(linear2_, Module::call(dropout_, inner)));
  };
  if (options_.norm_first) {
    Tensor x = sum(target, attend(Module::call(norm1_, target)));
    x = sum(x, look(Module::call(norm2_, x)));
    return sum(x, feed(Module::call(norm3_, x)));
  }
  Tensor x = Module::call(norm1_, sum(target, attend(target)));
  x = Module::call(norm2_, sum(x, look(x)));
  return Module::call(norm3_, sum(x, feed(x)));
}

TransformerEncoder::TransformerEncoder(int layers, std::int64_t width, std::int64_t heads, TransformerOptions options, bool last_norm,
                                       std::source_location location)
    : layers_(add("layers", ModuleList<TransformerEncoderLayer>(
                                layers, [&](int) { return TransformerEncoderLayer(width, heads, options, location); }))) {
  if (last_norm) norm_ = add("norm", LayerNorm(width, {.eps = options.eps}));
}

Tensor TransformerEncoder::operator()(const Tensor& source, const AttentionInput& given, Mode mode, std::source_location location) {
  return call(mode, location, [&] { return run(source, given); });
}

Tensor TransformerEncoder::forward(const Tensor& input) { return run(input, {}); }

Tensor TransformerEncoder::run(const Tensor& source, const AttentionInput& given) {
  kiln::detail::LocationScope scope(detail::call_location());
  Tensor x = source;
  for (TransformerEncoderLayer& layer : layers_) x = layer(x, given);
  return norm_ ? Module::call(*norm_, x) : x;
}

TransformerDecoder::TransformerDecoder(int layers, std::int64_t width, std::int64_t heads, TransformerOptions options, bool last_norm,
                                       std::source_location location)
    : layers_(add("layers", ModuleList<TransformerDecoderLayer>(
                                layers, [&](int) { return TransformerDecoderLayer(width, heads, options, location); }))) {
  if (last_norm) norm_ = add("norm", LayerNorm(width, {.eps = options.eps}));
}

Tensor TransformerDecoder::operator()(const Tensor& target, const Tensor& memory, const AttentionInput& self, const AttentionInput& cross,
                                      Mode mode, std::source_location location) {
  return call(mode, location, [&] {
    kiln::detail::LocationScope scope(detail::call_location());
    Tensor x = target;
    for (TransformerDecoderLayer& layer : layers_) x = layer(x, memory, self, cross);
    return norm_ ? Module::call(*norm_, x) : x;
  });
}

// ---- positions

Tensor SinusoidalPositions::forward(const Tensor& input) {
  if (input.rank() != 3)
    detail::fail(ErrorCode::shape_mismatch, fmt::format("SinusoidalPositions: the input is {}", to_string(input)), "[batch, time, width]");
  const Tensor x = at_call([&] {
    const Dim width = input.dim(2);
    if (!width.is_constant() || width.value() % 2 != 0)
      detail::fail(ErrorCode::shape_mismatch, fmt::format("SinusoidalPositions: the input is {}", to_string(input)),
                   "the width is an even number");
    Graph graph = graph_of(input);
    return input + sinusoidal_positions(graph, input.dtype(), input.dim(1), width.value());
  });
  return Module::call(dropout_, x);
}

void LearnedPositions::make_parameters(Graph& graph, DType dtype) {
  parameter(graph, "weight", random_normal(dtype, {length_, width_}, {.stddev = 0.02}));
}

Tensor LearnedPositions::forward(const Tensor& x) {
  if (x.rank() != 3)
    detail::fail(ErrorCode::shape_mismatch, fmt::format("LearnedPositions: the input is {}", to_string(x)), "[batch, time, width]");
  detail::require_input("LearnedPositions", x, -1, width_, "width");
  return at_call([&] {
    Graph graph = graph_of(x);
    make_parameters(graph, x.dtype());
    const Variable weight = parameter(graph, "weight", zeros(x.dtype(), {length_, width_}));
    return x + slice(weight, {0, 0}, {x.dim(1), width_});
  });
}

}  // namespace kiln::nn

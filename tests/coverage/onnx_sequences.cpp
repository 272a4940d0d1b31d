// ONNX: recurrent layers, attention, transforms of signals. What nn::LSTM and its kin say with PyTorch's gates, an importer says with a
// scan, which leaves gates, peepholes and directions open.
#include "onnx.h"

namespace kiln::test {

namespace {

enum class Cell : std::uint8_t { rnn, gru, gru_before_reset, lstm };

std::vector<Tensor> gates(const Tensor& x, std::int64_t count) { return split(x, count, -1); }

/// One direction: weights w [rows, in], r [rows, hidden], b [2 rows]; states [batch, hidden]; peepholes [3 hidden] or none.
struct Direction {
  Tensor w, r, b, hidden, cell, peepholes;
  bool reverse;
};

/// Outputs [time, batch, hidden] and last states of one direction.
struct Ran {
  Tensor outputs, hidden, cell;
};
Ran run_direction(Cell kind, const Tensor& x, const Direction& d) {
  const std::vector<Tensor> bias = split(d.b, 2, 0);
  const Tensor projected = matmul(x, transpose(d.w)) + bias[0], r = transpose(d.r);
  const auto body = [&](const std::vector<Tensor>& s, const std::vector<Tensor>& slices) {
    const Tensor &h = s[0], &in = slices[0];
    std::vector<Tensor> next;
    if (kind == Cell::rnn) {
      next = {tanh(in + matmul(h, r) + bias[1])};
    } else if (kind == Cell::lstm) {
      const std::vector<Tensor> g = gates(in + matmul(h, r) + bias[1], 4);  // input, output, forget, cell
      const std::vector<Tensor> p = d.peepholes.valid() ? split(d.peepholes, 3, 0) : std::vector<Tensor>{};
      const auto peep = [&](std::size_t i, const Tensor& c) { return p.empty() ? c * 0 : p[i] * c; };
      const Tensor i = sigmoid(g[0] + peep(0, s[1])), f = sigmoid(g[2] + peep(2, s[1])), c = f * s[1] + i * tanh(g[3]);
      next = {sigmoid(g[1] + peep(1, c)) * tanh(c), c};
    } else {
      const std::vector<Tensor> g = gates(in, 3), rows = split(r, 3, 1), offset = split(bias[1], 3, 0);  // update, reset, hidden
      const Tensor z = sigmoid(g[0] + matmul(h, rows[0]) + offset[0]), reset = sigmoid(g[1] + matmul(h, rows[1]) + offset[1]);
      const Tensor n =
          kind == Cell::gru ? tanh(g[2] + matmul(reset * h, rows[2]) + offset[2]) : tanh(g[2] + reset * (matmul(h, rows[2]) + offset[2]));
      next = {(1 - z) * n + z * h};
    }
    return ScanResult{next, {next[0]}};
  };
  std::vector<Tensor> initial{d.hidden};
  if (kind == Cell::lstm) initial.push_back(d.cell);
  const ScanResult result = scan(body, initial, {projected}, {.reverse = d.reverse});
  return {result.outputs[0], result.carried[0], kind == Cell::lstm ? result.carried[1] : Tensor()};
}

/// The node: x, w, r, b, then states where `state` says so, then peepholes.
std::vector<Tensor> recurrent(Cell kind, const In& in, bool state, bool peepholes, bool reverse) {
  const Tensor& x = in[0];
  std::vector<Tensor> outputs, hidden, cell;
  for (std::int64_t direction = 0; direction < in[1].dim(0).value(); ++direction) {
    const auto part = [&](std::size_t i) { return index(in[i], {direction}); };
    const Tensor zero = in.graph.zeros(f32, {x.dim(1), in[2].dim(2)});
    const Ran ran = run_direction(kind, x,
                                  {.w = part(1),
                                   .r = part(2),
                                   .b = part(3),
                                   .hidden = state ? part(4) : zero,
                                   .cell = state && kind == Cell::lstm ? part(5) : zero,
                                   .peepholes = peepholes ? part(in.tensors.size() - 1) : Tensor(),
                                   .reverse = reverse || direction == 1});
    outputs.push_back(ran.outputs);
    hidden.push_back(ran.hidden);
    if (kind == Cell::lstm) cell.push_back(ran.cell);
  }
  std::vector<Tensor> result{stack(outputs, 1), stack(hidden, 0)};
  if (kind == Cell::lstm) result.push_back(stack(cell, 0));
  return result;
}

Row recurrent_row(const char* op, const char* variant, Cell kind, std::size_t results = 2) {
  const std::string name = variant;
  return {op, variant, [=](const In& in) {
            std::vector<Tensor> all = recurrent(kind, in, name == "initial_state", name == "peepholes", name == "reverse");
            all.resize(results);
            return all;
          }};
}

/// [batch, time, heads * width] in, the same out.
Tensor packed_attention(const In& x) {
  return merge_heads(scaled_dot_product_attention(split_heads(x[0], 2), split_heads(x[1], 2), split_heads(x[2], 2)));
}

/// Pairs of the last axis turned by angles whose cosines and sines are given [batch, 1, time, pairs].
Tensor turned(const Tensor& x, const Tensor& cosine, const Tensor& sine, bool interleaved) {
  if (interleaved) {
    const Tensor a = index(x, {ellipsis, Slice{.step = 2}}), b = index(x, {ellipsis, Slice{1, {}, 2}});
    return reshape(stack({a * cosine - b * sine, a * sine + b * cosine}, -1), x.dims());
  }
  const std::vector<Tensor> halves = split(x, 2, -1);
  return concatenate({halves[0] * cosine - halves[1] * sine, halves[0] * sine + halves[1] * cosine}, -1);
}

Tensor rotary(const In& x, bool interleaved) {
  const auto table = [&](std::size_t i) { return expand_dims(x.tensors.size() > 3 ? take(x[i], x[3], 0) : x[i], 1); };
  return turned(x[0], table(1), table(2), interleaved);
}

Tensor partial_rotary(const In& x) {
  const std::vector<Tensor> parts = split(split_heads(x[0], 2), Dims{4, -1}, -1);
  const auto table = [&](std::size_t i) { return expand_dims(take(x[i], x[3], 0), 1); };
  return merge_heads(concatenate({turned(parts[0], table(1), table(2), false), parts[1]}, -1));
}

/// A scan over time that carries a matrix per head [batch, heads, keys, values].
std::vector<Tensor> linear_attention(const In& x, bool gated_delta) {
  const auto by_time = [](const Tensor& t) { return moveaxis(split_heads(t, 2), 2, 0); };  // [time, batch, heads, width]
  const Tensor q = by_time(x[0]), k = by_time(x[1]), v = by_time(x[2]);
  std::vector<Tensor> sequences{q, k, v};
  if (gated_delta) sequences.insert(sequences.end(), {moveaxis(x[4], 1, 0), moveaxis(x[5], 1, 0)});  // [time, batch, heads]
  const Tensor start = gated_delta ? x[3] : x.graph.zeros(f32, {q.dim(1), q.dim(2), q.dim(3), v.dim(3)});
  const ScanResult result = scan(
      [&](const std::vector<Tensor>& carried, const std::vector<Tensor>& at) {
        const auto outer_product = [&](const Tensor& value) { return expand_dims(at[1], -1) * expand_dims(value, -2); };
        Tensor state = carried[0];
        if (gated_delta) {
          state = state * expand_dims(expand_dims(exp(at[3]), -1), -1);
          const Tensor error = at[2] - einsum("bhkv,bhk->bhv", {state, at[1]});
          state = state + outer_product(expand_dims(at[4], -1) * error);
        } else {
          state = state + outer_product(at[2]);
        }
        return ScanResult{{state}, {einsum("bhkv,bhk->bhv", {state, at[0]}) / std::sqrt(2.0)}};
      },
      {start}, sequences);
  return {merge_heads(moveaxis(result.outputs[0], 0, 2)), result.carried[0]};
}

std::vector<Tensor> causal_conv(const In& x, bool silu_after) {
  const Tensor past = x.tensors.size() > 3 ? x[3] : x.graph.zeros(f32, {2, 3, 2});
  const Tensor padded = concatenate({past, x[0]}, 2);
  Tensor y = conv(padded, x[1], {.groups = 3});
  if (x.tensors.size() > 2) y = y + expand_dims(x[2], 1);
  return {silu_after ? silu(y) : y, index(padded, {ellipsis, Slice{-2}})};
}

/// A signal cut or filled with zeros to a length of the transform.
Tensor of_length(const Tensor& x, std::int64_t length) { return pad(x, {0, 0, 0}, {0, length - x.dim(1).value(), 0}, 0); }

}  // namespace

Rows onnx_sequences() {
  Rows rows = {
      recurrent_row("GRU", "linear_before_reset", Cell::gru_before_reset),
      recurrent_row("LSTM", "peepholes", Cell::lstm),
      recurrent_row("LSTM", "forward", Cell::lstm, 3),
      {"Attention", "plain", [](const In& x) { return scaled_dot_product_attention(x[0], x[1], x[2]); }},
      {"Attention", "mask_scale", [](const In& x) { return scaled_dot_product_attention(x[0], x[1], x[2], {.mask = x[3], .scale = 0.3}); }},
      {"Attention", "bool_mask", [](const In& x) { return scaled_dot_product_attention(x[0], x[1], x[2], {.mask = x[3]}); }},
      {"Attention", "causal", [](const In& x) { return scaled_dot_product_attention(x[0], x[1], x[2], {.causal = true}); }},
      {"Attention", "softcap", [](const In& x) { return scaled_dot_product_attention(x[0], x[1], x[2], {.softcap = 2}); }},
      {"Attention", "grouped", [](const In& x) { return scaled_dot_product_attention(x[0], x[1], x[2]); }},
      {"Attention", "3d", packed_attention},
      {"Attention", "past",
       [](const In& x) {
         const Tensor k = concatenate({x[3], x[1]}, 2), v = concatenate({x[4], x[2]}, 2);
         return std::vector{scaled_dot_product_attention(x[0], k, v), k, v};
       }},
      {"Attention", "scores",
       [](const In& x) {
         return std::vector{scaled_dot_product_attention(x[0], x[1], x[2]), matmul(x[0], swapaxes(x[1], -1, -2)) / std::sqrt(4.0)};
       }},
      {"FlexAttention", "score_and_prob",
       [](const In& x) {
         const Tensor scores = matmul(x[0], swapaxes(x[1], -1, -2)) / std::sqrt(4.0);
         return matmul(square(softmax(scores * 2)), x[2]);
       }},
      {"RotaryEmbedding", "4d", [](const In& x) { return rotary(x, false); }},
      {"RotaryEmbedding", "interleaved", [](const In& x) { return rotary(x, true); }},
      {"RotaryEmbedding", "3d_partial", partial_rotary},
      {"RotaryEmbedding", "no_positions", [](const In& x) { return rotary(x, false); }},
      {"LinearAttention", "linear", [](const In& x) { return linear_attention(x, false); }},
      {"LinearAttention", "gated_delta", [](const In& x) { return linear_attention(x, true); }},
      {"CausalConvWithState", "plain", [](const In& x) { return causal_conv(x, false); }},
      {"CausalConvWithState", "silu", [](const In& x) { return causal_conv(x, true); }},
      {"DFT", "real", [](const In& x) { return dft(x[0]); }},
      {"DFT", "onesided", [](const In& x) { return dft(x[0], {.onesided = true}); }},
      {"DFT", "complex_inverse", [](const In& x) { return dft(x[0], {.inverse = true}); }},
      {"DFT", "length", [](const In& x) { return dft(of_length(x[0], 4)); }},
      {"DFT", "longer", [](const In& x) { return dft(of_length(x[0], 5)); }},
      {"STFT", "window", [](const In& x) { return stft(squeeze(x[0], 2), {.frame_length = 4, .frame_step = 3, .window = x[2]}); }},
      {"STFT", "twosided", [](const In& x) { return stft(squeeze(x[0], 2), {.frame_length = 4, .frame_step = 2, .onesided = false}); }},
      {"HannWindow", "periodic", [](const In& x) { return hann_window(x.graph, f32, 6); }},
      {"HannWindow", "symmetric", [](const In& x) { return hann_window(x.graph, f32, 6, false); }},
      {"HammingWindow", "periodic", [](const In& x) { return hamming_window(x.graph, f32, 6); }},
      {"HammingWindow", "symmetric", [](const In& x) { return hamming_window(x.graph, f32, 6, false); }},
      {"BlackmanWindow", "periodic", [](const In& x) { return blackman_window(x.graph, f32, 6); }},
      {"BlackmanWindow", "symmetric", [](const In& x) { return blackman_window(x.graph, f32, 6, false); }},
      {"MelWeightMatrix", "plain",
       [](const In& x) {
         return mel_weight_matrix(x.graph, f32, {.bins = 8, .dft_length = 16, .sample_rate = 8192, .low = 0, .high = 4096});
       }},
  };
  const std::pair<const char*, Cell> kinds[] = {{"RNN", Cell::rnn}, {"GRU", Cell::gru}, {"LSTM", Cell::lstm}};
  for (const auto& [op, kind] : kinds)
    for (const char* variant : {"forward", "initial_state", "reverse", "bidirectional"})
      if (kind != Cell::lstm || std::string(variant) != "forward") rows.push_back(recurrent_row(op, variant, kind));
  return rows;
}

}  // namespace kiln::test

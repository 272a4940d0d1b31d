// Recurrent layers and cells, with PyTorch's names, order of gates and biases.
//
// The products of the inputs with their weights are one matrix product over all time steps, before the loop; in the loop (a scan) stands
// the product with the state alone.
#pragma once

#include "kiln/nn/module.h"

namespace kiln::nn {

struct RecurrentOptions {
  std::int64_t layers = 1;  ///< each takes the outputs of the one below
  bool bias = true;
  bool batch_first = false;  ///< inputs and outputs are [batch, time, ...] instead of [time, batch, ...]
  double dropout = 0;        ///< in training, on the outputs of all layers but the last
  bool bidirectional = false;
  std::int64_t projection = 0;  ///< LSTM: hidden states are projected to this width (arXiv:1402.1128); 0: not
  bool relu = false;            ///< RNN: relu instead of tanh
};

/// What a recurrent layer may be given besides its input.
struct RecurrentInput {
  Tensor hidden = {};   ///< first states [layers * directions, batch, hidden (or projection)]; zeros by default
  Tensor cell = {};     ///< LSTM: [layers * directions, batch, hidden]; zeros by default
  Tensor lengths = {};  ///< integers [batch]: how many steps of each sequence count. Outputs beyond are 0, last states are those of the
                        ///< last step that counts, and the backward direction starts there
};
struct RecurrentOutput {
  Tensor output;  ///< [time, batch, directions * width] (or batch first) of the last layer, forward direction first
  Tensor hidden;  ///< last states [layers * directions, batch, width]
  Tensor cell;    ///< LSTM: [layers * directions, batch, hidden]
};

/// What RNN, LSTM and GRU have in common. Not for use by itself.
class Recurrent : public Module {
 public:
  enum class Kind : std::uint8_t { rnn, lstm, gru };
  RecurrentOutput operator()(const Tensor& input, const RecurrentInput& given = {}, Mode mode = {},
                             std::source_location location = std::source_location::current());

 protected:
  Recurrent(Kind kind, std::int64_t in, std::int64_t hidden, const RecurrentOptions& options, const Location& where);

 private:
  Tensor forward(const Tensor& input) override;
  void make_parameters(Graph& graph, DType dtype) override;
  RecurrentOutput run(const Tensor& input, const RecurrentInput& given);
  Kind kind_;
  std::int64_t in_, hidden_;
  RecurrentOptions options_;
};

/// h' = tanh(W_ih x + b_ih + W_hh h + b_hh) (Elman). Parameters, for layer k and with "_reverse" for the backward direction: weight_ih_lk
/// [hidden, in], weight_hh_lk [hidden, hidden], bias_ih_lk, bias_hh_lk [hidden]; all uniform in +-1/sqrt(hidden). As a function of one
/// tensor (in a Sequential), it returns the outputs.
class RNN final : public Recurrent {
 public:
  RNN(std::int64_t in, std::int64_t hidden, RecurrentOptions options = {}, std::source_location location = std::source_location::current())
      : Recurrent(Kind::rnn, in, hidden, options, location) {}
};
/// i, f, o = sigmoid, g = tanh of W_ih x + b_ih + W_hh h + b_hh; c' = f c + i g; h' = o tanh(c') (Hochreiter and Schmidhuber 1997).
/// Parameters as RNN's, with 4 * hidden rows: i, f, g, o; with a projection, weight_hr_lk [projection, hidden] too, and h' = weight_hr (o
/// tanh(c')).
///   auto [output, hidden, cell] = nn::LSTM(64, 128, {.layers = 2, .bidirectional = true})(x, {.lengths = lengths}, {.training = true});
class LSTM final : public Recurrent {
 public:
  LSTM(std::int64_t in, std::int64_t hidden, RecurrentOptions options = {}, std::source_location location = std::source_location::current())
      : Recurrent(Kind::lstm, in, hidden, options, location) {}
};
/// r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh); n = tanh(W_in x + b_in + r (W_hn h + b_hn)); h' = (1 - z) n + z h (arXiv:1406.1078).
/// Parameters as RNN's, with 3 * hidden rows: r, z, n.
class GRU final : public Recurrent {
 public:
  GRU(std::int64_t in, std::int64_t hidden, RecurrentOptions options = {}, std::source_location location = std::source_location::current())
      : Recurrent(Kind::gru, in, hidden, options, location) {}
};

struct CellOptions {
  bool bias = true;
  bool relu = false;  ///< RNNCell: relu instead of tanh
};

/// One step of an RNN: [batch, in], [batch, hidden] -> [batch, hidden]. Parameters weight_ih, weight_hh, bias_ih, bias_hh. A state that is
/// not given is zero.
class RNNCell final : public Module {
 public:
  RNNCell(std::int64_t in, std::int64_t hidden, CellOptions options = {}) : in_(in), hidden_(hidden), options_(options) {}
  Tensor operator()(const Tensor& input, const Tensor& hidden = {}, Mode mode = {},
                    std::source_location location = std::source_location::current());

 private:
  Tensor forward(const Tensor& input) override { return run(input, {}); }
  void make_parameters(Graph& graph, DType dtype) override;
  Tensor run(const Tensor& input, const Tensor& hidden);
  std::int64_t in_, hidden_;
  CellOptions options_;
};

struct LSTMState {
  Tensor hidden, cell;  ///< [batch, hidden]
};
/// One step of an LSTM.
class LSTMCell final : public Module {
 public:
  LSTMCell(std::int64_t in, std::int64_t hidden, CellOptions options = {}) : in_(in), hidden_(hidden), options_(options) {}
  LSTMState operator()(const Tensor& input, const LSTMState& state = {}, Mode mode = {},
                       std::source_location location = std::source_location::current());

 private:
  void make_parameters(Graph& graph, DType dtype) override;
  std::int64_t in_, hidden_;
  CellOptions options_;
};

/// One step of a GRU.
class GRUCell final : public Module {
 public:
  GRUCell(std::int64_t in, std::int64_t hidden, CellOptions options = {}) : in_(in), hidden_(hidden), options_(options) {}
  Tensor operator()(const Tensor& input, const Tensor& hidden = {}, Mode mode = {},
                    std::source_location location = std::source_location::current());

 private:
  Tensor forward(const Tensor& input) override { return run(input, {}); }
  void make_parameters(Graph& graph, DType dtype) override;
  Tensor run(const Tensor& input, const Tensor& hidden);
  std::int64_t in_, hidden_;
  CellOptions options_;
};

}  // namespace kiln::nn

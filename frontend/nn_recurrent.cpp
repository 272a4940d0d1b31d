// RNN, LSTM and GRU: layers and cells.
//
// A direction of a layer is a scan over time steps, forwards or backwards. Its sequences are the input's products with weight_ih, for all
// steps at once, and, where there are lengths, whether each step counts: a step beyond a sequence's length leaves the state as it is and
// gives 0. So the backward direction, which comes from the end, is still in its first state when it reaches a sequence's last step.
//
// One step of each kind, on products that are there already, is one function, which cells use too.
#include "kiln/nn/recurrent.h"

#include <fmt/format.h>
#include <cmath>

#include "frontend/nn_module.h"
#include "kiln/control.h"
#include "kiln/operators.h"
#include "kiln/random.h"

namespace kiln::nn {

using detail::at_call;
using detail::graph_of;
using detail::times_transposed;

namespace {

/// Columns [part * width, (part + 1) * width) of the last axis.
Tensor gate(const Tensor& x, std::int64_t part, std::int64_t width) {
  std::vector<Dim> starts(x.rank(), Dim(0)), limits = detail::extents(x);
  starts.back() = Dim(part * width);
  limits.back() = Dim((part + 1) * width);
  return slice(x, starts, limits);
}

/// `gates`: W_ih x + W_hh h and all biases.
LSTMState lstm_step(const Tensor& gates, const Tensor& cell, std::int64_t hidden) {
  const Tensor i = sigmoid(gate(gates, 0, hidden)), f = sigmoid(gate(gates, 1, hidden));
  const Tensor g = tanh(gate(gates, 2, hidden)), o = sigmoid(gate(gates, 3, hidden));
  const Tensor next = f * cell + i * g;
  return {o * tanh(next), next};
}

/// `from_input`: W_ih x + b_ih; `from_state`: W_hh h + b_hh.
Tensor gru_step(const Tensor& from_input, const Tensor& from_state, const Tensor& state, std::int64_t hidden) {
  const Tensor r = sigmoid(gate(from_input, 0, hidden) + gate(from_state, 0, hidden));
  const Tensor z = sigmoid(gate(from_input, 1, hidden) + gate(from_state, 1, hidden));
  const Tensor n = tanh(gate(from_input, 2, hidden) + r * gate(from_state, 2, hidden));
  return (1 - z) * n + z * state;
}

Tensor rnn_step(const Tensor& sum, bool relu_instead) { return relu_instead ? relu(sum) : tanh(sum); }

std::int64_t gates_of(Recurrent::Kind kind) { return kind == Recurrent::Kind::lstm ? 4 : kind == Recurrent::Kind::gru ? 3 : 1; }

const char* name_of(Recurrent::Kind kind) { return kind == Recurrent::Kind::lstm ? "LSTM" : kind == Recurrent::Kind::gru ? "GRU" : "RNN"; }

Initializer uniform(DType dtype, const Shape& shape, std::int64_t hidden) {
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  return random_uniform(dtype, shape, {.low = -bound, .high = bound});
}

/// Row `index` of a stack of states.
Tensor state_of(const Tensor& stacked, std::int64_t index) {
  std::vector<Dim> starts(stacked.rank(), Dim(0)), limits = detail::extents(stacked);
  starts[0] = Dim(index);
  limits[0] = Dim(index + 1);
  return squeeze(slice(stacked, starts, limits), 0);
}

void require_type(const char* name, const char* what, const Tensor& given, DType dtype, const Dims& dims) {
  if (given.dtype() != dtype || !(given.dims() == dims))
    detail::fail(given.dtype() != dtype ? ErrorCode::dtype_mismatch : ErrorCode::shape_mismatch,
                 fmt::format("{}: {} is {}, but must be {}{}", name, what, to_string(given), kiln::name_of(dtype), to_string(dims)),
                 "it has the input's dtype and batch");
}

}  // namespace

// ---- layers

Recurrent::Recurrent(Kind kind, std::int64_t in, std::int64_t hidden, const RecurrentOptions& options, const Location& where)
    : kind_(kind), in_(in), hidden_(hidden), options_(options) {
  const auto require = [&](bool holds, const std::string& message, const std::string& rule) {
    if (!holds) throw Error(ErrorCode::invalid_argument, fmt::format("{}: {}", name_of(kind), message), where, rule);
  };
  require(in >= 1 && hidden >= 1, fmt::format("the widths are {} and {}", in, hidden), "widths >= 1");
  require(options.layers >= 1, fmt::format("there are {} layers", options.layers), "layers >= 1");
  require(options.dropout >= 0 && options.dropout < 1, fmt::format("the dropout is {}", options.dropout), "0 <= dropout < 1");
  require(options.projection >= 0 && (options.projection == 0 || (kind == Kind::lstm && options.projection < hidden)),
          fmt::format("the projection is {}", options.projection), "an LSTM's hidden states may be projected to a smaller width");
}

void Recurrent::make_parameters(Graph& graph, DType dtype) {
  const std::int64_t rows = gates_of(kind_) * hidden_, width = options_.projection ? options_.projection : hidden_;
  const int directions = options_.bidirectional ? 2 : 1;
  for (std::int64_t layer = 0; layer < options_.layers; ++layer)
    for (int direction = 0; direction < directions; ++direction) {
      const std::string suffix = fmt::format("_l{}{}", layer, direction ? "_reverse" : "");
      const std::int64_t in = layer ? width * directions : in_;
      parameter(graph, "weight_ih" + suffix, uniform(dtype, {rows, in}, hidden_));
      parameter(graph, "weight_hh" + suffix, uniform(dtype, {rows, width}, hidden_));
      if (options_.bias) {
        parameter(graph, "bias_ih" + suffix, uniform(dtype, {rows}, hidden_));
        parameter(graph, "bias_hh" + suffix, uniform(dtype, {rows}, hidden_));
      }
      if (options_.projection) parameter(graph, "weight_hr" + suffix, uniform(dtype, {options_.projection, hidden_}, hidden_));
    }
}

RecurrentOutput Recurrent::operator()(const Tensor& input, const RecurrentInput& given, Mode mode, std::source_location location) {
  return call(mode, location, [&] { return run(input, given); });
}

Tensor Recurrent::forward(const Tensor& input) { return run(input, {}).output; }

RecurrentOutput Recurrent::run(const Tensor& input, const RecurrentInput& given) {
  kiln::detail::LocationScope scope(detail::call_location());
  const char* name = name_of(kind_);
  if (input.rank() != 3)
    detail::fail(ErrorCode::shape_mismatch, fmt::format("{}: the input is {}, but must have rank 3", name, to_string(input)),
                 options_.batch_first ? "[batch, time, in]" : "[time, batch, in]");
  detail::require_input(name, input, -1, in_, "in");
  return at_call([&] {
    Graph graph = graph_of(input);
    const DType dtype = input.dtype();
    const bool lstm = kind_ == Kind::lstm, gru = kind_ == Kind::gru;
    const std::int64_t rows = gates_of(kind_) * hidden_, width = options_.projection ? options_.projection : hidden_;
    const int directions = options_.bidirectional ? 2 : 1;
    Tensor x = options_.batch_first ? transpose(input, {1, 0, 2}) : input;
    const Dim time = x.dim(0), batch = x.dim(1);
    const std::int64_t states = options_.layers * directions;
    if (given.hidden.valid()) require_type(name, "the hidden state", given.hidden, dtype, {states, batch, width});
    if (given.cell.valid()) {
      if (!lstm) detail::fail(ErrorCode::invalid_argument, fmt::format("{}: was given a cell state", name), "only an LSTM has one");
      require_type(name, "the cell state", given.cell, dtype, {states, batch, hidden_});
    }
    Tensor counts;  // bool [time, batch, 1]
    if (given.lengths.valid()) {
      if (!is_integer(given.lengths.dtype()) || !(given.lengths.dims() == Dims{batch}))
        detail::fail(is_integer(given.lengths.dtype()) ? ErrorCode::shape_mismatch : ErrorCode::dtype_mismatch,
                     fmt::format("{}: the lengths are {}, but the batch is {}", name, to_string(given.lengths), to_string(batch)),
                     "one integer for each sequence");
      counts = less(graph.iota(i64, {time, 1, 1}), reshape(convert(given.lengths, i64), {1, batch, 1}));
    }

    make_parameters(graph, dtype);
    std::vector<Tensor> last_hidden, last_cell;
    for (std::int64_t layer = 0; layer < options_.layers; ++layer) {
      if (layer > 0 && training() && options_.dropout > 0) x = dropout(x, options_.dropout);
      const std::int64_t in = layer ? width * directions : in_;
      std::vector<Tensor> outputs;
      for (int direction = 0; direction < directions; ++direction) {
        const std::string suffix = fmt::format("_l{}{}", layer, direction ? "_reverse" : "");
        const std::int64_t index = layer * directions + direction;
        const auto weight = [&](const char* of, const Shape& shape) { return parameter(graph, of + suffix, zeros(dtype, shape)); };
        const Tensor weight_hh = weight("weight_hh", {rows, width});
        Tensor weight_hr, bias_hh;
        if (options_.projection) weight_hr = weight("weight_hr", {options_.projection, hidden_});
        Tensor projected = times_transposed(name, x, weight("weight_ih", {rows, in}));
        if (options_.bias) {
          projected = projected + weight("bias_ih", {rows});
          bias_hh = weight("bias_hh", {rows});
          // A GRU's reset gate multiplies this bias; elsewhere it is one more summand.
          if (!gru) projected = projected + bias_hh;
        }
        std::vector<Tensor> initial{given.hidden.valid() ? state_of(given.hidden, index) : graph.zeros(dtype, {batch, width})};
        if (lstm) initial.push_back(given.cell.valid() ? state_of(given.cell, index) : graph.zeros(dtype, {batch, hidden_}));
        std::vector<Tensor> sequences{projected};
        if (counts.valid()) sequences.push_back(counts);

        const ScanBody body = [&](const std::vector<Tensor>& carried, const std::vector<Tensor>& slices) -> ScanResult {
          const Tensor& h = carried[0];
          const Tensor product = times_transposed(name, h, weight_hh);
          std::vector<Tensor> next;
          if (lstm) {
            LSTMState state = lstm_step(slices[0] + product, carried[1], hidden_);
            if (weight_hr.valid()) state.hidden = times_transposed(name, state.hidden, weight_hr);
            next = {state.hidden, state.cell};
          } else if (gru) {
            next = {gru_step(slices[0], bias_hh.valid() ? product + bias_hh : product, h, hidden_)};
          } else {
            next = {rnn_step(slices[0] + product, options_.relu)};
          }
          Tensor output = next[0];
          if (counts.valid()) {
            output = select(slices[1], output, 0);
            for (std::size_t i = 0; i < next.size(); ++i) next[i] = select(slices[1], next[i], carried[i]);
          }
          return {next, {output}};
        };
        const ScanResult result = scan(body, initial, sequences, {.reverse = direction == 1});
        outputs.push_back(result.outputs[0]);
        last_hidden.push_back(result.carried[0]);
        if (lstm) last_cell.push_back(result.carried[1]);
      }
      x = directions == 2 ? concatenate(outputs, -1) : outputs[0];
    }
    RecurrentOutput result;
    result.output = options_.batch_first ? transpose(x, {1, 0, 2}) : x;
    result.hidden = stack(last_hidden);
    if (lstm) result.cell = stack(last_cell);
    return result;
  });
}

// ---- cells

namespace {

/// Makes a cell's parameters: `get` is Module::parameter.
template <class Get>
void make_cell(const Get& get, DType dtype, std::int64_t rows, std::int64_t in, std::int64_t hidden, bool bias) {
  get("weight_ih", uniform(dtype, {rows, in}, hidden));
  get("weight_hh", uniform(dtype, {rows, hidden}, hidden));
  if (!bias) return;
  get("bias_ih", uniform(dtype, {rows}, hidden));
  get("bias_hh", uniform(dtype, {rows}, hidden));
}

struct Products {
  Tensor from_input, from_state;
};

/// W_ih x + b_ih and W_hh h + b_hh.
template <class Get>
Products products(const char* name, const Get& get, const Tensor& x, const Tensor& h, std::int64_t rows, std::int64_t in,
                  std::int64_t hidden, bool bias) {
  const DType dtype = x.dtype();
  Products p{times_transposed(name, x, get("weight_ih", zeros(dtype, {rows, in}))),
             times_transposed(name, h, get("weight_hh", zeros(dtype, {rows, hidden})))};
  if (bias) {
    p.from_input = p.from_input + get("bias_ih", zeros(dtype, {rows}));
    p.from_state = p.from_state + get("bias_hh", zeros(dtype, {rows}));
  }
  return p;
}

/// The state given, or zeros.
Tensor state_or_zeros(const char* name, const Tensor& input, const Tensor& state, std::int64_t in, std::int64_t hidden) {
  if (input.rank() != 2)
    detail::fail(ErrorCode::shape_mismatch, fmt::format("{}: the input is {}, but must have rank 2", name, to_string(input)),
                 "[batch, in]");
  detail::require_input(name, input, -1, in, "in");
  const Dims dims{input.dim(0), hidden};
  if (!state.valid()) return graph_of(input).zeros(input.dtype(), dims);
  require_type(name, "the state", state, input.dtype(), dims);
  return state;
}

}  // namespace

void RNNCell::make_parameters(Graph& graph, DType dtype) {
  make_cell([&](const char* name, const Initializer& initial) { return parameter(graph, name, initial); }, dtype, hidden_, in_, hidden_,
            options_.bias);
}
void LSTMCell::make_parameters(Graph& graph, DType dtype) {
  make_cell([&](const char* name, const Initializer& initial) { return parameter(graph, name, initial); }, dtype, 4 * hidden_, in_, hidden_,
            options_.bias);
}
void GRUCell::make_parameters(Graph& graph, DType dtype) {
  make_cell([&](const char* name, const Initializer& initial) { return parameter(graph, name, initial); }, dtype, 3 * hidden_, in_, hidden_,
            options_.bias);
}

Tensor RNNCell::operator()(const Tensor& input, const Tensor& hidden, Mode mode, std::source_location location) {
  return call(mode, location, [&] { return run(input, hidden); });
}

Tensor RNNCell::run(const Tensor& input, const Tensor& hidden) {
  return at_call([&] {
    Graph graph = graph_of(input);
    const Tensor h = state_or_zeros("RNNCell", input, hidden, in_, hidden_);
    make_parameters(graph, input.dtype());
    const auto get = [&](const char* name, const Initializer& initial) { return parameter(graph, name, initial); };
    const Products p = products("RNNCell", get, input, h, hidden_, in_, hidden_, options_.bias);
    return rnn_step(p.from_input + p.from_state, options_.relu);
  });
}

LSTMState LSTMCell::operator()(const Tensor& input, const LSTMState& state, Mode mode, std::source_location location) {
  return call(mode, location, [&] {
    return at_call([&] {
      Graph graph = graph_of(input);
      const Tensor h = state_or_zeros("LSTMCell", input, state.hidden, in_, hidden_);
      const Tensor c = state_or_zeros("LSTMCell", input, state.cell, in_, hidden_);
      make_parameters(graph, input.dtype());
      const auto get = [&](const char* name, const Initializer& initial) { return parameter(graph, name, initial); };
      const Products p = products("LSTMCell", get, input, h, 4 * hidden_, in_, hidden_, options_.bias);
      return lstm_step(p.from_input + p.from_state, c, hidden_);
    });
  });
}

Tensor GRUCell::operator()(const Tensor& input, const Tensor& hidden, Mode mode, std::source_location location) {
  return call(mode, location, [&] { return run(input, hidden); });
}

Tensor GRUCell::run(const Tensor& input, const Tensor& hidden) {
  return at_call([&] {
    Graph graph = graph_of(input);
    const Tensor h = state_or_zeros("GRUCell", input, hidden, in_, hidden_);
    make_parameters(graph, input.dtype());
    const auto get = [&](const char* name, const Initializer& initial) { return parameter(graph, name, initial); };
    const Products p = products("GRUCell", get, input, h, 3 * hidden_, in_, hidden_, options_.bias);
    return gru_step(p.from_input, p.from_state, h, hidden_);
  });
}

}  // namespace kiln::nn

// Every layer against PyTorch: outputs, gradients of parameters and inputs, running statistics, from the same weights, loaded by name.
#include <set>

#include "reference.h"

using namespace kiln;
using test::Model;
using test::unary;

namespace {

constexpr nn::Mode train{.training = true}, evaluate{.training = false};

/// A module of several inputs, called in training.
template <class M, class Call>
Model with(M module, Call call) {
  auto shared = std::make_shared<M>(std::move(module));
  return {shared, [shared, call](const std::vector<Tensor>& in) { return std::vector<Tensor>(call(*shared, in)); }};
}

std::vector<Tensor> all_of(const nn::RecurrentOutput& out) {
  std::vector<Tensor> list{out.output, out.hidden};
  if (out.cell.valid()) list.push_back(out.cell);
  return list;
}

using Make = std::function<Model()>;
using Inputs = std::vector<Tensor>;

const std::map<std::string, Make>& cases() {
  static const std::map<std::string, Make> all = {
      // activations
      {"ELU", [] { return unary(nn::ELU(1.5)); }},
      {"CELU", [] { return unary(nn::CELU(1.5)); }},
      {"SELU", [] { return unary(nn::SELU()); }},
      {"GELU", [] { return unary(nn::GELU()); }},
      {"GELU_tanh", [] { return unary(nn::GELU(true)); }},
      {"ReLU", [] { return unary(nn::ReLU()); }},
      {"ReLU6", [] { return unary(nn::ReLU6()); }},
      {"LeakyReLU", [] { return unary(nn::LeakyReLU(0.2)); }},
      {"RReLU", [] { return unary(nn::RReLU(), evaluate); }},
      {"Threshold", [] { return unary(nn::Threshold(0.5, -2)); }},
      {"Hardtanh", [] { return unary(nn::Hardtanh(-1.5, 2)); }},
      {"Hardsigmoid", [] { return unary(nn::Hardsigmoid()); }},
      {"Hardswish", [] { return unary(nn::Hardswish()); }},
      {"Hardshrink", [] { return unary(nn::Hardshrink(0.7)); }},
      {"Softshrink", [] { return unary(nn::Softshrink(0.7)); }},
      {"Tanhshrink", [] { return unary(nn::Tanhshrink()); }},
      {"Tanh", [] { return unary(nn::Tanh()); }},
      {"Sigmoid", [] { return unary(nn::Sigmoid()); }},
      {"LogSigmoid", [] { return unary(nn::LogSigmoid()); }},
      {"SiLU", [] { return unary(nn::SiLU()); }},
      {"Mish", [] { return unary(nn::Mish()); }},
      {"Softplus", [] { return unary(nn::Softplus()); }},
      {"Softplus_beta", [] { return unary(nn::Softplus(2)); }},
      {"Softsign", [] { return unary(nn::Softsign()); }},
      {"GLU", [] { return unary(nn::GLU(1)); }},
      {"Softmax", [] { return unary(nn::Softmax(1)); }},
      {"Softmin", [] { return unary(nn::Softmin()); }},
      {"LogSoftmax", [] { return unary(nn::LogSoftmax()); }},
      {"PReLU", [] { return unary(nn::PReLU()); }},
      {"PReLU_channels", [] { return unary(nn::PReLU(4)); }},
      // products and tables
      {"Linear", [] { return unary(nn::Linear(5, 3)); }},
      {"Linear_without_bias", [] { return unary(nn::Linear(5, 3, {.bias = false})); }},
      {"Bilinear", [] { return with(nn::Bilinear(3, 4, 2), [](auto& m, const Inputs& in) { return Inputs{m(in[0], in[1])}; }); }},
      {"Embedding", [] { return unary(nn::Embedding(7, 3, {.dtype = f64})); }},
      {"Embedding_padding", [] { return unary(nn::Embedding(7, 3, {.padding_idx = 2, .dtype = f64})); }},
      // convolutions
      {"Conv1d", [] { return unary(nn::Conv1d(4, 6, 3, {.stride = 2, .padding = 2})); }},
      {"Conv2d", [] { return unary(nn::Conv2d(3, 4, {3, 2}, {.stride = {2, 1}, .padding = {1, 0}, .dilation = {1, 2}})); }},
      {"Conv2d_groups", [] { return unary(nn::Conv2d(4, 6, 3, {.padding = 1, .groups = 2, .bias = false})); }},
      {"Conv2d_depthwise", [] { return unary(nn::Conv2d(4, 8, 3, {.groups = 4})); }},
      {"Conv3d", [] { return unary(nn::Conv3d(2, 3, 2, {.stride = {1, 2, 1}, .padding = 1})); }},
      {"ConvTranspose1d", [] { return unary(nn::ConvTranspose1d(3, 4, 4, {.stride = 2, .padding = 1})); }},
      {"ConvTranspose2d",
       [] { return unary(nn::ConvTranspose2d(3, 4, 3, {.stride = 2, .padding = 1, .output_padding = 1, .dilation = 2})); }},
      {"ConvTranspose2d_groups", [] { return unary(nn::ConvTranspose2d(4, 6, {2, 3}, {.stride = {1, 2}, .groups = 2, .bias = false})); }},
      {"ConvTranspose3d", [] { return unary(nn::ConvTranspose3d(2, 2, 2, {.stride = 2})); }},
      // pooling
      {"MaxPool1d", [] { return unary(nn::MaxPool1d(3, {.stride = 2, .padding = 1})); }},
      {"MaxPool2d", [] { return unary(nn::MaxPool2d(3, {.stride = 2, .padding = 1, .ceil_mode = true})); }},
      {"MaxPool3d", [] { return unary(nn::MaxPool3d(2, {.stride = 1, .dilation = {1, 2, 1}})); }},
      {"AvgPool1d", [] { return unary(nn::AvgPool1d(2)); }},
      {"AvgPool2d", [] { return unary(nn::AvgPool2d({3, 2}, {.stride = 2, .padding = 1, .count_include_pad = false})); }},
      {"AvgPool3d", [] { return unary(nn::AvgPool3d(2, {.stride = 1, .padding = 1})); }},
      {"LPPool1d", [] { return unary(nn::LPPool1d(2, 3, {.stride = 2})); }},
      {"LPPool2d", [] { return unary(nn::LPPool2d(2, 2)); }},
      {"AdaptiveAvgPool1d", [] { return unary(nn::AdaptiveAvgPool1d(4)); }},
      {"AdaptiveAvgPool2d", [] { return unary(nn::AdaptiveAvgPool2d({3, 2})); }},
      {"AdaptiveAvgPool2d_global", [] { return unary(nn::AdaptiveAvgPool2d(1)); }},
      {"AdaptiveAvgPool3d", [] { return unary(nn::AdaptiveAvgPool3d(2)); }},
      {"AdaptiveMaxPool1d", [] { return unary(nn::AdaptiveMaxPool1d(4)); }},
      {"AdaptiveMaxPool2d", [] { return unary(nn::AdaptiveMaxPool2d({3, 2})); }},
      {"AdaptiveMaxPool3d", [] { return unary(nn::AdaptiveMaxPool3d(2)); }},
      // norms
      {"BatchNorm1d", [] { return unary(nn::BatchNorm1d(3, {.momentum = 0.3})); }},
      {"BatchNorm1d_sequence", [] { return unary(nn::BatchNorm1d(3)); }},
      {"BatchNorm2d", [] { return unary(nn::BatchNorm2d(3, {.eps = 1e-3})); }},
      {"BatchNorm2d_eval", [] { return unary(nn::BatchNorm2d(3), evaluate); }},
      {"BatchNorm2d_untracked", [] { return unary(nn::BatchNorm2d(3, {.affine = false, .track_running_stats = false}), evaluate); }},
      {"BatchNorm3d", [] { return unary(nn::BatchNorm3d(2)); }},
      {"BatchNorm_twice",
       [] { return with(nn::BatchNorm1d(3), [](auto& m, const Inputs& in) { return Inputs{m(in[0], train), m(in[1], train)}; }); }},
      {"LayerNorm", [] { return unary(nn::LayerNorm(6)); }},
      {"LayerNorm_axes", [] { return unary(nn::LayerNorm(Shape{3, 6}, {.eps = 1e-3})); }},
      {"GroupNorm", [] { return unary(nn::GroupNorm(2, 4)); }},
      {"InstanceNorm1d", [] { return unary(nn::InstanceNorm1d(3)); }},
      {"InstanceNorm2d", [] { return unary(nn::InstanceNorm2d(3, {.affine = true})); }},
      {"InstanceNorm3d", [] { return unary(nn::InstanceNorm3d(2)); }},
      // moves
      {"Flatten", [] { return unary(nn::Flatten(1, 2)); }},
      {"Unflatten", [] { return unary(nn::Unflatten(1, {2, 3})); }},
      {"PixelShuffle", [] { return unary(nn::PixelShuffle(2)); }},
      {"PixelUnshuffle", [] { return unary(nn::PixelUnshuffle(2)); }},
      {"ChannelShuffle", [] { return unary(nn::ChannelShuffle(2)); }},
      {"Upsample_nearest", [] { return unary(nn::Upsample(3)); }},
      {"Upsample_linear", [] { return unary(nn::Upsample(3, {.mode = Resampling::linear})); }},
      {"Upsample_bilinear", [] { return unary(nn::Upsample(2, {.mode = Resampling::linear})); }},
      {"Upsample_bilinear_aligned", [] { return unary(nn::Upsample(2, {.mode = Resampling::linear, .align_corners = true})); }},
      {"Upsample_trilinear", [] { return unary(nn::Upsample(2, {.mode = Resampling::linear})); }},
      // recurrent layers
      {"RNN", [] { return with(nn::RNN(3, 4, {.layers = 2}), [](auto& m, const Inputs& in) { return all_of(m(in[0])); }); }},
      {"RNN_relu",
       [] {
         return with(nn::RNN(3, 4, {.bias = false, .bidirectional = true, .relu = true}),
                     [](auto& m, const Inputs& in) { return all_of(m(in[0], {.hidden = in[1]})); });
       }},
      {"LSTM",
       [] { return with(nn::LSTM(3, 4, {.layers = 2, .batch_first = true}), [](auto& m, const Inputs& in) { return all_of(m(in[0])); }); }},
      {"LSTM_states",
       [] {
         return with(nn::LSTM(3, 4, {.bidirectional = true}),
                     [](auto& m, const Inputs& in) { return all_of(m(in[0], {.hidden = in[1], .cell = in[2]})); });
       }},
      {"LSTM_projection",
       [] {
         return with(nn::LSTM(3, 4, {.layers = 2, .bidirectional = true, .projection = 2}),
                     [](auto& m, const Inputs& in) { return all_of(m(in[0], {.hidden = in[1], .cell = in[2]})); });
       }},
      {"LSTM_lengths",
       [] {
         return with(nn::LSTM(3, 4, {.layers = 2, .bidirectional = true}),
                     [](auto& m, const Inputs& in) { return all_of(m(in[0], {.hidden = in[2], .cell = in[3], .lengths = in[1]})); });
       }},
      {"GRU", [] { return with(nn::GRU(3, 4, {.layers = 2}), [](auto& m, const Inputs& in) { return all_of(m(in[0])); }); }},
      {"GRU_without_bias",
       [] { return with(nn::GRU(3, 4, {.bias = false}), [](auto& m, const Inputs& in) { return all_of(m(in[0], {.hidden = in[1]})); }); }},
      {"GRU_lengths",
       [] {
         return with(nn::GRU(3, 4, {.batch_first = true, .bidirectional = true}),
                     [](auto& m, const Inputs& in) { return all_of(m(in[0], {.hidden = in[2], .lengths = in[1]})); });
       }},
      {"RNNCell", [] { return with(nn::RNNCell(3, 4), [](auto& m, const Inputs& in) { return Inputs{m(in[0], in[1])}; }); }},
      {"RNNCell_relu", [] { return unary(nn::RNNCell(3, 4, {.bias = false, .relu = true})); }},
      {"LSTMCell",
       [] {
         return with(nn::LSTMCell(3, 4), [](auto& m, const Inputs& in) {
           const nn::LSTMState next = m(in[0], {in[1], in[2]});
           return Inputs{next.hidden, next.cell};
         });
       }},
      {"GRUCell", [] { return with(nn::GRUCell(3, 4), [](auto& m, const Inputs& in) { return Inputs{m(in[0], in[1])}; }); }},
      // transformers
      {"MultiheadAttention", [] { return unary(nn::MultiheadAttention(6, 2)); }},
      {"MultiheadAttention_masks",
       [] {
         return with(nn::MultiheadAttention(6, 3, {.bias = false, .batch_first = true}),
                     [](auto& m, const Inputs& in) { return Inputs{m(in[0], in[0], in[0], {.key_mask = in[1], .causal = true})}; });
       }},
      {"MultiheadAttention_cross",
       [] {
         return with(nn::MultiheadAttention(6, 2, {.batch_first = true, .key_width = 3, .value_width = 5}),
                     [](auto& m, const Inputs& in) { return Inputs{m(in[0], in[1], in[2])}; });
       }},
      {"MultiheadAttention_added",
       [] {
         return with(nn::MultiheadAttention(4, 2, {.batch_first = true}),
                     [](auto& m, const Inputs& in) { return Inputs{m(in[0], in[0], in[0], {.mask = in[1]})}; });
       }},
      {"TransformerEncoderLayer", [] { return unary(nn::TransformerEncoderLayer(6, 2, {.feedforward = 8, .dropout = 0})); }},
      {"TransformerEncoderLayer_norm_first",
       [] {
         return with(
             nn::TransformerEncoderLayer(
                 6, 2,
                 {.feedforward = 8, .dropout = 0, .activation = nn::TransformerActivation::gelu, .batch_first = true, .norm_first = true}),
             [](auto& m, const Inputs& in) { return Inputs{m(in[0], {.key_mask = in[1], .causal = true})}; });
       }},
      {"TransformerDecoderLayer",
       [] {
         return with(nn::TransformerDecoderLayer(6, 2, {.feedforward = 8, .dropout = 0, .batch_first = true}),
                     [](auto& m, const Inputs& in) { return Inputs{m(in[0], in[1], {.causal = true})}; });
       }},
      {"TransformerDecoderLayer_norm_first",
       [] {
         return with(nn::TransformerDecoderLayer(6, 2, {.feedforward = 8, .dropout = 0, .norm_first = true}),
                     [](auto& m, const Inputs& in) { return Inputs{m(in[0], in[1])}; });
       }},
      {"TransformerEncoder", [] { return unary(nn::TransformerEncoder(2, 6, 2, {.feedforward = 8, .dropout = 0}, true)); }},
      {"TransformerDecoder",
       [] {
         return with(nn::TransformerDecoder(2, 6, 2, {.feedforward = 8, .dropout = 0}),
                     [](auto& m, const Inputs& in) { return Inputs{m(in[0], in[1])}; });
       }},
  };
  return all;
}

class Layers : public testing::TestWithParam<std::string> {};

TEST_P(Layers, MatchPyTorch) {
  const test::Arrays expected = test::under(test::reference("layers"), GetParam());
  test::compare(expected, cases().at(GetParam())());
}

/// The batch, or the time where it comes first, as a symbol. (Embeddings take integers, of which `compare` leaves the dims alone.)
TEST_P(Layers, TakeASymbolicFirstAxis) {
  // These say of their inputs or states that they have the same batch, which a cell's or a second input's own symbol does not tell.
  const test::Arrays expected = test::under(test::reference("layers"), GetParam());
  if (expected.at("x/0").shape().rank() < 2 || test::under(expected, "x").size() > 1) GTEST_SKIP() << "one input alone is made symbolic";
  test::compare(expected, cases().at(GetParam())(), {.symbolic_axis = 0});
}

TEST_P(Layers, CarryTheCallersLine) {
  Graph graph;
  std::vector<Tensor> inputs;
  for (const auto& [index, value] : test::under(test::under(test::reference("layers"), GetParam()), "x"))
    inputs.push_back(graph.placeholder("x" + index, value.dtype(), value.shape()));
  const Model model = cases().at(GetParam())();
  const std::vector<Tensor> outputs = model.call(inputs);
  model.module->updates();
  test::expect_own_lines(graph);
}

std::vector<std::string> names() {
  std::vector<std::string> list;
  for (const auto& [name, make] : cases()) list.push_back(name);
  return list;
}

INSTANTIATE_TEST_SUITE_P(All, Layers, testing::ValuesIn(names()), [](const auto& info) { return info.param; });

TEST(LayerCases, AreThoseOfTheFile) {
  std::set<std::string> in_file;
  for (const auto& [name, value] : test::reference("layers")) in_file.insert(name.substr(0, name.find('/')));
  const std::vector<std::string> list = names();
  EXPECT_EQ(in_file, std::set<std::string>(list.begin(), list.end()));
}

}  // namespace

// A GPT block, a ResNet-18 and a bidirectional LSTM, written with kiln::nn as a user would, against PyTorch from the same weights: outputs,
// and gradients of all parameters and inputs, in f64 to 1e-12 and in f32 to 1e-5 of each tensor's largest element.
#include "reference.h"

using namespace kiln;

namespace {

// ---- GPT-2's block

class Attention : public nn::Module {
 public:
  Attention(std::int64_t width, std::int64_t heads)
      : heads_(heads), c_attn_(add("c_attn", nn::Linear(width, 3 * width))), c_proj_(add("c_proj", nn::Linear(width, width))) {}

 private:
  Tensor forward(const Tensor& x) override {
    const Tensor qkv = c_attn_(x);
    const Dim width = x.dim(2);
    const auto part = [&](std::int64_t i) {
      return split_heads(slice(qkv, {0, 0, width * i}, {x.dim(0), x.dim(1), width * (i + 1)}), heads_);
    };
    return c_proj_(merge_heads(scaled_dot_product_attention(part(0), part(1), part(2), {.causal = true})));
  }
  std::int64_t heads_;
  nn::Linear c_attn_, c_proj_;
};

class Mlp : public nn::Module {
 public:
  explicit Mlp(std::int64_t width)
      : c_fc_(add("c_fc", nn::Linear(width, 4 * width))), c_proj_(add("c_proj", nn::Linear(4 * width, width))) {}

 private:
  Tensor forward(const Tensor& x) override { return c_proj_(gelu(c_fc_(x))); }
  nn::Linear c_fc_, c_proj_;
};

class Block : public nn::Module {
 public:
  Block(std::int64_t width, std::int64_t heads)
      : ln_1_(add("ln_1", nn::LayerNorm(width))),
        attn_(add("attn", Attention(width, heads))),
        ln_2_(add("ln_2", nn::LayerNorm(width))),
        mlp_(add("mlp", Mlp(width))) {}

 private:
  Tensor forward(const Tensor& input) override {
    const Tensor x = input + attn_(ln_1_(input));
    return x + mlp_(ln_2_(x));
  }
  nn::LayerNorm ln_1_;
  Attention attn_;
  nn::LayerNorm ln_2_;
  Mlp mlp_;
};

// ---- ResNet-18

class BasicBlock : public nn::Module {
 public:
  BasicBlock(std::int64_t in, std::int64_t out, std::int64_t stride)
      : conv1_(add("conv1", nn::Conv2d(in, out, 3, {.stride = stride, .padding = 1, .bias = false}))),
        bn1_(add("bn1", nn::BatchNorm2d(out))),
        conv2_(add("conv2", nn::Conv2d(out, out, 3, {.padding = 1, .bias = false}))),
        bn2_(add("bn2", nn::BatchNorm2d(out))) {
    if (stride != 1 || in != out)
      downsample_ = add("downsample", nn::Sequential(nn::Conv2d(in, out, 1, {.stride = stride, .bias = false}), nn::BatchNorm2d(out)));
  }

 private:
  Tensor forward(const Tensor& x) override {
    const Tensor y = bn2_(conv2_(relu(bn1_(conv1_(x)))));
    return relu(y + (downsample_ ? (*downsample_)(x) : x));
  }
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  nn::Conv2d conv2_;
  nn::BatchNorm2d bn2_;
  std::optional<nn::Sequential> downsample_;
};

class ResNet18 : public nn::Module {
 public:
  ResNet18(std::int64_t width, std::int64_t classes)
      : conv1_(add("conv1", nn::Conv2d(3, width, 7, {.stride = 2, .padding = 3, .bias = false}))),
        bn1_(add("bn1", nn::BatchNorm2d(width))) {
    for (int i = 0; i < 4; ++i) {
      const std::int64_t in = width << std::max(i - 1, 0), out = width << i;
      layers_.push_back(add("layer" + std::to_string(i + 1), nn::Sequential(BasicBlock(in, out, i == 0 ? 1 : 2), BasicBlock(out, out, 1))));
    }
    fc_ = add("fc", nn::Linear(width << 3, classes));
  }

 private:
  Tensor forward(const Tensor& input) override {
    Tensor x = max_pool(relu(bn1_(conv1_(input))), 3, {.stride = 2, .padding = 1});
    for (nn::Sequential& layer : layers_) x = layer(x);
    return (*fc_)(reduce_mean(x, {2, 3}));
  }
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  std::vector<nn::Sequential> layers_;
  std::optional<nn::Linear> fc_;
};

// ---- the comparisons

test::Model lstm() {
  auto model = std::make_shared<nn::LSTM>(12, 16, nn::RecurrentOptions{.layers = 2, .bidirectional = true});
  return {model, [model](const std::vector<Tensor>& in) {
            const nn::RecurrentOutput out = (*model)(in[0], {.hidden = in[2], .cell = in[3], .lengths = in[1]});
            return std::vector<Tensor>{out.output, out.hidden, out.cell};
          }};
}

struct Precision {
  const char* name;
  test::Comparison comparison;
};

class Models : public testing::TestWithParam<Precision> {};

TEST_P(Models, GptBlock) { test::compare(test::under(test::reference("gpt"), "gpt"), test::unary(Block(32, 4)), GetParam().comparison); }

TEST_P(Models, ResNet18) {
  test::compare(test::under(test::reference("resnet"), "resnet"), test::unary(ResNet18(6, 10)), GetParam().comparison);
}

TEST_P(Models, BidirectionalLstm) { test::compare(test::under(test::reference("lstm"), "lstm"), lstm(), GetParam().comparison); }

INSTANTIATE_TEST_SUITE_P(, Models,
                         testing::Values(Precision{"f64", {.dtype = f64, .tolerance = 1e-12}},
                                         Precision{"f32", {.dtype = f32, .tolerance = 1e-5}}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace

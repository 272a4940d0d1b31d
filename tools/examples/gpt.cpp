// Trains a small GPT on the characters of a text, and writes some of its own. The defaults are nanoGPT's for a CPU: 4 layers of width 128,
// windows of 64.
#include <chrono>
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "kiln/kiln.h"
#include "text.h"

using namespace kiln;

namespace {

struct Options {
  std::string text;
  std::int64_t layers = 4, heads = 4, width = 128, window = 64, batch = 12;
  double lr = 1e-3, dropout = 0;
  std::int64_t steps = 2000, sample = 300;
  int threads = 0;
  std::uint64_t seed = 1337;
};

class Block : public nn::Module {
 public:
  explicit Block(const Options& o)
      : ln_1_(add("ln_1", nn::LayerNorm(o.width, {.bias = false}))),
        attn_(add("attn", nn::MultiheadAttention(o.width, o.heads, {.bias = false, .dropout = o.dropout, .batch_first = true}))),
        ln_2_(add("ln_2", nn::LayerNorm(o.width, {.bias = false}))),
        mlp_(add("mlp", nn::Sequential(nn::Linear(o.width, 4 * o.width, {.bias = false}), nn::GELU(),
                                       nn::Linear(4 * o.width, o.width, {.bias = false}), nn::Dropout(o.dropout)))),
        dropout_(o.dropout) {}

 private:
  Tensor forward(const Tensor& input) override {
    const Tensor normed = ln_1_(input);
    const Tensor x = input + dropout_(attn_(normed, normed, normed, {.causal = true}));
    return x + mlp_(ln_2_(x));
  }
  nn::LayerNorm ln_1_;
  nn::MultiheadAttention attn_;
  nn::LayerNorm ln_2_;
  nn::Sequential mlp_;
  nn::Dropout dropout_;
};

/// Token numbers [batch, time] -> logits of the next one [batch, time, vocabulary].
class Gpt : public nn::Module {
 public:
  Gpt(const Options& o, std::int64_t vocabulary)
      : wte_(add("wte", nn::Embedding(vocabulary, o.width))),
        wpe_(add("wpe", nn::LearnedPositions(o.window, o.width))),
        dropout_(o.dropout),
        blocks_(add("h", nn::ModuleList<Block>(static_cast<int>(o.layers), [&](int) { return Block(o); }))),
        ln_f_(add("ln_f", nn::LayerNorm(o.width, {.bias = false}))),
        head_(add("lm_head", nn::Linear(o.width, vocabulary, {.bias = false}))) {
    head_.tie("weight", wte_);
    set_initialization([](const nn::ParameterInfo& p) -> std::optional<Initializer> {
      if (p.shape.rank() < 2) return {};
      return random_normal(p.dtype, p.shape, {.stddev = 0.02});
    });
  }

 private:
  Tensor forward(const Tensor& tokens) override {
    Tensor x = dropout_(wpe_(wte_(tokens)));
    for (Block& block : blocks_) x = block(x);
    return head_(ln_f_(x));
  }
  nn::Embedding wte_;
  nn::LearnedPositions wpe_;
  nn::Dropout dropout_;
  nn::ModuleList<Block> blocks_;
  nn::LayerNorm ln_f_;
  nn::Linear head_;
};

void train(const Options& o) {
  const TextData data(o.text);
  Graph graph;
  // While training all windows are full; while writing, the text so far is shorter: the time is a symbol.
  const Dim batch("batch", {.typical = o.batch}), time("time", {.max = o.window, .typical = o.window});
  const Tensor inputs = graph.placeholder("inputs", i32, {batch, time}), targets = graph.placeholder("targets", i32, {batch, time});
  Gpt model(o, data.vocabulary());
  const Tensor loss = nn::CrossEntropyLoss()(model(inputs, {.training = true}), targets);
  const Tensor logits = model(inputs);
  const Tensor evaluation = nn::CrossEntropyLoss()(logits, targets);

  const std::int64_t warm_up = std::max<std::int64_t>(1, o.steps / 20);
  AdamW adamw({.lr = schedule::warm_up(warm_up, schedule::cosine(o.lr, std::max<std::int64_t>(1, o.steps - warm_up), o.lr / 10)),
               .beta2 = 0.99,
               .weight_decay = 0.1});
  adamw.add_group({.parameters = biases_and_norms(model.parameters()), .weight_decay = 0});
  const Operation step = adamw.apply_gradients(clip_by_global_norm(compute_gradients(loss, model.parameters()), 1));

  Session session(graph, {.threads = o.threads, .seed = o.seed});
  session.initialize();
  std::fputs(nn::summary(model, {batch, time}, i32).text().c_str(), stdout);
  const Callable run_step = session.callable({loss, step}, {inputs, targets}), evaluate = session.callable(evaluation, {inputs, targets});
  std::mt19937_64 random(o.seed);
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t report = std::max<std::int64_t>(1, o.steps / 20);
  for (std::int64_t i = 0; i < o.steps; ++i) {
    const TextBatch windows = random_batch(data.train(), o.batch, o.window, random);
    const double now = run_step({windows.inputs, windows.targets})[0].item<float>();
    if (i % report != 0 && i + 1 != o.steps) continue;
    double validation = 0;
    for (int k = 0; k < 20; ++k) {
      const TextBatch unseen = random_batch(data.validation(), o.batch, o.window, random);
      validation += evaluate({unseen.inputs, unseen.targets})[0].item<float>() / 20;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("step %lld/%lld  loss %.4f  validation loss %.4f  %.0f ms a step\n", static_cast<long long>(i + 1),
                static_cast<long long>(o.steps), now, validation, 1000 * seconds / static_cast<double>(i + 1));
    std::fflush(stdout);
  }

  const Callable next = session.callable(logits, {inputs});
  std::vector<std::int32_t> written{data.train()[0]};
  for (std::int64_t i = 0; i < o.sample; ++i) {
    const auto seen = std::min<std::int64_t>(o.window, static_cast<std::int64_t>(written.size()));
    const Array context({1, seen}, std::vector<std::int32_t>(written.end() - seen, written.end()));
    const Array out = next({context})[0];
    written.push_back(sample(out.data<float>().last(static_cast<std::size_t>(data.vocabulary())), 0.8, random));
    std::putchar(data.byte(written.back()));
  }
  if (o.sample > 0) std::putchar('\n');
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Trains a small GPT on the characters of a text, and writes some of its own.");
  app.add_option("text", o.text, "File to learn from")->required()->check(CLI::ExistingFile);
  app.add_option("--layers", o.layers, "Transformer blocks")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--heads", o.heads, "Attention heads; they divide the width")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--width", o.width, "Numbers that stand for a character")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--window", o.window, "Characters that are seen at once")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--batch", o.batch, "Windows a step")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--lr", o.lr, "Highest learning rate")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--dropout", o.dropout, "Dropout rate")->check(CLI::Range(0.0, 0.99))->capture_default_str();
  app.add_option("--steps", o.steps, "Steps of training")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--sample", o.sample, "Characters to write in the end")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--threads", o.threads, "Threads; 0: as many as there are processors")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--seed", o.seed, "Seed of weights, windows and samples")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    train(o);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}

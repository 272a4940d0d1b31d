// Trains an LSTM language model on the characters of a text. The text is read in order, as many parts side by side as the batch has rows; a
// window's last states are variables that the next window starts from, so gradients reach back one window and memory reaches further
// (truncated backpropagation).
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "kiln/kiln.h"
#include "text.h"

using namespace kiln;

namespace {

struct Options {
  std::string text;
  std::int64_t layers = 2, width = 128, window = 64, batch = 32;
  double lr = 2e-3, dropout = 0.1;
  std::int64_t epochs = 2, steps = 0, sample = 300;
  int threads = 0;
  std::uint64_t seed = 1;
};

/// Token numbers [batch, time] and states -> logits of the next token, and the states after it.
class LanguageModel : public nn::Module {
 public:
  LanguageModel(const Options& o, std::int64_t vocabulary)
      : embedding_(add("embedding", nn::Embedding(vocabulary, o.width))),
        dropout_(o.dropout),
        lstm_(add("lstm", nn::LSTM(o.width, o.width, {.layers = o.layers, .batch_first = true, .dropout = o.dropout}))),
        decoder_(add("decoder", nn::Linear(o.width, vocabulary))) {
    decoder_.tie("weight", embedding_);
    set_initialization([](const nn::ParameterInfo& p) -> std::optional<Initializer> {
      if (p.name != "embedding.weight") return {};
      return random_uniform(p.dtype, p.shape, {.low = -0.1, .high = 0.1});
    });
  }
  nn::RecurrentOutput operator()(const Tensor& tokens, const Tensor& hidden, const Tensor& cell, nn::Mode mode = {},
                                 std::source_location location = std::source_location::current()) {
    return call(mode, location, [&] {
      nn::RecurrentOutput out = lstm_(dropout_(embedding_(tokens)), {.hidden = hidden, .cell = cell});
      out.output = decoder_(dropout_(out.output));
      return out;
    });
  }

 private:
  nn::Embedding embedding_;
  nn::Dropout dropout_;
  nn::LSTM lstm_;
  nn::Linear decoder_;
};

void train(const Options& o) {
  const TextData data(o.text);
  const std::int64_t windows = consecutive_batches(data.train(), o.batch, o.window);
  if (windows < 1) throw std::runtime_error("the text is too short for this batch and window");
  const std::int64_t steps = o.steps > 0 ? o.steps : o.epochs * windows;

  Graph graph;
  LanguageModel model(o, data.vocabulary());
  const Tensor inputs = graph.placeholder("inputs", i32, {o.batch, o.window}),
               targets = graph.placeholder("targets", i32, {o.batch, o.window});
  const Shape states{o.layers, o.batch, o.width};
  const Variable hidden = graph.variable("hidden", zeros(f32, states), {.trainable = false});
  const Variable cell = graph.variable("cell", zeros(f32, states), {.trainable = false});
  const nn::RecurrentOutput out = model(inputs, hidden, cell, {.training = true});
  const Tensor loss = nn::CrossEntropyLoss()(out.output, targets);
  Adam adam({.lr = schedule::cosine(o.lr, steps, o.lr / 20)});
  const Operation step = group({adam.apply_gradients(clip_by_global_norm(compute_gradients(loss, model.parameters()), 1)),
                                assign(hidden, out.hidden), assign(cell, out.cell)});
  const Operation forget = group({assign(hidden, 0), assign(cell, 0)});

  // To write: one character after the other, with the states handed in and out.
  const Tensor last = graph.placeholder("last", i32, {1, 1});
  const Tensor h = graph.placeholder("h", f32, {o.layers, 1, o.width}), c = graph.placeholder("c", f32, {o.layers, 1, o.width});
  const nn::RecurrentOutput one = model(last, h, c);

  Session session(graph, {.threads = o.threads, .seed = o.seed});
  session.initialize();
  std::printf("%zu characters, %lld different ones; %lld steps\n", data.train().size(), static_cast<long long>(data.vocabulary()),
              static_cast<long long>(steps));
  const Callable run_step = session.callable({loss, step}, {inputs, targets});
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t report = std::max<std::int64_t>(1, steps / 20);
  double sum = 0;
  std::int64_t counted = 0;
  for (std::int64_t i = 0; i < steps; ++i) {
    if (i % windows == 0) session.run({forget});
    const TextBatch batch = consecutive_batch(data.train(), o.batch, o.window, i % windows);
    sum += run_step({batch.inputs, batch.targets})[0].item<float>();
    ++counted;
    if ((i + 1) % report != 0 && i + 1 != steps) continue;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
                 mean = sum / static_cast<double>(counted);
    std::printf("step %lld/%lld  loss %.4f  perplexity %.2f  %.0f characters/s\n", static_cast<long long>(i + 1),
                static_cast<long long>(steps), mean, std::exp(mean), static_cast<double>((i + 1) * o.batch * o.window) / seconds);
    std::fflush(stdout);
    sum = 0;
    counted = 0;
  }

  std::mt19937_64 random(o.seed);
  const Callable next = session.callable({one.output, one.hidden, one.cell}, {last, h, c});
  std::vector<Array> state(2, Array::zeros(f32, {o.layers, 1, o.width}));
  std::int32_t token = data.train()[0];
  for (std::int64_t i = 0; i < o.sample; ++i) {
    const std::vector<Array> results = next({Array({1, 1}, {token}), state[0], state[1]});
    state = {results[1], results[2]};
    token = sample(results[0].data<float>(), 0.7, random);
    std::putchar(data.byte(token));
  }
  if (o.sample > 0) std::putchar('\n');
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Trains an LSTM language model on the characters of a text, and writes some of its own.");
  app.add_option("text", o.text, "File to learn from")->required()->check(CLI::ExistingFile);
  app.add_option("--layers", o.layers, "LSTM layers")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--width", o.width, "Width of embeddings and states")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--window", o.window, "Characters that gradients reach back")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--batch", o.batch, "Parts of the text that are read side by side")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--lr", o.lr, "First learning rate")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--dropout", o.dropout, "Dropout rate")->check(CLI::Range(0.0, 0.99))->capture_default_str();
  app.add_option("--epochs", o.epochs, "Passes over the text")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--steps", o.steps, "Steps of training; 0: as many as the epochs have")->check(CLI::NonNegativeNumber);
  app.add_option("--sample", o.sample, "Characters to write in the end")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--threads", o.threads, "Threads; 0: as many as there are processors")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--seed", o.seed, "Seed of weights, dropout and samples")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    train(o);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}

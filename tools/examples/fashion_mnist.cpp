// Trains a classifier on Fashion-MNIST (Debian's dataset-fashion-mnist: 60,000 + 10,000 images of 28 x 28 pixels, ten classes), evaluates it, saves a checkpoint,
// reads it back and gets the same accuracy.
#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "idx.h"
#include "kiln/kiln.h"

using namespace kiln;

namespace {

struct Options {
  std::string model = "mlp";
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::string init;
  std::string save = "fashion_mnist.safetensors";
  int epochs = 5;
  std::int64_t batch = 32;
  std::optional<std::uint64_t> shuffle;
  int log_steps = 0;
  int threads = 0;
};

struct Examples {
  Array images;  ///< f32[n, 784], 0 to 1
  Array labels;  ///< i64[n]
};

Examples read_examples(const std::string& folder, const std::string& prefix) {
  const Array pixels = read_idx(folder + "/" + prefix + "-images-idx3-ubyte");
  const Array labels = read_idx(folder + "/" + prefix + "-labels-idx1-ubyte");
  if (pixels.shape().rank() != 3 || labels.shape().rank() != 1 || pixels.shape()[0] != labels.shape()[0])
    throw Error(ErrorCode::corrupt_file, folder + ": images " + to_string(pixels.shape()) + " and labels " + to_string(labels.shape()) + " do not belong together");
  Array images(f32, {pixels.shape()[0], pixels.shape()[1] * pixels.shape()[2]});
  const auto from = pixels.data<std::uint8_t>();
  const auto to = images.mutable_data<float>();
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = static_cast<float>(from[i]) / 255.0f;
  return {images, labels.convert(i64)};
}

/// What is trained: the graph, and the parts of it that are run.
struct Classifier {
  Graph graph;
  Tensor images, labels;
  Tensor loss;     ///< mean over the batch
  Tensor correct;  ///< how many predictions are right
  Operation step;
};

Classifier build(const Options& options, std::int64_t pixels) {
  constexpr std::int64_t classes = 10, hidden = 128;
  Classifier c;
  Dim batch("batch", {.typical = options.batch});
  c.images = c.graph.placeholder("images", f32, {batch, pixels});
  c.labels = c.graph.placeholder("labels", i64, {batch});

  Tensor logits;
  if (options.model == "softmax") {
    Variable weight = c.graph.variable("0.weight", zeros(f32, {classes, pixels}));
    Variable bias = c.graph.variable("0.bias", zeros(f32, {classes}));
    logits = matmul(c.images, transpose(weight)) + bias;
  } else {
    nn::Sequential model(nn::Linear(pixels, hidden), nn::ReLU(), nn::Linear(hidden, classes));
    logits = model(c.images);
  }
  c.loss = nn::CrossEntropyLoss()(logits, c.labels);
  c.correct = reduce_sum(convert(equal(argmax(logits), c.labels), i64));
  c.step = options.model == "softmax" ? SGD({.lr = 0.1}).minimize(c.loss) : Adam({.lr = 1e-3}).minimize(c.loss);
  return c;
}

double accuracy(const Callable& count_correct, const Examples& test) {
  std::int64_t correct = 0;
  Batches batches({test.images, test.labels}, {.batch_size = 1000, .shuffle = false});
  for (const auto& batch : batches) correct += count_correct({batch[0], batch[1]})[0].item<std::int64_t>();
  return static_cast<double>(correct) / static_cast<double>(batches.rows());
}

/// One line that is rewritten in place on a terminal, and printed once an epoch otherwise.
class Progress {
 public:
  Progress(std::int64_t images, int epochs) : images_(images), epochs_(epochs) {}
  void update(int epoch, std::int64_t done, double loss, double correct, bool last) {
    using namespace std::chrono;
    const auto now = steady_clock::now();
    if (!last && (!terminal_ || now - shown_ < milliseconds(100))) return;
    shown_ = now;
    const double seconds = duration<double>(now - start_).count();
    const double total = static_cast<double>(images_) * epochs_, seen = static_cast<double>(images_) * epoch + static_cast<double>(done);
    const double rate = seen / std::max(seconds, 1e-9), left = (total - seen) / std::max(rate, 1e-9);
    std::printf("%sepoch %d/%d  %5.1f %%  loss %.4f  accuracy %.2f %%  %.0f images/s  %.0f s left%s", terminal_ ? "\r" : "", epoch + 1, epochs_,
                100.0 * static_cast<double>(done) / static_cast<double>(images_), loss, 100 * correct, rate, left, terminal_ ? "   " : "\n");
    std::fflush(stdout);
  }
  void end_line() const {
    if (terminal_) std::printf("\n");
  }

 private:
  std::int64_t images_;
  int epochs_;
  bool terminal_ = isatty(STDOUT_FILENO) != 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), shown_ = start_;
};

void train(const Options& options) {
  const Examples training = read_examples(options.data, "train"), test = read_examples(options.data, "t10k");
  const Classifier c = build(options, training.images.shape()[1]);

  Session session(c.graph, {.threads = options.threads, .seed = options.shuffle.value_or(0)});
  session.initialize();
  if (!options.init.empty())
    for (const VariableInfo& v : session.variables())
      if (v.name.ends_with(".weight") || v.name.ends_with(".bias")) session.set_value(v.name, Array::load(options.init + "/" + v.name + ".npy"));

  const Callable step = session.callable({c.loss, c.correct, c.step}, {c.images, c.labels});
  const Callable count_correct = session.callable(c.correct, {c.images, c.labels});
  Batches batches({training.images, training.labels},
                  {.batch_size = options.batch, .shuffle = options.shuffle.has_value(), .seed = options.shuffle.value_or(0)});
  Progress progress(batches.rows(), options.epochs);
  std::vector<Array> results(3);
  int steps = 0;
  double last = accuracy(count_correct, test);
  std::printf("%s, %lld training images, batches of %lld, %d threads; accuracy before training %.2f %%\n", options.model.c_str(),
              static_cast<long long>(batches.rows()), static_cast<long long>(options.batch), session.threads(), 100 * last);
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    double loss = 0;
    std::int64_t correct = 0, done = 0;
    for (const auto& batch : batches) {
      step({batch[0], batch[1]}, results);
      const std::int64_t rows = batch[1].size();
      const double batch_loss = results[0].item<float>();
      if (steps++ < options.log_steps) std::printf("step %d loss %.6f\n", steps, batch_loss);
      loss += batch_loss * static_cast<double>(rows);
      correct += results[1].item<std::int64_t>();
      done += rows;
      progress.update(epoch, done, loss / static_cast<double>(done), static_cast<double>(correct) / static_cast<double>(done), done == batches.rows());
    }
    progress.end_line();
    last = accuracy(count_correct, test);
    std::printf("epoch %d/%d  test accuracy %.2f %%\n", epoch + 1, options.epochs, 100 * last);
  }

  session.save(options.save);
  Session again(c.graph, {.threads = options.threads});
  again.restore(options.save);
  const double restored = accuracy(again.callable(c.correct, {c.images, c.labels}), test);
  std::printf("saved %s; read back, its test accuracy is %.2f %%\n", options.save.c_str(), 100 * restored);
  if (restored != last) throw std::runtime_error("the checkpoint does not give the accuracy of what was saved");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::uint64_t seed = 0;
  CLI::App app("Trains a classifier on Fashion-MNIST.");
  app.add_option("--model", options.model, "softmax: one linear layer, SGD 0.1; mlp: 784-128-10 with ReLU, Adam 1e-3")
      ->check(CLI::IsMember({"softmax", "mlp"}))
      ->capture_default_str();
  app.add_option("--data", options.data, "Folder with the four IDX files, plain or gzipped")->check(CLI::ExistingDirectory)->capture_default_str();
  app.add_option("--init", options.init, "Folder with initial weights, PARAMETER.npy in torch layout")->check(CLI::ExistingDirectory);
  app.add_option("--save", options.save, "Where the checkpoint goes")->capture_default_str();
  app.add_option("--epochs", options.epochs, "Passes over the training images")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--batch", options.batch, "Images a step")->check(CLI::PositiveNumber)->capture_default_str();
  CLI::Option* shuffle = app.add_option("--shuffle", seed, "Seed of the order of images and of the initial weights; without it, file order");
  app.add_option("--log-steps", options.log_steps, "Print the loss of the first N steps")->check(CLI::NonNegativeNumber);
  app.add_option("--threads", options.threads, "Threads; 0: as many as there are processors")->check(CLI::NonNegativeNumber)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (shuffle->count() > 0) options.shuffle = seed;
  try {
    train(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}

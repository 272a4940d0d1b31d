// Trains a small residual network on Fashion-MNIST: ResNet's blocks, batch normalisation with running statistics, one cycle of the learning
// rate.
#include <chrono>
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "idx.h"
#include "kiln/kiln.h"

using namespace kiln;

namespace {

struct Options {
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::int64_t width = 16, blocks = 1, batch = 128, limit = 0;
  int epochs = 3, threads = 0;
  double lr = 0.2;
  std::uint64_t seed = 1;
  std::string save;
};

struct Examples {
  Array images;  ///< f32[n, 1, 28, 28], mean 0 and variance 1
  Array labels;  ///< i64[n]
};

Examples read_examples(const std::string& folder, const std::string& prefix, std::int64_t limit) {
  const Array pixels = read_idx(folder + "/" + prefix + "-images-idx3-ubyte"),
              labels = read_idx(folder + "/" + prefix + "-labels-idx1-ubyte");
  if (pixels.shape().rank() != 3 || labels.shape().rank() != 1 || pixels.shape()[0] != labels.shape()[0])
    throw std::runtime_error(folder + ": images " + to_string(pixels.shape()) + " and labels " + to_string(labels.shape()) +
                             " do not belong together");
  const std::int64_t n = limit > 0 ? std::min(limit, pixels.shape()[0]) : pixels.shape()[0];
  Examples examples{Array(f32, {n, 1, pixels.shape()[1], pixels.shape()[2]}), Array(i64, {n})};
  const auto to = examples.images.mutable_data<float>();
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = (static_cast<float>(pixels.data<std::uint8_t>()[i]) / 255 - 0.2860F) / 0.3530F;
  for (std::int64_t i = 0; i < n; ++i)
    examples.labels.mutable_data<std::int64_t>()[static_cast<std::size_t>(i)] = labels.data<std::uint8_t>()[static_cast<std::size_t>(i)];
  return examples;
}

/// relu(x + norm(conv(relu(norm(conv(x)))))), with a projection of x where the shape changes.
class Block : public nn::Module {
 public:
  Block(std::int64_t in, std::int64_t out, std::int64_t stride)
      : body_(add("body", nn::Sequential(nn::Conv2d(in, out, 3, {.stride = stride, .padding = 1, .bias = false}), nn::BatchNorm2d(out),
                                         nn::ReLU(), nn::Conv2d(out, out, 3, {.padding = 1, .bias = false}), nn::BatchNorm2d(out)))) {
    if (stride != 1 || in != out)
      shortcut_ = add("shortcut", nn::Sequential(nn::Conv2d(in, out, 1, {.stride = stride, .bias = false}), nn::BatchNorm2d(out)));
  }

 private:
  Tensor forward(const Tensor& x) override {
    const Tensor y = body_(x);
    return relu(y + (shortcut_ ? (*shortcut_)(x) : x));
  }
  nn::Sequential body_;
  std::optional<nn::Sequential> shortcut_;
};

nn::Sequential resnet(const Options& o) {
  nn::Sequential model(nn::Conv2d(1, o.width, 3, {.padding = 1, .bias = false}), nn::BatchNorm2d(o.width), nn::ReLU());
  for (std::int64_t stage = 0; stage < 3; ++stage)
    for (std::int64_t block = 0; block < o.blocks; ++block) {
      const bool first = block == 0 && stage > 0;
      model.append(Block(o.width << (first ? stage - 1 : stage), o.width << stage, first ? 2 : 1));
    }
  model.append(nn::AdaptiveAvgPool2d(1));
  model.append(nn::Flatten());
  model.append(nn::Linear(o.width << 2, 10));
  return model;
}

void train(const Options& o) {
  const Examples training = read_examples(o.data, "train", o.limit), test = read_examples(o.data, "t10k", o.limit);
  Graph graph;
  const Dim batch("batch", {.min = 1, .typical = o.batch});
  const Tensor images = graph.placeholder("images", f32, {batch, 1, training.images.shape()[2], training.images.shape()[3]});
  const Tensor labels = graph.placeholder("labels", i64, {batch});
  nn::Sequential model = resnet(o);
  const Tensor logits = model(images, {.training = true});
  const Tensor loss = nn::CrossEntropyLoss()(logits, labels);
  // The same weights with the running statistics.
  const Tensor correct = reduce_sum(convert(equal(argmax(model(images)), labels), i64));

  Batches batches({training.images, training.labels}, {.batch_size = o.batch, .seed = o.seed, .drop_last = true});
  SGD sgd({.lr = schedule::one_cycle(o.lr, std::max<std::int64_t>(8, o.epochs * batches.count())),
           .momentum = 0.9,
           .weight_decay = 5e-4,
           .nesterov = true});
  sgd.add_group({.parameters = biases_and_norms(model.parameters()), .weight_decay = 0});
  const Operation step = sgd.minimize(loss, model.parameters());

  Session session(graph, {.threads = o.threads, .seed = o.seed});
  session.initialize();
  std::fputs(nn::summary(model, {batch, 1, training.images.shape()[2], training.images.shape()[3]}).text().c_str(), stdout);
  const Callable run_step = session.callable({loss, step}, {images, labels}), count = session.callable(correct, {images, labels});
  const auto start = std::chrono::steady_clock::now();
  std::int64_t steps = 0;
  const std::int64_t report = std::max<std::int64_t>(1, batches.count() / 5);
  for (int epoch = 0; epoch < o.epochs; ++epoch) {
    for (const std::vector<Array>& rows : batches) {
      const double now = run_step({rows[0], rows[1]})[0].item<float>();
      if (++steps % report != 0) continue;
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      std::printf("epoch %d/%d  step %lld  loss %.4f  %.0f images/s\n", epoch + 1, o.epochs, static_cast<long long>(steps), now,
                  static_cast<double>(steps * o.batch) / seconds);
      std::fflush(stdout);
    }
    std::int64_t right = 0;
    Batches all({test.images, test.labels}, {.batch_size = 500, .shuffle = false});
    for (const std::vector<Array>& rows : all) right += count({rows[0], rows[1]})[0].item<std::int64_t>();
    std::printf("epoch %d/%d  test accuracy %.2f %%\n", epoch + 1, o.epochs,
                100.0 * static_cast<double>(right) / static_cast<double>(all.rows()));
  }
  if (!o.save.empty()) session.save(o.save);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Trains a small residual network on Fashion-MNIST.");
  app.add_option("--data", o.data, "Folder with the four IDX files, plain or gzipped")
      ->check(CLI::ExistingDirectory)
      ->capture_default_str();
  app.add_option("--width", o.width, "Channels of the first stage; each next has twice as many")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--blocks", o.blocks, "Residual blocks in each of the three stages")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--batch", o.batch, "Images a step")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--epochs", o.epochs, "Passes over the training images")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--limit", o.limit, "Use only the first N images; 0: all")->check(CLI::NonNegativeNumber);
  app.add_option("--lr", o.lr, "Highest learning rate")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", o.threads, "Threads; 0: as many as there are processors")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--seed", o.seed, "Seed of weights and of the order of images")->capture_default_str();
  app.add_option("--save", o.save, "File for the trained variables");
  CLI11_PARSE(app, argc, argv);
  try {
    train(o);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
